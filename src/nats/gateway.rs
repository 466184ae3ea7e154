//! The one of a node through whom all letters to and from other nodes go.
//!
//! A turn: views, what came from the bus, letters of the shards, time. What a turn brought for a node is one body, and so one message as
//! long as it is not large. While a shard has more than it takes nothing is read from the bus: what comes waits there, and links slow down
//! those that send it.

mod asides;

use super::{
    access::Line,
    codec::Codec,
    counts::{Counts, add, set},
};
use crate::{
    cluster::{Effect, Limits, Links, Node, Packet},
    realtime::{HashRing, Moment, NodeSlot},
    runtime::{Arrival, Clock, Gate},
};
use asides::{Asides, Word};
use async_nats::{Client, Message, Subscriber, connection::State};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

/// Letters of each shard, and messages, taken in one turn.
const TURN: usize = 1_024;
/// How often the node says something to itself by the bus.
const ECHO: Duration = Duration::from_secs(1);
/// What it said to itself so long ago does not tell any more that it hears.
const DEAF: Duration = Duration::from_secs(3);
/// For what was said last to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Before a shard whose queue was full is tried again.
const SPILL: Duration = Duration::from_millis(1);

/// What the house tells the gateway, in order.
#[derive(Debug)]
pub enum News<M> {
    /// Who is in the cluster from now on.
    View(Arc<HashRing>),
    /// This node has buried that one, and with it this.
    Mourn(Node, M),
}

/// Who this node is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Me {
    /// Its slot and epoch.
    pub node: Node,
    /// What all subjects begin with.
    pub prefix: String,
}

impl Me {
    fn subject(&self, node: Node) -> String {
        format!("{}.node.{}.{}", self.prefix, node.slot, node.epoch)
    }
}

/// See the file.
pub struct Gateway<C: Codec, M> {
    me: Me,
    client: Client,
    inbox: Subscriber,
    asides: Asides,
    /// How often a connection came or went; odd while there is one.
    changes: watch::Receiver<u64>,
    news: mpsc::Receiver<News<M>>,
    gate: Gate<C::Letter, M>,
    links: Links,
    /// Who is in the cluster; none before the first view.
    ring: Option<Arc<HashRing>>,
    /// The slots of the other nodes.
    others: BTreeSet<NodeSlot>,
    codec: C,
    effects: Vec<Effect>,
    clock: Clock,
    counts: Arc<Counts>,
    known_change: u64,
    echo_at: Moment,
    heard_at: Option<Moment>,
    /// What the links had resent when that was last added up.
    resent: u64,
}

impl<C: Codec, M> Gateway<C, M> {
    /// Subscribes to what is for this node. `news` brings who is in the cluster, from the first on.
    ///
    /// # Errors
    /// When the client has ended.
    pub async fn open(
        me: Me,
        (client, changes): Line,
        news: mpsc::Receiver<News<M>>,
        (gate, codec): (Gate<C::Letter, M>, C),
        clock: Clock,
        counts: Arc<Counts>,
    ) -> Result<Gateway<C, M>, async_nats::SubscribeError> {
        let inbox = client.subscribe(me.subject(me.node)).await?;
        let asides = Asides::open(&me, &client).await?;
        let mut links = Links::new(me.node, Limits::DEFAULT);
        // Until a connection is known to be there.
        links.bus(false, clock.moment(), &mut Vec::new());
        Ok(Gateway {
            me,
            client,
            inbox,
            asides,
            changes,
            news,
            gate,
            links,
            ring: None,
            others: BTreeSet::new(),
            codec,
            effects: Vec::new(),
            clock,
            counts,
            known_change: 0,
            echo_at: Moment::default(),
            heard_at: None,
            resent: 0,
        })
    }

    /// Runs until nobody brings news any more.
    pub async fn run(mut self) {
        let mut changes = self.changes.clone();
        // Shards have the first view already: what they say by it would be for nodes that nobody knows here yet.
        while self.ring.is_none() {
            let Some(news) = self.news.recv().await else { return };
            self.hear(news);
        }
        loop {
            let wake = Instant::now() + self.wait();
            let reads = self.gate.spilled() == 0;
            tokio::select! {
                news = self.news.recv() => match news {
                    Some(news) => self.hear(news),
                    None => return self.end().await,
                },
                message = self.inbox.next(), if reads => match message {
                    Some(message) => self.messages(message),
                    // The client has ended, and with it the process will.
                    None => return,
                },
                word = self.asides.next() => match word {
                    Some(word) => self.aside(word),
                    None => return,
                },
                () = self.gate.letters() => self.letters(),
                _ = changes.changed() => {}
                () = sleep_until(wake) => {}
            }
            self.finish();
            // Shards that always have something must not keep the connection's own task from the thread.
            tokio::task::yield_now().await;
        }
    }

    /// The shards have ended: what they said last goes out.
    async fn end(mut self) {
        self.letters();
        self.finish();
        let _ = timeout(LAST_WORDS, self.client.flush()).await;
    }

    /// Until something is due.
    fn wait(&self) -> Duration {
        if self.gate.spilled() > 0 {
            return SPILL;
        }
        let due = self.links.deadline().map_or(self.echo_at, |deadline| deadline.min(self.echo_at));
        due.since(self.clock.moment())
    }

    /// What every turn ends with: time, and what the links want.
    fn finish(&mut self) {
        let now = self.clock.moment();
        self.look_at_the_bus(now);
        self.links.tick(now, &mut self.effects);
        self.carry_out();
        self.gate.flush();
        self.tell();
    }

    fn hear(&mut self, news: News<M>) {
        match news {
            News::View(ring) => self.view(&ring),
            News::Mourn(Node { slot, epoch }, loss) => self.gate.put_to_first(Arrival::Mourn((slot, epoch), loss)),
        }
    }

    fn view(&mut self, ring: &Arc<HashRing>) {
        let now = self.clock.moment();
        let view = ring.view();
        self.links.view(view, now, &mut self.effects);
        let nodes = view.members();
        self.others = nodes.iter().map(|member| member.slot).filter(|slot| *slot != self.me.node.slot).collect();
        self.resent = self.resent_by_links();
        tracing::info!(view = view.number(), nodes = nodes.len(), "who is in the cluster has changed");
        set(&self.counts.view, view.number());
        set(&self.counts.nodes, nodes.len() as u64);
        self.gate.put_to_all(|| Arrival::View(ring.clone()));
        self.ring = Some(ring.clone());
    }

    fn aside(&mut self, word: Word) {
        if word == Word::Echo {
            self.heard_at = Some(self.clock.moment());
        }
        let Some(view) = self.ring.as_ref().map(|ring| ring.view()) else { return };
        match word {
            Word::Doubt(doubt) if doubt.is_answered_by(view) => {
                let (subject, payload) = asides::answer(&self.me, doubt.node, view.number());
                self.publish(subject, payload);
            }
            Word::Echo | Word::Doubt(_) => {}
            Word::Buried(later) => {
                if later > view.number() {
                    self.counts.set_buried();
                }
            }
            Word::Unreadable => add(&self.counts.unreadable, 1),
        }
    }

    fn messages(&mut self, first: Message) {
        self.message(first);
        for _ in 1..TURN {
            let Some(Some(message)) = self.inbox.next().now_or_never() else { return };
            self.message(message);
        }
    }

    fn message(&mut self, message: Message) {
        add(&self.counts.packets_in, 1);
        match C::packet(message.payload) {
            Ok(packet) => {
                self.links.receive(packet, self.clock.moment(), &mut self.effects);
                self.deliver();
            }
            Err(fault) => {
                add(&self.counts.unreadable, 1);
                tracing::debug!(%fault, "a message of the bus is no packet");
            }
        }
    }

    /// Takes what the shards have for other nodes: a body for each.
    fn letters(&mut self) {
        let now = self.clock.moment();
        let (codec, others) = (&mut self.codec, &self.others);
        let mut lost = 0;
        let taken = self.gate.take(
            TURN,
            |from, to, letter| {
                if others.contains(&to.node()) { codec.put(from, to, letter) } else { lost += 1 }
            },
        );
        add(&self.counts.letters_out, taken as u64 - lost);
        add(&self.counts.letters_lost, lost);
        let (links, effects) = (&mut self.links, &mut self.effects);
        self.codec.take(|slot, body| match body {
            Some(body) => links.send(slot, body, now, effects),
            None => links.break_off(slot, now, effects),
        });
    }

    /// Sends and delivers what the links want sent and delivered.
    fn carry_out(&mut self) {
        self.deliver();
        for effect in std::mem::take(&mut self.effects) {
            if let Effect::Send(packet) = effect {
                self.send(&packet);
            }
        }
    }

    /// Hands what came to the shards; what is to be sent stays.
    fn deliver(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        let mut broken = Vec::new();
        effects.retain(|effect| match effect {
            Effect::Send(_) => true,
            Effect::Deliver { from, body } => {
                if !self.hand_on(*from, body) {
                    broken.push(from.slot);
                }
                false
            }
            Effect::Broke { peer, why } => {
                tracing::warn!(node = %peer.slot, epoch = peer.epoch, ?why, "a link to another node broke");
                add(&self.counts.broken, 1);
                self.gate.put_to_all(|| Arrival::Estranged(peer.slot));
                false
            }
        });
        // What was to be sent goes before what is sent because of this.
        effects.append(&mut self.effects);
        self.effects = effects;
        for slot in broken {
            self.links.break_off(slot, self.clock.moment(), &mut self.effects);
        }
    }

    /// False: it cannot be read, or is not from a shard of that node.
    fn hand_on(&mut self, from: Node, body: &Bytes) -> bool {
        let mut came = 0;
        let gate = &mut self.gate;
        let read = self.codec.read(from.slot, body, |sender, to, letter| {
            came += 1;
            gate.put(to, Arrival::Letter(sender, letter));
        });
        add(&self.counts.letters_in, came);
        if let Err(fault) = &read {
            add(&self.counts.unreadable, 1);
            tracing::warn!(node = %from.slot, %fault, "letters of another node cannot be read: is it of another version?");
        }
        read.is_ok()
    }

    fn send(&mut self, packet: &Packet) {
        let subject = self.me.subject(packet.header.to);
        self.publish(subject, C::bytes(packet));
        add(&self.counts.packets_out, 1);
    }

    /// What cannot be put on the bus at once is left: links send it again.
    fn publish(&self, subject: String, payload: Bytes) {
        match self.client.publish(subject, payload).now_or_never() {
            Some(Ok(())) => {}
            None => add(&self.counts.left, 1),
            Some(Err(fault)) => {
                add(&self.counts.left, 1);
                tracing::debug!(%fault, "NATS does not take a message");
            }
        }
    }

    /// Finds out whether the bus is there, and says something to ourselves now and then.
    fn look_at_the_bus(&mut self, now: Moment) {
        let change = *self.changes.borrow();
        let is_connected = self.client.connection_state() == State::Connected;
        if change != self.known_change {
            self.known_change = change;
            // Whatever was on its way with the connection before is lost.
            self.links.bus(false, now, &mut self.effects);
        }
        self.links.bus(is_connected, now, &mut self.effects);
        self.counts.set_connected(is_connected);
        if self.echo_at <= now {
            self.echo_at = now + ECHO;
            for node in self.counts.take_broken() {
                self.links.break_off(node, now, &mut self.effects);
            }
            if is_connected {
                let (subject, payload) = asides::echo(&self.me);
                self.publish(subject, payload);
            }
            if let Some(ring) = self.ring.as_ref().filter(|_| is_connected && self.counts.doubts()) {
                let (subject, payload) = asides::question(&self.me, ring.view().number());
                self.publish(subject, payload);
            }
        }
        self.counts.set_hears(is_connected && self.heard_at.is_some_and(|at| now.since(at) < DEAF));
    }

    fn resent_by_links(&self) -> u64 {
        self.links.counted().map(|(_, counted, _)| counted.resent).sum()
    }

    /// For the metrics.
    fn tell(&mut self) {
        let resent = self.resent_by_links();
        add(&self.counts.resent, resent.saturating_sub(self.resent));
        self.resent = resent;
        set(&self.counts.links, self.links.counted().count() as u64);
        set(&self.counts.waiting_bytes, self.links.counted().map(|(_, _, bytes)| bytes as u64).sum());
    }
}

#[cfg(test)]
mod tests;
