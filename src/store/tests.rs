//! One suite for every store: what the contract says, asked of each implementation.

use super::{Answer, Entered, MemoryStore, Outcome, Settings, Sink, SqliteStore, Store, Ticket};
use crate::{
    protocols::presence::record::{Attendance, Entering, Leaving, StoreFault},
    realtime::{ClassroomId, NodeSlot, ShardId, UnixMicros},
};
use std::{sync::mpsc, time::Duration};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);
const ROOM: ClassroomId = ClassroomId::from_u128(0xC1A55);
const OTHER_ROOM: ClassroomId = ClassroomId::from_u128(0xC1A56);
const EVER: UnixMicros = UnixMicros(i64::MAX);

/// Posts to whoever tests.
pub(super) struct Channel(pub(super) mpsc::Sender<Answer>);

impl Sink for Channel {
    fn post(&self, answers: &mut Vec<Answer>) {
        for answer in answers.drain(..) {
            // A test that has seen enough is gone.
            let _ = self.0.send(answer);
        }
    }
}

pub(super) fn ticket(token: u64) -> Ticket {
    Ticket { shard: ShardId((token % 3) as u16), token }
}

pub(super) fn entered(answer: Answer) -> Entered {
    match answer {
        Answer::Entered(entered) => entered,
        Answer::Kept { .. } | Answer::LabsKept { .. } | Answer::ChatKept { .. } | Answer::TasksKept { .. } => {
            panic!("no record was asked for")
        }
    }
}

pub(super) fn entering(agent_id: &str, at: i64) -> Entering {
    Entering { classroom: ROOM, agent_id: agent_id.into(), at: UnixMicros(at), node: NodeSlot::default(), session: None }
}

pub(super) fn leaving(session: i64, at: i64) -> Leaving {
    Leaving { session, at: UnixMicros(at) }
}

pub(super) fn row(agent_id: &str, entered: i64, left: impl Into<Option<i64>>) -> Attendance {
    Attendance { agent_id: agent_id.into(), entered: UnixMicros(entered), left: left.into().map(UnixMicros) }
}

pub(super) fn everything(store: &dyn Store) -> Vec<Attendance> {
    store.attendance(ROOM, UnixMicros(i64::MIN), EVER).expect("readable")
}

/// A store under test, with a way to hear its answers.
pub(super) trait Subject {
    fn fresh(queue: usize) -> Self;
    fn store(&self) -> &dyn Store;
    /// The next `count` answers.
    fn answers(&self, count: usize) -> Vec<Answer>;

    /// Of all rooms.
    fn kept_intervals(&self) -> usize;

    fn enter(&self, entering: Entering) -> Result<i64, StoreFault> {
        self.store().enter(ticket(1), entering)?;
        entered(self.answers(1)[0]).result
    }

    fn session(&self, agent_id: &str, at: i64) -> i64 {
        // Of a connection on the node whose store it is.
        let slot = self.store().lease().tenure().map_or(0, |tenure| tenure.slot);
        let node = NodeSlot(u8::try_from(slot).expect("few nodes"));
        self.enter(Entering { node, ..entering(agent_id, at) }).expect("a row")
    }

    /// One whole session.
    fn visit(&self, agent_id: &str, from: i64, to: i64) -> i64 {
        let session = self.session(agent_id, from);
        self.store().leave(leaving(session, to));
        session
    }

    fn told(&self) -> Vec<Attendance> {
        self.store().flush(PATIENCE).expect("all done");
        everything(self.store())
    }
}

struct OnDisk {
    store: SqliteStore,
    answers: mpsc::Receiver<Answer>,
    folder: tempfile::TempDir,
}

impl Subject for OnDisk {
    fn fresh(queue: usize) -> OnDisk {
        let folder = tempfile::tempdir().expect("a folder");
        let (tell, answers) = mpsc::channel();
        let settings = Settings { queue, ..Settings::new(folder.path()) };
        let store = SqliteStore::open(settings, Box::new(Channel(tell))).expect("a store");
        OnDisk { store, answers, folder }
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn kept_intervals(&self) -> usize {
        let file = rusqlite::Connection::open(self.folder.path().join("homeroom.db")).expect("the file");
        file.query_row("SELECT count(*) FROM agent_session_history", [], |row| row.get::<_, u32>(0)).expect("a count") as usize
    }

    fn answers(&self, count: usize) -> Vec<Answer> {
        (0..count).map(|_| self.answers.recv_timeout(PATIENCE).expect("an answer")).collect()
    }
}

struct InMemory {
    store: MemoryStore,
}

impl Subject for InMemory {
    fn fresh(queue: usize) -> InMemory {
        InMemory { store: MemoryStore::new(queue) }
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn kept_intervals(&self) -> usize {
        self.store.past_intervals()
    }

    fn answers(&self, count: usize) -> Vec<Answer> {
        let answers = self.store.take_answers();
        assert_eq!(answers.len(), count);
        answers
    }
}

fn a_session_begins_and_ends<S: Subject>() {
    let it = S::fresh(64);
    let session = it.session("web.ada", 100);
    assert!(session > 0);
    assert_eq!(it.told(), [row("web.ada", 100, None)]);
    it.store().leave(leaving(session, 250));
    assert_eq!(it.told(), [row("web.ada", 100, 250)]);
    it.store().leave(leaving(session, 900));
    it.store().leave(leaving(session + 50, 900));
    assert_eq!(it.told(), [row("web.ada", 100, 250)], "a session ends once, and an unknown one not at all");
}

fn answers_come_in_order_with_their_tickets<S: Subject>() {
    let it = S::fresh(1_000);
    for token in 0..500 {
        it.store().enter(ticket(token), entering(&format!("web.{token}"), 5)).expect("room");
    }
    let answers = it.answers(500);
    let tickets: Vec<Ticket> = answers.iter().map(Answer::ticket).collect();
    assert_eq!(tickets, (0..500).map(ticket).collect::<Vec<_>>());
    let numbers: Vec<i64> = answers.iter().map(|&answer| entered(answer).result.expect("a row")).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "numbers grow");
}

fn a_row_left_behind_ends_before_the_next<S: Subject>() {
    let it = S::fresh(64);
    let lost = it.session("web.ada", 100);
    let next = it.session("web.ada", 300);
    assert!(next > lost);
    it.store().leave(leaving(lost, 999));
    assert_eq!(it.told(), [row("web.ada", 100, None)], "it ended as the next began, so the two are one");
    it.store().leave(leaving(next, 400));
    assert_eq!(it.told(), [row("web.ada", 100, 400)]);
}

fn leave_and_enter_keep_their_order<S: Subject>() {
    let it = S::fresh(64);
    let first = it.session("web.ada", 100);
    it.store().leave(leaving(first, 150));
    let second = it.session("web.ada", 200);
    it.store().leave(leaving(second, 250));
    assert_eq!(it.told(), [row("web.ada", 100, 150), row("web.ada", 200, 250)]);
}

fn intervals_that_meet_are_joined<S: Subject>() {
    const DAY: i64 = 86_400_000_000;
    type Visits = &'static [(i64, i64)];
    let shapes: [(&str, Visits, Visits); 8] = [
        ("apart", &[(10, 20), (21, 30)], &[(10, 20), (21, 30)]),
        ("touching", &[(10, 20), (20, 30)], &[(10, 30)]),
        ("overlapping", &[(10, 20), (15, 30)], &[(10, 30)]),
        ("inside", &[(10, 40), (15, 30)], &[(10, 40)]),
        ("around", &[(15, 30), (10, 40)], &[(10, 40)]),
        ("bridging", &[(10, 20), (30, 40), (20, 30)], &[(10, 40)]),
        (
            "over midnight",
            &[(DAY - 10, DAY + 5), (3 * DAY, 3 * DAY + 1), (DAY - 5, DAY - 1)],
            &[(DAY - 10, DAY + 5), (3 * DAY, 3 * DAY + 1)],
        ),
        ("over days", &[(5, 6), (2 * DAY, 2 * DAY + 9), (6, 4 * DAY)], &[(5, 4 * DAY)]),
    ];
    for (shape, visits, expected) in shapes {
        let it = S::fresh(64);
        it.visit("web.someone-else", 0, 1);
        for (from, to) in visits {
            it.visit("web.ada", *from, *to);
        }
        let mut expected: Vec<Attendance> = expected.iter().map(|(from, to)| row("web.ada", *from, *to)).collect();
        expected.push(row("web.someone-else", 0, 1));
        assert_eq!(it.told(), expected, "{shape}");
        assert_eq!(it.kept_intervals(), expected.len(), "{shape}: joined where they are kept, not only where they are told");
    }
}

fn a_clock_set_back_does_no_harm<S: Subject>() {
    let it = S::fresh(64);
    it.visit("web.ada", 500, 400);
    assert_eq!(it.told(), [row("web.ada", 500, 500)]);
}

fn attendance_is_of_the_room_and_the_time<S: Subject>() {
    let it = S::fresh(64);
    it.visit("web.bob", 100, 200);
    it.visit("web.ada", 150, 300);
    it.visit("web.ada", 400, 500);
    it.session("web.zoe", 250);
    it.enter(Entering { classroom: OTHER_ROOM, ..entering("web.ada", 120) }).expect("a row");
    it.told();
    let between = |from, to| it.store().attendance(ROOM, UnixMicros(from), UnixMicros(to)).expect("readable");
    assert_eq!(between(180, 260), [row("web.ada", 150, 300), row("web.bob", 100, 200), row("web.zoe", 250, None)]);
    assert_eq!(between(200, 250), [row("web.ada", 150, 300)]);
    assert_eq!(between(350, 900), [row("web.ada", 400, 500), row("web.zoe", 250, None)]);
    assert_eq!(between(0, 100), []);
    let elsewhere = it.store().attendance(OTHER_ROOM, UnixMicros(0), EVER).expect("readable");
    assert_eq!(elsewhere, [row("web.ada", 120, None)]);
    let nowhere = it.store().attendance(ClassroomId::from_u128(9), UnixMicros(0), EVER).expect("readable");
    assert_eq!(nowhere, []);
}

fn occupied_rooms_are_told_fullest_first<S: Subject>() {
    let it = S::fresh(64);
    assert_eq!(it.store().occupied(10), Ok(vec![]));
    it.visit("web.bob", 100, 200);
    it.told();
    assert_eq!(it.store().occupied(10), Ok(vec![]), "he has left");
    it.session("web.zoe", 250);
    it.enter(Entering { classroom: OTHER_ROOM, ..entering("web.ada", 120) }).expect("a row");
    it.enter(Entering { classroom: OTHER_ROOM, ..entering("web.bob", 130) }).expect("a row");
    it.told();
    assert_eq!(it.store().occupied(10), Ok(vec![(OTHER_ROOM, 2), (ROOM, 1)]));
    assert_eq!(it.store().occupied(1), Ok(vec![(OTHER_ROOM, 2)]));
}

fn a_refused_row_leaves_the_others<S: Subject>() {
    let it = S::fresh(64);
    for (token, agent_id) in ["web.ada", "", "web.bob"].into_iter().enumerate() {
        it.store().enter(ticket(token as u64), entering(agent_id, 5)).expect("room");
    }
    let results: Vec<_> = it.answers(3).into_iter().map(|answer| entered(answer).result.map(drop)).collect();
    assert_eq!(results, [Ok(()), Err(StoreFault::Failed), Ok(())]);
    assert_eq!(it.told().len(), 2);
}

fn a_session_that_another_node_takes_over_keeps_its_number_while_its_row_is_there<S: Subject>() {
    let it = S::fresh(64);
    let session = it.enter(entering("web.ada", 5)).expect("a row");
    let taken = |at| Entering { node: NodeSlot(3), session: Some(session), ..entering("web.ada", at) };
    assert_eq!(it.enter(taken(9)), Ok(session));
    assert_eq!(it.told(), [row("web.ada", 5, None)]);
    it.store().leave(leaving(session, 20));
    assert!(it.enter(taken(30)).is_ok_and(|later| later > session), "it ended meanwhile");
    assert_eq!(it.told(), [row("web.ada", 5, 20), row("web.ada", 30, None)]);
}

fn after_a_stop_nothing_is_taken<S: Subject>() {
    let it = S::fresh(64);
    it.session("web.ada", 5);
    assert_eq!(it.store().health().outcome(), Outcome::Done);
    assert_eq!(it.store().stop(PATIENCE), Ok(()));
    assert_eq!(it.store().stop(PATIENCE), Ok(()));
    assert_eq!(it.store().enter(ticket(2), entering("web.bob", 6)), Err(StoreFault::Busy));
    it.store().leave(leaving(1, 7));
    assert_eq!(it.store().flush(PATIENCE), Err(StoreFault::Busy));
}

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod sqlite { $(#[test] fn $name() { super::$name::<super::OnDisk>(); })* }
        mod memory { $(#[test] fn $name() { super::$name::<super::InMemory>(); })* }
        mod postgres {
            $(#[test] fn $name() { crate::store::tests::where_postgres_is(super::$name::<crate::store::tests::server::InPostgres>); })*
        }
    };
}

/// Skips what needs PostgreSQL where there is none.
pub(super) fn where_postgres_is(test: impl FnOnce()) {
    if server::server().is_some() {
        test();
    }
}

pub(super) mod chat;
mod copy;
pub(super) mod labs;
pub(super) mod server;
pub(super) mod quiz;
pub(super) mod tasks;
mod waiting;

suite!(
    a_session_begins_and_ends,
    answers_come_in_order_with_their_tickets,
    a_row_left_behind_ends_before_the_next,
    leave_and_enter_keep_their_order,
    intervals_that_meet_are_joined,
    a_clock_set_back_does_no_harm,
    attendance_is_of_the_room_and_the_time,
    occupied_rooms_are_told_fullest_first,
    a_refused_row_leaves_the_others,
    a_session_that_another_node_takes_over_keeps_its_number_while_its_row_is_there,
    after_a_stop_nothing_is_taken,
);

#[test]
fn sqlite_tells_the_same_as_memory() {
    tells_the_same_as_memory::<OnDisk>(1_500);
}

#[test]
fn postgres_tells_the_same_as_memory() {
    where_postgres_is(|| tells_the_same_as_memory::<server::InPostgres>(500));
}

/// Students who come and go in any order, at times that may run backwards: both stores must tell the same.
fn tells_the_same_as_memory<S: Subject>(steps: i64) {
    let (disk, memory) = (S::fresh(64), InMemory::fresh(64));
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64 % below as i64
    };
    let mut open: Vec<i64> = Vec::new();
    for step in 0..steps {
        // Lessons of ten steps: onwards from one to the next, any way within one, now and then back by more than a lesson.
        let at = 8_000_000_000 * (step / 10) + draw(3_000) * 1_000_000 - if draw(80) == 0 { 9_000_000_000 } else { 0 };
        if open.is_empty() || draw(2) == 0 {
            let entering = entering(["a", "b", "c"][draw(3) as usize], at);
            let session = memory.enter(entering.clone()).expect("a row");
            assert_eq!(disk.enter(entering), Ok(session));
            open.push(session);
        } else {
            let session = open.swap_remove(draw(open.len() as u64) as usize);
            disk.store().leave(leaving(session, at));
            memory.store().leave(leaving(session, at));
        }
        if step % 10 == 9 {
            for session in open.drain(..) {
                disk.store().leave(leaving(session, at));
                memory.store().leave(leaving(session, at));
            }
        }
        if step % 25 == 0 {
            assert_eq!(disk.told(), memory.told(), "step {step}");
            let (from, to) = (UnixMicros(at - draw(2_000) * 1_000_000), UnixMicros(at + draw(2_000) * 1_000_000));
            assert_eq!(disk.store().attendance(ROOM, from, to), memory.store().attendance(ROOM, from, to), "step {step}");
        }
    }
    assert!(memory.kept_intervals() as i64 > steps / 75, "the visits did not all become one");
    assert_eq!(disk.kept_intervals(), memory.kept_intervals());
}
