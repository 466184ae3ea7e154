//! The quizzes' store: as slow, busy or broken as the dice will have it, and what it holds survives the house.

use super::{
    book::{Quiz, attempt_of},
    clients::{ApiKey, Validity},
};
use crate::{
    clients::EPOCH,
    dice::Dice,
    faults::Fault,
    world::{World, note},
};
use homeroom::{
    auth::api_key,
    engine::Answer,
    protocols::quiz::{
        QuizId,
        model::{AccessType, Availability, Kind, Question, Role, Rules, Status, SubmissionMode},
        record::{Edit, Kept, Key, NewQuiz, Record},
    },
    realtime::{ShardId, StoreFault},
    store::{self, Library, MemoryStore, Mood, Store, Ticket},
};
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

/// What hangs until the dice let it go on.
const HANGING: Mood = Mood::Slow(0);
/// What a snapshot of all attempts may have, in bytes, and an event.
const ROW_BYTES: usize = 400;
const EVENT_BYTES: usize = 600;

impl super::sockets::Quizzes {
    /// What one list may have now.
    pub(crate) fn list_bytes(&self) -> usize {
        self.rows.min(self.told.attempts.len()) * ROW_BYTES + EVENT_BYTES
    }
}

/// An answer on its way to its shard.
pub(crate) struct Post {
    ticket: u64,
    result: Result<Kept, StoreFault>,
    record: Record,
}

/// Everything about quizzes that is outside the engines.
pub(crate) struct Outside {
    pub(crate) store: MemoryStore,
    /// What the store was asked, by shard and ticket.
    asked: BTreeMap<(u16, u64), Record>,
    posts: Vec<VecDeque<Post>>,
    loads: Vec<(usize, QuizId)>,
    pub(crate) keys: Vec<ApiKey>,
    /// How many attempts were begun, and how many answers and flags were given ids.
    pub(crate) made: u128,
    pub(crate) made_ids: u128,
}

fn session_rules(limit_seconds: u32) -> Rules {
    Rules {
        title: "quiz".into(),
        access_type: AccessType::Public,
        availability: Availability::Always,
        opens_at: None,
        closes_at: None,
        time_limit_seconds: limit_seconds,
        max_attempts: 0,
        submission_mode: SubmissionMode::Immediate,
        client_only: false,
    }
}

fn key(number: u8, owner: &str, role: Role) -> (ApiKey, Key) {
    let text = api_key::api_key([number; 32]);
    let id = Uuid::from_u128(0xCE00 + u128::from(number));
    let kept = Key {
        id,
        owner: owner.into(),
        label: "key".into(),
        role,
        hash: api_key::hash(&text),
        hint: String::new(),
        created_at: EPOCH,
    };
    (ApiKey { id, text, owner: owner.to_owned(), role, validity: Validity::Good }, kept)
}

impl Outside {
    /// A store with so many quizzes, and what they are.
    pub(crate) fn new(dice: &mut Dice, quizzes: usize, shards: usize) -> (Outside, Vec<Quiz>) {
        let store = MemoryStore::new(64);
        let keep = |record| {
            store.keep(Ticket { shard: ShardId(0), token: 0 }, record).expect("there is room");
            match store.take_answers().pop() {
                Some(store::Answer::Kept { result: Ok(kept), .. }) => kept,
                other => panic!("the store is to take this: {other:?}"),
            }
        };
        let mut all = Vec::new();
        for n in 0..quizzes {
            let owner = format!("school/u{}", dice.below(2));
            let limit_seconds = *dice.pick(&[0, 0, 3, 20, 100]);
            let new =
                NewQuiz { owner: owner.clone().into(), rules: session_rules(limit_seconds), access_code: "c".into(), at: EPOCH };
            let Kept::Quiz(id) = keep(Record::NewQuiz(Box::new(new))) else { panic!("a quiz has a number") };
            let questions = (0..dice.between(1, 3)).map(|place| Question {
                id: Uuid::from_u128(0x5000 + n as u128 * 16 + place as u128),
                text: "?".into(),
                points: [10.0, 2.5, 5.0][place],
                kind: Kind::TrueFalse { correct: true },
            });
            let questions: Vec<Question> = questions.collect();
            let edits = questions.iter().cloned().map(|question| Edit::Question(Box::new(question)));
            for edit in edits.chain([Edit::Status(Status::Published)]) {
                keep(Record::Edited { quiz: id, edit, at: EPOCH });
            }
            all.push(Quiz { id, owner, questions: questions.into(), limit_seconds });
        }
        let mut keys = Vec::new();
        for (number, role) in [(1, Role::Owner), (2, Role::User)] {
            let (known, kept) = key(number, "school/u0", role);
            keep(Record::Key(kept));
            keys.push(known);
        }
        store.be(HANGING);
        let (asked, posts) = (BTreeMap::new(), (0..shards).map(|_| VecDeque::new()).collect());
        (Outside { store, asked, posts, loads: Vec::new(), keys, made: 0, made_ids: 0 }, all)
    }

    /// What a process begins with: the good keys, and the quizzes with running attempts.
    pub(crate) fn kept(&self) -> (Vec<Key>, Vec<QuizId>) {
        let kept = self.store.keys().and_then(|keys| Ok((keys, self.store.running()?)));
        kept.expect("the store can be read")
    }

    /// A key that is to be made.
    pub(crate) fn new_key(&mut self, owner: &str) -> Key {
        let (mut known, kept) = key(self.keys.len() as u8 + 1, owner, Role::Owner);
        known.validity = Validity::Unsure;
        self.keys.push(known);
        kept
    }

    /// Somebody was told what became of a key.
    pub(crate) fn confirm(&mut self, id: Uuid, validity: Validity) {
        if let Some(key) = self.keys.iter_mut().find(|key| key.id == id) {
            key.validity = validity;
        }
    }

    /// What the owner chose for a quiz.
    pub(crate) fn rules(&self, quiz: QuizId) -> Rules {
        self.store.quiz(quiz).ok().flatten().expect("the store can be read, and has it").quiz.rules
    }

    fn is_asked(&self, record: &Record) -> bool {
        let attempt = attempt_of(record);
        attempt.is_some()
            && self
                .asked
                .values()
                .chain(self.posts.iter().flatten().map(|post| &post.record))
                .any(|own| attempt_of(own) == attempt)
    }

    /// The process is gone: what the store had not yet taken, and every answer.
    pub(crate) fn restart(&mut self) {
        self.store.restart(EPOCH);
        self.store.be(HANGING);
        self.asked.clear();
        self.posts.iter_mut().for_each(VecDeque::clear);
        self.loads.clear();
        let good = self.store.keys().expect("the store can be read");
        for key in &mut self.keys {
            let is_good = good.iter().any(|own| own.id == key.id);
            key.validity = if is_good { Validity::Good } else { Validity::Bad };
        }
    }
}

impl World {
    /// A home wants a record written.
    pub(crate) fn keep(&mut self, shard: usize, ticket: u64, record: Record) {
        note!(self, "store: keep {ticket} of {shard}: {record:?}");
        assert!(!self.quiz.is_asked(&record), "a second record of one attempt is on its way: {record:?}");
        self.model.tallies[shard].writing += 1;
        let id = ShardId(shard as u16);
        match self.quiz.store.keep(Ticket { shard: id, token: ticket }, record.clone()) {
            Ok(()) => assert!(self.quiz.asked.insert((id.0, ticket), record).is_none(), "a ticket is used twice"),
            Err(fault) => self.quiz.posts[shard].push_back(Post { ticket, result: Err(fault), record }),
        }
    }

    /// A home wants a quiz read.
    pub(crate) fn load(&mut self, shard: usize, quiz: QuizId) {
        note!(self, "store: load {quiz} for {shard}");
        assert!(!self.quiz.loads.contains(&(shard, quiz)), "{quiz} is read twice at once");
        self.quiz.loads.push((shard, quiz));
    }

    /// The store does some of its work, or all that it has.
    pub(crate) fn store_works(&mut self, fate: usize) {
        let mood = match fate {
            fate if fate < self.plan.busy => Mood::Busy,
            fate if fate < self.plan.busy + self.plan.failed => Mood::Failing,
            _ if self.dice.percent(60) => Mood::Slow(self.dice.between(1, 3)),
            _ => Mood::Prompt,
        };
        self.quiz.store.be(mood);
        let answers = self.quiz.store.take_answers();
        self.quiz.store.be(HANGING);
        for answer in answers {
            let store::Answer::Kept { ticket, result } = answer else { panic!("nobody signs in here") };
            let record = self.quiz.asked.remove(&(ticket.shard.0, ticket.token)).expect("what was asked is answered, once");
            note!(self, "store: {mood:?}, {} of {}: {result:?}", ticket.token, ticket.shard);
            if result.is_ok() {
                self.written(&record, result);
            }
            self.quiz.posts[ticket.shard.index()].push_back(Post { ticket: ticket.token, result, record });
        }
    }

    fn written(&mut self, record: &Record, result: Result<Kept, StoreFault>) {
        if let Record::Edited { quiz, .. } = record {
            assert_eq!(self.model.quizzes.disk.running(*quiz).count(), 0, "{quiz} changes while attempts run");
        }
        let all = std::mem::take(&mut self.model.quizzes.all);
        let told = self.model.quizzes.disk.write(record, &all);
        self.model.quizzes.all = all;
        assert!(told.is_none() || result == Ok(Kept::Done), "{record:?} is answered {result:?}");
    }

    /// One of the store's answers reaches a shard. Whether there was one.
    pub(crate) fn deliver_post(&mut self, shard: usize) -> bool {
        let Some(Post { ticket, result, record }) = self.quiz.posts[shard].pop_front() else { return false };
        note!(self, "store to {shard}: {ticket} {result:?}");
        self.model.tallies[shard].writing -= 1;
        if self.fault == Some(Fault::LostRecord) && attempt_of(&record).is_some() && self.dice.percent(5) {
            return true;
        }
        if result.is_ok() {
            self.model.quizzes.tell(&record);
        }
        self.brings_events(shard, 1);
        let now = self.now;
        self.feed(shard).answer(Answer::Kept { ticket, result }, now);
        true
    }

    /// What homes on a shard may say because of so many changes: events, and the lists with them.
    pub(crate) fn brings_events(&mut self, shard: usize, changes: usize) {
        let lists = 2 * self.model.quizzes.list_bytes() * self.model.quizzes.all.len().max(1);
        self.model.tallies[shard].brought += changes * (2 * EVENT_BYTES + lists);
    }

    /// One that was to be read is.
    pub(crate) fn read_one(&mut self, at: usize, fate: usize) {
        let (shard, quiz) = self.quiz.loads.swap_remove(at);
        let result = match fate {
            fate if fate < self.plan.busy => Err(StoreFault::Busy),
            fate if fate < self.plan.busy + self.plan.failed => Err(StoreFault::Failed),
            _ => self.quiz.store.quiz(quiz),
        };
        note!(self, "store to {shard}: {quiz} is read: {}", if result.is_ok() { "well" } else { "badly" });
        if matches!(result, Ok(Some(_))) {
            self.model.quizzes.reload(quiz);
        }
        self.brings_events(shard, 2);
        let now = self.now;
        self.feed(shard).answer(Answer::Loaded { quiz, result }, now);
    }

    /// Some of what the store has to do, or of what it has done, moves.
    pub(crate) fn move_records(&mut self) {
        let fate = self.dice.below(100);
        match self.dice.below(3) {
            0 => self.store_works(fate),
            1 if !self.quiz.loads.is_empty() => {
                let at = self.dice.below(self.quiz.loads.len());
                self.read_one(at, fate);
            }
            _ => {
                let shard = self.dice.below(self.shards.len());
                self.deliver_post(shard);
            }
        }
    }

    /// All that the store has to do is done, and well. Whether there was anything.
    pub(crate) fn calm_store(&mut self) -> bool {
        let mut moved = !(self.quiz.asked.is_empty() && self.quiz.loads.is_empty());
        while !self.quiz.asked.is_empty() {
            self.store_works(100);
        }
        while !self.quiz.loads.is_empty() {
            self.read_one(0, 100);
        }
        for shard in 0..self.shards.len() {
            while self.deliver_post(shard) {
                moved = true;
            }
        }
        moved
    }

    /// What is on disk is what the model says, attempt by attempt.
    pub(crate) fn check_disk(&self) {
        for (id, attempt) in &self.model.quizzes.disk.attempts {
            let (row, answers) =
                self.quiz.store.attempt(&attempt.started.owner, *id).ok().flatten().expect("what was written can be read");
            assert_eq!((row.score, row.answered_count as usize), (attempt.score(), attempt.answers.len()), "{id} on disk");
            assert_eq!((row.reason, row.ended_at), (attempt.closed.map(|end| end.reason), attempt.closed.map(|end| end.at)));
            assert_eq!((row.flags, answers.len()), (attempt.flags, attempt.answers.len()), "{id} on disk");
        }
    }
}
