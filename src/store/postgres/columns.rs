//! How words lie in columns: ids as `uuid`, times as microseconds in `bigint`, enums as the words that routes use, what is made of parts as
//! JSON in `text`. All text is `COLLATE "C"`: sorted by its bytes, as it is everywhere else here.

pub(super) use crate::store::words::Word;

use super::fault::Fault;
use crate::realtime::UnixMicros;
use serde::{Serialize, de::DeserializeOwned};
use std::borrow::Cow;
use tokio_postgres::{Row, types::FromSql};

/// Stands for the character that PostgreSQL cannot keep, U+0000, and for itself, by what follows it. No character of a text that people
/// write: it is assigned to nothing for ever.
const MARK: char = '\u{10FFFE}';

/// A text as it is kept.
pub(in super::super) fn text(given: &str) -> Cow<'_, str> {
    if !given.contains(['\0', MARK]) {
        return Cow::Borrowed(given);
    }
    let mut kept = String::with_capacity(given.len() + 8);
    for character in given.chars() {
        match character {
            '\0' => kept.extend([MARK, '0']),
            MARK => kept.extend([MARK, '1']),
            _ => kept.push(character),
        }
    }
    Cow::Owned(kept)
}

/// A text that was kept, as it was given.
pub(super) fn plain(kept: String) -> String {
    if !kept.contains(MARK) {
        return kept;
    }
    let mut given = String::with_capacity(kept.len());
    let mut characters = kept.chars();
    while let Some(character) = characters.next() {
        match character {
            MARK => given.push(if characters.next() == Some('0') { '\0' } else { MARK }),
            _ => given.push(character),
        }
    }
    given
}

/// A column of any type that is kept as it is.
pub(super) fn column<'r, T: FromSql<'r>>(row: &'r Row, place: usize) -> Result<T, Fault> {
    row.try_get(place).map_err(|error| Fault::Value(error.to_string()))
}

/// A column of text.
pub(super) fn string(row: &Row, place: usize) -> Result<String, Fault> {
    column(row, place).map(plain)
}

/// A column of text that may be null.
pub(super) fn string_if_any(row: &Row, place: usize) -> Result<Option<String>, Fault> {
    column::<Option<String>>(row, place).map(|text| text.map(plain))
}

/// A count, or a number that is never below zero.
pub(super) fn count(row: &Row, place: usize) -> Result<u64, Fault> {
    column::<i64>(row, place).map(i64::unsigned_abs)
}

/// A number of 32 bits, kept as `bigint`.
pub(super) fn number(row: &Row, place: usize) -> Result<u32, Fault> {
    u32::try_from(column::<i64>(row, place)?).map_err(|error| Fault::Value(error.to_string()))
}

/// A number of 32 bits, or null.
pub(super) fn number_if_any(row: &Row, place: usize) -> Result<Option<u32>, Fault> {
    let kept: Option<i64> = column(row, place)?;
    kept.map(u32::try_from).transpose().map_err(|error| Fault::Value(error.to_string()))
}

/// A time.
pub(super) fn time(row: &Row, place: usize) -> Result<UnixMicros, Fault> {
    column(row, place).map(UnixMicros)
}

/// A time, or null.
pub(super) fn time_if_any(row: &Row, place: usize) -> Result<Option<UnixMicros>, Fault> {
    column::<Option<i64>>(row, place).map(|at| at.map(UnixMicros))
}

/// What is kept as JSON, in a column of text.
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::Value(error.to_string()))
}

/// What was kept as JSON.
pub(super) fn json<T: DeserializeOwned>(row: &Row, place: usize) -> Result<T, Fault> {
    serde_json::from_str(column(row, place)?).map_err(|error| Fault::Value(error.to_string()))
}

/// A column of one of the words.
pub(super) fn word<T: Word>(row: &Row, place: usize) -> Result<T, Fault> {
    let kept: &str = column(row, place)?;
    T::from_word(kept).ok_or_else(|| Fault::Value("an unknown word".into()))
}

/// A column of one of the words, or null.
pub(super) fn word_if_any<T: Word>(row: &Row, place: usize) -> Result<Option<T>, Fault> {
    let kept: Option<&str> = column(row, place)?;
    kept.map(|kept| T::from_word(kept).ok_or_else(|| Fault::Value("an unknown word".into()))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back() {
        for given in ["", "plain", "a\0b\0", "\u{10FFFE}0", "\0\u{10FFFE}1\u{10FFFE}", "\u{10FFFD}"] {
            let kept = text(given).into_owned();
            assert!(!kept.contains('\0'));
            assert_eq!(plain(kept), given);
        }
    }
}
