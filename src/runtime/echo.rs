//! An engine for the shell's own tests: it sends back what it receives, and has a few commands for the rest of what the shell can do.

use super::shard::{Control, Shard};
use crate::{
    engine::{Handoff, Listener, Output, Segment, Send},
    realtime::{ConnId, Moment, Now, ShardId},
};
use std::{rc::Rc, sync::mpsc::Sender};

/// What the tests ask of a shard from outside.
#[derive(Debug)]
pub(super) enum Ask {
    /// Throw a ball to the other shard and back so many times, then tell how long each round took.
    PingPong { rounds: u32, done: Sender<Vec<std::time::Duration>> },
    /// How many slots are in use.
    Slots(Sender<usize>),
}

#[derive(Debug)]
pub(super) enum Ball {
    To,
    Back,
}

#[derive(Default)]
struct Slot {
    used: bool,
    generation: u16,
    waiting: Vec<u8>,
    sending: bool,
    ended: bool,
    first: bool,
}

/// Commands, as the first bytes of a connection: `GET` hands it off; `BYE` half-closes after it was echoed. `QUIT` closes.
#[derive(Default)]
pub(super) struct Echo {
    shard: u16,
    slots: Vec<Slot>,
    free: Vec<u32>,
    dirty: Vec<u32>,
    half_closes: Vec<ConnId>,
    closes: Vec<ConnId>,
    handoffs: Vec<Handoff>,
    letters: Vec<(ShardId, Ball)>,
    game: Option<(u32, Sender<Vec<std::time::Duration>>, Moment, Vec<std::time::Duration>)>,
    /// Where each hand-off's listener is kept.
    listeners: Vec<Listener>,
}

impl Echo {
    pub(super) fn new(shard: ShardId) -> Echo {
        Echo { shard: shard.0, ..Echo::default() }
    }

    fn conn(&self, slot: u32) -> ConnId {
        ConnId { shard: ShardId(self.shard), generation: self.slots[slot as usize].generation, slot }
    }

    fn slot(&mut self, conn: ConnId) -> &mut Slot {
        let slot = &mut self.slots[conn.index()];
        assert!(slot.used && slot.generation == conn.generation, "the shell spoke of a connection that is gone");
        slot
    }

    fn other(&self) -> ShardId {
        ShardId(1 - self.shard)
    }
}

impl Shard for Echo {
    type Letter = Ball;
    type Answer = Ask;

    fn accepted(&mut self, listener: Listener, _: Now) -> Option<ConnId> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.listeners.push(listener);
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        *place = Slot { used: true, generation: place.generation, first: true, ..Slot::default() };
        self.listeners[slot as usize] = listener;
        Some(self.conn(slot))
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8], _: Now) {
        let listener = self.listeners[conn.index()];
        let slot = self.slot(conn);
        assert!(!slot.ended, "bytes after the end");
        if std::mem::take(&mut slot.first) && bytes.starts_with(b"GET") {
            return self.handoffs.push(Handoff { conn, listener, head: bytes.to_vec() });
        }
        slot.waiting.extend_from_slice(bytes);
        if bytes.ends_with(b"QUIT") {
            return self.closes.push(conn);
        }
        if bytes.ends_with(b"BYE") {
            self.half_closes.push(conn);
        }
        self.dirty.push(conn.slot);
    }

    fn ended(&mut self, conn: ConnId, _: Now) {
        let slot = self.slot(conn);
        assert!(!std::mem::replace(&mut slot.ended, true), "ended twice");
        if slot.waiting.is_empty() && !slot.sending {
            self.closes.push(conn);
        }
    }

    fn sent(&mut self, conn: ConnId, ok: bool, _: Now) {
        let slot = self.slot(conn);
        assert!(std::mem::replace(&mut slot.sending, false), "sent without a send");
        if !ok || (slot.ended && slot.waiting.is_empty()) {
            self.closes.push(conn);
        } else {
            self.dirty.push(conn.slot);
        }
    }

    fn released(&mut self, conn: ConnId) {
        let slot = self.slot(conn);
        slot.used = false;
        slot.generation = slot.generation.wrapping_add(1);
        slot.waiting = Vec::new();
        self.free.push(conn.slot);
    }

    fn letter(&mut self, from: ShardId, letter: Ball, now: Now) {
        match letter {
            Ball::To => self.letters.push((from, Ball::Back)),
            Ball::Back => {
                let Some((left, done, since, mut took)) = self.game.take() else { return };
                took.push(now.moment.since(since));
                if left == 0 {
                    return drop(done.send(took));
                }
                self.game = Some((left - 1, done, now.moment, took));
                self.letters.push((from, Ball::To));
            }
        }
    }

    fn answer(&mut self, answer: Ask, now: Now) {
        match answer {
            Ask::PingPong { rounds, done } => {
                self.game = Some((rounds, done, now.moment, Vec::new()));
                self.letters.push((self.other(), Ball::To));
            }
            Ask::Slots(tell) => drop(tell.send(self.slots.iter().filter(|slot| slot.used).count())),
        }
    }

    fn control(&mut self, control: Control, _: Now) {
        if control == Control::Close {
            let used = (0..self.slots.len() as u32).filter(|&slot| self.slots[slot as usize].used);
            let conns: Vec<_> = used.map(|slot| self.conn(slot)).collect();
            self.closes.extend(conns);
        }
    }

    fn tick(&mut self, _: Now) {}

    fn next_deadline(&self) -> Option<Moment> {
        None
    }

    fn finish(&mut self, _: Now, out: &mut Output) {
        for place in std::mem::take(&mut self.dirty) {
            let conn = self.conn(place);
            let slot = &mut self.slots[place as usize];
            if slot.used && !slot.sending && !slot.waiting.is_empty() {
                slot.sending = true;
                let batch = Rc::new(std::mem::take(&mut slot.waiting));
                let range = 0..batch.len() as u32;
                out.sends.push(Send { conn, segment: Segment { batch, range } });
            }
        }
        out.half_closes.append(&mut self.half_closes);
        out.closes.append(&mut self.closes);
        out.handoffs.append(&mut self.handoffs);
    }

    fn letters(&mut self) -> &mut Vec<(ShardId, Ball)> {
        &mut self.letters
    }
}
