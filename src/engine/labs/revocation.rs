//! Rights that were taken away: each shard knows the tokens that were revoked, the admins, and who may not sign in. A change is told to
//! every shard, and whoever made it is answered only when all of them act by it.

use super::super::{Connection, Engine, Letter, Phase};
use crate::{
    protocols::labs::{Event, Revocation, UserId, asks::Reply, record::Kept},
    realtime::{Now, ShardId},
};
use std::collections::HashMap;

/// One on its way to all shards.
struct Telling {
    /// How many have not yet said that they act by it.
    missing: usize,
    /// Who waits for that, and under which number.
    asker: Option<(ShardId, u64)>,
}

/// Those that this shard wrote and is telling of.
#[derive(Default)]
pub(super) struct Revocations {
    last: u64,
    waiting: HashMap<u64, Telling>,
}

impl Engine {
    /// A revocation is on disk: tells every shard, this one too, before it answers.
    pub(super) fn tell_revoked(&mut self, what: Revocation, asker: Option<(ShardId, u64)>) {
        let missing = self.ring.view().shard_count();
        let revocations = &mut self.labs.revocations;
        revocations.last += 1;
        let telling = revocations.last;
        revocations.waiting.insert(telling, Telling { missing, asker });
        for shard in self.ring.shards() {
            self.post(shard, Letter::Revoked { from: self.id, telling, what });
        }
    }

    /// Another shard, or this one, tells of a revocation.
    pub(in crate::engine) fn revoked_hears(&mut self, (from, telling): (ShardId, u64), what: Revocation, now: Now) {
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
        self.post(from, Letter::RevokedHeard { telling });
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
    pub(in crate::engine) fn revocation_heard(&mut self, telling: u64) {
        let waiting = &mut self.labs.revocations.waiting;
        let Some(told) = waiting.get_mut(&telling) else { return };
        told.missing -= 1;
        if told.missing == 0
            && let Some(Telling { asker: Some((asker, number)), .. }) = waiting.remove(&telling)
        {
            self.reply_labs(asker, number, Box::new(Reply::Kept(Kept::Done)));
        }
    }
}
