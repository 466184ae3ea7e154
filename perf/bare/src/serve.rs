//! The server: epoll, read, write.

use crate::{FRAME, pin};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
};

struct Peer {
    stream: TcpStream,
    /// What the socket did not take. Empty for who reads.
    rest: Vec<u8>,
    publisher: bool,
}

impl Peer {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(bytes);
            return Ok(());
        }
        let sent = match self.stream.write(bytes) {
            Ok(sent) => sent,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => 0,
            Err(fault) => return Err(fault),
        };
        self.rest.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() { Ok(()) } else { self.send(&rest) }
    }
}

struct Server {
    epoll: rustix::fd::OwnedFd,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

const LISTENER: u64 = u64::MAX;

/// Serves until it is killed.
pub fn serve(port: u16, core: usize) -> io::Result<()> {
    pin(core)?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    // std asks for a backlog of 128 at least; a second listen raises it.
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut server = Server { epoll, listener, peers: Vec::new(), free: Vec::new(), buffer: vec![0; 65_536] };
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        match epoll::wait(&server.epoll, spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(fault) => return Err(fault.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => server.accept()?,
                place => server.serve(place as usize, event.flags),
            }
        }
    }
}

impl Server {
    fn accept(&mut self) -> io::Result<()> {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            epoll::add(&self.epoll, stream.as_fd(), EventData::new_u64(place as u64), EventFlags::IN)?;
            self.peers[place] = Some(Peer { stream, rest: Vec::new(), publisher: false });
        }
        Ok(())
    }

    fn serve(&mut self, place: usize, flags: EventFlags) {
        let Some(mut peer) = self.peers[place].take() else { return };
        match self.hear(place, &mut peer, flags) {
            Ok(true) => self.peers[place] = Some(peer),
            Ok(false) | Err(_) => self.free.push(place),
        }
    }

    /// False when the peer has left.
    fn hear(&mut self, place: usize, peer: &mut Peer, flags: EventFlags) -> io::Result<bool> {
        if flags.contains(EventFlags::OUT) {
            peer.flush()?;
            self.watch(place, peer, !peer.rest.is_empty())?;
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return Ok(true);
        }
        let count = match peer.stream.read(&mut self.buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(fault) => return Err(fault),
        };
        if self.buffer[..count].starts_with(b"PUB") {
            peer.publisher = true;
        } else if peer.publisher {
            // What was asked for meanwhile leaves as one batch too.
            let frames: u32 = self.buffer[..count].as_chunks().0.iter().copied().map(u32::from_le_bytes).sum();
            self.publish(frames as usize);
        } else {
            peer.send(&self.buffer[..count])?;
            if !peer.rest.is_empty() {
                self.watch(place, peer, true)?;
            }
        }
        Ok(true)
    }

    fn watch(&self, place: usize, peer: &Peer, writable: bool) -> io::Result<()> {
        let flags = if writable { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        Ok(epoll::modify(&self.epoll, peer.stream.as_fd(), EventData::new_u64(place as u64), flags)?)
    }

    fn publish(&mut self, frames: usize) {
        let batch = FRAME.repeat(frames);
        for place in 0..self.peers.len() {
            let Some(mut peer) = self.peers[place].take() else { continue };
            if !peer.publisher && peer.send(&batch).is_ok() && !peer.rest.is_empty() {
                let _ = self.watch(place, &peer, true);
            }
            self.peers[place] = Some(peer);
        }
    }
}
