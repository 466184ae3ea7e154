//! One session at this host.

use super::{
    Fault,
    orders::{Action, Order, Wanted},
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A process, told from any later one with its number by when it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it began, in clock ticks since the machine did (`/proc/<pid>/stat`, field 22).
    pub began: u64,
}

/// Where a screen is reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Screen {
    /// An address with a port.
    Tcp(String),
    /// The path of a socket.
    Unix(String),
}

/// A run that shows its screen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seat {
    /// What serves the screen; the session lives as long as it does.
    pub process: Process,
    /// Where.
    pub screen: Screen,
    /// The number that stands for its ports and its display.
    pub port: u16,
    /// RFC 3339.
    pub started_at: String,
}

/// Which kind of command is being carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    Start,
    Wake,
    Hibernate,
    Stop,
}

/// A command that is being carried out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Doing {
    pub(super) command: String,
    pub(super) task: Task,
}

impl From<Order> for Doing {
    fn from(order: Order) -> Doing {
        let task = match order.action {
            Action::Start(_) => Task::Start,
            Action::Wake => Task::Wake,
            Action::Hibernate => Task::Hibernate,
            Action::Stop { .. } => Task::Stop,
        };
        Doing { command: order.command, task }
    }
}

/// How far a session is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Its processes were started; no screen yet.
    Starting { run: u64, order: Doing },
    /// It shows its screen.
    Running { run: u64, seat: Seat },
    /// Its processes are being ended, and then it sleeps or is over.
    Stopping { order: Doing },
    /// It has no processes.
    Asleep,
    /// It ended by itself, and waits to be stopped, or started again.
    Dead(Fault),
}

impl Stage {
    /// The run that it is about.
    pub(super) fn run(&self) -> Option<u64> {
        match self {
            Stage::Starting { run, .. } | Stage::Running { run, .. } => Some(*run),
            Stage::Stopping { .. } | Stage::Asleep | Stage::Dead(_) => None,
        }
    }
}

/// See the file.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) wanted: Wanted,
    pub(super) stage: Stage,
    /// What is looked at when the present command is done.
    pub(super) waiting: VecDeque<Order>,
}

impl Desk {
    pub(super) fn new(wanted: Wanted) -> Desk {
        Desk { wanted, stage: Stage::Asleep, waiting: VecDeque::new() }
    }

    /// Whether it counts against what the host may run.
    pub(super) fn takes_place(&self) -> bool {
        match self.stage {
            Stage::Starting { .. } | Stage::Running { .. } | Stage::Stopping { .. } => true,
            Stage::Asleep | Stage::Dead(_) => false,
        }
    }

    /// Whether this command is being carried out, or waits for it.
    pub(super) fn knows(&self, command: &str) -> bool {
        let is_done_now = match &self.stage {
            Stage::Starting { order, .. } | Stage::Stopping { order } => order.command == command,
            Stage::Running { .. } | Stage::Asleep | Stage::Dead(_) => false,
        };
        is_done_now || self.waiting.iter().any(|order| order.command == command)
    }
}
