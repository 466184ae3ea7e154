//! A server of tasks that speaks just enough of the contract, and that does on purpose what a server should not.

mod rest;

use crate::run::{KEY, Server};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use tungstenite::{
    Message,
    handshake::server::{ErrorResponse, Request, Response},
};

/// What it does wrong. Every n-th counts from the first; 0 is never.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Between two steps of an agent, beside the usual.
    pub(crate) late: Duration,
    /// A message to a socket: is not sent, sent twice, sent to a socket of another user too.
    pub(crate) lose_every: u64,
    pub(crate) double_every: u64,
    pub(crate) stray_every: u64,
    /// A task: falls back in the middle, is completed twice, goes on behind its end, never ends, fails.
    pub(crate) fall_every: u64,
    pub(crate) complete_twice_every: u64,
    pub(crate) go_on_every: u64,
    pub(crate) hang_every: u64,
    pub(crate) fail_every: u64,
    /// A task is never told to be pending.
    pub(crate) unannounced_every: u64,
    /// REST does not have a task, or has it at another price.
    pub(crate) forget_every: u64,
    pub(crate) wrong_cost_every: u64,
    /// A request is refused.
    pub(crate) refuse_every: u64,
    /// Nobody is told more because he asks for one task, or everybody is told twice.
    pub(crate) no_states: bool,
    pub(crate) doubled_watch: bool,
    /// Cancellations do nothing.
    pub(crate) deaf: bool,
    /// Admins are told nothing of every n-th task.
    pub(crate) hide_every: u64,
    /// The second step of an execution is not told.
    pub(crate) skip_back: bool,
    /// Every socket is cut at the n-th task.
    pub(crate) cut_at: u64,
}

pub(crate) struct Stub {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    faults: Faults,
    ids: AtomicU64,
    messages: AtomicU64,
    requests: AtomicU64,
    town: Mutex<Town>,
}

#[derive(Default)]
struct Town {
    sockets: Vec<Socket>,
    tasks: BTreeMap<u64, Task>,
    executions: BTreeMap<u64, Task>,
    answered_pongs: u64,
    said: u64,
}

struct Socket {
    user: String,
    is_admin: bool,
    is_all: bool,
    /// Tasks that it asked for itself or watches alone, and executions.
    each: HashSet<String>,
    stream: TcpStream,
    said: u64,
}

#[derive(Clone)]
struct Task {
    id: String,
    owner: String,
    /// `task` or `input`.
    what: Value,
    status: &'static str,
    progress: f64,
    step: usize,
    result: Value,
    error: Value,
    cost: f64,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    role: String,
}

/// How far an agent says that it is.
const PROGRESS: [f64; 4] = [0.05, 0.3, 0.62, 0.8];
const STEP: Duration = Duration::from_millis(4);
const STEPS: [&str; 3] = ["read", "judge", "tell"];

impl Stub {
    pub(crate) fn start(faults: Faults) -> Stub {
        let state = Arc::new(State {
            faults,
            ids: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            town: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, served) = (listener.local_addr().unwrap(), Arc::clone(&state));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&served);
                thread::spawn(move || state.serve(stream));
            }
        });
        Stub { address, state }
    }

    /// It has no metrics.
    pub(crate) fn server(&self) -> Server {
        Server { public: self.address, internal: self.address }
    }

    /// How many tasks each user has.
    pub(crate) fn users(&self) -> BTreeMap<String, u64> {
        let mut users = BTreeMap::new();
        self.state.town().tasks.values().for_each(|task| *users.entry(task.owner.clone()).or_default() += 1);
        users
    }

    /// The most that any socket said, and how many pings were answered.
    pub(crate) fn said(&self) -> (u64, u64) {
        let town = self.state.town();
        (town.said, town.answered_pongs)
    }
}

fn every(n: u64, number: u64) -> bool {
    n > 0 && number.is_multiple_of(n)
}

/// A whole text frame of a server.
fn frame(message: &Value) -> Vec<u8> {
    let text = message.to_string();
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(short @ 0..=125) => frame.push(short),
        _ => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whose token it is, and whether he is an admin.
fn holder(token: &str) -> Option<(String, bool)> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&["issuer.example"]);
    validation.set_audience(&["school.example"]);
    let claims =
        jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(KEY.trim_end().as_bytes()), &validation).ok()?.claims;
    Some((claims.sub, claims.role == "admin"))
}

impl Task {
    fn message(&self) -> Value {
        let (id, status, progress) = (&self.id, self.status, self.progress);
        match status {
            "completed" => json!({ "type": "task_completion", "data": { "task_id": id, "status": status, "progress": 1.0,
                "result": self.result, "cost": self.cost, "completed_at": now() } }),
            "failed" => {
                json!({ "type": "task_error", "data": { "task_id": id, "status": status, "error": self.error, "updated_at": now() } })
            }
            _ => {
                json!({ "type": "task_update", "data": { "task_id": id, "status": status, "progress": progress, "updated_at": now() } })
            }
        }
    }

    fn course(&self) -> Value {
        json!({ "type": "workflow_execution_update", "data": { "execution_id": self.id, "status": self.status,
            "current_step_id": STEPS[self.step], "updated_at": now() } })
    }

    fn is_over(&self) -> bool {
        matches!(self.status, "completed" | "failed")
    }
}

impl State {
    fn town(&self) -> MutexGuard<'_, Town> {
        self.town.lock().unwrap()
    }

    fn serve(self: Arc<State>, stream: TcpStream) {
        let mut start = [0; 8];
        while stream.peek(&mut start).is_ok_and(|read| (1..start.len()).contains(&read)) {
            thread::yield_now();
        }
        if start.starts_with(b"GET /ws?") { self.socket(stream) } else { self.rest(stream) }
    }

    fn socket(self: Arc<State>, stream: TcpStream) {
        let (writer, mut holds) = (stream.try_clone().unwrap(), None);
        #[allow(clippy::result_large_err, reason = "tungstenite's own type")]
        let callback = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            holds = request.uri().query().and_then(|query| holder(query.strip_prefix("token=")?));
            Ok(response)
        };
        let Ok(mut socket) = tungstenite::accept_hdr(stream, callback) else { return };
        let (user, is_admin) = holds.unwrap();
        let place = {
            let mut town = self.town();
            let welcome = json!({ "type": "connection_established", "data": { "client_id": "client-1", "server_time": now() } });
            let _ = (&writer).write_all(&frame(&welcome));
            let ping = json!({ "type": "ping", "data": { "timestamp": now() } });
            let _ = (&writer).write_all(&frame(&ping));
            town.sockets.push(Socket { user, is_admin, is_all: false, each: HashSet::new(), stream: writer, said: 0 });
            town.sockets.len() - 1
        };
        while let Ok(message) = socket.read() {
            if let Message::Text(text) = message {
                self.say(place, &serde_json::from_str(&text).unwrap());
            }
        }
        let _ = socket.get_ref().shutdown(Shutdown::Both);
    }

    fn say(self: &Arc<State>, place: usize, said: &Value) {
        let (data, mut town) = (&said["data"], self.town());
        let socket = &mut town.sockets[place];
        let (user, is_admin) = (socket.user.clone(), socket.is_admin);
        socket.said += u64::from(said["type"] != "pong");
        let most = socket.said;
        town.said = town.said.max(most);
        match said["type"].as_str().unwrap() {
            "pong" => {
                assert!(data["timestamp"].is_string());
                town.answered_pongs += 1;
            }
            "subscribe" if data["channel"] == "tasks" => town.sockets[place].is_all = true,
            "subscribe" if data["channel"] == "task" => {
                let id = data["task_id"].as_str().unwrap();
                let task = town.tasks.values().find(|task| task.id == id).unwrap();
                assert!(is_admin || task.owner == user);
                let state = frame(&task.message());
                town.sockets[place].each.insert(id.to_owned());
                if !self.faults.no_states {
                    let _ = town.sockets[place].stream.write_all(&state);
                }
            }
            "subscribe" => {
                assert_eq!(data["channel"], "workflow_execution");
                let id = data["execution_id"].as_str().unwrap();
                let state = town.executions.values().find(|execution| execution.id == id).unwrap().course();
                town.sockets[place].each.insert(id.to_owned());
                let _ = town.sockets[place].stream.write_all(&frame(&state));
            }
            "execute_agent" => {
                assert_eq!(data["agent_id"], "code-agent");
                if self.refuses() {
                    let error = json!({ "type": "error", "data": { "code": "service_unavailable", "message": "no",
                        "request_type": "execute_agent", "request_data": data } });
                    let _ = town.sockets[place].stream.write_all(&frame(&error));
                } else {
                    self.make(&mut town, user, data["task"].clone());
                }
            }
            "cancel_task" => self.cancel(&mut town, place, data),
            other => panic!("{other}"),
        }
    }

    fn refuses(&self) -> bool {
        every(self.faults.refuse_every, self.requests.fetch_add(1, SeqCst) + 1)
    }

    fn cancel(&self, town: &mut Town, place: usize, data: &Value) {
        let (number, task) = town.tasks.iter_mut().find(|(_, task)| task.id == data["task_id"]).unwrap();
        let number = *number;
        if task.is_over() {
            let error = json!({ "type": "error", "data": { "code": "invalid_request", "message": "It is over",
                "request_type": "cancel_task", "request_data": data } });
            let _ = town.sockets[place].stream.write_all(&frame(&error));
        } else if !self.faults.deaf {
            (task.status, task.error) = ("failed", "Cancelled by user".into());
            self.tell(town, number);
        }
    }

    /// A new task, and the thread that does it.
    fn make(self: &Arc<State>, town: &mut Town, owner: String, what: Value) -> Task {
        let number = self.ids.fetch_add(1, SeqCst) + 1;
        let id = format!("00000000-0000-4000-8000-{number:012x}");
        let task = Task {
            id,
            owner,
            what,
            status: "pending",
            progress: 0.0,
            step: 0,
            result: Value::Null,
            error: Value::Null,
            cost: 0.0,
        };
        town.tasks.insert(number, task.clone());
        if !every(self.faults.unannounced_every, number) {
            self.tell(town, number);
        }
        if self.faults.cut_at == number {
            town.sockets.iter_mut().for_each(|socket| drop(socket.stream.write_all(&[0x88, 2, 3, 0xf3])));
        }
        let state = Arc::clone(self);
        thread::spawn(move || state.work(number));
        task
    }

    fn work(&self, number: u64) {
        for progress in PROGRESS {
            self.step(number, |task| (task.status, task.progress) = ("in_progress", progress));
        }
        if every(self.faults.fall_every, number) {
            self.step(number, |task| task.progress = 0.1);
        }
        if every(self.faults.hang_every, number) {
            return;
        }
        let fails = every(self.faults.fail_every, number);
        self.step(number, |task| {
            if fails {
                (task.status, task.error) = ("failed", "The model is not available".into());
            } else {
                (task.status, task.result, task.cost) = ("completed", json!({ "output": format!("\"{number}\"") }), 0.25);
                task.progress = 1.0;
            }
        });
        let mut town = self.town();
        if every(self.faults.complete_twice_every, number) {
            self.tell(&mut town, number);
        }
        if every(self.faults.go_on_every, number) {
            let mut task = town.tasks[&number].clone();
            (task.status, task.progress) = ("in_progress", 0.9);
            self.tell_all(&mut town, &task, number);
        }
    }

    /// One step of an agent, unless the task is over.
    fn step(&self, number: u64, change: impl FnOnce(&mut Task)) {
        thread::sleep(STEP + self.faults.late);
        let mut town = self.town();
        let task = town.tasks.get_mut(&number).unwrap();
        if !task.is_over() {
            change(task);
            self.tell(&mut town, number);
        }
    }

    fn tell(&self, town: &mut Town, number: u64) {
        let task = town.tasks[&number].clone();
        self.tell_all(town, &task, number);
    }

    fn tell_all(&self, town: &mut Town, task: &Task, number: u64) {
        let text = frame(&task.message());
        let others: Vec<usize> = (0..town.sockets.len()).filter(|place| town.sockets[*place].user != task.owner).collect();
        for place in 0..town.sockets.len() {
            let socket = &mut town.sockets[place];
            let is_own = socket.user == task.owner && socket.is_all;
            let is_shown = socket.is_admin && !every(self.faults.hide_every, number);
            if !is_own && !is_shown {
                continue;
            }
            let message = self.messages.fetch_add(1, SeqCst) + 1;
            if every(self.faults.lose_every, message) {
                continue;
            }
            let is_watching = self.faults.doubled_watch && socket.each.contains(&task.id);
            let times = 1 + u64::from(every(self.faults.double_every, message)) + u64::from(is_watching);
            (0..times).for_each(|_| drop(socket.stream.write_all(&text)));
            if every(self.faults.stray_every, message)
                && let Some(other) = others.iter().find(|other| !town.sockets[**other].is_admin)
            {
                let _ = town.sockets[*other].stream.write_all(&text);
            }
        }
    }

    /// A new execution, and the thread that does its steps.
    fn execute(self: &Arc<State>, owner: String, what: Value) -> Task {
        let number = self.ids.fetch_add(1, SeqCst) + 1;
        let id = format!("00000000-0000-4000-9000-{number:012x}");
        let execution = Task {
            id,
            owner,
            what,
            status: "in_progress",
            progress: 0.0,
            step: 0,
            result: json!([]),
            error: Value::Null,
            cost: 0.0,
        };
        self.town().executions.insert(number, execution.clone());
        let state = Arc::clone(self);
        thread::spawn(move || state.go(number));
        execution
    }

    fn go(&self, number: u64) {
        for step in 1..=STEPS.len() {
            thread::sleep(Duration::from_millis(40));
            let mut town = self.town();
            let execution = town.executions.get_mut(&number).unwrap();
            let done = json!({ "step_id": STEPS[step - 1], "output": "done", "cost": 0.5 });
            execution.result.as_array_mut().unwrap().push(done);
            execution.cost += 0.5;
            if step == STEPS.len() {
                execution.status = "completed";
            } else {
                execution.step = step;
            }
            let mut told = execution.clone();
            if self.faults.skip_back && step == STEPS.len() - 1 {
                told.step = 0;
            }
            let text = frame(&told.course());
            let listeners = town.sockets.iter_mut().filter(|socket| socket.each.contains(&told.id));
            listeners.for_each(|socket| drop(socket.stream.write_all(&text)));
        }
    }
}
