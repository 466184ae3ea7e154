//! Who publishes: four bytes to the bare server, requests to the others.

use crate::{
    FRAME,
    doors::{CLASSROOM, connect, is_nchan},
};
use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::TcpStream,
};

/// One publisher.
pub enum Publisher {
    /// Of the bare server.
    Bare(TcpStream),
    /// By HTTP: a kept connection for each publish in flight.
    Rest {
        /// Those connections: the front one is the next to publish, the back one was the last.
        lines: VecDeque<TcpStream>,
        /// How many of those at the back have a publish that was not settled.
        asked: usize,
        /// The request, always the same: the event brings its own number.
        request: Vec<u8>,
        /// What stands before the number of members in an answer.
        counted: &'static str,
    },
}

impl Publisher {
    /// To the bare server.
    pub fn bare(address: &str) -> io::Result<Publisher> {
        let mut stream = connect(address)?;
        stream.write_all(b"PUB")?;
        Ok(Publisher::Bare(stream))
    }

    /// To the listener that takes publishes, with so many in flight.
    pub fn rest(internal: &str, in_flight: usize) -> io::Result<Publisher> {
        let lines = (0..in_flight).map(|_| connect(internal)).collect::<io::Result<_>>()?;
        // What is delivered is the id, the payload and the braces around them: a frame of `FRAME`'s size.
        let rest = r#"{"id":{"entity_type":"load","operation":"tick","sequence_id":7},"payload":{"pad":""}}"#;
        let pad = "x".repeat(FRAME.len() - 4 - rest.len());
        let (body, counted) = if is_nchan() {
            // It delivers what it is given.
            ("x".repeat(FRAME.len() - 4), r#""subscribers": "#)
        } else {
            let body = format!(r#"{{"entity_type":"load","operation":"tick","sequence_id":7,"payload":{{"pad":"{pad}"}}}}"#);
            (body, r#""members":"#)
        };
        let request = format!(
            "POST /api/v1/classrooms/{CLASSROOM}/events HTTP/1.1\r\nHost: bare\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Publisher::Rest { lines, asked: 0, request: request.into_bytes(), counted })
    }

    /// Publishes so many frames.
    pub fn publish(&mut self, frames: u32) -> io::Result<()> {
        let (lines, asked, request) = match self {
            Publisher::Bare(stream) => return stream.write_all(&frames.to_le_bytes()),
            Publisher::Rest { lines, asked, request, .. } => (lines, asked, request),
        };
        for _ in 0..frames {
            lines[0].write_all(request)?;
            lines.rotate_left(1);
            *asked += 1;
        }
        Ok(())
    }

    /// Reads what the server answered to the oldest publishes, which every member has heard.
    pub fn settle(&mut self, publishes: usize, members: u64) -> io::Result<()> {
        let Publisher::Rest { lines, asked, counted, .. } = self else { return Ok(()) };
        for _ in 0..publishes {
            let oldest = lines.len() - *asked;
            *asked -= 1;
            let answer = answer(&mut lines[oldest])?;
            let count = answer.split_once(*counted).and_then(|(_, rest)| rest.split(|sign: char| !sign.is_ascii_digit()).next());
            if count.and_then(|count| count.parse().ok()) != Some(members) {
                return Err(io::Error::other(answer));
            }
        }
        Ok(())
    }

    /// Whether another publish can leave: every kept connection has one under way otherwise.
    pub fn is_free(&self) -> bool {
        match self {
            Publisher::Bare(_) => true,
            Publisher::Rest { lines, asked, .. } => *asked < lines.len(),
        }
    }
}

/// A whole answer: its body is one JSON object.
fn answer(line: &mut TcpStream) -> io::Result<String> {
    let (mut came, mut buffer) = (Vec::new(), [0; 1024]);
    while !came.ends_with(b"}") {
        match line.read(&mut buffer)? {
            0 => return Err(io::Error::other("the server closed a publisher's connection")),
            count => came.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&came).into_owned())
}
