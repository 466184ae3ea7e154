//! A language model that is none: an endpoint for streamed chat completions as OpenAI publishes it, in a worker of its own.
//!
//! Each answer is asked for by its name and given word by word, each at its moment, whatever the server does with the one before. A word
//! says when it was sent. Who goes in the middle of an answer is noted with the moment at which that was seen.

mod request;

use crate::{
    chat::{
        contract::write_word,
        order::{ModelOrder, Name},
    },
    clock,
    crew::{
        letters::{Progress, Stage},
        worker::{self, Engine},
    },
    tally::{Measure, Tally},
    wire::http::Answer,
};
use request::Request;
use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fd::OwnedFd,
    io::Errno,
    net::{SendFlags, send, sockopt},
    thread::{CpuSet, sched_setaffinity},
};
use std::{collections::VecDeque, io, io::Write, net::TcpListener, num::NonZeroU64, sync::Arc};

/// So many words are sent before the connections are looked at again.
const WORDS_PER_TURN: usize = 64;
const EVENTS_PER_TURN: usize = 256;
/// The longest request.
const BUFFER_BYTES: usize = 4 << 20;
const WAITING_TO_BE_TAKEN: i32 = 4_096;
const BELL: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
const BEFORE: &[u8] =
    br#"data: {"id":"load","object":"chat.completion.chunk","created":0,"model":"load","choices":[{"index":0,"delta":{"#;
const AFTER: &[u8] = b"},\"finish_reason\":null}]}\n\n";
const ROLE: &[u8] = br#""role":"assistant","content":"""#;
const STOP: &[u8] = b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

/// Everything of the endpoint.
pub(crate) struct Model {
    order: ModelOrder,
    listener: TcpListener,
    epoll: OwnedFd,
    bell: Arc<OwnedFd>,
    events: Vec<Event>,
    buffer: Vec<u8>,
    /// What is to be sent.
    out: Vec<u8>,
    callers: Vec<Caller>,
    free: Vec<u32>,
    /// Answers whose first word is due, and those whose next is. Each of the two has one wait for all, so that both are in order.
    firsts: VecDeque<Due>,
    nexts: VecDeque<Due>,
    serial: u64,
    stage: Option<Stage>,
    give_up_ns: u64,
    tally: Tally,
}

/// One connection, or the place for one.
#[derive(Default)]
struct Caller {
    socket: Option<OwnedFd>,
    /// A request that is not whole.
    rest: Vec<u8>,
    given: Option<Given>,
    /// What the peer did not take.
    unsent: Vec<u8>,
}

/// An answer that is being given.
#[derive(Clone, Copy)]
struct Given {
    name: Name,
    next: u32,
    /// Tells it from those before on the same connection.
    serial: u64,
}

/// A word that is to be sent.
#[derive(Clone, Copy)]
struct Due {
    at_ns: u64,
    place: u32,
    serial: u64,
}

impl Model {
    /// Listens.
    ///
    /// # Errors
    /// A sentence for the user: an address that is not free, a core that is not there.
    pub(crate) fn new(order: ModelOrder, bell: &Arc<OwnedFd>) -> Result<Model, String> {
        worker::raise_open_files();
        order.core.map_or(Ok(()), stay_on)?;
        let set_up = || -> io::Result<(TcpListener, OwnedFd)> {
            rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000))?;
            let listener = TcpListener::bind(order.listen)?;
            // As many at once as a school bell brings.
            rustix::net::listen(&listener, WAITING_TO_BE_TAKEN)?;
            listener.set_nonblocking(true)?;
            let epoll = epoll::create(CreateFlags::CLOEXEC)?;
            epoll::add(&epoll, bell, EventData::new_u64(BELL), EventFlags::IN)?;
            epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
            Ok((listener, epoll))
        };
        let (listener, epoll) = set_up().map_err(|fault| format!("{}: {fault}", order.listen))?;
        Ok(Model {
            order,
            listener,
            epoll,
            bell: Arc::clone(bell),
            events: Vec::with_capacity(EVENTS_PER_TURN),
            buffer: vec![0; BUFFER_BYTES],
            out: Vec::new(),
            callers: Vec::new(),
            free: Vec::new(),
            firsts: VecDeque::new(),
            nexts: VecDeque::new(),
            serial: 0,
            stage: None,
            give_up_ns: 0,
            tally: Tally::default(),
        })
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let place = self.free.pop().unwrap_or_else(|| {
                self.callers.push(Caller::default());
                self.callers.len() as u32 - 1
            });
            let socket = OwnedFd::from(stream);
            let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            let taken = rustix::io::ioctl_fionbio(&socket, true)
                .and_then(|()| sockopt::set_tcp_nodelay(&socket, true))
                .and_then(|()| epoll::add(&self.epoll, &socket, EventData::new_u64(place.into()), interest));
            self.callers[place as usize] = Caller { socket: taken.is_ok().then_some(socket), ..Caller::default() };
            if taken.is_err() {
                self.free.push(place);
            }
        }
    }

    fn ready(&mut self, place: u32, flags: EventFlags) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut stands = true;
        if flags.contains(EventFlags::OUT) && !self.callers[place as usize].unsent.is_empty() {
            stands = self.put(place, &[]);
        }
        while stands {
            let caller = &mut self.callers[place as usize];
            let Some(socket) = &caller.socket else { break };
            let before = caller.rest.len();
            match rustix::io::read(socket, &mut buffer[before..]) {
                Ok(0) => stands = false,
                Ok(read) => {
                    buffer[..before].copy_from_slice(&caller.rest);
                    caller.rest.clear();
                    stands = self.hear(place, &buffer[..before + read]);
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => stands = false,
            }
        }
        self.buffer = buffer;
        if !stands {
            self.gone(place);
        }
    }

    /// More of a request has come. False: it is none.
    fn hear(&mut self, place: u32, bytes: &[u8]) -> bool {
        match request::read(bytes) {
            Ok(Answer::Incomplete) => {
                let fits = bytes.len() < BUFFER_BYTES;
                self.callers[place as usize].rest.extend_from_slice(bytes);
                fits
            }
            Ok(Answer::Whole(Request { name: Some(name) }, end)) if end == bytes.len() => {
                self.begin(place, name);
                true
            }
            Ok(Answer::Whole(..)) => {
                self.tally.chat.misasked += 1;
                self.put(place, REFUSAL)
            }
            Err(_) => {
                self.tally.chat.misasked += 1;
                false
            }
        }
    }

    fn begin(&mut self, place: u32, name: Name) {
        self.tally.chat.requests += 1;
        self.serial += 1;
        let caller = &mut self.callers[place as usize];
        // Nobody asks again before the answer has ended.
        self.tally.chat.misasked += u64::from(caller.given.is_some());
        caller.given = Some(Given { name, next: 0, serial: self.serial });
        let at_ns = clock::now_ns().saturating_add(clock::nanos(self.order.plan.think));
        self.firsts.push_back(Due { at_ns, place, serial: self.serial });
    }

    /// Sends the words that are due; returns when the next is.
    fn give_due(&mut self) -> u64 {
        for _ in 0..WORDS_PER_TURN {
            let at_ns = |queue: &VecDeque<Due>| queue.front().map_or(u64::MAX, |due| due.at_ns);
            let (first_ns, next_ns) = (at_ns(&self.firsts), at_ns(&self.nexts));
            let now_ns = clock::now_ns();
            if first_ns.min(next_ns) > now_ns {
                return first_ns.min(next_ns);
            }
            let due = if first_ns <= next_ns { self.firsts.pop_front() } else { self.nexts.pop_front() };
            if let Some(due) = due {
                self.give(due, now_ns);
            }
        }
        0
    }

    fn give(&mut self, due: Due, now_ns: u64) {
        let caller = &mut self.callers[due.place as usize];
        // Who has gone is given nothing.
        let Some(given) = caller.given.as_mut().filter(|given| given.serial == due.serial) else { return };
        let Given { name, next: number, .. } = *given;
        given.next += 1;
        let is_last = given.next >= self.order.plan.words;
        if is_last {
            caller.given = None;
        }
        self.tally.record(Measure::Lag, now_ns - due.at_ns);
        let mut out = std::mem::take(&mut self.out);
        self.write(&mut out, name, number, is_last);
        let stands = self.put(due.place, &out);
        self.out = out;
        self.tally.chat.words_sent += 1;
        if is_last {
            self.tally.chat.given += 1;
        } else {
            self.nexts.push_back(Due { at_ns: due.at_ns + clock::nanos(self.order.plan.pace), ..due });
        }
        if !stands {
            self.gone(due.place);
        }
    }

    /// Writes a word, the head of the answer before the first and its end behind the last.
    fn write(&self, out: &mut Vec<u8>, name: Name, number: u32, is_last: bool) {
        out.clear();
        if number == 0 {
            out.extend_from_slice(HEAD);
            write_chunk(out, |out| [BEFORE, ROLE, AFTER].iter().for_each(|part| out.extend_from_slice(part)));
        }
        write_chunk(out, |out| {
            out.extend_from_slice(BEFORE);
            out.extend_from_slice(br#""content":""#);
            write_word(out, name, number, clock::now_ns());
            out.push(b'"');
            out.extend_from_slice(AFTER);
        });
        if is_last {
            let words = self.order.plan.words;
            write_chunk(out, |out| {
                out.extend_from_slice(STOP);
                let usage = format!(r#""prompt_tokens":1,"completion_tokens":{words},"total_tokens":{}"#, words + 1);
                let written = write!(out, "data: {{\"choices\":[],\"usage\":{{{usage}}}}}\n\ndata: [DONE]\n\n");
                debug_assert!(written.is_ok());
            });
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Sends this behind what waits. False: nobody takes it any more.
    fn put(&mut self, place: u32, bytes: &[u8]) -> bool {
        let caller = &mut self.callers[place as usize];
        let Some(socket) = &caller.socket else { return true };
        if !caller.unsent.is_empty() {
            caller.unsent.extend_from_slice(bytes);
        }
        let waits = !caller.unsent.is_empty();
        let all = if waits { &caller.unsent[..] } else { bytes };
        let sent = match send(socket, all, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => return false,
        };
        self.tally.chat.stalled += u64::from(sent < all.len());
        if waits {
            caller.unsent.drain(..sent);
        } else {
            caller.unsent.extend_from_slice(&bytes[sent..]);
        }
        true
    }

    /// A connection is over: in the middle of an answer, or not.
    fn gone(&mut self, place: u32) {
        let Caller { socket, given, .. } = std::mem::take(&mut self.callers[place as usize]);
        if socket.is_none() {
            return;
        }
        self.free.push(place);
        if let Some(Given { name, .. }) = given {
            self.tally.chat.cut += 1;
            self.tally.gone.push((name, clock::now_ns()));
        }
    }
}

fn write_chunk(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    const SIZE: &[u8] = b"0000\r\n";
    let begin = out.len();
    out.extend_from_slice(SIZE);
    write(out);
    let size = format!("{:04x}", out.len() - begin - SIZE.len());
    out[begin..begin + 4].copy_from_slice(&size.as_bytes()[size.len() - 4..]);
    out.extend_from_slice(b"\r\n");
}

/// Has this thread, and those that it will start, run on one core.
fn stay_on(core: u32) -> Result<(), String> {
    let place = core as usize;
    if place >= CpuSet::MAX_CPU {
        return Err(format!("there is no core {core}"));
    }
    let mut cores = CpuSet::new();
    cores.set(place);
    sched_setaffinity(None, &cores).map_err(|errno| format!("the model cannot run on core {core}: {errno}"))
}

impl Engine for Model {
    fn enter(&mut self, stage: Stage, at_ns: u64) {
        self.stage = Some(stage);
        if stage == Stage::Stream {
            self.give_up_ns = self.order.plan.end_ns(at_ns).saturating_add(clock::nanos(self.order.timeout));
        }
    }

    fn settled(&self) -> bool {
        let is_over = self.tally.chat.given + self.tally.chat.cut >= self.order.plan.total();
        match self.stage {
            None | Some(Stage::Hold) => false,
            Some(Stage::Stream) => is_over || clock::now_ns() >= self.give_up_ns,
            Some(Stage::SignIn | Stage::Publish | Stage::Watch | Stage::Start | Stage::Answer | Stage::Submit | Stage::Ask) => {
                true
            }
            Some(Stage::Join | Stage::View | Stage::Leave | Stage::Close | Stage::Prove) => true,
        }
    }

    fn progress(&self) -> Progress {
        Progress::default()
    }

    fn turn(&mut self, latest_ns: u64) -> io::Result<()> {
        let mut next_ns = self.give_due().min(latest_ns);
        if self.stage == Some(Stage::Stream) {
            next_ns = next_ns.min(self.give_up_ns);
        }
        let mut events = std::mem::take(&mut self.events);
        let wait = clock::until(next_ns, clock::now_ns());
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                BELL => drop(rustix::io::read(&self.bell, &mut [0; 8])),
                LISTENER => self.accept(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_says_how_long_it_is() {
        let mut out = b"before ".to_vec();
        write_chunk(&mut out, |out| out.extend_from_slice(&[b'x'; 0x1a3]));
        assert!(out.starts_with(b"before 01a3\r\nxxx") && out.ends_with(b"xxx\r\n"));
    }
}
