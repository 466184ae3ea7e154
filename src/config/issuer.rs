//! Issuers: those whose tokens are believed, a table whose names are free, for each API that takes tokens.

use super::{
    BackendSetting, Loaded, Permission, SecretSetting, SetPlace, Settings, Source,
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
    /// RSA PSS with SHA-256.
    Ps256,
    /// Ed25519.
    EdDsa,
}

impl Setting for Algorithm {
    const EXPECTED: &'static str = "\"HS256\", \"ES256\", \"RS256\", \"PS256\" or \"EdDSA\"";
    fn scalar(value: &DeValue<'_>) -> Result<Algorithm, &'static str> {
        match value.as_str() {
            Some("HS256") => Ok(Algorithm::Hs256),
            Some("ES256") => Ok(Algorithm::Es256),
            Some("RS256") => Ok(Algorithm::Rs256),
            Some("PS256") => Ok(Algorithm::Ps256),
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
    /// What its tokens are signed with.
    pub keys: IssuerKeys,
}

/// What an issuer signs with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IssuerKeys {
    /// One key.
    One(KeyFile),
    /// A set of public keys that it publishes.
    Set {
        /// Where.
        place: SetPlace,
        /// The one algorithm that its tokens may use; without one each key's kind says.
        algorithm: Option<Algorithm>,
    },
}

/// The one key of an issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFile {
    /// The one algorithm that its tokens may use.
    pub algorithm: Algorithm,
    /// PEM of the public key, or the secret for HS256.
    pub path: PathBuf,
    /// Whether the key file is ours to make when it is missing: only for the embedded default.
    pub is_ours: bool,
}

impl Issuer {
    /// Its key, where it has one.
    pub fn key_file(&self) -> Option<&KeyFile> {
        match &self.keys {
            IssuerKeys::One(file) => Some(file),
            IssuerKeys::Set { .. } => None,
        }
    }

    /// The file of its key or keys, if one is named that Homeroom does not make itself, and the field that names it.
    fn named_file(&self) -> Option<(&'static str, &Path)> {
        match &self.keys {
            IssuerKeys::One(file) => (!file.is_ours).then_some(("key_file", &file.path)),
            IssuerKeys::Set { place: SetPlace::File(file), .. } => Some(("jwks", file)),
            IssuerKeys::Set { place: SetPlace::Url(_), .. } => None,
        }
    }
}

impl Setting for Issuer {
    const EXPECTED: &'static str = "a table with audiences, and algorithm and key_file or jwks";

    fn scalar(_: &DeValue<'_>) -> Result<Issuer, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Issuer> {
        let mut fields = Fields::of(value, place, faults);
        let audiences = fields.required::<Vec<String>>("audiences", faults);
        let set = fields.optional::<SetPlace>("jwks", faults);
        let keys = if fields.has("jwks") {
            let algorithm = fields.optional("algorithm", faults);
            if algorithm == Some(Algorithm::Hs256) {
                faults.push(place.inside("algorithm").fault(value, "expected one with public keys: jwks holds no secrets"));
            }
            if fields.has("key_file") {
                faults.push(place.inside("key_file").fault(value, "expected either key_file or jwks"));
            }
            fields.optional::<PathBuf>("key_file", faults);
            set.map(|place| IssuerKeys::Set { place, algorithm })
        } else {
            let (algorithm, path) = (fields.required("algorithm", faults), fields.required("key_file", faults));
            algorithm.zip(path).map(|(algorithm, path)| IssuerKeys::One(KeyFile { algorithm, path, is_ours: false }))
        };
        fields.refuse_others(faults);
        if audiences.as_ref().is_some_and(Vec::is_empty) {
            faults.push(place.inside("audiences").fault(value, "expected at least one audience"));
        }
        Some(Issuer { audiences: audiences?, keys: keys? })
    }
}

/// Homeroom as its own issuer.
fn embedded(path: PathBuf) -> BTreeMap<String, Issuer> {
    let audiences = vec![EMBEDDED_AUDIENCE.to_owned()];
    let keys = IssuerKeys::One(KeyFile { algorithm: Algorithm::Hs256, path, is_ours: true });
    BTreeMap::from([(EMBEDDED_ISSUER.to_owned(), Issuer { audiences, keys })])
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
    /// Who has said what a key is.
    pub fn source_of(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

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
        let source = self.source_of(key);
        Some(Fault { source, key: key.to_owned(), message })
    }

    fn unreadable(&self, key: &'static str, issuers: &BTreeMap<String, Issuer>) -> Vec<Fault> {
        let source = self.source_of(key);
        let files = issuers.iter().filter_map(|(name, issuer)| Some((name, issuer.named_file()?)));
        let unreadable = files.filter_map(|(name, file)| File::open(file.1).err().map(|error| (name, file, error)));
        let fault = |(name, (field, file), error): (&String, (&str, &Path), io::Error)| Fault {
            source: source.clone(),
            key: format!("{key}.{name:?}.{field}"),
            message: format!("{} cannot be read: {error}", file.display()),
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
