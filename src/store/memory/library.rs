//! The library of the store in memory.

use super::{
    super::{Library, Read},
    Kept, MemoryStore,
    records::{Attempt, Records},
};
use crate::{
    protocols::quiz::{
        model::{AttemptId, EventId, OwnerId, ParticipantId, Quiz, QuizId, Status},
        record::{
            Account, AnswerRow, AttemptFilter, AttemptRow, Event, FlagCount, FlagRow, FlagSummary, Key, KeyRow, Listed, Loaded,
            LoadedAttempt, Page, Participant, QuizRow,
        },
    },
    realtime::{ClassroomId, UnixMicros},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

impl MemoryStore {
    fn read<T>(&self, question: impl FnOnce(&Records) -> T) -> Read<T> {
        self.readable()?;
        Ok(question(&self.kept().records))
    }
}

impl Kept {
    pub(super) fn occupied(&self, limit: u32) -> Vec<(ClassroomId, u64)> {
        let mut counts: BTreeMap<ClassroomId, u64> = BTreeMap::new();
        for ((classroom, _), session) in &self.present {
            *counts.entry(*classroom).or_default() += u64::from(self.live.contains_key(session));
        }
        let mut rooms: Vec<_> = counts.into_iter().filter(|(_, members)| *members > 0).collect();
        rooms.sort_by_key(|(classroom, members)| (Reverse(*members), *classroom));
        rooms.truncate(limit as usize);
        rooms
    }
}

/// A part of `all`.
fn part<T>(all: impl Iterator<Item = T>, page: Page) -> Listed<T> {
    let all: Vec<T> = all.collect();
    let total = all.len() as u64;
    Listed { items: all.into_iter().skip(page.offset as usize).take(page.limit as usize).collect(), total }
}

fn quiz_row(quiz: &Quiz) -> QuizRow {
    QuizRow { quiz: Quiz { questions: Vec::new(), ..quiz.clone() }, questions_count: quiz.questions.len() as u32 }
}

fn loaded(attempt: &Attempt) -> LoadedAttempt {
    let answers = attempt.answers.values().filter(|_| attempt.closed.is_none());
    let started = &attempt.started;
    LoadedAttempt {
        id: started.attempt,
        participant: started.participant,
        alias: started.alias.clone(),
        event: started.event,
        started_at: started.started_at,
        deadline: started.deadline,
        last_answer: attempt.last_answer,
        flags: attempt.flags.len() as u32,
        end: attempt.closed,
        answers: answers.map(|answer| (answer.question, answer.grade)).collect(),
    }
}

/// Begun at zero: the sum of nothing is less by its sign.
fn worth(attempt: &Attempt) -> f64 {
    attempt.answers.values().fold(0.0, |sum, answer| sum + answer.grade.score)
}

fn row(attempt: &Attempt) -> AttemptRow {
    let started = &attempt.started;
    let (score, answered_count) = match &attempt.closed {
        Some(closed) => (closed.score, closed.answered_count),
        None => (worth(attempt), attempt.answers.len() as u32),
    };
    AttemptRow {
        id: started.attempt,
        quiz: started.quiz,
        participant: started.participant,
        alias: started.alias.to_string(),
        event: started.event,
        started_at: started.started_at,
        deadline: started.deadline,
        reason: attempt.closed.map(|closed| closed.reason),
        ended_at: attempt.closed.map(|closed| closed.at),
        score,
        answered_count,
        flags: attempt.flags.len() as u32,
    }
}

fn lets_through(filter: &AttemptFilter, attempt: &Attempt) -> bool {
    let started = &attempt.started;
    filter.quiz.is_none_or(|quiz| quiz == started.quiz)
        && filter.event.is_none_or(|event| Some(event) == started.event)
        && filter.participant.is_none_or(|participant| participant == started.participant)
        && filter.ended.is_none_or(|ended| ended == attempt.closed.is_some())
        && filter.flagged.is_none_or(|flagged| flagged != attempt.flags.is_empty())
}

fn ranked(records: &Records, quiz: QuizId) -> Vec<AttemptRow> {
    let ended = records.attempts.all.iter().filter(|attempt| attempt.started.quiz == quiz && attempt.closed.is_some());
    let mut ended: Vec<AttemptRow> = ended.map(row).collect();
    let took = |row: &AttemptRow| row.ended_at.map_or(0, |end| end.0 - row.started_at.0);
    ended.sort_by(|a, b| b.score.total_cmp(&a.score).then(took(a).cmp(&took(b))).then(a.id.cmp(&b.id)));
    ended
}

fn answers(records: &Records, attempt: &Attempt) -> Vec<AnswerRow> {
    let quiz = records.quizzes.get(&attempt.started.quiz);
    let place = |answer: &AnswerRow| {
        let place = quiz.and_then(|quiz| quiz.questions.iter().position(|question| question.id == answer.question));
        place.unwrap_or(usize::MAX)
    };
    let row = |answer: &crate::protocols::quiz::record::Answered| AnswerRow {
        id: answer.id,
        question: answer.question,
        given: answer.given.clone(),
        grade: answer.grade,
        at: answer.at,
    };
    let mut answers: Vec<AnswerRow> = attempt.answers.values().map(row).collect();
    answers.sort_by_key(place);
    answers
}

fn summary(records: &Records, quiz: QuizId) -> FlagSummary {
    let mut labels: BTreeMap<&str, (u64, BTreeSet<AttemptId>)> = BTreeMap::new();
    let mut summary = FlagSummary { flags: 0, attempts: 0, labels: Vec::new() };
    let flagged = |attempt: &&Attempt| attempt.started.quiz == quiz && !attempt.flags.is_empty();
    for attempt in records.attempts.all.iter().filter(flagged) {
        summary.attempts += 1;
        summary.flags += attempt.flags.len() as u64;
        for row in &attempt.flags {
            let (flags, attempts) = labels.entry(&row.flag.label).or_default();
            *flags += 1;
            attempts.insert(attempt.started.attempt);
        }
    }
    let count = |(label, (flags, attempts)): (&str, (u64, BTreeSet<AttemptId>))| FlagCount {
        label: label.to_owned(),
        flags,
        attempts: attempts.len() as u64,
    };
    summary.labels = labels.into_iter().map(count).collect();
    summary.labels.sort_by_key(|count| Reverse(count.flags));
    summary
}

fn running<'r>(attempts: impl Iterator<Item = &'r Attempt>) -> Vec<QuizId> {
    let running: BTreeSet<QuizId> = attempts.filter(|it| it.closed.is_none()).map(|it| it.started.quiz).collect();
    running.into_iter().collect()
}

impl Library for MemoryStore {
    fn quiz(&self, quiz: QuizId) -> Read<Option<Box<Loaded>>> {
        self.read(|records| {
            let attempts = records.attempts.all.iter().filter(|attempt| attempt.started.quiz == quiz).map(loaded).collect();
            records.quizzes.get(&quiz).map(|quiz| Box::new(Loaded { quiz: quiz.clone(), attempts }))
        })
    }

    fn running(&self) -> Read<Vec<QuizId>> {
        self.read(|records| running(records.attempts.all.iter()))
    }

    fn keys(&self) -> Read<Vec<Key>> {
        self.read(|records| records.keys.iter().filter(|row| row.revoked_at.is_none()).map(|row| row.key.clone()).collect())
    }

    fn accounts(&self) -> Read<Vec<(String, UnixMicros)>> {
        self.read(|records| records.accounts.values().map(|account| (account.name.clone(), account.at)).collect())
    }

    fn account(&self, name: &str) -> Read<Option<Account>> {
        self.read(|records| records.accounts.get(name).cloned())
    }

    fn keys_of(&self, owner: &str, page: Page) -> Read<Listed<KeyRow>> {
        self.read(|records| part(records.keys.iter().rev().filter(|row| &*row.key.owner == owner).cloned(), page))
    }

    fn quizzes(&self, owner: &str, status: Option<Status>, page: Page) -> Read<Listed<QuizRow>> {
        let suits = |quiz: &&Quiz| &*quiz.owner == owner && status.is_none_or(|status| status == quiz.status);
        self.read(|records| part(records.quizzes.values().rev().filter(suits).map(quiz_row), page))
    }

    fn owner_of(&self, quiz: QuizId) -> Read<Option<OwnerId>> {
        self.read(|records| records.owner_of(quiz))
    }

    fn quiz_of(&self, owner: &str, quiz: QuizId) -> Read<Option<Quiz>> {
        self.read(|records| records.quiz_of(owner, quiz).cloned())
    }

    fn participants(&self, owner: &str, page: Page) -> Read<Listed<Participant>> {
        self.read(|records| part(records.participants.all.iter().rev().filter(|it| &*it.owner == owner).cloned(), page))
    }

    fn participant(&self, owner: &str, participant: ParticipantId) -> Read<Option<Participant>> {
        self.read(|records| records.participant_of(owner, participant).cloned())
    }

    fn events(&self, owner: &str, page: Page) -> Read<Listed<Event>> {
        self.read(|records| part(records.events.all.iter().rev().filter(|it| &*it.owner == owner).cloned(), page))
    }

    fn event(&self, owner: &str, event: EventId) -> Read<Option<Event>> {
        self.read(|records| records.event_of(owner, event).cloned())
    }

    fn attempts(&self, owner: &str, filter: &AttemptFilter, page: Page) -> Read<Listed<AttemptRow>> {
        let suits = |attempt: &&Attempt| &*attempt.started.owner == owner && lets_through(filter, attempt);
        self.read(|records| part(records.attempts.all.iter().rev().filter(suits).map(row), page))
    }

    fn attempt(&self, owner: &str, attempt: AttemptId) -> Read<Option<(AttemptRow, Vec<AnswerRow>)>> {
        self.read(|records| records.attempt_of(owner, attempt).map(|attempt| (row(attempt), answers(records, attempt))))
    }

    fn results(&self, owner: &str, quiz: QuizId, page: Page) -> Read<Option<Listed<AttemptRow>>> {
        self.read(|records| records.quiz_of(owner, quiz).map(|_| part(ranked(records, quiz).into_iter(), page)))
    }

    fn flags(&self, owner: &str, attempt: AttemptId) -> Read<Option<Vec<FlagRow>>> {
        self.read(|records| records.attempt_of(owner, attempt).map(|attempt| attempt.flags.clone()))
    }

    fn flag_summary(&self, owner: &str, quiz: QuizId) -> Read<Option<FlagSummary>> {
        self.read(|records| records.quiz_of(owner, quiz).map(|_| summary(records, quiz)))
    }

    fn running_of_event(&self, owner: &str, event: EventId) -> Read<Vec<QuizId>> {
        let of_event = |attempt: &&Attempt| &*attempt.started.owner == owner && attempt.started.event == Some(event);
        self.read(|records| running(records.attempts.all.iter().filter(of_event)))
    }
}
