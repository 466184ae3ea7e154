//! Several parts of a run side by side: each has workers of its own, and goes through stages of its own, on the one clock of the host.

use super::{
    boss::Crew,
    letters::{Progress, Stage, ToBoss},
};
use crate::{clock, usage::Usage};
use std::{
    collections::VecDeque,
    io,
    ops::Range,
    time::{Duration, Instant},
};

/// Something to do, or somebody who tells, is looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One stage of a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    pub(crate) stage: Stage,
    /// Not before this moment, nanoseconds of CLOCK_MONOTONIC, and not before so long behind the step before.
    pub(crate) at_ns: u64,
    pub(crate) pause: Duration,
    /// The next step waits until all workers have settled it.
    pub(crate) settles: bool,
}

/// A part: its workers, and what is before them.
pub(crate) struct Lane {
    pub(crate) workers: Range<usize>,
    pub(crate) steps: VecDeque<Step>,
    under_way: Option<UnderWay>,
    free_since: Instant,
}

struct UnderWay {
    step: Step,
    usages: Vec<Option<Usage>>,
}

/// A stage that a part has settled.
pub(crate) struct Settled {
    pub(crate) stage: Stage,
    pub(crate) usages: Vec<Usage>,
}

impl Step {
    /// A stage that begins as soon as it may.
    pub(crate) fn now(stage: Stage) -> Step {
        Step { stage, at_ns: 0, pause: Duration::ZERO, settles: true }
    }

    /// A stage that begins at a moment.
    pub(crate) fn at(stage: Stage, at_ns: u64) -> Step {
        Step { at_ns, ..Step::now(stage) }
    }

    /// A stage that begins a while behind the one before.
    pub(crate) fn after(stage: Stage, pause: Duration) -> Step {
        Step { pause, ..Step::now(stage) }
    }

    /// The next step waits for its own moment alone.
    pub(crate) fn open(self) -> Step {
        Step { settles: false, ..self }
    }
}

impl Lane {
    /// A part that goes through these steps.
    pub(crate) fn new(workers: Range<usize>, steps: impl IntoIterator<Item = Step>) -> Lane {
        Lane { workers, steps: steps.into_iter().collect(), under_way: None, free_since: Instant::now() }
    }

    fn is_over(&self) -> bool {
        self.steps.is_empty() && self.under_way.is_none()
    }

    /// The step that may begin now, taken.
    fn next(&mut self, notice: Duration) -> Option<Step> {
        let soon_ns = clock::now_ns() + clock::nanos(notice);
        let is_free = self.under_way.is_none();
        let may = |step: &&Step| is_free && soon_ns >= step.at_ns && self.free_since.elapsed() >= step.pause;
        self.steps.front().filter(may)?;
        self.steps.pop_front()
    }

    fn heard(&mut self, worker: usize, stage: Stage, usage: Usage) -> Option<Settled> {
        let under_way = self.under_way.as_mut().filter(|under_way| under_way.step.stage == stage)?;
        let place = worker.checked_sub(self.workers.start).filter(|_| worker < self.workers.end)?;
        under_way.usages[place] = Some(usage);
        if under_way.usages.iter().any(Option::is_none) {
            return None;
        }
        self.free_since = Instant::now();
        let usages = self.under_way.take()?.usages.into_iter().flatten().collect();
        Some(Settled { stage, usages })
    }
}

impl Crew {
    /// Leads all parts through their steps; tells what was done so far, and of each stage that a part has settled.
    ///
    /// # Errors
    /// A worker is gone or has stopped telling.
    pub(crate) fn lead(
        &mut self,
        lanes: &mut [Lane],
        mut tell: impl FnMut(Progress),
        mut settled: impl FnMut(Settled),
    ) -> io::Result<()> {
        while !lanes.iter().all(Lane::is_over) {
            for lane in lanes.iter_mut() {
                let Some(step) = lane.next(self.notice()) else { continue };
                self.enter_some(lane.workers.clone(), step.stage, step.at_ns)?;
                if step.settles {
                    lane.under_way = Some(UnderWay { step, usages: vec![None; lane.workers.len()] });
                }
            }
            match self.next(LOOK_EVERY)? {
                Some((_, ToBoss::Progress(_))) => tell(self.progress()),
                Some((worker, ToBoss::Settled(stage, usage))) => {
                    lanes.iter_mut().filter_map(|lane| lane.heard(worker, stage, usage)).for_each(&mut settled);
                }
                Some((_, ToBoss::Ready | ToBoss::Done(_) | ToBoss::Failed(_))) | None => {}
                Some((_, ToBoss::Here(_) | ToBoss::Clock(_) | ToBoss::Seen(_))) => {}
            }
            self.miss_none()?;
        }
        Ok(())
    }
}
