//! Who was in a room from when to when, as JSON and as a table that a spreadsheet opens without running anything.

use super::{
    answer::{self, Answer},
    call::Call,
    fault::Fault,
    rooms::{Classrooms, Clock},
};
use crate::{
    protocols::presence::record::Attendance,
    realtime::{ClassroomId, UnixMicros},
};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use std::borrow::Cow;

const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Interval {
    agent_id: String,
    entered_at: String,
    left_at: Option<String>,
}

impl From<Attendance> for Interval {
    fn from(Attendance { agent_id, entered, left }: Attendance) -> Interval {
        Interval { agent_id, entered_at: written(entered), left_at: left.map(written) }
    }
}

/// Answers `?from=&to=&format=`: the last day unless told, JSON unless told by `format` or by what the client accepts.
pub(super) async fn answer<S: Classrooms + Clock>(call: &Call<S>, classroom: ClassroomId) -> Result<Answer, Fault> {
    let (from, to) = range(call)?;
    let csv = wants_csv(call)?;
    let intervals = call.house.attendance(classroom, from, to).await.map_err(Fault::Store)?;
    let intervals: Vec<_> = intervals.into_iter().map(Interval::from).collect();
    let mut answer = match csv {
        true => answer::typed(StatusCode::OK, "text/csv; charset=utf-8", table(&intervals)),
        false => answer::json(StatusCode::OK, &intervals),
    };
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(answer)
}

fn range<S: Clock>(call: &Call<S>) -> Result<(UnixMicros, UnixMicros), Fault> {
    const EXPECTED: Fault = Fault::Unreadable("from and to are RFC 3339 or whole seconds since 1970");
    let asked = |name| match call.query(name)? {
        None => Ok(None),
        Some(text) => moment(&text).map(Some).ok_or(EXPECTED),
    };
    let to = asked("to")?.unwrap_or_else(|| call.house.now());
    let from = asked("from")?.unwrap_or(UnixMicros(to.0.saturating_sub(DAY_MICROS)));
    match from <= to {
        true => Ok((from, to)),
        false => Err(Fault::Unreadable("from is later than to")),
    }
}

fn wants_csv<S>(call: &Call<S>) -> Result<bool, Fault> {
    match call.query("format")?.as_deref() {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(_) => Err(Fault::Unreadable("format is json or csv")),
        None => Ok(call.prefers("text/csv", "application/json")),
    }
}

/// RFC 3339, or whole seconds since 1970.
fn moment(text: &str) -> Option<UnixMicros> {
    let timestamp = match text.parse() {
        Ok(seconds) => Timestamp::from_second(seconds).ok()?,
        // In a query a bare plus means a space: `…T08:00:00+02:00` arrives with a space before its offset.
        Err(_) => text.parse().or_else(|_| with_plus(text).parse()).ok()?,
    };
    Some(UnixMicros(timestamp.as_microsecond()))
}

fn with_plus(text: &str) -> Cow<'_, str> {
    match text.rsplit_once(' ') {
        Some((time, offset)) => format!("{time}+{offset}").into(),
        None => text.into(),
    }
}

/// RFC 3339 in UTC, to the microsecond where there is one.
fn written(at: UnixMicros) -> String {
    Timestamp::from_microsecond(at.0).unwrap_or(Timestamp::MAX).to_string()
}

/// RFC 4180.
fn table(intervals: &[Interval]) -> String {
    let mut table = String::from("agent_id,entered_at,left_at\r\n");
    for interval in intervals {
        field(&mut table, &interval.agent_id);
        table.push(',');
        field(&mut table, &interval.entered_at);
        table.push(',');
        field(&mut table, interval.left_at.as_deref().unwrap_or_default());
        table.push_str("\r\n");
    }
    table
}

/// Quoted where its characters need it; with an apostrophe before what a spreadsheet would take for a formula.
fn field(table: &mut String, text: &str) {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { "'" } else { "" };
    if text.contains([',', '"', '\r', '\n', '\t', ';']) {
        table.extend(["\"", guard, &text.replace('"', "\"\""), "\""]);
    } else {
        table.extend([guard, text]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_table(text: &str) -> String {
        let mut table = String::new();
        field(&mut table, text);
        table
    }

    #[test]
    fn fields_are_quoted_and_guarded() {
        for (text, written) in [
            ("web.u1.dev", "web.u1.dev"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("\t=1", "\"'\t=1\""),
            ("=\"x\",1", "\"'=\"\"x\"\",1\""),
            ("", ""),
        ] {
            assert_eq!(in_table(text), written);
        }
    }

    #[test]
    fn moments_are_rfc_3339_or_seconds() {
        let expected = Some(UnixMicros(1_767_323_045_000_000));
        for text in [
            "1767323045",
            "2026-01-02T03:04:05Z",
            "2026-01-02T05:04:05+02:00",
            "2026-01-02T05:04:05 02:00",
            "2026-01-02t03:04:05.000000z",
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
        assert_eq!(moment("-1"), Some(UnixMicros(-1_000_000)));
        for text in ["", "x", "2026-01-02", "2026-01-02T03:04:05", "9999999999999", "2026-13-01T00:00:00Z"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(written(UnixMicros(1_767_323_045_000_001)), "2026-01-02T03:04:05.000001Z");
        assert_eq!(written(UnixMicros(-1)), "1969-12-31T23:59:59.999999Z");
        assert!(written(UnixMicros(i64::MAX)).starts_with("9999-"));
    }
}
