//! The questions of a quiz: made, changed, taken out, ordered.

use super::{
    Rooms,
    body::{self, check, has_chars},
    caller::{id, owner},
    envelope::{done, made, nothing},
    fault::Fault,
    ids,
    quizzes::{edited, revised},
    shapes::QuestionShape,
};
use crate::{
    http::{answer::Answer, call::Call},
    protocols::quiz::{
        asks::Refused,
        model::{Kind, Question, QuestionId, Quiz},
        record::Edit,
    },
};
use serde::Deserialize;

const EXPECTED: &str = r#"expected {"text": text, "points": number, "type": "multiple_choice" | "multiple_select" | "true_false" | "short_text", "options": [text, …] for the first two, "correct": the place of an option, a list of places, a boolean or a list of texts}"#;
const WITHIN: &str = "correct names the places of options, counted from 0, none twice, and at least one";
/// Of one quiz.
const QUESTIONS_MAX: usize = 500;

#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = NewQuestion)]
pub(super) struct Body {
    text: String,
    points: f64,
    #[serde(flatten)]
    kind: Kind,
}

/// POST /quizzes/{quiz}/questions
pub(super) async fn make<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let quiz = id(&call, "quiz")?;
    let question = question(&call, ids::v4(&*call.house))?;
    let made_id = question.id;
    let quiz = edited(&*call.house, quiz, owner, Edit::Question(Box::new(question))).await?;
    made(&shown(&quiz, made_id)?)
}

/// PUT /quizzes/{quiz}/questions/{question}
pub(super) async fn change<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let quiz = id(&call, "quiz")?;
    let changed = id(&call, "question")?;
    let question = question(&call, changed)?;
    let change = |old: &Quiz| {
        // An edit with an id that the quiz has not would make a question.
        shown(old, changed)?;
        Ok(Edit::Question(Box::new(question.clone())))
    };
    let quiz = revised(&*call.house, quiz, owner, change).await?;
    done(&shown(&quiz, changed)?)
}

/// DELETE /quizzes/{quiz}/questions/{question}
pub(super) async fn remove<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let quiz = id(&call, "quiz")?;
    let question = id(&call, "question")?;
    edited(&*call.house, quiz, owner, Edit::NoQuestion(question)).await?;
    nothing()
}

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct Order {
    #[schema(value_type = Vec<Uuid>)]
    questions: Vec<QuestionId>,
}

/// PUT /quizzes/{quiz}/questions/order
pub(super) async fn order<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let quiz = id(&call, "quiz")?;
    let Order { questions } = body::object(&call, r#"expected {"questions": [uuid, …]}"#)?;
    if questions.len() > QUESTIONS_MAX {
        return Err(Fault::Refused(Refused::WrongOrder));
    }
    edited(&*call.house, quiz, owner, Edit::Order(questions)).await?;
    nothing()
}

fn shown(quiz: &Quiz, id: QuestionId) -> Result<QuestionShape<'_>, Fault> {
    let mut numbered = (1..).zip(&quiz.questions);
    let found = numbered.find(|(_, question)| question.id == id);
    found.map(|(order, question)| QuestionShape::new(order, question)).ok_or(Fault::NotFound)
}

fn question<S>(call: &Call<S>, id: QuestionId) -> Result<Question, Fault> {
    let Body { text, points, kind } = body::object(call, EXPECTED)?;
    check(has_chars(&text, 1..=4_000), "text is 1 to 4000 characters")?;
    check((0.0..=1_000.0).contains(&points), "points is 0 to 1000")?;
    // Of the two zeros of a float the plain one.
    Ok(Question { id, text, points: points + 0.0, kind: checked(kind)? })
}

fn checked(mut kind: Kind) -> Result<Kind, Fault> {
    match &mut kind {
        Kind::MultipleChoice { options, correct } => {
            check_options(options)?;
            check(usize::from(*correct) < options.len(), WITHIN)?;
        }
        Kind::MultipleSelect { options, correct } => {
            check_options(options)?;
            correct.sort_unstable();
            let no_doubles = correct.windows(2).all(|pair| pair[0] != pair[1]);
            check(no_doubles && correct.last().is_some_and(|last| usize::from(*last) < options.len()), WITHIN)?;
        }
        Kind::TrueFalse { correct: _ } => {}
        Kind::ShortText { correct } => {
            let says_something = |text: &String| has_chars(text, 1..=1_000) && !text.trim().is_empty();
            check(
                correct.len() <= 20 && correct.iter().all(says_something),
                "correct is a list of at most 20 texts of 1 to 1000 characters that are not all blank",
            )?;
        }
    }
    Ok(kind)
}

fn check_options(options: &[String]) -> Result<(), Fault> {
    let right = (2..=20).contains(&options.len()) && options.iter().all(|option| has_chars(option, 1..=1_000));
    check(right, "options is a list of 2 to 20 texts of 1 to 1000 characters")
}
