//! `rolling`: nodes restart one after the other while events are published; everybody comes to another node before he leaves the last.

use super::{Findings, Run, Stop, crowd::Doing, reconnect::publisher, spoken, target_of};
use crate::{
    args::Rolling,
    crew::letters::{Stage, Task},
    progress::Teller,
    report::{Check, Report},
    rolling::order::{Node, RollingOrder},
    server::{CONNECTIONS, Server},
    tally::Tally,
    wire::http::fetch,
};
use std::{
    collections::BTreeMap,
    io,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How often it is looked whether a command has ended, and whether a node is ready.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOK_WITHIN: Duration = Duration::from_secs(5);
/// Nodes may take this long to count a connection that was closed.
const COUNTED_WITHIN: Duration = Duration::from_secs(10);

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, a command failed or a node did not come back, or the run broke down. Nodes that lose something are no
/// error: the report tells.
pub(crate) fn run(args: &Rolling) -> Result<Report, Stop> {
    let publishing = publisher(&args.crowd, args.publish_rate, args.bytes)?;
    let doing = Doing { publishing: Some(publishing), is_rolling: true, ..Doing::default() };
    let nodes = nodes(args)?;
    let task = |crowd| Task::Rolling(RollingOrder { crowd, nodes: nodes.clone() });
    let mut run = Run::gather_as("rolling", &args.crowd, &doing, then(args, nodes.len()), task)?;
    let before = held(&nodes)?;
    run.sign_in()?;
    run.check_held(&nodes, "the nodes' connections before the first restart", before, args)?;
    run.stage_for(Stage::Publish, args.calm, Teller::new("publishing", 0))?;
    match &args.restart {
        Some(command) => run.restarts(args, &nodes, command)?,
        None => run.stage_for(Stage::Publish, args.lasting, Teller::new("publishing", 0))?,
    }
    run.stage(Stage::Calm, false, Teller::new("hearing", 0), |progress| progress.published)?;
    run.check_held(&nodes, "the nodes' connections after the last restart", before, args)?;
    run.close()?;
    Ok(run.conclude(|tally, found| judge(args, nodes.len(), found, tally))?)
}

impl Run {
    fn restarts(&mut self, args: &Rolling, nodes: &[Node], command: &str) -> Result<(), Stop> {
        for number in (0..args.rounds).flat_map(|_| 0..nodes.len()) {
            self.restart(number, command)?;
            self.until_ready(&nodes[number], number, args.ready_within)?;
            self.stage_for(Stage::Publish, args.calm, Teller::new("publishing", 0))?;
        }
        Ok(())
    }

    fn restart(&mut self, number: usize, command: &str) -> io::Result<()> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).env("NODE", number.to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = shell.spawn()?;
        let mut teller = Teller::new("restarting", 0);
        loop {
            if let Some(status) = child.try_wait()? {
                let failed = || io::Error::other(format!("the command that restarts node {number} ended with {status}"));
                return if status.success() { Ok(()) } else { Err(failed()) };
            }
            self.crew.pass(LOOK_EVERY, |progress| self.live.told(&mut teller, 0, progress))?;
        }
    }

    fn until_ready(&mut self, node: &Node, number: usize, within: Duration) -> io::Result<()> {
        let (start, mut teller) = (Instant::now(), Teller::new("waiting", 0));
        while fetch(&node.internal, "/readyz", LOOK_WITHIN).is_err() {
            if start.elapsed() > within {
                return Err(io::Error::other(format!("node {number} was not ready {} after its restart", spoken(within))));
            }
            self.crew.pass(LOOK_EVERY, |progress| self.live.told(&mut teller, 0, progress))?;
        }
        Ok(())
    }

    /// All nodes together have a connection for each student, beside those that they had before.
    fn check_held(&mut self, nodes: &[Node], what: &str, before: u64, args: &Rolling) -> io::Result<()> {
        let (start, expected) = (Instant::now(), before + u64::from(args.crowd.students));
        let mut found = held(nodes)?;
        while found != expected && start.elapsed() < COUNTED_WITHIN {
            self.crew.pass(LOOK_EVERY, |_| {})?;
            found = held(nodes)?;
        }
        self.checks.push(Check::new(what, expected, found));
        Ok(())
    }
}

/// Signed-in connections of all nodes, by their own gauges.
fn held(nodes: &[Node]) -> io::Result<u64> {
    let of = |node: &Node| Server::new(None, &node.socket, Some(node.internal.clone())).gauges();
    nodes.iter().map(|node| Ok(of(node)?.and_then(|gauges| gauges.level(CONNECTIONS)).unwrap_or(0))).sum()
}

fn nodes(args: &Rolling) -> Result<Vec<Node>, Stop> {
    let site = &args.crowd.site;
    let node = |socket: &str, internal: &str| {
        Ok(Node { socket: target_of(site, socket, "ws")?, internal: target_of(site, internal, "http")? })
    };
    let first = node(&args.crowd.url, site.internal.as_deref().unwrap_or_default())?;
    let others = args.others.iter().map(|pair| {
        let (socket, internal) = pair.split_once(',').ok_or_else(|| Stop::Usage(format!("{pair}: expected URL,INTERNAL")))?;
        node(socket, internal)
    });
    std::iter::once(Ok(first)).chain(others).collect()
}

fn judge(args: &Rolling, nodes: usize, found: &mut Findings, tally: &Tally) {
    let (counts, rolling, students) = (&tally.counts, &tally.rolling, u64::from(args.crowd.students));
    found.checks.extend([
        Check::new("students signed in", students, counts.signed_in),
        Check::new("times that a student had no connection", 0, rolling.bare),
        Check::new("students who were told to come elsewhere, and are there", rolling.told, rolling.moved),
        Check::new("messages that a student who was in did not hear", 0, counts.undelivered),
        Check::new("messages heard again", 0, counts.twice),
        Check::new("messages out of order on a connection", 0, counts.disordered),
        Check::new(
            "messages heard that were meant, or without an answer",
            rolling.meant + rolling.unsure_heard,
            counts.delivered,
        ),
        Check::new("publishes answered, or of which nothing is known", counts.published, counts.answered + rolling.unsure),
        Check::new("connect_success heard twice", 0, counts.doubled),
        Check::new("events heard before connect_success", 0, counts.early),
        Check::new("connections that ended without 1012", 0, counts.lost),
        Check::new("connections closed properly", counts.signed_in, counts.closed),
    ]);
    if args.restart.is_some() {
        let workers = found_workers(tally, args, nodes);
        found.checks.push(workers);
    }
    let delivered = rolling.meant - counts.undelivered.min(rolling.meant);
    found.fates = BTreeMap::from([("meant", rolling.meant), ("delivered", delivered), ("missed", counts.undelivered)]);
}

/// A command that restarts nothing proves nothing.
fn found_workers(tally: &Tally, args: &Rolling, nodes: usize) -> Check {
    let restarts = u64::from(args.rounds) * nodes as u64;
    Check::new("restarts that were noticed", restarts, tally.rolling.gone.min(restarts))
}

fn then(args: &Rolling, nodes: usize) -> String {
    let how = match &args.restart {
        Some(_) => format!("{nodes} nodes restart in turn, {} times", args.rounds),
        None => format!("{nodes} nodes for {}", spoken(args.lasting)),
    };
    format!("{how}; {} publishes a second", args.publish_rate)
}
