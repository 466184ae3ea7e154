//! What an owner's client says.

use super::plain;
use simd_json::{Buffers, INPUT_PADDING, Node, Tape, fill_tape_padded};
use smallvec::SmallVec;
use std::mem;

/// The most subscriptions that one message may name.
pub const BATCH_ITEMS: usize = 1_000;
/// Deeper nesting than any field of ours has; what is deeper is refused.
const DEPTH: usize = 32;
/// A message of usual size needs no second allocation.
const USUAL_BYTES: usize = 512;

/// A message of an owner's client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// What to do.
    pub action: Action,
    /// With which channels, as the client named them.
    pub subscriptions: SmallVec<[&'a str; 8]>,
}

/// What can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Listen.
    Subscribe,
    /// Listen no more.
    Unsubscribe,
}

/// Why a message is not a [`Request`], or is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Not a JSON object that has each of the fields at most once.
    NotJson,
    /// `action` is neither `subscribe` nor `unsubscribe`.
    Action,
    /// `subscriptions` is not an array of strings.
    Subscriptions,
    /// It names more than [`BATCH_ITEMS`] channels.
    TooMany,
    /// A binary message.
    Binary,
    /// Too many messages wait for their answers.
    Crowded,
}

impl Fault {
    /// For the client.
    pub fn text(self) -> &'static str {
        match self {
            Fault::NotJson => "Invalid message: not a JSON object",
            Fault::Action => "Invalid message: action must be 'subscribe' or 'unsubscribe'",
            Fault::Subscriptions => "Invalid message: subscriptions must be an array of strings",
            Fault::TooMany => "Invalid message: more than 1000 subscriptions",
            Fault::Binary => "Invalid message: binary frames are not supported",
            Fault::Crowded => "Too many messages are waiting for an answer",
        }
    }
}

/// Reads messages: the usual ones where they lie, the others with simd-json, whose buffers are used again.
///
/// The tape is walked as it is: serde's way over it, and the padded copy that simd-json's plain entrance makes, cost more than the parsing
/// of so small a text.
pub struct Parser {
    /// A text, and at least [`INPUT_PADDING`] bytes after it.
    text: Vec<u8>,
    buffers: Buffers,
    /// Empty between two messages.
    tape: Tape<'static>,
}

impl Default for Parser {
    fn default() -> Self {
        Parser { text: Vec::new(), buffers: Buffers::with_max_depth(USUAL_BYTES, DEPTH), tape: Tape(Vec::new()) }
    }
}

impl Parser {
    /// Reads a message; unknown fields are ignored.
    ///
    /// # Errors
    /// What is wrong with it; never [`Fault::Binary`] or [`Fault::Crowded`].
    pub fn request<'a>(&'a mut self, text: &'a str) -> Result<Request<'a>, Fault> {
        plain::request(text).map_or_else(|| self.unusual(text), Ok)
    }

    /// Reads any message.
    pub(super) fn unusual(&mut self, text: &str) -> Result<Request<'_>, Fault> {
        let Parser { text: padded, buffers, tape } = self;
        let padded_bytes = text.len() + INPUT_PADDING;
        if padded.len() < padded_bytes {
            padded.resize(padded_bytes.max(USUAL_BYTES), 0);
        }
        padded[..text.len()].copy_from_slice(text.as_bytes());
        let mut filled: Tape<'_> = mem::replace(tape, Tape(Vec::new()));
        let result = fill_tape_padded(padded, text.len(), buffers, &mut filled);
        let request = result.map_err(|_| Fault::NotJson).and_then(|()| read(&filled.0));
        *tape = filled.reset();
        request
    }
}

fn read<'a>(tape: &[Node<'a>]) -> Result<Request<'a>, Fault> {
    let Some((Node::Object { len: fields, .. }, mut rest)) = tape.split_first() else { return Err(Fault::NotJson) };
    let (mut action, mut subscriptions) = (None, None);
    for _ in 0..*fields {
        let [Node::String(name), value, ..] = rest else { return Err(Fault::NotJson) };
        let values = rest.get(1..1 + nodes(value)).ok_or(Fault::NotJson)?;
        let place = match *name {
            "action" => &mut action,
            "subscriptions" => &mut subscriptions,
            _ => &mut None,
        };
        if place.replace(values).is_some() {
            return Err(Fault::NotJson);
        }
        rest = &rest[1 + values.len()..];
    }
    let action = match action {
        Some([Node::String("subscribe")]) => Action::Subscribe,
        Some([Node::String("unsubscribe")]) => Action::Unsubscribe,
        Some(_) | None => return Err(Fault::Action),
    };
    let Some([Node::Array { .. }, items @ ..]) = subscriptions else { return Err(Fault::Subscriptions) };
    Ok(Request { action, subscriptions: texts(items)? })
}

/// How many nodes of the tape a value is.
fn nodes(value: &Node<'_>) -> usize {
    match value {
        Node::Object { count, .. } | Node::Array { count, .. } => 1 + count,
        Node::String(_) | Node::Static(_) => 1,
    }
}

fn texts<'a>(items: &[Node<'a>]) -> Result<SmallVec<[&'a str; 8]>, Fault> {
    let mut texts = SmallVec::with_capacity(items.len().min(BATCH_ITEMS));
    for item in items {
        let Node::String(text) = item else { return Err(Fault::Subscriptions) };
        if texts.len() == BATCH_ITEMS {
            return Err(Fault::TooMany);
        }
        texts.push(*text);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Result<(Action, Vec<String>), Fault> {
        let mut parser = Parser::default();
        parser.request(text).map(|request| (request.action, request.subscriptions.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn the_messages_of_the_contract() {
        let subscribe = "{\n\"action\": \"subscribe\",\n\"subscriptions\": [\"quiz:42\", \"quiz:99\"]\n}";
        assert_eq!(read(subscribe), Ok((Action::Subscribe, vec!["quiz:42".into(), "quiz:99".into()])));
        let unsubscribe = "{\n\"action\": \"unsubscribe\",\n\"subscriptions\": [\"quiz:42\"]\n}";
        assert_eq!(read(unsubscribe), Ok((Action::Unsubscribe, vec!["quiz:42".into()])));
    }

    #[test]
    fn other_fields_are_ignored_wherever_they_stand() {
        let text = r#"{"a":{"action":[{}, [[]], 1.5, null]},"subscriptions":["\u0071uiz:1"],"b":[1,{"c":"d"}],"action":"subscribe","e":[]}"#;
        assert_eq!(read(text), Ok((Action::Subscribe, vec!["quiz:1".into()])));
        assert_eq!(read(r#"{"action":"unsubscribe","subscriptions":[]}"#), Ok((Action::Unsubscribe, vec![])));
    }

    #[test]
    fn each_fault_has_its_name() {
        let deep = format!(r#"{{"action":"subscribe","subscriptions":[],"a":{}{}}}"#, "[".repeat(DEPTH), "]".repeat(DEPTH));
        for text in
            ["", "hello", "{", "[]", "null", "\"subscribe\"", "{} {}", "{\"action\":\"subscribe\",}", "{\"a\":\"\u{1}\"}", &deep]
        {
            assert_eq!(read(text), Err(Fault::NotJson), "{text}");
        }
        let twice = r#"{"action":"subscribe","subscriptions":[],"action":"subscribe"}"#;
        assert_eq!(read(twice), Err(Fault::NotJson));
        for text in ["{}", r#"{"subscriptions":[]}"#, r#"{"action":1}"#, r#"{"action":["subscribe"],"subscriptions":[]}"#] {
            assert_eq!(read(text), Err(Fault::Action), "{text}");
        }
        assert_eq!(read(r#"{"action":"Subscribe","subscriptions":[]}"#), Err(Fault::Action));
        for subscriptions in ["1", "\"quiz:1\"", "{\"quiz:1\":\"a\"}", "[1]", "[\"quiz:1\",null]", "[[\"quiz:1\"]]", "null"] {
            let text = format!(r#"{{"action":"subscribe","subscriptions":{subscriptions}}}"#);
            assert_eq!(read(&text), Err(Fault::Subscriptions), "{text}");
        }
        assert_eq!(read(r#"{"action":"subscribe"}"#), Err(Fault::Subscriptions));
    }

    #[test]
    fn a_batch_has_its_limit() {
        let batch = |items: usize| json!({"action": "subscribe", "subscriptions": vec!["quiz:1"; items]}).to_string();
        assert_eq!(read(&batch(BATCH_ITEMS)).map(|(_, items)| items.len()), Ok(BATCH_ITEMS));
        assert_eq!(read(&batch(BATCH_ITEMS + 1)), Err(Fault::TooMany));
    }

    #[test]
    fn a_parser_is_as_good_for_the_next_message() {
        let mut parser = Parser::default();
        let long = json!({"action": "subscribe", "subscriptions": vec!["quiz:1"; 200]}).to_string();
        let short = r#"{"action":"unsubscribe","subscriptions":["a"]}"#;
        for text in [&long, short, "{\"action\":\"subscribe\"", short, &long[..USUAL_BYTES], &long, short] {
            let fresh = Parser::default().request(text).map(|request| request.subscriptions.len());
            assert_eq!(parser.request(text).map(|request| request.subscriptions.len()), fresh);
        }
        assert_eq!(parser.request(short).unwrap().subscriptions[..], ["a"]);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<i32>().prop_map(Value::from), ".{0,40}".prop_map(Value::from)];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,9}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn usual_messages_too_are_read_with_the_buffers() {
        let text = r#"{"action":"subscribe","subscriptions":["quiz:1","quiz:2"]}"#;
        let mut parser = Parser::default();
        for _ in 0..2 {
            assert_eq!(parser.unusual(text), plain::request(text).ok_or(Fault::NotJson));
        }
    }

    proptest! {
        #[test]
        fn any_texts_are_read_as_they_were_meant(
            texts in prop::collection::vec(".{0,70}", 0..20), other in value(), pretty in any::<bool>(),
        ) {
            let message = json!({"z": other, "subscriptions": texts, "a": other, "action": "subscribe"});
            let message = if pretty { format!("{message:#}") } else { message.to_string() };
            prop_assert_eq!(read(&message), Ok((Action::Subscribe, texts)));
        }

        #[test]
        fn anything_else_is_refused_and_never_more(text in r#"[{}\[\]",:\\a1 ]{0,90}"#) {
            prop_assert!(read(&text).is_err());
        }
    }
}
