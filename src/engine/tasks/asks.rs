//! REST asks of tasks.

use super::super::{Engine, Letter};
use crate::protocols::tasks::{Ask, Home, Reply, ToExecution, ToTask};
use std::task::{Poll, Waker};

impl Engine {
    /// Sends a question to the home of the task or execution that it names. The answer is waited for with [`Engine::poll_tasks_reply`]
    /// until then or [`Engine::forget_tasks_ask`]. One that nobody waits for any more is done all the same.
    pub fn ask_tasks(&mut self, ask: Ask) -> u64 {
        let (asker, number) = (self.id, self.tasks.asks.open());
        self.tasks_ask_goes(number, &ask);
        match ask.home() {
            Home::Task(_) => self.post_to_task(ToTask::Ask { asker, number, ask: Box::new(ask) }),
            Home::Execution(_) => self.post_to_execution(ToExecution::Ask { asker, number, ask: Box::new(ask) }),
        }
        number
    }

    /// The answer, once.
    pub fn poll_tasks_reply(&mut self, number: u64, waker: &Waker) -> Poll<Reply> {
        self.tasks.asks.poll(number, waker)
    }

    /// Nobody waits for this answer any more.
    pub fn forget_tasks_ask(&mut self, number: u64) {
        self.tasks.asks.forget(number);
    }

    /// The home answers.
    pub(in crate::engine) fn tasks_reply(&mut self, number: u64, reply: Reply) {
        self.tasks.asks.resolve(number, reply);
    }

    pub(super) fn post_to_task(&mut self, letter: ToTask) {
        self.post(self.way_from_here(Home::Task(letter.place())), Letter::TaskHome(letter));
    }

    pub(super) fn post_to_execution(&mut self, letter: ToExecution) {
        self.post(self.way_from_here(Home::Execution(letter.place())), Letter::ExecutionHome(letter));
    }
}
