//! A shard's pump: the one task that turns completions, letters and answers into the engine's events, and the engine's wishes
//! into socket calls.
//!
//! A turn: reap → feed the engine → letters and answers → tick → finish → submit the sends at once → half-closes, closes,
//! hand-offs → letters out. When a turn found nothing the pump sleeps: in the ring, which watches the shard's bell, or, while REST is
//! served here, in glommio's reactor, which the ring wakes.

mod accept;
mod front;
mod hand_over;
mod leave;
mod receive;

pub use accept::address;

use super::{
    clock::Clock,
    counts::ShardCounts,
    fronts::{Brought, Fronts, Porch},
    gate::Arrival,
    mesh::{MeshEnd, Post},
    nudge::Nudge,
    patience::AT_START,
    ring::{Event, Ring, RingSizes, glommio_file},
    shard::{Control, Shard},
    sockets::{Mark, Sockets},
    stop::{Phase, Stage},
    wake::{Bed, Bell},
};
use crate::{
    engine::{Handoff, Listener, Output, Send},
    realtime::{ConnId, Moment, Now, ShardId},
};
use glommio::{Latency, Shares, TaskQueueHandle, net::TcpStream, timer::sleep};
use rustix::net::{Shutdown, shutdown};
use std::{
    cell::RefCell,
    future::Future,
    io,
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

/// Completions after which a turn goes on to the rest of its work.
const TURN_EVENTS: usize = 4096;
/// Received bytes after which it does so: what is to be sent of them is warm still, and whoever is to be read no more is not read for long.
const TURN_BYTES: usize = 1 << 20;
/// Letters (and as many answers) taken in one turn.
const TURN_LETTERS: usize = 1024;
/// The clock is read again after a batch longer than this.
const LONG_BATCH: usize = 256;
/// The longest sleep: what was lost by whatever fault waits no longer than this.
const LONGEST_SLEEP: Duration = Duration::from_millis(200);
/// The shortest sleep, also the wait before a spilled letter is tried again.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
/// How often each executor wakes whatever happens. Glommio parks in spite of runnable tasks when the thread was held up for a
/// whole preempt period just before it would have run them; only a timer ends that sleep.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// How long glommio's reactor, and with it REST, may wait while the pump is busy.
const REACTOR_WAIT: Duration = Duration::from_millis(2);
/// REST's part of a busy core; the pump's queue has glommio's default of 1,000.
const REST_SHARES: usize = 300;

const _: () = assert!(SHORTEST_SLEEP.as_micros() < LONGEST_SLEEP.as_micros());

/// Serves a connection that was handed off, until it is over.
pub type OnHandoff = Rc<dyn Fn(TcpStream, Handoff, Brought) -> Pin<Box<dyn Future<Output = ()>>>>;

/// All that a shard's pump is made of.
pub(super) struct ShardParts<E: Shard> {
    pub(super) id: ShardId,
    pub(super) sizes: RingSizes,
    pub(super) listeners: Vec<OwnedFd>,
    /// What stands before each of them.
    pub(super) porches: Vec<Porch>,
    pub(super) mesh: MeshEnd<E::Letter, E::Loss>,
    pub(super) post: Post<E::Answer>,
    pub(super) engine: Rc<RefCell<E>>,
    pub(super) on_handoff: OnHandoff,
    pub(super) nudge: Nudge,
    pub(super) clock: Clock,
    pub(super) stage: Arc<Stage>,
    /// Sockets that another process had, in the order in which the engine takes them over.
    pub(super) inherited: Vec<OwnedFd>,
}

/// Serves until the stage says that the shard is to go. Errors are faults of the ring, never of a connection. `ready` is called
/// once all is set up.
pub(super) async fn run_shard<E: Shard>(parts: ShardParts<E>, ready: impl FnOnce()) -> io::Result<()> {
    let nudge = parts.nudge.clone();
    let bell = glommio_file(parts.mesh.door().bell().descriptor(Bed::Reactor).try_clone_to_owned()?);
    let mut pump = Pump::new(parts)?;
    let listener = glommio::spawn_local(async move {
        // Read by a task of its own: glommio remembers each poll of a pending read, so it must be polled only when it is done.
        while bell.read_at(0, 8).await.is_ok() {
            nudge.nudge();
        }
        tracing::error!("the shard's eventfd cannot be read any more");
    });
    let heart = glommio::spawn_local(async {
        loop {
            sleep(HEARTBEAT).await;
        }
    });
    ready();
    let result = pump.run().await;
    drop(pump);
    listener.cancel().await;
    heart.cancel().await;
    result
}

/// A connection that REST has, counted from before its task first runs until that is over or dropped.
struct Served {
    stage: Arc<Stage>,
    shard: ShardId,
}

impl Served {
    fn new(stage: Arc<Stage>, shard: ShardId) -> Served {
        stage.counts(shard).handed_off_now.add(1);
        Served { stage, shard }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let running = &self.stage.counts(self.shard).handed_off_now;
        running.set(running.value() - 1);
    }
}

struct Pump<E: Shard> {
    id: ShardId,
    ring: Ring,
    sockets: Sockets,
    listeners: Vec<Option<OwnedFd>>,
    porches: Vec<Porch>,
    fronts: Fronts,
    /// How often certificates have been renewed.
    renewals: u32,
    mesh: MeshEnd<E::Letter, E::Loss>,
    post: Post<E::Answer>,
    engine: Rc<RefCell<E>>,
    on_handoff: OnHandoff,
    rest: TaskQueueHandle,
    nudge: Nudge,
    clock: Clock,
    stage: Arc<Stage>,
    phase: Phase,
    /// Given up for a moment to turn peers away when no descriptor is left.
    reserve: Option<OwnedFd>,
    /// Listeners whose accept pauses, and until when.
    paused: Vec<(Listener, Moment)>,
    /// Sends to connections that are no more; the engine is owed an answer for each.
    refused: Vec<ConnId>,
    handing: Vec<Handoff>,
    /// Whose large receive found no buffer, and whose brought something: the next is armed at the turn's end, if it is wanted then.
    hungry: Vec<ConnId>,
    fed: Vec<ConnId>,
    events: Vec<Event>,
    output: Output,
    reactor_polled: Moment,
}

impl<E: Shard> Pump<E> {
    fn new(parts: ShardParts<E>) -> io::Result<Pump<E>> {
        let make = || Ring::new(parts.id, parts.sizes, parts.mesh.door().bell());
        let mut ring = AT_START.make(format_args!("the ring of shard {}", parts.id), make)?;
        for (index, listener) in parts.listeners.iter().enumerate() {
            ring.accept(Listener(index as u8), listener.as_fd());
        }
        ring.submit();
        let mut sockets = Sockets::default();
        hand_over::take_in(parts.inherited, (&mut ring, &mut sockets), &parts.engine, parts.clock.now());
        parts.stage.counts(parts.id).connections.set(sockets.live() as u64);
        let reserve = Some(parts.mesh.door().bell().descriptor(Bed::Ring).try_clone_to_owned()?);
        Ok(Pump {
            id: parts.id,
            ring,
            sockets,
            listeners: parts.listeners.into_iter().map(Some).collect(),
            porches: parts.porches,
            fronts: Fronts::default(),
            renewals: 0,
            mesh: parts.mesh,
            post: parts.post,
            engine: parts.engine,
            on_handoff: parts.on_handoff,
            rest: glommio::executor().create_task_queue(Shares::Static(REST_SHARES), Latency::NotImportant, "rest"),
            nudge: parts.nudge,
            clock: parts.clock,
            stage: parts.stage,
            phase: Phase::Serving,
            reserve,
            paused: Vec::new(),
            refused: Vec::new(),
            handing: Vec::new(),
            hungry: Vec::new(),
            fed: Vec::new(),
            events: Vec::new(),
            output: Output::default(),
            reactor_polled: Moment::default(),
        })
    }

    fn counts(&self) -> &ShardCounts {
        self.stage.counts(self.id)
    }

    async fn run(&mut self) -> io::Result<()> {
        loop {
            let busy = self.turn();
            if let Some(fault) = self.ring.fault() {
                return Err(fault);
            }
            if self.phase == Phase::Gone {
                return Ok(());
            }
            if busy {
                self.counts().busy_turns.add(1);
                self.breathe().await;
            } else {
                self.sleep().await;
            }
        }
    }

    /// Whether glommio has nothing to do: no task runs here but the pump and those that wake it.
    fn is_alone(&self) -> bool {
        self.counts().handed_off_now.value() == 0
    }

    /// Lets the other tasks run, and now and then the reactor, which glommio would otherwise poll only after a whole preempt period.
    async fn breathe(&mut self) {
        if self.is_alone() {
            return;
        }
        if self.clock.moment().since(self.reactor_polled) < REACTOR_WAIT {
            return glommio::executor().yield_task_queue_now().await;
        }
        self.mesh.door().bell().ring(Bed::Reactor);
        self.nudge.wait(LONGEST_SLEEP).await;
        self.reactor_polled = self.clock.moment();
    }

    async fn sleep(&mut self) {
        let wait = self.sleep_time();
        if self.is_alone() {
            self.mesh.door().lie_down(Bed::Ring);
            if !self.has_work() {
                self.counts().sleeps.add(1);
                self.ring.sleep(wait);
            }
            return self.mesh.door().rise();
        }
        self.ring.notify(true);
        self.mesh.door().lie_down(Bed::Reactor);
        if self.has_work() {
            glommio::executor().yield_task_queue_now().await;
        } else {
            self.counts().sleeps.add(1);
            self.nudge.wait(wait).await;
            self.reactor_polled = self.clock.moment();
        }
        self.mesh.door().rise();
        self.ring.notify(false);
    }

    /// The second look of the wake protocol: every place where work may lie.
    fn has_work(&mut self) -> bool {
        self.ring.has_work()
            || self.mesh.has_letters()
            || self.post.has_answers(self.id)
            || self.stage.phase() != self.phase
            || self.stage.renewals() != self.renewals
            || self.nudge.pending()
            || !self.refused.is_empty()
    }

    fn sleep_time(&self) -> Duration {
        if self.mesh.spilling() {
            return SHORTEST_SLEEP;
        }
        let deadline = self.engine.borrow().next_deadline();
        let next = deadline.into_iter().chain(self.paused.iter().map(|(_, until)| *until)).min();
        let wait = next.map_or(LONGEST_SLEEP, |next| next.since(self.clock.moment()));
        wait.clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
    }

    /// One turn. False when there was nothing to do.
    fn turn(&mut self) -> bool {
        self.nudge.take();
        let engine = self.engine.clone();
        let mut engine = engine.borrow_mut();
        let (heard, mut now) = self.hear(&mut engine);
        if heard > LONG_BATCH {
            now = self.clock.now();
        }
        let mut busy = heard > 0;
        busy |= self.change_phase(&mut engine, now);
        self.renew();
        self.accept_again(now);
        engine.tick(now);
        self.part(&mut engine, now);
        let mut output = std::mem::take(&mut self.output);
        engine.finish(now, &mut output);
        busy |= self.carry_out(&mut output, &mut engine);
        self.output = output;
        busy |= !engine.letters().is_empty();
        self.counts().letters_out.add(engine.letters().len() as u64);
        for (to, letter) in engine.letters().drain(..) {
            self.mesh.send(to, letter, self.stage.counts(self.id));
        }
        self.mesh.flush(self.stage.counts(self.id));
        self.counts().owed.set(engine.owed() as u64);
        self.look_whether_quiet(&engine);
        busy | self.shake(&mut engine)
    }

    /// Feeds the engine with all that came. Returns how much that was, and the time that it was told.
    fn hear(&mut self, engine: &mut E) -> (usize, Now) {
        let mut now = self.clock.now();
        let mut heard = self.refused.len();
        for conn in self.refused.drain(..) {
            engine.sent(conn, false, now);
        }
        let mut events = std::mem::take(&mut self.events);
        let mut bytes = 0;
        while heard < TURN_EVENTS && bytes < TURN_BYTES {
            self.ring.reap(&mut events);
            if events.is_empty() {
                break;
            }
            heard += events.len();
            // A few dozen at a time: a deadline set in a long turn must not count from the turn's beginning.
            now = self.clock.now();
            for event in events.drain(..) {
                if let Event::Received { loan, .. } = &event {
                    bytes += loan.len();
                }
                self.happened(event, engine, now);
            }
        }
        self.events = events;
        let letters = self.mesh.take(TURN_LETTERS, |arrival| match arrival {
            Arrival::Letter(from, letter) => engine.letter(from, letter, now),
            Arrival::View(ring) => engine.view(ring, now),
            Arrival::Mourn(node, loss) => engine.mourn(node, loss),
            Arrival::Estranged(node) => engine.estranged(node, now),
        });
        self.counts().letters.add(letters as u64);
        heard += letters;
        heard += self.post.take(self.id, TURN_LETTERS, |answer| engine.answer(answer, now));
        (heard, now)
    }

    fn happened(&mut self, event: Event, engine: &mut E, now: Now) {
        match event {
            Event::Accepted { listener, socket } => self.accepted(listener, socket, engine, now),
            Event::AcceptOver { listener, fault } => self.accept_over(listener, fault, now),
            Event::Received { conn, loan } => self.received(conn, loan, engine, now),
            Event::ReceiveOver { conn, end } => self.receive_over(conn, end, engine, now),
            Event::Sent { conn, whole } => self.sent(conn, whole, engine, now),
        }
    }

    fn sent(&mut self, conn: ConnId, whole: bool, engine: &mut E, now: Now) {
        let Some(socket) = self.sockets.at(conn) else { return };
        if socket.has(Mark::OWN) {
            return self.own_sent(conn, whole, engine, now);
        }
        socket.clear(Mark::SENDING);
        let (leaving, is_fronted) = (socket.has(Mark::CLOSING) || socket.has(Mark::HANDING), socket.has(Mark::FRONTED));
        if socket.has(Mark::FIN_WANTED) {
            self.end_stream(conn);
        }
        engine.sent(conn, whole, now);
        if leaving {
            self.settle(conn, engine);
        } else if is_fronted {
            self.after_send(conn, engine);
        }
    }

    /// Does what the engine wants. False when it wants nothing.
    fn carry_out(&mut self, output: &mut Output, engine: &mut E) -> bool {
        let sends = output.sends.len();
        let busy = sends + output.half_closes.len() + output.closes.len() + output.handoffs.len() > 0;
        for send in output.sends.drain(..) {
            self.send(send);
        }
        self.counts().sends.add(sends as u64);
        let receives = self.change_receives(output);
        self.ring.submit();
        for conn in output.half_closes.drain(..) {
            self.half_close(conn);
        }
        for conn in output.closes.drain(..) {
            self.close(conn, engine);
        }
        for handoff in output.handoffs.drain(..) {
            self.hand_off(handoff, engine);
        }
        busy || receives
    }

    fn send(&mut self, send: Send) {
        match self.sockets.at(send.conn) {
            Some(socket) if !socket.has(Mark::CLOSING) && !socket.has(Mark::HANDING) => {
                if socket.has(Mark::FRONTED) {
                    return self.front_send(send);
                }
                debug_assert!(!socket.has(Mark::SENDING), "one send in flight for each connection");
                socket.set(Mark::SENDING);
                if let Some(descriptor) = socket.descriptor() {
                    self.ring.send(descriptor, send);
                }
            }
            _ => self.refused.push(send.conn),
        }
    }

    /// From now on new connections are shown the certificates that were read last.
    fn renew(&mut self) {
        let renewals = self.stage.renewals();
        if renewals == self.renewals {
            return;
        }
        self.renewals = renewals;
        if let Some(servers) = self.stage.renewed(self.id) {
            for (porch, server) in self.porches.iter_mut().zip(&*servers) {
                porch.tls = server.clone();
            }
        }
    }

    /// Tells the engine what the process is about to do.
    fn change_phase(&mut self, engine: &mut E, now: Now) -> bool {
        let wanted = self.stage.phase();
        let changed = wanted != self.phase;
        if let (Phase::Serving, Phase::Thinning, Some(pace)) = (self.phase, wanted, self.stage.pace()) {
            engine.control(Control::Thin(pace), now);
        }
        if self.hands_over(wanted) {
            return self.hand_over(wanted, engine, now);
        }
        if self.phase < Phase::Draining && wanted >= Phase::Draining {
            engine.control(Control::Drain, now);
        }
        if self.phase < Phase::Closing && wanted >= Phase::Closing {
            for index in 0..self.listeners.len() {
                self.ring.accept_no_more(Listener(index as u8));
            }
            engine.control(Control::Close, now);
        }
        self.phase = wanted;
        changed
    }
}

impl<E: Shard> Drop for Pump<E> {
    fn drop(&mut self) {
        // The peers that are left must not wait for the kernel to take the ring apart.
        for descriptor in self.sockets.iter().filter_map(|socket| socket.descriptor()) {
            let _ = shutdown(descriptor, Shutdown::Both);
        }
    }
}
