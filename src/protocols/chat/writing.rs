//! What a sitting writes, made when its turn comes, and what follows when it is on disk or is not.

use super::{
    asks::{Broken, Refused, Reply},
    homes::{Circumstances, Outcome, Timer},
    letters::FromSession,
    messages,
    model::{Approval, ApprovalId, Decision, Message, Session, Status},
    record::Change,
    sitting::{Job, Said, Sitting},
};
use crate::{
    models::run,
    realtime::{ConnId, ShardId, StoreFault, UnixMicros},
};
use std::{sync::Arc, time::Duration};

/// How soon an end that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Characters of the first message that become the title.
const TITLE_CHARS: usize = 50;

impl Sitting {
    /// What a job writes, as things stand now; none where it is needless, and whoever waits has been told.
    pub(super) fn draft(&mut self, job: Job, c: &mut Circumstances<'_>) -> Option<(Job, Change)> {
        let now = c.now.wall;
        match job {
            Job::Create(_) => {
                let change = Change { session: Some(self.session.clone()), ..Change::default() };
                Some((job, change))
            }
            Job::Begin(said) => self.draft_begin(said, c),
            Job::AskLeave(call) => {
                let approval = self.answer.as_ref()?.question(call, self.id(), c)?;
                Some((job, Change { approvals: vec![approval], ..Change::default() }))
            }
            Job::Decide { asker, ref caller, approval, yes, ref reason, ref comment } => {
                let decided = Approval {
                    decision: if yes { Decision::Approved } else { Decision::Rejected },
                    decided_by: Some(caller.email.clone()),
                    decided_at: Some(now),
                    reason: reason.clone(),
                    comment: comment.clone(),
                    ..match self.decidable(approval, now) {
                        Ok(approval) => approval,
                        Err(why) => {
                            c.refuse(asker, why);
                            return None;
                        }
                    }
                };
                Some((job, Change { approvals: vec![decided], ..Change::default() }))
            }
            Job::Expire(id) => {
                let approval =
                    self.approvals.iter().find(|approval| approval.id == id && approval.decision == Decision::Pending)?;
                let expired = Approval { decision: Decision::Expired, decided_at: Some(now), ..approval.clone() };
                Some((job, Change { approvals: vec![expired], ..Change::default() }))
            }
            Job::Finish => {
                let message = self.answer.as_ref()?.whole()?;
                let mut session = self.session.clone();
                session.message_count = session.message_count.saturating_add(1);
                session.updated_at = now;
                let expired = self.approvals.iter().filter(|approval| approval.decision == Decision::Pending);
                let approvals =
                    expired.map(|approval| Approval { decision: Decision::Expired, decided_at: Some(now), ..approval.clone() });
                Some((job, Change { approvals: approvals.collect(), session: Some(session), messages: vec![message] }))
            }
            Job::End(asker) => self.draft_end(asker, c),
        }
    }

    fn draft_begin(&mut self, said: Box<Said>, c: &mut Circumstances<'_>) -> Option<(Job, Change)> {
        let [id, answer] = said.ids;
        if let Err(why) = self.may_say(Some(self.session.owner), c) {
            // Places are not counted again.
            if why != Refused::Crowded {
                self.waiting.push_front(*said);
                self.turn_away(why, c);
                return None;
            }
        }
        let now = c.now.wall;
        let number = self.history.back().map_or(self.session.message_count, |last| last.number);
        let message = Message::user(self.id(), id, number + 1, &said.content, &said.attachments, now);
        let begun = Message::streaming(self.id(), answer, number + 2, now);
        let mut session = self.session.clone();
        if session.title.is_empty() {
            session.title = title(&said.content);
        }
        session.message_count = session.message_count.saturating_add(1);
        session.updated_at = now;
        let change = Change { session: Some(session), messages: vec![message, begun], ..Change::default() };
        Some((Job::Begin(said), change))
    }

    fn draft_end(&mut self, asker: Option<(ShardId, u64)>, c: &mut Circumstances<'_>) -> Option<(Job, Change)> {
        if self.session.status == Status::Ended {
            if let Some(asker) = asker {
                c.refuse(asker, Refused::Ended);
            }
            return None;
        }
        if self.answer.is_some() {
            // The answer's end comes first.
            self.break_off(Broken::Cancelled, c);
            self.jobs.push_back(Job::End(asker));
            return None;
        }
        let ended = Session { status: Status::Ended, ended_at: Some(c.now.wall), ..self.session.clone() };
        Some((Job::End(asker), Change { session: Some(ended), ..Change::default() }))
    }

    fn decidable(&self, id: ApprovalId, now: UnixMicros) -> Result<Approval, Refused> {
        let approval = self.approvals.iter().find(|approval| approval.id == id).ok_or(Refused::NoApproval)?;
        match approval.decision {
            Decision::Approved | Decision::Rejected => Err(Refused::Processed),
            Decision::Expired => Err(Refused::Expired),
            Decision::Pending if approval.expires_at <= now => Err(Refused::Expired),
            Decision::Pending => Ok(approval.clone()),
        }
    }

    /// The store answered.
    pub(super) fn kept(&mut self, result: Result<(), StoreFault>, c: &mut Circumstances<'_>) {
        let Some((job, change)) = self.writing.take() else { return };
        self.in_time(c);
        match result {
            Ok(()) => {
                self.commit(change);
                self.written(job, c);
            }
            Err(fault) => self.unwritten(job, fault, c),
        }
    }

    fn commit(&mut self, change: Change) {
        let Change { session, messages, approvals } = change;
        self.session = session.unwrap_or_else(|| self.session.clone());
        for message in messages {
            match self.history.iter_mut().find(|known| known.id == message.id) {
                Some(known) => *known = message,
                None => self.history.push_back(message),
            }
        }
        for approval in approvals {
            match self.approvals.iter_mut().find(|known| known.id == approval.id) {
                Some(known) => *known = approval,
                None => self.approvals.push(approval),
            }
        }
    }

    fn written(&mut self, job: Job, c: &mut Circumstances<'_>) {
        match job {
            Job::Create(asker) => c.reply(asker, Reply::Session(Box::new(self.session.clone()))),
            Job::Begin(said) => self.begin(*said, c),
            Job::AskLeave(call) => self.asked(call, c),
            Job::Decide { asker, approval, yes, reason, .. } => {
                if let Some(decided) = self.approvals.iter().find(|known| known.id == approval) {
                    c.reply(asker, Reply::Decided(Box::new(decided.clone())));
                }
                let leave = if yes { run::Leave::Granted } else { run::Leave::Denied { reason } };
                self.decided(approval, leave, c);
            }
            Job::Expire(approval) => self.decided(approval, run::Leave::Expired, c),
            Job::Finish => self.finished(None, c),
            Job::End(asker) => self.ended(asker, c),
        }
    }

    /// Nothing was written. Whoever asked is told; what must be written is tried again.
    fn unwritten(&mut self, job: Job, fault: StoreFault, c: &mut Circumstances<'_>) {
        let why = Refused::Store(fault);
        match job {
            Job::Create(asker) | Job::Decide { asker, .. } => c.refuse(asker, why),
            Job::Begin(said) => {
                self.waiting.push_front(*said);
                self.turn_away(why, c);
            }
            Job::End(Some(asker)) => c.refuse(asker, why),
            Job::AskLeave(_) | Job::Expire(_) | Job::Finish | Job::End(None) => {
                self.dismiss(fault, c);
                self.again(job, why, c);
            }
        }
    }

    /// What must be written is tried again. Nobody waits for that, which may take as long as the disk is full.
    fn again(&mut self, job: Job, why: Refused, c: &mut Circumstances<'_>) {
        self.refuse_all(why, c);
        self.jobs.push_front(job);
        self.retry = Some(c.after(RETRY, Timer::Retry(self.id())));
    }

    fn ended(&mut self, asker: Option<(ShardId, u64)>, c: &mut Circumstances<'_>) {
        if let Some(asker) = asker {
            c.reply(asker, Reply::Session(Box::new(self.session.clone())));
        }
        self.turn_away(Refused::Ended, c);
        let error = messages::Message::Error { code: "SESSION_ENDED", message: "the session has ended" };
        self.publish(error.frame(), c);
        let mut listeners: Vec<ConnId> = self.listeners.keys().copied().collect();
        listeners.sort_unstable();
        c.out.extend(listeners.into_iter().map(|conn| Outcome::Tell(conn, FromSession::Over)));
    }
}

/// The beginning of what was said first.
fn title(content: &str) -> Arc<str> {
    let line = content.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TITLE_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]).into(),
        None => line.into(),
    }
}
