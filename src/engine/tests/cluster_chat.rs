//! Sessions over several nodes: whoever watches, speaks, decides or looks does not notice on which node he is, nor that the home moves.

use super::{
    chat::{Heard, *},
    world::*,
};
use crate::{
    engine::Answer,
    models::{Stop, ToolCall, ToolOutcome, Usage, Word},
    protocols::chat::{
        Ask, MessageId, Payer, Reply, Row, SessionId, Told,
        messages::{approval, session as shown},
        model::{Approval, Session, Status},
    },
    realtime::{ConnId, HashRing, NodeSlot},
};
use std::{
    task::{Poll, Waker},
    time::Duration,
};
use uuid::Uuid;

/// The first session that is at home on these nodes by these rings.
pub(super) fn session_at(homes: &[(&HashRing, u8)]) -> SessionId {
    let is_fit = |id: &SessionId| homes.iter().all(|(ring, slot)| ring.home(id.as_bytes()).node() == NodeSlot(*slot));
    (1..).map(Uuid::from_u128).find(is_fit).unwrap()
}

/// Two nodes of one shard each, a third that has begun and is in no view, and a session whose home goes from the second to the third.
pub(super) fn about_to_move(agent: &str) -> (World, SessionId) {
    let mut world = World::cluster(2, 1);
    let id = session_at(&[(&world.ring(1, 2), 1), (&world.ring(2, 3), 2)]);
    world.create(id, agent);
    world.begin_node();
    (world, id)
}

pub(super) fn done(words: &[String]) -> bool {
    words.last().is_some_and(|last| last.starts_with(r#"{"type":"message_end""#))
}

fn starts(words: &[String]) -> usize {
    words.iter().filter(|line| line.contains("message_start")).count()
}

impl World {
    /// A session of anna's, asked for at the first shard; its agent's calls need leave.
    pub(super) fn create(&mut self, id: SessionId, agent: &str) {
        let session = Session {
            id,
            owner: person("anna").id,
            title: "".into(),
            agent: Some(agent.into()),
            status: Status::Active,
            require_approval: true,
            metadata: "{}".into(),
            message_count: 0,
            created_at: self.now.wall,
            updated_at: self.now.wall,
            ended_at: None,
        };
        assert!(matches!(self.ask_chat(0, Ask::Create(Box::new(session))), Reply::Session(_)));
    }

    /// A socket that has joined; what it hears behind its welcome is there to be taken.
    pub(super) fn watch(&mut self, place: usize, id: SessionId, name: &str) -> ConnId {
        let conn = self.chat_socket(place, &shown(id).to_string(), &format!("?token={}", ticket(name)));
        let heard = self.take_heard(conn);
        assert!(heard[0] == "101" && heard[1].contains("auth_success"), "{heard:?}");
        self.heard.extend(heard.into_iter().skip(2).map(|words| (conn, words)));
        conn
    }

    /// Something is said over REST, and the answer followed.
    pub(super) fn follow(&mut self, place: usize, id: SessionId, n: u128, streamed: bool) -> (Heard, MessageId) {
        let ids = [Uuid::from_u128(0xa000 + 2 * n), Uuid::from_u128(0xa001 + 2 * n)];
        let (caller, content) = (person("anna"), format!("words {n}").into());
        let say = Ask::Say { session: id, caller, ids, content, attachments: Vec::new(), streamed };
        let heard = Heard::default();
        let told = heard.clone();
        let tell = Box::new(move |piece| {
            told.borrow_mut().push(piece);
            true
        });
        self.engines[place].say_chat(say, tell);
        self.run();
        (heard, ids[1])
    }

    /// The model that was asked last says this, and no more.
    pub(super) fn finish(&mut self, text: &str) {
        self.word(Word::Delta(text.into()));
        self.word(Word::Ended { stop: Stop::Done, usage: Usage::default() });
    }

    fn counted(&mut self, place: usize, row: Row) -> Option<u32> {
        let number = self.engines[place].count_chat(Payer::User(person("anna").id), row);
        self.run();
        match self.engines[place].poll_chat_count(number, Waker::noop()) {
            Poll::Ready(counted) => counted.remaining,
            Poll::Pending => panic!("counted as soon as letters have travelled"),
        }
    }

    fn pending(&mut self, place: usize, id: SessionId) -> Vec<Approval> {
        match self.ask_chat(place, Ask::Approvals { session: id, caller: person("anna") }) {
            Reply::Approvals(approvals) => approvals,
            other => panic!("{other:?}"),
        }
    }

    /// What the model that was asked last wants called.
    fn wants_a_tool(&mut self) {
        self.word(Word::Call(ToolCall { id: "c1".into(), tool: "look".into(), arguments: "{}".into() }));
        self.word(Word::Ended { stop: Stop::Calls, usage: Usage::default() });
    }
}

#[test]
fn a_session_is_watched_said_to_approved_and_looked_at_from_any_node() {
    for home in 0..3 {
        let mut world = World::cluster(3, 1);
        let id = session_at(&[(&world.ring(1, 3), home)]);
        world.create(id, "far");
        let conns = [world.watch(0, id, "anna"), world.watch(1, id, "root"), world.watch(2, id, "anna")];
        world.text(conns[2], &said("hello"));
        world.word(Word::Delta("I look.".into()));
        world.wants_a_tool();
        let asked = world.pending(1, id);
        let [Approval { id: question, .. }] = asked[..] else { panic!("{asked:?}") };
        let decide =
            Ask::Decide { session: id, caller: person("anna"), approval: question, yes: true, reason: None, comment: None };
        assert!(matches!(world.ask_chat(2, decide), Reply::Decided(_)));
        let (shard, run) = world.run_asked();
        world.answer_run(shard, Answer::Tool { run, outcome: ToolOutcome::Done("7".into()) });
        world.finish("Seven.");
        let heard = conns.map(|conn| world.texts(conn));
        assert!(heard[0] == heard[1] && heard[1] == heard[2] && done(&heard[0]), "{heard:?}");
        assert!(heard[0].iter().any(|line| line.contains(&approval(question).to_string())));
        let look = world.ask_chat(0, Ask::Look { session: id, caller: person("anna") });
        assert!(matches!(look, Reply::Session(row) if row.message_count == 2));
        world.leave_chat(&conns);
    }
}

#[test]
fn an_answer_streams_to_requests_on_every_node() {
    for home in 0..2 {
        let mut world = World::cluster(2, 2);
        let id = session_at(&[(&world.ring(1, 2), home)]);
        world.create(id, "far");
        for place in 0..4 {
            let (heard, _) = world.follow(place, id, place as u128, true);
            world.finish("Hi.");
            let pieces = heard.take();
            assert!(matches!(pieces[..], [Told::Begin { .. }, Told::Delta(_), Told::End { broken: None, .. }]), "{pieces:?}");
        }
        world.leave_chat(&[]);
    }
}

#[test]
fn when_an_idle_home_moves_nobody_notices() {
    let (mut world, id) = about_to_move("far");
    let conns = [world.watch(0, id, "anna"), world.watch(1, id, "root")];
    world.text(conns[0], &said("one"));
    world.finish("1");
    world.heard.clear();
    world.view(2, 3);
    assert_eq!(world.heard, []);
    world.text(conns[0], &said("two"));
    assert_eq!(world.run_asked().0, 2, "the new home answers");
    world.finish("2");
    let heard = conns.map(|conn| world.texts(conn));
    assert!(heard[0] == heard[1] && heard[0].len() == 3 && done(&heard[0]), "{heard:?}");
    let messages = world.sessions.load(id).unwrap().messages;
    assert_eq!(messages.iter().map(|message| &*message.content).collect::<Vec<_>>(), ["one", "1", "two", "2"]);
    let ended = world.ask_chat(1, Ask::End { session: id, caller: person("anna") });
    assert!(matches!(ended, Reply::Session(_)));
    for conn in conns {
        let heard = world.texts(conn);
        assert!(heard[0].contains("SESSION_ENDED") && heard[1..] == ["CLOSE 1000", "FIN"], "{heard:?}");
    }
    world.leave_chat(&conns);
}

#[test]
fn a_node_that_joins_does_not_break_an_answer_off() {
    let (mut world, id) = about_to_move("far");
    let conns = [world.watch(0, id, "anna"), world.watch(1, id, "anna")];
    world.text(conns[1], &said("one"));
    world.word(Word::Delta("On".into()));
    world.view(2, 3);
    world.word(Word::Delta("ce".into()));
    // Who comes now, and wherever, hears it from where it is given.
    let late = world.watch(2, id, "anna");
    assert_eq!(world.texts(late)[1..], [delta("Once")]);
    world.wants_a_tool();
    let asked = world.pending(2, id);
    let [Approval { id: question, .. }] = asked[..] else { panic!("{asked:?}") };
    let decide = Ask::Decide { session: id, caller: person("anna"), approval: question, yes: false, reason: None, comment: None };
    assert!(matches!(world.ask_chat(0, decide), Reply::Decided(_)));
    assert_eq!(world.run_asked().0, 1);
    world.finish("more");
    for conn in conns {
        let heard = world.texts(conn);
        assert!(
            starts(&heard) == 1 && done(&heard) && heard.iter().filter(|line| line.contains("delta")).count() == 3,
            "{heard:?}"
        );
    }
    assert!(done(&world.texts(late)));
    world.text(late, &said("two"));
    assert_eq!(world.run_asked().0, 2, "now the new home has it");
    world.finish("2");
    for conn in [conns[0], conns[1], late] {
        let heard = world.texts(conn);
        assert!(starts(&heard) == 1 && done(&heard) && heard.len() == 3, "{heard:?}");
    }
    world.leave_chat(&[conns[0], conns[1], late]);
}

#[test]
fn what_waits_behind_an_answer_is_answered_by_the_next_home_once_and_in_order() {
    let (mut world, id) = about_to_move("far");
    let conn = world.watch(0, id, "anna");
    world.text(conn, &said("one"));
    world.text(conn, &said("two"));
    let (waiting, _) = world.follow(1, id, 3, true);
    let gone = world.watch(1, id, "anna");
    world.text(gone, &said("four"));
    world.eof(gone);
    world.view(2, 3);
    world.text(conn, &said("five"));
    world.finish("1");
    for words in ["2", "3", "4", "5"] {
        assert_eq!(world.run_asked().0, 2);
        world.finish(words);
    }
    assert!(matches!(waiting.take()[..], [Told::Begin { .. }, Told::Delta(_), Told::End { broken: None, .. }]));
    let heard = world.texts(conn);
    assert!(starts(&heard) == 5 && heard.len() == 15, "{heard:?}");
    let messages = world.sessions.load(id).unwrap().messages;
    let mut users: Vec<String> = messages.iter().step_by(2).map(|message| message.content.to_string()).collect();
    assert!(users[0] == "one" && users.iter().position(|it| it == "two") < users.iter().position(|it| it == "five"), "{users:?}");
    users.sort();
    assert_eq!(users, ["five", "four", "one", "two", "words 3"]);
    world.leave_chat(&[conn]);
}

#[test]
fn a_new_home_waits_until_all_have_its_view() {
    let (mut world, id) = about_to_move("far");
    let conn = world.watch(0, id, "anna");
    let ring = world.ring(2, 3);
    let shards: Vec<_> = ring.shards().collect();
    world.view_comes(shards[2], &ring);
    world.view_comes(shards[1], &ring);
    world.run();
    // The one who speaks does not know that the home has moved.
    world.text(conn, &said("one"));
    let number = world.engines[1].ask_chat(Ask::End { session: id, caller: person("anna") });
    world.run();
    assert!(world.runs.is_empty() && world.heard.is_empty());
    assert_eq!(world.engines[1].poll_chat_reply(number, Waker::noop()), Poll::Pending);
    world.view_comes(shards[0], &ring);
    world.run();
    assert!(matches!(world.engines[1].poll_chat_reply(number, Waker::noop()), Poll::Ready(Reply::Session(_))));
    let heard = world.texts(conn);
    assert!(heard.last().is_some_and(|last| last == "FIN") && heard.iter().any(|line| line == "CLOSE 1000"), "{heard:?}");
    world.leave_chat(&[conn]);
}

#[test]
fn views_that_are_passed_over_or_come_again_change_nothing_for_who_watches() {
    let (mut world, id) = about_to_move("far");
    let conns = [world.watch(0, id, "anna"), world.watch(1, id, "anna")];
    world.text(conns[0], &said("one"));
    let (third, again) = (world.ring(2, 3), world.ring(4, 3));
    let shards: Vec<_> = third.shards().collect();
    // The home hears of the second view, the others of the fourth at once; then of each once more.
    world.view_comes(shards[1], &third);
    world.view_comes(shards[1], &third);
    world.run();
    for shard in [shards[0], shards[2], shards[1], shards[1], shards[0]] {
        world.view_comes(shard, &again);
        world.run();
    }
    assert!(world.engines.iter().all(|engine| engine.is_whole()));
    world.finish("1");
    world.view(5, 3);
    world.text(conns[1], &said("two"));
    assert_eq!(world.run_asked().0, 2);
    world.finish("2");
    for conn in conns {
        let heard = world.texts(conn);
        assert!(starts(&heard) == 2 && heard.len() == 6 && done(&heard), "{heard:?}");
    }
    world.leave_chat(&conns);
}

#[test]
fn a_home_that_comes_back_is_the_home_again() {
    // The third node joins and dies while the answer is given; nobody there had the session.
    let (mut world, id) = about_to_move("far");
    let conn = world.watch(0, id, "anna");
    world.text(conn, &said("one"));
    world.view(2, 3);
    world.kill(2);
    world.view(3, 3);
    world.finish("1");
    world.text(conn, &said("two"));
    assert_eq!(world.run_asked().0, 1);
    world.finish("2");
    let heard = world.texts(conn);
    assert!(starts(&heard) == 2 && heard.len() == 6, "{heard:?}");
    world.leave_chat(&[conn]);
}

#[test]
fn requests_are_counted_over_nodes_and_anew_where_the_count_has_moved() {
    let mut world = World::cluster(2, 1);
    let user = person("anna").id;
    let before = world.ring(1, 2).home(user.as_bytes()).node().0;
    let left = |world: &mut World, place| world.counted(place, Row::Look);
    assert_eq!([0, 1, 0, 1].map(|place| left(&mut world, place)), [119, 118, 117, 116].map(Some));
    world.begin_node();
    world.view(2, 3);
    let after = world.ring(2, 3).home(user.as_bytes()).node().0;
    let next = if before == after { 115 } else { 119 };
    assert_eq!([2, 0, 1].map(|place| left(&mut world, place)), [next, next - 1, next - 2].map(Some));
    // Whoever counts dies, with a request on its way.
    world.kill(after);
    let place = if after == 0 { 1 } else { 0 };
    let number = world.engines[place].count_chat(Payer::User(user), Row::Look);
    world.run();
    assert!(world.engines[place].poll_chat_count(number, Waker::noop()).is_pending());
    world.view(3, 3);
    assert!(world.engines[place].poll_chat_count(number, Waker::noop()).is_ready(), "it is counted by the next");
    world.pass(Duration::from_secs(61));
}
