//! What a worker of a lab run is told to do. An agent with all its sessions and their viewers belongs to one worker, so that a worker can
//! hold what comes against what was sent without asking another.

use crate::{order::mix, quiz::order::Secret, tempo::Tempo, wire::http::Target};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, net::SocketAddr, str::FromStr, time::Duration};

/// A worker's part of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct LabOrder {
    /// Which worker this is, from 0.
    pub(crate) worker: u32,
    /// How many there are.
    pub(crate) workers: u32,
    /// Below which the sockets' routes are.
    pub(crate) target: Target,
    /// What stands between viewers and agents.
    pub(crate) between: Between,
    /// Agents of the whole run. Agent k is this worker's when k % workers is its own number.
    pub(crate) agents: u32,
    /// Sessions of the whole run. Session i is agent i % agents's.
    pub(crate) sessions: u32,
    /// So many of the sessions, the first, have a viewer.
    pub(crate) viewers: u32,
    /// Through so many of the viewers' tunnels, the first, bytes are pushed.
    pub(crate) bulk: u32,
    /// At so many of the viewers, those that follow, keys are pressed.
    pub(crate) typists: u32,
    /// Which way bytes are pushed.
    pub(crate) direction: Direction,
    /// Bytes of a block.
    pub(crate) chunk: u32,
    /// Bytes a second of each stream; at full speed without.
    pub(crate) bulk_rate: Option<f64>,
    /// When keys are pressed, over all typists of the run, and how many.
    pub(crate) keys: Keys,
    /// How long bytes are pushed and keys pressed.
    pub(crate) lasting: Duration,
    /// What viewers sign in with.
    pub(crate) token: Secret,
    /// Fixes names, blocks and masks.
    pub(crate) seed: u64,
    /// For one step of a socket, and for the last bytes to come.
    pub(crate) timeout: Duration,
    /// Source addresses; the kernel's choice without.
    pub(crate) sources: Vec<IpAddr>,
}

/// Keys of the whole run.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Keys {
    pub(crate) tempo: Tempo,
    pub(crate) count: u64,
}

/// What stands between viewers and agents.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Between {
    /// A server of the contract.
    Server,
    /// The bare relay of `perf/bare`: agents and tunnels have numbers, and nobody registers.
    Relay,
    /// Something that makes a TCP connection to this address for each viewer, such as websockify.
    Tcp(SocketAddr),
}

impl FromStr for Between {
    type Err = String;

    fn from_str(text: &str) -> Result<Between, String> {
        match text {
            "server" => Ok(Between::Server),
            "relay" => Ok(Between::Relay),
            _ => text.parse().map(Between::Tcp).map_err(|_| "server, relay, or the address of a TCP listener".to_owned()),
        }
    }
}

/// Which way bytes are pushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Direction {
    /// From agents to viewers, as screens are.
    Down,
    /// From viewers to agents.
    Up,
    /// Both at once.
    Both,
}

/// What happens in a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Bytes are pushed.
    Bulk,
    /// Keys are pressed.
    Typist,
    /// Nothing.
    Idle,
}

impl LabOrder {
    /// The numbers of this worker's agents.
    pub(crate) fn own_agents(&self) -> impl Iterator<Item = u32> + use<> {
        (self.worker..self.agents).step_by(self.workers.max(1) as usize)
    }

    /// The numbers of this worker's sessions.
    pub(crate) fn own_sessions(&self) -> impl Iterator<Item = u32> + use<'_> {
        (0..self.sessions).filter(|session| session % self.agents % self.workers == self.worker)
    }

    /// What happens in a session.
    pub(crate) fn role(&self, session: u32) -> Role {
        match session {
            bulk if bulk < self.bulk => Role::Bulk,
            typist if typist - self.bulk < self.typists => Role::Typist,
            _ => Role::Idle,
        }
    }

    /// How many connections it has open at once.
    pub(crate) fn places(&self) -> u64 {
        let viewers = self.own_sessions().filter(|session| *session < self.viewers).count() as u64;
        match self.between {
            Between::Tcp(_) => 2 * viewers,
            Between::Server | Between::Relay => viewers + self.own_agents().count() as u64,
        }
    }

    /// What the blocks of a session are told by. Behind what is not ours nobody knows whose stream is whose.
    pub(crate) fn key(&self, session: u32) -> u64 {
        match self.between {
            Between::Server | Between::Relay => mix(self.seed ^ u64::from(session)),
            Between::Tcp(_) => 0,
        }
    }
}

/// `agent_id`, and `platform` too: sessions are asked for by it, so that each comes to its agent.
pub(crate) fn agent_name(seed: u64, agent: u32) -> String {
    format!("load-{seed}-{agent}")
}

/// `user` of a session, by which its agent knows it.
pub(crate) fn user_name(session: u32) -> String {
    format!("load-{session}")
}

/// The session of that user.
pub(crate) fn user_number(name: &str) -> Option<u32> {
    name.strip_prefix("load-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(worker: u32, workers: u32) -> LabOrder {
        LabOrder {
            worker,
            workers,
            target: Target::parse("http://127.0.0.1:8080", "http", &crate::wire::tls::Trust::Host).unwrap(),
            between: Between::Server,
            agents: 5,
            sessions: 17,
            viewers: 9,
            bulk: 2,
            typists: 3,
            direction: Direction::Down,
            chunk: 1024,
            bulk_rate: None,
            keys: Keys { tempo: Tempo::steady(1.0), count: 0 },
            lasting: Duration::ZERO,
            token: Secret(String::new()),
            seed: 1,
            timeout: Duration::ZERO,
            sources: Vec::new(),
        }
    }

    #[test]
    fn every_session_is_its_agents_workers() {
        let mut all: Vec<u32> = Vec::new();
        for worker in 0..3 {
            let order = order(worker, 3);
            let agents: Vec<u32> = order.own_agents().collect();
            assert!(order.own_sessions().all(|session| agents.contains(&(session % 5))));
            all.extend(order.own_sessions());
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..17));
        assert_eq!((0..3).map(|worker| order(worker, 3).places()).sum::<u64>(), 9 + 5);
    }

    #[test]
    fn the_first_push_the_next_type_the_others_watch() {
        let order = order(0, 1);
        let count = |role| (0..17).filter(|session| order.role(*session) == role).count();
        assert_eq!((count(Role::Bulk), count(Role::Typist), count(Role::Idle)), (2, 3, 12));
        assert_eq!((user_number(&user_name(7)), user_number("john")), (Some(7), None));
    }
}
