//! `homeroom agent`: runs desktops on this machine for a control plane, without containers.
//!
//! What is decided is decided in [`desks`](crate::desks); here are the socket, the processes, the files and the clock, on one thread.

mod cgroup;
mod check;
mod homes;
mod log_file;
mod machine;
mod numbers;
mod processes;
mod runs;
pub mod settings;
mod state;
mod tunnel;
mod wire;

pub use check::check;
pub use settings::{Given, Settings};

use crate::{
    desks::{self, Desks, Effect, Event, Said, Screen, link, orders, speech},
    protocols::labs::{
        ProxyId, SessionId,
        proxy_frames::{self, ProxyFrame},
    },
    realtime::{Moment, UnixMicros},
};
use cgroup::Limits;
use http::HeaderValue;
use runs::{Rules, Runs};
use speech::Capacity;
use state::State;
use std::{
    collections::HashMap,
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::{interval, sleep, timeout},
};
use tokio_tungstenite::tungstenite::Bytes;
use tunnel::Tunnel;
use wire::{Call, Heard, Voice, Wire};

/// Viewers' tunnels at a time. Each has at most half a mebibyte of bytes in it.
const TUNNELS: usize = 1024;
/// How often logs are looked at.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Messages that were read and not yet looked at.
const WAITING_MESSAGES: usize = 64;
/// To say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Runs the agent on this thread until SIGTERM or SIGINT.
///
/// # Errors
/// It could not begin: why, for people.
pub fn run(settings: Settings) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => return Err(error.to_string()),
        };
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        serve(settings, stop).await
    })
}

/// Runs the agent until `stop` is done.
///
/// # Errors
/// As [`run`].
pub async fn serve(settings: Settings, stop: impl Future<Output = ()>) -> Result<(), String> {
    let mut agent = Agent::begin(settings).await?;
    let mut stop = std::pin::pin!(stop);
    let mut logs = interval(LOG_INTERVAL);
    loop {
        let due = agent.due();
        tokio::select! {
            () = &mut stop => break,
            Some(event) = agent.events.recv() => agent.happened(event),
            Some((number, heard)) = agent.heard.recv() => agent.hear(number, heard),
            Some(proxy) = agent.tunnels_over.recv() => drop(agent.tunnels.remove(&proxy)),
            () = due => agent.link(link::Event::TimerFired),
            _ = logs.tick() => agent.runs.trim_logs(agent.desks.sessions()),
        }
    }
    agent.end().await;
    Ok(())
}

struct Agent {
    rules: Arc<Rules>,
    state: State,
    boot: String,
    begun: Instant,
    capacity: Capacity,
    call: Call,
    desks: Desks,
    effects: Vec<Effect>,
    link: link::Link,
    wire: Option<Wire>,
    call_number: u64,
    voice: Option<Voice>,
    runs: Runs,
    events: mpsc::UnboundedReceiver<Event>,
    heard: mpsc::Receiver<(u64, Heard)>,
    hearing: mpsc::Sender<(u64, Heard)>,
    tunnels: HashMap<ProxyId, Tunnel>,
    tunnels_over: mpsc::UnboundedReceiver<ProxyId>,
    tunnel_over: mpsc::UnboundedSender<ProxyId>,
}

impl Agent {
    async fn begin(mut settings: Settings) -> Result<Agent, String> {
        let state = State::open(&settings.data_dir)?;
        settings.data_dir = state.folder().to_owned();
        let (limits, said) = Limits::find(settings.limits)?;
        tracing::info!("{said}");
        let numbers = u32::from(settings.last_port - settings.first_port) + 1;
        let capacity = machine::capacity(settings.max_sessions, numbers);
        let call = call(&settings)?;
        let agent = settings.data_dir.to_string_lossy().into_owned();
        let host =
            speech::Host { agent: settings.id.clone(), region: settings.region.clone(), machine: machine::name(), address: None };
        let rules = desks::Rules { host, max_sessions: capacity.max_sessions, stop_timeout: settings.stop_timeout };
        let boot = machine::boot();
        let record = state.read()?.unwrap_or_default();
        let is_same_boot = record.boot == boot;
        let mut effects = Vec::new();
        let desks = Desks::restored(rules, record, |process| is_same_boot && machine::is_alive(process), &mut effects);
        let (sender, events) = mpsc::unbounded_channel();
        let (hearing, heard) = mpsc::channel(WAITING_MESSAGES);
        let (tunnel_over, tunnels_over) = mpsc::unbounded_channel();
        let rules = Arc::new(Rules { settings, limits, agent });
        let runs = Runs::new(Arc::clone(&rules), sender);
        let begun = Instant::now();
        let mut agent = Agent {
            rules,
            state,
            boot,
            begun,
            capacity,
            call,
            desks,
            effects,
            link: link::Link::new(Moment(0)),
            wire: None,
            call_number: 0,
            voice: None,
            runs,
            events,
            heard,
            hearing,
            tunnels: HashMap::new(),
            tunnels_over,
            tunnel_over,
        };
        agent.end_strays().await;
        agent.act();
        Ok(agent)
    }

    /// Processes of sessions that are at no desk, or do not run there: of an agent that was killed while it started them.
    async fn end_strays(&self) {
        let agent = &self.rules.agent;
        for process in machine::processes_with(&[(machine::AGENT_VARIABLE, agent)]) {
            let Some(session) = machine::variable(process, machine::SESSION_VARIABLE) else { continue };
            let runs = session.parse().is_ok_and(|id: SessionId| self.desks.screen(id).is_some());
            if !runs && machine::is_alive(process) {
                tracing::info!(session, "ending what is left of a session");
                processes::end_all(agent, &session, Duration::ZERO).await;
            }
        }
    }

    fn now(&self) -> Moment {
        Moment(self.begun.elapsed().as_micros() as u64)
    }

    /// Done when the link wants to be looked at.
    fn due(&self) -> impl Future<Output = ()> + use<> {
        let wait = self.link.deadline().map(|deadline| deadline.since(self.now()));
        async move {
            match wait {
                Some(wait) => sleep(wait).await,
                None => pending().await,
            }
        }
    }

    fn happened(&mut self, event: Event) {
        if let Event::Ended { session, .. } | Event::Quiet { session } = event {
            self.runs.forget(session);
        }
        self.desks.handle(event, &mut self.effects);
        self.act();
    }

    /// Does what the desks decided.
    fn act(&mut self) {
        let mut is_changed = false;
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Say(text) => self.say(text),
                Effect::Start { session, run, wanted } => {
                    tracing::info!(%session, template = %wanted.template, "starting a session");
                    self.runs.start(session, run, &wanted);
                }
                Effect::Watch { session, run, wanted, seat } => {
                    tracing::info!(%session, pid = seat.process.pid, "a session ran on while the agent was away");
                    self.runs.watch(session, run, &wanted, &seat);
                }
                Effect::Stop { session, grace } => {
                    tracing::info!(%session, "stopping a session");
                    self.runs.stop(session, grace);
                }
                Effect::Clear { session, wanted } => self.runs.clear(session, &wanted),
                Effect::Keep => is_changed = true,
            }
        }
        if is_changed && let Err(error) = self.state.write(&self.desks.record(&self.boot)) {
            tracing::error!(%error, "the state cannot be written: after a restart sessions will not be found");
        }
    }

    /// Says it to a control plane that knows us. To another it is said when it does.
    fn say(&self, text: String) {
        if let Some(voice) = self.voice.as_ref().filter(|_| self.link.is_up()) {
            voice.say(text);
        }
    }

    fn link(&mut self, event: link::Event) {
        match self.link.handle(event, self.now(), random()) {
            Some(link::Effect::Dial) => {
                self.call_number += 1;
                self.wire = Some(Wire::dial(self.call.clone(), self.call_number, self.hearing.clone()));
            }
            Some(link::Effect::Register) => {
                if let Some(voice) = &self.voice {
                    voice.say(speech::register(self.desks.host(), self.capacity, env!("CARGO_PKG_VERSION")));
                }
            }
            Some(link::Effect::Beat) => {
                self.say(speech::heartbeat(self.desks.host(), self.desks.running(), wall()));
                self.voice.iter().for_each(Voice::ping);
            }
            Some(link::Effect::Drop) => self.lost("no word from the control plane"),
            None => {}
        }
    }

    fn lost(&mut self, why: &str) {
        let wait = self.link.deadline().map(|deadline| deadline.since(self.now())).unwrap_or_default();
        tracing::warn!(server = %self.rules.settings.server, "no connection: {why}; trying again in {:.1} s", wait.as_secs_f64());
        self.tunnels.clear();
        (self.wire, self.voice) = (None, None);
    }

    fn hear(&mut self, number: u64, heard: Heard) {
        if number != self.call_number || self.wire.is_none() {
            return;
        }
        self.link(link::Event::Heard);
        match heard {
            Heard::Opened(voice, address) => {
                self.voice = Some(voice);
                self.desks.set_address(address);
                self.link(link::Event::Opened);
            }
            Heard::Text(text) => self.said(orders::read(&text)),
            Heard::Frame(frame) => self.frame(&frame),
            Heard::Alive => {}
            Heard::Lost(why) => {
                self.link(link::Event::Lost);
                self.lost(&why);
            }
        }
    }

    fn said(&mut self, said: Said) {
        match said {
            Said::Registered { heartbeat_interval } => {
                tracing::info!(server = %self.rules.settings.server, id = %self.rules.settings.id, "registered");
                self.link(link::Event::Registered { heartbeat_interval });
                self.happened(Event::Registered);
            }
            Said::Order(order) => self.happened(Event::Ordered(order)),
            Said::Logs { session, request, tail } => {
                self.say(speech::logs(self.desks.host(), request, &self.runs.log(session, tail)));
            }
            Said::Open { session, proxy } => self.open(session, proxy),
            Said::Data(proxy, bytes) => self.bytes(proxy, bytes.into()),
            Said::Close(proxy) => drop(self.tunnels.remove(&proxy)),
            Said::Complaint(code) => tracing::warn!(code, "the control plane did not understand a message"),
            Said::Nothing => {}
        }
    }

    fn open(&mut self, session: SessionId, proxy: ProxyId) {
        let screen = self.desks.screen(session).cloned();
        let (Some(screen), true) = (screen, self.tunnels.len() < TUNNELS) else {
            self.say(speech::broken(proxy, "The session shows no screen"));
            return self.happened(Event::Missed(session));
        };
        self.tunnel(proxy, screen);
    }

    fn tunnel(&mut self, proxy: ProxyId, screen: Screen) {
        if let Some(voice) = &self.voice {
            self.tunnels.insert(proxy, Tunnel::open(proxy, screen, voice.clone(), self.tunnel_over.clone()));
        }
    }

    fn frame(&mut self, frame: &Bytes) {
        match proxy_frames::read(frame) {
            Some(ProxyFrame::Data(proxy, _)) => self.bytes(proxy, frame.slice(proxy_frames::HEADER_BYTES..)),
            Some(ProxyFrame::Credit(proxy, bytes)) => {
                if let Some(tunnel) = self.tunnels.get(&proxy) {
                    tunnel.add_credit(bytes);
                }
            }
            None => {}
        }
    }

    fn bytes(&mut self, proxy: ProxyId, bytes: Bytes) {
        let is_too_much = self.tunnels.get(&proxy).is_some_and(|tunnel| !tunnel.take(bytes));
        if is_too_much {
            self.tunnels.remove(&proxy);
            self.say(speech::broken(proxy, "More was sent than was given credit for"));
        }
    }

    /// Says goodbye. Sessions go on, or end if they are to.
    async fn end(mut self) {
        if self.rules.settings.stop_sessions_on_exit {
            let grace = self.rules.settings.stop_timeout;
            let ends = self.desks.sessions().map(|session| {
                let rules = Arc::clone(&self.rules);
                tokio::spawn(async move { processes::end_all(&rules.agent, &session.to_string(), grace).await })
            });
            for end in ends.collect::<Vec<_>>() {
                let _ = end.await;
            }
            // Their ends are told, as far as they were noticed.
            while let Ok(event) = self.events.try_recv() {
                self.happened(event);
            }
        }
        let Some(voice) = self.voice.take() else { return };
        voice.close();
        let goodbye = async { while !matches!(self.heard.recv().await, Some((_, Heard::Lost(_))) | None) {} };
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

fn call(settings: &Settings) -> Result<Call, String> {
    let key = match &settings.key_file {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let mut key = HeaderValue::from_str(text.trim()).map_err(|_| format!("{}: no key", path.display()))?;
            key.set_sensitive(true);
            Some(key)
        }
    };
    let region = if settings.region.is_empty() { String::new() } else { format!("&region={}", settings.region) };
    let server = settings.server.trim_end_matches('/');
    Ok(Call { url: format!("{server}/agent/ws?agent_id={}&platform={}{region}", settings.id, speech::PLATFORM), key })
}

fn wall() -> UnixMicros {
    UnixMicros(jiff::Timestamp::now().as_microsecond())
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without chance all wait equally long.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests;
