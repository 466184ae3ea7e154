//! A shard's own io_uring: accepts, receives and sends of all its sockets. With the probe it is all of the crate with `unsafe` in it.
//!
//! What makes the outside safe: a segment that is being sent is held here until the kernel has let go of it; a received buffer is lent out
//! ([`Loan`]) and the kernel may write to it again only after it was given back; and a ring that is dropped first cancels what is
//! in flight, or, if the kernel does not let go in time, leaks the memory rather than freeing it.

mod buffers;
mod flights;

use super::{mesh::EventBell, wake::Bed};
use crate::{
    engine::{Listener, Send},
    realtime::{ConnId, ShardId},
};
use buffers::Buffers;
pub(super) use buffers::Loan;
use flights::Flight;
use io_uring::{
    IoUring, cqueue, opcode, squeue,
    types::{CancelBuilder, Fd, SubmitArgs, Timespec},
};
use std::{
    io,
    mem::ManuallyDrop,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd},
    time::Duration,
};

/// Sizes of a ring.
#[derive(Clone, Copy, Debug)]
pub struct RingSizes {
    /// Entries of the submission queue, a power of two. More are submitted in several batches.
    pub submissions: u32,
    /// Entries of the completion queue, a power of two, more than `submissions`. What does not fit waits in the kernel, at a price.
    pub completions: u32,
    /// Receive buffers, a power of two up to 32,768.
    pub buffers: u16,
    /// Bytes of a receive buffer.
    pub buffer_bytes: u32,
    /// The same for connections from which much comes. They take no memory before the first of those. So few that what is received is in
    /// the processor's nearer memory from the last time: a connection that finds none waits for a turn.
    pub bulk_buffers: u16,
    /// Bytes of such a buffer.
    pub bulk_buffer_bytes: u32,
}

impl Default for RingSizes {
    fn default() -> RingSizes {
        RingSizes {
            submissions: 1024,
            completions: 8192,
            buffers: 256,
            buffer_bytes: 4096,
            bulk_buffers: 4,
            bulk_buffer_bytes: 512 << 10,
        }
    }
}

/// How often the submission queue may be found full in a row before the ring counts as broken.
const FULL_TRIES: u32 = 10_000;
/// Buffers for all.
const GROUP: u16 = 0;
/// Those for connections from which much comes.
const BULK: u16 = 1;

/// Why a receive is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The peer will send no more.
    Finished,
    /// It was for one buffer, and brought it.
    Brought,
    /// No buffer was free, or the kernel wants to be asked again: arm another.
    Again,
    /// It was cancelled.
    Cancelled,
    /// The connection broke.
    Broken,
}

/// What the ring has to tell.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection.
    Accepted { listener: Listener, socket: OwnedFd },
    /// No more accepts until the next [`Ring::accept`]. The error number, if there was an error.
    AcceptOver { listener: Listener, fault: Option<i32> },
    /// Bytes. The loan must be given back.
    Received { conn: ConnId, loan: Loan },
    /// The receive that was armed is over. Follows the last [`Event::Received`] of it.
    ReceiveOver { conn: ConnId, end: End },
    /// The send is over: all of it has left, or the socket broke.
    Sent { conn: ConnId, whole: bool },
}

#[derive(Clone, Copy)]
#[repr(u8)]
enum Op {
    Accept = 1,
    Receive = 2,
    Send = 3,
    Cancel = 4,
    ReceiveBulk = 5,
    Bell = 6,
}

const fn data(op: Op, conn: ConnId) -> u64 {
    (op as u64) << 56 | (conn.generation as u64) << 32 | conn.slot as u64
}

/// The ring. It stays on the thread that made it (the kernel insists), which `Segment`'s `Rc` makes sure of.
pub(super) struct Ring {
    io: IoUring,
    shard: ShardId,
    buffers: ManuallyDrop<Buffers>,
    bulk: ManuallyDrop<Option<Buffers>>,
    sizes: RingSizes,
    flights: ManuallyDrop<Vec<Option<Flight>>>,
    free_flights: Vec<u32>,
    bell: OwnedFd,
    arrived: Vec<cqueue::Entry>,
    /// Operations submitted whose last completion was not seen yet.
    outstanding: usize,
    fault: Option<io::Error>,
}

impl Ring {
    /// Sets a ring up, registers its buffers, watches the ring's half of `bell`, and has the reactor's written when completions wait. The
    /// error names the step that failed.
    pub(super) fn new(shard: ShardId, sizes: RingSizes, bell: &EventBell) -> io::Result<Ring> {
        let io = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(sizes.completions)
            .build(sizes.submissions)
            .map_err(|fault| step("io_uring_setup", &fault))?;
        let buffers = Buffers::new(GROUP, sizes.buffers, sizes.buffer_bytes as usize);
        register(&io, &buffers, sizes.buffers, GROUP)?;
        io.submitter()
            .register_eventfd(bell.descriptor(Bed::Reactor).as_raw_fd())
            .map_err(|fault| step("register_eventfd", &fault))?;
        let bell = bell.descriptor(Bed::Ring).try_clone_to_owned().map_err(|fault| step("dup", &fault))?;
        let mut ring = Ring {
            io,
            shard,
            buffers: ManuallyDrop::new(buffers),
            bulk: ManuallyDrop::new(None),
            sizes,
            flights: ManuallyDrop::new(Vec::new()),
            free_flights: Vec::new(),
            bell,
            arrived: Vec::new(),
            outstanding: 0,
            fault: None,
        };
        ring.notify(false);
        ring.watch();
        Ok(ring)
    }

    /// Has each ring of the bell complete something. Nobody reads it: each write wakes, whatever it holds.
    fn watch(&mut self) {
        let entry = opcode::PollAdd::new(Fd(self.bell.as_raw_fd()), libc::POLLIN as u32).multi(true).build();
        let none = self.named(0, 0);
        self.push(entry.user_data(data(Op::Bell, none)));
    }

    /// Accepts on a listening socket until [`Event::AcceptOver`]. The sockets are closed on exec.
    pub(super) fn accept(&mut self, listener: Listener, socket: BorrowedFd<'_>) {
        let entry = opcode::AcceptMulti::new(Fd(socket.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build();
        self.push(entry.user_data(data(Op::Accept, self.named(u32::from(listener.0), 0))));
    }

    /// Accepts no more on this listener.
    pub(super) fn accept_no_more(&mut self, listener: Listener) {
        self.cancel(data(Op::Accept, self.named(u32::from(listener.0), 0)));
    }

    /// Receives until [`Event::ReceiveOver`].
    pub(super) fn receive(&mut self, conn: ConnId, socket: BorrowedFd<'_>) {
        let entry = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), GROUP).build();
        self.push(entry.user_data(data(Op::Receive, conn)));
    }

    /// Receives one large buffer of what has come, or is still to come, and no more until this is called again.
    pub(super) fn receive_bulk(&mut self, conn: ConnId, socket: BorrowedFd<'_>) {
        if self.bulk.is_none() {
            let buffers = Buffers::new(BULK, self.sizes.bulk_buffers, self.sizes.bulk_buffer_bytes as usize);
            if let Err(fault) = register(&self.io, &buffers, self.sizes.bulk_buffers, BULK) {
                self.fault.get_or_insert(fault);
                return;
            }
            *self.bulk = Some(buffers);
        }
        // The kernel takes the address and the length from the buffer that it selects.
        let entry = opcode::Recv::new(Fd(socket.as_raw_fd()), std::ptr::null_mut(), self.sizes.bulk_buffer_bytes).buf_group(BULK);
        let entry = entry.build().flags(squeue::Flags::BUFFER_SELECT);
        self.push(entry.user_data(data(Op::ReceiveBulk, conn)));
    }

    /// Ends the receive early; [`Event::ReceiveOver`] still comes, and before it what was received until then.
    pub(super) fn receive_no_more(&mut self, conn: ConnId, is_bulk: bool) {
        self.cancel(data(if is_bulk { Op::ReceiveBulk } else { Op::Receive }, conn));
    }

    /// Sends all of it, then [`Event::Sent`] comes. The socket must stay open until then.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>, send: Send) {
        let flight = Flight::new(socket.as_raw_fd(), send);
        let place = self.free_flights.pop().unwrap_or_else(|| {
            self.flights.push(None);
            (self.flights.len() - 1) as u32
        });
        self.flights[place as usize] = Some(flight);
        self.launch(place);
    }

    fn launch(&mut self, place: u32) {
        let Some(flight) = &mut self.flights[place as usize] else { return };
        let entry = flight.entry();
        self.push(entry.user_data((Op::Send as u64) << 56 | u64::from(place)));
    }

    fn cancel(&mut self, target: u64) {
        let none = self.named(0, 0);
        self.push(opcode::AsyncCancel::new(target).build().user_data(data(Op::Cancel, none)));
    }

    fn named(&self, slot: u32, generation: u16) -> ConnId {
        ConnId { shard: self.shard, generation, slot }
    }

    fn push(&mut self, entry: squeue::Entry) {
        self.outstanding += 1;
        for _ in 0..FULL_TRIES {
            // SAFETY: what the entry points to outlives the operation: receives use the registered buffers, sends point into
            // their flight or a batch that it holds, and neither is freed or moved while an operation is outstanding.
            // Accepts and cancels point nowhere.
            if unsafe { self.io.submission().push(&entry) }.is_ok() {
                return;
            }
            self.submit();
        }
        self.outstanding -= 1;
        self.fault.get_or_insert_with(|| io::Error::other("the submission queue stays full"));
    }

    /// Gives the kernel all that was asked for, and takes what has completed.
    pub(super) fn submit(&mut self) {
        if !self.kernel_wanted() {
            return;
        }
        if let Err(fault) = self.io.submit() {
            match fault.raw_os_error() {
                Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => {}
                _ => self.fault = Some(step("io_uring_enter", &fault)),
            }
        }
        self.arrived.extend(self.io.completion());
    }

    /// Whether something waits to be submitted or reaped. Asks the kernel and does not believe its flag alone: whoever completes
    /// an operation sets it after he queued the work, which this thread may have run by then; it then stays set over an empty
    /// queue until the next work comes.
    pub(super) fn has_work(&mut self) -> bool {
        if self.arrived.is_empty() {
            self.submit();
        }
        !self.arrived.is_empty() || !self.io.completion().is_empty() || !self.io.submission().is_empty()
    }

    /// Whether a call to the kernel would do anything: submit, or bring completions that wait there.
    fn kernel_wanted(&mut self) -> bool {
        let submission = self.io.submission();
        !submission.is_empty() || submission.taskrun() || submission.cq_overflow()
    }

    /// Sleeps until something completes or the bell is rung, `at_most` so long.
    pub(super) fn sleep(&mut self, at_most: Duration) {
        let until = Timespec::from(at_most);
        if let Err(fault) = self.io.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&until)) {
            match fault.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY) => {}
                _ => self.fault = Some(step("io_uring_enter", &fault)),
            }
        }
        self.arrived.extend(self.io.completion());
    }

    /// Whether the reactor's eventfd is written when completions come. Wanted while the shard sleeps there.
    pub(super) fn notify(&mut self, wanted: bool) {
        let completion = self.io.completion();
        if wanted {
            completion.enable_eventfd();
        } else {
            completion.disable_eventfd();
        }
    }

    /// What broke the ring itself, if anything did. A ring with a fault is of no more use.
    pub(super) fn fault(&mut self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Appends what happened. The kernel hands out twenty or so of the waiting completions with each call, so this is to be
    /// repeated while it brings something; what was received is best dealt with in between, while it is warm and before the
    /// buffers run out.
    pub(super) fn reap(&mut self, events: &mut Vec<Event>) {
        self.arrived.extend(self.io.completion());
        if self.arrived.is_empty() {
            self.submit();
        }
        let mut arrived = std::mem::take(&mut self.arrived);
        for entry in arrived.drain(..) {
            self.tell(&entry, events);
        }
        // Resubmitted remainders may have brought completions of their own.
        arrived.append(&mut self.arrived);
        self.arrived = arrived;
    }

    fn tell(&mut self, entry: &cqueue::Entry, events: &mut Vec<Event>) {
        let more = cqueue::more(entry.flags());
        self.outstanding -= usize::from(!more);
        let (word, result) = (entry.user_data(), entry.result());
        let conn = self.named(word as u32, (word >> 32) as u16);
        match (word >> 56) as u8 {
            op if op == Op::Accept as u8 => told_accept(Listener(conn.slot as u8), result, more, events),
            op if op == Op::Receive as u8 => self.tell_received(conn, GROUP, entry, more, events),
            op if op == Op::ReceiveBulk as u8 => self.tell_received(conn, BULK, entry, more, events),
            op if op == Op::Send as u8 => self.tell_sent(conn.slot, result, events),
            op if op == Op::Bell as u8 && !more && result >= 0 => self.watch(),
            op if op == Op::Bell as u8 && result < 0 && result != -libc::ECANCELED => {
                self.fault.get_or_insert(step("poll of the bell", &io::Error::from_raw_os_error(-result)));
            }
            _ => {}
        }
    }

    fn tell_received(&mut self, conn: ConnId, group: u16, entry: &cqueue::Entry, more: bool, events: &mut Vec<Event>) {
        let result = entry.result();
        if let Some(buffer) = cqueue::buffer_select(entry.flags()) {
            let loan = self.group(group).lend(buffer, u32::try_from(result).unwrap_or(0));
            if result > 0 {
                events.push(Event::Received { conn, loan });
            } else {
                self.give_back(loan);
            }
        }
        if !more {
            let end = match -result {
                0 => End::Finished,
                count if count < 0 && group == BULK => End::Brought,
                libc::ENOBUFS | libc::EINTR | libc::EAGAIN => End::Again,
                libc::ECANCELED => End::Cancelled,
                fault if fault > 0 => End::Broken,
                _ => End::Again,
            };
            events.push(Event::ReceiveOver { conn, end });
        }
    }

    fn tell_sent(&mut self, place: u32, result: i32, events: &mut Vec<Event>) {
        let Some(flight) = self.flights.get_mut(place as usize).and_then(Option::as_mut) else { return };
        let again = matches!(-result, libc::EINTR | libc::EAGAIN);
        let sent = usize::try_from(result).unwrap_or(0);
        flight.advance(sent);
        let whole = flight.is_whole();
        if !whole && (sent > 0 || again) {
            return self.launch(place);
        }
        let conn = flight.conn;
        self.flights[place as usize] = None;
        self.free_flights.push(place);
        events.push(Event::Sent { conn, whole });
    }

    /// The bytes on loan.
    pub(super) fn bytes(&self, loan: &Loan) -> &[u8] {
        match (&*self.bulk, loan.group) {
            (Some(bulk), BULK) => bulk.bytes(loan),
            (Some(_) | None, _) => self.buffers.bytes(loan),
        }
    }

    /// The kernel may use the buffer again.
    pub(super) fn give_back(&mut self, loan: Loan) {
        self.group(loan.group).give_back(loan);
    }

    fn group(&mut self, group: u16) -> &mut Buffers {
        match (&mut *self.bulk, group) {
            (Some(bulk), BULK) => bulk,
            (Some(_) | None, _) => &mut self.buffers,
        }
    }
}

fn register(io: &IoUring, buffers: &Buffers, count: u16, group: u16) -> io::Result<()> {
    // SAFETY: the ring of entries lives in `buffers`, which is freed only after the io_uring has let go of every operation (see `Drop`).
    unsafe { io.submitter().register_buf_ring_with_flags(buffers.entries.as_ptr() as u64, count, group, 0) }
        .map_err(|fault| step("register_buf_ring", &fault))
}

fn told_accept(listener: Listener, result: i32, more: bool, events: &mut Vec<Event>) {
    if result >= 0 {
        // SAFETY: the kernel made this descriptor for us with this completion, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(result) };
        events.push(Event::Accepted { listener, socket });
    }
    if !more {
        events.push(Event::AcceptOver { listener, fault: (result < 0).then_some(-result) });
    }
}

fn step(name: &str, fault: &io::Error) -> io::Error {
    io::Error::new(fault.kind(), format!("{name}: {fault}"))
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.submit();
        let wait = Timespec::from(Duration::from_millis(20));
        let _ = self.io.submitter().register_sync_cancel(Some(Timespec::from(Duration::from_secs(1))), CancelBuilder::any());
        let mut events = Vec::new();
        for _ in 0..50 {
            self.arrived.extend(self.io.completion());
            let arrived = std::mem::take(&mut self.arrived);
            for entry in &arrived {
                self.tell(entry, &mut events);
            }
            if self.outstanding == 0 {
                // SAFETY: no operation is left, so the kernel has no pointer to any; and nothing uses them after this.
                unsafe {
                    let _ = self.io.submitter().unregister_buf_ring(GROUP);
                    let _ = self.io.submitter().unregister_buf_ring(BULK);
                    ManuallyDrop::drop(&mut self.buffers);
                    ManuallyDrop::drop(&mut self.bulk);
                    ManuallyDrop::drop(&mut self.flights);
                }
                return;
            }
            let _ = self.io.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&wait));
        }
        tracing::warn!(outstanding = self.outstanding, "the kernel did not let go of the ring's memory: it is left to it");
    }
}

/// The descriptor as a glommio file, which reads it with its own ring. For the shard's eventfd.
pub(super) fn glommio_file(descriptor: OwnedFd) -> glommio::io::BufferedFile {
    // SAFETY: the file takes over a descriptor that is ours alone.
    unsafe { glommio::io::BufferedFile::from_raw_fd(descriptor.into_raw_fd()) }
}

/// The socket as a glommio stream, for REST.
pub(super) fn glommio_stream(socket: OwnedFd) -> glommio::net::TcpStream {
    // SAFETY: the stream takes over a descriptor that is ours alone.
    unsafe { glommio::net::TcpStream::from_raw_fd(socket.into_raw_fd()) }
}
