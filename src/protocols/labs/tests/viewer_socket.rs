//! One viewer's connection, event by event.

use crate::{
    protocols::labs::{
        Chunk, Effect, Event, Farewell, FromRegistry, ProxyId, SessionId, Settings, ToRegistry, TunnelWord, Viewer,
        admission::Denial,
        connection::late,
        letters::{ViewOver, ViewRefused},
    },
    realtime::{ConnId, Moment, Now, ShardId},
};
use std::time::Duration;
use uuid::Uuid;

const CONN: ConnId = ConnId { shard: ShardId(0), generation: 0, slot: 9 };
const AGENT: ConnId = ConnId { shard: ShardId(1), generation: 0, slot: 1 };
const ONE: SessionId = Uuid::from_u128(1);
const PROXY: ProxyId = ProxyId(7);
const SECOND: Duration = Duration::from_secs(1);
const START: Moment = Moment(1_000_000);
const VIEW: FromRegistry = FromRegistry::View { agent: AGENT, proxy: PROXY };

pub(super) fn chunk(bytes: &[u8]) -> Chunk {
    Chunk::copied(bytes)
}

struct Bench {
    machine: Viewer,
    now: Now,
    settings: Settings,
}

fn asking() -> Bench {
    let (mut out, settings) = (Vec::new(), Settings { tunnel_window: 100, ..Settings::default() });
    let now = Now { moment: START, ..Now::default() };
    let machine = Viewer::new((ONE, CONN), ("ann".into(), false), now, &settings, &mut out);
    let ask = ToRegistry::View { conn: CONN, session: ONE, user: "ann".into(), admin: false };
    assert_eq!(out, [Effect::Registry(ask), Effect::Timer(Some(5 * SECOND))]);
    Bench { machine, now, settings }
}

fn watching() -> Bench {
    let mut bench = asking();
    assert_eq!(bench.told(VIEW), accepted());
    bench
}

fn accepted() -> Vec<Effect> {
    vec![Effect::Accept, Effect::Timer(Some(54 * SECOND))]
}

fn to_agent(word: TunnelWord) -> Effect {
    Effect::Tunnel { to: AGENT, proxy: PROXY, word }
}

fn activity() -> Effect {
    Effect::Registry(ToRegistry::Activity { session: ONE })
}

fn gone() -> Effect {
    Effect::Registry(ToRegistry::ViewerGone { conn: CONN, session: ONE })
}

impl Bench {
    fn event(&mut self, event: Event<'_>) -> Vec<Effect> {
        let mut out = Vec::new();
        self.machine.handle(event, CONN, self.now, &self.settings, &mut out);
        out
    }

    fn told(&mut self, letter: FromRegistry) -> Vec<Effect> {
        self.event(Event::Registry(letter))
    }

    fn agent(&mut self, word: TunnelWord) -> Vec<Effect> {
        self.event(Event::Tunnel { from: AGENT, proxy: PROXY, word })
    }

    fn at(&mut self, seconds: u32) -> &mut Bench {
        self.now.moment = START + seconds * SECOND;
        self
    }
}

#[test]
fn the_registry_decides_before_the_upgrade() {
    for refused in [ViewRefused::NoSession, ViewRefused::NotYours, ViewRefused::NotRunning, ViewRefused::AgentOffline] {
        let mut bench = asking();
        assert_eq!(bench.told(FromRegistry::Refused(refused)), [Effect::Refuse(Denial::View(refused))]);
        assert_eq!(bench.event(Event::Gone), [], "it was refused");
    }
    let mut bench = asking();
    assert_eq!(bench.event(Event::TimerFired), [Effect::Refuse(Denial::Unavailable)]);
    assert_eq!(bench.told(VIEW), [to_agent(TunnelWord::Closed)]);
    assert_eq!(bench.event(Event::Gone), [gone()]);
    assert_eq!(late(&VIEW), Some(to_agent(TunnelWord::Closed)));
    let mut bench = asking();
    assert_eq!(bench.event(Event::Revoked), [Effect::Refuse(Denial::BadToken)]);
    let mut bench = asking();
    let over = FromRegistry::ViewOver(ViewOver::AgentGone);
    assert_eq!(bench.told(over), [Effect::Refuse(Denial::View(ViewRefused::AgentOffline))]);
}

#[test]
fn the_agents_end_may_be_faster_than_the_registry() {
    let mut bench = asking();
    let mut expected = accepted();
    expected.push(Effect::Send(chunk(b"RFB ").framed(&[])));
    assert_eq!(bench.agent(TunnelWord::Bytes(chunk(b"RFB "))), expected);
    assert_eq!(bench.told(VIEW), []);
    let mut bench = asking();
    assert_eq!(bench.agent(TunnelWord::Closed), [Effect::Refuse(Denial::View(ViewRefused::AgentOffline))]);
    assert_eq!(bench.event(Event::Gone), [gone()]);
}

#[test]
fn bytes_go_both_ways_in_binary_frames() {
    let mut bench = watching();
    assert_eq!(bench.event(Event::Binary(Chunk::copied(b"key"))), [to_agent(TunnelWord::Bytes(chunk(b"key")))]);
    let frame = chunk(b"RFB ").framed(&[]);
    assert_eq!(frame.bytes(), b"\x82\x04RFB ");
    assert_eq!(bench.agent(TunnelWord::Bytes(chunk(b"RFB "))), [Effect::Send(frame)]);
    let stranger = Event::Tunnel { from: AGENT, proxy: ProxyId(8), word: TunnelWord::Closed };
    assert_eq!(bench.event(stranger), []);
    assert_eq!(bench.event(Event::Text("key")), [Effect::End(Farewell::Text)]);
    assert_eq!(bench.agent(TunnelWord::Bytes(chunk(b"late"))), []);
    assert_eq!(bench.event(Event::Gone), [to_agent(TunnelWord::Closed), activity(), gone()]);
}

#[test]
fn long_messages_are_cut_for_the_agent() {
    let mut bench = watching();
    bench.settings.tunnel_window = 1 << 20;
    let mut out = Vec::new();
    bench.machine = Viewer::new((ONE, CONN), ("ann".into(), false), bench.now, &bench.settings, &mut out);
    bench.told(VIEW);
    let said = bench.event(Event::Binary(Chunk::copied(&vec![7; 70_000])));
    let length = |effect: &Effect| match effect {
        Effect::Tunnel { word: TunnelWord::Bytes(chunk), .. } => chunk.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(said.iter().map(length).collect::<Vec<_>>(), [32_768, 32_768, 4_464]);
}

#[test]
fn credit_is_given_for_what_has_left() {
    let mut bench = watching();
    bench.settings.tunnel_window = 100_000;
    for length in [20_000, 10_000, 5_000] {
        assert_eq!(bench.agent(TunnelWord::Bytes(chunk(&vec![0; length]))).len(), 1);
    }
    assert_eq!(bench.machine.afloat(), 35_000 + 12);
    assert_eq!(bench.event(Event::Sent { waiting: 15_008 }), [], "not for a quarter of the window yet");
    assert_eq!(bench.event(Event::Sent { waiting: 5_004 }), [to_agent(TunnelWord::Credit(30_000))]);
    assert_eq!(bench.event(Event::Sent { waiting: 0 }), [to_agent(TunnelWord::Credit(5_000))], "or all has");
    assert_eq!(bench.event(Event::Sent { waiting: 0 }), []);
}

#[test]
fn small_pieces_wait_together_for_a_busy_socket() {
    let mut bench = watching();
    bench.settings.tunnel_window = 100_000;
    let frame = |bytes: &[u8]| Effect::Send(chunk(bytes).framed(&[]));
    assert_eq!(bench.agent(TunnelWord::Bytes(chunk(b"a"))), [frame(b"a")]);
    assert_eq!(bench.agent(TunnelWord::Bytes(chunk(b"b"))), []);
    assert_eq!(bench.agent(TunnelWord::Bytes(chunk(b"c"))), []);
    assert_eq!(bench.event(Event::Sent { waiting: 0 }), [frame(b"bc"), to_agent(TunnelWord::Credit(1))]);
    assert_eq!(bench.agent(TunnelWord::Bytes(chunk(b"d"))), []);
    assert_eq!(bench.agent(TunnelWord::Bytes(chunk(&[1; 4096]))), [frame(b"d"), frame(&[1; 4096])], "in order");
    for _ in 0..8_192 {
        bench.agent(TunnelWord::Bytes(chunk(b"e")));
    }
    assert_eq!(bench.machine.afloat(), 4 + 3 + 4_100 + 4_100 + 4_096, "no header for each");
    let rest = frame(&[b'e'; 4_096]);
    assert_eq!(bench.agent(TunnelWord::Closed), [rest, Effect::End(Farewell::Over)]);
}

#[test]
fn a_viewer_that_sends_too_fast_is_not_read() {
    let mut bench = watching();
    assert_eq!(bench.event(Event::Binary(Chunk::copied(&[0; 50]))).len(), 1);
    assert_eq!(bench.event(Event::Binary(Chunk::copied(&[0; 1])))[1..], [Effect::Pause]);
    assert_eq!(bench.machine.room(), 49);
    assert_eq!(bench.event(Event::Binary(Chunk::copied(&[0; 9]))).len(), 1, "it was read already");
    assert_eq!(bench.agent(TunnelWord::Credit(9)), []);
    assert_eq!(bench.agent(TunnelWord::Credit(1)), [Effect::Resume]);
    assert_eq!(bench.agent(TunnelWord::Credit(u32::MAX)), []);
    assert_eq!(bench.event(Event::Binary(Chunk::copied(&[0; 101]))), [Effect::End(Farewell::TooMuch)]);
}

#[test]
fn activity_is_told_at_most_once_in_its_interval() {
    let mut bench = watching();
    let key = || vec![to_agent(TunnelWord::Bytes(chunk(b"k")))];
    let told = || key().into_iter().chain([activity()]).collect::<Vec<_>>();
    assert_eq!(bench.at(29).event(Event::Binary(Chunk::copied(b"k"))), key());
    assert_eq!(bench.at(30).event(Event::Binary(Chunk::copied(b"k"))), told());
    assert_eq!(bench.at(59).event(Event::Binary(Chunk::copied(b"k"))), key());
    let ping = || vec![Effect::Ping, Effect::Timer(Some(54 * SECOND))];
    assert_eq!(bench.at(60).event(Event::TimerFired), [Effect::Ping, Effect::Timer(Some(54 * SECOND)), activity()]);
    bench.event(Event::Pong);
    assert_eq!(bench.at(114).event(Event::TimerFired), ping());
    assert_eq!(bench.event(Event::Binary(Chunk::copied(b""))), [], "nothing is no activity");
    assert_eq!(bench.event(Event::Gone), [to_agent(TunnelWord::Closed), gone()]);
}

/// The registry that had let it in died before its word came; the next one, which was asked anew, does not know the view.
#[test]
fn one_that_is_in_by_its_agents_word_ends_when_the_next_registry_refuses_it() {
    for (refused, farewell) in [(ViewRefused::NotRunning, Farewell::Over), (ViewRefused::AgentOffline, Farewell::AgentGone)] {
        let mut bench = asking();
        assert_eq!(bench.agent(TunnelWord::Ready { error: None }), accepted());
        assert_eq!(bench.told(FromRegistry::Refused(refused)), [Effect::End(farewell)]);
        assert_eq!(bench.event(Event::Gone), [to_agent(TunnelWord::Closed)], "of the registry's it is none");
    }
}

#[test]
fn ends_have_their_codes() {
    for (why, farewell, code) in [
        (ViewOver::Displaced, Farewell::Displaced, 1008),
        (ViewOver::Stopped, Farewell::Over, 1000),
        (ViewOver::AgentGone, Farewell::AgentGone, 1011),
    ] {
        let mut bench = watching();
        assert_eq!(bench.told(FromRegistry::ViewOver(why)), [Effect::End(farewell)]);
        assert_eq!(farewell.code(), code);
        assert_eq!(bench.told(FromRegistry::ViewOver(why)), []);
        assert_eq!(bench.event(Event::TimerFired), []);
        assert_eq!(bench.event(Event::Gone), [to_agent(TunnelWord::Closed), gone()]);
    }
    for (word, farewell, code) in
        [(TunnelWord::Closed, Farewell::Over, 1000), (TunnelWord::Ready { error: Some("e".into()) }, Farewell::Broken, 1011)]
    {
        let mut bench = watching();
        assert_eq!(bench.agent(TunnelWord::Ready { error: None }), []);
        assert_eq!(bench.agent(word), [Effect::End(farewell)]);
        assert_eq!(farewell.code(), code);
        assert_eq!(bench.event(Event::Gone), [gone()], "the agent's end knows");
    }
    let mut bench = watching();
    assert_eq!(bench.event(Event::Revoked), [Effect::End(Farewell::Revoked)]);
    let mut bench = watching();
    bench.at(54).event(Event::TimerFired);
    assert_eq!(bench.at(174).event(Event::TimerFired), [Effect::End(Farewell::NoPong)]);
}
