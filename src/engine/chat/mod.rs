//! Chat, wired to the shard: its sockets, the sessions that have their home here, who waits for an answer over HTTP, and the limits.

mod asks;
mod crossing;
mod home;
mod passage;
mod seat;
mod sockets;

use super::{
    Birth, Engine, Rules,
    asks::Asks,
    ids::{Ids, Kind},
};
use crate::{
    protocols::chat::{Effect, Homes, Levels, Outcome, Quotas, Reply, UserId, model::Caller},
    realtime::{Counted, Histogram, Moment, Now, UnixMicros, table::Key},
};
use asks::{Followers, Repeats};
use crossing::Elsewhere;
pub(super) use passage::Carriage;
use seat::Judge;
pub(super) use seat::Seat;
use smallvec::SmallVec;
use std::{cell::Cell, collections::HashMap, sync::Arc, time::Duration};

/// The homes' levels are counted anew no more often.
const LEVELS_EVERY: Duration = Duration::from_secs(1);

/// What a shard has of chat.
pub(super) struct Chat {
    homes: Homes,
    quotas: Quotas,
    asks: Asks<Reply>,
    counts: Asks<Counted>,
    repeats: Repeats,
    followers: Followers,
    elsewhere: Elsewhere,
    ids: Ids,
    /// Whose sockets are here.
    watchers: HashMap<UserId, SmallVec<[Key; 2]>>,
    sockets: usize,
    effects: Vec<Effect>,
    outcomes: Vec<Outcome>,
    levels_at: Moment,
}

impl Chat {
    /// From now on these count.
    pub(super) fn reform(&mut self, rules: &Rules) {
        self.homes.reform(rules.chat.clone(), rules.catalog.clone());
        self.quotas.reform(&rules.chat);
    }

    pub(super) fn new(birth: Birth, rules: &Rules, first_words: Arc<Histogram>) -> Chat {
        let mut homes = Homes::new(rules.chat.clone(), rules.catalog.clone(), birth.seed, birth.start);
        homes.note_first_words(first_words);
        Chat {
            homes,
            quotas: Quotas::new(&rules.chat, birth.seed),
            asks: Asks::new(birth.seed),
            counts: Asks::new(birth.seed),
            repeats: Repeats::default(),
            followers: Followers::default(),
            elsewhere: Elsewhere::default(),
            ids: Ids::new(birth, Kind::Chat),
            watchers: HashMap::new(),
            sockets: 0,
            effects: Vec::new(),
            outcomes: Vec::new(),
            levels_at: birth.start,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.homes.next_deadline()
    }

    pub(super) fn timers(&self) -> usize {
        self.homes.timers()
    }
}

impl Engine {
    /// Whose token this is, if it is good at `now`.
    pub fn caller(&self, token: &str, now: UnixMicros) -> Option<Caller> {
        Judge { key: &self.rules.callers, labs: &self.labs, now, found: Cell::default() }.caller(token)
    }

    pub(super) fn draw_chat_levels(&mut self, now: Now) {
        let (chat, counters) = (&mut self.chat, &self.counters);
        counters.chat_sockets.set(chat.sockets);
        counters.chat_followers.set(chat.followers.len());
        counters.models_played.set(self.models.played());
        counters.models_asked.set(self.models.asked());
        if now.moment < chat.levels_at {
            return;
        }
        chat.levels_at = now.moment + LEVELS_EVERY;
        let Levels { sessions, answers, approvals, writing } = chat.homes.levels();
        counters.chat_sessions.set(sessions);
        counters.chat_answers.set(answers);
        counters.chat_approvals.set(approvals);
        counters.chat_writing.set(writing);
    }
}
