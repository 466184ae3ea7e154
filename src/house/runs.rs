//! Questions to models and tools behind HTTP, on their way: asked on the bridge, answered to the shard, ended when nobody waits any more.

use super::{
    agents::Outside,
    tally::{Fate, Tally},
};
use crate::{
    bridge::{Bridge, Gather, Taking, backlog},
    engine::{Answer, RunId},
    models::{Fault, Prompt, ToolOutcome, Word},
    observe::traces,
    realtime::ShardId,
    runtime::Post,
    traces::Context,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::sync::Arc;

/// So much of one answer may wait for its shard; what the model says besides waits in its connection.
const UNREAD_BYTES: usize = 64 << 10;
/// What a word takes beside its text, about.
const WORD_BYTES: usize = 64;

/// One that is under way.
struct UnderWay {
    tally: Arc<Tally>,
    /// What it has said that the shard has not taken. Given up, it ends the request.
    unread: Taking,
    /// It has said its last word, and ends by itself.
    is_over: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.is_over {
            self.unread.give_up();
        }
    }
}

/// Those of one shard.
pub(super) struct Runs {
    id: ShardId,
    bridge: Bridge,
    post: Post<Answer>,
    /// Wakes the shard for what models have said: once for all words that came together, of however many answers.
    knock: Gather,
    outside: Outside,
    under_way: HashMap<RunId, UnderWay, FixedState>,
}

impl Runs {
    /// What is asked from now on is asked of these; what is under way ends where it began.
    pub(super) fn reform(&mut self, outside: Outside) {
        self.outside = outside;
    }

    pub(super) fn new(id: ShardId, bridge: Bridge, post: Post<Answer>, outside: Outside) -> Runs {
        let knock = Gather::new({
            let post = post.clone();
            move || post.knock(id)
        });
        Runs { id, bridge, post, knock, outside, under_way: HashMap::default() }
    }

    /// Asks a model. What it says is handed on word by word; an answer that cannot be asked for is given back.
    pub(super) fn ask(&mut self, (run, cause): (RunId, Option<Context>), prompt: Box<Prompt>) -> Option<Answer> {
        let Some((endpoint, tally)) = self.outside.models.get(&prompt.model.name).cloned() else {
            return Some(Answer::Model { run, word: Word::Failed(Fault::Unreachable) });
        };
        let (post, knock, id) = (self.post.clone(), self.knock.clone(), self.id);
        let (counted, (handing, unread)) = (tally.clone(), backlog(UNREAD_BYTES));
        let mut span = traces::asking("ask model", "model", cause);
        span.configured("gen_ai.request.model", &prompt.model.name);
        self.begin(run, tally, unread, async move {
            let tell = |word: Word| {
                handing.put(weight(&word));
                Fate::of_word(&word).into_iter().for_each(|fate| counted.note(fate));
                post.put(id, Answer::Model { run, word });
                knock.ask();
            };
            endpoint.answer(&prompt, &handing, span, tell).await;
        });
        None
    }

    /// Calls a tool.
    pub(super) fn call(&mut self, (run, cause): (RunId, Option<Context>), name: &str, arguments: Arc<str>) -> Option<Answer> {
        let Some((tool, tally)) = self.outside.tools.get(name).cloned() else {
            return Some(Answer::Tool { run, outcome: ToolOutcome::NotFound });
        };
        let (post, id, counted) = (self.post.clone(), self.id, tally.clone());
        let (_, unread) = backlog(UNREAD_BYTES);
        let mut span = traces::asking("call tool", "tool", cause);
        span.configured("gen_ai.tool.name", name);
        self.begin(run, tally, unread, async move {
            let outcome = tool.call(&arguments, span).await;
            counted.note(Fate::of_call(&outcome));
            post.post(id, [Answer::Tool { run, outcome }]);
        });
        None
    }

    /// Nobody waits for it any more: its connection is closed.
    pub(super) fn stop(&mut self, run: RunId) {
        if let Some(under_way) = self.under_way.remove(&run) {
            under_way.tally.note(Fate::Stopped);
        }
    }

    /// An answer passes on its way to the engine: there is room for another, and what is over is forgotten.
    pub(super) fn note(&mut self, answer: &Answer) {
        match answer {
            Answer::Model { run, word: Word::Ended { .. } | Word::Failed(_) } | Answer::Tool { run, .. } => {
                if let Some(mut under_way) = self.under_way.remove(run) {
                    under_way.is_over = true;
                }
            }
            Answer::Model { run, word: word @ (Word::Delta(_) | Word::Call(_)) } => {
                if let Some(under_way) = self.under_way.get_mut(run) {
                    under_way.unread.take(weight(word));
                }
            }
            Answer::Entered { .. } | Answer::Kept { .. } | Answer::Loaded { .. } | Answer::Running { .. } => {}
            Answer::KeysLoaded(_) | Answer::LabsKept { .. } | Answer::LabsLoaded(_) | Answer::RightsLoaded(_) => {}
            Answer::Permission { .. } | Answer::ChatKept { .. } | Answer::SessionLoaded { .. } => {}
            Answer::TasksKept { .. } | Answer::TaskLoaded { .. } | Answer::ExecutionLoaded { .. } => {}
            Answer::Health(_) | Answer::Terms(_) | Answer::Outside { .. } | Answer::Errand(_) => {}
            Answer::TasksLeft { .. } | Answer::TasksCounted(_) | Answer::Census(..) => {}
        }
    }

    fn begin(&mut self, run: RunId, tally: Arc<Tally>, unread: Taking, errand: impl Future<Output = ()> + Send + 'static) {
        self.bridge.run_until_given_up(&unread, errand);
        self.under_way.insert(run, UnderWay { tally, unread, is_over: false });
    }
}

/// What a word counts for until the shard has taken it.
fn weight(word: &Word) -> usize {
    let text = match word {
        Word::Delta(text) => text.len(),
        Word::Call(call) => call.id.len() + call.tool.len() + call.arguments.len(),
        Word::Ended { .. } | Word::Failed(_) => 0,
    };
    text + WORD_BYTES
}
