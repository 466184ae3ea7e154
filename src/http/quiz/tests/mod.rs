//! The reference, row by row and code by code, against a house in memory.

mod access;
mod attempts;
mod flags;
mod owners;
mod questions;
mod quizzes;
mod reports;
mod socket;

use super::fakes::{self, House};
use std::rc::Rc;

/// Bodies that are none of these routes' objects, with or without JSON in them.
const NO_OBJECTS: [&str; 7] = ["", "nonsense", "{", "[]", r#"["zzz"]"#, "null", "{}"];

/// That each body is refused as what was not expected, asks nothing of anyone, and is not said back.
fn refuses(request: &str, bodies: impl IntoIterator<Item = impl AsRef<str>>) {
    for body in bodies {
        let (house, body) = (Rc::new(House::default()), body.as_ref());
        let said = fakes::teacher(&house, request, body);
        assert_eq!(said.refusal(), (400, "VAL-001".into()), "{request} {body}");
        assert!(!said.body.contains("zzz"), "{}", said.body);
        assert!(house.asked.take().is_empty(), "{request} {body}");
    }
}
