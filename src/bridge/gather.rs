//! Once for many: what each of many errands wants done, and what is as good when it is done once for all of them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::task;

/// Does something behind all that is ready on the bridge, once for however many asked for it until then. Cheap to clone; clones gather
/// together.
#[derive(Clone)]
pub struct Gather(Arc<Gathered>);

struct Gathered {
    is_due: AtomicBool,
    act: Box<dyn Fn() + Send + Sync>,
}

impl Gather {
    /// `act` must not block.
    pub fn new(act: impl Fn() + Send + Sync + 'static) -> Gather {
        Gather(Arc::new(Gathered { is_due: AtomicBool::new(false), act: Box::new(act) }))
    }

    /// Asks for it; to be called by an errand of the bridge. It is done soon, and after whatever the caller did before.
    pub fn ask(&self) {
        // Most words find that another has asked, and then a look is enough: whatever was asked for is done on this thread.
        if self.0.is_due.load(Ordering::Acquire) || self.0.is_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let gathered = self.0.clone();
        // A task begins behind those that are ready: what they bring is gathered too.
        task::spawn(async move {
            gathered.is_due.store(false, Ordering::Release);
            (gathered.act)();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::Bridge;
    use futures_lite::future::block_on;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn once_for_all_that_are_ready_and_again_for_those_that_come_later() {
        let (bridge, thread) = Bridge::start().unwrap();
        let done = Arc::new(AtomicU32::new(0));
        let gather = Gather::new({
            let done = done.clone();
            move || {
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        for round in 1..=3 {
            let errands = {
                let gather = gather.clone();
                async move {
                    let all: Vec<_> = (0..100)
                        .map(|_| {
                            let gather = gather.clone();
                            task::spawn(async move { gather.ask() })
                        })
                        .collect();
                    for one in all {
                        one.await.unwrap();
                    }
                    // Behind what was asked for.
                    task::yield_now().await;
                }
            };
            assert_eq!(block_on(bridge.ask(errands)), Some(()));
            assert_eq!(done.load(Ordering::Relaxed), round);
        }
        drop(bridge);
        thread.join().unwrap();
    }
}
