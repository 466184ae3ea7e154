//! What nodes that are no more have left unfinished: each shard looks for it when all have reached a view, and takes what is at home here.
//! A survey is as old as the moment in which it was read, and meanwhile a shard that kept something may have ended it: such a row is read
//! anew before anything is made of it.

use super::{
    asks::Home,
    circumstances::Timer,
    execution::Course,
    homes::Homes,
    model::{Execution, Task},
    outcome::Outcome,
    record::Loaded,
    room::Room,
    status::Counts,
    task::{Assignment, RETRY},
};
use crate::realtime::{Now, StoreFault};

impl Homes {
    /// Every shard has reached the view: who was there before may have left something. At the home of
    /// [`status::HOME`](super::status::HOME) `sums` says that all are to be told how many tasks there are.
    pub fn survey(&mut self, sums: bool, now: Now, out: &mut Vec<Outcome>) {
        if !self.world.is_stopping {
            self.moves.survey += 1;
            self.moves.is_surveying = true;
            self.take_touched();
            out.push(Outcome::Survey(self.moves.survey));
        }
        if sums {
            self.recount(now, out);
        }
    }

    /// At the home of [`status::HOME`](super::status::HOME): somebody may not have heard how many tasks there are.
    pub fn recount(&mut self, now: Now, out: &mut Vec<Outcome>) {
        (self.sum.is_due, self.sum.is_wanted) = (true, true);
        self.settle(now, out);
    }

    /// The store answered to [`Outcome::Survey`]: what nobody who is alive wrote last, as far as it is at home here. `is_kept` says what
    /// another shard has in memory.
    pub fn left(
        &mut self,
        survey: u64,
        left: Result<Loaded, StoreFault>,
        is_kept: &dyn Fn(Home) -> bool,
        now: Now,
        out: &mut Vec<Outcome>,
    ) {
        if survey != self.moves.survey || self.world.is_stopping {
            return;
        }
        self.moves.is_surveying = false;
        let touched = self.take_touched();
        let Ok(Loaded { tasks, executions }) = left else {
            self.world.wheel.set(now.moment + RETRY, Timer::Survey);
            return;
        };
        for task in tasks.into_iter().filter(|task| task.agent.is_some() && !task.status.is_over()) {
            let home = Home::Task(task.id);
            if self.has(home) || is_kept(home) {
                continue;
            }
            match touched.contains(&home) {
                true => self.reopen(home, out),
                false => self.take_up(task, now, out),
            }
        }
        for execution in executions.into_iter().filter(|execution| !execution.status.is_over()) {
            let home = Home::Execution(execution.id);
            if self.has(home) || is_kept(home) {
                continue;
            }
            match touched.contains(&home) {
                true => self.reopen(home, out),
                false => self.go_on_with(execution, now, out),
            }
        }
        self.settle(now, out);
    }

    /// A task that nobody has in memory.
    pub(super) fn take_up(&mut self, task: Task, now: Now, out: &mut Vec<Outcome>) {
        let id = task.id;
        let found = Assignment::found(task, &mut self.world.at(now, out));
        self.tasks.insert(id, Room::Here(Box::new(found)));
        self.in_task(id, now, out, |_, _| {});
    }

    /// An execution that nobody has in memory.
    pub(super) fn go_on_with(&mut self, execution: Execution, now: Now, out: &mut Vec<Outcome>) {
        let id = execution.id;
        let found = Course::found(execution, &self.world.at(now, out));
        self.executions.insert(id, Room::Here(Box::new(found)));
        self.in_execution(id, now, out, |_, _| {});
    }

    /// The store answered to [`Outcome::Count`].
    pub fn counted(&mut self, counted: Result<Counts, StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        self.sum.is_asked = false;
        match counted {
            Ok(counts) if counts != self.summed || self.sum.is_wanted => {
                (self.summed, self.sum.is_wanted) = (counts, false);
                out.push(Outcome::Totals(counts));
            }
            Ok(_) => {}
            Err(_) => self.sum.is_due = true,
        }
        self.settle(now, out);
    }

    /// Tells the counts of this shard, and of all shards at the one that sums, if they may be told now.
    pub(super) fn tell_counts(&mut self, now: Now, out: &mut Vec<Outcome>) {
        let (tally, is_in_cluster) = (self.world.counts, self.moves.is_in_cluster);
        let has_changed = if is_in_cluster { tally.changes != self.told.changes } else { tally.counts != self.told.counts };
        if has_changed && self.throttle.lets(now.moment, Timer::Counts, &mut self.world.wheel) {
            self.told = tally;
            out.push(Outcome::Counts(tally.counts));
        }
        if is_in_cluster {
            let is_due = self.sum.is_due && !self.sum.is_asked;
            if is_due && self.sum.throttle.lets(now.moment, Timer::Totals, &mut self.world.wheel) {
                (self.sum.is_due, self.sum.is_asked) = (false, true);
                out.push(Outcome::Count);
            }
            return;
        }
        let total = self.sum.total();
        if total != self.summed && self.sum.throttle.lets(now.moment, Timer::Totals, &mut self.world.wheel) {
            self.summed = total;
            out.push(Outcome::Totals(total));
        }
    }
}
