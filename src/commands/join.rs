//! `homeroom join`: a student in the terminal. Signs in to a classroom and prints what it hears, until it ends.

use super::Failure;
use std::{io::Write, net::TcpStream};
use tungstenite::{Message, WebSocket, client::client, protocol::CloseFrame};

/// Where the embedded default listens.
const DEFAULT_URL: &str = "ws://127.0.0.1:8080/ws";
/// A room to meet in where none is named.
const DEFAULT_CLASSROOM: &str = "00000000-0000-4000-8000-000000000001";

/// Whom to join as, and where.
#[derive(clap::Args, Debug)]
pub struct JoinArguments {
    /// The presence socket; only ws://, as TLS is for browsers
    #[arg(default_value = DEFAULT_URL)]
    pub url: String,
    /// A token for presence; `homeroom token presence` prints one
    #[arg(long)]
    pub token: String,
    /// The classroom (uuid)
    #[arg(long, default_value = DEFAULT_CLASSROOM)]
    pub classroom: String,
    /// The agent label: another one is another agent of the same account
    #[arg(long, default_value = "terminal")]
    pub label: String,
}

/// Joins and prints until the server closes. An error that the session ends with is a failure.
pub fn run(arguments: &JoinArguments) -> Result<(), Failure> {
    let mut socket = connect(&arguments.url)?;
    let payload = serde_json::json!({
        "agent_label": arguments.label, "classroom_id": arguments.classroom, "token": arguments.token
    });
    let request = serde_json::json!({ "type": "connect_request", "payload": payload });
    socket.send(Message::text(request.to_string())).map_err(failed)?;
    eprintln!("joining classroom {} with the label {} (Ctrl-C leaves)", arguments.classroom, arguments.label);
    let mut ended_by = None;
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => {
                writeln!(std::io::stdout(), "{text}").map_err(failed)?;
                ended_by = ended_by.or_else(|| session_error(&text));
            }
            Ok(Message::Close(close)) => return closed(close.as_ref(), ended_by),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_)) => {}
            Err(tungstenite::Error::ConnectionClosed) => return closed(None, ended_by),
            Err(error) => return Err(failed(error)),
        }
    }
}

fn connect(url: &str) -> Result<WebSocket<TcpStream>, Failure> {
    let uri: http::Uri = url.parse().map_err(|_| Failure::Usage("expected a URL such as ws://127.0.0.1:8080/ws".to_owned()))?;
    let (Some("ws"), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(Failure::Usage("expected a URL that begins with ws://".to_owned()));
    };
    let port = uri.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .map_err(|error| Failure::Failed(format!("cannot connect to {host}:{port}: {error}")))?;
    // Not the URL itself: somebody may have put a token into its query.
    let (socket, _response) =
        client(url, stream).map_err(|error| Failure::Failed(format!("no WebSocket at {}: {error}", uri.path())))?;
    Ok(socket)
}

/// The name of the error, where the text is one that ends the session.
fn session_error(text: &str) -> Option<String> {
    let message: serde_json::Value = serde_json::from_str(text).ok()?;
    (message["type"] == "unrecoverable_session_error").then(|| message["payload"]["type"].as_str().unwrap_or_default().to_owned())
}

fn closed(close: Option<&CloseFrame>, ended_by: Option<String>) -> Result<(), Failure> {
    if let Some(error) = ended_by {
        return Err(Failure::Failed(format!("closed by the server: {error}")));
    }
    match close {
        Some(frame) => eprintln!("closed by the server: {}", u16::from(frame.code)),
        None => eprintln!("closed by the server"),
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_session_is_a_failure_and_a_restart_is_none() {
        let refused = r#"{"type":"unrecoverable_session_error","payload":{"type":"unauthenticated","status":401}}"#;
        assert!(matches!(closed(None, session_error(refused)), Err(Failure::Failed(why)) if why.ends_with("unauthenticated")));
        for text in [
            r#"{"type":"connect_success"}"#,
            r#"{"type":"recoverable_session_error","payload":{"type":"terminated"}}"#,
            "rubbish",
        ] {
            assert!(closed(None, session_error(text)).is_ok(), "{text}");
        }
    }
}
