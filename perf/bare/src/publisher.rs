//! Who publishes: four bytes to the bare server, requests to Homeroom's internal listener.

use crate::{
    FRAME,
    doors::{CLASSROOM, connect},
};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

/// One publisher.
pub enum Publisher {
    /// Of the bare server.
    Bare(TcpStream),
    /// Of Homeroom: a kept connection for each publish in flight.
    Rest {
        /// Those connections.
        lines: Vec<TcpStream>,
        /// The request, always the same: the event brings its own number.
        request: Vec<u8>,
    },
}

impl Publisher {
    /// To the bare server.
    pub fn bare(address: &str) -> io::Result<Publisher> {
        let mut stream = connect(address)?;
        stream.write_all(b"PUB")?;
        Ok(Publisher::Bare(stream))
    }

    /// To Homeroom's internal listener, with so many publishes in flight.
    pub fn rest(internal: &str, in_flight: usize) -> io::Result<Publisher> {
        let lines = (0..in_flight).map(|_| connect(internal)).collect::<io::Result<_>>()?;
        // What is delivered is the id, the payload and the braces around them: a frame of `FRAME`'s size.
        let rest = r#"{"id":{"entity_type":"load","operation":"tick","sequence_id":7},"payload":{"pad":""}}"#;
        let pad = "x".repeat(FRAME.len() - 4 - rest.len());
        let body = format!(r#"{{"entity_type":"load","operation":"tick","sequence_id":7,"payload":{{"pad":"{pad}"}}}}"#);
        let request = format!(
            "POST /api/v1/classrooms/{CLASSROOM}/events HTTP/1.1\r\nHost: bare\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Publisher::Rest { lines, request: request.into_bytes() })
    }

    /// Publishes so many frames.
    pub fn publish(&mut self, frames: u32) -> io::Result<()> {
        match self {
            Publisher::Bare(stream) => stream.write_all(&frames.to_le_bytes()),
            Publisher::Rest { lines, request } => lines.iter_mut().try_for_each(|line| line.write_all(request)),
        }
    }

    /// Reads what the server answered to the last publish, which every member has heard.
    pub fn settle(&mut self, members: u64) -> io::Result<()> {
        let Publisher::Rest { lines, .. } = self else { return Ok(()) };
        let wanted = format!("\"members\":{members}}}");
        lines.iter_mut().try_for_each(|line| {
            let (mut came, mut buffer) = (Vec::new(), [0; 1024]);
            while !came.ends_with(b"}") {
                match line.read(&mut buffer)? {
                    0 => return Err(io::Error::other("the server closed a publisher's connection")),
                    count => came.extend_from_slice(&buffer[..count]),
                }
            }
            let came = String::from_utf8_lossy(&came);
            if came.ends_with(&wanted) { Ok(()) } else { Err(io::Error::other(came.into_owned())) }
        })
    }
}
