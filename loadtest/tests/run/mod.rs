//! Runs of the program: how they are begun, and what they left.

#![allow(dead_code, reason = "each test uses its part")]

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
use serde_json::Value;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    process::{Child, Command, Output, Stdio},
};

/// The key that the tokens of a run are made of.
pub(crate) const KEY: &str = "a secret of a test, long enough for HS256\n";

/// Where a stub listens.
#[derive(Clone, Copy)]
pub(crate) struct Server {
    pub(crate) public: SocketAddr,
    pub(crate) internal: SocketAddr,
}

/// An address that is nobody else's as long as this lives: nobody listens there, but a program that is told to may.
pub(crate) struct Reserved {
    pub(crate) address: SocketAddr,
    /// Bound and not listening: the kernel gives its port to nobody, but to a listener that asks for this very one.
    _holder: OwnedFd,
}

impl Reserved {
    pub(crate) fn new() -> Reserved {
        let holder = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseaddr(&holder, true).unwrap();
        bind(&holder, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = getsockname(&holder).unwrap().try_into().unwrap();
        Reserved { address, _holder: holder }
    }
}

/// One run of the program, and what it wrote.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) summary: String,
    pub(crate) report: Value,
}

impl Run {
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.report["counts"][name].as_u64().unwrap()
    }

    pub(crate) fn ms(&self, measure: &str, figure: &str) -> f64 {
        self.report["latencies"][measure][figure].as_f64().unwrap() / 1e6
    }

    pub(crate) fn faults(&self) -> &Value {
        &self.report["faults"]
    }

    pub(crate) fn broken_checks(&self) -> Vec<&str> {
        let checks = self.report["checks"].as_array().unwrap();
        checks.iter().filter(|check| check["expected"] != check["found"]).map(|check| check["what"].as_str().unwrap()).collect()
    }

    /// All went well. On a machine that is busy with other things the harness may rightly say that it had no CPU; its counts
    /// stand all the same.
    pub(crate) fn assert_clean(&self) {
        assert_eq!((self.faults(), self.broken_checks()), (&serde_json::json!({}), vec![]), "{}", self.summary);
        assert!(matches!(self.code, 0 | 3), "{}", self.summary);
        assert_eq!(self.code == 3, self.report["verdict"]["outcome"] == "not_believed");
        assert!(self.summary.lines().count() <= 25, "{}", self.summary);
    }

    pub(crate) fn assert_failed(&self) {
        assert!(matches!(self.code, 1 | 3), "{}", self.summary);
        assert!(self.summary.lines().count() <= 25, "{}", self.summary);
    }
}

pub(crate) fn command(scenario: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homeroom-load"));
    command.arg(scenario).args(arguments.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn start(folder: &tempfile::TempDir, scenario: &str, to: Server, arguments: &str) -> Child {
    start_with(folder, scenario, to, arguments, &[])
}

/// The same with more arguments, which may have spaces in them.
pub(crate) fn start_with(folder: &tempfile::TempDir, scenario: &str, to: Server, arguments: &str, more: &[String]) -> Child {
    let key = folder.path().join("key");
    fs::write(&key, KEY).unwrap();
    command(scenario, arguments)
        .args(more)
        .args(["--url", &format!("ws://{}/ws", to.public), "--internal", &format!("http://{}", to.internal)])
        .args(["--issuer", "issuer.example", "--aud", "school.example", "--key"])
        .arg(&key)
        .arg("--json")
        .arg(folder.path().join("report.json"))
        .spawn()
        .unwrap()
}

pub(crate) fn read(folder: &tempfile::TempDir, output: &Output) -> Run {
    let report =
        fs::read(folder.path().join("report.json")).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    Run {
        code: output.status.code().unwrap(),
        summary: String::from_utf8(output.stdout.clone()).unwrap(),
        report: serde_json::from_slice(&report).unwrap(),
    }
}

pub(crate) fn run(scenario: &str, to: Server, arguments: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let output = start(&folder, scenario, to, arguments).wait_with_output().unwrap();
    read(&folder, &output)
}
