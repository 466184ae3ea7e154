//! Language models and the tools that they call, as words: what is asked of them, what comes back, and the run that joins both.
//!
//! Pure: the machines here ask for a model or a tool by an effect and hear of it by an event. The shell that reaches endpoints over HTTP
//! is `services`; the built-in agent needs none and is played by the shard's own wheel.

pub mod builtin;
pub mod calculator;
pub mod catalog;
pub mod home_tools;
pub mod openai;
pub mod run;
pub mod schema;
pub mod talk;

pub use builtin::BUILTIN_MODEL;
pub use catalog::{Agent, Backend, Catalog, Model, Tool};
pub use home_tools::HOME_TOOLS;
pub use run::Run;
pub use schema::Schema;
pub use talk::{Fault, Prompt, Stop, ToolCall, ToolOutcome, Usage, Utterance, Word};
