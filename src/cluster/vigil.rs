//! What a node that may be cut off makes of it: whether it holds on to its lease, whether it may take others for dead, and when it takes
//! itself for lost.
//!
//! Pure: it is told what was seen and when.
//!
//! **The bus.** Whoever hears nothing by it is of no use to the others, though he reaches the records: he lets his lease run out, and is
//! buried by whoever hears. Nobody buries who has not heard for a lease's whole length himself. So while the bus is gone for all nobody is
//! buried, and when it is back each has the time to renew his lease first.
//!
//! **The records.** Whoever cannot read them does not see that he was buried. He asks the others by the bus (a [`Doubt`]); none of them
//! answers who does not know better.
//!
//! **Neither.** Whoever has neither for [`LEASES_ALONE`] leases can serve nobody and learn nothing: he takes himself for lost.

use super::Node;
use crate::realtime::{Moment, View};
use std::{fmt, str::FromStr, time::Duration};

/// So many leases a node waits that is cut off from everything.
pub const LEASES_ALONE: u32 = 3;

/// What one node has seen lately. Of both sides it is believed at first that they are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vigil {
    lease: Duration,
    /// When it last heard something by the bus, or came.
    heard_at: Moment,
    has_heard: bool,
    /// Since when it has heard without a gap; none: it hears nothing now.
    hears_since: Option<Moment>,
    /// When the records were last read.
    read_at: Moment,
    now: Moment,
}

/// Why a node that was lost was lost, as far as it knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// It heard nothing by the bus for so long.
    Deaf(Duration),
    /// It could not read the records for so long.
    Blind(Duration),
    /// Both: for so long it had neither.
    Alone(Duration),
    /// It stood still, or the records took its renewals too late.
    Late,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Deaf(time) => write!(f, "it has heard nothing by NATS for {} s", time.as_secs()),
            Cause::Blind(time) => write!(f, "it could not read the database for {} s", time.as_secs()),
            Cause::Alone(time) => write!(f, "it has reached neither NATS nor the database for {} s", time.as_secs()),
            Cause::Late => f.write_str("it stood still, or its lease was renewed too late"),
        }
    }
}

impl Vigil {
    /// Of a node whose lease lasts so long, and that has just come.
    pub fn new(lease: Duration, now: Moment) -> Vigil {
        Vigil { lease, heard_at: now, has_heard: false, hears_since: Some(now), read_at: now, now }
    }

    /// Whether anything is heard by the bus now. True: that has changed. Who has just come is given half a lease to hear the first.
    pub fn hears(&mut self, hears: bool, now: Moment) -> bool {
        let heard = self.hears_since.is_some();
        self.now = now;
        if hears {
            self.heard_at = now;
            self.has_heard = true;
            self.hears_since.get_or_insert(now);
        } else if self.has_heard || now.since(self.heard_at) >= self.lease / 2 {
            self.hears_since = None;
        }
        heard != self.hears_since.is_some()
    }

    /// The records were read.
    pub fn read(&mut self, now: Moment) {
        self.read_at = now;
        self.now = now;
    }

    /// Since the records were last read.
    pub fn blind(&self) -> Duration {
        self.now.since(self.read_at)
    }

    fn deaf(&self) -> Duration {
        if self.hears_since.is_some() { Duration::ZERO } else { self.now.since(self.heard_at) }
    }

    /// Whether the lease is to be renewed.
    pub fn renews(&self) -> bool {
        self.hears_since.is_some()
    }

    /// Whether what other services say finds its way from here: a node that may be buried soon does not take it.
    pub fn listens(&self) -> bool {
        self.renews() && self.blind() < self.lease / 2
    }

    /// Whether another whose lease has run out may be buried.
    pub fn buries(&self) -> bool {
        self.hears_since.is_some_and(|since| self.now.since(since) >= self.lease)
    }

    /// Whether the others are to be asked if this node is still one of them.
    pub fn doubts(&self) -> bool {
        self.blind() >= self.lease
    }

    /// Whether it is to take itself for lost.
    pub fn is_lost(&self) -> bool {
        self.deaf().min(self.blind()) >= self.lease * LEASES_ALONE
    }

    /// Why it was lost, now that it was.
    pub fn cause(&self) -> Cause {
        match (self.deaf() >= self.lease, self.blind() >= self.lease) {
            (true, true) => Cause::Alone(self.deaf().min(self.blind())),
            (true, false) => Cause::Deaf(self.deaf()),
            (false, true) => Cause::Blind(self.blind()),
            (false, false) => Cause::Late,
        }
    }
}

/// What a node asks by the bus that cannot read the records: is there a later view without me?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// Who asks.
    pub node: Node,
    /// The last view that it knows; it is in that.
    pub view: u64,
}

impl Doubt {
    /// Whether this view tells that the node was buried. An epoch is used once, so whoever was in a view and is not in a later one is in
    /// none that follows.
    pub fn is_answered_by(&self, view: &View) -> bool {
        view.number() > self.view && view.epoch(self.node.slot) != Some(self.node.epoch)
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.node.slot, self.node.epoch, self.view)
    }
}

/// What was said is no [`Doubt`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoDoubt;

impl FromStr for Doubt {
    type Err = NoDoubt;
    fn from_str(text: &str) -> Result<Doubt, NoDoubt> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(NoDoubt);
        let slot = word()?.parse().map(crate::realtime::NodeSlot).map_err(|_| NoDoubt)?;
        let epoch = word()?.parse().map_err(|_| NoDoubt)?;
        let view = word()?.parse().map_err(|_| NoDoubt)?;
        if words.next().is_none() { Ok(Doubt { node: Node { slot, epoch }, view }) } else { Err(NoDoubt) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::{NodeSlot, view::Member};

    const LEASE: Duration = Duration::from_secs(6);

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000)
    }

    #[test]
    fn whoever_hears_nothing_lets_go_and_buries_nobody() {
        let mut vigil = Vigil::new(LEASE, at(0));
        assert!(vigil.renews() && !vigil.buries(), "it has just come");
        assert!(!vigil.hears(true, at(6)) && vigil.buries());
        assert!(vigil.hears(false, at(7)), "that has changed");
        assert!(!vigil.renews() && !vigil.buries());
        assert!(!vigil.hears(false, at(20)));
        vigil.read(at(20));
        assert_eq!((vigil.cause(), vigil.is_lost()), (Cause::Deaf(Duration::from_secs(14)), false), "others decide that");
        assert!(vigil.hears(true, at(21)) && vigil.renews() && !vigil.buries());
        vigil.hears(true, at(26));
        assert!(!vigil.buries(), "the others have their time to come back");
        vigil.hears(true, at(27));
        assert!(vigil.buries());
    }

    #[test]
    fn whoever_has_just_come_has_a_moment_to_hear_the_first() {
        let mut vigil = Vigil::new(LEASE, at(0));
        assert!(!vigil.hears(false, at(2)) && vigil.renews());
        assert!(vigil.hears(false, at(3)) && !vigil.renews());
        let mut vigil = Vigil::new(LEASE, at(0));
        vigil.hears(true, at(1));
        assert!(vigil.hears(false, at(2)), "it knows how it is to hear");
    }

    #[test]
    fn whoever_cannot_read_asks_and_whoever_is_cut_off_from_all_is_lost() {
        let mut vigil = Vigil::new(LEASE, at(0));
        vigil.hears(true, at(2));
        assert!(vigil.listens());
        vigil.hears(true, at(5));
        assert!(!vigil.doubts() && !vigil.listens(), "others take what services say");
        vigil.hears(true, at(6));
        assert_eq!((vigil.doubts(), vigil.is_lost(), vigil.cause()), (true, false, Cause::Blind(LEASE)));
        vigil.hears(true, at(100));
        assert!(!vigil.is_lost(), "the others would say so");
        vigil.hears(false, at(117));
        assert!(!vigil.is_lost());
        vigil.hears(false, at(118));
        assert_eq!((vigil.is_lost(), vigil.cause()), (true, Cause::Alone(LEASE * 3)));
        vigil.read(at(118));
        assert!(!vigil.is_lost() && !vigil.doubts());
        vigil.hears(true, at(119));
        assert_eq!(vigil.cause(), Cause::Late);
    }

    #[test]
    fn a_doubt_is_answered_by_a_later_view_alone() {
        let node = Node { slot: NodeSlot(2), epoch: 7 };
        let doubt = Doubt { node, view: 5 };
        assert_eq!(doubt.to_string().parse(), Ok(doubt));
        for text in ["", "2 7", "2 7 x", "300 7 5", "2 7 5 1"] {
            assert_eq!(text.parse::<Doubt>(), Err(NoDoubt), "{text}");
        }
        let with = |number, epoch| View::new(number, vec![Member { slot: NodeSlot(2), epoch, shards: 1 }]);
        let views = [View::new(4, vec![]), View::new(5, vec![]), with(6, 7), with(6, 8), View::new(6, vec![])];
        assert_eq!(views.map(|view| doubt.is_answered_by(&view)), [false, false, false, true, true]);
    }
}
