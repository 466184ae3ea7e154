//! What the rules of the door mean for a connection: who is turned away before he has said anything, at his request, and while he speaks.

use super::{
    Connection, Engine, Phase,
    door::{Address, Bound, Counted, Place, TOLD, Verdict},
};
use crate::{
    protocols::tasks,
    realtime::{Now, table::Key},
    websocket::{
        CloseReason,
        upgrade::{self, Body},
    },
};
use std::hash::Hash;

impl Engine {
    /// One more from an address: where it counts, and what it is to be told in place of an answer. `None`: it is closed without a word.
    pub(super) fn look_at(&mut self, from: Address, now: Now) -> Option<(Option<Place>, Option<Bound>)> {
        let door = &self.limits.door;
        if !door.counts(from) {
            return Some((None, None));
        }
        let (counted, total) = door.addresses.come(&from, TOLD);
        let Counted::In(place) = counted else {
            self.counters.bounded(Bound::AddressConnections);
            return None;
        };
        if total > door.addresses.limit() {
            self.counters.bounded(Bound::AddressConnections);
            return Some((place, Some(Bound::AddressConnections)));
        }
        let verdict = door.pace.map_or(Verdict::In, |rule| self.paces.come(from, rule, now.moment));
        if verdict != Verdict::In {
            self.counters.bounded(Bound::AddressPace);
        }
        match verdict {
            Verdict::In => Some((place, None)),
            Verdict::Told => Some((place, Some(Bound::AddressPace))),
            Verdict::Shut => {
                place.into_iter().for_each(|place| door.addresses.go(place));
                None
            }
        }
    }

    /// One more has come whose request is awaited: where there are too many such, the oldest go.
    pub(super) fn thin_out(&mut self, key: Key, now: Now) {
        let connections = &self.connections;
        self.line.come(key, now.moment, |key| connections.at(key).is_some_and(Connection::waits));
        while let Some(oldest) = self.oldest_surplus(now) {
            self.counters.bounded(Bound::Handshakes);
            self.cut(oldest, now);
        }
    }

    fn oldest_surplus(&mut self, now: Now) -> Option<Key> {
        let Engine { line, connections, limits, .. } = self;
        line.surplus(limits.door.handshakes, now.moment, |key| connections.at(key).is_some_and(Connection::waits))
    }

    /// Answers a request with a refusal, and ends the connection.
    pub(super) fn turn_away(&mut self, key: Key, (status, bound): (u16, Bound), now: Now) {
        // The address was counted when it came.
        if bound == Bound::Origin {
            self.counters.bounded(bound);
        }
        let mut answer = Vec::new();
        upgrade::refuse(status, Body::Text(bound.text()), &mut answer);
        self.send_wire(key, answer);
        self.part(key, false, now);
    }

    /// Counts a connection among those of its user. False: there are as many as one may have.
    pub(super) fn claim(&mut self, key: Key, user: &impl Hash) -> bool {
        let Some(connection) = self.connections.at_mut(key) else { return true };
        if connection.user.is_some() {
            return true;
        }
        match self.limits.door.users.come(user, 0).0 {
            Counted::In(place) => {
                connection.user = place;
                true
            }
            Counted::Full => {
                self.counters.bounded(Bound::UserConnections);
                false
            }
        }
    }

    /// Lets a connection's bytes be read, and ends it when there were too many messages in them.
    pub(super) fn at_a_pace(&mut self, key: Key, now: Now, read: impl FnOnce(&mut Engine)) {
        let before = self.counters.messages.read();
        read(self);
        let Some(most) = self.limits.door.messages_a_second else { return };
        let messages = self.counters.messages.read() - before;
        let Some(connection) = self.connections.at_mut(key) else { return };
        if connection.rate.add(messages, most, now.moment) || !connection.is_open() {
            return;
        }
        self.counters.bounded(Bound::Messages);
        match connection.phase {
            Phase::Tasks(_) => self.tasks_event(key, tasks::Event::Close(tasks::Farewell::TooMuch), now),
            Phase::Presence(_) | Phase::Quiz(_) | Phase::Chat(_) => self.close_for(key, CloseReason::Policy, now),
            Phase::Head(..) | Phase::Admitting(_) | Phase::Echo | Phase::Labs(_) => {}
            Phase::Closing { .. } | Phase::Lingering | Phase::Over => {}
        }
    }

    /// Ends a WebSocket by a Close of ours.
    pub(super) fn close_for(&mut self, key: Key, reason: CloseReason, now: Now) {
        self.unlisten(key);
        self.send_close(key, reason);
        self.part(key, false, now);
    }
}
