//! An execution of a workflow in memory: its steps, those that are ready in parallel; what each gave is on disk before the steps that need
//! it begin. One record is written at a time, and nothing is told before it is written.

use super::{
    asks::{Ask, Refused, Reply},
    circumstances::{Asker, Circumstances, Timer},
    letters::{About, FromHome, News, ToExecution},
    model::{Caller, Execution, ExecutionId, Priority, Status, StepResult, Workflow},
    outcome::{Outcome, Piece},
    record::Record,
    task::RETRY,
    work::{CANCELLED, Finish, Order, Work},
};
use crate::{
    models::run::{Ending, Event},
    realtime::{StoreFault, TimerId},
};
use std::{collections::VecDeque, sync::Arc};

/// Cancellations that may wait.
const CANCELS_AT_MOST: usize = 64;

/// What is to be written, in this order.
enum Job {
    /// That it goes on: from its beginning, which somebody waits for, or from where it was.
    Go(Option<Asker>),
    /// What a step gave.
    Step(StepResult),
    /// That it failed.
    Fail(Arc<str>),
}

/// Where a step stands here.
enum StepState {
    /// Nothing happens with it: it is not ready, or it is done.
    Still,
    /// In the queue.
    Waiting,
    /// Its agent works.
    Running(Box<Work>),
    /// What it gave is being written, or is.
    Done,
}

/// Where an execution stands here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not on disk yet: nobody knows of it.
    New,
    /// Its steps are done.
    Going,
    /// It will have failed, once that is written.
    Failing,
    /// Nothing more happens.
    Idle,
}

/// See the file.
pub(super) struct Course {
    /// As on disk.
    execution: Execution,
    workflow: Option<Arc<Workflow>>,
    steps: Vec<StepState>,
    stage: Stage,
    jobs: VecDeque<Job>,
    writing: Option<(Job, Execution)>,
    retry: Option<TimerId>,
    /// Who wants it cancelled, and whether it fails for their sake.
    cancels: Vec<(Asker, bool)>,
    /// For steps that gave nothing.
    lost_cost: f64,
}

impl Course {
    fn new(execution: Execution, stage: Stage, c: &Circumstances<'_>) -> Course {
        let workflow = c.workflows.get(&execution.workflow).cloned();
        let steps = workflow.iter().flat_map(|workflow| &workflow.steps).map(|_| StepState::Still).collect();
        Course {
            execution,
            workflow,
            steps,
            stage,
            jobs: VecDeque::new(),
            writing: None,
            retry: None,
            cancels: Vec::new(),
            lost_cost: 0.0,
        }
    }

    /// A new one, for which `asker` waits.
    pub(super) fn created(execution: Execution, asker: Asker, c: &mut Circumstances<'_>) -> Course {
        c.queue.comes(&execution.owner);
        let mut new = Course::new(execution, Stage::New, c);
        new.jobs.push_back(Job::Go(Some(asker)));
        new
    }

    /// One that the store has. It goes on, if it is not over: the process that had it is no more.
    pub(super) fn found(execution: Execution, c: &Circumstances<'_>) -> Course {
        if c.is_stopping || execution.status.is_over() {
            return Course::new(execution, Stage::Idle, c);
        }
        let mut found = Course::new(execution, Stage::Going, c);
        found.jobs.push_back(match found.workflow {
            Some(_) => Job::Go(None),
            None => Job::Fail("There is no such workflow any more".into()),
        });
        found
    }

    fn id(&self) -> ExecutionId {
        self.execution.id
    }

    fn piece(&self, place: usize) -> Piece {
        // A workflow has no more steps than a home takes.
        Piece::Step(self.id(), u16::try_from(place).unwrap_or(u16::MAX))
    }

    fn sees(&self, caller: &Caller) -> bool {
        self.stage != Stage::New && (caller.admin || caller.user == self.execution.owner)
    }

    fn look(&self, caller: &Caller) -> Result<Box<Execution>, Refused> {
        if self.sees(caller) { Ok(Box::new(self.execution.clone())) } else { Err(Refused::NotFound) }
    }

    pub(super) fn letter(&mut self, letter: ToExecution, c: &mut Circumstances<'_>) {
        match letter {
            ToExecution::See { conn, execution, caller } => {
                c.out.push(Outcome::Tell(conn, FromHome::ExecutionSeen { execution, state: self.look(&caller) }));
            }
            ToExecution::Ask { asker, number, ask } => self.ask((asker, number), *ask, c),
        }
    }

    fn ask(&mut self, asker: Asker, ask: Ask, c: &mut Circumstances<'_>) {
        match ask {
            Ask::LookExecution { caller, .. } => match self.look(&caller) {
                Ok(execution) => c.reply(asker, Reply::Execution(execution)),
                Err(why) => c.refuse(asker, why),
            },
            Ask::CancelExecution { caller, .. } => self.cancel(asker, &caller, c),
            // Its id is new.
            Ask::Execute(_) => c.refuse(asker, Refused::Store(StoreFault::Failed)),
            Ask::Create(_) | Ask::Look { .. } | Ask::Edit { .. } | Ask::Remove { .. } | Ask::Cancel { .. } => {
                c.refuse(asker, Refused::NotFound);
            }
        }
    }

    fn cancel(&mut self, asker: Asker, caller: &Caller, c: &mut Circumstances<'_>) {
        let why = match self.sees(caller) {
            false => Refused::NotFound,
            true if c.is_stopping => Refused::Stopping,
            true if self.execution.status.is_over() => Refused::Over,
            true if self.cancels.len() >= CANCELS_AT_MOST => Refused::Crowded,
            true => {
                let is_first = self.fail(CANCELLED.into(), c);
                return self.cancels.push((asker, is_first));
            }
        };
        c.refuse(asker, why);
    }

    /// Ends it, unless it ends already.
    fn fail(&mut self, why: Arc<str>, c: &mut Circumstances<'_>) -> bool {
        let goes = matches!(self.stage, Stage::Going | Stage::Idle);
        if goes {
            self.stage = Stage::Failing;
            self.halt(c);
            self.jobs.push_back(Job::Fail(why));
        }
        goes
    }

    /// No step waits or works any more.
    fn halt(&mut self, c: &mut Circumstances<'_>) {
        for place in 0..self.steps.len() {
            match &mut self.steps[place] {
                StepState::Still | StepState::Done => continue,
                StepState::Waiting => c.queue.remove(self.piece(place)),
                StepState::Running(work) => {
                    self.lost_cost += work.happens(Event::Cancel, c).map_or(0.0, |ending| ending.cost);
                    c.queue.release();
                }
            }
            self.steps[place] = StepState::Still;
        }
    }

    /// Lets the steps that are ready wait for their turn.
    fn wake(&mut self, c: &mut Circumstances<'_>) {
        let Some(workflow) = self.workflow.clone().filter(|_| self.stage == Stage::Going && !c.is_stopping) else { return };
        for place in workflow.ready(&self.execution.results) {
            if matches!(self.steps.get(place), Some(StepState::Still)) {
                self.steps[place] = StepState::Waiting;
                c.queue.put(self.piece(place), Priority::Medium, &self.execution.owner);
            }
        }
    }

    /// A step has its turn. Whether it takes it.
    pub(super) fn start(&mut self, place: usize, c: &mut Circumstances<'_>) -> bool {
        let step = self.workflow.as_ref().and_then(|workflow| workflow.steps.get(place)).cloned();
        let (Some(StepState::Waiting), Some(step)) = (self.steps.get(place), step) else { return false };
        let Some(agent) = c.catalog.agents.get(&step.agent).cloned() else {
            self.steps[place] = StepState::Still;
            self.fail(format!("{}: There is no such agent any more", step.id).into(), c);
            return false;
        };
        let (model, task) = (agent.model.clone(), step.told(&self.execution).into());
        let work = Work::begin(self.piece(place), Order { agent, model, task, temperature: None }, c);
        self.steps[place] = StepState::Running(work);
        true
    }

    /// What happens to the run of a step.
    pub(super) fn happens(&mut self, place: usize, event: Event, c: &mut Circumstances<'_>) {
        let Some(StepState::Running(work)) = self.steps.get_mut(place) else { return };
        if let Some(ending) = work.happens(event, c) {
            c.queue.release();
            self.over(place, &ending, c);
        }
    }

    fn over(&mut self, place: usize, ending: &Ending, c: &mut Circumstances<'_>) {
        let id = self.workflow.as_ref().and_then(|workflow| workflow.steps.get(place)).map(|step| step.id.clone());
        let Some(step) = id else { return };
        match Finish::of(ending) {
            Finish::Done { output, .. } => {
                self.steps[place] = StepState::Done;
                self.jobs.push_back(Job::Step(StepResult { step, output, cost: ending.cost }));
            }
            Finish::Failed(why) => {
                self.steps[place] = StepState::Still;
                self.lost_cost += ending.cost;
                self.fail(format!("{step}: {why}").into(), c);
            }
        }
    }

    pub(super) fn retry(&mut self) {
        self.retry = None;
    }

    /// The process is about to stop: the next one goes on from what is on disk.
    pub(super) fn stop(&mut self, c: &mut Circumstances<'_>) {
        self.halt(c);
        if self.stage == Stage::Going {
            self.stage = Stage::Idle;
        }
    }

    /// Goes on with what waits. Whether nothing goes on here any more.
    pub(super) fn rest(&mut self, c: &mut Circumstances<'_>) -> bool {
        while self.writing.is_none() && self.retry.is_none() {
            let Some(job) = self.jobs.pop_front() else { break };
            if let Some(execution) = self.draft(&job, c) {
                c.keep_execution(self.id(), Record::Execution(Box::new(execution.clone())));
                self.writing = Some((job, execution));
            }
        }
        let is_quiet = self.writing.is_none() && self.jobs.is_empty() && self.retry.is_none();
        is_quiet && self.stage == Stage::Idle
    }

    /// What a job writes, as things stand now; none where it is needless, and whoever waits has been told.
    fn draft(&mut self, job: &Job, c: &mut Circumstances<'_>) -> Option<Execution> {
        // On a node whose clock is behind nothing ends before it began.
        let now = c.now.wall.max(self.execution.updated_at);
        let mut next = Execution { updated_at: now, ..self.execution.clone() };
        if self.execution.status.is_over() {
            self.cancels.iter_mut().for_each(|(_, is_first)| *is_first = false);
            self.settle(c);
            return None;
        }
        match job {
            Job::Go(_) => {}
            Job::Step(result) => {
                next.cost += result.cost;
                next.results.push(result.clone());
            }
            Job::Fail(why) => {
                (next.status, next.error) = (Status::Failed, Some(why.clone()));
                next.cost += self.lost_cost;
                return Some(next);
            }
        }
        let workflow = self.workflow.as_ref()?;
        next.current_step = workflow.current(&next.results);
        next.status = Status::InProgress;
        if workflow.ready(&next.results).next().is_none() {
            (next.status, next.completed_at) = (Status::Completed, Some(now));
        }
        Some(next)
    }

    /// The store answered.
    pub(super) fn kept(&mut self, result: Result<(), StoreFault>, c: &mut Circumstances<'_>) {
        let Some((job, execution)) = self.writing.take() else { return };
        match result {
            Ok(()) => {
                self.execution = execution;
                self.written(&job, c);
            }
            Err(fault) => self.unwritten(job, fault, c),
        }
    }

    fn written(&mut self, job: &Job, c: &mut Circumstances<'_>) {
        if let Job::Go(Some(asker)) = job {
            self.stage = if c.is_stopping { Stage::Idle } else { Stage::Going };
            c.queue.came(&self.execution.owner);
            self.answer(*asker, c);
        }
        let is_over = self.execution.status.is_over();
        if let Job::Fail(_) = job {
            self.cancels.iter().filter(|(_, is_first)| *is_first).for_each(|(asker, _)| self.answer(*asker, c));
        }
        let news = News { about: About::Execution(self.id()), is_last: is_over, frame: self.execution.message().frame() };
        c.out.push(Outcome::News { owner: self.execution.owner.clone(), news });
        match is_over {
            // Who wished that it fails, and came too late, is told by that job.
            true if self.stage == Stage::Failing && !matches!(job, Job::Fail(_)) => {}
            true => self.settle(c),
            false => self.wake(c),
        }
    }

    fn answer(&self, asker: Asker, c: &mut Circumstances<'_>) {
        c.reply(asker, Reply::Execution(Box::new(self.execution.clone())));
    }

    /// It is over: who came too late to cancel it is told.
    fn settle(&mut self, c: &mut Circumstances<'_>) {
        self.stage = Stage::Idle;
        let late = std::mem::take(&mut self.cancels).into_iter().filter(|(_, is_first)| !is_first);
        late.for_each(|(asker, _)| c.refuse(asker, Refused::Over));
    }

    /// Nothing was written. Whoever asked is told; what must be written is tried again.
    fn unwritten(&mut self, job: Job, fault: StoreFault, c: &mut Circumstances<'_>) {
        match job {
            Job::Go(Some(asker)) => {
                self.stage = Stage::Idle;
                c.queue.came(&self.execution.owner);
                c.refuse(asker, Refused::Store(fault));
            }
            // The next process does it again.
            Job::Go(_) | Job::Step(_) if c.is_stopping && self.stage == Stage::Idle => {}
            Job::Go(_) | Job::Step(_) | Job::Fail(_) => {
                // Nobody waits for as long as the disk is full. What is to fail fails all the same.
                self.cancels.drain(..).for_each(|(asker, _)| c.refuse(asker, Refused::Store(fault)));
                self.jobs.push_front(job);
                self.retry = Some(c.after(RETRY, Timer::RetryExecution(self.id())));
            }
        }
    }
}
