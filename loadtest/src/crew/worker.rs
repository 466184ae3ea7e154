//! The worker's side: one thread that does the work, one that waits for letters.

use super::{
    letters::{Progress, Seen, Stage, Task, ToBoss, ToWorker, receive, send},
    offset::Exchange,
};
use crate::{
    chat::Chats,
    clock,
    lab::Lab,
    model::Model,
    order::Order,
    quiz::Hall,
    rolling::Rolling,
    swarm::Swarm,
    tally::{Slice, Tally},
    tasks::Office,
    usage::{self, Reading},
};
use rustix::{
    event::{EventfdFlags, eventfd},
    fd::OwnedFd,
};
use std::{
    io::{self, Read, Write},
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError, channel},
    },
    thread,
};

const PROGRESS_EVERY_NS: u64 = 200_000_000;

/// What does a worker's work: all its connections, on one thread.
pub(crate) trait Engine {
    /// Begins a stage at `at_ns`.
    fn enter(&mut self, stage: Stage, at_ns: u64);

    /// Whether nothing is left to do in the stage.
    fn settled(&self) -> bool;

    /// What was done so far.
    fn progress(&self) -> Progress;

    /// One turn; returns at `latest_ns` at the latest.
    ///
    /// # Errors
    /// Only those of epoll itself: a connection's faults are counted, never returned.
    fn turn(&mut self, latest_ns: u64) -> io::Result<()>;

    /// What was counted and measured so far.
    fn tally(&mut self) -> &mut Tally;

    /// Everything that was found out.
    fn finish(self: Box<Self>) -> Tally;
}

/// Serves one boss until it says finish or goes away. `placed` is what this host changes in its order.
///
/// # Errors
/// The boss went away, or the system refused what the work needs.
pub(crate) fn serve(mut from: impl Read + Send + 'static, mut to: impl Write, placed: impl FnOnce(&mut Task)) -> io::Result<()> {
    let mut task = ordered(&mut from, &mut to)?;
    placed(&mut task);
    let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
    let made = match *task {
        Task::Classrooms(order) => Swarm::new(order, &bell).map(|swarm| Box::new(swarm) as Box<dyn Engine>),
        Task::Rolling(order) => Rolling::new(order, &bell).map(|rolling| Box::new(rolling) as Box<dyn Engine>),
        Task::Quizzes(order) => Hall::new(order, &bell).map(|hall| Box::new(hall) as Box<dyn Engine>),
        Task::Labs(order) => Lab::new(order, &bell).map(|lab| Box::new(lab) as Box<dyn Engine>),
        Task::Chats(order) => Chats::new(order, &bell).map(|chats| Box::new(chats) as Box<dyn Engine>),
        Task::Model(order) => Model::new(order, &bell).map(|model| Box::new(model) as Box<dyn Engine>),
        Task::Tasks(order) => Office::new(order, &bell).map(|office| Box::new(office) as Box<dyn Engine>),
    };
    let engine = match made {
        Ok(engine) => engine,
        Err(reason) => {
            send(&mut to, &ToBoss::Failed(reason.clone()))?;
            return Err(io::Error::other(reason));
        }
    };
    let letters = listen(from, bell)?;
    send(&mut to, &ToBoss::Ready)?;
    work(engine, &letters, &mut to)
}

/// The order; before it, who joined is asked for its clock.
fn ordered(from: &mut impl Read, to: &mut impl Write) -> io::Result<Box<Task>> {
    loop {
        match receive(from)? {
            ToWorker::Clock(asked) => {
                let came_ns = clock::now_ns();
                send(to, &ToBoss::Clock(Exchange { came_ns, answered_ns: clock::now_ns(), ..asked }))?;
            }
            ToWorker::Ahead(ns) => clock::shift(ns.saturating_neg()),
            ToWorker::Order(task) => return Ok(task),
            ToWorker::Show | ToWorker::Enter(..) | ToWorker::Phase(_) | ToWorker::Finish => {
                return Err(io::Error::other("the first letter is not an order"));
            }
        }
    }
}

/// Reads letters on a thread of its own; each one rings the bell, which stands in the worker's epoll set.
fn listen(mut from: impl Read + Send + 'static, bell: Arc<OwnedFd>) -> io::Result<Receiver<ToWorker>> {
    let (letters, inbox) = channel();
    thread::Builder::new().name("letters".into()).spawn(move || {
        while let Ok(mut letter) = receive(&mut from) {
            if let ToWorker::Clock(exchange) = &mut letter {
                exchange.came_ns = clock::now_ns();
            }
            if letters.send(letter).is_err() {
                return;
            }
            let _ = rustix::io::write(&bell, &1u64.to_ne_bytes());
        }
        drop(letters);
        let _ = rustix::io::write(&bell, &1u64.to_ne_bytes());
    })?;
    Ok(inbox)
}

/// A stage that was entered, and what the worker had used when its moment came.
struct Begun {
    stage: Stage,
    at_ns: u64,
    since: Option<Reading>,
}

/// Puts slices of time away as they end.
struct Slices {
    due_ns: u64,
    used: Reading,
    faults: u64,
    /// Whether somebody looks.
    shown: bool,
}

impl Default for Slices {
    fn default() -> Self {
        Slices { due_ns: u64::MAX, used: Reading::now(), faults: 0, shown: false }
    }
}

impl Slices {
    /// The first stage begins at `at_ns`; of later ones nothing follows.
    fn open(&mut self, engine: &mut dyn Engine, at_ns: u64) {
        let series = &mut engine.tally().series;
        series.open(at_ns);
        if self.due_ns == u64::MAX {
            (self.due_ns, self.used) = (series.due_ns(at_ns), Reading::now());
        }
    }

    fn put_due(&mut self, engine: &mut dyn Engine, to: &mut impl Write) -> io::Result<()> {
        let now_ns = clock::now_ns();
        if now_ns < self.due_ns {
            return Ok(());
        }
        let slice = self.put(engine, now_ns, false);
        self.due_ns = engine.tally().series.due_ns(now_ns);
        if self.shown {
            let faults = engine.tally().faults.clone();
            send(to, &ToBoss::Seen(Box::new(Seen { slice, faults })))?;
        }
        Ok(())
    }

    fn put(&mut self, engine: &mut dyn Engine, now_ns: u64, is_last: bool) -> Slice {
        let (progress, used) = (engine.progress(), self.used.since());
        self.used = Reading::now();
        let slice = Slice {
            connections: progress.connections,
            faults: progress.faults.saturating_sub(self.faults),
            cpu_ns: used.cpu_ns,
            // The last slice is short: what little it holds is no measure of its own.
            busiest: if is_last { 0.0 } else { used.busy() },
            resident_bytes: usage::own_resident_bytes(),
            ..Slice::default()
        };
        self.faults = progress.faults;
        engine.tally().put_slice(now_ns, slice, is_last)
    }
}

fn work(mut engine: Box<dyn Engine>, letters: &Receiver<ToWorker>, to: &mut impl Write) -> io::Result<()> {
    let mut stage: Option<Begun> = None;
    let mut progress_due = clock::now_ns();
    let mut slices = Slices::default();
    loop {
        engine.turn(progress_due.min(slices.due_ns))?;
        slices.put_due(engine.as_mut(), to)?;
        match letters.try_recv() {
            Ok(ToWorker::Enter(next, at_ns)) => {
                slices.open(engine.as_mut(), at_ns);
                engine.enter(next, at_ns);
                stage = Some(Begun { stage: next, at_ns, since: None });
            }
            Ok(ToWorker::Clock(asked)) => send(to, &ToBoss::Clock(Exchange { answered_ns: clock::now_ns(), ..asked }))?,
            Ok(ToWorker::Show) => slices.shown = true,
            Ok(ToWorker::Phase(at_ns)) => engine.tally().phases.open(at_ns),
            Ok(ToWorker::Finish) => {
                slices.put(engine.as_mut(), clock::now_ns(), true);
                return send(to, &ToBoss::Done(Box::new(on_one_clock(engine.finish()))));
            }
            Ok(ToWorker::Order(_) | ToWorker::Ahead(_)) => return Err(io::Error::other("a second order")),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(io::Error::other("the boss is gone")),
        }
        if let Some(begun) = stage.as_mut().filter(|begun| clock::now_ns() >= begun.at_ns) {
            let since = *begun.since.get_or_insert_with(Reading::now);
            if engine.settled() {
                send(to, &ToBoss::Progress(engine.progress()))?;
                send(to, &ToBoss::Settled(begun.stage, since.since()))?;
                stage = None;
            }
        }
        if clock::now_ns() >= progress_due {
            send(to, &ToBoss::Progress(engine.progress()))?;
            progress_due = clock::now_ns() + PROGRESS_EVERY_NS;
        }
    }
}

/// What the kernel stamped in its real time is told in the run's clock, which is the same on all hosts.
fn on_one_clock(mut tally: Tally) -> Tally {
    let ahead_ns = clock::realtime_ahead_ns();
    tally.pinged_at_ns.iter_mut().for_each(|at_ns| *at_ns = at_ns.saturating_add_signed(ahead_ns.saturating_neg()));
    tally
}

/// Asks for as many open files as the hard limit allows. Returns how many that is.
pub(crate) fn raise_open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let outcome = setrlimit(Resource::Nofile, raised);
    let reached = if outcome.is_ok() { limit.maximum } else { limit.current };
    reached.unwrap_or(u64::MAX)
}

/// Makes room for so many connections of one worker, and for what it has open beside them.
///
/// # Errors
/// A sentence for the user: they are more than the system lets it have.
pub(crate) fn room_for(places: u64) -> Result<(), String> {
    let files = raise_open_files();
    if places + SPARE_FILES > files {
        return Err(format!("{places} connections in one worker, but only {files} open files are allowed: give more --workers"));
    }
    Ok(())
}

/// What an order needs beside its sockets: pipes, epoll, publish connections, the libraries' own.
pub(crate) const SPARE_FILES: u64 = 128;

/// How many connections an order holds at once.
pub(crate) fn places(order: &Order) -> u64 {
    use crate::order::Fate;
    let share = order.share(order.sign_ins);
    match order.fate {
        Fate::Stay => share,
        Fate::Leave => share.min(u64::from(order.in_flight)),
    }
}
