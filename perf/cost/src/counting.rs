//! Counts instructions: each path in a process of its own below valgrind's callgrind, so that none changes what another finds.

use crate::paths::Path;
use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Why nothing can be counted here.
#[derive(Debug)]
pub(crate) enum CannotCount {
    /// Counts are those of one instruction set, with AVX2 as valgrind shows it.
    Processor,
    /// valgrind is not installed.
    NoValgrind,
    /// The baseline is of another compiler: which it is here.
    Toolchain(String),
}

impl fmt::Display for CannotCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CannotCount::Processor => f.write_str("the baseline is of x86-64 with AVX2"),
            CannotCount::NoValgrind => f.write_str("valgrind is not installed"),
            CannotCount::Toolchain(here) => write!(f, "the baseline is of another compiler than {here}"),
        }
    }
}

/// `rustc --version`.
pub(crate) fn toolchain() -> io::Result<String> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether counts taken here may be held against those of a baseline of `wanted`.
pub(crate) fn can_count(wanted: &str) -> Result<(), CannotCount> {
    if !has_avx2() {
        return Err(CannotCount::Processor);
    }
    if !valgrind().arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Err(CannotCount::NoValgrind);
    }
    match toolchain() {
        Ok(here) if here == wanted => Ok(()),
        Ok(other) => Err(CannotCount::Toolchain(other)),
        Err(error) => Err(CannotCount::Toolchain(error.to_string())),
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

/// As packages install it, with an environment that is the same everywhere.
fn valgrind() -> Command {
    let mut command = Command::new("valgrind");
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command
}

/// The instructions of each path, by name. As many processes at once as there are cores.
///
/// # Errors
/// The first path that could not be counted, and why.
pub(crate) fn count(paths: &[Path]) -> Result<BTreeMap<String, u64>, String> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            let counted = count_one(path.name);
            found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(path.name.to_owned(), counted);
        }
    };
    thread::scope(|scope| (0..thread::available_parallelism().map_or(1, usize::from)).for_each(|_| drop(scope.spawn(work))));
    let found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.into_iter().map(|(name, counted)| Ok((name.clone(), counted.map_err(|error| format!("{name}: {error}"))?))).collect()
}

fn count_one(name: &str) -> Result<u64, String> {
    let file = env::temp_dir().join(format!("homeroom-cost-{}-{name}", std::process::id()));
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let (Some(folder), Some(own)) = (program.parent(), program.file_name()) else {
        return Err("this program has no name".into());
    };
    // Nothing of the caller's environment and none of his folders: what lies on the stack moves what is behind it, and a copy costs more
    // where it is not aligned. mimalloc gives memory back by the clock; here it keeps it.
    let output = valgrind()
        .current_dir(folder)
        .env("MIMALLOC_PURGE_DELAY", "-1")
        .args(["--tool=callgrind", "--toggle-collect=*measured*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::path::Path::new(".").join(own))
        .args(["run", name])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let written = fs::read_to_string(&file);
    let _gone = fs::remove_file(&file);
    if !output.status.success() {
        return Err(format!("valgrind ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    total(&written.map_err(|error| error.to_string())?).ok_or_else(|| "callgrind counted nothing".to_owned())
}

/// What callgrind's file says was counted in all. Nothing is never right: then the function to count was not found.
fn total(written: &str) -> Option<u64> {
    let line = written.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")))?;
    line.trim().parse().ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_and_nothing_is_no_count() {
        assert_eq!(total("version: 1\nevents: Ir\nsummary: 1234\n\nfn=(1)\n0 7\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("events: Ir\ntotals: 0\n"), None);
        assert_eq!(total("events: Ir\n"), None);
    }
}
