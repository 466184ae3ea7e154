//! What agents say, in both dialects, and what they are told beside their commands.
//!
//! A message is read in one pass into pieces that are looked at only when its `type` wants them: what no message of that type has may be
//! of any form. `null` is as good as absent.

use super::{
    chunk::{Chunk, Wire},
    dialect::{iso, proxy_name},
    letters::{AgentWord, Capacity, Dialect, Hello},
    model::{AgentName, Place, ProxyId, SessionId},
};
use crate::{realtime::UnixMicros, websocket::frame};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The longest name of an agent, a platform or a region, in bytes.
const NAME_BYTES: usize = 128;
/// The longest `metadata`, in bytes.
const METADATA_BYTES: usize = 16 << 10;
/// The longest of an agent's other texts that are kept, in bytes; errors are cut to it.
const TEXT_BYTES: usize = 1024;
/// The most lines that one `logs` may bring.
const LOG_LINES: usize = 10_000;
/// Some encoders leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How an agent names a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tunnel {
    /// By the `proxy_id` of its request: the contract's dialect.
    Proxy(ProxyId),
    /// By its session, which has one tunnel: the second dialect.
    Session(SessionId),
}

/// A message of an agent.
#[derive(Clone, PartialEq, Debug)]
pub enum Heard {
    /// `register`.
    Register(Box<Hello>),
    /// For the registry.
    Word(AgentWord),
    /// Its end of a tunnel is open.
    Ready {
        /// Which.
        tunnel: Tunnel,
        /// How many bytes it takes before it gives credit; none: it knows of no credit.
        credit: Option<u32>,
        /// Whether it wants to hear bytes as text.
        base64: bool,
    },
    /// Bytes of a tunnel, as text.
    Data(Tunnel, Chunk),
    /// Its end of a tunnel is over.
    Over {
        /// Which.
        tunnel: Tunnel,
        /// Why, if it is a fault.
        error: Option<Box<str>>,
    },
    /// It lives.
    Alive,
    /// Of no consequence.
    Nothing,
}

/// What is wrong with a message; it was not heard. Peers of the contract's dialect are told ([`error`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// No JSON object, or one that has a field of ours twice.
    Json,
    /// The type is of no message that there is.
    UnknownType,
    /// It has not this field.
    Missing(&'static str),
    /// This field is not as it must be.
    Wrong(&'static str),
    /// A binary frame that is none of ours.
    Binary,
}

/// Who speaks: what their query said.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    /// How.
    pub dialect: Dialect,
    /// `agent_id`.
    pub name: &'a AgentName,
    /// `platform`, for a `register` that has none.
    pub platform: &'a str,
    /// `region`, for a `register` that has none.
    pub region: &'a str,
}

/// The fields of all messages of both dialects.
#[derive(Deserialize)]
pub(super) struct Fields<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(alias = "agentId")]
    pub(super) agent_id: Option<&'a RawValue>,
    pub(super) platform: Option<&'a RawValue>,
    pub(super) region: Option<&'a RawValue>,
    capacity: Option<&'a RawValue>,
    pub(super) metadata: Option<&'a RawValue>,
    #[serde(alias = "commandId")]
    command_id: Option<&'a RawValue>,
    status: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    error_code: Option<&'a RawValue>,
    proxy_id: Option<&'a RawValue>,
    credit: Option<&'a RawValue>,
    encoding: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
    request: Option<&'a RawValue>,
    lines: Option<&'a RawValue>,
    #[serde(alias = "sessionId")]
    session_id: Option<&'a RawValue>,
    state: Option<&'a RawValue>,
    #[serde(alias = "vncPort")]
    vnc_port: Option<&'a RawValue>,
    #[serde(alias = "activeSessions")]
    active_sessions: Option<&'a RawValue>,
    #[serde(rename = "platformMetadata")]
    platform_metadata: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Capacities<'a> {
    #[serde(borrow, alias = "maxSessions")]
    max_sessions: Option<&'a RawValue>,
    #[serde(alias = "cpu")]
    max_cpu: Option<&'a RawValue>,
    #[serde(alias = "memory")]
    max_memory: Option<&'a RawValue>,
    current_sessions: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Places<'a> {
    #[serde(borrow, alias = "podIP", alias = "podIp")]
    pod_ip: Option<&'a RawValue>,
    #[serde(alias = "podName")]
    pod_name: Option<&'a RawValue>,
    #[serde(alias = "containerId", alias = "containerID")]
    container_id: Option<&'a RawValue>,
    #[serde(alias = "vncPort")]
    vnc_port: Option<&'a RawValue>,
    #[serde(alias = "startedAt")]
    started_at: Option<&'a RawValue>,
    #[serde(alias = "platformMetadata")]
    platform_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a text message.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str, speaker: Speaker<'_>) -> Result<Heard, Fault> {
    let outer: Fields<'_> = serde_json::from_str(text).map_err(|_| Fault::Json)?;
    let kind = required(outer.r#type, "type", self::text)?;
    match speaker.dialect {
        Dialect::Contract => contract(&kind, &outer, speaker),
        Dialect::Field => {
            let empty = RawValue::NULL;
            let payload = outer.payload.unwrap_or(empty).get();
            let payload = if payload == "null" { "{}" } else { payload };
            field(&kind, &serde_json::from_str(payload).map_err(|_| Fault::Wrong("payload"))?)
        }
    }
}

fn contract(kind: &str, said: &Fields<'_>, speaker: Speaker<'_>) -> Result<Heard, Fault> {
    let named = optional(said.agent_id, "agent_id", text)?;
    if named.is_some_and(|name| name != **speaker.name) {
        return Err(Fault::Wrong("agent_id"));
    }
    match kind {
        "register" => register(said, speaker),
        "heartbeat" => Ok(Heard::Word(AgentWord::Heartbeat(capacity(said)?))),
        "command_ack" => Ok(Heard::Word(AgentWord::Acknowledged { command: command(said)? })),
        "command_result" => match &*required(said.status, "status", text)? {
            "completed" => completed(said),
            "failed" => failed(said),
            _ => Err(Fault::Wrong("status")),
        },
        "status" => status(said, "session_id"),
        "logs" => logs(said),
        "vnc_proxy_ready" => ready(said),
        "vnc_proxy_error" => Ok(Heard::Over { tunnel: proxy(said)?, error: Some(reason(said)?.into()) }),
        "vnc_proxy_close" => Ok(Heard::Over { tunnel: proxy(said)?, error: None }),
        "vnc_data" => Ok(Heard::Data(proxy(said)?, required(said.data, "data", decoded)?)),
        "pong" => Ok(Heard::Alive),
        _ => Err(Fault::UnknownType),
    }
}

fn field(kind: &str, said: &Fields<'_>) -> Result<Heard, Fault> {
    let session = || required(said.session_id, "sessionId", session_id).map(Tunnel::Session);
    match kind {
        "heartbeat" => Ok(Heard::Word(AgentWord::Heartbeat(capacity(said)?))),
        "ack" => Ok(Heard::Word(AgentWord::Acknowledged { command: command(said)? })),
        "complete" => completed(said),
        "failed" => failed(said),
        "status" => status(said, "sessionId"),
        "vnc_ready" => Ok(Heard::Ready { tunnel: session()?, credit: None, base64: true }),
        "vnc_error" => Ok(Heard::Over { tunnel: session()?, error: Some(reason(said)?.into()) }),
        "vnc_close" => Ok(Heard::Over { tunnel: session()?, error: None }),
        "vnc_data" => Ok(Heard::Data(session()?, required(said.data, "data", decoded)?)),
        "pong" => Ok(Heard::Alive),
        _ => Err(Fault::UnknownType),
    }
}

fn register(said: &Fields<'_>, speaker: Speaker<'_>) -> Result<Heard, Fault> {
    required(said.agent_id, "agent_id", text)?;
    let platform = optional(said.platform, "platform", text)?;
    let region = optional(said.region, "region", text)?;
    let (platform, region) = (platform.as_deref().unwrap_or(speaker.platform), region.as_deref().unwrap_or(speaker.region));
    if !is_name(platform) {
        return Err(Fault::Wrong("platform"));
    }
    if !region.is_empty() && !is_name(region) {
        return Err(Fault::Wrong("region"));
    }
    Ok(Heard::Register(Box::new(Hello {
        dialect: Dialect::Contract,
        name: AgentName::clone(speaker.name),
        platform: platform.into(),
        region: region.into(),
        capacity: capacity(said)?,
        metadata: optional(said.metadata, "metadata", object)?.unwrap_or_else(|| "{}".into()).into(),
    })))
}

pub(super) fn capacity(said: &Fields<'_>) -> Result<Capacity, Fault> {
    let active = optional(said.active_sessions, "activeSessions", count)?;
    let Some(all) = optional(said.capacity, "capacity", |raw| serde_json::from_str::<Capacities<'_>>(raw).ok())? else {
        return Ok(Capacity { current_sessions: active, ..Capacity::default() });
    };
    Ok(Capacity {
        max_sessions: optional(all.max_sessions, "capacity.max_sessions", count)?,
        max_cpu: optional(all.max_cpu, "capacity.max_cpu", amount)?,
        max_memory: optional(all.max_memory, "capacity.max_memory", amount)?,
        current_sessions: optional(all.current_sessions, "capacity.current_sessions", count)?.or(active),
    })
}

fn command(said: &Fields<'_>) -> Result<String, Fault> {
    required(said.command_id, "command_id", kept)
}

fn completed(said: &Fields<'_>) -> Result<Heard, Fault> {
    let place = optional(said.result, "result", |raw| serde_json::from_str(raw).ok())?;
    let place = place.map(place_of).transpose()?.unwrap_or_default();
    Ok(Heard::Word(AgentWord::Completed { command: command(said)?, place: Box::new(place) }))
}

fn failed(said: &Fields<'_>) -> Result<Heard, Fault> {
    Ok(Heard::Word(AgentWord::Failed { command: command(said)?, error: reason(said)? }))
}

/// The agent's words on what went wrong; they are not needed.
fn reason(said: &Fields<'_>) -> Result<String, Fault> {
    let error = optional(said.error, "error", text)?;
    let error = error.map_or_else(|| optional(said.error_code, "error_code", text), |error| Ok(Some(error)))?;
    let error = error.unwrap_or(Cow::Borrowed("The agent gave no reason"));
    Ok(error[..error.floor_char_boundary(TEXT_BYTES)].to_owned())
}

fn status(said: &Fields<'_>, id: &'static str) -> Result<Heard, Fault> {
    let session = required(said.session_id, id, session_id)?;
    let state = required(said.state, "state", text)?;
    let Some(running) = runs(&state) else { return Ok(Heard::Nothing) };
    let result = said.result.or(said.platform_metadata);
    let place = optional(result, "result", |raw| serde_json::from_str(raw).ok())?.map(place_of).transpose()?;
    let mut place = place.unwrap_or_default();
    place.vnc_port = optional(said.vnc_port, "vnc_port", port)?.or(place.vnc_port);
    Ok(Heard::Word(AgentWord::Status { session, running, place: Box::new(place) }))
}

/// Whether a session runs; none: it is on its way, or nobody knows.
fn runs(state: &str) -> Option<bool> {
    match state {
        "running" => Some(true),
        "hibernated" | "stopped" | "terminated" | "failed" | "exited" | "error" => Some(false),
        _ => None,
    }
}

fn place_of(said: Places<'_>) -> Result<Place, Fault> {
    Ok(Place {
        pod_ip: optional(said.pod_ip, "pod_ip", kept)?,
        pod_name: optional(said.pod_name, "pod_name", kept)?,
        container_id: optional(said.container_id, "container_id", kept)?,
        vnc_port: optional(said.vnc_port, "vnc_port", port)?,
        started_at: optional(said.started_at, "started_at", kept)?,
        metadata: optional(said.platform_metadata, "platform_metadata", object)?,
    })
}

fn logs(said: &Fields<'_>) -> Result<Heard, Fault> {
    let request = required(said.request, "request", |raw| raw.parse().ok())?;
    let lines: Vec<String> = required(said.lines, "lines", |raw| serde_json::from_str(raw).ok())?;
    if lines.len() > LOG_LINES {
        return Err(Fault::Wrong("lines"));
    }
    Ok(Heard::Word(AgentWord::Logs { request, lines }))
}

fn ready(said: &Fields<'_>) -> Result<Heard, Fault> {
    let base64 = match optional(said.encoding, "encoding", text)?.as_deref() {
        None | Some("binary") => false,
        Some("base64") => true,
        Some(_) => return Err(Fault::Wrong("encoding")),
    };
    Ok(Heard::Ready { tunnel: proxy(said)?, credit: optional(said.credit, "credit", count)?, base64 })
}

fn proxy(said: &Fields<'_>) -> Result<Tunnel, Fault> {
    required(said.proxy_id, "proxy_id", |raw| named_proxy(&text(raw)?)).map(Tunnel::Proxy)
}

/// The tunnel that has this name on the wire.
pub fn named_proxy(name: &str) -> Option<ProxyId> {
    let proxy = ProxyId(name.strip_prefix("proxy-")?.parse().ok()?);
    (proxy_name(proxy) == name).then_some(proxy)
}

/// Whether this may be what an agent calls itself, or its platform or region: 1 to 128 of letters, digits and `. _ -`.
pub fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

pub(super) fn required<'a, T>(
    raw: Option<&'a RawValue>,
    name: &'static str,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T, Fault> {
    optional(raw, name, read)?.ok_or(Fault::Missing(name))
}

pub(super) fn optional<'a, T>(
    raw: Option<&'a RawValue>,
    name: &'static str,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<Option<T>, Fault> {
    raw.map(|raw| read(raw.get()).ok_or(Fault::Wrong(name))).transpose()
}

pub(super) fn text(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw).ok().map(|text| text.0)
}

fn kept(raw: &str) -> Option<String> {
    text(raw).filter(|text| text.len() <= TEXT_BYTES).map(Cow::into_owned)
}

/// A text that may be a name.
pub(super) fn name(raw: &str) -> Option<Cow<'_, str>> {
    text(raw).filter(|text| is_name(text))
}

pub(super) fn object(raw: &str) -> Option<Box<str>> {
    (raw.starts_with('{') && raw.len() <= METADATA_BYTES).then(|| raw.into())
}

fn session_id(raw: &str) -> Option<SessionId> {
    SessionId::try_parse(&text(raw)?).ok()
}

fn port(raw: &str) -> Option<u16> {
    raw.parse().ok().filter(|port| *port > 0)
}

/// A whole number, however it is written.
fn count(raw: &str) -> Option<u32> {
    let number: f64 = serde_json::from_str(raw).ok()?;
    (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as u32)
}

/// Cores or GiB: a number, or a text such as `64`, `64 cores`, `500m`, `256Gi` or `1Ti`.
fn amount(raw: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 6] =
        [("cores", 1.0), ("core", 1.0), ("m", 1e-3), ("Mi", 1.0 / 1024.0), ("Gi", 1.0), ("Ti", 1024.0)];
    let number = match text(raw) {
        Some(text) => {
            let unit = UNITS.iter().find_map(|(unit, of)| Some((text.strip_suffix(unit)?, *of)));
            let (number, of) = unit.unwrap_or((&text, 1.0));
            number.trim().parse::<f64>().ok()? * of
        }
        None => serde_json::from_str(raw).ok()?,
    };
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn decoded(raw: &str) -> Option<Chunk> {
    let text = text(raw)?;
    Chunk::written(text.len() / 4 * 3 + 3, |out| BASE64.decode_vec(text.as_bytes(), out)).ok()
}

/// What is wrong with what an agent said. The second dialect has no such message.
pub fn error(fault: Fault) -> Wire {
    #[derive(Serialize)]
    struct Error<'a> {
        r#type: &'static str,
        error: &'static str,
        message: String,
        code: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        details: Option<Details<'a>>,
    }
    #[derive(Serialize)]
    struct Details<'a> {
        field: &'a str,
    }
    let (code, message, field) = match fault {
        Fault::Json => ("VALIDATION_FAILED", "The message is not a JSON object".to_owned(), None),
        Fault::UnknownType => ("VALIDATION_FAILED", "There is no message of this type".to_owned(), Some("type")),
        Fault::Missing(field) => ("MISSING_REQUIRED_FIELD", format!("The message needs '{field}'"), Some(field)),
        Fault::Wrong(field) => ("VALIDATION_FAILED", format!("'{field}' is not as it must be"), Some(field)),
        Fault::Binary => ("VALIDATION_FAILED", "The binary frame is not of a tunnel".to_owned(), None),
    };
    let details = field.map(|field| Details { field });
    written(&Error { r#type: "error", error: "Invalid message", message, code, details })
}

/// Bytes for an agent that wants them as text.
pub fn data(dialect: Dialect, (proxy, session): (ProxyId, SessionId), bytes: &[u8], now: UnixMicros) -> Wire {
    let mut out = Vec::with_capacity(bytes.len() / 3 * 4 + 192);
    let mark = frame::begin_text(&mut out);
    let head = match dialect {
        Dialect::Contract => format!(r#"{{"type":"vnc_data","proxy_id":"{}","data":""#, proxy_name(proxy)),
        Dialect::Field => {
            format!(r#"{{"type":"vnc_data","timestamp":"{}","payload":{{"sessionId":"{session}","data":""#, iso(now))
        }
    };
    out.extend_from_slice(head.as_bytes());
    let begin = out.len();
    out.resize(begin + base64::encoded_len(bytes.len(), true).unwrap_or_default(), 0);
    // There is exactly as much room as the text takes.
    let _ = STANDARD.encode_slice(bytes, &mut out[begin..]);
    out.extend_from_slice(match dialect {
        Dialect::Contract => br#""}"#,
        Dialect::Field => br#""}}"#,
    });
    frame::end_text(&mut out, mark);
    Wire::whole(out)
}

/// The viewer's end of a tunnel is over.
pub fn close(dialect: Dialect, (proxy, session): (ProxyId, SessionId), now: UnixMicros) -> Wire {
    #[derive(Serialize)]
    struct Close {
        r#type: &'static str,
        proxy_id: String,
    }
    #[derive(Serialize)]
    struct CloseInField {
        r#type: &'static str,
        timestamp: String,
        payload: Session,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Session {
        session_id: SessionId,
        reason: &'static str,
    }
    match dialect {
        Dialect::Contract => written(&Close { r#type: "vnc_proxy_close", proxy_id: proxy_name(proxy) }),
        Dialect::Field => {
            let payload = Session { session_id: session, reason: "the viewer left" };
            written(&CloseInField { r#type: "vnc_close", timestamp: iso(now), payload })
        }
    }
}

fn written(message: &impl Serialize) -> Wire {
    let mut out = Vec::with_capacity(256);
    let mark = frame::begin_text(&mut out);
    // Texts and numbers alone: serde_json refuses nothing of that, and a `Vec` takes everything.
    let _ = serde_json::to_writer(&mut out, message);
    frame::end_text(&mut out, mark);
    Wire::whole(out)
}
