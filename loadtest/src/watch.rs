//! Looks at the server's process four times a second, from a thread of the boss.

use crate::usage;
use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// When there would be more looks, every second one is forgotten: what they saw is a sum, so nothing is lost but the detail.
const MOST_GLANCES: usize = 1_200;

/// What a process has used until a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Glance {
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub(crate) at_ns: u64,
    /// CPU time so far.
    pub(crate) cpu_ns: u64,
    /// Resident memory then.
    pub(crate) resident_bytes: u64,
}

/// A watch over one process.
pub(crate) struct Watch {
    end: Sender<()>,
    thread: JoinHandle<Vec<Glance>>,
}

impl Watch {
    /// Begins to look at a process, and those that it has started.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn begin(pid: u32) -> io::Result<Watch> {
        let (end, ended) = channel();
        let thread = thread::Builder::new().name("watch".into()).spawn(move || watch(pid, &ended))?;
        Ok(Watch { end, thread })
    }

    /// Ends it; what was seen.
    pub(crate) fn end(self) -> Vec<Glance> {
        drop(self.end);
        self.thread.join().unwrap_or_default()
    }
}

fn watch(pid: u32, ended: &Receiver<()>) -> Vec<Glance> {
    let (mut seen, mut every) = (Vec::new(), LOOK_EVERY);
    loop {
        if let Ok(glance) = usage::glance(pid) {
            seen.push(glance);
        }
        if seen.len() > MOST_GLANCES {
            thin(&mut seen);
            every *= 2;
        }
        match ended.recv_timeout(every) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                seen.extend(usage::glance(pid));
                return seen;
            }
        }
    }
}

fn thin(seen: &mut Vec<Glance>) {
    let mut keep = false;
    seen.retain(|_| {
        keep = !keep;
        keep
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinned_looks_keep_their_ends_and_order() {
        let mut seen: Vec<Glance> = (0..7).map(|at_ns| Glance { at_ns, cpu_ns: at_ns * 3, resident_bytes: 1 }).collect();
        thin(&mut seen);
        assert_eq!(seen.iter().map(|glance| glance.at_ns).collect::<Vec<_>>(), [0, 2, 4, 6]);
    }

    #[test]
    fn a_process_is_seen_from_the_first_moment() {
        let seen = Watch::begin(std::process::id()).unwrap().end();
        assert!(seen.iter().all(|glance| glance.resident_bytes > 0) && !seen.is_empty());
    }
}
