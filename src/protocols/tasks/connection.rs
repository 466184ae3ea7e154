//! One socket: who it is, what it may say, and what it hears of all that happens.

use super::{
    letters::{About, Channel, FromHome, News, ToExecution, ToTask, ToUser},
    messages::{At, Client, Message},
    model::{Caller, UserName},
    requests::{Echo, Owed, Request},
    said::{Envelope, Said},
    settings::Settings,
    status::Status,
    subscriptions::Subscriptions,
};
use crate::{
    models::Catalog,
    realtime::{ConnId, Frame, Moment, Now},
};
use std::{collections::VecDeque, time::Duration};
use uuid::Uuid;

/// The time in which messages are counted, from the first on.
const WINDOW: Duration = Duration::from_secs(60);

/// What a connection is judged by.
pub struct Gate<'a> {
    /// Times and sizes.
    pub settings: &'a Settings,
    /// Which agents there are.
    pub catalog: &'a Catalog,
    /// How the system is: [`Homes::status`](super::Homes::status) of this shard.
    pub status: &'a Status,
    /// A new id that was never used, and cannot be guessed.
    pub ids: &'a mut dyn FnMut() -> Uuid,
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary,
    /// A Ping or Pong of WebSocket itself.
    Control,
    /// The time set by [`Effect::Timer`] has come.
    TimerFired,
    /// A letter from a home.
    Home(FromHome),
    /// News of a channel that it listens to.
    News(&'a News),
    /// It is to be closed for a reason that is not its own: the server stops, what came is no WebSocket message, or what is sent is not
    /// read. It says so to the client and ends; not for a socket that cannot be written to.
    Close(Farewell),
    /// The socket is over, or is about to be closed for any reason, [`Effect::End`] included. Comes once, and nothing after it.
    Gone,
}

/// What a connection wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Effect {
    /// Send this to the client: whole frames.
    Send(Vec<u8>),
    /// Send this to the client; many are sent the same.
    Share(Frame),
    /// Send this to the client: how the system is. What it was sent before of that, and has not left yet, is needless.
    Status(Frame),
    /// Replace the connection's one timer; `None` cancels it.
    Timer(Option<Duration>),
    /// To the home of its user.
    User(ToUser),
    /// To the home of a task.
    Task(ToTask),
    /// To the home of an execution.
    Execution(ToExecution),
    /// From now on give it the news of this channel, by [`Event::News`].
    Listen(Channel),
    /// No longer.
    Unlisten(Channel),
    /// Send these frames and a Close, whatever waits before them, and end the connection; it listens to nothing any more. [`Event::Gone`]
    /// is expected, and nothing else is sent.
    End(Farewell, Vec<u8>),
}

/// Why a connection is ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Farewell {
    /// Nothing came for long: 1000.
    Silent,
    /// Pings were not answered: 1008.
    NoPong,
    /// More connections, messages or subscriptions than it may have: 1008.
    TooMuch,
    /// Its token is good no longer: 1008.
    Revoked,
    /// An operator wants it: 1008.
    Dismissed,
    /// A message over the limit: 1009.
    TooBig,
    /// Not WebSocket: 1002.
    Protocol,
    /// A text that is not UTF-8: 1007.
    NotUtf8,
    /// The server stops: 1012.
    Stopping,
    /// It does not read what it is sent: 1013.
    Slow,
}

impl Farewell {
    /// The code of the Close (RFC 6455, section 7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Farewell::Silent => 1000,
            Farewell::Protocol => 1002,
            Farewell::NotUtf8 => 1007,
            Farewell::NoPong | Farewell::TooMuch | Farewell::Revoked | Farewell::Dismissed => 1008,
            Farewell::TooBig => 1009,
            Farewell::Stopping => 1012,
            Farewell::Slow => 1013,
        }
    }

    /// `reason` of `connection_closed`, and of the Close.
    pub fn reason(self) -> &'static str {
        match self {
            Farewell::Silent => "session_timeout",
            Farewell::NoPong => "ping_timeout",
            Farewell::TooMuch => "rate_limit_exceeded",
            Farewell::Revoked => "token_revoked",
            Farewell::Dismissed => "dismissed",
            Farewell::TooBig => "message_too_large",
            Farewell::Protocol => "protocol_error",
            Farewell::NotUtf8 => "invalid_text",
            Farewell::Stopping => "server_shutdown",
            Farewell::Slow => "slow_consumer",
        }
    }

    fn message(self, settings: &Settings) -> String {
        match self {
            Farewell::Silent => format!("Session timed out after {} of inactivity", time(settings.inactivity_timeout)),
            Farewell::NoPong => "Pings were not answered".into(),
            Farewell::TooMuch => "Too much was asked for".into(),
            Farewell::Revoked => "The token is not valid any more".into(),
            Farewell::Dismissed => "An operator has ended this connection".into(),
            Farewell::TooBig => "The message is too large".into(),
            Farewell::Protocol => "What was sent is not WebSocket".into(),
            Farewell::NotUtf8 => "The text is not UTF-8".into(),
            Farewell::Stopping => "The server is shutting down".into(),
            Farewell::Slow => "What was sent was not read".into(),
        }
    }
}

/// For people: whole minutes as such, else seconds.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (number, unit) = if seconds > 0 && seconds.is_multiple_of(60) { (seconds / 60, "minute") } else { (seconds, "second") };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// The state machine of one connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) caller: Caller,
    pub(super) client: Uuid,
    pub(super) state: State,
    pub(super) subscriptions: Subscriptions,
    /// Whether it listens to the channel of its tasks.
    pub(super) is_listening: bool,
    /// What homes owe it an answer to, in the order in which it asked.
    pub(super) owed: VecDeque<Owed>,
    /// When messages are counted anew.
    pub(super) window: Moment,
    pub(super) messages: u32,
    pub(super) active: Moment,
    /// Pings that were not answered.
    pub(super) pinged: u32,
    pub(super) next_ping: Moment,
    /// When `system_status` is due, for one who wants it.
    pub(super) next_status: Option<Moment>,
}

#[derive(Debug)]
pub(super) enum State {
    /// The home of its user is asked; this came in between.
    Counting(Vec<Early>),
    /// It has been welcomed.
    Here,
    /// It is one too many: it ends, and the home does not know it.
    Refused,
    /// It ends; the home knows it.
    Ending,
    Over,
}

#[derive(Debug)]
pub(super) enum Early {
    Text(Box<str>),
    Binary,
}

impl Connection {
    /// One whose upgrade has just been answered; its token was good. `client` was never used. Its welcome comes when it is counted.
    pub fn new(caller: Caller, client: Uuid, conn: ConnId, now: Now, out: &mut Vec<Effect>) -> Connection {
        out.push(Effect::User(ToUser::Come { conn, user: caller.user.clone() }));
        Connection {
            caller,
            client,
            state: State::Counting(Vec::new()),
            subscriptions: Subscriptions::default(),
            is_listening: false,
            owed: VecDeque::new(),
            window: Moment::default(),
            messages: 0,
            active: now.moment,
            pinged: 0,
            next_ping: now.moment,
            next_status: None,
        }
    }

    /// Takes what happened; pushes what is to be done.
    pub fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        match (event, &mut self.state) {
            (Event::Gone, _) => self.leave(conn, out),
            (_, State::Refused | State::Ending | State::Over) => {}
            (Event::Home(FromHome::Counted { refused }), State::Counting(early)) => {
                let early = std::mem::take(early);
                self.on_count(refused, now, gate, out);
                early.into_iter().for_each(|early| match early {
                    Early::Text(text) => self.handle(Event::Text(&text), conn, now, gate, out),
                    Early::Binary => self.handle(Event::Binary, conn, now, gate, out),
                });
            }
            (Event::Close(farewell), _) => self.close(farewell, gate.settings, out),
            (Event::Text(text), State::Counting(early)) => {
                early.push(Early::Text(text.into()));
                self.limit_early(gate.settings, out);
            }
            (Event::Binary, State::Counting(early)) => {
                early.push(Early::Binary);
                self.limit_early(gate.settings, out);
            }
            (Event::Control | Event::TimerFired | Event::Home(_) | Event::News(_), State::Counting(_)) => {}
            (Event::Text(text), State::Here) => self.on_text(text, conn, now, gate, out),
            (Event::Binary, State::Here) => {
                self.is_active(now);
                if self.counts(now, gate.settings, out) {
                    error("invalid_request", "Text messages only", None, out);
                }
            }
            (Event::Control, State::Here) => self.is_alive(now, gate.settings),
            (Event::TimerFired, State::Here) => self.on_timer(now, gate, out),
            (Event::Home(letter), State::Here) => self.on_home(letter, out),
            (Event::News(news), State::Here) => self.on_news(news, now, gate.settings, out),
        }
    }

    /// Whose it is.
    pub fn user(&self) -> &UserName {
        &self.caller.user
    }

    /// What a home of its user must know that has never heard of it.
    pub fn again(&self, conn: ConnId) -> Option<ToUser> {
        let user = self.caller.user.clone();
        match self.state {
            State::Counting(_) => Some(ToUser::Come { conn, user }),
            State::Here | State::Ending => Some(ToUser::Move { conn, user }),
            State::Refused | State::Over => None,
        }
    }

    fn on_count(&mut self, refused: bool, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        if refused {
            let most = gate.settings.max_connections;
            self.state = State::Refused;
            return exceeded(&format!("Maximum {most} connections per user"), None, out);
        }
        self.state = State::Here;
        send(&Message::ConnectionEstablished { client_id: Client(self.client), server_time: At(now.wall) }, out);
        self.is_active(now);
        self.next_ping = now.moment + gate.settings.ping_interval;
        self.set_timer(now, gate.settings, out);
    }

    /// What comes before the home has answered is bounded as all else.
    fn limit_early(&mut self, settings: &Settings, out: &mut Vec<Effect>) {
        let State::Counting(early) = &self.state else { return };
        let bytes = early.iter().map(|early| match early {
            Early::Text(text) => text.len(),
            Early::Binary => 0,
        });
        if early.len() > settings.messages_a_minute as usize + 1 || bytes.sum::<usize>() > 2 * settings.max_message_bytes {
            self.exceed_messages(settings, out);
        }
    }

    fn on_text(&mut self, text: &str, conn: ConnId, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        let envelope = Envelope::read(text);
        let said = envelope.as_ref().map(Envelope::said);
        if matches!(said, Some(Ok(Said::Pong))) {
            return self.is_alive(now, gate.settings);
        }
        self.is_active(now);
        if !self.counts(now, gate.settings, out) {
            return;
        }
        match (envelope, said) {
            (Some(envelope), Some(said)) => self.asks(said, Request { echo: Echo::of(&envelope), conn, now }, gate, out),
            (None, _) | (_, None) => error("invalid_request", "Invalid request format", None, out),
        }
    }

    /// It said something.
    fn is_active(&mut self, now: Now) {
        (self.active, self.pinged) = (now.moment, 0);
    }

    /// It answered.
    fn is_alive(&mut self, now: Now, settings: &Settings) {
        self.pinged = 0;
        if settings.pong_is_activity {
            self.active = now.moment;
        }
    }

    /// Counts a message. Whether it may be one.
    fn counts(&mut self, now: Now, settings: &Settings, out: &mut Vec<Effect>) -> bool {
        if now.moment >= self.window {
            (self.window, self.messages) = (now.moment + WINDOW, 0);
        }
        self.messages += 1;
        let may = self.messages <= settings.messages_a_minute;
        if !may {
            self.exceed_messages(settings, out);
        }
        may
    }

    fn exceed_messages(&mut self, settings: &Settings, out: &mut Vec<Effect>) {
        self.exceed(&format!("Maximum {} messages per minute per connection", settings.messages_a_minute), None, out);
    }

    /// More than it may have: the error, the reason and the end.
    pub(super) fn exceed(&mut self, message: &str, echo: Option<Echo<'_>>, out: &mut Vec<Effect>) {
        self.end();
        exceeded(message, echo, out);
    }

    fn close(&mut self, farewell: Farewell, settings: &Settings, out: &mut Vec<Effect>) {
        self.end();
        closed(Vec::new(), farewell, &farewell.message(settings), out);
    }

    fn end(&mut self) {
        self.state = State::Ending;
        self.subscriptions = Subscriptions::default();
        self.owed.clear();
    }

    fn leave(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        match self.state {
            // The home answers in order: it has counted the one that goes, or did not take it.
            State::Counting(_) | State::Here | State::Ending => {
                out.push(Effect::User(ToUser::Go { conn, user: self.caller.user.clone() }));
            }
            State::Refused | State::Over => {}
        }
        self.state = State::Over;
        self.subscriptions = Subscriptions::default();
        self.owed.clear();
    }

    fn on_timer(&mut self, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        let settings = gate.settings;
        if now.moment.since(self.active) >= settings.inactivity_timeout {
            return self.close(Farewell::Silent, settings, out);
        }
        self.give_up(now, out);
        if now.moment >= self.next_ping {
            if settings.pings_missed > 0 && self.pinged >= settings.pings_missed {
                return self.close(Farewell::NoPong, settings, out);
            }
            self.pinged = self.pinged.saturating_add(1);
            send(&Message::Ping { timestamp: At(now.wall) }, out);
            // In step with the welcome, unless whole steps were missed.
            let next = self.next_ping + settings.ping_interval;
            self.next_ping = if next > now.moment { next } else { now.moment + settings.ping_interval };
        }
        if self.next_status.is_some_and(|at| now.moment >= at) {
            self.tell_status(now, gate, out);
        }
        self.set_timer(now, settings, out);
    }

    /// How the system is, now and again after the interval.
    pub(super) fn tell_status(&mut self, now: Now, gate: &Gate<'_>, out: &mut Vec<Effect>) {
        out.push(Effect::Status(gate.status.message(now.wall).frame()));
        self.next_status = Some(now.moment + gate.settings.status_interval);
    }

    /// For what comes next. What was put off since is found when it fires.
    pub(super) fn set_timer(&self, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        let silent = self.active + settings.inactivity_timeout;
        let next = self.next_status.into_iter().chain(self.next_due()).fold(self.next_ping.min(silent), Moment::min);
        out.push(Effect::Timer(Some(next.since(now.moment))));
    }

    fn on_news(&mut self, news: &News, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        if !self.subscriptions.hears(news.about) {
            return;
        }
        if news.about == About::Status {
            self.next_status = Some(now.moment + settings.status_interval);
            return out.push(Effect::Status(news.frame.clone()));
        }
        out.push(Effect::Share(news.frame.clone()));
        if news.is_last {
            self.subscriptions.ended(news.about);
            self.tune(out);
        }
    }

    /// Listens where there is something to be heard.
    pub(super) fn tune(&mut self, out: &mut Vec<Effect>) {
        let wants = self.subscriptions.has_tasks();
        if wants == self.is_listening {
            return;
        }
        self.is_listening = wants;
        let channel = Channel::of(&self.caller);
        out.push(if wants { Effect::Listen(channel) } else { Effect::Unlisten(channel) });
    }
}

fn exceeded(message: &str, echo: Option<Echo<'_>>, out: &mut Vec<Effect>) {
    let mut words = Vec::new();
    fault(Farewell::TooMuch.reason(), message, echo).append(&mut words);
    closed(words, Farewell::TooMuch, message, out);
}

/// `connection_closed`, behind these words, and the end.
fn closed(mut words: Vec<u8>, farewell: Farewell, message: &str, out: &mut Vec<Effect>) {
    Message::ConnectionClosed { reason: farewell.reason(), message }.append(&mut words);
    out.push(Effect::End(farewell, words));
}

pub(super) fn send(message: &Message<'_>, out: &mut Vec<Effect>) {
    let mut frame = Vec::new();
    message.append(&mut frame);
    out.push(Effect::Send(frame));
}

pub(super) fn error(code: &str, message: &str, echo: Option<Echo<'_>>, out: &mut Vec<Effect>) {
    send(&fault(code, message, echo), out);
}

fn fault<'a>(code: &'a str, message: &'a str, echo: Option<Echo<'a>>) -> Message<'a> {
    let (request_type, request_data) = echo.map_or((None, None), |echo| (Some(echo.r#type), echo.data));
    Message::Error { code, message, request_type, request_data }
}

#[cfg(test)]
mod tests;
