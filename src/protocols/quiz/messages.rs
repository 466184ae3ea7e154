//! The texts of the contract: what the server says. What an owner's client says is in [`requests`](super::requests).

use super::{
    letters::Channel,
    model::{AnswerId, AttemptId, EventId, ParticipantId, QuestionId, QuizId, Reason},
};
use crate::{
    realtime::{Frame, UnixMicros},
    websocket::frame,
};
use std::sync::Arc;

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

/// An event as a whole WebSocket text frame, encoded once for all who hear it.
pub fn update(update: &Update<'_>) -> Frame {
    let _ = update;
    frame::text(b"{}")
}

/// The state of a channel, as a whole frame. [`Channel::Quiz`] has none.
pub fn snapshot<'a>(channel: Channel, rows: impl IntoIterator<Item = Row<'a>>) -> Frame {
    let _ = (channel, rows.into_iter().count());
    frame::text(b"{}")
}

/// Appends the frame that confirms subscriptions.
pub fn subscribed(out: &mut Vec<u8>, subscriptions: impl IntoIterator<Item = Subscription>) {
    let _ = (out, subscriptions.into_iter().count());
}

/// Appends the frame that confirms what was given up; the list may be empty.
pub fn unsubscribed(out: &mut Vec<u8>, subscriptions: impl IntoIterator<Item = Subscription>) {
    let _ = (out, subscriptions.into_iter().count());
}

/// Appends an error frame.
pub fn error(out: &mut Vec<u8>, text: &str) {
    let _ = (out, text);
}
