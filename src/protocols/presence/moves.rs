//! A room whose home changes, or that has lost somebody's word: what it leaves behind, what it takes over, and who is still there.

use super::{
    asks::Ask,
    handover::{BEQUEATHED, Missed},
    homes::Outcome,
    letters::{Agent, Bequest, FromHome, HEIRS_A_LETTER, Heir, Held, ToHome},
    room::{Circumstances, Room, Row},
};
use crate::realtime::{ConnId, NodeSlot, ShardId, UnixMicros, table::Key};
use std::sync::Arc;

impl Room {
    /// A connection that is signed in comes to a home that does not know it, or may not. Nobody is told.
    pub(super) fn resume(&mut self, conn: ConnId, held: Held, c: &mut Circumstances<'_>) {
        let Some(place) = self.find(&held.agent.id, c.hasher) else {
            return self.settle_in(conn, held, c);
        };
        if self.member(place).owner == Some(conn) {
            return;
        }
        if self.untold.remove(&(place, conn)) {
            self.member(place).untold -= 1;
        }
        self.dismiss(place, conn, c);
    }

    fn settle_in(&mut self, conn: ConnId, held: Held, c: &mut Circumstances<'_>) {
        let place = self.add(held.agent, c.hasher);
        let member = self.member(place);
        (member.row, member.node) = (Row::Stored(held.session), Some(conn.shard.node()));
        member.former = member.node;
        (member.owner, member.seated, member.announced) = (Some(conn), true, true);
        self.count(conn.shard);
    }

    /// A connection that waits asks again, since an answer may have been lost.
    pub(super) fn answer_again(&mut self, place: u32, conn: ConnId, c: &mut Circumstances<'_>) -> Option<(u32, Row)> {
        let member = self.member(place);
        if let (Row::Stored(session), true) = (member.row, member.seated) {
            c.out.push(Outcome::Tell(conn, FromHome::Seated { place, session }));
        }
        None
    }

    /// The owners and former owners that are on these shards, each with its place.
    pub(super) fn strangers(&self, is_there: &dyn Fn(ShardId) -> bool) -> Vec<(u32, ConnId)> {
        let owners = self.members.iter().filter_map(|(place, member)| Some((place as u32, member.owner?)));
        owners.chain(self.untold.iter().copied()).filter(|(_, conn)| is_there(conn.shard)).collect()
    }

    /// These nodes are no more, and with them their rows.
    pub(super) fn lose_rows(&mut self, is_gone: &dyn Fn(NodeSlot) -> bool) {
        let gone = self.members.iter_mut().filter(|(_, member)| member.node.is_some_and(is_gone));
        gone.for_each(|(_, member)| member.node = None);
    }

    /// A connection is not there any more: what it owned it has left, and what it owed is owed no more.
    pub(super) fn lose(&mut self, (place, conn): (u32, ConnId), at: UnixMicros, c: &mut Circumstances<'_>) {
        self.part(place, conn, at, c);
        self.told(place, conn, at, c);
    }

    /// Rows that were given to another node than that of the connection that was signed in last, whose next one is not in yet: each place,
    /// that node, the session's number and the agent.
    pub(super) fn given_away(&self) -> Vec<(u32, NodeSlot, i64, Arc<str>)> {
        let given = self.members.iter().filter(|(_, member)| !member.seated && member.former != member.node);
        let given = given.filter_map(|(place, member)| match member.row {
            Row::Stored(session) if member.node.is_some() => {
                Some((place as u32, member.former?, session, member.agent_id.clone()))
            }
            Row::Stored(_) | Row::Asked(_) | Row::None => None,
        });
        given.collect()
    }

    /// The room's home is elsewhere from now on: what that must know, and who waits here for something. `had`: the number that a session
    /// has whose row was asked for once more, for another node. `is_whole`: whether it was taken over from its former home, if it had one.
    pub(super) fn bequeath(mut self, (view, is_whole): (u64, bool), had: &dyn Fn(Key) -> Option<i64>, c: &mut Circumstances<'_>) {
        self.tick(c);
        let (classroom, last_published) = (self.id, self.last_published);
        let (mut heirs, mut bytes_left) = (Vec::new(), BEQUEATHED);
        for (place, member) in self.members {
            for (asker, number) in member.closers.into_iter().flat_map(|closers| *closers) {
                let ask = Box::new(Ask::Close { classroom, agent_id: member.agent_id.to_string() });
                c.out.push(Outcome::Pass(ToHome::Ask { asker, number, ask }));
            }
            let session = match member.row {
                Row::Stored(session) => Some(session),
                Row::Asked(ticket) => had(ticket),
                Row::None => None,
            };
            if let Some(session) = session {
                let agent = Agent { id: member.agent_id, cuts: member.cuts };
                let missed = self.missed.remove(&(place as u32)).map(|missed| missed.bequeath(&mut bytes_left));
                heirs.push(Heir { agent, session, announced: member.announced, is_over: false, missed });
            }
        }
        while !heirs.is_empty() {
            let members = heirs.split_off(heirs.len().saturating_sub(HEIRS_A_LETTER));
            c.out.push(Outcome::Pass(ToHome::Bequest(Box::new(Bequest {
                classroom,
                view: Some(view),
                is_whole,
                last_published,
                members,
            }))));
        }
    }

    /// Whether nobody owns a place that was inherited.
    pub(super) fn is_awaited(&self, place: u32) -> bool {
        self.members.get(place as usize).is_some_and(|member| member.owner.is_none())
    }

    /// Takes over those who have not resumed, until it is known whether they come: what is said meanwhile is kept for them. Whoever has
    /// resumed was never told that another has his key: he hears what he has not heard. Of what was more than is kept nothing can be told
    /// him. Whose row is over, since a node that died had taken it over from him, comes again: he has left, as all were told of whom it was
    /// known. Returns the places of the others.
    pub(super) fn inherit(&mut self, bequest: Bequest, at: UnixMicros, c: &mut Circumstances<'_>) -> Vec<u32> {
        self.last_published = self.last_published.max(bequest.last_published);
        let mut places = Vec::new();
        for heir in bequest.members {
            if let Some(place) = self.find(&heir.agent.id, c.hasher) {
                if heir.is_over && self.member(place).row == Row::Stored(heir.session) {
                    self.end_bereft(place, at, c);
                } else if let Some(owner) = self.member(place).owner {
                    let unheard = heir.missed.into_iter().flat_map(|gap| gap.said).filter(|said| !said.is_heard);
                    c.out.extend(unheard.map(|said| Outcome::Deliver(owner, said.frame)));
                }
                continue;
            }
            let place = self.add(heir.agent, c.hasher);
            self.missed.insert(place, Missed::of(heir.missed.unwrap_or_default()));
            let member = self.member(place);
            // Which life of which node has the row nobody here can tell: whoever comes asks for it.
            (member.row, member.announced) = (Row::Stored(heir.session), heir.announced);
            places.push(place);
        }
        places
    }

    /// The row of a place is not there any more: whoever has it comes again, or has left where he is nowhere.
    pub(super) fn end_rowless(&mut self, place: u32, at: UnixMicros, c: &mut Circumstances<'_>) {
        if self.is_awaited(place) { self.advance(place, at, c) } else { self.end_bereft(place, at, c) }
    }

    /// The row of a place is over, and who has it lives.
    fn end_bereft(&mut self, place: u32, at: UnixMicros, c: &mut Circumstances<'_>) {
        let Some(owner) = self.member(place).owner else { return };
        c.out.push(Outcome::Tell(owner, FromHome::Bereft));
        self.part(place, owner, at, c);
    }
}
