//! An engine at work: its questions go to the store and the bridge, and the shell drives it.

use super::{House, agents::Outside, reload::Moves, runs::Runs};
use crate::{
    bridge::Bridge,
    engine::{Answer, Engine, Heard, Letter, Limits, Output, Question, Terms, door::Address, passage::Legacy, port::Listener},
    http::Stopper,
    nats,
    observe::{audit::Audit, traces},
    protocols::{presence::record::Buried, quiz::Good, tasks},
    realtime::{ConnId, HashRing, Moment, NodeSlot, Now, ShardId, StoreFault},
    runtime::{Control, Post, Shard},
    services::PermissionService,
    store::{Read, Store, Ticket},
};
use std::{cell::RefCell, rc::Rc, sync::Arc};
use tokio::sync::mpsc;

/// Those whom an engine asks.
pub(super) struct Asked {
    pub(super) store: Arc<dyn Store>,
    pub(super) bridge: Bridge,
    pub(super) services: Arc<[PermissionService]>,
    pub(super) outside: Outside,
    /// The way back from the bridge.
    pub(super) post: Post<Answer>,
    /// Where this is one of several nodes.
    pub(super) cluster: Option<Arc<nats::Counts>>,
    /// Told what became of what other services said.
    pub(super) heard: mpsc::Sender<Heard>,
    /// Told when the sockets are closed, so that REST ends too.
    pub(super) stopper: Arc<Stopper>,
    /// Houses that this shard is to move into.
    pub(super) moves: Moves,
    /// Told who was let in, and who was not.
    pub(super) audit: Audit,
}

/// By what a shard serves those who come.
pub(super) struct Home {
    pub(super) house: Arc<House>,
    pub(super) limits: Limits,
}

/// One shard's engine with those it asks.
pub(super) struct Shift {
    pub(super) engine: Engine,
    id: ShardId,
    asked: Asked,
    runs: Runs,
    /// Answers that were there at once: the store had no place.
    refusals: Vec<Answer>,
    /// The house as it is, for those who come.
    home: Rc<RefCell<Home>>,
    /// The newest that this shard has seen.
    next: Arc<House>,
    passage: Passage,
}

/// What of an upgrade concerns one shard.
pub(super) struct Passage {
    /// Whether connections can be carried: not where others know them.
    pub(super) carries: bool,
    /// What a former process has left.
    pub(super) legacy: Option<Legacy>,
}

impl Shift {
    pub(super) fn new(engine: Engine, (id, passage): (ShardId, Passage), asked: Asked, home: Rc<RefCell<Home>>) -> Shift {
        let runs = Runs::new(id, asked.bridge.clone(), asked.post.clone(), asked.outside.clone());
        let next = home.borrow().house.clone();
        Shift { engine, id, asked, runs, refusals: Vec::new(), home, next, passage }
    }

    /// New terms have come: goes by the house that they are of. False: a newer one is on its way, whose terms follow.
    fn move_in(&mut self, terms: &Terms) -> bool {
        if let Some(newest) = self.asked.moves.get(usize::from(self.id.local())).and_then(|queue| queue.pop()) {
            self.next = newest;
        }
        if !Arc::ptr_eq(&self.next.rules, &terms.rules) {
            return false;
        }
        (self.asked.services, self.asked.outside) = (self.next.services.clone(), self.next.outside.clone());
        self.runs.reform(self.next.outside.clone());
        *self.home.borrow_mut() = Home { house: self.next.clone(), limits: terms.limits.clone() };
        true
    }

    fn put(&mut self, question: Question) {
        match question {
            Question::Enter { ticket, entering } => {
                if let Err(fault) = self.asked.store.enter(Ticket { shard: self.id, token: ticket }, entering) {
                    self.refusals.push(Answer::Entered { ticket, result: Err(fault) });
                }
            }
            Question::Leave(leaving) => self.asked.store.leave(leaving),
            Question::Keep { ticket, record } => {
                if let Err(fault) = self.asked.store.keep(Ticket { shard: self.id, token: ticket }, record) {
                    self.refusals.push(Answer::Kept { ticket, result: Err(fault) });
                }
            }
            Question::KeepLabs { ticket, record } => {
                if let Err(fault) = self.asked.store.keep_labs(Ticket { shard: self.id, token: ticket }, record) {
                    self.refusals.push(Answer::LabsKept { ticket, result: Err(fault) });
                }
            }
            Question::LoadLabs => self.look(|store| store.labs().map(Box::new), Answer::LabsLoaded),
            Question::LoadRights { now } => self.look(move |store| store.rights(now).map(Box::new), Answer::RightsLoaded),
            Question::LoadKeys => {
                self.look(|store| Ok(Box::new(Good { keys: store.keys()?, passwords: store.accounts()? })), Answer::KeysLoaded)
            }
            Question::Load(quiz) => self.look(move |store| store.quiz(quiz), move |result| Answer::Loaded { quiz, result }),
            Question::Running { look } => self.look(|store| store.running(), move |result| Answer::Running { look, result }),
            Question::KeepChat { ticket, change } => {
                if let Err(fault) = self.asked.store.keep_chat(Ticket { shard: self.id, token: ticket }, change) {
                    self.refusals.push(Answer::ChatKept { ticket, result: Err(fault) });
                }
            }
            Question::LoadSession(load) => {
                let session = load.session;
                self.look(move |store| store.load_session(load), move |result| Answer::SessionLoaded { session, result });
            }
            Question::KeepTasks { ticket, record } => {
                if let Err(fault) = self.asked.store.keep_tasks(Ticket { shard: self.id, token: ticket }, record) {
                    self.refusals.push(Answer::TasksKept { ticket, result: Err(fault) });
                }
            }
            Question::LoadTask(task) => self.look(
                move |store| store.task(task).map(|found| found.map(Box::new)),
                move |result| Answer::TaskLoaded { task, result },
            ),
            Question::LoadExecution(execution) => self.look(
                move |store| store.execution(execution).map(|found| found.map(Box::new)),
                move |result| Answer::ExecutionLoaded { execution, result },
            ),
            Question::LoadTasks { survey, ring } => {
                let id = self.id;
                let is_here = move |home: tasks::Home| ring.home(home.place().as_bytes()) == id;
                self.look(
                    move |store| store.abandoned_tasks().map(|left| Box::new(left.such(is_here))),
                    move |result| Answer::TasksLeft { survey, result },
                );
            }
            Question::CountTasks => self.look(|store| store.task_counts(), Answer::TasksCounted),
            Question::Model { run, prompt } => {
                let cause = traces::cause_of(self.engine.asked_by(run));
                self.refusals.extend(self.runs.ask((run, cause), prompt));
            }
            Question::Tool { run, tool, arguments } => {
                let cause = traces::cause_of(self.engine.asked_by(run));
                self.refusals.extend(self.runs.call((run, cause), &tool, arguments));
            }
            Question::StopRun { run } => self.runs.stop(run),
            Question::Permission { conn, question } => {
                let Some(service) = self.asked.services.get(usize::from(question.service.0)).cloned() else {
                    return self.refusals.push(Answer::Permission { conn, allowed: None });
                };
                let (post, id) = (self.asked.post.clone(), self.id);
                let span = traces::asking("ask permission", "permission_service", self.engine.sign_in_of(conn));
                self.asked.bridge.run(async move {
                    let allowed = service.ask(&question, span).await;
                    if let Err(fault) = &allowed {
                        tracing::debug!(%fault, "a permission service gave no answer");
                    }
                    post.post(id, [Answer::Permission { conn, allowed: allowed.ok() }]);
                });
            }
        }
    }

    /// Reads for a home that begins, on a thread that may wait long.
    fn look<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Read<T> + Send + 'static,
        answer: impl FnOnce(Read<T>) -> Answer + Send + 'static,
    ) {
        let (store, post, id) = (self.asked.store.clone(), self.asked.post.clone(), self.id);
        let bridge = self.asked.bridge.clone();
        self.asked.bridge.run(async move {
            let result = bridge.call_long(move || read(&*store)).await.unwrap_or(Err(StoreFault::Busy));
            post.post(id, [answer(result)]);
        });
    }
}

impl Shard for Shift {
    type Letter = Letter;
    type Loss = Vec<Buried>;
    type Answer = Answer;

    fn accepted(&mut self, listener: Listener, from: Address, now: Now) -> Option<ConnId> {
        self.engine.accepted_from(listener, from, now)
    }

    fn comes_from(&mut self, conn: ConnId, from: Address, now: Now) {
        self.engine.comes_from(conn, from, now);
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        self.engine.received(conn, bytes, now);
    }

    fn ended(&mut self, conn: ConnId, now: Now) {
        self.engine.ended(conn, now);
    }

    fn sent(&mut self, conn: ConnId, ok: bool, now: Now) {
        self.engine.sent(conn, ok, now);
    }

    fn released(&mut self, conn: ConnId) {
        self.engine.released(conn);
    }

    fn letter(&mut self, from: ShardId, letter: Letter, now: Now) {
        self.engine.letter(from, letter, now);
    }

    fn view(&mut self, ring: Arc<HashRing>, now: Now) {
        self.engine.view(ring, now);
    }

    fn mourn(&mut self, node: (NodeSlot, u64), buried: Vec<Buried>) {
        self.engine.mourn(node, buried);
    }

    fn estranged(&mut self, node: NodeSlot, now: Now) {
        self.engine.estranged(node, now);
    }

    fn answer(&mut self, answer: Answer, now: Now) {
        if let Answer::Terms(terms) = &answer
            && !self.move_in(terms)
        {
            return;
        }
        self.runs.note(&answer);
        self.engine.answer(answer, now);
    }

    fn control(&mut self, control: Control, now: Now) {
        match control {
            Control::Thin(pace) => self.engine.thin(pace, now),
            Control::Drain => self.engine.drain(now),
            Control::Close => {
                self.asked.stopper.stop();
                self.engine.close(now);
            }
        }
    }

    fn tick(&mut self, now: Now) {
        for refusal in std::mem::take(&mut self.refusals) {
            self.engine.answer(refusal, now);
        }
        self.engine.tick(now);
    }

    fn next_deadline(&self) -> Option<Moment> {
        if self.refusals.is_empty() { self.engine.next_deadline() } else { Some(Moment::default()) }
    }

    fn finish(&mut self, now: Now, out: &mut Output) {
        self.engine.finish(now, out);
        if let Some(counts) = &self.asked.cluster {
            self.engine.broken().iter().for_each(|node| counts.ask_to_break(*node));
        }
        for heard in self.engine.heard_outside().drain(..) {
            // There is room for all that may be told. Nobody waits where there is no cluster.
            let _ = self.asked.heard.try_send(heard);
        }
        self.engine.audit().drain(..).for_each(|record| self.asked.audit.note(record));
        self.engine.take_spans(traces::note);
        let mut questions = std::mem::take(self.engine.questions());
        for question in questions.drain(..) {
            self.put(question);
        }
        *self.engine.questions() = questions;
    }

    fn submitted(&mut self, now: Moment) {
        self.engine.submitted(now);
    }

    fn leave(&mut self, is_plain: &dyn Fn(ConnId) -> bool, now: Now) {
        self.asked.stopper.stop();
        let carries = self.passage.carries;
        self.engine.leave(&|conn| carries && is_plain(conn), now);
    }

    fn part(&mut self, is_plain: &dyn Fn(ConnId) -> bool, now: Now) {
        let carries = self.passage.carries;
        self.engine.part_for_good(&|conn| carries && is_plain(conn), now);
    }

    fn is_quiet(&self) -> bool {
        self.refusals.is_empty() && self.engine.is_quiet()
    }

    fn estate(&mut self, is_free: &dyn Fn(ConnId) -> bool, now: Now) -> (Vec<u8>, Vec<ConnId>) {
        let carries = self.passage.carries;
        let (estate, conns) = self.engine.estate(&|conn| carries && is_free(conn), now);
        (estate.write(), conns)
    }

    fn take_over(&mut self, from: &[Address], now: Now) -> Vec<ConnId> {
        self.passage.legacy.take().map(|legacy| self.engine.take_over(legacy, from, now)).unwrap_or_default()
    }

    fn owed(&self) -> usize {
        self.engine.owed()
    }

    fn letters(&mut self) -> &mut Vec<(ShardId, Letter)> {
        self.engine.letters()
    }
}
