//! What a worker of a run of tasks is told to do. A user with all his sockets belongs to one worker, so that a worker can hold what they
//! hear against each other; what admins hear of other workers' users is compared in sum.

use super::plan::Plan;
use crate::{quiz::order::Secret, wire::http::Target};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, time::Duration};

/// A worker's part of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct OfficeOrder {
    /// Which worker this is, from 0.
    pub(crate) worker: u32,
    /// How many there are.
    pub(crate) workers: u32,
    /// The WebSocket route; the REST routes are beside it.
    pub(crate) target: Target,
    /// The tokens of this worker's users: number i of the run is this worker's when i % workers is its own number.
    pub(crate) users: Vec<Secret>,
    /// The tokens of this worker's admins.
    pub(crate) admins: Vec<Secret>,
    /// How many sockets all admins of the run have.
    pub(crate) admin_sockets: u64,
    /// Who asks for what, and when.
    pub(crate) plan: Plan,
    /// Tells this run's tasks from others.
    pub(crate) run: u64,
    /// Who does the tasks.
    pub(crate) agent: String,
    /// With which model; none: the agent's own.
    pub(crate) model: Option<String>,
    /// What is to be done.
    pub(crate) task: String,
    /// What is executed.
    pub(crate) course: Option<Course>,
    /// How long behind its pending a task is cancelled.
    pub(crate) cancel_after: Duration,
    /// For one request, one step of a socket, one task.
    pub(crate) timeout: Duration,
    /// Fixes masks.
    pub(crate) seed: u64,
    /// Source addresses; the kernel's choice without.
    pub(crate) sources: Vec<IpAddr>,
}

/// A workflow.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Course {
    /// Its id.
    pub(crate) workflow: String,
    /// The ids of its steps, in their order.
    pub(crate) steps: Vec<String>,
    /// Whether they are done one after the other.
    pub(crate) is_chain: bool,
}

impl OfficeOrder {
    /// How many sockets this worker has: its users', then its admins'.
    pub(crate) fn sockets(&self) -> usize {
        (self.users.len() + self.admins.len()) * self.plan.sockets as usize
    }

    /// How many connections it has open at once: each user has one for REST, too.
    pub(crate) fn places(&self) -> u64 {
        (self.sockets() + self.users.len()) as u64
    }

    /// The place among this worker's users of a user of the run; none: he is another's.
    pub(crate) fn own(&self, user: u32) -> Option<u32> {
        (user % self.workers == self.worker).then_some(user / self.workers)
    }

    /// The number in the run of this worker's user of that place.
    pub(crate) fn user(&self, place: u32) -> u32 {
        place * self.workers + self.worker
    }
}
