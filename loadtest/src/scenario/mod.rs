//! The scenarios, one file each, and what they share: hiring, watching the server between stages, the report.

pub(crate) mod bell;
pub(crate) mod broadcast;
pub(crate) mod churn;

use crate::{
    args::{Addresses, Crowd},
    clock,
    crew::{
        boss::Crew,
        letters::{Progress, Stage},
        worker,
    },
    host::{Environment, ephemeral_ports},
    order::{Credentials, Fate, Order, Publishing, share},
    progress::Teller,
    report::{Asked, Check, LatencyFigures, Rates, Report, StageCost, Verdict},
    server::{Gauges, Server, ServerFigures},
    tally::Tally,
    wire::http::Target,
};
use std::{
    fs, io,
    net::IpAddr,
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The server may take this long to count a closed connection as closed.
const GAUGES_WITHIN: Duration = Duration::from_secs(5);
const TOKENS_LAST: Duration = Duration::from_secs(24 * 3600);
const IN_FLIGHT: u32 = 512;
const IN_FLIGHT_AT_A_RATE: u32 = 8_192;

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

/// A run under way.
struct Run {
    crew: Crew,
    server: Server,
    figures: Option<ServerFigures>,
    before: Option<Gauges>,
    generator: Vec<StageCost>,
    checks: Vec<Check>,
    asked: Asked,
    environment: Environment,
}

impl Run {
    /// Checks what was asked, hires the workers and looks at the idle server.
    fn begin(
        scenario: &'static str,
        crowd: &Crowd,
        fate: Fate,
        publishing: Option<Publishing>,
        then: String,
    ) -> Result<Run, Stop> {
        let environment = Environment::read();
        let target = Target::parse(&crowd.url, "ws").map_err(Stop::Usage)?;
        let internal = crowd.internal.as_deref().map(|url| Target::parse(url, "http")).transpose().map_err(Stop::Usage)?;
        let orders = orders(crowd, &target, fate, publishing.as_ref())?;
        let asked = Asked {
            scenario,
            url: crowd.url.clone(),
            students: crowd.students.into(),
            classrooms: crowd.classrooms,
            rate: crowd.rate,
            in_flight: orders.iter().map(|order| u64::from(order.in_flight)).sum(),
            workers: orders.len() as u32,
            sources: orders[0].sources.len(),
            seed: crowd.seed,
            then,
        };
        let server = Server::new(crowd.pid, &target, internal);
        let crew = {
            let _teller = Teller::new("making", 0);
            Crew::hire(orders)?
        };
        let (before, mut figures) = (server.gauges()?, server.figures());
        server.sample(&mut figures, "idle");
        Ok(Run { crew, server, figures, before, generator: Vec::new(), checks: Vec::new(), asked, environment })
    }

    /// One stage from its beginning until every worker has settled it.
    fn stage(&mut self, stage: Stage, judged: bool, mut teller: Teller, done: fn(Progress) -> u64) -> io::Result<()> {
        self.crew.enter(stage)?;
        let settled = self.crew.settle(stage, |progress| teller.tell(done(progress), progress))?;
        self.generator.push(StageCost { stage, judged, workers: settled.usages });
        Ok(())
    }

    fn sign_in(&mut self) -> io::Result<()> {
        let teller = Teller::new("signing in", self.asked.students);
        self.stage(Stage::SignIn, true, teller, |progress| progress.signed_in)?;
        self.sample("signed_in");
        Ok(())
    }

    fn hold(&mut self, time: Duration) -> io::Result<()> {
        self.crew.enter(Stage::Hold)?;
        let mut teller = Teller::new("holding", 0);
        self.crew.pass(time, |progress| teller.tell(0, progress))?;
        self.sample("held");
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
        progress.signed_in - progress.lost
    }

    fn sample(&mut self, name: &'static str) {
        self.server.sample(&mut self.figures, name);
    }

    /// Compares the server's gauge with what it was before the run, `more` connections above it. Waits a while for it to come true.
    fn check_connections(&mut self, what: &str, more: u64) -> io::Result<()> {
        let Some(before) = self.before.as_ref().and_then(|gauges| gauges.connections) else { return Ok(()) };
        let (expected, start) = (before + more, Instant::now());
        let mut found = self.connections()?;
        while found != expected && start.elapsed() < GAUGES_WITHIN {
            thread::sleep(Duration::from_millis(50));
            found = self.connections()?;
        }
        self.checks.push(Check::new(what, expected, found));
        Ok(())
    }

    fn connections(&self) -> io::Result<u64> {
        Ok(self.server.gauges()?.and_then(|gauges| gauges.connections).unwrap_or(0))
    }

    /// How many deliveries the server says that it has dropped since it started.
    fn dropped(&self) -> io::Result<u64> {
        Ok(self.server.gauges()?.map_or(0, |gauges| gauges.dropped.values().sum()))
    }

    /// Dismisses the workers; `judge` adds the scenario's own checks and figures of the server.
    fn finish(self, judge: impl FnOnce(&Tally, &mut Vec<Check>, &mut Option<ServerFigures>)) -> io::Result<Report> {
        let tally = self.crew.dismiss()?;
        let (mut checks, mut server) = (self.checks, self.figures);
        checks.extend(sign_in_checks(&tally, self.asked.students));
        judge(&tally, &mut checks, &mut server);
        Ok(Report {
            version: 1,
            verdict: Verdict::of(&tally, &checks, &self.generator),
            asked: self.asked,
            rates: Rates::of(&tally),
            latencies: LatencyFigures::all(&tally),
            counts: tally.counts,
            faults: tally.faults,
            checks,
            server,
            generator: self.generator,
            environment: self.environment,
        })
    }
}

/// What must agree in every scenario.
fn sign_in_checks(tally: &Tally, students: u64) -> [Check; 6] {
    let counts = &tally.counts;
    [
        Check::new("sign-ins begun", students, counts.attempted),
        Check::new("sign-ins answered with connect_success", students, counts.signed_in),
        Check::new("connect_success heard twice", 0, counts.doubled),
        Check::new("events heard before connect_success", 0, counts.early),
        Check::new("members lost before they were told to close", 0, counts.lost),
        Check::new("connections closed properly", counts.signed_in - counts.lost, counts.closed),
    ]
}

/// One order for each worker.
fn orders(crowd: &Crowd, target: &Target, fate: Fate, publishing: Option<&Publishing>) -> Result<Vec<Order>, Stop> {
    let in_flight = crowd.in_flight.unwrap_or(if crowd.rate.is_some() { IN_FLIGHT_AT_A_RATE } else { IN_FLIGHT });
    let held = if fate == Fate::Stay { crowd.students } else { crowd.students.min(in_flight) };
    let files = worker::raise_open_files().saturating_sub(worker::SPARE_FILES).max(1);
    let least = u64::from(held).div_ceil(files).max(1) as u32;
    let workers = crowd.workers.unwrap_or(least);
    if workers < least {
        return Err(Stop::Usage(format!("{held} connections need --workers {least}: a process may have {files} of them open")));
    }
    let sources = crowd.source_ips.clone().map_or_else(|| usual_sources(target), |Addresses(all)| all);
    let (ports, have) = (ephemeral_ports(), sources.len().max(1) as u64);
    if u64::from(held) > ports * have {
        let need = u64::from(held).div_ceil(ports);
        return Err(Stop::Usage(format!("{held} connections need {need} addresses in --source-ips: each has {ports} ports")));
    }
    let mut credentials = credentials(crowd, fate, workers)?;
    let order = |worker: u32| Order {
        worker,
        workers,
        target: target.clone(),
        fate,
        sign_ins: crowd.students.into(),
        classrooms: crowd.classrooms,
        seed: crowd.seed,
        rate: crowd.rate,
        in_flight: (share(in_flight.into(), worker, workers) as u32).max(1),
        timeout: crowd.timeout,
        sources: sources.clone(),
        credentials: credentials.remove(0),
        publishing: publishing.cloned(),
    };
    Ok((0..workers).map(order).collect())
}

/// On loopback eight addresses are used unasked: finding a free port on one alone doubles what a connection costs the generator.
fn usual_sources(target: &Target) -> Vec<IpAddr> {
    match target.address.ip() {
        IpAddr::V4(address) if address.is_loopback() => (1..=8).map(|last| IpAddr::from([127, 0, 0, last])).collect(),
        IpAddr::V4(_) | IpAddr::V6(_) => Vec::new(),
    }
}

/// What each worker's students sign in with.
fn credentials(crowd: &Crowd, fate: Fate, workers: u32) -> Result<Vec<Credentials>, Stop> {
    let read = |path: &std::path::Path| fs::read(path).map_err(|fault| Stop::Usage(format!("{}: {fault}", path.display())));
    match (&crowd.tokens, &crowd.key) {
        (Some(path), _) => {
            let text = String::from_utf8(read(path)?).map_err(|_| Stop::Usage(format!("{}: not text", path.display())))?;
            let tokens: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            if fate == Fate::Stay && tokens.len() < crowd.students as usize {
                return Err(Stop::Usage(format!("{} tokens for {} students", tokens.len(), crowd.students)));
            }
            let of = |worker: u32| tokens.iter().skip(worker as usize).step_by(workers as usize).map(|token| (*token).to_owned());
            Ok((0..workers).map(|worker| Credentials::Tokens(of(worker).collect())).collect())
        }
        (None, Some(path)) => {
            let mut secret = read(path)?;
            secret.truncate(secret.trim_ascii_end().len());
            if secret.is_empty() {
                return Err(Stop::Usage(format!("{}: no key in it", path.display())));
            }
            let expires = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + TOKENS_LAST;
            let (issuer, audience) = (crowd.issuer.clone(), crowd.aud.clone());
            Ok(vec![Credentials::Key { secret, issuer, audience, expires: expires.as_secs() }; workers as usize])
        }
        (None, None) => Err(Stop::Usage("give --tokens or --key".to_owned())),
    }
}

/// A time as it is told in a sentence.
fn spoken(time: Duration) -> String {
    if clock::nanos(time).is_multiple_of(1_000_000_000) {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}
