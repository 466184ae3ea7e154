//! What other services say to classrooms over the bus: subject, headers and payload of a message become an event, or why it is none.
//! Source: the section NATS of `apis/presence.md`.

use crate::{
    protocols::presence::asks::{Publication, is_name},
    realtime::ClassroomId,
};
use serde_json::value::RawValue;

/// Who says it: `label.sub.aud`, who does not hear it themselves.
pub const SENDER: &str = "Sender-Agent-Id";
/// The event's number.
pub const SEQUENCE_ID: &str = "Entity-Event-Sequence-Id";
/// What it is about, for example `ban`.
pub const ENTITY_TYPE: &str = "Entity-Event-Type";
/// What happened to it, for example `created`.
pub const OPERATION: &str = "Entity-Event-Operation";
/// `true` where it is not for clients.
pub const IS_INTERNAL: &str = "Is-Internal";
/// The one agent that is to hear it. The only header that may be absent.
pub const RECEIVER: &str = "Receiver-Agent-Id";

/// The largest payload that is taken.
pub const PAYLOAD_BYTES_AT_MOST: usize = 256 << 10;

/// An event for a classroom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// Which.
    pub classroom: ClassroomId,
    /// What, and which agent says it.
    pub event: Publication,
}

/// Why a message is no event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dropped {
    /// It is not for clients.
    Internal,
    /// Its subject names no classroom.
    Subject,
    /// This header is missing.
    Missing(&'static str),
    /// This header says what it cannot mean.
    Wrong(&'static str),
    /// Its payload is no JSON object.
    Payload,
    /// Its payload is larger than [`PAYLOAD_BYTES_AT_MOST`].
    TooLong,
    /// More come in a second than are taken.
    Rate,
    /// Too many wait for their homes.
    Crowded,
}

impl Dropped {
    /// Every [`Dropped::reason`], in the order of [`Dropped::index`].
    pub const REASONS: [&'static str; 8] =
        ["internal", "subject", "header_missing", "header_wrong", "payload", "too_long", "rate", "crowded"];

    /// Its place among the reasons.
    pub fn index(self) -> usize {
        match self {
            Dropped::Internal => 0,
            Dropped::Subject => 1,
            Dropped::Missing(_) => 2,
            Dropped::Wrong(_) => 3,
            Dropped::Payload => 4,
            Dropped::TooLong => 5,
            Dropped::Rate => 6,
            Dropped::Crowded => 7,
        }
    }

    /// In one word.
    pub fn reason(self) -> &'static str {
        Self::REASONS[self.index()]
    }

    /// Which header it is about.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Dropped::Missing(header) | Dropped::Wrong(header) => Some(header),
            Dropped::Internal | Dropped::Subject | Dropped::Payload | Dropped::TooLong | Dropped::Rate | Dropped::Crowded => None,
        }
    }
}

/// The subject of all that is said to classrooms, `{prefix}.classroom.*.*`; an empty prefix stands for none, without its dot.
pub fn subject(prefix: &str) -> String {
    let dot = if prefix.is_empty() { "" } else { "." };
    format!("{prefix}{dot}classroom.*.*")
}

/// What is answered to one who asked for it, once his message was published.
pub fn answer(sequence_id: i64, members: u64) -> String {
    format!(r#"{{"sequence_id":{sequence_id},"members":{members}}}"#)
}

/// What is answered to one who asked for it, and whose message was dropped.
pub fn refusal(dropped: Dropped) -> String {
    let header = dropped.header().map(|header| format!(r#","header":"{header}""#)).unwrap_or_default();
    format!(r#"{{"error":"{}"{header}}}"#, dropped.reason())
}

/// Reads one message. `header` is asked for a header by its name.
pub fn read<'a>(
    prefix: &str,
    subject: &str,
    header: impl Fn(&'static str) -> Option<&'a str>,
    payload: &[u8],
) -> Result<Said, Dropped> {
    let classroom = classroom(prefix, subject).ok_or(Dropped::Subject)?;
    let needed = |name| header(name).ok_or(Dropped::Missing(name));
    if flag(needed(IS_INTERNAL)?).ok_or(Dropped::Wrong(IS_INTERNAL))? {
        return Err(Dropped::Internal);
    }
    let named = |name| needed(name).and_then(|text| if is_name(text) { Ok(text.to_owned()) } else { Err(Dropped::Wrong(name)) });
    let agent = |name, text: &str| if text.is_empty() { Err(Dropped::Wrong(name)) } else { Ok(text.to_owned()) };
    let sequence_id: i64 = needed(SEQUENCE_ID)?.parse().map_err(|_| Dropped::Wrong(SEQUENCE_ID))?;
    let event = Publication {
        entity_type: named(ENTITY_TYPE)?,
        operation: named(OPERATION)?,
        sequence_id: Some(sequence_id),
        receiver: header(RECEIVER).map(|text| agent(RECEIVER, text)).transpose()?,
        payload: object(payload)?,
        sender: Some(agent(SENDER, needed(SENDER)?)?),
    };
    Ok(Said { classroom, event })
}

/// The classroom of `{prefix}.classroom.{id}.{kind}`.
fn classroom(prefix: &str, subject: &str) -> Option<ClassroomId> {
    let rest = if prefix.is_empty() { subject } else { subject.strip_prefix(prefix)?.strip_prefix('.')? };
    let (id, kind) = rest.strip_prefix("classroom.")?.split_once('.')?;
    let is_kind = !kind.is_empty() && !kind.contains('.');
    ClassroomId::try_parse(id).ok().filter(|_| is_kind)
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn object(payload: &[u8]) -> Result<Box<str>, Dropped> {
    if payload.len() > PAYLOAD_BYTES_AT_MOST {
        return Err(Dropped::TooLong);
    }
    let json: &RawValue = serde_json::from_slice(payload).map_err(|_| Dropped::Payload)?;
    if json.get().starts_with('{') { Ok(json.get().into()) } else { Err(Dropped::Payload) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: &str = "school.classroom.c0ffee00-0000-4000-8000-000000000001.ban";
    const HEADERS: [(&str, &str); 6] = [
        (SENDER, "web.u1.dev.usr.example.org"),
        (SEQUENCE_ID, "7"),
        (ENTITY_TYPE, "ban"),
        (OPERATION, "created"),
        (IS_INTERNAL, "false"),
        (RECEIVER, "web.u2.dev.usr.example.org"),
    ];

    /// With one header changed, or absent.
    fn with(name: &str, value: Option<&'static str>, payload: &[u8]) -> Result<Said, Dropped> {
        let header = |wanted: &'static str| {
            let said = HEADERS.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
            if wanted == name { value } else { said }
        };
        read("school", ROOM, header, payload)
    }

    #[test]
    fn an_event_is_what_its_headers_and_its_payload_say() {
        let said = with("", None, br#" {"minutes": 5, "why": "\u00e9"} "#).unwrap();
        assert_eq!((subject("school"), subject("")), ("school.classroom.*.*".into(), "classroom.*.*".into()));
        assert_eq!(said.classroom.to_string(), "c0ffee00-0000-4000-8000-000000000001");
        let event = Publication {
            entity_type: "ban".into(),
            operation: "created".into(),
            sequence_id: Some(7),
            payload: r#"{"minutes": 5, "why": "\u00e9"}"#.into(),
            receiver: Some("web.u2.dev.usr.example.org".into()),
            sender: Some("web.u1.dev.usr.example.org".into()),
        };
        assert_eq!(said.event, event);
    }

    #[test]
    fn all_headers_but_the_receiver_must_be_there() {
        for (name, _) in HEADERS {
            let read = with(name, None, b"{}");
            match name {
                RECEIVER => assert_eq!(read.unwrap().event.receiver, None),
                name => assert_eq!(read, Err(Dropped::Missing(name))),
            }
        }
    }

    #[test]
    fn headers_that_cannot_be_meant_are_refused() {
        let wrong = [
            (SENDER, ""),
            (RECEIVER, ""),
            (SEQUENCE_ID, "seven"),
            (SEQUENCE_ID, "9223372036854775808"),
            (ENTITY_TYPE, "Ban"),
            (ENTITY_TYPE, ""),
            (OPERATION, "a\"b"),
            (IS_INTERNAL, "no"),
        ];
        for (name, value) in wrong {
            assert_eq!(with(name, Some(value), b"{}"), Err(Dropped::Wrong(name)), "{name}: {value}");
        }
        assert_eq!(with(IS_INTERNAL, Some("true"), b"{}"), Err(Dropped::Internal));
    }

    #[test]
    fn whoever_asked_is_told_what_became_of_it() {
        assert_eq!(answer(-7, 2), r#"{"sequence_id":-7,"members":2}"#);
        assert_eq!(refusal(Dropped::Rate), r#"{"error":"rate"}"#);
        assert_eq!(refusal(Dropped::Missing(SENDER)), r#"{"error":"header_missing","header":"Sender-Agent-Id"}"#);
    }

    #[test]
    fn a_payload_that_is_no_object_is_refused() {
        for payload in [&b""[..], b"[]", b"7", b"\"{}\"", b"{", b"{}{}", b"{\"a\":\xff}"] {
            assert_eq!(with("", None, payload), Err(Dropped::Payload), "{payload:?}");
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(PAYLOAD_BYTES_AT_MOST));
        assert_eq!(with("", None, long.as_bytes()), Err(Dropped::TooLong));
    }

    #[test]
    fn a_subject_names_one_classroom_and_one_kind() {
        let id = "C0FFEE00000040008000000000000001";
        let read = |prefix, subject: &str| classroom(prefix, subject);
        assert_eq!(read("", &format!("classroom.{id}.ban")), read("a.b", &format!("a.b.classroom.{id}.agent")));
        assert!(read("", &format!("classroom.{id}.ban")).is_some());
        let none = [
            "classroom.{id}",
            "classroom.{id}.",
            "classroom.{id}.a.b",
            "classroom.x.ban",
            "room.{id}.ban",
            "x.classroom.{id}.ban",
        ];
        for subject in none {
            assert_eq!(read("", &subject.replace("{id}", id)), None, "{subject}");
        }
        assert_eq!(read("x", &format!("xclassroom.{id}.ban")), None);
    }
}
