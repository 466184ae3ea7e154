//! What is said to a model and what comes back.

use super::catalog::{Model, Tool};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A model is asked to go on.
#[derive(Clone, PartialEq, Debug)]
pub struct Prompt {
    /// Which.
    pub model: Arc<Model>,
    /// What was said so far, oldest first; the instructions are its first.
    pub utterances: Vec<Arc<Utterance>>,
    /// What it may call.
    pub tools: Vec<Arc<Tool>>,
    /// As the request has it.
    pub temperature: Option<f64>,
    /// For this answer.
    pub max_tokens: Option<u32>,
}

/// Something that was said.
#[derive(Clone, PartialEq, Debug)]
pub enum Utterance {
    /// The agent's task.
    Instructions(Arc<str>),
    /// By a person.
    User {
        /// Its text.
        content: Arc<str>,
        /// Files that came with it.
        attachments: Vec<Attached>,
    },
    /// By the model.
    Assistant {
        /// Its text; may be empty where it only calls.
        content: Arc<str>,
        /// What it called.
        calls: Vec<ToolCall>,
    },
    /// By a tool.
    Tool {
        /// [`ToolCall::id`].
        call: Arc<str>,
        /// Its outcome as text, for the model.
        content: Arc<str>,
    },
}

impl Utterance {
    /// Bytes of its text.
    pub fn length(&self) -> usize {
        match self {
            Utterance::Instructions(content) | Utterance::User { content, .. } => content.len(),
            Utterance::Assistant { content, .. } | Utterance::Tool { content, .. } => content.len(),
        }
    }
}

/// A file.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Attached {
    /// Its name.
    pub name: Arc<str>,
    /// Its media type (RFC 9110, section 8.3.1), as given.
    pub media_type: Arc<str>,
    /// What is in it.
    pub bytes: Bytes,
}

/// A model wants a tool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct ToolCall {
    /// The model's own name of the call.
    pub id: Arc<str>,
    /// Which tool, perhaps one that is not there.
    pub tool: Arc<str>,
    /// JSON: an object, unless the model erred.
    pub arguments: Arc<str>,
}

/// From a model that was asked. Deltas and calls in any number, then exactly one [`Word::Ended`] or [`Word::Failed`].
#[derive(Clone, PartialEq, Debug)]
pub enum Word {
    /// More text; not empty.
    Delta(Arc<str>),
    /// A whole call.
    Call(ToolCall),
    /// That was all.
    Ended {
        /// Why it stopped.
        stop: Stop,
        /// What it took.
        usage: Usage,
    },
    /// Nothing more comes.
    Failed(Fault),
}

/// Why a model stopped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stop {
    /// It had said it.
    Done,
    /// It was at the limit of tokens.
    Length,
    /// It waits for its calls.
    Calls,
    /// A filter of the endpoint cut it.
    Filtered,
}

/// Tokens.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Usage {
    /// Read by the model.
    pub prompt_tokens: u32,
    /// Written by it.
    pub completion_tokens: u32,
}

impl Usage {
    /// What is reckoned with where a model does not say what it took: a token for each 4 bytes.
    pub fn estimated(prompt_bytes: usize, said_bytes: usize) -> Usage {
        let tokens = |bytes: usize| u32::try_from(bytes.div_ceil(4)).unwrap_or(u32::MAX);
        Usage { prompt_tokens: tokens(prompt_bytes), completion_tokens: tokens(said_bytes) }
    }

    /// Both.
    pub fn total(self) -> u32 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// In the currency of the model's prices.
    pub fn cost(self, model: &Model) -> f64 {
        (f64::from(self.prompt_tokens) * model.prompt_price + f64::from(self.completion_tokens) * model.completion_price) / 1e6
    }
}

/// Why a model did not answer, or broke off.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// Not reached, or 5xx, after all attempts.
    Unreachable,
    /// 429 after all attempts, or our own bound of requests under way.
    Busy,
    /// No first word, or no further one, in time.
    TimedOut,
    /// The stream ended before its end.
    Cut,
    /// Something that is not a chat completion.
    Malformed,
    /// The endpoint refuses the request: its status, a 4xx.
    Refused(u16),
}

/// What became of a tool that was called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToolOutcome {
    /// JSON of any kind.
    Done(Arc<str>),
    /// TOOL_NOT_FOUND.
    NotFound,
    /// The arguments do not fit its schema: why, for the model.
    BadArguments(Arc<str>),
    /// TOOL_EXEC_FAILED: a short word, never the service's own.
    Failed(Arc<str>),
    /// TOOL_TIMEOUT.
    TimedOut,
}
