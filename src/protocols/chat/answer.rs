//! An answer on its way: what its run wants, and what listeners hear of it.

use super::{
    asks::{Broken, Refused, Told},
    homes::{Circumstances, Outcome, Timer},
    letters::Mark,
    messages::{self, Message as Said, raw},
    model::{Approval, Author, Called, Completeness, Decision, Message, MessageId, SessionId, Stage},
    sitting::{From, Job, Sitting},
};
use crate::{
    models::{
        Fault, ToolOutcome, Utterance,
        catalog::Work,
        home_tools,
        run::{self, Effect, End, Ending, Event, Run, Start},
        talk::Attached,
    },
    realtime::{ConnId, StoreFault, TimerId, UnixMicros},
};
use std::{mem, sync::Arc};
use xxhash_rust::xxh3::xxh3_128;

/// See the file.
pub(super) struct Answer {
    message: Message,
    from: From,
    run: Run,
    utterances: Vec<Arc<Utterance>>,
    timer: Option<TimerId>,
    /// When questions for leave expire, by their call.
    expiries: Vec<(u32, TimerId)>,
    broken: Option<Broken>,
    ending: Option<Ending>,
    is_told: bool,
    has_spoken: bool,
}

impl Message {
    /// What a user said.
    pub(super) fn user(
        session: SessionId,
        id: MessageId,
        number: u32,
        content: &Arc<str>,
        attachments: &[Attached],
        at: UnixMicros,
    ) -> Message {
        Message {
            author: Author::User,
            content: content.clone(),
            completeness: Completeness::Whole,
            attachments: attachments.to_vec(),
            ..Message::streaming(session, id, number, at)
        }
    }

    /// The beginning of an answer.
    pub(super) fn streaming(session: SessionId, id: MessageId, number: u32, at: UnixMicros) -> Message {
        Message {
            id,
            session,
            number,
            author: Author::Assistant,
            content: "".into(),
            completeness: Completeness::Streaming,
            calls: Vec::new(),
            attachments: Vec::new(),
            usage: crate::models::Usage::default(),
            cost: 0.0,
            created_at: at,
        }
    }
}

impl Answer {
    pub(super) fn id(&self) -> MessageId {
        self.message.id
    }

    /// Whether its end was told, though it may not be on disk yet.
    pub(super) fn is_told(&self) -> bool {
        self.is_told
    }

    pub(super) fn waiter(&self) -> From {
        self.from
    }

    /// Nobody waits for it any more.
    pub(super) fn release(&mut self) {
        self.from = From::Nobody;
    }

    /// What a new listener must know of it.
    pub(super) fn show_to(&self, conn: ConnId, approvals: &[Approval], c: &mut Circumstances<'_>) {
        if self.is_told {
            return;
        }
        let mut deliver = |said: Said<'_>| c.out.push(Outcome::Deliver(conn, said.frame()));
        deliver(Said::MessageStart { message_id: messages::message(self.id()) });
        if !self.run.text().is_empty() {
            deliver(Said::ContentDelta { delta: self.run.text() });
        }
        for approval in approvals.iter().filter(|approval| approval.decision == Decision::Pending) {
            deliver(Said::ApprovalRequired { approval_id: messages::approval(approval.id), tool: &approval.call.tool });
        }
    }

    /// The question for leave that a call needs; none where the answer is over.
    pub(super) fn question(&self, call: u32, session: SessionId, c: &Circumstances<'_>) -> Option<Approval> {
        let called = self.message.calls.get(call as usize).filter(|_| self.ending.is_none())?;
        let expiry = i64::try_from(c.settings.approval_expiry.as_micros()).unwrap_or(i64::MAX);
        // No two calls have the same, and there is no randomness here.
        let mut name = self.id().as_bytes().to_vec();
        name.extend(call.to_be_bytes());
        Some(Approval {
            id: uuid::Uuid::from_u128(xxh3_128(&name)),
            session,
            message: self.id(),
            call: called.call.clone(),
            decision: Decision::Pending,
            created_at: c.now.wall,
            expires_at: UnixMicros(c.now.wall.0.saturating_add(expiry)),
            decided_by: None,
            decided_at: None,
            reason: None,
            comment: None,
        })
    }

    /// The message as it is to be stored at its end.
    pub(super) fn whole(&self) -> Option<Message> {
        let Ending { text, usage, cost, .. } = self.ending.clone()?;
        let completeness = if self.broken.is_some() { Completeness::Incomplete } else { Completeness::Whole };
        let mut message = Message { content: text, usage, cost, completeness, ..self.message.clone() };
        message.calls = message.calls.into_iter().map(Called::broken_off).collect();
        Some(message)
    }

    fn tell(&self, told: impl FnOnce() -> Told, c: &mut Circumstances<'_>) {
        if let From::Rest { asker, streamed: true } = self.from {
            c.told(asker, told());
        }
    }

    fn called(&mut self, call: u32) -> Option<&mut Called> {
        self.message.calls.get_mut(call as usize)
    }
}

impl Sitting {
    /// What was said is on disk: the answer begins.
    pub(super) fn begin(&mut self, said: super::sitting::Said, c: &mut Circumstances<'_>) {
        // What was just said and the answer to it are among them.
        self.forget(c.settings.context_messages + 1, c.settings.context_bytes);
        let (Some(message), Some(agent)) = (self.history.back().cloned(), self.agent(c)) else { return };
        let utterances = utterances(self.history.iter().filter(|known| known.id != message.id));
        let start = Start {
            model: agent.model.clone(),
            agent,
            utterances: utterances.clone(),
            temperature: None,
            asks_leave: self.session.require_approval,
            max_bytes: c.settings.max_answer_bytes,
        };
        let start_frame = Said::MessageStart { message_id: messages::message(message.id) }.frame();
        self.publish_marked(Mark::Begins(message.id), start_frame, c);
        let mut effects = mem::take(c.effects);
        let run = Run::begin(start, c.now.moment, &mut effects);
        let answer = Answer {
            message,
            from: said.from,
            run,
            utterances,
            timer: None,
            expiries: Vec::new(),
            broken: None,
            ending: None,
            is_told: false,
            has_spoken: false,
        };
        answer.tell(|| Told::Begin { message: answer.id() }, c);
        self.carry_out(Box::new(answer), effects, c);
        if c.is_stopping {
            self.break_off(Broken::Stopping, c);
        } else if said.from == From::Unwanted {
            self.break_off(Broken::Cancelled, c);
        }
    }

    /// Ends the answer that runs, if one does.
    pub(super) fn break_off(&mut self, why: Broken, c: &mut Circumstances<'_>) {
        if let Some(answer) = self.answer.as_mut().filter(|answer| answer.ending.is_none()) {
            answer.broken = Some(why);
            self.happens(Event::Cancel, c);
        }
    }

    /// Lets the run hear of something, and does what it wants. Whether that was nothing but to tell more text.
    pub(super) fn happens(&mut self, event: Event, c: &mut Circumstances<'_>) -> bool {
        let Some(mut answer) = self.answer.take() else { return false };
        let mut effects = mem::take(c.effects);
        answer.run.handle(event, c.now.moment, &mut effects);
        let is_text = matches!(effects[..], [Effect::Delta(_)]);
        self.carry_out(answer, effects, c);
        is_text
    }

    fn carry_out(&mut self, mut answer: Box<Answer>, mut effects: Vec<Effect>, c: &mut Circumstances<'_>) {
        let mut further = Vec::new();
        while !effects.is_empty() {
            for effect in effects.drain(..) {
                if let Some(event) = self.apply(&mut answer, effect, c) {
                    answer.run.handle(event, c.now.moment, &mut further);
                }
            }
            effects.append(&mut further);
        }
        self.answer = Some(answer);
        *c.effects = effects;
    }

    /// Does one thing that the run wants. What is done at once is given back as an event.
    fn apply(&mut self, answer: &mut Answer, effect: Effect, c: &mut Circumstances<'_>) -> Option<Event> {
        let (session, id) = (answer.message.session, answer.id());
        match effect {
            Effect::Ask(prompt) => c.out.push(Outcome::Model { session, answer: id, prompt }),
            Effect::Stop => c.out.push(Outcome::StopModel { session, answer: id }),
            Effect::Tool { call, tool, arguments } => {
                if let Some(called) = answer.called(call) {
                    called.stage = Stage::Running;
                }
                let outcome = match tool.work {
                    Work::Calculator => home_tools::calculate(&arguments),
                    Work::Search => home_tools::search(&arguments, &answer.utterances),
                    Work::Http => {
                        c.out.push(Outcome::Tool { session, answer: id, call, tool, arguments });
                        return None;
                    }
                };
                return Some(Event::Tool { call, outcome });
            }
            Effect::StopTool { call } => c.out.push(Outcome::StopTool { session, answer: id, call }),
            Effect::Timer(after) => {
                c.cancel(answer.timer.take());
                answer.timer = after.map(|after| c.after(after, Timer::Run(session, id)));
            }
            Effect::Delta(delta) => {
                if !mem::replace(&mut answer.has_spoken, true) {
                    c.first_words.record(c.now.wall.since(answer.message.created_at));
                }
                self.publish_in(session, Said::ContentDelta { delta: &delta }.frame(), c);
                answer.tell(|| Told::Delta(delta), c);
            }
            Effect::Called { what, .. } => {
                self.publish(Said::ToolCall { tool: &what.tool, args: raw(&what.arguments) }.frame(), c);
                answer.tell(|| Told::Call { tool: what.tool.clone(), arguments: what.arguments.clone() }, c);
                answer.message.calls.push(Called { call: what, approval: None, stage: Stage::Pending, result: None });
            }
            Effect::AskLeave { call, .. } => self.want(Job::AskLeave(call)),
            Effect::Outcome { call, outcome } => self.tell_outcome(answer, call, &outcome, c),
            Effect::Over(ending) => {
                answer.broken = broken(ending.end, answer.broken);
                answer.ending = Some(ending);
                self.want(Job::Finish);
            }
        }
        None
    }

    fn tell_outcome(&self, answer: &mut Answer, call: u32, outcome: &run::Outcome, c: &mut Circumstances<'_>) {
        let (stage, result) = shown(outcome);
        let Some(called) = answer.called(call) else { return };
        called.stage = stage;
        called.result = Some(result.clone());
        let tool = called.call.tool.clone();
        self.publish(Said::ToolResult { tool: &tool, result: raw(&result) }.frame(), c);
        answer.tell(|| Told::Result { tool, result }, c);
    }

    /// A question for leave is on disk.
    pub(super) fn asked(&mut self, call: u32, c: &mut Circumstances<'_>) {
        let (Some(mut answer), Some(approval)) = (self.answer.take(), self.approvals.last().cloned()) else { return };
        if answer.ending.is_none() {
            let timer = c.after(c.settings.approval_expiry, Timer::Approval(self.id(), approval.id));
            answer.expiries.push((call, timer));
            if let Some(called) = answer.called(call) {
                called.approval = Some(approval.id);
            }
            let tool = &approval.call.tool;
            self.publish(Said::ApprovalRequired { approval_id: messages::approval(approval.id), tool }.frame(), c);
            if let From::Rest { asker, streamed: false } = answer.from {
                let message = Message { content: answer.run.text().into(), usage: answer.run.usage(), ..answer.message.clone() };
                c.told(asker, Told::Waits(Box::new(message)));
                answer.release();
            }
            answer.tell(|| Told::Asked { approval: Box::new(approval) }, c);
        }
        self.answer = Some(answer);
    }

    /// What became of a question for leave is on disk.
    pub(super) fn decided(&mut self, approval: super::ApprovalId, leave: run::Leave, c: &mut Circumstances<'_>) {
        let Some(answer) = self.answer.as_mut() else { return };
        let is_of = |called: &Called| called.approval == Some(approval);
        let Some(call) = answer.message.calls.iter().position(is_of).and_then(|call| u32::try_from(call).ok()) else { return };
        if let Some(at) = answer.expiries.iter().position(|(asked, _)| *asked == call) {
            c.cancel(Some(answer.expiries.swap_remove(at).1));
        }
        self.happens(Event::Leave { call, leave }, c);
    }

    /// The answer is on disk, or is not for now: everyone is told once.
    pub(super) fn finished(&mut self, fault: Option<StoreFault>, c: &mut Circumstances<'_>) {
        let Some(mut answer) = self.answer.take() else { return };
        if !answer.is_told {
            answer.is_told = true;
            self.tell_end(&mut answer, fault, c);
        }
        if fault.is_some() {
            self.answer = Some(answer);
            return;
        }
        self.forget(c.settings.context_messages, c.settings.context_bytes);
    }

    /// Holds no more than a model is shown: of more messages or bytes the newest, and the last two however long they are.
    fn forget(&mut self, messages: usize, bytes: usize) {
        let mut held: usize = self.history.iter().map(Message::weight).sum();
        while self.history.len() > 2 && (self.history.len() > messages || held > bytes) {
            held -= self.history.pop_front().map_or(0, |oldest| oldest.weight());
        }
    }

    /// The store does not do what the answer needs. Who waits for the whole of it waits no more; of one that is over everyone is told.
    pub(super) fn dismiss(&mut self, fault: StoreFault, c: &mut Circumstances<'_>) {
        let Some(answer) = &mut self.answer else { return };
        if answer.ending.is_some() {
            return self.finished(Some(fault), c);
        }
        if let From::Rest { asker, streamed: false } = answer.from {
            c.told(asker, Told::Refused(Refused::Store(fault)));
            answer.release();
        }
    }

    fn tell_end(&self, answer: &mut Answer, fault: Option<StoreFault>, c: &mut Circumstances<'_>) {
        c.cancel(answer.timer.take());
        answer.expiries.drain(..).for_each(|(_, timer)| c.cancel(Some(timer)));
        let Some(message) = answer.whole() else { return };
        let unkept = fault.map(|_| ("MESSAGE_SEND_FAILED", "the answer could not be stored yet"));
        if let Some((code, text)) = answer.broken.and_then(Broken::error).or(unkept) {
            self.publish(Said::Error { code, message: text }.frame(), c);
        }
        self.publish_marked(Mark::Ends, Said::MessageEnd { usage: message.usage.into() }.frame(), c);
        if let From::Rest { asker, .. } = answer.from {
            c.told(
                asker,
                match fault {
                    Some(fault) => Told::Refused(Refused::Store(fault)),
                    None => Told::End { usage: message.usage, message: Box::new(message), broken: answer.broken },
                },
            );
        }
        answer.release();
    }
}

/// What was said, for a model. The rounds of an answer are not stored, so its calls come before its text.
fn utterances<'a>(history: impl Iterator<Item = &'a Message>) -> Vec<Arc<Utterance>> {
    let mut said = Vec::new();
    for message in history {
        let content = message.content.clone();
        match message.author {
            Author::User => said.push(Utterance::User { content, attachments: message.attachments.clone() }),
            Author::Assistant => {
                let answered: Vec<&Called> = message.calls.iter().filter(|called| called.result.is_some()).collect();
                if !answered.is_empty() {
                    let calls = answered.iter().map(|called| called.call.clone()).collect();
                    said.push(Utterance::Assistant { content: "".into(), calls });
                    said.extend(answered.iter().filter_map(|called| {
                        Some(Utterance::Tool { call: called.call.id.clone(), content: called.result.clone()? })
                    }));
                }
                if !content.is_empty() {
                    said.push(Utterance::Assistant { content, calls: Vec::new() });
                }
            }
        }
    }
    said.into_iter().map(Arc::new).collect()
}

/// What listeners and the store are told of a call: how far it is, and JSON.
fn shown(outcome: &run::Outcome) -> (Stage, Arc<str>) {
    let fault = |code: &str, message: &str| Arc::from(serde_json::json!({ "error": code, "message": message }).to_string());
    match outcome {
        run::Outcome::Tool(ToolOutcome::Done(result)) => (Stage::Done, result.clone()),
        run::Outcome::Tool(ToolOutcome::NotFound) => (Stage::Failed, fault("TOOL_NOT_FOUND", "there is no such tool")),
        run::Outcome::Tool(ToolOutcome::BadArguments(why)) => (Stage::Failed, fault("TOOL_EXEC_FAILED", why)),
        run::Outcome::Tool(ToolOutcome::Failed(why)) => (Stage::Failed, fault("TOOL_EXEC_FAILED", why)),
        run::Outcome::Tool(ToolOutcome::TimedOut) => (Stage::Failed, fault("TOOL_TIMEOUT", "the tool did not answer in time")),
        run::Outcome::Denied { reason } => {
            (Stage::Rejected, fault("TOOL_APPROVAL_DENIED", reason.as_deref().unwrap_or("the call was not allowed")))
        }
        run::Outcome::Expired => (Stage::Expired, fault("TOOL_APPROVAL_EXPIRED", "nobody said whether the call is allowed")),
    }
}

/// Why an answer that ended so is not whole; `wished`: why it was cancelled.
fn broken(end: End, wished: Option<Broken>) -> Option<Broken> {
    match end {
        End::Whole | End::Cut => None,
        End::Cancelled => wished.or(Some(Broken::Cancelled)),
        End::Failed(Fault::Unreachable | Fault::Busy) => Some(Broken::Unavailable),
        End::Failed(Fault::TimedOut) | End::TimedOut => Some(Broken::TimedOut),
        End::Failed(Fault::Cut | Fault::Malformed | Fault::Refused(_)) | End::TooLong => Some(Broken::Failed),
        End::Unanswered => Some(Broken::Expired),
    }
}
