//! TLS before a stub, by rustls: what comes under it goes on to the stub, and back.

use rcgen::{CertificateParams, KeyPair};
use rustix::event::{PollFd, PollFlags, poll};
use rustls::{
    ServerConfig, ServerConnection, Stream,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// Who answers for a stub: its certificate is its own authority's.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    key: String,
}

impl Identity {
    pub(crate) fn new() -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        Identity { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    /// Listens under TLS before what listens at `behind`. Who is not `polite` goes without a farewell.
    pub(crate) fn before(&self, behind: SocketAddr, polite: bool) -> SocketAddr {
        let chain = vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(config.with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (config, back) = (config.clone(), TcpStream::connect(behind));
                let Ok(back) = back else { continue };
                // A client that goes in the middle is no fault of anybody here.
                thread::spawn(move || relay(ServerConnection::new(config).unwrap(), client, back, polite));
            }
        });
        address
    }
}

fn relay(mut session: ServerConnection, mut client: TcpStream, mut back: TcpStream, polite: bool) -> io::Result<()> {
    let mut buffer = vec![0; 65_536];
    let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
    loop {
        let (from_client, from_back) = {
            let mut both = [PollFd::new(&client, PollFlags::IN), PollFd::new(&back, PollFlags::IN)];
            poll(&mut both, None)?;
            (is_ready(&both[0]), is_ready(&both[1]))
        };
        if from_client {
            let read = session.read_tls(&mut client)?;
            let state = session.process_new_packets();
            while session.wants_write() {
                session.write_tls(&mut client)?;
            }
            state.map_err(io::Error::other)?;
            while let Ok(plain @ 1..) = session.reader().read(&mut buffer) {
                back.write_all(&buffer[..plain])?;
            }
            if read == 0 {
                return back.shutdown(Shutdown::Both);
            }
        }
        if from_back {
            let read = back.read(&mut buffer)?;
            if read == 0 {
                if polite {
                    session.send_close_notify();
                    while session.wants_write() {
                        session.write_tls(&mut client)?;
                    }
                }
                return client.shutdown(Shutdown::Both);
            }
            Stream::new(&mut session, &mut client).write_all(&buffer[..read])?;
        }
    }
}
