//! What agents are told, in both dialects: commands and requests as whole text frames.
//!
//! What a command says is kept in one form ([`Orders`]); each dialect says it with its own names. So an agent may return in the other one.

use super::{
    letters::Dialect,
    model::{Action, Command, CommandId, Place, ProxyId, Resources, Session, SessionId, Template},
};
use crate::{
    realtime::{Frame, UnixMicros},
    websocket::frame,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How long an agent may take to stop a session gently.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Where an agent did not say.
const USUAL_VNC_PORT: u16 = 5900;
/// A frame that needs no second allocation while it is written.
const USUAL_BYTES: usize = 768;

/// What a command says: `data` of the contract's frame, in its order, and behind it what only the other dialect says.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Orders {
    name: String,
    namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vnc: Option<Port>,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistent_home: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    graceful: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    only_in_field: Option<OnlyInField>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Port {
    port: u16,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct OnlyInField {
    display_name: String,
    idle_timeout: String,
    tags: Vec<String>,
}

impl Orders {
    /// To start a session from a template.
    pub fn start(session: &Session, template: &Template, namespace: &str) -> Orders {
        Orders {
            user: Some(session.user.to_string()),
            template: Some(template.name.clone()),
            image: Some(template.base_image.clone()),
            resources: Some(session.resources.clone()),
            vnc: Some(Port { port: template.vnc.port }),
            persistent_home: Some(session.persistent_home),
            environment: Some(template.environment.clone()),
            only_in_field: Some(OnlyInField {
                display_name: template.display_name.clone(),
                idle_timeout: session.idle_timeout.clone(),
                tags: session.tags.clone(),
            }),
            ..Orders::plain(session, namespace)
        }
    }

    /// To hibernate or wake a session.
    pub fn plain(session: &Session, namespace: &str) -> Orders {
        Orders { name: session.name.clone(), namespace: namespace.to_owned(), ..Orders::default() }
    }

    /// To stop a session.
    pub fn stop(session: &Session, namespace: &str, graceful: bool) -> Orders {
        Orders { graceful: Some(graceful), timeout: Some(duration(STOP_TIMEOUT)), ..Orders::plain(session, namespace) }
    }

    /// As a command keeps it.
    pub fn text(&self) -> Box<str> {
        serde_json::to_string(self).unwrap_or_default().into()
    }

    /// What a command keeps. A damaged text orders nothing.
    fn of(text: &str) -> Orders {
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// A command's name on the wire.
pub fn command_name(id: CommandId) -> String {
    format!("cmd-{:012x}", command_number(id))
}

/// What its name on the wire tells of a command.
pub fn command_number(id: CommandId) -> u64 {
    (id.as_u128() >> 80) as u64
}

/// The number in a name on the wire; none: no command was ever named so.
pub fn named_command(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("cmd-").filter(|digits| digits.len() == 12)?;
    digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// A tunnel's name on the wire.
pub fn proxy_name(proxy: ProxyId) -> String {
    format!("proxy-{}", proxy.0)
}

/// `register_ack`; the second dialect has none.
pub fn register_ack(dialect: Dialect, agent: &str, heartbeat_interval: Duration) -> Option<Frame> {
    #[derive(Serialize)]
    struct RegisterAck<'a> {
        r#type: &'static str,
        agent_id: &'a str,
        status: &'static str,
        heartbeat_interval: String,
    }
    let heartbeat_interval = duration(heartbeat_interval);
    match dialect {
        Dialect::Contract => {
            Some(written(&RegisterAck { r#type: "register_ack", agent_id: agent, status: "registered", heartbeat_interval }))
        }
        Dialect::Field => None,
    }
}

#[derive(Serialize)]
struct ContractCommand<'a, Data> {
    r#type: &'static str,
    command_id: &'a str,
    command_type: &'static str,
    session_id: SessionId,
    data: Data,
}

/// A command as it is sent at `now`.
pub fn command(dialect: Dialect, command: &Command, now: UnixMicros) -> Frame {
    let orders = Orders::of(&command.data);
    match dialect {
        Dialect::Contract => written(&ContractCommand {
            r#type: "command",
            command_id: &command_name(command.id),
            command_type: action_name(command.action),
            session_id: command.session,
            data: Orders { only_in_field: None, ..orders },
        }),
        Dialect::Field => in_field(command, orders, now),
    }
}

/// Asks for the last lines of a session's log; the second dialect cannot. An agent answers with `logs` and the number of the request.
pub fn logs_request(
    dialect: Dialect,
    id: CommandId,
    session: &Session,
    namespace: &str,
    request: u64,
    tail: u32,
) -> Option<Frame> {
    #[derive(Serialize)]
    struct Data<'a> {
        name: &'a str,
        namespace: &'a str,
        request: u64,
        tail: u32,
    }
    match dialect {
        Dialect::Contract => Some(written(&ContractCommand {
            r#type: "command",
            command_id: &command_name(id),
            command_type: "get_logs",
            session_id: session.id,
            data: Data { name: &session.name, namespace, request, tail },
        })),
        Dialect::Field => None,
    }
}

/// `vnc_proxy_request`. In the second dialect the agent opens its tunnel by itself.
pub fn proxy_request(dialect: Dialect, proxy: ProxyId, session: &Session, namespace: &str) -> Option<Frame> {
    #[derive(Serialize)]
    struct ProxyRequest<'a> {
        r#type: &'static str,
        session_id: SessionId,
        proxy_id: &'a str,
        data: Data<'a>,
    }
    #[derive(Serialize)]
    struct Data<'a> {
        pod_name: &'a str,
        namespace: &'a str,
        vnc_port: u16,
    }
    let Place { pod_name, vnc_port, .. } = &session.place;
    match dialect {
        Dialect::Contract => Some(written(&ProxyRequest {
            r#type: "vnc_proxy_request",
            session_id: session.id,
            proxy_id: &proxy_name(proxy),
            data: Data {
                pod_name: pod_name.as_deref().unwrap_or(&session.name),
                namespace,
                vnc_port: vnc_port.unwrap_or(USUAL_VNC_PORT),
            },
        })),
        Dialect::Field => None,
    }
}

fn in_field(command: &Command, orders: Orders, now: UnixMicros) -> Frame {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Envelope<'a, P> {
        r#type: &'static str,
        timestamp: String,
        payload: Order<'a, P>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Order<'a, P> {
        command_id: &'a str,
        action: &'static str,
        payload: P,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Plain<'a> {
        session_id: SessionId,
        namespace: &'a str,
    }
    let id = command_name(command.id);
    let (timestamp, action) = (iso(now), action_name(command.action));
    match command.action {
        Action::StartSession => written(&Envelope {
            r#type: "command",
            timestamp,
            payload: Order { command_id: &id, action, payload: StartInField::of(command.session, &orders) },
        }),
        Action::HibernateSession | Action::WakeSession | Action::StopSession => written(&Envelope {
            r#type: "command",
            timestamp,
            payload: Order {
                command_id: &id,
                action,
                payload: Plain { session_id: command.session, namespace: &orders.namespace },
            },
        }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartInField<'a> {
    session_id: SessionId,
    user: &'a str,
    template: &'a str,
    template_manifest: Manifest<'a>,
    namespace: &'a str,
    memory: &'a str,
    cpu: &'a str,
    persistent_home: bool,
    idle_timeout: &'a str,
    max_session_duration: &'a str,
    tags: &'a [String],
}

/// A template as a resource of Kubernetes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    namespace: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    display_name: &'a str,
    base_image: &'a str,
    default_resources: Quantities<'a>,
    ports: [ContainerPort; 1],
    env: Vec<Variable<'a>>,
    vnc: VncInField,
}

#[derive(Clone, Copy, Serialize)]
struct Quantities<'a> {
    memory: &'a str,
    cpu: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    name: &'static str,
    container_port: u16,
    protocol: &'static str,
}

#[derive(Serialize)]
struct Variable<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct VncInField {
    enabled: bool,
    port: u16,
}

impl StartInField<'_> {
    fn of(session_id: SessionId, orders: &Orders) -> StartInField<'_> {
        let template = orders.template.as_deref().unwrap_or_default();
        let port = orders.vnc.as_ref().map_or(USUAL_VNC_PORT, |vnc| vnc.port);
        let (memory, cpu) = orders.resources.as_ref().map_or(("", ""), |given| (&given.memory, &given.cpu));
        let more = orders.only_in_field.as_ref();
        let variables = orders.environment.iter().flatten().map(|(name, value)| Variable { name, value });
        StartInField {
            session_id,
            user: orders.user.as_deref().unwrap_or_default(),
            template,
            template_manifest: Manifest {
                api_version: "stream.space/v1alpha1",
                kind: "Template",
                metadata: Metadata { name: template, namespace: &orders.namespace },
                spec: Spec {
                    display_name: more.map_or(template, |more| &more.display_name),
                    base_image: orders.image.as_deref().unwrap_or_default(),
                    default_resources: Quantities { memory, cpu },
                    ports: [ContainerPort { name: "vnc", container_port: port, protocol: "TCP" }],
                    env: variables.collect(),
                    vnc: VncInField { enabled: true, port },
                },
            },
            namespace: &orders.namespace,
            memory,
            cpu,
            persistent_home: orders.persistent_home.unwrap_or_default(),
            idle_timeout: more.map_or("", |more| &more.idle_timeout),
            max_session_duration: "",
            tags: more.map_or(&[], |more| &more.tags),
        }
    }
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::StartSession => "start_session",
        Action::HibernateSession => "hibernate_session",
        Action::WakeSession => "wake_session",
        Action::StopSession => "stop_session",
    }
}

/// RFC 3339, in UTC, to the second.
pub fn iso(at: UnixMicros) -> String {
    Timestamp::from_second(at.seconds()).unwrap_or_default().to_string()
}

/// `10s`, or `1500ms`.
fn duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 { format!("{}s", duration.as_secs()) } else { format!("{}ms", duration.as_millis()) }
}

fn written(message: &impl Serialize) -> Frame {
    let mut out = Vec::with_capacity(USUAL_BYTES);
    let mark = frame::begin_text(&mut out);
    // Neither a map with keys that are no texts nor an error of our own: serde_json refuses nothing here, and a `Vec` takes everything.
    let _ = serde_json::to_writer(&mut out, message);
    frame::end_text(&mut out, mark);
    Frame::from_wire(&out)
}
