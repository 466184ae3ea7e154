//! What happens when a session's change is on disk, or is not.

use super::{
    asks::{Refused, Reply, Target},
    desk::{Timer, Turn},
    desktop::{Job, Write},
    dialect,
    letters::ViewOver,
    model::{Command, Progress, SessionId, State},
    moves::reached,
    record::Kept,
    registry::Registry,
    results::{keeps_place, noted},
};
use crate::realtime::StoreFault;
use std::time::Duration;

/// After so long a change that nobody asked for is written again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

impl Registry {
    /// The store answered to a session's change.
    pub(super) fn session_kept(&mut self, id: SessionId, result: Result<Kept, StoreFault>, t: &mut Turn<'_>) {
        let Some(write) = self.desktops.get_mut(&id).and_then(|desktop| desktop.writing.take()) else { return };
        match (result, write.job) {
            (Ok(Kept::Done), job) => self.commit(id, Write { job, ..*write }, t),
            (Ok(Kept::Taken), Job::Create { asking, creation, taken }) => {
                self.forget(id, t);
                self.begin_session(asking, creation, taken, t);
            }
            (Ok(Kept::Missing | Kept::Taken), job) => self.keep_failed(id, job, StoreFault::Failed, t),
            (Err(fault), job) => self.keep_failed(id, job, fault, t),
        }
        self.work(id, t);
    }

    /// Nothing was changed. Who asked is told; what nobody asked for is tried again.
    fn keep_failed(&mut self, id: SessionId, job: Job, fault: StoreFault, t: &mut Turn<'_>) {
        match job {
            Job::Create { asking, .. } => {
                self.desk.refuse(asking, Refused::Store(fault), t);
                self.forget(id, t);
            }
            Job::Move { asking, .. } => {
                self.desk.refuse(asking, Refused::Store(fault), t);
                let is_asleep = self.desktops.get(&id).is_some_and(|desktop| desktop.row.state == State::Hibernated);
                if is_asleep {
                    self.hold_place(id, false);
                }
            }
            job
            @ (Job::Afterwards(_) | Job::Result { .. } | Job::Status { .. } | Job::Overdue { .. } | Job::Stop | Job::Idle) => {
                let timer = self.desk.after(RETRY, Timer::Retry(id), t);
                let Some(desktop) = self.desktops.get_mut(&id) else { return };
                desktop.queue.push_front(job);
                desktop.timers.retry = Some(timer);
            }
        }
    }

    /// It is time to write again what could not be written.
    pub(super) fn retry(&mut self, id: SessionId, t: &mut Turn<'_>) {
        if let Some(desktop) = self.desktops.get_mut(&id) {
            desktop.timers.retry = None;
            self.work(id, t);
        }
    }

    fn commit(&mut self, id: SessionId, write: Write, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        let before = desktop.row.state;
        if let Some(row) = write.session {
            // Somebody may have done something while it was being written.
            let last_activity = desktop.row.last_activity.max(row.last_activity);
            desktop.row = *row;
            desktop.row.last_activity = last_activity;
        }
        desktop.known = true;
        let after = desktop.row.state;
        if let Some(command) = write.command {
            self.command_kept(id, command, t);
        }
        if before != after {
            self.entered(id, before, after, t);
        }
        match after {
            State::Terminated => self.over(id, matches!(write.job, Job::Move { .. }), t),
            // It may have started all the same.
            State::Failed => self.over(id, matches!(write.job, Job::Overdue { .. }), t),
            State::Terminating => self.stop_follows(id, &write.job, t),
            State::Pending | State::Running | State::Hibernating | State::Hibernated | State::Waking => {}
        }
        self.answer(id, write.job, t);
        match after {
            State::Terminated => self.forget(id, t),
            State::Running | State::Hibernated => self.go_on(id),
            State::Pending | State::Hibernating | State::Waking | State::Terminating | State::Failed => {}
        }
    }

    /// A command is on disk: it is under way from now on, or over.
    fn command_kept(&mut self, id: SessionId, command: Command, t: &mut Turn<'_>) {
        let number = dialect::command_number(command.id);
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        self.desk.cancel(desktop.timers.overdue.take());
        self.desk.cancel(desktop.timers.stop_again.take());
        if is_over(command.progress) {
            desktop.open = None;
            self.commands.remove(&number);
        } else {
            self.commands.insert(number, id);
            self.under_way(id, command, t);
            self.send(id, t);
        }
    }

    /// A session stands elsewhere than before.
    fn entered(&mut self, id: SessionId, before: State, after: State, t: &mut Turn<'_>) {
        if before == State::Running {
            self.end_view(id, ViewOver::Stopped, t);
        }
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        self.desk.cancel(desktop.timers.idle.take());
        match after {
            State::Running => {
                // Also when it was to sleep and could not: it is tried again after as long a time.
                desktop.active = t.now.moment;
                self.hold_place(id, true);
                self.watch_idleness(id, t);
            }
            State::Pending | State::Hibernating | State::Waking => self.hold_place(id, true),
            State::Hibernated => {
                let keeps = keeps_place(desktop.afterwards) && before == State::Hibernating;
                self.hold_place(id, keeps);
            }
            // What ends has a place until it has ended, if it had one.
            State::Terminating => desktop.afterwards = None,
            State::Terminated | State::Failed => {}
        }
    }

    /// A session has ended one way or another; its agent may still run it, then a stop is owed.
    fn over(&mut self, id: SessionId, is_owed: bool, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        desktop.afterwards = None;
        self.hold_place(id, false);
        if is_owed {
            self.owe_stop(id, t);
        }
    }

    /// A session that ends and has no command needs a stop: later, when its agent failed the last one.
    fn stop_follows(&mut self, id: SessionId, job: &Job, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id).filter(|desktop| desktop.open.is_none()) else { return };
        if matches!(job, Job::Result { .. }) {
            desktop.timers.stop_again = Some(self.desk.after(self.desk.settings.stop_retry, Timer::StopAgain(id), t));
        } else {
            desktop.queue.push_front(Job::Stop);
        }
    }

    /// Answers who caused a change and who waited for it.
    fn answer(&mut self, id: SessionId, job: Job, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get(&id) else { return };
        let row = Box::new(desktop.row.clone());
        match job {
            Job::Move { asking, to: to @ (Target::Running | Target::Hibernated) } => self.await_agent(id, asking, to, t),
            Job::Move { asking, to: Target::Terminating | Target::Terminated } | Job::Create { asking, .. } => {
                self.desk.reply(asking, Reply::Session(row), t);
                self.settle(id, None, t);
            }
            Job::Result { result: Err(error), .. } => self.settle(id, Some(&error), t),
            Job::Overdue { .. } => self.settle(id, Some(&row.message), t),
            Job::Status { conn, .. } => {
                self.settle(id, None, t);
                noted(conn, t);
            }
            Job::Result { result: Ok(_), .. } => self.settle(id, None, t),
            Job::Afterwards(_) | Job::Stop | Job::Idle => {}
        }
    }

    /// Answers those who wait for the agent, as far as it is decided what they get.
    pub(super) fn settle(&mut self, id: SessionId, error: Option<&str>, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        if error.is_some() {
            desktop.afterwards = None;
        }
        let (row, to_come) = (desktop.row.clone(), desktop.afterwards);
        let waiters = std::mem::take(&mut desktop.waiters);
        let (stay, go) = waiters.into_iter().partition(|(_, to)| reached(*to) != row.state && to_come == Some(*to));
        desktop.waiters = stay;
        for (asking, to) in go {
            let reply = match (row.state, error) {
                (state, _) if state == reached(to) => Reply::Session(Box::new(row.clone())),
                (State::Terminating, _) => Reply::Refused(Refused::Terminating),
                (State::Terminated, _) => Reply::Refused(Refused::NoSuchMove(State::Terminated)),
                (State::Failed, None) => Reply::Refused(Refused::Failed(row.message.clone())),
                (_, Some(error)) => Reply::Refused(Refused::Failed(error.to_owned())),
                // Somebody else has asked for something else since.
                (State::Pending | State::Running | State::Hibernating | State::Hibernated | State::Waking, None) => {
                    Reply::Session(Box::new(row.clone()))
                }
            };
            self.desk.reply(asking, reply, t);
        }
    }

    /// What was asked while something else was under way begins.
    fn go_on(&mut self, id: SessionId) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        if let Some(to) = desktop.afterwards.take().filter(|to| reached(*to) != desktop.row.state) {
            desktop.queue.push_front(Job::Afterwards(to));
        }
    }
}

fn is_over(progress: Progress) -> bool {
    match progress {
        Progress::Completed | Progress::Failed => true,
        Progress::Pending | Progress::Sent | Progress::Acknowledged => false,
    }
}
