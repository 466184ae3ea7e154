//! The key that agents show, where the house wants one: the same for all of them.

use super::admission::Denial;
use crate::auth::api_key;
use std::fmt;

/// A longer one is not looked at.
const CHARS_AT_MOST: usize = 256;

/// Its hash is all that is kept of it.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentKey([u8; 32]);

impl AgentKey {
    /// The key as agents write it, without white space around it.
    pub fn new(key: &str) -> AgentKey {
        AgentKey(api_key::hash(key))
    }

    /// Whether this is it: what stands in `X-Agent-API-Key` or in `key` of the query. How long that takes to say tells nothing of the key.
    ///
    /// # Errors
    /// [`Denial::NoKey`] and [`Denial::BadKey`].
    pub fn check(&self, shown: Option<&str>) -> Result<(), Denial> {
        let shown = shown.filter(|shown| (1..=CHARS_AT_MOST).contains(&shown.len())).ok_or(Denial::NoKey)?;
        if api_key::hash(shown) == self.0 { Ok(()) } else { Err(Denial::BadKey) }
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_key_and_no_other() {
        let key = AgentKey::new("open sesame");
        assert_eq!(key.check(Some("open sesame")), Ok(()));
        assert_eq!(key.check(Some("open sesam")), Err(Denial::BadKey));
        assert_eq!(key.check(None), Err(Denial::NoKey));
        assert_eq!(key.check(Some("")), Err(Denial::NoKey));
        assert_eq!(key.check(Some(&"x".repeat(CHARS_AT_MOST + 1))), Err(Denial::NoKey));
        assert_eq!(format!("{key:?}"), "AgentKey(…)");
    }
}
