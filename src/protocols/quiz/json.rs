//! Pieces of JSON, appended to bytes. What is written most is written without a step between.

use super::model::iso;
use crate::realtime::UnixMicros;
use jiff::{Timestamp, tz::Offset};
use memchr::memchr2;
use uuid::Uuid;

/// Appends a text that is JSON already.
pub(super) fn raw(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

/// Appends a string with its quotation marks and escapes (RFC 8259, section 7), as serde_json writes it.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Appends what stands between the quotation marks of a string.
pub(super) fn escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if memchr2(b'"', b'\\', bytes).is_none() && bytes.iter().all(|byte| *byte >= b' ') {
        return out.extend_from_slice(bytes);
    }
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0x08 => out.extend_from_slice(br"\b"),
            0x09 => out.extend_from_slice(br"\t"),
            0x0a => out.extend_from_slice(br"\n"),
            0x0c => out.extend_from_slice(br"\f"),
            0x0d => out.extend_from_slice(br"\r"),
            0x00..0x20 => {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
            _ => out.push(*byte),
        }
    }
}

/// Appends an id as a string.
pub(super) fn uuid(out: &mut Vec<u8>, id: Uuid) {
    let mut text = [b'"'; 38];
    id.hyphenated().encode_lower(&mut text[1..37]);
    out.extend_from_slice(&text);
}

/// Appends an id as a string, or null.
pub(super) fn uuid_or_null(out: &mut Vec<u8>, id: Option<Uuid>) {
    match id {
        Some(id) => uuid(out, id),
        None => raw(out, "null"),
    }
}

/// Appends a whole number.
pub(super) fn whole(out: &mut Vec<u8>, number: impl itoa::Integer) {
    raw(out, itoa::Buffer::new().format(number));
}

/// Appends a number that always has a point or an exponent, so that no client takes it for a whole one. What JSON cannot say is 0.0.
pub(super) fn float(out: &mut Vec<u8>, number: f64) {
    let number = if number.is_finite() { number } else { 0.0 };
    raw(out, zmij::Buffer::new().format_finite(number));
}

/// Appends a moment as [`iso`] writes it, as a string.
pub(super) fn time(out: &mut Vec<u8>, at: UnixMicros) {
    let time = Offset::UTC.to_datetime(Timestamp::from_second(at.seconds()).unwrap_or_default());
    let Ok(year) = u16::try_from(time.year()) else { return string(out, &iso(at)) };
    let mut text = *b"\"0000-00-00T00:00:00+00:00\"";
    let mut pair = |place: usize, number: u8| {
        text[place] = b'0' + number / 10;
        text[place + 1] = b'0' + number % 10;
    };
    pair(1, (year / 100) as u8);
    pair(3, (year % 100) as u8);
    pair(6, time.month().unsigned_abs());
    pair(9, time.day().unsigned_abs());
    pair(12, time.hour().unsigned_abs());
    pair(15, time.minute().unsigned_abs());
    pair(18, time.second().unsigned_abs());
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_character_below_a_space_is_escaped() {
        for character in (0..0x80_u8).map(char::from).chain("é\u{2028}🎓\u{7f}".chars()) {
            let text = format!("a{character}b");
            assert_eq!(written(|out| string(out, &text)), serde_json::to_string(&text).unwrap());
        }
    }

    proptest! {
        #[test]
        fn strings_are_those_of_serde(text in any::<String>()) {
            prop_assert_eq!(written(|out| string(out, &text)), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn floats_are_those_of_serde(number in any::<f64>().prop_filter("JSON has no others", |number| number.is_finite())) {
            prop_assert_eq!(written(|out| float(out, number)), serde_json::to_string(&number).unwrap());
        }

        #[test]
        fn times_are_those_of_the_model(micros in any::<i64>()) {
            let at = UnixMicros(micros);
            prop_assert_eq!(written(|out| time(out, at)), format!("{:?}", iso(at)));
        }

        #[test]
        fn ids_are_those_of_serde(id in any::<u128>().prop_map(Uuid::from_u128)) {
            prop_assert_eq!(written(|out| uuid(out, id)), serde_json::to_string(&id).unwrap());
        }
    }

    #[test]
    fn numbers() {
        for (number, text) in [(10.0, "10.0"), (0.0, "0.0"), (0.5, "0.5"), (75.25, "75.25"), (f64::NAN, "0.0")] {
            assert_eq!(written(|out| float(out, number)), text);
        }
        assert_eq!(written(|out| whole(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(|out| uuid_or_null(out, None)), "null");
    }
}
