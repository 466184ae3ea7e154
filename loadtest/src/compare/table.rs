//! A comparison as text, and as HTML.

use super::{Difference, Group, Row, differences};
use crate::page::escape;
use std::fmt::Write;

/// For the terminal.
pub(super) fn text(groups: &[Group], rows: &[Row], doubts: &[String]) -> String {
    let mut out = String::new();
    let width = groups.iter().map(|group| group.name.chars().count()).max().unwrap_or(0).max(32);
    for row in rows {
        let first = row.of_groups.first().copied().flatten().map_or_else(String::new, |first| first.told(row.is_time));
        let _ = writeln!(out, "{:<1$}{first}", row.name, width + 4);
        for ((group, other), difference) in groups.iter().zip(&row.of_groups).skip(1).zip(differences(row)) {
            let told = other.map_or_else(|| "not measured".to_owned(), |other| other.told(row.is_time));
            let _ = writeln!(out, "    {:<width$}{told}   {}", group.name, difference.map_or_else(String::new, Difference::told));
        }
    }
    for doubt in doubts {
        let _ = writeln!(out, "beware: {doubt}");
    }
    out
}

/// For the page.
pub(super) fn html(groups: &[Group], rows: &[Row], doubts: &[String]) -> String {
    let mut out: String = doubts.iter().map(|doubt| format!("<p class=\"no\">Beware: {}</p>", escape(doubt))).collect();
    out += "<div class=\"wide\"><table class=\"words\"><tr><th>Figure";
    for group in groups {
        let _ = write!(out, "<th>{}", escape(&group.name));
    }
    out += "</tr>";
    for row in rows {
        let _ = write!(out, "<tr><td>{}", escape(&row.name));
        let mut differences = std::iter::once(None).chain(differences(row));
        for estimate in &row.of_groups {
            let told = estimate.map_or_else(|| "not measured".to_owned(), |estimate| estimate.told(row.is_time));
            let difference = differences.next().flatten();
            let class = if difference.is_some_and(Difference::is_clear) { "" } else { " class=\"soft\"" };
            let _ = write!(out, "<td>{told}<br><span{class}>{}</span>", difference.map_or_else(String::new, Difference::told));
        }
        out += "</tr>";
    }
    out += "</table></div><p class=\"soft\">Differences are against the first. The ± of a run is from the scatter of its slices of time, ";
    out + "that of a group of runs from the scatter of its runs, both for 95 of 100 cases; in brackets are least and most of the runs.</p>"
}
