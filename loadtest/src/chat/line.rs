//! Connections: sockets of sessions, and requests that follow an answer. How they open, what they hear, how they end.

use super::{
    Chats,
    contract::{self, Told},
    ear::Ear,
    order::Name,
    sse::{self, Events},
};
use crate::{
    clock,
    fault::Fault,
    order::mix,
    tally::When,
    wire::{
        frames::{self, Scan, opcode},
        http::Answer,
        line::Line,
        poll::Lines,
        rest::beside,
    },
};
use std::io::Write;

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Phase {
    /// There is none, and no more will be.
    #[default]
    Nobody,
    /// TCP has not answered, or not the upgrade.
    Opening,
    /// The upgrade was answered; the token was not.
    Entering,
    /// All may be said.
    Open,
    /// We sent Close.
    Closing {
        /// The server did.
        answered: bool,
    },
}

/// One connection of a session.
#[derive(Default)]
pub(super) struct Listener {
    pub(super) line: Line,
    pub(super) phase: Phase,
    /// The place of its session.
    pub(super) session: u32,
    /// It speaks, and its answers are kept to be compared. Every other one hears the same.
    pub(super) is_first: bool,
    pub(super) ear: Ear,
    pub(super) follows: Option<Following>,
}

/// Requests over HTTP.
#[derive(Default)]
pub(super) struct Following {
    /// The question whose answer is being given.
    asked: Option<Name>,
    /// The head of the answer has come, and its last event.
    is_begun: bool,
    is_done: bool,
    events: Events,
}

impl Listener {
    /// One that is not connected.
    pub(super) fn new(session: u32, number: u32, is_first: bool, is_stream: bool) -> Listener {
        let follows = is_stream.then(Following::default);
        Listener { session, is_first, ear: Ear::new(number), follows, ..Listener::default() }
    }

    /// Whether a question can be asked now.
    pub(super) fn is_free(&self) -> bool {
        self.phase == Phase::Open && self.follows.as_ref().is_none_or(|follows| follows.asked.is_none())
    }
}

impl Chats {
    fn listener(&mut self, place: u32) -> &mut Listener {
        &mut self.listeners[place as usize]
    }

    /// Begins a connection.
    pub(super) fn open(&mut self, place: u32) {
        self.listener(place).phase = Phase::Opening;
        self.under_way += 1;
        self.open += 1;
        self.await_next(place, "opening");
        if let Err(fault) = self.dial(place) {
            self.over(place, fault);
        }
    }

    /// TCP has answered.
    pub(super) fn connected(&mut self, place: u32) -> Result<(), Fault> {
        let at = &self.listeners[place as usize];
        match (&at.follows, at.phase) {
            (Some(Following { asked: Some(asked), .. }), Phase::Open) => self.request(place, *asked),
            (Some(_), _) => {
                self.opened(place);
                Ok(())
            }
            (None, _) => {
                let seat = &self.order.seats[at.session as usize];
                let path = format!("{}/ws/sessions/{}?token={}", self.order.target.path, seat.id, seat.token.0);
                self.upgrade.write_to(&mut self.request, &path);
                self.listeners[place as usize].line.send(&self.request)
            }
        }
    }

    fn opened(&mut self, place: u32) {
        let at = self.listener(place);
        at.phase = Phase::Open;
        at.line.rest_assured();
        self.under_way -= 1;
        self.tally.chat.opened += 1;
    }

    /// Goes through whole messages and keeps the rest.
    pub(super) fn hear(&mut self, place: u32, mut bytes: &[u8], now_ns: u64) -> Result<(), Fault> {
        if let Some(mut follows) = self.listener(place).follows.take() {
            let heard = self.follow(place, &mut follows, bytes, now_ns);
            let is_over = follows.asked.is_none();
            self.listener(place).follows = Some(follows);
            if is_over && heard.is_ok() {
                self.say_on(self.listeners[place as usize].session);
            }
            return heard;
        }
        if self.listener(place).phase == Phase::Opening {
            match self.upgrade.judge(bytes)? {
                Answer::Incomplete => {
                    self.listener(place).line.rest.extend_from_slice(bytes);
                    return Ok(());
                }
                Answer::Whole((), end) => {
                    bytes = &bytes[end..];
                    self.listener(place).phase = Phase::Entering;
                }
            }
        }
        loop {
            match frames::scan(bytes) {
                Scan::Incomplete => {
                    self.listener(place).line.rest.extend_from_slice(bytes);
                    return Ok(());
                }
                Scan::Broken(how) => return Err(Fault::Broken(how)),
                Scan::Frame { opcode, payload, bytes: end } => {
                    self.hear_frame(place, opcode, payload, now_ns)?;
                    bytes = &bytes[end..];
                }
            }
        }
    }

    fn hear_frame(&mut self, place: u32, kind: u8, payload: &[u8], now_ns: u64) -> Result<(), Fault> {
        match kind {
            opcode::TEXT => self.hear_text(place, payload, now_ns),
            opcode::PING => {
                self.tally.chat.pings += 1;
                if matches!(self.listener(place).phase, Phase::Closing { .. }) {
                    Ok(())
                } else {
                    self.control(place, opcode::PONG, payload)
                }
            }
            opcode::PONG => Ok(()),
            opcode::CLOSE => self.hear_close(place, payload),
            _ => Err(Fault::Broken("unexpected kind of frame")),
        }
    }

    fn hear_text(&mut self, place: u32, text: &[u8], now_ns: u64) -> Result<(), Fault> {
        let told: Told<'_> = serde_json::from_slice(text).map_err(|_| Fault::Broken("a message that is not understood"))?;
        match &*told.r#type {
            "content_delta" => self.word(place, told.delta.as_deref().unwrap_or_default(), now_ns),
            "message_start" => self.start(place, told.message_id.as_deref().unwrap_or_default()),
            "message_end" => self.end(place, now_ns),
            "auth_success" if self.listener(place).phase == Phase::Entering => self.opened(place),
            "error" => self.blame(When::Talking, &Fault::Contract(told.code.unwrap_or_default().into_owned())),
            "pong" => {}
            _ => return Err(Fault::Broken("a message of a kind that was not asked for")),
        }
        Ok(())
    }

    /// More of an answer over HTTP.
    fn follow(&mut self, place: u32, follows: &mut Following, mut bytes: &[u8], now_ns: u64) -> Result<(), Fault> {
        if follows.asked.is_none() {
            return Err(Fault::Broken("an answer to no question"));
        }
        if !follows.is_begun {
            let Answer::Whole((), end) = sse::head(bytes)? else {
                self.listener(place).line.rest.extend_from_slice(bytes);
                return Ok(());
            };
            follows.is_begun = true;
            self.start(place, "");
            bytes = &bytes[end..];
        }
        while let Answer::Whole(chunk, end) = sse::chunk(bytes)? {
            bytes = &bytes[end..];
            if chunk.is_empty() {
                return self.followed(place, follows, bytes);
            }
            let Following { is_done, events, .. } = follows;
            events.feed(chunk, |data| self.hear_event(place, is_done, data, now_ns))?;
        }
        self.listener(place).line.rest.extend_from_slice(bytes);
        Ok(())
    }

    fn hear_event(&mut self, place: u32, is_done: &mut bool, data: &[u8], now_ns: u64) -> Result<(), Fault> {
        let told: Told<'_> = serde_json::from_slice(data).map_err(|_| Fault::Broken("an event that is not understood"))?;
        match &*told.r#type {
            "content" => self.word(place, told.delta.as_deref().unwrap_or_default(), now_ns),
            "done" => {
                *is_done = true;
                self.end(place, now_ns);
            }
            "error" => return Err(Fault::Contract(told.code.unwrap_or_default().into_owned())),
            _ => return Err(Fault::Broken("an event of a kind that was not asked for")),
        }
        Ok(())
    }

    /// The body of an answer has ended.
    fn followed(&mut self, place: u32, follows: &mut Following, rest: &[u8]) -> Result<(), Fault> {
        let is_right = follows.is_done && rest.is_empty();
        *follows = Following::default();
        self.listener(place).line.rest_assured();
        if is_right { Ok(()) } else { Err(Fault::Broken("a stream that did not end with done")) }
    }

    /// Asks a question over HTTP, and connects where no connection stands.
    pub(super) fn ask(&mut self, place: u32, asked: Name) -> Result<(), Fault> {
        let at = self.listener(place);
        if let Some(follows) = &mut at.follows {
            follows.asked = Some(asked);
        }
        if at.line.socket.is_some() { self.request(place, asked) } else { self.dial(place) }
    }

    fn request(&mut self, place: u32, asked: Name) -> Result<(), Fault> {
        let at = &self.listeners[place as usize];
        let (seat, body) = (&self.order.seats[at.session as usize], contract::body(&contract::question(&self.order.plan, asked)));
        let target = beside(&self.order.target);
        self.request.clear();
        let written = write!(
            self.request,
            "POST {}/sessions/{}/chat/stream HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            target.path,
            seat.id,
            target.host,
            seat.token.0,
            body.len()
        );
        debug_assert!(written.is_ok());
        self.listeners[place as usize].line.send(&self.request)
    }

    /// Says a text.
    pub(super) fn say(&mut self, place: u32, text: &str) -> Result<(), Fault> {
        let mask = (mix(u64::from(place) ^ clock::now_ns()) as u32).to_be_bytes();
        self.request.clear();
        frames::put_text(&mut self.request, text.as_bytes(), mask);
        self.listeners[place as usize].line.send(&self.request)
    }

    fn control(&mut self, place: u32, kind: u8, payload: &[u8]) -> Result<(), Fault> {
        let mask = (mix(self.order.seed ^ u64::from(place)) as u32).to_be_bytes();
        let (frame, length) = frames::control(kind, payload, mask);
        self.listener(place).line.send(&frame[..length])
    }

    /// The server says goodbye: as it should when we said it first.
    fn hear_close(&mut self, place: u32, payload: &[u8]) -> Result<(), Fault> {
        let code = payload.first_chunk().copied().map(u16::from_be_bytes);
        let at = self.listener(place);
        if let Phase::Closing { .. } = at.phase {
            at.phase = Phase::Closing { answered: true };
            return Ok(());
        }
        // Whether our answer still reaches it changes nothing.
        let _ = self.control(place, opcode::CLOSE, payload);
        Err(Fault::Closed(code))
    }

    /// Ends a connection: a socket by a Close frame, which the server answers.
    pub(super) fn close(&mut self, place: u32) {
        let at = self.listener(place);
        match (at.phase, &at.follows) {
            (Phase::Open, Some(_)) => {
                at.phase = Phase::Nobody;
                at.line.drop_socket();
                self.open -= 1;
            }
            (Phase::Open, None) => {
                at.phase = Phase::Closing { answered: false };
                match self.control(place, opcode::CLOSE, &1000u16.to_be_bytes()) {
                    Ok(()) => self.await_next(place, "close"),
                    Err(fault) => self.over(place, fault),
                }
            }
            (Phase::Nobody | Phase::Opening | Phase::Entering | Phase::Closing { .. }, _) => {}
        }
    }

    /// A connection is over, as it should be or not.
    pub(super) fn ended(&mut self, place: u32, fault: Fault) {
        let at = self.listener(place);
        // One for HTTP may end between two answers, and is opened again.
        if at.follows.is_some() && at.is_free() {
            return at.line.drop_socket();
        }
        let phase = std::mem::take(&mut at.phase);
        at.line.drop_socket();
        let should = match phase {
            Phase::Nobody => return,
            Phase::Opening | Phase::Entering => {
                self.under_way -= 1;
                false
            }
            Phase::Open => false,
            Phase::Closing { answered } => answered && fault == Fault::Ended,
        };
        self.open -= 1;
        if should {
            self.tally.chat.closed += 1;
            return;
        }
        // Nobody waits for what it will not hear.
        let left = u64::from(self.order.plan.messages.saturating_sub(self.listener(place).ear.ended));
        self.awaited = self.awaited.saturating_sub(left);
        self.tally.chat.lost += u64::from(phase == Phase::Open);
        self.blame(When::Talking, &fault);
    }
}
