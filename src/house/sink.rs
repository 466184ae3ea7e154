//! The store's answers on their way to the shards.

use crate::{
    engine::Answer,
    runtime::Post,
    store::{self, Entered, Sink},
};
use std::sync::{Arc, OnceLock};

/// Connected to the shards as soon as the first of them exists; no shard asks before that, so no answer is lost.
#[derive(Clone, Default)]
pub(super) struct ShardSink(Arc<OnceLock<Post<Answer>>>);

impl ShardSink {
    pub(super) fn connect(&self, post: &Post<Answer>) {
        // All shards bring the same post: the first one's is kept.
        let _ = self.0.set(post.clone());
    }
}

impl Sink for ShardSink {
    fn post(&self, answers: &mut Vec<store::Answer>) {
        let Some(post) = self.0.get() else { return };
        // Stable: the answers of each shard stay in the order of its questions.
        answers.sort_by_key(|answer| answer.ticket().shard);
        for batch in answers.chunk_by(|one, other| one.ticket().shard == other.ticket().shard) {
            let answers = batch.iter().map(|answer| match *answer {
                store::Answer::Entered(Entered { ticket, result }) => Answer::Entered { ticket: ticket.token, result },
                store::Answer::Kept { ticket, result } => Answer::Kept { ticket: ticket.token, result },
                store::Answer::LabsKept { ticket, result } => Answer::LabsKept { ticket: ticket.token, result },
                store::Answer::ChatKept { ticket, result } => Answer::ChatKept { ticket: ticket.token, result },
                store::Answer::TasksKept { ticket, result } => Answer::TasksKept { ticket: ticket.token, result },
            });
            post.post(batch[0].ticket().shard, answers);
        }
    }
}
