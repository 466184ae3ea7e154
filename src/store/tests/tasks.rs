//! Records of tasks: what the contract says, asked of each implementation.

use super::{InMemory, OnDisk, PATIENCE, Subject, ticket};
use crate::{
    protocols::tasks::{
        Counts,
        model::{Execution, Kind, Priority, Status, StepResult, Task},
        record::{Filter, Listed, Loaded, Record},
    },
    realtime::{StoreFault, UnixMicros},
    store::{Answer, Mood, Store},
};
use uuid::Uuid;

pub(in super::super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn at(micros: i64) -> UnixMicros {
    UnixMicros(micros)
}

pub(in super::super) fn task(number: u128, status: Status) -> Task {
    let is_done = status == Status::Completed;
    Task {
        id: id(number),
        owner: "ada".into(),
        title: "A function".into(),
        task: "Write a function \u{1F98A}".into(),
        kind: Kind::Code,
        priority: Priority::Medium,
        agent: Some("code-agent".into()),
        model: None,
        parameters: r#"{"language":"rust"}"#.into(),
        status,
        progress: if is_done { 1.0 } else { 0.3 },
        result: is_done.then(|| r#"{"content":"fn"}"#.into()),
        error: (status == Status::Failed).then(|| "Cancelled by user".into()),
        cost: 0.125,
        created_at: at(number as i64),
        updated_at: at(number as i64 + 1),
        completed_at: is_done.then(|| at(number as i64 + 2)),
    }
}

pub(in super::super) fn execution(number: u128, status: Status) -> Execution {
    let result = |step: &str| StepResult { step: step.into(), output: format!("of {step}").into(), cost: 0.25 };
    Execution {
        id: id(number),
        owner: "ada".into(),
        workflow: "code-review-workflow".into(),
        input: r#"{"code":"x"}"#.into(),
        status,
        current_step: Some("step3".into()),
        results: vec![result("step1"), result("step2")],
        error: (status == Status::Failed).then(|| "it broke".into()),
        cost: 0.5,
        created_at: at(number as i64),
        updated_at: at(number as i64 + 1),
        completed_at: (status == Status::Completed).then(|| at(number as i64 + 2)),
    }
}

pub(in super::super) fn of_task(task: Task) -> Record {
    Record::Task(Box::new(task))
}

pub(in super::super) fn of_execution(execution: Execution) -> Record {
    Record::Execution(Box::new(execution))
}

pub(in super::super) fn kept(answer: Answer) -> Result<(), StoreFault> {
    match answer {
        Answer::TasksKept { result, .. } => result,
        Answer::Entered(_) | Answer::Kept { .. } | Answer::LabsKept { .. } | Answer::ChatKept { .. } => {
            panic!("no record of tasks")
        }
    }
}

/// Asks for all of them, and then hears.
fn keep<S: Subject, const N: usize>(it: &S, records: [Record; N]) -> [Result<(), StoreFault>; N] {
    for record in records {
        it.store().keep_tasks(ticket(1), record).expect("room");
    }
    let answers = it.answers(N);
    std::array::from_fn(|place| kept(answers[place]))
}

fn done<S: Subject, const N: usize>(it: &S, records: [Record; N]) {
    assert_eq!(keep(it, records), [Ok(()); N]);
}

const ALL: [Status; 5] = [Status::Pending, Status::InProgress, Status::Verifying, Status::Completed, Status::Failed];

fn what_is_kept_is_read<S: Subject>() {
    let it = S::fresh(64);
    for (number, status) in (1..).zip(ALL) {
        let one = task(number, status);
        let kinds = [Kind::Code, Kind::Design, Kind::Test, Kind::Security, Kind::Analysis];
        let priorities = [Priority::Low, Priority::Medium, Priority::High];
        let place = number as usize - 1;
        let other = Task {
            kind: kinds[place],
            priority: priorities[place % 3],
            agent: None,
            model: Some("gpt-4o".into()),
            ..one.clone()
        };
        done(&it, [of_task(one.clone())]);
        assert_eq!(it.store().task(id(number)), Ok(Some(one)));
        done(&it, [of_task(other.clone())]);
        assert_eq!(it.store().task(id(number)), Ok(Some(other)), "it takes the other's place");
        let (begun, goes_on) = (execution(number, Status::Pending), execution(number, status));
        let begun = Execution { current_step: None, results: Vec::new(), ..begun };
        done(&it, [of_execution(begun.clone())]);
        assert_eq!(it.store().execution(id(number)), Ok(Some(begun)));
        done(&it, [of_execution(goes_on.clone())]);
        assert_eq!(it.store().execution(id(number)), Ok(Some(goes_on)));
    }
    assert_eq!(it.store().task(id(9)), Ok(None));
    assert_eq!(it.store().execution(id(9)), Ok(None));
}

fn only_what_is_over_is_forgotten<S: Subject>() {
    let it = S::fresh(64);
    for (number, status) in (1..).zip(ALL) {
        let expected = if status.is_over() { Ok(()) } else { Err(StoreFault::Failed) };
        assert_eq!(keep(&it, [of_task(task(number, status)), Record::NoTask(id(number))]), [Ok(()), expected]);
        assert_eq!(it.store().task(id(number)).expect("readable").is_some(), !status.is_over());
    }
    done(&it, [Record::NoTask(id(4)), Record::NoTask(id(99))]);
    done(&it, [of_execution(execution(1, Status::Failed)), of_task(task(1, Status::Failed)), Record::NoTask(id(1))]);
    assert!(it.store().execution(id(1)).expect("readable").is_some(), "ids of tasks are not those of executions");
}

fn a_start_finds_what_is_not_over<S: Subject>() {
    let it = S::fresh(64);
    assert_eq!(it.store().load_tasks(), Ok(Loaded::default()));
    for (number, status) in (1..).zip(ALL) {
        let made = at(if number == 1 { 50 } else { 10 });
        done(
            &it,
            [
                of_task(Task { created_at: made, ..task(number, status) }),
                of_execution(Execution { created_at: made, ..execution(number, status) }),
            ],
        );
    }
    let Loaded { tasks, executions } = it.store().load_tasks().expect("readable");
    assert_eq!(tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [2, 3, 1].map(id), "in the order in which they were made");
    assert_eq!(executions.iter().map(|execution| execution.id).collect::<Vec<_>>(), [2, 3, 1].map(id));
    assert_eq!(tasks[0], Task { created_at: at(10), ..task(2, Status::InProgress) });
    assert_eq!(executions[0], Execution { created_at: at(10), ..execution(2, Status::InProgress) });
    done(&it, [of_task(task(2, Status::Completed)), of_execution(execution(1, Status::Failed))]);
    let Loaded { tasks, executions } = it.store().load_tasks().expect("readable");
    assert_eq!((tasks.len(), executions.len()), (2, 2));
}

fn what_is_not_over_is_counted_and_is_not_abandoned_while_its_node_is_there<S: Subject>() {
    let it = S::fresh(64);
    assert_eq!(it.store().task_counts(), Ok(Counts::default()));
    for (number, status) in (1..).zip(ALL.into_iter().chain([Status::Pending])) {
        done(&it, [of_task(task(number, status)), of_execution(execution(number, status))]);
    }
    assert_eq!(it.store().task_counts(), Ok(Counts { active: 2, pending: 2 }), "of tasks alone");
    assert_eq!(it.store().abandoned_tasks(), Ok(Loaded::default()));
    done(&it, [of_task(task(1, Status::InProgress)), of_task(task(3, Status::Failed)), of_task(task(6, Status::Completed))]);
    assert_eq!(it.store().task_counts(), Ok(Counts { active: 2, pending: 0 }));
}

fn abandoned(store: &dyn Store) -> (Vec<Uuid>, Vec<Uuid>) {
    let Loaded { tasks, executions } = store.abandoned_tasks().expect("readable");
    (tasks.iter().map(|task| task.id).collect(), executions.iter().map(|execution| execution.id).collect())
}

/// Where two nodes share their records: what one of them has left when it is no more.
pub(in super::super) fn what_a_node_left_is_found_when_it_is_no_more(one: &dyn Store, other: &dyn Store, end: impl FnOnce()) {
    let keep = |store: &dyn Store, record| {
        store.keep_tasks(ticket(1), record).expect("room");
        // It is asked for what it wrote, and answers in order.
        store.flush(PATIENCE).expect("done");
    };
    for (number, status) in (1..).zip(ALL) {
        keep(other, of_task(task(number, status)));
        keep(other, of_execution(execution(number, status)));
    }
    keep(one, of_task(task(7, Status::Pending)));
    keep(one, of_task(task(2, Status::InProgress)));
    assert_eq!([one, other].map(abandoned), [(vec![], vec![]), (vec![], vec![])]);
    end();
    let (tasks, executions) = abandoned(one);
    assert_eq!(tasks, [1, 3].map(id), "but not what somebody else has written since");
    assert_eq!(executions, [1, 2, 3].map(id));
    assert_eq!(one.task_counts(), Ok(Counts { active: 2, pending: 2 }));
    keep(one, of_task(task(3, Status::Failed)));
    keep(one, of_execution(execution(2, Status::InProgress)));
    assert_eq!(abandoned(one), (vec![id(1)], [1, 3].map(id).to_vec()));
}

fn lists_are_newest_first<S: Subject>() {
    let it = S::fresh(64);
    let rows = [(1, "ada", 30), (2, "bob", 20), (3, "ada", 20), (4, "ada", 20), (5, "ada", 10), (6, "Ada", 40)];
    for ((number, owner, made), status) in rows.into_iter().zip(ALL.into_iter().cycle()) {
        let (owner, created_at) = (owner.into(), at(made));
        let row = Task { owner, created_at, ..task(number, status) };
        let run = Execution { owner: row.owner.clone(), created_at, ..execution(number, status) };
        done(&it, [of_task(row), of_execution(run)]);
    }
    let filter = |owner: Option<&str>, status, offset, limit| Filter { owner: owner.map(Into::into), status, offset, limit };
    let listed = |filter: &Filter| {
        let Listed { items, total } = it.store().tasks(filter).expect("readable");
        let executions = it.store().executions(filter).expect("readable");
        let found: Vec<u128> = items.iter().map(|task| task.id.as_u128()).collect();
        assert_eq!(executions.items.iter().map(|execution| execution.id.as_u128()).collect::<Vec<_>>(), found);
        assert_eq!(executions.total, total);
        (found, total)
    };
    assert_eq!(listed(&filter(None, None, 0, 100)), (vec![6, 1, 4, 3, 2, 5], 6), "of one moment by id");
    let ada = |offset, limit| listed(&filter(Some("ada"), None, offset, limit));
    assert_eq!(ada(0, 100), (vec![1, 4, 3, 5], 4));
    assert_eq!((ada(0, 3), ada(3, 3), ada(6, 3)), ((vec![1, 4, 3], 4), (vec![5], 4), (vec![], 4)));
    assert_eq!(ada(u64::MAX, 100), (vec![], 4));
    assert_eq!(listed(&filter(None, Some(Status::Pending), 0, 100)), (vec![6, 1], 2));
    assert_eq!(listed(&filter(Some("ada"), Some(Status::Pending), 0, 100)), (vec![1], 1));
    assert_eq!(listed(&filter(Some("bob"), Some(Status::Pending), 0, 100)), (vec![], 0));
    assert_eq!(listed(&filter(Some("zoe"), None, 0, 100)), (vec![], 0));
}

fn after_a_stop_nothing_is_kept<S: Subject>() {
    let it = S::fresh(64);
    assert_eq!(it.store().stop(PATIENCE), Ok(()));
    assert_eq!(it.store().keep_tasks(ticket(0), Record::NoTask(id(1))), Err(StoreFault::Busy));
}

suite!(
    what_is_kept_is_read,
    only_what_is_over_is_forgotten,
    a_start_finds_what_is_not_over,
    what_is_not_over_is_counted_and_is_not_abandoned_while_its_node_is_there,
    lists_are_newest_first,
    after_a_stop_nothing_is_kept,
);

#[test]
fn a_fault_in_memory_keeps_nothing() {
    for (mood, fault) in [(Mood::Busy, StoreFault::Busy), (Mood::Failing, StoreFault::Failed)] {
        let it = InMemory::fresh(8);
        it.store.be(mood);
        assert_eq!(keep(&it, [of_task(task(1, Status::Pending))]), [Err(fault)]);
        assert_eq!(it.store().load_tasks(), Err(fault));
        it.store.be(Mood::Prompt);
        assert_eq!(it.store().load_tasks(), Ok(Loaded::default()));
    }
}
