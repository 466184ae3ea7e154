//! An answer as a participant gives it, read from the body without a detour over a tree of JSON.

use super::body::has_chars;
use crate::protocols::quiz::model::Given;
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Unexpected, Visitor},
};
use std::fmt;

/// A text has at most so many characters.
const CHARS_MAX: usize = 4_000;
/// As many as a question has options.
const PLACES_MAX: usize = 20;

/// What is said.
pub(super) struct Said(pub(super) Given);

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Said, D::Error> {
        deserializer.deserialize_any(Kinds).map(Said)
    }
}

struct Kinds;

impl<'de> Visitor<'de> for Kinds {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the place of an option, a list of places, a boolean or a text")
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Given, E> {
        Ok(Given::Truth(truth))
    }

    fn visit_u64<E: Error>(self, place: u64) -> Result<Given, E> {
        u16::try_from(place).map(Given::Option).map_err(|_| E::invalid_value(Unexpected::Unsigned(place), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Given, E> {
        if has_chars(text, 0..=CHARS_MAX) { Ok(Given::Text(text.to_owned())) } else { Err(E::invalid_length(text.len(), &self)) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut places: A) -> Result<Given, A::Error> {
        let mut all = Vec::new();
        while let Some(place) = places.next_element()? {
            if all.len() == PLACES_MAX {
                return Err(A::Error::invalid_length(PLACES_MAX + 1, &self));
            }
            all.push(place);
        }
        Ok(Given::Options(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Given> {
        serde_json::from_str(text).ok().map(|Said(given)| given)
    }

    #[test]
    fn answers_are_places_booleans_and_texts() {
        assert_eq!(read("0"), Some(Given::Option(0)));
        assert_eq!(read("[2,0]"), Some(Given::Options(vec![2, 0])));
        assert_eq!(read("[]"), Some(Given::Options(vec![])));
        assert_eq!(read("true"), Some(Given::Truth(true)));
        assert_eq!(read(r#""Par\u0069s""#), Some(Given::Text("Paris".into())));
        assert_eq!(read(r#""""#), Some(Given::Text(String::new())));
    }

    #[test]
    fn others_are_none() {
        for text in ["null", "-1", "1.5", "1.0", "65536", "{}", "[true]", "[-1]", "[[1]]", "1e400", r#"{"a":1}"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn they_have_bounds() {
        let text = |chars| format!("\"{}\"", "é".repeat(chars));
        assert!(read(&text(4_000)).is_some() && read(&text(4_001)).is_none());
        let list = |places| format!("[{}]", vec!["1"; places].join(","));
        assert!(read(&list(20)).is_some() && read(&list(21)).is_none());
    }
}
