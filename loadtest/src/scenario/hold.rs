//! `hold`: participants begin attempts and hold nothing but their sockets, which answer Pings: how much that takes, and how evenly these
//! come.

use super::{
    Stop,
    papers::Plan,
    quiz::{begin, start_checks},
    spoken,
};
use crate::{
    args::Hold,
    crew::letters::Stage,
    progress::Teller,
    quiz::order::{Holds, Pace},
    report::{Check, Report},
    server::PARTICIPANTS,
};

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Hold) -> Result<Report, Stop> {
    let plan = Plan { pace: Pace::Never, correct: 0.0, holds: Holds::Socket, screens: 0, channels: Vec::new(), sample: 0 };
    let mut run = begin("hold", &args.sitting, &plan, format!("sockets held for {}", spoken(args.hold)))?;
    run.start(false)?;
    run.check_level("the server's participants while they listen", PARTICIPANTS, run.crew.progress().listening)?;
    run.crew.pass(args.settle, |_| {})?;
    run.sample("holding");
    run.stage_for(Stage::Hold, args.hold, Teller::new("holding", 0))?;
    run.sample("held");
    run.close_all()?;
    Ok(run.finish(|tally, checks, server| {
        let quiz = &tally.quiz;
        checks.extend(start_checks(&args.sitting, quiz));
        checks.push(Check::new("sockets subscribed", args.sitting.participants.into(), quiz.listening));
        checks.push(Check::new("sockets closed properly", quiz.listening - quiz.lost, quiz.closed));
        checks.push(Check::new("words of the server that are not what was done", 0, quiz.untrue));
        if let Some(server) = server {
            server.cpu_share_held = server.cpu_share("holding", "held");
            server.bytes_per_connection = server.bytes_each("idle", "held", quiz.listening);
        }
    })?)
}
