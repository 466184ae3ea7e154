//! What an edit may do to a quiz, and what it does.

use super::{
    asks::Refused,
    model::{Question, QuestionId, Quiz, Status},
    record::Edit,
};
use crate::realtime::UnixMicros;

/// The most questions of a quiz.
pub const QUESTIONS: usize = 500;

/// Whether a quiz that nobody takes may change so. False: it is so already, and nothing is to be written.
///
/// A quiz that is archived stays as it is. A published one has questions: the last one is not taken from it.
pub fn check(quiz: &Quiz, edit: &Edit) -> Result<bool, Refused> {
    if quiz.status == Status::Archived {
        return Err(Refused::Archived);
    }
    match edit {
        Edit::Rules(_) => Ok(true),
        Edit::Status(Status::Published) if quiz.questions.is_empty() => Err(Refused::NoQuestions),
        Edit::Status(status) => Ok(*status != quiz.status),
        Edit::Question(question) => {
            let is_new = place(&quiz.questions, question.id).is_none();
            if is_new && quiz.questions.len() >= QUESTIONS { Err(Refused::TooManyQuestions) } else { Ok(true) }
        }
        Edit::NoQuestion(question) => match place(&quiz.questions, *question) {
            None => Err(Refused::NotFound),
            Some(_) if quiz.questions.len() == 1 && quiz.status == Status::Published => Err(Refused::NoQuestions),
            Some(_) => Ok(true),
        },
        Edit::Order(order) => is_an_order_of(&quiz.questions, order).then_some(true).ok_or(Refused::WrongOrder),
    }
}

/// Changes a quiz, after [`check`].
pub fn apply(quiz: &mut Quiz, edit: Edit, at: UnixMicros) {
    match edit {
        Edit::Rules(rules) => quiz.rules = *rules,
        Edit::Status(status) => quiz.status = status,
        Edit::Question(question) => match place(&quiz.questions, question.id) {
            Some(place) => quiz.questions[place] = *question,
            None => quiz.questions.push(*question),
        },
        Edit::NoQuestion(question) => quiz.questions.retain(|other| other.id != question),
        Edit::Order(order) => quiz.questions.sort_by_cached_key(|question| order.iter().position(|id| *id == question.id)),
    }
    quiz.updated_at = at;
}

fn place(questions: &[Question], id: QuestionId) -> Option<usize> {
    questions.iter().position(|question| question.id == id)
}

fn is_an_order_of(questions: &[Question], order: &[QuestionId]) -> bool {
    let sorted = |mut ids: Vec<QuestionId>| {
        ids.sort_unstable();
        ids
    };
    order.len() == questions.len() && sorted(order.to_vec()) == sorted(questions.iter().map(|question| question.id).collect())
}
