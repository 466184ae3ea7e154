//! The check of a token: whose it is, if it is good. Contract: the presence page, "Token"; RFC 7515, 7519 and the advice of RFC 8725.
//!
//! The payload is read before the signature is checked, because `iss` chooses the key; but nothing of it leaves this file before
//! the signature holds. Cheap checks come first, so that a storm of expired tokens costs no elliptic curves.

use super::key::{Algorithm, KeyFault, KeyFlaw, Secret, Verifier};
use crate::realtime::UnixMicros;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hashbrown::{HashMap, HashSet, hash_map::Entry};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use std::{borrow::Cow, iter, sync::Arc};

/// A longer token is refused unread. Ours have about 250 bytes; with an RSA-4096 signature and generous claims, under 2,000.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// One issuer of tokens, as configured. `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issuer {
    /// What `iss` must be, byte for byte.
    pub name: String,
    /// The audiences that this issuer may speak for. `a` allows `aud` to be `a`, and `a:` with anything after it.
    pub audiences: Vec<String>,
    /// The one algorithm that its tokens may be signed with.
    pub algorithm: Algorithm,
    /// HS256: the secret's bytes. ES256, RS256, EdDSA: the text of a PEM file with the public key.
    pub key: Secret,
}

/// Whom a good token belongs to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Account {
    /// `sub`: never empty.
    pub subject: String,
    /// `aud`, whole: with what stands after a colon, since that part tells accounts apart too.
    pub audience: String,
}

impl Account {
    /// The account id, `sub.aud`.
    pub fn id(&self) -> String {
        [&self.subject, ".", &self.audience].concat()
    }

    /// The agent id, `label.sub.aud`.
    pub fn agent_id(&self, label: &str) -> String {
        [label, ".", &self.subject, ".", &self.audience].concat()
    }

    /// What stands before the first colon of the audience: the part that an issuer is configured with.
    pub fn first_audience(&self) -> &str {
        first_part(&self.audience)
    }
}

pub(super) fn first_part(audience: &str) -> &str {
    audience.split_once(':').map_or(audience, |(first, _)| first)
}

/// What the peer may know of a token that was not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// `unauthenticated`, whatever was wrong.
    Unauthenticated,
}

/// What was wrong with a token: for counters and tests. The peer hears [`Refusal`] only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Flaw {
    /// Over [`MAX_TOKEN_BYTES`].
    TooLong,
    /// Not three parts.
    Parts,
    /// The header is not unpadded base64url of a JSON object with one `alg`.
    Header,
    /// The payload is not unpadded base64url of a JSON object with `iss`, `aud` and `sub`, once each and of the right type.
    Claims,
    /// No such issuer is configured.
    Issuer,
    /// The header's `alg` is not the issuer's, or the header has `crit`: extensions that must be understood, and none are.
    Algorithm,
    /// The audience's first part is not listed for the issuer.
    Audience,
    /// `sub` is empty.
    Subject,
    /// `exp` is now or past.
    Expired,
    /// `nbf` is to come.
    TooEarly,
    /// The signature is not unpadded base64url, or not that key's for these bytes.
    Signature,
}

impl From<Flaw> for Refusal {
    fn from(_: Flaw) -> Refusal {
        Refusal::Unauthenticated
    }
}

/// All configured issuers with their keys parsed: built once, shared by every shard.
#[derive(Debug)]
pub struct Authority {
    issuers: HashMap<String, Trusted>,
}

#[derive(Debug)]
struct Trusted {
    audiences: HashSet<String>,
    algorithm: Algorithm,
    key: Secret,
    verifier: Arc<Verifier>,
    /// The keys that it had before, and until when tokens of each are good; the newest first.
    former: Vec<(Arc<Verifier>, UnixMicros)>,
}

impl Trusted {
    /// The keys whose tokens are good, the one that it has now first.
    fn keys(&self, now: UnixMicros) -> impl Iterator<Item = &Verifier> {
        let former = self.former.iter().filter(move |(_, until)| *until > now).map(|(key, _)| &**key);
        iter::once(&*self.verifier).chain(former)
    }
}

/// More former keys of an issuer are not remembered: whoever changes keys so often has other worries.
const MOST_FORMER: usize = 4;

impl Authority {
    /// Parses every key. On any fault returns all of them, in the order of the issuers.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>) -> Result<Authority, Vec<KeyFault>> {
        let mut known: HashMap<String, Trusted> = HashMap::new();
        let mut names = HashSet::new();
        let mut faults = Vec::new();
        for issuer in issuers {
            let mut flaws = issuer_flaws(&issuer);
            if !names.insert(issuer.name.clone()) {
                flaws.push(KeyFlaw::Duplicate);
            }
            match Verifier::new(issuer.algorithm, &issuer.key) {
                Err(flaw) => flaws.push(flaw),
                Ok(verifier) => {
                    if let Entry::Vacant(place) = known.entry(issuer.name.clone()) {
                        place.insert(Trusted {
                            audiences: issuer.audiences.into_iter().collect(),
                            algorithm: issuer.algorithm,
                            key: issuer.key,
                            verifier: Arc::new(verifier),
                            former: Vec::new(),
                        });
                    }
                }
            }
            faults.extend(flaws.into_iter().map(|flaw| KeyFault { issuer: issuer.name.clone(), flaw }));
        }
        if faults.is_empty() { Ok(Authority { issuers: known }) } else { Err(faults) }
    }

    /// Takes the place of `earlier`: tokens of the keys that issuers had there are good until then, those of still earlier keys as long as
    /// they were to be. Returns whose key has changed, in the order of their names.
    pub fn succeed(&mut self, earlier: &Authority, now: UnixMicros, until: UnixMicros) -> Vec<String> {
        let mut changed = Vec::new();
        for (name, trusted) in &mut self.issuers {
            let Some(before) = earlier.issuers.get(name) else { continue };
            let is_changed = (before.algorithm, &before.key) != (trusted.algorithm, &trusted.key);
            if is_changed {
                changed.push(name.clone());
            }
            let last = is_changed.then(|| (before.verifier.clone(), until));
            let still = last.into_iter().chain(before.former.iter().cloned()).filter(|(_, until)| *until > now);
            trusted.former = still.take(MOST_FORMER).collect();
        }
        changed.sort_unstable();
        changed
    }

    /// Whose token this is, if it is good at `now`. No leeway: `exp` is the first second at which it no longer is.
    pub fn verify(&self, token: &str, now: UnixMicros) -> Result<Account, Refusal> {
        Ok(self.examine(token, now)?)
    }

    /// As [`Authority::verify`], with the time at which the password was set that was signed in with, if the token is of such a sign-in.
    /// Whether that is the password still is for the caller to see.
    pub fn verify_with_password(&self, token: &str, now: UnixMicros) -> Result<(Account, Option<UnixMicros>), Refusal> {
        Ok(self.examine_whole(token, now)?)
    }

    /// As [`Authority::verify`], telling what was wrong.
    pub fn examine(&self, token: &str, now: UnixMicros) -> Result<Account, Flaw> {
        self.examine_whole(token, now).map(|(account, _)| account)
    }

    fn examine_whole(&self, token: &str, now: UnixMicros) -> Result<(Account, Option<UnixMicros>), Flaw> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Flaw::TooLong);
        }
        let parts = Parts::of(token).ok_or(Flaw::Parts)?;
        let payload = URL_SAFE_NO_PAD.decode(parts.payload).map_err(|_| Flaw::Claims)?;
        let claims: Payload<'_> = object(&payload).ok_or(Flaw::Claims)?;
        let trusted = self.issuers.get(&*claims.iss).ok_or(Flaw::Issuer)?;
        let algorithm = check_header(parts.header, trusted.keys(now).map(|key| key.algorithm()))?;
        check_claims(&claims, trusted, now)?;
        check_signature(&parts, trusted.keys(now).filter(|key| key.algorithm() == algorithm))?;
        let account = Account { subject: claims.sub.into_owned(), audience: claims.aud.into_owned() };
        Ok((account, claims.homeroom_password.map(UnixMicros)))
    }
}

fn issuer_flaws(issuer: &Issuer) -> Vec<KeyFlaw> {
    let mut flaws = Vec::new();
    if issuer.name.is_empty() {
        flaws.push(KeyFlaw::NoName);
    }
    if issuer.audiences.is_empty() {
        flaws.push(KeyFlaw::NoAudience);
    }
    let unusable = |audience: &&String| audience.is_empty() || audience.contains(':');
    flaws.extend(issuer.audiences.iter().filter(unusable).map(|audience| KeyFlaw::Audience(audience.clone())));
    flaws
}

/// The three parts of a compact JWS, and the first two as they were signed.
pub(super) struct Parts<'a> {
    pub(super) header: &'a str,
    pub(super) payload: &'a str,
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn of(token: &'a str) -> Option<Parts<'a>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some(Parts { header, payload, signed, signature })
    }
}

/// What is read of the header. `jwk`, `jku`, `x5c`, `kid` and the rest are passed over: they could only name a key that we did not choose.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(default)]
    crit: Presence,
}

/// Whether a member is there at all, be it null.
#[derive(Default)]
struct Presence(bool);

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Presence, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Presence(true))
    }
}

/// What is read of the payload. A second `iss`, `aud` or any other of these is refused by serde.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(default, deserialize_with = "numeric_date")]
    exp: Option<f64>,
    #[serde(default, deserialize_with = "numeric_date")]
    nbf: Option<f64>,
    #[serde(default)]
    homeroom_password: Option<i64>,
}

/// Seconds since 1970, perhaps with a fraction (RFC 7519, section 2). An `f64` keeps whole microseconds until the year 2255. Null
/// is not a date.
pub(super) fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    f64::deserialize(deserializer).map(Some)
}

/// JSON that is an object: serde would fill a struct from an array as well.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    if !json.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// Which of these algorithms a header names, if it names nothing that must be understood.
pub(super) fn check_header(encoded: &str, mut known: impl Iterator<Item = Algorithm>) -> Result<Algorithm, Flaw> {
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Flaw::Header)?;
    let header: Header<'_> = object(&json).ok_or(Flaw::Header)?;
    let named = known.find(|known| known.name() == header.alg);
    named.filter(|_| !header.crit.0).ok_or(Flaw::Algorithm)
}

fn check_claims(claims: &Payload<'_>, trusted: &Trusted, now: UnixMicros) -> Result<(), Flaw> {
    if !trusted.audiences.contains(first_part(&claims.aud)) {
        return Err(Flaw::Audience);
    }
    if claims.sub.is_empty() {
        return Err(Flaw::Subject);
    }
    let reached = |seconds: f64| seconds * 1e6 <= now.0 as f64;
    if claims.exp.is_some_and(reached) {
        return Err(Flaw::Expired);
    }
    if claims.nbf.is_some_and(|seconds| !reached(seconds)) {
        return Err(Flaw::TooEarly);
    }
    Ok(())
}

fn check_signature<'a>(parts: &Parts<'_>, mut keys: impl Iterator<Item = &'a Verifier>) -> Result<(), Flaw> {
    let signature = URL_SAFE_NO_PAD.decode(parts.signature).map_err(|_| Flaw::Signature)?;
    if keys.any(|key| key.verify(parts.signed.as_bytes(), &signature)) { Ok(()) } else { Err(Flaw::Signature) }
}
