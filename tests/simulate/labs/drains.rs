//! Agents that drain: whoever asked for that and was told so, meets no new session there.

use super::world::{Labs, NAMES};
use homeroom::{
    protocols::labs::{
        asks::{AgentView, Ask},
        model::Session,
    },
    store::{LabsLibrary, Mood},
};

/// What is known of one agent's draining.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Drain {
    /// How often somebody asked for something that may change it.
    changes: u64,
    /// It drains for certain, as long as there are no more of these.
    certain: Option<u64>,
}

/// Agents, each with how often its draining might have changed when something was asked.
pub(crate) type Drains = Vec<(usize, u64)>;

impl Labs {
    /// Before something is asked: whose draining that may change, or, of a new session, who drains for certain.
    pub(crate) fn drains_of(&mut self, ask: &Ask) -> Drains {
        match ask {
            Ask::Drain { agent, .. } | Ask::Forget { agent } => self.may_drain(agent),
            Ask::Create(_) => {
                let certain = self.drains.iter().enumerate().filter(|(_, drain)| drain.certain == Some(drain.changes));
                certain.map(|(which, drain)| (which, drain.changes)).collect()
            }
            Ask::Keep(_)
            | Ask::Limit { .. }
            | Ask::Move { .. }
            | Ask::Look { .. }
            | Ask::Logs { .. }
            | Ask::Agents
            | Ask::Enrol(_)
            | Ask::Pulse { .. } => Vec::new(),
        }
    }

    /// Whether an agent drains is not certain from now on.
    pub(crate) fn may_drain(&mut self, name: &str) -> Drains {
        let Some(which) = NAMES.iter().position(|own| *own == name) else { return Vec::new() };
        self.drains[which].changes += 1;
        vec![(which, self.drains[which].changes)]
    }

    /// Somebody was told that an agent drains.
    pub(crate) fn drains_now(&mut self, asked: &Drains) {
        for (which, changes) in asked {
            self.drains[*which].certain = Some(*changes);
        }
    }

    /// A new session is not at an agent that drained when it was asked for, and does still.
    pub(crate) fn check_new_session(&mut self, row: &Session, asked: &Drains) {
        for (which, changes) in asked {
            let drains = self.drains[*which].changes == *changes;
            assert!(!drains || row.agent.as_deref() != Some(NAMES[*which]), "{} drains, and gets {row:?}", NAMES[*which]);
        }
        if !asked.is_empty() {
            self.count("sessions beside agents that drain");
        }
    }

    /// When all is quiet: what is shown of agents is what is on disk.
    pub(crate) fn check_agents(&self, views: &[AgentView]) {
        self.outside.store.be(Mood::Prompt);
        let agents = self.outside.store.labs().expect("the store can be read").agents;
        self.outside.hang();
        for view in views {
            let kept = agents.iter().find(|agent| agent.id == view.agent.id);
            let kept = kept.unwrap_or_else(|| panic!("{} is shown, and is not on disk", view.agent.name));
            assert_eq!(view.agent.draining, kept.draining, "whether {} drains", view.agent.name);
        }
    }
}
