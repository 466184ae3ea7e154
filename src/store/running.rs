//! A store's thread, as those who ask see it: begun, asked through the queue, ended. SQLite and PostgreSQL have it alike.

use super::queue::{Queue, Request};
use crate::protocols::presence::record::{Leaving, StoreFault};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The queue, and the thread that takes from it.
pub(super) struct Running {
    pub(super) queue: Arc<Queue>,
    thread: Mutex<Option<Thread>>,
}

/// The thread, and the word that it has ended.
struct Thread {
    handle: JoinHandle<()>,
    ended: mpsc::Receiver<()>,
}

/// How the thread's beginning is told to whoever waits for it.
pub(super) type Begun<R, E> = mpsc::Sender<Result<R, E>>;

impl Running {
    /// Starts the thread named `store`, and waits for the word that it has begun: what it made, or why it has ended.
    ///
    /// # Errors
    /// The thread's own; that it could not be started, or ended without a word, as `failed` has it.
    pub(super) fn begin<R: Send + 'static, E: Send + 'static>(
        queue: Arc<Queue>,
        failed: impl FnOnce(io::Error) -> E,
        body: impl FnOnce(&Begun<R, E>) + Send + 'static,
    ) -> Result<(Running, R), E> {
        let (tell_ended, ended) = mpsc::channel();
        let (tell_begun, begun) = mpsc::channel();
        let whole = move || {
            body(&tell_begun);
            drop((tell_begun, tell_ended));
        };
        let handle = match thread::Builder::new().name("store".into()).spawn(whole) {
            Ok(handle) => handle,
            Err(error) => return Err(failed(error)),
        };
        match begun.recv() {
            Ok(Ok(made)) => Ok((Running { queue, thread: Mutex::new(Some(Thread { handle, ended })) }, made)),
            Ok(Err(fault)) => {
                // What it held is free when it is gone; that it ended is all there is to know.
                let _ = handle.join();
                Err(fault)
            }
            Err(mpsc::RecvError) => Err(failed(io::Error::other("it ended as it began"))),
        }
    }

    /// See [`super::Store::leave`].
    pub(super) fn leave(&self, leaving: Leaving) {
        if self.queue.is_stopping() {
            tracing::debug!(
                session = leaving.session,
                "left after the store had stopped; the session ends with this run of the node"
            );
            return;
        }
        self.queue.push(Request::Leave(leaving));
    }

    /// See [`super::Store::flush`].
    pub(super) fn flush(&self, within: Duration) -> Result<(), StoreFault> {
        if self.queue.is_stopping() {
            return Err(StoreFault::Busy);
        }
        let (flushed, wait) = mpsc::channel();
        self.queue.push(Request::Flush(flushed));
        wait.recv_timeout(within).map_err(|_| StoreFault::Busy)
    }

    /// See [`super::Store::stop`]. `close` closes what reads, before the thread ends.
    pub(super) fn stop(&self, within: Duration, close: impl FnOnce()) -> Result<(), StoreFault> {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        let begun = Instant::now();
        let flushed = self.flush(within);
        close();
        self.queue.stop();
        let left = within.saturating_sub(begun.elapsed()).max(within / 2);
        match thread.ended.recv_timeout(left) {
            // Told by the sender's end, as the last thing the thread does.
            Err(mpsc::RecvTimeoutError::Disconnected) | Ok(()) => {
                if thread.handle.join().is_err() {
                    return Err(StoreFault::Failed);
                }
                flushed
            }
            Err(mpsc::RecvTimeoutError::Timeout) => Err(StoreFault::Busy),
        }
    }
}
