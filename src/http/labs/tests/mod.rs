//! The contract, example by example and code by code, against a house in memory.

mod access;
mod agents;
mod auth;
mod creation;
mod enrolment;
mod internal;
mod limits;
mod logs;
mod refusals;
mod sessions;
mod sockets;
mod templates;
mod users;

use super::fakes::{House, ask_as};
use serde_json::Value;
use std::rc::Rc;

/// Each body is refused with this code for this field, and asks nothing of anyone.
fn refuses(request: &str, rows: impl IntoIterator<Item = (Value, &'static str, &'static str)>) {
    for (body, code, field) in rows {
        let house = Rc::new(House::default());
        let said = ask_as("admin", &house, request, &body);
        assert_eq!(said.about(), (code.into(), field.into()), "{request} {body}");
        assert!(house.asked.take().is_empty(), "{request} {body}");
    }
}

/// Each query is refused as a parameter, by its name.
fn refuses_queries(path: &str, rows: &[(&str, &str)]) {
    for (query, name) in rows {
        let said = ask_as("admin", &Rc::default(), &format!("GET {path}?{query}"), "");
        assert_eq!(said.about(), ("INVALID_PARAMETER".into(), (*name).to_owned()), "{path} {query}");
    }
}
