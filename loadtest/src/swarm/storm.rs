//! Everybody drops in one moment, and each comes back at a moment of its own.

use super::{
    BEGINS_PER_TURN, Swarm,
    member::{Member, Phase},
};
use crate::{
    clock,
    order::{Break, Order, Returns, Storm, mix},
    tally::Measure,
};
use rustix::net::sockopt::set_socket_linger;
use std::{collections::VecDeque, time::Duration};

/// The moments of [`Returns::Soon`] fall by a factor of e in this part of the time.
const SOON: f64 = 0.2;

/// One round of a storm.
#[derive(Default)]
pub(super) struct Round {
    number: u64,
    from_ns: u64,
    /// Who drops and comes back, with the moment of the return, earliest first.
    due: Vec<(u64, u32)>,
    dropped: usize,
    begun: usize,
    /// Whose moment came while their own close was under way, which is over now.
    late: VecDeque<(u64, u32)>,
}

impl Round {
    /// Whether all have dropped, and all returns were begun.
    pub(super) fn is_begun(&self) -> bool {
        self.dropped == self.due.len() && self.begun == self.due.len() && self.late.is_empty()
    }

    /// Somebody's own close is over, after the moment of the return.
    pub(super) fn delayed(&mut self, due_ns: u64, place: u32) {
        self.late.push_back((due_ns, place));
    }
}

/// When each of this worker's members is back: its places, in the order of their moments.
fn plan(order: &Order, storm: Storm, round: u64, from_ns: u64, places: u32) -> Vec<(u64, u32)> {
    let dice = |place: u32| mix(mix(order.seed ^ round << 40) ^ order.number(place.into()));
    let within_ns = clock::nanos(storm.within) as f64;
    let mut dropping: Vec<u32> = (0..places).filter(|place| !order.stays(order.number((*place).into()))).collect();
    dropping.sort_unstable_by_key(|place| dice(*place));
    let all = dropping.len() as f64;
    let offset = |rank: usize, place: u32| match storm.returns {
        Returns::Even => (rank as f64 + f64::from(order.worker) / f64::from(order.workers)) / all * within_ns,
        Returns::AtOnce => 0.0,
        Returns::Soon => {
            let share = dice(place) as f64 / u64::MAX as f64;
            -(1.0 - share * (1.0 - (-1.0 / SOON).exp())).ln() * SOON * within_ns
        }
    };
    let mut due: Vec<(u64, u32)> =
        dropping.iter().enumerate().map(|(rank, place)| (from_ns + offset(rank, *place) as u64, *place)).collect();
    due.sort_unstable();
    due
}

impl Swarm {
    /// A round begins at `at_ns`.
    pub(super) fn open_round(&mut self, at_ns: u64) {
        let Some(storm) = self.order.storm else { return };
        let number = self.round.number + 1;
        let due = plan(&self.order, storm, number, at_ns, self.members.len() as u32);
        self.round = Round { number, from_ns: at_ns, due, ..Round::default() };
    }

    /// Drops who is still in, and begins the returns that are due; returns when the next is.
    pub(super) fn begin_round(&mut self) -> u64 {
        let now_ns = clock::now_ns();
        if now_ns < self.round.from_ns {
            return self.round.from_ns;
        }
        for _ in 0..BEGINS_PER_TURN {
            let Some((_, place)) = self.round.due.get(self.round.dropped).copied() else { return self.begin_returns() };
            self.round.dropped += 1;
            self.drop_member(place);
        }
        self.begin_returns();
        0
    }

    fn drop_member(&mut self, place: u32) {
        let is_reset = self.order.storm.is_some_and(|storm| storm.breaks == Break::Reset);
        if self.members[place as usize].phase != Phase::Signed {
            return;
        }
        self.tell_of_leaving(place);
        if is_reset {
            self.reset(place);
        } else {
            self.tally.reconnect.left += 1;
            self.close(place);
        }
    }

    /// Ends a connection as a cable that is pulled does, and tells the server at once.
    fn reset(&mut self, place: u32) {
        let member = &mut self.members[place as usize];
        if let Some(socket) = &member.socket {
            // Without it the kernel says goodbye properly, which is a milder end than was asked for.
            let _ = set_socket_linger(socket, Some(Duration::ZERO));
        }
        member.stop();
        self.tally.reconnect.reset += 1;
        self.leave_room(place);
        self.forget(place);
    }

    fn begin_returns(&mut self) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            if self.in_flight == self.order.in_flight {
                return u64::MAX;
            }
            if let Some((due_ns, place)) = self.round.late.pop_front() {
                self.come_back(place, due_ns, clock::now_ns());
                continue;
            }
            // Nobody comes back who has not dropped.
            let next = self.round.due.get(self.round.begun).filter(|_| self.round.begun < self.round.dropped);
            let Some((due_ns, place)) = next.copied() else { return u64::MAX };
            let now_ns = clock::now_ns();
            if now_ns < due_ns {
                return due_ns;
            }
            self.round.begun += 1;
            self.return_due(place, due_ns, now_ns);
        }
        0
    }

    fn return_due(&mut self, place: u32, due_ns: u64, now_ns: u64) {
        let is_scheduled = self.order.storm.is_some_and(|storm| storm.returns != Returns::AtOnce);
        let member = &mut self.members[place as usize];
        match member.phase {
            Phase::Closing { .. } => {
                member.back_ns = due_ns;
                self.tally.reconnect.waited += 1;
            }
            Phase::Nobody => {
                if is_scheduled {
                    self.note_lag(due_ns, now_ns);
                }
                self.come_back(place, due_ns, now_ns);
            }
            Phase::Connecting | Phase::Upgrading | Phase::SigningIn | Phase::Signed => {}
        }
    }

    fn come_back(&mut self, place: u32, due_ns: u64, now_ns: u64) {
        self.tally.reconnect.begun += 1;
        self.dial(place, due_ns, now_ns);
    }

    /// A member is signed in; `intended_ns`: when it was meant to begin.
    pub(super) fn note_sign_in(&mut self, place: u32, intended_ns: u64, now_ns: u64, is_storm: bool) {
        let took_ns = now_ns.saturating_sub(intended_ns);
        if is_storm {
            self.tally.record(Measure::Return, took_ns);
            self.tally.reconnect.returned += 1;
            self.tell_of_coming(place);
        } else {
            self.tally.record(Measure::SignIn, took_ns);
            self.tally.signing_in.hold(now_ns);
        }
    }

    /// Those who stay in the room of this member, and must be told of it.
    fn witnesses(&self, place: u32) -> u64 {
        self.ledger.as_ref().map_or(0, |ledger| ledger.witnesses(self.members[place as usize].room))
    }

    fn tell_of_leaving(&mut self, place: u32) {
        self.tally.reconnect.leavings_owed += self.witnesses(place);
    }

    fn tell_of_coming(&mut self, place: u32) {
        self.tally.reconnect.comings_owed += self.witnesses(place);
    }
}

impl Member {
    /// The moment of the return for which this place's own close was waited for, if it was.
    pub(super) fn take_return(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.back_ns)).filter(|due_ns| *due_ns > 0)
    }
}
