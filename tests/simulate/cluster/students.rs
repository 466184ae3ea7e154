//! Students: they sign in on any node, hear who comes and goes, and leave.

use super::{store::Peer, world::Cluster};
use crate::{
    clients::{SUBJECTS, connect_request, head, masked, token},
    labs::socket::{Heard, heard},
    world::note,
};
use homeroom::{
    engine::Listener,
    realtime::{ClassroomId, ConnId},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One socket and what was heard on it.
#[derive(Debug)]
pub(crate) struct Student {
    pub(crate) room: ClassroomId,
    pub(crate) agent: String,
    /// It was told that it is in.
    pub(crate) is_in: bool,
    /// It is over: told so, ended by itself, or its node is none any more.
    pub(crate) is_over: bool,
    /// A home of its room has died: what that had not told everybody nobody tells.
    pub(crate) is_blurred: bool,
    /// Who was in when it came in.
    pub(crate) before: BTreeSet<String>,
    entered: BTreeSet<i64>,
    left: BTreeSet<i64>,
    /// Of each whom it heard of: whether the last was that it entered.
    pub(crate) last: BTreeMap<String, bool>,
}

impl Cluster {
    /// Somebody comes and says at once who it is.
    pub(crate) fn sign_in(&mut self) {
        let open: Vec<_> = self.all_shards().into_iter().filter(|(peer, shard)| self.serves(*peer, *shard)).collect();
        if open.is_empty() {
            return;
        }
        let (peer, shard) = *self.dice.pick(&open);
        let (room, subject) = (*self.dice.pick(&self.rooms), self.dice.below(SUBJECTS));
        let label = *self.dice.pick(&["web", "app"]);
        let request = connect_request(label, room, token("school", subject));
        let said = [head("/ws", true), masked(&mut self.dice, 0x81, request.as_bytes())].concat();
        let now = self.now;
        let Some(conn) = self.feed(peer, shard).and_then(|engine| engine.accepted(Listener(0), now)) else { return };
        let agent = format!("{label}.u{subject}.school");
        note!(self, "{peer:?} {conn:?} is {agent} in {room}");
        let student = Student {
            room,
            agent,
            is_in: false,
            is_over: false,
            // Before a home has heard of two deaths it may tell again what it told when it was the home before.
            is_blurred: self.is_blurred(room),
            before: BTreeSet::new(),
            entered: BTreeSet::new(),
            left: BTreeSet::new(),
            last: BTreeMap::new(),
        };
        self.students.insert((peer, conn), student);
        if let Some(engine) = self.feed(peer, shard) {
            engine.received(conn, &said, now);
        }
    }

    /// A student goes.
    pub(crate) fn go(&mut self, (peer, conn): (Peer, ConnId)) {
        note!(self, "{peer:?} {conn:?} goes");
        if let Some(student) = self.students.get_mut(&(peer, conn)) {
            student.is_over = true;
        }
        let now = self.now;
        if let Some(engine) = self.feed(peer, conn.shard) {
            engine.ended(conn, now);
        }
    }

    /// Those who are there, as far as they know.
    pub(crate) fn there(&self) -> Vec<(Peer, ConnId)> {
        self.students.iter().filter(|(_, student)| !student.is_over).map(|(key, _)| *key).collect()
    }

    /// A socket was handed bytes. Whether a Pong is due.
    pub(crate) fn hears(&mut self, key: (Peer, ConnId), bytes: &[u8]) -> bool {
        let mut pings = false;
        for frame in heard(bytes) {
            note!(self, "{key:?} hears {frame:?}");
            if self.school.listening.contains_key(&key) {
                pings |= frame == Heard::Ping;
                self.listener_hears(key, &frame);
                continue;
            }
            match frame {
                Heard::Http(status) => assert_eq!(status, 101, "the upgrade is good"),
                Heard::Ping => pings = true,
                Heard::Close(_) => self.is_told_its_end(key),
                Heard::Text(text) => self.is_told(key, &text),
                Heard::Binary(_) => panic!("nobody is sent bytes"),
            }
        }
        pings
    }

    /// The server has ended a connection, whatever it had still to say.
    pub(crate) fn is_cut(&mut self, key: (Peer, ConnId)) {
        if let Some(listening) = self.school.listening.get_mut(&key) {
            listening.is_over = true;
        }
        self.is_told_its_end(key);
    }

    fn is_told_its_end(&mut self, key: (Peer, ConnId)) {
        if let Some(student) = self.students.get_mut(&key) {
            student.is_over = true;
        }
    }

    fn is_told(&mut self, key: (Peer, ConnId), text: &Value) {
        match text["type"].as_str() {
            Some("connect_success") => self.is_let_in(key),
            Some("unrecoverable_session_error") => {
                self.count(if text["payload"]["type"] == "replaced" { "replaced" } else { "refused" });
                self.is_told_its_end(key);
            }
            Some(other) => panic!("{key:?} is told {other}"),
            None => self.hears_of(key, text),
        }
    }

    fn is_let_in(&mut self, key: (Peer, ConnId)) {
        self.count("signed in");
        // Of one that is a node no more nobody believes anything.
        if !self.store.is_member(key.0) {
            return self.is_told_its_end(key);
        }
        let (room, agent) = self.students.get(&key).map(|own| (own.room, own.agent.clone())).expect("a student who was let in");
        let others = self.students.iter().filter(|(other, own)| **other != key && own.is_in && !own.is_over && own.room == room);
        let before: BTreeSet<String> = others.map(|(_, own)| own.agent.clone()).collect();
        assert!(!before.contains(&agent), "{key:?} is let in as {agent} while another is");
        if let Some(student) = self.students.get_mut(&key) {
            assert!(!student.is_in, "{key:?} is let in twice");
            (student.is_in, student.before) = (true, before);
        }
    }

    fn hears_of(&mut self, key: (Peer, ConnId), text: &Value) {
        let Some(student) = self.students.get_mut(&key) else { return };
        let agent = text["payload"]["agent_id"].as_str().expect("an event of an agent").to_owned();
        let session = text["id"]["sequence_id"].as_i64().expect("a number");
        if student.is_over {
            return;
        }
        assert!(student.is_in, "{key:?} hears of {agent} before it is let in");
        let entered = text["id"]["operation"] == "entered";
        let is_news = if entered { student.entered.insert(session) } else { student.left.insert(session) };
        let is_late = entered && student.left.contains(&session);
        assert!(student.is_blurred || (is_news && !is_late), "{key:?} hears twice, or too late, of {agent} {session}");
        student.last.insert(agent, entered);
        self.count(if entered { "entered" } else { "left" });
    }
}
