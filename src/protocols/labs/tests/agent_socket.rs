//! One agent's connection, event by event.

use super::{speech::text, viewer_socket::chunk};
use crate::{
    protocols::labs::{
        Agent, Chunk, Effect, Event, Farewell, FromRegistry, ProxyId, SessionId, Settings, ToRegistry, TunnelWord, Wire,
        admission::{self, Denial},
        connection::late,
        letters::{AgentWord, Dialect},
        proxy_frames,
    },
    realtime::{ConnId, Moment, Now, ShardId},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

const CONN: ConnId = ConnId { shard: ShardId(1), generation: 0, slot: 1 };
const VIEWER: ConnId = ConnId { shard: ShardId(0), generation: 0, slot: 9 };
const ONE: SessionId = Uuid::from_u128(1);
const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    machine: Agent,
    now: Now,
    settings: Settings,
}

fn settings() -> Settings {
    Settings { tunnel_window: 100, early_bytes: 20, ..Settings::default() }
}

fn connected(dialect: Dialect) -> (Bench, Vec<Effect>) {
    let (mut out, settings) = (Vec::new(), settings());
    let now = Now { moment: Moment(1_000_000), ..Now::default() };
    let query = admission::agent(Some("agent_id=a&platform=host")).unwrap();
    let machine = Agent::new(dialect, query, CONN, now, &settings, &mut out);
    (Bench { machine, now, settings }, out)
}

fn online(dialect: Dialect) -> Bench {
    let (mut bench, _) = connected(dialect);
    if dialect == Dialect::Contract {
        bench.says(json!({"type": "register", "agent_id": "a"}));
    }
    let ping = bench.settings.ping_interval;
    let told = bench.told(FromRegistry::Registered);
    let [first, Effect::Timer(Some(after))] = &told[..] else { panic!("{told:?}") };
    assert_eq!(*after, ping);
    match (dialect, first) {
        (Dialect::Field, first) => assert_eq!(*first, Effect::Accept, "there is no register_ack"),
        // By the connection itself: no node can die between the two.
        (Dialect::Contract, Effect::Send(ack)) => {
            let expected = json!({"type": "register_ack", "agent_id": "a", "status": "registered", "heartbeat_interval": "10s"});
            assert_eq!(text(ack.bytes()), expected);
        }
        (Dialect::Contract, other) => panic!("{other:?}"),
    }
    bench
}

fn watched(dialect: Dialect) -> Bench {
    let mut bench = online(dialect);
    assert_eq!(bench.told(proxy(7)), []);
    bench
}

fn proxy(number: u32) -> FromRegistry {
    FromRegistry::Proxy { proxy: ProxyId(number), session: ONE, viewer: VIEWER, request: None }
}

fn to_viewer(number: u32, word: TunnelWord) -> Effect {
    Effect::Tunnel { to: VIEWER, proxy: ProxyId(number), word }
}

fn bytes(number: u32, bytes: &[u8]) -> Effect {
    to_viewer(number, TunnelWord::Bytes(chunk(bytes)))
}

fn broken(number: u32, error: &str) -> Effect {
    to_viewer(number, TunnelWord::Ready { error: Some(error.into()) })
}

fn data(number: u32, bytes: &[u8]) -> Effect {
    Effect::Send(proxy_frames::data(ProxyId(number), chunk(bytes)))
}

fn payload(wire: Wire) -> Vec<u8> {
    wire.bytes()[2..].to_vec()
}

fn sent(effects: &[Effect]) -> Vec<Value> {
    let wires = effects.iter().map(|effect| match effect {
        Effect::Send(wire) => text(wire.bytes()),
        other => panic!("{other:?}"),
    });
    wires.collect()
}

fn proxy_close(number: u32) -> Value {
    json!({"type": "vnc_proxy_close", "proxy_id": format!("proxy-{number}")})
}

impl Bench {
    fn event(&mut self, event: Event<'_>) -> Vec<Effect> {
        let mut out = Vec::new();
        self.machine.handle(event, CONN, self.now, &self.settings, &mut out);
        out
    }

    fn says(&mut self, message: Value) -> Vec<Effect> {
        self.event(Event::Text(&message.to_string()))
    }

    fn sends(&mut self, number: u32, bytes: &[u8]) -> Vec<Effect> {
        self.event(Event::Binary(Chunk::copied(&payload(proxy_frames::data(ProxyId(number), chunk(bytes))))))
    }

    fn in_field(&mut self, kind: &str, data: &str) -> Vec<Effect> {
        self.says(json!({"type": kind, "payload": {"sessionId": ONE, "data": data, "error": "e"}}))
    }

    fn told(&mut self, letter: FromRegistry) -> Vec<Effect> {
        self.event(Event::Registry(letter))
    }

    fn viewer(&mut self, number: u32, word: TunnelWord) -> Vec<Effect> {
        self.event(Event::Tunnel { from: VIEWER, proxy: ProxyId(number), word })
    }

    fn ready(&mut self, more: Value) -> Vec<Effect> {
        let mut message = json!({"type": "vnc_proxy_ready", "proxy_id": "proxy-7"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.says(message)
    }
}

fn gone() -> Vec<Effect> {
    vec![Effect::Registry(ToRegistry::AgentGone { conn: CONN, agent: "a".into() })]
}

#[test]
fn a_second_banner_is_the_beginning_of_another_stream() {
    let mut bench = watched(Dialect::Field);
    let banner = "UkZCIDAwMy4wMDgK";
    assert_eq!(bench.in_field("vnc_data", banner), [bytes(7, b"RFB 003.008\n")]);
    assert_eq!(bench.in_field("vnc_data", "UkZCIA=="), [bytes(7, b"RFB ")], "that is no banner");
    assert_eq!(bench.in_field("vnc_data", banner), [broken(7, "the agent opened its tunnel again")]);
    assert_eq!(bench.told(proxy(8)), [bytes(8, b"RFB 003.008\n")], "the next viewer sees it from the beginning");
    assert_eq!(bench.in_field("vnc_data", banner), [broken(8, "the agent opened its tunnel again")]);
}

/// Whoever ended the stream: what of it was on its way is not the beginning of the next.
#[test]
fn the_rest_of_a_stream_of_which_there_was_too_much_is_nobodys() {
    type End = fn(&mut Bench) -> Vec<Effect>;
    let ends: [End; 2] = [
        |bench| bench.in_field("vnc_data", &STANDARD.encode([0; 101])),
        |bench| (0..2).flat_map(|_| bench.viewer(7, TunnelWord::Bytes(chunk(&[0; 1_000])))).collect(),
    ];
    for end in ends {
        let mut bench = watched(Dialect::Field);
        bench.in_field("vnc_data", "UkZCIDAwMy4wMDgK");
        let ended = end(&mut bench);
        assert!(ended.iter().any(|effect| matches!(effect, Effect::Tunnel { .. })), "{ended:?}");
        assert_eq!(bench.in_field("vnc_data", "bGF0ZQ=="), []);
        assert_eq!(bench.told(proxy(8)), [], "nothing was kept for the next viewer");
        assert_eq!(bench.in_field("vnc_data", "UkZCIA=="), [bytes(8, b"RFB ")], "another stream");
    }
}

#[test]
fn a_viewer_may_be_quicker_than_the_registrys_word_of_it() {
    let request = crate::websocket::frame::text(br#"{"type":"vnc_proxy_request"}"#);
    let asked = json!({"type": "vnc_proxy_request"});
    let proxy = |number| match proxy(number) {
        FromRegistry::Proxy { proxy, session, viewer, .. } => {
            FromRegistry::Proxy { proxy, session, viewer, request: Some(request.clone()) }
        }
        other => panic!("{other:?}"),
    };
    let mut bench = online(Dialect::Contract);
    assert_eq!(bench.viewer(7, TunnelWord::Bytes(chunk(b"hello"))), []);
    assert_eq!(sent(&bench.told(proxy(7))), std::slice::from_ref(&asked));
    assert_eq!(bench.ready(json!({})), [to_viewer(7, TunnelWord::Ready { error: None }), data(7, b"hello")]);
    assert_eq!(bench.viewer(8, TunnelWord::Bytes(chunk(b"hello"))), []);
    assert_eq!(bench.viewer(8, TunnelWord::Closed), []);
    assert_eq!(sent(&bench.told(proxy(8))), [proxy_close(7), asked, proxy_close(8)], "it comes and goes, in this order");
    assert_eq!(bench.viewer(8, TunnelWord::Closed), [], "that is over");
    assert_eq!(bench.machine.levels(), (0, 0));
}

#[test]
fn register_comes_first_and_in_time() {
    let (mut bench, out) = connected(Dialect::Contract);
    assert_eq!(out, [Effect::Timer(Some(10 * SECOND))]);
    assert_eq!(bench.event(Event::TimerFired), [Effect::End(Farewell::NotRegistered)]);
    assert_eq!(bench.event(Event::Gone), [], "nobody knows it");
    let (mut bench, _) = connected(Dialect::Contract);
    assert_eq!(bench.says(json!({"type": "heartbeat"})), [Effect::End(Farewell::NotRegistered)]);
    let (mut bench, _) = connected(Dialect::Contract);
    assert_eq!(bench.event(Event::Binary(Chunk::copied(b"x"))), [Effect::End(Farewell::NotRegistered)]);
    let (mut bench, _) = connected(Dialect::Contract);
    let refused = bench.says(json!({"type": "register", "agent_id": "another"}));
    assert_eq!(refused[1..], [Effect::End(Farewell::BadRegister)]);
    assert_eq!(sent(&refused[..1])[0]["details"]["field"], "agent_id");
    assert_eq!(Farewell::BadRegister.code(), 1008);
    let (mut bench, _) = connected(Dialect::Contract);
    let asked = bench.says(json!({"type": "register", "agent_id": "a"}));
    let [Effect::Registry(ToRegistry::Register { conn: CONN, hello, .. })] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&*hello.name, &*hello.platform), ("a", "host"));
    assert_eq!(bench.says(json!({"type": "heartbeat"})), [], "not heard before the answer");
    assert_eq!(bench.event(Event::TimerFired), [Effect::End(Farewell::Unanswered)]);
    assert_eq!(bench.event(Event::Gone), gone());
}

/// A full disk is no word on the agent: it is told to come again.
#[test]
fn an_agent_that_cannot_be_written_down_comes_again() {
    let (mut bench, _) = connected(Dialect::Contract);
    bench.says(json!({"type": "register", "agent_id": "a"}));
    assert_eq!(bench.told(FromRegistry::Unkept), [Effect::End(Farewell::Unanswered)]);
    assert_eq!((Farewell::Unanswered.code(), bench.event(Event::Gone)), (1013, vec![]));
    let (mut bench, _) = connected(Dialect::Field);
    assert_eq!(bench.told(FromRegistry::Unkept), [Effect::Refuse(Denial::Unavailable)]);
    assert_eq!((Denial::Unavailable.status(), bench.event(Event::Gone)), (503, vec![]));
}

/// Others may be forgotten meanwhile.
#[test]
fn an_agent_for_which_there_is_no_room_comes_again() {
    let (mut bench, _) = connected(Dialect::Contract);
    bench.says(json!({"type": "register", "agent_id": "a"}));
    assert_eq!(bench.told(FromRegistry::Full), [Effect::End(Farewell::Full)]);
    assert_eq!((Farewell::Full.code(), bench.event(Event::Gone)), (1013, vec![]));
}

#[test]
fn an_agent_of_the_field_registers_by_coming() {
    let (mut bench, out) = connected(Dialect::Field);
    let [Effect::Timer(_), Effect::Registry(ToRegistry::Register { hello, .. })] = &out[..] else { panic!("{out:?}") };
    assert_eq!((hello.dialect, &*hello.platform), (Dialect::Field, ""));
    assert_eq!(bench.told(FromRegistry::Unknown), [Effect::Refuse(Denial::NoAgent)], "before the upgrade");
    assert_eq!(bench.event(Event::Gone), [], "it was refused");
    let (mut bench, _) = connected(Dialect::Field);
    assert_eq!(bench.event(Event::TimerFired), [Effect::Refuse(Denial::Unavailable)]);
    let (mut bench, _) = connected(Dialect::Field);
    assert_eq!(bench.told(FromRegistry::Displaced), [Effect::Refuse(Denial::Unavailable)]);
    assert!(matches!(bench.event(Event::Gone)[..], [Effect::Registry(ToRegistry::AgentGone { .. })]));
}

#[test]
fn words_go_to_the_registry() {
    let mut bench = online(Dialect::Contract);
    let word = AgentWord::Acknowledged { command: "cmd-1".into() };
    let said = [Effect::Registry(ToRegistry::Said { conn: CONN, agent: "a".into(), word })];
    assert_eq!(bench.says(json!({"type": "command_ack", "command_id": "cmd-1"})), said);
    assert_eq!(bench.told(FromRegistry::Displaced), [Effect::End(Farewell::Displaced)]);
    assert_eq!(bench.says(json!({"type": "command_ack", "command_id": "cmd-1"})), []);
    assert_eq!(bench.event(Event::Gone), gone());
}

#[test]
fn a_hundred_senseless_messages_in_a_row_are_too_many() {
    for dialect in [Dialect::Contract, Dialect::Field] {
        let mut bench = online(dialect);
        for round in 0..2 {
            for _ in 0..99 {
                assert_eq!(bench.event(Event::Text("{")).len(), usize::from(dialect == Dialect::Contract));
            }
            if round == 0 {
                assert_eq!(bench.says(json!({"type": "pong"})), []);
            }
        }
        assert_eq!(bench.event(Event::Binary(Chunk::copied(b"\x09"))), [Effect::End(Farewell::Nonsense)]);
    }
}

#[test]
fn pings_end_a_connection_that_is_silent() {
    let mut bench = online(Dialect::Contract);
    let start = bench.now.moment;
    let at = |seconds: u32, bench: &mut Bench| {
        bench.now.moment = start + seconds * SECOND;
        bench.event(Event::TimerFired)
    };
    assert_eq!(at(54, &mut bench), [Effect::Ping, Effect::Timer(Some(54 * SECOND))]);
    bench.says(json!({"type": "pong"}));
    assert_eq!(at(108, &mut bench), [Effect::Ping, Effect::Timer(Some(54 * SECOND))]);
    assert_eq!(at(228, &mut bench), [Effect::End(Farewell::NoPong)]);
}

#[test]
fn bytes_go_both_ways() {
    let mut bench = watched(Dialect::Contract);
    assert_eq!(bench.sends(7, b"RFB "), [bytes(7, b"RFB ")], "before it is ready");
    assert_eq!(bench.viewer(7, TunnelWord::Bytes(chunk(b"early"))), []);
    let ready = to_viewer(7, TunnelWord::Ready { error: None });
    assert_eq!(bench.ready(json!({})), [ready, data(7, b"early")]);
    assert_eq!(bench.ready(json!({})), []);
    assert_eq!(bench.viewer(7, TunnelWord::Bytes(chunk(b"more"))), [data(7, b"more")]);
    let lengths = [2 + 5 + 5, 2 + 5 + 4];
    assert_eq!(bench.event(Event::Sent { waiting: lengths[1] + 1 }), []);
    assert_eq!(bench.event(Event::Sent { waiting: lengths[1] }), [to_viewer(7, TunnelWord::Credit(5))]);
    assert_eq!(bench.event(Event::Sent { waiting: 0 }), [to_viewer(7, TunnelWord::Credit(4))]);
    assert_eq!(bench.viewer(7, TunnelWord::Credit(4)), [], "it does not count");
    assert_eq!(bench.sends(8, b"nobody"), []);
    let stranger = Event::Tunnel { from: CONN, proxy: ProxyId(7), word: TunnelWord::Closed };
    assert_eq!(bench.event(stranger), []);
    assert_eq!(sent(&bench.viewer(7, TunnelWord::Closed)), [proxy_close(7)]);
    assert_eq!(bench.sends(7, b"late"), []);
    assert_eq!(bench.event(Event::Gone), gone());
}

#[test]
fn one_that_counts_is_given_credit_and_gives_it() {
    let mut bench = watched(Dialect::Contract);
    bench.sends(7, &[1; 30]);
    let granted = |bytes| Effect::Send(proxy_frames::credit(ProxyId(7), bytes));
    let opened = [to_viewer(7, TunnelWord::Ready { error: None }), granted(70)];
    assert_eq!(bench.ready(json!({"credit": 6})), opened, "what was sent before is taken off");
    assert_eq!(bench.viewer(7, TunnelWord::Credit(30)), [granted(30)]);
    assert_eq!(bench.viewer(7, TunnelWord::Bytes(chunk(b"four"))), [data(7, b"four")]);
    assert_eq!(bench.viewer(7, TunnelWord::Bytes(chunk(b"five5"))), [data(7, b"five5")], "passes it by a part");
    assert_eq!(bench.viewer(7, TunnelWord::Bytes(chunk(b"wait"))), []);
    let credit = |bytes| payload(proxy_frames::credit(ProxyId(7), bytes));
    assert_eq!(bench.event(Event::Binary(Chunk::copied(&credit(3)))), []);
    assert_eq!(bench.event(Event::Binary(Chunk::copied(&credit(1)))), [data(7, b"wait")]);
    assert_eq!(bench.event(Event::Binary(Chunk::copied(&credit(u32::MAX)))), []);
    assert_eq!(bench.event(Event::Binary(Chunk::copied(&credit(u32::MAX)))), []);
}

#[test]
fn one_that_sends_text_is_sent_text() {
    let mut bench = watched(Dialect::Contract);
    bench.ready(json!({"encoding": "base64"}));
    let expected = json!({"type": "vnc_data", "proxy_id": "proxy-7", "data": "UkZCIA=="});
    let said = bench.viewer(7, TunnelWord::Bytes(chunk(b"RFB ")));
    assert_eq!(sent(&said), std::slice::from_ref(&expected));
    bench.sends(7, b"x");
    assert_eq!(bench.viewer(7, TunnelWord::Bytes(chunk(b"RFB "))), [data(7, b"RFB ")]);
    assert_eq!(bench.says(expected), [bytes(7, b"RFB ")]);
    assert_eq!(sent(&bench.viewer(7, TunnelWord::Bytes(chunk(b"RFB ")))).len(), 1);
}

#[test]
fn too_much_ends_that_tunnel_alone() {
    let mut bench = watched(Dialect::Contract);
    let other = FromRegistry::Proxy { proxy: ProxyId(8), session: Uuid::from_u128(2), viewer: VIEWER, request: None };
    bench.told(other);
    assert_eq!(bench.sends(7, &[0; 100]).len(), 1);
    let ended = bench.sends(7, &[0]);
    assert_eq!(sent(&ended[..1]), [proxy_close(7)]);
    assert_eq!(ended[1..], [broken(7, "the agent sent more than the viewer took")]);
    assert_eq!(bench.sends(8, b"x"), [bytes(8, b"x")]);
    assert_eq!(bench.viewer(8, TunnelWord::Bytes(chunk(&[0; 100]))), []);
    assert_eq!(bench.machine.levels(), (100, 1));
    assert_eq!(bench.viewer(8, TunnelWord::Bytes(chunk(b"x"))).len(), 2);
    assert_eq!(bench.machine.levels(), (0, 0));
}

#[test]
fn the_agents_end_ends_the_viewer() {
    for (message, word) in [
        (json!({"type": "vnc_proxy_close", "proxy_id": "proxy-7"}), TunnelWord::Closed),
        (json!({"type": "vnc_proxy_error", "proxy_id": "proxy-7", "error": "e"}), TunnelWord::Ready { error: Some("e".into()) }),
    ] {
        let mut bench = watched(Dialect::Contract);
        assert_eq!(bench.says(message.clone()), [to_viewer(7, word)]);
        assert_eq!(bench.says(message), []);
    }
    let mut bench = watched(Dialect::Contract);
    assert_eq!(bench.event(Event::Gone)[0], broken(7, "the agent left"));
    let mut bench = watched(Dialect::Contract);
    assert_eq!(bench.told(FromRegistry::Displaced)[0], broken(7, "the agent left"));
    assert_eq!(bench.told(proxy(8)), [broken(8, "the agent left")], "it comes too late");
    assert_eq!(late(&proxy(8)), Some(broken(8, "the agent left")));
}

#[test]
fn a_newer_viewer_of_the_session_ends_the_older_tunnel() {
    let mut bench = watched(Dialect::Contract);
    assert_eq!(sent(&bench.told(proxy(8))), [proxy_close(7)]);
    assert_eq!(bench.viewer(7, TunnelWord::Closed), []);
    assert_eq!(bench.sends(8, b"x"), [bytes(8, b"x")]);
}

#[test]
fn what_a_viewer_said_last_is_told_before_its_end() {
    let mut bench = watched(Dialect::Contract);
    bench.ready(json!({"credit": 0}));
    bench.viewer(7, TunnelWord::Bytes(chunk(b"last")));
    assert_eq!(bench.viewer(7, TunnelWord::Closed), []);
    assert_eq!(bench.sends(7, b"unseen"), []);
    let told = bench.event(Event::Binary(Chunk::copied(&payload(proxy_frames::credit(ProxyId(7), 1)))));
    assert_eq!(told[0], data(7, b"last"));
    assert_eq!(sent(&told[1..]), [proxy_close(7)]);
    let mut bench = watched(Dialect::Contract);
    bench.ready(json!({"credit": 0}));
    bench.viewer(7, TunnelWord::Bytes(chunk(b"last")));
    bench.viewer(7, TunnelWord::Closed);
    bench.now.moment = bench.now.moment + 54 * SECOND;
    assert_eq!(bench.event(Event::TimerFired).len(), 2);
    bench.event(Event::Pong);
    bench.now.moment = bench.now.moment + 54 * SECOND;
    assert_eq!(sent(&bench.event(Event::TimerFired)[2..]), [proxy_close(7)], "nobody waits for ever");
}

#[test]
fn the_early_banner_is_for_the_first_viewer() {
    let mut bench = online(Dialect::Field);
    assert_eq!(bench.in_field("vnc_data", "UkZCIDAwMw=="), []);
    assert_eq!(bench.in_field("vnc_ready", ""), []);
    assert_eq!(bench.in_field("vnc_data", "LjAwOAo="), []);
    assert_eq!(bench.told(proxy(7)), [bytes(7, b"RFB 003.008\n")]);
    assert_eq!(bench.in_field("vnc_data", "eA=="), [bytes(7, b"x")]);
    let said = bench.viewer(7, TunnelWord::Bytes(chunk(b"y")));
    assert_eq!(sent(&said)[0]["payload"], json!({"sessionId": ONE, "data": "eQ=="}));
    let closed = bench.viewer(7, TunnelWord::Closed);
    assert_eq!(sent(&closed)[0]["type"], "vnc_close");
    assert_eq!(bench.in_field("vnc_data", "eA=="), []);
    assert_eq!(bench.told(proxy(8)), [], "the end of the older stream is nothing for the next viewer");
    assert_eq!(bench.in_field("vnc_data", "eA=="), []);
    assert_eq!(bench.in_field("vnc_data", "UkZCIDAwMw=="), [bytes(8, b"RFB 003")]);
    assert_eq!(bench.in_field("vnc_error", ""), [broken(8, "e")]);
    assert_eq!(bench.event(Event::Gone), gone());
}

#[test]
fn too_much_before_a_viewer_is_not_kept() {
    let mut bench = online(Dialect::Field);
    let twelve = "MTIzNDU2Nzg5MDEy";
    assert_eq!(bench.in_field("vnc_data", twelve), []);
    assert_eq!(sent(&bench.in_field("vnc_data", twelve))[0]["type"], "vnc_close");
    assert_eq!(bench.in_field("vnc_data", twelve), []);
    assert_eq!(bench.told(proxy(7)), []);
    let mut bench = online(Dialect::Field);
    bench.in_field("vnc_data", twelve);
    assert_eq!(bench.in_field("vnc_error", ""), [], "no word on the session: its tunnel is over, no more");
    assert_eq!(bench.told(proxy(7)), []);
}
