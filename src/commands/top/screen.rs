//! The terminal: taken over, drawn on, and given back whatever happens.

use super::{
    TopArguments,
    watch::{self, News},
};
use crate::{
    commands::{Failure, server::Server},
    top::{Act, Away, Paint, Seen, Shown, View, draw, wish},
};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{self, Event, KeyEvent, KeyEventKind},
        execute,
        terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use rustix::process::getpgrp;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag, low_level,
};
use std::{
    env,
    io::{self, IsTerminal, Stdout, stdout},
    panic,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

/// Keys, signals and answers are looked for so often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// While the server does not answer the picture counts the seconds.
const COUNT_EVERY: Duration = Duration::from_millis(250);
/// An answer that takes longer is told of. A silent shard is waited for a little less.
const LATE: Duration = Duration::from_secs(4);

/// The terminal, taken over until this is dropped.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// The signal that came, or 0.
    signal: Arc<AtomicUsize>,
    /// Signals end the process again as they do where there is no view.
    is_over: Arc<AtomicBool>,
}

/// Whether standard output is a terminal that can be drawn on, and that is this process's to change.
pub(super) fn is_ours() -> bool {
    let is_capable = env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb");
    // One that runs in the background would be stopped for changing the terminal's modes.
    let is_in_front = rustix::termios::tcgetpgrp(stdout()).is_ok_and(|group| group == getpgrp());
    is_capable && stdout().is_terminal() && is_in_front
}

impl Screen {
    fn take() -> io::Result<Screen> {
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
        let set_up = || -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
            enable_raw_mode()?;
            // Terminals without a second screen show what was there before.
            execute!(stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
            Terminal::new(CrosstermBackend::new(stdout()))
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
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
}

/// What is known of the server.
struct Known {
    seen: Option<Seen>,
    /// Why it does not answer, since when, and when it is asked again.
    away: Option<(String, Instant, Instant)>,
    /// When it told something the last time.
    heard: Instant,
}

impl Known {
    /// What is wrong, at this moment.
    fn away(&self, every: Duration) -> Option<Away> {
        let (now, quiet) = (Instant::now(), self.heard.elapsed());
        match &self.away {
            Some((why, since, next)) => {
                let again_in = Some(next.saturating_duration_since(now)).filter(|pause| !pause.is_zero());
                Some(Away { why: why.clone(), since: now.saturating_duration_since(*since), again_in })
            }
            None if quiet > every + LATE => {
                Some(Away { why: "an answer is waited for".to_owned(), since: quiet - every, again_in: None })
            }
            None => None,
        }
    }
}

/// Shows the server until somebody ends it, or a signal does.
pub(super) fn show(arguments: &TopArguments, server: &Server) -> Result<(), Failure> {
    let failed = |fault: io::Error| Failure::Failed(format!("the terminal cannot be drawn on: {fault}"));
    let told = watch::begin(arguments.place.clone(), server.line()?, arguments.every).map_err(failed)?;
    let is_coloured = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (place, paint) = (server.place(), Paint { is_coloured });
    let mut screen = Screen::take().map_err(failed)?;
    let mut known = Known { seen: None, away: None, heard: Instant::now() };
    let (mut view, mut due) = (View::default(), Instant::now());
    loop {
        if heard(&told, &mut known, &view)? {
            due = Instant::now();
        }
        if Instant::now() >= due {
            due += COUNT_EVERY;
            let away = known.away(arguments.every);
            let shown = Shown { server: &place, seen: known.seen.as_ref(), away: away.as_ref() };
            let drawn = screen.terminal.draw(|frame| {
                let area = frame.area();
                draw(frame.buffer_mut(), area, &shown, &mut view, paint);
            });
            drawn.map(drop).map_err(failed)?;
        }
        match pressed(LOOK_EVERY, &mut view) {
            Some(Act::Draw) => due = Instant::now(),
            Some(Act::End) => return Ok(()),
            Some(Act::Interrupt) => return end_by(screen, SIGINT),
            None => {}
        }
        match screen.signal.load(SeqCst) {
            0 => {}
            number => return end_by(screen, i32::try_from(number).unwrap_or(SIGTERM)),
        }
    }
}

/// Takes what the server told; whether there is another picture.
fn heard(told: &Receiver<News>, known: &mut Known, view: &View) -> Result<bool, Failure> {
    let mut is_new = false;
    loop {
        match told.try_recv() {
            Ok(News::Seen(seen)) => {
                is_new |= known.away.take().is_some();
                if !view.is_held() || known.seen.is_none() {
                    (known.seen, is_new) = (Some(*seen), true);
                }
            }
            Ok(News::Away { why, next }) => {
                let since = known.away.take().map_or_else(Instant::now, |(_, since, _)| since);
                (known.away, is_new) = (Some((why, since, next)), true);
            }
            Ok(News::Refused(failure)) => return Err(failure),
            Err(TryRecvError::Empty) => return Ok(is_new),
            Err(TryRecvError::Disconnected) => return Err(Failure::Failed("nobody asks the server any more".to_owned())),
        }
        known.heard = Instant::now();
    }
}

/// Ends this process as the signal would have, were it not for the view.
fn end_by(screen: Screen, signal: i32) -> Result<(), Failure> {
    drop(screen);
    let _ = low_level::emulate_default_handler(signal);
    Err(Failure::Failed("interrupted".to_owned()))
}

/// Waits for a key, or another size of the terminal; what follows from it.
fn pressed(within: Duration, view: &mut View) -> Option<Act> {
    match event::poll(within) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(_) => {
            // There is no keyboard.
            thread::sleep(within);
            return None;
        }
    }
    match event::read() {
        Ok(Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. })) => Some(view.heed(wish(code, modifiers))),
        Ok(Event::Resize(..)) => Some(Act::Draw),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::{
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
        termios::tcgetattr,
    };
    use std::{fs::File, io::Read, process::Command};

    const NAME: &str = "commands::top::screen::tests::a_panic_leaves_the_terminal_as_it_was_and_is_read_there";
    const CHILD: &str = "PANICS_ON_A_TERMINAL";
    const LEFT: &str = "\x1b[?1049l";

    /// In a process of its own, on a terminal of its own.
    #[test]
    fn a_panic_leaves_the_terminal_as_it_was_and_is_read_there() {
        if env::var_os(CHILD).is_some() {
            let _screen = Screen::take().unwrap();
            panic!("planted");
        }
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&own).and_then(|()| unlockpt(&own)).unwrap();
        let place = ptsname(&own, Vec::new()).unwrap();
        let theirs = File::options().read(true).write(true).open(place.to_str().unwrap()).unwrap();
        let before = tcgetattr(&theirs).unwrap();
        let end = || theirs.try_clone().unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
        let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        // The end of what is held of it is the end of what can be read.
        drop((command, theirs));
        let (mut own, mut said) = (File::from(own), Vec::new());
        let _ = own.read_to_end(&mut said);
        assert!(!child.wait().unwrap().success());
        let said = String::from_utf8_lossy(&said);
        let place = |words: &str| said.find(words).unwrap_or_else(|| panic!("{words:?} is not in {said:?}"));
        assert!(place("\x1b[?1049h") < place(LEFT) && place(LEFT) < place("planted"), "{said:?}");
        let after = tcgetattr(&own).unwrap();
        assert_eq!(
            (after.local_modes, after.input_modes, after.output_modes),
            (before.local_modes, before.input_modes, before.output_modes)
        );
    }
}
