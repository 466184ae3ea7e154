//! Who is let in, and how the others are refused.

use crate::{
    protocols::labs::{
        admission::{AgentQuery, Denial, agent, agent_in_field, follower, log_path, subprotocol, viewer},
        follower::Wish,
        letters::ViewRefused,
    },
    realtime::UnixMicros,
};
use serde_json::{Value, json};

const SESSION: &str = "770e8400-e29b-41d4-a716-446655440002";

fn seen(session: &str, query: Option<&str>) -> Result<(String, String), Denial> {
    viewer(session, query, None).map(|query| (query.session.to_string(), query.token.into_owned()))
}

#[test]
fn viewers_bring_a_token_and_a_session() {
    assert_eq!(seen(SESSION, Some("token=a.b-c")), Ok((SESSION.into(), "a.b-c".into())));
    assert_eq!(seen(SESSION, Some("x=1&token=a%2Eb+c")), Ok((SESSION.into(), "a.b c".into())));
    for query in [None, Some(""), Some("token="), Some("token"), Some("Token=a")] {
        assert_eq!(seen(SESSION, query), Err(Denial::NoToken));
        assert_eq!(seen("nonsense", query), Err(Denial::NoToken), "first who asks, then what");
    }
    let with_header = |query| viewer(SESSION, query, Some("h")).map(|query| query.token.into_owned());
    assert_eq!(with_header(None), Ok("h".into()));
    assert_eq!(with_header(Some("token=")), Ok("h".into()));
    assert_eq!(with_header(Some("token=a")), Ok("a".into()), "the query goes before the header");
    assert_eq!(seen("nonsense", Some("token=a")), Err(Denial::View(ViewRefused::NoSession)));
    for query in ["token=a&token=b", "token=%zz", "token=%ff", "token=%e9", "token=%4"] {
        assert_eq!(seen(SESSION, Some(query)), Err(Denial::Invalid("token")), "{query}");
    }
    assert_eq!(seen(SESSION, Some("token=a&x=%zz")), Err(Denial::Invalid("query")));
    assert_eq!(seen(SESSION, Some("token=a&%zz=b")), Err(Denial::Invalid("query")));
}

#[test]
fn agents_say_who_they_are() {
    let query = |platform: &str, region: &str| AgentQuery { name: "a1".into(), platform: platform.into(), region: region.into() };
    assert_eq!(agent(Some("agent_id=a1&platform=kubernetes&region=us-east-1")), Ok(query("kubernetes", "us-east-1")));
    assert_eq!(agent(Some("platform=host&agent_id=a1")), Ok(query("host", "")));
    assert_eq!(agent(Some("platform=host&agent_id=a1&region=")), Ok(query("host", "")));
    assert_eq!(agent_in_field(Some("agent_id=a1&platform=%20")), Ok(query("", "")));
    for (text, denial) in [
        (None, Denial::Missing("agent_id")),
        (Some("agent_id=&platform=host"), Denial::Missing("agent_id")),
        (Some("agent_id=a1"), Denial::Missing("platform")),
        (Some("agent_id=a+1&platform=host"), Denial::Invalid("agent_id")),
        (Some("agent_id=a1&platform=a/b"), Denial::Invalid("platform")),
        (Some("agent_id=a1&platform=host&region=%0a"), Denial::Invalid("region")),
        (Some("agent_id=a1&platform=host&agent_id=a1"), Denial::Invalid("agent_id")),
    ] {
        assert_eq!(agent(text), Err(denial), "{text:?}");
    }
    assert_eq!(agent(Some(&format!("agent_id={}&platform=host", "a".repeat(129)))), Err(Denial::Invalid("agent_id")));
}

#[test]
fn the_subprotocol_is_answered_only_when_it_is_offered() {
    assert_eq!(subprotocol([]), None);
    assert_eq!(subprotocol(["base64"]), None);
    assert_eq!(subprotocol(["Binary", "binaryx", ""]), None);
    assert_eq!(subprotocol(["binary"]), Some("binary"));
    assert_eq!(subprotocol(["base64, binary"]), Some("binary"));
    assert_eq!(subprotocol(["base64", "x ,binary"]), Some("binary"));
}

#[test]
fn refusals_have_the_contracts_form() {
    for (denial, status, code) in [
        (Denial::NoToken, 401, "AUTH_TOKEN_MISSING"),
        (Denial::BadToken, 401, "AUTH_TOKEN_INVALID"),
        (Denial::OldToken, 401, "AUTH_TOKEN_EXPIRED"),
        (Denial::Missing("agent_id"), 400, "MISSING_REQUIRED_FIELD"),
        (Denial::Invalid("platform"), 400, "INVALID_PARAMETER"),
        (Denial::NoKey, 401, "AUTH_TOKEN_INVALID"),
        (Denial::BadKey, 403, "AUTH_INSUFFICIENT_PERMISSIONS"),
        (Denial::NoAgent, 404, "AGENT_NOT_FOUND"),
        (Denial::View(ViewRefused::NoSession), 404, "SESSION_NOT_FOUND"),
        (Denial::View(ViewRefused::NotYours), 403, "AUTH_INSUFFICIENT_PERMISSIONS"),
        (Denial::View(ViewRefused::NotRunning), 409, "INVALID_STATE_TRANSITION"),
        (Denial::View(ViewRefused::AgentOffline), 503, "AGENT_OFFLINE"),
        (Denial::Unavailable, 503, "SERVICE_UNAVAILABLE"),
    ] {
        assert_eq!((denial.status(), denial.code()), (status, code));
        let body: Value = serde_json::from_str(&denial.body(UnixMicros(1_763_808_600_000_000), "req-abc123")).unwrap();
        assert_eq!(body["code"], code);
        assert_eq!(body["timestamp"], "2025-11-22T10:50:00Z");
        assert_eq!(body["request_id"], "req-abc123");
        assert!(["error", "message"].iter().all(|key| body[key].as_str().is_some_and(|text| !text.is_empty())));
        let field = match denial {
            Denial::Missing(field) | Denial::Invalid(field) => json!({"field": field}),
            _ => json!({}),
        };
        assert_eq!(body["details"], field);
    }
}

#[test]
fn followers_bring_a_token_in_the_header_or_in_the_query() {
    assert_eq!(log_path("/api/v1/sessions/abc/logs"), Some("abc"));
    for path in ["/api/v1/sessions/a/b/logs", "/api/v1/sessions/abc", "/api/v1/sessions/abc/logs/", "/sessions/abc/logs"] {
        assert_eq!(log_path(path), None);
    }
    let token = |query, header| follower(SESSION, query, header).map(|query| query.token.into_owned());
    assert_eq!(token(Some("token=q&follow=true"), None), Ok("q".into()));
    assert_eq!(token(Some("token=q"), Some("bearer h")), Ok("h".into()));
    for query in [None, Some("follow=true"), Some("token=")] {
        assert_eq!(token(query, None), Err(Denial::NoToken));
    }
    for header in ["Basic h", "Bearer", "Bearer "] {
        assert_eq!(token(Some("token=q"), Some(header)), Err(Denial::BadToken), "{header}");
    }
    assert_eq!(token(Some("token=q&tail=1&tail=2"), None), Err(Denial::Invalid("tail")));
}

#[test]
fn followers_say_what_they_wish_to_see() {
    let wish = |query: &str| {
        let given = follower(SESSION, Some(query), Some("Bearer t")).ok().unwrap();
        given.wish.map(|(session, Wish { tail, timestamps })| (session.to_string(), tail, timestamps))
    };
    for (query, tail, timestamps) in [
        ("follow=true", 100, true),
        ("follow=true&tail=&timestamps=", 100, true),
        ("follow=true&tail=0&timestamps=false", 0, false),
        ("follow=true&tail=99999999999", 10_000, true),
    ] {
        assert_eq!(wish(query), Ok((SESSION.into(), tail, timestamps)), "{query}");
    }
    for (query, name) in [
        ("", "follow"),
        ("follow=false", "follow"),
        ("follow=yes", "follow"),
        ("follow=true&tail=-1", "tail"),
        ("follow=true&tail=all", "tail"),
        ("follow=true&timestamps=no", "timestamps"),
    ] {
        assert_eq!(wish(query), Err(Denial::Invalid(name)), "{query}");
    }
    let nowhere = follower("nonsense", Some("follow=true&tail=x"), Some("Bearer t")).ok().unwrap();
    assert_eq!(nowhere.wish, Err(Denial::View(ViewRefused::NoSession)));
}
