//! Presence, wired to the shard: its effects and its homes' outcomes.

use super::{Connection, Engine, Letter, Phase, Question, Rules, Since, Topic, audit, door::Bound};
use crate::{
    protocols::presence::{self, Effect, Event, FromHome, Gate, Homes, Notice, Outcome, ToHome, messages::Parser},
    realtime::{ConnId, Now, ShardId, table::Key},
    websocket::CloseReason,
};
use std::mem;

/// What decides who may come in.
pub(super) fn gate<'a>(rules: &'a Rules, parser: &'a mut Parser) -> Gate<'a> {
    Gate { authority: &rules.authority, permissions: &rules.permissions, settings: &rules.presence, parser }
}

impl Engine {
    pub(super) fn open_presence(&mut self, key: Key, now: Now) {
        let machine = presence::Connection::open(&self.rules.presence, &mut self.effects);
        if let Some(connection) = self.connections.at_mut(key) {
            connection.phase = Phase::Presence(machine);
        }
        self.apply(key, now);
    }

    /// Lets the connection's machine handle an event, if it has one, and does what it wants done.
    pub(super) fn presence_event(&mut self, key: Key, event: Event<'_>, now: Now) {
        let conn = self.conn_id(key);
        let Some(Connection { phase: Phase::Presence(machine), .. }) = self.connections.at_mut(key) else { return };
        let (was_live, joins_since) = (machine.is_live(), machine.joins_since());
        machine.handle(event, conn, now, &mut gate(&self.rules, &mut self.parser), &mut self.effects);
        let is_live = machine.is_live();
        if let Some(since) = joins_since.filter(|_| is_live) {
            self.counters.sign_in.record(now.wall.since(since));
        }
        self.live = self.live + usize::from(is_live) - usize::from(was_live);
        self.apply(key, now);
    }

    pub(super) fn presence_stopping(&mut self, key: Key, now: Now) {
        self.presence_event(key, Event::Stopping, now);
    }

    pub(super) fn permission(&mut self, conn: ConnId, allowed: Option<bool>, now: Now) {
        self.presence_event(self.key(conn), Event::Permission(allowed), now);
    }

    /// A home's word to a connection. One that is gone still owes the home its word.
    pub(super) fn home_says(&mut self, from: ShardId, conn: ConnId, letter: FromHome, now: Now) {
        let key = self.key(conn);
        if letter == FromHome::Parted {
            return self.parted(conn);
        }
        if letter == FromHome::Bereft {
            // That his row is over is so whoever says it: a connection has one, and its home may be another's by now, which does not know.
            return self.close_for_restart(key, now);
        }
        if !self.crossing.is_alone() && !self.is_home(from, key, &letter) {
            return;
        }
        if self.connections.at(key).is_some_and(|connection| matches!(connection.phase, Phase::Presence(_))) {
            return self.presence_event(key, Event::Home(letter), now);
        }
        match letter {
            FromHome::Replaced { classroom, place } => {
                self.post(self.home_of(classroom), Letter::Home(ToHome::Told { conn, classroom, place }));
            }
            FromHome::Seated { .. } | FromHome::Refused(_) | FromHome::Parted | FromHome::Bereft => {}
        }
    }

    /// Whether whoever says this to a connection is the home of its room. A former one does not count: the new one has been told of it.
    fn is_home(&self, from: ShardId, key: Key, letter: &FromHome) -> bool {
        let own = || match self.connections.at(key) {
            Some(Connection { phase: Phase::Presence(machine), .. }) => machine.classroom(),
            Some(_) | None => None,
        };
        let classroom = match letter {
            FromHome::Replaced { classroom, .. } => Some(*classroom),
            FromHome::Seated { .. } | FromHome::Refused(_) | FromHome::Parted | FromHome::Bereft => own(),
        };
        classroom.is_some_and(|classroom| self.speaks_as_home(from, classroom.as_bytes()))
    }

    /// Does what the connection's machine wants done.
    pub(super) fn apply(&mut self, key: Key, now: Now) {
        let mut effects = mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Notify(notice) => {
                    if notice == Notice::Seated {
                        self.counters.presence_success.one();
                        let room = self
                            .connections
                            .at_mut(key)
                            .and_then(Connection::presence_mut)
                            .and_then(|machine| machine.classroom());
                        self.note_sign_in(key, "presence", room.map(|room| room.to_string()), now);
                    }
                    self.notify(key, notice);
                }
                Effect::Fail(error) => {
                    self.counters.presence_errors[error.index()].one();
                    if error == presence::SessionError::Replaced {
                        // What was said before the key was another's is not said to that one.
                        self.hear_topics(key);
                    }
                    match audit::of_presence(error) {
                        Some(reason) => self.note_refusal(key, "presence", None, reason, now),
                        None => self.sign_ins.failed(key.slot, error.wire().0, now),
                    }
                    self.unlisten(key);
                    self.notify_failure(key, error);
                    self.part(key, false, now);
                }
                Effect::Timer(after) => self.set_timer(key, after, now),
                Effect::Home(letter @ ToHome::Leave { .. }) => self.post_leave(letter),
                Effect::Home(ToHome::Join { agent, .. }) if !self.claim(key, &("presence", agent.account())) => {
                    if let Some(machine) = self.connections.at_mut(key).and_then(Connection::presence_mut) {
                        machine.turn_away();
                    }
                    let who = agent.subject().to_owned();
                    self.note_refusal(key, "presence", Some(who), audit::of_door(Bound::UserConnections), now);
                    self.close_for(key, CloseReason::Policy, now);
                }
                Effect::Home(letter) => {
                    if let ToHome::Join { .. } = letter {
                        self.sign_ins.event(key.slot, "token_judged", now);
                    }
                    self.post(self.home_of(letter.classroom()), Letter::Home(letter));
                }
                Effect::Listen(classroom) => self.listen(key, Topic::Classroom(classroom)),
                Effect::Ask(question) => {
                    let conn = self.conn_id(key);
                    self.sign_ins.event(key.slot, "permission_asked", now);
                    self.questions.push(Question::Permission { conn, question });
                }
            }
        }
        self.effects = effects;
    }

    /// Lets homes act, and does what they want done.
    pub(super) fn with_homes(&mut self, act: impl FnOnce(&mut Homes, &mut Vec<Outcome>)) {
        let mut outcomes = mem::take(&mut self.outcomes);
        act(&mut self.homes, &mut outcomes);
        for outcome in outcomes.drain(..) {
            match outcome {
                Outcome::Tell(conn, letter) => self.post(conn.shard, Letter::Connection(conn, letter)),
                Outcome::Publish { classroom, frame, shards, except } => {
                    self.survey.published(classroom);
                    let (topic, since) = (Topic::Classroom(classroom), Since::of(self.turn));
                    for (shard, members) in shards {
                        let frame = frame.clone();
                        match except.filter(|conn| conn.shard == shard) {
                            None => self.post(shard, Letter::Publish { topic, frame, members, since }),
                            // Nobody else is there.
                            Some(_) if members <= 1 => {}
                            Some(conn) => {
                                self.post(shard, Letter::PublishBut { conn, topic, frame, members: members - 1, since });
                            }
                        }
                    }
                }
                Outcome::Deliver(conn, frame) => self.post(conn.shard, Letter::Deliver(conn, frame)),
                Outcome::Enter { ticket, entering } => self.questions.push(Question::Enter { ticket, entering }),
                Outcome::Leave(leaving) => self.questions.push(Question::Leave(leaving)),
                Outcome::Pass(ToHome::Ask { asker, number, ask }) => self.redirect((asker, number), ask),
                Outcome::Pass(bequest @ ToHome::Bequest(_)) => self.leave_to_home(bequest),
                Outcome::Pass(letter) => self.post(self.home_of(letter.classroom()), Letter::Home(letter)),
                Outcome::Reply { asker, number, reply } => self.post(asker, Letter::Reply { number, reply }),
                Outcome::Closed { .. } | Outcome::Tick(_) => unreachable!("homes settle these themselves"),
            }
        }
        self.outcomes = outcomes;
    }
}
