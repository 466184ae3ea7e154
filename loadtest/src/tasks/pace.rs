//! When users ask, cancel and look.

use super::{
    BEGINS_PER_TURN, Office, Whose,
    clerk::{Clerk, Errand, What},
    contract,
    plan::Way,
    socket::Phase,
};
use crate::{
    clock,
    fault::Fault,
    tally::{Measure, When},
    wire::poll::Lines,
};
use std::collections::VecDeque;
use uuid::Uuid;

/// What a stage of asking has before it.
#[derive(Default)]
pub(super) struct Schedule {
    from_ns: u64,
    /// The next ask and the next look of the run.
    ask: u64,
    look: u64,
    /// Of this worker's asks, those that were sent, and those that came to an end, refused ones too.
    begun: u64,
    pub(super) ended: u64,
    /// All cancellations come so long after their pending, so the queue is in order.
    cancels: VecDeque<(u64, u32, Uuid)>,
    /// When what has not ended by then never will.
    over_ns: u64,
}

impl Schedule {
    /// When an ask of the run was meant to be sent.
    pub(super) fn due_ns(&self, after_ns: u64) -> u64 {
        self.from_ns.saturating_add(after_ns)
    }
}

impl Office {
    /// Asking begins at `from_ns`.
    pub(super) fn open_schedule(&mut self, from_ns: u64) {
        let last_ns = self.order.plan.due_ns(self.order.plan.asks);
        let over_ns = from_ns.saturating_add(last_ns).saturating_add(clock::nanos(self.order.timeout));
        self.schedule = Schedule { from_ns, over_ns, ..Schedule::default() };
        self.tally.working.hold(from_ns);
    }

    /// Whether everything was asked, and is over.
    pub(super) fn is_all_done(&self) -> bool {
        let (schedule, plan) = (&self.schedule, &self.order.plan);
        let all_begun = schedule.ask == plan.asks && schedule.look == plan.looks && schedule.cancels.is_empty();
        let all_ended = schedule.ended >= schedule.begun && self.cancels.is_empty();
        all_begun && self.clerks.iter().all(Clerk::is_idle) && (all_ended || clock::now_ns() >= schedule.over_ns)
    }

    /// Begins what is due; returns when the next thing is.
    pub(super) fn begin_asks(&mut self) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            let next_ns = self.next_ask().min(self.next_look()).min(self.next_cancel());
            if next_ns > clock::now_ns() {
                return next_ns;
            }
        }
        0
    }

    /// Each of these does one thing that is due, or says when something is.
    fn next_ask(&mut self) -> u64 {
        let plan = self.order.plan;
        while self.schedule.ask < plan.asks && self.order.own(plan.user(self.schedule.ask)).is_none() {
            self.schedule.ask += 1;
        }
        let number = self.schedule.ask;
        if number == plan.asks {
            return self.give_up();
        }
        let (due_ns, now_ns) = (self.schedule.due_ns(plan.due_ns(number)), clock::now_ns());
        if now_ns < due_ns {
            return due_ns;
        }
        self.schedule.ask += 1;
        if let Some(user) = self.order.own(plan.user(number)) {
            self.ask(user, number, due_ns);
        }
        0
    }

    fn ask(&mut self, user: u32, number: u64, due_ns: u64) {
        self.schedule.begun += 1;
        let tasks = &mut self.tally.tasks;
        match self.order.plan.way(number) {
            Way::Socket(socket) => {
                tasks.asked_by_socket += 1;
                self.tally.record(Measure::Lag, clock::now_ns().saturating_sub(due_ns));
                let order = &self.order;
                let task = contract::named(&order.task, &contract::name(order.run, number));
                let text = contract::execute(&order.agent, order.model.as_deref(), &task);
                let place = self.socket_of(user, socket);
                if !self.say_if_open(place, &text) {
                    self.refused();
                }
            }
            Way::Rest => {
                tasks.asked_by_rest += 1;
                self.send_clerk(user, Errand { what: What::Task(number), intended_ns: due_ns });
            }
            Way::Execution(socket) => {
                tasks.executions_asked += 1;
                let what = What::Execution(number, self.socket_of(user, socket));
                self.send_clerk(user, Errand { what, intended_ns: due_ns });
            }
        }
    }

    /// What has not ended in time is left; returns when that is.
    fn give_up(&mut self) -> u64 {
        let schedule = &mut self.schedule;
        if schedule.ended >= schedule.begun && self.cancels.is_empty() {
            return u64::MAX;
        }
        let over_ns = schedule.over_ns;
        if clock::now_ns() < over_ns {
            return over_ns;
        }
        for _ in schedule.ended..schedule.begun {
            self.blame(When::Working, &Fault::Timeout("end"));
        }
        self.schedule.ended = self.schedule.ended.max(self.schedule.begun);
        self.cancels.clear();
        u64::MAX
    }

    fn next_look(&mut self) -> u64 {
        let plan = self.order.plan;
        let number = self.schedule.look;
        if number == plan.looks {
            return u64::MAX;
        }
        let (due_ns, now_ns) = (self.schedule.due_ns(plan.look_due_ns(number)), clock::now_ns());
        if now_ns < due_ns {
            return due_ns;
        }
        self.schedule.look += 1;
        if let Some(user) = self.order.own(plan.user(number)) {
            self.tally.tasks.looks_asked += 1;
            let known = self.clerks[user as usize].known.filter(|_| number / u64::from(plan.users) % 2 == 1);
            let what = known.map_or(What::List, What::Look);
            self.send_clerk(user, Errand { what, intended_ns: due_ns });
        }
        0
    }

    /// A task is to be cancelled, a while from now.
    pub(super) fn plan_cancel(&mut self, place: u32, task: Uuid, now_ns: u64) {
        let due_ns = now_ns.saturating_add(clock::nanos(self.order.cancel_after));
        self.cancels.insert(task, (due_ns, false));
        self.schedule.cancels.push_back((due_ns, place, task));
    }

    fn next_cancel(&mut self) -> u64 {
        let Some((due_ns, place, task)) = self.schedule.cancels.front().copied() else { return u64::MAX };
        if clock::now_ns() < due_ns {
            return due_ns;
        }
        self.schedule.cancels.pop_front();
        self.cancels.insert(task, (due_ns, true));
        self.tally.tasks.cancels_sent += 1;
        if !self.say_if_open(place, &contract::cancel(task)) {
            self.cancels.remove(&task);
        }
        0
    }

    /// Whether it could be said.
    fn say_if_open(&mut self, place: u32, text: &str) -> bool {
        if self.sockets[place as usize].phase != Phase::Open {
            return false;
        }
        let said = self.say(place, text);
        let is_said = said.is_ok();
        if let Err(fault) = said {
            self.over(Whose::Socket(place), fault);
        }
        is_said
    }
}
