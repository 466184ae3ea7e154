//! Logs.

use super::super::fakes::{House, SESSION, ask_as, session};
use crate::protocols::labs::{
    asks::{Ask, Refused, Reply},
    model::State,
};
use serde_json::json;
use std::rc::Rc;

const LINES: [&str; 4] = [
    "2025-11-22T10:45:15Z [INFO] VNC server started on port 5900",
    "2025-11-22T10:45:16Z [INFO] noVNC web server started on port 6080",
    "2025-11-22T10:45:18Z [INFO] Firefox initialized",
    "2025-11-22T10:46:00Z [INFO] User connected via VNC",
];

fn path(query: &str) -> String {
    format!("GET /sessions/{SESSION}/logs{query}")
}

fn house() -> Rc<House> {
    House::replying([Reply::Logs(LINES.map(str::to_owned).into())])
}

#[test]
fn the_example() {
    assert_eq!(ask_as("john", &house(), &path(""), "").told(), (200, json!({"logs": LINES})));
}

#[test]
fn tails() {
    for (query, expected) in [
        ("", 100),
        ("?tail=50", 50),
        ("?tail=0", 0),
        ("?tail=99999", 10_000),
        ("?tail=99999999999", 10_000),
        ("?follow=false", 100),
    ] {
        let house = house();
        assert_eq!(ask_as("john", &house, &path(query), "").status, 200, "{query}");
        assert!(matches!(house.asked.take()[..], [Ask::Logs { session: SESSION, tail, .. }] if tail == expected), "{query}");
    }
}

#[test]
fn without_timestamps() {
    let lines = ["2025-11-22T10:45:15.5Z [INFO] a", "no time", "2025-11-22T10:45:15Z", ""];
    let house = House::replying([Reply::Logs(lines.map(str::to_owned).into())]);
    let said = ask_as("john", &house, &path("?timestamps=false"), "");
    assert_eq!(said.told().1, json!({"logs": ["[INFO] a", "no time", "2025-11-22T10:45:15Z", ""]}));
}

#[test]
fn parameters_that_are_none() {
    for (query, name) in [
        ("?follow=true", "follow"),
        ("?follow=1", "follow"),
        ("?tail=-1", "tail"),
        ("?tail=all", "tail"),
        ("?timestamps=no", "timestamps"),
    ] {
        assert_eq!(ask_as("john", &Rc::default(), &path(query), "").about(), ("INVALID_PARAMETER".into(), name.into()));
    }
}

#[test]
fn of_a_session_that_is_not_there_or_another_s_or_long_over() {
    let house = |refused| House::replying([Reply::Refused(refused)]);
    assert_eq!(ask_as("john", &house(Refused::NoSession), &path(""), "").code(), (404, "SESSION_NOT_FOUND".into()));
    assert_eq!(ask_as("john", &house(Refused::NotYours), &path(""), "").code().0, 403);
    let over = house(Refused::NoSession);
    over.sessions.replace(vec![session(State::Terminated, "Session terminated")]);
    assert_eq!(ask_as("john", &over, &path(""), "").told(), (200, json!({"logs": []})));
    assert_eq!(ask_as("john", &Rc::default(), "GET /sessions/zzz/logs", "").code(), (404, "SESSION_NOT_FOUND".into()));
}
