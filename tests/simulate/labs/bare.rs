//! A shard of labs without an engine: the machines and the homes, and the letters between them.

use homeroom::{
    protocols::labs::{
        Agent, Effect, Event, FromRegistry, Limits, Outcome, ProxyId, Registry, SessionId, Settings, ToRegistry, TunnelWord, Viewer,
        admission::{AgentQuery, Denial},
        asks::{Ask, LimitKey, Reply, Window},
        connection,
        letters::Dialect,
        record::{Kept, Loaded, Record},
    },
    realtime::{ConnId, Frame, Moment, Now, ShardId, StoreFault, Wheel, wheel::TimerId},
    websocket::frame,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(crate) enum Letter {
    Registry(ToRegistry),
    Connection(ConnId, FromRegistry),
    Deliver(ConnId, Frame),
    Tunnel { from: ConnId, to: ConnId, proxy: ProxyId, word: TunnelWord },
    Reply { number: u64, reply: Box<Reply> },
    Limit { asker: ShardId, number: u64, key: LimitKey, window: Window },
    Revoked { from: ShardId, telling: u64, token: Uuid },
    RevokedHeard { telling: u64 },
}

/// Who comes.
#[derive(Clone, Debug)]
pub(crate) enum Knock {
    Agent(Dialect, AgentQuery),
    Viewer { session: SessionId, user: Arc<str>, admin: bool, token: Uuid },
}

enum Machine {
    Agent(Agent),
    Viewer(Viewer, Uuid),
}

struct Own {
    machine: Machine,
    outbox: Vec<u8>,
    flight: usize,
    timer: Option<TimerId>,
    is_ending: bool,
}

enum Ticket {
    Registry(u64),
    Ask(u64, Option<Uuid>),
}

/// What a turn wants done.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) sends: Vec<(ConnId, Vec<u8>)>,
    pub(crate) pauses: Vec<(ConnId, bool)>,
    pub(crate) closes: Vec<ConnId>,
}

pub(crate) struct Bare {
    id: ShardId,
    home: ShardId,
    shards: usize,
    settings: Arc<Settings>,
    wheel: Wheel<ConnId>,
    conns: BTreeMap<ConnId, Own>,
    pub(crate) registry: Registry,
    limits: Limits,
    revoked: BTreeSet<Uuid>,
    local: VecDeque<Letter>,
    pub(crate) letters: Vec<(ShardId, Letter)>,
    pub(crate) questions: Vec<(u64, Record)>,
    tickets: BTreeMap<u64, Ticket>,
    tellings: BTreeMap<u64, (usize, u64)>,
    pub(crate) replies: Vec<(u64, Reply)>,
    output: Output,
    last: u64,
    slots: u32,
}

impl Bare {
    pub(crate) fn new(id: ShardId, home: ShardId, shards: usize, settings: &Arc<Settings>, seed: u64, start: Moment) -> Bare {
        Bare {
            id,
            home,
            shards,
            wheel: Wheel::new(start),
            conns: BTreeMap::new(),
            registry: Registry::new((**settings).clone(), seed, start),
            limits: Limits::new(settings, seed),
            settings: settings.clone(),
            revoked: BTreeSet::new(),
            local: VecDeque::new(),
            letters: Vec::new(),
            questions: Vec::new(),
            tickets: BTreeMap::new(),
            tellings: BTreeMap::new(),
            replies: Vec::new(),
            output: Output::default(),
            last: 0,
            slots: 0,
        }
    }

    pub(crate) fn begin(&mut self, loaded: Loaded, revoked: &[Uuid], now: Now) {
        self.revoked = revoked.iter().copied().collect();
        if self.id == self.home {
            self.with_registry(|registry, out| registry.begin(loaded, now, out));
        }
        self.settle(now);
    }

    pub(crate) fn accepted(&mut self, knock: Knock, now: Now) -> ConnId {
        self.slots += 1;
        let conn = ConnId { shard: self.id, generation: 0, slot: self.slots };
        let mut out = Vec::new();
        let machine = match knock {
            Knock::Agent(dialect, query) => {
                self.output.sends.push((conn, b"HTTP/1.1 101 x\r\n\r\n".to_vec()));
                Machine::Agent(Agent::new(dialect, query, conn, now, &self.settings, &mut out))
            }
            Knock::Viewer { token, .. } if self.revoked.contains(&token) => {
                self.output.sends.push((conn, refusal(Denial::BadToken)));
                self.output.closes.push(conn);
                return conn;
            }
            Knock::Viewer { session, user, admin, token } => {
                Machine::Viewer(Viewer::new((session, conn), (user, admin), now, &self.settings, &mut out), token)
            }
        };
        let flight = self.output.sends.last().filter(|(to, _)| *to == conn).map_or(0, |(_, bytes)| bytes.len());
        self.conns.insert(conn, Own { machine, outbox: Vec::new(), flight, timer: None, is_ending: false });
        self.act(conn, out, now);
        self.settle(now);
        conn
    }

    pub(crate) fn event(&mut self, conn: ConnId, event: Event<'_>, now: Now) {
        let Some(own) = self.conns.get_mut(&conn).filter(|own| !own.is_ending) else {
            if let Event::Registry(letter) = &event {
                let owed = connection::late(letter);
                self.act(conn, owed.into_iter().collect(), now);
            }
            return;
        };
        let mut out = Vec::new();
        match &mut own.machine {
            Machine::Agent(machine) => machine.handle(event, conn, now, &self.settings, &mut out),
            Machine::Viewer(machine, _) => machine.handle(event, conn, now, &self.settings, &mut out),
        }
        self.act(conn, out, now);
    }

    pub(crate) fn received(&mut self, conn: ConnId, event: Event<'_>, now: Now) {
        self.event(conn, event, now);
        self.settle(now);
    }

    pub(crate) fn ended(&mut self, conn: ConnId, now: Now) {
        if self.conns.get(&conn).is_some_and(|own| !own.is_ending) {
            self.event(conn, Event::Gone, now);
            self.over(conn);
        }
        self.settle(now);
    }

    pub(crate) fn sent(&mut self, conn: ConnId, now: Now) {
        let Some(own) = self.conns.get_mut(&conn) else { return };
        own.flight = 0;
        let waiting = own.outbox.len();
        if own.is_ending {
            if waiting == 0 {
                self.over(conn);
            } else {
                self.flush(conn);
            }
            return;
        }
        self.event(conn, Event::Sent { waiting }, now);
        self.settle(now);
    }

    fn over(&mut self, conn: ConnId) {
        if let Some(own) = self.conns.remove(&conn) {
            own.timer.and_then(|timer| self.wheel.cancel(timer));
            self.output.closes.push(conn);
        }
    }

    fn flush(&mut self, conn: ConnId) {
        if let Some(own) = self.conns.get_mut(&conn)
            && own.flight == 0
            && !own.outbox.is_empty()
        {
            own.flight = own.outbox.len();
            self.output.sends.push((conn, std::mem::take(&mut own.outbox)));
        }
    }

    fn act(&mut self, conn: ConnId, effects: Vec<Effect>, now: Now) {
        for effect in effects {
            let bytes = match effect {
                Effect::Send(wire) => wire.bytes().to_vec(),
                Effect::Ping => frame::PING.to_vec(),
                Effect::Timer(after) => {
                    let timer = after.map(|after| self.wheel.set(now.moment + after, conn));
                    if let Some(own) = self.conns.get_mut(&conn) {
                        std::mem::replace(&mut own.timer, timer).and_then(|timer| self.wheel.cancel(timer));
                    }
                    continue;
                }
                Effect::Registry(letter) => {
                    self.post(self.home, Letter::Registry(letter));
                    continue;
                }
                Effect::Tunnel { to, proxy, word } => {
                    self.post(to.shard, Letter::Tunnel { from: conn, to, proxy, word });
                    continue;
                }
                Effect::Accept => b"HTTP/1.1 101 x\r\n\r\n".to_vec(),
                Effect::Pause => {
                    self.output.pauses.push((conn, true));
                    continue;
                }
                Effect::Resume => {
                    self.output.pauses.push((conn, false));
                    continue;
                }
                Effect::Refuse(denial) => {
                    self.event(conn, Event::Gone, now);
                    if let Some(own) = self.conns.get_mut(&conn) {
                        own.is_ending = true;
                    }
                    refusal(denial)
                }
                Effect::End(farewell) => {
                    self.event(conn, Event::Gone, now);
                    if let Some(own) = self.conns.get_mut(&conn) {
                        own.is_ending = true;
                    }
                    let mut bytes = vec![0x88, 2];
                    bytes.extend_from_slice(&farewell.code().to_be_bytes());
                    bytes
                }
            };
            if let Some(own) = self.conns.get_mut(&conn) {
                own.outbox.extend_from_slice(&bytes);
            }
        }
    }

    fn post(&mut self, to: ShardId, letter: Letter) {
        if to == self.id { self.local.push_back(letter) } else { self.letters.push((to, letter)) }
    }

    pub(crate) fn letter(&mut self, letter: Letter, now: Now) {
        self.read(letter, now);
        self.settle(now);
    }

    fn settle(&mut self, now: Now) {
        while let Some(letter) = self.local.pop_front() {
            self.read(letter, now);
        }
    }

    fn with_registry(&mut self, act: impl FnOnce(&mut Registry, &mut Vec<Outcome>)) {
        let mut out = Vec::new();
        act(&mut self.registry, &mut out);
        for outcome in out {
            match outcome {
                Outcome::Tell(conn, word) => self.post(conn.shard, Letter::Connection(conn, word)),
                Outcome::Deliver(conn, frame) => self.post(conn.shard, Letter::Deliver(conn, frame)),
                Outcome::Keep { ticket, record } => self.question(Ticket::Registry(ticket), record),
                Outcome::Reply { asker, number, reply } => self.post(asker, Letter::Reply { number, reply }),
            }
        }
    }

    fn question(&mut self, ticket: Ticket, record: Record) {
        self.last += 1;
        self.tickets.insert(self.last, ticket);
        self.questions.push((self.last, record));
    }

    fn read(&mut self, letter: Letter, now: Now) {
        match letter {
            Letter::Registry(letter) => self.with_registry(|registry, out| registry.letter(letter, now, out)),
            Letter::Connection(conn, letter) => self.event(conn, Event::Registry(letter), now),
            Letter::Deliver(conn, frame) => {
                if let Some(own) = self.conns.get_mut(&conn).filter(|own| !own.is_ending) {
                    own.outbox.extend_from_slice(&frame);
                }
            }
            Letter::Tunnel { from, to, proxy, word } => self.event(to, Event::Tunnel { from, proxy, word }, now),
            Letter::Reply { number, reply } => self.replies.push((number, *reply)),
            Letter::Limit { asker, number, key, window } => {
                let reply = Box::new(self.limits.ask(key, window, now));
                self.post(asker, Letter::Reply { number, reply });
            }
            Letter::Revoked { from, telling, token } => {
                self.revoked.insert(token);
                let of = |own: &Own| matches!(own.machine, Machine::Viewer(_, other) if other == token);
                let conns: Vec<_> = self.conns.iter().filter(|(_, own)| of(own)).map(|(conn, _)| *conn).collect();
                conns.into_iter().for_each(|conn| self.event(conn, Event::Revoked, now));
                self.post(from, Letter::RevokedHeard { telling });
            }
            Letter::RevokedHeard { telling } => {
                let Some((left, number)) = self.tellings.get_mut(&telling) else { return };
                *left -= 1;
                if *left == 0 {
                    let number = *number;
                    self.tellings.remove(&telling);
                    self.replies.push((number, Reply::Kept(Kept::Done)));
                }
            }
        }
    }

    pub(crate) fn ask(&mut self, ask: Ask, home_of: impl Fn(&LimitKey) -> ShardId, now: Now) -> u64 {
        self.last += 1;
        let number = self.last;
        match ask {
            Ask::Keep(record) => {
                let token = if let Record::Revoked { token, .. } = &record { Some(*token) } else { None };
                self.question(Ticket::Ask(number, token), record);
            }
            Ask::Limit { key, window } => self.post(home_of(&key), Letter::Limit { asker: self.id, number, key, window }),
            ask => self.post(self.home, Letter::Registry(ToRegistry::Ask { asker: self.id, number, ask: Box::new(ask) })),
        }
        self.settle(now);
        number
    }

    pub(crate) fn kept(&mut self, ticket: u64, result: Result<Kept, StoreFault>, now: Now) {
        match self.tickets.remove(&ticket) {
            Some(Ticket::Registry(ticket)) => self.with_registry(|registry, out| registry.kept(ticket, result, now, out)),
            Some(Ticket::Ask(number, Some(token))) if result.is_ok() => {
                self.tellings.insert(number, (self.shards, number));
                for shard in 0..self.shards {
                    self.post(ShardId(shard as u16), Letter::Revoked { from: self.id, telling: number, token });
                }
            }
            Some(Ticket::Ask(number, _)) => {
                let refused = |fault| Reply::Refused(homeroom::protocols::labs::asks::Refused::Store(fault));
                self.replies.push((number, result.map_or_else(refused, Reply::Kept)));
            }
            None => panic!("no such ticket"),
        }
        self.settle(now);
    }

    pub(crate) fn tick(&mut self, now: Now) {
        let mut fired = Vec::new();
        self.wheel.expire(now.moment, &mut fired);
        for (_, conn) in fired {
            if let Some(own) = self.conns.get_mut(&conn) {
                own.timer = None;
            }
            self.event(conn, Event::TimerFired, now);
        }
        self.with_registry(|registry, out| registry.turn(now, out));
        self.settle(now);
    }

    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        [self.wheel.next(), self.registry.next_deadline()].into_iter().flatten().min()
    }

    pub(crate) fn finish(&mut self) -> Output {
        let conns: Vec<_> = self.conns.keys().copied().collect();
        conns.into_iter().for_each(|conn| self.flush(conn));
        std::mem::take(&mut self.output)
    }
}

fn refusal(denial: Denial) -> Vec<u8> {
    format!("HTTP/1.1 {} x\r\n\r\n", denial.status()).into_bytes()
}
