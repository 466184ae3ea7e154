//! Tokens that are good no more though their time is not over. Every shard has all of them.

use super::{model::UserId, standing::Standing};
use crate::realtime::{Moment, Now, UnixMicros};
use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};
use uuid::Uuid;

/// A right that is another from now on. Every shard is told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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

impl Revocation {
    /// Whom it concerns, where it is not a token.
    pub fn user(self) -> Option<UserId> {
        match self {
            Revocation::Token { .. } => None,
            Revocation::User(standing) => Some(standing.user),
        }
    }
}

/// See the file.
#[derive(Default, Debug)]
pub struct Revoked {
    tokens: HashSet<Uuid>,
    /// By the moment at which each expires, if the clock on the wall is not set until then; with `exp`.
    ends: BTreeSet<(Moment, UnixMicros, Uuid)>,
}

impl Revoked {
    /// From now on this token is good no more. It is forgotten when it has expired by both clocks: one that leaps forward, and is set
    /// right again, makes none good.
    pub fn add(&mut self, token: Uuid, expires_at: UnixMicros, now: Now) {
        while let Some(&(due, end, over)) = self.ends.first()
            && due <= now.moment
        {
            self.ends.pop_first();
            if end > now.wall {
                self.ends.insert((expiry(end, now), end, over));
            } else {
                self.tokens.remove(&over);
            }
        }
        if expires_at > now.wall && self.tokens.insert(token) {
            self.ends.insert((expiry(expires_at, now), expires_at, token));
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

/// Later than now, as `end` is.
fn expiry(end: UnixMicros, now: Now) -> Moment {
    now.moment + Duration::from_micros(end.0.abs_diff(now.wall.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn at(moment: u64, wall: i64) -> Now {
        Now { moment: Moment(moment), wall: UnixMicros(wall) }
    }

    #[test]
    fn a_token_is_remembered_until_it_would_have_expired() {
        let mut revoked = Revoked::default();
        revoked.add(token(1), UnixMicros(10), at(1_000, 0));
        revoked.add(token(1), UnixMicros(10), at(1_000, 0));
        revoked.add(token(2), UnixMicros(30), at(1_000, 0));
        assert!(revoked.has(token(1)) && revoked.has(token(2)) && !revoked.has(token(3)));
        revoked.add(token(3), UnixMicros(20), at(1_020, 20));
        assert!(!revoked.has(token(1)) && revoked.has(token(2)) && !revoked.has(token(3)));
        assert_eq!((revoked.len(), revoked.is_empty()), (1, false));
    }

    #[test]
    fn a_clock_that_leaps_forward_and_back_makes_no_token_good() {
        let mut revoked = Revoked::default();
        revoked.add(token(1), UnixMicros(100), at(0, 0));
        revoked.add(token(2), UnixMicros(5_100), at(1, 5_000));
        assert!(revoked.has(token(1)), "somebody signed out while the clock was ahead");
        revoked.add(token(3), UnixMicros(500), at(50, 50));
        assert!(revoked.has(token(1)) && revoked.has(token(2)));
        revoked.add(token(4), UnixMicros(500), at(101, 101));
        assert!(!revoked.has(token(1)) && revoked.has(token(2)), "by its own time it is good for long");
        revoked.add(token(5), UnixMicros(6_000), at(5_100, 5_100));
        assert_eq!((revoked.has(token(2)), revoked.len()), (false, 1));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_token_good() {
        let mut revoked = Revoked::default();
        revoked.add(token(1), UnixMicros(1_100), at(0, 1_000));
        revoked.add(token(2), UnixMicros(400), at(200, 300));
        assert!(revoked.has(token(1)), "its end is to come again");
        revoked.add(token(3), UnixMicros(1_200), at(1_000, 1_100));
        assert!(!revoked.has(token(1)) && !revoked.has(token(2)));
    }
}
