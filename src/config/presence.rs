//! Issuers and permissions: tables whose names are free.

use super::{
    Source,
    fault::Fault,
    setting::{Fields, Place, Setting},
};
use std::{path::PathBuf, time::Duration};
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

/// What the accounts of an audience may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Permission {
    /// Everything: nobody is asked.
    None,
    /// Everything, for these accounts (`sub`) alone.
    List {
        /// The accounts.
        accounts: Vec<String>,
    },
    /// What a service says, asked by POST.
    Http {
        /// Its address.
        url: String,
        /// How long it may take; then the answer is no.
        timeout: Duration,
    },
}

/// An HTTP address. It may hold a password, so a fault never shows it.
struct Url(String);

impl Setting for Url {
    const EXPECTED: &'static str = "an address such as \"http://127.0.0.1:8070/permissions\"";
    fn scalar(value: &DeValue<'_>) -> Result<Url, &'static str> {
        let uri = value.as_str().and_then(|given| given.parse::<http::Uri>().ok()).ok_or(Self::EXPECTED)?;
        let right = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
        value.as_str().filter(|_| right).map(|given| Url(given.to_owned())).ok_or(Self::EXPECTED)
    }
}

/// The `type` of a permission.
enum Rule {
    None,
    List,
    Http,
}

impl Setting for Rule {
    const EXPECTED: &'static str = "\"none\", \"list\" or \"http\"";
    fn scalar(value: &DeValue<'_>) -> Result<Rule, &'static str> {
        match value.as_str() {
            Some("none") => Ok(Rule::None),
            Some("list") => Ok(Rule::List),
            Some("http") => Ok(Rule::Http),
            _ => Err(Self::EXPECTED),
        }
    }
}

impl Setting for Permission {
    const EXPECTED: &'static str = "a table with type and what that type needs";

    fn scalar(_: &DeValue<'_>) -> Result<Permission, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Permission> {
        let mut fields = Fields::of(value, place, faults);
        let rule = fields.required::<Rule>("type", faults)?;
        let permission = match rule {
            Rule::None => Some(Permission::None),
            Rule::List => fields.required("accounts", faults).map(|accounts| Permission::List { accounts }),
            Rule::Http => {
                let url = fields.required::<Url>("url", faults);
                let timeout = fields.optional("timeout", faults).unwrap_or(Duration::from_secs(2));
                url.map(|Url(url)| Permission::Http { url, timeout })
            }
        };
        fields.refuse_others(faults);
        permission
    }
}

/// Puts the embedded issuer and its permission in where no issuer is configured.
pub(super) fn embed(settings: &mut super::Settings) {
    if !settings.presence.issuers.is_empty() {
        return;
    }
    let key_file = settings.data_dir.join("keys").join("presence.hs256");
    let audiences = vec![EMBEDDED_AUDIENCE.to_owned()];
    let issuer = Issuer { audiences, algorithm: Algorithm::Hs256, key_file, makes_key: true };
    settings.presence.issuers.insert(EMBEDDED_ISSUER.to_owned(), issuer);
    settings.presence.permissions.entry(EMBEDDED_AUDIENCE.to_owned()).or_insert(Permission::None);
}

impl super::Loaded {
    /// The key files that cannot be read, of those that Homeroom does not make itself. Looks at the disk.
    pub fn unreadable_keys(&self) -> Vec<Fault> {
        let source = self.sources.get("presence.issuers").cloned().unwrap_or(Source::Default);
        let issuers = self.settings.presence.issuers.iter().filter(|(_, issuer)| !issuer.makes_key);
        let unreadable =
            issuers.filter_map(|(name, issuer)| std::fs::File::open(&issuer.key_file).err().map(|error| (name, issuer, error)));
        let fault = |(name, issuer, error): (&String, &Issuer, std::io::Error)| Fault {
            source: source.clone(),
            key: format!("presence.issuers.{name:?}.key_file"),
            message: format!("{} cannot be read: {error}", issuer.key_file.display()),
        };
        unreadable.map(fault).collect()
    }
}
