//! Sets quizzes up by REST, and makes the workers' orders of them.

use super::{Stop, expiry, secret, sources, tokens};
use crate::{
    args::Sitting,
    crew::worker,
    order::share,
    quiz::{
        contract::{Channel, Named},
        order::{HallOrder, Holds, Owner, Pace, Paper, Question, Secret},
    },
    students::sign,
    wire::{http::Target, rest::Rest},
};
use serde::Deserialize;
use serde_json::json;
use std::{io, thread};

/// So many owners set up at once: each waits for rows to be on disk.
const AT_ONCE: usize = 16;

/// What a scenario does with the participants.
pub(super) struct Plan {
    pub(super) pace: Pace,
    pub(super) correct: f64,
    pub(super) holds: Holds,
    pub(super) screens: u32,
    pub(super) channels: Vec<Channel>,
    pub(super) sample: u32,
}

#[derive(Deserialize)]
struct Created {
    id: i64,
}

/// The orders, and how many owners there are. Every quiz in them is published.
pub(super) fn orders(sitting: &Sitting, target: &Target, plan: &Plan) -> Result<Vec<HallOrder>, Stop> {
    let owners = owners(sitting, plan)?;
    let each = if plan.holds == Holds::Both { 2 } else { 1 };
    let connections = u64::from(sitting.participants) * each + u64::from(plan.screens) * owners.len() as u64;
    let workers = super::workers(&sitting.site, connections)?;
    if workers as usize > owners.len() {
        let have = owners.len();
        return Err(Stop::Usage(format!("{workers} workers need as many --owners, not {have}: a worker has whole owners")));
    }
    let sources = sources(&sitting.site, target, connections)?;
    let mut orders: Vec<HallOrder> = (0..workers)
        .map(|worker| HallOrder {
            worker,
            workers,
            target: target.clone(),
            owners: owners.iter().skip(worker as usize).step_by(workers as usize).cloned().collect(),
            participants: sitting.participants.into(),
            seed: sitting.site.seed,
            start_rate: sitting.start_rate,
            in_flight: (share(sitting.in_flight.into(), worker, workers) as u32).max(1),
            pace: plan.pace,
            correct: plan.correct,
            holds: plan.holds,
            channels: plan.channels.clone(),
            sample: plan.sample.div_ceil(workers),
            timeout: sitting.site.timeout,
            sources: sources.clone(),
        })
        .collect();
    let files = worker::raise_open_files().saturating_sub(worker::SPARE_FILES);
    if let Some(places) = orders.iter().map(HallOrder::places).max().filter(|places| *places > files) {
        let reason = format!("{places} connections in one worker, of at most {files}: give more --owners and --workers");
        return Err(Stop::Usage(reason));
    }
    let mut all: Vec<&mut Owner> = orders.iter_mut().flat_map(|order| &mut order.owners).collect();
    publish(sitting, target, &mut all)?;
    Ok(orders)
}

/// The owners with their tokens, and quizzes that are still to be made.
fn owners(sitting: &Sitting, plan: &Plan) -> Result<Vec<Owner>, Stop> {
    let tokens = credentials(sitting)?;
    let count = tokens.len() as u32;
    let papers = |owner: u32| {
        let quizzes = (0..sitting.quizzes).filter(move |quiz| quiz % count == owner);
        let participants = |quiz| share(sitting.participants.into(), quiz, sitting.quizzes) as u32;
        quizzes.map(move |quiz| Paper { id: 0, questions: Vec::new(), participants: participants(quiz) }).collect()
    };
    let owner = |(owner, token)| Owner { token: Secret(token), screens: plan.screens, quizzes: papers(owner) };
    Ok((0..).zip(tokens).map(owner).collect())
}

fn credentials(sitting: &Sitting) -> Result<Vec<String>, Stop> {
    let (signing, quizzes) = (&sitting.signing, sitting.quizzes);
    let tokens = match (&signing.tokens, &signing.key) {
        (Some(path), _) => tokens(path)?.into_iter().take(sitting.owners.unwrap_or(u32::MAX) as usize).collect(),
        (None, Some(path)) => {
            let (secret, expires) = (secret(path)?, expiry());
            let sign = |owner| sign(&secret, &signing.issuer, &signing.aud, format!("load-owner-{owner}"), expires);
            (0..sitting.owners.unwrap_or(quizzes)).map(sign).collect::<Result<Vec<_>, _>>().map_err(Stop::Usage)?
        }
        (None, None) => return Err(Stop::Usage("give --tokens or --key".to_owned())),
    };
    match sitting.owners {
        Some(wanted) if tokens.len() < wanted as usize => {
            Err(Stop::Usage(format!("{} tokens for {wanted} owners", tokens.len())))
        }
        _ if tokens.is_empty() => Err(Stop::Usage("no token".to_owned())),
        _ if tokens.len() > quizzes as usize => {
            Err(Stop::Usage(format!("{} owners share {quizzes} quizzes: give more --quizzes, or fewer --owners", tokens.len())))
        }
        _ => Ok(tokens),
    }
}

/// Makes and publishes every quiz.
fn publish(sitting: &Sitting, target: &Target, owners: &mut [&mut Owner]) -> io::Result<()> {
    let part = owners.len().div_ceil(AT_ONCE).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = owners
            .chunks_mut(part)
            .map(|part| scope.spawn(move || part.iter_mut().try_for_each(|owner| write_quizzes(sitting, target, owner))))
            .collect();
        let outcomes =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread ended"))));
        outcomes.collect::<io::Result<()>>()
    })
}

fn write_quizzes(sitting: &Sitting, target: &Target, owner: &mut Owner) -> io::Result<()> {
    let mut rest = Rest::new(target, &owner.token.0, sitting.site.timeout);
    for paper in &mut owner.quizzes {
        let quiz: Created = rest.post("/quizzes", &json!({ "title": "Load", "access_type": "public" }).to_string())?;
        paper.id = quiz.id;
        for number in 0..sitting.questions {
            let options: Vec<String> = (0..sitting.options).map(|option| format!("Option {option}")).collect();
            // Several points, so that few participants have the same score.
            let (correct, points) = (number % sitting.options, f64::from(number % 5 + 1));
            let text = format!("Question {number}");
            let question =
                json!({ "type": "multiple_choice", "text": text, "points": points, "options": options, "correct": correct });
            let Named { id } = rest.post(&format!("/quizzes/{}/questions", paper.id), &question.to_string())?;
            paper.questions.push(Question { id, points, options: sitting.options, correct });
        }
        let published: Created = rest.post(&format!("/quizzes/{}/publish", paper.id), "")?;
        if published.id != paper.id {
            return Err(io::Error::other("another quiz was published"));
        }
    }
    Ok(())
}
