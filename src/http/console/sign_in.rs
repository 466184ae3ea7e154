//! Signing in to the console: by the accounts that the APIs have, for the tokens that they would give.
//!
//! One name and one password are tried against both kinds of accounts. An admin of labs is an *operator*, an owner of quizzes a *teacher*;
//! who is both under the same name and password is both. A user of labs who is neither has no business here. Every try counts in the same
//! window as logins of labs do, so that nobody guesses faster here than there, and whether there is an account takes as long to say.

use super::Console;
use crate::{
    http::{
        answer::{self, Answer},
        audit::says_who,
        bearer::{Bearer, bearer},
        call::Call,
        fault::{Fault, Refusal},
    },
    realtime::StoreFault,
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

const EXPECTED: &str = r#"expected {"name": text, "password": text}"#;
/// Longer names and passwords, in bytes, are nobody's.
const LONGEST: usize = 1024;

/// A token, and for how many seconds it is good.
#[derive(Serialize)]
pub struct Token {
    /// As the API takes it.
    pub token: String,
    /// From now on.
    pub seconds: u64,
}

/// A user of labs and chat.
pub struct Known {
    /// Whether an admin.
    pub is_admin: bool,
    /// For labs.
    pub labs: Token,
    /// For chat and tasks.
    pub chat: Token,
}

/// Too many tries; after so many seconds again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TooSoon {
    /// So it is.
    Wait(i64),
    /// Who counts cannot: nobody is let through uncounted.
    Uncounted,
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

#[derive(Default, Serialize)]
struct Tokens {
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiz: Option<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labs: Option<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<Token>,
}

#[derive(Serialize)]
struct Pass<'a> {
    name: &'a str,
    roles: Vec<&'static str>,
    tokens: Tokens,
}

/// Why somebody is not let in.
pub(super) enum Refused {
    /// The name or the password is wrong, or the token.
    Wrong,
    /// It is right, and neither an operator's nor a teacher's.
    NoRole,
    /// After so many seconds again.
    TooMany(i64),
    /// Whatever else there is.
    Other(Fault),
}

impl<F: Into<Fault>> From<F> for Refused {
    fn from(fault: F) -> Refused {
        Refused::Other(fault.into())
    }
}

impl Refusal for Refused {
    fn into_answer(self) -> Answer {
        #[derive(Serialize)]
        struct Told {
            error: &'static str,
            message: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after: Option<i64>,
        }
        let (status, error, message, retry_after) = match self {
            Refused::Wrong => (StatusCode::UNAUTHORIZED, "wrong", "The name or the password is not right", None),
            Refused::NoRole => (
                StatusCode::FORBIDDEN,
                "no_role",
                "The console is for operators (admins of labs) and teachers (owners of quizzes)",
                None,
            ),
            Refused::TooMany(seconds) => (StatusCode::TOO_MANY_REQUESTS, "too_many", "Too many tries", Some(seconds)),
            Refused::Other(fault) => return fault.into_answer(),
        };
        unkept(answer::json(status, &Told { error, message, retry_after }))
    }
}

/// POST /console/sign-in
pub(super) async fn sign_in<S: Console>(call: Call<S>) -> Result<Answer, Refused> {
    let Login { name, password } = call.json(EXPECTED)?;
    if name.is_empty() || name.len() > LONGEST || password.len() > LONGEST {
        return Err(Refused::Wrong);
    }
    let house = &*call.house;
    match house.count_try(call.parts.extensions.get().copied()).await {
        Ok(()) => {}
        Err(TooSoon::Wait(seconds)) => return Err(Refused::TooMany(seconds)),
        Err(TooSoon::Uncounted) => return Err(Refused::Other(Fault::Store(StoreFault::Busy))),
    }
    // Both are asked whatever the first says: how long it takes tells nothing.
    let user = house.user(name.clone(), password.clone()).await?;
    let quiz = house.owner(name.clone(), password).await?;
    if user.is_some() || quiz.is_some() {
        says_who(&call.parts.extensions, &name);
    }
    let mut roles = Vec::new();
    roles.extend(user.as_ref().filter(|user| user.is_admin).map(|_| "operator"));
    roles.extend(quiz.as_ref().map(|_| "teacher"));
    if roles.is_empty() {
        return Err(if user.is_some() { Refused::NoRole } else { Refused::Wrong });
    }
    let (labs, chat) = user.map(|user| (user.labs, user.chat)).unzip();
    let tokens = Tokens { presence: house.presence_token(&name), quiz, labs, chat };
    Ok(unkept(answer::json(StatusCode::OK, &Pass { name: &name, roles, tokens })))
}

/// POST /console/renew: a fresh token of chat, which is good for an hour only, for who has a good one of labs.
pub(super) async fn renew<S: Console>(call: Call<S>) -> Result<Answer, Refused> {
    let Bearer::Token(token) = bearer(&call.parts.headers) else { return Err(Refused::Wrong) };
    let chat = call.house.chat_token(token).await?.ok_or(Refused::Wrong)?;
    Ok(unkept(answer::json(StatusCode::OK, &Tokens { chat: Some(chat), ..Tokens::default() })))
}

/// Tokens have no place in anyone's cache.
fn unkept(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
