//! What an errand of the bridge hands to a shard and the shard has not taken yet: the errand waits when that is much, and ends when the
//! shard gives it up.
//!
//! Each side counts for itself, and the shard tells how far it is now and then: for most words neither goes to memory that both share.

use futures_util::task::AtomicWaker;
use std::{
    future::poll_fn,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    },
    task::{Context, Poll},
};
use tokio::task::AbortHandle;

/// Both sides of a backlog with room while less than `most_bytes` waits.
pub fn backlog(most_bytes: usize) -> (Handing, Taking) {
    let shared = Arc::new(Shared::default());
    let handing = Handing { most_bytes, handed: AtomicUsize::new(0), told: AtomicUsize::new(0), shared: shared.clone() };
    // Told four times while all that may wait is taken, so that whoever waits finds room long before nothing is left.
    (handing, Taking { step_bytes: (most_bytes / 4).max(1), taken: 0, told: 0, shared })
}

/// The errand's side.
#[derive(Debug)]
pub struct Handing {
    most_bytes: usize,
    /// Written by the errand alone, as the next one is; in all, as all these are.
    handed: AtomicUsize,
    /// Of that the shard has taken, as far as the errand has looked.
    told: AtomicUsize,
    shared: Arc<Shared>,
}

/// The shard's side.
#[derive(Debug)]
pub struct Taking {
    step_bytes: usize,
    taken: usize,
    told: usize,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What the shard has taken, when it last told.
    taken: AtomicUsize,
    /// The errand, where it waits for room.
    waker: AtomicWaker,
    is_given_up: AtomicBool,
    errand: OnceLock<AbortHandle>,
}

impl Handing {
    /// So much is handed over.
    pub fn put(&self, bytes: usize) {
        self.handed.store(self.handed.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    }

    /// Waits until there is room for more. To be awaited by the errand alone.
    pub async fn room(&self) {
        poll_fn(|cx| self.poll_room(cx)).await;
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_room() || self.look() {
            return Poll::Ready(());
        }
        self.shared.waker.register(cx.waker());
        // What was told before the waker was there has woken nobody.
        if self.look() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn look(&self) -> bool {
        self.told.store(self.shared.taken.load(Ordering::Acquire), Ordering::Relaxed);
        self.has_room()
    }

    fn has_room(&self) -> bool {
        let waiting = self.handed.load(Ordering::Relaxed).wrapping_sub(self.told.load(Ordering::Relaxed));
        waiting < self.most_bytes
    }
}

impl Taking {
    /// So much of what was handed over is taken. Never blocks.
    pub fn take(&mut self, bytes: usize) {
        self.taken = self.taken.wrapping_add(bytes);
        if self.taken.wrapping_sub(self.told) >= self.step_bytes {
            self.told = self.taken;
            self.shared.taken.store(self.taken, Ordering::Release);
            self.shared.waker.wake();
        }
    }

    /// Nobody takes anything any more: the errand is dropped, wherever it is. Never blocks.
    pub fn give_up(&self) {
        self.shared.is_given_up.store(true, Ordering::Relaxed);
        // Either this finds the errand, or whoever names it finds that it is given up.
        fence(Ordering::SeqCst);
        if let Some(errand) = self.shared.errand.get() {
            errand.abort();
        }
    }

    /// Names the errand, once it has begun.
    pub(super) fn naming(&self) -> impl FnOnce(AbortHandle) + Send + 'static {
        let shared = self.shared.clone();
        move |errand| {
            let errand = shared.errand.get_or_init(|| errand);
            fence(Ordering::SeqCst);
            if shared.is_given_up.load(Ordering::Relaxed) {
                errand.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::Bridge;
    use futures_lite::future::block_on;
    use std::{
        pin::pin,
        sync::mpsc,
        task::{Context, Waker},
    };

    fn is_room(handing: &Handing) -> bool {
        pin!(handing.room()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn there_is_room_until_much_waits() {
        let (handing, mut taking) = backlog(100);
        handing.put(99);
        assert!(is_room(&handing));
        handing.put(50);
        assert!(!is_room(&handing));
        taking.take(49);
        assert!(!is_room(&handing), "a hundred are too many");
        taking.take(25);
        assert!(is_room(&handing));
        for _ in 0..1_000 {
            handing.put(60);
            taking.take(60);
            assert!(is_room(&handing), "what is taken is not counted for ever");
        }
    }

    #[test]
    fn an_errand_that_is_given_up_is_dropped_also_before_it_has_begun() {
        struct Dropped(mpsc::Sender<()>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (bridge, thread) = Bridge::start().unwrap();
        for waits_for_its_begin in [true, false] {
            let (_, taking) = backlog(10);
            let ((dropped, was_dropped), (begun, has_begun)) = (mpsc::channel(), mpsc::channel());
            let held = Dropped(dropped);
            let errand = async move {
                let _held = held;
                let _ = begun.send(());
                std::future::pending().await
            };
            if waits_for_its_begin {
                bridge.run_until_given_up(&taking, errand);
                has_begun.recv().unwrap();
                assert!(was_dropped.try_recv().is_err());
                taking.give_up();
            } else {
                taking.give_up();
                bridge.run_until_given_up(&taking, errand);
            }
            was_dropped.recv().unwrap();
        }
        drop(bridge);
        thread.join().unwrap();
    }

    #[test]
    fn whoever_waits_is_woken_from_another_thread() {
        let (handing, mut taking) = backlog(1);
        let (sender, taken) = mpsc::channel::<()>();
        let shard = std::thread::spawn(move || {
            taken.iter().for_each(|()| taking.take(1));
        });
        block_on(async {
            for _ in 0..1_000 {
                handing.put(1);
                sender.send(()).unwrap();
                handing.room().await;
            }
        });
        drop(sender);
        shard.join().unwrap();
    }
}
