//! Chat completions as OpenAI publishes them and others have taken them over: the body of a request, and the stream of events that answers
//! it. Source: the "Create chat completion" and "Streaming" pages of OpenAI's API reference; the framing is that of server-sent events
//! (WHATWG HTML, section 9.2).

mod reading;
mod request;

pub use reading::Reading;
pub use request::body;

/// An event, a call's arguments or an answer's calls beyond this many bytes are [`Malformed`](super::Fault::Malformed).
pub const MAX_EVENT_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
