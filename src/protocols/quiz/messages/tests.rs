//! Every message of the contract's page, as the page has it but for the white space between tokens.

use super::*;
use uuid::uuid;

/// What stands in a frame, which must be one whole text frame.
fn payload(frame: &[u8]) -> &str {
    let start = match frame[..2] {
        [0x81, length @ 0..126] => (2, usize::from(length)),
        [0x81, 126] => (4, usize::from(u16::from_be_bytes([frame[2], frame[3]]))),
        [0x81, 127] => (10, u64::from_be_bytes(frame[2..10].try_into().unwrap()) as usize),
        _ => panic!("not a final text frame without a mask: {frame:?}"),
    };
    assert_eq!(frame.len(), start.0 + start.1);
    std::str::from_utf8(&frame[start.0..]).unwrap()
}

/// An example without the white space outside its strings.
fn tight(example: &str) -> String {
    let mut is_in_string = false;
    let mut kept = String::new();
    for character in example.chars() {
        is_in_string ^= character == '"';
        if is_in_string || !character.is_whitespace() {
            kept.push(character);
        }
    }
    kept
}

fn appended(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    payload(&out).to_owned()
}

fn at(text: &str) -> UnixMicros {
    let at = text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
    UnixMicros(at + 999_999)
}

fn who(event: Option<EventId>) -> Who {
    Who {
        attempt: uuid!("019364ab-7c12-7def-8000-abcdef123456"),
        participant: uuid!("01936400-bbbb-7def-8000-000000000002"),
        alias: "Alice".into(),
        quiz: QuizId(42),
        event,
    }
}

const EVENT: EventId = uuid!("01936400-cccc-7def-8000-000000000003");

#[test]
fn attempt_quiz() {
    let example = |event_id: &str| {
        tight(&format!(
            r#"{{
                "event": "update",
                "t": "attempt_quiz",
                "channel": "quiz",
                "data": {{
                    "attempt_id": "019364ab-7c12-7def-8000-abcdef123456",
                    "participant_id": "01936400-bbbb-7def-8000-000000000002",
                    "alias": "Alice",
                    "quiz_id": 42,
                    "event_id": {event_id},
                    "started_at": "2026-06-11T14:30:00+00:00"
                }}
            }}"#
        ))
    };
    let started_at = at("2026-06-11T14:30:00Z");
    let envelope = update(&Update::Started { who: &who(None), started_at });
    assert_eq!(payload(&envelope), example("null"));
    let in_an_event = update(&Update::Started { who: &who(Some(EVENT)), started_at });
    assert_eq!(payload(&in_an_event), example(r#""01936400-cccc-7def-8000-000000000003""#));
}

#[test]
fn attempt_update() {
    let example = |is_correct: &str, score: &str| {
        tight(&format!(
            r#"{{
                "event": "update",
                "t": "attempt_update",
                "channel": "quiz",
                "data": {{
                    "attempt_id": "019364ab-7c12-7def-8000-abcdef123456",
                    "participant_id": "01936400-bbbb-7def-8000-000000000002",
                    "alias": "Alice",
                    "quiz_id": 42,
                    "event_id": null,
                    "question_id": "550e8400-e29b-41d4-a716-446655440000",
                    "answer_id": "660e8400-e29b-41d4-a716-446655440099",
                    "is_correct": {is_correct},
                    "score": {score},
                    "answered_at": "2026-06-11T14:31:05+00:00",
                    "answered_count": 3,
                    "question_order": 2
                }}
            }}"#
        ))
    };
    let written = |is_correct, score| {
        let frame = update(&Update::Answered {
            who: &who(None),
            question: uuid!("550e8400-e29b-41d4-a716-446655440000"),
            answer: uuid!("660e8400-e29b-41d4-a716-446655440099"),
            is_correct,
            score,
            answered_at: at("2026-06-11T14:31:05Z"),
            answered_count: 3,
            question_order: 2,
        });
        payload(&frame).to_owned()
    };
    assert_eq!(written(Some(true), 10.0), example("true", "10.0"));
    assert_eq!(written(Some(false), 0.0), example("false", "0.0"));
    assert_eq!(written(None, 0.5), example("null", "0.5"));
}

#[test]
fn attempt_finished() {
    let example = r#"{
        "event": "update",
        "t": "attempt_finished",
        "channel": "quiz",
        "data": {
            "attempt_id": "019364ab-7c12-7def-8000-abcdef123456",
            "participant_id": "01936400-bbbb-7def-8000-000000000002",
            "alias": "Alice",
            "quiz_id": 42,
            "event_id": null,
            "answered_count": 10,
            "time_taken_ms": 182400
        }
    }"#;
    let frame = update(&Update::Finished { who: &who(None), answered_count: 10, time_taken_ms: 182_400 });
    assert_eq!(payload(&frame), tight(example));
}

#[test]
fn attempt_flagged() {
    let example = r#"{
        "event": "update",
        "t": "attempt_flagged",
        "channel": "quiz",
        "data": {
            "attempt_id": "019364ab-7c12-7def-8000-abcdef123456",
            "participant_id": "01936400-bbbb-7def-8000-000000000002",
            "alias": "Alice",
            "quiz_id": 42,
            "event_id": null,
            "labels": ["TAB_SWITCH", "CLIPBOARD"],
            "flagged_at": "2026-06-11T14:32:00+00:00"
        }
    }"#;
    let labels = ["TAB_SWITCH".to_owned(), "CLIPBOARD".to_owned()];
    let frame = update(&Update::Flagged { who: &who(None), labels: &labels, flagged_at: at("2026-06-11T14:32:00Z") });
    assert_eq!(payload(&frame), tight(example));
}

#[test]
fn attempt_closed() {
    for (reason, name) in
        [(Reason::TimeUp, "time_up"), (Reason::Submitted, "submitted"), (Reason::ForcedByOwner, "forced_by_owner")]
    {
        let example = format!(
            r#"{{
                "event": "update",
                "t": "attempt_closed",
                "channel": "notification",
                "data": {{
                    "attempt_id": "019364ab-7c12-7def-8000-abcdef123456",
                    "quiz_id": 42,
                    "event_id": null,
                    "reason": "{name}",
                    "score": 75.0,
                    "answered_count": 8,
                    "submitted_at": "2026-06-11T15:00:00+00:00"
                }}
            }}"#
        );
        let submitted_at = at("2026-06-11T15:00:00Z");
        let frame = update(&Update::Closed { who: &who(None), reason, score: 75.0, answered_count: 8, submitted_at });
        assert_eq!(payload(&frame), tight(&example));
        assert_eq!(serde_json::to_value(reason).unwrap(), name, "one name over REST and the socket");
    }
}

#[test]
fn confirmations() {
    let quiz = |id| Subscription::Quiz(Channel::Quiz, QuizId(id));
    let example = r#"{
        "event": "subscribed",
        "t": null,
        "subscriptions": ["quiz:42", "quiz:99"]
    }"#;
    assert_eq!(appended(|out| subscribed(out, [quiz(42), quiz(99)])), tight(example));
    let example = r#"{
        "event": "unsubscribed",
        "t": null,
        "subscriptions": ["quiz:42"]
    }"#;
    assert_eq!(appended(|out| unsubscribed(out, [quiz(42)])), tight(example));
    assert_eq!(appended(|out| unsubscribed(out, [])), r#"{"event":"unsubscribed","t":null,"subscriptions":[]}"#);
    let notification = [Subscription::Notification(who(None).attempt)];
    let text = r#"{"event":"subscribed","t":null,"subscriptions":["notification:019364ab-7c12-7def-8000-abcdef123456"]}"#;
    assert_eq!(appended(|out| subscribed(out, notification)), text);
    let others =
        [Subscription::Quiz(Channel::Attempts, QuizId(1)), Subscription::Quiz(Channel::Leaderboard, QuizId(QuizId::MAX))];
    let text = r#"{"event":"subscribed","t":null,"subscriptions":["attempts:1","leaderboard:9007199254740991"]}"#;
    assert_eq!(appended(|out| subscribed(out, others)), text);
}

#[test]
fn errors() {
    let example = r#"{
        "event": "error",
        "t": null,
        "error": "Subscription denied: quiz:99: not found or not owned"
    }"#;
    assert_eq!(appended(|out| error(out, "Subscription denied: quiz:99: not found or not owned")), tight(example));
    let text = r#"{"event":"error","t":null,"error":"Subscriptions are managed by the server for this session"}"#;
    assert_eq!(appended(|out| error(out, LISTEN_ONLY)), text);
    let read: serde_json::Value = serde_json::from_str(&appended(|out| error(out, "a\"\\\n"))).unwrap();
    assert_eq!(read["error"], "a\"\\\n");
}

#[test]
fn frames_are_appended_to_those_before() {
    let mut out = Vec::new();
    error(&mut out, "one");
    let first = out.clone();
    error(&mut out, "two");
    assert_eq!(out[..first.len()], first);
    assert_eq!(payload(&out[first.len()..]), r#"{"event":"error","t":null,"error":"two"}"#);
}

#[test]
fn snapshots() {
    let example = r#"{
        "event": "snapshot", "t": null, "channel": "attempts", "snapshot": [{
            "attempt_id": "019364ab-7c12-7def-8000-abcdef123456",
            "participant_id": "01936400-bbbb-7def-8000-000000000002",
            "alias": "Alice",
            "quiz_id": 42,
            "event_id": null,
            "status": "running",
            "started_at": "2026-06-11T14:30:00+00:00",
            "answered_count": 3,
            "score": 20.5,
            "flags_count": 1
        }]
    }"#;
    let (running, ended) = (who(None), who(Some(EVENT)));
    let started_at = Some(at("2026-06-11T14:30:00Z"));
    let row = Row { who: &running, rank: None, started_at, ended: false, answered_count: 3, score: 20.5, flags: Some(1) };
    assert_eq!(payload(&snapshot(Channel::Attempts, [row])), tight(example));
    let example = r#"{
        "event": "snapshot", "t": null, "channel": "leaderboard", "snapshot": [{
            "rank": 1,
            "attempt_id": "019364ab-7c12-7def-8000-abcdef123456",
            "participant_id": "01936400-bbbb-7def-8000-000000000002",
            "alias": "Alice",
            "quiz_id": 42,
            "event_id": "01936400-cccc-7def-8000-000000000003",
            "score": 75.0,
            "answered_count": 8,
            "status": "ended"
        }, {
            "rank": 2,
            "attempt_id": "019364ab-7c12-7def-8000-abcdef123456",
            "participant_id": "01936400-bbbb-7def-8000-000000000002",
            "alias": "Alice",
            "quiz_id": 42,
            "event_id": null,
            "score": 20.5,
            "answered_count": 3,
            "status": "running"
        }]
    }"#;
    let best = Row { who: &ended, rank: Some(1), started_at: None, ended: true, answered_count: 8, score: 75.0, flags: None };
    let second = Row { who: &running, rank: Some(2), ended: false, answered_count: 3, score: 20.5, ..best.clone() };
    assert_eq!(payload(&snapshot(Channel::Leaderboard, [best, second])), tight(example));
    let empty = r#"{"event":"snapshot","t":null,"channel":"attempts","snapshot":[]}"#;
    assert_eq!(payload(&snapshot(Channel::Attempts, [])), empty);
}

#[test]
fn a_snapshot_of_many_rows_is_still_one_frame() {
    let who = who(None);
    let row = Row { who: &who, rank: Some(1), started_at: None, ended: true, answered_count: 8, score: 75.0, flags: None };
    let frame = snapshot(Channel::Leaderboard, vec![row; 400]);
    assert!(frame.len() > 65_535);
    let read: serde_json::Value = serde_json::from_str(payload(&frame)).unwrap();
    assert_eq!(read["snapshot"].as_array().map(Vec::len), Some(400));
}

#[test]
fn what_users_chose_is_escaped() {
    let mut who = who(None);
    who.alias = "\"Al\" \\ \u{1}\n🎓".into();
    let labels = ["\"".to_owned()];
    let frame = update(&Update::Flagged { who: &who, labels: &labels, flagged_at: UnixMicros(0) });
    let read: serde_json::Value = serde_json::from_str(payload(&frame)).unwrap();
    assert_eq!(read["data"]["alias"], *who.alias);
    assert_eq!(read["data"]["labels"][0], "\"");
}
