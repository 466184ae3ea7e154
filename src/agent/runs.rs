//! The runs of sessions: each a task that begins the processes, waits for the screen, and watches.

use super::{
    cgroup::{Limits, Share},
    homes, log_file,
    machine::{self, AGENT_VARIABLE, Account, PROGRAM_VARIABLE, SESSION_VARIABLE},
    numbers::Numbers,
    processes::{self, Birth, Life},
    settings::Settings,
    tunnel,
};
use crate::{
    desks::{Event, Fault, Plan, Seat, Wanted, plan},
    protocols::labs::{SessionId, dialect::iso},
};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{sleep, timeout},
};

/// Between two looks whether the screen is there.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What is left of a session that ended by itself may take so long to end.
const REST_TIMEOUT: Duration = Duration::from_secs(2);
/// A program that ran for less is waited for longer each time before it is begun again.
const SHORT_RUN: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What every run goes by.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) settings: Settings,
    pub(super) limits: Limits,
    /// The data folder from the root: what the agent's processes are known by.
    pub(super) agent: String,
}

/// Every run of this host.
pub(super) struct Runs {
    rules: Arc<Rules>,
    numbers: Numbers,
    tasks: HashMap<SessionId, AbortHandle>,
    events: mpsc::UnboundedSender<Event>,
}

/// One run, as its task has it.
struct Run {
    rules: Arc<Rules>,
    session: SessionId,
    number: u64,
    name: String,
    folder: PathBuf,
    plan: Plan,
    account: Option<Account>,
    display: u16,
    port: u16,
    events: mpsc::UnboundedSender<Event>,
}

impl Runs {
    pub(super) fn new(rules: Arc<Rules>, events: mpsc::UnboundedSender<Event>) -> Runs {
        let numbers = Numbers::new(rules.settings.first_port, rules.settings.last_port);
        Runs { rules, numbers, tasks: HashMap::new(), events }
    }

    /// Begins a session's processes.
    pub(super) fn start(&mut self, session: SessionId, number: u64, wanted: &Wanted) {
        let ready = self.numbers.take(session).ok_or_else(|| Fault::new("INSUFFICIENT_RESOURCES", "No port is free"));
        match ready.and_then(|port| self.run(session, number, wanted, port)) {
            Ok(run) => self.begin(session, async move { run.whole().await }),
            Err(fault) => {
                let _ = self.events.send(Event::Ended { session, run: number, fault });
            }
        }
    }

    /// Watches what ran before the agent did.
    pub(super) fn watch(&mut self, session: SessionId, number: u64, wanted: &Wanted, seat: &Seat) {
        self.numbers.keep(session, seat.port);
        let life = Life::found(seat.process);
        match self.run(session, number, wanted, seat.port) {
            Ok(run) => self.begin(session, async move { run.rest(life).await }),
            Err(fault) => {
                let _ = self.events.send(Event::Ended { session, run: number, fault });
            }
        }
    }

    /// Ends everything of a session, then says that it is quiet.
    pub(super) fn stop(&mut self, session: SessionId, grace: Duration) {
        let (rules, events, name) = (Arc::clone(&self.rules), self.events.clone(), session.to_string());
        self.begin(session, async move {
            rules.end_all(&name, grace).await;
            let _ = events.send(Event::Quiet { session });
        });
    }

    /// A session has no processes any more: its number is free.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.numbers.give_back(session);
        self.tasks.remove(&session);
    }

    /// A session is over: its folder goes, but for a home that is to stay.
    pub(super) fn clear(&self, session: SessionId, wanted: &Wanted) {
        let (rules, wanted) = (Arc::clone(&self.rules), wanted.clone());
        // A home may have a great many files.
        tokio::task::spawn_blocking(move || homes::clear(&rules.settings, &session.to_string(), &wanted));
    }

    /// The last lines of a session's log.
    pub(super) fn log(&self, session: SessionId, lines: usize) -> Vec<String> {
        log_file::tail(&self.rules.settings.folder(&session.to_string()), lines)
    }

    /// Keeps the logs of these within their size.
    pub(super) fn trim_logs(&self, sessions: impl Iterator<Item = SessionId>) {
        for session in sessions {
            log_file::trim(&self.rules.settings.folder(&session.to_string()), self.rules.settings.log_size);
        }
    }

    /// The one task of a session; the one before it ends.
    fn begin(&mut self, session: SessionId, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(before) = self.tasks.insert(session, tokio::spawn(task).abort_handle()) {
            before.abort();
        }
    }

    fn run(&self, session: SessionId, number: u64, wanted: &Wanted, port: u16) -> Result<Run, Fault> {
        let settings = &self.rules.settings;
        let name = session.to_string();
        let folder = settings.folder(&name);
        let words = plan::Words {
            port,
            home: settings.home(&name, wanted).0.to_string_lossy().into_owned(),
            run: folder.join("run").to_string_lossy().into_owned(),
            session: name.clone(),
            geometry: settings.geometry.clone(),
        };
        let template = settings.template(wanted);
        // What the control plane's users are called chooses among people, and not the operator's own choice.
        let find = if template.user.as_ref().is_some_and(|user| user.contains('{')) {
            machine::persons_account
        } else {
            machine::account
        };
        let mut plan = plan::plan(&template, wanted, &words);
        plan.env.insert(SESSION_VARIABLE.to_owned(), name.clone());
        plan.env.insert(AGENT_VARIABLE.to_owned(), self.rules.agent.clone());
        let account = plan.user.as_deref().map(|user| find(user).ok_or_else(|| no_account(user))).transpose()?;
        homes::prepare(settings, &name, wanted, account.as_ref(), words.display())
            .map_err(|error| Fault::new("START_FAILED", format!("The session's folder: {error}")))?;
        let (rules, events, display) = (Arc::clone(&self.rules), self.events.clone(), words.display());
        Ok(Run { rules, session, number, name, folder, plan, account, display, port, events })
    }
}

fn no_account(user: &str) -> Fault {
    Fault::new("START_FAILED", format!("This host has no account {user:?}"))
}

impl Rules {
    async fn end_all(&self, name: &str, grace: Duration) {
        if grace.is_zero() {
            self.limits.kill(name);
        }
        processes::end_all(&self.agent, name, grace).await;
        self.limits.kill(name);
        self.limits.clear(name);
    }
}

impl Run {
    async fn whole(self) {
        self.rules.end_all(&self.name, Duration::ZERO).await;
        match self.shown().await {
            Ok((seat, life)) => {
                let _ = self.events.send(Event::Ran { session: self.session, run: self.number, seat });
                self.rest(Some(life)).await;
            }
            Err(fault) => self.over(fault).await,
        }
    }

    /// From the screen to the end.
    async fn rest(self, life: Option<Life>) {
        let Some(mut life) = life else { return self.over(died("it ended")).await };
        let how = tokio::select! {
            how = life.end() => how,
            () = self.keep_program() => String::new(),
        };
        self.over(died(&how)).await;
    }

    async fn over(&self, fault: Fault) {
        tracing::info!(session = %self.session, code = %fault.code, error = %fault.error, "a session ended by itself");
        self.rules.end_all(&self.name, REST_TIMEOUT).await;
        let _ = self.events.send(Event::Ended { session: self.session, run: self.number, fault });
    }

    /// Begins what serves the screen, and waits until it does.
    async fn shown(&self) -> Result<(Seat, Life), Fault> {
        let share = Share { memory: self.plan.memory, cpu_millis: self.plan.cpu_millis };
        self.rules.limits.prepare(&self.name, share);
        let child = self.spawn(&self.plan.command, &[]).map_err(|error| {
            let program = self.plan.command.first().map_or("", String::as_str);
            Fault::new("START_FAILED", format!("{program}: {error}"))
        })?;
        let process = child.id().and_then(|pid| machine::process(pid as i32));
        let mut life = Life::Child(child);
        let shown = async {
            while !tunnel::shows(&self.plan.screen, self.plan.banner).await {
                sleep(LOOK_AGAIN).await;
            }
        };
        tokio::select! {
            how = life.end() => Err(Fault::new("START_FAILED", format!("The screen ended before it was there: {how}"))),
            shown = timeout(self.plan.start_timeout, shown) => match (shown, process) {
                (Ok(()), Some(process)) => Ok(process),
                (Ok(()), None) => Err(died("it ended")),
                (Err(_), _) => Err(Fault::new("START_TIMEOUT", "The screen was not there in time")),
            },
        }
        .map(|process| {
            let started_at = iso(super::wall());
            (Seat { process, screen: self.plan.screen.clone(), port: self.port, started_at }, life)
        })
    }

    /// Begins the program on the screen whenever it ends. One that ran before the agent did is waited for first. Without one it never ends.
    async fn keep_program(&self) {
        if self.plan.program.is_empty() {
            return std::future::pending().await;
        }
        let before = processes::program(&self.rules.agent, &self.name).await;
        if let Some(mut life) = before.and_then(Life::found) {
            life.end().await;
        }
        let mut pause = FIRST_PAUSE;
        let display = format!(":{}", self.display);
        let authority = self.folder.join("run/Xauthority").to_string_lossy().into_owned();
        let more = [("DISPLAY", &*display), ("XAUTHORITY", &*authority), (PROGRAM_VARIABLE, "1")];
        loop {
            let begun = Instant::now();
            match self.spawn(&self.plan.program, &more) {
                Ok(child) => drop(Life::Child(child).end().await),
                Err(error) => tracing::warn!(session = %self.session, %error, "the program on a screen cannot be started"),
            }
            pause = if begun.elapsed() < SHORT_RUN { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
            sleep(pause).await;
        }
    }

    fn spawn(&self, command: &[String], more: &[(&str, &str)]) -> std::io::Result<tokio::process::Child> {
        let mut env = self.plan.env.clone();
        env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let birth = Birth {
            command,
            env: &env,
            workdir: self.plan.workdir.as_ref(),
            account: self.account.as_ref(),
            log: log_file::open(&self.folder)?,
        };
        let child = processes::begin(birth)?;
        if let Some(pid) = child.id() {
            let share = Share { memory: self.plan.memory, cpu_millis: self.plan.cpu_millis };
            self.rules.limits.hold(&self.name, pid, share);
        }
        Ok(child)
    }
}

fn died(how: &str) -> Fault {
    Fault::new("SESSION_DIED", format!("The screen ended by itself: {how}"))
}
