//! Starts the shards: limits, sockets, mesh, threads. Either all run or none does, and then it is told what failed and why.

use super::{
    clock::Clock,
    fronts::Porch,
    gate::{self, Arrival, Gate},
    listen::{self, ListenFault},
    mesh::{self, Post},
    nudge::Nudge,
    parting::Heritage,
    patience::AT_START,
    ring::RingSizes,
    shard::Shard,
    stop::{Phase, Stage, StopSignals, StopTimes},
    turn::{OnHandoff, ShardParts, run_shard},
    unix::SocketFile,
};
use crate::{
    config::Bind,
    realtime::{HashRing, NodeSlot, ShardId},
};
use glommio::{LocalExecutorBuilder, Placement};
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity},
};
use std::{
    cell::RefCell,
    fmt, io,
    os::fd::OwnedFd,
    panic,
    rc::Rc,
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many shards. More than the process may use cores is possible, with a warning.
    pub shards: u16,
    /// Where to listen. The engine knows each by its place in this list; 255 at most.
    pub listeners: Vec<Place>,
    /// Sizes of each shard's ring.
    pub ring: RingSizes,
    /// Which node of a cluster this is, and who was in that when it joined; none: it stands alone, and there is no gate.
    pub node: Option<(NodeSlot, Arc<HashRing>)>,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where.
    pub bind: Bind,
    /// What stands before it.
    pub porch: Porch,
}

/// One shard's place in the house, handed to the function that makes its engine.
pub struct Seat<A> {
    /// Which shard.
    pub id: ShardId,
    /// How many there are.
    pub shards: u16,
    /// What the listeners are bound to, in the plan's order.
    pub addresses: Arc<[Bind]>,
    /// The clock that all shards share.
    pub clock: Clock,
    /// For those who answer this shard from other threads.
    pub post: Post<A>,
    /// For REST tasks on this shard.
    pub nudge: Nudge,
    /// The counts of all shards, and where the process is in its life.
    pub stage: Arc<Stage>,
}

/// What a shard runs. Made on the shard's own thread.
pub struct Furnishing<E> {
    /// The engine. REST tasks on the same shard may borrow it between turns, never across an await.
    pub engine: Rc<RefCell<E>>,
    /// What becomes of plain HTTP.
    pub on_handoff: OnHandoff,
}

/// The process could not start.
#[derive(Debug)]
pub enum BootFault {
    /// A listener could not be opened.
    Listen(ListenFault),
    /// Something of the system that all shards share could not be had.
    System(&'static str, io::Error),
    /// A shard could not be set up.
    Shard(ShardId, String),
}

impl fmt::Display for BootFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootFault::Listen(fault) => fault.fmt(f),
            BootFault::System(what, fault) => write!(f, "{what}: {fault}"),
            BootFault::Shard(id, why) => write!(f, "shard {id} could not start: {why}"),
        }
    }
}

impl std::error::Error for BootFault {}

/// Glommio's own rings are small: only REST and files use them. Both fit the usual 8 MiB of locked memory.
const GLOMMIO_IO_BYTES: usize = 64 << 10;
const GLOMMIO_RING_DEPTH: usize = 128;
/// An executor that is held up for so long can park although tasks are runnable (see the heartbeat in `turn`), so it is long.
/// Nobody waits for it: the pump lets the reactor in by itself.
const PREEMPT_TIMER: Duration = Duration::from_millis(100);
/// Memory that all letter queues together may take is bounded by their number: this many letters for all pairs of a shard.
const LETTERS_EACH_SHARD: usize = 8_192;

type Thread = (ShardId, JoinHandle<io::Result<()>>);

/// Shards of one kind, running.
pub(super) type RunningShards<E> = Running<<E as Shard>::Answer, <E as Shard>::Letter, <E as Shard>::Loss>;

/// The shards, running.
pub struct Running<A, L, M> {
    threads: Vec<Thread>,
    post: Post<A>,
    gate: Option<Gate<L, M>>,
    stage: Arc<Stage>,
    clock: Clock,
    addresses: Vec<Bind>,
    files: Vec<SocketFile>,
}

impl<A, L, M> Running<A, L, M> {
    /// Where each listener of the plan really listens.
    pub fn addresses(&self) -> &[Bind] {
        &self.addresses
    }

    /// For other threads that answer shards.
    pub fn post(&self) -> &Post<A> {
        &self.post
    }

    /// The clock that the shards share.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The way to other nodes, where this is one of several. Taken once.
    pub fn take_gate(&mut self) -> Option<Gate<L, M>> {
        self.gate.take()
    }

    /// The phase and the counts.
    pub fn stage(&self) -> &Arc<Stage> {
        &self.stage
    }

    /// Stops on SIGTERM or SIGINT; a second one ends the process at once.
    pub fn stop_on(&self, signals: &StopSignals, times: StopTimes) {
        signals.stop(self.stage.clone(), times);
    }

    /// Waits until all shards have ended. An error is a fault of a shard, after which the others are ended too.
    pub fn join(self) -> Result<(), BootFault> {
        let ended = join(self.threads, &self.stage);
        self.files.into_iter().for_each(SocketFile::remove);
        ended
    }
}

/// Raises the soft limit of open files to the hard one. Returns what is allowed now; `None`: no limit.
pub fn raise_open_files() -> io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum)
}

/// The exit code after a panic: EX_SOFTWARE of sysexits.h.
pub(super) const PANIC_CODE: u8 = 70;

/// Keeps huge pages out of this process. An idle connection is a few hundred bytes in many places; rounded up to 2 MiB at a time
/// the heap of an empty server is 15 MiB larger, and of a full one never what its connections take. To be called before much is allocated.
pub fn count_memory_in_small_pages() {
    // Where the kernel does not know the call there is nothing to keep out.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// From now on a panic on any thread is logged and ends the process at once with code 70. A process that lost a shard must not look alive.
pub fn end_process_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        tracing::error!(place = info.location().map(tracing::field::display), "panic: the process ends");
        signal_hook::low_level::exit(i32::from(PANIC_CODE));
    }));
}

/// Starts all shards. `furnish` is called once on each shard's thread.
pub fn start<E, F>(plan: &Plan, furnish: F) -> Result<RunningShards<E>, BootFault>
where
    E: Shard,
    F: Fn(Seat<E::Answer>) -> Furnishing<E> + Send + Sync + 'static,
{
    start_from(plan, None, furnish)
}

/// As [`start`], with the sockets of another process, which had as many shards and the same listeners.
pub fn start_from<E, F>(plan: &Plan, heritage: Option<Heritage>, furnish: F) -> Result<RunningShards<E>, BootFault>
where
    E: Shard,
    F: Fn(Seat<E::Answer>) -> Furnishing<E> + Send + Sync + 'static,
{
    let system = |what| move |fault| BootFault::System(what, fault);
    raise_open_files().map_err(system("cannot raise the limit of open files"))?;
    let cores = cores().map_err(system("cannot learn which cores may be used"))?;
    let shards = usize::from(plan.shards.max(1));
    if shards > cores.len() {
        tracing::warn!(shards, cores = cores.len(), "more shards than cores: some share a core");
    }
    let Heritage { listeners, sockets: mut inherited } = heritage.unwrap_or_default();
    inherited.resize_with(shards, Vec::new);
    let bounds = if listeners.is_empty() { bind(plan, shards)? } else { take_over(plan, listeners)? };
    let Bounds { mut sockets, addresses, files } = bounds;
    let porches: Vec<Porch> = plan.listeners.iter().map(|place| place.porch.clone()).collect();
    let doors = mesh::doors(shards).map_err(system("cannot make an eventfd"))?;
    let capacity = (LETTERS_EACH_SHARD / shards).clamp(64, 4096);
    let node = plan.node.as_ref().map_or(NodeSlot::default(), |(node, _)| *node);
    let mut ends = mesh::mesh::<E::Letter, E::Loss>(node, &doors, capacity);
    let gate = plan.node.as_ref().map(|(node, first)| {
        let (mut gate, gates) = gate::gate(*node, &doors);
        // Before anybody can be accepted.
        gate.put_to_all(|| Arrival::View(first.clone()));
        ends = std::mem::take(&mut ends).into_iter().zip(gates).map(|(end, gate)| end.with_gate(gate)).collect();
        gate
    });
    let (post, stage, clock, furnish) =
        (Post::new(&doors), Arc::new(Stage::new(&doors)), Clock::started_now(), Arc::new(furnish));
    let mut running = Running { threads: Vec::new(), post, gate, stage, clock, addresses, files };
    let bound: Arc<[Bind]> = running.addresses.as_slice().into();
    let mut readies = Vec::new();
    for index in 0..shards {
        let id = ShardId::of(node, index as u8);
        let (listeners, mesh, sizes, furnish) = (std::mem::take(&mut sockets[index]), ends.remove(0), plan.ring, furnish.clone());
        let (porches, inherited) = (porches.clone(), std::mem::take(&mut inherited[index]));
        let (post, stage, addresses) = (running.post.clone(), running.stage.clone(), bound.clone());
        let (tell_ready, ready) = mpsc::channel();
        let shard = move || async move {
            let nudge = Nudge::default();
            let (seat_post, seat_nudge, seat_stage) = (post.clone(), nudge.clone(), stage.clone());
            let shards = shards as u16;
            let seat = Seat { id, shards, addresses, clock, post: seat_post, nudge: seat_nudge, stage: seat_stage };
            let Furnishing { engine, on_handoff } = furnish(seat);
            let stage_of_parts = stage.clone();
            let parts = ShardParts {
                id,
                sizes,
                listeners,
                porches,
                mesh,
                post,
                engine,
                on_handoff,
                nudge,
                clock,
                stage: stage_of_parts,
                inherited,
            };
            let result = run_shard(parts, || tell_ready.send(()).unwrap_or_default()).await;
            // One shard that ends in a fault takes the others with it.
            stage.advance(Phase::Gone);
            result
        };
        match on_core(id, cores[index % cores.len()], shard) {
            Ok(thread) => running.threads.push((id, thread)),
            Err(fault) => return Err(abandon(running, BootFault::Shard(id, fault.to_string()))),
        }
        readies.push(ready);
    }
    if readies.iter().any(|ready: &Receiver<()>| ready.recv().is_err()) {
        running.stage.advance(Phase::Gone);
        let unknown = BootFault::Shard(ShardId(0), "it ended before it was ready".to_owned());
        return Err(join(running.threads, &running.stage).err().unwrap_or(unknown));
    }
    Ok(running)
}

fn abandon<A, L, M>(running: Running<A, L, M>, fault: BootFault) -> BootFault {
    running.stage.advance(Phase::Gone);
    let _ = join(running.threads, &running.stage);
    fault
}

/// Runs what this makes on a thread of its own with an executor, pinned to a core.
fn on_core<F: Future<Output = io::Result<()>> + 'static>(
    id: ShardId,
    core: usize,
    shard: impl FnOnce() -> F + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let executor = move || {
        let executor = LocalExecutorBuilder::new(Placement::Fixed(core))
            .io_memory(GLOMMIO_IO_BYTES)
            .ring_depth(GLOMMIO_RING_DEPTH)
            .preempt_timer(PREEMPT_TIMER);
        executor.make().map_err(io::Error::from)
    };
    let run = move || AT_START.make(format_args!("the executor of shard {id}"), executor)?.run(shard());
    thread::Builder::new().name(format!("shard-{id}")).spawn(run)
}

/// Waits for all; the first fault is the one that is told.
fn join(threads: Vec<Thread>, stage: &Stage) -> Result<(), BootFault> {
    let mut first = Ok(());
    for (id, thread) in threads {
        let why = match thread.join() {
            Ok(Ok(())) => continue,
            Ok(Err(fault)) => fault.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        stage.advance(Phase::Gone);
        tracing::error!(shard = %id, why, "a shard ended in a fault");
        first = first.and(Err(BootFault::Shard(id, why)));
    }
    first
}

/// Finds out whether all of a plan's listeners could be opened, before anything is done that a start that fails should not have done.
///
/// # Errors
///
/// [`BootFault::Listen`], for the first that could not.
pub fn probe_listeners(plan: &Plan) -> Result<(), BootFault> {
    plan.listeners.iter().try_for_each(|place| listen::probe(&place.bind).map_err(BootFault::Listen))
}

/// All that is listened at.
struct Bounds {
    /// For each shard its sockets, in the order of the plan's listeners.
    sockets: Vec<Vec<OwnedFd>>,
    addresses: Vec<Bind>,
    files: Vec<SocketFile>,
}

fn bind(plan: &Plan, shards: usize) -> Result<Bounds, BootFault> {
    let mut sockets: Vec<Vec<OwnedFd>> = (0..shards).map(|_| Vec::new()).collect();
    let (mut addresses, mut files) = (Vec::new(), Vec::new());
    for place in &plan.listeners {
        let bound = listen::bind(&place.bind, shards).map_err(BootFault::Listen)?;
        addresses.push(bound.at);
        files.extend(bound.file);
        for (shard, socket) in bound.sockets.into_iter().enumerate() {
            sockets[shard].push(socket);
        }
    }
    Ok(Bounds { sockets, addresses, files })
}

/// The same listeners as another process had them, by shard.
fn take_over(plan: &Plan, sockets: Vec<Vec<OwnedFd>>) -> Result<Bounds, BootFault> {
    let (mut addresses, mut files) = (Vec::new(), Vec::new());
    for (index, place) in plan.listeners.iter().enumerate() {
        let first = sockets.first().and_then(|sockets| sockets.get(index));
        addresses.push(first.map_or_else(|| place.bind.clone(), |socket| listen::bound(socket, &place.bind)));
        if let Bind::Unix(path) = &place.bind {
            files.push(SocketFile::of(path));
        }
    }
    Ok(Bounds { sockets, addresses, files })
}

/// The cores that this process may use.
fn cores() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect())
}
