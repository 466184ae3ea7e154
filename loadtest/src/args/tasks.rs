//! The command line of `tasks`.

use super::{Signing, Site, duration, rate, share};
use crate::tasks::contract::SOCKETS_A_USER;
use clap::Args;
use std::time::Duration;

/// `tasks`.
#[derive(Args, Debug)]
pub(crate) struct Tasks {
    /// The WebSocket route, ws://HOST:PORT/PATH or wss://…; the REST routes are beside it.
    #[arg(long, default_value = "ws://127.0.0.1:8000/ws")]
    pub(crate) url: String,
    /// How many users; each has tasks of his own.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) users: u32,
    /// How many sockets each user has, and each admin; all are subscribed to `tasks`. A server lets a user have ten.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=i64::from(SOCKETS_A_USER)))]
    pub(crate) sockets: u32,
    /// How many admins, who ask for nothing and listen to everything.
    #[arg(long, default_value_t = 0)]
    pub(crate) admins: u32,
    /// Tasks and executions asked for a second, over all users, at their intended moments whatever the server does.
    #[arg(long, default_value = "20", value_parser = rate)]
    pub(crate) rate: f64,
    /// How long to ask.
    #[arg(long = "for", default_value = "10s", value_parser = duration)]
    pub(crate) lasting: Duration,
    /// The share that is asked for by REST.
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub(crate) by_rest: f64,
    /// The share that are executions of --workflow, asked for by REST.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub(crate) executions: f64,
    /// The workflow of the executions.
    #[arg(long, default_value = "code-review-workflow")]
    pub(crate) workflow: String,
    /// Of so many tasks one socket of their user is subscribed to the task alone as well.
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub(crate) watched: f64,
    /// Every so manieth task of a user is cancelled; 0: none is.
    #[arg(long, default_value_t = 0)]
    pub(crate) cancel_every: u32,
    /// How long behind its pending.
    #[arg(long, default_value = "100ms", value_parser = duration)]
    pub(crate) cancel_after: Duration,
    /// How often a second the users look at their tasks by REST, at a list and at one in turn; 0: never.
    #[arg(long, default_value_t = 2.0, value_parser = from_zero)]
    pub(crate) look_rate: f64,
    /// Who does the tasks.
    #[arg(long, default_value = "code-agent")]
    pub(crate) agent: String,
    /// With which model [default: the agent's own].
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// What is to be done; a name for each task is put behind it. The built-in agent counts to 10 in 200 ms.
    #[arg(long, default_value = "/count 10 20")]
    pub(crate) task: String,
    /// The tokens: of the users, then of the admins. Those made have a `role`, and a `sub` of their own.
    #[command(flatten)]
    pub(crate) signing: Signing,
    /// The rest.
    #[command(flatten)]
    pub(crate) site: Site,
}

fn from_zero(text: &str) -> Result<f64, String> {
    if text.trim() == "0" { Ok(0.0) } else { rate(text) }
}
