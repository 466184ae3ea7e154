//! `lab`: agents register, sessions are made, viewers watch; bytes are pushed and keys pressed; all that was sent must come.

use super::{
    Run, Stop,
    desktops::{Desktops, sign_in},
    sources, spoken, target_of, workers,
};
use crate::{
    args::Lab,
    crew::letters::{Stage, Task},
    lab::order::{Between, Direction, Keys, LabOrder},
    progress::Teller,
    quiz::order::Secret,
    report::{Asked, Check, Report},
    server::ServerFigures,
    summary::grouped,
    tally::LabCounts,
    tempo::Tempo,
    wire::http::Target,
};

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Lab) -> Result<Report, Stop> {
    let scheme = if args.url.starts_with("ws") { "ws" } else { "http" };
    let target = target_of(&args.site, &args.url, scheme)?;
    let mut desktops = match args.between {
        Between::Server => Some(Desktops::new(args, &target, sign_in(args, &target)?)),
        Between::Relay | Between::Tcp(_) => None,
    };
    let orders = orders(args, &target, desktops.as_ref().map_or("", Desktops::token), keys(args))?;
    let asked = Asked {
        scenario: "lab",
        url: args.url.clone(),
        students: args.sessions.into(),
        classrooms: args.agents,
        rate: None,
        in_flight: args.in_flight.into(),
        workers: orders.len() as u32,
        sources: orders[0].sources.len(),
        seed: args.site.seed,
        then: then(args),
    };
    let mut run = Run::begin(&args.site, &target, orders.into_iter().map(Task::Labs).collect(), asked)?;
    run.stage(Stage::Join, false, Teller::new("joining", args.agents.into()), |progress| progress.online)?;
    if let Some(desktops) = &mut desktops {
        run.make_sessions(desktops)?;
    }
    run.stage(Stage::View, false, Teller::new("viewing", viewers(args).into()), |progress| progress.watching)?;
    run.crew.pass(args.settle, |_| {})?;
    run.sample("streaming");
    run.stage(Stage::Stream, args.bulk + args.typists > 0, Teller::new("streaming", 0).lasting(args.lasting), |progress| {
        progress.keys
    })?;
    run.sample("streamed");
    run.stage(Stage::Leave, false, Teller::new("leaving", 0), |_| 0)?;
    if let Some(desktops) = &mut desktops {
        run.delete_sessions(desktops)?;
    }
    run.stage(Stage::Close, false, Teller::new("closing", 0), |_| 0)?;
    run.sample("closed");
    Ok(run.finish(|tally, checks, server| {
        checks.extend(checks_of(args, &tally.lab));
        if let Some(server) = server {
            figures(server, &tally.lab);
        }
    })?)
}

impl Run {
    /// Makes the sessions of a lab whose agents are there, and waits until they run.
    pub(super) fn make_sessions(&mut self, desktops: &mut Desktops<'_>) -> Result<(), Stop> {
        desktops.make(&mut self.own)?;
        self.own.lab.running = desktops.count("running", |pause| self.crew.pass(pause, |_| {}))?;
        Ok(())
    }

    /// Deletes them, when nobody watches them any more.
    pub(super) fn delete_sessions(&mut self, desktops: &mut Desktops<'_>) -> Result<(), Stop> {
        desktops.delete(&mut self.own)?;
        self.own.lab.terminated = desktops.count("terminated", |pause| self.crew.pass(pause, |_| {}))?;
        Ok(())
    }
}

fn viewers(args: &Lab) -> u32 {
    args.viewers.unwrap_or(args.sessions)
}

/// Each typist at the rate that was asked for.
fn keys(args: &Lab) -> Keys {
    let each = (args.key_rate * args.lasting.as_secs_f64()) as u64;
    Keys { tempo: Tempo::steady(args.key_rate * f64::from(args.typists)), count: each * u64::from(args.typists) }
}

/// One order for each worker.
pub(super) fn orders(args: &Lab, target: &Target, token: &str, keys: Keys) -> Result<Vec<LabOrder>, Stop> {
    check(args)?;
    let connections = u64::from(viewers(args)) + u64::from(args.agents);
    let workers = workers(&args.site, connections)?;
    if workers > args.agents || (workers > 1 && matches!(args.between, Between::Tcp(_))) {
        let reason =
            format!("{workers} workers need as many --agents: an agent has its sessions and their viewers in one worker");
        return Err(Stop::Usage(reason));
    }
    let sources = sources(&args.site, target, connections)?;
    let order = |worker: u32| LabOrder {
        worker,
        workers,
        target: target.clone(),
        between: args.between,
        agents: args.agents,
        sessions: args.sessions,
        viewers: viewers(args),
        bulk: args.bulk,
        typists: args.typists,
        direction: args.direction,
        chunk: args.chunk,
        bulk_rate: args.bulk_rate,
        keys,
        lasting: args.lasting,
        token: Secret(token.to_owned()),
        seed: args.site.seed,
        timeout: args.site.timeout,
        sources: sources.clone(),
    };
    Ok((0..workers).map(order).collect())
}

fn check(args: &Lab) -> Result<(), Stop> {
    let viewers = viewers(args);
    let wrong = if viewers > args.sessions {
        "more --viewers than --sessions".to_owned()
    } else if args.bulk.saturating_add(args.typists) > viewers {
        format!("{viewers} viewers are too few for --bulk {} and --typists {}", args.bulk, args.typists)
    } else if args.agents > args.sessions {
        "more --agents than --sessions".to_owned()
    } else if matches!(args.between, Between::Tcp(_)) && args.bulk != viewers && args.typists != viewers {
        "behind what is not ours nobody knows whose stream is whose: all viewers must be --bulk, or all --typists".to_owned()
    } else {
        return Ok(());
    };
    Err(Stop::Usage(wrong))
}

fn then(args: &Lab) -> String {
    let mut told = vec![format!("{} viewers", grouped(viewers(args).into()))];
    if args.bulk > 0 {
        let pace = args
            .bulk_rate
            .map_or_else(|| "at full speed".to_owned(), |rate| format!("{} bytes a second each", grouped(rate as u64)));
        let way = match args.direction {
            Direction::Down => "",
            Direction::Up => ", from viewers",
            Direction::Both => ", both ways",
        };
        told.push(format!("{} streams {pace} in blocks of {}{way}", grouped(args.bulk.into()), grouped(args.chunk.into())));
    }
    if args.typists > 0 {
        told.push(format!("{} typists with {} keys a second each", grouped(args.typists.into()), args.key_rate));
    }
    told.push(format!("for {}", spoken(args.lasting)));
    told.join(", ")
}

pub(super) fn checks_of(args: &Lab, lab: &LabCounts) -> Vec<Check> {
    let (sessions, watched) = (u64::from(args.sessions), u64::from(viewers(args)));
    let agents = if matches!(args.between, Between::Tcp(_)) { watched } else { args.agents.into() };
    let mut checks = vec![
        Check::new("agents", agents, lab.online),
        Check::new("viewers who watch", watched, lab.watching),
        Check::new("tunnels at agents", watched, lab.tunnels),
        Check::new("bytes at viewers, of those pushed by agents", lab.down_sent, lab.down_heard),
        Check::new("bytes at agents, of those pushed by viewers", lab.up_sent, lab.up_heard),
        Check::new("streams in which something is not as it was sent", 0, lab.broken),
        Check::new("keys echoed by agents", lab.keys_sent, lab.keys_echoed),
        Check::new("keys back at their viewers", lab.keys_sent, lab.keys_heard),
        Check::new("sockets lost before they should end", 0, lab.lost),
        Check::new("viewers closed properly", watched, lab.viewers_closed),
        Check::new("agents closed properly", agents, lab.agents_closed),
    ];
    if args.between == Between::Server {
        checks.extend([
            Check::new("sessions made", sessions, lab.made),
            Check::new("sessions that run", sessions, lab.running),
            Check::new("start_session at agents", sessions, lab.starts),
            Check::new("tunnels that their agents were told to close", watched, lab.untied),
            Check::new("stop_session at agents", sessions, lab.stops),
            Check::new("sessions deleted", sessions, lab.deleted),
            Check::new("sessions that are terminated", sessions, lab.terminated),
            Check::new("commands heard again", 0, lab.doubled),
        ]);
    }
    checks
}

fn figures(server: &mut ServerFigures, lab: &LabCounts) {
    let bytes = lab.down_heard + lab.up_heard;
    let us_a_byte = if lab.keys_heard == 0 { server.cpu_us("streaming", "streamed", bytes) } else { None };
    server.bytes_per_cpu_second = us_a_byte.filter(|us| *us > 0.0).map(|us| 1e6 / us);
    server.cpu_us_per_key = if bytes == 0 { server.cpu_us("streaming", "streamed", lab.keys_heard) } else { None };
    server.cpu_share_held = if bytes + lab.keys_heard == 0 { server.cpu_share("streaming", "streamed") } else { None };
}
