//! What bounds a shard and what it serves.

use super::door::{Address, Counted, Crowd, Door, Place};
use crate::{
    auth::{AgentKey, Authority, CallerKey, GuestKey, Permissions, SessionKey, UserKey},
    models::Catalog,
    protocols::{chat, labs, presence, quiz, tasks},
    websocket::session,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// How many more come in where no sockets are served, when all seats are taken: whoever looks after the server can look at a full one.
pub const STANDING: usize = 32;

/// The largest message of agents in the field.
pub const AGENT_MESSAGE_BYTES: usize = 512 << 10;

/// The largest message of chat by default: four mebibytes of files in base64, and 100,000 characters, escaped.
pub const CHAT_MESSAGE_BYTES: usize = 7 << 20;

/// The largest message of tasks by default.
pub const TASKS_MESSAGE_BYTES: usize = 256 << 10;

/// The places for connections, shared by all shards of the process, so that the limit is one limit. Counting is all that shards
/// share here: nothing waits.
#[derive(Clone, Debug)]
pub struct Seats {
    limit: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
}

impl Seats {
    /// So many.
    pub fn new(limit: usize) -> Seats {
        Seats { limit: Arc::new(AtomicUsize::new(limit)), taken: Arc::default() }
    }

    /// From now on so many, for all that share them. Who has one keeps it.
    pub fn resize(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    /// Takes one for as long as the guard lives, for a connection that the engine has given away; `None` when all are taken.
    pub fn hold(&self, entrance: &Entrance) -> Option<HeldSeat> {
        self.take(entrance).then(|| HeldSeat { seats: self.clone(), address: None })
    }

    /// As [`Seats::hold`], and a place among the connections of this address.
    pub fn hold_for(&self, entrance: &Entrance, door: &Door, from: Address) -> Option<HeldSeat> {
        let mut held = self.hold(entrance)?;
        if door.counts(from) {
            match door.addresses.come(&from, 0).0 {
                Counted::In(place) => held.address = place.map(|place| (door.addresses.clone(), place)),
                Counted::Full => return None,
            }
        }
        Some(held)
    }

    /// Takes one; false when all are taken.
    pub(super) fn take(&self, entrance: &Entrance) -> bool {
        let limit = self.limit.load(Relaxed).saturating_add(if entrance.sockets.is_empty() { STANDING } else { 0 });
        let took = self.taken.fetch_add(1, Relaxed) < limit;
        if !took {
            self.give_back();
        }
        took
    }

    /// Takes one for a connection that another process has had: it is there, whatever the limit is.
    pub(super) fn take_over(&self) {
        self.taken.fetch_add(1, Relaxed);
    }

    /// Gives one back.
    pub(super) fn give_back(&self) {
        self.taken.fetch_sub(1, Relaxed);
    }
}

/// A place that is given back when this is dropped.
#[derive(Debug)]
pub struct HeldSeat {
    seats: Seats,
    address: Option<(Crowd, Place)>,
}

impl Drop for HeldSeat {
    fn drop(&mut self) {
        self.seats.give_back();
        if let Some((crowd, place)) = &self.address {
            crowd.go(*place);
        }
    }
}

/// The bounds of one shard. Sizes in bytes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many connections the process holds at most.
    pub seats: Seats,
    /// From accept to the end of the HTTP head.
    pub handshake_timeout: Duration,
    /// From our last byte to the peer's end; then the connection is cut.
    pub close_timeout: Duration,
    /// What may wait for one connection that does not read.
    pub outbox_bytes: usize,
    /// The same for an owner of quizzes: all attempts of one may end in the same moment, and he hears of each.
    pub owner_outbox_bytes: usize,
    /// The same for an agent of labs, whose commands and credits wait beside what its viewers say.
    pub agent_outbox_bytes: usize,
    /// What a peer may send.
    pub websocket: session::Limits,
    /// What an agent of labs may send.
    pub agent_websocket: session::Limits,
    /// What may wait for a socket of chat: what was said of an answer so far is told whole to one who comes late.
    pub chat_outbox_bytes: usize,
    /// What a user of chat may send, files with it.
    pub chat_websocket: session::Limits,
    /// What may wait for a socket of tasks: several may come to their results at once.
    pub tasks_outbox_bytes: usize,
    /// What a user of tasks may send.
    pub tasks_websocket: session::Limits,
    /// Who is let in, and how many.
    pub door: Door,
    /// Whether the audit log is told who is let in and who is not.
    pub audit: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            seats: Seats::new(1 << 20),
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            outbox_bytes: 256 << 10,
            owner_outbox_bytes: 8 << 20,
            agent_outbox_bytes: 4 << 20,
            websocket: session::Limits { frame: 64 << 10, message: 64 << 10 },
            agent_websocket: session::Limits { frame: AGENT_MESSAGE_BYTES, message: AGENT_MESSAGE_BYTES },
            chat_outbox_bytes: 2 << 20,
            chat_websocket: session::Limits { frame: CHAT_MESSAGE_BYTES, message: CHAT_MESSAGE_BYTES },
            tasks_outbox_bytes: 2 << 20,
            tasks_websocket: session::Limits { frame: TASKS_MESSAGE_BYTES, message: TASKS_MESSAGE_BYTES },
            door: Door::default(),
            audit: false,
        }
    }
}

/// A protocol that has a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketApi {
    /// Presence.
    Presence,
    /// Quiz: owners by `?token=`, participants by `?session=`.
    Quiz,
    /// An agent of labs, as the contract has it.
    Agent,
    /// An agent of labs, as those in the field speak.
    FieldAgent,
    /// One who watches a session's screen, named by the path, by `?token=`.
    Viewer,
    /// One who follows the log of a session, named by the path, by `?token=` or the header `Authorization`.
    Follower,
    /// A session with an agent, named by the path: by `?token=` or by its first message.
    Chat,
    /// Tasks and workflows, by `?token=` or the header `Authorization`.
    Tasks,
    /// Says what it hears. Only under the test switch.
    Echo,
}

/// What one listener serves over WebSocket: path → protocol. All else that comes in by it is REST's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entrance {
    /// Paths, without the query. What stands for `{}`, one part of a path at most, is a name: see [`Entrance::find`].
    pub sockets: Vec<(String, SocketApi)>,
}

impl Entrance {
    /// The protocol at a path.
    pub fn at(&self, path: &str) -> Option<SocketApi> {
        self.find(path).map(|(api, _)| api)
    }

    /// The protocol at a path, and what stands there for `{}`: not empty where there is one.
    pub fn find<'a>(&self, path: &'a str) -> Option<(SocketApi, &'a str)> {
        self.sockets.iter().find_map(|(own, api)| Some((*api, named(own, path)?)))
    }

    /// Whether a protocol is at any of its paths.
    pub fn has(&self, api: SocketApi) -> bool {
        self.sockets.iter().any(|(_, own)| *own == api)
    }
}

/// The sockets of labs and their paths.
pub const LABS_SOCKETS: [(&str, SocketApi); 4] = [
    ("/agent/ws", SocketApi::Agent),
    ("/api/v1/agents/connect", SocketApi::FieldAgent),
    ("/vnc-viewer/{}", SocketApi::Viewer),
    ("/api/v1/sessions/{}/logs", SocketApi::Follower),
];

/// The socket of chat and its path.
pub const CHAT_SOCKET: (&str, SocketApi) = ("/ws/sessions/{}", SocketApi::Chat);

/// The socket of tasks and its path.
pub const TASKS_SOCKET: (&str, SocketApi) = ("/ws", SocketApi::Tasks);

fn named<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let Some((before, after)) = pattern.split_once("{}") else { return (pattern == path).then_some("") };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// By what a shard goes from now on.
pub struct Terms {
    /// What all shards share.
    pub rules: Arc<Rules>,
    /// The bounds of one.
    pub limits: Limits,
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Terms(…)")
    }
}

/// What all shards share and none changes.
pub struct Rules {
    /// By listener.
    pub entrances: Vec<Entrance>,
    /// Who may sign presence's tokens.
    pub authority: Authority,
    /// Who may do what.
    pub permissions: Permissions,
    /// Times and sizes of presence.
    pub presence: presence::Settings,
    /// Who may sign owners' tokens.
    pub quiz_authority: Authority,
    /// Signs participants' session tokens.
    pub quiz_session: SessionKey,
    /// Times and sizes of quizzes.
    pub quiz: quiz::Settings,
    /// Signs the tokens of users of labs.
    pub labs_users: UserKey,
    /// What agents of labs must show, if anything.
    pub labs_agents: Option<AgentKey>,
    /// Times and sizes of labs.
    pub labs: labs::Settings,
    /// Signs the tokens of those who talk to agents.
    pub callers: CallerKey,
    /// Models, tools, agents.
    pub catalog: Arc<Catalog>,
    /// Times and sizes of chat.
    pub chat: chat::Settings,
    /// Times and sizes of tasks.
    pub tasks: tasks::Settings,
    /// What can be executed; each is checked.
    pub workflows: Arc<tasks::Workflows>,
    /// Checks the tokens of those whom another service knows, where tasks believe one.
    pub guests: Option<GuestKey>,
    /// Whether upgrades say which shard they reached (the test switch).
    pub show_shard: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_seat_counts_until_it_is_dropped() {
        let (seats, public) = (Seats::new(2), public());
        let held = seats.hold(&public);
        assert!(held.is_some() && seats.take(&public));
        assert!(seats.hold(&public).is_none() && !seats.take(&public));
        drop(held);
        assert!(seats.take(&public));
    }

    #[test]
    fn a_name_in_a_path_is_one_part_of_it() {
        let sockets = LABS_SOCKETS.map(|(path, api)| (path.to_owned(), api)).to_vec();
        let entrance = Entrance { sockets };
        for (path, found) in [
            ("/agent/ws", Some((SocketApi::Agent, ""))),
            ("/api/v1/agents/connect", Some((SocketApi::FieldAgent, ""))),
            ("/vnc-viewer/5", Some((SocketApi::Viewer, "5"))),
            ("/api/v1/sessions/5/logs", Some((SocketApi::Follower, "5"))),
            ("/api/v1/sessions//logs", None),
            ("/vnc-viewer/", None),
            ("/vnc-viewer", None),
            ("/vnc-viewer/5/6", None),
            ("/agent/ws/", None),
            ("/agent/{}", None),
        ] {
            assert_eq!(entrance.find(path), found, "{path}");
        }
        assert_eq!(named("/sessions/{}/logs", "/sessions/5/logs"), Some("5"));
        assert_eq!(named("/sessions/{}/logs", "/sessions//logs"), None);
        assert_eq!(named("/sessions/{}/logs", "/sessions/logs"), None);
    }

    fn public() -> Entrance {
        Entrance { sockets: vec![("/ws".to_owned(), SocketApi::Presence)] }
    }

    #[test]
    fn a_full_house_lets_some_in_where_there_are_no_sockets() {
        let (seats, internal) = (Seats::new(2), Entrance::default());
        assert!(seats.take(&public()) && seats.take(&public()));
        let held: Vec<_> = (0..STANDING).map(|_| seats.hold(&internal)).collect();
        assert!(held.iter().all(Option::is_some) && seats.hold(&internal).is_none());
        drop(held);
        assert!(!seats.take(&public()) && seats.take(&internal));
        seats.give_back();
        seats.give_back();
        assert!(seats.take(&public()));
    }
}
