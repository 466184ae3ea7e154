//! The way to NATS: servers, who we are there, and TLS.
//!
//! What async-nats keeps by itself is bounded here: commands by their number (and their bytes by what links let fly), what comes and is not
//! read by [`INWARD`] messages. Beyond that the one drops and says so, and the other is refused: links send both again. A server that says
//! nothing is given up after two pings.

use super::counts::{Counts, add};
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event};
use std::{error::Error, fmt, path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};
use tokio_rustls::rustls::{self, crypto::aws_lc_rs};

/// Commands that may wait for the connection's task. Each is a packet at most, and links let 4 MiB fly.
const OUTWARD: usize = 8_192;
/// Messages that may wait to be read, for each subscription.
const INWARD: usize = 1_024;
/// From one ping to the next where nothing else comes.
const PING: Duration = Duration::from_secs(2);
/// For a connection to stand.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest wait from one attempt to the next.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Who we are for NATS.
#[derive(Clone, PartialEq, Eq)]
pub enum Secrets {
    /// Nobody, or who our certificate says.
    None,
    /// The text of a file of credentials.
    Credentials(String),
    /// Name and password.
    User(String, String),
    /// A token.
    Token(String),
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secrets::None => "None",
            Secrets::Credentials(_) => "Credentials(…)",
            Secrets::User(..) => "User(…)",
            Secrets::Token(_) => "Token(…)",
        })
    }
}

/// All that is needed to connect.
#[derive(Clone, Debug)]
pub struct Access {
    /// `nats://host:port` or `tls://host:port`.
    pub servers: Vec<String>,
    /// Who we are.
    pub secrets: Secrets,
    /// Whether the connection must be encrypted.
    pub is_encrypted: bool,
    /// Whose certificates are believed; none: those that the machine believes.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why there will be no connection, however long one waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccessFault {
    /// The credentials cannot be read as such.
    Credentials,
    /// NATS does not let us in.
    Refused,
    /// Certificates or keys cannot be used.
    Tls(String),
}

impl fmt::Display for AccessFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessFault::Credentials => f.write_str("cluster.credentials_file holds no credentials of NATS (a JWT and a key)"),
            AccessFault::Refused => {
                f.write_str("NATS does not let this node in: are user, password, token or credentials right?")
            }
            AccessFault::Tls(why) => write!(f, "no encrypted connection to NATS can be made: {why}"),
        }
    }
}

impl Error for AccessFault {}

impl Access {
    fn options(&self) -> Result<ConnectOptions, AccessFault> {
        let mut options = match &self.secrets {
            Secrets::None => ConnectOptions::new(),
            Secrets::Credentials(text) => ConnectOptions::with_credentials(text).map_err(|_| AccessFault::Credentials)?,
            Secrets::User(name, password) => ConnectOptions::with_user_and_password(name.clone(), password.clone()),
            Secrets::Token(token) => ConnectOptions::with_token(token.clone()),
        };
        if self.is_encrypted {
            // Whoever was first stays: they are all the same.
            let _ = aws_lc_rs::default_provider().install_default();
            options = options.require_tls(true);
        }
        if let Some(file) = &self.ca_file {
            options = options.add_root_certificates(file.clone());
        }
        if let Some((certificate, key)) = &self.identity {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options
            .name("homeroom")
            .client_capacity(OUTWARD)
            .subscription_capacity(INWARD)
            .ping_interval(PING)
            .connection_timeout(PATIENCE)
            .reconnect_delay_callback(wait))
    }
}

/// Before an attempt; the first is made at once.
fn wait(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(2)).unwrap_or(u32::MAX).min(8);
    if attempts <= 1 { Duration::ZERO } else { (Duration::from_millis(20) * 2u32.pow(doublings)).min(LONGEST_WAIT) }
}

/// A connection that is made again as often as it ends, and how often one came or went: an odd number while there is one.
pub type Line = (Client, watch::Receiver<u64>);

/// Connects, or begins to try for as long as it takes: a NATS that is not there yet is no fault.
///
/// # Errors
/// What no waiting mends.
pub async fn connect(access: &Access, counts: &Arc<Counts>) -> Result<Line, AccessFault> {
    let (changes, changed) = watch::channel(0);
    let (changes, counts) = (Arc::new(changes), counts.clone());
    let options = access.options()?.event_callback(move |event| {
        note(&event, &changes, &counts);
        std::future::ready(())
    });
    let servers = access.servers.as_slice();
    let fault = match options.clone().connect(servers).await {
        Ok(client) => return Ok((client, changed)),
        Err(fault) => fault,
    };
    if let Some(fault) = unending(&fault) {
        return Err(fault);
    }
    tracing::warn!(%fault, "NATS cannot be reached: trying on");
    let client = options.retry_on_initial_connect().connect(servers).await;
    client.map(|client| (client, changed)).map_err(|fault| AccessFault::Tls(fault.to_string()))
}

/// Why NATS was not reached. No word of it holds a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unreached {
    /// What no waiting mends.
    Never(AccessFault),
    /// It may be there later.
    NotNow(String),
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreached::Never(fault) => fault.fmt(f),
            Unreached::NotNow(why) => f.write_str(why),
        }
    }
}

/// Whether NATS is there, lets us in and answers, now.
///
/// # Errors
/// Why not.
pub async fn reach(access: &Access) -> Result<(), Unreached> {
    let options = access.options().map_err(Unreached::Never)?;
    let client = options.connect(access.servers.as_slice()).await.map_err(|fault| match unending(&fault) {
        Some(fault) => Unreached::Never(fault),
        None => Unreached::NotNow(fault.to_string()),
    })?;
    let flushed = timeout(PATIENCE, client.flush()).await.map_err(|_| Unreached::NotNow("it does not answer".to_owned()))?;
    flushed.map_err(|fault| Unreached::NotNow(fault.to_string()))
}

/// What of it no waiting mends.
fn unending(fault: &ConnectError) -> Option<AccessFault> {
    match fault.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => Some(AccessFault::Refused),
        ConnectErrorKind::Tls | ConnectErrorKind::ServerParse => Some(AccessFault::Tls(fault.to_string())),
        ConnectErrorKind::Dns | ConnectErrorKind::TimedOut | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            is_of_tls(fault).then(|| AccessFault::Tls(fault.to_string()))
        }
    }
}

/// Whether the one side did not believe the other, which is told as a fault of the socket.
fn is_of_tls(fault: &ConnectError) -> bool {
    let causes = std::iter::successors(fault.source(), |cause| (*cause).source());
    causes.into_iter().any(|cause| {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        inner.is_some_and(|inner| inner.is::<rustls::Error>())
    })
}

fn note(event: &Event, changes: &watch::Sender<u64>, counts: &Counts) {
    let is_connected = match event {
        Event::Connected => true,
        Event::Disconnected | Event::Closed => false,
        Event::SlowConsumer(_) => return add(&counts.dropped, 1),
        Event::LameDuckMode | Event::Draining | Event::ServerError(_) | Event::ClientError(_) => return,
    };
    counts.set_connected(is_connected);
    if !is_connected {
        add(&counts.disconnects, 1);
    }
    changes.send_modify(|change| *change += if (*change % 2 == 1) == is_connected { 2 } else { 1 });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_is_made_at_once_and_none_waits_long() {
        let waits: Vec<_> = [0, 1, 2, 3, 8, 9, 1_000_000].into_iter().map(wait).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [0, 0, 20, 40, 1000, 1000, 1000]);
    }

    #[test]
    fn a_connection_that_came_and_went_unseen_is_a_change_all_the_same() {
        let (changes, changed) = watch::channel(0);
        let counts = Counts::default();
        let told = |event| {
            note(&event, &changes, &counts);
            *changed.borrow()
        };
        assert_eq!([told(Event::Connected), told(Event::Connected), told(Event::Disconnected)], [1, 3, 4]);
        assert_eq!([told(Event::SlowConsumer(1)), told(Event::Connected)], [4, 5]);
        assert!(counts.is_connected() && counts.disconnects.into_inner() == 1);
    }

    #[test]
    fn no_secret_is_shown() {
        for secrets in [Secrets::User("ann".into(), "p".into()), Secrets::Token("p".into()), Secrets::Credentials("p".into())] {
            assert!(format!("{secrets:?}").ends_with("(…)"));
        }
    }
}
