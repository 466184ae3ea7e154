//! The built-in agent: no language model, no network, the same answer to the same words. It says what it is.
//!
//! What it can do, in the order in which it looks:
//!
//! - after tools were called: it says what they answered;
//! - `/count N` or `/count N MILLISECONDS`: it says the numbers to N, one at a time, for tests of streams;
//! - a tool's name as a word of its own: it calls the tool, with the JSON object that stands in the message, or with the message for each
//!   text that the tool must be given;
//! - arithmetic: it says the value;
//! - anything else: it says what it is and what it can do.

use super::{
    calculator,
    catalog::{Backend, Model, Tool, Work},
    talk::{Prompt, Stop, ToolCall, Usage, Utterance, Word},
};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use std::{collections::BTreeMap, fmt::Write, sync::Arc, time::Duration};

/// What the built-in agent is called where a model is named.
pub const BUILTIN_MODEL: &str = "builtin";

/// The most that `/count` counts to.
pub const MAX_COUNT: u32 = 10_000;

/// What it says, piece by piece: each after so long behind the one before.
#[derive(Clone, Debug)]
pub struct Script {
    pieces: std::vec::IntoIter<Arc<str>>,
    calls: std::vec::IntoIter<ToolCall>,
    ending: Option<Word>,
    pace: Duration,
}

impl Script {
    /// Its answer to a prompt.
    pub fn new(prompt: &Prompt) -> Script {
        let mut pace = pace(&prompt.model);
        let (text, calls) = match answer(prompt) {
            Answer::Text(text) => (pieces(&text), Vec::new()),
            Answer::Count { to, every } => {
                pace = every.unwrap_or(pace);
                ((1..=to).map(|number| format!("{number} ").into()).collect(), Vec::new())
            }
            Answer::Call(call) => (Vec::new(), vec![call]),
        };
        let (text, cut) = shortened(text, prompt.max_tokens);
        let stop = match (calls.is_empty(), cut) {
            (false, _) => Stop::Calls,
            (true, true) => Stop::Length,
            (true, false) => Stop::Done,
        };
        let completion_tokens = u32::try_from(text.len() + calls.len()).unwrap_or(u32::MAX);
        let usage = Usage { prompt_tokens: words_of(prompt), completion_tokens };
        Script { pieces: text.into_iter(), calls: calls.into_iter(), ending: Some(Word::Ended { stop, usage }), pace }
    }
}

impl Iterator for Script {
    /// After how long, and what.
    type Item = (Duration, Word);

    fn next(&mut self) -> Option<(Duration, Word)> {
        if let Some(piece) = self.pieces.next() {
            return Some((self.pace, Word::Delta(piece)));
        }
        let word = self.calls.next().map(Word::Call).or_else(|| self.ending.take())?;
        Some((Duration::ZERO, word))
    }
}

enum Answer {
    Text(String),
    Count { to: u32, every: Option<Duration> },
    Call(ToolCall),
}

fn pace(model: &Model) -> Duration {
    match model.backend {
        Backend::Builtin { pace } => pace,
        Backend::Remote { .. } => Duration::ZERO,
    }
}

fn answer(prompt: &Prompt) -> Answer {
    let outcomes: Vec<_> = outcomes(prompt).collect();
    if !outcomes.is_empty() {
        return Answer::Text(told(&outcomes));
    }
    let content = last_words(prompt);
    count(content)
        .or_else(|| tool_in(prompt, content).map(|tool| Answer::Call(call(prompt, tool, content))))
        .or_else(|| {
            let (expression, value) = calculator::found_in(content)?;
            Some(Answer::Text(format!("{expression} = {value}")))
        })
        .unwrap_or_else(|| Answer::Text(greeting(&prompt.tools)))
}

/// The outcomes of the calls that were made just now, the tool's name with each.
fn outcomes(prompt: &Prompt) -> impl Iterator<Item = (&str, &str)> {
    let since = prompt.utterances.iter().rposition(|utterance| matches!(**utterance, Utterance::Assistant { .. }));
    let (calls, behind): (&[ToolCall], &[_]) = match since.map(|at| (&*prompt.utterances[at], &prompt.utterances[at + 1..])) {
        Some((Utterance::Assistant { calls, .. }, behind)) => (calls, behind),
        Some((Utterance::Instructions(_) | Utterance::User { .. } | Utterance::Tool { .. }, _)) | None => (&[], &[]),
    };
    let is_answered = behind.iter().all(|utterance| matches!(**utterance, Utterance::Tool { .. }));
    behind.iter().take(if is_answered { behind.len() } else { 0 }).filter_map(|utterance| match &**utterance {
        Utterance::Tool { call, content } => {
            let tool = calls.iter().find(|made| made.id == *call).map_or("a tool", |made| &made.tool);
            Some((tool, &**content))
        }
        Utterance::Instructions(_) | Utterance::User { .. } | Utterance::Assistant { .. } => None,
    })
}

fn told(outcomes: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (tool, outcome) in outcomes {
        let gap = if text.is_empty() { "" } else { "\n" };
        // Writing to a String does not fail.
        let _ = match outcome.strip_prefix("denied: ") {
            Some(why) => write!(text, "{gap}I did not call {tool}: {why}."),
            None => write!(text, "{gap}{tool} answered: {outcome}"),
        };
    }
    text
}

fn last_words(prompt: &Prompt) -> &str {
    prompt
        .utterances
        .iter()
        .rev()
        .find_map(|utterance| match &**utterance {
            Utterance::User { content, .. } => Some(&**content),
            Utterance::Instructions(_) | Utterance::Assistant { .. } | Utterance::Tool { .. } => None,
        })
        .unwrap_or("")
}

fn count(content: &str) -> Option<Answer> {
    let mut words = content.trim().strip_prefix("/count")?.split_whitespace();
    let to = words.next()?.parse::<u32>().ok()?.min(MAX_COUNT);
    let every = words.next().and_then(|word| word.parse::<u32>().ok()).map(|millis| Duration::from_millis(millis.into()));
    Some(Answer::Count { to, every })
}

fn tool_in<'a>(prompt: &'a Prompt, content: &str) -> Option<&'a Tool> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut words = content.split(|c| !is_part(c));
    words.find_map(|word| prompt.tools.iter().find(|tool| tool.name.eq_ignore_ascii_case(word))).map(|tool| &**tool)
}

fn call(prompt: &Prompt, tool: &Tool, content: &str) -> ToolCall {
    // The same id twice in a session would be mistaken for an older call.
    let number = prompt.utterances.len();
    let arguments = object_in(content).unwrap_or_else(|| guessed(tool, content));
    ToolCall { id: format!("call-{number}").into(), tool: tool.name.clone(), arguments: arguments.into() }
}

/// The first JSON object that stands in a text.
fn object_in(content: &str) -> Option<String> {
    content.match_indices('{').find_map(|(at, _)| {
        let mut values = serde_json::Deserializer::from_str(&content[at..]).into_iter::<&RawValue>();
        values.next()?.ok().map(|object| object.get().to_owned())
    })
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default)]
    properties: BTreeMap<String, Property>,
    #[serde(default)]
    required: Vec<String>,
}

#[derive(Deserialize)]
struct Property {
    #[serde(default)]
    r#type: Value,
}

fn guessed(tool: &Tool, content: &str) -> String {
    let words = match tool.work {
        Work::Calculator => calculator::found_in(content).map_or(content, |(expression, _)| expression),
        Work::Search | Work::Http => content,
    };
    let schema =
        serde_json::from_str(tool.parameters.text()).unwrap_or(Parameters { properties: BTreeMap::new(), required: Vec::new() });
    let is_text = |name: &String| schema.properties.get(name).is_some_and(|property| property.r#type == "string");
    let guessed: Map<String, Value> =
        schema.required.iter().filter(|name| is_text(name)).map(|name| (name.clone(), words.into())).collect();
    Value::Object(guessed).to_string()
}

fn greeting(tools: &[Arc<Tool>]) -> String {
    let mut text = String::from("I am Homeroom's built-in agent, not a language model. I can do arithmetic, such as 2 + 2");
    let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
    if !names.is_empty() {
        // Writing to a String does not fail.
        let _ = write!(text, ", and call these tools when you name them: {}", names.join(", "));
    }
    text.push('.');
    text
}

/// A word each, with the space before it.
fn pieces(text: &str) -> Vec<Arc<str>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for (at, _) in text.match_indices(' ') {
        if at > from {
            pieces.push(text[from..at].into());
            from = at;
        }
    }
    if from < text.len() {
        pieces.push(text[from..].into());
    }
    pieces
}

fn shortened(mut text: Vec<Arc<str>>, max_tokens: Option<u32>) -> (Vec<Arc<str>>, bool) {
    let most = max_tokens.map_or(usize::MAX, |most| most as usize);
    let cut = text.len() > most;
    text.truncate(most);
    (text, cut)
}

fn words_of(prompt: &Prompt) -> u32 {
    let words = prompt.utterances.iter().map(|utterance| match &**utterance {
        Utterance::Instructions(content) | Utterance::User { content, .. } => content.split_whitespace().count(),
        Utterance::Assistant { content, .. } | Utterance::Tool { content, .. } => content.split_whitespace().count(),
    });
    u32::try_from(words.sum::<usize>()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
