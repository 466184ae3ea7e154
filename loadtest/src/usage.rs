//! What a process costs, read from /proc.

use crate::{clock, watch::Glance};
use serde::{Deserialize, Serialize};
use std::{fs, io};

/// What the calling thread used in a span of time. Workers do all their work on one thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Wall time.
    pub(crate) wall_ns: u64,
    /// Time on a CPU.
    pub(crate) cpu_ns: u64,
    /// Time ready to run while others had the CPU.
    pub(crate) waited_ns: u64,
}

impl Usage {
    /// The share of the time in which the thread wanted a CPU, 0 to 1.
    pub(crate) fn busy(&self) -> f64 {
        (self.cpu_ns + self.waited_ns) as f64 / self.wall_ns.max(1) as f64
    }
}

/// A reading of the calling thread's clocks, to be compared with a later one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    at_ns: u64,
    cpu_ns: u64,
    waited_ns: u64,
}

impl Reading {
    /// Reads now. Where the kernel keeps no scheduler statistics, waiting counts as nothing.
    pub(crate) fn now() -> Reading {
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok());
        let mut next = || numbers.next().unwrap_or(0);
        Reading { at_ns: clock::now_ns(), cpu_ns: next(), waited_ns: next() }
    }

    /// What was used since.
    pub(crate) fn since(&self) -> Usage {
        let now = Reading::now();
        Usage {
            wall_ns: now.at_ns.saturating_sub(self.at_ns),
            cpu_ns: now.cpu_ns.saturating_sub(self.cpu_ns),
            waited_ns: now.waited_ns.saturating_sub(self.waited_ns),
        }
    }
}

/// A process that is watched from outside: the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Sample {
    /// When: nanoseconds of CLOCK_MONOTONIC.
    pub(crate) at_ns: u64,
    /// CPU time of all its threads, and of its children's.
    pub(crate) cpu_ns: u64,
    /// The part of it in user space, in clock ticks of 10 ms.
    pub(crate) user_ticks: u64,
    /// The part of it in the kernel, in clock ticks of 10 ms.
    pub(crate) kernel_ticks: u64,
    /// Resident memory.
    pub(crate) resident_bytes: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
}

/// Reads what a process uses, with those that it has started: a server may have one for each connection.
///
/// # Errors
/// It is gone, or not ours to look at.
pub(crate) fn sample(pid: u32) -> io::Result<Sample> {
    let mut sum = sample_one(pid)?;
    for child in children(pid) {
        // One that has ended meanwhile is in the clock of nobody.
        let Ok(more) = sample(child) else { continue };
        sum.cpu_ns += more.cpu_ns;
        sum.user_ticks += more.user_ticks;
        sum.kernel_ticks += more.kernel_ticks;
        sum.resident_bytes += more.resident_bytes;
        sum.descriptors += more.descriptors;
    }
    Ok(sum)
}

/// What a process and those that it has started have used, without its descriptors: counting many of them takes long.
///
/// # Errors
/// It is gone, or not ours to look at.
pub(crate) fn glance(pid: u32) -> io::Result<Glance> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (user_ticks, kernel_ticks) = ticks(&stat).ok_or_else(|| io::Error::other("/proc/PID/stat is not understood"))?;
    let mut sum = Glance {
        at_ns: clock::now_ns(),
        cpu_ns: process_cpu_ns(pid).unwrap_or((user_ticks + kernel_ticks) * 10_000_000),
        resident_bytes: resident_bytes(&pid.to_string()),
    };
    for more in children(pid).into_iter().filter_map(|child| glance(child).ok()) {
        sum.cpu_ns += more.cpu_ns;
        sum.resident_bytes += more.resident_bytes;
    }
    Ok(sum)
}

/// Resident memory of this process.
pub(crate) fn own_resident_bytes() -> u64 {
    resident_bytes("self")
}

/// The second field of `/proc/PID/statm` (proc_pid_statm(5)); 0 where it cannot be read.
fn resident_bytes(process: &str) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

/// Processes that a process has started and that live (proc_pid_task(5), `children`).
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>()).collect()
}

fn sample_one(pid: u32) -> io::Result<Sample> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (user_ticks, kernel_ticks) = ticks(&stat).ok_or_else(|| io::Error::other("/proc/PID/stat is not understood"))?;
    Ok(Sample {
        at_ns: clock::now_ns(),
        cpu_ns: process_cpu_ns(pid).unwrap_or((user_ticks + kernel_ticks) * 10_000_000),
        user_ticks,
        kernel_ticks,
        resident_bytes: resident_bytes(&pid.to_string()),
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64),
    })
}

/// The first word of a process's command line; empty when it is gone.
pub(crate) fn program(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).next().map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default()
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc_pid_stat(5)); the name in field 2 may hold spaces and brackets.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The process's own CPU clock (clock_getcpuclockid(3)): nanoseconds, and threads that have ended are in it.
fn process_cpu_ns(pid: u32) -> Option<u64> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both pointers are to live values of the types that the calls fill in.
    let outcome = unsafe {
        match libc::clock_getcpuclockid(pid, &raw mut clock) {
            0 => libc::clock_gettime(clock, &raw mut time),
            fault => fault,
        }
    };
    (outcome == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// The process that listens on a TCP port of this host, if it is one of ours to look at.
pub(crate) fn listener(port: u16) -> Option<u32> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().filter_map(|line| listening_inode(line, port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| holds(*pid, &inodes))
}

/// The inode of a line of /proc/net/tcp that is in state LISTEN (0A) on this port.
fn listening_inode(line: &str, port: u16) -> Option<String> {
    let mut words = line.split_whitespace();
    let (local, state) = (words.nth(1)?, words.nth(1)?);
    let local_port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    (state == "0A" && local_port == port).then(|| words.nth(5).map(str::to_owned))?
}

fn holds(pid: u32, sockets: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|link| link.to_str().is_some_and(|link| sockets.iter().any(|socket| socket == link)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_process_behind_a_port_is_found() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listener(socket.local_addr().unwrap().port()), Some(std::process::id()));
    }

    #[test]
    fn work_shows_as_cpu_time() {
        let (before, reading) = (sample(std::process::id()).unwrap(), Reading::now());
        let mut sum = 0u64;
        while reading.since().cpu_ns < 20_000_000 {
            sum = (0..10_000).fold(sum, |sum, i| std::hint::black_box(sum ^ i));
        }
        let after = sample(std::process::id()).unwrap();
        assert!(after.cpu_ns - before.cpu_ns >= 15_000_000, "{before:?} {after:?} {sum}");
        assert!(after.resident_bytes > 0 && after.descriptors > 2);
    }

    #[test]
    fn ticks_are_found_behind_a_strange_name() {
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 111 222 0 0";
        assert_eq!(ticks(stat), Some((111, 222)));
    }
}
