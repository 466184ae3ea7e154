//! Flags: what a participant's page noticed, taken in batches, and shown to owners.

use super::{
    Rooms,
    body::{self, Object, check},
    caller::{id, owner, session},
    envelope::{cut, done, list, made, page},
    fault::Fault,
    ids::moment,
    shapes::{FlagShape, Iso},
};
use crate::{
    http::{answer::Answer, call::Call},
    protocols::quiz::{
        asks::{Ask, Reply},
        model::QuestionId,
        record::{Flag, FlagCount},
    },
    realtime::UnixMicros,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// In one batch.
const FLAGS_MAX: usize = 20;
/// Of one label; all of its characters have one byte.
const LABEL_MAX: usize = 50;
/// Of one detail, as it was sent.
const DETAIL_BYTES_MAX: usize = 1 << 10;
/// Labels that the server itself uses; so is every one that begins with [`RESERVED_PREFIX`].
const RESERVED: [&str; 3] = ["SUBMITTED", "TIME_UP", "FORCED_BY_OWNER"];
const RESERVED_PREFIX: &str = "SYSTEM";

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct Batch<'a> {
    #[serde(borrow)]
    flags: Vec<Object<Raised<'a>>>,
}

#[derive(Deserialize, utoipa::ToSchema)]
struct Raised<'a> {
    label: String,
    #[serde(borrow)]
    #[schema(value_type = Value, required = false)]
    detail: Option<&'a RawValue>,
    #[schema(value_type = Option<Uuid>)]
    question_id: Option<QuestionId>,
    occurred_at: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Flagged<'a> {
    labels: &'a [String],
    flagged_at: Iso,
}

/// POST /attempts/{attempt}/flags
pub(super) async fn raise<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    const EXPECTED: &str =
        r#"expected {"flags": [{"label": text, "detail"?: JSON, "question_id"?: uuid, "occurred_at"?: time}, …]}"#;
    let (quiz, attempt) = session(&call)?;
    let Batch { flags } = body::object(&call, EXPECTED)?;
    check((1..=FLAGS_MAX).contains(&flags.len()), "flags is a list of 1 to 20")?;
    let now = call.house.now();
    let flags = flags.into_iter().map(|Object(raised)| flag(raised, now)).collect::<Result<_, _>>()?;
    match call.house.ask(Ask::Flag { quiz, attempt, flags }).await {
        Reply::Flagged { labels, at } => made(&Flagged { labels: &labels, flagged_at: Iso(at) }),
        other => Err(other.into()),
    }
}

fn flag(raised: Raised<'_>, now: UnixMicros) -> Result<Flag, Fault> {
    let Raised { mut label, detail, question_id, occurred_at } = raised;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let is_label = (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(fits);
    check(is_label, "label is 1 to 50 letters, digits and _ - . :")?;
    label.make_ascii_uppercase();
    let reserved = RESERVED.contains(&label.as_str()) || label.starts_with(RESERVED_PREFIX);
    check(!reserved, "label is none of the server's own: SUBMITTED, TIME_UP, FORCED_BY_OWNER, SYSTEM…")?;
    let detail = detail.map(RawValue::get);
    check(detail.is_none_or(|detail| detail.len() <= DETAIL_BYTES_MAX), "detail is JSON of at most 1 KiB")?;
    let occurred_at = match occurred_at {
        None => now,
        Some(text) => moment(&text).ok_or(Fault::Invalid("occurred_at is RFC 3339, such as 2026-06-11T14:30:00+00:00"))?,
    };
    Ok(Flag { label, detail: detail.map(Box::from), question: question_id, occurred_at })
}

/// GET /attempts/{attempt}/flags
pub(super) async fn timeline<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let attempt = id(&call, "attempt")?;
    let page = page(&call)?;
    let flags = call.house.flags(owner, attempt).await?.ok_or(Fault::NotFound)?;
    list::<FlagShape<'_>, _>(&cut(flags, page))
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Summary<'a> {
    flags: u64,
    attempts: u64,
    labels: Vec<LabelCount<'a>>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct LabelCount<'a> {
    label: &'a str,
    flags: u64,
    attempts: u64,
}

impl<'a> From<&'a FlagCount> for LabelCount<'a> {
    fn from(FlagCount { label, flags, attempts }: &'a FlagCount) -> LabelCount<'a> {
        LabelCount { label, flags: *flags, attempts: *attempts }
    }
}

/// GET /quizzes/{quiz}/flags/summary
pub(super) async fn summary<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let summary = call.house.flag_summary(owner, id(&call, "quiz")?).await?.ok_or(Fault::NotFound)?;
    let labels = summary.labels.iter().map(LabelCount::from).collect();
    done(&Summary { flags: summary.flags, attempts: summary.attempts, labels })
}
