//! A control plane as an agent meets it: a WebSocket that says what the test says.

use super::{ONE, SOON};
use crate::protocols::labs::{ProxyId, SessionId, proxy_frames};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

pub(super) struct Plane {
    listener: TcpListener,
}

/// One agent's connection.
pub(super) struct Line {
    socket: WebSocketStream<TcpStream>,
    commands: u32,
    /// What the agent said and the test has not looked at.
    said: Vec<Value>,
    bytes: Vec<u8>,
    credit: u32,
}

impl Plane {
    pub(super) async fn new() -> Plane {
        Plane { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// An agent that has registered.
    pub(super) async fn line(&self) -> Line {
        let mut line = self.unregistered().await;
        let register = line.hear("register").await;
        assert_eq!((&register["agent_id"], &register["platform"]), (&json!("host-1"), &json!("host")));
        assert!(register["capacity"]["max_sessions"].as_u64() > Some(0));
        line.say(json!({"type": "register_ack", "agent_id": "host-1", "status": "registered", "heartbeat_interval": "1s"})).await;
        line
    }

    pub(super) async fn unregistered(&self) -> Line {
        let (stream, _) = timeout(SOON, self.listener.accept()).await.expect("the agent calls").unwrap();
        Line { socket: accept_async(stream).await.unwrap(), commands: 0, said: Vec::new(), bytes: Vec::new(), credit: 0 }
    }
}

impl Line {
    pub(super) async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message of this type; others are kept.
    pub(super) async fn hear(&mut self, kind: &str) -> Value {
        loop {
            if let Some(place) = self.said.iter().position(|said| said["type"] == kind) {
                return self.said.remove(place);
            }
            self.listen().await;
        }
    }

    async fn listen(&mut self) {
        let next = timeout(SOON, self.socket.next()).await;
        match next.unwrap_or_else(|_| panic!("nothing more after {:?}", self.said)).expect("the agent stays").unwrap() {
            Message::Text(text) => self.said.push(serde_json::from_str(&text).unwrap()),
            Message::Binary(frame) => match proxy_frames::read(&frame).unwrap() {
                proxy_frames::ProxyFrame::Data(_, bytes) => self.bytes.extend_from_slice(bytes),
                proxy_frames::ProxyFrame::Credit(_, bytes) => self.credit += bytes,
            },
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }

    /// Orders something, awaits its acknowledgement, and returns its name.
    pub(super) async fn command(&mut self, kind: &str, session: SessionId, data: Value) -> String {
        self.commands += 1;
        let name = format!("cmd-{:012x}", self.commands);
        let command = json!({"type": "command", "command_id": name, "command_type": kind, "session_id": session, "data": data});
        self.say(command).await;
        assert_eq!(self.hear("command_ack").await["command_id"], name);
        name
    }

    /// Orders something about the one session, and awaits its result.
    pub(super) async fn done(&mut self, kind: &str, data: Value) -> Value {
        let name = self.command(kind, ONE, data).await;
        let result = self.hear("command_result").await;
        assert_eq!(result["command_id"], name);
        result
    }

    /// Opens a tunnel with this credit.
    pub(super) async fn tunnel(&mut self, number: u32, credit: u32) {
        self.say(json!({"type": "vnc_proxy_request", "session_id": ONE, "proxy_id": format!("proxy-{number}"), "data": {}}))
            .await;
        let ready = self.hear("vnc_proxy_ready").await;
        assert!(ready["proxy_id"] == format!("proxy-{number}") && ready["credit"].as_u64() > Some(0), "{ready}");
        self.give(number, credit).await;
    }

    pub(super) async fn give(&mut self, number: u32, credit: u32) {
        let frame = proxy_frames::credit_payload(ProxyId(number), credit).to_vec();
        self.socket.send(Message::binary(frame)).await.unwrap();
    }

    pub(super) async fn send(&mut self, number: u32, bytes: &[u8]) {
        let frame = [&proxy_frames::data_header(ProxyId(number)), bytes].concat();
        self.socket.send(Message::binary(frame)).await.unwrap();
    }

    /// So many bytes of tunnels, whichever.
    pub(super) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.bytes.len() < count {
            self.listen().await;
        }
        self.bytes.drain(..count).collect()
    }

    /// Bytes that came and were not looked at.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len()
    }

    /// Until the agent has given so much credit.
    pub(super) async fn credit(&mut self, bytes: u32) {
        while self.credit < bytes {
            self.listen().await;
        }
    }
}
