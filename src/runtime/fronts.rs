//! What stands between a socket and the engine where a listener speaks TLS or has a proxy in front of it. A connection of any other
//! listener has nothing here, and pays one look at a mark.

use crate::{
    engine::Send,
    proxy::{Networks, Origin},
    realtime::ConnId,
    tls::{Fault, Sealed, Server, Session},
};
use rustix::net::{SocketAddrAny, getpeername};
use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

/// What stands before a listener.
#[derive(Clone, Default, Debug)]
pub struct Porch {
    /// TLS, where it is spoken.
    pub tls: Option<Server>,
    /// Whose word of somebody else's address is believed, and wanted.
    pub proxy: Arc<Networks>,
}

impl Porch {
    /// For a connection that has just been accepted. `None`: nothing stands before it.
    pub(super) fn front(&self, socket: BorrowedFd<'_>) -> Option<Front> {
        let is_proxy = !self.proxy.0.is_empty() && self.proxy.have(origin(socket));
        let cover = self.tls.as_ref().map_or(Cover::None, |server| Cover::Waiting(server.clone()));
        if !is_proxy && matches!(cover, Cover::None) {
            return None;
        }
        Some(Front {
            awaits_header: is_proxy,
            cover,
            unread: Vec::new(),
            unsent: Vec::new(),
            held: None,
            client: None,
            is_queued: false,
            is_over: false,
        })
    }
}

/// Whose connection it is.
fn origin(socket: BorrowedFd<'_>) -> Origin {
    let Ok(Some(peer)) = getpeername(socket) else { return Origin::Unknown };
    match SocketAddr::try_from(peer.clone()) {
        Ok(address) => Origin::Address(address.ip().to_canonical()),
        Err(_) if is_unix(&peer) => Origin::Unix,
        Err(_) => Origin::Unknown,
    }
}

fn is_unix(peer: &SocketAddrAny) -> bool {
    peer.address_family() == rustix::net::AddressFamily::UNIX
}

/// What TLS has of a connection.
#[derive(Debug)]
pub(super) enum Cover {
    /// There is none.
    None,
    /// Nothing of it has come yet: half-open connections cost next to nothing.
    Waiting(Server),
    /// A session.
    Session(Box<Session>),
}

/// One connection's front.
#[derive(Debug)]
pub(super) struct Front {
    /// The proxy's header is to come first.
    pub(super) awaits_header: bool,
    pub(super) cover: Cover,
    /// What came and could not be used yet.
    pub(super) unread: Vec<u8>,
    /// What TLS itself has to say, behind the send in flight.
    pub(super) unsent: Vec<u8>,
    /// What the engine wants sent, behind what TLS itself says.
    pub(super) held: Option<Send>,
    /// Whom the proxy speaks for.
    pub(super) client: Option<IpAddr>,
    /// It waits for its turn at the handshake.
    pub(super) is_queued: bool,
    /// The peer will send no more, which the engine hears after what came before.
    pub(super) is_over: bool,
}

impl Front {
    /// Whether the handshake is still to be made.
    pub(super) fn is_shaking(&self) -> bool {
        match &self.cover {
            Cover::None => false,
            Cover::Waiting(_) => true,
            Cover::Session(session) => !session.is_open(),
        }
    }

    /// The session, begun where it was not.
    pub(super) fn session(&mut self) -> Result<Option<&mut Session>, Fault> {
        if let Cover::Waiting(server) = &self.cover {
            self.cover = Cover::Session(Box::new(Session::new(server)?));
        }
        Ok(match &mut self.cover {
            Cover::Session(session) => Some(session),
            Cover::None | Cover::Waiting(_) => None,
        })
    }

    /// What is to be sent as one piece: what TLS had to say, and this, sealed; and the farewell where it is the last.
    pub(super) fn seal(&mut self, send: &Send) -> Result<Vec<u8>, Fault> {
        // Before the first record too nothing leaves bare.
        self.session()?;
        let mut sealed = std::mem::take(&mut self.unsent);
        if let Cover::Session(session) = &mut self.cover {
            for segment in std::iter::once(&send.segment).chain(&send.more) {
                session.write(&mut self.unread, segment.bytes(), &mut sealed)?;
            }
            if send.is_last {
                session.finish(&mut self.unread, &mut sealed)?;
            }
        }
        Ok(sealed)
    }

    /// For the next owner of the connection.
    pub(super) fn handed_over(self) -> Brought {
        let Front { cover, unread, unsent, client, .. } = self;
        match cover {
            Cover::Session(session) => Brought { sealed: Some(Sealed { session, unread, unsent }), client },
            Cover::None | Cover::Waiting(_) => Brought { sealed: None, client },
        }
    }
}

/// What a connection brings along that is given to REST.
#[derive(Debug, Default)]
pub struct Brought {
    /// Its TLS.
    pub sealed: Option<Sealed>,
    /// Whose it is, where a proxy has said so.
    pub client: Option<IpAddr>,
}

/// Bytes of a record's header: kind, version, length (RFC 8446, 5.1).
const RECORD_HEADER_BYTES: usize = 5;
/// The longest record that may come (RFC 5246, 6.2.3).
const RECORD_BYTES: usize = (16 << 10) + 2048;

/// Whether the first record is there as a whole, or shows already that it is none.
pub(super) fn has_record(bytes: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    match bytes {
        [] => false,
        [kind, ..] if *kind != HANDSHAKE => true,
        [_, _, _, high, low, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            length > RECORD_BYTES || rest.len() >= length
        }
        _ => {
            debug_assert!(bytes.len() < RECORD_HEADER_BYTES);
            false
        }
    }
}

/// Fronts in a chunk.
const CHUNK: usize = 256;

type Chunk = Box<[Option<Box<Front>>]>;

/// All fronts of a shard, by the engine's slots. It grows by chunks, and only where there are fronts.
#[derive(Default, Debug)]
pub(super) struct Fronts {
    chunks: Vec<Option<Chunk>>,
    /// Those whose handshake goes on when there is time.
    pub(super) shaking: VecDeque<ConnId>,
    /// For what was received, and for what of it the client said.
    pub(super) scratch: Vec<u8>,
    pub(super) plain: Vec<u8>,
}

impl Fronts {
    /// The front of this connection; the caller knows by its mark that it has one.
    pub(super) fn at(&mut self, conn: ConnId) -> Option<&mut Front> {
        self.place(conn)?.as_deref_mut()
    }

    fn place(&mut self, conn: ConnId) -> Option<&mut Option<Box<Front>>> {
        self.chunks.get_mut(conn.index() / CHUNK)?.as_mut()?.get_mut(conn.index() % CHUNK)
    }

    pub(super) fn insert(&mut self, conn: ConnId, front: Front) {
        let chunk = conn.index() / CHUNK;
        if self.chunks.len() <= chunk {
            self.chunks.resize_with(chunk + 1, || None);
        }
        let chunk = self.chunks[chunk].get_or_insert_with(|| (0..CHUNK).map(|_| None).collect());
        chunk[conn.index() % CHUNK] = Some(Box::new(front));
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Front> {
        self.place(conn)?.take().map(|front| *front)
    }
}

/// The descriptor's peer is told something at once, or not at all: for last words.
pub(super) fn say_at_once(socket: impl AsFd, bytes: &[u8]) {
    use rustix::net::{SendFlags, send};
    if !bytes.is_empty() {
        // Whom it does not reach finds the end of the stream.
        let _ = send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Segment,
        realtime::ShardId,
        tls::{TicketKeys, Version, tests::Pair},
    };

    #[test]
    fn a_handshake_begins_with_a_whole_record_or_with_none() {
        let rows: [(&[u8], bool); 9] = [
            (&[], false),
            (&[22], false),
            (&[22, 3, 1, 0], false),
            (&[22, 3, 1, 0, 2, 9], false),
            (&[22, 3, 1, 0, 2, 9, 9], true),
            (&[22, 3, 1, 0, 2, 9, 9, 22], true),
            (&[22, 3, 1, 0xff, 0xff], true),
            (b"G", true),
            (&[0x80, 1], true),
        ];
        for (bytes, is_there) in rows {
            assert_eq!(has_record(bytes), is_there, "{bytes:?}");
        }
    }

    #[test]
    fn nothing_is_said_before_the_handshake_is_over() {
        let certificate = Pair::of_days(1).certificate();
        let server = Server::new(&certificate, Version::default(), 0, &TicketKeys::random().unwrap(), &Arc::default()).unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut front = Porch { tls: Some(server), proxy: Arc::default() }.front(socket.as_fd()).unwrap();
        let segment = Segment::whole(b"plain".to_vec()).unwrap();
        let send = Send { conn: ConnId { shard: ShardId(0), generation: 0, slot: 0 }, segment, more: Vec::new(), is_last: false };
        assert!(front.seal(&send).is_err() && front.is_shaking());
    }

    #[test]
    fn a_listener_with_nothing_before_it_has_no_fronts() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        assert!(Porch::default().front(client.as_fd()).is_none());
        let trusts = |network: &str| Porch { tls: None, proxy: Arc::new(Networks(vec![network.parse().unwrap()])) };
        assert!(trusts("127.0.0.0/8").front(client.as_fd()).is_some());
        assert!(trusts("10.0.0.0/8").front(client.as_fd()).is_none());
        let (pair, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(trusts("unix").front(pair.as_fd()).is_some());
        assert!(trusts("127.0.0.0/8").front(pair.as_fd()).is_none());
    }
}
