//! Who watches which session: one at a time, the newest.

use super::{
    desk::Turn,
    desktop::Viewer,
    dialect,
    letters::{FromRegistry, ViewOver, ViewRefused},
    model::{ProxyId, SessionId, State},
    registry::{Outcome, Registry},
};
use crate::realtime::ConnId;

impl Registry {
    /// A viewer wants to see a session.
    pub(super) fn view_session(&mut self, conn: ConnId, id: SessionId, user: &str, admin: bool, t: &mut Turn<'_>) {
        if let Err(refused) = self.show(conn, id, user, admin, t) {
            t.out.push(Outcome::Tell(conn, FromRegistry::Refused(refused)));
        }
    }

    fn show(&mut self, conn: ConnId, id: SessionId, user: &str, admin: bool, t: &mut Turn<'_>) -> Result<(), ViewRefused> {
        let live = self.desktops.get_mut(&id).filter(|desktop| desktop.known);
        let row = live.as_ref().map(|desktop| &desktop.row).or_else(|| self.ended.get(&id).map(|row| &**row));
        let row = row.ok_or(ViewRefused::NoSession)?;
        if !admin && *row.user != *user {
            return Err(ViewRefused::NotYours);
        }
        let desktop = live.filter(|desktop| desktop.row.state == State::Running).ok_or(ViewRefused::NotRunning)?;
        let host = desktop.host.and_then(|host| self.hosts.get(host as usize)).ok_or(ViewRefused::AgentOffline)?;
        let agent = host.online().ok_or(ViewRefused::AgentOffline)?;
        self.proxies = self.proxies.wrapping_add(1);
        let proxy = ProxyId(self.proxies);
        if let Some(older) = desktop.viewer.replace(Viewer { conn, proxy, is_certain: true }).filter(|older| older.conn != conn) {
            t.out.push(Outcome::Tell(older.conn, FromRegistry::ViewOver(ViewOver::Displaced)));
        }
        let request = dialect::proxy_request(host.dialect, proxy, &desktop.row, &self.desk.settings.namespace);
        t.out.push(Outcome::Tell(agent, FromRegistry::Proxy { proxy, session: id, viewer: conn, request }));
        t.out.push(Outcome::Tell(conn, FromRegistry::View { agent, proxy }));
        self.activity(id, t);
        Ok(())
    }

    /// A viewer is over.
    pub(super) fn viewer_gone(&mut self, conn: ConnId, id: SessionId) {
        let Some(desktop) = self.desktops.get_mut(&id) else { return };
        if desktop.viewer.is_some_and(|viewer| viewer.conn == conn) {
            desktop.viewer = None;
        }
    }

    /// Nobody may watch a session any more.
    pub(super) fn end_view(&mut self, id: SessionId, why: ViewOver, t: &mut Turn<'_>) {
        let viewer = self.desktops.get_mut(&id).and_then(|desktop| desktop.viewer.take());
        t.out.extend(viewer.map(|viewer| Outcome::Tell(viewer.conn, FromRegistry::ViewOver(why))));
    }
}
