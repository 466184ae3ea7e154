//! What the routes of labs take and tell, for the document of their listener.

mod bodies;

use super::{
    auth::Done,
    gate, internal,
    logs::Logs,
    shapes::{
        AgentDetails, AgentShape, DrainedShape, EnrolledShape, ListedUser, LoginShape, MadeSession, MovedSession, Pagination,
        PulseShape, SessionDetails, SessionShape, Statistics, TemplateDetails, TemplateShape, UserShape,
    },
};
use crate::documents::{Content, Operation, Parameter, Rest, Schemas, Scheme, of_text, shape};
use bodies::{
    AgentChange, Credentials, Heartbeat, NewPassword, NewSession, NewTemplate, NewUser, OperatorChange, Registration,
    SessionMove, TemplateChange, UserChange,
};
use serde_json::{Value, json};
use utoipa::ToSchema;

const USER: &[&str] = &["bearer"];
const AGENT: &[&str] = &["agent"];

/// What is told of labs.
pub fn document() -> Rest {
    Rest {
        name: "labs",
        about: "Desktops for students: users, agents that run them, templates, sessions.",
        schemes: &[
            ("bearer", Scheme::Bearer, "A JWT of a login"),
            ("agent", Scheme::Header("X-Agent-API-Key"), "The key of this server's agents, where one is configured"),
        ],
        path,
        refusal: |_| Content::Json(shape::<gate::Told<'_>>),
        always: &[413, 429, 500, 503],
        of_credentials: &[401, 403],
        of_query: &[400],
        of_body: &[400],
        headers: limits,
        operations: [auth(), agents(), sessions(), templates(), users(), sockets()].concat(),
    }
}

/// What is told of labs on the internal listener.
pub fn internal_document() -> Rest {
    let named = |method, id, summary| Operation::new(method, "/api/v1/labs/users/{username}", id, summary).refuses(&[404]);
    let operations = vec![
        paged(Operation::new("GET", "/api/v1/labs/users", "listUsers", "All users"), 100)
            .answers(200, "By name", |schemas| listed::<ListedUser<'_>>("users", schemas)),
        Operation::new("POST", "/api/v1/labs/users", "makeUser", "Makes a user")
            .takes(shape::<NewUser>)
            .answers(201, "They may sign in", shape::<UserShape<'_>>)
            .refuses(&[409]),
        named("GET", "showUser", "A user, by name").answers(200, "As they are", shape::<ListedUser<'_>>),
        named("PATCH", "changeUser", "Changes a user").takes(shape::<OperatorChange>).answers(
            200,
            "As they are now",
            shape::<ListedUser<'_>>,
        ),
    ];
    Rest {
        name: "internalLabs",
        schemes: &[],
        refusal: |_| Content::Json(shape::<internal::Told<'_>>),
        always: &[403, 413, 500, 503],
        headers: Vec::new,
        operations,
        ..document()
    }
}

/// Sessions and users have ids; agents, templates and operators' users go by name.
fn path(name: &str) -> Value {
    match name {
        "session" | "user" => json!({ "type": "string", "format": "uuid" }),
        _ => json!({ "type": "string" }),
    }
}

/// How much of a limit is left, with every answer.
fn limits() -> Vec<Parameter> {
    let number = || json!({ "type": "integer", "minimum": 0 });
    vec![
        Parameter::new("X-RateLimit-Limit", number(), "Requests in a window"),
        Parameter::new("X-RateLimit-Remaining", number(), "Requests that are left in this one"),
        Parameter::new("X-RateLimit-Reset", number(), "When it ends, in seconds since 1970"),
    ]
}

/// A page of a list of this name.
fn listed<T: ToSchema>(name: &str, schemas: &mut Schemas) -> Value {
    json!({
        "type": "object",
        "required": [name, "pagination"],
        "properties": {
            name: { "type": "array", "items": shape::<T>(schemas) },
            "pagination": shape::<Pagination>(schemas),
        },
    })
}

fn paged(operation: Operation, entries: u32) -> Operation {
    let number = |default: u32| json!({ "type": "integer", "minimum": 1, "default": default });
    operation.query(Parameter::new("page", number(1), "From 1")).query(Parameter::new(
        "limit",
        number(entries),
        "As many at most; never more than 100",
    ))
}

fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter::new(name, json!({ "type": "string" }), about)
}

fn auth() -> Vec<Operation> {
    vec![
        Operation::new("POST", "/api/v1/auth/login", "login", "Signs in with a name and a password")
            .takes(shape::<Credentials>)
            .answers(200, "A token for 24 hours", shape::<LoginShape<'_>>)
            .refuses(&[401, 403]),
        Operation::new("POST", "/api/v1/auth/logout", "logout", "Makes the token that asks invalid").by(USER).answers(
            200,
            "It is good no more",
            shape::<Done>,
        ),
    ]
}

fn agents() -> Vec<Operation> {
    let agent = |method, id, summary| Operation::new(method, "/api/v1/agents/{agent}", id, summary).by(USER).refuses(&[404]);
    vec![
        paged(Operation::new("GET", "/api/v1/agents", "listAgents", "The agents"), 20)
            .by(USER)
            .query(text("platform", "Of this platform"))
            .query(Parameter::new("status", of_text(&["online", "offline", "draining"]), "Of this status"))
            .query(text("region", "Of this region"))
            .answers(200, "Oldest first", |schemas| listed::<AgentShape<'_>>("agents", schemas)),
        Operation::new("GET", "/api/v1/agents/stats", "countAgents", "All agents, counted").by(USER).answers(
            200,
            "As they are",
            shape::<Statistics<'_>>,
        ),
        agent("GET", "showAgent", "An agent with its sessions").answers(200, "As it is", shape::<AgentDetails<'_>>),
        agent("PATCH", "changeAgent", "Drains an agent, or takes it back; for admins").takes(shape::<AgentChange>).answers(
            200,
            "As it is now",
            shape::<DrainedShape<'_>>,
        ),
        agent("DELETE", "forgetAgent", "Forgets an agent that is gone; for admins")
            .answers_with(204, "It is forgotten", Content::Nothing)
            .refuses(&[409]),
        Operation::new("POST", "/api/v1/agents/register", "registerAgent", "An agent of the second dialect makes itself known")
            .perhaps_by(AGENT)
            .takes(shape::<Registration>)
            .answers(200, "It was known", shape::<EnrolledShape<'_>>)
            .answers(201, "It is new", shape::<EnrolledShape<'_>>),
        Operation::new("POST", "/api/v1/agents/{agent}/heartbeat", "heartbeat", "An agent of the second dialect lives")
            .perhaps_by(AGENT)
            .may_take(shape::<Heartbeat>)
            .answers(200, "It is heard", shape::<PulseShape<'_>>)
            .refuses(&[404]),
    ]
}

fn sessions() -> Vec<Operation> {
    let states = ["pending", "running", "hibernated", "terminating", "terminated", "failed"];
    let session =
        |method, id, summary| Operation::new(method, "/api/v1/sessions/{session}", id, summary).by(USER).refuses(&[404]);
    let flag = || of_text(&["true", "false"]);
    vec![
        Operation::new("POST", "/api/v1/sessions", "makeSession", "Starts a session; for other users only as an admin")
            .by(USER)
            .takes(shape::<NewSession>)
            .answers(202, "An agent is told to start it", shape::<MadeSession<'_>>)
            .refuses(&[409]),
        paged(Operation::new("GET", "/api/v1/sessions", "listSessions", "The user's sessions, or an admin's view of all"), 20)
            .by(USER)
            .query(text("user", "Of this user"))
            .query(text("template", "Of this template"))
            .query(text("platform", "On this platform"))
            .query(text("agent_id", "At this agent"))
            .query(Parameter::new("state", of_text(&states), "In this state"))
            .query(text("tags", "With all of these tags, parted by commas"))
            .query(Parameter::new("sort", of_text(&["created_at", "updated_at", "user", "state"]), "`created_at` unless told"))
            .query(Parameter::new("order", of_text(&["asc", "desc"]), "`desc` unless told"))
            .answers(200, "As they are", |schemas| listed::<SessionShape<'_>>("sessions", schemas)),
        session("GET", "showSession", "A session").answers(200, "As it is", shape::<SessionDetails<'_>>),
        session("PATCH", "moveSession", "Hibernates, wakes or ends a session")
            .takes(shape::<SessionMove>)
            .answers(200, "As it is now", shape::<MovedSession<'_>>)
            .refuses(&[409]),
        session("DELETE", "endSession", "Ends a session")
            .query(Parameter::new("force", flag(), "Do not wait for its agent; for admins"))
            .answers_with(204, "It is over, or being ended", Content::Nothing)
            .refuses(&[409]),
        Operation::new("GET", "/api/v1/sessions/{session}/logs", "showLogs", "The last lines of a session's log")
            .about("An upgrade of this path to WebSocket follows the log.")
            .by(USER)
            .query(Parameter::new("tail", json!({ "type": "integer", "minimum": 0, "default": 100 }), "So many lines"))
            .query(Parameter::new("follow", flag(), "Without an upgrade only `false`"))
            .query(Parameter::new("timestamps", flag(), "Whether lines begin with theirs"))
            .answers(200, "Oldest first", shape::<Logs>)
            .refuses(&[404]),
    ]
}

fn templates() -> Vec<Operation> {
    let template =
        |method, id, summary| Operation::new(method, "/api/v1/templates/{template}", id, summary).by(USER).refuses(&[404]);
    vec![
        paged(Operation::new("GET", "/api/v1/templates", "listTemplates", "The templates"), 50)
            .by(USER)
            .query(text("category", "Of this category"))
            .answers(200, "By name", |schemas| listed::<TemplateShape<'_>>("templates", schemas)),
        Operation::new("POST", "/api/v1/templates", "makeTemplate", "Makes a template; for admins")
            .by(USER)
            .takes(shape::<NewTemplate>)
            .answers(201, "Sessions may be started from it", shape::<TemplateDetails<'_>>)
            .refuses(&[409]),
        template("GET", "showTemplate", "A template").answers(200, "As it is", shape::<TemplateDetails<'_>>),
        template("PUT", "changeTemplate", "Replaces a template; for admins").takes(shape::<TemplateChange>).answers(
            200,
            "As it is now",
            shape::<TemplateDetails<'_>>,
        ),
        template("DELETE", "removeTemplate", "Removes a template; for admins").answers_with(
            204,
            "It is gone; sessions that were started from it stay",
            Content::Nothing,
        ),
    ]
}

fn users() -> Vec<Operation> {
    let user = |method, id, summary| Operation::new(method, "/api/v1/users/{user}", id, summary).by(USER).refuses(&[404]);
    vec![
        paged(Operation::new("GET", "/api/v1/users", "listUsers", "The users; for admins"), 20)
            .by(USER)
            .query(Parameter::new("role", of_text(&["admin", "user"]), "Of this role"))
            .answers(200, "By name", |schemas| listed::<ListedUser<'_>>("users", schemas)),
        Operation::new("POST", "/api/v1/users", "makeUser", "Makes a user; for admins")
            .by(USER)
            .takes(shape::<NewUser>)
            .answers(201, "They may sign in", shape::<UserShape<'_>>)
            .refuses(&[409]),
        user("GET", "showUser", "A user; for admins").answers(200, "As they are", shape::<ListedUser<'_>>),
        user("PATCH", "changeUser", "Changes a user; for admins").takes(shape::<UserChange>).answers(
            200,
            "As they are now",
            shape::<ListedUser<'_>>,
        ),
        user("DELETE", "disableUser", "Disables a user; for admins").answers_with(
            204,
            "They may not sign in any more",
            Content::Nothing,
        ),
        Operation::new("PUT", "/api/v1/users/{user}/password", "changePassword", "Sets a new password, one's own or as an admin")
            .by(USER)
            .takes(shape::<NewPassword>)
            .answers_with(204, "It is set", Content::Nothing)
            .refuses(&[404]),
    ]
}

/// The paths of sockets, where nobody asks for one.
fn sockets() -> Vec<Operation> {
    let socket = |path, id, summary| Operation::new("GET", path, id, summary).refuses(&[426]);
    vec![
        socket("/vnc-viewer/{session}", "viewer", "The path of a screen's socket without an upgrade"),
        socket("/agent/ws", "agentSocket", "The path of agents' sockets without an upgrade"),
        socket("/api/v1/agents/connect", "agentSocketInField", "The same of the second dialect"),
    ]
}
