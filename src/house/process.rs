//! What the process takes of the machine, by the names that Prometheus' own clients use. Looked at on the bridge.

use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};
use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// As of the last look. What cannot be told is 0.
#[derive(Default, Debug)]
pub(super) struct Process {
    pub(super) resident_bytes: AtomicU64,
    pub(super) cpu_millis: AtomicU64,
    /// Linux tells this since 6.2.
    pub(super) open_descriptors: AtomicU64,
    pub(super) most_descriptors: AtomicU64,
    /// In seconds since 1970.
    pub(super) started_at: AtomicU64,
}

/// What `/proc/self/stat` tells: time on processors, and the begin behind that of the system, in milliseconds.
fn times(stat: &str, ticks_a_second: u64) -> Option<(u64, u64)> {
    // The name of the process stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let millis = |place: usize| Some(fields.get(place)?.parse::<u64>().ok()? * 1000 / ticks_a_second);
    Some((millis(11)? + millis(12)?, millis(19)?))
}

impl Process {
    pub(super) fn look(&self) {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let pages = read("/proc/self/statm").split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        self.resident_bytes.store(pages.unwrap_or(0) * page_size() as u64, Relaxed);
        let (cpu, began) = times(&read("/proc/self/stat"), clock_ticks_per_second().max(1)).unwrap_or_default();
        self.cpu_millis.store(cpu, Relaxed);
        if self.started_at.load(Relaxed) == 0 {
            let booted = read("/proc/stat").lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
            self.started_at.store(booted.map_or(0, |booted| booted + began / 1000), Relaxed);
        }
        self.open_descriptors.store(fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len()), Relaxed);
        self.most_descriptors.store(getrlimit(Resource::Nofile).current.unwrap_or(0), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn the_fields_are_behind_a_name_that_may_hold_anything() {
        let stat = "7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 3 0 4200 1000";
        assert_eq!(times(stat, 100), Some((2_000, 42_000)));
        assert_eq!(times("7 (a", 100), None);
    }

    #[test]
    fn a_process_has_memory_and_began_before_now() {
        let process = Process::default();
        process.look();
        assert!(process.resident_bytes.load(Relaxed) > 1 << 20);
        assert!(process.most_descriptors.load(Relaxed) > 0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let began = process.started_at.load(Relaxed);
        assert!(began > now - 24 * 3600 && began <= now + 2, "{began} and now {now}");
    }
}
