//! Nodes that are no more, with their rooms: those who were there are left to the rooms' next homes; and what such a death has left behind
//! all the same.

use super::Engine;
use crate::{
    protocols::presence::{
        Reconciled, ToHome,
        letters::{Agent, Bequest, Cuts, HEIRS_A_LETTER, Heir},
        record::{Buried, Census},
    },
    realtime::{ClassroomId, HashRing, NodeSlot, Now},
};
use std::collections::BTreeMap;

impl Engine {
    /// This node has buried another one, named by its slot and epoch, and these were in any room then, whichever node they were on. To be
    /// told to one shard, before the view that is without that node. Of its own last life it is told before its first view, and only those
    /// whose home was there too: nobody else knows of these, and a home that has heard all that was to be said of a view hears no more
    /// of it.
    pub fn mourn(&mut self, node: (NodeSlot, u64), buried: Vec<Buried>) {
        self.crossing.mourned.entry(node).or_default().extend(buried);
    }

    /// Whoever was in a room whose home died, on that node or on another, is left to the room's next home: so he is told of, and his row
    /// ends, unless he comes again. Whose row ended with a node that had taken it over from him comes again too. Homes that live know of
    /// them without this.
    pub(super) fn bequeath_buried(&mut self, is_first: bool) {
        let view = self.ring.view();
        // Until a view is reached a former home may not have left all that it had to leave.
        let homes = &self.crossing.earlier;
        let was_known = |slot: NodeSlot, epoch: u64| homes.iter().any(|ring| ring.view().epoch(slot) == Some(epoch));
        // Whoever was to say of an earlier death who was there may be the one who died now.
        let is_gone = |ring: &HashRing, slot: NodeSlot| ring.view().epoch(slot) != view.epoch(slot);
        let is_bereft = |one: &Buried| homes.iter().any(|ring| is_gone(ring, ring.home(one.classroom.as_bytes()).node()));
        let mut bereft = Vec::new();
        for ((slot, epoch), buried) in self.crossing.mourned.extract_if(.., |(slot, epoch), _| view.epoch(*slot) != Some(*epoch))
        {
            // Of a life that came and went while nobody here knew of it no home here has anything.
            let is_of_here = |one: &Buried| is_first || was_known(slot, epoch) && is_bereft(one);
            bereft.extend(buried.into_iter().filter(is_of_here));
        }
        self.bequeath(bereft);
    }

    /// Holds rows of the store, read by this view, against who is in the rooms here. While homes move nobody can.
    pub(super) fn census(&mut self, view: u64, census: &Census, now: Now) {
        if !self.is_whole() || view != self.ring.view().number() {
            return self.homes.forget_census();
        }
        let mut reconciled = Reconciled::default();
        self.with_homes(|homes, out| reconciled = homes.census(census, now, out));
        self.counters.stray_rows.add(reconciled.rows);
        self.counters.rowless_members.add(reconciled.members);
    }

    fn bequeath(&mut self, bereft: Vec<Buried>) {
        let mut rooms: BTreeMap<ClassroomId, Vec<Heir>> = BTreeMap::new();
        for Buried { classroom, agent_id, session, is_over } in bereft {
            let agent = Agent { id: agent_id, cuts: Cuts::UNKNOWN };
            rooms.entry(classroom).or_default().push(Heir { agent, session, announced: true, is_over, missed: None });
        }
        for (classroom, mut heirs) in rooms {
            while !heirs.is_empty() {
                let members = heirs.split_off(heirs.len().saturating_sub(HEIRS_A_LETTER));
                let bequest = Bequest { classroom, view: None, is_whole: false, last_published: 0, members };
                self.leave_to_home(ToHome::Bequest(Box::new(bequest)));
            }
        }
    }
}
