//! Reads of quizzes.

use super::{
    super::{Library, Read},
    MemoryStore,
};
use crate::{
    protocols::quiz::{
        model::{AttemptId, EventId, OwnerId, ParticipantId, Quiz, QuizId, Status},
        record::{
            Account, AnswerRow, AttemptFilter, AttemptRow, Event, FlagRow, FlagSummary, Key, KeyRow, Listed, Loaded, Page,
            Participant, QuizRow,
        },
    },
    realtime::StoreFault,
};
impl Library for MemoryStore {
    fn quiz(&self, _quiz: QuizId) -> Read<Option<Box<Loaded>>> {
        Err(StoreFault::Failed)
    }
    fn running(&self) -> Read<Vec<QuizId>> {
        Err(StoreFault::Failed)
    }
    fn keys(&self) -> Read<Vec<Key>> {
        Err(StoreFault::Failed)
    }
    fn account(&self, _name: &str) -> Read<Option<Account>> {
        Err(StoreFault::Failed)
    }
    fn keys_of(&self, _owner: &str, _page: Page) -> Read<Listed<KeyRow>> {
        Err(StoreFault::Failed)
    }
    fn quizzes(&self, _owner: &str, _status: Option<Status>, _page: Page) -> Read<Listed<QuizRow>> {
        Err(StoreFault::Failed)
    }
    fn owner_of(&self, _quiz: QuizId) -> Read<Option<OwnerId>> {
        Err(StoreFault::Failed)
    }
    fn quiz_of(&self, _owner: &str, _quiz: QuizId) -> Read<Option<Quiz>> {
        Err(StoreFault::Failed)
    }
    fn participants(&self, _owner: &str, _page: Page) -> Read<Listed<Participant>> {
        Err(StoreFault::Failed)
    }
    fn participant(&self, _owner: &str, _participant: ParticipantId) -> Read<Option<Participant>> {
        Err(StoreFault::Failed)
    }
    fn events(&self, _owner: &str, _page: Page) -> Read<Listed<Event>> {
        Err(StoreFault::Failed)
    }
    fn event(&self, _owner: &str, _event: EventId) -> Read<Option<Event>> {
        Err(StoreFault::Failed)
    }
    fn attempts(&self, _owner: &str, _filter: &AttemptFilter, _page: Page) -> Read<Listed<AttemptRow>> {
        Err(StoreFault::Failed)
    }
    fn attempt(&self, _owner: &str, _attempt: AttemptId) -> Read<Option<(AttemptRow, Vec<AnswerRow>)>> {
        Err(StoreFault::Failed)
    }
    fn results(&self, _owner: &str, _quiz: QuizId, _page: Page) -> Read<Option<Listed<AttemptRow>>> {
        Err(StoreFault::Failed)
    }
    fn flags(&self, _owner: &str, _attempt: AttemptId) -> Read<Option<Vec<FlagRow>>> {
        Err(StoreFault::Failed)
    }
    fn flag_summary(&self, _owner: &str, _quiz: QuizId) -> Read<Option<FlagSummary>> {
        Err(StoreFault::Failed)
    }
    fn running_of_event(&self, _owner: &str, _event: EventId) -> Read<Vec<QuizId>> {
        Err(StoreFault::Failed)
    }
}
