//! What the view shows, made of what the boss tells it. It has no clock and draws nothing.

use crate::{
    crew::letters::{Progress, Seen, Stage},
    progress::Teller,
    report::{Asked, BUSIEST, LATEST_LAG_NS},
    tally::{Buckets, Measure, When},
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// What was measured is gathered for so long before it is shown.
const FRAME_NS: u64 = 500_000_000;
/// So many frames are "now".
const NOW_FRAMES: usize = 2;
/// A rate is that of so much time.
const RATE_OVER_NS: u64 = 2_000_000_000;
/// When there would be more points, two become one.
const MOST_POINTS: usize = 480;

/// All that is shown.
#[derive(Clone)]
pub(super) struct State {
    pub(super) scenario: &'static str,
    pub(super) url: String,
    pub(super) workers: u32,
    pub(super) joined: u32,
    /// The stages so far, the last one under way.
    pub(super) stages: Vec<Under>,
    pub(super) progress: Progress,
    /// The whole run.
    pub(super) whole: BTreeMap<Measure, Buckets>,
    /// The course of the run.
    pub(super) points: Vec<Point>,
    faults: BTreeMap<usize, BTreeMap<When, BTreeMap<String, u64>>>,
    busiest: BTreeMap<usize, f64>,
    frame: BTreeMap<Measure, Buckets>,
    frames: VecDeque<BTreeMap<Measure, Buckets>>,
    frame_due_ns: u64,
    pub(super) began_ns: u64,
    /// So many frames become one point.
    frames_a_point: u64,
    pending: u64,
}

/// A stage under way.
#[derive(Clone)]
pub(super) struct Under {
    pub(super) what: &'static str,
    pub(super) stage: Option<Stage>,
    pub(super) total: u64,
    pub(super) rate: Option<f64>,
    pub(super) done: u64,
    pub(super) from_ns: u64,
    pub(super) lasts: Option<Duration>,
    /// What was done when, of the last while.
    steps: VecDeque<(u64, u64)>,
}

/// A moment of the run's course.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Point {
    /// The stage then, by its place among the stages.
    pub(super) stage: usize,
    /// Operations a second of what the stage is about.
    pub(super) per_s: f64,
    /// Their 99 %, nanoseconds.
    pub(super) p99_ns: u64,
}

/// What to make of the generator now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Belief {
    /// It keeps up.
    Keeps,
    /// A worker wants more of a core than it should.
    Busy,
    /// It began its operations too late at p99 of the whole run, and the verdict will say so.
    Late,
}

impl Under {
    /// How much is done a second, as of the last while.
    pub(super) fn per_s(&self) -> f64 {
        let (Some((from_ns, from)), Some((to_ns, to))) = (self.steps.front(), self.steps.back()) else { return 0.0 };
        if to_ns <= from_ns { 0.0 } else { to.saturating_sub(*from) as f64 * 1e9 / (to_ns - from_ns) as f64 }
    }

    fn step(&mut self, done: u64, now_ns: u64) {
        self.done = done;
        self.steps.push_back((now_ns, done));
        while self.steps.len() > 2 && now_ns.saturating_sub(self.steps[1].0) >= RATE_OVER_NS {
            self.steps.pop_front();
        }
    }
}

impl State {
    /// Nothing has happened yet.
    pub(super) fn new(asked: &Asked, joined: u32, now_ns: u64) -> State {
        State {
            scenario: asked.scenario,
            url: asked.url.clone(),
            workers: asked.workers,
            joined,
            stages: Vec::new(),
            progress: Progress::default(),
            whole: BTreeMap::new(),
            points: Vec::new(),
            faults: BTreeMap::new(),
            busiest: BTreeMap::new(),
            frame: BTreeMap::new(),
            frames: VecDeque::new(),
            frame_due_ns: now_ns + FRAME_NS,
            began_ns: now_ns,
            frames_a_point: 1,
            pending: 0,
        }
    }

    /// Something new is done from now on.
    pub(super) fn enter(&mut self, stage: Option<Stage>, teller: &Teller, now_ns: u64) {
        self.stages.push(Under {
            what: teller.what,
            stage,
            total: teller.total,
            rate: teller.rate,
            done: 0,
            from_ns: now_ns,
            lasts: teller.lasts,
            steps: VecDeque::from([(now_ns, 0)]),
        });
        self.pending = 0;
    }

    /// So much of it is done.
    pub(super) fn done(&mut self, done: u64, now_ns: u64) {
        if let Some(under) = self.stages.last_mut() {
            under.step(done, now_ns);
        }
    }

    /// What all workers have done so far.
    pub(super) fn progress(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// What one worker has seen in a slice of time.
    pub(super) fn seen(&mut self, worker: usize, seen: &Seen, now_ns: u64) {
        self.advance(now_ns);
        for (measure, buckets) in &seen.slice.measures {
            self.whole.entry(*measure).or_default().merge(buckets);
            self.frame.entry(*measure).or_default().merge(buckets);
        }
        self.busiest.insert(worker, seen.slice.busiest);
        if !seen.faults.is_empty() {
            self.faults.insert(worker, seen.faults.clone());
        }
    }

    /// Time goes on: frames end.
    pub(super) fn advance(&mut self, now_ns: u64) {
        while now_ns >= self.frame_due_ns {
            self.frame_due_ns += FRAME_NS;
            let frame = std::mem::take(&mut self.frame);
            self.add_point(&frame);
            self.frames.push_back(frame);
            if self.frames.len() > NOW_FRAMES {
                self.frames.pop_front();
            }
        }
    }

    fn add_point(&mut self, frame: &BTreeMap<Measure, Buckets>) {
        let Some(under) = self.stages.last().filter(|under| under.stage.is_some()) else { return };
        let stage = self.stages.len() - 1;
        let found = headline(under.stage).iter().find_map(|measure| frame.get(measure));
        let point = match found {
            Some(buckets) => Point { stage, per_s: buckets.count() as f64 * 1e9 / FRAME_NS as f64, p99_ns: buckets.at(0.99) },
            None => Point { stage, per_s: if self.headline().is_none() { under.per_s() } else { 0.0 }, p99_ns: 0 },
        };
        match self.points.last_mut().filter(|last| self.pending > 0 && last.stage == stage) {
            Some(last) => {
                let before = self.pending as f64;
                last.per_s = (last.per_s * before + point.per_s) / (before + 1.0);
                last.p99_ns = last.p99_ns.max(point.p99_ns);
            }
            None => self.points.push(point),
        }
        self.pending = (self.pending + 1) % self.frames_a_point;
        if self.points.len() > MOST_POINTS {
            self.points = self.points.chunks(2).map(joined).collect();
            (self.frames_a_point, self.pending) = (self.frames_a_point * 2, 0);
        }
    }

    /// What was measured in the last moments.
    pub(super) fn now(&self, measure: Measure) -> Buckets {
        let mut sum = Buckets::default();
        self.frames.iter().filter_map(|frame| frame.get(&measure)).for_each(|buckets| sum.merge(buckets));
        sum
    }

    /// What the stage under way is about, once something of it was measured.
    pub(super) fn headline(&self) -> Option<Measure> {
        let stage = self.stages.last()?.stage;
        headline(stage).iter().copied().find(|measure| self.whole.contains_key(measure))
    }

    /// What was measured, in the order in which it is of interest: what the stage is about, what happens now, and the rest.
    pub(super) fn measures(&self) -> Vec<Measure> {
        let (headline, is_now) =
            (self.headline(), |measure: &Measure| self.frames.iter().any(|frame| frame.contains_key(measure)));
        let mut all: Vec<Measure> = self.whole.keys().copied().filter(|measure| *measure != Measure::Lag).collect();
        all.sort_by_key(|measure| (Some(*measure) != headline, !is_now(measure), *measure));
        all
    }

    /// What has gone wrong, the most frequent first.
    pub(super) fn faults(&self) -> Vec<(u64, When, String)> {
        let mut sums: BTreeMap<(When, &str), u64> = BTreeMap::new();
        for (when, kinds) in self.faults.values().flatten() {
            kinds.iter().for_each(|(kind, count)| *sums.entry((*when, kind)).or_default() += count);
        }
        let mut all: Vec<_> = sums.into_iter().map(|((when, kind), count)| (count, when, kind.to_owned())).collect();
        all.sort_by(|a, b| b.cmp(a));
        all
    }

    /// The share of a core that the busiest worker wants now; nothing before any told.
    pub(super) fn busiest(&self) -> Option<f64> {
        self.busiest.values().copied().max_by(f64::total_cmp)
    }

    /// What to make of the generator.
    pub(super) fn belief(&self) -> Belief {
        let late_ns = self.whole.get(&Measure::Lag).map_or(0, |lag| lag.at(0.99));
        if late_ns > LATEST_LAG_NS {
            Belief::Late
        } else if self.busiest().is_some_and(|share| share > BUSIEST) {
            Belief::Busy
        } else {
            Belief::Keeps
        }
    }
}

fn joined(pair: &[Point]) -> Point {
    let mut one = pair[0];
    for other in &pair[1..] {
        one.per_s = f64::midpoint(one.per_s, other.per_s);
        one.p99_ns = one.p99_ns.max(other.p99_ns);
    }
    one
}

/// What a stage is about, the first that is measured.
fn headline(stage: Option<Stage>) -> &'static [Measure] {
    match stage {
        None | Some(Stage::Prove | Stage::Leave) => &[],
        Some(Stage::SignIn) => &[Measure::SignIn],
        Some(Stage::Hold) => &[Measure::Jitter],
        Some(Stage::Publish | Stage::Stall | Stage::Calm) => &[Measure::Delivery],
        Some(Stage::Storm) => &[Measure::Return],
        Some(Stage::Watch | Stage::View | Stage::Join) => &[Measure::Watch, Measure::Create, Measure::Connect],
        Some(Stage::Start) => &[Measure::Start],
        Some(Stage::Answer) => &[Measure::Answer],
        Some(Stage::Submit) => &[Measure::Submit],
        Some(Stage::Ask) => &[Measure::Pending, Measure::FanOut, Measure::Execution],
        Some(Stage::Stream) => &[Measure::Key, Measure::Word],
        Some(Stage::Close) => &[Measure::Close],
    }
}
