//! Issuers: those whose tokens are believed, a table whose names are free, for each API that takes tokens.

use super::{
    BackendSetting, Loaded, Permission, SecretSetting, Settings, Source,
    fault::Fault,
    setting::{Fields, Place, Setting},
};
use crate::auth::key::MIN_SECRET_BYTES;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};
use toml::{Spanned, de::DeValue};

/// The issuer that Homeroom believes where none is configured: itself.
pub const EMBEDDED_ISSUER: &str = "homeroom.local";
/// The audience of [`EMBEDDED_ISSUER`].
pub const EMBEDDED_AUDIENCE: &str = "school.local";

/// How a token is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// HMAC with SHA-256: the key is a shared secret.
    Hs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA PKCS #1 v1.5 with SHA-256.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl Setting for Algorithm {
    const EXPECTED: &'static str = "\"HS256\", \"ES256\", \"RS256\" or \"EdDSA\"";
    fn scalar(value: &DeValue<'_>) -> Result<Algorithm, &'static str> {
        match value.as_str() {
            Some("HS256") => Ok(Algorithm::Hs256),
            Some("ES256") => Ok(Algorithm::Es256),
            Some("RS256") => Ok(Algorithm::Rs256),
            Some("EdDSA") => Ok(Algorithm::EdDsa),
            _ => Err(Self::EXPECTED),
        }
    }
}

/// Somebody whose tokens are believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issuer {
    /// The audiences (first part of `aud`) that it may speak for.
    pub audiences: Vec<String>,
    /// The one algorithm that its tokens may use.
    pub algorithm: Algorithm,
    /// PEM of the public key, or the secret for HS256.
    pub key_file: PathBuf,
    /// Whether the key file is ours to make when it is missing: only for the embedded default.
    pub makes_key: bool,
}

impl Setting for Issuer {
    const EXPECTED: &'static str = "a table with audiences, algorithm and key_file";

    fn scalar(_: &DeValue<'_>) -> Result<Issuer, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Issuer> {
        let mut fields = Fields::of(value, place, faults);
        let audiences = fields.required::<Vec<String>>("audiences", faults);
        let algorithm = fields.required("algorithm", faults);
        let key_file = fields.required("key_file", faults);
        fields.refuse_others(faults);
        if audiences.as_ref().is_some_and(Vec::is_empty) {
            faults.push(place.inside("audiences").fault(value, "expected at least one audience"));
        }
        Some(Issuer { audiences: audiences?, algorithm: algorithm?, key_file: key_file?, makes_key: false })
    }
}

/// Homeroom as its own issuer.
fn embedded(key_file: PathBuf) -> BTreeMap<String, Issuer> {
    let audiences = vec![EMBEDDED_AUDIENCE.to_owned()];
    BTreeMap::from([(EMBEDDED_ISSUER.to_owned(), Issuer { audiences, algorithm: Algorithm::Hs256, key_file, makes_key: true })])
}

/// Puts the embedded issuer, and its permission, in where an API has no issuer configured.
pub(super) fn embed(settings: &mut Settings) {
    let keys = settings.keys_dir();
    if settings.presence.issuers.is_empty() {
        settings.presence.issuers = embedded(keys.join("presence.hs256"));
        settings.presence.permissions.entry(EMBEDDED_AUDIENCE.to_owned()).or_insert(Permission::None);
    }
    if settings.quiz.issuers.is_empty() {
        settings.quiz.issuers = embedded(keys.join("quiz.hs256"));
    }
}

impl Loaded {
    /// The keys that cannot be read, of those that Homeroom does not make itself. Looks at the disk and the environment.
    pub fn unreadable_keys(&self) -> Vec<Fault> {
        let Settings { presence, quiz, labs, tasks, cluster, store, .. } = &self.settings;
        let sections = [("presence.issuers", &presence.issuers), ("quiz.issuers", &quiz.issuers)];
        let issuers = sections.into_iter().flat_map(|(key, issuers)| self.unreadable(key, issuers));
        let files = [
            ("labs.agent_key_file", &labs.agent_key_file, 1),
            ("tasks.secret_file", &tasks.secret_file, MIN_SECRET_BYTES),
            ("store.password_file", &store.password_file, 1),
        ];
        let files = files.into_iter().filter_map(|(key, file, least)| self.unreadable_file(key, file.as_deref()?, least));
        let secrets = self.secrets().filter_map(SecretSetting::unreadable);
        issuers.chain(files).chain(secrets).chain(cluster.unreadable(self)).collect()
    }

    /// Those of models and tools.
    fn secrets(&self) -> impl Iterator<Item = &SecretSetting> {
        let Settings { models, tools, .. } = &self.settings;
        let of_models = models.iter().filter_map(|model| match &model.backend {
            BackendSetting::Builtin { .. } => None,
            BackendSetting::Remote(remote) => remote.key.as_ref(),
        });
        of_models.chain(tools.iter().filter_map(|tool| tool.key.as_ref()))
    }

    fn unreadable_file(&self, key: &'static str, file: &Path, least: usize) -> Option<Fault> {
        let message = match text_bytes(file) {
            Err(error) => format!("{} cannot be read: {error}", file.display()),
            Ok(bytes) if bytes < least => format!("{} has {bytes} bytes: expected at least {least}", file.display()),
            Ok(_) => return None,
        };
        let source = self.sources.get(key).cloned().unwrap_or(Source::Default);
        Some(Fault { source, key: key.to_owned(), message })
    }

    fn unreadable(&self, key: &'static str, issuers: &BTreeMap<String, Issuer>) -> Vec<Fault> {
        let source = self.sources.get(key).cloned().unwrap_or(Source::Default);
        let others = issuers.iter().filter(|(_, issuer)| !issuer.makes_key);
        let unreadable =
            others.filter_map(|(name, issuer)| File::open(&issuer.key_file).err().map(|error| (name, issuer, error)));
        let fault = |(name, issuer, error): (&String, &Issuer, io::Error)| Fault {
            source: source.clone(),
            key: format!("{key}.{name:?}.key_file"),
            message: format!("{} cannot be read: {error}", issuer.key_file.display()),
        };
        unreadable.map(fault).collect()
    }
}

/// How many bytes a key file has, the white space at its end not counted, as far as that matters.
fn text_bytes(file: &Path) -> io::Result<usize> {
    let mut bytes = Vec::new();
    File::open(file)?.take(64 << 10).read_to_end(&mut bytes)?;
    Ok(bytes.trim_ascii_end().len())
}
