//! How the system is: how many tasks are at work and how many wait, over all shards, and how its parts are.
//!
//! Each shard tells the counts of its own tasks to one of them, which sums them and tells all. Both tell at once what has not changed for
//! [`LAG`], and else once in so long: so a number is no older than two of these, and however much happens, little is said.
//!
//! Where there are other nodes the one that sums asks the store instead, whenever it is told that something has changed: a task that waits
//! for people is in nobody's memory, and a node that dies takes what it counted with it.

use super::model::{self, Task};
use crate::realtime::{Moment, ShardId, Wheel};
use hashbrown::HashMap;
use std::{sync::Arc, time::Duration};

/// See the file.
pub const LAG: Duration = Duration::from_millis(250);
/// The name by which the ring finds the shard that sums.
pub const HOME: &[u8] = b"status";

/// Tasks by what they do.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Counts {
    /// In progress or being verified.
    pub active: u64,
    /// Pending.
    pub pending: u64,
}

impl Counts {
    /// A task moves from one status to the other; none: it was not there, or is no more.
    fn moves(&mut self, from: Option<model::Status>, to: Option<model::Status>) {
        if let Some(count) = from.and_then(|status| self.of(status)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = to.and_then(|status| self.of(status)) {
            *count += 1;
        }
    }

    fn of(&mut self, status: model::Status) -> Option<&mut u64> {
        match status {
            model::Status::Pending => Some(&mut self.pending),
            model::Status::InProgress | model::Status::Verifying => Some(&mut self.active),
            model::Status::Completed | model::Status::Failed => None,
        }
    }
}

/// The counts of one shard's own tasks.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    /// How often a task has moved from one status to another. A task that another shard counted moves here too, so that counts alone do
    /// not tell it.
    pub(super) changes: u64,
}

impl Tally {
    /// As [`Counts::moves`].
    pub(super) fn moves(&mut self, from: Option<model::Status>, to: Option<model::Status>) {
        self.changes += u64::from(from != to);
        self.counts.moves(from, to);
    }

    /// A task that was there when the process began.
    pub(super) fn add(&mut self, task: &Task) {
        self.moves(None, Some(task.status));
    }
}

/// How the parts are, as the house says it to every shard when it changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// `api_status`.
    pub api: Arc<str>,
    /// `database_status`.
    pub database: Arc<str>,
    /// `vector_db_status`.
    pub vector_db: Arc<str>,
    /// `model_service_status`.
    pub model_service: Arc<str>,
}

impl Default for Health {
    /// All operational.
    fn default() -> Health {
        let fine: Arc<str> = "operational".into();
        Health { api: fine.clone(), database: fine.clone(), vector_db: fine.clone(), model_service: fine }
    }
}

/// `system_status`, as far as a shard knows it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Status {
    /// Over all shards.
    pub counts: Counts,
    /// How the parts are.
    pub health: Health,
}

/// Lets something be told at once, and then no more often than once in [`LAG`].
#[derive(Default, Debug)]
pub(super) struct Throttle {
    told: Option<Moment>,
    is_waiting: bool,
}

impl Throttle {
    /// Whether it may be told now; if not, it may be when the timer fires.
    pub(super) fn lets<K: Copy>(&mut self, now: Moment, timer: K, wheel: &mut Wheel<K>) -> bool {
        if self.is_waiting {
            return false;
        }
        let may = self.told.map_or(now, |told| told + LAG);
        match may <= now {
            true => self.told = Some(now),
            false => {
                wheel.set(may, timer);
                self.is_waiting = true;
            }
        }
        may <= now
    }

    pub(super) fn fired(&mut self) {
        self.is_waiting = false;
    }
}

/// The counts of every shard, at the one that sums them.
#[derive(Default, Debug)]
pub(super) struct Sum {
    shards: HashMap<ShardId, Counts>,
    pub(super) throttle: Throttle,
    /// Something has changed since the store was asked.
    pub(super) is_due: bool,
    /// The store is asked.
    pub(super) is_asked: bool,
    /// All are to be told, whether it is another number or not.
    pub(super) is_wanted: bool,
}

impl Sum {
    pub(super) fn put(&mut self, shard: ShardId, counts: Counts) {
        self.shards.insert(shard, counts);
    }

    pub(super) fn total(&self) -> Counts {
        self.shards.values().fold(Counts::default(), |sum, counts| Counts {
            active: sum.active + counts.active,
            pending: sum.pending + counts.pending,
        })
    }
}
