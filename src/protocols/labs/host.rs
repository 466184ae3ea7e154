//! One agent as the registry knows it: its row, its connection, and the places that are taken there.

use super::{
    asks::AgentView,
    desk::Asking,
    letters::{Capacity, Dialect, Hello},
    model::{Agent, AgentName, ProxyId, SessionId},
};
use crate::realtime::{ConnId, Moment, TimerId, UnixMicros};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};
use uuid::Uuid;

/// The connection of an agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub(super) conn: ConnId,
    pub(super) since: UnixMicros,
    /// Whether nothing was heard for so long that the agent counts as offline.
    pub(super) silent: bool,
}

/// A change of an agent's row, and why. They are made one after the other.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Job {
    /// It registers, on a connection that came then; none: that is over, or another one came.
    Register { conn: Option<ConnId>, since: UnixMicros, hello: Box<Hello> },
    /// It says by HTTP what it is.
    Enrol { asking: Asking, hello: Box<Hello> },
    /// An admin decides whether it takes new sessions.
    Drain { asking: Asking, draining: bool },
    /// It left: when it was heard of is written down.
    Left,
    /// It is to be forgotten; none: nobody asks for it, it has stayed away for too long.
    Forget { asking: Option<Asking> },
}

/// See the file.
pub(super) struct Host {
    pub(super) row: Agent,
    /// Whether it is on disk.
    pub(super) known: bool,
    pub(super) dialect: Dialect,
    pub(super) link: Option<Link>,
    pub(super) heard: Moment,
    pub(super) silence: Option<TimerId>,
    /// Until when it is remembered though it is not connected.
    pub(super) kept_until: Moment,
    pub(super) absence: Option<TimerId>,
    /// Places that are taken or promised.
    pub(super) places: u32,
    /// Sessions that are not over and are its own.
    pub(super) sessions: BTreeSet<SessionId>,
    /// Owed stops of sessions that are over.
    pub(super) errands: BTreeSet<SessionId>,
    /// On its way to disk.
    pub(super) writing: Option<(Box<Agent>, Job)>,
    pub(super) queue: VecDeque<Job>,
    /// The tunnels that were open at its end when its connection resumed.
    pub(super) tunnels: Vec<ProxyId>,
}

impl Host {
    /// An agent as the store has it, or as it will: offline.
    pub(super) fn new(row: Agent, known: bool) -> Host {
        Host {
            row,
            known,
            dialect: Dialect::default(),
            link: None,
            heard: Moment::default(),
            silence: None,
            kept_until: Moment::default(),
            absence: None,
            places: 0,
            sessions: BTreeSet::new(),
            errands: BTreeSet::new(),
            writing: None,
            queue: VecDeque::new(),
            tunnels: Vec::new(),
        }
    }

    /// Where it can be reached; none: offline.
    pub(super) fn online(&self) -> Option<ConnId> {
        self.link.filter(|link| !link.silent).map(|link| link.conn)
    }

    /// Whether a session more may run there. One that did not say how many may takes any number.
    pub(super) fn has_room(&self) -> bool {
        self.row.max_sessions.is_none_or(|most| self.places < most)
    }

    /// What a heartbeat says of it.
    pub(super) fn merge(&mut self, capacity: Capacity, wall: UnixMicros) {
        let Capacity { max_sessions, max_cpu, max_memory, current_sessions: _ } = capacity;
        self.row.max_sessions = max_sessions.or(self.row.max_sessions);
        self.row.max_cpu = max_cpu.or(self.row.max_cpu);
        self.row.max_memory = max_memory.or(self.row.max_memory);
        self.row.last_heartbeat = Some(wall);
    }

    /// Its row with what it says of itself; none: it says nothing new.
    pub(super) fn told(&self, hello: &Hello, wall: UnixMicros) -> Option<Box<Agent>> {
        let mut row = self.row.clone();
        if !hello.platform.is_empty() {
            row.platform = Arc::clone(&hello.platform);
            row.region = Arc::clone(&hello.region);
            row.max_sessions = hello.capacity.max_sessions;
            row.max_cpu = hello.capacity.max_cpu;
            row.max_memory = hello.capacity.max_memory;
            row.metadata = hello.metadata.clone();
        }
        if self.known && row == self.row {
            return None;
        }
        row.updated_at = wall;
        row.last_heartbeat = Some(wall);
        Some(Box::new(row))
    }

    /// A changed row is on disk. What heartbeats said in the meantime stays.
    pub(super) fn apply(&mut self, row: Agent, job: &Job) {
        match job {
            Job::Register { .. } | Job::Enrol { .. } => {
                let heartbeat = self.row.last_heartbeat.max(row.last_heartbeat);
                self.row = Agent { last_heartbeat: heartbeat, ..row };
            }
            Job::Drain { .. } => (self.row.draining, self.row.updated_at) = (row.draining, row.updated_at),
            Job::Left | Job::Forget { .. } => {}
        }
    }

    /// Whether it is connected, or something that is not over is its own.
    pub(super) fn is_in_use(&self) -> bool {
        self.link.is_some() || !self.sessions.is_empty() || !self.errands.is_empty()
    }

    /// The connections that are its own, or want to be.
    pub(super) fn conns(&self) -> impl Iterator<Item = ConnId> {
        self.link.map(|link| link.conn).into_iter().chain(self.wanting().map(|(conn, _)| conn))
    }

    /// The connections that want to register, each with when it came.
    pub(super) fn wanting(&self) -> impl Iterator<Item = (ConnId, UnixMicros)> {
        let jobs = self.writing.iter().map(|(_, job)| job).chain(&self.queue);
        jobs.filter_map(|job| match job {
            Job::Register { conn, since, .. } => conn.map(|conn| (conn, *since)),
            Job::Enrol { .. } | Job::Drain { .. } | Job::Left | Job::Forget { .. } => None,
        })
    }

    /// Forgets that a connection wanted to register, and says which.
    pub(super) fn withdraw(&mut self, unwanted: impl Fn(ConnId) -> bool) -> Option<ConnId> {
        let jobs = self.writing.iter_mut().map(|(_, job)| job).chain(&mut self.queue);
        let conns = jobs.filter_map(|job| match job {
            Job::Register { conn, .. } => Some(conn),
            Job::Enrol { .. } | Job::Drain { .. } | Job::Left | Job::Forget { .. } => None,
        });
        let mut conns = conns.filter(|conn| conn.is_some_and(&unwanted));
        conns.next().and_then(Option::take)
    }

    /// As REST shows it, without its sessions.
    pub(super) fn view(&self) -> AgentView {
        let link = self.link.filter(|link| !link.silent);
        AgentView {
            agent: self.row.clone(),
            connection: link.map(|link| text(link.conn)),
            connected_at: link.map(|link| link.since),
            sessions: Vec::new(),
        }
    }
}

/// The row of an agent that nobody knew.
pub(super) fn first_row(id: Uuid, name: AgentName, wall: UnixMicros) -> Agent {
    Agent {
        id,
        name,
        platform: "".into(),
        region: "".into(),
        draining: false,
        max_sessions: None,
        max_cpu: None,
        max_memory: None,
        metadata: "{}".into(),
        created_at: wall,
        updated_at: wall,
        last_heartbeat: None,
    }
}

/// A connection, for people.
fn text(conn: ConnId) -> String {
    format!("conn-{:02x}{:06x}{:04x}", conn.shard.0, conn.slot, conn.generation)
}
