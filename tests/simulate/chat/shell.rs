//! The shell of chat: letters on their way, with what is planted there, and turns.

use super::{faults::Fault, people::Author, world::Chat};
use crate::{faults::double, nodes::nothing_left};
use homeroom::{
    engine::{Letter, Question, Topic},
    protocols::chat::{Ask, FromSession, ToSession},
};
use std::time::Duration;

impl Chat {
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
        if let Some(letter @ Letter::ChatReply { .. }) = self.stage.mesh[pair].front() {
            let Letter::ChatReply { number, .. } = letter else { return false };
            assert!(self.answered.insert((to, *number)), "{number} of {to} is answered twice");
        }
        self.stage.deliver(from, to, |_| {})
    }

    fn send_letter(&mut self, from: usize, to: usize, letter: Letter) {
        let Some(letter) = self.spoil_piece(letter) else { return };
        let is_frame = matches!(&letter, Letter::Publish { topic: Topic::Session(..), .. });
        let is_message = matches!(&letter, Letter::ChatHome(ToSession::Say { .. }));
        let queue = from * self.stage.shards.len() + to;
        match &letter {
            Letter::ChatHome(ToSession::Part { .. }) if self.strikes(Fault::LostPart, 30) => return,
            Letter::ChatHome(ToSession::Cancel { .. }) if self.strikes(Fault::LostCancel, 30) => return,
            Letter::ChatHome(ToSession::Ask { ask, .. })
                if matches!(**ask, Ask::Leave { .. }) && self.strikes(Fault::LostLeave, 50) =>
            {
                return;
            }
            Letter::ChatHome(ToSession::Held { .. }) if self.strikes(Fault::LostHold, 60) => return,
            Letter::ChatConnection(_, FromSession::Moved { .. }) if self.strikes(Fault::LostMove, 30) => return,
            Letter::ChatMark { .. } if self.strikes(Fault::LostMark, 60) => return,
            Letter::Publish { .. } if self.strikes(Fault::LostFrame, 5) => return,
            Letter::Publish { .. } if is_frame && self.strikes(Fault::DoubledFrame, 5) => {
                self.stage.mesh[queue].push_back(double(&letter));
            }
            Letter::Publish { .. } if is_frame && self.strikes(Fault::SwappedFrames, 30) => {
                return self.put_before(queue, letter, |other| matches!(other, Letter::Publish { .. }));
            }
            Letter::ChatHome(_) if is_message && self.strikes(Fault::SwappedMessages, 60) => {
                return self.put_before(queue, letter, |other| matches!(other, Letter::ChatHome(ToSession::Say { .. })));
            }
            _ => {}
        }
        let letter = self.turn_over(letter);
        let to = match &letter {
            Letter::ChatCount { .. } if self.strikes(Fault::StrayCount, 30) => self.stage.dice.below(self.stage.shards.len()),
            _ => to,
        };
        let times = self.times(&letter);
        for _ in 1..times {
            self.stage.put(from, to, double(&letter));
        }
        if times > 0 {
            self.stage.put(from, to, letter);
        }
    }

    /// Puts a letter before the last one of its kind.
    fn put_before(&mut self, queue: usize, letter: Letter, is_alike: impl Fn(&Letter) -> bool) {
        let queue = &mut self.stage.mesh[queue];
        let at = queue.iter().rposition(is_alike).unwrap_or(queue.len());
        queue.insert(at, letter);
    }

    /// What a faulty transport makes of a letter's words.
    fn turn_over(&mut self, letter: Letter) -> Letter {
        match letter {
            Letter::Publish { topic: topic @ Topic::Session(own, home), frame, members, since }
                if self.strikes(Fault::CrossedFrame, 10) =>
            {
                let other = self.ears.values().map(|ear| ear.session).find(|other| *other != own);
                let topic = other.map_or(topic, |other| Topic::Session(other, home));
                Letter::Publish { topic, frame, members, since }
            }
            Letter::ChatHome(ToSession::Ask { asker, number, ask }) => {
                let ask = match *ask {
                    Ask::Decide { session, caller, approval, yes: false, reason, comment }
                        if self.strikes(Fault::TurnedDecision, 30) =>
                    {
                        Ask::Decide { session, caller, approval, yes: true, reason, comment }
                    }
                    ask => ask,
                };
                Letter::ChatHome(ToSession::Ask { asker, number, ask: Box::new(ask) })
            }
            letter => letter,
        }
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
        self.poll_followers();
    }

    fn asked(&mut self, shard: usize, question: Question) {
        match question {
            Question::KeepChat { ticket, change } => self.keep(shard, ticket, *change),
            Question::LoadSession(load) => self.load(shard, load),
            Question::Model { run, prompt } => self.model_asked(shard, run, &prompt),
            Question::Tool { run, tool, arguments } => self.tool_called(shard, run, &tool, &arguments),
            Question::StopRun { run } => self.run_stopped(shard, run),
            Question::LoadLabs | Question::LoadRights { .. } => self.load_labs(shard, &question),
            other => {
                let answer = nothing_left(&other).unwrap_or_else(|| panic!("{other:?} is asked in chat"));
                let now = self.stage.now;
                self.stage.feed(shard).answer(answer, now);
            }
        }
    }

    pub(crate) fn finish_a_send(&mut self) {
        self.stage.finish_some_send();
    }

    pub(crate) fn release(&mut self) {
        let over = self.stage.release();
        self.forget(&over);
    }

    /// Moves both clocks; shards that have something due are turned.
    pub(crate) fn pass(&mut self, time: Duration) {
        // Nobody waits for a view while nothing else is under way.
        while self.stage.view_comes(false) {}
        (0..self.stage.shards.len()).for_each(|shard| self.turn(shard));
        self.check_silence();
        self.stage.advance(time);
        for shard in 0..self.stage.shards.len() {
            let is_still = shard == 0 && self.fault == Some(Fault::StoppedClock);
            if !is_still && self.stage.tick(shard) {
                self.turn(shard);
            }
        }
        self.check_patience();
    }

    /// Whose words these are.
    pub(crate) fn author(&self, content: &str) -> Option<Author> {
        self.authors.get(content).copied()
    }
}
