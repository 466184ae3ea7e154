//! What agents say of sessions, and what is decided when they say nothing.

use super::{
    asks::Target,
    desk::{Timer, Turn, Whose},
    desktop::{Job, merged},
    dialect::{self, Orders},
    letters::FromRegistry,
    model::{Action, Place, Progress, Session, SessionId, State},
    moves::message,
    record::Record,
    registry::{Outcome, Registry},
};
use crate::realtime::ConnId;
use std::mem;

/// So much of an agent's words is kept, in bytes.
const ERROR_AT_MOST: usize = 1024;
/// What people are told of an agent that never answered.
const NO_ANSWER: &str = "The agent did not answer in time";

impl Registry {
    /// An agent has got a command.
    pub(super) fn acknowledged(&mut self, host: u32, command: &str, t: &mut Turn<'_>) {
        let Some((id, number)) = self.commanded(host, command) else { return };
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        let is_writing = desktop.writing.is_some();
        let Some(open) = desktop.open.as_mut().filter(|open| dialect::command_number(open.id) == number) else { return };
        if mem::replace(&mut open.progress, Progress::Acknowledged) == Progress::Acknowledged || is_writing {
            // A row that is on its way now may be the command's end, and this one would come after it.
            return;
        }
        let command = open.clone();
        self.note(command, t);
    }

    /// An agent has done a command, or not. What nobody waits for any more is not heard.
    pub(super) fn result(&mut self, host: u32, command: &str, result: Result<Box<Place>, String>, t: &mut Turn<'_>) {
        let Some((id, number)) = self.commanded(host, command) else { return };
        if self.errand_done(id, number, result.is_ok(), t) {
            return;
        }
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        if desktop.has_result(number) {
            return;
        }
        desktop.queue.push_back(Job::Result { command: number, result: result.map_err(cut) });
        self.work(id, t);
    }

    /// An agent says how a session is.
    pub(super) fn status(
        &mut self,
        (host, conn): (u32, ConnId),
        id: SessionId,
        running: bool,
        place: Box<Place>,
        t: &mut Turn<'_>,
    ) {
        let Some(desktop) = self.desktops.get_mut(&id).filter(|desktop| desktop.known) else {
            if running {
                self.stop_stray(host, id, t);
            }
            return noted(conn, t);
        };
        if desktop.host != Some(host) {
            return noted(conn, t);
        }
        desktop.queue.retain(|job| match job {
            Job::Status { conn, .. } => {
                noted(*conn, t);
                false
            }
            Job::Create { .. } | Job::Move { .. } | Job::Afterwards(_) | Job::Result { .. } => true,
            Job::Overdue { .. } | Job::Stop | Job::Idle => true,
        });
        desktop.queue.push_back(Job::Status { conn, running, place });
        self.work(id, t);
    }

    pub(super) fn decide_result(&mut self, id: SessionId, number: u64, result: Result<Box<Place>, String>, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get(&id) else { return };
        let Some((_, action)) = desktop.under_way().filter(|(open, _)| *open == number) else { return };
        let is_known = merged(&desktop.row.place, result.as_ref().map_or_else(|_| Place::default(), |place| (**place).clone()));
        let (state, said) = match &result {
            Ok(_) => (done(action), message(done(action)).to_owned()),
            Err(error) => (undone(action), failure(action, error)),
        };
        let progress = if result.is_ok() { Progress::Completed } else { Progress::Failed };
        let Some(mut row) = self.becoming(id, state, &said, t) else { return };
        row.place = is_known;
        if state == State::Running && result.is_ok() {
            row.last_activity = Some(t.now.wall);
        }
        let command = self.closed(id, progress);
        self.write(id, Some(row), command, Job::Result { command: number, result }, t);
    }

    pub(super) fn decide_status(&mut self, id: SessionId, conn: ConnId, running: bool, said: Box<Place>, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        let place = merged(&desktop.row.place, (*said).clone());
        let job = Job::Status { conn, running, place: said };
        match (desktop.row.state, running) {
            (State::Running, true) if place != desktop.row.place => {
                let row = Box::new(Session { place, updated_at: t.now.wall, ..desktop.row.clone() });
                self.write(id, Some(row), None, job, t);
            }
            // It runs before its result has come: where, is written with that.
            (State::Pending | State::Waking, true) => {
                desktop.row.place = place;
                noted(conn, t);
            }
            (State::Running, false) => {
                let Some(row) = self.becoming(id, State::Failed, "The session died at its agent", t) else { return };
                self.write(id, Some(row), None, job, t);
            }
            (State::Terminating, false) => {
                let Some(row) = self.becoming(id, State::Terminated, message(State::Terminated), t) else { return };
                let command = self.closed(id, Progress::Completed);
                self.write(id, Some(row), command, job, t);
            }
            (State::Failed, true) => {
                self.owe_stop(id, t);
                noted(conn, t);
            }
            // What is under way will have a result of its own.
            (State::Pending | State::Hibernating | State::Waking | State::Hibernated, false)
            | (State::Running | State::Hibernating | State::Hibernated | State::Terminating, true)
            | (State::Failed, false)
            | (State::Terminated, _) => noted(conn, t),
        }
    }

    /// A session's command had no result for too long.
    pub(super) fn overdue(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        desktop.timers.overdue = None;
        if let Some((number, _)) = desktop.under_way() {
            desktop.queue.push_back(Job::Overdue { command: Some(number) });
            self.work(id, t);
        }
    }

    pub(super) fn decide_overdue(&mut self, id: SessionId, command: Option<u64>, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get(&id) else { return };
        if desktop.under_way().map(|(number, _)| number) != command {
            return;
        }
        let is_online = desktop.host.is_some_and(|host| self.hosts[host as usize].online().is_some());
        let (state, said) = match desktop.row.state {
            State::Pending => (undone(Action::StartSession), NO_ANSWER.to_owned()),
            State::Hibernating => (State::Running, failure(Action::HibernateSession, NO_ANSWER)),
            State::Waking => (State::Hibernated, failure(Action::WakeSession, NO_ANSWER)),
            // With the agent there it is stopped again, by another command.
            State::Terminating if is_online => (State::Terminating, desktop.row.message.clone()),
            State::Terminating => (State::Terminated, "Its agent did not come back".to_owned()),
            State::Running | State::Hibernated | State::Terminated | State::Failed => return,
        };
        let Some(row) = self.becoming(id, state, &said, t) else { return };
        let closed = self.closed(id, Progress::Failed);
        self.write(id, Some(row), closed, Job::Overdue { command }, t);
    }

    /// A session that ends has waited for long enough: its agent hears the stop again, or a new one when it failed the last.
    pub(super) fn stop_again(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        desktop.timers.stop_again = None;
        if desktop.row.state != State::Terminating {
            return;
        }
        if desktop.open.is_some() {
            desktop.timers.stop_again = Some(self.desk.after(self.desk.settings.stop_retry, Timer::StopAgain(id), t));
            return self.send(id, t);
        }
        desktop.queue.push_back(Job::Stop);
        self.work(id, t);
    }

    /// The time of a session that nobody uses has come, or somebody has used it since.
    pub(super) fn idle(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        desktop.timers.idle = None;
        if desktop.idle_timeout.is_some_and(|timeout| t.now.moment < desktop.active + timeout) {
            return self.watch_idleness(id, t);
        }
        desktop.queue.push_back(Job::Idle);
        self.work(id, t);
    }

    /// Without its agent a session cannot be put to sleep: that waits for its return.
    pub(super) fn decide_idle(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get(&id) else { return };
        let Some(timeout) = desktop.idle_timeout.filter(|_| desktop.row.state == State::Running) else { return };
        if t.now.moment < desktop.active + timeout {
            return self.watch_idleness(id, t);
        }
        if desktop.host.is_some_and(|host| self.hosts[host as usize].online().is_some()) {
            self.order(id, Action::HibernateSession, State::Hibernating, Job::Idle, t);
        }
    }

    /// Sets the moment at which a running session is to sleep.
    pub(super) fn watch_idleness(&mut self, id: SessionId, t: &Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        let Some(timeout) = desktop.idle_timeout else { return };
        if desktop.timers.idle.is_none() {
            let at = (desktop.active + timeout).max(t.now.moment);
            desktop.timers.idle = Some(self.desk.wheel.set(at, Timer::Idle(id)));
        }
    }

    /// A viewer did something.
    pub(super) fn activity(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        if desktop.row.state != State::Running {
            return;
        }
        desktop.active = t.now.moment;
        desktop.row.last_activity = Some(t.now.wall);
        self.desk.keep(Whose::Nobody, Record::Activity { session: id, at: t.now.wall }, t);
    }

    /// The session and number of an open command of this agent.
    fn commanded(&self, host: u32, command: &str) -> Option<(SessionId, u64)> {
        let number = dialect::named_command(command)?;
        let id = *self.commands.get(&number)?;
        let owner = self.desktops.get(&id).and_then(|desktop| desktop.host);
        let sent_to = self.errands.get(&id).map(|errand| errand.host);
        (owner == Some(host) || sent_to == Some(host)).then_some((id, number))
    }

    /// An agent runs what is nobody's any more: it is told once to stop it, and that is not written down.
    fn stop_stray(&mut self, host: u32, id: SessionId, t: &mut Turn<'_>) {
        let is_other = self.desktops.contains_key(&id) || self.errands.contains_key(&id);
        let agent = &self.hosts[host as usize];
        let Some((conn, speech)) = agent.online().map(|conn| (conn, agent.dialect)).filter(|_| !is_other) else { return };
        let name = self.ended.get(&id).map(|row| &**row);
        let orders = name.map_or_else(Orders::default, |row| Orders::stop(row, &self.desk.settings.namespace, false));
        let command = self.command(host, id, Action::StopSession, &orders, t);
        t.out.push(Outcome::Deliver(conn, dialect::command(speech, &command, t.now.wall)));
    }
}

/// What an agent said of a session is on disk, or changes nothing.
pub(super) fn noted(conn: ConnId, t: &mut Turn<'_>) {
    t.out.push(Outcome::Tell(conn, FromRegistry::Noted));
}

/// Where a session stands whose command was done.
fn done(action: Action) -> State {
    match action {
        Action::StartSession | Action::WakeSession => State::Running,
        Action::HibernateSession => State::Hibernated,
        Action::StopSession => State::Terminated,
    }
}

/// Where a session stands whose command was not done.
fn undone(action: Action) -> State {
    match action {
        Action::StartSession => State::Failed,
        Action::HibernateSession => State::Running,
        Action::WakeSession => State::Hibernated,
        Action::StopSession => State::Terminating,
    }
}

/// What people are told of a command that was not done.
fn failure(action: Action, error: &str) -> String {
    match action {
        Action::StartSession => error.to_owned(),
        Action::HibernateSession => format!("Hibernation failed: {error}"),
        Action::WakeSession => format!("Waking failed: {error}"),
        Action::StopSession => format!("Termination failed: {error}"),
    }
}

fn cut(mut error: String) -> String {
    error.truncate(error.floor_char_boundary(ERROR_AT_MOST));
    error
}

/// What a session becomes that sleeps or wakes, once that is done.
pub(super) fn keeps_place(afterwards: Option<Target>) -> bool {
    match afterwards {
        Some(Target::Running) => true,
        Some(Target::Hibernated | Target::Terminating | Target::Terminated) | None => false,
    }
}
