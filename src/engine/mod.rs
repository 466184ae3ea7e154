//! A shard without a reactor: its connections, its homes, its deliveries. The one room that knows all protocols.
//!
//! The shell feeds it what happened ([`Engine::accepted`], [`Engine::received`], …) and, once a turn, takes what is to be done
//! ([`Engine::finish`]). The protocol between the two is told in [`port`].

mod admission;
mod asks;
mod audit;
mod burial;
mod chat;
mod connection;
pub mod counters;
mod crossing;
mod delivery;
pub mod door;
mod ids;
mod keys;
mod labs;
mod leaving;
mod letters;
mod limiting;
pub mod limits;
mod models;
mod outside;
pub mod passage;
pub mod port;
mod presence;
mod quiz;
mod reading;
mod socket;
mod survey;
mod tasks;
pub mod thinning;
mod topic;
mod tracing;
mod waiting;

pub use counters::{Counters, Ending};
pub use letters::{Answer, Letter, Payee, Question, Since};
pub use limits::{CHAT_SOCKET, Entrance, LABS_SOCKETS, Limits, Rules, Seats, SocketApi, TASKS_SOCKET, Terms};
pub use models::RunId;
pub use outside::Heard;
pub use port::{Handoff, Listener, Output, Segment, Send};
pub use survey::Errand;
pub use topic::Topic;

use crate::{
    protocols::{
        presence::{self as rooms, Effect, Homes, Outcome, ToHome, messages::Parser},
        quiz::{Effect as QuizEffect, Homes as Quizzes, Keys, Outcome as QuizOutcome, Parser as QuizParser, Phases, QuizId},
    },
    realtime::{
        ClassroomId, ConnId, Moment, Now, ShardId,
        hash_ring::HashRing,
        table::{Key, Table},
        topics::Topics,
        wheel::Wheel,
    },
    traces::SignIns,
    websocket::session::Scratch,
};
use admission::Strays;
use asks::{PresenceAsks, QuizAsks};
use audit::Audit;
use chat::Chat;
use connection::{Connection, Phase};
use crossing::Crossing;
use delivery::{Notices, Owed};
use door::{Line, Paces};
use foldhash::fast::FixedState;
use keys::Tellings;
use labs::Labs;
use leaving::Leaving;
use models::Models;
use outside::Outside;
use quiz::Present;
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
};
use survey::Survey;
use tasks::Tasks;
use thinning::Thinning;

/// What makes one shard differ from another.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    /// Which shard it is.
    pub id: ShardId,
    /// When it begins.
    pub start: Moment,
    /// Random, so that nobody can choose keys that fall together; equal seeds behave equally.
    pub seed: u64,
}

/// One shard.
pub struct Engine {
    id: ShardId,
    /// Of all nodes.
    ring: Arc<HashRing>,
    crossing: Crossing,
    limits: Limits,
    rules: Arc<Rules>,
    counters: Arc<Counters>,
    line: Line,
    paces: Paces,

    connections: Table<Connection>,
    wheel: Wheel<Key>,
    fired: Vec<(Moment, Key)>,
    live: usize,
    closed: bool,
    /// Another process goes on with the connections.
    is_parting: bool,
    thinning: Thinning,
    /// Makes of a key what nobody chooses.
    jitter: FixedState,

    topics: Topics<Topic, FixedState>,
    homes: Homes,
    quizzes: Quizzes,
    /// Those who may speak for owners.
    keys: Keys,
    key_doubt: Option<keys::Doubt>,
    phases: Phases,
    present: Present,
    strays: Strays,
    ping: Segment,
    asks: PresenceAsks,
    /// What was asked of homes on other nodes, to be asked again when one dies.
    repeats: BTreeMap<u64, rooms::asks::Ask>,
    outside: Outside,
    quiz_asks: QuizAsks,
    tellings: Tellings,
    labs: Labs,
    chat: Chat,
    tasks: Tasks,
    models: Models,
    notices: Notices,
    owed: Owed,
    leaving: Leaving,
    /// The time of what is being read.
    turn: Moment,
    survey: Survey,
    audit: Audit,
    sign_ins: SignIns,

    /// Letters of this shard to itself: its homes' and its connections' words to each other.
    local: VecDeque<Letter>,
    letters: Vec<(ShardId, Letter)>,
    questions: Vec<Question>,
    ready: Vec<Key>,
    overflowed: Vec<Key>,
    output: Output,

    scratch: Scratch,
    parser: Parser,
    quiz_parser: QuizParser,
    wire: Vec<u8>,
    effects: Vec<Effect>,
    outcomes: Vec<Outcome>,
    quiz_effects: Vec<QuizEffect>,
    quiz_outcomes: Vec<QuizOutcome>,
}

impl Engine {
    /// A shard with nobody on it.
    pub fn new(birth: Birth, ring: Arc<HashRing>, limits: Limits, rules: Arc<Rules>, counters: Arc<Counters>) -> Engine {
        Engine {
            id: birth.id,
            labs: Labs::new(birth, &ring, &rules),
            chat: Chat::new(birth, &rules, counters.first_word.clone()),
            tasks: Tasks::new(birth, &rules, counters.task_wait.clone()),
            models: Models::new(birth.seed, birth.start),
            quizzes: Quizzes::new(rules.quiz.clone(), birth.seed, birth.start),
            keys: Keys::default(),
            key_doubt: None,
            phases: Phases::default(),
            present: Present::default(),
            strays: Strays::default(),
            ping: quiz::ping(),
            homes: Homes::new(rules.presence.clone(), birth.id.node(), birth.seed, birth.start),
            topics: Topics::new(FixedState::with_seed(birth.seed)),
            wheel: Wheel::new(birth.start),
            ring,
            crossing: Crossing::new(),
            limits,
            rules,
            counters,
            line: Line::default(),
            paces: Paces::new(birth.seed),
            connections: Table::default(),
            fired: Vec::new(),
            live: 0,
            closed: false,
            is_parting: false,
            thinning: Thinning::default(),
            jitter: FixedState::with_seed(birth.seed),
            asks: PresenceAsks::new(birth.seed),
            repeats: BTreeMap::new(),
            outside: Outside::default(),
            quiz_asks: QuizAsks::new(birth.seed),
            tellings: Tellings::default(),
            notices: Notices::new(),
            owed: Owed::with_hasher(FixedState::with_seed(birth.seed)),
            leaving: Leaving::default(),
            turn: birth.start,
            survey: Survey::default(),
            audit: Audit::default(),
            sign_ins: SignIns::default(),
            local: VecDeque::new(),
            letters: Vec::new(),
            questions: Vec::new(),
            ready: Vec::new(),
            overflowed: Vec::new(),
            output: Output::default(),
            scratch: Scratch::default(),
            parser: Parser::default(),
            quiz_parser: QuizParser::default(),
            wire: Vec::new(),
            effects: Vec::new(),
            outcomes: Vec::new(),
            quiz_effects: Vec::new(),
            quiz_outcomes: Vec::new(),
        }
    }

    /// A letter from another shard, or from this one the long way. Each comes once, and in order for each sender.
    pub fn letter(&mut self, from: ShardId, letter: Letter, now: Now) {
        if self.crossing.is_plain(&letter, from.node() == self.id.node()) {
            self.read(from, letter, now);
        } else {
            self.letter_between_views(from, letter, now);
        }
        self.settle(now);
    }

    /// From now on the shard goes by these. Connections and homes that are there do so from their next word on; the listeners and what each
    /// serves must be the same.
    fn reform(&mut self, Terms { rules, limits }: Terms) {
        self.homes.reform(rules.presence.clone());
        self.quizzes.reform(rules.quiz.clone());
        self.labs.reform(&rules);
        self.chat.reform(&rules);
        self.tasks.reform(&rules);
        if limits.door.pace != self.limits.door.pace {
            self.paces.forgive();
        }
        (self.rules, self.limits) = (rules, limits);
    }

    /// An answer from the store or the bridge.
    pub fn answer(&mut self, answer: Answer, now: Now) {
        self.turn = now.moment;
        match answer {
            Answer::Entered { ticket, result } => {
                self.with_homes(|homes, out| homes.entered(ticket, result, now, out));
                self.say_reached();
            }
            Answer::Kept { ticket, result } => {
                self.with_quizzes(|homes, out| homes.kept(ticket, result, now, out));
                self.say_reached();
            }
            Answer::LabsKept { ticket, result } => {
                self.labs_kept(ticket, result, now);
                self.say_reached();
            }
            Answer::LabsLoaded(result) => self.labs_loaded(result, now),
            Answer::RightsLoaded(result) => self.rights_loaded(result, now),
            Answer::KeysLoaded(result) => self.keys_loaded(result, now),
            Answer::Loaded { quiz, result } => {
                self.with_quizzes(|homes, out| homes.loaded(quiz, result, now, out));
                self.say_reached();
            }
            Answer::Running { look, result } => self.quizzes_run(look, result, now),
            Answer::Permission { conn, allowed } => self.permission(conn, allowed, now),
            Answer::ChatKept { ticket, result } => self.with_sessions(now, |homes, out| homes.kept(ticket, result, now, out)),
            Answer::SessionLoaded { session, result } => {
                self.with_sessions(now, |homes, out| homes.loaded(session, result, now, out));
            }
            Answer::TasksKept { ticket, result } => self.with_tasks(now, |homes, out| homes.kept(ticket, result, now, out)),
            Answer::TaskLoaded { task, result } => {
                self.with_tasks(now, |homes, out| homes.loaded_task(task, result, now, out));
            }
            Answer::ExecutionLoaded { execution, result } => {
                self.with_tasks(now, |homes, out| homes.loaded_execution(execution, result, now, out));
            }
            Answer::TasksLeft { survey, result } => self.tasks_left(survey, result.map(|left| *left), now),
            Answer::TasksCounted(result) => self.with_tasks(now, |homes, out| homes.counted(result, now, out)),
            Answer::Health(health) => self.set_health(health, now),
            Answer::Terms(terms) => self.reform(*terms),
            Answer::Errand(Errand { chore, reply }) => reply(self.run(&chore, now)),
            Answer::Model { run, word } => self.model_said(run, word, now),
            Answer::Tool { run, outcome } => self.tool_did(run, outcome, now),
            Answer::Outside { ticket, classroom, event } => self.outside_says(ticket, classroom, *event),
            Answer::Census(view, census) => self.census(view, &census, now),
        }
        self.settle(now);
    }

    /// Fires what is due.
    pub fn tick(&mut self, now: Now) {
        self.turn = now.moment;
        let mut fired = mem::take(&mut self.fired);
        self.wheel.expire(now.moment, &mut fired);
        for (_, key) in fired.drain(..) {
            self.timer_fired(key, now);
        }
        self.fired = fired;
        self.with_homes(|homes, out| homes.turn(now, out));
        self.with_quizzes(|homes, out| homes.turn(now, out));
        self.give_up_asks(now);
        self.turn_keys(now);
        self.turn_labs(now);
        self.turn_models(now);
        self.with_sessions(now, |homes, out| homes.turn(now, out));
        self.turn_tasks(now);
        self.turn_thinning(now);
        self.settle(now);
    }

    /// No later than the next time that [`Engine::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Moment> {
        let homes =
            [self.homes.next_deadline(), self.quizzes.next_deadline(), self.labs.next_deadline(), self.chat.next_deadline()];
        let own = [self.wheel.next(), self.models.next_deadline(), self.tasks.next_deadline()];
        let keys = self.key_doubt.as_ref().and_then(keys::Doubt::next_deadline);
        own.into_iter().chain(homes).chain([keys, self.asks_deadline(), self.thinning.next_deadline()]).flatten().min()
    }

    /// The process is about to stop: presence sessions are told `terminated`, answers of agents are broken off, tasks that run fail, and
    /// what waits goes on after the next start. All else goes on being served.
    pub fn drain(&mut self, now: Now) {
        self.tell_of_the_stop(now);
        self.with_sessions(now, |homes, out| homes.stop(now, out));
        self.tasks_stop(now);
        self.settle(now);
    }

    /// The drain is over: every connection gets Close 1012, and no new one is taken.
    pub fn close(&mut self, now: Now) {
        self.closed = true;
        for key in self.connections.keys().collect::<Vec<_>>() {
            self.close_for_restart(key, now);
        }
        self.settle(now);
    }

    /// Whether every socket has been released.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Ends the turn: moves all that is to be done into `out`, which is empty.
    pub fn finish(&mut self, now: Now, out: &mut Output) {
        self.deliver(now);
        self.sends_go();
        self.asks_wait(now);
        self.survey.rest(now);
        self.draw_levels();
        self.draw_labs_levels(now);
        self.draw_chat_levels(now);
        self.draw_tasks_levels(now);
        mem::swap(&mut self.output, out);
    }

    /// Sign-ins to homes here that wait for the store, whichever node they are on.
    pub fn entering(&self) -> usize {
        self.homes.entering()
    }

    /// Letters to other shards, in order; to be taken after the sends of the turn were submitted.
    pub fn letters(&mut self) -> &mut Vec<(ShardId, Letter)> {
        &mut self.letters
    }

    /// Questions to the store and the bridge, in order.
    pub fn questions(&mut self) -> &mut Vec<Question> {
        &mut self.questions
    }

    /// What it counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The API keys that are good, as this shard knows them.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    fn read(&mut self, from: ShardId, letter: Letter, now: Now) {
        self.turn = now.moment;
        match letter {
            Letter::Home(letter) => self.home_hears(from, letter, now),
            Letter::QuizHome(letter) => self.quiz_home_hears(from, letter, now),
            Letter::QuizConnection(conn, letter) => self.quiz_home_says(from, conn, letter, now),
            Letter::Connection(conn, letter) => self.home_says(from, conn, letter, now),
            Letter::Publish { topic, frame, members, since } => self.publish(topic, &frame, members, since.at(now.moment)),
            Letter::PublishBut { conn, topic, frame, members, since } => {
                self.publish_but(conn, (topic, &frame), members, since.at(now.moment));
            }
            Letter::Deliver(conn, frame) => self.deliver_one(conn, &frame),
            Letter::Show { conn, topic, frame } => self.show(conn, topic, &frame),
            Letter::Reply { number, reply } => self.presence_reply(number, *reply),
            Letter::QuizReply { number, reply } => self.quiz_asks.resolve(number, *reply),
            Letter::Key { from, telling, change } => self.key_changes(from, telling, &change),
            Letter::KeyHeard { telling } => self.key_heard(from, telling),
            Letter::Registry(letter) => self.registry_hears(from, letter, now),
            Letter::LabsConnection(conn, letter) => self.registry_says(conn, letter, now),
            Letter::Tunnel { to, from, proxy, word } => self.tunnel_says((to, from), proxy, word, now),
            Letter::LabsReply { number, reply } => self.labs_reply(number, *reply),
            Letter::Revoked { from, telling, what } => self.revoked_hears((from, telling), what, now),
            Letter::RevokedHeard { telling } => self.revocation_heard(from, telling),
            Letter::ChatHome(letter) => self.session_home_hears(from, letter, now),
            Letter::ChatConnection(conn, letter) => self.session_says(from, conn, letter, now),
            Letter::ChatMark { session, mark } => self.chat_hears(from, session, mark, now),
            Letter::ChatElsewhere { number, follows, at } => self.chat_is_elsewhere(number, follows, at),
            Letter::ChatReply { number, reply } => self.chat_replies(number, *reply),
            Letter::ChatTold { number, told } => self.chat_tells(number, *told),
            Letter::ChatCount { payee, payer, row } => self.count(payee, payer, row, now),
            Letter::ChatCounted { payee, counted } => self.counted(payee, counted, now),
            Letter::TasksUser(letter) => self.tasks_user_hears(from, letter, now),
            Letter::TaskHome(letter) => self.task_home_hears(from, letter, now),
            Letter::ExecutionHome(letter) => self.execution_home_hears(from, letter, now),
            Letter::TasksHold(hold) => self.tasks_hold(from, hold),
            Letter::TasksInterest(interest) => self.tasks_interest(from, interest),
            Letter::TasksConnection(conn, letter) => self.tasks_home_says(from, conn, letter, now),
            Letter::TasksNews { owner, news } => self.tasks_news(owner, &news, now),
            Letter::TasksCounts { from, counts } => self.with_tasks(now, |homes, out| homes.counts(from, counts, now, out)),
            Letter::TasksTotals(counts) => self.with_tasks(now, |homes, out| homes.totals(counts, now, out)),
            Letter::TasksReply { number, reply } => self.tasks_reply(number, *reply),
            // Of the others: what comes here is between views.
            Letter::ViewBegins { .. } | Letter::ViewReached { .. } => {}
        }
    }

    /// Reads this shard's letters to itself until there are none.
    fn settle(&mut self, now: Now) {
        while let Some(letter) = self.local.pop_front() {
            self.read(self.id, letter, now);
        }
    }

    fn post(&mut self, to: ShardId, letter: Letter) {
        // What says that a client has been told goes the long way also to this shard: after the bytes that told it.
        let after_sends = matches!(letter, Letter::Home(ToHome::Told { .. }) | Letter::ViewReached { .. });
        if to == self.id && !after_sends {
            self.local.push_back(letter);
        } else {
            self.counters.letters.one();
            self.letters.push((to, letter));
        }
    }

    fn home_of(&self, classroom: ClassroomId) -> ShardId {
        self.ring.home(classroom.as_bytes())
    }

    fn home_of_quiz(&self, quiz: QuizId) -> ShardId {
        self.ring.home(&quiz.place())
    }

    fn conn_id(&self, key: Key) -> ConnId {
        ConnId { shard: self.id, generation: key.generation, slot: key.slot }
    }

    fn key(&self, conn: ConnId) -> Key {
        debug_assert_eq!(conn.shard, self.id, "a connection is known only on its shard");
        Key { slot: conn.slot, generation: conn.generation }
    }

    fn draw_levels(&self) {
        let (rooms, members) = self.homes.population();
        self.counters.connections.set(self.connections.len());
        self.counters.handshakes.set(self.line.count());
        self.counters.presence_live.set(self.live);
        self.counters.rooms.set(rooms);
        self.counters.members.set(members);
        self.counters.entering.set(self.homes.entering());
        let homes = self.homes.timers() + self.quizzes.timers() + self.chat.timers() + self.tasks.timers();
        self.counters.timers.set(self.wheel.len() + homes);
        self.counters.topics.set(self.topics.len() + self.tasks.channels());
        let (quizzes, attempts) = self.quizzes.population();
        self.counters.quizzes.set(quizzes);
        self.counters.attempts.set(attempts);
        self.counters.quiz_owners.set(self.present.owners);
        self.counters.quiz_participants.set(self.present.participants);
        self.counters.quiz_watching.set(self.present.watching);
        self.counters.quiz_writing.set(self.quizzes.writing());
        self.counters.quiz_waiting.set(self.quizzes.waiting());
    }
}

#[cfg(test)]
mod tests;
