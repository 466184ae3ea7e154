//! Quizzes: made, listed, changed, published, archived.

use super::{
    Rooms, body,
    caller::{id, owner},
    envelope::{done, list, made, page},
    fault::Fault,
    ids,
    rooms::{Library, Quizzes},
    rules::{self, Changes},
    shapes::QuizShape,
};
use crate::{
    http::{answer::Answer, call::Call},
    protocols::quiz::{
        asks::{Ask, Refused, Reply},
        model::{OwnerId, Quiz, QuizId, Status},
        record::{Edit, Kept, NewQuiz, Record},
    },
};

/// How often a change is tried that others come before.
pub(super) const TRIES: usize = 5;

/// POST /quizzes
pub(super) async fn make<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let rules = body::object::<_, Changes>(&call, rules::EXPECTED)?.rules()?;
    let new = NewQuiz { owner, rules, access_code: ids::access_code(&*call.house), at: call.house.now() };
    let id = match keep(&*call.house, Record::NewQuiz(Box::new(new.clone()))).await? {
        Kept::Quiz(id) => id,
        Kept::Done | Kept::Missing => return Err(Fault::NotFound),
    };
    let NewQuiz { owner, rules, access_code, at } = new;
    let quiz =
        Quiz { id, owner, status: Status::Draft, access_code, rules, questions: Vec::new(), created_at: at, updated_at: at };
    made(&QuizShape::from(&quiz))
}

/// GET /quizzes
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let status = match call.query("status")?.as_deref() {
        None => None,
        Some("draft") => Some(Status::Draft),
        Some("published") => Some(Status::Published),
        Some("archived") => Some(Status::Archived),
        Some(_) => return Err(Fault::Invalid("status is draft, published or archived")),
    };
    let page = page(&call)?;
    list::<QuizShape<'_>, _>(&call.house.quizzes(owner, status, page).await?)
}

/// GET /quizzes/{quiz}
pub(super) async fn one<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let quiz = id(&call, "quiz")?;
    let quiz = call.house.quiz(owner, quiz).await?.ok_or(Fault::NotFound)?;
    done(&QuizShape::from(&quiz).with(&quiz.questions))
}

/// PATCH /quizzes/{quiz}
pub(super) async fn change<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let quiz = id(&call, "quiz")?;
    let changes: Changes = body::object(&call, rules::EXPECTED)?;
    told(revised(&*call.house, quiz, owner, |old| Ok(Edit::Rules(Box::new(changes.over(&old.rules)?)))).await?)
}

/// POST /quizzes/{quiz}/publish
pub(super) async fn publish<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    turn(call, Status::Published).await
}

/// POST /quizzes/{quiz}/archive
pub(super) async fn archive<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    turn(call, Status::Archived).await
}

async fn turn<S: Rooms>(call: Call<S>, status: Status) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let quiz = id(&call, "quiz")?;
    told(edited(&*call.house, quiz, owner, Edit::Status(status)).await?)
}

fn told(quiz: Quiz) -> Result<Answer, Fault> {
    done(&QuizShape::from(&quiz))
}

/// The quiz after a change that its home took, whatever the quiz was before.
pub(super) async fn edited(house: &impl Quizzes, quiz: QuizId, owner: OwnerId, edit: Edit) -> Result<Quiz, Fault> {
    taken(house, Ask::Edit { quiz, owner, edit, seen: None }).await
}

/// The quiz after a change that was made from what it was: made anew when another came before it.
pub(super) async fn revised<S: Quizzes + Library>(
    house: &S,
    quiz: QuizId,
    owner: OwnerId,
    change: impl Fn(&Quiz) -> Result<Edit, Fault>,
) -> Result<Quiz, Fault> {
    for _ in 0..TRIES {
        let old = house.quiz(owner.clone(), quiz).await?.ok_or(Fault::NotFound)?;
        let ask = Ask::Edit { quiz, owner: owner.clone(), edit: change(&old)?, seen: Some(old.updated_at) };
        match taken(house, ask).await {
            Err(Fault::Refused(Refused::Changed)) => {}
            done => return done,
        }
    }
    Err(Fault::Refused(Refused::Changed))
}

async fn taken(house: &impl Quizzes, edit: Ask) -> Result<Quiz, Fault> {
    match house.ask(edit).await {
        Reply::Edited(quiz) => Ok(*quiz),
        other => Err(other.into()),
    }
}

/// Writes what concerns no home.
pub(super) async fn keep(house: &impl Quizzes, record: Record) -> Result<Kept, Fault> {
    match house.ask(Ask::Keep(record)).await {
        Reply::Kept(kept) => Ok(kept),
        other => Err(other.into()),
    }
}
