//! What is said and heard, against the control plane's own reading and writing.

use super::*;
use crate::protocols::labs::{ProxyId, agent_messages::Tunnel, letters::Capacity, proxy_frames};

fn host() -> Host {
    rules().host
}

#[test]
fn the_first_word() {
    let capacity = crate::desks::speech::Capacity { max_sessions: 7, max_cpu: 4.0, max_memory: 15.5 };
    let Heard::Register(hello) = heard(&crate::desks::speech::register(&host(), capacity, "1")) else { panic!("no register") };
    assert_eq!((&*hello.name, &*hello.platform, &*hello.region), ("a", "host", "r"));
    let expected = Capacity { max_sessions: Some(7), max_cpu: Some(4.0), max_memory: Some(15.5), current_sessions: None };
    assert_eq!(hello.capacity, expected);
    let beat = heard(&crate::desks::speech::heartbeat(&host(), 3, UnixMicros(0)));
    assert_eq!(beat, Heard::Word(AgentWord::Heartbeat(Capacity { current_sessions: Some(3), ..Capacity::default() })));
}

#[test]
fn tunnels() {
    let proxy = ProxyId(7);
    let ready = heard(&crate::desks::speech::ready(proxy, 9));
    assert_eq!(ready, Heard::Ready { tunnel: Tunnel::Proxy(proxy), credit: Some(9), base64: false });
    let over = |error: Option<&str>| Heard::Over { tunnel: Tunnel::Proxy(proxy), error: error.map(Into::into) };
    assert_eq!(heard(&crate::desks::speech::broken(proxy, "why")), over(Some("why")));
    assert_eq!(heard(&crate::desks::speech::closed(proxy)), over(None));

    let request = dialect::proxy_request(Dialect::Contract, proxy, &row(ONE), "ns").unwrap();
    assert_eq!(orders::read(&text(&request)), Said::Open { session: ONE, proxy });
    let close = agent_messages::close(Dialect::Contract, (proxy, ONE), UnixMicros(0));
    assert_eq!(orders::read(&text(close.bytes())), Said::Close(proxy));
    let data = agent_messages::data(Dialect::Contract, (proxy, ONE), b"RFB", UnixMicros(0));
    assert_eq!(orders::read(&text(data.bytes())), Said::Data(proxy, b"RFB".to_vec()));
    assert_eq!(proxy_frames::read(&proxy_frames::data_header(proxy)), Some(proxy_frames::ProxyFrame::Data(proxy, b"")));
}

#[test]
fn logs_are_as_many_as_there_is_room_for() {
    let asked = dialect::logs_request(Dialect::Contract, Uuid::nil(), &row(ONE), "ns", 5, 30).unwrap();
    assert_eq!(orders::read(&text(&asked)), Said::Logs { session: ONE, request: 5, tail: 30 });
    let lines: Vec<String> = (0..20_000).map(|line| format!("{line:0100}")).collect();
    let said = crate::desks::speech::logs(&host(), 5, &lines);
    let Heard::Word(AgentWord::Logs { request: 5, lines: kept }) = heard(&said) else { panic!("no logs") };
    assert!(said.len() < 300 << 10 && kept.len() > 2000, "{} of {}", kept.len(), said.len());
    assert_eq!(kept.last(), lines.last());
    let short: Vec<String> = (0..20_000).map(|line| line.to_string()).collect();
    let Heard::Word(AgentWord::Logs { lines, .. }) = heard(&crate::desks::speech::logs(&host(), 5, &short)) else { panic!() };
    assert_eq!(lines.len(), 10_000);
}

#[test]
fn registration_and_complaints() {
    let ack = dialect::register_ack(Dialect::Contract, "a", Duration::from_millis(1500)).unwrap();
    let heartbeat_interval = Duration::from_millis(1500);
    assert_eq!(orders::read(&text(&ack)), Said::Registered { heartbeat_interval });
    let fault = agent_messages::error(agent_messages::Fault::Json);
    assert_eq!(orders::read(&text(fault.bytes())), Said::Complaint("VALIDATION_FAILED".into()));
}

#[test]
fn what_is_not_understood_has_no_effect() {
    for said in [
        "",
        "[]",
        "{}",
        r#"{"type":"news"}"#,
        r#"{"type":"command","command_id":"c","session_id":"00000000-0000-0000-0000-000000000001","command_type":"dance"}"#,
        r#"{"type":"command","command_id":"c","session_id":"..","command_type":"stop_session"}"#,
        r#"{"type":"command","command_id":"c","session_id":"00000000-0000-0000-0000-000000000001","command_type":"start_session","data":7}"#,
        r#"{"type":"vnc_proxy_request","session_id":"00000000-0000-0000-0000-000000000001","proxy_id":"7"}"#,
    ] {
        assert_eq!(orders::read(said), Said::Nothing, "{said}");
    }
}

#[test]
fn null_is_as_good_as_absent() {
    let said = r#"{"type":"command","command_id":"c","session_id":"00000000-0000-0000-0000-000000000001","command_type":"start_session",
        "data":{"user":null,"resources":null,"environment":null,"persistent_home":null}}"#;
    let Said::Order(order) = orders::read(said) else { panic!("no order") };
    assert_eq!(order.action, Action::Start(Box::default()));
    let stop = |data: &str| {
        let said = said.split("\"start").next().unwrap().to_owned() + &format!(r#""stop_session","data":{data}}}"#);
        let Said::Order(Order { action: Action::Stop { grace }, .. }) = orders::read(&said) else { panic!("{said}") };
        grace
    };
    assert_eq!(stop("null"), None);
    assert_eq!(stop(r#"{"graceful":true,"timeout":"45s"}"#), Some(Duration::from_secs(45)));
    assert_eq!(stop(r#"{"graceful":false,"timeout":"45s"}"#), Some(Duration::ZERO));
}
