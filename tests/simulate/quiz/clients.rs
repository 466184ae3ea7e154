//! Those who come to the socket of the quizzes: owners, participants, and whoever tries.

use super::{book::Quiz, sockets::Bearer};
use crate::{
    clients::{Client, Meaning, Part, head, masked, part, token},
    dice::Dice,
};
use homeroom::{
    auth::SessionKey,
    protocols::quiz::{AttemptId, QuizId, model::Role},
};
use uuid::Uuid;

/// Where an API key stands, as far as those know who made it and ended it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Validity {
    Good,
    /// It was asked for, or its end was; nobody has confirmed it.
    Unsure,
    Bad,
}

/// An API key.
#[derive(Clone, Debug)]
pub(crate) struct ApiKey {
    pub(crate) id: Uuid,
    pub(crate) text: String,
    pub(crate) owner: String,
    pub(crate) role: Role,
    pub(crate) validity: Validity,
}

impl ApiKey {
    /// What it makes of whoever comes with it now.
    pub(crate) fn bearer(&self) -> Bearer {
        match (self.role, self.validity) {
            (Role::Owner, Validity::Good) => Bearer::Owner(self.owner.clone()),
            (Role::Owner, Validity::Unsure) => Bearer::Unsure(self.owner.clone()),
            (Role::User, _) => Bearer::Refused(403),
            (Role::Owner, Validity::Bad) => Bearer::Refused(401),
        }
    }
}

/// Whom a client can claim to be.
pub(crate) struct Cast<'a> {
    pub(crate) quizzes: &'a [Quiz],
    pub(crate) keys: &'a [ApiKey],
    pub(crate) attempts: &'a [(QuizId, AttemptId)],
}

/// What a client of the quizzes says when its script is over.
#[derive(Clone, Debug)]
pub(crate) enum Talk {
    /// Subscribes to some of these and gives them up again.
    Owner(Vec<String>),
    /// Anything: it is told that it must only listen.
    Participant,
}

pub(crate) fn session_key() -> SessionKey {
    SessionKey::new(b"a key for the sessions of a simulated school")
}

impl Client {
    /// Somebody at the quizzes' listener.
    pub(crate) fn of_quizzes(dice: &mut Dice, cast: &Cast<'_>) -> Client {
        let (query, bearer) = match dice.below(20) {
            0 => refused(dice),
            1..4 => by_key(dice, cast.keys),
            4..11 => {
                let subject = dice.below(2);
                (format!("?token={}", token("school", subject)), Bearer::Owner(format!("school/u{subject}")))
            }
            _ => by_session(dice, cast.attempts),
        };
        let talk = match &bearer {
            Bearer::Owner(_) | Bearer::Unsure(_) | Bearer::Key(_) => Talk::Owner(wishes(cast.quizzes)),
            Bearer::Participant(..) | Bearer::Refused(_) => Talk::Participant,
        };
        let mut parts = if matches!(bearer, Bearer::Owner(_)) && dice.percent(3) {
            vec![part(format!("GET /ws{query} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes(), Meaning::Comes(Bearer::Refused(426)))]
        } else {
            vec![part(head(&format!("/ws{query}"), true), Meaning::Comes(bearer))]
        };
        if matches!(talk, Talk::Owner(_)) || dice.percent(10) {
            parts.push(talk.word(dice));
        }
        Client::new(dice, parts, Some(talk))
    }
}

impl Talk {
    /// A message, which has so many answers.
    pub(crate) fn word(&self, dice: &mut Dice) -> Part {
        let Talk::Owner(names) = self else {
            let first = if dice.percent(50) { 0x81 } else { 0x82 };
            return part(masked(dice, first, b"hello"), Meaning::Wish(1));
        };
        if dice.percent(5) {
            return part(masked(dice, 0x81, b"rubbish"), Meaning::Wish(1));
        }
        let mut chosen: Vec<&str> = (0..dice.between(1, 5)).map(|_| dice.pick(names).as_str()).collect();
        let subscribes = dice.percent(70);
        let text = serde_json::json!({"action": if subscribes { "subscribe" } else { "unsubscribe" }, "subscriptions": chosen});
        chosen.sort_unstable();
        chosen.dedup();
        let answers = if subscribes { chosen.len() } else { 1 };
        part(masked(dice, 0x81, text.to_string().as_bytes()), Meaning::Wish(answers))
    }
}

fn wishes(quizzes: &[Quiz]) -> Vec<String> {
    let of = |quiz: &Quiz| ["quiz", "attempts", "leaderboard"].map(|kind| format!("{kind}:{}", quiz.id));
    let odd = ["quiz:99", "notification:1", "nonsense"].map(str::to_owned);
    quizzes.iter().flat_map(of).chain(odd).collect()
}

fn refused(dice: &mut Dice) -> (String, Bearer) {
    let good = token("school", 0);
    let (query, status) = match dice.below(6) {
        0 => (String::new(), 401),
        1 => (format!("?token={good}&session=x"), 401),
        2 => ("?token=no.to.ken".into(), 401),
        3 => ("?token=".into(), 401),
        4 => ("?session=abc".into(), 401),
        _ => ("?token=%ZZ".into(), 400),
    };
    (query, Bearer::Refused(status))
}

fn by_key(dice: &mut Dice, keys: &[ApiKey]) -> (String, Bearer) {
    let key = dice.pick(keys);
    (format!("?token={}", key.text), Bearer::Key(key.id))
}

fn by_session(dice: &mut Dice, attempts: &[(QuizId, AttemptId)]) -> (String, Bearer) {
    if attempts.is_empty() || dice.percent(5) {
        let (quiz, attempt) = (QuizId(1), Uuid::from_u128(0xDEAD));
        return (format!("?session={}", session_key().token(quiz.0, attempt)), Bearer::Participant(quiz, attempt));
    }
    let (quiz, attempt) = *dice.pick(attempts);
    (format!("?session={}", session_key().token(quiz.0, attempt)), Bearer::Participant(quiz, attempt))
}
