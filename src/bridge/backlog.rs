//! What was handed to a shard and is not taken yet: whoever hands it over waits when that is much.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;

/// Counts on both sides: one errand of the bridge hands over, one shard takes. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Backlog(Arc<Counted>);

struct Counted {
    most_bytes: usize,
    bytes: AtomicUsize,
    taken: Notify,
}

impl Backlog {
    /// With [`Backlog::room`] while less than `most_bytes` waits.
    pub fn new(most_bytes: usize) -> Backlog {
        Backlog(Arc::new(Counted { most_bytes, bytes: AtomicUsize::new(0), taken: Notify::new() }))
    }

    /// So much is handed over.
    pub fn put(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// So much of that is taken. Never blocks.
    pub fn take(&self, bytes: usize) {
        let Counted { most_bytes, bytes: waiting, taken } = &*self.0;
        let before = waiting.fetch_sub(bytes, Ordering::AcqRel);
        if before >= *most_bytes && before.saturating_sub(bytes) < *most_bytes {
            taken.notify_one();
        }
    }

    /// Waits until there is room for more. To be awaited by one at a time.
    pub async fn room(&self) {
        // A notice that finds nobody is kept, so that none is missed in between.
        while self.0.bytes.load(Ordering::Acquire) >= self.0.most_bytes {
            self.0.taken.notified().await;
        }
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
