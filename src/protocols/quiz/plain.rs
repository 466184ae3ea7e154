//! The usual message of an owner's client, read where it lies: both fields once, in either order, no other, and no escape in a string.
//!
//! simd-json pays for its buffers and for looking 64 bytes ahead, which on a text of 60 is more than reading it (`benches/quiz.rs`).
//! What is not usual, faults above all, is left to it, so that there is one judge of what JSON is.

use super::requests::{Action, BATCH_ITEMS, Request};
use smallvec::SmallVec;

/// The message, if it is a usual one.
pub(super) fn request(text: &str) -> Option<Request<'_>> {
    let mut glance = Glance { text, at: 0 };
    let (mut action, mut subscriptions) = (None, None);
    glance.mark(b'{')?;
    for mark in [b',', b'}'] {
        let name = glance.string()?;
        glance.mark(b':')?;
        match name {
            "action" if action.is_none() => action = Some(glance.action()?),
            "subscriptions" if subscriptions.is_none() => subscriptions = Some(glance.strings()?),
            _ => return None,
        }
        glance.mark(mark)?;
    }
    glance.space();
    (glance.at == text.len()).then_some(())?;
    Some(Request { action: action?, subscriptions: subscriptions? })
}

/// A text, and how far it was read.
struct Glance<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Glance<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.rest().first() {
            self.at += 1;
        }
    }

    fn mark(&mut self, mark: u8) -> Option<()> {
        self.space();
        (*self.rest().first()? == mark).then(|| self.at += 1)
    }

    fn string(&mut self) -> Option<&'a str> {
        self.mark(b'"')?;
        let end = self.at + stop(self.rest())?;
        let string = self.text.get(self.at..end)?;
        self.at = end;
        (*self.rest().first()? == b'"').then(|| self.at += 1)?;
        Some(string)
    }

    fn strings(&mut self) -> Option<SmallVec<[&'a str; 8]>> {
        self.mark(b'[')?;
        let mut strings = SmallVec::new();
        if self.mark(b']').is_some() {
            return Some(strings);
        }
        loop {
            (strings.len() < BATCH_ITEMS).then_some(())?;
            strings.push(self.string()?);
            if self.mark(b',').is_none() {
                return self.mark(b']').map(|()| strings);
            }
        }
    }

    fn action(&mut self) -> Option<Action> {
        match self.string()? {
            "subscribe" => Some(Action::Subscribe),
            "unsubscribe" => Some(Action::Unsubscribe),
            _ => None,
        }
    }
}

/// Where the first quotation mark, backslash or control character is. Eight bytes at a time: a subscription is hardly longer.
fn stop(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    // The high bit of each byte below `limit`, and perhaps of bytes behind such a one.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGHS;
    let (eights, rest) = bytes.as_chunks::<8>();
    for (index, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let found = is(b'"') | is(b'\\') | below(word, b' ');
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
    Some(eights.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::quiz::requests::Parser;
    use proptest::prelude::*;

    #[test]
    fn usual_messages_are_read_here() {
        for text in [
            r#"{"action":"subscribe","subscriptions":["quiz:42","é:99"]}"#,
            "\t{\n\"subscriptions\" : [ ] ,\r \"action\":\"unsubscribe\" } \n",
            r#"{"subscriptions":["",""],"action":"subscribe"}"#,
        ] {
            assert!(request(text).is_some(), "{text}");
            assert!(agrees(text));
        }
    }

    #[test]
    fn whatever_is_not_usual_is_left_alone() {
        for text in [
            "",
            "{}",
            r#"{"action":"subscribe"}"#,
            r#"{"action":"subscribe","action":"subscribe"}"#,
            r#"{"action":"subscribe","subscriptions":["quiz:\u0034"]}"#,
            "{\"action\":\"subscribe\",\"subscriptions\":[\"quiz:\n\"]}",
            r#"{"action":"subscribe","subscriptions":["quiz:4",]}"#,
            r#"{"action":"subscribe","subscriptions":["quiz:4"],"a":1}"#,
            r#"{"action":"subscribe","subscriptions":["quiz:4"],}"#,
            r#"{"action":"subscribe","subscriptions":["quiz:4"]} x"#,
            r#"{"action":"subscribe","subscriptions":["quiz:4"]"#,
            r#"{"action":"subscribe","subscriptions":["quiz:4"#,
            r#"{"action":"other","subscriptions":[]}"#,
            r#"{"action":"subscribe","subscriptions":[4]}"#,
        ] {
            assert_eq!(request(text), None, "{text}");
        }
    }

    /// Pieces of which usual messages, and those that nearly are, consist.
    fn piece() -> impl Strategy<Value = &'static str> {
        let pieces = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\"action\"",
            "\"action\":\"subscribe\"",
            "\"subscriptions\"",
            "\"subscriptions\":[",
            "\"a\"",
            "\"unsubscribe\"",
            " ",
            "\n",
            "\\",
            "\u{1}",
            "\u{a0}",
            "é",
            "1",
            "null",
            "\"quiz:42\"",
            "\"quiz:\\u0034\"",
        ];
        prop::sample::select(pieces.to_vec())
    }

    fn agrees(text: &str) -> bool {
        let mut parser = Parser::default();
        let usual = request(text);
        usual.is_none() || usual == parser.unusual(text).ok()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_read_here_is_what_the_other_reads(pieces in prop::collection::vec(piece(), 0..9)) {
            prop_assert!(agrees(&pieces.concat()));
            let begun = format!("{{\"action\":\"subscribe\",{}}}", pieces.concat());
            prop_assert!(agrees(&begun), "{begun}");
        }

        #[test]
        fn a_usual_message_with_one_byte_changed(place in 0_usize..54, byte in 0_u8..128) {
            let mut text = *br#"{"action":"subscribe","subscriptions":["a:1", "b:2"]} "#;
            text[place] = byte;
            prop_assert!(agrees(str::from_utf8(&text).unwrap()));
        }

        #[test]
        fn strings_stop_where_they_must(text in "[a-zé🎓\"\\\\\u{0}-\u{20}\u{7f}]{0,40}") {
            let first = text.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '));
            prop_assert_eq!(stop(text.as_bytes()), first);
        }
    }
}
