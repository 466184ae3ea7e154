//! Before the upgrade: what the queries of `/vnc-viewer/{session_id}`, `/agent/ws`, `/api/v1/agents/connect` and of logs that are followed
//! must hold, and how all others are refused.

use super::{
    agent_messages::is_name,
    dialect::iso,
    follower::Wish,
    letters::ViewRefused,
    model::{AgentName, SessionId},
};
use crate::realtime::UnixMicros;
use serde::Serialize;
use std::borrow::Cow;

/// Lines of a log that are shown where the query does not say.
pub const LOG_LINES: u32 = 100;
/// More are as good as this.
pub const LOG_LINES_AT_MOST: u32 = 10_000;

/// Why there is no upgrade.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Denial {
    /// No `token`.
    NoToken,
    /// A token that is none of ours, or was revoked.
    BadToken,
    /// A token whose time is over.
    OldToken,
    /// The query has not this parameter.
    Missing(&'static str),
    /// This parameter of the query, or the query itself, is malformed.
    Invalid(&'static str),
    /// No `X-Agent-API-Key`, or one of the wrong form.
    NoKey,
    /// The key is another agent's.
    BadKey,
    /// Nobody enrolled this agent.
    NoAgent,
    /// The registry does not let the viewer see.
    View(ViewRefused),
    /// The user has as many sockets as one may have.
    Crowded,
    /// The registry does not answer.
    Unavailable,
}

impl Denial {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Denial::Missing(_) | Denial::Invalid(_) => 400,
            Denial::NoToken | Denial::BadToken | Denial::OldToken | Denial::NoKey => 401,
            Denial::BadKey | Denial::View(ViewRefused::NotYours) => 403,
            Denial::NoAgent | Denial::View(ViewRefused::NoSession) => 404,
            Denial::View(ViewRefused::NotRunning) => 409,
            Denial::Crowded => 429,
            Denial::Unavailable | Denial::View(ViewRefused::AgentOffline) => 503,
        }
    }

    /// `code` of the body.
    pub fn code(self) -> &'static str {
        match self {
            Denial::NoToken => "AUTH_TOKEN_MISSING",
            Denial::BadToken | Denial::NoKey => "AUTH_TOKEN_INVALID",
            Denial::OldToken => "AUTH_TOKEN_EXPIRED",
            Denial::Missing(_) => "MISSING_REQUIRED_FIELD",
            Denial::Invalid(_) => "INVALID_PARAMETER",
            Denial::BadKey | Denial::View(ViewRefused::NotYours) => "AUTH_INSUFFICIENT_PERMISSIONS",
            Denial::NoAgent => "AGENT_NOT_FOUND",
            Denial::View(ViewRefused::NoSession) => "SESSION_NOT_FOUND",
            Denial::View(ViewRefused::NotRunning) => "INVALID_STATE_TRANSITION",
            Denial::View(ViewRefused::AgentOffline) => "AGENT_OFFLINE",
            Denial::Crowded => "RATE_LIMIT_EXCEEDED",
            Denial::Unavailable => "SERVICE_UNAVAILABLE",
        }
    }

    /// `error` and `message` of the body.
    pub fn texts(self) -> (&'static str, Cow<'static, str>) {
        match self {
            Denial::NoToken => ("Authentication required", "The query needs 'token'".into()),
            Denial::BadToken => ("Authentication failed", "The token is not valid".into()),
            Denial::OldToken => ("Authentication failed", "The token has expired".into()),
            Denial::Missing(field) => ("Invalid request", format!("The query needs '{field}'").into()),
            Denial::Invalid(field) => ("Invalid request", format!("'{field}' of the query is not valid").into()),
            Denial::NoKey => ("Authentication required", "X-Agent-API-Key is missing or malformed".into()),
            Denial::BadKey => ("Insufficient permissions", "The key is not this agent's".into()),
            Denial::NoAgent => ("Agent not found", "No agent with this ID is registered".into()),
            Denial::View(ViewRefused::NoSession) => ("Session not found", "No session with this ID exists".into()),
            Denial::View(ViewRefused::NotYours) => ("Insufficient permissions", "The session is another user's".into()),
            Denial::View(ViewRefused::NotRunning) => ("Session not running", "The session has no screen now".into()),
            Denial::View(ViewRefused::AgentOffline) => ("Agent offline", "The session's agent is not connected".into()),
            Denial::Crowded => ("Rate limit exceeded", "This user has too many connections".into()),
            Denial::Unavailable => ("Service unavailable", "The request was not answered in time".into()),
        }
    }

    /// The parameter of the query that is to blame.
    pub fn field(self) -> Option<&'static str> {
        match self {
            Denial::Missing(field) | Denial::Invalid(field) => Some(field),
            Denial::NoToken
            | Denial::BadToken
            | Denial::OldToken
            | Denial::NoKey
            | Denial::BadKey
            | Denial::NoAgent
            | Denial::View(_)
            | Denial::Crowded
            | Denial::Unavailable => None,
        }
    }

    /// The contract's body of an error: six keys.
    pub fn body(self, now: UnixMicros, request_id: &str) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a str,
            message: &'a str,
            code: &'a str,
            details: Details,
            timestamp: String,
            request_id: &'a str,
        }
        #[derive(Serialize)]
        struct Details {
            #[serde(skip_serializing_if = "Option::is_none")]
            field: Option<&'static str>,
        }
        let (error, message) = self.texts();
        let field = self.field();
        let (details, timestamp) = (Details { field }, iso(now));
        let body = Body { error, message: &message, code: self.code(), details, timestamp, request_id };
        // Texts alone, which serde_json never refuses.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl From<ViewRefused> for Denial {
    fn from(refused: ViewRefused) -> Denial {
        Denial::View(refused)
    }
}

/// Who wants to see what. It has no `Debug`, so that no log line can show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct ViewerQuery<'a> {
    /// What.
    pub session: SessionId,
    /// By what right; not yet looked at.
    pub token: Cow<'a, str>,
}

/// Which agent comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentQuery {
    /// `agent_id`.
    pub name: AgentName,
    /// `platform`; empty in the second dialect.
    pub platform: String,
    /// `region`; may be empty.
    pub region: String,
}

/// Reads `/vnc-viewer/{session_id}?token=…`; `bearer` is the token of the `Authorization` header, for those whose query has none. A name
/// that is no UUID is that of no session; a token comes before it.
///
/// # Errors
/// [`Denial::NoToken`], [`Denial::Invalid`], and [`Denial::View`] of [`ViewRefused::NoSession`].
pub fn viewer<'a>(session_id: &str, query: Option<&'a str>, bearer: Option<&'a str>) -> Result<ViewerQuery<'a>, Denial> {
    let [token] = parameters(query, ["token"])?;
    let token = token.into_iter().chain(bearer.map(Cow::Borrowed)).find(|token| !token.is_empty()).ok_or(Denial::NoToken)?;
    let session = SessionId::try_parse(session_id).map_err(|_| Denial::View(ViewRefused::NoSession))?;
    Ok(ViewerQuery { session, token })
}

/// Who wants to follow which log. It has no `Debug`, so that no log line can show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct FollowerQuery<'a> {
    /// By what right; not yet looked at.
    pub token: Cow<'a, str>,
    /// What, and what of it. To be looked at when the token is good.
    pub wish: Result<(SessionId, Wish), Denial>,
}

/// The session whose log is at this path: `/api/v1/sessions/{session_id}/logs`.
pub fn log_path(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/sessions/")?.strip_suffix("/logs").filter(|session_id| !session_id.contains('/'))
}

/// Reads an upgrade of `/api/v1/sessions/{session_id}/logs?follow=true&tail=…&timestamps=…`. The token is that of the header
/// `Authorization`, or else of `token`, since no page in a browser can send the header.
///
/// # Errors
/// [`Denial::NoToken`], [`Denial::BadToken`] for a header of another scheme, and [`Denial::Invalid`] for a query that is malformed.
pub fn follower<'a>(
    session_id: &str,
    query: Option<&'a str>,
    authorization: Option<&'a str>,
) -> Result<FollowerQuery<'a>, Denial> {
    let given = parameters(query, ["token", "follow", "tail", "timestamps"])?;
    let [token, follow, tail, timestamps] = given.map(|value| value.filter(|value| !value.is_empty()));
    let token = match authorization {
        Some(header) => Cow::Borrowed(bearer(header).ok_or(Denial::BadToken)?),
        None => token.ok_or(Denial::NoToken)?,
    };
    let wish = || {
        let session = SessionId::try_parse(session_id).map_err(|_| Denial::View(ViewRefused::NoSession))?;
        let tail = tail.as_deref().map_or(Some(LOG_LINES), lines).ok_or(Denial::Invalid("tail"))?;
        let timestamps = flag(timestamps.as_deref().unwrap_or("true")).ok_or(Denial::Invalid("timestamps"))?;
        match flag(follow.as_deref().unwrap_or_default()) {
            Some(true) => Ok((session, Wish { tail, timestamps })),
            Some(false) | None => Err(Denial::Invalid("follow")),
        }
    };
    Ok(FollowerQuery { token, wish: wish() })
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn lines(text: &str) -> Option<u32> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(LOG_LINES_AT_MOST).min(LOG_LINES_AT_MOST))
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Reads `/agent/ws?agent_id=…&platform=…&region=…`.
///
/// # Errors
/// [`Denial::Missing`] and [`Denial::Invalid`].
pub fn agent(query: Option<&str>) -> Result<AgentQuery, Denial> {
    let [name, platform, region] = parameters(query, ["agent_id", "platform", "region"])?;
    let name = valid(name, "agent_id")?.ok_or(Denial::Missing("agent_id"))?;
    let platform = valid(platform, "platform")?.ok_or(Denial::Missing("platform"))?;
    let region = valid(region, "region")?.unwrap_or_default();
    Ok(AgentQuery { name: name.into(), platform: platform.into_owned(), region: region.into_owned() })
}

/// Reads `/api/v1/agents/connect?agent_id=…`.
///
/// # Errors
/// [`Denial::Missing`] and [`Denial::Invalid`].
pub fn agent_in_field(query: Option<&str>) -> Result<AgentQuery, Denial> {
    let [name] = parameters(query, ["agent_id"])?;
    let name = valid(name, "agent_id")?.ok_or(Denial::Missing("agent_id"))?;
    Ok(AgentQuery { name: name.into(), platform: String::new(), region: String::new() })
}

/// The key of an agent that has it in the query, as browsers must.
///
/// # Errors
/// [`Denial::Invalid`].
pub fn agent_key(query: Option<&str>) -> Result<Option<Cow<'_, str>>, Denial> {
    let [key] = parameters(query, ["key"])?;
    Ok(key)
}

/// The subprotocol to answer with, if any: `binary` when the client offers it in a `Sec-WebSocket-Protocol`, none otherwise.
pub fn subprotocol<'a>(offers: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    offers.into_iter().flat_map(|offer| offer.split(',')).any(|name| name.trim() == "binary").then_some("binary")
}

fn valid<'a>(value: Option<Cow<'a, str>>, name: &'static str) -> Result<Option<Cow<'a, str>>, Denial> {
    let value = value.filter(|value| !value.is_empty());
    if value.as_deref().is_some_and(|value| !is_name(value)) { Err(Denial::Invalid(name)) } else { Ok(value) }
}

/// The values of these parameters. Unknown ones are ignored, but must be well-formed as well; none of ours may come twice.
fn parameters<'a, const N: usize>(query: Option<&'a str>, names: [&'static str; N]) -> Result<[Option<Cow<'a, str>>; N], Denial> {
    let mut values = [const { None }; N];
    for parameter in query.unwrap_or_default().split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = decoded(name).ok_or(Denial::Invalid("query"))?;
        let place = names.iter().position(|known| *known == name);
        let fault = Denial::Invalid(place.map_or("query", |place| names[place]));
        let value = decoded(value).ok_or(fault)?;
        if let Some(place) = place
            && values[place].replace(value).is_some()
        {
            return Err(fault);
        }
    }
    Ok(values)
}

/// As forms write it: percent-encoded, a plus is a space.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (&[high, low], after) = rest.split_first_chunk()?;
                rest = after;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                (digit(high)? << 4 | digit(low)?) as u8
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map(Cow::Owned).ok()
}
