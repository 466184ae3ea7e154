//! `tasks`: users have agents do tasks and hear how far they are, admins hear of everything; then all that was heard is held against what
//! REST has.

use super::{Run, Stop, expiry, secret, sources, spoken, target_of, tokens, workers};
use crate::{
    args::Tasks,
    clock,
    crew::letters::{Stage, Task},
    order::mix,
    progress::Teller,
    quiz::order::Secret,
    report::{Asked, Check, Report},
    server::{ServerFigures, TASK_SOCKETS, TASKS_RUNNING, TASKS_WAITING},
    summary::grouped,
    tally::TaskCounts,
    tasks::{
        contract::Workflow,
        order::{Course, OfficeOrder},
        plan::{Plan, in_time},
    },
    tempo::Tempo,
    wire::{http::Target, rest::Rest},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use std::{io, time::Duration};

/// Nothing may come behind the end of a task: so long is listened to that.
const BEHIND: Duration = Duration::from_millis(500);

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Tasks) -> Result<Report, Stop> {
    let target = target_of(&args.site, &args.url, "ws")?;
    let plan = plan(args, None)?;
    let orders = orders(args, &target, plan)?;
    let asked = Asked {
        scenario: "tasks",
        url: args.url.clone(),
        students: args.users.into(),
        classrooms: args.sockets,
        rate: Some(args.rate),
        in_flight: 0,
        workers: orders.len() as u32,
        sources: orders[0].sources.len(),
        seed: args.site.seed,
        then: then(args),
    };
    let mut run = Run::begin(&args.site, &target, orders.into_iter().map(Task::Tasks).collect(), asked)?;
    let sockets = u64::from(args.sockets) * u64::from(args.users + args.admins);
    run.stage(Stage::Watch, false, Teller::new("subscribing", sockets), |progress| progress.watching)?;
    let listening = run.crew.progress().watching;
    run.check_level("the server's sockets while they listen", TASK_SOCKETS, listening)?;
    run.sample("working");
    run.stage(Stage::Ask, true, Teller::new("working", plan.asks).at(Some(args.rate)), |progress| progress.ended)?;
    run.sample("worked");
    run.let_all_be_heard(BEHIND)?;
    run.stage(Stage::Close, false, Teller::new("closing", sockets), |progress| progress.closed)?;
    run.sample("closed");
    run.check_level("the server's sockets after the close", TASK_SOCKETS, 0)?;
    run.check_level("tasks that the server says run when all is over", TASKS_RUNNING, 0)?;
    run.check_level("tasks that the server says wait when all is over", TASKS_WAITING, 0)?;
    run.stage(Stage::Prove, false, Teller::new("proving", 0), |_| 0)?;
    Ok(run.finish(|tally, checks, server| {
        checks.extend(checks_of(args, plan, &tally.tasks));
        if let Some(server) = server {
            figures(server, &tally.tasks);
        }
    })?)
}

/// What is to be done, if the contract's limits can be kept in it. `tempo`: in place of the one rate.
pub(super) fn plan(args: &Tasks, tempo: Option<Tempo>) -> Result<Plan, Stop> {
    if args.by_rest + args.executions > 1.0 {
        return Err(Stop::Usage("--by-rest and --executions are more than everything".to_owned()));
    }
    let plan = Plan {
        users: args.users,
        sockets: args.sockets,
        asks: tempo.map_or_else(|| in_time(args.rate, args.lasting), |tempo| tempo.total()),
        tempo: tempo.unwrap_or_else(|| Tempo::steady(args.rate)),
        by_rest: args.by_rest,
        executions: args.executions,
        watched: args.watched,
        cancel_every: args.cancel_every,
        looks: in_time(args.look_rate, args.lasting),
        look_rate: args.look_rate,
    };
    if plan.asks == 0 {
        return Err(Stop::Usage("nothing would be asked for: give a higher --rate, or more time".to_owned()));
    }
    plan.check().map_err(Stop::Usage)?;
    Ok(plan)
}

/// One order for each worker.
pub(super) fn orders(args: &Tasks, target: &Target, plan: Plan) -> Result<Vec<OfficeOrder>, Stop> {
    let (users, admins) = credentials(args)?;
    let connections = u64::from(args.sockets) * u64::from(args.users + args.admins) + u64::from(args.users);
    let workers = workers(&args.site, connections)?;
    if workers > args.users {
        return Err(Stop::Usage(format!("{workers} workers need as many --users: a worker has whole users")));
    }
    let course = course(args, target, &users[0])?;
    let sources = sources(&args.site, target, connections)?;
    let run = mix(clock::now_ns() ^ u64::from(std::process::id()) << 32);
    let own = |all: &[Secret], worker: u32| all.iter().skip(worker as usize).step_by(workers as usize).cloned().collect();
    let order = |worker: u32| OfficeOrder {
        worker,
        workers,
        target: target.clone(),
        users: own(&users, worker),
        admins: own(&admins, worker),
        admin_sockets: u64::from(args.admins) * u64::from(args.sockets),
        plan,
        run,
        agent: args.agent.clone(),
        model: args.model.clone(),
        task: args.task.clone(),
        course: course.clone(),
        cancel_after: args.cancel_after,
        timeout: args.site.timeout,
        seed: args.site.seed,
        sources: sources.clone(),
    };
    Ok((0..workers).map(order).collect())
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    role: &'static str,
    exp: u64,
}

/// The tokens of users and of admins.
fn credentials(args: &Tasks) -> Result<(Vec<Secret>, Vec<Secret>), Stop> {
    let (signing, count) = (&args.signing, (args.users + args.admins) as usize);
    let mut all: Vec<Secret> = match (&signing.tokens, &signing.key) {
        (Some(path), _) => tokens(path)?.into_iter().map(Secret).collect(),
        (None, Some(path)) => {
            let (key, exp, seed) = (EncodingKey::from_secret(&secret(path)?), expiry(), args.site.seed);
            let sign = |(role, number): (&'static str, u32)| {
                let sub = format!("load-{role}-{seed}-{number}");
                let claims = Claims { iss: &signing.issuer, aud: &signing.aud, sub, role, exp };
                let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
                token.map(Secret).map_err(|fault| Stop::Usage(format!("the key does not sign: {fault}")))
            };
            let users = (0..args.users).map(|number| ("user", number));
            users.chain((0..args.admins).map(|number| ("admin", number))).map(sign).collect::<Result<_, _>>()?
        }
        (None, None) => return Err(Stop::Usage("give --tokens or --key".to_owned())),
    };
    if all.len() < count {
        return Err(Stop::Usage(format!("{} tokens for {} users and {} admins", all.len(), args.users, args.admins)));
    }
    all.truncate(count);
    let admins = all.split_off(args.users as usize);
    Ok((all, admins))
}

/// The workflow, where there are executions.
fn course(args: &Tasks, target: &Target, user: &Secret) -> Result<Option<Course>, Stop> {
    if args.executions == 0.0 {
        return Ok(None);
    }
    let mut rest = Rest::new(target, &user.0, args.site.timeout);
    let (status, text) = rest.exchange("GET", &format!("/orchestration/workflows/{}", args.workflow), "")?;
    if status != 200 {
        return Err(Stop::Broken(io::Error::other(format!("the workflow {}: http {status}", args.workflow))));
    }
    let workflow: Workflow = serde_json::from_slice(&text).map_err(io::Error::other)?;
    let is_chain = workflow.is_chain();
    let steps = workflow.steps.into_iter().map(|step| step.id).collect();
    Ok(Some(Course { workflow: args.workflow.clone(), steps, is_chain }))
}

fn then(args: &Tasks) -> String {
    let mut told = vec![format!("for {}", spoken(args.lasting))];
    let share = |share: f64| format!("{:.0} %", share * 100.0);
    for (part, what) in [(args.by_rest, "by REST"), (args.executions, "executions"), (args.watched, "watched alone too")] {
        if part > 0.0 {
            told.push(format!("{} {what}", share(part)));
        }
    }
    if args.cancel_every > 0 {
        told.push(format!("every {} cancelled after {}", ordinal(args.cancel_every), spoken(args.cancel_after)));
    }
    if args.admins > 0 {
        told.push(format!("{} admins", grouped(args.admins.into())));
    }
    told.join(", ")
}

fn ordinal(number: u32) -> String {
    let end = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{end}")
}

pub(super) fn checks_of(args: &Tasks, plan: Plan, tasks: &TaskCounts) -> Vec<Check> {
    let sockets = u64::from(args.sockets) * u64::from(args.users + args.admins);
    let listeners = u64::from(args.sockets) * (1 + u64::from(args.admins));
    let (wanted, executions) = plan.sums();
    let asked = tasks.asked_by_socket + tasks.asked_by_rest;
    vec![
        Check::new("sockets that listen", sockets, tasks.listening),
        Check::new("tasks asked for", wanted, asked),
        Check::new("executions asked for", executions, tasks.executions_asked),
        Check::new("tasks that REST has", asked, tasks.kept),
        Check::new("pending at all who listen", asked * listeners, tasks.pendings_heard),
        Check::new("ends at all who listen", asked * listeners, tasks.ends_heard),
        Check::new("messages at users, of those that any socket of theirs heard", tasks.users_owed, tasks.users_heard),
        Check::new("messages at admins, of those that users heard", tasks.admins_owed, tasks.admins_heard),
        Check::new("messages that a socket did not hear", 0, tasks.unheard),
        Check::new("messages that a socket heard again", 0, tasks.doubled),
        Check::new("messages that tell of less than before", 0, tasks.disordered),
        Check::new("ends behind the end of a task", 0, tasks.ended_again),
        Check::new("updates behind the end of a task", 0, tasks.late),
        Check::new("messages to users whose task it is not", 0, tasks.misdirected),
        Check::new("words of the server that cannot be", 0, tasks.untrue),
        Check::new("tasks that failed by themselves", 0, tasks.failed),
        Check::new("cancellations answered", tasks.cancels_sent, tasks.cancels_done + tasks.cancels_late),
        Check::new("states told to those who watch one task", tasks.states_owed, tasks.states_heard),
        Check::new("executions that REST has", tasks.executions_asked, tasks.executions_kept),
        Check::new("executions told to be over", tasks.executions_asked, tasks.executions_ended),
        Check::new("rows of REST that are not what was told", 0, tasks.row_faults),
        Check::new("lists and tasks that REST showed", plan.looks, tasks.looks_answered),
        Check::new("sockets lost before they should end", 0, tasks.lost),
        Check::new("sockets closed properly", sockets, tasks.closed),
    ]
}

fn figures(server: &mut ServerFigures, tasks: &TaskCounts) {
    server.cpu_us_per_task = server.cpu_us("working", "worked", tasks.ended());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_people_do() {
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal),
            ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]
        );
    }
}
