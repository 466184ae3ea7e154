//! The contracts of REST, fulfilled: homes are asked by letters, records and services by the bridge.

mod chat;
mod console;
mod control;
mod labs;
mod quiz;
mod tasks;

use super::{
    House, audit,
    desk::Desk,
    door, health, metrics,
    shift::{Home, Shift},
    vitals::Vitals,
};
use crate::{
    auth::{self, Action, Decision, PermissionQuestion},
    bridge::Bridge,
    config::{self, Api},
    http::{self, App, Stop, Table, console::Places, documents::Documents, internal, presence, rooms},
    nats,
    observe::{audit::Audit, exposition::Form, traces},
    protocols::{
        chat::Settings as ChatSettings,
        presence::{
            asks::{Ask, Member, Publication, Reply},
            record::{Attendance, StoreFault},
        },
        tasks::Settings as TasksSettings,
    },
    realtime::{ClassroomId, UnixMicros},
    runtime::{Clock, Nudge, Phase, Stage},
    services::{PasswordFault, Passwords},
    store::{Read, Store},
};
use std::{cell::RefCell, future::poll_fn, rc::Rc, sync::Arc};

/// What one shard's REST tasks have at hand.
#[derive(Clone)]
pub(super) struct Rest {
    pub(super) shift: Rc<RefCell<Shift>>,
    pub(super) nudge: Nudge,
    pub(super) clock: Clock,
    pub(super) stage: Arc<Stage>,
    pub(super) house: Arc<House>,
    pub(super) store: Arc<dyn Store>,
    pub(super) bridge: Bridge,
    pub(super) passwords: Passwords,
    pub(super) vitals: Arc<Vitals>,
    pub(super) places: Places,
    pub(super) desk: Desk,
    pub(super) audit: Audit,
    /// When this process began to serve.
    pub(super) started_at: UnixMicros,
    /// Where this is one of several nodes.
    pub(super) cluster: Option<Arc<nats::Counts>>,
}

/// Where connections of REST are served, by the house as it is when they come.
pub(super) struct Counter {
    app: Rc<App<Rest>>,
    tables: Vec<Rc<Table<Rest>>>,
    /// Of each listener.
    documents: Arc<[Documents]>,
}

impl Counter {
    pub(super) fn new(rest: Rest, documents: Arc<[Documents]>, limits: http::Limits, stop: Stop) -> Counter {
        let (listeners, rules) = (rest.house.listeners.iter().zip(&*documents), &rest.house.rules);
        let whole = |(listener, own)| table(listener, (&rules.chat, &rules.tasks), own).audited(audit::scribe(&rest));
        let tables = listeners.map(|one| Rc::new(whole(one))).collect();
        Counter { app: Rc::new(App { house: Rc::new(rest), limits, stop }), tables, documents }
    }

    /// For a connection by the listener of this number.
    pub(super) fn serving(&mut self, Home { house, limits }: &Home, listener: u8) -> (Rc<App<Rest>>, Rc<Table<Rest>>) {
        if !Arc::ptr_eq(house, &self.app.house.house) {
            let rest = Rest { house: house.clone(), ..(*self.app.house).clone() };
            *self = Counter::new(rest, self.documents.clone(), door::http(&limits.door), self.app.stop.clone());
        }
        (self.app.clone(), self.tables[usize::from(listener)].clone())
    }
}

/// The routes of one listener.
pub(super) fn table(
    listener: &config::Listener,
    (chat, tasks): (&ChatSettings, &TasksSettings),
    documents: &Documents,
) -> Table<Rest> {
    let mut serves = listener.serves.clone();
    // Where routes meet on a shared listener, the API's own goes before the internal one.
    serves.sort_by_key(|(api, _)| *api);
    let whole = serves.iter().try_fold(Table::default(), |table, (api, prefix)| match api {
        Api::Presence => table.of("presence").with(prefix, presence::routes()),
        Api::Quiz => table.of("quiz").with(prefix, http::quiz::routes()),
        Api::Labs => table.of("labs").with_gate(prefix, http::labs::routes(), http::labs::gate()),
        // What chat minds it answers, whether a route is there or not; all else is of tasks.
        Api::Chat => table
            .of("chat")
            .with_gate(prefix, http::chat::routes(chat), http::chat::gate())
            .and_then(|table| table.of("tasks").with(prefix, http::tasks::routes(tasks))),
        Api::Internal => {
            let accounts = [http::quiz::internal_routes(), http::labs::internal_routes()].map(http::control::for_operators);
            [internal::routes(), http::control::routes(), http::console::routes()]
                .into_iter()
                .chain(accounts)
                .chain([http::chat::internal_routes()])
                .try_fold(table.of("internal"), |table, routes| table.with(prefix, routes))
        }
    });
    // To be had with and without the prefixes; a listener of internal routes alone is for no page.
    let is_internal = listener.serves.iter().all(|(api, _)| *api == Api::Internal);
    let routes = if is_internal { http::documents::internal_routes } else { http::documents::routes };
    let mut places = listener.serves.iter().map(|(_, prefix)| &**prefix).chain([""]);
    let whole = whole.and_then(|table| places.try_fold(table, |table, prefix| table.with(prefix, routes(documents))));
    whole.expect("the settings' check refuses prefixes that make no route")
}

pub(super) use console::{origins, places};

/// An ask on its way: forgotten when its future is dropped, as when the client has gone.
struct Asked<'a> {
    rest: &'a Rest,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.rest.shift.borrow_mut().engine.forget_ask(self.number);
    }
}

impl Rest {
    fn phase(&self) -> &'static str {
        match self.stage.phase() {
            Phase::Serving | Phase::Leaving | Phase::Shutting | Phase::Parting => "serving",
            Phase::Thinning | Phase::Draining => "draining",
            Phase::Closing | Phase::Gone => "closing",
        }
    }

    /// Reads the records on a thread that may wait.
    async fn read<T: Send + 'static>(&self, read: impl FnOnce(&dyn Store) -> Read<T> + Send + 'static) -> Read<T> {
        let store = self.store.clone();
        self.bridge.call(move || read(&*store)).await.unwrap_or(Err(StoreFault::Busy))
    }

    async fn ask_classroom(&self, ask: Ask) -> Reply {
        let asked = Asked { rest: self, number: self.shift.borrow_mut().engine.ask(ask) };
        self.nudge.nudge();
        poll_fn(|cx| self.shift.borrow_mut().engine.poll_reply(asked.number, cx.waker())).await
    }

    async fn ask_service(&self, question: PermissionQuestion) -> bool {
        let Some(service) = self.house.services.get(usize::from(question.service.0)).cloned() else { return false };
        let span = traces::asking("ask permission", "permission_service", traces::current());
        matches!(self.bridge.ask(async move { service.ask(&question, span).await }).await, Some(Ok(true)))
    }
}

impl rooms::Classrooms for Rest {
    async fn members(&self, classroom: ClassroomId, after: i64, limit: usize) -> Result<Vec<Member>, StoreFault> {
        match self.ask_classroom(Ask::Members { classroom, after, limit }).await {
            Reply::Members(members) => Ok(members),
            Reply::Counts(_) | Reply::Published { .. } | Reply::Closed(_) | Reply::Late => Err(StoreFault::Busy),
        }
    }

    async fn counts(&self, classrooms: Vec<ClassroomId>) -> Result<Vec<(ClassroomId, u64)>, StoreFault> {
        let by_home = self.shift.borrow().engine.by_home(classrooms, |classroom| *classroom);
        let mut all = Vec::new();
        for classrooms in by_home {
            match self.ask_classroom(Ask::Counts { classrooms }).await {
                Reply::Counts(counts) => all.extend(counts),
                Reply::Members(_) | Reply::Published { .. } | Reply::Closed(_) | Reply::Late => return Err(StoreFault::Busy),
            }
        }
        Ok(all)
    }

    async fn publish(&self, classroom: ClassroomId, event: Publication) -> Result<(i64, u64), StoreFault> {
        match self.ask_classroom(Ask::Publish { classroom, event }).await {
            Reply::Published { sequence_id, members } => Ok((sequence_id, members)),
            Reply::Members(_) | Reply::Counts(_) | Reply::Closed(_) | Reply::Late => Err(StoreFault::Busy),
        }
    }

    async fn close(&self, classroom: ClassroomId, agent_id: String) -> Result<bool, StoreFault> {
        match self.ask_classroom(Ask::Close { classroom, agent_id }).await {
            Reply::Closed(is_closed) => Ok(is_closed),
            Reply::Members(_) | Reply::Counts(_) | Reply::Published { .. } | Reply::Late => Err(StoreFault::Busy),
        }
    }

    async fn attendance(&self, classroom: ClassroomId, from: UnixMicros, to: UnixMicros) -> Result<Vec<Attendance>, StoreFault> {
        let store = self.store.clone();
        self.bridge.call(move || store.attendance(classroom, from, to)).await.unwrap_or(Err(StoreFault::Busy))
    }

    async fn occupied(&self, limit: u32) -> Result<Vec<(ClassroomId, u64)>, StoreFault> {
        self.read(move |store| store.occupied(limit)).await
    }

    async fn permitted(&self, subject: &str, audience: &str, classroom: ClassroomId, action: &'static str) -> bool {
        let account = auth::Account { subject: subject.to_owned(), audience: audience.to_owned() };
        let Some(action) = Action::named(action) else { return false };
        match self.house.rules.permissions.decide(&account, classroom, action) {
            Decision::Allowed => true,
            Decision::Denied => false,
            Decision::Ask(question) => self.ask_service(question).await,
        }
    }
}

impl rooms::Accounts for Rest {
    fn verify(&self, token: &str) -> Result<rooms::Account, rooms::Unverified> {
        let account = self.house.authority().verify(token, self.clock.now().wall).map_err(|_| rooms::Unverified)?;
        Ok(rooms::Account { subject: account.subject, audience: account.audience })
    }
}

impl rooms::Clock for Rest {
    fn now(&self) -> UnixMicros {
        self.clock.now().wall
    }
}

impl rooms::Observatory for Rest {
    fn metrics(&self, form: Form) -> Vec<u8> {
        let (engines, shells) = (&self.house.counters, self.stage.all_counts());
        let mut families = metrics::draw(&metrics::Sources {
            engines,
            shells,
            store: self.store.health(),
            outside: &self.house.outside,
            cluster: self.cluster.as_deref(),
            certificates: &self.house.certificates,
            key_sets: &self.house.newest_key_sets.load(),
            reloads: &self.house.reloads,
            process: &self.vitals.process,
            health: (&self.live(), &self.ready()),
        });
        families.extend(audit::metrics(&self.audit));
        families.extend(super::traces::metrics());
        form.write(&families)
    }

    async fn node(&self) -> rooms::Node {
        let (files, store, vitals) = (self.house.key_files.clone(), self.store.clone(), self.vitals.clone());
        let look = move || (console::ages(files), console::nodes(store.lease()).ok(), vitals.lately.delivery());
        let (keys, nodes, times) = self.bridge.call(look).await.unwrap_or_default();
        let delivery = rooms::Delivery { frames: times.count(), p50: times.quantile(0.5), p99: times.quantile(0.99) };
        let phase = self.phase();
        let drain = self.stage.stopping().map(|(elapsed, times)| (elapsed, times.drain));
        let (version, shards) = (env!("CARGO_PKG_VERSION"), self.house.shards());
        let (certificates, key_sets) = (self.house.certificates.shown(), console::key_sets(&self.house));
        rooms::Node { version, shards, started_at: self.started_at, phase, drain, delivery, keys, certificates, key_sets, nodes }
    }

    fn live(&self) -> rooms::Condition {
        self.vitals.beats.condition()
    }

    fn ready(&self) -> rooms::Condition {
        let shown = (&self.house.certificates, &*self.house.reloads);
        health::ready(shown, &self.vitals, self.stage.phase(), self.clock.now().wall)
    }
}

fn unhashed(why: PasswordFault) -> StoreFault {
    match why {
        PasswordFault::Crowded => StoreFault::Busy,
        PasswordFault::Failed => StoreFault::Failed,
    }
}

fn random(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the kernel has randomness, as it had at the start; a key without it would be nobody's");
}
