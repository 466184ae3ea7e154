//! SIGHUP: settings, keys and certificates are read again, all or nothing, and each shard is told.

use super::{
    Fault, House,
    acts::{Acts, By},
    certificates::Certificates,
    door,
    key_sets::{Keeping, later},
    labs,
    vitals::{Endpoints, Vitals},
};
use crate::{
    bridge::Bridge,
    config::{self, Changes, Faults, Loaded, Settings},
    engine::{Answer, Limits, Terms},
    http::control::Changed,
    observe::{
        audit::{self, Audit},
        notify::Supervisor,
        traces,
    },
    realtime::{Histogram, NodeSlot, ShardId, UnixMicros},
    runtime::{Clock, Post, Reload, Stage},
    store::Store,
    tls::tickets::RENEWED_EVERY,
};
use crossbeam::queue::ArrayQueue;
use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// How the settings of this process are read again, and what is done with those that are not the house's own.
pub struct Rereading {
    /// The settings as a start would have them, with key files that can be read.
    pub read: Box<dyn Fn() -> Result<Loaded, Faults> + Send>,
    /// From now on the log has these levels.
    pub log: Box<dyn Fn(&config::Log) + Send>,
    /// How many connections the settings allow here.
    pub connections: Box<dyn Fn(&Settings) -> usize + Send>,
}

/// For each shard the newest house that it has not moved into yet.
pub(super) type Moves = Arc<[ArrayQueue<Arc<House>>]>;

pub(super) fn moves(shards: u16) -> Moves {
    (0..shards).map(|_| ArrayQueue::new(1)).collect()
}

/// Who waits for what comes of a reading.
pub(super) type Asker = oneshot::Sender<Result<Changed, Vec<String>>>;
/// Where readings are asked for.
pub(super) type Readings = mpsc::Sender<Asker>;
/// Askers that may wait.
const ASKERS: usize = 16;

pub(super) fn readings() -> (Readings, mpsc::Receiver<Asker>) {
    mpsc::channel(ASKERS)
}

/// All that hears of a change.
pub(super) struct Told {
    pub(super) stage: Arc<Stage>,
    pub(super) post: Post<Answer>,
    pub(super) node: NodeSlot,
    pub(super) moves: Moves,
    pub(super) limits: Limits,
    pub(super) store: Arc<dyn Store>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) audit: Audit,
    pub(super) acts: Acts,
}

/// What the server goes by now.
pub(super) struct Keeper {
    pub(super) rereading: Rereading,
    pub(super) settings: Settings,
    pub(super) house: Arc<House>,
    pub(super) certificates: Certificates,
    /// What reads the keys of issuers that publish them.
    pub(super) keeping: Keeping,
    pub(super) told: Told,
}

/// Why the files are read.
enum Cause {
    /// SIGHUP.
    Signal,
    /// An operator, who waits.
    Asked(Asker),
    /// Nothing but the keys of tickets, whose time has come.
    Clock,
}

/// What became of reloads: written on the bridge, read by whoever draws metrics or asks how the house is.
#[derive(Default, Debug)]
pub(super) struct Reloads {
    pub(super) times: Histogram,
    pub(super) adopted: AtomicU64,
    pub(super) refused: AtomicU64,
    /// Whether the last one was.
    pub(super) is_refused: AtomicBool,
}

impl Reloads {
    fn note(&self, is_adopted: bool, took: Duration) {
        self.times.record(took);
        let count = if is_adopted { &self.adopted } else { &self.refused };
        count.fetch_add(1, Relaxed);
        self.is_refused.store(!is_adopted, Relaxed);
    }
}

impl Keeper {
    /// Reads again whenever `reload` or one of the `askers` says so, and renews the keys of tickets by the clock, until the process
    /// ends. Runs on the bridge.
    pub(super) fn keep(self, bridge: &Bridge, reload: Reload, mut askers: mpsc::Receiver<Asker>) {
        let supervisor = Supervisor::of_process();
        bridge.run(async move {
            let mut own = self;
            let mut renewal = Instant::now() + RENEWED_EVERY;
            loop {
                let asked = async {
                    tokio::select! {
                        () = reload.asked() => Cause::Signal,
                        Some(asker) = askers.recv() => Cause::Asked(asker),
                    }
                };
                let cause = unless_due(asked, &mut renewal, RENEWED_EVERY).await.unwrap_or(Cause::Clock);
                let supervisor = supervisor.clone();
                // Files, and a manager that may take its time.
                let turn = move || {
                    let is_reload = !matches!(cause, Cause::Clock);
                    if is_reload {
                        supervisor.reloading();
                    }
                    match cause {
                        Cause::Signal => {
                            let came = own.reload();
                            own.told.acts.note("reload", By::signal(), came.map(drop).map_err(|_| "reload_refused"));
                        }
                        // Who has gone meanwhile finds it in the log.
                        Cause::Asked(asker) => drop(asker.send(own.reload())),
                        Cause::Clock => own.renew_tickets(),
                    }
                    if is_reload {
                        supervisor.ready();
                    }
                    own
                };
                let Ok(kept) = tokio::task::spawn_blocking(turn).await else { return };
                own = kept;
            }
        });
    }

    fn renew_tickets(&mut self) {
        if !self.certificates.are_none() {
            self.certificates.renew_keys();
            self.show();
        }
    }

    fn show(&self) {
        match self.certificates.servers() {
            Ok(servers) => self.told.stage.renew(&servers),
            Err(fault) => tracing::error!(%fault, "the certificates stay as they were"),
        }
    }

    fn reload(&mut self) -> Result<Changed, Vec<String>> {
        let began = Instant::now();
        let mut span = traces::inside("reload", None);
        let outcome = self.read();
        match &outcome {
            Ok(changed) => span.number("homeroom.settings_changed", changed.settings.len() as u64),
            Err(_) => span.fail("refused"),
        }
        span.done();
        self.house.reloads.note(outcome.is_ok(), began.elapsed());
        if outcome.is_err() {
            // Whoever has moved the audit log away wants a new one, whatever else there is.
            match audit::open(self.settings.audit.file.as_deref()) {
                Ok(file) => self.told.audit.go_on(file),
                Err(error) => tracing::error!(%error, "the audit log cannot be opened anew, and stays where it is"),
            }
        }
        match &outcome {
            Ok(Changed { settings, keys, waiting }) => {
                let listed = |keys: &[String]| if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
                let (changed, keys) = (listed(settings), listed(keys));
                tracing::info!(changed, keys, "settings, keys and certificates were read again");
                if !waiting.is_empty() {
                    tracing::warn!(settings = listed(waiting), "these have changed and need a restart");
                }
                self.certificates.tell(Clock::started_now().now().wall);
            }
            Err(faults) => {
                for fault in faults {
                    tracing::error!(fault, "read again, and nothing was changed");
                }
            }
        }
        outcome
    }

    /// Everything is read, and made, before anything is changed.
    fn read(&mut self) -> Result<Changed, Vec<String>> {
        let loaded = (self.rereading.read)().map_err(|Faults(faults)| lines(faults))?;
        let adopting = self.settings.adopting(&loaded.settings);
        let (settings, changes) = adopting.map_err(lines)?;
        let now = Clock::started_now().now().wall;
        let renewed = self.house.renewed(&settings, now);
        let (house, keys) = renewed.map_err(lines)?;
        let audit = audit::open(settings.audit.file.as_deref()).map_err(|error| vec![format!("audit.file: {error}")])?;
        let again = self.certificates.read_again();
        let again = again.map_err(lines)?;
        if changes.adopted.contains("labs.templates") {
            labs::add_templates(&*self.told.store, &settings, now).map_err(|fault| vec![fault.to_string()])?;
        }
        self.told.audit.go_on(audit);
        self.certificates.show(again);
        self.show();
        (self.rereading.log)(&settings.log);
        (self.settings, self.house) = (settings, Arc::new(house));
        self.told.vitals.look_for(self.house.endpoints.clone());
        self.house.newest_key_sets.store(self.house.key_sets.clone());
        self.keeping = self.house.key_sets.keep();
        self.move_in();
        let Changes { adopted, waiting } = changes;
        let named = |keys: BTreeSet<&str>| keys.into_iter().map(str::to_owned).collect();
        Ok(Changed { settings: named(adopted), keys, waiting: named(waiting) })
    }

    /// Every shard hears of the house as it is now.
    fn move_in(&mut self) {
        let seats = self.told.limits.seats.clone();
        let connections = (self.rereading.connections)(&self.settings);
        seats.resize(connections);
        let (before, shards, seed) = (&self.told.limits.door, self.house.shards(), self.house.seed);
        let door = door::renewed(before, &self.settings, connections, shards, seed);
        self.told.limits = super::limits(&self.settings, seats, door);
        for (local, queue) in self.told.moves.iter().enumerate() {
            queue.force_push(self.house.clone());
            let terms = Terms { rules: self.house.rules.clone(), limits: self.told.limits.clone() };
            self.told.post.post(ShardId::of(self.told.node, local as u8), [Answer::Terms(Box::new(terms))]);
        }
    }
}

/// What somebody asks, unless the renewal of every so long is due first, however often somebody asks.
async fn unless_due<T>(asked: impl Future<Output = T>, renewal: &mut Instant, every: Duration) -> Option<T> {
    if Instant::now() < *renewal
        && let Ok(asked) = tokio::time::timeout_at(*renewal, asked).await
    {
        return Some(asked);
    }
    *renewal = Instant::now() + every;
    None
}

impl House {
    /// The same house by these settings, with its keys read again: for `former_keys` from `now` on tokens of the keys that issuers had are
    /// good. Returns with it whose key has changed.
    fn renewed(&self, settings: &Settings, now: UnixMicros) -> Result<(House, Vec<String>), Vec<Fault>> {
        // What Homeroom made at its start it would make again, and nobody's token were good any more.
        let gone = self.key_files.iter().filter(|(_, file)| !file.exists());
        let gone: Vec<Fault> =
            gone.map(|(what, file)| Fault::new(format!("the key of {what} is gone: {}", file.display()))).collect();
        if !gone.is_empty() {
            return Err(gone);
        }
        let new = House::new(settings)?;
        let mut changed = Vec::new();
        let mut rules = new.rules;
        if let Some(rules) = Arc::get_mut(&mut rules) {
            let until = later(now, settings.reload.former_keys);
            let students = rules.authority.succeed(&self.rules.authority, now, until);
            let owners = rules.quiz_authority.succeed(&self.rules.quiz_authority, now, until);
            changed.extend(students.into_iter().map(|name| format!("presence tokens of {name}")));
            changed.extend(owners.into_iter().map(|name| format!("quiz tokens of {name}")));
        }
        let outside = new.outside.inheriting(&self.outside);
        let house = House {
            endpoints: Arc::new(Endpoints::new(&rules.catalog, &outside)),
            rules,
            outside,
            ring: self.ring.clone(),
            counters: self.counters.clone(),
            seed: self.seed,
            certificates: self.certificates.clone(),
            reloads: self.reloads.clone(),
            newest_key_sets: self.newest_key_sets.clone(),
            ..new
        };
        Ok((house, changed))
    }
}

fn lines<F: fmt::Display>(faults: Vec<F>) -> Vec<String> {
    faults.iter().map(F::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[test]
    fn whoever_asks_often_puts_no_renewal_off() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let every = Duration::from_millis(40);
            let (began, mut renewal) = (Instant::now(), Instant::now() + every);
            for _ in 0..2 {
                let first = renewal;
                while unless_due(sleep(every / 8), &mut renewal, every).await.is_some() {
                    assert!(began.elapsed() < Duration::from_secs(60), "it was put off");
                }
                assert!(Instant::now() >= first && renewal > first);
            }
            let mut later = Instant::now() + Duration::from_secs(60);
            assert_eq!(unless_due(async { 7 }, &mut later, every).await, Some(7));
        });
    }
}
