//! A registry that has moved, or has lost somebody's word: connections that come to it from the one before, and those that are no more.
//!
//! It knows from the store what was; its connections say what is. An agent's says which tunnels are open at its end, a viewer's which one
//! it watches through: one that only the viewer knows of will never show anything.

use super::{
    desk::Turn,
    desktop::Viewer,
    host::Link,
    letters::{FromRegistry, Return, ToRegistry, ViewOver},
    model::{AgentName, ProxyId, SessionId, State},
    registry::{Outcome, Registry},
};
use crate::realtime::{ConnId, NodeSlot, Now, ShardId};
use std::mem;

impl Registry {
    /// These connections are no more. Agents among them are offline, as when they leave.
    pub fn lose(&mut self, is_gone: &dyn Fn(ConnId) -> bool, now: Now, out: &mut Vec<Outcome>) {
        let t = &mut Turn { now, out };
        self.doubted.retain(|conn| !is_gone(*conn));
        let of_host = |host: &super::host::Host| {
            let name = AgentName::clone(&host.row.name);
            host.conns().filter(|conn| is_gone(*conn)).map(|conn| (conn, AgentName::clone(&name))).collect::<Vec<_>>()
        };
        let agents: Vec<_> = self.hosts.iter().flat_map(|(_, host)| of_host(host)).collect();
        let viewers = self.viewing().filter(|(conn, _)| is_gone(*conn)).collect::<Vec<_>>();
        let followers = self.following().filter(|(conn, _)| is_gone(*conn)).collect::<Vec<_>>();
        viewers.into_iter().for_each(|(conn, session)| self.viewer_gone(conn, session));
        followers.into_iter().for_each(|(conn, session)| self.follower_gone(conn, session));
        agents.into_iter().for_each(|(conn, name)| self.agent_gone(conn, &name, t));
    }

    /// Words of this node's connections may be lost, and words to them: whoever is still there says so before [`Registry::heard_all`].
    pub fn doubt(&mut self, node: NodeSlot) {
        let is_there = |conn: &ConnId| conn.shard.node() == node;
        let agents = self.hosts.iter().flat_map(|(_, host)| host.conns().collect::<Vec<_>>());
        let others = self.viewing().chain(self.following()).map(|(conn, _)| conn);
        let doubted: Vec<_> = agents.chain(others).filter(is_there).collect();
        self.doubted.extend(doubted);
        for (_, host) in self.hosts.iter().filter(|(_, host)| host.link.is_some_and(|link| is_there(&link.conn))) {
            for id in &host.sessions {
                if let Some(viewer) = self.desktops.get_mut(id).and_then(|desktop| desktop.viewer.as_mut()) {
                    viewer.is_certain = false;
                }
            }
        }
    }

    /// Whoever is there on this shard has said so.
    pub fn heard_all(&mut self, shard: ShardId, now: Now, out: &mut Vec<Outcome>) {
        let doubted = mem::take(&mut self.doubted);
        if !doubted.is_empty() {
            self.lose(&|conn| conn.shard == shard && doubted.contains(&conn), now, out);
            self.doubted = doubted.into_iter().filter(|conn| conn.shard != shard).collect();
        }
    }

    /// It is elsewhere from now on: whoever waits here for an answer is told that the store is busy.
    pub fn close(&mut self, now: Now, out: &mut Vec<Outcome>) {
        self.desk.refuse_all(&mut Turn { now, out });
    }

    /// Somebody who was doubted is there.
    pub(super) fn believe(&mut self, letter: &ToRegistry, conn: ConnId) {
        match letter {
            ToRegistry::Register { .. } | ToRegistry::Resume { .. } | ToRegistry::View { .. } => _ = self.doubted.remove(&conn),
            ToRegistry::Viewing { .. } | ToRegistry::Follow { .. } => _ = self.doubted.remove(&conn),
            ToRegistry::Said { .. } | ToRegistry::AgentGone { .. } | ToRegistry::ViewerGone { .. } => {}
            ToRegistry::FollowerGone { .. } | ToRegistry::Activity { .. } | ToRegistry::Ask { .. } => {}
        }
    }

    /// An agent that is registered says so again. It is told its open commands again: they may be lost, and so may its answers.
    pub(super) fn agent_resumes(&mut self, conn: ConnId, name: &AgentName, back: Return, t: &mut Turn<'_>) {
        let Some(place) = self.known_host(name) else {
            return t.out.push(Outcome::Tell(conn, FromRegistry::Unkept));
        };
        self.proxies = self.proxies.max(back.newest.map_or(0, |ProxyId(newest)| newest));
        let host = &mut self.hosts[place as usize];
        if let Some(other) = host.link.filter(|other| other.conn != conn) {
            if other.since > back.since {
                return t.out.push(Outcome::Tell(conn, FromRegistry::Displaced));
            }
            t.out.push(Outcome::Tell(other.conn, FromRegistry::Displaced));
        }
        host.link = Some(Link { conn, since: back.since, silent: false });
        host.dialect = back.dialect;
        host.tunnels = back.tunnels;
        host.heard = t.now.moment;
        host.row.last_heartbeat = Some(t.now.wall);
        let absence = host.absence.take();
        let sessions: Vec<_> = host.sessions.iter().copied().collect();
        self.desk.cancel(absence);
        sessions.into_iter().for_each(|session| self.look_at_view(session, t));
        self.returned(place, t);
    }

    /// A viewer that watches says so again.
    pub(super) fn viewer_resumes(&mut self, conn: ConnId, id: SessionId, (agent, proxy): (ConnId, ProxyId), t: &mut Turn<'_>) {
        self.proxies = self.proxies.max(proxy.0);
        let Some(desktop) = self.desktops.get_mut(&id).filter(|desktop| desktop.known && desktop.row.state == State::Running)
        else {
            return t.out.push(Outcome::Tell(conn, FromRegistry::ViewOver(ViewOver::Stopped)));
        };
        if let Some(other) = desktop.viewer.filter(|other| other.conn != conn) {
            if other.proxy > proxy {
                return t.out.push(Outcome::Tell(conn, FromRegistry::ViewOver(ViewOver::Displaced)));
            }
            t.out.push(Outcome::Tell(other.conn, FromRegistry::ViewOver(ViewOver::Displaced)));
        }
        desktop.viewer = Some(Viewer { conn, proxy, is_certain: false });
        desktop.active = t.now.moment;
        let host = desktop.host.and_then(|host| self.hosts.get(host as usize));
        match host.and_then(|host| host.link) {
            Some(link) if link.conn == agent => self.look_at_view(id, t),
            // Its agent's connection is another by now.
            Some(_) => self.end_view(id, ViewOver::AgentGone, t),
            // Its agent's connection has not said yet that it is there, or tells the viewer of its end itself.
            None => {}
        }
    }

    /// Ends a view of which the agent, that is there, has not heard.
    fn look_at_view(&mut self, id: SessionId, t: &mut Turn<'_>) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        let Some(viewer) = desktop.viewer.as_mut().filter(|viewer| !viewer.is_certain) else { return };
        let host = desktop.host.and_then(|host| self.hosts.get(host as usize));
        if host.is_some_and(|host| host.tunnels.contains(&viewer.proxy)) {
            viewer.is_certain = true;
        } else {
            self.end_view(id, ViewOver::AgentGone, t);
        }
    }

    fn viewing(&self) -> impl Iterator<Item = (ConnId, SessionId)> {
        self.desktops.iter().filter_map(|(id, desktop)| Some((desktop.viewer?.conn, *id)))
    }
}
