//! What is said when, and what becomes of the answers.

use super::{
    BEGINS_PER_TURN, Chats,
    contract::{self, Word, read_word},
    ear::Place,
    line::Phase,
    order::Name,
};
use crate::{
    clock,
    fault::Fault,
    tally::{Measure, When},
    wire::poll::Lines,
};

/// One session.
pub(super) struct Session {
    /// Its number in the whole run.
    pub(super) number: u32,
    /// Its first connection, which speaks.
    pub(super) first: u32,
    /// Messages whose moment has come, and those that were said.
    due: u32,
    said: u32,
    /// The answer that is being given, as its server names it.
    operation: String,
    cancel: Option<Cancel>,
    /// What its answers were, where they are to be compared with what is kept.
    pub(super) texts: Option<Vec<String>>,
}

/// A cancel, and what came after it.
#[derive(Clone, Copy, Debug)]
struct Cancel {
    answer: Name,
    at_ns: u64,
    last_word_ns: u64,
}

impl Session {
    /// In which nothing was said.
    pub(super) fn new(number: u32, first: u32, is_sampled: bool) -> Session {
        let texts = is_sampled.then(Vec::new);
        Session { number, first, due: 0, said: 0, operation: String::new(), cancel: None, texts }
    }
}

impl Chats {
    /// Messages are said from `from_ns` on.
    pub(super) fn open_schedule(&mut self, from_ns: u64) {
        let live = self.listeners.iter().filter(|listener| listener.phase == Phase::Open).count() as u64;
        self.awaited = live * u64::from(self.order.plan.messages);
        self.give_up_ns = self.order.plan.end_ns(from_ns).saturating_add(clock::nanos(self.order.timeout));
        self.tally.streaming.hold(from_ns);
    }

    /// Whether every message's moment has come.
    pub(super) fn all_said(&self) -> bool {
        self.next >= self.sessions.len() * self.order.plan.messages as usize
    }

    /// Says what is due; returns when the next message is.
    pub(super) fn begin_messages(&mut self, from_ns: u64) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            if self.all_said() {
                return u64::MAX;
            }
            // All first messages come before any second: none is spread over more than lies between two of a session.
            let (place, message) = (self.next % self.sessions.len(), self.next / self.sessions.len());
            let name = Name { session: self.sessions[place].number, message: message as u32 };
            let (due_ns, now_ns) = (self.order.plan.due_ns(from_ns, name), clock::now_ns());
            if now_ns < due_ns {
                return due_ns;
            }
            self.next += 1;
            self.tally.record(Measure::Lag, now_ns - due_ns);
            self.sessions[place].due += 1;
            self.owe(name);
            self.say_on(place as u32);
        }
        0
    }

    /// Counts what must be heard of an answer.
    fn owe(&mut self, name: Name) {
        let (plan, chat) = (&self.order.plan, &mut self.tally.chat);
        let lines = u64::from(plan.lines(name.session));
        chat.asked += 1;
        chat.ends_owed += lines;
        chat.words_owed += if plan.is_cancelled(name) { 0 } else { lines * u64::from(plan.words) };
    }

    /// Says what is due in a session. On a socket a message waits for nothing; a request waits for the answer to the one before.
    pub(super) fn say_on(&mut self, place: u32) {
        loop {
            let Session { number, first, due, said, .. } = self.sessions[place as usize];
            let listener = &self.listeners[first as usize];
            if said == due || !listener.is_free() {
                self.tally.chat.held_back += u64::from(said < due && listener.phase == Phase::Open);
                return;
            }
            let is_stream = listener.follows.is_some();
            self.sessions[place as usize].said += 1;
            let name = Name { session: number, message: said };
            let done = if is_stream {
                self.ask(first, name)
            } else {
                let text = contract::message(&contract::question(&self.order.plan, name));
                self.say(first, &text)
            };
            if let Err(fault) = done {
                return self.over(first, fault);
            }
        }
    }

    /// An answer begins.
    pub(super) fn start(&mut self, place: u32, operation: &str) {
        let at = &mut self.listeners[place as usize];
        self.tally.chat.starts_heard += 1;
        self.tally.chat.misplaced += u64::from(!at.ear.start());
        if at.is_first {
            let session = &mut self.sessions[at.session as usize];
            session.operation.clear();
            session.operation.push_str(operation);
            session.texts.iter_mut().for_each(|texts| texts.push(String::new()));
        }
    }

    /// A word is heard.
    pub(super) fn word(&mut self, place: u32, text: &str, now_ns: u64) {
        let at = &mut self.listeners[place as usize];
        let read = read_word(self.order.plan.answers, text);
        let found = read.map(|word| (word, at.ear.word(word, now_ns)));
        let name = at.ear.answer();
        let is_stray = matches!(found, Some((_, Place::Stray)));
        if at.is_first
            && !is_stray
            && let Some(kept) = self.sessions[at.session as usize].texts.as_mut().and_then(|texts| texts.last_mut())
        {
            kept.push_str(text);
        }
        self.tally.streaming.hold(now_ns);
        match found {
            Some((word, Place::Next(before))) => self.heard(place, name, word, before, now_ns),
            Some((_, Place::Stray)) => self.tally.chat.stray += 1,
            Some((_, Place::Wrong)) | None => self.tally.chat.broken += 1,
        }
    }

    fn heard(&mut self, place: u32, name: Name, word: Word, before: Option<(u64, Option<u64>)>, now_ns: u64) {
        let (plan, is_first) = (self.order.plan, self.listeners[place as usize].is_first);
        if name.message >= plan.unmeasured {
            self.measure(name, word, before, now_ns);
        }
        if !plan.is_cancelled(name) {
            self.tally.chat.words_heard += 1;
            return;
        }
        if !is_first {
            self.tally.chat.words_of_cancelled_beside += 1;
            return;
        }
        self.tally.chat.words_of_cancelled += 1;
        self.tally.chat.words_owed_beside += u64::from(plan.sockets - 1);
        let session = &mut self.sessions[self.listeners[place as usize].session as usize];
        if let Some(cancel) = session.cancel.as_mut().filter(|cancel| cancel.answer == name) {
            cancel.last_word_ns = now_ns;
        } else if word.number == plan.middle() {
            let text = contract::cancel(&session.operation);
            let at_ns = clock::now_ns();
            session.cancel = Some(Cancel { answer: name, at_ns, last_word_ns: at_ns });
            self.tally.chat.cancels += 1;
            self.tally.cancelled.push((name, at_ns));
            if let Err(fault) = self.say(place, &text) {
                self.over(place, fault);
            }
        }
    }

    fn measure(&mut self, name: Name, word: Word, before: Option<(u64, Option<u64>)>, now_ns: u64) {
        let Some((_, from_ns)) = self.stage else { return };
        let (tally, plan) = (&mut self.tally, &self.order.plan);
        if let Some(sent_ns) = word.sent_ns {
            let measure = if word.number == 0 { Measure::FirstWord } else { Measure::Word };
            tally.record(measure, now_ns.saturating_sub(sent_ns));
        }
        match before {
            None => tally.record(Measure::Reply, now_ns.saturating_sub(plan.due_ns(from_ns, name))),
            Some((heard_ns, sent_ns)) => {
                let should_ns = match (word.sent_ns, sent_ns) {
                    (Some(sent_ns), Some(before_ns)) => sent_ns.saturating_sub(before_ns),
                    (None, _) | (_, None) => clock::nanos(plan.pace),
                };
                tally.record(Measure::Gap, (now_ns - heard_ns).abs_diff(should_ns));
            }
        }
    }

    /// An answer ends.
    pub(super) fn end(&mut self, place: u32, now_ns: u64) {
        let (plan, at) = (self.order.plan, &mut self.listeners[place as usize]);
        let name = at.ear.answer();
        if !at.ear.end() {
            self.tally.chat.misplaced += 1;
            return;
        }
        self.tally.chat.ends_heard += 1;
        self.tally.streaming.hold(now_ns);
        self.awaited = self.awaited.saturating_sub(1);
        let is_whole = at.ear.next == plan.words;
        if !plan.is_cancelled(name) {
            self.tally.chat.short += u64::from(!is_whole);
        } else if at.is_first {
            self.tally.chat.cut_short += u64::from(!is_whole);
            if let Some(Cancel { at_ns, last_word_ns, .. }) = self.sessions[at.session as usize].cancel.take() {
                self.tally.record(Measure::CancelWord, last_word_ns.saturating_sub(at_ns));
                self.tally.record(Measure::CancelEnd, now_ns.saturating_sub(at_ns));
            }
        }
    }

    /// Something could not be compared.
    pub(super) fn unproved(&mut self, fault: &Fault) {
        self.blame(When::Proving, fault);
    }
}
