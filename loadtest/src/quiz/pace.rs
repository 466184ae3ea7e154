//! When participants begin, answer and submit.

use super::{BEGINS_PER_TURN, Hall, desk::What, order::Pace};
use crate::{clock, order::mix, tally::Measure, tempo::Tempo};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    f64::consts::TAU,
    time::Duration,
};

/// How far people's times of thinking spread: the standard deviation of their logarithm. A sixth of them is above 1.8 times the median.
const SPREAD: f64 = 0.6;

/// The answers of a stage.
#[derive(Default)]
pub(super) struct Schedule {
    from_ns: u64,
    /// Those who answer, in the order of their turns.
    round: Vec<u32>,
    /// Answers that are not decided yet.
    undecided: u64,
    /// Answers whose moment has come.
    begun: u64,
    /// The run's rate, where there is one; so many answers of the run come to one of this worker's, and where in them its own is.
    tempo: Option<Tempo>,
    share: f64,
    phase: f64,
    /// Who may answer at once.
    ready: VecDeque<u32>,
    /// When somebody has thought enough.
    thinking: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Schedule {
    /// Whether nothing is left to be begun or decided.
    pub(super) fn is_over(&self) -> bool {
        self.undecided == 0 && self.thinking.is_empty()
    }

    /// When this worker's answer of that number is meant to be given.
    fn due_ns(&self, number: u64) -> u64 {
        let after = |tempo: &Tempo| tempo.after_ns((number as f64 + self.phase) * self.share);
        self.from_ns.saturating_add(self.tempo.as_ref().map_or(0, after))
    }
}

impl Hall {
    /// The next attempts are due, or fewer are under way than may be.
    pub(super) fn begin_starts(&mut self, from_ns: u64) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            if self.next == self.desks.len() {
                return u64::MAX;
            }
            let now_ns = clock::now_ns();
            let due_ns = match self.order.start_rate {
                Some(rate) => from_ns.saturating_add((self.run_wide(self.next as u64) * 1e9 / rate) as u64),
                None if self.under_way >= self.order.in_flight => return u64::MAX,
                None => now_ns,
            };
            if now_ns < due_ns {
                return due_ns;
            }
            // Where nobody answers the starts are not what is measured.
            if self.order.start_rate.is_some() && self.order.pace != Pace::Never {
                self.tally.record(Measure::Lag, now_ns - due_ns);
            }
            self.ask(self.next as u32, What::Start, due_ns);
            self.next += 1;
        }
        0
    }

    /// The place in the whole run of this worker's participant: workers with few take their turns more rarely.
    fn run_wide(&self, own: u64) -> f64 {
        let share = self.order.participants as f64 / self.desks.len().max(1) as f64;
        (own as f64 + f64::from(self.order.worker) / f64::from(self.order.workers)) * share
    }

    /// Whoever has not submitted does.
    pub(super) fn begin_submits(&mut self) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            if self.next == self.desks.len() || self.under_way >= self.order.in_flight {
                return u64::MAX;
            }
            let desk = self.next as u32;
            self.next += 1;
            if self.desks[desk as usize].is_in() {
                self.ask(desk, What::Submit, clock::now_ns());
            }
        }
        0
    }

    /// Answering begins at `from_ns`.
    pub(super) fn open_schedule(&mut self, from_ns: u64) {
        let in_all = self.desks.len().max(1) as f64;
        let mut round: Vec<u32> = (0..self.desks.len() as u32).filter(|desk| self.desks[*desk as usize].is_in()).collect();
        shuffle(&mut round, self.order.seed);
        (0..).zip(&round).for_each(|(place, desk)| self.desks[*desk as usize].place = place);
        let mut schedule = Schedule { from_ns, undecided: (round.len() * self.questions) as u64, ..Schedule::default() };
        match self.order.pace {
            Pace::Rate(tempo) => {
                schedule.tempo = Some(tempo);
                schedule.share = self.order.participants as f64 / in_all;
                schedule.phase = f64::from(self.order.worker) / f64::from(self.order.workers);
            }
            Pace::Think(median) => schedule
                .thinking
                .extend(round.iter().map(|desk| Reverse((from_ns.saturating_add(self.thought_ns(*desk, median)), *desk)))),
            Pace::Saturate => schedule.ready.extend(&round),
            Pace::Never => schedule.undecided = 0,
        }
        schedule.round = round;
        self.schedule = schedule;
        self.tally.answering.hold(from_ns);
    }

    /// How long a participant thinks about the question before it.
    fn thought_ns(&self, desk: u32, median: Duration) -> u64 {
        let step = u64::from(self.desks[desk as usize].step);
        let dice = mix(mix(self.order.seed ^ u64::from(self.order.worker) << 40 ^ u64::from(desk) << 9) ^ step);
        (median.as_nanos() as f64 * (SPREAD * normal(dice)).exp()) as u64
    }

    /// Answers that are due begin; returns when the next is.
    pub(super) fn begin_answers(&mut self) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            let next_ns = match self.order.pace {
                Pace::Rate(_) => self.begin_by_rate(),
                Pace::Think(_) => self.begin_by_thought(),
                Pace::Saturate => self.begin_at_once(),
                Pace::Never => u64::MAX,
            };
            if next_ns > 0 {
                return next_ns;
            }
        }
        0
    }

    fn begin_by_rate(&mut self) -> u64 {
        let (round, begun) = (self.schedule.round.len() as u64, self.schedule.begun);
        if begun == round * self.questions as u64 {
            return u64::MAX;
        }
        let (due_ns, now_ns) = (self.schedule.due_ns(begun), clock::now_ns());
        if now_ns < due_ns {
            return due_ns;
        }
        self.schedule.begun += 1;
        let desk = self.schedule.round[(begun % round) as usize];
        let at = &mut self.desks[desk as usize];
        if at.asked.is_some() {
            at.owed += 1;
            self.tally.quiz.held_back += 1;
        } else {
            self.tally.record(Measure::Lag, now_ns - due_ns);
            self.ask(desk, What::Answer, due_ns);
        }
        0
    }

    fn begin_by_thought(&mut self) -> u64 {
        let Some(Reverse((due_ns, desk))) = self.schedule.thinking.peek().copied() else { return u64::MAX };
        let now_ns = clock::now_ns();
        if now_ns < due_ns {
            return due_ns;
        }
        self.schedule.thinking.pop();
        self.tally.record(Measure::Lag, now_ns - due_ns);
        let done = self.desks[desk as usize].step as usize == self.questions;
        self.ask(desk, if done { What::Submit } else { What::Answer }, due_ns);
        0
    }

    fn begin_at_once(&mut self) -> u64 {
        if self.under_way >= self.order.in_flight {
            return u64::MAX;
        }
        let Some(desk) = self.schedule.ready.pop_front() else { return u64::MAX };
        self.ask(desk, What::Answer, clock::now_ns());
        0
    }

    /// A participant's answer is decided: the next one.
    pub(super) fn continue_answers(&mut self, desk: u32, now_ns: u64) {
        self.schedule.undecided -= 1;
        let at = &mut self.desks[desk as usize];
        let more = (at.step as usize) < self.questions;
        match self.order.pace {
            Pace::Rate(_) if at.owed > 0 => {
                at.owed -= 1;
                let number = u64::from(at.step) * self.schedule.round.len() as u64 + u64::from(at.place);
                self.ask(desk, What::Answer, self.schedule.due_ns(number));
            }
            Pace::Think(median) => {
                let due_ns = now_ns.saturating_add(self.thought_ns(desk, median));
                self.schedule.thinking.push(Reverse((due_ns, desk)));
            }
            Pace::Saturate if more => self.schedule.ready.push_back(desk),
            Pace::Rate(_) | Pace::Saturate | Pace::Never => {}
        }
    }
}

/// A number of the standard normal distribution (Box and Muller 1958).
fn normal(dice: u64) -> f64 {
    let unit = |bits: u32| (f64::from(bits) + 0.5) / (f64::from(u32::MAX) + 1.0);
    (-2.0 * unit(dice as u32).ln()).sqrt() * (TAU * unit((dice >> 32) as u32)).cos()
}

/// Fisher and Yates.
fn shuffle(all: &mut [u32], seed: u64) {
    for last in (1..all.len()).rev() {
        all.swap(last, (mix(seed ^ last as u64) % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_thinking_are_log_normal_around_their_median() {
        let mut times: Vec<f64> = (0..20_000).map(|i| (SPREAD * normal(mix(i))).exp()).collect();
        times.sort_by(f64::total_cmp);
        let at = |quantile: f64| times[(quantile * times.len() as f64) as usize];
        // exp(0.6 z): the quantiles of z are 0, 1 and -1.
        for (quantile, exact) in [(0.5, 1.0), (0.8413, 0.6f64.exp()), (0.1587, (-0.6f64).exp())] {
            assert!((at(quantile) / exact - 1.0).abs() < 0.04, "{quantile}: {} is not {exact}", at(quantile));
        }
    }

    #[test]
    fn a_shuffle_keeps_everybody_and_moves_most() {
        let mut all: Vec<u32> = (0..1_000).collect();
        shuffle(&mut all, 7);
        assert!((0..).zip(&all).filter(|(place, desk)| place == *desk).count() < 20);
        all.sort_unstable();
        assert!((0..1_000).eq(all));
    }
}
