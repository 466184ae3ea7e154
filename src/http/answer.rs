//! Answers: a status, headers, and a body that is there at once or comes as a stream.

use bytes::Bytes;
use futures_lite::{Stream, StreamExt};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// The type of server-sent events.
pub const EVENTS: &str = "text/event-stream";

/// What a handler answers.
pub type Answer = Response<Payload>;

/// The body of an answer.
#[derive(Default)]
pub enum Payload {
    /// None, or all of it is sent.
    #[default]
    Empty,
    /// All of it at once.
    Whole(Bytes),
    /// It comes as it becomes ready; each item leaves at once. An error breaks the connection off, so that the client sees that
    /// something is missing.
    Stream(Pin<Box<dyn Body<Data = Bytes, Error = io::Error>>>),
}

impl Payload {
    /// A body that comes in pieces, for example server-sent events.
    pub fn stream(pieces: impl Stream<Item = io::Result<Bytes>> + 'static) -> Payload {
        Payload::Stream(Box::pin(StreamBody::new(pieces.map(|piece| piece.map(Frame::data)))))
    }
}

impl<T: Into<Bytes>> From<T> for Payload {
    fn from(bytes: T) -> Payload {
        let bytes = bytes.into();
        if bytes.is_empty() { Payload::Empty } else { Payload::Whole(bytes) }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Payload::Stream(stream) = &mut *self {
            return stream.as_mut().poll_frame(cx);
        }
        Poll::Ready(match std::mem::take(&mut *self) {
            Payload::Whole(bytes) => Some(Ok(Frame::data(bytes))),
            Payload::Empty | Payload::Stream(_) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Payload::Empty => true,
            Payload::Whole(_) => false,
            Payload::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Empty => SizeHint::with_exact(0),
            Payload::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Stream(stream) => stream.size_hint(),
        }
    }
}

/// Says that a WebSocket is here, which a plain request does not get (RFC 9110, section 15.5.22; RFC 6455, section 4.4).
pub fn upgrade_wanted(mut answer: Answer) -> Answer {
    *answer.status_mut() = StatusCode::UPGRADE_REQUIRED;
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    answer
}

/// No body.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

/// A body of a given type.
pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Payload>) -> Answer {
    let mut answer = empty(status);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    *answer.body_mut() = body.into();
    answer
}

/// Plain text.
pub fn text(status: StatusCode, body: impl Into<Payload>) -> Answer {
    typed(status, "text/plain; charset=utf-8", body)
}

/// JSON, compact. A value that JSON cannot express (a map whose keys are no strings) is our own mistake and becomes a bare 500.
pub fn json<T: Serialize + ?Sized>(status: StatusCode, body: &T) -> Answer {
    match serde_json::to_vec(body) {
        Ok(body) => typed(status, "application/json", body),
        Err(error) => {
            tracing::warn!(%error, "an answer does not serialise");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::{future::block_on, stream};
    use http_body_util::BodyExt;
    use std::collections::BTreeMap;

    #[test]
    fn a_whole_body_knows_its_length_and_ends() {
        let mut payload = Payload::from("four");
        assert_eq!(payload.size_hint().exact(), Some(4));
        assert!(!payload.is_end_stream());
        let frame = block_on(payload.frame()).unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "four");
        assert!(payload.is_end_stream());
        assert!(block_on(payload.frame()).is_none());
    }

    #[test]
    fn an_empty_text_is_an_empty_body() {
        assert!(Payload::from("").is_end_stream());
    }

    #[test]
    fn a_stream_keeps_its_pieces_apart_and_its_error() {
        let pieces = [Ok(Bytes::from("a")), Ok(Bytes::from("b")), Err(io::Error::other("broken"))];
        let mut payload = Payload::stream(stream::iter(pieces));
        assert_eq!(payload.size_hint().exact(), None);
        assert_eq!(block_on(payload.frame()).unwrap().unwrap().into_data().unwrap(), "a");
        assert_eq!(block_on(payload.frame()).unwrap().unwrap().into_data().unwrap(), "b");
        assert!(block_on(payload.frame()).unwrap().is_err());
    }

    #[test]
    fn what_json_cannot_say_is_a_bare_500() {
        let odd = BTreeMap::from([((1, 2), 3)]);
        assert_eq!(json(StatusCode::OK, &odd).status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
