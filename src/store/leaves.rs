//! Leaves that wait to be written, in their order. Sign-ins and answers go before them: nobody waits for a leave.

use crate::{protocols::presence::record::Leaving, realtime::UnixMicros};
use hashbrown::{HashMap, hash_map::Entry};
use std::collections::VecDeque;

/// Leaves in a batch with others: nothing that is answered waits longer for them than for a commit.
const BESIDE_OTHERS: usize = 256;

/// Leaves in a batch of their own: whoever asks meanwhile waits for these.
const ALONE: usize = 1024;

/// When more wait than this, each batch writes as many as it begins sessions: what comes and goes faster than all can be written must not
/// grow for ever.
const BACKLOG: usize = 32_768;

/// The leaves that are not on disk, some 80 bytes each. There are at most as many as sessions were begun.
#[derive(Default)]
pub(super) struct Leaves {
    waiting: VecDeque<Leaving>,
    /// Of each session in `waiting`: its leave's number, and when it left.
    by_session: HashMap<i64, (u64, UnixMicros)>,
    taken: u64,
}

impl Leaves {
    pub(super) fn push(&mut self, leaving: Leaving) {
        match self.by_session.entry(leaving.session) {
            // A session ends once.
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert((self.taken, leaving.at));
                self.waiting.push_back(leaving);
                self.taken += 1;
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many have come so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether the first `taken` of all that ever came are on disk.
    pub(super) fn are_written(&self, taken: u64) -> bool {
        self.taken - self.waiting.len() as u64 >= taken
    }

    /// How many belong into a batch with so many others, `enters` of which begin a session.
    pub(super) fn share(&self, others: usize, enters: usize) -> usize {
        let share = match others {
            0 => ALONE,
            _ if self.waiting.len() > BACKLOG => BESIDE_OTHERS.max(enters),
            _ => BESIDE_OTHERS,
        };
        share.min(self.waiting.len())
    }

    /// The oldest, in their order.
    pub(super) fn first(&self, count: usize) -> impl Iterator<Item = Leaving> {
        self.waiting.iter().take(count).copied()
    }

    /// When this session left, where that waits to be written and was among the first `taken`.
    pub(super) fn left(&self, session: i64, taken: u64) -> Option<UnixMicros> {
        self.by_session.get(&session).filter(|(number, _)| *number < taken).map(|(_, at)| *at)
    }

    /// The oldest are on disk.
    pub(super) fn written(&mut self, count: usize) {
        for leaving in self.waiting.drain(..count) {
            self.by_session.remove(&leaving.session);
        }
        if self.waiting.is_empty() {
            // A mass is over: its memory is given back.
            self.waiting.shrink_to(ALONE);
            self.by_session.shrink_to(ALONE);
        }
    }
}
