//! What must be so when all has come to rest: one picture of each room, wherever one looks.

use super::{
    store::{Peer, Row},
    world::Cluster,
};
use homeroom::{
    engine::Engine,
    protocols::presence::asks::{Ask, Reply},
    realtime::{ClassroomId, ConnId},
};
use std::{
    collections::BTreeMap,
    task::{Poll, Waker},
};

impl Cluster {
    /// All is at rest.
    pub(crate) fn check(&mut self) {
        let shards = self.all_shards();
        assert!(
            shards.iter().all(|(peer, shard)| self.engine(*peer, *shard).is_some_and(Engine::is_whole)),
            "a view is never reached"
        );
        let mut holders: BTreeMap<(ClassroomId, String), (Peer, ConnId)> = BTreeMap::new();
        for (key, student) in self.students.iter().filter(|(_, student)| !student.is_over) {
            assert!(student.is_in, "{key:?} waits for ever: {student:?}");
            holders.insert((student.room, student.agent.clone()), *key);
        }
        let mut rows: BTreeMap<_, _> =
            self.store.rows.iter().map(|(session, row)| ((row.room, row.agent.clone()), (row.peer, *session))).collect();
        assert_eq!(rows.len(), self.store.rows.len(), "a seat has two rows");
        let orphaned: Vec<_> = rows.keys().filter(|seat| !holders.contains_key(seat)).cloned().collect();
        assert!(orphaned.iter().all(|seat| self.store.orphaned.contains(seat)), "rows of nobody: {orphaned:?}");
        rows.retain(|seat, _| !orphaned.contains(seat));
        assert_eq!(rows.keys().collect::<Vec<_>>(), holders.keys().collect::<Vec<_>>(), "rows, and who is there");
        for (seat, (peer, _)) in &rows {
            assert_eq!(*peer, holders[seat].0, "the row of {seat:?} is another node's");
        }
        for room in self.rooms.clone() {
            let listed = self.list(room);
            let sessions: Vec<_> = listed.iter().map(|(session, _)| *session).collect();
            assert!(sessions.is_sorted(), "{sessions:?}");
            let expected = rows.iter().filter(|((own, _), _)| *own == room).map(|((_, agent), (_, session))| (agent, session));
            let expected: BTreeMap<_, _> = expected.collect();
            assert_eq!(
                listed.iter().map(|(session, agent)| (agent, session)).collect::<BTreeMap<_, _>>(),
                expected,
                "the list of {room}"
            );
        }
        self.check_pictures(&holders);
        self.check_school();
        self.check_listening();
    }

    fn check_pictures(&self, holders: &BTreeMap<(ClassroomId, String), (Peer, ConnId)>) {
        for (key, student) in self.students.iter().filter(|(_, student)| !student.is_over && !student.is_blurred) {
            for (agent, is_there) in &student.last {
                let seat = (student.room, agent.clone());
                assert_eq!(*is_there, holders.contains_key(&seat), "{key:?} thinks otherwise of {agent}");
            }
            for agent in &student.before {
                let seat = (student.room, agent.clone());
                let knows = student.last.contains_key(agent) || holders.contains_key(&seat);
                assert!(knows, "{key:?} never heard that {agent} left");
            }
            for (other, own) in
                self.students.iter().filter(|(other, own)| *other != key && own.room == student.room && !own.is_over)
            {
                let knows = student.before.contains(&own.agent)
                    || student.last.contains_key(&own.agent)
                    || own.before.contains(&student.agent);
                assert!(knows, "neither of {key:?} and {other:?} knows of the other");
            }
        }
    }

    /// The list of a room, as a shard that the dice choose has it told.
    fn list(&mut self, room: ClassroomId) -> Vec<(i64, String)> {
        let shards = self.all_shards();
        let (peer, shard) = *self.dice.pick(&shards);
        let ask = Ask::Members { classroom: room, after: 0, limit: 100 };
        let number = self.feed(peer, shard).expect("it lives").ask(ask);
        self.come_to_rest();
        match self.feed(peer, shard).expect("it lives").poll_reply(number, Waker::noop()) {
            Poll::Ready(Reply::Members(members)) => members.into_iter().map(|own| (own.sequence_id, own.agent_id)).collect(),
            other => panic!("the list of {room}: {other:?}"),
        }
    }

    /// All have gone, and nothing is left of them.
    pub(crate) fn check_empty(&mut self) {
        let is_orphaned = |row: &Row| self.store.orphaned.contains(&(row.room, row.agent.clone()));
        assert!(self.store.rows.values().all(is_orphaned), "rows of nobody");
        for (peer, shard) in self.all_shards() {
            self.turn(peer, shard);
            let counters = self.engine(peer, shard).map(Engine::counters).expect("it lives");
            let levels = [&counters.connections, &counters.rooms, &counters.members, &counters.entering, &counters.timers];
            assert_eq!(levels.map(|level| level.read()), [0; 5], "{peer:?} {shard}: levels when all have left");
            let levels = [&counters.quiz_owners, &counters.quiz_participants, &counters.quiz_watching, &counters.quizzes];
            assert_eq!(levels.map(|level| level.read()), [0; 4], "{peer:?} {shard}: levels when all have left");
            let levels = [&counters.attempts, &counters.quiz_writing, &counters.quiz_waiting, &counters.topics];
            assert_eq!(levels.map(|level| level.read()), [0; 4], "{peer:?} {shard}: levels when all have left");
        }
    }
}
