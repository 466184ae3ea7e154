//! Quiz, wired to the shard: its connections' effects and its homes' outcomes.

use super::{Connection, Engine, Letter, Phase, Question, Since, Topic};
use crate::{
    protocols::quiz::{
        self, AttemptId, Effect, Event, Farewell, FromQuiz, Gate, Homes, OwnerId, QuizId, ToQuiz,
        asks::Reply,
        connection::late,
        record::{Key as ApiKey, Record},
    },
    realtime::{ConnId, Frame, NodeSlot, Now, ShardId, StoreFault, UnixMicros, outbox::Segment, table::Key},
    websocket::{close::CloseReason, frame},
};
use std::{mem, rc::Rc};

/// How many sockets are open, by kind, and how many channels they listen to.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Present {
    pub(super) owners: usize,
    pub(super) participants: usize,
    pub(super) watching: usize,
}

impl Present {
    fn of(&mut self, machine: &quiz::Connection) -> &mut usize {
        match machine {
            quiz::Connection::Owner(_) => &mut self.owners,
            quiz::Connection::Participant(_) => &mut self.participants,
        }
    }
}

/// The Ping of all connections.
pub(super) fn ping() -> Segment {
    Segment { range: 0..frame::PING.len() as u32, batch: Rc::new(frame::PING.to_vec()) }
}

impl Engine {
    /// What was kept when the process began: all good keys, and the quizzes that have running attempts, of which each shard takes its own.
    /// To be called once, before the first turn. One of several nodes names no quizzes here: each shard reads them when it has reached a
    /// view.
    pub fn begin(&mut self, keys: &[ApiKey], running: &[QuizId], now: Now) {
        keys.iter().for_each(|key| self.keys.add(key));
        let own: Vec<QuizId> = running.iter().copied().filter(|quiz| self.home_of_quiz(*quiz) == self.id).collect();
        self.with_quizzes(|homes, out| homes.running(&own, now, out));
        self.settle(now);
    }

    /// Since when the accounts that sign in here have their passwords. To be called once, before the first turn.
    pub fn begin_accounts(&mut self, passwords: &[(String, UnixMicros)]) {
        passwords.iter().for_each(|(name, set_at)| self.keys.password(name, *set_at));
    }

    pub(super) fn open_owner(&mut self, key: Key, owner: OwnerId, now: Now) {
        let first_ping = self.phases.first_ping(now.moment, self.rules.quiz.ping_interval);
        let machine = quiz::Connection::owner(owner, first_ping, now, &mut self.quiz_effects);
        self.open_quiz(key, machine, now);
    }

    pub(super) fn open_participant(&mut self, key: Key, (quiz, attempt): (QuizId, AttemptId), now: Now) {
        let first_ping = self.phases.first_ping(now.moment, self.rules.quiz.ping_interval);
        let machine = quiz::Connection::participant(quiz, attempt, first_ping, now, &mut self.quiz_effects);
        self.open_quiz(key, machine, now);
    }

    fn open_quiz(&mut self, key: Key, machine: quiz::Connection, now: Now) {
        if let Some(connection) = self.connections.at_mut(key) {
            *self.present.of(&machine) += 1;
            connection.phase = Phase::Quiz(Box::new(machine));
        }
        self.apply_quiz(key, now);
    }

    /// Lets the connection's machine handle an event, if it has one, and does what it wants done.
    pub(super) fn quiz_event(&mut self, key: Key, event: Event<'_>, now: Now) {
        let conn = self.conn_id(key);
        let Some(Connection { phase: Phase::Quiz(machine), .. }) = self.connections.at_mut(key) else { return };
        let gate = &mut Gate { settings: &self.rules.quiz, parser: &mut self.quiz_parser };
        machine.handle(event, conn, now, gate, &mut self.quiz_effects);
        self.apply_quiz(key, now);
    }

    /// A connection leaves the phase that it was in.
    pub(super) fn leaves(&mut self, key: Key, phase: &Phase) {
        match phase {
            Phase::Quiz(machine) => *self.present.of(machine) -= 1,
            Phase::Labs(seat) => self.leaves_labs(key, seat),
            Phase::Chat(seat) => self.leaves_chat(key, seat),
            Phase::Tasks(seat) => self.leaves_tasks(key, seat),
            Phase::Head(..)
            | Phase::Echo
            | Phase::Presence(_)
            | Phase::Admitting(_)
            | Phase::Closing { .. }
            | Phase::Lingering
            | Phase::Over => {}
        }
    }

    /// The word of a quiz's home to a connection. One that is gone still owes the home its own.
    pub(super) fn quiz_home_says(&mut self, from: ShardId, conn: ConnId, letter: FromQuiz, now: Now) {
        let key = self.key(conn);
        if !self.crossing.is_alone() && !self.is_quiz_home(from, key, &letter) {
            return;
        }
        match self.connections.at(key).map(|connection| &connection.phase) {
            Some(Phase::Quiz(_)) => self.quiz_event(key, Event::Home(letter), now),
            Some(Phase::Admitting(_)) => self.admission_decided(key, &letter, now),
            Some(
                Phase::Head(..)
                | Phase::Echo
                | Phase::Presence(_)
                | Phase::Labs(_)
                | Phase::Chat(_)
                | Phase::Tasks(_)
                | Phase::Closing { .. }
                | Phase::Lingering
                | Phase::Over,
            )
            | None => {
                let owed = late(&letter, conn).or_else(|| self.strays.decided(&letter, conn));
                owed.into_iter().for_each(|letter| self.post_to_quiz(letter));
            }
        }
    }

    /// Whether whoever says this is the home of the quiz that it concerns, as far as this is known here.
    fn is_quiz_home(&self, from: ShardId, key: Key, letter: &FromQuiz) -> bool {
        let quiz = match letter {
            FromQuiz::Watched { quiz, .. } => Some(*quiz),
            FromQuiz::Admitted | FromQuiz::Refused { .. } | FromQuiz::Over => match self.connections.at(key) {
                Some(Connection { phase: Phase::Quiz(machine), .. }) => machine.quiz(),
                Some(Connection { phase: Phase::Admitting(waiting), .. }) => Some(waiting.quiz()),
                Some(_) | None => None,
            },
        };
        quiz.is_none_or(|quiz| self.speaks_as_home(from, &quiz.place()))
    }

    /// Another view has come: homes of quizzes that are elsewhere are given up, sockets that are no more are forgotten, and whoever listens
    /// here to a quiz whose home has moved tells the new one.
    pub(super) fn quizzes_move(&mut self, has_moved: &dyn Fn(QuizId) -> bool, is_gone: &dyn Fn(ShardId) -> bool, now: Now) {
        self.with_quizzes(|homes, out| homes.lose(is_gone, now, out));
        self.with_quizzes(|homes, _| homes.move_out(|quiz| !has_moved(quiz)));
        self.strays.forget(has_moved);
        for key in self.connections.keys().collect::<Vec<_>>() {
            let conn = self.conn_id(key);
            let letters = match self.connections.at_mut(key).map(|connection| &mut connection.phase) {
                Some(Phase::Quiz(machine)) => machine.again(conn, has_moved),
                Some(Phase::Admitting(waiting)) => waiting.again(conn, has_moved).into_iter().collect(),
                Some(_) | None => continue,
            };
            letters.into_iter().for_each(|letter| self.post_to_quiz(letter));
        }
    }

    /// Every shard has reached the view: quizzes with running attempts may have come here, and nobody else may ever ask for them.
    pub(super) fn quizzes_come(&mut self) {
        self.with_quizzes(|homes, out| homes.look(out));
    }

    /// These have running attempts. Where another view has begun since, it will be asked again.
    pub(super) fn quizzes_run(&mut self, look: u64, found: Result<Vec<QuizId>, StoreFault>, now: Now) {
        if self.is_whole() {
            let (ring, id) = (self.ring.clone(), self.id);
            self.with_quizzes(|homes, out| homes.found((look, found), |quiz| ring.home(&quiz.place()) == id, now, out));
        }
    }

    /// What was on its way between this node and that one is lost: whoever listens to a quiz that is at home there, or was in a view since
    /// the last that was reached, may have missed something, and comes again.
    pub(super) fn quizzes_are_cut(
        &mut self,
        is_among: &dyn Fn(QuizId) -> bool,
        was_among: &dyn Fn(QuizId) -> bool,
        node: NodeSlot,
        now: Now,
    ) {
        self.with_quizzes(|homes, out| homes.lose(&|shard: ShardId| shard.node() == node, now, out));
        self.strays.forget(is_among);
        for key in self.connections.keys().collect::<Vec<_>>() {
            let is_concerned = match self.connections.at(key).map(|connection| &connection.phase) {
                Some(Phase::Quiz(machine)) => machine.concerns(was_among),
                Some(Phase::Admitting(waiting)) => was_among(waiting.quiz()),
                Some(_) | None => false,
            };
            if is_concerned {
                self.close_for_restart(key, now);
            }
        }
    }

    /// A letter to the home of a quiz, which may be elsewhere by now, or have come here only just.
    pub(super) fn quiz_home_hears(&mut self, from: ShardId, letter: ToQuiz, now: Now) {
        if !self.crossing.is_alone() {
            let (home, place) = match &letter {
                ToQuiz::Ask { ask, .. } => (self.writer_of(ask), ask.quiz()),
                ToQuiz::Admit { quiz, .. } | ToQuiz::Part { quiz, .. } => (self.home_of_quiz(*quiz), Some(*quiz)),
                ToQuiz::Watch { quiz, .. } | ToQuiz::Unwatch { quiz, .. } | ToQuiz::Snapshot { quiz, .. } => {
                    (self.home_of_quiz(*quiz), Some(*quiz))
                }
            };
            if home != self.id {
                // Whoever listens says so again to the new home.
                if let ToQuiz::Ask { asker, number, ask } = letter {
                    self.redirect_quiz((asker, number), ask);
                }
                return;
            }
            let may_be_written_elsewhere = match &letter {
                ToQuiz::Ask { ask, .. } => ask.kept().and_then(Record::key_place).is_some_and(|place| self.has_come(place)),
                ToQuiz::Admit { .. } | ToQuiz::Part { .. } | ToQuiz::Watch { .. } | ToQuiz::Unwatch { .. } => false,
                ToQuiz::Snapshot { .. } => false,
            };
            if may_be_written_elsewhere || place.is_some_and(|quiz| self.has_come(&quiz.place())) {
                return self.wait(from, Letter::QuizHome(letter));
            }
        }
        self.with_quizzes(|homes, out| homes.letter(letter, now, out));
    }

    /// Does what the connection's machine wants done.
    pub(super) fn apply_quiz(&mut self, key: Key, now: Now) {
        let mut effects = mem::take(&mut self.quiz_effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(frames) => self.send_wire(key, frames),
                Effect::Ping => self.send(key, self.ping.clone(), 0),
                Effect::Timer(after) => self.set_timer(key, after, now),
                Effect::Home(letter) => self.post_to_quiz(letter),
                Effect::Listen(quiz, channel) => {
                    self.present.watching += 1;
                    self.listen(key, Topic::Quiz(quiz, channel));
                }
                Effect::Unlisten(quiz, channel) => self.unlisten_one(key, Topic::Quiz(quiz, channel)),
                Effect::End(farewell) => {
                    self.unlisten(key);
                    self.send_close(key, reason(farewell));
                    self.part(key, false, now);
                }
            }
        }
        self.quiz_effects = effects;
    }

    /// Lets the homes of quizzes act, and does what they want done.
    pub(super) fn with_quizzes(&mut self, act: impl FnOnce(&mut Homes, &mut Vec<quiz::Outcome>)) {
        let mut outcomes = mem::take(&mut self.quiz_outcomes);
        act(&mut self.quizzes, &mut outcomes);
        for outcome in outcomes.drain(..) {
            self.carry_out(outcome);
        }
        self.quiz_outcomes = outcomes;
    }

    fn carry_out(&mut self, outcome: quiz::Outcome) {
        match outcome {
            quiz::Outcome::Tell(conn, letter) => self.post(conn.shard, Letter::QuizConnection(conn, letter)),
            quiz::Outcome::Publish { quiz, channel, frame, shards } => {
                let (topic, since) = (Topic::Quiz(quiz, channel), Since::of(self.turn));
                for (shard, members) in shards {
                    self.post(shard, Letter::Publish { topic, frame: Frame::clone(&frame), members, since });
                }
            }
            quiz::Outcome::Deliver(conn, frame) => self.post(conn.shard, Letter::Deliver(conn, frame)),
            quiz::Outcome::Show { conn, quiz, channel, frame } => {
                self.post(conn.shard, Letter::Show { conn, topic: Topic::Quiz(quiz, channel), frame });
            }
            quiz::Outcome::Keep { ticket, record } => self.questions.push(Question::Keep { ticket, record }),
            quiz::Outcome::Load(quiz) => self.questions.push(Question::Load(quiz)),
            quiz::Outcome::Running(look) => self.questions.push(Question::Running { look }),
            quiz::Outcome::Reply { asker, number, reply } => {
                self.counters.quiz_answers.add(u64::from(matches!(*reply, Reply::Answered { .. })));
                self.post(asker, Letter::QuizReply { number, reply });
            }
            quiz::Outcome::KeyChanged { change, asker, number, reply } => self.tell_key(change, asker, number, reply),
        }
    }

    pub(super) fn post_to_quiz(&mut self, letter: ToQuiz) {
        let home = match &letter {
            ToQuiz::Admit { quiz, .. } | ToQuiz::Part { quiz, .. } => self.home_of_quiz(*quiz),
            ToQuiz::Watch { quiz, .. } | ToQuiz::Unwatch { quiz, .. } | ToQuiz::Snapshot { quiz, .. } => self.home_of_quiz(*quiz),
            ToQuiz::Ask { ask, .. } => self.writer_of(ask),
        };
        self.post(home, Letter::QuizHome(letter));
    }
}

fn reason(farewell: Farewell) -> CloseReason {
    match farewell {
        Farewell::Over => CloseReason::Normal,
        Farewell::NoPong => CloseReason::Policy,
        Farewell::Moved => CloseReason::Restart,
    }
}
