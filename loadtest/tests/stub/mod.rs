//! A server that speaks just enough of the contract, and that does on purpose what a server should not.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod apart;

use crate::run::Server;
use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use tungstenite::{Message, WebSocket, protocol::CloseFrame};

/// What it does wrong. Every n-th counts from the first; 0 is never.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) delay: Duration,
    /// Up to so much more of it, evenly spread over those who ask.
    pub(crate) jitter: Duration,
    pub(crate) refuse_every: u64,
    pub(crate) silent_every: u64,
    pub(crate) unavailable: bool,
    pub(crate) success_twice: bool,
    pub(crate) event_first: bool,
    pub(crate) lose_every: u64,
    pub(crate) drop_delivery_every: u64,
    pub(crate) double_delivery_every: u64,
    /// A member hears the next event before this one.
    pub(crate) swap_delivery_every: u64,
    /// Who signs in is sent what was published to its room last.
    pub(crate) replay: bool,
    /// The others in a room are not told of every n-th who leaves it, and of every n-th who enters it twice.
    pub(crate) hide_leaving_every: u64,
    pub(crate) enter_twice_every: u64,
    /// Members are pinged so often, and not only once.
    pub(crate) ping_every: Duration,
}

pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    pub(crate) internal: SocketAddr,
    state: Arc<State>,
}

struct State {
    faults: Faults,
    requests: AtomicU64,
    deliveries: AtomicU64,
    live: AtomicU64,
    leavings: AtomicU64,
    rooms: Mutex<HashMap<String, Room>>,
    tokens: Mutex<Vec<String>>,
    holders: Mutex<HashSet<String>>,
    clashes: AtomicU64,
}

#[derive(Default)]
struct Room {
    sequence_id: u64,
    signed_in: u64,
    members: HashMap<u64, Member>,
    last: Vec<u8>,
}

struct Member {
    writer: TcpStream,
    /// What it is to hear behind the next event.
    kept: Vec<u8>,
}

impl Room {
    /// Tells all who are in it, in one write each.
    fn tell(&mut self, frame: &[u8]) {
        for member in self.members.values_mut() {
            let _ = member.writer.write_all(frame);
        }
    }
}

impl Stub {
    pub(crate) fn start(faults: Faults) -> Stub {
        let state = Arc::new(State {
            faults,
            requests: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
            live: AtomicU64::new(0),
            leavings: AtomicU64::new(0),
            rooms: Mutex::default(),
            tokens: Mutex::default(),
            holders: Mutex::default(),
            clashes: AtomicU64::new(0),
        });
        let (public, internal) = (State::member as fn(&State, TcpStream), State::request as fn(&State, TcpStream));
        Stub { address: listen(&state, public), internal: listen(&state, internal), state }
    }

    pub(crate) fn server(&self) -> Server {
        Server { public: self.address, internal: self.internal }
    }

    /// How many signed in to each room, in no order.
    pub(crate) fn room_sizes(&self) -> Vec<u64> {
        self.state.rooms().values().map(|room| room.signed_in).collect()
    }

    pub(crate) fn tokens(&self) -> Vec<String> {
        self.state.tokens.lock().unwrap().clone()
    }

    /// How many are signed in now.
    pub(crate) fn live(&self) -> u64 {
        self.state.live.load(SeqCst)
    }

    /// How many events were published.
    pub(crate) fn published(&self) -> u64 {
        self.state.rooms().values().map(|room| room.sequence_id).sum()
    }

    /// How many signed in with a token that another connection was signed in with.
    pub(crate) fn clashes(&self) -> u64 {
        self.state.clashes.load(SeqCst)
    }
}

fn listen(state: &Arc<State>, serve: fn(&State, TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::clone(state);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            thread::spawn(move || serve(&state, stream));
        }
    });
    address
}

fn every(n: u64, number: u64) -> bool {
    n > 0 && number.is_multiple_of(n)
}

impl State {
    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Room>> {
        self.rooms.lock().unwrap()
    }

    fn member(&self, mut stream: TcpStream) {
        if self.faults.unavailable {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
            return;
        }
        let writer = stream.try_clone().unwrap();
        let Ok(mut socket) = tungstenite::accept(stream) else { return };
        let Ok(Message::Text(text)) = socket.read() else { return };
        let request: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&request["type"], &request["payload"]["agent_label"]), (&"connect_request".into(), &"load".into()));
        let room = request["payload"]["classroom_id"].as_str().unwrap().to_owned();
        let number = self.requests.fetch_add(1, SeqCst) + 1;
        let token = request["payload"]["token"].as_str().unwrap().to_owned();
        self.tokens.lock().unwrap().push(token.clone());
        self.clashes.fetch_add(u64::from(!self.holders.lock().unwrap().insert(token.clone())), SeqCst);
        // The golden ratio spreads numbers evenly, however many there are.
        let share = (number as f64 * 0.618_033_988_749_895).fract();
        thread::sleep(self.faults.delay + self.faults.jitter.mul_f64(share));
        if every(self.faults.silent_every, number) {
            while socket.read().is_ok() {}
        } else if every(self.faults.refuse_every, number) {
            refuse(&mut socket);
        } else {
            self.serve(&mut socket, writer, room, number, &agent(&token));
        }
        self.holders.lock().unwrap().remove(&token);
    }

    fn serve(&self, socket: &mut WebSocket<TcpStream>, mut writer: TcpStream, room: String, number: u64, agent: &str) {
        if self.faults.event_first {
            let event = r#"{"id":{"entity_type":"agent","operation":"entered","sequence_id":1},"payload":{}}"#;
            let _ = socket.send(Message::text(event));
        }
        self.live.fetch_add(1, SeqCst);
        {
            // Whoever knows that it is in hears everything from then on.
            let mut rooms = self.rooms();
            let room = rooms.entry(room.clone()).or_default();
            for _ in 0..1 + u64::from(self.faults.success_twice) {
                let _ = socket.send(Message::text(r#"{"type":"connect_success"}"#));
            }
            let _ = socket.send(Message::Ping(Default::default()));
            room.signed_in += 1;
            for _ in 0..1 + u64::from(every(self.faults.enter_twice_every, number)) {
                room.tell(&change("entered", agent, number));
            }
            if self.faults.replay {
                let _ = writer.write_all(&room.last);
            }
            room.members.insert(number, Member { writer, kept: Vec::new() });
        }
        if every(self.faults.lose_every, number) {
            let _ = socket.close(Some(CloseFrame { code: 1011.into(), reason: "".into() }));
        }
        if !self.faults.ping_every.is_zero() {
            let (every, mut stream) = (self.faults.ping_every, socket.get_ref().try_clone().unwrap());
            thread::spawn(move || {
                while stream.write_all(&[0x89, 0]).is_ok() {
                    thread::sleep(every);
                }
            });
        }
        while socket.read().is_ok() {}
        {
            let mut rooms = self.rooms();
            let room = rooms.entry(room).or_default();
            room.members.remove(&number);
            if !every(self.faults.hide_leaving_every, self.leavings.fetch_add(1, SeqCst) + 1) {
                room.tell(&change("left", agent, number));
            }
        }
        self.live.fetch_sub(1, SeqCst);
        let _ = socket.get_ref().shutdown(std::net::Shutdown::Both);
    }

    fn request(&self, mut stream: TcpStream) {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8(bytes.clone()).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
            if body.len() < length {
                continue;
            }
            let answer = match head.split(' ').collect::<Vec<_>>()[..2] {
                ["GET", "/metrics"] => {
                    let published: u64 = self.rooms().values().map(|room| room.sequence_id).sum();
                    format!("ws_connection_total {}\nstub_published_total {published}\n", self.live.load(SeqCst))
                }
                ["POST", path] => self.publish(path.split('/').nth(4).unwrap(), body),
                _ => panic!("{head}"),
            };
            bytes.clear();
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).as_bytes());
            if head.contains("Connection: close") {
                return;
            }
        }
    }

    fn deliver(&self, member: &mut Member, frame: &[u8]) {
        let number = self.deliveries.fetch_add(1, SeqCst) + 1;
        let mut bytes = Vec::new();
        if every(self.faults.swap_delivery_every, number) {
            member.kept.extend_from_slice(frame);
        } else if !every(self.faults.drop_delivery_every, number) {
            let times = 1 + usize::from(every(self.faults.double_delivery_every, number));
            (0..times).for_each(|_| bytes.extend_from_slice(frame));
            bytes.append(&mut member.kept);
        }
        let _ = member.writer.write_all(&bytes);
    }

    /// Delivers to every member and answers to how many, also those that were left out on purpose.
    fn publish(&self, room: &str, body: &str) -> String {
        let event: serde_json::Value = serde_json::from_str(body).unwrap();
        let payload = body.split_once(r#""payload":"#).unwrap().1.strip_suffix('}').unwrap();
        let mut rooms = self.rooms();
        let room = rooms.entry(room.to_owned()).or_default();
        room.sequence_id += 1;
        let (entity, operation, sequence_id) = (&event["entity_type"], &event["operation"], room.sequence_id);
        let id = format!(r#"{{"entity_type":{entity},"operation":{operation},"sequence_id":{sequence_id}}}"#);
        let text = format!(r#"{{"id":{id},"payload":{payload}}}"#);
        room.last = frame(&text);
        let last = room.last.clone();
        room.members.values_mut().for_each(|member| self.deliver(member, &last));
        format!(r#"{{"sequence_id":{sequence_id},"members":{}}}"#, room.members.len())
    }
}

/// The frame of a text of 126 bytes or more.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// What the others in a room are told of one who comes or goes.
fn change(operation: &str, agent: &str, session: u64) -> Vec<u8> {
    let id = format!(r#"{{"entity_type":"agent","operation":"{operation}","sequence_id":{session}}}"#);
    let payload = format!(r#"{{"version":"v1","entity_type":"agent","label":"{operation}","agent_id":"{agent}"}}"#);
    frame(&format!(r#"{{"id":{id},"payload":{payload}}}"#))
}

/// A name for whoever has this token.
fn agent(token: &str) -> String {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    format!("load.{}", hasher.finish())
}

fn refuse(socket: &mut WebSocket<TcpStream>) {
    let payload = r#"{"type":"unauthenticated","title":"Unauthenticated","status":401}"#;
    let _ = socket.send(Message::text(format!(r#"{{"type":"unrecoverable_session_error","payload":{payload}}}"#)));
    let _ = socket.close(None);
    while socket.read().is_ok() {}
}
