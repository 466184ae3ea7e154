//! What is done around every request: those that the contract limits are counted, before their bodies are read.

use super::{
    caller::judged,
    fault::Fault,
    rooms::{Credentials, Sessions},
};
use crate::{
    http::{
        answer::Answer,
        fault::Refusal,
        gate::{Entry, Gate, Peer},
        rooms::Clock,
    },
    protocols::chat::{Payer, Row},
    realtime::StoreFault,
};
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use std::rc::Rc;

/// The gate that [`routes`](super::routes) are behind.
pub fn gate<S: Sessions + Credentials + Clock + 'static>() -> Gate<S> {
    let enter = |house: Rc<S>, parts: &Parts, _: &HeaderValue| {
        let (row, peer, headers) = (row(parts), parts.extensions.get().copied(), parts.headers.clone());
        async move {
            let refusal = match row {
                Some(row) => counted(&*house, row, peer, &headers).await.err().map(Fault::into_answer),
                None => None,
            };
            Entry { refusal, finish: Box::new(finish) }
        }
    };
    Gate::new(minds, |fault| Fault::from(fault).into_answer(), enter)
}

/// Whether a path is of chat, though no route is there.
fn minds(path: &str) -> bool {
    let first = path.strip_prefix("/api/v1/").and_then(|rest| rest.split('/').next());
    first.is_some_and(|first| matches!(first, "sessions" | "auth"))
}

/// What a request is counted as.
fn row(parts: &Parts) -> Option<Row> {
    let path: Vec<&str> = parts.uri.path().strip_prefix("/api/v1/")?.split('/').collect();
    let (looks, acts) = (matches!(parts.method, Method::GET | Method::HEAD), parts.method == Method::POST);
    match *path {
        ["auth", "login"] if acts => Some(Row::Login),
        ["sessions"] | ["sessions", ""] if acts => Some(Row::Create),
        ["sessions"] | ["sessions", ""] if looks => Some(Row::List),
        ["sessions", _] if looks => Some(Row::Look),
        ["sessions", _, "chat"] if acts => Some(Row::Message),
        ["sessions", _, "chat", "stream"] if acts => Some(Row::Stream),
        _ => None,
    }
}

/// Lets a request through, or not: also one without a good token, whose body is read by nobody.
async fn counted<S>(house: &S, row: Row, peer: Option<Peer>, headers: &HeaderMap) -> Result<(), Fault>
where
    S: Sessions + Credentials + Clock,
{
    let payer = match row {
        Row::Login => Payer::address(peer.map_or(0, Peer::mapped)),
        Row::Create | Row::Message | Row::Stream | Row::Look | Row::List => Payer::User(judged(house, headers)?.id),
    };
    // Who counts cannot: nobody is let through uncounted.
    let counted = house.count(payer, row).await.map_err(|_| Fault::Store(StoreFault::Busy))?;
    counted.wait(house.now()).map_or(Ok(()), |seconds| Err(Fault::TooMany(seconds)))
}

fn finish(answer: &mut Answer) {
    // Tokens and what users say have no place in anyone's cache.
    answer.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
