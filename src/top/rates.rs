//! What has happened between two looks.

use super::looks::{Look, Shard};
use serde::Serialize;
use std::collections::BTreeMap;

/// A look, and what has changed since the one before.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    pub(super) look: Look,
    pub(super) rates: Rates,
}

/// What happens a second; none where nobody knows: at the first look, of a server that was started anew, of a shard that is silent.
#[derive(Clone, PartialEq, Default, Debug, Serialize)]
pub struct Rates {
    /// Of so much time; none: there was no look before.
    pub over_seconds: Option<f64>,
    pub(super) shards: Vec<ShardRates>,
    /// Sockets closed a second, by code.
    pub(super) closed: BTreeMap<String, Option<f64>>,
}

#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub(super) struct ShardRates {
    pub(super) shard: u16,
    /// The part of its core that its thread took, 0 to 1.
    pub(super) cpu_share: Option<f64>,
    pub(super) turns: Option<f64>,
    pub(super) accepted: Option<f64>,
    pub(super) messages: Option<f64>,
    pub(super) delivered: Option<f64>,
    pub(super) dropped: Option<f64>,
    pub(super) sends: Option<f64>,
}

impl Seen {
    /// This look, behind that one.
    pub fn new(former: Option<&Look>, look: Look) -> Seen {
        Seen { rates: Rates::between(former, &look), look }
    }

    /// What happens a second.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// The look itself, for the next one.
    pub fn look(&self) -> &Look {
        &self.look
    }
}

impl Rates {
    fn between(former: Option<&Look>, look: &Look) -> Rates {
        let former = former.filter(|former| former.status.started_at == look.status.started_at);
        let over_s = former.map(|former| look.load.at_seconds - former.load.at_seconds).filter(|over_s| *over_s > 0.0);
        let before = former.filter(|_| over_s.is_some()).map(|former| &former.load);
        let of_shard = |shard: &Shard| {
            let former = before.and_then(|load| load.shards.iter().find(|former| former.shard == shard.shard));
            ShardRates::between(former, shard, over_s.unwrap_or(1.0))
        };
        let closed = |(code, count): (&String, &u64)| {
            let former = before.map(|load| load.closed.get(code).copied().unwrap_or_default());
            (code.clone(), former.and_then(|former| a_second(former, *count, over_s?)))
        };
        Rates {
            over_seconds: over_s,
            shards: look.load.shards.iter().map(of_shard).collect(),
            closed: look.load.closed.iter().map(closed).collect(),
        }
    }
}

impl ShardRates {
    fn between(former: Option<&Shard>, shard: &Shard, over_s: f64) -> ShardRates {
        let of = |count: fn(&Shard) -> u64| former.and_then(|former| a_second(count(former), count(shard), over_s));
        let worked_s = former.and_then(|former| Some(shard.worked_seconds? - former.worked_seconds?));
        ShardRates {
            shard: shard.shard,
            // Its thread's time is read a moment before the clock.
            cpu_share: worked_s.filter(|worked_s| *worked_s >= 0.0).map(|worked_s| (worked_s / over_s).min(1.0)),
            turns: of(|shard| shard.turns),
            accepted: of(|shard| shard.accepted),
            messages: of(|shard| shard.messages),
            delivered: of(|shard| shard.delivered),
            dropped: of(|shard| shard.dropped),
            sends: of(|shard| shard.sends),
        }
    }
}

/// A count that has become less is another one.
fn a_second(former: u64, count: u64, over_s: f64) -> Option<f64> {
    count.checked_sub(former).map(|more| more as f64 / over_s)
}
