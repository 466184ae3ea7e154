//! Models and tools at work, for whoever asks: an answer of the built-in agent is played by this shard's own wheel, piece by piece; a model
//! or a tool behind HTTP is asked through the bridge.
//!
//! Each question has a number of its own ([`RunId`]), so that a word that comes too late finds nobody.

use super::{Engine, Question};
use crate::{
    models::{Backend, Prompt, Tool, ToolOutcome, Word, builtin::Script},
    protocols::{
        chat::{MessageId, SessionId},
        tasks::Piece,
    },
    realtime::{Moment, Now, TimerId, Wheel},
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::{mem, sync::Arc};
use uuid::Uuid;

/// So many pieces of one answer are told in a turn; those that are due besides come in the next.
const PIECES_A_TURN: usize = 64;

/// Names a question to a model or a tool that is under way. Unique on its shard, and never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RunId(pub u64);

/// Who asks. Each has one question to a model under way, and any number of calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Client {
    /// An answer in a session.
    Chat(SessionId, MessageId),
    /// A task, or a step of an execution.
    Tasks(Piece),
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Wanted {
    Words,
    Outcome(u32),
}

/// An answer that is played here.
struct Played {
    script: Script,
    next: Word,
    /// When that is to be told; the one behind it counts from then, however late it was told.
    due: Moment,
    timer: TimerId,
}

struct Run {
    client: Client,
    wanted: Wanted,
    /// None: it runs elsewhere.
    played: Option<Box<Played>>,
}

/// All that runs for the homes of this shard.
pub(super) struct Models {
    last: u64,
    runs: HashMap<RunId, Run, FixedState>,
    names: HashMap<(Client, Wanted), RunId, FixedState>,
    wheel: Wheel<RunId>,
    fired: Vec<(Moment, RunId)>,
}

impl Models {
    /// `seed` keeps the places of names from being guessed.
    pub(super) fn new(seed: u64, start: Moment) -> Models {
        let (runs, names) = (HashMap::default(), HashMap::with_hasher(FixedState::with_seed(seed)));
        Models { last: 0, runs, names, wheel: Wheel::new(start), fired: Vec::new() }
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.wheel.next()
    }

    /// See [`Engine::asked_by`].
    pub(super) fn asked_by(&self, run: RunId) -> Option<Uuid> {
        Some(match self.runs.get(&run)?.client {
            Client::Chat(_, answer) => answer,
            Client::Tasks(Piece::Task(task)) => task,
            Client::Tasks(Piece::Step(execution, _)) => execution,
        })
    }

    /// Answers that are played here.
    pub(super) fn played(&self) -> usize {
        self.wheel.len()
    }

    /// Models and tools elsewhere that were asked.
    pub(super) fn asked(&self) -> usize {
        self.runs.len() - self.wheel.len()
    }

    fn open(&mut self, client: Client, wanted: Wanted) -> RunId {
        self.last += 1;
        let run = RunId(self.last);
        self.names.insert((client, wanted), run);
        run
    }

    fn play(&mut self, client: Client, prompt: &Prompt, now: Moment) {
        let mut script = Script::new(prompt);
        let Some((after, next)) = script.next() else { return };
        let run = self.open(client, Wanted::Words);
        let due = now + after;
        let timer = self.wheel.set(due, run);
        let played = Some(Box::new(Played { script, next, due, timer }));
        self.runs.insert(run, Run { client, wanted: Wanted::Words, played });
    }

    fn close(&mut self, run: RunId) -> Option<Run> {
        let closed = self.runs.remove(&run)?;
        self.names.remove(&(closed.client, closed.wanted));
        Some(closed)
    }

    /// The piece that is due, if one is; otherwise the run is heard of again when the next is.
    fn piece(&mut self, run: RunId, now: Moment) -> Option<(Client, Word)> {
        let Run { client, played, .. } = self.runs.get_mut(&run)?;
        let (client, played) = (*client, played.as_mut()?);
        if played.due > now {
            played.timer = self.wheel.set(played.due, run);
            return None;
        }
        let word = match played.script.next() {
            Some((after, next)) => {
                played.due = played.due + after;
                mem::replace(&mut played.next, next)
            }
            None => {
                let last = played.next.clone();
                self.close(run);
                last
            }
        };
        Some((client, word))
    }

    /// More of it is due than was told.
    fn put_off(&mut self, run: RunId) {
        if let Some(Run { played: Some(played), .. }) = self.runs.get_mut(&run) {
            played.timer = self.wheel.set(played.due, run);
        }
    }
}

impl Engine {
    /// A client asks a model. What it had asked one before is over.
    pub(super) fn ask_model(&mut self, client: Client, prompt: Box<Prompt>, now: Now) {
        self.stop_model(client);
        match prompt.model.backend {
            Backend::Builtin { .. } => self.models.play(client, &prompt, now.moment),
            Backend::Remote { .. } => {
                let run = self.models.open(client, Wanted::Words);
                self.models.runs.insert(run, Run { client, wanted: Wanted::Words, played: None });
                self.questions.push(Question::Model { run, prompt });
            }
        }
    }

    /// Nobody waits for its words any more.
    pub(super) fn stop_model(&mut self, client: Client) {
        self.stop_run(client, Wanted::Words);
    }

    /// A client calls a tool behind HTTP.
    pub(super) fn call_tool(&mut self, client: Client, call: u32, tool: &Tool, arguments: Arc<str>) {
        self.stop_tool(client, call);
        let wanted = Wanted::Outcome(call);
        let run = self.models.open(client, wanted);
        self.models.runs.insert(run, Run { client, wanted, played: None });
        self.questions.push(Question::Tool { run, tool: tool.name.clone(), arguments });
    }

    /// Nobody waits for what comes of a call.
    pub(super) fn stop_tool(&mut self, client: Client, call: u32) {
        self.stop_run(client, Wanted::Outcome(call));
    }

    fn stop_run(&mut self, client: Client, wanted: Wanted) {
        let Some(run) = self.models.names.get(&(client, wanted)).copied() else { return };
        match self.models.close(run).map(|closed| closed.played) {
            Some(Some(played)) => {
                self.models.wheel.cancel(played.timer);
            }
            Some(None) => self.questions.push(Question::StopRun { run }),
            None => {}
        }
    }

    /// A model elsewhere says something.
    pub(super) fn model_said(&mut self, run: RunId, word: Word, now: Now) {
        let Some(client) = self.models.runs.get(&run).map(|run| run.client) else { return };
        match word {
            Word::Delta(_) | Word::Call(_) => {}
            Word::Ended { .. } | Word::Failed(_) => {
                self.models.close(run);
            }
        }
        self.tell_word(client, word, now);
    }

    /// A tool elsewhere was called.
    pub(super) fn tool_did(&mut self, run: RunId, outcome: ToolOutcome, now: Now) {
        let Some(Run { client, wanted: Wanted::Outcome(call), .. }) = self.models.close(run) else { return };
        match client {
            Client::Chat(session, answer) => {
                self.with_sessions(now, |homes, out| homes.tool((session, answer), call, outcome, now, out));
            }
            Client::Tasks(piece) => self.with_tasks(now, |homes, out| homes.tool(piece, call, outcome, now, out)),
        }
    }

    /// Plays what is due.
    pub(super) fn turn_models(&mut self, now: Now) {
        let mut fired = mem::take(&mut self.models.fired);
        self.models.wheel.expire(now.moment, &mut fired);
        for (_, run) in fired.drain(..) {
            self.play_on(run, now);
        }
        self.models.fired = fired;
    }

    fn play_on(&mut self, run: RunId, now: Now) {
        for _ in 0..PIECES_A_TURN {
            let Some((client, word)) = self.models.piece(run, now.moment) else { return };
            self.tell_word(client, word, now);
        }
        self.models.put_off(run);
    }

    fn tell_word(&mut self, client: Client, word: Word, now: Now) {
        match client {
            Client::Chat(session, answer) => {
                self.with_sessions(now, |homes, out| homes.word((session, answer), word, now, out));
            }
            Client::Tasks(piece) => self.with_tasks(now, |homes, out| homes.word(piece, word, now, out)),
        }
    }
}
