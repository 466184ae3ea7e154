//! The frame around every good answer: `{"code":"0000","message":"ok","data":…}`, and lists in pages.

use super::fault::Fault;
use crate::{
    http::{
        answer::{self, Answer},
        call::Call,
    },
    protocols::quiz::record::{Listed, Page},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// Entries of a list in one answer: the default, and the most.
const ENTRIES: u32 = 50;
const ENTRIES_MAX: u32 = 200;
/// Most answers have less.
const ANSWER_BYTES: usize = 256;

const OPENING: &[u8] = br#"{"code":"0000","message":"ok","data":"#;

/// 200 with data.
pub(super) fn done(data: &impl Serialize) -> Result<Answer, Fault> {
    enclosed(StatusCode::OK, data)
}

/// 201 with data.
pub(super) fn made(data: &impl Serialize) -> Result<Answer, Fault> {
    enclosed(StatusCode::CREATED, data)
}

/// 200 with nothing to say.
pub(super) fn nothing() -> Result<Answer, Fault> {
    #[derive(Serialize)]
    struct Nothing {}
    done(&Nothing {})
}

/// 200 with a page of a list.
pub(super) fn list<'a, Shape: Serialize + From<&'a T>, T>(listed: &'a Listed<T>) -> Result<Answer, Fault> {
    #[derive(Serialize)]
    struct List<Shape> {
        items: Vec<Shape>,
        total: u64,
    }
    done(&List { items: listed.items.iter().map(Shape::from).collect(), total: listed.total })
}

fn enclosed(status: StatusCode, data: &impl Serialize) -> Result<Answer, Fault> {
    let mut body = Vec::with_capacity(ANSWER_BYTES);
    body.extend_from_slice(OPENING);
    if let Err(error) = serde_json::to_writer(&mut body, data) {
        tracing::warn!(%error, "an answer does not serialise");
        return Err(Fault::Store(crate::realtime::StoreFault::Failed));
    }
    body.push(b'}');
    let mut answer = answer::typed(status, "application/json", body);
    // Keys, tokens and answers have no place in anyone's cache.
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// `?offset=&limit=`.
pub(super) fn page<S>(call: &Call<S>) -> Result<Page, Fault> {
    const EXPECTED: &str = "offset is a whole number from 0, limit one from 1 to 200";
    let (offset, limit) = (call.number("offset", 0, EXPECTED)?, call.number("limit", ENTRIES, EXPECTED)?);
    if (1..=ENTRIES_MAX).contains(&limit) { Ok(Page { offset, limit }) } else { Err(Fault::Invalid(EXPECTED)) }
}

/// The page of a list that is short enough to be at hand as a whole.
pub(super) fn cut<T>(mut whole: Vec<T>, page: Page) -> Listed<T> {
    let total = whole.len() as u64;
    let items = whole.drain(..).skip(page.offset as usize).take(page.limit as usize).collect();
    Listed { items, total }
}
