//! Publishes to rooms through the internal listener, each with the moment at which it was meant to leave.
//!
//! A room has one worker that publishes to it, so a worker knows its own publishes by their place in the run's schedule. A publish is open
//! until it is answered and every member of the room that this worker holds has it.

use super::{BEGINS_PER_TURN, PUBLISH_LINES};
use crate::{
    clock,
    contract::publish_body,
    fault::Fault,
    order::{Order, Pace, Publishing, classroom, share},
    tally::{Measure, Tally, When},
    tempo::Tempo,
    wire::{
        http::{Answer, response},
        pipe::Pipe,
        tls::Client,
    },
};
use rustix::{
    event::epoll::{self, EventData, EventFlags},
    fd::OwnedFd,
    io::Errno,
};
use serde::Deserialize;
use std::{collections::VecDeque, io::Write, net::TcpStream, time::Duration};

/// Publishes at a rate use as many connections as answers are awaited, up to this.
pub(super) const MOST_LINES: usize = 64;
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// All publishing of one worker.
pub(super) struct Publisher {
    publishing: Publishing,
    client: Option<Client>,
    seed: u64,
    sign_ins: u64,
    classrooms: u32,
    timeout_ns: u64,
    /// The rooms that are this worker's to publish to, and how many publishes each has had.
    rooms: Vec<(u32, u64)>,
    /// How many of its own publishes this worker has begun.
    begun: u64,
    from_ns: u64,
    until_ns: u64,
    /// When a connection last became free.
    line_since_ns: u64,
    lines: Vec<Line>,
    idle: Vec<usize>,
    /// Publishes by schedule number, lowest first; the front one is open.
    open: VecDeque<Open>,
    open_count: usize,
    last_heard: usize,
    request: Vec<u8>,
    body: Vec<u8>,
    /// Every publish by room and in order, where they are kept: then who has heard it is no concern of the publisher's.
    books: Option<Vec<Vec<Sent>>>,
}

/// What is kept of a publish, where what each member heard is held against it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// The number that the server gave it; 0 before the answer.
    pub(super) sequence_id: u64,
    pub(super) sent_ns: u64,
    /// 0: it was not answered.
    pub(super) answered_ns: u64,
}

/// A publish that is not over.
struct Open {
    number: u64,
    unheard: u32,
    answered: bool,
    over: bool,
    expires_ns: u64,
}

/// One kept connection to the internal listener.
struct Line {
    socket: Option<Pipe>,
    asked: Option<Asked>,
    rest: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Asked {
    number: u64,
    intended_ns: u64,
}

#[derive(Deserialize)]
struct Published {
    members: u64,
    #[serde(default)]
    sequence_id: u64,
}

impl Publisher {
    /// Nothing is opened yet.
    ///
    /// # Errors
    /// A sentence for the user: TLS that is not to be had.
    pub(super) fn new(order: &Order, publishing: Publishing) -> Result<Publisher, String> {
        let mine = |room: &u32| room % order.workers.max(1) == order.worker;
        let rooms: Vec<(u32, u64)> = (0..order.classrooms).filter(mine).map(|room| (room, 0)).collect();
        Ok(Publisher {
            client: Client::of(&publishing.target)?,
            publishing,
            seed: order.seed,
            sign_ins: order.sign_ins,
            classrooms: order.classrooms,
            timeout_ns: clock::nanos(order.timeout),
            books: order.is_kept().then(|| vec![Vec::new(); rooms.len()]),
            rooms,
            begun: 0,
            from_ns: 0,
            until_ns: 0,
            line_since_ns: 0,
            lines: Vec::new(),
            idle: Vec::new(),
            open: VecDeque::new(),
            open_count: 0,
            last_heard: 0,
            request: Vec::new(),
            body: Vec::new(),
        })
    }

    /// Publishing begins at `from_ns`. Opens the first connections.
    pub(super) fn begin(&mut self, from_ns: u64, epoll: &OwnedFd, tally: &mut Tally) {
        self.from_ns = from_ns;
        self.until_ns = self.publishing.lasting.map_or(u64::MAX, |lasting| from_ns.saturating_add(clock::nanos(lasting)));
        let lines = match self.publishing.pace {
            Pace::Rate(_) => 1,
            Pace::Saturate(in_flight) => in_flight as usize,
        };
        for _ in 0..lines.min(if self.rooms.is_empty() { 0 } else { usize::MAX }) {
            self.add_line(epoll, tally);
        }
    }

    /// What is due from this moment on is not sent any more.
    pub(super) fn end(&mut self, at_ns: u64) {
        self.until_ns = self.until_ns.min(at_ns);
    }

    /// When publishing ends.
    pub(super) fn until_ns(&self) -> u64 {
        self.until_ns
    }

    /// All publishes to this worker's room number `turn`, in the order in which they were sent.
    pub(super) fn book(&self, turn: u32) -> &[Sent] {
        self.books.as_ref().and_then(|books| books.get(turn as usize)).map_or(&[], Vec::as_slice)
    }

    /// What is kept of publish `number`.
    pub(super) fn sent(&self, number: u64) -> Option<Sent> {
        let (room, place) = (number % u64::from(self.classrooms), number / u64::from(self.classrooms));
        let turn = self.rooms.binary_search_by_key(&room, |(room, _)| u64::from(*room)).ok()?;
        self.books.as_ref()?.get(turn)?.get(place as usize).copied()
    }

    fn keep(&mut self, number: u64, change: impl FnOnce(&mut Sent)) {
        let (room, place) = (number % u64::from(self.classrooms), number / u64::from(self.classrooms));
        let turn = self.rooms.binary_search_by_key(&room, |(room, _)| u64::from(*room));
        let book = self.books.as_mut().zip(turn.ok()).and_then(|(books, turn)| books.get_mut(turn));
        if let Some(sent) = book.and_then(|book| book.get_mut(place as usize)) {
            change(sent);
        }
    }

    /// Whether the time is over and nothing is open.
    pub(super) fn settled(&self) -> bool {
        // At a rate, what was meant to leave before the end leaves, however late.
        let is_sent = match &self.publishing.pace {
            Pace::Rate(tempo) => self.rooms.is_empty() || self.due_ns(tempo) >= self.until_ns,
            Pace::Saturate(_) => true,
        };
        let over = self.rooms.is_empty() || (is_sent && clock::now_ns() >= self.until_ns);
        over && self.open_count == 0 && self.lines.iter().all(|line| line.asked.is_none())
    }

    /// Sends what is due; returns when the next is. `living` tells this worker's members of each room.
    pub(super) fn begin_due(&mut self, living: &[u32], epoll: &OwnedFd, tally: &mut Tally) -> u64 {
        let expires_ns = self.expire(tally);
        if self.rooms.is_empty() {
            return u64::MAX;
        }
        for _ in 0..BEGINS_PER_TURN {
            let now_ns = clock::now_ns();
            let intended_ns = match self.publishing.pace {
                Pace::Rate(tempo) => self.due_ns(&tempo),
                Pace::Saturate(_) if now_ns >= self.until_ns => self.until_ns,
                Pace::Saturate(limit) if self.open_count >= limit as usize => return expires_ns.min(self.until_ns),
                Pace::Saturate(_) => now_ns.max(self.from_ns),
            };
            if intended_ns >= self.until_ns {
                return expires_ns.min(self.until_ns.max(now_ns.saturating_add(1_000_000)));
            }
            if now_ns < intended_ns {
                return intended_ns.min(expires_ns);
            }
            let Some(line) = self.free_line(epoll, tally) else { return expires_ns.min(self.until_ns) };
            if matches!(self.publishing.pace, Pace::Rate(_)) {
                tally.counts.held_back += u64::from(self.line_since_ns > intended_ns);
                tally.record(Measure::Lag, now_ns - intended_ns.max(self.line_since_ns).min(now_ns));
            }
            self.publish(line, intended_ns, living, epoll, tally);
        }
        0
    }

    /// The place of this worker's next publish in the run's schedule: rooms take turns.
    fn next_number(&self) -> u64 {
        let rooms = self.rooms.len() as u64;
        let (round, turn) = (self.begun / rooms, self.begun % rooms);
        round * u64::from(self.classrooms) + u64::from(self.rooms[turn as usize].0)
    }

    /// When it is meant to leave.
    fn due_ns(&self, tempo: &Tempo) -> u64 {
        self.from_ns.saturating_add(tempo.after_ns(self.next_number() as f64))
    }

    fn free_line(&mut self, epoll: &OwnedFd, tally: &mut Tally) -> Option<usize> {
        if self.idle.is_empty() && self.lines.len() < MOST_LINES && matches!(self.publishing.pace, Pace::Rate(_)) {
            self.add_line(epoll, tally);
        }
        self.idle.pop()
    }

    fn add_line(&mut self, epoll: &OwnedFd, tally: &mut Tally) {
        let number = self.lines.len();
        self.lines.push(Line { socket: None, asked: None, rest: Vec::new() });
        self.idle.push(number);
        self.connect(number, epoll, tally);
    }

    fn connect(&mut self, number: usize, epoll: &OwnedFd, tally: &mut Tally) {
        let connected = TcpStream::connect_timeout(&self.publishing.target.address, CONNECT_WITHIN).and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let token = EventData::new_u64(PUBLISH_LINES | number as u64);
            epoll::add(epoll, &stream, token, EventFlags::IN | EventFlags::RDHUP)?;
            Ok(stream)
        });
        let connected = connected.map_err(|fault| Fault::Os(Errno::from_io_error(&fault).unwrap_or(Errno::TIMEDOUT)));
        match connected.and_then(|stream| Pipe::new(stream.into(), self.client.as_ref())) {
            Ok(pipe) => self.lines[number].socket = Some(pipe),
            Err(fault) => tally.blame(When::Publishing, &fault),
        }
    }

    fn publish(&mut self, line: usize, intended_ns: u64, living: &[u32], epoll: &OwnedFd, tally: &mut Tally) {
        let number = self.next_number();
        let turn = (self.begun % self.rooms.len() as u64) as usize;
        self.begun += 1;
        let (room, before) = &mut self.rooms[turn];
        *before += 1;
        let (room, digits) = (*room, before.ilog10() as usize + 1);
        publish_body(&mut self.body, intended_ns, number, self.publishing.bytes, digits);
        self.write_request(room);
        if self.lines[line].socket.is_none() {
            self.connect(line, epoll, tally);
        }
        tally.counts.published += 1;
        self.lines[line].asked = Some(Asked { number, intended_ns });
        let sent_ns = clock::now_ns();
        if let Some(books) = &mut self.books {
            books[turn].push(Sent { sent_ns, ..Sent::default() });
        }
        let unheard = if self.books.is_some() { 0 } else { living.get(room as usize).copied().unwrap_or(0) };
        let expires_ns = sent_ns.saturating_add(self.timeout_ns);
        self.open.push_back(Open { number, unheard, answered: false, over: false, expires_ns });
        self.open_count += 1;
        let socket = self.lines[line].socket.as_mut();
        let sent = socket.map_or(Err(Errno::NOTCONN.into()), |socket| socket.send_all(&self.request));
        if let Err(fault) = sent {
            self.fail(line, fault, tally);
        }
    }

    fn write_request(&mut self, room: u32) {
        let target = &self.publishing.target;
        let (id, path, host, length) = (classroom(self.seed, room), &target.path, &target.host, self.body.len());
        self.request.clear();
        let written = write!(
            self.request,
            "POST {path}/api/v1/classrooms/{id}/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        debug_assert!(written.is_ok());
        self.request.extend_from_slice(&self.body);
    }

    /// A connection has something to read.
    pub(super) fn hear(&mut self, number: usize, buffer: &mut [u8], tally: &mut Tally) {
        let line = &mut self.lines[number];
        let Some(socket) = &mut line.socket else { return };
        let read = match socket.read(buffer, false) {
            Ok((0, _)) => return self.fail(number, Fault::Ended, tally),
            Ok((read, _)) => read,
            Err(Fault::Os(Errno::AGAIN | Errno::INTR)) => return,
            Err(fault) => return self.fail(number, fault, tally),
        };
        line.rest.extend_from_slice(&buffer[..read]);
        match response(&line.rest) {
            Ok(Answer::Incomplete) => {}
            Ok(Answer::Whole((200, body), _)) => {
                let published = serde_json::from_slice::<Published>(body);
                line.rest.clear();
                match published {
                    Ok(published) => self.answered(number, &published, tally),
                    Err(_) => self.fail(number, Fault::Broken("answer to a publish is not understood"), tally),
                }
            }
            Ok(Answer::Whole((status, _), _)) => self.fail(number, Fault::Http(status), tally),
            Err(fault) => self.fail(number, fault, tally),
        }
    }

    fn answered(&mut self, line: usize, published: &Published, tally: &mut Tally) {
        let Some(asked) = self.free(line) else {
            return tally.blame(When::Publishing, &Fault::Broken("an answer to no question"));
        };
        tally.counts.answered += 1;
        tally.counts.owed += published.members;
        tally.counts.meant += share(self.sign_ins, (asked.number % u64::from(self.classrooms)) as u32, self.classrooms);
        let now_ns = clock::now_ns();
        tally.record(Measure::Publish, now_ns.saturating_sub(asked.intended_ns));
        let sequence_id = published.sequence_id;
        self.keep(asked.number, |sent| (sent.sequence_id, sent.answered_ns) = (sequence_id, now_ns));
        if let Some(open) = self.find(asked.number) {
            open.answered = true;
            self.review(asked.number);
        }
    }

    /// A publish failed: its connection is given up, and the next publish opens it anew.
    fn fail(&mut self, number: usize, fault: Fault, tally: &mut Tally) {
        self.lines[number].socket = None;
        self.lines[number].rest.clear();
        // A kept connection that ends between two publishes has failed nothing.
        if let Some(asked) = self.free(number) {
            tally.blame(When::Publishing, &fault);
            if let Some(open) = self.find(asked.number) {
                (open.answered, open.unheard) = (true, 0);
                self.review(asked.number);
            }
        }
    }

    fn free(&mut self, line: usize) -> Option<Asked> {
        let asked = self.lines[line].asked.take()?;
        if self.idle.is_empty() {
            self.line_since_ns = clock::now_ns();
        }
        self.idle.push(line);
        Some(asked)
    }

    /// One of this worker's members has heard publish `number`.
    pub(super) fn delivered(&mut self, number: u64) {
        if let Some(open) = self.find(number) {
            open.unheard = open.unheard.saturating_sub(1);
            if open.unheard == 0 {
                self.review(number);
            }
        }
    }

    /// Deliveries come in runs of one number, so the last one found is tried first.
    fn find(&mut self, number: u64) -> Option<&mut Open> {
        if self.open.get(self.last_heard).is_none_or(|open| open.number != number) {
            self.last_heard = self.open.binary_search_by_key(&number, |open| open.number).ok()?;
        }
        self.open.get_mut(self.last_heard)
    }

    /// Closes a publish that is answered and heard by all, and forgets those at the front that are over.
    fn review(&mut self, number: u64) {
        let closed = self.find(number).is_some_and(|open| {
            let closes = open.answered && open.unheard == 0 && !open.over;
            open.over |= closes;
            closes
        });
        self.open_count -= usize::from(closed);
        while self.open.front().is_some_and(|open| open.over) {
            self.open.pop_front();
        }
    }

    /// Gives up publishes that were not answered or heard in time; returns when to look again.
    fn expire(&mut self, tally: &mut Tally) -> u64 {
        while let Some(front) = self.open.front() {
            if front.expires_ns > clock::now_ns() {
                return front.expires_ns;
            }
            let (number, answered) = (front.number, front.answered);
            tally.counts.overdue += 1;
            let late = self.lines.iter().position(|line| line.asked.is_some_and(|asked| asked.number == number));
            match late.filter(|_| !answered) {
                Some(line) => self.fail(line, Fault::Timeout("publish"), tally),
                None => {
                    if let Some(open) = self.find(number) {
                        (open.answered, open.unheard) = (true, 0);
                    }
                    self.review(number);
                }
            }
        }
        u64::MAX
    }
}
