//! `chat`: people ask agents for answers, each at its moment, and hear them word by word; every word that was sent must come.

use super::{Run, Stop, parlour, sources, spoken, target_of, workers};
use crate::{
    args::Chat,
    chat::{
        order::{Answers, ChatOrder, ModelOrder, Name, Plan},
        proof::PART,
    },
    crew::letters::{Stage, Task},
    progress::{Teller, announce},
    report::{Asked, Check, Report},
    server::{CHAT_ANSWERS, CHAT_SOCKETS, MODELS_ASKED, ServerFigures},
    summary::grouped,
    tally::ChatCounts,
    wire::http::Target,
};

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Chat) -> Result<Report, Stop> {
    let target = target_of(&args.site, &args.url, "http")?;
    let plan = plan(args)?;
    let (tasks, sampled) = tasks(args, &target, plan)?;
    let count = tasks.iter().filter(|task| matches!(task, Task::Chats(_))).count() as u32;
    let asked = Asked {
        scenario: "chat",
        url: args.url.clone(),
        students: args.sessions.into(),
        classrooms: args.sse,
        rate: Some(f64::from(args.sessions) / args.every.as_secs_f64().max(1e-3)).filter(|_| args.messages > 1),
        in_flight: args.in_flight.into(),
        workers: count,
        sources: sources(&args.site, &target, lines(&plan))?.len(),
        seed: args.site.seed,
        then: then(args, &plan),
    };
    let mut run = Run::begin(&args.site, &target, tasks, asked)?;
    run.own.chat.made = args.sessions.into();
    run.talk(args, &plan)?;
    Ok(run.finish(|tally, checks, server| {
        checks.extend(checks_of(&plan, &tally.chat));
        checks.push(Check::new("answers read back", sampled * u64::from(plan.messages), tally.chat.proved));
        if let Some(server) = server {
            figures(server, &tally.chat);
        }
    })?)
}

/// What the workers are to do, the model last; and of how many sessions the answers are read back. The sessions are made.
pub(super) fn tasks(args: &Chat, target: &Target, plan: Plan) -> Result<(Vec<Task>, u64), Stop> {
    let count = workers(&args.site, lines(&plan))?;
    let sources = sources(&args.site, target, lines(&plan))?;
    let seats = {
        announce("making the sessions");
        parlour::seats(args, target)?
    };
    let order = |worker| ChatOrder {
        worker,
        target: target.clone(),
        plan,
        seats: seats.iter().filter(|seat| seat.number % count == worker).cloned().collect(),
        sample: args.sample.div_ceil(count),
        seed: args.site.seed,
        timeout: args.site.timeout,
        sources: sources.clone(),
    };
    let orders: Vec<ChatOrder> = (0..count).map(order).collect();
    let sampled: usize = orders.iter().map(|order| (0..order.seats.len()).filter(|place| order.is_sampled(*place)).count()).sum();
    let model = args
        .model_listen
        .map(|listen| Task::Model(ModelOrder { listen, plan, timeout: args.site.timeout, core: args.model_core }));
    Ok((orders.into_iter().map(Task::Chats).chain(model).collect(), sampled as u64))
}

impl Run {
    fn talk(&mut self, args: &Chat, plan: &Plan) -> Result<(), Stop> {
        self.stage(Stage::View, false, Teller::new("connecting", lines(plan)), |progress| progress.watching)?;
        self.crew.pass(args.settle, |_| {})?;
        self.check_level("the server's sockets of chat", CHAT_SOCKETS, sockets(plan))?;
        self.sample("streaming");
        let answers: u64 = (0..plan.sessions).map(|session| u64::from(plan.lines(session) * plan.messages)).sum();
        self.stage(Stage::Stream, true, Teller::new("talking", answers).at(self.asked.rate), |progress| progress.answered)?;
        self.sample("streamed");
        self.crew.pass(args.settle, |_| {})?;
        self.check_level("the server's answers under way when all are over", CHAT_ANSWERS, 0)?;
        self.check_level("the server's requests to models when all are over", MODELS_ASKED, 0)?;
        self.stage(Stage::Close, false, Teller::new("closing", 0), |_| 0)?;
        self.sample("closed");
        self.check_level("the server's sockets of chat after the close", CHAT_SOCKETS, 0)?;
        Ok(self.stage(Stage::Prove, false, Teller::new("proving", 0), |_| 0)?)
    }
}

pub(super) fn plan(args: &Chat) -> Result<Plan, Stop> {
    let answers = if args.model_listen.is_some() { Answers::Model } else { Answers::Builtin };
    let spread = args.spread.unwrap_or(args.every);
    let wrong = if args.sse > args.sessions {
        "more --sse than --sessions".to_owned()
    } else if args.messages > 1 && spread > args.every {
        "--spread is longer than --every".to_owned()
    } else if args.unmeasured >= args.messages {
        "as many --unmeasured as --messages: nothing is measured".to_owned()
    } else if args.sample > 0 && args.messages > PART / 2 {
        format!("answers are read back in one part: at most {} --messages", PART / 2)
    } else if args.pace.is_zero() {
        "a --pace of zero".to_owned()
    } else {
        return Ok(Plan {
            sessions: args.sessions,
            sse: args.sse,
            sockets: args.sockets,
            messages: args.messages,
            unmeasured: args.unmeasured,
            spread,
            every: args.every,
            tempo: None,
            words: args.words,
            pace: args.pace,
            think: args.think,
            cancel_every: args.cancel_every,
            answers,
        });
    };
    Err(Stop::Usage(wrong))
}

fn sockets(plan: &Plan) -> u64 {
    u64::from(plan.sessions - plan.sse) * u64::from(plan.sockets)
}

fn lines(plan: &Plan) -> u64 {
    sockets(plan) + u64::from(plan.sse)
}

fn then(args: &Chat, plan: &Plan) -> String {
    let who = match (plan.answers, &args.agent) {
        (Answers::Model, _) => "the harness's model".to_owned(),
        (Answers::Builtin, Some(agent)) => format!("the built-in agent ({agent})"),
        (Answers::Builtin, None) => "the built-in agent".to_owned(),
    };
    let mut told = format!(
        "{} messages each, one in {}; {who} answers with {} words, one in {}",
        plan.messages,
        spoken(plan.every),
        grouped(plan.words.into()),
        spoken(plan.pace)
    );
    if plan.cancel_every > 0 {
        told += &format!("; one in {} is cancelled", plan.cancel_every);
    }
    told
}

pub(super) fn checks_of(plan: &Plan, chat: &ChatCounts) -> Vec<Check> {
    let mut checks = vec![
        Check::new("connections opened", lines(plan), chat.opened),
        Check::new("messages said", plan.total(), chat.asked),
        Check::new("beginnings of answers", chat.ends_owed, chat.starts_heard),
        Check::new("ends of answers", chat.ends_owed, chat.ends_heard),
        Check::new("beginnings within an answer, and ends outside one", 0, chat.misplaced),
        Check::new("words of answers", chat.words_owed, chat.words_heard),
        Check::new("words that are not the next of their answer", 0, chat.broken),
        Check::new("words outside an answer", 0, chat.stray),
        Check::new("answers that ended too soon", 0, chat.short),
        Check::new("answers that ended by their cancel", cancels(plan), chat.cut_short),
        Check::new("words of cancelled answers at the other sockets", chat.words_owed_beside, chat.words_of_cancelled_beside),
        Check::new("connections lost before they should end", 0, chat.lost),
        Check::new("sockets closed properly", sockets(plan), chat.closed),
        Check::new("answers that are not kept as they were heard", 0, chat.unproved),
    ];
    if plan.answers == Answers::Model {
        checks.extend([
            Check::new("requests to the model", plan.total(), chat.requests),
            Check::new("requests to the model that are none", 0, chat.misasked),
            Check::new("answers that the model gave whole", plan.total() - cancels(plan), chat.given),
            Check::new("requests to the model that went with their cancel", cancels(plan), chat.cut),
        ]);
    }
    checks
}

/// Answers that are cancelled.
fn cancels(plan: &Plan) -> u64 {
    let names = (0..plan.sessions).flat_map(|session| (0..plan.messages).map(move |message| Name { session, message }));
    names.filter(|name| plan.is_cancelled(*name)).count() as u64
}

fn figures(server: &mut ServerFigures, chat: &ChatCounts) {
    let words = chat.words_heard + chat.words_of_cancelled + chat.words_of_cancelled_beside;
    server.cpu_us_per_word = server.cpu_us("streaming", "streamed", words);
}
