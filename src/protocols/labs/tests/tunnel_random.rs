//! Two machines back to back, an agent's and a viewer's, with sockets that stall, letters that wait and ends that come at any time: bytes
//! arrive equal and in order, nothing holds more than a window, and every tunnel ends.

use super::{speech::text, viewer_socket::chunk};
use crate::{
    protocols::labs::{
        Agent, Chunk, Effect, Event, FromRegistry, ProxyId, SessionId, Settings, TunnelWord, Viewer, Wire, admission,
        agent_messages::{self, Heard, Speaker},
        letters::Dialect,
        proxy_frames::{self, ProxyFrame},
    },
    realtime::{ConnId, Moment, Now, ShardId},
    websocket::frame::{self, Opcode},
};
use serde_json::{Value, json};
use std::{collections::VecDeque, time::Duration};
use uuid::Uuid;

const AGENT: ConnId = ConnId { shard: ShardId(1), generation: 0, slot: 1 };
const VIEWER: ConnId = ConnId { shard: ShardId(0), generation: 0, slot: 9 };
const ONE: SessionId = Uuid::from_u128(1);
const PROXY: ProxyId = ProxyId(7);
const WINDOW: usize = 4_000;
const EARLY: usize = 500;
/// The longest message of either.
const MESSAGE: u64 = 900;

/// How an agent behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    /// Counts, in binary.
    Counting,
    /// Counts what it may send, in text.
    CountingText,
    /// Does not count, but keeps within a window.
    Careful,
    /// Does not count, and sends what it has.
    Reckless,
    /// Of the second dialect, within a window.
    Field,
}

/// Steele, Lea and Flood's SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// One direction: every byte is known by its place.
#[derive(Default)]
struct Stream {
    salt: usize,
    sent: usize,
    got: usize,
}

impl Stream {
    fn byte(&self, place: usize) -> u8 {
        (place.wrapping_mul(31) ^ (place >> 8) ^ self.salt) as u8
    }

    fn next(&mut self, length: usize) -> Vec<u8> {
        let bytes = (self.sent..self.sent + length).map(|place| self.byte(place)).collect();
        self.sent += length;
        bytes
    }

    fn arrive(&mut self, bytes: &[u8]) {
        for byte in bytes {
            assert_eq!(*byte, self.byte(self.got), "byte {}", self.got);
            self.got += 1;
        }
        assert!(self.got <= self.sent);
    }
}

/// What waits for a peer, frame by frame; of the first a part may have left.
#[derive(Default)]
struct Socket {
    frames: VecDeque<Vec<u8>>,
    left: usize,
}

impl Socket {
    fn waiting(&self) -> usize {
        self.frames.iter().map(Vec::len).sum::<usize>() - self.left
    }

    /// So many bytes leave; the frames that are whole now.
    fn drain(&mut self, bytes: usize) -> Vec<Vec<u8>> {
        self.left += bytes.min(self.waiting());
        let mut whole = Vec::new();
        while self.frames.front().is_some_and(|frame| frame.len() <= self.left) {
            let frame = self.frames.pop_front().unwrap();
            self.left -= frame.len();
            whole.push(frame);
        }
        whole
    }
}

struct Run {
    dice: Dice,
    settings: Settings,
    now: Now,
    manner: Manner,
    agent: Agent,
    viewer: Viewer,
    to_agent: VecDeque<TunnelWord>,
    to_viewer: VecDeque<TunnelWord>,
    agent_socket: Socket,
    viewer_socket: Socket,
    /// From the agent to the viewer.
    up: Stream,
    /// From the viewer to the agent.
    down: Stream,
    /// What the agent's process may send.
    may_send: usize,
    /// What it has got and given no credit for.
    owes: usize,
    /// What the viewer's end has told the agent's to have left.
    acknowledged: usize,
    is_accepted: bool,
    is_paused: bool,
    is_agent_done: bool,
    is_viewer_done: bool,
}

fn dialect(manner: Manner) -> Dialect {
    if manner == Manner::Field { Dialect::Field } else { Dialect::Contract }
}

impl Run {
    fn new(seed: u64, manner: Manner) -> Run {
        let settings = Settings { tunnel_window: WINDOW, early_bytes: EARLY, ..Settings::default() };
        let now = Now { moment: Moment(1_000_000), ..Now::default() };
        let query = admission::agent(Some("agent_id=a&platform=host")).unwrap();
        let mut out = Vec::new();
        let agent = Agent::new(dialect(manner), query, AGENT, now, &settings, &mut out);
        let viewer = Viewer::new((ONE, VIEWER), ("ann".into(), false), now, &settings, &mut out);
        let mut run = Run {
            dice: Dice(seed),
            settings,
            now,
            manner,
            agent,
            viewer,
            to_agent: VecDeque::new(),
            to_viewer: VecDeque::new(),
            agent_socket: Socket::default(),
            viewer_socket: Socket::default(),
            up: Stream { salt: 5, ..Stream::default() },
            down: Stream { salt: 200, ..Stream::default() },
            may_send: 0,
            owes: 0,
            acknowledged: 0,
            is_accepted: false,
            is_paused: false,
            is_agent_done: false,
            is_viewer_done: false,
        };
        if manner != Manner::Field {
            run.agent_says(json!({"type": "register", "agent_id": "a"}));
        }
        run.at_agent(Event::Registry(FromRegistry::Registered));
        if manner == Manner::Field {
            let length = run.dice.below(EARLY as u64) as usize;
            run.agent_sends(length);
        }
        run.at_agent(Event::Registry(FromRegistry::Proxy { proxy: PROXY, session: ONE, viewer: VIEWER, request: None }));
        if run.dice.below(2) == 0 {
            run.at_viewer(Event::Registry(FromRegistry::View { agent: AGENT, proxy: PROXY }));
        }
        match manner {
            Manner::Counting => run.agent_ready(json!({"credit": 700})),
            Manner::CountingText => run.agent_ready(json!({"credit": 700, "encoding": "base64"})),
            Manner::Careful | Manner::Reckless => run.agent_ready(json!({})),
            Manner::Field => {}
        }
        run
    }

    fn agent_ready(&mut self, mut message: Value) {
        message["type"] = "vnc_proxy_ready".into();
        message["proxy_id"] = "proxy-7".into();
        self.agent_says(message);
    }

    fn at_agent(&mut self, event: Event<'_>) {
        let mut out = Vec::new();
        self.agent.handle(event, AGENT, self.now, &self.settings, &mut out);
        for effect in out {
            match effect {
                Effect::Send(wire) => self.agent_socket.frames.push_back(wire.bytes().to_vec()),
                Effect::Tunnel { to, proxy, word } => {
                    assert_eq!((to, proxy), (VIEWER, PROXY));
                    self.to_viewer.push_back(word);
                }
                Effect::Ping | Effect::Timer(_) | Effect::Registry(_) => {}
                Effect::Accept if self.manner == Manner::Field => {}
                Effect::Accept | Effect::Refuse(_) | Effect::Pause | Effect::Resume | Effect::End(_) => panic!("{effect:?}"),
            }
        }
    }

    fn at_viewer(&mut self, event: Event<'_>) {
        if self.is_viewer_done {
            return;
        }
        let mut out = Vec::new();
        self.viewer.handle(event, VIEWER, self.now, &self.settings, &mut out);
        let mut is_over = false;
        for effect in out {
            match effect {
                Effect::Send(wire) => self.viewer_socket.frames.push_back(wire.bytes().to_vec()),
                Effect::Tunnel { to, proxy, word } => {
                    assert_eq!((to, proxy), (AGENT, PROXY));
                    self.to_agent.push_back(word);
                }
                Effect::Accept => self.is_accepted = true,
                Effect::Pause => self.is_paused = true,
                Effect::Resume => self.is_paused = false,
                Effect::End(_) | Effect::Refuse(_) => is_over = true,
                Effect::Ping | Effect::Timer(_) | Effect::Registry(_) => {}
            }
        }
        if is_over {
            self.viewer_leaves();
        }
    }

    fn viewer_leaves(&mut self) {
        self.at_viewer(Event::Gone);
        self.is_viewer_done = true;
    }

    fn agent_says(&mut self, message: Value) {
        self.at_agent(Event::Text(&message.to_string()));
    }

    fn agent_sends(&mut self, length: usize) {
        let bytes = self.up.next(length);
        let now = self.now.wall;
        let wire: Wire = match self.manner {
            Manner::Counting | Manner::Careful | Manner::Reckless => proxy_frames::data(PROXY, chunk(&bytes)),
            Manner::CountingText => agent_messages::data(Dialect::Contract, (PROXY, ONE), &bytes, now),
            Manner::Field => agent_messages::data(Dialect::Field, (PROXY, ONE), &bytes, now),
        };
        let payload = payload(wire.bytes());
        if wire.bytes()[0] == 0x82 {
            self.at_agent(Event::Binary(Chunk::copied(payload)));
        } else {
            self.at_agent(Event::Text(std::str::from_utf8(payload).unwrap()));
        }
    }

    fn agent_acts(&mut self) {
        let most = match self.manner {
            Manner::Counting | Manner::CountingText => self.may_send,
            Manner::Careful | Manner::Field => WINDOW - (self.up.sent - self.acknowledged),
            Manner::Reckless => WINDOW,
        };
        let length = (self.dice.below(MESSAGE) as usize).min(most);
        self.may_send -= length.min(self.may_send);
        self.agent_sends(length);
    }

    fn agent_hears(&mut self, frame: &[u8]) {
        if frame[0] == 0x82 {
            match proxy_frames::read(payload(frame)).unwrap() {
                ProxyFrame::Data(PROXY, bytes) => self.agent_got(bytes),
                ProxyFrame::Credit(PROXY, bytes) => self.may_send += bytes as usize,
                other => panic!("{other:?}"),
            }
            return;
        }
        let message = text(frame);
        match message["type"].as_str().unwrap() {
            "vnc_data" => {
                let name = "a".into();
                let speaker = Speaker { dialect: dialect(self.manner), name: &name, platform: "host", region: "" };
                let Ok(Heard::Data(_, bytes)) = agent_messages::read(&message.to_string(), speaker) else { panic!() };
                self.agent_got(bytes.bytes());
            }
            "vnc_proxy_close" | "vnc_close" => self.is_agent_done = true,
            "command" | "register_ack" => {}
            other => panic!("{other}"),
        }
    }

    fn agent_got(&mut self, bytes: &[u8]) {
        self.down.arrive(bytes);
        self.owes += bytes.len();
    }

    fn agent_gives_credit(&mut self) {
        let bytes = std::mem::take(&mut self.owes) as u32;
        if matches!(self.manner, Manner::Counting | Manner::CountingText) {
            self.at_agent(Event::Binary(Chunk::copied(payload(proxy_frames::credit(PROXY, bytes).bytes()))));
        }
    }

    fn agent_closes(&mut self) {
        self.is_agent_done = true;
        match self.manner {
            Manner::Field => self.agent_says(json!({"type": "vnc_error", "payload": {"sessionId": ONE, "error": "e"}})),
            Manner::Counting | Manner::CountingText | Manner::Careful | Manner::Reckless => {
                self.agent_says(json!({"type": "vnc_proxy_close", "proxy_id": "proxy-7"}));
            }
        }
    }

    fn letter_to_agent(&mut self) {
        let Some(word) = self.to_agent.pop_front() else { return };
        if let TunnelWord::Credit(bytes) = word {
            self.acknowledged += bytes as usize;
        }
        self.at_agent(Event::Tunnel { from: VIEWER, proxy: PROXY, word });
    }

    fn letter_to_viewer(&mut self) {
        if let Some(word) = self.to_viewer.pop_front() {
            self.at_viewer(Event::Tunnel { from: AGENT, proxy: PROXY, word });
        }
    }

    fn agent_reads(&mut self, bytes: usize) {
        for frame in self.agent_socket.drain(bytes) {
            self.agent_hears(&frame);
        }
        self.at_agent(Event::Sent { waiting: self.agent_socket.waiting() });
    }

    fn viewer_reads(&mut self, bytes: usize) {
        for frame in self.viewer_socket.drain(bytes) {
            assert_eq!(frame[0], 0x82, "binary frames alone");
            self.up.arrive(payload(&frame));
        }
        self.at_viewer(Event::Sent { waiting: self.viewer_socket.waiting() });
    }

    fn viewer_sends(&mut self) {
        if self.is_accepted && !self.is_paused && !self.is_viewer_done {
            let length = self.dice.below(MESSAGE) as usize;
            let bytes = self.down.next(length);
            self.at_viewer(Event::Binary(Chunk::copied(&bytes)));
        }
    }

    fn step(&mut self) {
        match self.dice.below(12) {
            0 | 1 if !self.is_agent_done => self.agent_acts(),
            2 | 3 => self.viewer_sends(),
            4 | 5 => self.letter_to_agent(),
            6 | 7 => self.letter_to_viewer(),
            8 => {
                let bytes = self.dice.below(3 * MESSAGE) as usize;
                self.agent_reads(bytes);
            }
            9 => {
                let bytes = self.dice.below(3 * MESSAGE) as usize;
                self.viewer_reads(bytes);
            }
            10 => self.agent_gives_credit(),
            11 if self.dice.below(8) == 0 => {
                let mut frame = Vec::new();
                frame::encode(&mut frame, Opcode::Text, br#"{"type":"command"}"#);
                self.agent_socket.frames.push_back(frame);
            }
            _ => {}
        }
        self.holds();
    }

    /// No one holds more than a window.
    fn holds(&self) {
        let letters = |words: &VecDeque<TunnelWord>| -> usize {
            let lengths = words.iter().map(|word| if let TunnelWord::Bytes(chunk) = word { chunk.len() } else { 0 });
            lengths.sum()
        };
        let (queued, tunnels) = self.agent.levels();
        assert!(tunnels <= 1 && queued + letters(&self.to_agent) <= WINDOW);
        assert!(letters(&self.to_viewer) <= WINDOW);
        // No frame is small but the first of a burst and the last: their headers are nothing to speak of.
        assert!(self.viewer.afloat() <= WINDOW + 200);
        assert!(self.up.sent - self.up.got <= self.viewer.afloat() + letters(&self.to_viewer) + self.lost());
    }

    /// What may have been lost: nothing before an end.
    fn lost(&self) -> usize {
        let is_whole = !self.is_viewer_done && !self.is_agent_done && self.agent.levels().1 == 1;
        // A frame that was drained in part is not there yet.
        if is_whole { self.viewer_socket.left } else { usize::MAX / 2 }
    }

    /// All that is under way arrives; the peers read and give credit.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.letter_to_agent();
            self.letter_to_viewer();
            self.agent_reads(usize::MAX >> 1);
            self.viewer_reads(usize::MAX >> 1);
            self.agent_gives_credit();
            self.holds();
        }
        assert!(self.to_agent.is_empty() && self.to_viewer.is_empty());
    }
}

fn payload(frame: &[u8]) -> &[u8] {
    match frame[1] {
        126 => &frame[4..],
        127 => &frame[10..],
        _ => &frame[2..],
    }
}

#[test]
fn bytes_arrive_equal_and_in_order_and_every_tunnel_ends() {
    let mut carried = [0, 0];
    for seed in 0..400 {
        let manners = [Manner::Counting, Manner::CountingText, Manner::Careful, Manner::Reckless, Manner::Field];
        let manner = manners[seed as usize % manners.len()];
        let mut run = Run::new(seed, manner);
        for _ in 0..run.dice.below(1_500) {
            run.step();
        }
        let was_whole = !run.is_agent_done && !run.is_viewer_done && run.agent.levels().1 == 1;
        assert!(was_whole || manner == Manner::Reckless, "{manner:?}, seed {seed}");
        match run.dice.below(3) {
            // All that was sent arrives, then the end.
            0 if was_whole => {
                run.settle();
                assert_eq!((run.up.got, run.down.got), (run.up.sent, run.down.sent), "{manner:?}, seed {seed}");
                assert!(!run.is_paused, "{manner:?}, seed {seed}");
                run.agent_closes();
            }
            // An agent that ends has said all; the viewer is told all of it.
            1 if was_whole => {
                let sent = run.up.sent;
                run.agent_closes();
                run.settle();
                assert_eq!(run.up.got, sent, "{manner:?}, seed {seed}");
            }
            // A viewer that ends has said all.
            _ => {
                run.viewer_leaves();
                let sent = run.down.sent;
                run.settle();
                assert!(run.down.got == sent || !was_whole, "{manner:?}, seed {seed}");
            }
        }
        run.settle();
        assert!(run.is_viewer_done && run.is_agent_done, "{manner:?}, seed {seed}");
        assert_eq!(run.agent.levels(), (0, 0), "{manner:?}, seed {seed}");
        carried = [carried[0] + run.up.got, carried[1] + run.down.got];
    }
    assert!(carried.iter().all(|bytes| *bytes > 1_000_000), "{carried:?}");
}

#[test]
fn one_that_stalls_holds_a_window_and_no_command_behind_it() {
    let mut run = Run::new(1, Manner::Counting);
    run.settle();
    for _ in 0..1_000 {
        run.agent_acts();
        run.letter_to_viewer();
        run.letter_to_agent();
        run.agent_reads(usize::MAX >> 1);
        run.holds();
    }
    assert_eq!(run.up.sent, WINDOW, "the viewer reads nothing, so the agent sends no more");
    for _ in 0..1_000 {
        run.viewer_sends();
        run.letter_to_agent();
        run.holds();
    }
    assert!(run.is_paused && run.down.sent <= WINDOW);
    assert_eq!(run.agent.levels().1, 1, "the tunnel lives");
    run.settle();
    assert_eq!((run.up.got, run.down.got), (run.up.sent, run.down.sent));
    run.now.moment = run.now.moment + Duration::from_secs(54);
    run.at_agent(Event::TimerFired);
    assert_eq!(run.agent.levels(), (0, 1));
}
