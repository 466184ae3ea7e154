//! One session as the registry knows it: its row, its command, and who waits for what.

use super::{
    asks::{Creation, Target},
    desk::Asking,
    dialect, idle,
    model::{Action, Command, Place, ProxyId, Session},
};
use crate::realtime::{ConnId, Moment, TimerId};
use std::{collections::VecDeque, time::Duration};

/// Something that may change a session. They are decided one after the other, each against what is on disk.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Job {
    /// It begins. So many of the names were taken.
    Create { asking: Asking, creation: Box<Creation>, taken: usize },
    /// Somebody asks it to become something.
    Move { asking: Asking, to: Target },
    /// What was asked while something else was under way.
    Afterwards(Target),
    /// Its agent has done a command, or not.
    Result { command: u64, result: Result<Box<Place>, String> },
    /// Its agent says how it is.
    Status { conn: ConnId, running: bool, place: Box<Place> },
    /// Its command had no result for too long; none: there is none, though there should be.
    Overdue { command: Option<u64> },
    /// It is to be stopped: what was under way has been given up, or its agent failed to stop it.
    Stop,
    /// Nobody has done anything in it for long.
    Idle,
}

/// A change on its way to disk, and why.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Write {
    /// The whole row; none: it stays.
    pub(super) session: Option<Box<Session>>,
    /// The command that is new or done; none: there is no other.
    pub(super) command: Option<Command>,
    pub(super) job: Job,
}

/// Who watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Viewer {
    pub(super) conn: ConnId,
    pub(super) proxy: ProxyId,
    /// Whether the agent is known to have heard of the tunnel, or to hear of it.
    pub(super) is_certain: bool,
}

/// The times of a session.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Timers {
    pub(super) idle: Option<TimerId>,
    pub(super) overdue: Option<TimerId>,
    pub(super) stop_again: Option<TimerId>,
    pub(super) retry: Option<TimerId>,
}

/// See the file.
pub(super) struct Desktop {
    /// As it is on disk.
    pub(super) row: Session,
    /// Whether it is on disk at all.
    pub(super) known: bool,
    /// Its agent; none: the store names one that it has not.
    pub(super) host: Option<u32>,
    /// Its one command that has no result.
    pub(super) open: Option<Command>,
    /// Whether it has a place at its agent, or one is kept for it.
    pub(super) has_place: bool,
    pub(super) writing: Option<Box<Write>>,
    pub(super) queue: VecDeque<Job>,
    /// Requests that wait for the agent, and what they asked for.
    pub(super) waiters: Vec<(Asking, Target)>,
    /// What it is to become when what is under way is done.
    pub(super) afterwards: Option<Target>,
    pub(super) viewer: Option<Viewer>,
    pub(super) timers: Timers,
    /// How long it stays awake when nobody does anything; none: always.
    pub(super) idle_timeout: Option<Duration>,
    /// When somebody last did something.
    pub(super) active: Moment,
}

impl Desktop {
    pub(super) fn new(row: Session, host: Option<u32>, known: bool, active: Moment) -> Desktop {
        Desktop {
            known,
            host,
            open: None,
            has_place: false,
            writing: None,
            queue: VecDeque::new(),
            waiters: Vec::new(),
            afterwards: None,
            viewer: None,
            timers: Timers::default(),
            idle_timeout: idle::parse(&row.idle_timeout).filter(|timeout| !timeout.is_zero()),
            active,
            row,
        }
    }

    /// The number and action of its open command.
    pub(super) fn under_way(&self) -> Option<(u64, Action)> {
        self.open.as_ref().map(|command| (dialect::command_number(command.id), command.action))
    }

    /// Whether a result of this command is looked at already.
    pub(super) fn has_result(&self, number: u64) -> bool {
        let is_result = |job: &Job| matches!(job, Job::Result { command, .. } if *command == number);
        self.queue.iter().any(is_result) || self.writing.as_ref().is_some_and(|write| is_result(&write.job))
    }
}

/// What is known of where a session runs, with what its agent says now.
pub(super) fn merged(before: &Place, said: Place) -> Place {
    let Place { pod_ip, pod_name, container_id, vnc_port, started_at, metadata } = before.clone();
    Place {
        pod_ip: said.pod_ip.or(pod_ip),
        pod_name: said.pod_name.or(pod_name),
        container_id: said.container_id.or(container_id),
        vnc_port: said.vnc_port.or(vnc_port),
        started_at: said.started_at.or(started_at),
        metadata: said.metadata.or(metadata),
    }
}
