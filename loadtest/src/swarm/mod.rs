//! The engine of a worker: all its connections on one thread, one epoll set, one read buffer.
//!
//! A turn begins what is due, waits, and hears what has come. Each connection is registered once, edge-triggered, for its whole
//! life; a sign-in costs the calls that TCP needs, two sends and two reads. Nothing is allocated for a message.

mod ledger;
mod member;
mod publisher;
mod slow;
mod storm;

use crate::{
    clock,
    crew::{
        letters::{Progress, Stage},
        worker::{self, Engine},
    },
    fault::Fault,
    order::{Fate, Order, mix},
    students::Students,
    tally::{Measure, Tally, When},
    wire::{
        frames::{self, LARGEST_FRAME_BYTES},
        http::Upgrade,
        pipe::Pipe,
        socket::Sources,
        tls::Client,
    },
};
use ledger::Ledger;
use member::{Member, Phase};
use publisher::Publisher;
use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fd::OwnedFd,
};
use slow::Sips;
use std::{collections::VecDeque, io, num::NonZeroU64, sync::Arc};
use storm::Round;

/// So many operations are begun before the sockets are looked at again.
const BEGINS_PER_TURN: usize = 64;
const EVENTS_PER_TURN: usize = 512;
/// A frame that is not whole yet, and one more read behind it.
const BUFFER_BYTES: usize = LARGEST_FRAME_BYTES + 10 + 256 * 1024;
/// The bell's place among the tokens of the epoll set; publish connections lie below it, members below those.
const BELL: u64 = u64::MAX;
const PUBLISH_LINES: u64 = 1 << 63;

/// All connections of one worker.
pub(crate) struct Swarm {
    order: Order,
    students: Students,
    upgrade: Upgrade,
    sources: Sources,
    client: Option<Client>,
    epoll: OwnedFd,
    bell: Arc<OwnedFd>,
    events: Vec<Event>,
    buffer: Vec<u8>,
    members: Vec<Member>,
    /// Places without a connection, last freed on top.
    free: Vec<u32>,
    deadlines: VecDeque<Deadline>,
    publisher: Option<Publisher>,
    /// What each member must have heard, where they come and go while it is published.
    ledger: Option<Ledger>,
    round: Round,
    sips: Sips,
    stage: Option<(Stage, u64)>,
    /// Sign-ins of this worker: how many in all, begun, and not yet decided.
    share: u64,
    begun: u64,
    in_flight: u32,
    /// When a place among those in flight last became free.
    room_since_ns: u64,
    /// Members still to be told to close, and told but not ended.
    to_close: u32,
    closing: u32,
    living: Vec<u32>,
    /// When the bytes came that are being heard, where that is stamped; else 0.
    stamp_ns: u64,
    faults: u64,
    tally: Tally,
}

/// One step of one connection must be done by then. All steps have the same time, so the queue is in order.
struct Deadline {
    at_ns: u64,
    place: u32,
    generation: u32,
}

fn members(order: &Order, places: u64) -> Vec<Member> {
    let slow = order.slow();
    (0..places).map(|place| Member::new(slow.contains(&order.number(place)))).collect()
}

impl Swarm {
    /// Makes everything that an order needs before its clock starts.
    ///
    /// # Errors
    /// A sentence for the user: too few tokens, too few descriptors, a system that refuses.
    pub(crate) fn new(order: Order, bell: &Arc<OwnedFd>) -> Result<Swarm, String> {
        let places = worker::places(&order);
        worker::room_for(places)?;
        let set_up = || -> rustix::io::Result<OwnedFd> {
            // Timers that fire 50 µs late by default would show as lag of the schedule.
            rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000))?;
            let epoll = epoll::create(CreateFlags::CLOEXEC)?;
            epoll::add(&epoll, bell, EventData::new_u64(BELL), EventFlags::IN)?;
            Ok(epoll)
        };
        let nonce = (u128::from(mix(order.seed)) << 64 | u128::from(mix(!order.seed))).to_be_bytes();
        Ok(Swarm {
            students: Students::enrol(&order)?,
            upgrade: Upgrade::new(&order.target, nonce),
            sources: Sources::new(order.sources.clone(), order.worker as usize),
            client: Client::of(&order.target)?,
            epoll: set_up().map_err(|errno| format!("epoll: {errno}"))?,
            bell: Arc::clone(bell),
            events: Vec::with_capacity(EVENTS_PER_TURN),
            buffer: vec![0; BUFFER_BYTES],
            members: members(&order, places),
            free: (0..places as u32).rev().collect(),
            deadlines: VecDeque::new(),
            ledger: order.is_kept().then(|| Ledger::new(&order, places as usize)),
            publisher: order.publishing.clone().map(|publishing| Publisher::new(&order, publishing)).transpose()?,
            round: Round::default(),
            sips: Sips::default(),
            stage: None,
            share: order.share(order.sign_ins),
            begun: 0,
            in_flight: 0,
            room_since_ns: 0,
            to_close: 0,
            closing: 0,
            stamp_ns: 0,
            living: vec![0; order.classrooms as usize],
            faults: 0,
            tally: Tally::default(),
            order,
        })
    }

    /// Begins what is due; returns when the next thing is.
    fn begin_due(&mut self) -> u64 {
        match self.stage {
            None => u64::MAX,
            Some((Stage::Publish | Stage::Hold | Stage::Calm, _)) => self.begin_publishes(),
            Some((Stage::Stall, _)) => self.begin_publishes().min(self.begin_sips()),
            Some((Stage::SignIn, from_ns)) => self.begin_sign_ins(from_ns),
            Some((Stage::Storm, _)) => self.begin_publishes().min(self.begin_round()),
            Some((Stage::Close, from_ns)) => self.begin_closes(from_ns),
            Some((Stage::Watch | Stage::Start | Stage::Answer | Stage::Submit | Stage::Prove, _)) => u64::MAX,
            Some((Stage::Join | Stage::View | Stage::Stream | Stage::Leave | Stage::Ask, _)) => u64::MAX,
        }
    }

    fn begin_publishes(&mut self) -> u64 {
        match &mut self.publisher {
            Some(publisher) => publisher.begin_due(&self.living, &self.epoll, &mut self.tally),
            None => u64::MAX,
        }
    }

    fn begin_sign_ins(&mut self, from_ns: u64) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            if self.begun == self.share || self.in_flight == self.order.in_flight {
                return u64::MAX;
            }
            let Some(place) = self.free.last().copied() else { return u64::MAX };
            let now_ns = clock::now_ns();
            let due_ns = self.sign_in_due(from_ns);
            if now_ns < due_ns {
                return due_ns;
            }
            let intended_ns = if self.order.rate.is_some() { self.note_lag(due_ns, now_ns) } else { now_ns };
            self.free.pop();
            self.begun += 1;
            self.dial(place, intended_ns, now_ns);
        }
        0
    }

    /// When this worker's next sign-in is meant to begin.
    fn sign_in_due(&self, from_ns: u64) -> u64 {
        let after = self.order.rate.map_or(0.0, |rate| self.order.number(self.begun) as f64 * 1e9 / rate);
        from_ns.saturating_add(after as u64)
    }

    /// Counts how late this worker is, not counting the time in which the limit of sign-ins in flight held it.
    fn note_lag(&mut self, due_ns: u64, now_ns: u64) -> u64 {
        self.tally.counts.held_back += u64::from(self.room_since_ns > due_ns);
        self.tally.record(Measure::Lag, now_ns - due_ns.max(self.room_since_ns).min(now_ns));
        due_ns
    }

    fn dial(&mut self, place: u32, intended_ns: u64, now_ns: u64) {
        self.tally.counts.attempted += 1;
        self.in_flight += 1;
        let student = self.identity(place);
        let member = &mut self.members[place as usize];
        let room = self.order.room(self.order.number(u64::from(student)));
        member.start(student, room, intended_ns, now_ns);
        let generation = member.generation();
        let buffer = self.receive_buffer(place);
        let dialled = self.sources.dial_within(self.order.target.address, buffer).map_err(Fault::from).and_then(|socket| {
            let socket = Pipe::new(socket, self.client.as_ref())?;
            let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            let token = u64::from(generation) << 32 | u64::from(place);
            epoll::add(&self.epoll, &socket, EventData::new_u64(token), interest)?;
            Ok(socket)
        });
        match dialled {
            Ok(socket) => {
                self.members[place as usize].socket = Some(socket);
                self.set_deadline(place, now_ns);
            }
            Err(fault) => self.end(place, Some(fault)),
        }
    }

    /// Who signs in next at a place: each place has its own identities, so no two connections ever have the same at once.
    fn identity(&self, place: u32) -> u32 {
        let rounds = (self.students.count() / self.members.len()).max(1) as u32;
        let round = self.members[place as usize].uses() % rounds;
        round * self.members.len() as u32 + place
    }

    fn set_deadline(&mut self, place: u32, now_ns: u64) {
        let at_ns = now_ns.saturating_add(clock::nanos(self.order.timeout));
        let member = &mut self.members[place as usize];
        member.due_ns = at_ns;
        let generation = member.generation();
        self.deadlines.push_back(Deadline { at_ns, place, generation });
    }

    /// Ends what has not come in time; returns when to look again.
    fn expire(&mut self) -> u64 {
        while let Some(deadline) = self.deadlines.front() {
            let member = &self.members[deadline.place as usize];
            // A connection that has since begun to close has another deadline, further back.
            let stands = member.is(deadline.generation) && member.due_ns == deadline.at_ns;
            let step = stands.then(|| member.phase.step()).flatten();
            match step {
                Some(_) if deadline.at_ns > clock::now_ns() => return deadline.at_ns,
                Some(step) => {
                    let place = deadline.place;
                    self.deadlines.pop_front();
                    self.end(place, Some(Fault::Timeout(step)));
                }
                None => drop(self.deadlines.pop_front()),
            }
        }
        u64::MAX
    }

    fn begin_closes(&mut self, from_ns: u64) -> u64 {
        if clock::now_ns() < from_ns {
            return from_ns;
        }
        for _ in 0..BEGINS_PER_TURN {
            let Some(place) = self.to_close.checked_sub(1) else { return u64::MAX };
            let due_ns = self.close_due(from_ns);
            if clock::now_ns() < due_ns {
                return due_ns;
            }
            self.to_close = place;
            if self.members[place as usize].phase == Phase::Signed {
                self.close(place);
            }
        }
        0
    }

    /// When the next member is told to go.
    fn close_due(&self, from_ns: u64) -> u64 {
        let gone = 1.0 - f64::from(self.to_close) / self.members.len().max(1) as f64;
        let within_ns = self.order.leave_within.map_or(0, clock::nanos);
        from_ns.saturating_add((gone * within_ns as f64) as u64)
    }

    /// Sends the Close frame; the server answers it and ends the connection.
    fn close(&mut self, place: u32) {
        let now_ns = clock::now_ns();
        let member = &mut self.members[place as usize];
        let (frame, length) = frames::control(frames::opcode::CLOSE, &1000u16.to_be_bytes(), member.mask());
        member.begin_close(now_ns);
        let sent = member.send(&frame[..length]);
        self.closing += 1;
        self.leave_room(place);
        match sent {
            Ok(()) => self.set_deadline(place, now_ns),
            Err(fault) => self.end(place, Some(fault)),
        }
    }

    fn leave_room(&mut self, place: u32) {
        let room = self.members[place as usize].room as usize;
        if let Some(living) = self.living.get_mut(room) {
            *living = living.saturating_sub(1);
        }
    }

    fn dispatch(&mut self, token: u64, flags: EventFlags) {
        if token == BELL {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.bell, &mut count);
        } else if token & PUBLISH_LINES != 0 {
            if let Some(publisher) = &mut self.publisher {
                publisher.hear((token & !PUBLISH_LINES) as usize, &mut self.buffer, &mut self.tally);
            }
        } else {
            let (place, generation) = (token as u32, (token >> 32) as u32);
            if self.members[place as usize].is(generation) {
                self.ready(place, flags);
            }
        }
    }

    /// Gives a place back, counting why it ended when that was not as it should be.
    fn end(&mut self, place: u32, fault: Option<Fault>) {
        let now_ns = clock::now_ns();
        let member = &mut self.members[place as usize];
        let when = match member.phase {
            Phase::Connecting | Phase::Upgrading | Phase::SigningIn => When::SignIn,
            Phase::Signed => When::Member,
            Phase::Closing { .. } => When::Closing,
            Phase::Nobody => return,
        };
        let (began_ns, back_ns) = (member.step_began_ns, member.take_return());
        member.stop();
        self.forget(place);
        if self.order.fate == Fate::Leave {
            self.free.push(place);
        }
        match when {
            When::SignIn => self.decide(now_ns),
            When::Member if self.is_cut_off(place) => {
                self.leave_room(place);
                return self.note_cut_off(fault);
            }
            When::Member => {
                self.tally.counts.lost += 1;
                self.leave_room(place);
            }
            When::Closing => {
                self.closing -= 1;
                if let Some(due_ns) = back_ns {
                    self.round.delayed(due_ns, place);
                }
                if self.order.fate == Fate::Leave {
                    self.decide(now_ns);
                    self.tally.signing_in.hold(now_ns);
                }
            }
            When::Publishing | When::Watching | When::Starting | When::Answering => {}
            When::Submitting | When::Listening | When::Proving | When::Serving | When::Viewing | When::Talking => {}
            When::Asking | When::Working | When::Looking => {}
        }
        match fault {
            Some(fault) => {
                self.faults += 1;
                self.tally.blame(when, &fault);
            }
            None => {
                self.tally.counts.closed += 1;
                self.tally.record(Measure::Close, now_ns - began_ns);
            }
        }
    }

    /// Whether all that was published is heard, or was waited for long enough.
    fn is_calm(&self) -> bool {
        self.publisher.as_ref().is_none_or(|publisher| {
            let give_up_ns = publisher.until_ns().saturating_add(clock::nanos(self.order.timeout));
            publisher.settled() && (self.is_all_heard() || clock::now_ns() >= give_up_ns)
        })
    }

    /// One of those in flight is no longer.
    fn decide(&mut self, now_ns: u64) {
        if self.in_flight == self.order.in_flight {
            self.room_since_ns = now_ns;
        }
        self.in_flight -= 1;
    }
}

impl Engine for Swarm {
    fn enter(&mut self, stage: Stage, at_ns: u64) {
        self.stage = Some((stage, at_ns));
        self.room_since_ns = 0;
        match stage {
            Stage::SignIn => self.tally.signing_in.hold(at_ns),
            Stage::Hold => {}
            Stage::Publish => {
                self.tally.delivering.hold(at_ns);
                if let Some(publisher) = &mut self.publisher {
                    publisher.begin(at_ns, &self.epoll, &mut self.tally);
                }
            }
            Stage::Storm => self.open_round(at_ns),
            Stage::Stall => self.sips.begin(at_ns),
            Stage::Calm => {
                if let Some(publisher) = &mut self.publisher {
                    publisher.end(at_ns);
                }
                self.awake();
            }
            Stage::Close => {
                self.judge();
                self.to_close = self.members.len() as u32;
            }
            Stage::Watch | Stage::Start | Stage::Answer | Stage::Submit | Stage::Prove => {}
            Stage::Join | Stage::View | Stage::Stream | Stage::Leave | Stage::Ask => {}
        }
    }

    fn settled(&self) -> bool {
        match self.stage {
            None | Some((Stage::Hold, _)) => false,
            Some((Stage::Stall, from_ns)) => self.is_over(from_ns, |slow| slow.lasting),
            Some((Stage::Publish, from_ns)) if self.order.slow.is_some() => self.is_over(from_ns, |slow| slow.before),
            Some((Stage::Storm, _)) => self.round.is_begun() && self.in_flight == 0 && self.closing == 0,
            Some((Stage::Calm, _)) => self.is_calm(),
            Some((Stage::SignIn, _)) => self.begun == self.share && self.in_flight == 0 && self.closing == 0,
            Some((Stage::Publish, _)) => self.publisher.as_ref().is_none_or(Publisher::settled),
            Some((Stage::Close, _)) => self.to_close == 0 && self.closing == 0,
            Some((Stage::Watch | Stage::Start | Stage::Answer | Stage::Submit | Stage::Prove, _)) => true,
            Some((Stage::Join | Stage::View | Stage::Stream | Stage::Leave | Stage::Ask, _)) => true,
        }
    }

    fn progress(&self) -> Progress {
        let counts = &self.tally.counts;
        Progress {
            signed_in: counts.signed_in,
            lost: counts.lost,
            dropped: self.tally.reconnect.left + self.tally.reconnect.reset + self.tally.slow.cut_off,
            faults: self.faults,
            closed: counts.closed,
            published: counts.published,
            delivered: counts.delivered,
            connections: self.living.iter().copied().map(u64::from).sum::<u64>() + u64::from(self.closing),
            ..Progress::default()
        }
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn finish(self: Box<Self>) -> Tally {
        self.tally
    }

    fn turn(&mut self, latest_ns: u64) -> io::Result<()> {
        let next_ns = self.begin_due().min(self.expire()).min(latest_ns);
        let mut events = std::mem::take(&mut self.events);
        let wait = clock::until(next_ns, clock::now_ns());
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        for event in events.drain(..) {
            self.dispatch(event.data.u64(), event.flags);
        }
        self.events = events;
        Ok(())
    }
}
