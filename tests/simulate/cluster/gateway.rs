//! What a node's gateway does: letters of its shards become bodies of links, what links deliver comes to shards, views make links.

use super::{bus::peer_of, faults::Fault, node::Arrival, store::Peer, world::Cluster};
use crate::{faults::double, world::note};
use homeroom::{
    cluster::{
        Effect, Packet,
        codec::{Letters, read_letters},
    },
    engine::{Letter, Topic},
    protocols::{presence::ToHome, quiz::ToQuiz},
    realtime::{NodeSlot, ShardId},
};
use std::{collections::BTreeMap, mem};

impl Cluster {
    /// Puts what a shard has to say on its way.
    pub(crate) fn post(&mut self, peer: Peer, from: ShardId, letters: Vec<(ShardId, Letter)>) {
        for (to, letter) in letters {
            if self.is_lost(&letter) {
                note!(self, "lost: {from} -> {to}: {letter:?}");
                continue;
            }
            if to.node() == from.node() {
                self.bus.within(peer, from, to).push_back(letter);
                continue;
            }
            let doubles = matches!(letter, Letter::Publish { .. }) && self.strikes(Fault::DoubledFrame, 20);
            let hastens = matches!(letter, Letter::ViewReached { .. }) && self.strikes(Fault::HastyReached, 70);
            let again = doubles.then(|| double(&letter));
            let Some(node) = self.nodes.get_mut(&peer) else { return };
            let outbox = &mut node.outboxes[from.index()];
            let begins = |(own, letter): &(ShardId, Letter)| *own == to && matches!(letter, Letter::ViewBegins { .. });
            let place = if hastens { outbox.iter().rposition(begins).map_or(0, |at| at + 1) } else { outbox.len() };
            outbox.insert(place, (to, letter));
            outbox.extend(again.map(|letter| (to, letter)));
        }
    }

    fn is_lost(&mut self, letter: &Letter) -> bool {
        match letter {
            Letter::Home(ToHome::Resume { .. }) => self.strikes(Fault::LostResume, 20),
            Letter::Home(ToHome::Bequest(_)) => self.strikes(Fault::LostBequest, 60),
            Letter::Home(ToHome::Leave { .. }) => self.strikes(Fault::LostLeave, 5),
            Letter::Home(ToHome::Told { .. }) => self.strikes(Fault::LostTold, 20),
            Letter::ViewReached { .. } => self.strikes(Fault::LostReached, 2),
            Letter::Publish { topic: Topic::Classroom(_), .. } => self.strikes(Fault::LostFrame, 5),
            Letter::Publish { topic: Topic::Quiz(..), .. } => self.strikes(Fault::LostEvent, 5),
            Letter::QuizHome(ToQuiz::Watch { .. } | ToQuiz::Admit { .. }) => self.strikes(Fault::LostWatch, 10),
            _ => false,
        }
    }

    pub(crate) fn some_gateway(&mut self) {
        let peers: Vec<Peer> = self.nodes.keys().copied().collect();
        if !peers.is_empty() {
            let peer = *self.dice.pick(&peers);
            self.gateway(peer);
        }
    }

    /// A turn of a gateway: takes what the shards have for other nodes, and looks at the time. Whether there was anything.
    pub(crate) fn gateway(&mut self, peer: Peer) -> bool {
        let now = self.now.moment;
        let Some(node) = self.nodes.get_mut(&peer) else { return false };
        let (mut bodies, mut effects): (BTreeMap<NodeSlot, Letters>, _) = (BTreeMap::new(), Vec::new());
        for (local, outbox) in node.outboxes.iter_mut().enumerate() {
            for (to, letter) in outbox.drain(..) {
                // Whoever is not there any more is not written to.
                if node.others.contains(&to.node()) {
                    bodies.entry(to.node()).or_default().push(ShardId::of(peer.0, local as u8), to, letter);
                }
            }
        }
        for (slot, mut letters) in bodies {
            match letters.write() {
                Ok(body) => node.links.send(slot, body, now, &mut effects),
                Err(_) => node.links.break_off(slot, now, &mut effects),
            }
        }
        if node.links.deadline().is_some_and(|due| due <= now) {
            node.links.tick(now, &mut effects);
        }
        let moved = !effects.is_empty();
        self.carry_out(peer, effects);
        moved
    }

    pub(crate) fn packet_comes(&mut self, to: Peer, packet: Packet) {
        let (now, mut effects) = (self.now.moment, Vec::new());
        let Some(node) = self.nodes.get_mut(&to) else { return };
        node.links.receive(packet, now, &mut effects);
        self.carry_out(to, effects);
    }

    pub(crate) fn break_link(&mut self, peer: Peer, other: NodeSlot) {
        let (now, mut effects) = (self.now.moment, Vec::new());
        let Some(node) = self.nodes.get_mut(&peer) else { return };
        node.links.break_off(other, now, &mut effects);
        self.carry_out(peer, effects);
    }

    /// Does what the links of a node want done.
    pub(crate) fn carry_out(&mut self, peer: Peer, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(packet) => {
                    if !self.bus.put(packet, &mut self.dice, self.calm) {
                        self.count("lost packets");
                    }
                }
                Effect::Deliver { from, body } => {
                    let letters = read_letters(&body).expect("what a node of this version wrote");
                    let Some(node) = self.nodes.get_mut(&peer) else { return };
                    for own in letters {
                        assert_eq!(own.from.node(), from.slot);
                        if let Some(inbox) = node.inboxes.get_mut(own.to.index()) {
                            inbox.push_back(Arrival::Letter(own.from, own.letter));
                        }
                    }
                }
                Effect::Broke { peer: other, why } => {
                    note!(self, "{peer:?}: its link to {:?} broke: {why:?}", peer_of(other));
                    self.count("links that broke");
                    if !self.strikes(Fault::UntoldBreak, 50) {
                        self.tell_shards(peer, || Arrival::Estranged(other.slot));
                    }
                }
            }
        }
    }

    pub(crate) fn tell_shards(&mut self, peer: Peer, arrival: impl Fn() -> Arrival) {
        let node = self.nodes.get_mut(&peer);
        node.into_iter().flat_map(|node| &mut node.inboxes).for_each(|inbox| inbox.push_back(arrival()));
    }

    /// A gateway hears of the next view, or of its first. Whether there was one.
    pub(crate) fn tell_view(&mut self, peer: Peer) -> bool {
        if !self.store.is_member(peer) {
            return false;
        }
        let Some(node) = self.nodes.get_mut(&peer) else { return false };
        let next = if node.known == 0 { Some(node.first.clone()) } else { self.store.views.get(node.known as usize).cloned() };
        let Some(ring) = next else { return false };
        let (view, now, mut effects) = (ring.view().clone(), self.now.moment, Vec::new());
        if view.number() == node.known {
            return false;
        }
        node.known = view.number();
        node.links.view(&view, now, &mut effects);
        node.others = view.members().iter().map(|member| member.slot).filter(|slot| *slot != peer.0).collect();
        note!(self, "{peer:?} hears of view {}", view.number());
        self.tell_shards(peer, || Arrival::View(ring.clone()));
        self.carry_out(peer, mem::take(&mut effects));
        true
    }
}
