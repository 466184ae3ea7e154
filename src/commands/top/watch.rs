//! Asks the server again and again, on a thread of its own: an answer may take its time, and keys must not wait for it.

use super::look;
use crate::{
    commands::{Failure, ctl::Place, server::Line},
    top::{Seen, clean, pause},
};
use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

/// What there is to tell.
pub(super) enum News {
    /// It has answered.
    Seen(Box<Seen>),
    /// It has not, and is asked again then.
    Away {
        /// Why, for people.
        why: String,
        /// When it is asked again.
        next: Instant,
    },
    /// It will not answer this: nothing was ever seen of it.
    Refused(Failure),
}

/// Begins.
pub(super) fn begin(place: Place, line: Line, every: Duration) -> std::io::Result<Receiver<News>> {
    let (tell, told) = channel();
    thread::Builder::new().name("watch".to_owned()).spawn(move || watch(&place, line, every, &tell))?;
    Ok(told)
}

/// Until nobody listens.
fn watch(place: &Place, mut line: Line, every: Duration, tell: &Sender<News>) {
    let (mut former, mut failures) = (None, 0);
    loop {
        let began = Instant::now();
        let (news, next) = match look(&line) {
            Ok(told) => {
                failures = 0;
                let seen = Seen::new(former.as_ref(), told.look);
                former = Some(seen.look().clone());
                (News::Seen(Box::new(seen)), began + every)
            }
            // Asking again would change nothing.
            Err(refused @ (Failure::Denied(_) | Failure::Usage(_))) if former.is_none() => {
                let _ = tell.send(News::Refused(refused));
                return;
            }
            Err(failure) => {
                failures += 1;
                let next = Instant::now() + pause(failures, every);
                // There may be another token meanwhile.
                if let Failure::Denied(_) = failure
                    && let Ok(anew) = place.server().and_then(|server| server.line())
                {
                    line = anew;
                }
                (News::Away { why: clean(&failure.to_string()), next }, next)
            }
        };
        if tell.send(news).is_err() {
            return;
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
