//! The world around the engines: what may happen in a run, when all must come to rest, and what must then be so. All of it obeys the dice.

use crate::{
    clients::{Client, EPOCH, SECRET, user_key},
    dice::Dice,
    faults::Fault,
    model::{Model, Tally},
    outside::{Asked, RestAsk},
    quiz::{asks::QuizAsk, clients::session_key, sockets::Quizzes, store::Outside},
};
use homeroom::{
    auth::{Algorithm, Authority, CallerKey, Issuer, Permissions, Rule, Secret, ServiceId},
    engine::{Birth, Counters, Engine, Entrance, Letter, Limits, Output, Rules, Seats, SocketApi},
    protocols::{
        chat, labs,
        presence::{SessionError, Settings},
        quiz::{self, Denial, model::Reason},
    },
    realtime::{ClassroomId, ConnId, HashRing, Moment, Now, ShardId},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    env,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// How many events are told before a failure, where SIMULATE_STORY does not say.
const STORY: usize = 200;
/// Longer than every time-out of the engine, so that whoever is to be ended is.
const QUIET: Duration = Duration::from_secs(50);
/// Longer than a quiz that nobody needs stays in memory.
const IDLE: Duration = Duration::from_secs(70);

/// What is drawn once for a run.
pub(crate) struct Plan {
    pub(crate) rooms: Vec<ClassroomId>,
    pub(crate) seats: usize,
    pub(crate) clients: usize,
    pub(crate) outbox_bytes: usize,
    pub(crate) coalesce_above: usize,
    /// Of a snapshot.
    pub(crate) rows: usize,
    /// Of a hundred answers of the store: busy, failed.
    pub(crate) busy: usize,
    pub(crate) failed: usize,
    /// Of a hundred turns: how many take in more than one input.
    pub(crate) long_turns: usize,
    /// Of a hundred ticks that are due: how many come late.
    pub(crate) late_ticks: usize,
    /// Weights of the actions, in their order.
    pub(crate) weights: [usize; 11],
    pub(crate) quizzes: usize,
    /// Of a thousand steps: how many end the process, and a new one begins.
    pub(crate) restarts: usize,
}

fn weight_of(dice: &mut Dice, usual: usize) -> usize {
    if dice.percent(20) { usual * 4 } else { usual }
}

impl Plan {
    fn new(dice: &mut Dice) -> Plan {
        let mut weight = |usual| weight_of(dice, usual);
        let weights = [weight(10), weight(40), weight(24), weight(14), weight(12), weight(8), weight(16), weight(3), weight(8)];
        let quizzes = if dice.percent(60) { dice.between(1, 3) } else { 0 };
        let quiz_weights = if quizzes > 0 { [weight_of(dice, 20), weight_of(dice, 24)] } else { [0, 0] };
        let faulty = dice.percent(50);
        Plan {
            rooms: (0..dice.between(1, 3)).map(|_| ClassroomId::from_u64_pair(dice.number(), dice.number())).collect(),
            seats: if dice.percent(10) { 5 } else { 1000 },
            clients: dice.between(4, 24),
            outbox_bytes: *dice.pick(&[600, 1_500, 5_000, 256 << 10]),
            coalesce_above: *dice.pick(&[0, 1, 3, 100, 100]),
            rows: *dice.pick(&[2, 5, 200]),
            busy: if faulty { dice.below(30) } else { 0 },
            failed: if faulty { dice.below(30) } else { 0 },
            long_turns: *dice.pick(&[0, 20, 60]),
            late_ticks: *dice.pick(&[0, 10, 50]),
            weights: std::array::from_fn(|at| weights.get(at).copied().unwrap_or_else(|| quiz_weights[at - weights.len()])),
            quizzes,
            restarts: *dice.pick(&[0, 0, 0, 4]),
        }
    }
}

pub(crate) struct Shard {
    pub(crate) engine: Engine,
    pub(crate) counters: Arc<Counters>,
    /// Something was fed since its last turn.
    pub(crate) fed: bool,
    /// It was woken for letters.
    pub(crate) woken: bool,
    /// What a faulty shell carries out too late.
    pub(crate) late: Vec<Output>,
}

/// Everything.
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) model: Model,
    /// The last events in words, when somebody wants to read them.
    pub(crate) story: Option<VecDeque<String>>,
    pub(crate) plan: Plan,
    pub(crate) fault: Option<Fault>,
    pub(crate) now: Now,
    pub(crate) ring: Arc<HashRing>,
    pub(crate) shards: Vec<Shard>,
    /// Letters under way from one shard to another, by `from * shards + to`.
    pub(crate) mesh: Vec<VecDeque<Letter>>,
    pub(crate) clients: BTreeMap<ConnId, Client>,
    /// Connections that the engine has let go and whose sockets the shell has not yet closed.
    pub(crate) leaving: Vec<ConnId>,
    pub(crate) questions: Vec<Asked>,
    pub(crate) last_session: i64,
    pub(crate) rest: Vec<RestAsk>,
    /// What is outside the engines and of the quizzes.
    pub(crate) quiz: Outside,
    pub(crate) quiz_asks: Vec<QuizAsk>,
    /// A letter that a faulty transport brings once more.
    pub(crate) twice: Option<Letter>,
    rules: Arc<Rules>,
    /// What shards had counted that are no more.
    counted: BTreeMap<String, u64>,
    restarts: u64,
    seed: u64,
    pub(crate) last_published: u64,
    /// The shards that a publication went to, while somebody watches.
    pub(crate) published_to: Option<BTreeSet<usize>>,
    pub(crate) closed: bool,
}

/// How many events are told before a failure.
pub(crate) fn story_length() -> usize {
    static LENGTH: OnceLock<usize> = OnceLock::new();
    *LENGTH.get_or_init(|| env::var("SIMULATE_STORY").ok().and_then(|length| length.parse().ok()).unwrap_or(STORY))
}

macro_rules! note {
    ($world:expr, $($words:tt)*) => {
        if let Some(story) = &mut $world.story {
            if story.len() >= $crate::world::story_length() {
                story.pop_front();
            }
            story.push_back(format!("{:>9.3}s  {}", $world.now.moment.0 as f64 / 1e6, format!($($words)*)));
        }
    };
}
pub(crate) use note;

impl World {
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> World {
        let mut dice = Dice::new(seed);
        let plan = Plan::new(&mut dice);
        let shards = dice.between(1, 4);
        let ring = Arc::new(HashRing::new(shards as u16));
        let (quiz, all) = Outside::new(&mut dice, plan.quizzes, shards);
        let homes = all.iter().map(|own| (own.id, ring.home(&own.id.place()).index())).collect();
        let quizzes =
            Quizzes { all, homes, rows: plan.rows, faulty: plan.busy + plan.failed > 0, now: EPOCH, ..Quizzes::default() };
        let rules = Arc::new(rules(&plan));
        let mut world = World {
            model: Model { quizzes, outbox_bytes: plan.outbox_bytes, ..Model::default() },
            shards: Vec::new(),
            mesh: (0..shards * shards).map(|_| VecDeque::new()).collect(),
            now: Now { moment: Moment(0), wall: EPOCH },
            story: None,
            clients: BTreeMap::new(),
            leaving: Vec::new(),
            questions: Vec::new(),
            last_session: 0,
            rest: Vec::new(),
            quiz,
            quiz_asks: Vec::new(),
            twice: None,
            rules,
            counted: BTreeMap::new(),
            restarts: 0,
            seed,
            last_published: 0,
            published_to: None,
            closed: false,
            dice,
            plan,
            fault,
            ring,
        };
        world.begin(shards);
        world
    }

    /// The process begins: so many shards with nobody on them.
    fn begin(&mut self, shards: usize) {
        let limits = Limits {
            seats: Seats::new(self.plan.seats),
            outbox_bytes: self.plan.outbox_bytes,
            owner_outbox_bytes: self.plan.outbox_bytes,
            ..Limits::default()
        };
        let now = self.now;
        let shard = |id: usize| {
            let birth = Birth { id: ShardId(id as u16), start: now.moment, seed: self.seed };
            let counters = Arc::new(Counters::default());
            let engine = Engine::new(birth, self.ring.clone(), limits.clone(), self.rules.clone(), counters.clone());
            Shard { engine, counters, fed: false, woken: false, late: Vec::new() }
        };
        self.shards = (0..shards).map(shard).collect();
        self.model.tallies = (0..shards).map(|_| Tally { turned: now.moment, ..Tally::default() }).collect();
        let (keys, running) = self.quiz.kept();
        for shard in 0..shards {
            self.feed(shard).begin(&keys, &running, now);
        }
    }

    /// The process ends without a word, and another begins with what is on disk.
    fn restart(&mut self) {
        note!(self, "the process ends, and begins anew");
        self.counted = self.reached().into_iter().collect();
        self.restarts += 1;
        let pause = Duration::from_millis(self.dice.below(60_000) as u64);
        self.now.moment = self.now.moment + pause;
        self.now.wall.0 += pause.as_micros() as i64;
        self.mesh.iter_mut().for_each(VecDeque::clear);
        self.clients.clear();
        self.leaving.clear();
        self.questions.clear();
        self.rest.clear();
        self.quiz_asks.clear();
        self.twice = None;
        self.quiz.restart();
        self.model.restart(self.now.wall);
        self.begin(self.shards.len());
    }

    /// What was reached, by name: so that a thousand runs can be asked whether they saw everything.
    pub(crate) fn reached(&self) -> Vec<(String, u64)> {
        let sum = |of: &dyn Fn(&Counters) -> u64| self.shards.iter().map(|shard| of(&shard.counters)).sum::<u64>();
        let mut reached = vec![
            ("refused".into(), sum(&|counters| counters.refused.read())),
            ("handed off".into(), sum(&|counters| counters.handed_off.read())),
            ("connect_success".into(), sum(&|counters| counters.presence_success.read())),
            ("protocol errors".into(), sum(&|counters| counters.protocol_errors.read())),
            ("delivered".into(), sum(&|counters| counters.delivered.read())),
            ("dropped, slow".into(), sum(&|counters| counters.dropped_slow.read())),
            ("dropped, gone".into(), sum(&|counters| counters.dropped_gone.read())),
            ("superseded".into(), sum(&|counters| counters.superseded.read())),
            ("slow readers".into(), sum(&|counters| counters.slow_readers.read())),
        ];
        for error in SessionError::ALL {
            // What only several nodes can say to each other.
            if !matches!(error, SessionError::MessagingFailed | SessionError::CloseOldConnectionFailed) {
                reached.push((error.wire().0.into(), sum(&|counters| counters.presence_errors[error.index()].read())));
            }
        }
        let quizzes = &self.model.quizzes;
        reached.push(("answers".into(), sum(&|counters| counters.quiz_answers.read())));
        for (place, denial) in Denial::ALL.iter().enumerate() {
            reached.push((format!("{denial:?}"), sum(&|counters| counters.quiz_denials[place].read())));
        }
        for (name, count) in &mut reached {
            *count += self.counted.get(name).copied().unwrap_or(0);
        }
        let ended =
            |reason| quizzes.disk.attempts.values().filter(|own| own.closed.is_some_and(|end| end.reason == reason)).count();
        reached.extend([
            ("changes of a tick".into(), self.model.coalesced),
            ("snapshots".into(), quizzes.snapshots),
            ("farewells".into(), quizzes.farewells),
            ("restarts".into(), self.restarts),
            ("submitted".into(), ended(Reason::Submitted) as u64),
            ("time up".into(), ended(Reason::TimeUp) as u64),
            ("forced".into(), ended(Reason::ForcedByOwner) as u64),
        ]);
        reached
    }

    /// A whole run: anything may happen, now and then all comes to rest, at the end everybody leaves.
    pub(crate) fn run(&mut self) {
        let steps = self.dice.between(150, 500);
        for step in 0..steps {
            self.step();
            if self.dice.below(1_000) < self.plan.restarts {
                self.restart();
            }
            if step % 150 == 149 {
                self.come_to_rest();
            }
        }
        if self.dice.percent(30) {
            self.stop();
        }
        self.come_to_rest();
        self.everybody_leaves();
    }

    fn step(&mut self) {
        match self.dice.weighted(&self.plan.weights) {
            0 => self.connect(),
            1 => self.speak(),
            2 => self.deliver_some(),
            3 => self.finish_a_send(),
            4 => self.answer_one(),
            5 => self.let_time_pass(),
            6 => self.ask_something(),
            7 => self.end_one(),
            8 => self.release_one(),
            9 => self.ask_of_quiz(),
            _ => self.move_records(),
        }
        self.poll_asks();
        self.poll_quiz_asks();
        let lazy = self.plan.long_turns;
        for shard in 0..self.shards.len() {
            if self.shards[shard].fed && !self.dice.percent(lazy) {
                self.turn(shard);
            }
        }
    }

    /// Lets all that is under way arrive, until nothing moves.
    pub(crate) fn calm(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for shard in 0..self.shards.len() {
                while self.shards[shard].fed {
                    self.turn(shard);
                    moved = true;
                }
                while self.shards[shard].woken {
                    (0..self.shards.len()).for_each(|from| while self.deliver(from, shard) {});
                    self.shards[shard].woken = false;
                    moved = true;
                }
            }
            while !self.questions.is_empty() {
                let fate = self.dice.between(60, 99);
                self.answer(0, fate);
                moved = true;
            }
            let waiting: Vec<ConnId> = self.in_flight().filter(|conn| !self.leaving.contains(conn)).collect();
            for conn in waiting {
                self.finish_send(conn, true);
                moved = true;
            }
            while !self.leaving.is_empty() {
                self.release(0, false);
                moved = true;
            }
            moved |= self.calm_store();
            moved |= self.clients_react();
            if !moved {
                self.poll_asks();
                return self.poll_quiz_asks();
            }
        }
        panic!("the world does not come to rest");
    }

    /// Those who answer Pings do; those who are polite end when the server has ended.
    fn clients_react(&mut self) -> bool {
        let mut moved = false;
        for conn in self.clients.keys().copied().collect::<Vec<_>>() {
            let half_closed = self.model.conn(conn).half_closed;
            let Some(client) = self.clients.get_mut(&conn).filter(|client| !client.ended) else { continue };
            if half_closed && client.polite {
                self.end(conn);
                moved = true;
            } else if client.pongs && client.has_words() {
                let (bytes, meanings) = client.speak_all();
                self.hear(conn, &bytes, &meanings);
                moved = true;
            }
        }
        moved
    }

    /// Lets time pass, in steps no longer than what is due, and all arrive.
    pub(crate) fn pass_quietly(&mut self, time: Duration) {
        let end = self.now.moment + time;
        while self.now.moment < end {
            let due = self.shards.iter().filter_map(|shard| shard.engine.next_deadline()).min().unwrap_or(end);
            let next = due.max(self.now.moment + Duration::from_millis(1)).min(end);
            let time = next.since(self.now.moment);
            self.pass(time, 0);
            self.calm();
        }
    }

    /// Lets time pass until whoever is to be ended is, and checks that what is left adds up exactly.
    fn come_to_rest(&mut self) {
        note!(self, "all comes to rest");
        self.calm();
        self.pass_quietly(QUIET);
        self.model.quizzes.unread = false;
        self.publish_to_all();
        self.probe_quizzes();
        let shards: Vec<(usize, &Counters)> = self.shards.iter().map(|shard| &*shard.counters).enumerate().collect();
        self.model.check_quiet(&shards, |room| self.home(room), self.now.moment);
        self.model.check_quiet_quizzes(self.now.moment);
        assert!(self.quiz_asks.is_empty(), "asks of quizzes were never answered");
        self.check_disk();
        self.check_lists();
        self.model.remember();
    }

    /// The process stops: drain, and some steps later close.
    fn stop(&mut self) {
        note!(self, "drain");
        let now = self.now;
        for shard in 0..self.shards.len() {
            self.turn(shard);
            self.feed(shard).drain(now);
            self.turn(shard);
        }
        if self.fault.is_none() {
            self.model.check_drained();
        }
        (0..self.dice.below(40)).for_each(|_| self.step());
        note!(self, "close");
        self.model.quizzes.faulty = true;
        let now = self.now;
        for shard in 0..self.shards.len() {
            self.turn(shard);
            self.feed(shard).close(now);
            self.turn(shard);
        }
        if self.fault.is_none() {
            self.model.check_closed();
        }
        self.closed = true;
        (0..self.dice.below(40)).for_each(|_| self.step());
    }

    fn everybody_leaves(&mut self) {
        for conn in self.clients.keys().copied().collect::<Vec<_>>() {
            self.end(conn);
        }
        self.come_to_rest();
        self.force_all();
        self.calm();
        self.pass_quietly(IDLE);
        self.check_disk();
        assert!(self.model.conns.is_empty() && self.shards.iter().all(|shard| shard.engine.is_empty()), "all have left");
        for (shard, Shard { counters, .. }) in self.shards.iter().enumerate() {
            let levels = [&counters.connections, &counters.presence_live, &counters.rooms, &counters.members];
            assert_eq!(levels.map(|level| level.read()), [0; 4], "shard {shard}: levels when all have left");
            let levels = [&counters.entering, &counters.timers, &counters.topics];
            assert_eq!(levels.map(|level| level.read()), [0; 3], "shard {shard}: levels when all have left");
            let levels = [&counters.quiz_owners, &counters.quiz_participants, &counters.quiz_watching, &counters.quizzes];
            assert_eq!(levels.map(|level| level.read()), [0; 4], "shard {shard}: levels when all have left");
            let levels = [&counters.attempts, &counters.quiz_writing, &counters.quiz_waiting];
            assert_eq!(levels.map(|level| level.read()), [0; 3], "shard {shard}: levels when all have left");
        }
        assert!(self.model.sessions.values().all(|session| session.left), "a row outlived its session");
    }
}

fn rules(plan: &Plan) -> Rules {
    let entrances = vec![
        Entrance { sockets: vec![("/ws".into(), SocketApi::Presence), ("/echo".into(), SocketApi::Echo)] },
        Entrance { sockets: vec![("/ws".into(), SocketApi::Quiz)] },
    ];
    Rules {
        presence: Settings { coalesce_above: plan.coalesce_above, ..Settings::default() },
        quiz: quiz::Settings { snapshot_rows: plan.rows, ..quiz::Settings::default() },
        ..house(entrances)
    }
}

/// The rules of every world, where it does not say other ones.
pub(crate) fn house(entrances: Vec<Entrance>) -> Rules {
    let issuer = Issuer {
        name: "issuer".into(),
        audiences: vec!["school".into(), "asked".into(), "closed".into()],
        algorithm: Algorithm::HS256,
        key: Secret::new(SECRET),
    };
    Rules {
        entrances,
        authority: Authority::new([issuer.clone()]).expect("an issuer without a flaw"),
        permissions: Permissions::new([
            ("school".to_owned(), Rule::None),
            ("asked".to_owned(), Rule::Http { service: ServiceId(0) }),
        ]),
        presence: Settings::default(),
        quiz_authority: Authority::new([issuer]).expect("an issuer without a flaw"),
        quiz_session: session_key(),
        quiz: quiz::Settings::default(),
        labs_users: user_key(),
        labs_agents: None,
        labs: labs::Settings::default(),
        callers: CallerKey::new(&Secret::new(SECRET)).expect("the secret is long enough"),
        show_shard: false,
        catalog: Arc::default(),
        chat: chat::Settings::default(),
        tasks: Default::default(),
        workflows: Arc::default(),
        guests: None,
    }
}
