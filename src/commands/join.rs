//! `homeroom join`: a student in the terminal. Signs in to a classroom and prints what it hears, until it ends.

use super::Failure;
use crate::config::EMBEDDED_AUDIENCE;
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

/// Joins and prints until the server closes.
pub fn run(arguments: &JoinArguments) -> Result<(), Failure> {
    let mut socket = connect(&arguments.url)?;
    let payload = serde_json::json!({
        "agent_label": arguments.label, "classroom_id": arguments.classroom, "token": arguments.token
    });
    let request = serde_json::json!({ "type": "connect_request", "payload": payload });
    socket.send(Message::text(request.to_string())).map_err(failed)?;
    eprintln!("joining {} as {}.<account>.{EMBEDDED_AUDIENCE} (Ctrl-C leaves)", arguments.classroom, arguments.label);
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => writeln!(std::io::stdout(), "{text}").map_err(failed)?,
            Ok(Message::Close(close)) => return closed(close.as_ref()),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_)) => {}
            Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
}

fn connect(url: &str) -> Result<WebSocket<TcpStream>, Failure> {
    let uri: http::Uri = url.parse().map_err(|_| Failure::Usage("expected a URL such as ws://127.0.0.1:8080/ws".to_owned()))?;
    let (Some("ws"), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(Failure::Usage("expected a URL that begins with ws://".to_owned()));
    };
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80))).map_err(failed)?;
    let (socket, _response) = client(url, stream).map_err(failed)?;
    Ok(socket)
}

fn closed(close: Option<&CloseFrame>) -> Result<(), Failure> {
    match close {
        Some(frame) => eprintln!("closed by the server: {}", u16::from(frame.code)),
        None => eprintln!("closed by the server"),
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}
