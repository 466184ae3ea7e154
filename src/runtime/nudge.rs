//! How tasks of the same thread make the pump take a turn at once.

use glommio::timer::Timer;
use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

/// Wakes this shard's pump. A REST task calls it after it called the engine, so that what the engine wants done is done now.
/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Nudge(Rc<Inner>);

#[derive(Default)]
struct Inner {
    pending: Cell<bool>,
    pump: RefCell<Option<Waker>>,
}

impl Nudge {
    /// Asks for a turn. Many calls before it are one.
    pub fn nudge(&self) {
        if !self.0.pending.replace(true)
            && let Some(pump) = self.0.pump.borrow().as_ref()
        {
            pump.wake_by_ref();
        }
    }

    pub(super) fn pending(&self) -> bool {
        self.0.pending.get()
    }

    pub(super) fn take(&self) -> bool {
        self.0.pending.replace(false)
    }

    /// By the pump: waits for a nudge, at most so long.
    pub(super) async fn wait(&self, at_most: Duration) {
        let mut timer = pin!(Timer::new(at_most));
        poll_fn(|cx| {
            if self.pending() {
                return Poll::Ready(());
            }
            let mut pump = self.0.pump.borrow_mut();
            if !pump.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                *pump = Some(cx.waker().clone());
            }
            timer.as_mut().poll(cx).map(drop)
        })
        .await;
    }
}
