//! What is known of a key, and the one macro that makes it known.

use super::{layers::Reading, reload::Changes};

/// The paths of keys that have a shorthand, and that.
const SHORTHANDS: [(&str, &str); 1] = [("cluster.servers", "cluster")];

fn environment(path: &str) -> String {
    format!("HOMEROOM_{}", path.replace('.', "_").to_ascii_uppercase())
}

/// A key of the settings, by all its names.
#[derive(Debug)]
pub struct Key {
    /// Its table with a dot at the end, or nothing at the top.
    pub prefix: &'static str,
    /// Its name in that table.
    pub name: &'static str,
    /// Its doc comment.
    pub about: &'static str,
    /// Its default as TOML.
    pub default: &'static str,
    /// What is right, as the end of "expected …".
    pub expected: &'static str,
    /// Whether a variable's or a flag's text is the value as it stands; otherwise it is TOML.
    pub plain: bool,
}

impl Key {
    /// The key as in the file: `presence.auth_timeout`.
    pub fn path(&self) -> String {
        format!("{}{}", self.prefix, self.name)
    }

    /// The flag without its two dashes: `presence.auth-timeout`.
    pub fn flag(&self) -> String {
        self.path().replace('_', "-")
    }

    /// The environment variable: `HOMEROOM_PRESENCE_AUTH_TIMEOUT`.
    pub fn environment(&self) -> String {
        environment(&self.path())
    }

    /// What may be said instead of its path: the table's name, of the one key of a table that says most.
    pub fn shorthand(&self) -> Option<&'static str> {
        SHORTHANDS.iter().find(|(path, _)| *path == self.path()).map(|(_, shorthand)| *shorthand)
    }

    /// The environment variable of its shorthand.
    pub(super) fn short_environment(&self) -> Option<String> {
        self.shorthand().map(environment)
    }
}

/// A table of the settings.
#[derive(Debug)]
pub struct Section {
    /// Its name with a dot at the end, or nothing for the top.
    pub prefix: &'static str,
    /// Its doc comment.
    pub about: &'static str,
    /// Its keys, in the order of the file.
    pub keys: &'static [Key],
}

impl Section {
    /// The name as in the file: `listen.presence`.
    pub fn name(&self) -> &'static str {
        self.prefix.trim_end_matches('.')
    }
}

/// A struct of the settings, made by [`section!`].
pub(super) trait Sectioned: Sized {
    /// This table and those in it, in the order of the file.
    fn sections(into: &mut Vec<&'static Section>);
    /// Takes every key out of what was given. Where there is a fault the default stands in, and the fault is told to `reading`.
    fn read(reading: &mut Reading) -> Self;
    /// Takes over what of `new` a running server may, and notes every key in which the two differ.
    fn adopt(&mut self, new: &Self, changes: &mut Changes);
}

/// Declares a table of the settings: the struct, and each key with its type, default (as TOML) and doc comment; then the tables in it.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $name:ident at $prefix:literal {
            $($(#[doc = $doc:literal])* $key:ident: $type:ty = $default:tt;)*
        }
        $(with { $($(#[doc = $subdoc:literal])* $sub:ident: $subtype:ty;)* })?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, PartialEq, Debug)]
        pub struct $name {
            $($(#[doc = $doc])* pub $key: $type,)*
            $($($(#[doc = $subdoc])* pub $sub: $subtype,)*)?
        }

        impl $crate::config::key::Sectioned for $name {
            fn sections(into: &mut Vec<&'static $crate::config::Section>) {
                static SECTION: $crate::config::Section = $crate::config::Section {
                    prefix: $prefix,
                    about: concat!($($about, "\n",)*),
                    keys: &[$($crate::config::Key {
                        prefix: $prefix,
                        name: stringify!($key),
                        about: concat!($($doc, "\n",)*),
                        default: stringify!($default),
                        expected: <$type as $crate::config::setting::Setting>::EXPECTED,
                        plain: <$type as $crate::config::setting::Setting>::PLAIN,
                    },)*],
                };
                into.push(&SECTION);
                $($(<$subtype as $crate::config::key::Sectioned>::sections(into);)*)?
            }

            fn read(reading: &mut $crate::config::layers::Reading) -> Self {
                $name {
                    $($key: reading.take(concat!($prefix, stringify!($key)), stringify!($default)),)*
                    $($($sub: <$subtype as $crate::config::key::Sectioned>::read(reading),)*)?
                }
            }

            fn adopt(&mut self, new: &Self, changes: &mut $crate::config::reload::Changes) {
                let _ = (&new, &changes);
                $(if self.$key != new.$key && changes.note(concat!($prefix, stringify!($key))) {
                    self.$key = new.$key.clone();
                })*
                $($($crate::config::key::Sectioned::adopt(&mut self.$sub, &new.$sub, changes);)*)?
            }
        }
    };
}
pub(super) use section;
