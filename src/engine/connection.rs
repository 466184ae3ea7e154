//! One connection, from its first byte to the release of its socket.

use super::{
    Limits,
    admission::Admitting,
    chat,
    door::{Bound, Place, Rate, Waiting},
    labs::Seat,
    port::Listener,
    tasks,
};
use crate::{
    protocols::{presence, quiz},
    realtime::{outbox::Outbox, topics::Subscription, wheel::TimerId},
    websocket::session::Session,
};
use smallvec::SmallVec;
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// What was read and not yet understood: of a head, whose query may hold a token. `Debug` tells how much it is, and nothing of it.
#[derive(Default)]
pub(super) struct Unread(Vec<u8>);

impl From<&[u8]> for Unread {
    fn from(bytes: &[u8]) -> Unread {
        Unread(bytes.to_vec())
    }
}

impl Deref for Unread {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Unread {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// One whose first request is awaited, with what has come of it.
#[derive(Default)]
pub(super) struct Opening {
    pub(super) read: Unread,
    _waiting: Waiting,
}

impl Opening {
    pub(super) fn new(waiting: Waiting) -> Opening {
        Opening { read: Unread::default(), _waiting: waiting }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read.fmt(f)
    }
}

/// Where a connection stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its first bytes are not yet a whole HTTP head.
    Head(Opening),
    /// The echo of the test switch.
    Echo,
    /// Presence.
    Presence(presence::Connection),
    /// A participant of a quiz, until its home has admitted it.
    Admitting(Box<Admitting>),
    /// Quiz. Elsewhere, so that no other connection is larger for it.
    Quiz(Box<quiz::Connection>),
    /// Labs: an agent, or a viewer, whose upgrade may not be answered yet.
    Labs(Box<Seat>),
    /// Chat.
    Chat(Box<chat::Seat>),
    /// Tasks.
    Tasks(Box<tasks::Seat>),
    /// Its last bytes wait to be sent; FIN follows them, or the end when the peer is done too.
    Closing {
        /// Whether the peer will say no more (its Close or its FIN was read).
        peer_done: bool,
    },
    /// FIN was sent; the peer's is awaited.
    Lingering,
    /// The shell was asked to end it, or to give it away.
    Over,
}

/// One connection. Small: nothing in it has memory of its own while it is idle.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) outbox: Outbox,
    pub(super) phase: Phase,
    pub(super) session: Session,
    pub(super) timer: Option<TimerId>,
    pub(super) subscriptions: SmallVec<[Subscription; 2]>,
    pub(super) listener: Listener,
    /// What it is told as soon as its head is there, in place of what it asks for.
    pub(super) refused: Option<Bound>,
    pub(super) rate: Rate,
    /// Where it counts among those of its address, and of its user.
    pub(super) address: Option<Place>,
    pub(super) user: Option<Place>,
}

impl Connection {
    pub(super) fn new(listener: Listener, waiting: Waiting) -> Connection {
        Connection {
            outbox: Outbox::default(),
            phase: Phase::Head(Opening::new(waiting)),
            session: Session::default(),
            timer: None,
            subscriptions: SmallVec::new(),
            listener,
            refused: None,
            rate: Rate::default(),
            address: None,
            user: None,
        }
    }

    /// Whether its first request is awaited.
    pub(super) fn waits(&self) -> bool {
        matches!(self.phase, Phase::Head(..))
    }

    /// The machine of presence, if it has one.
    pub(super) fn presence_mut(&mut self) -> Option<&mut presence::Connection> {
        if let Phase::Presence(machine) = &mut self.phase { Some(machine) } else { None }
    }

    /// How many bytes may wait for it.
    pub(super) fn bound(&self, limits: &Limits) -> usize {
        match &self.phase {
            Phase::Quiz(machine) => match **machine {
                quiz::Connection::Owner(_) => limits.owner_outbox_bytes,
                quiz::Connection::Participant(_) => limits.outbox_bytes,
            },
            Phase::Labs(seat) => seat.bound,
            Phase::Chat(_) => limits.chat_outbox_bytes,
            Phase::Tasks(_) => limits.tasks_outbox_bytes,
            Phase::Head(..)
            | Phase::Echo
            | Phase::Presence(_)
            | Phase::Admitting(_)
            | Phase::Closing { .. }
            | Phase::Lingering
            | Phase::Over => limits.outbox_bytes,
        }
    }

    /// Whether frames may still be queued for it.
    pub(super) fn is_open(&self) -> bool {
        match self.phase {
            Phase::Head(..) | Phase::Echo | Phase::Presence(_) | Phase::Admitting(_) | Phase::Quiz(_) => true,
            Phase::Labs(_) | Phase::Chat(_) | Phase::Tasks(_) => true,
            Phase::Closing { .. } | Phase::Lingering | Phase::Over => false,
        }
    }

    /// Whether it is told what its home has for it alone: before it is signed in only a former home of its room has anything.
    pub(super) fn hears(&self) -> bool {
        match &self.phase {
            Phase::Presence(machine) => machine.is_live(),
            _ => self.is_open(),
        }
    }
}
