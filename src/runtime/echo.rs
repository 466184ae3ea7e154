//! An engine for the shell's own tests: it sends back what it receives, and has a few commands for the rest of what the shell can do.

use super::{
    Place, Plan, Porch, RingSizes,
    shard::{Control, Shard},
};
use crate::{
    config::Bind,
    engine::{Handoff, Listener, Output, Segment, Send, door::Address},
    realtime::{ConnId, HashRing, Moment, NodeSlot, Now, ShardId},
};
use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
    time::Duration,
};

/// What the tests ask of a shard from outside.
#[derive(Debug)]
pub(super) enum Ask {
    /// Throw a ball to the other shard and back so many times, then tell how long each round took.
    PingPong { rounds: u32, done: Sender<Vec<Duration>> },
    /// Send so many letters to the other shard at once, which counts them and tells when it has them all.
    Flood { letters: u32, done: Sender<u32> },
    /// How many slots are in use.
    Slots(Sender<usize>),
    /// How many bytes were received so far.
    Received(Sender<usize>),
    /// Let all who are on hold be heard, or no longer, so many times in turn; in the end they are heard.
    Waver(u32),
    /// Say something to all who are on hold.
    Speak,
    /// Close all who are on hold.
    Dismiss,
    /// Say when the next connection is about to be handed off; when that is allowed, do it, and speak to all who are on hold.
    Dawdle(Sender<()>, Receiver<()>),
}

#[derive(Debug)]
pub(super) enum Ball {
    To,
    Back,
    /// One of a flood: its number, and in the last one to whom to tell.
    Drop(u32, Option<Sender<u32>>),
}

/// A game of ping-pong that is going on.
struct Game {
    left: u32,
    done: Sender<Vec<Duration>>,
    since: Moment,
    took: Vec<Duration>,
}

#[derive(Default)]
struct Slot {
    used: bool,
    generation: u16,
    waiting: Vec<u8>,
    sending: bool,
    ended: bool,
    first: bool,
    publisher: bool,
    handed: bool,
    tail: Vec<u8>,
    half_close: bool,
    parts: bool,
}

/// Commands: a connection that begins with `GET` is handed off, one that begins with `PUB` publishes as `perf/bare` tells; bytes
/// that end with `BYE` are echoed and followed by FIN, with `QUIT` the connection is closed, with `HOLD` it is heard no more for a while,
/// with `BULK` it is heard in large pieces and answered in many that lie in different places, with `PANIC` the shard panics.
#[derive(Default)]
pub(super) struct Echo {
    shard: u16,
    slots: Vec<Slot>,
    free: Vec<u32>,
    dirty: Vec<u32>,
    closes: Vec<ConnId>,
    handoffs: Vec<Handoff>,
    letters: Vec<(ShardId, Ball)>,
    game: Option<Game>,
    drops: u32,
    published: Vec<Send>,
    received: usize,
    held: Vec<ConnId>,
    /// How often what is wished of them is to change still, each in a turn of its own.
    wavers: u32,
    pauses: Vec<ConnId>,
    resumes: Vec<ConnId>,
    bulk: Vec<ConnId>,
    dawdle: Option<(Sender<()>, Receiver<()>)>,
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

    /// One batch, built once and shared by all who are not busy with the one before.
    pub(super) fn publish(&mut self, bytes: &[u8]) {
        let Some(frames) = bytes.first_chunk().copied().map(u32::from_le_bytes) else { return };
        let batch = Rc::new(vec![b'x'; 260 * frames as usize]);
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if !slot.used || slot.publisher {
                continue;
            }
            if slot.sending {
                slot.waiting.extend_from_slice(&batch);
                continue;
            }
            slot.sending = true;
            let conn = ConnId { shard: ShardId(self.shard), generation: slot.generation, slot: place as u32 };
            self.published.push(Send {
                conn,
                segment: Segment { batch: batch.clone(), range: 0..batch.len() as u32 },
                more: Vec::new(),
                is_last: false,
            });
        }
    }

    fn speak(&mut self) {
        for conn in self.held.clone() {
            self.slot(conn).waiting.push(b'!');
            self.dirty.push(conn.slot);
        }
    }

    fn other(&self) -> ShardId {
        ShardId(1 - self.shard)
    }
}

impl Shard for Echo {
    type Letter = Ball;
    type Loss = ();
    type Answer = Ask;

    fn accepted(&mut self, listener: Listener, _: Address, _: Now) -> Option<ConnId> {
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
        self.received += bytes.len();
        let slot = self.slot(conn);
        assert!(!slot.ended, "bytes after the end");
        if slot.handed {
            // Decided in this very turn: what comes behind belongs to the head.
            let handoff = self.handoffs.iter_mut().find(|handoff| handoff.conn == conn);
            return handoff.expect("not yet taken by the shell").head.extend_from_slice(bytes);
        }
        if std::mem::take(&mut slot.first) && bytes.starts_with(b"GET") {
            slot.handed = true;
            return self.handoffs.push(Handoff { conn, listener, head: bytes.to_vec(), refused: None });
        }
        slot.publisher |= bytes.starts_with(b"PUB");
        if slot.publisher {
            return self.publish(bytes.strip_prefix(b"PUB").unwrap_or(bytes));
        }
        slot.waiting.extend_from_slice(bytes);
        // A command may come in pieces.
        slot.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(5)..]);
        slot.tail.drain(..slot.tail.len().saturating_sub(5));
        let (leave, half) = (slot.tail.ends_with(b"QUIT"), slot.tail.ends_with(b"BYE"));
        assert!(!slot.tail.ends_with(b"PANIC"), "asked to panic");
        if leave {
            return self.closes.push(conn);
        }
        slot.half_close = half;
        let (hold, bulk) = (slot.tail.ends_with(b"HOLD"), slot.tail.ends_with(b"BULK"));
        slot.parts |= bulk;
        if bulk {
            self.bulk.push(conn);
        }
        if hold {
            self.held.push(conn);
            self.pauses.push(conn);
        }
        self.dirty.push(conn.slot);
    }

    fn ended(&mut self, conn: ConnId, _: Now) {
        let slot = self.slot(conn);
        assert!(!std::mem::replace(&mut slot.ended, true), "ended twice");
        if slot.waiting.is_empty() && !slot.sending && !slot.handed {
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
        self.held.retain(|own| *own != conn);
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
                let Some(mut game) = self.game.take() else { return };
                game.took.push(now.moment.since(game.since));
                if game.left == 0 {
                    let _ = game.done.send(game.took);
                    return;
                }
                self.game = Some(Game { left: game.left - 1, since: now.moment, ..game });
                self.letters.push((from, Ball::To));
            }
            Ball::Drop(number, last) => {
                assert_eq!(number, self.drops, "every letter once and in order");
                self.drops += 1;
                if let Some(tell) = last {
                    let _ = tell.send(self.drops);
                }
            }
        }
    }

    fn view(&mut self, _: Arc<HashRing>, _: Now) {}

    fn mourn(&mut self, _: (NodeSlot, u64), (): ()) {}

    fn estranged(&mut self, _: NodeSlot, _: Now) {}

    fn answer(&mut self, answer: Ask, now: Now) {
        match answer {
            Ask::PingPong { rounds, done } => {
                self.game = Some(Game { left: rounds, done, since: now.moment, took: Vec::new() });
                self.letters.push((self.other(), Ball::To));
            }
            Ask::Flood { letters, done } => {
                let drops = (0..letters).map(|number| Ball::Drop(number, (number + 1 == letters).then(|| done.clone())));
                let other = self.other();
                self.letters.extend(drops.map(|ball| (other, ball)));
            }
            Ask::Received(tell) => {
                let _ = tell.send(self.received);
            }
            Ask::Waver(times) => self.wavers = times,
            Ask::Speak => self.speak(),
            Ask::Dawdle(tell, go_on) => self.dawdle = Some((tell, go_on)),
            Ask::Dismiss => self.closes.append(&mut self.held),
            Ask::Slots(tell) => {
                let _ = tell.send(self.slots.iter().filter(|slot| slot.used).count());
            }
        }
    }

    fn control(&mut self, control: Control, _: Now) {
        if control == Control::Close {
            let used = (0..self.slots.len() as u32).filter(|&slot| self.slots[slot as usize].used);
            let conns: Vec<_> = used.map(|slot| self.conn(slot)).collect();
            self.closes.extend(conns);
        }
    }

    fn tick(&mut self, _: Now) {
        let Some(left) = self.wavers.checked_sub(1) else { return };
        self.wavers = left;
        if left.is_multiple_of(2) {
            self.resumes.extend_from_slice(&self.held);
        } else {
            self.pauses.extend_from_slice(&self.held);
        }
        if left == 0 {
            self.held.clear();
        }
    }

    fn next_deadline(&self) -> Option<Moment> {
        (self.wavers > 0).then(Moment::default)
    }

    fn finish(&mut self, _: Now, out: &mut Output) {
        if !self.handoffs.is_empty()
            && let Some((tell, go_on)) = self.dawdle.take()
        {
            let _ = tell.send(());
            let _ = go_on.recv();
            self.speak();
        }
        out.sends.append(&mut self.published);
        for place in self.dirty.split_off(0) {
            let conn = self.conn(place);
            let slot = &mut self.slots[place as usize];
            if slot.used && !slot.sending && !slot.waiting.is_empty() {
                slot.sending = true;
                let bytes = std::mem::take(&mut slot.waiting);
                let part = if slot.parts { bytes.len().div_ceil(60) } else { bytes.len() };
                let mut segments = bytes.chunks(part).filter_map(|part| Segment::whole(part.to_vec()));
                let segment = segments.next().expect("something waits");
                out.sends.push(Send { conn, segment, more: segments.collect(), is_last: slot.half_close });
                if std::mem::take(&mut slot.half_close) {
                    out.half_closes.push(conn);
                }
            }
        }
        out.pauses.append(&mut self.pauses);
        out.resumes.append(&mut self.resumes);
        out.bulk.append(&mut self.bulk);
        out.closes.append(&mut self.closes);
        out.handoffs.append(&mut self.handoffs);
    }

    fn letters(&mut self) -> &mut Vec<(ShardId, Ball)> {
        &mut self.letters
    }
}

/// At any port, with nothing before it.
pub(super) fn plan(shards: u16) -> Plan {
    plan_at("127.0.0.1:0".parse().unwrap(), shards)
}

/// At this address.
pub(super) fn plan_at(address: SocketAddr, shards: u16) -> Plan {
    let place = Place { bind: Bind::Address(address), porch: Porch::default() };
    Plan { shards, listeners: vec![place], ring: RingSizes::default(), node: None }
}
