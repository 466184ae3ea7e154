//! Nodes of one school that can be restarted by a file, as a rolling restart does, and that do on purpose what nodes should not.
//!
//! Whoever wants node 1 restarted makes the file `1` in the folder of the nodes, and waits until it is gone. The node tells its members
//! `terminated`, serves them until they have gone elsewhere or its drain is over, closes the others with 1012, is away for a moment, and
//! is there again.

use std::{
    collections::HashMap,
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};
use tungstenite::Message;

const AWAY: Duration = Duration::from_millis(150);
const TICK: Duration = Duration::from_millis(5);

/// What they do wrong.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wrongs {
    /// A node that goes says nothing to its members before.
    pub(crate) silent: bool,
    /// Whoever comes by a second connection misses what is said next.
    pub(crate) loses_next: bool,
    /// Whoever comes by a second connection hears the last event again.
    pub(crate) replays: bool,
    /// The first connection hears no `replaced`, is not closed, and hears all that the second does.
    pub(crate) keeps_both: bool,
    /// Every seventh publish is heard, but its connection ends before it is answered.
    pub(crate) swallows_answers: bool,
    /// The first connection is ended long before the second is let in.
    pub(crate) breaks_first: bool,
}

pub(crate) struct Nodes {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) struct Node {
    pub(crate) public: SocketAddr,
    pub(crate) internal: SocketAddr,
    drains: AtomicBool,
    is_away: AtomicBool,
    life: AtomicU64,
}

struct School {
    wrongs: Wrongs,
    rooms: Mutex<HashMap<String, Room>>,
    lives: AtomicU64,
    posts: AtomicU64,
}

#[derive(Default)]
struct Room {
    sequence_id: u64,
    members: HashMap<String, Vec<Member>>,
    last: Vec<u8>,
}

struct Member {
    number: u64,
    node: usize,
    writer: TcpStream,
    misses: bool,
}

impl Member {
    fn say(&mut self, text: &str) {
        let _ = self.writer.write_all(&frame(text));
    }

    fn close(&mut self, code: u16) {
        let [high, low] = code.to_be_bytes();
        let _ = self.writer.write_all(&[0x88, 2, high, low]);
    }
}

impl Nodes {
    pub(crate) fn start(count: usize, wrongs: Wrongs) -> Nodes {
        let school = Arc::new(School { wrongs, rooms: Mutex::default(), lives: AtomicU64::new(0), posts: AtomicU64::new(0) });
        let folder = tempfile::tempdir().unwrap();
        let nodes = (0..count).map(|number| Node::start(number, &school, folder.path())).collect();
        Nodes { nodes, folder }
    }

    /// The arguments that name all but the first, and the command that restarts one.
    pub(crate) fn others(&self) -> Vec<String> {
        let others = self.nodes.iter().skip(1);
        others.flat_map(|node| ["--also".to_owned(), format!("ws://{}/ws,http://{}", node.public, node.internal)]).collect()
    }

    pub(crate) fn restart(&self) -> String {
        let folder = self.folder.path().display();
        format!("touch {folder}/$NODE; while test -e {folder}/$NODE; do sleep 0.02; done")
    }
}

impl Node {
    fn start(number: usize, school: &Arc<School>, folder: &Path) -> Arc<Node> {
        let listeners = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [public, internal] = [&listeners[0], &listeners[1]].map(|listener| listener.local_addr().unwrap());
        let node = Arc::new(Node {
            public,
            internal,
            drains: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
            life: AtomicU64::new(0),
        });
        for (listener, is_public) in listeners.into_iter().zip([true, false]) {
            let (node, school) = (Arc::clone(&node), Arc::clone(school));
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (node, school) = (Arc::clone(&node), Arc::clone(&school));
                    // A node that is away still listens: whoever connects finds the end at once.
                    if !node.is_away.load(SeqCst) {
                        thread::spawn(move || {
                            if is_public { school.member(&node, number, stream) } else { school.request(&node, number, stream) }
                        });
                    }
                }
            });
        }
        let (own, school, file) = (Arc::clone(&node), Arc::clone(school), folder.join(number.to_string()));
        thread::spawn(move || {
            loop {
                thread::sleep(TICK);
                if file.exists() {
                    school.restart(&own, number);
                    let _ = fs::remove_file(&file);
                }
            }
        });
        node
    }
}

impl School {
    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Room>> {
        self.rooms.lock().unwrap()
    }

    fn restart(&self, node: &Node, number: usize) {
        node.drains.store(true, SeqCst);
        // Whoever looks sees it.
        thread::sleep(Duration::from_millis(200));
        if !self.wrongs.silent {
            self.each_of(number, |member| member.say(r#"{"type":"recoverable_session_error","payload":{"type":"terminated"}}"#));
            let start = Instant::now();
            while self.count(number) > 0 && start.elapsed() < Duration::from_secs(20) && !self.wrongs.keeps_both {
                thread::sleep(TICK);
            }
            if self.wrongs.keeps_both {
                thread::sleep(Duration::from_millis(500));
            }
        }
        self.each_of(number, |member| member.close(1012));
        node.is_away.store(true, SeqCst);
        node.life.fetch_add(1, SeqCst);
        self.each_of(number, |member| drop(member.writer.shutdown(Shutdown::Both)));
        for room in self.rooms().values_mut() {
            room.members.values_mut().for_each(|own| own.retain(|member| member.node != number));
        }
        thread::sleep(AWAY);
        node.drains.store(false, SeqCst);
        node.is_away.store(false, SeqCst);
    }

    fn each_of(&self, node: usize, mut with: impl FnMut(&mut Member)) {
        let mut rooms = self.rooms();
        let members = rooms.values_mut().flat_map(|room| room.members.values_mut()).flatten();
        members.filter(|member| member.node == node).for_each(&mut with);
    }

    fn count(&self, node: usize) -> usize {
        let mut count = 0;
        self.each_of(node, |_| count += 1);
        count
    }

    fn member(&self, node: &Node, number: usize, stream: TcpStream) {
        let writer = stream.try_clone().unwrap();
        let Ok(mut socket) = tungstenite::accept(stream) else { return };
        let Ok(Message::Text(text)) = socket.read() else { return };
        let request: serde_json::Value = serde_json::from_str(&text).unwrap();
        let name = |field: &str| request["payload"][field].as_str().unwrap().to_owned();
        let (room, token, own) = (name("classroom_id"), name("token"), self.lives.fetch_add(1, SeqCst));
        if node.drains.load(SeqCst) {
            let _ = socket.send(Message::text(r#"{"type":"recoverable_session_error","payload":{"type":"terminated"}}"#));
            return;
        }
        {
            let mut rooms = self.rooms();
            let room = rooms.entry(room.clone()).or_default();
            let former = room.members.entry(token.clone()).or_default();
            let is_second = !former.is_empty();
            if !self.wrongs.keeps_both {
                for member in former.iter_mut() {
                    member.say(r#"{"type":"unrecoverable_session_error","payload":{"type":"replaced"}}"#);
                    member.close(1000);
                    let _ = member.writer.shutdown(Shutdown::Write);
                }
                former.clear();
                if is_second && self.wrongs.breaks_first {
                    // He waits, without a word, and is then turned away.
                    return;
                }
            }
            let mut member = Member { number: own, node: number, writer, misses: is_second && self.wrongs.loses_next };
            member.say(r#"{"type":"connect_success"}"#);
            if is_second && self.wrongs.replays {
                let _ = member.writer.write_all(&room.last);
            }
            former.push(member);
        }
        while socket.read().is_ok() {}
        let mut rooms = self.rooms();
        let members = rooms.entry(room).or_default().members.entry(token).or_default();
        members.retain(|member| member.number != own);
        let _ = socket.get_ref().shutdown(Shutdown::Both);
    }

    fn request(&self, node: &Node, number: usize, mut stream: TcpStream) {
        let (mut bytes, mut buffer, life) = (Vec::new(), [0; 65_536], node.life.load(SeqCst));
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            if node.life.load(SeqCst) != life || node.is_away.load(SeqCst) {
                return;
            }
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8(bytes.clone()).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
            if body.len() < length {
                continue;
            }
            let (status, answer) = match head.split(' ').collect::<Vec<_>>()[..2] {
                ["GET", "/readyz"] if node.drains.load(SeqCst) => (503, String::new()),
                ["GET", "/readyz"] => (200, String::new()),
                ["GET", "/metrics"] => (200, format!("ws_connection_total {}\n", self.count(number))),
                ["POST", path] => (200, self.publish(path.split('/').nth(4).unwrap(), body)),
                _ => panic!("{head}"),
            };
            let is_post = self.wrongs.swallows_answers && head.starts_with("POST");
            if is_post && self.posts.fetch_add(1, SeqCst).is_multiple_of(7) {
                return;
            }
            bytes.clear();
            let _ =
                stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).as_bytes());
            if head.contains("Connection: close") {
                return;
            }
        }
    }

    fn publish(&self, room: &str, body: &str) -> String {
        let mut event: serde_json::Value = serde_json::from_str(body).unwrap();
        let mut rooms = self.rooms();
        let room = rooms.entry(room.to_owned()).or_default();
        room.sequence_id += 1;
        let number = room.sequence_id;
        let id = format!(r#"{{"entity_type":"load","operation":"tick","sequence_id":{number}}}"#);
        let (at, n) = (&event["payload"]["at"], &event["payload"]["n"]);
        let text = format!(r#"{{"id":{id},"payload":{{"at":{at},"n":{n},"pad":"{}"}}}}"#, ".".repeat(100));
        room.last = frame(&text);
        let mut members = 0;
        for member in room.members.values_mut().flatten() {
            members += 1;
            if !std::mem::take(&mut member.misses) {
                let _ = member.writer.write_all(&room.last);
            }
        }
        event["payload"].take();
        format!(r#"{{"sequence_id":{number},"members":{members}}}"#)
    }
}

/// A text frame of less than 64 KiB.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        short @ 0..=125 => frame.push(short as u8),
        long => {
            frame.push(126);
            frame.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}
