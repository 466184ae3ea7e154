//! What the routes of quizzes take and tell, for the document of their listener.

use super::{
    attempts::{Answered, Answering, Beginning, Begun},
    fault::Told,
    flags::{Batch, Flagged, Summary},
    owners::{Login, MadeKey, Name, NewKey, Token},
    people::{NewEvent, NewParticipant},
    questions::{Body, Order},
    reports::Closed,
    rules::Changes,
    shapes::{AttemptShape, EndShape, EventShape, FlagShape, KeyShape, ParticipantShape, QuestionShape, QuizShape, ViewShape},
};
use crate::documents::{Content, Operation, Parameter, Rest, Schemas, Scheme, of_text, shape};
use serde_json::{Value, json};
use utoipa::ToSchema;

const OWNER: &[&str] = &["bearer", "key"];
const KEEPER: &[&str] = &["bearer"];

/// What is told of quizzes.
pub fn document() -> Rest {
    Rest {
        name: "quiz",
        about: "Quizzes: owners make and watch them, participants take them.",
        schemes: &[
            ("bearer", Scheme::Bearer, "An access token (JWT) of a sign-in, or an API key"),
            ("key", Scheme::Header("x-api-key"), "An API key"),
        ],
        path,
        refusal: |_| Content::Json(shape::<Told>),
        always: &[413, 500, 503],
        of_credentials: &[401, 403],
        of_query: &[400],
        of_body: &[400],
        headers: Vec::new,
        operations: [owners(), quizzes(), people(), attempts(), reports()].concat(),
    }
}

/// What is told of quizzes on the internal listener.
pub fn internal_document() -> Rest {
    let owner = Operation::new("POST", "/api/v1/owners", "keepOwner", "Makes an account, or gives one a new password")
        .takes(shape::<Login>)
        .answers(201, "It may sign in", data::<Name<'_>>)
        .refuses(&[404]);
    Rest { name: "internalQuiz", always: &[403, 413, 500, 503], schemes: &[], operations: vec![owner], ..document() }
}

/// Only quizzes have numbers; the path of an attempt has its session token where its participant asks.
fn path(name: &str) -> Value {
    match name {
        "quiz" => json!({ "type": "integer", "format": "int64", "minimum": 1 }),
        "attempt" => json!({ "type": "string" }),
        _ => json!({ "type": "string", "format": "uuid" }),
    }
}

fn enclosed(data: Value) -> Value {
    json!({
        "type": "object",
        "required": ["code", "message", "data"],
        "properties": {
            "code": { "type": "string", "const": "0000" },
            "message": { "type": "string", "const": "ok" },
            "data": data,
        },
    })
}

/// The frame around every good answer.
fn data<T: ToSchema>(schemas: &mut Schemas) -> Value {
    enclosed(shape::<T>(schemas))
}

fn nothing(_: &mut Schemas) -> Value {
    enclosed(json!({ "type": "object", "maxProperties": 0 }))
}

/// A page of a list.
fn page<T: ToSchema>(schemas: &mut Schemas) -> Value {
    enclosed(json!({
        "type": "object",
        "required": ["items", "total"],
        "properties": {
            "items": { "type": "array", "items": shape::<T>(schemas) },
            "total": { "type": "integer", "minimum": 0 },
        },
    }))
}

fn paged(operation: Operation) -> Operation {
    let number = |minimum: u32, maximum: u32| json!({ "type": "integer", "minimum": minimum, "maximum": maximum });
    operation
        .query(Parameter::new("offset", number(0, u32::MAX), "So many are left out; none unless told"))
        .query(Parameter::new("limit", number(1, 200), "As many at most; 50 unless told"))
}

fn owners() -> Vec<Operation> {
    vec![
        Operation::new("GET", "/ws", "socket", "The socket's path without an upgrade")
            .about("The refusals that an upgrade would have met, and else that one is wanted.")
            .query(Parameter::new("token", json!({ "type": "string" }), "Of an owner: an access token or an API key"))
            .query(Parameter::new("session", json!({ "type": "string" }), "Of a participant: the attempt's session token"))
            .answers(400, "The query is malformed", denial)
            .answers(401, "Not exactly one credential, or it is no good", denial)
            .answers(403, "The API key is not an owner's", denial)
            .answers(503, "Not now; try again", denial)
            .refuses(&[426]),
        Operation::new("POST", "/api/v1/auth/sign-in", "signIn", "Signs in with a name and a password")
            .takes(shape::<Login>)
            .answers(200, "An access token", data::<Token<'_>>)
            .refuses(&[401, 404]),
        Operation::new("POST", "/api/v1/apikeys", "makeKey", "Makes an API key").by(KEEPER).takes(shape::<NewKey>).answers(
            201,
            "The key, which is shown this once",
            data::<MadeKey<'_>>,
        ),
        paged(Operation::new("GET", "/api/v1/apikeys", "listKeys", "The owner's API keys")).by(KEEPER).answers(
            200,
            "Newest first, also those that were revoked",
            page::<KeyShape<'_>>,
        ),
        Operation::new("DELETE", "/api/v1/apikeys/{key}", "revokeKey", "Revokes an API key")
            .by(KEEPER)
            .answers(200, "It is good no more", nothing)
            .refuses(&[404]),
    ]
}

/// A refusal of the socket's path, as the contract has it.
fn denial(_: &mut Schemas) -> Value {
    let text = json!({ "type": "string" });
    json!({ "type": "object", "required": ["error", "message"], "properties": { "error": text, "message": text } })
}

fn quizzes() -> Vec<Operation> {
    let quiz = |method, path, id, summary| Operation::new(method, path, id, summary).by(OWNER).refuses(&[404, 409]);
    vec![
        Operation::new("POST", "/api/v1/quizzes", "makeQuiz", "Makes a quiz").by(OWNER).takes(shape::<Changes>).answers(
            201,
            "A draft, without questions",
            data::<QuizShape<'_>>,
        ),
        paged(Operation::new("GET", "/api/v1/quizzes", "listQuizzes", "The owner's quizzes"))
            .by(OWNER)
            .query(Parameter::new("status", of_text(&["draft", "published", "archived"]), "Those of this status"))
            .answers(200, "Newest first, without their questions", page::<QuizShape<'_>>),
        Operation::new("GET", "/api/v1/quizzes/{quiz}", "showQuiz", "A quiz with its questions")
            .by(OWNER)
            .answers(200, "As it is", data::<QuizShape<'_>>)
            .refuses(&[404]),
        quiz("PATCH", "/api/v1/quizzes/{quiz}", "changeQuiz", "Changes the rules of a quiz").takes(shape::<Changes>).answers(
            200,
            "As it is now",
            data::<QuizShape<'_>>,
        ),
        quiz("POST", "/api/v1/quizzes/{quiz}/publish", "publishQuiz", "Opens a quiz to participants").answers(
            200,
            "As it is now",
            data::<QuizShape<'_>>,
        ),
        quiz("POST", "/api/v1/quizzes/{quiz}/archive", "archiveQuiz", "Puts a quiz away").answers(
            200,
            "As it is now",
            data::<QuizShape<'_>>,
        ),
        quiz("POST", "/api/v1/quizzes/{quiz}/questions", "makeQuestion", "Adds a question").takes(shape::<Body>).answers(
            201,
            "With its place",
            data::<QuestionShape<'_>>,
        ),
        quiz("PUT", "/api/v1/quizzes/{quiz}/questions/order", "orderQuestions", "Puts the questions into an order")
            .takes(shape::<Order>)
            .answers(200, "Done", nothing),
        quiz("PUT", "/api/v1/quizzes/{quiz}/questions/{question}", "changeQuestion", "Replaces a question")
            .takes(shape::<Body>)
            .answers(200, "As it is now", data::<QuestionShape<'_>>),
        quiz("DELETE", "/api/v1/quizzes/{quiz}/questions/{question}", "removeQuestion", "Removes a question")
            .answers(200, "Done", nothing),
    ]
}

fn people() -> Vec<Operation> {
    vec![
        Operation::new("POST", "/api/v1/participants", "makeParticipant", "Makes a participant who can come again")
            .by(OWNER)
            .takes(shape::<NewParticipant>)
            .answers(201, "With an id", data::<ParticipantShape<'_>>),
        paged(Operation::new("GET", "/api/v1/participants", "listParticipants", "The owner's participants")).by(OWNER).answers(
            200,
            "Newest first",
            page::<ParticipantShape<'_>>,
        ),
        Operation::new("GET", "/api/v1/participants/{participant}", "showParticipant", "A participant")
            .by(OWNER)
            .answers(200, "As they are", data::<ParticipantShape<'_>>)
            .refuses(&[404]),
        Operation::new("POST", "/api/v1/events", "makeEvent", "Makes an event: a stream of attempts that belong together")
            .by(OWNER)
            .takes(shape::<NewEvent>)
            .answers(201, "With an id", data::<EventShape<'_>>),
        paged(Operation::new("GET", "/api/v1/events", "listEvents", "The owner's events")).by(OWNER).answers(
            200,
            "Newest first",
            page::<EventShape<'_>>,
        ),
        Operation::new("GET", "/api/v1/events/{event}", "showEvent", "An event")
            .by(OWNER)
            .answers(200, "As it is", data::<EventShape<'_>>)
            .refuses(&[404]),
    ]
}

/// Of participants, whose session token is in the path.
fn attempts() -> Vec<Operation> {
    let own = |method, path, id, summary| Operation::new(method, path, id, summary).refuses(&[401, 404, 409]);
    vec![
        Operation::new("POST", "/api/v1/quizzes/{quiz}/attempts", "beginAttempt", "Begins an attempt")
            .about("A public quiz is begun by anybody, a shared one with its access code, a private one with a credential of its owner.")
            .perhaps_by(OWNER)
            .takes(shape::<Beginning>)
            .answers(201, "The questions, and the session token", data::<Begun<'_>>)
            .refuses(&[404, 409]),
        own("GET", "/api/v1/attempts/{attempt}", "showAttempt", "The attempt as its participant sees it")
            .answers(200, "As it is", data::<ViewShape<'_>>),
        own("POST", "/api/v1/attempts/{attempt}/answers", "answer", "Answers a question")
            .takes(shape::<Answering>)
            .answers(201, "It counts", data::<Answered>),
        own("POST", "/api/v1/attempts/{attempt}/submit", "submitAttempt", "Ends the attempt")
            .answers(200, "How it ended", data::<EndShape>),
        own("POST", "/api/v1/attempts/{attempt}/flags", "raiseFlags", "Tells what the participant's page noticed")
            .takes(shape::<Batch<'_>>)
            .answers(201, "They are kept", data::<Flagged<'_>>),
    ]
}

fn reports() -> Vec<Operation> {
    let uuid = || json!({ "type": "string", "format": "uuid" });
    let of = |method, path, id, summary| Operation::new(method, path, id, summary).by(OWNER).refuses(&[404]);
    vec![
        paged(Operation::new("GET", "/api/v1/info/attempts", "listAttempts", "Attempts at the owner's quizzes"))
            .by(OWNER)
            .query(Parameter::new("quiz_id", path("quiz"), "At this quiz"))
            .query(Parameter::new("event_id", uuid(), "Of this event"))
            .query(Parameter::new("participant_id", uuid(), "Of this participant"))
            .query(Parameter::new("status", of_text(&["running", "ended"]), "Whether they are over"))
            .query(Parameter::new("isFlagged", of_text(&["true", "false"]), "Whether they have flags"))
            .answers(200, "Newest first", page::<AttemptShape<'_>>),
        paged(of("GET", "/api/v1/quizzes/{quiz}/results", "listResults", "The attempts at a quiz that are over")).answers(
            200,
            "Best first, with their ranks",
            page::<AttemptShape<'_>>,
        ),
        of("GET", "/api/v1/info/attempts/{attempt}", "reportAttempt", "An attempt with its answers").answers(
            200,
            "As it is",
            data::<AttemptShape<'_>>,
        ),
        paged(of("GET", "/api/v1/attempts/{attempt}/flags", "listFlags", "The flags of an attempt")).answers(
            200,
            "In their order",
            page::<FlagShape<'_>>,
        ),
        of("GET", "/api/v1/quizzes/{quiz}/flags/summary", "countFlags", "The flags of a quiz, counted").answers(
            200,
            "By label",
            data::<Summary<'_>>,
        ),
        of("POST", "/api/v1/quizzes/{quiz}/force-submit", "closeQuiz", "Ends all attempts at a quiz")
            .answers(200, "How many", data::<Closed>)
            .refuses(&[409]),
        of("POST", "/api/v1/events/{event}/force-submit", "closeEvent", "Ends all attempts of an event")
            .answers(200, "How many", data::<Closed>)
            .refuses(&[409]),
    ]
}
