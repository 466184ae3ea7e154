//! The presence contract as a client sees it: what it sends, and what kinds of text it hears.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The label that every student of a load run signs in with.
pub(crate) const AGENT_LABEL: &str = "load";
/// `id.entity_type` and `id.operation` of what `broadcast` publishes.
pub(crate) const TICK: (&str, &str) = ("load", "tick");

const SUCCESS: &[u8] = br#"{"type":"connect_success"}"#;
const EVENT_START: &[u8] = br#"{"id":{"entity_type":""#;
const OPERATION: &[u8] = br#"","operation":""#;
const TICK_START: &[u8] = br#"{"id":{"entity_type":"load","operation":"tick","sequence_id":"#;
const TICK_PAYLOAD: &[u8] = br#"},"payload":{"at":"#;
const TICK_NUMBER: &[u8] = br#","n":"#;

#[derive(Serialize)]
struct ConnectRequest<'a> {
    r#type: &'static str,
    payload: ConnectPayload<'a>,
}

#[derive(Serialize)]
struct ConnectPayload<'a> {
    agent_label: &'a str,
    classroom_id: Uuid,
    token: &'a str,
}

/// The text of a `connect_request`.
pub(crate) fn connect_request(classroom: Uuid, token: &str) -> String {
    let payload = ConnectPayload { agent_label: AGENT_LABEL, classroom_id: classroom, token };
    serde_json::to_string(&ConnectRequest { r#type: "connect_request", payload }).expect("strings and a uuid always serialise")
}

/// What a text frame of the server says.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// `connect_success`.
    Success,
    /// A session error, by its `payload.type`.
    Refused(String),
    /// An agent came.
    Entered,
    /// An agent went.
    Left,
    /// Several came or went.
    Changed,
    /// What a `broadcast` run published.
    Tick(Tick),
    /// Any other event.
    Other,
    /// Nothing that the contract knows.
    Foreign,
}

/// One delivered message of a `broadcast` run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tick {
    /// The number that the server gave it.
    pub(crate) sequence_id: u64,
    /// When it was meant to be published, nanoseconds of CLOCK_MONOTONIC.
    pub(crate) at_ns: u64,
    /// Its place in the run's schedule.
    pub(crate) number: u64,
}

#[derive(Deserialize)]
struct Loose {
    r#type: Option<String>,
    payload: Option<LoosePayload>,
    id: Option<LooseId>,
}

#[derive(Deserialize)]
struct LoosePayload {
    r#type: Option<String>,
    at: Option<u64>,
    n: Option<u64>,
}

#[derive(Deserialize)]
struct LooseId {
    entity_type: String,
    operation: String,
    sequence_id: Option<u64>,
}

/// Reads one text frame. The usual forms are told by their first bytes; all others by a JSON parser.
pub(crate) fn hear(text: &[u8]) -> Heard {
    if let Some(tick) = quick_tick(text) {
        return Heard::Tick(tick);
    }
    if text == SUCCESS {
        return Heard::Success;
    }
    quick_event(text).unwrap_or_else(|| slow(text))
}

fn quick_tick(text: &[u8]) -> Option<Tick> {
    let (sequence_id, rest) = number(text.strip_prefix(TICK_START)?)?;
    let (at_ns, rest) = number(rest.strip_prefix(TICK_PAYLOAD)?)?;
    let (number, _) = number(rest.strip_prefix(TICK_NUMBER)?)?;
    Some(Tick { sequence_id, at_ns, number })
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
    let value = text[..digits].iter().fold(0u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    (digits > 0).then_some((value, &text[digits..]))
}

fn quick_event(text: &[u8]) -> Option<Heard> {
    let (entity, rest) = word(text.strip_prefix(EVENT_START)?)?;
    let (operation, _) = word(rest.strip_prefix(&OPERATION[1..])?)?;
    (entity != TICK.0.as_bytes()).then(|| event(entity, operation))
}

/// The bytes up to the next quotation mark, and what follows it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().take(64).position(|byte| *byte == b'"')?;
    Some((&text[..end], &text[end + 1..]))
}

fn event(entity: &[u8], operation: &[u8]) -> Heard {
    match (entity, operation) {
        (b"agent", b"entered") => Heard::Entered,
        (b"agent", b"left") => Heard::Left,
        (b"agent", b"changed") => Heard::Changed,
        _ => Heard::Other,
    }
}

fn slow(text: &[u8]) -> Heard {
    let Ok(loose) = serde_json::from_slice::<Loose>(text) else { return Heard::Foreign };
    match (loose.r#type, loose.id, loose.payload) {
        (Some(kind), _, _) if kind == "connect_success" => Heard::Success,
        (Some(_), _, Some(LoosePayload { r#type: Some(error), .. })) => Heard::Refused(error),
        (Some(_), _, _) => Heard::Foreign,
        (None, Some(id), payload) => slow_event(&id, payload),
        (None, None, _) => Heard::Foreign,
    }
}

fn slow_event(id: &LooseId, payload: Option<LoosePayload>) -> Heard {
    if (id.entity_type.as_str(), id.operation.as_str()) != TICK {
        return event(id.entity_type.as_bytes(), id.operation.as_bytes());
    }
    match (id.sequence_id, payload) {
        (Some(sequence_id), Some(LoosePayload { at: Some(at_ns), n: Some(number), .. })) => {
            Heard::Tick(Tick { sequence_id, at_ns, number })
        }
        _ => Heard::Other,
    }
}

/// One agent that came or went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// `agent_id`.
    pub(crate) agent: String,
    /// The number of its session.
    pub(crate) session: u64,
    /// It came.
    pub(crate) came: bool,
}

#[derive(Deserialize)]
struct ChangeEvent {
    id: LooseId,
    payload: ChangePayload,
}

#[derive(Deserialize)]
struct ChangePayload {
    agent_id: Option<String>,
    #[serde(default)]
    entered: Vec<AgentSession>,
    #[serde(default)]
    left: Vec<AgentSession>,
}

#[derive(Deserialize)]
struct AgentSession {
    agent_id: String,
    sequence_id: u64,
}

/// Who came and who went by an event: one in `entered` and `left`, several in `changed`, there by the numbers of their sessions.
pub(crate) fn changes(text: &[u8]) -> Vec<Change> {
    let Ok(ChangeEvent { id, payload }) = serde_json::from_slice::<ChangeEvent>(text) else { return Vec::new() };
    match (event(id.entity_type.as_bytes(), id.operation.as_bytes()), payload.agent_id, id.sequence_id) {
        (Heard::Entered, Some(agent), Some(session)) => vec![Change { agent, session, came: true }],
        (Heard::Left, Some(agent), Some(session)) => vec![Change { agent, session, came: false }],
        (Heard::Changed, ..) => {
            let several = |all: Vec<AgentSession>, came: bool| {
                all.into_iter().map(move |one| Change { agent: one.agent_id, session: one.sequence_id, came })
            };
            let mut all: Vec<Change> = several(payload.entered, true).chain(several(payload.left, false)).collect();
            all.sort_by_key(|change| change.session);
            all
        }
        _ => Vec::new(),
    }
}

/// Writes the body of a publish whose delivered text is `bytes` long when its sequence number has `digits` digits.
pub(crate) fn publish_body(out: &mut Vec<u8>, at_ns: u64, number: u64, bytes: usize, digits: usize) {
    use std::io::Write;
    let (entity, operation) = TICK;
    out.clear();
    let written =
        write!(out, r#"{{"entity_type":"{entity}","operation":"{operation}","payload":{{"at":{at_ns},"n":{number},"pad":""#);
    debug_assert!(written.is_ok());
    let payload = out.iter().rposition(|byte| *byte == b'{').unwrap_or(0);
    let delivered = TICK_START.len() + digits + r#"},"payload":"#.len() + (out.len() - payload) + r#""}}"#.len();
    out.resize(out.len() + bytes.saturating_sub(delivered), b'.');
    out.extend_from_slice(br#""}}"#);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_and_unusual_spellings_are_heard_alike() {
        assert_eq!(hear(br#"{"type":"connect_success"}"#), Heard::Success);
        assert_eq!(hear(br#"{ "type" : "connect_success" }"#), Heard::Success);
        let refused = br#"{"type":"unrecoverable_session_error","payload":{"type":"unauthenticated","title":"U","status":401}}"#;
        assert_eq!(hear(refused), Heard::Refused("unauthenticated".into()));
        assert_eq!(hear(br#"{"id":{"entity_type":"agent","operation":"entered","sequence_id":9},"payload":{}}"#), Heard::Entered);
        assert_eq!(hear(br#"{"id": {"operation":"left","entity_type":"agent","sequence_id":9},"payload":{}}"#), Heard::Left);
        assert_eq!(hear(br#"{"id":{"entity_type":"agent","operation":"changed","sequence_id":9},"payload":{}}"#), Heard::Changed);
        assert_eq!(hear(br#"{"id":{"entity_type":"ban","operation":"created","sequence_id":9},"payload":{}}"#), Heard::Other);
        assert_eq!(hear(b"hello"), Heard::Foreign);
        assert_eq!(hear(br#"{"type":"something"}"#), Heard::Foreign);
    }

    #[test]
    fn ticks_carry_their_moment_in_any_spelling() {
        let tick = Tick { sequence_id: 7, at_ns: 123_456, number: 42 };
        let quick =
            br#"{"id":{"entity_type":"load","operation":"tick","sequence_id":7},"payload":{"at":123456,"n":42,"pad":"."}}"#;
        assert_eq!(quick_tick(quick), Some(tick));
        assert_eq!(hear(quick), Heard::Tick(tick));
        let slow = br#"{"payload":{"n":42,"at":123456},"id":{"entity_type":"load","operation":"tick","sequence_id":7}}"#;
        assert_eq!(hear(slow), Heard::Tick(tick));
    }

    #[test]
    fn changes_are_told_one_by_one() {
        let one =
            br#"{"id":{"entity_type":"agent","operation":"left","sequence_id":9},"payload":{"version":"v1","agent_id":"a"}}"#;
        assert_eq!(changes(one), [Change { agent: "a".into(), session: 9, came: false }]);
        let several = br#"{"id":{"entity_type":"agent","operation":"changed","sequence_id":9},
            "payload":{"entered":[{"agent_id":"a","sequence_id":9}],"left":[{"agent_id":"a","sequence_id":3}],"count":1}}"#;
        let told: Vec<_> = changes(several).into_iter().map(|change| (change.session, change.came)).collect();
        assert_eq!(told, [(3, false), (9, true)]);
        assert_eq!(changes(br#"{"type":"connect_success"}"#), []);
    }

    #[test]
    fn a_published_body_is_delivered_in_the_size_asked_for() {
        let mut body = Vec::new();
        publish_body(&mut body, 1_234_567_890, 3, 256, 1);
        let asked: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let text = String::from_utf8(body.clone()).unwrap();
        let payload = text.split_once(r#""payload":"#).unwrap().1.strip_suffix('}').unwrap();
        assert_eq!(asked["payload"]["at"], 1_234_567_890);
        let delivered = format!(r#"{{"id":{{"entity_type":"load","operation":"tick","sequence_id":7}},"payload":{payload}}}"#);
        assert_eq!(delivered.len(), 256);
        assert_eq!(hear(delivered.as_bytes()), Heard::Tick(Tick { sequence_id: 7, at_ns: 1_234_567_890, number: 3 }));
    }
}
