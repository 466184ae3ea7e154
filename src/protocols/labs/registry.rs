//! The registry of labs: the one writer of agents, sessions and commands. Letters in, outcomes out, and the times that it keeps.

use super::{
    asks::Reply,
    letters::{FromRegistry, ToRegistry},
    record::{Kept, Loaded, Record},
    settings::Settings,
};
use crate::realtime::{ConnId, Frame, Moment, Now, ShardId, StoreFault};

/// What the registry wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Outcome {
    /// Say this to a connection.
    Tell(ConnId, FromRegistry),
    /// Deliver a whole frame to an agent's connection, behind what it was told before.
    Deliver(ConnId, Frame),
    /// Write a record; answer [`Registry::kept`] with this ticket, once.
    Keep {
        /// To be given back.
        ticket: u64,
        /// The change.
        record: Record,
    },
    /// Answer a REST ask.
    Reply {
        /// On which shard it waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// The answer.
        reply: Box<Reply>,
    },
}

/// How much there is of what, for gauges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Levels {
    /// Agents that are known.
    pub agents: usize,
    /// Those that are online.
    pub online: usize,
    /// Sessions that are not terminated.
    pub sessions: usize,
    /// Those that have a place at an agent.
    pub places: usize,
    /// Commands that are neither completed nor failed.
    pub commands: usize,
    /// Viewers.
    pub viewers: usize,
    /// REST asks that wait.
    pub waiting: usize,
    /// Records on their way to disk.
    pub writing: usize,
    /// Timers that run.
    pub timers: usize,
}

/// See the file.
pub struct Registry {
    _settings: Settings,
}

impl Registry {
    /// Knows nobody. `seed` is another at each start and known to nobody: ids of agents and commands come from it.
    pub fn new(settings: Settings, _seed: u64, _start: Moment) -> Registry {
        Registry { _settings: settings }
    }

    /// At start, before anything else: what the store has. Agents are offline until they return.
    pub fn begin(&mut self, _loaded: Loaded, _now: Now, _out: &mut Vec<Outcome>) {}

    /// Takes a letter.
    pub fn letter(&mut self, _letter: ToRegistry, _now: Now, _out: &mut Vec<Outcome>) {}

    /// The store answered to [`Outcome::Keep`].
    pub fn kept(&mut self, _ticket: u64, _result: Result<Kept, StoreFault>, _now: Now, _out: &mut Vec<Outcome>) {}

    /// Turns the wheel.
    pub fn turn(&mut self, _now: Now, _out: &mut Vec<Outcome>) {}

    /// No later than the earliest time that the registry keeps.
    pub fn next_deadline(&self) -> Option<Moment> {
        None
    }

    /// For gauges.
    pub fn levels(&self) -> Levels {
        Levels::default()
    }
}
