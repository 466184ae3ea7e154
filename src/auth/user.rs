//! Tokens of the users of labs: JWTs (HS256) that this house signs and nobody else. Each has a number of its own (`jti`), by which it can
//! be revoked; whether it was is not known here.

use super::{
    authority::{MAX_TOKEN_BYTES, Parts, check_header, object},
    key::{Algorithm, KeyFlaw, Secret, hs256_secret},
};
use crate::realtime::UnixMicros;
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, iter, time::Duration};
use uuid::Uuid;

pub(super) const ISSUER: &str = "homeroom";
/// How long a token of one who signs in is good.
pub const USER_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
pub(super) const ADMIN: &str = "admin";
pub(super) const USER: &str = "user";

/// What a token says of its holder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserClaims {
    /// The user's id.
    pub user: Uuid,
    /// `username`: the name when it was issued.
    pub name: String,
    /// `email`, when it was issued.
    pub email: String,
    /// Whether `role` is `admin`, and not `user`, when it was issued.
    pub admin: bool,
    /// `jti`.
    pub token: Uuid,
    /// `exp`: whole seconds.
    pub expires_at: UnixMicros,
}

/// Why a token is no good.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UserFlaw {
    /// It is none of ours.
    Invalid,
    /// It is ours, and past its end.
    Expired,
}

/// The key that signs users' tokens and checks them. One for all shards; a new one makes every token invalid. Its `Debug` shows nothing
/// of it.
#[derive(Clone)]
pub struct UserKey(hmac::Key);

#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    /// The user; `sub` is the name.
    user_id: Uuid,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow, default)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
    jti: Uuid,
    iat: i64,
    #[serde(default)]
    nbf: i64,
    exp: i64,
}

impl UserKey {
    /// Takes the bytes of a secret: at least [`MIN_SECRET_BYTES`](super::key::MIN_SECRET_BYTES).
    ///
    /// # Errors
    /// [`KeyFlaw::ShortSecret`] and [`KeyFlaw::PemAsSecret`].
    pub fn new(secret: &Secret) -> Result<UserKey, KeyFlaw> {
        Ok(UserKey(hmac::Key::new(hmac::HMAC_SHA256, hs256_secret(secret)?)))
    }

    /// The token of these claims, issued at `now`.
    pub fn issue(&self, claims: &UserClaims, now: UnixMicros) -> String {
        let payload = Payload {
            iss: ISSUER.into(),
            sub: claims.name.as_str().into(),
            user_id: claims.user,
            username: claims.name.as_str().into(),
            email: claims.email.as_str().into(),
            role: if claims.admin { ADMIN } else { USER }.into(),
            jti: claims.token,
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: claims.expires_at.seconds(),
        };
        sealed(&self.0, &payload)
    }

    /// What a token says, if it is good at `now`. `exp` is the first second at which it no longer is.
    ///
    /// # Errors
    /// See [`UserFlaw`]. Nothing is said of a token that this key did not sign.
    pub fn read(&self, token: &str, now: UnixMicros) -> Result<UserClaims, UserFlaw> {
        let claims = self.signed(token, now).ok_or(UserFlaw::Invalid)?;
        if claims.expires_at <= now { Err(UserFlaw::Expired) } else { Ok(claims) }
    }

    fn signed(&self, token: &str, now: UnixMicros) -> Option<UserClaims> {
        let payload = opened(&self.0, token)?;
        let payload: Payload<'_> = object(&payload)?;
        let admin = match &*payload.role {
            ADMIN => true,
            USER => false,
            _ => return None,
        };
        let expires_at = UnixMicros(payload.exp.checked_mul(1_000_000)?);
        let (name, email) = (payload.username.into_owned(), payload.email.into_owned());
        (payload.iss == ISSUER && payload.nbf <= now.seconds()).then_some(UserClaims {
            user: payload.user_id,
            name,
            email,
            admin,
            token: payload.jti,
            expires_at,
        })
    }
}

/// A token (HS256) with this payload.
pub(super) fn sealed(key: &hmac::Key, payload: &impl Serialize) -> String {
    // Texts and numbers alone, which serde_json never refuses.
    let payload = serde_json::to_string(payload).unwrap_or_default();
    let mut token = [URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(payload)].join(".");
    let signature = hmac::sign(key, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
    token
}

/// The payload of a token that this key signed, and of no other.
pub(super) fn opened(key: &hmac::Key, token: &str) -> Option<Vec<u8>> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let parts = Parts::of(token)?;
    check_header(parts.header, iter::once(Algorithm::HS256)).ok()?;
    let signature = URL_SAFE_NO_PAD.decode(parts.signature).ok()?;
    hmac::verify(key, parts.signed.as_bytes(), &signature).ok()?;
    URL_SAFE_NO_PAD.decode(parts.payload).ok()
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserKey(…)")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::auth) const NOW: UnixMicros = UnixMicros(1_700_000_000_000_000);
    pub(in crate::auth) const END: UnixMicros = UnixMicros(1_700_086_400_000_000);

    fn key(byte: u8) -> UserKey {
        UserKey::new(&Secret::new([byte; 32])).unwrap()
    }

    pub(in crate::auth) fn claims(admin: bool) -> UserClaims {
        let (user, token) = (Uuid::from_u128(1), Uuid::from_u128(2));
        UserClaims { user, name: "anna".into(), email: "anna@school.example".into(), admin, token, expires_at: END }
    }

    #[test]
    fn a_token_reads_back_until_its_end_with_the_key_that_signed_it_and_no_other() {
        for admin in [true, false] {
            let token = key(1).issue(&claims(admin), NOW);
            assert_eq!(key(1).read(&token, NOW), Ok(claims(admin)));
            assert_eq!(key(1).read(&token, UnixMicros(END.0 - 1)), Ok(claims(admin)));
            assert_eq!(key(1).read(&token, END), Err(UserFlaw::Expired));
            assert_eq!(key(2).read(&token, NOW), Err(UserFlaw::Invalid));
            assert_eq!(key(2).read(&token, END), Err(UserFlaw::Invalid), "nothing is said of another's");
        }
    }

    #[test]
    fn it_is_a_jwt_as_others_read_it() {
        let token = key(1).issue(&claims(true), NOW);
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        validation.validate_exp = false;
        let decoding = jsonwebtoken::DecodingKey::from_secret(&[1; 32]);
        let read = jsonwebtoken::decode::<serde_json::Value>(&token, &decoding, &validation).unwrap().claims;
        assert_eq!((&read["sub"], &read["username"], &read["role"]), (&"anna".into(), &"anna".into(), &"admin".into()));
        assert_eq!(read["nbf"], read["iat"]);
        assert_eq!(key(1).read(&token, UnixMicros(NOW.0 - 1)), Err(UserFlaw::Invalid), "not yet");
        assert_eq!((&read["iat"], &read["exp"]), (&1_700_000_000_i64.into(), &1_700_086_400_i64.into()));
    }

    #[test]
    fn no_other_character_anywhere_is_as_good() {
        let token = key(1).issue(&claims(false), NOW);
        for place in 0..token.len() {
            for other in ["A", "_", ".", "=", "é"] {
                let mut changed = token.clone();
                changed.replace_range(place..=place, other);
                assert_eq!(key(1).read(&changed, NOW).is_ok(), changed == token, "{place} {other}");
            }
        }
        for text in
            ["", ".", "..", &token[1..], &format!("{token}A"), &format!("{token}.{token}"), &"a".repeat(MAX_TOKEN_BYTES + 1)]
        {
            assert_eq!(key(1).read(text, NOW), Err(UserFlaw::Invalid), "{text}");
        }
    }

    #[test]
    fn what_our_key_signed_for_another_purpose_is_no_token() {
        for (header, payload) in [
            (HEADER, r#"{"iss":"homeroom","aud":"school","sub":"anna","iat":1,"exp":1800000000}"#),
            (HEADER, "[]"),
            (r#"{"alg":"none"}"#, r#"{"iss":"homeroom"}"#),
        ] {
            let mut token = [URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload)].join(".");
            let signature = hmac::sign(&key(1).0, token.as_bytes());
            token.push('.');
            URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
            assert_eq!(key(1).read(&token, NOW), Err(UserFlaw::Invalid), "{payload}");
        }
    }

    #[test]
    fn a_short_secret_is_refused_and_a_key_never_shows_itself() {
        assert_eq!(UserKey::new(&Secret::new([1; 31])).unwrap_err(), KeyFlaw::ShortSecret(31));
        assert_eq!(format!("{:?}", key(7)), "UserKey(…)");
    }
}
