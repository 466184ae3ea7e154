//! Looks through the rows, as a house does at long intervals, which come to its shards in parts and when they may.

use super::{faults::Fault, store::Peer, world::Cluster};
use crate::world::note;
use homeroom::{
    engine::{Answer, Engine},
    protocols::presence::record::{Buried, Census},
    realtime::{ClassroomId, HashRing, ShardId},
};
use std::{collections::BTreeSet, mem, time::Duration};

/// Small, so that most looks have several.
const PART: usize = 2;

/// What a run has of it: one in four that nobody dies in, so that nothing may ever be odd, and one that many die in at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Censuses {
    None,
    AmongTheLiving,
    AmongTheDying,
}

impl Censuses {
    pub(crate) fn of(seed: u64, fault: Option<Fault>) -> Censuses {
        match (fault, seed % 4) {
            (None, 1) | (Some(Fault::StaleCensus), _) => Censuses::AmongTheLiving,
            (None, 3) | (Some(Fault::LostCensus), _) => Censuses::AmongTheDying,
            _ => Censuses::None,
        }
    }
}

/// Whole looks that are on their way.
#[derive(Default)]
pub(crate) struct Looks {
    parts: Vec<(Peer, ShardId, Answer)>,
    /// What the last one found.
    last: Vec<Buried>,
    /// Rooms that have lost a row. Who comes as another is to come again, and has not heard so yet, takes him for one who is there.
    bereaved: BTreeSet<ClassroomId>,
}

impl Looks {
    pub(crate) fn forget(&mut self, peer: Peer) {
        self.parts.retain(|(own, _, _)| *own != peer);
    }
}

impl Cluster {
    /// A node that the dice choose looks.
    pub(crate) fn someone_counts(&mut self) {
        let living = self.living();
        if !living.is_empty() && !self.store.is_away {
            let peer = *self.dice.pick(&living);
            self.count_rows(peer);
        }
    }

    fn count_rows(&mut self, peer: Peer) {
        self.count("censuses");
        let row = |(session, row): (&i64, &super::store::Row)| Buried {
            classroom: row.room,
            agent_id: row.agent.as_str().into(),
            session: *session,
            is_over: false,
        };
        let rows: Vec<Buried> = self.store.rows.iter().map(row).collect();
        let former = mem::replace(&mut self.looks.last, rows.clone());
        let rows = if self.strikes(Fault::StaleCensus, 50) { former } else { rows };
        note!(self, "{peer:?} counts {rows:?}");
        let ring = self.store.newest();
        for shard in self.shards_of(peer) {
            self.send_parts((peer, shard), &ring, &rows);
        }
    }

    fn send_parts(&mut self, (peer, shard): (Peer, ShardId), ring: &HashRing, rows: &[Buried]) {
        if self.strikes(Fault::LostCensus, 100) {
            return;
        }
        let own: Vec<Buried> = rows.iter().filter(|row| ring.home(row.classroom.as_bytes()) == shard).cloned().collect();
        let parts = own.len().div_ceil(PART).max(1);
        for part in 0..parts {
            let rows = own.iter().skip(part * PART).take(PART).cloned().collect();
            let census = Census { read_at: self.now.moment, part: part as u32, is_last: part + 1 == parts, rows };
            self.looks.parts.push((peer, shard, Answer::Census(ring.view().number(), Box::new(census))));
        }
    }

    /// The first part that is for a shard that the dice choose comes to it. Whether there was one.
    pub(crate) fn a_part_comes(&mut self) -> bool {
        if self.looks.parts.is_empty() {
            return false;
        }
        let chosen = self.dice.below(self.looks.parts.len());
        let (peer, shard, _) = self.looks.parts[chosen];
        let at = self.looks.parts.iter().position(|(own, to, _)| (*own, *to) == (peer, shard)).unwrap_or(chosen);
        let (_, _, census) = self.looks.parts.remove(at);
        note!(self, "to {peer:?} {shard}: {census:?}");
        let now = self.now;
        if let Some(engine) = self.feed(peer, shard) {
            engine.answer(census, now);
        }
        true
    }

    /// Somebody's row is not there any more, and nobody knows why. Who buries his node does not find him: nobody may hear that he left.
    pub(crate) fn a_row_is_lost(&mut self) {
        let sessions: Vec<i64> = self.store.rows.keys().copied().collect();
        if !sessions.is_empty() {
            let session = *self.dice.pick(&sessions);
            note!(self, "the row {session} is lost");
            let Some(room) = self.store.rows.remove(&session).map(|row| row.room) else { return };
            self.students.values_mut().filter(|student| student.room == room).for_each(|student| student.is_blurred = true);
            self.looks.bereaved.insert(room);
        }
    }

    /// Whether somebody who comes to a room now may see another picture of it than the one who looks on.
    pub(crate) fn is_blurred(&self, room: ClassroomId) -> bool {
        self.censuses == Censuses::AmongTheDying && (self.looks.bereaved.contains(&room) || !self.all_know())
    }

    /// All look as often as it takes to be certain of what is odd.
    pub(crate) fn all_count(&mut self) {
        if self.censuses != Censuses::AmongTheDying {
            return;
        }
        for _ in 0..3 {
            self.advance(Duration::from_secs(1));
            self.living().into_iter().for_each(|peer| self.count_rows(peer));
            self.come_to_rest();
        }
        // Whoever was closed to come again has left, and that is told.
        self.advance(Duration::from_secs(1));
        self.come_to_rest();
        self.store.orphaned.clear();
    }

    /// Where nobody has died nobody is without his row. A row of nobody there may be, whose end the store has still to hear of.
    pub(crate) fn check_censuses(&mut self) {
        let odd = |engine: &Engine| (engine.counters().stray_rows.read(), engine.counters().rowless_members.read());
        let odd: Vec<_> = self.all_shards().into_iter().filter_map(|(peer, shard)| self.engine(peer, shard).map(odd)).collect();
        let (rows, members) = odd.into_iter().fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        if self.censuses == Censuses::AmongTheLiving {
            assert_eq!(members, 0, "somebody who is there was taken for one without a row");
        }
        (0..rows).for_each(|_| self.count("rows of nobody"));
        (0..members).for_each(|_| self.count("members without a row"));
    }
}
