//! REST asks that wait for a home's answer.

use super::{Engine, Letter};
use crate::{
    protocols::{
        labs,
        presence::{self, ToHome},
        quiz::{self, ToQuiz, asks::Ask},
    },
    realtime::{ClassroomId, Moment, NodeSlot, Now, ShardId, StoreFault},
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    task::{Poll, Waker},
    time::Duration,
};

/// So much longer than a home lets a request wait somebody waits whose request may go to another node: what was on its way there or back
/// may be lost where nobody notices.
pub(super) const FAR: Duration = Duration::from_secs(5);
/// Whoever begins an attempt waits longer: its answer has what nobody gets a second time.
const BEGINNING: Duration = Duration::from_secs(60);

enum Waiting<R> {
    Unpolled,
    Polled(Waker),
    Answered(R),
}

/// Those of one protocol that wait on one shard.
pub(super) struct Asks<R> {
    last: u64,
    waiting: HashMap<u64, Waiting<R>, FixedState>,
    /// Those that were sent to another node, and to which.
    far: BTreeMap<u64, NodeSlot>,
    /// Those since the last turn that are not waited for without an end, and how long they are.
    new: Vec<(u64, Duration)>,
    /// When each has waited long enough.
    due: BTreeSet<(Moment, u64)>,
}

/// Those that ask classrooms.
pub(super) type PresenceAsks = Asks<presence::asks::Reply>;
/// Those that ask quizzes.
pub(super) type QuizAsks = Asks<quiz::asks::Reply>;
/// Those that ask the registry of labs, and who answers in its place.
pub(super) type LabsAsks = Asks<labs::asks::Reply>;

impl<R> Default for Asks<R> {
    fn default() -> Self {
        Asks { last: 0, waiting: HashMap::default(), far: BTreeMap::new(), new: Vec::new(), due: BTreeSet::new() }
    }
}

impl<R> Asks<R> {
    /// Numbers that those of another life of this shard had not: an answer to one of its asks, which comes to whoever has its place, is
    /// nobody's. `seed` is another at each start.
    pub(super) fn new(seed: u64) -> Asks<R> {
        // Half of all numbers are left to count on.
        Asks { last: seed >> 1, ..Asks::default() }
    }

    /// One more that waits, until its answer was taken or it is forgotten.
    pub(super) fn open(&mut self) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, Waiting::Unpolled);
        self.last
    }

    /// It was sent to this node, which is another one.
    pub(super) fn sent_to(&mut self, number: u64, node: NodeSlot) {
        self.far.insert(number, node);
    }

    /// It is waited for so long and no longer.
    pub(super) fn is_waited_for(&mut self, number: u64, time: Duration) {
        self.new.push((number, time));
    }

    /// Those that came since the last turn wait from now on.
    pub(super) fn wait_from(&mut self, now: Moment) {
        if self.new.is_empty() {
            return;
        }
        self.due.extend(self.new.drain(..).map(|(number, time)| (now + time, number)));
    }

    /// When the next has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Those that have waited too long, and have no answer.
    pub(super) fn late(&mut self, now: Moment) -> Vec<u64> {
        let mut late = Vec::new();
        while self.next_deadline().is_some_and(|due| due <= now) {
            let first = self.due.pop_first().map(|(_, number)| number);
            late.extend(first.filter(|number| self.is_open(*number)));
        }
        late
    }

    /// It is at home on this node by now.
    pub(super) fn came_back(&mut self, number: u64) {
        self.far.remove(&number);
    }

    /// Those that nobody will answer, since that node is gone.
    pub(super) fn lost(&mut self, node: NodeSlot) -> Vec<u64> {
        self.far.extract_if(.., |_, own| *own == node).map(|(number, _)| number).collect()
    }

    /// Whether it waits for its answer.
    pub(super) fn is_open(&self, number: u64) -> bool {
        matches!(self.waiting.get(&number), Some(Waiting::Unpolled | Waiting::Polled(_)))
    }

    /// The answer came. Nobody may wait for it any more.
    pub(super) fn resolve(&mut self, number: u64, reply: R) {
        self.far.remove(&number);
        if let Some(waiting) = self.waiting.get_mut(&number)
            && let Waiting::Polled(waker) = mem::replace(waiting, Waiting::Answered(reply))
        {
            waker.wake();
        }
    }

    pub(super) fn poll(&mut self, number: u64, waker: &Waker) -> Poll<R> {
        match self.waiting.remove(&number) {
            Some(Waiting::Answered(reply)) => Poll::Ready(reply),
            Some(Waiting::Unpolled | Waiting::Polled(_)) | None => {
                self.waiting.insert(number, Waiting::Polled(waker.clone()));
                Poll::Pending
            }
        }
    }

    pub(super) fn forget(&mut self, number: u64) {
        self.far.remove(&number);
        self.waiting.remove(&number);
    }
}

impl Engine {
    /// Sends a question to the home it concerns. The answer is waited for with [`Engine::poll_reply`] until then or [`Engine::forget_ask`].
    pub fn ask(&mut self, ask: presence::asks::Ask) -> u64 {
        let number = self.asks.open();
        self.send_ask(number, ask);
        number
    }

    fn send_ask(&mut self, number: u64, ask: presence::asks::Ask) {
        let home = self.home_of(ask.classroom());
        if !self.crossing.is_alone() {
            self.asks.is_waited_for(number, self.rules.presence.enter_timeout + FAR);
        }
        if home.node() != self.id.node() {
            self.asks.sent_to(number, home.node());
            self.repeats.insert(number, ask.clone());
        }
        self.post(home, Letter::Home(ToHome::Ask { asker: self.id, number, ask: Box::new(ask) }));
    }

    /// Those that came since the last turn wait from now on.
    pub(super) fn asks_wait(&mut self, now: Now) {
        self.asks.wait_from(now.moment);
        self.quiz_asks.wait_from(now.moment);
        self.labs.asks.wait_from(now.moment);
        self.chat_asks_wait(now);
        self.tasks_asks_wait(now);
    }

    /// Whoever has waited too long is told that nobody can say whether it was done. Of what other services said nobody is told: it is
    /// asked again, as when its home died.
    pub(super) fn give_up_asks(&mut self, now: Now) {
        for number in self.asks.late(now.moment) {
            let again = self.repeats.remove(&number).filter(|_| self.outside.is_waiting(number));
            match again {
                Some(ask) => self.send_ask(number, ask),
                None => self.presence_reply(number, presence::asks::Reply::Late),
            }
        }
        for number in self.quiz_asks.late(now.moment) {
            self.quiz_asks.resolve(number, quiz::asks::Reply::Refused(quiz::asks::Refused::Store(StoreFault::Busy)));
        }
        for number in self.labs.asks.late(now.moment) {
            self.labs_reply(number, labs::asks::Reply::Refused(labs::asks::Refused::Store(StoreFault::Busy)));
        }
        self.give_up_chat_asks(now);
        self.give_up_tasks_asks(now);
    }

    /// When the next of them has waited too long.
    pub(super) fn asks_deadline(&self) -> Option<Moment> {
        let (presence, quiz) = (self.asks.next_deadline(), self.quiz_asks.next_deadline());
        presence.into_iter().chain(quiz).chain(self.labs.asks.next_deadline()).min()
    }

    /// An ask has come to a shard where its home is no more. It goes back to whoever asks, and from there to the present home: so he always
    /// knows for whom he waits, and hears when that node dies or the link to it breaks.
    pub(super) fn redirect(&mut self, (asker, number): (ShardId, u64), ask: Box<presence::asks::Ask>) {
        let home = self.home_of(ask.classroom());
        let to = if asker == self.id { home } else { asker };
        if asker == self.id && home.node() != self.id.node() {
            self.asks.sent_to(number, home.node());
            self.repeats.insert(number, (*ask).clone());
        } else if asker == self.id {
            self.asks.came_back(number);
            self.repeats.remove(&number);
        }
        self.post(to, Letter::Home(ToHome::Ask { asker, number, ask }));
    }

    /// As [`Engine::redirect`], of a quiz.
    pub(super) fn redirect_quiz(&mut self, (asker, number): (ShardId, u64), ask: Box<Ask>) {
        let home = self.writer_of(&ask);
        let to = if asker == self.id { home } else { asker };
        if asker == self.id && home.node() != self.id.node() {
            self.quiz_asks.sent_to(number, home.node());
        } else if asker == self.id {
            self.quiz_asks.came_back(number);
        }
        self.post(to, Letter::QuizHome(ToQuiz::Ask { asker, number, ask }));
    }

    /// The answer, once.
    pub fn poll_reply(&mut self, number: u64, waker: &Waker) -> Poll<presence::asks::Reply> {
        self.asks.poll(number, waker)
    }

    /// Nobody waits for this answer any more.
    pub fn forget_ask(&mut self, number: u64) {
        self.asks.forget(number);
        self.repeats.remove(&number);
    }

    /// A home answers.
    pub(super) fn presence_reply(&mut self, number: u64, reply: presence::asks::Reply) {
        if self.outside_hears(number, &reply) {
            return;
        }
        self.asks.resolve(number, reply);
        self.repeats.remove(&number);
    }

    /// What was asked of that node nobody answers any more. What only looks is asked again, and so is what may be done twice; of the rest
    /// nobody can say whether it was done.
    pub(super) fn lose_asks(&mut self, node: NodeSlot) {
        for number in self.asks.lost(node) {
            if let Some(ask) = self.repeats.remove(&number) {
                self.send_ask(number, ask);
            }
        }
        for number in self.quiz_asks.lost(node) {
            self.quiz_asks.resolve(number, quiz::asks::Reply::Refused(quiz::asks::Refused::Store(StoreFault::Busy)));
        }
        self.lose_labs_asks(node);
        self.lose_tasks_asks(node);
    }

    /// As [`Engine::ask`], to the home of a quiz. Waited for with [`Engine::poll_quiz_reply`] until then or
    /// [`Engine::forget_quiz_ask`]. One that nobody waits for any more is done all the same.
    pub fn ask_quiz(&mut self, ask: Ask) -> u64 {
        let number = self.quiz_asks.open();
        let home = self.writer_of(&ask);
        if home.node() != self.id.node() {
            self.quiz_asks.sent_to(number, home.node());
        }
        if !self.crossing.is_alone() {
            let begins = matches!(ask, Ask::Start { .. });
            let time = if begins { BEGINNING } else { self.rules.quiz.keep_timeout + FAR };
            self.quiz_asks.is_waited_for(number, time);
        }
        self.post_to_quiz(ToQuiz::Ask { asker: self.id, number, ask: Box::new(ask) });
        number
    }

    /// The answer, once.
    pub fn poll_quiz_reply(&mut self, number: u64, waker: &Waker) -> Poll<quiz::asks::Reply> {
        self.quiz_asks.poll(number, waker)
    }

    /// Nobody waits for this answer any more.
    pub fn forget_quiz_ask(&mut self, number: u64) {
        self.quiz_asks.forget(number);
    }

    /// As [`Engine::ask`], to the registry of labs, or to whoever answers this ask in its place. Waited for with
    /// [`Engine::poll_labs_reply`] until then or [`Engine::forget_labs_ask`]. One that nobody waits for any more is done all the same.
    pub fn ask_labs(&mut self, ask: labs::asks::Ask) -> u64 {
        let number = self.labs.asks.open();
        if !self.crossing.is_alone() {
            let labs::Settings { keep_timeout, command_wait, logs_wait, .. } = self.rules.labs;
            self.labs.asks.is_waited_for(number, keep_timeout + command_wait.max(logs_wait) + FAR);
        }
        self.send_labs_ask(number, ask);
        number
    }

    /// The answer, once.
    pub fn poll_labs_reply(&mut self, number: u64, waker: &Waker) -> Poll<labs::asks::Reply> {
        self.labs.asks.poll(number, waker)
    }

    /// Nobody waits for this answer any more.
    pub fn forget_labs_ask(&mut self, number: u64) {
        self.labs_ask_is_over(number);
        self.labs.asks.forget(number);
    }

    /// Sorts classrooms by their homes, for a question about many.
    pub fn by_home<T>(&self, items: Vec<T>, classroom: impl Fn(&T) -> ClassroomId) -> Vec<Vec<T>> {
        let mut homes: BTreeMap<ShardId, Vec<T>> = BTreeMap::new();
        for item in items {
            homes.entry(self.home_of(classroom(&item))).or_default().push(item);
        }
        homes.into_values().collect()
    }

    /// The one shard that writes what is asked for: a quiz's home, a key's or an account's (so that all shards hear of its changes in the
    /// order in which they are on disk), or this one where it does not matter.
    pub(super) fn writer_of(&self, ask: &Ask) -> ShardId {
        match ask {
            Ask::Keep(record) => record.key_place().map_or(self.id, |place| self.ring.home(place)),
            Ask::Edit { quiz, .. } | Ask::Start { quiz, .. } | Ask::Look { quiz, .. } | Ask::Answer { quiz, .. } => {
                self.home_of_quiz(*quiz)
            }
            Ask::Submit { quiz, .. } | Ask::Flag { quiz, .. } | Ask::Force { quiz, .. } => self.home_of_quiz(*quiz),
        }
    }
}
