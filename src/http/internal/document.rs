//! What the internal routes take and tell, those of the APIs among them, for the document of their listener.

use super::{Closed, Closing, Event, NodeShape, Published, Room};
use crate::{
    documents::{Content, Operation, Parameter, Rest, list, shape},
    http::{
        chat, control, labs,
        presence::document::{ATTENDANCE, attended, path, refusal},
        quiz,
    },
};
use serde_json::json;

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is told of all that the internal listener serves but its pages.
pub fn document() -> Vec<Rest> {
    let own = Rest {
        name: "internal",
        about: "For our own services and operators. No token is asked for: only the listener's address protects it.",
        schemes: &[],
        path,
        refusal,
        // A page of a browser is refused, whatever it asks for.
        always: &[403, 413, 500, 503],
        of_credentials: &[],
        of_query: &[400],
        of_body: &[400, 422],
        headers: Vec::new,
        operations: operations(),
    };
    vec![own, control::document::document(), quiz::internal_document(), labs::internal_document(), chat::internal_document()]
}

fn operations() -> Vec<Operation> {
    let number = json!({ "type": "integer", "format": "int32", "minimum": 0 });
    let ok = |operation: Operation| operation.answers_with(200, "It is", Content::Text(TEXT));
    vec![
        Operation::new("DELETE", "/api/v1/sessions", "closeSession", "Ends a session as replaced")
            .takes(shape::<Closing>)
            .answers(200, "It is over", shape::<Closed>)
            .answers(404, "There is none", shape::<Closed>),
        Operation::new(
            "POST",
            "/api/v1/classrooms/{classroom}/events",
            "publishEvent",
            "Tells the members of a classroom of an event",
        )
        .takes(shape::<Event<'_>>)
        .answers(200, "Its number, and how many members it was sent to", shape::<Published>),
        attended(Operation::new("GET", "/api/v1/classrooms/{classroom}/attendance", "listAttendance", ATTENDANCE)),
        Operation::new("GET", "/api/v1/classrooms", "listClassrooms", "The classrooms in which somebody is")
            .query(Parameter::new("limit", number, "As many at most; 100 unless told, and never more than 1000"))
            .answers(200, "The fullest first", list::<Room>),
        Operation::new("GET", "/api/v1/node", "showNode", "This node, and those beside it").answers(
            200,
            "As they are",
            shape::<NodeShape<'_>>,
        ),
        Operation::new("GET", "/metrics", "metrics", "All counters and gauges").answers_with(
            200,
            "In the OpenMetrics format",
            Content::Text(METRICS),
        ),
        ok(Operation::new("GET", "/livez", "live", "Whether the process lives")),
        ok(Operation::new("GET", "/readyz", "ready", "Whether the node should be sent work")).answers_with(
            503,
            "It should not; every reason, a line each",
            Content::Text(TEXT),
        ),
    ]
}
