//! WebSocket frames as a client meets them (RFC 6455 section 5): masked when sent, unmasked when heard, read in place.

/// A server frame above this size is a fault: nothing in the contracts is near it.
pub(crate) const LARGEST_FRAME_BYTES: usize = 1 << 20;
/// The longest control frame of a client: header, mask and 125 bytes.
pub(crate) const LONGEST_CONTROL_BYTES: usize = 2 + 4 + 125;

/// Opcodes.
pub(crate) mod opcode {
    /// Text.
    pub(crate) const TEXT: u8 = 1;
    /// Bytes.
    pub(crate) const BINARY: u8 = 2;
    /// Close.
    pub(crate) const CLOSE: u8 = 8;
    /// Ping.
    pub(crate) const PING: u8 = 9;
    /// Pong.
    pub(crate) const PONG: u8 = 10;
}

/// What stands at the front of some bytes.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Scan<'a> {
    /// A whole frame.
    Frame {
        /// What kind.
        opcode: u8,
        /// Its application data.
        payload: &'a [u8],
        /// Header and payload together.
        bytes: usize,
    },
    /// Not all of it is here.
    Incomplete,
    /// Nothing that a server may send.
    Broken(&'static str),
}

/// Reads the frame at the front. Messages in several frames are refused: no server that is measured sends them.
pub(crate) fn scan(bytes: &[u8]) -> Scan<'_> {
    let &[first, second, ref rest @ ..] = bytes else { return Scan::Incomplete };
    if first & 0x70 != 0 {
        return Scan::Broken("reserved bits in a frame");
    }
    if first & 0x80 == 0 || first & 0x0f == 0 {
        return Scan::Broken("fragmented message");
    }
    if second & 0x80 != 0 {
        return Scan::Broken("masked server frame");
    }
    let (length, header) = match (second, rest) {
        (short @ 0..=125, _) => (u64::from(short), 2),
        (126, &[a, b, ..]) => (u64::from(u16::from_be_bytes([a, b])), 4),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10),
        _ => return Scan::Incomplete,
    };
    if length > LARGEST_FRAME_BYTES as u64 {
        return Scan::Broken("frame above 1 MiB");
    }
    let end = header + length as usize;
    match bytes.get(header..end) {
        Some(payload) => Scan::Frame { opcode: first & 0x0f, payload, bytes: end },
        None => Scan::Incomplete,
    }
}

/// Appends one masked text frame.
pub(crate) fn put_text(out: &mut Vec<u8>, payload: &[u8], mask: [u8; 4]) {
    put_head(out, opcode::TEXT, payload.len(), mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Appends one masked binary frame of two parts.
pub(crate) fn put_binary(out: &mut Vec<u8>, first: &[u8], rest: &[u8], mask: [u8; 4]) {
    put_head(out, opcode::BINARY, first.len() + rest.len(), mask);
    out.extend(first.iter().chain(rest).zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Appends what stands before a masked payload of that length.
pub(crate) fn put_head(out: &mut Vec<u8>, kind: u8, length: usize, mask: [u8; 4]) {
    out.push(0x80 | kind);
    match length {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
}

/// A masked control frame on the stack; `payload` is cut at 125 bytes.
pub(crate) fn control(kind: u8, payload: &[u8], mask: [u8; 4]) -> ([u8; LONGEST_CONTROL_BYTES], usize) {
    let payload = &payload[..payload.len().min(125)];
    let mut frame = [0; LONGEST_CONTROL_BYTES];
    frame[0] = 0x80 | kind;
    frame[1] = 0x80 | payload.len() as u8;
    frame[2..6].copy_from_slice(&mask);
    for (place, (byte, key)) in frame[6..].iter_mut().zip(payload.iter().zip(mask.iter().cycle())) {
        *place = byte ^ key;
    }
    (frame, 6 + payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::{Role, WebSocket};
    use tungstenite::{Message, protocol::frame::Frame};

    fn served(message: Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        let frame = match message {
            Message::Text(text) => Frame::message(text, tungstenite::protocol::frame::coding::OpCode::from(1), true),
            Message::Ping(data) => Frame::ping(data),
            _ => Frame::close(None),
        };
        frame.format(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn frames_of_every_length_are_read_whole_and_never_early() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let bytes = served(Message::text("x".repeat(length)));
            let Scan::Frame { opcode, payload, bytes: end } = scan(&bytes) else { panic!("{length}") };
            assert_eq!((opcode, payload.len(), end), (opcode::TEXT, length, bytes.len()));
            for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
                assert_eq!(scan(&bytes[..cut]), Scan::Incomplete, "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_a_server_may_not_send_is_refused() {
        assert!(matches!(scan(&[0x81, 0x80, 0, 0, 0, 0]), Scan::Broken(_)));
        assert!(matches!(scan(&[0x01, 0x00]), Scan::Broken(_)));
        assert!(matches!(scan(&[0xc1, 0x00]), Scan::Broken(_)));
        assert!(matches!(scan(&[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0]), Scan::Broken(_)));
    }

    #[test]
    fn what_is_sent_is_understood_by_another_implementation() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let text = "y".repeat(length);
            let mut bytes = Vec::new();
            put_text(&mut bytes, text.as_bytes(), [1, 2, 3, 4]);
            let (pong, end) = control(opcode::PONG, b"abc", [5, 6, 7, 8]);
            bytes.extend_from_slice(&pong[..end]);
            let mut server = WebSocket::from_raw_socket(std::io::Cursor::new(bytes), Role::Server, None);
            assert_eq!(server.read().unwrap(), Message::text(text));
            assert_eq!(server.read().unwrap(), Message::Pong("abc".into()));
        }
    }
}
