//! The API keys that are good, on every shard: who holds one speaks for its owner.

use super::{
    model::{KeyId, OwnerId, Role},
    record::Key,
};
use crate::auth::api_key;
use hashbrown::HashMap;

/// What a key says of its holder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// For whom it speaks.
    pub owner: OwnerId,
    /// What it may.
    pub role: Role,
    /// Which key it is.
    pub id: KeyId,
}

/// All good keys, by their hashes. An owner has few, so all of them are on every shard.
#[derive(Default, Debug)]
pub struct Keys {
    holders: HashMap<[u8; 32], Holder>,
    hashes: HashMap<KeyId, [u8; 32]>,
}

impl Keys {
    /// Makes a key good. The same key twice is once.
    pub fn add(&mut self, key: &Key) {
        self.holders.insert(key.hash, Holder { owner: key.owner.clone(), role: key.role, id: key.id });
        self.hashes.insert(key.id, key.hash);
    }

    /// A key is good no more. Whether it was.
    pub fn remove(&mut self, id: KeyId) -> bool {
        self.hashes.remove(&id).is_some_and(|hash| self.holders.remove(&hash).is_some())
    }

    /// Whose key this is, as its holder sent it.
    pub fn find(&self, key: &str) -> Option<&Holder> {
        if !api_key::looks_like_a_key(key) {
            return None;
        }
        self.holders.get(&api_key::hash(key))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.holders.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::UnixMicros;

    fn key(number: u8, owner: &str, role: Role) -> Key {
        Key {
            id: KeyId::from_u128(number.into()),
            owner: owner.into(),
            label: String::new(),
            role,
            hash: api_key::hash(&api_key::api_key([number; 32])),
            hint: String::new(),
            created_at: UnixMicros(0),
        }
    }

    #[test]
    fn a_key_is_found_from_its_making_to_its_end() {
        let mut keys = Keys::default();
        let (one, two) = (api_key::api_key([1; 32]), api_key::api_key([2; 32]));
        assert!(keys.find(&one).is_none() && keys.is_empty());
        keys.add(&key(1, "school/a", Role::Owner));
        keys.add(&key(2, "school/b", Role::User));
        keys.add(&key(1, "school/a", Role::Owner));
        assert_eq!(keys.len(), 2);
        let holder = Holder { owner: "school/b".into(), role: Role::User, id: KeyId::from_u128(2) };
        assert_eq!(keys.find(&two), Some(&holder));
        assert_eq!(keys.find(&one).map(|holder| &*holder.owner), Some("school/a"));
        assert!(keys.remove(KeyId::from_u128(1)));
        assert!(!keys.remove(KeyId::from_u128(1)));
        assert!(keys.find(&one).is_none() && keys.find(&two).is_some());
    }
}
