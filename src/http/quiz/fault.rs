//! What the quiz routes refuse, and the one table that turns it into a status, a code and a message.
//!
//! Texts are fixed: nothing that a client sent is said back to it, and nothing that the store said is passed on.

use crate::{
    http::{
        answer::{self, Answer},
        fault::{self, Refusal, closing},
    },
    protocols::quiz::{
        asks::{Refused, Reply},
        model::AccessType,
    },
    realtime::StoreFault,
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// Why there is no answer but this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The client's path, query or body is not as it must be; with what was expected.
    Invalid(&'static str),
    /// No credential, or one that is no good; with what was expected.
    Unknown(&'static str),
    /// The credential's role may not do this.
    Role(&'static str),
    /// Not there, or another's.
    NotFound,
    /// A home refused.
    Refused(Refused),
    /// The store did not do its part.
    Store(StoreFault),
    /// There is no such route.
    NoRoute,
    /// The route has no such method.
    NoMethod,
    /// The body has more than [`BODY_BYTES`](crate::http::limits::BODY_BYTES).
    TooLarge,
}

impl From<fault::Fault> for Fault {
    fn from(fault: fault::Fault) -> Fault {
        match fault {
            fault::Fault::NoRoute => Fault::NoRoute,
            fault::Fault::NoMethod => Fault::NoMethod,
            fault::Fault::NoToken | fault::Fault::BadToken => Fault::Unknown("the token is not valid"),
            fault::Fault::Denied => Fault::Role("no page may call this"),
            fault::Fault::Unreadable(expected) | fault::Fault::WrongShape(expected) => Fault::Invalid(expected),
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

/// A reply that is not the one of its ask's name.
impl From<Reply> for Fault {
    fn from(reply: Reply) -> Fault {
        match reply {
            Reply::Refused(Refused::NotFound) => Fault::NotFound,
            Reply::Refused(Refused::Store(fault)) => Fault::Store(fault),
            Reply::Refused(refused) => Fault::Refused(refused),
            Reply::Kept(_)
            | Reply::Edited(_)
            | Reply::Started(_)
            | Reply::Looked(_)
            | Reply::Answered { .. }
            | Reply::Submitted(_)
            | Reply::Flagged { .. }
            | Reply::Forced(_) => {
                tracing::warn!("a home answered what was not asked");
                Fault::Store(StoreFault::Failed)
            }
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Refusal)]
pub(super) struct Told {
    code: &'static str,
    message: &'static str,
}

/// A refusal in JSON.
fn told(status: StatusCode, code: &'static str, message: &'static str) -> Answer {
    answer::json(status, &Told { code, message })
}

type Telling = (StatusCode, &'static str, &'static str);

impl Fault {
    /// Status, code and message.
    pub fn telling(self) -> Telling {
        match self {
            Fault::Invalid(expected) => (StatusCode::BAD_REQUEST, "VAL-001", expected),
            Fault::Unknown(expected) => (StatusCode::UNAUTHORIZED, "AUTH-001", expected),
            Fault::Role(expected) => (StatusCode::FORBIDDEN, "AUTH-002", expected),
            Fault::NotFound => (StatusCode::NOT_FOUND, "NF-001", "there is no such thing, or it is another's"),
            Fault::Refused(refused) => refused_telling(refused),
            Fault::Store(StoreFault::Busy) => (StatusCode::SERVICE_UNAVAILABLE, "SRV-001", "the store is busy; try again"),
            Fault::Store(StoreFault::Failed) => (StatusCode::INTERNAL_SERVER_ERROR, "SRV-002", "the store could not do it"),
            Fault::NoRoute => (StatusCode::NOT_FOUND, "REQ-001", "there is no such route"),
            Fault::NoMethod => (StatusCode::METHOD_NOT_ALLOWED, "REQ-001", "the route has no such method; see the header allow"),
            Fault::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "REQ-001", "a body has at most 1 MiB"),
        }
    }
}

fn refused_telling(refused: Refused) -> Telling {
    let conflict = |code, message| (StatusCode::CONFLICT, code, message);
    match refused {
        Refused::NotFound => Fault::NotFound.telling(),
        Refused::Store(fault) => Fault::Store(fault).telling(),
        Refused::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "SRV-001", "too many requests wait, or too many attempts run; try again"),
        Refused::WrongOrder => Fault::Invalid("questions names every question of the quiz, once each").telling(),
        Refused::WrongAnswer => Fault::Invalid(
            "the answer does not suit the question: the place of an option, a list of such places without doubles, true or false, or a text",
        )
        .telling(),
        Refused::NoPass(AccessType::Shared) => Fault::Role("the quiz is begun with its access_code").telling(),
        Refused::NoPass(AccessType::Private | AccessType::Public) => {
            Fault::Role("the quiz is begun with a credential of its owner").telling()
        }
        Refused::Changed => (StatusCode::SERVICE_UNAVAILABLE, "SRV-001", "the quiz was changed meanwhile; try again"),
        Refused::ActiveAttempts => conflict("G-001", "the quiz has running attempts and cannot change"),
        Refused::Archived => conflict("QUIZ-001", "the quiz is archived"),
        Refused::NoQuestions => conflict("QUIZ-002", "a published quiz has at least one question"),
        Refused::TooManyQuestions => conflict("QUIZ-002", "the quiz has 500 questions already"),
        Refused::NotPublished => conflict("QUIZ-003", "the quiz is not published"),
        Refused::NotOpen => conflict("QUIZ-003", "the quiz is not open now"),
        Refused::Over => conflict("ATT-001", "the attempt is over"),
        Refused::NoAttemptsLeft => conflict("ATT-002", "no attempts are left"),
        Refused::TooManyFlags => conflict("FLAG-001", "the attempt has 300 flags, or would have more with these"),
    }
}

impl Refusal for Fault {
    fn into_answer(self) -> Answer {
        let (status, code, message) = self.telling();
        let mut answer = told(status, code, message);
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 11.6.1: a 401 names the scheme.
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self == Fault::TooLarge { closing(answer) } else { answer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::quiz::record::Kept;
    use futures_lite::future::block_on;
    use http_body_util::BodyExt;

    #[test]
    fn every_refusal_of_a_home_has_its_code() {
        for (refused, status, code) in [
            (Refused::NotFound, 404, "NF-001"),
            (Refused::Changed, 503, "SRV-001"),
            (Refused::ActiveAttempts, 409, "G-001"),
            (Refused::Archived, 409, "QUIZ-001"),
            (Refused::NoQuestions, 409, "QUIZ-002"),
            (Refused::TooManyQuestions, 409, "QUIZ-002"),
            (Refused::WrongOrder, 400, "VAL-001"),
            (Refused::NotPublished, 409, "QUIZ-003"),
            (Refused::NotOpen, 409, "QUIZ-003"),
            (Refused::NoPass(AccessType::Shared), 403, "AUTH-002"),
            (Refused::NoPass(AccessType::Private), 403, "AUTH-002"),
            (Refused::NoAttemptsLeft, 409, "ATT-002"),
            (Refused::Over, 409, "ATT-001"),
            (Refused::WrongAnswer, 400, "VAL-001"),
            (Refused::TooManyFlags, 409, "FLAG-001"),
            (Refused::Crowded, 503, "SRV-001"),
            (Refused::Store(StoreFault::Busy), 503, "SRV-001"),
            (Refused::Store(StoreFault::Failed), 500, "SRV-002"),
        ] {
            let told = Fault::from(Reply::Refused(refused)).telling();
            assert_eq!((told.0.as_u16(), told.1), (status, code), "{refused:?}");
        }
    }

    #[test]
    fn a_reply_that_was_not_asked_for_is_our_failure() {
        assert_eq!(Fault::from(Reply::Kept(Kept::Done)), Fault::Store(StoreFault::Failed));
    }

    #[test]
    fn it_is_told_in_json() {
        let (parts, body) = Fault::Unknown("a token").into_answer().into_parts();
        assert_eq!((parts.status.as_u16(), &parts.headers["content-type"]), (401, &HeaderValue::from_static("application/json")));
        assert_eq!(parts.headers["www-authenticate"], "Bearer");
        let body = block_on(body.collect()).unwrap().to_bytes();
        assert_eq!(body, r#"{"code":"AUTH-001","message":"a token"}"#);
    }
}
