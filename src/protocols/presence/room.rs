//! One classroom at its home: the only writer of who is in it.
//!
//! A member is a key (agent id) with, at any time, at most one connection that owns it. An owner is seated (told
//! `connect_success`) when its row is on disk and every connection that owned the key before has been told `replaced`.

use super::{
    asks::{Member as Listed, Publication},
    handover::Missed,
    homes::Outcome,
    letters::{Agent, Cuts, FromHome, Seat},
    messages::{self, SessionError},
    record::Leaving,
    settings::Settings,
};
use crate::realtime::{ClassroomId, ConnId, NodeSlot, ShardId, UnixMicros, table::Key};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::BuildHasher,
    sync::Arc,
};

/// What is known of a member's row in the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Row {
    /// Not asked for: the last attempt failed.
    None,
    /// Asked for under this ticket.
    Asked(Key),
    /// On disk, with its session number.
    Stored(i64),
}

pub(super) struct Member {
    pub(super) agent_id: Arc<str>,
    pub(super) cuts: Cuts,
    pub(super) row: Row,
    pub(super) owner: Option<ConnId>,
    /// Former owners that were sent `replaced` and have not confirmed it.
    pub(super) untold: u32,
    /// Whose node's row it is, once it is stored, as far as this home knows.
    pub(super) node: Option<NodeSlot>,
    /// The node of the last connection that was signed in.
    pub(super) former: Option<NodeSlot>,
    pub(super) seated: bool,
    /// Whether the others were told that it entered.
    pub(super) announced: bool,
    /// REST asks that wait for this session's end.
    /// Boxed: nearly no member has any.
    #[allow(clippy::box_collection)]
    pub(super) closers: Option<Box<Vec<(ShardId, u64)>>>,
}

/// One classroom.
pub struct Room {
    pub(super) id: ClassroomId,
    pub(super) members: Slab<Member>,
    by_agent: HashTable<u32>,
    /// On which shards seated members are, and how many.
    pub(super) shards: SmallVec<[(ShardId, u32); 4]>,
    pub(super) seated: usize,
    /// In a cluster: which former owners were sent `replaced` and have not confirmed it, each with its place.
    pub(super) untold: BTreeSet<(u32, ConnId)>,
    /// The highest number that an event was published with; 0 before the first.
    pub(super) last_published: i64,
    /// Changes of the running tick by session number; true: entered.
    changes: Option<BTreeMap<i64, (Arc<str>, bool)>>,
    /// Members whose key goes from one connection to another: what was said since the old one heard the last.
    pub(super) missed: BTreeMap<u32, Missed>,
}

/// What a room needs to know of the world while it decides.
pub struct Circumstances<'a> {
    /// Hashes agent ids.
    pub hasher: &'a FixedState,
    /// Times and sizes.
    pub settings: &'a Settings,
    /// Whether there are other nodes, so that words can be lost or come again.
    pub in_cluster: bool,
    /// What is to be done.
    pub out: &'a mut Vec<Outcome>,
}

impl Room {
    /// An empty room.
    pub fn new(id: ClassroomId) -> Room {
        Room {
            id,
            members: Slab::new(),
            by_agent: HashTable::new(),
            shards: SmallVec::new(),
            seated: 0,
            untold: BTreeSet::new(),
            last_published: 0,
            changes: None,
            missed: BTreeMap::new(),
        }
    }

    /// Which it is.
    pub fn id(&self) -> ClassroomId {
        self.id
    }

    /// Whether it can be forgotten.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.changes.is_none()
    }

    /// How many are signed in.
    pub fn seated(&self) -> usize {
        self.seated
    }

    /// A connection asks to be let in; one that has asked before is answered anew. Returns the member's place when its row has to be asked
    /// for or waited for; `None`: it was refused, because a stranger with an equal agent id is there.
    pub fn join(&mut self, conn: ConnId, agent: Agent, c: &mut Circumstances<'_>) -> Option<(u32, Row)> {
        let cuts = agent.cuts;
        let place = match self.find(&agent.id, c.hasher) {
            Some(place) if !self.member(place).cuts.agrees(cuts) => {
                c.out.push(Outcome::Tell(conn, FromHome::Refused(SessionError::AccessDenied)));
                return None;
            }
            Some(place) => place,
            None => self.add(agent, c.hasher),
        };
        if self.member(place).owner == Some(conn) {
            return self.answer_again(place, conn, c);
        }
        if self.untold.contains(&(place, conn)) {
            // It asked twice, and somebody else came in between.
            c.out.push(Outcome::Tell(conn, FromHome::Replaced { classroom: self.id, place }));
            return None;
        }
        self.dismiss_owner(place, c);
        let member = self.member(place);
        (member.owner, member.cuts) = (Some(conn), cuts);
        self.advance(place, UnixMicros::default(), c);
        Some((place, self.row_for(place, conn)))
    }

    /// The row that the owner of a place has, or none that is its node's.
    fn row_for(&mut self, place: u32, owner: ConnId) -> Row {
        let member = self.member(place);
        match member.row {
            Row::Stored(_) if member.node != Some(owner.shard.node()) => Row::None,
            row @ (Row::None | Row::Asked(_) | Row::Stored(_)) => row,
        }
    }

    /// What must be asked of the store so that a place's owner can be seated: for which node, and the number that it has already.
    pub fn wanted_row(&self, place: u32) -> Option<(NodeSlot, Option<i64>, &Arc<str>)> {
        let member = self.members.get(place as usize)?;
        let node = member.owner?.shard.node();
        match member.row {
            Row::None => Some((node, None, &member.agent_id)),
            Row::Stored(session) if member.node != Some(node) => Some((node, Some(session), &member.agent_id)),
            Row::Stored(_) | Row::Asked(_) => None,
        }
    }

    /// The node of the last connection that was signed in at a place, as far as this home knows.
    pub(super) fn former_node(&self, place: u32) -> Option<NodeSlot> {
        self.members.get(place as usize).and_then(|member| member.former)
    }

    /// Notes under which ticket the member's row was asked for.
    pub fn asked(&mut self, place: u32, ticket: Key) {
        self.member(place).row = Row::Asked(ticket);
    }

    /// The row is on disk, as one of this node.
    pub fn stored(&mut self, place: u32, (session, node): (i64, NodeSlot), at: UnixMicros, c: &mut Circumstances<'_>) {
        let member = self.member(place);
        (member.row, member.node) = (Row::Stored(session), Some(node));
        self.advance(place, at, c);
    }

    /// The row could not be written, or not in time. `row`: what is known of it now; in the second case it can still be answered later.
    pub fn failed(&mut self, place: u32, error: SessionError, row: Option<Row>, at: UnixMicros, c: &mut Circumstances<'_>) {
        let member = self.member(place);
        if let Some(row) = row {
            member.row = row;
        }
        if let Some(owner) = member.owner.take() {
            c.out.push(Outcome::Tell(owner, FromHome::Refused(error)));
        }
        self.advance(place, at, c);
    }

    /// A connection is over. One that owns nothing any more changes nothing.
    pub fn leave(&mut self, conn: ConnId, seat: &Seat, at: UnixMicros, c: &mut Circumstances<'_>) {
        let agent = match seat {
            Seat::Held(held) => match held.place {
                Some(place) => return self.part(place, conn, at, c),
                None => &held.agent,
            },
            Seat::Agent(agent) => agent,
        };
        if let Some(place) = self.find(&agent.id, c.hasher) {
            self.part(place, conn, at, c);
        }
    }

    /// The owner of a place is over, if it is this connection.
    pub(super) fn part(&mut self, place: u32, conn: ConnId, at: UnixMicros, c: &mut Circumstances<'_>) {
        if self.members.get(place as usize).is_none_or(|member| member.owner != Some(conn)) {
            return;
        }
        self.unseat(place);
        self.member(place).owner = None;
        self.advance(place, at, c);
    }

    /// A former owner has been told.
    pub fn told(&mut self, place: u32, conn: ConnId, at: UnixMicros, c: &mut Circumstances<'_>) {
        if c.in_cluster && !self.untold.remove(&(place, conn)) {
            return;
        }
        let Some(member) = self.members.get_mut(place as usize) else { return };
        member.untold = member.untold.saturating_sub(1);
        self.advance(place, at, c);
    }

    /// Ends a session from outside; the asker is answered when it is over. False: there is no such session.
    pub fn close(&mut self, agent_id: &str, asker: (ShardId, u64), c: &mut Circumstances<'_>) -> bool {
        let Some(place) = self.find(agent_id, c.hasher) else { return false };
        if self.member(place).owner.is_none() {
            return false;
        }
        self.member(place).closers.get_or_insert_default().push(asker);
        self.dismiss_owner(place, c);
        true
    }

    /// Delivers an event; returns its number and how many it was sent to.
    pub fn publish(&mut self, event: &Publication, at: UnixMicros, c: &mut Circumstances<'_>) -> (i64, u64) {
        let sequence_id = event.sequence_id.unwrap_or_else(|| self.next_published(at));
        self.last_published = self.last_published.max(sequence_id);
        let frame = messages::published(event, sequence_id);
        let sender = event.sender.as_deref().and_then(|sender| self.find(sender, c.hasher));
        let Some(receiver) = &event.receiver else {
            return (sequence_id, self.say(&frame, sender, c));
        };
        let receiver = self.find(receiver, c.hasher).filter(|place| Some(*place) != sender);
        (sequence_id, receiver.map_or(0, |place| self.say_to(place, frame, c)))
    }

    /// Counting begins at the clock, so that a room that was forgotten when it stood empty, or a server that was restarted, does not
    /// number backwards.
    fn next_published(&self, at: UnixMicros) -> i64 {
        if self.last_published == 0 { at.0 } else { self.last_published.saturating_add(1) }
    }

    /// The signed-in members after a session number, in order, at most `limit`.
    pub fn list(&self, after: i64, limit: usize) -> Vec<Listed> {
        let mut listed: Vec<(i64, &Arc<str>)> = self
            .members
            .iter()
            .filter(|(_, member)| member.seated)
            .filter_map(|(_, member)| match member.row {
                Row::Stored(session) if session > after => Some((session, &member.agent_id)),
                Row::Stored(_) | Row::Asked(_) | Row::None => None,
            })
            .collect();
        if listed.len() > limit {
            listed.select_nth_unstable_by_key(limit, |&(session, _)| session);
            listed.truncate(limit);
        }
        listed.sort_unstable_by_key(|&(session, _)| session);
        listed.into_iter().map(|(sequence_id, agent_id)| Listed { sequence_id, agent_id: agent_id.to_string() }).collect()
    }

    /// The tick is over: its changes go out as one frame.
    pub fn tick(&mut self, c: &mut Circumstances<'_>) {
        let Some(changes) = self.changes.take() else { return };
        let (mut entered, mut left) = (Vec::new(), Vec::new());
        for (session, (agent_id, came)) in changes {
            let list = if came { &mut entered } else { &mut left };
            list.push((agent_id, session));
        }
        if !(entered.is_empty() && left.is_empty()) {
            let frame = messages::changes(&entered, &left, self.seated);
            self.say(&frame, None, c);
        }
    }

    /// Does what has become possible for a member: seat its owner, or let it go when nobody owns it.
    pub(super) fn advance(&mut self, place: u32, at: UnixMicros, c: &mut Circumstances<'_>) {
        let member = self.member(place);
        if member.untold > 0 {
            return;
        }
        if let Some(closers) = member.closers.take() {
            c.out.extend(closers.into_iter().map(|(asker, number)| Outcome::Closed { asker, number }));
        }
        match (member.row, member.owner) {
            (Row::Stored(session), Some(owner)) if !member.seated && member.node == Some(owner.shard.node()) => {
                if self.has_missed_too_much(place) {
                    self.missed.remove(&place);
                    return self.failed(place, SessionError::MessagingFailed, None, at, c);
                }
                self.seat(place, session, owner, c);
            }
            (Row::Stored(session), None) => {
                c.out.push(Outcome::Leave(Leaving { session, at }));
                self.remove(place, Some(session), c);
            }
            (Row::None, None) => self.remove(place, None, c),
            (Row::Stored(_) | Row::None, Some(_)) | (Row::Asked(_), _) => {}
        }
    }

    fn seat(&mut self, place: u32, session: i64, owner: ConnId, c: &mut Circumstances<'_>) {
        let member = self.member(place);
        (member.seated, member.former) = (true, Some(owner.shard.node()));
        let agent_id = member.agent_id.clone();
        if !std::mem::replace(&mut member.announced, true) {
            self.announce(&agent_id, session, true, c);
        }
        self.count(owner.shard);
        c.out.push(Outcome::Tell(owner, FromHome::Seated { place, session }));
        self.catch_up(place, owner, c);
    }

    /// One more is seated.
    pub(super) fn count(&mut self, shard: ShardId) {
        self.seated += 1;
        match self.shards.iter_mut().find(|(own, _)| *own == shard) {
            Some((_, count)) => *count += 1,
            None => self.shards.push((shard, 1)),
        }
    }

    fn unseat(&mut self, place: u32) {
        let member = self.member(place);
        let Some(owner) = member.owner.filter(|_| std::mem::take(&mut member.seated)) else { return };
        self.seated -= 1;
        if let Some(at) = self.shards.iter().position(|(shard, _)| *shard == owner.shard) {
            self.shards[at].1 -= 1;
            if self.shards[at].1 == 0 {
                self.shards.swap_remove(at);
            }
        }
    }

    /// Takes the key from its owner, if it has one, and has it told.
    fn dismiss_owner(&mut self, place: u32, c: &mut Circumstances<'_>) {
        if let Member { seated: true, owner: Some(owner), .. } = self.member(place) {
            let missed = Missed::since(*owner);
            self.missed.insert(place, missed);
        }
        self.unseat(place);
        if let Some(owner) = self.member(place).owner.take() {
            self.dismiss(place, owner, c);
        }
    }

    /// Has a connection told that another has its key.
    pub(super) fn dismiss(&mut self, place: u32, owner: ConnId, c: &mut Circumstances<'_>) {
        self.member(place).untold += 1;
        if c.in_cluster {
            self.untold.insert((place, owner));
        }
        c.out.push(Outcome::Tell(owner, FromHome::Replaced { classroom: self.id, place }));
    }

    fn announce(&mut self, agent_id: &Arc<str>, session: i64, entered: bool, c: &mut Circumstances<'_>) {
        if !c.settings.events {
            return;
        }
        if self.changes.is_none() && self.seated > c.settings.coalesce_above {
            self.changes = Some(BTreeMap::new());
            c.out.push(Outcome::Tick(self.id));
        }
        match &mut self.changes {
            Some(changes) => {
                let came_in_this_tick = changes.get(&session).is_some_and(|(_, came)| *came);
                if came_in_this_tick && !entered {
                    changes.remove(&session);
                } else {
                    changes.insert(session, (agent_id.clone(), entered));
                }
            }
            None if self.shards.is_empty() && self.missed.is_empty() => {}
            None => {
                let frame = messages::change(if entered { "entered" } else { "left" }, agent_id, session);
                self.say(&frame, None, c);
            }
        }
    }

    pub(super) fn find(&self, agent_id: &str, hasher: &FixedState) -> Option<u32> {
        let same = |place: &u32| *self.members[*place as usize].agent_id == *agent_id;
        self.by_agent.find(hasher.hash_one(agent_id), same).copied()
    }

    pub(super) fn add(&mut self, agent: Agent, hasher: &FixedState) -> u32 {
        let hash = hasher.hash_one(&*agent.id);
        let member = Member {
            agent_id: agent.id,
            cuts: agent.cuts,
            row: Row::None,
            owner: None,
            untold: 0,
            node: None,
            former: None,
            seated: false,
            announced: false,
            closers: None,
        };
        let place = self.members.insert(member) as u32;
        let members = &self.members;
        self.by_agent.insert_unique(hash, place, |&other| hasher.hash_one(&*members[other as usize].agent_id));
        place
    }

    fn remove(&mut self, place: u32, session: Option<i64>, c: &mut Circumstances<'_>) {
        let member = self.members.remove(place as usize);
        self.missed.remove(&place);
        let hash = c.hasher.hash_one(&*member.agent_id);
        if let Ok(entry) = self.by_agent.find_entry(hash, |&other| other == place) {
            entry.remove();
        }
        if let Some(session) = session.filter(|_| member.announced) {
            self.announce(&member.agent_id, session, false, c);
        }
    }

    /// Whether this row is that of somebody here, or may be: what was asked for is not yet answered.
    pub(super) fn may_have_row(&self, agent_id: &str, session: i64, hasher: &FixedState) -> bool {
        let row = self.find(agent_id, hasher).map(|place| self.members[place as usize].row);
        row.is_some_and(|row| matches!(row, Row::Asked(_)) || row == Row::Stored(session))
    }

    pub(super) fn member(&mut self, place: u32) -> &mut Member {
        &mut self.members[place as usize]
    }
}
