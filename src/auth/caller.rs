//! Tokens of those who talk to agents: JWTs (HS256) that this house signs and nobody else. Their `sub` is the user's id, so that tasks take
//! them as they are.

use super::{
    authority::object,
    key::{KeyFlaw, Secret, hs256_secret},
    user::{ADMIN, ISSUER, USER, UserClaims, opened, sealed},
};
use crate::realtime::UnixMicros;
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, time::Duration};
use uuid::Uuid;

/// How long a token of one who signs in is good.
pub const CALLER_TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// What a token says of its holder: the same as one of labs.
pub type CallerClaims = UserClaims;

/// The key that signs these tokens and checks them. One for all shards; a new one makes every token invalid. Its `Debug` shows nothing of
/// it.
#[derive(Clone)]
pub struct CallerKey(hmac::Key);

#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    sub: Uuid,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    email: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
    jti: Uuid,
    iat: i64,
    exp: i64,
}

impl CallerKey {
    /// Takes the bytes of a secret: at least [`MIN_SECRET_BYTES`](super::key::MIN_SECRET_BYTES).
    ///
    /// # Errors
    /// [`KeyFlaw::ShortSecret`] and [`KeyFlaw::PemAsSecret`].
    pub fn new(secret: &Secret) -> Result<CallerKey, KeyFlaw> {
        Ok(CallerKey(hmac::Key::new(hmac::HMAC_SHA256, hs256_secret(secret)?)))
    }

    /// The token of these claims, issued at `now`.
    pub fn issue(&self, claims: &CallerClaims, now: UnixMicros) -> String {
        sealed(
            &self.0,
            &Payload {
                iss: ISSUER.into(),
                sub: claims.user,
                username: claims.name.as_str().into(),
                email: claims.email.as_str().into(),
                role: if claims.admin { ADMIN } else { USER }.into(),
                jti: claims.token,
                iat: now.seconds(),
                exp: claims.expires_at.seconds(),
            },
        )
    }

    /// What a token says, if this key signed it and `now` is before its end.
    pub fn read(&self, token: &str, now: UnixMicros) -> Option<CallerClaims> {
        let payload = opened(&self.0, token)?;
        let payload: Payload<'_> = object(&payload)?;
        let admin = match &*payload.role {
            ADMIN => true,
            USER => false,
            _ => return None,
        };
        let expires_at = UnixMicros(payload.exp.checked_mul(1_000_000)?);
        let (name, email) = (payload.username.into_owned(), payload.email.into_owned());
        (payload.iss == ISSUER && expires_at > now).then_some(CallerClaims {
            user: payload.sub,
            name,
            email,
            admin,
            token: payload.jti,
            expires_at,
        })
    }
}

impl fmt::Debug for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            UserKey,
            user::tests::{END, NOW, claims},
        },
        *,
    };

    fn key(byte: u8) -> CallerKey {
        CallerKey::new(&Secret::new([byte; 32])).unwrap()
    }

    #[test]
    fn a_token_reads_back_until_its_end_with_the_key_that_signed_it_and_no_other() {
        for admin in [true, false] {
            let token = key(1).issue(&claims(admin), NOW);
            assert_eq!(key(1).read(&token, UnixMicros(END.0 - 1)), Some(claims(admin)));
            assert_eq!(key(1).read(&token, END), None);
            assert_eq!(key(2).read(&token, NOW), None);
        }
        assert_eq!(format!("{:?}", key(7)), "CallerKey(…)");
        assert_eq!(CallerKey::new(&Secret::new([1; 31])).unwrap_err(), KeyFlaw::ShortSecret(31));
    }

    #[test]
    fn it_is_a_jwt_whose_subject_is_the_user() {
        let token = key(1).issue(&claims(true), NOW);
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        validation.validate_exp = false;
        let decoding = jsonwebtoken::DecodingKey::from_secret(&[1; 32]);
        let read = jsonwebtoken::decode::<serde_json::Value>(&token, &decoding, &validation).unwrap().claims;
        assert_eq!((&read["sub"], &read["role"]), (&Uuid::from_u128(1).to_string().into(), &"admin".into()));
        assert_eq!((&read["iat"], &read["exp"]), (&1_700_000_000_i64.into(), &1_700_086_400_i64.into()));
    }

    #[test]
    fn a_token_of_another_kind_is_none() {
        let labs = UserKey::new(&Secret::new([1; 32])).unwrap();
        let token = labs.issue(&claims(true), NOW);
        assert_eq!(key(1).read(&token, NOW), None);
    }
}
