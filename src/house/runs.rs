//! Questions to models and tools behind HTTP, on their way: asked on the bridge, answered to the shard, ended when nobody waits any more.

use super::{
    agents::Outside,
    tally::{Fate, Tally},
};
use crate::{
    bridge::Bridge,
    engine::{Answer, RunId},
    models::{Fault, Prompt, ToolOutcome, Word},
    realtime::ShardId,
    runtime::Post,
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::oneshot;

/// Those of one shard.
pub(super) struct Runs {
    id: ShardId,
    bridge: Bridge,
    post: Post<Answer>,
    outside: Outside,
    /// Dropping one of the senders ends its request.
    under_way: HashMap<RunId, (oneshot::Sender<()>, Arc<Tally>)>,
}

impl Runs {
    pub(super) fn new(id: ShardId, bridge: Bridge, post: Post<Answer>, outside: Outside) -> Runs {
        Runs { id, bridge, post, outside, under_way: HashMap::new() }
    }

    /// Asks a model. What it says is posted word by word; an answer that cannot be asked for is given back.
    pub(super) fn ask(&mut self, run: RunId, prompt: Box<Prompt>) -> Option<Answer> {
        let Some((endpoint, tally)) = self.outside.models.get(&prompt.model.name).cloned() else {
            return Some(Answer::Model { run, word: Word::Failed(Fault::Unreachable) });
        };
        let (post, id) = (self.post.clone(), self.id);
        let counted = tally.clone();
        let tell = move |word| {
            Fate::of_word(&word).into_iter().for_each(|fate| counted.note(fate));
            post.post(id, [Answer::Model { run, word }]);
        };
        self.begin(run, tally, async move { endpoint.answer(&prompt, tell).await });
        None
    }

    /// Calls a tool.
    pub(super) fn call(&mut self, run: RunId, tool: &str, arguments: Arc<str>) -> Option<Answer> {
        let Some((tool, tally)) = self.outside.tools.get(tool).cloned() else {
            return Some(Answer::Tool { run, outcome: ToolOutcome::NotFound });
        };
        let (post, id, counted) = (self.post.clone(), self.id, tally.clone());
        self.begin(run, tally, async move {
            let outcome = tool.call(&arguments).await;
            counted.note(Fate::of_call(&outcome));
            post.post(id, [Answer::Tool { run, outcome }]);
        });
        None
    }

    /// Nobody waits for it any more: its connection is closed.
    pub(super) fn stop(&mut self, run: RunId) {
        if let Some((_, tally)) = self.under_way.remove(&run) {
            tally.note(Fate::Stopped);
        }
    }

    /// An answer passes on its way to the engine: what is over is forgotten.
    pub(super) fn note(&mut self, answer: &Answer) {
        match answer {
            Answer::Model { run, word: Word::Ended { .. } | Word::Failed(_) } | Answer::Tool { run, .. } => {
                drop(self.under_way.remove(run))
            }
            Answer::Model { word: Word::Delta(_) | Word::Call(_), .. } => {}
            Answer::Entered { .. } | Answer::Kept { .. } | Answer::LabsKept { .. } | Answer::Loaded { .. } => {}
            Answer::Permission { .. } | Answer::ChatKept { .. } | Answer::SessionLoaded { .. } => {}
            Answer::TasksKept { .. } | Answer::TaskLoaded { .. } | Answer::ExecutionLoaded { .. } | Answer::Health(_) => {}
        }
    }

    fn begin(&mut self, run: RunId, tally: Arc<Tally>, errand: impl Future<Output = ()> + Send + 'static) {
        let (stop, stopped) = oneshot::channel();
        self.under_way.insert(run, (stop, tally));
        self.bridge.run(async move {
            tokio::select! {
                biased;
                _ = stopped => {}
                () = errand => {}
            }
        });
    }
}
