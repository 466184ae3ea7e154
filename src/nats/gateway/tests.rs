//! Gateways of two nodes at a small bus of their own that may fail.

mod bus;

use super::{
    super::{Access, Secrets, Unreadable, connect},
    *,
};
use crate::{
    cluster::codec::{read_packet, write_packet},
    realtime::{ShardId, View, view::Member},
    runtime::{GateEnd, ShardCounts, gate_of},
};
use bus::Bus;
use bytes::{Buf, BufMut, BytesMut};
use std::collections::BTreeMap;

/// Letters that are numbers.
#[derive(Default)]
struct Numbers(BTreeMap<NodeSlot, BytesMut>);

impl Codec for Numbers {
    type Letter = u64;

    fn put(&mut self, from: ShardId, to: ShardId, letter: u64) {
        let body = self.0.entry(to.node()).or_default();
        body.put_u16(from.0);
        body.put_u16(to.0);
        body.put_u64(letter);
    }

    fn take(&mut self, mut each: impl FnMut(NodeSlot, Option<Bytes>)) {
        std::mem::take(&mut self.0).into_iter().for_each(|(slot, body)| each(slot, Some(body.freeze())));
    }

    fn read(&self, _: NodeSlot, body: &Bytes, mut each: impl FnMut(ShardId, ShardId, u64)) -> Result<(), Unreadable> {
        let mut body = body.clone();
        while body.has_remaining() {
            each(ShardId(body.get_u16()), ShardId(body.get_u16()), body.get_u64());
        }
        Ok(())
    }

    fn bytes(packet: &Packet) -> Bytes {
        write_packet(packet)
    }

    fn packet(message: Bytes) -> Result<Packet, Unreadable> {
        read_packet(message).map_err(|_| Unreadable)
    }
}

/// A node with one shard, which a test plays.
struct Player {
    end: GateEnd<u64, &'static str>,
    counts: Arc<Counts>,
    news: mpsc::Sender<News<&'static str>>,
    me: ShardId,
    shell: ShardCounts,
}

impl Player {
    async fn at(bus: &Bus, slot: u8) -> Player {
        let access = Access {
            servers: vec![format!("nats://{}", bus.address)],
            secrets: Secrets::User("ann".into(), "example".into()),
            is_encrypted: false,
            ca_file: None,
            identity: None,
        };
        let counts = Arc::<Counts>::default();
        let client = connect(&access, &counts).await.unwrap();
        let (gate, end) = gate_of(NodeSlot(slot));
        let (news, told) = mpsc::channel(4);
        let me = Me { node: Node { slot: NodeSlot(slot), epoch: 7 + u64::from(slot) }, prefix: "test".into() };
        let open = Gateway::open(me, client, told, (gate, Numbers::default()), Clock::started_now(), counts.clone()).await;
        tokio::spawn(open.unwrap().run());
        Player { end, counts, news, me: ShardId::of(NodeSlot(slot), 0), shell: ShardCounts::default() }
    }

    async fn view(&mut self, number: u64, slots: &[u8]) {
        let member = |slot: &u8| Member { slot: NodeSlot(*slot), epoch: 7 + u64::from(*slot), shards: 1 };
        let ring = HashRing::of(Arc::new(View::new(number, slots.iter().map(member).collect())));
        self.news.send(News::View(Arc::new(ring))).await.unwrap();
        assert!(matches!(self.next().await, Arrival::View(ring) if ring.view().number() == number));
    }

    fn say(&mut self, to: ShardId, letters: impl IntoIterator<Item = u64>) {
        letters.into_iter().for_each(|letter| self.end.send(to, letter, &self.shell));
        self.end.flush();
    }

    async fn next(&mut self) -> Arrival<u64, &'static str> {
        let mut came = None;
        until("something comes", || {
            self.end.flush();
            self.end.take(1, |arrival| came = Some(arrival)) > 0
        })
        .await;
        came.unwrap()
    }

    async fn hears(&mut self, from: ShardId, letters: impl IntoIterator<Item = u64>) {
        for letter in letters {
            assert!(matches!(self.next().await, Arrival::Letter(sender, came) if (sender, came) == (from, letter)), "{letter}");
        }
    }
}

/// Bounded by whatever ends a test that hangs: the machine may stand still.
async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn on_tokio(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

async fn pair(bus: &Bus) -> (Player, Player) {
    let (mut one, mut other) = (Player::at(bus, 0).await, Player::at(bus, 1).await);
    one.view(1, &[0, 1]).await;
    other.view(1, &[0, 1]).await;
    (one, other)
}

#[test]
fn letters_cross_in_order_and_a_turn_is_one_message() {
    on_tokio(async {
        let bus = Bus::start().await;
        let (mut one, mut other) = pair(&bus).await;
        one.say(other.me, [1]);
        other.hears(one.me, [1]).await;
        until("what was said is acknowledged", || one.counts.waiting_bytes.load(std::sync::atomic::Ordering::Relaxed) == 0).await;
        let before = bus.published_to("node.1.8");
        one.say(other.me, 2..=500);
        other.hears(one.me, 2..=500).await;
        assert_eq!(bus.published_to("node.1.8"), before + 1);
        other.say(one.me, [9]);
        one.hears(other.me, [9]).await;
        until("each hears itself", || one.counts.hears() && other.counts.hears()).await;
        // Nobody is there: it is lost, and nobody waits for it.
        one.say(ShardId::of(NodeSlot(5), 0), [1]);
        until("it is counted", || one.counts.letters_lost.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
    });
}

#[test]
fn connections_that_are_cut_and_messages_that_are_swallowed_cost_no_letter() {
    on_tokio(async {
        let bus = Bus::start().await;
        let (mut one, mut other) = pair(&bus).await;
        one.say(other.me, 0..10);
        other.hears(one.me, 0..10).await;
        for round in 1..4_u64 {
            bus.swallow(round % 2 == 1);
            one.say(other.me, round * 10..round * 10 + 5);
            bus.cut();
            one.say(other.me, round * 10 + 5..round * 10 + 10);
            bus.swallow(false);
            other.hears(one.me, round * 10..round * 10 + 10).await;
        }
        assert!(one.counts.disconnects.load(std::sync::atomic::Ordering::Relaxed) > 0);
        assert_eq!(one.counts.broken.load(std::sync::atomic::Ordering::Relaxed), 0);
    });
}

#[test]
fn what_shards_say_by_the_first_view_waits_until_the_gateway_has_it_too() {
    on_tokio(async {
        let bus = Bus::start().await;
        let (mut one, mut other) = (Player::at(&bus, 0).await, Player::at(&bus, 1).await);
        one.say(other.me, [1]);
        one.news.send(News::Mourn(Node { slot: NodeSlot(1), epoch: 7 }, "all of it")).await.unwrap();
        assert!(matches!(one.next().await, Arrival::Mourn((NodeSlot(1), 7), "all of it")));
        one.view(1, &[0, 1]).await;
        other.view(1, &[0, 1]).await;
        one.say(other.me, [2]);
        other.hears(one.me, [1, 2]).await;
    });
}

#[test]
fn a_bus_that_swallows_everything_is_found_out_and_a_node_that_left_is_forgotten() {
    on_tokio(async {
        let bus = Bus::start().await;
        let (mut one, mut other) = pair(&bus).await;
        until("it hears", || one.counts.hears()).await;
        bus.swallow(true);
        until("it hears no more", || !one.counts.hears()).await;
        assert!(one.counts.is_connected());
        bus.swallow(false);
        until("it hears again", || one.counts.hears()).await;
        one.news.send(News::Mourn(Node { slot: NodeSlot(1), epoch: 7 }, "all of it")).await.unwrap();
        assert!(matches!(one.next().await, Arrival::Mourn((NodeSlot(1), 7), "all of it")));
        one.view(2, &[0]).await;
        until("there is no link", || one.counts.links.load(std::sync::atomic::Ordering::Relaxed) == 0).await;
        one.say(other.me, [1]);
        until("it is lost", || one.counts.letters_lost.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
        one.view(3, &[0, 1]).await;
        one.say(other.me, [2]);
        // The link is another one: whatever was on its way in the old one may be lost, and the other is told.
        assert!(matches!(other.next().await, Arrival::Estranged(NodeSlot(0))));
        other.hears(one.me, [2]).await;
        // A shard that cannot take any more has the link broken, and both ends are told.
        other.counts.ask_to_break(NodeSlot(0));
        assert!(matches!(other.next().await, Arrival::Estranged(NodeSlot(0))));
        assert!(matches!(one.next().await, Arrival::Estranged(NodeSlot(1))));
        other.say(one.me, [3]);
        one.hears(other.me, [3]).await;
    });
}

#[test]
fn a_node_that_cannot_read_is_told_that_it_was_buried_by_whoever_knows() {
    on_tokio(async {
        let bus = Bus::start().await;
        let (mut one, other) = pair(&bus).await;
        one.counts.set_doubts(true);
        other.counts.set_doubts(true);
        until("both ask", || bus.published_to(".doubt") >= 4).await;
        assert!(!one.counts.is_buried() && !other.counts.is_buried(), "nobody knows better");
        one.view(2, &[0]).await;
        until("it is told", || other.counts.is_buried()).await;
        assert!(!one.counts.is_buried());
    });
}

#[test]
fn a_node_hears_itself_though_its_shard_takes_nothing() {
    on_tokio(async {
        let bus = Bus::start().await;
        let (mut one, other) = pair(&bus).await;
        // More than the shard's queue holds: nothing more is read from the bus.
        one.say(other.me, 0..6_000);
        until("it waits", || bus.published_to("node.1.8") > 1).await;
        let began = std::time::Instant::now();
        until("it hears", || other.counts.hears()).await;
        while began.elapsed() < DEAF + ECHO {
            one.end.flush();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        until("it hears still", || other.counts.hears()).await;
    });
}
