//! Tokens and queries of strangers: none of them is good, whatever it says.

use super::house::authority;
use homeroom::{
    auth::{CallerKey, GuestKey, Secret, UserKey},
    protocols::{labs, quiz},
    realtime::UnixMicros,
    websocket::query,
};

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
