//! What the routes of tasks refuse, and the one table that turns it into a status and `{"detail": …}`.
//!
//! Texts are fixed: nothing that a client sent is said back to it, and nothing that the store said is passed on.

use crate::{
    http::{
        answer::{self, Answer},
        fault::{self, Refusal, closing},
        fields::Misfit,
    },
    protocols::tasks::asks::Refused,
    realtime::StoreFault,
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::borrow::Cow;

/// Why there is no answer but this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The request has no token.
    NoToken,
    /// Its token is no good.
    BadToken,
    /// No page may call this.
    Denied,
    /// What is called so is not there, or is another's.
    Missing(&'static str),
    /// The agent has no such model.
    NoModel,
    /// A body or query is not as it must be.
    Misfit(Misfit),
    /// A home refused.
    Refused(Refused),
    /// The store did not do its part.
    Store(StoreFault),
    /// There is no such route.
    NoRoute,
    /// The route has no such method.
    NoMethod,
    /// The request cannot be read; with what was expected.
    Unreadable(&'static str),
    /// The body is larger than its route takes.
    TooLarge,
    /// A WebSocket is here, and none was asked for.
    NoUpgrade,
}

impl From<fault::Fault> for Fault {
    fn from(fault: fault::Fault) -> Fault {
        match fault {
            fault::Fault::NoRoute => Fault::NoRoute,
            fault::Fault::NoMethod => Fault::NoMethod,
            fault::Fault::NoToken => Fault::NoToken,
            fault::Fault::BadToken => Fault::BadToken,
            fault::Fault::Denied => Fault::Denied,
            fault::Fault::Unreadable(expected) | fault::Fault::WrongShape(expected) => Fault::Unreadable(expected),
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
        Fault::Misfit(misfit)
    }
}

impl Fault {
    /// What a home refused of something that is called so.
    pub(super) fn of(what: &'static str, why: Refused) -> Fault {
        match why {
            Refused::NotHere | Refused::NotFound => Fault::Missing(what),
            Refused::Store(fault) => Fault::Store(fault),
            Refused::Over | Refused::AtWork | Refused::NoSuchMove => Fault::Refused(why),
            Refused::Crowded | Refused::TooMany | Refused::Stopping => Fault::Refused(why),
        }
    }

    fn telling(self) -> (u16, Cow<'static, str>) {
        match self {
            Fault::NoToken => (401, "Not authenticated".into()),
            Fault::BadToken => (401, "Could not validate credentials".into()),
            Fault::Denied => (403, "No page may call this".into()),
            Fault::Missing(what) => (404, format!("{what} not found").into()),
            Fault::NoModel => (400, "The agent has no such model".into()),
            Fault::Misfit(Misfit::NotJson) => (400, "The body is not JSON".into()),
            Fault::Misfit(Misfit::NoObject) => (422, "The body must be a JSON object".into()),
            Fault::Misfit(Misfit::Wrong(name, expected)) => (422, format!("{name}: {expected}").into()),
            Fault::Refused(why) => refusal(why),
            Fault::Store(StoreFault::Busy) => (503, "The server is busy; try again".into()),
            Fault::Store(StoreFault::Failed) => (500, "The server could not do it".into()),
            Fault::NoRoute => (404, "Not Found".into()),
            Fault::NoMethod => (405, "Method Not Allowed".into()),
            Fault::Unreadable(expected) => (400, expected.into()),
            Fault::TooLarge => (413, "The body is too large".into()),
            Fault::NoUpgrade => (426, "A WebSocket is here".into()),
        }
    }
}

fn refusal(why: Refused) -> (u16, Cow<'static, str>) {
    let (status, text) = match why {
        Refused::NotHere | Refused::NotFound => (404, "Not found"),
        Refused::Over => (400, "It is over already"),
        Refused::AtWork => (409, "An agent works at it"),
        Refused::NoSuchMove => (400, "It cannot become that"),
        Refused::Crowded => (503, "Too many wait already; try again"),
        Refused::TooMany => (429, "Too many of yours wait already; try again"),
        Refused::Stopping => (503, "The server is stopping"),
        Refused::Store(fault) => return Fault::Store(fault).telling(),
    };
    (status, text.into())
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Refusal)]
pub(super) struct Told<'a> {
    detail: &'a str,
}

impl Refusal for Fault {
    fn into_answer(self) -> Answer {
        let (status, detail) = self.telling();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = answer::json(status, &Told { detail: &detail });
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 11.6.1: a 401 names the scheme.
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
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

    #[test]
    fn every_refusal_has_a_status() {
        for (fault, status, detail) in [
            (Fault::from(fault::Fault::NoRoute), 404, "Not Found"),
            (Fault::from(fault::Fault::NoMethod), 405, "Method Not Allowed"),
            (Fault::from(fault::Fault::NoToken), 401, "Not authenticated"),
            (Fault::from(fault::Fault::BadToken), 401, "Could not validate credentials"),
            (Fault::from(fault::Fault::Denied), 403, "No page may call this"),
            (Fault::from(fault::Fault::Unreadable("x")), 400, "x"),
            (Fault::from(fault::Fault::WrongShape("y")), 400, "y"),
            (Fault::from(fault::Fault::TooLarge), 413, "The body is too large"),
            (Fault::from(fault::Fault::Store(StoreFault::Busy)), 503, "The server is busy; try again"),
            (Fault::of("Task", Refused::NotFound), 404, "Task not found"),
            (Fault::of("Task", Refused::NotHere), 404, "Task not found"),
            (Fault::of("Task", Refused::Over), 400, "It is over already"),
            (Fault::of("Task", Refused::AtWork), 409, "An agent works at it"),
            (Fault::of("Task", Refused::NoSuchMove), 400, "It cannot become that"),
            (Fault::of("Task", Refused::Crowded), 503, "Too many wait already; try again"),
            (Fault::of("Task", Refused::TooMany), 429, "Too many of yours wait already; try again"),
            (Fault::of("Task", Refused::Stopping), 503, "The server is stopping"),
            (Fault::of("Task", Refused::Store(StoreFault::Failed)), 500, "The server could not do it"),
        ] {
            assert_eq!(fault.telling(), (status, detail.into()));
        }
    }
}
