//! Models and tools elsewhere, that work for tasks and for steps of executions: they say something, stall, fail, call tools.

use super::{faults::Fault, world::Tasks};
use crate::{
    chat::{book::number, cast::TIME_LIMIT},
    world::note,
};
use homeroom::{
    engine::{Answer, RunId},
    models::{Fault as ModelFault, Prompt, Stop, ToolCall, ToolOutcome, Usage, Utterance, Word},
    protocols::tasks::{
        ExecutionId, TaskId,
        model::{Status, Task},
        record::Record,
    },
    realtime::Moment,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What something works at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Piece {
    Task(TaskId),
    Step(ExecutionId, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A model, which has called so many tools.
    Model { calls: usize },
    /// A tool, by the number of its call.
    Tool(u64),
}

#[derive(Debug)]
struct Running {
    piece: Piece,
    kind: Kind,
    asked_at: Moment,
}

type Place = (usize, u64);

/// See the file.
#[derive(Default)]
pub(crate) struct Elsewhere {
    live: BTreeMap<Place, Running>,
    over: Vec<(Place, Kind)>,
    /// What was said for a piece, since its model was asked for the first time in this process.
    said: BTreeMap<Piece, String>,
    made: BTreeMap<u64, Piece>,
    ran: BTreeMap<u64, usize>,
    last_call: u64,
}

impl Elsewhere {
    pub(crate) fn live(&self) -> usize {
        self.live.len()
    }

    /// The process is gone, and with it all that it had asked.
    pub(crate) fn forget(&mut self) {
        self.live.clear();
        self.over.clear();
        self.said.clear();
    }

    fn of(&self, piece: Piece) -> impl Iterator<Item = &Running> {
        self.live.values().filter(move |running| running.piece == piece)
    }
}

impl Tasks {
    /// A model is asked.
    pub(crate) fn model_asked(&mut self, shard: usize, run: RunId, prompt: &Prompt) {
        let words = prompt.utterances.iter().find_map(|utterance| match &**utterance {
            Utterance::User { content, .. } => Some(&**content),
            Utterance::Instructions(_) | Utterance::Assistant { .. } | Utterance::Tool { .. } => None,
        });
        let words = words.expect("a model is told what to do");
        let piece = match self.book.step_told(words) {
            Some((execution, place)) => {
                let (id, results) = (execution.id, &execution.results);
                let step = &self.book.workflows[&execution.workflow].steps[place];
                assert!(!execution.status.is_over(), "a step of an execution that is over: {execution:?}");
                let is_done = |id: &str| results.iter().any(|result| *result.step == *id);
                assert!(!is_done(&step.id), "{} is done again, and what it gave is on disk: {execution:?}", step.id);
                assert!(step.needs.iter().all(|needs| is_done(needs)), "{} begins too early: {execution:?}", step.id);
                assert_eq!(words, step.told(execution), "what the step is told");
                Piece::Step(id, place)
            }
            None => {
                let task = self.book.with_words(words).unwrap_or_else(|| panic!("{words:?} is not on disk"));
                assert_eq!(task.status, Status::InProgress, "an agent works at {task:?}");
                Piece::Task(task.id)
            }
        };
        note!(self.stage, "run {run:?} of {shard}: a model, for {piece:?}");
        let is_free = !self.elsewhere.of(piece).any(|other| matches!(other.kind, Kind::Model { .. }));
        assert!(is_free, "two models work at {piece:?}");
        self.begins(shard, run, Running { piece, kind: Kind::Model { calls: 0 }, asked_at: self.stage.now.moment });
        self.count(if matches!(piece, Piece::Task(_)) { "tasks at work" } else { "steps at work" });
    }

    fn begins(&mut self, shard: usize, run: RunId, running: Running) {
        assert!(self.elsewhere.live.insert((shard, run.0), running).is_none(), "a number is used twice");
        let mut pieces: Vec<Piece> =
            self.elsewhere.live.iter().filter(|((own, _), _)| *own == shard).map(|(_, running)| running.piece).collect();
        pieces.sort();
        pieces.dedup();
        assert!(pieces.len() <= self.plan.running, "{} are at work on one shard: {pieces:?}", pieces.len());
    }

    /// A tool is called.
    pub(crate) fn tool_called(&mut self, shard: usize, run: RunId, tool: &str, arguments: &Arc<str>) {
        let call = number(arguments).expect("tools are called with a number");
        let piece = self.elsewhere.made.get(&call).copied().unwrap_or_else(|| self.piece_of(call));
        note!(self.stage, "run {run:?} of {shard}: {tool} {call}, for {piece:?}");
        assert_eq!(tool, "look", "nobody is there who could allow more");
        let times = self.elsewhere.ran.entry(call).or_default();
        *times += 1;
        assert!(*times == 1, "call {call} is done {times} times");
        self.begins(shard, run, Running { piece, kind: Kind::Tool(call), asked_at: self.stage.now.moment });
        self.count("calls of tools");
    }

    /// The built-in agent takes the number from what it is told.
    fn piece_of(&self, call: u64) -> Piece {
        let names_it = |task: &&Task| task.task.split_once('{').is_some_and(|(_, it)| number(&format!("{{{it}")) == Some(call));
        Piece::Task(self.book.tasks.values().find(names_it).expect("somebody said that it is to be called").id)
    }

    /// Nobody waits for it any more.
    pub(crate) fn run_stopped(&mut self, shard: usize, run: RunId) {
        note!(self.stage, "run {run:?} of {shard} is ended");
        if self.strikes(Fault::LostStop, 20) {
            return;
        }
        self.run_is_over((shard, run.0));
        self.count("requests that were ended");
    }

    fn run_is_over(&mut self, place: Place) {
        if let Some(running) = self.elsewhere.live.remove(&place) {
            self.elsewhere.over.push((place, running.kind));
        }
    }

    /// What is about to be written of something that is over, or that was done: nothing works at it, and it is what its model said.
    pub(crate) fn check_stopped(&self, record: &Record) {
        match record {
            Record::Task(task) if task.status.is_over() => {
                assert_eq!(self.elsewhere.of(Piece::Task(task.id)).count(), 0, "something works at {task:?}");
                let said = self.elsewhere.said.get(&Piece::Task(task.id));
                let result: Option<serde_json::Value> = task.result.as_deref().and_then(|it| serde_json::from_str(it).ok());
                if let (Some(said), Some(result), Status::Completed) = (said, result, task.status) {
                    assert_eq!(result["output"].as_str(), Some(said.as_str()), "what came of {task:?}");
                }
            }
            Record::Execution(execution) => {
                let steps = &self.book.workflows[&execution.workflow].steps;
                for (place, step) in steps.iter().enumerate() {
                    let piece = Piece::Step(execution.id, place);
                    let result = execution.results.iter().find(|result| result.step == step.id);
                    let works = self.elsewhere.of(piece).count();
                    let is_over = execution.status.is_over() || result.is_some();
                    assert!(works == 0 || !is_over, "something works at {} of {execution:?}", step.id);
                    if let (Some(said), Some(result)) = (self.elsewhere.said.get(&piece), result) {
                        assert_eq!(said.as_str(), &*result.output, "what {} gave of {execution:?}", step.id);
                    }
                }
            }
            Record::Task(_) | Record::NoTask(_) => {}
        }
    }

    pub(crate) fn model_acts(&mut self) {
        if self.stage.dice.percent(6) && !self.elsewhere.over.is_empty() {
            return self.says_in_vain();
        }
        let at = self.stage.dice.below(self.elsewhere.live.len());
        let Some(place) = self.elsewhere.live.keys().nth(at).copied() else { return };
        match self.elsewhere.live[&place].kind {
            Kind::Model { .. } => {
                for _ in 0..self.stage.dice.between(1, 4) {
                    self.model_speaks(place);
                }
            }
            Kind::Tool(call) => {
                let outcome = if self.stage.dice.percent(15) { ToolOutcome::TimedOut } else { done(call) };
                self.tool_does(place, outcome);
            }
        }
    }

    fn model_speaks(&mut self, place: Place) {
        let Some(Running { kind: Kind::Model { calls }, piece, .. }) = self.elsewhere.live.get(&place) else { return };
        let (calls, piece) = (*calls, *piece);
        let word = match self.stage.dice.below(100) {
            0..60 => {
                self.last_words += 1;
                Word::Delta(format!("<{} and some more of it>", self.last_words).into())
            }
            60..72 if calls < 2 => Word::Call(self.call(piece)),
            60..96 => ended(calls),
            _ => Word::Failed(*self.stage.dice.pick(&[ModelFault::Unreachable, ModelFault::Cut, ModelFault::Refused(400)])),
        };
        self.brings(place, word);
    }

    fn call(&mut self, piece: Piece) -> ToolCall {
        self.elsewhere.last_call += 1;
        // Above all that users name.
        let n = self.elsewhere.last_call + 1_000_000;
        self.elsewhere.made.insert(n, piece);
        let (tool, arguments) = match self.stage.dice.below(10) {
            0 => ("nobody", format!(r#"{{"n":{n}}}"#)),
            1 => ("calculator", format!(r#"{{"expression":"0+{n}"}}"#)),
            2 | 3 => ("send", format!(r#"{{"n":{n}}}"#)),
            _ => ("look", format!(r#"{{"n":{n}}}"#)),
        };
        ToolCall { id: format!("c{n}").into(), tool: tool.into(), arguments: arguments.into() }
    }

    /// A word of a model is brought to its shard.
    fn brings(&mut self, place: Place, word: Word) {
        let (shard, mut run) = place;
        let piece = self.elsewhere.live[&place].piece;
        note!(self.stage, "run {run} of {shard} says {word:?}");
        let said = self.elsewhere.said.entry(piece).or_default();
        match &word {
            Word::Delta(delta) => said.push_str(delta),
            Word::Call(_) => {
                if let Some(Running { kind: Kind::Model { calls }, .. }) = self.elsewhere.live.get_mut(&place) {
                    *calls += 1;
                }
            }
            Word::Ended { .. } | Word::Failed(_) => self.run_is_over(place),
        }
        if matches!(word, Word::Delta(_)) && self.strikes(Fault::CrossedWords, 20) {
            let is_other = |(other, running): &(&Place, &Running)| {
                other.0 == shard && running.piece != piece && matches!(running.kind, Kind::Model { .. })
            };
            run = self.elsewhere.live.iter().find(is_other).map_or(run, |(other, _)| other.1);
        }
        let (now, run) = (self.stage.now, RunId(run));
        self.stage.feed(shard).answer(Answer::Model { run, word }, now);
    }

    fn tool_does(&mut self, place: Place, outcome: ToolOutcome) {
        let (shard, run) = place;
        note!(self.stage, "run {run} of {shard} gives {outcome:?}");
        self.run_is_over(place);
        let (now, run) = (self.stage.now, RunId(run));
        self.stage.feed(shard).answer(Answer::Tool { run, outcome }, now);
    }

    /// What was on its way when nobody listened any more.
    fn says_in_vain(&mut self) {
        let at = self.stage.dice.below(self.elsewhere.over.len());
        let ((shard, run), kind) = self.elsewhere.over[at];
        let (now, run) = (self.stage.now, RunId(run));
        let answer = match kind {
            Kind::Model { .. } => Answer::Model { run, word: Word::Delta("in vain".into()) },
            Kind::Tool(call) => Answer::Tool { run, outcome: done(call) },
        };
        self.stage.feed(shard).answer(answer, now);
    }

    /// One of those that run says its last. Whether there was any.
    pub(crate) fn calm_models(&mut self) -> bool {
        let Some((place, running)) = self.elsewhere.live.iter().next() else { return false };
        let (place, kind) = (*place, running.kind);
        match kind {
            Kind::Model { calls } => self.brings(place, ended(calls)),
            Kind::Tool(call) => self.tool_does(place, done(call)),
        }
        true
    }

    /// Nobody waits for longer than an agent may take.
    pub(crate) fn check_patience(&self) {
        for running in self.elsewhere.live.values() {
            let waited = self.stage.now.moment.since(running.asked_at);
            assert!(waited <= TIME_LIMIT + Duration::from_secs(1), "{running:?} has run for {waited:?}");
        }
    }
}

fn ended(calls: usize) -> Word {
    let stop = if calls > 0 { Stop::Calls } else { Stop::Done };
    Word::Ended { stop, usage: Usage { prompt_tokens: 3, completion_tokens: 4 } }
}

fn done(call: u64) -> ToolOutcome {
    ToolOutcome::Done(format!(r#"{{"n":{call}}}"#).into())
}
