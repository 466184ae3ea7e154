//! Where records are kept. An address may hold a password: it is never told.

use super::setting::{Setting, text};
use std::fmt;
use toml::de::DeValue;

/// Where records are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Database {
    /// SQLite, in the data folder.
    Sqlite,
    /// PostgreSQL at this address.
    Postgres(DatabaseUrl),
}

/// `postgres://user@host:port/name`.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The whole of it, with its password.
    pub fn with_password(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl Setting for Database {
    const EXPECTED: &'static str = "\"sqlite\" or \"postgres://user@host:port/name\"";
    fn scalar(value: &DeValue<'_>) -> Result<Database, &'static str> {
        text(value, Self::EXPECTED, |given| match given {
            "sqlite" => Some(Database::Sqlite),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Some(Database::Postgres(DatabaseUrl(url.to_owned())))
            }
            _ => None,
        })
    }
}

/// Who brings the tables of a PostgreSQL database up to date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Migrate {
    /// Every start.
    Auto,
    /// `homeroom migrate --apply`, and a start only where there are no tables at all.
    Manual,
}

impl Setting for Migrate {
    const EXPECTED: &'static str = "\"auto\" or \"manual\"";
    fn scalar(value: &DeValue<'_>) -> Result<Migrate, &'static str> {
        text(value, Self::EXPECTED, |given| match given {
            "auto" => Some(Migrate::Auto),
            "manual" => Some(Migrate::Manual),
            _ => None,
        })
    }
}
