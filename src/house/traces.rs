//! The way of spans to a collector: a thread of its own takes what has gathered, and sends it. A collector that is away or slow costs
//! spans, which are counted, a line of the log a minute, and nothing else: no shard and nothing on the bridge waits for it.

use super::{HouseFault, rules::Fault};
use crate::{
    config::{CollectorSettings, Settings},
    observe::{
        exposition::{Family, Kind},
        traces::{self, Loss, Traces},
    },
    runtime::Stage,
    services::collector::{Collector, Sent},
    traces::{Resource, Sampler, Span, request},
};
use std::{
    env, fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{
    runtime,
    time::{sleep, timeout_at},
};
use uuid::Uuid;

/// Spans in one request.
const BATCH: usize = 512;
/// How often it is looked whether there is a whole batch; those who bring spans wake nobody.
const LOOK: Duration = Duration::from_millis(100);
/// So long a span waits for others at most.
const GATHER: Duration = Duration::from_secs(1);
/// Before the second try of a batch; twice as long before each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// Between two lines of the log that say the same.
const QUIET: Duration = Duration::from_secs(60);
/// For what is left when the server stops.
const LAST: Duration = Duration::from_secs(2);

/// What sends spans, where any are sent.
pub(super) struct Exporting(Option<(Arc<AtomicBool>, JoinHandle<()>)>);

/// Begins to send, where the settings or the environment name a collector.
pub(super) fn start(settings: &Settings) -> Result<Exporting, HouseFault> {
    let own = &settings.traces;
    let refused = |why: String| HouseFault::Rules(vec![Fault::new(why)]);
    let Some(named) = own.collector(|name| env::var(name).ok()).map_err(refused)? else { return Ok(Exporting(None)) };
    let CollectorSettings { url, service, headers, timeout } = named;
    let mut headers = headers.0;
    if let Some(file) = &own.headers_file {
        headers.extend(headers_of(file).map_err(|why| refused(format!("traces.headers_file: {why}")))?);
    }
    let collector = Collector::new(&url, &headers, timeout).map_err(|fault| refused(format!("traces.endpoint: {fault}")))?;
    let mut seed = [0; 8];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| refused("no randomness to be had".to_owned()))?;
    let traces = traces::start(Sampler::new(own.ratio.of_one()), u64::from_ne_bytes(seed));
    let resource = Resource { service, instance: Uuid::now_v7().to_string() };
    tracing::info!(collector = ?collector, ratio = own.ratio.of_one(), "traces are told");
    let exporter = Exporter { traces, collector, resource, batch: Vec::new(), told: None };
    exporter.start().map_err(HouseFault::System)
}

/// Names and values, a line for each. Faults hold nothing of what is there.
fn headers_of(file: &Path) -> Result<Vec<(String, String)>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    let all: Option<Vec<_>> = lines.map(header).collect();
    all.ok_or_else(|| format!("{}: expected lines such as \"Name: value\"", file.display()))
}

impl Exporting {
    /// The server has stopped, and begun to at its stage's time: what is left is sent, or lost, within two seconds.
    pub(super) fn end(self, stage: &Stage) {
        let Exporting(Some((is_over, thread))) = self else { return };
        if let Some(span) =
            stage.stopping().and_then(|(since, _)| Some(traces::inside_since("drain", Instant::now().checked_sub(since)?)))
        {
            span.done();
        }
        is_over.store(true, Relaxed);
        // It ends by itself in that time.
        let _ = thread.join();
    }
}

struct Exporter {
    traces: Arc<Traces>,
    collector: Collector,
    resource: Resource,
    /// What is sent next, again where it was not taken.
    batch: Vec<Span>,
    /// When the log was last told of a collector that takes nothing.
    told: Option<Instant>,
}

impl Exporter {
    fn start(self) -> io::Result<Exporting> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let is_over = Arc::<AtomicBool>::default();
        let heard = is_over.clone();
        let run = move || runtime.block_on(self.run(&heard));
        let thread = thread::Builder::new().name("traces".to_owned()).spawn(run)?;
        Ok(Exporting(Some((is_over, thread))))
    }

    async fn run(mut self, is_over: &AtomicBool) {
        let mut pause = FIRST_PAUSE;
        while !is_over.load(Relaxed) {
            self.gather(is_over).await;
            if self.batch.is_empty() {
                continue;
            }
            // A request under way when the server stops is given up: its spans are sent once more, with the last.
            let sent = unless(is_over, self.send()).await;
            let Some(sent) = sent else { break };
            match self.note(sent) {
                None => pause = FIRST_PAUSE,
                Some(asked) => {
                    unless(is_over, sleep(asked.unwrap_or(pause).min(LAST_PAUSE))).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
        self.finish().await;
    }

    /// Waits until there is a batch, or something has waited long enough.
    async fn gather(&mut self, is_over: &AtomicBool) {
        let until = Instant::now() + GATHER;
        while self.batch.len() + self.traces.waiting() < BATCH && Instant::now() < until && !is_over.load(Relaxed) {
            sleep(LOOK).await;
        }
        self.fill();
    }

    fn fill(&mut self) {
        while self.batch.len() < BATCH
            && let Some(span) = self.traces.next()
        {
            self.batch.push(span);
        }
    }

    async fn send(&self) -> Sent {
        self.collector.send(request(&self.resource, &self.batch)).await
    }

    /// What became of the batch. A pause, where it is to be sent again: as long as that says, or as long as seems right.
    fn note(&mut self, sent: Sent) -> Option<Option<Duration>> {
        let many = self.batch.len() as u64;
        match sent {
            Sent::Taken { rejected } => {
                let rejected = rejected.min(many);
                self.traces.note_exported(many - rejected);
                self.traces.lose(Loss::Refused, rejected);
                self.batch.clear();
                None
            }
            Sent::Refused(status) => {
                self.traces.lose(Loss::Refused, many);
                self.batch.clear();
                self.tell(&format!("answered {status}"));
                None
            }
            Sent::NotNow { why, pause } => {
                self.tell(&why);
                Some(pause)
            }
        }
    }

    fn tell(&mut self, why: &str) {
        if self.told.is_none_or(|told| told.elapsed() >= QUIET) {
            self.told = Some(Instant::now());
            tracing::warn!(why, waiting = self.traces.waiting(), "the collector of traces takes no spans");
        }
    }

    /// Sends what is left while there is time.
    async fn finish(mut self) {
        let until = tokio::time::Instant::now() + LAST;
        loop {
            self.fill();
            if self.batch.is_empty() {
                return;
            }
            match timeout_at(until, self.send()).await.map(|sent| self.note(sent)) {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => break,
            }
        }
        let mut lost = self.batch.len() as u64;
        while self.traces.next().is_some() {
            lost += 1;
        }
        self.traces.lose(Loss::Stopped, lost);
        tracing::warn!(spans = lost, "the collector of traces has not taken the last of them");
    }
}

/// Does it, unless the server stops meanwhile.
async fn unless<T>(is_over: &AtomicBool, work: impl Future<Output = T>) -> Option<T> {
    let over = async {
        while !is_over.load(Relaxed) {
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = over => None,
    }
}

/// The metrics of all that.
pub(super) fn metrics() -> Vec<Family> {
    let Some(traces) = traces::traces() else { return Vec::new() };
    let single =
        |name, kind, help, value: u64| Family { name, help, kind, unit: None, samples: vec![(Vec::new(), value.into())] };
    let lost = Loss::ALL.map(|why| (vec![("reason", why.label().to_owned())], traces.lost(why).into()));
    let (name, help) = ("homeroom_traces_dropped", "Spans that no collector has, by the reason");
    vec![
        Family { name, help, kind: Kind::Counter, unit: None, samples: lost.into() },
        single("homeroom_traces_exported", Kind::Counter, "Spans that the collector has", traces.exported()),
        single("homeroom_traces_waiting", Kind::Gauge, "Spans that wait to be sent", traces.waiting() as u64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_a_slip_is_told_without_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        assert!(headers_of(&file).unwrap_err().contains("cannot be read"));
        fs::write(&file, "# for the collector\nAuthorization: Bearer a:b\n\n X-Scope-OrgID:1 \n").unwrap();
        let (token, scope) = (("Authorization", "Bearer a:b"), ("X-Scope-OrgID", "1"));
        assert_eq!(headers_of(&file).unwrap(), [token, scope].map(|(name, value)| (name.to_owned(), value.to_owned())));
        fs::write(&file, "secret").unwrap();
        let why = headers_of(&file).unwrap_err();
        assert!(why.contains("expected lines") && !why.contains("secret"), "{why}");
    }
}
