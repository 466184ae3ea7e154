//! All links of a node, one to each other node of its view.

use super::{
    Node,
    link::{Counted, Effect, Limits, Link, Packet},
};
use crate::realtime::{Moment, NodeSlot, view::View};
use bytes::Bytes;
use std::collections::BTreeMap;

/// The links of one life of one node. It deals out their numbers, so one `Links` serves for all of that life.
#[derive(Debug)]
pub struct Links {
    me: Node,
    limits: Limits,
    /// By the other's slot.
    links: BTreeMap<NodeSlot, Link>,
    /// How many were ever made.
    made: u32,
    bus: bool,
}

impl Links {
    /// None yet; the bus is there.
    pub fn new(me: Node, limits: Limits) -> Links {
        Links { me, limits, links: BTreeMap::new(), made: 0, bus: true }
    }

    /// These are the nodes from now on, we ourselves among them. New ones are greeted. Links to those that are not there any more are
    /// forgotten without a word: whoever has the view knows.
    pub fn view(&mut self, view: &View, now: Moment, out: &mut Vec<Effect>) {
        let nodes: Vec<Node> = view.members().iter().map(Node::from).collect();
        self.links.retain(|_, link| nodes.contains(&link.peer()));
        for node in nodes.iter().filter(|node| node.slot != self.me.slot) {
            if !self.links.contains_key(&node.slot) {
                self.made += 1;
                let mut link = Link::new(self.me, *node, self.made, self.limits, now);
                link.bus(self.bus, now, out);
                link.tick(now, out);
                self.links.insert(node.slot, link);
            }
        }
    }

    /// As [`Link::send`], to the node of that slot. When there is none, nothing happens: it has left the view.
    pub fn send(&mut self, slot: NodeSlot, body: Bytes, now: Moment, out: &mut Vec<Effect>) {
        if let Some(link) = self.links.get_mut(&slot) {
            link.send(body, now, out);
        }
    }

    /// As [`Link::receive`]. False: it is from nobody of the view, and was not taken; whoever it is says it again, and by then the view
    /// may have come.
    pub fn receive(&mut self, packet: Packet, now: Moment, out: &mut Vec<Effect>) -> bool {
        match self.links.get_mut(&packet.header.from.slot) {
            Some(link) if link.peer() == packet.header.from && packet.header.to == self.me => {
                link.receive(packet, now, out);
                true
            }
            _ => false,
        }
    }

    /// As [`Link::bus`], of all.
    pub fn bus(&mut self, there: bool, now: Moment, out: &mut Vec<Effect>) {
        self.bus = there;
        self.links.values_mut().for_each(|link| link.bus(there, now, out));
    }

    /// As [`Link::break_off`], to the node of that slot.
    pub fn break_off(&mut self, slot: NodeSlot, now: Moment, out: &mut Vec<Effect>) {
        if let Some(link) = self.links.get_mut(&slot) {
            link.break_off(now, out);
        }
    }

    /// As [`Link::tick`], of all.
    pub fn tick(&mut self, now: Moment, out: &mut Vec<Effect>) {
        self.links.values_mut().for_each(|link| link.tick(now, out));
    }

    /// When [`Links::tick`] has something to do.
    pub fn deadline(&self) -> Option<Moment> {
        self.links.values().filter_map(Link::deadline).min()
    }

    /// For the metrics: whom it is with, what it did, and the bytes that wait in it.
    pub fn counted(&self) -> impl Iterator<Item = (Node, Counted, usize)> {
        self.links.values().map(|link| (link.peer(), link.counted(), link.held_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::view::Member;

    const NOW: Moment = Moment(5);

    fn node(slot: u8, epoch: u64) -> Node {
        Node { slot: NodeSlot(slot), epoch }
    }

    fn view(nodes: &[Node]) -> View {
        View::new(1, nodes.iter().map(|node| Member { slot: node.slot, epoch: node.epoch, shards: 1 }).collect())
    }

    /// Delivers what each says to the other, until nobody says anything; what else was to be done is returned.
    fn run(ends: &mut [&mut Links], mut effects: Vec<Effect>) -> Vec<Effect> {
        let mut others = Vec::new();
        while !effects.is_empty() {
            let mut next = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Send(packet) => {
                        let to = ends.iter_mut().find(|end| end.me == packet.header.to);
                        let _known = to.is_some_and(|end| end.receive(packet, NOW, &mut next));
                    }
                    other => others.push(other),
                }
            }
            effects = next;
        }
        others
    }

    #[test]
    fn each_node_of_the_view_has_a_link_and_a_new_life_has_a_new_one() {
        let (one, two, again) = (node(1, 1), node(2, 2), node(2, 3));
        let [mut a, mut b, mut c] = [one, two, again].map(|node| Links::new(node, Limits::DEFAULT));
        let mut out = Vec::new();
        a.view(&view(&[one, two]), NOW, &mut out);
        b.view(&view(&[one, two]), NOW, &mut out);
        a.send(NodeSlot(2), Bytes::from_static(b"first"), NOW, &mut out);
        let delivered = |body: &'static [u8]| vec![Effect::Deliver { from: one, body: Bytes::from_static(body) }];
        assert_eq!(run(&mut [&mut a, &mut b], out), delivered(b"first"));
        let mut out = Vec::new();
        a.view(&view(&[one, again]), NOW, &mut out);
        c.view(&view(&[one, again]), NOW, &mut out);
        a.send(NodeSlot(2), Bytes::from_static(b"second"), NOW, &mut out);
        assert_eq!(run(&mut [&mut a, &mut b, &mut c], out), delivered(b"second"), "to the new life alone, and nobody broke");
        assert_eq!(a.counted().map(|(node, ..)| node).collect::<Vec<_>>(), [again]);
    }

    #[test]
    fn strangers_are_not_heard_and_who_has_left_is_not_written_to() {
        let (one, two) = (node(1, 1), node(2, 2));
        let [mut a, mut b] = [one, two].map(|node| Links::new(node, Limits::DEFAULT));
        let mut out = Vec::new();
        b.view(&view(&[one, two]), NOW, &mut out);
        let Some(Effect::Send(hello)) = out.pop() else { panic!("it greets") };
        assert!(!a.receive(hello, NOW, &mut out));
        a.send(NodeSlot(2), Bytes::from_static(b"x"), NOW, &mut out);
        a.break_off(NodeSlot(2), NOW, &mut out);
        assert_eq!((out, a.deadline()), (vec![], None));
    }

    #[test]
    fn a_link_that_is_made_while_the_bus_is_gone_greets_when_it_is_back() {
        let mut links = Links::new(node(1, 1), Limits::DEFAULT);
        let mut out = Vec::new();
        links.bus(false, NOW, &mut out);
        links.view(&view(&[node(1, 1), node(2, 2)]), NOW, &mut out);
        assert_eq!((out.len(), links.deadline()), (0, None));
        links.bus(true, NOW, &mut out);
        assert!(matches!(out.as_slice(), [Effect::Send(_)]));
        out.clear();
        links.tick(links.deadline().unwrap(), &mut out);
        assert!(matches!(out.as_slice(), [Effect::Send(_)]));
    }
}
