//! What the service manager is told, by the notify protocol of systemd (sd_notify(3)): plain datagrams to the socket that `NOTIFY_SOCKET`
//! names. Where it names none, nothing is told.
//!
//! A process that takes its parent's place ([`Supervisor::hand_over_to`]) has the parent's variables, and is the one who is watched then.

use rustix::{
    net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with, sockopt},
    process::{Pid, getpid, getppid},
    time::{ClockId, clock_gettime},
};
use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt,
    time::Duration,
};

/// A manager that takes nothing for so long is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(2);
/// Names the process that the watchdog watches.
const WATCHED: &str = "WATCHDOG_PID";

/// Who is told: the service manager, or nobody.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    address: Option<SocketAddrUnix>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one of this process, by its environment.
    pub fn of_process() -> Supervisor {
        Supervisor::of(|name| env::var_os(name), [Some(getpid()), getppid()])
    }

    /// The one that these variables name, for this process and its parent.
    fn of(variable: impl Fn(&str) -> Option<OsString>, line: [Option<Pid>; 2]) -> Supervisor {
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let watched = number(WATCHED).and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let is_ours = variable(WATCHED).is_none() || (watched.is_some() && line.contains(&watched));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0).map(Duration::from_micros);
        Supervisor { address: variable("NOTIFY_SOCKET").and_then(|name| address(&name)), watchdog }
    }

    /// Whether anybody is told.
    pub fn is_there(&self) -> bool {
        self.address.is_some()
    }

    /// How long this process may be silent before it is killed; `None`: as long as it likes.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// It serves. Ends a start, and a reload.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// It reads its files again; [`Supervisor::ready`] says that it has.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It stops, which may take so long.
    pub fn stopping(&self, at_most: Duration) {
        self.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", at_most.as_micros()));
    }

    /// It is alive: keeps the watchdog from barking.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// How it is, in one short line for people. No words of a user.
    pub fn status(&self, line: &str) {
        // A second line would be another word of the protocol.
        self.tell(&format!("STATUS={}", line.lines().next().unwrap_or_default()));
    }

    /// The variable by which a process that this one starts, and that is to take its place, finds that the watchdog is its too: the one
    /// that the manager has named may be an ancestor that is gone. To be asked of one that was made while the parent was there.
    pub fn bequest(&self) -> Option<(&'static str, String)> {
        self.watchdog.map(|_| (WATCHED, getpid().as_raw_nonzero().to_string()))
    }

    /// From now on the service is another process, whose words are heeded in place of this one's.
    pub fn hand_over_to(&self, pid: Pid) {
        self.tell(&format!("MAINPID={}", pid.as_raw_nonzero()));
    }

    /// Nothing hangs on whether a word arrives but what the manager makes of it: one that cannot be told is logged, and no more.
    fn tell(&self, words: &str) {
        if let Some(address) = &self.address
            && let Err(error) = send(address, words)
        {
            tracing::warn!(%error, "the service manager cannot be told how this process is");
        }
    }
}

/// A path, or an abstract name behind an `@`. Anything else (a machine's own socket, vsock) names nobody whom we could tell.
fn address(name: &OsStr) -> Option<SocketAddrUnix> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name).ok(),
        path @ [b'/', ..] => SocketAddrUnix::new(path).ok(),
        _ => None,
    }
}

fn send(address: &SocketAddrUnix, words: &str) -> io::Result<()> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(PATIENCE))?;
    sendto(&socket, words.as_bytes(), SendFlags::NOSIGNAL, address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    };

    fn of(variables: &[(&str, &str)]) -> Supervisor {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        Supervisor::of(variable, [Pid::from_raw(7), Pid::from_raw(6)])
    }

    fn heard(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_word_is_a_datagram() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let supervisor = of(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
        assert!(supervisor.is_there());
        supervisor.ready();
        assert_eq!(heard(&manager), "READY=1");
        supervisor.reloading();
        let word = heard(&manager);
        let micros: u64 = word.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        let now = u64::try_from(clock_gettime(ClockId::Monotonic).tv_sec).unwrap();
        assert!((now - 60..=now + 1).contains(&(micros / 1_000_000)), "{word} at {now} s");
        supervisor.stopping(Duration::from_millis(1500));
        assert_eq!(heard(&manager), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1500000");
        supervisor.alive();
        assert_eq!(heard(&manager), "WATCHDOG=1");
        supervisor.status("Serving\nMAINPID=1");
        assert_eq!(heard(&manager), "STATUS=Serving");
        supervisor.hand_over_to(Pid::from_raw(4711).unwrap());
        assert_eq!(heard(&manager), "MAINPID=4711");
    }

    #[test]
    fn an_abstract_name_is_one() {
        let name = format!("homeroom-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        of(&[("NOTIFY_SOCKET", &format!("@{name}"))]).ready();
        assert_eq!(heard(&manager), "READY=1");
    }

    #[test]
    fn nobody_is_told_where_nobody_is() {
        for name in ["", "vsock:2:1234", "relative"] {
            assert!(!of(&[("NOTIFY_SOCKET", name)]).is_there(), "{name}");
        }
        let absent = of(&[("NOTIFY_SOCKET", "/nonexistent/notify")]);
        absent.ready();
        of(&[]).ready();
    }

    #[test]
    fn the_watchdog_of_another_process_is_none_of_ours() {
        let ours = Some(Duration::from_secs(30));
        for (watched, watchdog) in [(None, ours), (Some("7"), ours), (Some("6"), ours), (Some("8"), None), (Some("x"), None)] {
            let named = watched.map(|pid| ("WATCHDOG_PID", pid));
            let variables: Vec<_> = [("WATCHDOG_USEC", "30000000")].into_iter().chain(named).collect();
            assert_eq!(of(&variables).watchdog(), watchdog, "{watched:?}");
        }
        assert_eq!(of(&[("WATCHDOG_USEC", "0")]).watchdog(), None);
        let own = ("WATCHDOG_PID", std::process::id().to_string());
        assert_eq!(of(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "6")]).bequest(), Some(own), "whoever was named before");
        assert_eq!(of(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "8")]).bequest(), None);
    }
}
