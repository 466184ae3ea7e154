//! A session that is read: who listens, what is said, what is on its way to disk. One change is written at a time, and each is made when
//! its turn comes, from what is on disk then: so two decisions about the same thing cannot both hold.

use super::{
    answer::Answer,
    asks::{Ask, Broken, Refused, Reply, Told},
    homes::{Circumstances, Outcome, Shards, Timer},
    letters::{FromSession, Mark, ToSession},
    model::{Approval, ApprovalId, Caller, Decision, Message, MessageId, Session, SessionId, Status, UserId},
    record::Change,
    settings::Settings,
};
use crate::{
    models::{Agent, ToolOutcome, Word, run, talk::Attached},
    realtime::{ConnId, Frame, ShardId, StoreFault, TimerId, UnixMicros},
};
use hashbrown::HashMap;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// What may wait to be written, for one session.
const JOBS_AT_MOST: usize = 256;
/// What is to be written, in this order.
pub(super) enum Job {
    /// The session itself.
    Create(Option<(ShardId, u64)>),
    /// What was said, and the beginning of its answer.
    Begin(Box<Said>),
    /// A question for leave, for a call of the answer.
    AskLeave(u32),
    /// An answer to it.
    Decide {
        asker: Option<(ShardId, u64)>,
        caller: Caller,
        approval: ApprovalId,
        yes: bool,
        reason: Option<Arc<str>>,
        comment: Option<Arc<str>>,
    },
    /// Nobody answered it.
    Expire(ApprovalId),
    /// The end of the answer.
    Finish,
    /// The end of the session, perhaps with nobody who asked for it.
    End(Option<(ShardId, u64)>),
}

/// Something that a user says.
pub(super) struct Said {
    pub(super) from: From,
    pub(super) ids: [MessageId; 2],
    pub(super) content: Arc<str>,
    pub(super) attachments: Vec<Attached>,
}

/// Who waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum From {
    /// A socket, which hears it with all others.
    Conn(ConnId),
    /// A REST ask.
    Rest { asker: (ShardId, u64), streamed: bool },
    /// Nobody any more.
    Nobody,
    /// Nobody any more, and the answer is broken off as it begins.
    Unwanted,
}

/// See the file.
pub(super) struct Sitting {
    pub(super) session: Session,
    /// Oldest first; what a model is shown.
    pub(super) history: VecDeque<Message>,
    pub(super) approvals: Vec<Approval>,
    pub(super) answer: Option<Box<Answer>>,
    pub(super) listeners: HashMap<ConnId, UserId>,
    pub(super) shards: Shards,
    pub(super) waiting: VecDeque<Said>,
    pub(super) jobs: VecDeque<Job>,
    pub(super) writing: Option<(Job, Change)>,
    pub(super) silence: Option<TimerId>,
    /// When the store has had its time for what is being written. None while something is: it has had it.
    slow: Option<TimerId>,
    /// The last end could not be written, and is tried again when this fires.
    pub(super) retry: Option<TimerId>,
    /// The home is elsewhere: it stays until nothing goes on, and begins nothing.
    pub(super) is_leaving: bool,
    /// The next home knows that it is still here.
    pub(super) is_held: bool,
}

impl Sitting {
    pub(super) fn new(session: Session, history: Vec<Message>, approvals: Vec<Approval>) -> Sitting {
        Sitting {
            session,
            history: history.into(),
            approvals,
            answer: None,
            listeners: HashMap::new(),
            shards: Shards::new(),
            waiting: VecDeque::new(),
            jobs: VecDeque::new(),
            writing: None,
            silence: None,
            slow: None,
            retry: None,
            is_leaving: false,
            is_held: false,
        }
    }

    pub(super) fn id(&self) -> SessionId {
        self.session.id
    }

    pub(super) fn is_answering(&self) -> bool {
        self.answer.is_some()
    }

    /// Approvals that nobody has decided.
    pub(super) fn pending(&self) -> usize {
        self.approvals.iter().filter(|approval| approval.decision == Decision::Pending).count()
    }

    pub(super) fn create(&mut self, asker: (ShardId, u64), c: &mut Circumstances<'_>) {
        if c.is_stopping {
            return c.refuse(asker, Refused::Stopping);
        }
        self.jobs.push_back(Job::Create(Some(asker)));
    }

    pub(super) fn letter(&mut self, letter: ToSession, c: &mut Circumstances<'_>) {
        match letter {
            ToSession::Join { conn, caller, heard, .. } => self.join(conn, &caller, heard, c),
            ToSession::Part { conn, .. } => self.part(conn),
            ToSession::Say { conn, ids, content, attachments, .. } => {
                // Of one who is being told that the home has moved, or goes to another process, and says it again there.
                let Some(user) = self.listeners.get(&conn).copied().filter(|_| !c.is_parting) else { return };
                let said = Said { from: From::Conn(conn), ids, content, attachments };
                match self.may_say(Some(user), c) {
                    Ok(()) => self.waiting.push_back(said),
                    Err(why) => c.out.push(Outcome::Tell(conn, FromSession::NotTaken { answer: ids[1], why })),
                }
            }
            ToSession::Cancel { answer, .. } => {
                if answer.is_none_or(|answer| self.is_of(answer)) {
                    self.break_off(Broken::Cancelled, c);
                }
            }
            ToSession::Ask { asker, number, ask } => self.ask((asker, number), *ask, c),
            // The engine's own affair.
            ToSession::Held { .. } | ToSession::Free { .. } => {}
        }
    }

    fn ask(&mut self, asker: (ShardId, u64), ask: Ask, c: &mut Circumstances<'_>) {
        match ask {
            Ask::Create(_) => c.refuse(asker, Refused::Store(StoreFault::Failed)),
            Ask::Look { caller, .. } => match self.sees(&caller) {
                true => c.reply(asker, Reply::Session(Box::new(self.session.clone()))),
                false => c.refuse(asker, Refused::NoSession),
            },
            Ask::End { caller, .. } => match caller.id == self.session.owner {
                true => self.queue(Job::End(Some(asker)), c),
                false => c.refuse(asker, Refused::NoSession),
            },
            Ask::Say { caller, ids, content, attachments, streamed, .. } => match self.may_say(Some(caller.id), c) {
                Ok(()) => self.waiting.push_back(Said { from: From::Rest { asker, streamed }, ids, content, attachments }),
                Err(why) => c.told(asker, Told::Refused(why)),
            },
            Ask::Leave { answer, .. } => self.leave(answer, c),
            Ask::Approvals { caller, .. } => match self.sees(&caller) {
                true => c.reply(asker, Reply::Approvals(self.undecided(c.now.wall))),
                false => c.refuse(asker, Refused::NoSession),
            },
            Ask::Decide { caller, approval, yes, reason, comment, .. } => match self.sees(&caller) {
                true => self.queue(Job::Decide { asker: Some(asker), caller, approval, yes, reason, comment }, c),
                false => c.refuse(asker, Refused::NoSession),
            },
        }
    }

    pub(super) fn sees(&self, caller: &Caller) -> bool {
        caller.admin || caller.id == self.session.owner
    }

    fn undecided(&self, now: UnixMicros) -> Vec<Approval> {
        let pending =
            self.approvals.iter().filter(|approval| approval.decision == Decision::Pending && approval.expires_at > now);
        pending.cloned().collect()
    }

    /// Whether nothing may be said here any more.
    pub(super) fn has_ended(&self, settings: &Settings, now: UnixMicros) -> bool {
        let silent = now.0.saturating_sub(self.session.updated_at.0);
        let expiry = i64::try_from(settings.session_expiry.as_micros()).unwrap_or(i64::MAX);
        // An answer that runs, or waits for leave, is no silence; nor is a message that is being written.
        let is_spoken_in = self.answer.is_some() || matches!(self.writing, Some((Job::Begin(_), _)));
        self.session.status == Status::Ended || !is_spoken_in && silent > expiry
    }

    pub(super) fn agent(&self, c: &Circumstances<'_>) -> Option<Arc<Agent>> {
        c.settings.agent(self.session.agent.as_deref(), c.catalog).cloned()
    }

    pub(super) fn may_say(&self, user: Option<UserId>, c: &Circumstances<'_>) -> Result<(), Refused> {
        if user != Some(self.session.owner) {
            return Err(Refused::NoSession);
        }
        if c.is_stopping {
            return Err(Refused::Stopping);
        }
        if self.has_ended(c.settings, c.now.wall) {
            return Err(Refused::Ended);
        }
        if self.is_slow() {
            return Err(Refused::Store(StoreFault::Busy));
        }
        if self.agent(c).is_none() {
            return Err(Refused::Suspended);
        }
        // One that can begin at once does not wait.
        let limit = c.settings.max_waiting + usize::from(self.is_free());
        if self.waiting.len() >= limit { Err(Refused::Crowded) } else { Ok(()) }
    }

    fn is_free(&self) -> bool {
        self.answer.is_none() && self.jobs.is_empty() && self.writing.is_none()
    }

    fn queue(&mut self, job: Job, c: &mut Circumstances<'_>) {
        let why = match self.is_slow() {
            true => Refused::Store(StoreFault::Busy),
            false if self.jobs.len() < JOBS_AT_MOST => return self.jobs.push_back(job),
            false => Refused::Crowded,
        };
        match job {
            Job::Create(asker @ Some(_)) | Job::Decide { asker: asker @ Some(_), .. } | Job::End(asker @ Some(_)) => {
                c.refuse(asker, why)
            }
            // The answer's own are few, and never refused.
            Job::Begin(_) | Job::AskLeave(_) | Job::Expire(_) | Job::Finish => self.jobs.push_back(job),
            Job::Create(None) | Job::Decide { asker: None, .. } | Job::End(None) => self.jobs.push_back(job),
        }
    }

    pub(super) fn want(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    fn part(&mut self, conn: ConnId) {
        if self.listeners.remove(&conn).is_some() {
            self.shards.iter_mut().filter(|(shard, _)| *shard == conn.shard).for_each(|(_, listeners)| *listeners -= 1);
            self.shards.retain(|(_, listeners)| *listeners > 0);
        }
    }

    /// To all who listen.
    pub(super) fn publish(&self, frame: Frame, c: &mut Circumstances<'_>) {
        self.publish_in(self.id(), frame, c);
    }

    /// As [`Sitting::publish`], by whoever has the session's id at hand: a place in memory less for each word.
    pub(super) fn publish_in(&self, session: SessionId, frame: Frame, c: &mut Circumstances<'_>) {
        if !self.shards.is_empty() {
            c.out.push(Outcome::Publish { session, frame, shards: self.shards.clone() });
        }
    }

    /// As [`Sitting::publish`], of a frame with which an answer begins or ends.
    pub(super) fn publish_marked(&self, mark: Mark, frame: Frame, c: &mut Circumstances<'_>) {
        if !self.shards.is_empty() {
            c.out.push(Outcome::Mark { session: self.id(), mark, shards: self.shards.clone() });
        }
        self.publish(frame, c);
    }

    fn is_of(&self, answer: MessageId) -> bool {
        self.answer.as_ref().is_some_and(|running| running.id() == answer)
    }

    pub(super) fn leave(&mut self, answer: MessageId, c: &mut Circumstances<'_>) {
        self.waiting.retain(|said| said.ids[1] != answer);
        if let Some((Job::Begin(said), _)) = &mut self.writing
            && said.ids[1] == answer
            && let From::Rest { streamed, .. } = said.from
        {
            said.from = if streamed { From::Unwanted } else { From::Nobody };
        }
        if let Some(running) = self.answer.as_mut().filter(|running| running.id() == answer)
            && let From::Rest { streamed, .. } = running.waiter()
        {
            running.release();
            if streamed {
                self.break_off(Broken::Cancelled, c);
            }
        }
    }

    /// The process is about to stop.
    pub(super) fn stop(&mut self, c: &mut Circumstances<'_>) {
        self.turn_away(Refused::Stopping, c);
        self.break_off(Broken::Stopping, c);
    }

    /// The sockets go to another process.
    pub(super) fn hand_over(&mut self, c: &mut Circumstances<'_>) {
        self.waiting.retain(|said| !matches!(said.from, From::Conn(_)));
        self.stop(c);
    }

    /// What waits is not begun any more.
    pub(super) fn turn_away(&mut self, why: Refused, c: &mut Circumstances<'_>) {
        for Said { from, ids: [_, answer], .. } in self.waiting.drain(..) {
            match from {
                From::Conn(conn) => c.out.push(Outcome::Tell(conn, FromSession::NotTaken { answer, why })),
                From::Rest { asker, .. } => c.told(asker, Told::Refused(why)),
                From::Nobody | From::Unwanted => {}
            }
        }
    }

    /// Whether it was more than text, which changes nothing that anybody waits for.
    pub(super) fn word(&mut self, answer: MessageId, word: Word, c: &mut Circumstances<'_>) -> bool {
        self.is_of(answer) && !self.happens(run::Event::Model(word), c)
    }

    pub(super) fn tool(&mut self, answer: MessageId, call: u32, outcome: ToolOutcome, c: &mut Circumstances<'_>) {
        if self.is_of(answer) {
            self.happens(run::Event::Tool { call, outcome }, c);
        }
    }

    pub(super) fn run_timer(&mut self, answer: MessageId, c: &mut Circumstances<'_>) {
        if self.is_of(answer) {
            self.happens(run::Event::TimerFired, c);
        }
    }

    pub(super) fn expire(&mut self, approval: ApprovalId, _: &mut Circumstances<'_>) {
        self.want(Job::Expire(approval));
    }

    pub(super) fn retry(&mut self, _: &mut Circumstances<'_>) {
        self.retry = None;
    }

    /// Nobody has spoken for long, unless somebody has since the timer was set.
    pub(super) fn silence(&mut self, c: &mut Circumstances<'_>) {
        self.silence = None;
        if self.has_ended(c.settings, c.now.wall) && self.is_free() {
            self.want(Job::End(None));
        }
    }

    /// Goes on with what waits. Whether nothing goes on here any more.
    pub(super) fn rest(&mut self, c: &mut Circumstances<'_>) -> bool {
        while self.writing.is_none() && self.retry.is_none() {
            if self.jobs.is_empty() && self.answer.is_none() && !self.is_leaving && !c.is_parting {
                self.jobs.extend(self.waiting.pop_front().map(|said| Job::Begin(Box::new(said))));
            }
            let Some(job) = self.jobs.pop_front() else { break };
            if let Some((job, change)) = self.draft(job, c) {
                c.keep(self.id(), change.clone());
                self.writing = Some((job, change));
                self.slow = Some(c.after(c.settings.keep_timeout, Timer::Slow(self.id())));
            }
        }
        if self.is_slow() {
            self.dismiss(StoreFault::Busy, c);
        }
        let is_quiet = self.writing.is_none() && self.jobs.is_empty() && self.answer.is_none();
        let has_left = self.is_leaving || c.is_parting;
        let is_done = is_quiet && (has_left || self.waiting.is_empty() && self.listeners.is_empty());
        if is_done {
            c.cancel(self.silence.take());
            self.let_go(c);
        } else if self.silence.is_none() && self.session.status == Status::Active {
            self.silence = Some(c.after(self.until_silence(c), Timer::Silence(self.id())));
        }
        is_done
    }

    /// Whether the store has had its time for what is being written.
    fn is_slow(&self) -> bool {
        self.writing.is_some() && self.slow.is_none()
    }

    /// The store answered.
    pub(super) fn in_time(&mut self, c: &mut Circumstances<'_>) {
        c.cancel(self.slow.take());
    }

    /// The store has not answered in time: whoever waits for a row is told. What was asked for may come to be all the same.
    pub(super) fn slow(&mut self, c: &mut Circumstances<'_>) {
        self.slow = None;
        self.give_up(Refused::Store(StoreFault::Busy), c);
    }

    fn give_up(&mut self, why: Refused, c: &mut Circumstances<'_>) {
        self.refuse_all(why, c);
        match &mut self.writing {
            Some((Job::Create(asker) | Job::Decide { asker, .. } | Job::End(asker), _)) => c.refuse(asker.take(), why),
            Some((Job::Begin(said), _)) => {
                if let From::Rest { asker, streamed } = said.from {
                    c.told(asker, Told::Refused(why));
                    said.from = if streamed { From::Unwanted } else { From::Nobody };
                }
            }
            Some((Job::AskLeave(_) | Job::Expire(_) | Job::Finish, _)) | None => {}
        }
    }

    /// Whoever waits for something that is not being written yet.
    pub(super) fn refuse_all(&mut self, why: Refused, c: &mut Circumstances<'_>) {
        self.turn_away(why, c);
        self.jobs.retain(|job| match job {
            Job::Decide { asker: Some(asker), .. } | Job::End(Some(asker)) => {
                c.refuse(*asker, why);
                false
            }
            Job::Create(_) | Job::Begin(_) | Job::AskLeave(_) | Job::Expire(_) | Job::Finish => true,
            Job::Decide { asker: None, .. } | Job::End(None) => true,
        });
    }

    fn until_silence(&self, c: &Circumstances<'_>) -> Duration {
        let silent = u64::try_from(c.now.wall.0.saturating_sub(self.session.updated_at.0)).unwrap_or(0);
        // A little later than the very end, and not over and over where an answer runs.
        c.settings.session_expiry.saturating_sub(Duration::from_micros(silent)).max(Duration::from_secs(1))
            + Duration::from_millis(1)
    }
}
