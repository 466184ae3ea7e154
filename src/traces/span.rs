//! One span. What may stand in it is a question of types: a text is fixed in the program or comes from the settings, and no other is taken.

use super::Context;
use crate::realtime::UnixMicros;
use std::borrow::Cow;

/// What is known of something that takes time.
#[derive(Clone, PartialEq, Debug)]
pub struct Span {
    /// Which it is.
    pub context: Context,
    /// The span that it is a part of.
    pub parent: Option<Parent>,
    /// What it is, as few names as there are kinds of work.
    pub name: Cow<'static, str>,
    /// Whether somebody outside asks, or is asked.
    pub kind: Kind,
    /// When it began.
    pub began: UnixMicros,
    /// When it ended; no earlier.
    pub ended: UnixMicros,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// What happened meanwhile, in order.
    pub events: Vec<Event>,
    /// Whether it failed by our fault, or by that of whom we asked.
    pub has_failed: bool,
}

/// The span above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parent {
    /// Its number.
    pub span: u64,
    /// Whether it is another process's.
    pub is_remote: bool,
}

/// The role of a span, by the numbers of OTLP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Kind {
    /// Nobody outside has to do with it.
    Internal = 1,
    /// It answers somebody outside.
    Server = 2,
    /// Somebody outside is asked.
    Client = 3,
}

/// Something that happened in the time of a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// When.
    pub at: UnixMicros,
    /// What.
    pub name: &'static str,
}

/// The value of an attribute.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A text of ours.
    Text(Cow<'static, str>),
    /// A whole number.
    Whole(i64),
    /// Any other.
    Real(f64),
}

impl Value {
    /// What the settings say, as a name that the operator has given. Never what a client said.
    pub fn configured(text: &str) -> Value {
        Value::Text(Cow::Owned(text.to_owned()))
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Value {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl Span {
    /// One that has no end yet.
    pub fn begin(
        context: Context,
        parent: Option<Parent>,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        at: UnixMicros,
    ) -> Span {
        let (attributes, events) = (Vec::new(), Vec::new());
        Span { context, parent, name: name.into(), kind, began: at, ended: at, attributes, events, has_failed: false }
    }

    /// Says more of it.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push((key, value.into()));
    }

    /// Something happens.
    pub fn event(&mut self, name: &'static str, at: UnixMicros) {
        self.events.push(Event { at, name });
    }

    /// It has failed, for this reason (`error.type`, of which there are few).
    pub fn fail(&mut self, why: impl Into<Value>) {
        self.has_failed = true;
        self.set("error.type", why);
    }

    /// It is over; a clock that was put back meanwhile makes no time of it.
    pub fn end(&mut self, at: UnixMicros) {
        self.ended = at.max(self.began);
    }
}
