//! `homeroom-load`: the load harness.
//!
//! A boss (this process) and workers (processes of the same program) that it leads through stages; `swarm` is the engine of a worker,
//! `report` the one record from which every view is drawn. One file a scenario.

mod args;
mod chat;
mod clock;
mod compare;
mod contract;
mod crew;
mod fault;
mod host;
mod lab;
mod live;
mod model;
mod order;
mod page;
mod pings;
mod profile;
mod progress;
mod quiz;
mod report;
mod require;
mod rolling;
mod scenario;
mod server;
mod students;
mod summary;
mod swarm;
mod tally;
mod tasks;
mod tempo;
mod usage;
mod watch;
mod wire;

use args::{Cli, Command, Mixed, Site};
use clap::Parser;
use report::{Outcome, Report};
use scenario::Stop;
use std::{fs, io, path::Path, process::ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_BELIEVED: u8 = 3;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let (outcome, site) = match &command {
        Command::Worker(join) => {
            return crew::join::run(join).map_or_else(|reason| complain(&reason, FAILED), |()| ExitCode::SUCCESS);
        }
        Command::Led => return work(),
        Command::Compare(compare) => {
            return compare::run(compare).map_or_else(|fault| complain(&fault.to_string(), USAGE), |()| ExitCode::SUCCESS);
        }
        Command::Plot(plot) => {
            return page::picture::run(plot).map_or_else(|fault| complain(&fault.to_string(), USAGE), |()| ExitCode::SUCCESS);
        }
        Command::Bell(bell) => (scenario::bell::run(bell), &bell.crowd.site),
        Command::Broadcast(broadcast) => (scenario::broadcast::run(broadcast), &broadcast.crowd.site),
        Command::Churn(churn) => (scenario::churn::run(churn), &churn.crowd.site),
        Command::Reconnect(reconnect) => (scenario::reconnect::run(reconnect), &reconnect.crowd.site),
        Command::Rolling(rolling) => (scenario::rolling::run(rolling), &rolling.crowd.site),
        Command::Slow(slow) => (scenario::slow::run(slow), &slow.crowd.site),
        Command::Quiz(quiz) => (scenario::quiz::run(quiz), &quiz.sitting.site),
        Command::Lab(lab) => (scenario::lab::run(lab), &lab.site),
        Command::Chat(chat) => (scenario::chat::run(chat), &chat.site),
        Command::Tasks(tasks) => (scenario::tasks::run(tasks), &tasks.site),
        Command::Mixed(Mixed { print: Some(name), .. }) => {
            return profile::own(name).map_or_else(
                |reason| complain(&reason, USAGE),
                |text| {
                    print!("{text}");
                    ExitCode::SUCCESS
                },
            );
        }
        Command::Mixed(mixed) => (scenario::mixed::run(mixed), &mixed.site),
        Command::Hold(hold) => (scenario::hold::run(hold), &hold.sitting.site),
    };
    match outcome.and_then(|report| tell(&report, site).map_err(Stop::Broken)) {
        Ok(code) => code,
        Err(Stop::Usage(reason)) => complain(&reason, USAGE),
        Err(Stop::Broken(fault)) => complain(&fault.to_string(), FAILED),
    }
}

fn work() -> ExitCode {
    match crew::worker::serve(io::stdin(), io::stdout(), |_| {}) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => complain(&format!("a worker: {fault}"), FAILED),
    }
}

fn complain(reason: &str, code: u8) -> ExitCode {
    eprintln!("homeroom-load: {reason}");
    ExitCode::from(code)
}

fn tell(report: &Report, site: &Site) -> io::Result<ExitCode> {
    print!("{}", summary::draw(report));
    if let Some(path) = &site.json {
        write(path, &serde_json::to_vec_pretty(report)?)?;
    }
    if let Some(path) = &site.html {
        let json = serde_json::to_string(report)?;
        let name = format!("{}.json", report.asked.scenario);
        let record = serde_json::from_str(&json)?;
        write(path, page::of_run(&page::Source { name, record, json }).as_bytes())?;
    }
    Ok(ExitCode::from(match report.verdict.outcome {
        Outcome::Passed => 0,
        Outcome::Failed => FAILED,
        Outcome::NotBelieved => NOT_BELIEVED,
    }))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes).map_err(|fault| io::Error::other(format!("{}: {fault}", path.display())))
}
