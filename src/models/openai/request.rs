//! The body of a request.

use crate::models::{
    catalog::{Backend, Tool},
    talk::{Attached, Prompt, ToolCall, Utterance},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, str};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a>>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Message<'a> {
    System {
        content: &'a str,
    },
    User {
        content: Content<'a>,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: Image },
}

#[derive(Serialize)]
struct Image {
    url: String,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'a str,
    function: Called<'a>,
}

#[derive(Serialize)]
struct Called<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Function<'a> {
    r#type: &'a str,
    function: Declared<'a>,
}

#[derive(Serialize)]
struct Declared<'a> {
    name: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a RawValue>,
}

/// The body of a streamed request, as JSON.
pub fn body(prompt: &Prompt) -> Vec<u8> {
    let model = match &prompt.model.backend {
        Backend::Remote { model } => model,
        // Nobody asks it over HTTP.
        Backend::Builtin { .. } => &prompt.model.name,
    };
    let body = Body {
        model,
        messages: prompt.utterances.iter().map(|utterance| message(utterance)).collect(),
        tools: prompt.tools.iter().map(|tool| function(tool)).collect(),
        stream: true,
        stream_options: StreamOptions { include_usage: true },
        temperature: prompt.temperature,
        max_tokens: prompt.max_tokens,
    };
    // Strings, numbers and JSON that was parsed before: it is always written.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn message(utterance: &Utterance) -> Message<'_> {
    match utterance {
        Utterance::Instructions(content) => Message::System { content },
        Utterance::User { content, attachments } if attachments.is_empty() => Message::User { content: Content::Text(content) },
        Utterance::User { content, attachments } => {
            let mut parts = vec![Part::Text { text: Cow::Borrowed(&**content) }];
            parts.extend(attachments.iter().map(part));
            Message::User { content: Content::Parts(parts) }
        }
        Utterance::Assistant { content, calls } => {
            Message::Assistant { content: (!content.is_empty()).then_some(content), tool_calls: calls.iter().map(call).collect() }
        }
        Utterance::Tool { call, content } => Message::Tool { tool_call_id: call, content },
    }
}

fn call(call: &ToolCall) -> Call<'_> {
    Call { id: &call.id, r#type: "function", function: Called { name: &call.tool, arguments: &call.arguments } }
}

fn function(tool: &Tool) -> Function<'_> {
    let parameters = serde_json::from_str(tool.parameters.text()).ok();
    Function { r#type: "function", function: Declared { name: &tool.name, description: &tool.description, parameters } }
}

/// Images as they are, texts as text; of anything else only that it is there.
fn part(attached: &Attached) -> Part<'_> {
    let Attached { name, media_type, bytes } = attached;
    if media_type.starts_with("image/") {
        return Part::ImageUrl {
            image_url: Image { url: format!("data:{media_type};base64,{}", BASE64_STANDARD.encode(bytes)) },
        };
    }
    let is_text = media_type.starts_with("text/") || &**media_type == "application/json";
    match str::from_utf8(bytes) {
        Ok(text) if is_text => Part::Text { text: format!("Attached file {name}:\n{text}").into() },
        Ok(_) | Err(_) => {
            Part::Text { text: format!("Attached file {name} ({media_type}, {} bytes) cannot be shown.", bytes.len()).into() }
        }
    }
}
