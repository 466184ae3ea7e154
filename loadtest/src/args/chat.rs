//! The command line of `chat`.

use super::{Site, duration};
use clap::Args;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// `chat`.
#[derive(Args, Debug)]
pub(crate) struct Chat {
    /// The server, http://HOST:PORT or https://…: REST and sockets are below it.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    pub(crate) url: String,
    /// How many sessions, each with a user of its own.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) sessions: u32,
    /// So many of them follow their answers over HTTP, and have no socket.
    #[arg(long, default_value_t = 0)]
    pub(crate) sse: u32,
    /// Sockets of each of the others; the first speaks, all hear.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) sockets: u32,
    /// Messages of each session.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) messages: u32,
    /// From one message of a session to its next, whatever became of the answer.
    #[arg(long, default_value = "11s", value_parser = duration)]
    pub(crate) every: Duration,
    /// Over how long the first messages are spread [default: as long as --every].
    #[arg(long, value_parser = duration)]
    pub(crate) spread: Option<Duration>,
    /// Of each session's messages so many, the first, are not measured: until all speak.
    #[arg(long, default_value_t = 0)]
    pub(crate) unmeasured: u32,
    /// Words of an answer; each is a delta.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub(crate) words: u32,
    /// From one word of an answer to the next.
    #[arg(long, default_value = "50ms", value_parser = duration)]
    pub(crate) pace: Duration,
    /// From the request for an answer to its first word, where the model is the harness's own.
    #[arg(long, default_value = "50ms", value_parser = duration)]
    pub(crate) think: Duration,
    /// Cancel one of so many answers on sockets, in its middle.
    #[arg(long, default_value_t = 0)]
    pub(crate) cancel_every: u32,
    /// Serve the model here: the server's configuration has http://ADDRESS/v1/chat/completions. Without, the built-in agent answers.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) model_listen: Option<SocketAddr>,
    /// The core of the model's process, so that words do not wait for those who hear them [default: as the others].
    #[arg(long, value_name = "CORE", requires = "model_listen")]
    pub(crate) model_core: Option<u32>,
    /// The agent of the sessions [default: the server's].
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// The server's key file, data/keys/chat.hs256: tokens are made from it.
    #[arg(long, required_unless_present = "logins", conflicts_with = "logins", value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// A file with an e-mail address and a password a line, one for each session, which sign in. They are made with `homeroom user add`.
    #[arg(long, value_name = "FILE")]
    pub(crate) logins: Option<PathBuf>,
    /// Of so many sessions the answers are read back.
    #[arg(long, default_value_t = 100)]
    pub(crate) sample: u32,
    /// Sessions made at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) in_flight: u32,
    /// How long to wait before the first message, when all is set up, and after the last answer for what must not come.
    #[arg(long, default_value = "500ms", value_parser = duration)]
    pub(crate) settle: Duration,
    /// The rest.
    #[command(flatten)]
    pub(crate) site: Site,
}
