//! Processes of sessions: begun as somebody, watched, and ended with all their children.

use super::machine::{self, AGENT_VARIABLE, Account, PROGRAM_VARIABLE, SESSION_VARIABLE};
use crate::desks::Process;
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::fd::OwnedFd,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::{Child, Command},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

/// What does not end when it is killed is waited for so long: the kernel has it.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at what is left, where it cannot be awaited.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is begun.
pub(super) struct Birth<'a> {
    pub(super) command: &'a [String],
    pub(super) env: &'a BTreeMap<String, String>,
    pub(super) workdir: &'a Path,
    /// Only root may name another than its own.
    pub(super) account: Option<&'a Account>,
    pub(super) log: File,
}

/// Begins a process in a group of its own. It outlives the agent.
///
/// # Errors
/// There is no such program, or it may not be run.
pub(super) fn begin(birth: Birth<'_>) -> io::Result<Child> {
    let [program, arguments @ ..] = birth.command else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the template has no command"));
    };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", super::settings::PATH).env("LANG", "C.UTF-8");
    let own = machine::own_account();
    if let Some(account) = birth.account.or(own.as_ref()) {
        command.env("USER", &account.name).env("LOGNAME", &account.name).env("SHELL", &account.shell);
    }
    if let Some(account) = birth.account.filter(|_| rustix::process::geteuid().is_root()) {
        command.uid(account.uid).gid(account.gid);
    }
    command.envs(birth.env).current_dir(birth.workdir).process_group(0).stdin(Stdio::null());
    command.stdout(birth.log.try_clone()?).stderr(birth.log).spawn()
}

/// A process whose end can be awaited: our child, or one that ran before us.
pub(super) enum Life {
    Child(Child),
    Found(AsyncFd<OwnedFd>),
}

impl Life {
    /// One that ran before us; none: it is no more.
    pub(super) fn found(process: Process) -> Option<Life> {
        handle(process).and_then(awaitable).map(Life::Found)
    }

    /// Waits for its end, and says how it ended.
    pub(super) async fn end(&mut self) -> String {
        match self {
            Life::Child(child) => child.wait().await.map_or_else(|error| error.to_string(), ended),
            Life::Found(handle) => {
                let _ = handle.readable().await;
                "it ended".to_owned()
            }
        }
    }
}

fn ended(status: ExitStatus) -> String {
    // "exit status: 1", "signal: 9 (SIGKILL)".
    status.to_string()
}

/// A handle that means this process and no later one of its number.
fn handle(process: Process) -> Option<OwnedFd> {
    let handle = pidfd_open(Pid::from_raw(process.pid)?, PidfdFlags::empty()).ok()?;
    // The number may have been another's before it was opened, not after.
    machine::is_alive(process).then_some(handle)
}

/// A handle whose process's end can be awaited.
#[expect(deprecated, reason = "the safe way is deprecated for handles that change; one that is owned stays what it is")]
fn awaitable(handle: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(handle, Interest::READABLE).ok()
}

/// Every process of a session, wherever it went.
pub(super) fn of_session(agent: &str, session: &str) -> Vec<Process> {
    machine::processes_with(&[(AGENT_VARIABLE, agent), (SESSION_VARIABLE, session)])
}

/// Ends every process of a session: asked to, and killed after `grace`. None is left when this returns, but what the kernel holds on to.
pub(super) async fn end_all(agent: &str, session: &str, grace: Duration) {
    let begun = Instant::now();
    let (asked_until, until) = (begun + grace, begun + grace + KILL_TIMEOUT);
    loop {
        let is_asked = Instant::now() < asked_until;
        let left = processes(agent, session).await;
        if left.is_empty() || Instant::now() >= until {
            return;
        }
        let signal = if is_asked { Signal::TERM } else { Signal::KILL };
        end(left, signal, if is_asked { asked_until } else { until }).await;
    }
}

/// The program on a session's screen, of an agent before this one: the oldest process of those that it began.
pub(super) async fn program(agent: &str, session: &str) -> Option<Process> {
    let marks = [(AGENT_VARIABLE, agent), (SESSION_VARIABLE, session), (PROGRAM_VARIABLE, "1")];
    let marks = marks.map(|(name, value)| (name, value.to_owned()));
    let look = move || {
        let marks: Vec<_> = marks.iter().map(|(name, value)| (*name, value.as_str())).collect();
        machine::processes_with(&marks).into_iter().min_by_key(|process| (process.began, process.pid))
    };
    spawn_blocking(look).await.ok().flatten()
}

async fn processes(agent: &str, session: &str) -> Vec<Process> {
    let (agent, session) = (agent.to_owned(), session.to_owned());
    spawn_blocking(move || of_session(&agent, &session)).await.unwrap_or_default()
}

/// Signals these, and waits until they have ended.
async fn end(processes: Vec<Process>, signal: Signal, until: Instant) {
    let handles: Vec<OwnedFd> = processes.into_iter().filter_map(handle).collect();
    for handle in &handles {
        if let Err(error) = pidfd_send_signal(handle, signal)
            && error != Errno::SRCH
        {
            tracing::warn!(%error, "a process of a session cannot be ended");
        }
    }
    for handle in handles {
        let Some(handle) = awaitable(handle) else { continue };
        if timeout_at(until, handle.readable()).await.is_err() {
            return;
        }
    }
    // Whoever could not be waited for is looked for again, but not without a pause.
    tokio::time::sleep(LOOK_AGAIN).await;
}
