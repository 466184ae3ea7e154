//! What other services say to classrooms by the bus: the room's home is asked as by REST, and whoever took the message hears what became
//! of it.

use super::{Engine, Topic};
use crate::{
    protocols::presence::asks::{Ask, Publication, Reply},
    realtime::{ClassroomId, ConnId, Frame, Moment},
};
use std::collections::BTreeMap;

/// A message was published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// As it was handed in with.
    pub ticket: u64,
    /// The number that it went out with.
    pub sequence_id: i64,
    /// How many members it was sent to.
    pub members: u64,
}

/// Those that wait for their home, and those of which nobody was told yet.
#[derive(Default)]
pub(super) struct Outside {
    /// By the number of the ask.
    waiting: BTreeMap<u64, u64>,
    heard: Vec<Heard>,
}

impl Outside {
    /// Whether an ask is about such a message.
    pub(super) fn is_waiting(&self, number: u64) -> bool {
        self.waiting.contains_key(&number)
    }
}

impl Engine {
    /// A service says this to a classroom. Told of by [`Engine::heard_outside`].
    pub(super) fn outside_says(&mut self, ticket: u64, classroom: ClassroomId, event: Publication) {
        let number = self.ask(Ask::Publish { classroom, event });
        self.outside.waiting.insert(number, ticket);
    }

    /// Whether an answer was to such a message.
    pub(super) fn outside_hears(&mut self, number: u64, reply: &Reply) -> bool {
        let Some(ticket) = self.outside.waiting.remove(&number) else { return false };
        self.forget_ask(number);
        let (sequence_id, members) = match reply {
            Reply::Published { sequence_id, members } => (*sequence_id, *members),
            Reply::Members(_) | Reply::Counts(_) | Reply::Closed(_) | Reply::Late => (0, 0),
        };
        self.outside.heard.push(Heard { ticket, sequence_id, members });
        true
    }

    /// What was published since this was emptied.
    pub fn heard_outside(&mut self) -> &mut Vec<Heard> {
        &mut self.outside.heard
    }

    /// Publishes to all who listen to a topic here but one.
    pub(super) fn publish_but(&mut self, conn: ConnId, (topic, frame): (Topic, &Frame), members: u32, since: Moment) {
        let key = self.key(conn);
        // What comes before the frame is the listener's still; the frame is then passed over.
        let index = self.topics.index(&topic);
        let connection = self.connections.at(key);
        let own = connection.and_then(|own| own.subscriptions.iter().find(|own| Some(own.topic) == index).copied());
        if let Some((segment, frames)) = own.and_then(|own| self.topics.take(own)) {
            self.send(key, segment, frames);
        }
        let listeners = self.topics.listeners(&topic) as u64 - u64::from(own.is_some());
        self.counters.offered.add(listeners);
        self.counters.dropped_absent.add(u64::from(members).saturating_sub(listeners));
        let is_long = self.topics.publish(&topic, frame, since);
        own.and_then(|own| self.topics.take(own));
        if is_long {
            self.flush_topics();
        }
    }
}
