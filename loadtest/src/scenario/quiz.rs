//! `quiz`: participants begin attempts and answer, owners watch; then all that was heard and kept is held against what was done.

use super::{
    Run, Stop,
    papers::{self, Plan},
    spoken, target_of,
};
use crate::{
    args::{Quiz, Sitting},
    crew::letters::{Stage, Task},
    progress::{Teller, announce},
    quiz::order::{HallOrder, Holds, Pace},
    report::{Asked, Check, Report},
    server::{ANSWERS, ATTEMPTS, OWNERS, PARTICIPANTS, ServerFigures},
    summary::grouped,
    tally::QuizCounts,
    tempo::Tempo,
};
use std::time::{Duration, Instant};

/// What was told must have come to all who listen within this.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
/// Then comes the last snapshot within this.
const LAST_SNAPSHOT: Duration = Duration::from_millis(500);
/// And the server's goodbye to participants, a second after `attempt_closed`, within this.
const GOODBYE: Duration = Duration::from_millis(1_500);

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Quiz) -> Result<Report, Stop> {
    let holds = if args.sockets { Holds::Both } else { Holds::Line };
    let pace = match args.answer_rate {
        Some(rate) => Pace::Rate(Tempo::steady(rate)),
        None if args.saturate => Pace::Saturate,
        None => Pace::Think(args.think),
    };
    let (screens, channels) = (args.screens, args.watch.clone());
    let plan = Plan { pace, correct: args.correct, holds, screens, channels, sample: args.sample };
    let mut run = begin("quiz", &args.sitting, &plan, then(args))?;
    run.stage(Stage::Watch, false, Teller::new("watching", 0), |_| 0)?;
    run.start(true)?;
    let progress = run.crew.progress();
    run.check_level("the server's owners while they watch", OWNERS, progress.watching)?;
    run.check_level("the server's participants while they listen", PARTICIPANTS, progress.listening)?;
    run.check_level("the server's attempts while they run", ATTEMPTS, progress.signed_in)?;
    run.sample("answering");
    let answers = u64::from(args.sitting.participants) * u64::from(args.sitting.questions);
    run.stage(Stage::Answer, true, Teller::new("answering", answers).at(args.answer_rate), |progress| progress.answered)?;
    run.sample("answered");
    run.stage(Stage::Submit, false, Teller::new("submitting", 0), |_| 0)?;
    run.let_all_be_heard(if args.sockets { GOODBYE } else { LAST_SNAPSHOT })?;
    run.check_level("the server's count of answers", ANSWERS, run.crew.progress().answered)?;
    run.check_level("the server's attempts after the submits", ATTEMPTS, 0)?;
    run.close_all()?;
    run.stage(Stage::Prove, false, Teller::new("proving", 0), |_| 0)?;
    Ok(run.finish(|tally, checks, server| {
        checks.extend(checks_of(args, &tally.quiz));
        if let Some(server) = server {
            figures(server, &tally.quiz);
        }
    })?)
}

/// Sets the quizzes up, hires the workers and looks at the idle server.
pub(super) fn begin(scenario: &'static str, sitting: &Sitting, plan: &Plan, then: String) -> Result<Run, Stop> {
    let target = target_of(&sitting.site, &sitting.url, "ws")?;
    let orders = {
        announce("publishing the quizzes");
        papers::orders(sitting, &target, plan)?
    };
    let asked = Asked {
        scenario,
        url: sitting.url.clone(),
        students: sitting.participants.into(),
        classrooms: sitting.quizzes,
        rate: sitting.start_rate,
        in_flight: orders.iter().map(|order| u64::from(order.in_flight)).sum(),
        workers: orders.len() as u32,
        sources: orders[0].sources.len(),
        seed: sitting.site.seed,
        then: format!("{} owners, {} questions a quiz; {then}", grouped(count_owners(&orders)), sitting.questions),
    };
    Run::begin(&sitting.site, &target, orders.into_iter().map(Task::Quizzes).collect(), asked)
}

fn count_owners(orders: &[HallOrder]) -> u64 {
    orders.iter().map(|order| order.owners.len() as u64).sum()
}

impl Run {
    /// Everybody begins. `judged`: figures of the run come from it.
    pub(super) fn start(&mut self, judged: bool) -> Result<(), Stop> {
        let teller = Teller::new("starting", self.asked.students).at(self.asked.rate);
        self.stage(Stage::Start, judged, teller, |progress| progress.signed_in)?;
        self.sample("started");
        Ok(())
    }

    /// Waits until all who listen have heard what they must, but not for ever.
    pub(super) fn let_all_be_heard(&mut self, last_words: Duration) -> Result<(), Stop> {
        let start = Instant::now();
        let mut progress = self.crew.progress();
        while progress.heard < progress.owed && start.elapsed() < HEARD_WITHIN {
            self.crew.pass(Duration::from_millis(200), |_| {})?;
            progress = self.crew.progress();
        }
        Ok(self.crew.pass(last_words, |_| {})?)
    }

    /// Every connection is closed.
    pub(super) fn close_all(&mut self) -> Result<(), Stop> {
        self.stage(Stage::Close, false, Teller::new("closing", 0), |_| 0)?;
        self.sample("closed");
        self.check_level("the server's owners after the close", OWNERS, 0)?;
        self.check_level("the server's participants after the close", PARTICIPANTS, 0)?;
        Ok(())
    }
}

fn then(args: &Quiz) -> String {
    let pace = match args.answer_rate {
        Some(rate) => format!("{} answers a second", grouped(rate as u64)),
        None if args.saturate => "answers as fast as it goes".to_owned(),
        None => format!("a median of {} to think", spoken(args.think)),
    };
    let channels: Vec<_> = args.watch.iter().map(|channel| channel.name()).collect();
    let sockets = if args.sockets { ", participants' sockets too" } else { "" };
    format!("{pace}; screens of each owner: {}, on {}{sockets}", args.screens, channels.join(" and "))
}

/// What must agree of the participants' beginnings.
pub(super) fn start_checks(sitting: &Sitting, quiz: &QuizCounts) -> [Check; 3] {
    let participants = sitting.participants.into();
    [
        Check::new("attempts asked for", participants, quiz.starts_asked),
        Check::new("attempts begun", participants, quiz.started),
        Check::new("sockets lost before they should end", 0, quiz.lost),
    ]
}

pub(super) fn checks_of(args: &Quiz, quiz: &QuizCounts) -> Vec<Check> {
    let participants = u64::from(args.sitting.participants);
    let answers = participants * u64::from(args.sitting.questions);
    let listening = if args.sockets { participants } else { 0 };
    let mut checks: Vec<Check> = start_checks(&args.sitting, quiz).into();
    checks.extend([
        Check::new("participants' sockets subscribed", listening, quiz.listening),
        Check::new("answers sent", answers, quiz.answers_asked),
        Check::new("answers accepted", answers, quiz.answered),
        Check::new("attempts submitted", participants, quiz.submitted),
        Check::new("attempt_quiz on screens", quiz.begins_owed, quiz.begins_heard),
        Check::new("attempt_update on screens", quiz.updates_owed, quiz.updates_heard),
        Check::new("attempt_finished on screens", quiz.ends_owed, quiz.ends_heard),
        Check::new("accepted answers that a screen did not hear", 0, quiz.unheard),
        Check::new("accepted answers that a screen heard again", 0, quiz.doubled),
        Check::new("events out of their attempt's order", 0, quiz.disordered),
        Check::new("attempt_closed at participants", quiz.closes_owed, quiz.closes_heard),
        Check::new("words of the server that are not what was done", 0, quiz.untrue),
        Check::new("snapshots beyond five a second", 0, quiz.hurried),
        Check::new("rows of the last snapshots that are not what was done", 0, quiz.board_faults),
        Check::new("results by REST", quiz.submitted, quiz.results),
        Check::new("results that are not what was done", 0, quiz.result_faults),
        Check::new("answers by REST that are not what was done", 0, quiz.detail_faults),
    ]);
    checks
}

fn figures(server: &mut ServerFigures, quiz: &QuizCounts) {
    server.cpu_us_per_answer = server.cpu_us("answering", "answered", quiz.answered);
}
