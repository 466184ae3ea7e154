//! The classrooms that have their home on this shard: letters in, outcomes out, and the times that homes keep.

use super::{
    asks::{Ask, Reply},
    letters::{Cuts, FromHome, ToHome},
    messages::SessionError,
    record::{self, Leaving, StoreFault},
    room::{Circumstances, Room, Row},
    settings::Settings,
};
use crate::realtime::{
    ClassroomId, ConnId, Frame, Moment, Now, ShardId,
    table::{Key, Table},
    wheel::{TimerId, Wheel},
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

/// What a home wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Outcome {
    /// Say this to a connection.
    Tell(ConnId, FromHome),
    /// Deliver a frame to all who listen to the classroom, on these shards.
    Publish {
        /// The topic.
        classroom: ClassroomId,
        /// What.
        frame: Frame,
        /// Where its listeners are, and how many.
        shards: SmallVec<[(ShardId, u32); 4]>,
    },
    /// Deliver a frame to one connection.
    Deliver(ConnId, Frame),
    /// Write a row; answer [`Homes::entered`] with this ticket.
    Enter {
        /// To be given back.
        ticket: u64,
        /// The row.
        entering: record::Entering,
    },
    /// Move a row to the history.
    Leave(Leaving),
    /// Answer a REST ask.
    Reply {
        /// On which shard it waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// The answer.
        reply: Box<Reply>,
    },
    /// A session that REST asked to end is over. Becomes a [`Outcome::Reply`] before anyone sees it.
    Closed {
        /// On which shard the ask waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
    },
    /// The classroom's tick begins. Becomes a timer before anyone sees it.
    Tick(ClassroomId),
}

/// A sign-in that waits for its row.
struct Pending {
    classroom: ClassroomId,
    place: u32,
    timer: Option<TimerId>,
}

/// The times of a home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Timer {
    /// A row was not written in time.
    Entering(Key),
    /// A large room's changes are due.
    Tick(ClassroomId),
}

/// All classrooms of one shard.
pub struct Homes {
    rooms: HashMap<ClassroomId, Room, FixedState>,
    pending: Table<Pending>,
    wheel: Wheel<Timer>,
    fired: Vec<(Moment, Timer)>,
    hasher: FixedState,
    settings: Settings,
    /// Over all rooms.
    seated: usize,
}

impl Homes {
    /// No classrooms yet. `seed` keeps the places of keys from being guessed.
    pub fn new(settings: Settings, seed: u64, start: Moment) -> Homes {
        let hasher = FixedState::with_seed(seed);
        Homes {
            rooms: HashMap::with_hasher(hasher.clone()),
            pending: Table::default(),
            wheel: Wheel::new(start),
            fired: Vec::new(),
            hasher,
            settings,
            seated: 0,
        }
    }

    /// How many rooms have somebody in them, and how many are signed in over all.
    pub fn population(&self) -> (usize, usize) {
        (self.rooms.len(), self.seated)
    }

    /// How many sign-ins wait for their row.
    pub fn entering(&self) -> usize {
        self.pending.len()
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
    pub fn letter(&mut self, letter: ToHome, now: Now, out: &mut Vec<Outcome>) {
        match letter {
            ToHome::Join { conn, classroom, agent_id, cuts, at } => {
                let first = out.len();
                self.join(conn, cuts, record::Entering { classroom, agent_id, at }, now, out);
                self.settle(first, now, out);
            }
            ToHome::Leave { conn, classroom, seat, at } => {
                self.in_room(classroom, now, out, |room, c| room.leave(conn, &seat, at, c))
            }
            ToHome::Told { classroom, place } => self.in_room(classroom, now, out, |room, c| room.told(place, now.wall, c)),
            ToHome::Ask { asker, number, ask } => self.ask(asker, number, *ask, now, out),
        }
    }

    /// The store answered.
    pub fn entered(&mut self, ticket: u64, result: Result<i64, StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        let Some(Pending { classroom, place, timer }) = self.pending.remove(key_of(ticket)) else { return };
        timer.and_then(|timer| self.wheel.cancel(timer));
        self.in_room(classroom, now, out, |room, c| match result {
            Ok(session) => room.stored(place, session, now.wall, c),
            Err(fault) => room.failed(place, error_of(fault), false, c),
        });
    }

    /// Turns the wheel.
    pub fn turn(&mut self, now: Now, out: &mut Vec<Outcome>) {
        let mut fired = std::mem::take(&mut self.fired);
        self.wheel.expire(now.moment, &mut fired);
        for (_, timer) in fired.drain(..) {
            match timer {
                Timer::Tick(classroom) => self.in_room(classroom, now, out, Room::tick),
                Timer::Entering(ticket) => self.too_late(ticket, now, out),
            }
        }
        self.fired = fired;
    }

    fn join(&mut self, conn: ConnId, cuts: Cuts, entering: record::Entering, now: Now, out: &mut Vec<Outcome>) {
        let classroom = entering.classroom;
        let room = self.rooms.entry(classroom).or_insert_with(|| Room::new(classroom));
        let mut circumstances = Circumstances { hasher: &self.hasher, settings: &self.settings, out };
        let seated = room.seated();
        let joined = room.join(conn, entering.agent_id.clone(), cuts, &mut circumstances);
        self.seated = self.seated + room.seated() - seated;
        let Some((place, row)) = joined else { return };
        let deadline = now.moment + self.settings.enter_timeout;
        match row {
            Row::Stored(_) => {}
            Row::Asked(ticket) => {
                let Some(pending) = self.pending.at_mut(ticket) else { return };
                pending.timer.take().and_then(|timer| self.wheel.cancel(timer));
                pending.timer = Some(self.wheel.set(deadline, Timer::Entering(ticket)));
            }
            Row::None => {
                let ticket = self.pending.insert(Pending { classroom, place, timer: None });
                let timer = self.wheel.set(deadline, Timer::Entering(ticket));
                self.pending.at_mut(ticket).expect("it was just put there").timer = Some(timer);
                room.asked(place, ticket);
                out.push(Outcome::Enter { ticket: number_of(ticket), entering });
            }
        }
    }

    fn too_late(&mut self, ticket: Key, now: Now, out: &mut Vec<Outcome>) {
        let Some(pending) = self.pending.at_mut(ticket) else { return };
        pending.timer = None;
        let (classroom, place) = (pending.classroom, pending.place);
        self.in_room(classroom, now, out, |room, c| {
            room.failed(place, SessionError::DatabaseConnectionAcquisitionFailed, true, c);
        });
    }

    fn ask(&mut self, asker: ShardId, number: u64, ask: Ask, now: Now, out: &mut Vec<Outcome>) {
        let reply = match ask {
            Ask::Members { classroom, after, limit } => {
                Reply::Members(self.rooms.get(&classroom).map(|room| room.list(after, limit)).unwrap_or_default())
            }
            Ask::Counts { classrooms } => Reply::Counts(self.counts(&classrooms)),
            Ask::Publish { classroom, event } => {
                let mut published = (event.sequence_id.unwrap_or(now.wall.0), 0);
                self.in_room(classroom, now, out, |room, c| published = room.publish(&event, now.wall, c));
                Reply::Published { sequence_id: published.0, members: published.1 }
            }
            Ask::Close { classroom, agent_id } => {
                let mut found = false;
                self.in_room(classroom, now, out, |room, c| found = room.close(&agent_id, (asker, number), c));
                if found {
                    return;
                }
                Reply::Closed(false)
            }
        };
        out.push(Outcome::Reply { asker, number, reply: Box::new(reply) });
    }

    fn counts(&self, classrooms: &[ClassroomId]) -> Vec<(ClassroomId, u64)> {
        let count = |classroom: &ClassroomId| self.rooms.get(classroom).map(|room| (*classroom, room.seated() as u64));
        classrooms.iter().filter_map(count).filter(|&(_, count)| count > 0).collect()
    }

    /// Lets a room act, if there is one, and does at once what only concerns homes: ticks, answers, forgetting an empty room.
    fn in_room(
        &mut self,
        classroom: ClassroomId,
        now: Now,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Room, &mut Circumstances<'_>),
    ) {
        let Some(room) = self.rooms.get_mut(&classroom) else { return };
        let (first, seated) = (out.len(), room.seated());
        act(room, &mut Circumstances { hasher: &self.hasher, settings: &self.settings, out });
        self.seated = self.seated + room.seated() - seated;
        if room.is_empty() {
            self.rooms.remove(&classroom);
        }
        self.settle(first, now, out);
    }

    fn settle(&mut self, first: usize, now: Now, out: &mut Vec<Outcome>) {
        let mut at = first;
        while at < out.len() {
            match &mut out[at] {
                Outcome::Tick(classroom) => {
                    self.wheel.set(now.moment + self.settings.coalesce_tick, Timer::Tick(*classroom));
                    out.remove(at);
                }
                Outcome::Closed { asker, number } => {
                    out[at] = Outcome::Reply { asker: *asker, number: *number, reply: Box::new(Reply::Closed(true)) };
                    at += 1;
                }
                Outcome::Tell(..) | Outcome::Publish { .. } | Outcome::Deliver(..) => at += 1,
                Outcome::Enter { .. } | Outcome::Leave(_) | Outcome::Reply { .. } => at += 1,
            }
        }
    }
}

fn error_of(fault: StoreFault) -> SessionError {
    match fault {
        StoreFault::Busy => SessionError::DatabaseConnectionAcquisitionFailed,
        StoreFault::Failed => SessionError::DatabaseQueryFailed,
    }
}

fn number_of(ticket: Key) -> u64 {
    u64::from(ticket.slot) << 16 | u64::from(ticket.generation)
}

fn key_of(number: u64) -> Key {
    Key { slot: (number >> 16) as u32, generation: number as u16 }
}
