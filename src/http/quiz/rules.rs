//! What an owner may choose for a quiz: read, put over what was there, and checked as a whole.

use super::{
    body::{check, has_chars, there},
    fault::Fault,
    ids::moment,
};
use crate::{
    protocols::quiz::model::{AccessType, Availability, Rules, SubmissionMode},
    realtime::UnixMicros,
};
use serde::Deserialize;

const TITLE: &str = "title is 1 to 200 characters";
/// A week.
const TIME_LIMIT_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;

pub(super) const EXPECTED: &str = r#"expected {"title": text, "access_type"?: "shared" | "private" | "public", "availability"?: "always" | "scheduled", "opens_at"?: time | null, "closes_at"?: time | null, "time_limit_seconds"?: whole number, "max_attempts"?: whole number, "submission_mode"?: "immediate" | "on_submit", "client_only"?: boolean}"#;

/// The body of POST and PATCH: what is absent stays as it is.
#[derive(Deserialize, Default, utoipa::ToSchema)]
#[serde(default)]
#[schema(as = QuizRules)]
pub(super) struct Changes {
    #[serde(deserialize_with = "there")]
    title: Option<String>,
    #[serde(deserialize_with = "there")]
    access_type: Option<AccessType>,
    #[serde(deserialize_with = "there")]
    availability: Option<Availability>,
    #[serde(deserialize_with = "there")]
    opens_at: Option<Option<String>>,
    #[serde(deserialize_with = "there")]
    closes_at: Option<Option<String>>,
    #[serde(deserialize_with = "there")]
    time_limit_seconds: Option<u32>,
    #[serde(deserialize_with = "there")]
    max_attempts: Option<u32>,
    #[serde(deserialize_with = "there")]
    submission_mode: Option<SubmissionMode>,
    #[serde(deserialize_with = "there")]
    client_only: Option<bool>,
}

impl Changes {
    /// The rules of a new quiz.
    pub(super) fn rules(&self) -> Result<Rules, Fault> {
        self.over(&Rules {
            // Refused, unless these changes have another.
            title: String::new(),
            access_type: AccessType::Private,
            availability: Availability::Always,
            opens_at: None,
            closes_at: None,
            time_limit_seconds: 0,
            max_attempts: 0,
            submission_mode: SubmissionMode::Immediate,
            client_only: false,
        })
    }

    /// The rules of a quiz that had others.
    pub(super) fn over(&self, old: &Rules) -> Result<Rules, Fault> {
        let rules = Rules {
            title: self.title.as_ref().unwrap_or(&old.title).clone(),
            access_type: self.access_type.unwrap_or(old.access_type),
            availability: self.availability.unwrap_or(old.availability),
            opens_at: time(self.opens_at.as_ref(), old.opens_at)?,
            closes_at: time(self.closes_at.as_ref(), old.closes_at)?,
            time_limit_seconds: self.time_limit_seconds.unwrap_or(old.time_limit_seconds),
            max_attempts: self.max_attempts.unwrap_or(old.max_attempts),
            submission_mode: self.submission_mode.unwrap_or(old.submission_mode),
            client_only: self.client_only.unwrap_or(old.client_only),
        };
        checked(rules)
    }
}

fn time(new: Option<&Option<String>>, old: Option<UnixMicros>) -> Result<Option<UnixMicros>, Fault> {
    match new {
        None => Ok(old),
        Some(None) => Ok(None),
        Some(Some(text)) => match moment(text) {
            Some(time) => Ok(Some(time)),
            None => Err(Fault::Invalid("opens_at and closes_at are null or RFC 3339, such as 2026-06-11T14:30:00+00:00")),
        },
    }
}

fn checked(rules: Rules) -> Result<Rules, Fault> {
    check(has_chars(&rules.title, 1..=200), TITLE)?;
    check(rules.time_limit_seconds <= TIME_LIMIT_SECONDS_MAX, "time_limit_seconds is 0 (none) to 604800 (a week)")?;
    if let (Some(opens), Some(closes)) = (rules.opens_at, rules.closes_at) {
        check(opens < closes, "opens_at is before closes_at")?;
    }
    Ok(rules)
}
