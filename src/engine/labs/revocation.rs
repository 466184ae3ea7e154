//! Revoked tokens: each shard has all of them. One more is told to every shard, and whoever revoked it is answered only when all of them act
//! by it.

use super::super::{Engine, Letter};
use crate::{
    protocols::labs::{asks::Reply, record::Kept},
    realtime::{Now, ShardId, UnixMicros},
};
use std::collections::HashMap;
use uuid::Uuid;

/// One on its way to all shards.
struct Telling {
    /// How many have not yet said that they act by it.
    missing: u16,
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
    pub(super) fn tell_revoked(&mut self, (token, expires_at): (Uuid, UnixMicros), asker: Option<(ShardId, u64)>) {
        let shards = self.ring.shards();
        let revocations = &mut self.labs.revocations;
        revocations.last += 1;
        let telling = revocations.last;
        revocations.waiting.insert(telling, Telling { missing: shards, asker });
        for shard in 0..shards {
            self.post(ShardId(shard), Letter::Revoked { from: self.id, telling, token, expires_at });
        }
    }

    /// Another shard, or this one, tells of a revocation.
    pub(in crate::engine) fn token_revoked(
        &mut self,
        (from, telling): (ShardId, u64),
        (token, expires_at): (Uuid, UnixMicros),
        now: Now,
    ) {
        self.labs.revoked.add(token, expires_at, now.wall);
        self.end_watchers(token, now);
        self.post(from, Letter::RevokedHeard { telling });
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
