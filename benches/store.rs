//! What a session costs the store: one enter and one leave, in batches of hundreds, over a day's history of a school.
//!
//! Two figures for each: time by the wall (what a shard waits for includes the disk) and CPU of the store's thread (what is bought with
//! the core), the latter from `/proc/self/task/*/schedstat`.

mod brisk;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use homeroom::{
    protocols::presence::record::{Entering, Leaving},
    realtime::{ShardId, UnixMicros},
    store::{Answer, Settings, Sink, SqliteStore, Store, Ticket},
};
use std::{
    fs,
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

struct School {
    store: SqliteStore,
    answers: mpsc::Receiver<Answer>,
    agents: Vec<Arc<str>>,
    at: i64,
    next: u64,
    _folder: tempfile::TempDir,
}

impl School {
    /// A store with `present` sessions that stay.
    fn open(present: u64) -> School {
        // Beside the build, not in a temporary folder that may be memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let (tell, answers) = mpsc::channel();
        let store = SqliteStore::open(Settings::new(folder.path()), Box::new(Channel(tell))).expect("a store");
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
        };
        self.store.enter(Ticket { shard: ShardId(0), token: student }, entering).expect("room in the queue");
    }

    fn wait(&self, answers: u64) -> Vec<i64> {
        let answer = || match self.answers.recv_timeout(PATIENCE).expect("an answer") {
            Answer::Entered(entered) => entered.result.expect("a row"),
            Answer::Kept { .. } => unreachable!("no record was asked for"),
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

criterion_group! { name = benches; config = brisk::brisk(); targets = sessions }
criterion_main!(benches);
