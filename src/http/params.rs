//! Parameters of the query: what is empty is as good as absent, what is there twice or not as it must be is told by name.

use super::{call::Call, fields::Misfit};
use std::ops::RangeInclusive;

/// A parameter, decoded.
pub(super) fn text<S>(call: &Call<S>, name: &'static str) -> Result<Option<String>, Misfit> {
    let value = call.query(name).map_err(|_| Misfit::Wrong(name, "a parameter stands in the query once"))?;
    Ok(value.filter(|value| !value.is_empty()).map(|value| value.into_owned()))
}

/// One of several names.
pub(super) fn one_of<S, T: Copy>(
    call: &Call<S>,
    name: &'static str,
    names: &[(&str, T)],
    expected: &'static str,
) -> Result<Option<T>, Misfit> {
    let Some(value) = text(call, name)? else { return Ok(None) };
    let found = names.iter().find(|(name, _)| *name == value);
    found.map(|(_, meant)| Some(*meant)).ok_or(Misfit::Wrong(name, expected))
}

/// A whole number in its range.
pub(super) fn number<S>(
    call: &Call<S>,
    name: &'static str,
    default: u32,
    range: RangeInclusive<u32>,
    expected: &'static str,
) -> Result<u32, Misfit> {
    let Some(value) = text(call, name)? else { return Ok(default) };
    value.parse().ok().filter(|number| range.contains(number)).ok_or(Misfit::Wrong(name, expected))
}
