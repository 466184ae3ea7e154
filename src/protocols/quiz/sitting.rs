//! The attempts at one quiz, from the time it was read: who takes it, in which order, and what each of them has under way.
//!
//! A change is decided against what is on disk ([`Sitting::decide`]), written, and when the store has it applied and told
//! ([`Sitting::kept`]): to those who listen first, to the request last. One that the store did not take changes nothing.

use super::{
    asks::{Ask, Refused, Reply, View},
    attempt::{Attempt, Change, Close, Item, Phase, Write},
    audience::Audience,
    desk::{Asking, Circumstances, Timer, Whose},
    grading,
    homes::Outcome,
    letters::FromQuiz,
    model::{AnswerId, AttemptId, EventId, Given, ParticipantId, QuestionId, Quiz, Reason},
    record::{Answered, Closed, Flag, Kept, Loaded, Record},
    standing::{Recent, Standing},
    telling::Answer,
};
use crate::realtime::{ConnId, StoreFault, UnixMicros};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use slab::Slab;
use std::{sync::Arc, time::Duration};

/// The most flags of an attempt.
pub const FLAGS: usize = 300;
/// How many requests to end all may wait for one quiz. Each of them waits in every attempt that runs.
pub const FORCES: usize = 8;

/// A request to end all, until all are ended.
struct Force {
    asking: Asking,
    left: usize,
    closed: u64,
}

/// See the file.
pub struct Sitting {
    pub(super) quiz: Arc<Quiz>,
    places: HashMap<QuestionId, u16, FixedState>,
    pub(super) attempts: Slab<Attempt>,
    pub(super) by_id: HashMap<AttemptId, u32, FixedState>,
    /// How often each participant has begun, attempts whose beginning is on its way included.
    pub(super) tries: HashMap<ParticipantId, u32, FixedState>,
    pub(super) standing: Standing,
    pub(super) recent: Recent,
    pub(super) audience: Audience,
    forces: Slab<Force>,
    running: usize,
    /// Attempts with a record on its way.
    pub(super) writing: usize,
    /// Of these, beginnings.
    pub(super) starting: usize,
}

impl Sitting {
    /// A quiz as it was read. What is overdue in it is closed by [`Sitting::close_overdue`].
    pub fn new(loaded: Loaded, c: &mut Circumstances<'_>) -> Sitting {
        let hasher = || c.desk.hasher.clone();
        let mut sitting = Sitting {
            quiz: Arc::new(loaded.quiz),
            places: HashMap::with_hasher(hasher()),
            attempts: Slab::with_capacity(loaded.attempts.len()),
            by_id: HashMap::with_capacity_and_hasher(loaded.attempts.len(), hasher()),
            tries: HashMap::with_hasher(hasher()),
            standing: Standing::default(),
            recent: Recent::default(),
            audience: Audience::new(hasher()),
            forces: Slab::new(),
            running: 0,
            writing: 0,
            starting: 0,
        };
        sitting.number_questions();
        let mut attempts = loaded.attempts;
        attempts.sort_by_key(|attempt| {
            (attempt.end.map(|end| end.at).max(attempt.last_answer).max(Some(attempt.started_at)), attempt.id)
        });
        for attempt in attempts {
            let attempt = Attempt::loaded(&attempt, sitting.quiz.id, |question| sitting.places.get(&question).copied());
            let place = sitting.add(attempt);
            sitting.appear(place, c);
        }
        sitting
    }

    /// How many attempts run.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Whether nothing runs, nothing is on its way and nobody listens.
    pub fn is_idle(&self) -> bool {
        self.running == 0 && self.writing == 0 && self.forces.is_empty() && self.audience.is_empty()
    }

    /// Questions have changed: finds their places again.
    pub fn number_questions(&mut self) {
        self.places.clear();
        self.places.extend(self.quiz.questions.iter().zip(0..).map(|(question, place)| (question.id, place)));
    }

    /// Takes a place for an attempt.
    pub(super) fn add(&mut self, attempt: Attempt) -> u32 {
        let (id, participant) = (attempt.who.attempt, attempt.who.participant);
        let place = self.attempts.insert(attempt) as u32;
        self.by_id.insert(id, place);
        *self.tries.entry(participant).or_insert(0) += 1;
        place
    }

    /// An attempt whose beginning is on disk gets its place in the lists, and its timer.
    fn appear(&mut self, place: u32, c: &mut Circumstances<'_>) {
        let merit = self.attempt(place).merit();
        self.standing.insert(merit, place);
        self.touch(place);
        if self.attempt(place).is_running() {
            self.running += 1;
            self.set_deadline(place, c);
        }
    }

    /// The attempt could not begin, and never was.
    fn vanish(&mut self, place: u32) -> Attempt {
        let attempt = self.attempts.remove(place as usize);
        self.by_id.remove(&attempt.who.attempt);
        if let Some(tries) = self.tries.get_mut(&attempt.who.participant) {
            *tries -= 1;
            if *tries == 0 {
                self.tries.remove(&attempt.who.participant);
            }
        }
        attempt
    }

    fn set_deadline(&mut self, place: u32, c: &mut Circumstances<'_>) {
        let Some(deadline) = self.attempt(place).deadline else { return };
        let left = u64::try_from(deadline.0.saturating_sub(c.now.wall.0)).unwrap_or(0);
        let timer = c.after(Duration::from_micros(left), Timer::Deadline(self.quiz.id, place));
        let before = self.attempt(place).time(Some(timer));
        c.desk.cancel(before);
    }

    pub(super) fn attempt(&mut self, place: u32) -> &mut Attempt {
        &mut self.attempts[place as usize]
    }

    /// It is the latest that has changed.
    fn touch(&mut self, place: u32) {
        let attempt = &mut self.attempts[place as usize];
        attempt.recency = Some(self.recent.touch(attempt.recency, place));
    }

    /// The place of an attempt of which a record is on disk.
    fn find(&self, attempt: AttemptId) -> Option<u32> {
        let place = *self.by_id.get(&attempt)?;
        (self.attempts[place as usize].phase() != Phase::Starting).then_some(place)
    }

    // --- time

    /// The time of an attempt is up, as a timer says. A clock that was set back gives it more.
    pub fn time_up(&mut self, place: u32, c: &mut Circumstances<'_>) {
        let Some(attempt) = self.attempts.get_mut(place as usize) else { return };
        attempt.time(None);
        if attempt.is_overdue(c.now.wall) {
            self.close_if_overdue(place, c.now.wall);
            self.advance(place, c);
        } else if attempt.is_running() {
            self.set_deadline(place, c);
        }
    }

    /// The pause after an end that could not be written is over.
    pub fn retry(&mut self, place: u32, c: &mut Circumstances<'_>) {
        if let Some(attempt) = self.attempts.get_mut(place as usize) {
            attempt.resume();
            self.advance(place, c);
        }
    }

    /// Closes what should not run any more.
    pub fn close_overdue(&mut self, c: &mut Circumstances<'_>) {
        let overdue = self.attempts.iter().filter(|(_, attempt)| attempt.is_overdue(c.now.wall));
        for place in overdue.map(|(place, _)| place as u32).collect::<Vec<_>>() {
            self.close_if_overdue(place, c.now.wall);
            self.advance(place, c);
        }
    }

    fn close_if_overdue(&mut self, place: u32, at: UnixMicros) {
        let attempt = self.attempt(place);
        if attempt.is_overdue(at) {
            attempt.queue_time_up();
        }
    }

    // --- the participant's sockets

    /// A participant's socket wants to hear of the end.
    pub fn admit(&mut self, conn: ConnId, attempt: AttemptId, c: &mut Circumstances<'_>) {
        let found = self.find(attempt).map(|place| self.attempt(place));
        let running = found.filter(|attempt| attempt.is_running() && !attempt.is_overdue(c.now.wall));
        let word = match running.map(|attempt| attempt.admit(conn)) {
            Some(true) => FromQuiz::Admitted,
            Some(false) => FromQuiz::Refused { unknown: false },
            None => FromQuiz::Refused { unknown: true },
        };
        c.out.push(Outcome::Tell(conn, word));
    }

    /// That socket is over.
    pub fn part(&mut self, conn: ConnId, attempt: AttemptId) {
        if let Some(place) = self.find(attempt) {
            self.attempt(place).part(conn);
        }
    }

    // --- turns

    /// A request about one attempt: it waits its turn.
    pub fn ask(&mut self, attempt: AttemptId, asking: Asking, ask: Box<Ask>, at: UnixMicros, c: &mut Circumstances<'_>) {
        match self.find(attempt) {
            Some(place) => self.wait_turn(place, asking, ask, at, c),
            None => c.refuse(asking, Refused::NotFound),
        }
    }

    pub(super) fn wait_turn(&mut self, place: u32, asking: Asking, ask: Box<Ask>, at: UnixMicros, c: &mut Circumstances<'_>) {
        self.close_if_overdue(place, at);
        let desk = &c.desk;
        if self.attempt(place).queue(Item::Ask { asking, ask, at }, |asking| desk.is_waiting(asking)) {
            self.advance(place, c);
        } else {
            c.refuse(asking, Refused::Crowded);
        }
    }

    /// Ends every attempt that runs, or those of one event, and answers when all are on disk.
    pub fn force(&mut self, event: Option<EventId>, asking: Asking, at: UnixMicros, c: &mut Circumstances<'_>) {
        let is_meant = |attempt: &Attempt| attempt.is_running() && event.is_none_or(|event| attempt.who.event == Some(event));
        let meant = self.attempts.iter().filter(|(_, attempt)| is_meant(attempt));
        let places: Vec<u32> = meant.map(|(place, _)| place as u32).collect();
        if places.is_empty() {
            return c.reply(asking, Reply::Forced(0));
        }
        if self.forces.len() >= FORCES {
            return c.refuse(asking, Refused::Crowded);
        }
        let force = self.forces.insert(Force { asking, left: places.len(), closed: 0 }) as u32;
        for place in places {
            self.close_if_overdue(place, at);
            let close = Close { reason: Reason::ForcedByOwner, at, force: Some(force) };
            self.attempt(place).queue(Item::Close(close), |_| true);
            self.advance(place, c);
        }
    }

    /// Takes what waits, until a record is on its way.
    fn advance(&mut self, place: u32, c: &mut Circumstances<'_>) {
        while let Some(item) = self.attempt(place).take() {
            match item {
                Item::Ask { asking, .. } if !c.desk.is_waiting(asking) => {}
                Item::Ask { asking, ask, at } => self.decide(place, asking, *ask, at, c),
                Item::Close(close) if self.attempt(place).is_running() => {
                    self.end(place, None, close, c);
                }
                Item::Close(close) => self.forced(close.force, 0, c),
            }
        }
        self.attempt(place).rest();
    }

    fn decide(&mut self, place: u32, asking: Asking, ask: Ask, at: UnixMicros, c: &mut Circumstances<'_>) {
        let decided = match ask {
            Ask::Look { .. } => {
                let view = Box::new(self.view(place));
                c.reply(asking, Reply::Looked(view));
                Ok(())
            }
            Ask::Answer { question, id, given, .. } => self.answer(place, asking, (question, id, given), at, c),
            Ask::Submit { .. } => self.submit(place, asking, at, c),
            Ask::Flag { flags, .. } => self.flag(place, asking, flags, at, c),
            Ask::Start { .. } => {
                let view = Box::new(self.view(place));
                c.reply(asking, Reply::Started(view));
                Ok(())
            }
            // These concern no single attempt, and do not come here.
            Ask::Keep(_) | Ask::Edit { .. } | Ask::Force { .. } => Err(Refused::NotFound),
        };
        if let Err(refused) = decided {
            c.refuse(asking, refused);
        }
    }

    fn answer(
        &mut self,
        place: u32,
        asking: Asking,
        (question, id, given): (QuestionId, AnswerId, Given),
        at: UnixMicros,
        c: &mut Circumstances<'_>,
    ) -> Result<(), Refused> {
        let attempt = &self.attempts[place as usize];
        if !attempt.is_running() {
            return Err(Refused::Over);
        }
        let &number = self.places.get(&question).ok_or(Refused::NotFound)?;
        let grade = grading::grade(&self.quiz.questions[usize::from(number)], &given).ok_or(Refused::WrongAnswer)?;
        let record = Answered { id, attempt: attempt.who.attempt, question, given, grade, at };
        let change = Change::Answer { id, question, place: number, grade, at };
        self.keep(place, Write { asking: Some(asking), change }, Record::Answered(Box::new(record)), c);
        Ok(())
    }

    fn submit(&mut self, place: u32, asking: Asking, at: UnixMicros, c: &mut Circumstances<'_>) -> Result<(), Refused> {
        if !self.attempt(place).is_running() {
            return Err(Refused::Over);
        }
        self.end(place, Some(asking), Close { reason: Reason::Submitted, at, force: None }, c);
        Ok(())
    }

    fn flag(
        &mut self,
        place: u32,
        asking: Asking,
        flags: Vec<Flag>,
        at: UnixMicros,
        c: &mut Circumstances<'_>,
    ) -> Result<(), Refused> {
        let attempt = &self.attempts[place as usize];
        let grace = i64::try_from(c.desk.settings.flags_after_end.as_micros()).unwrap_or(i64::MAX);
        if attempt.end().is_some_and(|end| at.0.saturating_sub(end.at.0) > grace) {
            return Err(Refused::Over);
        }
        if attempt.flags as usize + flags.len() > FLAGS {
            return Err(Refused::TooManyFlags);
        }
        let mut labels: Vec<String> = Vec::new();
        for flag in &flags {
            if !labels.contains(&flag.label) {
                labels.push(flag.label.clone());
            }
        }
        let change = Change::Flag { labels, count: flags.len() as u32, at };
        let record = Record::Flagged { attempt: attempt.who.attempt, at, flags };
        self.keep(place, Write { asking: Some(asking), change }, record, c);
        Ok(())
    }

    fn end(&mut self, place: u32, asking: Option<Asking>, close: Close, c: &mut Circumstances<'_>) {
        let Attempt { ref who, score, answered_count, .. } = *self.attempt(place);
        let closed = Closed { attempt: who.attempt, reason: close.reason, at: close.at, score, answered_count };
        let change = Change::Close { closed, force: close.force };
        self.keep(place, Write { asking, change }, Record::Closed(closed), c);
    }

    // --- records

    /// Has a record of an attempt written.
    pub(super) fn keep(&mut self, place: u32, write: Write, record: Record, c: &mut Circumstances<'_>) {
        self.writing += 1;
        c.keep(Whose::Attempt(self.quiz.id, place), record);
        self.attempt(place).wrote(write);
    }

    /// The store answered: the record of an attempt is on disk, or it is not.
    pub fn kept(&mut self, place: u32, result: Result<Kept, StoreFault>, c: &mut Circumstances<'_>) {
        let Some(write) = self.attempts.get_mut(place as usize).and_then(Attempt::written) else { return };
        self.writing -= 1;
        match result {
            Ok(Kept::Done | Kept::Quiz(_)) => self.apply(place, write, c),
            // It runs on disk no more: an end was written that the store said it had not. To try again would be of no use, ever.
            Ok(Kept::Missing) if matches!(write.change, Change::Close { .. }) => self.apply(place, write, c),
            Ok(Kept::Missing) => self.failed(place, write, Refused::NotFound, c),
            Err(fault) => self.failed(place, write, Refused::Store(fault), c),
        }
        if self.attempts.contains(place as usize) {
            self.advance(place, c);
        }
    }

    fn apply(&mut self, place: u32, write: Write, c: &mut Circumstances<'_>) {
        let before = self.attempt(place).merit();
        let reply = match write.change {
            Change::Start => {
                self.starting -= 1;
                self.attempt(place).begin();
                self.appear(place, c);
                self.tell_started(place, c);
                Some(Reply::Started(Box::new(self.view(place))))
            }
            Change::Answer { place: number, grade, at, id, question } => {
                self.attempt(place).answer(number, grade.score, at);
                let after = self.attempt(place).merit();
                self.standing.change(before, after, place);
                self.touch(place);
                Some(self.tell_answered(place, &Answer { id, question, number, grade, at }, c))
            }
            Change::Flag { labels, count, at } => {
                self.attempt(place).flags += count;
                self.touch(place);
                self.tell_flagged(place, &labels, at, c);
                Some(Reply::Flagged { labels, at })
            }
            Change::Close { closed, force } => self.close(place, &closed, force, c),
        };
        if let (Some(asking), Some(reply)) = (write.asking, reply) {
            c.reply(asking, reply);
        }
    }

    fn close(&mut self, place: u32, closed: &Closed, force: Option<u32>, c: &mut Circumstances<'_>) -> Option<Reply> {
        let timer = self.attempt(place).time(None);
        c.desk.cancel(timer);
        let sockets = self.attempt(place).close(closed);
        self.running -= 1;
        self.touch(place);
        self.tell_closed(place, closed, &sockets, c);
        self.forced(force, 1, c);
        self.attempt(place).end().map(Reply::Submitted)
    }

    /// One of those that a request is to end is over; `closed`: 1, if this request ended it.
    fn forced(&mut self, force: Option<u32>, closed: u64, c: &mut Circumstances<'_>) {
        let Some((id, force)) = force.and_then(|id| Some((id, self.forces.get_mut(id as usize)?))) else { return };
        force.left -= 1;
        force.closed += closed;
        if force.left == 0 {
            let Force { asking, closed, .. } = self.forces.remove(id as usize);
            c.reply(asking, Reply::Forced(closed));
        } else {
            c.go_on(force.asking);
        }
    }

    /// Nothing has changed. An end that nobody asked for is tried again.
    fn failed(&mut self, place: u32, write: Write, refused: Refused, c: &mut Circumstances<'_>) {
        match (write.asking, write.change) {
            (None, Change::Close { closed, force }) => {
                let pause = self.attempt(place).pause(Close { reason: closed.reason, at: closed.at, force });
                c.after(pause, Timer::Retry(self.quiz.id, place));
            }
            (_, Change::Start) => {
                self.starting -= 1;
                self.vanish(place).into_waiting().for_each(|asking| c.refuse(asking, refused));
            }
            (_, Change::Answer { .. } | Change::Flag { .. } | Change::Close { .. }) => {}
        }
        if let Some(asking) = write.asking {
            c.refuse(asking, refused);
        }
    }

    /// An attempt as its participant sees it.
    fn view(&self, place: u32) -> View {
        let attempt = &self.attempts[place as usize];
        let questions = &self.quiz.questions;
        View {
            quiz: self.quiz.clone(),
            attempt: attempt.who.attempt,
            participant: attempt.who.participant,
            alias: attempt.who.alias.clone(),
            event: attempt.who.event,
            started_at: attempt.started_at,
            deadline: attempt.deadline,
            answered: attempt.answered().map(|number| questions[usize::from(number)].id).collect(),
            end: attempt.end(),
        }
    }
}
