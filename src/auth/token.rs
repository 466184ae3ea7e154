//! Issuing tokens: the command line's `token`, the load harness, tests.

use super::key::{Algorithm, KeyFlaw, Secret, hs256_secret};
use crate::realtime::UnixMicros;
use jsonwebtoken::{EncodingKey, Header, crypto, encode};
use serde::Serialize;
use std::{fmt, time::Duration};

/// What stands in a subject template where its number goes.
const NUMBER: &str = "{n}";

/// What a token is to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claims<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// `sub`.
    pub subject: &'a str,
    /// From now until `exp`, counted in whole seconds; without it the token has no end.
    pub lifetime: Option<Duration>,
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    homeroom_password: Option<i64>,
}

/// A key that issues tokens, with its one algorithm. Its `Debug` shows the algorithm only.
#[derive(Clone)]
pub struct SigningKey {
    header: Header,
    key: EncodingKey,
}

impl SigningKey {
    /// HS256 takes the secret's bytes; ES256, RS256, PS256 and EdDSA the text of a PEM file with the private key (PKCS#8, for RSA also
    /// PKCS#1).
    pub fn new(algorithm: Algorithm, key: &Secret) -> Result<SigningKey, KeyFlaw> {
        let flaw = KeyFlaw::Private(algorithm);
        let read = match algorithm {
            Algorithm::HS256 => Ok(EncodingKey::from_secret(hs256_secret(key)?)),
            Algorithm::ES256 => EncodingKey::from_ec_pem(key.expose()),
            Algorithm::RS256 | Algorithm::PS256 => EncodingKey::from_rsa_pem(key.expose()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(key.expose()),
        };
        let key = read.map_err(|_| flaw.clone())?;
        let algorithm = algorithm.in_jsonwebtoken();
        // A public key or another curve comes to light only when it signs.
        crypto::sign(b"", &key, algorithm).map_err(|_| flaw)?;
        Ok(SigningKey { header: Header::new(algorithm), key })
    }

    /// A token with these claims, issued at `now`. `None` when the key cannot sign, which [`SigningKey::new`] has ruled out but
    /// for a lack of memory.
    ///
    /// The same inputs give the same token, except under ES256, whose signatures are randomised.
    pub fn issue(&self, claims: &Claims<'_>, now: UnixMicros) -> Option<String> {
        self.encode(claims, None, now)
    }

    /// As [`SigningKey::issue`], for who has signed in with the password that was set at this time.
    pub fn issue_for_password(&self, claims: &Claims<'_>, password: UnixMicros, now: UnixMicros) -> Option<String> {
        self.encode(claims, Some(password.0), now)
    }

    fn encode(&self, claims: &Claims<'_>, homeroom_password: Option<i64>, now: UnixMicros) -> Option<String> {
        let iat = now.seconds();
        let end = |lifetime: Duration| iat.saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX));
        let (iss, aud, sub, exp) = (claims.issuer, claims.audience, claims.subject, claims.lifetime.map(end));
        let payload = Payload { iss, aud, sub, iat, exp, homeroom_password };
        encode(&self.header, &payload, &self.key).ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.header.alg)
    }
}

/// `count` subjects from a template: each `{n}` becomes 1, 2, …; without one the number is appended, or nothing when there is
/// only one subject.
pub fn subjects(template: &str, count: u32) -> impl Iterator<Item = String> {
    let plain = !template.contains(NUMBER);
    (1..=count).map(move |n| match (plain, count) {
        (true, 1) => template.to_owned(),
        (true, _) => format!("{template}{n}"),
        (false, _) => template.replace(NUMBER, &n.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Authority, Issuer};

    fn of(template: &str, count: u32) -> Vec<String> {
        subjects(template, count).collect()
    }

    #[test]
    fn subjects_are_numbered() {
        assert_eq!(of("teacher", 1), ["teacher"]);
        assert_eq!(of("student", 3), ["student1", "student2", "student3"]);
        assert_eq!(of("s{n}", 1), ["s1"]);
        assert_eq!(of("class-{n}-seat-{n}", 2), ["class-1-seat-1", "class-2-seat-2"]);
        assert_eq!(of("anyone", 0), [""; 0]);
        assert_eq!(of("s{N}{}", 2), ["s{N}{}1", "s{N}{}2"]);
    }

    #[test]
    fn a_lifetime_ends_to_the_second() {
        let key = Secret::new([9; 32]);
        let signing = SigningKey::new(Algorithm::HS256, &key).unwrap();
        let issuer = Issuer { name: "school".into(), audiences: vec!["a".into()], algorithm: Algorithm::HS256, key: key.clone() };
        let authority = Authority::new([issuer]).unwrap();
        let now = UnixMicros(1_700_000_000_900_000);
        let mut claims = Claims { issuer: "school", audience: "a", subject: "u", lifetime: Some(Duration::from_millis(60_999)) };
        let token = signing.issue(&claims, now).unwrap();
        assert!(authority.verify(&token, UnixMicros(1_700_000_059_999_999)).is_ok());
        assert!(authority.verify(&token, UnixMicros(1_700_000_060_000_000)).is_err());
        claims.lifetime = Some(Duration::MAX);
        assert!(authority.verify(&signing.issue(&claims, now).unwrap(), UnixMicros(i64::MAX - 1_000_000_000)).is_ok());
        claims.lifetime = None;
        assert!(authority.verify(&signing.issue(&claims, now).unwrap(), UnixMicros(i64::MAX)).is_ok());
        assert_eq!(format!("{signing:?}"), "SigningKey(HS256)");
    }

    #[test]
    fn tokens_of_a_former_key_are_good_for_a_while() {
        let authority = |byte: u8| {
            let key = Secret::new([byte; 32]);
            Authority::new([Issuer { name: "school".into(), audiences: vec!["a".into()], algorithm: Algorithm::HS256, key }])
                .unwrap()
        };
        let claims = Claims { issuer: "school", audience: "a", subject: "u", lifetime: None };
        let signed = |byte: u8| {
            SigningKey::new(Algorithm::HS256, &Secret::new([byte; 32])).unwrap().issue(&claims, UnixMicros(0)).unwrap()
        };
        let (now, until, later) = (UnixMicros(10), UnixMicros(20), UnixMicros(30));
        let (first, mut second, mut third) = (authority(1), authority(2), authority(3));
        assert_eq!(second.succeed(&first, now, until), ["school"]);
        let good = |authority: &Authority, at: UnixMicros| [1, 2, 3].map(|byte| authority.verify(&signed(byte), at).is_ok());
        assert_eq!((good(&second, now), good(&second, until)), ([true, true, false], [false, true, false]));
        // The same keys once more: nothing has changed, and the former one is no longer good for that.
        let mut same = authority(2);
        assert_eq!(same.succeed(&second, UnixMicros(15), later), [""; 0]);
        assert_eq!((good(&same, UnixMicros(19)), good(&same, until)), ([true, true, false], [false, true, false]));
        assert_eq!(third.succeed(&same, UnixMicros(15), later), ["school"]);
        assert_eq!((good(&third, UnixMicros(19)), good(&third, until)), ([true, true, true], [false, true, true]));
        let mut at_once = authority(2);
        at_once.succeed(&first, now, now);
        assert_eq!(good(&at_once, now), [false, true, false]);
        // An issuer that is believed no more is believed by no key.
        let mut nobody = Authority::new([]).unwrap();
        assert_eq!((nobody.succeed(&first, now, later), good(&nobody, now)), (vec![], [false; 3]));
    }

    #[test]
    fn a_token_of_a_sign_in_says_which_password_it_was() {
        let key = Secret::new([9; 32]);
        let issuer = Issuer { name: "school".into(), audiences: vec!["a".into()], algorithm: Algorithm::HS256, key: key.clone() };
        let (authority, now) = (Authority::new([issuer]).unwrap(), UnixMicros(1_781_188_265_000_000));
        let signing = SigningKey::new(Algorithm::HS256, &key).unwrap();
        let claims = Claims { issuer: "school", audience: "a", subject: "u", lifetime: None };
        let password = UnixMicros(1_700_000_000_123_456);
        let token = signing.issue_for_password(&claims, password, now).unwrap();
        let (account, set_at) = authority.verify_with_password(&token, now).unwrap();
        assert_eq!((&*account.subject, set_at), ("u", Some(password)));
        let plain = signing.issue(&claims, now).unwrap();
        assert_eq!(authority.verify_with_password(&plain, now).unwrap().1, None);
    }
}
