//! What waits for the store's thread: pushed by shards without a lock, taken by one thread that sleeps when there is nothing.

use super::{Health, Ticket};
use crate::protocols::{
    chat, labs,
    presence::record::{Entering, Leaving, StoreFault},
    quiz::record::Record,
    tasks,
};
use crossbeam::queue::SegQueue;
use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering, fence},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// What is answered.
pub(super) enum Question {
    /// A session begins.
    Enter(Entering),
    /// A record of quizzes.
    Keep(Record),
    /// A record of labs.
    KeepLabs(labs::record::Record),
    /// A change of chat.
    KeepChat(Box<chat::record::Change>),
    /// A record of tasks.
    KeepTasks(tasks::record::Record),
}

impl Question {
    /// What people and models have written in it: of the others it is little.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Question::KeepChat(change) => change.messages.iter().map(chat::model::Message::weight).sum(),
            Question::Enter(_) | Question::Keep(_) | Question::KeepLabs(_) | Question::KeepTasks(_) => 0,
        }
    }
}

/// A request, in the order in which it is to be fulfilled.
pub(super) enum Request {
    /// To be answered; the moment is when it was asked.
    Ask(Ticket, Question, Instant),
    /// A session ends.
    Leave(Leaving),
    /// Told when everything before it is on disk.
    Flush(mpsc::Sender<()>),
    /// Done on the store's thread, between batches.
    #[cfg(test)]
    Chore(Chore),
}

/// What a test does to the writer's connection.
#[cfg(test)]
pub(super) type Chore = Box<dyn FnOnce(&rusqlite::Connection) + Send>;

/// Ends the sleep of the thread that takes.
type Wake = Box<dyn Fn() + Send + Sync>;

/// Many push, one takes. Questions are bounded, the rest is bounded by the live sessions.
pub(super) struct Queue {
    requests: SegQueue<Request>,
    questions: u64,
    sleeping: AtomicBool,
    stopping: AtomicBool,
    taker: OnceLock<Wake>,
    pub(super) health: Health,
}

impl Queue {
    /// A queue that holds at most so many questions.
    pub(super) fn new(questions: usize) -> Queue {
        Queue {
            requests: SegQueue::new(),
            questions: questions as u64,
            sleeping: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            taker: OnceLock::new(),
            health: Health::default(),
        }
    }

    /// Names the calling thread as the one that takes: it sleeps by [`Queue::sleep`].
    pub(super) fn taken_by_this_thread(&self) {
        let taker = thread::current();
        self.taken_by(move || taker.unpark());
    }

    /// Names whoever takes by what ends its sleep; it sleeps between [`Queue::falls_asleep`] and [`Queue::woke`].
    pub(super) fn taken_by(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.taker.get_or_init(|| Box::new(wake));
    }

    pub(super) fn ask(&self, ticket: Ticket, question: Question) -> Result<(), StoreFault> {
        if self.is_stopping() {
            return Err(StoreFault::Busy);
        }
        let queued = &self.health.queued;
        if queued.fetch_add(1, Ordering::Relaxed) >= self.questions {
            queued.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreFault::Busy);
        }
        self.push(Request::Ask(ticket, question, Instant::now()));
        Ok(())
    }

    pub(super) fn push(&self, request: Request) {
        self.requests.push(request);
        self.wake();
    }

    pub(super) fn pop(&self) -> Option<Request> {
        let request = self.requests.pop()?;
        if matches!(request, Request::Ask(..)) {
            self.health.queued.fetch_sub(1, Ordering::Relaxed);
        }
        Some(request)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Sleeps until something is pushed, the queue stops, or `at_most` is over.
    pub(super) fn sleep(&self, at_most: Duration) {
        if self.falls_asleep() {
            thread::park_timeout(at_most);
        }
        self.woke();
    }

    /// Says that the taker sleeps from now on. False when there is no reason to.
    pub(super) fn falls_asleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        // Pairs with the fence in `wake`: one of the two sees what the other wrote, so no push is slept through.
        fence(Ordering::SeqCst);
        self.requests.is_empty() && !self.is_stopping()
    }

    /// Says that the taker sleeps no more.
    pub(super) fn woke(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed)
            && self.sleeping.swap(false, Ordering::SeqCst)
            && let Some(taker) = self.taker.get()
        {
            taker();
        }
    }
}
