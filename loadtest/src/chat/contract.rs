//! The chat contract as a client sees it, and the words by which an answer is told.
//!
//! What is said names the answer that is wanted. The model gives it in words that name it too, count themselves and tell when they were
//! sent, so that whoever hears one knows at once what must come next. The built-in agent counts: its words have their number alone.

use super::order::{Answers, Name, Plan};
use serde::Deserialize;
use serde_json::json;
use std::{borrow::Cow, io::Write};

/// What is said on a socket, or over HTTP. What a kind does not have is absent.
#[derive(Debug, Deserialize)]
pub(super) struct Told<'a> {
    #[serde(borrow)]
    pub(super) r#type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) delta: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) message_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) code: Option<Cow<'a, str>>,
}

/// One word of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Word {
    /// Which answer; none where words do not tell.
    pub(crate) answer: Option<Name>,
    /// From 0.
    pub(crate) number: u32,
    /// When it was sent: nanoseconds of CLOCK_MONOTONIC. None where words do not tell.
    pub(crate) sent_ns: Option<u64>,
}

/// What asks for an answer.
pub(super) fn question(plan: &Plan, Name { session, message }: Name) -> String {
    match plan.answers {
        Answers::Model => format!("answer {session}.{message}"),
        Answers::Builtin => format!("/count {} {}", plan.words, plan.pace.as_millis()),
    }
}

/// The answer that is asked for.
pub(crate) fn asked(text: &str) -> Option<Name> {
    let (session, message) = text.strip_prefix("answer ")?.split_once('.')?;
    Some(Name { session: session.parse().ok()?, message: message.parse().ok()? })
}

/// Writes a word of the model's.
pub(crate) fn write_word(out: &mut Vec<u8>, Name { session, message }: Name, number: u32, sent_ns: u64) {
    let written = write!(out, "{session}.{message}.{number}@{sent_ns} ");
    debug_assert!(written.is_ok());
}

/// Reads a word; none: it is none.
pub(super) fn read_word(answers: Answers, text: &str) -> Option<Word> {
    let text = text.strip_suffix(' ')?;
    match answers {
        Answers::Model => {
            let (names, sent_ns) = text.split_once('@')?;
            let mut numbers = names.split('.').map(|number| number.parse().ok());
            let mut next = || numbers.next().flatten();
            let (session, message, number) = (next()?, next()?, next()?);
            let answer = Some(Name { session, message });
            Some(Word { answer, number, sent_ns: Some(sent_ns.parse().ok()?) })
        }
        Answers::Builtin => {
            let number = text.parse::<u32>().ok()?.checked_sub(1)?;
            Some(Word { answer: None, number, sent_ns: None })
        }
    }
}

/// `message`.
pub(super) fn message(content: &str) -> String {
    json!({ "type": "message", "content": content }).to_string()
}

/// `cancel`.
pub(super) fn cancel(operation: &str) -> String {
    json!({ "type": "cancel", "operation_id": operation }).to_string()
}

/// The body of a request for an answer.
pub(super) fn body(content: &str) -> String {
    json!({ "content": content }).to_string()
}

/// The answer to a login.
#[derive(Deserialize)]
pub(crate) struct SignedIn {
    pub(crate) access_token: String,
}

/// A session, as far as it is looked at.
#[derive(Deserialize)]
pub(crate) struct Made {
    pub(crate) id: String,
}

/// A part of a session's messages.
#[derive(Deserialize)]
pub(super) struct History {
    pub(super) data: Vec<Kept>,
}

/// A message as it is kept.
#[derive(Deserialize)]
pub(super) struct Kept {
    pub(super) role: String,
    pub(super) content: String,
    pub(super) status: Option<String>,
}

/// A refusal.
#[derive(Deserialize)]
pub(crate) struct Refusal {
    pub(crate) error: String,
    pub(crate) retry_after: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::order::tests::PLAN;

    const ANSWER: Name = Name { session: 17, message: 3 };

    #[test]
    fn the_examples_of_the_contract_are_read() {
        let told: Told<'_> = serde_json::from_str(r#"{"type":"content_delta","delta":"a \"b\""}"#).unwrap();
        assert_eq!((&*told.r#type, told.delta.as_deref()), ("content_delta", Some("a \"b\"")));
        let told: Told<'_> = serde_json::from_str(r#"{"type": "done", "usage": {"total_tokens": 150}}"#).unwrap();
        assert_eq!((&*told.r#type, told.code), ("done", None));
        let refusal: Refusal =
            serde_json::from_str(r#"{"error": "RATE_LIMITED", "message": "Too many requests", "retry_after": 30}"#).unwrap();
        assert_eq!((refusal.error.as_str(), refusal.retry_after), ("RATE_LIMITED", Some(30)));
    }

    #[test]
    fn words_read_back_and_nothing_else_is_one() {
        let mut text = Vec::new();
        write_word(&mut text, ANSWER, 42, 123_456_789);
        let text = String::from_utf8(text).unwrap();
        let word = Word { answer: Some(ANSWER), number: 42, sent_ns: Some(123_456_789) };
        assert_eq!(read_word(Answers::Model, &text), Some(word));
        for other in ["", " ", "17.3.42@1", "17.3@1 ", "17.3.x@1 ", "17.3.42@ ", &text[..text.len() - 1]] {
            assert_eq!(read_word(Answers::Model, other), None, "{other:?}");
        }
        let counted = Word { answer: None, number: 6, sent_ns: None };
        assert_eq!((read_word(Answers::Builtin, "7 "), read_word(Answers::Builtin, "0 ")), (Some(counted), None));
    }

    #[test]
    fn a_question_names_its_answer() {
        assert_eq!(asked(&question(&PLAN, ANSWER)), Some(ANSWER));
        assert_eq!((asked("answer 17"), asked("hello")), (None, None));
        let builtin = Plan { answers: Answers::Builtin, pace: std::time::Duration::from_millis(50), ..PLAN };
        assert_eq!(question(&builtin, ANSWER), "/count 5 50");
    }
}
