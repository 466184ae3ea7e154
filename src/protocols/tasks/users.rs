//! How many sockets each user has, over all shards, for those who have their home here.

use super::{letters::ToUser, model::UserName};
use crate::realtime::ConnId;
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
                let refused = sockets.len() >= most as usize;
                if !refused {
                    sockets.push(conn);
                }
                Some((conn, refused))
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
}
