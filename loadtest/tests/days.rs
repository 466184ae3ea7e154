//! A whole day against servers whose every fault is known: what is reported must be exactly that.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

#[allow(dead_code, reason = "a day uses its part")]
#[path = "stub/chat/mod.rs"]
mod chat;
#[allow(dead_code, reason = "a day uses its part")]
#[path = "stub/lab/mod.rs"]
mod lab;
#[allow(dead_code, reason = "a day uses its part")]
#[path = "stub/quiz/mod.rs"]
mod quiz;
mod run;
mod stub;
#[allow(dead_code, reason = "a day uses its part")]
#[path = "stub/tasks/mod.rs"]
mod tasks;

use run::{KEY, Reserved, Run, command, read};
use std::{
    fs,
    io::{BufRead, BufReader},
};

/// Two seconds of work: 90 messages in classrooms, 50 answers, 6 messages to an agent, 30 tasks, 50 keys.
const DAY: &str = r#"
    [presence]
    students = 24
    classrooms = 4
    bytes = 256
    [quiz]
    participants = 6
    quizzes = 2
    [chat]
    sessions = 3
    words = 6
    pace = "20ms"
    [tasks]
    users = 3
    sockets = 1
    [labs]
    agents = 2
    sessions = 4
    streams = 1
    stream_bytes = 200000
    [ramp]
    lasting = "500ms"
    [steady]
    lasting = "1s"
    publishes = 40
    answers = 20
    messages = 3
    tasks = 10
    keys = 20
    [storm]
    lasting = "1s"
    returns_within = "500ms"
    publishes = 50
    answers = 30
    messages = 3
    tasks = 20
    keys = 30
    [drain]
    lasting = "500ms"
"#;

#[derive(Default)]
struct Faults {
    presence: stub::Faults,
    tasks: tasks::Faults,
    labs: lab::Faults,
}

fn day(faults: Faults, day: &str, arguments: &str) -> Run {
    let (folder, reserved) = (tempfile::tempdir().unwrap(), Reserved::new());
    let model = reserved.address;
    let presence = stub::Stub::start(faults.presence).server();
    let quiz = quiz::Stub::start(quiz::Faults::default()).server();
    let chat = chat::Stub::start(chat::Faults::default(), model);
    let tasks = tasks::Stub::start(faults.tasks).server();
    let labs = lab::Stub::start(faults.labs).server();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("key"), KEY).unwrap();
    fs::write(path("password"), "open sesame\n").unwrap();
    fs::write(path("day.toml"), day).unwrap();
    let mut command = command("mixed", arguments);
    for part in ["presence", "quiz", "chat", "tasks"] {
        command.arg(format!("--{part}-key")).arg(path("key"));
    }
    command.args(["--issuer", "issuer.example", "--aud", "school.example"]);
    command.args(["--profile", &path("day.toml"), "--json", &path("report.json"), "--html", &path("report.html")]);
    command.args([
        "--presence-url",
        &format!("ws://{}/ws", presence.public),
        "--internal",
        &format!("http://{}", presence.internal),
    ]);
    command.args(["--quiz-url", &format!("ws://{}/ws", quiz.public), "--tasks-url", &format!("ws://{}/ws", tasks.public)]);
    command.args(["--chat-url", &format!("http://{}", chat.address), "--model-listen", &model.to_string()]);
    command.args(["--labs-url", &format!("http://{}", labs.public), "--labs-password", &path("password")]);
    let run = read(&folder, &command.output().unwrap());
    let page = fs::read_to_string(path("report.html")).unwrap();
    assert!(["Phases", ">storm<", "first word", "id=\"raw0\""].iter().all(|part| page.contains(part)), "{}", run.summary);
    run
}

fn count(run: &Run, phase: &str, part: &str, measure: &str) -> u64 {
    run.report["phases"][phase][part][measure]["count"].as_u64().unwrap_or(0)
}

#[test]
fn a_day_goes_through_its_phases_and_every_part_is_proven() {
    let require =
        "--require storm.presence.enter.p99<60s --require steady.quiz.answer.count>0 --require storm.tasks.pending.p50<60s";
    let run = day(Faults::default(), DAY, require);
    run.assert_clean();
    assert_eq!(
        (count(&run, "ramp", "presence", "enter"), count(&run, "storm", "presence", "enter")),
        (24, 20),
        "{}",
        run.summary
    );
    assert_eq!(count(&run, "ramp", "quiz", "start"), 6);
    let both = |part: &str, measure: &str| ["steady", "storm"].map(|phase| count(&run, phase, part, measure));
    assert_eq!((both("chat", "reply"), both("tasks", "pending")), ([3, 3], [10, 20]), "{}", run.summary);
    assert_eq!((count(&run, "ramp", "labs", "watch"), both("labs", "key")), (4, [20, 30]), "{}", run.summary);
    assert!(run.report["lab"]["down_heard"].as_u64().unwrap() > 300_000, "{}", run.summary);
    // What is left of the last round of questions goes on at the rate of the storm. At its beginning a machine may stand still.
    let [steady, storm] = both("quiz", "answer");
    assert!(steady + storm == 54 && (18..=22).contains(&steady), "{steady} {storm}: {}", run.summary);
    assert_eq!(run.report["thresholds"].as_array().unwrap().iter().filter(|one| one["met"] == true).count(), 3);
    let phases = run.report["series"]["phases"].as_array().unwrap();
    let names: Vec<_> = phases.iter().map(|phase| phase["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["ramp", "steady", "storm", "drain"]);
    assert!(phases.windows(2).all(|pair| pair[0]["to_s"] == pair[1]["from_s"]), "{phases:?}");
    let fates = run.report["fates"].as_object().unwrap();
    let sum: u64 = fates.iter().filter(|(name, _)| *name != "meant").map(|(_, count)| count.as_u64().unwrap()).sum();
    // Publishing goes on until the drain begins, which waits for those who are late.
    assert!(run.count("published") >= 90 && fates["meant"].as_u64() == Some(sum), "{}", run.summary);
}

#[test]
fn what_is_lost_in_any_part_fails_the_day() {
    let presence = stub::Faults { drop_delivery_every: 41, ..stub::Faults::default() };
    let tasks = tasks::Faults { unannounced_every: 7, ..tasks::Faults::default() };
    let labs = lab::Faults { flip_every: 20, ..lab::Faults::default() };
    let run = day(Faults { presence, tasks, labs }, DAY, "--timeout 6s");
    run.assert_failed();
    let broken = run.broken_checks();
    for check in [
        "presence: messages that a member who was in did not hear",
        "tasks: pending at all who listen",
        "labs: streams in which something is not as it was sent",
    ] {
        assert!(broken.contains(&check), "{check}: {}", run.summary);
    }
    assert!(!broken.iter().any(|check| check.starts_with("quiz") || check.starts_with("chat")), "{}", run.summary);
}

#[test]
fn who_joins_from_another_host_has_members_of_classrooms() {
    let (folder, stub) = (tempfile::tempdir().unwrap(), stub::Stub::start(stub::Faults::default()));
    let (presence, quiz) = (stub.server(), quiz::Stub::start(quiz::Faults::default()).server());
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("key"), KEY).unwrap();
    fs::write(path("secret"), "a secret of a test that is long enough\n").unwrap();
    let only = |table: &str| !["chat", "tasks", "labs"].contains(&table);
    let of_both: String =
        DAY.split("    [").filter(|part| only(part.split(']').next().unwrap())).map(|part| format!("    [{part}")).collect();
    let of_both =
        of_both.replacen("    [\n", "", 1).replace("messages = 3\n", "").replace("tasks = 10\n", "").replace("tasks = 20\n", "");
    fs::write(path("day.toml"), of_both.replace("keys = 20\n", "").replace("keys = 30\n", "")).unwrap();
    let mut boss = command("mixed", "--listen 127.0.0.1:0 --expect-workers 2");
    boss.args(["--profile", &path("day.toml"), "--json", &path("report.json"), "--join-secret", &path("secret")]);
    boss.args([
        "--presence-key",
        &path("key"),
        "--quiz-key",
        &path("key"),
        "--issuer",
        "issuer.example",
        "--aud",
        "school.example",
    ]);
    boss.args([
        "--presence-url",
        &format!("ws://{}/ws", presence.public),
        "--internal",
        &format!("http://{}", presence.internal),
    ]);
    boss.args(["--quiz-url", &format!("ws://{}/ws", quiz.public)]);
    let mut boss = boss.spawn().unwrap();
    let mut said = BufReader::new(boss.stderr.take().unwrap()).lines();
    let line = said.find_map(|line| line.ok().filter(|line| line.contains("waiting at "))).unwrap();
    let listen = line.split("waiting at ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let drained = std::thread::spawn(move || said.map_while(Result::ok).collect::<Vec<_>>());
    let workers = [("north", "3000000000"), ("south", "-2000000000")].map(|(name, ahead)| {
        let mut worker = command("worker", "");
        worker.args(["--join", &listen, "--name", name, "--join-secret", &path("secret"), "--clock-offset", ahead]);
        worker.spawn().unwrap()
    });
    let output = boss.wait_with_output().unwrap();
    let told = drained.join().unwrap();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let run = read(&folder, &output);
    run.assert_clean();
    assert!(told.iter().any(|line| line.contains("joined from 127.0.0.1:")), "{told:?}");
    assert_eq!(run.report["hosts"].as_array().unwrap().len(), 2, "{}", run.summary);
    assert_eq!((count(&run, "ramp", "presence", "enter"), count(&run, "ramp", "quiz", "start")), (24, 6), "{}", run.summary);
}

#[test]
fn nobody_is_waited_for_who_would_have_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.toml");
    fs::write(
        &path,
        DAY.replace("[presence]\n    students = 24\n    classrooms = 4\n    bytes = 256", "")
            .replace("publishes = 40", "")
            .replace("publishes = 50", ""),
    )
    .unwrap();
    let output =
        command("mixed", &format!("--profile {} --listen 127.0.0.1:0 --expect-workers 1", path.display())).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && told.contains("--listen"), "{told}");
}

#[test]
fn a_profile_that_is_wrong_is_told_with_its_line_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.toml");
    fs::write(&path, DAY.replace("students = 24", "students = 0")).unwrap();
    let said = |arguments: &str| {
        let output = command("mixed", arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = said(&format!("--profile {}", path.display()));
    assert!(code == Some(2) && told.contains("day.toml:3: students = 0: allowed is from 2 to 1000000"), "{told}");
    let (code, printed) = said("--print small");
    assert!(code == Some(0) && printed.contains("[storm]"), "{printed}");
    let (code, told) = said("--print large");
    assert!(code == Some(2) && told.contains("small, district"), "{told}");
}
