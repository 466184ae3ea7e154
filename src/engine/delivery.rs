//! From a frame to the sockets: outboxes, topics, notices, and those who do not read.

use super::{Connection, Ending, Engine, Phase, Send, Topic, thinning};
use crate::{
    protocols::{
        presence::{Notice, SessionError},
        tasks,
    },
    realtime::{
        ConnId, Frame, Now,
        outbox::{Pushed, Segment},
        table::Key,
        topics::Subscription,
    },
    websocket::{close::CloseReason, frame},
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::{mem, ops::Range, rc::Rc};

/// What one send to a connection of labs gathers at most. So many bytes that the kernel has enough to do, and so few that those who give
/// credit for what has left give it often.
const GATHERED_SEGMENTS: usize = 64;
const GATHERED_BYTES: usize = 512 << 10;

/// The bytes of every notice, made once.
pub(super) struct Notices {
    bytes: Rc<Vec<u8>>,
    ranges: Vec<Range<u32>>,
}

impl Notices {
    pub(super) fn new() -> Notices {
        let mut bytes = Vec::new();
        let mut ranges = Vec::new();
        for notice in Notice::all() {
            debug_assert_eq!(notice.index(), ranges.len());
            let start = bytes.len() as u32;
            notice.write(&mut bytes);
            ranges.push(start..bytes.len() as u32);
        }
        Notices { bytes: Rc::new(bytes), ranges }
    }

    fn segment(&self, notice: Notice) -> Segment {
        Segment { batch: self.bytes.clone(), range: self.ranges[notice.index()].clone() }
    }
}

/// By slot: the newest states that wait until the send in flight has left, one for each topic.
pub(super) type Owed = HashMap<u32, SmallVec<[(Topic, Segment); 2]>, FixedState>;

impl Engine {
    /// Queues bytes for one connection, whole frames, behind all it was sent before.
    pub(super) fn send(&mut self, key: Key, segment: Segment, deliveries: u32) {
        let bound = self.connections.at(key).map_or(0, |connection| connection.bound(&self.limits));
        self.send_within(key, segment, deliveries, bound);
    }

    fn send_within(&mut self, key: Key, segment: Segment, deliveries: u32, bound: usize) {
        let Some(connection) = self.connections.at_mut(key).filter(|connection| connection.is_open()) else { return };
        match connection.outbox.push(segment, deliveries, bound) {
            Pushed::Ready => self.ready.push(key),
            Pushed::Queued => {}
            Pushed::Full => {
                self.counters.dropped_slow.add(u64::from(deliveries));
                self.overflowed.push(key);
            }
        }
    }

    /// Queues a notice.
    pub(super) fn notify(&mut self, key: Key, notice: Notice) {
        self.send(key, self.notices.segment(notice), 0);
    }

    /// Queues the last words of a connection, however much waits before them: nobody who reads to the end is left without his Close. One
    /// that missed a frame in this turn hears nothing else: there would be a gap.
    pub(super) fn send_last(&mut self, key: Key, segment: Segment) {
        if self.overflowed.contains(&key) {
            self.discard(key);
        }
        self.send_within(key, segment, 0, usize::MAX);
    }

    /// Queues the error that ends a session, and its Close.
    pub(super) fn notify_failure(&mut self, key: Key, error: SessionError) {
        self.send_last(key, self.notices.segment(Notice::Failed(error)));
    }

    /// Queues a Close frame of ours.
    pub(super) fn send_close(&mut self, key: Key, reason: CloseReason) {
        let mut bytes = Vec::new();
        self.counters.ended(Ending::Code(reason.code()));
        let hint = matches!(reason, CloseReason::Restart).then(|| thinning::reason(thinning::pause(&self.jitter, key)));
        frame::close(&mut bytes, Some(reason.code()), hint.as_deref().unwrap_or_default());
        if let Some(segment) = Segment::whole(bytes) {
            self.send_last(key, segment);
        }
    }

    /// Delivers a frame to one connection, behind what was published before it.
    pub(super) fn deliver_one(&mut self, conn: ConnId, frame: &Frame) {
        let key = self.key(conn);
        self.counters.offered.one();
        if !self.connections.at(key).is_some_and(Connection::hears) {
            return self.counters.dropped_gone.one();
        }
        self.hear_topics(key);
        if let Some(segment) = Segment::whole(frame.to_vec()) {
            self.send(key, segment, 1);
        }
    }

    /// Queues what this turn held for a connection so far.
    pub(super) fn hear_topics(&mut self, key: Key) {
        let subscriptions = self.connections.at(key).map(|connection| connection.subscriptions.clone());
        for subscription in subscriptions.into_iter().flatten() {
            if let Some((segment, frames)) = self.topics.take(subscription) {
                self.send(key, segment, frames);
            }
        }
    }

    /// As [`Engine::deliver_one`], to one who still listens to the topic. Another has taken that back, and gets nothing of it any more.
    pub(super) fn show(&mut self, conn: ConnId, topic: Topic, frame: &Frame) {
        let index = self.topics.index(&topic);
        let subscriptions = self.connections.at(self.key(conn)).map_or(&[][..], |connection| &connection.subscriptions);
        if subscriptions.iter().any(|own| Some(own.topic) == index) {
            self.supersede(self.key(conn), topic);
            self.deliver_one(conn, frame);
        }
    }

    /// Publishes a state, of which only the newest counts. Who has a send in flight gets it behind that send, and of several the last: a
    /// slow reader hears less often, and is not cut off for it.
    pub(super) fn publish_state(&mut self, topic: Topic, frame: &Frame) {
        let Some(segment) = Segment::whole(frame.to_vec()) else { return };
        for slot in self.topics.slots(&topic) {
            let Some((key, connection)) = self.connections.in_slot_mut(slot) else { continue };
            if connection.outbox.is_empty() {
                self.send(key, segment.clone(), 1);
            } else {
                self.supersede(key, topic);
                self.owed.entry(slot).or_default().push((topic, segment.clone()));
            }
        }
    }

    /// As [`Engine::publish_state`], for one connection. For one that keeps up it stands in its place among all that it is sent.
    pub(super) fn send_state(&mut self, key: Key, topic: Topic, segment: Segment) {
        let Some(connection) = self.connections.at(key) else { return };
        if connection.outbox.is_sending() {
            self.supersede(key, topic);
            self.owed.entry(key.slot).or_default().push((topic, segment));
        } else {
            self.send(key, segment, 1);
        }
    }

    /// A state that waits for this connection is not the newest any more, or not wanted.
    pub(super) fn supersede(&mut self, key: Key, topic: Topic) {
        let Some(owed) = self.owed.get_mut(&key.slot) else { return };
        let before = owed.len();
        owed.retain(|(own, _)| *own != topic);
        self.counters.superseded.add((before - owed.len()) as u64);
    }

    /// Lets a connection hear a topic.
    pub(super) fn listen(&mut self, key: Key, topic: Topic) {
        let Some(connection) = self.connections.at_mut(key) else { return };
        connection.subscriptions.push(self.topics.subscribe(topic, key.slot));
    }

    /// Ends all that a connection listens to; what this turn held for it counts as dropped.
    pub(super) fn unlisten(&mut self, key: Key) {
        let is_quiz = self.connections.at(key).is_some_and(|connection| matches!(connection.phase, Phase::Quiz(_)));
        if let Some(owed) = self.connections.at(key).and_then(|_| self.owed.remove(&key.slot)) {
            self.counters.dropped_gone.add(owed.len() as u64);
        }
        while let Some(subscription) = self.connections.at_mut(key).and_then(|connection| connection.subscriptions.pop()) {
            self.present.watching -= usize::from(is_quiz);
            if let Some((_, frames)) = self.topics.take(subscription) {
                self.counters.dropped_gone.add(u64::from(frames));
            }
            self.unsubscribe(subscription);
        }
    }

    /// Ends one of those, of a quiz. What this turn held of it is queued before, so that it stands before all that is said from now on.
    pub(super) fn unlisten_one(&mut self, key: Key, topic: Topic) {
        let Some(index) = self.topics.index(&topic) else { return };
        let Some(connection) = self.connections.at_mut(key) else { return };
        let Some(place) = connection.subscriptions.iter().position(|own| own.topic == index) else { return };
        let subscription = connection.subscriptions.swap_remove(place);
        self.present.watching -= 1;
        self.supersede(key, topic);
        if let Some((segment, frames)) = self.topics.take(subscription) {
            self.send(key, segment, frames);
        }
        self.unsubscribe(subscription);
    }

    fn unsubscribe(&mut self, subscription: Subscription) {
        let Some(moved) = self.topics.unsubscribe(subscription) else { return };
        let Some((_, moved)) = self.connections.in_slot_mut(moved) else { return };
        if let Some(own) = moved.subscriptions.iter_mut().find(|own| own.topic == subscription.topic) {
            own.position = subscription.position;
        }
    }

    /// Moves what was published in this turn into the outboxes.
    pub(super) fn flush_topics(&mut self) {
        let Engine { topics, connections, ready, overflowed, counters, limits, .. } = self;
        topics.flush(|slot, segment, frames| {
            let Some((key, connection)) = connections.in_slot_mut(slot) else { return };
            let bound = connection.bound(limits);
            match connection.outbox.push(segment, frames, bound) {
                Pushed::Ready => ready.push(key),
                Pushed::Queued => {}
                Pushed::Full => {
                    counters.dropped_slow.add(u64::from(frames));
                    overflowed.push(key);
                }
            }
        });
    }

    /// Empties topics and outboxes into the sends of this turn.
    pub(super) fn deliver(&mut self, now: Now) {
        loop {
            self.settle(now);
            self.flush_topics();
            if self.overflowed.is_empty() {
                break;
            }
            for key in mem::take(&mut self.overflowed) {
                self.cut_slow_reader(key, now);
            }
        }
        let mut ready = mem::take(&mut self.ready);
        for key in ready.drain(..) {
            let conn = self.conn_id(key);
            let Some(connection) = self.connections.at_mut(key) else { continue };
            if matches!(connection.phase, Phase::Over) {
                continue;
            }
            // Whose peer waits for nothing but the end. To others the words before it leave at once: the next who gets the same key may be
            // told as soon as they have.
            let is_last = matches!(connection.phase, Phase::Closing { peer_done: true });
            let mut more = Vec::new();
            let segment = match connection.phase {
                Phase::Labs(_) => connection.outbox.gather(GATHERED_SEGMENTS, GATHERED_BYTES, &mut more),
                Phase::Head(..)
                | Phase::Echo
                | Phase::Presence(_)
                | Phase::Admitting(_)
                | Phase::Quiz(_)
                | Phase::Chat(_)
                | Phase::Tasks(_)
                | Phase::Closing { .. }
                | Phase::Lingering
                | Phase::Over => connection.outbox.collect(),
            };
            self.output.sends.extend(segment.map(|segment| Send { conn, segment, more, is_last }));
        }
        self.ready = ready;
    }

    /// Sets the send in flight down as done; looks whether more waits.
    pub(super) fn account_sent(&mut self, key: Key, ok: bool) {
        let Some(connection) = self.connections.at_mut(key) else { return };
        let deliveries = u64::from(connection.outbox.sent());
        if ok {
            self.counters.delivered.add(deliveries);
            // Nothing is in flight, so that all fits.
            for (_, segment) in self.owed.remove(&key.slot).unwrap_or_default() {
                connection.outbox.push(segment, 1, usize::MAX);
            }
            if connection.outbox.is_ready() {
                self.ready.push(key);
            }
        } else {
            self.counters.dropped_gone.add(deliveries);
        }
    }

    /// One that does not read: what waits for it is dropped, it is told to come again later, and has the close time to take that.
    fn cut_slow_reader(&mut self, key: Key, now: Now) {
        if !self.connections.at(key).is_some_and(Connection::is_open) {
            return;
        }
        self.discard(key);
        self.counters.slow_readers.one();
        if matches!(self.connections.at(key).map(|connection| &connection.phase), Some(Phase::Tasks(_))) {
            return self.tasks_event(key, tasks::Event::Close(tasks::Farewell::Slow), now);
        }
        self.unlisten(key);
        self.send_close(key, CloseReason::TryLater);
        self.part(key, false, now);
    }

    /// Drops what waits for one that reads too slowly.
    fn discard(&mut self, key: Key) {
        let Some(connection) = self.connections.at_mut(key) else { return };
        let dropped = connection.outbox.discard();
        self.counters.dropped_slow.add(u64::from(dropped));
    }
}
