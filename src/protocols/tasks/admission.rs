//! Before the upgrade: who is refused, and what is said to them.

/// Why somebody is not let in. Always 401.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial {
    /// There is no token, in the query or the header.
    NoToken,
    /// It is not good, or not good any more.
    BadToken,
}

impl Denial {
    /// Why, for people.
    pub const fn detail(self) -> &'static str {
        match self {
            Denial::NoToken => "Not authenticated",
            Denial::BadToken => "Could not validate credentials",
        }
    }

    /// The body of the answer.
    pub fn body(self) -> String {
        // Nothing in these texts needs an escape.
        format!(r#"{{"detail":"{}"}}"#, self.detail())
    }
}
