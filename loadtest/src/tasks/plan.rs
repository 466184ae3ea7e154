//! Who asks for what, and when: fixed before the run begins, so that it is known whether the contract's limits can be kept.

use super::contract::{MESSAGES_A_MINUTE, SUBSCRIPTIONS_A_SOCKET};
use crate::tempo::Tempo;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// In any time of this length a socket keeps to the messages of a minute: what follows from a task may come later than meant.
const WINDOW_NS: u64 = 70_000_000_000;

/// See the file.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Of the whole run.
    pub(crate) users: u32,
    /// Of each user.
    pub(crate) sockets: u32,
    /// Tasks and executions of the whole run.
    pub(crate) asks: u64,
    /// When.
    pub(crate) tempo: Tempo,
    /// The share of asks that are by REST, and of those that are executions.
    pub(crate) by_rest: f64,
    pub(crate) executions: f64,
    /// The share of tasks that one socket is subscribed to alone as well.
    pub(crate) watched: f64,
    /// Every so manieth task of a user is cancelled; 0: none is.
    pub(crate) cancel_every: u32,
    /// Looks of the whole run, and of these a second.
    pub(crate) looks: u64,
    pub(crate) look_rate: f64,
}

/// How something is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// A task, over the user's socket of this number.
    Socket(u32),
    /// A task, by REST.
    Rest,
    /// An execution, by REST; the user's socket of this number hears of it.
    Execution(u32),
}

/// What is done with a user's task beside hearing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fate {
    /// The user's socket that subscribes to it alone.
    pub(crate) watcher: Option<u32>,
    /// The user's socket that cancels it.
    pub(crate) canceller: Option<u32>,
}

/// The fractional parts of the multiples of these are spread evenly, in however short a row (Weyl 1910).
const GOLDEN: f64 = 0.618_033_988_749_894_9;
const SILVER: f64 = 0.414_213_562_373_095_1;

/// Where the number of a thing falls, from 0 to 1.
fn falls(number: u64, ratio: f64) -> f64 {
    ((number + 1) as f64 * ratio).fract()
}

impl Plan {
    /// Whose an ask, or a look, is.
    pub(crate) fn user(&self, number: u64) -> u32 {
        (number % u64::from(self.users)) as u32
    }

    /// How ask number `number` goes.
    pub(crate) fn way(&self, number: u64) -> Way {
        let socket = (number / u64::from(self.users) % u64::from(self.sockets)) as u32;
        match falls(number, GOLDEN) {
            share if share < self.executions => Way::Execution(socket),
            share if share < self.executions + self.by_rest => Way::Rest,
            _ => Way::Socket(socket),
        }
    }

    /// What is done with the task of which a user hears as number `number` of his.
    pub(crate) fn fate(&self, user: u32, number: u32) -> Fate {
        let turn = user.wrapping_add(number);
        let is_watched = falls(u64::from(user) + u64::from(number), SILVER) < self.watched;
        let is_cancelled = self.cancel_every > 0 && number % self.cancel_every == self.cancel_every - 1;
        Fate {
            watcher: is_watched.then_some(turn % self.sockets),
            canceller: is_cancelled.then(|| (turn / self.cancel_every.max(1)) % self.sockets),
        }
    }

    /// When ask number `number` is meant to be sent, from the beginning on.
    pub(crate) fn due_ns(&self, number: u64) -> u64 {
        self.tempo.after_ns(number as f64)
    }

    /// When look number `number` is meant to be sent.
    pub(crate) fn look_due_ns(&self, number: u64) -> u64 {
        (number as f64 * 1e9 / self.look_rate) as u64
    }

    /// How many tasks, and how many executions, are asked for.
    pub(crate) fn sums(&self) -> (u64, u64) {
        let executions = (0..self.asks).filter(|number| matches!(self.way(*number), Way::Execution(_))).count() as u64;
        (self.asks - executions, executions)
    }

    /// Whether every socket keeps to the contract's limits.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(crate) fn check(&self) -> Result<(), String> {
        (0..self.users).try_for_each(|user| self.check_user(user))
    }

    fn check_user(&self, user: u32) -> Result<(), String> {
        // The subscription to all tasks.
        let mut messages = vec![vec![0]; self.sockets as usize];
        let mut subscriptions = vec![1; self.sockets as usize];
        let mut told = 0;
        for number in (u64::from(user)..self.asks).step_by(self.users as usize) {
            let (due_ns, way) = (self.due_ns(number), self.way(number));
            if let Way::Socket(socket) | Way::Execution(socket) = way {
                messages[socket as usize].push(due_ns);
            }
            if let Way::Execution(socket) = way {
                subscriptions[socket as usize] += 1;
                continue;
            }
            let Fate { watcher, canceller } = self.fate(user, told);
            told += 1;
            for socket in watcher.iter().chain(&canceller) {
                messages[*socket as usize].push(due_ns);
            }
            if let Some(socket) = watcher {
                subscriptions[socket as usize] += 1;
            }
        }
        let most = messages.iter().map(|moments| most_in_a_window(moments)).max().unwrap_or(0);
        if most > MESSAGES_A_MINUTE {
            return Err(format!(
                "a socket would send {most} messages in a minute, and may send {MESSAGES_A_MINUTE}: \
                 give more --users or --sockets, or a lower --rate"
            ));
        }
        let most = subscriptions.into_iter().max().unwrap_or(0);
        if most > SUBSCRIPTIONS_A_SOCKET {
            return Err(format!(
                "a socket would have {most} subscriptions, and may have {SUBSCRIPTIONS_A_SOCKET}: \
                 give more --users or --sockets, or a lower --watched or --executions"
            ));
        }
        Ok(())
    }
}

/// How many of something are to be done in a time at a rate.
pub(crate) fn in_time(rate: f64, time: Duration) -> u64 {
    (rate * time.as_secs_f64()).round() as u64
}

/// `moments` in order.
fn most_in_a_window(moments: &[u64]) -> usize {
    let mut from = 0;
    let counts = moments.iter().enumerate().map(|(place, moment)| {
        while moment - moments[from] >= WINDOW_NS {
            from += 1;
        }
        place + 1 - from
    });
    counts.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan {
        users: 10,
        sockets: 2,
        asks: 1_000,
        tempo: Tempo::steady(100.0),
        by_rest: 0.1,
        executions: 0.05,
        watched: 0.2,
        cancel_every: 5,
        looks: 0,
        look_rate: 0.0,
    };

    #[test]
    fn shares_are_kept_for_everybody() {
        let ways: Vec<Way> = (0..1_000).map(|number| PLAN.way(number)).collect();
        let count = |is: fn(&Way) -> bool| ways.iter().filter(|way| is(way)).count();
        assert!(
            (98..=102).contains(&count(|way| *way == Way::Rest))
                && (49..=51).contains(&count(|way| matches!(way, Way::Execution(_))))
        );
        assert_eq!(PLAN.sums().0 + PLAN.sums().1, 1_000);
        for user in 0..10 {
            let own = (0..1_000).filter(|number| PLAN.user(*number) == user);
            let by_rest = own.filter(|number| PLAN.way(*number) == Way::Rest).count();
            assert!((7..=13).contains(&by_rest), "{by_rest} of user {user}");
            let fates: Vec<Fate> = (0..100).map(|number| PLAN.fate(user, number)).collect();
            let watched = fates.iter().filter(|fate| fate.watcher.is_some()).count();
            assert!((18..=22).contains(&watched), "{watched} of user {user}");
            assert_eq!(fates.iter().filter(|fate| fate.canceller.is_some()).count(), 20);
            for socket in 0..2 {
                assert!(
                    fates.iter().any(|fate| fate.watcher == Some(socket))
                        && fates.iter().any(|fate| fate.canceller == Some(socket))
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        assert!(PLAN.check().is_ok());
        let asks = |asks| Plan { asks, by_rest: 0.0, executions: 0.0, watched: 0.0, cancel_every: 0, ..PLAN };
        // One subscription and 99 tasks on each of 20 sockets, in twenty seconds.
        assert_eq!((asks(1_980).check(), asks(1_981).check().is_err()), (Ok(()), true));
        assert!(Plan { cancel_every: 1, ..asks(1_000) }.check().is_err(), "cancellations count");
        // In a longer time there may be more.
        assert!(Plan { tempo: Tempo::steady(20.0), ..asks(10_000) }.check().is_ok());
        let watched = Plan { tempo: Tempo::steady(10.0), watched: 1.0, ..asks(1_000) };
        assert!(watched.check().unwrap_err().contains("subscriptions"), "{watched:?}");
        assert!(Plan { watched: 0.9, ..watched }.check().is_ok());
    }

    #[test]
    fn windows_slide() {
        let second = 1_000_000_000;
        assert_eq!(most_in_a_window(&[0, second, 69 * second, 70 * second, 71 * second, 72 * second]), 4);
        assert_eq!(most_in_a_window(&[]), 0);
    }
}
