//! One request and its answer on a connection of HTTP/1.1 (RFC 9112), read in place: a word of a model costs one wake-up of one task and
//! one read into a buffer that all answers share.

use super::body::{Body, Broken};
use http::StatusCode;
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// All that comes is read into one buffer of the thread, and is understood before anything else is read.
const BUFFER_BYTES: usize = 16 << 10;
/// The status line and the headers of one answer.
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 100;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER_BYTES].into_boxed_slice());
}

/// A connection, with TLS or without.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An answer whose head has come.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Whole seconds of `Retry-After`; the other form, a date, is not used by these endpoints.
    pub(super) retry_after: Option<u64>,
    wire: Box<dyn Wire>,
    body: Body,
    keeps_alive: bool,
    /// Of the body what came together with the head.
    early: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unanswered {
    /// The connection ended before anything came on it. The request may never have been read.
    Unheard,
    /// What came is no answer, or not a whole one.
    Broken,
}

/// What has come of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Came {
    /// Some of it.
    Content,
    /// Its end, where it should be or where the connection broke.
    End,
}

impl Answer {
    /// Sends a request and reads the head of its answer.
    pub(super) async fn to(request: &[u8], mut wire: Box<dyn Wire>) -> Result<Answer, Unanswered> {
        // Who does not want to read it all may have answered before it closed: then that is the answer.
        if wire.write_all(request).await.is_ok() {
            let _ = wire.flush().await;
        }
        let mut head = Vec::new();
        loop {
            let read = poll_fn(|cx| poll_read(&mut *wire, cx, |bytes| head.extend_from_slice(bytes))).await;
            if !matches!(read, Ok(1..)) {
                return Err(if head.is_empty() { Unanswered::Unheard } else { Unanswered::Broken });
            }
            if let Some(Head { status, retry_after, body, keeps_alive }) = Head::cut(&mut head)? {
                return Ok(Answer { status, retry_after, wire, body, keeps_alive, early: head });
            }
            if head.len() > MAX_HEAD_BYTES {
                return Err(Unanswered::Broken);
            }
        }
    }

    /// Waits for more of the body, and hands it on. To be polled by one task; nothing is lost when it is not polled again.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>, mut content: impl FnMut(&[u8])) -> Poll<Came> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            return Poll::Ready(self.feed(&early, content));
        }
        if self.body == Body::Over {
            return Poll::Ready(Came::End);
        }
        let mut fed = Ok(());
        let body = &mut self.body;
        let read = ready!(poll_read(&mut *self.wire, cx, |bytes| fed = body.feed(bytes, &mut content)));
        Poll::Ready(match (read, fed) {
            (Ok(1..), Ok(())) => Came::Content,
            (Ok(_) | Err(_), _) => self.break_off(),
        })
    }

    fn feed(&mut self, bytes: &[u8], content: impl FnMut(&[u8])) -> Came {
        match self.body.feed(bytes, content) {
            Ok(()) => Came::Content,
            Err(Broken) => self.break_off(),
        }
    }

    fn break_off(&mut self) -> Came {
        self.keeps_alive = false;
        self.body = Body::Over;
        Came::End
    }

    /// The connection, if another request may be sent on it.
    pub(super) fn into_wire(self) -> Option<Box<dyn Wire>> {
        (self.keeps_alive && self.body == Body::Over && self.early.is_empty()).then_some(self.wire)
    }
}

/// Whether nothing has come on a connection on which nothing should have, and it is still open.
pub(super) fn is_silent(wire: &mut dyn Wire) -> bool {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    poll_read(wire, &mut cx, |_| ()).is_pending()
}

/// Reads once, and hands on what came. `Ok(0)`: the other side has closed.
fn poll_read(wire: &mut dyn Wire, cx: &mut Context<'_>, take: impl FnOnce(&[u8])) -> Poll<io::Result<usize>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(wire).poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        if !read.is_empty() {
            take(read);
        }
        Poll::Ready(Ok(read.len()))
    })
}

/// What the head of an answer says.
#[derive(PartialEq, Eq, Debug)]
struct Head {
    status: StatusCode,
    retry_after: Option<u64>,
    body: Body,
    keeps_alive: bool,
}

impl Head {
    /// Takes it off the front of what has come; `None` while it is not whole. Answers that come before the answer (1xx) are passed over.
    fn cut(came: &mut Vec<u8>) -> Result<Option<Head>, Unanswered> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            let length = match response.parse(came).map_err(|_| Unanswered::Broken)? {
                httparse::Status::Complete(length) => length,
                httparse::Status::Partial => return Ok(None),
            };
            let head = Head::of(&response)?;
            came.drain(..length);
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                // Nobody asked for that.
                return Err(Unanswered::Broken);
            }
            if !head.status.is_informational() {
                return Ok(Some(head));
            }
        }
    }

    fn of(response: &httparse::Response<'_, '_>) -> Result<Head, Unanswered> {
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Unanswered::Broken)?;
        let values = |name: &'static str| {
            let named = response.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
            named.filter_map(|header| std::str::from_utf8(header.value).ok()).flat_map(|value| value.split(',')).map(str::trim)
        };
        let is_closing = response.version != Some(1) || values("connection").any(|option| option.eq_ignore_ascii_case("close"));
        let (coding, mut lengths) = (values("transfer-encoding").next_back(), values("content-length"));
        // RFC 9112, section 6.3.
        let length = match lengths.next() {
            Some(length) if lengths.all(|other| other == length) && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(length.parse().map_err(|_| Unanswered::Broken)?)
            }
            Some(_) => return Err(Unanswered::Broken),
            None => None,
        };
        let body = match (coding, length) {
            _ if status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Body::Over,
            (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Body::chunked(),
            (Some(_), _) | (None, None) => Body::UntilClosed,
            (None, Some(length)) => Body::sized(length),
        };
        let keeps_alive = !is_closing && body != Body::UntilClosed && (coding.is_none() || length.is_none());
        let retry_after = values("retry-after").next().and_then(|value| value.parse().ok());
        Ok(Head { status, retry_after, body, keeps_alive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Option<Head> {
        let mut came = format!("HTTP/1.1 {}\r\n\r\nrest", text.replace('\n', "\r\n")).into_bytes();
        let head = Head::cut(&mut came).ok()??;
        assert_eq!(came, b"rest");
        Some(head)
    }

    #[test]
    fn bodies_as_heads_announce_them() {
        for (text, body, keeps_alive) in [
            ("200 OK\nContent-Length: 5", Body::Sized(5), true),
            ("200 OK\ncontent-length: 5, 5\nContent-Length: 5", Body::Sized(5), true),
            ("200 OK\nContent-Length: 0", Body::Over, true),
            ("200 OK\nContent-Length: 5\nConnection: x, Close", Body::Sized(5), false),
            ("200 OK\nTransfer-Encoding: Chunked", Body::chunked(), true),
            ("200 OK\nTransfer-Encoding: gzip, chunked\nContent-Length: 7", Body::chunked(), false),
            ("200 OK\nTransfer-Encoding: gzip", Body::UntilClosed, false),
            ("200 OK", Body::UntilClosed, false),
            ("204 No Content", Body::Over, true),
            ("100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: x\n\nHTTP/1.1 200 OK\nContent-Length: 1", Body::Sized(1), true),
        ] {
            let head = head(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((head.body, head.keeps_alive), (body, keeps_alive), "{text}");
        }
        assert_eq!(head("429 Slow\nRetry-After: 7").unwrap().retry_after, Some(7));
        assert_eq!(head("429 Slow\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT").unwrap().retry_after, None);
    }

    #[test]
    fn heads_that_mean_nothing() {
        for text in [
            "200 OK\nContent-Length: -5",
            "200 OK\nContent-Length: 5\nContent-Length: 6",
            "200 OK\nContent-Length: ",
            "200 OK\nContent-Length: 99999999999999999999999",
            "20 OK",
            "200 OK\nno colon",
        ] {
            assert_eq!(head(text), None, "{text}");
        }
        let mut old = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n".to_vec();
        assert!(!Head::cut(&mut old).unwrap().unwrap().keeps_alive);
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        assert!((0..whole.len()).all(|cut| Head::cut(&mut whole[..cut].to_vec()).unwrap().is_none()));
    }
}
