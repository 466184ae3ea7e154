//! What the worlds of agents have in common: some shards of the shipped engine with their letters, sockets and clocks, under one dice. It
//! keeps to the contract of `engine::port`; what is planted or checked beyond that is each world's own.

use crate::{
    clients::{EPOCH, head, masked},
    dice::Dice,
    labs::socket::{Heard, heard},
    nodes::Nodes,
    world::note,
};
use homeroom::{
    engine::{Birth, Counters, Engine, Letter, Limits, Listener, Output, Question, Rules, Send},
    realtime::{ConnId, HashRing, Moment, NodeSlot, Now, ShardId},
};
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

const LISTENER: Listener = Listener(0);
/// How late what is overdue is looked at.
const OVERDUE: Duration = Duration::from_millis(100);

pub(crate) struct Shard {
    pub(crate) engine: Engine,
    pub(crate) counters: Arc<Counters>,
}

/// One socket, as far as bytes go.
#[derive(Debug)]
pub(crate) struct Plug {
    /// The status that it was answered with.
    pub(crate) status: Option<u16>,
    /// The code of the Close that it was sent.
    pub(crate) closed: Option<u16>,
    is_half_closed: bool,
    /// The server has let it go.
    is_over: bool,
    /// The peer has ended its side.
    has_ended: bool,
    /// Of a hundred sends to it: how many stay in flight.
    pub(crate) stalls: usize,
    /// Whether it answers Pings.
    pub(crate) pongs: bool,
    /// What was handed to the socket and has not arrived.
    flight: Option<Vec<Heard>>,
    /// Since when.
    since: Moment,
    /// The longest that anything was on its way to it.
    pub(crate) delay: Duration,
    /// Whether its shard was fed anything while the last send was on its way to it.
    is_late: bool,
    /// Whether it was so of the send before that.
    pub(crate) was_late: bool,
}

impl Plug {
    /// Whether bytes go both ways, as far as it is known outside.
    pub(crate) fn is_live(&self) -> bool {
        self.status == Some(101) && self.closed.is_none() && !self.is_over && !self.has_ended
    }
}

/// What a turn brought: what each socket was handed, letters with the shards that they go to, questions.
#[derive(Default)]
pub(crate) struct Turned {
    pub(crate) heard: Vec<(ConnId, Vec<Heard>)>,
    pub(crate) letters: Vec<(usize, Letter)>,
    pub(crate) questions: Vec<Question>,
}

/// See the file.
pub(crate) struct Stage {
    pub(crate) dice: Dice,
    /// The last events in words, when somebody wants to read them.
    pub(crate) story: Option<VecDeque<String>>,
    pub(crate) now: Now,
    pub(crate) ring: Arc<HashRing>,
    pub(crate) shards: Vec<Shard>,
    /// Which shards were fed something since their last turn.
    pub(crate) fed: Vec<bool>,
    /// Letters under way from one shard to another, by `from * shards + to`.
    pub(crate) mesh: Vec<VecDeque<Letter>>,
    pub(crate) plugs: BTreeMap<ConnId, Plug>,
    /// Who they are, in order.
    ids: Vec<ShardId>,
    /// Of several nodes: who is there, and who hears of it.
    nodes: Option<Nodes>,
    rules: Arc<Rules>,
    limits: fn() -> Limits,
    seed: u64,
}

impl Stage {
    /// Empty: [`Stage::begin`] makes the shards.
    pub(crate) fn new(seed: u64, dice: Dice, shards: usize, rules: Rules, limits: fn() -> Limits) -> Stage {
        Stage {
            dice,
            story: None,
            now: Now { moment: Moment(1_000_000), wall: EPOCH },
            ring: Arc::new(HashRing::new(shards as u16)),
            shards: Vec::new(),
            fed: vec![false; shards],
            mesh: (0..shards * shards).map(|_| VecDeque::new()).collect(),
            plugs: BTreeMap::new(),
            ids: (0..shards as u16).map(ShardId).collect(),
            nodes: None,
            rules: Arc::new(rules),
            limits,
            seed,
        }
    }

    /// A process begins: nothing of another one is left.
    pub(crate) fn begin(&mut self) {
        self.seed = self.seed.wrapping_mul(31).wrapping_add(7);
        self.mesh.iter_mut().for_each(VecDeque::clear);
        self.plugs.clear();
        let limits = (self.limits)();
        let shard = |id: &ShardId| {
            let birth = Birth { id: *id, start: self.now.moment, seed: self.seed };
            let counters = Arc::new(Counters::default());
            let ring = self.nodes.as_ref().map_or_else(|| self.ring.clone(), |nodes| nodes.alone(id.node()));
            let engine = Engine::new(birth, ring, limits.clone(), self.rules.clone(), counters.clone());
            Shard { engine, counters }
        };
        self.shards = self.ids.iter().map(shard).collect();
        if let Some(nodes) = &mut self.nodes {
            nodes.begin();
            while self.view_comes(false) {}
        }
    }

    /// From now on these are several nodes, each with so many of the shards. `first` of them are there at the beginning of each life.
    pub(crate) fn divide(&mut self, shards: &[u8], first: usize) {
        let ids =
            (0..).map(NodeSlot).zip(shards).flat_map(|(slot, count)| (0..*count).map(move |local| ShardId::of(slot, local)));
        self.ids = ids.collect();
        self.nodes = Some(Nodes::new(shards, first));
    }

    /// Another node joins, if there is one; else there is another view of those who are there. False: it stands alone.
    pub(crate) fn another_view(&mut self) -> bool {
        let Some(nodes) = &mut self.nodes else { return false };
        nodes.next();
        true
    }

    /// The next view comes to one of those that have not heard of it, which may pass one over. Whether there was any.
    pub(crate) fn view_comes(&mut self, may_skip: bool) -> bool {
        let Some(nodes) = &mut self.nodes else { return false };
        let waiting: Vec<usize> = (0..self.ids.len()).filter(|place| nodes.waits(self.ids[*place])).collect();
        if waiting.is_empty() {
            return false;
        }
        let place = *self.dice.pick(&waiting);
        let is_skipped = may_skip && self.dice.percent(20);
        let Some(ring) = nodes.take(self.ids[place], is_skipped) else { return false };
        note!(self, "view {} comes to {place}", ring.view().number());
        let now = self.now;
        self.feed(place).view(ring, now);
        true
    }

    /// Whether there are several nodes.
    pub(crate) fn is_divided(&self) -> bool {
        self.nodes.is_some()
    }

    /// Views that have come since the nodes began, but the first.
    pub(crate) fn moves(&self) -> usize {
        self.nodes.as_ref().map_or(0, Nodes::moves)
    }

    /// Where a shard is among all.
    pub(crate) fn place(&self, shard: ShardId) -> usize {
        self.ids.iter().position(|id| *id == shard).expect("a shard that there is")
    }

    /// One that serves.
    pub(crate) fn some_shard(&mut self) -> usize {
        let serving = self.nodes.as_ref().map_or(self.ids.len(), |nodes| nodes.serving(&self.ids));
        self.dice.below(serving)
    }

    pub(crate) fn feed(&mut self, shard: usize) -> &mut Engine {
        self.fed[shard] = true;
        let id = self.ids[shard];
        let plugs = self.plugs.iter_mut().filter(|(conn, plug)| conn.shard == id && plug.flight.is_some());
        plugs.for_each(|(_, plug)| plug.is_late = true);
        &mut self.shards[shard].engine
    }

    fn feed_place(&mut self, shard: ShardId) -> &mut Engine {
        self.feed(self.place(shard))
    }

    /// Somebody comes to a path. None: there is no place for anybody any more.
    pub(crate) fn accept(&mut self, path: &str) -> Option<ConnId> {
        let shard = self.some_shard();
        let now = self.now;
        let stalls = if self.dice.percent(30) { self.dice.between(20, 98) } else { 3 };
        let pongs = !self.dice.percent(8);
        let conn = self.feed(shard).accepted(LISTENER, now)?;
        let plug = Plug {
            status: None,
            closed: None,
            is_half_closed: false,
            is_over: false,
            has_ended: false,
            stalls,
            pongs,
            flight: None,
            since: self.now.moment,
            delay: Duration::ZERO,
            is_late: false,
            was_late: false,
        };
        self.plugs.insert(conn, plug);
        note!(self, "{conn:?} comes");
        self.feed(shard).received(conn, &head(path, true), now);
        Some(conn)
    }

    /// A peer says something: the first byte of a frame, and what is in it. False: it cannot any more.
    pub(crate) fn say(&mut self, conn: ConnId, first: u8, payload: &[u8]) -> bool {
        let Some(plug) = self.plugs.get(&conn) else { return false };
        if plug.is_over || plug.has_ended {
            return false;
        }
        let words = String::from_utf8_lossy(&payload[..payload.len().min(160)]).into_owned();
        note!(self, "{conn:?} says {first:#x} {words}");
        let frame = masked(&mut self.dice, first, payload);
        let cut = if self.dice.percent(10) { self.dice.below(frame.len()) } else { 0 };
        let now = self.now;
        let (first, second) = frame.split_at(cut);
        for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
            self.feed_place(conn.shard).received(conn, part, now);
        }
        true
    }

    /// The peer ends its side, or its end is told by an error.
    pub(crate) fn end(&mut self, conn: ConnId) {
        let Some(plug) = self.plugs.get_mut(&conn) else { return };
        if mem::replace(&mut plug.has_ended, true) || plug.is_over {
            return;
        }
        note!(self, "{conn:?} ends");
        let now = self.now;
        self.feed_place(conn.shard).ended(conn, now);
    }

    /// A letter arrives. Whether there was one; `first` sees it before.
    pub(crate) fn deliver(&mut self, from: usize, to: usize, first: impl FnOnce(&Letter)) -> bool {
        let pair = from * self.shards.len() + to;
        let Some(letter) = self.mesh[pair].pop_front() else { return false };
        note!(self, "letter {from} -> {to}: {}", words(&letter));
        first(&letter);
        let now = self.now;
        let from = self.ids[from];
        self.feed(to).letter(from, letter, now);
        true
    }

    pub(crate) fn put(&mut self, from: usize, to: usize, letter: Letter) {
        let pair = from * self.shards.len() + to;
        self.mesh[pair].push_back(letter);
    }

    /// Ends a turn.
    pub(crate) fn turn(&mut self, shard: usize) -> Turned {
        self.fed[shard] = false;
        let (now, mut output) = (self.now, Output::default());
        self.shards[shard].engine.finish(now, &mut output);
        assert!(output.handoffs.is_empty(), "nobody asks for plain HTTP");
        assert!(output.pauses.is_empty() && output.bulk.is_empty(), "nobody is read otherwise than all are");
        let mut turned = Turned::default();
        for Send { conn, segment, more, is_last: _ } in output.sends {
            assert!(more.is_empty(), "what goes to {conn:?} is in one piece");
            let frames = self.handed(conn, segment.bytes());
            turned.heard.push((conn, frames));
        }
        for conn in output.half_closes {
            let plug = self.plugs.get_mut(&conn).expect("only what there is is ended");
            assert!(plug.flight.is_none(), "a FIN to {conn:?} before all was sent");
            assert!(!mem::replace(&mut plug.is_half_closed, true), "a second FIN to {conn:?}");
        }
        for conn in output.closes {
            note!(self, "{conn:?} is closed");
            let plug = self.plugs.get_mut(&conn).expect("only what there is is closed");
            assert!(!mem::replace(&mut plug.is_over, true), "{conn:?} is closed twice");
        }
        let letters = mem::take(self.shards[shard].engine.letters());
        turned.letters = letters.into_iter().map(|(to, it)| (self.place(to), it)).collect();
        turned.questions = mem::take(self.shards[shard].engine.questions());
        turned
    }

    fn handed(&mut self, conn: ConnId, bytes: &[u8]) -> Vec<Heard> {
        let frames = heard(bytes);
        let plug = self.plugs.get_mut(&conn).expect("a send to whom nobody knows");
        assert!(plug.flight.is_none(), "two sends in flight to {conn:?}");
        assert!(!plug.is_over, "a send to {conn:?} after its end");
        for frame in &frames {
            assert!(plug.closed.is_none(), "{conn:?} is sent {frame:?} after its Close");
            match frame {
                Heard::Http(status) => assert!(plug.status.replace(*status).is_none(), "{conn:?} is answered twice"),
                Heard::Close(code) => plug.closed = Some(*code),
                Heard::Text(_) | Heard::Binary(_) | Heard::Ping => {
                    assert_eq!(plug.status, Some(101), "{conn:?} hears {frame:?} before its 101");
                }
            }
        }
        plug.flight = Some(frames.clone());
        plug.since = self.now.moment;
        plug.was_late = mem::take(&mut plug.is_late);
        for frame in &frames {
            note!(self, "{conn:?} hears {}", brief(frame));
        }
        frames
    }

    pub(crate) fn in_flight(&self) -> Vec<ConnId> {
        self.plugs.iter().filter(|(_, plug)| plug.flight.is_some()).map(|(conn, _)| *conn).collect()
    }

    /// A send that the dice choose is done, unless its peer stalls: to whom, and what.
    pub(crate) fn finish_some_send(&mut self) -> Option<(ConnId, Vec<Heard>)> {
        let waiting = self.in_flight();
        if waiting.is_empty() {
            return None;
        }
        let conn = *self.dice.pick(&waiting);
        let stalls = self.plugs.get(&conn).map_or(0, |plug| plug.stalls);
        if self.dice.percent(stalls) {
            return None;
        }
        let well = !self.dice.percent(1);
        Some((conn, self.finish_send(conn, well)))
    }

    /// A send has left, or its socket broke. What its peer hears of it; Pings are answered, a Close is.
    pub(crate) fn finish_send(&mut self, conn: ConnId, well: bool) -> Vec<Heard> {
        let Some(plug) = self.plugs.get_mut(&conn) else { return Vec::new() };
        let Some(frames) = plug.flight.take() else { return Vec::new() };
        let (now, pongs) = (self.now, plug.pongs);
        plug.delay = plug.delay.max(Duration::from_micros(now.moment.0 - plug.since.0));
        self.feed_place(conn.shard).sent(conn, well, now);
        if !well {
            note!(self, "{conn:?} breaks");
            return Vec::new();
        }
        if pongs && frames.contains(&Heard::Ping) {
            self.say(conn, 0x8A, b"");
        }
        let is_closed = frames.iter().any(|frame| matches!(frame, Heard::Close(_)));
        if is_closed && !self.dice.percent(10) {
            self.end(conn);
        }
        frames
    }

    /// Sockets that are over at both ends are forgotten: which.
    pub(crate) fn release(&mut self) -> Vec<ConnId> {
        let is_over = |plug: &Plug| plug.is_over && plug.flight.is_none();
        let over: Vec<ConnId> = self.plugs.iter().filter(|(_, plug)| is_over(plug)).map(|(conn, _)| *conn).collect();
        for conn in &over {
            self.plugs.remove(conn);
            self.feed_place(conn.shard).released(*conn);
        }
        over
    }

    pub(crate) fn some_time(&mut self) -> Duration {
        let milliseconds = match self.dice.below(100) {
            0..62 => self.dice.between(1, 60),
            62..88 => self.dice.between(100, 1_000),
            88..98 => self.dice.between(1_000, 7_000),
            _ => self.dice.between(7_000, 30_000),
        };
        Duration::from_millis(milliseconds as u64)
    }

    /// Moves both clocks. Nobody has anything to do at the old time any more.
    pub(crate) fn advance(&mut self, time: Duration) {
        self.now.moment = self.now.moment + time;
        self.now.wall.0 += time.as_micros() as i64;
    }

    /// Ticks a shard if something is due. Whether it was.
    pub(crate) fn tick(&mut self, shard: usize) -> bool {
        let now = self.now;
        if self.shards[shard].engine.next_deadline().is_none_or(|due| due > now.moment) {
            return false;
        }
        self.feed(shard).tick(now);
        let next = self.shards[shard].engine.next_deadline();
        assert!(next.is_none_or(|next| next > now.moment), "shard {shard}: after its tick something is still due");
        true
    }

    /// How long until something is due, and until `end` at most.
    pub(crate) fn until_due(&self, end: Moment) -> Duration {
        let now = self.now.moment;
        let due = self.shards.iter().filter_map(|shard| shard.engine.next_deadline()).min().unwrap_or(end);
        // Overdue is something only where a clock stands still.
        let due = if due > now { due } else { now + OVERDUE };
        due.min(end).since(now).max(Duration::from_millis(1))
    }

    /// The sum of a level over all shards.
    pub(crate) fn level(&self, read: impl Fn(&Counters) -> u64) -> u64 {
        self.shards.iter().map(|shard| read(&shard.counters)).sum()
    }

    /// Whether all that the engine wants done with a socket has been done.
    pub(crate) fn is_settled(&self, conn: ConnId) -> bool {
        !self.fed[self.place(conn.shard)] && self.plugs.get(&conn).is_some_and(|plug| plug.flight.is_none())
    }

    pub(crate) fn live(&self) -> Vec<ConnId> {
        self.plugs.iter().filter(|(_, plug)| plug.is_live()).map(|(conn, _)| *conn).collect()
    }

    /// One that lives.
    pub(crate) fn someone(&mut self) -> Option<ConnId> {
        let live = self.live();
        if live.is_empty() { None } else { Some(*self.dice.pick(&live)) }
    }
}

fn brief(frame: &Heard) -> String {
    let mut text = match frame {
        Heard::Text(text) => text.to_string(),
        other => format!("{other:?}"),
    };
    text.truncate(text.floor_char_boundary(200));
    text
}

fn words(letter: &Letter) -> String {
    let mut text = match letter {
        Letter::Deliver(conn, frame) => format!("deliver {conn:?} {}", String::from_utf8_lossy(frame)),
        Letter::Publish { topic, frame, .. } => format!("publish {topic:?} {}", String::from_utf8_lossy(frame)),
        other => format!("{other:?}"),
    };
    text.truncate(text.floor_char_boundary(300));
    text
}
