//! Tokens of guests: people whom another service knows. It shares a secret with this one and signs JWTs (HS256) with it, of which only who
//! it is, whether that is an admin, and from when and until when, where it says so, is read.

use super::{
    authority::{numeric_date, object},
    key::{KeyFlaw, Secret, hs256_secret},
    user::opened,
};
use crate::realtime::UnixMicros;
use aws_lc_rs::hmac;
use serde::Deserialize;
use std::{borrow::Cow, fmt};

/// The longest name of a guest, in bytes.
pub const MAX_GUEST_BYTES: usize = 128;
const ADMIN: &str = "admin";

/// What a token says of a guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guest {
    /// `sub`: 1 to [`MAX_GUEST_BYTES`] bytes.
    pub name: String,
    /// Whether `role` is `admin`.
    pub admin: bool,
}

/// The secret that another service shares. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct GuestKey(hmac::Key);

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "numeric_date")]
    exp: Option<f64>,
    #[serde(default, deserialize_with = "numeric_date")]
    nbf: Option<f64>,
}

impl GuestKey {
    /// Takes the bytes of a secret: at least [`MIN_SECRET_BYTES`](super::key::MIN_SECRET_BYTES).
    ///
    /// # Errors
    /// [`KeyFlaw::ShortSecret`] and [`KeyFlaw::PemAsSecret`].
    pub fn new(secret: &Secret) -> Result<GuestKey, KeyFlaw> {
        Ok(GuestKey(hmac::Key::new(hmac::HMAC_SHA256, hs256_secret(secret)?)))
    }

    /// Whose token it is, if this key signed it and `now` is before its end. One without an end is good for as long as the secret is.
    pub fn read(&self, token: &str, now: UnixMicros) -> Option<Guest> {
        let payload = opened(&self.0, token)?;
        let Payload { sub, role, exp, nbf } = object(&payload)?;
        let reached = |seconds: f64| seconds * 1e6 <= now.0 as f64;
        let is_good = !exp.is_some_and(reached) && nbf.is_none_or(reached);
        let is_named = (1..=MAX_GUEST_BYTES).contains(&sub.len());
        (is_good && is_named).then(|| Guest { name: sub.into_owned(), admin: role.as_deref() == Some(ADMIN) })
    }
}

impl fmt::Debug for GuestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuestKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: UnixMicros = UnixMicros(1_700_000_000_000_000);

    fn key(byte: u8) -> GuestKey {
        GuestKey::new(&Secret::new([byte; 32])).unwrap()
    }

    fn token(claims: &Value) -> String {
        let key = jsonwebtoken::EncodingKey::from_secret(&[1; 32]);
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
    }

    #[test]
    fn a_guest_is_read_until_the_end_with_the_shared_secret_and_no_other() {
        let claims = json!({"sub": "alice", "exp": 1_700_000_001});
        let alice = Guest { name: "alice".into(), admin: false };
        assert_eq!(key(1).read(&token(&claims), NOW), Some(alice.clone()));
        assert_eq!(key(1).read(&token(&claims), UnixMicros(1_700_000_001_000_000)), None);
        assert_eq!(key(2).read(&token(&claims), NOW), None);
        let with_more =
            json!({"sub": "alice", "exp": 1_700_000_000.5, "nbf": 1_700_000_000, "role": "user", "aud": "x", "iat": 1});
        assert_eq!(key(1).read(&token(&with_more), NOW), Some(alice));
        assert!(key(1).read(&token(&json!({"sub": "alice"})), NOW).is_some_and(|guest| guest.name == "alice"));
        let admin = json!({"sub": "root", "exp": 1_700_000_001, "role": "admin"});
        assert_eq!(key(1).read(&token(&admin), NOW), Some(Guest { name: "root".into(), admin: true }));
        assert_eq!(format!("{:?}", key(7)), "GuestKey(…)");
        assert_eq!(GuestKey::new(&Secret::new([1; 31])).unwrap_err(), KeyFlaw::ShortSecret(31));
    }

    #[test]
    fn what_is_missing_or_wrong_makes_it_nobodys() {
        for claims in [
            json!({"sub": "alice", "exp": null}),
            json!({"sub": "alice", "exp": "1700000001"}),
            json!({"sub": "alice", "exp": 1_700_000_001, "nbf": 1_700_000_001}),
            json!({"sub": "", "exp": 1_700_000_001}),
            json!({"sub": "a".repeat(129), "exp": 1_700_000_001}),
            json!({"sub": 5, "exp": 1_700_000_001}),
            json!({"exp": 1_700_000_001}),
            json!(["alice", null, 1_700_000_001, null]),
        ] {
            assert_eq!(key(1).read(&token(&claims), NOW), None, "{claims}");
        }
        for rubbish in ["", "a.b.c", "null"] {
            assert_eq!(key(1).read(rubbish, NOW), None);
        }
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6MTkwMDAwMDAwMH0.";
        assert_eq!(key(1).read(unsigned, NOW), None);
    }
}
