//! What the routes of presence take and tell, for the document of its listener.

use super::{Agent, Rooms};
use crate::{
    documents::{Content, Operation, Parameter, Rest, Schemas, Scheme, list, of_text, shape},
    http::{attendance::Interval, fault::Described},
};
use serde_json::{Value, json};

const TEXT: &str = "text/plain; charset=utf-8";
const CSV: &str = "text/csv; charset=utf-8";
const TOKEN: &[&str] = &["bearer", "query"];

/// What is told of presence.
pub fn document() -> Rest {
    Rest {
        name: "presence",
        about: "Who is in the classroom, how many, and since when.",
        schemes: &[
            ("bearer", Scheme::Bearer, "A JWT of one of the configured issuers"),
            ("query", Scheme::Query("access_token"), "The same, where a client can send no header"),
        ],
        path,
        refusal,
        always: &[413, 500, 503],
        of_credentials: &[401],
        of_query: &[400],
        of_body: &[400, 422],
        headers: Vec::new,
        operations: operations(),
    }
}

/// What stands in a path: the uuid of a classroom.
pub(in crate::http) fn path(_: &str) -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// Words for people where the request cannot be read, else JSON.
pub(in crate::http) fn refusal(status: u16) -> Content {
    match status {
        400 | 413 | 422 => Content::Text(TEXT),
        _ => Content::Json(shape::<Described>),
    }
}

/// How many are in each room, by its uuid.
fn counts(_: &mut Schemas) -> Value {
    json!({ "type": "object", "propertyNames": { "format": "uuid" }, "additionalProperties": { "type": "integer", "minimum": 1 } })
}

fn operations() -> Vec<Operation> {
    let number = |minimum: i64| json!({ "type": "integer", "format": "int64", "minimum": minimum });
    vec![
        Operation::new("GET", "/healthz", "health", "Whether the server is there").answers_with(
            200,
            "It is",
            Content::Text(TEXT),
        ),
        Operation::new("GET", "/ws", "socket", "The socket's path without an upgrade").refuses(&[400]),
        Operation::new("GET", "/api/v1/classrooms/{classroom}/agents", "listMembers", "Who is in a classroom")
            .by(TOKEN)
            .query(Parameter::new("sequence_id", number(i64::MIN), "Those whose number is greater than this"))
            .query(Parameter::new("limit", number(0), "As many at most; 1000 unless told, and never more"))
            .answers(200, "In the order of their numbers", list::<Agent>)
            .refuses(&[403]),
        Operation::new("POST", "/api/v1/counters/agent", "countMembers", "How many are in each of several classrooms")
            .by(TOKEN)
            .takes(shape::<Rooms>)
            .answers(200, "Classrooms in which nobody is are absent", counts),
        attended(Operation::new("GET", "/api/v1/classrooms/{classroom}/attendance", "listAttendance", ATTENDANCE).by(TOKEN))
            .refuses(&[403]),
    ]
}

/// What the same route is for, on either listener.
pub(in crate::http) const ATTENDANCE: &str = "Who was in a classroom, from when to when";

/// What that route takes and answers.
pub(in crate::http) fn attended(operation: Operation) -> Operation {
    let time = || json!({ "type": "string" });
    operation
        .query(Parameter::new("from", time(), "RFC 3339, or whole seconds since 1970; a day before `to` unless told"))
        .query(Parameter::new("to", time(), "The same; now unless told"))
        .query(Parameter::new("format", of_text(&["json", "csv"]), "Unless told, what the header Accept prefers"))
        .answers_with(200, "By agent and time; who is there still has left at no time", Content::Either(list::<Interval>, CSV))
}
