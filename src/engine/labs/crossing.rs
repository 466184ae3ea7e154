//! Labs over several nodes. The registry is on the first shard of the node that has been among the others for longest: so it moves only
//! when that node is gone, and never because one comes.
//!
//! When it moves the next one reads what was kept once every shard has said that it acts by the view, and hears nobody before that. Each
//! shard tells it of its agents and viewers again; whoever may have missed something is closed and comes again. The sockets at both ends of
//! a tunnel need no registry, and go on.

use super::{
    super::{
        Connection, Engine, Letter, Phase, Question,
        reading::{AGAIN, Reading},
    },
    Labs, Machine,
    keeping::busy,
};
use crate::{
    protocols::labs::{
        Effect, Farewell, Registry, Revocation, Settings, ToRegistry, UserId,
        asks::{Ask, Refused, Reply},
        record::{Loaded, Rights},
    },
    realtime::{ConnId, HashRing, Moment, NodeSlot, Now, ShardId, StoreFault, View, table::Key},
};
use std::{
    collections::{HashSet, VecDeque},
    mem,
};

/// As many letters, and as many asks, wait for the registry at most. Whoever sent what is more gives up in time.
const WAITING: usize = 65_536;

/// Where the registry is in this view.
pub(super) fn home_in(view: &View) -> ShardId {
    view.oldest().map_or(ShardId(0), |oldest| ShardId::of(oldest.slot, 0))
}

/// What a shard has of the registry.
pub(super) enum Office {
    /// Nothing: it is on another.
    Elsewhere,
    /// It is to be here, and what comes for it waits.
    Opening(Box<Opening>),
    /// It.
    Here(Box<Registry>),
}

/// What waits for a registry that has to be read.
pub(super) struct Opening {
    reading: Reading,
    letters: VecDeque<ToRegistry>,
    /// With when they are to be told that the store is busy; all wait for the same time.
    asks: VecDeque<(Moment, (ShardId, u64), Box<Ask>)>,
}

impl Office {
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        match self {
            Office::Elsewhere => None,
            Office::Opening(opening) => {
                let first = opening.asks.front().map(|(due, ..)| *due);
                [opening.reading.next_deadline(), first].into_iter().flatten().min()
            }
            Office::Here(registry) => registry.next_deadline(),
        }
    }
}

/// What users may, and which tokens are good, may be another than this shard knows.
pub(super) struct Doubt {
    /// Whether its node has just come: nobody told it anything before.
    is_new: bool,
    reading: Reading,
    /// Answers that are awaited.
    asked: usize,
    /// Of whom it was told since: what is read of them may be older.
    newer: HashSet<UserId>,
}

impl Doubt {
    pub(super) fn heard_of(&mut self, user: UserId) {
        self.newer.insert(user);
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.reading.next_deadline()
    }
}

impl Labs {
    pub(super) fn knows_rights(&self) -> bool {
        self.doubt.as_ref().is_none_or(|doubt| !doubt.is_new)
    }

    fn doubt_rights(&mut self, is_new: bool) {
        let doubt = self.doubt.get_or_insert_with(|| Doubt { is_new, reading: Reading::Barred, asked: 0, newer: HashSet::new() });
        doubt.reading = Reading::Barred;
    }
}

impl Engine {
    /// Another view has come. Whoever was on a node that is gone is lost to the sockets here, and to the registry.
    pub(in crate::engine) fn labs_move(&mut self, before: &HashRing, is_gone: &dyn Fn(NodeSlot) -> bool, now: Now) {
        let view = self.ring.view().clone();
        let (former, next) = (home_in(before.view()), home_in(&view));
        let is_first = before.view().number() == 0;
        let is_lost = |shard: ShardId| is_gone(shard.node());
        self.labs_asks_move();
        if is_first || before.view().members().iter().any(|member| is_gone(member.slot)) {
            self.labs.doubt_rights(is_first);
        }
        self.each_of_labs(now, |machine, conn, settings, out| match machine {
            Machine::Agent(agent) => agent.lose(&is_lost, conn, now, settings, out),
            Machine::Viewer(viewer) => viewer.lose(&is_lost, Farewell::AgentGone, out),
            Machine::Follower(_) => {}
        });
        if is_first || former != next || is_lost(former) {
            self.open_office(next, now);
            self.labs_come_again(now);
        }
        match &mut self.labs.office {
            Office::Elsewhere => {}
            Office::Opening(opening) => {
                opening.letters.retain(|letter| !letter.conn().is_some_and(|conn| is_lost(conn.shard)));
                opening.asks.retain(|(_, (asker, _), _)| !is_lost(*asker));
            }
            Office::Here(_) => self.with_registry(|registry, out| registry.lose(&|conn| is_lost(conn.shard), now, out)),
        }
    }

    /// What was on its way between this node and that one is lost, while both live: tunnels between them are over, and the registry, or
    /// whoever is known to it, may have missed something.
    pub(in crate::engine) fn labs_are_cut(&mut self, node: NodeSlot, now: Now) {
        let is_there = |shard: ShardId| shard.node() == node;
        self.each_of_labs(now, |machine, conn, settings, out| match machine {
            Machine::Agent(agent) => agent.lose(&is_there, conn, now, settings, out),
            Machine::Viewer(viewer) => viewer.lose(&is_there, Farewell::Moved, out),
            Machine::Follower(_) => {}
        });
        if is_there(home_in(self.ring.view())) {
            self.labs_come_again(now);
        }
        match &mut self.labs.office {
            Office::Elsewhere => {}
            // Those that are there say so again.
            Office::Opening(opening) => opening.letters.retain(|letter| !letter.conn().is_some_and(|conn| is_there(conn.shard))),
            Office::Here(registry) => registry.doubt(node),
        }
    }

    /// Every shard has reached the view: what must be read is.
    pub(in crate::engine) fn labs_are_whole(&mut self, now: Now) {
        if let Office::Opening(opening) = &mut self.labs.office
            && opening.reading == Reading::Barred
        {
            opening.reading = Reading::Asked;
            self.questions.push(Question::LoadLabs);
        }
        if let Some(doubt) = self.labs.doubt.as_mut().filter(|doubt| doubt.reading == Reading::Barred) {
            (doubt.reading, doubt.asked) = (Reading::Asked, doubt.asked + 1);
            self.questions.push(Question::LoadRights { now: now.wall });
        }
    }

    /// Whether something is written or told still that is another shard's by now.
    pub(in crate::engine) fn labs_moving(&self) -> bool {
        let is_another = |user: UserId| self.ring.home(user.as_bytes()) != self.id;
        self.labs.leaving > 0 || self.labs.keeping.user_moving(is_another) || self.labs.revocations.user_moving(is_another)
    }

    /// What the registry must know was read, or could not be.
    pub(in crate::engine) fn labs_loaded(&mut self, result: Result<Box<Loaded>, StoreFault>, now: Now) {
        let Office::Opening(opening) = &mut self.labs.office else { return };
        let Ok(loaded) = result else { return opening.reading = Reading::Failed(now.moment + AGAIN) };
        let (letters, asks) = (mem::take(&mut opening.letters), mem::take(&mut opening.asks));
        // Ids come from it: none of a registry before this one comes again.
        let seed = self.labs.seed.wrapping_add(self.ring.view().number().wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let registry = Registry::new(self.rules.labs.clone(), seed, now.moment);
        self.labs.office = Office::Here(Box::new(registry));
        self.with_registry(|registry, out| registry.begin(*loaded, now, out));
        letters.into_iter().for_each(|letter| self.tell_registry(letter, now));
        asks.into_iter().for_each(|(_, asker, ask)| self.ask_registry(asker, ask, now));
    }

    /// What users may was read, or could not be.
    pub(in crate::engine) fn rights_loaded(&mut self, result: Result<Box<Rights>, StoreFault>, now: Now) {
        let Some(doubt) = &mut self.labs.doubt else { return };
        doubt.asked = doubt.asked.saturating_sub(1);
        let Ok(rights) = result else {
            if doubt.reading == Reading::Asked {
                doubt.reading = Reading::Failed(now.moment + AGAIN);
            }
            return;
        };
        let changes = self.labs.standings.changes(&rights.standings, |user| doubt.newer.contains(&user));
        if doubt.asked == 0 && doubt.reading == Reading::Asked {
            self.labs.doubt = None;
        }
        for (token, expires_at) in rights.revoked {
            if !self.labs.revoked.has(token) {
                self.act_by(Revocation::Token { token, expires_at }, now);
            }
        }
        changes.into_iter().for_each(|standing| self.act_by(Revocation::User(standing), now));
    }

    /// Tries again what could not be read, and tells those who have waited too long for the registry.
    pub(super) fn turn_office(&mut self, now: Now) {
        if let Some(doubt) = self.labs.doubt.as_mut().filter(|doubt| doubt.reading.is_due(now.moment)) {
            (doubt.reading, doubt.asked) = (Reading::Asked, doubt.asked + 1);
            self.questions.push(Question::LoadRights { now: now.wall });
        }
        let Office::Opening(opening) = &mut self.labs.office else { return };
        if opening.reading.is_due(now.moment) {
            opening.reading = Reading::Asked;
            self.questions.push(Question::LoadLabs);
        }
        let late = opening.asks.partition_point(|(due, ..)| *due <= now.moment);
        let late: Vec<_> = opening.asks.drain(..late).collect();
        late.into_iter().for_each(|(_, (asker, number), _)| self.reply_labs(asker, number, busy()));
    }

    /// A letter for the registry. Where it is not here whoever sent it tells the next one.
    pub(super) fn tell_registry(&mut self, letter: ToRegistry, now: Now) {
        match &mut self.labs.office {
            Office::Elsewhere => {}
            Office::Opening(opening) if opening.letters.len() >= WAITING => {}
            Office::Opening(opening) => opening.letters.push_back(letter),
            Office::Here(_) => self.with_registry(|registry, out| registry.letter(letter, now, out)),
        }
    }

    pub(super) fn ask_registry(&mut self, (asker, number): (ShardId, u64), ask: Box<Ask>, now: Now) {
        match &mut self.labs.office {
            Office::Opening(opening) if opening.asks.len() < WAITING => {
                opening.asks.push_back((now.moment + self.rules.labs.keep_timeout, (asker, number), ask));
            }
            Office::Elsewhere | Office::Opening(_) => self.reply_labs(asker, number, busy()),
            Office::Here(_) => {
                self.with_registry(|registry, out| registry.letter(ToRegistry::Ask { asker, number, ask }, now, out));
            }
        }
    }

    /// The answer to an ask that waits here.
    pub(in crate::engine) fn labs_reply(&mut self, number: u64, reply: Reply) {
        self.labs_ask_is_over(number);
        self.labs.asks.resolve(number, reply);
    }

    pub(in crate::engine) fn labs_ask_is_over(&mut self, number: u64) {
        self.labs.sent.remove(&number);
    }

    /// Sends an ask to whoever answers it.
    pub(in crate::engine) fn send_labs_ask(&mut self, number: u64, ask: Ask) {
        let home = self.answerer_of(&ask);
        if !self.crossing.is_alone() {
            self.labs.asks.sent_to(number, home.node());
            self.labs.sent.insert(number, ask.clone());
        }
        self.post(home, Letter::Registry(ToRegistry::Ask { asker: self.id, number, ask: Box::new(ask) }));
    }

    /// As [`Engine::lose_asks`].
    pub(in crate::engine) fn lose_labs_asks(&mut self, node: NodeSlot) {
        for number in self.labs.asks.lost(node) {
            match self.labs.sent.remove(&number).filter(may_be_asked_twice) {
                Some(ask) => self.send_labs_ask(number, ask),
                None => self.labs.asks.resolve(number, Reply::Refused(Refused::Store(StoreFault::Busy))),
            }
        }
    }

    /// Another may answer from now on: what may be asked twice is, the rest whoever was asked sends back.
    fn labs_asks_move(&mut self) {
        for (number, ask) in self.labs.sent.clone() {
            if may_be_asked_twice(&ask) {
                self.send_labs_ask(number, ask);
            }
        }
    }

    /// As [`Engine::redirect`], of labs.
    pub(super) fn redirect_labs(&mut self, (asker, number): (ShardId, u64), ask: Box<Ask>) {
        let home = self.answerer_of(&ask);
        let to = if asker == self.id { home } else { asker };
        if asker == self.id {
            self.labs.asks.sent_to(number, home.node());
        }
        self.post(to, Letter::Registry(ToRegistry::Ask { asker, number, ask }));
    }

    /// The registry is to be there from now on.
    fn open_office(&mut self, home: ShardId, now: Now) {
        if let Office::Here(registry) = &self.labs.office {
            self.labs.leaving += registry.levels().writing;
            self.with_registry(|registry, out| registry.close(now, out));
        }
        let opening = || Opening { reading: Reading::Barred, letters: VecDeque::new(), asks: VecDeque::new() };
        let is_here = home == self.id;
        self.labs.office = if is_here { Office::Opening(Box::new(opening())) } else { Office::Elsewhere };
    }

    /// Tells the registry, which is another's or may have missed something, of the sockets here.
    fn labs_come_again(&mut self, now: Now) {
        self.each_of_labs(now, |machine, conn, _, out| match machine {
            Machine::Agent(agent) => agent.again(conn, out),
            Machine::Viewer(viewer) => viewer.again(conn, out),
            Machine::Follower(follower) => follower.again(conn, out),
        });
    }

    /// Lets the machine of every socket of labs act, and does what they want done.
    fn each_of_labs(&mut self, now: Now, act: impl Fn(&mut Machine, ConnId, &Settings, &mut Vec<Effect>)) {
        for key in self.connections.keys().collect::<Vec<Key>>() {
            let conn = self.conn_id(key);
            let Engine { connections, rules, labs, .. } = &mut *self;
            let Some(Connection { phase: Phase::Labs(seat), .. }) = connections.at_mut(key) else { continue };
            act(&mut seat.machine, conn, &rules.labs, &mut labs.effects);
            self.apply_labs(key, now);
        }
    }
}

/// Whether an ask only looks, or counts: nothing comes of its being asked twice.
fn may_be_asked_twice(ask: &Ask) -> bool {
    match ask {
        Ask::Limit { .. } | Ask::Look { .. } | Ask::Logs { .. } | Ask::Agents | Ask::Pulse { .. } => true,
        Ask::Keep(_) | Ask::Create(_) | Ask::Move { .. } | Ask::Enrol(_) | Ask::Drain { .. } | Ask::Forget { .. } => false,
    }
}
