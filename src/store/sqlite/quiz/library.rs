//! The library: each read on a reader's connection, in one snapshot.

use super::{
    super::{
        super::{Library, Read},
        SqliteStore,
    },
    lists, loaded, results,
};
use crate::{
    protocols::quiz::{
        model::{AttemptId, EventId, OwnerId, ParticipantId, Quiz, QuizId, Status},
        record::{
            Account, AnswerRow, AttemptFilter, AttemptRow, Event, FlagRow, FlagSummary, Key, KeyRow, Listed, Loaded, Page,
            Participant, QuizRow,
        },
    },
    realtime::UnixMicros,
};

impl Library for SqliteStore {
    fn quiz(&self, quiz: QuizId) -> Read<Option<Box<Loaded>>> {
        self.readers.view(|conn| loaded::loaded(conn, quiz))
    }

    fn running(&self) -> Read<Vec<QuizId>> {
        self.readers.view(loaded::running)
    }

    fn keys(&self) -> Read<Vec<Key>> {
        self.readers.view(lists::good_keys)
    }

    fn accounts(&self) -> Read<Vec<(String, UnixMicros)>> {
        self.readers.view(lists::accounts)
    }

    fn account(&self, name: &str) -> Read<Option<Account>> {
        self.readers.view(|conn| lists::account(conn, name))
    }

    fn keys_of(&self, owner: &str, page: Page) -> Read<Listed<KeyRow>> {
        self.readers.view(|conn| lists::keys(conn, owner, page))
    }

    fn quizzes(&self, owner: &str, status: Option<Status>, page: Page) -> Read<Listed<QuizRow>> {
        self.readers.view(|conn| lists::quizzes(conn, owner, status, page))
    }

    fn owner_of(&self, quiz: QuizId) -> Read<Option<OwnerId>> {
        self.readers.view(|conn| loaded::owner_of(conn, quiz))
    }

    fn quiz_of(&self, owner: &str, quiz: QuizId) -> Read<Option<Quiz>> {
        self.readers.view(|conn| lists::quiz(conn, owner, quiz))
    }

    fn participants(&self, owner: &str, page: Page) -> Read<Listed<Participant>> {
        self.readers.view(|conn| lists::participants(conn, owner, page))
    }

    fn participant(&self, owner: &str, participant: ParticipantId) -> Read<Option<Participant>> {
        self.readers.view(|conn| lists::participant(conn, owner, participant))
    }

    fn events(&self, owner: &str, page: Page) -> Read<Listed<Event>> {
        self.readers.view(|conn| lists::events(conn, owner, page))
    }

    fn event(&self, owner: &str, event: EventId) -> Read<Option<Event>> {
        self.readers.view(|conn| lists::event(conn, owner, event))
    }

    fn attempts(&self, owner: &str, filter: &AttemptFilter, page: Page) -> Read<Listed<AttemptRow>> {
        self.readers.view(|conn| results::attempts(conn, owner, filter, page))
    }

    fn attempt(&self, owner: &str, attempt: AttemptId) -> Read<Option<(AttemptRow, Vec<AnswerRow>)>> {
        self.readers.view(|conn| results::attempt(conn, owner, attempt))
    }

    fn results(&self, owner: &str, quiz: QuizId, page: Page) -> Read<Option<Listed<AttemptRow>>> {
        self.readers.view(|conn| results::results(conn, owner, quiz, page))
    }

    fn flags(&self, owner: &str, attempt: AttemptId) -> Read<Option<Vec<FlagRow>>> {
        self.readers.view(|conn| results::flags(conn, owner, attempt))
    }

    fn flag_summary(&self, owner: &str, quiz: QuizId) -> Read<Option<FlagSummary>> {
        self.readers.view(|conn| results::flag_summary(conn, owner, quiz))
    }

    fn running_of_event(&self, owner: &str, event: EventId) -> Read<Vec<QuizId>> {
        self.readers.view(|conn| results::running_of_event(conn, owner, event))
    }
}
