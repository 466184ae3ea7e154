//! Frames from the server: whole, final, unmasked (RFC 6455 §5.2). Each is written once, whoever hears it.

use crate::realtime::Frame;
use std::ops::Deref;

/// What a frame is. A server of ours sends no fragments, so there is no continuation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// A UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end; see [`close`].
    Close = 8,
    /// A question for life; at most 125 bytes.
    Ping = 9,
    /// The answer to one, with its payload.
    Pong = 10,
}

/// A Ping without a payload.
pub const PING: [u8; 2] = [FINAL | Opcode::Ping as u8, 0];
/// A Pong without a payload.
pub const PONG: [u8; 2] = [FINAL | Opcode::Pong as u8, 0];

/// The most that a control frame (Close, Ping, Pong) may carry, in bytes.
pub const CONTROL_PAYLOAD: usize = 125;

const FINAL: u8 = 0x80;
/// In the second byte: the length follows in 2 or in 8 bytes.
const IN_TWO: u8 = 126;
const IN_EIGHT: u8 = 127;
/// The header of a payload of 126 to 65,535 bytes, which is what an event in JSON has.
const USUAL_HEADER: usize = 4;

/// A frame's header: 2, 4 or 10 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; 10],
    length: u8,
}

impl Header {
    /// The header of a payload of `length` bytes.
    pub fn new(opcode: Opcode, length: usize) -> Header {
        let mut bytes = [0; 10];
        bytes[0] = FINAL | opcode as u8;
        let length = match length {
            0..126 => {
                bytes[1] = length as u8;
                2
            }
            126..65_536 => {
                bytes[1] = IN_TWO;
                bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = IN_EIGHT;
                bytes[2..10].copy_from_slice(&(length as u64).to_be_bytes());
                10
            }
        };
        Header { bytes, length }
    }
}

impl Deref for Header {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Appends one frame. The payload of a control frame must not be longer than [`CONTROL_PAYLOAD`].
pub fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    debug_assert!((opcode as u8) < 8 || payload.len() <= CONTROL_PAYLOAD);
    let header = Header::new(opcode, payload.len());
    out.reserve(header.len() + payload.len());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

/// A text frame to be shared, in one allocation. `payload` must be UTF-8.
pub fn text(payload: &[u8]) -> Frame {
    Frame::from_parts(&Header::new(Opcode::Text, payload.len()), payload)
}

/// Appends a Close frame: without a code it has no payload; a reason is cut, between characters, to what fits (123 bytes).
pub fn close(out: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let Some(code) = code else { return encode(out, Opcode::Close, &[]) };
    let reason = &reason[..reason.floor_char_boundary(CONTROL_PAYLOAD - 2)];
    out.extend_from_slice(&Header::new(Opcode::Close, 2 + reason.len()));
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Where a text frame was begun in a buffer; to be given to [`end_text`].
#[must_use]
#[derive(Debug)]
pub struct Mark(usize);

/// Begins a text frame whose payload is then appended to `out`, by serde for example.
pub fn begin_text(out: &mut Vec<u8>) -> Mark {
    let mark = Mark(out.len());
    out.extend_from_slice(&[0; USUAL_HEADER]);
    mark
}

/// Ends a text frame: all that was appended since [`begin_text`] is its payload. Only one shorter than 126 bytes or longer than
/// 65,535 is moved.
pub fn end_text(out: &mut Vec<u8>, mark: Mark) {
    let Mark(start) = mark;
    let begun = start + USUAL_HEADER;
    let header = Header::new(Opcode::Text, out.len().saturating_sub(begun));
    if header.len() == USUAL_HEADER {
        out[start..begun].copy_from_slice(&header);
    } else {
        out.splice(start..begun, header.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use tungstenite::protocol::frame::{
        FrameHeader,
        coding::{Control, Data, OpCode},
    };

    const LENGTHS: [usize; 9] = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 200_000];

    /// Reads one frame as the foreign parser does.
    fn parse(bytes: &[u8]) -> (OpCode, &[u8], &[u8]) {
        let mut cursor = Cursor::new(bytes);
        let (header, length) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
        assert!(header.is_final && header.mask.is_none() && !header.rsv1 && !header.rsv2 && !header.rsv3);
        let (payload, rest) = bytes[cursor.position() as usize..].split_at(length as usize);
        (header.opcode, payload, rest)
    }

    #[test]
    fn all_ways_give_the_frame_that_a_foreign_parser_reads() {
        for length in LENGTHS {
            let payload: Vec<u8> = (0..length).map(|n| b'a' + (n % 26) as u8).collect();
            let mut encoded = b"before".to_vec();
            encode(&mut encoded, Opcode::Text, &payload);
            let (opcode, read, rest) = parse(&encoded[6..]);
            assert_eq!((opcode, read, rest), (OpCode::Data(Data::Text), &payload[..], &[][..]));
            assert_eq!(text(&payload)[..], encoded[6..]);
            let mut in_place = b"before".to_vec();
            let mark = begin_text(&mut in_place);
            in_place.extend_from_slice(&payload);
            end_text(&mut in_place, mark);
            assert_eq!(in_place, encoded);
        }
    }

    #[test]
    fn control_frames() {
        assert_eq!(parse(&PING), (OpCode::Control(Control::Ping), &[][..], &[][..]));
        assert_eq!(parse(&PONG), (OpCode::Control(Control::Pong), &[][..], &[][..]));
        let mut out = Vec::new();
        close(&mut out, None, "not sent");
        assert_eq!(out, [0x88, 0]);
        out.clear();
        close(&mut out, Some(1008), &"é".repeat(100));
        let (opcode, payload, rest) = parse(&out);
        assert_eq!((opcode, rest), (OpCode::Control(Control::Close), &[][..]));
        assert_eq!(payload[..2], 1008_u16.to_be_bytes());
        assert_eq!(std::str::from_utf8(&payload[2..]), Ok(&*"é".repeat(61)));
    }
}
