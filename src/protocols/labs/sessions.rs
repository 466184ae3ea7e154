//! Sessions: what is asked of them, and what is decided.

use super::{
    asks::{Caller, Creation, Refused, Reply, Target},
    choice::choose,
    desk::{Asking, Turn, Whose},
    desktop::{Desktop, Job, Write},
    dialect::{self, Orders},
    model::{Action, Command, Place, Progress, Session, SessionId, State},
    moves::{Verdict, message, reached, verdict},
    names::name,
    record::{Change, Record},
    registry::{Outcome, Registry},
    results::noted,
};
use crate::realtime::{ShardId, StoreFault};
use std::sync::Arc;

/// Requests and events of one session that wait for the change that is on its way to disk.
const QUEUED_AT_MOST: usize = 16;
/// Sessions that are over and still answered for.
const ENDED_AT_MOST: usize = 1024;
/// Sessions that may be known at a time.
const SESSIONS_AT_MOST: usize = 1 << 20;

impl Registry {
    /// A new session is asked for.
    pub(super) fn create(&mut self, (asker, number): (ShardId, u64), creation: Box<Creation>, t: &mut Turn<'_>) {
        let Some(asking) = self.desk.receive(asker, number, t) else { return };
        if self.desktops.contains_key(&creation.session) {
            return self.desk.refuse(asking, Refused::Taken, t);
        }
        self.begin_session(asking, creation, 0, t);
    }

    /// Finds an agent for a new session. So many of its names were taken.
    pub(super) fn begin_session(&mut self, asking: Asking, creation: Box<Creation>, taken: usize, t: &mut Turn<'_>) {
        if !self.desk.is_waiting(asking) {
            return;
        }
        let (platform, region) = (creation.platform.as_deref(), creation.region.as_deref());
        let chosen =
            if self.desktops.len() < SESSIONS_AT_MOST { choose(self.hosts.iter(), platform, region) } else { Err(Refused::Full) };
        match chosen {
            Ok(host) => self.create_at(host, asking, creation, taken, t),
            Err(refused) => self.desk.refuse(asking, refused, t),
        }
    }

    /// Somebody asks a session to become something.
    pub(super) fn ask_move(&mut self, asker: (ShardId, u64), id: SessionId, caller: &Caller, to: Target, t: &mut Turn<'_>) {
        let Some(asking) = self.desk.receive(asker.0, asker.1, t) else { return };
        let row = match self.row_for(id, caller) {
            Ok(row) => row,
            Err(refused) => return self.desk.refuse(asking, refused, t),
        };
        if row.state == State::Terminated {
            let reply = over(row, to);
            return self.desk.reply(asking, reply, t);
        }
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        if desktop.queue.len() >= QUEUED_AT_MOST {
            return self.desk.refuse(asking, Refused::Store(StoreFault::Busy), t);
        }
        desktop.queue.push_back(Job::Move { asking, to });
        self.work(id, t);
    }

    /// Somebody asks how a session is.
    pub(super) fn look(&self, (asker, number): (ShardId, u64), id: SessionId, caller: &Caller, t: &mut Turn<'_>) {
        let reply = match self.row_for(id, caller) {
            Ok(row) => Reply::Session(Box::new(row.clone())),
            Err(refused) => Reply::Refused(refused),
        };
        t.out.push(Outcome::Reply { asker, number, reply: Box::new(reply) });
    }

    /// The row of a session, if this caller may see it.
    pub(super) fn row_for(&self, id: SessionId, caller: &Caller) -> Result<&Session, Refused> {
        let row = self.row_of(id).ok_or(Refused::NoSession)?;
        if caller.admin || row.user == caller.name { Ok(row) } else { Err(Refused::NotYours) }
    }

    /// The row of a session that is known, over or not.
    pub(super) fn row_of(&self, id: SessionId) -> Option<&Session> {
        let live = self.desktops.get(&id).filter(|desktop| desktop.known).map(|desktop| &desktop.row);
        live.or_else(|| self.ended.get(&id).map(|row| &**row))
    }

    /// Decides what waits at a session, until something has to be written.
    pub(super) fn work(&mut self, id: SessionId, t: &mut Turn<'_>) {
        while let Some(desktop) = self.desktops.get_mut(&id)
            && desktop.writing.is_none()
            && desktop.timers.retry.is_none()
            && let Some(job) = desktop.queue.pop_front()
        {
            match job {
                Job::Create { .. } => {}
                Job::Move { asking, to } => self.decide_move(id, asking, to, t),
                Job::Afterwards(to) => self.decide_afterwards(id, to, t),
                Job::Result { command, result } => self.decide_result(id, command, result, t),
                Job::Status { conn, running, place } => self.decide_status(id, conn, running, place, t),
                Job::Overdue { command } => self.decide_overdue(id, command, t),
                Job::Stop => self.decide_stop(id, t),
                Job::Idle => self.decide_idle(id, t),
            }
        }
    }

    /// Lets a session begin at an agent, where a place is kept for it from now on.
    fn create_at(&mut self, host: u32, asking: Asking, creation: Box<Creation>, mut taken: usize, t: &mut Turn<'_>) {
        let mut names = creation.suffixes.iter().skip(taken);
        let free = names.find_map(|suffix| {
            let name = name(&creation.user, &creation.template.name, *suffix);
            taken += 1;
            (!self.names.contains(&name)).then_some(name)
        });
        let Some(name) = free else { return self.desk.refuse(asking, Refused::Taken, t) };
        let (id, agent) = (creation.session, &self.hosts[host as usize]);
        let row = Session {
            id,
            name,
            user: Arc::clone(&creation.user),
            template: creation.template.name.as_str().into(),
            platform: Arc::clone(&agent.row.platform),
            agent: Some(Arc::clone(&agent.row.name)),
            state: State::Pending,
            resources: creation.resources.clone(),
            persistent_home: creation.persistent_home,
            idle_timeout: creation.idle_timeout.clone(),
            tags: creation.tags.clone(),
            message: message(State::Pending).to_owned(),
            place: Place::default(),
            created_at: t.now.wall,
            updated_at: t.now.wall,
            last_activity: None,
        };
        let orders = Orders::start(&row, &creation.template, &self.desk.settings.namespace);
        let command = self.command(host, id, Action::StartSession, &orders, t);
        let mut desktop = Desktop::new(row.clone(), Some(host), false, t.now.moment);
        desktop.afterwards = creation.hibernated.then_some(Target::Hibernated);
        self.names.insert(row.name.clone());
        self.desktops.insert(id, desktop);
        self.hosts[host as usize].sessions.insert(id);
        self.hold_place(id, true);
        self.write(id, Some(Box::new(row)), Some(command), Job::Create { asking, creation, taken }, t);
    }

    fn decide_move(&mut self, id: SessionId, asking: Asking, to: Target, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        if !self.desk.is_waiting(asking) {
            return;
        }
        let (verdict, job) = (verdict(desktop.row.state, to), Job::Move { asking, to });
        let host = desktop.host.map(|host| &self.hosts[host as usize]);
        let is_online = host.is_some_and(|host| host.online().is_some());
        match verdict {
            Verdict::Refuse(refused) => self.desk.refuse(asking, refused, t),
            Verdict::Already => {
                let reply = Reply::Session(Box::new(desktop.row.clone()));
                self.desk.reply(asking, reply, t);
            }
            Verdict::Afterwards | Verdict::Order(..) if !is_online => self.desk.refuse(asking, Refused::AgentOffline, t),
            Verdict::Join => {
                desktop.afterwards = None;
                self.await_agent(id, asking, to, t);
            }
            Verdict::Afterwards => {
                desktop.afterwards = Some(to);
                self.await_agent(id, asking, to, t);
            }
            Verdict::Order(_, State::Waking) if !desktop.has_place && !host.is_some_and(|host| host.has_room()) => {
                self.desk.refuse(asking, Refused::Full, t);
            }
            Verdict::Order(action, state) => self.order(id, action, state, job, t),
            Verdict::Stop if desktop.host.is_none() => self.end(id, message(State::Terminated), job, t),
            Verdict::Stop => self.stop(id, job, t),
            Verdict::End => self.end(id, message(State::Terminated), job, t),
        }
    }

    /// What was asked while something else was under way, which now is done. Its place was kept.
    fn decide_afterwards(&mut self, id: SessionId, to: Target, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        match verdict(desktop.row.state, to) {
            Verdict::Order(action, state) => self.order(id, action, state, Job::Afterwards(to), t),
            Verdict::Refuse(_) | Verdict::Already | Verdict::Join | Verdict::Afterwards | Verdict::Stop | Verdict::End => {
                self.settle(id, None, t);
            }
        }
    }

    /// A request waits for the agent's word from now on, and is answered with what is to be when that takes too long.
    pub(super) fn await_agent(&mut self, id: SessionId, asking: Asking, to: Target, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        let state = reached(to);
        let row = Session { state, message: message(state).to_owned(), ..desktop.row.clone() };
        self.desk.wait(asking, self.desk.settings.command_wait, Box::new(Reply::Session(Box::new(row))), t);
        desktop.waiters.retain(|(asking, _)| self.desk.is_waiting(*asking));
        desktop.waiters.push((asking, to));
    }

    /// Tells the agent to do something with a session, which holds a place meanwhile.
    pub(super) fn order(&mut self, id: SessionId, action: Action, state: State, job: Job, t: &mut Turn<'_>) {
        self.hold_place(id, true);
        let Some(row) = self.becoming(id, state, message(state), t) else { return };
        let Some(host) = self.desktops.get(&id).and_then(|desktop| desktop.host) else { return };
        let orders = Orders::plain(&row, &self.desk.settings.namespace);
        let command = self.command(host, id, action, &orders, t);
        self.write(id, Some(row), Some(command), job, t);
    }

    /// Ends a session gently. What is under way is closed first; then `Job::Stop` follows.
    fn stop(&mut self, id: SessionId, job: Job, t: &mut Turn<'_>) {
        let Some(row) = self.becoming(id, State::Terminating, message(State::Terminating), t) else { return };
        let command = self.closed(id, Progress::Failed).or_else(|| self.stop_command(id, t));
        self.write(id, Some(row), command, job, t);
    }

    /// A session that ends has no command: it gets one.
    fn decide_stop(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get(&id) else { return };
        if desktop.row.state != State::Terminating || desktop.open.is_some() {
            return;
        }
        if desktop.host.is_none() {
            return self.end(id, message(State::Terminated), Job::Stop, t);
        }
        let command = self.stop_command(id, t);
        self.write(id, None, command, Job::Stop, t);
    }

    /// Ends a session at once. A stop that is under way goes on without it; anything else is closed, and a stop is owed.
    pub(super) fn end(&mut self, id: SessionId, why: &str, job: Job, t: &mut Turn<'_>) {
        let Some(row) = self.becoming(id, State::Terminated, why, t) else { return };
        let is_stop =
            self.desktops.get(&id).and_then(Desktop::under_way).is_some_and(|(_, action)| action == Action::StopSession);
        let command = if is_stop { None } else { self.closed(id, Progress::Failed) };
        self.write(id, Some(row), command, job, t);
    }

    /// The row of a session with another state.
    pub(super) fn becoming(&self, id: SessionId, state: State, message: &str, t: &Turn<'_>) -> Option<Box<Session>> {
        let row = self.desktops.get(&id)?.row.clone();
        Some(Box::new(Session { state, message: message.to_owned(), updated_at: t.now.wall, ..row }))
    }

    /// The open command of a session with an end.
    pub(super) fn closed(&self, id: SessionId, progress: Progress) -> Option<Command> {
        let open = self.desktops.get(&id)?.open.clone()?;
        Some(Command { progress, ..open })
    }

    fn stop_command(&mut self, id: SessionId, t: &Turn<'_>) -> Option<Command> {
        let desktop = self.desktops.get(&id)?;
        let (host, orders) = (desktop.host?, Orders::stop_at(&desktop.row, &self.desk.settings.namespace, desktop.has_place));
        Some(self.command(host, id, Action::StopSession, &orders, t))
    }

    /// A new command. Where its agent is online it will be sent as soon as it is on disk, and is written so.
    pub(super) fn command(&mut self, host: u32, session: SessionId, action: Action, orders: &Orders, t: &Turn<'_>) -> Command {
        let id = loop {
            let id = self.ids.next();
            if !self.commands.contains_key(&dialect::command_number(id)) {
                break id;
            }
        };
        let host = &self.hosts[host as usize];
        Command {
            id,
            agent: Arc::clone(&host.row.name),
            session,
            action,
            data: orders.text(),
            progress: if host.online().is_some() { Progress::Sent } else { Progress::Pending },
            created_at: t.now.wall,
        }
    }

    /// Has a change of a session written; `session_kept` goes on.
    pub(super) fn write(
        &mut self,
        id: SessionId,
        session: Option<Box<Session>>,
        command: Option<Command>,
        job: Job,
        t: &mut Turn<'_>,
    ) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        let change = Change { agent: None, session: session.as_deref().cloned(), command: command.clone() };
        desktop.writing = Some(Box::new(Write { session, command, job }));
        self.desk.keep(Whose::Session(id), Record::Change(Box::new(change)), t);
    }

    /// Takes or frees the place of a session.
    pub(super) fn hold_place(&mut self, id: SessionId, held: bool) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        let Some(host) = desktop.host.and_then(|host| self.hosts.get_mut(host as usize)) else { return };
        match (std::mem::replace(&mut desktop.has_place, held), held) {
            (false, true) => host.places += 1,
            (true, false) => host.places -= 1,
            (true, true) | (false, false) => {}
        }
    }

    /// Answers for a session that is over, and for those that still waited for it.
    pub(super) fn forget(&mut self, id: SessionId, t: &mut Turn<'_>) {
        self.hold_place(id, false);
        self.end_follows(id, t);
        let Some(desktop) = self.desktops.remove(&id) else { return };
        self.names.remove(&desktop.row.name);
        if let Some(host) = desktop.host.and_then(|host| self.hosts.get_mut(host as usize)) {
            host.sessions.remove(&id);
        }
        desktop.host.into_iter().for_each(|host| self.watch_absence(host, t));
        let timers = desktop.timers;
        for timer in [timers.idle, timers.overdue, timers.stop_again, timers.retry] {
            self.desk.cancel(timer);
        }
        for job in desktop.queue {
            match job {
                Job::Move { asking, to } => {
                    let reply = if desktop.known { over(&desktop.row, to) } else { Reply::Refused(Refused::NoSession) };
                    self.desk.reply(asking, reply, t);
                }
                // It may be the result of the stop that is owed since.
                Job::Result { command, result } => _ = self.errand_done(id, command, result.is_ok(), t),
                Job::Status { conn, .. } => noted(conn, t),
                Job::Create { .. } | Job::Afterwards(_) | Job::Overdue { .. } | Job::Stop | Job::Idle => {}
            }
        }
        if desktop.known {
            self.ended.insert(id, Box::new(desktop.row));
            self.ended_first.push_back(id);
        }
        if self.ended.len() > ENDED_AT_MOST
            && let Some(oldest) = self.ended_first.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}

/// What is said to a wish for a session that is over.
fn over(row: &Session, to: Target) -> Reply {
    match verdict(row.state, to) {
        Verdict::Refuse(refused) => Reply::Refused(refused),
        Verdict::Already | Verdict::Join | Verdict::Afterwards | Verdict::Order(..) | Verdict::Stop | Verdict::End => {
            Reply::Session(Box::new(row.clone()))
        }
    }
}
