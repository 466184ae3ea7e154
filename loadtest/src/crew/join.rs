//! Joining the run of another host: the worker's side.

use super::{
    letters::{Place, Task, ToBoss, send},
    sealed::{Refusal, ask_in, notice_silence},
    secret::Secret,
    worker,
};
use crate::{args::Join, clock, host::Environment};
use rustix::system::uname;
use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

/// Between two attempts to find the run.
const PAUSE: Duration = Duration::from_millis(300);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Joins a run, does its part of it, and returns when that is over.
///
/// # Errors
/// A sentence for the user: nobody listens there, the boss does not let this worker in, or is gone.
pub(crate) fn run(args: &Join) -> Result<(), String> {
    let secret = Secret::read(args.join_secret.as_deref())?;
    clock::shift(args.clock_offset);
    let stream = found(&args.join, args.wait)?;
    let failed = |fault: io::Error| format!("{}: {fault}", args.join);
    stream.set_nodelay(true).map_err(failed)?;
    notice_silence(&stream).map_err(failed)?;
    let (reader, mut writer) = ask_in(&stream, &secret).map_err(|refusal| match refusal {
        Refusal::Secret => format!("{} does not let this worker in: its secret is another", args.join),
        Refusal::Version(_) | Refusal::Broken(_) => format!("{} does not let this worker in: {refusal}", args.join),
    })?;
    stream.set_read_timeout(None).map_err(failed)?;
    send(&mut writer, &ToBoss::Here(place(args))).map_err(failed)?;
    eprintln!("homeroom-load: joined the run at {}", args.join);
    worker::serve(reader, writer, |task| settle(task, args)).map_err(failed)
}

/// Connects as soon as somebody listens.
fn found(address: &str, wait: Duration) -> Result<TcpStream, String> {
    let until = Instant::now() + wait;
    loop {
        let fault = match connect(address) {
            Ok(stream) => return Ok(stream),
            Err(fault) => fault,
        };
        if Instant::now() >= until {
            return Err(format!("{address}: no run listens there: {fault}"));
        }
        thread::sleep(PAUSE);
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs()?.collect::<Vec<SocketAddr>>() {
        match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
            Ok(stream) => return Ok(stream),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

fn place(args: &Join) -> Place {
    let Environment { kernel, cpu, cores, .. } = Environment::read();
    let name = args.name.clone().unwrap_or_else(|| uname().nodename().to_string_lossy().into_owned());
    Place { name, kernel, cpu, cores }
}

/// The addresses of the boss's host are not this one's: connections come from those given here, or from wherever the kernel chooses.
fn settle(task: &mut Task, args: &Join) {
    let Some((sources, is_loopback)) = task.sources() else { return };
    match &args.source_ips {
        Some(own) => sources.clone_from(&own.0),
        None if is_loopback => {}
        None => sources.clear(),
    }
}
