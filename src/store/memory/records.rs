//! Records of quizzes in memory, as the contract has them.

use crate::{
    protocols::quiz::{
        model::{AttemptId, EventId, OwnerId, ParticipantId, Question, QuestionId, Quiz, QuizId, Status},
        record::{
            Account, Answered, Closed, Edit, Event, Flag, FlagRow, Kept, Key, KeyRow, NewQuiz, Participant, Record, Started,
        },
    },
    realtime::{StoreFault, UnixMicros},
};
use std::collections::BTreeMap;

/// All of them. What was written later is later in its list.
#[derive(Default)]
pub(super) struct Records {
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) keys: Vec<KeyRow>,
    pub(super) participants: Numbered<Participant>,
    pub(super) events: Numbered<Event>,
    pub(super) quizzes: BTreeMap<QuizId, Quiz>,
    pub(super) attempts: Numbered<Attempt>,
}

/// Things in the order in which they came, found by their id.
pub(super) struct Numbered<T> {
    pub(super) all: Vec<T>,
    places: BTreeMap<uuid::Uuid, usize>,
}

/// An attempt and all that came of it.
pub(super) struct Attempt {
    pub(super) started: Started,
    pub(super) answers: BTreeMap<QuestionId, Answered>,
    pub(super) last_answer: Option<UnixMicros>,
    pub(super) flags: Vec<FlagRow>,
    pub(super) closed: Option<Closed>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Numbered<T> {
        Numbered { all: Vec::new(), places: BTreeMap::new() }
    }
}

impl<T> Numbered<T> {
    pub(super) fn find(&self, id: uuid::Uuid) -> Option<&T> {
        self.places.get(&id).and_then(|&place| self.all.get(place))
    }

    fn find_mut(&mut self, id: uuid::Uuid) -> Option<&mut T> {
        self.places.get(&id).and_then(|&place| self.all.get_mut(place))
    }

    fn add(&mut self, id: uuid::Uuid, new: T) -> Result<Kept, StoreFault> {
        if self.places.contains_key(&id) {
            return Err(StoreFault::Failed);
        }
        self.places.insert(id, self.all.len());
        self.all.push(new);
        Ok(Kept::Done)
    }
}

impl Records {
    pub(super) fn keep(&mut self, record: Record) -> Result<Kept, StoreFault> {
        match record {
            Record::NewQuiz(new) => self.new_quiz(*new),
            Record::Edited { quiz, edit, at } => Ok(self.edit(quiz, edit, at)),
            Record::Participant(new) => of(&new.owner).and_then(|()| self.participants.add(new.id, new)),
            Record::Event(new) => of(&new.owner).and_then(|()| self.events.add(new.id, new)),
            Record::Owner(account) => self.account(account),
            Record::Key(key) => self.key(key),
            Record::Revoked { owner, key, at } => {
                of(&owner)?;
                let Some(found) = self.keys.iter_mut().find(|row| row.key.id == key && row.key.owner == owner) else {
                    return Ok(Kept::Missing);
                };
                found.revoked_at.get_or_insert(at);
                Ok(Kept::Done)
            }
            Record::Started(started) => self.start(*started),
            Record::Answered(answered) => Ok(self.answer(*answered)),
            Record::Closed(closed) => Ok(self.close(closed)),
            Record::Flagged { attempt, at, flags } => Ok(self.flag(attempt, at, flags)),
        }
    }

    fn new_quiz(&mut self, new: NewQuiz) -> Result<Kept, StoreFault> {
        of(&new.owner)?;
        let id = QuizId(self.quizzes.last_key_value().map_or(1, |(last, _)| last.0 + 1));
        let NewQuiz { owner, rules, access_code, at } = new;
        let quiz =
            Quiz { id, owner, status: Status::Draft, access_code, rules, questions: Vec::new(), created_at: at, updated_at: at };
        self.quizzes.insert(id, quiz);
        Ok(Kept::Quiz(id))
    }

    fn edit(&mut self, quiz: QuizId, edit: Edit, at: UnixMicros) -> Kept {
        let Some(quiz) = self.quizzes.get_mut(&quiz) else { return Kept::Missing };
        match edit {
            Edit::Rules(rules) => quiz.rules = *rules,
            Edit::Status(status) => quiz.status = status,
            Edit::Question(question) => match quiz.questions.iter_mut().find(|old| old.id == question.id) {
                Some(old) => *old = *question,
                None => quiz.questions.push(*question),
            },
            Edit::NoQuestion(gone) => {
                let Some(place) = quiz.questions.iter().position(|question| question.id == gone) else { return Kept::Missing };
                quiz.questions.remove(place);
            }
            Edit::Order(order) => {
                let Some(ordered) = ordered(&quiz.questions, &order) else { return Kept::Missing };
                quiz.questions = ordered;
            }
        }
        quiz.updated_at = at;
        Kept::Done
    }

    fn account(&mut self, account: Account) -> Result<Kept, StoreFault> {
        of(&account.name)?;
        self.accounts.insert(account.name.clone(), account);
        Ok(Kept::Done)
    }

    fn key(&mut self, key: Key) -> Result<Kept, StoreFault> {
        of(&key.owner)?;
        if self.keys.iter().any(|row| row.key.id == key.id || row.key.hash == key.hash) {
            return Err(StoreFault::Failed);
        }
        self.keys.push(KeyRow { key, revoked_at: None });
        Ok(Kept::Done)
    }

    fn start(&mut self, started: Started) -> Result<Kept, StoreFault> {
        of(&started.owner)?;
        let owns_quiz = self.quizzes.get(&started.quiz).is_some_and(|quiz| quiz.owner == started.owner);
        let owns_event = started.event.is_none_or(|event| self.event_of(&started.owner, event).is_some());
        let owns_participant = started.new_participant || self.participant_of(&started.owner, started.participant).is_some();
        if !owns_quiz || !owns_event || !owns_participant {
            return Ok(Kept::Missing);
        }
        if self.attempts.find(started.attempt).is_some() {
            return Err(StoreFault::Failed);
        }
        if started.new_participant {
            let Started { participant: id, ref owner, ref alias, started_at: created_at, .. } = started;
            self.participants.add(id, Participant { id, owner: owner.clone(), alias: alias.clone(), created_at })?;
        }
        let id = started.attempt;
        self.attempts.add(id, Attempt { started, answers: BTreeMap::new(), last_answer: None, flags: Vec::new(), closed: None })
    }

    fn answer(&mut self, answered: Answered) -> Kept {
        let Some(attempt) = self.running(answered.attempt) else { return Kept::Missing };
        attempt.last_answer = attempt.last_answer.max(Some(answered.at));
        attempt.answers.insert(answered.question, answered);
        Kept::Done
    }

    fn close(&mut self, closed: Closed) -> Kept {
        let Some(attempt) = self.running(closed.attempt) else { return Kept::Missing };
        attempt.closed = Some(closed);
        Kept::Done
    }

    fn flag(&mut self, attempt: AttemptId, at: UnixMicros, flags: Vec<Flag>) -> Kept {
        let Some(attempt) = self.attempts.find_mut(attempt) else { return Kept::Missing };
        attempt.flags.extend(flags.into_iter().map(|flag| FlagRow { flag, flagged_at: at }));
        Kept::Done
    }

    fn running(&mut self, attempt: AttemptId) -> Option<&mut Attempt> {
        self.attempts.find_mut(attempt).filter(|attempt| attempt.closed.is_none())
    }

    pub(super) fn participant_of(&self, owner: &str, id: ParticipantId) -> Option<&Participant> {
        self.participants.find(id).filter(|participant| &*participant.owner == owner)
    }

    pub(super) fn event_of(&self, owner: &str, id: EventId) -> Option<&Event> {
        self.events.find(id).filter(|event| &*event.owner == owner)
    }

    pub(super) fn attempt_of(&self, owner: &str, id: AttemptId) -> Option<&Attempt> {
        self.attempts.find(id).filter(|attempt| &*attempt.started.owner == owner)
    }

    pub(super) fn quiz_of(&self, owner: &str, id: QuizId) -> Option<&Quiz> {
        self.quizzes.get(&id).filter(|quiz| &*quiz.owner == owner)
    }

    pub(super) fn owner_of(&self, id: QuizId) -> Option<OwnerId> {
        self.quizzes.get(&id).map(|quiz| quiz.owner.clone())
    }
}

/// Who has no name owns nothing.
fn of(name: &str) -> Result<(), StoreFault> {
    if name.is_empty() { Err(StoreFault::Failed) } else { Ok(()) }
}

/// None unless every question is named once.
fn ordered(questions: &[Question], order: &[QuestionId]) -> Option<Vec<Question>> {
    let mut left: BTreeMap<QuestionId, &Question> = questions.iter().map(|question| (question.id, question)).collect();
    let ordered: Option<Vec<Question>> = order.iter().map(|id| left.remove(id).cloned()).collect();
    ordered.filter(|_| left.is_empty())
}
