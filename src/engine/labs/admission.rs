//! Labs, before the upgrade: who comes by which right, and how the others are refused. The upgrade of a viewer, and of an agent of the
//! second dialect, is held until the registry has spoken; what is read meanwhile waits, bounded by the time of the machine and by what a
//! head and one message may have.

use super::{
    super::{Connection, Engine, Phase, SocketApi},
    seat::{Machine, Seat},
    unheard::Unheard,
};
use crate::{
    auth::{AgentKeyFault, UserFlaw},
    protocols::labs::{
        self, UserId,
        admission::{self, AgentQuery, Denial},
        letters::Dialect,
    },
    realtime::{Now, table::Key},
    websocket::{
        session,
        upgrade::{self, Body, Upgrade},
    },
};
use std::{borrow::Cow, sync::Arc};
use uuid::Uuid;

const AGENT_KEY: &str = "X-Agent-API-Key";
const AUTHORIZATION: &str = "Authorization";

/// A user as the registry knows them: the name, and whether everything is theirs.
type Named = (Arc<str>, bool);
/// By which token somebody is here, and whose that is.
type Right = (Uuid, UserId);

impl Engine {
    /// Somebody asks for a socket of labs, in a complete head. `name` is what the path names.
    pub(in crate::engine) fn admit_to_labs(
        &mut self,
        key: Key,
        (api, name): (SocketApi, &str),
        request: &Upgrade<'_>,
        read: &[u8],
        now: Now,
    ) {
        let admitted = match api {
            SocketApi::Agent => self.agent(read, admission::agent(request.query), request.query).map(|query| {
                self.open_agent(key, (Dialect::Contract, query), request, read, now);
            }),
            SocketApi::FieldAgent => self.agent(read, admission::agent_in_field(request.query), request.query).map(|query| {
                self.open_agent(key, (Dialect::Field, query), request, read, now);
            }),
            SocketApi::Viewer => self.admit_viewer(key, name, request.query, read, now),
            SocketApi::Follower => self.admit_follower(key, name, request.query, read, now),
            SocketApi::Presence | SocketApi::Quiz | SocketApi::Chat | SocketApi::Tasks | SocketApi::Echo => return,
        };
        if let Err(denial) = admitted {
            self.counters.labs_denials.one();
            self.hand_off(key, read, Some(denial), now);
        }
    }

    fn agent(&self, read: &[u8], agent: Result<AgentQuery, Denial>, query: Option<&str>) -> Result<AgentQuery, Denial> {
        let agent = agent?;
        if let Some(key) = &self.rules.labs_agents {
            let shown = match upgrade::header_of(read, AGENT_KEY) {
                Some(shown) => Some(Cow::Borrowed(shown)),
                None => admission::agent_key(query)?,
            };
            key.admits(shown.as_deref()).map_err(|fault| match fault {
                AgentKeyFault::Missing => Denial::NoKey,
                AgentKeyFault::Wrong => Denial::BadKey,
            })?;
        }
        Ok(agent)
    }

    fn admit_viewer(&mut self, key: Key, name: &str, query: Option<&str>, read: &[u8], now: Now) -> Result<(), Denial> {
        let bearer = upgrade::header_of(read, AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let query = admission::viewer(name, query, bearer)?;
        let (user, right) = self.user(&query.token, now)?;
        self.claim_labs(key, right)?;
        let conn = self.conn_id(key);
        let settings = &self.rules.labs;
        let machine = labs::Viewer::new((query.session, conn), user, now, settings, &mut self.labs.effects);
        let message = settings.tunnel_window / 4;
        // What an agent may have sent, what came before the viewer did, and their headers.
        let bound = settings.tunnel_window * 2 + settings.early_bytes + self.limits.outbox_bytes;
        let seat = Seat::new(Machine::Viewer(machine), session::Limits { frame: message, message }, bound);
        self.labs.present.viewers += 1;
        self.output.bulk.push(conn);
        self.seat_held(key, seat, right, read, now);
        Ok(())
    }

    fn admit_follower(&mut self, key: Key, name: &str, query: Option<&str>, read: &[u8], now: Now) -> Result<(), Denial> {
        let query = admission::follower(name, query, upgrade::header_of(read, AUTHORIZATION))?;
        let (user, right) = self.user(&query.token, now)?;
        let (session, wish) = query.wish?;
        self.claim_labs(key, right)?;
        let conn = self.conn_id(key);
        let settings = &self.rules.labs;
        let machine = labs::Follower::new((session, conn), user, wish, settings, &mut self.labs.effects);
        let bound = settings.tunnel_window + self.limits.outbox_bytes;
        let seat = Seat::new(Machine::Follower(machine), self.limits.websocket, bound);
        self.labs.present.followers += 1;
        self.seat_held(key, seat, right, read, now);
        Ok(())
    }

    /// Counts one more of a user.
    fn claim_labs(&mut self, key: Key, (_, user): Right) -> Result<(), Denial> {
        if self.claim(key, &("labs", user)) { Ok(()) } else { Err(Denial::Crowded) }
    }

    /// Whose token it is.
    fn user(&self, token: &str, now: Now) -> Result<(Named, Right), Denial> {
        if !self.labs.knows_rights() {
            return Err(Denial::Unavailable);
        }
        let claims = self.rules.labs_users.read(token, now.wall).map_err(|flaw| match flaw {
            UserFlaw::Invalid => Denial::BadToken,
            UserFlaw::Expired => Denial::OldToken,
        })?;
        if self.labs.revoked.has(claims.token) || self.labs.standings.is_barred(claims.user) {
            return Err(Denial::BadToken);
        }
        // The role as it is, not as it was when the token was issued.
        let admin = self.labs.standings.is_admin(claims.user);
        Ok(((claims.name.into(), admin), (claims.token, claims.user)))
    }

    fn open_agent(&mut self, key: Key, (dialect, query): (Dialect, AgentQuery), request: &Upgrade<'_>, read: &[u8], now: Now) {
        let (conn, who) = (self.conn_id(key), query.name.to_string());
        let machine = labs::Agent::new(dialect, query, conn, now, &self.rules.labs, &mut self.labs.effects);
        let mut seat = Seat::new(Machine::Agent(machine), self.limits.agent_websocket, self.limits.agent_outbox_bytes);
        match dialect {
            Dialect::Contract => {
                self.accept_upgrade(key, request, None);
                self.note_sign_in_of(key, "labs", who, now);
                seat.unheard = Unheard::of(&read[request.length..]);
            }
            // Its registration is the upgrade: who has not enrolled hears of it by the status.
            Dialect::Field => seat.held = Some(read.to_vec()),
        }
        self.labs.present.agents += 1;
        self.output.bulk.push(conn);
        self.seat(key, seat, now);
    }

    /// One whose upgrade is answered when the registry has spoken.
    fn seat_held(&mut self, key: Key, mut seat: Seat, (token, user): Right, read: &[u8], now: Now) {
        seat.held = Some(read.to_vec());
        seat.token = Some(token);
        seat.user = Some(user);
        self.labs.watchers.entry(token).or_default().push(key);
        self.seat(key, seat, now);
    }

    fn seat(&mut self, key: Key, seat: Seat, now: Now) {
        let Some(connection) = self.connections.at_mut(key) else { return };
        connection.phase = Phase::Labs(Box::new(seat));
        self.apply_labs(key, now);
        self.hear_unheard(key, now);
    }

    /// More bytes of one whose upgrade is not answered. False: of nobody such.
    pub(super) fn hold(&mut self, key: Key, bytes: &[u8], now: Now) -> bool {
        let bound = self.limits.door.head.bytes + self.limits.websocket.message;
        let Some(Connection { phase: Phase::Labs(seat), .. }) = self.connections.at_mut(key) else { return false };
        let Some(held) = &mut seat.held else { return false };
        if held.len() + bytes.len() > bound {
            self.cut(key, now);
        } else {
            held.extend_from_slice(bytes);
        }
        true
    }

    /// Answers an upgrade that was held. What came behind it is heard once the effects of this are done.
    pub(super) fn accept_held(&mut self, key: Key, now: Now) {
        let Some(Connection { phase: Phase::Labs(seat), .. }) = self.connections.at_mut(key) else { return };
        let Some(read) = seat.held.take() else { return };
        let Some(request) = upgrade::read_before(&read) else { return };
        seat.unheard = Unheard::of(&read[request.length..]);
        let protocol = admission::subprotocol(request.protocols.iter().copied());
        self.accept_upgrade(key, &request, protocol);
        self.note_sign_in(key, "labs", None, now);
    }

    /// Refuses one whose upgrade was held. REST tells it: there the request is counted, and its answer tells the limits.
    pub(super) fn refuse_held(&mut self, key: Key, denial: Denial, now: Now) {
        let Some(Connection { phase: Phase::Labs(seat), .. }) = self.connections.at_mut(key) else { return };
        let Some(read) = seat.held.take() else { return };
        self.counters.labs_denials.one();
        self.hand_off(key, &read, Some(denial), now);
    }

    /// Refuses one whose upgrade was held, because the process stops: nothing is counted any more.
    pub(super) fn refuse_at_stop(&mut self, key: Key, now: Now) {
        self.counters.labs_denials.one();
        let request_id = self.labs.ids.one().simple().to_string();
        let mut answer = Vec::new();
        let denial = Denial::Unavailable;
        upgrade::refuse(denial.status(), Body::Json(&denial.body(now.wall, &request_id)), &mut answer);
        self.send_wire(key, answer);
        self.part(key, false, now);
    }
}
