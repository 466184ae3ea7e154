//! Streams of a screen's bytes: every byte is known by its stream and its place, so nothing can be lost, doubled, moved or shown to another
//! without being seen.
//!
//! A stream begins with a head that names it, in ASCII; all bytes behind it are not.

use homeroom::{protocols::labs::SessionId, realtime::ConnId};

/// How streams from agents and from viewers begin. What an agent sends begins as screens do.
const HEADS: [&str; 2] = ["RFB ", "VIEW"];
/// The longest head.
pub(crate) const HEAD_BYTES: usize = 12;

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Up,
    Down,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) way: Way,
    pub(crate) session: SessionId,
    /// Bytes that its sender has sent, and that its receiver has.
    pub(crate) sent: usize,
    pub(crate) got: usize,
    /// Who it comes out at; none: it came out nowhere yet.
    pub(crate) taken: Option<ConnId>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) all: Vec<Stream>,
}

/// The place of a stream among all.
pub(crate) type StreamId = usize;

fn byte(id: StreamId, way: Way, place: usize) -> u8 {
    if place < HEAD_BYTES {
        return format!("{}{:03}.{:03}\n", HEADS[way as usize], id / 1_000, id % 1_000).as_bytes()[place];
    }
    let mixed = (id as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (place as u64).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    0x80 | (mixed >> 40) as u8
}

impl Streams {
    pub(crate) fn open(&mut self, way: Way, session: SessionId) -> StreamId {
        self.all.push(Stream { way, session, sent: 0, got: 0, taken: None });
        self.all.len() - 1
    }

    /// The next bytes of a stream; the first are its whole head.
    pub(crate) fn send(&mut self, id: StreamId, length: usize) -> Vec<u8> {
        let stream = &mut self.all[id];
        let length = if stream.sent == 0 { length.max(HEAD_BYTES) } else { length };
        let bytes = (stream.sent..stream.sent + length).map(|place| byte(id, stream.way, place)).collect();
        stream.sent += length;
        bytes
    }

    /// The stream that begins with these bytes.
    pub(crate) fn begun(&self, bytes: &[u8]) -> Option<StreamId> {
        let head = std::str::from_utf8(bytes.get(..HEAD_BYTES)?).ok()?;
        let (high, low) = head[4..].trim_end().split_once('.')?;
        let id = high.parse::<usize>().ok()? * 1_000 + low.parse::<usize>().ok()?;
        self.all.get(id).filter(|stream| head.starts_with(HEADS[stream.way as usize])).map(|_| id)
    }

    /// Bytes come out: they must be the next ones.
    pub(crate) fn arrive(&mut self, id: StreamId, bytes: &[u8]) -> Result<(), String> {
        let stream = &mut self.all[id];
        for got in bytes {
            if *got != byte(id, stream.way, stream.got) {
                return Err(format!("byte {} of stream {id} is another's: {stream:?}", stream.got));
            }
            stream.got += 1;
        }
        if stream.got > stream.sent { Err(format!("more than was sent of stream {id}: {stream:?}")) } else { Ok(()) }
    }

    /// How many bytes are on their way.
    pub(crate) fn under_way(&self, id: StreamId) -> usize {
        self.all[id].sent - self.all[id].got
    }
}
