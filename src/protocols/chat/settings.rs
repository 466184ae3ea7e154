//! The times and sizes of chat, with the defaults that the contract and its page name.

use crate::models::{Agent, Catalog};
use std::{sync::Arc, time::Duration};

/// How chat behaves. Durations are exact, sizes in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// From the upgrade to a good `auth`.
    pub auth_timeout: Duration,
    /// A session in which nobody speaks for so long has ended.
    pub session_expiry: Duration,
    /// From the question for leave to its expiry.
    pub approval_expiry: Duration,
    /// Messages of one session that may wait behind the answer that runs.
    pub max_waiting: usize,
    /// Characters of a message.
    pub max_content_chars: usize,
    /// Attachments of a message.
    pub max_attachments: usize,
    /// Bytes of them together, decoded.
    pub max_attachment_bytes: usize,
    /// Messages that a model is shown, the newest.
    pub context_messages: usize,
    /// Bytes of them together, attachments with them. The newest is shown however long it is.
    pub context_bytes: usize,
    /// Bytes of an answer.
    pub max_answer_bytes: usize,
    /// How long the store may take for a row before those who wait for it are told that it is busy.
    pub keep_timeout: Duration,
    /// A stream has a comment each so often.
    pub stream_comment: Duration,
    /// A socket's Pings.
    pub ping_interval: Duration,
    /// From an unanswered Ping to the end.
    pub pong_timeout: Duration,
    /// The agent of sessions that name none.
    pub default_agent: Arc<str>,
    /// Whether an `agent_id` that is not configured is taken, and answered by the default agent.
    pub any_agent: bool,
    /// Logins that an address may try in a minute.
    pub logins_a_minute: u32,
    /// The contract's table, each for one user in a minute.
    pub creations_a_minute: u32,
    /// `POST …/chat` and `message` on sockets.
    pub messages_a_minute: u32,
    /// `POST …/chat/stream`.
    pub streams_a_minute: u32,
    /// `GET /sessions/{id}`.
    pub looks_a_minute: u32,
    /// `GET /sessions/`.
    pub lists_a_minute: u32,
}

impl Settings {
    /// Who answers in a session that asked for this agent. None: nobody, so that it is suspended.
    pub fn agent<'a>(&self, asked: Option<&str>, catalog: &'a Catalog) -> Option<&'a Arc<Agent>> {
        let default = || catalog.agents.get(&self.default_agent);
        match asked {
            None => default(),
            Some(name) => catalog.agents.get(name).or_else(|| if self.any_agent { default() } else { None }),
        }
    }

    /// Bytes of the largest message, its attachments with it.
    pub fn max_message_bytes(&self) -> usize {
        self.max_content_chars.saturating_mul(char::MAX_LEN_UTF8).saturating_add(self.max_attachment_bytes)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            auth_timeout: Duration::from_secs(10),
            session_expiry: Duration::from_secs(60 * 60),
            approval_expiry: Duration::from_secs(30 * 60),
            max_waiting: 8,
            max_content_chars: 100_000,
            max_attachments: 8,
            max_attachment_bytes: 4 << 20,
            context_messages: 100,
            context_bytes: 8 << 20,
            max_answer_bytes: 1 << 20,
            keep_timeout: Duration::from_secs(5),
            stream_comment: Duration::from_secs(15),
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(60),
            default_agent: "tutor".into(),
            any_agent: true,
            logins_a_minute: 10,
            creations_a_minute: 10,
            messages_a_minute: 60,
            streams_a_minute: 30,
            looks_a_minute: 120,
            lists_a_minute: 30,
        }
    }
}
