//! The store of labs: as slow, busy or broken as the dice will have it. What it has committed survives the process, and nothing else does.

use super::{faults::Fault, nodes::place_of, world::Labs};
use crate::world::note;
use homeroom::{
    engine::Answer,
    protocols::labs::{
        UserId,
        model::{Agent, User},
        record::{Change, Kept, Record},
    },
    realtime::{ShardId, StoreFault},
    store::{self, LabsLibrary, MemoryStore, Mood, Store, Ticket},
};
use std::collections::{BTreeMap, VecDeque};

/// What hangs until the dice let it go on.
const HANGING: Mood = Mood::Slow(0);

/// An answer on its way to its shard.
pub(crate) struct Post(pub(crate) Answer);

impl Post {
    fn kept(ticket: u64, result: Result<Kept, StoreFault>) -> Post {
        Post(Answer::LabsKept { ticket, result })
    }
}

/// The store, and what is on its way from it.
pub(crate) struct Outside {
    pub(crate) store: MemoryStore,
    pub(crate) asked: BTreeMap<(u16, u64), Record>,
    pub(crate) posts: Vec<VecDeque<Post>>,
}

impl Outside {
    pub(crate) fn new(shards: usize) -> Outside {
        let store = MemoryStore::new(256);
        for record in super::asks::users() {
            store.keep_labs(Ticket { shard: ShardId(0), token: 0 }, record).expect("there is room");
        }
        store.take_answers();
        store.be(HANGING);
        Outside { store, asked: BTreeMap::new(), posts: (0..shards).map(|_| VecDeque::new()).collect() }
    }

    /// The process is gone: what the store had not taken yet, and every answer.
    pub(crate) fn restart(&mut self, now: homeroom::realtime::UnixMicros) {
        self.store.restart(now);
        self.asked.clear();
        self.posts.iter_mut().for_each(VecDeque::clear);
    }

    /// A user as the store has it.
    pub(crate) fn user(&self, user: UserId) -> User {
        self.store.be(Mood::Prompt);
        let row = LabsLibrary::user(&self.store, user).expect("the store can be read").expect("it has every user");
        self.hang();
        row
    }

    pub(crate) fn hang(&self) {
        self.store.be(HANGING);
    }
}

/// What a faulty store makes of a record; none: it says that it is written.
fn spoiled(fault: Option<Fault>, record: &Record) -> Option<Record> {
    match (fault, record) {
        (Some(Fault::ForgottenWrite), Record::Change(change)) if change.session.is_some() => None,
        (Some(Fault::LostCommand), Record::Change(change)) if change.session.is_some() => {
            Some(Record::Change(Box::new(Change { command: None, ..(**change).clone() })))
        }
        (Some(Fault::ForgottenDrain), Record::Change(change)) => {
            let agent = change.agent.clone().map(|agent| Agent { draining: false, ..agent });
            Some(Record::Change(Box::new(Change { agent, ..(**change).clone() })))
        }
        (Some(Fault::KeptAgent), Record::NoAgent { .. }) => None,
        _ => Some(record.clone()),
    }
}

impl Labs {
    pub(crate) fn keep(&mut self, shard: usize, ticket: u64, record: Record) {
        note!(self, "store: keep {ticket} of {shard}: {}", brief(&record));
        let strikes = self.dice.percent(8);
        // What these are for is rare.
        let often = match &record {
            Record::NoAgent { .. } => self.strikes(Fault::KeptAgent, 60),
            Record::Change(change) => {
                change.agent.as_ref().is_some_and(|agent| agent.draining) && self.strikes(Fault::ForgottenDrain, 60)
            }
            _ => false,
        };
        let strikes = strikes || often;
        let Some(written) = spoiled(self.fault.filter(|_| strikes), &record) else {
            self.write_down(&record);
            return self.outside.posts[shard].push_back(Post::kept(ticket, Ok(Kept::Done)));
        };
        let id = self.shard_at(shard);
        match self.outside.store.keep_labs(Ticket { shard: id, token: ticket }, written.clone()) {
            Ok(()) => _ = self.outside.asked.insert((id.0, ticket), written),
            Err(fault) => self.outside.posts[shard].push_back(Post::kept(ticket, Err(fault))),
        }
    }

    /// The store does some of its work, or all that it has.
    pub(crate) fn store_works(&mut self, fate: usize) {
        let mood = match fate {
            fate if fate < self.plan.busy => Mood::Busy,
            fate if fate < self.plan.busy + self.plan.failed => Mood::Failing,
            _ if self.dice.percent(60) => Mood::Slow(self.dice.between(1, 3)),
            _ => Mood::Prompt,
        };
        self.outside.store.be(mood);
        let answers = self.outside.store.take_answers();
        self.outside.hang();
        for answer in answers {
            let store::Answer::LabsKept { ticket, result } = answer else { panic!("nobody asks for anything else here") };
            let record = self.outside.asked.remove(&(ticket.shard.0, ticket.token)).expect("what was asked is answered, once");
            note!(self, "store: {} of {}: {result:?}", ticket.token, ticket.shard);
            let well = !matches!(mood, Mood::Busy | Mood::Failing);
            assert!(result.is_ok() || !well, "the store refuses {record:?}");
            if result == Ok(Kept::Done) {
                self.write_down(&record);
            }
            self.outside.posts[place_of(ticket.shard)].push_back(Post::kept(ticket.token, result));
        }
    }

    /// A record is on disk from now on.
    fn write_down(&mut self, record: &Record) {
        self.book.write(record);
        if let Record::NoAgent { .. } = record {
            self.count("agents forgotten");
            let gone = super::world::NAMES.into_iter().filter(|name| !self.book.has_agent(name)).collect::<Vec<_>>();
            gone.into_iter().for_each(|name| drop(self.may_drain(name)));
            let book = &self.book;
            for agent in self.agents.iter_mut().filter(|agent| !book.has_agent(agent.name)) {
                (agent.is_enrolled, agent.came_enrolled) = (false, false);
            }
        }
    }

    /// One of the store's answers reaches a shard. Whether there was one.
    pub(crate) fn deliver_post(&mut self, shard: usize) -> bool {
        let Some(Post(answer)) = self.outside.posts[shard].pop_front() else { return false };
        if self.strikes(Fault::LostRecord, 3) {
            return true;
        }
        note!(self, "store to {shard}: {:.200}", format!("{answer:?}"));
        let now = self.now;
        self.feed(shard).answer(answer, now);
        true
    }

    pub(crate) fn move_records(&mut self) {
        let fate = self.dice.below(100);
        if self.dice.percent(50) {
            self.store_works(fate);
        } else {
            let shard = self.dice.below(self.shards.len());
            self.deliver_post(shard);
        }
    }

    /// All that the store has to do is done, and well. Whether there was anything.
    pub(crate) fn calm_store(&mut self) -> bool {
        let mut moved = !self.outside.asked.is_empty();
        while !self.outside.asked.is_empty() {
            self.store_works(100);
        }
        for shard in 0..self.shards.len() {
            while self.deliver_post(shard) {
                moved = true;
            }
        }
        moved
    }

    /// What the store has is what was acknowledged, row by row.
    pub(crate) fn check_disk(&self) {
        self.outside.store.be(Mood::Prompt);
        for (id, row) in &self.book.sessions {
            let kept = self.outside.store.session(*id).expect("the store can be read");
            assert_eq!(kept.as_ref(), Some(row), "session {id} on disk");
        }
        let loaded = self.outside.store.labs().expect("the store can be read");
        let agents = loaded.agents.iter().map(|agent| (agent.id, agent.name.clone()));
        assert_eq!(agents.collect::<BTreeMap<_, _>>(), self.book.agents, "agents on disk");
        let revoked = self.outside.store.revoked(self.now.wall).expect("the store can be read");
        for token in &self.book.revoked {
            assert!(revoked.iter().any(|(other, _)| other == token), "a revoked token is not on disk");
        }
        self.outside.hang();
    }
}

fn brief(record: &Record) -> String {
    let Record::Change(change) = record else { return format!("{record:?}") };
    let session = change.session.as_ref().map(|row| (row.id.as_u128(), row.state));
    let command = change.command.as_ref().map(|command| (command.id, command.action, command.progress));
    let agent = change.agent.as_ref().map(|agent| &agent.name);
    format!("{agent:?} {session:?} {command:?}")
}
