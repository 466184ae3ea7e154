//! The library: each read on a reader's connection, in one snapshot where it is several statements.

use super::{super::PostgresStore, lists, loaded, results};
use crate::{
    protocols::quiz::{
        model::{AttemptId, EventId, OwnerId, ParticipantId, Quiz, QuizId, Status},
        record::{
            Account, AnswerRow, AttemptFilter, AttemptRow, Event, FlagRow, FlagSummary, Key, KeyRow, Listed, Loaded, Page,
            Participant, QuizRow,
        },
    },
    realtime::UnixMicros,
    store::{Library, Read},
};

impl Library for PostgresStore {
    fn quiz(&self, quiz: QuizId) -> Read<Option<Box<Loaded>>> {
        self.readers.snapshot(async |conn| loaded::loaded(conn, quiz).await)
    }

    fn running(&self) -> Read<Vec<QuizId>> {
        self.readers.view(async |conn| loaded::running(conn).await)
    }

    fn keys(&self) -> Read<Vec<Key>> {
        self.readers.view(async |conn| lists::good_keys(conn).await)
    }

    fn accounts(&self) -> Read<Vec<(String, UnixMicros)>> {
        self.readers.view(async |conn| lists::accounts(conn).await)
    }

    fn account(&self, name: &str) -> Read<Option<Account>> {
        self.readers.view(async |conn| lists::account(conn, name).await)
    }

    fn keys_of(&self, owner: &str, page: Page) -> Read<Listed<KeyRow>> {
        self.readers.snapshot(async |conn| lists::keys(conn, owner, page).await)
    }

    fn quizzes(&self, owner: &str, status: Option<Status>, page: Page) -> Read<Listed<QuizRow>> {
        self.readers.snapshot(async |conn| lists::quizzes(conn, owner, status, page).await)
    }

    fn owner_of(&self, quiz: QuizId) -> Read<Option<OwnerId>> {
        self.readers.view(async |conn| loaded::owner_of(conn, quiz).await)
    }

    fn quiz_of(&self, owner: &str, quiz: QuizId) -> Read<Option<Quiz>> {
        self.readers.snapshot(async |conn| lists::quiz(conn, owner, quiz).await)
    }

    fn participants(&self, owner: &str, page: Page) -> Read<Listed<Participant>> {
        self.readers.snapshot(async |conn| lists::participants(conn, owner, page).await)
    }

    fn participant(&self, owner: &str, participant: ParticipantId) -> Read<Option<Participant>> {
        self.readers.view(async |conn| lists::participant(conn, owner, participant).await)
    }

    fn events(&self, owner: &str, page: Page) -> Read<Listed<Event>> {
        self.readers.snapshot(async |conn| lists::events(conn, owner, page).await)
    }

    fn event(&self, owner: &str, event: EventId) -> Read<Option<Event>> {
        self.readers.view(async |conn| lists::event(conn, owner, event).await)
    }

    fn attempts(&self, owner: &str, filter: &AttemptFilter, page: Page) -> Read<Listed<AttemptRow>> {
        self.readers.snapshot(async |conn| results::attempts(conn, owner, filter, page).await)
    }

    fn attempt(&self, owner: &str, attempt: AttemptId) -> Read<Option<(AttemptRow, Vec<AnswerRow>)>> {
        self.readers.snapshot(async |conn| results::attempt(conn, owner, attempt).await)
    }

    fn results(&self, owner: &str, quiz: QuizId, page: Page) -> Read<Option<Listed<AttemptRow>>> {
        self.readers.snapshot(async |conn| results::results(conn, owner, quiz, page).await)
    }

    fn flags(&self, owner: &str, attempt: AttemptId) -> Read<Option<Vec<FlagRow>>> {
        self.readers.snapshot(async |conn| results::flags(conn, owner, attempt).await)
    }

    fn flag_summary(&self, owner: &str, quiz: QuizId) -> Read<Option<FlagSummary>> {
        self.readers.snapshot(async |conn| results::flag_summary(conn, owner, quiz).await)
    }

    fn running_of_event(&self, owner: &str, event: EventId) -> Read<Vec<QuizId>> {
        self.readers.view(async |conn| results::running_of_event(conn, owner, event).await)
    }
}
