//! What a shard tells of sign-ins as spans: from the accept of a connection to the word that he is in, or is not. Of what is published
//! nothing.

use super::{
    Engine, RunId, SocketApi, audit,
    connection::{Connection, Opening, Phase},
};
use crate::{
    realtime::{ConnId, Now, table::Key},
    traces::{Context, Sampler, Span},
    websocket::upgrade,
};
use uuid::Uuid;

/// Of W3C's Trace Context.
const TRACEPARENT: &str = "traceparent";

impl Engine {
    /// From now on sign-ins are told of. `seed` is random, and the same for no two processes.
    pub fn begin_traces(&mut self, sampler: Option<Sampler>, seed: u64) {
        self.sign_ins.begin(sampler, seed, self.id.local());
    }

    /// Hands over the spans that have ended since this was last called.
    pub fn take_spans(&mut self, take: impl FnMut(Span)) {
        self.sign_ins.take(take);
    }

    /// The sign-in of a connection, while it is under way.
    pub fn sign_in_of(&self, conn: ConnId) -> Option<Context> {
        self.sign_ins.context(conn.slot)
    }

    /// For whose sake a model or a tool is asked: the id of the answer in a session, of the task or of the execution.
    pub fn asked_by(&self, run: RunId) -> Option<Uuid> {
        self.models.asked_by(run)
    }

    /// Somebody asks for a socket of this API, in this head.
    pub(super) fn trace_upgrade(&mut self, key: Key, api: SocketApi, head: &[u8], now: Now) {
        if !self.sign_ins.is_on() || api == SocketApi::Echo {
            return;
        }
        let since = match self.connections.at(key) {
            Some(Connection { phase: Phase::Head(Opening { since, .. }), .. }) => *since,
            Some(_) | None => None,
        };
        let header = upgrade::header_of(head, TRACEPARENT);
        self.sign_ins.open(key.slot, audit::api(api), since, header, now);
    }
}
