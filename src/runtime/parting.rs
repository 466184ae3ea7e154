//! How a process gives its sockets to another: what shards leave, how long that may take, and descriptors over a unix socket.

use super::stop::{Phase, Stage};
use crate::realtime::ShardId;
use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg,
        sendmsg,
    },
};
use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

/// What one shard leaves.
#[derive(Debug)]
pub struct Parcel {
    /// Its listening sockets, in the plan's order.
    pub listeners: Vec<OwnedFd>,
    /// Those of its connections that are carried, in the order of the estate.
    pub sockets: Vec<OwnedFd>,
    /// What its engine has said of them.
    pub estate: Vec<u8>,
}

/// What another process has left, by shard.
#[derive(Default, Debug)]
pub struct Heritage {
    /// Listening sockets, in the plan's order.
    pub listeners: Vec<Vec<OwnedFd>>,
    /// Those of connections, in the order in which the engine takes them over.
    pub sockets: Vec<Vec<OwnedFd>>,
}

/// For streams, for requests in hand, for what ends to be on disk, and for the goodbyes of those who are not carried. Everybody else is
/// served meanwhile.
const LEAVING: Duration = Duration::from_secs(1);
/// For the last requests. Whoever comes meanwhile waits until the next process accepts him.
const SHUTTING: Duration = Duration::from_millis(200);
/// For what is under way. Nobody is heard meanwhile, and who has not taken what he was sent is lost.
const PARTING: Duration = Duration::from_millis(120);
/// For each shard to begin with that.
const STANDING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(1);
/// How many looks in a row must find nothing.
const QUIET_LOOKS: u32 = 3;

/// What a shard shows that has begun to leave, and tells what it owes since, ...
pub(super) const LEFT: u64 = 1;
/// ... that has begun to part, ...
pub(super) const SEEN: u64 = 2;
/// ... and one on which nothing is under way.
pub(super) const QUIET: u64 = 3;

impl Stage {
    /// Has all shards end and leave their sockets and what is to be known of them, on the calling thread; see [`Stage::parcels`]. A
    /// process that stops already, or is stopped meanwhile, leaves nothing.
    pub fn part(&self) {
        if !self.is_serving() {
            return;
        }
        self.has_parted.store(true, Ordering::SeqCst);
        let each = |wanted: u64| self.all_counts().iter().all(|counts| counts.quiet.value() >= wanted);
        self.advance(Phase::Leaving);
        wait(LEAVING, || each(LEFT) && self.rest() == 0 && self.owed() == 0);
        self.advance(Phase::Shutting);
        wait(SHUTTING, || self.rest() == 0 && self.owed() == 0);
        self.advance(Phase::Parting);
        // Of a shard that stands still nothing can be carried. Whoever stops the process meanwhile wins.
        wait(STANDING, || each(SEEN) || self.phase() != Phase::Parting);
        let mut seen = None;
        wait(PARTING, || {
            let counts = self.all_counts();
            let out: u64 = counts.iter().map(|counts| counts.letters_out.value()).sum();
            let taken: u64 = counts.iter().map(|counts| counts.letters.value()).sum();
            let turns: Vec<u64> = counts.iter().map(|counts| counts.busy_turns.value()).collect();
            let is_quiet = each(QUIET) && out == taken;
            // A letter may have been taken behind the look at its receiver: then that has had a turn since.
            is_quiet && seen.replace(turns.clone()) == Some(turns)
        });
        if self.phase() == Phase::Parting {
            self.advance(Phase::Gone);
        }
    }

    /// Whether the sockets go, or have gone, to another process.
    pub fn has_parted(&self) -> bool {
        self.has_parted.load(Ordering::SeqCst)
    }

    pub(super) fn leave(&self, shard: ShardId, parcel: Parcel) {
        self.parcels[shard.index()].force_push(parcel);
    }

    /// Whether the shards have left something; to be asked when they have ended.
    pub fn has_parcels(&self) -> bool {
        self.parcels.iter().any(|parcel| !parcel.is_empty())
    }

    /// What the shards have left, in their order; to be asked when they have ended. Empty where they did not part.
    pub fn parcels(&self) -> Vec<Parcel> {
        self.parcels.iter().filter_map(|parcel| parcel.pop()).collect()
    }
}

fn wait(at_most: Duration, mut is_quiet: impl FnMut() -> bool) {
    let until = Instant::now() + at_most;
    let mut quiet = 0;
    while quiet < QUIET_LOOKS && Instant::now() < until {
        thread::sleep(LOOK);
        quiet = if is_quiet() { quiet + 1 } else { 0 };
    }
}

/// Descriptors in one message: the kernel takes 253.
const AT_ONCE: usize = 128;
/// The longest text that is received: what some hundred thousand connections need.
const BYTES_AT_MOST: u64 = 1 << 30;
/// The most descriptors.
const DESCRIPTORS_AT_MOST: u64 = 1 << 22;

/// Sends bytes, and descriptors with them, which stay open here too.
///
/// # Errors
/// The other end is gone.
pub fn send(mut to: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(&(descriptors.len() as u64).to_le_bytes())?;
    to.write_all(bytes)?;
    for some in descriptors.chunks(AT_ONCE) {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        rights.push(SendAncillaryMessage::ScmRights(some));
        sendmsg(to, &[IoSlice::new(&[0])], &mut rights, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// Receives what [`send`] has sent.
///
/// # Errors
/// The other end is gone, it takes too long (as the stream says), or what came is none of ours.
pub fn receive(mut from: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut number = |most: u64| -> io::Result<u64> {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        let number = Some(u64::from_le_bytes(bytes)).filter(|number| *number <= most);
        number.ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    let (length, count) = (number(BYTES_AT_MOST)?, number(DESCRIPTORS_AT_MOST)?);
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    let mut descriptors = Vec::new();
    while (descriptors.len() as u64) < count {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(AT_ONCE))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let came = recvmsg(from.as_fd(), &mut [IoSliceMut::new(&mut byte)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
        let before = descriptors.len();
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                descriptors.extend(some);
            }
        }
        if came.bytes == 0 || descriptors.len() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if bytes.len() as u64 == length { Ok((bytes, descriptors)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn bytes_and_many_descriptors_come_over_in_order() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut files: Vec<File> = (0..300).map(|_| tempfile::tempfile().unwrap()).collect();
        for (number, file) in (0_u32..).zip(&mut files) {
            file.write_all(&number.to_le_bytes()).unwrap();
        }
        let sender = thread::spawn(move || {
            let descriptors: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
            send(&here, b"what is left", &descriptors).unwrap();
            send(&here, b"", &[]).unwrap();
        });
        let (bytes, descriptors) = receive(&there).unwrap();
        assert_eq!(bytes, b"what is left");
        for (number, descriptor) in (0_u32..).zip(descriptors.iter().take(300)) {
            let mut bytes = [0; 4];
            rustix::io::pread(descriptor, &mut bytes, 0).unwrap();
            assert_eq!(u32::from_le_bytes(bytes), number);
        }
        assert_eq!(descriptors.len(), 300);
        assert_eq!(receive(&there).unwrap().0, b"");
        sender.join().unwrap();
        assert!(receive(&there).is_err(), "the other end is gone");
    }

    #[test]
    fn what_is_too_much_is_not_read() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&[0xff; 16]).unwrap();
        assert_eq!(receive(&there).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
