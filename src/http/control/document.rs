//! What the routes of operators take and tell, for the document of their listener.

use super::{
    Told,
    shapes::{Drain, Drained, Kick, Kicked, LoadShape, Reloaded, StatusShape},
};
use crate::{
    documents::{Content, Operation, Parameter, Rest, Scheme, shape},
    http::presence::document::{path, refusal as common},
};
use serde_json::{Value, json};

/// See the file.
pub fn document() -> Rest {
    Rest {
        name: "control",
        about: "For operators: `homeroom ctl`. The listener's address protects it; who shows a token must be an \
                admin of labs, and where control.operators_only is set nobody is answered without one.",
        schemes: &[("operator", Scheme::Bearer, "A token of labs, of an admin")],
        path,
        refusal,
        // A page of a browser is refused, whatever it asks for.
        always: &[403, 413, 500, 503],
        of_credentials: &[401],
        of_query: &[400],
        of_body: &[400, 422],
        headers: Vec::new,
        operations: operations(),
    }
}

/// Words for people where the request cannot be read, else JSON.
fn refusal(status: u16) -> Content {
    match status {
        401 | 403 => Content::Json(shape::<Told>),
        _ => common(status),
    }
}

fn operations() -> Vec<Operation> {
    let many = |name, about| Parameter::new(name, json!({ "type": "integer", "format": "int32", "minimum": 0 }) as Value, about);
    let operator = |operation: Operation| operation.perhaps_by(&["operator"]);
    vec![
        operator(Operation::new("GET", "/api/v1/control/status", "controlStatus", "How the node is, in a few figures"))
            .answers(200, "As it is", shape::<StatusShape<'_>>),
        operator(Operation::new("GET", "/api/v1/control/load", "controlLoad", "What the shards see of themselves"))
            .about(
                "Rates of classrooms are counted only while somebody asks: the first answer has none. Slow readers are those for whom \
                 much waits; each answer has looked at a part of the connections.",
            )
            .query(many("rooms", "As many rooms with the most members, and with the most frames; 20 unless told, 500 at most"))
            .query(many("readers", "As many slow readers of each shard; 20 unless told, 500 at most"))
            .answers(200, "Counts are since the start", shape::<LoadShape<'_>>),
        operator(Operation::new("POST", "/api/v1/control/kick", "kick", "Ends connections of this node with 1008"))
            .about(
                "All of a user's (`sub`, `sub.aud` or agent id in a classroom; the id of a user of labs, chat and tasks; the owner of \
                 quizzes), all in a classroom, or one. Who has a good token may come again.",
            )
            .takes(shape::<Kick>)
            .answers(200, "How many, and how many shards did not answer", shape::<Kicked>),
        operator(Operation::new("POST", "/api/v1/control/reload", "reload", "Has settings, keys and certificates read again"))
            .answers(200, "What has changed", shape::<Reloaded>)
            .answers(422, "Nothing: every reason", shape::<Told>),
        operator(Operation::new("POST", "/api/v1/control/drain", "drain", "Begins the stop, at a pace or as SIGTERM does"))
            .about(
                "With over_seconds readiness goes at once, after lead_seconds the connected are let go one by one over that time, and the \
                 stop follows; each Close says in its reason when to come back. Without a body all are told at once, and served on for \
                 stop.drain.",
            )
            .may_take(shape::<Drain>)
            .answers(202, "How long the drain may take", shape::<Drained>)
            .answers(409, "It is under way", shape::<Told>),
    ]
}
