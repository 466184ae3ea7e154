//! Tells the service manager how the house is: that it serves, that it stops, and, as long as every shard turns, that it is alive.
//!
//! A shard that stands still for half the watchdog's time ends the pings, whatever the rest of the process does: what a hung shard serves
//! hangs too, and only a new start mends that.

use crate::{
    observe::notify::Supervisor,
    runtime::{Phase, ShardCounts, Stage},
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often it looks, where the watchdog does not ask for more.
const LOOK: Duration = Duration::from_secs(1);
/// Looks that the watchdog's time has. Half of them may pass without a turn.
const LOOKS_A_WATCHDOG: u32 = 8;

/// Where that which serves is in its life, for one who watches it from beside.
#[derive(Clone, Debug)]
pub struct Life {
    pub(super) stage: Arc<Stage>,
    /// Set before it ends in order to begin anew.
    pub(super) fenced: Arc<AtomicBool>,
}

/// What is to be told of a life.
#[derive(PartialEq, Eq, Debug)]
enum Course {
    Serves,
    /// For so long at most.
    Stops(Duration),
    BeginsAnew,
    /// Another process serves soon, which is watched then.
    HandsOver,
}

impl Life {
    fn course(&self) -> Course {
        match self.stage.phase() {
            _ if self.stage.has_parted() => Course::HandsOver,
            Phase::Serving | Phase::Thinning | Phase::Leaving | Phase::Shutting | Phase::Parting => Course::Serves,
            Phase::Draining | Phase::Closing | Phase::Gone if self.fenced.load(Ordering::Relaxed) => Course::BeginsAnew,
            Phase::Draining | Phase::Closing | Phase::Gone => {
                let parts = self.stage.stopping().map_or(Duration::ZERO, |(_, times)| times.drain + times.goodbye);
                Course::Stops(parts + super::LAST_FLUSH)
            }
        }
    }

    fn turns(&self) -> Vec<u64> {
        self.stage.all_counts().iter().map(ShardCounts::turns).collect()
    }

    fn status(&self) -> String {
        let shards = self.stage.all_counts().len();
        let plural = if shards == 1 { "" } else { "s" };
        let does = if self.stage.phase() == Phase::Serving { "Serving" } else { "Draining" };
        format!("{does} {} connections on {shards} shard{plural}", self.stage.connections())
    }
}

/// Finds shards that stand still.
pub(super) struct Pulse {
    patience: Duration,
    /// Of each shard the turns that it had made, and when they were first seen.
    seen: Vec<(u64, Instant)>,
}

impl Pulse {
    /// `turns` are made by now.
    pub(super) fn new(patience: Duration, turns: &[u64], now: Instant) -> Pulse {
        Pulse { patience, seen: turns.iter().map(|turns| (*turns, now)).collect() }
    }

    /// The shard that has stood still for longer than there is patience, the longest of several, and for how long.
    pub(super) fn standing(&mut self, turns: &[u64], now: Instant) -> Option<(usize, Duration)> {
        for (seen, turns) in self.seen.iter_mut().zip(turns).filter(|(seen, turns)| seen.0 != **turns) {
            *seen = (*turns, now);
        }
        let still = self.seen.iter().map(|(_, since)| now.duration_since(*since)).enumerate();
        still.max_by_key(|(_, still)| *still).filter(|(_, still)| *still >= self.patience)
    }
}

/// The thread that tells. Without a service manager there is none.
#[derive(Debug)]
pub struct Herald(Option<(Sender<Life>, JoinHandle<()>)>);

impl Herald {
    /// From now on the watchdog is kept quiet: a process that begins, or waits for records or other nodes, hangs in nothing.
    pub fn begin(supervisor: Supervisor) -> io::Result<Herald> {
        if !supervisor.is_there() {
            return Ok(Herald(None));
        }
        let (tell, told) = mpsc::channel();
        let watch = Watch { supervisor, told, status: String::new() };
        let thread = thread::Builder::new().name("herald".to_owned()).spawn(move || watch.run())?;
        Ok(Herald(Some((tell, thread))))
    }

    /// It serves.
    pub fn serves(&self, life: Life) {
        if let Some((tell, _)) = &self.0 {
            let _ = tell.send(life);
        }
    }

    /// It has ended, for whatever cause, and the process ends too.
    pub fn end(self) {
        if let Some((tell, thread)) = self.0 {
            drop(tell);
            let _ = thread.join();
        }
    }
}

struct Watch {
    supervisor: Supervisor,
    told: Receiver<Life>,
    status: String,
}

impl Watch {
    fn run(mut self) {
        let look = self.supervisor.watchdog().map_or(LOOK, |watchdog| LOOK.min(watchdog / LOOKS_A_WATCHDOG));
        let life = loop {
            match self.told.recv_timeout(look) {
                Ok(life) => break life,
                Err(RecvTimeoutError::Timeout) => self.ping(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        };
        self.supervisor.ready();
        let patience = self.supervisor.watchdog().map_or(Duration::MAX, |watchdog| watchdog / 2);
        let mut pulse = Pulse::new(patience, &life.turns(), Instant::now());
        let mut is_over = false;
        loop {
            match life.course() {
                Course::Serves => self.tell_of(&life, &mut pulse),
                Course::HandsOver => self.ping(),
                Course::BeginsAnew => {
                    self.ping();
                    self.say("Taken for dead by the other nodes: beginning anew".to_owned());
                }
                Course::Stops(at_most) => {
                    self.say("Stopping".to_owned());
                    return self.supervisor.stopping(at_most);
                }
            }
            if is_over {
                return;
            }
            is_over = matches!(self.told.recv_timeout(look), Err(RecvTimeoutError::Disconnected));
        }
    }

    fn tell_of(&mut self, life: &Life, pulse: &mut Pulse) {
        let Some((shard, still)) = pulse.standing(&life.turns(), Instant::now()) else {
            self.ping();
            return self.say(life.status());
        };
        let line = format!("Shard {shard} stands still");
        if self.status != line {
            tracing::warn!(shard, still_s = still.as_secs(), "a shard stands still: the watchdog is told nothing any more");
        }
        self.say(line);
    }

    fn ping(&self) {
        if self.supervisor.watchdog().is_some() {
            self.supervisor.alive();
        }
    }

    /// Each line once.
    fn say(&mut self, line: String) {
        if self.status != line {
            self.supervisor.status(&line);
            self.status = line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shard_that_stands_still_is_found_whatever_the_others_do() {
        let (began, patience) = (Instant::now(), Duration::from_secs(15));
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(patience, &[4, 4], began);
        assert_eq!(pulse.standing(&[5, 5], at(1)), None);
        assert_eq!(pulse.standing(&[9, 5], at(15)), None, "14 s are not yet 15");
        assert_eq!(pulse.standing(&[12, 5], at(16)), Some((1, patience)));
        assert_eq!(pulse.standing(&[12, 5], at(31)), Some((1, Duration::from_secs(30))), "the one that stands for longer");
        assert_eq!(pulse.standing(&[12, 6], at(32)), Some((0, Duration::from_secs(16))));
        assert_eq!(pulse.standing(&[13, 7], at(33)), None, "all turn again");
    }

    #[test]
    fn one_who_was_away_himself_takes_nobody_for_dead_who_has_turned_meanwhile() {
        let began = Instant::now();
        let mut pulse = Pulse::new(Duration::from_secs(15), &[4], began);
        assert_eq!(pulse.standing(&[5], began + Duration::from_secs(600)), None);
    }

    #[test]
    fn without_a_manager_there_is_no_herald() {
        let herald = Herald::begin(Supervisor::default()).unwrap();
        assert!(herald.0.is_none());
        herald.end();
    }
}
