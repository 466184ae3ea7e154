//! `homeroom join`: a student in the terminal. Signs in to a classroom and prints what it hears, until it ends.

use super::Failure;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
};
use tungstenite::{Message, WebSocket, client::client, protocol::CloseFrame};

/// Where the embedded default listens.
const DEFAULT_URL: &str = "ws://127.0.0.1:8080/ws";
/// A room to meet in where none is named.
const DEFAULT_CLASSROOM: &str = "00000000-0000-4000-8000-000000000001";

/// Whom to join as, and where.
#[derive(clap::Args, Debug)]
pub struct JoinArguments {
    /// The presence socket: ws://… or wss://…
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
    /// Whose certificates the server may show (a file of PEM); without it those that this machine trusts
    #[arg(long)]
    pub ca: Option<PathBuf>,
}

/// Joins and prints until the server closes. An error that the session ends with is a failure.
pub fn run(arguments: &JoinArguments) -> Result<(), Failure> {
    let mut socket = connect(&arguments.url, arguments.ca.as_deref())?;
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

/// Bytes both ways.
trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}

fn connect(url: &str, ca: Option<&Path>) -> Result<WebSocket<Box<dyn Duplex>>, Failure> {
    let uri: http::Uri = url.parse().map_err(|_| Failure::Usage("expected a URL such as ws://127.0.0.1:8080/ws".to_owned()))?;
    let (is_safe, host) = match (uri.scheme_str(), uri.host()) {
        (Some("ws"), Some(host)) => (false, host.trim_matches(['[', ']'])),
        (Some("wss"), Some(host)) => (true, host.trim_matches(['[', ']'])),
        _ => return Err(Failure::Usage("expected a URL that begins with ws:// or wss://".to_owned())),
    };
    let port = uri.port_u16().unwrap_or(if is_safe { 443 } else { 80 });
    let bare =
        TcpStream::connect((host, port)).map_err(|error| Failure::Failed(format!("cannot connect to {host}:{port}: {error}")))?;
    let stream: Box<dyn Duplex> = if is_safe { Box::new(under_tls(bare, host, ca)?) } else { Box::new(bare) };
    // Not the URL itself: somebody may have put a token into its query.
    let (socket, _response) =
        client(url, stream).map_err(|error| Failure::Failed(format!("no WebSocket at {}: {error}", uri.path())))?;
    Ok(socket)
}

fn under_tls(bare: TcpStream, host: &str, ca: Option<&Path>) -> Result<StreamOwned<ClientConnection, TcpStream>, Failure> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
    let config = match ca {
        None => builder.with_platform_verifier().map_err(failed)?.with_no_client_auth(),
        Some(file) => {
            let unreadable = |error: &dyn std::fmt::Display| Failure::Usage(format!("--ca {}: {error}", file.display()));
            let bytes = fs::read(file).map_err(|error| unreadable(&error))?;
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&bytes) {
                roots.add(certificate.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    let name = ServerName::try_from(host.to_owned()).map_err(failed)?;
    Ok(StreamOwned::new(ClientConnection::new(Arc::new(config), name).map_err(failed)?, bare))
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
