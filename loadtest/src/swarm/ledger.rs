//! What each member must have heard: publishes against the time for which it was in, by the numbers that the server gave them; and, for
//! those who stay while others drop, who was told to have left and entered.
//!
//! A room numbers what is published to it one after the other. So whoever was in has heard numbers without a gap, none twice, and the
//! first of them is not behind one that was sent only after the member was in. What was answered before a member so much as asked to come
//! in was published while it was away. A room's members are all of the worker that publishes to it: nobody else has to be asked.

use super::{
    Swarm,
    member::Phase,
    publisher::{MOST_LINES, Sent},
};
use crate::{
    contract::{self, Change, Tick},
    crew::letters::Stage,
    order::Order,
    tally::{Counts, ReturnCounts},
};
use std::collections::HashMap;

/// Who is back this soon after the drop may find the server not to have seen it go: its number stays, and nobody is told.
const UNNOTICED_NS: u64 = 100_000_000;

/// See the file.
pub(super) struct Ledger {
    workers: u32,
    /// By place.
    stays: Vec<Stay>,
    /// Those that are over, and when each place's was.
    past: Vec<Stay>,
    gone_ns: Vec<u64>,
    /// Those who stay while others drop, by place, and how many of them are in each room.
    watching: HashMap<u32, HashMap<Box<str>, Seen>>,
    witnesses: Vec<u64>,
}

/// One connection's time in its room.
#[derive(Clone, Copy, Default)]
struct Stay {
    room: u32,
    /// When it asked to be let in, and when it was told that it is.
    asked_ns: u64,
    in_ns: u64,
    /// When it heard its first publish; the numbers of the first and the last.
    first_ns: u64,
    first: u64,
    last: u64,
}

/// What a member knows of another, by the number of its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    In(u64),
    Out(u64),
}

impl Ledger {
    pub(super) fn new(order: &Order, places: usize) -> Ledger {
        let mut witnesses = vec![0; order.classrooms as usize];
        let mut watching = HashMap::new();
        for place in 0..places as u32 {
            let number = order.number(place.into());
            if order.storm.is_some() && order.stays(number) {
                watching.insert(place, HashMap::new());
                witnesses[order.room(number) as usize] += 1;
            }
        }
        Ledger {
            workers: order.workers.max(1),
            stays: vec![Stay::default(); places],
            past: Vec::new(),
            gone_ns: vec![0; places],
            watching,
            witnesses,
        }
    }

    /// How many stay in a room while the others drop.
    pub(super) fn witnesses(&self, room: u32) -> u64 {
        self.witnesses.get(room as usize).copied().unwrap_or(0)
    }

    /// The `connect_request` was sent. True: so soon after it was dropped that nobody need have noticed.
    fn asked(&mut self, place: u32, room: u32, now_ns: u64) -> bool {
        self.stays[place as usize] = Stay { room, asked_ns: now_ns, ..Stay::default() };
        let gone_ns = std::mem::take(&mut self.gone_ns[place as usize]);
        gone_ns > 0 && now_ns - gone_ns.min(now_ns) < UNNOTICED_NS
    }

    /// Counts one message; `sent`: what is known of its publishing.
    fn heard(&mut self, place: u32, tick: Tick, sent: Option<Sent>, now_ns: u64, counts: &mut Counts) {
        let stay = &mut self.stays[place as usize];
        match tick.sequence_id {
            number if stay.first == 0 => (stay.first, stay.first_ns, stay.last) = (number, now_ns, number),
            number if number > stay.last => {
                counts.undelivered += number - stay.last - 1;
                stay.last = number;
            }
            number => counts.twice += u64::from(number >= stay.first),
        }
        counts.stale += u64::from(sent.is_some_and(|sent| sent.answered_ns > 0 && sent.answered_ns < stay.asked_ns));
    }

    fn ended(&mut self, place: u32, now_ns: u64) {
        let stay = std::mem::take(&mut self.stays[place as usize]);
        if stay.in_ns > 0 {
            self.past.push(stay);
            self.gone_ns[place as usize] = now_ns;
        }
    }

    fn saw(&mut self, place: u32, text: &[u8], counts: &mut ReturnCounts) {
        let Some(known) = self.watching.get_mut(&place) else { return };
        for Change { agent, session, came } in contract::changes(text) {
            let before = known.get(agent.as_str()).copied();
            match (before, came) {
                (Some(Seen::Out(left)), true) if left != session => counts.comings_heard += 1,
                (None, true) => {}
                (Some(Seen::In(entered)), false) if entered == session => counts.leavings_heard += 1,
                (None, false) => counts.leavings_heard += 1,
                (Some(Seen::In(_) | Seen::Out(_)), _) => counts.misheard += 1,
            }
            known.insert(agent.into(), if came { Seen::In(session) } else { Seen::Out(session) });
        }
    }
}

impl Stay {
    /// Publishes sent after it was told to be in, in the order of their moments.
    fn meant<'a>(&self, book: &'a [Sent]) -> &'a [Sent] {
        &book[book.partition_point(|sent| sent.sent_ns <= self.in_ns)..]
    }

    /// Those that it missed before it heard the first.
    fn missed_at_first(&self, book: &[Sent]) -> u64 {
        let before = self.meant(book).iter().take_while(|sent| sent.sent_ns < self.first_ns);
        before.filter(|sent| sent.answered_ns > 0 && sent.sequence_id < self.first).count() as u64
    }

    /// Those that are not heard behind the last one heard.
    fn missed_at_last(&self, book: &[Sent]) -> u64 {
        let answered = self.meant(book).iter().rev().filter(|sent| sent.answered_ns > 0);
        // As many as are under way at once may have got their numbers in another order than that in which they were sent.
        let behind = answered.take_while(|sent| sent.sequence_id + MOST_LINES as u64 > self.last);
        behind.filter(|sent| sent.sequence_id > self.last).count() as u64
    }
}

impl Swarm {
    /// The `connect_request` was sent.
    pub(super) fn note_asked(&mut self, place: u32, now_ns: u64) {
        let room = self.members[place as usize].room;
        if let Some(ledger) = &mut self.ledger
            && ledger.asked(place, room, now_ns)
        {
            self.tally.reconnect.unnoticed += ledger.witnesses(room);
        }
    }

    /// `connect_success` was heard.
    pub(super) fn note_in(&mut self, place: u32, now_ns: u64) {
        if let Some(ledger) = &mut self.ledger {
            ledger.stays[place as usize].in_ns = now_ns;
        }
    }

    /// A published message was heard.
    pub(super) fn note_heard(&mut self, place: u32, tick: Tick, now_ns: u64) {
        if let Some(ledger) = &mut self.ledger {
            let sent = self.publisher.as_ref().and_then(|publisher| publisher.sent(tick.number));
            ledger.heard(place, tick, sent, now_ns, &mut self.tally.counts);
        }
    }

    /// Somebody came or went. When all are closed that means nothing any more.
    pub(super) fn note_change(&mut self, place: u32, text: &[u8]) {
        let is_over = matches!(self.stage, Some((Stage::Close, _)));
        let is_member = self.members[place as usize].phase == Phase::Signed && !is_over;
        if let Some(ledger) = self.ledger.as_mut().filter(|_| is_member) {
            ledger.saw(place, text, &mut self.tally.reconnect);
        }
    }

    /// The connection is over.
    pub(super) fn forget(&mut self, place: u32) {
        if let Some(ledger) = &mut self.ledger {
            ledger.ended(place, crate::clock::now_ns());
        }
    }

    /// Whether all who are in have heard all that was published, and those who stayed were told of everybody.
    pub(super) fn is_all_heard(&self) -> bool {
        self.unheard_at_last() == 0 && self.tally.reconnect.is_told()
    }

    fn unheard_at_last(&self) -> u64 {
        let (Some(ledger), Some(publisher)) = (&self.ledger, &self.publisher) else { return 0 };
        let signed = self.members.iter().zip(&ledger.stays).filter(|(member, _)| member.phase == Phase::Signed);
        signed.map(|(_, stay)| stay.missed_at_last(publisher.book(stay.room / ledger.workers))).sum()
    }

    /// Counts what was not heard: at the beginning of each stay, and at the end of those that last.
    pub(super) fn judge(&mut self) {
        let (Some(ledger), Some(publisher)) = (&self.ledger, &self.publisher) else { return };
        let heard = ledger.past.iter().chain(&ledger.stays).filter(|stay| stay.first > 0);
        let at_first: u64 = heard.map(|stay| stay.missed_at_first(publisher.book(stay.room / ledger.workers))).sum();
        self.tally.counts.undelivered += at_first + self.unheard_at_last();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(sequence_id: u64, sent_ns: u64) -> Sent {
        Sent { sequence_id, sent_ns, answered_ns: sent_ns + 5 }
    }

    #[test]
    fn only_what_was_sent_while_in_can_be_missed() {
        // In at 25; 3 was sent at 20 and 4 at 30, before the first that was heard; 7 and 8 after the last.
        let book: Vec<Sent> = (1..=8).map(|number| sent(number, number * 10 - 10)).collect();
        let stay = Stay { in_ns: 25, first: 5, first_ns: 42, last: 6, ..Stay::default() };
        assert_eq!((stay.missed_at_first(&book), stay.missed_at_last(&book)), (1, 2));
        let deaf = Stay { in_ns: 25, ..Stay::default() };
        assert_eq!(deaf.missed_at_last(&book), 5);
        let unanswered = [Sent { answered_ns: 0, ..sent(9, 90) }];
        assert_eq!(deaf.missed_at_last(&unanswered), 0);
    }
}
