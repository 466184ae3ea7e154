//! The command line of `mixed`.

use super::Site;
use clap::Args;
use std::{net::SocketAddr, path::PathBuf};

/// `mixed`.
#[derive(Args, Debug)]
pub(crate) struct Mixed {
    /// The day: a file, or one of the program's own (small, district).
    #[arg(long, default_value = "small", value_name = "FILE|NAME")]
    pub(crate) profile: String,
    /// Print one of the program's own profiles, and run nothing.
    #[arg(long, value_name = "NAME")]
    pub(crate) print: Option<String>,
    /// The WebSocket route of classrooms.
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    pub(crate) presence_url: String,
    /// That of quizzes; the REST routes are beside it.
    #[arg(long, default_value = "ws://127.0.0.1:8090/ws")]
    pub(crate) quiz_url: String,
    /// The server of chat, http://HOST:PORT.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    pub(crate) chat_url: String,
    /// The WebSocket route of tasks.
    #[arg(long, default_value = "ws://127.0.0.1:8000/ws")]
    pub(crate) tasks_url: String,
    /// The server of labs, http://HOST:PORT.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) labs_url: String,
    /// An admin of labs, who makes the sessions and watches them.
    #[arg(long, default_value = "admin")]
    pub(crate) labs_user: String,
    /// A file with the password of --labs-user.
    #[arg(long, value_name = "FILE")]
    pub(crate) labs_password: Option<PathBuf>,
    /// The template of labs' sessions.
    #[arg(long, default_value = "firefox-browser")]
    pub(crate) labs_template: String,
    /// The keys of which tokens are made, as for the scenario of each part.
    #[arg(long, default_value = "data/keys/presence.hs256", value_name = "FILE")]
    pub(crate) presence_key: PathBuf,
    #[arg(long, default_value = "data/keys/quiz.hs256", value_name = "FILE")]
    pub(crate) quiz_key: PathBuf,
    #[arg(long, default_value = "data/keys/chat.hs256", value_name = "FILE")]
    pub(crate) chat_key: PathBuf,
    #[arg(long, default_value = "data/keys/tasks.hs256", value_name = "FILE")]
    pub(crate) tasks_key: PathBuf,
    /// `iss` of the tokens made for classrooms, quizzes and tasks.
    #[arg(long, default_value = "homeroom.local")]
    pub(crate) issuer: String,
    /// `aud` of them.
    #[arg(long, default_value = "school.local")]
    pub(crate) aud: String,
    /// Serve the model of chat here, as `chat` does. Without, the built-in agent answers.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) model_listen: Option<SocketAddr>,
    /// The agent of chat sessions [default: the server's].
    #[arg(long, value_name = "NAME")]
    pub(crate) chat_agent: Option<String>,
    /// The model of tasks [default: with --model-listen `builtin`, since what is served here answers chat alone; else the agent's own].
    #[arg(long, value_name = "NAME")]
    pub(crate) tasks_model: Option<String>,
    /// The rest; --workers are those of each part.
    #[command(flatten)]
    pub(crate) site: Site,
}
