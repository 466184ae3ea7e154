//! What is written down, so that an agent that begins anew finds its sessions again.

use super::{
    Desks, Effect, Fault, Process, Rules, Wanted,
    desk::{Desk, Stage},
    done::Done,
};
use crate::protocols::labs::SessionId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Every desk, and what was done. Its form is the state file's.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// In which run of the machine the processes were.
    pub boot: String,
    desks: BTreeMap<SessionId, Kept>,
    done: Done,
    runs: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Kept {
    wanted: Wanted,
    stage: Stage,
}

impl Desks {
    /// As it is now. What waits at a desk is not in it: the control plane sends it again.
    pub fn record(&self, boot: &str) -> Record {
        let kept = |desk: &Desk| Kept { wanted: desk.wanted.clone(), stage: desk.stage.clone() };
        Record {
            boot: boot.to_owned(),
            desks: self.desks.iter().map(|(session, desk)| (*session, kept(desk))).collect(),
            done: self.done.clone(),
            runs: self.runs,
        }
    }

    /// A host as it was left. `is_alive` says whether a process is still there; what else a session had running is to be ended before.
    pub fn restored(rules: Rules, record: Record, is_alive: impl Fn(Process) -> bool, out: &mut Vec<Effect>) -> Desks {
        let mut desks = Desks { done: record.done, runs: record.runs, ..Desks::new(rules) };
        let grace = desks.rules.stop_timeout;
        for (session, Kept { wanted, stage }) in record.desks {
            let stage = match stage {
                Stage::Running { run, seat } if is_alive(seat.process) => {
                    out.push(Effect::Watch { session, run, wanted: Box::new(wanted.clone()), seat: seat.clone() });
                    Stage::Running { run, seat }
                }
                Stage::Running { .. } => Stage::Dead(Fault::new("SESSION_DIED", "The session ended while the agent was away")),
                // Its command comes again.
                Stage::Starting { .. } => Stage::Dead(Fault::new("START_FAILED", "The agent ended while the session started")),
                Stage::Stopping { order } => {
                    out.push(Effect::Stop { session, grace });
                    Stage::Stopping { order }
                }
                Stage::Asleep => Stage::Asleep,
                Stage::Dead(fault) => Stage::Dead(fault),
            };
            desks.desks.insert(session, Desk { wanted, stage, waiting: VecDeque::new() });
        }
        out.push(Effect::Keep);
        desks
    }
}
