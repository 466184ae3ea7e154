//! Before the upgrade: what the query of `/ws` must hold, who that is, and how the others are refused.
//!
//! The order of the checks is the contract's: the shape of the query (400), exactly one credential (401), the credential itself (401),
//! its role (403). A session is asked of its quiz's home then ([`ToQuiz::Admit`](super::ToQuiz)).

use super::{
    keys::Keys,
    model::{AttemptId, OwnerId, QuizId, Role},
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
    /// The store could not be asked, or too many sockets listen to this attempt.
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

/// What someone with a good credential is told who asks for no WebSocket: a JSON document, with status 426.
pub const UPGRADE_WANTED: &str = r#"{"code":"REQ-001","message":"this path is for WebSocket upgrades"}"#;

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
    keys.bearer(token, authority, now).map_err(|_| Denial::Credential)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{Algorithm, Claims, Issuer, Secret, SigningKey, api_key},
        protocols::quiz::{model::KeyId, record::Key},
    };
    use std::time::Duration;

    fn read(query: &str) -> Result<(&'static str, String), Denial> {
        credential(Some(query)).map(|credential| match credential {
            Credential::Token(token) => ("token", token.into_owned()),
            Credential::Session(session) => ("session", session.into_owned()),
        })
    }

    #[test]
    fn one_credential_is_taken() {
        let jwt = "eyJhbGciOiJIUzI1NiIs.e30.a-_9";
        assert_eq!(read(&format!("token={jwt}")), Ok(("token", jwt.into())));
        assert_eq!(read("session=abc123-session-token"), Ok(("session", "abc123-session-token".into())));
        assert_eq!(read("a=1&&token=a%2Eb+c%C3%a9&b"), Ok(("token", "a.b cé".into())));
        assert_eq!(read("%74oken=a=b"), Ok(("token", "a=b".into())));
    }

    #[test]
    fn an_empty_credential_is_one() {
        for query in ["token=", "token", "x&token"] {
            assert_eq!(read(query), Ok(("token", String::new())));
        }
        assert_eq!(read("session="), Ok(("session", String::new())));
    }

    #[test]
    fn none_and_both_are_not_exactly_one() {
        assert_eq!(credential(None).err(), Some(Denial::ExactlyOne));
        for query in ["", "&", "Token=a", "tokens=a", "a=token", "token=a&session=b", "session=&token="] {
            assert_eq!(read(query), Err(Denial::ExactlyOne), "{query}");
        }
    }

    #[test]
    fn malformed_queries_come_before_all_else() {
        for query in [
            "token=%ZZ",
            "token=%",
            "token=%4",
            "token=%+1",
            "token=%F",
            "token=%ff",
            "token=%C3",
            "%zz=1",
            "token=a&x=%zz",
            "x=%e9",
            "token=a&token=a",
            "session=a&session=b",
            "token=a&session=b&token=c",
            "token&token",
            "token=%é",
        ] {
            assert_eq!(read(query), Err(Denial::Query), "{query}");
        }
    }

    #[test]
    fn denials_have_the_statuses_and_texts_of_the_contract() {
        let table = [
            (400, "Invalid query parameters"),
            (401, "Provide exactly one of 'token' or 'session' query parameter"),
            (401, "Invalid or expired credential"),
            (403, "API key does not have owner role"),
            (401, "Invalid session"),
            (503, "Service temporarily unavailable"),
        ];
        assert_eq!(Denial::ALL.map(|denial| (denial.status(), denial.text())), table);
        for denial in Denial::ALL {
            let body: serde_json::Value = serde_json::from_str(&denial.body()).unwrap();
            assert_eq!(body, serde_json::json!({"error": denial.text(), "message": denial.text()}));
        }
    }

    #[test]
    fn tokens_and_keys_name_their_owner() {
        let now = UnixMicros(1_781_188_265_000_000);
        let secret = Secret::new([5; 32]);
        let issuer = Issuer {
            name: "homeroom.local".into(),
            audiences: vec!["school.local".into()],
            algorithm: Algorithm::HS256,
            key: secret.clone(),
        };
        let authority = Authority::new([issuer]).unwrap();
        let lifetime = Some(Duration::from_secs(60));
        let claims = Claims { issuer: "homeroom.local", audience: "school.local", subject: "ada", lifetime };
        let jwt = SigningKey::new(Algorithm::HS256, &secret).unwrap().issue(&claims, now).unwrap();
        let mut keys = Keys::default();
        for (number, role) in [(1, Role::Owner), (2, Role::User)] {
            keys.add(&Key {
                id: KeyId::from_u128(number.into()),
                owner: "school.local/grace".into(),
                label: String::new(),
                role,
                hash: api_key::hash(&api_key::api_key([number; 32])),
                hint: String::new(),
                created_at: now,
            });
        }
        let whose = |token: &str, now| owner(token, &authority, &keys, now).map(|owner| owner.to_string());
        assert_eq!(whose(&jwt, now), Ok("school.local/ada".into()));
        assert_eq!(whose(&jwt, UnixMicros(now.0 + 60_000_000)), Err(Denial::Credential));
        assert_eq!(whose(&api_key::api_key([1; 32]), now), Ok("school.local/grace".into()));
        assert_eq!(whose(&api_key::api_key([2; 32]), now), Err(Denial::Role));
        for token in ["", "nonsense", &api_key::api_key([3; 32])] {
            assert_eq!(whose(token, now), Err(Denial::Credential), "{token}");
        }
    }

    #[test]
    fn a_session_names_its_attempt() {
        let (key, attempt) = (SessionKey::new(&[1; 32]), AttemptId::from_u128(9));
        assert_eq!(session(&key.token(42, attempt), &key), Ok((QuizId(42), attempt)));
        assert_eq!(session("", &key), Err(Denial::Session));
        assert_eq!(session(&SessionKey::new(&[2; 32]).token(42, attempt), &key), Err(Denial::Session));
    }
}
