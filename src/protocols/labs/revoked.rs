//! Tokens that are good no more though their time is not over. Every shard has all of them.

use super::standing::Standing;
use crate::realtime::UnixMicros;
use std::collections::{BTreeSet, HashSet};
use uuid::Uuid;

/// A right that is another from now on. Every shard is told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revocation {
    /// A token is good no more.
    Token {
        /// `jti`.
        token: Uuid,
        /// Its `exp`.
        expires_at: UnixMicros,
    },
    /// A user may do other things than before.
    User(Standing),
}

/// See the file.
#[derive(Default, Debug)]
pub struct Revoked {
    tokens: HashSet<Uuid>,
    ends: BTreeSet<(UnixMicros, Uuid)>,
}

impl Revoked {
    /// From now on this token is good no more. It is forgotten when it would have expired.
    pub fn add(&mut self, token: Uuid, expires_at: UnixMicros, now: UnixMicros) {
        while let Some(&(end, over)) = self.ends.first()
            && end <= now
        {
            self.ends.pop_first();
            self.tokens.remove(&over);
        }
        if expires_at > now && self.tokens.insert(token) {
            self.ends.insert((expires_at, token));
        }
    }

    /// Whether it is.
    pub fn has(&self, token: Uuid) -> bool {
        self.tokens.contains(&token)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_remembered_until_it_would_have_expired() {
        let (mut revoked, token) = (Revoked::default(), Uuid::from_u128);
        revoked.add(token(1), UnixMicros(10), UnixMicros(0));
        revoked.add(token(1), UnixMicros(10), UnixMicros(0));
        revoked.add(token(2), UnixMicros(30), UnixMicros(0));
        assert!(revoked.has(token(1)) && revoked.has(token(2)) && !revoked.has(token(3)));
        revoked.add(token(3), UnixMicros(20), UnixMicros(20));
        assert!(!revoked.has(token(1)) && revoked.has(token(2)) && !revoked.has(token(3)));
        assert_eq!((revoked.len(), revoked.is_empty()), (1, false));
    }
}
