//! A server of chat that speaks just enough of the contract, asks the model that it is given, and does on purpose what a server should not.

mod model;

use model::Asked;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::SeqCst},
        mpsc::{Sender, channel},
    },
    thread,
};
use tungstenite::{
    Message, WebSocket,
    handshake::derive_accept_key,
    protocol::{Role, frame::Frame, frame::coding::OpCode},
};

/// What it does wrong. Every n-th counts from the first; 0 is never.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// A word is lost, comes twice, or changes places with the one behind it.
    pub(crate) lose_every: u64,
    pub(crate) double_every: u64,
    pub(crate) swap_every: u64,
    /// An answer begins twice, ends twice, or not at all.
    pub(crate) begin_twice_every: u64,
    pub(crate) end_twice_every: u64,
    pub(crate) endless_every: u64,
    /// An answer has one word less in what is kept.
    pub(crate) forget_every: u64,
    /// After the end of an answer that was cancelled comes one word more.
    pub(crate) word_after_cancel: bool,
    /// Cancels are not heard.
    pub(crate) deaf: bool,
    /// A cancelled answer ends, but not the request to the model.
    pub(crate) clinging: bool,
    /// One socket of a session hears nothing.
    pub(crate) mute_every: u64,
    /// A session is refused with 429 the first time.
    pub(crate) crowded_every: u64,
}

pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    faults: Faults,
    model: SocketAddr,
    words: AtomicU64,
    answers: AtomicU64,
    sockets: AtomicU64,
    asks: AtomicU64,
    sessions: Mutex<Vec<Session>>,
}

/// One session; its id is its place.
struct Session {
    listeners: Vec<TcpStream>,
    questions: Sender<(String, Way)>,
    /// The request that is under way.
    running: Option<Arc<Asked>>,
    kept: Vec<Value>,
}

/// Where an answer goes.
enum Way {
    Sockets,
    Stream(TcpStream, Sender<()>),
}

fn every(n: u64, number: u64) -> bool {
    n > 0 && number.is_multiple_of(n)
}

fn place(id: &str) -> usize {
    id.strip_prefix("sess_").unwrap().parse().unwrap()
}

impl Stub {
    pub(crate) fn start(faults: Faults, model: SocketAddr) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            faults,
            model,
            words: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            sockets: AtomicU64::new(0),
            asks: AtomicU64::new(0),
            sessions: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.serve(stream));
            }
        });
        Stub { address, state }
    }

    /// Tokens that were shown, one a session.
    pub(crate) fn sessions(&self) -> usize {
        self.state.sessions().len()
    }
}

impl State {
    fn sessions(&self) -> MutexGuard<'_, Vec<Session>> {
        self.sessions.lock().unwrap()
    }

    fn serve(self: &Arc<State>, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            let [method, path] = head.split(' ').take(2).collect::<Vec<_>>()[..] else { return };
            if !field("Sec-WebSocket-Key: ").is_empty() {
                return self.socket(stream, path, field("Sec-WebSocket-Key: "));
            }
            if body.len() < field("Content-Length: ").parse().unwrap_or(0) {
                continue;
            }
            bytes.clear();
            if let Some(id) = path.strip_prefix("/api/v1/sessions/").and_then(|rest| rest.strip_suffix("/chat/stream")) {
                self.stream(&stream, place(id), body);
                continue;
            }
            let (status, answer) = self.answer(method, path, body);
            let length = answer.len();
            let _ = stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{answer}").as_bytes());
        }
    }

    fn answer(self: &Arc<State>, method: &str, path: &str, body: &str) -> (u16, String) {
        let path = path.strip_prefix("/api/v1").unwrap();
        match (method, path) {
            ("POST", "/auth/login") => {
                let asked: Value = serde_json::from_str(body).unwrap();
                if asked["password"] == "open sesame" {
                    return (200, json!({ "access_token": "t0ken", "token_type": "bearer", "expires_in": 3600 }).to_string());
                }
                (401, json!({ "error": "INVALID_CREDENTIALS", "message": "no" }).to_string())
            }
            ("POST", "/sessions/") if every(self.faults.crowded_every, self.asks.fetch_add(1, SeqCst) + 1) => {
                (429, json!({ "error": "RATE_LIMITED", "message": "no", "retry_after": 1 }).to_string())
            }
            ("POST", "/sessions/") => (201, json!({ "id": format!("sess_{}", self.create()) }).to_string()),
            ("GET", _) => {
                let id = path.strip_prefix("/sessions/").unwrap().split_once("/messages").unwrap().0;
                (200, json!({ "data": self.sessions()[place(id)].kept, "has_more": false }).to_string())
            }
            _ => panic!("{method} {path}"),
        }
    }

    fn create(self: &Arc<State>) -> usize {
        let (questions, asked) = channel::<(String, Way)>();
        let mut sessions = self.sessions();
        let (place, state) = (sessions.len(), Arc::clone(self));
        sessions.push(Session { listeners: Vec::new(), questions, running: None, kept: Vec::new() });
        thread::spawn(move || {
            for (content, way) in asked {
                state.talk(place, &content, &way);
            }
        });
        place
    }

    fn socket(self: &Arc<State>, mut stream: TcpStream, path: &str, key: &str) {
        let (id, token) = path.strip_prefix("/ws/sessions/").unwrap().split_once("?token=").unwrap();
        assert!(!token.is_empty());
        let accept = derive_accept_key(key.as_bytes());
        stream.write_all(format!("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes()).unwrap();
        let place = place(id);
        if !every(self.faults.mute_every, self.sockets.fetch_add(1, SeqCst) + 1) {
            self.sessions()[place].listeners.push(stream.try_clone().unwrap());
        }
        stream.write_all(&frame(&json!({ "type": "auth_success", "session_id": id }))).unwrap();
        let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
        while let Ok(message) = socket.read() {
            let Message::Text(text) = message else { continue };
            let said: Value = serde_json::from_str(&text).unwrap();
            match said["type"].as_str().unwrap() {
                "message" => {
                    let content = said["content"].as_str().unwrap().to_owned();
                    self.sessions()[place].questions.send((content, Way::Sockets)).unwrap();
                }
                "cancel" if self.faults.deaf => {}
                "cancel" => {
                    assert!(said["operation_id"].as_str().unwrap().starts_with("msg_"));
                    self.sessions()[place].running.iter().for_each(|asked| asked.cancel(!self.faults.clinging));
                }
                other => panic!("{other}"),
            }
        }
        let _ = socket.get_ref().shutdown(Shutdown::Both);
    }

    fn stream(&self, stream: &TcpStream, place: usize, body: &str) {
        let asked: Value = serde_json::from_str(body).unwrap();
        let (done, over) = channel();
        let way = Way::Stream(stream.try_clone().unwrap(), done);
        self.sessions()[place].questions.send((asked["content"].as_str().unwrap().to_owned(), way)).unwrap();
        let _ = over.recv();
    }

    /// One answer.
    fn talk(&self, place: usize, content: &str, way: &Way) {
        let number = self.answers.fetch_add(1, SeqCst) + 1;
        for _ in 0..1 + u64::from(every(self.faults.begin_twice_every, number)) {
            self.tell(place, way, "message_start", &json!({ "type": "message_start", "message_id": format!("msg_{number}") }));
        }
        let asked = Arc::new(Asked::new(self.model, content));
        self.sessions()[place].running = Some(Arc::clone(&asked));
        let (mut text, mut swapped) = (String::new(), None);
        asked.read(|word| {
            text += word;
            let number = self.words.fetch_add(1, SeqCst) + 1;
            if every(self.faults.swap_every, number) {
                swapped = Some(word.to_owned());
                return;
            }
            for _ in
                0..(1 + u64::from(every(self.faults.double_every, number)) - u64::from(every(self.faults.lose_every, number)))
            {
                self.word(place, way, word);
            }
            if let Some(word) = swapped.take() {
                self.word(place, way, &word);
            }
        });
        self.sessions()[place].running = None;
        let was_cancelled = asked.was_cancelled();
        self.keep(place, content, &text, number, was_cancelled);
        let ends =
            if every(self.faults.endless_every, number) { 0 } else { 1 + u64::from(every(self.faults.end_twice_every, number)) };
        for _ in 0..ends {
            self.tell(place, way, "message_end", &json!({ "type": "message_end", "usage": { "total_tokens": 3 } }));
        }
        if was_cancelled && self.faults.word_after_cancel {
            self.word(place, way, "0.0.0@1 ");
        }
        asked.finish();
    }

    fn keep(&self, place: usize, content: &str, text: &str, number: u64, was_cancelled: bool) {
        let cut = if every(self.faults.forget_every, number) { text.len() / 2 } else { text.len() };
        let mut answer =
            json!({ "id": "msg_b", "role": "assistant", "content": text[..cut], "created_at": "2025-12-24T10:00:00Z" });
        if was_cancelled {
            answer["status"] = "incomplete".into();
        }
        let kept = &mut self.sessions()[place].kept;
        kept.push(json!({ "id": "msg_a", "role": "user", "content": content, "created_at": "2025-12-24T10:00:00Z" }));
        kept.push(answer);
    }

    fn word(&self, place: usize, way: &Way, word: &str) {
        self.tell(place, way, "content", &json!({ "type": "content_delta", "delta": word }));
    }

    fn tell(&self, place: usize, way: &Way, kind: &str, told: &Value) {
        match way {
            Way::Sockets => {
                let frame = frame(told);
                self.sessions()[place].listeners.iter_mut().for_each(|listener| drop(listener.write_all(&frame)));
            }
            Way::Stream(stream, done) => {
                let mut stream = stream;
                let event = match kind {
                    "message_start" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
                    "content" => chunk(&json!({ "type": "content", "delta": told["delta"] })),
                    _ => chunk(&json!({ "type": "done", "usage": told["usage"] })) + "0\r\n\r\n",
                };
                let _ = stream.write_all(event.as_bytes());
                if kind == "message_end" {
                    let _ = done.send(());
                }
            }
        }
    }
}

fn chunk(event: &Value) -> String {
    let event = format!("data: {event}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

fn frame(told: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame::message(told.to_string().into_bytes(), OpCode::from(1), true).format(&mut bytes).unwrap();
    bytes
}
