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
use uuid::Uuid;

/// The longest `sub` of a guest, in bytes.
pub const MAX_GUEST_BYTES: usize = 128;
/// What the name of a guest begins with whose `sub` could be the id of one who signs in here, or begins so itself. Nobody else's does.
pub const APART: &str = "guest:";
const ADMIN: &str = "admin";

/// What a token says of a guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guest {
    /// `sub`, 1 to [`MAX_GUEST_BYTES`] bytes; behind [`APART`] where it could be taken for a user's id. No two guests have the same, and no
    /// user has a guest's.
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
        (is_good && is_named).then(|| Guest { name: name(&sub), admin: role.as_deref() == Some(ADMIN) })
    }
}

/// Others choose what their users are called, or let these choose: nobody may become a user of this house by that.
fn name(sub: &str) -> String {
    let is_id = Uuid::try_parse(sub).is_ok_and(|id| id.to_string() == sub);
    if is_id || sub.starts_with(APART) { [APART, sub].concat() } else { sub.to_owned() }
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
    fn no_guest_is_taken_for_a_user_of_this_house_or_for_another_guest() {
        let name = |sub: &str| key(1).read(&token(&json!({ "sub": sub })), NOW).unwrap().name;
        let user = Uuid::from_u128(0xA_7000_8000_0000_0000_0007).to_string();
        let subs = [&*user, &user.to_uppercase(), &user.replace('-', ""), "guest:", &format!("guest:{user}"), "Guest:a", "anna"];
        let names: std::collections::BTreeSet<String> = subs.iter().map(|sub| name(sub)).collect();
        assert!(names.len() == subs.len() && !names.contains(&user), "{names:?}");
        assert_eq!(name(&user), format!("guest:{user}"));
        assert_eq!(name("teacher-7@example.com"), "teacher-7@example.com");
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
