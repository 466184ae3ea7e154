//! The audit log: lines of JSON in a file, appended by a thread of its own. Whoever notes something never waits: it goes into a queue, and
//! where that is full it is counted, and the count is written as soon as there is room.
//!
//! A disk that is full is an ordinary day: what could not be written is tried again each second, whole lines in their order; meanwhile the
//! queue fills. Nothing is synced to the disk by force: what the kernel has, a crash of this process does not lose.

use crate::realtime::audit::Record;
use crossbeam::queue::{ArrayQueue, SegQueue};
use serde::Serialize;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    mem,
    net::{IpAddr, Ipv6Addr},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle, Thread},
    time::{Duration, Instant},
};

/// Events that may wait: a few megabytes at most.
const WAITING: usize = 16_384;
/// So much is written at once.
const BATCH_BYTES: usize = 64 << 10;
/// The pause after a write that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// The way to the log. Cheap to clone, and to call from any thread.
#[derive(Clone)]
pub struct Audit(Arc<Shared>);

struct Shared {
    queue: ArrayQueue<Record>,
    is_on: AtomicBool,
    /// The files to go on with, the last counts; none: no file.
    files: SegQueue<Option<File>>,
    is_over: AtomicBool,
    writer: OnceLock<Thread>,
    written: AtomicU64,
    lost: AtomicU64,
    is_failing: AtomicBool,
}

/// How the log is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Levels {
    /// Lines of events written so far.
    pub written: u64,
    /// Events that found the queue full.
    pub lost: u64,
    /// Events that wait.
    pub waiting: usize,
    /// Whether the last write failed.
    pub is_failing: bool,
}

/// Opens the file of a log, to append to it; none where none is named. It is for the server's user alone.
pub fn open(file: Option<&Path>) -> io::Result<Option<File>> {
    let opened = file.map(|file| OpenOptions::new().append(true).create(true).mode(0o600).open(file));
    opened.transpose()
}

impl Audit {
    /// Starts the writer, without a file.
    pub fn start() -> io::Result<(Audit, JoinHandle<()>)> {
        Audit::with_room(WAITING)
    }

    fn with_room(waiting: usize) -> io::Result<(Audit, JoinHandle<()>)> {
        let shared = Shared {
            queue: ArrayQueue::new(waiting),
            is_on: AtomicBool::new(false),
            files: SegQueue::new(),
            is_over: AtomicBool::new(false),
            writer: OnceLock::new(),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
        };
        let audit = Audit(Arc::new(shared));
        let own = audit.0.clone();
        let writer = thread::Builder::new().name("audit".to_owned()).spawn(move || Writer::new(own).run())?;
        let _ = audit.0.writer.set(writer.thread().clone());
        Ok((audit, writer))
    }

    /// Goes on with this file, or without one.
    pub fn go_on(&self, file: Option<File>) {
        self.0.is_on.store(file.is_some(), Relaxed);
        self.0.files.push(file);
        self.wake();
    }

    /// Whether anything is written.
    pub fn is_on(&self) -> bool {
        self.0.is_on.load(Relaxed)
    }

    /// Has an event written. Never waits.
    pub fn note(&self, record: Record) {
        if !self.is_on() {
            return;
        }
        if self.0.queue.push(record).is_err() {
            self.0.lost.fetch_add(1, Relaxed);
        }
        self.wake();
    }

    /// How it is.
    pub fn levels(&self) -> Levels {
        Levels {
            written: self.0.written.load(Relaxed),
            lost: self.0.lost.load(Relaxed),
            waiting: self.0.queue.len(),
            is_failing: self.0.is_failing.load(Relaxed),
        }
    }

    /// Writes what waits, and ends: where nothing can be written, without it.
    pub fn end(&self, writer: JoinHandle<()>) {
        self.0.is_over.store(true, Relaxed);
        self.wake();
        let _ = writer.join();
    }

    fn wake(&self) {
        if let Some(writer) = self.0.writer.get() {
            writer.unpark();
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    file: Option<File>,
    /// Whole lines, of which the first `done` bytes are in the file.
    lines: Vec<u8>,
    done: usize,
    /// Events in `lines`.
    events: u64,
    /// How many losses were told of.
    told_lost: u64,
    failures: u64,
}

impl Writer {
    fn new(shared: Arc<Shared>) -> Writer {
        Writer { shared, file: None, lines: Vec::new(), done: 0, events: 0, told_lost: 0, failures: 0 }
    }

    fn run(mut self) {
        loop {
            // Seen before the queue: what was noted before the end is written.
            let is_over = self.shared.is_over.load(Relaxed);
            // A file behind the queue: what is noted when there is another is not in the former one.
            self.gather();
            self.take_files();
            let pause = match self.put() {
                Ok(()) if self.shared.queue.is_empty() && self.lines.is_empty() => {
                    if is_over {
                        return;
                    }
                    None
                }
                Ok(()) => continue,
                Err(_) if is_over => return,
                Err(error) => {
                    self.fails(&error);
                    Some(Instant::now() + AGAIN)
                }
            };
            self.rest(pause);
        }
    }

    /// Sleeps until there is something to do, or to try again.
    fn rest(&self, until: Option<Instant>) {
        let Some(until) = until else { return thread::park() };
        while self.shared.files.is_empty() && !self.shared.is_over.load(Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }

    fn take_files(&mut self) {
        while let Some(file) = self.shared.files.pop() {
            let before = mem::replace(&mut self.file, file);
            if before.zip(self.file.as_ref()).is_some_and(|(before, file)| is_one(&before, file)) {
                continue;
            }
            // A line that is cut in the old file is whole in the new one.
            let cut = self.lines[..self.done].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            self.lines.drain(..cut);
            self.done = 0;
            if self.file.as_ref().is_some_and(ends_within_a_line) {
                self.lines.insert(0, b'\n');
            }
        }
    }

    fn gather(&mut self) {
        while self.lines.len() < BATCH_BYTES
            && let Some(record) = self.shared.queue.pop()
        {
            line(&mut self.lines, &Line::of(&record));
            self.events += 1;
        }
        let lost = self.shared.lost.load(Relaxed);
        if lost > self.told_lost && self.lines.len() < BATCH_BYTES {
            line(
                &mut self.lines,
                &Lost { time: time(now_micros()), what: "audit.lost", outcome: "failed", count: lost - self.told_lost },
            );
            self.told_lost = lost;
        }
    }

    fn put(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            while self.done < self.lines.len() {
                match file.write(&self.lines[self.done..]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(bytes) => self.done += bytes,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.shared.written.fetch_add(self.events, Relaxed);
            if self.shared.is_failing.swap(false, Relaxed) {
                tracing::info!("the audit log is written again");
            }
        }
        self.lines.clear();
        (self.done, self.events) = (0, 0);
        Ok(())
    }

    fn fails(&mut self, error: &io::Error) {
        if !self.shared.is_failing.swap(true, Relaxed) {
            self.failures = 0;
        }
        self.failures += 1;
        // The first, the second, the fourth …: worth waking someone, not worth filling another disk.
        if self.failures.is_power_of_two() {
            let times = self.failures;
            tracing::warn!(%error, times, "the audit log cannot be written; what happens waits, and is lost when that is too much");
        }
    }
}

/// Whether both are the same file, with what was written to it.
fn is_one(before: &File, file: &File) -> bool {
    let identity = |file: &File| file.metadata().ok().filter(|of| of.len() > 0).map(|of| (of.dev(), of.ino()));
    identity(before).is_some_and(|before| identity(file) == Some(before))
}

/// Whether the last line of a file is cut, as an end on a full disk leaves it.
fn ends_within_a_line(file: &File) -> bool {
    let last = || {
        let length = file.metadata()?.len();
        let mut last = [b'\n'];
        if length > 0 {
            File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?.read_exact_at(&mut last, length - 1)?;
        }
        io::Result::Ok(last[0])
    };
    last().is_ok_and(|last| last != b'\n')
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    what: &'a str,
    who: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    from: Option<String>,
    on: &'a str,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Lost {
    time: String,
    what: &'static str,
    outcome: &'static str,
    count: u64,
}

impl<'a> Line<'a> {
    fn of(record: &'a Record) -> Line<'a> {
        Line {
            time: time(record.at.0),
            what: record.what,
            who: record.who.as_deref(),
            target: record.target.as_deref(),
            from: address(record.from),
            on: record.on,
            outcome: record.outcome.name(),
            reason: record.reason.as_deref(),
        }
    }
}

fn line(lines: &mut Vec<u8>, value: &impl Serialize) {
    let start = lines.len();
    match serde_json::to_writer(&mut *lines, value) {
        Ok(()) => lines.push(b'\n'),
        // Text into memory: it cannot fail, and half a line would be worse than none.
        Err(_) => lines.truncate(start),
    }
}

/// RFC 3339, UTC, to the millisecond.
fn time(micros: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    format!("{at:.3}")
}

fn now_micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// An address, or the network of an IPv6 one, of which more is not kept.
fn address(mapped: u128) -> Option<String> {
    if mapped == 0 {
        return None;
    }
    let address = Ipv6Addr::from_bits(mapped);
    Some(match IpAddr::V6(address).to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) if address.is_loopback() => address.to_string(),
        IpAddr::V6(address) => format!("{address}/64"),
    })
}

#[cfg(test)]
mod tests;
