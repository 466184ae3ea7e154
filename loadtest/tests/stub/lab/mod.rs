//! A server of labs that speaks just enough of the contract, and that does on purpose what a server should not.

use crate::run::Server;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};
use tungstenite::{
    Message, WebSocket,
    handshake::derive_accept_key,
    protocol::{Role, frame::Frame, frame::coding::OpCode},
};

const WINDOW: u32 = 256 << 10;

/// What it does wrong. Every n-th counts from the first; 0 is never.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Of an agent's frame the last byte is lost, or changed; or the frame comes twice.
    pub(crate) cut_every: u64,
    pub(crate) flip_every: u64,
    pub(crate) double_every: u64,
    /// A viewer's frame does not come to the agent.
    pub(crate) swallow_every: u64,
    /// Commands come twice.
    pub(crate) commands_twice: bool,
    /// An agent is not told to start a session.
    pub(crate) forget_every: u64,
    /// The agent is not told when a viewer has left.
    pub(crate) untold: bool,
    /// A request to create is refused with 429 the first time.
    pub(crate) crowded_every: u64,
    /// No credit after the first.
    pub(crate) stingy: bool,
    /// A viewer is refused.
    pub(crate) refuse_every: u64,
}

pub(crate) struct Stub {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    faults: Faults,
    frames: AtomicU64,
    keys: AtomicU64,
    creates: AtomicU64,
    asks: AtomicU64,
    viewers: AtomicU64,
    lab: Mutex<Lab>,
}

#[derive(Default)]
struct Lab {
    /// By platform, which is the agent's name in a load run.
    agents: HashMap<String, TcpStream>,
    /// Platform and state of each session; its id is its place.
    sessions: Vec<(String, &'static str)>,
    /// What goes to the viewer of each tunnel.
    tunnels: HashMap<u32, TcpStream>,
    results: u64,
}

fn every(n: u64, number: u64) -> bool {
    n > 0 && number.is_multiple_of(n)
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame::message(payload.to_vec(), OpCode::from(kind), true).format(&mut bytes).unwrap();
    bytes
}

fn id(place: usize) -> String {
    format!("00000000-0000-4000-8000-{place:012}")
}

fn place(id: &str) -> usize {
    id[24..36].parse().unwrap()
}

impl Stub {
    pub(crate) fn start(faults: Faults) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(State { faults, ..State::default() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.serve(stream));
            }
        });
        Stub { address, state }
    }

    pub(crate) fn server(&self) -> Server {
        Server { public: self.address, internal: self.address }
    }

    /// Commands that agents have completed.
    pub(crate) fn results(&self) -> u64 {
        self.state.lab().results
    }
}

impl State {
    fn lab(&self) -> MutexGuard<'_, Lab> {
        self.lab.lock().unwrap()
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            let [method, path] = head.split(' ').take(2).collect::<Vec<_>>()[..] else { return };
            if !field("Sec-WebSocket-Key: ").is_empty() {
                return self.upgrade(stream, path, field("Sec-WebSocket-Key: "));
            }
            if body.len() < field("Content-Length: ").parse().unwrap_or(0) {
                continue;
            }
            let (status, answer) = self.answer(method, path, body);
            bytes.clear();
            let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", answer.len()) };
            let _ = stream.write_all(format!("HTTP/1.1 {status} X\r\n{length}\r\n{answer}").as_bytes());
        }
    }

    fn answer(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let path = path.strip_prefix("/api/v1").unwrap();
        match (method, path) {
            ("POST", "/auth/login") => {
                let asked: Value = serde_json::from_str(body).unwrap();
                if asked == json!({ "username": "admin", "password": "open sesame" }) {
                    return (200, json!({ "token": "t0ken" }).to_string());
                }
                (401, json!({ "code": "AUTH_INVALID_CREDENTIALS" }).to_string())
            }
            ("POST", "/sessions") => self.create(&serde_json::from_str(body).unwrap()),
            ("GET", _) => {
                let state = path.split_once("state=").unwrap().1.split('&').next().unwrap();
                let total = self.lab().sessions.iter().filter(|(_, is)| *is == state).count();
                (200, json!({ "sessions": [], "pagination": { "total": total } }).to_string())
            }
            ("DELETE", _) => {
                let place = place(path.strip_prefix("/sessions/").unwrap());
                self.lab().sessions[place].1 = "terminating";
                self.command(place, "stop_session", "");
                (204, String::new())
            }
            _ => panic!("{method} {path}"),
        }
    }

    fn create(&self, asked: &Value) -> (u16, String) {
        if every(self.faults.crowded_every, self.asks.fetch_add(1, SeqCst) + 1) {
            return (429, json!({ "code": "RATE_LIMIT_EXCEEDED", "retry_after": 1 }).to_string());
        }
        let platform = asked["platform"].as_str().unwrap().to_owned();
        let place = {
            let mut lab = self.lab();
            lab.sessions.push((platform, "pending"));
            lab.sessions.len() - 1
        };
        if !every(self.faults.forget_every, self.creates.fetch_add(1, SeqCst) + 1) {
            self.command(place, "start_session", asked["user"].as_str().unwrap());
        }
        (202, json!({ "id": id(place), "state": "pending" }).to_string())
    }

    fn command(&self, place: usize, kind: &str, user: &str) {
        let told = json!({ "type": "command", "command_id": format!("{kind}/{place}"), "command_type": kind, "session_id": id(place),
            "data": { "user": user } });
        for _ in 0..1 + u64::from(self.faults.commands_twice) {
            self.tell(place, &told);
        }
    }

    fn tell(&self, place: usize, told: &Value) {
        self.to_agent(place, &frame(1, told.to_string().as_bytes()));
    }

    fn to_agent(&self, place: usize, bytes: &[u8]) {
        let mut lab = self.lab();
        let platform = lab.sessions[place].0.clone();
        if let Some(agent) = lab.agents.get_mut(&platform) {
            let _ = agent.write_all(bytes);
        }
    }

    fn upgrade(&self, mut stream: TcpStream, path: &str, key: &str) {
        if path.starts_with("/vnc-viewer/") && every(self.faults.refuse_every, self.viewers.fetch_add(1, SeqCst) + 1) {
            let _ = stream.write_all(b"HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n");
            return;
        }
        let accept = derive_accept_key(key.as_bytes());
        let answer = format!("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: {accept}\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
        let writer = stream.try_clone().unwrap();
        let socket = WebSocket::from_raw_socket(stream, Role::Server, None);
        match path.strip_prefix("/vnc-viewer/") {
            Some(rest) => {
                let (id, token) = rest.split_once("?token=").unwrap();
                assert_eq!(token, "t0ken");
                self.viewer(socket, writer, place(id));
            }
            None => {
                let name = path.split_once("platform=").unwrap().1.split('&').next().unwrap().to_owned();
                self.agent(socket, &writer, &name);
            }
        }
    }

    fn viewer(&self, mut socket: WebSocket<TcpStream>, writer: TcpStream, place: usize) {
        // Numbers of tunnels are not those of sessions.
        let tunnel = 100 + place as u32;
        self.lab().tunnels.insert(tunnel, writer);
        let proxy = format!("proxy-{tunnel}");
        self.tell(place, &json!({ "type": "vnc_proxy_request", "session_id": id(place), "proxy_id": proxy, "data": {} }));
        while let Ok(message) = socket.read() {
            let Message::Binary(bytes) = message else { continue };
            if !every(self.faults.swallow_every, self.keys.fetch_add(1, SeqCst) + 1) {
                self.to_agent(place, &frame(2, &[&[1], &tunnel.to_be_bytes()[..], &bytes].concat()));
            }
        }
        if let Some(writer) = self.lab().tunnels.remove(&tunnel) {
            let _ = writer.shutdown(Shutdown::Both);
        }
        if !self.faults.untold {
            self.tell(place, &json!({ "type": "vnc_proxy_close", "proxy_id": proxy }));
        }
    }

    fn agent(&self, mut socket: WebSocket<TcpStream>, writer: &TcpStream, name: &str) {
        while let Ok(message) = socket.read() {
            match message {
                Message::Text(text) => self.agent_says(writer, name, &serde_json::from_str(&text).unwrap()),
                Message::Binary(bytes) => self.agent_shows(writer, &bytes),
                _ => {}
            }
        }
        self.lab().agents.remove(name);
        let _ = writer.shutdown(Shutdown::Both);
    }

    fn agent_says(&self, mut writer: &TcpStream, name: &str, said: &Value) {
        match said["type"].as_str().unwrap() {
            "register" => {
                self.lab().agents.insert(name.to_owned(), writer.try_clone().unwrap());
                let ack =
                    json!({ "type": "register_ack", "agent_id": name, "status": "registered", "heartbeat_interval": "10s" });
                writer.write_all(&frame(1, ack.to_string().as_bytes())).unwrap();
            }
            "command_result" => {
                let (kind, place) = said["command_id"].as_str().unwrap().split_once('/').unwrap();
                let mut lab = self.lab();
                lab.results += 1;
                lab.sessions[place.parse::<usize>().unwrap()].1 = if kind == "start_session" { "running" } else { "terminated" };
            }
            "vnc_proxy_ready" => {
                let tunnel = said["proxy_id"].as_str().unwrap().strip_prefix("proxy-").unwrap().parse().unwrap();
                credit(writer, tunnel, WINDOW);
            }
            "command_ack" | "heartbeat" => {}
            other => panic!("{other}"),
        }
    }

    fn agent_shows(&self, writer: &TcpStream, bytes: &[u8]) {
        let (kind, tunnel, mut shown) = (bytes[0], u32::from_be_bytes(bytes[1..5].try_into().unwrap()), bytes[5..].to_vec());
        if kind != 1 {
            return;
        }
        let length = shown.len() as u32;
        let (number, last) = (self.frames.fetch_add(1, SeqCst) + 1, shown.len() - 1);
        if every(self.faults.flip_every, number) {
            shown[last] ^= 1;
        }
        if every(self.faults.cut_every, number) {
            shown.truncate(last);
        }
        let viewer = self.lab().tunnels.get(&tunnel).map(|viewer| viewer.try_clone().unwrap());
        for _ in 0..1 + u64::from(every(self.faults.double_every, number)) {
            let _ = viewer.as_ref().map(|mut viewer| viewer.write_all(&frame(2, &shown)));
        }
        if !self.faults.stingy {
            let _lab = self.lab();
            credit(writer, tunnel, length);
        }
    }
}

fn credit(mut writer: &TcpStream, tunnel: u32, bytes: u32) {
    let _ = writer.write_all(&frame(2, &[&[2], &tunnel.to_be_bytes()[..], &bytes.to_be_bytes()].concat()));
}
