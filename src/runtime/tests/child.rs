//! A process of its own that is ended: by signals, by a panic, by nothing left to open.

use super::{
    super::{StopSignals, boot::PANIC_CODE, echo::plan_at, end_process_on_panic},
    *,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    process,
};

/// This test binary as a server of its own, which serves until it is stopped.
struct Child(process::Child, SocketAddr);

fn number(variable: &str) -> Option<u16> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Serves the echo engine until it is stopped.
fn serve(port: u16) {
    end_process_on_panic();
    let signals = StopSignals::caught().unwrap();
    let running = echo_on(&plan_at(SocketAddr::from(([127, 0, 0, 1], port)), 1));
    let drain = Duration::from_millis(number("DRAIN_MS").unwrap_or(50).into());
    running.stop_on(&signals, StopTimes { drain, ..QUICK });
    let stage = running.stage().clone();
    let is_fenced = number("FENCED").is_some();
    if is_fenced {
        // As a node that was taken for dead: nobody has asked it to.
        thread::spawn(move || stage.stop(StopTimes { drain, ..QUICK }));
    }
    println!("\n{LISTENING}{}", address(&running));
    running.join().unwrap();
    while is_fenced && !signals.rest() {
        thread::sleep(Duration::from_secs(3600));
    }
    process::exit(0);
}

/// What a child says before its address.
const LISTENING: &str = "listening on ";

impl Child {
    fn start(open_files: u32, drain: Duration) -> Child {
        Child::start_with(open_files, drain, None)
    }

    fn start_with(open_files: u32, drain: Duration, more: Option<(&str, &str)>) -> Child {
        let own = std::env::current_exe().unwrap();
        let command = format!(
            "ulimit -n {open_files}; exec '{}' runtime::tests::child::sigterm_ends_well --exact --nocapture",
            own.display()
        );
        let mut shell = process::Command::new("sh");
        shell.args(["-c", &command]).env("PORT", "0").env("DRAIN_MS", drain.as_millis().to_string()).envs(more);
        let mut child = shell.stdout(process::Stdio::piped()).stderr(process::Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find_map(|line| line.strip_prefix(LISTENING)?.parse().ok()).unwrap();
        Child(child, address)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.1).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sigterm_drains_and_a_second_one_ends_at_once() {
    let mut child = Child::start(1000, Duration::from_secs(60));
    let mut stream = child.connect();
    assert_eq!(there_and_back(&mut stream, b"hello"), b"hello");
    child.terminate();
    let mut late = child.connect();
    assert_eq!(there_and_back(&mut late, b"still served"), b"still served");
    // Signals that come before the first was heard are one, so it may take more than two.
    let mut code = None;
    until("ended at once", || {
        child.terminate();
        code = child.0.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(128 + 15));
}

#[test]
fn a_node_that_is_told_to_stop_while_it_ends_as_one_taken_for_dead_does_not_come_back() {
    let mut child = Child::start_with(1000, Duration::from_secs(60), Some(("FENCED", "1")));
    let mut stream = child.connect();
    assert_eq!(there_and_back(&mut stream, b"hello"), b"hello");
    child.terminate();
    assert_eq!(there_and_back(&mut stream, b"still served"), b"still served");
    drop(stream);
    let mut code = None;
    until("ended", || {
        code = child.0.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(0));
}

/// With `PORT` it is the child that such tests start: `PORT=9000 cargo test --release --lib runtime::tests::child::sigterm_ends_well`
/// serves the echo engine, the counterpart of the yardstick in `perf/bare`.
#[test]
fn sigterm_ends_well() {
    if let Some(port) = number("PORT") {
        return serve(port);
    }
    let mut child = Child::start(1000, Duration::from_millis(50));
    let mut stream = child.connect();
    assert_eq!(there_and_back(&mut stream, b"hello"), b"hello");
    child.terminate();
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_panic_on_a_shard_ends_the_process() {
    let mut child = Child::start(1000, Duration::from_secs(60));
    child.connect().write_all(b"PANIC").unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(i32::from(PANIC_CODE)));
}

#[test]
fn without_descriptors_peers_are_turned_away_and_it_goes_on_when_there_are_some() {
    let child = Child::start(80, Duration::from_millis(50));
    let mut streams: Vec<_> = (0..200).map(|_| child.connect()).collect();
    let served = |stream: &mut TcpStream| stream.write_all(b"x").is_ok() && stream.read(&mut [0]).is_ok_and(|count| count == 1);
    let (kept, away): (Vec<_>, Vec<_>) =
        streams.drain(..).map(|mut stream| (served(&mut stream), stream)).partition(|(ok, _)| *ok);
    assert!(kept.len() > 20 && away.len() > 100, "{} served and {} turned away", kept.len(), away.len());
    drop((kept, away));
    until("served again", || served(&mut child.connect()));
}
