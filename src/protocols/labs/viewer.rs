//! One viewer's connection, from its question to the registry, before the upgrade is answered, to its end.

use super::{
    admission::Denial,
    afloat::Afloat,
    chunk::Chunk,
    connection::{Effect, Event, Farewell},
    letters::{FromRegistry, ToRegistry, TunnelWord, ViewOver, ViewRefused},
    model::{ProxyId, SessionId},
    pulse::{Beat, Pulse},
    settings::Settings,
};
use crate::realtime::{ConnId, Moment, Now, ShardId};
use std::sync::Arc;

/// What agents of the second dialect take at a time, before base64.
pub const CHUNK_BYTES: usize = 32 << 10;
/// Pieces that are smaller are put together while the socket is busy: a window of single bytes would take a hundred times its size.
pub(super) const SMALL_BYTES: usize = 4 << 10;

/// The state machine of one viewer's connection. Its messages must not be longer than a quarter of
/// [`Settings::tunnel_window`].
#[derive(Debug)]
pub struct Viewer {
    session: SessionId,
    /// Who watches, and whether they may see anyone's; of no more use once the registry has answered.
    right: Option<(Arc<str>, bool)>,
    state: State,
    /// Whether the registry is to be told that it left.
    is_owed: bool,
    /// What may be sent to the agent still.
    allowed: usize,
    is_paused: bool,
    /// What the socket was given and has not sent.
    afloat: Afloat<()>,
    /// Small pieces behind that.
    gathered: Option<Chunk>,
    /// What has left, and the agent's end was not told of.
    uncredited: usize,
    activity: Activity,
}

#[derive(Debug)]
enum State {
    /// The registry is asked, the upgrade is not answered.
    Asking,
    /// It watches.
    Watching(ConnId, ProxyId, Pulse),
    /// It ends; the agent's end does not know it.
    Ending(ConnId, ProxyId),
    /// It is over at both ends.
    Over,
}

/// What the viewer did, and what the registry knows of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Activity {
    /// Nothing, since then.
    Told(Moment),
    /// Something, since then.
    Untold(Moment),
}

impl Viewer {
    /// One that asks to see a session. The upgrade is to be held until [`Effect::Accept`] or [`Effect::Refuse`].
    pub fn new(
        (session, conn): (SessionId, ConnId),
        (user, admin): (Arc<str>, bool),
        now: Now,
        settings: &Settings,
        out: &mut Vec<Effect>,
    ) -> Viewer {
        out.push(Effect::Registry(ToRegistry::View { conn, session, user: Arc::clone(&user), admin }));
        out.push(Effect::Timer(Some(settings.keep_timeout)));
        Viewer {
            session,
            right: Some((user, admin)),
            state: State::Asking,
            is_owed: true,
            allowed: settings.tunnel_window,
            is_paused: false,
            afloat: Afloat::default(),
            gathered: None,
            uncredited: 0,
            // The registry takes a new viewer for activity.
            activity: Activity::Told(now.moment),
        }
    }

    /// Takes what happened; pushes what is to be done.
    pub fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match event {
            Event::Text(_) => self.end(Farewell::Text, out),
            Event::Binary(bytes) => self.on_bytes(bytes, now, settings, out),
            Event::Pong => {
                if let State::Watching(_, _, pulse) = &mut self.state {
                    pulse.answered();
                }
            }
            Event::TimerFired => self.on_timer(now, settings, out),
            Event::Registry(letter) => self.on_registry(letter, now, settings, out),
            Event::Tunnel { from, proxy, word } => self.on_word((from, proxy), word, now, settings, out),
            Event::Sent { waiting } => self.on_sent(waiting, conn, settings, out),
            Event::Revoked => match self.state {
                State::Asking => self.refuse(Denial::BadToken, out),
                State::Watching(..) | State::Ending(..) | State::Over => self.end(Farewell::Revoked, out),
            },
            Event::Gone => self.leave(conn, out),
        }
    }

    /// The registry is another's from now on, or may have missed something: what it must know.
    pub fn again(&self, conn: ConnId, out: &mut Vec<Effect>) {
        let session = self.session;
        match (&self.state, &self.right) {
            (State::Asking, Some((user, admin))) => {
                out.push(Effect::Registry(ToRegistry::View { conn, session, user: Arc::clone(user), admin: *admin }));
            }
            (State::Watching(agent, proxy, _), _) => {
                out.push(Effect::Registry(ToRegistry::Viewing { conn, session, agent: *agent, proxy: *proxy }));
            }
            (State::Asking | State::Ending(..) | State::Over, _) => {}
        }
    }

    /// Nothing comes any more from agents on these shards, or something was lost: it ends where it watches one.
    pub fn lose(&mut self, is_lost: &dyn Fn(ShardId) -> bool, farewell: Farewell, out: &mut Vec<Effect>) {
        if let State::Watching(agent, ..) = self.state
            && is_lost(agent.shard)
        {
            self.end(farewell, out);
        }
    }

    /// How many bytes more it may be told before its credit is used up.
    pub fn room(&self) -> usize {
        self.allowed
    }

    fn on_bytes(&mut self, chunk: Chunk, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        let State::Watching(to, proxy, ref mut pulse) = self.state else { return };
        pulse.answered();
        let Some(allowed) = self.allowed.checked_sub(chunk.len()) else { return self.end(Farewell::TooMuch, out) };
        self.allowed = allowed;
        let is_activity = !chunk.is_empty();
        if chunk.len() > CHUNK_BYTES {
            let pieces = chunk.bytes().chunks(CHUNK_BYTES).map(Chunk::copied);
            out.extend(pieces.map(|piece| Effect::Tunnel { to, proxy, word: TunnelWord::Bytes(piece) }));
        } else if is_activity {
            out.push(Effect::Tunnel { to, proxy, word: TunnelWord::Bytes(chunk) });
        }
        if !self.is_paused && self.allowed < wanted_room(settings) {
            self.is_paused = true;
            out.push(Effect::Pause);
        }
        if is_activity {
            let (Activity::Told(since) | Activity::Untold(since)) = self.activity;
            self.activity = Activity::Untold(since);
            self.tell_activity(now, settings, out);
        }
    }

    fn on_timer(&mut self, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        let beat = match &mut self.state {
            State::Asking => return self.refuse(Denial::Unavailable, out),
            State::Watching(_, _, pulse) => pulse.beat(now.moment, settings),
            State::Ending(..) | State::Over => return,
        };
        match beat {
            Beat::Rest(after) => out.push(Effect::Timer(Some(after))),
            Beat::Ping(after) => {
                out.push(Effect::Ping);
                out.push(Effect::Timer(Some(after)));
            }
            Beat::Stopped => return self.end(Farewell::NoPong, out),
        }
        self.tell_activity(now, settings, out);
    }

    fn on_registry(&mut self, letter: FromRegistry, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match letter {
            FromRegistry::View { agent, proxy } => match self.state {
                State::Asking => self.accept(agent, proxy, now, settings, out),
                State::Watching(..) => {}
                // It had been refused for the registry's silence.
                State::Ending(..) | State::Over => out.extend(super::connection::late(&letter)),
            },
            FromRegistry::Refused(refused) => {
                self.is_owed = false;
                self.refuse(Denial::View(refused), out);
                // By the agent's word he was in already, and the registry that had let him in is no more: the next one has asked anew.
                self.end(
                    farewell(if refused == ViewRefused::AgentOffline { ViewOver::AgentGone } else { ViewOver::Stopped }),
                    out,
                );
            }
            FromRegistry::ViewOver(why) => match (&self.state, why) {
                (State::Asking, ViewOver::Displaced | ViewOver::Stopped) => {
                    self.refuse(Denial::View(ViewRefused::NotRunning), out);
                }
                (State::Asking, ViewOver::AgentGone) => self.refuse(Denial::View(ViewRefused::AgentOffline), out),
                (State::Watching(..) | State::Ending(..) | State::Over, why) => self.end(farewell(why), out),
            },
            // An agent's or a follower's.
            FromRegistry::Registered | FromRegistry::Unknown | FromRegistry::Full => {}
            FromRegistry::Unkept | FromRegistry::Displaced | FromRegistry::Noted => {}
            FromRegistry::Proxy { .. } | FromRegistry::Following | FromRegistry::Lines(_) | FromRegistry::LogOver => {}
        }
    }

    /// The agent's end says something: perhaps before the registry's answer has come, since that comes from another shard.
    fn on_word(
        &mut self,
        (from, proxy): (ConnId, ProxyId),
        word: TunnelWord,
        now: Now,
        settings: &Settings,
        out: &mut Vec<Effect>,
    ) {
        let is_end = matches!(word, TunnelWord::Closed | TunnelWord::Ready { error: Some(_) });
        match self.state {
            State::Asking if is_end => {
                self.state = State::Over;
                return out.push(Effect::Refuse(Denial::View(ViewRefused::AgentOffline)));
            }
            State::Asking => self.accept(from, proxy, now, settings, out),
            State::Watching(agent, own, _) if (agent, own) == (from, proxy) => {}
            State::Watching(..) | State::Ending(..) | State::Over => return,
        }
        match word {
            TunnelWord::Ready { error: None } => {}
            TunnelWord::Bytes(chunk) => self.show(chunk, out),
            TunnelWord::Credit(bytes) => {
                self.allowed = self.allowed.saturating_add(bytes as usize).min(settings.tunnel_window);
                if self.is_paused && self.allowed >= wanted_room(settings) {
                    self.is_paused = false;
                    out.push(Effect::Resume);
                }
            }
            TunnelWord::Ready { error: Some(_) } => self.close(Farewell::Broken, out),
            TunnelWord::Closed => self.close(Farewell::Over, out),
        }
    }

    /// Gives the socket what the agent sent: at once, or small pieces together when it has sent what it was given before.
    fn show(&mut self, chunk: Chunk, out: &mut Vec<Effect>) {
        let is_small = chunk.len() < SMALL_BYTES && self.afloat.bytes() > 0;
        if let Some(gathered) = &mut self.gathered
            && is_small
            && gathered.len() + chunk.len() <= SMALL_BYTES
        {
            return gathered.append(chunk.bytes());
        }
        self.show_gathered(out);
        if is_small {
            self.gathered = Some(chunk);
        } else {
            self.give(chunk, out);
        }
    }

    fn show_gathered(&mut self, out: &mut Vec<Effect>) {
        if let Some(chunk) = self.gathered.take() {
            self.give(chunk, out);
        }
    }

    fn give(&mut self, chunk: Chunk, out: &mut Vec<Effect>) {
        let payload = chunk.len();
        let wire = chunk.framed(&[]);
        self.afloat.push((), wire.bytes().len(), payload);
        out.push(Effect::Send(wire));
    }

    fn on_sent(&mut self, waiting: usize, conn: ConnId, settings: &Settings, out: &mut Vec<Effect>) {
        while let Some(((), bytes)) = self.afloat.leave(waiting) {
            self.uncredited += bytes;
        }
        let State::Watching(to, proxy, _) = self.state else { return };
        let is_idle = self.afloat.bytes() == 0;
        if is_idle {
            self.show_gathered(out);
        }
        let window = if to.shard.node() == conn.shard.node() { settings.tunnel_window } else { far_window(settings) };
        let is_due = self.uncredited >= window / 4 || is_idle;
        if is_due && self.uncredited > 0 {
            let bytes = u32::try_from(std::mem::take(&mut self.uncredited)).unwrap_or(u32::MAX);
            out.push(Effect::Tunnel { to, proxy, word: TunnelWord::Credit(bytes) });
        }
    }

    fn accept(&mut self, agent: ConnId, proxy: ProxyId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        self.right = None;
        self.state = State::Watching(agent, proxy, Pulse::new(now.moment, settings));
        out.push(Effect::Accept);
        out.push(Effect::Timer(Some(settings.ping_interval)));
    }

    fn refuse(&mut self, denial: Denial, out: &mut Vec<Effect>) {
        if matches!(self.state, State::Asking) {
            self.state = State::Over;
            out.push(Effect::Refuse(denial));
        }
    }

    /// Ends of itself: the agent's end is told when it is gone.
    fn end(&mut self, farewell: Farewell, out: &mut Vec<Effect>) {
        if let State::Watching(agent, proxy, _) = self.state {
            self.state = State::Ending(agent, proxy);
            out.push(Effect::End(farewell));
        }
    }

    /// Ends because the agent's end did.
    fn close(&mut self, farewell: Farewell, out: &mut Vec<Effect>) {
        self.show_gathered(out);
        self.state = State::Over;
        out.push(Effect::End(farewell));
    }

    fn tell_activity(&mut self, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        if let Activity::Untold(since) = self.activity
            && now.moment >= since + settings.activity_interval
        {
            self.activity = Activity::Told(now.moment);
            out.push(Effect::Registry(ToRegistry::Activity { session: self.session }));
        }
    }

    fn leave(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        if let State::Watching(to, proxy, _) | State::Ending(to, proxy) = self.state {
            out.push(Effect::Tunnel { to, proxy, word: TunnelWord::Closed });
        }
        self.state = State::Over;
        if let Activity::Untold(_) = self.activity {
            out.push(Effect::Registry(ToRegistry::Activity { session: self.session }));
        }
        if std::mem::take(&mut self.is_owed) {
            out.push(Effect::Registry(ToRegistry::ViewerGone { conn, session: self.session }));
        }
    }

    /// What was given to the socket and has not left, in bytes.
    #[cfg(test)]
    pub(super) fn afloat(&self) -> usize {
        self.afloat.bytes() + self.gathered.as_ref().map_or(0, Chunk::len)
    }
}

/// Who has less is not read: a receive may end a message of a quarter of a window, and bring as much again of others.
fn wanted_room(settings: &Settings) -> usize {
    settings.tunnel_window / 2
}

/// What may be on its way to a viewer on another node, of an agent that counts: all that goes to that node shares one link, and what waits
/// there others wait behind.
pub(super) fn far_window(settings: &Settings) -> usize {
    settings.tunnel_window / 4
}

fn farewell(why: ViewOver) -> Farewell {
    match why {
        ViewOver::Displaced => Farewell::Displaced,
        ViewOver::Stopped => Farewell::Over,
        ViewOver::AgentGone => Farewell::AgentGone,
    }
}
