//! Models and tools elsewhere: they say something, stall, fail, call tools, and sometimes go on when nobody listens any more.

use super::{book::number, cast::TIME_LIMIT, faults::Fault, world::Chat};
use crate::world::note;
use homeroom::{
    engine::{Answer, RunId},
    models::{Fault as ModelFault, Prompt, Stop, ToolCall, ToolOutcome, Usage, Utterance, Word},
    protocols::chat::{
        MessageId,
        model::{Author, Completeness, Decision, Message, Stage},
        record::Change,
    },
    realtime::Moment,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A model, which has called so many tools.
    Model { calls: usize },
    /// A tool, by the number of its call.
    Tool(u64),
}

/// A question that was asked.
#[derive(Debug)]
struct Running {
    answer: MessageId,
    kind: Kind,
    asked_at: Moment,
}

/// Which, and on which shard.
type Place = (usize, u64);

/// See the file.
#[derive(Default)]
pub(crate) struct Elsewhere {
    live: BTreeMap<Place, Running>,
    /// Those that were ended, or have ended: they may say something all the same.
    over: Vec<(Place, Kind)>,
    /// What models have said, by the answer that it was for.
    said: BTreeMap<MessageId, String>,
    /// Tools that were called, by the number of the call, and the answer that it was for.
    made: BTreeMap<u64, MessageId>,
    /// How often each was done.
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
    }
}

impl Chat {
    /// A model is asked.
    pub(crate) fn model_asked(&mut self, shard: usize, run: RunId, prompt: &Prompt) {
        let users: Vec<&str> = prompt.utterances.iter().filter_map(|utterance| user_words(utterance)).collect();
        let last = users.last().expect("a model is asked what somebody said");
        let message = self.book.with_words(last).unwrap_or_else(|| panic!("a model is asked what is not on disk: {last:.60}"));
        let answer = self.book.answer_to(message);
        assert_eq!(answer.completeness, Completeness::Streaming, "a model is asked for what is over");
        let said = self.book.said[&message.session].iter().map(|id| &self.book.messages[id]);
        let before = said.filter(|other| other.author == Author::User && other.number <= message.number);
        let before: Vec<&str> = before.map(|message| &*message.content).collect();
        assert!(before.ends_with(&users), "a model is asked {users:?}, and on disk is {before:?}");
        let answer = answer.id;
        note!(self.stage, "run {run:?} of {shard}: a model, for {answer}");
        let other = self.elsewhere.live.values().find(|other| other.answer == answer && matches!(other.kind, Kind::Model { .. }));
        assert!(other.is_none(), "two models are asked for one answer");
        let running = Running { answer, kind: Kind::Model { calls: 0 }, asked_at: self.stage.now.moment };
        assert!(self.elsewhere.live.insert((shard, run.0), running).is_none(), "a number is used twice");
        self.count("questions to models");
    }

    /// A tool is called. `times`: how often the shell does it.
    pub(crate) fn tool_called(&mut self, shard: usize, run: RunId, tool: &str, arguments: &Arc<str>) {
        let call = number(arguments).expect("tools are called with a number");
        let answer = match self.elsewhere.made.get(&call) {
            Some(answer) => *answer,
            // The built-in agent takes the number from what it is told.
            None => self.answer_of(call),
        };
        note!(self.stage, "run {run:?} of {shard}: {tool} {call}, for {answer}");
        let session = &self.book.sessions[&self.book.messages[&answer].session];
        let needs_leave = session.require_approval || tool == "send";
        let decision = self.book.leave_for(call).map(|approval| approval.decision);
        let may = if needs_leave { decision == Some(Decision::Approved) } else { decision.is_none() };
        assert!(may, "{tool} is called, and what was decided is {decision:?}");
        *self.elsewhere.ran.entry(call).or_default() += 1;
        self.check_ran_once(call);
        let running = Running { answer, kind: Kind::Tool(call), asked_at: self.stage.now.moment };
        assert!(self.elsewhere.live.insert((shard, run.0), running).is_none(), "a number is used twice");
        self.count("calls of tools");
        if self.strikes(Fault::DoubledCall, 10) {
            *self.elsewhere.ran.entry(call).or_default() += 1;
        }
    }

    fn answer_of(&self, call: u64) -> MessageId {
        let is_it = |message: &&Message| message.author == Author::User && named(&message.content) == Some(call);
        let message = self.book.messages.values().find(is_it).expect("somebody said that it is to be called");
        self.book.answer_to(message).id
    }

    fn check_ran_once(&self, call: u64) {
        let times = self.elsewhere.ran.get(&call).copied().unwrap_or(0);
        assert!(times <= 1, "call {call} is done {times} times");
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

    /// Nothing runs for an answer that is about to be over on disk.
    pub(crate) fn check_stopped(&self, change: &Change) {
        for message in change.messages.iter().filter(|message| message.author == Author::Assistant) {
            let runs: Vec<_> = self.elsewhere.live.iter().filter(|(_, running)| running.answer == message.id).collect();
            assert!(runs.is_empty(), "{} is over, and these run: {runs:?}", message.id);
        }
    }

    /// An answer is on disk: it is what its model said, and of each call that has become what was decided.
    pub(crate) fn check_whole(&mut self, answer: &Message) {
        if let Some(said) = self.elsewhere.said.get(&answer.id) {
            let is_whole = answer.completeness == Completeness::Whole;
            let is_right = if is_whole { said.as_str() == &*answer.content } else { said.starts_with(&*answer.content) };
            assert!(is_right, "the model said {said:?}, and on disk is {answer:?}");
        }
        let question = self.book.answered_by(answer);
        let counted = question.content.strip_prefix("/count ").and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
        let is_builtin = !self.elsewhere.said.contains_key(&answer.id) && answer.calls.is_empty();
        if let (Some(to), true) = (counted.filter(|_| is_builtin), answer.completeness == Completeness::Whole) {
            let expected: String = (1..=to).map(|n| format!("{n} ")).collect();
            assert_eq!(*answer.content, *expected, "what the built-in agent counted");
        }
        for called in &answer.calls {
            let Some(call) = number(&called.call.arguments) else { continue };
            self.check_ran_once(call);
            let decision = self.book.leave_for(call).map(|approval| approval.decision);
            let fits = match (called.stage, decision) {
                (Stage::Done, decision) => matches!(decision, None | Some(Decision::Approved)),
                (Stage::Failed, decision) => matches!(decision, None | Some(Decision::Approved)),
                (Stage::Rejected, decision) => decision == Some(Decision::Rejected),
                (Stage::Expired, decision) => decision == Some(Decision::Expired),
                // In its last round a model is offered no tools: what it calls all the same is dropped.
                (Stage::Dropped, _) => answer.completeness == Completeness::Incomplete || !self.elsewhere.ran.contains_key(&call),
                (Stage::Pending | Stage::Running, _) => false,
            };
            assert!(fits, "{called:?}, and what was decided is {decision:?}");
            let ran = self.elsewhere.ran.contains_key(&call);
            let is_elsewhere = matches!(&*called.call.tool, "look" | "send");
            match called.stage {
                Stage::Done => assert!(ran || !is_elsewhere, "it is done, and was never called: {called:?}"),
                Stage::Rejected | Stage::Expired => assert!(!ran, "it was not allowed, and was called: {called:?}"),
                Stage::Failed | Stage::Dropped | Stage::Pending | Stage::Running => {}
            }
        }
        self.count(if answer.completeness == Completeness::Whole { "whole answers" } else { "incomplete answers" });
    }

    /// One of those that run says something; now and then one that nobody listens to.
    pub(crate) fn model_acts(&mut self) {
        if self.stage.dice.percent(8) && !self.elsewhere.over.is_empty() {
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
                let outcome = match self.stage.dice.below(10) {
                    0 => ToolOutcome::Failed("no".into()),
                    1 => ToolOutcome::TimedOut,
                    _ => done(call),
                };
                self.tool_does(place, outcome);
            }
        }
    }

    fn model_speaks(&mut self, place: Place) {
        let Some(Running { kind: Kind::Model { calls }, answer, .. }) = self.elsewhere.live.get(&place) else { return };
        let (calls, answer) = (*calls, *answer);
        let word = match self.stage.dice.below(100) {
            0..60 => self.delta(),
            60..76 if calls < 3 => Word::Call(self.call(answer)),
            60..96 => Word::Ended {
                stop: if calls > 0 { Stop::Calls } else { *self.stage.dice.pick(&[Stop::Done, Stop::Done, Stop::Length]) },
                usage: Usage { prompt_tokens: 3, completion_tokens: 4 },
            },
            _ => Word::Failed(*self.stage.dice.pick(&[
                ModelFault::Unreachable,
                ModelFault::Busy,
                ModelFault::TimedOut,
                ModelFault::Cut,
                ModelFault::Malformed,
                ModelFault::Refused(400),
            ])),
        };
        self.brings(place, word);
    }

    fn delta(&mut self) -> Word {
        self.last_words += 1;
        let pad = "z".repeat(if self.stage.dice.percent(10) { self.stage.dice.below(900) } else { 0 });
        Word::Delta(format!("<{}{pad}>", self.last_words).into())
    }

    fn call(&mut self, answer: MessageId) -> ToolCall {
        self.elsewhere.last_call += 1;
        // Above all that users name.
        let n = self.elsewhere.last_call + 1_000_000;
        self.elsewhere.made.insert(n, answer);
        let (tool, arguments) = match self.stage.dice.below(20) {
            0 => ("nobody", format!(r#"{{"n":{n}}}"#)),
            1 => ("send", format!(r#"{{"n":"{n}"}}"#)),
            2..5 => ("calculator", format!(r#"{{"expression":"0+{n}"}}"#)),
            5..11 => ("look", format!(r#"{{"n":{n}}}"#)),
            _ => ("send", format!(r#"{{"n":{n}}}"#)),
        };
        ToolCall { id: format!("c{n}").into(), tool: tool.into(), arguments: arguments.into() }
    }

    /// A word of a model is brought to its shard.
    fn brings(&mut self, place: Place, word: Word) {
        let (shard, mut run) = place;
        let answer = self.elsewhere.live[&place].answer;
        note!(self.stage, "run {run} of {shard} says {word:?}");
        match &word {
            Word::Delta(delta) => self.elsewhere.said.entry(answer).or_default().push_str(delta),
            Word::Call(_) => {
                self.elsewhere.said.entry(answer).or_default();
                if let Some(Running { kind: Kind::Model { calls }, .. }) = self.elsewhere.live.get_mut(&place) {
                    *calls += 1;
                }
            }
            Word::Ended { .. } | Word::Failed(_) => {
                self.elsewhere.said.entry(answer).or_default();
                self.run_is_over(place);
            }
        }
        if matches!(word, Word::Delta(_)) && self.strikes(Fault::CrossedWords, 15) {
            let is_other = |(other, running): &(&Place, &Running)| {
                other.0 == shard && running.answer != answer && matches!(running.kind, Kind::Model { .. })
            };
            if let Some((other, _)) = self.elsewhere.live.iter().find(is_other) {
                run = other.1;
            }
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
        self.count("words in vain");
    }

    /// All that run say their last. Whether there were any.
    pub(crate) fn calm_models(&mut self) -> bool {
        let Some((place, running)) = self.elsewhere.live.iter().next() else { return false };
        let (place, kind) = (*place, running.kind);
        match kind {
            Kind::Model { calls } => {
                let stop = if calls > 0 { Stop::Calls } else { Stop::Done };
                self.brings(place, Word::Ended { stop, usage: Usage::default() });
            }
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

    /// What was allowed was done, unless its answer was broken off.
    pub(crate) fn check_allowed(&self) {
        for approval in self.book.approvals.values().filter(|approval| approval.decision == Decision::Approved) {
            let answer = &self.book.messages[&approval.message];
            let Some(call) = number(&approval.call.arguments) else { continue };
            let is_elsewhere = matches!(&*approval.call.tool, "look" | "send");
            let is_whole = answer.completeness == Completeness::Whole;
            let times = self.elsewhere.ran.get(&call).copied().unwrap_or(0);
            assert!(!is_elsewhere || !is_whole || times == 1, "call {call} was allowed, and done {times} times");
        }
    }
}

fn done(call: u64) -> ToolOutcome {
    ToolOutcome::Done(format!(r#"{{"n":{call}}}"#).into())
}

fn user_words(utterance: &Utterance) -> Option<&str> {
    match utterance {
        Utterance::User { content, .. } => Some(content),
        Utterance::Instructions(_) | Utterance::Assistant { .. } | Utterance::Tool { .. } => None,
    }
}

/// The number that a message wants a tool called with.
fn named(content: &str) -> Option<u64> {
    let object = content.get(content.find('{')?..=content.rfind('}')?)?;
    number(object)
}
