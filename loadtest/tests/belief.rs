//! Whether what a run says can be believed: of a server that stood still, of a way that became longer, of a generator that could not keep
//! its schedule, and of how far two runs of the same may differ.
//!
//! A busy machine makes everything later and nothing earlier. So what is asserted here of times are lower bounds, or the least of many.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

mod run;
mod stub;

use run::{Run, Server, command, read, run, start};
use rustix::{
    process::{Resource, Rlimit, getrlimit, nice, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};
use stub::{
    Faults, Stub,
    apart::{self, Apart},
};

/// What other tests stop: no test where nobody asks for it.
#[test]
fn a_stub_in_a_process_of_its_own() {
    let mut kept = None;
    apart::serve(|| kept.insert(Stub::start(Faults::default())).server());
}

/// In an open loop, what was meant while the server stood still waited for the rest of that time. Of `lasting` seconds at an even rate,
/// with a stop of five in them, the share (5 - x) / lasting took longer than x seconds, for every x; so the quantile that leaves the share
/// s above it is at least 5 - s · lasting. A generator that waits for its answers would have sent next to nothing meanwhile, and shown a
/// single late one. The stop is somewhere in the run: what it makes late is the same everywhere but at the very end.
#[test]
fn a_server_that_stood_still_for_five_seconds_shows_in_the_tail() {
    let (stop_s, lasting_s, rate) = (5.0, 12.0, 100.0);
    let (apart, folder) = (Apart::start("a_stub_in_a_process_of_its_own"), tempfile::tempdir().unwrap());
    let asked = "--students 4 --classrooms 2 --publish-rate 100 --for 12s --timeout 60s";
    let boss = start(&folder, "broadcast", apart.server, asked);
    while apart.published() < 50 {
        thread::sleep(Duration::from_millis(5));
    }
    apart.stop_for(Duration::from_secs_f64(stop_s));
    let run = read(&folder, &boss.wait_with_output().unwrap());
    run.assert_clean();
    assert_eq!((run.count("published"), run.count("delivered")), (1_200, 2_400), "{}", run.summary);
    assert!(run.report["server"]["generator_cpu_ratio"].as_f64().unwrap() > 0.0, "{}", run.summary);
    for (quantile, share) in [("p90", 0.1), ("p99", 0.01), ("p999", 0.001)] {
        let least_s = stop_s - share * lasting_s - 0.1;
        assert!(run.ms("delivery", quantile) >= least_s * 1e3, "{quantile} is below {least_s} s:\n{}", run.summary);
    }
    assert!(run.ms("delivery", "max") >= 4_900.0, "{}", run.summary);
    for late_s in [1.0, 2.0, 3.0, 4.0] {
        let (later, owed) = (above(&run, late_s), 2.0 * rate * (stop_s - late_s));
        assert!(later as f64 >= 0.95 * owed, "{later} of {owed} took longer than {late_s} s:\n{}", run.summary);
    }
}

/// How many deliveries took longer.
fn above(run: &Run, seconds: f64) -> u64 {
    let buckets = run.report["latencies"]["delivery"]["buckets"].as_array().unwrap().iter();
    buckets.filter(|bucket| bucket[0].as_f64().unwrap() >= seconds * 1e9).map(|bucket| bucket[1].as_u64().unwrap()).sum()
}

/// Passes connections on; what comes back from the server is as late as this says, byte for byte and in order.
fn proxy(to: SocketAddr, late: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(to).unwrap();
            let (up, back) = ((client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client));
            [&up.0, &up.1].iter().for_each(|stream| stream.set_nodelay(true).unwrap());
            thread::spawn(move || pass_on(up.0, up.1, Duration::ZERO));
            thread::spawn(move || pass_on(back.0, back.1, late));
        }
    });
    address
}

fn pass_on(mut from: TcpStream, to: TcpStream, late: Duration) {
    let (sender, due) = channel();
    thread::spawn(move || write_when_due(&due, to));
    let mut buffer = [0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if sender.send((Instant::now() + late, buffer[..read].to_vec())).is_err() {
            return;
        }
    }
}

fn write_when_due(due: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    // Otherwise timers fire 50 µs late.
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1_000)).unwrap();
    for (moment, bytes) in due {
        thread::sleep(moment.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// The promise: a way that is 10 ms longer makes each latency 10 ms longer, no more and no less. Here both runs go through the same proxy,
/// so that its own cost is in both. Medians tell that on a quiet machine; on a busy one they also tell whom the scheduler let wait in which
/// run. The least latency of a run has waited for nobody: waiting only adds. So the least of both are held against each other, over as
/// many pairs of runs as it takes until either has had one delivery that nothing held up. A harness that adds or loses 0.3 ms of the way
/// would never get there.
#[test]
fn a_way_that_is_ten_milliseconds_longer_shows_as_ten_milliseconds() {
    let least = |late: Duration| {
        let stub = Stub::start(Faults::default());
        let through = Server { public: proxy(stub.address, late), internal: stub.internal };
        let run = run("broadcast", through, "--students 2 --classrooms 1 --publish-rate 200 --for 1s");
        run.assert_clean();
        assert_eq!(run.count("delivered"), 400, "{}", run.summary);
        (run.ms("delivery", "min"), run.ms("delivery", "p50"))
    };
    let (mut near, mut far, mut seen) = (f64::MAX, f64::MAX, Vec::new());
    for _ in 0..12 {
        let (short, long) = (least(Duration::ZERO), least(Duration::from_millis(10)));
        // However busy the machine, nothing comes before its time.
        assert!(long.0 >= 9.99 && long.1 >= 9.99, "{long:?}");
        (near, far) = (near.min(short.0), far.min(long.0));
        seen.push((short, long));
        if (far - near - 10.0).abs() <= 0.3 {
            return;
        }
    }
    panic!("{:.3} ms, not 10 ± 0.3; least and median, without and with it: {seen:?}", far - near);
}

fn assert_starved(run: &Run) {
    assert_eq!((run.code, &run.report["verdict"]["outcome"]), (3, &"not_believed".into()), "{}", run.summary);
    assert!(run.summary.contains("NOT TO BE BELIEVED") && run.ms("lag", "p99") > 10.0, "{}", run.summary);
}

/// 1,500 sign-ins are meant within 1.5 ms: no CPU begins so many so fast.
#[test]
fn a_rate_that_the_generator_cannot_keep_is_not_believed() {
    // The stub has two descriptors for each of them.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum }).unwrap();
    let stub = Stub::start(Faults::default());
    let run = run("bell", stub.server(), "--students 1500 --classrooms 50 --hold 0ms --rate 1000000");
    assert_starved(&run);
    assert_eq!(run.count("attempted"), 1_500, "{}", run.summary);
}

/// Threads that let nothing else have much of one core while this lives.
struct Burners {
    burn: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Burners {
    fn start(core: &CpuSet) -> Burners {
        let burn = Arc::new(AtomicBool::new(true));
        let burner = |_| {
            let (burn, core) = (Arc::clone(&burn), *core);
            thread::spawn(move || {
                sched_setaffinity(None, &core).unwrap();
                while burn.load(Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..4).map(burner).collect();
        Burners { burn, threads }
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.burn.store(false, Relaxed);
        self.threads.drain(..).for_each(|burner| burner.join().unwrap());
    }
}

/// The first core that this process may use.
fn one_core() -> CpuSet {
    let all = sched_getaffinity(None).unwrap();
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).find(|core| all.is_set(*core)).unwrap());
    one
}

/// The worker has the lowest priority on a core that four others want: it gets a few thousandths of it, and the schedule asks for more.
#[test]
fn a_generator_without_a_core_is_not_believed() {
    let (stub, folder, core) = (Stub::start(Faults::default()), tempfile::tempdir().unwrap(), one_core());
    let server = stub.server();
    let lowly = thread::scope(|scope| {
        // What a thread starts is where the thread is, and as lowly.
        let start = || {
            sched_setaffinity(None, &core).unwrap();
            nice(19).unwrap();
            start(&folder, "bell", server, "--students 400 --classrooms 4 --hold 0ms --rate 400")
        };
        scope.spawn(start).join().unwrap()
    });
    while stub.tokens().len() < 10 {
        thread::sleep(Duration::from_millis(1));
    }
    let burners = Burners::start(&core);
    // Twice as long as the schedule.
    thread::sleep(Duration::from_secs(2));
    drop(burners);
    assert_starved(&read(&folder, &lowly.wait_with_output().unwrap()));
}

/// The ± that a report states is for 95 of 100 pairs of runs. Whether it is, a unit test asks of hundreds; here it is asked of real ones,
/// whose scatter is the machine's own. One pair in which a busy machine was kinder to one of them says nothing: of twelve, one must agree,
/// as they all would not if the ± were too small by much. And what differs by more than that is told.
#[test]
fn the_same_run_twice_agrees_within_its_stated_spread_and_another_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let report = |name: &str, delay_ms: u64| {
        let stub = Stub::start(Faults {
            delay: Duration::from_millis(delay_ms),
            jitter: Duration::from_millis(20),
            ..Faults::default()
        });
        let child = start(&folder, "bell", stub.server(), "--students 240 --classrooms 4 --hold 0ms --rate 120");
        let run = read(&folder, &child.wait_with_output().unwrap());
        run.assert_clean();
        // A machine that stood still has put all into too few slices to tell.
        let spread = run.report["spreads"]["sign_in.p50"].as_f64().map(|ns| ns / 1e6);
        let median = run.ms("sign_in", "p50");
        fs::rename(path("report.json"), path(name)).unwrap();
        (median, spread)
    };
    let compared = |a: &str, b: &str| {
        let output = command("compare", &format!("{} {}", path(a), path(b))).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let mut lines = said.lines().skip_while(|line| !line.starts_with("sign_in.p50"));
        lines.nth(1).unwrap().to_owned()
    };
    let mut last = report("0.json", 20);
    let agrees = (1..=12).any(|number: u32| {
        let one = report(&format!("{number}.json"), 20);
        let agrees = one.1.zip(last.1).is_some_and(|(own, lasts)| (one.0 - last.0).abs() <= own.hypot(lasts));
        let told = compared(&format!("{}.json", number - 1), &format!("{number}.json"));
        assert_eq!(told.contains("no difference that can be told"), agrees, "{one:?} {last:?} {told}");
        last = one;
        agrees
    });
    assert!(agrees, "no pair of runs agrees; the last: {last:?}");
    // Two seconds more are more than any machine's scatter hides for long.
    report("slow.json", 2_000);
    let told = compared("0.json", "slow.json");
    assert!(told.contains('+') && !told.contains("no difference that can be told"), "{told}");
}
