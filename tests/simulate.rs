//! Some shards of the shipped engine under a clock, a mesh, sockets, a store and clients that obey a seeded dice. After every turn what
//! must always hold is checked, and when all has come to rest that everything adds up exactly.
//!
//!     cargo test --test simulate                                  3,000 seeds, the same in every run
//!     SIMULATE_FROM=commit cargo test --test simulate             others with every commit
//!     SIMULATE_FROM=7 SIMULATE_SEEDS=100000 cargo test …          more of them, from there on
//!     SIMULATE_SEED=123 cargo test --test simulate                one of them again
//!
//! Seeds that change with the commit would find what is old in a change that has nothing to do with it: `tests/run --long` looks for such.
//! SIMULATE_FAULT=LostLetter plants that fault alone, with SIMULATE_SEED in that run alone, which is told.
//! SIMULATE_STORY=100000 tells so many of the events before a failure, not 200.
//!
//! A failure prints its seed and what happened before it.

#[path = "simulate/chat/mod.rs"]
mod chat;
#[path = "simulate/clients.rs"]
mod clients;
#[path = "simulate/cluster/mod.rs"]
mod cluster;
#[path = "simulate/conn.rs"]
mod conn;
#[path = "simulate/dice.rs"]
mod dice;
#[path = "simulate/faults.rs"]
mod faults;
#[path = "simulate/labs/mod.rs"]
mod labs;
#[path = "simulate/listening.rs"]
mod listening;
#[path = "simulate/model.rs"]
mod model;
#[path = "simulate/nodes.rs"]
mod nodes;
#[path = "simulate/quiz/mod.rs"]
mod quiz;
#[path = "simulate/outside.rs"]
mod outside;
#[path = "simulate/shell.rs"]
mod shell;
#[path = "simulate/stage.rs"]
mod stage;
#[path = "simulate/tasks/mod.rs"]
mod tasks;
#[path = "simulate/wire.rs"]
mod wire;
#[path = "simulate/world.rs"]
mod world;

use chat::world::Chat;
use cluster::world::Cluster;
use labs::world::Labs;
use std::{
    any::Any,
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    env,
    fmt::Debug,
    panic::{self, AssertUnwindSafe},
    process::Command,
    sync::Once,
    thread,
};
use tasks::world::Tasks;
use world::World;

const SEEDS: u64 = 3_000;
/// Of labs: a run of theirs is longer.
const LABS_SEEDS: u64 = 400;
/// Of chat.
const CHAT_SEEDS: u64 = 800;
/// Of tasks.
const TASKS_SEEDS: u64 = 800;
/// Of several nodes.
const CLUSTER_SEEDS: u64 = 1_200;
/// The seeds within which a planted fault must be found.
const SEEDS_TO_FIND: u64 = 200;
/// As many of labs: most of what can go wrong there needs an agent, a session that runs and a viewer first.
const LABS_SEEDS_TO_FIND: u64 = 500;
/// As many of chat.
const CHAT_SEEDS_TO_FIND: u64 = 300;
/// As many of tasks.
const TASKS_SEEDS_TO_FIND: u64 = 300;
/// As many of several nodes.
const CLUSTER_SEEDS_TO_FIND: u64 = 500;
/// The first seed where SIMULATE_FROM names none, and that of planted faults. Changed on purpose only, to try others from then on.
const FIRST: u64 = 0x686F_6D65_726F_6F6D;

thread_local! {
    /// Whether a failure on this thread is awaited, so that nobody needs to be told at once.
    static AWAITED: Cell<bool> = const { Cell::new(false) };
}

/// A world that can be run.
trait Play {
    type Fault: Copy + Debug;
    /// Whether every seed of it is known to hold. Of another the same seeds are tried in a long run too, unless SIMULATE_FROM names a
    /// number.
    const HOLDS: bool = true;
    fn begin(seed: u64, fault: Option<Self::Fault>) -> Self;
    fn story(&mut self) -> &mut Option<VecDeque<String>>;
    fn play(&mut self);
    fn outcome(&self) -> Vec<(String, u64)>;
}

impl Play for World {
    type Fault = faults::Fault;

    fn begin(seed: u64, fault: Option<faults::Fault>) -> World {
        World::new(seed, fault)
    }

    fn story(&mut self) -> &mut Option<VecDeque<String>> {
        &mut self.story
    }

    fn play(&mut self) {
        self.run();
    }

    fn outcome(&self) -> Vec<(String, u64)> {
        self.reached()
    }
}

impl Play for Labs {
    type Fault = labs::faults::Fault;

    fn begin(seed: u64, fault: Option<labs::faults::Fault>) -> Labs {
        Labs::new(seed, fault)
    }

    fn story(&mut self) -> &mut Option<VecDeque<String>> {
        &mut self.story
    }

    fn play(&mut self) {
        self.run();
    }

    fn outcome(&self) -> Vec<(String, u64)> {
        self.reached()
    }
}

impl Play for Chat {
    type Fault = chat::faults::Fault;

    fn begin(seed: u64, fault: Option<chat::faults::Fault>) -> Chat {
        Chat::new(seed, fault)
    }

    fn story(&mut self) -> &mut Option<VecDeque<String>> {
        &mut self.stage.story
    }

    fn play(&mut self) {
        self.run();
    }

    fn outcome(&self) -> Vec<(String, u64)> {
        self.reached()
    }
}

impl Play for Tasks {
    type Fault = tasks::faults::Fault;

    fn begin(seed: u64, fault: Option<tasks::faults::Fault>) -> Tasks {
        Tasks::new(seed, fault)
    }

    fn story(&mut self) -> &mut Option<VecDeque<String>> {
        &mut self.stage.story
    }

    fn play(&mut self) {
        self.run();
    }

    fn outcome(&self) -> Vec<(String, u64)> {
        self.reached()
    }
}

impl Play for Cluster {
    type Fault = cluster::faults::Fault;

    fn begin(seed: u64, fault: Option<cluster::faults::Fault>) -> Cluster {
        Cluster::new(seed, fault)
    }

    fn story(&mut self) -> &mut Option<VecDeque<String>> {
        &mut self.story
    }

    fn play(&mut self) {
        self.run();
    }

    fn outcome(&self) -> Vec<(String, u64)> {
        self.reached()
    }
}

/// Runs a seed. What it reached, or the fault that was found in words.
fn run<W: Play>(seed: u64, fault: Option<W::Fault>, story: bool) -> Result<Vec<(String, u64)>, String> {
    let mut world = W::begin(seed, fault);
    *world.story() = story.then(VecDeque::new);
    AWAITED.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(|| world.play()));
    AWAITED.set(false);
    result.map(|()| world.outcome()).map_err(|panic| {
        let lines = world.story().take().into_iter().flatten().collect::<Vec<_>>().join("\n");
        format!("{lines}\n{}", words(&*panic))
    })
}

/// Keeps what is awaited from being told by the panic hook.
fn hold_tongue() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !AWAITED.get() {
                usual(info);
            }
        }));
    });
}

/// Runs seeds on all cores: what they reached in all, or the first that fails.
fn run_all<W: Play>(first: u64, seeds: u64) -> Result<BTreeMap<String, u64>, u64> {
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let part = |part: u64| {
        let mut reached = BTreeMap::new();
        for n in (part..seeds).step_by(threads as usize) {
            for (name, count) in run::<W>(first.wrapping_add(n), None, false).map_err(|_| n)? {
                *reached.entry(name).or_default() += count;
            }
        }
        Ok(reached)
    };
    let parts: Vec<Result<BTreeMap<String, u64>, u64>> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|n| scope.spawn(move || part(n))).collect();
        running.into_iter().map(|thread| thread.join().expect("a run's panic is caught")).collect()
    });
    if let Some(n) = parts.iter().filter_map(|part| part.as_ref().err()).min() {
        return Err(first.wrapping_add(*n));
    }
    let mut all = BTreeMap::new();
    parts.into_iter().flatten().flatten().for_each(|(name, count)| *all.entry(name).or_default() += count);
    Ok(all)
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Where to begin: always there, or where SIMULATE_FROM says.
fn first_seed() -> u64 {
    match env::var("SIMULATE_FROM") {
        Err(_) => FIRST,
        Ok(from) if from == "commit" => seed_of_commit(),
        Ok(from) => from.parse().expect("SIMULATE_FROM is `commit` or a number"),
    }
}

/// So that every commit tries others and one commit always the same.
fn seed_of_commit() -> u64 {
    let commit = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let text = commit.ok().filter(|output| output.status.success()).and_then(|output| String::from_utf8(output.stdout).ok());
    text.and_then(|text| u64::from_str_radix(text.get(..16)?, 16).ok()).expect("git tells the commit")
}

fn hold<W: Play>(usual: u64, name: &str) {
    hold_tongue();
    let one = number("SIMULATE_SEED");
    let any = W::HOLDS || env::var("SIMULATE_FROM").is_ok_and(|from| from != "commit");
    let first = one.unwrap_or_else(|| if any { first_seed() } else { FIRST });
    // A long run of one is a long run of all.
    let asked = number("SIMULATE_SEEDS").filter(|_| any).map(|seeds| (seeds * usual).div_ceil(SEEDS));
    let seeds = if one.is_some() { 1 } else { asked.unwrap_or(usual) };
    println!("{seeds} seeds of {name} from {first}");
    match run_all::<W>(first, seeds) {
        Ok(reached) if seeds >= usual => {
            println!("{reached:?}");
            assert!(reached.values().all(|count| *count > 0), "something never happens: {reached:?}");
        }
        Ok(_) => {}
        Err(seed) => {
            let story = run::<W>(seed, None, true).expect_err("equal seeds give equal runs");
            panic!("\n{story}\n\nSIMULATE_SEED={seed} cargo test --test simulate {name}");
        }
    }
}

fn find<W: Play>(faults: &[W::Fault], seeds: u64) {
    hold_tongue();
    let chosen = env::var("SIMULATE_FAULT").ok();
    let one = number("SIMULATE_SEED");
    let (first, seeds) = one.map_or((FIRST, seeds), |one| (one, 1));
    for fault in faults.iter().filter(|fault| chosen.as_ref().is_none_or(|chosen| format!("{fault:?}") == *chosen)) {
        let found = |n| run::<W>(first.wrapping_add(n), Some(*fault), one.is_some()).err().map(|found| (n, found));
        let found = (0..seeds).find_map(found);
        let (n, found) = found.unwrap_or_else(|| panic!("{fault:?} was not found in {seeds} seeds"));
        println!("{fault:?} is found by seed {}: {}", n + 1, found.trim());
    }
}

#[test]
fn what_must_hold_holds() {
    hold::<World>(SEEDS, "what_must_hold_holds");
}

#[test]
fn planted_faults_are_found() {
    find::<World>(&faults::Fault::ALL, SEEDS_TO_FIND);
}

#[test]
fn what_must_hold_of_labs_holds() {
    hold::<Labs>(LABS_SEEDS, "what_must_hold_of_labs_holds");
}

#[test]
fn faults_planted_in_labs_are_found() {
    find::<Labs>(&labs::faults::Fault::ALL, LABS_SEEDS_TO_FIND);
}

#[test]
fn what_must_hold_of_chat_holds() {
    hold::<Chat>(CHAT_SEEDS, "what_must_hold_of_chat_holds");
}

#[test]
fn faults_planted_in_chat_are_found() {
    find::<Chat>(&chat::faults::Fault::ALL, CHAT_SEEDS_TO_FIND);
}

#[test]
fn what_must_hold_of_tasks_holds() {
    hold::<Tasks>(TASKS_SEEDS, "what_must_hold_of_tasks_holds");
}

#[test]
fn faults_planted_in_tasks_are_found() {
    find::<Tasks>(&tasks::faults::Fault::ALL, TASKS_SEEDS_TO_FIND);
}

#[test]
fn what_must_hold_of_a_cluster_holds() {
    hold::<Cluster>(CLUSTER_SEEDS, "what_must_hold_of_a_cluster_holds");
}

#[test]
fn faults_planted_in_a_cluster_are_found() {
    find::<Cluster>(&cluster::faults::Fault::ALL, CLUSTER_SEEDS_TO_FIND);
}
