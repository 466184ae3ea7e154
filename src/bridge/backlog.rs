//! What an errand of the bridge hands to a shard and the shard has not taken yet: the errand waits when that is much, and ends when the
//! shard gives it up.

use futures_util::task::AtomicWaker;
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

/// The errand is given up. Beyond every number of bytes.
const GIVEN_UP: usize = 1 << (usize::BITS - 1);

/// Counts on both sides: one errand hands over, one shard takes. Cheap to clone; clones count together. All of it is one allocation, as
/// both sides touch it for each word.
#[derive(Clone)]
pub struct Backlog(Arc<Counted>);

struct Counted {
    most_bytes: usize,
    /// What waits, and the mark of [`GIVEN_UP`].
    bytes: AtomicUsize,
    /// The errand.
    waker: AtomicWaker,
}

impl Backlog {
    /// With [`Backlog::room`] while less than `most_bytes` waits.
    pub fn new(most_bytes: usize) -> Backlog {
        Backlog(Arc::new(Counted { most_bytes, bytes: AtomicUsize::new(0), waker: AtomicWaker::new() }))
    }

    /// So much is handed over.
    pub fn put(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// So much of that is taken. Never blocks.
    pub fn take(&self, bytes: usize) {
        let Counted { most_bytes, bytes: waiting, waker } = &*self.0;
        let before = waiting.fetch_sub(bytes, Ordering::AcqRel);
        if before >= *most_bytes && before.saturating_sub(bytes) < *most_bytes {
            waker.wake();
        }
    }

    /// Nobody takes anything any more: an errand in [`Backlog::until_given_up`] ends. Never blocks.
    pub fn give_up(&self) {
        self.0.bytes.fetch_or(GIVEN_UP, Ordering::AcqRel);
        self.0.waker.wake();
    }

    /// Waits until there is room for more, which there never is when it was given up. To be awaited by the errand alone.
    pub async fn room(&self) {
        poll_fn(|cx| self.poll(cx, |bytes| bytes < self.0.most_bytes)).await;
    }

    /// The errand itself, until it ends or is given up and dropped.
    pub async fn until_given_up(&self, errand: impl Future<Output = ()>) {
        let mut errand = std::pin::pin!(errand);
        let mut run = |cx: &mut Context<'_>| {
            if self.poll(cx, |bytes| bytes & GIVEN_UP != 0).is_ready() {
                return Poll::Ready(());
            }
            errand.as_mut().poll(cx)
        };
        poll_fn(&mut run).await;
    }

    fn poll(&self, cx: &mut Context<'_>, is_met: impl Fn(usize) -> bool) -> Poll<()> {
        let is_met = || is_met(self.0.bytes.load(Ordering::Acquire));
        if is_met() {
            return Poll::Ready(());
        }
        self.0.waker.register(cx.waker());
        // What came before the waker was there has woken nobody.
        if is_met() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    #[test]
    fn there_is_room_again_when_enough_is_taken() {
        let (backlog, mut cx) = (Backlog::new(10), Context::from_waker(Waker::noop()));
        let mut is_room = |backlog: &Backlog| pin!(backlog.room()).poll(&mut cx).is_ready();
        backlog.put(9);
        assert!(is_room(&backlog));
        backlog.put(4);
        assert!(!is_room(&backlog));
        backlog.take(3);
        assert!(!is_room(&backlog), "ten are too many");
        backlog.take(1);
        assert!(is_room(&backlog));
    }

    #[test]
    fn an_errand_that_is_given_up_is_dropped() {
        let backlog = Backlog::new(10);
        let held = Arc::new(());
        let errand = {
            let (backlog, held) = (backlog.clone(), held.clone());
            async move {
                let waits = async {
                    let _held = held;
                    std::future::pending().await
                };
                backlog.until_given_up(waits).await;
            }
        };
        let thread = std::thread::spawn(|| futures_lite::future::block_on(errand));
        assert_eq!(Arc::strong_count(&held), 2);
        backlog.give_up();
        thread.join().unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
        // What is on its way still is counted all the same, and makes no room.
        backlog.put(20);
        backlog.take(20);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(backlog.room()).poll(&mut cx).is_pending());
    }

    #[test]
    fn an_errand_ends_by_itself() {
        let backlog = Backlog::new(10);
        futures_lite::future::block_on(backlog.until_given_up(async {}));
    }

    #[test]
    fn whoever_waits_is_woken_from_another_thread() {
        let backlog = Backlog::new(1);
        let shard = {
            let backlog = backlog.clone();
            let (sender, taken) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::spawn(move || taken.iter().for_each(|()| backlog.take(1)));
            (sender, thread)
        };
        futures_lite::future::block_on(async {
            for _ in 0..1_000 {
                backlog.put(1);
                shard.0.send(()).unwrap();
                backlog.room().await;
            }
        });
        drop(shard.0);
        shard.1.join().unwrap();
        assert_eq!(backlog.0.bytes.load(Ordering::Relaxed), 0);
    }
}
