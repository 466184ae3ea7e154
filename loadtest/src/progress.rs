//! What is told while a run goes on where there is no live view: a plain line a second, on standard error, so that the summary stands
//! alone.

use crate::{crew::letters::Progress, summary::grouped};
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

const PLAIN_EVERY: Duration = Duration::from_secs(1);

/// One stage's progress.
pub(crate) struct Teller {
    /// What is done in it.
    pub(crate) what: &'static str,
    /// What is reached at its end; 0 where only time passes.
    pub(crate) total: u64,
    /// How much of it is meant to be done a second; none: as fast as it goes.
    pub(crate) rate: Option<f64>,
    /// How long it lasts, where that is known.
    pub(crate) lasts: Option<Duration>,
    told: Instant,
}

impl Teller {
    /// `total`: what is reached at the end; 0 where only time passes.
    pub(crate) fn new(what: &'static str, total: u64) -> Teller {
        Teller { what, total, rate: None, lasts: None, told: Instant::now() }
    }

    /// So much is meant to be done a second.
    pub(crate) fn at(self, rate: Option<f64>) -> Teller {
        Teller { rate, ..self }
    }

    /// It lasts so long.
    pub(crate) fn lasting(self, time: Duration) -> Teller {
        Teller { lasts: Some(time), ..self }
    }

    /// Something new: `done` of the total, and everything counted.
    pub(crate) fn tell(&mut self, done: u64, progress: Progress) {
        if self.told.elapsed() < PLAIN_EVERY {
            return;
        }
        self.told = Instant::now();
        let of = if self.total > 0 { format!(" {} of {}", grouped(done), grouped(self.total)) } else { String::new() };
        eprintln!("{:>10}{of} {}", self.what, told(progress));
    }
}

/// Says to whoever sits at a terminal what takes time before a run can begin.
pub(crate) fn announce(what: &str) {
    if stderr().is_terminal() {
        eprintln!("homeroom-load: {what}");
    }
}

fn told(progress: Progress) -> String {
    let Progress { faults, published, delivered, answered, heard, streamed, keys, ended, .. } = progress;
    let mut text = String::new();
    if published > 0 {
        text = format!("{} published, {} delivered ", grouped(published), grouped(delivered));
    }
    if answered > 0 {
        text = format!("{} answers, {} events heard ", grouped(answered), grouped(heard));
    }
    if streamed > 0 || keys > 0 {
        text = format!("{} MiB, {} keys ", grouped(streamed >> 20), grouped(keys));
    }
    if ended > 0 {
        text = format!("{} ended, {} messages heard ", grouped(ended), grouped(heard));
    }
    if faults > 0 {
        text += &format!("{} faults", grouped(faults));
    }
    text
}
