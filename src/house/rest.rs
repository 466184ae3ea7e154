//! The contracts of REST, fulfilled: homes are asked by letters, records and services by the bridge.

mod chat;
mod console;
mod labs;
mod quiz;
mod tasks;

use super::{House, cluster, metrics, shift::Shift, vitals::Vitals};
use crate::{
    auth::{self, Action, Decision, PermissionQuestion},
    bridge::Bridge,
    config::{self, Api},
    http::{self, Table, console::LabsPlace, internal, presence, rooms},
    nats,
    protocols::presence::{
        asks::{Ask, Member, Publication, Reply},
        record::{Attendance, StoreFault},
    },
    realtime::{ClassroomId, UnixMicros},
    runtime::{Clock, Nudge, Phase, Stage},
    services::{PasswordFault, Passwords},
    store::{Outcome, Read, Store},
};
use std::{cell::RefCell, future::poll_fn, rc::Rc, sync::Arc};

/// What one shard's REST tasks have at hand.
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
    pub(super) labs_place: LabsPlace,
    /// Where this is one of several nodes.
    pub(super) cluster: Option<Arc<nats::Counts>>,
}

/// The routes of one listener.
pub(super) fn table(listener: &config::Listener, house: &House) -> Table<Rest> {
    let mut serves = listener.serves.clone();
    // Where routes meet on a shared listener, the API's own goes before the internal one.
    serves.sort_by_key(|(api, _)| *api);
    let whole = serves.iter().try_fold(Table::default(), |table, (api, prefix)| match api {
        Api::Presence => table.with(prefix, presence::routes()),
        Api::Quiz => table.with(prefix, http::quiz::routes()),
        Api::Labs => table.with_gate(prefix, http::labs::routes(), http::labs::gate()),
        // What chat minds it answers, whether a route is there or not; all else is of tasks.
        Api::Chat => table
            .with_gate(prefix, http::chat::routes(&house.rules.chat), http::chat::gate())
            .and_then(|table| table.with(prefix, http::tasks::routes(&house.rules.tasks))),
        Api::Internal => {
            [internal::routes(), http::quiz::internal_routes(), http::labs::internal_routes(), http::console::routes()]
                .into_iter()
                .try_fold(table, |table, routes| table.with(prefix, routes))
        }
    });
    whole.expect("the settings' check refuses prefixes that make no route")
}

pub(super) use console::labs_place;

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
        matches!(self.bridge.ask(async move { service.ask(&question).await }).await, Some(Ok(true)))
    }
}

impl rooms::Classrooms for Rest {
    async fn members(&self, classroom: ClassroomId, after: i64, limit: usize) -> Vec<Member> {
        match self.ask_classroom(Ask::Members { classroom, after, limit }).await {
            Reply::Members(members) => members,
            Reply::Counts(_) | Reply::Published { .. } | Reply::Closed(_) => Vec::new(),
        }
    }

    async fn counts(&self, classrooms: Vec<ClassroomId>) -> Vec<(ClassroomId, u64)> {
        let by_home = self.shift.borrow().engine.by_home(classrooms, |classroom| *classroom);
        let mut all = Vec::new();
        for classrooms in by_home {
            if let Reply::Counts(counts) = self.ask_classroom(Ask::Counts { classrooms }).await {
                all.extend(counts);
            }
        }
        all
    }

    async fn publish(&self, classroom: ClassroomId, event: Publication) -> (i64, u64) {
        match self.ask_classroom(Ask::Publish { classroom, event }).await {
            Reply::Published { sequence_id, members } => (sequence_id, members),
            Reply::Members(_) | Reply::Counts(_) | Reply::Closed(_) => (0, 0),
        }
    }

    async fn close(&self, classroom: ClassroomId, agent_id: String) -> bool {
        self.ask_classroom(Ask::Close { classroom, agent_id }).await == Reply::Closed(true)
    }

    async fn attendance(&self, classroom: ClassroomId, from: UnixMicros, to: UnixMicros) -> Result<Vec<Attendance>, StoreFault> {
        let store = self.store.clone();
        self.bridge.call(move || store.attendance(classroom, from, to)).await.unwrap_or(Err(StoreFault::Busy))
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
    fn metrics(&self) -> String {
        let (engines, shells) = (&self.house.counters, self.stage.all_counts());
        metrics::text(
            engines,
            shells,
            self.store.health(),
            &self.house.outside,
            self.cluster.as_deref(),
            &self.house.certificates,
        )
    }

    fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        if self.stage.phase() != Phase::Serving {
            reasons.push("stopping".to_owned());
        }
        if let Outcome::Fault(fault) = self.store.health().outcome() {
            let why = match fault {
                StoreFault::Busy => "busy",
                StoreFault::Failed => "failing",
            };
            reasons.push(format!("store: {why}"));
        }
        reasons.extend(self.cluster.as_deref().and_then(cluster::unready).map(str::to_owned));
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
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
