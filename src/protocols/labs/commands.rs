//! Commands on their way to agents, and the stops that are owed to sessions that are over.

use super::{
    commits::RETRY,
    desk::{Timer, Turn, Whose},
    dialect::{self, Orders},
    model::{Action, Command, Progress, SessionId},
    record::{Change, Record},
    registry::{Outcome, Registry},
};
use crate::{auth::veiled, realtime::TimerId};
use uuid::Uuid;

/// A stop of a session that is over: its agent may still run it. Kept until the agent has done it, or for as long as a command may take.
pub(super) struct Errand {
    pub(super) command: Command,
    pub(super) host: u32,
    pub(super) timer: Option<TimerId>,
    /// How it ended: that is on its way to disk.
    pub(super) ended: Option<Progress>,
}

/// New ids, others at each start, none of which tells another.
pub(super) struct Ids {
    pub(super) seed: u64,
    pub(super) last: u64,
}

impl Ids {
    pub(super) fn next(&mut self) -> Uuid {
        self.last += 1;
        // The engine's own have other names.
        veiled(self.seed, &[b"labs", &self.last.to_be_bytes()[..]].concat())
    }
}

impl Registry {
    /// A command of a session is under way from now on, whether its agent is there or not.
    pub(super) fn under_way(&mut self, id: SessionId, command: Command, t: &mut Turn<'_>) {
        let settings = &self.desk.settings;
        let (overdue, retry) = (settings.command_timeout, settings.stop_retry);
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        desktop.timers.overdue = Some(self.desk.after(overdue, Timer::Overdue(id), t));
        if command.action == Action::StopSession {
            desktop.timers.stop_again = Some(self.desk.after(retry, Timer::StopAgain(id), t));
        }
        self.commands.insert(dialect::command_number(command.id), id);
        desktop.open = Some(command);
    }

    /// Sends the open command of a session, if its agent is online; also when it was sent before.
    pub(super) fn send(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        let Some(host) = desktop.host.and_then(|host| self.hosts.get(host as usize)) else { return };
        let Some(open) = &mut desktop.open else { return };
        let Some(conn) = host.online() else { return };
        t.out.push(Outcome::Deliver(conn, dialect::command(host.dialect, open, t.now.wall)));
        if open.progress == Progress::Pending {
            open.progress = Progress::Sent;
            // A row that is on its way now may be the command's end, and this one would come after it.
            let note = desktop.writing.is_none().then(|| open.clone());
            note.into_iter().for_each(|command| self.note(command, t));
        }
    }

    /// Writes down how far a command is. Nothing waits for it.
    pub(super) fn note(&mut self, command: Command, t: &mut Turn<'_>) {
        let change = Change { command: Some(command), ..Change::default() };
        self.desk.keep(Whose::Nobody, Record::Change(Box::new(change)), t);
    }

    /// A session is over, but its agent may still run it.
    pub(super) fn owe_stop(&mut self, id: SessionId, t: &mut Turn<'_>) {
        if self.errands.contains_key(&id) {
            return;
        }
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        let Some(host) = desktop.host else { return };
        if let Some(stop) = desktop.open.take() {
            let timers = [desktop.timers.overdue.take(), desktop.timers.stop_again.take()];
            timers.into_iter().for_each(|timer| self.desk.cancel(timer));
            return self.run_errand(host, stop, t);
        }
        let orders = Orders::stop(&desktop.row, &self.desk.settings.namespace, false);
        let command = self.command(host, id, Action::StopSession, &orders, t);
        self.note(command.clone(), t);
        self.run_errand(host, command, t);
        self.send_errand(id, t);
    }

    /// Keeps a stop of a session that is over.
    pub(super) fn run_errand(&mut self, host: u32, command: Command, t: &Turn<'_>) {
        let id = command.session;
        self.commands.insert(dialect::command_number(command.id), id);
        self.hosts[host as usize].errands.insert(id);
        let timer = self.desk.after(self.desk.settings.command_timeout, Timer::Errand(id), t);
        self.errands.insert(id, Errand { command, host, timer: Some(timer), ended: None });
    }

    /// Sends an owed stop, if its agent is online.
    pub(super) fn send_errand(&self, id: SessionId, t: &mut Turn<'_>) {
        let Some(errand) = self.errands.get(&id).filter(|errand| errand.ended.is_none()) else { return };
        let host = &self.hosts[errand.host as usize];
        let Some(conn) = host.online() else { return };
        t.out.push(Outcome::Deliver(conn, dialect::command(host.dialect, &errand.command, t.now.wall)));
    }

    /// An agent has done a stop that was owed, or not: that was all that could be done. False: it was no such command.
    pub(super) fn errand_done(&mut self, id: SessionId, number: u64, is_done: bool, t: &mut Turn<'_>) -> bool {
        let Some(errand) = self.errands.get(&id) else { return false };
        if dialect::command_number(errand.command.id) != number {
            return false;
        }
        self.end_errand(id, if is_done { Progress::Completed } else { Progress::Failed }, t);
        true
    }

    /// A stop that was owed has taken too long, or its end could not be written.
    pub(super) fn errand_overdue(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(errand) = self.errands.get_mut(&id) else { return };
        errand.timer = None;
        let progress = errand.ended.unwrap_or(Progress::Failed);
        self.end_errand(id, progress, t);
    }

    /// The store answered to the end of an errand. Until it is on disk there is no other for the session.
    pub(super) fn errand_kept(&mut self, id: SessionId, is_kept: bool, t: &mut Turn<'_>) {
        if is_kept {
            let Some(Errand { host, .. }) = self.errands.remove(&id) else { return };
            self.hosts[host as usize].errands.remove(&id);
            self.watch_absence(host, t);
        } else if let Some(errand) = self.errands.get_mut(&id) {
            errand.timer = Some(self.desk.after(RETRY, Timer::Errand(id), t));
        }
    }

    fn end_errand(&mut self, id: SessionId, progress: Progress, t: &mut Turn<'_>) {
        let Some(errand) = self.errands.get_mut(&id) else { return };
        errand.ended = Some(progress);
        let timer = errand.timer.take();
        self.commands.remove(&dialect::command_number(errand.command.id));
        let change = Change { command: Some(Command { progress, ..errand.command.clone() }), ..Change::default() };
        self.desk.cancel(timer);
        self.desk.keep(Whose::Errand(id), Record::Change(Box::new(change)), t);
    }
}
