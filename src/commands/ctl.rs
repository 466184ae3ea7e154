//! `homeroom ctl`: what operators do with a server that runs, by its internal listener.

mod told;

use super::{
    Failure,
    flags::SettingFlags,
    server::{Line, Server},
    token,
};
use crate::realtime::{ClassroomId, ConnId};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs,
    io::{IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

/// Behind the help.
pub const EXIT_CODES: &str = "Exit codes: 0 it is done, and `status` found a server that is ready; 1 the server is not ready, or \
refused; 2 the command or the settings are wrong; 3 no server answers there; 4 the server does not let you.";

/// What to do, and where the server is.
#[derive(clap::Args, Debug)]
pub struct CtlArguments {
    /// What.
    #[command(subcommand)]
    pub command: CtlCommand,
}

/// What can be done.
#[derive(clap::Subcommand, Debug)]
pub enum CtlCommand {
    /// Tell how the server is: exit code 0 when it is ready for work
    Status {
        /// As JSON, one object
        #[arg(long, conflicts_with = "ready")]
        json: bool,
        /// Ask whether it is ready, and nothing else: needs no token, and says nothing but why not. For health checks
        #[arg(long)]
        ready: bool,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// End connections of this node with close code 1008; who has a good token may come again
    Kick {
        /// Whose.
        #[command(flatten)]
        whom: Whom,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Have settings, keys and certificates read again, as SIGHUP does, and tell what has changed or why nothing was
    Reload {
        /// Where.
        #[command(flatten)]
        place: Place,
    },
    /// Begin the stop. With --over the connected are let go one by one, as by `homeroom drain`; without it all are told at once, and
    /// served until the drain is over, as on SIGTERM
    Drain {
        /// How long it takes from the first connection that is closed to the last
        #[arg(long, value_name = "TIME", value_parser = token::ttl)]
        over: Option<Duration>,
        /// How long readyz says 503 before the first is closed: 5s unless told
        #[arg(long, value_name = "TIME", value_parser = token::ttl, requires = "over")]
        lead: Option<Duration>,
        /// Where.
        #[command(flatten)]
        place: Place,
    },
}

/// Whose connections: one of these.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Whom {
    /// All of a user: the `sub` of a token, or the agent id, in a classroom; the id of a user of labs, chat and tasks; an owner of quizzes
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// All who are in a classroom
    #[arg(long, value_name = "ID")]
    pub classroom: Option<ClassroomId>,
    /// One connection, as /api/v1/control/load names it, such as 0:12.3
    #[arg(long, value_name = "ID", value_parser = |text: &str| text.parse::<ConnId>().map_err(|_| "expected an id such as 0:12.3"))]
    pub connection: Option<ConnId>,
}

/// Where the server is, and who asks.
#[derive(clap::Args, Clone, Debug)]
pub struct Place {
    /// The internal listener of the running server; without it the settings tell where it is
    #[arg(long, value_name = "URL")]
    pub internal: Option<String>,
    /// A file with an operator's token, where the server asks for one (`homeroom token labs` makes it)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

impl Place {
    /// The server there.
    pub(super) fn server(&self) -> Result<Server, Failure> {
        let server = match &self.internal {
            Some(url) => Server::at(url),
            None => Server::configured(&self.flags.load_process()?.settings)?,
        };
        let Some(file) = &self.token_file else { return Ok(server) };
        let text = fs::read_to_string(file);
        let text = text.map_err(|error| Failure::Usage(format!("--token-file: {}: {error}", file.display())))?;
        server.with_token(text.trim())
    }
}

/// Does it.
pub fn run(arguments: &CtlArguments) -> Result<(), Failure> {
    match &arguments.command {
        CtlCommand::Status { ready: true, place, .. } => is_ready(&place.server()?),
        CtlCommand::Status { json, place, .. } => status(*json, &place.server()?),
        CtlCommand::Kick { whom, place } => kick(whom, &place.server()?),
        CtlCommand::Reload { place } => reload(&place.server()?),
        CtlCommand::Drain { over, lead, place } => {
            let seconds = |time: &Option<Duration>| time.map(|time| time.as_secs_f64());
            let pace = over.map(|_| json!({ "over_seconds": seconds(over), "lead_seconds": seconds(lead) }));
            let answer = asked(&place.server()?, Method::POST, "drain", pace.as_ref())?;
            say(&told::drained(&answer))
        }
    }
}

fn status(as_json: bool, server: &Server) -> Result<(), Failure> {
    let answer = asked(server, Method::GET, "status", None)?;
    let is_ready = answer["ready"] == true;
    if as_json {
        say(&format!("{answer}\n"))?;
    } else {
        say(&told::status(&answer))?;
    }
    // All has been said.
    if is_ready { Ok(()) } else { Err(Failure::Failed(String::new())) }
}

/// As `/readyz` has it, which everybody may ask.
fn is_ready(server: &Server) -> Result<(), Failure> {
    match server.ask(Method::GET, "/readyz", None).map_err(absent)? {
        (status, _) if status.is_success() => Ok(()),
        (StatusCode::SERVICE_UNAVAILABLE, why) => Err(Failure::Failed(format!("not ready: {}", why.trim_end()))),
        (status, _) => Err(Failure::Failed(format!("/readyz says {status}: is this the internal listener? (--internal)"))),
    }
}

fn kick(whom: &Whom, server: &Server) -> Result<(), Failure> {
    let body = match whom {
        Whom { user: Some(user), .. } => json!({ "user": user }),
        Whom { classroom: Some(classroom), .. } => json!({ "classroom": classroom }),
        Whom { connection: Some(connection), .. } => json!({ "connection": connection.to_string() }),
        Whom { user: None, classroom: None, connection: None } => unreachable!("the command line asks for one of them"),
    };
    let answer = asked(server, Method::POST, "kick", Some(&body))?;
    say(&told::kicked(&answer))?;
    match answer["closed"].as_u64() {
        Some(0) | None => Err(Failure::Failed(String::new())),
        Some(_) => Ok(()),
    }
}

fn reload(server: &Server) -> Result<(), Failure> {
    let answer = asked(server, Method::POST, "reload", None)?;
    say(&told::reloaded(&answer))
}

/// On standard output. Nobody may be reading, which is no fault of the server's.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes());
    if out.is_terminal() {
        let _ = out.flush();
    }
    Ok(())
}

/// The answer of a route of [`crate::http::control`].
fn asked(server: &Server, method: Method, what: &str, body: Option<&Value>) -> Result<Value, Failure> {
    asked_by(&server.line()?, method, what, body)
}

/// The same, by a line that is kept.
pub(super) fn asked_by(line: &Line, method: Method, what: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let answer = line.ask(method, &format!("/api/v1/control/{what}"), body).map_err(absent)?;
    understood(answer)
}

/// Whoever does not answer is not there.
fn absent(failure: Failure) -> Failure {
    match failure {
        Failure::Failed(text) => Failure::Absent(text),
        other @ (Failure::Usage(_) | Failure::Absent(_) | Failure::Denied(_)) => other,
    }
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    error: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    faults: Vec<String>,
}

fn understood((status, text): (StatusCode, String)) -> Result<Value, Failure> {
    if status.is_success() {
        return serde_json::from_str(&text)
            .map_err(|_| Failure::Failed("the answer cannot be read: is this the internal listener of a Homeroom?".to_owned()));
    }
    let refusal: Refusal = serde_json::from_str(&text).unwrap_or_default();
    let shown = "show an operator's token (--token-file; `homeroom token labs` makes one of an admin)";
    Err(match (status, &*refusal.error) {
        (StatusCode::UNAUTHORIZED, "no_token") => Failure::Denied(format!("the server answers operators only: {shown}")),
        (StatusCode::UNAUTHORIZED, _) => Failure::Denied("the server does not take this token: it is wrong, or over".to_owned()),
        (StatusCode::FORBIDDEN, "no_operator") => {
            Failure::Denied("this token is of a user who is no operator: an admin of labs is asked for".to_owned())
        }
        (StatusCode::FORBIDDEN, _) => Failure::Denied("the server does not let this be asked from here".to_owned()),
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => Failure::Failed(
            "the server has no such route: is this its internal listener, and is it of this version? (--internal)".to_owned(),
        ),
        (_, "reload_refused") => Failure::Failed(told::refused(&refusal.faults)),
        (_, "stopping") => Failure::Failed("the server stops already".to_owned()),
        (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, _) => {
            Failure::Usage(format!("the server does not understand this: {text}"))
        }
        _ if refusal.message.is_empty() => Failure::Failed(format!("the server refused ({status})")),
        _ => Failure::Failed(format!("the server refused ({status}): {}", refusal.message)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, text: &str) -> Failure {
        understood((StatusCode::from_u16(status).unwrap(), text.to_owned())).unwrap_err()
    }

    #[test]
    fn an_answer_is_the_servers_json() {
        assert_eq!(understood((StatusCode::OK, r#"{"closed":1}"#.to_owned())).unwrap()["closed"], 1);
        let other = understood((StatusCode::OK, "<html>".to_owned())).unwrap_err();
        assert!(other.to_string().contains("internal listener"), "{other}");
    }

    #[test]
    fn who_may_not_is_told_what_would_help() {
        let told = refused(401, r#"{"error":"no_token","message":"x"}"#);
        assert!(matches!(&told, Failure::Denied(text) if text.contains("--token-file")), "{told}");
        for (status, body) in [
            (401, r#"{"error":"bad_token","message":"x"}"#),
            (403, r#"{"error":"no_operator","message":"x"}"#),
            (403, r#"{"type":"access_denied"}"#),
        ] {
            let told = refused(status, body);
            assert!(matches!(&told, Failure::Denied(text) if !text.is_empty()), "{body}: {told}");
        }
    }

    #[test]
    fn a_refusal_says_every_reason() {
        let told = refused(422, r#"{"error":"reload_refused","message":"Nothing was changed","faults":["a: b","c: d"]}"#);
        assert!(matches!(&told, Failure::Failed(text) if text.contains("a: b") && text.contains("c: d")), "{told}");
        assert!(refused(409, r#"{"error":"stopping","message":"x"}"#).to_string().contains("stops already"));
        assert!(refused(404, "").to_string().contains("--internal"));
        assert!(refused(503, r#"{"type":"x"}"#).to_string().contains("503"));
    }

    #[test]
    fn nobody_there_has_an_exit_code_of_its_own() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let failure = asked(&Server::at(&format!("http://{free}")), Method::GET, "status", None).unwrap_err();
        assert!(matches!(&failure, Failure::Absent(text) if text.contains("cannot be reached")), "{failure}");
    }

    #[test]
    fn a_token_is_shown_to_nobody_who_looks_at_the_server() {
        let server = Server::at("http://127.0.0.1:1").with_token("secret.of.mine").unwrap();
        assert!(!format!("{server:?}").contains("secret"), "{server:?}");
        assert!(matches!(Server::at("http://x").with_token("two\nlines"), Err(Failure::Usage(_))));
    }
}
