//! What sockets of tasks say, as JSON texts: `{"type": …, "data": {…}}`. Fields that nobody knows are nobody's fault. Contract:
//! "Client-to-Server Messages".

use super::{
    model::{ExecutionId, TaskId},
    work::Parameters,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use uuid::Uuid;

/// A message, before anybody has looked at its data.
#[derive(Deserialize, Debug)]
pub struct Envelope<'a> {
    /// `type`.
    #[serde(borrow)]
    pub r#type: Cow<'a, str>,
    /// `data`, whatever it is.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// What is meant.
#[derive(Debug)]
pub enum Said<'a> {
    /// `subscribe`.
    Subscribe(Subject),
    /// `unsubscribe`.
    Unsubscribe(Subject),
    /// `execute_agent`.
    Execute(Execute<'a>),
    /// `cancel_task`. None: no task is called so.
    Cancel(Option<TaskId>),
    /// `ping`, with its timestamp.
    Ping(&'a RawValue),
    /// `pong`.
    Pong,
}

/// What can be subscribed to. None: nothing is called so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// `task`.
    Task(Option<TaskId>),
    /// `tasks`.
    Tasks,
    /// `workflow_execution`.
    Execution(Option<ExecutionId>),
    /// `system_status`.
    Status,
}

/// `execute_agent`.
#[derive(Deserialize, Debug)]
pub struct Execute<'a> {
    /// Who is to do it.
    #[serde(borrow)]
    pub agent_id: Cow<'a, str>,
    /// What is to be done.
    #[serde(borrow)]
    pub task: Cow<'a, str>,
    /// With which model.
    #[serde(borrow, default)]
    pub model_id: Option<Cow<'a, str>>,
    /// A JSON object.
    #[serde(borrow, default)]
    pub parameters: Option<&'a RawValue>,
}

/// Why a message means nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nonsense {
    /// Its data are not of its type.
    Format,
    /// There is no such type.
    Type,
    /// There is no such channel.
    Channel,
}

#[derive(Deserialize)]
struct Channel<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow, default)]
    task_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    execution_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Cancel<'a> {
    #[serde(borrow)]
    task_id: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
struct Ping<'a> {
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads a message; none: it is not an object with a `type` that is a text.
    pub fn read(text: &'a str) -> Option<Envelope<'a>> {
        object(text)
    }

    /// What is meant.
    ///
    /// # Errors
    ///
    /// Why nothing is.
    pub fn said(&self) -> Result<Said<'a>, Nonsense> {
        let data = self.data.map(RawValue::get);
        match &*self.r#type {
            "subscribe" => subject(data).map(Said::Subscribe),
            "unsubscribe" => subject(data).map(Said::Unsubscribe),
            "execute_agent" => data.and_then(execute).map(Said::Execute).ok_or(Nonsense::Format),
            "cancel_task" => {
                let Cancel { task_id } = data.and_then(object).ok_or(Nonsense::Format)?;
                Ok(Said::Cancel(id(&task_id)))
            }
            "ping" => {
                let Ping { timestamp } = data.and_then(object).unwrap_or_default();
                Ok(Said::Ping(timestamp.unwrap_or(RawValue::NULL)))
            }
            "pong" => Ok(Said::Pong),
            _ => Err(Nonsense::Type),
        }
    }
}

/// Serde takes a list for an object whose fields come in order; a message is an object.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
}

fn subject(data: Option<&str>) -> Result<Subject, Nonsense> {
    let Channel { channel, task_id, execution_id } = data.and_then(object).ok_or(Nonsense::Format)?;
    match &*channel {
        "task" => Ok(Subject::Task(id(&task_id.ok_or(Nonsense::Format)?))),
        "tasks" => Ok(Subject::Tasks),
        "workflow_execution" => Ok(Subject::Execution(id(&execution_id.ok_or(Nonsense::Format)?))),
        "system_status" => Ok(Subject::Status),
        _ => Err(Nonsense::Channel),
    }
}

fn execute(data: &str) -> Option<Execute<'_>> {
    let execute: Execute<'_> = object(data)?;
    // They are kept as they are, so they are looked at now.
    let fits = execute.parameters.is_none_or(|parameters| object::<Parameters>(parameters.get()).is_some());
    fits.then_some(execute)
}

/// Ids are hyphenated UUIDs.
fn id(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0xabc);

    fn said(text: &str) -> String {
        format!("{:?}", Envelope::read(text).expect("an envelope").said())
    }

    #[test]
    fn every_message_of_the_contract_is_read() {
        let task = format!(r#"{{"type":"subscribe","data":{{"channel":"task","task_id":"{ID}"}}}}"#);
        assert_eq!(said(&task), format!("Ok(Subscribe(Task(Some({ID}))))"));
        assert_eq!(said(&task.replace("subscribe", "unsubscribe")), format!("Ok(Unsubscribe(Task(Some({ID}))))"));
        let unknown = r#"{ "type": "subscribe", "data": { "channel": "task", "task_id": "task-123" } }"#;
        assert_eq!(said(unknown), "Ok(Subscribe(Task(None)))");
        let all = r#"{"type":"subscribe","data":{"channel":"tasks","task_id":null}}"#;
        assert_eq!(said(all), "Ok(Subscribe(Tasks))");
        let execution = format!(r#"{{"type":"subscribe","data":{{"channel":"workflow_execution","execution_id":"{ID}"}}}}"#);
        assert_eq!(said(&execution), format!("Ok(Subscribe(Execution(Some({ID}))))"));
        assert_eq!(said(r#"{"data":{"channel":"system_status"},"type":"subscribe"}"#), "Ok(Subscribe(Status))");
        let cancel = format!(r#"{{"type":"cancel_task","data":{{"task_id":"{ID}"}}}}"#);
        assert_eq!(said(&cancel), format!("Ok(Cancel(Some({ID})))"));
        assert_eq!(said(r#"{"type":"pong","data":{"timestamp":"2025-03-01T12:01:00Z"}}"#), "Ok(Pong)");
        assert_eq!(said(r#"{"type":"pong"}"#), "Ok(Pong)");
    }

    #[test]
    fn an_agent_is_told_what_to_do() {
        let text = r#"{"type":"execute_agent","data":{"agent_id":"code-agent","task":"Generate a \"thing\"","model_id":"gpt-4o",
            "parameters":{"temperature":0.7,"other":[1]},"more":{}}}"#;
        let Ok(Said::Execute(execute)) = Envelope::read(text).unwrap().said() else { panic!("not read") };
        assert_eq!((&*execute.agent_id, &*execute.task), ("code-agent", "Generate a \"thing\""));
        assert_eq!(execute.model_id.as_deref(), Some("gpt-4o"));
        assert_eq!(execute.parameters.unwrap().get(), r#"{"temperature":0.7,"other":[1]}"#);
        let short = r#"{"type":"execute_agent","data":{"agent_id":"a","task":"t","model_id":null,"parameters":null}}"#;
        assert!(said(short).starts_with("Ok(Execute"));
        for bad in [r#""agent_id":"a""#, r#""task":"t""#, r#""agent_id":"a","task":"t","parameters":[1]"#] {
            assert_eq!(said(&format!(r#"{{"type":"execute_agent","data":{{{bad}}}}}"#)), "Err(Format)");
        }
        let hot = r#"{"type":"execute_agent","data":{"agent_id":"a","task":"t","parameters":{"temperature":"hot"}}}"#;
        assert_eq!(said(hot), "Err(Format)");
    }

    #[test]
    fn rubbish_is_rubbish() {
        for text in ["", "[]", "\"x\"", "5", "{}", r#"{"type":5}"#, r#"["subscribe",{"channel":"tasks"}]"#, "{", "null"] {
            assert!(Envelope::read(text).is_none(), "{text}");
        }
        for text in [
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","data":["tasks"]}"#,
            r#"{"type":"subscribe","data":{"channel":5}}"#,
            r#"{"type":"subscribe","data":{"channel":"task"}}"#,
            r#"{"type":"subscribe","data":{"channel":"task","task_id":5}}"#,
            r#"{"type":"cancel_task","data":null}"#,
        ] {
            assert_eq!(said(text), "Err(Format)", "{text}");
        }
        assert_eq!(said(r#"{"type":"dance","data":{}}"#), "Err(Type)");
        assert_eq!(said(r#"{"type":"subscribe","data":{"channel":"news"}}"#), "Err(Channel)");
        assert_eq!(said(r#"{"type":"ping","data":{"timestamp":7}}"#).matches("RawValue(7)").count(), 1);
    }
}
