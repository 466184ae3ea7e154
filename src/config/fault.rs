//! What is wrong with a setting, and where it was said.

use std::{fmt, ops::Range, sync::Arc};

/// Where a value was given: the place to go and mend it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// A line of the file, counted from 1.
    File(Arc<str>, usize),
    /// An environment variable.
    Environment(String),
    /// A flag, with its dashes.
    Flag(String),
    /// Nobody gave it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(name, line) => write!(f, "{name}:{line}"),
            Source::Environment(name) => write!(f, "${name}"),
            Source::Flag(name) => f.write_str(name),
            Source::Default => f.write_str("default"),
        }
    }
}

/// Where a text came from, before it is known which part of it matters.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    File { name: Arc<str>, text: Arc<str> },
    Environment(String),
    Flag(String),
    Default,
}

impl Origin {
    /// The source of the bytes `span` of the text.
    pub(super) fn at(&self, span: Range<usize>) -> Source {
        match self {
            Origin::File { name, text } => {
                let before = &text.as_bytes()[..span.start.min(text.len())];
                Source::File(name.clone(), 1 + before.iter().filter(|byte| **byte == b'\n').count())
            }
            Origin::Environment(name) => Source::Environment(name.clone()),
            Origin::Flag(name) => Source::Flag(name.clone()),
            Origin::Default => Source::Default,
        }
    }
}

/// One thing that is wrong. It never holds the value that was given.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fault {
    /// Where it was said.
    pub source: Source,
    /// The key as in the file, with its tables: `presence.auth_timeout`. Empty where no key can be named.
    pub key: String,
    /// What is expected instead.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return write!(f, "{}: {}", self.source, self.message);
        }
        write!(f, "{}: {}: {}", self.source, self.key, self.message)
    }
}

/// Everything that is wrong, ordered by source: a line each when shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| writeln!(f, "{fault}"))
    }
}

impl std::error::Error for Faults {}
