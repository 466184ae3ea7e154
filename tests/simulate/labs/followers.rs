//! Those who follow logs, and the logs: every line has a number, so that none can be lost, doubled or shown to another without being seen.

use super::{
    agents::Agent,
    socket::{Heard, Who},
    world::Labs,
};
use homeroom::{
    protocols::labs::{SessionId, letters::Dialect, model::State},
    realtime::ConnId,
};
use serde_json::json;

/// How a line of a log begins; the registry's own begin otherwise.
const LINE: &str = "line ";

/// Somebody who follows a log, or wants to.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) session: SessionId,
    /// Whether somebody had been told of that when it came.
    pub(crate) is_known: bool,
    /// Which of the tokens it came with.
    pub(crate) token: usize,
    tail: usize,
    /// The number of the next line; none: it has heard none.
    next: Option<usize>,
}

impl Agent {
    /// Answers with the last lines of a session's log.
    pub(crate) fn tell_lines(&mut self, session: SessionId, request: u64, tail: usize) {
        let count = self.logs.get(&session).copied().unwrap_or_default();
        let lines: Vec<String> = (count.saturating_sub(tail)..count).map(|number| format!("{LINE}{number}")).collect();
        self.outbox.push_back(self.message("logs", "logs", json!({"request": request, "lines": lines})));
    }
}

impl Labs {
    /// What runs writes into its log.
    pub(crate) fn a_log_grows(&mut self, which: usize) {
        let at = self.dice.below(self.agents[which].running.len());
        let more = self.dice.between(1, 5);
        let agent = &mut self.agents[which];
        if let Some(session) = agent.running.iter().nth(at) {
            *agent.logs.entry(*session).or_default() += more;
        }
    }

    /// Somebody wants to follow a log.
    pub(crate) fn follower_comes(&mut self) {
        let Some(session) = self.some_session(State::Running) else { return };
        let (token, tail) = (self.some_token(), *self.dice.pick(&[0, 1, 3, 100, 700]));
        let path = format!("/api/v1/sessions/{session}/logs?follow=true&tail={tail}&token={}", self.tokens[token].text);
        let is_known = self.acknowledged.contains(&session);
        let conn = self.accept(&path, Who::Follower(Follower { session, is_known, token, tail, next: None }));
        self.turn_of(conn);
    }

    pub(crate) fn follower_hears(&mut self, conn: ConnId, frame: Heard) {
        match frame {
            Heard::Http(status) => self.check_admission(conn, status),
            Heard::Text(text) => self.follower_hears_line(conn, text.as_str().unwrap_or_default()),
            Heard::Ping => {}
            Heard::Close(code) => {
                self.check_followers_farewell(conn, code);
                self.end(conn);
            }
            Heard::Binary(bytes) => panic!("{conn:?} follows a log, and hears {} bytes", bytes.len()),
        }
    }

    fn follower_hears_line(&mut self, conn: ConnId, line: &str) {
        let Some(Who::Follower(follower)) = self.sockets.get_mut(&conn).map(|socket| &mut socket.who) else { return };
        let Some(number) = line.strip_prefix(LINE) else {
            return assert!(line.contains(" [INFO] ") || line.contains(" [ERROR] "), "{conn:?} hears {line:?}");
        };
        let number: usize = number.parse().expect("a number");
        let expected = follower.next.unwrap_or(number);
        assert_eq!(number, expected, "{conn:?} hears another line than the next: {follower:?}");
        follower.next = Some(number + 1);
        self.count("lines to followers");
    }

    fn check_followers_farewell(&mut self, conn: ConnId, code: u16) {
        let Some(session) = self.sockets[&conn].follower().map(|follower| follower.session) else { return };
        let moves = code == 1012 && self.nodes.is_some();
        assert!(moves || [1000, 1008].contains(&code), "{conn:?} follows a log, and is closed with {code}");
        assert!(
            code != 1000 || self.book.state(session) == Some(State::Terminated),
            "{conn:?} is told the end of a log that goes on"
        );
        self.count(if code == 1000 { "ends of logs" } else { "followers sent away" });
    }

    /// When all is quiet, and time has passed: whoever follows has heard all that there is, and nobody follows what is over.
    pub(crate) fn check_followers(&self) {
        let mut live = 0;
        for (conn, socket) in self.sockets.iter().filter(|(_, own)| own.is_live()) {
            let Some(follower) = socket.follower() else { continue };
            live += 1;
            let row = &self.book.sessions[&follower.session];
            assert_ne!(row.state, State::Terminated, "{conn:?} follows what is over");
            let agent = self.agents.iter().position(|agent| row.agent.as_deref() == Some(agent.name)).expect("one of ours");
            let is_well = self.is_well(agent);
            let agent = &self.agents[agent];
            let count = agent.logs.get(&follower.session).copied().unwrap_or_default();
            let is_told = is_well && agent.dialect == Dialect::Contract && row.state == State::Running && count > 0;
            if is_told && (follower.tail > 0 || follower.next.is_some()) {
                assert_eq!(follower.next, Some(count), "{conn:?} has not heard all: {follower:?}");
            }
        }
        let counted: u64 = self.shards.iter().map(|shard| shard.counters.labs_followers.read()).sum();
        assert_eq!(counted, live, "followers");
    }
}
