//! Goldens: every message of the contract, to the byte.

use super::*;
use crate::websocket::frame::{Opcode, encode};

/// The texts of the contract, compact.
const ERRORS: [(SessionError, &str); 11] = [
    (SessionError::UnsupportedRequest, r#""unsupported_request","title":"Unsupported request","status":422"#),
    (SessionError::Unauthenticated, r#""unauthenticated","title":"Unauthenticated","status":401"#),
    (SessionError::AccessDenied, r#""access_denied","title":"Access denied","status":403"#),
    (
        SessionError::DatabaseConnectionAcquisitionFailed,
        r#""database_connection_acquisition_failed","title":"Database connection acquisition failed","status":422"#,
    ),
    (SessionError::DatabaseQueryFailed, r#""database_query_failed","title":"Database query failed","status":422"#),
    (SessionError::SerializationFailed, r#""serialization_failed","title":"Serialization failed","status":422"#),
    (SessionError::MessagingFailed, r#""messaging_failed","title":"Messaging failed","status":422"#),
    (
        SessionError::CloseOldConnectionFailed,
        r#""close_old_connection_failed","title":"Close old connection failed","status":422"#,
    ),
    (SessionError::AuthTimedOut, r#""auth_timed_out","title":"Auth timed out","status":422"#),
    (SessionError::PongTimedOut, r#""pong_timed_out","title":"Pong timed out","status":422"#),
    (SessionError::Replaced, r#""replaced","title":"Replaced","status":422"#),
];

fn written(notice: Notice) -> Vec<u8> {
    let mut out = Vec::new();
    notice.write(&mut out);
    out
}

fn framed(text: &str, behind: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, Opcode::Text, text.as_bytes());
    out.extend_from_slice(behind);
    out
}

#[test]
fn every_error_is_the_text_of_the_contract_and_a_close_without_a_body() {
    assert_eq!(ERRORS.map(|(error, _)| error), SessionError::ALL);
    for (error, payload) in ERRORS {
        let text = format!(r#"{{"type":"unrecoverable_session_error","payload":{{"type":{payload}}}}}"#);
        assert_eq!(written(Notice::Failed(error)), framed(&text, &[0x88, 0]));
    }
}

#[test]
fn success_is_followed_by_a_ping_and_terminated_is_recoverable() {
    assert_eq!(written(Notice::Seated), framed(r#"{"type":"connect_success"}"#, &[0x89, 0]));
    assert_eq!(written(Notice::Ping), [0x89, 0]);
    let payload = r#"{"type":"terminated","title":"terminated","status":422}"#;
    let text = format!(r#"{{"type":"recoverable_session_error","payload":{payload}}}"#);
    assert_eq!(written(Notice::Terminated), framed(&text, &[]));
}

#[test]
fn notices_are_numbered_without_gaps() {
    assert!(Notice::all().enumerate().all(|(number, notice)| notice.index() == number));
}

#[test]
fn events_are_the_texts_of_the_page() {
    let id = r#"{"entity_type":"agent","operation":"entered","sequence_id":9}"#;
    let payload = r#"{"version":"v1","entity_type":"agent","label":"entered","agent_id":"web.u1.dev.usr.example.org"}"#;
    let text = format!(r#"{{"id":{id},"payload":{payload}}}"#);
    assert_eq!(change("entered", "web.u1.dev.usr.example.org", 9)[..], framed(&text, &[])[..]);

    let event = Publication {
        entity_type: "ban".into(),
        operation: "created".into(),
        sequence_id: None,
        payload: r#"{ "as": "it is" }"#.into(),
        receiver: None,
        sender: None,
    };
    let text = r#"{"id":{"entity_type":"ban","operation":"created","sequence_id":7},"payload":{ "as": "it is" }}"#;
    assert_eq!(published(&event, 7)[..], framed(text, &[])[..]);
}

#[test]
fn labels_that_need_escapes_stay_json() {
    let frame = change("left", "a\"b\\\u{1}.u.school", 1);
    let value: serde_json::Value = serde_json::from_slice(&frame[4..]).unwrap();
    assert_eq!(value["payload"]["agent_id"], "a\"b\\\u{1}.u.school");
}

#[test]
fn a_parser_is_as_good_for_the_second_message() {
    let mut parser = Parser::default();
    let classroom_id = ClassroomId::from_u128(5);
    let text = format!(
        r#"{{"payload":{{"token":"t","classroom_id":"{classroom_id}","agent_label":"\u00e9"}},"type":"connect_request"}}"#
    );
    for _ in 0..2 {
        assert_eq!(parser.connect_request("{\"type\":", 9), None);
        let expected = ConnectRequest { agent_label: "é", classroom_id, token: "t" };
        assert_eq!(parser.connect_request(&text, 9), Some(expected));
    }
    assert_eq!(parser.connect_request(&text, 1), None, "a label is measured in bytes");
}
