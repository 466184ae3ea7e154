//! What is on disk, kept a second time and by other means, and what must hold of it at every moment.

use homeroom::{
    protocols::chat::{
        ApprovalId, MessageId, SessionId,
        model::{Approval, Author, Called, Completeness, Decision, Message, Session, Stage, Status},
        record::Change,
    },
    realtime::UnixMicros,
};
use std::collections::BTreeMap;

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    /// Every form that a session's row had.
    history: BTreeMap<SessionId, Vec<Session>>,
    pub(crate) messages: BTreeMap<MessageId, Message>,
    /// In the order of their numbers.
    pub(crate) said: BTreeMap<SessionId, Vec<MessageId>>,
    /// What users said, by their words: no two say the same.
    by_words: BTreeMap<String, MessageId>,
    pub(crate) approvals: BTreeMap<ApprovalId, Approval>,
    /// How often something was written.
    pub(crate) changes: u64,
}

/// What was called, by the number in its arguments: no two calls have the same.
pub(crate) fn number(arguments: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(arguments).ok()?;
    value["n"].as_u64().or_else(|| value["expression"].as_str()?.split_once('+')?.1.trim().parse().ok())
}

impl Book {
    /// A change is on disk from now on. What users said by it.
    pub(crate) fn write(&mut self, change: &Change) -> Vec<MessageId> {
        self.changes += 1;
        let Change { session, messages, approvals } = change.clone();
        let begun = messages.iter().filter(|message| message.author == Author::User).map(|message| message.id).collect();
        for message in messages {
            self.write_message(message);
        }
        for approval in approvals {
            self.write_approval(approval);
        }
        if let Some(session) = session {
            self.write_session(session);
        }
        begun
    }

    fn write_session(&mut self, session: Session) {
        let before = self.sessions.insert(session.id, session.clone());
        let had_ended = before.is_some_and(|before| before.status == Status::Ended);
        assert!(!had_ended, "a session that has ended goes on: {session:?}");
        let whole = |id: &&MessageId| self.messages[*id].completeness != Completeness::Streaming;
        let count = self.said.get(&session.id).map_or(0, |said| said.iter().filter(whole).count());
        assert_eq!(session.message_count as usize, count, "the number of messages: {session:?}");
        let is_running = self.running(session.id).is_some();
        assert!(session.status == Status::Active || !is_running, "it has ended, and its answer has not: {session:?}");
        self.history.entry(session.id).or_default().push(session);
    }

    fn write_message(&mut self, message: Message) {
        let known = self.messages.get(&message.id);
        match known {
            Some(before) => {
                assert_eq!(before.completeness, Completeness::Streaming, "an answer ends twice: {message:?}");
                assert_ne!(message.completeness, Completeness::Streaming, "an answer begins twice: {message:?}");
                assert_eq!((before.number, before.session), (message.number, message.session));
                let open = |called: &Called| matches!(called.stage, Stage::Pending | Stage::Running);
                assert!(!message.calls.iter().any(open), "an answer that is over calls still: {message:?}");
            }
            None => {
                let said = self.said.entry(message.session).or_default();
                let last = said.last().map(|last| &self.messages[last]);
                assert_eq!(message.number, last.map_or(0, |last| last.number) + 1, "messages are numbered one by one");
                let before = last.map(|last| (last.author, last.completeness));
                match message.author {
                    Author::User => {
                        let is_over = before.is_none_or(|before| before.1 != Completeness::Streaming);
                        assert!(is_over, "a message begins before the last answer is over: {message:?}");
                        let ended = self.sessions.get(&message.session).is_some_and(|row| row.status == Status::Ended);
                        assert!(!ended, "something is said where all has ended: {message:?}");
                        let twice = self.by_words.insert(message.content.to_string(), message.id);
                        assert_eq!(twice, None, "a message is there twice: {message:?}");
                    }
                    Author::Assistant => {
                        assert_eq!(before, Some((Author::User, Completeness::Whole)), "an answer answers somebody");
                        assert_eq!(message.completeness, Completeness::Streaming);
                    }
                }
                said.push(message.id);
            }
        }
        self.messages.insert(message.id, message);
    }

    fn write_approval(&mut self, approval: Approval) {
        let before = self.approvals.get(&approval.id).map(|before| before.decision);
        match (before, approval.decision) {
            (None, Decision::Pending) => {}
            (Some(Decision::Pending), Decision::Approved | Decision::Rejected | Decision::Expired) => {}
            (before, _) => panic!("an approval that was {before:?} is {approval:?}"),
        }
        let answer = self.messages.get(&approval.message).map(|answer| answer.session);
        assert_eq!(answer, Some(approval.session), "an approval belongs to an answer");
        if matches!(approval.decision, Decision::Approved | Decision::Rejected) {
            let in_time = approval.decided_at.is_some_and(|at| at < approval.expires_at);
            assert!(in_time, "decided when it had expired: {approval:?}");
        }
        self.approvals.insert(approval.id, approval);
    }

    /// A new process has marked what the last one left unfinished.
    pub(crate) fn sweep(&mut self, at: UnixMicros) -> u64 {
        let mut swept = 0;
        for message in self.messages.values_mut().filter(|message| message.completeness == Completeness::Streaming) {
            message.completeness = Completeness::Incomplete;
            message.calls = message.calls.drain(..).map(Called::broken_off).collect();
            if let Some(session) = self.sessions.get_mut(&message.session) {
                session.message_count += 1;
                self.history.entry(session.id).or_default().push(session.clone());
            }
            swept += 1;
        }
        for approval in self.approvals.values_mut().filter(|approval| approval.decision == Decision::Pending) {
            approval.decision = Decision::Expired;
            approval.decided_at = Some(at);
        }
        swept
    }

    /// The answer that is being given in a session.
    pub(crate) fn running(&self, session: SessionId) -> Option<&Message> {
        let last = &self.messages[self.said.get(&session)?.last()?];
        (last.completeness == Completeness::Streaming).then_some(last)
    }

    /// All of them.
    pub(crate) fn all_running(&self) -> impl Iterator<Item = &Message> {
        self.sessions.keys().filter_map(|session| self.running(*session))
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = &Approval> {
        self.approvals.values().filter(|approval| approval.decision == Decision::Pending)
    }

    /// What a user said with these words.
    pub(crate) fn with_words(&self, words: &str) -> Option<&Message> {
        self.messages.get(self.by_words.get(words)?)
    }

    /// What was answered to it.
    pub(crate) fn answer_to(&self, message: &Message) -> &Message {
        // Numbers begin with 1, and an answer is written with what it answers.
        &self.messages[&self.said[&message.session][message.number as usize]]
    }

    /// What a user said that this answers.
    pub(crate) fn answered_by(&self, answer: &Message) -> &Message {
        &self.messages[&self.said[&answer.session][answer.number as usize - 2]]
    }

    /// Whether a row ever was so.
    pub(crate) fn was(&self, session: &Session) -> bool {
        self.history.get(&session.id).is_some_and(|history| history.contains(session))
    }

    pub(crate) fn has_ended(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|row| row.status == Status::Ended)
    }

    /// What was asked about a call.
    pub(crate) fn leave_for(&self, call: u64) -> Option<&Approval> {
        self.approvals.values().find(|approval| number(&approval.call.arguments) == Some(call))
    }
}
