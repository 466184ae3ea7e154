//! What the routes of chat take and tell, for the document of their listener.
#![allow(dead_code)]

use super::{
    fault::Told,
    shapes::{
        AllWaitingShape, AnswerShape, ApprovalsShape, ApprovedShape, EndedShape, HistoryShape, ListShape, LoginShape, MadeShape,
        RejectedShape, SessionShape,
    },
    stream::Event,
};
use crate::{
    documents::{Content, Operation, Parameter, Rest, Scheme, of_text, shape},
    protocols::chat::attachments::Given,
};
use serde_json::{Value, json};
use utoipa::ToSchema;

const USER: &[&str] = &["bearer"];

/// What one signs in with.
#[derive(ToSchema)]
struct Credentials {
    email: String,
    password: String,
}

/// A session as it is wished for.
#[derive(ToSchema)]
struct NewSession {
    #[schema(max_length = 200)]
    title: Option<String>,
    /// The name of an agent; the default one, where it is left away.
    #[schema(max_length = 128)]
    agent_id: Option<String>,
    /// Whether a person is asked before each call of a tool.
    require_approval: Option<bool>,
    /// Given back as it was sent; at most 64 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
}

/// What is said.
#[derive(ToSchema)]
struct Say<'a> {
    /// Not blank.
    #[schema(pattern = r"\S")]
    content: String,
    /// Whether the answer is to come as server-sent events.
    stream: Option<bool>,
    attachments: Option<Vec<Given<'a>>>,
}

/// Yes or no, in words.
#[derive(ToSchema)]
struct Words {
    #[schema(max_length = 2000)]
    comment: Option<String>,
    #[schema(max_length = 2000)]
    reason: Option<String>,
}

/// What is told of chat.
pub fn document() -> Rest {
    Rest {
        name: "chat",
        about: "Sessions with agents: what is said and answered, tools, and approvals of their calls.",
        schemes: &[("bearer", Scheme::Bearer, "A JWT of a login")],
        path,
        refusal: |_| Content::Json(shape::<Told<'_>>),
        always: &[413, 500, 503],
        of_credentials: &[401],
        of_query: &[422],
        of_body: &[400, 422],
        headers: Vec::new,
        operations: [sessions(), said(), approvals()].concat(),
    }
}

/// What is told of chat on the internal listener.
pub fn internal_document() -> Rest {
    let waiting = Operation::new("GET", "/api/v1/approvals", "listApprovals", "Approvals of any session that wait").answers(
        200,
        "The oldest first, without what was said",
        shape::<AllWaitingShape<'_>>,
    );
    Rest { name: "internalChat", schemes: &[], always: &[403, 413, 500, 503], operations: vec![waiting], ..document() }
}

/// What is no id is not there, rather than malformed.
fn path(_: &str) -> Value {
    json!({ "type": "string" })
}

fn sessions() -> Vec<Operation> {
    let number = |maximum: u32, default: u32| json!({ "type": "integer", "minimum": 1, "maximum": maximum, "default": default });
    vec![
        Operation::new("POST", "/api/v1/auth/login", "login", "Signs in with an email and a password")
            .takes(shape::<Credentials>)
            .answers(200, "A token", shape::<LoginShape<'_>>)
            .refuses(&[401, 403, 429]),
        Operation::new("POST", "/api/v1/sessions", "makeSession", "Begins a session")
            .also("/api/v1/sessions/")
            .by(USER)
            .may_take(shape::<NewSession>)
            .answers(201, "It takes messages", shape::<MadeShape<'_>>)
            .refuses(&[404, 429]),
        Operation::new("GET", "/api/v1/sessions", "listSessions", "The user's sessions")
            .also("/api/v1/sessions/")
            .by(USER)
            .query(Parameter::new("page", number(u32::MAX, 1), "From 1"))
            .query(Parameter::new("page_size", number(100, 20), "As many at most"))
            .query(Parameter::new("status", of_text(&["active", "suspended", "ended"]), "Of this status"))
            .query(Parameter::new("agent_id", json!({ "type": "string" }), "With this agent"))
            .answers(200, "Newest first", shape::<ListShape<'_>>)
            .refuses(&[429]),
        Operation::new("GET", "/api/v1/sessions/{session}", "showSession", "A session")
            .by(USER)
            .answers(200, "As it is", shape::<SessionShape<'_>>)
            .refuses(&[404, 429]),
        Operation::new("POST", "/api/v1/sessions/{session}/end", "endSession", "Ends a session")
            .by(USER)
            .answers(200, "It takes no more messages", shape::<EndedShape>)
            .refuses(&[404, 409]),
    ]
}

fn said() -> Vec<Operation> {
    let say = |path, id, summary| {
        Operation::new("POST", path, id, summary).by(USER).takes(shape::<Say<'_>>).refuses(&[403, 404, 409, 410, 429, 504])
    };
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 200, "default": 50 });
    let cursor = || json!({ "type": "string" });
    vec![
        say("/api/v1/sessions/{session}/chat", "say", "Says something, and waits for the answer").answers_with(
            200,
            "The answer, or, with `stream`, as it comes",
            Content::EitherEvents(shape::<AnswerShape<'_>>, shape::<Event<'_>>),
        ),
        say("/api/v1/sessions/{session}/chat/stream", "stream", "Says something, and hears the answer as it comes")
            .about("Each event is an unnamed `data:` line of JSON with a `type`, as `x-event` has them; the last is `done` or `error`.")
            .answers_with(200, "Server-sent events; the last is `done` or `error`", Content::Events(shape::<Event<'_>>)),
        Operation::new("GET", "/api/v1/sessions/{session}/messages", "listMessages", "What was said")
            .by(USER)
            .query(Parameter::new("limit", limit, "As many at most"))
            .query(Parameter::new("before", cursor(), "Those before this message"))
            .query(Parameter::new("after", cursor(), "Those after this message; not beside `before`"))
            .answers(200, "Oldest first; the newest unless told", shape::<HistoryShape<'_>>)
            .refuses(&[404]),
    ]
}

fn approvals() -> Vec<Operation> {
    let decide =
        |path, id, summary| Operation::new("POST", path, id, summary).by(USER).may_take(shape::<Words>).refuses(&[404, 409, 410]);
    vec![
        Operation::new("GET", "/api/v1/sessions/{session}/approvals", "listApprovals", "Calls of tools that wait for leave")
            .by(USER)
            .answers(200, "The oldest first", shape::<ApprovalsShape<'_>>)
            .refuses(&[404]),
        decide("/api/v1/sessions/{session}/approvals/{approval}/approve", "approve", "Allows a call").answers(
            200,
            "It is made",
            shape::<ApprovedShape<'_>>,
        ),
        decide("/api/v1/sessions/{session}/approvals/{approval}/reject", "reject", "Forbids a call").answers(
            200,
            "It is not made",
            shape::<RejectedShape<'_>>,
        ),
        Operation::new("POST", "/api/v1/sessions/{session}/approvals/{approval}/{action}", "decide", "Any other answer")
            .about("There is none but `approve` and `reject`: everything else is refused with APPROVAL_INVALID.")
            .by(USER),
        Operation::new("GET", "/ws/sessions/{session}", "socket", "The socket's path without an upgrade").refuses(&[426]),
    ]
}
