//! What the kernel tells of this machine and its processes.

use crate::desks::{Process, speech::Capacity};
use std::{fs, path::Path};

/// What sessions' processes have in their environment: by it all of them are found, wherever they went.
pub(super) const SESSION_VARIABLE: &str = "HOMEROOM_SESSION";
/// Whose sessions they are: the agent's data folder.
pub(super) const AGENT_VARIABLE: &str = "HOMEROOM_AGENT";
/// What the program on a screen has besides.
pub(super) const PROGRAM_VARIABLE: &str = "HOMEROOM_PROGRAM";

/// Accounts with smaller numbers are the system's own (`UID_MIN` of login.defs).
const FIRST_PERSON: u32 = 1000;

/// What the machine is called.
pub(super) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Which run of the machine this is.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Memory in bytes.
pub(super) fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// What the machine can hold, with `most` sessions or as many as there are 2 GiB, and never more than there are numbers.
pub(super) fn capacity(most: Option<u32>, numbers: u32) -> Capacity {
    let gib = memory() as f64 / f64::from(1 << 30);
    let by_memory = (gib / 2.0).max(1.0) as u32;
    Capacity {
        max_sessions: most.unwrap_or(by_memory).min(numbers),
        max_cpu: std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64),
        max_memory: (gib * 10.0).round() / 10.0,
    }
}

/// A process that is there now and has not ended.
pub(super) fn process(pid: i32) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // After the name: field 3 is the state, field 22 when it began.
    let is_over = matches!(fields.next()?, "Z" | "X");
    let began = fields.nth(18)?.parse().ok()?;
    (!is_over).then_some(Process { pid, began })
}

/// Whether this very process is there.
pub(super) fn is_alive(process: Process) -> bool {
    self::process(process.pid) == Some(process)
}

/// All processes with these variables in their environment. It walks through `/proc`, so it may take milliseconds.
pub(super) fn processes_with(variables: &[(&str, &str)]) -> Vec<Process> {
    let wanted: Vec<Vec<u8>> = variables.iter().map(|(name, value)| format!("{name}={value}").into_bytes()).collect();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let has_all = |pid: &i32| {
        let environment = fs::read(Path::new("/proc").join(pid.to_string()).join("environ")).unwrap_or_default();
        wanted.iter().all(|variable| environment.split(|byte| *byte == 0).any(|one| one == variable))
    };
    pids.filter(has_all).filter_map(process).collect()
}

/// The value of a variable in a process's environment.
pub(super) fn variable(process: Process, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{}/environ", process.pid)).ok()?;
    let value = environment.split(|byte| *byte == 0).find_map(|one| one.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok()
}

/// An account of this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) shell: String,
}

/// The account of this name in `/etc/passwd`.
pub(super) fn account(name: &str) -> Option<Account> {
    find_account(&fs::read_to_string("/etc/passwd").ok()?, |fields| fields[0] == name)
}

/// The account of one who asks for a session, by their name. None of the system's own is theirs, whatever they are called.
pub(super) fn persons_account(name: &str) -> Option<Account> {
    account(name).filter(is_persons)
}

fn is_persons(account: &Account) -> bool {
    account.uid >= FIRST_PERSON
}

/// The account that this process runs as.
pub(super) fn own_account() -> Option<Account> {
    let uid = rustix::process::getuid().as_raw().to_string();
    find_account(&fs::read_to_string("/etc/passwd").ok()?, |fields| fields[2] == uid)
}

fn find_account(passwd: &str, is_it: impl Fn(&[&str]) -> bool) -> Option<Account> {
    let lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = lines.filter(|fields| fields.len() >= 7).find(|fields| is_it(fields))?;
    Some(Account {
        name: fields[0].to_owned(),
        uid: fields[2].parse().ok()?,
        gid: fields[3].parse().ok()?,
        shell: fields[6].to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_another_with_its_number_is_not() {
        let own = process(std::process::id() as i32).unwrap();
        assert!(is_alive(own) && !is_alive(Process { began: own.began + 1, ..own }));
        assert_eq!(process(-1), None);
    }

    #[test]
    fn processes_are_found_by_their_environment() {
        let mark = format!("mark-{}", std::process::id());
        let mut child = std::process::Command::new("sleep").arg("60").env("HOMEROOM_TEST_MARK", &mark).spawn().unwrap();
        let late = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let mut found = Vec::new();
        while found.is_empty() && std::time::Instant::now() < late {
            // A child is let go before its environment can be read: in the middle of its exec.
            found = processes_with(&[("HOMEROOM_TEST_MARK", &mark)]);
            std::thread::yield_now();
        }
        assert_eq!(found.iter().map(|process| process.pid as u32).collect::<Vec<_>>(), [child.id()]);
        assert_eq!(variable(found[0], "HOMEROOM_TEST_MARK"), Some(mark.clone()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(processes_with(&[("HOMEROOM_TEST_MARK", &mark)]).is_empty());
    }

    #[test]
    fn accounts_are_read() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nann:x:1001:1002::/srv/ann:/bin/sh\n";
        let ann = find_account(passwd, |fields| fields[0] == "ann").unwrap();
        assert_eq!((ann.uid, ann.gid, &*ann.shell), (1001, 1002, "/bin/sh"));
        assert!(find_account(passwd, |fields| fields[0] == "bob").is_none());
        let root = find_account(passwd, |fields| fields[0] == "root").unwrap();
        assert!(is_persons(&ann) && !is_persons(&root));
        assert!(account("root").is_some() && persons_account("root").is_none(), "nobody is root because they are called so");
    }

    #[test]
    fn capacity_is_bounded_by_numbers() {
        let capacity = capacity(Some(50), 7);
        assert!(capacity.max_sessions == 7 && capacity.max_cpu >= 1.0 && capacity.max_memory > 0.0);
    }
}
