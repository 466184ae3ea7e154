//! The scenarios, one file each, and what they share: hiring, watching the server between stages, the report.

pub(crate) mod bell;
pub(crate) mod broadcast;
pub(crate) mod chat;
pub(crate) mod churn;
mod crowd;
mod desktops;
mod fates;
pub(crate) mod hold;
pub(crate) mod lab;
pub(crate) mod mixed;
mod papers;
mod parlour;
pub(crate) mod quiz;
pub(crate) mod reconnect;
pub(crate) mod rolling;
pub(crate) mod slow;
pub(crate) mod tasks;

use crate::{
    args::{Addresses, Site},
    clock,
    crew::{
        boss::Crew,
        gate::{Gate, Joined},
        letters::{Progress, Stage, Task},
        secret::Secret,
        worker,
    },
    host::{Environment, ephemeral_ports},
    live::Live,
    pings::PingFigures,
    progress::Teller,
    report::{
        Asked, Check, LatencyFigures, Rates, Report, SeriesFigures, SlowFigures, StageCost, UNVERIFIED, Verdict, phase_figures,
        spread,
    },
    require::{self, Requirement},
    server::{Gauges, Server, ServerFigures},
    tally::{ChatCounts, LabCounts, QuizCounts, ReturnCounts, RollingCounts, Tally, TaskCounts},
    watch::Watch,
    wire::{http::Target, tls::Trust},
};
use std::{
    collections::BTreeMap,
    fs, io,
    net::IpAddr,
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The server may take this long to count a closed connection as closed.
const GAUGES_WITHIN: Duration = Duration::from_secs(5);
const TOKENS_LAST: Duration = Duration::from_secs(24 * 3600);

/// Why there is no report.
pub(crate) enum Stop {
    /// What was asked cannot be done; a sentence for the user.
    Usage(String),
    /// The run broke down.
    Broken(io::Error),
}

impl From<io::Error> for Stop {
    fn from(fault: io::Error) -> Stop {
        Stop::Broken(fault)
    }
}

/// Where a URL leads, with the certificates that the run trusts.
fn target_of(site: &Site, url: &str, scheme: &str) -> Result<Target, Stop> {
    let trust = Trust::asked(site.ca.as_deref(), site.insecure).map_err(Stop::Usage)?;
    Target::parse(url, scheme, &trust).map_err(Stop::Usage)
}

/// What a scenario adds to the report when all is over.
struct Findings {
    checks: Vec<Check>,
    server: Option<ServerFigures>,
    /// What became of each message for each member.
    fates: BTreeMap<&'static str, u64>,
    slow: Option<SlowFigures>,
}

/// A run under way.
struct Run {
    crew: Crew,
    live: Live,
    server: Server,
    figures: Option<ServerFigures>,
    before: Option<Gauges>,
    watch: Option<Watch>,
    generator: Vec<StageCost>,
    /// The stages so far, with their beginnings and ends: nanoseconds of CLOCK_MONOTONIC.
    stages: Vec<(String, u64, u64)>,
    checks: Vec<Check>,
    /// What the boss did itself.
    own: Tally,
    asked: Asked,
    environment: Environment,
    required: Vec<Requirement>,
    /// Whether nobody's certificate was verified.
    unverified: bool,
}

impl Run {
    /// Hires the workers and looks at the idle server.
    fn begin(site: &Site, target: &Target, tasks: Vec<Task>, asked: Asked) -> Result<Run, Stop> {
        let environment = Environment::read();
        let internal = site.internal.as_deref().map(|url| target_of(site, url, "http")).transpose()?;
        let server = Server::new(site.pid, target, internal);
        if site.insecure {
            eprintln!("homeroom-load: {UNVERIFIED}");
        }
        let joined = gather(site)?;
        let live = Live::begin(site, &asked);
        live.enter(None, &Teller::new("making", 0));
        let crew = Crew::hire(tasks, joined, live.clone())?;
        let (before, mut figures) = (server.gauges()?, server.figures());
        server.sample(&mut figures, "idle");
        Ok(Run {
            crew,
            live,
            server,
            watch: figures.as_ref().map(|figures| Watch::begin(figures.pid)).transpose()?,
            figures,
            before,
            generator: Vec::new(),
            stages: Vec::new(),
            checks: Vec::new(),
            own: Tally::default(),
            asked,
            environment,
            required: site.require.clone(),
            unverified: site.insecure,
        })
    }

    /// One stage from its beginning until every worker has settled it.
    fn stage(&mut self, stage: Stage, judged: bool, mut teller: Teller, done: fn(Progress) -> u64) -> io::Result<()> {
        self.live.enter(Some(stage), &teller);
        let from_ns = self.crew.enter(stage)?;
        let settled = self.crew.settle(stage, |progress| self.live.told(&mut teller, done(progress), progress))?;
        self.stages.push((stage.name(), from_ns, clock::now_ns()));
        self.generator.push(StageCost { stage, judged, workers: settled.usages });
        Ok(())
    }

    fn hold(&mut self, time: Duration) -> io::Result<()> {
        self.stage_for(Stage::Hold, time, Teller::new("holding", 0))?;
        self.sample("held");
        Ok(())
    }

    /// A stage that lasts so long, whatever happens in it.
    fn stage_for(&mut self, stage: Stage, time: Duration, mut teller: Teller) -> io::Result<()> {
        teller.lasts = Some(time);
        self.live.enter(Some(stage), &teller);
        let from_ns = self.crew.enter(stage)?;
        self.crew.pass(time, |progress| self.live.told(&mut teller, 0, progress))?;
        self.stages.push((stage.name(), from_ns, clock::now_ns()));
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        let teller = Teller::new("closing", self.held());
        self.stage(Stage::Close, false, teller, |progress| progress.closed)?;
        self.sample("closed");
        Ok(())
    }

    /// Connections that are signed in now.
    fn held(&self) -> u64 {
        let progress = self.crew.progress();
        progress.signed_in - progress.lost - progress.dropped
    }

    fn sample(&mut self, name: &'static str) {
        self.server.sample(&mut self.figures, name);
    }

    /// Compares one of the server's metrics with what it was before the run, `more` above it. Waits a while for it to come true.
    fn check_level(&mut self, what: &str, name: &str, more: u64) -> io::Result<()> {
        let Some(before) = self.before.as_ref().and_then(|gauges| gauges.level(name)) else { return Ok(()) };
        let (expected, start) = (before + more, Instant::now());
        let mut found = self.level(name)?;
        while found != expected && start.elapsed() < GAUGES_WITHIN {
            thread::sleep(Duration::from_millis(50));
            found = self.level(name)?;
        }
        self.checks.push(Check::new(what, expected, found));
        Ok(())
    }

    /// One of the server's metrics as it is now; 0 where it has none such.
    fn level(&self, name: &str) -> io::Result<u64> {
        Ok(self.server.gauges()?.and_then(|gauges| gauges.level(name)).unwrap_or(0))
    }

    /// Dismisses the workers; `judge` adds the scenario's own checks and figures of the server.
    fn finish(self, judge: impl FnOnce(&Tally, &mut Vec<Check>, &mut Option<ServerFigures>)) -> io::Result<Report> {
        self.conclude(|tally, found| judge(tally, &mut found.checks, &mut found.server))
    }

    /// As [`Run::finish`], for scenarios that find more.
    fn conclude(self, judge: impl FnOnce(&Tally, &mut Findings)) -> io::Result<Report> {
        let glances = self.watch.map(Watch::end).unwrap_or_default();
        let (mut tally, hosts) = self.crew.dismiss()?;
        self.live.end();
        tally.merge(&self.own);
        tally.match_cancels();
        let mut found = Findings { checks: self.checks, server: self.figures, fates: BTreeMap::new(), slow: None };
        judge(&tally, &mut found);
        let Findings { checks, mut server, fates, slow } = found;
        let series = SeriesFigures::of(&tally.series, &self.stages, &glances);
        let (phases, mut verdict) = (phase_figures(&tally.phases), Verdict::of(&tally, &checks, &self.generator));
        let mut compared = compared(&self.generator);
        if !phases.is_empty() {
            // The stages of its parts are in no series: it has the phases of the day.
            compared = ["steady", "storm"].map(str::to_owned).into();
            verdict.doubt(series.pressed(&compared));
        }
        if let Some(server) = &mut server {
            server.generator_cpu_ratio = series.generator_to_server(&compared);
        }
        let mut report = Report {
            version: 1,
            verdict,
            asked: self.asked,
            unverified: self.unverified,
            rates: Rates::of(&tally),
            latencies: LatencyFigures::all(&tally),
            reconnect: (tally.reconnect != ReturnCounts::default()).then_some(tally.reconnect),
            rolling: (tally.rolling != RollingCounts::default()).then_some(tally.rolling),
            quiz: (tally.quiz != QuizCounts::default()).then_some(tally.quiz),
            lab: (tally.lab != LabCounts::default()).then_some(tally.lab),
            chat: (tally.chat != ChatCounts::default()).then_some(tally.chat),
            tasks: (tally.tasks != TaskCounts::default()).then_some(tally.tasks),
            fates,
            slow,
            pings: PingFigures::of(&tally.pinged_at_ns),
            phases,
            spreads: spread::of(&series),
            series,
            counts: tally.counts,
            faults: tally.faults,
            checks,
            thresholds: Vec::new(),
            server,
            generator: self.generator,
            hosts,
            environment: self.environment,
        };
        report.thresholds = require::judge(&self.required, &report)?;
        report.verdict.hold(&report.thresholds);
        Ok(report)
    }
}

/// The stages in which generator and server do the same traffic: those that are judged, and holding.
fn compared(generator: &[StageCost]) -> Vec<String> {
    let judged = generator.iter().filter(|cost| cost.judged).map(|cost| cost.stage);
    judged.chain([Stage::Hold]).map(Stage::name).collect()
}

/// A time as it is told in a sentence.
fn spoken(time: Duration) -> String {
    if clock::nanos(time).is_multiple_of(1_000_000_000) {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}

/// Waits for the workers of other hosts, where there are to be some. They are told of on standard error.
fn gather(site: &Site) -> Result<Vec<Joined>, Stop> {
    let gathering = &site.gathering;
    let Some(listen) = gathering.listen else { return Ok(Vec::new()) };
    let secret = Secret::read(gathering.join_secret.as_deref()).map_err(Stop::Usage)?;
    let gate = Gate::open(listen, secret, joining(site) as usize, gathering.expect_within)?;
    Ok(gate.gather(|line| eprintln!("homeroom-load: {line}"))?)
}

/// How many workers are to join from other hosts.
fn joining(site: &Site) -> u32 {
    site.gathering.expect_workers.unwrap_or(0)
}

/// How many processes must share so many connections, and whether as many as asked for are enough.
fn workers(site: &Site, connections: u64) -> Result<u32, Stop> {
    let (files, joining) = (worker::raise_open_files().saturating_sub(worker::SPARE_FILES).max(1), joining(site));
    let least = connections.div_ceil(files).max(1) as u32;
    if joining > 0 {
        // How many files those have who join is theirs to say.
        return Ok(joining + site.workers.unwrap_or(0));
    }
    let workers = site.workers.unwrap_or(least);
    if workers < least {
        let reason = format!("{connections} connections need --workers {least}: a process may have {files} of them open");
        return Err(Stop::Usage(reason));
    }
    Ok(workers)
}

/// The source addresses, enough for so many connections.
fn sources(site: &Site, target: &Target, connections: u64) -> Result<Vec<IpAddr>, Stop> {
    let sources = site.source_ips.clone().map_or_else(|| usual_sources(target), |Addresses(all)| all);
    // Those who join have addresses of their own.
    let connections = match (joining(site), site.workers.unwrap_or(0)) {
        (0, _) => connections,
        (joining, own) => connections.div_ceil(u64::from(joining + own)) * u64::from(own),
    };
    let (ports, have) = (ephemeral_ports(), sources.len().max(1) as u64);
    if connections > ports * have {
        let need = connections.div_ceil(ports);
        let reason = format!("{connections} connections need {need} addresses in --source-ips: each has {ports} ports");
        return Err(Stop::Usage(reason));
    }
    Ok(sources)
}

/// On loopback eight addresses are used unasked: finding a free port on one alone doubles what a connection costs the generator.
fn usual_sources(target: &Target) -> Vec<IpAddr> {
    match target.address.ip() {
        IpAddr::V4(address) if address.is_loopback() => (1..=8).map(|last| IpAddr::from([127, 0, 0, last])).collect(),
        IpAddr::V4(_) | IpAddr::V6(_) => Vec::new(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Stop> {
    fs::read(path).map_err(|fault| Stop::Usage(format!("{}: {fault}", path.display())))
}

/// The tokens of a file, one a line.
fn tokens(path: &Path) -> Result<Vec<String>, Stop> {
    let text = String::from_utf8(read(path)?).map_err(|_| Stop::Usage(format!("{}: not text", path.display())))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The secret of a key file; a line end behind it is not part of it.
fn secret(path: &Path) -> Result<Vec<u8>, Stop> {
    let mut secret = read(path)?;
    secret.truncate(secret.trim_ascii_end().len());
    if secret.is_empty() {
        return Err(Stop::Usage(format!("{}: no key in it", path.display())));
    }
    Ok(secret)
}

/// `exp` of the tokens made: seconds since 1970.
fn expiry() -> u64 {
    (SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + TOKENS_LAST).as_secs()
}
