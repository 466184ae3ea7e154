//! The tasks, executions and users that have their home on this shard: letters in, outcomes out, and the times that homes keep.

use super::{
    asks::{Home, Refused, Reply},
    circumstances::{Asker, Circumstances, From, Timer, World, Writing},
    execution::Course,
    letters::{About, FromHome, News, ToExecution, ToTask, ToUser},
    model::{Execution, ExecutionId, Task, TaskId},
    moves::Moves,
    outcome::{Outcome, Piece},
    patience::Patience,
    queue::Queue,
    record::Loaded,
    room::{self, Room},
    settings::Settings,
    status::{Counts, Health, Status, Sum, Tally, Throttle},
    task::Assignment,
    users::Users,
    workflow::Workflows,
};
use crate::{
    models::{Catalog, ToolOutcome, Word, run::Event},
    realtime::{
        Histogram, Moment, Now, ShardId, StoreFault, Wheel,
        table::{Key, Table},
    },
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::{mem, sync::Arc};

/// How much goes on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Levels {
    /// Tasks in memory.
    pub tasks: usize,
    /// Executions in memory.
    pub executions: usize,
    /// Tasks and steps that run.
    pub running: usize,
    /// Tasks and steps that wait for their turn.
    pub waiting: usize,
    /// Sockets that are counted here.
    pub sockets: usize,
    /// Records on their way to disk.
    pub writing: usize,
}

/// All tasks, executions and users of one shard that anything happens with.
pub struct Homes {
    pub(super) world: World,
    pub(super) tasks: HashMap<TaskId, Room<ToTask, Assignment>, FixedState>,
    pub(super) executions: HashMap<ExecutionId, Room<ToExecution, Course>, FixedState>,
    pub(super) users: Users,
    fired: Vec<(Moment, Timer)>,
    /// Of [`World::counts`], as the shard that sums knows them.
    pub(super) told: Tally,
    pub(super) throttle: Throttle,
    /// Of all shards, where this is the one that sums.
    pub(super) sum: Sum,
    /// How many there are, as all shards know it from this one.
    pub(super) summed: Counts,
    status: Status,
    pub(super) moves: Moves,
}

impl Homes {
    /// From now on these count.
    pub fn reform(&mut self, settings: Settings, catalog: Arc<Catalog>, workflows: Arc<Workflows>) {
        (self.world.settings, self.world.catalog, self.world.workflows) = (settings, catalog, workflows);
    }

    /// Nothing is here. `seed` keeps the places of keys from being guessed. Workflows are checked ([`Workflow::check`]).
    ///
    /// [`Workflow::check`]: super::model::Workflow::check
    pub fn new(settings: Settings, catalog: Arc<Catalog>, workflows: Arc<Workflows>, seed: u64, start: Moment) -> Homes {
        let hasher = || FixedState::with_seed(seed);
        let world = World {
            settings,
            catalog,
            workflows,
            is_stopping: false,
            has_heirs: false,
            waits: Arc::default(),
            queue: Queue::default(),
            counts: Tally::default(),
            patience: Patience::default(),
            wheel: Wheel::new(start),
            writing: Table::default(),
        };
        Homes {
            world,
            tasks: HashMap::with_hasher(hasher()),
            executions: HashMap::with_hasher(hasher()),
            users: Users::new(seed),
            fired: Vec::new(),
            told: Tally::default(),
            throttle: Throttle::default(),
            sum: Sum::default(),
            summed: Counts::default(),
            status: Status::default(),
            moves: Moves::new(seed),
        }
    }

    /// From now on it is noted here how long tasks wait for the begin of their work.
    pub fn note_waits(&mut self, times: Arc<Histogram>) {
        self.world.waits = times;
    }

    /// What was unfinished when the process began, as far as its home is here. To be called once, before all else.
    pub fn begin(&mut self, loaded: Loaded, now: Now, out: &mut Vec<Outcome>) {
        let Loaded { mut tasks, mut executions } = loaded;
        tasks.sort_by_key(|task| (task.created_at, task.id));
        executions.sort_by_key(|execution| (execution.created_at, execution.id));
        for task in tasks.into_iter().filter(|task| !task.status.is_over()) {
            self.world.counts.add(&task);
            self.take_up(task, now, out);
        }
        for execution in executions.into_iter().filter(|execution| !execution.status.is_over()) {
            self.go_on_with(execution, now, out);
        }
        self.settle(now, out);
    }

    /// How much goes on.
    pub fn levels(&self) -> Levels {
        Levels {
            tasks: self.tasks.len(),
            executions: self.executions.len(),
            running: self.world.queue.running(),
            waiting: self.world.queue.waiting(),
            sockets: self.users.sockets(),
            writing: self.world.writing.len(),
        }
    }

    /// The system's status as it is known here: for [`Gate`](super::connection::Gate).
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Whether nothing is in memory here.
    pub fn is_at_rest(&self) -> bool {
        self.tasks.is_empty() && self.executions.is_empty()
    }

    /// How many timers run, those of requests that wait included.
    pub fn timers(&self) -> usize {
        self.world.wheel.len() + self.world.patience.len()
    }

    /// No later than the earliest time that a home keeps.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.world.wheel.next().into_iter().chain(self.world.patience.next_deadline()).min()
    }

    /// A letter to the home of a user: the ring's home of the name's bytes.
    pub fn user(&mut self, letter: ToUser, out: &mut Vec<Outcome>) {
        if let Some((conn, refused)) = self.users.letter(letter, self.world.settings.max_connections) {
            out.push(Outcome::Tell(conn, FromHome::Counted { refused }));
        }
    }

    /// A letter to the home of a task: the ring's home of the id's bytes.
    pub fn task(&mut self, letter: ToTask, now: Now, out: &mut Vec<Outcome>) {
        self.receive(room::asker_of(&letter), now);
        match room::task_of(&letter) {
            Some(id) if self.tasks.contains_key(&id) => self.in_task(id, now, out, |room, c| room.letter(letter, c)),
            Some(id) => self.open_task(id, letter, now, out),
            None => room::refuse_task(letter, Refused::NotFound, &mut self.world.at(now, out)),
        }
        self.settle(now, out);
    }

    /// A request begins to wait, if that is what came.
    pub(super) fn receive(&mut self, asker: Option<Asker>, now: Now) {
        if let Some(asker) = asker {
            self.world.patience.begin(asker, now.moment + self.world.settings.keep_timeout);
        }
    }

    fn open_task(&mut self, id: TaskId, letter: ToTask, now: Now, out: &mut Vec<Outcome>) {
        match room::new_task(letter) {
            Ok((task, from)) => self.create(*task, from, now, out),
            Err(letter) if room::opens(&letter) => {
                out.push(Outcome::LoadTask(id));
                self.tasks.insert(id, Room::Loading { waiting: vec![letter], is_left: false });
            }
            Err(letter) => room::refuse_task(letter, Refused::NotHere, &mut self.world.at(now, out)),
        }
    }

    fn create(&mut self, task: Task, from: From, now: Now, out: &mut Vec<Outcome>) {
        let mut c = self.world.at(now, out);
        if c.is_stopping && !c.has_heirs {
            return c.not_taken(from, task.id, Refused::Stopping);
        }
        if task.agent.is_some()
            && let Err(why) = c.queue.admits(&task.owner, c.settings)
        {
            return c.not_taken(from, task.id, why);
        }
        let id = task.id;
        let new = Assignment::created(task, from, &mut c);
        self.tasks.insert(id, Room::Here(Box::new(new)));
        self.in_task(id, now, out, |_, _| {});
    }

    /// A letter to the home of an execution: the ring's home of the id's bytes.
    pub fn execution(&mut self, letter: ToExecution, now: Now, out: &mut Vec<Outcome>) {
        self.receive(room::execution_asker_of(&letter), now);
        match room::execution_of(&letter) {
            Some(id) if self.executions.contains_key(&id) => self.in_execution(id, now, out, |room, c| room.letter(letter, c)),
            Some(id) => self.open_execution(id, letter, now, out),
            None => room::refuse_execution(letter, Refused::NotFound, &mut self.world.at(now, out)),
        }
        self.settle(now, out);
    }

    fn open_execution(&mut self, id: ExecutionId, letter: ToExecution, now: Now, out: &mut Vec<Outcome>) {
        match room::new_execution(letter) {
            Ok((execution, asker)) => self.execute(*execution, asker, now, out),
            Err(letter) if room::opens_execution(&letter) => {
                out.push(Outcome::LoadExecution(id));
                self.executions.insert(id, Room::Loading { waiting: vec![letter], is_left: false });
            }
            Err(letter) => room::refuse_execution(letter, Refused::NotHere, &mut self.world.at(now, out)),
        }
    }

    fn execute(&mut self, execution: Execution, asker: Asker, now: Now, out: &mut Vec<Outcome>) {
        let mut c = self.world.at(now, out);
        if c.is_stopping && !c.has_heirs {
            return c.refuse(asker, Refused::Stopping);
        }
        if !c.workflows.contains_key(&execution.workflow) {
            return c.refuse(asker, Refused::NotFound);
        }
        if let Err(why) = c.queue.admits(&execution.owner, c.settings) {
            return c.refuse(asker, why);
        }
        let id = execution.id;
        let new = Course::created(execution, asker, &mut c);
        self.executions.insert(id, Room::Here(Box::new(new)));
        self.in_execution(id, now, out, |_, _| {});
    }

    /// The store answered to [`Outcome::Keep`].
    pub fn kept(&mut self, ticket: u64, result: Result<(), StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        match self.world.writing.remove(Key { slot: (ticket >> 16) as u32, generation: ticket as u16 }) {
            Some(Writing::Task(id)) => self.in_assignment(id, now, out, |task, c| task.kept(result, c)),
            Some(Writing::Execution(id)) => self.in_course(id, now, out, |execution, c| execution.kept(result, c)),
            None => {}
        }
        self.settle(now, out);
    }

    /// The store answered to [`Outcome::LoadTask`]; none: there is no such task.
    pub fn loaded_task(&mut self, id: TaskId, loaded: Result<Option<Box<Task>>, StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        self.in_task(id, now, out, |room, c| room.loaded(loaded, c));
        self.settle(now, out);
    }

    /// The store answered to [`Outcome::LoadExecution`]; none: there is no such execution.
    pub fn loaded_execution(
        &mut self,
        id: ExecutionId,
        loaded: Result<Option<Box<Execution>>, StoreFault>,
        now: Now,
        out: &mut Vec<Outcome>,
    ) {
        self.in_execution(id, now, out, |room, c| room.loaded(loaded, c));
        self.settle(now, out);
    }

    /// The model that was asked by [`Outcome::Model`] says something.
    pub fn word(&mut self, piece: Piece, word: Word, now: Now, out: &mut Vec<Outcome>) {
        self.happens(piece, Event::Model(word), now, out);
        self.settle(now, out);
    }

    /// What came of [`Outcome::Tool`].
    pub fn tool(&mut self, piece: Piece, call: u32, outcome: ToolOutcome, now: Now, out: &mut Vec<Outcome>) {
        self.happens(piece, Event::Tool { call, outcome }, now, out);
        self.settle(now, out);
    }

    fn happens(&mut self, piece: Piece, event: Event, now: Now, out: &mut Vec<Outcome>) {
        match piece {
            Piece::Task(id) => self.in_assignment(id, now, out, |task, c| task.happens(event, c)),
            Piece::Step(id, place) => {
                self.in_course(id, now, out, |execution, c| execution.happens(usize::from(place), event, c));
            }
        }
    }

    /// What [`Outcome::Counts`] of a shard says. Only at the home of [`status::HOME`](super::status::HOME).
    pub fn counts(&mut self, shard: ShardId, counts: Counts, now: Now, out: &mut Vec<Outcome>) {
        self.sum.put(shard, counts);
        self.sum.is_due = true;
        self.settle(now, out);
    }

    /// What [`Outcome::Totals`] says.
    pub fn totals(&mut self, counts: Counts, now: Now, out: &mut Vec<Outcome>) {
        if mem::replace(&mut self.status.counts, counts) != counts {
            self.tell_status(now, out);
        }
    }

    /// The house says how the parts of the system are.
    pub fn health(&mut self, health: Health, now: Now, out: &mut Vec<Outcome>) {
        if self.status.health != health {
            self.status.health = health;
            self.tell_status(now, out);
        }
    }

    fn tell_status(&self, now: Now, out: &mut Vec<Outcome>) {
        let frame = self.status.message(now.wall).frame();
        out.push(Outcome::Status(News { about: About::Status, is_last: false, frame }));
    }

    /// Turns the wheel.
    pub fn turn(&mut self, now: Now, out: &mut Vec<Outcome>) {
        let mut fired = mem::take(&mut self.fired);
        self.world.wheel.expire(now.moment, &mut fired);
        for (_, timer) in fired.drain(..) {
            match timer {
                Timer::Run(piece) => self.happens(piece, Event::TimerFired, now, out),
                Timer::Progress(id) => self.in_assignment(id, now, out, |task, c| task.progress_timer(c)),
                Timer::Retry(id) => self.in_assignment(id, now, out, |task, _| task.retry()),
                Timer::RetryExecution(id) => self.in_course(id, now, out, |execution, _| execution.retry()),
                Timer::Counts => self.throttle.fired(),
                Timer::Totals => self.sum.throttle.fired(),
                Timer::Survey => self.survey(false, now, out),
            }
        }
        self.fired = fired;
        while let Some((asker, number)) = self.world.patience.give_up(now.moment) {
            let reply = Box::new(Reply::Refused(Refused::Store(StoreFault::Busy)));
            out.push(Outcome::Reply { asker, number, reply });
        }
        self.settle(now, out);
    }

    /// The process is about to stop: tasks that run fail, those that wait and executions stay as they are on disk, to go on after the next
    /// start; nothing more is begun.
    pub fn stop(&mut self, now: Now, out: &mut Vec<Outcome>) {
        self.world.is_stopping = true;
        for id in self.tasks.keys().copied().collect::<Vec<_>>() {
            self.in_assignment(id, now, out, |task, c| task.stop(c));
        }
        for id in self.executions.keys().copied().collect::<Vec<_>>() {
            self.in_course(id, now, out, |execution, c| execution.stop(c));
        }
        self.settle(now, out);
    }

    /// Lets those begin that have their turn, and tells how many there are of each.
    pub(super) fn settle(&mut self, now: Now, out: &mut Vec<Outcome>) {
        while !self.world.is_stopping
            && let Some(piece) = self.world.queue.next(&self.world.settings)
        {
            let mut is_taken = false;
            match piece {
                Piece::Task(id) => self.in_assignment(id, now, out, |task, _| is_taken = task.start()),
                Piece::Step(id, place) => {
                    self.in_course(id, now, out, |execution, c| is_taken = execution.start(usize::from(place), c));
                }
            }
            if !is_taken {
                self.world.queue.release();
            }
        }
        self.tell_counts(now, out);
    }

    fn in_assignment(
        &mut self,
        id: TaskId,
        now: Now,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Assignment, &mut Circumstances<'_>),
    ) {
        self.in_task(id, now, out, |room, c| {
            if let Room::Here(task) = room {
                act(task, c);
            }
        });
    }

    fn in_course(
        &mut self,
        id: ExecutionId,
        now: Now,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Course, &mut Circumstances<'_>),
    ) {
        self.in_execution(id, now, out, |room, c| {
            if let Room::Here(execution) = room {
                act(execution, c);
            }
        });
    }

    /// Lets a room act, if there is one, and forgets it when nothing goes on in it any more.
    pub(super) fn in_task(
        &mut self,
        id: TaskId,
        now: Now,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Room<ToTask, Assignment>, &mut Circumstances<'_>),
    ) {
        let Some(room) = self.tasks.get_mut(&id) else { return };
        let mut c = self.world.at(now, out);
        act(room, &mut c);
        if room.rest(&mut c) {
            self.tasks.remove(&id);
            self.moves.rested(Home::Task(id), out);
        }
    }

    /// As [`Homes::in_task`].
    pub(super) fn in_execution(
        &mut self,
        id: ExecutionId,
        now: Now,
        out: &mut Vec<Outcome>,
        act: impl FnOnce(&mut Room<ToExecution, Course>, &mut Circumstances<'_>),
    ) {
        let Some(room) = self.executions.get_mut(&id) else { return };
        let mut c = self.world.at(now, out);
        act(room, &mut c);
        if room.rest(&mut c) {
            self.executions.remove(&id);
            self.moves.rested(Home::Execution(id), out);
        }
    }
}
