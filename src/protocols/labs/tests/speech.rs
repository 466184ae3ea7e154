//! What agents say: the contract's examples, the shapes of the second dialect, and what is none of both.

use crate::{
    protocols::labs::{
        agent_messages::{self, Fault, Heard, Speaker, Tunnel, named_proxy, read},
        chunk::Chunk,
        letters::{AgentWord, Capacity, Dialect, Hello},
        model::{AgentName, Place, ProxyId, SessionId},
    },
    realtime::UnixMicros,
};
use serde_json::{Value, json};

const SESSION: &str = "770e8400-e29b-41d4-a716-446655440002";

fn session() -> SessionId {
    SESSION.parse().unwrap()
}

fn heard(dialect: Dialect, text: &str) -> Result<Heard, Fault> {
    let name: AgentName = "k8s-prod-us-east-1".into();
    read(text, Speaker { dialect, name: &name, platform: "docker", region: "" })
}

fn contract(message: &Value) -> Result<Heard, Fault> {
    heard(Dialect::Contract, &message.to_string())
}

fn field(kind: &str, payload: Value) -> Result<Heard, Fault> {
    let envelope = json!({"type": kind, "timestamp": "2025-11-22T10:45:00Z", "payload": payload});
    heard(Dialect::Field, &envelope.to_string())
}

#[test]
fn register_of_the_contract() {
    let metadata = r#"{
    "cluster_name": "prod-k8s-cluster",
    "ha_enabled": true
  }"#;
    let text = format!(
        r#"{{
  "type": "register",
  "agent_id": "k8s-prod-us-east-1",
  "platform": "kubernetes",
  "region": "us-east-1",
  "capacity": {{
    "max_cpu": 100,
    "max_memory": 256,
    "max_sessions": 100
  }},
  "metadata": {metadata}
}}"#
    );
    let hello = Hello {
        dialect: Dialect::Contract,
        name: "k8s-prod-us-east-1".into(),
        platform: "kubernetes".into(),
        region: "us-east-1".into(),
        capacity: Capacity { max_sessions: Some(100), max_cpu: Some(100.0), max_memory: Some(256.0), current_sessions: None },
        metadata: metadata.into(),
    };
    assert_eq!(heard(Dialect::Contract, &text), Ok(Heard::Register(Box::new(hello.clone()))));
    let short =
        Hello { platform: "docker".into(), region: "".into(), capacity: Capacity::default(), metadata: "{}".into(), ..hello };
    let said = contract(&json!({"type": "register", "agent_id": "k8s-prod-us-east-1", "capacity": null}));
    assert_eq!(said, Ok(Heard::Register(Box::new(short))), "what the query said");
}

#[test]
fn heartbeat_of_the_contract() {
    let text = r#"{
  "type": "heartbeat",
  "agent_id": "k8s-prod-us-east-1",
  "timestamp": "2025-11-22T10:35:00Z",
  "capacity": {
    "current_sessions": 12
  }
}"#;
    let capacity = Capacity { current_sessions: Some(12), ..Capacity::default() };
    assert_eq!(heard(Dialect::Contract, text), Ok(Heard::Word(AgentWord::Heartbeat(capacity))));
    let bare = contract(&json!({"type": "heartbeat"}));
    assert_eq!(bare, Ok(Heard::Word(AgentWord::Heartbeat(Capacity::default()))));
}

#[test]
fn command_ack_and_results_of_the_contract() {
    let ack = r#"{
  "type": "command_ack",
  "command_id": "cmd-abc123",
  "agent_id": "k8s-prod-us-east-1",
  "status": "acknowledged"
}"#;
    let command = || "cmd-abc123".to_owned();
    assert_eq!(heard(Dialect::Contract, ack), Ok(Heard::Word(AgentWord::Acknowledged { command: command() })));
    let result = r#"{
  "type": "command_result",
  "command_id": "cmd-abc123",
  "agent_id": "k8s-prod-us-east-1",
  "status": "completed",
  "result": {
    "session_id": "770e8400-e29b-41d4-a716-446655440002",
    "pod_ip": "10.42.1.5",
    "pod_name": "john-doe-firefox-browser-abc123-7c8f9d6b5",
    "vnc_port": 5900,
    "started_at": "2025-11-22T10:45:12Z"
  }
}"#;
    let place = Place {
        pod_ip: Some("10.42.1.5".into()),
        pod_name: Some("john-doe-firefox-browser-abc123-7c8f9d6b5".into()),
        vnc_port: Some(5900),
        started_at: Some("2025-11-22T10:45:12Z".into()),
        ..Place::default()
    };
    let completed = AgentWord::Completed { command: command(), place: Box::new(place) };
    assert_eq!(heard(Dialect::Contract, result), Ok(Heard::Word(completed)));
    let failed = r#"{
  "type": "command_result",
  "command_id": "cmd-abc123",
  "agent_id": "k8s-prod-us-east-1",
  "status": "failed",
  "error": "Failed to create pod: insufficient resources",
  "error_code": "INSUFFICIENT_RESOURCES"
}"#;
    let error = "Failed to create pod: insufficient resources".to_owned();
    let failed_word = AgentWord::Failed { command: command(), error };
    assert_eq!(heard(Dialect::Contract, failed), Ok(Heard::Word(failed_word)));
}

#[test]
fn tunnels_in_the_contracts_dialect() {
    let tunnel = Tunnel::Proxy(ProxyId(7));
    let say = |kind: &str, more: Value| {
        let mut message = json!({"type": kind, "proxy_id": "proxy-7"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        contract(&message)
    };
    let ready = |credit, base64| Ok(Heard::Ready { tunnel, credit, base64 });
    assert_eq!(say("vnc_proxy_ready", json!({})), ready(None, false));
    assert_eq!(say("vnc_proxy_ready", json!({"credit": 65536, "encoding": "binary"})), ready(Some(65536), false));
    assert_eq!(say("vnc_proxy_ready", json!({"encoding": "base64"})), ready(None, true));
    assert_eq!(say("vnc_proxy_ready", json!({"encoding": "hex"})), Err(Fault::Wrong("encoding")));
    assert_eq!(say("vnc_proxy_ready", json!({"credit": -1})), Err(Fault::Wrong("credit")));
    let over = |error: Option<&str>| Ok(Heard::Over { tunnel, error: error.map(Into::into) });
    assert_eq!(say("vnc_proxy_error", json!({"error": "refused"})), over(Some("refused")));
    assert_eq!(say("vnc_proxy_error", json!({})), over(Some("The agent gave no reason")));
    assert_eq!(say("vnc_proxy_close", json!({})), over(None));
    let data = |bytes: &[u8]| Ok(Heard::Data(tunnel, Chunk::copied(bytes)));
    assert_eq!(say("vnc_data", json!({"data": "UkZCIA=="})), data(b"RFB "));
    assert_eq!(say("vnc_data", json!({"data": "UkZCIA"})), data(b"RFB "));
    assert_eq!(heard(Dialect::Contract, r#"{"type":"vnc_data","proxy_id":"proxy-7","data":"\/\u002f\/\/"}"#), data(&[255; 3]));
    for bad in ["UkZCI", "UkZC!A==", "Uk ZC"] {
        assert_eq!(say("vnc_data", json!({"data": bad})), Err(Fault::Wrong("data")));
    }
    assert_eq!(named_proxy("proxy-4294967295"), Some(ProxyId(u32::MAX)));
    for name in ["", "proxy-", "proxy-07", "proxy-+7", "proxy-4294967296", "cmd-7", "proxy-abc123"] {
        assert_eq!(named_proxy(name), None);
        let close = contract(&json!({"type": "vnc_proxy_close", "proxy_id": name}));
        assert_eq!(close, Err(Fault::Wrong("proxy_id")));
    }
}

#[test]
fn status_and_logs() {
    let place = Place { vnc_port: Some(5901), container_id: Some("c".into()), ..Place::default() };
    let status = |running, place| Ok(Heard::Word(AgentWord::Status { session: session(), running, place: Box::new(place) }));
    let said =
        json!({"type": "status", "session_id": SESSION, "state": "running", "result": {"vnc_port": 5901, "container_id": "c"}});
    assert_eq!(contract(&said), status(true, place));
    for dead in ["hibernated", "stopped", "terminated", "failed", "exited", "error"] {
        assert_eq!(contract(&json!({"type": "status", "session_id": SESSION, "state": dead})), status(false, Place::default()));
    }
    for unclear in ["pending", "starting", "", "RUNNING"] {
        assert_eq!(contract(&json!({"type": "status", "session_id": SESSION, "state": unclear})), Ok(Heard::Nothing));
    }
    let logs = contract(&json!({"type": "logs", "request": u64::MAX, "lines": ["a", "b"]}));
    let lines = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(logs, Ok(Heard::Word(AgentWord::Logs { request: u64::MAX, lines })));
    for (field, message) in [
        ("request", json!({"type": "logs", "request": -1, "lines": []})),
        ("lines", json!({"type": "logs", "request": 1, "lines": ["a", 1]})),
        ("lines", json!({"type": "logs", "request": 1, "lines": vec![""; 10_001]})),
    ] {
        assert_eq!(contract(&message), Err(Fault::Wrong(field)));
    }
}

#[test]
fn the_second_dialect() {
    let word = |word| Ok(Heard::Word(word));
    let capacity = Capacity { max_sessions: Some(50), max_cpu: Some(64.0), max_memory: Some(256.0), current_sessions: Some(3) };
    let beat = json!({
        "status": "online", "activeSessions": 3,
        "capacity": {"maxSessions": 50, "cpu": "64", "memory": "256Gi", "storage": "1Ti"},
    });
    assert_eq!(field("heartbeat", beat), word(AgentWord::Heartbeat(capacity)));
    let command = || "cmd-abc123def456".to_owned();
    assert_eq!(field("ack", json!({"commandId": command()})), word(AgentWord::Acknowledged { command: command() }));
    let place =
        Place { pod_ip: Some("10.42.1.5".into()), pod_name: Some("pod-1".into()), vnc_port: Some(5900), ..Place::default() };
    let complete = json!({"commandId": command(), "result": {"podName": "pod-1", "podIP": "10.42.1.5", "vncPort": 5900}});
    let completed = AgentWord::Completed { command: command(), place: Box::new(place.clone()) };
    assert_eq!(field("complete", complete), word(completed));
    let failed = AgentWord::Failed { command: command(), error: "no".into() };
    assert_eq!(field("failed", json!({"commandId": command(), "error": "no"})), word(failed));
    // It has no timestamp.
    let status = json!({"type": "status", "payload": {
        "sessionId": SESSION, "state": "running", "vncReady": true, "vncPort": 5900,
        "platformMetadata": {"podName": "pod-1", "podIP": "10.42.1.5"},
    }});
    let status = heard(Dialect::Field, &status.to_string());
    assert_eq!(status, word(AgentWord::Status { session: session(), running: true, place: Box::new(place) }));
    let tunnel = Tunnel::Session(session());
    let ready = json!({"sessionId": SESSION, "vncPort": 5900, "podName": "pod-1"});
    assert_eq!(field("vnc_ready", ready), Ok(Heard::Ready { tunnel, credit: None, base64: true }));
    let data = json!({"sessionId": SESSION, "data": "UkZCIA=="});
    assert_eq!(field("vnc_data", data), Ok(Heard::Data(tunnel, Chunk::copied(b"RFB "))));
    let over = Heard::Over { tunnel, error: Some("gone".into()) };
    assert_eq!(field("vnc_error", json!({"sessionId": SESSION, "error": "gone"})), Ok(over));
    assert_eq!(heard(Dialect::Field, r#"{"type":"pong"}"#), Ok(Heard::Alive));
    assert_eq!(field("register", json!({})), Err(Fault::UnknownType));
    assert_eq!(field("ack", Value::Null), Err(Fault::Missing("command_id")));
    assert_eq!(field("ack", json!([1])), Err(Fault::Wrong("payload")));
}

#[test]
fn hostile_messages_have_no_effect_and_do_no_harm() {
    let deep = |open: &str, close: &str| open.repeat(200_000) + &close.repeat(200_000);
    let unread = [
        String::new(),
        "null".into(),
        "7".into(),
        "[]".into(),
        "\"register\"".into(),
        "{".into(),
        r#"{"type":"pong"}{}"#.into(),
        r#"{"type":"pong","type":"pong"}"#.into(),
        r#"{"type":"ack","command_id":"a","commandId":"b"}"#.into(),
        deep("[", "]"),
        deep(r#"{"a":"#, "}"),
        "\u{0}".into(),
    ];
    for text in &unread {
        for dialect in [Dialect::Contract, Dialect::Field] {
            assert_eq!(heard(dialect, text), Err(Fault::Json), "{}", &text[..text.len().min(40)]);
        }
    }
    for field in ["payload", "metadata", "capacity", "data", "anything"] {
        let text = format!(r#"{{"type":"nonsense","{field}":{}}}"#, deep("[", "]"));
        for dialect in [Dialect::Contract, Dialect::Field] {
            assert!(heard(dialect, &text).is_err());
        }
    }
    let name = "k8s-prod-us-east-1";
    let register = |more: &str| heard(Dialect::Contract, &format!(r#"{{"type":"register","agent_id":"{name}",{more}}}"#));
    for (field, more) in [
        ("platform", r#""platform":7"#.to_owned()),
        ("platform", r#""platform":"""#.into()),
        ("platform", format!(r#""platform":"{}""#, "a".repeat(129))),
        ("region", r#""region":"a b""#.into()),
        ("capacity", r#""capacity":[]"#.into()),
        ("capacity", r#""capacity":"many""#.into()),
        ("capacity.max_sessions", r#""capacity":{"max_sessions":1e300}"#.into()),
        ("capacity.max_sessions", r#""capacity":{"max_sessions":4294967296}"#.into()),
        ("capacity.max_sessions", r#""capacity":{"max_sessions":-1}"#.into()),
        ("capacity.max_sessions", r#""capacity":{"max_sessions":1.5}"#.into()),
        ("capacity.max_sessions", r#""capacity":{"max_sessions":"7"}"#.into()),
        ("capacity.max_cpu", r#""capacity":{"max_cpu":1e999}"#.into()),
        ("capacity.max_cpu", r#""capacity":{"max_cpu":"NaN"}"#.into()),
        ("capacity.max_memory", r#""capacity":{"max_memory":"-1Gi"}"#.into()),
        ("capacity.max_memory", r#""capacity":{"max_memory":{}}"#.into()),
        ("metadata", r#""metadata":[]"#.into()),
        ("metadata", format!(r#""metadata":{{"a":"{}"}}"#, "a".repeat(16 << 10))),
    ] {
        assert_eq!(register(&more), Err(Fault::Wrong(field)), "{}", &more[..more.len().min(60)]);
    }
    for (fault, message) in [
        (Fault::Missing("type"), json!({})),
        (Fault::Wrong("type"), json!({"type": 7})),
        (Fault::UnknownType, json!({"type": "Register"})),
        (Fault::Missing("agent_id"), json!({"type": "register"})),
        (Fault::Wrong("agent_id"), json!({"type": "register", "agent_id": "another"})),
        (Fault::Wrong("agent_id"), json!({"type": "heartbeat", "agent_id": "another"})),
        (Fault::Missing("command_id"), json!({"type": "command_ack"})),
        (Fault::Wrong("command_id"), json!({"type": "command_ack", "command_id": "a".repeat(1025)})),
        (Fault::Missing("status"), json!({"type": "command_result", "command_id": "a"})),
        (Fault::Wrong("status"), json!({"type": "command_result", "command_id": "a", "status": "done"})),
        (
            Fault::Wrong("vnc_port"),
            json!({"type": "command_result", "command_id": "a", "status": "completed", "result": {"vnc_port": 70000}}),
        ),
        (
            Fault::Wrong("vnc_port"),
            json!({"type": "command_result", "command_id": "a", "status": "completed", "result": {"vnc_port": 0}}),
        ),
        (Fault::Wrong("session_id"), json!({"type": "status", "session_id": "x", "state": "running"})),
        (Fault::Missing("proxy_id"), json!({"type": "vnc_proxy_ready"})),
        (Fault::Wrong("data"), json!({"type": "vnc_data", "proxy_id": "proxy-1", "data": 7})),
    ] {
        assert_eq!(contract(&message), Err(fault));
    }
}

#[test]
fn long_words_of_an_agent_are_cut_between_characters() {
    let said = contract(&json!({"type": "command_result", "command_id": "a", "status": "failed", "error": "é".repeat(1_000)}));
    let Ok(Heard::Word(AgentWord::Failed { error, .. })) = said else { panic!("{said:?}") };
    assert_eq!(error, "é".repeat(512));
    let said = contract(&json!({"type": "command_result", "command_id": "a", "status": "failed", "error_code": "FULL"}));
    assert_eq!(said, Ok(Heard::Word(AgentWord::Failed { command: "a".into(), error: "FULL".into() })));
}

/// The text of a frame.
pub(super) fn text(wire: &[u8]) -> Value {
    let header = match wire[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    assert_eq!(wire[0], 0x81, "a whole text frame");
    serde_json::from_slice(&wire[header..]).unwrap()
}

#[test]
fn what_agents_are_told() {
    let (now, ids) = (UnixMicros(1_763_808_300_123_456), (ProxyId(7), session()));
    let told = agent_messages::error(Fault::Wrong("data"));
    let expected = json!({
        "type": "error", "error": "Invalid message", "message": "'data' is not as it must be",
        "code": "VALIDATION_FAILED", "details": {"field": "data"},
    });
    assert_eq!(text(told.bytes()), expected);
    let missing = text(agent_messages::error(Fault::Missing("status")).bytes());
    assert_eq!(missing["code"], "MISSING_REQUIRED_FIELD");
    for fault in [Fault::Json, Fault::Binary] {
        assert_eq!(text(agent_messages::error(fault).bytes()).get("details"), None);
    }
    let close = agent_messages::close(Dialect::Contract, ids, now);
    assert_eq!(text(close.bytes()), json!({"type": "vnc_proxy_close", "proxy_id": "proxy-7"}));
    let close = agent_messages::close(Dialect::Field, ids, now);
    let payload = json!({"sessionId": SESSION, "reason": "the viewer left"});
    assert_eq!(text(close.bytes()), json!({"type": "vnc_close", "timestamp": "2025-11-22T10:45:00Z", "payload": payload}));
    for bytes in [&b""[..], b"R", b"RF", b"RFB", &[0xff; 70_000]] {
        let wire = agent_messages::data(Dialect::Contract, ids, bytes, now);
        let data = Heard::Data(Tunnel::Proxy(ProxyId(7)), Chunk::copied(bytes));
        assert_eq!(contract(&text(wire.bytes())), Ok(data));
        let wire = agent_messages::data(Dialect::Field, ids, bytes, now);
        let data = Heard::Data(Tunnel::Session(session()), Chunk::copied(bytes));
        assert_eq!(heard(Dialect::Field, &text(wire.bytes()).to_string()), Ok(data));
    }
}

#[test]
fn amounts_have_units() {
    for (said, cpu) in [
        ("64", 64.0),
        (r#""64""#, 64.0),
        (r#""64 cores""#, 64.0),
        (r#""1 core""#, 1.0),
        (r#""500m""#, 0.5),
        (r#""1Ti""#, 1024.0),
        (r#""512Mi""#, 0.5),
    ] {
        let amount: Value = serde_json::from_str(said).unwrap();
        let capacity = Capacity { max_cpu: Some(cpu), ..Capacity::default() };
        let heartbeat = field("heartbeat", json!({"capacity": {"cpu": amount}}));
        assert_eq!(heartbeat, Ok(Heard::Word(AgentWord::Heartbeat(capacity))), "{said}");
    }
}
