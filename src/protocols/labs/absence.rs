//! Agents that stay away: those that have nothing to do here any more are forgotten in time, or because an admin wants it. Only so is
//! there ever room again for others.

use super::{
    asks::{Refused, Reply},
    desk::{Asking, Timer, Turn, Whose},
    host::{Job, first_row},
    letters::FromRegistry,
    model::AgentName,
    record::Record,
    registry::{Outcome, Registry},
};
use crate::realtime::{Moment, ShardId, StoreFault};
use std::{mem, sync::Arc, time::Duration};

/// One that could not be forgotten is tried again after this.
const AGAIN: Duration = Duration::from_secs(60);

impl Registry {
    /// An admin wants an agent forgotten.
    pub(super) fn forget_agent(&mut self, (asker, number): (ShardId, u64), name: &AgentName, t: &mut Turn<'_>) {
        let Some(asking) = self.desk.receive(asker, number, t) else { return };
        match self.known_host(name) {
            Some(place) => self.change_host_by(place, asking, Job::Forget { asking: Some(asking) }, t),
            None => self.desk.refuse(asking, Refused::NoAgent, t),
        }
    }

    /// An agent that is not connected was heard of.
    pub(super) fn stayed(&mut self, place: u32, t: &Turn<'_>) {
        let until = t.now.moment + self.desk.settings.forget_agents_after;
        self.keep_until(place, until, t);
    }

    /// One that was not connected when the process began, and was heard of so long before.
    pub(super) fn keep_on(&mut self, place: u32, absent: Duration, t: &Turn<'_>) {
        let left = self.desk.settings.forget_agents_after.saturating_sub(absent);
        self.keep_until(place, t.now.moment + left, t);
    }

    fn keep_until(&mut self, place: u32, until: Moment, t: &Turn<'_>) {
        if let Some(host) = self.hosts.get_mut(place as usize) {
            host.kept_until = until;
            self.watch_absence(place, t);
        }
    }

    /// Sets the moment at which an agent may be forgotten, where nothing keeps it.
    pub(super) fn watch_absence(&mut self, place: u32, t: &Turn<'_>) {
        let Some(host) = self.hosts.get_mut(place as usize) else { return };
        if host.absence.is_none() && !host.is_in_use() {
            let at = host.kept_until.max(t.now.moment);
            host.absence = Some(self.desk.wheel.set(at, Timer::Absence(place)));
        }
    }

    /// That moment has come, or the agent was heard of since.
    pub(super) fn absence(&mut self, place: u32, t: &mut Turn<'_>) {
        let Some(host) = self.hosts.get_mut(place as usize) else { return };
        host.absence = None;
        if host.is_in_use() {
            return;
        }
        if t.now.moment < host.kept_until {
            return self.watch_absence(place, t);
        }
        if host.queue.is_empty() && host.writing.is_none() {
            host.queue.push_back(Job::Forget { asking: None });
            self.change_host(place, t);
        } else {
            // Something is written of it just now.
            self.keep_until(place, t.now.moment + AGAIN, t);
        }
    }

    /// Has an agent taken out of the records, unless something keeps it.
    pub(super) fn begin_forgetting(&mut self, place: u32, asking: Option<Asking>, t: &mut Turn<'_>) {
        let Some(host) = self.hosts.get_mut(place as usize) else { return };
        if host.is_in_use() {
            asking.into_iter().for_each(|asking| self.desk.refuse(asking, Refused::AgentInUse, t));
            return;
        }
        let agent = host.row.id;
        host.writing = Some((Box::new(host.row.clone()), Job::Forget { asking }));
        self.desk.keep(Whose::Agent(place), Record::NoAgent { agent }, t);
    }

    /// An agent is not in the records any more. What it has said since makes another of it, with nothing of the first.
    pub(super) fn forgotten(&mut self, place: u32, asking: Option<Asking>, t: &mut Turn<'_>) {
        let last = Box::new(self.view(place));
        let id = self.ids.next();
        let Some(host) = self.hosts.get_mut(place as usize) else { return };
        host.known = false;
        host.row = first_row(id, Arc::clone(&host.row.name), t.now.wall);
        let timers = [host.silence.take(), host.absence.take()];
        for job in mem::take(&mut host.queue) {
            match job {
                // It had enrolled; that is forgotten.
                Job::Register { conn: Some(conn), hello, .. } if hello.platform.is_empty() => {
                    t.out.push(Outcome::Tell(conn, FromRegistry::Unknown));
                }
                Job::Register { .. } | Job::Enrol { .. } => host.queue.push_back(job),
                Job::Drain { asking, .. } | Job::Forget { asking: Some(asking) } => {
                    self.desk.refuse(asking, Refused::NoAgent, t);
                }
                Job::Left | Job::Forget { asking: None } => {}
            }
        }
        timers.into_iter().for_each(|timer| self.desk.cancel(timer));
        // Whoever has the place next was not asked.
        self.log_asks.retain(|_, (asked, _)| *asked != place);
        asking.into_iter().for_each(|asking| self.desk.reply(asking, Reply::Agent(last.clone()), t));
    }

    /// The records have it still.
    pub(super) fn not_forgotten(&mut self, place: u32, asking: Option<Asking>, fault: StoreFault, t: &mut Turn<'_>) {
        match asking {
            Some(asking) => self.desk.refuse(asking, Refused::Store(fault), t),
            None => self.keep_until(place, t.now.moment + AGAIN, t),
        }
    }

    /// Gives the place of an agent that is in no record, and on its way to none, to others.
    pub(super) fn drop_unknown(&mut self, place: u32) {
        let Some(host) = self.hosts.get(place as usize).filter(|host| !host.known && host.writing.is_none()) else { return };
        let name = Arc::clone(&host.row.name);
        self.by_name.remove(&name);
        if let Some(host) = self.hosts.try_remove(place as usize) {
            [host.silence, host.absence].into_iter().for_each(|timer| self.desk.cancel(timer));
        }
    }
}
