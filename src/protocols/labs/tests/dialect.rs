//! The contract's examples, to the byte but for white space, and the shapes of the second dialect.

use crate::{
    protocols::labs::{
        dialect::*,
        letters::Dialect,
        model::{Action, Command, Place, Progress, ProxyId, Resources, Session, State, Template, Vnc},
    },
    realtime::{Frame, UnixMicros},
};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

const NOW: UnixMicros = UnixMicros(1_763_808_300_123_456);

fn text(frame: &Frame) -> &str {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    assert_eq!(frame[0], 0x81, "a whole text frame");
    std::str::from_utf8(&frame[header..]).unwrap()
}

/// Without the white space that is in no string.
fn packed(text: &str) -> String {
    let mut is_string = false;
    let mut kept = |character: char| {
        is_string ^= character == '"';
        is_string || !character.is_whitespace()
    };
    text.chars().filter(|character| kept(*character)).collect()
}

fn session() -> Session {
    Session {
        id: "770e8400-e29b-41d4-a716-446655440002".parse().unwrap(),
        name: "john-doe-firefox-browser-abc123".into(),
        user: "john.doe".into(),
        template: "firefox-browser".into(),
        platform: "kubernetes".into(),
        agent: Some("k8s-prod-us-east-1".into()),
        state: State::Pending,
        resources: Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: None },
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: vec!["project-alpha".into()],
        message: String::new(),
        place: Place {
            pod_name: Some("john-doe-firefox-browser-abc123-7c8f9d6b5".into()),
            vnc_port: Some(5900),
            ..Place::default()
        },
        created_at: NOW,
        updated_at: NOW,
        last_activity: None,
    }
}

fn template() -> Template {
    Template {
        id: Uuid::nil(),
        name: "firefox-browser".into(),
        display_name: "Firefox Web Browser".into(),
        category: String::new(),
        description: String::new(),
        base_image: "lscr.io/linuxserver/firefox:latest".into(),
        default_resources: session().resources,
        vnc: Vnc { enabled: true, port: 3000, resolution: Some("1920x1080".into()), color_depth: Some(24) },
        environment: [("PUID", "1000"), ("PGID", "1000")].map(|(name, value)| (name.into(), value.into())).into(),
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: vec![],
        icon_url: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn order(action: Action, orders: &Orders) -> Command {
    Command {
        id: "abc123de-f456-4000-8000-000000000000".parse().unwrap(),
        agent: "k8s-prod-us-east-1".into(),
        session: session().id,
        action,
        data: orders.text(),
        progress: Progress::Sent,
        created_at: NOW,
    }
}

fn sent(dialect: Dialect, action: Action, orders: &Orders) -> String {
    text(&command(dialect, &order(action, orders), NOW)).to_owned()
}

#[test]
fn register_ack_of_the_contract() {
    let golden = r#"{
  "type": "register_ack",
  "agent_id": "k8s-prod-us-east-1",
  "status": "registered",
  "heartbeat_interval": "10s"
}"#;
    let frame = register_ack(Dialect::Contract, "k8s-prod-us-east-1", Duration::from_secs(10)).unwrap();
    assert_eq!(text(&frame), packed(golden));
    assert_eq!(register_ack(Dialect::Field, "a", Duration::from_secs(10)), None);
    let frame = register_ack(Dialect::Contract, "a", Duration::from_millis(1500)).unwrap();
    assert!(text(&frame).ends_with(r#""heartbeat_interval":"1500ms"}"#));
}

/// Where the contract writes `PUID` before `PGID`, the map of a template has no order: they are sorted.
#[test]
fn start_session_of_the_contract() {
    let golden = r#"{
  "type": "command",
  "command_id": "cmd-abc123def456",
  "command_type": "start_session",
  "session_id": "770e8400-e29b-41d4-a716-446655440002",
  "data": {
    "name": "john-doe-firefox-browser-abc123",
    "namespace": "streamspace",
    "user": "john.doe",
    "template": "firefox-browser",
    "image": "lscr.io/linuxserver/firefox:latest",
    "resources": {
      "memory": "2Gi",
      "cpu": "1000m"
    },
    "vnc": {
      "port": 3000
    },
    "persistent_home": true,
    "environment": {
      "PGID": "1000",
      "PUID": "1000"
    }
  }
}"#;
    let orders = Orders::start(&session(), &template(), "streamspace");
    assert_eq!(sent(Dialect::Contract, Action::StartSession, &orders), packed(golden));
}

#[test]
fn hibernate_wake_and_stop_of_the_contract() {
    let golden = |kind: &str, more: &str| {
        packed(&format!(
            r#"{{
  "type": "command",
  "command_id": "cmd-abc123def456",
  "command_type": "{kind}",
  "session_id": "770e8400-e29b-41d4-a716-446655440002",
  "data": {{
    "name": "john-doe-firefox-browser-abc123",
    "namespace": "streamspace"{more}
  }}
}}"#
        ))
    };
    let plain = Orders::plain(&session(), "streamspace");
    assert_eq!(sent(Dialect::Contract, Action::HibernateSession, &plain), golden("hibernate_session", ""));
    assert_eq!(sent(Dialect::Contract, Action::WakeSession, &plain), golden("wake_session", ""));
    let stop = Orders::stop(&session(), "streamspace", true);
    let more = ",\n    \"graceful\": true,\n    \"timeout\": \"30s\"";
    assert_eq!(sent(Dialect::Contract, Action::StopSession, &stop), golden("stop_session", more));
}

#[test]
fn vnc_proxy_request_of_the_contract() {
    let golden = r#"{
  "type": "vnc_proxy_request",
  "session_id": "770e8400-e29b-41d4-a716-446655440002",
  "proxy_id": "proxy-7",
  "data": {
    "pod_name": "john-doe-firefox-browser-abc123-7c8f9d6b5",
    "namespace": "streamspace",
    "vnc_port": 5900
  }
}"#;
    let frame = proxy_request(Dialect::Contract, ProxyId(7), &session(), "streamspace").unwrap();
    assert_eq!(text(&frame), packed(golden));
    assert_eq!(proxy_request(Dialect::Field, ProxyId(7), &session(), "streamspace"), None);
    let nowhere = Session { place: Place::default(), ..session() };
    let frame = proxy_request(Dialect::Contract, ProxyId(7), &nowhere, "streamspace").unwrap();
    assert!(text(&frame).contains(r#""pod_name":"john-doe-firefox-browser-abc123","#));
}

#[test]
fn the_question_for_logs() {
    let id = order(Action::StopSession, &Orders::default()).id;
    let frame = logs_request(Dialect::Contract, id, &session(), "streamspace", 65_537, 100).unwrap();
    let expected = json!({
        "type": "command", "command_id": "cmd-abc123def456", "command_type": "get_logs", "session_id": session().id,
        "data": {"name": "john-doe-firefox-browser-abc123", "namespace": "streamspace", "request": 65_537, "tail": 100},
    });
    assert_eq!(serde_json::from_str::<Value>(text(&frame)).unwrap(), expected);
    assert_eq!(logs_request(Dialect::Field, id, &session(), "streamspace", 1, 100), None);
}

#[test]
fn start_session_of_the_field() {
    let orders = Orders::start(&session(), &template(), "streamspace");
    let golden = r#"{
  "type": "command",
  "timestamp": "2025-11-22T10:45:00Z",
  "payload": {
    "commandId": "cmd-abc123def456",
    "action": "start_session",
    "payload": {
      "sessionId": "770e8400-e29b-41d4-a716-446655440002",
      "user": "john.doe",
      "template": "firefox-browser",
      "templateManifest": {
        "apiVersion": "stream.space/v1alpha1",
        "kind": "Template",
        "metadata": {"name": "firefox-browser", "namespace": "streamspace"},
        "spec": {
          "displayName": "Firefox Web Browser",
          "baseImage": "lscr.io/linuxserver/firefox:latest",
          "defaultResources": {"memory": "2Gi", "cpu": "1000m"},
          "ports": [{"name": "vnc", "containerPort": 3000, "protocol": "TCP"}],
          "env": [{"name": "PGID", "value": "1000"}, {"name": "PUID", "value": "1000"}],
          "vnc": {"enabled": true, "port": 3000}
        }
      },
      "namespace": "streamspace",
      "memory": "2Gi",
      "cpu": "1000m",
      "persistentHome": true,
      "idleTimeout": "30m",
      "maxSessionDuration": "",
      "tags": ["project-alpha"]
    }
  }
}"#;
    assert_eq!(sent(Dialect::Field, Action::StartSession, &orders), packed(golden));
}

#[test]
fn the_other_commands_of_the_field() {
    for (action, name) in [
        (Action::HibernateSession, "hibernate_session"),
        (Action::WakeSession, "wake_session"),
        (Action::StopSession, "stop_session"),
    ] {
        let expected = json!({
            "type": "command", "timestamp": "2025-11-22T10:45:00Z",
            "payload": {
                "commandId": "cmd-abc123def456", "action": name,
                "payload": {"sessionId": session().id, "namespace": "streamspace"},
            },
        });
        let orders = Orders::stop(&session(), "streamspace", false);
        assert_eq!(serde_json::from_str::<Value>(&sent(Dialect::Field, action, &orders)).unwrap(), expected);
    }
}

#[test]
fn names_of_commands_lead_back_to_them() {
    for id in [Uuid::nil(), Uuid::max(), order(Action::StopSession, &Orders::default()).id] {
        assert_eq!(named_command(&command_name(id)), Some(command_number(id)));
        assert_eq!(command_name(id)[4..], id.simple().to_string()[..12]);
    }
    for strange in [
        "",
        "cmd-",
        "cmd-abc",
        "cmd-ABC123DEF456",
        "cmd-abc123def4567",
        "cmd-+bc123def456",
        "prx-abc123def456",
        "cmd-é1c123def45",
    ] {
        assert_eq!(named_command(strange), None, "{strange:?}");
    }
}

#[test]
fn a_damaged_row_is_a_command_without_orders() {
    let damaged = Command { data: "{".into(), ..order(Action::StopSession, &Orders::default()) };
    for dialect in [Dialect::Contract, Dialect::Field] {
        serde_json::from_str::<Value>(text(&command(dialect, &damaged, NOW))).unwrap();
    }
}
