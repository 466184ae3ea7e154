//! `mixed`: a school day from a profile. Each part (classrooms, quizzes, chat, tasks, labs) has workers and stages of its own, as in its
//! own scenario; phases are the day's, and the same for all.

mod parts;

use super::{
    Findings, Run, Stop,
    fates::{Delivered, account},
    reconnect, target_of,
};
use crate::{
    args::Mixed,
    clock,
    crew::{
        lanes::{Lane, Settled, Step},
        letters::Stage,
    },
    live::Live,
    profile::Profile,
    progress::Teller,
    report::{Asked, Check, PHASES, Report, StageCost},
    server::{
        CHAT_ANSWERS, CHAT_SOCKETS, CONNECTIONS, LAB_AGENTS, LAB_VIEWERS, OWNERS, PARTICIPANTS, TASK_SOCKETS, TASKS_RUNNING,
    },
    tally::Tally,
};
use parts::{Labs, Part, Parts};
use std::{ops::Range, time::Duration};

/// A phase is announced so long before it begins.
const NOTICE: Duration = Duration::from_millis(300);
/// What was told must have come to all who listen, and the last snapshot after it.
const HEARD_WITHIN: Duration = Duration::from_millis(2_500);
/// Nothing may come behind the end of an answer or a task: so long is listened to that.
const BEHIND: Duration = Duration::from_millis(500);

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Mixed) -> Result<Report, Stop> {
    let day = Profile::read(&args.profile).map_err(Stop::Usage)?;
    if args.site.gathering.listen.is_some() && day.presence.is_none() {
        return Err(Stop::Usage(
            "who joins has members of classrooms: without [presence] nobody is waited for at --listen".to_owned(),
        ));
    }
    let mut parts = Parts::of(args, &day)?;
    let (tasks, lanes) = parts.take_tasks();
    let asked = asked(args, &day, tasks.len() as u32);
    let target = target_of(&args.site, &asked.url, if asked.url.starts_with("http") { "http" } else { "ws" })?;
    let mut run = Run::begin(&args.site, &target, tasks, asked)?;
    run.own.chat.made = parts.chat.as_ref().map_or(0, |chat| u64::from(chat.plan.sessions));
    let [before, after] = run.live_through(&day, &lanes, parts.labs.as_ref())?;
    for (what, gauge) in [
        ("the server's connections when the day is over", CONNECTIONS),
        ("the server's owners when the day is over", OWNERS),
        ("the server's participants when the day is over", PARTICIPANTS),
        ("the server's sockets of chat when the day is over", CHAT_SOCKETS),
        ("the server's answers under way when the day is over", CHAT_ANSWERS),
        ("the server's sockets of tasks when the day is over", TASK_SOCKETS),
        ("the server's running tasks when the day is over", TASKS_RUNNING),
        ("the server's sockets of labs' viewers when the day is over", LAB_VIEWERS),
        ("the server's sockets of labs' agents when the day is over", LAB_AGENTS),
    ] {
        run.check_level(what, gauge, 0)?;
    }
    Ok(run.conclude(|tally, found| judge(&parts, found, tally, [before, after]))?)
}

/// Which workers belong to which part.
type Lanes = [(Part, Range<usize>)];

fn soon_ns() -> u64 {
    clock::now_ns() + clock::nanos(NOTICE)
}

impl Run {
    /// The whole day; what the server had delivered before the first publish and after the last.
    fn live_through(&mut self, day: &Profile, lanes: &Lanes, labs: Option<&Labs>) -> Result<[Delivered; 2], Stop> {
        let all = |steps: &dyn Fn(Part) -> Vec<Step>| -> Vec<Lane> {
            lanes.iter().map(|(part, workers)| Lane::new(workers.clone(), steps(*part))).collect()
        };
        let mut desktops = labs.map(Labs::desktops);
        if let Some(desktops) = &mut desktops {
            // A session is for an agent that is there.
            let joining = Shown { what: "joining", stage: Stage::Join, from_ns: clock::now_ns(), lasts: Duration::ZERO };
            self.walk(&[joining], all(&|part| part.only_labs(Stage::Join)))?;
            self.make_sessions(desktops)?;
        }
        let ramp_ns = soon_ns();
        self.crew.open_phase(ramp_ns)?;
        let ramp = Shown { what: "ramp", stage: Stage::SignIn, from_ns: ramp_ns, lasts: day.ramp };
        self.walk(&[ramp], all(&|part| part.gather(ramp_ns)))?;
        self.pass_until(ramp)?;
        let students = day.presence.map_or(0, |presence| presence.students.into());
        self.check_level("the server's connections when all have come", CONNECTIONS, students)?;
        let before = self.delivered()?;
        self.sample("working");

        let steady_ns = soon_ns();
        let storm_ns = steady_ns + clock::nanos(day.steady);
        self.crew.open_phase(steady_ns)?;
        self.crew.open_phase(storm_ns)?;
        let steady = Shown { what: "steady", stage: Stage::Publish, from_ns: steady_ns, lasts: day.steady };
        let storm = Shown { what: "storm", stage: Stage::Publish, from_ns: storm_ns, lasts: day.storm };
        self.walk(&[steady, storm], all(&|part| part.work(steady_ns, storm_ns)))?;
        self.pass_until(storm)?;

        let drain_ns = soon_ns();
        self.crew.open_phase(drain_ns)?;
        let drain = Shown { what: "drain", stage: Stage::Calm, from_ns: drain_ns, lasts: day.drain };
        self.walk(&[drain], all(&|part| part.hush(drain_ns)))?;
        let after = self.delivered()?;
        self.sample("worked");
        self.walk(&[Shown { stage: Stage::Close, ..drain }], all(&|part| part.leave(day)))?;
        if let Some(desktops) = &mut desktops {
            self.delete_sessions(desktops)?;
            self.walk(&[Shown { stage: Stage::Close, ..drain }], all(&|part| part.only_labs(Stage::Close)))?;
        }
        self.sample("closed");
        let ends = [steady_ns, storm_ns, drain_ns, clock::now_ns()];
        let begins = [ramp_ns, steady_ns, storm_ns, drain_ns];
        self.stages =
            PHASES.iter().zip(begins.into_iter().zip(ends)).map(|(name, (from, to))| ((*name).to_owned(), from, to)).collect();
        Ok([before, after])
    }

    /// All parts side by side, each through its steps; what is shown meanwhile, one after the other.
    fn walk(&mut self, shown: &[Shown], mut lanes: Vec<Lane>) -> Result<(), Stop> {
        let (mut shown, generator, live) = (shown.iter().peekable(), &mut self.generator, &self.live);
        let mut teller = shown.next().map_or_else(|| Teller::new("", 0), |first| first.enter(live));
        let cost = |Settled { stage, usages }: Settled| {
            let judged =
                matches!(stage, Stage::SignIn | Stage::Storm | Stage::Start | Stage::Answer | Stage::Stream | Stage::Ask);
            generator.push(StageCost { stage, judged, workers: usages });
        };
        let tell = |progress| {
            if let Some(next) = shown.next_if(|next| clock::now_ns() >= next.from_ns) {
                teller = next.enter(live);
            }
            live.told(&mut teller, 0, progress);
        };
        Ok(self.crew.lead(&mut lanes, tell, cost)?)
    }

    /// Lets time pass until a phase is over.
    fn pass_until(&mut self, phase: Shown) -> Result<(), Stop> {
        let end_ns = phase.from_ns + clock::nanos(phase.lasts);
        let left = Duration::from_nanos(end_ns.saturating_sub(clock::now_ns()));
        let (live, mut teller) = (&self.live, Teller::new(phase.what, 0));
        Ok(self.crew.pass(left.saturating_sub(NOTICE), |progress| live.told(&mut teller, 0, progress))?)
    }
}

/// A phase as it is shown while it goes on, by what is measured in the stage that it is most about.
#[derive(Clone, Copy)]
struct Shown {
    what: &'static str,
    stage: Stage,
    from_ns: u64,
    lasts: Duration,
}

impl Shown {
    fn enter(&self, live: &Live) -> Teller {
        let teller = Teller::new(self.what, 0).lasting(self.lasts);
        live.enter(Some(self.stage), &teller);
        teller
    }
}

impl Part {
    /// Everybody comes.
    fn gather(self, at_ns: u64) -> Vec<Step> {
        match self {
            Part::Presence => vec![Step::at(Stage::SignIn, at_ns)],
            Part::Quiz => vec![Step::at(Stage::Watch, at_ns), Step::now(Stage::Start)],
            Part::Chat | Part::Labs => vec![Step::at(Stage::View, at_ns)],
            Part::Tasks => vec![Step::at(Stage::Watch, at_ns)],
        }
    }

    /// What there is to do in the steady phase and in the storm.
    fn work(self, steady_ns: u64, storm_ns: u64) -> Vec<Step> {
        match self {
            Part::Presence => vec![Step::at(Stage::Publish, steady_ns).open(), Step::at(Stage::Storm, storm_ns)],
            Part::Quiz => vec![Step::at(Stage::Answer, steady_ns)],
            Part::Chat | Part::Labs => vec![Step::at(Stage::Stream, steady_ns)],
            Part::Tasks => vec![Step::at(Stage::Ask, steady_ns)],
        }
    }

    /// Nothing new is begun.
    fn hush(self, at_ns: u64) -> Vec<Step> {
        match self {
            Part::Presence => vec![Step::at(Stage::Calm, at_ns)],
            Part::Quiz => vec![Step::at(Stage::Submit, at_ns)],
            Part::Chat | Part::Tasks | Part::Labs => Vec::new(),
        }
    }

    /// Everybody goes, members of classrooms over the first half of the phase and the others behind them; and what is kept is held against
    /// what was done.
    fn leave(self, day: &Profile) -> Vec<Step> {
        let half = day.drain / 2;
        match self {
            Part::Presence => vec![Step::now(Stage::Close)],
            Part::Quiz => vec![Step::after(Stage::Close, half.max(HEARD_WITHIN)), Step::now(Stage::Prove)],
            Part::Chat | Part::Tasks => vec![Step::after(Stage::Close, half.max(BEHIND)), Step::now(Stage::Prove)],
            Part::Labs => vec![Step::after(Stage::Leave, half)],
        }
    }

    /// What agents do before and after the day of the others: a session lives between their coming and their going.
    fn only_labs(self, stage: Stage) -> Vec<Step> {
        match self {
            Part::Labs => vec![Step::now(stage)],
            Part::Presence | Part::Quiz | Part::Chat | Part::Tasks => Vec::new(),
        }
    }
}

fn judge(parts: &Parts, found: &mut Findings, tally: &Tally, [before, after]: [Delivered; 2]) {
    let mut named = |part: &str, checks: Vec<Check>| {
        found.checks.extend(checks.into_iter().map(|check| Check { what: format!("{part}: {}", check.what), ..check }));
    };
    if let Some(presence) = &parts.presence {
        let (checks, fates) = account(&tally.counts, before, after, false);
        named("presence", reconnect::connection_checks(presence, tally));
        named("presence", checks);
        named("presence", reconnect::presence_checks(tally, after.since(before).replaced() * u64::from(presence.stay)).into());
        found.fates = fates;
    }
    if let Some(quiz) = &parts.quiz {
        named("quiz", super::quiz::checks_of(quiz, &tally.quiz));
    }
    if let Some(chat) = &parts.chat {
        named("chat", super::chat::checks_of(&chat.plan, &tally.chat));
        named("chat", vec![Check::new("answers read back", chat.sampled, tally.chat.proved)]);
    }
    if let Some((tasks, plan)) = &parts.tasks {
        named("tasks", super::tasks::checks_of(tasks, *plan, &tally.tasks));
    }
    if let Some(labs) = &parts.labs {
        named("labs", super::lab::checks_of(&labs.args, &tally.lab));
    }
}

fn asked(args: &Mixed, day: &Profile, workers: u32) -> Asked {
    let urls = [
        (day.presence.is_some(), &args.presence_url),
        (day.quiz.is_some(), &args.quiz_url),
        (day.chat.is_some(), &args.chat_url),
        (day.tasks.is_some(), &args.tasks_url),
        (day.labs.is_some(), &args.labs_url),
    ];
    let people = |count: Option<u32>, what: &str| count.map(|count| format!("{count} {what}"));
    let told: Vec<String> = [
        people(day.quiz.map(|quiz| quiz.participants), "participants of quizzes"),
        people(day.chat.map(|chat| chat.sessions), "sessions of chat"),
        people(day.tasks.map(|tasks| tasks.users), "users of tasks"),
        people(day.labs.map(|labs| labs.sessions), "desktops"),
    ]
    .into_iter()
    .flatten()
    .collect();
    Asked {
        scenario: "mixed",
        url: urls.into_iter().find(|(is_there, _)| *is_there).map_or_else(|| args.presence_url.clone(), |(_, url)| url.clone()),
        students: day.presence.map_or(0, |presence| presence.students.into()),
        classrooms: day.presence.map_or(0, |presence| presence.classrooms),
        rate: None,
        in_flight: 0,
        workers,
        sources: 0,
        seed: args.site.seed,
        then: format!("the day {}: {}", day.name, told.join(", ")),
    }
}
