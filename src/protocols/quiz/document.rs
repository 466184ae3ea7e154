//! What sockets of quizzes say and hear, for the document of their listener. Frames are written by hand, so that these are the types of
//! what [`messages`](super::messages) writes and [`requests`](super::requests) reads; the contract's examples hold the one to the other.
#![allow(dead_code)]

use super::{admission::Denial, model::Reason};
use crate::documents::{Message, Parameter, Schemas, Scheme, Socket, Sockets, shape};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// What an owner says.
#[derive(ToSchema)]
struct Request {
    action: Action,
    /// `quiz:42`, `attempts:42` or `leaderboard:42`; at most 1,000.
    #[schema(max_items = 1000)]
    subscriptions: Vec<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    Subscribe,
    Unsubscribe,
}

/// The channels that something was granted or given up of.
#[derive(ToSchema)]
struct Confirmation {
    event: Confirmed,
    t: (),
    subscriptions: Vec<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Confirmed {
    Subscribed,
    Unsubscribed,
}

/// Something was not granted, or not understood. The socket stays.
#[derive(ToSchema)]
struct Fault {
    #[schema(pattern = "^error$")]
    event: String,
    t: (),
    error: String,
}

/// A participant has begun.
#[derive(ToSchema)]
struct Started {
    #[schema(format = Uuid)]
    attempt_id: String,
    #[schema(format = Uuid)]
    participant_id: String,
    alias: String,
    quiz_id: i64,
    #[schema(format = Uuid)]
    event_id: Option<String>,
    #[schema(format = DateTime)]
    started_at: String,
}

/// A participant has answered.
#[derive(ToSchema)]
struct Answered {
    #[schema(format = Uuid)]
    attempt_id: String,
    #[schema(format = Uuid)]
    participant_id: String,
    alias: String,
    quiz_id: i64,
    #[schema(format = Uuid)]
    event_id: Option<String>,
    #[schema(format = Uuid)]
    question_id: String,
    #[schema(format = Uuid)]
    answer_id: String,
    /// Null where it is graded by hand.
    is_correct: Option<bool>,
    score: f64,
    #[schema(format = DateTime)]
    answered_at: String,
    answered_count: u32,
    /// From 1.
    question_order: u32,
}

/// An attempt is over.
#[derive(ToSchema)]
struct Finished {
    #[schema(format = Uuid)]
    attempt_id: String,
    #[schema(format = Uuid)]
    participant_id: String,
    alias: String,
    quiz_id: i64,
    #[schema(format = Uuid)]
    event_id: Option<String>,
    answered_count: u32,
    time_taken_ms: u64,
}

/// Flags were raised: one message for a batch.
#[derive(ToSchema)]
struct Flagged {
    #[schema(format = Uuid)]
    attempt_id: String,
    #[schema(format = Uuid)]
    participant_id: String,
    alias: String,
    quiz_id: i64,
    #[schema(format = Uuid)]
    event_id: Option<String>,
    /// Upper case, once each.
    labels: Vec<String>,
    #[schema(format = DateTime)]
    flagged_at: String,
}

/// The participant's own attempt is over.
#[derive(ToSchema)]
struct Closed {
    #[schema(format = Uuid)]
    attempt_id: String,
    quiz_id: i64,
    #[schema(format = Uuid)]
    event_id: Option<String>,
    reason: Reason,
    score: f64,
    answered_count: u32,
    #[schema(format = DateTime)]
    submitted_at: String,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Stand {
    Running,
    Ended,
}

/// A row of the list of attempts.
#[derive(ToSchema)]
struct Attempt {
    #[schema(format = Uuid)]
    attempt_id: String,
    #[schema(format = Uuid)]
    participant_id: String,
    alias: String,
    quiz_id: i64,
    #[schema(format = Uuid)]
    event_id: Option<String>,
    status: Stand,
    #[schema(format = DateTime)]
    started_at: String,
    answered_count: u32,
    score: f64,
    flags_count: u32,
}

/// A row of the leaderboard.
#[derive(ToSchema)]
struct Rank {
    /// From 1.
    rank: u32,
    #[schema(format = Uuid)]
    attempt_id: String,
    #[schema(format = Uuid)]
    participant_id: String,
    alias: String,
    quiz_id: i64,
    #[schema(format = Uuid)]
    event_id: Option<String>,
    score: f64,
    answered_count: u32,
    status: Stand,
}

/// What is told of the sockets of quizzes.
pub fn document() -> Sockets {
    let schemes = &[
        ("token", Scheme::Query("token"), "Of an owner: an access token, or an API key of role owner"),
        ("session", Scheme::Query("session"), "Of a participant: the session token of the attempt"),
    ];
    Sockets { name: "quiz", about: "Live attempts at quizzes.", schemes, sockets }
}

/// An owner's and a participant's are at one path: what they may say and what they hear differ.
fn sockets(schemas: &mut Schemas) -> Vec<Socket> {
    let refusals = Denial::ALL.map(|denial| (denial.status(), denial.text())).to_vec();
    let text = || json!({ "type": "string" });
    let confirmed = Message::json("confirmation", "Channels that were granted, or given up", shape::<Confirmation>(schemas));
    let fault = Message::json("error", "What was not granted, or not understood", shape::<Fault>(schemas));
    let closed = shape::<Closed>(schemas);
    let participant = Socket {
        query: vec![Parameter::new("session", text(), "The session token of the attempt").required()],
        credentials: &["session"],
        heard: vec![confirmed.clone(), update(("notification", "attempt_closed"), "The attempt is over", closed), fault.clone()],
        refusals: refusals.clone(),
        closes: vec![(1000, "The attempt is over, and that was told"), (1008, "No Pong in time"), (1012, "Come again")],
        ..Socket::new("participant", "/ws", "A participant, who only listens.")
    };
    let owner = Socket {
        query: vec![Parameter::new("token", text(), "An access token, or an API key of role owner").required()],
        credentials: &["token"],
        said: vec![Message::json("request", "Which channels to listen to, or not any more", shape::<Request>(schemas))],
        heard: vec![
            confirmed,
            update(("quiz", "attempt_quiz"), "A participant has begun", shape::<Started>(schemas)),
            update(("quiz", "attempt_update"), "A participant has answered", shape::<Answered>(schemas)),
            update(("quiz", "attempt_finished"), "An attempt is over", shape::<Finished>(schemas)),
            update(("quiz", "attempt_flagged"), "Flags were raised", shape::<Flagged>(schemas)),
            snapshot("attempts", "All attempts at a quiz", shape::<Attempt>(schemas)),
            snapshot("leaderboard", "The attempts, best first", shape::<Rank>(schemas)),
            fault,
        ],
        refusals,
        closes: vec![(1008, "No Pong in time")],
        ..Socket::new("owner", "/ws", "An owner, who watches quizzes.")
    };
    vec![owner, participant]
}

/// Something happened.
fn update((channel, t): (&str, &str), about: &str, data: Value) -> Message {
    let properties =
        json!({ "event": { "const": "update" }, "t": { "const": t }, "channel": { "const": channel }, "data": data });
    let payload = json!({ "type": "object", "required": ["event", "t", "channel", "data"], "properties": properties });
    Message::json(t, about, payload)
}

/// The whole state of a channel, when one subscribes and whenever it has changed.
fn snapshot(channel: &str, about: &str, row: Value) -> Message {
    let rows = json!({ "type": "array", "items": row });
    let properties =
        json!({ "event": { "const": "snapshot" }, "t": { "type": "null" }, "channel": { "const": channel }, "snapshot": rows });
    let payload = json!({ "type": "object", "required": ["event", "t", "channel", "snapshot"], "properties": properties });
    Message::json(channel, about, payload)
}
