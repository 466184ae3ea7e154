//! What sockets of tasks hear, as JSON texts: `{"type": …, "data": {…}}`. Contract: "Server-to-Client Messages", "Connection Lifecycle",
//! "Error Handling".

use super::{
    model::{self, Execution, Task},
    status,
};
use crate::{
    realtime::{Frame, UnixMicros},
    websocket::frame::{self, Opcode},
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

/// A time as the wire has it: `2025-03-01T12:02:30Z`, whole seconds, rounded down.
#[derive(Clone, Copy, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct At(pub UnixMicros);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&jiff::Timestamp::from_second(self.0.seconds()).unwrap_or_default())
    }
}

/// `client_id`: `client-` and 32 hexadecimal digits.
#[derive(Clone, Copy, utoipa::ToSchema)]
#[schema(value_type = String)]
pub struct Client(pub Uuid);

impl Serialize for Client {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("client-{}", self.0.simple()))
    }
}

/// What a socket hears.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Message<'a> {
    /// How a task stands that is not over.
    TaskUpdate {
        /// Which.
        task_id: Uuid,
        /// Where it stands.
        status: model::Status,
        /// 0 to 1.
        progress: f64,
        /// When it changed.
        updated_at: At,
    },
    /// A task has a result.
    TaskCompletion {
        /// Which.
        task_id: Uuid,
        /// Where it stands: completed.
        status: model::Status,
        /// 1.
        progress: f64,
        /// A JSON object.
        #[schema(value_type = Option<Object>)]
        result: &'a RawValue,
        /// In the currency of the configured prices.
        cost: f64,
        /// When.
        completed_at: At,
    },
    /// A task has failed.
    TaskError {
        /// Which.
        task_id: Uuid,
        /// Where it stands: failed.
        status: model::Status,
        /// For people.
        error: &'a str,
        /// When.
        updated_at: At,
    },
    /// How an execution stands.
    WorkflowExecutionUpdate {
        /// Which.
        execution_id: Uuid,
        /// Where it stands.
        status: model::Status,
        /// Which step is at work.
        current_step_id: Option<&'a str>,
        /// When it changed.
        updated_at: At,
    },
    /// How the system is.
    SystemStatusUpdate {
        /// Of [`status::Health`].
        api_status: &'a str,
        /// Of [`status::Health`].
        database_status: &'a str,
        /// Of [`status::Health`].
        vector_db_status: &'a str,
        /// Of [`status::Health`].
        model_service_status: &'a str,
        /// In progress or being verified.
        active_tasks: u64,
        /// Pending.
        pending_tasks: u64,
        /// Now.
        updated_at: At,
    },
    /// Something that was said cannot be done.
    Error {
        /// Such as `invalid_request`.
        code: &'a str,
        /// For people.
        message: &'a str,
        /// `type` of what was said, where it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_type: Option<&'a str>,
        /// `data` of what was said, as it was said.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Value, required = false)]
        request_data: Option<&'a RawValue>,
    },
    /// The welcome.
    ConnectionEstablished {
        /// Of this connection.
        client_id: Client,
        /// Now.
        server_time: At,
    },
    /// To be answered with a pong.
    Ping {
        /// Now.
        timestamp: At,
    },
    /// To a client's ping.
    Pong {
        /// Its own, whatever it is.
        #[schema(value_type = Value)]
        timestamp: &'a RawValue,
    },
    /// The server is about to close.
    ConnectionClosed {
        /// Such as `session_timeout`.
        reason: &'a str,
        /// For people.
        message: &'a str,
    },
}

impl Message<'_> {
    /// A frame to be shared.
    pub fn frame(&self) -> Frame {
        frame::text(&self.json())
    }

    /// Appends a frame.
    pub fn append(&self, out: &mut Vec<u8>) {
        frame::encode(out, Opcode::Text, &self.json());
    }

    fn json(&self) -> Vec<u8> {
        // Texts, numbers and JSON that was parsed before: it is always written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Task {
    /// `task_update`, or how it ended.
    pub fn message(&self) -> Message<'_> {
        let (task_id, status, updated_at) = (self.id, self.status, At(self.updated_at));
        match status {
            model::Status::Pending | model::Status::InProgress | model::Status::Verifying => {
                Message::TaskUpdate { task_id, status, progress: self.progress, updated_at }
            }
            model::Status::Completed => Message::TaskCompletion {
                task_id,
                status,
                progress: 1.0,
                result: self.result.as_deref().map_or(RawValue::NULL, raw),
                cost: self.cost,
                completed_at: At(self.completed_at.unwrap_or(self.updated_at)),
            },
            model::Status::Failed => {
                Message::TaskError { task_id, status, error: self.error.as_deref().unwrap_or("The task failed"), updated_at }
            }
        }
    }
}

impl Execution {
    /// `workflow_execution_update`.
    pub fn message(&self) -> Message<'_> {
        Message::WorkflowExecutionUpdate {
            execution_id: self.id,
            status: self.status,
            current_step_id: self.current_step.as_deref(),
            updated_at: At(self.updated_at),
        }
    }
}

impl status::Status {
    /// `system_status_update`.
    pub fn message(&self, now: UnixMicros) -> Message<'_> {
        let status::Status { counts, health } = self;
        Message::SystemStatusUpdate {
            api_status: &health.api,
            database_status: &health.database,
            vector_db_status: &health.vector_db,
            model_service_status: &health.model_service,
            active_tasks: counts.active,
            pending_tasks: counts.pending,
            updated_at: At(now),
        }
    }
}

/// JSON that was parsed before, as itself; anything else is `null`.
pub fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap_or(RawValue::NULL)
}

#[cfg(test)]
mod tests {
    use super::{super::tests, *};

    const AT: UnixMicros = UnixMicros(1_740_830_550_999_999);

    fn says(message: &Message<'_>, expected: &str) {
        // As the contract has it, without what is only for the eye.
        let compact: String = expected.lines().map(str::trim).collect();
        assert_eq!(String::from_utf8(message.json()).unwrap(), compact);
        let (mut appended, frame) = (Vec::new(), message.frame());
        message.append(&mut appended);
        assert_eq!(appended, *frame);
    }

    fn task(status: model::Status) -> Task {
        Task { status, progress: 0.5, updated_at: AT, ..tests::task(0x123) }
    }

    #[test]
    fn tasks_are_told_as_the_contract_has_it() {
        says(
            &task(model::Status::InProgress).message(),
            r#"{"type":"task_update","data":{"task_id":"00000000-0000-0000-0000-000000000123",
            "status":"in_progress","progress":0.5,"updated_at":"2025-03-01T12:02:30Z"}}"#,
        );
        let result = r#"{"code":"function hello() { return 'world'; }","language":"javascript"}"#;
        let at = UnixMicros(1_740_830_700_000_000);
        let done = Task { result: Some(result.into()), cost: 0.05, completed_at: Some(at), ..task(model::Status::Completed) };
        says(
            &done.message(),
            r#"{"type":"task_completion","data":{"task_id":"00000000-0000-0000-0000-000000000123",
            "status":"completed","progress":1.0,
            "result":{"code":"function hello() { return 'world'; }","language":"javascript"},
            "cost":0.05,"completed_at":"2025-03-01T12:05:00Z"}}"#,
        );
        let failed = Task { error: Some("Error message".into()), ..task(model::Status::Failed) };
        says(
            &failed.message(),
            r#"{"type":"task_error","data":{"task_id":"00000000-0000-0000-0000-000000000123",
            "status":"failed","error":"Error message","updated_at":"2025-03-01T12:02:30Z"}}"#,
        );
        says(
            &Task { progress: 0.0, ..task(model::Status::Pending) }.message(),
            r#"{"type":"task_update","data":{"task_id":"00000000-0000-0000-0000-000000000123",
            "status":"pending","progress":0.0,"updated_at":"2025-03-01T12:02:30Z"}}"#,
        );
    }

    #[test]
    fn executions_and_the_system_are_told_as_the_contract_has_it() {
        let execution = Execution {
            status: model::Status::InProgress,
            current_step: Some("step2".into()),
            updated_at: AT,
            ..tests::execution(0x123)
        };
        says(
            &execution.message(),
            r#"{"type":"workflow_execution_update","data":{"execution_id":"00000000-0000-0000-0000-000000000123",
            "status":"in_progress","current_step_id":"step2","updated_at":"2025-03-01T12:02:30Z"}}"#,
        );
        let counts = status::Counts { active: 5, pending: 2 };
        says(
            &status::Status { counts, health: status::Health::default() }.message(UnixMicros(1_740_830_400_000_000)),
            r#"{"type":"system_status_update","data":{"api_status":"operational","database_status":"operational",
            "vector_db_status":"operational","model_service_status":"operational",
            "active_tasks":5,"pending_tasks":2,"updated_at":"2025-03-01T12:00:00Z"}}"#,
        );
    }

    #[test]
    fn the_life_of_a_connection_is_told_as_the_contract_has_it() {
        let at = At(UnixMicros(1_740_830_460_000_000));
        says(
            &Message::ConnectionEstablished { client_id: Client(Uuid::from_u128(0x123)), server_time: at },
            r#"{"type":"connection_established","data":{"client_id":"client-00000000000000000000000000000123",
            "server_time":"2025-03-01T12:01:00Z"}}"#,
        );
        says(&Message::Ping { timestamp: at }, r#"{"type":"ping","data":{"timestamp":"2025-03-01T12:01:00Z"}}"#);
        says(
            &Message::Pong { timestamp: raw(r#""2025-03-01T12:01:00Z""#) },
            r#"{"type":"pong","data":{"timestamp":"2025-03-01T12:01:00Z"}}"#,
        );
        let message = "Session timed out after 30 minutes of inactivity";
        says(
            &Message::ConnectionClosed { reason: "session_timeout", message },
            r#"{"type":"connection_closed","data":{"reason":"session_timeout",
            "message":"Session timed out after 30 minutes of inactivity"}}"#,
        );
    }

    #[test]
    fn errors_repeat_what_was_asked() {
        let message = "Invalid request format";
        says(
            &Message::Error { code: "invalid_request", message, request_type: None, request_data: None },
            r#"{"type":"error","data":{"code":"invalid_request","message":"Invalid request format"}}"#,
        );
        says(
            &Message::Error {
                code: "invalid_subscription",
                message: "Cannot subscribe to non-existent task",
                request_type: Some("subscribe"),
                request_data: Some(raw(r#"{"channel":"task","task_id":"non-existent-task"}"#)),
            },
            r#"{"type":"error","data":{"code":"invalid_subscription","message":"Cannot subscribe to non-existent task",
            "request_type":"subscribe","request_data":{"channel":"task","task_id":"non-existent-task"}}}"#,
        );
    }
}
