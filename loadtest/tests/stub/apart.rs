//! A stub in a process of its own, which can be stopped.

use crate::run::Server;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// In the environment of a test program that is to be such a stub.
const STUB: &str = "HOMEROOM_LOAD_STUB";

/// The process; it ends with this.
pub(crate) struct Apart {
    child: Child,
    pub(crate) server: Server,
}

impl Apart {
    /// Runs this test program once more, with nothing but its test of that name. It must call [`serve`].
    pub(crate) fn start(test: &str) -> Apart {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(STUB, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let addresses = lines.map(Result::unwrap).find_map(|line| Some(line.strip_prefix("stub at ")?.to_owned())).unwrap();
        let (public, internal) = addresses.split_once(' ').unwrap();
        let server = Server { public: public.parse().unwrap(), internal: internal.parse().unwrap() };
        Apart { child, server }
    }

    /// How many events were published so far.
    pub(crate) fn published(&self) -> u64 {
        let mut stream = TcpStream::connect(self.server.internal).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().find_map(|line| line.strip_prefix("stub_published_total ")?.parse().ok()).unwrap()
    }

    /// Stops it for so long, and not for less.
    pub(crate) fn stop_for(&self, time: Duration) {
        self.signal(Signal::STOP);
        thread::sleep(time);
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a process that [`Apart::start`] started: tells where the stub is, and ends when nobody holds its standard input. Elsewhere nothing.
pub(crate) fn serve(start: impl FnOnce() -> Server) {
    if std::env::var_os(STUB).is_some() {
        let server = start();
        println!("\nstub at {} {}", server.public, server.internal);
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    }
}
