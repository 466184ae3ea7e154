//! A task in memory: what is on its way to disk, who waits for that, and the agent that works. One record is written at a time, each made
//! when its turn comes, and nothing is told before it is written; but for the progress of an agent, which is told and not written.

use super::{
    asks::{Ask, Edit, Refused, Reply},
    circumstances::{Circumstances, From, Timer},
    letters::{About, FromHome, News, ToTask},
    model::{Caller, Status, Task, TaskId},
    outcome::{Outcome, Piece},
    record::Record,
    work::{self, BEGUN, CANCELLED, Finish, Order, Parameters, Work},
};
use crate::{
    models::run::{Ending, Event},
    realtime::{Moment, ShardId, StoreFault, TimerId},
};
use std::{collections::VecDeque, time::Duration};

/// How soon what could not be written is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// Changes by hand that may wait to be written.
const JOBS_AT_MOST: usize = 64;
/// What is said of a task that was at work when the process ended.
const STOPPED: &str = "The server was stopped";
const RESTARTED: &str = "The server was restarted";

/// What is to be written, in this order.
enum Job {
    /// That it is there.
    Create(From),
    /// That its agent begins.
    Begin,
    /// How it ended.
    End,
    /// A change by hand.
    Edit(From, Box<Edit>),
    /// That it is no more.
    Remove(From),
}

/// Where it stands here.
enum Stage {
    /// Not on disk yet: nobody knows of it.
    New,
    /// Nobody works at it, and nobody will.
    Idle,
    /// In the queue.
    Waiting,
    /// It has its turn, which is being written.
    Starting,
    /// Its agent works.
    Running(Box<Work>),
    /// How it ended is being written.
    Ending(Finish, f64),
    /// It was removed, or never came to be.
    Gone,
}

/// See the file.
pub(super) struct Assignment {
    /// As on disk, but for the progress, which is as told.
    task: Task,
    /// None: not on disk.
    on_disk: Option<Status>,
    stage: Stage,
    /// Whether it has a place among those that run.
    has_turn: bool,
    jobs: VecDeque<Job>,
    writing: Option<(Job, Record)>,
    retry: Option<TimerId>,
    /// Who wants it cancelled, and whether it ends for their sake.
    cancels: Vec<(From, bool)>,
    told: Moment,
    progress: Option<TimerId>,
}

impl Assignment {
    fn new(task: Task, on_disk: Option<Status>, stage: Stage) -> Assignment {
        Assignment {
            task,
            on_disk,
            stage,
            has_turn: false,
            jobs: VecDeque::new(),
            writing: None,
            retry: None,
            cancels: Vec::new(),
            told: Moment::default(),
            progress: None,
        }
    }

    /// A new one, of which `from` is to hear.
    pub(super) fn created(task: Task, from: From, c: &mut Circumstances<'_>) -> Assignment {
        if task.agent.is_some() {
            c.queue.comes(&task.owner);
        }
        let mut new = Assignment::new(task, None, Stage::New);
        new.jobs.push_back(Job::Create(from));
        new
    }

    /// One that the store has. Of those that no agent has in memory one that waits begins, and one in the middle of its work has failed:
    /// the process that had it is no more.
    pub(super) fn found(task: Task, c: &mut Circumstances<'_>) -> Assignment {
        let on_disk = Some(task.status);
        let mut found = Assignment::new(task, on_disk, Stage::Idle);
        if c.is_stopping {
            return found;
        }
        match (found.task.status, &found.task.agent) {
            (Status::Pending, Some(_)) => found.wait(c),
            (Status::InProgress | Status::Verifying, Some(_)) => found.end(Finish::Failed(RESTARTED.into()), 0.0),
            (Status::Pending | Status::InProgress | Status::Verifying, None) | (Status::Completed | Status::Failed, _) => {}
        }
        found
    }

    fn id(&self) -> TaskId {
        self.task.id
    }

    fn piece(&self) -> Piece {
        Piece::Task(self.id())
    }

    fn sees(&self, caller: &Caller) -> bool {
        let is_there = !matches!(self.stage, Stage::New | Stage::Gone);
        is_there && (caller.admin || caller.user == self.task.owner)
    }

    pub(super) fn letter(&mut self, letter: ToTask, c: &mut Circumstances<'_>) {
        match letter {
            // Its id is new.
            ToTask::Create { conn, .. } => c.not_taken(From::Conn(conn), self.id(), Refused::Store(StoreFault::Failed)),
            ToTask::See { conn, task, caller } => {
                let state = if self.sees(&caller) { Ok(Box::new(self.task.clone())) } else { Err(Refused::NotFound) };
                c.out.push(Outcome::Tell(conn, FromHome::Seen { task, state }));
            }
            ToTask::Cancel { conn, caller, .. } => self.cancel(From::Conn(conn), &caller, c),
            ToTask::Ask { asker, number, ask } => self.ask((asker, number), *ask, c),
        }
    }

    fn ask(&mut self, asker: (ShardId, u64), ask: Ask, c: &mut Circumstances<'_>) {
        let from = From::Ask(asker);
        match ask {
            Ask::Look { caller, .. } => match self.sees(&caller) {
                true => c.reply(asker, Reply::Task(Box::new(self.task.clone()))),
                false => c.refuse(asker, Refused::NotFound),
            },
            Ask::Edit { caller, edit, .. } => self.queue(&caller, Job::Edit(from, Box::new(edit)), from, c),
            Ask::Remove { caller, .. } => self.queue(&caller, Job::Remove(from), from, c),
            Ask::Cancel { caller, .. } => self.cancel(from, &caller, c),
            Ask::Create(_) => c.refuse(asker, Refused::Store(StoreFault::Failed)),
            Ask::Execute(_) | Ask::LookExecution { .. } | Ask::CancelExecution { .. } => c.refuse(asker, Refused::NotFound),
        }
    }

    fn queue(&mut self, caller: &Caller, job: Job, from: From, c: &mut Circumstances<'_>) {
        let id = self.id();
        match (self.sees(caller), self.jobs.len() < JOBS_AT_MOST) {
            (false, _) => c.not_done(from, id, Refused::NotFound),
            (true, _) if c.is_stopping => c.not_done(from, id, Refused::Stopping),
            (true, false) => c.not_done(from, id, Refused::Crowded),
            (true, true) => self.jobs.push_back(job),
        }
    }

    fn cancel(&mut self, from: From, caller: &Caller, c: &mut Circumstances<'_>) {
        let why = match self.sees(caller) {
            false => Refused::NotFound,
            true if c.is_stopping => Refused::Stopping,
            true if self.task.status.is_over() => Refused::Over,
            true if self.cancels.len() >= JOBS_AT_MOST => Refused::Crowded,
            true => {
                let is_first = self.break_off(CANCELLED, c);
                return self.cancels.push((from, is_first));
            }
        };
        c.not_done(from, self.id(), why);
    }

    /// Ends it, unless it ends already.
    fn break_off(&mut self, why: &str, c: &mut Circumstances<'_>) -> bool {
        let cost = match &mut self.stage {
            Stage::Ending(..) | Stage::New | Stage::Gone => return false,
            Stage::Waiting => {
                c.queue.remove(self.piece());
                0.0
            }
            Stage::Running(work) => work.happens(Event::Cancel, c).map_or(0.0, |ending| ending.cost),
            Stage::Idle | Stage::Starting => 0.0,
        };
        c.cancel(self.progress.take());
        self.end(Finish::Failed(why.into()), cost);
        true
    }

    fn end(&mut self, finish: Finish, cost: f64) {
        self.stage = Stage::Ending(finish, cost);
        self.jobs.push_back(Job::End);
    }

    fn wait(&mut self, c: &mut Circumstances<'_>) {
        self.stage = Stage::Waiting;
        c.queue.put(self.piece(), self.task.priority, &self.task.owner);
    }

    /// It has its turn. Whether it takes it.
    pub(super) fn start(&mut self) -> bool {
        let waits = matches!(self.stage, Stage::Waiting);
        if waits {
            self.stage = Stage::Starting;
            self.has_turn = true;
            self.jobs.push_back(Job::Begin);
        }
        waits
    }

    /// What happens to its run.
    pub(super) fn happens(&mut self, event: Event, c: &mut Circumstances<'_>) {
        let Stage::Running(work) = &mut self.stage else { return };
        match work.happens(event, c) {
            Some(ending) => self.over(&ending, c),
            None => self.rise(c),
        }
    }

    fn over(&mut self, ending: &Ending, c: &mut Circumstances<'_>) {
        c.cancel(self.progress.take());
        self.end(Finish::of(ending), ending.cost);
    }

    /// Tells how far the agent is, unless that was told a moment ago.
    fn rise(&mut self, c: &mut Circumstances<'_>) {
        let Stage::Running(work) = &self.stage else { return };
        let (share, passed) = (work.progress(), c.now.moment.since(self.told));
        if share <= self.task.progress || self.progress.is_some() {
            return;
        }
        match c.settings.progress_interval.checked_sub(passed).filter(|left| !left.is_zero()) {
            Some(left) => self.progress = Some(c.after(left, Timer::Progress(self.id()))),
            None => {
                let at = c.now.wall.max(self.task.updated_at);
                (self.task.progress, self.task.updated_at, self.told) = (share, at, c.now.moment);
                self.tell(c);
            }
        }
    }

    pub(super) fn progress_timer(&mut self, c: &mut Circumstances<'_>) {
        self.progress = None;
        self.rise(c);
    }

    pub(super) fn retry(&mut self) {
        self.retry = None;
    }

    fn tell(&self, c: &mut Circumstances<'_>) {
        let news =
            News { about: About::Task(self.id()), is_last: self.task.status.is_over(), frame: self.task.message().frame() };
        c.out.push(Outcome::News { owner: self.task.owner.clone(), news });
    }

    /// The process is about to stop.
    pub(super) fn stop(&mut self, c: &mut Circumstances<'_>) {
        match self.stage {
            Stage::Waiting => {
                c.queue.remove(self.piece());
                self.stage = Stage::Idle;
            }
            // It has not begun, unless that is being written.
            Stage::Starting if self.writing.is_none() => {
                self.jobs.retain(|job| !matches!(job, Job::Begin));
                self.stage = Stage::Idle;
                self.give_back(c);
            }
            Stage::Running(_) => {
                self.break_off(STOPPED, c);
            }
            Stage::Starting | Stage::New | Stage::Idle | Stage::Ending(..) | Stage::Gone => {}
        }
    }

    fn give_back(&mut self, c: &mut Circumstances<'_>) {
        if std::mem::take(&mut self.has_turn) {
            c.queue.release();
        }
    }

    /// Goes on with what waits. Whether nothing goes on here any more.
    pub(super) fn rest(&mut self, c: &mut Circumstances<'_>) -> bool {
        while self.writing.is_none() && self.retry.is_none() {
            let Some(job) = self.jobs.pop_front() else { break };
            if let Some((job, record)) = self.draft(job, c) {
                c.keep_task(self.id(), record.clone());
                self.writing = Some((job, record));
            }
        }
        let is_quiet = self.writing.is_none() && self.jobs.is_empty() && self.retry.is_none();
        is_quiet && matches!(self.stage, Stage::Idle | Stage::Gone)
    }

    /// What a job writes, as things stand now; none where it is needless, and whoever waits has been told.
    fn draft(&mut self, job: Job, c: &mut Circumstances<'_>) -> Option<(Job, Record)> {
        // On a node whose clock is behind nothing ends before it began.
        let now = c.now.wall.max(self.task.updated_at);
        let changed = match &job {
            Job::Create(_) => self.task.clone(),
            Job::Begin if matches!(self.stage, Stage::Starting) => {
                Task { status: Status::InProgress, progress: BEGUN, updated_at: now, ..self.task.clone() }
            }
            Job::Begin => return None,
            // It was ended by hand while somebody cancelled it.
            Job::End if self.task.status.is_over() => {
                self.cancels.iter_mut().for_each(|(_, is_first)| *is_first = false);
                self.settle(c);
                return None;
            }
            Job::End => {
                let Stage::Ending(finish, cost) = &self.stage else { return None };
                let mut ended = Task { updated_at: now, cost: self.task.cost + cost, ..self.task.clone() };
                match finish {
                    Finish::Done { output, is_cut } => {
                        let result = work::result(ended.kind, output, *is_cut);
                        (ended.status, ended.progress) = (Status::Completed, 1.0);
                        (ended.result, ended.completed_at) = (Some(result), Some(now));
                    }
                    Finish::Failed(why) => (ended.status, ended.error) = (Status::Failed, Some(why.clone())),
                }
                ended
            }
            Job::Edit(from, edit) => match self.task.edited(edit, now) {
                _ if matches!(self.stage, Stage::Gone) => return self.undone(*from, Refused::NotFound, c),
                Err(why) => return self.undone(*from, why, c),
                Ok(task) => task,
            },
            Job::Remove(from) => {
                if matches!(self.stage, Stage::Gone) {
                    return self.undone(*from, Refused::NotFound, c);
                }
                if self.task.status.is_over() {
                    return Some((job, Record::NoTask(self.id())));
                }
                // Its end comes first.
                self.break_off(CANCELLED, c);
                self.jobs.push_back(job);
                return None;
            }
        };
        Some((job, Record::Task(Box::new(changed))))
    }

    fn undone(&self, from: From, why: Refused, c: &mut Circumstances<'_>) -> Option<(Job, Record)> {
        c.not_done(from, self.id(), why);
        None
    }

    /// The store answered.
    pub(super) fn kept(&mut self, result: Result<(), StoreFault>, c: &mut Circumstances<'_>) {
        let Some((job, record)) = self.writing.take() else { return };
        match result {
            Ok(()) => {
                let before = (self.task.status, self.task.progress);
                self.commit(record, c);
                self.written(job, before, c);
            }
            Err(fault) => self.unwritten(job, fault, c),
        }
    }

    fn commit(&mut self, record: Record, c: &mut Circumstances<'_>) {
        let status = match record {
            Record::Task(task) => {
                // What was told while it was being written stays told.
                let progress = task.progress.max(self.task.progress);
                self.task = Task { progress, ..*task };
                Some(self.task.status)
            }
            Record::NoTask(_) | Record::Execution(_) => None,
        };
        c.counts.moves(self.on_disk, status);
        self.on_disk = status;
    }

    fn written(&mut self, job: Job, before: (Status, f64), c: &mut Circumstances<'_>) {
        match job {
            Job::Create(from) => {
                match from {
                    From::Conn(conn) => c.out.push(Outcome::Tell(conn, FromHome::Taken { task: self.id() })),
                    From::Ask(asker) => c.reply(asker, Reply::Task(Box::new(self.task.clone()))),
                }
                self.tell(c);
                self.stage = Stage::Idle;
                if self.task.agent.is_some() {
                    c.queue.came(&self.task.owner);
                    // One that waits when the process ends is found by the next.
                    if !c.is_stopping {
                        self.wait(c);
                    }
                }
            }
            Job::Begin => {
                self.told = c.now.moment;
                self.tell(c);
                self.begin(c);
            }
            Job::End => {
                // Who is not told by the news is told before, so that nobody is told twice.
                self.cancels.iter().filter(|(_, is_first)| *is_first).for_each(|(from, _)| self.answer(*from, c));
                self.tell(c);
                self.settle(c);
            }
            Job::Edit(from, _) => {
                if (self.task.status, self.task.progress) != before {
                    self.tell(c);
                }
                c.queue.place(self.piece(), self.task.priority);
                self.answer(from, c);
            }
            Job::Remove(from) => {
                self.stage = Stage::Gone;
                self.answer(from, c);
            }
        }
    }

    fn answer(&self, from: From, c: &mut Circumstances<'_>) {
        match from {
            From::Conn(conn) => c.out.push(Outcome::Tell(conn, FromHome::Cancelled(Box::new(self.task.clone())))),
            From::Ask(asker) => c.reply(asker, Reply::Task(Box::new(self.task.clone()))),
        }
    }

    fn begin(&mut self, c: &mut Circumstances<'_>) {
        if !matches!(self.stage, Stage::Starting) {
            return;
        }
        if c.is_stopping {
            return self.end(Finish::Failed(STOPPED.into()), 0.0);
        }
        let agent = self.task.agent.as_ref().and_then(|agent| c.catalog.agents.get(agent)).cloned();
        let model = agent.as_ref().and_then(|agent| agent.model_named(self.task.model.as_deref()));
        let (Some(agent), Some(model)) = (agent, model) else {
            return self.end(Finish::Failed("There is no such agent or model any more".into()), 0.0);
        };
        c.waits.record(c.now.wall.since(self.task.created_at));
        let (temperature, task) = (Parameters::read(&self.task.parameters).temperature, self.task.task.clone());
        self.stage = Stage::Running(Work::begin(self.piece(), Order { agent, model, task, temperature }, c));
    }

    /// It is over, or gone by now: who came too late to cancel it is told.
    fn settle(&mut self, c: &mut Circumstances<'_>) {
        if !matches!(self.stage, Stage::Gone) {
            self.stage = Stage::Idle;
        }
        self.give_back(c);
        let late = std::mem::take(&mut self.cancels).into_iter().filter(|(_, is_first)| !is_first);
        late.for_each(|(from, _)| c.not_done(from, self.id(), Refused::Over));
    }

    /// Nothing was written. Whoever asked is told; what must be written is tried again.
    fn unwritten(&mut self, job: Job, fault: StoreFault, c: &mut Circumstances<'_>) {
        match job {
            Job::Create(from) => {
                if self.task.agent.is_some() {
                    c.queue.came(&self.task.owner);
                }
                self.stage = Stage::Gone;
                c.not_taken(from, self.id(), Refused::Store(fault));
            }
            Job::Edit(from, _) | Job::Remove(from) => c.not_done(from, self.id(), Refused::Store(fault)),
            // A task that has not begun when the process ends has not begun.
            Job::Begin if c.is_stopping && matches!(self.stage, Stage::Starting) => {
                self.stage = Stage::Idle;
                self.give_back(c);
            }
            Job::Begin | Job::End => {
                self.release(fault, c);
                self.jobs.push_front(job);
                self.retry = Some(c.after(RETRY, Timer::Retry(self.id())));
            }
        }
    }

    /// Nobody waits for what is tried again, which may take as long as the disk is full. What is to end ends all the same.
    fn release(&mut self, fault: StoreFault, c: &mut Circumstances<'_>) {
        let (id, why) = (self.id(), Refused::Store(fault));
        self.jobs.retain(|job| match job {
            Job::Edit(from, _) | Job::Remove(from) => {
                c.not_done(*from, id, why);
                false
            }
            Job::Create(_) | Job::Begin | Job::End => true,
        });
        self.cancels.drain(..).for_each(|(from, _)| c.not_done(from, id, why));
    }
}
