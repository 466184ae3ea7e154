//! `slow`: a first stretch in which everybody reads what is published, and a second in which some do not: what the others notice, what
//! becomes of the slow ones, and what they cost the server.

use super::{
    Findings, Run, Stop,
    crowd::Doing,
    fates::{Delivered, account},
    reconnect::publisher,
    spoken,
};
use crate::{
    args::Slow,
    clock,
    crew::letters::Stage,
    order,
    progress::Teller,
    report::{Check, Report, SlowFigures, StageCost},
    server::{CONNECTIONS, SLOW_READERS, ServerFigures},
    summary::grouped,
    tally::Tally,
};
use std::{
    io,
    time::{Duration, Instant},
};

/// The server's count of slow readers is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What the server said of those it cut off.
#[derive(Default)]
struct CutOffs {
    before: u64,
    seen: u64,
    first: Option<Duration>,
    last: Option<Duration>,
}

impl CutOffs {
    fn note(&mut self, level: u64, since: Duration) {
        let seen = level.saturating_sub(self.before);
        if seen > self.seen {
            self.first.get_or_insert(since);
            (self.seen, self.last) = (seen, Some(since));
        }
    }
}

/// Runs it.
///
/// # Errors
/// What was asked cannot be done, or the run broke down. A server that fails is no error: the report tells.
pub(crate) fn run(args: &Slow) -> Result<Report, Stop> {
    let publishing = publisher(&args.crowd, args.publish_rate, args.bytes)?;
    let doing = Doing { publishing: Some(publishing), slow: Some(slow(args)?), ..Doing::default() };
    let mut run = Run::gather("slow", &args.crowd, &doing, then(args))?;
    run.sign_in()?;
    run.check_level("the server's connections before publishing", CONNECTIONS, run.held())?;
    let before = run.delivered()?;
    run.sample("publishing");
    run.stage(Stage::Publish, true, Teller::new("all reading", 0), |progress| progress.published)?;
    run.sample("published");
    let cuts = run.stall()?;
    run.stage(Stage::Calm, false, Teller::new("hearing", 0), |progress| progress.published)?;
    run.sample("heard");
    let after = run.delivered()?;
    run.check_level("the server's connections when all have read what was left", CONNECTIONS, run.held())?;
    run.close()?;
    run.check_level("the server's connections after the close", CONNECTIONS, 0)?;
    let glances = run.growth();
    Ok(run.conclude(|tally, found| judge(args, found, tally, [before, after], cuts, glances))?)
}

impl Run {
    /// Some do not read; meanwhile the server is asked how many it has cut off.
    fn stall(&mut self) -> Result<Option<CutOffs>, Stop> {
        let mut cuts = self.level_of(SLOW_READERS)?.map(|before| CutOffs { before, ..CutOffs::default() });
        let mut teller = Teller::new("some slow", 0);
        self.live.enter(Some(Stage::Stall), &teller);
        let from_ns = self.crew.enter(Stage::Stall)?;
        let (server, mut looked) = (&self.server, Instant::now());
        let settled = self.crew.settle(Stage::Stall, |progress| {
            self.live.told(&mut teller, progress.published, progress);
            let Some(cuts) = cuts.as_mut().filter(|_| looked.elapsed() >= LOOK_EVERY) else { return };
            looked = Instant::now();
            // A server that does not answer now is asked again.
            if let Ok(Some(level)) = server.gauges().map(|gauges| gauges.and_then(|gauges| gauges.level(SLOW_READERS))) {
                cuts.note(level, Duration::from_nanos(clock::now_ns().saturating_sub(from_ns)));
            }
        })?;
        self.stages.push((Stage::Stall.name(), from_ns, clock::now_ns()));
        self.generator.push(StageCost { stage: Stage::Stall, judged: true, workers: settled.usages });
        self.sample("stalled");
        if let (Some(cuts), Some(level)) = (&mut cuts, self.level_of(SLOW_READERS)?) {
            cuts.note(level, Duration::from_nanos(clock::now_ns().saturating_sub(from_ns)));
        }
        Ok(cuts)
    }

    fn level_of(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.server.gauges()?.and_then(|gauges| gauges.level(name)))
    }

    /// The server's memory at its most, beyond what it had at the end of the first stretch.
    fn growth(&self) -> Option<u64> {
        let figures: &ServerFigures = self.figures.as_ref()?;
        let before = figures.sample("published")?;
        let most =
            ["stalled", "heard"].into_iter().filter_map(|name| figures.sample(name)).map(|sample| sample.resident_bytes).max()?;
        Some(most.saturating_sub(before.resident_bytes))
    }
}

fn judge(
    args: &Slow,
    found: &mut Findings,
    tally: &Tally,
    [before, after]: [Delivered; 2],
    cuts: Option<CutOffs>,
    growth: Option<u64>,
) {
    let (counts, slow) = (&tally.counts, &tally.slow);
    let (checks, fates) = account(counts, before, after, slow.cut_off > 0);
    let students = u64::from(args.crowd.students);
    found.checks.extend([
        Check::new("sign-ins begun", students, counts.attempted),
        Check::new("sign-ins answered with connect_success", students, counts.signed_in),
        Check::new("connect_success heard twice", 0, counts.doubled),
        Check::new("events heard before connect_success", 0, counts.early),
        Check::new("members who read, lost before they were told to close", 0, counts.lost),
        Check::new("slow members", members(args), slow.members),
        Check::new("connections closed properly, or cut off slow", counts.signed_in - counts.lost, counts.closed + slow.cut_off),
    ]);
    found.checks.extend(checks);
    found.fates = fates;
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let (first_cut_off_s, last_cut_off_s) = cuts.as_ref().map_or((None, None), |cuts| (seconds(cuts.first), seconds(cuts.last)));
    found.slow = Some(SlowFigures {
        cut_off_by_server: cuts.map(|cuts| cuts.seen),
        first_cut_off_s,
        last_cut_off_s,
        server_growth_bytes: growth,
        ..SlowFigures::of(tally)
    });
    if let Some(server) = &mut found.server {
        server.cpu_us_per_sign_in = server.cpu_us("idle", "signed_in", counts.signed_in);
        server.cpu_us_per_delivery = server.cpu_us("publishing", "stalled", counts.delivered);
    }
}

/// How many are slow.
fn members(args: &Slow) -> u64 {
    ((args.share * f64::from(args.crowd.students)).round() as u64).clamp(1, args.crowd.students.into())
}

fn slow(args: &Slow) -> Result<order::Slow, Stop> {
    if members(args) == u64::from(args.crowd.students) {
        return Err(Stop::Usage("everybody would be slow: a smaller --share, or more --students".to_owned()));
    }
    let (rate, receive_buffer) = (args.read_rate, args.receive_buffer);
    Ok(order::Slow { members: members(args), rate, receive_buffer, before: args.before, lasting: args.lasting })
}

fn then(args: &Slow) -> String {
    let how =
        args.read_rate.map_or_else(|| "do not read".to_owned(), |rate| format!("read {} bytes a second", grouped(rate as u64)));
    format!(
        "{} publishes a second of {} bytes: {} for all, then {} in which {} {how}",
        args.publish_rate,
        grouped(args.bytes.into()),
        spoken(args.before),
        spoken(args.lasting),
        grouped(members(args))
    )
}
