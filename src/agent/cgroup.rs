//! Limits of memory and processor time: control groups (version 2) where the agent may make them, limits of processes elsewhere.

use super::settings::LimitsBy;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The group that the agent moves into: one with limits below it may hold no process itself.
const OWN_GROUP: &str = "agent";
/// The period of `cpu.max`, in microseconds.
const PERIOD_MICROS: u64 = 100_000;
/// Processes and threads of one session.
const TASKS_AT_MOST: u32 = 4096;

/// How sessions are limited here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Limits {
    /// Each session has a group below this one.
    Groups(PathBuf),
    /// Each process of a session may have as much memory as the session.
    Processes,
    /// They are not.
    None,
}

/// What a session may use; none: what there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Share {
    pub(super) memory: Option<u64>,
    pub(super) cpu_millis: Option<u64>,
}

impl Limits {
    /// What can be done here, and in a sentence why not more.
    ///
    /// # Errors
    /// Groups are wanted, and there can be none.
    pub(super) fn find(wanted: LimitsBy) -> Result<(Limits, String), String> {
        match wanted {
            LimitsBy::None => Ok((Limits::None, "sessions are not limited (limits = \"none\")".to_owned())),
            LimitsBy::Rlimit => Ok((Limits::Processes, "memory of each process is limited, processor time is not".to_owned())),
            LimitsBy::Cgroup => groups().map(described),
            LimitsBy::Auto => Ok(groups().map_or_else(
                |why| {
                    (
                        Limits::Processes,
                        format!("no control groups ({why}): memory of each process is limited, processor time is not"),
                    )
                },
                described,
            )),
        }
    }

    /// A place for a session's processes. What does not work is told, and the session runs without.
    pub(super) fn prepare(&self, session: &str, share: Share) {
        let Limits::Groups(base) = self else { return };
        if let Err(error) = prepare(&base.join(group(session)), share) {
            tracing::warn!(session, %error, "the session runs without limits");
        }
    }

    /// Holds a process that has just begun, and those that it begins.
    pub(super) fn hold(&self, session: &str, pid: u32, share: Share) {
        let held = match self {
            Limits::Groups(base) => fs::write(base.join(group(session)).join("cgroup.procs"), pid.to_string()),
            Limits::Processes => limit(pid, share),
            Limits::None => Ok(()),
        };
        if let Err(error) = held {
            tracing::warn!(session, %error, "a process runs without limits");
        }
    }

    /// Ends whatever is left of a session in its group, at once.
    pub(super) fn kill(&self, session: &str) {
        if let Limits::Groups(base) = self {
            // Without a group, or before Linux 5.14: the processes are found one by one all the same.
            let _ = fs::write(base.join(group(session)).join("cgroup.kill"), "1");
        }
    }

    /// The session has no processes any more.
    pub(super) fn clear(&self, session: &str) {
        if let Limits::Groups(base) = self {
            let _ = fs::remove_dir(base.join(group(session)));
        }
    }
}

fn described(path: PathBuf) -> (Limits, String) {
    let said = format!("control groups below {}", path.display());
    (Limits::Groups(path), said)
}

fn group(session: &str) -> String {
    format!("session-{session}")
}

fn prepare(path: &Path, share: Share) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let memory = share.memory.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
    fs::write(path.join("memory.max"), memory)?;
    let quota = share.cpu_millis.map(|millis| (millis * PERIOD_MICROS / 1000).max(1000));
    let quota = quota.map_or_else(|| "max".to_owned(), |micros| micros.to_string());
    fs::write(path.join("cpu.max"), format!("{quota} {PERIOD_MICROS}"))?;
    fs::write(path.join("pids.max"), TASKS_AT_MOST.to_string())
}

/// Data, not addresses: browsers reserve far more of these than they use.
fn limit(pid: u32, share: Share) -> io::Result<()> {
    let (Some(bytes), Some(pid)) = (share.memory, Pid::from_raw(pid as i32)) else { return Ok(()) };
    prlimit(Some(pid), Resource::Data, Rlimit { current: Some(bytes), maximum: Some(bytes) })?;
    Ok(())
}

/// The group below which sessions get theirs, made ready.
fn groups() -> Result<PathBuf, String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let (root, own) = place(&mounts, &own).ok_or("version 2 is not mounted")?;
    let base = if own.file_name().is_some_and(|name| name == OWN_GROUP) { own.parent().unwrap_or(&own).to_owned() } else { own };
    ready(&base, base == root)
}

/// Where the groups are mounted, and where our own is.
fn place(mounts: &str, own: &str) -> Option<(PathBuf, PathBuf)> {
    let mut mounted = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    let root = PathBuf::from(mounted.next()?.split(' ').nth(4)?);
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some((root.clone(), if path.is_empty() { root } else { root.join(path) }))
}

fn ready(base: &Path, is_root: bool) -> Result<PathBuf, String> {
    let has = |file: &str, name: &str| {
        fs::read_to_string(base.join(file)).unwrap_or_default().split_whitespace().any(|controller| controller == name)
    };
    if !has("cgroup.controllers", "memory") {
        return Err(format!("{} has no memory controller", base.display()));
    }
    let wanted: Vec<&str> = ["memory", "cpu", "pids"].into_iter().filter(|name| !has("cgroup.subtree_control", name)).collect();
    if !is_root && !wanted.is_empty() {
        let own = base.join(OWN_GROUP);
        let moved = fs::create_dir_all(&own).and_then(|()| fs::write(own.join("cgroup.procs"), std::process::id().to_string()));
        moved.map_err(|error| format!("{}: {error}", base.display()))?;
    }
    for name in wanted {
        let path = base.join("cgroup.subtree_control");
        fs::write(&path, format!("+{name}")).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(base.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_is_found() {
        let mounts = "24 30 0:22 / /proc rw - proc proc rw\n\
                      33 24 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = place(mounts, "0::/system.slice/homeroom-agent.service\n");
        let base = PathBuf::from("/sys/fs/cgroup");
        assert_eq!(found, Some((base.clone(), base.join("system.slice/homeroom-agent.service"))));
        assert_eq!(place(mounts, "4:memory:/a\n0::/\n"), Some((base.clone(), base)));
        assert_eq!(place("", "0::/\n"), None);
    }

    #[test]
    fn a_session_gets_a_group_with_its_limits() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits::Groups(folder.path().to_owned());
        limits.prepare("s", Share { memory: Some(1 << 20), cpu_millis: Some(1500) });
        let read = |file: &str| fs::read_to_string(folder.path().join("session-s").join(file)).unwrap();
        assert_eq!((&*read("memory.max"), &*read("cpu.max"), &*read("pids.max")), ("1048576", "150000 100000", "4096"));
        limits.prepare("s", Share::default());
        assert_eq!((&*read("memory.max"), &*read("cpu.max")), ("max", "max 100000"));
        limits.hold("s", 7, Share::default());
        assert_eq!(read("cgroup.procs"), "7");
    }

    #[test]
    fn a_base_is_made_ready_or_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ready(folder.path(), false).unwrap_err().contains("no memory controller"));
        fs::write(folder.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        assert_eq!(ready(folder.path(), false).unwrap(), folder.path());
        let moved = fs::read_to_string(folder.path().join("agent/cgroup.procs")).unwrap();
        assert_eq!(moved, std::process::id().to_string());
    }

    #[test]
    fn memory_of_a_process_is_limited() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        Limits::Processes.hold("s", child.id(), Share { memory: Some(1 << 30), cpu_millis: None });
        let text = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        assert!(text.lines().any(|line| line.starts_with("Max data size") && line.contains("1073741824")), "{text}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
