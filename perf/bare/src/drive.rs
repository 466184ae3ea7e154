//! The client: as many connections as wanted from one thread, and the server's CPU time read from /proc.

use crate::{FRAME, pin};
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
};
use std::{
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

fn report(what: &str, operations: u64, took: Duration, before: Cpu, after: Cpu) {
    let nanos = after.nanos - before.nanos;
    let ticks = (after.ticks - before.ticks).max(1);
    println!(
        "{what}: {operations} in {:.2} s = {:.0} a second; server CPU {:.0} ns each, {:.2} cores, user {:.0} %",
        took.as_secs_f64(),
        operations as f64 / took.as_secs_f64(),
        nanos as f64 / operations.max(1) as f64,
        nanos as f64 / took.as_nanos() as f64,
        100.0 * (after.user_ticks - before.user_ticks) as f64 / ticks as f64,
    );
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

struct Client {
    epoll: rustix::fd::OwnedFd,
    streams: Vec<TcpStream>,
    /// Bytes that each stream still owes us.
    owed: Vec<usize>,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
}

impl Client {
    fn new(address: &str, connections: usize) -> io::Result<Client> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut streams = Vec::new();
        for place in 0..connections {
            let stream = connect(address)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, stream.as_fd(), EventData::new_u64(place as u64), EventFlags::IN)?;
            streams.push(stream);
        }
        let owed = vec![0; connections];
        Ok(Client { epoll, streams, owed, events: Vec::with_capacity(1024), buffer: vec![0; 1 << 18] })
    }

    /// Reads what there is; calls `whole` for each stream that owes nothing any more.
    fn hear(&mut self, mut whole: impl FnMut(&mut TcpStream, &mut usize) -> io::Result<()>) -> io::Result<()> {
        self.events.clear();
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&second))?;
        for event in &self.events {
            let place = event.data.u64() as usize;
            let count = self.streams[place].read(&mut self.buffer)?;
            if count == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            self.owed[place] = self.owed[place].saturating_sub(count);
            if self.owed[place] == 0 {
                whole(&mut self.streams[place], &mut self.owed[place])?;
            }
        }
        Ok(())
    }
}

/// Each connection has one message of 256 bytes on the way at any time.
pub fn echo(address: &str, core: usize, pid: u64, connections: usize, seconds: u64) -> io::Result<()> {
    pin(core)?;
    let mut client = Client::new(address, connections)?;
    let message = [b'm'; 256];
    for place in 0..connections {
        client.streams[place].write_all(&message)?;
        client.owed[place] = message.len();
    }
    let mut operations = 0;
    let mut run = |operations: &mut u64, length: Duration| {
        let until = Instant::now() + length;
        while Instant::now() < until {
            client.hear(|stream, owed| {
                *operations += 1;
                *owed = message.len();
                stream.write_all(&message)
            })?;
        }
        io::Result::Ok(())
    };
    run(&mut operations, Duration::from_millis(500))?;
    operations = 0;
    let (before, start) = (cpu(pid)?, Instant::now());
    run(&mut operations, Duration::from_secs(seconds))?;
    report("echo", operations, start.elapsed(), before, cpu(pid)?);
    Ok(())
}

/// One publish of so many frames in flight: the next goes out when every member has all of it.
pub fn fan_out(address: &str, core: usize, pid: u64, [members, frames, seconds]: [u64; 3]) -> io::Result<()> {
    pin(core)?;
    let mut client = Client::new(address, members as usize)?;
    let mut publisher = connect(address)?;
    publisher.write_all(b"PUB")?;
    thread::sleep(Duration::from_millis(300));
    let size = FRAME.len() * frames as usize;
    let mut publishes = 0;
    let mut run = |publishes: &mut u64, length: Duration| {
        let until = Instant::now() + length;
        while Instant::now() < until {
            publisher.write_all(&(frames as u32).to_le_bytes())?;
            client.owed.fill(size);
            let mut waiting = members;
            while waiting > 0 {
                client.hear(|_, _| {
                    waiting -= 1;
                    Ok(())
                })?;
            }
            *publishes += 1;
        }
        io::Result::Ok(())
    };
    run(&mut publishes, Duration::from_millis(500))?;
    publishes = 0;
    let (before, start) = (cpu(pid)?, Instant::now());
    run(&mut publishes, Duration::from_secs(seconds))?;
    report("fan-out deliveries", publishes * members * frames, start.elapsed(), before, cpu(pid)?);
    Ok(())
}

/// Opens connections that each send one byte and read it back, and looks at the server's resident memory.
pub fn idle(address: &str, pid: u64, from: usize, to: usize) -> io::Result<()> {
    let mut streams: Vec<TcpStream> = Vec::new();
    let mut grow = |count: usize| {
        while streams.len() < count {
            let mut stream = connect(address)?;
            stream.write_all(b"i")?;
            stream.read_exact(&mut [0])?;
            streams.push(stream);
        }
        thread::sleep(Duration::from_millis(500));
        resident(pid)
    };
    let (first, second) = (grow(from)?, grow(to)?);
    println!(
        "idle: {first} bytes at {from}, {second} at {to}: {:.0} a connection",
        (second as f64 - first as f64) / (to - from) as f64
    );
    Ok(())
}

fn resident(pid: u64) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or("0 kB");
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024)
}
