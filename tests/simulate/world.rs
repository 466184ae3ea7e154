//! The world around the engines: a clock, a mesh of letters, sockets, a store, a permission service, REST. All of it obeys the dice.

use crate::{
    clients::{self, Client, EPOCH, SECRET, Seat},
    dice::Dice,
    faults::{Fault, double},
    model::{Model, Published, Session, Tally},
    wire,
};
use homeroom::{
    auth::{Algorithm, Authority, Issuer, Permissions, Rule, Secret, ServiceId},
    engine::{Answer, Birth, Counters, Engine, Entrance, Letter, Limits, Listener, Output, Question, Rules, Seats, SocketApi},
    protocols::presence::{
        Settings, ToHome,
        asks::{Ask, Publication, Reply},
        record::{Entering, StoreFault},
    },
    realtime::{ClassroomId, ConnId, HashRing, Moment, Now, ShardId},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

const LISTENER: Listener = Listener(0);
/// Longer than every time-out of the engine, so that whoever is to be ended is.
const QUIET: Duration = Duration::from_secs(50);

/// What is drawn once for a run.
struct Plan {
    rooms: Vec<ClassroomId>,
    seats: usize,
    clients: usize,
    outbox_bytes: usize,
    coalesce_above: usize,
    /// Of a hundred answers of the store: busy, failed.
    busy: usize,
    failed: usize,
    /// Of a hundred turns: how many take in more than one input.
    long_turns: usize,
    /// Of a hundred ticks that are due: how many come late.
    late_ticks: usize,
    /// Weights of the actions, in their order.
    weights: [usize; 9],
}

impl Plan {
    fn new(dice: &mut Dice) -> Plan {
        let mut weight = |usual: usize| if dice.percent(20) { usual * 4 } else { usual };
        let weights = [weight(8), weight(30), weight(24), weight(20), weight(12), weight(10), weight(9), weight(3), weight(10)];
        let faulty = dice.percent(50);
        Plan {
            rooms: (0..dice.between(1, 3)).map(|_| ClassroomId::from_u64_pair(dice.number(), dice.number())).collect(),
            seats: if dice.percent(20) { 5 } else { 1000 },
            clients: dice.between(4, 16),
            outbox_bytes: *dice.pick(&[600, 1_500, 5_000, 256 << 10]),
            coalesce_above: *dice.pick(&[0, 1, 3, 100, 100]),
            busy: if faulty { dice.below(30) } else { 0 },
            failed: if faulty { dice.below(30) } else { 0 },
            long_turns: *dice.pick(&[0, 20, 60]),
            late_ticks: *dice.pick(&[0, 10, 50]),
            weights,
        }
    }
}

struct Shard {
    engine: Engine,
    counters: Arc<Counters>,
    /// Something was fed since its last turn.
    fed: bool,
    /// It was woken for letters.
    woken: bool,
    /// What a faulty shell carries out too late.
    late: Vec<Output>,
}

/// A question that waits for its answer.
enum Asked {
    Enter { shard: usize, ticket: u64, entering: Entering, asked: u64 },
    Permission { shard: usize, conn: ConnId },
}

struct RestAsk {
    shard: usize,
    number: u64,
    /// The room whose list is asked for.
    members_of: Option<ClassroomId>,
}

/// Everything.
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) model: Model,
    /// The last events in words, when somebody wants to read them.
    pub(crate) story: Option<VecDeque<String>>,
    plan: Plan,
    fault: Option<Fault>,
    now: Now,
    ring: Arc<HashRing>,
    shards: Vec<Shard>,
    /// Letters under way from one shard to another, by `from * shards + to`.
    mesh: Vec<VecDeque<Letter>>,
    clients: BTreeMap<ConnId, Client>,
    /// Connections that the engine has let go and whose sockets the shell has not yet closed.
    leaving: Vec<ConnId>,
    questions: Vec<Asked>,
    last_session: i64,
    rest: Vec<RestAsk>,
    last_published: u64,
    closed: bool,
}

macro_rules! note {
    ($world:expr, $($words:tt)*) => {
        if let Some(story) = &mut $world.story {
            if story.len() == 60 {
                story.pop_front();
            }
            story.push_back(format!("{:>9.3}s  {}", $world.now.moment.0 as f64 / 1e6, format!($($words)*)));
        }
    };
}

impl World {
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> World {
        let mut dice = Dice::new(seed);
        let plan = Plan::new(&mut dice);
        let shards = dice.between(1, 4);
        let ring = Arc::new(HashRing::new(shards as u16));
        let rules = Arc::new(rules(&plan));
        let limits = Limits { seats: Seats::new(plan.seats), outbox_bytes: plan.outbox_bytes, ..Limits::default() };
        let shard = |id: usize| {
            let birth = Birth { id: ShardId(id as u16), start: Moment(0), seed };
            let counters = Arc::new(Counters::default());
            let engine = Engine::new(birth, ring.clone(), limits.clone(), rules.clone(), counters.clone());
            Shard { engine, counters, fed: false, woken: false, late: Vec::new() }
        };
        World {
            model: Model { tallies: (0..shards).map(|_| Tally::default()).collect(), ..Model::default() },
            shards: (0..shards).map(shard).collect(),
            mesh: (0..shards * shards).map(|_| VecDeque::new()).collect(),
            now: Now { moment: Moment(0), wall: EPOCH },
            story: None,
            clients: BTreeMap::new(),
            leaving: Vec::new(),
            questions: Vec::new(),
            last_session: 0,
            rest: Vec::new(),
            last_published: 0,
            closed: false,
            dice,
            plan,
            fault,
            ring,
        }
    }

    /// A whole run: anything may happen, now and then all comes to rest, at the end everybody leaves.
    pub(crate) fn run(&mut self) {
        let steps = self.dice.between(80, 260);
        for step in 0..steps {
            self.step();
            if step % 90 == 89 {
                self.come_to_rest();
            }
        }
        if self.dice.percent(30) {
            self.stop();
        }
        self.come_to_rest();
        self.everybody_leaves();
    }

    fn step(&mut self) {
        match self.dice.weighted(&self.plan.weights) {
            0 => self.connect(),
            1 => self.speak(),
            2 => self.deliver_some(),
            3 => self.finish_a_send(),
            4 => self.answer_one(),
            5 => self.let_time_pass(),
            6 => self.ask_something(),
            7 => self.end_one(),
            _ => self.release_one(),
        }
        self.poll_asks();
        let lazy = self.plan.long_turns;
        for shard in 0..self.shards.len() {
            if self.shards[shard].fed && !self.dice.percent(lazy) {
                self.turn(shard);
            }
        }
    }

    // --- what happens

    fn connect(&mut self) {
        if self.clients.len() >= self.plan.clients {
            return;
        }
        let shard = self.dice.below(self.shards.len());
        let client = Client::random(&mut self.dice, &self.plan.rooms);
        let held = self.model.conns.len();
        let now = self.now;
        match self.feed(shard).accepted(LISTENER, now) {
            Some(conn) => {
                assert!(!self.closed && held < self.plan.seats, "{conn:?} was taken although there was no seat");
                note!(self, "{conn:?} connects");
                self.model.accepted(conn);
                self.clients.insert(conn, client);
            }
            None => {
                assert!(self.closed || held >= self.plan.seats, "a client was refused although there was a seat");
                self.model.tallies[shard].refused += 1;
            }
        }
    }

    fn speak(&mut self) {
        let Some(conn) = self.someone() else { return };
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if !client.has_words() && client.chatty {
            client.invent(&mut self.dice, &self.plan.rooms);
        }
        let (bytes, meanings) = client.speak(&mut self.dice);
        self.hear(conn, &bytes, &meanings);
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8], meanings: &[clients::Meaning]) {
        if bytes.is_empty() || self.model.conn(conn).over {
            return;
        }
        note!(self, "{conn:?} says {} bytes {meanings:?}", bytes.len());
        let first = !self.shards[conn.shard.index()].fed;
        for meaning in meanings {
            self.model.said(conn, meaning, first, self.now.moment);
        }
        let swallowed = self.fault == Some(Fault::ForgottenCancel) && meanings == [clients::Meaning::Pong];
        if !swallowed {
            let now = self.now;
            self.feed(conn.shard.index()).received(conn, bytes, now);
        }
    }

    fn end_one(&mut self) {
        let Some(conn) = self.someone() else { return };
        self.end(conn);
    }

    /// The peer ends its side, or its end is told by an error.
    fn end(&mut self, conn: ConnId) {
        let ended = self.clients.get_mut(&conn).is_none_or(|client| std::mem::replace(&mut client.ended, true));
        if ended || self.model.conn(conn).over {
            return;
        }
        note!(self, "{conn:?} ends");
        let now = self.now;
        self.feed(conn.shard.index()).ended(conn, now);
    }

    fn deliver_some(&mut self) {
        let awake: Vec<usize> = (0..self.shards.len()).filter(|&to| self.shards[to].woken).collect();
        if awake.is_empty() {
            return;
        }
        let to = *self.dice.pick(&awake);
        let from = self.dice.below(self.shards.len());
        for _ in 0..self.dice.between(1, 3) {
            self.deliver(from, to);
        }
        self.shards[to].woken = self.has_letters(to);
    }

    fn has_letters(&self, to: usize) -> bool {
        (0..self.shards.len()).any(|from| !self.mesh[from * self.shards.len() + to].is_empty())
    }

    fn deliver(&mut self, from: usize, to: usize) -> bool {
        let pair = from * self.shards.len() + to;
        let Some(letter) = self.mesh[pair].pop_front() else { return false };
        note!(self, "letter {from} -> {to}: {letter:?}");
        if let Letter::Home(ToHome::Ask { ask, .. }) = &letter {
            self.note_publication(ask);
        }
        let now = self.now;
        self.feed(to).letter(letter, now);
        true
    }

    fn finish_a_send(&mut self) {
        let waiting: Vec<ConnId> = self.in_flight().collect();
        if !waiting.is_empty() {
            let conn = *self.dice.pick(&waiting);
            let ok = !self.dice.percent(8);
            self.finish_send(conn, ok);
        }
    }

    fn in_flight(&self) -> impl Iterator<Item = ConnId> {
        self.model.conns.iter().filter(|(_, own)| own.in_flight.is_some()).map(|(conn, _)| *conn)
    }

    fn finish_send(&mut self, conn: ConnId, ok: bool) {
        note!(self, "{conn:?} its send is {}", if ok { "done" } else { "broken" });
        let flight = self.model.sent(conn, ok);
        if let Some(client) = self.clients.get_mut(&conn).filter(|client| ok && client.pongs && flight.pings > 0) {
            client.pong(&mut self.dice);
        }
        if self.fault == Some(Fault::ForgottenSent) && self.dice.percent(3) {
            return;
        }
        let now = self.now;
        self.feed(conn.shard.index()).sent(conn, ok, now);
    }

    fn answer_one(&mut self) {
        if !self.questions.is_empty() {
            let at = self.dice.below(self.questions.len());
            let fate = self.dice.below(100);
            self.answer(at, fate);
        }
    }

    /// `fate` of a hundred decides what comes of it.
    fn answer(&mut self, at: usize, fate: usize) {
        let now = self.now;
        match self.questions.remove(at) {
            Asked::Permission { shard, conn } => {
                let allowed = [Some(true), Some(false), None][usize::from(fate < 10) + usize::from(fate < 5)];
                note!(self, "{conn:?} permission: {allowed:?}");
                self.feed(shard).answer(Answer::Permission { conn, allowed }, now);
            }
            Asked::Enter { shard, ticket, entering, asked } => {
                if self.fault == Some(Fault::LostAnswer) && self.dice.percent(5) {
                    return;
                }
                let result = if fate < self.plan.busy {
                    Err(StoreFault::Busy)
                } else if fate < self.plan.busy + self.plan.failed {
                    Err(StoreFault::Failed)
                } else {
                    Ok(self.write_row(&entering, asked))
                };
                note!(self, "store to {shard}: {} {result:?}", entering.agent_id);
                self.model.tallies[shard].entering -= 1;
                self.feed(shard).answer(Answer::Entered { ticket, result }, now);
                if self.fault == Some(Fault::DoubledAnswer) && self.dice.percent(10) {
                    let result = Ok(self.write_row(&entering, asked));
                    self.feed(shard).answer(Answer::Entered { ticket, result }, now);
                }
            }
        }
    }

    fn write_row(&mut self, entering: &Entering, asked: u64) -> i64 {
        self.model.order += 1;
        self.last_session += 1;
        let seat = Seat { room: entering.classroom, agent: entering.agent_id.to_string() };
        self.model.sessions.insert(self.last_session, Session { seat, asked, answered: self.model.order, left: false });
        self.last_session
    }

    fn let_time_pass(&mut self) {
        let milliseconds = match self.dice.below(100) {
            0..55 => self.dice.between(1, 60),
            55..80 => self.dice.between(100, 1_000),
            80..96 => self.dice.between(1_000, 7_000),
            _ => self.dice.between(7_000, 40_000),
        };
        let late = self.plan.late_ticks;
        self.pass(Duration::from_millis(milliseconds as u64), late);
    }

    /// Moves both clocks; shards that have something due are turned, but for so many of a hundred. A turn has one time: those that run end before.
    fn pass(&mut self, time: Duration, late: usize) {
        (0..self.shards.len()).filter(|&shard| self.shards[shard].fed).collect::<Vec<_>>().into_iter().for_each(|shard| self.turn(shard));
        self.now.moment = self.now.moment + time;
        self.now.wall.0 += time.as_micros() as i64;
        let now = self.now;
        for shard in 0..self.shards.len() {
            let stopped = self.fault == Some(Fault::StoppedClock) && shard == 0;
            let due = self.shards[shard].engine.next_deadline().is_some_and(|due| due <= now.moment);
            if due && !stopped && !self.dice.percent(late) {
                note!(self, "tick of {shard}");
                self.feed(shard).tick(now);
                let next = self.shards[shard].engine.next_deadline();
                assert!(next.is_none_or(|next| next > now.moment), "shard {shard}: after its tick something is still due");
                self.turn(shard);
            }
        }
    }

    fn release_one(&mut self) {
        if !self.leaving.is_empty() {
            let at = self.dice.below(self.leaving.len());
            let ok = self.dice.percent(20);
            self.release(at, ok);
        }
    }

    /// A socket that was shut: its send ends, then it is closed.
    fn release(&mut self, at: usize, ok: bool) {
        let conn = self.leaving[at];
        if self.model.conn(conn).in_flight.is_some() {
            self.finish_send(conn, ok);
        }
        self.leaving.swap_remove(at);
        self.clients.remove(&conn);
        self.model.released(conn);
        note!(self, "{conn:?} is released");
        if !(self.fault == Some(Fault::ForgottenRelease) && self.dice.percent(5)) {
            self.feed(conn.shard.index()).released(conn);
        }
    }

    // --- REST

    fn ask_something(&mut self) {
        let room = *self.dice.pick(&self.plan.rooms);
        let agents = clients::agents();
        let ask = match self.dice.below(10) {
            0 => Ask::Members { classroom: room, after: 0, limit: 1_000 },
            1 => Ask::Counts { classrooms: vec![room] },
            2 => Ask::Close { classroom: room, agent_id: self.dice.pick(&agents).clone() },
            kind => {
                self.last_published += 1;
                let pad = "x".repeat(if self.dice.percent(10) { self.dice.below(3_000) } else { self.dice.below(300) });
                let event = Publication {
                    entity_type: "load".into(),
                    operation: "tick".into(),
                    sequence_id: None,
                    payload: format!(r#"{{"n":{},"pad":"{pad}"}}"#, self.last_published).into(),
                    receiver: (kind == 3).then(|| self.dice.pick(&agents).clone()),
                };
                Ask::Publish { classroom: room, event }
            }
        };
        let shard = self.dice.below(self.shards.len());
        self.ask(shard, ask);
    }

    fn ask(&mut self, shard: usize, ask: Ask) {
        note!(self, "ask at {shard}: {}", brief(&ask));
        let members_of = if let Ask::Members { classroom, .. } = &ask { Some(*classroom) } else { None };
        if self.home(ask.classroom()) == shard {
            self.note_publication(&ask);
        }
        let number = self.feed(shard).ask(ask);
        self.rest.push(RestAsk { shard, number, members_of });
        // At once, so that the order in which the home hears of things is the order of this world.
        self.turn(shard);
    }

    /// A publication has reached its home.
    fn note_publication(&mut self, ask: &Ask) {
        if let Ask::Publish { classroom, event } = ask {
            let number = event.payload[5..].split(',').next().and_then(|number| number.parse().ok()).unwrap();
            self.model.rooms.entry(*classroom).or_default().push(Published { number, receiver: event.receiver.clone() });
        }
    }

    fn poll_asks(&mut self) {
        for at in (0..self.rest.len()).rev() {
            let RestAsk { shard, number, members_of } = self.rest[at];
            if let Poll::Ready(reply) = self.shards[shard].engine.poll_reply(number, Waker::noop()) {
                self.rest.swap_remove(at);
                self.check_reply(&reply, members_of);
            }
        }
    }

    fn check_reply(&self, reply: &Reply, members_of: Option<ClassroomId>) {
        let Reply::Members(members) = reply else { return };
        assert!(members.is_sorted_by(|one, other| one.sequence_id < other.sequence_id), "a list out of order");
        for member in members {
            let session = self.model.sessions.get(&member.sequence_id).expect("a member has a row");
            assert_eq!((Some(session.seat.room), &session.seat.agent), (members_of, &member.agent_id), "a list of strangers");
            let same = members.iter().filter(|other| other.agent_id == member.agent_id).count();
            assert_eq!(same, 1, "{} is in the list twice", member.agent_id);
        }
    }

    // --- the shell

    fn feed(&mut self, shard: usize) -> &mut Engine {
        self.shards[shard].fed = true;
        &mut self.shards[shard].engine
    }

    fn home(&self, room: ClassroomId) -> usize {
        self.ring.home(room.as_bytes()).index()
    }

    fn someone(&mut self) -> Option<ConnId> {
        let at = self.dice.below(self.clients.len());
        self.clients.iter().nth(at).filter(|(_, client)| !client.ended).map(|(conn, _)| *conn)
    }

    /// Ends a turn and does what the engine wants done, in the order of the contract between the two.
    fn turn(&mut self, shard: usize) {
        let now = self.now;
        for late in std::mem::take(&mut self.shards[shard].late) {
            self.carry_out(shard, late);
        }
        self.shards[shard].fed = false;
        let mut output = Output::default();
        self.shards[shard].engine.finish(now, &mut output);
        let waiting = self.model.waiting(shard);
        if self.fault == Some(Fault::HastyLetters) && self.dice.percent(20) {
            self.shards[shard].late.push(output);
            self.shards[shard].fed = true;
            return self.post(shard);
        }
        let sent = self.carry_out(shard, output);
        self.model.turn_ended(shard, &waiting);
        self.post(shard);
        self.model.check_turn(shard, &self.shards[shard].counters);
        for conn in sent {
            let stalls = self.clients.get(&conn).map_or(0, |client| client.stalls);
            if !self.dice.percent(stalls) {
                self.finish_send(conn, true);
            }
        }
    }

    fn carry_out(&mut self, shard: usize, output: Output) -> Vec<ConnId> {
        let mut sent = Vec::new();
        for send in output.sends {
            note!(self, "{:?} is sent {}", send.conn, wire::words(send.segment.bytes()));
            self.model.handed(send.conn, send.segment.bytes(), self.now.moment);
            sent.push(send.conn);
        }
        for conn in output.half_closes {
            note!(self, "{conn:?} FIN");
            self.model.half_closed(conn);
        }
        for conn in output.closes {
            note!(self, "{conn:?} is closed");
            self.model.over(conn);
            self.leaving.push(conn);
        }
        for handoff in output.handoffs {
            note!(self, "{:?} is handed off", handoff.conn);
            self.model.tallies[shard].handed_off += 1;
            self.model.over(handoff.conn);
            self.leaving.push(handoff.conn);
        }
        sent
    }

    fn post(&mut self, from: usize) {
        let letters = std::mem::take(self.shards[from].engine.letters());
        self.model.tallies[from].letters += letters.len() as u64;
        for (to, letter) in letters {
            self.send_letter(from, to.index(), letter);
        }
        for question in std::mem::take(self.shards[from].engine.questions()) {
            self.put(from, question);
        }
    }

    fn send_letter(&mut self, from: usize, to: usize, letter: Letter) {
        let queue = &mut self.mesh[from * self.shards.len() + to];
        let strikes = self.fault.is_some() && self.dice.percent(5);
        match self.fault.filter(|_| strikes) {
            Some(Fault::LostLetter) => return,
            Some(Fault::DoubledLetter) => queue.push_back(double(&letter)),
            _ => {}
        }
        let at = if strikes && self.fault == Some(Fault::SwappedLetters) { queue.len().saturating_sub(1) } else { queue.len() };
        queue.insert(at, letter);
        self.shards[to].woken |= !(strikes && self.fault == Some(Fault::LostWakeUp));
    }

    fn put(&mut self, shard: usize, question: Question) {
        self.model.order += 1;
        match question {
            Question::Permission { conn, .. } => self.questions.push(Asked::Permission { shard, conn }),
            Question::Enter { ticket, entering } => {
                self.check_enter(&entering);
                self.model.tallies[shard].entering += 1;
                self.questions.push(Asked::Enter { shard, ticket, entering, asked: self.model.order });
            }
            Question::Leave(leaving) => {
                note!(self, "row {} leaves", leaving.session);
                let session = self.model.sessions.get_mut(&leaving.session).expect("only what has a row leaves");
                assert!(!session.left, "session {} leaves twice", leaving.session);
                session.left = !(self.fault == Some(Fault::LostLeave) && self.dice.percent(20));
            }
        }
    }

    /// For one agent in one room there is one row, or one that is being written.
    fn check_enter(&self, entering: &Entering) {
        let same = |seat: &Seat| seat.room == entering.classroom && *seat.agent == *entering.agent_id;
        let row = self.model.sessions.values().any(|session| !session.left && same(&session.seat));
        let being_written = self.questions.iter().any(|asked| match asked {
            Asked::Enter { entering: other, .. } => other.classroom == entering.classroom && other.agent_id == entering.agent_id,
            Asked::Permission { .. } => false,
        });
        assert!(!row && !being_written, "a second row is asked for {} while there is one", entering.agent_id);
    }

    // --- rest

    /// Lets all that is under way arrive, until nothing moves.
    fn calm(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for shard in 0..self.shards.len() {
                while self.shards[shard].fed {
                    self.turn(shard);
                    moved = true;
                }
                while self.shards[shard].woken {
                    (0..self.shards.len()).for_each(|from| while self.deliver(from, shard) {});
                    self.shards[shard].woken = false;
                    moved = true;
                }
            }
            while !self.questions.is_empty() {
                let fate = self.dice.between(60, 99);
                self.answer(0, fate);
                moved = true;
            }
            let waiting: Vec<ConnId> = self.in_flight().filter(|conn| !self.leaving.contains(conn)).collect();
            for conn in waiting {
                self.finish_send(conn, true);
                moved = true;
            }
            while !self.leaving.is_empty() {
                self.release(0, false);
                moved = true;
            }
            moved |= self.clients_react();
            if !moved {
                return self.poll_asks();
            }
        }
        panic!("the world does not come to rest");
    }

    /// Those who answer Pings do; those who are polite end when the server has ended.
    fn clients_react(&mut self) -> bool {
        let mut moved = false;
        for conn in self.clients.keys().copied().collect::<Vec<_>>() {
            let half_closed = self.model.conn(conn).half_closed;
            let Some(client) = self.clients.get_mut(&conn).filter(|client| !client.ended) else { continue };
            if half_closed && client.polite {
                self.end(conn);
                moved = true;
            } else if client.pongs && client.has_words() {
                let (bytes, meanings) = client.speak_all();
                self.hear(conn, &bytes, &meanings);
                moved = true;
            }
        }
        moved
    }

    /// Lets time pass until whoever is to be ended is, and checks that what is left adds up exactly.
    fn come_to_rest(&mut self) {
        note!(self, "all comes to rest");
        self.calm();
        let end = self.now.moment + QUIET;
        while self.now.moment < end {
            let due = self.shards.iter().filter_map(|shard| shard.engine.next_deadline()).min().unwrap_or(end);
            let next = due.max(self.now.moment + Duration::from_millis(1)).min(end);
            let time = next.since(self.now.moment);
            self.pass(time, 0);
            self.calm();
        }
        let shards: Vec<(usize, &Counters)> = self.shards.iter().map(|shard| &*shard.counters).enumerate().collect();
        self.model.check_quiet(&shards, |room| self.home(room));
        self.check_lists();
        self.model.remember();
    }

    /// Every room's list, asked for as REST does, is who is connected.
    fn check_lists(&mut self) {
        assert!(self.rest.is_empty(), "{} asks were never answered", self.rest.len());
        for room in self.plan.rooms.clone() {
            let shard = self.dice.below(self.shards.len());
            let number = self.feed(shard).ask(Ask::Members { classroom: room, after: 0, limit: 1_000 });
            self.calm();
            let Poll::Ready(Reply::Members(list)) = self.shards[shard].engine.poll_reply(number, Waker::noop()) else {
                panic!("a list that was asked for did not come");
            };
            let list: BTreeMap<i64, String> = list.into_iter().map(|member| (member.sequence_id, member.agent_id)).collect();
            assert_eq!(list, self.model.members(room), "the list of {room} and its live sockets");
        }
    }

    /// The process stops: drain, and some steps later close.
    fn stop(&mut self) {
        note!(self, "drain");
        let now = self.now;
        (0..self.shards.len()).for_each(|shard| self.feed(shard).drain(now));
        (0..self.dice.below(40)).for_each(|_| self.step());
        note!(self, "close");
        let now = self.now;
        (0..self.shards.len()).for_each(|shard| self.feed(shard).close(now));
        self.closed = true;
        (0..self.dice.below(40)).for_each(|_| self.step());
    }

    fn everybody_leaves(&mut self) {
        for conn in self.clients.keys().copied().collect::<Vec<_>>() {
            self.end(conn);
        }
        self.come_to_rest();
        assert!(self.model.conns.is_empty() && self.shards.iter().all(|shard| shard.engine.is_empty()), "all have left");
        for (shard, Shard { counters, .. }) in self.shards.iter().enumerate() {
            let levels = [&counters.connections, &counters.presence_live, &counters.rooms, &counters.members];
            assert_eq!(levels.map(|level| level.read()), [0; 4], "shard {shard}: levels when all have left");
            let levels = [&counters.entering, &counters.timers, &counters.topics];
            assert_eq!(levels.map(|level| level.read()), [0; 3], "shard {shard}: levels when all have left");
        }
        assert!(self.model.sessions.values().all(|session| session.left), "a row outlived its session");
    }
}

fn rules(plan: &Plan) -> Rules {
    let issuer = Issuer {
        name: "issuer".into(),
        audiences: vec!["school".into(), "asked".into(), "closed".into()],
        algorithm: Algorithm::HS256,
        key: Secret::new(SECRET),
    };
    Rules {
        entrances: vec![Entrance { sockets: vec![("/ws".into(), SocketApi::Presence), ("/echo".into(), SocketApi::Echo)] }],
        authority: Authority::new([issuer]).unwrap(),
        permissions: Permissions::new([
            ("school".to_owned(), Rule::None),
            ("asked".to_owned(), Rule::Http { service: ServiceId(0) }),
        ]),
        presence: Settings { coalesce_above: plan.coalesce_above, ..Settings::default() },
        show_shard: false,
    }
}

fn brief(ask: &Ask) -> String {
    match ask {
        Ask::Publish { event, .. } => format!("publish {:.12} to {:?}", event.payload, event.receiver),
        Ask::Members { .. } | Ask::Counts { .. } | Ask::Close { .. } => format!("{ask:?}"),
    }
}
