//! The registry of labs: the one writer of agents, sessions and commands. Letters in, outcomes out, and the times that it keeps.
//!
//! What it does is told by the files beside this one: `agents` that come, speak and go, and their `absence`; `sessions` and what is asked
//! of them; `results`, what agents say of them; `commits`, what follows when a change is on disk; `commands` on their way; `viewers`;
//! `logs` and their `followers`; the `beginning`; `returns`, connections that come from a registry before it, or are lost.

use super::{
    asks::{Ask, Refused, Reply},
    commands::{Errand, Ids},
    desk::{Desk, Timer, Turn, Whose},
    desktop::Desktop,
    followers::Following,
    host::Host,
    letters::{FromRegistry, ToRegistry},
    model::{AgentName, Session, SessionId, State},
    record::{Kept, Loaded, Record},
    settings::Settings,
};
use crate::{
    auth::veiled,
    realtime::{ConnId, Frame, Moment, Now, ShardId, StoreFault},
};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use slab::Slab;
use std::collections::{BTreeSet, VecDeque};

/// What the registry wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Outcome {
    /// Say this to a connection.
    Tell(ConnId, FromRegistry),
    /// Deliver a whole frame to an agent's connection, behind what it was told before.
    Deliver(ConnId, Frame),
    /// Write a record; answer [`Registry::kept`] with this ticket, once.
    Keep {
        /// To be given back.
        ticket: u64,
        /// The change.
        record: Record,
    },
    /// Answer a REST ask.
    Reply {
        /// On which shard it waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// The answer.
        reply: Box<Reply>,
    },
}

/// How much there is of what, for gauges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Levels {
    /// Agents that are known.
    pub agents: usize,
    /// Those that are online.
    pub online: usize,
    /// Sessions that are not terminated.
    pub sessions: usize,
    /// Those of them whose row is on disk, in the order of [`State::ALL`].
    pub states: [usize; State::ALL.len()],
    /// Those that have a place at an agent.
    pub places: usize,
    /// Commands that are neither completed nor failed.
    pub commands: usize,
    /// Viewers.
    pub viewers: usize,
    /// Connections that follow a log.
    pub followers: usize,
    /// REST asks that wait.
    pub waiting: usize,
    /// Records on their way to disk.
    pub writing: usize,
    /// Timers that run.
    pub timers: usize,
    /// Agents that were turned away so far, since as many are known as may be.
    pub turned_away: usize,
}

/// See the file.
pub struct Registry {
    pub(super) desk: Desk,
    pub(super) ids: Ids,
    pub(super) hosts: Slab<Host>,
    pub(super) by_name: HashMap<AgentName, u32, FixedState>,
    /// Sessions that are not over, and those on their way to disk for the first time.
    pub(super) desktops: HashMap<SessionId, Desktop, FixedState>,
    /// Their names.
    pub(super) names: HashSet<String, FixedState>,
    /// Sessions that were over last, as they were then.
    pub(super) ended: HashMap<SessionId, Box<Session>, FixedState>,
    /// In the order in which they ended.
    pub(super) ended_first: VecDeque<SessionId>,
    /// Which session an open command is about.
    pub(super) commands: HashMap<u64, SessionId, FixedState>,
    pub(super) errands: HashMap<SessionId, Errand, FixedState>,
    /// Which agent was asked for how many lines, by request.
    pub(super) log_asks: HashMap<u64, (u32, u32), FixedState>,
    /// Who follows which log.
    pub(super) follows: HashMap<SessionId, Following, FixedState>,
    /// Of which session an agent was asked for lines, for those who follow.
    pub(super) questions: HashMap<u64, SessionId, FixedState>,
    /// How often.
    pub(super) asked_for_lines: u64,
    /// Tunnels so far, also those of registries before this one.
    pub(super) proxies: u32,
    /// What the numbers of questions for lines are reckoned from, other than of the registry before: an answer that comes late is nobody's.
    pub(super) log_numbers: u64,
    /// Connections of which it is not certain that they are there: what they said last may be lost.
    pub(super) doubted: BTreeSet<ConnId>,
    /// Agents for whom there was no room so far.
    pub(super) turned_away: usize,
    fired: Vec<(Moment, Timer)>,
}

impl Registry {
    /// From now on these count.
    pub fn reform(&mut self, settings: Settings) {
        self.desk.settings = settings;
    }

    /// Knows nobody. `seed` is another at each start, and not to be guessed: ids of agents and commands come from it.
    pub fn new(settings: Settings, seed: u64, start: Moment) -> Registry {
        let desk = Desk::new(settings, seed, start);
        let numbers = veiled(seed, b"labs logs").as_u128() as u64;
        let hasher = || desk.hasher.clone();
        Registry {
            ids: Ids { seed, last: 0 },
            hosts: Slab::new(),
            by_name: HashMap::with_hasher(hasher()),
            desktops: HashMap::with_hasher(hasher()),
            names: HashSet::with_hasher(hasher()),
            ended: HashMap::with_hasher(hasher()),
            ended_first: VecDeque::new(),
            commands: HashMap::with_hasher(hasher()),
            errands: HashMap::with_hasher(hasher()),
            log_asks: HashMap::with_hasher(hasher()),
            follows: HashMap::with_hasher(hasher()),
            questions: HashMap::with_hasher(hasher()),
            asked_for_lines: 0,
            proxies: 0,
            log_numbers: numbers & ((1 << 48) - 1),
            doubted: BTreeSet::new(),
            turned_away: 0,
            fired: Vec::new(),
            desk,
        }
    }

    /// At start, before anything else: what the store has. Agents are offline until they return, or resume.
    pub fn begin(&mut self, loaded: Loaded, now: Now, out: &mut Vec<Outcome>) {
        self.load(loaded, &mut Turn { now, out });
    }

    /// Takes a letter.
    pub fn letter(&mut self, letter: ToRegistry, now: Now, out: &mut Vec<Outcome>) {
        let t = &mut Turn { now, out };
        if let Some(conn) = letter.conn() {
            self.believe(&letter, conn);
        }
        match letter {
            ToRegistry::Register { conn, since, hello } => self.register((conn, since), hello, t),
            ToRegistry::Said { conn, agent, word } => self.said(conn, &agent, word, t),
            ToRegistry::AgentGone { conn, agent } => self.agent_gone(conn, &agent, t),
            ToRegistry::Resume { conn, agent, back } => self.agent_resumes(conn, &agent, *back, t),
            ToRegistry::Viewing { conn, session, agent, proxy } => self.viewer_resumes(conn, session, (agent, proxy), t),
            ToRegistry::View { conn, session, user, admin } => self.view_session(conn, session, &user, admin, t),
            ToRegistry::ViewerGone { conn, session } => self.viewer_gone(conn, session),
            ToRegistry::Activity { session } => self.activity(session, t),
            ToRegistry::Follow { conn, session, user, admin, tail } => self.follow(conn, session, (&user, admin), tail, t),
            ToRegistry::FollowerGone { conn, session } => self.follower_gone(conn, session),
            ToRegistry::Ask { asker, number, ask } => self.ask((asker, number), *ask, t),
        }
    }

    /// The store answered to [`Outcome::Keep`].
    pub fn kept(&mut self, ticket: u64, result: Result<Kept, StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        let t = &mut Turn { now, out };
        match self.desk.written(ticket) {
            Some(Whose::Session(id)) => self.session_kept(id, result, t),
            Some(Whose::Agent(place)) => self.host_kept(place, result, t),
            Some(Whose::Errand(id)) => self.errand_kept(id, result.is_ok(), t),
            Some(Whose::Nobody) | None => {}
        }
    }

    /// Turns the wheel.
    pub fn turn(&mut self, now: Now, out: &mut Vec<Outcome>) {
        let mut fired = std::mem::take(&mut self.fired);
        self.desk.wheel.expire(now.moment, &mut fired);
        let t = &mut Turn { now, out };
        for (_, timer) in fired.drain(..) {
            self.fire(timer, t);
        }
        self.fired = fired;
    }

    /// No later than the earliest time that the registry keeps.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.desk.wheel.next()
    }

    /// For gauges. Looks at every agent and session.
    pub fn levels(&self) -> Levels {
        Levels {
            agents: self.hosts.iter().filter(|(_, host)| host.known).count(),
            online: self.hosts.iter().filter(|(_, host)| host.online().is_some()).count(),
            sessions: self.desktops.len(),
            states: self.states(),
            places: self.hosts.iter().map(|(_, host)| host.places as usize).sum(),
            commands: self.commands.len(),
            viewers: self.desktops.values().filter(|desktop| desktop.viewer.is_some()).count(),
            followers: self.followers(),
            waiting: self.desk.waiting(),
            writing: self.desk.writing(),
            timers: self.desk.wheel.len(),
            turned_away: self.turned_away,
        }
    }

    fn states(&self) -> [usize; State::ALL.len()] {
        let mut states = [0; State::ALL.len()];
        for desktop in self.desktops.values().filter(|desktop| desktop.known) {
            states[desktop.row.state as usize] += 1;
        }
        states
    }

    fn ask(&mut self, asker: (ShardId, u64), ask: Ask, t: &mut Turn<'_>) {
        match ask {
            Ask::Create(creation) => self.create(asker, creation, t),
            Ask::Move { session, caller, to } => self.ask_move(asker, session, &caller, to, t),
            Ask::Look { session, caller } => self.look(asker, session, &caller, t),
            Ask::Logs { session, caller, tail } => self.logs(asker, session, &caller, tail, t),
            Ask::Agents => reply(asker, Reply::Agents(self.views()), t),
            Ask::Enrol(hello) => self.enrol(asker, hello, t),
            Ask::Pulse { agent, capacity } => self.pulse(asker, &agent, capacity, t),
            Ask::Drain { agent, draining } => self.drain(asker, &agent, draining, t),
            Ask::Forget { agent } => self.forget_agent(asker, &agent, t),
            // These are answered elsewhere; whoever brings them here has no answer from the store.
            Ask::Keep(_) | Ask::Limit { .. } => reply(asker, Reply::Refused(Refused::Store(StoreFault::Failed)), t),
        }
    }

    fn fire(&mut self, timer: Timer, t: &mut Turn<'_>) {
        match timer {
            Timer::Asking(asking) => {
                self.log_asks.remove(&self.log_request(asking));
                self.desk.give_up(asking, t);
            }
            Timer::Silence(place) => self.silence(place, t),
            Timer::Absence(place) => self.absence(place, t),
            Timer::Follow(id) => self.follow_on(id, t),
            Timer::Overdue(id) => self.overdue(id, t),
            Timer::StopAgain(id) => self.stop_again(id, t),
            Timer::Idle(id) => self.idle(id, t),
            Timer::Retry(id) => self.retry(id, t),
            Timer::Errand(id) => self.errand_overdue(id, t),
        }
    }
}

fn reply((asker, number): (ShardId, u64), reply: Reply, t: &mut Turn<'_>) {
    t.out.push(Outcome::Reply { asker, number, reply: Box::new(reply) });
}
