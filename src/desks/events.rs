//! What becomes of desks when their processes begin and end.

use super::{
    Desks, Effect, Fault, Seat,
    desk::{Stage, Task},
    speech::{self, Outcome},
};
use crate::protocols::labs::SessionId;
use std::mem;

impl Desks {
    /// How every session stands that runs, or died. Of one that sleeps there is nothing to say: no process is lost with it.
    pub(super) fn report(&self, out: &mut Vec<Effect>) {
        for (session, desk) in &self.desks {
            let how = match &desk.stage {
                Stage::Running { seat, .. } => Ok(seat),
                Stage::Dead(fault) => Err(fault),
                Stage::Starting { .. } | Stage::Stopping { .. } | Stage::Asleep => continue,
            };
            out.push(Effect::Say(speech::status(&self.rules.host, *session, how)));
        }
    }

    pub(super) fn ran(&mut self, session: SessionId, run: u64, seat: Seat, out: &mut Vec<Effect>) {
        let Some(desk) = self.desks.get_mut(&session) else { return };
        if !matches!(desk.stage, Stage::Starting { run: awaited, .. } if awaited == run) {
            return;
        }
        let started = mem::replace(&mut desk.stage, Stage::Running { run, seat: seat.clone() });
        if let Stage::Starting { order, .. } = started {
            self.answer_command(&order.command, session, Outcome::Runs(&seat), out);
        }
        self.next(session, out);
    }

    pub(super) fn ended(&mut self, session: SessionId, run: u64, fault: Fault, out: &mut Vec<Effect>) {
        let Some(desk) = self.desks.get_mut(&session) else { return };
        if desk.stage.run() != Some(run) {
            return;
        }
        // A session that did not wake sleeps on.
        let is_waking = matches!(&desk.stage, Stage::Starting { order, .. } if order.task == Task::Wake);
        let becomes = if is_waking { Stage::Asleep } else { Stage::Dead(fault.clone()) };
        match mem::replace(&mut desk.stage, becomes) {
            Stage::Starting { order, .. } => self.answer_command(&order.command, session, Outcome::Failed(&fault), out),
            Stage::Running { .. } => {
                out.extend([Effect::Keep, Effect::Say(speech::status(&self.rules.host, session, Err(&fault)))]);
            }
            Stage::Stopping { .. } | Stage::Asleep | Stage::Dead(_) => {}
        }
        self.next(session, out);
    }

    pub(super) fn quiet(&mut self, session: SessionId, out: &mut Vec<Effect>) {
        let Some(desk) = self.desks.get_mut(&session) else { return };
        let Stage::Stopping { order } = &desk.stage else { return };
        let order = order.clone();
        if order.task != Task::Stop {
            desk.stage = Stage::Asleep;
            self.answer_command(&order.command, session, Outcome::Done, out);
            return self.next(session, out);
        }
        let Some(desk) = self.desks.remove(&session) else { return };
        out.push(Effect::Clear { session, wanted: Box::new(desk.wanted) });
        self.answer_command(&order.command, session, Outcome::Done, out);
        desk.waiting.into_iter().for_each(|order| self.act(order, out));
    }

    /// What waited for this desk is looked at anew.
    fn next(&mut self, session: SessionId, out: &mut Vec<Effect>) {
        let waiting = self.desks.get_mut(&session).map(|desk| mem::take(&mut desk.waiting));
        waiting.into_iter().flatten().for_each(|order| self.act(order, out));
    }
}
