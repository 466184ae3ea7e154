//! The one Tokio thread: what the shards ask of the outside (permission services) and what may block (reading records) runs here,
//! never on a shard.

mod backlog;
mod gather;

pub use backlog::{Handing, Taking, backlog};
pub use gather::Gather;

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio::{
    runtime,
    sync::{Semaphore, mpsc, oneshot},
    task,
};

type Errand = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Threads for errands that block: two for what takes long, and two that are always there for the rest.
const BLOCKING_THREADS: usize = 4;
/// Of what takes long so many at a time.
const LONG: usize = 2;

/// The way to the bridge. Cheap to clone; the bridge ends when the last clone is gone.
#[derive(Clone, Debug)]
pub struct Bridge {
    errands: mpsc::UnboundedSender<Errand>,
    long: Arc<Semaphore>,
}

impl Bridge {
    /// Starts the thread.
    pub fn start() -> io::Result<(Bridge, JoinHandle<()>)> {
        let mut builder = runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().max_blocking_threads(BLOCKING_THREADS).thread_name("bridge-blocking").build()?;
        let (sender, mut errands) = mpsc::unbounded_channel::<Errand>();
        let thread = thread::Builder::new().name("bridge".to_owned()).spawn(move || {
            runtime.block_on(async {
                while let Some(errand) = errands.recv().await {
                    task::spawn(errand);
                }
            });
        })?;
        Ok((Bridge { errands: sender, long: Arc::new(Semaphore::new(LONG)) }, thread))
    }

    /// Runs this there. Never blocks. Each waiting client has at most one errand, and each answer of an agent one besides its calls, so
    /// that their number is bounded by those of connections and of sessions in memory.
    pub fn run(&self, errand: impl Future<Output = ()> + Send + 'static) {
        // A bridge that is gone means that the process ends.
        let _ = self.errands.send(Box::pin(errand));
    }

    /// As [`Bridge::run`], until the shard gives it up: then it is dropped in the middle of what it does.
    pub fn run_until_given_up(&self, shard: &Taking, errand: impl Future<Output = ()> + Send + 'static) {
        let name = shard.naming();
        // The task is the errand itself, not a box with it: each word of a model goes to one place in memory less.
        self.run(async move { name(task::spawn(errand).abort_handle()) });
    }

    /// Runs this there, on a thread that may block, and waits for the answer. `None`: the process ends.
    pub async fn call<T: Send + 'static>(&self, blocking: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.run(async move {
            if let Ok(value) = task::spawn_blocking(blocking).await {
                let _ = sender.send(value);
            }
        });
        answer.await.ok()
    }

    /// As [`Bridge::call`], for what may take long and may be many: it waits its turn, and the others find a thread meanwhile.
    pub async fn call_long<T: Send + 'static>(&self, blocking: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = self.long.clone().acquire_owned().await.ok()?;
        let work = move || {
            // Held until the work is done, even when nobody waits for it any more.
            let _turn = turn;
            blocking()
        };
        self.call(work).await
    }

    /// Runs this there and waits for the answer. `None`: the process ends.
    pub async fn ask<T: Send + 'static>(&self, question: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.run(async move {
            let _ = sender.send(question.await);
        });
        answer.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    #[test]
    fn errands_run_there_and_answers_come_back() {
        let (bridge, thread) = Bridge::start().unwrap();
        let name = || thread::current().name().map(str::to_owned);
        assert_eq!(block_on(bridge.ask(async move { name() })), Some(Some("bridge".to_owned())));
        assert_eq!(block_on(bridge.call(name)), Some(Some("bridge-blocking".to_owned())));
        drop(bridge);
        thread.join().unwrap();
    }

    #[test]
    fn what_takes_long_leaves_a_thread_for_the_rest() {
        let (bridge, thread) = Bridge::start().unwrap();
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let long = |_| {
            let gate = gate.clone();
            Box::pin(bridge.call_long(move || gate.lock().unwrap().recv().is_ok()))
        };
        let mut waiting: Vec<_> = (0..3 * BLOCKING_THREADS).map(long).collect();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.iter_mut().all(|one| one.as_mut().poll(&mut context).is_pending()));
        assert_eq!(block_on(bridge.call(|| 1)), Some(1));
        waiting.iter().for_each(|_| open.send(()).unwrap());
        assert!(waiting.into_iter().all(|one| block_on(one) == Some(true)));
        drop(bridge);
        thread.join().unwrap();
    }
}
