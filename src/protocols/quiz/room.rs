//! One quiz at its home: the only writer of it and of its attempts. Until it has been read, and while it is edited, requests wait.

use super::{
    asks::{Ask, Refused, Reply},
    desk::{Asking, Circumstances, Desk, Timer, Whose},
    edits,
    homes::Outcome,
    letters::{Channel, FromQuiz, ToQuiz, Verdict},
    model::{OwnerId, QuizId},
    record::{Edit, Kept, Loaded, Record},
    sitting::Sitting,
    spare::Spare,
};
use crate::realtime::{ConnId, ShardId, StoreFault, TimerId, UnixMicros};
use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

/// How many requests wait for a quiz at most, and how many letters of sockets.
pub const WAITING: usize = 20_000;

/// From a read that failed to the next; each time twice as long, up to [`LOAD_LONGEST`].
const LOAD_FIRST: Duration = Duration::from_millis(100);
const LOAD_LONGEST: Duration = Duration::from_secs(2);

/// A request that waits for the quiz.
struct Waiting {
    asking: Asking,
    ask: Box<Ask>,
    at: UnixMicros,
}

/// An edit on its way to disk.
struct Editing {
    asking: Asking,
    edit: Edit,
    at: UnixMicros,
}

enum Stage {
    Loading(Loading),
    Ready(Box<Sitting>),
}

#[derive(Default)]
struct Loading {
    /// It has running attempts, and is read until that succeeds.
    vital: bool,
    pause: Duration,
    /// What sockets said meanwhile.
    letters: Vec<ToQuiz>,
}

/// One quiz.
pub struct Room {
    id: QuizId,
    stage: Stage,
    asks: VecDeque<Waiting>,
    editing: Option<Box<Editing>>,
    idle: Option<TimerId>,
    /// Its number among those that nobody needs.
    spare: Option<u64>,
}

/// What is to become of a room that was to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It stays.
    Kept,
    /// There is no such quiz, or nobody needs it now.
    Forgotten,
}

impl Room {
    /// A quiz that is being read.
    pub fn new(id: QuizId) -> Room {
        Room { id, stage: Stage::Loading(Loading::default()), asks: VecDeque::new(), editing: None, idle: None, spare: None }
    }

    /// How many attempts run.
    pub fn running(&self) -> usize {
        match &self.stage {
            Stage::Loading(_) => 0,
            Stage::Ready(sitting) => sitting.running(),
        }
    }

    /// It has running attempts: it is read again if that fails.
    pub fn must_load(&mut self) {
        if let Stage::Loading(loading) = &mut self.stage {
            loading.vital = true;
        }
    }

    /// Whether nothing is under way and nobody listens.
    pub fn is_idle(&self) -> bool {
        let is_idle = match &self.stage {
            Stage::Loading(_) => false,
            Stage::Ready(sitting) => sitting.is_idle(),
        };
        is_idle && self.editing.is_none() && self.asks.is_empty()
    }

    /// Whether it is read, or something of it is on its way to disk or waits for that.
    pub fn is_busy(&self) -> bool {
        match &self.stage {
            Stage::Loading(_) => true,
            Stage::Ready(sitting) => sitting.is_writing() || self.editing.is_some() || !self.asks.is_empty(),
        }
    }

    /// It is to be forgotten while attempts run.
    pub fn cancel(&mut self, desk: &mut Desk) {
        self.in_sitting(|sitting| sitting.cancel(desk));
    }

    /// These shards and their sockets are no more.
    pub fn lose(&mut self, is_gone: &dyn Fn(ShardId) -> bool, desk: &mut Desk) {
        match &mut self.stage {
            Stage::Ready(sitting) => sitting.lose(is_gone, desk),
            Stage::Loading(loading) => loading.letters.retain(|letter| !letter.conn().is_some_and(|conn| is_gone(conn.shard))),
        }
    }

    /// Something has happened: the time of doing nothing begins anew, if there is nothing to do.
    pub fn rest(&mut self, spare: &mut Spare, c: &mut Circumstances<'_>) {
        self.rise(spare, c.desk);
        if let Stage::Ready(sitting) = &self.stage
            && self.is_idle()
        {
            self.idle = Some(c.after(c.desk.settings.idle, Timer::Idle(self.id)));
            self.spare = Some(spare.put(self.id, sitting.attempts.len() + sitting.quiz.questions.len()));
        }
    }

    /// It rests no more, or is to be forgotten.
    pub fn rise(&mut self, spare: &mut Spare, desk: &mut Desk) {
        desk.cancel(self.idle.take());
        if let Some(number) = self.spare.take() {
            spare.take(number);
        }
    }

    /// Takes a letter.
    pub fn letter(&mut self, letter: ToQuiz, c: &mut Circumstances<'_>) {
        match letter {
            ToQuiz::Ask { asker, number, ask } => {
                let asking = c.receive(asker, number);
                self.ask(Waiting { asking, ask, at: c.now.wall }, c);
            }
            ToQuiz::Admit { .. }
            | ToQuiz::Part { .. }
            | ToQuiz::Watch { .. }
            | ToQuiz::Unwatch { .. }
            | ToQuiz::Snapshot { .. } => match &mut self.stage {
                Stage::Ready(sitting) => hear(sitting, letter, c),
                Stage::Loading(loading) => loading.hear(letter, c.out),
            },
        }
    }

    // --- reading

    /// The store answered.
    pub fn loaded(&mut self, loaded: Result<Option<Box<Loaded>>, StoreFault>, c: &mut Circumstances<'_>) -> Fate {
        let Stage::Loading(loading) = &mut self.stage else { return Fate::Kept };
        let letters = mem::take(&mut loading.letters);
        match loaded {
            Ok(Some(loaded)) => {
                let mut sitting = Box::new(Sitting::new(*loaded, c));
                letters.into_iter().for_each(|letter| hear(&mut sitting, letter, c));
                self.stage = Stage::Ready(sitting);
                self.drain(c);
                if let Stage::Ready(sitting) = &mut self.stage {
                    sitting.close_overdue(c);
                }
                Fate::Kept
            }
            Ok(None) => {
                self.turn_away(letters, None, c);
                Fate::Forgotten
            }
            Err(fault) => self.load_failed(letters, fault, c),
        }
    }

    fn load_failed(&mut self, letters: Vec<ToQuiz>, fault: StoreFault, c: &mut Circumstances<'_>) -> Fate {
        self.turn_away(letters, Some(fault), c);
        match &mut self.stage {
            Stage::Loading(loading) if loading.vital => {
                loading.pause = (loading.pause * 2).clamp(LOAD_FIRST, LOAD_LONGEST);
                c.after(loading.pause, Timer::Load(self.id));
                Fate::Kept
            }
            Stage::Loading(_) | Stage::Ready(_) => Fate::Forgotten,
        }
    }

    /// Refuses all who wait. No fault: there is no such quiz.
    fn turn_away(&mut self, letters: Vec<ToQuiz>, fault: Option<StoreFault>, c: &mut Circumstances<'_>) {
        letters.into_iter().for_each(|letter| refuse(letter, fault.is_none(), c.out));
        for waiting in mem::take(&mut self.asks) {
            c.refuse(waiting.asking, fault.map_or(Refused::NotFound, Refused::Store));
        }
    }

    // --- requests

    fn ask(&mut self, waiting: Waiting, c: &mut Circumstances<'_>) {
        match &mut self.stage {
            Stage::Ready(sitting) if self.editing.is_none() => self.editing = decide(sitting, waiting, c),
            Stage::Ready(_) | Stage::Loading(_) => {
                while self.asks.front().is_some_and(|first| !c.desk.is_waiting(first.asking)) {
                    self.asks.pop_front();
                }
                if self.asks.len() < WAITING {
                    self.asks.push_back(waiting);
                } else {
                    c.refuse(waiting.asking, Refused::Crowded);
                }
            }
        }
    }

    /// Takes what waits, until an edit is on its way.
    fn drain(&mut self, c: &mut Circumstances<'_>) {
        let Stage::Ready(sitting) = &mut self.stage else { return };
        while self.editing.is_none()
            && let Some(waiting) = self.asks.pop_front()
        {
            if c.desk.is_waiting(waiting.asking) {
                self.editing = decide(sitting, waiting, c);
            }
        }
    }

    /// The store answered to an edit.
    pub fn edited(&mut self, result: Result<Kept, StoreFault>, c: &mut Circumstances<'_>) {
        let Some(editing) = self.editing.take() else { return };
        let Stage::Ready(sitting) = &mut self.stage else { return };
        let Editing { asking, edit, at } = *editing;
        let reply = match result {
            Ok(Kept::Done | Kept::Quiz(_)) => {
                let quiz = Arc::make_mut(&mut sitting.quiz);
                edits::apply(quiz, edit, at);
                let quiz = Box::new(quiz.clone());
                sitting.number_questions();
                Reply::Edited(quiz)
            }
            Ok(Kept::Missing) => Reply::Refused(Refused::NotFound),
            Err(fault) => Reply::Refused(Refused::Store(fault)),
        };
        c.reply(asking, reply);
        self.drain(c);
    }

    /// Lets the attempts act, when the quiz has been read.
    pub fn in_sitting(&mut self, act: impl FnOnce(&mut Sitting)) {
        if let Stage::Ready(sitting) = &mut self.stage {
            act(sitting);
        }
    }
}

impl Loading {
    fn hear(&mut self, letter: ToQuiz, out: &mut Vec<Outcome>) {
        // Who takes a word back has one waiting here, so what is not counted has a bound as well.
        let takes_back = matches!(letter, ToQuiz::Part { .. } | ToQuiz::Unwatch { .. });
        if !takes_back && self.letters.len() >= WAITING {
            refuse(letter, false, out);
        } else {
            self.letters.push(letter);
        }
    }
}

/// A socket's letter, to a quiz that was read.
fn hear(sitting: &mut Sitting, letter: ToQuiz, c: &mut Circumstances<'_>) {
    match letter {
        ToQuiz::Admit { conn, attempt, .. } => sitting.admit(conn, attempt, c),
        ToQuiz::Part { conn, attempt, .. } => sitting.part(conn, attempt),
        ToQuiz::Watch { conn, channel, owner, .. } => watch(sitting, (conn, channel), owner, c),
        ToQuiz::Unwatch { conn, channel, .. } => c.desk.cancel(sitting.audience.unwatch(conn, channel)),
        ToQuiz::Snapshot { conn, channel, .. } => sitting.show(conn, channel, c),
        ToQuiz::Ask { .. } => {}
    }
}

fn watch(sitting: &mut Sitting, (conn, channel): (ConnId, Channel), owner: Option<OwnerId>, c: &mut Circumstances<'_>) {
    let verdict = if owner.is_none_or(|owner| owner == sitting.quiz.owner) {
        sitting.audience.watch(conn, channel);
        Verdict::Granted
    } else {
        Verdict::NotOwned
    };
    c.out.push(Outcome::Tell(conn, FromQuiz::Watched { quiz: sitting.quiz.id, channel, verdict }));
}

/// Tells a socket no. `unknown`: what it wants is not there; else it could not be read.
pub fn refuse(letter: ToQuiz, unknown: bool, out: &mut Vec<Outcome>) {
    match letter {
        ToQuiz::Admit { conn, .. } => out.push(Outcome::Tell(conn, FromQuiz::Refused { unknown })),
        ToQuiz::Watch { conn, quiz, channel, .. } => {
            let verdict = if unknown { Verdict::NotOwned } else { Verdict::Unavailable };
            out.push(Outcome::Tell(conn, FromQuiz::Watched { quiz, channel, verdict }));
        }
        ToQuiz::Part { .. } | ToQuiz::Unwatch { .. } | ToQuiz::Snapshot { .. } | ToQuiz::Ask { .. } => {}
    }
}

/// Does what a request wants. Returns an edit that is on its way now.
fn decide(sitting: &mut Sitting, waiting: Waiting, c: &mut Circumstances<'_>) -> Option<Box<Editing>> {
    let Waiting { asking, ask, at } = waiting;
    match *ask {
        Ask::Edit { owner, edit, seen, .. } => {
            // Of no two states of a quiz the time is the same, so that it can be told which one somebody has seen.
            let at = c.now.wall.max(UnixMicros(sitting.quiz.updated_at.0.saturating_add(1)));
            return self::edit(sitting, (&owner, seen), Editing { asking, edit, at }, c);
        }
        Ask::Start { attempt, entrant, event, pass, .. } => sitting.start((attempt, event), entrant, &pass, asking, c),
        Ask::Force { owner, .. } if owner != sitting.quiz.owner => c.refuse(asking, Refused::NotFound),
        Ask::Force { event, .. } => sitting.force(event, asking, at, c),
        Ask::Look { attempt, .. } | Ask::Answer { attempt, .. } | Ask::Submit { attempt, .. } | Ask::Flag { attempt, .. } => {
            sitting.ask(attempt, asking, ask, at, c);
        }
        // It concerns no quiz, and does not come here.
        Ask::Keep(_) => c.refuse(asking, Refused::NotFound),
    }
    None
}

fn edit(
    sitting: &Sitting,
    (owner, seen): (&OwnerId, Option<UnixMicros>),
    editing: Editing,
    c: &mut Circumstances<'_>,
) -> Option<Box<Editing>> {
    let quiz = &*sitting.quiz;
    if *owner != quiz.owner {
        c.refuse(editing.asking, Refused::NotFound);
        return None;
    }
    if seen.is_some_and(|seen| seen != quiz.updated_at) {
        c.refuse(editing.asking, Refused::Changed);
        return None;
    }
    let is_taken = sitting.running() > 0 || sitting.starting > 0;
    match edits::check(quiz, &editing.edit) {
        Ok(false) => c.reply(editing.asking, Reply::Edited(Box::new(quiz.clone()))),
        Ok(true) | Err(_) if is_taken => c.refuse(editing.asking, Refused::ActiveAttempts),
        Ok(true) => {
            let Editing { ref edit, at, .. } = editing;
            c.keep(Whose::Quiz(quiz.id), Record::Edited { quiz: quiz.id, edit: edit.clone(), at });
            return Some(Box::new(editing));
        }
        Err(refused) => c.refuse(editing.asking, refused),
    }
    None
}
