//! A server of quizzes that speaks just enough of the contract, and that does on purpose what a server should not.

mod words;

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
    time::{Duration, Instant},
};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use words::{bad, every, frame, good, now};

/// What it does wrong. Every n-th counts from the first; 0 is never.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Before an answer is answered by REST, and before it is told.
    pub(crate) late: Duration,
    pub(crate) lose_every: u64,
    pub(crate) double_every: u64,
    /// An update comes after the next one of its attempt.
    pub(crate) swap_every: u64,
    /// An update says that what was right is wrong.
    pub(crate) lie_every: u64,
    pub(crate) refuse_every: u64,
    pub(crate) silent_every: u64,
    /// REST accepts an answer, and nothing keeps it.
    pub(crate) forget_every: u64,
    pub(crate) wrong_result: bool,
    pub(crate) wrong_detail: bool,
    /// The last snapshot does not come.
    pub(crate) stale_board: bool,
    pub(crate) wrong_board: bool,
    /// A snapshot for each answer.
    pub(crate) hurried: bool,
    pub(crate) lose_closed: bool,
    pub(crate) closed_twice: bool,
    /// A screen is cut at its n-th update.
    pub(crate) cut_at: u64,
    /// All Pings of a round leave at once.
    pub(crate) pings_at_once: bool,
    /// Its metrics have one answer fewer.
    pub(crate) miscount: bool,
}

pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    internal: SocketAddr,
    state: Arc<State>,
}

struct State {
    faults: Faults,
    began: Instant,
    ids: AtomicU64,
    tries: AtomicU64,
    answers: AtomicU64,
    updates: AtomicU64,
    owners: AtomicU64,
    participants: AtomicU64,
    school: Mutex<School>,
}

#[derive(Default)]
struct School {
    quizzes: HashMap<u64, Quiz>,
    attempts: Vec<Attempt>,
}

#[derive(Default)]
struct Quiz {
    owner: String,
    published: bool,
    questions: Vec<Value>,
    screens: Vec<(String, TcpStream)>,
    changed: bool,
}

struct Attempt {
    id: String,
    quiz: u64,
    alias: String,
    session: String,
    started: Duration,
    last: Duration,
    answers: Vec<Value>,
    score: f64,
    ended: bool,
    listener: Option<TcpStream>,
    /// An update that waits for the next.
    held: Option<Vec<u8>>,
}

impl Stub {
    pub(crate) fn start(faults: Faults) -> Stub {
        let state = Arc::new(State {
            faults,
            began: Instant::now(),
            ids: AtomicU64::new(0),
            tries: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            updates: AtomicU64::new(0),
            owners: AtomicU64::new(0),
            participants: AtomicU64::new(0),
            school: Mutex::default(),
        });
        let (public, internal) = (State::serve as fn(&State, TcpStream), State::metrics as fn(&State, TcpStream));
        for tick in [State::snapshots as fn(&State), State::pings] {
            let state = Arc::clone(&state);
            thread::spawn(move || tick(&state));
        }
        Stub { address: listen(&state, public), internal: listen(&state, internal), state }
    }

    pub(crate) fn server(&self) -> Server {
        Server { public: self.address, internal: self.internal }
    }

    /// How many answered each number of questions right, and how many answers there are.
    pub(crate) fn answers(&self) -> (u64, u64) {
        let school = self.state.school();
        let all = || school.attempts.iter().flat_map(|attempt| &attempt.answers);
        (all().filter(|answer| answer["is_correct"] == true).count() as u64, all().count() as u64)
    }

    /// How many quizzes each owner has.
    pub(crate) fn owners(&self) -> HashMap<String, u64> {
        let mut owners = HashMap::new();
        self.state.school().quizzes.values().for_each(|quiz| *owners.entry(quiz.owner.clone()).or_default() += 1);
        owners
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

impl State {
    fn school(&self) -> MutexGuard<'_, School> {
        self.school.lock().unwrap()
    }

    fn id(&self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.ids.fetch_add(1, SeqCst) + 1)
    }

    fn serve(&self, stream: TcpStream) {
        let mut start = [0; 8];
        while stream.peek(&mut start).is_ok_and(|read| (1..start.len()).contains(&read)) {
            thread::yield_now();
        }
        if start.starts_with(b"GET /ws?") { self.socket(stream) } else { self.rest(stream) }
    }

    fn metrics(&self, mut stream: TcpStream) {
        let _ = stream.read(&mut [0; 4096]);
        let school = self.school();
        let running = school.attempts.iter().filter(|attempt| !attempt.ended).count();
        let missed = u64::from(self.faults.miscount);
        let counts = [
            ("answers_total", self.answers.load(SeqCst).saturating_sub(missed)),
            ("owners", self.owners.load(SeqCst)),
            ("participants", self.participants.load(SeqCst)),
            ("attempts", running as u64),
        ];
        let text: String = counts.iter().map(|(name, count)| format!("homeroom_quiz_{name}{{shard=\"0\"}} {count}\n")).collect();
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    fn rest(&self, mut stream: TcpStream) {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8(bytes.clone()).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if body.len() < header("Content-Length: ").map_or(0, |length| length.parse().unwrap()) {
                continue;
            }
            let token = header("Authorization: Bearer ").unwrap_or_default();
            let (method, path) = head.split_once(' ').unwrap();
            let path = path.split(' ').next().unwrap().strip_prefix("/api/v1/").unwrap();
            let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
            let Some((status, answer)) = self.route(method, path, &token, &body) else {
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
                return;
            };
            bytes.clear();
            let answer = answer.to_string();
            let _ =
                stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).as_bytes());
        }
    }

    fn route(&self, method: &str, path: &str, token: &str, body: &Value) -> Option<(u16, Value)> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.split('/').collect();
        Some(match (method, parts.as_slice()) {
            ("POST", ["quizzes"]) => {
                let id = self.ids.fetch_add(1, SeqCst) + 1;
                assert_eq!(body["access_type"], "public");
                self.school().quizzes.insert(id, Quiz { owner: token.to_owned(), ..Quiz::default() });
                good(201, &json!({ "id": id }))
            }
            ("POST", ["quizzes", quiz, "questions"]) => {
                let mut question = body.clone();
                question["id"] = self.id().into();
                self.owned(quiz, token).quiz(quiz).questions.push(question.clone());
                good(201, &question)
            }
            ("POST", ["quizzes", quiz, "publish"]) => {
                self.owned(quiz, token).quiz(quiz).published = true;
                good(200, &json!({ "id": quiz.parse::<u64>().unwrap() }))
            }
            ("POST", ["quizzes", quiz, "attempts"]) => self.begin(quiz, body),
            ("POST", ["attempts", session, "answers"]) => return self.answer(session, body),
            ("POST", ["attempts", session, "submit"]) => self.submit(session),
            ("GET", ["quizzes", quiz, "results"]) => self.results(&self.owned(quiz, token), quiz, query),
            ("GET", ["info", "attempts", id]) => {
                let school = self.school();
                let attempt = school.attempts.iter().find(|attempt| attempt.id == *id).unwrap();
                let mut answers = attempt.answers.clone();
                if self.faults.wrong_detail {
                    answers.pop();
                }
                good(200, &json!({ "answers": answers }))
            }
            _ => bad(404, "REQ-001"),
        })
    }

    fn owned(&self, quiz: &str, token: &str) -> MutexGuard<'_, School> {
        let mut school = self.school();
        assert_eq!(school.quiz(quiz).owner, token);
        school
    }

    fn begin(&self, quiz: &str, body: &Value) -> (u16, Value) {
        let mut school = self.school();
        assert!(school.quiz(quiz).published);
        let attempt = Attempt {
            id: self.id(),
            quiz: quiz.parse().unwrap(),
            alias: body["alias"].as_str().unwrap().to_owned(),
            session: format!("session-{}", self.id()),
            started: self.began.elapsed(),
            last: self.began.elapsed(),
            answers: Vec::new(),
            score: 0.0,
            ended: false,
            listener: None,
            held: None,
        };
        let data = json!({ "attempt_id": attempt.id, "alias": attempt.alias, "quiz_id": attempt.quiz, "started_at": now() });
        school.tell(
            attempt.quiz,
            "quiz",
            &frame(&json!({ "event": "update", "t": "attempt_quiz", "channel": "quiz", "data": data })),
        );
        let mut view = data;
        view["session_token"] = attempt.session.clone().into();
        view["questions"] = school.quiz(quiz).questions.clone().into();
        school.quiz(quiz).changed = true;
        school.attempts.push(attempt);
        good(201, &view)
    }

    /// None: no answer at all.
    fn answer(&self, session: &str, body: &Value) -> Option<(u16, Value)> {
        let number = self.tries.fetch_add(1, SeqCst) + 1;
        if every(self.faults.silent_every, number) {
            return None;
        }
        if every(self.faults.refuse_every, number) {
            return Some(bad(503, "SRV-001"));
        }
        thread::sleep(self.faults.late);
        self.answers.fetch_add(1, SeqCst);
        let (mut school, at) = (self.school(), self.began.elapsed());
        let School { quizzes, attempts } = &mut *school;
        let attempt = attempts.iter_mut().find(|attempt| attempt.session == session).unwrap();
        let quiz = quizzes.get_mut(&attempt.quiz).unwrap();
        let place = quiz.questions.iter().position(|question| question["id"] == body["question_id"]).unwrap();
        let question = &quiz.questions[place];
        let is_correct = body["answer"] == question["correct"];
        let score = if is_correct { question["points"].as_f64().unwrap() } else { 0.0 };
        let mut kept = body.clone();
        (kept["answer_id"], kept["is_correct"], kept["score"]) = (self.id().into(), is_correct.into(), score.into());
        let answer = json!({ "answer_id": kept["answer_id"], "answered_count": attempt.answers.len() + 1, "answered_at": now(),
            "is_correct": is_correct, "score": score });
        let mut data = answer.clone();
        data["alias"] = attempt.alias.clone().into();
        (data["attempt_id"], data["quiz_id"]) = (attempt.id.clone().into(), attempt.quiz.into());
        (data["question_id"], data["question_order"]) = (body["question_id"].clone(), (place + 1).into());
        if !every(self.faults.forget_every, number) {
            attempt.answers.push(kept);
            attempt.score += score;
        }
        attempt.last = at;
        quiz.changed = true;
        let quiz = attempt.quiz;
        self.update(&mut school, session, data);
        if self.faults.hurried {
            self.snapshot(&mut school, quiz);
        }
        Some(good(201, &answer))
    }

    fn update(&self, school: &mut School, session: &str, mut data: Value) {
        let number = self.updates.fetch_add(1, SeqCst) + 1;
        if every(self.faults.lie_every, number) {
            data["is_correct"] = (data["is_correct"] == false).into();
        }
        let text = frame(&json!({ "event": "update", "t": "attempt_update", "channel": "quiz", "data": data }));
        let attempt = school.attempts.iter_mut().find(|attempt| attempt.session == session).unwrap();
        let quiz = attempt.quiz;
        if every(self.faults.lose_every, number) {
            return;
        }
        if every(self.faults.swap_every, number) && attempt.held.is_none() {
            attempt.held = Some(text);
            return;
        }
        let held = attempt.held.take().unwrap_or_default();
        school.tell(quiz, "quiz", &text);
        if every(self.faults.double_every, number) {
            school.tell(quiz, "quiz", &text);
        }
        school.tell(quiz, "quiz", &held);
        if self.faults.cut_at == number {
            school.quiz(&quiz.to_string()).screens.iter_mut().for_each(|(_, screen)| drop(screen.write_all(&[0x88, 2, 3, 0xf3])));
        }
    }

    fn submit(&self, session: &str) -> (u16, Value) {
        let mut school = self.school();
        let attempt = school.attempts.iter_mut().find(|attempt| attempt.session == session).unwrap();
        attempt.ended = true;
        let end = json!({ "reason": "submitted", "score": attempt.score, "answered_count": attempt.answers.len(), "submitted_at": now() });
        let mut data = end.clone();
        (data["attempt_id"], data["quiz_id"]) = (attempt.id.clone().into(), attempt.quiz.into());
        let closed = frame(&json!({ "event": "update", "t": "attempt_closed", "channel": "notification", "data": data }));
        let (times, listener) =
            (1 + u64::from(self.faults.closed_twice) - u64::from(self.faults.lose_closed), &mut attempt.listener);
        for _ in 0..times {
            listener.iter_mut().for_each(|listener| drop(listener.write_all(&closed)));
        }
        listener.iter_mut().for_each(|listener| drop(listener.write_all(&[0x88, 2, 3, 0xe8])));
        data["alias"] = attempt.alias.clone().into();
        let quiz = attempt.quiz;
        school.tell(
            quiz,
            "quiz",
            &frame(&json!({ "event": "update", "t": "attempt_finished", "channel": "quiz", "data": data })),
        );
        school.quiz(&quiz.to_string()).changed = true;
        good(200, &end)
    }

    fn results(&self, school: &School, quiz: &str, query: &str) -> (u16, Value) {
        let number = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.parse::<usize>().ok()).unwrap();
        let mut attempts: Vec<&Attempt> = school.attempts.iter().filter(|attempt| attempt.quiz.to_string() == quiz).collect();
        attempts.retain(|attempt| attempt.ended);
        attempts.sort_by(|a, b| b.score.total_cmp(&a.score));
        let wrong = if self.faults.wrong_result { 1.0 } else { 0.0 };
        let rows = (1..).zip(&attempts).map(|(rank, attempt)| {
            json!({ "rank": rank, "attempt_id": attempt.id, "status": "ended", "reason": "submitted",
                "score": attempt.score + wrong, "answered_count": attempt.answers.len() })
        });
        let items: Vec<Value> = rows.skip(number("offset=")).take(number("limit=")).collect();
        good(200, &json!({ "items": items, "total": attempts.len() }))
    }

    fn socket(&self, stream: TcpStream) {
        let (writer, mut query) = (stream.try_clone().unwrap(), String::new());
        #[allow(clippy::result_large_err, reason = "tungstenite's own type")]
        let callback = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            query = request.uri().query().unwrap().to_owned();
            Ok(response)
        };
        let Ok(mut socket) = tungstenite::accept_hdr(stream, callback) else { return };
        if let Some(session) = query.strip_prefix("session=") {
            let mut school = self.school();
            let attempt = school.attempts.iter_mut().find(|attempt| attempt.session == session).unwrap();
            let told = json!({ "event": "subscribed", "t": null, "subscriptions": [format!("notification:{}", attempt.id)] });
            let _ = (&writer).write_all(&frame(&told));
            attempt.listener = Some(writer);
        } else {
            let asked: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
            assert_eq!(asked["action"], "subscribe");
            let told = json!({ "event": "subscribed", "t": null, "subscriptions": asked["subscriptions"] });
            let mut school = self.school();
            let _ = (&writer).write_all(&frame(&told));
            for subscription in asked["subscriptions"].as_array().unwrap() {
                let (channel, quiz) = subscription.as_str().unwrap().split_once(':').unwrap();
                assert_eq!(query, format!("token={}", school.quiz(quiz).owner));
                school.quiz(quiz).screens.push((channel.to_owned(), writer.try_clone().unwrap()));
            }
        }
        let live = if query.starts_with("session=") { &self.participants } else { &self.owners };
        live.fetch_add(1, SeqCst);
        while socket.read().is_ok() {}
        live.fetch_sub(1, SeqCst);
        let _ = socket.get_ref().shutdown(Shutdown::Both);
    }

    /// Five times a second, where something has changed.
    fn snapshots(&self) {
        loop {
            thread::sleep(Duration::from_millis(200));
            let mut school = self.school();
            let changed = school.quizzes.iter().filter(|(_, quiz)| quiz.changed).map(|(id, _)| *id).collect::<Vec<_>>();
            for quiz in changed {
                school.quiz(&quiz.to_string()).changed = false;
                self.snapshot(&mut school, quiz);
            }
        }
    }

    fn snapshot(&self, school: &mut School, quiz: u64) {
        let mut attempts: Vec<&Attempt> = school.attempts.iter().filter(|attempt| attempt.quiz == quiz).collect();
        if self.faults.stale_board && attempts.iter().all(|attempt| attempt.ended) {
            return;
        }
        attempts.sort_by(|a, b| b.score.total_cmp(&a.score).then((a.last - a.started).cmp(&(b.last - b.started))));
        if self.faults.wrong_board {
            attempts.reverse();
        }
        let rows = (1..).zip(attempts.iter().take(200)).map(|(rank, attempt)| {
            json!({ "rank": rank, "attempt_id": attempt.id, "quiz_id": quiz, "score": attempt.score,
                "answered_count": attempt.answers.len(), "status": if attempt.ended { "ended" } else { "running" } })
        });
        let rows: Vec<Value> = rows.collect();
        for channel in ["attempts", "leaderboard"] {
            let snapshot = frame(&json!({ "event": "snapshot", "t": null, "channel": channel, "snapshot": rows }));
            school.tell(quiz, channel, &snapshot);
        }
    }

    /// Each participant's socket once a second, one after the other over that time or all at once.
    fn pings(&self) {
        let mut next = 0;
        loop {
            let mut school = self.school();
            let listeners: Vec<&mut TcpStream> =
                school.attempts.iter_mut().filter_map(|attempt| attempt.listener.as_mut()).collect();
            let count = listeners.len().max(1);
            let whose = |place: usize| self.faults.pings_at_once || place == next % count;
            for (_, listener) in listeners.into_iter().enumerate().filter(|(place, _)| whose(*place)) {
                let _ = listener.write_all(&[0x89, 0]);
            }
            drop(school);
            next = (next + 1) % count;
            thread::sleep(Duration::from_secs(1) / if self.faults.pings_at_once { 1 } else { count as u32 });
        }
    }
}

impl School {
    fn quiz(&mut self, id: &str) -> &mut Quiz {
        self.quizzes.get_mut(&id.parse().unwrap()).unwrap()
    }

    fn tell(&mut self, quiz: u64, channel: &str, frame: &[u8]) {
        for (_, screen) in self.quizzes.get_mut(&quiz).unwrap().screens.iter_mut().filter(|(on, _)| on == channel) {
            let _ = screen.write_all(frame);
        }
    }
}
