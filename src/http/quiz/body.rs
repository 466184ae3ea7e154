//! Bodies, read strictly: an object where the reference has one, null only where it says so, lengths in characters.

use super::fault::Fault;
use crate::http::call::Call;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData, ops::RangeInclusive};

/// The body as the object that is `expected`.
pub(super) fn object<'a, S, T: Deserialize<'a>>(call: &'a Call<S>, expected: &'static str) -> Result<T, Fault> {
    Ok(call.json::<Object<T>>(expected)?.0)
}

/// What is written as an object: serde would take an array too, field by field.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// For a field that may be absent: when it is there, it is no null unless `T` takes one.
pub(super) fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Whether a text has so many characters.
pub(super) fn has_chars(text: &str, bounds: RangeInclusive<usize>) -> bool {
    // No text has more characters than bytes, or less than a fourth.
    text.len() <= bounds.end() * 4 && bounds.contains(&text.chars().count())
}

/// `fault` unless it holds.
pub(super) fn check(holds: bool, expected: &'static str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::Invalid(expected)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, PartialEq, Debug)]
    struct Two<'a> {
        one: &'a str,
        #[serde(default, deserialize_with = "there")]
        two: Option<Option<u8>>,
    }

    #[test]
    fn an_object_is_no_array_and_borrows() {
        let read = |text| serde_json::from_str::<Object<Two<'_>>>(text).ok().map(|object| object.0);
        assert_eq!(read(r#"{"one":"a","two":2}"#), Some(Two { one: "a", two: Some(Some(2)) }));
        assert_eq!(read(r#"{"one":"a","two":null}"#), Some(Two { one: "a", two: Some(None) }));
        assert_eq!(read(r#"{"one":"a","more":[]}"#), Some(Two { one: "a", two: None }));
        for text in [r#"["a",2]"#, r#"{"one":null}"#, "{}", "1", "null", r#"{"one":"a","one":"b"}"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert!(has_chars("éé", 1..=2) && !has_chars("ééé", 1..=2) && !has_chars("", 1..=2));
        assert!(has_chars("🦀🦀", 1..=2) && !has_chars(&"x".repeat(9), 1..=2));
    }
}
