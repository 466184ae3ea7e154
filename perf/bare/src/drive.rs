//! The client: as many connections as wanted from one thread, and the server's CPU time read from /proc.

use crate::{
    FRAME,
    doors::{Door, masked},
    pin,
    publisher::Publisher,
};
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
};
use std::{
    collections::VecDeque,
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

/// CPU time of a process and of its part in user space, from the ticks (10 ms) and the scheduler's nanoseconds of its threads.
#[derive(Clone, Copy)]
struct Cpu {
    nanos: u64,
    user_ticks: u64,
    ticks: u64,
}

fn cpu(pid: u64) -> io::Result<Cpu> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    }
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = text.rsplit(") ").next().unwrap_or("");
    let words: Vec<u64> = after.split(' ').map(|word| word.parse().unwrap_or(0)).collect();
    Ok(Cpu { nanos, user_ticks: words[11], ticks: words[11] + words[12] })
}

/// What the client's own thread has used: near the whole time that went by, it was the client that set the pace.
fn own_nanos() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0))
}

/// Before what is counted.
pub const WARM_UP: Duration = Duration::from_millis(500);
/// After the last connection.
const SETTLED: Duration = Duration::from_millis(300);

/// A measurement under way.
pub struct Watch {
    pid: u64,
    server: Cpu,
    own_nanos: u64,
    start: Instant,
}

impl Watch {
    /// From now on.
    pub fn start(pid: u64) -> io::Result<Watch> {
        Ok(Watch { pid, server: cpu(pid)?, own_nanos: own_nanos()?, start: Instant::now() })
    }

    /// Prints what was done meanwhile, with `more` of the object's members.
    pub fn stop(self, what: &str, operations: u64, more: &str) -> io::Result<()> {
        let (took, server, own) = (self.start.elapsed(), cpu(self.pid)?, own_nanos()? - self.own_nanos);
        let (cpu_ns, seconds) = (server.nanos - self.server.nanos, took.as_secs_f64());
        let (user, ticks) = (server.user_ticks - self.server.user_ticks, server.ticks - self.server.ticks);
        print!(r#"{{"what":"{what}","operations":{operations},"seconds":{seconds:.3},"cpu_ns":{cpu_ns},"user_ticks":{user},"#);
        println!(r#""ticks":{ticks},"client_cpu_ns":{own}{more}}}"#);
        Ok(())
    }
}

/// Connections, and one set to wait for them all.
pub struct Client {
    pub epoll: rustix::fd::OwnedFd,
    pub streams: Vec<TcpStream>,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    /// Asks for what has come and never sleeps, so that no server pays for waking it.
    polls: bool,
}

impl Client {
    /// Opens so many.
    pub fn new(address: &str, connections: usize, door: &Door) -> io::Result<Client> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut client =
            Client { epoll, streams: Vec::new(), events: Vec::with_capacity(1024), buffer: vec![0; 1 << 18], polls: false };
        client.grow(address, connections, door)?;
        Ok(client)
    }

    /// Opens more, until there are so many.
    pub fn grow(&mut self, address: &str, connections: usize, door: &Door) -> io::Result<()> {
        let first = self.streams.len();
        for (place, stream) in door.open(address, first..connections)?.into_iter().enumerate() {
            stream.set_nonblocking(true)?;
            epoll::add(&self.epoll, stream.as_fd(), EventData::new_u64((first + place) as u64), EventFlags::IN)?;
            self.streams.push(stream);
        }
        Ok(())
    }

    /// Reads what there is; tells of each connection that had something, and how many bytes.
    fn hear(&mut self, mut each: impl FnMut(&mut TcpStream, usize, usize) -> io::Result<()>) -> io::Result<()> {
        let longest = if self.polls { Duration::ZERO } else { Duration::from_secs(1) };
        self.hear_within(longest, |stream, place, bytes| each(stream, place, bytes.len()))
    }

    /// The same, waiting so long at most, with the bytes.
    pub fn hear_within(
        &mut self,
        longest: Duration,
        mut each: impl FnMut(&mut TcpStream, usize, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.events.clear();
        let longest = Timespec { tv_sec: longest.as_secs() as i64, tv_nsec: i64::from(longest.subsec_nanos()) };
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&longest))?;
        for event in &self.events {
            let place = event.data.u64() as usize;
            let count = self.streams[place].read(&mut self.buffer)?;
            if count == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            each(&mut self.streams[place], place, &self.buffer[..count])?;
        }
        Ok(())
    }
}

/// What a connection still owes after `count` bytes have come.
fn less(owed: usize, count: usize) -> io::Result<usize> {
    owed.checked_sub(count).ok_or_else(|| io::Error::other("more came than was sent"))
}

/// Each connection has one message of 256 bytes, in a client's frame, on the way at any time.
pub fn echo(address: &str, core: usize, pid: u64, [connections, seconds]: [u64; 2], door: &Door) -> io::Result<()> {
    pin(core)?;
    let mut client = Client::new(address, connections as usize, door)?;
    let message = masked(0x81, &[b'm'; 256]);
    let answer_bytes = match door {
        Door::Bare => message.len(),
        // A server's frame has no mask.
        Door::WebSocket { .. } | Door::Classroom { .. } | Door::Channel { .. } => message.len() - 4,
    };
    let mut owed = vec![answer_bytes; connections as usize];
    for stream in &mut client.streams {
        stream.write_all(&message)?;
    }
    let mut run = |length: Duration| {
        let (mut operations, until) = (0, Instant::now() + length);
        while Instant::now() < until {
            client.hear(|stream, place, count| {
                owed[place] = less(owed[place], count)?;
                if owed[place] == 0 {
                    operations += 1;
                    owed[place] = answer_bytes;
                    stream.write_all(&message)?;
                }
                Ok(())
            })?;
        }
        io::Result::Ok(operations)
    };
    run(WARM_UP)?;
    let watch = Watch::start(pid)?;
    let operations = run(Duration::from_secs(seconds))?;
    watch.stop("echo", operations, "")
}

/// The members of a room and who publishes to them.
pub fn room(address: &str, members: u64, in_flight: u64, internal: Option<&str>) -> io::Result<(Client, Publisher)> {
    let door = if internal.is_some() { Door::room(None)? } else { Door::Bare };
    let client = Client::new(address, members as usize, &door)?;
    let publisher = match internal {
        None => Publisher::bare(address)?,
        Some(internal) => Publisher::rest(internal, in_flight as usize)?,
    };
    thread::sleep(SETTLED);
    Ok((client, publisher))
}

/// So many publishes at once: the next so many go out when every member has all of them.
pub fn fan_out(
    address: &str,
    core: usize,
    pid: u64,
    [members, frames, seconds]: [u64; 3],
    internal: Option<&str>,
) -> io::Result<()> {
    pin(core)?;
    let (mut client, mut publisher) = room(address, members, frames, internal)?;
    let mut owed = vec![0; members as usize];
    let mut run = |length: Duration| {
        let (mut publishes, until) = (0, Instant::now() + length);
        while Instant::now() < until {
            publisher.publish(frames as u32)?;
            owed.fill(FRAME.len() * frames as usize);
            let mut waiting = members;
            while waiting > 0 {
                client.hear(|_, place, count| {
                    owed[place] = less(owed[place], count)?;
                    waiting -= u64::from(owed[place] == 0);
                    Ok(())
                })?;
            }
            publisher.settle(frames as usize, members)?;
            publishes += frames;
        }
        io::Result::Ok(publishes * members)
    };
    run(WARM_UP)?;
    let watch = Watch::start(pid)?;
    let deliveries = run(Duration::from_secs(seconds))?;
    watch.stop("fan-out", deliveries, "")
}

/// So many publishes in flight at any time: another one goes out whenever one has reached every member. A client that `polls` never
/// sleeps.
pub fn stream(
    address: &str,
    core: usize,
    pid: u64,
    [members, in_flight, seconds]: [u64; 3],
    internal: Option<&str>,
    polls: bool,
) -> io::Result<()> {
    pin(core)?;
    let (mut client, mut publisher) = room(address, members, in_flight, internal)?;
    client.polls = polls;
    let mut bytes = vec![0_usize; members as usize];
    // How many members have heard each publish that is under way, the oldest first.
    let mut heard: VecDeque<u64> = VecDeque::new();
    let mut done = 0;
    // Ends when nothing is under way any more, so that nothing of the warm-up is counted after it.
    let mut run = |length: Duration| {
        let (before, until) = (done, Instant::now() + length);
        loop {
            let over = Instant::now() >= until;
            while !over && heard.len() < in_flight as usize {
                publisher.publish(1)?;
                heard.push_back(0);
            }
            if over && heard.is_empty() {
                return io::Result::Ok((done - before) * members);
            }
            client.hear(|_, place, count| {
                let first = bytes[place] / FRAME.len();
                bytes[place] += count;
                for frame in first..bytes[place] / FRAME.len() {
                    let mark = heard.get_mut(frame - done as usize).ok_or_else(|| io::Error::other("more came than was sent"))?;
                    *mark += 1;
                }
                Ok(())
            })?;
            while heard.front() == Some(&members) {
                heard.pop_front();
                publisher.settle(1, members)?;
                done += 1;
            }
        }
    };
    run(WARM_UP)?;
    let watch = Watch::start(pid)?;
    let deliveries = run(Duration::from_secs(seconds))?;
    watch.stop("stream", deliveries, "")
}
