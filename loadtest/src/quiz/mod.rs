//! The engine of a worker of a quiz run: participants at their desks, owners at their screens, on one thread, one epoll set and one
//! read buffer.
//!
//! A participant has one request under way at most, as in a browser. Every answer has a slot; what a screen hears of it is looked up there
//! by the participant's name and the number of the answer, and must be what the participant did.

pub(crate) mod contract;
mod desk;
pub(crate) mod order;
mod pace;
mod proof;
mod screen;
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
use desk::{Desk, Slot};
use order::{HallOrder, Question};
use pace::Schedule;
use proof::Proof;
use rustix::fd::OwnedFd;
use screen::Screen;
use std::{io, sync::Arc};

/// So many operations are begun before the connections are looked at again.
const BEGINS_PER_TURN: usize = 64;
const BUFFER_BYTES: usize = 2 << 20;

/// Everything of one worker.
pub(crate) struct Hall {
    order: HallOrder,
    rest_path: String,
    upgrade: Upgrade,
    poll: Poll<Whose>,
    request: Vec<u8>,
    body: Vec<u8>,
    sheets: Vec<Sheet>,
    /// Questions of each quiz.
    questions: usize,
    desks: Vec<Desk>,
    /// `questions` for each desk; none where nothing is answered.
    slots: Vec<Slot>,
    screens: Vec<Screen>,
    stage: Option<(Stage, u64)>,
    schedule: Schedule,
    proof: Option<Proof>,
    /// What this stage has begun: the next desk or screen.
    next: usize,
    /// Requests under way, and sockets that are being opened.
    under_way: u32,
    /// Sockets that are not over.
    open_sockets: u32,
    faults: u64,
    tally: Tally,
}

/// A quiz of this worker.
struct Sheet {
    id: i64,
    questions: Vec<Question>,
    owner: usize,
    first_desk: u32,
    desks: u32,
    /// How many screens hear its events.
    screens: u32,
}

/// Whose a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    /// A participant's, for REST.
    Desk(u32),
    /// A participant's socket.
    Listener(u32),
    /// An owner's.
    Screen(u32),
}

impl poll::Whose for Whose {
    fn token(self) -> u64 {
        match self {
            Whose::Desk(place) => u64::from(place),
            Whose::Listener(place) => 1 << 32 | u64::from(place),
            Whose::Screen(place) => 2 << 32 | u64::from(place),
        }
    }

    fn of(token: u64) -> Whose {
        match token >> 32 {
            0 => Whose::Desk(token as u32),
            1 => Whose::Listener(token as u32),
            _ => Whose::Screen(token as u32),
        }
    }
}

impl Whose {
    fn when(self) -> When {
        match self {
            Whose::Desk(_) => When::Answering,
            Whose::Listener(_) => When::Listening,
            Whose::Screen(_) => When::Watching,
        }
    }
}

impl Hall {
    /// Makes everything that an order needs before its clock starts.
    ///
    /// # Errors
    /// A sentence for the user: too few descriptors, a system that refuses.
    pub(crate) fn new(order: HallOrder, bell: &Arc<OwnedFd>) -> Result<Hall, String> {
        worker::room_for(order.places())?;
        let reach =
            Reach::whole(&order.target, Sources::new(order.sources.clone(), order.worker as usize), order.timeout, BUFFER_BYTES)?;
        let nonce = (u128::from(mix(order.seed)) << 64 | u128::from(mix(!order.seed))).to_be_bytes();
        let (sheets, screens) = furnish(&order);
        let questions = sheets.first().map_or(0, |sheet| sheet.questions.len());
        let desks: Vec<Desk> =
            (0u32..).zip(&sheets).flat_map(|(place, sheet)| (0..sheet.desks).map(move |_| Desk::new(place))).collect();
        let slots = if order.pace == order::Pace::Never { 0 } else { desks.len() * questions };
        Ok(Hall {
            rest_path: beside(&order.target).path,
            upgrade: Upgrade::new(&order.target, nonce),
            poll: Poll::new(reach, bell).map_err(|fault| format!("epoll: {fault}"))?,
            request: Vec::new(),
            body: Vec::new(),
            questions,
            slots: vec![Slot::default(); slots],
            sheets,
            desks,
            screens,
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

    /// The quiz that a participant takes.
    fn sheet(&self, desk: u32) -> &Sheet {
        &self.sheets[self.desks[desk as usize].sheet as usize]
    }

    /// The slot of a participant's answer, counted from 0.
    fn slot(&mut self, desk: u32, answer: u32) -> &mut Slot {
        &mut self.slots[desk as usize * self.questions + answer as usize]
    }

    /// Begins what is due; returns when the next thing is.
    fn begin_due(&mut self) -> u64 {
        let Some((stage, from_ns)) = self.stage else { return u64::MAX };
        let now_ns = clock::now_ns();
        if now_ns < from_ns {
            return from_ns;
        }
        match stage {
            Stage::Watch => self.begin_screens(),
            Stage::Start => self.begin_starts(from_ns),
            Stage::Answer => self.begin_answers(),
            Stage::Submit => self.begin_submits(),
            Stage::Close => self.begin_closes(),
            Stage::Prove => self.prove(),
            Stage::SignIn | Stage::Publish | Stage::Hold | Stage::Storm | Stage::Stall | Stage::Calm => u64::MAX,
            Stage::Join | Stage::View | Stage::Stream | Stage::Leave | Stage::Ask => u64::MAX,
        }
    }

    fn begin_screens(&mut self) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            if self.next == self.screens.len() {
                return u64::MAX;
            }
            self.open_socket(Whose::Screen(self.next as u32));
            self.next += 1;
        }
        0
    }

    fn begin_closes(&mut self) -> u64 {
        let (screens, desks) = (self.screens.len(), self.desks.len());
        for _ in 0..BEGINS_PER_TURN {
            let next = self.next;
            if next == screens + desks {
                return u64::MAX;
            }
            self.next += 1;
            if next < screens {
                self.close_socket(Whose::Screen(next as u32));
            } else {
                let desk = (next - screens) as u32;
                self.desks[desk as usize].line.drop_socket();
                self.close_socket(Whose::Listener(desk));
            }
        }
        0
    }

    fn blame(&mut self, when: When, fault: &Fault) {
        self.faults += 1;
        self.tally.blame(when, fault);
    }

    /// Counts the answers that a screen has not heard, or heard again.
    fn balance(&mut self) {
        for (place, desk) in self.desks.iter().enumerate() {
            let screens = self.sheets[desk.sheet as usize].screens;
            let first = place * self.questions;
            for slot in self.slots.get(first..first + desk.accepted as usize).unwrap_or_default() {
                self.tally.quiz.unheard += u64::from(screens.saturating_sub(slot.heard));
                self.tally.quiz.doubled += u64::from(slot.heard.saturating_sub(screens));
            }
        }
        for board in self.screens.iter().flat_map(|screen| &screen.boards) {
            self.tally.quiz.hurried += board.hurried();
        }
    }
}

impl Lines for Hall {
    type Whose = Whose;

    fn poll(&mut self) -> &mut Poll<Whose> {
        &mut self.poll
    }

    fn line(&mut self, whose: Whose) -> &mut Line {
        match whose {
            Whose::Desk(desk) => &mut self.desks[desk as usize].line,
            Whose::Listener(_) | Whose::Screen(_) => &mut self.socket(whose).line,
        }
    }

    fn is_stamped(&self, whose: Whose) -> bool {
        matches!(whose, Whose::Listener(_)) && self.order.holds == order::Holds::Socket
    }

    fn stands(&mut self, whose: Whose) -> Result<(), Fault> {
        match whose {
            Whose::Desk(desk) => self.send_request(desk),
            Whose::Listener(_) | Whose::Screen(_) => self.connected(whose),
        }
    }

    fn came(&mut self, whose: Whose, bytes: &[u8], now_ns: u64, stamp_ns: Option<u64>) -> Result<(), Fault> {
        match whose {
            Whose::Desk(desk) => self.hear_answer(desk, bytes, now_ns),
            Whose::Listener(_) | Whose::Screen(_) => {
                self.tally.quiz.bytes_read += bytes.len() as u64;
                self.hear_frames(whose, bytes, now_ns, stamp_ns)
            }
        }
    }

    fn over(&mut self, whose: Whose, fault: Fault) {
        match whose {
            Whose::Desk(desk) => self.line_over(desk, &fault),
            Whose::Listener(_) | Whose::Screen(_) => self.socket_over(whose, fault),
        }
    }
}

/// The quizzes and screens of an order.
fn furnish(order: &HallOrder) -> (Vec<Sheet>, Vec<Screen>) {
    let (mut sheets, mut screens, mut desks) = (Vec::new(), Vec::new(), 0);
    let hears = order.channels.contains(&contract::Channel::Quiz);
    for (owner, owns) in order.owners.iter().enumerate() {
        let first_sheet = sheets.len();
        for paper in &owns.quizzes {
            sheets.push(Sheet {
                id: paper.id,
                questions: paper.questions.clone(),
                owner,
                first_desk: desks,
                desks: paper.participants,
                screens: if hears { owns.screens } else { 0 },
            });
            desks += paper.participants;
        }
        for _ in 0..owns.screens {
            screens.push(Screen::new(owner, &sheets[first_sheet..], first_sheet, &order.channels));
        }
    }
    (sheets, screens)
}

impl Engine for Hall {
    fn enter(&mut self, stage: Stage, at_ns: u64) {
        self.stage = Some((stage, at_ns));
        self.next = 0;
        match stage {
            Stage::Start => self.tally.starting.hold(at_ns),
            Stage::Answer => self.open_schedule(at_ns),
            Stage::Prove => self.proof = Some(Proof::default()),
            Stage::SignIn | Stage::Publish | Stage::Hold | Stage::Watch | Stage::Submit | Stage::Close => {}
            Stage::Storm | Stage::Stall | Stage::Calm => {}
            Stage::Join | Stage::View | Stage::Stream | Stage::Leave | Stage::Ask => {}
        }
    }

    fn settled(&self) -> bool {
        let Some((stage, _)) = self.stage else { return false };
        let idle = self.under_way == 0;
        match stage {
            Stage::Hold => false,
            Stage::Watch => idle && self.next == self.screens.len(),
            Stage::Start | Stage::Submit => idle && self.next == self.desks.len(),
            Stage::Answer => idle && self.schedule.is_over(),
            Stage::Close => self.open_sockets == 0 && self.next == self.screens.len() + self.desks.len(),
            Stage::Prove => self.proof.is_none(),
            Stage::SignIn | Stage::Publish => true,
            Stage::Storm | Stage::Stall | Stage::Calm => true,
            Stage::Join | Stage::View | Stage::Stream | Stage::Leave | Stage::Ask => true,
        }
    }

    fn progress(&self) -> Progress {
        let quiz = &self.tally.quiz;
        Progress {
            signed_in: quiz.started,
            lost: quiz.lost,
            faults: self.faults,
            closed: quiz.closed,
            watching: quiz.watching,
            listening: quiz.listening,
            answered: quiz.answered,
            owed: quiz.begins_owed + quiz.updates_owed + quiz.ends_owed + quiz.closes_owed,
            heard: quiz.begins_heard + quiz.updates_heard + quiz.ends_heard + quiz.closes_heard,
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
