//! What the audit log has of one event: who did what, from where, and what came of it. Never a token, never what somebody said.

use super::UnixMicros;

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not allowed, or too often.
    Refused,
    /// It was allowed, and was not done.
    Failed,
}

impl Outcome {
    /// As the log has it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// When.
    pub at: UnixMicros,
    /// Such as `sign_in`, `refusal`, `kick`, `key.made`.
    pub what: &'static str,
    /// Who, as the API names him; none: nobody knows, or nobody is asked.
    pub who: Option<Box<str>>,
    /// What it was done to: a classroom, a session, a user.
    pub target: Option<Box<str>>,
    /// The bits of the address that it came from, an IPv4 one mapped into IPv6, of another the network of 64 bits; 0: there is none.
    pub from: u128,
    /// By which API.
    pub on: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was refused or failed: a code.
    pub reason: Option<Box<str>>,
}
