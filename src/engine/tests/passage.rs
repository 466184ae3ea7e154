//! Shards whose connections pass to another process: nobody is closed, nothing is lost, doubled or told of.

use super::quizzes::{quiz, unsubscribe};
use super::world::{SUCCESS, World, change, connect_request, masked, room, token};
use crate::{
    engine::{
        door::Address,
        passage::{Estate, deal},
    },
    protocols::presence::asks::{Ask, Publication, Reply},
    realtime::{ClassroomId, ConnId},
};
use std::time::Duration;

/// The names that connections had before, and those that they have now.
pub(super) struct Names(Vec<(ConnId, ConnId)>);

impl Names {
    pub(super) fn now(&self, before: ConnId) -> ConnId {
        self.0.iter().find(|(own, _)| *own == before).map(|(_, now)| *now).expect("it was carried")
    }

    pub(super) fn has(&self, before: ConnId) -> bool {
        self.0.iter().any(|(own, _)| *own == before)
    }
}

impl World {
    /// All that another process begins with: the clock of this one starts again, and the store is the same.
    fn hand_over(self, is_plain: impl Fn(ConnId) -> bool) -> (World, World, Names) {
        let (former, next, names) = self.hand_over_with(is_plain, |_| {});
        assert_eq!(next.heard, [], "nobody is told anything");
        (former, next, names)
    }

    /// The same, with what the next process has read.
    pub(super) fn hand_over_with(
        self,
        is_plain: impl Fn(ConnId) -> bool,
        begin: impl FnOnce(&mut World),
    ) -> (World, World, Names) {
        let mut former = self;
        former.leave_and_part(&is_plain);
        assert!(former.engines.iter().all(super::super::Engine::is_quiet));
        former.taken_over(is_plain, begin)
    }

    pub(super) fn leave_and_part(&mut self, is_plain: &impl Fn(ConnId) -> bool) {
        let now = self.now;
        self.engines.iter_mut().for_each(|engine| engine.leave(is_plain, now));
        self.run();
        assert!(self.store.held || self.engines.iter().all(|engine| engine.owed() == 0));
        self.engines.iter_mut().for_each(|engine| engine.part_for_good(is_plain, now));
        self.run();
    }

    pub(super) fn taken_over(self, is_plain: impl Fn(ConnId) -> bool, begin: impl FnOnce(&mut World)) -> (World, World, Names) {
        let mut former = self;
        let now = former.now;
        let left: Vec<_> = former.engines.iter_mut().map(|engine| engine.estate(&is_plain, now)).collect();
        let read = |estate: &Estate| Estate::read(&estate.write()).expect("it is of this version");
        let estates: Vec<Estate> = left.iter().map(|(estate, _)| read(estate)).collect();
        let mut next = World::new(former.engines.len() as u16);
        next.now.wall = former.now.wall;
        next.now.moment.0 = 50_000;
        next.store = std::mem::take(&mut former.store);
        next.store.held = false;
        next.sessions = std::mem::take(&mut former.sessions);
        next.sessions.bury(|_| true);
        next.tasks = std::mem::take(&mut former.tasks);
        next.begin_tasks();
        begin(&mut next);
        let ring = crate::realtime::HashRing::new(next.engines.len() as u16);
        let mut names = Vec::new();
        for ((place, legacy), (_, before)) in deal(estates, &ring).into_iter().enumerate().zip(left) {
            let from = vec![Address::UNKNOWN; legacy.len()];
            let (conns, now) = (next.engines[place].take_over(legacy, &from, next.now), next.now);
            assert_eq!(conns.len(), before.len(), "{now:?}");
            names.extend(before.into_iter().zip(conns));
        }
        next.run();
        (former, next, Names(names))
    }

    fn publish(&mut self, shard: usize, classroom: ClassroomId, n: u32) -> (i64, u64) {
        let payload = format!(r#"{{"n":{n}}}"#);
        let event = Publication {
            entity_type: "ban".into(),
            operation: "created".into(),
            payload: payload.into(),
            sender: None,
            receiver: None,
            sequence_id: None,
        };
        match self.ask(shard, Ask::Publish { classroom, event }) {
            Reply::Published { sequence_id, members } => (sequence_id, members),
            other => panic!("{other:?}"),
        }
    }

    /// The numbers of what a connection has heard published.
    fn numbers(&mut self, conn: ConnId) -> Vec<String> {
        let heard = self.take_heard(conn).into_iter();
        heard.filter_map(|words| Some(words.split_once(r#"{"n":"#)?.1.split_once('}')?.0.to_owned())).collect()
    }
}

fn members(world: &mut World, classroom: ClassroomId) -> Vec<String> {
    match world.ask(0, Ask::Members { classroom, after: 0, limit: 100 }) {
        Reply::Members(members) => members.into_iter().map(|member| member.agent_id).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn those_in_classrooms_go_on_hear_everything_once_and_are_heard() {
    let mut world = World::new(3);
    let conns: Vec<ConnId> = (0..12).map(|n| world.session(n % 3, "a", &format!("s{n}"), room(n as u128 % 2))).collect();
    conns.iter().for_each(|conn| drop(world.take_heard(*conn)));
    let mut numbers = [Vec::new(), Vec::new()];
    for n in 0..10 {
        numbers[n as usize % 2].push(world.publish(n as usize % 3, room(u128::from(n % 2)), n));
    }
    let mut heard: Vec<Vec<String>> = conns.iter().map(|conn| world.numbers(*conn)).collect();
    let rows = world.store.rows.clone();
    let (mut former, mut next, names) = world.hand_over(|_| true);
    assert!(conns.iter().all(|conn| names.has(*conn) && former.take_heard(*conn).is_empty()), "no word of a farewell");
    for n in 10..20 {
        let published = next.publish(n as usize % 3, room(u128::from(n % 2)), n);
        assert_eq!(published.1, 6, "everybody is there");
        numbers[n as usize % 2].push(published);
    }
    for (place, conn) in conns.iter().enumerate() {
        heard[place].extend(next.numbers(names.now(*conn)));
        let wanted: Vec<String> = (0..20).filter(|n| n % 2 == place % 2).map(|n| n.to_string()).collect();
        assert_eq!(heard[place], wanted);
    }
    assert!(numbers.iter().all(|numbers| numbers.is_sorted_by(|a, b| a.0 < b.0)), "numbers go on: {numbers:?}");
    assert_eq!(next.store.rows, rows, "the same rows");
    assert_eq!(members(&mut next, room(0)).len(), 6);
    // One goes, and is told of; one comes again, and replaces.
    next.eof(names.now(conns[0]));
    let left = change("left", "a.s0.school", 1);
    assert_eq!(next.take_heard(names.now(conns[2])), std::slice::from_ref(&left));
    assert_eq!(next.take_heard(names.now(conns[4])), [left]);
    let again = next.session(1, "a", "s2", room(0));
    assert!(next.take_heard(names.now(conns[2]))[0].contains("replaced"));
    assert!(next.take_heard(names.now(conns[4])).is_empty(), "nobody hears of a replacement");
    for conn in conns.iter().skip(1).map(|conn| names.now(*conn)).chain([again]) {
        next.eof(conn);
    }
    next.assert_empty();
}

#[test]
fn pings_go_on_by_their_times() {
    let mut world = World::new(1);
    let ponged = world.session(0, "a", "ponged", room(1));
    world.pass(Duration::from_secs(12));
    let (_, mut next, names) = world.hand_over(|_| true);
    let conn = names.now(ponged);
    next.pass(Duration::from_millis(17_900));
    assert_eq!(next.take_heard(conn), [] as [&str; 0]);
    next.pass(Duration::from_millis(200));
    assert_eq!(next.take_heard(conn), ["PING"], "30 s after the last");
    next.pass(Duration::from_secs(3));
    let (_, mut last, others) = next.hand_over(|_| true);
    let conn = others.now(conn);
    last.pass(Duration::from_millis(1_800));
    assert_eq!(last.take_heard(conn), [] as [&str; 0]);
    last.pass(Duration::from_millis(400));
    assert!(last.take_heard(conn)[0].contains("pong_timed_out"), "it awaits the Pong still");
}

#[test]
fn who_has_not_signed_in_does_so_elsewhere_in_the_time_he_had() {
    let mut world = World::new(2);
    let (head, silent) = (world.socket(0), world.socket(1));
    let text = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    world.bytes(head, text.as_bytes());
    let (waiting, late) = (world.websocket(0, "/ws"), world.websocket(1, "/ws"));
    world.pass(Duration::from_secs(4));
    let (_, mut next, names) = world.hand_over(|_| true);
    next.bytes(names.now(head), b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    assert_eq!(next.take_heard(names.now(head)), ["101"]);
    next.text(names.now(waiting), &connect_request("a", room(1), &token("s1")));
    assert_eq!(next.take_heard(names.now(waiting)), [SUCCESS, "PING"]);
    next.pass(Duration::from_millis(6_100));
    assert!(next.take_heard(names.now(late))[0].contains("auth_timed_out"));
    assert_eq!(next.take_heard(names.now(silent)), ["END"]);
}

#[test]
fn what_cannot_be_carried_is_closed_and_told_to_come_back() {
    let mut world = World::new(2);
    let (plain, sealed) = (world.session(0, "a", "s1", room(1)), world.session(1, "a", "s2", room(1)));
    let echo = world.websocket(0, "/echo");
    world.take_heard(plain);
    let (mut former, mut next, names) = world.hand_over(|conn| conn != sealed);
    assert!(former.take_heard(sealed).contains(&"CLOSE 1012".to_owned()));
    assert!(former.take_heard(echo).contains(&"CLOSE 1012".to_owned()));
    assert!(names.has(plain) && !names.has(sealed) && !names.has(echo));
    assert_eq!(members(&mut next, room(1)), ["a.s1.school"]);
    assert!(former.take_heard(plain).contains(&change("left", "a.s2.school", 2)), "told before it went");
}

#[test]
fn a_message_that_is_cut_is_heard_whole_and_once() {
    let mut world = World::new(1);
    let conn = world.websocket(0, "/ws");
    let request = connect_request("a", room(1), &token("s1"));
    let mut frames = masked(1, &request.as_bytes()[..40]);
    frames[0] &= 0x7f;
    frames.extend(masked(9, b"ping"));
    frames.extend(masked(0, &request.as_bytes()[40..]));
    let middle = frames.len() - 30;
    world.bytes(conn, &frames[..middle]);
    assert_eq!(world.take_heard(conn), ["PONG"]);
    let (_, mut next, names) = world.hand_over(|_| true);
    let conn = names.now(conn);
    next.bytes(conn, &frames[middle..]);
    assert_eq!(next.take_heard(conn), [SUCCESS, "PING"]);
}

#[test]
fn owners_and_participants_of_quizzes_go_on() {
    let mut world = World::with_quizzes(2, [quiz(1, "a", 3), quiz(2, "a", 0)]);
    let owner = world.owner(1, "a", &["quiz:1", "attempts:1", "quiz:2"]);
    let attempt = world.start(1, 1, "Alice");
    let participant = world.participant(0, 1, attempt);
    world.answer(0, 1, attempt, 1, true);
    world.take_heard(owner);
    let (library, running) = (world.library.clone(), world.library.running());
    let (_, mut next, names) = world.hand_over_with(
        |_| true,
        |next| {
            next.library = library.clone();
            let now = next.now;
            next.engines.iter_mut().for_each(|engine| engine.begin(&[], &running, now));
        },
    );
    let (owner, participant) = (names.now(owner), names.now(participant));
    let heard = next.take_brief(owner);
    assert!(heard.iter().all(|words| words.starts_with("snapshot")), "at most the state of a list: {heard:?}");
    assert!(next.take_heard(participant).is_empty());
    assert_eq!(next.engines.iter().map(|engine| engine.counters().quiz_watching.read()).sum::<u64>(), 3);
    next.answer(1, 1, attempt, 2, true);
    let heard = next.take_brief(owner);
    assert_eq!(heard.iter().filter(|words| *words == "attempt_update 1 2").count(), 1, "{heard:?}");
    next.text(owner, &unsubscribe(&["quiz:2"]));
    assert!(next.take_brief(owner).contains(&"unsubscribed quiz:2".to_owned()));
    next.pass(Duration::from_millis(3_100));
    assert!(next.take_brief(participant).contains(&"attempt_closed 1 time_up 2".to_owned()));
    assert!(next.take_brief(owner).contains(&"attempt_finished 1 2".to_owned()));
    next.eof(owner);
    next.eof(participant);
    next.pass(Duration::from_secs(120));
    next.assert_empty();
}

#[test]
fn one_who_does_not_read_is_lost_and_told_of() {
    let mut world = World::new(2);
    let (slow, other) = (world.session(0, "a", "s1", room(1)), world.session(1, "a", "s2", room(1)));
    world.stalled.push(slow);
    world.publish(0, room(1), 1);
    let now = world.now;
    world.engines.iter_mut().for_each(|engine| engine.leave(&|_| true, now));
    world.run();
    assert!(!world.engines[0].is_quiet() && world.engines[1].is_quiet());
    let estates: Vec<Estate> = world.engines.iter_mut().map(|engine| engine.estate(&|_| true, now).0).collect();
    assert_eq!(estates.iter().map(Estate::len).collect::<Vec<_>>(), [0, 1]);
    let mut next = World::new(2);
    next.now.wall = world.now.wall;
    next.store = std::mem::take(&mut world.store);
    let ring = crate::realtime::HashRing::new(2);
    for (place, legacy) in deal(estates, &ring).into_iter().enumerate() {
        next.engines[place].take_over(legacy, &[Address::UNKNOWN], next.now);
    }
    next.run();
    let there = ConnId { generation: 0, slot: 0, ..other };
    assert_eq!(next.take_heard(there), [change("left", "a.s1.school", 1)]);
    assert_eq!(next.store.rows.iter().map(|(session, _)| *session).collect::<Vec<_>>(), [2]);
}

#[test]
fn what_is_damaged_or_of_another_version_is_not_read() {
    let mut world = World::new(1);
    world.session(0, "a", "s1", room(1));
    let now = world.now;
    let (estate, _) = world.engines[0].estate(&|_| true, now);
    let bytes = estate.write();
    assert_eq!(Estate::read(&bytes), Ok(estate));
    assert!(Estate::read(&[&[9, 9], &bytes[2..]].concat()).is_err());
    assert!((0..bytes.len()).all(|length| Estate::read(&bytes[..length]).is_err()));
}
