//! What must hold of sockets and sessions, at every moment and when all is quiet.

use super::{
    ears::Pass,
    followers::{self, Follower},
    people::Author,
    world::Chat,
};
use homeroom::{
    protocols::chat::model::Status,
    realtime::{ConnId, StoreFault, UnixMicros, wheel::TICK_MICROS},
};
use std::{collections::BTreeSet, time::Duration};

impl Chat {
    /// Why a socket was closed.
    pub(crate) fn check_farewell(&mut self, conn: ConnId, code: u16) {
        let (session, since) = (self.ears[&conn].session, self.ears[&conn].since);
        let is_unread = code == 1013 && self.may_refuse(StoreFault::Busy, session, since);
        let (ear, plug) = (&self.ears[&conn], &self.stage.plugs[&conn]);
        let row = self.book.sessions.get(&ear.session);
        let has_ended = row.is_some_and(|row| row.status == Status::Ended);
        let error = ear.error.as_deref();
        let is_right = match code {
            1000 => has_ended || ear.says_goodbye,
            1008 => match error {
                Some("WS_AUTH_FAILED") => !matches!(ear.pass, Pass::Good(_)) || !ear.is_greeted,
                Some("WS_SESSION_INVALID") => !ear.may_hear || has_ended || self.is_silent(ear.session),
                Some("RATE_LIMITED") => true,
                // A Pong is waited for twice as long, and more.
                _ => !plug.pongs || plug.delay >= Duration::from_secs(25),
            },
            // Who hears too late that the home has moved may have missed an answer.
            1012 => self.is_stopping || self.stage.moves() > 0,
            1013 => match error {
                // The session could not be read.
                Some("WS_CONNECTION_CLOSED") => is_unread,
                // What one turn brings is never too much, unless the last send is on its way still.
                _ => plug.was_late,
            },
            _ => false,
        };
        assert!(is_right, "{conn:?} is closed with {code}: {ear:?}");
        if code == 1013 && error != Some("WS_CONNECTION_CLOSED") {
            self.count("too slow to hear all");
        }
        *self.counts.entry(format!("Close {code}")).or_default() += 1;
    }

    /// When all letters have arrived, whatever the store does: nobody waits for one that is silent.
    pub(crate) fn check_silence(&self) {
        if self.stage.mesh.iter().any(|letters| !letters.is_empty()) {
            return;
        }
        let silent = self.outside.silent(self.stage.now.wall);
        let ask = self.asks.iter().find(|pending| silent.contains(&pending.ask.session()));
        assert!(ask.is_none(), "the store is silent, and this waits: {ask:?}");
        // A stream that has begun hears the rest when there is any.
        let is_row = |follower: &&Follower| !(follower.streamed && follower.has_begun);
        let waiting = self.followers.iter().filter(|follower| follower.stage == followers::Stage::Waiting).filter(is_row);
        let request = waiting.map(|follower| (follower.session, follower.answer)).find(|(session, _)| silent.contains(session));
        assert!(request.is_none(), "the store is silent, and this waits: {request:?}");
    }

    /// When all letters have arrived, whatever models do: who hears, hears what is being given, and nothing is given that nobody wants.
    pub(crate) fn check_prompt(&self) {
        self.check_left();
        for conn in self.stage.live() {
            let ear = &self.ears[&conn];
            if ear.is_greeted {
                ear.check_quiet(&self.book);
                let running = self.book.running(ear.session).map(|answer| answer.id);
                assert!(ear.unwanted.is_none() || ear.unwanted != running, "{conn:?} wants no more, and it is still given");
            }
        }
    }

    /// When all is quiet: who hears, hears what is being given; what is over has been told; and nothing is held for those who have gone.
    pub(crate) fn check_rest(&mut self) {
        assert!(self.asks.is_empty(), "asks were never answered: {:?}", self.asks);
        assert!(self.counts_open.is_empty(), "requests were never counted");
        self.check_windows();
        self.check_unkept();
        self.check_prompt();
        self.check_ears();
        self.check_followers();
        self.check_allowed();
        let now = self.stage.now.wall;
        for answer in self.book.all_running() {
            let mut asked = self.book.pending().filter(|approval| approval.message == answer.id);
            assert!(asked.next().is_some(), "{} is being given, and waits for nobody: {answer:?}", answer.id);
        }
        for approval in self.book.pending() {
            // Its timer may fire a tick late.
            let due = approval.expires_at.0 + TICK_MICROS as i64;
            assert!(due > now.0, "{} has expired, and is pending", approval.id);
        }
        self.check_levels();
    }

    /// What could not be stored when it was told, is on disk by now as it was told.
    fn check_unkept(&mut self) {
        for hearing in std::mem::take(&mut self.unkept) {
            hearing.compare(&self.book).unwrap_or_else(|why| panic!("{hearing:?}: {why}"));
        }
    }

    fn check_ears(&self) {
        for conn in self.stage.live() {
            let ear = &self.ears[&conn];
            assert!(matches!(ear.pass, Pass::Good(_)) && ear.may_hear, "{conn:?} is there, and may hear nothing: {ear:?}");
            assert!(!self.book.has_ended(ear.session), "{conn:?} is in a session that has ended");
            let running = self.book.running(ear.session);
            let is_there = |(content, _): &&(String, UnixMicros)| {
                let is_own = matches!(self.author(content), Some(Author::Socket(own, _)) if own == conn);
                is_own && self.book.with_words(content).is_some()
            };
            let begun = ear.said.iter().filter(is_there).count();
            let open = ear.said.len() - begun;
            let is_behind = running.is_some() && open >= ear.refused;
            assert!(
                open == ear.refused || is_behind,
                "{conn:?} said {}, {begun} are there, {} refused",
                ear.said.len(),
                ear.refused
            );
        }
    }

    /// Nothing is held that nobody needs.
    fn check_levels(&mut self) {
        let live: Vec<ConnId> = self.stage.live();
        let running: BTreeSet<_> = self.book.all_running().map(|answer| answer.session).collect();
        let heard = live.iter().map(|conn| self.ears[conn].session);
        let sessions: BTreeSet<_> = heard.chain(running.iter().copied()).collect();
        let topics: BTreeSet<_> = live.iter().map(|conn| (conn.shard, self.ears[conn].session)).collect();
        let stage = &self.stage;
        let levels = [
            ("sockets", stage.level(|counters| counters.chat_sockets.read()), live.len()),
            ("sessions", stage.level(|counters| counters.chat_sessions.read()), sessions.len()),
            ("answers", stage.level(|counters| counters.chat_answers.read()), running.len()),
            ("approvals", stage.level(|counters| counters.chat_approvals.read()), self.book.pending().count()),
            ("writing", stage.level(|counters| counters.chat_writing.read()), 0),
            ("played", stage.level(|counters| counters.models_played.read()), 0),
            ("asked", stage.level(|counters| counters.models_asked.read()), self.elsewhere.live()),
            ("topics", stage.level(|counters| counters.topics.read()), topics.len()),
            ("connections", stage.level(|counters| counters.connections.read()), stage.plugs.len()),
        ];
        for (name, level, expected) in levels {
            assert_eq!(level, expected as u64, "{name}");
        }
    }

    /// Whoever was to be waited for has been waited for: nothing runs any more, and nobody is asked for leave.
    pub(crate) fn check_over(&self) {
        let running: Vec<_> = self.book.all_running().collect();
        assert!(running.is_empty(), "these are given for ever: {running:?}");
        let pending: Vec<_> = self.book.pending().collect();
        assert!(pending.is_empty(), "nobody ends the wait for these: {pending:?}");
        assert_eq!(self.elsewhere.live(), 0, "models and tools run for ever");
    }

    /// All have gone: nothing is left of anything.
    pub(crate) fn check_empty(&self) {
        self.check_over();
        assert_eq!(self.stage.plugs.len(), 0, "sockets are left");
        let timers = self.stage.level(|counters| counters.timers.read());
        let sessions = self.stage.level(|counters| counters.chat_sessions.read());
        assert_eq!((timers, sessions), (0, 0), "timers and sessions are left");
        assert!(self.stage.shards.iter().all(|shard| shard.engine.is_empty()), "connections are left");
    }
}
