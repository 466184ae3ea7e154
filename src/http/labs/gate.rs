//! What is done around every request: it is counted under its limit, and whatever is answered tells how much of that is left. Refusals
//! get their bodies here, since the time and the request's id are in them.

use super::{
    fault::{Fault, Telling},
    rooms::{Credentials, Registry},
};
use crate::{
    http::{
        answer::{self, Answer},
        fault::Refusal,
        gate::{Entry, Gate, Peer},
        rooms::Clock,
    },
    protocols::labs::{
        admission::Denial,
        asks::{Ask, LimitKey, Reply, Window},
        dialect::iso,
        limits,
    },
    realtime::{StoreFault, UnixMicros},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use serde::Serialize;
use std::{net::IpAddr, rc::Rc};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The first parts of the paths that are of labs, under `/api/v1/`.
const OURS: [&str; 5] = ["agents", "sessions", "templates", "users", "auth"];

/// The gate that [`routes`](super::routes) are behind.
pub fn gate<S: Registry + Credentials + Clock + 'static>() -> Gate<S> {
    Gate::new(minds, |fault| Fault::from(fault).into_answer(), |house, parts, id| enter(house, Asker::of(parts), id.clone()))
}

fn minds(path: &str) -> bool {
    let ours = path.strip_prefix("/api/v1/").and_then(|rest| rest.split('/').next());
    ours.is_some_and(|first| OURS.contains(&first))
}

/// What a request is counted by.
struct Asker {
    window: Window,
    token: Option<String>,
    peer: Option<Peer>,
    /// Why it does not get the socket that it asks for.
    refused: Option<Denial>,
}

impl Asker {
    fn of(parts: &Parts) -> Asker {
        let is = |end: &str| parts.method == Method::POST && parts.uri.path().ends_with(end);
        let refused = parts.extensions.get().copied();
        let window = match () {
            () if is("/api/v1/auth/login") => Window::Login,
            () if is("/api/v1/sessions") => Window::Create,
            () if is("/api/v1/agents/register") || is_heartbeat(parts) || (refused.is_some() && is_agents_socket(parts)) => {
                Window::Agent
            }
            () => Window::Other,
        };
        let by_address = matches!(window, Window::Login | Window::Agent);
        let by_header = bearer(&parts.headers).ok().map(str::to_owned);
        // Pages of browsers can show their token for a socket nowhere else.
        let token = by_header.or_else(|| refused.and_then(|_: Denial| token_of_query(parts)));
        Asker { window, token: token.filter(|_| !by_address), peer: parts.extensions.get().copied(), refused }
    }

    /// The user of a good token, or else the address.
    fn key(&self, house: &impl Credentials) -> LimitKey {
        let user = self.token.as_deref().and_then(|token| house.token(token).ok());
        user.map_or_else(|| address(self.peer), |claims| LimitKey::User(claims.user))
    }
}

/// Whether an agent says that it lives.
fn is_heartbeat(parts: &Parts) -> bool {
    let agent = parts.uri.path().strip_suffix("/heartbeat").and_then(|path| path.split_once("/api/v1/agents/"));
    parts.method == Method::POST && agent.is_some_and(|(_, name)| !name.contains('/'))
}

fn is_agents_socket(parts: &Parts) -> bool {
    ["/agent/ws", "/api/v1/agents/connect"].into_iter().any(|path| parts.uri.path().ends_with(path))
}

fn token_of_query(parts: &Parts) -> Option<String> {
    let mut query = form_urlencoded::parse(parts.uri.query()?.as_bytes());
    query.find(|(name, _)| name == "token").map(|(_, token)| token.into_owned())
}

fn address(peer: Option<Peer>) -> LimitKey {
    limits::address(match peer {
        Some(Peer(IpAddr::V4(ip))) => ip.to_ipv6_mapped().to_bits(),
        Some(Peer(IpAddr::V6(ip))) => ip.to_bits(),
        None => 0,
    })
}

/// The token of the header. [`Fault::NoToken`]: there is no such header. [`Fault::BadToken`]: it has another scheme, or nothing.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Fault> {
    let value = headers.get(header::AUTHORIZATION).ok_or(Fault::NoToken)?;
    let parts = value.to_str().ok().and_then(|value| value.split_once(' '));
    let bearer = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    bearer.map(|(_, token)| token.trim()).filter(|token| !token.is_empty()).ok_or(Fault::BadToken)
}

async fn enter<S: Registry + Credentials + Clock + 'static>(house: Rc<S>, asker: Asker, id: HeaderValue) -> Entry {
    let (key, window, refused) = (asker.key(&*house), asker.window, asker.refused);
    let (count, fault) = match house.ask(Ask::Limit { key, window }).await {
        Reply::Limit { limit, remaining, reset } => {
            let seconds = (reset - house.now().seconds()).max(1);
            let fault = if remaining.is_some() { refused.map(Fault::NoSocket) } else { Some(Fault::TooMany(seconds)) };
            (Some((limit, remaining.unwrap_or(0), reset)), fault)
        }
        // Who counts cannot: nobody is let through uncounted.
        Reply::Refused(_)
        | Reply::Kept(_)
        | Reply::Session(_)
        | Reply::Logs(_)
        | Reply::Agents(_)
        | Reply::Agent(_)
        | Reply::Enrolled { .. } => (None, Some(Fault::Store(StoreFault::Busy))),
    };
    let finish = move |answer: &mut Answer| {
        if let Some(told) = answer.extensions_mut().remove::<Telling>() {
            tell(answer, &told, house.now(), &id);
        }
        let headers = answer.headers_mut();
        // Tokens and what users do have no place in anyone's cache.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((limit, remaining, reset)) = count {
            headers.insert(LIMIT, limit.into());
            headers.insert(REMAINING, remaining.into());
            headers.insert(RESET, reset.into());
        }
    };
    Entry { refusal: fault.map(Fault::into_answer), finish: Box::new(finish) }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Refusal)]
pub(super) struct Told<'a> {
    error: &'a str,
    message: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<i64>,
    details: Details,
    timestamp: String,
    request_id: &'a str,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

fn tell(answer: &mut Answer, told: &Telling, now: UnixMicros, id: &HeaderValue) {
    let body = answer::json(
        answer.status(),
        &Told {
            error: told.error,
            message: &told.message,
            code: told.code,
            retry_after: told.retry_after,
            details: Details { field: told.field },
            timestamp: iso(now),
            request_id: id.to_str().unwrap_or_default(),
        },
    );
    let (parts, body) = body.into_parts();
    answer.headers_mut().extend(parts.headers);
    *answer.body_mut() = body;
}
