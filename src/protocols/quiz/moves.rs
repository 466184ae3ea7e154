//! A quiz whose home changes, and sockets that are no more: what the home forgets, and what a socket tells the next one.

use super::{
    connection::Connection,
    desk::Desk,
    letters::{Channel, ToQuiz},
    model::QuizId,
    sitting::Sitting,
};
use crate::realtime::{ConnId, ShardId};

impl Sitting {
    /// Whether a record is on its way to disk.
    pub(super) fn is_writing(&self) -> bool {
        self.writing > 0
    }

    /// Takes back all timers of attempts.
    pub(super) fn cancel(&mut self, desk: &mut Desk) {
        self.attempts.iter_mut().for_each(|(_, attempt)| desk.cancel(attempt.time(None)));
    }

    /// These shards and their sockets are no more.
    pub(super) fn lose(&mut self, is_gone: &dyn Fn(ShardId) -> bool, desk: &mut Desk) {
        self.attempts.iter_mut().for_each(|(_, attempt)| attempt.part_all(is_gone));
        self.audience.lose(is_gone).into_iter().for_each(|timer| desk.cancel(Some(timer)));
    }
}

impl Connection {
    /// The homes of these quizzes have changed: what they must know of this connection.
    pub fn again(&mut self, conn: ConnId, has_moved: &dyn Fn(QuizId) -> bool) -> Vec<ToQuiz> {
        match self {
            Connection::Participant(participant) => {
                let attempt = participant.attempt().filter(|(quiz, _)| has_moved(*quiz));
                attempt.map(|(quiz, attempt)| ToQuiz::Admit { conn, quiz, attempt }).into_iter().collect()
            }
            Connection::Owner(owner) => {
                owner.doubt(has_moved);
                let mut letters = Vec::new();
                for (quiz, channel) in owner.channels().filter(|(quiz, _)| has_moved(*quiz)) {
                    letters.push(ToQuiz::Watch { conn, quiz, channel, owner: None });
                    match channel {
                        Channel::Quiz => {}
                        Channel::Attempts | Channel::Leaderboard => letters.push(ToQuiz::Snapshot { conn, quiz, channel }),
                    }
                }
                let asked = owner.asked().filter(|(quiz, _)| has_moved(*quiz));
                letters.extend(asked.map(|(quiz, channel)| ToQuiz::Watch { conn, quiz, channel, owner: owner.doubted(quiz) }));
                letters
            }
        }
    }

    /// Whether it has to do with one of these quizzes.
    pub fn concerns(&self, is_among: &dyn Fn(QuizId) -> bool) -> bool {
        match self {
            Connection::Participant(participant) => participant.attempt().is_some_and(|(quiz, _)| is_among(quiz)),
            Connection::Owner(owner) => owner.channels().chain(owner.awaited()).any(|(quiz, _)| is_among(quiz)),
        }
    }

    /// The quiz of a participant whose attempt runs.
    pub fn quiz(&self) -> Option<QuizId> {
        match self {
            Connection::Participant(participant) => participant.attempt().map(|(quiz, _)| quiz),
            Connection::Owner(_) => None,
        }
    }
}
