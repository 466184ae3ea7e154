//! One end of a link between two nodes: a bus that may lose, double and mix up messages becomes exactly once and in order, or both ends
//! are told that it broke.
//!
//! Pure: `send`, `receive`, `bus` and `tick` push what is to be done into a reused buffer of [`Effect`]s; [`Link::deadline`] says when to
//! tick.
//!
//! **Incarnations.** Each end has a number that only rises in the life of its node: with each break, and with each link that is made
//! again after it was forgotten ([`Links`](super::Links) deals them out). Every packet names its sender's number and the one that it
//! believes the receiver to have. A *pair* of numbers is agreed on when an end hears its own number from the other's newest; letters
//! travel under an agreed pair only, and whatever is labelled otherwise is not taken. Since neither number ever falls, an end is in a
//! pair once at most, and its streams begin at 1 there: so what was on its way when a pair ended can neither be taken for something newer
//! nor be told twice.
//!
//! **Breaks.** An end whose bound is exceeded takes a new number and says [`Effect::Broke`]; so does the other end when it hears of the
//! number. Letters on their way both ways are forgotten: each of them was handed on at the other end before that broke, or never will be.
//! What is sent after the break goes under the next pair, and is handed on after the other end's `Broke`.
//!
//! **Streams.** Packets are numbered; the receiver takes them in order alone, so it keeps nothing but the pieces of one large letter.
//! What has come is acknowledged by whatever goes back, at the latest [`Limits::acknowledge_after`]. A gap is asked for at once; after
//! silence one packet goes out as a question, and all the rest when it is answered. What is on its way at a time is bounded, so whoever
//! takes packets slowly from the bus slows its senders.

mod packet;
mod receiving;
mod sending;
#[cfg(test)]
mod tests;

pub use packet::{Header, Marks, Packet};

use super::Node;
use crate::realtime::Moment;
use bytes::Bytes;
use receiving::{Receiving, Taken};
use sending::Sending;
use std::{cmp::Ordering, time::Duration};

/// What a link wants done, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Put this on the bus, to the node that its header names. When that cannot be done now, leave it: it is sent again.
    Send(Packet),
    /// This is what the other end was given to [`Link::send`].
    Deliver {
        /// Who sent it.
        from: Node,
        /// What.
        body: Bytes,
    },
    /// What was on its way, in either direction, may be lost; what was sent and waited is. What is delivered after this, the other end
    /// sent after it had heard of the break itself.
    Broke {
        /// Between us and whom.
        peer: Node,
        /// For the log and the metrics.
        why: Why,
    },
}

/// Why a link broke.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// More waited for the other end than may.
    Full,
    /// A letter was larger than may be.
    TooLarge,
    /// The other end began anew.
    Reborn,
    /// The other end said what it cannot have meant.
    Nonsense,
    /// We were told to break it: [`Link::break_off`].
    Asked,
}

/// The bounds and times of a link. Sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// What may wait for the other end's acknowledgement, each packet counted with [`Limits::PACKET_COSTS`] beside its letters.
    pub held_bytes: usize,
    /// The largest body; a receiver keeps the pieces of one until it is whole.
    pub letter_bytes: usize,
    /// The largest body of one packet: less than the bus takes in one message. A larger one travels in pieces.
    pub piece_bytes: usize,
    /// What may be on its way unacknowledged.
    pub flight_bytes: usize,
    /// As many packets may be.
    pub flight_packets: usize,
    /// How long an acknowledgement waits for something to travel with. A quarter of the flight is acknowledged at once.
    pub acknowledge_after: Duration,
    /// A gap that stays is asked for again after this, and nobody introduces itself more often.
    pub ask_again_after: Duration,
    /// After so much silence the first packet is sent again; after each further silence the wait is doubled,
    pub resend_after: Duration,
    /// up to this.
    pub resend_after_at_most: Duration,
}

impl Limits {
    /// What a waiting packet costs beside its bytes.
    pub const PACKET_COSTS: usize = 64;
    /// For a bus in one data centre, whose messages may have 1 MiB.
    pub const DEFAULT: Limits = Limits {
        held_bytes: 64 << 20,
        letter_bytes: 32 << 20,
        piece_bytes: 512 << 10,
        flight_bytes: 4 << 20,
        flight_packets: 4096,
        acknowledge_after: Duration::from_millis(50),
        ask_again_after: Duration::from_millis(100),
        resend_after: Duration::from_millis(250),
        resend_after_at_most: Duration::from_secs(2),
    };
}

const _: () = {
    let limits = Limits::DEFAULT;
    assert!(limits.letter_bytes + limits.letter_bytes / limits.piece_bytes * Limits::PACKET_COSTS < limits.held_bytes);
    assert!(limits.piece_bytes * 4 <= limits.flight_bytes, "a quarter that is acknowledged at once is a packet at least");
    assert!(limits.flight_bytes < limits.held_bytes);
    assert!(limits.acknowledge_after.as_millis() * 2 < limits.resend_after.as_millis(), "who waits for company is not silent");
    assert!(limits.resend_after.as_millis() < limits.resend_after_at_most.as_millis());
};

/// What a link has done, for the metrics. All only rise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// Packets with letters that were put on the bus, resent ones among them.
    pub sent: u64,
    /// Those that went out not for the first time.
    pub resent: u64,
    /// Packets without letters that were put on the bus.
    pub bare: u64,
    /// Packets that were taken.
    pub taken: u64,
    /// Packets that had come before.
    pub doubled: u64,
    /// Packets before which something was missing.
    pub early: u64,
    /// Packets of a pair that is not ours.
    pub strange: u64,
    /// How often the link broke.
    pub broke: u64,
}

/// The bits of an end's number that count its breaks; above them is how many links its node had made.
const BREAKS: u64 = u32::MAX as u64;

/// One end of a link.
#[derive(Debug)]
pub struct Link {
    me: Node,
    peer: Node,
    limits: Limits,
    /// Our number.
    mine: u64,
    /// The other's newest number; 0: none has come.
    theirs: u64,
    /// Whether the other end has said that it knows our number.
    agreed: bool,
    /// Whether the bus is there.
    bus: bool,
    sending: Sending,
    receiving: Receiving,
    /// When we say again who we are, while nothing is agreed.
    greet_at: Moment,
    greet_wait: Duration,
    /// When we last said who we are.
    greeted: Option<Moment>,
    counted: Counted,
}

impl Link {
    /// An end that has said nothing yet; it introduces itself with the first tick. `made`: from 1, and greater than that of any link that
    /// this life of `me` had with this life of `peer` before.
    pub fn new(me: Node, peer: Node, made: u32, limits: Limits, now: Moment) -> Link {
        Link {
            me,
            peer,
            limits,
            mine: u64::from(made) << BREAKS.count_ones(),
            theirs: 0,
            agreed: false,
            bus: true,
            sending: Sending::new(limits),
            receiving: Receiving::new(limits),
            greet_at: now,
            greet_wait: limits.resend_after,
            greeted: None,
            counted: Counted::default(),
        }
    }

    /// The other end.
    pub fn peer(&self) -> Node {
        self.peer
    }

    /// Bytes that wait here: for acknowledgement, and of a letter that is not whole. Never more than `held_bytes` and `letter_bytes`
    /// allow.
    pub fn held_bytes(&self) -> usize {
        self.sending.held_bytes() + self.receiving.held_bytes()
    }

    /// What it has done so far.
    pub fn counted(&self) -> Counted {
        self.counted
    }

    /// Hands a body of letters to the other end. It must not be empty (an empty one is nothing), and must not share its memory with what
    /// stays alive otherwise: the bounds count its own bytes alone.
    pub fn send(&mut self, body: Bytes, now: Moment, out: &mut Vec<Effect>) {
        if body.len() > self.limits.letter_bytes {
            return self.break_up(Why::TooLarge, now, out);
        }
        if self.sending.push(body).is_err() {
            return self.break_up(Why::Full, now, out);
        }
        self.pump(now, out);
    }

    /// A packet came. One that is not from the other end to us is not taken.
    pub fn receive(&mut self, packet: Packet, now: Moment, out: &mut Vec<Effect>) {
        let Packet { header, body } = packet;
        if header.from != self.peer || header.to != self.me {
            self.counted.strange += 1;
            return;
        }
        match header.incarnation.cmp(&self.theirs) {
            Ordering::Less => {
                self.counted.strange += 1;
                return;
            }
            Ordering::Equal => {}
            Ordering::Greater => self.meet(header.incarnation, now, out),
        }
        if header.known != self.mine {
            self.counted.strange += 1;
            return self.introduce(now, out);
        }
        self.agreed = true;
        if self.hear(&header, body, now, out).is_err() {
            return self.break_up(Why::Nonsense, now, out);
        }
        self.pump(now, out);
        if header.marks.urgent || self.receiving.owes_now() {
            self.send_bare(Marks::default(), out);
        }
    }

    /// The bus is gone, or back. While it is gone nothing is put on it and no time runs; what is sent waits. When it is back, whatever
    /// was on its way is taken for lost.
    pub fn bus(&mut self, there: bool, now: Moment, out: &mut Vec<Effect>) {
        let is_back = there && !self.bus;
        self.bus = there;
        if is_back {
            self.greet_at = now;
            self.greet_wait = self.limits.resend_after;
            self.greeted = None;
            self.sending.doubt();
            self.pump(now, out);
            self.tick(now, out);
        }
    }

    /// Breaks the link: what came from the other end could not be read, for one.
    pub fn break_off(&mut self, now: Moment, out: &mut Vec<Effect>) {
        self.break_up(Why::Asked, now, out);
    }

    /// Does what is due by `now`.
    pub fn tick(&mut self, now: Moment, out: &mut Vec<Effect>) {
        if !self.bus {
            return;
        }
        if !self.agreed && self.greet_at <= now {
            self.greet_at = now + self.greet_wait;
            self.greet_wait = (self.greet_wait * 2).min(self.limits.resend_after_at_most);
            self.send_bare(Marks::default(), out);
        }
        if self.agreed && self.sending.is_silent(now) {
            self.sending.doubt_longer();
            self.pump(now, out);
        }
        if self.agreed && self.receiving.owed_at().is_some_and(|at| at <= now) {
            self.send_bare(Marks::default(), out);
        }
    }

    /// When [`Link::tick`] has something to do; none: not before something else happens.
    pub fn deadline(&self) -> Option<Moment> {
        if !self.bus {
            return None;
        }
        if !self.agreed {
            return Some(self.greet_at);
        }
        [self.sending.silent_at(), self.receiving.owed_at()].into_iter().flatten().min()
    }

    /// The other end has a number that we did not know.
    fn meet(&mut self, number: u64, now: Moment, out: &mut Vec<Effect>) {
        let broke_before = self.theirs != 0 || number & BREAKS != 0;
        self.theirs = number;
        if broke_before {
            self.forget(Why::Reborn, out);
        }
        self.begin_to_greet(now);
    }

    fn break_up(&mut self, why: Why, now: Moment, out: &mut Vec<Effect>) {
        self.mine += 1;
        self.forget(why, out);
        self.begin_to_greet(now);
        self.introduce(now, out);
    }

    fn forget(&mut self, why: Why, out: &mut Vec<Effect>) {
        self.sending = Sending::new(self.limits);
        self.receiving = Receiving::new(self.limits);
        self.counted.broke += 1;
        out.push(Effect::Broke { peer: self.peer, why });
    }

    fn begin_to_greet(&mut self, now: Moment) {
        self.agreed = false;
        self.greet_wait = self.limits.resend_after;
        self.greet_at = now + self.greet_wait;
        self.greeted = None;
    }

    /// Says who we are, to one who does not know it; not to each of many packets.
    fn introduce(&mut self, now: Moment, out: &mut Vec<Effect>) {
        if self.greeted.is_none_or(|at| at + self.limits.ask_again_after <= now) {
            self.send_bare(Marks::default(), out);
            self.greeted = Some(now);
        }
    }

    /// Takes what a packet of our pair says.
    fn hear(&mut self, header: &Header, body: Bytes, now: Moment, out: &mut Vec<Effect>) -> Result<(), Nonsense> {
        self.sending.acknowledge(header.acknowledged, now)?;
        if header.marks.missing {
            self.sending.rewind(now);
        }
        if header.sequence == 0 {
            return Ok(());
        }
        match self.receiving.take(header, body, now)? {
            Taken::Whole(body) => {
                self.counted.taken += 1;
                out.push(Effect::Deliver { from: self.peer, body });
            }
            Taken::Piece => self.counted.taken += 1,
            Taken::Doubled => self.counted.doubled += 1,
            Taken::Early => {
                self.counted.early += 1;
                if self.receiving.asks(now) {
                    self.send_bare(Marks { missing: true, ..Marks::default() }, out);
                }
            }
        }
        Ok(())
    }

    /// Puts on the bus what may be on its way.
    fn pump(&mut self, now: Moment, out: &mut Vec<Effect>) {
        if !self.bus || !self.agreed {
            return;
        }
        while let Some(next) = self.sending.next(now) {
            self.counted.sent += 1;
            self.counted.resent += u64::from(next.again);
            let marks = Marks { missing: false, urgent: next.urgent };
            let header = Header { following: next.following, ..self.header(next.sequence, marks) };
            let packet = Packet { header, body: next.body };
            self.receiving.paid();
            out.push(Effect::Send(packet));
        }
    }

    /// A packet without letters. Until a pair is agreed on it wants an answer.
    fn send_bare(&mut self, marks: Marks, out: &mut Vec<Effect>) {
        if !self.bus {
            return;
        }
        self.counted.bare += 1;
        let marks = Marks { urgent: marks.urgent || !self.agreed, ..marks };
        let packet = Packet { header: self.header(0, marks), body: Bytes::new() };
        self.receiving.paid();
        out.push(Effect::Send(packet));
    }

    fn header(&self, sequence: u64, marks: Marks) -> Header {
        Header {
            from: self.me,
            to: self.peer,
            incarnation: self.mine,
            known: self.theirs,
            sequence,
            acknowledged: self.receiving.last(),
            following: 0,
            marks,
        }
    }
}

/// The other end said what it cannot have meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Nonsense;
