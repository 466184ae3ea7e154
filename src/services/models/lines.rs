//! Connections to one endpoint, kept for the next request.

use super::exchange::{Answer, Unanswered, Wire, is_silent};
use crate::services::outbound::SetupFault;
use http::StatusCode;
use rustix::net::sockopt;
use rustls_platform_verifier::BuilderVerifierExt;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::ServerName},
};
use url::Url;

/// A connection that is not used for so long is closed at the next request.
const IDLE: Duration = Duration::from_secs(60);
/// Another address is tried when one has not answered for so long.
const NEXT_ADDRESS: Duration = Duration::from_millis(500);
/// A host that acknowledges nothing for so long is gone.
const UNHEARD: Duration = Duration::from_secs(15);

/// Where connections lead, and those that wait for a request.
pub(super) struct Lines {
    host: String,
    port: u16,
    secure: Option<(TlsConnector, ServerName<'static>)>,
    /// The one that was used last is the last. Held for a push or a pop, and only by the one thread of the bridge.
    idle: Mutex<Vec<(Box<dyn Wire>, Instant)>>,
    most_idle: usize,
}

impl Lines {
    /// To the host of this URL, by TLS for `https`: then it reads the machine's CA certificates from its files. At most so many are kept.
    pub(super) fn new(url: &Url, most_idle: usize) -> Result<Lines, SetupFault> {
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(SetupFault::Url)?;
        // An address of IPv6 stands in brackets in a URL alone.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().ok_or(SetupFault::Url)?;
        let secure = match url.scheme() {
            "http" => None,
            "https" => Some((connector()?, ServerName::try_from(host.clone()).map_err(|_| SetupFault::Url)?)),
            _ => return Err(SetupFault::Url),
        };
        Ok(Lines { host, port, secure, idle: Mutex::default(), most_idle })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn ask(&self, request: &[u8]) -> Result<Answer, Unanswered> {
        if let Some(kept) = self.kept() {
            match Answer::to(request, kept).await {
                // A kept one may have been closed while the request was on its way to it, unread: that says nothing of the endpoint.
                Err(Unanswered::Unheard) => {}
                Ok(answer) if answer.status == StatusCode::REQUEST_TIMEOUT => {}
                answer => return answer,
            }
        }
        let fresh = self.connect().await.map_err(|_| Unanswered::Unheard)?;
        Answer::to(request, fresh).await
    }

    /// The answer was read: its connection waits for another request if it can take one.
    pub(super) fn keep(&self, answer: Answer) {
        let Some(wire) = answer.into_wire() else { return };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most_idle {
            idle.push((wire, Instant::now()));
        }
    }

    /// Connects without asking for anything.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Wire>> {
        let stream = self.reach().await?;
        stream.set_nodelay(true)?;
        // A host that is gone without a word is found out, whether something is on its way to it or not.
        sockopt::set_tcp_user_timeout(&stream, UNHEARD.as_millis() as u32)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, UNHEARD)?;
        sockopt::set_tcp_keepintvl(&stream, UNHEARD)?;
        Ok(match &self.secure {
            None => Box::new(stream),
            Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
        })
    }

    /// Tries its addresses one after the other; the last has all the time that there is.
    async fn reach(&self) -> io::Result<TcpStream> {
        let mut addresses = lookup_host((self.host.as_str(), self.port)).await?.peekable();
        while let Some(address) = addresses.next() {
            let is_last = addresses.peek().is_none();
            let within = if is_last { Duration::MAX } else { NEXT_ADDRESS };
            match timeout(within, TcpStream::connect(address)).await {
                Ok(Err(fault)) if is_last => return Err(fault),
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Err(io::ErrorKind::AddrNotAvailable.into())
    }

    /// One that is open still.
    fn kept(&self) -> Option<Box<dyn Wire>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // They stand in the order of their last use.
        let old = idle.partition_point(|(_, since)| now.duration_since(*since) >= IDLE);
        idle.drain(..old);
        std::iter::from_fn(|| idle.pop()).map(|(wire, _)| wire).find_map(|mut wire| is_silent(&mut *wire).then_some(wire))
    }
}

fn connector() -> Result<TlsConnector, SetupFault> {
    let told = |error: rustls::Error| SetupFault::Client(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = builder.with_safe_default_protocol_versions().map_err(told)?.with_platform_verifier().map_err(told)?;
    Ok(TlsConnector::from(Arc::new(config.with_no_client_auth())))
}
