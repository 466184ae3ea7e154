//! What became of each message for each member of its room: the conservation of what is published while members come and go.

use super::Run;
use crate::{
    report::Check,
    server::{DROPPED, SESSIONS_TOLD},
    tally::Counts,
};
use std::{collections::BTreeMap, io};

/// Why the server says that a listener did not get a message.
const REASONS: [(&str, &str); 3] = [("slow", "dropped_slow"), ("gone", "dropped_gone"), ("absent", "dropped_absent")];

/// What the server has counted of its deliveries until now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    /// In the order of [`REASONS`].
    dropped: [u64; 3],
    /// Sessions that were told that another took their place.
    replaced: u64,
}

impl Delivered {
    /// What was counted since.
    pub(super) fn since(self, before: Delivered) -> Delivered {
        let less = |place: usize| self.dropped[place].saturating_sub(before.dropped[place]);
        Delivered { dropped: [less(0), less(1), less(2)], replaced: self.replaced.saturating_sub(before.replaced) }
    }

    /// Sessions whose place was taken by a return before the server had seen them go.
    pub(super) fn replaced(self) -> u64 {
        self.replaced
    }

    /// No more than so many drops: who entered and left is told by the same topics, and counted with them.
    fn at_most(self, most: u64) -> Delivered {
        let mut left = most;
        let mut take = |count: u64| {
            let taken = count.min(left);
            left -= taken;
            taken
        };
        let [slow, gone, absent] = self.dropped;
        let (gone, absent, slow) = (take(gone), take(absent), take(slow));
        Delivered { dropped: [slow, gone, absent], ..self }
    }

    fn all_dropped(self) -> u64 {
        self.dropped.iter().sum()
    }
}

impl Run {
    /// What the server has counted until now.
    pub(super) fn delivered(&self) -> io::Result<Delivered> {
        let gauges = self.server.gauges()?.unwrap_or_default();
        Ok(Delivered {
            dropped: REASONS.map(|(reason, _)| gauges.part(DROPPED, reason)),
            replaced: gauges.part(SESSIONS_TOLD, "replaced"),
        })
    }
}

/// What must agree, and what became of everything. `may_be_cut`: members were cut off, and with them what was on its way to them.
pub(super) fn account(
    counts: &Counts,
    before: Delivered,
    after: Delivered,
    may_be_cut: bool,
) -> (Vec<Check>, BTreeMap<&'static str, u64>) {
    let server = after.since(before).at_most(counts.owed.saturating_sub(counts.delivered));
    let told = counts.delivered + server.all_dropped();
    let cut = if may_be_cut { counts.owed.saturating_sub(told) } else { 0 };
    let checks = vec![
        Check::new("publishes answered", counts.published, counts.answered),
        Check::new("messages of members, delivered, dropped or cut off", counts.owed, told + cut),
        Check::new("messages that a member who was in did not hear", 0, counts.undelivered),
        Check::new("messages heard again", 0, counts.twice),
        Check::new("messages heard of the time away", 0, counts.stale),
        Check::new("deliveries out of order", 0, counts.disordered),
    ];
    let mut fates = BTreeMap::from([
        ("meant", counts.meant),
        ("delivered", counts.delivered),
        ("away", counts.meant.saturating_sub(counts.owed)),
        ("cut_off", cut),
    ]);
    fates.extend(REASONS.iter().zip(server.dropped).map(|((_, name), count)| (*name, count)));
    (checks, fates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(counts: &Counts, after: Delivered, may_be_cut: bool) -> usize {
        account(counts, Delivered::default(), after, may_be_cut).0.iter().filter(|check| !check.holds()).count()
    }

    #[test]
    fn what_is_missing_is_excused_only_where_members_were_cut_off() {
        let counts = Counts { published: 2, answered: 2, meant: 20, owed: 16, delivered: 13, ..Counts::default() };
        let server = Delivered { dropped: [0, 1, 0], replaced: 0 };
        assert_eq!((broken(&counts, server, true), broken(&counts, server, false)), (0, 1));
        let (_, fates) = account(&counts, Delivered::default(), server, true);
        assert_eq!([fates["away"], fates["cut_off"], fates["dropped_gone"], fates["delivered"]], [4, 2, 1, 13]);
        // More than was owed is never excused.
        let more = Counts { delivered: 17, ..counts };
        assert_eq!(broken(&more, server, true), 1);
    }
}
