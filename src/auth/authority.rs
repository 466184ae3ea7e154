//! The check of a token: whose it is, if it is good. Contract: the presence page, "Token"; RFC 7515, 7519 and the advice of RFC 8725.
//!
//! The payload is read before the signature is checked, because `iss` chooses the key; but nothing of it leaves this file before
//! the signature holds. Cheap checks come first, so that a storm of expired tokens costs no elliptic curves.

use super::{
    key::{Algorithm, KeyFault, KeyFlaw, Secret, Verifier},
    key_set::SetKey,
    key_source::KeySource,
};
use crate::realtime::UnixMicros;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hashbrown::{HashMap, HashSet, hash_map::Entry};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::value::RawValue;
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
    /// HS256: the secret's bytes. ES256, RS256, PS256, EdDSA: the text of a PEM file with the public key.
    pub key: Secret,
}

/// One issuer that publishes its keys.
#[derive(Clone, Debug)]
pub struct SetIssuer {
    /// As [`Issuer::name`].
    pub name: String,
    /// As [`Issuer::audiences`].
    pub audiences: Vec<String>,
    /// Its keys as they are from time to time. Each has the algorithm of its kind.
    pub source: Arc<KeySource>,
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
    /// The issuer publishes its keys, and the one that the header names is not among them: they may be read again soon.
    UnknownKey,
    /// The header's `alg` is not the issuer's or its key's, or the header has `crit`: extensions that must be understood, and none are.
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
    keys: Keys,
    /// What it had before, by other settings or in the same file; the newest first.
    former: Vec<Former>,
}

#[derive(Debug)]
enum Keys {
    One { algorithm: Algorithm, key: Secret, verifier: Arc<Verifier> },
    Set(Arc<KeySource>),
}

/// A key that an issuer had before, and until when tokens of it are good.
#[derive(Clone, Debug)]
struct Former {
    /// In a set of which name, if it was in one.
    of_set: Option<SetKey>,
    verifier: Arc<Verifier>,
    until: UnixMicros,
}

impl Trusted {
    /// The keys that it had before by which a token may be signed that names this one.
    fn former(&self, kid: Option<&str>, now: UnixMicros) -> impl Iterator<Item = &Arc<Verifier>> {
        let may = move |former: &&Former| former.until > now && former.of_set.as_ref().is_none_or(|key| key.is_named(kid));
        self.former.iter().filter(may).map(|former| &former.verifier)
    }

    /// What is good until then once others take the place of these.
    fn until(&self, until: UnixMicros) -> Vec<Former> {
        match &self.keys {
            Keys::One { verifier, .. } => vec![Former { of_set: None, verifier: verifier.clone(), until }],
            Keys::Set(source) => {
                let former = |(key, until): (SetKey, _)| Former { verifier: key.verifier.clone(), of_set: Some(key), until };
                source.held().until(until).map(former).collect()
            }
        }
    }

    /// Takes the place of `before`. Says whether the keys are others.
    fn succeed(&mut self, before: &Trusted, now: UnixMicros, until: UnixMicros) -> bool {
        let (is_changed, last) = match (&self.keys, &before.keys) {
            (Keys::Set(own), Keys::Set(earlier)) if own.has_place_of(earlier) => (own.succeed(earlier, now, until), Vec::new()),
            (Keys::One { algorithm, key, .. }, Keys::One { algorithm: other, key: former, .. })
                if (algorithm, key) == (other, former) =>
            {
                (false, Vec::new())
            }
            (Keys::One { .. } | Keys::Set(_), Keys::One { .. } | Keys::Set(_)) => (true, before.until(until)),
        };
        let most = if last.len() > 1 { MOST_FORMER_OF_SETS } else { MOST_FORMER };
        let still = last.into_iter().chain(before.former.iter().cloned()).filter(|former| former.until > now);
        self.former = still.take(most.max(before.former.len())).collect();
        is_changed
    }
}

/// More former keys of an issuer with one key are not remembered: whoever changes keys so often has other worries.
const MOST_FORMER: usize = 4;
/// The same of one that has had a set.
const MOST_FORMER_OF_SETS: usize = 64;
/// A token is checked by so many keys at most: more have one name, or none, only where an issuer is at fault, and each costs time.
const MOST_TRIED: usize = 1 + MOST_FORMER;

impl Authority {
    /// Parses every key. On any fault returns all of them, in the order of the issuers.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>) -> Result<Authority, Vec<KeyFault>> {
        Authority::with_sets(issuers, [])
    }

    /// As [`Authority::new`], with issuers that publish their keys, whose faults come last.
    pub fn with_sets(
        issuers: impl IntoIterator<Item = Issuer>,
        sets: impl IntoIterator<Item = SetIssuer>,
    ) -> Result<Authority, Vec<KeyFault>> {
        let mut known: HashMap<String, Trusted> = HashMap::new();
        let mut names = HashSet::new();
        let mut faults = Vec::new();
        for issuer in issuers {
            let mut flaws = issuer_flaws(&issuer.name, &issuer.audiences);
            if !names.insert(issuer.name.clone()) {
                flaws.push(KeyFlaw::Duplicate);
            }
            match Verifier::new(issuer.algorithm, &issuer.key) {
                Err(flaw) => flaws.push(flaw),
                Ok(verifier) => {
                    if let Entry::Vacant(place) = known.entry(issuer.name.clone()) {
                        place.insert(Trusted {
                            audiences: issuer.audiences.into_iter().collect(),
                            keys: Keys::One { algorithm: issuer.algorithm, key: issuer.key, verifier: Arc::new(verifier) },
                            former: Vec::new(),
                        });
                    }
                }
            }
            faults.extend(flaws.into_iter().map(|flaw| KeyFault { issuer: issuer.name.clone(), flaw }));
        }
        for SetIssuer { name, audiences, source } in sets {
            let mut flaws = issuer_flaws(&name, &audiences);
            if !names.insert(name.clone()) {
                flaws.push(KeyFlaw::Duplicate);
            }
            faults.extend(flaws.into_iter().map(|flaw| KeyFault { issuer: name.clone(), flaw }));
            known.insert(
                name,
                Trusted { audiences: audiences.into_iter().collect(), keys: Keys::Set(source), former: Vec::new() },
            );
        }
        if faults.is_empty() { Ok(Authority { issuers: known }) } else { Err(faults) }
    }

    /// Takes the place of `earlier`: tokens of the keys that issuers had there are good until then, those of still earlier keys as long as
    /// they were to be; sets that are published at the same place are those that were read there. Returns whose key has changed, in the
    /// order of their names.
    pub fn succeed(&mut self, earlier: &Authority, now: UnixMicros, until: UnixMicros) -> Vec<String> {
        let mut changed = Vec::new();
        for (name, trusted) in &mut self.issuers {
            let Some(before) = earlier.issuers.get(name) else { continue };
            if trusted.succeed(before, now, until) {
                changed.push(name.clone());
            }
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
        let json = URL_SAFE_NO_PAD.decode(parts.header).map_err(|_| Flaw::Header)?;
        let header: Header<'_> = object(&json).ok_or(Flaw::Header)?;
        match &trusted.keys {
            Keys::One { verifier, .. } => {
                let keys = || iter::once(verifier).chain(trusted.former(None, now));
                let algorithm = header.one_of(keys().map(|key| key.algorithm()))?;
                check_claims(&claims, trusted, now)?;
                check_signature(&parts, keys().filter(|key| key.algorithm() == algorithm))?;
            }
            Keys::Set(source) => {
                let (held, kid) = (source.held(), header.kid()?);
                let kid = kid.as_deref();
                let is_known = held.named(kid, now).next().is_some();
                check_claims(&claims, trusted, now)?;
                let keys = || held.named(kid, now).chain(trusted.former(kid, now));
                let algorithm = header.one_of(keys().map(|key| key.algorithm()));
                let checked = algorithm.and_then(|known| check_signature(&parts, keys().filter(|key| key.algorithm() == known)));
                // Only a token that could be good has the keys read again.
                if let (Err(_), false) = (checked, is_known) {
                    source.want();
                    return Err(Flaw::UnknownKey);
                }
                checked?;
            }
        }
        let account = Account { subject: claims.sub.into_owned(), audience: claims.aud.into_owned() };
        Ok((account, claims.homeroom_password.map(UnixMicros)))
    }
}

fn issuer_flaws(name: &str, audiences: &[String]) -> Vec<KeyFlaw> {
    let mut flaws = Vec::new();
    if name.is_empty() {
        flaws.push(KeyFlaw::NoName);
    }
    if audiences.is_empty() {
        flaws.push(KeyFlaw::NoAudience);
    }
    let unusable = |audience: &&String| audience.is_empty() || audience.contains(':');
    flaws.extend(audiences.iter().filter(unusable).map(|audience| KeyFlaw::Audience(audience.clone())));
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

/// What is read of the header. `jwk`, `jku`, `x5c` and the rest are passed over: they could only name a key that we did not choose. `kid`
/// is a name among the keys that an issuer publishes, compared and never looked up anywhere else; where an issuer has one key it says
/// nothing.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(default)]
    crit: Presence,
    #[serde(borrow, default)]
    kid: Option<&'a RawValue>,
}

impl Header<'_> {
    /// Which of these algorithms it names, if it names nothing that must be understood.
    fn one_of(&self, mut known: impl Iterator<Item = Algorithm>) -> Result<Algorithm, Flaw> {
        let named = known.find(|known| known.name() == self.alg);
        named.filter(|_| !self.crit.0).ok_or(Flaw::Algorithm)
    }

    /// The key that it names; a name that is no text is a fault (RFC 7515, section 4.1.4).
    fn kid(&self) -> Result<Option<Cow<'_, str>>, Flaw> {
        let Some(kid) = self.kid else { return Ok(None) };
        serde_json::from_str::<Text<'_>>(kid.get()).map(|text| Some(text.0)).map_err(|_| Flaw::Header)
    }
}

/// A text, borrowed where it can be.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

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
pub(super) fn check_header(encoded: &str, known: impl Iterator<Item = Algorithm>) -> Result<Algorithm, Flaw> {
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Flaw::Header)?;
    let header: Header<'_> = object(&json).ok_or(Flaw::Header)?;
    header.one_of(known)
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

fn check_signature<'a>(parts: &Parts<'_>, keys: impl Iterator<Item = &'a Arc<Verifier>>) -> Result<(), Flaw> {
    let signature = URL_SAFE_NO_PAD.decode(parts.signature).map_err(|_| Flaw::Signature)?;
    if keys.take(MOST_TRIED).any(|key| key.verify(parts.signed.as_bytes(), &signature)) { Ok(()) } else { Err(Flaw::Signature) }
}
