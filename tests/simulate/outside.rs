//! Those whom the engines ask and those who ask them: the store, the permission service, REST.

use crate::{
    clients::{self, Seat},
    faults::Fault,
    model::{Published, Session},
    world::{World, note},
};
use homeroom::{
    engine::{Answer, Question},
    protocols::presence::{
        asks::{Ask, Publication, Reply},
        record::{Entering, StoreFault},
    },
    realtime::{ClassroomId, ConnId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    task::{Poll, Waker},
};

/// A question that waits for its answer.
pub(crate) enum Asked {
    Enter { shard: usize, ticket: u64, entering: Entering, asked: u64 },
    Permission { shard: usize, conn: ConnId },
}

pub(crate) struct RestAsk {
    pub(crate) shard: usize,
    pub(crate) number: u64,
    /// The room whose list is asked for.
    pub(crate) members_of: Option<ClassroomId>,
}

impl World {
    pub(crate) fn answer_one(&mut self) {
        if !self.questions.is_empty() {
            let at = self.dice.below(self.questions.len());
            let fate = self.dice.below(100);
            self.answer(at, fate);
        }
    }

    /// `fate` of a hundred decides what comes of it.
    pub(crate) fn answer(&mut self, at: usize, fate: usize) {
        let now = self.now;
        match self.questions.remove(at) {
            Asked::Permission { shard, conn } => {
                let allowed = [Some(true), Some(false), None][usize::from(fate < 10) + usize::from(fate < 5)];
                note!(self, "{conn:?} permission: {allowed:?}");
                self.feed(shard).answer(Answer::Permission { conn, allowed }, now);
            }
            Asked::Enter { shard, ticket, entering, asked } => {
                if self.fault == Some(Fault::LostAnswer) && self.dice.percent(5) {
                    return;
                }
                let result = if fate < self.plan.busy {
                    Err(StoreFault::Busy)
                } else if fate < self.plan.busy + self.plan.failed {
                    Err(StoreFault::Failed)
                } else {
                    Ok(self.write_row(&entering, asked))
                };
                note!(self, "store to {shard}: {} {result:?}", entering.agent_id);
                self.model.tallies[shard].entering -= 1;
                self.feed(shard).answer(Answer::Entered { ticket, result }, now);
                if self.fault == Some(Fault::DoubledAnswer) && self.dice.percent(10) {
                    let result = Ok(self.write_row(&entering, asked));
                    self.feed(shard).answer(Answer::Entered { ticket, result }, now);
                }
            }
        }
    }

    pub(crate) fn write_row(&mut self, entering: &Entering, asked: u64) -> i64 {
        self.model.order += 1;
        self.last_session += 1;
        let seat = Seat { room: entering.classroom, agent: entering.agent_id.to_string() };
        self.model.sessions.insert(self.last_session, Session { seat, asked, answered: self.model.order, left: false });
        self.last_session
    }

    pub(crate) fn put(&mut self, shard: usize, question: Question) {
        self.model.order += 1;
        match question {
            Question::Permission { conn, .. } => self.questions.push(Asked::Permission { shard, conn }),
            Question::Enter { ticket, entering } => {
                self.check_enter(&entering);
                self.model.tallies[shard].entering += 1;
                self.questions.push(Asked::Enter { shard, ticket, entering, asked: self.model.order });
            }
            Question::Keep { ticket, record } => self.keep(shard, ticket, record),
            Question::KeepLabs { record, .. } => panic!("nobody is in the labs here, and {record:?} is to be kept"),
            Question::LoadLabs | Question::LoadRights { .. } => {}
            question @ (Question::KeepChat { .. }
            | Question::LoadSession(_)
            | Question::KeepTasks { .. }
            | Question::LoadTask(_)
            | Question::LoadExecution(_)
            | Question::LoadTasks { .. }
            | Question::CountTasks
            | Question::Model { .. }
            | Question::Tool { .. }
            | Question::StopRun { .. }) => panic!("nobody talks to agents here, and {question:?} is asked"),
            Question::LoadKeys => panic!("this node stands alone"),
            Question::Load(quiz) => self.load(shard, quiz),
            Question::Running { .. } => panic!("this node stands alone"),
            Question::Leave(leaving) => {
                note!(self, "row {} leaves", leaving.session);
                let session = self.model.sessions.get_mut(&leaving.session).expect("only what has a row leaves");
                assert!(!session.left, "session {} leaves twice", leaving.session);
                session.left = !(self.fault == Some(Fault::LostLeave) && self.dice.percent(20));
            }
        }
    }

    /// For one agent in one room there is one row, or one that is being written.
    pub(crate) fn check_enter(&self, entering: &Entering) {
        let same = |seat: &Seat| seat.room == entering.classroom && *seat.agent == *entering.agent_id;
        let row = self.model.sessions.values().any(|session| !session.left && same(&session.seat));
        let being_written = self.questions.iter().any(|asked| match asked {
            Asked::Enter { entering: other, .. } => other.classroom == entering.classroom && other.agent_id == entering.agent_id,
            Asked::Permission { .. } => false,
        });
        assert!(!row && !being_written, "a second row is asked for {} while there is one", entering.agent_id);
    }

    pub(crate) fn ask_something(&mut self) {
        let room = *self.dice.pick(&self.plan.rooms);
        let agents = self.agents(room);
        let ask = match self.dice.below(12) {
            0 => Ask::Members { classroom: room, after: 0, limit: 1_000 },
            1 => Ask::Counts { classrooms: vec![room] },
            2 => Ask::Close { classroom: room, agent_id: self.dice.pick(&agents).clone() },
            kind => {
                let receiver = (kind < 6).then(|| self.dice.pick(&agents).clone());
                self.publication(room, receiver)
            }
        };
        let shard = self.dice.below(self.shards.len());
        self.ask(shard, ask);
    }

    /// Whom to speak of: mostly those who are there.
    fn agents(&mut self, room: ClassroomId) -> Vec<String> {
        let members: Vec<String> = self.model.members(room).into_values().collect();
        if members.is_empty() || self.dice.percent(20) { clients::agents() } else { members }
    }

    fn publication(&mut self, classroom: ClassroomId, receiver: Option<String>) -> Ask {
        self.last_published += 1;
        let pad = "x".repeat(if self.dice.percent(15) { self.dice.below(3_000) } else { self.dice.below(300) });
        let payload = format!(r#"{{"n":{},"pad":"{pad}"}}"#, self.last_published).into();
        let event = Publication {
            entity_type: "load".into(),
            operation: "tick".into(),
            sequence_id: None,
            payload,
            receiver,
            sender: None,
        };
        Ask::Publish { classroom, event }
    }

    pub(crate) fn ask(&mut self, shard: usize, ask: Ask) {
        note!(self, "ask at {shard}: {}", brief(&ask));
        let members_of = if let Ask::Members { classroom, .. } = &ask { Some(*classroom) } else { None };
        if self.home(ask.classroom()) == shard {
            self.note_publication(shard, &ask);
        }
        let number = self.feed(shard).ask(ask);
        if self.dice.percent(10) {
            self.shards[shard].engine.forget_ask(number);
        } else {
            self.rest.push(RestAsk { shard, number, members_of });
        }
        // At once, so that the order in which the home hears of things is the order of this world.
        self.turn(shard);
    }

    /// A publication has reached its home.
    pub(crate) fn note_publication(&mut self, home: usize, ask: &Ask) {
        if let Ask::Publish { classroom, event } = ask {
            self.model.tallies[home].brought += event.payload.len() + 200;
            let number =
                event.payload[5..].split(',').next().and_then(|number| number.parse().ok()).expect("a number of this world");
            self.model.rooms.entry(*classroom).or_default().push(Published { number, receiver: event.receiver.clone() });
        }
    }

    pub(crate) fn poll_asks(&mut self) {
        for at in (0..self.rest.len()).rev() {
            let RestAsk { shard, number, members_of } = self.rest[at];
            if let Poll::Ready(reply) = self.shards[shard].engine.poll_reply(number, Waker::noop()) {
                self.rest.swap_remove(at);
                self.check_reply(&reply, members_of);
            }
        }
    }

    pub(crate) fn check_reply(&self, reply: &Reply, members_of: Option<ClassroomId>) {
        let Reply::Members(members) = reply else { return };
        assert!(members.is_sorted_by(|one, other| one.sequence_id < other.sequence_id), "a list out of order");
        for member in members {
            let session = self.model.sessions.get(&member.sequence_id).expect("a member has a row");
            assert_eq!((Some(session.seat.room), &session.seat.agent), (members_of, &member.agent_id), "a list of strangers");
            let same = members.iter().filter(|other| other.agent_id == member.agent_id).count();
            assert_eq!(same, 1, "{} is in the list twice", member.agent_id);
        }
    }

    /// When all is quiet, what is published goes to every shard that has listeners, and to no other.
    pub(crate) fn publish_to_all(&mut self) {
        for room in self.plan.rooms.clone() {
            let ask = self.publication(room, None);
            let home = self.home(room);
            let members = self.model.occupied().get(&room).copied().unwrap_or(0);
            self.note_publication(home, &ask);
            self.published_to = Some(BTreeSet::new());
            let number = self.feed(home).ask(ask);
            self.turn(home);
            let mut expected = self.model.listening(room);
            expected.remove(&home);
            assert_eq!(self.published_to.take(), Some(expected), "the shards that a publication to {room} went to");
            let reply = self.shards[home].engine.poll_reply(number, Waker::noop());
            let Poll::Ready(Reply::Published { members: told, .. }) = reply else { panic!("{room}: {reply:?} to a publication") };
            assert_eq!(told, members, "how many a publication to {room} went to");
            self.calm();
        }
    }

    /// Every room's list, asked for as REST does, is who is connected.
    pub(crate) fn check_lists(&mut self) {
        assert!(self.rest.is_empty(), "{} asks were never answered", self.rest.len());
        for room in self.plan.rooms.clone() {
            let shard = self.dice.below(self.shards.len());
            let number = self.feed(shard).ask(Ask::Members { classroom: room, after: 0, limit: 1_000 });
            self.calm();
            let Poll::Ready(Reply::Members(list)) = self.shards[shard].engine.poll_reply(number, Waker::noop()) else {
                panic!("a list that was asked for did not come");
            };
            let list: BTreeMap<i64, String> = list.into_iter().map(|member| (member.sequence_id, member.agent_id)).collect();
            assert_eq!(list, self.model.members(room), "the list of {room} and its live sockets");
        }
    }
}

fn brief(ask: &Ask) -> String {
    match ask {
        Ask::Publish { event, .. } => format!("publish {:.12} to {:?}", event.payload, event.receiver),
        Ask::Members { .. } | Ask::Counts { .. } | Ask::Close { .. } => format!("{ask:?}"),
    }
}
