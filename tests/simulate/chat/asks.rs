//! Those who ask over REST for one answer: they make and end sessions, look, decide about calls, and are counted.

use super::{
    cast::{PEOPLE, caller},
    faults::Fault,
    world::Chat,
};
use crate::world::note;
use homeroom::{
    engine::Letter,
    protocols::chat::{
        Ask, Payer, Reply, Row, SessionId,
        asks::Refused,
        model::{Decision, Session, Status},
    },
    realtime::UnixMicros,
};
use std::task::{Poll, Waker};
use uuid::Uuid;

/// An ask that waits.
#[derive(Debug)]
pub(crate) struct Pending {
    shard: usize,
    number: u64,
    pub(crate) ask: Ask,
    since: UnixMicros,
}

/// Rows that nobody else is counted under, and what each lets through.
const ROWS: [(Row, usize); 4] = [(Row::Login, 10), (Row::Stream, 30), (Row::Look, 120), (Row::List, 30)];

impl Chat {
    /// One of the sessions that somebody was told of.
    pub(crate) fn some_session(&mut self) -> SessionId {
        let active = self.book.sessions.values().filter(|row| row.status == Status::Active);
        let known: Vec<SessionId> = active.map(|row| row.id).collect();
        if known.is_empty() { Uuid::from_u128(1) } else { *self.stage.dice.pick(&known) }
    }

    /// Whose it is.
    pub(crate) fn owner(&self, session: SessionId) -> Option<usize> {
        let owner = self.book.sessions.get(&session)?.owner;
        (0..PEOPLE.len()).find(|user| caller(*user).id == owner)
    }

    pub(crate) fn create(&mut self) {
        if self.last_session >= self.plan.sessions {
            return;
        }
        self.last_session += 1;
        let owner = usize::from(self.stage.dice.percent(30));
        let agent = *self.stage.dice.pick(&[None, Some("tutor"), Some("far"), Some("far"), Some("far")]);
        let now = self.stage.now.wall;
        let session = Session {
            id: Uuid::from_u128(self.last_session),
            owner: caller(owner).id,
            title: "".into(),
            agent: agent.map(Into::into),
            status: Status::Active,
            require_approval: self.stage.dice.percent(35),
            metadata: "{}".into(),
            message_count: 0,
            created_at: now,
            updated_at: now,
            ended_at: None,
        };
        self.ask(Ask::Create(Box::new(session)));
    }

    pub(crate) fn ask_something(&mut self) {
        if self.book.sessions.values().all(|row| row.status == Status::Ended) {
            return self.create();
        }
        let session = self.some_session();
        let owner = self.owner(session).unwrap_or(0);
        let user = if self.stage.dice.percent(85) { owner } else { self.stage.dice.below(PEOPLE.len()) };
        let caller = caller(user);
        match self.stage.dice.below(100) {
            0..8 => self.create(),
            8..12 => self.ask(Ask::End { session, caller }),
            12..20 => self.ask(Ask::Look { session, caller }),
            20..28 => self.ask(Ask::Approvals { session, caller }),
            28..85 => self.decide(),
            _ => self.count_one(),
        }
    }

    /// Somebody says yes or no; now and then two at once.
    fn decide(&mut self) {
        let pending: Vec<_> = self.book.pending().map(|approval| (approval.id, approval.session)).collect();
        let all: Vec<_> = self.book.approvals.values().map(|approval| (approval.id, approval.session)).collect();
        let from = if pending.is_empty() || self.stage.dice.percent(12) { all } else { pending };
        if from.is_empty() {
            return;
        }
        let (approval, session) = *self.stage.dice.pick(&from);
        let owner = self.owner(session).unwrap_or(0);
        for _ in 0..if self.stage.dice.percent(20) { 2 } else { 1 } {
            let user = if self.stage.dice.percent(70) { owner } else { self.stage.dice.below(PEOPLE.len()) };
            let yes = self.stage.dice.percent(60);
            self.last_reason += 1;
            let reason = (!yes).then(|| format!("no {}", self.last_reason).into());
            let session = if self.stage.dice.percent(4) { self.some_session() } else { session };
            self.ask(Ask::Decide { session, caller: caller(user), approval, yes, reason, comment: None });
        }
    }

    pub(crate) fn ask(&mut self, ask: Ask) {
        let shard = self.stage.some_shard();
        note!(self.stage, "ask at {shard}: {ask:?}");
        let number = self.stage.feed(shard).ask_chat(ask.clone());
        if self.stage.dice.percent(4) && !matches!(ask, Ask::Create(_)) {
            self.stage.shards[shard].engine.forget_chat_ask(number);
        } else {
            self.asks.push(Pending { shard, number, ask, since: self.stage.now.wall });
        }
        self.turn(shard);
    }

    /// A request under a limit that nobody else is counted under.
    fn count_one(&mut self) {
        let at = *self.stage.dice.pick(&[0, 0, 0, 1, 1, 2, 3]);
        let (row, _) = ROWS[at];
        let payer = if row == Row::Login { Payer::address(0xffff_0a00_0001) } else { Payer::User(caller(0).id) };
        for _ in 0..self.stage.dice.between(1, 6) {
            let shard = self.stage.some_shard();
            let number = self.stage.feed(shard).count_chat(payer, row);
            self.counts_open.push((shard, number, at));
            self.turn(shard);
        }
    }

    /// Takes the answers that have come.
    pub(crate) fn poll_asks(&mut self) {
        for at in (0..self.asks.len()).rev() {
            let Pending { shard, number, .. } = self.asks[at];
            if let Poll::Ready(reply) = self.stage.shards[shard].engine.poll_chat_reply(number, Waker::noop()) {
                let pending = self.asks.swap_remove(at);
                note!(self.stage, "reply to {:?}: {reply:?}", pending.ask);
                self.check_reply(&pending, &reply);
            }
        }
        for at in (0..self.counts_open.len()).rev() {
            let (shard, number, row) = self.counts_open[at];
            if let Poll::Ready(counted) = self.stage.shards[shard].engine.poll_chat_count(number, Waker::noop()) {
                self.counts_open.swap_remove(at);
                self.windows.entry((row, counted.reset)).or_default().push(counted.remaining);
            }
        }
    }

    /// In each window the answers are the limit, counted down to the last, whoever was asked.
    pub(crate) fn check_windows(&self) {
        for ((row, _), answers) in &self.windows {
            let (_, limit) = ROWS[*row];
            let mut through: Vec<u32> = answers.iter().flatten().copied().collect();
            through.sort_unstable_by(|one, other| other.cmp(one));
            if self.stage.moves() > 0 {
                // A window begins anew with each view, at most.
                assert!(through.len() <= limit * (1 + self.stage.moves()), "a window of {limit}: {through:?}");
                continue;
            }
            let expected: Vec<u32> = (0..answers.len().min(limit) as u32).map(|n| limit as u32 - 1 - n).collect();
            assert_eq!(through, expected, "a window of {limit}");
        }
    }

    fn check_reply(&mut self, pending: &Pending, reply: &Reply) {
        match (&pending.ask, reply) {
            (Ask::Create(session), Reply::Session(row)) => {
                assert_eq!(**session, **row);
                assert!(self.book.was(row), "a session is told of and not on disk");
                self.count("sessions");
            }
            (Ask::End { .. }, Reply::Session(row)) => {
                assert!(self.book.was(row) && row.status == Status::Ended, "an end is told and not on disk: {row:?}");
                self.count("sessions ended");
            }
            (Ask::Look { .. }, Reply::Session(row)) => assert!(self.book.was(row), "{row:?} was never on disk"),
            (Ask::Approvals { session, .. }, Reply::Approvals(list)) => {
                for approval in list {
                    assert_eq!((approval.session, approval.decision), (*session, Decision::Pending));
                    assert!(self.book.approvals.contains_key(&approval.id), "it is not on disk");
                }
            }
            (Ask::Decide { caller, approval, yes, reason, .. }, Reply::Decided(decided)) => {
                assert_eq!(self.book.approvals.get(approval), Some(&**decided), "what is told is not what is on disk");
                let decision = if *yes { Decision::Approved } else { Decision::Rejected };
                let by = (decided.decision, decided.decided_by.clone(), decided.reason.clone());
                assert_eq!(by, (decision, Some(caller.email.clone()), reason.clone()), "who decided, and how");
                assert!(self.decided.insert(*approval), "{approval} is decided twice");
                self.count("decisions");
            }
            (ask, Reply::Refused(why)) => self.check_refusal(ask, *why, pending.since),
            (ask, reply) => panic!("{ask:?} is answered {reply:?}"),
        }
    }

    fn check_refusal(&mut self, ask: &Ask, why: Refused, since: UnixMicros) {
        let may_refuse = matches!(why, Refused::Store(fault) if self.may_refuse(fault, ask.session(), since));
        let row = self.book.sessions.get(&ask.session());
        let is_right = match (ask, why) {
            (_, Refused::Store(_)) => may_refuse,
            (Ask::Look { .. } | Ask::Approvals { .. }, Refused::NotHere) => true,
            (Ask::End { caller, .. }, Refused::NoSession) => row.is_none_or(|row| row.owner != caller.id),
            (Ask::Look { caller, .. } | Ask::Approvals { caller, .. } | Ask::Decide { caller, .. }, Refused::NoSession) => {
                row.is_none_or(|row| row.owner != caller.id && !caller.admin)
            }
            (Ask::End { .. }, Refused::Ended) => row.is_some_and(|row| row.status == Status::Ended),
            (Ask::Create(_), Refused::Stopping) => self.is_stopping,
            (Ask::Decide { session, approval, .. }, why) => {
                let kept = self.book.approvals.get(approval).filter(|kept| kept.session == *session);
                let now = self.stage.now.wall;
                match (why, kept) {
                    (Refused::NoApproval, None) => true,
                    (Refused::Processed, Some(kept)) => matches!(kept.decision, Decision::Approved | Decision::Rejected),
                    (Refused::Expired, Some(kept)) => {
                        kept.decision == Decision::Expired || kept.decision == Decision::Pending && kept.expires_at <= now
                    }
                    // Whoever reads the session anew an hour later knows nothing of it.
                    (Refused::NoApproval, Some(kept)) => kept.decided_at.is_some_and(|at| now.0 - at.0 >= 60 * 60 * 1_000_000),
                    _ => false,
                }
            }
            _ => false,
        };
        assert!(is_right, "{ask:?} is refused: {why:?}");
        *self.counts.entry(format!("refused {why:?}")).or_default() += 1;
    }

    /// What becomes of an answer where a fault is planted: how often it comes.
    pub(crate) fn times(&mut self, letter: &Letter) -> usize {
        match letter {
            Letter::ChatReply { .. } if self.strikes(Fault::LostReply, 10) => 0,
            Letter::ChatReply { .. } if self.strikes(Fault::DoubledReply, 20) => 2,
            _ => 1,
        }
    }
}
