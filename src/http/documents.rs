//! The documents of a listener's APIs, served to whoever asks: `/openapi.json` of its routes, `/asyncapi.json` of its sockets. Each is
//! written once, when the server starts, and is the same bytes for all.

use super::{
    answer::{self, Answer},
    call::Call,
    fault::Fault,
    table::Route,
};
use crate::documents::{Content, Operation, Rest, Schemas};
use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use std::future::ready;

const OPENAPI: &str = "/openapi.json";
const ASYNCAPI: &str = "/asyncapi.json";

/// A document as it is sent.
#[derive(Clone, Debug)]
pub struct Document {
    text: Bytes,
    /// Changes with the text.
    tag: HeaderValue,
}

impl Document {
    /// Writes one.
    pub fn new(document: &Value) -> Document {
        let text = Bytes::from(document.to_string());
        let digest = digest::digest(&digest::SHA256, &text);
        let hex: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        // Digits and letters are always a header.
        let tag = HeaderValue::try_from(format!("\"{hex}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Document { text, tag }
    }

    /// Its bytes; or nothing, for one who has them (RFC 9110, 13.1.2).
    fn answer<S>(&self, call: &Call<S>) -> Answer {
        let mut answer = if self.is_known(call) {
            answer::empty(StatusCode::NOT_MODIFIED)
        } else {
            answer::typed(StatusCode::OK, "application/json", self.text.clone())
        };
        answer.headers_mut().insert(header::ETAG, self.tag.clone());
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer
    }

    fn is_known<S>(&self, call: &Call<S>) -> bool {
        let lines = call.parts.headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
        let mut tags = lines.flat_map(|line| line.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
        tags.any(|tag| tag == "*" || self.tag == tag)
    }
}

/// Both documents of a listener.
#[derive(Clone, Debug)]
pub struct Documents {
    openapi: Document,
    asyncapi: Document,
}

impl Documents {
    /// Writes them.
    pub fn new(openapi: &Value, asyncapi: &Value) -> Documents {
        Documents { openapi: Document::new(openapi), asyncapi: Document::new(asyncapi) }
    }
}

/// Their routes, for pages of any origin.
pub fn routes<S: 'static>(documents: &Documents) -> Vec<Route<S>> {
    let route = |path, document: &Document| {
        let document = document.clone();
        Route::public(Method::GET, path, move |call: Call<S>| ready(Ok::<_, Fault>(document.answer(&call))))
    };
    vec![route(OPENAPI, &documents.openapi), route(ASYNCAPI, &documents.asyncapi)]
}

/// Their routes on the internal listener.
pub fn internal_routes<S: 'static>(documents: &Documents) -> Vec<Route<S>> {
    let route = |path, document: &Document| {
        let document = document.clone();
        Route::internal(Method::GET, path, move |call: Call<S>| ready(Ok::<_, Fault>(document.answer(&call))))
    };
    vec![route(OPENAPI, &documents.openapi), route(ASYNCAPI, &documents.asyncapi)]
}

/// What is told of them in themselves.
pub fn document() -> Rest {
    let operation = |path, id, summary| Operation::new("GET", path, id, summary).answers(200, "JSON", object);
    Rest {
        name: "documents",
        about: "What this listener serves, for programs.",
        schemes: &[],
        path: |_| json!({ "type": "string" }),
        refusal: |_| Content::Nothing,
        always: &[304],
        of_credentials: &[],
        of_query: &[],
        of_body: &[],
        headers: Vec::new,
        operations: vec![
            operation(OPENAPI, "openapi", "The routes, as OpenAPI 3.1"),
            operation(ASYNCAPI, "asyncapi", "The sockets, as AsyncAPI 3.0"),
        ],
    }
}

fn object(_: &mut Schemas) -> Value {
    json!({ "type": "object" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{fakes, table::Table};
    use std::rc::Rc;

    #[test]
    fn a_document_is_sent_once_to_whoever_keeps_it() {
        let documents = Documents::new(&json!({ "openapi": "3.1.0" }), &json!({ "asyncapi": "3.0.0" }));
        let table = Table::<()>::default().with("", routes(&documents)).unwrap();
        let ask = |request: &str| fakes::ask(&table, &Rc::new(()), request);
        let said = ask("GET /openapi.json");
        assert_eq!((said.status, said.kind(), said.body.as_str()), (200, "application/json", r#"{"openapi":"3.1.0"}"#));
        assert_eq!(said.header("access-control-allow-origin"), Some("*"));
        let tag = said.header("etag").unwrap();
        for known in [tag, "*", &format!("\"x\", W/{tag}")] {
            let said = ask(&format!("GET /openapi.json\nif-none-match: {known}"));
            assert_eq!((said.status, said.body.as_str(), said.header("etag")), (304, "", Some(tag)), "{known}");
        }
        let other = ask(&format!("GET /asyncapi.json\nif-none-match: {tag}"));
        assert_eq!((other.status, other.body.as_str()), (200, r#"{"asyncapi":"3.0.0"}"#));
        assert_ne!(other.header("etag"), Some(tag));
    }

    #[test]
    fn no_page_reads_those_of_the_internal_listener() {
        let documents = Documents::new(&json!({}), &json!({}));
        let table = Table::<()>::default().with("", internal_routes(&documents)).unwrap();
        let ask = |request: &str| fakes::ask(&table, &Rc::new(()), request).status;
        assert_eq!((ask("GET /openapi.json"), ask("GET /openapi.json\norigin: http://x.example")), (200, 403));
    }
}
