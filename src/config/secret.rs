//! Secrets of models and tools: the settings tell only where they are.

use super::{
    Source,
    fault::Fault,
    setting::{Fields, Place, Setting},
};
use std::{env, fs::File, path::PathBuf};
use toml::{Spanned, de::DeValue};

/// Where a secret is: never in the settings themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretPlace {
    /// The text of this file, without the white space at its end.
    File(PathBuf),
    /// The value of this environment variable.
    Variable(String),
}

impl SecretPlace {
    /// Why nothing is to be had there. Looks at the disk and the environment.
    pub(super) fn missing(&self) -> Option<String> {
        match self {
            SecretPlace::File(file) => Some(format!("{} cannot be read: {}", file.display(), File::open(file).err()?)),
            SecretPlace::Variable(name) => {
                let is_missing = env::var_os(name).is_none_or(|value| value.is_empty());
                is_missing.then(|| format!("the environment variable {name} is not set"))
            }
        }
    }
}

/// A secret, as it is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecretSetting {
    /// Where it is.
    pub place: SecretPlace,
    /// Where that was said.
    source: Source,
    /// By which key.
    key: String,
}

/// A value, and where it was said.
struct Said<T>(T, Source);

impl<T: Setting> Setting for Said<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn scalar(_: &DeValue<'_>) -> Result<Said<T>, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Said<T>> {
        T::read(value, place, faults).map(|read| Said(read, place.origin.at(value.span())))
    }
}

impl SecretSetting {
    /// The one of a table: `key_file` or `key_variable`, not both.
    pub(super) fn read(
        fields: &mut Fields<'_, '_>,
        value: &Spanned<DeValue<'_>>,
        place: &Place,
        faults: &mut Vec<Fault>,
    ) -> Option<SecretSetting> {
        let secret = |name, said, source| SecretSetting { place: said, source, key: place.inside(name).key };
        let file = fields.optional("key_file", faults);
        let file = file.map(|Said(path, source)| secret("key_file", SecretPlace::File(path), source));
        let variable = fields.optional("key_variable", faults);
        let variable = variable.map(|Said(name, source)| secret("key_variable", SecretPlace::Variable(name), source));
        if file.is_some() && variable.is_some() {
            faults.push(place.inside("key_variable").fault(value, "expected either key_file or key_variable"));
        }
        file.or(variable)
    }

    /// Why it cannot be had. Looks at the disk and the environment.
    pub(super) fn unreadable(&self) -> Option<Fault> {
        let message = self.place.missing()?;
        Some(Fault { source: self.source.clone(), key: self.key.clone(), message })
    }
}
