//! A connection between two hosts of a run: who does not know its secret can neither open one, nor read or change what goes over it.
//!
//! Both sides first say what they are, in plain words; that much anybody may know. Then follows a handshake of the Noise protocol
//! (`NNpsk0`, revision 34) with the secret as its key and the plain words as its prologue. What is read before it is done is bounded in
//! length and in time.

use super::secret::Secret;
use rustix::net::sockopt;
use snow::{Builder, HandshakeState, StatelessTransportState, params::NoiseParams};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

/// What this program says it is: letters are understood by the same version alone.
const HELLO: &str = concat!("homeroom-load ", env!("CARGO_PKG_VERSION"), ", letters 1");
const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
/// A handshake takes a few round trips; who is slower is no worker.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(20);
/// The longest message before the handshake is done.
const LONGEST_PLAIN: usize = 255;
/// The longest message of the Noise protocol, and what a seal takes of it.
const LONGEST_SEALED: usize = 65_535;
const SEAL_BYTES: usize = 16;
/// A connection on which nothing goes is probed so often, and given up after so many probes.
const PROBE_EVERY: Duration = Duration::from_secs(2);
const PROBES: u32 = 5;
const REFUSED: &[u8] = b"refused";

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The other side has another secret.
    Secret,
    /// The other side is another program: what it says it is.
    Version(String),
    /// The network, or who does not keep to the protocol.
    Broken(io::Error),
}

/// What is read from the other side.
pub(crate) struct SealedReader {
    stream: TcpStream,
    keys: Arc<StatelessTransportState>,
    nonce: u64,
    sealed: Vec<u8>,
    plain: Vec<u8>,
    read: usize,
}

/// What is written to the other side. Nothing leaves before a flush, or before a message is full.
pub(crate) struct SealedWriter {
    stream: TcpStream,
    keys: Arc<StatelessTransportState>,
    nonce: u64,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl From<io::Error> for Refusal {
    fn from(fault: io::Error) -> Refusal {
        Refusal::Broken(fault)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Secret => f.write_str("its secret is another"),
            Refusal::Version(theirs) => write!(f, "it is {theirs}, this is {HELLO}: use the same version on all hosts"),
            Refusal::Broken(fault) => write!(f, "the handshake failed: {fault}"),
        }
    }
}

/// Has the kernel end the connection when nothing was confirmed for about ten seconds: a network that goes away says nothing.
///
/// # Errors
/// Those of the socket.
pub(super) fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    Ok(sockopt::set_tcp_user_timeout(stream, PROBE_EVERY.as_millis() as u32 * PROBES)?)
}

/// The worker's side.
///
/// # Errors
/// Why the boss does not let it in.
pub(crate) fn ask_in(stream: &TcpStream, secret: &Secret) -> Result<(SealedReader, SealedWriter), Refusal> {
    let mut plain = Plain::new(stream);
    plain.write(HELLO.as_bytes())?;
    hold_version(&plain.read()?)?;
    let mut handshake = begun(secret, |builder| builder.build_initiator())?;
    plain.write(&said(&mut handshake)?)?;
    let answer = plain.read()?;
    if answer == REFUSED {
        return Err(Refusal::Secret);
    }
    handshake.read_message(&answer, &mut [0; LONGEST_PLAIN]).map_err(|_| Refusal::Secret)?;
    Ok(sealed(stream, handshake)?)
}

/// The boss's side.
///
/// # Errors
/// Why the worker is not let in; it was told.
pub(crate) fn let_in(stream: &TcpStream, secret: &Secret) -> Result<(SealedReader, SealedWriter), Refusal> {
    let mut plain = Plain::new(stream);
    let hello = plain.read()?;
    plain.write(HELLO.as_bytes())?;
    hold_version(&hello)?;
    let mut handshake = begun(secret, |builder| builder.build_responder())?;
    if handshake.read_message(&plain.read()?, &mut [0; LONGEST_PLAIN]).is_err() {
        plain.write(REFUSED)?;
        return Err(Refusal::Secret);
    }
    plain.write(&said(&mut handshake)?)?;
    Ok(sealed(stream, handshake)?)
}

fn hold_version(theirs: &[u8]) -> Result<(), Refusal> {
    if theirs == HELLO.as_bytes() {
        return Ok(());
    }
    // A stranger's words are shown: nothing in them may move a terminal's cursor.
    let shown = String::from_utf8_lossy(theirs).chars().filter(|letter| !letter.is_control()).take(64).collect();
    Err(Refusal::Version(shown))
}

fn begun(secret: &Secret, side: fn(Builder<'_>) -> Result<HandshakeState, snow::Error>) -> io::Result<HandshakeState> {
    let pattern: NoiseParams = PATTERN.parse().map_err(io::Error::other)?;
    let builder = Builder::new(pattern).psk(0, secret.key()).and_then(|builder| builder.prologue(HELLO.as_bytes()));
    builder.and_then(side).map_err(io::Error::other)
}

fn said(handshake: &mut HandshakeState) -> io::Result<Vec<u8>> {
    let mut message = vec![0; LONGEST_PLAIN];
    let length = handshake.write_message(&[], &mut message).map_err(io::Error::other)?;
    message.truncate(length);
    Ok(message)
}

fn sealed(stream: &TcpStream, handshake: HandshakeState) -> io::Result<(SealedReader, SealedWriter)> {
    let keys = Arc::new(handshake.into_stateless_transport_mode().map_err(io::Error::other)?);
    let (stream, other) = (stream.try_clone()?, stream.try_clone()?);
    let reader = SealedReader { stream, keys: Arc::clone(&keys), nonce: 0, sealed: Vec::new(), plain: Vec::new(), read: 0 };
    let writer = SealedWriter { stream: other, keys, nonce: 0, plain: Vec::new(), sealed: vec![0; LONGEST_SEALED + 2] };
    Ok((reader, writer))
}

/// Short messages before there are keys, all in one span of time.
struct Plain<'a> {
    stream: &'a TcpStream,
    until: Instant,
}

impl Plain<'_> {
    fn new(stream: &TcpStream) -> Plain<'_> {
        Plain { stream, until: Instant::now() + HANDSHAKE_WITHIN }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(HANDSHAKE_WITHIN))?;
        let mut message = vec![u8::try_from(bytes.len()).map_err(io::Error::other)?];
        message.extend_from_slice(bytes);
        self.stream.write_all(&message)
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 1];
        self.fill(&mut length)?;
        let mut bytes = vec![0; length[0].into()];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => bytes = &mut bytes[read..],
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

impl SealedReader {
    fn next(&mut self) -> io::Result<()> {
        let mut length = [0; 2];
        self.stream.read_exact(&mut length)?;
        self.sealed.resize(u16::from_be_bytes(length).into(), 0);
        self.stream.read_exact(&mut self.sealed)?;
        self.plain.resize(self.sealed.len(), 0);
        let opened = self.keys.read_message(self.nonce, &self.sealed, &mut self.plain);
        self.plain.truncate(opened.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a broken seal"))?);
        (self.nonce, self.read) = (self.nonce + 1, 0);
        Ok(())
    }
}

impl Read for SealedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.plain.len() {
            self.next()?;
        }
        let held = &self.plain[self.read..];
        let count = held.len().min(buffer.len());
        buffer[..count].copy_from_slice(&held[..count]);
        self.read += count;
        Ok(count)
    }
}

impl Write for SealedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LONGEST_SEALED - SEAL_BYTES - self.plain.len();
        let count = bytes.len().min(room);
        self.plain.extend_from_slice(&bytes[..count]);
        if count == room {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.plain.is_empty() {
            return Ok(());
        }
        let length = self.keys.write_message(self.nonce, &self.plain, &mut self.sealed[2..]).map_err(io::Error::other)?;
        self.nonce += 1;
        self.plain.clear();
        self.sealed[..2].copy_from_slice(&u16::try_from(length).map_err(io::Error::other)?.to_be_bytes());
        self.stream.write_all(&self.sealed[..length + 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    type Opened = Result<(SealedReader, SealedWriter), Refusal>;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (here, listener.accept().unwrap().0)
    }

    fn met(worker: &'static str, boss: &'static str) -> (Opened, Opened) {
        let (there, here) = pair();
        let secret = |text: &str| Secret::of(text.as_bytes()).unwrap();
        let asking = thread::spawn(move || ask_in(&there, &secret(worker)));
        let opened = let_in(&here, &secret(boss));
        (asking.join().unwrap(), opened)
    }

    #[test]
    fn what_is_written_is_read_however_long_it_is() {
        let (Ok((mut from, _)), Ok((_, mut to))) = met("a secret that is long", "a secret that is long") else {
            panic!("no connection")
        };
        let long: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let sent = long.clone();
        let writing = thread::spawn(move || {
            to.write_all(b"short").unwrap();
            to.flush().unwrap();
            to.write_all(&sent).unwrap();
            to.flush().unwrap();
        });
        let mut read = vec![0; 5 + long.len()];
        from.read_exact(&mut read).unwrap();
        writing.join().unwrap();
        assert_eq!((&read[..5], &read[5..] == long.as_slice()), (b"short".as_slice(), true));
        assert_eq!(from.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn another_secret_is_refused_on_both_sides() {
        let (worker, boss) = met("a secret that is long", "a secret that is other");
        assert!(matches!((worker, boss), (Err(Refusal::Secret), Err(Refusal::Secret))));
        assert!(Secret::of(b"too short").is_err());
    }

    #[test]
    fn another_version_is_told_and_cannot_move_the_cursor() {
        let (there, here) = pair();
        let mut words = Plain::new(&there);
        words.write(b"homeroom-load \x1b[2J9.9").unwrap();
        let refused = let_in(&here, &Secret::of(&[7; 32]).unwrap()).err().map(|refusal| refusal.to_string()).unwrap_or_default();
        assert!(refused.starts_with("it is homeroom-load [2J9.9, this is homeroom-load "), "{refused}");
        assert_eq!(words.read().unwrap(), HELLO.as_bytes());
    }

    #[test]
    fn a_changed_or_repeated_message_is_not_opened() {
        let (Ok((mut from, _)), Ok((_, mut to))) = met("a secret that is long", "a secret that is long") else {
            panic!("no connection")
        };
        to.write_all(b"once").unwrap();
        to.flush().unwrap();
        let again = to.sealed[..2 + 4 + SEAL_BYTES].to_vec();
        to.stream.write_all(&again).unwrap();
        let mut read = [0; 4];
        from.read_exact(&mut read).unwrap();
        assert_eq!((&read, from.read(&mut [0]).unwrap_err().kind()), (b"once", io::ErrorKind::InvalidData));
    }

    #[test]
    fn a_stranger_gets_nothing_but_the_name_of_the_program() {
        let (mut there, here) = pair();
        there.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        there.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(matches!(let_in(&here, &Secret::of(&[7; 32]).unwrap()), Err(Refusal::Broken(_) | Refusal::Version(_))));
    }
}
