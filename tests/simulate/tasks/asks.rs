//! Those who ask over REST: they make tasks and executions, look, change, remove, and want it no more.

use super::{
    people::name,
    world::{ANY_NUMBER, Tasks},
};
use crate::{chat::cast::caller, world::note};
use homeroom::{
    protocols::tasks::{
        Ask, Reply, Settings,
        asks::{Edit, Refused},
        model::{Caller, Execution, Priority, Status, Task},
    },
    realtime::{Moment, StoreFault},
};
use std::task::{Poll, Waker};
use uuid::Uuid;

/// An ask that waits.
#[derive(Debug)]
pub(crate) struct Pending {
    shard: usize,
    number: u64,
    ask: Ask,
    /// Whether somebody had been told of what it is about.
    is_known: bool,
    since: Moment,
}

/// What it is about.
fn about(ask: &Ask) -> Uuid {
    match ask {
        Ask::Create(task) => task.id,
        Ask::Execute(execution) => execution.id,
        Ask::Look { task, .. } | Ask::Edit { task, .. } | Ask::Remove { task, .. } | Ask::Cancel { task, .. } => *task,
        Ask::LookExecution { execution, .. } | Ask::CancelExecution { execution, .. } => *execution,
    }
}

fn asker(user: usize) -> Caller {
    Caller { user: name(user).into(), admin: caller(user).admin }
}

impl Tasks {
    pub(crate) fn ask_something(&mut self) {
        let user = *self.stage.dice.pick(&[0, 0, 0, 1, 2]);
        let caller = asker(user);
        let tasks: Vec<Uuid> = self.book.tasks.values().filter(|task| *task.owner == *caller.user).map(|task| task.id).collect();
        let open: Vec<Uuid> = self.book.open_tasks().filter(|task| *task.owner == *caller.user).map(|task| task.id).collect();
        let executions: Vec<Uuid> = self.book.executions.keys().copied().collect();
        let from = if open.is_empty() || self.stage.dice.percent(30) { &tasks } else { &open };
        let task = if from.is_empty() { Uuid::from_u128(7) } else { *self.stage.dice.pick(from) };
        let recent = executions.len().saturating_sub(3);
        let execution = if executions.is_empty() { Uuid::from_u128(8) } else { *self.stage.dice.pick(&executions[recent..]) };
        match self.stage.dice.below(100) {
            0..20 => self.create(user),
            20..40 => self.execute(user),
            40..48 => self.ask(Ask::Look { task, caller }),
            48..70 => {
                let edit = self.edit();
                self.ask(Ask::Edit { task, caller, edit });
            }
            70..78 => self.ask(Ask::Remove { task, caller }),
            78..86 => {
                self.ask(Ask::Cancel { task, caller });
            }
            86..92 => self.ask(Ask::LookExecution { execution, caller }),
            _ => self.ask(Ask::CancelExecution { execution, caller }),
        }
    }

    fn create(&mut self, user: usize) {
        if self.last_id >= self.plan.most {
            return;
        }
        self.last_id += 1;
        let (id, words) = (Uuid::from_u128(0xA_0000 + u128::from(self.last_id)), self.words());
        let mut task = Task::new(id, name(user).into(), &words, self.stage.now.wall);
        task.agent = self.stage.dice.pick(&[None, None, Some("far"), Some("tutor")]).map(Into::into);
        task.priority = *self.stage.dice.pick(&[Priority::Low, Priority::Medium, Priority::High]);
        self.ask(Ask::Create(Box::new(task)));
    }

    fn execute(&mut self, user: usize) {
        if self.last_id >= self.plan.most {
            return;
        }
        self.last_id += 1;
        let id = Uuid::from_u128(0xB_0000 + u128::from(self.last_id));
        let workflow = *self.stage.dice.pick(&["chain", "wide"]);
        let input = format!(r#"{{"n":{}}}"#, self.last_id).into();
        let execution = Execution::new(id, name(user).into(), workflow.into(), input, self.stage.now.wall);
        self.ask(Ask::Execute(Box::new(execution)));
    }

    fn edit(&mut self) -> Edit {
        let dice = &mut self.stage.dice;
        match dice.below(6) {
            0 => Edit { title: Some("another".into()), ..Edit::default() },
            1 => Edit { priority: Some(*dice.pick(&[Priority::Low, Priority::High])), ..Edit::default() },
            2 => Edit { progress: Some(dice.below(101) as f64 / 100.0), ..Edit::default() },
            _ => {
                let status =
                    *dice.pick(&[Status::Pending, Status::InProgress, Status::Verifying, Status::Completed, Status::Failed]);
                Edit { status: Some(status), ..Edit::default() }
            }
        }
    }

    fn ask(&mut self, ask: Ask) {
        let shard = self.stage.dice.below(self.stage.shards.len());
        note!(self.stage, "ask at {shard}: {ask:?}");
        let number = self.stage.feed(shard).ask_tasks(ask.clone());
        let is_known = self.book.told.contains(&about(&ask));
        if let Ask::Cancel { task, .. } | Ask::Remove { task, .. } = ask {
            self.unwanted.insert(task);
        }
        if self.stage.dice.percent(4) {
            self.stage.shards[shard].engine.forget_tasks_ask(number);
        } else {
            self.asks.push(Pending { shard, number, ask, is_known, since: self.stage.now.moment });
        }
        self.turn(shard);
    }

    /// Takes the answers that have come.
    pub(crate) fn poll_asks(&mut self) {
        for at in (0..self.asks.len()).rev() {
            let Pending { shard, number, .. } = self.asks[at];
            if let Poll::Ready(reply) = self.stage.shards[shard].engine.poll_tasks_reply(number, Waker::noop()) {
                let pending = self.asks.swap_remove(at);
                note!(self.stage, "reply to {:?}: {reply:?}", pending.ask);
                let waited = self.stage.now.moment.since(pending.since);
                match reply {
                    Reply::Refused(Refused::Store(StoreFault::Busy)) if waited >= Settings::default().keep_timeout => {
                        self.count("told that it takes too long");
                    }
                    reply => self.check_reply(&pending.ask, &reply, pending.is_known),
                }
            }
        }
    }

    fn check_reply(&mut self, ask: &Ask, reply: &Reply, is_known: bool) {
        if !matches!(reply, Reply::Refused(_)) {
            self.book.told.insert(about(ask));
        }
        match (ask, reply) {
            (
                Ask::Create(_) | Ask::Look { .. } | Ask::Edit { .. } | Ask::Remove { .. } | Ask::Cancel { .. },
                Reply::Task(task),
            ) => {
                assert!(self.book.was(task), "a task is told of and was never on disk so: {task:?}");
                match ask {
                    Ask::Cancel { .. } => {
                        let is_right = task.status == Status::Failed && task.error.as_deref() == Some("Cancelled by user");
                        assert!(is_right, "a task that was cancelled is {task:?}");
                        self.count("cancelled by request");
                    }
                    Ask::Remove { .. } => {
                        assert!(self.book.removed.contains(&task.id), "it is removed, and is on disk");
                        self.count("removed");
                    }
                    Ask::Edit { .. } => self.count("changed by hand"),
                    _ => {}
                }
            }
            (Ask::Execute(_) | Ask::LookExecution { .. } | Ask::CancelExecution { .. }, Reply::Execution(execution)) => {
                assert!(self.book.execution_was(execution), "an execution is told of and was never on disk so: {execution:?}");
                if matches!(ask, Ask::CancelExecution { .. }) {
                    assert_eq!(execution.status, Status::Failed, "an execution that was cancelled");
                    self.count("executions cancelled");
                }
            }
            (ask, Reply::Refused(why)) => self.check_refusal(ask, *why, is_known),
            (ask, reply) => panic!("{ask:?} is answered {reply:?}"),
        }
    }

    fn check_refusal(&mut self, ask: &Ask, why: Refused, is_known: bool) {
        let may_fail = self.plan.busy + self.plan.failed > 0;
        let sees = |caller: &Caller, owner: &str| caller.admin || *caller.user == *owner;
        let task = |id: &Uuid, caller: &Caller| self.book.tasks.get(id).filter(|task| sees(caller, &task.owner));
        let course = |id: &Uuid, caller: &Caller| self.book.executions.get(id).filter(|it| sees(caller, &it.owner));
        let is_right = match (ask, why) {
            (_, Refused::Store(_)) => may_fail,
            (_, Refused::Stopping) => self.is_stopping,
            (_, Refused::NotFound) if !is_known => true,
            (Ask::Look { .. } | Ask::LookExecution { .. }, Refused::NotHere) => true,
            (Ask::Create(_) | Ask::Execute(_), Refused::Crowded) => self.plan.is_narrow,
            (Ask::Create(_) | Ask::Execute(_), Refused::TooMany) => self.plan.of_user < ANY_NUMBER,
            (
                Ask::Look { task: id, caller }
                | Ask::Edit { task: id, caller, .. }
                | Ask::Remove { task: id, caller }
                | Ask::Cancel { task: id, caller },
                why,
            ) => match (why, task(id, caller)) {
                (Refused::NotFound, None) | (Refused::Crowded, Some(_)) => true,
                (Refused::Over, there) => there.is_none_or(|task| task.status.is_over()),
                (Refused::AtWork, there) => there.is_none_or(|task| task.agent.is_some()),
                (Refused::NoSuchMove, _) => matches!(ask, Ask::Edit { .. }),
                _ => false,
            },
            (Ask::LookExecution { execution, caller } | Ask::CancelExecution { execution, caller }, why) => {
                match (why, course(execution, caller)) {
                    (Refused::NotFound, None) | (Refused::Crowded, Some(_)) => true,
                    (Refused::Over, there) => there.is_some_and(|execution| execution.status.is_over()),
                    _ => false,
                }
            }
            _ => false,
        };
        assert!(is_right, "{ask:?} is refused: {why:?}");
        *self.counts.entry(format!("refused {why:?}")).or_default() += 1;
    }
}
