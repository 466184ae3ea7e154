//! Records of chat in memory, as the contract has them, and their library.

use super::{
    super::{ChatLibrary, Read},
    MemoryStore,
};
use crate::{
    models::talk::Attached,
    protocols::{
        chat::{
            model::{
                Approval, ApprovalId, Called, Completeness, Decision, Message, MessageId, Session, SessionId, Status, UserId,
            },
            record::{Change, From, History, Listed, Load, Loaded, PART_BYTES, Page, Part, SessionFilter, Sweep, Waiting},
        },
        labs::record::Login,
    },
    realtime::{StoreFault, UnixMicros},
};
use bytes::Bytes;
use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

/// All of them. Messages are found by their place too.
#[derive(Default)]
pub(super) struct Chat {
    sessions: BTreeMap<SessionId, Session>,
    messages: BTreeMap<MessageId, Message>,
    places: BTreeMap<(SessionId, u32), MessageId>,
    approvals: BTreeMap<ApprovalId, Approval>,
}

impl Chat {
    pub(super) fn keep(&mut self, change: Change) -> Result<(), StoreFault> {
        let Change { session, messages, approvals } = change;
        let is_there = |wanted| self.sessions.contains_key(&wanted) || session.as_ref().is_some_and(|new| new.id == wanted);
        let all_there = messages.iter().all(|new| is_there(new.session)) && approvals.iter().all(|new| is_there(new.session));
        if !all_there || !self.put(messages) {
            return Err(StoreFault::Failed);
        }
        self.sessions.extend(session.map(|session| (session.id, session)));
        self.approvals.extend(approvals.into_iter().map(|approval| (approval.id, approval)));
        Ok(())
    }

    /// All of them, or none where a place is another's.
    fn put(&mut self, messages: Vec<Message>) -> bool {
        let mut undo = Vec::new();
        for message in messages {
            let (id, place) = (message.id, (message.session, message.number));
            if self.places.get(&place).is_some_and(|there| *there != id) {
                undo.into_iter().rev().for_each(|(id, old)| self.set(id, old));
                return false;
            }
            undo.push((id, self.messages.get(&id).cloned()));
            self.set(id, Some(message));
        }
        true
    }

    fn set(&mut self, id: MessageId, message: Option<Message>) {
        if let Some(old) = self.messages.remove(&id) {
            self.places.remove(&(old.session, old.number));
        }
        if let Some(new) = message {
            self.places.insert((new.session, new.number), id);
            self.messages.insert(id, new);
        }
    }

    pub(super) fn sweep(&mut self, sweep: Sweep) -> u64 {
        let mut swept = 0;
        for message in self.messages.values_mut().filter(|message| message.completeness == Completeness::Streaming) {
            message.completeness = Completeness::Incomplete;
            message.calls = message.calls.drain(..).map(Called::broken_off).collect();
            self.sessions.entry(message.session).and_modify(|session| session.message_count += 1);
            swept += 1;
        }
        for approval in self.approvals.values_mut().filter(|approval| approval.decision == Decision::Pending) {
            approval.decision = Decision::Expired;
            approval.decided_at = Some(sweep.at);
        }
        swept
    }

    /// Of a session, between two numbers, both outside; oldest first.
    fn between(&self, session: SessionId, after: u32, before: u32) -> impl DoubleEndedIterator<Item = &Message> {
        let places = self.places.range((session, after.saturating_add(1))..(session, before.max(after.saturating_add(1))));
        places.filter_map(|(_, id)| self.messages.get(id))
    }

    fn load(&self, load: Load) -> Option<Box<Loaded>> {
        let session = self.sessions.get(&load.session)?.clone();
        let (mut messages, mut bytes) = (Vec::new(), 0_usize);
        for message in self.between(load.session, 0, u32::MAX).rev().take(load.messages) {
            bytes = bytes.saturating_add(message.weight());
            if bytes > load.bytes && !messages.is_empty() {
                break;
            }
            messages.push(message.clone());
        }
        messages.reverse();
        let lately = |approval: &&Approval| {
            approval.session == load.session && approval.decided_at.is_some_and(|at| at >= load.decided_since)
        };
        let mut approvals: Vec<Approval> = self.approvals.values().filter(lately).cloned().collect();
        approvals.sort_by_key(|approval| (approval.created_at, approval.id));
        Some(Box::new(Loaded { session, messages, approvals }))
    }

    fn waiting(&self, now: UnixMicros, username: impl Fn(UserId) -> Arc<str>) -> Vec<Waiting> {
        let waits = |approval: &&Approval| approval.decision == Decision::Pending && approval.expires_at > now;
        let told = |approval: &Approval| {
            let session = self.sessions.get(&approval.session)?;
            Some(Waiting { approval: approval.clone(), owner: username(session.owner) })
        };
        self.approvals.values().filter(waits).filter_map(told).collect()
    }

    fn part(&self, History { session, from, limit }: History) -> Option<Part> {
        let limit = limit as usize;
        let number = |cursor: MessageId| {
            self.messages.get(&cursor).filter(|message| message.session == session).map(|message| message.number)
        };
        let found: Vec<&Message> = match from {
            From::Newest => self.between(session, 0, u32::MAX).rev().take(limit + 1).collect(),
            From::Before(cursor) => self.between(session, 0, number(cursor)?).rev().take(limit + 1).collect(),
            From::After(cursor) => self.between(session, number(cursor)?, u32::MAX).take(limit + 1).collect(),
        };
        let mut part = Part { messages: Vec::new(), has_more: false };
        let mut bytes = 0;
        for message in found.into_iter().map(without_bytes) {
            bytes += message.weight();
            if part.messages.len() >= limit || (bytes > PART_BYTES && !part.messages.is_empty()) {
                part.has_more = true;
                break;
            }
            part.messages.push(message);
        }
        part.messages.sort_by_key(|message| message.number);
        Some(part)
    }
}

fn without_bytes(message: &Message) -> Message {
    let named = |attached: &Attached| Attached { bytes: Bytes::new(), ..attached.clone() };
    Message { attachments: message.attachments.iter().map(named).collect(), ..message.clone() }
}

fn lets_through(filter: &SessionFilter, session: &Session) -> bool {
    let is_silent = session.updated_at < filter.expired_before;
    session.owner == filter.owner
        && filter.agent.as_ref().is_none_or(|agent| session.agent.as_ref() == Some(agent))
        && match filter.status {
            None => true,
            Some(Status::Active) => session.status == Status::Active && !is_silent,
            Some(Status::Ended) => session.status == Status::Ended || is_silent,
        }
}

impl MemoryStore {
    fn read_chat<T>(&self, question: impl FnOnce(&Chat) -> T) -> Read<T> {
        self.readable()?;
        Ok(question(&self.kept().chat))
    }
}

impl ChatLibrary for MemoryStore {
    fn load_session(&self, load: Load) -> Read<Option<Box<Loaded>>> {
        self.read_chat(|chat| chat.load(load))
    }

    fn chat_sessions(&self, filter: &SessionFilter, page: Page) -> Read<Listed<Session>> {
        self.read_chat(|chat| {
            let mut found: Vec<&Session> = chat.sessions.values().filter(|session| lets_through(filter, session)).collect();
            found.sort_by_key(|session| Reverse((session.created_at, session.id)));
            let skipped = page.page.saturating_sub(1) as usize * page.size as usize;
            let total = found.len() as u64;
            Listed { items: found.into_iter().skip(skipped).take(page.size as usize).cloned().collect(), total }
        })
    }

    fn chat_session(&self, session: SessionId) -> Read<Option<Session>> {
        self.read_chat(|chat| chat.sessions.get(&session).cloned())
    }

    fn history(&self, history: History) -> Read<Option<Part>> {
        self.read_chat(|chat| chat.part(history))
    }

    fn waiting_approvals(&self, now: UnixMicros, limit: u32) -> Read<Vec<Waiting>> {
        self.readable()?;
        let kept = self.kept();
        let mut waiting: Vec<Waiting> = kept.chat.waiting(now, |owner| kept.labs.username(owner));
        waiting.sort_by_key(|waiting| (waiting.approval.created_at, waiting.approval.id));
        waiting.truncate(limit as usize);
        Ok(waiting)
    }

    fn login_by_email(&self, email: &str) -> Read<Option<Login>> {
        self.readable()?;
        Ok(self.kept().labs.with_email(email))
    }
}
