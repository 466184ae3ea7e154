//! Bodies and streams as the API reference shows them, and as broken endpoints send them.

use super::*;
use crate::models::Schema;
use crate::models::{
    catalog::{Backend, Model, Tool, Work},
    talk::{Attached, Fault, Prompt, Stop, ToolCall, Usage, Utterance, Word},
};
use serde_json::{Value, json};
use std::sync::Arc;

fn prompt(utterances: Vec<Utterance>) -> Prompt {
    let backend = Backend::Remote { model: "gpt-4o".into() };
    Prompt {
        model: Arc::new(Model { name: "big".into(), backend, prompt_price: 0.0, completion_price: 0.0 }),
        utterances: utterances.into_iter().map(Arc::new).collect(),
        tools: Vec::new(),
        temperature: None,
        max_tokens: None,
    }
}

fn parsed(prompt: &Prompt) -> Value {
    serde_json::from_slice(&body(prompt)).unwrap()
}

fn attached(name: &str, media_type: &str, bytes: &'static [u8]) -> Attached {
    Attached { name: name.into(), media_type: media_type.into(), bytes: bytes.into() }
}

#[test]
fn a_body_has_everything() {
    let mut prompt = prompt(vec![
        Utterance::Instructions("Teach.".into()),
        Utterance::User { content: "2+2?".into(), attachments: Vec::new() },
        Utterance::Assistant {
            content: "".into(),
            calls: vec![ToolCall { id: "c1".into(), tool: "add".into(), arguments: r#"{"a":2}"#.into() }],
        },
        Utterance::Tool { call: "c1".into(), content: "4".into() },
    ]);
    prompt.temperature = Some(0.7);
    prompt.max_tokens = Some(9);
    prompt.tools = vec![Arc::new(Tool {
        name: "add".into(),
        description: "Adds.".into(),
        parameters: Schema::new(r#"{"type":"object"}"#).unwrap(),
        needs_approval: false,
        work: Work::Http,
    })];
    assert_eq!(
        parsed(&prompt),
        json!({
            "model": "gpt-4o",
            "messages": [
                {"role": "system", "content": "Teach."},
                {"role": "user", "content": "2+2?"},
                {"role": "assistant", "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{\"a\":2}"}}
                ]},
                {"role": "tool", "tool_call_id": "c1", "content": "4"},
            ],
            "tools": [{"type": "function", "function":
                {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}],
            "stream": true,
            "stream_options": {"include_usage": true},
            "temperature": 0.7,
            "max_tokens": 9,
        })
    );
}

#[test]
fn attachments_are_shown_as_far_as_they_can_be() {
    let attachments = vec![
        attached("a.png", "image/png", b"\x89P"),
        attached("a.txt", "text/plain", b"words"),
        attached("a.zip", "application/zip", b"\xff"),
    ];
    let body = parsed(&prompt(vec![Utterance::User { content: "see".into(), attachments }]));
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVA="}},
            {"type": "text", "text": "Attached file a.txt:\nwords"},
            {"type": "text", "text": "Attached file a.zip (application/zip, 1 bytes) cannot be shown."},
        ])
    );
}

/// Whole, and byte by byte: the same words.
fn read(stream: &str) -> Vec<Word> {
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    let mut reading = Reading::new(40);
    reading.feed(stream.as_bytes(), &mut |word| whole.push(word));
    reading.end(&mut |word| whole.push(word));
    assert!(reading.is_over());
    let mut reading = Reading::new(40);
    stream.bytes().for_each(|byte| reading.feed(&[byte], &mut |word| pieces.push(word)));
    reading.end(&mut |word| pieces.push(word));
    assert_eq!(whole, pieces);
    whole
}

fn delta(text: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}))
}

fn finish(reason: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
}

fn call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> String {
    let function = json!({"name": name, "arguments": arguments});
    let call = json!({"index": index, "id": id, "type": "function", "function": function});
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}))
}

const DONE: &str = "data: [DONE]\n\n";

#[test]
fn deltas_and_usage() {
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n";
    let stream =
        [": hello\n\n", &delta(""), &delta("Once "), &delta("upon"), &finish("stop"), usage, DONE, "data: junk\n\n"].concat();
    let usage = Usage { prompt_tokens: 7, completion_tokens: 2 };
    let expected = [Word::Delta("Once ".into()), Word::Delta("upon".into()), Word::Ended { stop: Stop::Done, usage }];
    assert_eq!(read(&stream), expected);
    assert_eq!(read(&stream.replace('\n', "\r\n")), expected);
    assert_eq!(read(&stream.replace('\n', "\r")), expected);
    assert_eq!(read(&stream.replace("data: ", "data:")), expected);
}

#[test]
fn usage_is_estimated_where_none_is_given() {
    let words = read(&[delta("12345"), finish("length"), DONE.into()].concat());
    let usage = Usage { prompt_tokens: 10, completion_tokens: 2 };
    assert_eq!(words[1], Word::Ended { stop: Stop::Length, usage });
}

#[test]
fn calls_come_in_pieces() {
    let stream = [
        call(0, Some("c1"), Some("add"), ""),
        call(0, None, None, "{\"a\""),
        call(1, None, Some("now"), ""),
        call(0, None, None, ":1}"),
        call(2, Some("c3"), Some("odd"), "{\"a\""),
        finish("tool_calls"),
        DONE.into(),
    ]
    .concat();
    let words = read(&stream);
    let calls: Vec<_> = words
        .iter()
        .filter_map(|word| match word {
            Word::Call(call) => Some((&*call.id, &*call.tool, &*call.arguments)),
            _ => None,
        })
        .collect();
    assert_eq!(calls, [("c1", "add", "{\"a\":1}"), ("call-1", "now", "{}"), ("c3", "odd", "\"{\\\"a\\\"\"")]);
    assert!(matches!(words.last(), Some(Word::Ended { stop: Stop::Calls, .. })));
}

#[test]
fn what_breaks_off_is_cut_unless_it_had_finished() {
    assert_eq!(read(&delta("a")), [Word::Delta("a".into()), Word::Failed(Fault::Cut)]);
    assert_eq!(read(&[delta("a"), DONE.into()].concat())[1], Word::Failed(Fault::Cut));
    assert!(matches!(read(&[delta("a"), finish("stop")].concat())[1], Word::Ended { .. }));
    assert_eq!(read(""), [Word::Failed(Fault::Cut)]);
}

#[test]
fn what_means_nothing_is_malformed() {
    assert_eq!(read("data: {\"choices\": 5}\n\n"), [Word::Failed(Fault::Malformed)]);
    assert_eq!(read("data: nonsense\n\ndata: {}\n\n"), [Word::Failed(Fault::Malformed)]);
    assert_eq!(read("data: {\"error\": {\"message\": \"secret\"}}\n\n"), [Word::Failed(Fault::Unreachable)]);
    let endless = format!("data: {}", "x".repeat(MAX_EVENT_BYTES));
    assert_eq!(read(&endless), [Word::Failed(Fault::Malformed)]);
    let many: String = (0..40).map(|index| call(index, None, Some("f"), "{}")).collect();
    assert_eq!(read(&many), [Word::Failed(Fault::Malformed)]);
    let long: String = (0..20).map(|_| call(0, None, Some("f"), &"9".repeat(60_000))).collect();
    assert_eq!(read(&long), [Word::Failed(Fault::Malformed)]);
}
