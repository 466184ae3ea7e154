//! How the process ends: drain, close, gone. And the signals that begin it.

use super::{counts::ShardCounts, mesh::Doors, parting::Parcel};
use crate::{engine::thinning::Pace, realtime::ShardId, tls::Server};
use crossbeam::queue::ArrayQueue;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2},
    iterator::Signals,
    low_level::exit,
};
use std::{
    fmt, io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Where the process is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Accepting and serving.
    Serving,
    /// To be stopped after a while: not ready any more; the connected are let go one by one; still accepting and serving.
    Thinning,
    /// About to hand its sockets over to another process: what cannot be carried is closed, connections of REST end with the request in
    /// hand; still accepting and serving.
    Leaving,
    /// No more accepts, for the last requests to end.
    Shutting,
    /// Nothing is received any more; what is under way ends.
    Parting,
    /// Asked to stop: the connected were told; still accepting and serving.
    Draining,
    /// No more accepts; the engine closes what is left.
    Closing,
    /// The shards end.
    Gone,
}

/// How long each part of a stop may take.
#[derive(Clone, Copy, Debug)]
pub struct StopTimes {
    /// Between telling the connected and closing. It ends early when no connection is left.
    pub drain: Duration,
    /// For the goodbyes to leave. It ends early when no connection is left.
    pub goodbye: Duration,
}

/// Why a drain does not begin.
#[derive(Debug)]
pub enum DrainFault {
    /// It stops already.
    Stopping,
    /// It does not serve yet.
    NotServing,
    /// There can be no thread.
    System(io::Error),
}

impl fmt::Display for DrainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DrainFault::Stopping => f.write_str("it is stopping already"),
            DrainFault::NotServing => f.write_str("it does not serve yet"),
            DrainFault::System(fault) => write!(f, "a thread could not be started: {fault}"),
        }
    }
}

impl std::error::Error for DrainFault {}

/// The phase that all shards follow, and their counts.
#[derive(Debug)]
pub struct Stage {
    phase: AtomicU8,
    doors: Doors,
    counts: Vec<ShardCounts>,
    stopping: OnceLock<(Instant, StopTimes)>,
    /// How long a stop takes that nobody gives other times, and the pace of a drain before it.
    usual: OnceLock<StopTimes>,
    pace: OnceLock<Pace>,
    /// Whether somebody has had a stop begun, other than by a signal.
    is_claimed: AtomicBool,
    /// What each shard has left.
    pub(super) parcels: Vec<ArrayQueue<Parcel>>,
    pub(super) has_parted: AtomicBool,
    /// For each shard the newest certificates that it has not taken yet.
    renewed: Vec<ArrayQueue<Servers>>,
    renewals: AtomicU32,
}

/// What each listener has of TLS.
pub type Servers = Arc<[Option<Server>]>;

/// How often a stop looks whether connections are left.
const LOOK: Duration = Duration::from_millis(10);
/// How many looks in a row must find none: who has just connected may not be accepted yet.
const QUIET_LOOKS: u32 = 5;

impl Stage {
    pub(super) fn new(doors: &Doors) -> Stage {
        let counts = doors.iter().map(|_| ShardCounts::default()).collect();
        let renewed = doors.iter().map(|_| ArrayQueue::new(1)).collect();
        let parcels = doors.iter().map(|_| ArrayQueue::new(1)).collect();
        let phase = AtomicU8::new(Phase::Serving as u8);
        Stage {
            phase,
            doors: doors.clone(),
            counts,
            stopping: OnceLock::new(),
            usual: OnceLock::new(),
            pace: OnceLock::new(),
            is_claimed: AtomicBool::new(false),
            parcels,
            has_parted: AtomicBool::new(false),
            renewed,
            renewals: AtomicU32::new(0),
        }
    }

    /// Whether it serves, and nothing else.
    pub fn is_serving(&self) -> bool {
        self.phase() == Phase::Serving
    }

    /// Where the process is now.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Thinning,
            2 => Phase::Leaving,
            3 => Phase::Shutting,
            4 => Phase::Parting,
            5 => Phase::Draining,
            6 => Phase::Closing,
            _ => Phase::Gone,
        }
    }

    /// Since the stop began: how long that is, and how long its parts may take.
    pub fn stopping(&self) -> Option<(Duration, StopTimes)> {
        self.stopping.get().map(|(began, times)| (began.elapsed(), *times))
    }

    /// How the connected are let go before the stop.
    pub(super) fn pace(&self) -> Option<Pace> {
        self.pace.get().copied()
    }

    /// For one who wants the usual stop begun: it is his to carry out, by [`Stage::stop`] in these times. Readiness is gone already.
    /// `None`: a stop is under way, or nothing is served yet.
    pub fn claim_stop(&self) -> Option<StopTimes> {
        let times = *self.usual.get()?;
        if !self.claim() {
            return None;
        }
        self.stopping.get_or_init(|| (Instant::now(), times));
        self.advance(Phase::Draining);
        Some(times)
    }

    /// Of all who want a stop begun the first has it.
    fn claim(&self) -> bool {
        self.is_serving() && !self.is_claimed.swap(true, Ordering::SeqCst)
    }

    /// Begins a paced drain, and the usual stop behind it, on a thread of its own: readiness goes first, after `lead` the connected are let
    /// go one by one `over` a time, and who has come meanwhile is told and closed as at any stop. Comes back at once.
    ///
    /// # Errors
    /// It stops already, it does not serve yet, or there can be no thread.
    pub fn drain(self: &Arc<Self>, lead: Duration, over: Duration) -> Result<(), DrainFault> {
        let times = *self.usual.get().ok_or(DrainFault::NotServing)?;
        let pace = Pace { lead, over, grace: times.drain };
        if !self.claim() {
            return Err(DrainFault::Stopping);
        }
        let stage = self.clone();
        let (begin, begun) = mpsc::sync_channel(0);
        let thinning = thread::Builder::new().name("drain".to_owned()).spawn(move || {
            stage.stopping.get_or_init(|| (Instant::now(), StopTimes { drain: pace.length() + times.drain, ..times }));
            let _ = stage.pace.set(pace);
            stage.advance(Phase::Thinning);
            // Whoever gave the order finds readiness gone when he hears that it was taken.
            let _ = begin.send(());
            stage.thin(pace, times);
        });
        if let Err(fault) = thinning {
            // Nothing has begun: the next who asks may.
            self.is_claimed.store(false, Ordering::SeqCst);
            return Err(DrainFault::System(fault));
        }
        let _ = begun.recv();
        Ok(())
    }

    fn thin(&self, pace: Pace, times: StopTimes) {
        tracing::info!(lead_s = pace.lead.as_secs(), over_s = pace.over.as_secs(), "draining");
        // Who balances the load has all of the lead to see that this is not ready any more, also where nobody is connected.
        thread::sleep(pace.lead);
        self.wait_for_the_last(pace.over, || self.connections() + self.owed());
        // A stop by a signal may have gone before: what it has begun it ends.
        self.stop(times);
    }

    /// What one shard counts.
    pub fn counts(&self, shard: ShardId) -> &ShardCounts {
        &self.counts[shard.index()]
    }

    /// What every shard counts, in their order.
    pub fn all_counts(&self) -> &[ShardCounts] {
        &self.counts
    }

    /// From now on new connections are served with these; those that are there stay as they are. By one thread at a time.
    pub fn renew(&self, servers: &Servers) {
        for (queue, door) in self.renewed.iter().zip(self.doors.iter()) {
            queue.force_push(servers.clone());
            // Before the knock, and behind the push: who sees the number finds what it counts.
            self.renewals.fetch_add(1, Ordering::Release);
            door.knock();
        }
    }

    pub(super) fn renewals(&self) -> u32 {
        self.renewals.load(Ordering::Acquire)
    }

    pub(super) fn renewed(&self, shard: ShardId) -> Option<Servers> {
        self.renewed[shard.index()].pop()
    }

    /// Sockets of all shards.
    pub fn connections(&self) -> u64 {
        self.counts.iter().map(|counts| counts.connections.value()).sum()
    }

    /// Goes on to a later phase and wakes all shards. Never back. Who sees the phase sees why it has come.
    pub(super) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Release);
        for door in self.doors.iter() {
            door.knock();
        }
    }

    /// The whole stop, on the calling thread. It is over in `drain + goodbye` at most.
    pub fn stop(&self, times: StopTimes) {
        self.stopping.get_or_init(|| (Instant::now(), times));
        self.advance(Phase::Draining);
        self.wait_for_the_last(times.drain, || self.connections() + self.owed());
        self.advance(Phase::Closing);
        // Now REST ends too: a request in hand still gets its answer.
        self.wait_for_the_last(times.goodbye, || self.connections() + self.owed() + self.rest());
        self.advance(Phase::Gone);
    }

    pub(super) fn owed(&self) -> u64 {
        self.counts.iter().map(|counts| counts.owed.value()).sum()
    }

    pub(super) fn rest(&self) -> u64 {
        self.counts.iter().map(|counts| counts.handed_off_now.value()).sum()
    }

    fn wait_for_the_last(&self, at_most: Duration, left: impl Fn() -> u64) {
        let until = Instant::now() + at_most;
        let mut quiet = 0;
        while quiet < QUIET_LOOKS && Instant::now() < until {
            thread::sleep(LOOK);
            quiet = if left() == 0 { quiet + 1 } else { 0 };
        }
    }
}

/// SIGTERM, SIGINT, SIGHUP and SIGUSR2, caught. Until there is a stage to stop, one of the first two ends the process at once and well:
/// nothing has been served that could be lost.
#[derive(Clone, Debug)]
pub struct StopSignals {
    stops: Arc<Stops>,
    reload: Reload,
}

#[derive(Default)]
struct Stops {
    stage: OnceLock<(Arc<Stage>, StopTimes)>,
    /// Whether the stage has ended, and another may follow.
    is_over: AtomicBool,
    /// Whether the process was asked to stop.
    is_asked: AtomicBool,
    /// What hears of the first signal to stop what serves.
    heard: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// What SIGUSR2 begins.
    upgrade: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Stops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stops").field("stage", &self.stage).field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

/// Says when files are to be read again: on SIGHUP.
#[derive(Clone, Default, Debug)]
pub struct Reload(Arc<Notify>);

impl Reload {
    /// Waits for the next time, or comes back at once when it was missed. For one who waits.
    pub async fn asked(&self) {
        self.0.notified().await;
    }
}

impl StopSignals {
    /// Catches them from now on; a second one ends the process at once.
    pub fn caught() -> io::Result<StopSignals> {
        let stops: Arc<Stops> = Arc::default();
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR2])?;
        let (own, reload) = (stops.clone(), Reload::default());
        let asks = reload.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let stops = signals.forever().filter(|signal| {
                match *signal {
                    SIGHUP => asks.0.notify_one(),
                    SIGUSR2 => own.upgrade.get().into_iter().for_each(|begin| begin()),
                    _ => return true,
                }
                false
            });
            for (count, signal) in stops.enumerate() {
                if count > 0 {
                    tracing::warn!("asked twice to stop: ending at once");
                    exit(128 + signal);
                }
                // Before the look at `is_over`, as `rest` sets that before it looks here: one of the two sees the other.
                own.is_asked.store(true, Ordering::SeqCst);
                let Some((stage, times)) = own.stage.get().filter(|_| !own.is_over.load(Ordering::SeqCst)).cloned() else {
                    tracing::info!("stopped while it did not serve");
                    exit(0);
                };
                tracing::info!(drain_s = times.drain.as_secs(), "stopping");
                own.heard.get().into_iter().for_each(|hear| hear());
                if thread::Builder::new().name("stop".to_owned()).spawn(move || stage.stop(times)).is_err() {
                    exit(128 + signal);
                }
            }
        })?;
        Ok(StopSignals { stops, reload })
    }

    /// This hears of the signal that stops what serves, before it does. It must not take long.
    pub fn on_stop(&self, hear: impl Fn() + Send + Sync + 'static) {
        let _ = self.stops.heard.set(Box::new(hear));
    }

    /// From now on SIGUSR2 begins this, which must not take long. Before, it does nothing.
    pub fn on_upgrade(&self, begin: impl Fn() + Send + Sync + 'static) {
        let _ = self.stops.upgrade.set(Box::new(begin));
    }

    /// Says when files are to be read again.
    pub fn reload(&self) -> Reload {
        self.reload.clone()
    }

    /// From now on they stop this.
    pub(super) fn stop(&self, stage: Arc<Stage>, times: StopTimes) {
        // There is one stage in a process; the first stays.
        let _ = stage.usual.set(times);
        let _ = self.stops.stage.set((stage, times));
    }

    /// What served has ended, and the process has something to wait for: the first of them ends it at once and well again. True: one has
    /// come already, while what served was ending for another reason, and there is nothing to wait for.
    #[must_use]
    pub fn rest(&self) -> bool {
        self.stops.is_over.store(true, Ordering::SeqCst);
        let is_claimed = self.stops.stage.get().is_some_and(|(stage, _)| stage.is_claimed.load(Ordering::SeqCst));
        is_claimed || self.stops.is_asked.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::mesh, *};

    #[test]
    fn rest_answers_are_waited_for_at_the_end_and_hold_up_no_drain() {
        let stage = Stage::new(&mesh::doors(1).unwrap());
        stage.counts(ShardId(0)).handed_off_now.set(1);
        let (drain, goodbye) = (Duration::from_secs(600), Duration::from_millis(500));
        let began = Instant::now();
        stage.stop(StopTimes { drain, goodbye });
        assert!((goodbye..drain).contains(&began.elapsed()));
        stage.counts(ShardId(0)).handed_off_now.set(0);
        stage.stop(StopTimes { drain, goodbye: drain });
        assert_eq!(stage.phase(), Phase::Gone);
    }

    #[test]
    fn whoever_has_a_drain_begun_finds_readiness_gone() {
        let stage = Arc::new(Stage::new(&mesh::doors(1).unwrap()));
        stage.usual.set(StopTimes { drain: Duration::ZERO, goodbye: Duration::ZERO }).unwrap();
        stage.drain(Duration::from_millis(50), Duration::ZERO).unwrap();
        assert!(stage.phase() > Phase::Serving && stage.stopping().is_some());
        assert!(matches!(stage.drain(Duration::ZERO, Duration::ZERO), Err(DrainFault::Stopping)));
        assert!(stage.claim_stop().is_none());
    }

    #[test]
    fn a_stop_is_begun_by_one_alone() {
        let stage = Arc::new(Stage::new(&mesh::doors(1).unwrap()));
        assert!(stage.claim_stop().is_none(), "nothing is served yet");
        stage.usual.set(StopTimes { drain: Duration::from_secs(7), goodbye: Duration::ZERO }).unwrap();
        let begun: Vec<_> = thread::scope(|scope| {
            let claims: Vec<_> = (0..8).map(|_| scope.spawn(|| stage.claim_stop())).collect();
            claims.into_iter().filter_map(|claim| claim.join().unwrap()).collect()
        });
        assert_eq!(begun.iter().map(|times| times.drain.as_secs()).collect::<Vec<_>>(), [7]);
        assert!(stage.phase() == Phase::Draining && stage.stopping().is_some());
        assert!(matches!(stage.drain(Duration::ZERO, Duration::ZERO), Err(DrainFault::Stopping)));
    }
}
