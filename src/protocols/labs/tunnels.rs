//! The agents' ends of the tunnels that go through one agent's connection.
//!
//! From the agent to a viewer nothing waits here: bytes go on at once, and more than a window of them that the viewer's socket has not
//! taken end the tunnel. From viewers to the agent all tunnels share the socket with its commands: so little is given to it at a time, and
//! the rest waits here, a window for each tunnel.

use super::{
    afloat::Afloat,
    agent_messages::{self, Tunnel},
    chunk::{Chunk, Wire},
    connection::Effect,
    early::{Early, is_banner},
    letters::{Dialect, TunnelWord},
    model::{ProxyId, SessionId},
    proxy_frames,
    settings::Settings,
    viewer::{SMALL_BYTES, far_window},
};
use crate::realtime::{ConnId, Frame, NodeSlot, ShardId, UnixMicros};
use std::collections::{BTreeMap, VecDeque};

/// So many bytes of tunnels may be with the socket: a command waits behind no more.
pub(super) const SOCKET_BYTES: usize = 512 << 10;
/// What a viewer is told of an agent that sent more than its credit.
const TOO_MUCH: &str = "the agent sent more than the viewer took";
/// What a viewer is told whose screen begins anew.
const ANEW: &str = "the agent opened its tunnel again";

/// What a viewer is told when bytes were lost between its node and the agent's.
const LOST: &str = "the way to the agent broke";

/// What tunnels are run by.
pub(super) struct Line<'a> {
    pub(super) dialect: Dialect,
    /// Where the agent's connection is.
    pub(super) node: NodeSlot,
    pub(super) settings: &'a Settings,
    pub(super) wall: UnixMicros,
    pub(super) out: &'a mut Vec<Effect>,
}

/// See the file.
#[derive(Default, Debug)]
pub(super) struct Tunnels {
    proxies: BTreeMap<ProxyId, Proxy>,
    by_session: BTreeMap<SessionId, ProxyId>,
    /// Of the second dialect: what came before a viewer did.
    early: Early,
    /// Those that have something for the agent, and may say it.
    ready: VecDeque<ProxyId>,
    /// The newest of all.
    newest: Option<ProxyId>,
    /// What viewers said of whom the registry's word has not come: theirs may be the shorter way. The registry counts tunnels, and tells
    /// of them in order, so it is known which are still to come.
    ahead: BTreeMap<ProxyId, Vec<(ConnId, TunnelWord)>>,
    afloat: Afloat<ProxyId>,
}

#[derive(Debug)]
struct Proxy {
    session: SessionId,
    viewer: ConnId,
    /// Whether the agent's end is open.
    is_open: bool,
    /// Whether the agent is to hear bytes as text.
    base64: bool,
    /// Whether the viewer was told anything.
    has_begun: bool,
    /// What the agent may send still.
    allowed: usize,
    /// What the agent takes still; none: it does not say.
    credit: Option<i64>,
    /// Whether the agent counts what it may send.
    counts: bool,
    /// For the agent.
    queue: VecDeque<Chunk>,
    queued: usize,
    /// Whether it is among [`Tunnels::ready`].
    is_listed: bool,
    leaving: Leaving,
}

/// Whether the viewer has left, and what it said last is still to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leaving {
    No,
    Yes,
    /// Since before the last beat.
    Long,
}

impl Proxy {
    fn may_speak(&self) -> bool {
        self.is_open && self.credit.is_none_or(|credit| credit > 0) && !self.queue.is_empty()
    }
}

impl Tunnels {
    /// A viewer comes, and the agent is asked for its end. Whoever watched the session before is over.
    pub(super) fn open(
        &mut self,
        proxy: ProxyId,
        (session, viewer): (SessionId, ConnId),
        request: Option<Frame>,
        line: &mut Line<'_>,
    ) {
        let is_field = line.dialect == Dialect::Field;
        if let Some(older) = self.by_session.insert(session, proxy) {
            self.finish(older, line);
            self.by_session.insert(session, proxy);
        }
        line.out.extend(request.map(|frame| Effect::Send(Wire::whole(frame.to_vec()))));
        let mut allowed = line.settings.tunnel_window;
        let early = self.early.take(session);
        let has_begun = early.is_some();
        if let Some(chunk) = early {
            allowed = allowed.saturating_sub(chunk.len());
            line.out.push(Effect::Tunnel { to: viewer, proxy, word: TunnelWord::Bytes(chunk) });
        }
        self.proxies.insert(
            proxy,
            Proxy {
                session,
                viewer,
                is_open: is_field,
                base64: is_field,
                has_begun,
                allowed,
                credit: None,
                counts: false,
                queue: VecDeque::new(),
                queued: 0,
                is_listed: false,
                leaving: Leaving::No,
            },
        );
        self.newest = Some(proxy);
        while let Some(said) = self.ahead.first_entry().filter(|said| *said.key() <= proxy) {
            let (id, words) = said.remove_entry();
            words.into_iter().for_each(|(from, word)| self.word(from, id, word, line));
        }
    }

    /// The agent's end is open.
    pub(super) fn opened(&mut self, tunnel: Tunnel, credit: Option<u32>, base64: bool, line: &mut Line<'_>) {
        if let Tunnel::Session(session) = tunnel {
            self.early.renew(session);
        }
        let Some((id, proxy)) = self.find(tunnel) else { return };
        proxy.base64 = base64;
        if proxy.is_open {
            return;
        }
        proxy.is_open = true;
        let to = proxy.viewer;
        line.out.push(Effect::Tunnel { to, proxy: id, word: TunnelWord::Ready { error: None } });
        if let Some(credit) = credit {
            proxy.credit = Some(i64::from(credit));
            proxy.counts = true;
            let first = if to.shard.node() == line.node { proxy.allowed } else { proxy.allowed.min(far_window(line.settings)) };
            line.out.push(Effect::Send(proxy_frames::credit(id, number(first))));
        }
        self.list(id);
        self.pump(line);
    }

    /// The agent's end is over.
    pub(super) fn over(&mut self, tunnel: Tunnel, error: Option<Box<str>>, line: &mut Line<'_>) {
        if let Tunnel::Session(session) = tunnel {
            self.early.forget(session);
        }
        let Some((id, _)) = self.find(tunnel) else { return };
        self.end(id, error, line);
    }

    /// The agent sent bytes. Those of a tunnel that is over were on their way.
    pub(super) fn data(&mut self, tunnel: Tunnel, chunk: Chunk, base64: bool, line: &mut Line<'_>) {
        let passes = match tunnel {
            Tunnel::Proxy(_) => true,
            Tunnel::Session(session) => self.early.passes(session, chunk.bytes()),
        };
        if chunk.is_empty() || !passes {
            return;
        }
        let Some((id, proxy)) = self.find(tunnel) else { return self.keep(tunnel, chunk, line) };
        let is_named = matches!(tunnel, Tunnel::Proxy(_));
        if !is_named && proxy.has_begun && is_banner(chunk.bytes()) {
            // Another stream has begun, which is nobody's yet: the tunnel was opened again.
            self.end(id, Some(ANEW.into()), line);
            return self.keep(tunnel, chunk, line);
        }
        proxy.has_begun = true;
        proxy.base64 = base64;
        if proxy.leaving != Leaving::No {
            return;
        }
        let Some(allowed) = proxy.allowed.checked_sub(chunk.len()) else {
            return self.cut(id, TOO_MUCH, line);
        };
        proxy.allowed = allowed;
        line.out.push(Effect::Tunnel { to: proxy.viewer, proxy: id, word: TunnelWord::Bytes(chunk) });
    }

    /// The agent takes so many bytes more.
    pub(super) fn credit(&mut self, id: ProxyId, bytes: u32, line: &mut Line<'_>) {
        let Some(credit) = self.proxies.get_mut(&id).and_then(|proxy| proxy.credit.as_mut()) else { return };
        *credit = credit.saturating_add(i64::from(bytes));
        self.list(id);
        self.pump(line);
    }

    /// The viewer's end says something.
    pub(super) fn word(&mut self, from: ConnId, id: ProxyId, word: TunnelWord, line: &mut Line<'_>) {
        if self.newest < Some(id) {
            return self.ahead.entry(id).or_default().push((from, word));
        }
        let Some(proxy) = self.proxies.get_mut(&id).filter(|proxy| proxy.viewer == from && proxy.leaving == Leaving::No) else {
            return;
        };
        match word {
            TunnelWord::Bytes(chunk) => self.enqueue(id, chunk, line),
            TunnelWord::Credit(bytes) => {
                proxy.allowed = proxy.allowed.saturating_add(bytes as usize).min(line.settings.tunnel_window);
                if proxy.counts {
                    line.out.push(Effect::Send(proxy_frames::credit(id, bytes)));
                }
            }
            TunnelWord::Closed if proxy.queue.is_empty() || !proxy.is_open => self.finish(id, line),
            TunnelWord::Closed => proxy.leaving = Leaving::Yes,
            // An agent's word alone.
            TunnelWord::Ready { .. } => {}
        }
    }

    /// So many bytes wait for the agent's socket.
    pub(super) fn sent(&mut self, waiting: usize, line: &mut Line<'_>) {
        let mut run: Option<(ProxyId, usize)> = None;
        while let Some((id, bytes)) = self.afloat.leave(waiting) {
            match &mut run {
                Some((running, sum)) if *running == id => *sum += bytes,
                Some(_) | None => {
                    let before = run.replace((id, bytes));
                    self.left(before, line);
                }
            }
        }
        self.left(run, line);
        self.pump(line);
    }

    /// Ends tunnels whose agent does not take what their viewers said last. To be called with each Ping.
    pub(super) fn beat(&mut self, line: &mut Line<'_>) {
        let mut stuck = Vec::new();
        for (id, proxy) in &mut self.proxies {
            match proxy.leaving {
                Leaving::No => {}
                Leaving::Yes => proxy.leaving = Leaving::Long,
                Leaving::Long => stuck.push(*id),
            }
        }
        stuck.into_iter().for_each(|id| self.finish(id, line));
    }

    /// The agent's connection is over.
    pub(super) fn gone(&mut self, out: &mut Vec<Effect>) {
        for (id, proxy) in std::mem::take(self).proxies {
            if proxy.leaving == Leaving::No {
                out.push(Effect::Tunnel { to: proxy.viewer, proxy: id, word: TunnelWord::agent_left() });
            }
        }
    }

    /// Viewers on these shards are no more, or something was lost on its way to or from them: they are told so, should they live.
    pub(super) fn lose(&mut self, is_lost: &dyn Fn(ShardId) -> bool, line: &mut Line<'_>) {
        let lost: Vec<_> = self.proxies.iter().filter(|(_, proxy)| is_lost(proxy.viewer.shard)).map(|(id, _)| *id).collect();
        lost.into_iter().for_each(|id| self.cut(id, LOST, line));
    }

    /// The newest tunnel, and those that are there.
    pub(super) fn known(&self) -> (Option<ProxyId>, Vec<ProxyId>) {
        (self.newest, self.proxies.keys().copied().collect())
    }

    fn find(&mut self, tunnel: Tunnel) -> Option<(ProxyId, &mut Proxy)> {
        let id = match tunnel {
            Tunnel::Proxy(id) => id,
            Tunnel::Session(session) => *self.by_session.get(&session)?,
        };
        self.proxies.get_mut(&id).map(|proxy| (id, proxy))
    }

    /// Bytes for a viewer who is not there yet.
    fn keep(&mut self, tunnel: Tunnel, chunk: Chunk, line: &mut Line<'_>) {
        let Tunnel::Session(session) = tunnel else { return };
        let most = line.settings.early_bytes.min(line.settings.tunnel_window);
        // Nobody watches, and nobody has asked for these: one agent has no more of them here than of one viewer's.
        if !self.early.keep(session, chunk, (most, line.settings.tunnel_window)) {
            line.out.push(Effect::Send(agent_messages::close(line.dialect, (ProxyId(0), session), line.wall)));
        }
    }

    fn enqueue(&mut self, id: ProxyId, chunk: Chunk, line: &mut Line<'_>) {
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        proxy.queued += chunk.len();
        if chunk.is_empty() {
            return;
        }
        if proxy.queued > line.settings.tunnel_window {
            return self.cut(id, "the viewer sent more than the agent took", line);
        }
        match proxy.queue.back_mut() {
            Some(last) if last.len() + chunk.len() <= SMALL_BYTES => last.append(chunk.bytes()),
            Some(_) | None => proxy.queue.push_back(chunk),
        }
        self.list(id);
        self.pump(line);
    }

    fn list(&mut self, id: ProxyId) {
        if let Some(proxy) = self.proxies.get_mut(&id)
            && proxy.may_speak()
            && !proxy.is_listed
        {
            proxy.is_listed = true;
            self.ready.push_back(id);
        }
    }

    /// Gives the socket as much as it may have, a chunk of each tunnel in turn.
    fn pump(&mut self, line: &mut Line<'_>) {
        while self.afloat.bytes() < SOCKET_BYTES {
            let Some(id) = self.ready.pop_front() else { break };
            let Some(proxy) = self.proxies.get_mut(&id) else { continue };
            proxy.is_listed = false;
            let Some(chunk) = proxy.queue.pop_front() else { continue };
            let length = chunk.len();
            proxy.queued -= length;
            proxy.credit = proxy.credit.map(|credit| credit - length as i64);
            let wire = if proxy.base64 {
                agent_messages::data(line.dialect, (id, proxy.session), chunk.bytes(), line.wall)
            } else {
                proxy_frames::data(id, chunk)
            };
            self.afloat.push(id, wire.bytes().len(), length);
            line.out.push(Effect::Send(wire));
            if proxy.leaving != Leaving::No && proxy.queue.is_empty() {
                self.finish(id, line);
            }
            self.list(id);
        }
    }

    /// Bytes of a tunnel have left the agent's socket.
    fn left(&self, run: Option<(ProxyId, usize)>, line: &mut Line<'_>) {
        let Some((id, bytes)) = run else { return };
        let Some(proxy) = self.proxies.get(&id).filter(|proxy| proxy.leaving == Leaving::No) else { return };
        line.out.push(Effect::Tunnel { to: proxy.viewer, proxy: id, word: TunnelWord::Credit(number(bytes)) });
    }

    /// A tunnel is over for the agent, who is told.
    fn finish(&mut self, id: ProxyId, line: &mut Line<'_>) {
        let Some(proxy) = self.remove(id) else { return };
        if line.dialect == Dialect::Field {
            self.early.shut(proxy.session);
        }
        line.out.push(Effect::Send(agent_messages::close(line.dialect, (id, proxy.session), line.wall)));
    }

    /// A tunnel is over for its viewer, who is told.
    fn end(&mut self, id: ProxyId, error: Option<Box<str>>, line: &mut Line<'_>) {
        let Some(proxy) = self.remove(id).filter(|proxy| proxy.leaving == Leaving::No) else { return };
        let word = if error.is_some() { TunnelWord::Ready { error } } else { TunnelWord::Closed };
        line.out.push(Effect::Tunnel { to: proxy.viewer, proxy: id, word });
    }

    /// A tunnel is over for both its ends, whatever they were saying.
    fn cut(&mut self, id: ProxyId, why: &str, line: &mut Line<'_>) {
        let Some(session) = self.proxies.get(&id).map(|proxy| proxy.session) else { return };
        if line.dialect == Dialect::Field {
            self.early.shut(session);
        }
        line.out.push(Effect::Send(agent_messages::close(line.dialect, (id, session), line.wall)));
        self.end(id, Some(why.into()), line);
    }

    fn remove(&mut self, id: ProxyId) -> Option<Proxy> {
        let proxy = self.proxies.remove(&id)?;
        if self.by_session.get(&proxy.session) == Some(&id) {
            self.by_session.remove(&proxy.session);
        }
        Some(proxy)
    }

    /// What waits for the agent, in bytes, and how many tunnels there are.
    #[cfg(test)]
    pub(super) fn levels(&self) -> (usize, usize) {
        (self.proxies.values().map(|proxy| proxy.queued).sum(), self.proxies.len())
    }
}

fn number(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
