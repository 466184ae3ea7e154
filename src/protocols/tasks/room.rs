//! A task or an execution in memory: what comes while it is being read waits. And what letters are about.

use super::{
    asks::{Ask, Home, Refused},
    circumstances::{Asker, Circumstances, From, Timer},
    execution::Course,
    letters::{FromHome, ToExecution, ToTask},
    model::{Execution, ExecutionId, Task, TaskId},
    outcome::Outcome,
    task::{Assignment, RETRY},
};
use crate::realtime::StoreFault;
use std::mem;

/// See the file. `L` are letters to a `H`.
pub(super) enum Room<L, H> {
    /// It is being read.
    Loading {
        /// What came meanwhile.
        waiting: Vec<L>,
        /// Whether it is to be taken up, though nobody may say anything to it: where it cannot be read, it is looked for again.
        is_left: bool,
    },
    /// It is here.
    Here(Box<H>),
}

/// What may wait while something is being read.
const WAITING_AT_MOST: usize = 1_000;

impl Room<ToTask, Assignment> {
    pub(super) fn letter(&mut self, letter: ToTask, c: &mut Circumstances<'_>) {
        match self {
            Room::Loading { waiting, .. } if waiting.len() < WAITING_AT_MOST => waiting.push(letter),
            Room::Loading { .. } => refuse_task(letter, Refused::Store(StoreFault::Busy), c),
            Room::Here(task) => task.letter(letter, c),
        }
    }

    pub(super) fn loaded(&mut self, loaded: Result<Option<Box<Task>>, StoreFault>, c: &mut Circumstances<'_>) {
        let Room::Loading { waiting, is_left } = self else { return };
        let (waiting, is_left) = (mem::take(waiting), mem::take(is_left));
        match loaded {
            Ok(Some(task)) => {
                let mut task = Box::new(Assignment::found(*task, c));
                waiting.into_iter().for_each(|letter| task.letter(letter, c));
                *self = Room::Here(task);
            }
            Ok(None) => waiting.into_iter().for_each(|letter| refuse_task(letter, Refused::NotFound, c)),
            Err(fault) => {
                waiting.into_iter().for_each(|letter| refuse_task(letter, Refused::Store(fault), c));
                if is_left {
                    c.after(RETRY, Timer::Survey);
                }
            }
        }
    }

    /// Goes on with what waits. Whether nothing goes on any more.
    pub(super) fn rest(&mut self, c: &mut Circumstances<'_>) -> bool {
        match self {
            // What could not be read has nobody waiting.
            Room::Loading { waiting, is_left } => waiting.is_empty() && !*is_left,
            Room::Here(task) => task.rest(c),
        }
    }
}

impl Room<ToExecution, Course> {
    pub(super) fn letter(&mut self, letter: ToExecution, c: &mut Circumstances<'_>) {
        match self {
            Room::Loading { waiting, .. } if waiting.len() < WAITING_AT_MOST => waiting.push(letter),
            Room::Loading { .. } => refuse_execution(letter, Refused::Store(StoreFault::Busy), c),
            Room::Here(execution) => execution.letter(letter, c),
        }
    }

    pub(super) fn loaded(&mut self, loaded: Result<Option<Box<Execution>>, StoreFault>, c: &mut Circumstances<'_>) {
        let Room::Loading { waiting, is_left } = self else { return };
        let (waiting, is_left) = (mem::take(waiting), mem::take(is_left));
        match loaded {
            Ok(Some(execution)) => {
                let mut execution = Box::new(Course::found(*execution, c));
                waiting.into_iter().for_each(|letter| execution.letter(letter, c));
                *self = Room::Here(execution);
            }
            Ok(None) => waiting.into_iter().for_each(|letter| refuse_execution(letter, Refused::NotFound, c)),
            Err(fault) => {
                waiting.into_iter().for_each(|letter| refuse_execution(letter, Refused::Store(fault), c));
                if is_left {
                    c.after(RETRY, Timer::Survey);
                }
            }
        }
    }

    /// Goes on with what waits. Whether nothing goes on any more.
    pub(super) fn rest(&mut self, c: &mut Circumstances<'_>) -> bool {
        match self {
            Room::Loading { waiting, is_left } => waiting.is_empty() && !*is_left,
            Room::Here(execution) => execution.rest(c),
        }
    }
}

/// Which task a letter is about; none: about none.
pub(super) fn task_of(letter: &ToTask) -> Option<TaskId> {
    match letter {
        ToTask::Create { task, .. } => Some(task.id),
        ToTask::See { task, .. } | ToTask::Cancel { task, .. } => Some(*task),
        ToTask::Ask { ask, .. } => match ask.home() {
            Home::Task(task) => Some(task),
            Home::Execution(_) => None,
        },
    }
}

/// As [`task_of`].
pub(super) fn execution_of(letter: &ToExecution) -> Option<ExecutionId> {
    match letter {
        ToExecution::See { execution, .. } => Some(*execution),
        ToExecution::Ask { ask, .. } => match ask.home() {
            Home::Execution(execution) => Some(execution),
            Home::Task(_) => None,
        },
    }
}

/// Which request over REST a letter is; none: it is a socket's.
pub(super) fn asker_of(letter: &ToTask) -> Option<Asker> {
    match letter {
        ToTask::Ask { asker, number, .. } => Some((*asker, *number)),
        ToTask::Create { .. } | ToTask::See { .. } | ToTask::Cancel { .. } => None,
    }
}

/// As [`asker_of`].
pub(super) fn execution_asker_of(letter: &ToExecution) -> Option<Asker> {
    match letter {
        ToExecution::Ask { asker, number, .. } => Some((*asker, *number)),
        ToExecution::See { .. } => None,
    }
}

/// The task that a letter makes, and who is to hear of it; or the letter, if it makes none.
pub(super) fn new_task(letter: ToTask) -> Result<(Box<Task>, From), ToTask> {
    match letter {
        ToTask::Create { conn, task } => Ok((task, From::Conn(conn))),
        ToTask::Ask { asker, number, ask } => match *ask {
            Ask::Create(task) => Ok((task, From::Ask((asker, number)))),
            ask => Err(ToTask::Ask { asker, number, ask: Box::new(ask) }),
        },
        letter => Err(letter),
    }
}

/// As [`new_task`].
pub(super) fn new_execution(letter: ToExecution) -> Result<(Box<Execution>, Asker), ToExecution> {
    match letter {
        ToExecution::Ask { asker, number, ask } => match *ask {
            Ask::Execute(execution) => Ok((execution, (asker, number))),
            ask => Err(ToExecution::Ask { asker, number, ask: Box::new(ask) }),
        },
        letter => Err(letter),
    }
}

/// Whether a task is read for the sake of a letter. What no home cares for is in the store as it is: who only looks may look there.
pub(super) fn opens(letter: &ToTask) -> bool {
    match letter {
        ToTask::See { .. } | ToTask::Cancel { .. } => true,
        ToTask::Create { .. } => false,
        ToTask::Ask { ask, .. } => matches!(**ask, Ask::Edit { .. } | Ask::Remove { .. } | Ask::Cancel { .. }),
    }
}

/// As [`opens`].
pub(super) fn opens_execution(letter: &ToExecution) -> bool {
    match letter {
        ToExecution::See { .. } => true,
        ToExecution::Ask { ask, .. } => matches!(**ask, Ask::CancelExecution { .. }),
    }
}

/// Answers a letter that nothing was done.
pub(super) fn refuse_task(letter: ToTask, why: Refused, c: &mut Circumstances<'_>) {
    match letter {
        ToTask::Create { conn, task } => c.not_taken(From::Conn(conn), task.id, why),
        ToTask::See { conn, task, .. } => c.out.push(Outcome::Tell(conn, FromHome::Seen { task, state: Err(why) })),
        ToTask::Cancel { conn, task, .. } => c.not_done(From::Conn(conn), task, why),
        ToTask::Ask { asker, number, .. } => c.refuse((asker, number), why),
    }
}

/// Answers a letter that nothing was done.
pub(super) fn refuse_execution(letter: ToExecution, why: Refused, c: &mut Circumstances<'_>) {
    match letter {
        ToExecution::See { conn, execution, .. } => {
            c.out.push(Outcome::Tell(conn, FromHome::ExecutionSeen { execution, state: Err(why) }));
        }
        ToExecution::Ask { asker, number, .. } => c.refuse((asker, number), why),
    }
}
