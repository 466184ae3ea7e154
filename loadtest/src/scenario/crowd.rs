//! What the scenarios of classrooms share: who signs in where, and what must agree when they have.

use super::{Run, Stop, expiry, secret, sources, target_of, tokens, workers};
use crate::{
    args::Crowd,
    crew::letters::{Stage, Task},
    order::{Credentials, Fate, Order, Publishing, Slow, Storm, share},
    progress::Teller,
    report::{Asked, Check},
    tally::Tally,
    wire::http::Target,
};
use std::{io, time::Duration};

const IN_FLIGHT: u32 = 512;
const IN_FLIGHT_AT_A_RATE: u32 = 8_192;

/// What is done with those who sign in.
pub(super) struct Doing {
    pub(super) fate: Fate,
    pub(super) publishing: Option<Publishing>,
    pub(super) pings_every: Option<Duration>,
    pub(super) storm: Option<Storm>,
    pub(super) slow: Option<Slow>,
    /// In the end they go evenly over this.
    pub(super) leave_within: Option<Duration>,
    /// They move from node to node, with two connections meanwhile.
    pub(super) is_rolling: bool,
}

impl Default for Doing {
    fn default() -> Doing {
        Doing {
            fate: Fate::Stay,
            publishing: None,
            pings_every: None,
            storm: None,
            slow: None,
            leave_within: None,
            is_rolling: false,
        }
    }
}

impl Doing {
    /// Whether each worker must have whole rooms, with all that is published to them.
    fn needs_whole_rooms(&self) -> bool {
        self.storm.is_some() || self.slow.is_some() || self.is_rolling
    }
}

impl Run {
    /// Checks what was asked, hires the workers and looks at the idle server.
    pub(super) fn gather(scenario: &'static str, crowd: &Crowd, doing: &Doing, then: String) -> Result<Run, Stop> {
        Run::gather_as(scenario, crowd, doing, then, Task::Classrooms)
    }

    /// The same, where an order is a part of another task.
    pub(super) fn gather_as(
        scenario: &'static str,
        crowd: &Crowd,
        doing: &Doing,
        then: String,
        task: impl Fn(Order) -> Task,
    ) -> Result<Run, Stop> {
        let target = target_of(&crowd.site, &crowd.url, "ws")?;
        let orders = orders(crowd, &target, doing)?;
        let asked = Asked {
            scenario,
            url: crowd.url.clone(),
            students: crowd.students.into(),
            classrooms: crowd.classrooms,
            rate: crowd.rate,
            in_flight: orders.iter().map(|order| u64::from(order.in_flight)).sum(),
            workers: orders.len() as u32,
            sources: orders[0].sources.len(),
            seed: crowd.site.seed,
            then,
        };
        Run::begin(&crowd.site, &target, orders.into_iter().map(task).collect(), asked)
    }

    /// Everybody signs in.
    pub(super) fn sign_in(&mut self) -> io::Result<()> {
        let teller = Teller::new("signing in", self.asked.students).at(self.asked.rate);
        self.stage(Stage::SignIn, true, teller, |progress| progress.signed_in)?;
        self.sample("signed_in");
        Ok(())
    }
}

/// What must agree in every scenario of classrooms.
pub(super) fn sign_in_checks(tally: &Tally, students: u32) -> [Check; 6] {
    let counts = &tally.counts;
    [
        Check::new("sign-ins begun", students.into(), counts.attempted),
        Check::new("sign-ins answered with connect_success", students.into(), counts.signed_in),
        Check::new("connect_success heard twice", 0, counts.doubled),
        Check::new("events heard before connect_success", 0, counts.early),
        Check::new("members lost before they were told to close", 0, counts.lost),
        Check::new("connections closed properly", counts.signed_in - counts.lost, counts.closed),
    ]
}

/// One order for each worker.
pub(super) fn orders(crowd: &Crowd, target: &Target, doing: &Doing) -> Result<Vec<Order>, Stop> {
    let fate = doing.fate;
    let in_flight = crowd.in_flight.unwrap_or(if crowd.rate.is_some() { IN_FLIGHT_AT_A_RATE } else { IN_FLIGHT });
    let held = u64::from(if fate == Fate::Stay { crowd.students } else { crowd.students.min(in_flight) });
    let held = if doing.is_rolling { 2 * held } else { held };
    let workers = workers(&crowd.site, held)?;
    if doing.needs_whole_rooms() && !crowd.classrooms.is_multiple_of(workers) {
        let classrooms = crowd.classrooms;
        return Err(Stop::Usage(format!(
            "{workers} workers have whole rooms each: {classrooms} --classrooms are no multiple of that"
        )));
    }
    let sources = sources(&crowd.site, target, held)?;
    let mut credentials = credentials(crowd, fate, workers)?;
    let order = |worker: u32| Order {
        worker,
        workers,
        target: target.clone(),
        fate,
        sign_ins: crowd.students.into(),
        classrooms: crowd.classrooms,
        seed: crowd.site.seed,
        rate: crowd.rate,
        in_flight: (share(in_flight.into(), worker, workers) as u32).max(1),
        timeout: crowd.site.timeout,
        sources: sources.clone(),
        credentials: credentials.remove(0),
        pings_every: doing.pings_every,
        publishing: doing.publishing.clone(),
        storm: doing.storm,
        slow: doing.slow,
        leave_within: doing.leave_within,
    };
    Ok((0..workers).map(order).collect())
}

/// What each worker's students sign in with.
fn credentials(crowd: &Crowd, fate: Fate, workers: u32) -> Result<Vec<Credentials>, Stop> {
    match (&crowd.signing.tokens, &crowd.signing.key) {
        (Some(path), _) => {
            let tokens = tokens(path)?;
            if fate == Fate::Stay && tokens.len() < crowd.students as usize {
                return Err(Stop::Usage(format!("{} tokens for {} students", tokens.len(), crowd.students)));
            }
            let of = |worker: u32| tokens.iter().skip(worker as usize).step_by(workers as usize).cloned();
            Ok((0..workers).map(|worker| Credentials::Tokens(of(worker).collect())).collect())
        }
        (None, Some(path)) => {
            let (issuer, audience) = (crowd.signing.issuer.clone(), crowd.signing.aud.clone());
            let key = Credentials::Key { secret: secret(path)?, issuer, audience, expires: expiry() };
            Ok(vec![key; workers as usize])
        }
        (None, None) => Err(Stop::Usage("give --tokens or --key".to_owned())),
    }
}
