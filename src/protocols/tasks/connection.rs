//! One socket: who it is, what it may say, and what it hears of all that happens.

use super::{
    letters::{Channel, FromHome, News, ToExecution, ToTask, ToUser},
    model::Caller,
    settings::Settings,
    status::Status,
};
use crate::{
    models::Catalog,
    realtime::{ConnId, Frame, Now},
};
use std::time::Duration;
use uuid::Uuid;

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
    /// It is to be closed for a reason that is not its own: the server stops, or what came is no WebSocket message. It says so to the client
    /// and ends; not for a socket that cannot be written to.
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
    /// Send a Close and end the connection. [`Event::Gone`] is expected, and nothing else is sent.
    End(Farewell),
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
    /// A message over the limit: 1009.
    TooBig,
    /// Not WebSocket: 1002.
    Protocol,
    /// A text that is not UTF-8: 1007.
    NotUtf8,
    /// The server stops: 1012.
    Stopping,
}

/// The state machine of one connection.
#[derive(Debug)]
pub struct Connection {
    caller: Caller,
    client: Uuid,
}

impl Connection {
    /// One whose upgrade has just been answered; its token was good. `client` was never used. Its welcome comes when it is counted.
    pub fn new(caller: Caller, client: Uuid, conn: ConnId, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) -> Connection {
        let _ = (conn, now, gate, out);
        Connection { caller, client }
    }

    /// Takes what happened; pushes what is to be done.
    pub fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        let _ = (event, conn, now, gate, out, &self.caller, self.client);
    }
}
