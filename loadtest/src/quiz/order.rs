//! What a worker of a quiz run is told to do. A quiz, all its participants and its owner's screens belong to one worker, so that a worker
//! can hold what is heard against what was done without asking another.

use super::contract::Channel;
use crate::{tempo::Tempo, wire::http::Target};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, time::Duration};
use uuid::Uuid;

/// A worker's part of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct HallOrder {
    /// Which worker this is, from 0.
    pub(crate) worker: u32,
    /// How many there are.
    pub(crate) workers: u32,
    /// The WebSocket route; the REST routes are beside it.
    pub(crate) target: Target,
    /// This worker's owners.
    pub(crate) owners: Vec<Owner>,
    /// Participants of the whole run.
    pub(crate) participants: u64,
    /// Fixes masks, choices and the order of things.
    pub(crate) seed: u64,
    /// Attempts begun a second of the whole run; as fast as it goes without.
    pub(crate) start_rate: Option<f64>,
    /// At most so many of this worker's starts, submits and saturating answers at once.
    pub(crate) in_flight: u32,
    /// When questions are answered.
    pub(crate) pace: Pace,
    /// The share of answers that are right.
    pub(crate) correct: f64,
    /// What a participant holds open.
    pub(crate) holds: Holds,
    /// What screens are subscribed to, of each of their owner's quizzes.
    pub(crate) channels: Vec<Channel>,
    /// Of so many of this worker's attempts each answer is read back.
    pub(crate) sample: u32,
    /// For one request, one step of a socket.
    pub(crate) timeout: Duration,
    /// Source addresses; the kernel's choice without.
    pub(crate) sources: Vec<IpAddr>,
}

/// One who owns quizzes and watches them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// What he signs in with.
    pub(crate) token: Secret,
    /// On how many screens he watches.
    pub(crate) screens: u32,
    /// His quizzes.
    pub(crate) quizzes: Vec<Paper>,
}

/// A published quiz.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Paper {
    /// `quiz_id`.
    pub(crate) id: i64,
    /// In their order.
    pub(crate) questions: Vec<Question>,
    /// How many take it.
    pub(crate) participants: u32,
}

/// A question of type `multiple_choice`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    /// `question_id`.
    pub(crate) id: Uuid,
    /// What the right answer is worth.
    pub(crate) points: f64,
    /// How many there are to choose from.
    pub(crate) options: u32,
    /// Which is right.
    pub(crate) correct: u32,
}

/// When a question is answered.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// After a while of thinking; the median.
    Think(Duration),
    /// So many a second over the whole run, whatever the server does.
    Rate(Tempo),
    /// As soon as fewer are under way than the order allows.
    Saturate,
    /// Never.
    Never,
}

/// What a participant holds open between two requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Holds {
    /// Its connection for REST.
    Line,
    /// Its socket. Arrivals on it are stamped by the kernel.
    Socket,
    /// Both.
    Both,
}

impl Holds {
    /// Whether the connection for REST is kept.
    pub(crate) fn line(self) -> bool {
        self != Holds::Socket
    }

    /// Whether there is a socket.
    pub(crate) fn socket(self) -> bool {
        self != Holds::Line
    }
}

/// A credential. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl HallOrder {
    /// How many participants this worker has.
    pub(crate) fn desks(&self) -> u64 {
        let papers = self.owners.iter().flat_map(|owner| &owner.quizzes);
        papers.map(|paper| u64::from(paper.participants)).sum()
    }

    /// How many connections it has open at once.
    pub(crate) fn places(&self) -> u64 {
        let screens: u64 = self.owners.iter().map(|owner| u64::from(owner.screens)).sum();
        screens + self.desks() * if self.holds == Holds::Both { 2 } else { 1 }
    }
}
