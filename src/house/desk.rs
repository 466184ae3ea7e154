//! Where operators' wishes become errands of shards, readings of the files, and the stop.

use super::{acts::OwnStop, reload::Readings};
use crate::{
    bridge::Bridge,
    engine::{Answer, Errand},
    http::control::{Changed, NoDrain, Paced},
    realtime::{
        NodeSlot, ShardId,
        survey::{Chore, Done},
    },
    runtime::{DrainFault, Post, Stage},
};
use rustix::{
    process::{Signal, getpid, kill_process},
    time::{ClockId, clock_gettime},
};
use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// A shard that has not answered by then is told of as silent.
const PATIENCE: Duration = Duration::from_secs(3);

/// See the file. Cheap to clone.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) post: Post<Answer>,
    pub(super) bridge: Bridge,
    pub(super) node: NodeSlot,
    pub(super) shards: u16,
    pub(super) stage: Arc<Stage>,
    pub(super) readings: Readings,
    /// How long a drain takes at most.
    pub(super) drain: Duration,
    /// The next SIGTERM is one of our own.
    pub(super) is_own_stop: OwnStop,
}

/// What one shard answered.
pub(super) struct Told {
    pub(super) shard: u16,
    pub(super) done: Done,
    /// What its thread has worked so far.
    pub(super) worked: Duration,
}

impl Desk {
    /// Has every shard do it; the answers of those that came to it in time, by their numbers.
    pub(super) async fn ask(&self, chore: &Chore) -> Vec<Told> {
        let (tell, mut told) = mpsc::unbounded_channel();
        for shard in 0..self.shards {
            let tell = tell.clone();
            // Called on the shard: the clock is of its thread.
            let reply = Box::new(move |done| drop(tell.send(Told { shard, done, worked: worked() })));
            let errand = Errand { chore: chore.clone(), reply };
            self.post.post(ShardId::of(self.node, shard as u8), [Answer::Errand(errand)]);
        }
        drop(tell);
        let collected = async move {
            let (mut all, until) = (Vec::new(), Instant::now() + PATIENCE);
            while let Ok(Some(one)) = tokio::time::timeout_at(until.into(), told.recv()).await {
                all.push(one);
            }
            all.sort_by_key(|one: &Told| one.shard);
            all
        };
        self.bridge.ask(collected).await.unwrap_or_default()
    }

    /// Has the files read again, and waits for what comes of it.
    pub(super) async fn reload(&self) -> Result<Changed, Vec<String>> {
        let (answer, answered) = oneshot::channel();
        if self.readings.send(answer).await.is_err() {
            return Err(vec!["the server stops".to_owned()]);
        }
        answered.await.unwrap_or_else(|_| Err(vec!["the server stops".to_owned()]))
    }

    /// Begins the stop that SIGTERM begins; says how long its drain may take. A signal that comes behind it is the first one: it cuts
    /// nobody off. `None`: it is under way.
    pub(super) fn begin_stop(&self) -> Option<Duration> {
        let times = self.stage.claim_stop()?;
        let (stage, is_own) = (self.stage.clone(), self.is_own_stop.clone());
        // Not from here: a thread that a shard starts shares its core.
        self.bridge.run(async move {
            tracing::info!(drain_s = times.drain.as_secs(), "stopping");
            if let Err(fault) = thread::Builder::new().name("stop".to_owned()).spawn(move || stage.stop(times)) {
                tracing::error!(%fault, "there can be no thread for the stop");
                is_own.store(true, SeqCst);
                let _ = kill_process(getpid(), Signal::TERM);
            }
        });
        Some(times.drain)
    }

    /// Begins the paced drain, as `homeroom drain` does.
    pub(super) async fn begin_drain(&self, Paced { lead, over }: Paced) -> Result<Duration, NoDrain> {
        let stage = self.stage.clone();
        // It starts a thread, and waits until that has begun.
        match self.bridge.call(move || stage.drain(lead, over)).await {
            Some(Ok(())) => Ok(self.stage.stopping().map_or(self.drain, |(_, times)| times.drain)),
            Some(Err(DrainFault::Stopping | DrainFault::NotServing)) => Err(NoDrain::Stopping),
            Some(Err(DrainFault::System(_))) | None => Err(NoDrain::NoThread),
        }
    }
}

/// What the calling thread has worked so far.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
