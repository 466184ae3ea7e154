//! What is in a page, and what must never be.

use super::*;
use serde_json::json;

const EVIL: &str = "</script><script>alert('x')</script>\"&";

fn source() -> Source {
    let slice = |at: u64| {
        let delivery =
            json!({ "count": 100, "per_s": 400.0, "p50": 100_000, "p90": 200_000 + at, "p99": 900_000, "max": 2_000_000 });
        json!({ "at_s": at as f64 / 4.0, "connections": 30, "faults": at % 2, "generator_cores": 0.2, "busiest_worker": 0.3,
            "generator_bytes": 9_000_000, "measures": { "delivery": delivery } })
    };
    let figures = json!({ "count": 3, "min": 1, "mean": 2.0, "p50": 100_000, "p90": 200_000, "p99": 900_000, "p999": 900_000,
        "p9999": 900_000, "max": 2_000_000, "buckets": [[100_000, 2], [2_000_000, 1]] });
    let report = json!({
        "version": 1,
        "verdict": { "outcome": "failed", "reasons": [EVIL] },
        "asked": { "scenario": "broadcast", "url": EVIL, "students": 30, "classrooms": 3, "rate": null, "in_flight": 1, "workers": 2,
            "sources": 8, "seed": 1, "then": EVIL },
        "rates": { "deliveries_per_s": 400.0 },
        "latencies": { "delivery": figures, "lag": figures },
        "series": { "step_s": 0.25, "slices": (0..8).map(slice).collect::<Vec<_>>(),
            "phases": [{ "stage": EVIL, "from_s": 0.0, "to_s": 2.0 }],
            "server": [{ "at_s": 0.5, "cores": 0.4, "resident_bytes": 50_000_000 }] },
        "faults": { "member": { EVIL: 2 } },
        "checks": [{ "what": "held", "expected": 5, "found": 5 }, { "what": EVIL, "expected": 5, "found": 4 }],
        "thresholds": [{ "required": "delivery.p99<20ms", "name": "delivery.p99", "unit": "ns", "bound": 2e7, "found": 9e5, "met": true }],
        "server": { "pid": 1, "program": EVIL, "samples": [], "cpu_us_per_delivery": 1.5 },
        "generator": [{ "stage": "publish", "judged": true, "workers": [{ "wall_ns": 100, "cpu_ns": 20, "waited_ns": 10 }] }],
        "environment": { "harness": "homeroom-load 0", "command": ["homeroom-load", EVIL], "started_unix_s": 1_800_000_000, "kernel": "6",
            "cpu": EVIL, "cores": 2, "sysctls": { "net/core/somaxconn": EVIL } },
    });
    let json = report.to_string();
    Source { name: EVIL.to_owned(), record: serde_json::from_value(report).unwrap(), json }
}

/// The page without its own style and script.
fn written(page: &str) -> String {
    page.replace(STYLE, "").replace(SCRIPT, "")
}

#[test]
fn what_comes_from_outside_stays_text() {
    for page in [of_run(&source()), of_several(&[source(), source()], "")] {
        assert_eq!(
            page.matches("alert(").count(),
            page.matches("script&gt;alert(").count() + page.matches("script>alert(").count()
        );
        assert!(!page.contains(EVIL) && !page.contains("<script>alert"), "{page}");
        let scripts = written(&page).matches("</script>").count();
        assert_eq!(scripts, written(&page).matches("<script").count());
    }
}

#[test]
fn nothing_is_asked_of_a_network() {
    let page = of_run(&source());
    assert!(page.contains("default-src 'none'"));
    for outside in ["http://", "https://", "src=", "@import", "url(", "<link", "fetch(", "XMLHttp"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_verdict_is_first_and_the_data_is_inside() {
    let (page, source) = (of_run(&source()), source());
    let places: Vec<usize> =
        ["FAILED", "Thresholds", "Over time", "Latencies", "Percentiles", "Errors", "Conservation", "Environment", "Raw data"]
            .iter()
            .map(|part| page.find(part).unwrap_or_else(|| panic!("{part} is missing")))
            .collect();
    assert!(places.is_sorted(), "{places:?}");
    let raw = page.split("id=\"raw0\">").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
    let (inside, given): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(raw).unwrap(), serde_json::from_str(&source.json).unwrap());
    assert_eq!(inside, given);
}

#[test]
fn a_curve_over_percentiles_ends_with_the_greatest_value() {
    let points = curve(&[(10, 90), (20, 9), (30, 1)]);
    assert_eq!(points.iter().map(|(at, _)| at.round() as u32).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(points.last().and_then(|(_, value)| *value), Some(30.0));
    let many: Vec<(u64, u64)> = (1..100_000).map(|ns| (ns, 1)).collect();
    assert!(curve(&many).len() <= MOST_POINTS + 2 && curve(&[]).is_empty());
}
