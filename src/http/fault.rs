//! What a handler refuses, and the one table that turns it into an answer.
//!
//! Texts are fixed: nothing that a client sent is said back to it, and nothing that the store said is passed on.

use super::answer::{self, Answer};
use crate::protocols::presence::record::StoreFault;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// How an API tells its faults. What the table itself refuses, before a handler is reached, becomes one of them.
pub trait Refusal: From<Fault> + 'static {
    /// The answer that tells it.
    fn into_answer(self) -> Answer;
}

impl Refusal for Fault {
    fn into_answer(self) -> Answer {
        self.into_answer()
    }
}

/// Why there is no answer but this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// There is no such route: 404.
    NoRoute,
    /// The route has no such method: 405.
    NoMethod,
    /// The client sent no token: 401 `no_authentication_token`.
    NoToken,
    /// The client's token is not to be believed: 401 `invalid_authentication`.
    BadToken,
    /// The client may not do this: 403 `access_denied`.
    Denied,
    /// The client's path, query or JSON cannot be read: 400, with what was expected.
    Unreadable(&'static str),
    /// The client's JSON is sound but not of the right shape: 422, with what was expected.
    WrongShape(&'static str),
    /// The client's body is larger than [`BODY_BYTES`](super::limits::BODY_BYTES): 413.
    TooLarge,
    /// The store did not do its part: 503 or 500, as the store's fault is called in the contract.
    Store(StoreFault),
}

impl From<StoreFault> for Fault {
    fn from(fault: StoreFault) -> Fault {
        Fault::Store(fault)
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Refusal)]
pub(super) struct Described {
    r#type: &'static str,
    title: &'static str,
    detail: &'static str,
    status: u16,
}

impl Fault {
    /// The answer that tells it.
    pub fn into_answer(self) -> Answer {
        match self {
            Fault::NoRoute => answer::empty(StatusCode::NOT_FOUND),
            Fault::NoMethod => answer::empty(StatusCode::METHOD_NOT_ALLOWED),
            Fault::NoToken => unauthorized("no_authentication_token", "No authentication token", "The request carries no token"),
            Fault::BadToken => unauthorized("invalid_authentication", "Invalid authentication", "The token is not valid"),
            Fault::Denied => described(
                StatusCode::FORBIDDEN,
                "access_denied",
                "Access denied",
                "The account has no permission for this action on this object",
            ),
            Fault::Unreadable(expected) => answer::text(StatusCode::BAD_REQUEST, expected),
            Fault::WrongShape(expected) => answer::text(StatusCode::UNPROCESSABLE_ENTITY, expected),
            Fault::TooLarge => closing(answer::text(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 1 MiB")),
            Fault::Store(StoreFault::Busy) => described(
                StatusCode::SERVICE_UNAVAILABLE,
                "database_connection_acquisition_failed",
                "Database connection acquisition failed",
                "The store is busy; try again",
            ),
            Fault::Store(StoreFault::Failed) => described(
                StatusCode::INTERNAL_SERVER_ERROR,
                "database_query_failed",
                "Database query failed",
                "The store could not answer",
            ),
        }
    }
}

fn described(status: StatusCode, r#type: &'static str, title: &'static str, detail: &'static str) -> Answer {
    answer::json(status, &Described { r#type, title, detail, status: status.as_u16() })
}

/// RFC 9110, 11.6.1: a 401 names the scheme.
fn unauthorized(r#type: &'static str, title: &'static str, detail: &'static str) -> Answer {
    let mut answer = described(StatusCode::UNAUTHORIZED, r#type, title, detail);
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

/// After it the connection is of no more use: not all of the request was read.
pub(super) fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}
