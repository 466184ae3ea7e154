//! Where the keys of an issuer come from that publishes a set of them: the set as it was last read, and the keys that were in it before.
//!
//! Shards read it without waiting, and leave word when a token names a key that is not in it; one thread writes. What is read, and when, is
//! decided by [`super::Refresh`]. A read that failed leaves all as it was.

use super::{
    key::Verifier,
    key_set::{KeySet, SetKey},
};
use crate::realtime::UnixMicros;
use arc_swap::{ArcSwap, Guard};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// Keys that are not in the set any more and are remembered. An issuer that takes so many out of it in the life of a token is at fault.
const MOST_FORMER: usize = 64;

/// See the file.
pub struct KeySource {
    place: Box<str>,
    held: ArcSwap<Held>,
    is_wanted: AtomicBool,
}

#[derive(Clone, Default)]
pub(super) struct Held {
    set: KeySet,
    /// Keys that were taken out of the set, and until when tokens of each are good; the newest first.
    former: Vec<(SetKey, UnixMicros)>,
    standing: Standing,
}

/// How it stands with a source, for those who look.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Standing {
    /// When the set was last read and found right.
    pub read_at: Option<UnixMicros>,
    /// When it became what it is.
    pub changed_at: Option<UnixMicros>,
    /// Why the last read failed, if it did. Nothing of what was read is in it.
    pub fault: Option<Arc<str>>,
    /// How many keys of the set can be used.
    pub keys: usize,
    /// How many keys that are not in it any more may be good still.
    pub former: usize,
    /// Reads so far that were right.
    pub reads: u64,
    /// Reads so far that were not.
    pub failures: u64,
}

impl KeySource {
    /// For the set at this place, which was not read yet: no token is good.
    pub fn new(place: &str) -> KeySource {
        KeySource { place: place.into(), held: ArcSwap::default(), is_wanted: AtomicBool::new(false) }
    }

    /// As it is now.
    pub fn standing(&self) -> Standing {
        self.held.load().standing.clone()
    }

    /// Whether a token has named a key that is not there, since this was last asked.
    pub fn was_wanted(&self) -> bool {
        self.is_wanted.swap(false, Relaxed)
    }

    /// The set was read at `now`. Keys of the one before that are not in it stay good until then. Says whether it is another.
    pub fn take(&self, set: KeySet, now: UnixMicros, until: UnixMicros) -> bool {
        let before = self.held.load();
        let is_former = |key: &SetKey| !set.has(key);
        let left = before.set.keys.iter().filter(|key| is_former(key)).map(|key| (key.clone(), until));
        let earlier = before.former.iter().filter(|(key, _)| is_former(key)).cloned();
        let former: Vec<_> = left.chain(earlier).filter(|(_, until)| *until > now).take(MOST_FORMER).collect();
        let is_other = set.keys.len() != before.set.keys.len() || set.keys.iter().any(|key| !before.set.has(key));
        let was = &before.standing;
        let standing = Standing {
            read_at: Some(now),
            changed_at: if is_other { Some(now) } else { was.changed_at },
            fault: None,
            keys: set.len(),
            former: former.len(),
            reads: was.reads + 1,
            failures: was.failures,
        };
        self.held.store(Arc::new(Held { set, former, standing }));
        is_other
    }

    /// It could not be read: it stays as it was.
    pub fn fail(&self, why: &str) {
        let mut held = Held::clone(&self.held.load());
        (held.standing.fault, held.standing.failures) = (Some(why.into()), held.standing.failures + 1);
        self.held.store(Arc::new(held));
    }

    /// Whether both are of one place.
    pub(super) fn has_place_of(&self, other: &KeySource) -> bool {
        self.place == other.place
    }

    /// Takes the place of `earlier`, whose keys are good still; what was read for this one already comes behind those. Says whether the set
    /// is another.
    pub(super) fn succeed(&self, earlier: &KeySource, now: UnixMicros, until: UnixMicros) -> bool {
        let own = self.held.swap(earlier.held.load_full());
        own.standing.read_at.is_some() && self.take(own.set.clone(), now, until)
    }

    pub(super) fn held(&self) -> Guard<Arc<Held>> {
        self.held.load()
    }

    /// A token has named a key that is not there.
    pub(super) fn want(&self) {
        // Most often it is said already: then nothing is written that other shards read.
        if !self.is_wanted.load(Relaxed) {
            self.is_wanted.store(true, Relaxed);
        }
    }
}

impl Held {
    /// The keys by which a token may be signed that names this one, those of the set first.
    pub(super) fn named<'a>(&'a self, kid: Option<&'a str>, now: UnixMicros) -> impl Iterator<Item = &'a Arc<Verifier>> {
        let former = self.former.iter().filter(move |(_, until)| *until > now).map(|(key, _)| key);
        self.set.keys.iter().chain(former).filter(move |key| key.is_named(kid)).map(|key| &key.verifier)
    }

    /// All keys, those of the set until then.
    pub(super) fn until(&self, until: UnixMicros) -> impl Iterator<Item = (SetKey, UnixMicros)> {
        let own = self.set.keys.iter().map(move |key| (key.clone(), until));
        own.chain(self.former.iter().cloned())
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySource").field(&self.standing()).finish()
    }
}
