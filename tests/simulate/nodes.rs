//! The nodes of a stage that has several: who is there by which view, and which shards have yet to hear of it.

use homeroom::{
    engine::{Answer, Question},
    realtime::{HashRing, NodeSlot, ShardId, View, view::Member},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// What the store of a world without quizzes and tasks answers to shards that look for them at a view; none: they ask something else.
pub(crate) fn nothing_left(question: &Question) -> Option<Answer> {
    match question {
        Question::Running { look } => Some(Answer::Running { look: *look, result: Ok(Vec::new()) }),
        Question::LoadKeys => Some(Answer::KeysLoaded(Ok(Box::default()))),
        Question::LoadTasks { survey, .. } => Some(Answer::TasksLeft { survey: *survey, result: Ok(Box::default()) }),
        Question::CountTasks => Some(Answer::TasksCounted(Ok(Default::default()))),
        _ => None,
    }
}

/// See the file.
pub(crate) struct Nodes {
    /// How many shards each has.
    shards: Vec<u8>,
    /// How many are there when all begin.
    first: usize,
    joined: usize,
    /// Of the processes that run now.
    epoch: u64,
    number: u64,
    moves: usize,
    /// By shard: the views that it has not heard of, in turn.
    told: BTreeMap<ShardId, VecDeque<Arc<HashRing>>>,
}

impl Nodes {
    pub(crate) fn new(shards: &[u8], first: usize) -> Nodes {
        Nodes { shards: shards.to_vec(), first, joined: 0, epoch: 0, number: 0, moves: 0, told: BTreeMap::new() }
    }

    fn member(&self, slot: usize) -> Member {
        Member { slot: NodeSlot(slot as u8), epoch: self.epoch + slot as u64, shards: self.shards[slot] }
    }

    /// What the shards of a node begin with.
    pub(crate) fn alone(&self, slot: NodeSlot) -> Arc<HashRing> {
        Arc::new(HashRing::of(Arc::new(View::new(0, vec![Member { epoch: 0, ..self.member(usize::from(slot.0)) }]))))
    }

    /// All begin anew, as other holders of their places.
    pub(crate) fn begin(&mut self) {
        self.told.clear();
        self.epoch += self.shards.len() as u64;
        (self.joined, self.moves) = (self.first, 0);
        self.tell();
    }

    /// One more joins, if there is one; else the same are there by another number.
    pub(crate) fn next(&mut self) {
        self.joined = (self.joined + 1).min(self.shards.len());
        self.moves += 1;
        self.tell();
    }

    fn tell(&mut self) {
        self.number += 1;
        let members = (0..self.joined).map(|slot| self.member(slot)).collect();
        let ring = Arc::new(HashRing::of(Arc::new(View::new(self.number, members))));
        for shard in ring.shards() {
            self.told.entry(shard).or_default().push_back(ring.clone());
        }
    }

    pub(crate) fn moves(&self) -> usize {
        self.moves
    }

    pub(crate) fn waits(&self, shard: ShardId) -> bool {
        self.told.get(&shard).is_some_and(|told| !told.is_empty())
    }

    pub(crate) fn take(&mut self, shard: ShardId, is_skipped: bool) -> Option<Arc<HashRing>> {
        let told = self.told.get_mut(&shard)?;
        let next = told.pop_front()?;
        if is_skipped { told.pop_front().or(Some(next)) } else { Some(next) }
    }

    /// How many shards there are, of these in order, whose nodes have joined.
    pub(crate) fn serving(&self, ids: &[ShardId]) -> usize {
        ids.iter().filter(|id| usize::from(id.node().0) < self.joined).count()
    }
}
