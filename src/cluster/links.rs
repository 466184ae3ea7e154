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
