//! Keys: what the configuration holds ([`Secret`]), what may be wrong with it ([`KeyFault`]), and the parsed form that checks signatures.
//!
//! `jsonwebtoken` reads the PEM; the parsed keys are aws-lc's own, since `jsonwebtoken`'s verifiers cannot cross threads, parse
//! the key again for each token, and take a key of the wrong kind until the first token fails.

use aws_lc_rs::{
    hmac,
    rsa::PublicKey as RsaPublicKey,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters,
        RsaPublicKeyComponents,
    },
};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use std::{fmt, str::FromStr};

/// The shortest HS256 secret: as long as the hash (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// The shortest RSA modulus (RFC 7518, section 3.3).
const MIN_RSA_BITS: usize = 2048;
/// The longest: a check takes the time of its square.
const MAX_RSA_BITS: usize = 8192;
const PEM_START: &[u8] = b"-----BEGIN";

/// The signature algorithms that an issuer may be configured with (RFC 7518, section 3.1; RFC 8037). One issuer has exactly one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// HMAC with SHA-256: who can verify can also issue.
    HS256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] = [Algorithm::ES256, Algorithm::HS256, Algorithm::RS256, Algorithm::PS256, Algorithm::EdDSA];

    /// The name as it stands in a token's header and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::ES256 => "ES256",
            Algorithm::HS256 => "HS256",
            Algorithm::RS256 => "RS256",
            Algorithm::PS256 => "PS256",
            Algorithm::EdDSA => "EdDSA",
        }
    }

    pub(super) fn in_jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::PS256 => jsonwebtoken::Algorithm::PS256,
            Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = KeyFlaw;
    fn from_str(name: &str) -> Result<Algorithm, KeyFlaw> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or(KeyFlaw::UnknownAlgorithm)
    }
}

/// Key material as it was read: the bytes of an HS256 secret, or the text of a PEM file. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(bytes.into())
    }

    /// The bytes themselves, for a signature and for nothing that prints.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is wrong with one issuer of the configuration. Never holds key material.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFault {
    /// The issuer as configured.
    pub issuer: String,
    /// What is wrong with it.
    pub flaw: KeyFlaw,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "issuer {:?}: {}", self.issuer, self.flaw)
    }
}

impl std::error::Error for KeyFault {}

/// What can be wrong with an issuer or a signing key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyFlaw {
    /// The issuer's name is empty.
    NoName,
    /// Another issuer has the same name, so `iss` would not tell which key to use.
    Duplicate,
    /// No audience is listed: every token would be refused.
    NoAudience,
    /// A listed audience is empty or has a colon, so that no token's first part can equal it.
    Audience(String),
    /// Not one of [`Algorithm::ALL`].
    UnknownAlgorithm,
    /// An HS256 secret shorter than [`MIN_SECRET_BYTES`]; holds its length in bytes.
    ShortSecret(usize),
    /// An HS256 secret that is a PEM file: a public key would then sign tokens.
    PemAsSecret,
    /// Not a public key of this algorithm in PEM (SubjectPublicKeyInfo, or PKCS#1 for RSA).
    Public(Algorithm),
    /// Not a private key of this algorithm in PEM (PKCS#8, or PKCS#1 for RSA).
    Private(Algorithm),
    /// An RSA key under 2048 bits; holds its bits.
    ShortRsa(usize),
}

impl fmt::Display for KeyFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFlaw::NoName => f.write_str("the name is empty"),
            KeyFlaw::Duplicate => f.write_str("configured twice"),
            KeyFlaw::NoAudience => f.write_str("no audience is listed"),
            KeyFlaw::Audience(audience) => {
                write!(f, "audience {audience:?} must not be empty or have a colon: list only what stands before the colon")
            }
            KeyFlaw::UnknownAlgorithm => f.write_str("the algorithm is none of ES256, HS256, RS256, PS256, EdDSA"),
            KeyFlaw::ShortSecret(bytes) => write!(f, "the HS256 secret has {bytes} bytes, fewer than {MIN_SECRET_BYTES}"),
            KeyFlaw::PemAsSecret => f.write_str("the HS256 secret is a PEM file, not a secret"),
            KeyFlaw::Public(algorithm) => write!(f, "the key is not a PEM public key for {algorithm}"),
            KeyFlaw::Private(algorithm) => write!(
                f,
                "the key is not a PEM private key for {algorithm} (PKCS#8; `openssl pkcs8 -topk8 -nocrypt` turns other forms into it)"
            ),
            KeyFlaw::ShortRsa(bits) => write!(f, "the RSA key has {bits} bits, fewer than {MIN_RSA_BITS}"),
        }
    }
}

impl std::error::Error for KeyFlaw {}

/// An HS256 secret that may sign: long enough, and not a PEM file by mistake.
pub(super) fn hs256_secret(secret: &Secret) -> Result<&[u8], KeyFlaw> {
    let bytes = secret.expose();
    if bytes.trim_ascii_start().starts_with(PEM_START) {
        return Err(KeyFlaw::PemAsSecret);
    }
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(KeyFlaw::ShortSecret(bytes.len()));
    }
    Ok(bytes)
}

/// A parsed key with its one algorithm: built once, used for every token. Its `Debug` shows the algorithm only.
pub(super) struct Verifier {
    algorithm: Algorithm,
    key: Parsed,
}

enum Parsed {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Verifier {
    /// Parses the key: the bytes of the secret for HS256, a PEM public key for the others.
    pub(super) fn new(algorithm: Algorithm, key: &Secret) -> Result<Verifier, KeyFlaw> {
        let key = match algorithm {
            Algorithm::HS256 => Parsed::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, hs256_secret(key)?))),
            Algorithm::ES256 | Algorithm::RS256 | Algorithm::PS256 | Algorithm::EdDSA => {
                Parsed::Public(public_key(algorithm, key)?)
            }
        };
        Ok(Verifier { algorithm, key })
    }

    /// A public key of RSA by its modulus and exponent, each a number of which the first byte counts most, for RS256 or PS256. A modulus of
    /// a length that is not taken is [`KeyFlaw::ShortRsa`], also where it is too long.
    pub(super) fn rsa(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Result<Verifier, KeyFlaw> {
        let flaw = KeyFlaw::Public(algorithm);
        let bare = |number: &[u8]| number.iter().position(|byte| *byte != 0).map(|first| number[first..].to_vec());
        let (n, e) = bare(modulus).zip(bare(exponent)).ok_or(flaw.clone())?;
        let bits = n.len() * 8 - n[0].leading_zeros() as usize;
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
            return Err(KeyFlaw::ShortRsa(bits));
        }
        // An even modulus is no product of primes; an even exponent, or one, signs nothing; a long one only costs time.
        let is_sound = n[n.len() - 1] & 1 == 1 && e[e.len() - 1] & 1 == 1 && e != [1] && e.len() <= 4;
        let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(rsa_parameters(algorithm)).map_err(|_| flaw.clone())?;
        if is_sound { Ok(Verifier { algorithm, key: Parsed::Public(key) }) } else { Err(flaw) }
    }

    /// A public key of P-256 by the two numbers of its point, 32 bytes each (RFC 7518, section 6.2.1).
    pub(super) fn p256(x: &[u8], y: &[u8]) -> Result<Verifier, KeyFlaw> {
        let flaw = KeyFlaw::Public(Algorithm::ES256);
        if (x.len(), y.len()) != (32, 32) {
            return Err(flaw);
        }
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4], x, y].concat()).map_err(|_| flaw)?;
        Ok(Verifier { algorithm: Algorithm::ES256, key: Parsed::Public(key) })
    }

    /// A public key of Ed25519: 32 bytes (RFC 8037, section 2).
    pub(super) fn ed25519(x: &[u8]) -> Result<Verifier, KeyFlaw> {
        let flaw = KeyFlaw::Public(Algorithm::EdDSA);
        if x.len() != 32 {
            return Err(flaw);
        }
        let key = ParsedPublicKey::new(&ED25519, x).map_err(|_| flaw)?;
        Ok(Verifier { algorithm: Algorithm::EdDSA, key: Parsed::Public(key) })
    }

    /// Whether both are one public key with one algorithm. Secrets are not compared.
    pub(super) fn is(&self, other: &Verifier) -> bool {
        match (&self.key, &other.key) {
            (Parsed::Public(own), Parsed::Public(other_key)) => {
                self.algorithm == other.algorithm && own.as_ref() == other_key.as_ref()
            }
            (Parsed::Hmac(_), _) | (_, Parsed::Hmac(_)) => false,
        }
    }

    /// The only algorithm that a token's header may name.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's for `message`. In constant time for HS256.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Parsed::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Parsed::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.algorithm)
    }
}

fn rsa_parameters(algorithm: Algorithm) -> &'static RsaParameters {
    if algorithm == Algorithm::PS256 { &RSA_PSS_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA256 }
}

fn public_key(algorithm: Algorithm, pem: &Secret) -> Result<ParsedPublicKey, KeyFlaw> {
    let flaw = KeyFlaw::Public(algorithm);
    let read = match algorithm {
        Algorithm::ES256 => DecodingKey::from_ec_pem(pem.expose()),
        Algorithm::RS256 | Algorithm::PS256 => DecodingKey::from_rsa_pem(pem.expose()),
        Algorithm::EdDSA => DecodingKey::from_ed_pem(pem.expose()),
        Algorithm::HS256 => return Err(flaw),
    };
    let read = read.map_err(|_| flaw.clone())?;
    let der = read.try_get_as_bytes().map_err(|_| flaw.clone())?;
    let parsed = match algorithm {
        Algorithm::ES256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der),
        Algorithm::EdDSA => ParsedPublicKey::new(&ED25519, der),
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::HS256 => {
            long_enough(der, algorithm)?;
            ParsedPublicKey::new(rsa_parameters(algorithm), der)
        }
    };
    parsed.map_err(|_| flaw)
}

/// aws-lc would find a short modulus only at the first signature.
fn long_enough(rsa_der: &[u8], algorithm: Algorithm) -> Result<(), KeyFlaw> {
    let key = RsaPublicKey::from_der(rsa_der).map_err(|_| KeyFlaw::Public(algorithm))?;
    let bits = key.modulus_len() * 8;
    if bits < MIN_RSA_BITS { Err(KeyFlaw::ShortRsa(bits)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
        }
        for name in ["", "none", "hs256", "HS512", "ES384", "PS512"] {
            assert_eq!(name.parse::<Algorithm>(), Err(KeyFlaw::UnknownAlgorithm), "{name}");
        }
    }

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::new([7; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let verifier = Verifier::new(Algorithm::HS256, &secret).unwrap();
        assert_eq!(format!("{verifier:?}"), "Verifier(HS256)");
    }

    #[test]
    fn weak_and_mistaken_secrets_are_refused() {
        assert_eq!(Verifier::new(Algorithm::HS256, &Secret::new([7; 31])).unwrap_err(), KeyFlaw::ShortSecret(31));
        assert!(Verifier::new(Algorithm::HS256, &Secret::new([7; 32])).is_ok());
        let pem = Secret::new("\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n");
        assert_eq!(Verifier::new(Algorithm::HS256, &pem).unwrap_err(), KeyFlaw::PemAsSecret);
    }
}
