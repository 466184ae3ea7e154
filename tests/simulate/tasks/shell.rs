//! The shell of tasks: letters on their way, with what is planted there, and turns.

use super::{faults::Fault, people::name, world::Tasks};
use homeroom::{
    engine::{Letter, Question},
    protocols::tasks::{FromHome, ToTask, ToUser},
};
use std::time::Duration;

impl Tasks {
    /// Whether a fault that is planted here strikes.
    pub(crate) fn strikes(&mut self, fault: Fault, percent: usize) -> bool {
        self.fault == Some(fault) && self.stage.dice.percent(percent)
    }

    pub(crate) fn deliver_some(&mut self) {
        for _ in 0..self.stage.dice.between(1, 6) {
            let shards = self.stage.shards.len();
            let (from, to) = (self.stage.dice.below(shards), self.stage.dice.below(shards));
            self.deliver(from, to);
        }
    }

    /// A letter arrives. Whether there was one.
    pub(crate) fn deliver(&mut self, from: usize, to: usize) -> bool {
        let pair = from * self.stage.shards.len() + to;
        if let Some(Letter::TasksReply { number, .. }) = self.stage.mesh[pair].front() {
            assert!(self.answered.insert((to, *number)), "{number} of {to} is answered twice");
        }
        self.stage.deliver(from, to, |_| {})
    }

    fn send_letter(&mut self, from: usize, to: usize, letter: Letter) {
        let queue = from * self.stage.shards.len() + to;
        let letter = match letter {
            Letter::TasksNews { .. } if self.strikes(Fault::LostNews, 5) => return,
            Letter::TasksNews { owner, news } if self.strikes(Fault::DoubledNews, 5) => {
                self.stage.put(from, to, Letter::TasksNews { owner: owner.clone(), news: news.clone() });
                Letter::TasksNews { owner, news }
            }
            letter @ Letter::TasksNews { .. } if self.strikes(Fault::SwappedNews, 30) => {
                let queue = &mut self.stage.mesh[queue];
                let at = queue.iter().rposition(|other| matches!(other, Letter::TasksNews { .. })).unwrap_or(queue.len());
                return queue.insert(at, letter);
            }
            Letter::TasksNews { owner, news } if self.strikes(Fault::ForeignNews, 10) => {
                let other = if *owner == *name(0) { name(1) } else { name(0) };
                Letter::TasksNews { owner: other.into(), news }
            }
            Letter::TasksUser(ToUser::Go { .. }) if self.strikes(Fault::LostGo, 40) => return,
            Letter::TasksConnection(_, FromHome::Counted { .. }) if self.strikes(Fault::LostCount, 20) => return,
            Letter::TaskHome(ToTask::Cancel { .. }) if self.strikes(Fault::LostCancel, 40) => return,
            Letter::TasksTotals(_) if self.strikes(Fault::LostTotals, 30) => return,
            Letter::TasksReply { .. } if self.strikes(Fault::LostReply, 10) => return,
            letter => letter,
        };
        let is_coming = matches!(letter, Letter::TasksUser(ToUser::Come { .. }));
        let to =
            if is_coming && self.strikes(Fault::StrayCome, 30) { self.stage.dice.below(self.stage.shards.len()) } else { to };
        self.stage.put(from, to, letter);
    }

    /// Ends a turn and does what the engine wants done.
    pub(crate) fn turn(&mut self, shard: usize) {
        let turned = self.stage.turn(shard);
        for (conn, frames) in turned.heard {
            self.told(conn, frames);
        }
        for (to, letter) in turned.letters {
            self.send_letter(shard, to, letter);
        }
        for question in turned.questions {
            self.asked(shard, question);
        }
        self.poll_asks();
    }

    fn asked(&mut self, shard: usize, question: Question) {
        match question {
            Question::KeepTasks { ticket, record } => self.keep(shard, ticket, record),
            Question::Model { run, prompt } => self.model_asked(shard, run, &prompt),
            Question::Tool { run, tool, arguments } => self.tool_called(shard, run, &tool, &arguments),
            Question::StopRun { run } => self.run_stopped(shard, run),
            other => self.load(shard, &other),
        }
    }

    pub(crate) fn finish_a_send(&mut self) {
        if let Some((conn, frames)) = self.stage.finish_some_send() {
            self.arrived(conn, &frames);
        }
    }

    pub(crate) fn finish_sends(&mut self) -> bool {
        let waiting = self.stage.in_flight();
        for conn in &waiting {
            let frames = self.stage.finish_send(*conn, true);
            self.arrived(*conn, &frames);
        }
        !waiting.is_empty()
    }

    pub(crate) fn release(&mut self) {
        let over = self.stage.release();
        self.forget(&over);
    }

    /// Moves both clocks; shards that have something due are turned.
    pub(crate) fn pass(&mut self, time: Duration) {
        (0..self.stage.shards.len()).for_each(|shard| self.turn(shard));
        self.stage.advance(time);
        for shard in 0..self.stage.shards.len() {
            let is_still = shard == 0 && self.fault == Some(Fault::StoppedClock);
            if !is_still && self.stage.tick(shard) {
                self.turn(shard);
            }
        }
        self.check_patience();
    }
}
