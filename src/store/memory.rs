//! A store in memory: the same contract, deterministic, without a thread, and as slow or broken as a test wants it.

mod chat;
mod labs;
mod lease;
mod library;
mod records;
mod tasks;

use super::{
    Answer, Entered, Health, Lease, Store, Tenure, Ticket,
    intervals::{Interval, told},
    lease::Ended,
};
use crate::{
    protocols::{
        chat::record::{Change, Sweep},
        labs::{
            model::Template,
            record::{Login, Record as LabsRecord},
        },
        presence::record::{Attendance, Entering, Leaving, StoreFault},
        quiz::record::Record,
        tasks::record::Record as TaskRecord,
    },
    realtime::{ClassroomId, UnixMicros},
};
use chat::Chat;
use labs::Labs;
use lease::Nodes;
use records::Records;
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};
use tasks::Tasks;

/// How a [`MemoryStore`] behaves. It can change at any time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    /// Everything queued is done when the answers are taken.
    Prompt,
    /// At most so many requests are done each time the answers are taken; with none it hangs.
    Slow(usize),
    /// Enters and records are answered [`StoreFault::Busy`], leaves are kept for later, reads are refused.
    Busy,
    /// Enters and records are answered [`StoreFault::Failed`], leaves are kept for later, reads are refused.
    Failing,
    /// Enters and records are refused, leaves are dropped; what is queued stays unanswered.
    Stopped,
}

/// The records in memory. Nothing happens by itself: requests are done, in order, by
/// [`MemoryStore::take_answers`]. Several may share their records ([`MemoryStore::beside`]), each a node of its own.
pub struct MemoryStore {
    name: String,
    state: Mutex<State>,
    shared: Arc<Mutex<Kept>>,
    health: Health,
}

type Key = (ClassroomId, Arc<str>);

enum Request {
    Enter(Ticket, Entering),
    Keep(Ticket, Record),
    KeepLabs(Ticket, LabsRecord),
    KeepChat(Ticket, Box<Change>),
    KeepTasks(Ticket, TaskRecord),
    Leave(Leaving),
}

struct State {
    mood: Mood,
    bound: usize,
    /// Enters and records in `queue`.
    waiting: usize,
    queue: VecDeque<Request>,
    /// Leaves that a fault kept from being done.
    overdue: VecDeque<Leaving>,
    answers: Vec<Answer>,
    tenure: Option<Tenure>,
    /// As [`Lease::predecessor`](super::Lease::predecessor).
    predecessor: Option<(Tenure, Vec<Ended>)>,
}

/// What all nodes share.
#[derive(Default)]
struct Kept {
    last_session: i64,
    live: BTreeMap<i64, Live>,
    present: BTreeMap<Key, i64>,
    past: BTreeMap<Key, Vec<Interval>>,
    records: Records,
    labs: Labs,
    chat: Chat,
    tasks: Tasks,
    nodes: Nodes,
}

struct Live {
    key: Key,
    started: UnixMicros,
    /// Of the node that began it.
    epoch: i64,
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new(65_536)
    }
}

impl MemoryStore {
    /// A prompt, empty store that lets at most `queue` enters and records wait. It holds the first lease.
    pub fn new(queue: usize) -> MemoryStore {
        let store = MemoryStore::on(Arc::default(), "homeroom", queue);
        let tenure = store.kept().nodes.take(&store.name).ok().map(|(tenure, _)| tenure);
        store.state().tenure = tenure;
        store
    }

    /// Another node on the same records, prompt and with a queue as long. It has taken no lease.
    pub fn beside(&self, name: &str) -> MemoryStore {
        MemoryStore::on(Arc::clone(&self.shared), name, self.state().bound)
    }

    fn on(shared: Arc<Mutex<Kept>>, name: &str, queue: usize) -> MemoryStore {
        let state = State {
            mood: Mood::Prompt,
            bound: queue,
            waiting: 0,
            queue: VecDeque::new(),
            overdue: VecDeque::new(),
            answers: Vec::new(),
            tenure: None,
            predecessor: None,
        };
        MemoryStore { name: name.to_owned(), state: Mutex::new(state), shared, health: Health::default() }
    }

    /// From now on it behaves so.
    pub fn be(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// Does what the mood allows and gives the answers that are there, in the order of the questions.
    pub fn take_answers(&self) -> Vec<Answer> {
        let mut state = self.state();
        let (outcome, size) = state.work(&mut self.kept());
        if size > 0 {
            self.health.tried(outcome, size, Duration::ZERO, Duration::ZERO);
        }
        self.count(&state);
        mem::take(&mut state.answers)
    }

    /// How many sessions are live.
    pub fn live_sessions(&self) -> usize {
        self.kept().live.len()
    }

    /// How many intervals of ended sessions there are, over all rooms.
    pub fn past_intervals(&self) -> usize {
        self.kept().past.values().map(Vec::len).sum()
    }

    /// What a crash and a new start do: the queue and its answers are lost, every live session of this node ends at `seen_at`, or as it
    /// began when that is later. It is prompt again, and holds a fresh lease.
    pub fn restart(&self, seen_at: UnixMicros) {
        let mut state = self.state();
        state.queue.clear();
        state.waiting = 0;
        state.overdue.clear();
        state.answers.clear();
        let mut kept = self.kept();
        if let Some(tenure) = state.tenure.take() {
            kept.end_all(tenure, seen_at);
            kept.nodes.remove(tenure);
        }
        state.tenure = kept.nodes.take(&self.name).ok().map(|(tenure, _)| tenure);
        state.mood = Mood::Prompt;
        self.count(&state);
    }

    fn ask(&self, request: Request) -> Result<(), StoreFault> {
        let mut state = self.state();
        if state.mood == Mood::Stopped || state.waiting >= state.bound {
            return Err(StoreFault::Busy);
        }
        state.waiting += 1;
        state.queue.push_back(request);
        self.count(&state);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locked after the state, where both are.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readable(&self) -> Result<(), StoreFault> {
        match self.state().mood {
            Mood::Prompt | Mood::Slow(_) => Ok(()),
            Mood::Busy => Err(StoreFault::Busy),
            Mood::Failing | Mood::Stopped => Err(StoreFault::Failed),
        }
    }

    fn count(&self, state: &State) {
        self.health.queued.store(state.waiting as u64, Relaxed);
        self.health.overdue_leaves.store(state.overdue.len() as u64, Relaxed);
    }
}

impl Store for MemoryStore {
    fn enter(&self, ticket: Ticket, entering: Entering) -> Result<(), StoreFault> {
        self.ask(Request::Enter(ticket, entering))
    }

    fn keep(&self, ticket: Ticket, record: Record) -> Result<(), StoreFault> {
        self.ask(Request::Keep(ticket, record))
    }

    fn keep_labs(&self, ticket: Ticket, record: LabsRecord) -> Result<(), StoreFault> {
        self.ask(Request::KeepLabs(ticket, record))
    }

    fn keep_chat(&self, ticket: Ticket, change: Box<Change>) -> Result<(), StoreFault> {
        self.ask(Request::KeepChat(ticket, change))
    }

    fn keep_tasks(&self, ticket: Ticket, record: TaskRecord) -> Result<(), StoreFault> {
        self.ask(Request::KeepTasks(ticket, record))
    }

    fn sweep_chat(&self, sweep: Sweep) -> Result<u64, StoreFault> {
        self.readable()?;
        let own = self.state().tenure;
        let mut kept = self.kept();
        let Kept { chat, nodes, .. } = &mut *kept;
        Ok(chat.sweep(sweep.at, |epoch| own.is_some_and(|own| own.epoch == epoch) || !nodes.has_epoch(epoch)))
    }

    fn seed(&self, templates: Vec<Template>, admin: Option<Login>) -> Result<bool, StoreFault> {
        self.readable()?;
        Ok(self.kept().labs.seed(templates, admin))
    }

    fn leave(&self, leaving: Leaving) {
        let mut state = self.state();
        if state.mood != Mood::Stopped {
            state.queue.push_back(Request::Leave(leaving));
        }
    }

    fn attendance(&self, classroom: ClassroomId, from: UnixMicros, to: UnixMicros) -> Result<Vec<Attendance>, StoreFault> {
        self.readable()?;
        Ok(told(self.kept().of_room(classroom), from, to))
    }

    fn occupied(&self, limit: u32) -> Result<Vec<(ClassroomId, u64)>, StoreFault> {
        self.readable().map(|()| self.kept().occupied(limit))
    }

    fn flush(&self, _within: Duration) -> Result<(), StoreFault> {
        let mut state = self.state();
        if state.mood == Mood::Stopped {
            return Err(StoreFault::Busy);
        }
        // How it went shows in what is left.
        let (_, _) = state.work(&mut self.kept());
        self.count(&state);
        if state.queue.is_empty() && state.overdue.is_empty() { Ok(()) } else { Err(StoreFault::Busy) }
    }

    fn stop(&self, within: Duration) -> Result<(), StoreFault> {
        if self.state().mood == Mood::Stopped {
            return Ok(());
        }
        let flushed = self.flush(within);
        self.be(Mood::Stopped);
        flushed
    }

    fn health(&self) -> &Health {
        &self.health
    }

    fn lease(&self) -> &dyn Lease {
        self
    }
}

impl State {
    /// Does what the mood allows; tells how it went and how many requests it was.
    fn work(&mut self, kept: &mut Kept) -> (Result<(), StoreFault>, usize) {
        self.tenure = self.tenure.filter(|tenure| kept.nodes.has(*tenure));
        let Some(tenure) = self.tenure else { return self.lost() };
        match self.mood {
            Mood::Prompt => (Ok(()), self.fulfil(kept, tenure, usize::MAX)),
            Mood::Slow(requests) => (Ok(()), self.fulfil(kept, tenure, requests)),
            Mood::Busy => (Err(StoreFault::Busy), self.refuse(StoreFault::Busy)),
            Mood::Failing => (Err(StoreFault::Failed), self.refuse(StoreFault::Failed)),
            Mood::Stopped => (Ok(()), 0),
        }
    }

    /// Whoever ended the tenure has ended every session of it. One that cannot be reached does not say so.
    fn lost(&mut self) -> (Result<(), StoreFault>, usize) {
        if matches!(self.mood, Mood::Stopped | Mood::Slow(0)) {
            return (Ok(()), 0);
        }
        let refused = self.refuse(StoreFault::Failed);
        self.overdue.clear();
        (Err(StoreFault::Failed), refused)
    }

    fn fulfil(&mut self, kept: &mut Kept, tenure: Tenure, at_most: usize) -> usize {
        let mut done = 0;
        while done < at_most
            && let Some(request) = self.overdue.pop_front().map(Request::Leave).or_else(|| self.queue.pop_front())
        {
            match request {
                Request::Enter(ticket, entering) => {
                    self.waiting -= 1;
                    let result = kept.enter(entering, tenure);
                    self.answers.push(Answer::Entered(Entered { ticket, result }));
                }
                Request::Keep(ticket, record) => {
                    self.waiting -= 1;
                    let result = kept.records.keep(record);
                    self.answers.push(Answer::Kept { ticket, result });
                }
                Request::KeepLabs(ticket, record) => {
                    self.waiting -= 1;
                    let result = kept.labs.keep(record);
                    self.answers.push(Answer::LabsKept { ticket, result });
                }
                Request::KeepChat(ticket, change) => {
                    self.waiting -= 1;
                    let result = kept.chat.keep(*change, tenure.epoch);
                    self.answers.push(Answer::ChatKept { ticket, result });
                }
                Request::KeepTasks(ticket, record) => {
                    self.waiting -= 1;
                    let result = kept.tasks.keep(record, tenure);
                    self.answers.push(Answer::TasksKept { ticket, result });
                }
                Request::Leave(leaving) => kept.leave(leaving),
            }
            done += 1;
        }
        done
    }

    fn refuse(&mut self, fault: StoreFault) -> usize {
        let refused = self.queue.len();
        self.waiting = 0;
        for request in self.queue.drain(..) {
            match request {
                Request::Enter(ticket, _) => self.answers.push(Answer::Entered(Entered { ticket, result: Err(fault) })),
                Request::Keep(ticket, _) => self.answers.push(Answer::Kept { ticket, result: Err(fault) }),
                Request::KeepLabs(ticket, _) => self.answers.push(Answer::LabsKept { ticket, result: Err(fault) }),
                Request::KeepChat(ticket, _) => self.answers.push(Answer::ChatKept { ticket, result: Err(fault) }),
                Request::KeepTasks(ticket, _) => self.answers.push(Answer::TasksKept { ticket, result: Err(fault) }),
                Request::Leave(leaving) => self.overdue.push_back(leaving),
            }
        }
        refused
    }
}

impl Kept {
    fn enter(&mut self, entering: Entering, tenure: Tenure) -> Result<i64, StoreFault> {
        if entering.agent_id.is_empty() {
            return Err(StoreFault::Failed);
        }
        let key = (entering.classroom, entering.agent_id);
        if let Some(session) = entering.session.filter(|session| self.present.get(&key) == Some(session)) {
            return Ok(session);
        }
        if let Some(&session) = self.present.get(&key) {
            self.leave(Leaving { session, at: entering.at });
        }
        self.last_session += 1;
        self.live.insert(self.last_session, Live { key: key.clone(), started: entering.at, epoch: tenure.epoch });
        self.present.insert(key, self.last_session);
        Ok(self.last_session)
    }

    fn leave(&mut self, leaving: Leaving) {
        let Some(Live { key, started, .. }) = self.live.remove(&leaving.session) else { return };
        self.present.remove(&key);
        let past = self.past.entry(key).or_default();
        let mut kept = Interval::new(started, leaving.at);
        let (met, others): (Vec<_>, Vec<_>) = past.iter().partition(|interval| interval.meets(kept));
        *past = others;
        kept = met.into_iter().fold(kept, Interval::joined);
        past.push(kept);
    }

    /// Ends every session of a tenure.
    fn end_all(&mut self, tenure: Tenure, seen_at: UnixMicros) -> Vec<Ended> {
        let of_it = self.live.iter().filter(|(_, live)| live.epoch == tenure.epoch);
        let ended: Vec<Ended> = of_it
            .map(|(&session, Live { key: (classroom, agent_id), started, .. })| Ended {
                session,
                classroom: *classroom,
                agent_id: agent_id.clone(),
                at: seen_at.max(*started),
            })
            .collect();
        ended.iter().for_each(|ended| self.leave(Leaving { session: ended.session, at: ended.at }));
        ended
    }

    /// The same, and every answer that it was giving, where others may look before its node begins again.
    fn end_with_answers(&mut self, tenure: Tenure, seen_at: UnixMicros) -> Vec<Ended> {
        self.chat.sweep(seen_at, |epoch| epoch == tenure.epoch);
        self.end_all(tenure, seen_at)
    }

    fn of_room(&self, classroom: ClassroomId) -> Vec<Attendance> {
        let first = (classroom, Arc::from(""));
        let past = self.past.range(first.clone()..).take_while(|((room, _), _)| *room == classroom);
        let past = past.flat_map(|(key, intervals)| intervals.iter().map(move |it| row(key, it.lower, Some(it.upper))));
        let live = self.present.range(first..).take_while(|((room, _), _)| *room == classroom);
        let live = live.filter_map(|(key, session)| self.live.get(session).map(|live| row(key, live.started, None)));
        past.chain(live).collect()
    }
}

fn row((_, agent_id): &Key, entered: UnixMicros, left: Option<UnixMicros>) -> Attendance {
    Attendance { agent_id: agent_id.to_string(), entered, left }
}

#[cfg(test)]
mod tests;
