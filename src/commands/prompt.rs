//! A password, asked for at the terminal without being shown, or read from standard input.
//!
//! Whatever ends or stops the process while it asks (Ctrl-C, Ctrl-Z, a signal from outside) finds the terminal as it was before.

use super::Failure;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP},
    flag,
    iterator::{backend::SignalDelivery, exfiltrator::SignalOnly},
    low_level::emulate_default_handler,
};
use std::{
    io::{self, BufRead, IsTerminal, Read, Stdin, Write},
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A longer line is no password.
const LINE_BYTES: u64 = 4096;
/// What a terminal, or another process, can end or stop this one with.
const SIGNALS: [i32; 5] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP];

/// A password of any length: asked for twice at a terminal, else the first line of standard input.
pub fn password() -> Result<String, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(&stdin).map_err(unread);
    }
    let (first, second) = twice(&stdin).map_err(unread)?;
    if first == second { Ok(first) } else { Err(Failure::Usage("the two are not the same".to_owned())) }
}

fn unread(error: io::Error) -> Failure {
    Failure::Failed(format!("standard input: {error}"))
}

fn twice(stdin: &Stdin) -> io::Result<(String, String)> {
    let mut signals = Signals::caught()?;
    Ok((asked(stdin, "Password: ", &mut signals)?, asked(stdin, "Again: ", &mut signals)?))
}

fn asked(stdin: &Stdin, prompt: &str, signals: &mut Signals) -> io::Result<String> {
    loop {
        let hidden = Hidden::new(stdin, &signals.shown)?;
        eprint!("{prompt}");
        io::stderr().flush()?;
        let line = if signals.come_before(stdin)? { None } else { Some(line(stdin)?) };
        drop(hidden);
        signals.obey()?;
        if let Some(line) = line {
            return Ok(line);
        }
        // It was stopped and goes on, and what it asked for is no longer on the screen.
    }
}

fn line(stdin: &Stdin) -> io::Result<String> {
    let mut line = String::new();
    stdin.lock().take(LINE_BYTES).read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// The signals that must not come between a terminal and its echo. While nothing is hidden they do what they always do.
struct Signals {
    come: SignalDelivery<UnixStream, SignalOnly>,
    shown: Arc<AtomicBool>,
}

impl Signals {
    fn caught() -> io::Result<Signals> {
        let shown = Arc::new(AtomicBool::new(true));
        for signal in SIGNALS {
            flag::register_conditional_default(signal, shown.clone())?;
        }
        let (read, write) = UnixStream::pair()?;
        Ok(Signals { come: SignalDelivery::with_pipe(read, write, SignalOnly, SIGNALS)?, shown })
    }

    /// Waits until a line can be read, or one of them has come.
    fn come_before(&self, stdin: &Stdin) -> io::Result<bool> {
        let mut sources = [PollFd::new(stdin, PollFlags::IN), PollFd::new(self.come.get_read(), PollFlags::IN)];
        loop {
            match poll(&mut sources, None) {
                Ok(_) => return Ok(!sources[1].revents().is_empty()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lets those that came while the echo was off do now what they always do: one that ends the process does not return.
    fn obey(&mut self) -> io::Result<()> {
        self.come.pending().try_for_each(emulate_default_handler)
    }
}

/// A terminal that does not show what is typed, but the end of the line, for as long as this lives.
struct Hidden<'a> {
    terminal: &'a Stdin,
    before: Termios,
    shown: &'a AtomicBool,
}

impl Hidden<'_> {
    fn new<'a>(terminal: &'a Stdin, shown: &'a AtomicBool) -> io::Result<Hidden<'a>> {
        let before = tcgetattr(terminal)?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ECHO);
        modes.local_modes.insert(LocalModes::ECHONL);
        shown.store(false, Ordering::SeqCst);
        let hidden = Hidden { terminal, before, shown };
        tcsetattr(terminal, OptionalActions::Flush, &modes)?;
        Ok(hidden)
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // Nobody is left who could do anything about it.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
        self.shown.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::{
        process::{Pid, Signal, WaitOptions, kill_process, waitpid},
        pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    };
    use std::{
        env,
        fs::File,
        os::unix::process::ExitStatusExt,
        process::{Child, Command, Stdio},
    };

    /// Tells this test binary that it is to ask.
    const ASK: &str = "HOMEROOM_TEST_ASK";

    /// This test binary, asking at a terminal of its own.
    struct Asking {
        terminal: File,
        child: Child,
    }

    impl Asking {
        fn start() -> Asking {
            let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
            grantpt(&terminal).unwrap();
            unlockpt(&terminal).unwrap();
            let stdin = ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
            let mut command = Command::new(env::current_exe().unwrap());
            command.args(["commands::prompt::tests::the_terminal_is_given_back", "--exact", "--nocapture"]).env(ASK, "");
            let child = command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            Asking { terminal: terminal.into(), child }
        }

        fn pid(&self) -> Pid {
            Pid::from_child(&self.child)
        }

        fn hears(&mut self, prompt: &str) {
            let mut heard = vec![0; prompt.len()];
            self.child.stderr.as_mut().unwrap().read_exact(&mut heard).unwrap();
            assert_eq!(String::from_utf8(heard).unwrap(), prompt);
            assert!(!self.shows(), "nothing is shown while it asks");
        }

        fn shows(&self) -> bool {
            tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO)
        }
    }

    impl Drop for Asking {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    #[test]
    fn the_terminal_is_given_back() {
        if env::var_os(ASK).is_some() {
            assert_eq!(password().unwrap(), "a password");
            return;
        }
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let mut asking = Asking::start();
            asking.hears("Password: ");
            kill_process(asking.pid(), signal).unwrap();
            assert_eq!(asking.child.wait().unwrap().signal(), Some(signal.as_raw()));
            assert!(asking.shows(), "{signal:?}");
        }
    }

    #[test]
    fn one_that_was_stopped_asks_again_when_it_goes_on() {
        let mut asking = Asking::start();
        asking.hears("Password: ");
        kill_process(asking.pid(), Signal::TSTP).unwrap();
        let (_, status) = waitpid(Some(asking.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped() && asking.shows());
        kill_process(asking.pid(), Signal::CONT).unwrap();
        for prompt in ["Password: ", "Again: "] {
            asking.hears(prompt);
            asking.terminal.write_all(b"a password\n").unwrap();
        }
        assert!(asking.child.wait().unwrap().success());
        assert!(asking.shows());
    }
}
