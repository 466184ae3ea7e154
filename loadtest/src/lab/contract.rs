//! The labs contract as an agent and as a client of REST see it.

use super::order::user_number;
use crate::clock::now_ns;
use serde::Deserialize;
use serde_json::json;
use std::{borrow::Cow, time::Duration};
use uuid::Uuid;

/// How many bytes an agent takes before it gives credit, and how many it has given to its screen when it does.
pub(super) const FIRST_CREDIT: u32 = 1 << 20;
pub(super) const CREDIT_EVERY: u32 = 256 << 10;
/// The first byte of a binary frame.
pub(super) const DATA: u8 = 1;
const CREDIT: u8 = 2;

/// A message to an agent. What a kind does not have is absent.
#[derive(Debug, Deserialize)]
pub(super) struct Told<'a> {
    #[serde(borrow)]
    pub(super) r#type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) command_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) command_type: Option<Cow<'a, str>>,
    pub(super) session_id: Option<Uuid>,
    #[serde(borrow)]
    proxy_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    heartbeat_interval: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Debug, Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request: Option<&'a serde_json::value::RawValue>,
}

impl Told<'_> {
    /// The number of the tunnel.
    pub(super) fn tunnel(&self) -> Option<u32> {
        self.proxy_id.as_ref()?.strip_prefix("proxy-")?.parse().ok()
    }

    /// The run's number of the session that is to be started.
    pub(super) fn number(&self) -> Option<u32> {
        user_number(self.data.as_ref()?.user.as_ref()?)
    }

    /// How often the agent is to say that it lives.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.heartbeat_interval.as_ref()?.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
    }

    /// The answer to `get_logs`.
    pub(super) fn logs(&self) -> Option<String> {
        let request = self.data.as_ref()?.request?;
        Some(format!(r#"{{"type":"logs","request":{request},"lines":[]}}"#))
    }
}

/// `register`.
pub(super) fn register(agent: &str, sessions: usize) -> String {
    let capacity = json!({ "max_cpu": 1_000, "max_memory": 1_000, "max_sessions": sessions });
    let metadata = json!({ "agent_version": "load" });
    json!({ "type": "register", "agent_id": agent, "platform": agent, "region": "load", "capacity": capacity, "metadata": metadata })
        .to_string()
}

/// `heartbeat`.
pub(super) fn heartbeat(agent: &str, sessions: usize) -> String {
    let capacity = json!({ "current_sessions": sessions });
    json!({ "type": "heartbeat", "agent_id": agent, "timestamp": now(), "capacity": capacity }).to_string()
}

/// `command_ack`.
pub(super) fn ack(agent: &str, command: &str) -> String {
    json!({ "type": "command_ack", "command_id": command, "agent_id": agent, "status": "acknowledged" }).to_string()
}

/// `command_result`: it is done.
pub(super) fn result(agent: &str, command: &str, session: Uuid) -> String {
    let pod = format!("load-{:08x}", now_ns() as u32);
    let result = json!({ "session_id": session, "pod_ip": "10.0.0.1", "pod_name": pod, "vnc_port": 5900, "started_at": now() });
    json!({ "type": "command_result", "command_id": command, "agent_id": agent, "status": "completed", "result": result })
        .to_string()
}

/// `vnc_proxy_ready`, of an agent that counts.
pub(super) fn ready(tunnel: u32) -> String {
    format!(r#"{{"type":"vnc_proxy_ready","proxy_id":"proxy-{tunnel}","credit":{FIRST_CREDIT}}}"#)
}

/// What stands before the bytes of a tunnel.
pub(super) fn data_head(tunnel: u32) -> [u8; 5] {
    head(DATA, tunnel)
}

/// What stands before the number of bytes that may be sent.
pub(super) fn credit_head(tunnel: u32) -> [u8; 5] {
    head(CREDIT, tunnel)
}

fn head(kind: u8, tunnel: u32) -> [u8; 5] {
    let [a, b, c, d] = tunnel.to_be_bytes();
    [kind, a, b, c, d]
}

/// What a binary frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frame<'a> {
    /// Bytes of a tunnel.
    Data(u32, &'a [u8]),
    /// So many bytes more may be sent.
    Credit(u32, u32),
}

/// Reads a binary frame's payload; none: it is none.
pub(super) fn read_frame(payload: &[u8]) -> Option<Frame<'_>> {
    let (&[kind, number @ ..], rest) = payload.split_first_chunk::<5>()?;
    let tunnel = u32::from_be_bytes(number);
    match kind {
        DATA => Some(Frame::Data(tunnel, rest)),
        CREDIT => Some(Frame::Credit(tunnel, u32::from_be_bytes(rest.try_into().ok()?))),
        _ => None,
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// The answer to a login.
#[derive(Deserialize)]
pub(crate) struct SignedIn {
    pub(crate) token: String,
}

/// A session, as far as it is looked at.
#[derive(Deserialize)]
pub(crate) struct Made {
    pub(crate) id: Uuid,
}

/// A page of sessions, of which only the number of all is looked at.
#[derive(Deserialize)]
pub(crate) struct Listed {
    pub(crate) pagination: Pagination,
}

/// See [`Listed`].
#[derive(Deserialize)]
pub(crate) struct Pagination {
    pub(crate) total: u64,
}

/// A refusal.
#[derive(Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) retry_after: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_contract_are_read() {
        let told: Told<'_> =
            serde_json::from_str(r#"{"type":"register_ack","agent_id":"a","status":"registered","heartbeat_interval":"10s"}"#)
                .unwrap();
        assert_eq!(told.interval(), Some(Duration::from_secs(10)));
        let told: Told<'_> = serde_json::from_str(
            r#"{"type":"command","command_id":"cmd-abc123","command_type":"start_session","session_id":
            "770e8400-e29b-41d4-a716-446655440002","data":{"name":"load-7-firefox-browser-abc123","user":"load-7","vnc":{"port":3000}}}"#,
        )
        .unwrap();
        assert_eq!((told.number(), told.command_type.as_deref()), (Some(7), Some("start_session")));
        let told: Told<'_> = serde_json::from_str(
            r#"{"type":"vnc_proxy_request","session_id":"770e8400-e29b-41d4-a716-446655440002","proxy_id":"proxy-12","data":{}}"#,
        )
        .unwrap();
        assert_eq!((told.tunnel(), told.logs()), (Some(12), None));
        let told: Told<'_> =
            serde_json::from_str(r#"{"type":"command","command_type":"get_logs","data":{"request":"r-1","tail":9}}"#).unwrap();
        assert_eq!(told.logs().unwrap(), r#"{"type":"logs","request":"r-1","lines":[]}"#);
    }

    #[test]
    fn frames_are_as_documented() {
        assert_eq!([&data_head(7)[..], b"RFB"].concat(), b"\x01\0\0\0\x07RFB");
        assert_eq!(read_frame(b"\x01\0\0\0\x07RFB"), Some(Frame::Data(7, b"RFB")));
        let credit = [&credit_head(7)[..], &0x0010_0000u32.to_be_bytes()].concat();
        assert_eq!(credit, b"\x02\0\0\0\x07\0\x10\0\0");
        assert_eq!(read_frame(&credit), Some(Frame::Credit(7, 1 << 20)));
        assert_eq!((read_frame(b"\x03\0\0\0\x07"), read_frame(b"\x01\0")), (None, None));
    }
}
