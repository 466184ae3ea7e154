//! The relay that Homeroom's tunnels are measured against: one thread, one epoll set, and of WebSocket what any relay must do.
//!
//! An agent is upgraded at `/agent/ws?agent_id=A`, a viewer at `/vnc-viewer/A-T`: the viewer's tunnel has number T at agent A. From
//! there on a frame of one is a frame of the other: its payload is unmasked where it was read, an agent's begins with `1` and the number
//! of its tunnel (five bytes), a viewer's has nothing in front; all frames of a read that go to one peer leave with one call, each as a
//! new header and the payload where it was read. Nothing is copied but what the kernel copies and what a peer did not take.
//! Who sends faster than the other side takes is not read meanwhile. Nobody is asked who he is, nothing is counted, and there is one
//! write for a read: what this reaches is what the machine gives to anyone who relays WebSocket frames.

use crate::pin;
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
};
use std::{
    collections::HashMap,
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::{TcpListener, TcpStream},
    ops::Range,
    os::fd::AsFd,
};

/// What is read at a time.
const READ_BYTES: usize = 256 << 10;
/// The largest frame, and one more read behind a part of it.
const BUFFER_BYTES: usize = READ_BYTES + (128 << 10);
/// What the frames that leave with one call are at most.
const SLICES: usize = 64;
/// `1` and the number of the tunnel.
const TUNNEL_BYTES: usize = 5;
const LISTENER: u64 = u64::MAX;

#[derive(Clone, Copy)]
enum Kind {
    /// It has not asked for anything yet.
    Stranger,
    Agent,
    /// Of this tunnel, at the agent in this place.
    Viewer {
        tunnel: u32,
        agent: usize,
    },
}

struct Peer {
    stream: TcpStream,
    kind: Kind,
    /// A frame that is not whole yet.
    part: Vec<u8>,
    /// What the socket did not take.
    rest: Vec<u8>,
    /// Who is not read as long as there is such a rest.
    held: Vec<usize>,
    /// How many have such a rest of ours.
    holds: usize,
}

struct Relay {
    epoll: rustix::fd::OwnedFd,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    /// By their numbers.
    agents: HashMap<u32, usize>,
    /// Viewers by their tunnels' numbers, which are of the whole run.
    viewers: Vec<usize>,
}

/// A frame that leaves: what stands before its payload, and where that is.
struct Out {
    head: [u8; 15],
    length: usize,
    payload: Range<usize>,
}

/// A frame in the buffer: what kind, and where its payload is.
struct Frame {
    kind: u8,
    payload: Range<usize>,
}

/// Serves until it is killed.
pub fn serve(port: u16, core: usize) -> io::Result<()> {
    pin(core)?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut relay = Relay { epoll, listener, peers: Vec::new(), free: Vec::new(), agents: HashMap::new(), viewers: Vec::new() };
    let (mut events, mut buffer) = (Vec::with_capacity(1024), vec![0; BUFFER_BYTES]);
    loop {
        events.clear();
        match epoll::wait(&relay.epoll, spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(fault) => return Err(fault.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => relay.accept()?,
                place => relay.ready(place as usize, event.flags, &mut buffer)?,
            }
        }
    }
}

impl Relay {
    fn accept(&mut self) -> io::Result<()> {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            epoll::add(&self.epoll, stream.as_fd(), EventData::new_u64(place as u64), EventFlags::IN)?;
            let (part, rest, held) = (Vec::new(), Vec::new(), Vec::new());
            self.peers[place] = Some(Peer { stream, kind: Kind::Stranger, part, rest, held, holds: 0 });
        }
        Ok(())
    }

    fn ready(&mut self, place: usize, flags: EventFlags, buffer: &mut [u8]) -> io::Result<()> {
        if flags.contains(EventFlags::OUT) && self.flush(place).is_err() {
            return self.leave(place);
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return Ok(());
        }
        match self.hear(place, buffer) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => self.leave(place),
        }
    }

    /// Reads once and passes on all that is whole. False when the peer has left.
    fn hear(&mut self, place: usize, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(peer) = &mut self.peers[place] else { return Ok(true) };
        let before = peer.part.len();
        buffer[..before].copy_from_slice(&peer.part);
        let end = match peer.stream.read(&mut buffer[before..before + READ_BYTES]) {
            Ok(0) => return Ok(false),
            Ok(count) => before + count,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(fault) => return Err(fault),
        };
        peer.part.clear();
        if let Kind::Stranger = peer.kind {
            return self.upgrade(place, &buffer[..end]);
        }
        self.relay(place, buffer, end)
    }

    fn relay(&mut self, place: usize, buffer: &mut [u8], end: usize) -> io::Result<bool> {
        let Some(kind) = self.peers[place].as_ref().map(|peer| peer.kind) else { return Ok(false) };
        let (mut at, mut to) = (0, usize::MAX);
        let mut leaving: Vec<Out> = Vec::new();
        while let Some(frame) = frame(buffer, at, end) {
            at = frame.payload.end;
            if frame.kind == 8 {
                self.pass(place, to, buffer, &leaving)?;
                self.bye(place, &buffer[frame.payload])?;
                return Ok(false);
            }
            if frame.kind != 2 {
                continue;
            }
            let (target, out) = match kind {
                Kind::Agent => {
                    let tunnel = u32::from_be_bytes(buffer[frame.payload.start + 1..][..4].try_into().unwrap_or_default());
                    let target = self.viewers.get(tunnel as usize).copied().unwrap_or(usize::MAX);
                    (target, Out::new(frame.payload.start + TUNNEL_BYTES..frame.payload.end, None))
                }
                Kind::Viewer { tunnel, agent } => (agent, Out::new(frame.payload, Some(tunnel))),
                Kind::Stranger => return Ok(false),
            };
            if target != to || leaving.len() == SLICES {
                self.pass(place, to, buffer, &leaving)?;
                leaving.clear();
                to = target;
            }
            leaving.push(out);
        }
        self.pass(place, to, buffer, &leaving)?;
        if let Some(peer) = &mut self.peers[place] {
            peer.part.extend_from_slice(&buffer[at..end]);
        }
        Ok(true)
    }

    /// Sends frames to a peer; what it does not take waits, and until then nothing more is read from where it came.
    fn pass(&mut self, from: usize, to: usize, buffer: &[u8], frames: &[Out]) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(to).and_then(Option::as_mut).filter(|_| !frames.is_empty()) else { return Ok(()) };
        let slices: Vec<IoSlice<'_>> =
            frames.iter().flat_map(|out| [&out.head[..out.length], &buffer[out.payload.clone()]]).map(IoSlice::new).collect();
        let mut sent = match peer.stream.write_vectored(if peer.rest.is_empty() { &slices } else { &[] }) {
            Ok(sent) => sent,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => 0,
            // It is noticed when it is read from.
            Err(_) => return Ok(()),
        };
        for slice in slices {
            let skip = sent.min(slice.len());
            sent -= skip;
            peer.rest.extend_from_slice(&slice[skip..]);
        }
        if peer.rest.is_empty() || peer.held.contains(&from) {
            return Ok(());
        }
        peer.held.push(from);
        let (is_first, flags) = (peer.held.len() == 1, watched(peer));
        if is_first {
            epoll::modify(&self.epoll, peer.stream.as_fd(), EventData::new_u64(to as u64), flags)?;
        }
        self.hold(from, true)
    }

    fn hold(&mut self, place: usize, more: bool) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(place).and_then(Option::as_mut) else { return Ok(()) };
        peer.holds = if more { peer.holds + 1 } else { peer.holds.saturating_sub(1) };
        Ok(epoll::modify(&self.epoll, peer.stream.as_fd(), EventData::new_u64(place as u64), watched(peer))?)
    }

    fn flush(&mut self, place: usize) -> io::Result<()> {
        let Some(peer) = &mut self.peers[place] else { return Ok(()) };
        match peer.stream.write(&peer.rest) {
            Ok(sent) => drop(peer.rest.drain(..sent)),
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
            Err(fault) => return Err(fault),
        }
        if !peer.rest.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut peer.held);
        epoll::modify(&self.epoll, peer.stream.as_fd(), EventData::new_u64(place as u64), watched(peer))?;
        held.into_iter().try_for_each(|other| self.hold(other, false))
    }

    /// Answers the upgrade, which is whole: a client sends it with one call.
    fn upgrade(&mut self, place: usize, request: &[u8]) -> io::Result<bool> {
        let text = String::from_utf8_lossy(request);
        let path = text.split(' ').nth(1).unwrap_or_default();
        let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
        let kind = match (path.split_once("agent_id="), path.strip_prefix("/vnc-viewer/").and_then(|names| names.split_once('-')))
        {
            (Some((_, number)), _) => {
                self.agents.insert(number.parse().unwrap_or_default(), place);
                Kind::Agent
            }
            (None, Some((agent, tunnel))) => {
                let agent = self.agents.get(&agent.parse().unwrap_or_default()).copied().unwrap_or(usize::MAX);
                let tunnel: u32 = tunnel.parse().unwrap_or_default();
                if self.viewers.len() <= tunnel as usize {
                    self.viewers.resize(tunnel as usize + 1, usize::MAX);
                }
                self.viewers[tunnel as usize] = place;
                Kind::Viewer { tunnel, agent }
            }
            (None, None) => return Ok(false),
        };
        let Some(peer) = &mut self.peers[place] else { return Ok(false) };
        peer.kind = kind;
        let accept = accept(key.trim());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        peer.stream.write_all(answer.as_bytes())?;
        Ok(true)
    }

    /// Answers a Close.
    fn bye(&mut self, place: usize, payload: &[u8]) -> io::Result<()> {
        let Some(peer) = &mut self.peers[place] else { return Ok(()) };
        let mut frame = vec![0x88, payload.len() as u8];
        frame.extend_from_slice(payload);
        peer.stream.write_all(&frame)
    }

    fn leave(&mut self, place: usize) -> io::Result<()> {
        let Some(peer) = self.peers[place].take() else { return Ok(()) };
        if let Kind::Viewer { tunnel, .. } = peer.kind
            && self.viewers[tunnel as usize] == place
        {
            self.viewers[tunnel as usize] = usize::MAX;
        }
        self.agents.retain(|_, agent| *agent != place);
        drop(peer.stream);
        self.free.push(place);
        peer.held.into_iter().try_for_each(|other| self.hold(other, false))
    }
}

fn watched(peer: &Peer) -> EventFlags {
    let reads = if peer.holds == 0 { EventFlags::IN } else { EventFlags::empty() };
    let writes = if peer.rest.is_empty() { EventFlags::empty() } else { EventFlags::OUT };
    reads | writes
}

/// The next whole frame between two places, unmasked (RFC 6455 section 5.3).
fn frame(buffer: &mut [u8], at: usize, end: usize) -> Option<Frame> {
    let &[first, second, ref more @ ..] = &buffer[at..end] else { return None };
    let (length, header) = match (second & 0x7f, more) {
        (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 4),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10),
        (126 | 127, _) => return None,
        (short, _) => (u64::from(short), 2),
    };
    let start = at + header + 4;
    let payload = start..start + length as usize;
    if payload.end > end {
        return None;
    }
    let mask: [u8; 4] = buffer[start - 4..start].try_into().ok()?;
    unmask(&mut buffer[payload.clone()], mask);
    Some(Frame { kind: first & 0x0f, payload })
}

fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    words.iter_mut().for_each(|word| *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes());
    rest.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}

impl Out {
    /// A server's frame of this payload; an agent's has the number of the tunnel in front.
    fn new(payload: Range<usize>, tunnel: Option<u32>) -> Out {
        let mut out = Out { head: [0; 15], length: 0, payload };
        out.push(&[0x82]);
        match out.payload.len() + tunnel.map_or(0, |_| TUNNEL_BYTES) {
            short @ 0..126 => out.push(&[short as u8]),
            middle @ 126..65_536 => {
                out.push(&[126]);
                out.push(&(middle as u16).to_be_bytes());
            }
            long => {
                out.push(&[127]);
                out.push(&(long as u64).to_be_bytes());
            }
        }
        if let Some(tunnel) = tunnel {
            out.push(&[1]);
            out.push(&tunnel.to_be_bytes());
        }
        out
    }

    fn push(&mut self, bytes: &[u8]) {
        self.head[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

/// `Sec-WebSocket-Accept` (RFC 6455 section 4.2.2).
fn accept(key: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digest = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")).digest().bytes();
    let mut text = String::new();
    for part in digest.chunks(3) {
        let bits = part.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        let letters = (0..4).map(|place| char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]));
        text.extend(letters.take(part.len() + 1));
        text.extend(std::iter::repeat_n('=', 3 - part.len()));
    }
    text
}
