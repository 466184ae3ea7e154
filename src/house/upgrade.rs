//! An upgrade: another process, of the program as it is on the disk now, takes over the sockets, and with them the connections that can be
//! carried ([`crate::engine::passage`]).
//!
//! 1. The former process starts the next one, with one end of a pair of unix sockets as its standard input. That one reads its
//!    settings and keys, makes its house, and says what it is made for. Where it does not come so far, or has other listeners or
//!    shards, it is ended, and nothing has happened.
//! 2. The shards part ([`crate::runtime::Stage::part`]), the records are closed.
//! 3. What is left goes over to the next process, which opens the records, begins with it, and says that it serves; then the former one
//!    ends. Where it does not say so in time it is ended, and the former program is started again with what is left: it goes on.

use super::{
    House, HouseFault,
    acts::{self, Acts, By},
};
use crate::{
    engine::passage::{self, Estate, Legacy, deal},
    observe::{
        notify::Supervisor,
        traces::{self, Open},
    },
    realtime::HashRing,
    runtime::{Heritage, Parcel, Stage, receive, send},
};
use crossbeam::queue::ArrayQueue;
use rkyv::rancor::Failure;
use rustix::process::{Pid, getpid, getppid};
use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    fmt, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Names the process that left something, to the one that it has started. Not one of the settings' variables.
const VARIABLE: &str = "HANDED_OVER_BY";
/// For the next process to read its settings and to make its house; and, later, to serve.
const PATIENCE: Duration = Duration::from_secs(30);
/// The form of what the two say to each other, and of what goes over.
const FORM: u16 = passage::VERSION;
const READY: &[u8] = b"ready";

/// What goes over, but the descriptors: those of each shard's listeners, then of its connections.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Manifest {
    estates: Vec<Vec<u8>>,
    listeners: Vec<u32>,
    sockets: Vec<u32>,
}

/// What a process is made for: two that differ in it hand nothing over.
pub(super) fn facts(house: &House) -> String {
    let listeners: Vec<String> = house.listeners.iter().map(|listener| listener.bind.to_string()).collect();
    format!("form {FORM}, {} shards, listeners {}", house.shards(), listeners.join(" "))
}

/// In the next process: the way to the former one.
#[derive(Debug)]
pub struct Heir(UnixStream);

impl Heir {
    /// Where the parent of this process has something to leave.
    pub fn of_process() -> Option<Heir> {
        let by: i32 = env::var(VARIABLE).ok()?.parse().ok()?;
        let is_parents = getppid().is_some_and(|parent| parent.as_raw_nonzero().get() == by);
        let way = is_parents.then(|| io::stdin().as_fd().try_clone_to_owned().ok()).flatten()?;
        Some(Heir(UnixStream::from(way)))
    }

    /// Says that the house is made, and waits for what is left.
    pub(super) fn await_left(&self, facts: &str) -> Result<Left, HouseFault> {
        let fault = |fault: io::Error| HouseFault::NothingLeft(fault.to_string());
        send(&self.0, facts.as_bytes(), &[]).map_err(fault)?;
        let (bytes, descriptors) = receive(&self.0).map_err(fault)?;
        Left::of(&bytes, descriptors).map_err(|why| HouseFault::NothingLeft(why.to_owned()))
    }

    /// It serves.
    pub(super) fn ready(&self) {
        // The former one may be gone, which is no reason not to serve.
        let _ = send(&self.0, READY, &[]);
    }
}

/// What a former process has left.
pub(super) struct Left {
    estates: Vec<Estate>,
    pub(super) heritage: Heritage,
}

impl Left {
    fn of(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<Left, &'static str> {
        let manifest = rkyv::from_bytes::<Manifest, Failure>(bytes).map_err(|_| "it cannot be read")?;
        let estates: Result<Vec<Estate>, _> = manifest.estates.iter().map(|estate| Estate::read(estate)).collect();
        let estates = estates.map_err(|_| "it is of another version, or damaged")?;
        let counted = estates.iter().zip(&manifest.sockets).all(|(estate, sockets)| estate.len() == *sockets as usize);
        let whole: usize = manifest.listeners.iter().chain(&manifest.sockets).map(|count| *count as usize).sum();
        if !counted || whole != descriptors.len() || manifest.listeners.len() != estates.len() {
            return Err("descriptors are missing");
        }
        let (mut descriptors, mut heritage) = (descriptors.into_iter(), Heritage::default());
        for (listeners, sockets) in manifest.listeners.iter().zip(&manifest.sockets) {
            heritage.listeners.push(descriptors.by_ref().take(*listeners as usize).collect());
            heritage.sockets.push(descriptors.by_ref().take(*sockets as usize).collect());
        }
        Ok(Left { estates, heritage })
    }

    /// The numbers of the sessions that go on.
    pub(super) fn sessions(&self) -> BTreeSet<i64> {
        self.estates.iter().flat_map(Estate::sessions).collect()
    }

    /// For each shard what it takes over, and the sockets.
    pub(super) fn deal(self, ring: &HashRing) -> (Legacies, Heritage) {
        let legacies = deal(self.estates, ring).into_iter().map(|legacy| {
            let queue = ArrayQueue::new(1);
            queue.force_push(legacy);
            queue
        });
        (legacies.collect(), self.heritage)
    }
}

/// What each shard takes over, once.
pub(super) type Legacies = Arc<[ArrayQueue<Legacy>]>;

/// The next process, which waits for what is left.
#[derive(Debug)]
pub(super) struct Successor {
    child: Child,
    way: UnixStream,
}

impl Successor {
    fn start(program: &Path, (arguments, manager): (&[OsString], &Supervisor), facts: &str) -> Result<Successor, String> {
        let (way, other) = UnixStream::pair().map_err(|fault| fault.to_string())?;
        let patient = way.set_read_timeout(Some(PATIENCE)).and_then(|()| way.set_write_timeout(Some(PATIENCE)));
        patient.map_err(|fault| fault.to_string())?;
        let mut command = Command::new(program);
        command.args(arguments).envs(manager.bequest()).env(VARIABLE, getpid().as_raw_nonzero().to_string());
        command.stdin(Stdio::from(OwnedFd::from(other)));
        let child = command.spawn().map_err(|fault| format!("{} cannot be started: {fault}", program.display()))?;
        // What the command holds of the other end must not outlive it, or the end of the process would not be the end of the stream.
        drop(command);
        let successor = Successor { child, way };
        match receive(&successor.way) {
            Ok((own, _)) if own == facts.as_bytes() => Ok(successor),
            Ok((own, _)) => {
                let own = String::from_utf8_lossy(&own).into_owned();
                Err(successor
                    .end(&format!("it is made for something else ({own}) than this one ({facts}): that needs a restart")))
            }
            Err(fault) => Err(successor.end(&format!("it did not come so far as to take over ({fault})"))),
        }
    }

    /// Ends it; says why, and how it ended.
    fn end(mut self, why: &str) -> String {
        let pid = self.child.id();
        let _ = self.child.kill();
        match self.child.wait() {
            Ok(status) => format!("the next process, {pid}: {why}; it ended with {status}, and its log says more"),
            Err(fault) => format!("the next process, {pid}: {why}; {fault}"),
        }
    }

    /// Gives it all. Comes back when it serves.
    fn inherit(self, manifest: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<Child, String> {
        match send(&self.way, manifest, descriptors).and_then(|()| receive(&self.way)) {
            Ok((said, _)) if said == READY => Ok(self.child),
            Ok(_) => Err(self.end("it did not say that it serves")),
            Err(fault) => Err(self.end(&format!("it does not serve ({fault})"))),
        }
    }
}

/// In the former process: how it hands over.
pub(super) struct Upgrade {
    stage: Arc<Stage>,
    facts: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    /// As it was when this process began: its parent may be gone by now.
    manager: Supervisor,
    /// Begun; who is to have what is left.
    successor: Mutex<Option<(Successor, Open)>>,
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("facts", &self.facts).field("program", &self.program).finish_non_exhaustive()
    }
}

impl Upgrade {
    /// Of this process, which has come from that file: another may be in its place by the time.
    pub(super) fn new(stage: &Arc<Stage>, facts: String) -> Upgrade {
        let program = env::current_exe().unwrap_or_else(|_| "homeroom".into());
        let arguments = env::args_os().skip(1).collect();
        let manager = Supervisor::of_process();
        Upgrade { stage: stage.clone(), facts, program, arguments, manager, successor: Mutex::default() }
    }

    /// Starts the next process, and when that is there has the shards part. Returns its number.
    ///
    /// # Errors
    /// It did not come up: this one goes on as if nothing had been. Or this one hands over, or stops, already.
    pub(super) fn begin(&self) -> Result<u32, String> {
        if getpid() == Pid::INIT {
            return Err("this is process 1, and all ends with it".to_owned());
        }
        let mut place = self.successor.try_lock().map_err(|_| "an upgrade is under way".to_owned())?;
        if !self.stage.is_serving() || place.is_some() {
            return Err("it does not serve any more".to_owned());
        }
        let span = traces::inside("upgrade", None);
        let successor = Successor::start(&self.program, (&self.arguments, &self.manager), &self.facts)?;
        let pid = successor.child.id();
        *place = Some((successor, span));
        let stage = self.stage.clone();
        tracing::info!(pid, "handing over to another process");
        let parting = thread::Builder::new().name("parting".to_owned()).spawn(move || stage.part());
        parting.map(|_| pid).map_err(|fault| fault.to_string())
    }

    /// As [`Upgrade::begin`], on a thread of its own; what comes of it is in the log.
    pub(super) fn begin_aside(self: &Arc<Self>, acts: Acts) {
        let own = self.clone();
        let begin = move || {
            let begun = own.begin();
            acts.note("upgrade", By::signal(), begun.as_ref().map(drop).map_err(|_| acts::NOT_BEGUN));
            if let Err(why) = begun {
                tracing::error!(why, "no upgrade: this process goes on");
            }
        };
        if let Err(fault) = thread::Builder::new().name("upgrade".to_owned()).spawn(begin) {
            tracing::error!(%fault, "no upgrade: this process goes on");
        }
    }

    /// Whether the shards have left something for another process.
    pub(super) fn has_left(&self) -> bool {
        self.stage.has_parcels()
    }

    /// Gives what the shards have left to the next process, or, where that does not serve, to this program once more. Nothing where no
    /// upgrade was begun. To be called when the shards have ended and the records are closed.
    pub(super) fn conclude(&self) -> Result<(), HouseFault> {
        let Some((successor, span)) = self.successor.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        let parcels = self.stage.parcels();
        if parcels.is_empty() {
            let why = successor.end("the former one was stopped");
            tracing::warn!(why, "no upgrade");
            return Ok(());
        }
        let count = |of: fn(&Parcel) -> usize| parcels.iter().map(|parcel| of(parcel) as u32).collect();
        let manifest = Manifest {
            listeners: count(|parcel| parcel.listeners.len()),
            sockets: count(|parcel| parcel.sockets.len()),
            estates: parcels.iter().map(|parcel| parcel.estate.clone()).collect(),
        };
        // Only memory could fail, and that ends the process.
        let manifest = rkyv::to_bytes::<Failure>(&manifest).expect("a value of our own types can be written");
        let all = parcels.iter().flat_map(|parcel| parcel.listeners.iter().chain(&parcel.sockets));
        let descriptors: Vec<BorrowedFd<'_>> = all.map(AsFd::as_fd).collect();
        let taken = successor.inherit(&manifest, &descriptors).or_else(|why| {
            tracing::error!(why, "the next process did not come up: this program goes on");
            let again = Successor::start(Path::new("/proc/self/exe"), (&self.arguments, &self.manager), &self.facts)?;
            again.inherit(&manifest, &descriptors)
        });
        let child = taken.map_err(HouseFault::Upgrade)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        pid.into_iter().for_each(|pid| self.manager.hand_over_to(pid));
        let connections = manifest_sockets(&parcels);
        tracing::info!(pid = child.id(), connections, "another process serves in place of this one");
        span.done();
        Ok(())
    }
}

fn manifest_sockets(parcels: &[Parcel]) -> usize {
    parcels.iter().map(|parcel| parcel.sockets.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(sockets: u32) -> Vec<u8> {
        let manifest = Manifest { estates: vec![Estate::default().write()], listeners: vec![1], sockets: vec![sockets] };
        rkyv::to_bytes::<Failure>(&manifest).unwrap().to_vec()
    }

    fn descriptors(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| tempfile::tempfile().unwrap().into()).collect()
    }

    #[test]
    fn only_what_is_whole_is_taken() {
        let left = Left::of(&manifest(0), descriptors(1)).map_err(str::to_owned).unwrap();
        assert_eq!((left.heritage.listeners[0].len(), left.heritage.sockets[0].len()), (1, 0));
        assert!(Left::of(&manifest(0), descriptors(0)).is_err(), "a listener is missing");
        assert!(Left::of(&manifest(1), descriptors(2)).is_err(), "a socket that nobody speaks of");
        assert!(Left::of(&manifest(0)[1..], descriptors(1)).is_err());
        assert!(Left::of(b"", descriptors(1)).is_err());
    }

    #[test]
    fn a_process_that_does_not_come_so_far_is_told_of() {
        let nothing = (&[][..], &Supervisor::default());
        let why = Successor::start(Path::new("/nonexistent"), nothing, "a").unwrap_err();
        assert!(why.contains("cannot be started"), "{why}");
        let why = Successor::start(Path::new("/bin/true"), nothing, "a").unwrap_err();
        assert!(why.contains("did not come so far"), "{why}");
    }
}
