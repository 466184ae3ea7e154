//! REST asks of chat: those that have one answer, those that follow one as it is given, and what limits count.

use super::super::{Engine, Letter};
use crate::{
    engine::{Connection, Phase, asks::FAR, letters::Payee},
    protocols::chat::{Ask, Event, MessageId, Payer, Reply, Row, SessionId, ToSession, Told, UserId, asks::Refused},
    realtime::{Counted, NodeSlot, Now, ShardId, StoreFault, table::Key},
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::{
    collections::BTreeMap,
    task::{Poll, Waker},
};

/// As often an ask is sent on from where a session is not to where it is said to be. More are told that the store is busy.
pub(super) const HOPS_AT_MOST: u8 = 16;

/// Takes each piece of an answer as it comes; false: it takes no more.
type Tell = Box<dyn FnMut(Told) -> bool>;

struct Follower {
    session: SessionId,
    answer: MessageId,
    tell: Tell,
    /// The home that was asked.
    home: ShardId,
    /// What was asked, until the answer begins: another home may have to be asked. None where there is no other.
    say: Option<Box<Ask>>,
    hops: u8,
}

/// What was asked of homes that may send it on, or be gone before they answer.
#[derive(Default)]
pub(super) struct Repeats {
    asks: BTreeMap<u64, (Box<Ask>, u8)>,
    counts: BTreeMap<u64, (Payer, Row)>,
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
        let home = self.home_of_session(ask.session());
        if !self.crossing.is_alone() {
            self.chat.repeats.asks.insert(number, (Box::new(ask.clone()), 0));
            self.chat.asks.is_waited_for(number, self.rules.chat.keep_timeout + FAR);
        }
        self.post_chat_ask(home, number, Box::new(ask));
        number
    }

    fn post_chat_ask(&mut self, home: ShardId, number: u64, ask: Box<Ask>) {
        if !self.crossing.is_alone() {
            self.chat.asks.sent_to(number, home.node());
        }
        self.post(home, Letter::ChatHome(ToSession::Ask { asker: self.id, number, ask }));
    }

    /// The answer, once.
    pub fn poll_chat_reply(&mut self, number: u64, waker: &Waker) -> Poll<Reply> {
        self.chat.asks.poll(number, waker)
    }

    /// As [`Engine::asks_wait`].
    pub(in crate::engine) fn chat_asks_wait(&mut self, now: Now) {
        self.chat.asks.wait_from(now.moment);
    }

    /// As [`Engine::give_up_asks`]. What is counted is not given up: to count it twice would take from what its payer may.
    pub(in crate::engine) fn give_up_chat_asks(&mut self, now: Now) {
        for number in self.chat.asks.late(now.moment) {
            self.chat_replies(number, Reply::Refused(Refused::Store(StoreFault::Busy)));
        }
    }

    /// The home answers.
    pub(in crate::engine) fn chat_replies(&mut self, number: u64, reply: Reply) {
        self.chat.asks.resolve(number, reply);
        self.chat.repeats.asks.remove(&number);
    }

    /// Nobody waits for this answer any more.
    pub fn forget_chat_ask(&mut self, number: u64) {
        self.chat.asks.forget(number);
        self.chat.repeats.asks.remove(&number);
    }

    /// Sends [`Ask::Say`]: `tell` hears each piece of the answer, and is dropped after the last. One that takes no more is told no
    /// more, and the home hears that it has left.
    pub fn say_chat(&mut self, say: Ask, tell: Tell) {
        let Ask::Say { session, ids: [_, answer], .. } = say else {
            debug_assert!(false, "nothing else is followed");
            return;
        };
        let (home, say) = (self.home_of_session(session), Box::new(say));
        let followers = &mut self.chat.followers;
        followers.last += 1;
        let number = followers.last;
        let repeat = (!self.crossing.is_alone()).then(|| say.clone());
        followers.open.insert(number, Follower { session, answer, tell, home, say: repeat, hops: 0 });
        followers.by_answer.insert(answer, number);
        self.post(home, Letter::ChatHome(ToSession::Ask { asker: self.id, number, ask: say }));
    }

    /// Sends [`Ask::Leave`]: whoever followed that answer is told no more.
    pub fn leave_chat(&mut self, leave: Ask) {
        let Ask::Leave { answer, .. } = leave else { return };
        let number = self.chat.followers.by_answer.get(&answer).copied();
        let follower = number.and_then(|number| self.chat.followers.close(number));
        let home = follower.map_or_else(|| self.home_of_session(leave.session()), |follower| follower.home);
        self.post(home, Letter::ChatHome(ToSession::Ask { asker: self.id, number: 0, ask: Box::new(leave) }));
    }

    /// The home tells a follower more.
    pub(in crate::engine) fn chat_tells(&mut self, number: u64, told: Told) {
        let Some(follower) = self.chat.followers.open.get_mut(&number) else { return };
        let is_last = match &told {
            Told::Waits(_) | Told::End { .. } | Told::Refused(_) => true,
            Told::Begin { .. } | Told::Delta(_) | Told::Call { .. } | Told::Result { .. } | Told::Asked { .. } => false,
        };
        follower.say = None;
        let takes_more = (follower.tell)(told);
        if is_last {
            self.chat.followers.close(number);
        } else if !takes_more && let Some(Follower { session, answer, home, .. }) = self.chat.followers.close(number) {
            self.leave_answer(home, session, answer);
        }
    }

    fn leave_answer(&mut self, home: ShardId, session: SessionId, answer: MessageId) {
        let ask = Box::new(Ask::Leave { session, answer });
        self.post(home, Letter::ChatHome(ToSession::Ask { asker: self.id, number: 0, ask }));
    }

    /// An ask was not answered, since the session is at home there by the view of who says so.
    pub(in crate::engine) fn chat_is_elsewhere(&mut self, number: u64, follows: bool, at: ShardId) {
        if follows {
            return self.follow_elsewhere(number, at);
        }
        match self.chat.repeats.asks.get_mut(&number) {
            Some((ask, hops)) if *hops < HOPS_AT_MOST => {
                *hops += 1;
                let ask = ask.clone();
                let home = self.there(at, ask.session());
                self.post_chat_ask(home, number, ask);
            }
            Some(_) | None => self.chat_replies(number, Reply::Refused(Refused::Store(StoreFault::Busy))),
        }
    }

    fn follow_elsewhere(&mut self, number: u64, at: ShardId) {
        let Some(follower) = self.chat.followers.open.get_mut(&number) else { return };
        let session = follower.session;
        follower.hops = follower.hops.saturating_add(1);
        match follower.say.clone().filter(|_| follower.hops <= HOPS_AT_MOST) {
            Some(ask) => {
                let home = self.there(at, session);
                if let Some(follower) = self.chat.followers.open.get_mut(&number) {
                    follower.home = home;
                }
                self.post(home, Letter::ChatHome(ToSession::Ask { asker: self.id, number, ask }));
            }
            None => self.chat_tells(number, Told::Refused(Refused::Store(StoreFault::Busy))),
        }
    }

    /// The node is gone, or what was on its way to and from it is lost: nobody can say whether what was asked there was done. Requests are
    /// counted anew.
    pub(super) fn lose_chat_asks(&mut self, node: NodeSlot) {
        for number in self.chat.asks.lost(node) {
            self.chat_replies(number, Reply::Refused(Refused::Store(StoreFault::Busy)));
        }
        let followed = self.chat.followers.open.iter().filter(|(_, follower)| follower.home.node() == node);
        let mut lost: Vec<u64> = followed.map(|(number, _)| *number).collect();
        lost.sort_unstable();
        for number in lost {
            let left = self.chat.followers.open.get(&number).map(|follower| (follower.home, follower.session, follower.answer));
            self.chat_tells(number, Told::Refused(Refused::Lost));
            // Where the home lives, it goes on for nobody.
            if let Some((home, session, answer)) = left.filter(|(home, ..)| self.ring.view().has(*home)) {
                self.leave_answer(home, session, answer);
            }
        }
        for number in self.chat.counts.lost(node) {
            if let Some((payer, row)) = self.chat.repeats.counts.remove(&number) {
                self.count_at_home(number, payer, row);
            }
        }
        for key in self.connections.keys().collect::<Vec<_>>() {
            let Some(Connection { phase: Phase::Chat(seat), .. }) = self.connections.at_mut(key) else { continue };
            if seat.counting.take_if(|counting| *counting == node).is_some()
                && let Some(user) = seat.user
            {
                self.count_message(key, user);
            }
        }
    }

    /// Counts a request at the home of its payer. Waited for with [`Engine::poll_chat_count`] until then or [`Engine::forget_chat_count`].
    pub fn count_chat(&mut self, payer: Payer, row: Row) -> u64 {
        let number = self.chat.counts.open();
        self.count_at_home(number, payer, row);
        number
    }

    fn count_at_home(&mut self, number: u64, payer: Payer, row: Row) {
        let home = self.post_count(Payee::Rest(self.id, number), payer, row);
        if !self.crossing.is_alone() {
            self.chat.counts.sent_to(number, home.node());
            self.chat.repeats.counts.insert(number, (payer, row));
        }
    }

    /// How it was counted, once.
    pub fn poll_chat_count(&mut self, number: u64, waker: &Waker) -> Poll<Counted> {
        self.chat.counts.poll(number, waker)
    }

    /// Nobody waits for that any more.
    pub fn forget_chat_count(&mut self, number: u64) {
        self.chat.counts.forget(number);
        self.chat.repeats.counts.remove(&number);
    }

    /// Where it is counted.
    fn post_count(&mut self, payee: Payee, payer: Payer, row: Row) -> ShardId {
        let home = self.ring.home(&payer.bytes());
        self.post(home, Letter::ChatCount { payee, payer, row });
        home
    }

    /// Counts a message that a socket wants to send.
    pub(super) fn count_message(&mut self, key: Key, user: UserId) {
        let conn = self.conn_id(key);
        let home = self.post_count(Payee::Socket(conn), Payer::User(user), Row::Message);
        if let Some(Connection { phase: Phase::Chat(seat), .. }) = self.connections.at_mut(key) {
            seat.counting = Some(home.node());
        }
    }

    /// Somebody is counted here: at the home of the payer, or where that was by the view of who asks.
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
            Payee::Rest(_, number) => {
                self.chat.counts.resolve(number, counted);
                self.chat.repeats.counts.remove(&number);
            }
            Payee::Socket(conn) => {
                let key = self.key(conn);
                if let Some(Connection { phase: Phase::Chat(seat), .. }) = self.connections.at_mut(key) {
                    seat.counting = None;
                }
                self.chat_event(key, Event::Limited(counted.wait(now.wall)), now);
            }
        }
    }
}
