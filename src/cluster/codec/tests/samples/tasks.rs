//! Letters of tasks.

use super::*;
use crate::protocols::tasks::{
    About, Ask, Channel, Counts, FromHome, Hold, Home, Interest, News, Reply, ToExecution, ToTask, ToUser,
    asks::{Edit, Refused},
    model::{Caller, Execution, Kind, Priority, Status, StepResult, Task},
};

const STATUSES: [Status; 5] = [Status::Pending, Status::InProgress, Status::Verifying, Status::Completed, Status::Failed];
const KINDS: [Kind; 5] = [Kind::Code, Kind::Design, Kind::Test, Kind::Security, Kind::Analysis];
const PRIORITIES: [Priority; 3] = [Priority::Low, Priority::Medium, Priority::High];
const COUNTS: Counts = Counts { active: 1, pending: u64::MAX };

fn caller() -> Caller {
    Caller { user: text("ann"), admin: false }
}

fn task(status: Status, kind: Kind, priority: Priority) -> Box<Task> {
    Box::new(Task {
        id: id(1),
        owner: text("ann"),
        title: text("t"),
        task: long(),
        kind,
        priority,
        agent: Some(text("coder")),
        model: None,
        parameters: text("{}"),
        status,
        progress: 0.5,
        result: Some(text(r#"{"ok":true}"#)),
        error: None,
        cost: 1e-9,
        created_at: AT,
        updated_at: AT,
        completed_at: Some(AT),
    })
}

fn some_task() -> Box<Task> {
    task(Status::Pending, Kind::Code, Priority::Low)
}

fn tasks() -> impl Iterator<Item = Box<Task>> {
    let of_each_status = STATUSES.into_iter().map(|status| task(status, Kind::Code, Priority::Low));
    let of_each_kind = KINDS.into_iter().map(|kind| task(Status::Pending, kind, Priority::Low));
    of_each_status.chain(of_each_kind).chain(PRIORITIES.into_iter().map(|priority| task(Status::Pending, Kind::Code, priority)))
}

fn execution() -> Box<Execution> {
    Box::new(Execution {
        id: id(2),
        owner: text("ann"),
        workflow: text("review"),
        input: text("{}"),
        status: Status::InProgress,
        current_step: Some(text("second")),
        results: vec![StepResult { step: text("first"), output: long(), cost: 0.25 }],
        error: Some(text("no")),
        cost: 0.25,
        created_at: AT,
        updated_at: AT,
        completed_at: None,
    })
}

fn asks() -> Vec<Ask> {
    let edit = Edit {
        status: Some(Status::Failed),
        progress: Some(1.0),
        title: Some(text("t")),
        priority: Some(Priority::High),
        kind: Some(Kind::Design),
        result: Some(text("{}")),
        error: Some(text("e")),
    };
    let (task, execution_id) = (id(1), id(2));
    let mut asks = vec![
        Ask::Look { task, caller: caller() },
        Ask::Edit { task, caller: caller(), edit },
        Ask::Edit { task, caller: caller(), edit: Edit::default() },
        Ask::Remove { task, caller: caller() },
        Ask::Cancel { task, caller: caller() },
        Ask::Execute(execution()),
        Ask::LookExecution { execution: execution_id, caller: caller() },
        Ask::CancelExecution { execution: execution_id, caller: caller() },
    ];
    asks.extend(tasks().map(Ask::Create));
    asks
}

fn refusals() -> Vec<Refused> {
    let mut refusals = vec![
        Refused::NotHere,
        Refused::NotFound,
        Refused::Over,
        Refused::AtWork,
        Refused::NoSuchMove,
        Refused::Crowded,
        Refused::TooMany,
        Refused::Stopping,
    ];
    refusals.extend(FAULTS.map(Refused::Store));
    refusals
}

fn from_home() -> Vec<FromHome> {
    let (task, execution_id) = (id(1), id(2));
    let mut letters = vec![
        FromHome::Counted { refused: true },
        FromHome::Taken { task },
        FromHome::Seen { task, state: Ok(some_task()) },
        FromHome::Seen { task, state: Err(Refused::NotFound) },
        FromHome::ExecutionSeen { execution: execution_id, state: Ok(execution()) },
        FromHome::ExecutionSeen { execution: execution_id, state: Err(Refused::NotHere) },
        FromHome::Cancelled(some_task()),
        FromHome::NotCancelled { task, why: Refused::Over },
    ];
    letters.extend(refusals().into_iter().map(|why| FromHome::NotTaken { task, why }));
    letters
}

fn homes() -> Vec<Letter> {
    let (conn, task, execution) = (conn(), id(1), id(2));
    let mut letters = vec![
        Letter::TasksUser(ToUser::Come { conn, user: text("ann") }),
        Letter::TasksUser(ToUser::Move { conn, user: text("ann") }),
        Letter::TasksUser(ToUser::Go { conn, user: long() }),
        Letter::TasksHold(Hold::Goes(vec![Home::Task(task), Home::Execution(execution)])),
        Letter::TasksHold(Hold::Over(Home::Task(task))),
        Letter::TasksInterest(Interest::More(vec![Channel::Of(text("ann")), Channel::All, Channel::Status])),
        Letter::TasksInterest(Interest::Less(Channel::Of(long()))),
        Letter::TaskHome(ToTask::Create { conn, task: some_task() }),
        Letter::TaskHome(ToTask::See { conn, task, caller: caller() }),
        Letter::TaskHome(ToTask::Cancel { conn, task, caller: caller() }),
        Letter::ExecutionHome(ToExecution::See { conn, execution, caller: caller() }),
    ];
    for ask in asks() {
        letters.push(Letter::TaskHome(ToTask::Ask { asker: FROM, number: 8, ask: Box::new(ask.clone()) }));
        letters.push(Letter::ExecutionHome(ToExecution::Ask { asker: TO, number: 9, ask: Box::new(ask) }));
    }
    letters
}

pub(super) fn all() -> Vec<Letter> {
    let about = [About::Task(id(1)), About::Execution(id(2)), About::Status];
    let mut replies = vec![Reply::Execution(execution())];
    replies.extend(tasks().map(Reply::Task));
    replies.extend(refusals().into_iter().map(Reply::Refused));
    let mut letters = homes();
    letters.extend(from_home().into_iter().map(|letter| Letter::TasksConnection(conn(), letter)));
    letters.extend(about.map(|about| {
        let news = News { about, is_last: true, frame: frame() };
        Letter::TasksNews { owner: text("ann"), news }
    }));
    letters.push(Letter::TasksCounts { from: FROM, counts: COUNTS });
    letters.push(Letter::TasksTotals(COUNTS));
    letters.push(Letter::Publish { topic: Topic::SystemStatus, frame: frame(), members: 1, since: Since::default() });
    letters.extend(replies.into_iter().map(|reply| Letter::TasksReply { number: 4, reply: Box::new(reply) }));
    letters
}
