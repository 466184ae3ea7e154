//! `homeroom doctor`: what this machine is like, a line for each thing, and what to do about what is wrong.

mod certificates;
mod facts;
mod host;
mod tuning;
mod verdicts;

use super::{Failure, flags::SettingFlags};
use crate::runtime::probe;
use facts::Facts;
use std::io::{IsTerminal, Write};
use verdicts::{Finding, Verdict};

/// How to tell.
#[derive(clap::Args, Debug)]
pub struct DoctorArguments {
    /// Print JSON: a list of {check, verdict, found, advice}
    #[arg(long)]
    pub json: bool,
    /// The settings' flags: the doctor looks at their data folder and counts their shards.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// What the exit code says.
pub const EXIT_CODES: &str =
    "Exit codes: 0, homeroom can serve here (there may be warnings); 1, it cannot: there is a fault; 2, usage.";

/// Looks at everything and prints it. Fails when there is a fault that keeps homeroom from serving.
pub fn run(arguments: &DoctorArguments) -> Result<(), Failure> {
    // As `serve` does: what counts is what it will have.
    let nofile = probe::raise_limits();
    let findings = verdicts::all(&Facts::gather(arguments.flags.load_process(), nofile));
    let out = std::io::stdout();
    let shown = if arguments.json { json(&findings) } else { text(&findings, out.is_terminal()) };
    out.lock().write_all(shown.as_bytes()).map_err(|error| Failure::Failed(format!("standard output: {error}")))?;
    if findings.iter().any(|finding| finding.verdict == Verdict::Fault) { Err(Failure::Failed(String::new())) } else { Ok(()) }
}

fn json(findings: &[Finding]) -> String {
    serde_json::to_string_pretty(findings).map(|text| text + "\n").unwrap_or_default()
}

fn text(findings: &[Finding], terminal: bool) -> String {
    let mut shown = String::new();
    for finding in findings {
        shown.push_str(&format!("{} {:<22} {}\n", mark(finding.verdict, terminal), finding.check, finding.found));
        if let Some(advice) = &finding.advice {
            shown.push_str(&format!("{:width$} -> {advice}\n", "", width = if terminal { 1 } else { 5 }));
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (faults, warnings) = (count(Verdict::Fault), count(Verdict::Warning));
    shown.push_str(&format!("{} checks; faults: {faults}, warnings: {warnings}\n", findings.len()));
    shown
}

fn mark(verdict: Verdict, terminal: bool) -> &'static str {
    match (verdict, terminal) {
        (Verdict::Ok, true) => "\x1b[32m✓\x1b[0m",
        (Verdict::Warning, true) => "\x1b[33m!\x1b[0m",
        (Verdict::Fault, true) => "\x1b[31m✗\x1b[0m",
        (Verdict::Ok, false) => "ok   ",
        (Verdict::Warning, false) => "warn ",
        (Verdict::Fault, false) => "FAULT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding { check: "kernel", verdict: Verdict::Ok, found: "6.18".into(), advice: None },
            Finding { check: "locked memory", verdict: Verdict::Fault, found: "64 KiB".into(), advice: Some("raise it".into()) },
        ]
    }

    #[test]
    fn away_from_a_terminal_it_is_plain_ascii() {
        let shown = text(&findings(), false);
        assert!(shown.is_ascii() && !shown.contains('\x1b'), "{shown}");
        assert!(
            shown.contains("FAULT locked memory")
                && shown.contains("-> raise it")
                && shown.ends_with("2 checks; faults: 1, warnings: 0\n")
        );
        assert!(text(&findings(), true).contains('✗'));
    }

    #[test]
    fn json_has_a_fixed_form() {
        let parsed: serde_json::Value = serde_json::from_str(&json(&findings())).unwrap();
        assert_eq!(parsed[1]["verdict"], "fault");
        assert_eq!(parsed[0], serde_json::json!({"check": "kernel", "verdict": "ok", "found": "6.18", "advice": null}));
    }
}
