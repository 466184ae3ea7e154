//! What is on disk, kept a second time and by other means, and what must hold of it at every moment.

use homeroom::protocols::tasks::{
    ExecutionId, TaskId, Workflows,
    model::{Execution, Status, Task},
    record::Record,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use uuid::Uuid;

/// See the file.
pub(crate) struct Book {
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    /// Every form that a task had, the last one first written last; also of those that were removed.
    pub(crate) history: BTreeMap<TaskId, Vec<Task>>,
    pub(crate) removed: BTreeSet<TaskId>,
    /// By what is to be done: no two are told the same.
    by_words: BTreeMap<String, TaskId>,
    pub(crate) executions: BTreeMap<ExecutionId, Execution>,
    /// Every form that an execution had.
    pub(crate) courses: BTreeMap<ExecutionId, Vec<Execution>>,
    by_input: BTreeMap<String, ExecutionId>,
    pub(crate) workflows: Arc<Workflows>,
    /// Tasks and executions that somebody was told of: until then nobody may see them.
    pub(crate) told: BTreeSet<Uuid>,
    /// How often something was written.
    pub(crate) changes: u64,
}

/// Where something stands on its way; both ends are one.
pub(crate) fn rank(status: Status) -> u8 {
    match status {
        Status::Pending => 0,
        Status::InProgress => 1,
        Status::Verifying => 2,
        Status::Completed | Status::Failed => 3,
    }
}

impl Book {
    pub(crate) fn new(workflows: Arc<Workflows>) -> Book {
        Book {
            tasks: BTreeMap::new(),
            history: BTreeMap::new(),
            removed: BTreeSet::new(),
            by_words: BTreeMap::new(),
            executions: BTreeMap::new(),
            courses: BTreeMap::new(),
            by_input: BTreeMap::new(),
            workflows,
            told: BTreeSet::new(),
            changes: 0,
        }
    }

    /// A new process knows all that is on disk.
    pub(crate) fn all_told(&mut self) {
        self.told.extend(self.tasks.keys().chain(self.executions.keys()).copied());
    }

    /// A record is on disk from now on.
    pub(crate) fn write(&mut self, record: &Record) {
        self.changes += 1;
        match record {
            Record::Task(task) => self.write_task(task),
            Record::NoTask(id) => {
                let task = self.tasks.remove(id).expect("what is removed was there");
                assert!(task.status.is_over(), "a task is removed that is not over: {task:?}");
                self.removed.insert(*id);
            }
            Record::Execution(execution) => self.write_execution(execution),
        }
    }

    fn write_task(&mut self, task: &Task) {
        assert!(!self.removed.contains(&task.id), "a task that was removed comes back: {task:?}");
        match self.tasks.get(&task.id) {
            Some(before) => {
                assert!(rank(before.status) <= rank(task.status), "a task goes back: {before:?}, {task:?}");
                assert!(before.progress <= task.progress, "progress falls: {before:?}, {task:?}");
                let end = |task: &Task| (task.status, task.result.clone(), task.error.clone(), task.completed_at);
                assert!(!before.status.is_over() || end(before) == end(task), "a task ends twice: {before:?}, {task:?}");
            }
            None => {
                assert_eq!(task.status, Status::Pending, "a task begins with its beginning");
                let twice = self.by_words.insert(task.task.to_string(), task.id);
                assert_eq!(twice, None, "a task is there twice: {task:?}");
            }
        }
        match task.status {
            Status::Completed => assert!(task.result.is_some() && task.completed_at.is_some(), "{task:?}"),
            Status::Failed => assert!(task.error.is_some(), "{task:?}"),
            Status::Pending | Status::InProgress | Status::Verifying => {}
        }
        self.history.entry(task.id).or_default().push(task.clone());
        self.tasks.insert(task.id, task.clone());
    }

    fn write_execution(&mut self, execution: &Execution) {
        let steps = &self.workflows[&execution.workflow].steps;
        let results = &execution.results;
        match self.executions.get(&execution.id) {
            Some(before) => {
                assert!(!before.status.is_over(), "an execution that is over goes on: {execution:?}");
                assert!(rank(before.status) <= rank(execution.status), "an execution goes back: {before:?}, {execution:?}");
                assert!(results.starts_with(&before.results), "what a step gave is lost: {before:?}, {execution:?}");
            }
            None => _ = self.by_input.insert(execution.input.to_string(), execution.id),
        }
        for (at, result) in results.iter().enumerate() {
            let step = steps.iter().find(|step| step.id == result.step).expect("a step of the workflow");
            let is_done = |id: &Arc<str>| results[..at].iter().any(|other| other.step == *id);
            assert!(step.needs.iter().all(is_done), "a step is done before those that it needs: {execution:?}");
            assert!(!is_done(&result.step), "a step is done twice: {execution:?}");
        }
        let is_whole = results.len() == steps.len();
        assert_eq!(execution.status == Status::Completed, is_whole, "it is completed when all is done: {execution:?}");
        self.courses.entry(execution.id).or_default().push(execution.clone());
        self.executions.insert(execution.id, execution.clone());
    }

    /// What is to be done in these words.
    pub(crate) fn with_words(&self, words: &str) -> Option<&Task> {
        self.tasks.get(self.by_words.get(words)?)
    }

    /// The execution that was given this, and the place of the step that is told so.
    pub(crate) fn step_told(&self, words: &str) -> Option<(&Execution, usize)> {
        let rest = words.strip_prefix("step ")?;
        let (step, rest) = rest.split_once(' ')?;
        let input = &rest[..=rest.find('}')?];
        let execution = &self.executions[self.by_input.get(input)?];
        let place = self.workflows[&execution.workflow].steps.iter().position(|other| *other.id == *step)?;
        Some((execution, place))
    }

    /// Whether a row ever was so.
    pub(crate) fn was(&self, task: &Task) -> bool {
        // How far an agent is, is told and not written.
        let alike = |row: &Task| Task { progress: task.progress, updated_at: task.updated_at, ..row.clone() } == *task;
        self.history.get(&task.id).is_some_and(|history| history.iter().any(alike))
    }

    pub(crate) fn execution_was(&self, execution: &Execution) -> bool {
        self.courses.get(&execution.id).is_some_and(|courses| courses.contains(execution))
    }

    /// What was over, or was found so by a new process: those that had begun fail.
    pub(crate) fn open_tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().filter(|task| !task.status.is_over())
    }

    pub(crate) fn open_executions(&self) -> impl Iterator<Item = &Execution> {
        self.executions.values().filter(|execution| !execution.status.is_over())
    }
}
