//! The engine of a worker of a lab run: agents, their sessions and the viewers of these, on one thread, one epoll set and one read buffer.
//!
//! An agent acts by itself: it registers, lives, carries out every command at once, and lets viewers reach a screen that is not there. What
//! goes through a tunnel is in `stream`, when it does in `pace`.

mod agent;
pub(crate) mod contract;
pub(crate) mod order;
mod pace;
mod socket;
mod stream;
mod viewer;

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
        poll::{self, Lines, Poll, Reach},
        socket::Sources,
        tls::Client,
    },
};
use agent::Agent;
use order::{Between, LabOrder};
use pace::Schedule;
use rustix::fd::OwnedFd;
use socket::Socket;
use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{TcpListener, TcpStream},
    sync::Arc,
};
use stream::{Template, Wrap};
use viewer::Session;

/// So many operations are begun before the connections are looked at again.
const BEGINS_PER_TURN: usize = 64;
/// Viewers that connect at once.
const AT_ONCE: u32 = 64;
/// A read takes at most so much, behind what was kept.
const READ_BYTES: usize = 256 << 10;
const BUFFER_BYTES: usize = READ_BYTES + crate::wire::frames::LARGEST_FRAME_BYTES + 10;

/// Everything of one worker.
pub(crate) struct Lab {
    order: LabOrder,
    upgrade: Upgrade,
    poll: Poll<Whose>,
    listener: Option<TcpListener>,
    request: Vec<u8>,
    pattern: Vec<u8>,
    /// Blocks of agents, and of viewers.
    down: Template,
    up: Template,
    agents: Vec<Agent>,
    /// In the order of their numbers: those with viewers are the first.
    sessions: Vec<Session>,
    by_number: HashMap<u32, u32>,
    by_tunnel: HashMap<u32, u32>,
    stage: Option<(Stage, u64)>,
    schedule: Schedule,
    /// Those who could send more, but others come first.
    eager: VecDeque<Whose>,
    beats: VecDeque<(u64, u32)>,
    /// What this stage has begun: the next agent or viewer.
    next: usize,
    /// Sockets that are being opened.
    under_way: u32,
    /// Sockets that are not over.
    open: u32,
    faults: u64,
    tally: Tally,
}

/// Whose a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    Agent(u32),
    /// Of the session in this place.
    Viewer(u32),
}

impl poll::Whose for Whose {
    fn token(self) -> u64 {
        match self {
            Whose::Agent(place) => u64::from(place),
            Whose::Viewer(place) => 1 << 32 | u64::from(place),
        }
    }

    fn of(token: u64) -> Whose {
        if token >> 32 == 0 { Whose::Agent(token as u32) } else { Whose::Viewer(token as u32) }
    }
}

impl Whose {
    fn when(self) -> When {
        match self {
            Whose::Agent(_) => When::Serving,
            Whose::Viewer(_) => When::Viewing,
        }
    }
}

impl Lab {
    /// Makes everything that an order needs before its clock starts.
    ///
    /// # Errors
    /// A sentence for the user: too few descriptors, a system that refuses.
    pub(crate) fn new(order: LabOrder, bell: &Arc<OwnedFd>) -> Result<Lab, String> {
        worker::room_for(order.places())?;
        let (poll, listener) = set_up(&order, bell).map_err(|fault| fault.to_string())?;
        let nonce = (u128::from(mix(order.seed)) << 64 | u128::from(mix(!order.seed))).to_be_bytes();
        let (agents, sessions) = furnish(&order);
        let pattern = stream::pattern(order.seed, order.chunk as usize);
        let wrap = if listener.is_some() { Wrap::Raw } else { Wrap::Agent };
        Ok(Lab {
            upgrade: Upgrade::new(&order.target, nonce),
            poll,
            listener,
            request: Vec::new(),
            down: Template::new(wrap, &pattern),
            up: Template::new(Wrap::Viewer, &pattern),
            pattern,
            by_number: (0..).zip(&sessions).map(|(place, session)| (session.number, place)).collect(),
            by_tunnel: HashMap::new(),
            agents,
            sessions,
            stage: None,
            schedule: Schedule::default(),
            eager: VecDeque::new(),
            beats: VecDeque::new(),
            next: 0,
            under_way: 0,
            open: 0,
            faults: 0,
            tally: Tally::default(),
            order,
        })
    }

    fn socket(&mut self, whose: Whose) -> &mut Socket {
        match whose {
            Whose::Agent(place) => &mut self.agents[place as usize].socket,
            Whose::Viewer(place) => &mut self.sessions[place as usize].socket,
        }
    }

    /// How many of this worker's sessions have a viewer.
    fn viewers(&self) -> usize {
        self.sessions.partition_point(|session| session.number < self.order.viewers)
    }

    /// Begins what is due; returns when the next thing is.
    fn begin_due(&mut self) -> u64 {
        let Some((stage, from_ns)) = self.stage else { return u64::MAX };
        if clock::now_ns() < from_ns {
            return from_ns;
        }
        match stage {
            Stage::Join if self.listener.is_some() => u64::MAX,
            Stage::Join => self.begin_each(self.agents.len(), |lab, place| lab.open(Whose::Agent(place))),
            Stage::View => self.begin_each(self.viewers(), |lab, place| lab.open(Whose::Viewer(place))),
            Stage::Stream => self.begin_traffic(),
            Stage::Leave => self.begin_each(self.viewers(), |lab, place| lab.close(Whose::Viewer(place))),
            Stage::Close => self.begin_each(self.agents.len(), |lab, place| lab.close(Whose::Agent(place))),
            Stage::SignIn | Stage::Hold | Stage::Publish | Stage::Watch | Stage::Start => u64::MAX,
            Stage::Storm | Stage::Stall | Stage::Calm => u64::MAX,
            Stage::Answer | Stage::Submit | Stage::Prove | Stage::Ask => u64::MAX,
        }
    }

    fn begin_each(&mut self, count: usize, begin: fn(&mut Lab, u32)) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            if self.next >= count || self.under_way >= AT_ONCE {
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

    fn seat(&mut self, stream: TcpStream) -> Result<(), Fault> {
        let place = self.agents.iter().position(Agent::is_free).ok_or(Fault::Broken("a connection for no viewer"))? as u32;
        let socket = OwnedFd::from(stream);
        rustix::io::ioctl_fionbio(&socket, true)?;
        self.poll.add(&socket, Whose::Agent(place))?;
        self.agents[place as usize].socket.taken(socket);
        self.open += 1;
        self.tally.lab.online += 1;
        self.bind(place, place, None);
        Ok(())
    }
}

fn set_up(order: &LabOrder, bell: &Arc<OwnedFd>) -> io::Result<(Poll<Whose>, Option<TcpListener>)> {
    let reach = Reach {
        target: order.target.address,
        client: Client::of(&order.target).map_err(io::Error::other)?,
        sources: Sources::new(order.sources.clone(), order.worker as usize),
        timeout: order.timeout,
        buffer_bytes: BUFFER_BYTES,
        read_bytes: READ_BYTES,
    };
    let poll = Poll::new(reach, bell)?;
    let Between::Tcp(address) = order.between else { return Ok((poll, None)) };
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    poll.listen(&listener)?;
    Ok((poll, Some(listener)))
}

/// The agents and sessions of an order.
fn furnish(order: &LabOrder) -> (Vec<Agent>, Vec<Session>) {
    let numbers: Vec<u32> = order.own_agents().collect();
    let place = |number: u32| numbers.iter().position(|agent| agent % order.agents == number % order.agents).unwrap_or(0) as u32;
    let mut sessions: Vec<Session> = order.own_sessions().map(|number| Session::new(number, place(number), order)).collect();
    let agents = if let Between::Tcp(_) = order.between {
        // One for each connection that comes, whosever it is.
        (0..).zip(&mut sessions).for_each(|(place, session)| session.agent = place);
        (0..sessions.len() as u32).map(|place| Agent::new(order, place)).collect()
    } else {
        numbers.iter().map(|number| Agent::new(order, *number)).collect()
    };
    (agents, sessions)
}

impl Lines for Lab {
    type Whose = Whose;

    fn poll(&mut self) -> &mut Poll<Whose> {
        &mut self.poll
    }

    fn line(&mut self, whose: Whose) -> &mut Line {
        &mut self.socket(whose).line
    }

    fn stands(&mut self, whose: Whose) -> Result<(), Fault> {
        self.connected(whose)
    }

    fn takes(&mut self, whose: Whose) -> Result<(), Fault> {
        self.pump(whose)
    }

    fn came(&mut self, whose: Whose, bytes: &[u8], now_ns: u64, _stamp_ns: Option<u64>) -> Result<(), Fault> {
        self.tally.lab.bytes_read += bytes.len() as u64;
        self.hear(whose, bytes, now_ns)
    }

    fn over(&mut self, whose: Whose, fault: Fault) {
        self.ended(whose, fault);
    }

    /// Takes the connections that something between has made.
    fn accept(&mut self) {
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(TcpListener::accept) {
            if let Err(fault) = self.seat(stream) {
                self.blame(When::Serving, &fault);
            }
        }
    }
}

impl Engine for Lab {
    fn enter(&mut self, stage: Stage, at_ns: u64) {
        self.stage = Some((stage, at_ns));
        self.next = 0;
        if stage == Stage::Stream {
            self.open_schedule(at_ns);
        }
    }

    fn settled(&self) -> bool {
        let Some((stage, _)) = self.stage else { return false };
        let begun = |count: usize| self.next == count && self.under_way == 0;
        match stage {
            Stage::Hold => false,
            Stage::Join => self.listener.is_some() || begun(self.agents.len()),
            Stage::View => begun(self.viewers()),
            Stage::Stream => self.is_all_heard(),
            Stage::Leave => begun(self.viewers()) && self.sessions.iter().all(|session| session.socket.is_over()),
            Stage::Close => begun(self.agents.len()) && self.open == 0,
            Stage::SignIn | Stage::Publish | Stage::Watch | Stage::Start | Stage::Answer => true,
            Stage::Storm | Stage::Stall | Stage::Calm => true,
            Stage::Submit | Stage::Prove | Stage::Ask => true,
        }
    }

    fn progress(&self) -> Progress {
        let lab = &self.tally.lab;
        Progress {
            lost: lab.lost,
            faults: self.faults,
            closed: lab.viewers_closed + lab.agents_closed,
            watching: lab.watching,
            online: lab.online,
            begun: lab.starts,
            stopped: lab.stops,
            streamed: lab.down_heard + lab.up_heard,
            keys: lab.keys_heard,
            connections: self.open.into(),
            ..Progress::default()
        }
    }

    fn turn(&mut self, latest_ns: u64) -> io::Result<()> {
        for _ in 0..self.eager.len() {
            if let Some(whose) = self.eager.pop_front()
                && let Err(fault) = self.pump(whose)
            {
                self.over(whose, fault);
            }
        }
        let mut next_ns = self.begin_due().min(self.expire()).min(self.beat()).min(latest_ns);
        if !self.eager.is_empty() {
            next_ns = 0;
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
