//! Runs over several hosts, which are processes of this one whose clocks are said to be far from the boss's.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

mod run;
mod stub;

use run::{KEY, Run, Server, command, read, run};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};
use stub::{Faults, Stub};
use tempfile::TempDir;

const SECRET: &str = "a secret of a test that is long enough\n";
const AHEAD_NS: i64 = 3_000_000_000;
const BEHIND_NS: i64 = -2_000_000_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// A process and what it says on standard error.
struct Process {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Process {
    fn start(mut command: std::process::Command) -> Process {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Process { child, lines, said: String::new() }
    }

    /// Waits until it has said this; the line.
    fn says(&mut self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.said += &(line.clone() + "\n");
            if line.contains(words) {
                return line;
            }
        }
        panic!("{words} was not said: {}", self.said)
    }

    /// Waits for its end; the code, standard output and all of standard error.
    fn ends(mut self) -> (Option<i32>, Vec<u8>, String) {
        let mut out = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        let code = self.child.wait().unwrap().code();
        self.said.extend(self.lines.iter().map(|line| line + "\n"));
        (code, out, std::mem::take(&mut self.said))
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run that waits for workers at an address of its own.
struct Waiting {
    boss: Process,
    listen: String,
    folder: TempDir,
}

fn secret(folder: &TempDir, text: &str) -> String {
    let path = folder.path().join(format!("secret{}", text.len()));
    // Written once: others may be reading it.
    if !path.exists() {
        fs::write(&path, text).unwrap();
    }
    path.display().to_string()
}

fn boss(scenario: &str, to: Server, address: &str, workers: u32, arguments: &str) -> Waiting {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), KEY).unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut command = command(scenario, arguments);
    command
        .args(["--url", &format!("ws://{}/ws", to.public), "--internal", &format!("http://{}", to.internal)])
        .args(["--issuer", "issuer.example", "--aud", "school.example", "--key", &path("key"), "--json", &path("report.json")])
        .args(["--listen", &format!("{address}:0"), "--expect-workers", &workers.to_string()])
        .args(["--join-secret", &secret(&folder, SECRET)]);
    let mut boss = Process::start(command);
    let line = boss.says("waiting at ");
    let listen = line.split("waiting at ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    Waiting { boss, listen, folder }
}

impl Waiting {
    fn worker(&self, name: &str, ahead_ns: i64) -> Process {
        let mut command = command("worker", "");
        command
            .args(["--join", &self.listen, "--name", name, "--join-secret", &secret(&self.folder, SECRET)])
            .args(["--clock-offset", &ahead_ns.to_string()]);
        Process::start(command)
    }

    fn ends(self) -> (Run, String) {
        let (code, stdout, said) = self.boss.ends();
        let status = std::os::unix::process::ExitStatusExt::from_raw(code.unwrap_or(255) << 8);
        (read(&self.folder, &std::process::Output { status, stdout, stderr: said.clone().into_bytes() }), said)
    }
}

/// Waits until so many have shown their tokens in a run that goes on.
fn wait_for(waiting: &mut Waiting, stub: &Stub, tokens: usize) {
    let until = Instant::now() + PATIENCE;
    while stub.tokens().len() < tokens {
        let (ended, said) = (waiting.boss.child.try_wait().unwrap(), waiting.boss.lines.try_iter().collect::<Vec<_>>());
        assert!(ended.is_none() && Instant::now() < until, "{} of {tokens}: {ended:?} {said:?}", stub.tokens().len());
        thread::sleep(Duration::from_millis(5));
    }
}

fn host<'a>(run: &'a Run, name: &str) -> &'a Value {
    run.report["hosts"].as_array().unwrap().iter().find(|host| host["name"] == name).unwrap()
}

/// The clocks of both were found as far off as they are, within what is said to be uncertain.
fn assert_clocks(run: &Run) {
    for (name, ahead_ns) in [("north", AHEAD_NS), ("south", BEHIND_NS)] {
        let host = host(run, name);
        let (offset_ns, unsure_ns) = (host["offset_ns"].as_i64().unwrap(), host["uncertainty_ns"].as_u64().unwrap());
        // What is said to be uncertain holds the drift, which would excuse any mistake: a way there and back does not.
        let way_ns = host["round_trip_ns"].as_u64().unwrap();
        assert!(offset_ns.abs_diff(ahead_ns) <= way_ns.min(unsure_ns) / 2 + 1_000, "{host}");
        assert!(unsure_ns < 100_000_000 && host["cores"].as_u64().unwrap() > 0, "{host}");
    }
    let told = run.summary.lines().find(|line| line.trim_start().starts_with("clocks")).unwrap();
    assert!(told.contains("north +3.00 s ± ") && told.contains("south −2.00 s ± "), "{told}");
}

#[test]
fn two_hosts_with_other_clocks_count_and_measure_as_one_process() {
    let (stub, alone) = (Stub::start(Faults::default()), Stub::start(Faults::default()));
    let asked = "--students 30 --classrooms 3 --publish-rate 60 --for 1s --seed 7";
    let waiting = boss("broadcast", stub.server(), "127.0.0.2", 2, asked);
    let workers = [waiting.worker("north", AHEAD_NS), waiting.worker("south", BEHIND_NS)];
    let (joint, said) = waiting.ends();
    joint.assert_clean();
    for worker in workers {
        let (code, _, said) = worker.ends();
        assert_eq!(code, Some(0), "{said}");
    }
    assert!(said.contains("joined from 127.0.0.1:") && !said.contains(SECRET.trim()), "{said}");
    assert_clocks(&joint);

    let single = run("broadcast", alone.server(), asked);
    single.assert_clean();
    let counts =
        ["attempted", "signed_in", "closed", "published", "answered", "owed", "meant", "delivered", "lost", "disordered"];
    for name in counts {
        assert_eq!(joint.count(name), single.count(name), "{name}");
    }
    for measure in ["sign_in", "publish", "delivery", "close", "lag"] {
        assert_eq!(joint.report["latencies"][measure]["count"], single.report["latencies"][measure]["count"], "{measure}");
    }
    assert_eq!(stub.room_sizes(), alone.room_sizes());
    // A clock that is seconds off would show as seconds, or as nothing at all.
    let unsure_ms =
        1e-6 * joint.report["hosts"].as_array().unwrap().iter().map(|host| host["uncertainty_ns"].as_f64().unwrap()).sum::<f64>();
    assert!(joint.ms("delivery", "p50") < 1_900.0, "{}", joint.summary);
    assert!(joint.ms("delivery", "p50") + unsure_ms >= 0.01, "{}", joint.summary);
    assert!(joint.report["series"]["slices"].as_array().unwrap().len() < 200, "{}", joint.summary);
}

#[test]
fn those_who_join_and_those_who_are_here_share_a_run() {
    let stub = Stub::start(Faults::default());
    let waiting = boss("bell", stub.server(), "127.0.0.3", 1, "--students 31 --classrooms 3 --workers 1 --hold 300ms");
    let worker = waiting.worker("north", AHEAD_NS);
    let (run, _) = waiting.ends();
    run.assert_clean();
    assert_eq!((run.count("signed_in"), run.report["asked"]["workers"].as_u64()), (31, Some(2)));
    assert_eq!(worker.ends().0, Some(0));
}

#[test]
fn a_worker_that_dies_fails_the_run_with_its_name_and_ends_the_others() {
    let stub = Stub::start(Faults::default());
    let mut waiting = boss("bell", stub.server(), "127.0.0.2", 2, "--students 20 --classrooms 2 --hold 10m");
    let (mut north, south) = (waiting.worker("north", 0), waiting.worker("south", 0));
    wait_for(&mut waiting, &stub, 20);
    north.kill();
    let (code, out, said) = waiting.boss.ends();
    assert_eq!((code, out.as_slice()), (Some(1), [].as_slice()), "{said}");
    assert!(said.contains("(north, 127.0.0.1) is gone ") && said.contains(" s after the run began, in "), "{said}");
    let (code, _, said) = south.ends();
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn an_interrupted_run_ends_the_work_of_those_who_joined() {
    let stub = Stub::start(Faults::default());
    let mut waiting = boss("bell", stub.server(), "127.0.0.2", 1, "--students 20 --classrooms 2 --hold 10m");
    let north = waiting.worker("north", 0);
    wait_for(&mut waiting, &stub, 20);
    waiting.boss.kill();
    let (code, _, said) = north.ends();
    assert!(code == Some(1) && said.contains("the boss is gone"), "{said}");
}

#[test]
fn strangers_start_nothing_and_keep_nobody_out() {
    let stub = Stub::start(Faults::default());
    let mut waiting = boss("bell", stub.server(), "127.0.0.2", 1, "--students 5 --classrooms 1 --hold 100ms");
    let address: SocketAddr = waiting.listen.parse().unwrap();

    let mut wrong = command("worker", "--name stranger --join");
    wrong.args([waiting.listen.as_str(), "--join-secret", &secret(&waiting.folder, "another secret of a test, as long")]);
    let (code, _, said) = Process::start(wrong).ends();
    assert!(code == Some(1) && said.contains("its secret is another") && !said.contains("as long"), "{said}");
    assert!(waiting.boss.says("was not let in").contains("its secret is another"));

    let silent = TcpStream::connect(address).unwrap();
    let mut loud = TcpStream::connect(address).unwrap();
    loud.write_all(b"\x0bold version").unwrap();
    let refusal = waiting.boss.says("was not let in");
    assert!(refusal.contains("it is old version, this is homeroom-load") && refusal.contains("the same version"), "{refusal}");
    assert!(stub.tokens().is_empty());

    let worker = waiting.worker("north", 0);
    let (run, _) = waiting.ends();
    run.assert_clean();
    assert_eq!((run.count("signed_in"), worker.ends().0), (5, Some(0)));
    drop(silent);
}

#[test]
fn a_crowd_that_says_nothing_makes_room() {
    let stub = Stub::start(Faults::default());
    let waiting = boss("bell", stub.server(), "127.0.0.2", 1, "--students 5 --classrooms 1 --hold 100ms");
    let address: SocketAddr = waiting.listen.parse().unwrap();
    // Twice as many as are heard at once, and a boss that would wait longer for each than a worker waits for the boss.
    let crowd: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
    let worker = waiting.worker("north", 0);
    let (run, said) = waiting.ends();
    run.assert_clean();
    assert_eq!((run.count("signed_in"), worker.ends().0), (5, Some(0)));
    let sent_away = said.lines().filter(|line| line.contains("was not let in")).count();
    assert!(sent_away > 0, "{said}");
    drop(crowd);
}

#[test]
fn a_run_without_its_workers_or_a_secret_says_so() {
    let usage = |arguments: &str| {
        let output = command("bell", arguments).env_remove("HOMEROOM_LOAD_SECRET").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = usage("--students 5 --tokens /dev/null --listen 127.0.0.1:0");
    assert!(code == Some(2) && said.contains("--expect-workers"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), KEY).unwrap();
    let (key, secret) = (folder.path().join("key"), secret(&folder, SECRET));
    let asked =
        format!("--key {} --url ws://127.0.0.1:1/ws --listen 127.0.0.1:0 --expect-workers 1 --expect-within 1s", key.display());
    let (code, said) = usage(&asked);
    assert!(code == Some(2) && said.contains("HOMEROOM_LOAD_SECRET"), "{said}");
    let (code, said) = usage(&format!("{asked} --join-secret {secret}"));
    assert!(code == Some(1) && said.contains("0 of 1 workers joined within 1 s"), "{said}");

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut alone = command("worker", &format!("--join {closed} --wait 0s --join-secret {secret}"));
    let output = alone.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("no run listens there"), "{said}");
}
