//! What must hold of sockets and tunnels, at every moment and when all is quiet.

use super::{
    agents::Manner,
    asks::{LIMITS, Validity},
    book::is_passing,
    socket::{Socket, Who},
    viewers::READ,
    world::{EARLY, Labs, WINDOW},
};
use crate::world::note;
use homeroom::{
    engine::Letter,
    protocols::labs::{
        TunnelWord,
        asks::{AgentView, Ask, Reply},
        letters::Dialect,
        model::State,
    },
    realtime::ConnId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    task::{Poll, Waker},
    time::Duration,
};

/// The users: two who own sessions, and an admin.
pub(crate) const OWNERS: [&str; 3] = ["ann", "bob", "root"];
/// A revoked token's sockets are gone after this long.
const REVOKED: Duration = Duration::from_secs(1);
/// Whoever is not heard of for this long may be taken for silent.
const SILENT: Duration = Duration::from_secs(25);
/// Headers of frames, and last words.
const HEADERS: usize = 600;

impl Labs {
    /// What is handed to a viewer at once.
    pub(crate) fn check_flight(&self, conn: ConnId, bytes: usize) {
        if self.sockets[&conn].viewer().is_some() {
            assert!(bytes <= WINDOW + EARLY + HEADERS, "{bytes} bytes waited for {conn:?}");
        }
    }

    /// What is on its way through each tunnel.
    pub(crate) fn check_bytes(&self) {
        let mut waiting: BTreeMap<_, usize> = BTreeMap::new();
        for letter in self.mesh.iter().flatten() {
            if let Letter::Tunnel { to, proxy, word: TunnelWord::Bytes(chunk), .. } = letter {
                *waiting.entry((*to, *proxy)).or_default() += chunk.len();
            }
        }
        for ((to, proxy), bytes) in waiting {
            assert!(bytes <= WINDOW + EARLY, "{bytes} bytes of {proxy:?} are on their way to {to:?}");
        }
        for (conn, socket) in self.sockets.iter().filter(|(_, own)| own.is_live()) {
            let Some(viewer) = socket.viewer() else { continue };
            let mut lines = self.agents.iter().flat_map(|agent| &agent.lines);
            let is_heard = lines.any(|line| line.proxy.is_some() && line.down == Some(viewer.down));
            let down = self.streams.under_way(viewer.down);
            assert!(!is_heard || down <= WINDOW + READ, "{down} bytes are on their way from {conn:?}");
            let Some(up) = viewer.up else { continue };
            let counts = self.agents.iter().find(|agent| agent.lines.iter().any(|line| line.up == up));
            let counts = counts.is_some_and(|agent| agent.manner != Manner::Heedless && agent.dialect == Dialect::Contract);
            let bytes = self.streams.under_way(up);
            assert!(!counts || bytes <= WINDOW + EARLY, "{bytes} bytes are on their way to {conn:?}");
        }
    }

    /// A revoked token's sockets are gone, unless a send to them hangs.
    pub(crate) fn check_revoked(&self) {
        for (conn, socket) in self.sockets.iter().filter(|(_, own)| own.flight.is_none() && own.is_live()) {
            let Some((_, _, token)) = socket.wish() else { continue };
            if let Validity::Bad(since) = self.validity(token) {
                let time = self.now.moment.since(since);
                assert!(time <= REVOKED, "{conn:?} watches {time:?} after its token was revoked");
            }
            let lowered = self.standings[self.tokens[token].user].lowered;
            if let Some((asked_at, done_at)) = lowered.filter(|(asked_at, _)| socket.came_at < *asked_at) {
                let time = self.now.moment.since(done_at);
                assert!(time <= REVOKED, "{conn:?} watches {time:?} after its user was made to see less, asked at {asked_at:?}");
            }
        }
    }

    /// How the upgrade of a viewer, or of one who follows a log, was answered.
    pub(crate) fn check_admission(&mut self, conn: ConnId, status: u16) {
        let socket = &self.sockets[&conn];
        let Some((session, is_known, token)) = socket.wish() else { return };
        let (user, row) = (self.tokens[token].user, self.book.sessions.get(&session));
        let owns = row.is_some_and(|row| *row.user == *OWNERS[user]);
        // None: that is not certain.
        let may = if owns || row.is_none() { Some(owns) } else { self.sees_all(user, socket.came_at) };
        let (may, may_not) = (may != Some(false), may != Some(true));
        let validity = self.validity(token);
        let was_bad = matches!(validity, Validity::Bad(since) if since < socket.came_at);
        match status {
            101 => assert!(may && !was_bad, "{conn:?} may see what is another's, or with a revoked token"),
            401 => {
                // Whoever is made to see less while they ask has to come again.
                let is_lowered = self.sees_all(user, socket.came_at).is_none();
                assert!(validity != Validity::Good || is_lowered, "{conn:?} is refused with a good token");
            }
            403 => assert!(may_not, "{conn:?} is refused what is its own"),
            404 => {
                assert!(
                    !is_known || row.is_none_or(|row| row.state == State::Terminated),
                    "{conn:?} is told that nothing is there"
                );
            }
            409 => assert!(may && !was_bad && socket.viewer().is_some()),
            // A node that has just come says so to everybody.
            503 => assert!(!was_bad || self.nodes.is_some()),
            other => panic!("{conn:?} is refused with {other}"),
        }
        let follows = socket.follower().is_some();
        self.count(match status {
            101 if follows => "followers",
            101 => "viewers",
            401 => "viewers with revoked tokens",
            403 => "strangers",
            409 => "nothing to see",
            503 => "no agent",
            _ => "no session",
        });
    }

    /// Why a viewer was closed.
    pub(crate) fn check_farewell(&mut self, conn: ConnId, code: u16) {
        note!(self, "{conn:?} hears Close {code}");
        let moves = code == 1012 && self.nodes.is_some();
        assert!(moves || [1000, 1003, 1008, 1011].contains(&code), "{conn:?} is closed with {code}");
        self.count(match code {
            1000 => "ends of streams",
            1003 => "texts of viewers",
            1008 => "displaced or revoked",
            _ => "broken streams",
        });
        self.check_whole(conn, code);
    }

    /// An end that the agent made itself comes after all that it had sent.
    fn check_whole(&self, conn: ConnId, code: u16) {
        let Some(viewer) = self.sockets[&conn].viewer() else { return };
        let Some(up) = viewer.up.filter(|_| code == 1000) else { return };
        let ran = self.book.history[&viewer.session].last().is_some_and(|(state, _)| *state == State::Running);
        let stream = &self.streams.all[up];
        // What was said may still be with an agent that was stopped in the middle.
        let is_said = self.agents.iter().all(|agent| agent.outbox.is_empty());
        if ran && is_said && self.sockets[&conn].came_at > self.since_running(viewer.session) {
            assert_eq!(stream.got, stream.sent, "{conn:?} is told the end, and not all before it: {stream:?}");
        }
    }

    fn since_running(&self, session: uuid::Uuid) -> homeroom::realtime::Moment {
        let began = self.book.history[&session].last().map_or(0, |(_, at)| at.0);
        let ago = u64::try_from(self.now.wall.0 - began).unwrap_or(0);
        self.now.moment - Duration::from_micros(ago)
    }

    pub(crate) fn check_agents_farewell(&mut self, which: usize, conn: ConnId, code: u16) {
        let is_current = self.agents[which].conn == Some(conn);
        let waited = self.now.moment.since(self.sockets[&conn].came_at);
        let agent = &self.agents[which];
        let known = agent.dialect == Dialect::Contract || agent.came_enrolled;
        let faulty = self.plan.busy + self.plan.failed > 0;
        match code {
            // Unknown, too late, no Pong; of an older connection: displaced.
            // Or one that came before, on another shard, was heard of later.
            1008 => {
                let is_late = waited >= Duration::from_secs(10) || agent.comings > 1;
                assert!(!is_current || !known || is_late, "agent {which} is sent away");
            }
            // Nobody answered; or the store could not take it.
            1013 => assert!(faulty || waited >= Duration::from_secs(10), "agent {which} was not answered"),
            1012 => assert!(self.nodes.is_some(), "agent {which} is closed, and nothing moved"),
            other => panic!("agent {which} is closed with {other}"),
        }
        self.count("agents sent away");
    }

    /// What the registry shows of its agents.
    fn views(&mut self) -> Vec<AgentView> {
        let home = self.home;
        let number = self.feed(home).ask_labs(Ask::Agents);
        self.turn(home);
        match self.shards[home].engine.poll_labs_reply(number, Waker::noop()) {
            Poll::Ready(Reply::Agents(views)) => views,
            other => panic!("a list of agents is answered {other:?}"),
        }
    }

    /// A socket is over at both ends.
    pub(crate) fn released(&mut self, conn: ConnId, socket: &Socket) {
        if let Who::Agent(which) = socket.who {
            self.connection_lost(which, conn);
        }
    }

    /// When all letters have arrived: nobody is online without a connection, and no connection is known that is over.
    pub(crate) fn check_gone(&mut self) {
        for view in self.views() {
            let name = view.agent.name;
            let is_live =
                |own: &Socket| own.is_live() && matches!(own.who, Who::Agent(which) if *self.agents[which].name == *name);
            let has_one = self.sockets.values().any(is_live);
            assert!(view.connection.is_none() || has_one, "{name} is online, and has no connection");
        }
    }

    /// When all is quiet, and time has passed.
    pub(crate) fn check_rest(&mut self) {
        assert!(self.asks.is_empty(), "asks were never answered: {:?}", self.asks);
        self.check_limits();
        self.check_gone();
        let views = self.views();
        self.check_agents(&views);
        for view in views {
            let which = self.agents.iter().position(|agent| *agent.name == *view.agent.name).expect("one of ours");
            let (agent, well) = (&self.agents[which], self.is_well(which));
            assert!(view.connection.is_some() || !well, "{} is well, and not online", agent.name);
            let ids: BTreeSet<_> = view.sessions.iter().map(|placed| placed.0).collect();
            assert!(ids.len() <= agent.places, "{} has more sessions than places", agent.name);
        }
        self.check_viewers();
        self.check_followers();
    }

    /// Whether an agent is there and speaks. One that has just ended its silence has not been heard of yet.
    pub(crate) fn is_well(&self, which: usize) -> bool {
        let agent = &self.agents[which];
        agent.is_registered && agent.silent_until.is_none_or(|until| until + SILENT / 2 < self.now.moment)
    }

    fn check_viewers(&mut self) {
        let mut watched = BTreeMap::new();
        for conn in self.live_viewers() {
            let socket = &self.sockets[&conn];
            let Some(viewer) = socket.viewer() else { continue };
            let before = watched.insert(viewer.session, conn);
            assert_eq!(before, None, "{conn:?} and another watch {}", viewer.session);
            let state = self.book.state(viewer.session);
            assert_eq!(state, Some(State::Running), "{conn:?} watches what does not run");
            let agent = self.book.sessions[&viewer.session].agent.clone().expect("what runs has an agent");
            let which = self.agents.iter().position(|own| *own.name == *agent).expect("one of ours");
            assert!(self.agents[which].conn.is_some(), "{conn:?} watches, and the agent is gone");
            if self.is_silent(which) {
                continue;
            }
            let Some(up) = viewer.up else { continue };
            let agent = &self.agents[which];
            let Some(line) = agent.lines.iter().find(|line| line.up == up) else {
                assert_eq!(agent.dialect, Dialect::Field, "{conn:?} watches what its agent has ended");
                continue;
            };
            assert_eq!(self.streams.under_way(up), 0, "{conn:?} was not told all: {:?}", self.streams.all[up]);
            if line.down.is_some_and(|down| down == viewer.down) {
                assert_eq!(self.streams.under_way(viewer.down), 0, "the agent was not told all by {conn:?}");
            }
            assert!(!socket.is_paused, "{conn:?} is not read, and nothing waits");
        }
        let counters = &self.shards[self.home].counters;
        assert_eq!(counters.registry_viewers.read(), watched.len() as u64, "viewers");
    }

    /// In each window the answers are the limit, counted down to the last, whoever was asked.
    fn check_limits(&self) {
        if self.nodes.as_ref().is_some_and(|nodes| nodes.deaths > 0) {
            // Whoever counts begins anew where another counted.
            return;
        }
        for ((_, window, _), answers) in &self.limits {
            let limit = LIMITS[usize::from(*window)];
            let mut through: Vec<u32> = answers.iter().flatten().copied().collect();
            through.sort_unstable_by(|one, other| other.cmp(one));
            let expected: Vec<u32> = (0..answers.len().min(limit) as u32).map(|n| limit as u32 - 1 - n).collect();
            assert_eq!(through, expected, "a window of {limit}");
        }
    }

    /// After longer than any command takes: nothing is on its way anywhere.
    pub(crate) fn check_settled(&self) {
        for row in self.book.sessions.values() {
            assert!(!is_passing(row.state), "{} is stuck {:?}", row.id, row.state);
        }
    }

    /// Every session has ended: nothing is left of any.
    pub(crate) fn check_over(&self) {
        for row in self.book.sessions.values() {
            assert_eq!(row.state, State::Terminated, "{} has not ended", row.id);
        }
        for agent in &self.agents {
            assert!(agent.running.is_empty(), "{} runs what is over: {:?}", agent.name, agent.running);
        }
        let home = &self.shards[self.home].counters;
        let levels = [&home.registry_sessions, &home.registry_places, &home.registry_commands, &home.registry_viewers];
        assert_eq!(levels.map(|level| level.read()), [0; 4], "levels when all sessions have ended");
        let levels = [&home.registry_waiting, &home.registry_writing];
        assert_eq!(levels.map(|level| level.read()), [0; 2], "levels when all sessions have ended");
    }
}
