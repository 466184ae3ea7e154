//! What records say: every attempt as its records make it, one after the other, in the order in which they were written.

use homeroom::{
    protocols::quiz::{
        AttemptId, Channel, QuizId,
        model::{Question, Reason, iso},
        record::{Answered, Closed, Flag, Record, Started},
    },
    realtime::UnixMicros,
};
use serde_json::{Value, json};
use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    rc::Rc,
};
use uuid::Uuid;

/// A quiz of the school. Its questions do not change.
#[derive(Clone, Debug)]
pub(crate) struct Quiz {
    pub(crate) id: QuizId,
    pub(crate) owner: String,
    pub(crate) questions: Rc<[Question]>,
    pub(crate) limit_seconds: u32,
}

/// One attempt.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) started: Started,
    pub(crate) answers: BTreeMap<Uuid, f64>,
    pub(crate) last_answer: Option<UnixMicros>,
    pub(crate) flags: u32,
    pub(crate) closed: Option<Closed>,
    /// Rises with each change of any attempt.
    pub(crate) changed: u64,
}

/// A row of a list or of the ranks.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    attempt: AttemptId,
    score: f64,
    answered_count: u64,
    ended: bool,
    /// Of the list alone.
    flags: Option<u64>,
}

/// What an owner must hear of a record: its name, and `data`.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// Records, read.
#[derive(Clone, Default, Debug)]
pub(crate) struct Book {
    pub(crate) attempts: BTreeMap<AttemptId, Attempt>,
    changes: u64,
}

impl Attempt {
    pub(crate) fn is_running(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether it should be over at this time.
    pub(crate) fn is_overdue(&self, at: UnixMicros) -> bool {
        self.is_running() && self.started.deadline.is_some_and(|deadline| deadline <= at)
    }

    pub(crate) fn score(&self) -> f64 {
        self.answers.values().fold(0.0, |sum, score| sum + score)
    }

    fn took_ms(&self) -> Option<i64> {
        self.last_answer.map(|at| (at.0 - self.started.started_at.0) / 1_000)
    }

    fn row(&self, channel: Channel) -> Row {
        Row {
            attempt: self.started.attempt,
            score: self.score(),
            answered_count: self.answers.len() as u64,
            ended: !self.is_running(),
            flags: (channel == Channel::Attempts).then_some(u64::from(self.flags)),
        }
    }

    fn who(&self) -> Value {
        let Started { attempt, participant, alias, quiz, .. } = &self.started;
        json!({"attempt_id": attempt, "participant_id": participant, "alias": **alias, "quiz_id": quiz.0, "event_id": null})
    }

    fn event(&self, name: String, more: Value) -> Event {
        let mut data = self.who();
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        Event { name, data }
    }

    /// What its participant must hear of its end.
    pub(crate) fn farewell(&self) -> Option<Value> {
        let Closed { reason, at, score, answered_count, .. } = self.closed?;
        let (attempt, quiz) = (self.started.attempt, self.started.quiz.0);
        Some(json!({"attempt_id": attempt, "quiz_id": quiz, "event_id": null, "reason": name(reason), "score": score,
            "answered_count": answered_count, "submitted_at": iso(at)}))
    }
}

fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::Submitted => "submitted",
        Reason::TimeUp => "time_up",
        Reason::ForcedByOwner => "forced_by_owner",
    }
}

/// The attempt that a record is of.
pub(crate) fn attempt_of(record: &Record) -> Option<AttemptId> {
    match record {
        Record::Started(started) => Some(started.attempt),
        Record::Answered(answered) => Some(answered.attempt),
        Record::Closed(closed) => Some(closed.attempt),
        Record::Flagged { attempt, .. } => Some(*attempt),
        Record::NewQuiz(_) | Record::Edited { .. } | Record::Participant(_) | Record::Event(_) | Record::Owner(_) => None,
        Record::Key(_) | Record::Revoked { .. } => None,
    }
}

impl Book {
    /// The next record: which quiz it is of, and what must be heard of it, if it is of an attempt.
    pub(crate) fn write(&mut self, record: &Record, quizzes: &[Quiz]) -> Option<(QuizId, Event)> {
        self.changes += 1;
        let changes = self.changes;
        if let Record::Started(started) = record {
            let quiz = quizzes.iter().find(|own| own.id == started.quiz)?;
            return Some(self.start(started, quiz, changes));
        }
        let attempt = self.attempts.get_mut(&attempt_of(record)?).expect("an attempt begins with its beginning");
        attempt.changed = changes;
        let quiz = attempt.started.quiz;
        let event = match record {
            Record::Answered(answered) => attempt.answer(answered, quizzes.iter().find(|own| own.id == quiz)?),
            Record::Closed(closed) => attempt.close(closed),
            Record::Flagged { at, flags, .. } => attempt.flag(flags, *at),
            Record::Started(_) | Record::NewQuiz(_) | Record::Edited { .. } | Record::Participant(_) => return None,
            Record::Event(_) | Record::Owner(_) | Record::Key(_) | Record::Revoked { .. } => return None,
        };
        Some((quiz, event))
    }

    fn start(&mut self, started: &Started, quiz: &Quiz, changed: u64) -> (QuizId, Event) {
        let limit = i64::from(quiz.limit_seconds) * 1_000_000;
        let deadline = (limit > 0).then_some(UnixMicros(started.started_at.0 + limit));
        assert_eq!(started.deadline, deadline, "the time of {}", started.attempt);
        let (answers, last_answer, flags, closed) = (BTreeMap::new(), None, 0, None);
        let attempt = Attempt { started: started.clone(), answers, last_answer, flags, closed, changed };
        let more = json!({"started_at": iso(started.started_at)});
        let event = attempt.event(format!("attempt_quiz {}", started.attempt), more);
        assert!(self.attempts.insert(started.attempt, attempt).is_none(), "{} begins twice", started.attempt);
        (started.quiz, event)
    }

    /// How many attempts run, at a quiz.
    pub(crate) fn running(&self, quiz: QuizId) -> impl Iterator<Item = &Attempt> {
        self.attempts.values().filter(move |attempt| attempt.started.quiz == quiz && attempt.is_running())
    }

    /// A list as it must be shown now, whole.
    pub(crate) fn rows(&self, quiz: QuizId, channel: Channel) -> Vec<Row> {
        let mut attempts: Vec<&Attempt> = self.attempts.values().filter(|attempt| attempt.started.quiz == quiz).collect();
        match channel {
            Channel::Leaderboard => attempts.sort_by(|one, other| merit(one, other)),
            Channel::Attempts | Channel::Quiz => attempts.sort_by_key(|attempt| Reverse(attempt.changed)),
        }
        attempts.into_iter().map(|attempt| attempt.row(channel)).collect()
    }

    /// The quiz is read anew: what was changed last is then told by the times that are on disk, flags aside.
    pub(crate) fn reload(&mut self, quiz: QuizId) {
        let mut attempts: Vec<&mut Attempt> = self.attempts.values_mut().filter(|attempt| attempt.started.quiz == quiz).collect();
        let last = |attempt: &Attempt| {
            attempt.closed.map(|closed| closed.at).max(attempt.last_answer).max(Some(attempt.started.started_at))
        };
        attempts.sort_by_key(|attempt| (last(attempt), attempt.started.attempt));
        for attempt in attempts {
            self.changes += 1;
            attempt.changed = self.changes;
        }
    }
}

fn merit(one: &Attempt, other: &Attempt) -> Ordering {
    let time = |attempt: &Attempt| (attempt.took_ms().is_none(), attempt.took_ms());
    other.score().total_cmp(&one.score()).then(time(one).cmp(&time(other))).then(one.started.attempt.cmp(&other.started.attempt))
}

impl Attempt {
    fn answer(&mut self, answered: &Answered, quiz: &Quiz) -> Event {
        let Answered { id, question, grade, at, .. } = answered;
        assert!(self.is_running(), "{} is answered after its end", self.started.attempt);
        assert!(self.started.deadline.is_none_or(|deadline| *at < deadline), "an answer counts that came after the deadline");
        self.answers.insert(*question, grade.score);
        self.last_answer = Some(*at);
        let order = quiz.questions.iter().position(|own| own.id == *question).expect("a question of the quiz") + 1;
        let more = json!({"question_id": question, "answer_id": id, "is_correct": grade.is_correct, "score": grade.score,
            "answered_at": iso(*at), "answered_count": self.answers.len(), "question_order": order});
        self.event(format!("attempt_update {id}"), more)
    }

    fn close(&mut self, closed: &Closed) -> Event {
        let id = self.started.attempt;
        assert!(self.is_running(), "{id} ends twice");
        assert_eq!(closed.score, self.score(), "the final points of {id}");
        assert_eq!(closed.answered_count as usize, self.answers.len(), "the final count of {id}");
        match (closed.reason, self.started.deadline) {
            (Reason::TimeUp, deadline) => assert_eq!(Some(closed.at), deadline, "{id} ends exactly when its time is up"),
            (_, deadline) => assert!(deadline.is_none_or(|deadline| closed.at < deadline), "{id} ends after its time was up"),
        }
        self.closed = Some(*closed);
        let took = (closed.at.0 - self.started.started_at.0) / 1_000;
        let more = json!({"answered_count": closed.answered_count, "time_taken_ms": took});
        self.event(format!("attempt_finished {id}"), more)
    }

    fn flag(&mut self, flags: &[Flag], at: UnixMicros) -> Event {
        self.flags += flags.len() as u32;
        let mut labels: Vec<&str> = Vec::new();
        for flag in flags {
            if !labels.contains(&flag.label.as_str()) {
                labels.push(&flag.label);
            }
        }
        let name = format!("attempt_flagged {}", labels[0]);
        self.event(name, json!({"labels": labels, "flagged_at": iso(at)}))
    }
}

/// The rows of a snapshot, and of which quiz they are; none of an empty one.
pub(crate) fn read_rows(snapshot: &Value, channel: Channel) -> Result<(Option<QuizId>, Vec<Row>), String> {
    let rows = snapshot.as_array().ok_or("no snapshot")?;
    let read = |(place, row): (usize, &Value)| {
        if channel == Channel::Leaderboard && row["rank"] != json!(place + 1) {
            return Err(format!("a wrong rank in {row}"));
        }
        Ok(Row {
            attempt: row["attempt_id"].as_str().and_then(|id| id.parse().ok()).ok_or("no attempt_id")?,
            score: row["score"].as_f64().ok_or("no score")?,
            answered_count: row["answered_count"].as_u64().ok_or("no answered_count")?,
            ended: row["status"] == "ended",
            flags: row["flags_count"].as_u64(),
        })
    };
    let quiz = rows.first().map(|row| row["quiz_id"].as_i64().map(QuizId).ok_or("no quiz_id")).transpose()?;
    Ok((quiz, rows.iter().enumerate().map(read).collect::<Result<_, String>>()?))
}
