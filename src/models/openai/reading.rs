//! The stream of events that answers a request.

use super::MAX_EVENT_BYTES;
use crate::models::{
    run::MAX_CALLS,
    talk::{Fault, Stop, ToolCall, Usage, Word},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, mem};

/// One answer on its way in. Bytes may come in any pieces.
#[derive(Debug)]
pub struct Reading {
    /// What came after the last whole line.
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed behind it is of the same line end.
    after_return: bool,
    /// `data` of the event that is not whole.
    data: Vec<u8>,
    has_data: bool,
    calls: Vec<Partial>,
    stop: Option<Stop>,
    usage: Option<Usage>,
    prompt_bytes: usize,
    said_bytes: usize,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Partial {
    index: u32,
    id: String,
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Delta<'a>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(default)]
    tool_calls: Option<Vec<CallDelta>>,
}

/// Borrowed where it lies as it is, which most words do.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct CallDelta {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
}

impl Reading {
    /// Nothing has come. `prompt_bytes` is how long the texts of the prompt are: where the endpoint does not say what it took, it is
    /// [`Usage::estimated`].
    pub fn new(prompt_bytes: usize) -> Reading {
        Reading {
            line: Vec::new(),
            after_return: false,
            data: Vec::new(),
            has_data: false,
            calls: Vec::new(),
            stop: None,
            usage: None,
            prompt_bytes,
            said_bytes: 0,
            is_over: false,
        }
    }

    /// Whether the last word was pushed; what comes after it is not read.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes more of the body; tells what it says. What comes whole is read where it lies.
    pub fn feed(&mut self, mut bytes: &[u8], tell: &mut impl FnMut(Word)) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.is_over {
                return;
            }
            if mem::take(&mut self.after_return) && first == b'\n' {
                bytes = rest;
                continue;
            }
            let end = memchr::memchr2(b'\n', b'\r', bytes);
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + self.data.len() + piece.len() > MAX_EVENT_BYTES {
                return self.fail(Fault::Malformed, tell);
            }
            let Some(end) = end else { return self.line.extend_from_slice(piece) };
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let is_last = self.is_event_over(bytes);
            if self.line.is_empty() {
                self.on_line(piece, is_last, tell);
            } else {
                let mut line = mem::take(&mut self.line);
                line.extend_from_slice(piece);
                self.on_line(&line, is_last, tell);
            }
        }
    }

    /// Whether an empty line is known to follow the line that has just ended.
    fn is_event_over(&self, behind: &[u8]) -> bool {
        let behind = if self.after_return { behind.strip_prefix(b"\n").unwrap_or(behind) } else { behind };
        matches!(behind.first(), Some(b'\n' | b'\r'))
    }

    /// The body has ended.
    pub fn end(&mut self, tell: &mut impl FnMut(Word)) {
        if self.is_over {
            return;
        }
        match self.stop {
            // Some leave out the last `[DONE]`.
            Some(stop) => self.finish(stop, tell),
            None => self.fail(Fault::Cut, tell),
        }
    }

    fn on_line(&mut self, line: &[u8], is_last: bool, tell: &mut impl FnMut(Word)) {
        if line.is_empty() {
            if mem::take(&mut self.has_data) {
                let data = mem::take(&mut self.data);
                self.on_event(&data, tell);
            }
            return;
        }
        // Other fields and comments mean nothing here.
        let Some(value) = line.strip_prefix(b"data:") else { return };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if is_last && !self.has_data {
            return self.on_event(value, tell);
        }
        if mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
    }

    fn on_event(&mut self, data: &[u8], tell: &mut impl FnMut(Word)) {
        if data.trim_ascii() == b"[DONE]" {
            return match self.stop {
                Some(stop) => self.finish(stop, tell),
                None => self.fail(Fault::Cut, tell),
            };
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else { return self.fail(Fault::Malformed, tell) };
        if chunk.error.is_some() {
            return self.fail(Fault::Unreachable, tell);
        }
        if let Some(Tokens { prompt_tokens, completion_tokens }) = chunk.usage {
            self.usage = Some(Usage { prompt_tokens, completion_tokens });
        }
        // One answer is asked for, so others are nobody's.
        let Some(choice) = chunk.choices.into_iter().next() else { return };
        if let Some(Text(text)) = choice.delta.content.filter(|text| !text.0.is_empty()) {
            self.said_bytes += text.len();
            tell(Word::Delta((*text).into()));
        }
        for delta in choice.delta.tool_calls.into_iter().flatten() {
            if !self.on_call(delta) {
                return self.fail(Fault::Malformed, tell);
            }
        }
        if let Some(Text(reason)) = choice.finish_reason {
            self.stop = Some(match &*reason {
                "length" => Stop::Length,
                "tool_calls" | "function_call" => Stop::Calls,
                "content_filter" => Stop::Filtered,
                _ => Stop::Done,
            });
        }
    }

    fn on_call(&mut self, delta: CallDelta) -> bool {
        let at = match self.calls.iter().position(|call| call.index == delta.index) {
            Some(at) => at,
            None => {
                self.calls.push(Partial { index: delta.index, ..Partial::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if let Some(id) = delta.id {
            call.id = id;
        }
        if let Some(FunctionDelta { name, arguments }) = delta.function {
            call.name.push_str(&name.unwrap_or_default());
            call.arguments.push_str(&arguments.unwrap_or_default());
        }
        self.calls.len() <= MAX_CALLS && self.calls.iter().map(Partial::len).sum::<usize>() <= MAX_EVENT_BYTES
    }

    fn finish(&mut self, stop: Stop, tell: &mut impl FnMut(Word)) {
        self.is_over = true;
        let calls = mem::take(&mut self.calls);
        let called: usize = calls.iter().map(Partial::len).sum();
        let stop = if calls.is_empty() { stop } else { Stop::Calls };
        for (index, call) in calls.into_iter().enumerate() {
            tell(Word::Call(call.whole(index)));
        }
        let estimate = Usage::estimated(self.prompt_bytes, self.said_bytes + called);
        tell(Word::Ended { stop, usage: self.usage.unwrap_or(estimate) });
    }

    fn fail(&mut self, fault: Fault, tell: &mut impl FnMut(Word)) {
        self.is_over = true;
        tell(Word::Failed(fault));
    }
}

impl Partial {
    fn len(&self) -> usize {
        self.id.len() + self.name.len() + self.arguments.len()
    }

    fn whole(self, index: usize) -> ToolCall {
        let id = if self.id.is_empty() { format!("call-{index}") } else { self.id };
        let arguments = match self.arguments.trim() {
            "" => "{}".into(),
            text if serde_json::from_str::<&RawValue>(text).is_ok() => text.into(),
            text => Value::from(text).to_string().into(),
        };
        ToolCall { id: id.into(), tool: self.name.into(), arguments }
    }
}
