//! The one store of all nodes: rows of sessions, and who is a node. It takes nothing of one that was buried.

use super::{faults::Fault, world::Cluster};
use crate::{nodes::nothing_left, world::note};
use homeroom::{
    engine::{Answer, Question},
    protocols::presence::record::{Buried, Entering},
    realtime::{ClassroomId, HashRing, NodeSlot, ShardId, StoreFault, View, view::Member},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::Arc,
};

/// One node, as nobody else ever is: its slot and its epoch.
pub(crate) type Peer = (NodeSlot, u64);

/// A session's row.
pub(crate) struct Row {
    pub(crate) room: ClassroomId,
    pub(crate) agent: String,
    /// Whose connection it is.
    pub(crate) peer: Peer,
}

/// See the file.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) rows: BTreeMap<i64, Row>,
    last: i64,
    /// The nodes, by slot.
    pub(crate) members: BTreeMap<NodeSlot, Member>,
    /// Every view that there was.
    pub(crate) views: Vec<Arc<HashRing>>,
    /// Seats of which nobody may ever end the row, since their home died before it had done so.
    pub(crate) orphaned: BTreeSet<(ClassroomId, String)>,
    asked: VecDeque<(Peer, ShardId, Question)>,
    pub(crate) answers: VecDeque<(Peer, ShardId, Answer)>,
    reads: Vec<(Peer, ShardId, Question)>,
    /// It takes nothing: who asks to be let in is told so or waits, who leaves waits.
    pub(crate) is_away: bool,
}

impl Store {
    pub(crate) fn is_member(&self, peer: Peer) -> bool {
        self.members.get(&peer.0).is_some_and(|member| member.epoch == peer.1)
    }

    pub(crate) fn newest(&self) -> Arc<HashRing> {
        self.views.last().expect("there is a node from the beginning").clone()
    }

    /// A node takes a slot.
    pub(crate) fn join(&mut self, member: Member) {
        self.members.insert(member.slot, member);
        self.count_view();
    }

    /// A node is none any more: whose rows ended with it, and those of the others.
    pub(crate) fn bury(&mut self, peer: Peer) -> Vec<Buried> {
        self.members.remove(&peer.0);
        self.count_view();
        self.end_rows(peer)
    }

    /// A node is back at once, and has buried its own last life as it took its place: who was in rooms that had their home there.
    pub(crate) fn take_over(&mut self, peer: Peer, member: Member) -> Vec<Buried> {
        let (last, mut buried) = (self.newest(), self.end_rows(peer));
        self.join(member);
        buried.retain(|one| last.home(one.classroom.as_bytes()).node() == peer.0);
        buried
    }

    fn end_rows(&mut self, peer: Peer) -> Vec<Buried> {
        let gone = self.rows.extract_if(.., |_, row| row.peer == peer);
        let of = |session: i64, row: &Row, is_over| Buried {
            classroom: row.room,
            agent_id: row.agent.as_str().into(),
            session,
            is_over,
        };
        let mut buried: Vec<Buried> = gone.map(|(session, row)| of(session, &row, true)).collect();
        buried.extend(self.rows.iter().map(|(session, row)| of(*session, row, false)));
        buried
    }

    fn count_view(&mut self) {
        let view = View::new(self.views.len() as u64 + 1, self.members.values().copied().collect());
        self.views.push(Arc::new(HashRing::of(Arc::new(view))));
    }

    /// A shard asks. What is only read is read beside what is written.
    pub(crate) fn ask(&mut self, peer: Peer, shard: ShardId, questions: Vec<Question>) {
        for question in questions {
            if let Some(answer) = nothing_kept(&question) {
                self.answers.push_back((peer, shard, answer));
                continue;
            }
            match question {
                Question::Load(_) | Question::Running { .. } => self.reads.push((peer, shard, question)),
                _ => self.asked.push_back((peer, shard, question)),
            }
        }
    }

    fn orphan(&mut self, session: i64) {
        self.orphaned.extend(self.rows.get(&session).map(|row| (row.room, row.agent.clone())));
    }

    /// A node is no more, or soon will be: what it asked, or is to be answered, it may never act by.
    pub(crate) fn orphan_all(&mut self, peer: Peer) {
        let mut sessions = Vec::new();
        for (_, _, question) in self.asked.iter().filter(|(own, _, _)| *own == peer) {
            match question {
                Question::Enter { entering, .. } => self.orphaned.extend([(entering.classroom, entering.agent_id.to_string())]),
                Question::Leave(leaving) => sessions.push(leaving.session),
                _ => {}
            }
        }
        let answers = self.answers.iter().filter(|(own, _, _)| *own == peer);
        sessions.extend(answers.filter_map(|(_, _, answer)| match answer {
            Answer::Entered { result, .. } => result.ok(),
            _ => None,
        }));
        sessions.into_iter().for_each(|session| self.orphan(session));
    }

    fn enter(&mut self, entering: Entering, forgets: bool) -> Result<i64, StoreFault> {
        let epoch = self.members.get(&entering.node).ok_or(StoreFault::Failed)?.epoch;
        let (peer, agent) = ((entering.node, epoch), entering.agent_id.to_string());
        let own = entering.session.and_then(|session| Some((session, self.rows.get_mut(&session)?)));
        if let Some((session, row)) = own {
            assert_eq!((row.room, &row.agent), (entering.classroom, &agent), "{session} is another's");
            if !forgets {
                row.peer = peer;
            }
            return Ok(session);
        }
        self.rows.retain(|_, row| (row.room, &row.agent) != (entering.classroom, &agent));
        self.last += 1;
        self.rows.insert(self.last, Row { room: entering.classroom, agent, peer });
        Ok(self.last)
    }
}

/// Of labs and tasks there is nothing here.
fn nothing_kept(question: &Question) -> Option<Answer> {
    match question {
        Question::LoadLabs => Some(Answer::LabsLoaded(Ok(Box::default()))),
        Question::LoadRights { .. } => Some(Answer::RightsLoaded(Ok(Box::default()))),
        Question::Running { .. } => None,
        other => nothing_left(other),
    }
}

impl Cluster {
    /// The store does what some node asked first, or reads something. Whether there was something.
    pub(crate) fn work(&mut self) -> bool {
        if !self.store.reads.is_empty() && self.dice.percent(30) {
            return self.read_some();
        }
        if self.store.is_away {
            return self.refuse_one();
        }
        if self.store.asked.is_empty() {
            return !self.store.reads.is_empty() && self.read_some();
        }
        // Each node's are done in order, and those of several in any.
        let peer = self.store.asked[self.dice.below(self.store.asked.len())].0;
        let at = self.store.asked.iter().position(|own| own.0 == peer).unwrap_or_default();
        if let Some((peer, shard, question)) = self.store.asked.remove(at) {
            self.do_one(peer, shard, question);
        }
        true
    }

    fn do_one(&mut self, peer: Peer, shard: ShardId, question: Question) {
        let is_member = self.store.is_member(peer);
        match question {
            Question::Enter { ticket, entering } => {
                note!(self, "store: {peer:?} {entering:?}");
                let forgets = entering.session.is_some() && self.strikes(Fault::ForgottenAdoption, 50);
                self.count(if entering.session.is_some() { "rows taken over" } else { "rows" });
                let result = if is_member { self.store.enter(entering, forgets) } else { Err(StoreFault::Failed) };
                self.store.answers.push_back((peer, shard, Answer::Entered { ticket, result }));
            }
            Question::Leave(leaving) => {
                note!(self, "store: {peer:?} {leaving:?}");
                if is_member {
                    self.store.rows.remove(&leaving.session);
                } else {
                    self.store.orphan(leaving.session);
                }
            }
            Question::Keep { ticket, record } => {
                let is_taken = is_member || self.strikes(Fault::UnfencedRecords, 100);
                self.keep_record((peer, shard), ticket, &record, is_taken);
            }
            other => panic!("nobody asks for {other:?}"),
        }
    }

    fn read_some(&mut self) -> bool {
        let at = self.dice.below(self.store.reads.len());
        let (peer, shard, question) = self.store.reads.swap_remove(at);
        let fails = self.store.is_away;
        match question {
            Question::Load(quiz) => self.read_quiz((peer, shard), quiz, fails),
            Question::Running { look } => self.read_running((peer, shard), look, fails),
            other => panic!("{other:?} is not read"),
        }
        true
    }

    /// It is away: one of those who wait for their row is told that, now and then.
    fn refuse_one(&mut self) -> bool {
        let waits = |own: &(Peer, ShardId, Question)| !matches!(own.2, Question::Leave(_));
        let Some(at) = self.store.asked.iter().position(waits).filter(|_| self.dice.percent(30)) else { return false };
        let Some((peer, shard, question)) = self.store.asked.remove(at) else { return false };
        // A database that is away is busy. That it fails is another matter, but whoever has no row yet may as well hear that.
        let may_fail = !matches!(&question, Question::Enter { entering, .. } if entering.session.is_some());
        let fault = if may_fail && self.dice.percent(50) { StoreFault::Failed } else { StoreFault::Busy };
        note!(self, "store: away, {fault:?} to {peer:?} {shard} {question:?}");
        let answer = match question {
            Question::Enter { ticket, .. } => Answer::Entered { ticket, result: Err(fault) },
            Question::Keep { ticket, .. } => Answer::Kept { ticket, result: Err(fault) },
            other => panic!("nobody waits for {other:?}"),
        };
        self.store.answers.push_back((peer, shard, answer));
        true
    }

    /// The first answer comes. Whether there was one.
    pub(crate) fn answer(&mut self) -> bool {
        let Some((peer, shard, answer)) = self.store.answers.pop_front() else { return false };
        let now = self.now;
        if let Some(engine) = self.feed(peer, shard) {
            engine.answer(answer, now);
        }
        true
    }

    /// What a process that died had asked may have come to the store, or not.
    pub(crate) fn forget_some_questions(&mut self, peer: Peer) {
        for asked in mem::take(&mut self.store.asked) {
            if asked.0 != peer || self.dice.percent(50) {
                self.store.asked.push_back(asked);
            }
        }
        self.store.reads.retain(|asked| asked.0 != peer);
        self.store.answers.retain(|answered| answered.0 != peer);
    }
}
