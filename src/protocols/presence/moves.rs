//! A room whose home changes, or that has lost somebody's word: what it leaves behind, what it takes over, and who is still there.

use super::{
    asks::Ask,
    homes::Outcome,
    letters::{Agent, Bequest, HEIRS_A_LETTER, Heir, Held, ToHome},
    room::{Circumstances, Room, Row},
};
use crate::realtime::{ConnId, NodeSlot, ShardId, UnixMicros};

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
        (member.owner, member.seated, member.announced) = (Some(conn), true, true);
        self.count(conn.shard);
    }

    /// A connection that waits asks again, since an answer may have been lost.
    pub(super) fn answer_again(&mut self, place: u32, conn: ConnId, c: &mut Circumstances<'_>) -> Option<(u32, Row)> {
        let member = self.member(place);
        if let (Row::Stored(session), true) = (member.row, member.seated) {
            c.out.push(Outcome::Tell(conn, super::FromHome::Seated { place, session }));
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

    /// The room's home is elsewhere from now on: what that must know, and who waits here for something.
    pub(super) fn bequeath(mut self, view: u64, c: &mut Circumstances<'_>) {
        self.tick(c);
        let (classroom, last_published) = (self.id, self.last_published);
        let mut heirs = Vec::new();
        for (_, member) in self.members {
            for (asker, number) in member.closers.into_iter().flat_map(|closers| *closers) {
                let ask = Box::new(Ask::Close { classroom, agent_id: member.agent_id.to_string() });
                c.out.push(Outcome::Pass(ToHome::Ask { asker, number, ask }));
            }
            if let Row::Stored(session) = member.row {
                let agent = Agent { id: member.agent_id, cuts: member.cuts };
                heirs.push(Heir { agent, session, announced: member.announced });
            }
        }
        while !heirs.is_empty() {
            let members = heirs.split_off(heirs.len().saturating_sub(HEIRS_A_LETTER));
            c.out.push(Outcome::Pass(ToHome::Bequest(Box::new(Bequest {
                classroom,
                view: Some(view),
                last_published,
                members,
            }))));
        }
    }

    /// Whether nobody owns a place that was inherited.
    pub(super) fn is_awaited(&self, place: u32) -> bool {
        self.members.get(place as usize).is_some_and(|member| member.owner.is_none())
    }

    /// Takes over those who have not resumed, until it is known whether they come. Returns their places.
    pub(super) fn inherit(&mut self, bequest: Bequest, c: &mut Circumstances<'_>) -> Vec<u32> {
        self.last_published = self.last_published.max(bequest.last_published);
        let mut places = Vec::new();
        for heir in bequest.members {
            if self.find(&heir.agent.id, c.hasher).is_some() {
                continue;
            }
            let place = self.add(heir.agent, c.hasher);
            let member = self.member(place);
            // Which life of which node has the row nobody here can tell: whoever comes asks for it.
            (member.row, member.announced) = (Row::Stored(heir.session), heir.announced);
            places.push(place);
        }
        places
    }
}
