//! A store of labs: what is on disk.

use crate::protocols::labs::{
    model::{Agent, Command, Progress, Session, State},
    record::{Change, Kept, Loaded, Record},
};
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Clone, Default)]
pub(super) struct Shelf {
    pub(super) agents: BTreeMap<Uuid, Agent>,
    pub(super) sessions: BTreeMap<Uuid, Session>,
    pub(super) commands: BTreeMap<Uuid, Command>,
}

pub(super) fn is_open(command: &Command) -> bool {
    !matches!(command.progress, Progress::Completed | Progress::Failed)
}

impl Shelf {
    pub(super) fn keep(&mut self, record: &Record) -> Kept {
        match record {
            Record::Change(change) => self.change(change),
            Record::NoAgent { agent } => match self.agents.remove(agent) {
                Some(row) => {
                    let is_left =
                        |session: &Session| session.state != State::Terminated && session.agent.as_ref() == Some(&row.name);
                    assert!(!self.sessions.values().any(is_left), "a session without its agent: {}", row.name);
                    Kept::Done
                }
                None => Kept::Missing,
            },
            Record::Activity { session, at } => match self.sessions.get_mut(session) {
                Some(row) => {
                    row.last_activity = row.last_activity.max(Some(*at));
                    Kept::Done
                }
                None => Kept::Missing,
            },
            other => panic!("the registry writes no such thing: {other:?}"),
        }
    }

    fn change(&mut self, change: &Change) -> Kept {
        let Change { agent, session, command } = change.clone();
        if let Some(session) = &session
            && self.sessions.values().any(|other| other.id != session.id && other.name == session.name)
        {
            return Kept::Taken;
        }
        self.agents.extend(agent.map(|agent| (agent.id, agent)));
        self.sessions.extend(session.map(|session| (session.id, session)));
        if let Some(command) = command {
            let before = self.commands.insert(command.id, command.clone());
            assert!(before.is_none_or(|before| is_open(&before)), "a command that is over begins again: {command:?}");
            let about = command.session;
            let open: Vec<_> = self.commands.values().filter(|command| command.session == about && is_open(command)).collect();
            assert!(open.len() <= 1, "two open commands: {open:?}");
        }
        Kept::Done
    }

    pub(super) fn loaded(&self) -> Loaded {
        Loaded {
            agents: self.agents.values().cloned().collect(),
            sessions: self.sessions.values().filter(|session| session.state != State::Terminated).cloned().collect(),
            commands: self.commands.values().filter(|command| is_open(command)).cloned().collect(),
            standings: Vec::new(),
        }
    }
}
