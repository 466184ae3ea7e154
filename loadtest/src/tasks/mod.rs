//! The engine of a worker of a run of tasks: users at their sockets and admins at theirs, on one thread, one epoll set and one read buffer.
//!
//! What an agent will say nobody knows, so what is heard is held against what the other sockets heard (`ledger`), and in the end against
//! what REST has (`proof`). Only that tells which task is which: a socket's `pending` names no request. So latencies from the intended
//! moment are made then.

mod clerk;
pub(crate) mod contract;
mod course;
mod hear;
mod ledger;
pub(crate) mod order;
mod pace;
pub(crate) mod plan;
mod proof;
mod socket;

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
        rest::beside,
        socket::Sources,
    },
};
use clerk::Clerk;
use course::Course;
use ledger::Ledger;
use order::OfficeOrder;
use pace::Schedule;
use proof::Proof;
use rustix::fd::OwnedFd;
use socket::Socket;
use std::{collections::HashMap, io, sync::Arc};
use uuid::Uuid;

/// So many operations are begun before the connections are looked at again.
const BEGINS_PER_TURN: usize = 64;
/// Sockets that connect at once.
const AT_ONCE: u32 = 64;
const BUFFER_BYTES: usize = 2 << 20;

/// Everything of one worker.
pub(crate) struct Office {
    order: OfficeOrder,
    rest_path: String,
    upgrade: Upgrade,
    poll: Poll<Whose>,
    request: Vec<u8>,
    /// The users', one after the other, then the admins'.
    sockets: Vec<Socket>,
    clerks: Vec<Clerk>,
    ledgers: Vec<Ledger>,
    by_task: HashMap<Uuid, u32>,
    courses: Vec<Course>,
    by_execution: HashMap<Uuid, u32>,
    /// Tasks that somebody wants cancelled: when that was meant to be said, and whether it was.
    cancels: HashMap<Uuid, (u64, bool)>,
    stage: Option<(Stage, u64)>,
    schedule: Schedule,
    proof: Option<Proof>,
    /// What this stage has begun: the next socket.
    next: usize,
    /// Sockets that are being opened.
    under_way: u32,
    /// Sockets that are not over.
    open_sockets: u32,
    faults: u64,
    tally: Tally,
}

/// Whose a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    /// A user's, for REST.
    Clerk(u32),
    /// A socket.
    Socket(u32),
}

impl poll::Whose for Whose {
    fn token(self) -> u64 {
        match self {
            Whose::Clerk(place) => u64::from(place),
            Whose::Socket(place) => 1 << 32 | u64::from(place),
        }
    }

    fn of(token: u64) -> Whose {
        if token >> 32 == 0 { Whose::Clerk(token as u32) } else { Whose::Socket(token as u32) }
    }
}

impl Office {
    /// Makes everything that an order needs before its clock starts.
    ///
    /// # Errors
    /// A sentence for the user: too few descriptors, a system that refuses.
    pub(crate) fn new(order: OfficeOrder, bell: &Arc<OwnedFd>) -> Result<Office, String> {
        worker::room_for(order.places())?;
        let reach =
            Reach::whole(&order.target, Sources::new(order.sources.clone(), order.worker as usize), order.timeout, BUFFER_BYTES)?;
        let nonce = (u128::from(mix(order.seed)) << 64 | u128::from(mix(!order.seed))).to_be_bytes();
        Ok(Office {
            rest_path: beside(&order.target).path,
            upgrade: Upgrade::new(&order.target, nonce),
            poll: Poll::new(reach, bell).map_err(|fault| format!("epoll: {fault}"))?,
            request: Vec::new(),
            sockets: (0..order.sockets()).map(|_| Socket::default()).collect(),
            clerks: order.users.iter().map(|_| Clerk::default()).collect(),
            ledgers: Vec::new(),
            by_task: HashMap::new(),
            courses: Vec::new(),
            by_execution: HashMap::new(),
            cancels: HashMap::new(),
            stage: None,
            schedule: Schedule::default(),
            proof: None,
            next: 0,
            under_way: 0,
            open_sockets: 0,
            faults: 0,
            tally: Tally::default(),
            order,
        })
    }

    /// Sockets of one user.
    fn each(&self) -> u32 {
        self.order.plan.sockets
    }

    /// The place of a user's socket.
    fn socket_of(&self, user: u32, number: u32) -> u32 {
        user * self.each() + number
    }

    /// Whose a socket is; none: an admin's.
    fn user_at(&self, socket: u32) -> Option<u32> {
        Some(socket / self.each()).filter(|user| (*user as usize) < self.order.users.len())
    }

    /// Begins what is due; returns when the next thing is.
    fn begin_due(&mut self) -> u64 {
        let Some((stage, from_ns)) = self.stage else { return u64::MAX };
        if clock::now_ns() < from_ns {
            return from_ns;
        }
        match stage {
            Stage::Watch => self.begin_each(|office, socket| office.open_socket(socket)),
            Stage::Ask => self.begin_asks(),
            Stage::Close => self.begin_each(|office, socket| office.close_socket(socket)),
            Stage::Prove => self.prove(),
            Stage::SignIn | Stage::Publish | Stage::Hold | Stage::Start | Stage::Answer | Stage::Submit => u64::MAX,
            Stage::Storm | Stage::Stall | Stage::Calm => u64::MAX,
            Stage::Join | Stage::View | Stage::Stream | Stage::Leave => u64::MAX,
        }
    }

    fn begin_each(&mut self, begin: fn(&mut Office, u32)) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            if self.next == self.sockets.len() || self.under_way >= AT_ONCE {
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

    /// Adds up what must have been heard, and what was not.
    fn balance(&mut self) {
        let each = self.each() as usize;
        let admins = self.order.admins.len() * each;
        let tasks = &mut self.tally.tasks;
        for ledger in &self.ledgers {
            tasks.unheard += ledger.unheard(each..each + admins);
            if ledger.owner.is_some() {
                tasks.unheard += ledger.unheard(0..each);
                tasks.users_owed += ledger.count() * each as u64;
                tasks.admins_owed += ledger.count() * self.order.admin_sockets;
            }
        }
    }
}

impl Lines for Office {
    type Whose = Whose;

    fn poll(&mut self) -> &mut Poll<Whose> {
        &mut self.poll
    }

    fn line(&mut self, whose: Whose) -> &mut Line {
        match whose {
            Whose::Clerk(user) => &mut self.clerks[user as usize].line,
            Whose::Socket(place) => &mut self.sockets[place as usize].line,
        }
    }

    fn stands(&mut self, whose: Whose) -> Result<(), Fault> {
        match whose {
            Whose::Clerk(user) => self.send_request(user),
            Whose::Socket(place) => self.connected(place),
        }
    }

    fn came(&mut self, whose: Whose, bytes: &[u8], now_ns: u64, _stamp_ns: Option<u64>) -> Result<(), Fault> {
        match whose {
            Whose::Clerk(user) => self.hear_answer(user, bytes, now_ns),
            Whose::Socket(place) => {
                self.tally.tasks.bytes_read += bytes.len() as u64;
                self.hear_frames(place, bytes, now_ns)
            }
        }
    }

    fn over(&mut self, whose: Whose, fault: Fault) {
        match whose {
            Whose::Clerk(user) => self.line_over(user, &fault),
            Whose::Socket(place) => self.socket_over(place, fault),
        }
    }
}

impl Engine for Office {
    fn enter(&mut self, stage: Stage, at_ns: u64) {
        self.stage = Some((stage, at_ns));
        self.next = 0;
        match stage {
            Stage::Ask => self.open_schedule(at_ns),
            Stage::Prove => self.proof = Some(Proof::default()),
            Stage::SignIn | Stage::Publish | Stage::Hold | Stage::Watch | Stage::Start | Stage::Answer => {}
            Stage::Storm | Stage::Stall | Stage::Calm => {}
            Stage::Submit | Stage::Close | Stage::Join | Stage::View | Stage::Stream | Stage::Leave => {}
        }
    }

    fn settled(&self) -> bool {
        let Some((stage, _)) = self.stage else { return false };
        let all_begun = self.next == self.sockets.len();
        match stage {
            Stage::Hold => false,
            Stage::Watch => all_begun && self.under_way == 0,
            Stage::Ask => self.is_all_done(),
            Stage::Close => all_begun && self.open_sockets == 0,
            Stage::Prove => self.proof.is_none(),
            Stage::SignIn | Stage::Publish | Stage::Start | Stage::Answer | Stage::Submit => true,
            Stage::Storm | Stage::Stall | Stage::Calm => true,
            Stage::Join | Stage::View | Stage::Stream | Stage::Leave => true,
        }
    }

    fn progress(&self) -> Progress {
        let tasks = &self.tally.tasks;
        let told: u64 = self.ledgers.iter().filter(|ledger| ledger.owner.is_some()).map(Ledger::count).sum();
        Progress {
            lost: tasks.lost,
            faults: self.faults,
            closed: tasks.closed,
            watching: tasks.listening,
            ended: self.schedule.ended,
            owed: told * (u64::from(self.each()) + self.order.admin_sockets),
            heard: tasks.users_heard + tasks.admins_heard,
            connections: self.open_sockets.into(),
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

    fn finish(mut self: Box<Self>) -> Tally {
        self.balance();
        self.tally
    }
}
