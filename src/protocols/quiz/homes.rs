//! The quizzes that have their home on this shard: letters in, outcomes out, and the times that homes keep.

use super::{
    asks::{Ask, Refused, Reply},
    desk::{Asking, Circumstances, Desk, Timer, Whose},
    letters::{Channel, FromQuiz, ToQuiz},
    model::QuizId,
    record::{Kept, KeyChange, Loaded, Record},
    room::{self, Fate, Room},
    settings::Settings,
    spare::Spare,
};
use crate::realtime::{ConnId, Frame, Moment, Now, ShardId, StoreFault};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::time::Duration;

/// Before the store is asked again which quizzes have running attempts.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a home wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Outcome {
    /// Say this to a connection.
    Tell(ConnId, FromQuiz),
    /// Deliver a frame to all who listen to this channel of the quiz, on these shards.
    Publish {
        /// Of which quiz.
        quiz: QuizId,
        /// Which of its channels.
        channel: Channel,
        /// What.
        frame: Frame,
        /// Where its listeners are, and how many.
        shards: SmallVec<[(ShardId, u32); 4]>,
    },
    /// Deliver a frame to one connection, behind what was published before it.
    Deliver(ConnId, Frame),
    /// As [`Outcome::Deliver`], if the connection still listens to this channel when the frame comes there: it may have taken that
    /// back, and been told so, while this was on its way.
    Show {
        /// To whom.
        conn: ConnId,
        /// Of which quiz.
        quiz: QuizId,
        /// Which of its channels.
        channel: Channel,
        /// What.
        frame: Frame,
    },
    /// Write a record; answer [`Homes::kept`] with this ticket, once.
    Keep {
        /// To be given back.
        ticket: u64,
        /// The change.
        record: Record,
    },
    /// Read a quiz; answer [`Homes::loaded`], once.
    Load(QuizId),
    /// Read which quizzes have running attempts; answer [`Homes::found`] with this number, once.
    Running(u64),
    /// Answer a REST ask.
    Reply {
        /// On which shard it waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// The answer.
        reply: Box<Reply>,
    },
    /// Tell every shard of a key, and when all have heard it answer the REST ask. The ask may have been answered that the store is busy,
    /// when the record took longer than the asker waits; what is on disk counts all the same, and this answer then finds nobody.
    KeyChanged {
        /// What changed.
        change: KeyChange,
        /// On which shard the ask waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// The answer.
        reply: Box<Reply>,
    },
}

/// All quizzes of one shard.
pub struct Homes {
    rooms: HashMap<QuizId, Room, FixedState>,
    desk: Desk,
    fired: Vec<(Moment, Timer)>,
    /// Over all rooms.
    running: usize,
    /// Rooms that nobody needs.
    spare: Spare,
    /// Rooms whose home is elsewhere by now, until what they began is written and told.
    leaving: HashMap<QuizId, Room, FixedState>,
    /// How often it was asked which quizzes have running attempts: only the last answer counts.
    looks: u64,
}

impl Homes {
    /// From now on these count.
    pub fn reform(&mut self, settings: Settings) {
        self.desk.settings = settings;
    }

    /// No quizzes yet. `seed` keeps the places of keys from being guessed.
    pub fn new(settings: Settings, seed: u64, start: Moment) -> Homes {
        let desk = Desk::new(settings, seed, start);
        let rooms = || HashMap::with_hasher(desk.hasher.clone());
        Homes { rooms: rooms(), leaving: rooms(), desk, fired: Vec::new(), running: 0, spare: Spare::default(), looks: 0 }
    }

    /// How many quizzes are in memory, and how many attempts run over all.
    pub fn population(&self) -> (usize, usize) {
        (self.rooms.len(), self.running)
    }

    /// How many records are being written.
    pub fn writing(&self) -> usize {
        self.desk.writing()
    }

    /// How many REST asks wait.
    pub fn waiting(&self) -> usize {
        self.desk.waiting()
    }

    /// How many timers run.
    pub fn timers(&self) -> usize {
        self.desk.wheel.len()
    }

    /// No later than the earliest time that a home keeps.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.desk.wheel.next()
    }

    /// At start: these have running attempts (the store's `running`, those that the ring puts here). They are loaded, until it succeeds,
    /// and what is overdue in them is closed.
    pub fn running(&mut self, quizzes: &[QuizId], now: Now, out: &mut Vec<Outcome>) {
        for &quiz in quizzes {
            self.open(quiz, out);
            self.in_room(quiz, now, out, |room, _| room.must_load());
        }
    }

    /// Homes may have come here: has it read which quizzes have running attempts, since nobody else may ever ask for one of these.
    pub fn look(&mut self, out: &mut Vec<Outcome>) {
        self.looks += 1;
        out.push(Outcome::Running(self.looks));
    }

    /// The store answered to [`Outcome::Running`]. `is_here`: whether a quiz is at home here. What could not be read is asked for again.
    pub fn found(
        &mut self,
        (look, found): (u64, Result<Vec<QuizId>, StoreFault>),
        is_here: impl Fn(QuizId) -> bool,
        now: Now,
        out: &mut Vec<Outcome>,
    ) {
        match found {
            // It was asked again meanwhile, and this was read too early.
            _ if look != self.looks => {}
            Ok(mut quizzes) => {
                quizzes.retain(|quiz| is_here(*quiz));
                self.running(&quizzes, now, out);
            }
            Err(_) => drop(self.desk.wheel.set(now.moment + LOOK_AGAIN, Timer::Running)),
        }
    }

    /// Takes a letter.
    pub fn letter(&mut self, letter: ToQuiz, now: Now, out: &mut Vec<Outcome>) {
        let (letter, quiz) = match letter {
            ToQuiz::Admit { quiz, .. } | ToQuiz::Watch { quiz, .. } => (letter, quiz),
            // Where there is no quiz in memory, there is nothing to take back or to show.
            ToQuiz::Part { quiz, .. } | ToQuiz::Unwatch { quiz, .. } | ToQuiz::Snapshot { quiz, .. } => {
                return self.in_room(quiz, now, out, |room, c| room.letter(letter, c));
            }
            ToQuiz::Ask { asker, number, ask } => match ask.quiz() {
                Some(quiz) => (ToQuiz::Ask { asker, number, ask }, quiz),
                None => return self.keep((asker, number), *ask, now, out),
            },
        };
        if !(1..=QuizId::MAX).contains(&quiz.0) {
            return turn_away(letter, out);
        }
        self.open(quiz, out);
        self.in_room(quiz, now, out, |room, c| room.letter(letter, c));
    }

    /// The store answered to [`Outcome::Keep`].
    pub fn kept(&mut self, ticket: u64, result: Result<Kept, StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        match self.desk.written(ticket) {
            None => {}
            Some(Whose::Attempt(quiz, place)) => {
                self.in_room(quiz, now, out, |room, c| room.in_sitting(|sitting| sitting.kept(place, result, c)));
            }
            Some(Whose::Quiz(quiz)) => self.in_room(quiz, now, out, |room, c| room.edited(result, c)),
            Some(Whose::Other { asking, asker, change }) => {
                let mut circumstances = Circumstances { desk: &mut self.desk, now, out };
                kept_elsewhere(asking, asker, change, result, &mut circumstances);
            }
        }
    }

    /// The store answered to [`Outcome::Load`]; none: there is no such quiz.
    pub fn loaded(&mut self, quiz: QuizId, loaded: Result<Option<Box<Loaded>>, StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        let mut fate = Fate::Kept;
        self.in_room(quiz, now, out, |room, c| fate = room.loaded(loaded, c));
        match fate {
            Fate::Kept => {}
            // One that is at home elsewhere is not waited for any more.
            Fate::Forgotten if self.leaving.remove(&quiz).is_some() => {}
            Fate::Forgotten => self.forget(quiz),
        }
    }

    /// Turns the wheel.
    pub fn turn(&mut self, now: Now, out: &mut Vec<Outcome>) {
        let mut fired = std::mem::take(&mut self.fired);
        self.desk.wheel.expire(now.moment, &mut fired);
        for (_, timer) in fired.drain(..) {
            self.fire(timer, now, out);
        }
        self.fired = fired;
    }

    fn fire(&mut self, timer: Timer, now: Now, out: &mut Vec<Outcome>) {
        match timer {
            Timer::Asking(asking) => Circumstances { desk: &mut self.desk, now, out }.give_up(asking),
            Timer::Deadline(quiz, place) => {
                self.in_room(quiz, now, out, |room, c| room.in_sitting(|sitting| sitting.time_up(place, c)));
            }
            Timer::Retry(quiz, place) => {
                self.in_room(quiz, now, out, |room, c| room.in_sitting(|sitting| sitting.retry(place, c)));
            }
            Timer::Snapshot(quiz, channel) => {
                self.in_room(quiz, now, out, |room, c| room.in_sitting(|sitting| sitting.snapshot_due(channel, c)));
            }
            Timer::Load(quiz) => out.push(Outcome::Load(quiz)),
            Timer::Running => self.look(out),
            Timer::Idle(quiz) => {
                if self.rooms.get(&quiz).is_some_and(Room::is_idle) {
                    self.forget(quiz);
                }
            }
        }
    }

    /// Has a quiz read that is not in memory.
    fn open(&mut self, quiz: QuizId, out: &mut Vec<Outcome>) {
        self.rooms.entry(quiz).or_insert_with(|| {
            out.push(Outcome::Load(quiz));
            Room::new(quiz)
        });
    }

    /// Lets a room act, if there is one.
    fn in_room(&mut self, quiz: QuizId, now: Now, out: &mut Vec<Outcome>, act: impl FnOnce(&mut Room, &mut Circumstances<'_>)) {
        if !self.leaving.is_empty() && self.leaving.contains_key(&quiz) {
            return self.in_leaving(quiz, now, out, act);
        }
        let Some(room) = self.rooms.get_mut(&quiz) else { return };
        let running = room.running();
        let mut circumstances = Circumstances { desk: &mut self.desk, now, out };
        act(room, &mut circumstances);
        room.rest(&mut self.spare, &mut circumstances);
        self.running = self.running + room.running() - running;
        while let Some(unused) = self.spare.excess() {
            self.forget(unused);
        }
    }

    /// As [`Homes::in_room`], for one that is on its way out: those who wait there have asked its next home, which may be here again.
    fn in_leaving(
        &mut self,
        quiz: QuizId,
        now: Now,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Room, &mut Circumstances<'_>),
    ) {
        let Some(room) = self.leaving.get_mut(&quiz) else { return };
        let mut said = Vec::new();
        act(room, &mut Circumstances { desk: &mut self.desk, now, out: &mut said });
        out.extend(said.into_iter().filter(|outcome| !matches!(outcome, Outcome::Tell(..))));
        if !room.is_busy() {
            room.cancel(&mut self.desk);
            self.leaving.remove(&quiz);
        }
    }

    /// Whether something is still being written of quizzes that are at home elsewhere by now.
    pub fn moving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Changes of keys on their way to disk.
    pub fn key_changes(&self) -> impl Iterator<Item = &KeyChange> {
        self.desk.key_changes()
    }

    /// Quizzes that are at home elsewhere from now on are forgotten as soon as what they began is written. Nothing new may come to them.
    pub fn move_out(&mut self, is_here: impl Fn(QuizId) -> bool) {
        let moved: Vec<QuizId> = self.rooms.keys().copied().filter(|quiz| !is_here(*quiz)).collect();
        for quiz in moved {
            let Some(mut room) = self.rooms.remove(&quiz) else { continue };
            room.rise(&mut self.spare, &mut self.desk);
            self.running -= room.running();
            if room.is_busy() {
                self.leaving.insert(quiz, room);
            } else {
                room.cancel(&mut self.desk);
            }
        }
    }

    /// These shards and their sockets are no more.
    pub fn lose(&mut self, is_gone: &dyn Fn(ShardId) -> bool, now: Now, out: &mut Vec<Outcome>) {
        for quiz in self.rooms.keys().copied().collect::<Vec<_>>() {
            self.in_room(quiz, now, out, |room, c| room.lose(is_gone, c.desk));
        }
    }

    fn forget(&mut self, quiz: QuizId) {
        if let Some(mut room) = self.rooms.remove(&quiz) {
            room.rise(&mut self.spare, &mut self.desk);
        }
    }

    /// Has a record written that concerns no quiz.
    fn keep(&mut self, asker: (ShardId, u64), ask: Ask, now: Now, out: &mut Vec<Outcome>) {
        let Ask::Keep(record) = ask else { return out.push(not_found(asker.0, asker.1)) };
        let change = match &record {
            Record::Key(key) => Some(KeyChange::Added(Box::new(key.clone()))),
            Record::Revoked { key, .. } => Some(KeyChange::Revoked(*key)),
            Record::Owner(account) => Some(KeyChange::Password { name: account.name.clone(), set_at: account.at }),
            Record::NewQuiz(_) | Record::Edited { .. } | Record::Participant(_) | Record::Event(_) => None,
            Record::Started(_) | Record::Answered(_) | Record::Closed(_) | Record::Flagged { .. } => None,
        };
        let mut circumstances = Circumstances { desk: &mut self.desk, now, out };
        let asking = circumstances.receive(asker.0, asker.1);
        circumstances.keep(Whose::Other { asking, asker, change }, record);
    }
}

/// A change of keys is told to all shards also when nobody waits for it any more: what the store has, holds.
fn kept_elsewhere(
    asking: Asking,
    (asker, number): (ShardId, u64),
    change: Option<KeyChange>,
    result: Result<Kept, StoreFault>,
    c: &mut Circumstances<'_>,
) {
    match (result, change) {
        (Ok(kept @ (Kept::Done | Kept::Quiz(_))), Some(change)) => {
            c.release(asking);
            c.out.push(Outcome::KeyChanged { change, asker, number, reply: Box::new(Reply::Kept(kept)) });
        }
        (Ok(kept), _) => c.reply(asking, Reply::Kept(kept)),
        (Err(fault), _) => c.refuse(asking, Refused::Store(fault)),
    }
}

fn not_found(asker: ShardId, number: u64) -> Outcome {
    Outcome::Reply { asker, number, reply: Box::new(Reply::Refused(Refused::NotFound)) }
}

/// The quiz has a number that none has.
fn turn_away(letter: ToQuiz, out: &mut Vec<Outcome>) {
    match letter {
        ToQuiz::Ask { asker, number, .. } => out.push(not_found(asker, number)),
        ToQuiz::Admit { .. } | ToQuiz::Watch { .. } | ToQuiz::Part { .. } | ToQuiz::Unwatch { .. } | ToQuiz::Snapshot { .. } => {
            room::refuse(letter, true, out);
        }
    }
}
