//! What every shard must know to judge a credential: the API keys that are good, and since when each account has the password that it has.

use super::{
    model::{KeyId, OwnerId, Role, owner_of},
    record::Key,
};
use crate::{
    auth::{Authority, Refusal, api_key},
    realtime::UnixMicros,
};
use hashbrown::{HashMap, HashSet};

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

/// What the store has of all that.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Good {
    /// The keys that are good.
    pub keys: Vec<Key>,
    /// Since when accounts have their passwords, by their names.
    pub passwords: Vec<(String, UnixMicros)>,
}

/// All good keys, by their hashes, and the times of passwords. An owner has few of them, so all are on every shard.
#[derive(Default, Debug)]
pub struct Keys {
    holders: HashMap<[u8; 32], Holder>,
    hashes: HashMap<KeyId, [u8; 32]>,
    passwords: HashMap<String, UnixMicros>,
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

    /// The account of this name has the password that was set then, and no older one.
    pub fn password(&mut self, name: &str, set_at: UnixMicros) {
        self.passwords.insert(name.to_owned(), set_at);
    }

    /// From now on all is as it was read, but what was told since that may be older.
    pub fn correct(&mut self, good: Good, is_newer: impl Fn(KeyId) -> bool, is_set_since: impl Fn(&str) -> bool) {
        let read: HashSet<KeyId> = good.keys.iter().map(|key| key.id).collect();
        let over: Vec<KeyId> = self.hashes.keys().copied().filter(|id| !read.contains(id) && !is_newer(*id)).collect();
        over.into_iter().for_each(|id| _ = self.remove(id));
        good.keys.iter().filter(|key| !is_newer(key.id)).for_each(|key| self.add(key));
        let older = good.passwords.into_iter().filter(|(name, _)| !is_set_since(name));
        self.passwords.extend(older);
    }

    /// Whose access token this is. One that was signed in for is good as long as the password is.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn bearer(&self, token: &str, authority: &Authority, now: UnixMicros) -> Result<OwnerId, Refusal> {
        let (account, password) = authority.verify_with_password(token, now)?;
        let is_good = password.is_none_or(|set_at| self.passwords.get(&account.subject) == Some(&set_at));
        if is_good { Ok(owner_of(&account)) } else { Err(Refusal::Unauthenticated) }
    }

    /// How many keys there are.
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
    use crate::auth::{Algorithm, Claims, Issuer, Secret, SigningKey};

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
    fn a_token_that_was_signed_in_for_is_good_as_long_as_the_password() {
        let (secret, now) = (Secret::new([5; 32]), UnixMicros(1_781_188_265_000_000));
        let issuer =
            Issuer { name: "i".into(), audiences: vec!["school".into()], algorithm: Algorithm::HS256, key: secret.clone() };
        let authority = Authority::new([issuer]).unwrap();
        let key = SigningKey::new(Algorithm::HS256, &secret).unwrap();
        let claims = Claims { issuer: "i", audience: "school", subject: "ada", lifetime: None };
        let signed_in = |set_at| key.issue_for_password(&claims, UnixMicros(set_at), now).unwrap();
        let (old, new, plain) = (signed_in(1), signed_in(2), key.issue(&claims, now).unwrap());
        let mut keys = Keys::default();
        let good = |keys: &Keys| [&old, &new, &plain].map(|token| keys.bearer(token, &authority, now).is_ok());
        assert_eq!(good(&keys), [false, false, true], "an operator's token is of no password");
        keys.password("bob", UnixMicros(1));
        keys.password("ada", UnixMicros(1));
        assert_eq!(good(&keys), [true, false, true]);
        keys.password("ada", UnixMicros(2));
        assert_eq!(good(&keys), [false, true, true]);
        assert_eq!(&*keys.bearer(&new, &authority, now).unwrap(), "school/ada");
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
