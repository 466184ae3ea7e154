//! An answer as server-sent events: each an unnamed `data:` line of JSON and an empty line. Contract: "Stream Chat Response".

use super::{
    rooms::{Pauses, Sessions},
    say::Waiting,
};
use crate::{
    http::{
        answer::{self, Answer, EVENTS, Payload},
        paced::COMMENT,
    },
    protocols::chat::{
        Told,
        messages::{self, Shown as Id, Tokens, raw},
    },
};
use bytes::Bytes;
use futures_lite::Stream;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Tells proxies (nginx for one) to pass on each piece at once.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What a stream tells. The contract has `content`, `tool_call` and `done`; the others are named as on the socket.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Event<'a> {
    Content {
        delta: &'a str,
    },
    ToolCall {
        tool: &'a str,
        #[schema(value_type = Object)]
        args: &'a RawValue,
    },
    ToolResult {
        tool: &'a str,
        #[schema(value_type = Value)]
        result: &'a RawValue,
    },
    ApprovalRequired {
        approval_id: Id,
        tool: &'a str,
    },
    Error {
        code: &'a str,
        message: &'a str,
    },
    Done {
        message_id: Id,
        usage: Tokens,
    },
}

impl Event<'_> {
    fn bytes(&self) -> Bytes {
        let mut bytes = b"data: ".to_vec();
        // Texts, numbers and JSON that was parsed before: it is always written.
        let _ = serde_json::to_writer(&mut bytes, self);
        // JSON of tools may have line feeds between its parts, and a line is where an event's data end.
        bytes.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        bytes.extend(b"\n\n");
        bytes.into()
    }
}

/// A piece as an event, if it is one.
fn event(told: &Told) -> Option<Bytes> {
    let event = match told {
        Told::Begin { .. } => return None,
        Told::Delta(delta) => Event::Content { delta },
        Told::Call { tool, arguments } => Event::ToolCall { tool, args: raw(arguments) },
        Told::Result { tool, result } => Event::ToolResult { tool, result: raw(result) },
        Told::Asked { approval } => {
            Event::ApprovalRequired { approval_id: messages::approval(approval.id), tool: &approval.call.tool }
        }
        Told::Waits(message) => Event::Done { message_id: messages::message(message.id), usage: message.usage.into() },
        Told::End { message, usage, broken } => match broken.and_then(|why| why.error()) {
            Some((code, message)) => Event::Error { code, message },
            None => Event::Done { message_id: messages::message(message.id), usage: (*usage).into() },
        },
        Told::Refused(why) => {
            let (code, message) = why.error();
            Event::Error { code, message }
        }
    };
    Some(event.bytes())
}

/// Whether nothing comes after a piece.
pub(super) fn is_last(told: &Told) -> bool {
    match told {
        Told::Waits(_) | Told::End { .. } | Told::Refused(_) => true,
        Told::Begin { .. } | Told::Delta(_) | Told::Call { .. } | Told::Result { .. } | Told::Asked { .. } => false,
    }
}

/// The body of the answer.
pub(super) struct Streaming<S: Sessions> {
    waiting: Waiting<S>,
    /// What was told before the body began; none: nothing was, for long.
    first: Option<Bytes>,
    pause: Pin<Box<dyn Future<Output = ()>>>,
    is_done: bool,
}

impl<S: Sessions + Pauses + 'static> Streaming<S> {
    /// A stream that begins with this piece, or a comment.
    pub(super) fn new(waiting: Waiting<S>, first: Option<Told>) -> Streaming<S> {
        let pause = pause(&*waiting.house);
        let is_done = first.as_ref().is_some_and(is_last);
        let first = first.map_or(Some(Bytes::from_static(COMMENT)), |told| event(&told));
        Streaming { waiting, first, pause, is_done }
    }

    pub(super) fn into_answer(self) -> Answer {
        let mut answer = answer::typed(StatusCode::OK, EVENTS, Vec::new());
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
        *answer.body_mut() = Payload::stream(self);
        answer
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        while let Poll::Ready(told) = Pin::new(&mut self.waiting.tellings).poll_next(cx) {
            let Some(told) = told else { return Poll::Ready(self.broken_off()) };
            self.is_done = is_last(&told);
            self.waiting.is_over = self.is_done;
            if let Some(event) = event(&told) {
                return Poll::Ready(Some(Ok(event)));
            }
        }
        ready!(self.pause.as_mut().poll(cx));
        self.pause = pause(&*self.waiting.house);
        Poll::Ready(Some(Ok(Bytes::from_static(COMMENT))))
    }

    /// Nothing more comes, and there was no end.
    fn broken_off(&mut self) -> Option<io::Result<Bytes>> {
        self.is_done = true;
        if self.waiting.tellings.is_cut() {
            return Some(Err(io::Error::other("a reader was too slow for the stream")));
        }
        self.waiting.is_over = true;
        Some(Ok(Event::Error { code: "AGENT_ERROR", message: "the answer broke off" }.bytes()))
    }
}

fn pause<S: Sessions + Pauses>(house: &S) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(house.pause(house.settings().stream_comment))
}

impl<S: Sessions> Unpin for Streaming<S> {}

impl<S: Sessions + Pauses + 'static> Stream for Streaming<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let stream = self.get_mut();
        if let Some(first) = stream.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if stream.is_done { Poll::Ready(None) } else { stream.next(cx) }
    }
}
