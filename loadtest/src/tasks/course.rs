//! Executions of a workflow: each is heard of by the one socket that asked for it.

use super::{
    Office, Whose,
    contract::{self, Data, Status},
    order::Course as Order,
};
use crate::wire::poll::Lines;
use uuid::Uuid;

/// One execution.
pub(super) struct Course {
    pub(super) id: Uuid,
    /// The place of the socket that hears of it.
    socket: u32,
    /// How far it was told to be.
    pub(super) told: Option<Told>,
    /// When it was told to be over.
    pub(super) ended_ns: Option<u64>,
}

/// How far an execution is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Told {
    /// The step, from 1; 0: none yet.
    step: usize,
    status: Status,
}

impl Office {
    /// An execution was made by REST: one of its user's sockets wants to hear of it.
    pub(super) fn execution_made(&mut self, socket: u32, id: Uuid) {
        self.by_execution.insert(id, self.courses.len() as u32);
        self.courses.push(Course { id, socket, told: None, ended_ns: None });
        if let Err(fault) = self.say(socket, &contract::subscribe_execution(id)) {
            self.over(Whose::Socket(socket), fault);
        }
    }

    /// A message about an execution. The first is its state, whatever that is.
    pub(super) fn hear_step(&mut self, place: u32, data: &Data<'_>, now_ns: u64) {
        let tasks = &mut self.tally.tasks;
        let number = data.execution_id.and_then(|id| self.by_execution.get(&id));
        let place_in = |order: &Order| told(&order.steps, data.current_step_id.as_deref(), data.status?);
        let order = self.order.course.as_ref();
        let (Some(number), Some(order), Some(now)) = (number, order, order.and_then(place_in)) else {
            tasks.untrue += 1;
            return;
        };
        let course = &mut self.courses[*number as usize];
        if course.socket != place {
            tasks.misdirected += 1;
            return;
        }
        let wrong = match course.told {
            Some(before) if before.status.is_over() && now.status.is_over() => &mut tasks.ended_again,
            Some(before) if before.status.is_over() => &mut tasks.late,
            // Of steps that are done side by side the first listed is told, whichever was done.
            Some(before) if before == now && order.is_chain => &mut tasks.doubled,
            Some(before) if now < before && now.status != Status::Failed => &mut tasks.disordered,
            Some(_) | None => {
                course.told = Some(now);
                tasks.steps_heard += 1;
                if now.status.is_over() {
                    course.ended_ns = Some(now_ns);
                    tasks.executions_ended += 1;
                    self.schedule.ended += 1;
                    self.tally.working.hold(now_ns);
                }
                return;
            }
        };
        *wrong += 1;
    }
}

/// How far it is; none: there is no such step.
pub(super) fn told(steps: &[String], current: Option<&str>, status: Status) -> Option<Told> {
    let step = match current {
        Some(current) => steps.iter().position(|step| step == current)? + 1,
        None => 0,
    };
    Some(Told { step, status })
}
