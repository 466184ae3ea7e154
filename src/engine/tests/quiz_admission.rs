//! Who gets a socket of the quiz, and how the others are told.

use super::{quizzes::*, world::*};
use crate::{
    auth::{Algorithm, Claims, Secret, SigningKey},
    engine::{Engine, Question, port::Handoff},
    protocols::quiz::{
        QuizId,
        asks::{Ask, Refused, Reply},
        model::Role,
        record::{Account, Kept, Record},
    },
    realtime::{ConnId, ShardId, StoreFault, UnixMicros},
};
use std::time::Duration;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);

fn on_one_and_two(script: impl Fn(&mut World, usize)) {
    let quizzes = || [quiz(1, "a", 0), quiz(2, "a", 0), quiz(3, "b", 0)];
    script(&mut World::with_quizzes(1, quizzes()), 0);
    script(&mut World::with_quizzes(2, quizzes()), 1);
}

fn denied(status: u16, text: &str) -> [String; 2] {
    [format!(r#"{status} {{"error":"{text}","message":"{text}"}}"#), "FIN".into()]
}

fn refused(world: &mut World, conn: ConnId, status: u16, text: &str) {
    assert_eq!(world.take_heard(conn), denied(status, text));
    world.eof(conn);
    assert_eq!(world.take_heard(conn), ["END"]);
}

fn expired_token() -> String {
    let key = SigningKey::new(Algorithm::HS256, &Secret::new(SECRET)).unwrap();
    let claims = Claims { issuer: "issuer", audience: "school", subject: "a", lifetime: Some(SECOND) };
    key.issue(&claims, UnixMicros(1_600_000_000_000_000)).unwrap()
}

/// Refusals in the contract's order: status and text, no 101 ever, with an upgrade and without.
#[test]
fn each_bad_credential_has_its_status_and_text_with_an_upgrade_and_without() {
    on_one_and_two(|world, other| {
        world.library.keys = vec![key(1, "a", Role::User)];
        world.begin();
        let attempt = world.start(0, 1, "Alice");
        world.ask_quiz(other, Ask::Submit { quiz: QuizId(1), attempt });
        let one = "Provide exactly one of 'token' or 'session' query parameter";
        let (good, over) = (token("a"), session_key().token(1, attempt));
        let cases = [
            (String::new(), 401, one),
            ("?other=1".into(), 401, one),
            (format!("?token={good}&session={over}"), 401, one),
            ("?token=no.to.ken".into(), 401, "Invalid or expired credential"),
            ("?token=".into(), 401, "Invalid or expired credential"),
            (format!("?token={}", expired_token()), 401, "Invalid or expired credential"),
            (format!("?token={}", key_text(2)), 401, "Invalid or expired credential"),
            (format!("?token={}", key_text(1)), 403, "API key does not have owner role"),
            ("?session=abc123".into(), 401, "Invalid session"),
            (format!("?session={over}"), 401, "Invalid session"),
            (format!("?session={}", session_key().token(1, Uuid::from_u128(9))), 401, "Invalid session"),
            (format!("?session={}", session_key().token(77, attempt)), 401, "Invalid session"),
            ("?token=%ZZ".into(), 400, "Invalid query parameters"),
            (format!("?token={good}&token={good}"), 400, "Invalid query parameters"),
        ];
        for (query, status, text) in &cases {
            let conn = world.request(other, query);
            refused(world, conn, *status, text);
            let plain = world.plain(other, &format!("/ws{query}"));
            refused(world, plain, *status, text);
        }
        let counts: u64 = world.engines.iter().flat_map(|e| &e.counters().quiz_denials).map(|count| count.read()).sum();
        assert_eq!(counts, cases.len() as u64 * 2);
        assert_eq!(world.engines.iter().map(|engine| engine.counters().upgraded.read()).sum::<u64>(), 0);
        world.leave_all(&[]);
    });
}

#[test]
fn who_may_come_in_and_asks_for_no_websocket_is_told_so() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 1, "Alice");
        for query in [format!("?token={}", token("a")), format!("?session={}", session_key().token(1, attempt))] {
            let conn = world.plain(other, &format!("/ws{query}"));
            let told = r#"426 {"code":"REQ-001","message":"this path is for WebSocket upgrades"}"#;
            assert_eq!(world.take_heard(conn), [told, "FIN"]);
            world.eof(conn);
            assert_eq!(world.take_heard(conn), ["END"]);
        }
        let rest = world.plain(other, "/api/v1/quizzes");
        assert!(world.take_heard(rest)[0].starts_with("HTTP "));
        world.ask_quiz(0, Ask::Submit { quiz: QuizId(1), attempt });
        world.leave_all(&[]);
    });
}

/// A head holds a credential, in its query or in a header.
#[test]
fn nothing_that_was_read_is_shown_of_a_connection() {
    on_one_and_two(|world, other| {
        let (now, attempt) = (world.now, Uuid::from_u128(9));
        let engine = &mut world.engines[other];
        let conn = engine.accepted(QUIZ_LISTENER, now).unwrap();
        let shown = |engine: &Engine| format!("{:?}", engine.connections.at(engine.key(conn)).unwrap().phase);
        let head = format!("GET /ws?session={} HTTP/1.1\r\nHost: x\r\n", session_key().token(2, attempt));
        engine.received(conn, head.as_bytes(), now);
        assert_eq!(shown(engine), format!("Head({} bytes)", head.len()));
        engine.received(conn, b"\r\n", now);
        let read = head.len() + 2;
        assert_eq!(shown(engine), format!("Admitting(Admitting {{ who: (QuizId(2), {attempt}), read: {read} bytes }})"));
        let handoff = Handoff { conn, listener: QUIZ_LISTENER, head: head.into(), refused: None };
        let expected =
            format!("Handoff {{ conn: {conn:?}, listener: {QUIZ_LISTENER:?}, head_bytes: {}, refused: None }}", read - 2);
        assert_eq!(format!("{handoff:?}"), expected);
        world.run();
        refused(world, conn, 401, "Invalid session");
        world.leave_all(&[]);
    });
}

#[test]
fn an_owner_comes_in_by_token_and_by_key() {
    on_one_and_two(|world, other| {
        world.library.keys = vec![key(1, "a", Role::Owner)];
        world.begin();
        let mut conns = Vec::new();
        for credential in [token("a"), key_text(1)] {
            let conn = world.request(other, &format!("?token={credential}&unknown=1"));
            world.text(conn, &subscribe(&["quiz:1", "quiz:3"]));
            let heard = ["101", "subscribed quiz:1", "error: Subscription denied: quiz:3: not found or not owned"];
            assert_eq!(world.take_brief(conn), heard);
            conns.push(conn);
        }
        assert_eq!(world.engines[other].counters().quiz_owners.read(), 2);
        world.leave_all(&conns);
    });
}

/// Every shard acts by a new password when whoever set it is told.
#[test]
fn tokens_are_good_as_long_as_the_password_on_every_shard() {
    on_one_and_two(|world, other| {
        let (name, now) = ("a".to_owned(), world.now.wall);
        let passwords = [UnixMicros(now.0 - 1), now];
        let signing = SigningKey::new(Algorithm::HS256, &Secret::new(SECRET)).unwrap();
        let claims = Claims { issuer: "issuer", audience: "school", subject: "a", lifetime: None };
        let tokens = passwords.map(|set_at| signing.issue_for_password(&claims, set_at, now).unwrap());
        world.engines.iter_mut().for_each(|engine| engine.begin_accounts(&[(name.clone(), passwords[0])]));
        let mut conns: Vec<ConnId> = (0..=other).map(|shard| world.request(shard, &format!("?token={}", tokens[0]))).collect();
        let account = Account { name, password_hash: String::new(), at: passwords[1] };
        assert_eq!(world.ask_quiz(other, Ask::Keep(Record::Owner(account))), Reply::Kept(Kept::Done));
        for shard in 0..=other {
            let conn = world.request(shard, &format!("?token={}", tokens[0]));
            refused(world, conn, 401, "Invalid or expired credential");
            let conn = world.request(shard, &format!("?token={}", tokens[1]));
            conns.push(conn);
        }
        for conn in &conns {
            assert_eq!(world.take_heard(*conn), ["101"], "sockets that are open stay open");
        }
        world.leave_all(&conns);
    });
}

/// Every shard acts by a change of keys when the request that made it is answered.
#[test]
fn a_key_is_good_on_every_shard_when_its_maker_is_told_and_bad_when_its_revoker_is() {
    on_one_and_two(|world, other| {
        let new = Ask::Keep(Record::Key(key(5, "a", Role::Owner)));
        assert_eq!(world.ask_quiz(other, new), Reply::Kept(Kept::Done));
        let conns: Vec<ConnId> = (0..=other).map(|shard| world.request(shard, &format!("?token={}", key_text(5)))).collect();
        for conn in &conns {
            assert_eq!(world.take_heard(*conn), ["101"]);
        }
        let revoked = Record::Revoked { owner: "school/a".into(), key: Uuid::from_u128(5), at: world.now.wall };
        assert_eq!(world.ask_quiz(0, Ask::Keep(revoked.clone())), Reply::Kept(Kept::Done));
        for shard in 0..=other {
            let conn = world.request(shard, &format!("?token={}", key_text(5)));
            refused(world, conn, 401, "Invalid or expired credential");
        }
        assert_eq!(world.ask_quiz(0, Ask::Keep(revoked)), Reply::Kept(Kept::Missing));
        world.text(conns[0], &subscribe(&["quiz:1"]));
        assert_eq!(world.take_brief(conns[0]), ["subscribed quiz:1"], "a socket that is open stays open");
        world.leave_all(&conns);
    });
}

#[test]
fn a_key_that_could_not_be_written_is_no_key() {
    let mut world = World::with_quizzes(2, []);
    world.library.fault = Some(StoreFault::Failed);
    let reply = world.ask_quiz(0, Ask::Keep(Record::Key(key(5, "a", Role::Owner))));
    assert_eq!(reply, Reply::Refused(Refused::Store(StoreFault::Failed)));
    let conn = world.request(1, &format!("?token={}", key_text(5)));
    refused(&mut world, conn, 401, "Invalid or expired credential");
}

/// The reply to a change of keys waits for the slowest shard.
#[test]
fn a_change_of_keys_is_not_confirmed_before_every_shard_has_heard_of_it() {
    let mut world = World::with_quizzes(2, []);
    for n in 0..8 {
        let number = world.engines[0].ask_quiz(Ask::Keep(Record::Key(key(n, "a", Role::Owner))));
        world.held = Some((ShardId(1), Vec::new()));
        world.run();
        assert_eq!(world.reply(0, number), None);
        let now = world.now;
        for (from, letter) in world.held.take().unwrap().1 {
            world.engines[1].letter(from, letter, now);
        }
        world.run();
        assert_eq!(world.reply(0, number), Some(Reply::Kept(Kept::Done)));
    }
}

/// What a participant sends behind the head is read once the home has admitted it, in order.
#[test]
fn what_comes_before_the_admission_is_read_after_it() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 1, "Alice");
        world.forget_quizzes();
        world.store.held = true;
        let conn = world.request(other, &format!("?session={}", session_key().token(1, attempt)));
        world.frame(conn, 9, b"there?");
        world.text(conn, "hello");
        assert_eq!(world.take_heard(conn), [""; 0]);
        let handshakes =
            |world: &World| world.engines.iter().map(|engine| engine.counters().handshake.read().count()).sum::<u64>();
        let before = handshakes(world);
        world.store.held = false;
        world.run();
        assert_eq!(handshakes(world), before, "how long it took is not known");
        let heard = world.take_brief(conn);
        let listening = format!("subscribed notification:{attempt}");
        let only = "error: Subscriptions are managed by the server for this session";
        assert_eq!(heard[..2], ["101".to_owned(), listening]);
        assert_eq!(
            {
                let mut rest = heard[2..].to_vec();
                rest.sort();
                rest
            },
            ["PONG".to_owned(), only.to_owned()]
        );
        world.ask_quiz(0, Ask::Submit { quiz: QuizId(1), attempt });
        world.leave_all(&[conn]);
    });
}

#[test]
fn one_who_waits_while_heads_are_to_be_smaller_is_admitted() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 1, "Alice");
        world.forget_quizzes();
        world.store.held = true;
        let conn = world.request(other, &format!("?session={}", session_key().token(1, attempt)));
        world.engines[other].limits.door.head.bytes = 64;
        world.store.held = false;
        world.run();
        assert_eq!(world.take_brief(conn)[0], "101");
        world.ask_quiz(0, Ask::Submit { quiz: QuizId(1), attempt });
        world.leave_all(&[conn]);
    });
}

#[test]
fn one_who_is_not_admitted_in_time_is_told_to_come_again() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 1, "Alice");
        world.forget_quizzes();
        world.store.held = true;
        let query = format!("?session={}", session_key().token(1, attempt));
        let (late, leaving, stopped) = (world.request(other, &query), world.request(other, &query), world.request(other, &query));
        world.bytes(stopped, &vec![b'x'; 80 << 10]);
        assert_eq!(world.take_heard(stopped), ["END"], "what waits is bounded");
        world.eof(leaving);
        assert_eq!(world.take_heard(leaving), ["END"]);
        world.pass(10 * SECOND + Duration::from_millis(10));
        refused(world, late, 503, "Service temporarily unavailable");
        world.store.held = false;
        world.run();
        assert_eq!(world.heard, []);
        assert_eq!(world.ask_quiz(0, Ask::Submit { quiz: QuizId(1), attempt }), world.submitted(attempt));
        let told: u64 = world.engines.iter().map(|engine| engine.counters().offered.read()).sum();
        assert_eq!(told, 0, "the home knows that nobody is there");
        world.leave_all(&[]);
    });
}

#[test]
fn when_the_store_cannot_be_read_nobody_is_called_a_stranger() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 1, "Alice");
        world.forget_quizzes();
        world.library.fault = Some(StoreFault::Failed);
        let conn = world.request(other, &format!("?session={}", session_key().token(1, attempt)));
        world.pass(2 * SECOND);
        refused(world, conn, 503, "Service temporarily unavailable");
        world.library.fault = None;
        let conn = world.participant(other, 1, attempt);
        world.ask_quiz(0, Ask::Submit { quiz: QuizId(1), attempt });
        world.leave_all(&[conn]);
    });
}

#[test]
fn those_who_wait_for_admission_when_the_server_closes_are_told_to_come_again() {
    let mut world = World::with_quizzes(1, [quiz(1, "a", 0)]);
    let attempt = world.start(0, 1, "Alice");
    world.forget_quizzes();
    world.store.held = true;
    let conn = world.request(0, &format!("?session={}", session_key().token(1, attempt)));
    world.drain();
    assert_eq!(world.heard, []);
    world.close();
    refused(&mut world, conn, 503, "Service temporarily unavailable");
    assert!(matches!(world.questions.front(), Some((0, Question::Load(QuizId(1))))));
}
