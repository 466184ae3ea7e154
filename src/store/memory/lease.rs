//! Leases in memory: a clock that stands until it is set, and nothing that happens by itself.

use super::{Live, MemoryStore};
use crate::{
    protocols::presence::record,
    realtime::{StoreFault, UnixMicros},
    store::{Buried, Ended, Lease, LeaseFault, Member, Read, Tenure},
};
use std::{collections::BTreeMap, time::Duration};

/// Who holds a slot.
struct Node {
    tenure: Tenure,
    name: String,
    lease_until: i64,
    /// Without a gap.
    held_since: i64,
    seen_at: UnixMicros,
}

/// Every node, by slot, and the clock that they are reckoned with: microseconds.
pub(super) struct Nodes {
    all: BTreeMap<u16, Node>,
    last_epoch: i64,
    now: i64,
    lease: i64,
}

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes { all: BTreeMap::new(), last_epoch: 0, now: 0, lease: 6_000_000 }
    }
}

impl Nodes {
    pub(super) fn has(&self, tenure: Tenure) -> bool {
        self.node(tenure).is_some()
    }

    /// Whether a node holds this epoch.
    pub(super) fn has_epoch(&self, epoch: i64) -> bool {
        self.all.values().any(|node| node.tenure.epoch == epoch)
    }

    fn node(&self, tenure: Tenure) -> Option<&Node> {
        self.all.get(&tenure.slot).filter(|node| node.tenure == tenure)
    }

    /// A fresh tenure, and the one of the same name that it takes the place of.
    pub(super) fn take(&mut self, name: &str) -> Result<(Tenure, Option<(Tenure, UnixMicros)>), LeaseFault> {
        let before = self.all.values().find(|node| node.name == name).map(|node| (node.tenure, node.seen_at));
        if let Some((tenure, _)) = before {
            if self.runs(tenure) {
                return Err(LeaseFault::Alive);
            }
            self.remove(tenure);
        }
        let slot = (0..u16::MAX).find(|slot| !self.all.contains_key(slot)).ok_or(LeaseFault::Full)?;
        self.last_epoch += 1;
        let tenure = Tenure { slot, epoch: self.last_epoch };
        let node = Node {
            tenure,
            name: name.to_owned(),
            lease_until: self.now.saturating_add(self.lease),
            held_since: self.now,
            seen_at: UnixMicros(self.now),
        };
        self.all.insert(slot, node);
        Ok((tenure, before))
    }

    pub(super) fn remove(&mut self, tenure: Tenure) {
        if self.has(tenure) {
            self.all.remove(&tenure.slot);
        }
    }

    fn runs(&self, tenure: Tenure) -> bool {
        self.node(tenure).is_some_and(|node| node.lease_until > self.now)
    }

    /// Whether a node has held its lease for long enough to know that others are dead.
    fn is_settled(&self, tenure: Tenure) -> bool {
        self.node(tenure).is_some_and(|node| node.held_since.saturating_add(self.lease) < self.now)
    }

    fn renew(&mut self, tenure: Tenure) -> Result<(), LeaseFault> {
        let (now, lease) = (self.now, self.lease);
        let node = self.all.get_mut(&tenure.slot).filter(|node| node.tenure == tenure).ok_or(LeaseFault::Lost)?;
        if node.lease_until < now {
            node.held_since = now;
        }
        node.lease_until = now.saturating_add(lease);
        node.seen_at = UnixMicros(now);
        Ok(())
    }
}

impl MemoryStore {
    /// What the clock says with which the leases of all nodes are reckoned.
    pub fn set_time(&self, now: UnixMicros) {
        self.kept().nodes.now = now.0;
    }

    /// How long a lease lasts that is taken or renewed from now on, for all nodes.
    pub fn set_lease(&self, lease: Duration) {
        self.kept().nodes.lease = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
    }
}

impl Lease for MemoryStore {
    fn tenure(&self) -> Option<Tenure> {
        self.state().tenure
    }

    fn take(&self) -> Result<Tenure, LeaseFault> {
        self.readable()?;
        let mut state = self.state();
        let mut kept = self.kept();
        if let Some(held) = state.tenure {
            return Ok(held);
        }
        let (tenure, before) = kept.nodes.take(&self.name)?;
        state.predecessor = before.map(|(before, seen_at)| (before, kept.end_with_answers(before, seen_at)));
        state.tenure = Some(tenure);
        Ok(tenure)
    }

    fn predecessor(&self) -> Option<(Tenure, Vec<Ended>)> {
        self.state().predecessor.take()
    }

    fn renew(&self) -> Result<(), LeaseFault> {
        self.readable()?;
        let mut state = self.state();
        let renewed = self.kept().nodes.renew(state.tenure.ok_or(LeaseFault::Lost)?);
        if renewed.is_err() {
            state.tenure = None;
        }
        renewed
    }

    fn members(&self) -> Read<Vec<Member>> {
        self.readable()?;
        let own = self.state().tenure;
        let kept = self.kept();
        let knows = own.is_some_and(|own| kept.nodes.is_settled(own));
        let member = |node: &Node| Member {
            tenure: node.tenure,
            name: node.name.clone(),
            address: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            is_alive: !knows || kept.nodes.runs(node.tenure),
        };
        Ok(kept.nodes.all.values().map(member).collect())
    }

    fn release(&self) -> Result<(), StoreFault> {
        self.readable()?;
        let Some(tenure) = self.state().tenure.take() else { return Ok(()) };
        let mut kept = self.kept();
        if let Some(seen_at) = kept.nodes.node(tenure).map(|node| node.seen_at) {
            kept.end_with_answers(tenure, seen_at);
            kept.nodes.remove(tenure);
        }
        Ok(())
    }

    fn live(&self) -> Read<Vec<record::Buried>> {
        self.readable()?;
        let kept = self.kept();
        let live = kept.live.iter().map(|(&session, Live { key: (classroom, agent_id), .. })| record::Buried {
            classroom: *classroom,
            agent_id: agent_id.clone(),
            session,
            is_over: false,
        });
        Ok(live.collect())
    }

    fn bury(&self, dead: Tenure) -> Result<Buried, LeaseFault> {
        self.readable()?;
        let own = self.state().tenure.ok_or(LeaseFault::Lost)?;
        let mut kept = self.kept();
        if !kept.nodes.has(own) {
            return Err(LeaseFault::Lost);
        }
        let Some(seen_at) = kept.nodes.node(dead).map(|node| node.seen_at) else { return Ok(Buried::Before) };
        if kept.nodes.runs(dead) || !kept.nodes.is_settled(own) {
            return Err(LeaseFault::Alive);
        }
        kept.nodes.remove(dead);
        Ok(Buried::Here(kept.end_with_answers(dead, seen_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        Store,
        tests::{entered, entering, everything, row, tasks, ticket},
    };

    fn at(seconds: i64) -> UnixMicros {
        UnixMicros(seconds * 1_000_000)
    }

    fn enter(store: &MemoryStore, agent_id: &str, micros: i64) -> Result<i64, StoreFault> {
        store.enter(ticket(0), entering(agent_id, micros)).expect("room");
        entered(store.take_answers()[0]).result
    }

    #[test]
    fn a_node_that_was_buried_writes_nothing() {
        let one = MemoryStore::new(8);
        let other = one.beside("other");
        assert_eq!(enter(&other, "a", 1), Err(StoreFault::Failed), "it holds nothing yet");
        let second = other.take().expect("a slot");
        assert_eq!(enter(&other, "a", 1), Ok(1));
        one.set_time(at(5));
        one.renew().expect("held");
        assert_eq!(one.bury(second), Err(LeaseFault::Alive));
        one.set_time(at(7));
        let Ok(Buried::Here(ended)) = one.bury(second) else { panic!("its lease has run out") };
        assert_eq!(ended.iter().map(|ended| &*ended.agent_id).collect::<Vec<_>>(), ["a"]);
        assert_eq!(one.bury(second), Ok(Buried::Before));
        assert_eq!(enter(&other, "b", 2), Err(StoreFault::Failed));
        assert_eq!((other.tenure(), other.renew()), (None, Err(LeaseFault::Lost)));
        assert_ne!(other.take(), Ok(second), "a fresh one");
        assert_eq!(enter(&other, "b", 3), Ok(2));
        assert_eq!(everything(&one), [row("a", 1, 1), row("b", 3, None)]);
    }

    #[test]
    fn what_a_node_left_of_tasks_is_found_when_it_is_no_more() {
        let one = MemoryStore::new(32);
        let other = one.beside("other");
        let second = other.take().expect("a slot");
        tasks::what_a_node_left_is_found_when_it_is_no_more(&one, &other, || {
            one.set_time(at(5));
            one.renew().expect("held");
            one.set_time(at(7));
            assert!(matches!(one.bury(second), Ok(Buried::Here(_))));
        });
    }

    #[test]
    fn who_could_not_renew_takes_nobody_for_dead() {
        let one = MemoryStore::new(8);
        let other = one.beside("other");
        let second = other.take().expect("a slot");
        one.set_time(at(30));
        one.renew().expect("nobody buried it");
        assert_eq!(one.bury(second), Err(LeaseFault::Alive), "the other has its time to come back");
        assert!(one.members().expect("readable").iter().all(|member| member.is_alive));
        one.set_time(at(35));
        one.renew().expect("held");
        one.set_time(at(37));
        assert!(matches!(one.bury(second), Ok(Buried::Here(_))));
    }

    #[test]
    fn the_second_sign_in_ends_the_first_wherever_it_is() {
        let one = MemoryStore::new(8);
        let other = one.beside("other");
        other.take().expect("a slot");
        assert_eq!(enter(&one, "a", 10), Ok(1));
        assert_eq!(enter(&other, "a", 20), Ok(2));
        assert_eq!(one.live_sessions(), 1);
        assert_eq!(everything(&other), [row("a", 10, None)]);
    }
}
