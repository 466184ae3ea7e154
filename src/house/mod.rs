//! The house put together: settings become rules, shards get their engines, engines their store and bridge, REST its contracts.

mod agents;
mod acts;
mod audit;
pub mod banner;
mod census;
mod certificates;
mod cluster;
pub mod control;
mod desk;
mod documents;
mod door;
mod health;
pub mod herald;
mod key_sets;
mod labs;
mod lately;
mod metrics;
mod process;
mod records;
mod reload;
mod rest;
mod rules;
mod runs;
mod shift;
mod sink;
mod tally;
#[cfg(feature = "otlp")]
mod traces;
#[cfg(not(feature = "otlp"))]
#[path = "untraced.rs"]
mod traces;
mod upgrade;
mod vitals;

pub use certificates::{SOON as CERTIFICATE_SOON, look as look_at_certificates};
pub use cluster::{ClusterFault, access, await_records};
pub use key_sets::{faulty as faulty_key_sets, told as told_key_sets};
pub use labs::FirstPassword;
pub use records::database;
pub use reload::Rereading;
pub use rules::{Fault, House, algorithm, key_of, users_key};
pub use upgrade::Heir;

use crate::{
    bridge::Bridge,
    cluster::intake,
    config::{Bind, Settings},
    engine::{
        Answer, Birth, Engine, Limits, Seats,
        door::{Address, Door},
        port::Listener,
    },
    http::{Beginning, Stopper, Stream, serve},
    nats::Letters,
    observe::{self, audit::Audit},
    protocols::{
        chat::record::Sweep,
        labs::record::Loaded as Labs,
        tasks::{Health, record::Loaded as Tasks},
    },
    realtime::{NodeSlot, ShardId, StoreFault},
    runtime::{self, BootFault, Brought, Clock, Furnishing, Phase, Place, Plan, Porch, RingSizes, Seat, StopSignals, StopTimes},
    services::{PasswordFault, Passwords},
    store::{postgres, sqlite},
};
use acts::Acts;
use cluster::{Company, Watch};
use desk::Desk;
use glommio::net::TcpStream;
use reload::{Keeper, Told};
use rest::{Counter, Rest};
use shift::{Asked, Home, Passage, Shift};
use sink::ShardSink;
use std::{
    cell::RefCell,
    fmt, io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::mpsc;
use upgrade::Upgrade;
use vitals::{Endpoints, Vitals};

/// For the goodbyes to leave after the drain.
const GOODBYE: Duration = Duration::from_secs(2);
/// For the records to reach the disk after the last goodbye.
const LAST_FLUSH: Duration = Duration::from_secs(10);
/// The same where nothing can be written any more: others have buried this node.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Why the house did not open, or closed.
#[derive(Debug)]
pub enum HouseFault {
    /// Keys, issuers or permission services: every fault, a line each.
    Rules(Vec<Fault>),
    /// The records.
    Store(sqlite::OpenFault),
    /// The records, where they are in PostgreSQL.
    Database(postgres::OpenFault),
    /// The way to other nodes.
    Cluster(ClusterFault),
    /// The others took this node for dead: it has ended its connections, and is to begin anew.
    Fenced,
    /// The records were opened, but those of quizzes could not be read.
    Quizzes(StoreFault),
    /// The records were opened, but those of labs could not be read, or what they begin with not be written.
    Labs(StoreFault),
    /// The records were opened, but what chat had not finished could not be ended.
    Chat(StoreFault),
    /// The records were opened, but those of tasks could not be read.
    Tasks(StoreFault),
    /// The first admin has no password.
    Password(PasswordFault),
    /// Threads, sockets, rings.
    Boot(BootFault),
    /// A thread beside the shards.
    System(io::Error),
    /// The former process has left nothing that can be taken.
    NothingLeft(String),
    /// No other process serves in place of this one, whose shards have ended.
    Upgrade(String),
    /// Records were still on their way to the disk when the time for it was over.
    Unflushed,
}

impl fmt::Display for HouseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HouseFault::Rules(faults) => faults.iter().try_for_each(|fault| writeln!(f, "{fault}")),
            HouseFault::Store(fault) => fault.fmt(f),
            HouseFault::Database(fault) => fault.fmt(f),
            HouseFault::Cluster(fault) => fault.fmt(f),
            HouseFault::Fenced => f.write_str("the other nodes took this one for dead"),
            HouseFault::Quizzes(StoreFault::Busy) => {
                f.write_str("another process holds the records, so the quizzes cannot be read")
            }
            HouseFault::Quizzes(StoreFault::Failed) => f.write_str("the records of quizzes cannot be read"),
            HouseFault::Labs(StoreFault::Busy) => {
                f.write_str("another process holds the records, so those of labs cannot be read")
            }
            HouseFault::Labs(StoreFault::Failed) => {
                f.write_str("the records of labs cannot be read or written: is the disk full?")
            }
            HouseFault::Chat(StoreFault::Busy) => {
                f.write_str("another process holds the records, so those of chat cannot be written")
            }
            HouseFault::Chat(StoreFault::Failed) => {
                f.write_str("the records of chat cannot be read or written: is the disk full?")
            }
            HouseFault::Tasks(StoreFault::Busy) => f.write_str("another process holds the records, so the tasks cannot be read"),
            HouseFault::Tasks(StoreFault::Failed) => f.write_str("the records of tasks cannot be read"),
            HouseFault::Password(fault) => write!(f, "the first admin of labs: {fault}"),
            HouseFault::Boot(fault) => fault.fmt(f),
            HouseFault::System(fault) => write!(f, "a thread could not be started: {fault}"),
            HouseFault::NothingLeft(why) => write!(f, "what the former process leaves cannot be taken over: {why}"),
            HouseFault::Upgrade(why) => write!(f, "no other process has taken over, and this one has ended: {why}"),
            HouseFault::Unflushed => {
                f.write_str("stopped, but not all records reached the disk; the next start ends those sessions")
            }
        }
    }
}

impl std::error::Error for HouseFault {}

/// What is told once everything listens.
pub struct Opened<'a> {
    /// What is served.
    pub house: &'a House,
    /// Where, listener by listener.
    pub addresses: &'a [Bind],
    /// The password of labs' first admin, when this start made it. Nothing else has it.
    pub first_password: Option<FirstPassword>,
    /// Whether one may sign in with the first admin's email.
    pub has_first_admin: bool,
    /// Where it is in its life, from now on.
    pub life: herald::Life,
}

/// Serves until one of the `signals`, with what a former process has left, where there is one. `opened` is called once everything listens.
pub fn serve_until_stopped(
    settings: &Settings,
    signals: &StopSignals,
    (rereading, heir): (Rereading, Option<Heir>),
    opened: impl FnOnce(Opened<'_>),
) -> Result<(), HouseFault> {
    let house = Arc::new(House::new(settings).map_err(HouseFault::Rules)?);
    let (audit, audit_writer) = opened_audit(settings)?;
    let exporting = traces::start(settings)?;
    let sink = ShardSink::default();
    let shards = house.shards();
    let (bridge, _bridge_thread) = Bridge::start().map_err(HouseFault::System)?;
    let access = access(&settings.cluster).map_err(ClusterFault::Secret).map_err(HouseFault::Cluster)?;
    access.iter().try_for_each(|access| cluster::await_bus(access, &bridge)).map_err(HouseFault::Cluster)?;
    let keeping = house.key_sets.begin(&bridge);
    let facts = upgrade::facts(&house);
    let left = heir.as_ref().map(|heir| heir.await_left(&facts)).transpose()?;
    let is_heir = left.is_some();
    let sessions = left.as_ref().map(upgrade::Left::sessions).unwrap_or_default();
    let store = records::open(settings, shards, sessions, Box::new(sink.clone()))?;
    let joined = cluster::join(settings, access, &*store).map_err(HouseFault::Cluster)?;
    let plan = Plan {
        shards,
        listeners: places(&house).map_err(|fault| HouseFault::Rules(vec![fault]))?,
        ring: RingSizes::default(),
        node: joined.as_ref().map(|joined| (joined.node.slot, joined.ring.clone())),
    };
    let node = joined.as_ref().map_or(NodeSlot::default(), |joined| joined.node.slot);
    let ring = joined.as_ref().map_or_else(|| house.ring.clone(), |joined| joined.alone.clone());
    let counts = joined.as_ref().map(|joined| joined.counts.clone());
    let bereaved = joined.as_ref().and_then(|joined| joined.bereaved.clone());
    let (tell_heard, heard) = mpsc::channel(intake::WAITING);
    // The password of the first admin is told by the start that makes it: that one shall be able to serve.
    if !is_heir {
        runtime::probe_listeners(&plan).map_err(HouseFault::Boot)?;
    }
    let line = joined.as_ref().map(|joined| joined.connect(&bridge)).transpose().map_err(HouseFault::Cluster)?;
    let kept_keys = store.keys().map_err(HouseFault::Quizzes)?;
    let passwords_set = store.accounts().map_err(HouseFault::Quizzes)?;
    // Among several nodes a shard knows only when it has reached a view which quizzes are its own.
    let running_quizzes = if joined.is_some() { Vec::new() } else { store.running().map_err(HouseFault::Quizzes)? };
    let beginning = labs::begin(&*store, settings, Clock::started_now().now().wall)?;
    let labs::Beginning { loaded, revoked, first_password, has_first_admin } = beginning;
    // Where the registry is, and when it reads what it must know, views tell one of several nodes.
    let loaded =
        if joined.is_some() { Arc::new(Labs { standings: loaded.standings.clone(), ..Labs::default() }) } else { loaded };
    let broken_off = store.sweep_chat(Sweep { at: Clock::started_now().now().wall }).map_err(HouseFault::Chat)?;
    if broken_off > 0 {
        tracing::info!(answers = broken_off, "answers that the last stop broke off are marked as incomplete");
    }
    // Where there are other nodes, shards look for it when all have reached a view.
    let unfinished = if joined.is_some() { Ok(Tasks::default()) } else { store.load_tasks() }.map_err(HouseFault::Tasks)?;
    let vitals = Vitals::new(store.clone()).with_bus(counts.clone());
    let vitals = Arc::new(vitals.with_engines(&house.counters));
    let looked_at = vitals.clone();
    let passwords = Passwords::start().map_err(HouseFault::System)?;
    let (stopper, stop) = Stopper::new();
    let stopper = Arc::new(stopper);
    let connections = (rereading.connections)(settings);
    let door = door::door(settings, connections, shards, house.seed);
    let limits = limits(settings, Seats::new(connections), door);
    let documents: Arc<[_]> = house.listeners.iter().map(documents::documents).collect();
    let moves = reload::moves(shards);
    let (readings, askers) = reload::readings();
    let (status_interval, drain) = (settings.tasks.status_interval, settings.stop.drain);
    let is_own_stop = acts::OwnStop::default();
    let own_stop = is_own_stop.clone();
    let (beside, keeper) = (bridge.clone(), bridge.clone());
    let audit_kept = audit.clone();
    let carries = joined.is_none();
    let (legacies, heritage) = left.map(|left| left.deal(&ring)).unzip();
    let furnish = {
        let (house, store, sink, moves, limits) = (house.clone(), store.clone(), sink.clone(), moves.clone(), limits.clone());
        move |seat: Seat<Answer>| {
            sink.connect(&seat.post);
            let birth = Birth { id: seat.id, start: seat.clock.moment(), seed: house.seed };
            let counters = house.counters[seat.id.index()].clone();
            let mut engine = Engine::new(birth, ring.clone(), limits.clone(), house.rules.clone(), counters);
            engine.begin_traces(observe::traces::sampler(), house.seed);
            observe::traces::on_shard(seat.id.local());
            engine.begin_accounts(&passwords_set);
            engine.begin(&kept_keys, &running_quizzes, seat.clock.now());
            engine.begin_labs(&loaded, &revoked, seat.clock.now());
            engine.begin_tasks(&unfinished, seat.clock.now());
            if seat.id.local() == 0 {
                bereaved.iter().for_each(|(node, loss)| engine.mourn(*node, loss.clone()));
                bridge.run(watch((&vitals, &house.endpoints), &seat, status_interval));
                bridge.run(health::watch(vitals.clone(), seat.stage.clone()));
            }
            let asked = Asked {
                store: store.clone(),
                bridge: bridge.clone(),
                services: house.services.clone(),
                outside: house.outside.clone(),
                post: seat.post.clone(),
                cluster: counts.clone(),
                heard: tell_heard.clone(),
                stopper: stopper.clone(),
                moves: moves.clone(),
                audit: audit.clone(),
            };
            let (desk_post, desk_stage) = (seat.post.clone(), seat.stage.clone());
            let legacy = legacies.as_ref().and_then(|legacies: &upgrade::Legacies| legacies[seat.id.index()].pop());
            let passage = Passage { carries, legacy };
            let home = Home { house: house.clone(), limits: limits.clone() };
            let home = Rc::new(RefCell::new(home));
            let engine = Rc::new(RefCell::new(Shift::new(engine, (seat.id, passage), asked, home.clone())));
            let rest = Rest {
                shift: engine.clone(),
                nudge: seat.nudge,
                clock: seat.clock,
                stage: seat.stage,
                house: house.clone(),
                store: store.clone(),
                bridge: bridge.clone(),
                passwords: passwords.clone(),
                vitals: vitals.clone(),
                cluster: counts.clone(),
                places: rest::places(&house.listeners, &seat.addresses, &house.origins),
                audit: audit.clone(),
                desk: Desk {
                    post: desk_post,
                    bridge: bridge.clone(),
                    node,
                    shards,
                    stage: desk_stage,
                    readings: readings.clone(),
                    drain,
                    is_own_stop: own_stop.clone(),
                },
                started_at: seat.clock.now().wall,
            };
            let counter = RefCell::new(Counter::new(rest, documents.clone(), door::http(&limits.door), stop.clone()));
            let rules = house.rules.clone();
            let on_handoff = Rc::new(move |stream: TcpStream, handoff: crate::engine::Handoff, brought: Brought| {
                let Listener(index) = handoff.listener;
                // An HTTP connection is a connection too: without a seat the limit would not hold for those that only speak HTTP.
                let client = brought.client.or_else(|| stream.peer_addr().ok().map(|peer| peer.ip()));
                let from = client.map_or(Address::UNKNOWN, runtime::address);
                let entrance = rules.entrances.get(usize::from(index));
                let home = home.borrow();
                let (seats, door) = (&home.limits.seats, &home.limits.door);
                let seat = entrance.and_then(|entrance| seats.hold_for(entrance, door, from));
                let mut known = http::Extensions::new();
                handoff.refused.and_then(|denial| known.insert(denial));
                // What a connection begins with it keeps.
                let (app, table) = counter.borrow_mut().serving(&home, index);
                let Brought { sealed, client } = brought;
                let beginning = Beginning { head: handoff.head, known, client };
                let served = seat.is_some().then(|| serve(Stream::new(stream, sealed), beginning, table, app));
                Box::pin(async move {
                    let _seat = seat;
                    if let Some(served) = served {
                        served.await;
                    }
                }) as std::pin::Pin<Box<dyn Future<Output = ()>>>
            });
            Furnishing { engine, on_handoff }
        }
    };
    let mut running = runtime::start_from(&plan, heritage, furnish).map_err(HouseFault::Boot)?;
    let fenced = Arc::<AtomicBool>::default();
    let company = joined.zip(line).zip(running.take_gate()).map(|((joined, line), gate)| {
        let (stage, clock, post) = (running.stage().clone(), running.clock(), running.post().clone());
        let watch = Watch { bridge: beside, store: store.clone(), stage, clock, post, shards, fenced: fenced.clone() };
        joined.begin(line, (gate, Letters::default()), (watch, heard))
    });
    house.certificates.tell(running.clock().now().wall);
    let acts = Acts::new(&audit_kept, running.clock(), &is_own_stop);
    let told = Told {
        acts: acts.clone(),
        stage: running.stage().clone(),
        post: running.post().clone(),
        node,
        moves,
        limits,
        store: store.clone(),
        audit: audit_kept.clone(),
        vitals: looked_at,
    };
    let (kept, certificates) = (settings.clone(), house.certificates.clone());
    Keeper { rereading, settings: kept, house: house.clone(), certificates, keeping, told }.keep(
        &keeper,
        signals.reload(),
        askers,
    );
    let stops = acts.clone();
    signals.on_stop(move || stops.stopped_by_signal());
    running.stop_on(signals, StopTimes { drain: settings.stop.drain, goodbye: GOODBYE });
    let upgrade = Arc::new(Upgrade::new(running.stage(), facts));
    let (begins, told) = (upgrade.clone(), acts.clone());
    signals.on_upgrade(move || begins.begin_aside(told.clone()));
    if let Err(fault) = control::listen(&settings.data_dir, running.stage(), &upgrade, &acts) {
        tracing::warn!(%fault, "no orders can be given by commands on this machine (control.sock)");
    }
    tracing::info!(shards, "serving");
    let life = herald::Life { stage: running.stage().clone(), fenced: fenced.clone() };
    heir.iter().for_each(Heir::ready);
    opened(Opened { house: &house, addresses: running.addresses(), first_password, has_first_admin, life });
    let stage = running.stage().clone();
    let ended = running.join().map_err(HouseFault::Boot);
    company.into_iter().for_each(Company::leave);
    let is_fenced = fenced.load(Ordering::Relaxed);
    if carries && upgrade.has_left() {
        store.lease().leave_to_heir();
    }
    let flushed = store.stop(if is_fenced { LAST_LOOK } else { LAST_FLUSH }).map_err(|_| HouseFault::Unflushed);
    audit_kept.end(audit_writer);
    let outcome = if is_fenced { Err(HouseFault::Fenced) } else { ended.and(flushed).and(upgrade.conclude()) };
    exporting.end(&stage);
    tracing::info!("stopped");
    outcome
}

/// The audit log, with its writer.
fn opened_audit(settings: &Settings) -> Result<(Audit, JoinHandle<()>), HouseFault> {
    let (audit, writer) = Audit::start().map_err(HouseFault::System)?;
    let refused = |error| HouseFault::Rules(vec![Fault::new(format!("audit.file cannot be opened: {error}"))]);
    audit.go_on(observe::audit::open(settings.audit.file.as_deref()).map_err(refused)?);
    Ok((audit, writer))
}

/// Where is listened, and what stands before each listener.
fn places(house: &House) -> Result<Vec<Place>, Fault> {
    let servers = house.certificates.servers()?;
    let place = |(listener, tls): (&crate::config::Listener, &Option<_>)| Place {
        bind: listener.bind.clone(),
        porch: Porch { tls: tls.clone(), proxy: Arc::new(listener.proxy.clone()) },
    };
    Ok(house.listeners.iter().zip(&*servers).map(place).collect())
}

/// Watches how the house is, and tells every shard what has changed.
fn watch(
    (vitals, endpoints): (&Arc<Vitals>, &Arc<Endpoints>),
    seat: &Seat<Answer>,
    every: Duration,
) -> impl Future<Output = ()> + Send + 'static {
    let watched = (vitals.clone(), endpoints.clone());
    let (stage, post, shards) = (seat.stage.clone(), seat.post.clone(), seat.shards);
    let node = seat.id.node();
    let serving = stage.clone();
    let tell = move |health: Health| {
        if serving.phase() == Phase::Serving {
            vitals::log(&health);
        }
        (0..shards).for_each(|local| post.post(ShardId::of(node, local as u8), [Answer::Health(health.clone())]));
    };
    vitals::watch(watched, move || stage.phase(), every, tell)
}

fn limits(settings: &Settings, seats: Seats, door: Door) -> Limits {
    let message = settings.websocket.max_message.bytes();
    // Every character escaped as \u and four digits, files in base64, and what stands around them.
    let said = settings.chat.max_content * 6 + settings.chat.max_attachment.bytes() / 3 * 4 + message;
    let asked = settings.tasks.max_message.bytes();
    Limits {
        seats,
        door,
        handshake_timeout: settings.websocket.handshake_timeout,
        close_timeout: settings.websocket.close_timeout,
        outbox_bytes: settings.websocket.outbox.bytes(),
        owner_outbox_bytes: settings.quiz.outbox.bytes(),
        // An answer that runs is told whole to one who comes late, and may double as JSON.
        chat_outbox_bytes: settings.websocket.outbox.bytes() + 2 * settings.chat.max_answer.bytes(),
        chat_websocket: crate::websocket::Limits { frame: said, message: said },
        // As JSON a result may be six times as long, and what else happens comes behind it.
        tasks_outbox_bytes: settings.websocket.outbox.bytes() + 8 * settings.tasks.max_output.bytes(),
        tasks_websocket: crate::websocket::Limits { frame: asked, message: asked },
        audit: settings.audit.file.is_some(),
        websocket: crate::websocket::Limits { frame: message, message },
        ..Limits::default()
    }
}
