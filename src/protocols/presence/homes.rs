//! The classrooms that have their home on this shard: letters in, outcomes out, and the times that homes keep.

mod carrying;
mod census;
mod estates;
mod rows;

pub use census::Reconciled;

use super::{
    asks::{Ask, Reply},
    letters::{Agent, Bequest, FromHome, Held, Seat, ToHome},
    messages::SessionError,
    record::{self, Leaving, StoreFault},
    room::{Circumstances, Room, Row},
    settings::Settings,
};
use crate::realtime::{
    ClassroomId, ConnId, Frame, Moment, NodeSlot, Now, ShardId, UnixMicros,
    table::{Key, Table},
    wheel::{TimerId, Wheel},
};
use census::Looks;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rows::want_row;
use smallvec::SmallVec;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap as Map},
    sync::Arc,
};

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
        /// The one among them who is not to hear it.
        except: Option<ConnId>,
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
    /// To the home of this letter's room, which is elsewhere.
    Pass(ToHome),
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
    /// Whose node's row it will be, and the number that the session has already.
    node: NodeSlot,
    session: Option<i64>,
    /// Of one who was signed in before: on which node, and who it is.
    former: Option<(NodeSlot, Arc<str>)>,
    /// The room's home is elsewhere meanwhile: whoever waits has asked there.
    moved: bool,
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
    here: NodeSlot,
    in_cluster: bool,
    /// Over all rooms.
    seated: usize,
    /// Rows on their way whose room is at home elsewhere.
    moved: usize,
    /// What former homes left, until it is known who comes himself.
    bequests: BTreeMap<ClassroomId, Vec<Bequest>>,
    /// Of the rooms that were taken over: the places of those who have not come.
    awaited: Vec<(ClassroomId, u32)>,
    /// Those of them whom no home has left: others may never have been told that they entered.
    doubtful: BTreeSet<(ClassroomId, u32)>,
    /// By shard: whose word may have been lost, each with its room and place.
    doubts: BTreeMap<ShardId, Map<ConnId, (ClassroomId, u32)>>,
    /// What the store had when it was looked through.
    looks: Looks,
}

impl Homes {
    /// From now on these count.
    pub fn reform(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// No classrooms yet, on this node. `seed` keeps the places of keys from being guessed.
    pub fn new(settings: Settings, here: NodeSlot, seed: u64, start: Moment) -> Homes {
        let hasher = FixedState::with_seed(seed);
        Homes {
            rooms: HashMap::with_hasher(hasher.clone()),
            pending: Table::default(),
            wheel: Wheel::new(start),
            fired: Vec::new(),
            hasher,
            settings,
            here,
            in_cluster: false,
            seated: 0,
            moved: 0,
            bequests: BTreeMap::new(),
            awaited: Vec::new(),
            doubtful: BTreeSet::new(),
            doubts: BTreeMap::new(),
            looks: Looks::default(),
        }
    }

    /// How many rooms have somebody in them, and how many are signed in over all.
    pub fn population(&self) -> (usize, usize) {
        (self.rooms.len(), self.seated)
    }

    /// The rooms at home here, each with how many are in it.
    pub fn crowds(&self) -> impl Iterator<Item = (ClassroomId, usize)> + '_ {
        self.rooms.iter().map(|(id, room)| (*id, room.seated()))
    }

    /// Which rooms are here.
    pub fn rooms(&self) -> impl Iterator<Item = ClassroomId> {
        self.rooms.keys().copied()
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
            ToHome::Join { conn, classroom, agent, at } => {
                self.believe(conn);
                let first = out.len();
                self.join(conn, classroom, agent, (at, now), out);
                self.settle(first, now, out);
            }
            ToHome::Leave { conn, classroom, seat, at } => {
                self.end_stray_row(classroom, &seat, at, out);
                self.in_room(classroom, now, out, |room, c| room.leave(conn, &seat, at, c));
                if conn.shard.node() != self.here {
                    out.push(Outcome::Tell(conn, FromHome::Parted));
                }
            }
            ToHome::Told { conn, classroom, place } => {
                self.in_room(classroom, now, out, |room, c| room.told(place, conn, now.wall, c));
            }
            ToHome::Resume { conn, classroom, held } => self.resume(conn, classroom, held, now, out),
            ToHome::Bequest(bequest) => {
                let bequests = self.bequests.entry(bequest.classroom).or_default();
                // It may be said again.
                if !bequests.contains(&bequest) {
                    bequests.push(*bequest);
                }
            }
            ToHome::Ask { asker, number, ask } => self.ask(asker, number, *ask, now, out),
        }
    }

    /// The store answered.
    pub fn entered(&mut self, ticket: u64, result: Result<i64, StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        let Some(mut pending) = self.pending.remove(key_of(ticket)) else { return };
        pending.timer.take().and_then(|timer| self.wheel.cancel(timer));
        if pending.moved {
            return self.entered_elsewhere(pending, result, now, out);
        }
        let Pending { classroom, place, node, session: before, .. } = pending;
        let mut is_wanted = false;
        self.in_room(classroom, now, out, |room, c| {
            match result {
                Ok(session) => room.stored(place, (session, node), now.wall, c),
                Err(fault) => room.failed(place, error_of(fault), Some(before.map_or(Row::None, Row::Stored)), now.wall, c),
            }
            is_wanted = room.wanted_row(place).is_some();
        });
        if let Some(room) = self.rooms.get_mut(&classroom).filter(|_| is_wanted) {
            let deadline = now.moment + self.settings.enter_timeout;
            want_row(room, (place, now.wall, deadline), &mut self.pending, &mut self.wheel, out);
        }
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

    fn join(&mut self, conn: ConnId, classroom: ClassroomId, agent: Agent, (at, now): (UnixMicros, Now), out: &mut Vec<Outcome>) {
        self.end_doubtful(classroom, &agent, now, out);
        let room = self.rooms.entry(classroom).or_insert_with(|| Room::new(classroom));
        let mut circumstances =
            Circumstances { hasher: &self.hasher, settings: &self.settings, in_cluster: self.in_cluster, out };
        let seated = room.seated();
        let joined = room.join(conn, agent, &mut circumstances);
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
            Row::None => want_row(room, (place, at, deadline), &mut self.pending, &mut self.wheel, out),
        }
    }

    fn too_late(&mut self, ticket: Key, now: Now, out: &mut Vec<Outcome>) {
        let Some(pending) = self.pending.at_mut(ticket) else { return };
        pending.timer = None;
        if pending.moved {
            return;
        }
        let (classroom, place) = (pending.classroom, pending.place);
        self.in_room(classroom, now, out, |room, c| {
            room.failed(place, SessionError::DatabaseConnectionAcquisitionFailed, None, now.wall, c);
        });
    }

    // --- homes that move, and words that were lost

    /// From now on there may be other nodes. Nobody is here yet.
    pub fn join_cluster(&mut self) {
        self.in_cluster = true;
    }

    /// Rows on their way whose room is at home elsewhere by now.
    pub fn moving(&self) -> bool {
        self.moved > 0
    }

    /// Rooms that are at home elsewhere from now on are forgotten, and left to their new homes. `view`: by which they were here;
    /// `was_whole`: whether a room had been taken over by then.
    pub fn move_out(
        &mut self,
        (view, was_whole): (u64, impl Fn(ClassroomId) -> bool),
        is_here: impl Fn(ClassroomId) -> bool,
        now: Now,
        out: &mut Vec<Outcome>,
    ) {
        let mut leaving: Vec<ClassroomId> = self.rooms.keys().copied().filter(|classroom| !is_here(*classroom)).collect();
        leaving.sort_unstable();
        let first = out.len();
        for classroom in leaving {
            let Some(room) = self.rooms.remove(&classroom) else { continue };
            self.seated -= room.seated();
            for (place, node, session, agent_id) in room.given_away() {
                self.give_back((classroom, place), (node, agent_id), Some(session), now, out);
            }
            let c = &mut Circumstances { hasher: &self.hasher, settings: &self.settings, in_cluster: self.in_cluster, out };
            room.bequeath((view, was_whole(classroom)), &|ticket| self.pending.at(ticket).and_then(|pending| pending.session), c);
        }
        for key in self.pending.keys().collect::<Vec<_>>() {
            if let Some(pending) = self.pending.at_mut(key).filter(|pending| !pending.moved && !is_here(pending.classroom)) {
                pending.moved = true;
                self.moved += 1;
            }
        }
        self.awaited.retain(|(classroom, _)| is_here(*classroom));
        for (_, bequests) in self.bequests.extract_if(.., |classroom, _| !is_here(*classroom)) {
            out.extend(bequests.into_iter().map(|bequest| Outcome::Pass(ToHome::Bequest(Box::new(bequest)))));
        }
        self.settle(first, now, out);
    }

    /// These shards and their connections are no more.
    pub fn lose(&mut self, is_gone: &dyn Fn(ShardId) -> bool, now: Now, out: &mut Vec<Outcome>) {
        self.doubts.retain(|shard, _| !is_gone(*shard));
        let is_dead = |node: NodeSlot| is_gone(ShardId::of(node, 0));
        self.rooms.values_mut().for_each(|room| room.lose_rows(&is_dead));
        for (classroom, lost) in self.strangers(is_gone) {
            self.in_room(classroom, now, out, |room, c| lost.into_iter().for_each(|one| room.lose(one, now.wall, c)));
        }
    }

    /// What was on its way between this node and that one is lost: whoever is there may have left, or been told less than was said. Those
    /// that come again are there; for the others see [`Homes::heard_all`].
    pub fn doubt(&mut self, node: NodeSlot) {
        for (classroom, strangers) in self.strangers(&|shard| shard.node() == node) {
            for (place, conn) in strangers {
                self.doubts.entry(conn.shard).or_default().insert(conn, (classroom, place));
            }
        }
    }

    /// Somebody leaves of whom this home has never heard, since all that told of him was lost: his row has ended.
    fn end_stray_row(&self, classroom: ClassroomId, seat: &Seat, at: UnixMicros, out: &mut Vec<Outcome>) {
        let Some(held) = self.in_cluster.then_some(seat).and_then(Seat::held) else { return };
        let room = self.rooms.get(&classroom);
        if room.is_none_or(|room| room.find(&held.agent.id, &self.hasher).is_none()) {
            out.push(Outcome::Leave(Leaving { session: held.session, at }));
        }
    }

    /// Whoever is on this shard has come again: the others are gone.
    pub fn heard_all(&mut self, shard: ShardId, now: Now, out: &mut Vec<Outcome>) {
        let mut lost: Vec<_> = self.doubts.remove(&shard).into_iter().flatten().collect();
        lost.sort_unstable();
        for (conn, (classroom, place)) in lost {
            self.in_room(classroom, now, out, |room, c| room.lose((place, conn), now.wall, c));
        }
    }

    fn resume(&mut self, conn: ConnId, classroom: ClassroomId, held: Held, now: Now, out: &mut Vec<Outcome>) {
        self.believe(conn);
        self.rooms.entry(classroom).or_insert_with(|| Room::new(classroom));
        self.in_room(classroom, now, out, |room, c| room.resume(conn, held, c));
    }

    /// A connection has come again.
    fn believe(&mut self, conn: ConnId) {
        if let Some(doubts) = self.doubts.get_mut(&conn.shard) {
            doubts.remove(&conn);
        }
    }

    /// By room: those who are on these shards, each with his place.
    fn strangers(&self, is_there: &dyn Fn(ShardId) -> bool) -> BTreeMap<ClassroomId, Vec<(u32, ConnId)>> {
        let strangers = self.rooms.iter().map(|(classroom, room)| (*classroom, room.strangers(is_there)));
        strangers.filter(|(_, strangers)| !strangers.is_empty()).collect()
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
        act(room, &mut Circumstances { hasher: &self.hasher, settings: &self.settings, in_cluster: self.in_cluster, out });
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
                Outcome::Enter { .. } | Outcome::Leave(_) | Outcome::Pass(_) | Outcome::Reply { .. } => at += 1,
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
