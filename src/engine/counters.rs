//! What a shard counts. Written by the shard alone, read by whoever draws metrics; nothing is decided by it.

use super::door::Bound;
use crate::{
    protocols::{labs::model::State, presence::SessionError, quiz::Denial},
    realtime::Histogram,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// A number that only grows, or a level that its shard sets.
#[derive(Default, Debug)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more. One writer: a load and a store, no locked instruction.
    pub fn add(&self, many: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(many), Relaxed);
    }

    /// Sets a level.
    pub fn set(&self, level: usize) {
        self.0.store(level as u64, Relaxed);
    }

    /// As of now.
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How a WebSocket ended, as metrics tell it: by the code of the Close that this side sent first, or by who ended it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// By our Close with this code.
    Code(u16),
    /// By the peer's Close.
    Peer,
    /// By the end of the stream, without a Close.
    Gone,
}

impl Ending {
    /// All that are told apart; any other code is the last.
    pub const ALL: [Ending; 13] = [
        Ending::Code(1000),
        Ending::Code(1001),
        Ending::Code(1002),
        Ending::Code(1003),
        Ending::Code(1007),
        Ending::Code(1008),
        Ending::Code(1009),
        Ending::Code(1011),
        Ending::Code(1012),
        Ending::Code(1013),
        Ending::Peer,
        Ending::Gone,
        Ending::Code(0),
    ];

    /// The label of metrics.
    pub fn label(self) -> String {
        match self {
            Ending::Code(0) => "other".to_owned(),
            Ending::Code(code) => code.to_string(),
            Ending::Peer => "peer".to_owned(),
            Ending::Gone => "gone".to_owned(),
        }
    }

    fn place(self) -> usize {
        Ending::ALL.iter().position(|ending| *ending == self).unwrap_or(Ending::ALL.len() - 1)
    }
}

/// One shard's counters and levels.
#[derive(Default, Debug)]
pub struct Counters {
    /// From a home's acceptance of what is published to the write to a listener's socket, once for each listener; where the home is on
    /// another node, from the arrival here.
    pub delivery: Histogram,
    /// From the accept of a connection to the answer of its upgrade. Of those alone that are answered by what stands in their head.
    pub handshake: Histogram,
    /// Sign-ins of presence, from a request that may enter to `connect_success`.
    pub sign_in: Histogram,
    /// From the message that an agent answers to the first word of the answer, of sessions at home here.
    pub first_word: Arc<Histogram>,
    /// From the creation of a task to the begin of its work, of tasks at home here.
    pub task_wait: Arc<Histogram>,
    /// Sockets accepted.
    pub accepted: Count,
    /// Sockets turned away because the shard holds as many as it may.
    pub refused: Count,
    /// WebSocket upgrades answered.
    pub upgraded: Count,
    /// What ran into a limit, in the order of [`Bound::ALL`].
    pub bounds: [Count; Bound::ALL.len()],
    /// Level: connections that have not said a whole request yet.
    pub handshakes: Count,
    /// Plain HTTP connections given to REST.
    pub handed_off: Count,
    /// Presence sessions that were told `connect_success`.
    pub presence_success: Count,
    /// Presence sessions that were told an error, in the order of [`SessionError::ALL`].
    pub presence_errors: [Count; SessionError::ALL.len()],
    /// Rows of presence that were nobody's, and were ended.
    pub stray_rows: Count,
    /// Members without a row, who were closed for a restart.
    pub rowless_members: Count,
    /// Requests for a quiz's socket that were refused, in the order of [`Denial::ALL`].
    pub quiz_denials: [Count; Denial::ALL.len()],
    /// Answers of participants that were taken.
    pub quiz_answers: Count,
    /// Requests for a socket of labs that were refused before the upgrade.
    pub labs_denials: Count,
    /// Bytes of screens that viewers and agents of this shard were brought, without any header.
    pub labs_bytes: Count,
    /// How often a viewer was not read for a while, because its agent took nothing.
    pub labs_pauses: Count,
    /// Messages read, of any kind.
    pub messages: Count,
    /// Protocol errors of peers (closed with 1002, 1007 or 1009).
    pub protocol_errors: Count,
    /// WebSockets that ended with a Close, in the order of [`Ending::ALL`]. Presence's own errors, whose Close has no code, are not among
    /// them.
    pub endings: [Count; Ending::ALL.len()],
    /// Frames published to topics, once for each listener that had to get them: in the end delivered or dropped.
    pub offered: Count,
    /// Frames published to topics and handed to the socket of a listener.
    pub delivered: Count,
    /// Frames published to topics that a listener did not get: it read too slowly.
    pub dropped_slow: Count,
    /// Frames published to topics that a listener did not get: its connection ended first.
    pub dropped_gone: Count,
    /// Frames published to topics that found a listener gone whose end the home had not heard of yet.
    pub dropped_absent: Count,
    /// Frames published to topics of states that a listener did not get: a newer state took their place.
    pub superseded: Count,
    /// Connections closed because they read too slowly.
    pub slow_readers: Count,
    /// Letters sent to other shards.
    pub letters: Count,
    /// Level: connections of any kind, in any state.
    pub connections: Count,
    /// Level: presence sessions that are signed in.
    pub presence_live: Count,
    /// Level: rooms whose home is here.
    pub rooms: Count,
    /// Level: members over those rooms.
    pub members: Count,
    /// Level: sign-ins that wait for the store.
    pub entering: Count,
    /// Level: owners who are connected.
    pub quiz_owners: Count,
    /// Level: participants who are connected.
    pub quiz_participants: Count,
    /// Level: channels of quizzes that these owners listen to, each once for each of them.
    pub quiz_watching: Count,
    /// Level: quizzes in memory whose home is here.
    pub quizzes: Count,
    /// Level: attempts that run, over those quizzes.
    pub attempts: Count,
    /// Level: changes of those quizzes that are being written.
    pub quiz_writing: Count,
    /// Level: REST asks that wait at those quizzes' homes.
    pub quiz_waiting: Count,
    /// Level: agents whose sockets are here.
    pub labs_agents: Count,
    /// Level: viewers whose sockets are here.
    pub labs_viewers: Count,
    /// Level: those who follow logs and whose sockets are here.
    pub labs_followers: Count,
    /// Level: requests that wait for a record of labs on this shard.
    pub labs_keeping: Count,
    /// Level: windows of limits that have their home here.
    pub labs_windows: Count,
    /// Level: tokens that are known as revoked: the same on each shard.
    pub labs_revoked: Count,
    /// Level, of the registry's home alone: agents that are known.
    pub registry_agents: Count,
    /// Level: those that are online.
    pub registry_online: Count,
    /// Level: sessions that are not over.
    pub registry_sessions: Count,
    /// Level: those in each state, in the order of [`State::ALL`].
    pub registry_states: [Count; State::ALL.len()],
    /// Level: those that have a place at an agent.
    pub registry_places: Count,
    /// Level: commands without a result.
    pub registry_commands: Count,
    /// Level: sessions that are watched.
    pub registry_viewers: Count,
    /// Level: REST asks that wait.
    pub registry_waiting: Count,
    /// Level: records on their way to disk.
    pub registry_writing: Count,
    /// Agents that were turned away, since as many are known as may be.
    pub registry_turned_away: Count,
    /// Messages that were said on sockets of chat.
    pub chat_messages: Count,
    /// Answers of agents that ended and were waited for over HTTP.
    pub chat_ends: Count,
    /// Level: sockets of chat.
    pub chat_sockets: Count,
    /// Level: REST asks that follow an answer.
    pub chat_followers: Count,
    /// Level: sessions with agents in memory whose home is here.
    pub chat_sessions: Count,
    /// Level: answers that run in those.
    pub chat_answers: Count,
    /// Level: approvals in those that nobody has decided.
    pub chat_approvals: Count,
    /// Level: changes of those on their way to disk.
    pub chat_writing: Count,
    /// Requests for a socket of tasks that were refused before the upgrade.
    pub tasks_denials: Count,
    /// Level: sockets of tasks.
    pub tasks_sockets: Count,
    /// Level: sockets of tasks, on any shard, of the users whose home is here.
    pub tasks_counted: Count,
    /// Level: tasks in memory whose home is here.
    pub tasks_known: Count,
    /// Level: executions of workflows in memory whose home is here.
    pub tasks_executions: Count,
    /// Level: tasks and steps of those that run.
    pub tasks_running: Count,
    /// Level: tasks and steps of those that wait for their turn.
    pub tasks_waiting: Count,
    /// Level: changes of those on their way to disk.
    pub tasks_writing: Count,
    /// Level: answers of the built-in agent that are played here.
    pub models_played: Count,
    /// Level: models and tools behind HTTP that were asked from here.
    pub models_asked: Count,
    /// Level: timers set.
    pub timers: Count,
    /// Level: topics, and channels of tasks, with listeners here.
    pub topics: Count,
}

impl Counters {
    /// Somebody ran into this.
    pub fn bounded(&self, bound: Bound) {
        if let Some(count) = Bound::ALL.iter().position(|own| *own == bound).and_then(|place| self.bounds.get(place)) {
            count.one();
        }
    }

    /// A WebSocket has ended so.
    pub fn ended(&self, ending: Ending) {
        self.endings[ending.place()].one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_ending_is_counted_in_its_own_place() {
        let counters = Counters::default();
        Ending::ALL.into_iter().for_each(|ending| counters.ended(ending));
        assert!(counters.endings.iter().all(|count| count.read() == 1));
        counters.ended(Ending::Code(4401));
        assert_eq!(counters.endings.last().map(Count::read), Some(2), "a code that is not told apart");
        assert_eq!(Ending::ALL.map(Ending::label).into_iter().collect::<BTreeSet<_>>().len(), Ending::ALL.len());
    }
}
