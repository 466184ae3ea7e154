//! The socket's path, asked without an upgrade.

use crate::{
    http::{
        fakes::Said,
        quiz::fakes::{ATTEMPT, House, QUIZ, SESSION, ask, end, view},
    },
    protocols::quiz::{
        admission::Denial,
        asks::{Ask, Refused, Reply},
    },
    realtime::StoreFault,
};
use std::rc::Rc;

fn denied(said: &Said, denial: Denial) {
    assert_eq!((said.status, &*said.body, said.kind()), (denial.status(), &*denial.body(), "application/json"));
}

#[test]
fn the_refusals_are_those_of_an_upgrade() {
    for (query, denial) in [
        ("", Denial::ExactlyOne),
        ("?", Denial::ExactlyOne),
        ("?other=1", Denial::ExactlyOne),
        ("?token=good&session=x", Denial::ExactlyOne),
        ("?token=%ZZ", Denial::Query),
        ("?token=good&token=good", Denial::Query),
        ("?token=bad", Denial::Credential),
        ("?token=", Denial::Credential),
        ("?token=user-key", Denial::Role),
        ("?session=zzz", Denial::Session),
        ("?session=", Denial::Session),
    ] {
        denied(&ask(&Rc::default(), &format!("GET /ws{query}")), denial);
    }
}

#[test]
fn good_credentials_are_told_to_upgrade() {
    for query in ["token=good", "token=owner-key", "token=g%6Fod&x=1"] {
        wants_an_upgrade(&ask(&Rc::default(), &format!("GET /ws?{query}")));
    }
    let house = House::replying([Reply::Looked(view(None))]);
    wants_an_upgrade(&ask(&house, &format!("GET /ws?session={SESSION}")));
    assert_eq!(house.asked.take(), [Ask::Look { quiz: QUIZ, attempt: ATTEMPT }]);
}

fn wants_an_upgrade(said: &Said) {
    assert_eq!(said.refusal(), (426, "REQ-001".into()));
    assert_eq!((said.header("upgrade"), said.header("connection")), (Some("websocket"), Some("upgrade")));
}

#[test]
fn a_session_is_good_while_its_attempt_runs() {
    for (reply, denial) in [
        (Reply::Looked(view(Some(end()))), Denial::Session),
        (Reply::Refused(Refused::NotFound), Denial::Session),
        (Reply::Refused(Refused::Store(StoreFault::Busy)), Denial::Unavailable),
        (Reply::Refused(Refused::Crowded), Denial::Unavailable),
    ] {
        denied(&ask(&House::replying([reply]), &format!("GET /ws?session={SESSION}")), denial);
    }
}
