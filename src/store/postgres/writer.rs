//! The writer: takes what has gathered, writes it as one transaction, answers. While a commit runs the next batch gathers by itself. What
//! is answered goes first; leaves, for which nobody waits, go along.
//!
//! It runs on the store's thread and has a connection of its own. Where that is lost it makes another, with growing pauses; questions wait
//! meanwhile until their time is over. A connection that ends in the middle of a commit leaves open whether the batch is there: the
//! database is asked first, and what has waited for that is answered with what it says, however long it took.

use super::{
    chat,
    columns::column,
    conn::{Conn, Role, Way},
    fault::Fault,
    keeper::{ALIVE, Keeper},
    labs,
    presence::{self, Entry},
    quiz, tasks,
    writing::Writing,
};
use crate::{
    protocols::presence::record::Leaving,
    realtime::StoreFault,
    store::{
        Answer, Entered, Sink, Tenure,
        intake::{Asked, Intake},
        queue::Question,
    },
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{select, sync::Notify, time::sleep};

/// Enters and records in one transaction at most: bounds how long the first waits for the last, over a network too.
pub(super) const BATCH: usize = 1024;

/// Pauses between attempts to connect, and to write leaves that could not be written: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// How often those whose time is over are looked for while there is no connection.
const LOOK: Duration = Duration::from_millis(50);

/// How often the mark of life is tried for that a former connection still has.
const MARK: Duration = Duration::from_millis(250);

/// Ends a backend, named as in [`Doubt::backend`].
const END: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid || ' ' || backend_start::text = $1";

/// How long nothing is written before it is made sure that the database is there: health tells it.
const HEARTBEAT: Duration = Duration::from_secs(2);

type Connecting = Pin<Box<dyn Future<Output = Result<Conn, Fault>>>>;

/// The connection, or the way to one.
enum Link {
    Up(Box<Conn>),
    Connecting(Connecting),
    Down { until: Instant },
}

/// A batch of which it is not known whether it was committed.
struct Doubt {
    transaction: String,
    /// The backend that has, or had it: its number, and when it began.
    backend: String,
    batch: Vec<Asked>,
    answers: Vec<Answer>,
    due: usize,
}

/// What ended a transaction.
enum Ended {
    /// It holds; the answers, in the order of the batch.
    Kept(Vec<Answer>),
    /// Nothing of it does.
    Undone(Fault),
    /// One or the other.
    Unknown { transaction: String, answers: Vec<Answer> },
}

/// What the store's thread holds between batches.
pub(super) struct Writer {
    way: Arc<Way>,
    keeper: Arc<Keeper>,
    link: Link,
    /// Of the connection; see [`Doubt::backend`].
    backend: String,
    /// The tenure whose life the connection shows, or tries to.
    shown: Option<Tenure>,
    /// Whether it does.
    is_marked: bool,
    /// The last backend that did.
    marked_by: Option<String>,
    mark_at: Instant,
    doubt: Option<Doubt>,
    intake: Intake,
    sink: Box<dyn Sink>,
    woken: Arc<Notify>,
    /// Zero while all is well.
    pause: Duration,
    retry_at: Instant,
    heartbeat_at: Instant,
}

impl Writer {
    pub(super) fn new(way: Arc<Way>, keeper: Arc<Keeper>, conn: Conn, intake: Intake, sink: Box<dyn Sink>) -> Writer {
        let now = Instant::now();
        let woken = Arc::new(Notify::new());
        let waker = Arc::clone(&woken);
        intake.queue.taken_by(move || waker.notify_one());
        Writer {
            way,
            keeper,
            link: Link::Up(Box::new(conn)),
            backend: String::new(),
            shown: None,
            is_marked: true,
            marked_by: None,
            mark_at: now,
            doubt: None,
            intake,
            sink,
            woken,
            pause: Duration::ZERO,
            retry_at: now,
            heartbeat_at: now,
        }
    }

    /// Serves until the queue is stopped, then writes what is left once more. Whether the database was there to the end.
    pub(super) async fn run(mut self) -> bool {
        let queue = Arc::clone(&self.intake.queue);
        while !queue.is_stopping() {
            self.turn(Instant::now()).await;
        }
        self.heartbeat_at = Instant::now() + HEARTBEAT;
        self.retry_at = Instant::now();
        while matches!(self.link, Link::Up(_)) && self.turn(Instant::now()).await {}
        let left = self.intake.leaves.len();
        if left > 0 {
            tracing::warn!(leaves = left, "stopped before all was on disk; these sessions end with the lease of this node");
        }
        matches!(self.link, Link::Up(_))
    }

    /// One batch, or a sleep. False when there was nothing to do.
    async fn turn(&mut self, now: Instant) -> bool {
        self.settle_doubt().await;
        let took = self.intake.gather(now);
        #[cfg(test)]
        self.intake.chores.clear();
        let is_up = matches!(self.link, Link::Up(_)) && self.doubt.is_none();
        // In a pause only what is answered is attempted.
        let (questions, enters) = self.intake.size();
        let due = if now < self.retry_at { 0 } else { self.intake.leaves.share(questions, enters) };
        let heartbeat = is_up && now >= self.next_beat();
        if !is_up {
            let batch = self.intake.take_batch();
            self.intake.failed(batch, StoreFault::Busy);
        } else if questions > 0 || due > 0 {
            self.write(due, now).await;
        } else if heartbeat {
            self.beat(now).await;
        }
        self.tell();
        let busy = is_up && (took || due > 0 || heartbeat);
        if !busy {
            self.rest(is_up).await;
        }
        busy
    }

    fn tell(&mut self) {
        self.intake.queue.health.overdue_leaves.store(self.intake.leaves.len() as u64, Relaxed);
        if !self.intake.answers.is_empty() {
            self.sink.post(&mut self.intake.answers);
            self.intake.answers.clear();
        }
        if self.doubt.is_none() {
            self.intake.tell_flushes();
        }
    }

    /// Writes the batch and the oldest `due` leaves, and has an answer for each question in it, or holds it.
    async fn write(&mut self, due: usize, now: Instant) {
        let batch = self.intake.take_batch();
        let tenure = self.keeper.held();
        let ended = match tenure {
            Some(tenure) => self.transaction(tenure, &batch, due).await,
            None => Ended::Undone(Fault::Lost),
        };
        self.heartbeat_at = Instant::now() + HEARTBEAT;
        let size = batch.len() + due;
        match ended {
            Ended::Kept(mut answers) => {
                self.intake.answers.append(&mut answers);
                self.intake.leaves.written(due);
                self.intake.settled(batch);
                self.tried(Ok(()), size, now);
            }
            Ended::Undone(fault) => {
                self.tried(Err(&fault), size, now);
                self.intake.failed(batch, fault.blame());
                if let (Fault::Lost, Some(tenure)) = (&fault, tenure) {
                    self.keeper.lost(tenure);
                }
                if matches!(fault, Fault::Lost) {
                    // Whoever ended the tenure has ended every session of it.
                    self.intake.leaves.written(self.intake.leaves.len());
                }
            }
            Ended::Unknown { transaction, answers } => {
                tracing::warn!("the connection to the database ended in a commit; it will be asked whether it holds");
                self.tried(Err(&Fault::Silent), size, now);
                self.doubt = Some(Doubt { transaction, backend: self.backend.clone(), batch, answers, due });
            }
        }
    }

    async fn transaction(&mut self, tenure: Tenure, batch: &[Asked], due: usize) -> Ended {
        let Link::Up(conn) = &self.link else { return Ended::Undone(Fault::Unconnected) };
        if self.is_to_show(tenure) {
            match show(conn, tenure, self.marked_by.as_deref()).await {
                Ok(shown) => self.showed(tenure, shown),
                Err(fault) => return Ended::Undone(fault),
            }
        }
        let Link::Up(conn) = &self.link else { return Ended::Undone(Fault::Unconnected) };
        let leaves: Vec<Leaving> = self.intake.leaves.first(due).collect();
        let enters = batch.iter().filter(|asked| matches!(asked.question, Question::Enter(_))).count();
        let written = async {
            let writing = Writing::begin(conn, tenure, enters).await?;
            let answers = fulfil(&writing, batch, &self.intake).await?;
            presence::end(&writing, &leaves).await?;
            Ok::<_, Fault>((writing, answers))
        };
        match written.await {
            Ok((writing, answers)) => match writing.commit().await {
                Ok(()) => Ended::Kept(answers),
                Err(fault) if fault.is_of_the_connection() => {
                    Ended::Unknown { transaction: writing.transaction.clone(), answers }
                }
                Err(fault) => Ended::Undone(fault),
            },
            Err(fault) => {
                let undone = if fault.is_of_the_connection() { Ok(()) } else { conn.batch("ROLLBACK").await };
                // Without a connection everything is undone too.
                Ended::Undone(undone.err().filter(Fault::is_of_the_connection).unwrap_or(fault))
            }
        }
    }

    /// Finds out whether the batch in doubt was committed, as soon as there is a connection.
    async fn settle_doubt(&mut self) {
        let (Some(doubt), Link::Up(conn)) = (&self.doubt, &self.link) else { return };
        let holds = match is_committed(conn, doubt).await {
            Ok(holds) => holds,
            Err(fault) => return self.tried(Err(&fault), 0, Instant::now()),
        };
        let Some(mut doubt) = self.doubt.take() else { return };
        tracing::info!(holds, "it is known whether the last commit holds");
        if holds {
            self.intake.answers.append(&mut doubt.answers);
            self.intake.leaves.written(doubt.due);
            self.intake.settled(doubt.batch);
        } else {
            self.intake.failed(doubt.batch, StoreFault::Busy);
        }
    }

    /// Makes sure that the database is there.
    async fn beat(&mut self, now: Instant) {
        let Link::Up(conn) = &self.link else { return };
        let tenure = self.keeper.held();
        let result = match tenure.filter(|tenure| self.is_to_show(*tenure)) {
            Some(tenure) => match show(conn, tenure, self.marked_by.as_deref()).await {
                Ok(shown) => {
                    self.showed(tenure, shown);
                    Ok(())
                }
                Err(fault) => Err(fault),
            },
            None => conn.batch("SELECT").await,
        };
        let lost = if tenure.is_none() { Err(&Fault::Lost) } else { Ok(()) };
        self.tried(result.as_ref().map_or_else(Err, |()| lost), 0, now);
        self.heartbeat_at = Instant::now() + HEARTBEAT;
    }

    /// When it is next made sure that the database is there, and knows that this node is.
    fn next_beat(&self) -> Instant {
        if self.is_marked { self.heartbeat_at } else { self.heartbeat_at.min(self.mark_at) }
    }

    fn is_to_show(&self, tenure: Tenure) -> bool {
        self.shown != Some(tenure) || !self.is_marked && Instant::now() >= self.mark_at
    }

    /// What came of it. As long as it was not marked it is tried again; all is written meanwhile, since epochs alone decide who may.
    fn showed(&mut self, tenure: Tenure, Shown { backend, is_marked }: Shown) {
        if self.is_marked && !is_marked {
            tracing::warn!("a former connection to the database still stands for this node: it is being ended");
        } else if is_marked && !self.is_marked {
            tracing::info!("the connection to the database stands for this node again");
        }
        if is_marked {
            self.marked_by = Some(backend.clone());
        }
        (self.shown, self.backend, self.is_marked) = (Some(tenure), backend, is_marked);
        self.mark_at = Instant::now() + MARK;
        self.intake.queue.health.unmarked.store(!is_marked, Relaxed);
    }

    /// How it went: for health, for the log, and for the connection.
    fn tried(&mut self, result: Result<(), &Fault>, size: usize, began: Instant) {
        let outcome = result.map_err(|fault| fault.blame());
        self.intake.tried(outcome, size, began.elapsed());
        let Err(fault) = result else {
            if self.pause > Duration::ZERO {
                tracing::info!("the store writes again");
                self.pause = Duration::ZERO;
                self.retry_at = Instant::now();
            }
            return;
        };
        if self.pause.is_zero() {
            tracing::warn!(%fault, "the store cannot write; it goes on trying");
        } else {
            tracing::debug!(%fault, "the store still cannot write");
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        self.retry_at = Instant::now() + self.pause;
        if fault.is_of_the_connection() {
            self.shown = None;
            self.link = Link::Down { until: self.retry_at };
        }
    }

    /// Sleeps until there is something to do; makes a connection meanwhile where there is none.
    async fn rest(&mut self, is_up: bool) {
        let now = Instant::now();
        if let Link::Down { until } = self.link
            && until <= now
        {
            let way = Arc::clone(&self.way);
            self.link = Link::Connecting(Box::pin(async move { way.connect(Role::Writer).await }));
        }
        let at_most = if is_up {
            let until = if self.intake.leaves.is_empty() { self.next_beat() } else { self.next_beat().min(self.retry_at) };
            until.saturating_duration_since(now)
        } else {
            LOOK
        };
        let made = match &mut self.link {
            Link::Connecting(connecting) => select! {
                made = connecting => Some(made),
                () = sleep(at_most) => None,
            },
            Link::Up(_) | Link::Down { .. } => {
                if self.intake.queue.falls_asleep() {
                    select! {
                        () = self.woken.notified() => {}
                        () = sleep(at_most) => {}
                    }
                }
                self.intake.queue.woke();
                None
            }
        };
        match made {
            None => {}
            Some(Ok(conn)) => {
                self.link = Link::Up(Box::new(conn));
                self.heartbeat_at = Instant::now();
            }
            Some(Err(fault)) => {
                self.tried(Err(&fault), 0, now);
                // Whatever it was: a password that is wrong, a database that takes nobody.
                self.link = Link::Down { until: self.retry_at };
            }
        }
    }
}

/// A connection as the database sees it.
struct Shown {
    /// See [`Doubt::backend`].
    backend: String,
    /// Whether it shows that the node is alive. A backend of a former connection that has not noticed its end still may.
    is_marked: bool,
}

/// Shows by this connection that the node of a tenure is alive. `former`: which backend did last; it is ended.
async fn show(conn: &Conn, tenure: Tenure, former: Option<&str>) -> Result<Shown, Fault> {
    let backend = "SELECT pid || ' ' || backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let backend: String = column(&conn.one(backend, &[]).await?, 0)?;
    if let Some(former) = former.filter(|former| *former != backend) {
        conn.one(END, &[&former]).await?;
    }
    let marked = conn.one("SELECT pg_try_advisory_lock($1, $2)", &[&ALIVE, &(tenure.epoch as i32)]).await?;
    Ok(Shown { backend, is_marked: column(&marked, 0)? })
}

/// Ends the backend that may still be at it, and asks until its transaction is over.
async fn is_committed(conn: &Conn, doubt: &Doubt) -> Result<bool, Fault> {
    loop {
        conn.one(END, &[&doubt.backend]).await?;
        let status = match conn.one("SELECT pg_xact_status($1::text::xid8)", &[&doubt.transaction]).await {
            // A number that this database has not come to: it is a copy that was left behind.
            Err(fault) if fault.is_of_the_row() => return Ok(false),
            status => status?,
        };
        match column::<Option<&str>>(&status, 0)? {
            Some("committed") => return Ok(true),
            Some("in progress") => sleep(LOOK).await,
            // Aborted; or so long ago that nobody knows, which no wait for a connection is.
            Some(_) | None => return Ok(false),
        }
    }
}

/// The answers to a batch, in its order. Each API has its questions in their order; of two APIs neither touches what the other writes.
async fn fulfil(writing: &Writing<'_>, batch: &[Asked], intake: &Intake) -> Result<Vec<Answer>, Fault> {
    let (mut enters, mut records, mut desks, mut said, mut told) = (vec![], vec![], vec![], vec![], vec![]);
    let mut numbers = writing.numbers.iter();
    for asked in batch {
        match &asked.question {
            Question::Enter(entering) => {
                let session = *numbers.next().ok_or_else(|| Fault::Value("a number is missing".into()))?;
                enters.push(Entry { entering, leaves: asked.leaves, session });
            }
            Question::Keep(record) => records.push(record),
            Question::KeepLabs(record) => desks.push(record),
            Question::KeepChat(change) => said.push(&**change),
            Question::KeepTasks(record) => told.push(record),
        }
    }
    let left = |session, leaves| intake.leaves.left(session, leaves);
    let mut entered = presence::enter(writing, &enters, left).await?.into_iter();
    let mut kept = quiz::keep(writing, &records).await?.into_iter();
    let mut labs = labs::keep(writing, &desks).await?.into_iter();
    let mut chat = chat::keep(writing, &said).await?.into_iter();
    let mut tasks = tasks::keep(writing, &told).await?.into_iter();
    let answers = batch.iter().map(|asked| {
        let ticket = asked.ticket;
        let answer = match &asked.question {
            Question::Enter(_) => entered.next().map(|result| Answer::Entered(Entered { ticket, result })),
            Question::Keep(_) => kept.next().map(|result| Answer::Kept { ticket, result }),
            Question::KeepLabs(_) => labs.next().map(|result| Answer::LabsKept { ticket, result }),
            Question::KeepChat(_) => chat.next().map(|result| Answer::ChatKept { ticket, result }),
            Question::KeepTasks(_) => tasks.next().map(|result| Answer::TasksKept { ticket, result }),
        };
        answer.ok_or_else(|| Fault::Value("an answer is missing".into()))
    });
    answers.collect()
}
