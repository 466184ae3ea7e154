//! What is on disk, kept a second time and by other means, and what must hold of it at every moment.

use homeroom::{
    protocols::labs::{
        AgentName, CommandId, SessionId,
        dialect::command_name,
        model::{Command, Progress, Session, State},
        record::{Change, Record},
    },
    realtime::UnixMicros,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    /// Every state that a session was in, and since when.
    pub(crate) history: BTreeMap<SessionId, Vec<(State, UnixMicros)>>,
    pub(crate) commands: BTreeMap<CommandId, Command>,
    pub(crate) by_name: BTreeMap<String, CommandId>,
    pub(crate) agents: BTreeMap<Uuid, AgentName>,
    pub(crate) revoked: BTreeSet<Uuid>,
    /// The places of each agent, by name.
    pub(crate) places: BTreeMap<&'static str, usize>,
}

pub(crate) fn is_open(command: &Command) -> bool {
    match command.progress {
        Progress::Pending | Progress::Sent | Progress::Acknowledged => true,
        Progress::Completed | Progress::Failed => false,
    }
}

/// Whether a session is on its way to somewhere.
pub(crate) fn is_passing(state: State) -> bool {
    match state {
        State::Pending | State::Hibernating | State::Waking | State::Terminating => true,
        State::Running | State::Hibernated | State::Terminated | State::Failed => false,
    }
}

/// Whether a session has a place at its agent for certain.
fn has_place(state: State) -> bool {
    match state {
        State::Pending | State::Running | State::Hibernating | State::Waking => true,
        State::Hibernated | State::Terminating | State::Terminated | State::Failed => false,
    }
}

impl Book {
    /// A record is on disk from now on.
    pub(crate) fn write(&mut self, record: &Record) {
        match record {
            Record::Change(change) => self.change(change),
            Record::NoAgent { agent } => self.no_agent(*agent),
            Record::Revoked { token, .. } => _ = self.revoked.insert(*token),
            Record::Activity { session, at } => {
                if let Some(row) = self.sessions.get_mut(session) {
                    row.last_activity = row.last_activity.max(Some(*at));
                }
            }
            Record::NewUser { .. } | Record::EditedUser { .. } | Record::Template { .. } | Record::NoTemplate { .. } => {}
        }
    }

    /// An agent is forgotten: nothing that is not over is its own.
    fn no_agent(&mut self, agent: Uuid) {
        let Some(name) = self.agents.remove(&agent) else { return };
        let mut left = self.sessions.values().filter(|row| row.state != State::Terminated && row.agent.as_ref() == Some(&name));
        assert!(left.next().is_none(), "{name} is forgotten, and has sessions");
    }

    /// Whether an agent is in the records.
    pub(crate) fn has_agent(&self, name: &str) -> bool {
        self.agents.values().any(|own| **own == *name)
    }

    fn change(&mut self, change: &Change) {
        let Change { agent, session, command } = change.clone();
        self.agents.extend(agent.map(|agent| (agent.id, agent.name)));
        if let Some(command) = command {
            self.by_name.insert(command_name(command.id), command.id);
            let before = self.commands.insert(command.id, command.clone());
            assert!(before.is_none_or(|before| is_open(&before)), "a command that is over begins again: {command:?}");
            let open = self.commands.values().filter(|other| other.session == command.session && is_open(other));
            let open: Vec<_> = open.collect();
            assert!(open.len() <= 1, "two open commands for one session: {open:?}");
        }
        if let Some(session) = session {
            let history = self.history.entry(session.id).or_default();
            let before = history.last().map(|(state, _)| *state);
            assert!(before != Some(State::Terminated), "a session that is over goes on: {session:?}");
            history.push((session.state, session.updated_at));
            let agent = session.agent.clone();
            self.sessions.insert(session.id, session);
            self.check_places(agent);
        }
    }

    fn check_places(&self, agent: Option<AgentName>) {
        let Some(agent) = agent else { return };
        let taken = self.sessions.values().filter(|row| row.agent.as_ref() == Some(&agent) && has_place(row.state)).count();
        let places = self.places[&*agent];
        assert!(taken <= places, "{agent} has {places} places, and {taken} sessions have one");
    }

    /// The command with this name on the wire.
    pub(crate) fn named(&self, name: &str) -> Option<&Command> {
        self.commands.get(self.by_name.get(name)?)
    }

    pub(crate) fn state(&self, session: SessionId) -> Option<State> {
        self.sessions.get(&session).map(|row| row.state)
    }

    /// Whether a session ever was so.
    pub(crate) fn was(&self, session: SessionId, state: State, at: UnixMicros) -> bool {
        self.history.get(&session).is_some_and(|history| history.contains(&(state, at)))
    }
}
