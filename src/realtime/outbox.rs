//! What waits to be sent to one connection. Empty and without memory of its own while the connection keeps up.
//!
//! At most one send is in flight. What is queued behind it leaves in one send, in order, when the one in flight is done.

use std::{collections::VecDeque, ops::Range, rc::Rc};

/// Bytes to be sent: a part of a batch that other connections of the shard may share. Always whole frames.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The batch. Never changed while a segment points into it.
    pub batch: Rc<Vec<u8>>,
    /// The part that is to be sent: never empty.
    pub range: Range<u32>,
}

impl Segment {
    /// The whole of a batch of its own; `None` when it is empty.
    pub fn whole(bytes: Vec<u8>) -> Option<Segment> {
        let end = u32::try_from(bytes.len()).expect("limits keep a batch below 4 GiB");
        (end > 0).then(|| Segment { batch: Rc::new(bytes), range: 0..end })
    }

    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8] {
        &self.batch[self.range.start as usize..self.range.end as usize]
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        (self.range.end - self.range.start) as usize
    }

    /// Never, by construction; here because a length wants it.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    fn continues(&self, earlier: &Segment) -> bool {
        Rc::ptr_eq(&self.batch, &earlier.batch) && earlier.range.end == self.range.start
    }
}

/// What a segment costs beside its bytes, about: its place in the queue, the batch's counts, two headers of the allocator. Without it
/// tiny replies to one who does not read would take fifty times the bound.
const SEGMENT_COST_BYTES: usize = 96;

/// A segment and how many deliveries (frames published to topics) are in it; replies to the connection alone count as none.
#[derive(Clone, Debug)]
struct Queued {
    segment: Segment,
    deliveries: u32,
    /// Of the outbox's first: since when deliveries wait behind a send in flight ([`Outbox::holds_back`]); 0 while none do.
    since: u32,
}

#[derive(Debug, Default)]
struct More {
    queue: VecDeque<Queued>,
    bytes: usize,
}

/// What a push did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It was queued, and the connection has nothing in flight: put it on the list of those to be collected.
    Ready,
    /// It was queued behind what is there already.
    Queued,
    /// It would pass the bound: nothing was queued.
    Full,
}

/// The outbox of one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    next: Option<Queued>,
    more: Option<Box<More>>,
    in_flight_bytes: u32,
    in_flight_deliveries: u32,
}

impl Outbox {
    /// Queues a segment behind all that is there. `bound_bytes` is what may wait in all behind a send in flight, with that send and what
    /// the queue itself costs. While none is in flight all fits: what one turn brings says nothing of how the peer reads, and leaves at
    /// the turn's end.
    pub fn push(&mut self, segment: Segment, deliveries: u32, bound_bytes: usize) -> Pushed {
        let waiting = self.bytes();
        if self.in_flight_bytes > 0 && waiting.saturating_add(segment.len()).saturating_add(self.queue_cost()) > bound_bytes {
            return Pushed::Full;
        }
        let was_idle = waiting == 0;
        self.append(Queued { segment, deliveries, since: 0 });
        if was_idle { Pushed::Ready } else { Pushed::Queued }
    }

    /// What is to be sent now, in one piece: nothing while a send is in flight. The caller owes a [`Outbox::sent`].
    pub fn collect(&mut self) -> Option<Segment> {
        if self.in_flight_bytes > 0 {
            return None;
        }
        let first = self.next.take()?;
        let Queued { segment, deliveries, .. } = match self.more.take() {
            None => first,
            Some(more) => coalesce(first, *more),
        };
        self.in_flight_bytes = segment.len() as u32;
        self.in_flight_deliveries = deliveries;
        Some(segment)
    }

    /// As [`Outbox::collect`], every segment from where it lies: the first is returned, the others are appended to `more`. Not more than
    /// `most` segments, and not more than `most_bytes` but for the first; what is left waits for the next send.
    pub fn gather(&mut self, most: usize, most_bytes: usize, more: &mut Vec<Segment>) -> Option<Segment> {
        if self.in_flight_bytes > 0 {
            return None;
        }
        let first = self.next.take()?;
        let (mut bytes, mut deliveries) = (first.segment.len(), first.deliveries);
        if let Some(waiting) = &mut self.more {
            while more.len() + 1 < most
                && let Some(queued) = waiting.queue.pop_front_if(|queued| bytes + queued.segment.len() <= most_bytes)
            {
                bytes += queued.segment.len();
                waiting.bytes -= queued.segment.len();
                deliveries += queued.deliveries;
                more.push(queued.segment);
            }
            self.next = waiting.queue.pop_front();
            waiting.bytes -= self.next.as_ref().map_or(0, |next| next.segment.len());
            if waiting.queue.is_empty() {
                self.more = None;
            }
        }
        self.in_flight_bytes = bytes as u32;
        self.in_flight_deliveries = deliveries;
        Some(first.segment)
    }

    /// To be said where deliveries were [`Pushed::Queued`]. False when they leave with this turn: nothing is in flight. True when they wait
    /// for the next send, `since` this, in microseconds that may wrap; of several the first counts.
    pub fn holds_back(&mut self, since: u32) -> bool {
        if self.in_flight_bytes > 0
            && let Some(next) = &mut self.next
            && next.since == 0
        {
            next.since = since.max(1);
        }
        self.in_flight_bytes > 0
    }

    /// Since when the oldest delivery waits that was held back; 0 where none was.
    pub fn held_since(&self) -> u32 {
        self.next.as_ref().map_or(0, |next| next.since)
    }

    /// How many deliveries the send in flight carries.
    pub fn deliveries_in_flight(&self) -> u32 {
        self.in_flight_deliveries
    }

    /// The send in flight is over, for better or worse. Returns how many deliveries it carried.
    pub fn sent(&mut self) -> u32 {
        self.in_flight_bytes = 0;
        std::mem::take(&mut self.in_flight_deliveries)
    }

    /// Whether something waits that could be sent now.
    pub fn is_ready(&self) -> bool {
        self.in_flight_bytes == 0 && self.next.is_some()
    }

    /// Whether a send is in flight.
    pub fn is_sending(&self) -> bool {
        self.in_flight_bytes > 0
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Bytes that wait or are in flight.
    pub fn bytes(&self) -> usize {
        self.in_flight_bytes as usize
            + self.next.as_ref().map_or(0, |next| next.segment.len())
            + self.more.as_ref().map_or(0, |more| more.bytes)
    }

    fn queue_cost(&self) -> usize {
        self.more.as_ref().map_or(0, |more| more.queue.len() * SEGMENT_COST_BYTES)
    }

    /// Throws away all that is not in flight; returns how many deliveries were lost with it.
    pub fn discard(&mut self) -> u32 {
        let next = self.next.take().map_or(0, |next| next.deliveries);
        let more = self.more.take().map_or(0, |more| more.queue.iter().map(|queued| queued.deliveries).sum());
        next + more
    }

    fn append(&mut self, queued: Queued) {
        match (&mut self.next, &mut self.more) {
            (None, _) => self.next = Some(queued),
            (Some(next), None) if queued.segment.continues(&next.segment) => {
                next.segment.range.end = queued.segment.range.end;
                next.deliveries += queued.deliveries;
            }
            (Some(_), more) => {
                let more = more.get_or_insert_default();
                more.bytes += queued.segment.len();
                more.queue.push_back(queued);
            }
        }
    }
}

/// One contiguous batch of everything: one send of it costs less than a send, or a vector, of many.
fn coalesce(first: Queued, more: More) -> Queued {
    let mut batch = Vec::with_capacity(first.segment.len() + more.bytes);
    let mut deliveries = 0;
    for queued in std::iter::once(&first).chain(&more.queue) {
        batch.extend_from_slice(queued.segment.bytes());
        deliveries += queued.deliveries;
    }
    Queued { segment: Segment::whole(batch).expect("it holds the first segment"), deliveries, since: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: usize = 10;

    fn segment(bytes: &[u8]) -> Segment {
        Segment::whole(bytes.to_vec()).expect("test segments are not empty")
    }

    #[test]
    fn what_waits_behind_a_send_leaves_in_one_piece_and_in_order() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(segment(b"a"), 1, BOUND), Pushed::Ready);
        assert_eq!(outbox.collect().map(|s| s.bytes().to_vec()), Some(b"a".to_vec()));
        assert_eq!(outbox.push(segment(b"b"), 1, BOUND), Pushed::Queued);
        assert_eq!(outbox.push(segment(b"c"), 0, BOUND), Pushed::Queued);
        assert!(outbox.collect().is_none(), "one send in flight at a time");
        assert_eq!(outbox.sent(), 1);
        assert!(outbox.is_ready());
        assert_eq!(outbox.collect().map(|s| s.bytes().to_vec()), Some(b"bc".to_vec()));
        assert_eq!(outbox.sent(), 1);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_waits_behind_a_send_tells_since_when() {
        let mut outbox = Outbox::default();
        outbox.push(segment(b"a"), 1, BOUND);
        outbox.push(segment(b"b"), 1, BOUND);
        assert!(!outbox.holds_back(5), "both leave with this turn");
        assert_eq!(outbox.held_since(), 0);
        outbox.collect();
        outbox.push(segment(b"c"), 1, 1_000);
        assert!(outbox.holds_back(7));
        outbox.push(segment(b"d"), 1, 1_000);
        assert!(outbox.holds_back(9));
        outbox.sent();
        assert_eq!(outbox.held_since(), 7, "the first");
        outbox.collect();
        assert_eq!((outbox.deliveries_in_flight(), outbox.held_since()), (2, 0));
    }

    #[test]
    fn what_is_gathered_is_not_moved_and_the_rest_waits() {
        let mut outbox = Outbox::default();
        let bytes = |segments: &[Segment]| segments.iter().flat_map(|s| s.bytes().to_vec()).collect::<Vec<u8>>();
        for (index, text) in ["ab", "cd", "ef", "gh", "ij"].iter().enumerate() {
            outbox.push(segment(text.as_bytes()), index as u32, 1_000);
        }
        let mut more = Vec::new();
        let first = outbox.gather(3, 1_000, &mut more).expect("five wait");
        assert_eq!((first.bytes(), &bytes(&more)[..], outbox.bytes()), (&b"ab"[..], &b"cdef"[..], 10));
        assert!(outbox.gather(3, 1_000, &mut more).is_none(), "one send in flight at a time");
        assert_eq!((outbox.sent(), outbox.bytes(), outbox.is_ready()), (3, 4, true));
        more.clear();
        outbox.push(segment(b"k"), 0, 1_000);
        let first = outbox.gather(9, 3, &mut more).expect("three wait");
        assert_eq!((first.bytes(), more.len(), outbox.bytes()), (&b"gh"[..], 0, 5), "so many bytes and no more");
        assert_eq!(outbox.sent(), 3);
        let first = outbox.gather(9, 3, &mut more).expect("two wait");
        assert_eq!((first.bytes(), &bytes(&more)[..]), (&b"ij"[..], &b"k"[..]));
        assert_eq!((outbox.sent(), outbox.is_empty()), (4, true));
    }

    #[test]
    fn neighbours_in_one_batch_stay_shared() {
        let batch = Rc::new(b"success|ping".to_vec());
        let mut outbox = Outbox::default();
        outbox.push(Segment { batch: batch.clone(), range: 0..8 }, 0, 100);
        outbox.push(Segment { batch: batch.clone(), range: 8..12 }, 0, 100);
        let sent = outbox.collect().expect("both wait");
        assert!(Rc::ptr_eq(&sent.batch, &batch));
        assert_eq!(sent.bytes(), b"success|ping");
    }

    #[test]
    fn the_bound_counts_what_is_in_flight_and_one_large_message_fits_an_empty_outbox() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(segment(&[0; 50]), 1, BOUND), Pushed::Ready);
        outbox.collect();
        assert_eq!(outbox.push(segment(b"x"), 1, BOUND), Pushed::Full);
        outbox.sent();
        assert_eq!(outbox.push(segment(&[0; 6]), 2, BOUND), Pushed::Ready);
        assert_eq!(outbox.push(segment(&[0; 5]), 3, BOUND), Pushed::Queued, "nothing is in flight: no sign of a slow peer");
        outbox.collect();
        assert_eq!(outbox.push(segment(&[0; 1]), 1, BOUND), Pushed::Full);
        assert_eq!(outbox.sent(), 5);
        assert_eq!(outbox.push(segment(&[0; 1]), 1, BOUND), Pushed::Ready);
        assert_eq!(outbox.discard(), 1);
        assert!(outbox.is_empty());
    }

    #[test]
    fn segments_cost_more_than_their_bytes() {
        let mut outbox = Outbox::default();
        outbox.push(segment(b"x"), 0, 10_000);
        outbox.collect();
        let fit = (0..10_000).take_while(|_| outbox.push(segment(b"x"), 0, 10_000) == Pushed::Queued).count();
        assert!((90..120).contains(&fit), "{fit}");
    }
}
