//! What a session costs the store: one enter and one leave, in batches of hundreds, over a day's history of a school. And what an answer
//! costs: any of 15,000 attempts that run at 500 quizzes. And what it takes to read pages of long lists.
//!
//! Two figures for each: time by the wall (what a shard waits for includes the disk) and CPU of the store's thread (what is bought with
//! the core), the latter from `/proc/self/task/*/schedstat`.

mod brisk;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use homeroom::{
    protocols::{
        labs::{
            self,
            model::State,
            record::{SessionFilter, SortBy},
        },
        presence::record::{Entering, Leaving},
        quiz::{
            model::{AccessType, Availability, Given, Grade, QuizId, Reason, Rules, SubmissionMode},
            record::{Answered, AttemptFilter, Closed, NewQuiz, Page, Record, Started},
        },
    },
    realtime::{NodeSlot, ShardId, UnixMicros},
    store::{Answer, PostgresStore, Settings, Sink, SqliteStore, Store, Ticket, postgres},
};
use std::{
    env, fs,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};
use uuid::Uuid;

const STUDENTS: u64 = 15_000;
const CLASSROOMS: u64 = 500;
const PATIENCE: Duration = Duration::from_secs(30);

struct Channel(mpsc::Sender<Answer>);

impl Sink for Channel {
    fn post(&self, answers: &mut Vec<Answer>) {
        for answer in answers.drain(..) {
            // The last answers may find nobody.
            let _ = self.0.send(answer);
        }
    }
}

/// A store beside the build, not in a temporary folder that may be memory; or in the PostgreSQL database that `BENCH_DATABASE` names, whose
/// tables are gone first.
fn open() -> (Box<dyn Store>, mpsc::Receiver<Answer>, tempfile::TempDir) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (tell, answers) = mpsc::channel();
    let sink = Box::new(Channel(tell));
    if let Ok(url) = env::var("BENCH_DATABASE") {
        empty(&url);
        let settings = postgres::Settings::new(&url, None).expect("an address");
        return (Box::new(PostgresStore::open(settings, sink).expect("a store")), answers, folder);
    }
    let store = SqliteStore::open(Settings::new(folder.path()), sink).expect("a store");
    (Box::new(store), answers, folder)
}

fn empty(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a database");
        tokio::spawn(connection);
        client.batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await.expect("its owner");
    });
}

struct School {
    store: Box<dyn Store>,
    answers: mpsc::Receiver<Answer>,
    agents: Vec<Arc<str>>,
    at: i64,
    next: u64,
    _folder: tempfile::TempDir,
}

impl School {
    /// A store with `present` sessions that stay.
    fn open(present: u64) -> School {
        let (store, answers, folder) = open();
        let agents = (0..STUDENTS * 2).map(|n| format!("web.student-{n:08}.dev.usr.example.org").into()).collect();
        let mut school = School { store, answers, agents, at: 1_790_000_000_000_000, next: 0, _folder: folder };
        for student in 0..present {
            school.enter(STUDENTS + student);
        }
        school.wait(present);
        school
    }

    fn enter(&mut self, student: u64) {
        self.at += 80;
        let entering = Entering {
            classroom: Uuid::from_u128(u128::from(student % CLASSROOMS) << 64 | 0x7777),
            agent_id: Arc::clone(&self.agents[student as usize]),
            at: UnixMicros(self.at),
            node: NodeSlot::default(),
            session: None,
        };
        self.store.enter(Ticket { shard: ShardId(0), token: student }, entering).expect("room in the queue");
    }

    fn wait(&self, answers: u64) -> Vec<i64> {
        let answer = || match self.answers.recv_timeout(PATIENCE).expect("an answer") {
            Answer::Entered(entered) => entered.result.expect("a row"),
            Answer::Kept { .. } | Answer::LabsKept { .. } | Answer::ChatKept { .. } | Answer::TasksKept { .. } => {
                unreachable!("no record was asked for")
            }
        };
        (0..answers).map(|_| answer()).collect()
    }

    /// `pairs` sessions begin and end, `batch` at a time: while some begin, those before them end.
    fn bell(&mut self, pairs: u64, batch: u64) {
        let mut gone = Vec::new();
        let mut left = pairs;
        while left > 0 {
            let now = batch.min(left);
            for session in gone.drain(..) {
                self.at += 1;
                self.store.leave(Leaving { session, at: UnixMicros(self.at) });
            }
            for _ in 0..now {
                // 7,919 is prime: neighbours in time are not neighbours in a room.
                self.enter(self.next * 7_919 % STUDENTS);
                self.next += 1;
            }
            gone = self.wait(now);
            left -= now;
        }
        gone.into_iter().for_each(|session| self.store.leave(Leaving { session, at: UnixMicros(self.at) }));
        self.store.flush(PATIENCE).expect("on disk");
    }
}

/// Attempts that run, and answers to their questions.
struct Exam {
    store: Box<dyn Store>,
    answers: mpsc::Receiver<Answer>,
    next: u64,
    _folder: tempfile::TempDir,
}

impl Exam {
    fn open() -> Exam {
        let (store, answers, folder) = open();
        let exam = Exam { store, answers, next: 0, _folder: folder };
        (0..CLASSROOMS).for_each(|_| exam.keep(new_quiz()));
        (0..STUDENTS).for_each(|student| exam.keep(started(student, CLASSROOMS)));
        exam.wait(CLASSROOMS + STUDENTS);
        exam
    }

    fn keep(&self, record: Record) {
        self.store.keep(Ticket { shard: ShardId(0), token: 0 }, record).expect("room in the queue");
    }

    fn wait(&self, answers: u64) {
        for _ in 0..answers {
            match self.answers.recv_timeout(PATIENCE).expect("an answer") {
                Answer::Kept { result, .. } => drop(result.expect("on disk")),
                Answer::Entered(_) | Answer::LabsKept { .. } | Answer::ChatKept { .. } | Answer::TasksKept { .. } => {
                    unreachable!("no answer was given")
                }
            }
        }
    }

    /// So many answers, `batch` at a time.
    fn answer(&mut self, count: u64, batch: u64) {
        let mut left = count;
        while left > 0 {
            let now = batch.min(left);
            for _ in 0..now {
                self.keep(answered(self.next));
                self.next += 1;
            }
            self.wait(now);
            left -= now;
        }
    }
}

fn new_quiz() -> Record {
    let rules = Rules {
        title: "a quiz".into(),
        access_type: AccessType::Public,
        availability: Availability::Always,
        opens_at: None,
        closes_at: None,
        time_limit_seconds: 0,
        max_attempts: 0,
        submission_mode: SubmissionMode::Immediate,
        client_only: false,
    };
    Record::NewQuiz(Box::new(NewQuiz { owner: "school.local/ada".into(), rules, access_code: "code".into(), at: UnixMicros(1) }))
}

fn started(student: u64, quizzes: u64) -> Record {
    Record::Started(Box::new(Started {
        attempt: Uuid::from_u128(u128::from(student) << 64 | 0xA77E),
        quiz: QuizId(1 + (student % quizzes) as i64),
        owner: "school.local/ada".into(),
        participant: Uuid::from_u128(u128::from(student) << 64 | 0x57D0),
        new_participant: true,
        alias: "Ada Lovelace".into(),
        event: None,
        started_at: UnixMicros(1_790_000_000_000_000 + student as i64),
        deadline: None,
    }))
}

fn closed(student: u64) -> Record {
    Record::Closed(Closed {
        attempt: Uuid::from_u128(u128::from(student) << 64 | 0xA77E),
        reason: Reason::Submitted,
        at: UnixMicros(1_790_000_500_000_000 + student as i64 * 7_919 % 1_000_000),
        score: (student * 31 % 400) as f64,
        answered_count: 0,
    })
}

/// Neighbours in time are not neighbours in a quiz; each attempt has its forty questions answered in their order, then again.
fn answered(number: u64) -> Record {
    Record::Answered(Box::new(Answered {
        id: Uuid::from_u128(u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)),
        attempt: Uuid::from_u128(u128::from(number * 7_919 % STUDENTS) << 64 | 0xA77E),
        question: Uuid::from_u128(u128::from(number / STUDENTS % 40).wrapping_mul(0x2545_F491_4F6C_DD1D_9E37_79B9_7F4A_7C15)),
        given: Given::Option(2),
        grade: Grade { is_correct: Some(true), score: 10.0 },
        at: UnixMicros(1_790_000_100_000_000 + number as i64),
    }))
}

/// CPU that the thread named `store` has used.
fn store_cpu() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("tasks").flatten();
    let named = |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "store");
    let of = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter(named).filter_map(of).sum())
}

fn sessions(c: &mut Criterion) {
    let mut group = c.benchmark_group("store/enter and leave");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(2));
    for batch in [50, 300, 1_000] {
        let mut school = School::open(STUDENTS);
        school.bell(STUDENTS, 1_000);
        group.bench_function(format!("CPU of the thread, {batch} at a time"), |b| {
            b.iter_custom(|pairs| {
                let before = store_cpu();
                school.bell(pairs, batch);
                store_cpu() - before
            });
        });
        group.bench_function(format!("wall, {batch} at a time"), |b| {
            b.iter_custom(|pairs| {
                let before = Instant::now();
                school.bell(pairs, batch);
                before.elapsed()
            });
        });
    }
    group.finish();
}

fn answers(c: &mut Criterion) {
    let mut group = c.benchmark_group("store/answer");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(2));
    for batch in [30, 300, 4_000] {
        let mut exam = Exam::open();
        exam.answer(STUDENTS * 2, 1_000);
        group.bench_function(format!("CPU of the thread, {batch} at a time"), |b| {
            b.iter_custom(|count| {
                let before = store_cpu();
                exam.answer(count, batch);
                store_cpu() - before
            });
        });
        group.bench_function(format!("wall, {batch} at a time"), |b| {
            b.iter_custom(|count| {
                let before = Instant::now();
                exam.answer(count, batch);
                before.elapsed()
            });
        });
    }
    group.finish();
}

fn starts(c: &mut Criterion) {
    let mut group = c.benchmark_group("store/start");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(2));
    let exam = Exam::open();
    let mut next = STUDENTS;
    group.bench_function("CPU of the thread, 300 at a time", |b| {
        b.iter_custom(|count| {
            let before = store_cpu();
            for first in (0..count).step_by(300) {
                let now = (count - first).min(300);
                (next..next + now).for_each(|student| exam.keep(started(student, CLASSROOMS)));
                exam.wait(now);
                next += now;
            }
            store_cpu() - before
        });
    });
    group.finish();
}

/// A quiz with 20,000 attempts that are over, of 100,000 of one owner: what its home reads, and pages of lists.
fn reads(c: &mut Criterion) {
    const QUIZZES: u64 = 5;
    let (store, answers, folder) = open();
    let exam = Exam { store, answers, next: 0, _folder: folder };
    (0..QUIZZES).for_each(|_| exam.keep(new_quiz()));
    exam.wait(QUIZZES);
    for first in (0..100_000).step_by(1_000) {
        (first..first + 1_000).for_each(|student| exam.keep(started(student, QUIZZES)));
        (first..first + 1_000).for_each(|student| exam.keep(closed(student)));
        exam.wait(2_000);
    }
    let (owner, page) = ("school.local/ada", |offset| Page { offset, limit: 200 });
    let any = AttemptFilter::default();
    let flagged = AttemptFilter { flagged: Some(true), ..AttemptFilter::default() };
    let mut group = c.benchmark_group("store/read");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    group.bench_function("a quiz with 20,000 attempts", |b| b.iter(|| exam.store.quiz(QuizId(1)).expect("readable")));
    group.bench_function("first page of 100,000", |b| b.iter(|| exam.store.attempts(owner, &any, page(0)).expect("readable")));
    group
        .bench_function("last page of 100,000", |b| b.iter(|| exam.store.attempts(owner, &any, page(99_800)).expect("readable")));
    group.bench_function("none of 100,000 is flagged", |b| {
        b.iter(|| exam.store.attempts(owner, &flagged, page(0)).expect("readable"))
    });
    group.bench_function("last page of 20,000 results", |b| {
        b.iter(|| exam.store.results(owner, QuizId(1), page(19_800)).expect("readable"));
    });
    group.finish();
}

/// Pages of 100,000 desktops, nine of ten of them over.
fn desktops(c: &mut Criterion) {
    const DESKTOPS: u64 = 100_000;
    let (store, answers, _folder) = open();
    for first in (0..DESKTOPS).step_by(1_000) {
        for number in first..first + 1_000 {
            let change = labs::record::Change { session: Some(desktop(number)), ..Default::default() };
            let record = labs::record::Record::Change(Box::new(change));
            store.keep_labs(Ticket { shard: ShardId(0), token: number }, record).expect("room in the queue");
        }
        for _ in 0..1_000 {
            let answer = answers.recv_timeout(PATIENCE).expect("an answer");
            assert!(matches!(answer, Answer::LabsKept { result: Ok(labs::record::Kept::Done), .. }));
        }
    }
    let any = SessionFilter { descending: true, ..SessionFilter::default() };
    let filters = [
        ("all", any.clone()),
        ("by change", SessionFilter { sort: SortBy::Updated, ..any.clone() }),
        ("one user's, by change", SessionFilter { user: Some("student-7".into()), sort: SortBy::Updated, ..any.clone() }),
        ("nine of ten, by change", SessionFilter { states: vec![State::Terminated], sort: SortBy::Updated, ..any.clone() }),
        ("a tag that all have", SessionFilter { tags: vec!["school".into()], ..any }),
    ];
    let mut group = c.benchmark_group("store/desktops");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    for (name, filter) in filters {
        for page in [1, 700] {
            let page = labs::record::Page { page, limit: 100 };
            group.bench_function(format!("{name}, page {}", page.page), |b| {
                b.iter(|| store.sessions(&filter, page).expect("readable"))
            });
        }
    }
    group.bench_function("all that are not over", |b| b.iter(|| store.labs().expect("readable")));
    group.finish();
}

fn desktop(number: u64) -> labs::model::Session {
    labs::model::Session {
        id: Uuid::from_u128(u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)),
        name: format!("student-firefox-browser-{number:06x}"),
        user: format!("student-{}", number % 100).into(),
        template: "firefox-browser".into(),
        platform: "kubernetes".into(),
        agent: Some("k8s-prod-us-east-1".into()),
        state: if number.is_multiple_of(10) { State::Running } else { State::Terminated },
        resources: labs::model::Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: None },
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: vec!["school".into(), format!("class-{}", number % 40)],
        message: "Session is running".into(),
        place: labs::model::Place { pod_ip: Some("10.42.1.5".into()), ..Default::default() },
        created_at: UnixMicros(1_790_000_000_000_000 + number as i64),
        updated_at: UnixMicros(1_790_000_000_000_000 + number as i64 * 7_919 % 1_000_000),
        last_activity: None,
    }
}

criterion_group! { name = benches; config = brisk::brisk(); targets = sessions, answers, starts, reads, desktops }
criterion_main!(benches);
