//! A session as its viewer sees it.

use super::{
    Lab, Whose,
    order::{Between, LabOrder, Role},
    pace::Flow,
    socket::{Phase, Socket},
    stream::Echoes,
};
use crate::{clock, fault::Fault, tally::Measure, wire::poll::Lines};
use uuid::Uuid;

/// One session, and the place for its viewer.
pub(super) struct Session {
    /// The run's number of it.
    pub(super) number: u32,
    /// The place of its agent.
    pub(super) agent: u32,
    pub(super) role: Role,
    pub(super) id: Option<Uuid>,
    pub(super) tunnel: Option<u32>,
    pub(super) socket: Socket,
    pub(super) down: Flow,
    pub(super) up: Flow,
    /// Keys pressed, and what comes back of them.
    pub(super) pressed: u64,
    pub(super) echoes: Echoes,
    /// Bytes that the agent gave back, and those it has not given credit for.
    pub(super) echoed: u64,
    pub(super) given: u32,
    /// When the viewer began to connect; none: it watches, or is not there.
    connecting_ns: Option<u64>,
}

impl Session {
    /// One that nobody watches.
    pub(super) fn new(number: u32, agent: u32, order: &LabOrder) -> Session {
        let key = order.key(number);
        Session {
            number,
            agent,
            role: order.role(number),
            id: None,
            tunnel: None,
            socket: Socket::default(),
            down: Flow::new(key),
            up: Flow::new(!key),
            pressed: 0,
            echoes: Echoes::default(),
            echoed: 0,
            given: 0,
            connecting_ns: None,
        }
    }
}

impl Lab {
    pub(super) fn viewer_path(&self, place: u32) -> String {
        let Session { id, number, .. } = &self.sessions[place as usize];
        let base = &self.order.target.path;
        match (self.order.between, id) {
            (Between::Server, id) => {
                let (id, token) = (id.unwrap_or_default(), &self.order.token.0);
                format!("{base}/vnc-viewer/{id}?token={token}")
            }
            (Between::Relay, _) => format!("{base}/vnc-viewer/{}-{number}", number % self.order.agents),
            (Between::Tcp(_), _) => format!("{base}/"),
        }
    }

    /// A viewer connects now.
    pub(super) fn begin_watch(&mut self, place: u32) {
        self.sessions[place as usize].connecting_ns = Some(clock::now_ns());
    }

    /// A viewer's socket is over.
    pub(super) fn end_watch(&mut self, place: u32) {
        let waited = self.sessions[place as usize].connecting_ns.take();
        self.under_way -= u32::from(waited.is_some());
    }

    pub(super) fn viewer_upgraded(&mut self, place: u32, now_ns: u64) {
        let session = &mut self.sessions[place as usize];
        session.socket.phase = Phase::Open;
        let number = session.number;
        self.await_next(Whose::Viewer(place), "tunnel");
        if self.order.between == Between::Relay {
            return self.bind(place, number, None);
        }
        self.watch_if_whole(place, now_ns);
    }

    /// Both ends stand: the viewer watches.
    pub(super) fn watch_if_whole(&mut self, place: u32, now_ns: u64) {
        let session = &mut self.sessions[place as usize];
        let (Phase::Open, Some(_), Some(from_ns)) = (session.socket.phase, session.tunnel, session.connecting_ns) else { return };
        session.connecting_ns = None;
        session.socket.line.rest_assured();
        self.under_way -= 1;
        self.tally.lab.watching += 1;
        self.tally.record(Measure::Watch, now_ns.saturating_sub(from_ns));
    }

    /// Bytes of an agent come to a viewer.
    pub(super) fn viewer_bytes(&mut self, place: u32, bytes: &[u8], now_ns: u64) -> Result<(), Fault> {
        let session = &mut self.sessions[place as usize];
        let (tally, pattern) = (&mut self.tally, &self.pattern);
        let holds = match session.role {
            Role::Bulk => {
                tally.lab.down_heard += bytes.len() as u64;
                session.down.proof.hear(pattern, session.down.key, bytes)
            }
            Role::Typist => session.echoes.hear(bytes, |intended_ns| {
                tally.lab.keys_heard += 1;
                tally.record(Measure::Key, now_ns.saturating_sub(intended_ns));
            }),
            Role::Idle => false,
        };
        self.tally.streaming.hold(now_ns);
        self.tally.lab.broken += u64::from(!holds);
        if holds { Ok(()) } else { Err(Fault::Broken("bytes that the agent did not send")) }
    }
}
