//! What one HTTP connection may cost, in one place.

use std::time::Duration;

/// The size of a connection's read and write buffers, and the most that a head may ever have.
pub const BUFFER_BYTES: usize = 16 << 10;
/// The body of one request, in bytes; more is answered with 413. The largest honest one is a counters request: 25,000 classrooms.
pub const BODY_BYTES: usize = 1 << 20;
/// What is read and thrown away at the end of a connection, so that its last answer is not lost to a reset.
pub const LINGER_BYTES: usize = 8 << 20;

// hyper panics below this.
const _: () = assert!(BUFFER_BYTES >= 8 << 10);
const _: () = assert!(LINGER_BYTES > BODY_BYTES);

/// What a request may have, and how long a client may take. A connection that takes longer is closed; while a request has begun and no
/// answer has, with 408.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Request line and headers, in bytes, [`BUFFER_BYTES`] at most; more is answered with 431.
    pub head_bytes: usize,
    /// Headers of one request; more is answered with 431.
    pub headers: usize,
    /// Between requests, and before the first.
    pub idle: Duration,
    /// From the first byte of a request to the end of its headers.
    pub head: Duration,
    /// From the end of the headers to the end of the body.
    pub body: Duration,
    /// For taking any byte of an answer that waits to be sent.
    pub stall: Duration,
    /// For closing its side when we have closed ours.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes: BUFFER_BYTES,
            headers: 100,
            idle: Duration::from_secs(60),
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            linger: Duration::from_secs(2),
        }
    }
}
