//! The terminal: taken over, drawn on, and given back whatever happens.

use super::{
    draw::{self, Look},
    state::State,
};
use crate::clock;
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
        execute,
        terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use rustix::process::{Signal, getpgrp, kill_current_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag, low_level,
};
use std::{
    env,
    io::{self, IsTerminal, Stderr, stderr},
    panic,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

const DRAW_EVERY: Duration = Duration::from_millis(200);
/// Keys and signals are looked for so often.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The terminal, taken over until this is dropped.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    /// The signal that came, or 0.
    signal: Arc<AtomicUsize>,
    /// Signals end the process again as they do where there is no view.
    is_over: Arc<AtomicBool>,
}

/// Whether standard error is a terminal that can be drawn on, and that is this process's to change.
pub(super) fn is_ours() -> bool {
    let is_capable = env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb");
    // One that runs in the background would be stopped for changing the terminal's modes.
    let is_in_front = rustix::termios::tcgetpgrp(stderr()).is_ok_and(|group| group == getpgrp());
    is_capable && stderr().is_terminal() && is_in_front
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// The terminal refuses.
    pub(super) fn take() -> io::Result<Screen> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                give_back();
                before(info);
            }));
        });
        let (signal, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_default(number, Arc::clone(&is_over))?;
            flag::register_usize(number, Arc::clone(&signal), number.unsigned_abs() as usize)?;
        }
        let set_up = || -> io::Result<Terminal<CrosstermBackend<Stderr>>> {
            enable_raw_mode()?;
            // Terminals without a second screen show what was there before.
            execute!(stderr(), EnterAlternateScreen, Clear(ClearType::All))?;
            Terminal::new(CrosstermBackend::new(stderr()))
        };
        let terminal = set_up().inspect_err(|_| {
            give_back();
            is_over.store(true, SeqCst);
        })?;
        Ok(Screen { terminal, signal, is_over })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        self.is_over.store(true, SeqCst);
    }
}

/// Leaves the terminal as it was found.
fn give_back() {
    // A terminal that is gone needs nothing.
    let _ = disable_raw_mode();
    let _ = execute!(stderr(), LeaveAlternateScreen, Show);
}

/// Draws until the other side of `ended` is gone, or somebody ends the run.
pub(super) fn show(mut screen: Screen, state: &Mutex<State>, ended: &Receiver<()>) {
    let look = Look::of_environment();
    let mut due = Instant::now();
    while ended.try_recv() != Err(TryRecvError::Disconnected) {
        if Instant::now() >= due {
            due = Instant::now() + DRAW_EVERY;
            // A copy: a terminal that takes nothing must not keep the boss from telling what happens.
            let seen = as_of(state, clock::now_ns());
            let _ = screen.terminal.draw(|frame| draw::draw(frame, &seen, clock::now_ns(), look));
        }
        if asks_to_end(LOOK_EVERY) {
            // As the terminal itself does it where nobody has taken it over: all processes of the run are told.
            let _ = kill_current_process_group(Signal::INT);
            return end_by(screen, SIGINT);
        }
        match screen.signal.load(SeqCst) {
            0 => {}
            number => return end_by(screen, i32::try_from(number).unwrap_or(SIGTERM)),
        }
    }
}

/// What there is to show at this moment.
fn as_of(state: &Mutex<State>, now_ns: u64) -> State {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.advance(now_ns);
    state.clone()
}

/// Ends this process as the signal would have, were it not for the view.
fn end_by(screen: Screen, signal: i32) {
    drop(screen);
    eprintln!("homeroom-load: interrupted");
    let _ = low_level::emulate_default_handler(signal);
}

/// Waits for a key; whether it is one that ends the run.
fn asks_to_end(within: Duration) -> bool {
    match event::poll(within) {
        Ok(true) => {}
        Ok(false) => return false,
        Err(_) => {
            // There is no keyboard.
            thread::sleep(within);
            return false;
        }
    }
    match event::read() {
        Ok(Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. })) => {
            let with_control = modifiers.contains(KeyModifiers::CONTROL);
            (code == KeyCode::Char('q') && !with_control) || (code == KeyCode::Char('c') && with_control)
        }
        Ok(_) | Err(_) => false,
    }
}
