//! One connection from its first request to its end: hyper speaks, the pace is watched, the last answer gets through.

use super::{
    answer::{self, EVENTS},
    gate::Peer,
    limits::{BUFFER_BYTES, LINGER_BYTES, Limits},
    pace::{Pace, Phase},
    paced::Paced,
    stop::Stop,
    stream::Stream,
    table::{Reading, Table},
    wire::Wire,
};
use futures_lite::future;
use glommio::timer::Timer;
use http::{Extensions, HeaderValue, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future, poll_fn},
    net::IpAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// For a client's side to close when the server stops.
const STOP_LINGER: Duration = Duration::from_millis(100);

const TIMED_OUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What all HTTP connections of a shard share.
pub struct App<S> {
    /// Whatever fulfils the contracts that the routes name.
    pub house: Rc<S>,
    /// How long clients may take.
    pub limits: Limits,
    /// When to end.
    pub stop: Stop,
}

/// What is known of a connection before its first request is read.
pub struct Beginning {
    /// What was read of that.
    pub head: Vec<u8>,
    /// Goes among its extensions.
    pub known: Extensions,
    /// Whose it is, where that is not whoever the socket is connected to.
    pub client: Option<IpAddr>,
}

/// Serves one connection until it ends: `stream`, from which `head` was read before, by the routes of its listener. Runs on a glommio
/// executor; errors of the connection end it and nothing else. A panic of a handler passes through.
pub async fn serve<S: 'static>(stream: Stream, beginning: Beginning, table: Rc<Table<S>>, app: Rc<App<S>>) {
    let Beginning { head, known, client } = beginning;
    let pace = Rc::new(Pace::new(app.limits));
    let peer = client.or_else(|| stream.socket().peer_addr().ok().map(|address| address.ip())).map(Peer);
    let wire = Wire::new(stream, head, Rc::clone(&pace));
    let exchange = Exchange { table, app: Rc::clone(&app), pace: Rc::clone(&pace), peer, known: Cell::new(known) };
    let mut connection = speaker(app.limits).serve_connection(wire, exchange);
    let end = drive(&mut connection, &pace, app.stop.clone()).await;
    let mut stream = connection.into_parts().io.stream;
    match end {
        End::Closed(Ok(())) => {}
        End::Closed(Err(error)) => tracing::debug!(%error, "an HTTP connection broke"),
        End::TimedOut if pace.is_blocked() => return,
        End::TimedOut => match pace.phase() {
            Phase::Head | Phase::Body => tell_timeout(&mut stream).await,
            Phase::Idle | Phase::Work => {}
        },
    }
    // A stop waits for the answers in hand, not for clients that keep a quiet connection open.
    let at_most = if app.stop.said() { app.limits.linger.min(STOP_LINGER) } else { app.limits.linger };
    linger(stream, at_most).await;
}

fn speaker(limits: Limits) -> http1::Builder {
    let mut speaker = http1::Builder::new();
    // The pace watches the headers too, apart from idleness.
    speaker.header_read_timeout(None);
    speaker.max_buf_size(BUFFER_BYTES).max_header_size(limits.head_bytes.min(BUFFER_BYTES)).max_headers(limits.headers);
    // glommio's streams send one slice at a time.
    speaker.writev(false);
    // One who has said all may still listen.
    speaker.half_close(true);
    speaker
}

enum End {
    Closed(hyper::Result<()>),
    TimedOut,
}

type Connection<S> = http1::Connection<Wire, Exchange<S>>;

/// Runs the connection until it is done or its client has taken too long; when the stop is heard, ends it after the request in hand.
async fn drive<S: 'static>(connection: &mut Connection<S>, pace: &Pace, stop: Stop) -> End {
    let mut stop = pin!(stop.heard());
    let mut stopping = false;
    let mut alarm = Alarm::default();
    let mut begun = false;
    poll_fn(|cx| {
        // Not at the very first: what came with the connection is a request in hand.
        if begun && !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            Pin::new(&mut *connection).graceful_shutdown();
        }
        if let Poll::Ready(end) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(End::Closed(end));
        }
        if !begun {
            begun = true;
            // Once more, now with an ear for the stop.
            cx.waker().wake_by_ref();
        }
        alarm.poll(cx, pace).map(|()| End::TimedOut)
    })
    .await
}

/// The one timer of a connection. It moves when the deadline comes nearer, and looks again when it fires: requests that flow do not touch
/// it. To be polled by one task only, whose waker it keeps.
#[derive(Default)]
struct Alarm {
    timer: Option<Timer>,
    fires: Option<Instant>,
}

impl Alarm {
    fn poll(&mut self, cx: &mut Context<'_>, pace: &Pace) -> Poll<()> {
        loop {
            let Some(deadline) = pace.deadline() else { return Poll::Pending };
            let now = Instant::now();
            if deadline <= now {
                return Poll::Ready(());
            }
            if self.fires.is_some_and(|fires| fires <= deadline && fires > now) {
                return Poll::Pending;
            }
            let timer = self.timer.insert(Timer::new(deadline - now));
            self.fires = Some(deadline);
            if Pin::new(timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// One attempt: a client that is this slow is not waited for.
async fn tell_timeout(stream: &mut Stream) {
    let _ = future::poll_once(poll_fn(|cx| stream.poll_write(cx, TIMED_OUT))).await;
}

/// Closes our side, then reads what still comes until the client closes too: a socket closed with unread bytes resets, and the reset
/// overtakes the answer.
async fn linger(mut stream: Stream, limit: Duration) {
    let drained = async {
        if stream.finish().await.is_err() {
            return;
        }
        // On the heap: an array would be part of every connection from its beginning.
        let mut bytes = vec![0; 4 << 10];
        let mut total = 0;
        while let Ok(read @ 1..) = stream.read(&mut bytes).await {
            total += read;
            if total > LINGER_BYTES {
                break;
            }
        }
    };
    let late = async {
        Timer::new(limit).await;
    };
    future::or(drained, late).await;
}

/// From a request of hyper's to an answer of the table's.
struct Exchange<S> {
    table: Rc<Table<S>>,
    app: Rc<App<S>>,
    pace: Rc<Pace>,
    /// None: it has gone already.
    peer: Option<Peer>,
    /// Of the first request.
    known: Cell<Extensions>,
}

impl<S: 'static> Service<Request<Incoming>> for Exchange<S> {
    type Response = Response<Paced>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Paced>, Infallible>>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().extend(self.known.take());
        self.peer.and_then(|peer| request.extensions_mut().insert(peer));
        let (table, app, pace) = (Rc::clone(&self.table), Rc::clone(&self.app), Rc::clone(&self.pace));
        Box::pin(async move {
            pace.enter(Phase::Work);
            let mut ends = request.headers().contains_key(header::TRANSFER_ENCODING);
            let mut answer = match is_ambiguous(&request) {
                true => {
                    ends = true;
                    answer::text(StatusCode::BAD_REQUEST, "it is not certain where this request ends")
                }
                false => {
                    // How long the gate takes is not the client's affair.
                    let turn = |reading| pace.enter(if reading == Reading::Begins { Phase::Body } else { Phase::Work });
                    table.answer(&app.house, request, turn).await
                }
            };
            pace.enter(Phase::Work);
            // RFC 9112, 6.1: what a proxy in front may take for another request behind a body in chunks is never one here.
            if ends || app.stop.said() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let is_events = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == EVENTS);
            Ok(answer.map(|payload| Paced::new(payload, pace, is_events)))
        })
    }
}

/// Whether a proxy in front may see another end of this request than we do, or another host.
fn is_ambiguous<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let count = |name| headers.get_all(name).iter().count();
    let codings = count(header::TRANSFER_ENCODING);
    let is_other =
        headers.get(header::TRANSFER_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    is_other || codings > 1 || codings + count(header::CONTENT_LENGTH) > 1 || count(header::HOST) > 1
}

#[cfg(test)]
mod tests;
