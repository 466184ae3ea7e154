//! What a connection's bytes say: tungstenite's protocol over memory, without a context or a buffer for a connection that is idle.
//!
//! [`Session::feed`] walks over frame headers. A frame that is a whole message, and whose bytes are all there, is read into memory
//! that the shard's connections share ([`Scratch`]): a text, a binary message and the usual Close at once, a Ping, a Pong and all
//! that is odd by a context that is clean after each frame. Only when a frame is cut, or a message comes in fragments, does the
//! connection get a context of its own, which is dropped as soon as the message is complete. So memory follows what is under
//! way, not who is connected.
//!
//! What the header alone tells is judged by the walk (over the limit, reserved bits, no mask), before anything is buffered; the
//! order of fragments, the form and the answer of an unusual Close are tungstenite's.

mod read;
mod scratch;

use read::Read as Kept;
pub use scratch::Scratch;
pub(super) use scratch::{WHOLE_BINARY, unmask};

use crate::websocket::{close::CloseReason, frame};
use std::{
    io::{self, Read, Write},
    mem,
};
use tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

/// How large a peer's frames and messages may be, in bytes of payload. More ends the connection with 1009.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// One frame.
    pub frame: usize,
    /// One message, which may be many frames.
    pub message: usize,
}

/// Something that the peer said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A Ping. Its Pong stands in the output already.
    Ping,
    /// A Pong, asked for or not.
    Pong(&'a [u8]),
    /// The peer ends the conversation, with this code if it gave one. The answer stands in the output already; nothing follows.
    Close(Option<u16>),
}

/// Read at a time: tungstenite zeroes as much before each read, and allocates as much for each context.
const READ_BYTES: usize = 512;
/// The longest header of a frame from a client (RFC 6455 §5.2).
const HEADER_BYTES: usize = 14;
// In the first byte of a header ...
const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0F;
// ... and in the second.
const MASKED: u8 = 0x80;
const SHORT_LENGTH: u8 = 0x7F;

fn context(limits: Option<&Limits>) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_frame_size(limits.map(|limits| limits.frame.max(frame::CONTROL_PAYLOAD)))
        .max_message_size(limits.map(|limits| limits.message));
    WebSocketContext::new(Role::Server, Some(config))
}

/// A connection's place in the protocol, after the upgrade. 16 bytes; more only while a message is incomplete.
#[derive(Debug, Default)]
pub struct Session(State);

#[derive(Debug, Default)]
enum State {
    /// Between two messages.
    #[default]
    Idle,
    /// In a message.
    Partial(Box<Partial>),
    /// After a Close, or a fault of the peer.
    Ended,
}

/// A message that is incomplete.
#[derive(Debug)]
struct Partial {
    context: WebSocketContext,
    header: Collected,
    /// The frame under way; `None` while its header is incomplete.
    frame: Option<Frame>,
    /// What the frames of the message have announced so far, in bytes; `None`: no message has begun.
    message: Option<u64>,
    read: Kept,
}

/// The bytes of a header that is incomplete. tungstenite gets whole headers only, so both see the same frames.
#[derive(Debug, Default)]
pub(super) struct Collected {
    bytes: [u8; HEADER_BYTES],
    length: usize,
}

/// A frame of which payload is missing.
#[derive(Clone, Copy, Debug)]
struct Frame {
    missing: u64,
    is_final: bool,
    is_control: bool,
}

/// What the walk needs of a header.
#[derive(Clone, Copy)]
pub(super) struct Announced {
    pub(super) header_length: usize,
    pub(super) payload_length: u64,
    is_final: bool,
    is_control: bool,
}

/// Bytes in, bytes out: what tungstenite takes for a socket.
struct Pipe<'a> {
    input: &'a [u8],
    output: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer)? {
            // Zero would be the end of the stream.
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Session {
    /// A connection that has just been upgraded.
    pub fn new() -> Session {
        Session::default()
    }

    /// Whether a Close has come or the peer was at fault: all further bytes are ignored.
    pub fn ended(&self) -> bool {
        matches!(self.0, State::Ended)
    }

    /// What was read of a message that is not whole, for another session to go on with: without the control frames in it, which were heard.
    /// None: it has ended, or it is more than is kept for that.
    pub fn unread(&self) -> Option<&[u8]> {
        match &self.0 {
            State::Idle => Some(&[]),
            State::Partial(partial) => partial.read.whole(),
            State::Ended => None,
        }
    }

    /// Whether the connection holds memory for an incomplete message.
    pub fn is_partial(&self) -> bool {
        matches!(self.0, State::Partial(_))
    }

    /// Takes the next bytes of the peer, in any pieces; delivers what they complete, in order, each with the output, so that an
    /// answer can stand where it belongs. Pongs, the answer to a Close, and on an error the Close frame with its reason, are
    /// appended to `out`. After an error, as after [`Event::Close`], the connection is to be closed once `out` is sent.
    ///
    /// # Errors
    /// [`CloseReason::Protocol`], [`CloseReason::NotUtf8`] or [`CloseReason::TooBig`], all to be blamed on the peer.
    pub fn feed(
        &mut self,
        scratch: &mut Scratch,
        mut bytes: &[u8],
        limits: &Limits,
        out: &mut Vec<u8>,
        deliver: &mut impl FnMut(Event<'_>, &mut Vec<u8>),
    ) -> Result<(), CloseReason> {
        while !bytes.is_empty() && !self.ended() {
            self.step(scratch, &mut bytes, limits, out, deliver)?;
        }
        Ok(())
    }

    /// Takes a message, or what there is of one. Of no bytes, or after the end, it takes nothing.
    pub(super) fn step(
        &mut self,
        scratch: &mut Scratch,
        bytes: &mut &[u8],
        limits: &Limits,
        out: &mut Vec<u8>,
        deliver: &mut impl FnMut(Event<'_>, &mut Vec<u8>),
    ) -> Result<(), CloseReason> {
        let step = match &mut self.0 {
            State::Ended => return Ok(()),
            State::Partial(partial) => partial.step(bytes, limits, out, deliver),
            State::Idle => match whole_message(bytes, limits) {
                Ok(Some(length)) => {
                    let (frame, rest) = bytes.split_at(length);
                    *bytes = rest;
                    scratch.read(frame, out, deliver)
                }
                Ok(None) => {
                    self.0 = State::Partial(Box::new(Partial::new(limits)));
                    return Ok(());
                }
                Err(reason) => Err(reason),
            },
        };
        match step {
            Ok(Step::Message) => self.0 = State::Idle,
            Ok(Step::Incomplete) => {}
            Ok(Step::Closed) => self.0 = State::Ended,
            Err(reason) => {
                self.0 = State::Ended;
                frame::close(out, Some(reason.code()), "");
                return Err(reason);
            }
        }
        Ok(())
    }
}

/// Where the bytes have led.
enum Step {
    /// A message is complete, and nothing is left over.
    Message,
    /// More is needed.
    Incomplete,
    /// The peer has sent a Close.
    Closed,
}

/// The length of the frame at the front if it is complete and a message by itself; `None`: it must be read as a partial one.
fn whole_message(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, CloseReason> {
    let Some(announced) = announced(bytes, limits)? else { return Ok(None) };
    // The limit was a `usize`, so the sum fits.
    let length = announced.header_length + announced.payload_length as usize;
    Ok((announced.is_final && length <= bytes.len()).then_some(length))
}

/// Reads and judges the header at the front (RFC 6455 §5.2), its first two bytes as soon as they are there; `None`: it is not complete.
///
/// tungstenite parses it again. This look ahead is our own because `FrameHeader::parse` cost a tenth of the time that a small
/// message takes.
pub(super) fn announced(bytes: &[u8], limits: &Limits) -> Result<Option<Announced>, CloseReason> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    let is_final = first & FINAL != 0;
    let opcode = first & OPCODE;
    let short_length = second & SHORT_LENGTH;
    if first & RESERVED != 0 || second & MASKED == 0 {
        return Err(CloseReason::Protocol);
    }
    let is_control = match opcode {
        0..=2 => false,
        8..=10 if is_final && usize::from(short_length) <= frame::CONTROL_PAYLOAD => true,
        _ => return Err(CloseReason::Protocol),
    };
    let header_length = header_length(second);
    if bytes.len() < header_length {
        return Ok(None);
    }
    let payload_length = match (short_length, &bytes[2..]) {
        (126, [high, low, ..]) => u64::from(u16::from_be_bytes([*high, *low])),
        (127, extended) => extended.first_chunk().map_or(u64::MAX, |length| u64::from_be_bytes(*length)),
        (length, _) => u64::from(length),
    };
    if !is_control && payload_length > limits.frame.min(limits.message) as u64 {
        return Err(CloseReason::TooBig);
    }
    Ok(Some(Announced { header_length, payload_length, is_final, is_control }))
}

/// How long a header is by its second byte: two bytes, the longer forms of the length, the mask.
fn header_length(second: u8) -> usize {
    let extended = match second & SHORT_LENGTH {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if second & MASKED == 0 { 0 } else { 4 }
}

/// Lets a context read what is in the pipe: at most one frame.
fn read(
    context: &mut WebSocketContext,
    mut pipe: Pipe<'_>,
    deliver: &mut impl FnMut(Event<'_>, &mut Vec<u8>),
) -> Result<Step, CloseReason> {
    match context.read(&mut pipe) {
        Ok(Message::Text(text)) => deliver(Event::Text(&text), pipe.output),
        Ok(Message::Binary(bytes)) => deliver(Event::Binary(&bytes), pipe.output),
        Ok(Message::Pong(bytes)) => deliver(Event::Pong(&bytes), pipe.output),
        Ok(Message::Ping(_)) => {
            // Now, not at the next read: a later Ping would replace this one's Pong.
            context.flush(&mut pipe).map_err(|error| blame(&error))?;
            deliver(Event::Ping, pipe.output);
        }
        Ok(Message::Close(close)) => {
            // Writes the answer, and says `ConnectionClosed`, which is what was asked for.
            let _closed = context.flush(&mut pipe);
            deliver(Event::Close(close.map(|close| close.code.into())), pipe.output);
            return Ok(Step::Closed);
        }
        // Never read, only written.
        Ok(Message::Frame(_)) => return Err(CloseReason::Internal),
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Incomplete),
        Err(error) => return Err(blame(&error)),
    }
    Ok(Step::Message)
}

/// Whose fault, and which.
fn blame(error: &Error) -> CloseReason {
    match error {
        Error::Protocol(_) => CloseReason::Protocol,
        Error::Utf8(_) => CloseReason::NotUtf8,
        Error::Capacity(_) => CloseReason::TooBig,
        _ => CloseReason::Internal,
    }
}

impl Collected {
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What there is of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Takes what belongs to the header, and no more.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) {
        loop {
            let wanted = self.wanted().min(self.length + bytes.len());
            if wanted == self.length {
                return;
            }
            let (taken, rest) = bytes.split_at(wanted - self.length);
            self.bytes[self.length..wanted].copy_from_slice(taken);
            self.length = wanted;
            *bytes = rest;
        }
    }

    /// How long the header is, as far as its first two bytes tell.
    fn wanted(&self) -> usize {
        if self.length < 2 {
            return 2;
        }
        header_length(self.bytes[1])
    }
}

impl Partial {
    fn new(limits: &Limits) -> Partial {
        Partial {
            context: context(Some(limits)),
            header: Collected::default(),
            frame: None,
            message: None,
            read: Kept::default(),
        }
    }

    /// Takes bytes up to the end of a header or of a frame.
    fn step(
        &mut self,
        bytes: &mut &[u8],
        limits: &Limits,
        out: &mut Vec<u8>,
        deliver: &mut impl FnMut(Event<'_>, &mut Vec<u8>),
    ) -> Result<Step, CloseReason> {
        let Some(frame) = &mut self.frame else { return self.begin_frame(bytes, limits, out, deliver) };
        let length = usize::try_from(frame.missing).unwrap_or(usize::MAX).min(bytes.len());
        let (input, rest) = bytes.split_at(length);
        *bytes = rest;
        frame.missing -= length as u64;
        // With the last byte of the message nothing of it is left to be gone on with.
        if frame.missing > 0 || frame.is_control || !frame.is_final {
            self.read.add(input);
        }
        let step = read(&mut self.context, Pipe { input, output: out }, deliver)?;
        Ok(self.frame_after(step))
    }

    fn begin_frame(
        &mut self,
        bytes: &mut &[u8],
        limits: &Limits,
        out: &mut Vec<u8>,
        deliver: &mut impl FnMut(Event<'_>, &mut Vec<u8>),
    ) -> Result<Step, CloseReason> {
        let there = *bytes;
        self.header.take(bytes);
        self.read.add(&there[..there.len() - bytes.len()]);
        let header = mem::take(&mut self.header);
        let input = &header.bytes[..header.length];
        let Some(announced) = announced(input, limits)? else {
            self.header = header;
            return Ok(Step::Incomplete);
        };
        if !announced.is_control {
            let message = self.message.unwrap_or(0) + announced.payload_length;
            if message > limits.message as u64 {
                return Err(CloseReason::TooBig);
            }
            self.message = Some(message);
        }
        let Announced { payload_length, is_final, is_control, .. } = announced;
        self.frame = Some(Frame { missing: payload_length, is_final, is_control });
        let step = read(&mut self.context, Pipe { input, output: out }, deliver)?;
        Ok(self.frame_after(step))
    }

    /// Forgets the frame if it is complete; says whether with it the message is.
    fn frame_after(&mut self, read: Step) -> Step {
        match self.frame {
            Some(frame) if frame.missing == 0 => {
                self.frame = None;
                self.read.frame_ends(frame.is_control);
                let between = if frame.is_control { self.message.is_none() } else { frame.is_final };
                match read {
                    Step::Closed => Step::Closed,
                    Step::Message | Step::Incomplete if between => Step::Message,
                    Step::Message | Step::Incomplete => Step::Incomplete,
                }
            }
            Some(_) | None => Step::Incomplete,
        }
    }
}

#[cfg(test)]
mod tests;
