//! What of a connection another process must know to go on with it. There it joins its session again, as when that has moved to another
//! home: with how far it has heard, and what it has said in vain so far.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{
    connection::{Connection, Member, Spoken, State, Wish},
    letters::{Heard, ToSession},
    model::SessionId,
};
use crate::realtime::{ConnId, Moment};
use std::time::Duration;

/// So many bytes of what it has said, and nobody has begun to answer, are carried. Who has said more is closed, and comes again.
const CARRIED_BYTES: usize = 16 * 1024;

/// See the file.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Carriage {
    named: Option<SessionId>,
    stage: Carried,
    waiting: Vec<Wish>,
    said: Vec<Spoken>,
    /// So many microseconds ago it was sent a Ping that it has not answered.
    pinged: Option<u64>,
}

/// Where it stands.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
enum Carried {
    /// Its token has not come.
    Stranger,
    /// Its session was asked, and has not answered.
    Joining(Member),
    /// It has heard so much.
    Joined(Member, Heard),
}

impl Carriage {
    /// What the home of its session must hear before anybody else does.
    pub fn letter(&self, conn: ConnId) -> Option<ToSession> {
        let (member, heard) = match &self.stage {
            Carried::Stranger => return None,
            Carried::Joining(member) => (member, None),
            Carried::Joined(member, heard) => (member, Some(*heard)),
        };
        Some(ToSession::Join { conn, session: member.session, caller: member.caller.clone(), heard })
    }
}

impl Connection {
    /// Whether what it has said is little enough to be carried.
    pub fn is_light(&self) -> bool {
        let said = self.said.iter().map(Spoken::bytes);
        self.waiting.iter().map(Wish::bytes).chain(said).sum::<usize>() <= CARRIED_BYTES
    }

    /// What another process goes on with. None: it is over, or has said too much.
    pub fn carriage(&self, now: Moment) -> Option<Carriage> {
        let stage = match &self.state {
            State::Stranger => Carried::Stranger,
            State::Joining(member) => Carried::Joining(member.clone()),
            State::Joined(member) => Carried::Joined(member.clone(), self.heard),
            State::Ending { .. } | State::Over => return None,
        };
        let ago = |since| u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
        self.is_light().then(|| Carriage {
            named: self.named,
            stage,
            waiting: self.waiting.iter().cloned().collect(),
            said: self.said.iter().cloned().collect(),
            pinged: self.pinged.map(ago),
        })
    }

    /// Goes on where another process stopped; the home of its session is told [`Carriage::letter`].
    pub fn carried(carriage: Carriage, now: Moment) -> Connection {
        let Carriage { named, stage, waiting, said, pinged } = carriage;
        let (state, heard, is_moving) = match stage {
            Carried::Stranger => (State::Stranger, Heard::default(), false),
            Carried::Joining(member) => (State::Joining(member), Heard::default(), false),
            Carried::Joined(member, heard) => (State::Joined(member), heard, true),
        };
        Connection {
            named,
            state,
            waiting: waiting.into(),
            is_counting: false,
            pinged: pinged.map(|ago| now - Duration::from_micros(ago)),
            said: said.into(),
            heard,
            is_moving,
        }
    }
}
