//! Parameters of the query: what is empty is as good as absent, what is there twice or not as it must be is told by name.

use super::fault::Fault;
use crate::{http::call::Call, protocols::labs::record::Page};

/// Entries of a list in one answer, at most.
const ENTRIES_MAX: u32 = 100;

/// A parameter, decoded.
pub(super) fn text<S>(call: &Call<S>, name: &'static str) -> Result<Option<String>, Fault> {
    let value = call.query(name).map_err(|_| Fault::Parameter(name, "A parameter stands in the query once"))?;
    Ok(value.filter(|value| !value.is_empty()).map(|value| value.into_owned()))
}

/// One of several names.
pub(super) fn one_of<S, T: Copy>(
    call: &Call<S>,
    name: &'static str,
    names: &[(&str, T)],
    expected: &'static str,
) -> Result<Option<T>, Fault> {
    let Some(value) = text(call, name)? else { return Ok(None) };
    let found = names.iter().find(|(name, _)| *name == value);
    found.map(|(_, meant)| Some(*meant)).ok_or(Fault::Parameter(name, expected))
}

/// `true` or `false`.
pub(super) fn flag<S>(call: &Call<S>, name: &'static str, default: bool) -> Result<bool, Fault> {
    let flag = one_of(call, name, &[("true", true), ("false", false)], "Expected true or false")?;
    Ok(flag.unwrap_or(default))
}

/// A whole number.
pub(super) fn number<S>(call: &Call<S>, name: &'static str, default: u32, expected: &'static str) -> Result<u32, Fault> {
    let Some(value) = text(call, name)? else { return Ok(default) };
    // What is more than any number here is as good as the most.
    let plain = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().or(if plain { Ok(u32::MAX) } else { Err(Fault::Parameter(name, expected)) })
}

/// `?page=&limit=`. A limit beyond the most is the most.
pub(super) fn page<S>(call: &Call<S>, entries: u32) -> Result<Page, Fault> {
    const EXPECTED: &str = "Expected a whole number from 1";
    let (page, limit) = (number(call, "page", 1, EXPECTED)?, number(call, "limit", entries, EXPECTED)?);
    match (page, limit) {
        (0, _) => Err(Fault::Parameter("page", EXPECTED)),
        (_, 0) => Err(Fault::Parameter("limit", EXPECTED)),
        (page, limit) => Ok(Page { page, limit: limit.min(ENTRIES_MAX) }),
    }
}
