//! What is configured: models, tools and the agents that are made of them.

use super::schema::Schema;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// All of it; shared by the shards, read only.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Catalog {
    /// By name.
    pub models: BTreeMap<Arc<str>, Arc<Model>>,
    /// By name.
    pub tools: BTreeMap<Arc<str>, Arc<Tool>>,
    /// By name (`agent_id`).
    pub agents: BTreeMap<Arc<str>, Arc<Agent>>,
}

/// A language model and what it costs.
#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    /// What agents and requests (`model_id`) call it.
    pub name: Arc<str>,
    /// Who answers.
    pub backend: Backend,
    /// In currency units for a million prompt tokens.
    pub prompt_price: f64,
    /// In currency units for a million completion tokens.
    pub completion_price: f64,
}

/// Who answers for a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Backend {
    /// The built-in agent: deterministic, no language model, says so.
    Builtin {
        /// Between two deltas.
        pace: Duration,
    },
    /// An endpoint for chat completions as OpenAI publishes it. What it needs to be reached (URL, key, times) is known to the services
    /// alone, under the model's name.
    Remote {
        /// `model` of the request.
        model: Arc<str>,
    },
}

/// A tool that a model may call.
#[derive(Clone, PartialEq, Debug)]
pub struct Tool {
    /// 1 to 64 of letters, digits, `_` and `-`.
    pub name: Arc<str>,
    /// For the model.
    pub description: Arc<str>,
    /// Its arguments.
    pub parameters: Schema,
    /// Whether a person is always asked, whatever the session says.
    pub needs_approval: bool,
    /// Who does it.
    pub work: Work,
}

/// Who does what a tool promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// Arithmetic, done here.
    Calculator,
    /// Searches what was said in the session, done here.
    Search,
    /// An HTTP service, known to the services under the tool's name.
    Http,
}

/// A model with its task and its tools.
#[derive(Clone, PartialEq, Debug)]
pub struct Agent {
    /// `agent_id`.
    pub name: Arc<str>,
    /// For people.
    pub description: Arc<str>,
    /// What the model is told before all else.
    pub instructions: Arc<str>,
    /// The model that answers where a request names none.
    pub model: Arc<Model>,
    /// Others that a request may name.
    pub others: Vec<Arc<Model>>,
    /// What it may call.
    pub tools: Vec<Arc<Tool>>,
    /// Times that it may call tools and go on, within one answer.
    pub max_rounds: u32,
    /// For one answer, waiting for approvals not counted.
    pub time_limit: Duration,
    /// Tokens that one answer may have; none: as many as the model gives.
    pub max_tokens: Option<u32>,
}
