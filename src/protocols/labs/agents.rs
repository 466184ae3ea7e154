//! Agents that come, speak and go.

use super::{
    asks::{AgentView, Refused, Reply},
    desk::{Asking, Timer, Turn, Whose},
    host::{Host, Job, Link, first_row},
    letters::{AgentWord, Capacity, FromRegistry, Hello, ViewOver},
    model::{AgentName, State},
    record::{Change, Kept, Record},
    registry::{Outcome, Registry},
};
use crate::realtime::{ConnId, ShardId, StoreFault, UnixMicros};
use std::{mem, sync::Arc};

/// Why there is no place for an agent.
enum NoHost {
    /// It would have to be known.
    Unknown,
    /// As many are known as may be.
    Full,
}

/// Changes of one agent that wait for the one that is on its way to disk.
const QUEUED_AT_MOST: usize = 16;

impl Registry {
    /// An agent registers on a connection.
    pub(super) fn register(&mut self, (conn, since): (ConnId, UnixMicros), hello: Box<Hello>, t: &mut Turn<'_>) {
        let place = match self.host_for(&hello, t) {
            Ok(place) => place,
            Err(NoHost::Unknown) => return t.out.push(Outcome::Tell(conn, FromRegistry::Unknown)),
            Err(NoHost::Full) => return t.out.push(Outcome::Tell(conn, FromRegistry::Full)),
        };
        let host = &mut self.hosts[place as usize];
        if host.wanting().any(|(other, came)| other != conn && came > since) {
            return t.out.push(Outcome::Tell(conn, FromRegistry::Displaced));
        }
        if let Some(older) = host.withdraw(|_| true).filter(|older| *older != conn) {
            t.out.push(Outcome::Tell(older, FromRegistry::Displaced));
        }
        host.queue.retain(|job| !matches!(job, Job::Register { conn: None, .. }));
        host.queue.push_back(Job::Register { conn: Some(conn), since, hello });
        self.change_host(place, t);
    }

    /// A connection of an agent is over.
    pub(super) fn agent_gone(&mut self, conn: ConnId, name: &AgentName, t: &mut Turn<'_>) {
        let Some(&place) = self.by_name.get(name) else { return };
        let Some(host) = self.hosts.get_mut(place as usize) else { return };
        host.withdraw(|other| other == conn);
        if host.link.is_none_or(|link| link.conn != conn) {
            return;
        }
        host.link = None;
        host.kept_until = t.now.moment + self.desk.settings.forget_agents_after;
        host.row.updated_at = t.now.wall;
        let silence = host.silence.take();
        if !host.queue.contains(&Job::Left) {
            host.queue.push_back(Job::Left);
        }
        self.desk.cancel(silence);
        self.end_views(place, t);
        self.watch_absence(place, t);
        self.change_host(place, t);
    }

    /// A registered agent says something.
    pub(super) fn said(&mut self, conn: ConnId, name: &AgentName, word: AgentWord, t: &mut Turn<'_>) {
        let Some(&place) = self.by_name.get(name) else { return };
        if self.hosts.get(place as usize).is_none_or(|host| host.link.is_none_or(|link| link.conn != conn)) {
            return;
        }
        self.heard(place, t);
        match word {
            AgentWord::Heartbeat(capacity) => self.hosts[place as usize].merge(capacity, t.now.wall),
            AgentWord::Acknowledged { command } => self.acknowledged(place, &command, t),
            AgentWord::Completed { command, place: at } => self.result(place, &command, Ok(at), t),
            AgentWord::Failed { command, error } => self.result(place, &command, Err(error), t),
            AgentWord::Status { session, running, place: at } => self.status((place, conn), session, running, at, t),
            AgentWord::Logs { request, lines } => self.logs_came(place, request, lines, t),
        }
    }

    /// An agent says by HTTP what it is.
    pub(super) fn enrol(&mut self, (asker, number): (ShardId, u64), hello: Box<Hello>, t: &mut Turn<'_>) {
        let Some(asking) = self.desk.receive(asker, number, t) else { return };
        match self.host_for(&hello, t) {
            Ok(place) => self.change_host_by(place, asking, Job::Enrol { asking, hello }, t),
            Err(NoHost::Unknown) => self.desk.refuse(asking, Refused::NoAgent, t),
            Err(NoHost::Full) => self.desk.refuse(asking, Refused::TooManyAgents, t),
        }
    }

    /// An agent says by HTTP that it lives.
    pub(super) fn pulse(&mut self, (asker, number): (ShardId, u64), name: &AgentName, capacity: Capacity, t: &mut Turn<'_>) {
        let reply = match self.known_host(name) {
            Some(place) => {
                self.heard(place, t);
                self.hosts[place as usize].merge(capacity, t.now.wall);
                Reply::Agent(Box::new(self.view(place)))
            }
            None => Reply::Refused(Refused::NoAgent),
        };
        t.out.push(Outcome::Reply { asker, number, reply: Box::new(reply) });
    }

    /// An admin decides whether an agent takes new sessions.
    pub(super) fn drain(&mut self, (asker, number): (ShardId, u64), name: &AgentName, draining: bool, t: &mut Turn<'_>) {
        let Some(asking) = self.desk.receive(asker, number, t) else { return };
        match self.known_host(name) {
            Some(place) => self.change_host_by(place, asking, Job::Drain { asking, draining }, t),
            None => self.desk.refuse(asking, Refused::NoAgent, t),
        }
    }

    /// Every agent, by name.
    pub(super) fn views(&self) -> Vec<AgentView> {
        let mut views: Vec<_> =
            self.hosts.iter().filter(|(_, host)| host.known).map(|(place, _)| self.view(place as u32)).collect();
        views.sort_by(|one, other| one.agent.name.cmp(&other.agent.name));
        views
    }

    /// Nothing was heard of an agent for as long as may be.
    pub(super) fn silence(&mut self, place: u32, t: &mut Turn<'_>) {
        let limit = self.silence_limit();
        let Some(host) = self.hosts.get_mut(place as usize) else { return };
        host.silence = None;
        let Some(link) = &mut host.link else { return };
        if t.now.moment < host.heard + limit {
            host.silence = Some(self.desk.wheel.set(host.heard + limit, Timer::Silence(place)));
            return;
        }
        link.silent = true;
        host.row.updated_at = t.now.wall;
        self.end_views(place, t);
    }

    /// The store answered to an agent's change.
    pub(super) fn host_kept(&mut self, place: u32, result: Result<Kept, StoreFault>, t: &mut Turn<'_>) {
        let Some(host) = self.hosts.get_mut(place as usize) else { return };
        let Some((row, job)) = host.writing.take() else { return };
        let fault = match result {
            Ok(Kept::Done) => None,
            Ok(Kept::Missing) if matches!(job, Job::Forget { .. }) => None,
            Ok(Kept::Missing | Kept::Taken) => Some(StoreFault::Failed),
            Err(fault) => Some(fault),
        };
        match fault {
            None => {
                let new = !mem::replace(&mut host.known, true);
                host.apply(*row, &job);
                self.host_changed(place, job, new, t);
            }
            Some(fault) => self.host_unchanged(place, job, fault, t),
        }
        self.change_host(place, t);
        self.drop_unknown(place);
    }

    /// An agent as REST shows it.
    pub(super) fn view(&self, place: u32) -> AgentView {
        let host = &self.hosts[place as usize];
        let mut view = host.view();
        let desktops = host.sessions.iter().filter_map(|id| self.desktops.get(id));
        let rows = desktops.filter(|desktop| desktop.known && desktop.has_place).map(|desktop| &desktop.row);
        view.sessions
            .extend(rows.map(|row| (row.id, row.name.clone(), Arc::clone(&row.user), Arc::clone(&row.template), row.state)));
        view
    }

    fn silence_limit(&self) -> std::time::Duration {
        self.desk.settings.heartbeat_interval * self.desk.settings.heartbeats_missed.max(1)
    }

    pub(super) fn known_host(&self, name: &AgentName) -> Option<u32> {
        self.by_name.get(name).copied().filter(|place| self.hosts[*place as usize].known)
    }

    /// The agent that says this of itself, known or new.
    fn host_for(&mut self, hello: &Hello, t: &Turn<'_>) -> Result<u32, NoHost> {
        let has_enrolled = hello.platform.is_empty();
        match self.by_name.get(&hello.name) {
            Some(&place) if self.hosts[place as usize].known || !has_enrolled => return Ok(place),
            None if !has_enrolled => {}
            Some(_) | None => return Err(NoHost::Unknown),
        }
        if self.hosts.len() >= self.desk.settings.max_agents {
            self.turned_away += 1;
            return Err(NoHost::Full);
        }
        let row = first_row(self.ids.next(), Arc::clone(&hello.name), t.now.wall);
        let place = self.hosts.insert(Host::new(row, false)) as u32;
        self.by_name.insert(Arc::clone(&hello.name), place);
        Ok(place)
    }

    /// Changes an agent because somebody asks it.
    pub(super) fn change_host_by(&mut self, place: u32, asking: Asking, job: Job, t: &mut Turn<'_>) {
        let queue = &mut self.hosts[place as usize].queue;
        if queue.len() >= QUEUED_AT_MOST {
            return self.desk.refuse(asking, Refused::Store(StoreFault::Busy), t);
        }
        queue.push_back(job);
        self.change_host(place, t);
    }

    /// Makes the changes that wait, until one has to be written.
    pub(super) fn change_host(&mut self, place: u32, t: &mut Turn<'_>) {
        while let Some(host) = self.hosts.get_mut(place as usize)
            && host.writing.is_none()
            && let Some(job) = host.queue.pop_front()
        {
            let changed = match &job {
                Job::Register { conn: None, .. } => continue,
                Job::Enrol { asking, .. } | Job::Drain { asking, .. } | Job::Forget { asking: Some(asking) }
                    if !self.desk.is_waiting(*asking) =>
                {
                    continue;
                }
                Job::Forget { asking } => {
                    let asking = *asking;
                    self.begin_forgetting(place, asking, t);
                    continue;
                }
                Job::Register { hello, .. } | Job::Enrol { hello, .. } => host.told(hello, t.now.wall),
                Job::Drain { draining, .. } => (host.row.draining != *draining).then(|| {
                    let mut row = Box::new(host.row.clone());
                    (row.draining, row.updated_at) = (*draining, t.now.wall);
                    row
                }),
                Job::Left => Some(Box::new(host.row.clone())),
            };
            match changed {
                Some(row) => {
                    let change = Change { agent: Some((*row).clone()), ..Change::default() };
                    host.writing = Some((row, job));
                    self.desk.keep(Whose::Agent(place), Record::Change(Box::new(change)), t);
                }
                None => self.host_changed(place, job, false, t),
            }
        }
    }

    /// The change is on disk, or there was nothing to write.
    fn host_changed(&mut self, place: u32, job: Job, new: bool, t: &mut Turn<'_>) {
        match job {
            Job::Register { conn: Some(conn), hello, .. } => self.seat(place, conn, &hello, t),
            Job::Enrol { asking, .. } => {
                self.stayed(place, t);
                let agent = Box::new(self.view(place));
                self.desk.reply(asking, Reply::Enrolled { new, agent }, t);
            }
            Job::Drain { asking, .. } => {
                let agent = Box::new(self.view(place));
                self.desk.reply(asking, Reply::Agent(agent), t);
            }
            Job::Forget { asking } => self.forgotten(place, asking, t),
            Job::Register { conn: None, .. } => self.stayed(place, t),
            Job::Left => {}
        }
    }

    fn host_unchanged(&mut self, place: u32, job: Job, fault: StoreFault, t: &mut Turn<'_>) {
        match job {
            Job::Register { conn: Some(conn), .. } => t.out.push(Outcome::Tell(conn, FromRegistry::Unkept)),
            Job::Enrol { asking, .. } | Job::Drain { asking, .. } => self.desk.refuse(asking, Refused::Store(fault), t),
            Job::Forget { asking } => self.not_forgotten(place, asking, fault, t),
            Job::Register { conn: None, .. } | Job::Left => {}
        }
    }

    /// An agent is online from now on, through this connection.
    fn seat(&mut self, place: u32, conn: ConnId, hello: &Hello, t: &mut Turn<'_>) {
        let host = &mut self.hosts[place as usize];
        let older = host.link.replace(Link { conn, since: t.now.wall, silent: false });
        host.dialect = hello.dialect;
        host.tunnels.clear();
        host.row.updated_at = t.now.wall;
        host.row.last_heartbeat = Some(t.now.wall);
        host.heard = t.now.moment;
        let absence = host.absence.take();
        self.desk.cancel(absence);
        if let Some(older) = older.filter(|older| older.conn != conn) {
            t.out.push(Outcome::Tell(older.conn, FromRegistry::Displaced));
            self.end_views(place, t);
        }
        t.out.push(Outcome::Tell(conn, FromRegistry::Registered));
        self.returned(place, t);
    }

    /// An agent lives.
    fn heard(&mut self, place: u32, t: &mut Turn<'_>) {
        let host = &mut self.hosts[place as usize];
        host.heard = t.now.moment;
        host.kept_until = t.now.moment + self.desk.settings.forget_agents_after;
        host.row.last_heartbeat = Some(t.now.wall);
        if let Some(link) = &mut host.link
            && mem::take(&mut link.silent)
        {
            host.row.updated_at = t.now.wall;
            self.returned(place, t);
        }
    }

    /// An agent is online again: it is told what it has not done, and what had to wait for it goes on.
    pub(super) fn returned(&mut self, place: u32, t: &mut Turn<'_>) {
        let limit = self.silence_limit();
        let host = &mut self.hosts[place as usize];
        let before = host.silence.replace(self.desk.wheel.set(t.now.moment + limit, Timer::Silence(place)));
        let sessions: Vec<_> = host.sessions.iter().copied().collect();
        let errands: Vec<_> = host.errands.iter().copied().collect();
        self.desk.cancel(before);
        for session in sessions {
            self.send(session, t);
            if self.desktops.get(&session).is_some_and(|desktop| desktop.row.state == State::Running) {
                self.watch_idleness(session, t);
            }
        }
        for session in errands {
            self.send_errand(session, t);
        }
    }

    /// Nobody can watch what an agent runs any more.
    pub(super) fn end_views(&mut self, place: u32, t: &mut Turn<'_>) {
        let sessions: Vec<_> = self.hosts[place as usize].sessions.iter().copied().collect();
        for session in sessions {
            self.end_view(session, ViewOver::AgentGone, t);
        }
    }
}
