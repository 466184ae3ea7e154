//! The shell of the simulator: sockets, the mesh of letters, the clock. It keeps to the contract of `engine::port`, but where a fault is
//! planted.

use crate::{
    clients::{Client, Meaning},
    faults::{Fault, double},
    quiz::{clients::Cast, sockets::Bearer},
    wire,
    world::{World, note},
};
use homeroom::{
    engine::{Engine, Letter, Listener, Output, Topic},
    protocols::{
        presence::ToHome,
        quiz::{Channel, ToQuiz},
    },
    realtime::{ClassroomId, ConnId, ShardId},
};
use std::time::Duration;

const LISTENER: Listener = Listener(0);
const QUIZ_LISTENER: Listener = Listener(1);

impl World {
    pub(crate) fn connect(&mut self) {
        if self.clients.len() >= self.plan.clients {
            return;
        }
        let shard = self.dice.below(self.shards.len());
        let (listener, client) = self.somebody();
        let held = self.model.conns.len();
        let now = self.now;
        match self.feed(shard).accepted(listener, now) {
            Some(conn) => {
                assert!(!self.closed && held < self.plan.seats, "{conn:?} was taken although there was no seat");
                note!(self, "{conn:?} connects");
                self.model.accepted(conn, self.now.moment);
                self.clients.insert(conn, client);
            }
            None => {
                assert!(self.closed || held >= self.plan.seats, "a client was refused although there was a seat");
                self.model.tallies[shard].refused += 1;
            }
        }
    }

    fn somebody(&mut self) -> (Listener, Client) {
        if self.model.quizzes.all.is_empty() || self.dice.percent(40) {
            return (LISTENER, Client::random(&mut self.dice, &self.plan.rooms));
        }
        let most_run = self.dice.percent(80);
        let attempts = self.model.quizzes.told.attempts.values().filter(|attempt| attempt.is_running() || !most_run);
        let attempts: Vec<_> = attempts.map(|attempt| (attempt.started.quiz, attempt.started.attempt)).collect();
        let cast = Cast { quizzes: &self.model.quizzes.all, keys: &self.quiz.keys, attempts: &attempts };
        (QUIZ_LISTENER, Client::of_quizzes(&mut self.dice, &cast))
    }

    pub(crate) fn speak(&mut self) {
        let Some(conn) = self.someone() else { return };
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if !client.has_words() && client.chatty {
            client.invent(&mut self.dice, &self.plan.rooms);
        }
        let (bytes, meanings) = client.speak(&mut self.dice);
        self.hear(conn, &bytes, &meanings);
    }

    pub(crate) fn hear(&mut self, conn: ConnId, bytes: &[u8], meanings: &[Meaning]) {
        if bytes.is_empty() || self.model.conn(conn).over {
            return;
        }
        note!(self, "{conn:?} says {} bytes {meanings:?}", bytes.len());
        let first = !self.shards[conn.shard.index()].fed;
        for meaning in meanings {
            let held = self.quiz.keys.iter().find(|key| *meaning == Meaning::Comes(Bearer::Key(key.id)));
            let meaning = &held.map_or_else(|| meaning.clone(), |key| Meaning::Comes(key.bearer()));
            self.model.said(conn, meaning, first, self.now.moment);
            if matches!(meaning, Meaning::Comes(_) | Meaning::Wish(_)) {
                self.brings_events(conn.shard.index(), 1);
            }
        }
        let swallowed = self.fault == Some(Fault::ForgottenCancel) && meanings == [Meaning::Pong];
        if !swallowed {
            let now = self.now;
            self.feed(conn.shard.index()).received(conn, bytes, now);
        }
    }

    pub(crate) fn end_one(&mut self) {
        let Some(conn) = self.someone() else { return };
        self.end(conn);
    }

    /// The peer ends its side, or its end is told by an error.
    pub(crate) fn end(&mut self, conn: ConnId) {
        let ended = self.clients.get_mut(&conn).is_none_or(|client| std::mem::replace(&mut client.ended, true));
        if ended || self.model.conn(conn).over {
            return;
        }
        note!(self, "{conn:?} ends");
        let now = self.now;
        self.feed(conn.shard.index()).ended(conn, now);
    }

    pub(crate) fn deliver_some(&mut self) {
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

    pub(crate) fn has_letters(&self, to: usize) -> bool {
        (0..self.shards.len()).any(|from| !self.mesh[from * self.shards.len() + to].is_empty())
    }

    pub(crate) fn deliver(&mut self, from: usize, to: usize) -> bool {
        let pair = from * self.shards.len() + to;
        let Some(letter) = self.mesh[pair].pop_front() else { return false };
        note!(self, "letter {from} -> {to}: {letter:?}");
        match &letter {
            Letter::Home(ToHome::Ask { ask, .. }) => self.note_publication(to, ask),
            Letter::Publish { frame, .. } | Letter::PublishBut { frame, .. } => self.model.tallies[to].brought += frame.len(),
            Letter::Deliver(_, frame) | Letter::Show { frame, .. } => self.model.tallies[to].brought += frame.len(),
            Letter::Home(_) | Letter::Connection(..) | Letter::Reply { .. } => {}
            Letter::QuizHome(_) | Letter::QuizConnection(..) => self.brings_events(to, 1),
            Letter::QuizReply { .. } | Letter::Key { .. } | Letter::KeyHeard { .. } => {}
            Letter::Registry(_) | Letter::LabsConnection(..) | Letter::Tunnel { .. } | Letter::LabsReply { .. } => {}
            Letter::Revoked { .. } | Letter::RevokedHeard { .. } => {}
            Letter::ChatHome(_) | Letter::ChatConnection(..) | Letter::ChatReply { .. } => {}
            Letter::ChatTold { .. } | Letter::ChatCount { .. } | Letter::ChatCounted { .. } => {}
            Letter::ChatMark { .. } | Letter::ChatElsewhere { .. } => {}
            Letter::TasksUser(_) | Letter::TaskHome(_) | Letter::ExecutionHome(_) | Letter::TasksConnection(..) => {}
            Letter::TasksHold(_) | Letter::TasksInterest(_) => {}
            Letter::TasksNews { .. } | Letter::TasksCounts { .. } | Letter::TasksTotals(_) | Letter::TasksReply { .. } => {}
            Letter::ViewBegins { .. } | Letter::ViewReached { .. } => {}
        }
        let now = self.now;
        self.feed(to).letter(ShardId(from as u16), letter, now);
        true
    }

    pub(crate) fn finish_a_send(&mut self) {
        let waiting: Vec<ConnId> = self.in_flight().collect();
        if !waiting.is_empty() {
            let conn = *self.dice.pick(&waiting);
            let ok = !self.dice.percent(8);
            self.finish_send(conn, ok);
        }
    }

    pub(crate) fn in_flight(&self) -> impl Iterator<Item = ConnId> {
        self.model.conns.iter().filter(|(_, own)| own.in_flight.is_some()).map(|(conn, _)| *conn)
    }

    pub(crate) fn finish_send(&mut self, conn: ConnId, ok: bool) {
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

    pub(crate) fn let_time_pass(&mut self) {
        let milliseconds = match self.dice.below(100) {
            0..55 => self.dice.between(1, 60),
            55..80 => self.dice.between(100, 1_000),
            80..96 => self.dice.between(1_000, 7_000),
            _ => self.dice.between(7_000, 40_000),
        };
        let late = self.plan.late_ticks;
        self.pass(Duration::from_millis(milliseconds as u64), late);
    }

    /// Moves both clocks; shards that have something due are turned, but for so many of a hundred. A turn has one time: those that run end
    /// before.
    pub(crate) fn pass(&mut self, time: Duration, late: usize) {
        (0..self.shards.len())
            .filter(|&shard| self.shards[shard].fed)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|shard| self.turn(shard));
        self.now.moment = self.now.moment + time;
        self.now.wall.0 += time.as_micros() as i64;
        self.model.quizzes.now = self.now.wall;
        let now = self.now;
        for shard in 0..self.shards.len() {
            let stopped = self.fault == Some(Fault::StoppedClock) && shard == 0;
            let due = self.shards[shard].engine.next_deadline().is_some_and(|due| due <= now.moment);
            if due && !stopped && !self.dice.percent(late) {
                note!(self, "tick of {shard}");
                self.brings_events(shard, 1);
                self.feed(shard).tick(now);
                let next = self.shards[shard].engine.next_deadline();
                assert!(next.is_none_or(|next| next > now.moment), "shard {shard}: after its tick something is still due");
                self.turn(shard);
                self.model.tallies[shard].turned = now.moment;
            } else if !due {
                self.model.tallies[shard].turned = now.moment;
            }
        }
    }

    pub(crate) fn release_one(&mut self) {
        if !self.leaving.is_empty() {
            let at = self.dice.below(self.leaving.len());
            let ok = self.dice.percent(20);
            self.release(at, ok);
        }
    }

    /// A socket that was shut: its send ends, then it is closed.
    pub(crate) fn release(&mut self, at: usize, ok: bool) {
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

    pub(crate) fn feed(&mut self, shard: usize) -> &mut Engine {
        self.shards[shard].fed = true;
        &mut self.shards[shard].engine
    }

    pub(crate) fn home(&self, room: ClassroomId) -> usize {
        self.ring.home(room.as_bytes()).index()
    }

    pub(crate) fn someone(&mut self) -> Option<ConnId> {
        let at = self.dice.below(self.clients.len());
        self.clients.iter().nth(at).filter(|(_, client)| !client.ended).map(|(conn, _)| *conn)
    }

    /// Ends a turn and does what the engine wants done, in the order of the contract between the two.
    pub(crate) fn turn(&mut self, shard: usize) {
        let now = self.now;
        if !self.shards[shard].late.is_empty() && self.dice.percent(30) {
            for late in std::mem::take(&mut self.shards[shard].late) {
                self.carry_out(shard, late);
            }
        }
        self.shards[shard].fed = false;
        let mut output = Output::default();
        self.shards[shard].engine.finish(now, &mut output);
        let waiting = self.model.waiting(shard);
        let is_late = !self.shards[shard].late.is_empty();
        if is_late || self.fault == Some(Fault::HastyLetters) && self.dice.percent(20) {
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

    pub(crate) fn carry_out(&mut self, shard: usize, output: Output) -> Vec<ConnId> {
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

    pub(crate) fn post(&mut self, from: usize) {
        let letters = std::mem::take(self.shards[from].engine.letters());
        self.model.tallies[from].letters += letters.len() as u64;
        for (to, letter) in letters {
            self.send_letter(from, to.index(), letter);
        }
        for question in std::mem::take(self.shards[from].engine.questions()) {
            self.put(from, question);
        }
    }

    /// What becomes of a letter where a fault of the quizzes is planted.
    fn spoil(&mut self, letter: Letter) -> Option<Letter> {
        match (self.fault, &letter) {
            (Some(Fault::LostEvent), Letter::Publish { topic: Topic::Quiz(_, Channel::Quiz), .. }) if self.dice.percent(5) => {
                None
            }
            (Some(Fault::ForgottenUnwatch), Letter::QuizHome(ToQuiz::Unwatch { .. })) if self.dice.percent(50) => None,
            (Some(Fault::DoubledClose), Letter::Deliver(_, frame)) if wire::words(frame).contains("attempt_closed") => {
                self.twice = Some(double(&letter));
                Some(letter)
            }
            (
                Some(Fault::MissedReplacement),
                Letter::Publish { topic: topic @ Topic::Quiz(_, Channel::Leaderboard), frame, members, since },
            ) => {
                let frame = self.model.quizzes.without_replacements(frame);
                Some(Letter::Publish { topic: *topic, frame, members: *members, since: *since })
            }
            (
                Some(Fault::MissedReplacement),
                Letter::Show { conn, topic: topic @ Topic::Quiz(_, Channel::Leaderboard), frame },
            ) => Some(Letter::Show { conn: *conn, topic: *topic, frame: self.model.quizzes.without_replacements(frame) }),
            _ => Some(letter),
        }
    }

    pub(crate) fn send_letter(&mut self, from: usize, to: usize, letter: Letter) {
        if let (Some(published_to), Letter::Publish { .. }) = (&mut self.published_to, &letter) {
            published_to.insert(to);
        }
        self.model.quizzes.leaves(&letter, to, self.now.moment);
        let Some(letter) = self.spoil(letter) else { return };
        let queue = &mut self.mesh[from * self.shards.len() + to];
        let strikes = self.fault.is_some() && self.dice.percent(5);
        match self.fault.filter(|_| strikes) {
            Some(Fault::LostLetter) => return,
            Some(Fault::DoubledLetter) => queue.push_back(double(&letter)),
            _ => {}
        }
        let at = if strikes && self.fault == Some(Fault::SwappedLetters) { queue.len().saturating_sub(1) } else { queue.len() };
        queue.insert(at, letter);
        queue.extend(self.twice.take());
        self.shards[to].woken |= !(strikes && self.fault == Some(Fault::LostWakeUp));
    }
}
