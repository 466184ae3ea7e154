//! A set of public keys as its issuer publishes it: a JWK Set (RFC 7517; RFC 7518, section 6; RFC 8037).
//!
//! A set is taken whole or not at all. What it may hold beside our kinds of keys (other curves, keys for encryption) is passed over, as
//! RFC 7517, section 5, asks. A key that must not be there (a secret, a private part, one that is too weak, one that is none) is a fault of
//! all of it, so that nobody goes by a set whose issuer does not know what it publishes.

use super::{
    authority::object,
    key::{Algorithm, KeyFlaw, Verifier},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;
use std::{fmt, sync::Arc};

/// A longer set is refused unread. One of ten RSA keys with certificates has some 20 KiB.
pub const MAX_SET_BYTES: usize = 1 << 20;
/// More keys than this are refused.
pub const MAX_SET_KEYS: usize = 100;

/// What is wrong with a set. Names keys by their place in it, from 1, and nothing of what they hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetFlaw {
    /// Over [`MAX_SET_BYTES`].
    TooLong,
    /// Not a JSON object with a list `keys`.
    Shape,
    /// More than [`MAX_SET_KEYS`]; holds how many.
    TooMany(usize),
    /// No key that can be used: an issuer that is at fault would end everybody's sign-in.
    Empty,
    /// This key has members of the wrong type, misses one or is no point of its curve.
    Malformed(usize),
    /// This key is symmetric: whoever can check tokens by it can sign them too.
    Symmetric(usize),
    /// This key has a private part, so that everybody who reads the set can sign.
    Private(usize),
    /// This key is RSA of so many bits, fewer than 2048 or more than 8192.
    Bits(usize, usize),
}

impl fmt::Display for SetFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetFlaw::TooLong => write!(f, "more than {MAX_SET_BYTES} bytes"),
            SetFlaw::Shape => f.write_str("not a JSON object with a list of keys"),
            SetFlaw::TooMany(keys) => write!(f, "{keys} keys, more than {MAX_SET_KEYS}"),
            SetFlaw::Empty => f.write_str("no key that can be used"),
            SetFlaw::Malformed(place) => write!(f, "key {place} is not a JWK of its kind"),
            SetFlaw::Symmetric(place) => write!(f, "key {place} is symmetric: who can check tokens by it can sign them"),
            SetFlaw::Private(place) => write!(f, "key {place} has a private part: who reads the set can sign"),
            SetFlaw::Bits(place, bits) => write!(f, "key {place} is RSA of {bits} bits: expected 2048 to 8192"),
        }
    }
}

impl std::error::Error for SetFlaw {}

/// One key with one algorithm.
#[derive(Clone, Debug)]
pub(super) struct SetKey {
    kid: Option<Box<str>>,
    pub(super) verifier: Arc<Verifier>,
}

impl SetKey {
    /// A token that names a key is checked by that one alone; one that names none by any.
    pub(super) fn is_named(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.kid.as_deref() == Some(kid))
    }

    pub(super) fn is(&self, other: &SetKey) -> bool {
        self.kid == other.kid && self.verifier.is(&other.verifier)
    }
}

/// All usable keys of a set.
#[derive(Clone, Default, Debug)]
pub struct KeySet {
    pub(super) keys: Vec<SetKey>,
    /// How many JWKs it had that can be used.
    used: usize,
}

impl KeySet {
    /// Reads a set. With `only` keys for other algorithms are passed over.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(json: &[u8], only: Option<Algorithm>) -> Result<KeySet, SetFlaw> {
        if json.len() > MAX_SET_BYTES {
            return Err(SetFlaw::TooLong);
        }
        let document: Document<'_> = object(json).ok_or(SetFlaw::Shape)?;
        if document.keys.len() > MAX_SET_KEYS {
            return Err(SetFlaw::TooMany(document.keys.len()));
        }
        let mut set = KeySet::default();
        for (place, jwk) in (1..).zip(document.keys) {
            let jwk: Jwk = object(jwk.get().as_bytes()).ok_or(SetFlaw::Malformed(place))?;
            let before = set.keys.len();
            for algorithm in jwk.algorithms(place)?.iter().filter(|algorithm| only.is_none_or(|only| only == **algorithm)) {
                let verifier = Arc::new(jwk.verifier(*algorithm, place)?);
                set.keys.push(SetKey { kid: jwk.kid.as_deref().map(Box::from), verifier });
            }
            set.used += usize::from(set.keys.len() > before);
        }
        if set.keys.is_empty() { Err(SetFlaw::Empty) } else { Ok(set) }
    }

    /// How many keys of it can be used.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there is none: nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub(super) fn has(&self, key: &SetKey) -> bool {
        self.keys.iter().any(|own| own.is(key))
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// Whether a member is there, whatever it holds.
#[derive(Default)]
struct There(bool);

impl<'de> Deserialize<'de> for There {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<There, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| There(true))
    }
}

/// What is read of a JWK. A member twice is refused by serde; x5c, x5u and the rest are passed over.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    #[serde(default)]
    k: There,
    #[serde(default)]
    d: There,
    #[serde(default)]
    p: There,
    #[serde(default)]
    q: There,
    #[serde(default)]
    dp: There,
    #[serde(default)]
    dq: There,
    #[serde(default)]
    qi: There,
    #[serde(default)]
    oth: There,
    /// Of lattices (RFC 9964).
    #[serde(default, rename = "priv")]
    private: There,
}

impl Jwk {
    /// The algorithms that its kind, its use and its own word allow; none: it is not for us.
    fn algorithms(&self, place: usize) -> Result<&'static [Algorithm], SetFlaw> {
        if self.kty == "oct" || self.k.0 {
            return Err(SetFlaw::Symmetric(place));
        }
        let parts = [&self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.oth, &self.private];
        if parts.iter().any(|part| part.0) {
            return Err(SetFlaw::Private(place));
        }
        let may_verify = self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if self.r#use.as_ref().is_some_and(|given| given != "sig") || !may_verify {
            return Ok(&[]);
        }
        Ok(match (&*self.kty, self.crv.as_deref(), self.alg.as_deref()) {
            ("RSA", _, None) => &[Algorithm::RS256, Algorithm::PS256],
            ("RSA", _, Some("RS256")) => &[Algorithm::RS256],
            ("RSA", _, Some("PS256")) => &[Algorithm::PS256],
            ("EC", Some("P-256"), None | Some("ES256")) => &[Algorithm::ES256],
            ("OKP", Some("Ed25519"), None | Some("EdDSA")) => &[Algorithm::EdDSA],
            _ => &[],
        })
    }

    fn verifier(&self, algorithm: Algorithm, place: usize) -> Result<Verifier, SetFlaw> {
        let malformed = SetFlaw::Malformed(place);
        let bytes = |member: &Option<String>| URL_SAFE_NO_PAD.decode(member.as_ref()?).ok();
        let made = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => {
                let (n, e) = bytes(&self.n).zip(bytes(&self.e)).ok_or(malformed.clone())?;
                Verifier::rsa(algorithm, &n, &e)
            }
            Algorithm::ES256 => {
                let (x, y) = bytes(&self.x).zip(bytes(&self.y)).ok_or(malformed.clone())?;
                Verifier::p256(&x, &y)
            }
            Algorithm::EdDSA => Verifier::ed25519(&bytes(&self.x).ok_or(malformed.clone())?),
            Algorithm::HS256 => return Err(SetFlaw::Symmetric(place)),
        };
        made.map_err(|flaw| if let KeyFlaw::ShortRsa(bits) = flaw { SetFlaw::Bits(place, bits) } else { malformed })
    }
}
