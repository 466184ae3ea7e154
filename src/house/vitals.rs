//! How the parts of the house are, truthfully: for `system_status` and `GET /health`.
//!
//! The store says how its last batch went; its heartbeat is one too. The bridge is well while its threads that may wait take up a new
//! errand in time. An endpoint is what its last request said of it. One that nobody asked for a while is looked for: a connection is made
//! and closed; one that did not answer is asked for nothing until it says so. There is no vector database: what would be asked of one, the
//! search over what was said, is in the records.

use super::{
    agents::Outside,
    cluster,
    tally::{Sign, Tally},
};
use crate::{
    models::{Backend, Catalog},
    nats,
    protocols::tasks::Health,
    realtime::StoreFault,
    runtime::Phase,
    services::Endpoint,
    store::{Outcome, Store},
};
use crossbeam::queue::ArrayQueue;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    task::{self, JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};

/// How often all of it is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// An endpoint that takes longer to show itself is not there.
const PATIENCE: Duration = Duration::from_secs(2);
/// An errand that may wait and is not begun in this time says that the bridge is stuck.
const STUCK: Duration = Duration::from_secs(5);
/// A request that failed so long ago says nothing any more.
const LATELY: Duration = Duration::from_secs(60);

/// How one part is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Condition {
    Operational,
    Degraded,
    Down,
}

impl Condition {
    fn told(self) -> Arc<str> {
        match self {
            Condition::Operational => "operational",
            Condition::Degraded => "degraded",
            Condition::Down => "down",
        }
        .into()
    }
}

/// A model behind HTTP that an agent may use.
struct Vital {
    endpoint: Endpoint,
    tally: Arc<Tally>,
    /// Whether it could be reached when it was last looked for.
    is_there: AtomicBool,
}

impl Vital {
    fn is_well(&self) -> bool {
        match self.tally.last(LATELY) {
            Some(Sign::Absent | Sign::Ill) => false,
            Some(Sign::Well) | None => self.is_there.load(Relaxed),
        }
    }

    /// Finds out what requests do not tell. `is_due`: also of one that was there when it was last looked for, and that nobody asked since.
    async fn look(&self, silent: Duration, is_due: bool) {
        match self.tally.last(LATELY.max(silent)) {
            Some(Sign::Absent) => {
                let is_there = self.endpoint.says_something(PATIENCE).await;
                self.is_there.store(is_there, Relaxed);
                if is_there {
                    self.tally.shows(Sign::Well);
                }
            }
            Some(Sign::Well) if self.tally.last(silent).is_some() => self.is_there.store(true, Relaxed),
            Some(Sign::Well | Sign::Ill) | None if is_due || !self.is_there.load(Relaxed) => {
                self.is_there.store(self.endpoint.is_reachable(PATIENCE).await, Relaxed);
            }
            Some(Sign::Well | Sign::Ill) | None => {}
        }
    }
}

/// The models that agents may use.
pub(super) struct Endpoints {
    vitals: Vec<Arc<Vital>>,
    /// Whether agents may use the built-in one too, which is always there.
    has_builtin: bool,
}

/// See the file.
pub(super) struct Vitals {
    store: Arc<dyn Store>,
    /// Those that are looked for from the next look on, where they have changed.
    newest: ArrayQueue<Arc<Endpoints>>,
    is_stuck: AtomicBool,
    /// Where this is one of several nodes.
    bus: Option<Arc<nats::Counts>>,
}

impl Endpoints {
    pub(super) fn new(catalog: &Catalog, outside: &Outside) -> Endpoints {
        let used = catalog.agents.values().flat_map(|agent| std::iter::once(&agent.model).chain(&agent.others));
        let used: Vec<_> = used.collect();
        let has_builtin = used.iter().any(|model| matches!(model.backend, Backend::Builtin { .. }));
        let names: BTreeSet<&Arc<str>> = used.iter().map(|model| &model.name).collect();
        let endpoints = names.into_iter().filter_map(|name| outside.models.get(name));
        let vital = |(endpoint, tally): &(Endpoint, Arc<Tally>)| {
            Arc::new(Vital { endpoint: endpoint.clone(), tally: tally.clone(), is_there: AtomicBool::new(true) })
        };
        Endpoints { vitals: endpoints.map(vital).collect(), has_builtin }
    }

    fn condition(&self) -> Condition {
        let well = self.vitals.iter().filter(|vital| vital.is_well()).count();
        match (well == self.vitals.len(), well > 0 || self.has_builtin) {
            (true, _) => Condition::Operational,
            (false, true) => Condition::Degraded,
            (false, false) => Condition::Down,
        }
    }

    /// Looks for all endpoints at a time.
    async fn look(&self, silent: Duration, is_due: bool) {
        let mut looks = JoinSet::new();
        for vital in &self.vitals {
            let vital = vital.clone();
            looks.spawn(async move { vital.look(silent, is_due).await });
        }
        while looks.join_next().await.is_some() {}
    }
}

impl Vitals {
    pub(super) fn new(store: Arc<dyn Store>) -> Vitals {
        Vitals { store, newest: ArrayQueue::new(1), is_stuck: AtomicBool::new(false), bus: None }
    }

    /// From the next look on these are looked for.
    pub(super) fn look_for(&self, endpoints: Arc<Endpoints>) {
        self.newest.force_push(endpoints);
    }

    /// The same, which looks at the bus too.
    pub(super) fn with_bus(self, bus: Option<Arc<nats::Counts>>) -> Vitals {
        Vitals { bus, ..self }
    }

    /// As of now.
    pub(super) fn health(&self, phase: Phase, endpoints: &Endpoints) -> Health {
        let database = self.database().told();
        Health { api: self.api(phase).told(), vector_db: database.clone(), database, model_service: endpoints.condition().told() }
    }

    fn api(&self, phase: Phase) -> Condition {
        let hears = self.bus.as_deref().and_then(cluster::unready).is_none();
        let is_well = phase == Phase::Serving && hears && !self.is_stuck.load(Relaxed);
        if is_well { Condition::Operational } else { Condition::Degraded }
    }

    fn database(&self) -> Condition {
        match self.store.health().outcome() {
            Outcome::Untried | Outcome::Done => Condition::Operational,
            Outcome::Fault(StoreFault::Busy) => Condition::Degraded,
            Outcome::Fault(StoreFault::Failed) => Condition::Down,
        }
    }
}

/// Runs on the bridge for as long as it does, and tells every change. Endpoints that are there and that nobody asks are looked for once in
/// `every`; those that are not, at each look.
pub(super) async fn watch(
    (vitals, mut endpoints): (Arc<Vitals>, Arc<Endpoints>),
    phase: impl Fn() -> Phase,
    every: Duration,
    tell: impl Fn(Health),
) {
    let mut known = Health::default();
    let mut look_at = Instant::now();
    let mut waiting: Option<(Instant, JoinHandle<()>)> = None;
    let mut looks = interval(LOOK.min(every));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let newest = vitals.newest.pop();
        let is_due = newest.is_some() || look_at <= Instant::now();
        endpoints = newest.unwrap_or(endpoints);
        endpoints.look(every, is_due).await;
        if is_due {
            look_at = Instant::now() + every;
        }
        let (asked_at, errand) = waiting.take().unwrap_or_else(|| (Instant::now(), task::spawn_blocking(|| {})));
        vitals.is_stuck.store(!errand.is_finished() && asked_at.elapsed() > STUCK, Relaxed);
        waiting = Some((asked_at, errand)).filter(|(_, errand)| !errand.is_finished());
        let health = vitals.health(phase(), &endpoints);
        if health != known {
            known = health.clone();
            tell(health);
        }
    }
}

/// A line for whoever looks after the server.
pub(super) fn log(health: &Health) {
    let Health { api, database, model_service, .. } = health;
    if *health == Health::default() {
        tracing::info!("all parts are operational");
    } else {
        tracing::warn!(%api, %database, models = %model_service, "not all parts are operational");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Layers, Loaded},
        house::{agents, tally::Fate},
        protocols::tasks::{model::Task, record::Record},
        realtime::{ShardId, UnixMicros},
        store::{MemoryStore, Mood, Ticket},
    };
    use std::net::TcpListener;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const MINUTE: Duration = Duration::from_secs(60);

    fn endpoints(text: &str) -> (Arc<Endpoints>, Outside) {
        let settings = Loaded::of(&Layers::default().file("homeroom.toml", text)).unwrap().settings;
        let mut faults = Vec::new();
        let (catalog, outside) = agents::furnish(&settings, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        (Arc::new(Endpoints::new(&catalog, &outside)), outside)
    }

    fn model(name: &str, port: u16) -> String {
        format!("[[models]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{port}/v1/chat/completions\"\nmodel = \"x\"\n")
    }

    fn told(vitals: &Vitals) -> [String; 4] {
        let Health { api, database, vector_db, model_service } = vitals.health(Phase::Serving, &endpoints("").0);
        [api, database, vector_db, model_service].map(|text| text.to_string())
    }

    fn models(endpoints: &Endpoints) -> String {
        endpoints.condition().told().to_string()
    }

    fn on_tokio<F: Future>(work: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn the_records_are_as_their_last_batch_was() {
        let store = Arc::new(MemoryStore::default());
        let vitals = Vitals::new(store.clone());
        assert_eq!(told(&vitals), ["operational"; 4]);
        for (mood, database) in [(Mood::Failing, "down"), (Mood::Busy, "degraded"), (Mood::Prompt, "operational")] {
            let task = Task::new(uuid::Uuid::from_u128(1), "ann".into(), "x", UnixMicros(1));
            store.keep_tasks(Ticket { shard: ShardId(0), token: 1 }, Record::Task(Box::new(task))).unwrap();
            store.be(mood);
            store.take_answers();
            assert_eq!(told(&vitals), ["operational", database, database, "operational"]);
        }
        assert_eq!(&*vitals.health(Phase::Draining, &endpoints("").0).api, "degraded");
        let deaf = vitals.with_bus(Some(Arc::default()));
        assert_eq!(&*deaf.health(Phase::Serving, &endpoints("").0).api, "degraded", "there is a bus, and nothing is heard by it");
    }

    #[test]
    fn models_are_as_their_last_requests_were() {
        let (own, outside) = endpoints(&[model("a", 1), model("b", 1)].concat());
        let tally = |name: &str| outside.models[name].1.clone();
        assert_eq!(models(&own), "operational", "nobody has asked yet");
        tally("a").note(Fate::Unreachable);
        assert_eq!(models(&own), "degraded");
        tally("b").note(Fate::Denied);
        assert_eq!(models(&own), "down");
        tally("a").note(Fate::Answered);
        tally("b").note(Fate::Stopped);
        assert_eq!(models(&own), "degraded");
        let agent = "[[agents]]\nname = \"tutor\"\nmodel = \"builtin\"\n";
        let (beside, outside) = endpoints(&[&model("a", 1), agent].concat());
        outside.models["a"].1.note(Fate::Unreachable);
        assert_eq!(models(&beside), "operational", "no agent uses it");
        let (beside, outside) = endpoints(&[&model("a", 1), agent, "other_models = [\"a\"]\n"].concat());
        outside.models["a"].1.note(Fate::Unreachable);
        assert_eq!(models(&beside), "degraded", "the built-in one is always there");
    }

    #[test]
    fn an_endpoint_that_nobody_asks_is_looked_for() {
        on_tokio(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let (own, outside) = endpoints(&model("a", port));
            own.look(MINUTE, true).await;
            assert_eq!(models(&own), "operational");
            // It is over for a process too that was forked meanwhile and has it open.
            rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
            own.look(MINUTE, false).await;
            assert_eq!(models(&own), "operational", "not yet");
            own.look(MINUTE, true).await;
            assert_eq!(models(&own), "down");
            outside.models["a"].1.note(Fate::Answered);
            own.look(MINUTE, false).await;
            assert_eq!(models(&own), "operational", "what it answers says more");
        });
    }

    #[test]
    fn an_endpoint_that_did_not_answer_is_asked_until_it_says_something() {
        on_tokio(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (own, outside) = endpoints(&model("a", listener.local_addr().unwrap().port()));
            let says = async |status: &str| {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0, "it was asked");
            };
            outside.models["a"].1.note(Fate::Unreachable);
            tokio::join!(own.look(MINUTE, false), says("503 Busy"));
            assert_eq!(models(&own), "down", "it can be connected to, which is not enough");
            tokio::join!(own.look(MINUTE, false), says("404 Not Found"));
            assert_eq!(models(&own), "operational");
            outside.models["a"].1.note(Fate::Denied);
            own.look(MINUTE, true).await;
            assert_eq!(models(&own), "down", "it is there, and does not want us");
        });
    }

    #[test]
    fn what_changes_is_told_once() {
        on_tokio(async {
            let store = Arc::new(MemoryStore::default());
            let (own, outside) = endpoints(&model("a", 1));
            let vitals = Arc::new(Vitals::new(store));
            let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
            let phase = || Phase::Serving;
            let watching = watch((vitals.clone(), own), phase, Duration::from_millis(10), move |health| drop(tell.send(health)));
            let heard = async {
                let first = told.recv().await.unwrap();
                assert_eq!(&*first.model_service, "down", "nobody listens at port 1");
                // As often as it looks: what is answered says something only for as long as that.
                loop {
                    outside.models["a"].1.note(Fate::Answered);
                    if let Ok(Some(health)) = tokio::time::timeout(Duration::from_millis(2), told.recv()).await {
                        return health;
                    }
                }
            };
            let health = tokio::select! {
                () = watching => panic!("it watches for ever"),
                health = heard => health,
            };
            assert_eq!(health, Health::default());
        });
    }

    #[test]
    fn models_that_were_read_again_are_looked_for_in_place_of_the_former() {
        on_tokio(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let vitals = Arc::new(Vitals::new(Arc::<MemoryStore>::default()));
            let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
            let watched = (vitals.clone(), endpoints(&model("a", 1)).0);
            let watching = watch(watched, || Phase::Serving, MINUTE, move |health| drop(tell.send(health)));
            let heard = async {
                assert_eq!(&*told.recv().await.unwrap().model_service, "down");
                vitals.look_for(endpoints(&model("b", listener.local_addr().unwrap().port())).0);
                told.recv().await.unwrap()
            };
            let health = tokio::select! {
                () = watching => panic!("it watches for ever"),
                health = heard => health,
            };
            assert_eq!(health, Health::default());
        });
    }
}
