//! `homeroom-cost`: what the pure paths cost, in figures that are the same in every run. Instructions of the hot ones are counted by
//! valgrind and held against `perf/instructions.toml`; a school on 1 to 64 shards tells how its work spreads. No clock is in either.

mod baseline;
mod counting;
mod history;
mod house;
mod paths;
mod shards;

use baseline::{Baseline, Verdict};
use clap::{Parser, Subcommand};
use counting::CannotCount;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// As the server has it, so that what is allocated costs what it costs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser, Debug)]
#[command(about, version, long_about = None, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0, all is as it should be; 1, something grew, or a count was changed without a reason; 2, usage, \
or something failed; 3, cannot be counted here.";

#[derive(Subcommand, Debug)]
enum Command {
    /// Count all paths and hold them against the baseline
    Check {
        /// The baseline
        #[arg(long, default_value = "perf/instructions.toml")]
        baseline: PathBuf,
    },
    /// Count and write what was counted into the baseline
    Accept {
        /// Which paths; none: those that are new, or off by more than the bound
        names: Vec<String>,
        /// Why their counts are others now
        #[arg(long)]
        reason: String,
        /// The baseline
        #[arg(long, default_value = "perf/instructions.toml")]
        baseline: PathBuf,
    },
    /// Run one path, as the check does it below valgrind
    Run {
        /// Which
        name: String,
    },
    /// A school on ever more shards: letters, queues and balance as JSON
    Shards {
        /// How many shards, each at least 1
        #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
        shards: Vec<u16>,
        /// Classrooms
        #[arg(long, default_value_t = 640)]
        rooms: u32,
        /// Members of each
        #[arg(long, default_value_t = 30)]
        members: u32,
    },
}

/// Why a command did not end well.
#[derive(Debug)]
enum Failure {
    /// Something grew, or a reason is missing: told already.
    Refused,
    /// Wrong usage, or something failed.
    Failed(String),
    /// Not on this machine.
    CannotCount(CannotCount),
}

impl From<CannotCount> for Failure {
    fn from(why: CannotCount) -> Failure {
        Failure::CannotCount(why)
    }
}

fn failed(error: impl fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        Command::Check { baseline } => check(&baseline),
        Command::Accept { names, reason, baseline } => accept(&names, &reason, &baseline),
        Command::Run { name } => paths::run(&name).map_err(failed),
        Command::Shards { shards, rooms, members } => spread(&shards, rooms, members),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Refused) => ExitCode::FAILURE,
        Err(Failure::Failed(error)) => {
            eprintln!("homeroom-cost: {error}");
            ExitCode::from(2)
        }
        Err(Failure::CannotCount(why)) => {
            println!("cannot count here: {why}");
            ExitCode::from(3)
        }
    }
}

fn counted(toolchain: &str) -> Result<BTreeMap<String, u64>, Failure> {
    counting::can_count(toolchain)?;
    counting::count(&paths::all()).map_err(failed)
}

fn check(path: &Path) -> Result<(), Failure> {
    let baseline = Baseline::read(path).map_err(failed)?;
    // This is asked wherever there is git, also where nothing can be counted.
    let unexplained = baseline.without_reason(&history::versions(path));
    for name in &unexplained {
        println!("{name:<30} is another than before, or gone, and there is no new reason: say why it changed");
    }
    let counts = match counted(&baseline.toolchain) {
        Err(Failure::CannotCount(why)) if !unexplained.is_empty() => {
            println!("cannot count here: {why}");
            return Err(Failure::Refused);
        }
        counts => counts?,
    };
    let mut refused = !unexplained.is_empty();
    for path in paths::all() {
        let count = counts[path.name];
        let verdict = baseline.judge(path.name, path.operations, count);
        let each = count as f64 / f64::from(path.operations);
        println!("{:<30} {count:>9} instructions, {each:>8.1} each: {verdict}", path.name);
        refused |= verdict.is_refused();
    }
    for name in baseline.strangers(&paths::all()) {
        println!("{name:<30} is in the baseline, and there is no such path");
        refused = true;
    }
    if refused { Err(Failure::Refused) } else { Ok(()) }
}

fn accept(names: &[String], reason: &str, path: &Path) -> Result<(), Failure> {
    let toolchain = counting::toolchain().map_err(failed)?;
    let mut baseline = if path.exists() { Baseline::read(path).map_err(failed)? } else { Baseline::default() };
    let all = paths::all();
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|path| path.name != **name)) {
        return Err(Failure::Failed(format!("there is no path `{unknown}`")));
    }
    let is_new_toolchain = baseline.toolchain != toolchain;
    baseline.toolchain.clone_from(&toolchain);
    let counts = counted(&toolchain)?;
    for path in &all {
        let count = counts[path.name];
        let is_off = baseline.judge(path.name, path.operations, count) != Verdict::Same;
        if is_new_toolchain || names.iter().any(|name| name == path.name) || (names.is_empty() && is_off) {
            baseline.accept(path.name, path.operations, count, reason);
            println!("{:<30} {count}", path.name);
        }
    }
    baseline.strangers(&all).iter().for_each(|name| baseline.forget(name, reason));
    std::fs::write(path, baseline.to_string()).map_err(failed)
}

fn spread(shards: &[u16], rooms: u32, members: u32) -> Result<(), Failure> {
    if shards.contains(&0) || rooms == 0 || members == 0 {
        return Err(Failure::Failed("shards, rooms and members are at least 1".into()));
    }
    let found: Vec<_> = shards.iter().map(|shards| shards::spread(*shards, rooms, members)).collect();
    let shown = serde_json::to_string_pretty(&found).map_err(failed)?;
    println!("{shown}");
    Ok(())
}
