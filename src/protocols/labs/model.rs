//! What labs are made of: the words that routes, the registry and the store share.

use crate::realtime::UnixMicros;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// A desktop. UUID version 4.
pub type SessionId = Uuid;
/// UUID version 4.
pub type UserId = Uuid;
/// What an agent calls itself (`agent_id`): 1 to 128 of letters, digits and `. _ -`.
pub type AgentName = Arc<str>;
/// `cmd-` and the first 12 hexadecimal digits stand for it on the wire.
pub type CommandId = Uuid;

/// A viewer's tunnel through one agent's connection, counted by the registry; `proxy-` and the number on the wire. Never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct ProxyId(pub u32);

/// What a user may do.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, and to everyone's sessions.
    Admin,
    /// Their own sessions.
    User,
}

/// One who signs in.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their name: 1 to 64 of letters, digits and `. _ -`; unique.
    pub username: String,
    /// As given.
    pub email: String,
    /// What they may.
    pub role: Role,
    /// Whether they may sign in.
    pub active: bool,
    /// Made.
    pub created_at: UnixMicros,
    /// Last signed in.
    pub last_login: Option<UnixMicros>,
}

/// Memory and CPU as quantities of the contract (`2Gi`, `1000m`).
#[derive(
    Clone, PartialEq, Eq, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, utoipa::ToSchema,
)]
pub struct Resources {
    /// Such as `2Gi`.
    pub memory: String,
    /// Such as `1000m`.
    pub cpu: String,
    /// Such as `10Gi`; only of templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
}

impl Default for Resources {
    /// Of a template that does not say.
    fn default() -> Resources {
        Resources { memory: "2Gi".to_owned(), cpu: "1000m".to_owned(), storage: None }
    }
}

/// How a template shows its screen.
#[derive(
    Clone, PartialEq, Eq, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, utoipa::ToSchema,
)]
pub struct Vnc {
    /// Whether it has one.
    pub enabled: bool,
    /// Where in the container.
    pub port: u16,
    /// Such as `1920x1080`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    /// Bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color_depth: Option<u8>,
}

impl Default for Vnc {
    /// Of a template that does not say.
    fn default() -> Vnc {
        Vnc { enabled: true, port: 5900, resolution: None, color_depth: None }
    }
}

/// What sessions are started from.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Template {
    /// Its id.
    pub id: Uuid,
    /// Its name: unique; what sessions name.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// For lists.
    pub category: String,
    /// For people.
    pub description: String,
    /// The image, or for agents of platform `host` the name of what they start.
    pub base_image: String,
    /// Where a session names none.
    pub default_resources: Resources,
    /// Its screen.
    pub vnc: Vnc,
    /// For the processes.
    pub environment: BTreeMap<String, String>,
    /// Whether homes are kept where a session does not say.
    pub persistent_home: bool,
    /// Where a session does not say: `30m`, `1h30m`, `90s`.
    pub idle_timeout: String,
    /// For lists.
    pub tags: Vec<String>,
    /// For people.
    pub icon_url: Option<String>,
    /// Made.
    pub created_at: UnixMicros,
    /// Changed.
    pub updated_at: UnixMicros,
}

impl Template {
    /// `category` of one that does not say.
    pub const CATEGORY: &str = "Other";
    /// `idle_timeout` of one that does not say.
    pub const IDLE_TIMEOUT: &str = "30m";
}

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its agent was told to start it.
    Pending,
    /// It runs.
    Running,
    /// Its agent was told to hibernate it; `running` on the wire.
    Hibernating,
    /// It sleeps; its home is kept.
    Hibernated,
    /// Its agent was told to wake it; `pending` on the wire.
    Waking,
    /// Its agent was told to stop it.
    Terminating,
    /// It is over.
    Terminated,
    /// It could not be started; may be deleted.
    Failed,
}

impl State {
    /// All of them, each at its own number.
    pub const ALL: [State; 8] = [
        State::Pending,
        State::Running,
        State::Hibernating,
        State::Hibernated,
        State::Waking,
        State::Terminating,
        State::Terminated,
        State::Failed,
    ];

    /// Its own name, for people who look after the server.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Running => "running",
            State::Hibernating => "hibernating",
            State::Hibernated => "hibernated",
            State::Waking => "waking",
            State::Terminating => "terminating",
            State::Terminated => "terminated",
            State::Failed => "failed",
        }
    }

    /// Its name on the wire, which two states can have.
    pub fn on_wire(self) -> &'static str {
        match self {
            State::Pending | State::Waking => "pending",
            State::Running | State::Hibernating => "running",
            State::Hibernated => "hibernated",
            State::Terminating => "terminating",
            State::Terminated => "terminated",
            State::Failed => "failed",
        }
    }
}

/// A session as the store has it.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// `user-template-6hex`, dots in the user's name as dashes.
    pub name: String,
    /// Whose.
    pub user: Arc<str>,
    /// From what.
    pub template: Arc<str>,
    /// Where it may run.
    pub platform: Arc<str>,
    /// Who runs it.
    pub agent: Option<AgentName>,
    /// Where it stands.
    pub state: State,
    /// What it may use.
    pub resources: Resources,
    /// Whether its home is kept.
    pub persistent_home: bool,
    /// As given.
    pub idle_timeout: String,
    /// As given.
    pub tags: Vec<String>,
    /// For people: how it is.
    pub message: String,
    /// What the agent said when it ran.
    pub place: Place,
    /// Made.
    pub created_at: UnixMicros,
    /// Changed.
    pub updated_at: UnixMicros,
    /// When a viewer last did something, or it began to run.
    pub last_activity: Option<UnixMicros>,
}

/// Where a session runs, as its agent says. All but the port are the agent's own words.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Place {
    /// `status.pod_ip`.
    pub pod_ip: Option<String>,
    /// `status.pod_name`.
    pub pod_name: Option<String>,
    /// `status.container_id`.
    pub container_id: Option<String>,
    /// Its VNC port.
    pub vnc_port: Option<u16>,
    /// `status.started_at`.
    pub started_at: Option<String>,
    /// `platform_metadata`: a JSON object.
    pub metadata: Option<Box<str>>,
}

/// An agent as the store has it.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Agent {
    /// Its own id.
    pub id: Uuid,
    /// What it calls itself.
    pub name: AgentName,
    /// Such as `kubernetes`, `docker`, `host`.
    pub platform: Arc<str>,
    /// Such as `us-east-1`; may be empty.
    pub region: Arc<str>,
    /// Whether it takes no new sessions. Survives its returns.
    pub draining: bool,
    /// Its maxima, each as it said; none: it did not say.
    pub max_sessions: Option<u32>,
    /// Cores.
    pub max_cpu: Option<f64>,
    /// GiB.
    pub max_memory: Option<f64>,
    /// A JSON object, its own words. Shared: whoever looks at agents gets all of them.
    pub metadata: Arc<str>,
    /// Made.
    pub created_at: UnixMicros,
    /// Changed.
    pub updated_at: UnixMicros,
    /// Last heard of.
    pub last_heartbeat: Option<UnixMicros>,
}

/// What an agent is told to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Start it.
    StartSession,
    /// Stop it, keep its home.
    HibernateSession,
    /// Start it again.
    WakeSession,
    /// Stop it.
    StopSession,
}

/// How far a command is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// Not sent, or sent to a connection that ended.
    Pending,
    /// Sent.
    Sent,
    /// Acknowledged.
    Acknowledged,
    /// Done.
    Completed,
    /// Not done.
    Failed,
}

/// A command as the store has it. A session has at most one that is neither completed nor failed.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Command {
    /// Its id.
    pub id: CommandId,
    /// For which agent.
    pub agent: AgentName,
    /// About which session.
    pub session: SessionId,
    /// What to do.
    pub action: Action,
    /// `data` of the frame: a JSON object.
    pub data: Box<str>,
    /// How far it is.
    pub progress: Progress,
    /// Made.
    pub created_at: UnixMicros,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_at_its_number_and_has_a_name_of_its_own() {
        for (number, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, number);
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
