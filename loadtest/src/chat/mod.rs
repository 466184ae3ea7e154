//! The engine of a worker of a chat run: sessions that ask for answers, and the connections that hear them, on one thread, one epoll set
//! and one read buffer.
//!
//! Each message is said at its own moment, whatever became of those before. What a connection hears is held against what must come next
//! (`ear`); what the model counts for itself is compared when all is over.

pub(crate) mod contract;
mod ear;
mod line;
pub(crate) mod order;
pub(crate) mod proof;
mod sse;
mod talk;

use crate::{
    clock,
    crew::{
        letters::{Progress, Stage},
        worker::{self, Engine},
    },
    fault::Fault,
    order::mix,
    tally::{Tally, When},
    wire::{http::Upgrade, line::Filled, socket::Sources},
};
use line::Listener;
use order::ChatOrder;
use proof::Proof;
use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fd::OwnedFd,
};
use std::{collections::VecDeque, io, num::NonZeroU64, sync::Arc};
use talk::Session;

/// So many operations are begun before the connections are looked at again.
const BEGINS_PER_TURN: usize = 64;
/// Connections that are opened at once.
const AT_ONCE: u32 = 64;
const EVENTS_PER_TURN: usize = 256;
const BUFFER_BYTES: usize = 2 << 20;
const BELL: u64 = u64::MAX;

/// Everything of one worker.
pub(crate) struct Chats {
    order: ChatOrder,
    upgrade: Upgrade,
    sources: Sources,
    epoll: OwnedFd,
    bell: Arc<OwnedFd>,
    events: Vec<Event>,
    buffer: Vec<u8>,
    request: Vec<u8>,
    /// In the order of their numbers.
    sessions: Vec<Session>,
    /// Those of a session stand together.
    listeners: Vec<Listener>,
    stage: Option<(Stage, u64)>,
    deadlines: VecDeque<Deadline>,
    /// What this stage has begun: the next connection, or message.
    next: usize,
    /// Connections that are being opened.
    under_way: u32,
    /// Sockets that are not over.
    open: u32,
    /// Ends of answers that are still to be heard, and until when they are waited for.
    awaited: u64,
    give_up_ns: u64,
    proof: Option<Proof>,
    faults: u64,
    tally: Tally,
}

/// What is awaited must come by then. All waits have the same time, so the queue is in order.
struct Deadline {
    at_ns: u64,
    place: u32,
    serial: u32,
}

impl Chats {
    /// Makes everything that an order needs before its clock starts.
    ///
    /// # Errors
    /// A sentence for the user: too few descriptors, a system that refuses.
    pub(crate) fn new(order: ChatOrder, bell: &Arc<OwnedFd>) -> Result<Chats, String> {
        let (sessions, listeners) = furnish(&order);
        let (places, files) = (listeners.len() as u64, worker::raise_open_files());
        if places + worker::SPARE_FILES > files {
            return Err(format!(
                "{places} connections in one worker, but only {files} open files are allowed: give more --workers"
            ));
        }
        let set_up = || -> rustix::io::Result<OwnedFd> {
            // Timers that fire 50 µs late by default would show as lag of the schedule.
            rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000))?;
            let epoll = epoll::create(CreateFlags::CLOEXEC)?;
            epoll::add(&epoll, bell, EventData::new_u64(BELL), EventFlags::IN)?;
            Ok(epoll)
        };
        let nonce = (u128::from(mix(order.seed)) << 64 | u128::from(mix(!order.seed))).to_be_bytes();
        Ok(Chats {
            upgrade: Upgrade::new(&order.target, nonce),
            sources: Sources::new(order.sources.clone(), order.worker as usize),
            epoll: set_up().map_err(|errno| format!("epoll: {errno}"))?,
            bell: Arc::clone(bell),
            events: Vec::with_capacity(EVENTS_PER_TURN),
            buffer: vec![0; BUFFER_BYTES],
            request: Vec::new(),
            sessions,
            listeners,
            stage: None,
            deadlines: VecDeque::new(),
            next: 0,
            under_way: 0,
            open: 0,
            awaited: 0,
            give_up_ns: 0,
            proof: None,
            faults: 0,
            tally: Tally::default(),
            order,
        })
    }

    /// Begins what is due; returns when the next thing is.
    fn begin_due(&mut self) -> u64 {
        let Some((stage, from_ns)) = self.stage else { return u64::MAX };
        if clock::now_ns() < from_ns {
            return from_ns;
        }
        match stage {
            Stage::View => self.begin_each(Chats::open),
            Stage::Stream => self.begin_messages(from_ns),
            Stage::Close => self.begin_each(Chats::close),
            Stage::Prove => self.prove(),
            Stage::SignIn | Stage::Hold | Stage::Publish | Stage::Watch | Stage::Start => u64::MAX,
            Stage::Storm | Stage::Stall | Stage::Calm => u64::MAX,
            Stage::Answer | Stage::Submit | Stage::Join | Stage::Leave | Stage::Ask => u64::MAX,
        }
    }

    fn begin_each(&mut self, begin: fn(&mut Chats, u32)) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            if self.next >= self.listeners.len() || self.under_way >= AT_ONCE {
                return u64::MAX;
            }
            self.next += 1;
            begin(self, self.next as u32 - 1);
        }
        0
    }

    /// Something is awaited of a connection, and must come in time.
    fn await_next(&mut self, place: u32, what: &'static str) {
        let at_ns = clock::now_ns().saturating_add(clock::nanos(self.order.timeout));
        let serial = self.listeners[place as usize].line.await_next(what);
        self.deadlines.push_back(Deadline { at_ns, place, serial });
    }

    /// Ends what has not come in time; returns when to look again.
    fn expire(&mut self) -> u64 {
        while let Some(&Deadline { at_ns, place, serial }) = self.deadlines.front() {
            let line = &self.listeners[place as usize].line;
            match line.awaits.filter(|_| line.serial == serial) {
                Some(_) if at_ns > clock::now_ns() => return at_ns,
                Some(what) => {
                    self.deadlines.pop_front();
                    self.over(place, Fault::Timeout(what));
                }
                None => drop(self.deadlines.pop_front()),
            }
        }
        u64::MAX
    }

    /// A connection can be read or written.
    fn ready(&mut self, place: u32, flags: EventFlags) {
        let broken = EventFlags::RDHUP | EventFlags::ERR | EventFlags::HUP;
        let mut done = Ok(());
        if self.listeners[place as usize].line.dialling {
            if !flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
                return;
            }
            self.listeners[place as usize].line.dialling = false;
            done = self.connected(place);
        }
        if done.is_ok() && flags.intersects(EventFlags::IN | broken) {
            let mut buffer = std::mem::take(&mut self.buffer);
            done = self.read(place, &mut buffer, flags.intersects(broken));
            self.buffer = buffer;
        }
        if let Err(fault) = done {
            self.over(place, fault);
        }
    }

    /// Reads all there is. A read that does not fill the buffer has emptied the socket, unless the peer has already ended.
    fn read(&mut self, place: u32, buffer: &mut [u8], to_the_end: bool) -> Result<(), Fault> {
        loop {
            match self.listeners[place as usize].line.fill(buffer, false) {
                Filled::Nothing => return Ok(()),
                Filled::Over(fault) => return Err(fault),
                Filled::Bytes { count, full, .. } => {
                    self.tally.chat.bytes_read += count as u64;
                    self.hear(place, &buffer[..count], clock::now_ns())?;
                    if !full && !to_the_end {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn blame(&mut self, when: When, fault: &Fault) {
        self.faults += 1;
        self.tally.blame(when, fault);
    }
}

/// The sessions of an order and their connections.
fn furnish(order: &ChatOrder) -> (Vec<Session>, Vec<Listener>) {
    let (mut sessions, mut listeners): (Vec<Session>, Vec<Listener>) = (Vec::new(), Vec::new());
    for (place, seat) in (0..).zip(&order.seats) {
        sessions.push(Session::new(seat.number, listeners.len() as u32, order.is_sampled(place as usize)));
        let is_stream = order.plan.is_stream(seat.number);
        let lines = 0..order.plan.lines(seat.number);
        listeners.extend(lines.map(|which| Listener::new(place, seat.number, which == 0, is_stream)));
    }
    (sessions, listeners)
}

impl Engine for Chats {
    fn enter(&mut self, stage: Stage, at_ns: u64) {
        self.stage = Some((stage, at_ns));
        self.next = 0;
        match stage {
            Stage::Stream => self.open_schedule(at_ns),
            Stage::Prove => self.proof = Some(Proof::default()),
            Stage::SignIn | Stage::Hold | Stage::Publish | Stage::Watch | Stage::Start | Stage::Answer => {}
            Stage::Storm | Stage::Stall | Stage::Calm => {}
            Stage::Submit | Stage::Join | Stage::View | Stage::Leave | Stage::Close | Stage::Ask => {}
        }
    }

    fn settled(&self) -> bool {
        let Some((stage, _)) = self.stage else { return false };
        let begun = self.next == self.listeners.len() && self.under_way == 0;
        match stage {
            Stage::Hold => false,
            Stage::View => begun,
            Stage::Stream => self.all_said() && (self.awaited == 0 || clock::now_ns() >= self.give_up_ns),
            Stage::Close => begun && self.open == 0,
            Stage::Prove => self.proof.is_none(),
            Stage::SignIn | Stage::Publish | Stage::Watch | Stage::Start | Stage::Answer => true,
            Stage::Storm | Stage::Stall | Stage::Calm => true,
            Stage::Submit | Stage::Join | Stage::Leave | Stage::Ask => true,
        }
    }

    fn progress(&self) -> Progress {
        let chat = &self.tally.chat;
        Progress {
            lost: chat.lost,
            faults: self.faults,
            closed: chat.closed,
            watching: chat.opened,
            answered: chat.ends_heard,
            heard: chat.words_heard + chat.words_of_cancelled,
            connections: self.open.into(),
            ..Progress::default()
        }
    }

    fn turn(&mut self, latest_ns: u64) -> io::Result<()> {
        let mut next_ns = self.begin_due().min(self.expire()).min(latest_ns);
        if matches!(self.stage, Some((Stage::Stream, _))) && self.all_said() {
            next_ns = next_ns.min(self.give_up_ns);
        }
        let mut events = std::mem::take(&mut self.events);
        let wait = clock::until(next_ns, clock::now_ns());
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                BELL => drop(rustix::io::read(&self.bell, &mut [0; 8])),
                place => self.ready(place as u32, event.flags),
            }
        }
        self.events = events;
        Ok(())
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn finish(self: Box<Self>) -> Tally {
        self.tally
    }
}
