//! The boss's side: hires workers, leads them through the stages, adds up what they found.

use super::{
    gate::Joined,
    letters::{Place, Progress, Stage, Task, ToBoss, ToWorker, receive, send},
    offset::{Exchange, HostFigures, Offset},
};
use crate::{clock, live::Live, tally::Tally, usage::Usage};
use std::{
    io::{self, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    ops::Range,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

/// All workers begin a stage together, this long after the letter that says so was sent, and two round trips to the farthest.
const NOTICE: Duration = Duration::from_millis(100);
/// A worker that has not told anything for so long is given up: workers tell their progress five times a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// Exchanges of clocks when the run is over.
const EXCHANGES: usize = 30;

/// The workers of a run.
pub(crate) struct Crew {
    hands: Vec<Hand>,
    inbox: Receiver<Arrival>,
    progress: Vec<Progress>,
    heard: Vec<Instant>,
    /// Who looks.
    live: Live,
    notice_ns: u64,
    /// When the first stage began, and which one runs.
    began: Option<Instant>,
    stage: Option<Stage>,
}

/// Which worker told what, and when it came.
type Arrival = (usize, Instant, io::Result<ToBoss>);

struct Hand {
    /// Who this is, for people.
    who: String,
    letters: Box<dyn Write + Send>,
    body: Body,
}

/// What a worker is to the boss.
enum Body {
    /// A process of this host.
    Child(Child),
    /// One that joined from another.
    Joined { stream: TcpStream, address: String, place: Place, offset: Offset, round_trip_ns: u64 },
}

/// What one stage cost each worker.
pub(crate) struct Settled {
    /// In the order of the workers.
    pub(crate) usages: Vec<Usage>,
}

impl Crew {
    /// Gives each who joined a task, starts one process of this program for each of the others, and waits until all have made what they
    /// need. Where `live` shows the run, they tell it what happens.
    ///
    /// # Errors
    /// A worker that does not start, or that says why it cannot.
    pub(crate) fn hire(tasks: Vec<Task>, joined: Vec<Joined>, live: Live) -> io::Result<Crew> {
        let (outbox, inbox) = channel();
        let farthest_ns = joined.iter().map(|one| one.round_trip_ns).max().unwrap_or(0);
        let mut crew = Crew {
            progress: vec![Progress::default(); tasks.len()],
            heard: vec![Instant::now(); tasks.len()],
            hands: Vec::new(),
            inbox,
            live,
            notice_ns: clock::nanos(NOTICE).saturating_add(farthest_ns.saturating_mul(2)),
            began: None,
            stage: None,
        };
        let mut joined = joined.into_iter();
        for (number, task) in tasks.into_iter().enumerate() {
            // The model listens where the server was told to find it: on this host.
            let far = if matches!(task, Task::Model(_)) { None } else { joined.next() };
            let mut hand = match far {
                Some(far) => far.hire(number, outbox.clone())?,
                None => hire(number, outbox.clone())?,
            };
            // The worker reads its task as soon as it stands: a long one does not fill the pipe for ever.
            send(&mut hand.letters, &ToWorker::Order(Box::new(task))).map_err(|fault| crew.gone(&hand.who, &fault))?;
            if crew.live.is_on() {
                send(&mut hand.letters, &ToWorker::Show)?;
            }
            crew.hands.push(hand);
        }
        let mut waiting = crew.hands.len();
        while waiting > 0 {
            if let (_, ToBoss::Ready) = crew.next(PATIENCE)?.ok_or_else(|| io::Error::other("a worker does not get ready"))? {
                waiting -= 1;
            }
        }
        Ok(crew)
    }

    /// Lets every worker begin a stage at the same moment, which is returned.
    ///
    /// # Errors
    /// A worker is gone.
    pub(crate) fn enter(&mut self, stage: Stage) -> io::Result<u64> {
        let at_ns = clock::now_ns() + self.notice_ns;
        self.began.get_or_insert_with(Instant::now);
        self.stage = Some(stage);
        self.send_all(|| ToWorker::Enter(stage, at_ns))?;
        Ok(at_ns)
    }

    /// Lets some workers begin a stage: at `at_ns`, or soon where that is 0.
    ///
    /// # Errors
    /// A worker is gone.
    pub(super) fn enter_some(&mut self, workers: Range<usize>, stage: Stage, at_ns: u64) -> io::Result<()> {
        let at_ns = if at_ns == 0 { clock::now_ns() + self.notice_ns } else { at_ns };
        self.began.get_or_insert_with(Instant::now);
        self.stage = Some(stage);
        self.send_to(workers, || ToWorker::Enter(stage, at_ns))
    }

    /// How long before its moment a stage is told of.
    pub(super) fn notice(&self) -> Duration {
        Duration::from_nanos(self.notice_ns)
    }

    /// A phase of the day begins at this moment, for all.
    ///
    /// # Errors
    /// A worker is gone.
    pub(crate) fn open_phase(&mut self, at_ns: u64) -> io::Result<()> {
        self.send_all(|| ToWorker::Phase(at_ns))
    }

    /// Waits until all workers have settled the stage; tells what was done so far whenever something is new.
    ///
    /// # Errors
    /// A worker is gone or has stopped telling.
    pub(crate) fn settle(&mut self, stage: Stage, mut tell: impl FnMut(Progress)) -> io::Result<Settled> {
        let mut usages = vec![None; self.hands.len()];
        while usages.iter().any(Option::is_none) {
            let (number, letter) = self.next(PATIENCE)?.ok_or_else(|| io::Error::other("the workers are silent"))?;
            self.miss_none()?;
            match letter {
                ToBoss::Progress(_) => tell(self.progress()),
                ToBoss::Settled(settled, usage) if settled == stage => usages[number] = Some(usage),
                ToBoss::Settled(..) | ToBoss::Ready | ToBoss::Done(_) | ToBoss::Failed(_) => {}
                ToBoss::Here(_) | ToBoss::Clock(_) | ToBoss::Seen(_) => {}
            }
        }
        tell(self.progress());
        Ok(Settled { usages: usages.into_iter().flatten().collect() })
    }

    /// Lets time pass while the workers go on, and tells what was done so far.
    ///
    /// # Errors
    /// A worker is gone.
    pub(crate) fn pass(&mut self, time: Duration, mut tell: impl FnMut(Progress)) -> io::Result<()> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if self.next(left)?.is_some() {
                self.miss_none()?;
                tell(self.progress());
            }
        }
        Ok(())
    }

    /// Lets the workers go; what they found, added up, and where those were that joined.
    ///
    /// # Errors
    /// A worker is gone before it told.
    pub(crate) fn dismiss(mut self) -> io::Result<(Tally, Vec<HostFigures>)> {
        let hosts = self.hosts()?;
        self.send_all(|| ToWorker::Finish)?;
        let (mut sum, mut waiting) = (Tally::default(), self.hands.len());
        while waiting > 0 {
            let letter = self.next(PATIENCE)?.ok_or_else(|| io::Error::other("a worker does not tell what it found"))?;
            if let (_, ToBoss::Done(tally)) = letter {
                sum.merge(&tally);
                waiting -= 1;
            }
        }
        for hand in &mut self.hands {
            match &mut hand.body {
                Body::Child(child) => drop(child.wait()?),
                Body::Joined { .. } => {}
            }
        }
        self.hands.clear();
        Ok((sum, hosts))
    }

    /// Where the workers are that joined, with what their clocks are at the end of the run.
    fn hosts(&mut self) -> io::Result<Vec<HostFigures>> {
        let mut hosts = Vec::new();
        for number in 0..self.hands.len() {
            if matches!(self.hands[number].body, Body::Joined { .. }) {
                let left = self.offset(number)?;
                hosts.extend(self.hands[number].figures(number, left));
            }
        }
        Ok(hosts)
    }

    /// How far the clock of a worker is ahead now, after what was taken off at its begin.
    fn offset(&mut self, number: usize) -> io::Result<Offset> {
        let mut exchanges = Vec::with_capacity(EXCHANGES);
        for _ in 0..EXCHANGES {
            let asked = Exchange { left_ns: clock::now_ns(), ..Exchange::default() };
            let Hand { who, letters, .. } = &mut self.hands[number];
            send(letters, &ToWorker::Clock(asked)).map_err(|fault| io::Error::other(format!("{who} is gone: {fault}")))?;
            loop {
                let letter = self.next(PATIENCE)?.ok_or_else(|| io::Error::other("a worker does not tell its clock"))?;
                if let (from, ToBoss::Clock(exchange)) = letter
                    && from == number
                {
                    exchanges.push(exchange);
                    break;
                }
            }
        }
        Ok(Offset::of(&exchanges).unwrap_or_default())
    }

    fn send_all(&mut self, letter: impl Fn() -> ToWorker) -> io::Result<()> {
        self.send_to(0..self.hands.len(), letter)
    }

    fn send_to(&mut self, workers: Range<usize>, letter: impl Fn() -> ToWorker) -> io::Result<()> {
        for number in workers {
            if let Err(fault) = send(&mut self.hands[number].letters, &letter()) {
                return Err(self.gone(&self.hands[number].who, &fault));
            }
        }
        Ok(())
    }

    /// Who is gone, and when.
    fn gone(&self, who: &str, fault: &io::Error) -> io::Error {
        let reason = match fault.kind() {
            io::ErrorKind::UnexpectedEof => "it ended, or its connection did".to_owned(),
            _ => fault.to_string(),
        };
        io::Error::other(format!("{who} is gone{}: {reason}", self.when()))
    }

    fn when(&self) -> String {
        match (self.began, self.stage) {
            (Some(began), Some(stage)) => format!(" {:.1} s after the run began, in {stage:?}", began.elapsed().as_secs_f64()),
            _ => " before the run began".to_owned(),
        }
    }

    /// Finds a worker that has fallen silent while others still tell.
    pub(super) fn miss_none(&self) -> io::Result<()> {
        let newest = self.heard.iter().max().copied().unwrap_or_else(Instant::now);
        let silent = self.heard.iter().position(|heard| newest.saturating_duration_since(*heard) > PATIENCE);
        silent.map_or(Ok(()), |number| {
            let (who, seconds) = (&self.hands[number].who, PATIENCE.as_secs());
            Err(io::Error::other(format!("{who} has told nothing for {seconds} s{}", self.when())))
        })
    }

    /// What all have done so far.
    pub(crate) fn progress(&self) -> Progress {
        let mut sum = Progress::default();
        self.progress.iter().for_each(|one| sum.add(one));
        sum
    }

    /// The next letter, if one comes in time.
    pub(super) fn next(&mut self, within: Duration) -> io::Result<Option<(usize, ToBoss)>> {
        match self.inbox.recv_timeout(within) {
            Ok((number, _, Ok(ToBoss::Failed(reason)))) => Err(self.failed(number, reason)),
            Ok((number, at, Ok(letter))) => {
                self.heard[number] = at;
                match &letter {
                    ToBoss::Progress(progress) => {
                        self.progress[number] = *progress;
                        self.live.progress(self.progress());
                    }
                    ToBoss::Seen(seen) => self.live.seen(number, seen),
                    ToBoss::Here(_) | ToBoss::Clock(_) | ToBoss::Ready => {}
                    ToBoss::Settled(..) | ToBoss::Done(_) | ToBoss::Failed(_) => {}
                }
                Ok(Some((number, letter)))
            }
            Ok((number, _, Err(fault))) => Err(self.gone(&self.who(number), &fault)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("all workers are gone")),
        }
    }

    fn failed(&self, number: usize, reason: String) -> io::Error {
        match self.hands.get(number).map(|hand| &hand.body) {
            Some(Body::Joined { .. }) => io::Error::other(format!("{}: {reason}", self.who(number))),
            Some(Body::Child(_)) | None => io::Error::other(reason),
        }
    }

    fn who(&self, number: usize) -> String {
        self.hands.get(number).map_or_else(|| format!("worker {number}"), |hand| hand.who.clone())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for hand in &mut self.hands {
            match &mut hand.body {
                Body::Child(child) => {
                    let _ = child.kill();
                    let _ = child.wait();
                }
                Body::Joined { stream, .. } => drop(stream.shutdown(Shutdown::Both)),
            }
        }
    }
}

impl Hand {
    /// Of one that joined; `left` is what its clock is ahead of what was taken off.
    fn figures(&self, worker: usize, left: Offset) -> Option<HostFigures> {
        let Body::Joined { address, place, offset, round_trip_ns, .. } = &self.body else { return None };
        Some(HostFigures {
            worker,
            name: place.name.clone(),
            address: address.clone(),
            kernel: place.kernel.clone(),
            cpu: place.cpu.clone(),
            cores: place.cores,
            offset_ns: offset.ahead_ns,
            drift_ns: left.ahead_ns,
            round_trip_ns: *round_trip_ns,
            uncertainty_ns: offset.over(left),
        })
    }
}

impl Joined {
    fn hire(self, number: usize, outbox: Sender<Arrival>) -> io::Result<Hand> {
        let Joined { stream, reader, writer, address, place, offset, round_trip_ns } = self;
        listen(number, reader, outbox)?;
        let who = format!("worker {number} ({}, {})", place.name, address.ip());
        let body = Body::Joined { stream, address: address.to_string(), place, offset, round_trip_ns };
        Ok(Hand { who, letters: Box::new(writer), body })
    }
}

fn hire(number: usize, outbox: Sender<Arrival>) -> io::Result<Hand> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("led").env_remove(super::secret::VARIABLE).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let (Some(letters), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("a worker without pipes"));
    };
    listen(number, BufReader::new(answers), outbox)?;
    Ok(Hand { who: format!("worker {number}"), letters: Box::new(letters), body: Body::Child(child) })
}

/// Reads a worker's letters on a thread of its own, until the last one.
fn listen(number: usize, mut from: impl Read + Send + 'static, outbox: Sender<Arrival>) -> io::Result<()> {
    thread::Builder::new().name(format!("worker {number}")).spawn(move || {
        loop {
            let mut letter = receive::<ToBoss>(&mut from);
            if let Ok(ToBoss::Clock(exchange)) = &mut letter {
                exchange.back_ns = clock::now_ns();
            }
            let last = matches!(letter, Err(_) | Ok(ToBoss::Done(_)));
            if outbox.send((number, Instant::now(), letter)).is_err() || last {
                return;
            }
        }
    })?;
    Ok(())
}
