//! The quizzes of the nodes: what is on disk of them, and those who ask over REST.

use super::{faults::Fault, listeners::Listening, store::Peer, world::Cluster};
use crate::{
    quiz::{
        book::{Attempt, Book, Event, Quiz},
        store::Outside,
    },
    world::note,
};
use homeroom::{
    engine::Answer,
    protocols::quiz::{
        AttemptId, QuizId,
        asks::{Ask, Entrant, Pass, Refused, Reply},
        model::Given,
        record::{Flag, Kept, Record},
    },
    realtime::{ConnId, ShardId, StoreFault},
    store::{self, Library, Mood, Store, Ticket},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    task::{Poll, Waker},
};
use uuid::Uuid;

/// The most attempts of a run.
const ATTEMPTS: u128 = 20;

/// What an ask became.
struct Asked {
    peer: Peer,
    shard: ShardId,
    number: u64,
    ask: Ask,
}

/// See the file.
pub(crate) struct School {
    pub(crate) outside: Outside,
    pub(crate) all: Vec<Quiz>,
    pub(crate) disk: Book,
    /// What was to be heard of each quiz, as it was written.
    pub(crate) events: BTreeMap<QuizId, Vec<Event>>,
    pub(crate) listening: BTreeMap<(Peer, ConnId), Listening>,
    asks: Vec<Asked>,
    /// The attempts of which somebody was told that they have begun.
    begun: BTreeSet<AttemptId>,
}

impl School {
    pub(crate) fn new((outside, all): (Outside, Vec<Quiz>)) -> School {
        outside.store.be(Mood::Prompt);
        let (disk, events) = (Book::default(), BTreeMap::new());
        School { outside, all, disk, events, listening: BTreeMap::new(), asks: Vec::new(), begun: BTreeSet::new() }
    }

    /// The store takes a record, which is of a node that is one.
    pub(crate) fn keep(&mut self, record: &Record) -> Result<Kept, StoreFault> {
        self.outside.store.keep(Ticket { shard: ShardId(0), token: 0 }, record.clone())?;
        let Some(store::Answer::Kept { result, .. }) = self.outside.store.take_answers().pop() else {
            panic!("a prompt store answers")
        };
        if result == Ok(Kept::Done)
            && let Some((quiz, event)) = self.disk.write(record, &self.all)
        {
            self.events.entry(quiz).or_default().push(event);
        }
        result
    }

    /// A process is no more, and with it those who asked there.
    pub(crate) fn forget(&mut self, peer: Peer) {
        self.asks.retain(|own| own.peer != peer);
    }

    fn tells(&self, quiz: QuizId, name: &str) -> bool {
        self.events.get(&quiz).is_some_and(|log| log.iter().any(|event| event.name == name))
    }

    /// What was acknowledged is on disk.
    fn check(&self, ask: &Ask, reply: &Reply) {
        match (ask, reply) {
            (Ask::Start { quiz, attempt, .. }, Reply::Started(_)) => {
                assert!(self.tells(*quiz, &format!("attempt_quiz {attempt}")), "{attempt} has not begun")
            }
            (Ask::Answer { quiz, id, .. }, Reply::Answered { .. }) => {
                assert!(self.tells(*quiz, &format!("attempt_update {id}")), "the answer {id} is not on disk")
            }
            (Ask::Flag { quiz, .. }, Reply::Flagged { labels, .. }) => {
                assert!(self.tells(*quiz, &format!("attempt_flagged {}", labels[0])), "{labels:?} are not on disk")
            }
            (Ask::Submit { attempt, .. }, Reply::Submitted(end)) => {
                let closed = self.disk.attempts.get(attempt).and_then(|own| own.closed).expect("what was submitted is over");
                assert_eq!((closed.reason, closed.at, closed.score), (end.reason, end.at, end.score));
            }
            (Ask::Answer { attempt, .. } | Ask::Submit { attempt, .. }, Reply::Refused(Refused::Over)) => {
                assert!(!self.disk.attempts[attempt].is_running(), "{attempt} is called over");
            }
            (Ask::Look { attempt, .. }, Reply::Looked(view)) => assert_eq!(view.attempt, *attempt),
            (Ask::Force { .. }, Reply::Forced(_)) => {}
            (_, Reply::Refused(Refused::Store(_) | Refused::Over | Refused::Crowded)) => {}
            (ask, reply) => panic!("{ask:?} is answered {reply:?}"),
        }
    }
}

impl Cluster {
    /// A record is taken, or not, since whoever asks is no node any more.
    pub(crate) fn keep_record(&mut self, (peer, shard): (Peer, ShardId), ticket: u64, record: &Record, is_member: bool) {
        let result = if is_member { self.school.keep(record) } else { Err(StoreFault::Failed) };
        note!(self, "store: {peer:?} {shard}: {record:?} {result:?}");
        self.count("records");
        self.store.answers.push_back((peer, shard, Answer::Kept { ticket, result }));
    }

    /// A shard has a quiz read, or which quizzes run.
    pub(crate) fn read_quiz(&mut self, (peer, shard): (Peer, ShardId), quiz: QuizId, fails: bool) {
        let result = if fails { Err(StoreFault::Busy) } else { self.school.outside.store.quiz(quiz) };
        note!(self, "store: {quiz} is read for {peer:?} {shard}: {}", if fails { "badly" } else { "well" });
        self.store.answers.push_back((peer, shard, Answer::Loaded { quiz, result }));
    }

    pub(crate) fn read_running(&mut self, (peer, shard): (Peer, ShardId), look: u64, fails: bool) {
        let mut result = if fails { Err(StoreFault::Busy) } else { self.school.outside.store.running() };
        if self.strikes(Fault::UnseenAttempts, 70) {
            result = Ok(Vec::new());
        }
        note!(self, "store: {peer:?} {shard} looks who runs: {result:?}");
        self.store.answers.push_back((peer, shard, Answer::Running { look, result }));
    }

    /// Somebody asks over REST.
    pub(crate) fn ask_of_quiz(&mut self) {
        let kind = self.dice.below(100);
        if let Some(ask) = self.invent_ask(kind) {
            self.ask_somewhere(ask);
        }
    }

    pub(crate) fn ask_somewhere(&mut self, ask: Ask) {
        let open: Vec<_> = self.all_shards().into_iter().filter(|(peer, shard)| self.serves(*peer, *shard)).collect();
        if open.is_empty() {
            return;
        }
        let (peer, shard) = *self.dice.pick(&open);
        note!(self, "{peer:?} {shard} is asked {ask:?}");
        if let Some(number) = self.feed(peer, shard).map(|engine| engine.ask_quiz(ask.clone())) {
            self.school.asks.push(Asked { peer, shard, number, ask });
        }
    }

    fn invent_ask(&mut self, kind: usize) -> Option<Ask> {
        let quizzes = self.school.all.len();
        let quiz = self.school.all.get(self.dice.below(quizzes))?.id;
        Some(match kind {
            0..20 if self.school.outside.made < ATTEMPTS => self.start_of(quiz),
            20..60 => return self.answer_of_some(),
            60..75 => return self.flag_of_some(),
            75..85 => {
                let (quiz, attempt) = self.some_attempt()?;
                Ask::Submit { quiz, attempt }
            }
            85..95 => {
                let (quiz, attempt) = self.some_attempt()?;
                Ask::Look { quiz, attempt }
            }
            95..97 => self.force(quiz),
            _ => return None,
        })
    }

    pub(crate) fn force(&self, quiz: QuizId) -> Ask {
        let owner = self.school.all.iter().find(|own| own.id == quiz).map(|own| own.owner.as_str()).unwrap_or_default();
        Ask::Force { quiz, owner: owner.into(), event: None }
    }

    fn start_of(&mut self, quiz: QuizId) -> Ask {
        self.school.outside.made += 1;
        let made = self.school.outside.made;
        let (attempt, participant) = (Uuid::from_u128(0xA_0000 + made), Uuid::from_u128(0xB_0000 + made));
        let entrant = Entrant { participant, known_to: None, alias: "somebody".into() };
        Ask::Start { quiz, attempt, entrant, event: None, pass: Pass::default() }
    }

    /// Mostly one that runs.
    pub(crate) fn some_attempt(&mut self) -> Option<(QuizId, AttemptId)> {
        let any = self.dice.percent(10);
        let begun = &self.school.begun;
        let fits = |own: &&Attempt| (any || own.is_running()) && begun.contains(&own.started.attempt);
        let fitting = self.school.disk.attempts.values().filter(fits).map(|own| (own.started.quiz, own.started.attempt));
        let fitting: Vec<_> = fitting.collect();
        (!fitting.is_empty()).then(|| *self.dice.pick(&fitting))
    }

    fn answer_of_some(&mut self) -> Option<Ask> {
        let (quiz, attempt) = self.some_attempt()?;
        self.school.outside.made_ids += 1;
        let id = Uuid::from_u128(0xC_0000_0000 + self.school.outside.made_ids);
        let questions = self.school.all.iter().find(|own| own.id == quiz)?.questions.clone();
        let (question, given) = (self.dice.pick(&questions).id, Given::Truth(self.dice.percent(60)));
        Some(Ask::Answer { quiz, attempt, question, id, given })
    }

    fn flag_of_some(&mut self) -> Option<Ask> {
        let (quiz, attempt) = self.some_attempt()?;
        self.school.outside.made_ids += 1;
        let label = format!("F{}", self.school.outside.made_ids);
        let flag = Flag { label, detail: None, question: None, occurred_at: self.now.wall };
        Some(Ask::Flag { quiz, attempt, flags: vec![flag] })
    }

    /// Takes the answers that have come.
    pub(crate) fn poll_asks(&mut self) {
        for at in (0..self.school.asks.len()).rev() {
            let Asked { peer, shard, number, .. } = self.school.asks[at];
            let polled = self.feed(peer, shard).map(|engine| engine.poll_quiz_reply(number, Waker::noop()));
            if let Some(Poll::Ready(reply)) = polled {
                let Asked { ask, .. } = self.school.asks.swap_remove(at);
                note!(self, "reply to {ask:?}: {reply:?}");
                if self.store.is_member(peer) {
                    self.count(if matches!(reply, Reply::Refused(_)) { "asks refused" } else { "asks answered" });
                    self.school.check(&ask, &reply);
                    if let (Ask::Start { attempt, .. }, Reply::Started(_)) = (&ask, &reply) {
                        self.school.begun.insert(*attempt);
                    }
                }
            }
        }
    }

    /// All is at rest: nobody waits for an answer, no attempt runs whose time is long up, and what is on disk is what was written.
    pub(crate) fn check_school(&mut self) {
        self.poll_asks();
        let waiting: Vec<_> = self.school.asks.iter().map(|own| (own.peer, &own.ask)).collect();
        assert!(waiting.is_empty(), "{waiting:?} wait for ever");
        for (id, attempt) in &self.school.disk.attempts {
            let late = attempt.is_overdue(self.now.wall);
            assert!(!late, "the time of {id} is up, and it runs: {attempt:?}");
            let row = self.school.outside.store.attempt(&attempt.started.owner, *id).ok().flatten();
            let (row, _) = row.expect("what was written can be read");
            assert_eq!((row.score, row.answered_count as usize), (attempt.score(), attempt.answers.len()), "{id} on disk");
            assert_eq!((row.reason, row.ended_at), (attempt.closed.map(|end| end.reason), attempt.closed.map(|end| end.at)));
        }
    }
}
