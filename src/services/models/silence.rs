//! How long an answer may say nothing, counted anew from each piece of it.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

/// One timer for the whole answer, set anew only where it fires, and looked at only where it can have fired: a timer for each word costs
/// more than its parsing, and so does a look at one that nothing else has touched for long.
pub(super) struct Silence {
    most: Duration,
    /// When the present one has lasted too long. None: it has just begun.
    latest: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// Before then it does not fire.
    fires: Instant,
    /// Whom it wakes then.
    woken: Option<Waker>,
}

impl Silence {
    /// It has begun. Runs in a Tokio runtime with time.
    pub(super) fn new(most: Duration) -> Silence {
        let timer = Box::pin(sleep(most));
        Silence { most, latest: None, fires: timer.deadline(), timer, woken: None }
    }

    /// Something was said: it begins anew.
    pub(super) fn begin(&mut self) {
        self.latest = None;
    }

    /// Ready when it has lasted too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let latest = *self.latest.get_or_insert(now + self.most);
        let is_waking = self.woken.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_waking && now < self.fires {
            return Poll::Pending;
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= latest {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(latest);
        }
        self.fires = self.timer.deadline();
        self.woken = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const MOST: Duration = Duration::from_millis(50);

    #[test]
    fn it_counts_from_the_last_word_and_wakes_whoever_looked_last() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut silence = Silence::new(MOST);
            for _ in 0..3 {
                // By somebody who is not woken.
                let _ = silence.poll(&mut Context::from_waker(Waker::noop()));
                sleep(MOST / 2).await;
                let begun = Instant::now();
                silence.begin();
                poll_fn(|cx| silence.poll(cx)).await;
                assert!(begun.elapsed() >= MOST);
            }
        });
    }
}
