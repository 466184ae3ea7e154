//! One answer of an agent: its model is asked, calls tools, is asked again with what they gave, until it has said all.
//!
//! Whoever owns the run does what it wants by [`Effect`]s and tells it what happened by [`Event`]s. After [`Effect::Over`] it wants nothing
//! more and hears nothing.

use super::{
    catalog::{Agent, Model, Tool},
    talk::{Fault, Prompt, Stop, ToolCall, ToolOutcome, Usage, Utterance, Word},
};
use crate::realtime::Moment;
use std::{fmt::Write, sync::Arc, time::Duration};

/// Calls of one round: a model that wants more is broken.
pub const MAX_CALLS: usize = 32;

/// What an answer begins with.
#[derive(Clone, PartialEq, Debug)]
pub struct Start {
    /// Who answers.
    pub agent: Arc<Agent>,
    /// With which model: the agent's own, or another that it may use.
    pub model: Arc<Model>,
    /// What was said so far, without the agent's instructions.
    pub utterances: Vec<Arc<Utterance>>,
    /// For the model.
    pub temperature: Option<f64>,
    /// Whether a person is asked before every call, not only where the tool wants it.
    pub asks_leave: bool,
    /// Bytes that the answer may have, over all rounds.
    pub max_bytes: usize,
}

/// What happens to a run.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// From the model that was asked last.
    Model(Word),
    /// A tool that was wanted by [`Effect::Tool`].
    Tool {
        /// Of the effect.
        call: u32,
        /// What came of it.
        outcome: ToolOutcome,
    },
    /// Somebody answered [`Effect::AskLeave`], or nobody did.
    Leave {
        /// Of the effect.
        call: u32,
        /// What they said.
        leave: Leave,
    },
    /// It is to stop.
    Cancel,
    /// The time set by [`Effect::Timer`] has come.
    TimerFired,
}

/// An answer to the question for leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Leave {
    /// Do it.
    Granted,
    /// Do not; the model is told, and may say so.
    Denied {
        /// Why, for the model.
        reason: Option<Arc<str>>,
    },
    /// Nobody was there. The answer ends.
    Expired,
}

/// What a run wants done, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Ask the model; an earlier question is over.
    Ask(Box<Prompt>),
    /// End the question that is under way.
    Stop,
    /// Do what was called; answered with [`Event::Tool`].
    Tool {
        /// Which call, counted over the whole run.
        call: u32,
        /// Who does it.
        tool: Arc<Tool>,
        /// A JSON object.
        arguments: Arc<str>,
    },
    /// Nobody waits for this call any more.
    StopTool {
        /// Which.
        call: u32,
    },
    /// Replace the run's one timer; `None` cancels it.
    Timer(Option<Duration>),
    /// Tell: more text.
    Delta(Arc<str>),
    /// Tell: the model calls a tool.
    Called {
        /// Counted over the whole run.
        call: u32,
        /// What.
        what: ToolCall,
    },
    /// Ask a person; answered with [`Event::Leave`].
    AskLeave {
        /// Of [`Effect::Called`], which was told before.
        call: u32,
        /// What.
        what: ToolCall,
    },
    /// Tell: what came of a call.
    Outcome {
        /// Of [`Effect::Called`].
        call: u32,
        /// What.
        outcome: Outcome,
    },
    /// It is over.
    Over(Ending),
}

/// What came of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The tool was asked, or could not be.
    Tool(ToolOutcome),
    /// A person did not allow it.
    Denied {
        /// Why.
        reason: Option<Arc<str>>,
    },
    /// Nobody said whether it may.
    Expired,
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Ending {
    /// How.
    pub end: End,
    /// All that was said.
    pub text: Arc<str>,
    /// The sum over the rounds. One that was broken off in the middle of its words is estimated ([`Usage::estimated`]).
    pub usage: Usage,
    /// In the currency of the model's prices.
    pub cost: f64,
}

/// See [`Ending::end`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum End {
    /// All was said.
    Whole,
    /// The model was cut at the limit of tokens, or by a filter.
    Cut,
    /// [`Event::Cancel`].
    Cancelled,
    /// The model did not answer, or broke off.
    Failed(Fault),
    /// More bytes than an answer may have.
    TooLong,
    /// More time than an answer may take.
    TimedOut,
    /// Nobody said whether a tool may be called.
    Unanswered,
}

/// The state machine of one answer.
#[derive(Debug)]
pub struct Run {
    start: Start,
    said: Said,
    /// Bytes of the text that the present round found.
    round_from: usize,
    rounds: u32,
    usage: Usage,
    cost: f64,
    /// Calls that were counted before the present round.
    counted: u32,
    calls: Vec<Call>,
    clock: Clock,
}

/// All that a word touches, side by side.
#[derive(Debug)]
struct Said {
    text: String,
    most_bytes: usize,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The model says something.
    Asked,
    /// Its calls are done.
    Calling,
    Over,
}

#[derive(Debug)]
struct Call {
    what: ToolCall,
    tool: Option<Arc<Tool>>,
    state: CallState,
}

#[derive(PartialEq, Debug)]
enum CallState {
    /// The model has not ended its round.
    Called,
    Asking,
    Working,
    /// What the model will be told.
    Done(Arc<str>),
}

/// Counts the time that is the agent's own.
#[derive(Debug)]
struct Clock {
    left: Duration,
    running_since: Option<Moment>,
}

impl Clock {
    fn run(&mut self, now: Moment) -> Duration {
        self.rest(now);
        self.running_since = Some(now);
        self.left
    }

    fn rest(&mut self, now: Moment) {
        if let Some(since) = self.running_since.take() {
            self.left = self.left.saturating_sub(now.since(since));
        }
    }
}

impl Run {
    /// Asks the model for the first time.
    pub fn begin(start: Start, now: Moment, out: &mut Vec<Effect>) -> Run {
        let clock = Clock { left: start.agent.time_limit, running_since: None };
        let said = Said { text: String::new(), most_bytes: start.max_bytes, stage: Stage::Asked };
        let mut run = Run {
            start,
            said,
            round_from: 0,
            rounds: 0,
            usage: Usage::default(),
            cost: 0.0,
            counted: 0,
            calls: Vec::new(),
            clock,
        };
        run.ask(now, out);
        run
    }

    /// All that was said so far.
    pub fn text(&self) -> &str {
        &self.said.text
    }

    /// What it took so far, the round under way not counted.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Rounds that were begun.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Whether [`Effect::Over`] was pushed.
    pub fn is_over(&self) -> bool {
        self.said.stage == Stage::Over
    }

    /// Takes what happened; pushes what is to be done.
    pub fn handle(&mut self, event: Event, now: Moment, out: &mut Vec<Effect>) {
        if self.is_over() {
            return;
        }
        match event {
            Event::Model(word) => self.on_word(word, now, out),
            Event::Tool { call, outcome } => self.on_outcome(call, outcome, now, out),
            Event::Leave { call, leave } => self.on_leave(call, leave, now, out),
            Event::Cancel => self.finish(End::Cancelled, out),
            Event::TimerFired => self.finish(End::TimedOut, out),
        }
    }

    fn ask(&mut self, now: Moment, out: &mut Vec<Effect>) {
        self.rounds += 1;
        self.said.stage = Stage::Asked;
        self.round_from = self.said.text.len();
        let agent = &self.start.agent;
        let mut utterances = vec![Arc::new(Utterance::Instructions(agent.instructions.clone()))];
        utterances.extend(self.start.utterances.iter().cloned());
        // The last round has no tools, so that the model has to say something.
        let tools = if self.rounds > agent.max_rounds { Vec::new() } else { agent.tools.clone() };
        out.push(Effect::Ask(Box::new(Prompt {
            model: self.start.model.clone(),
            utterances,
            tools,
            temperature: self.start.temperature,
            max_tokens: agent.max_tokens,
        })));
        out.push(Effect::Timer(Some(self.clock.run(now))));
    }

    fn on_word(&mut self, word: Word, now: Moment, out: &mut Vec<Effect>) {
        if self.said.stage != Stage::Asked {
            return;
        }
        match word {
            Word::Delta(delta) => {
                if self.said.text.len() + delta.len() > self.said.most_bytes {
                    return self.finish(End::TooLong, out);
                }
                self.said.text.push_str(&delta);
                out.push(Effect::Delta(delta));
            }
            Word::Call(what) => {
                if self.calls.len() >= MAX_CALLS {
                    return self.finish(End::Failed(Fault::Malformed), out);
                }
                let tool = self.start.agent.tools.iter().find(|tool| tool.name == what.tool).cloned();
                out.push(Effect::Called { call: self.counted + self.calls.len() as u32, what: what.clone() });
                self.calls.push(Call { what, tool, state: CallState::Called });
            }
            Word::Ended { stop, usage } => self.on_round(stop, usage, now, out),
            Word::Failed(fault) => {
                self.count_unsaid();
                self.said.stage = Stage::Calling;
                self.finish(End::Failed(fault), out);
            }
        }
    }

    fn on_round(&mut self, stop: Stop, usage: Usage, now: Moment, out: &mut Vec<Effect>) {
        self.count(usage);
        self.said.stage = Stage::Calling;
        if self.calls.is_empty() || self.rounds > self.start.agent.max_rounds {
            return self.finish(
                match stop {
                    Stop::Done | Stop::Calls => End::Whole,
                    Stop::Length | Stop::Filtered => End::Cut,
                },
                out,
            );
        }
        for index in 0..self.calls.len() {
            self.begin_call(index, out);
        }
        self.go_on(now, out);
    }

    fn count(&mut self, usage: Usage) {
        self.usage.prompt_tokens = self.usage.prompt_tokens.saturating_add(usage.prompt_tokens);
        self.usage.completion_tokens = self.usage.completion_tokens.saturating_add(usage.completion_tokens);
        self.cost += usage.cost(&self.start.model);
    }

    /// What a round took that was broken off before its model said so, as far as one can tell: of one that said nothing, nothing.
    fn count_unsaid(&mut self) {
        let called: usize = self.calls.iter().map(|call| call.what.tool.len() + call.what.arguments.len()).sum();
        let said = self.said.text.len() - self.round_from + called;
        if said > 0 {
            let told: usize = self.start.utterances.iter().map(|utterance| utterance.length()).sum();
            self.count(Usage::estimated(self.start.agent.instructions.len() + told, said));
        }
    }

    fn begin_call(&mut self, index: usize, out: &mut Vec<Effect>) {
        let (number, call) = (self.counted + index as u32, &mut self.calls[index]);
        let fits = call.tool.as_ref().map(|tool| tool.parameters.check(&call.what.arguments));
        if let Some(Err(why)) = fits {
            return self.settle(index, Outcome::Tool(ToolOutcome::BadArguments(why)), out);
        }
        match &call.tool {
            None => self.settle(index, Outcome::Tool(ToolOutcome::NotFound), out),
            Some(tool) if self.start.asks_leave || tool.needs_approval => {
                call.state = CallState::Asking;
                out.push(Effect::AskLeave { call: number, what: call.what.clone() });
            }
            Some(_) => self.work(index, out),
        }
    }

    fn work(&mut self, index: usize, out: &mut Vec<Effect>) {
        let (number, call) = (self.counted + index as u32, &mut self.calls[index]);
        if let Some(tool) = &call.tool {
            call.state = CallState::Working;
            out.push(Effect::Tool { call: number, tool: tool.clone(), arguments: call.what.arguments.clone() });
        }
    }

    fn on_outcome(&mut self, number: u32, outcome: ToolOutcome, now: Moment, out: &mut Vec<Effect>) {
        if let Some(index) = self.waiting(number, &CallState::Working) {
            self.settle(index, Outcome::Tool(outcome), out);
            self.go_on(now, out);
        }
    }

    fn on_leave(&mut self, number: u32, leave: Leave, now: Moment, out: &mut Vec<Effect>) {
        let Some(index) = self.waiting(number, &CallState::Asking) else { return };
        match leave {
            Leave::Granted => self.work(index, out),
            Leave::Denied { reason } => self.settle(index, Outcome::Denied { reason }, out),
            Leave::Expired => {
                self.settle(index, Outcome::Expired, out);
                return self.finish(End::Unanswered, out);
            }
        }
        self.go_on(now, out);
    }

    fn waiting(&self, number: u32, state: &CallState) -> Option<usize> {
        let index = number.checked_sub(self.counted)? as usize;
        (self.calls.get(index)?.state == *state).then_some(index)
    }

    fn settle(&mut self, index: usize, outcome: Outcome, out: &mut Vec<Effect>) {
        self.calls[index].state = CallState::Done(for_model(&outcome));
        out.push(Effect::Outcome { call: self.counted + index as u32, outcome });
    }

    /// Asks again when every call is done; else the time is the agent's while any of them works.
    fn go_on(&mut self, now: Moment, out: &mut Vec<Effect>) {
        if self.calls.iter().any(|call| call.state == CallState::Working) {
            out.push(Effect::Timer(Some(self.clock.run(now))));
            return;
        }
        self.clock.rest(now);
        if self.calls.iter().any(|call| call.state == CallState::Asking) {
            out.push(Effect::Timer(None));
            return;
        }
        let calls = std::mem::take(&mut self.calls);
        self.counted += calls.len() as u32;
        let content = Arc::from(&self.said.text[self.round_from..]);
        let whats = calls.iter().map(|call| call.what.clone()).collect();
        self.start.utterances.push(Arc::new(Utterance::Assistant { content, calls: whats }));
        for call in calls {
            if let CallState::Done(content) = call.state {
                self.start.utterances.push(Arc::new(Utterance::Tool { call: call.what.id, content }));
            }
        }
        self.ask(now, out);
    }

    fn finish(&mut self, end: End, out: &mut Vec<Effect>) {
        if self.said.stage == Stage::Asked {
            self.count_unsaid();
            out.push(Effect::Stop);
        }
        for (index, call) in self.calls.iter().enumerate() {
            if call.state == CallState::Working {
                out.push(Effect::StopTool { call: self.counted + index as u32 });
            }
        }
        self.said.stage = Stage::Over;
        out.push(Effect::Timer(None));
        out.push(Effect::Over(Ending { end, text: self.said.text.as_str().into(), usage: self.usage, cost: self.cost }));
    }
}

/// What a model is told of a call.
fn for_model(outcome: &Outcome) -> Arc<str> {
    match outcome {
        Outcome::Tool(ToolOutcome::Done(result)) => result.clone(),
        Outcome::Tool(ToolOutcome::NotFound) => "error: there is no such tool".into(),
        Outcome::Tool(ToolOutcome::BadArguments(why)) => format!("error: bad arguments: {why}").into(),
        Outcome::Tool(ToolOutcome::Failed(why)) => format!("error: {why}").into(),
        Outcome::Tool(ToolOutcome::TimedOut) => "error: the tool did not answer in time".into(),
        Outcome::Denied { reason } => {
            let mut text = String::from("denied: the user did not allow this call");
            if let Some(reason) = reason {
                // Writing to a String does not fail.
                let _ = write!(text, ": {reason}");
            }
            text.into()
        }
        Outcome::Expired => "denied: nobody said whether this call is allowed".into(),
    }
}

#[cfg(test)]
mod tests;
