//! Flag over environment over file over default: where each value comes from, and what nobody knows.

use super::{
    Fault, Faults, Key, Settings, Source, check,
    fault::Origin,
    issuer,
    key::Sectioned,
    setting::{Place, Setting},
    traces,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The variable that names the file when no flag does.
pub const CONFIG_VARIABLE: &str = "HOMEROOM_CONFIG";
const VARIABLES: &str = "HOMEROOM_";

/// What was given, not yet understood.
#[derive(Clone, Default, Debug)]
pub struct Layers {
    file: Option<(String, String)>,
    environment: Vec<(String, String)>,
    flags: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Layers {
    /// Adds the text of a file; `name` is what faults call it.
    pub fn file(mut self, name: impl Into<String>, text: impl Into<String>) -> Layers {
        self.file = Some((name.into(), text.into()));
        self
    }

    /// Reads the file at `path`. That it cannot be read is a fault of `said_by`, told with the others.
    pub fn read_file(mut self, path: &Path, said_by: Source) -> Layers {
        match std::fs::read_to_string(path) {
            Ok(text) => self.file(path.display().to_string(), text),
            Err(error) => {
                let message = format!("the file {} cannot be read: {error}", path.display());
                self.faults.push(Fault { source: said_by, key: String::new(), message });
                self
            }
        }
    }

    /// Adds the environment; variables of others are passed over.
    pub fn environment(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Layers {
        for (name, value) in variables {
            let name = name.to_string_lossy().into_owned();
            if !name.starts_with(VARIABLES) || name == CONFIG_VARIABLE {
                continue;
            }
            match value.into_string() {
                Ok(value) => self.environment.push((name, value)),
                Err(_) => self.faults.push(Fault {
                    source: Source::Environment(name),
                    key: String::new(),
                    message: "expected UTF-8".into(),
                }),
            }
        }
        self
    }

    /// Adds a flag by its key's path ([`Key::path`]).
    pub fn flag(mut self, path: impl Into<String>, value: impl Into<String>) -> Layers {
        self.flags.push((path.into(), value.into()));
        self
    }
}

/// Settings that are right, and what is odd about them all the same.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What works but deserves a line in the log.
    pub warnings: Vec<Fault>,
    /// Where each key that is not at its default was given.
    pub(super) sources: BTreeMap<&'static str, Source>,
}

impl Loaded {
    /// Understands `layers`, or tells everything that is wrong with them.
    pub fn of(layers: &Layers) -> Result<Loaded, Faults> {
        let mut reading = Reading { faults: layers.faults.clone(), ..Reading::default() };
        if let Some((name, text)) = &layers.file {
            reading.take_file(name, text);
        }
        reading.take_environment(&layers.environment);
        reading.take_flags(&layers.flags);
        let mut settings = Settings::read(&mut reading);
        reading.refuse_unbuilt();
        let found = check::check(&settings);
        reading.faults.extend(found.faults.iter().filter_map(|found| reading.locate(found)).collect::<Vec<_>>());
        if !reading.faults.is_empty() {
            reading.faults.sort();
            reading.faults.dedup();
            return Err(Faults(reading.faults));
        }
        issuer::embed(&mut settings);
        let warnings = found.warnings.iter().filter_map(|found| reading.locate(found)).collect();
        Ok(Loaded { settings, warnings, sources: reading.sources })
    }
}

struct Given<'i> {
    value: Spanned<DeValue<'i>>,
    origin: Origin,
}

/// The values that were given, by key, each from the strongest layer that has it.
#[derive(Default)]
pub(super) struct Reading<'i> {
    given: BTreeMap<String, Given<'i>>,
    /// Where each key was given, kept after it was taken.
    sources: BTreeMap<&'static str, Source>,
    /// The same of each item of those that are lists.
    items: BTreeMap<&'static str, Vec<Source>>,
    /// The keys that are wrong: what follows from them is not looked at.
    wrong: BTreeSet<String>,
    faults: Vec<Fault>,
}

impl<'i> Reading<'i> {
    /// The value of `key`: what was given, or the default.
    pub(super) fn take<T: Setting>(&mut self, key: &'static str, default: &'static str) -> T {
        if let Some(given) = self.given.remove(key) {
            self.sources.insert(key, given.origin.at(given.value.span()));
            if let Some(list) = given.value.get_ref().as_array() {
                self.items.insert(key, list.iter().map(|item| given.origin.at(item.span())).collect());
            }
            let place = Place { key: key.to_owned(), origin: given.origin };
            let before = self.faults.len();
            let read = T::read(&given.value, &place, &mut self.faults);
            match read {
                Some(value) if self.faults.len() == before => return value,
                Some(_) | None => self.wrong.insert(key.to_owned()),
            };
        }
        let place = Place { key: key.to_owned(), origin: Origin::Default };
        let value = DeValue::parse(default).expect("defaults are literals of TOML");
        T::read(&value, &place, &mut self.faults).expect("every default is read by a test")
    }

    fn take_file(&mut self, name: &str, text: &'i str) {
        let origin = Origin::File { name: name.into(), text: text.into() };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let source = origin.at(error.span().unwrap_or(0..0));
            self.faults.push(Fault { source, key: String::new(), message: format!("is not TOML: {}", error.message()) });
        }
        self.take_table("", table.into_inner(), &origin, &Known::all());
    }

    fn take_table(&mut self, prefix: &str, table: DeTable<'i>, origin: &Origin, known: &Known) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let place = Place { key: key.clone(), origin: origin.clone() };
            let plain = !name.get_ref().contains('.');
            if plain && known.keys.contains_key(&key) {
                self.given.insert(key, Given { value, origin: origin.clone() });
            } else if plain && known.tables.contains(&key) {
                let span = value.span();
                match value.into_inner() {
                    DeValue::Table(inner) => self.take_table(&format!("{key}."), inner, origin, known),
                    other if known.shorthands.contains_key(&key) => {
                        let value = Spanned::new(span, other);
                        self.given.insert(known.shorthands[&key].path(), Given { value, origin: origin.clone() });
                    }
                    other => self.faults.push(place.fault(&Spanned::new(span, other), format!("expected a table: [{key}]"))),
                }
            } else {
                let at = Spanned::new(name.span(), DeValue::Boolean(true));
                self.faults.push(place.fault(&at, known.unknown(&key)));
            }
        }
    }

    fn take_environment(&mut self, environment: &'i [(String, String)]) {
        let names = |key: &'static Key| [Some(key.environment()), key.short_environment()].into_iter().flatten();
        let known: BTreeMap<String, &'static Key> = keys().flat_map(|key| names(key).map(move |name| (name, key))).collect();
        for (name, text) in environment {
            match known.get(name) {
                Some(key) => self.take_text(key, text, Origin::Environment(name.clone())),
                None => {
                    let message = unknown(name, known.keys().map(String::as_str));
                    self.faults.push(Fault { source: Source::Environment(name.clone()), key: String::new(), message });
                }
            }
        }
    }

    fn take_flags(&mut self, flags: &'i [(String, String)]) {
        let known = Known::all();
        for (path, text) in flags {
            match known.keys.get(path) {
                Some(key) => self.take_text(key, text, Origin::Flag(format!("--{}", key.flag()))),
                None => {
                    let message = known.unknown(path);
                    self.faults.push(Fault { source: Source::Flag(path.clone()), key: String::new(), message });
                }
            }
        }
    }

    /// A value from a variable or a flag, over what a weaker layer gave.
    fn take_text(&mut self, key: &'static Key, text: &'i str, origin: Origin) {
        let parsed = if key.plain { Ok(Spanned::new(0..text.len(), DeValue::String(text.into()))) } else { DeValue::parse(text) };
        match parsed {
            Ok(value) => {
                self.given.insert(key.path(), Given { value, origin });
            }
            Err(_) => {
                self.given.remove(&key.path());
                self.wrong.insert(key.path());
                let message = format!("expected {}, written as in the file", key.expected);
                self.faults.push(Fault { source: origin.at(0..0), key: key.path(), message });
            }
        }
    }

    /// What was given for something that this program was built without.
    fn refuse_unbuilt(&mut self) {
        let Some(message) = traces::NOT_BUILT else { return };
        let given = self.sources.iter().filter(|(key, _)| key.starts_with("traces."));
        let fault = |(key, source): (&&str, &Source)| Fault {
            source: source.clone(),
            key: (*key).to_owned(),
            message: message.to_owned(),
        };
        let faults: Vec<Fault> = given.map(fault).collect();
        self.faults.extend(faults);
    }

    /// The place of a fault that lies between keys: where the first of them was given. `None` when one of them is wrong anyway.
    fn locate(&self, found: &check::Found) -> Option<Fault> {
        if found.keys.iter().any(|key| self.wrong.contains(*key)) {
            return None;
        }
        let item = found.item.and_then(|item| Some((found.keys[0], self.items.get(found.keys[0])?.get(item)?.clone())));
        let given = item.or_else(|| found.keys.iter().find_map(|key| self.sources.get(key).map(|source| (*key, source.clone()))));
        let (key, source) = given.unwrap_or((found.keys[0], Source::Default));
        Some(Fault { source, key: key.to_owned(), message: found.message.clone() })
    }
}

fn keys() -> impl Iterator<Item = &'static Key> {
    Settings::sections().into_iter().flat_map(|section| section.keys)
}

/// Every name that may stand in the file.
struct Known {
    keys: BTreeMap<String, &'static Key>,
    tables: BTreeSet<String>,
    /// Tables whose name stands for one of their keys.
    shorthands: BTreeMap<String, &'static Key>,
}

impl Known {
    fn all() -> Known {
        let tables =
            Settings::sections().iter().map(|section| section.name().to_owned()).filter(|name| !name.is_empty()).collect();
        let shorthands = keys().filter_map(|key| Some((key.shorthand()?.to_owned(), key))).collect();
        Known { keys: keys().map(|key| (key.path(), key)).collect(), tables, shorthands }
    }

    fn unknown(&self, name: &str) -> String {
        unknown(name, self.keys.keys().chain(&self.tables).map(String::as_str))
    }
}

/// Below this no name is like another (1.0: equal).
const ALIKE: f64 = 0.5;

/// What is said of an unknown name: with the known one that is most like it, as a whole, or in its last part (a key in the wrong table),
/// if any is.
fn unknown<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let own = |name: &str| name.strip_prefix(VARIABLES).unwrap_or(name).to_owned();
    let likeness = |name: &str| {
        let whole = strsim::normalized_damerau_levenshtein(&own(unknown), &own(name));
        whole.max(0.9 * strsim::normalized_damerau_levenshtein(&last(&own(unknown)), &last(&own(name))))
    };
    let nearest = known.map(|name| (likeness(name), name)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((likeness, name)) if likeness >= ALIKE => format!("is unknown; the nearest is {name}"),
        Some(_) | None => "is unknown".to_owned(),
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
