//! What the chat routes refuse, and the one table that turns it into a status and a flat body: `{"error", "message"}`.
//!
//! Texts are fixed: nothing that a client sent is said back to it, and nothing that the store said is passed on.

use crate::{
    http::{
        answer::{self, Answer},
        fault::{self, Refusal, closing},
        fields::Misfit,
    },
    protocols::chat::asks::{Broken, Refused},
    realtime::StoreFault,
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::borrow::Cow;

/// The contract's tables.
const CODES: &[(&str, u16)] = &[
    ("SESSION_NOT_FOUND", 404),
    ("SESSION_ENDED", 409),
    ("SESSION_SUSPENDED", 409),
    ("SESSION_CREATE_FAILED", 500),
    ("SESSION_UPDATE_FAILED", 500),
    ("MESSAGE_EMPTY", 400),
    ("MESSAGE_TOO_LONG", 400),
    ("MESSAGE_INVALID", 400),
    ("MESSAGE_SEND_FAILED", 500),
    ("AGENT_NOT_FOUND", 404),
    ("AGENT_UNAVAILABLE", 503),
    ("AGENT_ERROR", 500),
    ("AGENT_TIMEOUT", 504),
    ("TOOL_NOT_FOUND", 404),
    ("TOOL_EXEC_FAILED", 500),
    ("TOOL_TIMEOUT", 504),
    ("TOOL_APPROVAL_REQUIRED", 403),
    ("TOOL_APPROVAL_DENIED", 403),
    ("TOOL_APPROVAL_EXPIRED", 410),
    ("APPROVAL_NOT_FOUND", 404),
    ("APPROVAL_EXPIRED", 410),
    ("APPROVAL_ALREADY_PROCESSED", 409),
    ("APPROVAL_INVALID", 400),
    ("RATE_LIMITED", 429),
];

/// Why there is no answer but this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The request has no token.
    NoToken,
    /// Its token is no good.
    BadToken,
    /// The address or the password; which, is not told.
    BadLogin,
    /// The user may not sign in any more.
    Disabled,
    /// No page may call this.
    Denied,
    /// A code of the contract's tables, and its words.
    Code(&'static str, &'static str),
    /// A field or parameter is not as it must be; with what was expected.
    Field(&'static str, &'static str),
    /// The body is JSON, but no object.
    NoObject,
    /// Too many requests; seconds until the next may come.
    TooMany(u32),
    /// The store did not do its part, where the contract has no code for it.
    Store(StoreFault),
    /// There is no such route.
    NoRoute,
    /// The route has no such method.
    NoMethod,
    /// The body is larger than its route takes.
    TooLarge,
    /// A WebSocket is here, and none was asked for.
    NoUpgrade,
}

/// The body is not JSON.
const NOT_JSON: Fault = Fault::Code("MESSAGE_INVALID", "the body is not JSON");
/// There is none, or it is another's.
pub(super) const NO_SESSION: Fault = Fault::Code("SESSION_NOT_FOUND", "there is no such session");

impl From<fault::Fault> for Fault {
    fn from(fault: fault::Fault) -> Fault {
        match fault {
            fault::Fault::NoRoute => Fault::NoRoute,
            fault::Fault::NoMethod => Fault::NoMethod,
            fault::Fault::NoToken => Fault::NoToken,
            fault::Fault::BadToken => Fault::BadToken,
            fault::Fault::Denied => Fault::Denied,
            fault::Fault::Unreadable(expected) | fault::Fault::WrongShape(expected) => Fault::Code("MESSAGE_INVALID", expected),
            fault::Fault::TooLarge => Fault::TooLarge,
            fault::Fault::Store(fault) => Fault::Store(fault),
        }
    }
}

impl From<StoreFault> for Fault {
    fn from(fault: StoreFault) -> Fault {
        Fault::Store(fault)
    }
}

impl From<Misfit> for Fault {
    fn from(misfit: Misfit) -> Fault {
        match misfit {
            Misfit::NotJson => NOT_JSON,
            Misfit::NoObject => Fault::NoObject,
            Misfit::Wrong(name, expected) => Fault::Field(name, expected),
        }
    }
}

/// Of what is said.
impl From<Refused> for Fault {
    fn from(why: Refused) -> Fault {
        match why {
            Refused::Crowded => Fault::TooMany(1),
            Refused::NotHere
            | Refused::NoSession
            | Refused::Ended
            | Refused::Suspended
            | Refused::NoApproval
            | Refused::Processed
            | Refused::Expired
            | Refused::Stopping
            | Refused::Lost
            | Refused::Store(_) => {
                let (code, text) = why.error();
                Fault::Code(code, text)
            }
        }
    }
}

impl Fault {
    /// The code and text of an answer that was broken off; none where somebody wished it.
    pub(super) fn broken(why: Broken) -> Option<Fault> {
        why.error().map(|(code, text)| Fault::Code(code, text))
    }

    /// Status, code and words.
    pub(super) fn telling(&self) -> (u16, &'static str, Cow<'static, str>) {
        match *self {
            Fault::NoToken => (401, "UNAUTHORIZED", "the request has no token".into()),
            Fault::BadToken => (401, "UNAUTHORIZED", "the token is not valid".into()),
            Fault::BadLogin => (401, "INVALID_CREDENTIALS", "the email or the password is wrong".into()),
            Fault::Disabled => (403, "FORBIDDEN", "the user is disabled".into()),
            Fault::Denied => (403, "FORBIDDEN", "no page may call this".into()),
            Fault::Code(code, text) => (status(code), code, text.into()),
            Fault::Field(name, expected) => (422, "VALIDATION_ERROR", format!("{name}: {expected}").into()),
            Fault::NoObject => (422, "VALIDATION_ERROR", "the body must be a JSON object".into()),
            Fault::TooMany(_) => (429, "RATE_LIMITED", "Too many requests".into()),
            Fault::Store(StoreFault::Busy) => (503, "SERVICE_UNAVAILABLE", "the server is busy; try again".into()),
            Fault::Store(StoreFault::Failed) => (500, "INTERNAL_ERROR", "the server could not do it".into()),
            Fault::NoRoute => (404, "NOT_FOUND", "there is no such route".into()),
            Fault::NoMethod => (405, "METHOD_NOT_ALLOWED", "the route has no such method; see the header Allow".into()),
            Fault::TooLarge => (413, "PAYLOAD_TOO_LARGE", "the body is too large".into()),
            Fault::NoUpgrade => (426, "UPGRADE_REQUIRED", "a WebSocket is here".into()),
        }
    }
}

fn status(code: &str) -> u16 {
    CODES.iter().find(|(known, _)| *known == code).map_or(500, |(_, status)| *status)
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Refusal)]
pub(super) struct Told<'a> {
    error: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}

impl Refusal for Fault {
    fn into_answer(self) -> Answer {
        let (status, error, message) = self.telling();
        let retry_after = match self {
            Fault::TooMany(seconds) => Some(seconds),
            _ => None,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = answer::json(status, &Told { error, message: &message, retry_after });
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 11.6.1: a 401 names the scheme.
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self == Fault::NoUpgrade {
            return answer::upgrade_wanted(answer);
        }
        if self == Fault::TooLarge { closing(answer) } else { answer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status by status, counted from the contract's tables.
    #[test]
    fn every_code_has_its_status() {
        let mut known = 0;
        for (expected, codes) in [
            (400, "MESSAGE_EMPTY MESSAGE_TOO_LONG MESSAGE_INVALID APPROVAL_INVALID"),
            (403, "TOOL_APPROVAL_REQUIRED TOOL_APPROVAL_DENIED"),
            (404, "SESSION_NOT_FOUND AGENT_NOT_FOUND TOOL_NOT_FOUND APPROVAL_NOT_FOUND"),
            (409, "SESSION_ENDED SESSION_SUSPENDED APPROVAL_ALREADY_PROCESSED"),
            (410, "TOOL_APPROVAL_EXPIRED APPROVAL_EXPIRED"),
            (429, "RATE_LIMITED"),
            (500, "SESSION_CREATE_FAILED SESSION_UPDATE_FAILED MESSAGE_SEND_FAILED AGENT_ERROR TOOL_EXEC_FAILED"),
            (503, "AGENT_UNAVAILABLE"),
            (504, "AGENT_TIMEOUT TOOL_TIMEOUT"),
        ] {
            for code in codes.split(' ') {
                let (code, _) = *CODES.iter().find(|(own, _)| *own == code).unwrap();
                assert_eq!(Fault::Code(code, "text").into_answer().status().as_u16(), expected, "{code}");
                known += 1;
            }
        }
        assert_eq!(CODES.len(), known);
    }

    #[test]
    fn refusals_of_homes_have_the_codes_of_the_contract() {
        for (why, status, code) in [
            (Refused::NoSession, 404, "SESSION_NOT_FOUND"),
            (Refused::NotHere, 404, "SESSION_NOT_FOUND"),
            (Refused::Ended, 409, "SESSION_ENDED"),
            (Refused::Suspended, 409, "SESSION_SUSPENDED"),
            (Refused::Crowded, 429, "RATE_LIMITED"),
            (Refused::NoApproval, 404, "APPROVAL_NOT_FOUND"),
            (Refused::Processed, 409, "APPROVAL_ALREADY_PROCESSED"),
            (Refused::Expired, 410, "APPROVAL_EXPIRED"),
            (Refused::Stopping, 503, "AGENT_UNAVAILABLE"),
            (Refused::Store(StoreFault::Busy), 500, "MESSAGE_SEND_FAILED"),
        ] {
            let told = Fault::from(why).telling();
            assert_eq!((told.0, told.1), (status, code), "{why:?}");
        }
        for (why, told) in [
            (Broken::Cancelled, None),
            (Broken::Unavailable, Some((503, "AGENT_UNAVAILABLE"))),
            (Broken::Failed, Some((500, "AGENT_ERROR"))),
            (Broken::TimedOut, Some((504, "AGENT_TIMEOUT"))),
            (Broken::Expired, Some((410, "TOOL_APPROVAL_EXPIRED"))),
            (Broken::Stopping, Some((503, "AGENT_UNAVAILABLE"))),
        ] {
            assert_eq!(Fault::broken(why).map(|fault| (fault.telling().0, fault.telling().1)), told, "{why:?}");
        }
    }

    #[test]
    fn what_the_table_refuses_has_codes_too() {
        for (fault, status, code) in [
            (fault::Fault::NoRoute, 404, "NOT_FOUND"),
            (fault::Fault::NoMethod, 405, "METHOD_NOT_ALLOWED"),
            (fault::Fault::NoToken, 401, "UNAUTHORIZED"),
            (fault::Fault::BadToken, 401, "UNAUTHORIZED"),
            (fault::Fault::Denied, 403, "FORBIDDEN"),
            (fault::Fault::Unreadable("x"), 400, "MESSAGE_INVALID"),
            (fault::Fault::WrongShape("x"), 400, "MESSAGE_INVALID"),
            (fault::Fault::TooLarge, 413, "PAYLOAD_TOO_LARGE"),
            (fault::Fault::Store(StoreFault::Busy), 503, "SERVICE_UNAVAILABLE"),
            (fault::Fault::Store(StoreFault::Failed), 500, "INTERNAL_ERROR"),
        ] {
            let told = Fault::from(fault).telling();
            assert_eq!((told.0, told.1), (status, code));
        }
    }
}
