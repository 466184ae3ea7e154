//! The quiz contract as owners and participants see it: what they send, and of what they hear the parts that are held against what
//! was done.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{io::Write, str::FromStr};
use uuid::Uuid;

/// The most rows of a snapshot: the server's default.
pub(crate) const SNAPSHOT_ROWS: usize = 200;
/// The most rows of a page of a list.
pub(crate) const PAGE: usize = 200;

/// What an owner listens to, of one quiz.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Channel {
    /// `quiz:<id>`.
    Quiz,
    /// `attempts:<id>`.
    Attempts,
    /// `leaderboard:<id>`.
    Leaderboard,
}

impl Channel {
    /// As the contract writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Channel::Quiz => "quiz",
            Channel::Attempts => "attempts",
            Channel::Leaderboard => "leaderboard",
        }
    }
}

impl FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Channel, String> {
        let all = [Channel::Quiz, Channel::Attempts, Channel::Leaderboard];
        all.into_iter().find(|channel| channel.name() == text).ok_or_else(|| "quiz, attempts or leaderboard".to_owned())
    }
}

/// The subscriptions of a screen: every channel of every quiz.
pub(crate) fn subscriptions(channels: &[Channel], quizzes: impl Iterator<Item = i64>) -> Vec<String> {
    quizzes.flat_map(|quiz| channels.iter().map(move |channel| format!("{}:{quiz}", channel.name()))).collect()
}

/// The text that asks for them.
pub(crate) fn subscribe(subscriptions: &[String]) -> String {
    serde_json::json!({ "action": "subscribe", "subscriptions": subscriptions }).to_string()
}

/// The desk of a participant of that name.
pub(crate) fn desk(alias: &str) -> Option<u32> {
    alias.strip_prefix(ALIAS)?.parse().ok()
}

/// With its desk's number it is a participant's name; no two desks of a quiz have the same.
const ALIAS: &str = "load ";

/// Writes the body that begins an attempt.
pub(crate) fn write_start(out: &mut Vec<u8>, desk: u32) {
    let written = write!(out, r#"{{"alias":"{ALIAS}{desk}"}}"#);
    debug_assert!(written.is_ok());
}

/// Writes the body of an answer.
pub(crate) fn write_answer(out: &mut Vec<u8>, question: Uuid, option: u32) {
    let written = write!(out, r#"{{"question_id":"{question}","answer":{option}}}"#);
    debug_assert!(written.is_ok());
}

/// `event` of a server's message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    Update,
    Subscribed,
    Snapshot,
    Error,
    #[serde(other)]
    Other,
}

/// `t` of an update.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    AttemptQuiz,
    AttemptUpdate,
    AttemptFinished,
    AttemptClosed,
    #[serde(other)]
    Other,
}

/// `channel` of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum On {
    Quiz,
    Attempts,
    Leaderboard,
    Notification,
    #[serde(other)]
    Other,
}

/// A message of the socket.
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    pub(crate) event: Event,
    pub(crate) t: Option<Kind>,
    pub(crate) channel: Option<On>,
    pub(crate) subscriptions: Option<Vec<String>>,
    #[serde(borrow)]
    pub(crate) data: Option<Data<'a>>,
    #[serde(borrow)]
    pub(crate) snapshot: Option<&'a RawValue>,
}

/// `data` of any update. What a kind does not have is absent.
#[derive(Debug, Deserialize)]
pub(crate) struct Data<'a> {
    pub(crate) attempt_id: Uuid,
    pub(crate) alias: Option<&'a str>,
    pub(crate) quiz_id: i64,
    pub(crate) question_id: Option<Uuid>,
    pub(crate) answer_id: Option<Uuid>,
    pub(crate) is_correct: Option<bool>,
    pub(crate) score: Option<f64>,
    pub(crate) answered_count: Option<u32>,
    pub(crate) question_order: Option<u32>,
    pub(crate) reason: Option<&'a str>,
}

/// A row of a snapshot.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) rank: Option<u32>,
    pub(crate) attempt_id: Uuid,
    pub(crate) quiz_id: i64,
    pub(crate) status: String,
    pub(crate) score: f64,
    pub(crate) answered_count: u32,
}

/// The quiz that a snapshot's first row names. Not read as JSON: snapshots are large, and only the last one is looked into.
pub(crate) fn quiz_of(snapshot: &str) -> Option<i64> {
    let (_, rest) = snapshot.split_once(r#""quiz_id":"#)?;
    let rest = rest.trim_start();
    rest[..rest.bytes().take_while(u8::is_ascii_digit).count()].parse().ok()
}

/// An answer of REST.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope<'a, T> {
    #[serde(borrow)]
    pub(crate) code: &'a str,
    pub(crate) data: Option<T>,
}

/// To a start.
#[derive(Debug, Deserialize)]
pub(crate) struct Begun {
    pub(crate) session_token: String,
    pub(crate) attempt_id: Uuid,
    pub(crate) quiz_id: i64,
    pub(crate) started_at: String,
    pub(crate) questions: Vec<Named>,
}

/// Something with an id; what else it has is not looked at.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) id: Uuid,
}

/// To an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Graded<'a> {
    pub(crate) answer_id: Uuid,
    pub(crate) answered_count: u32,
    #[serde(borrow)]
    pub(crate) answered_at: &'a str,
    pub(crate) is_correct: Option<bool>,
    pub(crate) score: Option<f64>,
}

/// To a submit.
#[derive(Debug, Deserialize)]
pub(crate) struct Ended<'a> {
    #[serde(borrow)]
    pub(crate) reason: &'a str,
    pub(crate) score: f64,
    pub(crate) answered_count: u32,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) total: u64,
}

/// A result.
#[derive(Debug, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) rank: u32,
    pub(crate) attempt_id: Uuid,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) score: f64,
    pub(crate) answered_count: u32,
}

/// An attempt with its answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Detail {
    pub(crate) answers: Vec<Kept>,
}

/// An answer as it is kept.
#[derive(Debug, Deserialize)]
pub(crate) struct Kept {
    pub(crate) answer_id: Uuid,
    pub(crate) question_id: Uuid,
    pub(crate) answer: u32,
    pub(crate) is_correct: Option<bool>,
    pub(crate) score: f64,
}

/// Whole seconds since 1970 of `2026-06-11T14:30:00+00:00`.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_contract_are_read() {
        let text = r#"{"event":"update","t":"attempt_update","channel":"quiz","data":{"attempt_id":"019364ab-7c12-7def-8000-abcdef123456",
            "participant_id":"01936400-bbbb-7def-8000-000000000002","alias":"load 7","quiz_id":42,"event_id":null,
            "question_id":"550e8400-e29b-41d4-a716-446655440000","answer_id":"660e8400-e29b-41d4-a716-446655440099","is_correct":true,
            "score":10.0,"answered_at":"2026-06-11T14:31:05+00:00","answered_count":3,"question_order":2}}"#;
        let Message { event: Event::Update, t: Some(Kind::AttemptUpdate), channel: Some(On::Quiz), data: Some(data), .. } =
            serde_json::from_str(text).unwrap()
        else {
            panic!("{text}")
        };
        assert_eq!((data.alias.and_then(desk), data.quiz_id, data.score), (Some(7), 42, Some(10.0)));
        assert_eq!((data.answered_count, data.question_order), (Some(3), Some(2)));
        let text = r#"{"event":"subscribed","t":null,"subscriptions":["quiz:42","quiz:99"]}"#;
        let told: Message<'_> = serde_json::from_str(text).unwrap();
        assert_eq!((told.event, told.subscriptions.unwrap().len()), (Event::Subscribed, 2));
        assert_eq!(seconds("2026-06-11T14:30:00+00:00"), Some(1_781_188_200));
    }

    #[test]
    fn a_snapshot_is_that_of_its_first_row() {
        assert_eq!(quiz_of(r#"[{"rank":1,"quiz_id":42,"score":1.0},{"quiz_id":43}]"#), Some(42));
        assert_eq!(quiz_of("[]"), None);
    }

    #[test]
    fn what_is_sent_is_json() {
        let asked = subscribe(&subscriptions(&[Channel::Quiz, Channel::Leaderboard], [3, 4].into_iter()));
        let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
        assert_eq!(asked["subscriptions"], serde_json::json!(["quiz:3", "leaderboard:3", "quiz:4", "leaderboard:4"]));
        let (mut start, mut answer) = (Vec::new(), Vec::new());
        write_start(&mut start, 9);
        write_answer(&mut answer, Uuid::nil(), 2);
        let start: serde_json::Value = serde_json::from_slice(&start).unwrap();
        assert_eq!(start["alias"].as_str().and_then(desk), Some(9));
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&answer).unwrap()["answer"], 2);
    }
}
