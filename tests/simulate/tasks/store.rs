//! The store of tasks: as slow, busy or broken as the dice will have it. What it has committed survives the process, and nothing else does.

use super::{faults::Fault, world::Tasks};
use crate::world::note;
use homeroom::{
    engine::{Answer, Question},
    protocols::tasks::{
        ExecutionId, TaskId,
        model::{Execution, Status, Task},
        record::Record,
    },
    realtime::{ShardId, StoreFault, UnixMicros},
    store::{self, LabsLibrary, MemoryStore, Mood, Store, TasksLibrary, Ticket},
};
use std::collections::{BTreeMap, VecDeque};

/// What hangs until the dice let it go on.
const HANGING: Mood = Mood::Slow(0);

struct Post {
    ticket: u64,
    result: Result<(), StoreFault>,
}

/// What is to be read.
#[derive(Clone, Copy)]
enum Load {
    Task(TaskId),
    Execution(ExecutionId),
}

/// The store, and what is on its way from it.
pub(crate) struct Outside {
    store: MemoryStore,
    asked: BTreeMap<(u16, u64), Record>,
    posts: Vec<VecDeque<Post>>,
    loads: Vec<(usize, Load)>,
    /// Those whose answer was given before they were written.
    hasty: Vec<(u16, u64)>,
}

impl Outside {
    pub(crate) fn new(shards: usize) -> Outside {
        let store = MemoryStore::new(256);
        for record in crate::labs::asks::users() {
            store.keep_labs(Ticket { shard: ShardId(0), token: 0 }, record).expect("there is room");
        }
        store.take_answers();
        store.be(HANGING);
        let posts = (0..shards).map(|_| VecDeque::new()).collect();
        Outside { store, asked: BTreeMap::new(), posts, loads: Vec::new(), hasty: Vec::new() }
    }

    /// Whether something of a task is on its way to disk.
    pub(crate) fn is_asked(&self, task: TaskId) -> bool {
        self.asked.values().any(|record| matches!(record, Record::Task(row) if row.id == task && row.status != Status::Pending))
    }

    fn restart(&mut self, now: UnixMicros) {
        self.store.restart(now);
        self.asked.clear();
        self.posts.iter_mut().for_each(VecDeque::clear);
        self.loads.clear();
        self.hasty.clear();
    }
}

impl Tasks {
    /// A new process finds what the store has.
    pub(crate) fn open_store(&mut self) {
        let now = self.stage.now;
        self.outside.restart(now.wall);
        let users = self.outside.store.labs().expect("the store can be read");
        let mut loaded = self.outside.store.load_tasks().expect("the store can be read");
        self.outside.store.be(HANGING);
        let forgets = self.fault == Some(Fault::ForgottenResult);
        for execution in loaded.executions.iter_mut().filter(|_| forgets) {
            execution.results.pop();
        }
        for shard in 0..self.stage.shards.len() {
            self.stage.feed(shard).begin_labs(&users, &[], now);
            self.stage.feed(shard).begin_tasks(&loaded, now);
        }
    }

    pub(crate) fn keep(&mut self, shard: usize, ticket: u64, record: Record) {
        note!(self.stage, "store: keep {ticket} of {shard}: {record:?}");
        self.check_stopped(&record);
        let id = ShardId(shard as u16);
        if self.strikes(Fault::ForgottenWrite, 4) {
            self.wrote(&record);
            return self.outside.posts[shard].push_back(Post { ticket, result: Ok(()) });
        }
        match self.outside.store.keep_tasks(Ticket { shard: id, token: ticket }, record.clone()) {
            Ok(()) => _ = self.outside.asked.insert((id.0, ticket), record),
            Err(fault) => return self.outside.posts[shard].push_back(Post { ticket, result: Err(fault) }),
        }
        if self.strikes(Fault::HastyStore, 10) {
            self.outside.hasty.push((id.0, ticket));
            self.outside.posts[shard].push_back(Post { ticket, result: Ok(()) });
        }
    }

    pub(crate) fn load(&mut self, shard: usize, question: &Question) {
        self.outside.loads.push(match question {
            Question::LoadTask(task) => (shard, Load::Task(*task)),
            Question::LoadExecution(execution) => (shard, Load::Execution(*execution)),
            other => panic!("{other:?} is asked among tasks"),
        });
    }

    fn store_works(&mut self, fate: usize) {
        let mood = match fate {
            fate if fate < self.plan.busy => Mood::Busy,
            fate if fate < self.plan.busy + self.plan.failed => Mood::Failing,
            _ if self.stage.dice.percent(60) => Mood::Slow(self.stage.dice.between(1, 3)),
            _ => Mood::Prompt,
        };
        self.outside.store.be(mood);
        let answers = self.outside.store.take_answers();
        self.outside.store.be(HANGING);
        for answer in answers {
            let store::Answer::TasksKept { ticket, result } = answer else { panic!("nobody asks for anything else here") };
            let key = (ticket.shard.0, ticket.token);
            let record = self.outside.asked.remove(&key).expect("what was asked is answered, once");
            note!(self.stage, "store: {} of {}: {result:?}", ticket.token, ticket.shard);
            let well = !matches!(mood, Mood::Busy | Mood::Failing);
            assert!(result.is_ok() || !well, "the store refuses {record:?}");
            if result.is_ok() {
                self.wrote(&record);
            } else {
                self.count("refusals of the store");
            }
            if let Some(at) = self.outside.hasty.iter().position(|hasty| *hasty == key) {
                self.outside.hasty.swap_remove(at);
                continue;
            }
            self.outside.posts[ticket.shard.index()].push_back(Post { ticket: ticket.token, result });
        }
    }

    fn wrote(&mut self, record: &Record) {
        self.book.write(record);
        self.count(match record {
            Record::Task(task) => match task.status {
                Status::Completed => "tasks completed",
                Status::Failed => "tasks failed",
                Status::Pending | Status::InProgress | Status::Verifying => "tasks written",
            },
            Record::NoTask(_) => "tasks removed",
            Record::Execution(execution) => match execution.status {
                Status::Completed => "executions completed",
                Status::Failed => "executions failed",
                Status::Pending | Status::InProgress | Status::Verifying => "executions written",
            },
        });
    }

    fn deliver_post(&mut self, shard: usize) -> bool {
        let Some(Post { ticket, result }) = self.outside.posts[shard].pop_front() else { return false };
        if self.strikes(Fault::LostRecord, 3) {
            return true;
        }
        note!(self.stage, "store to {shard}: {ticket} {result:?}");
        let now = self.stage.now;
        self.stage.feed(shard).answer(Answer::TasksKept { ticket, result }, now);
        true
    }

    fn read_one(&mut self, fate: usize) -> bool {
        if self.outside.loads.is_empty() {
            return false;
        }
        let at = self.stage.dice.below(self.outside.loads.len());
        let (shard, load) = self.outside.loads.swap_remove(at);
        let is_busy = fate < self.plan.busy + self.plan.failed;
        self.outside.store.be(if is_busy { Mood::Busy } else { Mood::Prompt });
        let answer = match load {
            Load::Task(task) => Answer::TaskLoaded { task, result: self.outside.store.task(task).map(|it| it.map(Box::new)) },
            Load::Execution(execution) => {
                let result = self.outside.store.execution(execution).map(|it| it.map(Box::new));
                Answer::ExecutionLoaded { execution, result }
            }
        };
        self.outside.store.be(HANGING);
        note!(self.stage, "store to {shard}: {answer:?}");
        let now = self.stage.now;
        self.stage.feed(shard).answer(answer, now);
        true
    }

    pub(crate) fn move_records(&mut self) {
        let fate = self.stage.dice.below(100);
        match self.stage.dice.below(10) {
            0..5 => self.store_works(fate),
            5..7 => _ = self.read_one(fate),
            _ => {
                let shard = self.stage.dice.below(self.stage.shards.len());
                self.deliver_post(shard);
            }
        }
    }

    /// All that the store has to do is done, and well. Whether there was anything.
    pub(crate) fn calm_store(&mut self) -> bool {
        let mut moved = !self.outside.asked.is_empty();
        while !self.outside.asked.is_empty() {
            self.store_works(100);
        }
        for shard in 0..self.stage.shards.len() {
            while self.deliver_post(shard) {
                moved = true;
            }
        }
        while self.read_one(100) {
            moved = true;
        }
        moved
    }

    /// What the store has is what was acknowledged, row by row.
    pub(crate) fn check_disk(&self) {
        let store = &self.outside.store;
        store.be(Mood::Prompt);
        for id in self.book.history.keys() {
            let kept: Option<Task> = store.task(*id).expect("the store can be read");
            assert_eq!(kept.as_ref(), self.book.tasks.get(id), "task {id} on disk");
        }
        for (id, row) in &self.book.executions {
            let kept: Option<Execution> = store.execution(*id).expect("the store can be read");
            assert_eq!(kept.as_ref(), Some(row), "execution {id} on disk");
        }
        store.be(HANGING);
    }
}
