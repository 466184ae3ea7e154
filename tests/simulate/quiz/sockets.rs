//! What must hold of one socket of the quizzes: whether it is let in, what it hears and in which order.

use super::book::{Book, Event, Quiz, Row, read_rows};
use crate::{
    clients::Meaning,
    model::{Model, within},
    wire::Said,
};
use homeroom::{
    engine::{Counters, Letter, Topic},
    protocols::quiz::{AttemptId, Channel, QuizId, record::Record},
    realtime::{ConnId, Frame, Moment, UnixMicros},
    websocket::frame,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use uuid::Uuid;

const PING_INTERVAL: Duration = Duration::from_secs(5);
const PONG_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE: Duration = Duration::from_secs(10);
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(200);
const GOODBYE: Duration = Duration::from_secs(1);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// What a wheel may be late by, and a little.
const GRACE: Duration = Duration::from_millis(10);

/// Whom a credential makes of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Bearer {
    Owner(String),
    /// An owner, or nobody: of his key nothing is certain.
    Unsure(String),
    Participant(QuizId, AttemptId),
    /// To be refused with this status.
    Refused(u16),
    /// Whoever holds this key. What that makes of him is known when he says so.
    Key(Uuid),
}

/// One channel that is listened to.
#[derive(Debug, Default)]
struct Watching {
    /// All events from here on are for it.
    next: usize,
    heard_any: bool,
    /// Of lists: which state was heard last, at the earliest.
    state: usize,
    rows: Option<Vec<Row>>,
}

/// One socket, as its bytes tell.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) bearer: Bearer,
    came_at: Moment,
    /// Its attempt was over when it came.
    came_late: bool,
    pub(crate) upgraded: bool,
    watching: BTreeMap<(QuizId, Channel), Watching>,
    asked: usize,
    answered: usize,
    /// It was told the end of its attempt.
    told_end: Option<Moment>,
    said_close: bool,
    pinged_at: Option<Moment>,
    unanswered_since: Option<Moment>,
}

/// What is known of the quizzes.
#[derive(Debug, Default)]
pub(crate) struct Quizzes {
    pub(crate) all: Vec<Quiz>,
    /// What is on disk, and what homes know of it.
    pub(crate) disk: Book,
    pub(crate) told: Book,
    /// What was to be heard of each quiz.
    pub(crate) events: BTreeMap<QuizId, Vec<Event>>,
    /// Every state of each list, whole.
    pub(crate) states: BTreeMap<(QuizId, Channel), Vec<Vec<Row>>>,
    /// On which shard each is at home.
    pub(crate) homes: BTreeMap<QuizId, usize>,
    /// How many rows are shown.
    pub(crate) rows: usize,
    /// The store's reads fail now and then.
    pub(crate) faulty: bool,
    pub(crate) now: UnixMicros,
    /// The house has begun anew, and has not come to rest since.
    pub(crate) unread: bool,
    /// What attempts were worth before an answer took the place of another.
    pub(crate) replaced: BTreeMap<AttemptId, f64>,
    /// When lists were last told to a shard.
    pub(crate) shown: BTreeMap<(QuizId, Channel, usize), Moment>,
    pub(crate) snapshots: u64,
    pub(crate) farewells: u64,
}

impl Socket {
    pub(crate) fn is_owner(&self) -> bool {
        matches!(self.bearer, Bearer::Owner(_) | Bearer::Unsure(_))
    }

    /// What it listens to.
    pub(crate) fn channels(&self) -> impl Iterator<Item = (QuizId, Channel)> + '_ {
        self.watching.keys().copied()
    }

    /// It says something behind its head.
    pub(crate) fn said(&mut self, meaning: &Meaning) {
        match meaning {
            Meaning::Wish(answers) => self.asked += answers,
            Meaning::Pong => self.unanswered_since = None,
            Meaning::Close => self.said_close = true,
            Meaning::Ping | Meaning::Broken | Meaning::Noise | Meaning::Fragment | Meaning::Comes(_) => {}
            Meaning::Upgrade { .. } | Meaning::Http | Meaning::BadHead | Meaning::Request(_) | Meaning::BadRequest => {}
        }
    }
}

impl Quizzes {
    /// A record is known at its home, and must be told.
    pub(crate) fn tell(&mut self, record: &Record) {
        if let Record::Answered(answered) = record
            && let Some(attempt) = self.told.attempts.get(&answered.attempt)
            && attempt.answers.get(&answered.question).is_some_and(|score| *score != answered.grade.score)
        {
            self.replaced.insert(answered.attempt, attempt.score());
        }
        let Some((quiz, event)) = self.told.write(record, &self.all) else { return };
        self.events.entry(quiz).or_default().push(event);
        self.note_state(quiz);
    }

    /// The ranks as they would be told by who takes no second answer to a question.
    pub(crate) fn without_replacements(&self, frame: &Frame) -> Frame {
        let text = frame.iter().position(|byte| *byte == b'{').map_or(&[][..], |start| &frame[start..]);
        let mut message: Value = serde_json::from_slice(text).expect("a snapshot is JSON");
        for row in message["snapshot"].as_array_mut().into_iter().flatten() {
            let attempt = row["attempt_id"].as_str().and_then(|id| id.parse::<Uuid>().ok());
            if let Some(score) = attempt.and_then(|attempt| self.replaced.get(&attempt)) {
                row["score"] = Value::from(*score);
            }
        }
        frame::text(message.to_string().as_bytes())
    }

    /// A letter leaves for a shard: lists are told at most five times a second.
    pub(crate) fn leaves(&mut self, letter: &Letter, to: usize, now: Moment) {
        let Letter::Publish { topic: Topic::Quiz(quiz, channel @ (Channel::Attempts | Channel::Leaderboard)), .. } = letter
        else {
            return;
        };
        if let Some(before) = self.shown.insert((*quiz, *channel, to), now) {
            assert!(now.since(before) >= SNAPSHOT_INTERVAL, "{channel:?} of {quiz} is shown after {:?}", now.since(before));
        }
    }

    /// A home reads a quiz: from now on its lists stand as it has read them.
    pub(crate) fn reload(&mut self, quiz: QuizId) {
        self.told.reload(quiz);
        self.note_state(quiz);
    }

    /// The house begins anew: homes know what is on disk.
    pub(crate) fn restart(&mut self) {
        self.told = self.disk.clone();
        self.unread = true;
        self.shown.clear();
    }

    fn note_state(&mut self, quiz: QuizId) {
        for channel in [Channel::Attempts, Channel::Leaderboard] {
            let rows = self.told.rows(quiz, channel);
            self.states.entry((quiz, channel)).or_default().push(rows);
        }
    }

    fn now_shown(&self, quiz: QuizId, channel: Channel) -> Vec<Row> {
        let mut rows = self.told.rows(quiz, channel);
        rows.truncate(self.rows);
        rows
    }

    fn owner_of(&self, quiz: QuizId) -> Option<&str> {
        self.all.iter().find(|own| own.id == quiz).map(|quiz| quiz.owner.as_str())
    }

    /// A client has said whom it claims to be.
    pub(crate) fn comes(&self, bearer: &Bearer, now: Moment) -> Socket {
        let over = |attempt: &AttemptId| self.told.attempts.get(attempt).is_none_or(|own| !own.is_running());
        let came_late = match bearer {
            Bearer::Participant(_, attempt) => {
                over(attempt) && self.disk.attempts.get(attempt).is_none_or(|own| !own.is_running())
            }
            Bearer::Owner(_) | Bearer::Unsure(_) | Bearer::Refused(_) | Bearer::Key(_) => false,
        };
        Socket {
            bearer: bearer.clone(),
            came_at: now,
            came_late,
            upgraded: false,
            watching: BTreeMap::new(),
            asked: 0,
            answered: 0,
            told_end: None,
            said_close: false,
            pinged_at: None,
            unanswered_since: None,
        }
    }

    /// Whether a home must let this attempt's participant in.
    fn must_run(&self, attempt: AttemptId) -> bool {
        let runs = |book: &Book| book.attempts.get(&attempt).is_some_and(|own| own.is_running() && !own.is_overdue(self.now));
        runs(&self.told) && runs(&self.disk)
    }
}

impl Model {
    /// Something is said to a socket of the quizzes.
    pub(crate) fn quiz_hears(&mut self, conn: ConnId, said: Said<'_>, now: Moment) {
        let Model { conns, quizzes, .. } = self;
        let Some(own) = conns.get_mut(&conn) else { return };
        let stalled = own.stalled;
        let Some(socket) = own.quiz.as_mut() else { return };
        match said {
            Said::Http(101) => {
                own.heard_http = true;
                socket.let_in().unwrap_or_else(|fault| panic!("{conn:?} is let in: {fault}"));
            }
            Said::Http(status) => {
                own.refused = true;
                let waited = now.since(socket.came_at);
                socket
                    .refused(status, waited, quizzes)
                    .unwrap_or_else(|fault| panic!("{conn:?} is refused with {status}: {fault}"));
            }
            Said::Close(code) => {
                own.closed = true;
                socket.closed(code, now, stalled).unwrap_or_else(|fault| panic!("{conn:?} is closed with {code:?}: {fault}"));
            }
            Said::Pong => {
                own.pongs_heard += 1;
                assert!(own.pongs_heard <= own.pings_said, "{conn:?} hears a Pong to no Ping");
            }
            Said::Ping => {
                assert!(socket.upgraded, "{conn:?} hears a Ping before it is let in");
                socket.pinged_at = Some(now);
                socket.unanswered_since.get_or_insert(now);
            }
            Said::Quiz(text) => {
                assert!(socket.upgraded, "{conn:?} hears {text} before it is let in");
                socket.hears(text, quizzes, now).unwrap_or_else(|fault| panic!("{conn:?} hears {text}: {fault}"));
            }
            Said::Success | Said::Failed(_) | Said::Terminated | Said::Event(_) | Said::Text | Said::Binary => {
                panic!("{conn:?}, a socket of the quizzes, hears {said:?}")
            }
        }
    }

    /// Which channels are listened to on a shard.
    pub(crate) fn quiz_topics(&self, shard: usize) -> BTreeSet<(QuizId, Channel)> {
        self.quiz_sockets(shard).flat_map(|socket| socket.channels()).collect()
    }

    /// Those who are in, and at rest.
    pub(crate) fn quiz_sockets(&self, shard: usize) -> impl Iterator<Item = &Socket> {
        self.of(shard)
            .filter(|own| own.settled && !own.closed && !own.over)
            .filter_map(|own| own.quiz.as_deref())
            .filter(|s| s.upgraded)
    }

    /// The timers that the homes of a shard may have at most.
    pub(crate) fn quiz_timers_at_most(counters: &Counters) -> u64 {
        2 * counters.attempts.read() + 4 * counters.quizzes.read() + counters.quiz_waiting.read() + counters.quiz_writing.read()
    }

    /// The timers that they have when all is quiet: the deadlines of attempts, and those of quizzes that nobody needs.
    pub(crate) fn quiz_timers(&self, shard: usize, counters: &Counters) -> u64 {
        let at_home = || self.quizzes.homes.iter().filter(|(_, home)| **home == shard).map(|(quiz, _)| *quiz);
        let deadlines = at_home().flat_map(|quiz| self.quizzes.told.running(quiz)).filter(|own| own.started.deadline.is_some());
        let sockets = self.conns.values().filter_map(|own| own.quiz.as_deref());
        let watched: BTreeSet<QuizId> = sockets.flat_map(Socket::channels).map(|(quiz, _)| quiz).collect();
        let needed =
            at_home().filter(|quiz| watched.contains(quiz) || self.quizzes.told.running(*quiz).count() > 0).count() as u64;
        let in_memory = counters.quizzes.read();
        assert!(in_memory >= needed, "shard {shard}: {in_memory} quizzes in memory, where {needed} are needed");
        deadlines.count() as u64 + in_memory - needed
    }

    /// The levels of a shard; `unknown` is how many of its sockets may have gone or come without a sign.
    pub(crate) fn check_quiz_levels(&self, shard: usize, counters: &Counters, unknown: u64) {
        let owners = self.quiz_sockets(shard).filter(|socket| socket.is_owner()).count() as u64;
        let participants = self.quiz_sockets(shard).count() as u64 - owners;
        let watching: u64 = self.quiz_sockets(shard).map(|socket| socket.watching.len() as u64).sum();
        let at_home = self.quizzes.homes.iter().filter(|(_, home)| **home == shard);
        let running: u64 = at_home.map(|(quiz, _)| self.quizzes.told.running(*quiz).count() as u64).sum();
        // After a restart a home knows nothing of what it has not read yet.
        let known = if self.quizzes.unread { 0 } else { running };
        let levels = [
            ("quiz_owners", &counters.quiz_owners, owners, owners + unknown),
            ("quiz_participants", &counters.quiz_participants, participants, participants + unknown),
            ("quiz_watching", &counters.quiz_watching, watching, watching + unknown * 10),
            ("attempts", &counters.attempts, known, running),
        ];
        for (name, level, low, high) in levels {
            within(name, shard, level.read(), low, high);
        }
    }

    /// When all is quiet, every socket has heard what it must.
    pub(crate) fn check_quiet_quizzes(&self, now: Moment) {
        for (conn, own) in &self.conns {
            let Some(socket) = &own.quiz else { continue };
            socket.check_quiet(&self.quizzes, own.closed, now).unwrap_or_else(|fault| panic!("{conn:?}: {fault}: {socket:?}"));
        }
        let overdue = self.quizzes.disk.attempts.values().find(|attempt| attempt.is_overdue(self.quizzes.now));
        assert!(overdue.is_none(), "the time of {overdue:?} is up, and it runs");
    }
}

type Checked = Result<(), String>;

fn ensure(holds: bool, fault: &str) -> Checked {
    if holds { Ok(()) } else { Err(fault.to_owned()) }
}

impl Socket {
    fn let_in(&mut self) -> Checked {
        ensure(!self.upgraded, "twice")?;
        ensure(!self.came_late, "its attempt was over when it came")?;
        ensure(!matches!(self.bearer, Bearer::Refused(_)), "nobody may come in so")?;
        self.upgraded = true;
        Ok(())
    }

    fn refused(&self, status: u16, waited: Duration, quizzes: &Quizzes) -> Checked {
        ensure(!self.upgraded, "after it was let in")?;
        match (&self.bearer, status) {
            (Bearer::Refused(expected), _) => ensure(status == *expected, "another status was to come"),
            (Bearer::Unsure(_), 401) => Ok(()),
            (Bearer::Participant(_, attempt), 401) => ensure(!quizzes.must_run(*attempt), "the attempt runs"),
            (Bearer::Participant(..), 503) => {
                ensure(quizzes.faulty || waited + GRACE >= HANDSHAKE || quizzes.all.is_empty(), "the store can be read")
            }
            (Bearer::Owner(_) | Bearer::Unsure(_) | Bearer::Participant(..) | Bearer::Key(_), _) => {
                Err("the credential is good".into())
            }
        }
    }

    fn closed(&self, code: Option<u16>, now: Moment, stalled: bool) -> Checked {
        match code {
            Some(1000) if self.said_close => Ok(()),
            Some(1000) => ensure(self.told_end.is_some(), "nothing was over"),
            Some(1008) => {
                let waited = self.unanswered_since.map(|since| now.since(since));
                ensure(stalled || waited.is_some_and(|waited| waited + GRACE >= PONG_TIMEOUT), "its Pong has come")
            }
            Some(1002 | 1007 | 1009 | 1012 | 1013) | None => Ok(()),
            Some(_) => Err("no such code".into()),
        }
    }

    fn hears(&mut self, text: &str, quizzes: &mut Quizzes, now: Moment) -> Checked {
        let message: Value = serde_json::from_str(text).map_err(|fault| fault.to_string())?;
        match message["event"].as_str().unwrap_or_default() {
            "subscribed" => self.subscribed(&message["subscriptions"], quizzes),
            "unsubscribed" => self.unsubscribed(&message["subscriptions"]),
            "error" => {
                self.answered += 1;
                ensure(self.answered <= self.asked, "it did not ask for that much")
            }
            "update" if message["channel"] == "notification" => self.hears_farewell(&message["data"], quizzes, now),
            "update" => self.hears_event(&message, quizzes),
            "snapshot" => self.hears_snapshot(&message, quizzes),
            _ => Err("no such event".into()),
        }
    }

    fn subscribed(&mut self, names: &Value, quizzes: &Quizzes) -> Checked {
        let names = names.as_array().ok_or("no list")?;
        if let Bearer::Participant(_, attempt) = &self.bearer {
            return ensure(names[..] == [format!("notification:{attempt}")], "another's notifications");
        }
        self.answered += names.len();
        for name in names {
            let key @ (quiz, _) = channel(name)?;
            let (Bearer::Owner(owner) | Bearer::Unsure(owner)) = &self.bearer else { return Err("it owns nothing".into()) };
            ensure(quizzes.owner_of(quiz) == Some(owner), "that is another's")?;
            let next = quizzes.events.get(&quiz).map_or(0, Vec::len);
            self.watching.entry(key).or_insert(Watching { next, ..Watching::default() });
        }
        ensure(self.answered <= self.asked, "it did not ask for that much")
    }

    fn unsubscribed(&mut self, names: &Value) -> Checked {
        self.answered += 1;
        for name in names.as_array().ok_or("no list")? {
            self.watching.remove(&channel(name)?).ok_or("it did not listen to that")?;
        }
        Ok(())
    }

    fn hears_event(&mut self, message: &Value, quizzes: &Quizzes) -> Checked {
        let data = &message["data"];
        let quiz = QuizId(data["quiz_id"].as_i64().ok_or("no quiz")?);
        let watching = self.watching.get_mut(&(quiz, Channel::Quiz)).ok_or("it does not listen to that")?;
        let kind = message["t"].as_str().unwrap_or_default();
        let id = match kind {
            "attempt_update" => &data["answer_id"],
            "attempt_flagged" => &data["labels"][0],
            _ => &data["attempt_id"],
        };
        let name = format!("{kind} {}", id.as_str().unwrap_or_default());
        let log = quizzes.events.get(&quiz).map_or(&[][..], |log| log);
        let place = log.iter().rposition(|event| event.name == name).ok_or("that never happened")?;
        ensure(log[place].data == *data, "that is not what happened")?;
        ensure(place >= watching.next || !watching.heard_any, "it comes twice, or out of order")?;
        if place > watching.next {
            return Err(format!("{} was missed", log[watching.next].name));
        }
        (watching.next, watching.heard_any) = (place + 1, true);
        Ok(())
    }

    fn hears_snapshot(&mut self, message: &Value, quizzes: &mut Quizzes) -> Checked {
        quizzes.snapshots += 1;
        let list = if message["channel"] == "attempts" { Channel::Attempts } else { Channel::Leaderboard };
        let (quiz, rows) = read_rows(&message["snapshot"], list)?;
        let Some(quiz) = quiz else {
            // Of whichever it is: it says that there is nothing.
            let of_list = self.watching.iter_mut().filter(|((_, channel), _)| *channel == list);
            of_list.for_each(|(_, watching)| {
                watching.rows.get_or_insert_default();
            });
            return Ok(());
        };
        let watching = self.watching.get_mut(&(quiz, list)).ok_or("it does not listen to that")?;
        let states = quizzes.states.get(&(quiz, list)).map_or(&[][..], |states| states);
        let shown = |state: &Vec<Row>| state[..state.len().min(quizzes.rows)] == rows[..];
        let found = states[watching.state..].iter().position(shown);
        watching.state += found.ok_or("that was never so, or before what it heard last")?;
        watching.rows = Some(rows);
        Ok(())
    }

    fn hears_farewell(&mut self, data: &Value, quizzes: &mut Quizzes, now: Moment) -> Checked {
        quizzes.farewells += 1;
        let Bearer::Participant(_, attempt) = self.bearer else { return Err("it takes no quiz".into()) };
        ensure(self.told_end.replace(now).is_none(), "it was told before")?;
        let attempt = quizzes.told.attempts.get(&attempt).ok_or("there is no such attempt")?;
        ensure(attempt.farewell().as_ref() == Some(data), "its attempt did not end so")
    }

    fn check_quiet(&self, quizzes: &Quizzes, closed: bool, now: Moment) -> Checked {
        ensure(self.upgraded, "it was neither let in nor refused")?;
        let since = |at: Option<Moment>| at.map(|at| now.since(at)).unwrap_or_default();
        if self.told_end.is_some() {
            let time = if closed { GOODBYE + CLOSE_TIMEOUT } else { GOODBYE };
            return ensure(since(self.told_end) <= time + GRACE, "its attempt is over, and it is still there");
        }
        ensure(self.answered == self.asked, "it was not answered")?;
        ensure(since(self.pinged_at.or(Some(self.came_at))) <= PING_INTERVAL + GRACE, "it was not pinged")?;
        ensure(since(self.unanswered_since) <= PONG_TIMEOUT + GRACE, "it has not answered for long")?;
        if let Bearer::Participant(_, attempt) = &self.bearer {
            let runs = quizzes.told.attempts.get(attempt).is_some_and(|attempt| attempt.is_running());
            ensure(runs, "its attempt is over, and it was not told")?;
        }
        for ((quiz, channel), watching) in &self.watching {
            match channel {
                Channel::Quiz => {
                    let missed = quizzes.events.get(quiz).and_then(|log| log.get(watching.next));
                    missed.map_or(Ok(()), |missed| Err(format!("{} was never heard", missed.name)))?;
                }
                Channel::Attempts | Channel::Leaderboard => {
                    let shown = quizzes.now_shown(*quiz, *channel);
                    ensure(watching.rows.as_ref() == Some(&shown), &format!("{channel:?} of {quiz} is now {shown:?}"))?;
                }
            }
        }
        Ok(())
    }
}

fn channel(name: &Value) -> Result<(QuizId, Channel), String> {
    let (kind, id) = name.as_str().and_then(|name| name.split_once(':')).ok_or("no name of a channel")?;
    let channel = match kind {
        "quiz" => Channel::Quiz,
        "attempts" => Channel::Attempts,
        "leaderboard" => Channel::Leaderboard,
        _ => return Err("no such channel".into()),
    };
    Ok((QuizId(id.parse().map_err(|_| "no number")?), channel))
}
