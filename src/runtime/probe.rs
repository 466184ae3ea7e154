//! Whether this machine gives us the rings we need, and if not, exactly why and what to do. `serve` asks before the first shard,
//! `doctor` any time.

use super::patience::AT_START;
use io_uring::{IoUring, Probe, opcode};
use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use std::{
    fmt, io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

/// The oldest kernel (major, minor) with all that a ring uses: DEFER_TASKRUN came last.
pub const OLDEST_KERNEL: (u32, u32) = (6, 1);
/// Locked memory that the shards' executors and rings fit into, in bytes.
pub const LOCKED_MEMORY: u64 = 8 << 20;
/// Below this limit of locked memory, in bytes, glommio starts no executor (its `sys/uring.rs`).
const EXECUTOR_MEMORY: u64 = 512 << 10;

/// What keeps us from our rings. Shown, it says what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RingFault {
    /// The kernel is older than [`OLDEST_KERNEL`].
    OldKernel {
        /// Its release, as `uname -r` has it.
        release: String,
    },
    /// `kernel.io_uring_disabled` is 1 (only a group and root may) or 2 (nobody may).
    SwitchedOff {
        /// The sysctl's value.
        level: u8,
    },
    /// A filter on the process refuses io_uring: a container's seccomp profile, a service's SystemCallFilter, a security module.
    Forbidden,
    /// The kernel is new enough and has no io_uring (built without, or a filter that pretends so).
    Missing,
    /// Not enough memory that may be locked.
    LockedMemory {
        /// The limit of the process in bytes; `None` is no limit.
        limit: Option<u64>,
    },
    /// No descriptor is left.
    Descriptors,
    /// A ring can be had, but not one thing that we use.
    Lacks {
        /// The thing.
        what: &'static str,
        /// What the kernel said.
        said: String,
    },
}

impl fmt::Display for RingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingFault::OldKernel { release } => {
                let (major, minor) = OLDEST_KERNEL;
                write!(f, "Linux {release} is too old for homeroom's io_uring: boot {major}.{minor} or newer")
            }
            RingFault::SwitchedOff { level: 1 } => f.write_str(
                "io_uring is switched off for ordinary users (kernel.io_uring_disabled = 1): add homeroom's group to \
                 kernel.io_uring_group, or run `sysctl kernel.io_uring_disabled=0`",
            ),
            RingFault::SwitchedOff { level } => write!(
                f,
                "io_uring is switched off (kernel.io_uring_disabled = {level}, the default of some distributions): run \
                 `sysctl kernel.io_uring_disabled=0`, and keep it in /etc/sysctl.d"
            ),
            RingFault::Forbidden => f.write_str(
                "io_uring is forbidden to this process (EPERM while kernel.io_uring_disabled allows it): a container's seccomp profile \
                 does that by default. Give Docker or Podman `--security-opt seccomp=PROFILE` with a profile that allows io_uring_setup, \
                 io_uring_enter and io_uring_register; under systemd add @io-uring to SystemCallFilter; else look at SELinux or AppArmor",
            ),
            RingFault::Missing => f.write_str(
                "this kernel answers that it has no io_uring (ENOSYS): it was built without CONFIG_IO_URING, or a sandbox (gVisor, a \
                 seccomp profile) hides it. Take a kernel with it, or allow io_uring_setup, io_uring_enter and io_uring_register",
            ),
            RingFault::LockedMemory { limit } => {
                let limit = limit.map_or("unlimited".to_owned(), |bytes| format!("{} KiB", bytes >> 10));
                write!(
                    f,
                    "not enough locked memory for the rings (the limit is {limit}): raise it to {} KiB or more, by LimitMEMLOCK= \
                     (systemd), --ulimit memlock= (Docker), memlock in limits.conf, or `ulimit -l`; if it is high, the machine or its cgroup \
                     is out of memory",
                    LOCKED_MEMORY >> 10
                )
            }
            RingFault::Descriptors => f.write_str("no file descriptor is left for a ring: raise LimitNOFILE= (systemd) or `ulimit -n`"),
            RingFault::Lacks { what, said } => {
                let (major, minor) = OLDEST_KERNEL;
                write!(f, "this kernel's io_uring lacks {what} ({said}): boot {major}.{minor} or newer, or lift the sandbox's filter")
            }
        }
    }
}

impl std::error::Error for RingFault {}

/// Attempts all that a shard's ring is going to use, on a ring of its own that is gone afterwards.
pub fn probe() -> Result<(), RingFault> {
    let release = kernel_release();
    if kernel_version(&release).is_some_and(|version| version < OLDEST_KERNEL) {
        return Err(RingFault::OldKernel { release });
    }
    if let Some(limit) = memlock().filter(|limit| *limit < EXECUTOR_MEMORY) {
        return Err(RingFault::LockedMemory { limit: Some(limit) });
    }
    let ring = setup()?;
    opcodes(&ring)?;
    wake_up(&ring)?;
    provided_buffers(&ring)
}

/// The kernel's release, as `uname -r` has it.
pub fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Major and minor of a release such as `6.18.44-fc`.
pub fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn setup() -> Result<IoUring, RingFault> {
    // A plain ring first: it tells "no io_uring at all" from "not these flags".
    AT_START.make("the probe", || IoUring::new(8)).map_err(|error| refusal(&error, io_uring_disabled(), memlock()))?;
    let with_flags = || IoUring::builder().setup_single_issuer().setup_defer_taskrun().setup_submit_all().build(8);
    let with_flags = AT_START.make("the probe", with_flags);
    with_flags.map_err(|error| match refusal(&error, io_uring_disabled(), memlock()) {
        RingFault::Lacks { said, .. } => RingFault::Lacks { what: "SINGLE_ISSUER with DEFER_TASKRUN", said },
        other => other,
    })
}

/// Why `io_uring_setup` said no; pure.
fn refusal(error: &io::Error, disabled: Option<u8>, memlock: Option<u64>) -> RingFault {
    match Errno::from_io_error(error) {
        Some(Errno::NOSYS) => RingFault::Missing,
        Some(Errno::PERM | Errno::ACCESS) => match disabled {
            Some(level @ 1..) => RingFault::SwitchedOff { level },
            Some(0) | None => RingFault::Forbidden,
        },
        Some(Errno::NOMEM) => RingFault::LockedMemory { limit: memlock },
        Some(Errno::MFILE | Errno::NFILE) => RingFault::Descriptors,
        Some(_) | None => RingFault::Lacks { what: "a ring", said: error.to_string() },
    }
}

fn io_uring_disabled() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

fn memlock() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

fn lacks(what: &'static str) -> impl FnOnce(io::Error) -> RingFault {
    move |error| RingFault::Lacks { what, said: error.to_string() }
}

/// The multishot forms of accept (5.19) and receive (6.0) have no bit of their own: the kernel's version vouches for them.
fn opcodes(ring: &IoUring) -> Result<(), RingFault> {
    let mut found = Probe::new();
    ring.submitter().register_probe(&mut found).map_err(lacks("the probe of operations"))?;
    let used = [
        ("ACCEPT", opcode::AcceptMulti::CODE),
        ("RECV", opcode::RecvMulti::CODE),
        ("SEND", opcode::Send::CODE),
        ("SHUTDOWN", opcode::Shutdown::CODE),
        ("CLOSE", opcode::Close::CODE),
        ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
        ("POLL_ADD", opcode::PollAdd::CODE),
        ("TIMEOUT", opcode::Timeout::CODE),
        ("READ", opcode::Read::CODE),
    ];
    match used.iter().find(|(_, code)| !found.is_supported(*code)) {
        Some((what, _)) => Err(RingFault::Lacks { what, said: "the operation is not supported".into() }),
        None => Ok(()),
    }
}

fn wake_up(ring: &IoUring) -> Result<(), RingFault> {
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| lacks("an eventfd")(errno.into()))?;
    ring.submitter().register_eventfd(event.as_raw_fd()).map_err(lacks("a registered eventfd"))?;
    ring.submitter().unregister_eventfd().map_err(lacks("a registered eventfd"))
}

/// The smallest ring of provided buffers: page-aligned, as the kernel wants it.
#[repr(C, align(4096))]
struct Page([u8; 4096]);

fn provided_buffers(ring: &IoUring) -> Result<(), RingFault> {
    const ENTRIES: u16 = 8; // of 16 bytes each
    const GROUP: u16 = 0;
    let page = Box::new(Page([0; 4096]));
    let address = std::ptr::from_ref(&page.0) as u64;
    let submitter = ring.submitter();
    // SAFETY: the page outlives the registration, which ends below before the page is freed (and nothing is submitted to this group).
    let registered = unsafe { submitter.register_buf_ring_with_flags(address, ENTRIES, GROUP, 0) };
    let ended = registered.and_then(|()| submitter.unregister_buf_ring(GROUP));
    if ended.is_err() {
        // Should the kernel have kept the page, it must not be used for anything else.
        std::mem::forget(page);
    }
    ended.map_err(lacks("rings of provided buffers"))
}

/// Raises the soft limits of open files and of locked memory to the hard ones, and returns how many files may be open now.
pub fn raise_limits() -> u64 {
    raise(Resource::Memlock);
    raise(Resource::Nofile).unwrap_or(u64::MAX)
}

/// What the soft limit is in the end; `None` is no limit.
fn raise(resource: Resource) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(resource);
    let raised = setrlimit(resource, Rlimit { current: maximum, maximum });
    if raised.is_ok() { maximum } else { current }
}

/// A descriptor of its own for what somebody else opened for this process under `number`, such as the one who started it. Closed on exec.
///
/// # Errors
/// Nothing is open there, or no descriptor is left.
pub(super) fn copied(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: it is only given to fcntl, which says so where nothing is open there; and what is open there is not closed by this.
    let theirs = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(rustix::io::fcntl_dupfd_cloexec(theirs, number)?)
}

/// Whether the kernel believes its wall clock to be synchronised; `None` when it does not say.
pub fn clock_synchronised() -> Option<bool> {
    // SAFETY: all-zero is a valid `timex`; with `modes` 0 the call only fills it in.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut timex)
    };
    (state >= 0).then_some(state != libc::TIME_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errno: Errno, disabled: Option<u8>) -> RingFault {
        refusal(&errno.into(), disabled, Some(65536))
    }

    #[test]
    fn each_refusal_has_its_own_reason() {
        assert_eq!(refused(Errno::NOSYS, None), RingFault::Missing);
        assert_eq!(refused(Errno::PERM, Some(0)), RingFault::Forbidden);
        assert_eq!(refused(Errno::PERM, None), RingFault::Forbidden);
        assert_eq!(refused(Errno::PERM, Some(2)), RingFault::SwitchedOff { level: 2 });
        assert_eq!(refused(Errno::NOMEM, Some(0)), RingFault::LockedMemory { limit: Some(65536) });
        assert_eq!(refused(Errno::MFILE, Some(0)), RingFault::Descriptors);
        assert!(matches!(refused(Errno::INVAL, Some(0)), RingFault::Lacks { .. }));
    }

    #[test]
    fn each_fault_says_what_to_do() {
        let says = [
            (RingFault::OldKernel { release: "5.15.0".into() }, "boot 6.1 or newer"),
            (RingFault::SwitchedOff { level: 1 }, "kernel.io_uring_group"),
            (RingFault::SwitchedOff { level: 2 }, "sysctl kernel.io_uring_disabled=0"),
            (RingFault::Forbidden, "seccomp"),
            (RingFault::Missing, "CONFIG_IO_URING"),
            (RingFault::LockedMemory { limit: Some(65536) }, "the limit is 64 KiB"),
            (RingFault::Descriptors, "LimitNOFILE"),
            (RingFault::Lacks { what: "SEND", said: "no".into() }, "lacks SEND"),
        ];
        for (fault, part) in says {
            assert!(fault.to_string().contains(part), "{fault}");
        }
    }

    #[test]
    fn releases_are_read() {
        assert_eq!(kernel_version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(kernel_version("6.1-rc2"), Some((6, 1)));
        assert_eq!(kernel_version("linux"), None);
        assert!(kernel_version("5.15.0-91-generic") < Some(OLDEST_KERNEL));
    }

    #[test]
    fn an_attempt_leaves_no_descriptor() {
        // In a process of its own: other tests open and close files meanwhile.
        if std::env::var_os("ALONE").is_none() {
            let mut own = std::process::Command::new(std::env::current_exe().unwrap());
            own.args(["runtime::probe::tests::an_attempt_leaves_no_descriptor", "--exact", "--nocapture"]).env("ALONE", "1");
            let said = own.output().unwrap();
            assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("1 passed"), "{said:?}");
            return;
        }
        let open = || std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap();
        let (first, before) = (probe(), open());
        for _ in 0..64 {
            assert_eq!(probe(), first);
        }
        assert_eq!(open(), before);
    }
}
