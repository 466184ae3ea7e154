//! What the facts mean: a finding for each, with what to do. Pure.

use super::{
    certificates,
    facts::{Cores, Facts, Folder},
    tuning,
};
use crate::{
    config::Faults,
    runtime::probe::{LOCKED_MEMORY, RingFault},
};
use serde::Serialize;
use std::time::Duration;

/// How good or bad.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Homeroom serves, but worse than it could, or not for long.
    Warning,
    /// Homeroom cannot serve.
    Fault,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Finding {
    /// What.
    pub(super) check: &'static str,
    /// How it is.
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) found: String,
    /// What to do, where something should be done.
    pub(super) advice: Option<String>,
}

pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Ok, found: found.into(), advice: None }
}

pub(super) fn warning(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Warning, found: found.into(), advice: Some(advice.into()) }
}

pub(super) fn fault(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { check, verdict: Verdict::Fault, found: found.into(), advice: Some(advice.into()) }
}

/// Every finding, in the order in which one would mend them.
pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![
        settings(&facts.settings, facts.unreadable),
        kernel(&facts.release, &facts.rings),
        rings(&facts.rings),
        open_files(facts.nofile, facts.connections),
        locked_memory(facts.memlock),
        backlog(facts.host.somaxconn),
        ports(facts.host.ports),
        congestion(facts.host.congestion.as_deref()),
        cores(&facts.cores, facts.shards),
        resolution(facts.resolution),
        clocksource(facts.host.clocksource.as_deref()),
        wall_clock(facts.wall, facts.synchronised),
    ];
    findings.extend(folder(&facts.folder));
    findings.extend(facts.bus.as_ref().map(bus));
    findings.extend(certificates::all(&facts.certificates, facts.wall, facts.host.kernel_tls));
    let shards = wanted_shards(&facts.cores, facts.shards);
    findings.extend(tuning::all(&facts.host, (facts.connections, facts.chosen), shards, &facts.cores.allowed));
    findings
}

fn settings(settings: &Result<(), Faults>, unreadable: usize) -> Finding {
    match settings {
        Ok(()) if unreadable > 0 => {
            fault("settings", format!("{unreadable} keys that cannot be read"), "run `homeroom check-config`")
        }
        Ok(()) => ok("settings", "right"),
        Err(faults) => fault(
            "settings",
            format!("{} wrong; the rest of this page is for the defaults", faults.0.len()),
            "run `homeroom check-config`",
        ),
    }
}

fn bus(bus: &Result<(), String>) -> Finding {
    match bus {
        Ok(()) => ok("NATS", "there, and lets this node in"),
        Err(why) => fault("NATS", why.as_str(), "is nats-server running there? See servers and what follows it in [cluster]"),
    }
}

fn kernel(release: &str, rings: &Result<(), RingFault>) -> Finding {
    match rings {
        Err(old @ RingFault::OldKernel { .. }) => fault("kernel", release, old.to_string()),
        _ => ok("kernel", format!("Linux {release}")),
    }
}

fn rings(rings: &Result<(), RingFault>) -> Finding {
    match rings {
        Ok(()) => ok("io_uring", "SINGLE_ISSUER, DEFER_TASKRUN, provided buffers, eventfd and every operation in use"),
        Err(reason) => fault("io_uring", "not to be had", reason.to_string()),
    }
}

/// A school's worth of connections; below this the limit is one that nobody chose.
const MANY_FILES: u64 = 65_536;
const FEW_FILES: u64 = 1024;

fn open_files(most: u64, connections: usize) -> Finding {
    let shown = if most == u64::MAX { "unlimited".to_owned() } else { most.to_string() };
    let found = format!("{shown} (the hard limit, taken at start): up to {connections} connections");
    let advice = "raise the hard limit: LimitNOFILE=1048576 (systemd), --ulimit nofile=1048576 (Docker) or nofile in limits.conf";
    match most {
        ..FEW_FILES => fault("open files", found, advice),
        FEW_FILES..MANY_FILES => warning("open files", found, advice),
        MANY_FILES.. => ok("open files", found),
    }
}

fn locked_memory(limit: Option<u64>) -> Finding {
    match limit {
        None => ok("locked memory", "unlimited"),
        Some(bytes) if bytes >= LOCKED_MEMORY => ok("locked memory", format!("{} KiB", bytes >> 10)),
        Some(bytes) => fault(
            "locked memory",
            format!("{} KiB", bytes >> 10),
            format!(
                "the shards need {} KiB: LimitMEMLOCK=8M (systemd), --ulimit memlock={LOCKED_MEMORY} (Docker), memlock in limits.conf, or `ulimit -l`",
                LOCKED_MEMORY >> 10
            ),
        ),
    }
}

fn backlog(somaxconn: Option<u32>) -> Finding {
    match somaxconn {
        Some(most) if most >= 4096 => ok("accept backlog", format!("net.core.somaxconn {most}")),
        Some(most) => {
            let advice = "when a school comes in at once, connections are refused: `sysctl net.core.somaxconn=4096`";
            warning("accept backlog", format!("net.core.somaxconn {most}"), advice)
        }
        None => ok("accept backlog", "net.core.somaxconn cannot be read"),
    }
}

fn ports(range: Option<(u16, u16)>) -> Finding {
    let Some((first, last)) = range else { return ok("port range", "net.ipv4.ip_local_port_range cannot be read") };
    let count = u32::from(last).saturating_sub(u32::from(first)) + 1;
    let found = format!("{first} to {last}: a load test opens {count} connections from each source address");
    if count >= 20_000 {
        return ok("port range", found);
    }
    warning("port range", found, "for load tests only: `sysctl net.ipv4.ip_local_port_range=\"10240 65535\"`")
}

fn congestion(control: Option<&str>) -> Finding {
    match control {
        Some("bbr") => {
            ok("congestion control", "bbr: steady over bad links; about a fifth less fan-out on a fast one than reno or cubic")
        }
        Some(control) => ok("congestion control", control),
        None => ok("congestion control", "cannot be read"),
    }
}

/// One a core, where nobody says how many.
fn wanted_shards(cores: &Cores, shards: u16) -> usize {
    if shards == 0 { cores.allowed.len() } else { usize::from(shards) }
}

fn cores(cores: &Cores, shards: u16) -> Finding {
    let wanted = wanted_shards(cores, shards);
    let found = format!("{} by affinity, {} with the cgroup's quota; {wanted} shards", cores.allowed.len(), cores.usable);
    if wanted > cores.usable {
        return warning(
            "cores",
            found,
            format!("shards share cores and wait for each other: set --shards {}, or give more cores", cores.usable),
        );
    }
    ok("cores", found)
}

fn resolution(resolution: Duration) -> Finding {
    let found = format!("{resolution:?}");
    if resolution <= Duration::from_micros(1) {
        return ok("clock resolution", found);
    }
    warning("clock resolution", found, "deadlines will be late by that much: boot with high-resolution timers (no highres=off)")
}

fn clocksource(source: Option<&str>) -> Finding {
    match source {
        Some(source @ ("tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page")) => ok("clock source", source),
        Some(source) => {
            let advice = "each look at the clock is a system call with this source: see /sys/devices/system/clocksource for a faster one (tsc)";
            warning("clock source", source, advice)
        }
        None => ok("clock source", "cannot be read"),
    }
}

/// 2025-01-01: before this the clock is certainly wrong.
const SANE_FROM: Duration = Duration::from_secs(1_735_689_600);
/// 2100-01-01: from here on likewise.
const SANE_UNTIL: Duration = Duration::from_secs(4_102_444_800);

fn wall_clock(wall: Duration, synchronised: Option<bool>) -> Finding {
    let seconds = i64::try_from(wall.as_secs()).unwrap_or(i64::MAX);
    let shown = jiff::Timestamp::from_second(seconds).map_or("far away".to_owned(), |time| time.to_string());
    if !(SANE_FROM..SANE_UNTIL).contains(&wall) {
        return fault(
            "wall clock",
            shown,
            "tokens would be judged by a wrong time: set the clock, and run chrony or systemd-timesyncd",
        );
    }
    match synchronised {
        Some(true) => ok("wall clock", format!("{shown}, synchronised")),
        Some(false) => {
            warning("wall clock", format!("{shown}, not synchronised"), "tokens expire by it: run chrony or systemd-timesyncd")
        }
        None => ok("wall clock", shown),
    }
}

const LITTLE_SPACE: u64 = 1 << 30;
const NO_SPACE: u64 = 64 << 20;
const SLOW_SYNC: Duration = Duration::from_millis(20);

fn folder(folder: &Folder) -> Vec<Finding> {
    let path = folder.path.display();
    let disk = match &folder.disk {
        Ok(disk) => disk,
        Err(error) => {
            return vec![fault("data folder", format!("{path}: {error}"), "give a folder that homeroom may write: --data-dir")];
        }
    };
    let made = if folder.exists { "" } else { " (made at the first start)" };
    let found = format!("{path}{made}, {} MiB free", disk.free >> 20);
    let space = match disk.free {
        ..NO_SPACE => fault("data folder", found, "free some space: records could not be kept"),
        NO_SPACE..LITTLE_SPACE => warning("data folder", found, "free some space: attendance is kept here"),
        LITTLE_SPACE.. => ok("data folder", found),
    };
    let found = format!("{:.2} ms for an append to be on disk", disk.sync.as_secs_f64() * 1000.0);
    let sync = if disk.sync <= SLOW_SYNC {
        ok("disk sync", found)
    } else {
        warning("disk sync", found, "each sign-in waits for this: put --data-dir on a local SSD")
    };
    vec![space, sync]
}

#[cfg(test)]
mod tests {
    use super::{super::facts::Disk, *};

    fn verdict(finding: &Finding) -> Verdict {
        assert_eq!(finding.advice.is_some(), finding.verdict != Verdict::Ok, "what is wrong has advice: {finding:?}");
        finding.verdict
    }

    #[test]
    fn keys_that_cannot_be_read_are_a_fault() {
        assert_eq!(verdict(&settings(&Ok(()), 0)), Verdict::Ok);
        assert_eq!(verdict(&settings(&Ok(()), 1)), Verdict::Fault);
        assert_eq!(verdict(&settings(&Err(Faults(Vec::new())), 0)), Verdict::Fault);
    }

    #[test]
    fn limits_are_judged() {
        let files = |hard| verdict(&open_files(hard, 1));
        assert_eq!([512, 1024, 65_536, u64::MAX].map(files), [Verdict::Fault, Verdict::Warning, Verdict::Ok, Verdict::Ok]);
        let memory = |limit| verdict(&locked_memory(limit));
        assert_eq!([Some(65_536), Some(8 << 20), None].map(memory), [Verdict::Fault, Verdict::Ok, Verdict::Ok]);
        assert_eq!(
            [Some(128), Some(4096), None].map(|most| verdict(&backlog(most))),
            [Verdict::Warning, Verdict::Ok, Verdict::Ok]
        );
        assert_eq!(verdict(&ports(Some((32768, 60999)))), Verdict::Ok);
        assert_eq!(verdict(&ports(Some((60000, 61000)))), Verdict::Warning);
        assert_eq!(verdict(&ports(Some((2, 1)))), Verdict::Warning);
    }

    #[test]
    fn a_bus_that_lets_nobody_in_is_a_fault() {
        assert_eq!(verdict(&bus(&Ok(()))), Verdict::Ok);
        assert_eq!(verdict(&bus(&Err("timed out".into()))), Verdict::Fault);
    }

    #[test]
    fn rings_that_are_not_to_be_had_are_a_fault_with_the_reason() {
        let finding = rings(&Err(RingFault::SwitchedOff { level: 2 }));
        assert_eq!(verdict(&finding), Verdict::Fault);
        assert!(finding.advice.unwrap().contains("sysctl kernel.io_uring_disabled=0"));
        assert_eq!(verdict(&kernel("5.15.0", &Err(RingFault::OldKernel { release: "5.15.0".into() }))), Verdict::Fault);
        assert_eq!(verdict(&kernel("6.1.0", &Err(RingFault::Forbidden))), Verdict::Ok);
    }

    #[test]
    fn more_shards_than_cores_is_a_warning() {
        let of = |allowed, usable, shards| verdict(&cores(&Cores { allowed: (0..allowed).collect(), usable }, shards));
        assert_eq!(of(2, 2, 0), Verdict::Ok);
        assert_eq!(of(2, 2, 2), Verdict::Ok);
        assert_eq!(of(2, 2, 3), Verdict::Warning);
        assert_eq!(of(8, 2, 0), Verdict::Warning, "a quota below the affinity");
    }

    #[test]
    fn clocks_are_judged() {
        let year_2026 = Duration::from_secs(1_790_000_000);
        assert_eq!(verdict(&wall_clock(year_2026, Some(true))), Verdict::Ok);
        assert_eq!(verdict(&wall_clock(year_2026, Some(false))), Verdict::Warning);
        assert_eq!(verdict(&wall_clock(Duration::ZERO, Some(true))), Verdict::Fault);
        assert_eq!(verdict(&wall_clock(Duration::MAX, None)), Verdict::Fault);
        assert_eq!(verdict(&resolution(Duration::from_nanos(1))), Verdict::Ok);
        assert_eq!(verdict(&resolution(Duration::from_millis(4))), Verdict::Warning);
        assert_eq!(verdict(&clocksource(Some("hpet"))), Verdict::Warning);
    }

    #[test]
    fn the_folder_is_judged_by_space_and_speed() {
        let of = |disk| {
            let folder = Folder { path: "data".into(), exists: true, disk };
            super::folder(&folder).iter().map(verdict).collect::<Vec<_>>()
        };
        let (fast, slow) = (Duration::from_micros(300), Duration::from_millis(30));
        assert_eq!(of(Ok(Disk { free: 2 << 30, sync: fast })), [Verdict::Ok, Verdict::Ok]);
        assert_eq!(of(Ok(Disk { free: 100 << 20, sync: slow })), [Verdict::Warning, Verdict::Warning]);
        assert_eq!(of(Ok(Disk { free: 0, sync: fast })), [Verdict::Fault, Verdict::Ok]);
        assert_eq!(of(Err("read-only file system".into())), [Verdict::Fault]);
    }
}
