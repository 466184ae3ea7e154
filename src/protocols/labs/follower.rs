//! One connection that follows a session's log, from its question to the registry, before the upgrade is answered, to its end.

use super::{
    admission::Denial,
    afloat::Afloat,
    chunk::Wire,
    connection::{Effect, Event, Farewell},
    letters::{FromRegistry, ToRegistry, ViewRefused},
    logs::stripped,
    model::SessionId,
    pulse::{Beat, Pulse},
    settings::Settings,
};
use crate::{
    realtime::{ConnId, Now},
    websocket::frame,
};
use std::sync::Arc;

/// The longest header of a frame that is sent.
const HEADER_BYTES: usize = 10;

/// What a follower wants to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wish {
    /// How many lines of those that are there already, at most.
    pub tail: u32,
    /// Whether the times that lines begin with are shown.
    pub timestamps: bool,
}

/// The state machine of one follower's connection. It is driven as [`Viewer`](super::Viewer) is; it has no tunnel, and what it says is not
/// listened to. A line is a text frame; one [`Effect::Send`] may have several frames.
#[derive(Debug)]
pub struct Follower {
    session: SessionId,
    /// Who follows, whether they may see anyone's, and how many lines that are there already they want.
    wish: (Arc<str>, bool, u32),
    timestamps: bool,
    state: State,
    /// Whether the registry is to be told that it left.
    is_owed: bool,
    /// What the socket was given and has not sent.
    afloat: Afloat<()>,
}

#[derive(Debug)]
enum State {
    /// The registry is asked, the upgrade is not answered.
    Asking,
    /// It is told lines.
    Following(Pulse),
    Over,
}

impl Follower {
    /// One that asks to follow a session's log. The upgrade is to be held until [`Effect::Accept`] or [`Effect::Refuse`].
    pub fn new(
        (session, conn): (SessionId, ConnId),
        (user, admin): (Arc<str>, bool),
        wish: Wish,
        settings: &Settings,
        out: &mut Vec<Effect>,
    ) -> Follower {
        let Wish { tail, timestamps } = wish;
        let follower = Follower {
            session,
            wish: (user, admin, tail),
            timestamps,
            state: State::Asking,
            is_owed: true,
            afloat: Afloat::default(),
        };
        follower.ask(conn, out);
        out.push(Effect::Timer(Some(settings.keep_timeout)));
        follower
    }

    /// The registry is another's from now on, or may have missed something: one that follows may have missed lines, and comes again.
    pub fn again(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        match self.state {
            State::Asking => self.ask(conn, out),
            State::Following(_) => self.end(Farewell::Moved, out),
            State::Over => {}
        }
    }

    fn ask(&self, conn: ConnId, out: &mut Vec<Effect>) {
        let (session, (user, admin, tail)) = (self.session, self.wish.clone());
        out.push(Effect::Registry(ToRegistry::Follow { conn, session, user, admin, tail }));
    }

    /// Takes what happened; pushes what is to be done.
    pub fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match event {
            Event::Text(_) | Event::Binary(_) | Event::Pong => {
                if let State::Following(pulse) = &mut self.state {
                    pulse.answered();
                }
            }
            Event::TimerFired => self.on_timer(now, settings, out),
            Event::Registry(letter) => self.on_registry(letter, now, settings, out),
            // A viewer's.
            Event::Tunnel { .. } => {}
            Event::Sent { waiting } => while self.afloat.leave(waiting).is_some() {},
            Event::Revoked => match self.state {
                State::Asking => self.refuse(Denial::BadToken, out),
                State::Following(_) | State::Over => self.end(Farewell::Revoked, out),
            },
            Event::Gone => self.leave(conn, out),
        }
    }

    fn on_timer(&mut self, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        let beat = match &mut self.state {
            State::Asking => return self.refuse(Denial::Unavailable, out),
            State::Following(pulse) => pulse.beat(now.moment, settings),
            State::Over => return,
        };
        match beat {
            Beat::Rest(after) => out.push(Effect::Timer(Some(after))),
            Beat::Ping(after) => {
                out.push(Effect::Ping);
                out.push(Effect::Timer(Some(after)));
            }
            Beat::Stopped => self.end(Farewell::NoPong, out),
        }
    }

    fn on_registry(&mut self, letter: FromRegistry, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match letter {
            FromRegistry::Following => {
                if let State::Asking = self.state {
                    self.state = State::Following(Pulse::new(now.moment, settings));
                    out.push(Effect::Accept);
                    out.push(Effect::Timer(Some(settings.ping_interval)));
                }
            }
            FromRegistry::Lines(lines) => self.show(&lines, settings, out),
            FromRegistry::LogOver => self.end(Farewell::LogOver, out),
            FromRegistry::Refused(refused) => {
                self.is_owed = false;
                self.refuse(Denial::View(refused), out);
            }
            // A viewer's or an agent's.
            FromRegistry::View { .. }
            | FromRegistry::ViewOver(_)
            | FromRegistry::Registered
            | FromRegistry::Unknown
            | FromRegistry::Full
            | FromRegistry::Unkept
            | FromRegistry::Displaced
            | FromRegistry::Noted
            | FromRegistry::Proxy { .. } => {}
        }
    }

    /// Lines, oldest first. Of more than may wait at once the newest are shown; whoever does not read what comes is let go.
    fn show(&mut self, lines: &[String], settings: &Settings, out: &mut Vec<Effect>) {
        let State::Following(_) = self.state else { return };
        let mut room = settings.tunnel_window / 2;
        let fits = |line: &&String| {
            let rest = room.checked_sub(line.len() + HEADER_BYTES);
            room = rest.unwrap_or(0);
            rest.is_some()
        };
        let shown = lines.iter().rev().take_while(fits).count();
        let mut frames = Vec::new();
        for line in &lines[lines.len() - shown..] {
            let line = if self.timestamps { line.as_str() } else { stripped(line) };
            let mark = frame::begin_text(&mut frames);
            frames.extend_from_slice(line.as_bytes());
            frame::end_text(&mut frames, mark);
        }
        if self.afloat.bytes() + frames.len() > settings.tunnel_window {
            return self.end(Farewell::TooMuch, out);
        }
        if !frames.is_empty() {
            self.afloat.push((), frames.len(), frames.len());
            out.push(Effect::Send(Wire::whole(frames)));
        }
    }

    fn refuse(&mut self, denial: Denial, out: &mut Vec<Effect>) {
        if let State::Asking = self.state {
            self.state = State::Over;
            out.push(Effect::Refuse(denial));
        }
    }

    fn end(&mut self, farewell: Farewell, out: &mut Vec<Effect>) {
        match self.state {
            // It ended before it was taken.
            State::Asking => self.refuse(Denial::View(ViewRefused::NoSession), out),
            State::Following(_) => {
                self.state = State::Over;
                out.push(Effect::End(farewell));
            }
            State::Over => {}
        }
    }

    fn leave(&mut self, conn: ConnId, out: &mut Vec<Effect>) {
        self.state = State::Over;
        if std::mem::take(&mut self.is_owed) {
            out.push(Effect::Registry(ToRegistry::FollowerGone { conn, session: self.session }));
        }
    }
}
