//! The store of chat: as slow, busy or broken as the dice will have it. What it has committed survives the process, and nothing else does.

use super::{
    faults::Fault,
    world::{Chat, PATIENCE},
};
use crate::world::note;
use homeroom::{
    engine::{Answer, Question},
    protocols::chat::{
        ApprovalId, SessionId,
        model::{Approval, Author, Completeness, Decision, Message},
        record::{Change, From, History, Load, Sweep},
    },
    realtime::{ShardId, StoreFault, UnixMicros},
    store::{self, ChatLibrary, LabsLibrary, MemoryStore, Mood, Store, Ticket},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The time of the store, and five seconds more.
const FAR_MICROS: i64 = 10_000_000;

/// What hangs until the dice let it go on.
const HANGING: Mood = Mood::Slow(0);
/// Messages of a session that are compared with what must be there.
const PAGE: u32 = 200;
/// How late a timer may be.
const LATE_MICROS: i64 = 1_000_000;

/// An answer on its way to its shard.
struct Post {
    ticket: u64,
    result: Result<(), StoreFault>,
}

/// The store, and what is on its way from it.
pub(crate) struct Outside {
    store: MemoryStore,
    asked: BTreeMap<(u16, u64), Change>,
    posts: Vec<VecDeque<Post>>,
    loads: Vec<(usize, Load, UnixMicros)>,
    /// Changes whose shard has heard nothing of them: of which session, and since when.
    owed: BTreeMap<(usize, u64), (SessionId, UnixMicros)>,
    /// When something of a session last came too late.
    late: BTreeMap<SessionId, UnixMicros>,
    /// Those whose answer was given before they were written.
    hasty: Vec<(u16, u64)>,
}

impl Outside {
    pub(crate) fn new(shards: usize) -> Outside {
        let store = MemoryStore::new(256);
        for record in crate::labs::asks::users() {
            store.keep_labs(Ticket { shard: ShardId(0), token: 0 }, record).expect("there is room");
        }
        store.take_answers();
        store.be(HANGING);
        let posts = (0..shards).map(|_| VecDeque::new()).collect();
        Outside {
            store,
            asked: BTreeMap::new(),
            posts,
            loads: Vec::new(),
            owed: BTreeMap::new(),
            late: BTreeMap::new(),
            hasty: Vec::new(),
        }
    }

    /// The process is gone: what the store had not taken yet, and every answer.
    fn restart(&mut self, now: UnixMicros) {
        self.store.restart(now);
        self.asked.clear();
        self.posts.iter_mut().for_each(VecDeque::clear);
        self.loads.clear();
        self.owed.clear();
        self.late.clear();
        self.hasty.clear();
    }

    /// A shard has its answer about a session.
    fn paid(&mut self, session: SessionId, since: UnixMicros, now: UnixMicros) {
        if is_long(since, now) {
            self.late.insert(session, now);
        }
    }

    /// What the store owes: about which sessions, and since when.
    fn open(&self) -> impl Iterator<Item = (SessionId, UnixMicros)> {
        let loads = self.loads.iter().map(|(_, load, since)| (load.session, *since));
        self.owed.values().copied().chain(loads)
    }

    /// Sessions of which the store has said nothing for longer than anybody waits, and the wheel is late.
    pub(crate) fn silent(&self, now: UnixMicros) -> BTreeSet<SessionId> {
        let before = UnixMicros(now.0 - LATE_MICROS);
        self.open().filter(|(_, since)| is_long(*since, before)).map(|(session, _)| session).collect()
    }

    /// Whether anybody who waited for a row of this session, and has since then, waited too long.
    fn was_slow(&self, session: SessionId, since: UnixMicros, now: UnixMicros) -> bool {
        let is_late = self.late.get(&session).is_some_and(|late| *late >= since);
        is_late || self.open().any(|(of, at)| of == session && is_long(at, now))
    }

    /// What was decided in a session: what is pending nobody reads.
    fn decided(&self, session: SessionId) -> Vec<Approval> {
        let load = Load { session, messages: 1, bytes: 1, decided_since: UnixMicros(0) };
        let loaded = self.store.load_session(load).expect("the store can be read");
        loaded.map(|loaded| loaded.approvals).unwrap_or_default()
    }
}

/// Whether who has waited so long for the store may be told that it is busy.
fn is_long(since: UnixMicros, now: UnixMicros) -> bool {
    now.0 - since.0 >= PATIENCE.as_micros() as i64
}

fn session_of(change: &Change) -> SessionId {
    let of_row = change.session.as_ref().map(|row| row.id);
    let of_message = change.messages.first().map(|message| message.session);
    let of_approval = change.approvals.first().map(|approval| approval.session);
    of_row.or(of_message).or(of_approval).expect("a change changes something")
}

impl Chat {
    /// Whether somebody who has waited since then may be told this of the store: it fails in this run, or took too long.
    pub(crate) fn may_refuse(&mut self, fault: StoreFault, session: SessionId, since: UnixMicros) -> bool {
        let may_fail = match fault {
            // What cannot be read is busy, whatever the reason.
            StoreFault::Busy => self.plan.busy + self.plan.failed > 0,
            StoreFault::Failed => self.plan.failed > 0,
        };
        let was_slow = fault == StoreFault::Busy && self.outside.was_slow(session, since, self.stage.now.wall);
        // Sent from one home to the other, and back, while what the one tells the other is under way.
        let is_sent_about = fault == StoreFault::Busy && self.stage.moves() > 0;
        // Letters take their time: whoever asks another node waits no longer than this.
        let waited = self.stage.now.wall.0 - since.0;
        let is_late = fault == StoreFault::Busy && self.stage.is_divided() && waited >= FAR_MICROS;
        if was_slow {
            self.count("told that it takes too long");
        }
        may_fail || was_slow || is_sent_about || is_late
    }

    /// A new process finds what the store has.
    pub(crate) fn open_store(&mut self) {
        let now = self.stage.now;
        self.outside.restart(now.wall);
        if !self.strikes(Fault::ForgottenSweep, 50) {
            let swept = self.outside.store.sweep_chat(Sweep { at: now.wall }).expect("the store can be written");
            assert_eq!(swept, self.book.sweep(now.wall), "answers that were left unfinished");
        }
        let loaded = self.outside.store.labs().expect("the store can be read");
        let revoked = self.outside.store.revoked(now.wall).expect("the store can be read");
        self.outside.store.be(HANGING);
        for shard in 0..self.stage.shards.len() {
            self.stage.feed(shard).begin_labs(&loaded, &revoked, now);
        }
    }

    /// A shard reads at a view who may do what.
    pub(crate) fn load_labs(&mut self, shard: usize, question: &Question) {
        let now = self.stage.now;
        self.outside.store.be(Mood::Prompt);
        let answer = match question {
            Question::LoadRights { now } => Answer::RightsLoaded(self.outside.store.rights(*now).map(Box::new)),
            _ => Answer::LabsLoaded(self.outside.store.labs().map(Box::new)),
        };
        self.outside.store.be(HANGING);
        self.stage.feed(shard).answer(answer, now);
    }

    pub(crate) fn keep(&mut self, shard: usize, ticket: u64, change: Change) {
        note!(self.stage, "store: keep {ticket} of {shard}: {}", brief(&change));
        self.check_stopped(&change);
        let id = ShardId(shard as u16);
        self.outside.owed.insert((shard, ticket), (session_of(&change), self.stage.now.wall));
        if self.strikes(Fault::ForgottenWrite, 4) {
            self.wrote(&change);
            return self.outside.posts[shard].push_back(Post { ticket, result: Ok(()) });
        }
        match self.outside.store.keep_chat(Ticket { shard: id, token: ticket }, Box::new(change.clone())) {
            Ok(()) => _ = self.outside.asked.insert((id.0, ticket), change),
            Err(fault) => return self.outside.posts[shard].push_back(Post { ticket, result: Err(fault) }),
        }
        if self.strikes(Fault::HastyStore, 10) {
            self.outside.hasty.push((id.0, ticket));
            self.outside.posts[shard].push_back(Post { ticket, result: Ok(()) });
        }
    }

    pub(crate) fn load(&mut self, shard: usize, load: Load) {
        note!(self.stage, "store: load {} for {shard}", load.session.as_u128());
        self.outside.loads.push((shard, load, self.stage.now.wall));
    }

    /// The store does some of its work, or all that it has.
    fn store_works(&mut self, fate: usize) {
        let mood = match fate {
            fate if fate < self.plan.busy => Mood::Busy,
            fate if fate < self.plan.busy + self.plan.failed => Mood::Failing,
            _ if self.stage.dice.percent(60) => Mood::Slow(self.stage.dice.between(1, 3)),
            _ => Mood::Prompt,
        };
        self.outside.store.be(mood);
        let answers = self.outside.store.take_answers();
        self.outside.store.be(HANGING);
        for answer in answers {
            let store::Answer::ChatKept { ticket, result } = answer else { panic!("nobody asks for anything else here") };
            let key = (ticket.shard.0, ticket.token);
            let change = self.outside.asked.remove(&key).expect("what was asked is answered, once");
            note!(self.stage, "store: {} of {}: {result:?}", ticket.token, ticket.shard);
            let well = !matches!(mood, Mood::Busy | Mood::Failing);
            assert!(result.is_ok() || !well, "the store refuses {change:?}");
            if result.is_ok() {
                self.wrote(&change);
            } else {
                self.count("refusals of the store");
            }
            if let Some(at) = self.outside.hasty.iter().position(|hasty| *hasty == key) {
                self.outside.hasty.swap_remove(at);
                continue;
            }
            self.outside.posts[ticket.shard.index()].push_back(Post { ticket: ticket.token, result });
        }
    }

    fn wrote(&mut self, change: &Change) {
        for id in self.book.write(change) {
            let message = &self.book.messages[&id];
            let content = message.content.to_string();
            note!(self.stage, "on disk: {content:.60}");
            self.check_begun(&content);
        }
        for message in &change.messages {
            if message.author == Author::Assistant && message.completeness != Completeness::Streaming {
                self.check_whole(message);
            }
        }
        for approval in change.approvals.iter().filter(|approval| approval.decision != Decision::Pending) {
            self.count(match approval.decision {
                Decision::Approved => "approved",
                Decision::Rejected => "rejected",
                Decision::Expired | Decision::Pending => "expired",
            });
        }
    }

    /// One of the store's answers reaches a shard. Whether there was one.
    fn deliver_post(&mut self, shard: usize) -> bool {
        let Some(Post { ticket, result }) = self.outside.posts[shard].pop_front() else { return false };
        if self.strikes(Fault::LostRecord, 3) {
            return true;
        }
        note!(self.stage, "store to {shard}: {ticket} {result:?}");
        let now = self.stage.now;
        let (session, since) = self.outside.owed.remove(&(shard, ticket)).expect("what was asked is answered, once");
        self.outside.paid(session, since, now.wall);
        self.stage.feed(shard).answer(Answer::ChatKept { ticket, result }, now);
        true
    }

    /// A session is read, or cannot be. Whether one was to be.
    fn read_one(&mut self, fate: usize) -> bool {
        if self.outside.loads.is_empty() {
            return false;
        }
        let at = self.stage.dice.below(self.outside.loads.len());
        let (shard, load, since) = self.outside.loads.swap_remove(at);
        self.outside.store.be(Mood::Prompt);
        let is_busy = fate < self.plan.busy + self.plan.failed;
        let result = if is_busy { Err(StoreFault::Busy) } else { self.outside.store.load_session(load) };
        self.outside.store.be(HANGING);
        note!(self.stage, "store to {shard}: {} is {}", load.session.as_u128(), if is_busy { "not read" } else { "read" });
        let now = self.stage.now;
        self.outside.paid(load.session, since, now.wall);
        self.stage.feed(shard).answer(Answer::SessionLoaded { session: load.session, result }, now);
        true
    }

    pub(crate) fn move_records(&mut self) {
        let fate = self.stage.dice.below(100);
        match self.stage.dice.below(10) {
            0..5 => self.store_works(fate),
            5..7 => _ = self.read_one(fate),
            _ => {
                let shard = self.stage.dice.below(self.stage.shards.len());
                self.deliver_post(shard);
            }
        }
    }

    /// All that the store has to do is done, and well. Whether there was anything.
    pub(crate) fn calm_store(&mut self) -> bool {
        let mut moved = !self.outside.asked.is_empty();
        while !self.outside.asked.is_empty() {
            self.store_works(100);
        }
        for shard in 0..self.stage.shards.len() {
            while self.deliver_post(shard) {
                moved = true;
            }
        }
        while self.read_one(100) {
            moved = true;
        }
        moved
    }

    /// What the store has is what was acknowledged, row by row.
    pub(crate) fn check_disk(&self) {
        let Outside { store, .. } = &self.outside;
        store.be(Mood::Prompt);
        for (id, row) in &self.book.sessions {
            let kept = store.chat_session(*id).expect("the store can be read");
            assert_eq!(kept.as_ref(), Some(row), "session {id} on disk");
            let history = History { session: *id, from: From::Newest, limit: PAGE };
            let kept = store.history(history).expect("the store can be read").expect("there is no cursor").messages;
            let said = self.book.said.get(id).map(Vec::as_slice).unwrap_or_default();
            let last = said[said.len().saturating_sub(PAGE as usize)..].iter().map(|id| &self.book.messages[id]);
            let last: Vec<&Message> = last.collect();
            assert_eq!(kept.iter().collect::<Vec<_>>(), last, "messages of {id} on disk");
            let kept = self.outside.decided(*id);
            let kept: BTreeMap<ApprovalId, &Approval> = kept.iter().map(|approval| (approval.id, approval)).collect();
            let decided = self.book.approvals.iter().filter(|(_, it)| it.session == *id && it.decision != Decision::Pending);
            assert_eq!(kept, decided.map(|(id, approval)| (*id, approval)).collect(), "approvals of {id} on disk");
        }
        store.be(HANGING);
    }
}

fn brief(change: &Change) -> String {
    let session = change.session.as_ref().map(|row| (row.id.as_u128(), row.status, row.message_count));
    let message = |message: &Message| {
        let words: String = message.content.chars().take(40).collect();
        format!("{} {:?} {:?} {words:?}", message.number, message.author, message.completeness)
    };
    let messages: Vec<String> = change.messages.iter().map(message).collect();
    let approvals: Vec<_> = change.approvals.iter().map(|approval| (approval.id, approval.decision)).collect();
    format!("{session:?} {messages:?} {approvals:?}")
}
