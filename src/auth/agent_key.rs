//! The one key that all agents of labs share, where the operator wants them to.

use super::api_key;
use aws_lc_rs::constant_time;
use std::ops::RangeInclusive;

/// How long a key is, in bytes.
pub const AGENT_KEY_BYTES: RangeInclusive<usize> = 16..=256;

/// The key's hash; the key itself is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentKey([u8; 32]);

/// Why an agent does not come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AgentKeyFault {
    /// It showed none.
    Missing,
    /// It showed another one.
    Wrong,
}

impl AgentKey {
    /// What stands in a key file: one line of [`AGENT_KEY_BYTES`] visible characters of ASCII, so that it can be a header. White
    /// space around it is not part of it. None: that is no key.
    pub fn of(text: &str) -> Option<AgentKey> {
        let key = text.trim_ascii();
        let is_key = AGENT_KEY_BYTES.contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        is_key.then(|| AgentKey(api_key::hash(key)))
    }

    /// Compares what an agent shows. What it takes tells nothing of how close a guess came.
    ///
    /// # Errors
    /// [`AgentKeyFault`].
    pub fn admits(&self, shown: Option<&str>) -> Result<(), AgentKeyFault> {
        let shown = shown.filter(|shown| !shown.is_empty()).ok_or(AgentKeyFault::Missing)?;
        constant_time::verify_slices_are_equal(&self.0, &api_key::hash(shown)).map_err(|_| AgentKeyFault::Wrong)
    }
}

impl std::fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AgentKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_comes_in() {
        let text = api_key::api_key([7; 32]);
        let key = AgentKey::of(&format!(" {text}\r\n")).unwrap();
        assert_eq!(key.admits(Some(&text)), Ok(()));
        for shown in [&text[1..], &format!("{text}A"), &api_key::api_key([8; 32])] {
            assert_eq!(key.admits(Some(shown)), Err(AgentKeyFault::Wrong));
        }
        assert_eq!(key.admits(None), Err(AgentKeyFault::Missing));
        assert_eq!(key.admits(Some("")), Err(AgentKeyFault::Missing));
        assert_eq!(format!("{key:?}"), "AgentKey");
    }

    #[test]
    fn what_is_no_key() {
        for text in [
            "",
            &"x".repeat(257),
            "\n",
            "fifteen-letters",
            "two words that are long",
            "two\nlines-that-are-long",
            "schlüssel-schlüssel",
        ] {
            assert_eq!(AgentKey::of(text), None, "{text}");
        }
    }
}
