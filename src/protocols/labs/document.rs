//! What sockets of labs say and hear, for the document of their listener: agents in both dialects, viewers, those who follow a log.
#![allow(dead_code)]

use super::{admission::Denial, connection::Farewell, letters::ViewRefused, model::Resources};
use crate::documents::{Message, Parameter, Schemas, Scheme, Socket, Sockets};
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What an agent says. `agent_id` may always be there, and is then its own.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    /// First, and within 10 seconds.
    Register {
        agent_id: String,
        /// That of the query, where it is left away.
        platform: Option<String>,
        /// That of the query, where it is left away.
        region: Option<String>,
        capacity: Option<Capacity>,
        /// At most 16 KiB.
        #[schema(value_type = Option<Object>)]
        metadata: (),
    },
    /// It lives. Every `heartbeat_interval` of `register_ack`.
    Heartbeat {
        agent_id: Option<String>,
        #[schema(format = DateTime)]
        timestamp: Option<String>,
        status: Option<String>,
        capacity: Option<Capacity>,
    },
    /// It has a command.
    CommandAck { command_id: String, agent_id: Option<String>, status: Option<String> },
    /// What came of a command.
    CommandResult {
        command_id: String,
        agent_id: Option<String>,
        status: Outcome,
        /// Of one that is completed.
        result: Option<Place>,
        /// Of one that has failed, for people.
        error: Option<String>,
        error_code: Option<String>,
    },
    /// How a session stands, unasked.
    Status {
        #[schema(format = Uuid)]
        session_id: String,
        /// `running`, or such as `stopped`.
        state: String,
        vnc_port: Option<u16>,
        result: Option<Place>,
    },
    /// The last lines of a log.
    Logs {
        /// The number of the request.
        request: u64,
        #[schema(max_items = 10000)]
        lines: Vec<String>,
    },
    /// Its end of a tunnel is open.
    VncProxyReady {
        proxy_id: String,
        /// How many bytes it takes before it gives credit.
        credit: Option<u32>,
        /// How it wants to hear bytes: `binary` where it does not say.
        encoding: Option<Encoding>,
    },
    /// Its end of a tunnel broke.
    VncProxyError { proxy_id: String, error: Option<String> },
    /// Its end of a tunnel is over.
    VncProxyClose { proxy_id: String },
    /// Bytes of a tunnel, for those who send no binary frames.
    VncData {
        proxy_id: String,
        /// Base64.
        data: String,
    },
    /// It lives.
    Pong {},
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Completed,
    Failed,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Binary,
    Base64,
}

/// What an agent can hold, and holds.
#[derive(ToSchema)]
struct Capacity {
    max_cpu: Option<f64>,
    /// GiB.
    max_memory: Option<f64>,
    max_sessions: Option<u32>,
    current_sessions: Option<u32>,
}

/// Where a session is.
#[derive(ToSchema)]
struct Place {
    /// The command's own, and not looked at.
    session_id: Option<String>,
    pod_ip: Option<String>,
    pod_name: Option<String>,
    container_id: Option<String>,
    vnc_port: Option<u16>,
    started_at: Option<String>,
    #[schema(value_type = Option<Object>)]
    platform_metadata: (),
}

/// What an agent hears.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Heard {
    /// It is known now.
    RegisterAck { agent_id: String, status: String, heartbeat_interval: String },
    /// Something is to be done, and to be acknowledged.
    Command {
        command_id: String,
        command_type: Order,
        #[schema(format = Uuid)]
        session_id: String,
        data: Box<Orders>,
    },
    /// A viewer wants to see a session.
    VncProxyRequest {
        #[schema(format = Uuid)]
        session_id: String,
        proxy_id: String,
        data: Screen,
    },
    /// The viewer is gone.
    VncProxyClose { proxy_id: String },
    /// Bytes of a tunnel, for those who asked for base64.
    VncData { proxy_id: String, data: String },
    /// Something that it said means nothing.
    Error { error: String, message: String, code: String, details: Option<Details> },
}

#[derive(ToSchema)]
struct Details {
    field: String,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    StartSession,
    HibernateSession,
    WakeSession,
    StopSession,
    GetLogs,
}

/// What a command says: `name` and `namespace` always, the rest by its type.
#[derive(ToSchema)]
struct Orders {
    name: String,
    namespace: String,
    user: Option<String>,
    template: Option<String>,
    image: Option<String>,
    resources: Option<Resources>,
    vnc: Option<Port>,
    persistent_home: Option<bool>,
    environment: Option<BTreeMap<String, String>>,
    graceful: Option<bool>,
    timeout: Option<String>,
    /// Of `get_logs`: to be repeated in `logs`.
    request: Option<u64>,
    /// Of `get_logs`: so many lines.
    tail: Option<u32>,
}

#[derive(ToSchema)]
struct Port {
    port: u16,
}

#[derive(ToSchema)]
struct Screen {
    pod_name: String,
    namespace: String,
    vnc_port: u16,
}

/// What an agent of the second dialect says.
#[derive(ToSchema)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
enum SaidInField {
    /// It lives.
    #[serde(rename_all = "camelCase")]
    Heartbeat {
        status: Option<String>,
        active_sessions: Option<u32>,
        #[schema(value_type = Option<Object>)]
        capacity: (),
    },
    /// It has a command.
    #[serde(rename_all = "camelCase")]
    Ack { command_id: String },
    /// A command is done.
    #[serde(rename_all = "camelCase")]
    Complete {
        command_id: String,
        #[schema(value_type = Option<Object>)]
        result: (),
    },
    /// A command has failed.
    #[serde(rename_all = "camelCase")]
    Failed { command_id: String, error: Option<String> },
    /// How a session stands.
    #[serde(rename_all = "camelCase")]
    Status {
        #[schema(format = Uuid)]
        session_id: String,
        state: String,
        vnc_ready: Option<bool>,
        vnc_port: Option<u16>,
        #[schema(value_type = Option<Object>)]
        platform_metadata: (),
    },
    /// Its tunnel is open.
    #[serde(rename_all = "camelCase")]
    VncReady {
        #[schema(format = Uuid)]
        session_id: String,
        vnc_port: Option<u16>,
        pod_name: Option<String>,
    },
    /// Bytes of the tunnel.
    #[serde(rename_all = "camelCase")]
    VncData {
        #[schema(format = Uuid)]
        session_id: String,
        /// Base64.
        data: String,
    },
    /// The tunnel broke.
    #[serde(rename_all = "camelCase")]
    VncError {
        #[schema(format = Uuid)]
        session_id: String,
        error: Option<String>,
    },
    /// The tunnel is over.
    #[serde(rename_all = "camelCase")]
    VncClose {
        #[schema(format = Uuid)]
        session_id: String,
    },
    /// It lives.
    Pong {},
}

/// What such an agent hears.
#[derive(ToSchema)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
enum HeardInField {
    /// Something is to be done.
    #[serde(rename_all = "camelCase")]
    Command {
        command_id: String,
        action: Order,
        #[schema(value_type = Object)]
        payload: (),
    },
    /// Bytes for the tunnel.
    #[serde(rename_all = "camelCase")]
    VncData {
        #[schema(format = Uuid)]
        session_id: String,
        data: String,
    },
    /// The viewer is gone.
    #[serde(rename_all = "camelCase")]
    VncClose {
        #[schema(format = Uuid)]
        session_id: String,
        reason: String,
    },
}

/// What is told of the sockets of labs.
pub fn document() -> Sockets {
    let schemes: &[_] = &[
        ("token", Scheme::Query("token"), "A JWT of a login"),
        ("bearer", Scheme::Bearer, "The same, where a client can send headers"),
        ("agent", Scheme::Header("X-Agent-API-Key"), "The key of this server's agents, where one is configured"),
        ("key", Scheme::Query("key"), "The same, where a client can send no header"),
    ];
    Sockets { name: "labs", about: "Desktops for students.", schemes, sockets }
}

fn sockets(schemas: &mut Schemas) -> Vec<Socket> {
    vec![agent(schemas), agent_in_field(schemas), viewer(), follower()]
}

fn refusals(of: &[Denial]) -> Vec<(u16, &'static str)> {
    of.iter().map(|denial| (denial.status(), denial.code())).collect()
}

fn closes(of: &[Farewell]) -> Vec<(u16, &'static str)> {
    of.iter().map(|why| (why.code(), why.reason())).collect()
}

fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter::new(name, json!({ "type": "string" }), about)
}

const OF_AGENTS: [Farewell; 8] = [
    Farewell::NoPong,
    Farewell::NotRegistered,
    Farewell::BadRegister,
    Farewell::Unknown,
    Farewell::Full,
    Farewell::Unanswered,
    Farewell::Displaced,
    Farewell::Nonsense,
];

/// What stands in a binary frame of an agent.
fn tunnel() -> Message {
    const ABOUT: &str = "Five bytes, then what they are about: the kind (1 data, 2 credit), the number of the tunnel (`proxy-<number>`), \
                         big-endian; of data the bytes, of credit how many more may be sent, four bytes, big-endian";
    Message::bytes("tunnel", ABOUT)
}

fn agent(schemas: &mut Schemas) -> Socket {
    let (mut said, mut heard) = (Message::each::<Said>(schemas), Message::each::<Heard>(schemas));
    said.push(tunnel());
    heard.push(tunnel());
    Socket {
        query: vec![
            text("agent_id", "What the agent calls itself").required(),
            text("platform", "What it runs sessions on").required(),
            text("region", "Where it is"),
        ],
        credentials: &["agent", "key"],
        said,
        heard,
        refusals: refusals(&[
            Denial::Missing("agent_id"),
            Denial::Invalid("agent_id"),
            Denial::NoKey,
            Denial::BadKey,
            Denial::Unavailable,
        ]),
        closes: closes(&OF_AGENTS),
        ..Socket::new("agent", "/agent/ws", "An agent, which runs sessions.")
    }
}

fn agent_in_field(schemas: &mut Schemas) -> Socket {
    Socket {
        query: vec![text("agent_id", "What the agent registered as by HTTP").required()],
        credentials: &["agent", "key"],
        said: Message::each::<SaidInField>(schemas),
        heard: Message::each::<HeardInField>(schemas),
        refusals: refusals(&[
            Denial::Missing("agent_id"),
            Denial::Invalid("agent_id"),
            Denial::NoKey,
            Denial::BadKey,
            Denial::NoAgent,
            Denial::Unavailable,
        ]),
        closes: closes(&OF_AGENTS),
        ..Socket::new(
            "agentInField",
            "/api/v1/agents/connect",
            "An agent of the second dialect. Messages may have a `timestamp`.",
        )
    }
}

const OF_USERS: [Denial; 3] = [Denial::NoToken, Denial::BadToken, Denial::OldToken];

fn viewer() -> Socket {
    let seen = [
        Denial::View(ViewRefused::NoSession),
        Denial::View(ViewRefused::NotYours),
        Denial::View(ViewRefused::NotRunning),
        Denial::View(ViewRefused::AgentOffline),
        Denial::Unavailable,
    ];
    Socket {
        in_path: &[("session", "The session's uuid")],
        query: vec![text("token", "A JWT; else the header Authorization has it")],
        credentials: &["token", "bearer"],
        said: vec![Message::bytes("screen", "RFB (RFC 6143), from the viewer")],
        heard: vec![Message::bytes("screen", "RFB (RFC 6143), to the viewer")],
        refusals: refusals(&[OF_USERS.as_slice(), &seen].concat()),
        closes: closes(&[
            Farewell::Over,
            Farewell::Text,
            Farewell::NoPong,
            Farewell::Displaced,
            Farewell::Revoked,
            Farewell::AgentGone,
            Farewell::Broken,
            Farewell::Moved,
            Farewell::TooMuch,
        ]),
        ..Socket::new(
            "viewer",
            "/vnc-viewer/{session}",
            "A screen, seen and used. The subprotocol `binary` is spoken where it is offered.",
        )
    }
}

fn follower() -> Socket {
    let seen =
        [Denial::Invalid("tail"), Denial::View(ViewRefused::NoSession), Denial::View(ViewRefused::NotYours), Denial::Unavailable];
    Socket {
        in_path: &[("session", "The session's uuid")],
        query: vec![
            text("token", "A JWT; else the header Authorization has it"),
            text("follow", "`true`").required(),
            text("tail", "So many lines that are there already; 100 unless told"),
            text("timestamps", "Whether lines begin with theirs: `true` unless told, or `false`"),
        ],
        credentials: &["token", "bearer"],
        heard: vec![Message::text("line", "A line of the log")],
        refusals: refusals(&[OF_USERS.as_slice(), &seen].concat()),
        closes: closes(&[Farewell::LogOver, Farewell::NoPong, Farewell::Revoked, Farewell::Moved, Farewell::Unanswered]),
        ..Socket::new("follower", "/api/v1/sessions/{session}/logs", "The log of a session, a frame for each line.")
    }
}
