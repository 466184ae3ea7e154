//! The live view of a run on a terminal.
//!
//! The boss tells it what happens; a thread of the boss draws that five times a second and hears the keyboard. Workers know nothing of
//! it but that somebody looks. Whatever ends the view (the end of the run, a key, a signal, a panic) leaves the terminal as it was.

mod draw;
mod parts;
mod state;
mod terminal;

use crate::{
    args::Site,
    clock,
    crew::letters::{Progress, Seen, Stage},
    progress::Teller,
    report::Asked,
};
use state::State;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
};
use terminal::Screen;

/// A handle to the view; without a terminal it does nothing.
#[derive(Clone, Default)]
pub(crate) struct Live(Option<Arc<Shown>>);

struct Shown {
    state: Arc<Mutex<State>>,
    /// Gone: the view ends.
    end: Mutex<Option<Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Live {
    /// Takes the terminal over, where there is one and nobody asked for lines.
    pub(crate) fn begin(site: &Site, asked: &Asked) -> Live {
        if site.plain || !terminal::is_ours() {
            return Live::default();
        }
        let Ok(screen) = Screen::take() else { return Live::default() };
        let state = Arc::new(Mutex::new(State::new(asked, site.gathering.expect_workers.unwrap_or(0), clock::now_ns())));
        let ((end, ended), drawn) = (channel(), Arc::clone(&state));
        let Ok(thread) = thread::Builder::new().name("view".into()).spawn(move || terminal::show(screen, &drawn, &ended)) else {
            return Live::default();
        };
        Live(Some(Arc::new(Shown { state, end: Mutex::new(Some(end)), thread: Mutex::new(Some(thread)) })))
    }

    /// Whether there is a view.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Something new is done from now on: a stage, or what is done before the first.
    pub(crate) fn enter(&self, stage: Option<Stage>, teller: &Teller) {
        self.with(|state| state.enter(stage, teller, clock::now_ns()));
    }

    /// `done` of what is to be done; without a view a line tells it.
    pub(crate) fn told(&self, teller: &mut Teller, done: u64, progress: Progress) {
        match &self.0 {
            Some(shown) => shown.state().done(done, clock::now_ns()),
            None => teller.tell(done, progress),
        }
    }

    /// What all workers have done so far.
    pub(crate) fn progress(&self, progress: Progress) {
        self.with(|state| state.progress(progress));
    }

    /// What one worker has seen in a slice of time.
    pub(crate) fn seen(&self, worker: usize, seen: &Seen) {
        self.with(|state| state.seen(worker, seen, clock::now_ns()));
    }

    /// Gives the terminal back.
    pub(crate) fn end(&self) {
        if let Some(shown) = &self.0 {
            shown.end();
        }
    }

    fn with(&self, change: impl FnOnce(&mut State)) {
        if let Some(shown) = &self.0 {
            change(&mut shown.state());
        }
    }
}

impl Shown {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        drop(self.end.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A view that broke down has given the terminal back itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.end();
    }
}
