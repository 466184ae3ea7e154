//! Sessions with agents, from the upgrade to the last word, on one shard and on two.

use super::{chat::*, world::*};
use crate::{
    engine::Answer,
    models::{Fault, Stop, ToolCall, ToolOutcome, Usage, Word},
    protocols::{
        chat::{
            Ask, Payer, Reply, Row, Told,
            asks::{Broken, Refused},
        },
        labs::{
            asks::{Ask as LabsAsk, Reply as LabsReply},
            model::Role,
            record::{Kept, Record},
        },
    },
    realtime::{Distribution, StoreFault},
};
use std::{
    task::{Poll, Waker},
    time::Duration,
};

fn on_one_and_two(agent: &str, script: impl Fn(&mut World, usize)) {
    for (shards, other) in [(1, 0), (2, 1)] {
        let mut world = World::new(shards);
        world.open(agent);
        script(&mut world, other);
    }
}

fn ended(words: &[String]) -> bool {
    words.last().is_some_and(|last| last.starts_with(r#"{"type":"message_end""#))
}

#[test]
fn all_sockets_of_a_session_hear_the_same_at_the_pace_of_the_agent() {
    on_one_and_two("tutor", |world, other| {
        let (one, two, teacher) = (world.listener(0, "anna"), world.listener(other, "anna"), world.listener(other, "root"));
        world.text(two, &said("/count 3 100"));
        let first = [world.texts(one), world.texts(two), world.texts(teacher)];
        assert!(first.iter().all(|heard| heard.len() == 1 && heard[0].starts_with(r#"{"type":"message_start""#)), "{first:?}");
        // A tick is 4 ms, and what is late does not make the next late.
        for (number, before) in [("1 ", 95), ("2 ", 90), ("3 ", 90)] {
            world.pass(Duration::from_millis(before));
            assert_eq!(world.texts(one), Vec::<String>::new(), "before {number}");
            world.pass(Duration::from_millis(10));
            assert_eq!(world.texts(one)[..1], [delta(number)]);
        }
        let heard = [world.texts(two), world.texts(teacher)];
        assert_eq!(heard[0], heard[1]);
        assert_eq!(heard[0][..3], [delta("1 "), delta("2 "), delta("3 ")]);
        assert!(ended(&heard[0]) && heard[0].len() == 4);
        let first_words: Distribution = world.engines.iter().map(|engine| engine.counters().first_word.read()).collect();
        assert_eq!(first_words.count(), 1, "one answer, whatever it says after its first word");
        assert!((0.095..=0.106).contains(&first_words.sum()), "{}", first_words.sum());
        world.leave_chat(&[one, two, teacher]);
    });
}

#[test]
fn what_is_played_late_is_caught_up_with_and_does_not_drift() {
    let mut world = World::new(1);
    world.open("tutor");
    let conn = world.listener(0, "anna");
    world.text(conn, &said("/count 50 100"));
    // The shard does not turn for a second.
    world.now.moment = world.now.moment + Duration::from_millis(1_020);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.texts(conn).len(), 1 + 10);
    world.pass(Duration::from_millis(4_000));
    let heard = world.texts(conn);
    assert!(ended(&heard) && heard.len() == 41, "{}", heard.len());
    world.leave_chat(&[conn]);
}

#[test]
fn many_pieces_at_once_come_in_several_turns_and_all_of_them() {
    let mut world = World::new(1);
    world.open("tutor");
    let conn = world.listener(0, "anna");
    world.text(conn, &said("/count 1000 0"));
    world.pass(Duration::from_millis(1));
    let first = world.texts(conn);
    assert!((2..=65).contains(&first.len()), "{}", first.len());
    world.pass(Duration::from_secs(1));
    let rest = world.texts(conn);
    assert_eq!(first.len() + rest.len(), 1_002);
    assert!(ended(&rest));
    world.leave_chat(&[conn]);
}

#[test]
fn a_cancel_ends_what_is_played_and_what_is_asked() {
    on_one_and_two("tutor", |world, other| {
        let conn = world.listener(other, "anna");
        world.text(conn, &said("/count 100 100"));
        world.pass(Duration::from_millis(250));
        world.text(conn, CANCEL);
        let heard = world.texts(conn);
        assert!(ended(&heard) && heard.len() == 4, "{heard:?}");
        world.pass(Duration::from_secs(2));
        assert_eq!(world.texts(conn), Vec::<String>::new());
        world.leave_chat(&[conn]);
    });
    on_one_and_two("far", |world, other| {
        let conn = world.listener(other, "anna");
        world.text(conn, &said("hello"));
        world.word(Word::Delta("Hel".into()));
        let (shard, run) = world.run_asked();
        world.text(conn, CANCEL);
        assert_eq!(world.stopped, [run]);
        assert!(ended(&world.texts(conn)));
        // What was on its way finds nobody.
        world.answer_run(shard, Answer::Model { run, word: Word::Delta("lo".into()) });
        assert_eq!(world.texts(conn), Vec::<String>::new());
        world.leave_chat(&[conn]);
    });
}

#[test]
fn a_model_elsewhere_calls_a_tool_elsewhere_and_goes_on() {
    on_one_and_two("far", |world, other| {
        let conn = world.listener(other, "anna");
        world.text(conn, &said("hello"));
        world.word(Word::Call(ToolCall { id: "c1".into(), tool: "look".into(), arguments: "{}".into() }));
        world.word(Word::Ended { stop: Stop::Calls, usage: Usage { prompt_tokens: 1, completion_tokens: 2 } });
        let (shard, run) = world.run_asked();
        world.answer_run(shard, Answer::Tool { run, outcome: ToolOutcome::Done("7".into()) });
        // The same answer again finds nobody.
        world.answer_run(shard, Answer::Tool { run, outcome: ToolOutcome::Done("8".into()) });
        world.word(Word::Delta("Seven.".into()));
        world.word(Word::Ended { stop: Stop::Done, usage: Usage { prompt_tokens: 3, completion_tokens: 4 } });
        let heard = world.texts(conn);
        assert_eq!(
            heard[1..],
            [
                r#"{"type":"tool_call","tool":"look","args":{}}"#.to_owned(),
                r#"{"type":"tool_result","tool":"look","result":7}"#.to_owned(),
                delta("Seven."),
                r#"{"type":"message_end","usage":{"prompt_tokens":4,"completion_tokens":6,"total_tokens":10}}"#.to_owned(),
            ]
        );
        assert_eq!((world.runs.len(), world.stopped.len()), (3, 0));
        world.leave_chat(&[conn]);
    });
}

#[test]
fn what_a_socket_is_told_alone_stands_behind_what_all_were_told_before() {
    let mut world = World::new(1);
    world.open("far");
    let conn = world.listener(0, "anna");
    world.text(conn, &said("hello"));
    world.texts(conn);
    let ((shard, run), now) = (world.run_asked(), world.now);
    // In one turn.
    world.engines[shard].answer(Answer::Model { run, word: Word::Delta("Hel".into()) }, now);
    world.text(conn, r#"{"type":"ping"}"#);
    assert_eq!(world.texts(conn), [delta("Hel"), r#"{"type":"pong"}"#.to_owned()]);
    world.text(conn, CANCEL);
    world.leave_chat(&[conn]);
}

#[test]
fn one_who_cannot_be_reached_ends_the_answer_with_an_error() {
    let mut world = World::new(1);
    world.open("far");
    let conn = world.listener(0, "anna");
    world.text(conn, &said("hello"));
    world.word(Word::Failed(Fault::Unreachable));
    let heard = world.texts(conn);
    assert!(heard[1].contains("AGENT_UNAVAILABLE") && ended(&heard), "{heard:?}");
    world.leave_chat(&[conn]);
}

#[test]
fn who_shows_no_good_token_or_no_session_is_told_and_closed() {
    on_one_and_two("tutor", |world, other| {
        let name = "sess_00000000000000000000000000005e55";
        let closed = |heard: &[String], code: &str, close: &str| {
            assert!(heard[heard.len() - 3].contains(code), "{heard:?}");
            assert_eq!(heard[heard.len() - 2..], [close.to_owned(), "FIN".to_owned()]);
        };
        let bad = world.chat_socket(other, name, "?token=bad");
        closed(&world.take_heard(bad), "WS_AUTH_FAILED", "CLOSE 1008");
        for (session, owner) in [("nothing", "anna"), ("sess_00000000000000000000000000005e56", "anna"), (name, "bert")] {
            let conn = world.chat_socket(other, session, &format!("?token={}", ticket(owner)));
            let heard = world.take_heard(conn);
            closed(&heard, "WS_SESSION_INVALID", "CLOSE 1008");
            let welcomed = heard.iter().any(|line| line.contains("auth_success"));
            assert_eq!(welcomed, session != "nothing", "{heard:?}");
            world.eof(conn);
        }
        let early = world.chat_socket(other, name, "");
        world.text(early, &said("hello"));
        closed(&world.take_heard(early), "WS_AUTH_FAILED", "CLOSE 1008");
        let silent = world.chat_socket(other, name, "");
        world.pass(Duration::from_millis(10_010));
        closed(&world.take_heard(silent), "WS_AUTH_FAILED", "CLOSE 1008");
        world.leave_chat(&[bad, early, silent]);
    });
}

#[test]
fn the_first_message_may_bring_the_token_and_the_next_come_right_behind_it() {
    let mut world = World::new(2);
    world.open("tutor");
    let conn = world.chat_socket(1, "sess_00000000000000000000000000005e55", "");
    let auth = format!(r#"{{"type":"auth","token":"{}"}}"#, ticket("anna"));
    let bytes = [masked(1, auth.as_bytes()), masked(1, said("What is 2 + 2?").as_bytes())].concat();
    world.bytes(conn, &bytes);
    world.pass(Duration::from_secs(1));
    let heard = world.texts(conn);
    assert!(heard[1].contains("auth_success") && heard[2].contains("message_start") && ended(&heard), "{heard:?}");
    world.leave_chat(&[conn]);
}

#[test]
fn a_stranger_who_says_much_is_closed_and_a_user_is_not() {
    let mut world = World::new(1);
    world.open("tutor");
    let stranger = world.chat_socket(0, "sess_00000000000000000000000000005e55", "");
    let long = format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(70_000));
    let frame = super::labs::long(1, long.as_bytes());
    world.bytes(stranger, &frame[..65_000]);
    assert_eq!(world.take_heard(stranger), ["101"]);
    world.bytes(stranger, &frame[65_000..66_000]);
    assert_eq!(world.take_heard(stranger), ["CLOSE 1009", "FIN"]);
    let conn = world.listener(0, "anna");
    world.bytes(conn, &frame);
    assert_eq!(world.texts(conn), [r#"{"type":"pong"}"#]);
    world.leave_chat(&[stranger, conn]);
}

#[test]
fn one_who_leaves_while_the_home_looks_is_taken_out_again() {
    let mut world = World::new(2);
    world.open("tutor");
    world.store.held = true;
    let name = "sess_00000000000000000000000000005e55";
    let conn = world.chat_socket(1, name, &format!("?token={}", ticket("anna")));
    world.eof(conn);
    world.store.held = false;
    world.run();
    world.leave_chat(&[]);
}

#[test]
fn messages_are_counted_over_all_shards() {
    let mut world = World::new(2);
    world.open("tutor");
    let conns = [world.listener(0, "anna"), world.listener(1, "anna")];
    for n in 0..61 {
        world.text(conns[n % 2], &said("What is 2 + 2?"));
        world.pass(Duration::from_millis(200));
    }
    let heard: Vec<String> = conns.iter().flat_map(|conn| world.texts(*conn)).collect();
    let counted = |what: &str| heard.iter().filter(|words| words.contains(what)).count();
    assert_eq!(
        (counted("message_start"), counted("RATE_LIMITED")),
        (120, 1),
        "both hear each answer, and one that it was too many"
    );
    let number = world.engines[0].count_chat(Payer::User(person("anna").id), Row::Message);
    world.run();
    match world.engines[0].poll_chat_count(number, Waker::noop()) {
        Poll::Ready(counted) => assert_eq!(counted.remaining, None),
        Poll::Pending => panic!("counted as soon as letters have travelled"),
    }
    world.leave_chat(&conns);
}

#[test]
fn one_who_follows_over_http_is_told_each_piece_and_dropped_after_the_last() {
    on_one_and_two("tutor", |world, other| {
        let (heard, _) = world.say(other, "/count 2 50", 100);
        world.pass(Duration::from_millis(200));
        let pieces = heard.take();
        assert!(matches!(pieces[..], [Told::Begin { .. }, Told::Delta(_), Told::Delta(_), Told::End { broken: None, .. }]));
        assert_eq!(std::rc::Rc::strong_count(&heard), 1, "nobody holds it any more");
        world.leave_chat(&[]);
    });
}

#[test]
fn one_who_takes_no_more_or_has_left_ends_the_answer() {
    on_one_and_two("tutor", |world, other| {
        let (heard, _) = world.say(other, "/count 100 50", 3);
        world.pass(Duration::from_millis(500));
        assert_eq!(heard.take().len(), 3);
        let last = world.sessions.load(SESSION).unwrap().messages.pop().unwrap();
        assert_eq!(last.completeness, crate::protocols::chat::model::Completeness::Incomplete);
        world.leave_chat(&[]);
    });
    on_one_and_two("tutor", |world, other| {
        let (heard, answer) = world.say(other, "/count 100 50", 100);
        world.pass(Duration::from_millis(75));
        world.engines[other].leave_chat(Ask::Leave { session: SESSION, answer });
        world.run();
        assert_eq!(heard.take().len(), 2);
        assert_eq!(std::rc::Rc::strong_count(&heard), 1, "nobody holds it any more");
        world.leave_chat(&[]);
    });
}

#[test]
fn the_end_of_a_session_closes_its_sockets_behind_the_error() {
    on_one_and_two("tutor", |world, other| {
        let conns = [world.listener(0, "anna"), world.listener(other, "anna")];
        let reply = world.ask_chat(other, Ask::End { session: SESSION, caller: person("anna") });
        assert!(matches!(reply, Reply::Session(_)));
        for conn in conns {
            let heard = world.texts(conn);
            assert!(heard[0].contains("SESSION_ENDED"), "{heard:?}");
            assert_eq!(heard[1..], ["CLOSE 1000", "FIN"]);
        }
        let reply = world.ask_chat(other, Ask::End { session: SESSION, caller: person("anna") });
        assert_eq!(reply, Reply::Refused(Refused::Ended));
        world.leave_chat(&conns);
    });
}

#[test]
fn at_the_stop_answers_are_broken_off_at_once_and_sockets_closed_at_the_end() {
    on_one_and_two("tutor", |world, other| {
        let conn = world.listener(other, "anna");
        let (heard, _) = world.say(other, "/count 100 50", 100);
        world.pass(Duration::from_millis(75));
        world.drain();
        assert!(matches!(heard.take().last(), Some(Told::End { broken: Some(Broken::Stopping), .. })));
        assert!(ended(&world.texts(conn)));
        world.text(conn, &said("hello"));
        assert!(world.texts(conn)[0].contains("AGENT_UNAVAILABLE"));
        world.close();
        assert_eq!(world.texts(conn), ["CLOSE 1012", "FIN"]);
        world.leave_chat(&[conn]);
    });
}

#[test]
fn one_who_may_not_sign_in_any_more_is_closed() {
    let mut world = World::new(2);
    world.open("tutor");
    let (anna, root) = (world.listener(1, "anna"), world.listener(1, "root"));
    let user = person("anna").id;
    let record = Record::EditedUser {
        user,
        role: Some(Role::User),
        active: Some(false),
        email: None,
        password_hash: None,
        last_login: None,
    };
    assert_eq!(world.ask_labs(0, LabsAsk::Keep(record)), LabsReply::Kept(Kept::Done));
    assert_eq!(world.texts(anna)[1..], ["CLOSE 1008", "FIN"]);
    assert_eq!(world.texts(root), Vec::<String>::new());
    let now = world.now.wall;
    assert!(world.engines.iter().all(|engine| engine.caller(&ticket("anna"), now).is_none()));
    world.leave_chat(&[anna, root]);
}

#[test]
fn what_the_store_does_not_take_is_not_begun() {
    let mut world = World::new(1);
    world.open("tutor");
    let conn = world.listener(0, "anna");
    world.sessions.fault = Some(StoreFault::Busy);
    world.text(conn, &said("hello"));
    assert!(world.texts(conn)[0].contains("MESSAGE_SEND_FAILED"));
    world.sessions.fault = None;
    world.leave_chat(&[conn]);
}
