//! A user's connection for REST: one request under way, the others wait for it.

use super::{
    Office, Whose,
    contract::{self, Made},
};
use crate::{
    clock,
    fault::Fault,
    tally::{Measure, When},
    wire::{
        http::{Answer, response},
        line::Line,
        poll::Lines,
    },
};
use serde::de::IgnoredAny;
use std::{collections::VecDeque, io::Write};
use uuid::Uuid;

/// A server ends a connection that has been idle for a minute: one that has been idle for so long is not used again.
const STALE_NS: u64 = 45_000_000_000;
/// The rows of a list that is looked at.
const LOOKED_AT: usize = 20;

/// See the file.
#[derive(Default)]
pub(super) struct Clerk {
    pub(super) line: Line,
    asked: Option<Errand>,
    waiting: VecDeque<Errand>,
    idle_since_ns: u64,
    /// How many tasks the user has heard of.
    pub(super) told: u32,
    /// One of them.
    pub(super) known: Option<Uuid>,
}

/// A request.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Errand {
    pub(super) what: What,
    pub(super) intended_ns: u64,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// A new task: ask number so many of the run.
    Task(u64),
    /// A new execution, of which the socket in this place is to hear.
    Execution(u64, u32),
    /// The newest tasks.
    List,
    /// One task.
    Look(Uuid),
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::Task(_) => "execute",
            What::Execution(..) => "execution",
            What::List => "list",
            What::Look(_) => "read",
        }
    }

    fn when(self) -> When {
        match self {
            What::Task(_) | What::Execution(..) => When::Asking,
            What::List | What::Look(_) => When::Looking,
        }
    }
}

impl Clerk {
    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_none()
    }
}

impl Office {
    /// Begins a request, or lets it wait for the one before.
    pub(super) fn send_clerk(&mut self, user: u32, errand: Errand) {
        if self.clerks[user as usize].asked.is_some() {
            self.tally.tasks.held_back += 1;
            self.clerks[user as usize].waiting.push_back(errand);
            return;
        }
        self.tally.record(Measure::Lag, clock::now_ns().saturating_sub(errand.intended_ns));
        self.begin_errand(user, errand);
        self.next_errand(user);
    }

    fn begin_errand(&mut self, user: u32, errand: Errand) {
        let clerk = &mut self.clerks[user as usize];
        clerk.asked = Some(errand);
        if clerk.line.socket.is_some() && clock::now_ns().saturating_sub(clerk.idle_since_ns) > STALE_NS {
            clerk.line.drop_socket();
        }
        let stands = clerk.line.socket.is_some();
        self.await_next(Whose::Clerk(user), errand.what.name());
        let begun = if stands { self.send_request(user) } else { self.dial(Whose::Clerk(user)) };
        if let Err(fault) = begun {
            self.drop_errand(user, &fault);
        }
    }

    /// The connection stands: sends what is asked.
    pub(super) fn send_request(&mut self, user: u32) -> Result<(), Fault> {
        let clerk = &self.clerks[user as usize];
        let Some(Errand { what, .. }) = clerk.asked else { return Ok(()) };
        let order = &self.order;
        let name = |number| contract::name(order.run, number);
        let (request, body) = match what {
            What::Task(number) => (
                format!("POST {}/agents/{}/execute", self.rest_path, order.agent),
                contract::execute_body(order.model.as_deref(), &contract::named(&order.task, &name(number))),
            ),
            What::Execution(number, _) => (
                format!("POST {}/orchestration/executions", self.rest_path),
                contract::execution_body(order.course.as_ref().map_or("", |course| &course.workflow), &name(number)),
            ),
            What::List => (format!("GET {}/tasks?limit={LOOKED_AT}", self.rest_path), String::new()),
            What::Look(task) => (format!("GET {}/tasks/{task}", self.rest_path), String::new()),
        };
        let (host, token, length) = (&order.target.host, &order.users[user as usize].0, body.len());
        self.request.clear();
        let written = write!(
            self.request,
            "{request} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        debug_assert!(written.is_ok());
        self.clerks[user as usize].line.send(&self.request)
    }

    /// Bytes of an answer have come.
    pub(super) fn hear_answer(&mut self, user: u32, bytes: &[u8], now_ns: u64) -> Result<(), Fault> {
        match response(bytes)? {
            Answer::Incomplete => self.clerks[user as usize].line.rest.extend_from_slice(bytes),
            Answer::Whole(_, end) if end != bytes.len() => return Err(Fault::Broken("an answer to no question")),
            Answer::Whole((status, body), _) => {
                let clerk = &mut self.clerks[user as usize];
                clerk.idle_since_ns = now_ns;
                let errand = clerk.asked.take().ok_or(Fault::Broken("an answer to no question"))?;
                clerk.line.rest_assured();
                if let Err(fault) = self.answered(errand, status, body, now_ns) {
                    self.undone(errand.what, &fault);
                }
                self.next_errand(user);
            }
        }
        Ok(())
    }

    fn answered(&mut self, errand: Errand, status: u16, body: &[u8], now_ns: u64) -> Result<(), Fault> {
        const UNREADABLE: Fault = Fault::Broken("an answer that is not understood");
        if status != 200 {
            return Err(Fault::Http(status));
        }
        let took_ns = now_ns.saturating_sub(errand.intended_ns);
        match errand.what {
            What::Task(_) => drop(serde_json::from_slice::<Made>(body).map_err(|_| UNREADABLE)?),
            What::Execution(_, socket) => {
                let Made { id } = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
                self.execution_made(socket, id);
            }
            What::List => {
                let rows: Vec<IgnoredAny> = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
                self.tally.tasks.untrue += u64::from(rows.len() > LOOKED_AT);
                self.tally.tasks.looks_answered += 1;
                self.tally.record(Measure::List, took_ns);
            }
            What::Look(task) => {
                let Made { id } = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
                self.tally.tasks.untrue += u64::from(id != task);
                self.tally.tasks.looks_answered += 1;
                self.tally.record(Measure::Look, took_ns);
            }
        }
        Ok(())
    }

    fn undone(&mut self, what: What, fault: &Fault) {
        self.blame(what.when(), fault);
        if matches!(what, What::Task(_) | What::Execution(..)) {
            self.refused();
        }
    }

    /// What waits, where nothing is under way.
    fn next_errand(&mut self, user: u32) {
        while self.clerks[user as usize].is_idle()
            && let Some(errand) = self.clerks[user as usize].waiting.pop_front()
        {
            self.begin_errand(user, errand);
        }
    }

    /// The connection is over: what was under way on it has failed.
    pub(super) fn line_over(&mut self, user: u32, fault: &Fault) {
        self.drop_errand(user, fault);
        self.next_errand(user);
    }

    fn drop_errand(&mut self, user: u32, fault: &Fault) {
        let clerk = &mut self.clerks[user as usize];
        clerk.line.drop_socket();
        // A kept connection that ends between two requests has failed nothing.
        if let Some(errand) = clerk.asked.take() {
            self.undone(errand.what, fault);
        }
    }
}
