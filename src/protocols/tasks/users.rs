//! How many sockets each user has, over all shards, for those who have their home here.

use super::{letters::ToUser, model::UserName};
use crate::realtime::{ConnId, ShardId};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, hash_map::Entry};

/// See the file.
pub(super) struct Users {
    sockets: HashMap<UserName, Vec<ConnId>, FixedState>,
}

impl Users {
    /// `seed` keeps the places of keys from being guessed.
    pub(super) fn new(seed: u64) -> Users {
        Users { sockets: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// How many sockets are counted.
    pub(super) fn sockets(&self) -> usize {
        self.sockets.values().map(Vec::len).sum()
    }

    /// Takes a letter. To one that comes: whether it is one too many.
    pub(super) fn letter(&mut self, letter: ToUser, most: u32) -> Option<(ConnId, bool)> {
        match letter {
            ToUser::Come { conn, user } => {
                let sockets = self.sockets.entry(user).or_default();
                // Who asks again is counted already.
                let is_counted = sockets.contains(&conn);
                let refused = !is_counted && sockets.len() >= most as usize;
                if !refused && !is_counted {
                    sockets.push(conn);
                }
                Some((conn, refused))
            }
            ToUser::Move { conn, user } => {
                let sockets = self.sockets.entry(user).or_default();
                if !sockets.contains(&conn) {
                    sockets.push(conn);
                }
                None
            }
            ToUser::Go { conn, user } => {
                if let Entry::Occupied(mut entry) = self.sockets.entry(user) {
                    entry.get_mut().retain(|known| *known != conn);
                    if entry.get().is_empty() {
                        entry.remove();
                    }
                }
                None
            }
        }
    }

    /// Sockets of these shards are no more, or will be told of again.
    pub(super) fn lose(&mut self, is_gone: &dyn Fn(ShardId) -> bool) {
        self.sockets.values_mut().for_each(|sockets| sockets.retain(|conn| !is_gone(conn.shard)));
        self.sockets.retain(|_, sockets| !sockets.is_empty());
    }

    /// Users who are at home elsewhere are forgotten.
    pub(super) fn move_out(&mut self, is_here: &dyn Fn(&UserName) -> bool) {
        self.sockets.retain(|user, _| is_here(user));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(slot: u32) -> ConnId {
        ConnId { shard: ShardId((slot % 3) as u16), generation: 0, slot }
    }

    #[test]
    fn one_is_too_many_until_another_goes() {
        let mut users = Users::new(1);
        let come = |users: &mut Users, slot| users.letter(ToUser::Come { conn: conn(slot), user: "a".into() }, 10).unwrap().1;
        let refused: Vec<u32> = (0..12).filter(|slot| come(&mut users, *slot)).collect();
        assert_eq!((refused, users.sockets()), (vec![10, 11], 10));
        // One that was refused, and does not know yet, goes.
        users.letter(ToUser::Go { conn: conn(11), user: "a".into() }, 10);
        assert!(come(&mut users, 12));
        users.letter(ToUser::Go { conn: conn(3), user: "a".into() }, 10);
        assert!(!come(&mut users, 13));
        let other = users.letter(ToUser::Come { conn: conn(14), user: "b".into() }, 10);
        assert_eq!(other, Some((conn(14), false)));
        for slot in 0..15 {
            users.letter(ToUser::Go { conn: conn(slot), user: "a".into() }, 10);
        }
        users.letter(ToUser::Go { conn: conn(14), user: "b".into() }, 10);
        assert_eq!((users.sockets(), users.sockets.len()), (0, 0), "nobody is remembered");
    }

    #[test]
    fn who_comes_from_another_home_is_counted_once_and_never_refused() {
        let mut users = Users::new(1);
        let user = || "a".into();
        for slot in [0, 1, 2, 1] {
            assert_eq!(users.letter(ToUser::Move { conn: conn(slot), user: user() }, 2), None);
        }
        assert_eq!(users.sockets(), 3);
        assert_eq!(users.letter(ToUser::Come { conn: conn(1), user: user() }, 2), Some((conn(1), false)), "it is counted");
        assert_eq!(users.letter(ToUser::Come { conn: conn(4), user: user() }, 2), Some((conn(4), true)));
        users.lose(&|shard| shard == ShardId(1));
        assert_eq!(users.sockets(), 2);
        users.move_out(&|_| false);
        assert_eq!(users.sockets.len(), 0);
    }
}
