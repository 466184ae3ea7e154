//! A connection of chat that passes to another process.

use super::super::{Connection, Engine, Phase};
use super::Seat;
use crate::{
    protocols::chat::{self, ToSession, UserId},
    realtime::{ConnId, Moment, Now, table::Key},
};

/// What is carried of it.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(in crate::engine) struct Carriage {
    machine: chat::Carriage,
    user: Option<UserId>,
    heard: u64,
}

impl Carriage {
    /// As [`chat::Carriage::letter`].
    pub(in crate::engine) fn letter(&self, conn: ConnId) -> Option<ToSession> {
        self.machine.letter(conn)
    }
}

impl Seat {
    /// Whether it can be carried now.
    pub(in crate::engine) fn is_light(&self) -> bool {
        self.machine.is_light()
    }

    pub(in crate::engine) fn carriage(&self, now: Moment) -> Option<Carriage> {
        Some(Carriage { machine: self.machine.carriage(now)?, user: self.user, heard: self.heard as u64 })
    }
}

impl Engine {
    /// One that another process had. The home of its session is told of it beside this.
    pub(in crate::engine) fn readmit_to_chat(&mut self, mut connection: Connection, carriage: Carriage, now: Now) -> Key {
        let Carriage { machine, user, heard } = carriage;
        let machine = chat::Connection::carried(machine, now.moment);
        connection.phase = Phase::Chat(Box::new(Seat { user, heard: heard as usize, ..Seat::new(machine) }));
        let key = self.connections.insert(connection);
        self.chat.sockets += 1;
        if let Some(user) = user {
            self.chat.watchers.entry(user).or_default().push(key);
            // Who may be there too often is there already.
            self.claim(key, &("chat", user));
        }
        key
    }

    /// The sockets go to another process: answers are broken off, and nothing is begun. Those of other nodes are told so.
    pub(in crate::engine) fn sessions_part(&mut self, now: Now) {
        match self.crossing.is_alone() {
            true => self.with_sessions(now, |homes, out| homes.part(now, out)),
            false => self.with_sessions(now, |homes, out| homes.stop(now, out)),
        }
    }

    /// Whether nothing goes on in sessions that are at home here.
    pub(in crate::engine) fn sessions_rest(&self) -> bool {
        self.chat.homes.is_at_rest()
    }
}
