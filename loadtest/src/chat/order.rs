//! What the workers of a chat run are told to do. A session with all its sockets belongs to one worker; the model that answers is a worker
//! of its own.

use crate::{clock, quiz::order::Secret, wire::http::Target};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// A worker's part of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ChatOrder {
    /// Which worker this is, from 0.
    pub(crate) worker: u32,
    /// Below which REST and the sockets' routes are.
    pub(crate) target: Target,
    /// What all workers have in common.
    pub(crate) plan: Plan,
    /// This worker's sessions, in the order of their numbers.
    pub(crate) seats: Vec<Seat>,
    /// Of so many of these the answers are read back.
    pub(crate) sample: u32,
    /// Fixes masks.
    pub(crate) seed: u64,
    /// For one step of a socket, and for the last answers to end.
    pub(crate) timeout: Duration,
    /// Source addresses; the kernel's choice without.
    pub(crate) sources: Vec<IpAddr>,
}

/// A session and who speaks in it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Seat {
    /// Its number in the whole run.
    pub(crate) number: u32,
    /// `sess_…`.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) token: Secret,
}

/// The endpoint that the server asks for answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct ModelOrder {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// What it answers.
    pub(crate) plan: Plan,
    /// For the last answers to end.
    pub(crate) timeout: Duration,
    /// The core that it runs on; none: any that its parent may use.
    pub(crate) core: Option<u32>,
}

/// Who speaks when, and what is answered.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Sessions of the whole run.
    pub(crate) sessions: u32,
    /// So many of them follow their answers over HTTP, and have no socket.
    pub(crate) sse: u32,
    /// Sockets of each of the others; the first speaks.
    pub(crate) sockets: u32,
    /// Messages of each session.
    pub(crate) messages: u32,
    /// Of these so many, the first, are not measured.
    pub(crate) unmeasured: u32,
    /// The first messages are spread evenly over so long.
    pub(crate) spread: Duration,
    /// From one message of a session to its next.
    pub(crate) every: Duration,
    /// Words of an answer: each is a delta.
    pub(crate) words: u32,
    /// From one word to the next.
    pub(crate) pace: Duration,
    /// From the request to the first word, where the model is the harness's own.
    pub(crate) think: Duration,
    /// Of so many messages on sockets one is cancelled in the middle of its answer; 0: none.
    pub(crate) cancel_every: u32,
    /// Who answers.
    pub(crate) answers: Answers,
}

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Answers {
    /// The harness's own endpoint, whose words tell when they were sent.
    Model,
    /// The server's built-in agent, which counts.
    Builtin,
}

/// Names an answer: the session's number and that of the message, each from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Name {
    /// Of the whole run.
    pub(crate) session: u32,
    /// Of the session.
    pub(crate) message: u32,
}

/// The golden ratio's part behind the point, of 2^32: its multiples fill that range evenly, and no two of a few thousand lie close.
const GOLDEN: u32 = 0x9E37_79B9;

impl ChatOrder {
    /// Whether the answers of the session in this place are read back.
    pub(crate) fn is_sampled(&self, place: usize) -> bool {
        let every = self.seats.len().div_ceil(self.sample.max(1) as usize).max(1);
        self.sample > 0 && place.is_multiple_of(every)
    }
}

impl Plan {
    /// Whether a session follows its answers over HTTP. Those that do are spread evenly over the others.
    pub(crate) fn is_stream(&self, session: u32) -> bool {
        let before = |session: u32| u64::from(session) * u64::from(self.sse) / u64::from(self.sessions.max(1));
        before(session + 1) > before(session)
    }

    /// Connections of a session.
    pub(crate) fn lines(&self, session: u32) -> u32 {
        if self.is_stream(session) { 1 } else { self.sockets }
    }

    /// Messages of all sessions.
    pub(crate) fn total(&self) -> u64 {
        u64::from(self.sessions) * u64::from(self.messages)
    }

    /// When a message is meant to be said: each session has an even part of the time, and its moment in there at no common measure with
    /// others, so that the words of different answers do not fall together because one distance is a multiple of the other.
    pub(crate) fn due_ns(&self, from_ns: u64, Name { session, message }: Name) -> u64 {
        let within = session.wrapping_mul(GOLDEN);
        let place = u128::from(session) << 32 | u128::from(within);
        let phase = (u128::from(clock::nanos(self.spread)) * place / u128::from(self.sessions.max(1))) >> 32;
        from_ns.saturating_add(phase as u64).saturating_add(clock::nanos(self.every).saturating_mul(message.into()))
    }

    /// When every answer should be over.
    pub(crate) fn end_ns(&self, from_ns: u64) -> u64 {
        let answer = self.think + self.pace * self.words;
        let last = self.every * self.messages.saturating_sub(1) + self.spread;
        from_ns.saturating_add(clock::nanos(last + answer))
    }

    /// Whether an answer is cancelled in its middle.
    pub(crate) fn is_cancelled(&self, Name { session, message }: Name) -> bool {
        self.cancel_every > 0 && !self.is_stream(session) && (session + message).is_multiple_of(self.cancel_every)
    }

    /// At which of its words it is.
    pub(crate) fn middle(&self) -> u32 {
        self.words / 2
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::chat) const PLAN: Plan = Plan {
        sessions: 10,
        sse: 3,
        sockets: 2,
        messages: 4,
        unmeasured: 0,
        spread: Duration::from_nanos(100),
        every: Duration::from_nanos(1_000),
        words: 5,
        pace: Duration::from_nanos(10),
        think: Duration::from_nanos(7),
        cancel_every: 3,
        answers: Answers::Model,
    };

    #[test]
    fn moments_are_even_over_the_sessions_and_over_the_messages_of_each() {
        let due = |session, message| PLAN.due_ns(5, Name { session, message });
        // The second is 0.618 of its tenth behind the beginning of that.
        assert_eq!([due(0, 0), due(1, 0), due(9, 0), due(0, 1), due(9, 3)], [5, 21, 100, 1_005, 3_100]);
        let parts: Vec<u64> = (0..10).map(|session| (due(session, 0) - 5) / 10).collect();
        assert_eq!(parts, (0..10).collect::<Vec<u64>>());
        assert_eq!(PLAN.end_ns(5), 5 + 3_000 + 100 + 7 + 50);
        assert_eq!(PLAN.total(), 40);
    }

    #[test]
    fn as_many_as_asked_for_follow_over_http_and_are_not_cancelled() {
        for sse in [0, 1, 3, 7, 10] {
            let plan = Plan { sse, ..PLAN };
            let streams: Vec<u32> = (0..10).filter(|session| plan.is_stream(*session)).collect();
            assert_eq!(streams.len(), sse as usize);
            assert!(!streams.iter().any(|session| plan.is_cancelled(Name { session: *session, message: session % 3 })));
        }
        assert!(PLAN.is_cancelled(Name { session: 1, message: 2 }) && !PLAN.is_cancelled(Name { session: 1, message: 1 }));
        assert!(!Plan { cancel_every: 0, ..PLAN }.is_cancelled(Name { session: 0, message: 0 }));
    }
}
