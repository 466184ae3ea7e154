//! What one method of one path takes and answers.

use super::schemas::{Schemas, Shape};
use serde_json::{Value, json};

/// The type of server-sent events.
const EVENTS: &str = "text/event-stream";

/// What is in an answer.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// JSON of this shape.
    Json(Shape),
    /// Text of this type.
    Text(&'static str),
    /// JSON of this shape, or text of this type, whichever the client prefers.
    Either(Shape, &'static str),
    /// Server-sent events, each JSON of this shape.
    Events(Shape),
    /// JSON of this shape, or server-sent events of that one, whichever the request asks for.
    EitherEvents(Shape, Shape),
}

/// A parameter of a query, or a header.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: Value,
    pub(super) is_required: bool,
}

impl Parameter {
    /// One that may be left away.
    pub fn new(name: &'static str, schema: Value, about: &'static str) -> Parameter {
        Parameter { name, about, schema, is_required: false }
    }

    /// One that must be there.
    pub fn required(self) -> Parameter {
        Parameter { is_required: true, ..self }
    }
}

/// A schema of texts, one of which it is.
pub fn of_text(names: &[&str]) -> Value {
    json!({ "type": "string", "enum": names })
}

/// One method of one path.
#[derive(Clone, Debug)]
pub struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Answers as well.
    pub(super) also: Option<&'static str>,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) about: &'static str,
    /// The schemes by any of which a request may prove itself.
    pub(super) credentials: &'static [&'static str],
    /// Whether it may come without any.
    pub(super) is_open: bool,
    pub(super) query: Vec<Parameter>,
    pub(super) body: Option<(Shape, bool)>,
    pub(super) answers: Vec<(u16, &'static str, Content)>,
    pub(super) refusals: Vec<u16>,
    pub(super) headers: Vec<Parameter>,
}

impl Operation {
    /// A method of a path, with a name that no other of its API has. Nobody has to prove anything, until told.
    pub fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Operation {
        Operation {
            method,
            path,
            also: None,
            id,
            summary,
            about: "",
            credentials: &[],
            is_open: true,
            query: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// More words about it.
    pub fn about(self, about: &'static str) -> Operation {
        Operation { about, ..self }
    }

    /// The same answers at another path.
    pub fn also(self, path: &'static str) -> Operation {
        Operation { also: Some(path), ..self }
    }

    /// Requests prove themselves by one of these schemes.
    pub fn by(self, credentials: &'static [&'static str]) -> Operation {
        Operation { credentials, is_open: false, ..self }
    }

    /// Requests may prove themselves by one of these schemes.
    pub fn perhaps_by(self, credentials: &'static [&'static str]) -> Operation {
        Operation { credentials, is_open: true, ..self }
    }

    /// A parameter of the query.
    pub fn query(mut self, parameter: Parameter) -> Operation {
        self.query.push(parameter);
        self
    }

    /// A body, as JSON.
    pub fn takes(self, body: Shape) -> Operation {
        Operation { body: Some((body, true)), ..self }
    }

    /// A body that may be left away, as JSON.
    pub fn may_take(self, body: Shape) -> Operation {
        Operation { body: Some((body, false)), ..self }
    }

    /// A good answer, as JSON.
    pub fn answers(self, status: u16, about: &'static str, shape: Shape) -> Operation {
        self.answers_with(status, about, Content::Json(shape))
    }

    /// An answer of another form, or one that is not the API's usual refusal.
    pub fn answers_with(mut self, status: u16, about: &'static str, content: Content) -> Operation {
        self.answers.push((status, about, content));
        self
    }

    /// A header of good answers.
    pub fn header(mut self, header: Parameter) -> Operation {
        self.headers.push(header);
        self
    }

    /// Refusals beside those that every operation of its API has.
    pub fn refuses(mut self, statuses: &[u16]) -> Operation {
        self.refusals.extend(statuses);
        self
    }

    /// The names in the braces of its path.
    pub(super) fn in_path(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

impl Content {
    /// `content` of an answer.
    pub(super) fn written(&self, schemas: &mut Schemas) -> Option<Value> {
        let text = || json!({ "schema": { "type": "string" } });
        // A schema of a stream has no place in this version of OpenAPI.
        let events = |event: Value| json!({ "x-event": event });
        match self {
            Content::Nothing => None,
            Content::Json(shape) => Some(json!({ "application/json": { "schema": shape(schemas) } })),
            Content::Text(kind) => Some(json!({ *kind: text() })),
            Content::Either(shape, kind) => Some(json!({ "application/json": { "schema": shape(schemas) }, *kind: text() })),
            Content::Events(event) => Some(json!({ EVENTS: events(event(schemas)) })),
            Content::EitherEvents(shape, event) => {
                let whole = json!({ "schema": shape(schemas) });
                Some(json!({ "application/json": whole, EVENTS: events(event(schemas)) }))
            }
        }
    }
}
