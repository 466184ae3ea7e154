//! What of a connection another process must know to go on with it: who it is, what it hears, and what it may still say. Tasks are on disk.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{
    connection::{Connection, State},
    letters::{Channel, ToUser},
    model::Caller,
    subscriptions::{Carried, Subscriptions},
};
use crate::realtime::{ConnId, Moment};
use std::{collections::VecDeque, time::Duration};
use uuid::Uuid;

/// See the file. Times are in microseconds.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Carriage {
    caller: Caller,
    client: Uuid,
    subscriptions: Carried,
    /// It waits for a home's answer, which it will not hear: it has to come again.
    is_owed: bool,
    /// Until messages are counted anew, and how many there were since they last were.
    window: u64,
    messages: u32,
    /// Since it last said something.
    silent: u64,
    pinged: u32,
    next_ping: u64,
    next_status: Option<u64>,
}

impl Carriage {
    /// What the home of its user must hear before anybody else does.
    pub fn letter(&self, conn: ConnId) -> ToUser {
        ToUser::Move { conn, user: self.caller.user.clone() }
    }

    /// What it listens to.
    pub fn channels(&self) -> impl Iterator<Item = Channel> {
        let tasks = self.subscriptions.has_tasks().then(|| Channel::of(&self.caller));
        let status = self.subscriptions.has_status().then_some(Channel::Status);
        tasks.into_iter().chain(status)
    }

    /// Whether it cannot have heard all that it was to hear. `is_whole`: whether nothing was on its way to disk when it was left.
    pub fn has_missed(&self, is_whole: bool) -> bool {
        self.is_owed || !is_whole && self.subscriptions.has_tasks()
    }
}

impl Connection {
    /// What another process goes on with. None: it is over, or not counted yet.
    pub fn carriage(&self, now: Moment) -> Option<Carriage> {
        match &self.state {
            State::Here => {}
            State::Counting(_) | State::Refused | State::Ending | State::Over => return None,
        }
        Some(Carriage {
            caller: self.caller.clone(),
            client: self.client,
            subscriptions: self.subscriptions.carried(),
            is_owed: !self.owed.is_empty(),
            window: micros(self.window.since(now)),
            messages: self.messages,
            silent: micros(now.since(self.active)),
            pinged: self.pinged,
            next_ping: micros(self.next_ping.since(now)),
            next_status: self.next_status.map(|at| micros(at.since(now))),
        })
    }

    /// Goes on where another process stopped; the home of its user is told [`Carriage::letter`], and it listens to [`Carriage::channels`].
    pub fn carried(carriage: Carriage, now: Moment) -> Connection {
        let Carriage { caller, client, subscriptions, window, messages, silent, pinged, next_ping, next_status, .. } = carriage;
        let after = |micros| now + Duration::from_micros(micros);
        Connection {
            caller,
            client,
            state: State::Here,
            is_listening: subscriptions.has_tasks(),
            subscriptions: Subscriptions::again(subscriptions),
            owed: VecDeque::new(),
            window: after(window),
            messages,
            active: now - Duration::from_micros(silent),
            pinged,
            next_ping: after(next_ping),
            next_status: next_status.map(after),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
