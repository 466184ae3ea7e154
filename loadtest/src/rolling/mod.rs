//! The engine of a worker whose nodes restart one after the other: students who come to another node before they leave the last, and what
//! is published to their rooms meanwhile, on one thread and one epoll set.
//!
//! A student has one connection, and a second one while he moves: from `terminated` on the first to `connect_success` on the second. What
//! he hears counts by student, whichever of them it came on (`book`), so that an event is lost, or doubled, between the two if anywhere.

mod book;
pub(crate) mod order;
mod post;
mod pupil;

use crate::{
    clock,
    crew::{
        letters::{Progress, Stage},
        worker::{self, Engine},
    },
    fault::Fault,
    order::{Pace, mix},
    students::Students,
    tally::{Measure, Tally, When},
    wire::{
        frames::LARGEST_FRAME_BYTES,
        http::{Target, Upgrade},
        line::Line,
        pipe::Pipe,
        poll::{Lines, Poll, Reach},
        socket::Sources,
        tls::Client,
    },
};
use book::Book;
use order::{Node, RollingOrder};
use post::{Post, Publish};
use pupil::{Pupil, Seat};
use rustix::fd::OwnedFd;
use std::{collections::VecDeque, io, net::SocketAddr, sync::Arc};

/// So many operations are begun before the connections are looked at again.
const BEGINS_PER_TURN: usize = 64;
/// A frame that is not whole yet, and one more read behind it.
const BUFFER_BYTES: usize = LARGEST_FRAME_BYTES + 10 + 256 * 1024;
/// Who found no node tries again so much later.
const AGAIN_NS: u64 = 50_000_000;

/// Everything of one worker.
pub(crate) struct Rolling {
    order: RollingOrder,
    students: Students,
    ways: Vec<Way>,
    sources: Sources,
    poll: Poll<u32>,
    pupils: Vec<Pupil>,
    /// Two for each pupil, then nobody's.
    seats: Vec<Seat>,
    /// Connections to internal listeners, behind the seats in numbers: for each node one that looks whether it is ready, and those that
    /// publish.
    posts: Vec<Post>,
    book: Book,
    /// Publishes that found a node gone before they were sent.
    unsent: VecDeque<Publish>,
    /// Who tries again, and when.
    again: VecDeque<(u64, u32)>,
    stage: Option<(Stage, u64)>,
    /// Students of whom a first sign-in was begun, and who are on their way in.
    begun: u32,
    coming: u32,
    /// Publishing: from when, until when, at whom next, and whether the next publish waits for a connection.
    from_ns: u64,
    until_ns: u64,
    turn: u32,
    is_held: bool,
    /// Connections of students.
    open: u32,
    closing: u32,
    faults: u64,
    tally: Tally,
    request: Vec<u8>,
    body: Vec<u8>,
}

/// How a node is reached.
struct Way {
    socket: SocketAddr,
    client: Option<Client>,
    upgrade: Upgrade,
    internal: Target,
    internal_client: Option<Client>,
    /// What it said last, and when it is asked next.
    is_ready: bool,
    look_ns: u64,
}

impl Way {
    fn new(node: &Node, nonce: [u8; 16]) -> Result<Way, String> {
        Ok(Way {
            socket: node.socket.address,
            client: Client::of(&node.socket)?,
            upgrade: Upgrade::new(&node.socket, nonce),
            internal: node.internal.clone(),
            internal_client: Client::of(&node.internal)?,
            is_ready: true,
            look_ns: 0,
        })
    }
}

impl Rolling {
    /// Makes everything that an order needs before its clock starts.
    ///
    /// # Errors
    /// A sentence for the user: too few tokens, too few descriptors, a system that refuses.
    pub(crate) fn new(order: RollingOrder, bell: &Arc<OwnedFd>) -> Result<Rolling, String> {
        let crowd = &order.crowd;
        let (places, nodes) = (worker::places(crowd) as u32, order.nodes.len() as u32);
        let posts: Vec<Post> = (0..nodes).flat_map(Post::of_node).collect();
        worker::room_for(2 * u64::from(places) + posts.len() as u64)?;
        let sources = || Sources::new(crowd.sources.clone(), crowd.worker as usize);
        let reach = Reach::whole(&crowd.target, sources(), crowd.timeout, BUFFER_BYTES)?;
        let nonce = (u128::from(mix(crowd.seed)) << 64 | u128::from(mix(!crowd.seed))).to_be_bytes();
        let pupil = |place: u32| {
            let number = crowd.number(place.into());
            Pupil::new(crowd.room(number), (number / u64::from(crowd.classrooms.max(1)) % u64::from(nodes)) as u32)
        };
        Ok(Rolling {
            students: Students::enrol(crowd)?,
            ways: order.nodes.iter().map(|node| Way::new(node, nonce)).collect::<Result<_, _>>()?,
            sources: sources(),
            poll: Poll::new(reach, bell).map_err(|fault| format!("epoll: {fault}"))?,
            pupils: (0..places).map(pupil).collect(),
            seats: (0..2 * places).map(|_| Seat::default()).collect(),
            posts,
            book: Book::new(crowd),
            unsent: VecDeque::new(),
            again: VecDeque::new(),
            stage: None,
            begun: 0,
            coming: 0,
            from_ns: 0,
            until_ns: u64::MAX,
            turn: crowd.worker,
            is_held: false,
            open: 0,
            closing: 0,
            faults: 0,
            tally: Tally::default(),
            request: Vec::new(),
            body: Vec::new(),
            order,
        })
    }

    /// Begins what is due; returns when the next thing is.
    fn begin_due(&mut self) -> u64 {
        let Some((stage, from_ns)) = self.stage else { return u64::MAX };
        if clock::now_ns() < from_ns {
            return from_ns;
        }
        if stage == Stage::Close {
            return self.begin_closes();
        }
        let own = match stage {
            Stage::SignIn => self.begin_sign_ins(from_ns),
            Stage::Publish | Stage::Hold | Stage::Calm => self.begin_publishes(),
            Stage::Watch | Stage::Start | Stage::Answer | Stage::Submit | Stage::Prove | Stage::Close => u64::MAX,
            Stage::Storm | Stage::Stall | Stage::Join | Stage::View | Stage::Stream | Stage::Leave | Stage::Ask => u64::MAX,
        };
        own.min(self.look()).min(self.begin_again())
    }

    fn begin_sign_ins(&mut self, from_ns: u64) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            if self.begun as usize == self.pupils.len() || self.coming >= self.order.crowd.in_flight {
                return u64::MAX;
            }
            let (crowd, now_ns) = (&self.order.crowd, clock::now_ns());
            let after = crowd.rate.map_or(0.0, |rate| crowd.number(self.begun.into()) as f64 * 1e9 / rate);
            let due_ns = from_ns.saturating_add(after as u64);
            if now_ns < due_ns {
                return due_ns;
            }
            let intended_ns = if crowd.rate.is_some() {
                self.tally.record(Measure::Lag, now_ns - due_ns);
                due_ns
            } else {
                now_ns
            };
            self.begun += 1;
            self.tally.counts.attempted += 1;
            self.send_in(self.begun - 1, intended_ns);
        }
        0
    }

    /// Those who found no node try again.
    fn begin_again(&mut self) -> u64 {
        while let Some((due_ns, pupil)) = self.again.front().copied() {
            if due_ns > clock::now_ns() {
                return due_ns;
            }
            self.again.pop_front();
            self.try_in(pupil);
        }
        u64::MAX
    }

    fn begin_closes(&mut self) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            let Some(place) = self.closing.checked_sub(1) else { return u64::MAX };
            self.closing = place;
            self.close(place);
        }
        0
    }

    /// Counts what each has not heard of that which was published while he was in.
    fn judge(&mut self) {
        for pupil in &self.pupils {
            let account = pupil.account(&self.book);
            self.tally.rolling.meant += account.meant;
            self.tally.rolling.unsure_heard += account.unsure;
            self.tally.counts.undelivered += account.missed;
        }
    }

    fn is_calm(&self) -> bool {
        let give_up_ns = self.until_ns.saturating_add(clock::nanos(self.order.crowd.timeout));
        let is_heard = || self.pupils.iter().all(|pupil| pupil.account(&self.book).missed == 0);
        self.is_all_sent() && (clock::now_ns() >= give_up_ns || (self.coming == 0 && is_heard()))
    }

    fn blame(&mut self, when: When, fault: &Fault) {
        self.faults += 1;
        self.tally.blame(when, fault);
    }

    /// Which of the posts this is; none: a seat.
    fn post_of(&self, whose: u32) -> Option<usize> {
        (whose as usize).checked_sub(self.seats.len())
    }
}

impl Lines for Rolling {
    type Whose = u32;

    fn poll(&mut self) -> &mut Poll<u32> {
        &mut self.poll
    }

    fn line(&mut self, whose: u32) -> &mut Line {
        match self.post_of(whose) {
            Some(post) => &mut self.posts[post].line,
            None => &mut self.seats[whose as usize].line,
        }
    }

    fn dial(&mut self, whose: u32) -> Result<(), Fault> {
        let (address, client) = match self.post_of(whose) {
            Some(post) => {
                let way = &self.ways[self.posts[post].node as usize];
                (way.internal.address, way.internal_client.as_ref())
            }
            None => {
                let way = &self.ways[self.seats[whose as usize].node as usize];
                (way.socket, way.client.as_ref())
            }
        };
        let socket = Pipe::new(self.sources.dial(address)?, client)?;
        self.poll.add(&socket, whose)?;
        let line = self.line(whose);
        (line.socket, line.dialling) = (Some(socket), true);
        Ok(())
    }

    fn stands(&mut self, whose: u32) -> Result<(), Fault> {
        match self.post_of(whose) {
            Some(post) => self.ask(post),
            None => self.upgrade(whose),
        }
    }

    fn came(&mut self, whose: u32, bytes: &[u8], now_ns: u64, _stamp_ns: Option<u64>) -> Result<(), Fault> {
        match self.post_of(whose) {
            Some(post) => self.answered(post, bytes, now_ns),
            None => {
                self.tally.counts.bytes_read += bytes.len() as u64;
                self.hear(whose, bytes, now_ns)
            }
        }
    }

    fn over(&mut self, whose: u32, fault: Fault) {
        match self.post_of(whose) {
            Some(post) => self.broke(post, &fault),
            None => self.ended(whose, &fault),
        }
    }
}

impl Engine for Rolling {
    fn enter(&mut self, stage: Stage, at_ns: u64) {
        self.stage = Some((stage, at_ns));
        match stage {
            Stage::SignIn => self.tally.signing_in.hold(at_ns),
            Stage::Publish if self.from_ns == 0 => {
                self.from_ns = at_ns;
                self.tally.delivering.hold(at_ns);
            }
            Stage::Calm => self.until_ns = at_ns,
            Stage::Close => {
                self.judge();
                self.closing = self.seats.len() as u32;
                self.posts.iter_mut().for_each(Post::give_up);
            }
            Stage::Publish | Stage::Hold | Stage::Storm | Stage::Stall => {}
            Stage::Watch | Stage::Start | Stage::Answer | Stage::Submit | Stage::Prove => {}
            Stage::Join | Stage::View | Stage::Stream | Stage::Leave | Stage::Ask => {}
        }
    }

    fn settled(&self) -> bool {
        let Some((stage, _)) = self.stage else { return false };
        match stage {
            Stage::Hold | Stage::Publish => false,
            Stage::SignIn => self.begun as usize == self.pupils.len() && self.coming == 0,
            Stage::Calm => self.is_calm(),
            Stage::Close => self.closing == 0 && self.open == 0,
            Stage::Watch | Stage::Start | Stage::Answer | Stage::Submit | Stage::Prove => true,
            Stage::Storm | Stage::Stall | Stage::Join | Stage::View | Stage::Stream | Stage::Leave | Stage::Ask => true,
        }
    }

    fn progress(&self) -> Progress {
        let counts = &self.tally.counts;
        Progress {
            signed_in: counts.signed_in,
            lost: counts.lost,
            faults: self.faults,
            closed: counts.closed,
            published: counts.published,
            delivered: counts.delivered,
            connections: self.open.into(),
            ..Progress::default()
        }
    }

    fn turn(&mut self, latest_ns: u64) -> io::Result<()> {
        let next_ns = self.begin_due().min(self.expire()).min(latest_ns);
        self.serve(next_ns)
    }

    fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn finish(self: Box<Self>) -> Tally {
        self.tally
    }
}

/// When publish `number` of the run is meant to leave.
fn due_ns(order: &RollingOrder, from_ns: u64, number: u64) -> u64 {
    match order.crowd.publishing.as_ref().map(|publishing| publishing.pace) {
        Some(Pace::Rate(tempo)) => from_ns.saturating_add(tempo.after_ns(number as f64)),
        Some(Pace::Saturate(_)) | None => u64::MAX,
    }
}
