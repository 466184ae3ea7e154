//! Where workers of other hosts join a run: the boss's side.
//!
//! The gate stands open until as many have joined as are expected, then it is gone. Whoever comes is heard on a thread of its own, so
//! that a stranger who says nothing keeps nobody out. How many strangers are heard at once is bounded: while there is a crowd of them,
//! who has not shown soon that the secret is known makes room for the next. Nothing is taken from anyone, and nothing started for anyone,
//! before the handshake and an exchange of clocks have shown that the secret is known.

use super::{
    letters::{Place, ToBoss, ToWorker, receive, send},
    offset::{Exchange, Offset},
    sealed::{Refusal, SealedReader, SealedWriter, let_in, notice_silence},
    secret::Secret,
};
use crate::clock;
use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// So many are heard at once before they have shown that they know the secret.
const MOST_UNKNOWN: usize = 32;
/// A handshake is a few round trips: while there is a crowd, the one who has been heard the longest has no more than this for it.
const IN_A_CROWD: Duration = Duration::from_secs(2);
/// Exchanges of clocks when a worker joins.
const EXCHANGES: usize = 50;
/// Who knows the secret and does not answer within this is given up.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// How often the gate is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LONGEST_NAME: usize = 64;

/// What is waited for.
pub(crate) struct Gate {
    listener: TcpListener,
    secret: Secret,
    expected: usize,
    within: Duration,
}

/// Somebody who is heard.
struct Stranger {
    stream: TcpStream,
    since: Instant,
    /// Whether it is known by now if he knows the secret.
    is_heard: Arc<AtomicBool>,
}

/// A worker that has joined, and waits for its order.
pub(crate) struct Joined {
    pub(super) stream: TcpStream,
    pub(super) reader: SealedReader,
    pub(super) writer: SealedWriter,
    pub(super) address: SocketAddr,
    pub(super) place: Place,
    pub(super) offset: Offset,
    pub(super) round_trip_ns: u64,
}

impl Gate {
    /// Opens the gate.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub(crate) fn open(listen: SocketAddr, secret: Secret, expected: usize, within: Duration) -> io::Result<Gate> {
        let listener = TcpListener::bind(listen).map_err(|fault| io::Error::new(fault.kind(), format!("{listen}: {fault}")))?;
        listener.set_nonblocking(true)?;
        Ok(Gate { listener, secret, expected, within })
    }

    /// Waits until all have joined, in the order of their names; tells who comes and who is refused.
    ///
    /// # Errors
    /// Not all came in time.
    pub(crate) fn gather(self, mut tell: impl FnMut(&str)) -> io::Result<Vec<Joined>> {
        let (outbox, inbox) = channel();
        let (until, mut strangers) = (Instant::now() + self.within, Vec::new());
        let mut joined: Vec<Joined> = Vec::new();
        tell(&format!("waiting at {} for {} workers", self.listener.local_addr()?, self.expected));
        while joined.len() < self.expected {
            self.hear_new(&outbox, &mut strangers)?;
            if Instant::now() >= until {
                return Err(self.short(joined.len()));
            }
            match came(&inbox) {
                None => {}
                Some((_, Ok(one))) => {
                    joined.push(*one);
                    tell(&arrival(&joined, self.expected));
                }
                Some((address, Err(refusal))) => tell(&format!("{address} was not let in: {refusal}")),
            }
        }
        joined.sort_by(|a, b| (&a.place.name, a.address).cmp(&(&b.place.name, b.address)));
        Ok(joined)
    }

    fn short(&self, joined: usize) -> io::Error {
        io::Error::other(format!("{joined} of {} workers joined within {} s", self.expected, self.within.as_secs()))
    }

    /// Has everyone heard who stands at the gate, the oldest of `strangers` first.
    fn hear_new(&self, outbox: &Sender<Arrival>, strangers: &mut Vec<Stranger>) -> io::Result<()> {
        while has_room(strangers) {
            let (stream, address) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Who left before being heard is no fault of the gate, and neither is a lack of descriptors that passes.
                Err(_) => return Ok(()),
            };
            let Ok(same) = stream.try_clone() else { return Ok(()) };
            let is_heard = Arc::new(AtomicBool::new(false));
            strangers.push(Stranger { stream: same, since: Instant::now(), is_heard: Arc::clone(&is_heard) });
            let (secret, outbox) = (self.secret.clone(), outbox.clone());
            thread::Builder::new().name("gate".into()).spawn(move || {
                let sealed = greet(&stream, &secret);
                is_heard.store(true, SeqCst);
                let outcome = sealed.and_then(|sealed| admit(stream, address, sealed)).map(Box::new);
                // Nobody waits any more when all have come.
                let _ = outbox.send((address, outcome));
            })?;
        }
        Ok(())
    }
}

/// Whether one more may be heard. In a crowd the oldest is sent away when his time is over: his thread finds the connection at its end.
fn has_room(strangers: &mut Vec<Stranger>) -> bool {
    strangers.retain(|stranger| !stranger.is_heard.load(SeqCst));
    if strangers.len() >= MOST_UNKNOWN && strangers[0].since.elapsed() >= IN_A_CROWD {
        let _ = strangers.remove(0).stream.shutdown(Shutdown::Both);
    }
    strangers.len() < MOST_UNKNOWN
}

type Sealed = (SealedReader, SealedWriter);
type Arrival = (SocketAddr, Result<Box<Joined>, Refusal>);

fn came(inbox: &Receiver<Arrival>) -> Option<Arrival> {
    inbox.recv_timeout(LOOK_EVERY).ok()
}

fn arrival(joined: &[Joined], expected: usize) -> String {
    let Some(last) = joined.last() else { return String::new() };
    let ahead_s = last.offset.ahead_ns as f64 / 1e9;
    let unsure_us = last.offset.uncertainty_ns as f64 / 1e3;
    let (name, address) = (&last.place.name, last.address);
    format!("{} of {expected}: {name} joined from {address}, its clock {ahead_s:+.6} s ± {unsure_us:.0} µs", joined.len())
}

fn greet(stream: &TcpStream, secret: &Secret) -> Result<Sealed, Refusal> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    notice_silence(stream)?;
    let_in(stream, secret)
}

fn admit(stream: TcpStream, address: SocketAddr, (mut reader, mut writer): Sealed) -> Result<Joined, Refusal> {
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    let ToBoss::Here(mut place) = receive(&mut reader)? else {
        return Err(io::Error::other("the first letter does not tell where it is from").into());
    };
    place.name = place.name.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
    let mut exchanges = Vec::with_capacity(EXCHANGES);
    for _ in 0..EXCHANGES {
        send(&mut writer, &ToWorker::Clock(Exchange { left_ns: clock::now_ns(), ..Exchange::default() }))?;
        let ToBoss::Clock(exchange) = receive(&mut reader)? else {
            return Err(io::Error::other("a worker that does not tell its clock").into());
        };
        exchanges.push(Exchange { back_ns: clock::now_ns(), ..exchange });
    }
    let offset = Offset::of(&exchanges).unwrap_or_default();
    let round_trip_ns = exchanges.iter().map(Exchange::round_trip_ns).min().unwrap_or(0);
    send(&mut writer, &ToWorker::Ahead(offset.ahead_ns))?;
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(Some(ANSWERS_WITHIN))?;
    Ok(Joined { stream, reader, writer, address, place, offset, round_trip_ns })
}
