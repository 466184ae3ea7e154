//! The start: what the store has becomes what the registry knows.

use super::{
    desk::Turn,
    desktop::{Desktop, Job},
    dialect::Orders,
    host::Host,
    model::{Action, Command, Progress, Session, SessionId, State},
    moves::action,
    record::Loaded,
    registry::Registry,
};
use crate::realtime::{Moment, UnixMicros};
use std::{sync::Arc, time::Duration};

impl Registry {
    pub(super) fn load(&mut self, loaded: Loaded, t: &mut Turn<'_>) {
        let mut absences = Vec::new();
        for row in loaded.agents {
            let (name, heard) = (Arc::clone(&row.name), row.last_heartbeat.unwrap_or(row.updated_at));
            let place = self.hosts.insert(Host::new(row, true)) as u32;
            self.by_name.insert(name, place);
            absences.push((place, since(heard, t)));
        }
        let ids: Vec<_> = loaded.sessions.iter().map(|session| session.id).collect();
        for row in loaded.sessions {
            self.load_session(row, t);
        }
        for command in loaded.commands {
            self.load_command(command, t);
        }
        // Those whose stop tells take their places first.
        let (told, untold): (Vec<_>, Vec<_>) = ids.iter().partition(|id| self.desktops[*id].open.is_some());
        for id in told.into_iter().chain(untold) {
            self.resume_ending(id);
        }
        for id in ids {
            self.resume(id, t);
        }
        for (place, absent) in absences {
            self.keep_on(place, absent, t);
        }
    }

    fn load_session(&mut self, row: Session, t: &Turn<'_>) {
        let id = row.id;
        let host = row.agent.as_ref().and_then(|name| self.by_name.get(name)).copied();
        let has_place = match row.state {
            State::Pending | State::Running | State::Hibernating | State::Waking => true,
            State::Hibernated | State::Terminating | State::Terminated | State::Failed => false,
        };
        if let Some(host) = host {
            self.hosts[host as usize].sessions.insert(id);
        }
        self.names.insert(row.name.clone());
        let active = earlier(row.last_activity.unwrap_or(row.updated_at), t);
        self.desktops.insert(id, Desktop::new(row, host, true, active));
        self.hold_place(id, has_place);
    }

    /// A command that has no end yet. One that its session is not waiting for is the stop of a session that is over, or has an end now.
    fn load_command(&mut self, command: Command, t: &mut Turn<'_>) {
        let host = self.by_name.get(&command.agent).copied();
        let desktop = self.desktops.get(&command.session);
        let is_awaited = desktop.is_some_and(|desktop| {
            desktop.open.is_none() && desktop.host == host && action(desktop.row.state) == Some(command.action)
        });
        let is_over = desktop.is_none_or(|desktop| action(desktop.row.state).is_none());
        let is_stop = command.action == Action::StopSession;
        match host {
            Some(_) if is_awaited => self.under_way(command.session, command, t),
            Some(host) if is_stop && is_over && !self.errands.contains_key(&command.session) => self.run_errand(host, command, t),
            Some(_) | None => self.note(Command { progress: Progress::Failed, ..command }, t),
        }
    }

    /// What ends has the place that it had when it ran; that is known by its stop. One whose stop failed has one if there is room: there
    /// was, when it had one.
    fn resume_ending(&mut self, id: SessionId) {
        let Some(desktop) = self.desktops.get(&id).filter(|desktop| desktop.row.state == State::Terminating) else { return };
        let has_room = desktop.host.is_some_and(|host| self.hosts[host as usize].has_room());
        let had_none = desktop.open.as_ref().is_some_and(Orders::is_without_place);
        self.hold_place(id, has_room && !had_none);
    }

    /// Sets the times of a session, and gives up what was under way without a command.
    fn resume(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        match (desktop.row.state, &desktop.open) {
            (State::Running, _) => self.watch_idleness(id, t),
            (State::Terminating, None) => desktop.queue.push_back(Job::Stop),
            (State::Pending | State::Hibernating | State::Waking, None) => {
                desktop.queue.push_back(Job::Overdue { command: None })
            }
            (State::Terminated, _) => self.forget(id, t),
            (State::Pending | State::Hibernating | State::Waking | State::Terminating, Some(_)) => {}
            (State::Hibernated | State::Failed, _) => {}
        }
        self.work(id, t);
    }
}

/// A moment of the wall clock on the other clock; no earlier than its beginning.
fn earlier(at: UnixMicros, t: &Turn<'_>) -> Moment {
    t.now.moment - since(at, t)
}

/// How long ago that was, by the wall clock.
fn since(at: UnixMicros, t: &Turn<'_>) -> Duration {
    Duration::from_micros(u64::try_from(t.now.wall.0.saturating_sub(at.0)).unwrap_or(0))
}
