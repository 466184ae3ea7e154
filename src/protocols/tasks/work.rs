//! What an agent does for a task or a step: its run, the effects of which become outcomes of the home; how far it is, and what it gave.

use super::{
    circumstances::{Circumstances, Timer},
    model::Kind,
    outcome::{Outcome, Piece},
};
use crate::{
    models::{
        Agent, Fault, Model, Utterance,
        catalog::Work as ToolWork,
        home_tools,
        run::{Effect, End, Ending, Event, Leave, Run, Start},
    },
    realtime::TimerId,
};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, sync::Arc};

/// The progress of an agent that has begun.
pub const BEGUN: f64 = 0.05;
/// What the progress comes near to while an agent works, and never reaches.
pub const NEARLY: f64 = 0.9;
/// Bytes after which half of the way between both is done.
pub const HALF_BYTES: f64 = 200.0;
/// A call of a tool that is done counts as so many bytes.
pub const CALL_BYTES: usize = 200;
/// A run that was cancelled for a user's sake.
pub const CANCELLED: &str = "Cancelled by user";

/// How far a run is, from what it gave so far: nobody knows how much there will be, so each byte brings it nearer to an end that is not
/// reached, in hundredths. It never falls. Completed is 1.
pub fn progress(bytes: usize) -> f64 {
    let bytes = bytes as f64;
    let part = BEGUN + (NEARLY - BEGUN) * bytes / (bytes + HALF_BYTES);
    (part * 100.0).floor() / 100.0
}

/// What an agent is to do.
pub(super) struct Order {
    pub(super) agent: Arc<Agent>,
    pub(super) model: Arc<Model>,
    pub(super) task: Arc<str>,
    pub(super) temperature: Option<f64>,
}

/// `parameters`, as far as anything is made of them.
#[derive(Deserialize, Default)]
pub struct Parameters {
    /// From 0 to 2.
    #[serde(default)]
    pub temperature: Option<f64>,
}

impl Parameters {
    /// What is there and as it must be; anything else is not there.
    pub fn read(json: &str) -> Parameters {
        serde_json::from_str(json).unwrap_or_default()
    }

    /// Whether a model may be given them.
    pub fn are_possible(&self) -> bool {
        self.temperature.is_none_or(|temperature| (0.0..=2.0).contains(&temperature))
    }
}

impl Agent {
    /// The model of this name, if the agent may use it; its own where no name is given.
    pub fn model_named(&self, name: Option<&str>) -> Option<Arc<Model>> {
        let mut models = std::iter::once(&self.model).chain(&self.others);
        models.find(|model| name.is_none_or(|name| *model.name == *name)).cloned()
    }
}

/// See the file.
pub(super) struct Work {
    piece: Piece,
    run: Run,
    said: Vec<Arc<Utterance>>,
    timer: Option<TimerId>,
    calls: usize,
}

/// What comes of an effect at once.
enum Then {
    Nothing,
    Event(Event),
    Over(Ending),
}

impl Work {
    /// Asks the model.
    pub(super) fn begin(piece: Piece, order: Order, c: &mut Circumstances<'_>) -> Box<Work> {
        let Order { agent, model, task, temperature } = order;
        let said = vec![Arc::new(Utterance::User { content: task, attachments: Vec::new() })];
        let (utterances, max_bytes) = (said.clone(), c.settings.max_output_bytes);
        let start = Start { agent, model, utterances, temperature, asks_leave: false, max_bytes };
        let mut effects = Vec::new();
        let run = Run::begin(start, c.now.moment, &mut effects);
        let mut work = Box::new(Work { piece, run, said, timer: None, calls: 0 });
        for effect in effects {
            // A run that has just begun asks, and is not over.
            work.apply(effect, c);
        }
        work
    }

    /// How far it is.
    pub(super) fn progress(&self) -> f64 {
        progress(self.run.text().len() + self.calls * CALL_BYTES)
    }

    /// Lets the run hear of something, and does what it wants. It is over with the ending.
    pub(super) fn happens(&mut self, event: Event, c: &mut Circumstances<'_>) -> Option<Ending> {
        let (mut events, mut effects, mut over) = (VecDeque::from([event]), Vec::new(), None);
        while let Some(event) = events.pop_front() {
            self.run.handle(event, c.now.moment, &mut effects);
            for effect in effects.drain(..) {
                match self.apply(effect, c) {
                    Then::Nothing => {}
                    Then::Event(event) => events.push_back(event),
                    Then::Over(ending) => over = Some(ending),
                }
            }
        }
        over
    }

    fn apply(&mut self, effect: Effect, c: &mut Circumstances<'_>) -> Then {
        let piece = self.piece;
        match effect {
            Effect::Ask(prompt) => c.out.push(Outcome::Model { piece, prompt }),
            Effect::Stop => c.out.push(Outcome::StopModel(piece)),
            Effect::Tool { call, tool, arguments } => {
                let outcome = match tool.work {
                    ToolWork::Calculator => home_tools::calculate(&arguments),
                    ToolWork::Search => home_tools::search(&arguments, &self.said),
                    ToolWork::Http => {
                        c.out.push(Outcome::Tool { piece, call, tool, arguments });
                        return Then::Nothing;
                    }
                };
                return Then::Event(Event::Tool { call, outcome });
            }
            Effect::StopTool { call } => c.out.push(Outcome::StopTool { piece, call }),
            Effect::Timer(after) => {
                c.cancel(self.timer.take());
                self.timer = after.map(|after| c.after(after, Timer::Run(piece)));
            }
            Effect::AskLeave { call, .. } => {
                let reason = Some("nobody is there who could allow it".into());
                return Then::Event(Event::Leave { call, leave: Leave::Denied { reason } });
            }
            Effect::Outcome { .. } => self.calls += 1,
            Effect::Delta(_) | Effect::Called { .. } => {}
            Effect::Over(ending) => return Then::Over(ending),
        }
        Then::Nothing
    }
}

/// What came of a run.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Finish {
    /// What the agent gave.
    Done {
        output: Arc<str>,
        /// Whether the model was cut at the limit of tokens.
        is_cut: bool,
    },
    /// For people.
    Failed(Arc<str>),
}

impl Finish {
    pub(super) fn of(ending: &Ending) -> Finish {
        let why = match ending.end {
            End::Whole => return Finish::Done { output: ending.text.clone(), is_cut: false },
            End::Cut => return Finish::Done { output: ending.text.clone(), is_cut: true },
            End::Cancelled => CANCELLED,
            End::Failed(Fault::Unreachable | Fault::Busy) => "The model is not available",
            End::Failed(Fault::TimedOut) | End::TimedOut => "The agent took too long",
            End::Failed(Fault::Cut | Fault::Malformed | Fault::Refused(_)) => "The model did not answer as it should",
            End::TooLong => "The agent gave more than may be kept",
            End::Unanswered => "Nobody allowed what the agent wanted to do",
        };
        Finish::Failed(why.into())
    }
}

#[derive(Serialize)]
struct Output<'a> {
    output: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_cut: bool,
}

/// `result`: `{"output": text}`, with `code` and `language` where the task is code and the text has exactly one fenced block (CommonMark,
/// section 4.5), with `is_cut` where there would have been more.
pub(super) fn result(kind: Kind, output: &str, is_cut: bool) -> Arc<str> {
    let block = match kind {
        Kind::Code => only_block(output),
        Kind::Design | Kind::Test | Kind::Security | Kind::Analysis => None,
    };
    let language = block.map(|(language, _)| language).filter(|language| !language.is_empty());
    let result = Output { output, code: block.map(|(_, code)| code), language, is_cut };
    // Texts alone: it is always written.
    serde_json::to_string(&result).unwrap_or_default().into()
}

/// Language and text of the one fenced block.
fn only_block(text: &str) -> Option<(&str, &str)> {
    let mut found = None;
    // Where the block that is open begins, and its language.
    let mut open: Option<(usize, &str)> = None;
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let behind = from + line.len();
        if let Some(info) = line.trim_start_matches(' ').strip_prefix("```") {
            match open.take() {
                None => open = Some((behind, info.split_whitespace().next().unwrap_or(""))),
                Some((begin, language)) if info.trim().is_empty() => {
                    if found.is_some() {
                        return None;
                    }
                    let code = &text[begin..from];
                    found = Some((language, code.strip_suffix('\n').unwrap_or(code)));
                }
                still => open = still,
            }
        }
        from = behind;
    }
    found.filter(|_| open.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_rises_and_never_arrives() {
        let shares: Vec<f64> = [0, 10, 50, 200, 1_000, 10_000, 1 << 30].into_iter().map(progress).collect();
        assert_eq!(shares, [0.05, 0.09, 0.22, 0.47, 0.75, 0.88, 0.89]);
        let all: Vec<f64> = (0..5_000).map(progress).collect();
        assert!(all.windows(2).all(|two| two[0] <= two[1]));
    }

    #[test]
    fn code_is_taken_out_of_its_block() {
        let code = |text: &str| result(Kind::Code, text, false).to_string();
        assert_eq!(code("2 + 2 = 4"), r#"{"output":"2 + 2 = 4"}"#);
        assert_eq!(code("```js\nf()\n```"), r#"{"output":"```js\nf()\n```","code":"f()","language":"js"}"#);
        assert_eq!(
            code("Here:\n```\na\n\n b\n```\nIt works."),
            r#"{"output":"Here:\n```\na\n\n b\n```\nIt works.","code":"a\n\n b"}"#
        );
        assert_eq!(code("```\n```"), r#"{"output":"```\n```","code":""}"#);
        for without in ["```js\nf()", "```\na\n```\n```\nb\n```", "a ``` b"] {
            assert!(!code(without).contains("code"), "{without}");
        }
        assert_eq!(&*result(Kind::Design, "```js\nf()\n```", true), r#"{"output":"```js\nf()\n```","is_cut":true}"#);
    }
}
