//! Connections that are opened and held, while somebody looks at the server's memory.

use crate::{
    doors::{Door, connect, masked},
    drive::Client,
    pin,
};
use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    sync::mpsc::{self, TryRecvError},
    thread,
    time::Duration,
};

/// How many share a classroom, as in a school.
const IN_A_CLASSROOM: usize = 30;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Each line of standard input says how many connections there are to be; it is said again when they are there. Pings are answered. Ends
/// with the input.
pub fn hold(address: &str, core: usize, contract: bool) -> io::Result<()> {
    pin(core)?;
    let (lines, wanted) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    let door = if contract { Door::room(Some(IN_A_CLASSROOM))? } else { Door::Bare };
    let mut client = Client::new(address, 0, &door)?;
    loop {
        match wanted.try_recv() {
            Ok(line) => {
                let count = line.trim().parse().map_err(|_| io::Error::other(format!("not a number: {line}")))?;
                client.grow(address, count, &door)?;
                println!("{count}");
            }
            Err(TryRecvError::Empty) => {
                client.hear_within(Duration::from_millis(20), |stream, _, bytes| answer(stream, bytes))?
            }
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}

/// Nothing longer than a Ping comes to who is alone with those who are silent.
fn answer(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while let [kind, length, more @ ..] = rest {
        let Some((payload, behind)) = more.split_at_checked(usize::from(*length)) else {
            return Err(io::Error::other("a frame in pieces"));
        };
        if *kind == PING {
            stream.write_all(&masked(PONG, payload))?;
        }
        rest = behind;
    }
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
