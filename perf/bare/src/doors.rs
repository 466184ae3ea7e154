//! How connections are opened: raw to the bare server, as WebSockets to the others, with a sign-in where there is a classroom.

use std::{
    env,
    io::{self, Read, Write},
    net::TcpStream,
    ops::Range,
    time::Duration,
};

/// The classroom in which all members sit, but for those who are only held.
pub const CLASSROOM: &str = "00000000-0000-4000-8000-00000000ba5e";
/// Sign-ins under way at once: enough for the server to write many rows in one commit.
const AT_ONCE: usize = 256;
/// The longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(20);

/// What a connection does before it counts.
pub enum Door {
    /// Nothing.
    Bare,
    /// It is upgraded.
    WebSocket {
        /// The path.
        path: String,
    },
    /// It is upgraded, signs in to a classroom and answers the first Ping.
    Classroom {
        /// A JWT. Every connection is another agent of the same account.
        token: String,
        /// How many share a classroom. Nothing: all are in [`CLASSROOM`].
        each: Option<usize>,
    },
    /// It is upgraded at the address of a classroom, without a sign-in: nchan's way.
    Channel {
        /// How many share a classroom. Nothing: all are in [`CLASSROOM`].
        each: Option<usize>,
    },
}

impl Door {
    /// The one to a room, with the token from the environment: of nchan it is an address, of all others a sign-in.
    pub fn room(each: Option<usize>) -> io::Result<Door> {
        if is_nchan() {
            return Ok(Door::Channel { each });
        }
        let token = env::var("BARE_TOKEN").map_err(|_| io::Error::other("BARE_TOKEN holds no token"))?;
        Ok(Door::Classroom { token, each })
    }

    /// Opens those of these numbers.
    pub fn open(&self, address: &str, numbers: Range<usize>) -> io::Result<Vec<TcpStream>> {
        let mut streams = Vec::with_capacity(numbers.len());
        for first in numbers.clone().step_by(AT_ONCE) {
            let (begun, last) = (streams.len(), (first + AT_ONCE).min(numbers.end));
            for _ in first..last {
                streams.push(connect(address)?);
            }
            self.enter(&mut streams[begun..], first)?;
        }
        Ok(streams)
    }

    /// Where the connection of this number is upgraded; nothing: nowhere.
    fn path(&self, number: usize) -> Option<String> {
        match self {
            Door::Bare => None,
            Door::WebSocket { path } => Some(path.clone()),
            Door::Classroom { .. } => Some("/ws".to_owned()),
            Door::Channel { each } => Some(format!("/sub/{}", classroom(*each, number))),
        }
    }

    fn enter(&self, streams: &mut [TcpStream], first: usize) -> io::Result<()> {
        for (place, stream) in streams.iter_mut().enumerate() {
            let Some(path) = self.path(first + place) else { return Ok(()) };
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: bare\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
        }
        for stream in streams.iter_mut() {
            read_until(stream, b"\r\n\r\n", b"HTTP/1.1 101 ")?;
        }
        let Door::Classroom { token, each } = self else { return Ok(()) };
        for (place, stream) in streams.iter_mut().enumerate() {
            let label = first + place;
            let classroom = classroom(*each, label);
            let payload = format!(r#"{{"agent_label":"m{label}","classroom_id":"{classroom}","token":"{token}"}}"#);
            stream.write_all(&masked(0x81, format!(r#"{{"type":"connect_request","payload":{payload}}}"#).as_bytes()))?;
        }
        for stream in streams.iter_mut() {
            // `connect_success` and the first Ping behind it.
            read_until(stream, &[0x89, 0], b"\x81\x1a{\"type\":\"connect_success\"}")?;
            stream.write_all(&masked(0x8a, b""))?;
        }
        Ok(())
    }
}

/// That of the connection of this number, where so many share one.
fn classroom(each: Option<usize>, number: usize) -> String {
    each.map_or_else(|| CLASSROOM.to_owned(), |each| format!("{}{:012x}", &CLASSROOM[..24], number / each))
}

/// Whether the server speaks nchan's own way, not the contract.
pub fn is_nchan() -> bool {
    env::var("BARE_DIALECT").is_ok_and(|dialect| dialect == "nchan")
}

/// A connection without Nagle's delay, on which nobody is waited for without end.
pub fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER))?;
    Ok(stream)
}

/// Reads up to and with `end`; what came must begin with `begin`.
fn read_until(stream: &mut TcpStream, end: &[u8], begin: &[u8]) -> io::Result<()> {
    let (mut came, mut buffer) = (Vec::new(), [0; 1024]);
    while !came.ends_with(end) {
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::other("the server closed a connection")),
            count => came.extend_from_slice(&buffer[..count]),
        }
    }
    if came.starts_with(begin) { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&came).into_owned())) }
}

/// A client's frame of less than 64 KiB.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().enumerate().map(|(place, byte)| byte ^ MASK[place % 4]));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_sit_in_their_classrooms_by_either_way() {
        let all = Door::Channel { each: None };
        assert_eq!((all.path(0), all.path(99)), (Some(format!("/sub/{CLASSROOM}")), Some(format!("/sub/{CLASSROOM}"))));
        let thirty = Door::Channel { each: Some(30) };
        assert_eq!(thirty.path(0), thirty.path(29));
        assert_ne!(thirty.path(29), thirty.path(30));
        assert_eq!(thirty.path(30), Some(format!("/sub/{}", classroom(Some(30), 59))));
    }
}
