//! Those who ask of quizzes over REST: they begin, answer, raise flags, submit, force, edit, and make and end keys.

use super::{book, clients::Validity};
use crate::world::{World, note};
use homeroom::protocols::quiz::{
    AttemptId, QuizId,
    asks::{Ask, Entrant, Pass, Refused, Reply},
    model::{Given, Role},
    record::{Edit, Flag, Kept, Record},
};
use std::{
    task::{Poll, Waker},
    time::Duration,
};
use uuid::Uuid;

/// The most attempts of a run.
const ATTEMPTS: u128 = 30;

/// An ask that waits.
pub(crate) struct QuizAsk {
    shard: usize,
    number: u64,
    ask: Ask,
}

impl World {
    pub(crate) fn ask_of_quiz(&mut self) {
        let kind = self.dice.below(100);
        let Some(ask) = self.invent_ask(kind) else { return };
        let shard = self.dice.below(self.shards.len());
        note!(self, "quiz ask at {shard}: {ask:?}");
        let forgotten = ask.quiz().is_some() && self.dice.percent(10);
        let number = self.feed(shard).ask_quiz(ask.clone());
        self.brings_events(shard, 1);
        if forgotten {
            self.shards[shard].engine.forget_quiz_ask(number);
        } else {
            self.quiz_asks.push(QuizAsk { shard, number, ask });
        }
    }

    fn invent_ask(&mut self, kind: usize) -> Option<Ask> {
        let at = self.dice.below(self.model.quizzes.all.len());
        let (quiz, owner) = (self.model.quizzes.all[at].id, self.model.quizzes.all[at].owner.clone());
        let ask = match kind {
            0..20 if self.quiz.made < ATTEMPTS => self.start(quiz),
            20..65 => return self.answer_or_flag(true),
            65..75 => return self.answer_or_flag(false),
            75..85 => {
                let attempt = self.some_attempt()?;
                Ask::Submit { quiz: attempt.0, attempt: attempt.1 }
            }
            85..90 => {
                let attempt = self.some_attempt()?;
                Ask::Look { quiz: attempt.0, attempt: attempt.1 }
            }
            90..92 => Ask::Force { quiz, owner: owner.into(), event: None },
            92..95 => {
                let mut rules = self.quiz.rules(quiz);
                rules.title = format!("title {}", self.dice.below(100));
                Ask::Edit { quiz, owner: owner.into(), edit: Edit::Rules(Box::new(rules)), seen: None }
            }
            95..97 if self.quiz.keys.len() < 10 => Ask::Keep(Record::Key(self.quiz.new_key(&owner))),
            97 => return self.end_of_key(),
            _ => return None,
        };
        Some(ask)
    }

    fn start(&mut self, quiz: QuizId) -> Ask {
        self.quiz.made += 1;
        let attempt = Uuid::from_u128(0xA_0000 + self.quiz.made);
        let entrant =
            Entrant { participant: Uuid::from_u128(0xB_0000 + self.quiz.made), known_to: None, alias: "somebody".into() };
        Ask::Start { quiz, attempt, entrant, event: None, pass: Pass::default() }
    }

    /// Mostly one that runs.
    fn some_attempt(&mut self) -> Option<(QuizId, AttemptId)> {
        let any = self.dice.percent(10);
        let fit = |attempt: &&book::Attempt| any || attempt.is_running();
        let fitting: Vec<_> =
            self.model.quizzes.told.attempts.values().filter(fit).map(|own| (own.started.quiz, own.started.attempt)).collect();
        if fitting.is_empty() { None } else { Some(*self.dice.pick(&fitting)) }
    }

    fn answer_or_flag(&mut self, answers: bool) -> Option<Ask> {
        let (quiz, attempt) = self.some_attempt()?;
        self.quiz.made_ids += 1;
        let number = self.quiz.made_ids;
        if !answers {
            let label = |n: usize| Flag {
                label: format!("F{number}_{}", n % 2),
                detail: None,
                question: None,
                occurred_at: self.now.wall,
            };
            let flags = (0..self.dice.between(1, 3)).map(label).collect();
            return Some(Ask::Flag { quiz, attempt, flags });
        }
        let questions = self.model.quizzes.all.iter().find(|own| own.id == quiz)?.questions.clone();
        let question = self.dice.pick(&questions).id;
        let given = Given::Truth(self.dice.percent(60));
        Some(Ask::Answer { quiz, attempt, question, id: Uuid::from_u128(0xC_0000_0000 + number), given })
    }

    fn end_of_key(&mut self) -> Option<Ask> {
        let at = self.dice.below(self.quiz.keys.len());
        let key = &mut self.quiz.keys[at];
        if key.role != Role::Owner || key.validity != Validity::Good {
            return None;
        }
        key.validity = Validity::Unsure;
        Some(Ask::Keep(Record::Revoked { owner: key.owner.as_str().into(), key: key.id, at: self.now.wall }))
    }

    pub(crate) fn poll_quiz_asks(&mut self) {
        for at in (0..self.quiz_asks.len()).rev() {
            let QuizAsk { shard, number, .. } = self.quiz_asks[at];
            if let Poll::Ready(reply) = self.shards[shard].engine.poll_quiz_reply(number, Waker::noop()) {
                let QuizAsk { ask, .. } = self.quiz_asks.swap_remove(at);
                note!(self, "reply to {ask:?}: {}", brief(&reply));
                self.check_quiz_reply(&ask, &reply);
            }
        }
    }

    /// What was acknowledged is on disk, and was told.
    fn check_quiz_reply(&mut self, ask: &Ask, reply: &Reply) {
        let quizzes = &self.model.quizzes;
        let told =
            |quiz: QuizId, name: String| quizzes.events.get(&quiz).is_some_and(|log| log.iter().any(|event| event.name == name));
        match (ask, reply) {
            (Ask::Start { quiz, attempt, .. }, Reply::Started(_)) => assert!(told(*quiz, format!("attempt_quiz {attempt}"))),
            (Ask::Answer { quiz, id, .. }, Reply::Answered { .. }) => assert!(told(*quiz, format!("attempt_update {id}"))),
            (Ask::Flag { quiz, .. }, Reply::Flagged { labels, .. }) => {
                assert!(told(*quiz, format!("attempt_flagged {}", labels[0])))
            }
            (Ask::Submit { attempt, .. }, Reply::Submitted(end)) => {
                let closed = quizzes.told.attempts.get(attempt).and_then(|attempt| attempt.closed).expect("it is over");
                assert_eq!((closed.reason, closed.at, closed.score), (end.reason, end.at, end.score));
            }
            (Ask::Answer { attempt, .. } | Ask::Submit { attempt, .. }, Reply::Refused(Refused::Over)) => {
                let attempt = &quizzes.told.attempts[attempt];
                assert!(!attempt.is_running(), "{attempt:?} is called over");
            }
            (Ask::Look { attempt, .. }, Reply::Looked(view)) => assert_eq!(view.attempt, *attempt),
            (Ask::Edit { .. }, Reply::Edited(_)) | (Ask::Force { .. }, Reply::Forced(_)) => {}
            (Ask::Keep(Record::Key(key)), Reply::Kept(Kept::Done)) => self.quiz.confirm(key.id, Validity::Good),
            (Ask::Keep(Record::Revoked { key, .. }), Reply::Kept(Kept::Done)) => self.quiz.confirm(*key, Validity::Bad),
            (_, Reply::Refused(Refused::Store(_) | Refused::ActiveAttempts | Refused::Over | Refused::Crowded)) => {}
            (ask, reply) => panic!("{ask:?} is answered {reply:?}"),
        }
    }

    /// When all is quiet, an event goes to those who listen, and no home counts anybody else.
    pub(crate) fn probe_quizzes(&mut self) {
        let absent = |world: &World| world.shards.iter().map(|shard| shard.counters.dropped_absent.read()).sum::<u64>();
        let before = absent(self);
        for quiz in self.model.quizzes.all.clone() {
            let running = self.model.quizzes.told.running(quiz.id).next().map(|own| own.started.attempt);
            let ask = match running {
                Some(attempt) => {
                    self.quiz.made_ids += 1;
                    let label = format!("F{}", self.quiz.made_ids);
                    let flag = Flag { label, detail: None, question: None, occurred_at: self.now.wall };
                    Ask::Flag { quiz: quiz.id, attempt, flags: vec![flag] }
                }
                None => self.start(quiz.id),
            };
            let shard = self.dice.below(self.shards.len());
            let number = self.feed(shard).ask_quiz(ask.clone());
            self.quiz_asks.push(QuizAsk { shard, number, ask });
        }
        self.calm();
        assert_eq!(absent(self), before, "homes count listeners who are not there");
        self.pass_quietly(Duration::from_secs(1));
    }

    /// Every attempt is ended by its owner.
    pub(crate) fn force_all(&mut self) {
        for quiz in self.model.quizzes.all.clone() {
            let ask = Ask::Force { quiz: quiz.id, owner: quiz.owner.as_str().into(), event: None };
            let shard = self.dice.below(self.shards.len());
            let number = self.feed(shard).ask_quiz(ask.clone());
            self.quiz_asks.push(QuizAsk { shard, number, ask });
        }
    }
}

fn brief(reply: &Reply) -> String {
    match reply {
        Reply::Started(_) => "started".into(),
        Reply::Looked(_) => "a view".into(),
        Reply::Edited(_) => "edited".into(),
        other => format!("{other:?}"),
    }
}
