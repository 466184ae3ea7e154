//! The texts of the contract: what the server says. What an owner's client says is in [`requests`](super::requests).

use super::{
    json,
    letters::Channel,
    model::{AnswerId, AttemptId, EventId, ParticipantId, QuestionId, QuizId, Reason},
};
use crate::{
    realtime::{Frame, UnixMicros},
    websocket::frame,
};
use std::sync::Arc;
use uuid::Uuid;

/// Whose attempt at which quiz: the fields that every update of the quiz channel begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Who {
    /// `attempt_id`.
    pub attempt: AttemptId,
    /// `participant_id`.
    pub participant: ParticipantId,
    /// `alias`.
    pub alias: Arc<str>,
    /// `quiz_id`.
    pub quiz: QuizId,
    /// `event_id`.
    pub event: Option<EventId>,
}

/// An event of the contract.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Update<'a> {
    /// `attempt_quiz`.
    Started {
        /// Whose.
        who: &'a Who,
        /// When.
        started_at: UnixMicros,
    },
    /// `attempt_update`.
    Answered {
        /// Whose.
        who: &'a Who,
        /// `question_id`.
        question: QuestionId,
        /// `answer_id`.
        answer: AnswerId,
        /// None where it is graded by hand.
        is_correct: Option<bool>,
        /// Points.
        score: f64,
        /// When.
        answered_at: UnixMicros,
        /// Questions answered so far.
        answered_count: u32,
        /// From 1.
        question_order: u32,
    },
    /// `attempt_finished`.
    Finished {
        /// Whose.
        who: &'a Who,
        /// Questions answered.
        answered_count: u32,
        /// From start to end.
        time_taken_ms: u64,
    },
    /// `attempt_flagged`.
    Flagged {
        /// Whose.
        who: &'a Who,
        /// Upper case, once each.
        labels: &'a [String],
        /// When the batch came.
        flagged_at: UnixMicros,
    },
    /// `attempt_closed`, of the notification channel.
    Closed {
        /// Whose.
        who: &'a Who,
        /// Why.
        reason: Reason,
        /// Points.
        score: f64,
        /// Questions answered.
        answered_count: u32,
        /// When.
        submitted_at: UnixMicros,
    },
}

/// A row of the snapshots of [`Channel::Attempts`] and [`Channel::Leaderboard`].
#[derive(Clone, PartialEq, Debug)]
pub struct Row<'a> {
    /// Whose.
    pub who: &'a Who,
    /// From 1. Only of the leaderboard.
    pub rank: Option<u32>,
    /// When it began. Only of the list of attempts.
    pub started_at: Option<UnixMicros>,
    /// Whether it is over.
    pub ended: bool,
    /// Questions answered.
    pub answered_count: u32,
    /// Points.
    pub score: f64,
    /// How many flags. Only of the list of attempts.
    pub flags: Option<u32>,
}

/// What a confirmation names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subscription {
    /// `notification:<attempt_id>`.
    Notification(AttemptId),
    /// `<channel>:<quiz_id>`.
    Quiz(Channel, QuizId),
}

/// What a participant is told who says anything.
pub const LISTEN_ONLY: &str = "Subscriptions are managed by the server for this session";

/// The bytes of an event that need no second allocation while it is written, with a long alias.
const USUAL_BYTES: usize = 768;
/// As much as a row of a snapshot takes.
const ROW_BYTES: usize = 384;

/// An event as a whole WebSocket text frame, encoded once for all who hear it.
pub fn update(update: &Update<'_>) -> Frame {
    let mut out = Vec::with_capacity(USUAL_BYTES);
    let mark = frame::begin_text(&mut out);
    match *update {
        Update::Started { who, started_at } => {
            begin(&mut out, "attempt_quiz", who);
            time(&mut out, r#","started_at":"#, started_at);
        }
        Update::Answered { who, question, answer, is_correct, score, answered_at, answered_count, question_order } => {
            begin(&mut out, "attempt_update", who);
            json::raw(&mut out, r#","question_id":"#);
            json::uuid(&mut out, question);
            json::raw(&mut out, r#","answer_id":"#);
            json::uuid(&mut out, answer);
            json::raw(&mut out, r#","is_correct":"#);
            json::raw(&mut out, is_correct.map_or("null", |is_correct| if is_correct { "true" } else { "false" }));
            float(&mut out, r#","score":"#, score);
            time(&mut out, r#","answered_at":"#, answered_at);
            whole(&mut out, r#","answered_count":"#, answered_count);
            whole(&mut out, r#","question_order":"#, question_order);
        }
        Update::Finished { who, answered_count, time_taken_ms } => {
            begin(&mut out, "attempt_finished", who);
            whole(&mut out, r#","answered_count":"#, answered_count);
            whole(&mut out, r#","time_taken_ms":"#, time_taken_ms);
        }
        Update::Flagged { who, labels, flagged_at } => {
            begin(&mut out, "attempt_flagged", who);
            json::raw(&mut out, r#","labels":["#);
            separated(&mut out, labels, |out, label| json::string(out, label));
            time(&mut out, r#"],"flagged_at":"#, flagged_at);
        }
        Update::Closed { who, reason, score, answered_count, submitted_at } => {
            json::raw(&mut out, r#"{"event":"update","t":"attempt_closed","channel":"notification","data":{"attempt_id":"#);
            json::uuid(&mut out, who.attempt);
            quiz_and_event(&mut out, who);
            json::raw(&mut out, r#","reason":""#);
            json::raw(&mut out, reason_name(reason));
            float(&mut out, r#"","score":"#, score);
            whole(&mut out, r#","answered_count":"#, answered_count);
            time(&mut out, r#","submitted_at":"#, submitted_at);
        }
    }
    json::raw(&mut out, "}}");
    frame::end_text(&mut out, mark);
    Frame::from_wire(&out)
}

/// The state of a channel, as a whole frame. [`Channel::Quiz`] has none; its rows would be those of the list of attempts.
pub fn snapshot<'a>(channel: Channel, rows: impl IntoIterator<Item = Row<'a>>) -> Frame {
    let rows = rows.into_iter();
    let mut out = Vec::with_capacity(USUAL_BYTES + rows.size_hint().0 * ROW_BYTES);
    let mark = frame::begin_text(&mut out);
    json::raw(&mut out, r#"{"event":"snapshot","t":null,"channel":""#);
    json::raw(&mut out, channel.name());
    json::raw(&mut out, r#"","snapshot":["#);
    separated(&mut out, rows, |out, row| match channel {
        Channel::Quiz | Channel::Attempts => attempt(out, &row),
        Channel::Leaderboard => rank(out, &row),
    });
    json::raw(&mut out, "]}");
    frame::end_text(&mut out, mark);
    Frame::from_wire(&out)
}

/// Appends the frame that confirms subscriptions.
pub fn subscribed(out: &mut Vec<u8>, subscriptions: impl IntoIterator<Item = Subscription>) {
    confirmation(out, "subscribed", subscriptions);
}

/// Appends the frame that confirms what was given up; the list may be empty.
pub fn unsubscribed(out: &mut Vec<u8>, subscriptions: impl IntoIterator<Item = Subscription>) {
    confirmation(out, "unsubscribed", subscriptions);
}

/// Appends an error frame.
pub fn error(out: &mut Vec<u8>, text: &str) {
    let mark = frame::begin_text(out);
    json::raw(out, r#"{"event":"error","t":null,"error":"#);
    json::string(out, text);
    out.push(b'}');
    frame::end_text(out, mark);
}

fn confirmation(out: &mut Vec<u8>, event: &str, subscriptions: impl IntoIterator<Item = Subscription>) {
    let mark = frame::begin_text(out);
    json::raw(out, r#"{"event":""#);
    json::raw(out, event);
    json::raw(out, r#"","t":null,"subscriptions":["#);
    separated(out, subscriptions, |out, subscription| match subscription {
        Subscription::Notification(attempt) => {
            json::raw(out, r#""notification:"#);
            out.extend_from_slice(attempt.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
            out.push(b'"');
        }
        Subscription::Quiz(channel, quiz) => {
            out.push(b'"');
            json::raw(out, channel.name());
            whole(out, ":", quiz.0);
            out.push(b'"');
        }
    });
    json::raw(out, "]}");
    frame::end_text(out, mark);
}

/// The beginning of every update of the quiz channel.
fn begin(out: &mut Vec<u8>, slug: &str, who: &Who) {
    json::raw(out, r#"{"event":"update","t":""#);
    json::raw(out, slug);
    json::raw(out, r#"","channel":"quiz","data":{"attempt_id":"#);
    identity(out, who);
}

/// The fields of [`Who`], after the name of the first.
fn identity(out: &mut Vec<u8>, who: &Who) {
    json::uuid(out, who.attempt);
    json::raw(out, r#","participant_id":"#);
    json::uuid(out, who.participant);
    json::raw(out, r#","alias":"#);
    json::string(out, &who.alias);
    quiz_and_event(out, who);
}

fn quiz_and_event(out: &mut Vec<u8>, who: &Who) {
    whole(out, r#","quiz_id":"#, who.quiz.0);
    json::raw(out, r#","event_id":"#);
    json::uuid_or_null(out, who.event);
}

fn attempt(out: &mut Vec<u8>, row: &Row<'_>) {
    json::raw(out, r#"{"attempt_id":"#);
    identity(out, row.who);
    json::raw(out, r#","status":""#);
    json::raw(out, status_name(row.ended));
    time(out, r#"","started_at":"#, row.started_at.unwrap_or_default());
    whole(out, r#","answered_count":"#, row.answered_count);
    float(out, r#","score":"#, row.score);
    whole(out, r#","flags_count":"#, row.flags.unwrap_or_default());
    out.push(b'}');
}

fn rank(out: &mut Vec<u8>, row: &Row<'_>) {
    whole(out, r#"{"rank":"#, row.rank.unwrap_or_default());
    json::raw(out, r#","attempt_id":"#);
    identity(out, row.who);
    float(out, r#","score":"#, row.score);
    whole(out, r#","answered_count":"#, row.answered_count);
    json::raw(out, r#","status":""#);
    json::raw(out, status_name(row.ended));
    json::raw(out, r#""}"#);
}

fn status_name(ended: bool) -> &'static str {
    if ended { "ended" } else { "running" }
}

fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Submitted => "submitted",
        Reason::TimeUp => "time_up",
        Reason::ForcedByOwner => "forced_by_owner",
    }
}

fn separated<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}

fn whole(out: &mut Vec<u8>, name: &str, number: impl itoa::Integer) {
    json::raw(out, name);
    json::whole(out, number);
}

fn float(out: &mut Vec<u8>, name: &str, number: f64) {
    json::raw(out, name);
    json::float(out, number);
}

fn time(out: &mut Vec<u8>, name: &str, at: UnixMicros) {
    json::raw(out, name);
    json::time(out, at);
}

#[cfg(test)]
mod tests;
