//! What a worker is told to do: everything it needs, so that it could stand on another host.

use crate::{tempo::Tempo, wire::http::Target};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, fmt, net::IpAddr, time::Duration};
use uuid::Uuid;

/// A worker's part of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Which worker this is, from 0.
    pub(crate) worker: u32,
    /// How many there are.
    pub(crate) workers: u32,
    /// The WebSocket route.
    pub(crate) target: Target,
    /// What becomes of a connection that has signed in.
    pub(crate) fate: Fate,
    /// Sign-ins of the whole run. Number i is this worker's when i % workers is its own number.
    pub(crate) sign_ins: u64,
    /// Rooms; sign-in number i goes to room i % classrooms.
    pub(crate) classrooms: u32,
    /// Fixes room ids, masks and the order of things.
    pub(crate) seed: u64,
    /// Sign-ins a second of the whole run; as fast as it goes without.
    pub(crate) rate: Option<f64>,
    /// At most so many of this worker's sign-ins at once.
    pub(crate) in_flight: u32,
    /// For one sign-in, one close, one publish.
    pub(crate) timeout: Duration,
    /// Source addresses; the kernel's choice without.
    pub(crate) sources: Vec<IpAddr>,
    /// What the students sign in with.
    pub(crate) credentials: Credentials,
    /// How far apart the Pings of one connection should be, where a hold looks at that. Arrivals are stamped by the kernel.
    pub(crate) pings_every: Option<Duration>,
    /// What is published while they are in.
    pub(crate) publishing: Option<Publishing>,
    /// How everybody drops and comes back.
    pub(crate) storm: Option<Storm>,
    /// Who reads slowly.
    pub(crate) slow: Option<Slow>,
    /// In the end they go evenly over this; at once without.
    pub(crate) leave_within: Option<Duration>,
}

/// Who reads slowly, and when.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Slow {
    /// How many of the run's members.
    pub(crate) members: u64,
    /// What each of them reads, bytes a second; without it nothing.
    pub(crate) rate: Option<f64>,
    /// What the kernel may keep for each of them, bytes; without it as much as it likes.
    pub(crate) receive_buffer: Option<u32>,
    /// So long everybody reads, and so long they do not.
    pub(crate) before: Duration,
    pub(crate) lasting: Duration,
}

/// How everybody drops and comes back.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Storm {
    /// Everybody is meant to be back in this.
    pub(crate) within: Duration,
    /// When in it.
    pub(crate) returns: Returns,
    /// How a connection ends.
    pub(crate) breaks: Break,
    /// So many in each room stay.
    pub(crate) stay: u32,
}

/// When those who dropped are meant to be back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Returns {
    /// One after the other, at equal distances.
    Even,
    /// All in the first moment: each as soon as the limit of sign-ins in flight lets it.
    AtOnce,
    /// Most soon, the last ones late: exponentially distributed, two thirds in the first fifth.
    Soon,
}

/// How a connection is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Break {
    /// By a Close frame.
    Close,
    /// By a reset of TCP, without a word.
    Reset,
}

/// What becomes of a connection that has signed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Fate {
    /// It stays until all are told to close.
    Stay,
    /// It is closed at once, and its place is used again.
    Leave,
}

/// Publishes through the internal listener.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Publishing {
    /// The internal listener.
    pub(crate) target: Target,
    /// When the next one is due.
    pub(crate) pace: Pace,
    /// Bytes of each delivered text.
    pub(crate) bytes: usize,
    /// How long; without it until the stage that ends it.
    pub(crate) lasting: Option<Duration>,
}

/// When a publish is due.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// So many a second over the whole run, whatever the server does.
    Rate(Tempo),
    /// As soon as fewer than so many of this worker's are unanswered or not yet heard by all its members of the room.
    Saturate(u32),
}

/// Where tokens come from. Never printed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Credentials {
    /// One for each sign-in of this worker, in order.
    Tokens(Vec<String>),
    /// Made here: HS256, one subject a student.
    Key {
        /// The shared secret.
        secret: Vec<u8>,
        /// `iss`.
        issuer: String,
        /// `aud`.
        audience: String,
        /// `exp`, seconds since 1970.
        expires: u64,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Tokens(tokens) => write!(f, "{} tokens", tokens.len()),
            Credentials::Key { issuer, audience, .. } => write!(f, "a key of {issuer} for {audience}"),
        }
    }
}

impl Order {
    /// How many of `total` things, dealt out one by one, fall to this worker.
    pub(crate) fn share(&self, total: u64) -> u64 {
        share(total, self.worker, self.workers)
    }

    /// The number in the whole run of this worker's sign-in number `own`.
    pub(crate) fn number(&self, own: u64) -> u64 {
        u64::from(self.worker) + own * u64::from(self.workers)
    }

    /// Whether sign-in number `number` stays in its room while others drop.
    pub(crate) fn stays(&self, number: u64) -> bool {
        self.storm.is_some_and(|storm| number / u64::from(self.classrooms.max(1)) < storm.stay.into())
    }

    /// The numbers of the sign-ins whose members read slowly: one of each equal part of all, at a place that the seed fixes, so that they
    /// are spread over the rooms.
    pub(crate) fn slow(&self) -> HashSet<u64> {
        let Some(slow) = self.slow.filter(|slow| slow.members > 0) else { return HashSet::new() };
        let start = |part: u64| part * self.sign_ins / slow.members;
        let pick = |part: u64| start(part) + mix(self.seed ^ mix(part)) % (start(part + 1) - start(part)).max(1);
        (0..slow.members).map(pick).collect()
    }

    /// Whether what each member hears is held against what was published while it was in.
    pub(crate) fn is_kept(&self) -> bool {
        self.storm.is_some() || self.slow.is_some()
    }

    /// The room of the run's sign-in number `number`.
    pub(crate) fn room(&self, number: u64) -> u32 {
        (number % u64::from(self.classrooms.max(1))) as u32
    }
}

/// How many of `total` things, dealt out one by one, fall to `worker` of `workers`.
pub(crate) fn share(total: u64, worker: u32, workers: u32) -> u64 {
    (total + u64::from(workers) - 1 - u64::from(worker)) / u64::from(workers.max(1))
}

/// The id of room number `room`: the same for the same seed, and a valid version 4 UUID.
pub(crate) fn classroom(seed: u64, room: u32) -> Uuid {
    let high = mix(seed ^ mix(u64::from(room)));
    uuid::Builder::from_random_bytes(((u128::from(high) << 64) | u128::from(mix(high))).to_be_bytes()).into_uuid()
}

/// SplitMix64 (Steele, Lea, Flood 2014): a number whose every bit depends on every bit of `state`.
pub(crate) fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn shares_add_up_to_the_whole() {
        for (total, workers) in [(0, 1), (1, 3), (15_000, 4), (15_001, 4), (7, 8)] {
            assert_eq!((0..workers).map(|worker| share(total, worker, workers)).sum::<u64>(), total);
        }
    }

    #[test]
    fn rooms_are_distinct_and_fixed_by_the_seed() {
        let rooms: HashSet<_> = (0..10_000).map(|room| classroom(7, room)).collect();
        assert_eq!(rooms.len(), 10_000);
        assert_eq!(classroom(7, 3), classroom(7, 3));
        assert_ne!(classroom(7, 3), classroom(8, 3));
    }
}
