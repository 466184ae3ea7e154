//! The live view in a terminal that `script` (util-linux) makes: it comes, it goes, and it leaves the terminal as it was.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

mod run;
mod stub;

use run::KEY;
use rustix::termios::{Action, tcflow};
use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use stub::{Faults, Stub};

const ENTERED: &str = "\x1b[?1049h";
const PATIENCE: Duration = Duration::from_secs(120);
const LEFT: &str = "\x1b[?1049l";

/// A shell in a terminal of 80 × 24: it notes the terminal's modes before the run and after it, and how the run ended.
struct Shell {
    child: Child,
    folder: tempfile::TempDir,
}

impl Shell {
    fn start(stub: &Stub, arguments: &str) -> Shell {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), KEY).unwrap();
        let (program, place) = (env!("CARGO_BIN_EXE_homeroom-load"), folder.path().display());
        // The trap is for Ctrl-C, which all processes of the terminal hear: the shell goes on.
        let told = format!(
            "trap : INT; stty rows 24 cols 80; stty -g > {place}/before; \
             sh -c 'echo $$ > {place}/pid; \
             exec {program} {arguments} --url ws://{}/ws --issuer i.example --aud a.example --key {place}/key'; \
             echo $? > {place}/code; stty -g > {place}/after",
            stub.address
        );
        let mut command = Command::new("script");
        command.args(["-qfc", &told, "/dev/null"]).env("TERM", "xterm-256color").env("SHELL", "/bin/sh").env_remove("NO_COLOR");
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Shell { child, folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Presses keys when everybody is in.
    fn press(&mut self, keys: &str, stub: &Stub, students: usize) {
        wait_until("everybody is in", || stub.tokens().len() == students);
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    fn pid(&self) -> i32 {
        fs::read_to_string(self.path("pid")).unwrap().trim().parse().unwrap()
    }

    /// All that came on the screen, and how the run ended. The terminal's modes must be what they were.
    fn end(mut self) -> (String, String) {
        let mut screen = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut screen).unwrap();
        self.child.wait().unwrap();
        let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let screen = String::from_utf8_lossy(&screen).into_owned();
        let (before, after) = (text(&self.path("before")), text(&self.path("after")));
        assert!(!before.is_empty() && before == after, "{before} is not {after}: {screen}");
        (screen, text(&self.path("code")).trim().to_owned())
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "it never came true that {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What came before the view, in it, and after it.
fn parts(screen: &str) -> (&str, &str, &str) {
    let (before, rest) = screen.split_once(ENTERED).unwrap_or_else(|| panic!("no view came: {screen:?}"));
    let (shown, after) = rest.rsplit_once(LEFT).unwrap_or_else(|| panic!("the view stays: {screen:?}"));
    (before, shown, after)
}

#[test]
fn the_view_comes_and_goes_and_leaves_the_summary() {
    let stub = Stub::start(Faults::default());
    let (screen, code) = Shell::start(&stub, "bell --students 20 --classrooms 2 --hold 1500ms").end();
    let (_, shown, after) = parts(&screen);
    assert!(shown.contains("homeroom-load bell") && shown.contains("holding"), "{shown:?}");
    assert!(after.contains("bell: 20 students") && matches!(code.as_str(), "0" | "3"), "{code}: {after:?}");
    assert!(after.lines().count() <= 26 && after.contains("\x1b[?25h"), "{after:?}");
}

#[test]
fn lines_are_told_where_they_are_asked_for() {
    let stub = Stub::start(Faults::default());
    let (screen, _) = Shell::start(&stub, "bell --students 20 --classrooms 2 --hold 2500ms --plain").end();
    assert!(!screen.contains(ENTERED) && screen.contains("   holding") && screen.contains("bell: 20 students"), "{screen:?}");
}

#[test]
fn keys_and_signals_end_the_run_and_give_the_terminal_back() {
    for (keys, ended) in [("q", "130"), ("\x03", "130"), ("", "143")] {
        let stub = Stub::start(Faults::default());
        let mut shell = Shell::start(&stub, "bell --students 20 --classrooms 2 --hold 10m");
        shell.press(keys, &stub, 20);
        if keys.is_empty() {
            let pid = rustix::process::Pid::from_raw(shell.pid()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
        let (screen, code) = shell.end();
        let (_, _, after) = parts(&screen);
        assert!(code == ended && after.contains("interrupted"), "{code}: {screen:?}");
    }
}

#[test]
fn a_terminal_that_takes_nothing_holds_nobody_up() {
    let stub = Stub::start(Faults::default());
    let shell = Shell::start(&stub, "bell --students 20 --classrooms 2 --hold 2s");
    wait_until("everybody is in", || stub.tokens().len() == 20);
    let terminal = fs::File::open(format!("/proc/{}/fd/2", shell.pid())).unwrap();
    tcflow(&terminal, Action::OOff).unwrap();
    wait_until("everybody has left", || stub.live() == 0);
    tcflow(&terminal, Action::OOn).unwrap();
    let (screen, code) = shell.end();
    assert!(matches!(code.as_str(), "0" | "3"), "{code}: {screen:?}");
}
