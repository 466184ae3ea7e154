//! How an attempt begins: who may, when, and how often.

use super::{
    asks::{Ask, Entrant, Pass, Refused},
    attempt::{Attempt, Change, Phase, Write},
    desk::{Asking, Circumstances},
    model::{AccessType, AttemptId, Availability, EventId, Quiz, Status},
    record::{Record, Started},
    sitting::Sitting,
};
use crate::realtime::{StoreFault, UnixMicros};

impl Sitting {
    /// A participant wants to begin; answered when that is on disk.
    pub(super) fn start(
        &mut self,
        (attempt, event): (AttemptId, Option<EventId>),
        entrant: Entrant,
        pass: &Pass,
        asking: Asking,
        c: &mut Circumstances<'_>,
    ) {
        if let Some(&place) = self.by_id.get(&attempt) {
            return self.start_again(place, (entrant, event), pass, asking, c);
        }
        if let Err(refused) = self.may_start(&entrant, pass, c) {
            return c.refuse(asking, refused);
        }
        let started_at = c.now.wall;
        let limit = i64::from(self.quiz.rules.time_limit_seconds);
        let started = Started {
            attempt,
            quiz: self.quiz.id,
            owner: self.quiz.owner.clone(),
            participant: entrant.participant,
            new_participant: entrant.known_to.is_none(),
            alias: entrant.alias,
            event,
            started_at,
            deadline: (limit > 0).then(|| UnixMicros(started_at.0.saturating_add(limit * 1_000_000))),
        };
        let place = self.add(Attempt::new(&started));
        self.starting += 1;
        // Few can ask again: most who were sent away, and have begun all the same, could not get at their attempt.
        c.desk.hold(asking);
        let write = Write { asking: Some(asking), change: Change::Start };
        self.keep(place, write, Record::Started(Box::new(started)), c);
    }

    /// It has begun, or is about to: the one who began it wants to hear of it again.
    fn start_again(
        &mut self,
        place: u32,
        (entrant, event): (Entrant, Option<EventId>),
        pass: &Pass,
        asking: Asking,
        c: &mut Circumstances<'_>,
    ) {
        let who = &self.attempts[place as usize].who;
        if (who.participant, who.event) != (entrant.participant, event) {
            // Ids are dealt at random, or are those of one request: this can only be a fault of ours.
            return c.refuse(asking, Refused::Store(StoreFault::Failed));
        }
        if !suits(&self.quiz, pass) {
            return c.refuse(asking, Refused::NoPass(self.quiz.rules.access_type));
        }
        let (quiz, attempt) = (who.quiz, who.attempt);
        if self.attempts[place as usize].phase() == Phase::Starting {
            c.desk.hold(asking);
        }
        let ask = Ask::Start { quiz, attempt, entrant, event, pass: Pass::default() };
        self.wait_turn(place, asking, Box::new(ask), c.now.wall, c);
    }

    fn may_start(&self, entrant: &Entrant, pass: &Pass, c: &Circumstances<'_>) -> Result<(), Refused> {
        let Quiz { owner, rules, .. } = &*self.quiz;
        if self.quiz.status != Status::Published {
            return Err(Refused::NotPublished);
        }
        if !is_open(&self.quiz, c.now.wall) {
            return Err(Refused::NotOpen);
        }
        if !suits(&self.quiz, pass) {
            return Err(Refused::NoPass(rules.access_type));
        }
        if entrant.known_to.as_ref().is_some_and(|known_to| known_to != owner) {
            return Err(Refused::NotFound);
        }
        let tries = self.tries.get(&entrant.participant).copied().unwrap_or(0);
        if rules.max_attempts > 0 && tries >= rules.max_attempts {
            return Err(Refused::NoAttemptsLeft);
        }
        if self.running() + self.starting >= c.desk.settings.max_running {
            return Err(Refused::Crowded);
        }
        Ok(())
    }
}

fn is_open(quiz: &Quiz, at: UnixMicros) -> bool {
    match quiz.rules.availability {
        Availability::Always => true,
        Availability::Scheduled => {
            quiz.rules.opens_at.is_none_or(|opens_at| opens_at <= at)
                && quiz.rules.closes_at.is_none_or(|closes_at| at < closes_at)
        }
    }
}

/// A credential of the owner suffices for every quiz.
fn suits(quiz: &Quiz, pass: &Pass) -> bool {
    let is_the_owners = pass.owner.as_ref() == Some(&quiz.owner);
    is_the_owners
        || match quiz.rules.access_type {
            AccessType::Public => true,
            AccessType::Shared => pass.code.as_deref() == Some(&*quiz.access_code),
            AccessType::Private => false,
        }
}
