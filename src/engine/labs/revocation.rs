//! Rights that were taken away: each shard knows the tokens that were revoked, the admins, and who may not sign in. A change is told to
//! every shard, and whoever made it is answered only when all of them act by it.

use super::{
    super::{Connection, Engine, Letter, Phase},
    keeping::busy,
};
use crate::{
    protocols::labs::{Event, Revocation, UserId, asks::Reply, record::Kept},
    realtime::{Moment, Now, ShardId},
};
use std::collections::{BTreeMap, BTreeSet};

/// One on its way to all shards.
struct Telling {
    /// Those that have not yet said that they act by it.
    missing: BTreeSet<ShardId>,
    what: Revocation,
    /// Who waits for that, and under which number.
    asker: Option<(ShardId, u64)>,
    /// When they are to be told that not all have heard of it.
    due: Moment,
}

/// Those that this shard wrote and is telling of.
#[derive(Default)]
pub(super) struct Revocations {
    last: u64,
    waiting: BTreeMap<u64, Telling>,
}

impl Revocations {
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.waiting.values().find(|telling| telling.asker.is_some()).map(|telling| telling.due)
    }

    /// Whether one is being told of that concerns such a user.
    pub(super) fn user_moving(&self, is_another: impl Fn(UserId) -> bool) -> bool {
        self.waiting.values().any(|telling| telling.what.user().is_some_and(&is_another))
    }
}

impl Engine {
    /// A revocation is on disk: tells every shard, this one too, before it answers.
    pub(super) fn tell_revoked(&mut self, what: Revocation, asker: Option<(ShardId, u64)>, now: Now) {
        let missing = self.ring.shards().collect();
        let due = now.moment + self.rules.labs.keep_timeout;
        let revocations = &mut self.labs.revocations;
        revocations.last += 1;
        let telling = revocations.last;
        revocations.waiting.insert(telling, Telling { missing, what, asker, due });
        for shard in self.ring.shards() {
            self.post(shard, Letter::Revoked { from: self.id, telling, what });
        }
    }

    /// As [`Engine::retell_keys`].
    pub(in crate::engine) fn retell_revocations(&mut self) {
        let (view, own) = (self.ring.view().clone(), self.id);
        let mut again = Vec::new();
        for (telling, waiting) in &mut self.labs.revocations.waiting {
            waiting.missing.retain(|shard| view.has(*shard));
            let far = waiting.missing.iter().filter(|shard| shard.node() != own.node());
            again.extend(far.map(|shard| (*shard, Letter::Revoked { from: own, telling: *telling, what: waiting.what })));
        }
        again.into_iter().for_each(|(shard, letter)| self.post(shard, letter));
        self.end_revocations();
    }

    /// Another shard, or this one, tells of a revocation.
    pub(in crate::engine) fn revoked_hears(&mut self, (from, telling): (ShardId, u64), what: Revocation, now: Now) {
        if let (Some(doubt), Some(user)) = (&mut self.labs.doubt, what.user()) {
            doubt.heard_of(user);
        }
        self.act_by(what, now);
        self.post(from, Letter::RevokedHeard { telling });
    }

    /// Somebody's right is another from now on.
    pub(super) fn act_by(&mut self, what: Revocation, now: Now) {
        match what {
            Revocation::Token { token, expires_at } => {
                self.labs.revoked.add(token, expires_at, now);
                self.end_watchers(token, now);
            }
            Revocation::User(standing) => {
                self.labs.standings.set(standing);
                if standing.takes_away() {
                    self.end_sockets_of(standing.user, now);
                    self.end_chats_of(standing.user, now);
                    self.end_tasks_of(standing.user, now);
                }
            }
        }
    }

    /// Tells those who have waited too long that not every shard has heard yet. All will, or their node is buried.
    pub(super) fn give_up_telling(&mut self, now: Now) {
        let late = self.labs.revocations.waiting.values_mut().filter(|telling| telling.due <= now.moment);
        let askers: Vec<_> = late.filter_map(|telling| telling.asker.take()).collect();
        askers.into_iter().for_each(|(asker, number)| self.reply_labs(asker, number, busy()));
    }

    /// A user may less than before: whoever may still see something comes again.
    fn end_sockets_of(&mut self, user: UserId, now: Now) {
        for key in self.labs.watchers.values().flatten().copied().collect::<Vec<_>>() {
            if let Some(Connection { phase: Phase::Labs(seat), .. }) = self.connections.at(key)
                && seat.user == Some(user)
            {
                self.labs_event(key, Event::Revoked, now);
            }
        }
    }

    /// A shard acts by a revocation.
    pub(in crate::engine) fn revocation_heard(&mut self, shard: ShardId, telling: u64) {
        let Some(told) = self.labs.revocations.waiting.get_mut(&telling) else { return };
        told.missing.remove(&shard);
        if told.missing.is_empty() {
            self.end_revocations();
            self.say_reached();
        }
    }

    /// Answers whoever waits for a revocation that all have heard of.
    fn end_revocations(&mut self) {
        let waiting = &mut self.labs.revocations.waiting;
        for (_, told) in waiting.extract_if(.., |_, told| told.missing.is_empty()).collect::<Vec<_>>() {
            if let Some((asker, number)) = told.asker {
                self.reply_labs(asker, number, Box::new(Reply::Kept(Kept::Done)));
            }
        }
    }
}
