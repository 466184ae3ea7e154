//! How a client takes up an earlier session: by a ticket that holds it, sealed; or, where an old client takes none, by an id under which it
//! is remembered for a while.
//!
//! rustls has both, with a lock in each. These have none: shards share them.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand,
};
use crossbeam::queue::ArrayQueue;
use rustls::server::{ProducesTickets, StoresServerSessions};
use std::{fmt, sync::Arc, time::Duration};

/// How long a key seals new tickets.
pub const RENEWED_EVERY: Duration = Duration::from_secs(6 * 3600);
/// A ticket is opened by the key that sealed it, or was the last before: so long at most, and half of it at least.
const LIFETIME: Duration = Duration::from_secs(2 * 6 * 3600);

const KEY_BYTES: usize = 32;
const NAME_BYTES: usize = 8;

/// One key, with the name that its tickets begin with.
struct TicketKey {
    name: [u8; NAME_BYTES],
    key: LessSafeKey,
}

impl TicketKey {
    /// A random one. `None`: the system has no randomness.
    fn random() -> Option<Arc<TicketKey>> {
        let (mut bytes, mut name) = ([0; KEY_BYTES], [0; NAME_BYTES]);
        rand::fill(&mut bytes).and_then(|()| rand::fill(&mut name)).ok()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?);
        Some(Arc::new(TicketKey { name, key }))
    }
}

/// The key that seals tickets now, and the one before it. Never changed: who renews makes new ones of them.
#[derive(Clone)]
pub struct TicketKeys {
    newest: Arc<TicketKey>,
    last: Option<Arc<TicketKey>>,
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(…)")
    }
}

impl TicketKeys {
    /// The first. `None`: the system has no randomness.
    pub fn random() -> Option<TicketKeys> {
        Some(TicketKeys { newest: TicketKey::random()?, last: None })
    }

    /// A new one to seal, and what sealed until now to open; what was before that is gone. `None`: as [`TicketKeys::random`].
    pub fn renewed(&self) -> Option<TicketKeys> {
        Some(TicketKeys { newest: TicketKey::random()?, last: Some(self.newest.clone()) })
    }

    /// For one listener: its tickets are good at no other.
    pub(super) fn at(&self, listener: u8) -> Arc<dyn ProducesTickets> {
        Arc::new(Tickets { keys: self.clone(), listener })
    }
}

#[derive(Debug)]
struct Tickets {
    keys: TicketKeys,
    listener: u8,
}

impl Tickets {
    fn about(&self, key: &TicketKey) -> [u8; NAME_BYTES + 1] {
        let mut about = [self.listener; NAME_BYTES + 1];
        about[..NAME_BYTES].copy_from_slice(&key.name);
        about
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME.as_secs() as u32
    }

    /// Name, nonce, and the sealed session.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let key = &self.keys.newest;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let (_, sealed) = ticket.split_at_mut(NAME_BYTES + NONCE_LEN);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = key.key.seal_in_place_separate_tag(nonce, Aad::from(self.about(key)), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let key = [Some(&self.keys.newest), self.keys.last.as_ref()].into_iter().flatten().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key.key.open_in_place(nonce, Aad::from(self.about(key)), &mut sealed).ok()?.len();
        sealed.truncate(plain);
        Some(sealed)
    }
}

/// Sessions of one listener by their ids. Bounded: where one is put too many, the oldest beside it is forgotten.
#[derive(Debug)]
pub struct SessionMemory(Box<[Place]>);

/// Ids and what they stand for.
type Place = ArrayQueue<(Vec<u8>, Vec<u8>)>;

/// Ids are random, so that their first bytes spread them evenly.
const PLACES: usize = 1024;
const AT_A_PLACE: usize = 4;

impl Default for SessionMemory {
    fn default() -> SessionMemory {
        SessionMemory((0..PLACES).map(|_| ArrayQueue::new(AT_A_PLACE)).collect())
    }
}

impl SessionMemory {
    fn place(&self, id: &[u8]) -> Option<&Place> {
        let first = id.first_chunk::<2>()?;
        Some(&self.0[usize::from(u16::from_le_bytes(*first)) % PLACES])
    }

    /// What is at the id's place one after the other; `keep` tells whether the one that was looked for stays. Another shard may look at the
    /// same moment, and not find what is in a hand: its client then begins anew.
    fn look(&self, id: &[u8], keep: bool) -> Option<Vec<u8>> {
        let place = self.place(id)?;
        for _ in 0..AT_A_PLACE {
            let one = place.pop()?;
            if one.0 != id {
                place.force_push(one);
                continue;
            }
            let session = one.1.clone();
            if keep {
                place.force_push(one);
            }
            return Some(session);
        }
        None
    }
}

impl StoresServerSessions for SessionMemory {
    fn put(&self, id: Vec<u8>, session: Vec<u8>) -> bool {
        let Some(place) = self.place(&id) else { return false };
        place.force_push((id, session));
        true
    }

    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.look(id, true)
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.look(id, false)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_opened_until_its_key_is_gone_and_at_its_own_listener_alone() {
        let first = TicketKeys::random().unwrap();
        let ticket = first.at(0).encrypt(b"session").unwrap();
        assert_ne!(ticket, first.at(0).encrypt(b"session").unwrap());
        assert!(!ticket.windows(7).any(|part| part == b"session"));
        let second = first.renewed().unwrap();
        let third = second.renewed().unwrap();
        assert_eq!(first.at(0).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(second.at(0).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(third.at(0).decrypt(&ticket), None);
        assert_eq!(first.at(1).decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut other = ticket.clone();
            other[at] ^= 1;
            assert_eq!(first.at(0).decrypt(&other), None, "{at}");
            assert_eq!(first.at(0).decrypt(&ticket[..at]), None, "{at}");
        }
    }

    #[test]
    fn a_session_is_found_by_its_id_until_newer_ones_are_in_its_place() {
        let memory = SessionMemory::default();
        let id = |number: u8| vec![7, 7, number];
        assert!(!memory.put(vec![1], vec![]));
        for number in 0..4 {
            assert!(memory.put(id(number), vec![number]));
        }
        assert_eq!((memory.get(&id(2)), memory.get(&id(2))), (Some(vec![2]), Some(vec![2])));
        assert_eq!((memory.take(&id(2)), memory.get(&id(2))), (Some(vec![2]), None));
        for number in 10..14 {
            memory.put(id(number), vec![number]);
        }
        assert_eq!((memory.get(&id(0)), memory.get(&id(13)), memory.get(&[])), (None, Some(vec![13]), None));
    }
}
