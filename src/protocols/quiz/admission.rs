//! Before the upgrade: what the query of `/ws` must hold, who that is, and how the others are refused.
//!
//! The order of the checks is the contract's: the shape of the query (400), exactly one credential (401), the credential itself (401),
//! its role (403). A session is asked of its quiz's home then ([`ToQuiz::Admit`](super::ToQuiz)).

use super::{
    keys::Keys,
    model::{AttemptId, OwnerId, QuizId, Role, owner_of},
};
use crate::{
    auth::{Authority, SessionKey},
    realtime::UnixMicros,
};
use std::borrow::Cow;

/// The one credential of a query, not yet looked at. May be empty. It has no `Debug`, so that no log line can show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential<'a> {
    /// `token=`: a JWT or an API key.
    Token(Cow<'a, str>),
    /// `session=`: a session token.
    Session(Cow<'a, str>),
}

/// Why there is no upgrade.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Denial {
    /// The query is malformed, or has a parameter of ours twice.
    Query,
    /// Neither `token` nor `session`, or both.
    ExactlyOne,
    /// The token is no good.
    Credential,
    /// The API key is not an owner's.
    Role,
    /// The session token is no good, or its attempt is over.
    Session,
    /// The store could not be asked.
    Unavailable,
}

impl Denial {
    /// All of them.
    pub const ALL: [Denial; 6] =
        [Denial::Query, Denial::ExactlyOne, Denial::Credential, Denial::Role, Denial::Session, Denial::Unavailable];

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Denial::Query => 400,
            Denial::ExactlyOne | Denial::Credential | Denial::Session => 401,
            Denial::Role => 403,
            Denial::Unavailable => 503,
        }
    }

    /// The contract's text.
    pub fn text(self) -> &'static str {
        match self {
            Denial::Query => "Invalid query parameters",
            Denial::ExactlyOne => "Provide exactly one of 'token' or 'session' query parameter",
            Denial::Credential => "Invalid or expired credential",
            Denial::Role => "API key does not have owner role",
            Denial::Session => "Invalid session",
            Denial::Unavailable => "Service temporarily unavailable",
        }
    }

    /// A JSON document with the text as `error` and as `message`.
    pub fn body(self) -> String {
        // None of the texts has a character that JSON escapes.
        let text = self.text();
        format!(r#"{{"error":"{text}","message":"{text}"}}"#)
    }
}

/// The credential in a query, which is what follows the question mark. Parameters are as forms write them: parted by `&`, percent-encoded,
/// a plus is a space. Unknown ones are ignored, but must be well-formed as well.
///
/// # Errors
/// [`Denial::Query`] and [`Denial::ExactlyOne`].
pub fn credential(query: Option<&str>) -> Result<Credential<'_>, Denial> {
    let (mut token, mut session) = (None, None);
    for parameter in query.unwrap_or_default().split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        let place = match &*name {
            "token" => &mut token,
            "session" => &mut session,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(Denial::Query);
        }
    }
    match (token, session) {
        (Some(token), None) => Ok(Credential::Token(token)),
        (None, Some(session)) => Ok(Credential::Session(session)),
        (None, None) | (Some(_), Some(_)) => Err(Denial::ExactlyOne),
    }
}

/// Whose quizzes the holder of a token may watch.
///
/// # Errors
/// [`Denial::Credential`] and [`Denial::Role`].
pub fn owner(token: &str, authority: &Authority, keys: &Keys, now: UnixMicros) -> Result<OwnerId, Denial> {
    if let Some(holder) = keys.find(token) {
        return match holder.role {
            Role::Owner => Ok(holder.owner.clone()),
            Role::User => Err(Denial::Role),
        };
    }
    authority.verify(token, now).map(|account| owner_of(&account)).map_err(|_| Denial::Credential)
}

/// Which attempt at which quiz a session token is for; its home is to say whether that still runs.
///
/// # Errors
/// [`Denial::Session`].
pub fn session(token: &str, key: &SessionKey) -> Result<(QuizId, AttemptId), Denial> {
    key.read(token).map(|(quiz, attempt)| (QuizId(quiz), attempt)).ok_or(Denial::Session)
}

fn decoded(text: &str) -> Result<Cow<'_, str>, Denial> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, after) = rest.split_first_chunk().ok_or(Denial::Query)?;
                rest = after;
                byte(*digits).ok_or(Denial::Query)?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Denial::Query)
}

fn byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}
