//! Tokens and queries of strangers: none of them is good, whatever it says.

use super::house::authority;
use homeroom::{
    auth::{Authority, CallerKey, GuestKey, KeySet, KeySource, MAX_SET_KEYS, Secret, SetIssuer, UserKey},
    protocols::{labs, quiz},
    realtime::UnixMicros,
    websocket::query,
};
use std::sync::Arc;

const NOW: UnixMicros = UnixMicros(1_700_000_000_000_000);

/// No key signs here, so that no token may be taken.
pub(crate) fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let secret = Secret::new([9; 32]);
    if let (Ok(users), Ok(callers), Ok(guests)) = (UserKey::new(&secret), CallerKey::new(&secret), GuestKey::new(&secret)) {
        assert!(users.read(&text, NOW).is_err() && callers.read(&text, NOW).is_none() && guests.read(&text, NOW).is_none());
    }
    assert!(authority().verify(&text, NOW).is_err());
    let _any = (query::parameter(Some(&text), "token"), quiz::admission::credential(Some(&text)));
    let _any = (labs::admission::agent(Some(&text)), labs::admission::agent_in_field(Some(&text)));
}

/// What an issuer publishes, and behind a line feed a token: whatever the set has, no key of it has signed that.
pub(crate) fn key_set(bytes: &[u8]) {
    let (set, token) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &b""[..]),
    };
    let Ok(set) = KeySet::read(set, None) else { return };
    assert!((1..=MAX_SET_KEYS).contains(&set.len()));
    let source = Arc::new(KeySource::new("there"));
    assert!(source.take(set.clone(), NOW, NOW) && !source.take(set, NOW, NOW), "the same set twice is one");
    let issuer = SetIssuer { name: "school".to_owned(), audiences: vec!["usr".to_owned()], source: source.clone() };
    let authority = Authority::with_sets([], [issuer]).expect("one issuer with an audience");
    assert!(authority.verify(&String::from_utf8_lossy(token), NOW).is_err());
    assert_eq!(source.standing().former, 0);
}
