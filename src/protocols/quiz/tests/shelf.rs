//! What a store would have on disk.

use crate::{
    protocols::quiz::{
        AttemptId, QuizId, edits,
        model::{AccessType, Availability, Kind, Question, Quiz, Rules, Status, SubmissionMode},
        record::{Answered, Closed, Loaded, LoadedAttempt, Record, Started},
    },
    realtime::UnixMicros,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The quizzes, and every record of an attempt in its order.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    pub(super) quizzes: BTreeMap<QuizId, Loaded>,
    pub(super) journal: Vec<Record>,
}

pub(super) fn rules() -> Rules {
    Rules {
        title: "Rivers".into(),
        access_type: AccessType::Public,
        availability: Availability::Always,
        opens_at: None,
        closes_at: None,
        time_limit_seconds: 0,
        max_attempts: 0,
        submission_mode: SubmissionMode::Immediate,
        client_only: false,
    }
}

/// True or false, and true is right: `n + 1` tenths of a point, which no sum of binary fractions has exactly.
pub(super) fn question(n: u128) -> Question {
    Question { id: question_id(n), text: "?".into(), points: (n as f64 + 1.0) / 10.0, kind: Kind::TrueFalse { correct: true } }
}

pub(super) fn question_id(n: u128) -> Uuid {
    Uuid::from_u128(0x9000 + n)
}

/// Of "owner", published, with so many questions.
pub(super) fn quiz(id: i64, questions: u128) -> Quiz {
    Quiz {
        id: QuizId(id),
        owner: "owner".into(),
        status: Status::Published,
        access_code: "code".into(),
        rules: rules(),
        questions: (0..questions).map(question).collect(),
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    }
}

/// What an attempt's record is about.
pub(super) fn attempt_of(record: &Record) -> Option<AttemptId> {
    match record {
        Record::Started(started) => Some(started.attempt),
        Record::Answered(answered) => Some(answered.attempt),
        Record::Closed(closed) => Some(closed.attempt),
        Record::Flagged { attempt, .. } => Some(*attempt),
        Record::NewQuiz(_) | Record::Edited { .. } | Record::Participant(_) | Record::Event(_) => None,
        Record::Owner(_) | Record::Key(_) | Record::Revoked { .. } => None,
    }
}

impl Shelf {
    pub(super) fn put(&mut self, quiz: Quiz) {
        self.quizzes.insert(quiz.id, Loaded { quiz, attempts: Vec::new() });
    }

    pub(super) fn attempt(&self, id: AttemptId) -> Option<&LoadedAttempt> {
        self.quizzes.values().flat_map(|loaded| &loaded.attempts).find(|attempt| attempt.id == id)
    }

    fn attempt_mut(&mut self, id: AttemptId) -> &mut LoadedAttempt {
        let mut attempts = self.quizzes.values_mut().flat_map(|loaded| &mut loaded.attempts);
        attempts.find(|attempt| attempt.id == id).expect("only what has begun goes on")
    }

    /// Writes a record; checks what no record may say.
    pub(super) fn write(&mut self, record: &Record) {
        match record {
            Record::Started(started) => self.start(started),
            Record::Answered(answered) => self.answer(answered),
            Record::Closed(closed) => self.close(closed),
            Record::Flagged { attempt, flags, .. } => self.attempt_mut(*attempt).flags += flags.len() as u32,
            Record::Edited { quiz, edit, at } => {
                let loaded = self.quizzes.get_mut(quiz).expect("a quiz that is there is edited");
                assert!(loaded.attempts.iter().all(|attempt| attempt.end.is_some()), "edited while attempts run");
                edits::apply(&mut loaded.quiz, edit.clone(), *at);
            }
            Record::NewQuiz(_) | Record::Participant(_) | Record::Event(_) => {}
            Record::Owner(_) | Record::Key(_) | Record::Revoked { .. } => {}
        }
        self.journal.push(record.clone());
    }

    fn start(&mut self, started: &Started) {
        let loaded = self.quizzes.get_mut(&started.quiz).expect("a quiz that is there is begun");
        assert!(loaded.attempts.iter().all(|attempt| attempt.id != started.attempt), "begun twice");
        loaded.attempts.push(LoadedAttempt {
            id: started.attempt,
            participant: started.participant,
            alias: started.alias.clone(),
            event: started.event,
            started_at: started.started_at,
            deadline: started.deadline,
            last_answer: None,
            flags: 0,
            end: None,
            answers: Vec::new(),
        });
    }

    fn answer(&mut self, answered: &Answered) {
        let attempt = self.attempt_mut(answered.attempt);
        assert!(attempt.end.is_none(), "answered after its end");
        assert!(attempt.deadline.is_none_or(|deadline| answered.at < deadline), "answered after its time");
        attempt.answers.retain(|(question, _)| *question != answered.question);
        attempt.answers.push((answered.question, answered.grade));
        attempt.last_answer = Some(answered.at);
    }

    fn close(&mut self, closed: &Closed) {
        let attempt = self.attempt_mut(closed.attempt);
        assert!(attempt.end.is_none(), "ended twice");
        assert_eq!(closed.answered_count as usize, attempt.answers.len());
        attempt.end = Some(*closed);
        attempt.answers.clear();
    }

    /// As a home reads it.
    pub(super) fn load(&self, quiz: QuizId) -> Option<Box<Loaded>> {
        self.quizzes.get(&quiz).cloned().map(Box::new)
    }
}
