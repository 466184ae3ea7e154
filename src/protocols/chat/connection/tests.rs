//! Scripts of one socket.

mod moving;

use super::*;
use crate::{protocols::chat::asks::Refused, realtime::ShardId};
use serde_json::Value;
use uuid::Uuid;

const CONN: ConnId = ConnId { shard: ShardId(0), generation: 0, slot: 1 };
const SESSION: SessionId = Uuid::from_u128(0xabc);
const USER: UserId = Uuid::from_u128(1);
const JOINED: FromSession = FromSession::Joined { session: SESSION, heard: NOTHING };
const NOTHING: Heard = Heard { last: None, is_open: false };
const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    machine: Connection,
    now: Now,
    begun: Vec<Effect>,
    ids: u128,
}

fn caller() -> Caller {
    Caller { id: USER, email: "a@school.example".into(), admin: false }
}

fn with_gate<T>(ids: &mut u128, act: impl FnOnce(&mut Gate<'_>) -> T) -> T {
    let judge = |token: &str| (token == "good").then(caller);
    let mut next = || {
        *ids += 2;
        [Uuid::from_u128(*ids), Uuid::from_u128(*ids + 1)]
    };
    act(&mut Gate { settings: &Settings::default(), judge: &judge, ids: &mut next })
}

impl Bench {
    fn new(token: Option<&str>) -> Bench {
        Bench::at(Some(SESSION), token)
    }

    fn at(named: Option<SessionId>, token: Option<&str>) -> Bench {
        let (mut begun, mut ids) = (Vec::new(), 0);
        let machine = with_gate(&mut ids, |gate| Connection::new(named, token, CONN, gate, &mut begun));
        Bench { machine, now: Now { moment: Moment(1_000_000), ..Now::default() }, begun, ids }
    }

    fn joined() -> Bench {
        let mut bench = Bench::new(Some("good"));
        assert_eq!(bench.happens(Event::Home(JOINED)), [Effect::Listen(SESSION)]);
        bench
    }

    fn happens(&mut self, event: Event<'_>) -> Vec<Effect> {
        let mut out = Vec::new();
        with_gate(&mut self.ids, |gate| self.machine.handle(event, CONN, self.now, gate, &mut out));
        out
    }

    fn text(&mut self, text: &str) -> Vec<Effect> {
        self.happens(Event::Text(text))
    }
}

fn sent(effects: &[Effect]) -> Vec<Value> {
    let frames = effects.iter().filter_map(|effect| match effect {
        Effect::Send(frame) => Some(&frame[frame.iter().position(|byte| *byte == b'{').unwrap()..]),
        _ => None,
    });
    frames.map(|json| serde_json::from_slice(json).unwrap()).collect()
}

fn codes(effects: &[Effect]) -> Vec<String> {
    sent(effects).iter().map(|text| text["code"].as_str().unwrap_or("").to_owned()).collect()
}

fn ended(effects: &[Effect]) -> Option<Farewell> {
    match effects.last() {
        Some(Effect::End(farewell)) => Some(*farewell),
        _ => None,
    }
}

fn said(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Home(ToSession::Say { content, .. }) => Some(content.to_string()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_token_in_the_query_is_enough() {
    let bench = Bench::new(Some("good"));
    assert_eq!(sent(&bench.begun)[0]["session_id"], format!("sess_{}", SESSION.simple()));
    assert_eq!(bench.begun[1], Effect::Home(ToSession::Join { conn: CONN, session: SESSION, caller: caller(), heard: None }));
}

#[test]
fn a_bad_token_is_told_and_closed() {
    let bench = Bench::new(Some("bad"));
    assert_eq!((codes(&bench.begun), ended(&bench.begun)), (vec!["WS_AUTH_FAILED".into()], Some(Farewell::NoAuth)));
    let mut bench = Bench::new(None);
    let told = bench.text(r#"{"type":"auth","token":"bad"}"#);
    assert_eq!((codes(&told), ended(&told)), (vec!["WS_AUTH_FAILED".into()], Some(Farewell::NoAuth)));
    assert_eq!(bench.text(r#"{"type":"ping"}"#), []);
    assert_eq!(bench.happens(Event::Gone), []);
}

#[test]
fn a_path_that_names_no_session_is_told_to_those_who_may_ask() {
    let refused = (vec!["WS_SESSION_INVALID".to_owned()], Some(Farewell::NoSession));
    let bench = Bench::at(None, Some("good"));
    assert_eq!((codes(&bench.begun), ended(&bench.begun)), refused);
    let mut bench = Bench::at(None, None);
    assert_eq!(bench.begun, [Effect::Timer(Some(10 * SECOND))]);
    let told = bench.text(r#"{"type":"auth","token":"good"}"#);
    assert_eq!((codes(&told), ended(&told)), refused);
    assert_eq!(bench.text(r#"{"type":"message","content":"hi"}"#), []);
    assert_eq!(bench.happens(Event::Gone), [], "no home knows it");
    let bench = Bench::at(None, Some("bad"));
    assert_eq!(codes(&bench.begun), ["WS_AUTH_FAILED"], "strangers are told nothing of paths");
}

#[test]
fn whoever_does_not_say_who_it_is_is_closed() {
    let mut bench = Bench::new(None);
    assert_eq!(bench.begun, [Effect::Timer(Some(10 * SECOND))]);
    assert_eq!(sent(&bench.text(r#"{"type":"ping"}"#))[0]["type"], "pong");
    assert_eq!(ended(&bench.happens(Event::TimerFired)), Some(Farewell::NoAuth));
    let mut bench = Bench::new(None);
    assert_eq!(ended(&bench.text(r#"{"type":"message","content":"hi"}"#)), Some(Farewell::NoAuth));
}

#[test]
fn what_comes_before_the_home_has_answered_waits_in_order() {
    let mut bench = Bench::new(None);
    bench.text(r#"{"type":"auth","token":"good"}"#);
    assert_eq!(bench.text(r#"{"type":"message","content":"one"}"#), []);
    assert_eq!(bench.text(r#"{"type":"cancel"}"#), []);
    assert_eq!(bench.text(r#"{"type":"message","content":"two","attachments":[]}"#), []);
    assert_eq!(bench.happens(Event::Home(JOINED)), [Effect::Listen(SESSION), Effect::Limit(USER)]);
    let next = bench.happens(Event::Limited(None));
    assert_eq!(said(&next), ["one"]);
    let cancel = ToSession::Cancel { conn: CONN, session: SESSION, answer: None };
    assert_eq!(next[1..], [Effect::Home(cancel), Effect::Limit(USER)]);
    assert_eq!(said(&bench.happens(Event::Limited(None))), ["two"]);
}

#[test]
fn limits_refuse_one_message_and_not_the_socket() {
    let mut bench = Bench::joined();
    bench.text(r#"{"type":"message","content":"one"}"#);
    let told = bench.happens(Event::Limited(Some(30)));
    assert_eq!((codes(&told), said(&told).len()), (vec!["RATE_LIMITED".into()], 0));
    assert_eq!(bench.text(r#"{"type":"message","content":"two"}"#), [Effect::Limit(USER)]);
    assert_eq!(said(&bench.happens(Event::Limited(None))), ["two"]);
}

#[test]
fn too_many_that_wait_end_it() {
    let mut bench = Bench::new(Some("good"));
    for _ in 0..WAITING_AT_MOST {
        assert_eq!(bench.text(r#"{"type":"message","content":"more"}"#), []);
    }
    assert_eq!(ended(&bench.text(r#"{"type":"message","content":"more"}"#)), Some(Farewell::TooMuch));
    assert_eq!(bench.happens(Event::Gone), [], "the home has not answered");
    let late = late(&JOINED, CONN, SESSION);
    assert_eq!(late, Some(Effect::Home(ToSession::Part { conn: CONN, session: SESSION })));
}

#[test]
fn too_much_that_waits_ends_it() {
    let mut bench = Bench::new(Some("good"));
    let file = "A".repeat(4 << 20);
    let large = format!(r#"{{"type":"message","content":"see","attachments":[{{"name":"a","data":"{file}"}}]}}"#);
    for _ in 0..2 {
        assert_eq!(bench.text(&large), []);
    }
    let told = bench.text(&large);
    assert_eq!((codes(&told), ended(&told)), (vec!["RATE_LIMITED".into()], Some(Farewell::TooMuch)));
}

#[test]
fn rubbish_is_told_and_the_socket_stays() {
    let mut bench = Bench::joined();
    for text in [
        "",
        "[]",
        "\"x\"",
        "{\"type\":5}",
        "{\"type\":\"dance\"}",
        "{\"type\":\"message\"}",
        "{\"type\":\"message\",\"content\":5}",
    ] {
        assert_eq!(codes(&bench.text(text)), ["WS_MESSAGE_INVALID"], "{text}");
    }
    assert_eq!(codes(&bench.text(r#"{"type":"message","content":" "}"#)), ["MESSAGE_EMPTY"]);
    let long = format!(r#"{{"type":"message","content":"{}"}}"#, "é".repeat(100_001));
    assert_eq!(codes(&bench.text(&long)), ["MESSAGE_TOO_LONG"]);
    let attached = r#"{"type":"message","content":"a","attachments":[{"name":"n","data":"?"}]}"#;
    assert_eq!(codes(&bench.text(attached)), ["WS_MESSAGE_INVALID"]);
    assert_eq!(codes(&bench.happens(Event::Binary)), ["WS_MESSAGE_INVALID"]);
    assert_eq!(bench.text(r#"{"type":"cancel","operation_id":"no such"}"#), []);
}

#[test]
fn who_may_not_join_is_told_why() {
    for (invalid, code, farewell) in
        [(true, "WS_SESSION_INVALID", Farewell::NoSession), (false, "WS_CONNECTION_CLOSED", Farewell::Unavailable)]
    {
        let mut bench = Bench::new(Some("good"));
        let told = bench.happens(Event::Home(FromSession::Refused { invalid }));
        assert_eq!((codes(&told), ended(&told)), (vec![code.into()], Some(farewell)));
        assert_eq!(bench.happens(Event::Gone), []);
    }
}

#[test]
fn the_session_ends_and_so_does_the_socket() {
    let mut bench = Bench::joined();
    assert_eq!(
        codes(&bench.happens(Event::Home(FromSession::NotTaken { answer: Uuid::nil(), why: Refused::Ended }))),
        ["SESSION_ENDED"]
    );
    assert_eq!(bench.happens(Event::Home(FromSession::Over)), [Effect::End(Farewell::Over)]);
    assert_eq!(bench.happens(Event::Gone), [Effect::Home(ToSession::Part { conn: CONN, session: SESSION })]);
}

#[test]
fn pings_find_the_dead_and_anything_is_life() {
    let mut bench = Bench::joined();
    let beat = [Effect::Ping, Effect::Timer(Some(30 * SECOND))];
    for _ in 0..5 {
        bench.now.moment = bench.now.moment + 30 * SECOND;
        assert_eq!(bench.happens(Event::TimerFired), beat);
        bench.text(r#"{"type":"ping"}"#);
    }
    bench.now.moment = bench.now.moment + 30 * SECOND;
    assert_eq!(bench.happens(Event::TimerFired), beat);
    bench.now.moment = bench.now.moment + 30 * SECOND;
    assert_eq!(bench.happens(Event::TimerFired), beat);
    bench.now.moment = bench.now.moment + 30 * SECOND;
    assert_eq!(bench.happens(Event::TimerFired), [Effect::End(Farewell::NoPong)]);
}

#[test]
fn a_revoked_token_ends_it() {
    let mut bench = Bench::joined();
    assert_eq!(ended(&bench.happens(Event::Revoked)), Some(Farewell::NoAuth));
}
