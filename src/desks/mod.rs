//! What an agent on a bare host decides: which session is started, slept, woken and stopped, what was done already, what is told after a
//! return, and when the control plane is called again. Starting processes and moving bytes is the shell's ([`agent`](../agent)).
//!
//! A *desk* is a session at this host: its orders, and how far it is. Each start of its processes is a *run*, numbered, so that late news
//! of an earlier one has no effect.

pub mod desk;
mod done;
mod events;
pub mod link;
pub mod orders;
pub mod plan;
pub mod quantities;
pub mod record;
pub mod speech;
pub mod waits;

pub use desk::{Process, Screen, Seat};
pub use orders::{Order, Said, Wanted};
pub use plan::{Plan, Template};

use crate::protocols::labs::SessionId;
use desk::{Desk, Stage};
use done::Done;
use orders::Action;
use speech::{Host, Outcome};
use std::{collections::BTreeMap, time::Duration};

/// Commands that may wait at one desk; the control plane has one open at a time.
const WAITING_COMMANDS: usize = 8;

/// What desks are told.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The control plane has registered us: it is told how everything stands.
    Registered,
    /// The control plane orders something.
    Ordered(Order),
    /// The control plane asked for a screen that is not here.
    Missed(SessionId),
    /// A run shows its screen.
    Ran {
        /// Which desk.
        session: SessionId,
        /// Which run of it.
        run: u64,
        /// Where.
        seat: Seat,
    },
    /// A run ended by itself, before or after it showed a screen. None of its processes is left.
    Ended {
        /// Which desk.
        session: SessionId,
        /// Which run of it.
        run: u64,
        /// Why.
        fault: Fault,
    },
    /// What [`Effect::Stop`] asked for is done.
    Quiet {
        /// Which desk.
        session: SessionId,
    },
}

/// What the shell does.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Say this to the control plane, if it is there. Nothing of it is owed later: it is said again after the next registration.
    Say(String),
    /// Start processes.
    Start {
        /// For which desk.
        session: SessionId,
        /// The number of this run.
        run: u64,
        /// What is wanted.
        wanted: Box<Wanted>,
    },
    /// They ran before the agent did: watch them.
    Watch {
        /// For which desk.
        session: SessionId,
        /// The number of this run.
        run: u64,
        /// What is wanted.
        wanted: Box<Wanted>,
        /// What runs.
        seat: Seat,
    },
    /// End all processes of this desk, also of a start under way; then [`Event::Quiet`].
    Stop {
        /// Which desk.
        session: SessionId,
        /// How long they may take before they are killed.
        grace: Duration,
    },
    /// The session is over: its folder goes.
    Clear {
        /// Which.
        session: SessionId,
        /// What was wanted, which says whose home it had.
        wanted: Box<Wanted>,
    },
    /// Write down [`Desks::record`].
    Keep,
}

/// Why something was not done. The texts are for people, the codes for programs.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// Such as `SESSION_NOT_FOUND`.
    pub code: String,
    /// A sentence.
    pub error: String,
}

impl Fault {
    /// A fault.
    pub fn new(code: &str, error: impl Into<String>) -> Fault {
        Fault { code: code.to_owned(), error: error.into() }
    }

    fn unknown() -> Fault {
        Fault::new("SESSION_NOT_FOUND", "This host has no such session")
    }
}

/// What the desks go by.
#[derive(Clone, PartialEq, Debug)]
pub struct Rules {
    /// What the agent calls itself, and where it is.
    pub host: Host,
    /// Sessions that may run at a time.
    pub max_sessions: u32,
    /// How long the processes of a session that sleeps, or is stopped without a word on it, may take to end.
    pub stop_timeout: Duration,
}

/// Every desk of this host. See the file.
#[derive(Debug)]
pub struct Desks {
    rules: Rules,
    desks: BTreeMap<SessionId, Desk>,
    done: Done,
    runs: u64,
}

impl Desks {
    /// A host without sessions.
    pub fn new(rules: Rules) -> Desks {
        Desks { rules, desks: BTreeMap::new(), done: Done::default(), runs: 0 }
    }

    /// Where the host can be reached, once that is known.
    pub fn set_address(&mut self, address: Option<String>) {
        self.rules.host.address = address;
    }

    /// The agent's own name and place.
    pub fn host(&self) -> &Host {
        &self.rules.host
    }

    /// Sessions that run or are on their way to it.
    pub fn running(&self) -> u32 {
        self.desks.values().filter(|desk| desk.takes_place()).count() as u32
    }

    /// Where a session's screen is; none: it shows none.
    pub fn screen(&self, session: SessionId) -> Option<&Screen> {
        match &self.desks.get(&session)?.stage {
            Stage::Running { seat, .. } => Some(&seat.screen),
            Stage::Starting { .. } | Stage::Stopping { .. } | Stage::Asleep | Stage::Dead(_) => None,
        }
    }

    /// Every session that has a desk.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.desks.keys().copied()
    }

    /// Takes what happened, and says what is to be done about it.
    pub fn handle(&mut self, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Registered => self.report(out),
            Event::Ordered(order) => self.ordered(order, out),
            Event::Missed(session) if !self.desks.contains_key(&session) => self.say_lost(session, out),
            Event::Missed(_) => {}
            Event::Ran { session, run, seat } => self.ran(session, run, seat, out),
            Event::Ended { session, run, fault } => self.ended(session, run, fault, out),
            Event::Quiet { session } => self.quiet(session, out),
        }
    }

    fn ordered(&mut self, order: Order, out: &mut Vec<Effect>) {
        out.push(Effect::Say(speech::acknowledged(&self.rules.host, &order.command)));
        if let Some(said) = self.done.said(&order.command) {
            return out.push(Effect::Say(said.to_owned()));
        }
        let is_here = self.desks.get(&order.session).is_some_and(|desk| desk.knows(&order.command));
        if !is_here {
            self.act(order, out);
        }
    }

    /// What a command means as its desk is now.
    fn act(&mut self, order: Order, out: &mut Vec<Effect>) {
        let Some(desk) = self.desks.get_mut(&order.session) else { return self.act_without_desk(order, out) };
        match (&desk.stage, &order.action) {
            (Stage::Starting { .. } | Stage::Running { .. }, Action::Stop { .. }) => self.stop(order, out),
            (Stage::Asleep | Stage::Dead(_), Action::Stop { .. }) => self.stop(order, out),
            (Stage::Running { .. }, Action::Hibernate) => self.stop(order, out),
            (Stage::Running { seat, .. }, Action::Start(_) | Action::Wake) => {
                let seat = seat.clone();
                self.answer(&order, Outcome::Runs(&seat), out);
            }
            (Stage::Asleep, Action::Hibernate) => self.answer(&order, Outcome::Done, out),
            (Stage::Dead(fault), Action::Hibernate) => {
                let fault = fault.clone();
                self.answer(&order, Outcome::Failed(&fault), out);
            }
            (Stage::Asleep | Stage::Dead(_), Action::Start(_) | Action::Wake) => self.begin(order, out),
            (Stage::Starting { .. }, Action::Start(_) | Action::Wake | Action::Hibernate) | (Stage::Stopping { .. }, _) => {
                if desk.waiting.len() < WAITING_COMMANDS {
                    return desk.waiting.push_back(order);
                }
                self.answer(&order, Outcome::Failed(&Fault::new("BUSY", "Too many commands wait for this session")), out);
            }
        }
    }

    fn act_without_desk(&mut self, order: Order, out: &mut Vec<Effect>) {
        match &order.action {
            Action::Start(wanted) => {
                let wanted = (**wanted).clone();
                self.desks.insert(order.session, Desk::new(wanted));
                self.begin(order, out);
            }
            // What is not there need not be stopped.
            Action::Stop { .. } => self.answer(&order, Outcome::Done, out),
            Action::Hibernate | Action::Wake => {
                self.answer(&order, Outcome::Failed(&Fault::unknown()), out);
                self.say_lost(order.session, out);
            }
        }
    }

    fn begin(&mut self, order: Order, out: &mut Vec<Effect>) {
        let is_full = self.running() >= self.rules.max_sessions;
        let Some(desk) = self.desks.get_mut(&order.session) else { return };
        if let Action::Start(wanted) = &order.action {
            desk.wanted = (**wanted).clone();
        }
        if is_full {
            let fault = Fault::new("AGENT_CAPACITY_EXCEEDED", "This host runs as many sessions as it may");
            if matches!(order.action, Action::Start(_)) {
                desk.stage = Stage::Dead(fault.clone());
            }
            return self.answer(&order, Outcome::Failed(&fault), out);
        }
        self.runs += 1;
        let wanted = Box::new(desk.wanted.clone());
        out.push(Effect::Start { session: order.session, run: self.runs, wanted });
        desk.stage = Stage::Starting { run: self.runs, order: order.into() };
        out.push(Effect::Keep);
    }

    /// Ends the processes of a session that is to sleep or to be over.
    fn stop(&mut self, order: Order, out: &mut Vec<Effect>) {
        let Some(desk) = self.desks.get_mut(&order.session) else { return };
        let grace = match order.action {
            Action::Stop { grace } => grace.unwrap_or(self.rules.stop_timeout),
            Action::Start(_) | Action::Wake | Action::Hibernate => self.rules.stop_timeout,
        };
        let session = order.session;
        let stopped = std::mem::replace(&mut desk.stage, Stage::Stopping { order: order.into() });
        if let Stage::Starting { order, .. } = stopped {
            let fault = Fault::new("SUPERSEDED", "The session was stopped while it started");
            self.answer_command(&order.command, session, Outcome::Failed(&fault), out);
        }
        out.extend([Effect::Stop { session, grace }, Effect::Keep]);
    }

    /// Says how a command ended, now and whenever it comes again.
    fn answer(&mut self, order: &Order, outcome: Outcome<'_>, out: &mut Vec<Effect>) {
        self.answer_command(&order.command, order.session, outcome, out);
    }

    fn answer_command(&mut self, command: &str, session: SessionId, outcome: Outcome<'_>, out: &mut Vec<Effect>) {
        let said = speech::result(&self.rules.host, command, session, outcome);
        self.done.add(command.to_owned(), said.clone());
        out.extend([Effect::Keep, Effect::Say(said)]);
    }

    fn say_lost(&self, session: SessionId, out: &mut Vec<Effect>) {
        out.push(Effect::Say(speech::status(&self.rules.host, session, Err(&Fault::unknown()))));
    }
}

#[cfg(test)]
mod tests;
