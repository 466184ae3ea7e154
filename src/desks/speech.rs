//! What the agent says: text frames of the contract's dialect.

use super::{Fault, Screen, Seat};
use crate::{
    protocols::labs::{
        ProxyId, SessionId,
        dialect::{iso, proxy_name},
    },
    realtime::UnixMicros,
};
use serde::Serialize;
use serde_json::{Value, json};

/// The platform that agents of bare hosts give themselves.
pub const PLATFORM: &str = "host";
/// The most bytes of lines that one answer with logs has. The control plane reads messages up to 512 KiB.
const LOG_BYTES: usize = 256 << 10;
/// The most lines.
const LOG_LINES: usize = 10_000;

/// Who speaks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Host {
    /// `agent_id`.
    pub agent: String,
    /// `region`; may be empty.
    pub region: String,
    /// What the machine is called.
    pub machine: String,
    /// Where it is, as the control plane's network sees it.
    pub address: Option<String>,
}

/// What a host can hold.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Capacity {
    /// Sessions at a time.
    pub max_sessions: u32,
    /// Cores.
    pub max_cpu: f64,
    /// GiB.
    pub max_memory: f64,
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome<'a> {
    /// The session runs.
    Runs(&'a Seat),
    /// It sleeps, or is over.
    Done,
    /// It was not done.
    Failed(&'a Fault),
}

/// `register`, the first message.
pub fn register(host: &Host, capacity: Capacity, version: &str) -> String {
    let metadata = json!({"hostname": host.machine, "agent_version": version});
    let mut message = json!({
        "type": "register", "agent_id": host.agent, "platform": PLATFORM, "capacity": capacity, "metadata": metadata
    });
    if !host.region.is_empty() {
        message["region"] = host.region.as_str().into();
    }
    message.to_string()
}

/// `heartbeat`.
pub fn heartbeat(host: &Host, current_sessions: u32, now: UnixMicros) -> String {
    let capacity = json!({"current_sessions": current_sessions});
    json!({"type": "heartbeat", "agent_id": host.agent, "timestamp": iso(now), "capacity": capacity}).to_string()
}

/// `command_ack`.
pub(super) fn acknowledged(host: &Host, command: &str) -> String {
    json!({"type": "command_ack", "command_id": command, "agent_id": host.agent, "status": "acknowledged"}).to_string()
}

/// `command_result`.
pub(super) fn result(host: &Host, command: &str, session: SessionId, outcome: Outcome<'_>) -> String {
    let mut message = json!({"type": "command_result", "command_id": command, "agent_id": host.agent});
    match outcome {
        Outcome::Runs(seat) => {
            message["status"] = "completed".into();
            message["result"] = place(host, session, seat);
        }
        Outcome::Done => {
            message["status"] = "completed".into();
            message["result"] = json!({"session_id": session});
        }
        Outcome::Failed(fault) => {
            message["status"] = "failed".into();
            message["error"] = fault.error.as_str().into();
            message["error_code"] = fault.code.as_str().into();
        }
    }
    message.to_string()
}

/// `status`: how a session is, unasked.
pub(super) fn status(host: &Host, session: SessionId, how: Result<&Seat, &Fault>) -> String {
    let mut message = json!({"type": "status", "agent_id": host.agent, "session_id": session});
    match how {
        Ok(seat) => {
            message["state"] = "running".into();
            message["result"] = place(host, session, seat);
        }
        Err(fault) => {
            message["state"] = "failed".into();
            message["error"] = fault.error.as_str().into();
            message["error_code"] = fault.code.as_str().into();
        }
    }
    message.to_string()
}

fn place(host: &Host, session: SessionId, seat: &Seat) -> Value {
    let mut place = json!({
        "session_id": session, "pod_name": host.machine, "started_at": seat.started_at,
        "platform_metadata": {"host": host.machine, "pid": seat.process.pid}
    });
    if let Some(address) = &host.address {
        place["pod_ip"] = address.as_str().into();
    }
    if let Screen::Tcp(at) = &seat.screen {
        let port = at.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        place["vnc_port"] = port.unwrap_or(seat.port).into();
    }
    place
}

/// `logs`: as many of the last lines as there is room for.
pub fn logs(host: &Host, request: u64, lines: &[String]) -> String {
    let mut room = LOG_BYTES;
    let fits = |line: &&String| {
        let is_room = line.len() < room;
        room = room.saturating_sub(line.len() + 1);
        is_room
    };
    let kept = lines.iter().rev().take(LOG_LINES).take_while(fits).count();
    let lines = &lines[lines.len() - kept..];
    json!({"type": "logs", "agent_id": host.agent, "request": request, "lines": lines}).to_string()
}

/// `vnc_proxy_ready`: the screen is reached, and takes so many bytes before it gives credit.
pub fn ready(proxy: ProxyId, credit: u32) -> String {
    json!({"type": "vnc_proxy_ready", "proxy_id": proxy_name(proxy), "credit": credit, "encoding": "binary"}).to_string()
}

/// `vnc_proxy_error`: the screen is not reached, or no longer.
pub fn broken(proxy: ProxyId, error: &str) -> String {
    json!({"type": "vnc_proxy_error", "proxy_id": proxy_name(proxy), "error": error}).to_string()
}

/// `vnc_proxy_close`: the screen has said all.
pub fn closed(proxy: ProxyId) -> String {
    json!({"type": "vnc_proxy_close", "proxy_id": proxy_name(proxy)}).to_string()
}
