//! The sessions that have their home on this shard: letters in, outcomes out, and the times that homes keep.

use super::{
    asks::{Ask, Refused, Reply, Told},
    letters::{FromSession, Mark, ToSession},
    model::{ApprovalId, MessageId, SessionId},
    record::{Change, Loaded},
    room::Room,
    settings::Settings,
    sitting::Sitting,
};
use crate::{
    models::{Catalog, Prompt, Tool, ToolOutcome, Word, run::Effect},
    realtime::{
        ConnId, Frame, Histogram, Moment, Now, ShardId, StoreFault, TimerId, Wheel,
        table::{Key, Table},
    },
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::{mem, sync::Arc, time::Duration};

/// Where the listeners of a session are, and how many.
pub type Shards = SmallVec<[(ShardId, u32); 4]>;

/// What a home wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Outcome {
    /// Say this to a connection.
    Tell(ConnId, FromSession),
    /// Deliver a frame to all who listen to the session, on these shards.
    Publish {
        /// Which.
        session: SessionId,
        /// What.
        frame: Frame,
        /// Where its listeners are, and how many.
        shards: Shards,
    },
    /// Tell these shards what the next frame of the session is.
    Mark {
        /// Which session.
        session: SessionId,
        /// What.
        mark: Mark,
        /// Where its listeners are, and how many.
        shards: Shards,
    },
    /// Deliver a frame to one connection, behind what was said to it before.
    Deliver(ConnId, Frame),
    /// Write a change; answer [`Homes::kept`] with this ticket, once.
    Keep {
        /// To be given back.
        ticket: u64,
        /// The change.
        change: Box<Change>,
    },
    /// Read a session; answer [`Homes::loaded`], once.
    Load(SessionId),
    /// Answer a REST ask.
    Reply {
        /// On which shard it waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// The answer.
        reply: Box<Reply>,
    },
    /// Tell a REST ask more.
    Told {
        /// On which shard it waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// What.
        told: Box<Told>,
    },
    /// Ask a model for an answer of this session; answer [`Homes::word`] until it is over. An earlier question of the same answer is over.
    Model {
        /// Where.
        session: SessionId,
        /// Which answer.
        answer: MessageId,
        /// What is asked.
        prompt: Box<Prompt>,
    },
    /// Nobody waits for the model's words any more.
    StopModel {
        /// Where.
        session: SessionId,
        /// Which answer.
        answer: MessageId,
    },
    /// Call a tool; answer [`Homes::tool`], once.
    Tool {
        /// Where.
        session: SessionId,
        /// For which answer.
        answer: MessageId,
        /// Of the answer's calls.
        call: u32,
        /// Which tool.
        tool: Arc<Tool>,
        /// A JSON object.
        arguments: Arc<str>,
    },
    /// Nobody waits for that any more.
    StopTool {
        /// Where.
        session: SessionId,
        /// For which answer.
        answer: MessageId,
        /// Of the answer's calls.
        call: u32,
    },
    /// The session's home is elsewhere, and something still goes on in it here: that home is to know.
    Hold(SessionId),
    /// Nothing goes on in it any more: it is given up, and who was here is to be told where it is.
    LetGo(Box<LetGo>),
    /// What waited here for a session that is at home elsewhere.
    Pass(Box<ToSession>),
}

/// What a home gives up with a session.
#[derive(PartialEq, Default, Debug)]
pub struct LetGo {
    /// Which.
    pub session: SessionId,
    /// Whether the next home was told that it is here.
    pub was_held: bool,
    /// Who listens.
    pub listeners: Vec<ConnId>,
    /// Those who wait over REST for what was not begun: on which shards, under which numbers.
    pub askers: Vec<(ShardId, u64)>,
    /// What was said and not begun by those who have gone: nobody says it again.
    pub unbegun: Vec<Ask>,
}

/// The times of a home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// Nobody has decided.
    Approval(SessionId, ApprovalId),
    /// An answer's run has asked for it.
    Run(SessionId, MessageId),
    /// An end that could not be written is tried again.
    Retry(SessionId),
    /// Nobody has spoken for long.
    Silence(SessionId),
    /// The store has not answered in time.
    Slow(SessionId),
}

/// What a home needs to know of the world while it decides, and where it says what is to be done.
pub(super) struct Circumstances<'a> {
    pub(super) settings: &'a Settings,
    pub(super) catalog: &'a Catalog,
    pub(super) is_stopping: bool,
    /// Another process goes on with the sockets: nothing of theirs is begun.
    pub(super) is_parting: bool,
    pub(super) now: Now,
    pub(super) first_words: &'a Histogram,
    wheel: &'a mut Wheel<Timer>,
    writing: &'a mut Table<SessionId>,
    /// Room for what a run wants done; empty between two events.
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) out: &'a mut Vec<Outcome>,
}

impl Circumstances<'_> {
    /// To whoever waits, if anybody does.
    pub(super) fn reply(&mut self, asker: impl Into<Option<(ShardId, u64)>>, reply: Reply) {
        if let Some((asker, number)) = asker.into() {
            self.out.push(Outcome::Reply { asker, number, reply: Box::new(reply) });
        }
    }

    pub(super) fn refuse(&mut self, asker: impl Into<Option<(ShardId, u64)>>, refused: Refused) {
        self.reply(asker, Reply::Refused(refused));
    }

    pub(super) fn told(&mut self, (asker, number): (ShardId, u64), told: Told) {
        self.out.push(Outcome::Told { asker, number, told: Box::new(told) });
    }

    pub(super) fn keep(&mut self, session: SessionId, change: Change) {
        let Key { slot, generation } = self.writing.insert(session);
        let ticket = u64::from(slot) << 16 | u64::from(generation);
        self.out.push(Outcome::Keep { ticket, change: Box::new(change) });
    }

    pub(super) fn after(&mut self, after: Duration, timer: Timer) -> TimerId {
        self.wheel.set(self.now.moment + after, timer)
    }

    pub(super) fn cancel(&mut self, timer: Option<TimerId>) {
        timer.and_then(|timer| self.wheel.cancel(timer));
    }
}

/// All sessions of one shard that anything happens in.
pub struct Homes {
    pub(super) settings: Settings,
    catalog: Arc<Catalog>,
    pub(super) rooms: HashMap<SessionId, Room, FixedState>,
    pub(super) wheel: Wheel<Timer>,
    writing: Table<SessionId>,
    fired: Vec<(Moment, Timer)>,
    effects: Vec<Effect>,
    is_stopping: bool,
    is_parting: bool,
    first_words: Arc<Histogram>,
}

/// How much goes on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Levels {
    /// Sessions in memory.
    pub sessions: usize,
    /// Answers that run.
    pub answers: usize,
    /// Approvals that nobody has decided.
    pub approvals: usize,
    /// Changes on their way to disk.
    pub writing: usize,
}

impl Homes {
    /// From now on these count.
    pub fn reform(&mut self, settings: Settings, catalog: Arc<Catalog>) {
        (self.settings, self.catalog) = (settings, catalog);
    }

    /// Nobody is here. `seed` keeps the places of keys from being guessed.
    pub fn new(settings: Settings, catalog: Arc<Catalog>, seed: u64, start: Moment) -> Homes {
        Homes {
            settings,
            catalog,
            rooms: HashMap::with_hasher(FixedState::with_seed(seed)),
            wheel: Wheel::new(start),
            writing: Table::default(),
            fired: Vec::new(),
            effects: Vec::new(),
            is_stopping: false,
            is_parting: false,
            first_words: Arc::default(),
        }
    }

    /// From now on it is noted here how long the first word of an answer takes from the message that it answers.
    pub fn note_first_words(&mut self, times: Arc<Histogram>) {
        self.first_words = times;
    }

    /// How much goes on; looks at every session in memory.
    pub fn levels(&self) -> Levels {
        let sittings = || self.rooms.values().filter_map(Room::sitting);
        Levels {
            sessions: self.rooms.len(),
            answers: sittings().filter(|sitting| sitting.is_answering()).count(),
            approvals: sittings().map(Sitting::pending).sum(),
            writing: self.writing.len(),
        }
    }

    /// Whether nothing goes on here.
    pub fn is_at_rest(&self) -> bool {
        self.rooms.is_empty()
    }

    /// How many timers run.
    pub fn timers(&self) -> usize {
        self.wheel.len()
    }

    /// No later than the earliest time that a home keeps.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.wheel.next()
    }

    /// Takes a letter.
    pub fn letter(&mut self, letter: ToSession, now: Now, out: &mut Vec<Outcome>) {
        let session = letter.session();
        let opens = match &letter {
            ToSession::Join { .. } => true,
            ToSession::Part { .. } | ToSession::Say { .. } | ToSession::Cancel { .. } => false,
            ToSession::Held { .. } | ToSession::Free { .. } => false,
            ToSession::Ask { ask, .. } => opens(ask),
        };
        if !self.rooms.contains_key(&session) {
            match letter {
                // The next process hears of those who come.
                ToSession::Join { .. } if self.is_parting => return,
                ToSession::Ask { asker, number, ask } if matches!(*ask, Ask::Create(_)) => {
                    if let Ask::Create(new) = *ask {
                        self.rooms.insert(session, Room::Here(Box::new(Sitting::new(*new, Vec::new(), Vec::new()))));
                        return self.in_room(session, now, out, |room, c| room.create((asker, number), c));
                    }
                    return;
                }
                ToSession::Ask { .. } | ToSession::Join { .. } if opens => {
                    out.push(Outcome::Load(session));
                    let slow = Some(self.wheel.set(now.moment + self.settings.keep_timeout, Timer::Slow(session)));
                    self.rooms.insert(session, Room::Loading { waiting: vec![letter], slow, is_read: false, is_stale: false });
                    return;
                }
                letter => return nobody(letter, out),
            }
        }
        self.wait_anew(session, now);
        self.in_room(session, now, out, |room, c| room.letter(letter, c));
    }

    /// The store answered to [`Outcome::Keep`].
    pub fn kept(&mut self, ticket: u64, result: Result<(), StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        let key = Key { slot: (ticket >> 16) as u32, generation: ticket as u16 };
        if let Some(session) = self.writing.remove(key) {
            self.in_sitting(session, now, out, |sitting, c| sitting.kept(result, c));
        }
    }

    /// The store answered to [`Outcome::Load`]; none: there is no such session.
    pub fn loaded(
        &mut self,
        session: SessionId,
        loaded: Result<Option<Box<Loaded>>, StoreFault>,
        now: Now,
        out: &mut Vec<Outcome>,
    ) {
        if self.is_to_be_read_again(session) {
            return out.push(Outcome::Load(session));
        }
        self.in_room(session, now, out, |room, c| room.loaded(loaded, c));
    }

    /// The model that was asked by [`Outcome::Model`] says something.
    pub fn word(&mut self, (session, answer): (SessionId, MessageId), word: Word, now: Now, out: &mut Vec<Outcome>) {
        self.in_room_if(session, now, out, |room, c| match room {
            Room::Here(sitting) => sitting.word(answer, word, c),
            Room::Loading { .. } => false,
        });
    }

    /// What came of [`Outcome::Tool`].
    pub fn tool(
        &mut self,
        (session, answer): (SessionId, MessageId),
        call: u32,
        outcome: ToolOutcome,
        now: Now,
        out: &mut Vec<Outcome>,
    ) {
        self.in_sitting(session, now, out, |sitting, c| sitting.tool(answer, call, outcome, c));
    }

    /// Turns the wheel.
    pub fn turn(&mut self, now: Now, out: &mut Vec<Outcome>) {
        let mut fired = mem::take(&mut self.fired);
        self.wheel.expire(now.moment, &mut fired);
        for (_, timer) in fired.drain(..) {
            match timer {
                Timer::Approval(session, approval) => {
                    self.in_sitting(session, now, out, |sitting, c| sitting.expire(approval, c))
                }
                Timer::Run(session, answer) => self.in_sitting(session, now, out, |sitting, c| sitting.run_timer(answer, c)),
                Timer::Retry(session) => self.in_sitting(session, now, out, |sitting, c| sitting.retry(c)),
                Timer::Silence(session) => self.in_sitting(session, now, out, |sitting, c| sitting.silence(c)),
                Timer::Slow(session) => self.in_room(session, now, out, |room, c| room.slow(c)),
            }
        }
        self.fired = fired;
    }

    /// The process is about to stop: answers that run are broken off and written, and nothing more is begun.
    pub fn stop(&mut self, now: Now, out: &mut Vec<Outcome>) {
        self.is_stopping = true;
        for session in self.rooms.keys().copied().collect::<Vec<_>>() {
            self.in_sitting(session, now, out, |sitting, c| sitting.stop(c));
        }
    }

    /// As [`Homes::stop`], where another process goes on with the sockets: what they have said and was not begun they say again there.
    pub fn part(&mut self, now: Now, out: &mut Vec<Outcome>) {
        (self.is_stopping, self.is_parting) = (true, true);
        for session in self.rooms.keys().copied().collect::<Vec<_>>() {
            self.in_sitting(session, now, out, |sitting, c| sitting.hand_over(c));
        }
    }

    pub(super) fn in_sitting(
        &mut self,
        session: SessionId,
        now: Now,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Sitting, &mut Circumstances<'_>),
    ) {
        self.in_room(session, now, out, |room, c| {
            if let Room::Here(sitting) = room {
                act(sitting, c);
            }
        });
    }

    /// Lets a room act, if there is one, and forgets it when nothing goes on in it any more.
    pub(super) fn in_room(
        &mut self,
        session: SessionId,
        now: Now,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Room, &mut Circumstances<'_>),
    ) {
        self.in_room_if(session, now, out, |room, c| {
            act(room, c);
            true
        });
    }

    /// As [`Homes::in_room`], where `act` says whether the room has anything to go on with: most words of an answer leave nothing.
    fn in_room_if(
        &mut self,
        session: SessionId,
        now: Now,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Room, &mut Circumstances<'_>) -> bool,
    ) {
        let Some(room) = self.rooms.get_mut(&session) else { return };
        let mut circumstances = Circumstances {
            settings: &self.settings,
            catalog: &self.catalog,
            is_stopping: self.is_stopping,
            is_parting: self.is_parting,
            now,
            first_words: &self.first_words,
            wheel: &mut self.wheel,
            writing: &mut self.writing,
            effects: &mut self.effects,
            out,
        };
        if act(room, &mut circumstances) && room.rest(&mut circumstances) {
            self.rooms.remove(&session);
        }
    }
}

/// Whether a session is read for the sake of an ask.
fn opens(ask: &Ask) -> bool {
    match ask {
        Ask::End { .. } | Ask::Say { .. } | Ask::Decide { .. } => true,
        // What no home cares for is in the store as it is, and has no answer that runs.
        Ask::Create(_) | Ask::Look { .. } | Ask::Leave { .. } | Ask::Approvals { .. } => false,
    }
}

/// No room cares for the session.
fn nobody(letter: ToSession, out: &mut Vec<Outcome>) {
    match letter {
        ToSession::Ask { asker, number, ask } => match *ask {
            Ask::Leave { .. } => {}
            Ask::Create(_)
            | Ask::Look { .. }
            | Ask::End { .. }
            | Ask::Say { .. }
            | Ask::Approvals { .. }
            | Ask::Decide { .. } => {
                out.push(Outcome::Reply { asker, number, reply: Box::new(Reply::Refused(Refused::NotHere)) });
            }
        },
        // They come from connections that joined, which keep the room.
        ToSession::Join { .. } | ToSession::Part { .. } | ToSession::Say { .. } | ToSession::Cancel { .. } => {}
        ToSession::Held { .. } | ToSession::Free { .. } => {}
    }
}
