//! What is so on this machine. Nothing is judged here.

use super::host::Host;
use crate::{
    config::{Cluster, Faults, Layers, Loaded},
    house, nats,
    runtime::probe::{self, RingFault},
    tls::Certificate,
};
use rustix::{
    process::{Resource, getrlimit},
    thread::CpuSet,
    time::{ClockId, clock_getres},
};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// Everything that a verdict needs.
#[derive(Debug)]
pub(super) struct Facts {
    /// The settings are wrong; then the rest was looked at with the defaults.
    pub(super) settings: Result<(), Faults>,
    /// Keys that the settings name and that cannot be read.
    pub(super) unreadable: usize,
    pub(super) shards: u16,
    pub(super) release: String,
    pub(super) rings: Result<(), RingFault>,
    /// How many files may be open; `u64::MAX` is no limit.
    pub(super) nofile: u64,
    pub(super) connections: usize,
    /// As many as somebody chose to let in; `None`: only the limits say.
    pub(super) chosen: Option<usize>,
    /// Soft limit of locked memory in bytes; `None` is no limit.
    pub(super) memlock: Option<u64>,
    /// What /proc and /sys tell.
    pub(super) host: Host,
    pub(super) resolution: Duration,
    /// Since 1970.
    pub(super) wall: Duration,
    pub(super) synchronised: Option<bool>,
    pub(super) cores: Cores,
    pub(super) folder: Folder,
    /// Whether NATS lets this node in, or why not; none: it stands alone.
    pub(super) bus: Option<Result<(), String>>,
    /// What each listener with TLS would show, or why it could not.
    pub(super) certificates: Vec<(String, Result<Certificate, String>)>,
}

/// How much of the machine the process may use.
#[derive(Debug)]
pub(super) struct Cores {
    /// By affinity.
    pub(super) allowed: BTreeSet<usize>,
    /// By affinity and the cgroup's quota.
    pub(super) usable: usize,
}

/// The data folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// Whether it is there already; otherwise its nearest parent was looked at.
    pub(super) exists: bool,
    pub(super) disk: Result<Disk, String>,
}

/// The disk under the data folder.
#[derive(Debug)]
pub(super) struct Disk {
    /// Bytes that we may still write.
    pub(super) free: u64,
    /// The median time of an append with fdatasync.
    pub(super) sync: Duration,
}

impl Facts {
    pub(super) fn gather(loaded: Result<Loaded, Faults>, nofile: u64) -> Facts {
        let (loaded, settings) = match loaded {
            Ok(loaded) => (loaded, Ok(())),
            Err(faults) => (Loaded::of(&Layers::default()).expect("the defaults are right"), Err(faults)),
        };
        let cores = cores();
        let websocket = &loaded.settings.websocket;
        let connections = websocket.connections(nofile);
        Facts {
            settings,
            unreadable: loaded.unreadable_keys().len(),
            shards: loaded.settings.shards,
            release: probe::kernel_release(),
            rings: probe::probe(),
            nofile,
            connections,
            chosen: (websocket.max_connections > 0).then_some(connections),
            memlock: getrlimit(Resource::Memlock).current,
            host: Host::read(Path::new("/"), &cores.allowed),
            resolution: Duration::try_from(clock_getres(ClockId::Monotonic)).unwrap_or(Duration::MAX),
            wall: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
            synchronised: probe::clock_synchronised(),
            cores,
            folder: folder(&loaded.settings.data_dir),
            bus: bus(&loaded.settings.cluster),
            certificates: house::look_at_certificates(&loaded.settings.listeners()),
        }
    }
}

/// Connects to NATS and goes again.
fn bus(settings: &Cluster) -> Option<Result<(), String>> {
    let access = house::access(settings).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Some(access.and_then(|access| {
        runtime.map_err(|error| error.to_string())?.block_on(nats::reach(&access)).map_err(|why| why.to_string())
    }))
}

fn cores() -> Cores {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    let allowed = rustix::thread::sched_getaffinity(None)
        .map_or_else(|_| (0..usable).collect(), |set| (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect());
    Cores { allowed, usable }
}

fn folder(path: &Path) -> Folder {
    // An empty parent is the current folder, and a path's last ancestor.
    let at_hand = path.ancestors().map(|at| if at.as_os_str().is_empty() { Path::new(".") } else { at }).find(|at| at.exists());
    let disk =
        at_hand.ok_or_else(|| "no part of the path exists".to_owned()).and_then(|at| disk(at).map_err(|error| error.to_string()));
    Folder { path: path.to_owned(), exists: path.exists(), disk }
}

fn disk(at: &Path) -> io::Result<Disk> {
    let space = rustix::fs::statvfs(at)?;
    let probe = at.join(format!(".homeroom-doctor-{}", std::process::id()));
    let mut file = fs::File::create_new(&probe)?;
    let sync = sync_time(&mut file);
    fs::remove_file(&probe)?;
    Ok(Disk { free: space.f_bavail * space.f_frsize, sync: sync? })
}

/// The median of a few appends with fdatasync, as the store's log makes them.
fn sync_time(file: &mut fs::File) -> io::Result<Duration> {
    let mut times = [Duration::ZERO; 9];
    for time in &mut times {
        let start = Instant::now();
        io::Write::write_all(file, &[0; 4096])?;
        file.sync_data()?;
        *time = start.elapsed();
    }
    times.sort();
    Ok(times[times.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_measured_by_its_parent_and_not_made() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a/b");
        let found = folder(&path);
        assert!(!found.exists && !path.exists() && found.disk.is_ok(), "{found:?}");
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0, "nothing stays behind");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_told() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("data");
        fs::write(&path, "").unwrap();
        assert!(folder(&path).disk.is_err());
    }
}
