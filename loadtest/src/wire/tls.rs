//! TLS as a client speaks it: whose certificates are believed, and connections under it for those who wait and those who do not.

use super::http::Target;
use crate::fault::Fault;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    net::{SendFlags, send},
};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use serde::{Deserialize, Serialize};
use std::{
    fmt, fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

/// So much is sealed before the socket is asked again whether it takes more.
const MOST_SEALED: usize = 64 << 10;

/// Whose certificates a server may show.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) enum Trust {
    /// Those that the host trusts.
    #[default]
    Host,
    /// Those of these authorities, as PEM.
    Authorities(String),
    /// Anybody's: who answers is not verified.
    Anybody,
}

impl Trust {
    /// What the command line asks for.
    ///
    /// # Errors
    /// A sentence for the user: the file cannot be read, or holds no certificate.
    pub(crate) fn asked(ca: Option<&Path>, insecure: bool) -> Result<Trust, String> {
        let Some(file) = ca else { return Ok(if insecure { Trust::Anybody } else { Trust::Host }) };
        let pem = fs::read_to_string(file).map_err(|fault| format!("--ca {}: {fault}", file.display()))?;
        roots(&pem).map_err(|fault| format!("--ca {}: {fault}", file.display()))?;
        Ok(Trust::Authorities(pem))
    }
}

/// What is asked of a server under TLS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Tls {
    /// The name that its certificate must be for.
    pub(crate) name: String,
    /// Who must have signed it.
    pub(crate) trust: Trust,
}

/// What all connections to a server share.
#[derive(Clone)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// For this server; none where it speaks without TLS. No session is remembered: each connection is a stranger's, with all that this
    /// costs.
    ///
    /// # Errors
    /// A sentence for the user: no authorities can be had, a name that no certificate can be for.
    pub(crate) fn of(target: &Target) -> Result<Option<Client>, String> {
        let Some(tls) = &target.tls else { return Ok(None) };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let told = |fault: &dyn fmt::Display| format!("TLS: {fault}");
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(|fault| told(&fault))?;
        let mut config = match &tls.trust {
            Trust::Host => builder.with_platform_verifier().map_err(|fault| told(&fault))?.with_no_client_auth(),
            Trust::Authorities(pem) => builder.with_root_certificates(roots(pem)?).with_no_client_auth(),
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Credulous(provider))).with_no_client_auth()
            }
        };
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(tls.name.clone()).map_err(|fault| told(&fault))?;
        Ok(Some(Client { config: Arc::new(config), name }))
    }

    fn session(&self) -> Result<ClientConnection, rustls::Error> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = certificate.map_err(|fault| fault.to_string()).map(|certificate| roots.add(certificate));
        added?.map_err(|fault| fault.to_string())?;
    }
    if roots.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(roots) }
}

/// Believes every certificate. Who shows it must still have its key: what a handshake costs is as it is otherwise, but for the chain.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Bytes both ways, for one who waits.
pub(crate) trait Duplex: Read + Write {}
impl<S: Read + Write> Duplex for S {}

/// Connects, for one who waits at most so long for each thing.
///
/// # Errors
/// Those of the socket; TLS that is not to be had.
pub(crate) fn connect(target: &Target, within: Duration) -> io::Result<Box<dyn Duplex>> {
    let stream = TcpStream::connect_timeout(&target.address, within)?;
    stream.set_read_timeout(Some(within))?;
    let Some(client) = Client::of(target).map_err(io::Error::other)? else { return Ok(Box::new(stream)) };
    Ok(Box::new(StreamOwned::new(client.session().map_err(io::Error::other)?, stream)))
}

/// TLS over a nonblocking socket. What is said before its handshake is over waits until then.
pub(crate) struct Session(Box<ClientConnection>);

impl Session {
    pub(super) fn new(client: &Client) -> Result<Session, Fault> {
        let mut session = client.session().map_err(|fault| Fault::Tls(fault.to_string()))?;
        // What a socket does not take is told to the caller instead.
        session.set_buffer_limit(None);
        Ok(Session(Box::new(session)))
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self, socket: &OwnedFd) -> Result<(), Fault> {
        while self.0.wants_write() {
            match self.0.write_tls(&mut Out(socket.as_fd())) {
                Ok(_) => {}
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(fault) => return Err(errno(&fault).into()),
            }
        }
        Ok(())
    }

    /// Sends all of a small message; `AGAIN` where the peer does not read.
    pub(super) fn send_all(&mut self, socket: &OwnedFd, bytes: &[u8]) -> Result<(), Fault> {
        self.seal(bytes)?;
        self.flush(socket)?;
        if self.is_stuck() { Err(Errno::AGAIN.into()) } else { Ok(()) }
    }

    /// Sends as much as goes; how much that was, of which the last part may still wait here. Less than all: the socket is full.
    pub(super) fn send_some(&mut self, socket: &OwnedFd, bytes: &[u8]) -> Result<usize, Fault> {
        let mut sent = 0;
        self.flush(socket)?;
        while sent < bytes.len() && !self.is_stuck() {
            let part = &bytes[sent..bytes.len().min(sent + MOST_SEALED)];
            self.seal(part)?;
            self.flush(socket)?;
            sent += part.len();
        }
        Ok(sent)
    }

    fn seal(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.0.writer().write_all(bytes).map_err(|fault| Fault::Tls(fault.to_string()))
    }

    /// Whether the socket does not take what waits. In a handshake that is not for the peer's slowness.
    fn is_stuck(&self) -> bool {
        self.0.wants_write() && !self.0.is_handshaking()
    }

    /// Fills the buffer, or reads all there is: 0 is the end; `AGAIN`: there is nothing. `fetch` reads from the socket.
    pub(super) fn read(
        &mut self,
        socket: &OwnedFd,
        buffer: &mut [u8],
        mut fetch: impl FnMut(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<usize, Fault> {
        let mut read = 0;
        loop {
            match self.0.reader().read(&mut buffer[read..]) {
                Ok(0) => return Ok(read),
                Ok(more) => {
                    read += more;
                    continue;
                }
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) if read > 0 => return Ok(read),
                Err(_) if self.0.is_handshaking() => return Err(Fault::Ended),
                Err(_) => return Err(Fault::Broken("TLS that ended without its farewell")),
            }
            match self.0.read_tls(&mut In(&mut fetch)) {
                Ok(_) => {}
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if read > 0 => return Ok(read),
                Err(fault) => return Err(errno(&fault).into()),
            }
            if let Err(fault) = self.0.process_new_packets() {
                // The alert, if there is one, tells the server why.
                let _ = self.flush(socket);
                return Err(Fault::Tls(fault.to_string()));
            }
            self.flush(socket)?;
        }
    }
}

fn errno(fault: &io::Error) -> Errno {
    Errno::from_io_error(fault).unwrap_or(Errno::IO)
}

struct Out<'a>(BorrowedFd<'a>);

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct In<F>(F);

impl<F: FnMut(&mut [u8]) -> Result<usize, Errno>> Read for In<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok((self.0)(buffer)?)
    }
}
