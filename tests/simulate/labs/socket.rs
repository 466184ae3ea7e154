//! One socket of labs as its peer sees it, and what goes over it.

use super::{followers::Follower, streams::StreamId};
use homeroom::{protocols::labs::SessionId, realtime::Moment};
use serde_json::Value;
use std::collections::VecDeque;

/// What a peer says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Speech {
    Text(Value),
    Binary(Vec<u8>),
    Pong,
}

/// What a server says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Heard {
    Http(u16),
    Text(Value),
    Binary(Vec<u8>),
    Ping,
    Close(u16),
}

/// Reads all that stands in a send, which is made of whole frames.
pub(crate) fn heard(mut bytes: &[u8]) -> Vec<Heard> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        if let Some(rest) = bytes.strip_prefix(b"HTTP/1.1 ") {
            let status = std::str::from_utf8(&rest[..3]).ok().and_then(|status| status.parse().ok()).expect("a status");
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head") + 4;
            all.push(Heard::Http(status));
            bytes = if status == 101 { &bytes[end..] } else { &[] };
            continue;
        }
        let (header, length) = match bytes[1] {
            126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            127 => (10, u64::from_be_bytes(*bytes[2..].first_chunk().expect("a whole header")) as usize),
            short => (2, usize::from(short)),
        };
        let payload = bytes.get(header..header + length).expect("a send is made of whole frames");
        all.push(match bytes[0] {
            // Lines of logs are texts, all others are JSON.
            0x81 => Heard::Text(serde_json::from_slice(payload).unwrap_or_else(|_| String::from_utf8_lossy(payload).into())),
            0x82 => Heard::Binary(payload.to_vec()),
            0x88 => Heard::Close(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))),
            0x89 => Heard::Ping,
            other => panic!("a server of labs sends no frame that begins with {other:#x}"),
        });
        bytes = &bytes[header + length..];
    }
    all
}

/// Somebody who watches, or wants to.
#[derive(Debug)]
pub(crate) struct Viewer {
    pub(crate) session: SessionId,
    /// Whether somebody had been told of that when it came.
    pub(crate) is_known: bool,
    /// Which of the tokens it came with.
    pub(crate) token: usize,
    /// What it sees, once it sees anything.
    pub(crate) up: Option<StreamId>,
    pub(crate) down: StreamId,
}

/// Whose socket it is.
#[derive(Debug)]
pub(crate) enum Who {
    /// Of one of the agents.
    Agent(usize),
    Viewer(Viewer),
    Follower(Follower),
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) who: Who,
    pub(crate) came_at: Moment,
    /// The status that it was answered with.
    pub(crate) status: Option<u16>,
    /// The code of the Close that it was sent.
    pub(crate) closed: Option<u16>,
    /// The server has said its last.
    pub(crate) is_half_closed: bool,
    /// The server has let it go.
    pub(crate) is_over: bool,
    /// The peer has ended its side.
    pub(crate) has_ended: bool,
    /// The server does not read it now.
    pub(crate) is_paused: bool,
    /// Bytes that it has said since the last turn of its shard: those are read, whether it is paused in that turn or not.
    pub(crate) said: usize,
    /// Of a hundred sends to it: how many stay in flight.
    pub(crate) stalls: usize,
    /// What was handed to the socket and has not arrived.
    pub(crate) flight: Option<Vec<Heard>>,
    /// What arrived and was not looked at.
    pub(crate) inbox: VecDeque<Heard>,
    /// Whether it answers Pings.
    pub(crate) pongs: bool,
}

impl Socket {
    pub(crate) fn new(who: Who, now: Moment, stalls: usize, pongs: bool) -> Socket {
        Socket {
            who,
            came_at: now,
            status: None,
            closed: None,
            is_half_closed: false,
            is_over: false,
            has_ended: false,
            is_paused: false,
            said: 0,
            stalls,
            flight: None,
            inbox: VecDeque::new(),
            pongs,
        }
    }

    /// Whether bytes go both ways, as far as it is known outside.
    pub(crate) fn is_live(&self) -> bool {
        self.status == Some(101) && self.closed.is_none() && !self.is_over && !self.has_ended
    }

    pub(crate) fn viewer(&self) -> Option<&Viewer> {
        match &self.who {
            Who::Viewer(viewer) => Some(viewer),
            Who::Agent(_) | Who::Follower(_) => None,
        }
    }

    pub(crate) fn follower(&self) -> Option<&Follower> {
        match &self.who {
            Who::Follower(follower) => Some(follower),
            Who::Agent(_) | Who::Viewer(_) => None,
        }
    }

    /// What somebody with a token wants to see, whether that was known, and by which token.
    pub(crate) fn wish(&self) -> Option<(SessionId, bool, usize)> {
        match &self.who {
            Who::Viewer(viewer) => Some((viewer.session, viewer.is_known, viewer.token)),
            Who::Follower(follower) => Some((follower.session, follower.is_known, follower.token)),
            Who::Agent(_) => None,
        }
    }
}
