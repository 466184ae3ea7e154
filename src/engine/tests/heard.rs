//! What clients hear, in words.

/// What the first frame (or HTTP head) says, and how long it is.
pub(super) fn words(bytes: &[u8]) -> (String, usize) {
    if bytes.starts_with(b"HTTP/1.1 ") {
        let text = String::from_utf8_lossy(bytes);
        let end = text.find("\r\n\r\n").unwrap() + 4;
        let (status, body) = (&text[9..12], &text[end..]);
        let words = if body.starts_with('{') { format!("{status} {body}") } else { status.to_owned() };
        return if status == "101" { (status.to_owned(), end) } else { (words, bytes.len()) };
    }
    let (header, length) = match bytes[1] {
        126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        127 => (10, u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize),
        short => (2, usize::from(short)),
    };
    let payload = &bytes[header..header + length];
    let words = match bytes[0] {
        0x81 => String::from_utf8(payload.to_vec()).unwrap(),
        0x82 => format!("BINARY {length}"),
        0x88 if length == 0 => "CLOSE".into(),
        0x88 => format!("CLOSE {}", u16::from_be_bytes([payload[0], payload[1]])),
        0x89 => "PING".into(),
        0x8a => "PONG".into(),
        other => panic!("a server sends no frame that begins with {other:#x}"),
    };
    (words, header + length)
}
