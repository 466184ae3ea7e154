//! What the control plane says: text frames of the contract's dialect, read.
//!
//! Unknown fields are ignored, `null` is as good as absent, and a message that has no meaning here has no effect: the control plane may be
//! newer than its agents.

use crate::protocols::labs::{ProxyId, SessionId, agent_messages::named_proxy};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Where a `register_ack` does not say how often heartbeats are to come.
const USUAL_INTERVAL: Duration = Duration::from_secs(10);

/// A message of the control plane.
#[derive(Clone, PartialEq, Debug)]
pub enum Said {
    /// We are registered.
    Registered {
        /// How often it wants to hear of us.
        heartbeat_interval: Duration,
    },
    /// Something is to be done about a session.
    Order(Order),
    /// The last lines of a session's log are wanted.
    Logs {
        /// Whose.
        session: SessionId,
        /// The number that the answer is to have.
        request: u64,
        /// How many lines.
        tail: usize,
    },
    /// A viewer wants to see a session.
    Open {
        /// Whose screen.
        session: SessionId,
        /// The tunnel.
        proxy: ProxyId,
    },
    /// Bytes for a screen, as text.
    Data(ProxyId, Vec<u8>),
    /// A viewer has left.
    Close(ProxyId),
    /// It did not understand us: the code, for the log.
    Complaint(String),
    /// Of no consequence.
    Nothing,
}

/// A command.
#[derive(Clone, PartialEq, Debug)]
pub struct Order {
    /// Its name: what it is answered with.
    pub command: String,
    /// About which session.
    pub session: SessionId,
    /// What to do.
    pub action: Action,
}

/// What to do about a session.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Start it.
    Start(Box<Wanted>),
    /// Start it again.
    Wake,
    /// End its processes, keep its home.
    Hibernate,
    /// End it.
    Stop {
        /// How long its processes may take; none: the host's own time.
        grace: Option<Duration>,
    },
}

/// `data` of a `start_session`, as far as a host looks at it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// What the session is called.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Whose it is.
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    /// Which template.
    #[serde(deserialize_with = "or_default")]
    pub template: String,
    /// What the template calls its image: for a host another name of what to start.
    #[serde(deserialize_with = "or_default")]
    pub image: String,
    /// What it may use.
    #[serde(deserialize_with = "or_default")]
    pub resources: Limits,
    /// Whether its home is kept; none: yes.
    pub persistent_home: Option<bool>,
    /// For its processes.
    #[serde(deserialize_with = "or_default")]
    pub environment: BTreeMap<String, String>,
}

/// Memory and processor time, as quantities; empty: no limit.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Such as `2Gi`.
    #[serde(deserialize_with = "or_default")]
    pub memory: String,
    /// Such as `1000m`.
    #[serde(deserialize_with = "or_default")]
    pub cpu: String,
}

fn or_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    r#type: String,
    command_id: Option<String>,
    command_type: Option<String>,
    session_id: Option<SessionId>,
    proxy_id: Option<String>,
    heartbeat_interval: Option<String>,
    code: Option<String>,
    data: Option<serde_json::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    graceful: Option<bool>,
    timeout: Option<String>,
    request: Option<u64>,
    tail: Option<usize>,
}

/// Reads a text frame. What is not understood is [`Said::Nothing`].
pub fn read(text: &str) -> Said {
    understood(text).unwrap_or(Said::Nothing)
}

fn understood(text: &str) -> Option<Said> {
    let message: Message = serde_json::from_str(text).ok()?;
    let proxy = || named_proxy(message.proxy_id.as_deref()?);
    match message.r#type.as_str() {
        "register_ack" => {
            let heartbeat_interval = message.heartbeat_interval.as_deref().and_then(duration).unwrap_or(USUAL_INTERVAL);
            Some(Said::Registered { heartbeat_interval })
        }
        "command" => command(message),
        "vnc_proxy_request" => Some(Said::Open { session: message.session_id?, proxy: proxy()? }),
        "vnc_data" => Some(Said::Data(proxy()?, STANDARD.decode(message.data.as_ref()?.as_str()?).ok()?)),
        "vnc_proxy_close" | "vnc_proxy_error" => Some(Said::Close(proxy()?)),
        "error" => Some(Said::Complaint(message.code.unwrap_or_default())),
        _ => None,
    }
}

fn command(message: Message) -> Option<Said> {
    let (command, session) = (message.command_id?, message.session_id?);
    let data = message.data.unwrap_or_default();
    let asked = || serde_json::from_value::<Option<Asked>>(data.clone()).ok().map(Option::unwrap_or_default);
    let action = match message.command_type?.as_str() {
        "start_session" => Action::Start(Box::new(serde_json::from_value(data).ok()?)),
        "wake_session" => Action::Wake,
        "hibernate_session" => Action::Hibernate,
        "stop_session" => Action::Stop { grace: grace(&asked()?) },
        "get_logs" => {
            let Asked { request, tail, .. } = asked()?;
            return Some(Said::Logs { session, request: request?, tail: tail.unwrap_or(100) });
        }
        _ => return None,
    };
    Some(Said::Order(Order { command, session, action }))
}

fn grace(asked: &Asked) -> Option<Duration> {
    if asked.graceful == Some(false) { Some(Duration::ZERO) } else { asked.timeout.as_deref().and_then(duration) }
}

/// `10s`, `1m30s`; above zero.
fn duration(text: &str) -> Option<Duration> {
    let duration = text.parse::<SignedDuration>().ok().and_then(|signed| Duration::try_from(signed).ok());
    duration.filter(|duration| !duration.is_zero())
}
