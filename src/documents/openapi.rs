//! OpenAPI 3.1 of routes.

use super::{
    operation::{Content, Operation, Parameter},
    schemas::Schemas,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How requests may prove themselves.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    /// A token in the header `Authorization`.
    Bearer,
    /// In a header of this name.
    Header(&'static str),
    /// In a parameter of this name of the query.
    Query(&'static str),
}

/// The routes of one API, and what all of them have in common.
#[derive(Debug)]
pub struct Rest {
    /// Short, and no other's.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// By the names that operations know them by.
    pub schemes: &'static [(&'static str, Scheme, &'static str)],
    /// What may stand in the braces of that name.
    pub path: fn(&str) -> Value,
    /// A refusal of that status.
    pub refusal: fn(u16) -> Content,
    /// Statuses with which every operation may refuse.
    pub always: &'static [u16],
    /// The same of those who must prove themselves.
    pub of_credentials: &'static [u16],
    /// The same of those that have parameters.
    pub of_query: &'static [u16],
    /// The same of those that have a body.
    pub of_body: &'static [u16],
    /// Headers of every answer.
    pub headers: fn() -> Vec<Parameter>,
    /// All of them.
    pub operations: Vec<Operation>,
}

impl Rest {
    /// The method and path of every operation.
    pub fn places(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.operations.iter().flat_map(|one| [Some(one.path), one.also].into_iter().flatten().map(|path| (one.method, path)))
    }

    /// The statuses with which an operation may refuse. A path may always be badly escaped where something stands in braces.
    fn refusals(&self, operation: &Operation) -> BTreeMap<u16, &'static str> {
        let when = |holds: bool, statuses: &'static [u16]| if holds { statuses } else { &[] };
        let all = [
            self.always,
            when(!operation.credentials.is_empty(), self.of_credentials),
            when(operation.in_path().next().is_some(), &[400]),
            when(!operation.query.is_empty(), self.of_query),
            when(operation.body.is_some(), self.of_body),
            &operation.refusals,
        ];
        all.concat().into_iter().map(|status| (status, meaning(status))).collect()
    }

    fn written(&self, operation: &Operation, path: &str, schemas: &mut Schemas) -> Value {
        let is_other = path != operation.path;
        let mut answers = Map::new();
        for (status, about) in self.refusals(operation) {
            answers.insert(status.to_string(), self.answer(about, &(self.refusal)(status), &[], schemas));
        }
        for (status, about, content) in &operation.answers {
            answers.insert(status.to_string(), self.answer(about, content, &operation.headers, schemas));
        }
        let in_path =
            operation.in_path().map(|name| json!({ "name": name, "in": "path", "required": true, "schema": (self.path)(name) }));
        let in_query = operation.query.iter().map(|parameter| {
            let Parameter { name, about, schema, is_required } = parameter;
            json!({ "name": name, "in": "query", "required": is_required, "description": about, "schema": schema })
        });
        let mut written = json!({
            "operationId": format!("{}_{}{}", self.name, operation.id, if is_other { "WithSlash" } else { "" }),
            "tags": [self.name],
            "summary": operation.summary,
            "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
            "responses": answers,
            "security": self.security(operation),
        });
        if !operation.about.is_empty() {
            written["description"] = operation.about.into();
        }
        if let Some((body, is_required)) = operation.body {
            written["requestBody"] =
                json!({ "required": is_required, "content": { "application/json": { "schema": body(schemas) } } });
        }
        written
    }

    fn answer(&self, about: &str, content: &Content, headers: &[Parameter], schemas: &mut Schemas) -> Value {
        let mut answer = json!({ "description": about });
        if let Some(content) = content.written(schemas) {
            answer["content"] = content;
        }
        let all = (self.headers)();
        let headers = all.iter().chain(headers);
        let headers =
            headers.map(|header| (header.name.to_owned(), json!({ "description": header.about, "schema": header.schema })));
        let headers: Map<String, Value> = headers.collect();
        if !headers.is_empty() {
            answer["headers"] = headers.into();
        }
        answer
    }

    fn security(&self, operation: &Operation) -> Vec<Value> {
        let named = operation.credentials.iter().map(|scheme| json!({ format!("{}.{scheme}", self.name): [] }));
        named.chain(operation.is_open.then(|| json!({}))).collect()
    }
}

impl Scheme {
    pub(super) fn written(self, about: &str) -> Value {
        match self {
            Scheme::Bearer => json!({ "type": "http", "scheme": "bearer", "description": about }),
            Scheme::Header(name) => json!({ "type": "apiKey", "in": "header", "name": name, "description": about }),
            Scheme::Query(name) => json!({ "type": "apiKey", "in": "query", "name": name, "description": about }),
        }
    }
}

/// What a status says (RFC 9110, section 15).
fn meaning(status: u16) -> &'static str {
    match status {
        304 => "What you have is as it is",
        400 => "The request is not as it must be",
        401 => "No credential, or one that is no good",
        403 => "The credential may not do this",
        404 => "Not there, or another's",
        409 => "As things stand, this cannot be done",
        410 => "It has expired",
        413 => "The body is too large",
        422 => "The request is not as it must be",
        426 => "A WebSocket is here",
        429 => "Too many requests",
        503 => "Not now; try again",
        504 => "It took too long",
        _ => "The server could not do it",
    }
}

/// The document of what one listener serves: each API under its prefix. Where two have the same method and path, the first has it.
pub fn openapi(version: &str, apis: &[(&str, Rest)]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let (mut schemas, mut schemes, mut tags) = (Map::new(), Map::new(), Vec::new());
    for (prefix, api) in apis {
        let mut found = Schemas::of(api.name);
        for operation in &api.operations {
            for path in [Some(operation.path), operation.also].into_iter().flatten() {
                let place = paths.entry(format!("{prefix}{path}")).or_insert_with(|| json!({}));
                let method = operation.method.to_ascii_lowercase();
                if place.get(&method).is_none() {
                    place[method] = api.written(operation, path, &mut found);
                }
            }
        }
        let named = |(name, scheme, about): &(&str, Scheme, &str)| (format!("{}.{name}", api.name), scheme.written(about));
        schemes.extend(api.schemes.iter().map(named));
        debug_assert!(found.clashes().is_empty(), "names of two types: {:?}", found.clashes());
        schemas.extend(found.found().clone());
        tags.push(json!({ "name": api.name, "description": api.about }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Homeroom",
            "version": version,
            "description": "The routes that this listener of Homeroom serves. Its sockets are in /asyncapi.json.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": schemes },
    })
}
