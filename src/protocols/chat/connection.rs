//! One socket of a session: who it is, what it says, and in which order that goes to the session's home.

mod moving;

use super::{
    attachments,
    letters::{FromSession, Heard, Mark, ToSession, said_bytes},
    messages::{self, Message, read},
    model::{Caller, MessageId, SessionId, UserId},
    settings::Settings,
};
use crate::{
    models::talk::Attached,
    realtime::{ConnId, Moment, Now},
};
use serde::Deserialize;
use std::{borrow::Cow, collections::VecDeque, sync::Arc, time::Duration};

/// What may wait for the session to be read, or for a limit; of the largest messages two.
const WAITING_AT_MOST: usize = 32;

/// What a connection is judged by.
pub struct Gate<'a> {
    /// Times and sizes.
    pub settings: &'a Settings,
    /// Whose token it is; none: it is not good.
    pub judge: &'a dyn Fn(&str) -> Option<Caller>,
    /// Two ids that were never used.
    pub ids: &'a mut dyn FnMut() -> [MessageId; 2],
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary,
    /// A Pong, whatever it carries.
    Pong,
    /// The time set by [`Effect::Timer`] has come.
    TimerFired,
    /// A letter from the home of the session.
    Home(FromSession),
    /// The answer to [`Effect::Limit`]: seconds until the next message may come; none: this one may.
    Limited(Option<u32>),
    /// What the frame of the session is that it is to be delivered next.
    Hears(Mark),
    /// The token that it came with is good no longer.
    Revoked,
    /// The node of the session's home is gone, and what was on its way with it.
    HomeDied,
    /// What was on its way between this connection and the session's home is lost; both live.
    Cut,
    /// The socket is over, or is about to be closed for any reason, [`Effect::End`] included. Comes once, and nothing after it.
    Gone,
}

/// What a connection wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Effect {
    /// Send this to the client: whole frames.
    Send(Vec<u8>),
    /// Send an empty Ping.
    Ping,
    /// Replace the connection's one timer; `None` cancels it.
    Timer(Option<Duration>),
    /// To the home of the session.
    Home(ToSession),
    /// From now on deliver what is published to the session.
    Listen(SessionId),
    /// Deliver what was published until now, and nothing of it from now on.
    Unlisten,
    /// Count a message of this user; answered with [`Event::Limited`].
    Limit(UserId),
    /// Send a Close and end the connection. [`Event::Gone`] is expected, and nothing else is sent.
    End(Farewell),
}

/// Why a connection is ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Farewell {
    /// The session has ended: 1000.
    Over,
    /// No good token, none in time, or it was revoked: 1008.
    NoAuth,
    /// There is no such session, or it is another's: 1008.
    NoSession,
    /// No Pong in time: 1008.
    NoPong,
    /// More than may wait: 1008.
    TooMuch,
    /// The session could not be read: 1013.
    Unavailable,
    /// It may have missed something: 1012.
    Missed,
}

impl Farewell {
    /// The code of the Close (RFC 6455, section 7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Farewell::Over => 1000,
            Farewell::NoAuth | Farewell::NoSession | Farewell::NoPong | Farewell::TooMuch => 1008,
            Farewell::Unavailable => 1013,
            Farewell::Missed => 1012,
        }
    }

    /// The reason of the Close, for people.
    pub fn reason(self) -> &'static str {
        match self {
            Farewell::Over => "the session has ended",
            Farewell::NoAuth => "not authenticated",
            Farewell::NoSession => "no such session",
            Farewell::NoPong => "no pong in time",
            Farewell::TooMuch => "too many messages",
            Farewell::Unavailable => "the session could not be read",
            Farewell::Missed => "the session has moved",
        }
    }
}

/// The state machine of one connection.
#[derive(Debug)]
pub struct Connection {
    /// What the path names; none: it is no session's id.
    pub(super) named: Option<SessionId>,
    pub(super) state: State,
    pub(super) waiting: VecDeque<Wish>,
    /// The first that waits is being counted.
    pub(super) is_counting: bool,
    /// The Ping that was not answered.
    pub(super) pinged: Option<Moment>,
    /// What it said to the home, and no answer to it has begun: another home is told it again.
    pub(super) said: VecDeque<Spoken>,
    pub(super) heard: Heard,
    /// The home that it joined has given the session up, or is gone, and another one is asked.
    pub(super) is_moving: bool,
}

/// Something that the home was told.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(super) struct Spoken {
    ids: [MessageId; 2],
    content: Arc<str>,
    attachments: Vec<Attached>,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// No token yet.
    Stranger,
    /// The home is asked.
    Joining(Member),
    /// It listens.
    Joined(Member),
    /// It ends; the home of this session knows it, or none does.
    Ending { known: Option<SessionId> },
    /// It is over.
    Over,
}

/// Somebody in a session.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(super) struct Member {
    pub(super) session: SessionId,
    pub(super) caller: Caller,
}

/// Something that is to be done once the home knows the connection, in order.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(super) enum Wish {
    Say(Arc<str>, Vec<Attached>),
    Cancel(Option<MessageId>),
}

impl Wish {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Wish::Say(content, attached) => said_bytes(content, attached),
            Wish::Cancel(_) => 0,
        }
    }
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Auth<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Say<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(borrow, default)]
    attachments: Option<Vec<attachments::Given<'a>>>,
}

#[derive(Deserialize)]
struct Cancel<'a> {
    #[serde(borrow, default)]
    operation_id: Option<Cow<'a, str>>,
}

impl Connection {
    /// One whose upgrade has just been answered, with the session that its path names (none: what stands there is no session's id) and the
    /// token of its query, if it has one.
    pub fn new(
        named: Option<SessionId>,
        token: Option<&str>,
        conn: ConnId,
        gate: &mut Gate<'_>,
        out: &mut Vec<Effect>,
    ) -> Connection {
        let (state, waiting) = (State::Stranger, VecDeque::new());
        let (said, heard) = (VecDeque::new(), Heard::default());
        let mut machine = Connection { named, state, waiting, is_counting: false, pinged: None, said, heard, is_moving: false };
        match token {
            Some(token) => machine.auth(token, conn, gate, out),
            None => out.push(Effect::Timer(Some(gate.settings.auth_timeout))),
        }
        machine
    }

    /// Takes what happened; pushes what is to be done.
    pub fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        match event {
            Event::Gone => return self.leave(conn, out),
            Event::Home(letter) => return self.on_home(&letter, conn, gate, out),
            Event::Hears(mark) => {
                self.hears(mark);
                return self.go_on(conn, gate, out);
            }
            Event::HomeDied => return self.on_break(true, conn, out),
            Event::Cut => return self.on_break(false, conn, out),
            Event::Text(_) | Event::Binary | Event::Pong | Event::TimerFired | Event::Limited(_) | Event::Revoked => {}
        }
        if matches!(self.state, State::Ending { .. } | State::Over) {
            return;
        }
        self.pinged = if matches!(event, Event::TimerFired) { self.pinged } else { None };
        match event {
            Event::Text(text) => self.on_text(text, conn, gate, out),
            Event::Binary => error("WS_MESSAGE_INVALID", "text messages only", out),
            Event::TimerFired => self.on_timer(now, gate.settings, out),
            Event::Limited(wait) => self.on_limit(wait, conn, gate, out),
            Event::Revoked => self.refuse_auth(out),
            Event::Pong | Event::Home(_) | Event::Hears(_) | Event::HomeDied | Event::Cut | Event::Gone => {}
        }
    }

    fn on_text(&mut self, text: &str, conn: ConnId, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        // A list would be read as an object by the order of its items.
        let object = Some(text).filter(|text| text.trim_start().starts_with('{'));
        let Some(Kind { r#type }) = object.and_then(|object| serde_json::from_str(object).ok()) else {
            return error("WS_MESSAGE_INVALID", "a message is a JSON object with a type", out);
        };
        match &*r#type {
            "ping" => send(&Message::Pong {}, out),
            "auth" => match (&self.state, serde_json::from_str(text)) {
                (State::Stranger, Ok(Auth { token })) => self.auth(&token, conn, gate, out),
                (State::Stranger, Err(_)) => error("WS_MESSAGE_INVALID", "auth needs a token", out),
                // Once is enough.
                (State::Joining(_) | State::Joined(_) | State::Ending { .. } | State::Over, _) => {}
            },
            "message" | "cancel" if matches!(self.state, State::Stranger) => self.refuse_auth(out),
            "message" => match wish(text, gate.settings) {
                Ok(wish) => self.want(wish, conn, gate, out),
                Err((code, why)) => error(code, why, out),
            },
            "cancel" => {
                let Ok(Cancel { operation_id }) = serde_json::from_str(text) else {
                    return error("WS_MESSAGE_INVALID", "operation_id is a text", out);
                };
                match operation_id.as_deref().map(|id| read("msg_", id)) {
                    // What was never begun does not run.
                    Some(None) => {}
                    Some(answer) => self.want(Wish::Cancel(answer), conn, gate, out),
                    None => self.want(Wish::Cancel(None), conn, gate, out),
                }
            }
            _ => error("WS_MESSAGE_INVALID", "unknown type", out),
        }
    }

    fn auth(&mut self, token: &str, conn: ConnId, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        let Some(caller) = (gate.judge)(token) else { return self.refuse_auth(out) };
        let Some(session) = self.named else { return self.refuse_session(out) };
        send(&Message::AuthSuccess { session_id: messages::session(session) }, out);
        out.push(Effect::Home(ToSession::Join { conn, session, caller: caller.clone(), heard: None }));
        out.push(Effect::Timer(Some(gate.settings.ping_interval)));
        self.state = State::Joining(Member { session, caller });
    }

    fn refuse_session(&mut self, out: &mut Vec<Effect>) {
        error("WS_SESSION_INVALID", "there is no such session", out);
        self.end(Farewell::NoSession, out);
    }

    fn refuse_auth(&mut self, out: &mut Vec<Effect>) {
        error("WS_AUTH_FAILED", "authentication failed", out);
        self.end(Farewell::NoAuth, out);
    }

    fn want(&mut self, wish: Wish, conn: ConnId, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        // A cancel does not wait for its place behind messages that were not begun.
        if let (State::Joined(Member { session, .. }), Wish::Cancel(answer), false) = (&self.state, &wish, self.is_moving) {
            return out.push(Effect::Home(ToSession::Cancel { conn, session: *session, answer: *answer }));
        }
        let bytes: usize = self.waiting.iter().chain([&wish]).map(Wish::bytes).sum();
        if self.waiting.len() >= WAITING_AT_MOST || bytes > 2 * gate.settings.max_message_bytes() {
            error("RATE_LIMITED", "too many messages at once", out);
            return self.end(Farewell::TooMuch, out);
        }
        self.waiting.push_back(wish);
        self.go_on(conn, gate, out);
    }

    /// Takes up the next thing that waits.
    fn go_on(&mut self, conn: ConnId, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        let State::Joined(Member { session, caller }) = &self.state else { return };
        // As many as the home takes, and one that it refuses: so it is known what may be kept here.
        let most = gate.settings.max_waiting + 2;
        while !self.is_counting
            && !self.is_moving
            && let Some(next) = self.waiting.front()
        {
            match next {
                Wish::Say(..) if self.said.len() >= most => return,
                Wish::Say(..) => {
                    self.is_counting = true;
                    out.push(Effect::Limit(caller.id));
                }
                Wish::Cancel(answer) => {
                    out.push(Effect::Home(ToSession::Cancel { conn, session: *session, answer: *answer }));
                    self.waiting.pop_front();
                }
            }
        }
    }

    fn on_limit(&mut self, wait: Option<u32>, conn: ConnId, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.is_counting, false) {
            return;
        }
        let State::Joined(Member { session, .. }) = self.state else { return };
        let Some(Wish::Say(content, attachments)) = self.waiting.pop_front() else { return };
        match wait {
            Some(seconds) => error("RATE_LIMITED", &format!("too many requests: try again in {seconds} s"), out),
            None => {
                let spoken = Spoken { ids: (gate.ids)(), content, attachments };
                // One that is moving says it when it has joined again.
                out.extend((!self.is_moving).then(|| spoken.letter(conn, session)));
                self.said.push_back(spoken);
            }
        }
        self.go_on(conn, gate, out);
    }

    fn on_timer(&mut self, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match (&self.state, self.pinged) {
            (State::Stranger, _) => self.refuse_auth(out),
            (_, Some(since)) if now.moment.since(since) >= settings.pong_timeout => self.end(Farewell::NoPong, out),
            (_, pinged) => {
                self.pinged = pinged.or(Some(now.moment));
                out.push(Effect::Ping);
                let since = now.moment.since(self.pinged.unwrap_or(now.moment));
                let left = settings.pong_timeout.saturating_sub(since);
                out.push(Effect::Timer(Some(settings.ping_interval.min(left))));
            }
        }
    }

    fn on_home(&mut self, letter: &FromSession, conn: ConnId, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        match (letter, self.state.clone()) {
            (FromSession::Joined { heard, .. }, State::Joining(member)) => {
                out.push(Effect::Listen(member.session));
                self.state = State::Joined(member);
                self.heard = *heard;
                self.go_on(conn, gate, out);
            }
            (FromSession::Joined { heard, .. }, State::Joined(member)) if self.is_moving => {
                out.push(Effect::Listen(member.session));
                (self.heard, self.is_moving) = (*heard, false);
                out.extend(self.said.iter().map(|spoken| spoken.letter(conn, member.session)));
                self.go_on(conn, gate, out);
            }
            // It had been ended before the answer came: nobody else takes it back.
            (FromSession::Joined { session, .. }, State::Ending { .. } | State::Over) => out.extend(late(letter, conn, *session)),
            (FromSession::Refused { invalid }, State::Joining(_)) => {
                self.state = State::Stranger;
                match invalid {
                    true => self.refuse_session(out),
                    false => {
                        error("WS_CONNECTION_CLOSED", "the session could not be read", out);
                        self.end(Farewell::Unavailable, out);
                    }
                }
            }
            (FromSession::Refused { .. }, State::Joined(_)) if self.is_moving => self.end(Farewell::Missed, out),
            (FromSession::NotTaken { answer, why }, State::Joined(_)) => {
                self.said.retain(|spoken| spoken.ids[1] != *answer);
                let (code, text) = why.error();
                error(code, text, out);
                self.go_on(conn, gate, out);
            }
            // Its `error` came as a frame of the session.
            (FromSession::Over, State::Joined(_)) => self.end(Farewell::Over, out),
            (FromSession::Missed, State::Joined(_)) => self.end(Farewell::Missed, out),
            (FromSession::Moved { .. }, State::Joined(member)) if !self.is_moving => self.move_on(&member, conn, out),
            (FromSession::Elsewhere { .. }, state) => self.ask_again(&state, conn, out),
            (
                FromSession::Joined { .. }
                | FromSession::Refused { .. }
                | FromSession::NotTaken { .. }
                | FromSession::Over
                | FromSession::Moved { .. }
                | FromSession::Missed,
                _,
            ) => {}
        }
    }

    fn end(&mut self, farewell: Farewell, out: &mut Vec<Effect>) {
        let known = match &self.state {
            State::Joined(Member { session, .. }) => Some(*session),
            State::Stranger | State::Joining(_) | State::Ending { .. } | State::Over => None,
        };
        self.state = State::Ending { known };
        self.waiting.clear();
        out.push(Effect::End(farewell));
    }

    fn leave(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        let known = match &self.state {
            State::Joined(Member { session, .. }) => Some(*session),
            State::Ending { known } => *known,
            // Who is asked and has not answered is answered late.
            State::Stranger | State::Joining(_) | State::Over => None,
        };
        if let Some(session) = known {
            // What was said before the home moved is heard all the same.
            let unsaid = self.said.iter().filter(|_| self.is_moving);
            out.extend(unsaid.map(|spoken| spoken.letter(conn, session)));
            out.push(Effect::Home(ToSession::Part { conn, session }));
        }
        self.state = State::Over;
        self.waiting.clear();
        self.said.clear();
    }
}

/// What is owed for a letter that found no connection, or one that was told [`Event::Gone`].
pub fn late(letter: &FromSession, conn: ConnId, session: SessionId) -> Option<Effect> {
    match letter {
        FromSession::Joined { .. } => Some(Effect::Home(ToSession::Part { conn, session })),
        FromSession::Refused { .. } | FromSession::NotTaken { .. } | FromSession::Over => None,
        FromSession::Moved { .. } | FromSession::Elsewhere { .. } | FromSession::Missed => None,
    }
}

fn wish(text: &str, settings: &Settings) -> Result<Wish, (&'static str, &'static str)> {
    let Say { content, attachments } =
        serde_json::from_str(text).map_err(|_| ("WS_MESSAGE_INVALID", "a message needs its content"))?;
    if content.trim().is_empty() {
        return Err(("MESSAGE_EMPTY", "the content is empty"));
    }
    if content.chars().count() > settings.max_content_chars {
        return Err(("MESSAGE_TOO_LONG", "the content is too long"));
    }
    let attached =
        attachments::read(&attachments.unwrap_or_default(), settings).map_err(|fault| ("WS_MESSAGE_INVALID", fault.text()))?;
    Ok(Wish::Say(content.into(), attached))
}

fn send(message: &Message<'_>, out: &mut Vec<Effect>) {
    let mut frame = Vec::new();
    message.append(&mut frame);
    out.push(Effect::Send(frame));
}

fn error(code: &str, message: &str, out: &mut Vec<Effect>) {
    send(&Message::Error { code, message }, out);
}

#[cfg(test)]
mod tests;
