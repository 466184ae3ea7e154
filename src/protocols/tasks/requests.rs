//! What a connection asks for, and what the homes answer.

use super::{
    asks::Refused,
    connection::{Connection, Effect, Gate, error, send},
    letters::{About, Channel, FromHome, ToExecution, ToTask},
    messages::{Message, raw},
    model::{Kind, Task, TaskId},
    said::{Envelope, Execute, Nonsense, Said, Subject},
    settings::Settings,
    work::Parameters,
};
use crate::realtime::{ConnId, Moment, Now};
use serde_json::value::RawValue;
use uuid::Uuid;

/// A request as an error repeats it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo<'a> {
    pub(super) r#type: &'a str,
    pub(super) data: Option<&'a RawValue>,
}

impl<'a> Echo<'a> {
    pub(super) fn of(envelope: &'a Envelope<'a>) -> Echo<'a> {
        Echo { r#type: &envelope.r#type, data: envelope.data }
    }
}

/// A message, by whom and when.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) echo: Echo<'a>,
    pub(super) conn: ConnId,
    pub(super) now: Now,
}

/// Something that a home was asked.
#[derive(Debug)]
pub(super) struct Owed {
    question: Question,
    r#type: Box<str>,
    data: Box<str>,
    /// So long it waits for the answer.
    until: Moment,
    /// Whether the answer still matters.
    is_wanted: bool,
    /// Nobody asked: its home is another, and only an end is told that nobody heard of.
    is_again: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Question {
    See(About),
    Make(TaskId),
    Cancel(TaskId),
}

impl Connection {
    /// Does what a message asks for.
    pub(super) fn asks(
        &mut self,
        said: Result<Said<'_>, Nonsense>,
        request: Request<'_>,
        gate: &mut Gate<'_>,
        out: &mut Vec<Effect>,
    ) {
        let Request { echo, conn, .. } = request;
        match said {
            Ok(Said::Subscribe(subject)) => self.subscribe(subject, request, gate, out),
            Ok(Said::Unsubscribe(subject)) => self.unsubscribe(subject, out),
            Ok(Said::Execute(execute)) => self.execute(&execute, request, gate, out),
            Ok(Said::Cancel(None)) => error("invalid_request", "Cannot cancel non-existent task", Some(echo), out),
            Ok(Said::Cancel(Some(task))) => {
                if self.owe(Question::Cancel(task), request, gate, out) {
                    out.push(Effect::Task(ToTask::Cancel { conn, task, caller: self.caller.clone() }));
                }
            }
            Ok(Said::Ping(timestamp)) => send(&Message::Pong { timestamp }, out),
            Ok(Said::Pong) => {}
            Err(Nonsense::Format) => error("invalid_request", "Invalid request format", Some(echo), out),
            Err(Nonsense::Type) => error("invalid_request", "Unknown message type", Some(echo), out),
            Err(Nonsense::Channel) => error("invalid_subscription", "Unknown channel", Some(echo), out),
        }
    }

    fn subscribe(&mut self, subject: Subject, request: Request<'_>, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        let Request { echo, conn, now } = request;
        let (about, is_new) = match subject {
            Subject::Task(None) => return error("invalid_subscription", NO_TASK, Some(echo), out),
            Subject::Execution(None) => return error("invalid_subscription", NO_EXECUTION, Some(echo), out),
            Subject::Tasks => (None, !self.subscriptions.is_all()),
            Subject::Status => (Some(About::Status), !self.subscriptions.has(About::Status)),
            Subject::Task(Some(id)) => (Some(About::Task(id)), !self.subscriptions.has(About::Task(id))),
            Subject::Execution(Some(id)) => (Some(About::Execution(id)), !self.subscriptions.has(About::Execution(id))),
        };
        let most = gate.settings.max_subscriptions;
        if is_new && self.subscriptions.counted() >= most {
            return self.exceed(&format!("Maximum {most} subscriptions per connection"), Some(echo), out);
        }
        match about {
            None => {
                self.subscriptions.set_all(true);
                self.tune(out);
            }
            Some(About::Status) => {
                if self.subscriptions.set_status(true) {
                    out.push(Effect::Listen(Channel::Status));
                }
                self.tell_status(now, gate, out);
                self.set_timer(now, gate.settings, out);
            }
            Some(about) => {
                if !self.owe(Question::See(about), request, gate, out) {
                    return;
                }
                self.subscriptions.add(about);
                // What is published behind the answer is not to be missed.
                self.tune(out);
                out.extend(self.see(about, conn));
            }
        }
    }

    /// What it has not subscribed to, it has not to unsubscribe from.
    fn unsubscribe(&mut self, subject: Subject, out: &mut Vec<Effect>) {
        let about = match subject {
            Subject::Task(None) | Subject::Execution(None) => return,
            Subject::Tasks => {
                self.subscriptions.set_all(false);
                return self.tune(out);
            }
            Subject::Status => {
                if self.subscriptions.set_status(false) {
                    self.next_status = None;
                    out.push(Effect::Unlisten(Channel::Status));
                }
                return;
            }
            Subject::Task(Some(id)) => About::Task(id),
            Subject::Execution(Some(id)) => About::Execution(id),
        };
        self.subscriptions.remove(about);
        let seen = self.owed.iter_mut().filter(|owed| owed.question == Question::See(about));
        seen.for_each(|owed| owed.is_wanted = false);
        self.tune(out);
    }

    fn execute(&mut self, execute: &Execute<'_>, request: Request<'_>, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        let Request { echo, conn, now } = request;
        let why = match gate.catalog.agents.get(&*execute.agent_id) {
            None => "Unknown agent",
            Some(agent) if agent.model_named(execute.model_id.as_deref()).is_none() => "Unknown model",
            Some(_) if execute.task.trim().is_empty() => "The task is empty",
            Some(_) if execute.task.len() > gate.settings.max_task_bytes => "The task is too long",
            Some(_) if !Parameters::read(parameters(execute)).are_possible() => "The temperature must be between 0 and 2",
            Some(agent) => {
                let id = (gate.ids)();
                let mut task = Box::new(Task::new(id, self.caller.user.clone(), &execute.task, now.wall));
                task.kind = Kind::of(&agent.name);
                task.agent = Some(agent.name.clone());
                task.model = execute.model_id.as_deref().map(Into::into);
                task.parameters = parameters(execute).into();
                if self.owe(Question::Make(id), request, gate, out) {
                    self.subscriptions.follow(About::Task(id));
                    self.tune(out);
                    out.push(Effect::Task(ToTask::Create { conn, task }));
                }
                return;
            }
        };
        error("invalid_request", why, Some(echo), out);
    }

    /// Remembers what a home is asked. Whether there is room for that.
    fn owe(&mut self, question: Question, request: Request<'_>, gate: &Gate<'_>, out: &mut Vec<Effect>) -> bool {
        let Request { echo, now, .. } = request;
        let (r#type, data): (Box<str>, Box<str>) = (echo.r#type.into(), echo.data.map_or("", RawValue::get).into());
        let owed: usize = self.owed.iter().map(|owed| owed.data.len()).sum();
        let fits = owed + data.len() <= 2 * gate.settings.max_message_bytes;
        if !fits {
            error("service_unavailable", "Too many requests are not answered yet", Some(echo), out);
            return false;
        }
        let is_first = self.next_due().is_none();
        let until = now.moment + gate.settings.keep_timeout;
        self.owed.push_back(Owed { question, r#type, data, until, is_wanted: true, is_again: false });
        if is_first {
            self.set_timer(now, gate.settings, out);
        }
        true
    }

    /// When the first has waited too long of those that wait for an answer.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.owed.iter().find(|owed| owed.is_wanted).map(|owed| owed.until)
    }

    /// Tells of what was asked too long ago that it takes too long. What it began goes on: a task that is made in the end is heard of.
    pub(super) fn give_up(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some(late) = self.owed.iter_mut().find(|owed| owed.is_wanted && owed.until <= now.moment) {
            late.is_wanted = false;
            late.tell("service_unavailable", "The task was not stored or read in time", out);
            if let Question::See(about) = late.question {
                self.unheard(about, out);
            }
        }
    }

    /// It could not be told how something stands, which may be asked for once more.
    fn unheard(&mut self, about: About, out: &mut Vec<Effect>) {
        if !self.owed.iter().any(|owed| owed.is_wanted && owed.question == Question::See(about)) {
            self.subscriptions.remove_unheard(about);
            self.tune(out);
        }
    }

    /// What was owed longest of those that this answers: a home answers the same question in order.
    fn paid(&mut self, question: Question) -> Option<Owed> {
        let place = self.owed.iter().position(|owed| owed.question == question)?;
        self.owed.remove(place)
    }

    /// A home answers.
    pub(super) fn on_home(&mut self, letter: FromHome, out: &mut Vec<Effect>) {
        match letter {
            // It was counted once, and is.
            FromHome::Counted { .. } => {}
            FromHome::Taken { task } => {
                self.paid(Question::Make(task));
                self.subscriptions.hear(About::Task(task));
            }
            FromHome::NotTaken { task, why } => {
                self.subscriptions.remove(About::Task(task));
                self.tune(out);
                let (code, message) = refused(why, "Cannot create the task");
                self.fail(Question::Make(task), (code, message), out);
            }
            FromHome::Seen { task, state: Ok(state) } => {
                self.seen(About::Task(task), (&state.message(), state.status.is_over()), out)
            }
            FromHome::ExecutionSeen { execution, state: Ok(state) } => {
                self.seen(About::Execution(execution), (&state.message(), state.status.is_over()), out);
            }
            FromHome::Seen { task, state: Err(why) } => self.unseen(About::Task(task), why, out),
            FromHome::ExecutionSeen { execution, state: Err(why) } => self.unseen(About::Execution(execution), why, out),
            FromHome::Cancelled(task) => {
                let is_wanted = self.paid(Question::Cancel(task.id)).is_some_and(|owed| owed.is_wanted);
                if is_wanted && !self.subscriptions.hears(About::Task(task.id)) {
                    send(&task.message(), out);
                }
            }
            FromHome::NotCancelled { task, why } => {
                self.fail(Question::Cancel(task), refused(why, "Cannot cancel non-existent task"), out);
            }
        }
    }

    fn seen(&mut self, about: About, (state, is_over): (&Message<'_>, bool), out: &mut Vec<Effect>) {
        let Some(owed) = self.paid(Question::See(about)).filter(|owed| owed.is_wanted) else { return };
        if owed.is_again {
            if is_over && self.subscriptions.is_open(about) {
                send(state, out);
                self.subscriptions.ended(about);
                self.tune(out);
            }
        } else if self.subscriptions.hear(about) {
            send(state, out);
        }
    }

    /// Homes have died: asks the next ones how things stand of which an end may have been told nobody, and what was asked and not answered.
    pub fn look_again(
        &mut self,
        is_lost: &dyn Fn(Uuid) -> bool,
        (conn, now): (ConnId, Now),
        settings: &Settings,
        out: &mut Vec<Effect>,
    ) {
        let is_lost = |about: &About| match about {
            About::Task(id) | About::Execution(id) => is_lost(*id),
            About::Status => false,
        };
        let open: Vec<About> = self.subscriptions.open().filter(is_lost).collect();
        let asked = self.owed.iter().filter(|owed| owed.is_wanted).filter_map(|owed| match owed.question {
            Question::See(about) => Some(about).filter(is_lost),
            Question::Make(_) | Question::Cancel(_) => None,
        });
        let asked: Vec<About> = asked.collect();
        let until = now.moment + settings.keep_timeout;
        for about in &open {
            let (question, nothing) = (Question::See(*about), || "".into());
            self.owed.push_back(Owed { question, r#type: nothing(), data: nothing(), until, is_wanted: true, is_again: true });
        }
        out.extend(asked.iter().chain(&open).filter_map(|about| self.see(*about, conn)));
        if !open.is_empty() {
            self.set_timer(now, settings, out);
        }
    }

    fn see(&self, about: About, conn: ConnId) -> Option<Effect> {
        let caller = self.caller.clone();
        match about {
            About::Task(task) => Some(Effect::Task(ToTask::See { conn, task, caller })),
            About::Execution(execution) => Some(Effect::Execution(ToExecution::See { conn, execution, caller })),
            About::Status => None,
        }
    }

    fn unseen(&mut self, about: About, why: Refused, out: &mut Vec<Effect>) {
        let Some(owed) = self.paid(Question::See(about)).filter(|owed| owed.is_wanted) else { return };
        let (code, message) = match (why, about) {
            (Refused::NotFound | Refused::NotHere, About::Task(_) | About::Status) => ("invalid_subscription", NO_TASK),
            (Refused::NotFound | Refused::NotHere, About::Execution(_)) => ("invalid_subscription", NO_EXECUTION),
            (why, _) => refused(why, NO_TASK),
        };
        match why {
            Refused::NotFound | Refused::NotHere => {
                self.subscriptions.remove(about);
                self.tune(out);
            }
            Refused::Over | Refused::AtWork | Refused::NoSuchMove => self.unheard(about, out),
            Refused::Crowded | Refused::TooMany | Refused::Stopping | Refused::Store(_) => self.unheard(about, out),
        }
        owed.tell(code, message, out);
    }

    fn fail(&mut self, question: Question, (code, message): (&str, &str), out: &mut Vec<Effect>) {
        if let Some(owed) = self.paid(question).filter(|owed| owed.is_wanted) {
            owed.tell(code, message, out);
        }
    }
}

const NO_TASK: &str = "Cannot subscribe to non-existent task";
const NO_EXECUTION: &str = "Cannot subscribe to non-existent workflow execution";

impl Owed {
    fn tell(&self, code: &str, message: &str, out: &mut Vec<Effect>) {
        if self.is_again {
            return;
        }
        error(code, message, Some(Echo { r#type: &self.r#type, data: Some(raw(&self.data)) }), out);
    }
}

fn parameters<'a>(execute: &Execute<'a>) -> &'a str {
    execute.parameters.map_or("{}", RawValue::get)
}

/// The error's code and text; `unknown`: what is said where there is no such thing.
fn refused(why: Refused, unknown: &'static str) -> (&'static str, &'static str) {
    match why {
        Refused::NotHere | Refused::NotFound => ("invalid_request", unknown),
        Refused::Over => ("invalid_request", "The task is already finished"),
        Refused::AtWork | Refused::NoSuchMove => ("invalid_request", "The task cannot be changed so"),
        Refused::Crowded => ("service_unavailable", "Too many tasks are waiting"),
        Refused::TooMany => ("service_unavailable", "Too many of your tasks are waiting"),
        Refused::Stopping => ("service_unavailable", "The server is shutting down"),
        Refused::Store(_) => ("service_unavailable", "The task could not be stored or read"),
    }
}
