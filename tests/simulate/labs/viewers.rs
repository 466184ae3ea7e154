//! Viewers: they come, are displaced, stall, speak and hang up at any point.

use super::{
    socket::{Heard, Speech, Viewer, Who},
    streams::Way,
    world::{Labs, WINDOW},
};
use homeroom::{
    protocols::labs::{SessionId, model::State},
    realtime::ConnId,
};
use serde_json::json;

/// What is read from one viewer within a turn.
pub(crate) const READ: usize = WINDOW / 2;

impl Labs {
    /// Somebody wants to see a session: mostly one that runs.
    pub(crate) fn viewer_comes(&mut self) {
        if self.sockets.len() >= self.plan.sockets {
            return;
        }
        if self.dice.percent(15) {
            return self.follower_comes();
        }
        let Some(session) = self.some_session(State::Running) else { return };
        let token = self.some_token();
        let path = format!("/vnc-viewer/{session}?token={}", self.tokens[token].text);
        let is_known = self.acknowledged.contains(&session);
        let down = self.streams.open(Way::Down, session);
        let conn = self.accept(&path, Who::Viewer(Viewer { session, is_known, token, up: None, down }));
        self.turn_of(conn);
    }

    /// Mostly one in this state.
    pub(crate) fn some_session(&mut self, state: State) -> Option<SessionId> {
        let any = self.dice.percent(15);
        let fit = |row: &&homeroom::protocols::labs::model::Session| any || row.state == state;
        let fitting: Vec<SessionId> = self.book.sessions.values().filter(fit).map(|row| row.id).collect();
        if fitting.is_empty() { None } else { Some(*self.dice.pick(&fitting)) }
    }

    pub(crate) fn viewer_acts(&mut self) {
        let live: Vec<ConnId> = self.live_viewers().into_iter().collect();
        if live.is_empty() {
            return;
        }
        let conn = *self.dice.pick(&live);
        match self.dice.below(100) {
            0..2 => self.end(conn),
            2 => _ = self.say(conn, &Speech::Text(json!({"text": true}))),
            _ => self.viewer_sends(conn),
        }
    }

    fn viewer_sends(&mut self, conn: ConnId) {
        let length = self.dice.between(1, WINDOW / 4);
        let deaf = self.fault == Some(super::faults::Fault::DeafPause);
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        // It hears its 101 first.
        if socket.is_paused && !deaf || socket.flight.is_some() || socket.said + length > READ {
            return;
        }
        socket.said += length;
        let Some(viewer) = socket.viewer() else { return };
        let bytes = self.streams.send(viewer.down, length);
        self.say(conn, &Speech::Binary(bytes));
    }

    pub(crate) fn viewer_hears(&mut self, conn: ConnId, frame: Heard) {
        match frame {
            Heard::Http(status) => self.check_admission(conn, status),
            Heard::Text(text) => panic!("a viewer hears {text}"),
            Heard::Ping => {}
            Heard::Close(code) => {
                self.check_farewell(conn, code);
                self.end(conn);
            }
            Heard::Binary(bytes) => self.arrive_up(conn, &bytes),
        }
    }

    fn arrive_up(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        let Who::Viewer(viewer) = &mut socket.who else { return };
        let up = match viewer.up {
            Some(up) => up,
            None => {
                let up = self.streams.begun(bytes).unwrap_or_else(|| panic!("{conn:?} sees the middle of a stream"));
                let stream = &mut self.streams.all[up];
                assert_eq!(stream.session, viewer.session, "{conn:?} sees another session");
                let before = stream.taken.replace(conn);
                assert_eq!(before, None, "{conn:?} sees what another saw");
                *viewer.up.insert(up)
            }
        };
        self.streams.arrive(up, bytes).unwrap_or_else(|fault| panic!("{conn:?}: {fault}"));
        self.count("bytes to viewers");
    }
}
