//! What each path took when somebody last looked at it, and why it is that much. Pure.

use crate::paths::Path;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
};

/// How far a count may be from the baseline's, in percent of it.
const BOUND_PERCENT: u64 = 5;

/// `perf/instructions.toml`.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    /// `rustc --version` of what was counted: another compiler makes other code.
    pub(crate) toolchain: String,
    /// By name.
    #[serde(default)]
    paths: BTreeMap<String, Line>,
    /// Why there is no such path any more, by name.
    #[serde(default)]
    gone: BTreeMap<String, String>,
}

#[derive(Deserialize, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
struct Line {
    operations: u32,
    instructions: u64,
    reason: String,
}

/// What a count is against the baseline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Within the bound.
    Same,
    /// More than the bound above it: by so many tenths of a percent.
    Grew(i64),
    /// As far below it: the baseline may be lowered.
    Shrank(i64),
    /// The baseline knows no such path.
    New,
    /// The baseline counted another number of operations.
    Other,
}

impl Verdict {
    /// Whether the check fails of it.
    pub(crate) fn is_refused(self) -> bool {
        match self {
            Verdict::Same | Verdict::Shrank(_) => false,
            Verdict::Grew(_) | Verdict::New | Verdict::Other => true,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |tenths: &i64| *tenths as f64 / 10.0;
        match self {
            Verdict::Same => f.write_str("as before"),
            Verdict::Grew(tenths) => {
                write!(f, "GREW by {:.1} %: mend it, or `homeroom-cost accept` it with the reason", percent(tenths))
            }
            Verdict::Shrank(tenths) => write!(f, "shrank by {:.1} %: the baseline may be lowered", -percent(tenths)),
            Verdict::New => f.write_str("NOT in the baseline: `homeroom-cost accept` it"),
            Verdict::Other => f.write_str("counts OTHER operations than the baseline: `homeroom-cost accept` it"),
        }
    }
}

impl Baseline {
    /// # Errors
    /// What cannot be read, and where.
    pub(crate) fn read(path: &std::path::Path) -> Result<Baseline, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Baseline::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// # Errors
    /// What is no baseline, and where.
    pub(crate) fn parse(text: &str) -> Result<Baseline, toml::de::Error> {
        toml::from_str(text)
    }

    /// What a count of `instructions` for `operations` is.
    pub(crate) fn judge(&self, name: &str, operations: u32, instructions: u64) -> Verdict {
        let Some(line) = self.paths.get(name) else { return Verdict::New };
        if line.operations != operations {
            return Verdict::Other;
        }
        let (before, now) = (line.instructions as i64, instructions as i64);
        let tenths = (now - before) * 1_000 / before.max(1);
        if now * 100 > before * (100 + BOUND_PERCENT as i64) {
            Verdict::Grew(tenths)
        } else if now * 100 < before * (100 - BOUND_PERCENT as i64) {
            Verdict::Shrank(tenths)
        } else {
            Verdict::Same
        }
    }

    /// Names that no path has.
    pub(crate) fn strangers(&self, paths: &[Path]) -> Vec<String> {
        self.paths.keys().filter(|name| paths.iter().all(|path| path.name != **name)).cloned().collect()
    }

    /// Names whose count was another in one of the `versions` before and had the same reason there, names that are gone and nobody said
    /// why, and names without a reason.
    pub(crate) fn without_reason(&self, versions: &[Baseline]) -> BTreeSet<String> {
        let before = versions.iter().flat_map(|version| &version.paths);
        let is_unexplained = |(name, old): &(&String, &Line)| match self.paths.get(*name) {
            Some(line) => old.reason == line.reason && *old != line,
            None => !self.gone.contains_key(*name),
        };
        let is_silent = |reason: &str| reason.trim().is_empty();
        let silent = self.paths.iter().filter(|(_, line)| is_silent(&line.reason)).map(|(name, _)| name);
        let silent = silent.chain(self.gone.iter().filter(|(_, reason)| is_silent(reason)).map(|(name, _)| name));
        before.filter(is_unexplained).map(|(name, _)| name).chain(silent).cloned().collect()
    }

    /// From now on this is what the path takes.
    pub(crate) fn accept(&mut self, name: &str, operations: u32, instructions: u64, reason: &str) {
        self.paths.insert(name.to_owned(), Line { operations, instructions, reason: reason.to_owned() });
        self.gone.remove(name);
    }

    /// There is no such path any more.
    pub(crate) fn forget(&mut self, name: &str, reason: &str) {
        self.paths.remove(name);
        self.gone.insert(name.to_owned(), reason.to_owned());
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        writeln!(
            f,
            "# Instructions of the pure hot paths. `tests/run instructions` fails when one takes more than {BOUND_PERCENT} % more."
        )?;
        writeln!(
            f,
            "# Written by `homeroom-cost accept [NAME…] --reason …`: a line that changes needs a reason that is its own."
        )?;
        writeln!(f, "\ntoolchain = {}", quoted(&self.toolchain))?;
        for (name, Line { operations, instructions, reason }) in &self.paths {
            writeln!(
                f,
                "\n[paths.{name}]\noperations = {operations}\ninstructions = {instructions}\nreason = {}",
                quoted(reason)
            )?;
        }
        if !self.gone.is_empty() {
            writeln!(f, "\n[gone]")?;
        }
        self.gone.iter().try_for_each(|(name, reason)| writeln!(f, "{name} = {}", quoted(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(instructions: u64, reason: &str) -> Baseline {
        let mut baseline = Baseline { toolchain: "rustc 1".into(), ..Baseline::default() };
        baseline.accept("a-path", 10, instructions, reason);
        baseline
    }

    #[test]
    fn more_than_a_twentieth_is_growth_and_less_is_not() {
        let of = |count| baseline(1_000, "first").judge("a-path", 10, count);
        assert_eq!([of(1_000), of(1_050), of(950)], [Verdict::Same; 3]);
        assert_eq!((of(1_051), of(949)), (Verdict::Grew(51), Verdict::Shrank(-51)));
        assert!(of(1_051).is_refused() && of(u64::from(u32::MAX)).is_refused());
        assert!(!of(949).is_refused() && !of(0).is_refused(), "less is welcome");
    }

    #[test]
    fn what_the_baseline_does_not_know_is_refused() {
        let baseline = baseline(1_000, "first");
        assert_eq!((baseline.judge("b", 10, 1), baseline.judge("a-path", 11, 1_000)), (Verdict::New, Verdict::Other));
        assert!(Verdict::New.is_refused() && Verdict::Other.is_refused());
        assert_eq!(baseline.strangers(&[]), ["a-path"]);
    }

    fn is_explained(now: &Baseline, versions: &[Baseline]) -> bool {
        now.without_reason(versions).is_empty()
    }

    #[test]
    fn another_count_needs_another_reason() {
        let before = [baseline(1_000, "first")];
        assert_eq!(baseline(2_000, "first").without_reason(&before), ["a-path".to_owned()].into());
        assert!(is_explained(&baseline(2_000, "pings are counted"), &before));
        assert!(is_explained(&baseline(1_000, "first"), &before));
        assert!(!is_explained(&baseline(2_000, " "), &before), "silence is no reason");
        assert!(!is_explained(&baseline(1_000, ""), &[]), "nor for a new one");
    }

    #[test]
    fn a_reason_is_not_used_again_for_another_count() {
        let before = [baseline(2_000, "pings are counted"), baseline(1_000, "first")];
        assert!(!is_explained(&baseline(3_000, "first"), &before));
        assert!(is_explained(&baseline(1_000, "first"), &before), "as it was");
    }

    #[test]
    fn a_name_that_is_gone_needs_a_reason_too() {
        let before = [baseline(1_000, "first")];
        assert_eq!(Baseline::default().without_reason(&before), ["a-path".to_owned()].into());
        let mut told = baseline(1_000, "first");
        told.forget("a-path", "nobody walks there");
        assert!(is_explained(&told, &before));
        let read = Baseline::parse(&told.to_string()).unwrap();
        assert!(is_explained(&read, &before), "it is written and read");
        told.forget("a-path", "");
        assert!(!is_explained(&told, &before));
        told.accept("a-path", 10, 1_000, "it is back");
        assert!(is_explained(&told, &before) && !told.to_string().contains("gone"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let written = baseline(7, "a \"quoted\" word, a \\ and\na line").to_string();
        let read = Baseline::parse(&written).unwrap();
        assert_eq!((read.toolchain.as_str(), read.to_string()), ("rustc 1", written));
        assert!(Baseline::parse("toolchain = \"\"\n[paths.a]\noperations = 1").is_err(), "a line is whole");
    }
}
