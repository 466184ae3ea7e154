//! Records of quizzes in tables: what comes in masses by one statement for many, the rest one by one.

mod attempts;
mod library;
mod lists;
mod loaded;
mod owned;
mod quizzes;
mod results;
mod stages;
mod tables;

pub(super) use tables::SECOND;

use super::{fault::Fault, writing::Writing};
use crate::{
    protocols::quiz::record::{Kept, Record},
    realtime::StoreFault,
};
use stages::{Kind, stages};

/// Writes the records of a batch, in their order; the answers in the same order.
pub(super) async fn keep(writing: &Writing<'_>, records: &[&Record]) -> Result<Vec<Result<Kept, StoreFault>>, Fault> {
    let mut answers = vec![Err(StoreFault::Failed); records.len()];
    for stage in stages(records) {
        let part: Vec<&Record> = stage.places.iter().map(|&place| records[place]).collect();
        let kept = match stage.kind {
            Kind::Alone => one_by_one(writing, &part).await?,
            Kind::Starts | Kind::Answers | Kind::Ends => together(writing, &part).await?,
        };
        stage.places.iter().zip(kept).for_each(|(&place, kept)| answers[place] = kept);
    }
    Ok(answers)
}

/// By one statement; where a row is refused, one by one, so that only that one is.
async fn together(writing: &Writing<'_>, part: &[&Record]) -> Result<Vec<Result<Kept, StoreFault>>, Fault> {
    match writing.whole(async || write(writing, part).await).await? {
        Ok(kept) => Ok(kept.into_iter().map(Ok).collect()),
        Err(_) if part.len() > 1 => one_by_one(writing, part).await,
        Err(_) => Ok(vec![Err(StoreFault::Failed)]),
    }
}

async fn one_by_one(writing: &Writing<'_>, part: &[&Record]) -> Result<Vec<Result<Kept, StoreFault>>, Fault> {
    let mut answers = Vec::with_capacity(part.len());
    for record in part {
        let kept = writing.whole(async || write(writing, &[record]).await).await?;
        let kept = kept.map_err(|_| StoreFault::Failed);
        answers.push(kept.and_then(|kept| kept.first().copied().ok_or(StoreFault::Failed)));
    }
    Ok(answers)
}

/// Several of one kind, or one.
async fn write(writing: &Writing<'_>, part: &[&Record]) -> Result<Vec<Kept>, Fault> {
    let one = match part.first() {
        None => return Ok(Vec::new()),
        Some(Record::Started(_)) => return attempts::start(writing, part).await,
        Some(Record::Answered(_)) => return attempts::answer(writing, part).await,
        Some(Record::Closed(_)) => return attempts::close(writing, part).await,
        Some(Record::NewQuiz(new)) => quizzes::new(writing, new).await?,
        Some(Record::Edited { quiz, edit, at }) => quizzes::edit(writing, *quiz, edit, *at).await?,
        Some(Record::Participant(participant)) => owned::participant(writing, participant).await?,
        Some(Record::Event(event)) => owned::event(writing, event).await?,
        Some(Record::Owner(account)) => owned::account(writing, account).await?,
        Some(Record::Key(key)) => owned::key(writing, key).await?,
        Some(Record::Revoked { owner, key, at }) => owned::revoked(writing, owner, *key, *at).await?,
        Some(Record::Flagged { attempt, at, flags }) => attempts::flag(writing, *attempt, *at, flags).await?,
    };
    Ok(vec![one])
}
