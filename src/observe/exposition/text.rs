//! Both text formats. They differ in what a counter's family is called, in what is not known, and in the end.

use super::{Family, Kind, Labels, Value};
use crate::realtime::Distribution;
use std::fmt::{self, Display, Formatter, Write};

pub(super) fn write<'a>(families: impl Iterator<Item = &'a Family>, is_open_metrics: bool) -> String {
    let mut text = String::new();
    for family in families {
        // Writing into a String cannot fail.
        let _ = family_text(&mut text, family, is_open_metrics);
    }
    if is_open_metrics {
        text.push_str("# EOF\n");
    }
    text
}

fn family_text(text: &mut String, family: &Family, is_open_metrics: bool) -> fmt::Result {
    let Family { name, kind, unit, samples, .. } = family;
    let (kind_name, sample_suffix) = match kind {
        Kind::Counter => ("counter", "_total"),
        Kind::Gauge => ("gauge", ""),
        Kind::Unknown => (if is_open_metrics { "unknown" } else { "untyped" }, ""),
        Kind::Histogram { .. } => ("histogram", ""),
    };
    let family_suffix = if is_open_metrics { "" } else { sample_suffix };
    writeln!(text, "# HELP {name}{family_suffix} {}", Escaped(family.help))?;
    writeln!(text, "# TYPE {name}{family_suffix} {kind_name}")?;
    if let Some(unit) = unit.filter(|_| is_open_metrics) {
        writeln!(text, "# UNIT {name} {unit}")?;
    }
    for (labels, value) in samples {
        match value {
            Value::Whole(number) => writeln!(text, "{name}{sample_suffix}{} {number}", Braced(labels, None))?,
            Value::Real(number) => writeln!(text, "{name}{sample_suffix}{} {}", Braced(labels, None), Number(*number))?,
            Value::Times(times) => buckets(text, family, labels, times)?,
        }
    }
    Ok(())
}

fn buckets(text: &mut String, family: &Family, labels: &Labels, times: &Distribution) -> fmt::Result {
    let name = family.name;
    for exponent in family.kind.exponents() {
        let bound = f64::from(exponent).exp2();
        writeln!(text, "{name}_bucket{} {}", Braced(labels, Some(bound)), times.within(exponent))?;
    }
    let count = times.count();
    writeln!(text, "{name}_bucket{} {count}", Braced(labels, Some(f64::INFINITY)))?;
    writeln!(text, "{name}_sum{} {}", Braced(labels, None), Number(times.sum()))?;
    writeln!(text, "{name}_count{} {count}", Braced(labels, None))
}

/// With a point, as OpenMetrics writes what is measured.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == f64::INFINITY { f.write_str("+Inf") } else { write!(f, "{:?}", self.0) }
    }
}

/// Labels, and the bound of a bucket.
struct Braced<'a>(&'a Labels, Option<f64>);

impl Display for Braced<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Braced(labels, bound) = self;
        if labels.is_empty() && bound.is_none() {
            return Ok(());
        }
        let mut before = '{';
        for (name, value) in *labels {
            write!(f, "{before}{name}=\"{}\"", Escaped(value))?;
            before = ',';
        }
        if let Some(bound) = bound {
            write!(f, "{before}le=\"{}\"", Number(*bound))?;
        }
        f.write_char('}')
    }
}

struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|one| match one {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            one => f.write_char(one),
        })
    }
}
