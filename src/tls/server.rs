//! What all connections of a listener have in common.

use super::{Certificate, SessionMemory, TicketKeys};
use rustls::{ALL_VERSIONS, ServerConfig, SupportedProtocolVersion, crypto::aws_lc_rs, sign::CertifiedKey, version::TLS13};
use std::sync::Arc;

/// The oldest version that is spoken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Version {
    /// TLS 1.2 (RFC 5246), and all that is newer.
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446) alone.
    Tls13,
}

static NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];

impl Version {
    fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Version::Tls12 => ALL_VERSIONS,
            Version::Tls13 => NEWEST,
        }
    }
}

/// What is spoken on a stream that TLS carries: all that we serve begins as HTTP/1.1 (RFC 7301).
const PROTOCOL: &[u8] = b"http/1.1";

/// A listener's settings. Cloned by reference; changed by making another.
#[derive(Clone, Debug)]
pub struct Server(Arc<ServerConfig>);

impl Server {
    /// `listener` is its number, `keys` and `memory` by what clients take up earlier sessions: of these `memory` is this listener's alone.
    ///
    /// # Errors
    /// rustls finds its settings in contradiction, which these never are.
    pub fn new(
        certificate: &Certificate,
        oldest: Version,
        listener: u8,
        keys: &TicketKeys,
        memory: &Arc<SessionMemory>,
    ) -> Result<Server, super::Fault> {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(oldest.and_newer())?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(Only(certificate.certified())));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.ticketer = keys.at(listener);
        config.session_storage = memory.clone();
        Ok(Server(Arc::new(config)))
    }

    pub(super) fn config(&self) -> &Arc<ServerConfig> {
        &self.0
    }
}

/// Whatever name is asked for.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl rustls::server::ResolvesServerCert for Only {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
