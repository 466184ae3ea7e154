//! What a server's bytes say, read without the server's own code.

/// One frame, or an HTTP answer.
#[derive(Debug)]
pub(crate) enum Said<'a> {
    /// The status of an answer.
    Http(u16),
    /// `connect_success`.
    Success,
    /// An error that ends the session, by name.
    Failed(&'a str),
    /// The server is about to stop.
    Terminated,
    /// Something published: a text without a `type`.
    Event(&'a str),
    /// What the socket of the quizzes says.
    Quiz(&'a str),
    /// Any other text, which only the echo says.
    Text,
    Binary,
    Ping,
    Pong,
    Close(Option<u16>),
}

impl Said<'_> {
    pub(crate) fn is_event(&self) -> bool {
        match self {
            Said::Event(_) => true,
            Said::Quiz(text) => text.starts_with(r#"{"event":"update""#) || text.starts_with(r#"{"event":"snapshot""#),
            _ => false,
        }
    }
}

/// All of it in words.
pub(crate) fn words(mut bytes: &[u8]) -> String {
    let mut words = Vec::new();
    while !bytes.is_empty() {
        let (said, length) = next(bytes);
        words.push(format!("{said:?}"));
        bytes = &bytes[length..];
    }
    words.join(", ")
}

/// Reads what stands at the front, and how long it is. Panics at what no server may send: a send is made of whole frames.
pub(crate) fn next(bytes: &[u8]) -> (Said<'_>, usize) {
    if let Some(rest) = bytes.strip_prefix(b"HTTP/1.1 ") {
        let status = std::str::from_utf8(&rest[..3]).ok().and_then(|status| status.parse().ok()).expect("a status");
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head") + 4;
        return (Said::Http(status), if status == 101 { end } else { bytes.len() });
    }
    let (header, length) = match bytes[1] {
        126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        127 => (10, u64::from_be_bytes(*bytes[2..].first_chunk().expect("a whole header")) as usize),
        short => (2, usize::from(short)),
    };
    let payload = bytes.get(header..header + length).expect("a send is made of whole frames");
    let said = match bytes[0] {
        0x81 => text(std::str::from_utf8(payload).expect("a text is UTF-8")),
        0x82 => Said::Binary,
        0x88 => Said::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
        0x89 => Said::Ping,
        0x8A => Said::Pong,
        other => panic!("a server sends no frame that begins with {other:#x}"),
    };
    (said, header + length)
}

fn text(text: &str) -> Said<'_> {
    const FAILED: &str = r#"{"type":"unrecoverable_session_error","payload":{"type":""#;
    if text == r#"{"type":"connect_success"}"# {
        Said::Success
    } else if let Some(rest) = text.strip_prefix(FAILED) {
        Said::Failed(rest.split('"').next().unwrap_or_default())
    } else if text.starts_with(r#"{"type":"recoverable_session_error""#) {
        Said::Terminated
    } else if text.starts_with(r#"{"id":"#) {
        Said::Event(text)
    } else if text.starts_with(r#"{"event":"#) {
        Said::Quiz(text)
    } else {
        Said::Text
    }
}
