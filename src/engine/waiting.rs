//! Letters for homes that have come here: they wait until every shard has reached the view.

use super::{Engine, Letter, crossing::WAITING};
use crate::realtime::{HashRing, Now, ShardId};
use std::mem;

impl Engine {
    /// Whether no more letters may wait for homes that have come here.
    pub(super) fn has_no_room(&self) -> bool {
        self.crossing.waiting.len() >= WAITING
    }

    /// Lets a letter for a home that has come here wait until the view is reached. Of too many the last are lost: whoever asks gives up in
    /// time, and whoever listens is found to be gone by the next Ping.
    pub(super) fn wait(&mut self, from: ShardId, letter: Letter) {
        if self.crossing.waiting.len() < WAITING {
            self.crossing.waiting.push_back((from, letter));
        }
    }

    /// Whether a shard is the home of this, and has been since it said what it says: one that was before and is again has been told anew,
    /// and answers anew.
    pub(super) fn speaks_as_home(&self, from: ShardId, place: &[u8]) -> bool {
        let (view, is_home) = (self.ring.view().number(), |ring: &HashRing| ring.home(place) == from);
        is_home(&self.ring) && self.crossing.has_been_since(from, view, is_home)
    }

    /// Another view has begun. Rooms and quizzes for which something waits may be at home elsewhere by now, and here again by the next
    /// view: what is for them does not wait for that. Whoever has sent it says it again, or what he said after it was not heard either.
    pub(super) fn wait_again(&mut self, now: Now) {
        self.crossing.asking.clear();
        for (from, letter) in mem::take(&mut self.crossing.waiting) {
            if matches!(letter, Letter::Home(_) | Letter::QuizHome(_)) {
                self.read(from, letter, now);
            } else {
                self.crossing.waiting.push_back((from, letter));
            }
        }
    }
}
