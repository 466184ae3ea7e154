//! The bare epoll server that Homeroom is measured against, and the client that drives either.
//!
//!     bare serve PORT CORE                    echo what comes; a connection that begins with `PUB` publishes (below)
//!     bare relay PORT CORE                    relay between agents and viewers (relay.rs); homeroom-load lab --between relay drives it
//!     bare drive echo ADDRESS CORE PID CONNECTIONS SECONDS [PATH]
//!     bare drive fan-out ADDRESS CORE PID MEMBERS FRAMES SECONDS [INTERNAL]
//!     bare drive stream ADDRESS CORE PID MEMBERS IN-FLIGHT SECONDS [INTERNAL]
//!     bare drive stream-polled ADDRESS CORE PID MEMBERS IN-FLIGHT SECONDS [INTERNAL]
//!     bare drive paced ADDRESS CORE PID MEMBERS RATE SECONDS [INTERNAL]
//!     bare hold ADDRESS CORE bare|contract    opens as many connections as each line of standard input says, and holds them
//!     bare idle ADDRESS PID FROM TO           resident bytes for each connection, from the slope between two numbers of connections
//!
//! `fan-out` publishes FRAMES at once and waits until everybody has them; `stream` keeps IN-FLIGHT publishes under way at any time,
//! `stream-polled` too, with a client that never sleeps: on loopback it is the sender who pays for waking a reader. `paced` publishes
//! at RATE a second, each at its moment whatever the server does, and tells how long after that moment the members heard it.
//!
//! With PATH or INTERNAL the server at ADDRESS is Homeroom or one that speaks its contract: PATH is that of its echo WebSocket, INTERNAL
//! the address of the listener by which events are published; members sign in with the token in the environment's `BARE_TOKEN`. All
//! servers then get the same bytes from the same client. With `BARE_DIALECT=nchan` members name the room in the path and do not sign
//! in, and the body of a publish is what is delivered. A `drive` prints one line of JSON.
//!
//! A publisher of the bare server sends `PUB`, then for each publish four bytes: how many frames (little endian). The server sends
//! one batch, built once, of so many frames of 260 bytes to every other connection. One thread, one epoll set, nothing per message
//! but the kernel's calls: what it reaches is what the machine gives to anyone who sends one batch for each member.

mod doors;
mod drive;
mod hold;
mod paced;
mod publisher;
mod relay;
mod serve;

use doors::Door;
use std::{env, process::exit};

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["serve", port, core] => serve::serve(number(port) as u16, number(core) as usize),
        ["relay", port, core] => relay::serve(number(port) as u16, number(core) as usize),
        ["drive", "echo", address, core, pid, connections, seconds, ref path @ ..] if path.len() < 2 => {
            let door = path.first().map_or(Door::Bare, |path| Door::WebSocket { path: (*path).to_owned() });
            drive::echo(address, number(core) as usize, number(pid), [number(connections), number(seconds)], &door)
        }
        [
            "drive",
            scenario @ ("fan-out" | "stream" | "stream-polled" | "paced"),
            address,
            core,
            pid,
            members,
            frames,
            seconds,
            ref internal @ ..,
        ] if internal.len() < 2 => {
            let numbers = [number(members), number(frames), number(seconds)];
            let (core, pid, internal) = (number(core) as usize, number(pid), internal.first().copied());
            match scenario {
                "fan-out" => drive::fan_out(address, core, pid, numbers, internal),
                "paced" => paced::paced(address, core, pid, numbers, internal),
                _ => drive::stream(address, core, pid, numbers, internal, scenario == "stream-polled"),
            }
        }
        ["hold", address, core, what @ ("bare" | "contract")] => hold::hold(address, number(core) as usize, what == "contract"),
        ["idle", address, pid, from, to] => hold::idle(address, number(pid), number(from) as usize, number(to) as usize),
        _ => {
            eprintln!("see the top of perf/bare/src/main.rs");
            exit(2);
        }
    };
    if let Err(fault) = done {
        eprintln!("bare: {fault}");
        exit(1);
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| {
        eprintln!("not a number: {word}");
        exit(2)
    })
}

/// A frame of a 256-byte payload as a WebSocket server sends it.
pub const FRAME: [u8; 260] = {
    let mut frame = [b'x'; 260];
    (frame[0], frame[1], frame[2], frame[3]) = (0x82, 126, 1, 0);
    frame
};

/// Keeps this thread on one core.
pub fn pin(core: usize) -> std::io::Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &cores)?)
}
