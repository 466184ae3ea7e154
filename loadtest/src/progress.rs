//! What is told while a run goes on: a bar on a terminal, a plain line a second elsewhere. On standard error, so that the summary
//! stands alone.

use crate::{crew::letters::Progress, summary::grouped};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

const PLAIN_EVERY: Duration = Duration::from_secs(1);

/// One stage's progress.
pub(crate) struct Teller {
    what: &'static str,
    bar: Option<ProgressBar>,
    told: Instant,
    total: u64,
}

impl Teller {
    /// `total`: what is reached at the end; 0 where only time passes.
    pub(crate) fn new(what: &'static str, total: u64) -> Teller {
        let bar = stderr().is_terminal().then(|| {
            let template =
                if total > 0 { "{prefix:>10} {bar:36.cyan/dim} {pos}/{len} {msg}" } else { "{prefix:>10} {spinner:.cyan} {msg}" };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style.progress_chars("━╸─")).with_prefix(what)
        });
        Teller { what, bar, told: Instant::now(), total }
    }

    /// Something new: `done` of the total, and everything counted.
    pub(crate) fn tell(&mut self, done: u64, progress: Progress) {
        let text = told(progress);
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(text);
            }
            None if self.told.elapsed() >= PLAIN_EVERY => {
                self.told = Instant::now();
                let of = if self.total > 0 { format!(" {} of {}", grouped(done), grouped(self.total)) } else { String::new() };
                eprintln!("{:>10}{of} {text}", self.what);
            }
            None => {}
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
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
