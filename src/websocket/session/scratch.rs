//! Frames that are messages by themselves, which is what nearly all are: read at once, by hand where they are plain.

use super::{Event, Pipe, Step, context, header_length, read};
use crate::websocket::{close::CloseReason, frame};
use tungstenite::protocol::WebSocketContext;

// First bytes of a header: a final text ...
const WHOLE_TEXT: u8 = 0x81;
// ... a final binary message ...
pub(in crate::websocket) const WHOLE_BINARY: u8 = 0x82;
// ... and a Close.
const WHOLE_CLOSE: u8 = 0x88;

/// What all sessions of a shard share for frames that are messages by themselves.
#[derive(Debug)]
pub struct Scratch {
    context: WebSocketContext,
    /// Of the frame that is read.
    payload: Vec<u8>,
}

impl Scratch {
    /// One for a shard. It is as large as the largest piece that is fed.
    pub fn new() -> Scratch {
        // The walk has judged a frame's length before it comes here.
        Scratch { context: context(None), payload: Vec::new() }
    }

    /// Reads a frame that is a message by itself. A context for a message of a few hundred bytes costs more than the message.
    pub(super) fn read(
        &mut self,
        frame: &[u8],
        out: &mut Vec<u8>,
        deliver: &mut impl FnMut(Event<'_>, &mut Vec<u8>),
    ) -> Result<Step, CloseReason> {
        match frame[0] {
            WHOLE_TEXT => {
                let text = str::from_utf8(self.unmasked(frame)).map_err(|_| CloseReason::NotUtf8)?;
                deliver(Event::Text(text), out);
                return Ok(Step::Message);
            }
            WHOLE_BINARY => {
                deliver(Event::Binary(self.unmasked(frame)), out);
                return Ok(Step::Message);
            }
            WHOLE_CLOSE => {
                if let Some(code) = usual_code(self.unmasked(frame)) {
                    frame::close(out, code, "");
                    deliver(Event::Close(code), out);
                    return Ok(Step::Closed);
                }
            }
            _ => {}
        }
        let step = read(&mut self.context, Pipe { input: frame, output: out }, deliver);
        if !matches!(step, Ok(Step::Message)) {
            // A context that has seen an end or a fault never serves another connection.
            self.context = context(None);
        }
        step
    }

    fn unmasked(&mut self, frame: &[u8]) -> &[u8] {
        let (header, payload) = frame.split_at(header_length(frame[1]));
        self.payload.clear();
        self.payload.extend_from_slice(payload);
        if let Some(mask) = header.last_chunk() {
            unmask(&mut self.payload, *mask);
        }
        &self.payload
    }
}

/// The code of a Close as nearly all are: without one, or one of those by which nothing went wrong, and no reason.
fn usual_code(payload: &[u8]) -> Option<Option<u16>> {
    match *payload {
        [] => Some(None),
        [high, low] => [CloseReason::Normal, CloseReason::Away]
            .into_iter()
            .map(CloseReason::code)
            .find(|code| *code == u16::from_be_bytes([high, low]))
            .map(Some),
        _ => None,
    }
}

/// In place, while what was just copied is in the nearest cache. Eight bytes at a time, which the compiler makes into wider ones.
pub(in crate::websocket) fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let word = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for own in words {
        *own = (u64::from_ne_bytes(*own) ^ word).to_ne_bytes();
    }
    rest.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}
