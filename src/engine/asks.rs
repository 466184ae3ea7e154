//! REST asks that wait for a home's answer.

use super::{Engine, Letter};
use crate::protocols::presence::{
    ToHome,
    asks::{Ask, Reply},
};
use std::{
    collections::HashMap,
    task::{Poll, Waker},
};

#[derive(Default)]
enum Waiting {
    #[default]
    Unpolled,
    Polled(Waker),
    Answered(Reply),
}

/// Those that wait on one shard.
#[derive(Default)]
pub(super) struct Asks {
    last: u64,
    waiting: HashMap<u64, Waiting>,
}

impl Asks {
    /// The answer came. Nobody may wait for it any more.
    pub(super) fn resolve(&mut self, number: u64, reply: Reply) {
        if let Some(waiting) = self.waiting.get_mut(&number)
            && let Waiting::Polled(waker) = std::mem::replace(waiting, Waiting::Answered(reply))
        {
            waker.wake();
        }
    }
}

impl Engine {
    /// Sends a question to the home it concerns. The answer is waited for with [`Engine::poll_reply`] until then or [`Engine::forget_ask`].
    pub fn ask(&mut self, ask: Ask) -> u64 {
        self.asks.last += 1;
        let number = self.asks.last;
        self.asks.waiting.insert(number, Waiting::default());
        let home = self.home_of(ask.classroom());
        self.post(home, Letter::Home(ToHome::Ask { asker: self.id, number, ask: Box::new(ask) }));
        number
    }

    /// The answer, once.
    pub fn poll_reply(&mut self, number: u64, waker: &Waker) -> Poll<Reply> {
        match self.asks.waiting.remove(&number) {
            Some(Waiting::Answered(reply)) => Poll::Ready(reply),
            Some(Waiting::Unpolled | Waiting::Polled(_)) | None => {
                self.asks.waiting.insert(number, Waiting::Polled(waker.clone()));
                Poll::Pending
            }
        }
    }

    /// Nobody waits for this answer any more.
    pub fn forget_ask(&mut self, number: u64) {
        self.asks.waiting.remove(&number);
    }

    /// Sorts classrooms by their homes, for a question about many.
    pub fn by_home<T>(&self, items: Vec<T>, classroom: impl Fn(&T) -> crate::realtime::ClassroomId) -> Vec<Vec<T>> {
        let mut homes: Vec<Vec<T>> = (0..self.ring.shards()).map(|_| Vec::new()).collect();
        for item in items {
            homes[self.home_of(classroom(&item)).index()].push(item);
        }
        homes.retain(|items| !items.is_empty());
        homes
    }
}
