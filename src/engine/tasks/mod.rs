//! Tasks, wired to the shard: its sockets and what they listen to, the tasks, executions and users that have their home here, and who waits
//! for an answer over HTTP.

mod admission;
mod asks;
mod crossing;
mod home;
mod interest;
mod listeners;
mod passage;
mod seat;
mod sockets;

use super::{
    Birth, Engine, Rules,
    asks::Asks,
    ids::{Ids, Kind},
};
use crate::{
    protocols::tasks::{Effect, Health, Home, Homes, Levels, Outcome, Reply, Status, record::Loaded},
    realtime::{Frame, Histogram, Moment, Now, ShardId, outbox::Segment, table::Key},
};
use interest::Interests;
use listeners::Listeners;
pub(super) use passage::Carriage;
pub(super) use seat::Seat;
use smallvec::SmallVec;
use std::{collections::HashMap, sync::Arc, time::Duration};
use uuid::Uuid;

/// The homes' levels are counted anew no more often.
const LEVELS_EVERY: Duration = Duration::from_secs(1);

/// What a shard has of tasks.
pub(super) struct Tasks {
    homes: Homes,
    asks: Asks<Reply>,
    /// What other shards have in memory that is at home here, and which.
    kept: HashMap<Home, ShardId>,
    ids: Ids,
    listeners: Listeners,
    interests: Interests,
    /// The sockets of those who have signed in here, by their id.
    watchers: HashMap<Uuid, SmallVec<[Key; 2]>>,
    sockets: usize,
    /// What is being told to listeners, made once for all of them.
    spreading: Option<Segment>,
    effects: Vec<Effect>,
    outcomes: Vec<Outcome>,
    levels_at: Moment,
}

impl Tasks {
    /// From now on these count.
    pub(super) fn reform(&mut self, rules: &Rules) {
        self.homes.reform(rules.tasks.clone(), rules.catalog.clone(), rules.workflows.clone());
    }

    pub(super) fn new(birth: Birth, rules: &Rules, waits: Arc<Histogram>) -> Tasks {
        let (settings, catalog, workflows) = (rules.tasks.clone(), rules.catalog.clone(), rules.workflows.clone());
        let mut homes = Homes::new(settings, catalog, workflows, birth.seed, birth.start);
        homes.note_waits(waits);
        Tasks {
            homes,
            asks: Asks::new(birth.seed),
            kept: HashMap::new(),
            ids: Ids::new(birth, Kind::Tasks),
            listeners: Listeners::new(birth.seed),
            interests: Interests::new(birth.seed),
            watchers: HashMap::new(),
            sockets: 0,
            spreading: None,
            effects: Vec::new(),
            outcomes: Vec::new(),
            levels_at: birth.start,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.homes.next_deadline().into_iter().chain(self.asks.next_deadline()).min()
    }

    pub(super) fn timers(&self) -> usize {
        self.homes.timers()
    }

    /// What is told to many, made once; to one alone, for it.
    fn shared(&self, frame: &Frame) -> Option<Segment> {
        self.spreading.clone().or_else(|| Segment::whole(frame.to_vec()))
    }

    /// Channels with listeners here.
    pub(super) fn channels(&self) -> usize {
        self.listeners.len()
    }
}

impl Engine {
    /// What of tasks was not over when the process began, of which each shard takes its own. To be called once on each shard, before the
    /// first turn; not where there are other nodes: what these do not have in memory is asked for when all have reached a view.
    pub fn begin_tasks(&mut self, loaded: &Loaded, now: Now) {
        let is_here = |id: &Uuid| self.ring.home(id.as_bytes()) == self.id;
        let own = Loaded {
            tasks: loaded.tasks.iter().filter(|task| is_here(&task.id)).cloned().collect(),
            executions: loaded.executions.iter().filter(|execution| is_here(&execution.id)).cloned().collect(),
        };
        self.with_tasks(now, |homes, out| homes.begin(own, now, out));
        self.settle(now);
    }

    /// How the system is, as this shard knows it.
    pub fn system_status(&self) -> &Status {
        self.tasks.homes.status()
    }

    /// How the parts of the system are from now on. To be said to each shard.
    pub fn set_health(&mut self, health: Health, now: Now) {
        self.with_tasks(now, |homes, out| homes.health(health, now, out));
        self.settle(now);
    }

    /// The process is about to stop.
    pub(super) fn tasks_stop(&mut self, now: Now) {
        match self.crossing.is_alone() {
            true => self.with_tasks(now, |homes, out| homes.stop(now, out)),
            false => self.with_tasks(now, |homes, out| homes.stop_among_others(now, out)),
        }
    }

    /// What is due.
    pub(super) fn turn_tasks(&mut self, now: Now) {
        self.with_tasks(now, |homes, out| homes.turn(now, out));
    }

    /// At the end of a turn.
    pub(super) fn draw_tasks_levels(&mut self, now: Now) {
        let (tasks, counters) = (&mut self.tasks, &self.counters);
        counters.tasks_sockets.set(tasks.sockets);
        if now.moment < tasks.levels_at {
            return;
        }
        tasks.levels_at = now.moment + LEVELS_EVERY;
        let Levels { tasks: known, executions, running, waiting, sockets, writing } = tasks.homes.levels();
        counters.tasks_known.set(known);
        counters.tasks_executions.set(executions);
        counters.tasks_running.set(running);
        counters.tasks_waiting.set(waiting);
        counters.tasks_counted.set(sockets);
        counters.tasks_writing.set(writing);
    }
}
