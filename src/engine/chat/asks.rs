//! REST asks of chat: those that have one answer, those that follow one as it is given, and what limits count.

use super::super::{Engine, Letter};
use crate::{
    engine::letters::Payee,
    protocols::chat::{Ask, Event, MessageId, Payer, Reply, Row, SessionId, ToSession, Told},
    realtime::{Counted, Now},
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::task::{Poll, Waker};

/// Takes each piece of an answer as it comes; false: it takes no more.
type Tell = Box<dyn FnMut(Told) -> bool>;

struct Follower {
    session: SessionId,
    answer: MessageId,
    tell: Tell,
}

/// Those who follow an answer from this shard.
#[derive(Default)]
pub(super) struct Followers {
    last: u64,
    open: HashMap<u64, Follower, FixedState>,
    by_answer: HashMap<MessageId, u64, FixedState>,
}

impl Followers {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn close(&mut self, number: u64) -> Option<Follower> {
        let follower = self.open.remove(&number)?;
        self.by_answer.remove(&follower.answer);
        Some(follower)
    }
}

impl Engine {
    /// Sends a question to the home of a session: anything but [`Ask::Say`] and [`Ask::Leave`]. The answer is waited for with
    /// [`Engine::poll_chat_reply`] until then or [`Engine::forget_chat_ask`]. One that nobody waits for any more is done all the same.
    pub fn ask_chat(&mut self, ask: Ask) -> u64 {
        let number = self.chat.asks.open();
        self.post_to_session(ToSession::Ask { asker: self.id, number, ask: Box::new(ask) });
        number
    }

    /// The answer, once.
    pub fn poll_chat_reply(&mut self, number: u64, waker: &Waker) -> Poll<Reply> {
        self.chat.asks.poll(number, waker)
    }

    /// The home answers.
    pub(in crate::engine) fn chat_replies(&mut self, number: u64, reply: Reply) {
        self.chat.asks.resolve(number, reply);
    }

    /// Nobody waits for this answer any more.
    pub fn forget_chat_ask(&mut self, number: u64) {
        self.chat.asks.forget(number);
    }

    /// Sends [`Ask::Say`]: `tell` hears each piece of the answer, and is dropped after the last. One that takes no more is told no
    /// more, and the home hears that it has left.
    pub fn say_chat(&mut self, say: Ask, tell: Tell) {
        let Ask::Say { session, ids: [_, answer], .. } = say else {
            debug_assert!(false, "nothing else is followed");
            return;
        };
        let followers = &mut self.chat.followers;
        followers.last += 1;
        let number = followers.last;
        followers.open.insert(number, Follower { session, answer, tell });
        followers.by_answer.insert(answer, number);
        self.post_to_session(ToSession::Ask { asker: self.id, number, ask: Box::new(say) });
    }

    /// Sends [`Ask::Leave`]: whoever followed that answer is told no more.
    pub fn leave_chat(&mut self, leave: Ask) {
        if let Ask::Leave { answer, .. } = leave
            && let Some(number) = self.chat.followers.by_answer.get(&answer).copied()
        {
            self.chat.followers.close(number);
        }
        self.post_to_session(ToSession::Ask { asker: self.id, number: 0, ask: Box::new(leave) });
    }

    /// The home tells a follower more.
    pub(in crate::engine) fn chat_tells(&mut self, number: u64, told: Told) {
        let Some(follower) = self.chat.followers.open.get_mut(&number) else { return };
        let is_last = match &told {
            Told::Waits(_) | Told::End { .. } | Told::Refused(_) => true,
            Told::Begin { .. } | Told::Delta(_) | Told::Call { .. } | Told::Result { .. } | Told::Asked { .. } => false,
        };
        let takes_more = (follower.tell)(told);
        if is_last {
            self.chat.followers.close(number);
        } else if !takes_more && let Some(Follower { session, answer, .. }) = self.chat.followers.close(number) {
            self.post_to_session(ToSession::Ask { asker: self.id, number, ask: Box::new(Ask::Leave { session, answer }) });
        }
    }

    /// Counts a request at the home of its payer. Waited for with [`Engine::poll_chat_count`] until then or [`Engine::forget_chat_count`].
    pub fn count_chat(&mut self, payer: Payer, row: Row) -> u64 {
        let number = self.chat.counts.open();
        self.post_count(Payee::Rest(self.id, number), payer, row);
        number
    }

    /// How it was counted, once.
    pub fn poll_chat_count(&mut self, number: u64, waker: &Waker) -> Poll<Counted> {
        self.chat.counts.poll(number, waker)
    }

    /// Nobody waits for that any more.
    pub fn forget_chat_count(&mut self, number: u64) {
        self.chat.counts.forget(number);
    }

    pub(super) fn post_count(&mut self, payee: Payee, payer: Payer, row: Row) {
        self.post(self.own_ring.home(&payer.bytes()), Letter::ChatCount { payee, payer, row });
    }

    /// Somebody is counted at the home of the payer.
    pub(in crate::engine) fn count(&mut self, payee: Payee, payer: Payer, row: Row, now: Now) {
        let counted = self.chat.quotas.count(payer, row, now);
        let to = match payee {
            Payee::Rest(shard, _) => shard,
            Payee::Socket(conn) => conn.shard,
        };
        self.post(to, Letter::ChatCounted { payee, counted });
    }

    /// The home of a payer has counted.
    pub(in crate::engine) fn counted(&mut self, payee: Payee, counted: Counted, now: Now) {
        match payee {
            Payee::Rest(_, number) => self.chat.counts.resolve(number, counted),
            Payee::Socket(conn) => self.chat_event(self.key(conn), Event::Limited(counted.wait(now.wall)), now),
        }
    }
}
