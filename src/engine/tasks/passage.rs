//! A connection of tasks that passes to another process.

use super::super::{Connection, Engine, Phase};
use super::Seat;
use crate::{
    protocols::tasks::{self, ToUser},
    realtime::{ConnId, Moment, Now, table::Key},
};
use uuid::Uuid;

/// What is carried of it.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub(in crate::engine) struct Carriage {
    machine: tasks::Carriage,
    user: Option<Uuid>,
}

impl Carriage {
    /// As [`tasks::Carriage::letter`].
    pub(in crate::engine) fn letter(&self, conn: ConnId) -> ToUser {
        self.machine.letter(conn)
    }
}

impl Seat {
    pub(in crate::engine) fn carriage(&self, now: Moment) -> Option<Carriage> {
        Some(Carriage { machine: self.machine.carriage(now)?, user: self.user })
    }
}

impl Engine {
    /// One that another process had; `is_whole`: nothing was on its way to disk when that ended. The home of its user is told of it beside
    /// this. Whether it is to come again, since it cannot have heard all.
    pub(in crate::engine) fn readmit_to_tasks(
        &mut self,
        mut connection: Connection,
        carriage: Carriage,
        (is_whole, now): (bool, Now),
    ) -> (Key, bool) {
        let Carriage { machine, user } = carriage;
        let (channels, has_missed): (Vec<_>, _) = (machine.channels().collect(), machine.has_missed(is_whole));
        let machine = tasks::Connection::carried(machine, now.moment);
        connection.phase = Phase::Tasks(Box::new(Seat::new(machine, user)));
        let key = self.connections.insert(connection);
        self.tasks.sockets += 1;
        user.into_iter().for_each(|user| self.tasks.watchers.entry(user).or_default().push(key));
        channels.into_iter().for_each(|channel| self.hear_tasks(key, channel));
        (key, has_missed)
    }

    /// The sockets go to another process: tasks that run fail, and what waits, or is made from now on, waits for that.
    pub(in crate::engine) fn tasks_part(&mut self, now: Now) {
        self.with_tasks(now, |homes, out| homes.stop_among_others(now, out));
    }

    /// Whether nothing goes on with tasks that are at home here.
    pub(in crate::engine) fn tasks_rest(&self) -> bool {
        self.tasks.homes.is_at_rest()
    }
}
