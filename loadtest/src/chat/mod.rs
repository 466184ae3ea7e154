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
    wire::{
        http::Upgrade,
        line::Line,
        poll::{Lines, Poll, Reach},
        socket::Sources,
    },
};
use line::Listener;
use order::ChatOrder;
use proof::Proof;
use rustix::fd::OwnedFd;
use std::{io, sync::Arc};
use talk::Session;

/// So many operations are begun before the connections are looked at again.
const BEGINS_PER_TURN: usize = 64;
/// Connections that are opened at once.
const AT_ONCE: u32 = 64;
const BUFFER_BYTES: usize = 2 << 20;

/// Everything of one worker.
pub(crate) struct Chats {
    order: ChatOrder,
    upgrade: Upgrade,
    poll: Poll<u32>,
    request: Vec<u8>,
    /// In the order of their numbers.
    sessions: Vec<Session>,
    /// Those of a session stand together.
    listeners: Vec<Listener>,
    stage: Option<(Stage, u64)>,
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

impl Chats {
    /// Makes everything that an order needs before its clock starts.
    ///
    /// # Errors
    /// A sentence for the user: too few descriptors, a system that refuses.
    pub(crate) fn new(order: ChatOrder, bell: &Arc<OwnedFd>) -> Result<Chats, String> {
        let (sessions, listeners) = furnish(&order);
        worker::room_for(listeners.len() as u64)?;
        let reach =
            Reach::whole(&order.target, Sources::new(order.sources.clone(), order.worker as usize), order.timeout, BUFFER_BYTES)?;
        let nonce = (u128::from(mix(order.seed)) << 64 | u128::from(mix(!order.seed))).to_be_bytes();
        Ok(Chats {
            upgrade: Upgrade::new(&order.target, nonce),
            poll: Poll::new(reach, bell).map_err(|fault| format!("epoll: {fault}"))?,
            request: Vec::new(),
            sessions,
            listeners,
            stage: None,
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

    fn blame(&mut self, when: When, fault: &Fault) {
        self.faults += 1;
        self.tally.blame(when, fault);
    }
}

impl Lines for Chats {
    type Whose = u32;

    fn poll(&mut self) -> &mut Poll<u32> {
        &mut self.poll
    }

    fn line(&mut self, place: u32) -> &mut Line {
        &mut self.listeners[place as usize].line
    }

    fn stands(&mut self, place: u32) -> Result<(), Fault> {
        self.connected(place)
    }

    fn came(&mut self, place: u32, bytes: &[u8], now_ns: u64, _stamp_ns: Option<u64>) -> Result<(), Fault> {
        self.tally.chat.bytes_read += bytes.len() as u64;
        self.hear(place, bytes, now_ns)
    }

    fn over(&mut self, place: u32, fault: Fault) {
        self.ended(place, fault);
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
        self.serve(next_ns)
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn finish(self: Box<Self>) -> Tally {
        self.tally
    }
}
