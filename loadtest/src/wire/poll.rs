//! What engines of connections share: one epoll set with the boss's bell in it, one read buffer, and what is awaited of each connection
//! until when.

use super::{
    http::Target,
    line::{Filled, Line},
    pipe::Pipe,
    socket::Sources,
    tls::Client,
};
use crate::{clock, fault::Fault};
use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fd::{AsFd, OwnedFd},
    net::sockopt,
};
use std::{collections::VecDeque, io, net::SocketAddr, num::NonZeroU64, sync::Arc, time::Duration};

const EVENTS_PER_TURN: usize = 512;
const BELL: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;
/// Timers that fire 50 µs late by default would show as lag of the schedule.
const TIMER_SLACK_NS: Option<NonZeroU64> = NonZeroU64::new(1_000);
const BROKEN: EventFlags = EventFlags::RDHUP.union(EventFlags::ERR).union(EventFlags::HUP);

/// Whose a connection is, as a token of the epoll set.
pub(crate) trait Whose: Copy {
    /// A number below those of the bell and the listener, another one for each.
    fn token(self) -> u64;

    /// Whose token it is.
    fn of(token: u64) -> Self;
}

impl Whose for u32 {
    fn token(self) -> u64 {
        self.into()
    }

    fn of(token: u64) -> u32 {
        token as u32
    }
}

/// Where connections go, and how they are read and awaited.
pub(crate) struct Reach {
    /// Who is connected to.
    pub(crate) target: SocketAddr,
    /// TLS on the way there.
    pub(crate) client: Option<Client>,
    /// From where.
    pub(crate) sources: Sources,
    /// How long everything awaited may take.
    pub(crate) timeout: Duration,
    /// The longest message that may come, and a read behind it.
    pub(crate) buffer_bytes: usize,
    /// A read takes at most so much, behind what was kept.
    pub(crate) read_bytes: usize,
}

impl Reach {
    /// Where messages are read whole: a read takes as much as the longest of them.
    ///
    /// # Errors
    /// A sentence for the user, as [`Client::of`].
    pub(crate) fn whole(target: &Target, sources: Sources, timeout: Duration, buffer_bytes: usize) -> Result<Reach, String> {
        let client = Client::of(target)?;
        Ok(Reach { target: target.address, client, sources, timeout, buffer_bytes, read_bytes: buffer_bytes })
    }
}

/// The epoll set of an engine, and all that goes with it.
pub(crate) struct Poll<W> {
    epoll: OwnedFd,
    bell: Arc<OwnedFd>,
    events: Vec<Event>,
    buffer: Vec<u8>,
    reach: Reach,
    deadlines: VecDeque<Deadline<W>>,
}

/// What is awaited must come by then. All waits have the same time, so the queue is in order.
#[derive(Clone, Copy)]
struct Deadline<W> {
    at_ns: u64,
    whose: W,
    serial: u32,
}

impl<W> Poll<W> {
    /// An empty set that hears the bell.
    ///
    /// # Errors
    /// Those of the system: no descriptor is left, for one.
    pub(crate) fn new(reach: Reach, bell: &Arc<OwnedFd>) -> io::Result<Poll<W>> {
        rustix::thread::set_current_timer_slack(TIMER_SLACK_NS)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell, EventData::new_u64(BELL), EventFlags::IN)?;
        Ok(Poll {
            epoll,
            bell: Arc::clone(bell),
            events: Vec::with_capacity(EVENTS_PER_TURN),
            buffer: vec![0; reach.buffer_bytes],
            reach,
            deadlines: VecDeque::new(),
        })
    }

    /// Hears of connections that come: [`Lines::accept`].
    ///
    /// # Errors
    /// Those of `epoll_ctl`.
    pub(crate) fn listen(&self, listener: impl AsFd) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?)
    }
}

impl<W: Whose> Poll<W> {
    /// Hears of a connection from now on. Small messages leave it at once.
    ///
    /// # Errors
    /// Those of `setsockopt` and `epoll_ctl`.
    pub(crate) fn add(&self, socket: impl AsFd, whose: W) -> Result<(), Fault> {
        sockopt::set_tcp_nodelay(&socket, true)?;
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, &socket, EventData::new_u64(whose.token()), interest)?)
    }
}

/// An engine whose connections are [`Line`]s in a [`Poll`].
pub(crate) trait Lines {
    /// Whose a connection is.
    type Whose: Whose;

    /// The set.
    fn poll(&mut self) -> &mut Poll<Self::Whose>;

    /// Somebody's connection.
    fn line(&mut self, whose: Self::Whose) -> &mut Line;

    /// TCP has answered.
    fn stands(&mut self, whose: Self::Whose) -> Result<(), Fault>;

    /// Bytes have come, behind what [`Line::rest`] kept; where the kernel stamps them, when.
    fn came(&mut self, whose: Self::Whose, bytes: &[u8], now_ns: u64, stamp_ns: Option<u64>) -> Result<(), Fault>;

    /// A connection has ended, by itself or by a fault.
    fn over(&mut self, whose: Self::Whose, fault: Fault);

    /// A standing connection takes bytes again.
    fn takes(&mut self, _whose: Self::Whose) -> Result<(), Fault> {
        Ok(())
    }

    /// Whether the kernel stamps what comes on this connection.
    fn is_stamped(&self, _whose: Self::Whose) -> bool {
        false
    }

    /// The listener has a connection.
    fn accept(&mut self) {}

    /// Begins a connection; [`Lines::stands`] or [`Lines::over`] goes on.
    fn dial(&mut self, whose: Self::Whose) -> Result<(), Fault> {
        let poll = self.poll();
        let socket = Pipe::new(poll.reach.sources.dial(poll.reach.target)?, poll.reach.client.as_ref())?;
        poll.add(&socket, whose)?;
        let line = self.line(whose);
        (line.socket, line.dialling) = (Some(socket), true);
        Ok(())
    }

    /// Something is awaited of a connection, and must come in time.
    fn await_next(&mut self, whose: Self::Whose, what: &'static str) {
        let serial = self.line(whose).await_next(what);
        let poll = self.poll();
        let at_ns = clock::now_ns().saturating_add(clock::nanos(poll.reach.timeout));
        poll.deadlines.push_back(Deadline { at_ns, whose, serial });
    }

    /// Ends what has not come in time; returns when to look again.
    fn expire(&mut self) -> u64 {
        while let Some(Deadline { at_ns, whose, serial }) = self.poll().deadlines.front().copied() {
            let line = self.line(whose);
            let awaited = line.awaits.filter(|_| line.serial == serial);
            if awaited.is_some() && at_ns > clock::now_ns() {
                return at_ns;
            }
            self.poll().deadlines.pop_front();
            if let Some(what) = awaited {
                self.over(whose, Fault::Timeout(what));
            }
        }
        u64::MAX
    }

    /// Waits until `next_ns` at most, and goes through what came.
    ///
    /// # Errors
    /// Only those of epoll itself: a connection's faults go to [`Lines::over`].
    fn serve(&mut self, next_ns: u64) -> io::Result<()> {
        let poll = self.poll();
        let mut events = std::mem::take(&mut poll.events);
        let wait = clock::until(next_ns, clock::now_ns());
        match epoll::wait(&poll.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                BELL => drop(rustix::io::read(&self.poll().bell, &mut [0; 8])),
                LISTENER => self.accept(),
                token => self.ready(Self::Whose::of(token), event.flags),
            }
        }
        self.poll().events = events;
        Ok(())
    }

    /// A connection can be read or written.
    fn ready(&mut self, whose: Self::Whose, flags: EventFlags) {
        let mut done = Ok(());
        if self.line(whose).dialling {
            if !flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
                return;
            }
            self.line(whose).dialling = false;
            done = self.stands(whose);
        } else if flags.contains(EventFlags::OUT) {
            done = self.line(whose).socket.as_mut().map_or(Ok(()), Pipe::flush).and_then(|()| self.takes(whose));
        }
        if done.is_ok() && flags.intersects(EventFlags::IN | BROKEN) {
            let mut buffer = std::mem::take(&mut self.poll().buffer);
            done = self.read(whose, &mut buffer, flags.intersects(BROKEN));
            self.poll().buffer = buffer;
        }
        if let Err(fault) = done {
            self.over(whose, fault);
        }
    }

    /// Reads all there is. A read that does not fill the buffer has emptied the socket, unless the peer has already ended.
    fn read(&mut self, whose: Self::Whose, buffer: &mut [u8], to_the_end: bool) -> Result<(), Fault> {
        let (most, stamped) = (self.poll().reach.read_bytes, self.is_stamped(whose));
        loop {
            let line = self.line(whose);
            let room = line.rest.len().saturating_add(most).min(buffer.len());
            match line.fill(&mut buffer[..room], stamped) {
                Filled::Nothing => return Ok(()),
                Filled::Over(fault) => return Err(fault),
                Filled::Bytes { count, full, stamp_ns } => {
                    self.came(whose, &buffer[..count], clock::now_ns(), stamp_ns)?;
                    if !full && !to_the_end {
                        return Ok(());
                    }
                }
            }
        }
    }
}
