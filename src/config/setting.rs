//! The kinds of values: what is expected, and how it is read. A reading error is a fixed text, so that it cannot repeat a secret.

use super::fault::{Fault, Origin};
use std::{collections::BTreeMap, fmt, ops::Deref, path::PathBuf, time::Duration};
use toml::{Spanned, de::DeValue};

/// Where a value stands: its key and the text it is part of.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) key: String,
    pub(super) origin: Origin,
}

impl Place {
    pub(super) fn fault(&self, at: &Spanned<DeValue<'_>>, message: impl Into<String>) -> Fault {
        Fault { source: self.origin.at(at.span()), key: self.key.clone(), message: message.into() }
    }

    /// The place of `name` inside the table that stands here.
    pub(super) fn inside(&self, name: &str) -> Place {
        Place { key: format!("{}.{}", self.key, quoted(name)), origin: self.origin.clone() }
    }
}

/// A name as a TOML key: in quotes when it has to be.
fn quoted(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_owned() } else { format!("{name:?}") }
}

/// A kind of value that a key may have.
pub(super) trait Setting: Sized {
    /// What is right, as the end of "expected …".
    const EXPECTED: &'static str;
    /// Whether the text of a variable or a flag is the value as it stands. Otherwise it is read as TOML.
    const PLAIN: bool = true;

    /// Reads a value that is no table; the error says what is expected.
    fn scalar(value: &DeValue<'_>) -> Result<Self, &'static str>;

    /// Reads the value at `place`; every fault is told, and `None` means that there was one.
    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Self> {
        Self::scalar(value.get_ref())
            .map_err(|expected| faults.push(place.fault(value, format!("expected {expected}, found {}", kind(value.get_ref())))))
            .ok()
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "another text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Reads a text through `parse`.
pub(super) fn text<T>(
    value: &DeValue<'_>,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, &'static str> {
    value.as_str().and_then(parse).ok_or(expected)
}

fn whole<T: TryFrom<i64>>(value: &DeValue<'_>, expected: &'static str) -> Result<T, &'static str> {
    let number = value.as_integer().and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok());
    number.and_then(|n| T::try_from(n).ok()).ok_or(expected)
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";
    const PLAIN: bool = false;
    fn scalar(value: &DeValue<'_>) -> Result<bool, &'static str> {
        value.as_bool().ok_or(Self::EXPECTED)
    }
}

impl Setting for u16 {
    const EXPECTED: &'static str = "a whole number from 0 to 65535";
    const PLAIN: bool = false;
    fn scalar(value: &DeValue<'_>) -> Result<u16, &'static str> {
        whole(value, Self::EXPECTED)
    }
}

impl Setting for u32 {
    const EXPECTED: &'static str = "a whole number from 0 to 4294967295";
    const PLAIN: bool = false;
    fn scalar(value: &DeValue<'_>) -> Result<u32, &'static str> {
        whole(value, Self::EXPECTED)
    }
}

impl Setting for usize {
    const EXPECTED: &'static str = "a whole number, 0 or greater";
    const PLAIN: bool = false;
    fn scalar(value: &DeValue<'_>) -> Result<usize, &'static str> {
        whole(value, Self::EXPECTED)
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a text that is not empty";
    fn scalar(value: &DeValue<'_>) -> Result<String, &'static str> {
        text(value, Self::EXPECTED, |given| (!given.is_empty()).then(|| given.to_owned()))
    }
}

impl Setting for Option<String> {
    const EXPECTED: &'static str = "a text, or an empty one for none";
    fn scalar(value: &DeValue<'_>) -> Result<Option<String>, &'static str> {
        text(value, Self::EXPECTED, |given| Some((!given.is_empty()).then(|| given.to_owned())))
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path";
    fn scalar(value: &DeValue<'_>) -> Result<PathBuf, &'static str> {
        text(value, Self::EXPECTED, |given| (!given.is_empty()).then(|| PathBuf::from(given)))
    }
}

impl Setting for Option<PathBuf> {
    const EXPECTED: &'static str = "a path, or an empty text for none";
    fn scalar(value: &DeValue<'_>) -> Result<Option<PathBuf>, &'static str> {
        text(value, Self::EXPECTED, |given| Some((!given.is_empty()).then(|| PathBuf::from(given))))
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a duration such as \"250ms\", \"10s\", \"5m\" or \"1h30m\"";
    fn scalar(value: &DeValue<'_>) -> Result<Duration, &'static str> {
        text(value, Self::EXPECTED, duration)
    }
}

/// A duration with its unit. A number without one is refused.
pub(crate) fn duration(given: &str) -> Option<Duration> {
    given.parse::<jiff::SignedDuration>().ok().and_then(|signed| Duration::try_from(signed).ok())
}

/// A number of bytes, written with its unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(usize);

impl Size {
    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        self.0
    }

    /// So many bytes.
    pub(super) const fn of(bytes: usize) -> Size {
        Size(bytes)
    }

    fn parse(given: &str) -> Option<Size> {
        let digits = given.len() - given.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = given.split_at(digits);
        let unit = match unit.trim_start() {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.parse::<usize>().ok()?.checked_mul(unit).map(Size)
    }
}

impl Setting for Size {
    const EXPECTED: &'static str = "a size such as \"512B\", \"64KiB\" or \"16MiB\"";
    fn scalar(value: &DeValue<'_>) -> Result<Size, &'static str> {
        text(value, Self::EXPECTED, Size::parse)
    }
}

/// What a listener's paths begin with: empty, or `/` and names, without a `/` at the end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix(String);

impl Deref for Prefix {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
impl From<&str> for Prefix {
    fn from(prefix: &str) -> Prefix {
        Prefix(prefix.to_owned())
    }
}

impl Setting for Prefix {
    const EXPECTED: &'static str =
        "an empty text, or a path such as \"/presence\": letters, digits, \"-\", \"_\", \".\" and no \"/\" at its end";
    fn scalar(value: &DeValue<'_>) -> Result<Prefix, &'static str> {
        text(value, Self::EXPECTED, |given| {
            let name = |part: &str| {
                !part.is_empty()
                    && part != "."
                    && part != ".."
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            };
            let right = given.is_empty() || given.strip_prefix('/').is_some_and(|names| names.split('/').all(name));
            right.then(|| Prefix(given.to_owned()))
        })
    }
}

/// Which log lines are written: the syntax of tracing's `EnvFilter`, known to parse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter(String);

impl Deref for Filter {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Setting for Filter {
    const EXPECTED: &'static str =
        "a level (error, warn, info, debug, trace) or directives such as \"info,homeroom::store=debug\"";
    fn scalar(value: &DeValue<'_>) -> Result<Filter, &'static str> {
        text(value, Self::EXPECTED, |given| {
            // A single misspelt level would parse as the name of a target, and silence everything.
            let level = given
                .split(',')
                .all(|part| part.contains(['=', '[', ':']) || part.trim().parse::<tracing::level_filters::LevelFilter>().is_ok());
            let parses = !given.is_empty() && level && tracing_subscriber::EnvFilter::try_new(given).is_ok();
            parses.then(|| Filter(given.to_owned()))
        })
    }
}

/// The form of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

impl Setting for LogFormat {
    const EXPECTED: &'static str = "\"text\" or \"json\"";
    fn scalar(value: &DeValue<'_>) -> Result<LogFormat, &'static str> {
        text(value, Self::EXPECTED, |given| match given {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        })
    }
}

impl<T: Setting> Setting for Vec<T> {
    const EXPECTED: &'static str = "a list such as [\"one\", \"two\"]";
    const PLAIN: bool = false;

    fn scalar(_: &DeValue<'_>) -> Result<Vec<T>, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Vec<T>> {
        let Some(list) = value.get_ref().as_array() else {
            faults.push(place.fault(value, format!("expected {}, found {}", Self::EXPECTED, kind(value.get_ref()))));
            return None;
        };
        let read: Vec<Option<T>> = list.iter().map(|one| T::read(one, place, faults)).collect();
        read.into_iter().collect()
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    const EXPECTED: &'static str = "a table such as { \"name\" = { key = \"value\" } }";
    const PLAIN: bool = false;

    fn scalar(_: &DeValue<'_>) -> Result<Self, &'static str> {
        Err(Self::EXPECTED)
    }

    fn read(value: &Spanned<DeValue<'_>>, place: &Place, faults: &mut Vec<Fault>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            faults.push(place.fault(value, format!("expected {}, found {}", Self::EXPECTED, kind(value.get_ref()))));
            return None;
        };
        let read = |(name, one): (&Spanned<_>, _)| {
            let name: &str = AsRef::<str>::as_ref(name.get_ref() as &std::borrow::Cow<'_, str>);
            T::read(one, &place.inside(name), faults).map(|read| (name.to_owned(), read))
        };
        let read: Vec<Option<(String, T)>> = table.iter().map(read).collect();
        read.into_iter().collect()
    }
}

/// The fields of a table whose keys are fixed, read one by one; what is left over is unknown.
pub(super) struct Fields<'a, 'i> {
    table: Option<&'a toml::de::DeTable<'i>>,
    whole: &'a Spanned<DeValue<'i>>,
    place: &'a Place,
    known: Vec<&'static str>,
}

impl<'a, 'i> Fields<'a, 'i> {
    /// The fields of `whole`; a value that is no table is a fault, and has no fields.
    pub(super) fn of(whole: &'a Spanned<DeValue<'i>>, place: &'a Place, faults: &mut Vec<Fault>) -> Self {
        let table = whole.get_ref().as_table();
        if table.is_none() {
            faults.push(place.fault(whole, format!("expected a table, found {}", kind(whole.get_ref()))));
        }
        Fields { table, whole, place, known: Vec::new() }
    }

    /// The field `name`, if it is there and right.
    pub(super) fn optional<T: Setting>(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Option<T> {
        self.known.push(name);
        let value = self.table?.get(name)?;
        T::read(value, &self.place.inside(name), faults)
    }

    /// The field `name`; that it is missing is a fault.
    pub(super) fn required<T: Setting>(&mut self, name: &'static str, faults: &mut Vec<Fault>) -> Option<T> {
        if self.table.is_some_and(|table| table.get(name).is_none()) {
            faults.push(self.place.inside(name).fault(self.whole, format!("is missing: expected {}", T::EXPECTED)));
        }
        self.optional(name, faults)
    }

    /// Whether the field is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.get(name).is_some())
    }

    /// Tells the fields that nobody asked for.
    pub(super) fn refuse_others(self, faults: &mut Vec<Fault>) {
        for (name, value) in self.table.into_iter().flat_map(|table| table.iter()) {
            if !self.known.contains(&name.get_ref().as_ref()) {
                let message = format!("is unknown here: expected one of {}", self.known.join(", "));
                faults.push(self.place.inside(name.get_ref()).fault(value, message));
            }
        }
    }
}
