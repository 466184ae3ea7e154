//! Reads beside the writer: a few connections for whoever may wait. Threads that ask block; the connections live on the store's thread.

use super::{
    conn::{Conn, Role, Way},
    fault::Fault,
};
use crate::{realtime::StoreFault, store::Read};
use futures_lite::future::block_on;
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The readers' connections: at most so many, made when they are wanted.
pub(super) struct Readers {
    way: Arc<Way>,
    most: usize,
    acquire_timeout: Duration,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Conn>,
    /// Places that are taken, with or without a connection.
    taken: usize,
    closed: bool,
}

/// A place among the readers, given back when it is dropped.
struct Place<'r>(&'r Readers);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().taken -= 1;
        self.0.freed.notify_one();
    }
}

impl Readers {
    pub(super) fn new(way: Arc<Way>, most: usize, acquire_timeout: Duration) -> Readers {
        Readers { way, most: most.max(1), acquire_timeout, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Asks one statement, or several of which each may see another moment.
    pub(super) fn view<T>(&self, question: impl AsyncFn(&Conn) -> Result<T, Fault>) -> Read<T> {
        let _place = self.place()?;
        // The timers of connections are the runtime's; what is waited for does not need it.
        let _runtime = self.way.runtime().enter();
        block_on(self.asked(question)).map_err(|fault| {
            tracing::debug!(%fault, "the records cannot be read");
            fault.blame()
        })
    }

    /// Asks several statements that see one moment.
    pub(super) fn snapshot<T>(&self, question: impl AsyncFn(&Conn) -> Result<T, Fault>) -> Read<T> {
        self.view(async |conn: &Conn| {
            conn.batch("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
            let answer = question(conn).await;
            conn.batch(if answer.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            answer
        })
    }

    /// Closes what is idle, and what is under way when it is done.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.idle.clear();
    }

    /// A connection that was idle may have ended unnoticed: then it is asked once more on a new one.
    async fn asked<T>(&self, question: impl AsyncFn(&Conn) -> Result<T, Fault>) -> Result<T, Fault> {
        let idle = self.idle();
        if let Some(conn) = idle {
            match question(&conn).await {
                Err(Fault::Silent) => return Err(Fault::Silent),
                Err(fault) if fault.is_of_the_connection() => {}
                answer => return self.kept(conn, answer),
            }
            // The others are as old.
            self.state().idle.clear();
        }
        let conn = self.way.connect(Role::Reader).await?;
        let answer = question(&conn).await;
        self.kept(conn, answer)
    }

    fn kept<T>(&self, conn: Conn, answer: Result<T, Fault>) -> Result<T, Fault> {
        let is_good = answer.is_ok() && !conn.is_closed();
        let mut state = self.state();
        if is_good && !state.closed {
            state.idle.push(conn);
        }
        answer
    }

    fn idle(&self) -> Option<Conn> {
        let mut state = self.state();
        state.idle.retain(|conn| !conn.is_closed());
        state.idle.pop()
    }

    fn place(&self) -> Result<Place<'_>, StoreFault> {
        let state = self.state();
        let waited =
            self.freed.wait_timeout_while(state, self.acquire_timeout, |state| state.taken >= self.most && !state.closed);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() || state.closed {
            return Err(StoreFault::Busy);
        }
        state.taken += 1;
        Ok(Place(self))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
