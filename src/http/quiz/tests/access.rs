//! Who may do what, on every route; what is not there; and what is never logged.

use crate::{
    http::{
        fakes::{self as tables, Said},
        quiz::{
            fakes::{ATTEMPT, EVENT, House, KEY, PARTICIPANT, SESSION, ask, question},
            internal_routes, routes,
        },
        table::Table,
    },
    realtime::StoreFault,
};
use std::{
    io,
    rc::Rc,
    sync::{Arc, Mutex},
};

const QUIZ_BODY: &str = r#"{"title":"t"}"#;
const QUESTION_BODY: &str = r#"{"text":"t","points":1,"type":"true_false","correct":true}"#;

/// Every route for owners, with a body that is good.
fn owners_routes() -> Vec<(String, &'static str)> {
    let question = question(1);
    vec![
        ("POST /api/v1/quizzes".into(), QUIZ_BODY),
        ("GET /api/v1/quizzes".into(), ""),
        ("GET /api/v1/quizzes/42".into(), ""),
        ("PATCH /api/v1/quizzes/42".into(), QUIZ_BODY),
        ("POST /api/v1/quizzes/42/publish".into(), ""),
        ("POST /api/v1/quizzes/42/archive".into(), ""),
        ("POST /api/v1/quizzes/42/questions".into(), QUESTION_BODY),
        ("PUT /api/v1/quizzes/42/questions/order".into(), r#"{"questions":[]}"#),
        (format!("PUT /api/v1/quizzes/42/questions/{question}"), QUESTION_BODY),
        (format!("DELETE /api/v1/quizzes/42/questions/{question}"), ""),
        ("POST /api/v1/participants".into(), r#"{"alias":"a"}"#),
        ("GET /api/v1/participants".into(), ""),
        (format!("GET /api/v1/participants/{PARTICIPANT}"), ""),
        ("POST /api/v1/events".into(), QUIZ_BODY),
        ("GET /api/v1/events".into(), ""),
        (format!("GET /api/v1/events/{EVENT}"), ""),
        ("GET /api/v1/info/attempts".into(), ""),
        (format!("GET /api/v1/info/attempts/{ATTEMPT}"), ""),
        ("GET /api/v1/quizzes/42/results".into(), ""),
        (format!("GET /api/v1/attempts/{ATTEMPT}/flags"), ""),
        ("GET /api/v1/quizzes/42/flags/summary".into(), ""),
        ("POST /api/v1/quizzes/42/force-submit".into(), ""),
        (format!("POST /api/v1/events/{EVENT}/force-submit"), ""),
    ]
}

fn keepers_routes() -> Vec<(String, &'static str)> {
    vec![
        ("POST /api/v1/apikeys".into(), r#"{"label":"a","role":"user"}"#),
        ("GET /api/v1/apikeys".into(), ""),
        (format!("DELETE /api/v1/apikeys/{KEY}"), ""),
    ]
}

fn with(headers: &str, (request, body): &(String, &'static str)) -> Said {
    ask(&House::replying([]), &format!("{request}{headers}\n\n{body}"))
}

#[test]
fn every_route_is_known_to_these_tests() {
    // Those with a session token, the beginning of an attempt, the sign-in and the socket.
    let others = 4 + 1 + 1 + 1;
    assert_eq!(owners_routes().len() + keepers_routes().len() + others, routes::<House>().len());
}

#[test]
fn owners_routes_want_a_credential_that_is_good() {
    for route in owners_routes().iter().chain(&keepers_routes()) {
        for headers in [
            "",
            "\nauthorization: Bearer bad",
            "\nauthorization: Bearer ",
            "\nauthorization: Bearer",
            "\nauthorization: Basic good",
            "\nx-api-key: bad",
            "\nx-api-key: good",
            // When both are sent, the key counts.
            "\nx-api-key: bad\nauthorization: Bearer good",
        ] {
            let said = with(headers, route);
            assert_eq!(said.refusal(), (401, "AUTH-001".into()), "{} {headers}", route.0);
            assert_eq!(said.header("www-authenticate"), Some("Bearer"));
            assert!(!said.body.contains("bad"));
        }
    }
}

#[test]
fn where_it_is_not_known_yet_which_keys_are_good_nobody_is_turned_away_for_good() {
    let house = House::replying([]);
    house.has_just_come.set(true);
    for (request, body) in owners_routes().iter().chain(&keepers_routes()) {
        for headers in ["authorization: Bearer good", "authorization: Bearer bad", "x-api-key: owner-key", "x-api-key: bad"] {
            let said = ask(&house, &format!("{request}\n{headers}\n\n{body}"));
            assert_eq!(said.refusal(), (503, "SRV-001".into()), "{request} {headers}");
        }
    }
    assert_eq!(ask(&house, "GET /ws?token=good").status, 503);
}

#[test]
fn user_keys_only_begin() {
    for route in owners_routes().iter().chain(&keepers_routes()) {
        for headers in
            ["\nx-api-key: user-key", "\nauthorization: Bearer user-key", "\nx-api-key: user-key\nauthorization: Bearer good"]
        {
            assert_eq!(with(headers, route).refusal(), (403, "AUTH-002".into()), "{} {headers}", route.0);
        }
    }
}

#[test]
fn keys_are_kept_by_tokens_alone() {
    for route in keepers_routes() {
        for headers in ["\nx-api-key: owner-key", "\nauthorization: Bearer owner-key"] {
            assert_eq!(with(headers, &route).refusal(), (403, "AUTH-002".into()), "{}", route.0);
        }
    }
}

#[test]
fn owner_keys_do_what_tokens_do() {
    for headers in ["x-api-key: owner-key", "authorization: Bearer owner-key", "authorization: bEARER  good"] {
        let said = ask(&Rc::default(), &format!("GET /api/v1/quizzes/42\n{headers}"));
        assert_eq!(said.status, 200, "{headers}");
    }
}

#[test]
fn what_is_anothers_is_not_there() {
    let lists = ["GET /api/v1/quizzes", "GET /api/v1/participants", "GET /api/v1/events", "GET /api/v1/info/attempts"];
    for route in owners_routes() {
        let looks =
            route.0.starts_with("GET") || route.0.starts_with("PATCH") || route.0.starts_with("PUT") && route.1 == QUESTION_BODY;
        if !looks && !route.0.starts_with("POST /api/v1/events/") {
            continue;
        }
        for headers in ["\nauthorization: Bearer other", "\nx-api-key: other-key"] {
            let said = with(headers, &route);
            if lists.contains(&&*route.0) {
                assert_eq!(said.good().1, serde_json::json!({"items": [], "total": 0}), "{}", route.0);
            } else {
                assert_eq!(said.refusal(), (404, "NF-001".into()), "{}", route.0);
            }
        }
    }
}

#[test]
fn ids_that_are_none_are_not_there() {
    for route in owners_routes() {
        for none in ["abc", "0", "-1", "042", "9007199254740992", "%20", "42%20"] {
            let (mut request, ids) =
                (route.0.clone(), ["42", &*ATTEMPT.to_string(), &*EVENT.to_string(), &*PARTICIPANT.to_string()]);
            ids.iter().for_each(|id| request = request.replace(&format!("/{id}"), &format!("/{none}")));
            if request != route.0 {
                let said = with("\nauthorization: Bearer good", &(request.clone(), route.1));
                assert_eq!(said.refusal(), (404, "NF-001".into()), "{request}");
            }
        }
    }
}

#[test]
fn a_store_that_cannot_read_is_told() {
    for (fault, refusal) in [(StoreFault::Busy, (503, "SRV-001")), (StoreFault::Failed, (500, "SRV-002"))] {
        let reads = owners_routes().into_iter().chain(keepers_routes()).filter(|(request, _)| request.starts_with("GET"));
        for (request, _) in reads {
            let house = Rc::new(House::default());
            house.fault.set(Some(fault));
            let said = ask(&house, &format!("{request}\nauthorization: Bearer good"));
            assert_eq!(said.refusal(), (refusal.0, refusal.1.into()), "{request}");
        }
    }
}

#[test]
fn what_is_no_route_is_told_in_json() {
    assert_eq!(ask(&Rc::default(), "GET /api/v1/zzz").refusal(), (404, "REQ-001".into()));
    let said = ask(&Rc::default(), "DELETE /api/v1/quizzes");
    assert_eq!((said.refusal(), said.header("allow")), ((405, "REQ-001".into()), Some("POST, GET, HEAD")));
    let said = ask(&Rc::default(), &format!("POST /api/v1/quizzes\n\n{}", "x".repeat((1 << 20) + 1)));
    assert_eq!((said.refusal(), said.header("connection")), ((413, "REQ-001".into()), Some("close")));
}

#[test]
fn pages_of_any_origin_may_call() {
    let asked =
        "origin: https://a.example\naccess-control-request-method: PATCH\naccess-control-request-headers: x-api-key,content-type";
    let said = ask(&Rc::default(), &format!("OPTIONS /api/v1/quizzes/42\n{asked}"));
    assert_eq!((said.status, said.header("access-control-allow-origin")), (204, Some("*")));
    assert_eq!(said.header("access-control-allow-headers"), Some("authorization,content-type,x-agent-label,x-api-key"));
    for request in ["GET /api/v1/quizzes", "GET /zzz", "DELETE /ws", "POST /api/v1/attempts/zzz/submit"] {
        assert_eq!(ask(&Rc::default(), request).header("access-control-allow-origin"), Some("*"), "{request}");
    }
}

#[test]
fn no_page_makes_accounts() {
    let table = Table::default().with("", internal_routes()).unwrap();
    let body = r#"{"name":"a","password":"password"}"#;
    for (header, status) in [("", 201), ("\norigin: null", 403)] {
        let said = tables::ask(&table, &Rc::new(House::default()), &format!("POST /api/v1/owners{header}\n\n{body}"));
        assert_eq!(said.status, status);
    }
}

/// The lines that are logged while `work` runs, at the most talkative level.
fn logged(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        // Another test's thread may have met the places that log when nobody listened: known to be there, they are asked anew.
        ask(&Rc::default(), "GET /zzz");
        tracing::callsite::rebuild_interest_cache();
        work();
    });
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn neither_paths_nor_queries_nor_bodies_are_logged() {
    let lines = logged(|| {
        for request in [
            format!("GET /api/v1/attempts/{SESSION}"),
            format!("POST /api/v1/attempts/{SESSION}/answers"),
            format!("POST /api/v1/attempts/{SESSION}/submit"),
            format!("POST /api/v1/attempts/{SESSION}/flags"),
            format!("PUT /api/v1/attempts/{SESSION}"),
            format!("OPTIONS /api/v1/attempts/{SESSION}"),
            format!("GET /nowhere/{SESSION}"),
            format!("GET /ws?session={SESSION}"),
            "POST /api/v1/auth/sign-in".into(),
        ] {
            let replies = [crate::protocols::quiz::asks::Reply::Forced(1)];
            let body = r#"{"flags":[{"label":"secret"}],"question_id":"secret","name":"secret","password":"a secret"}"#;
            ask(&House::replying(replies), &format!("{request}\nauthorization: Bearer secret\n\n{body}"));
        }
    });
    assert!(!lines.contains(&ATTEMPT.to_string()) && !lines.contains("secret"), "{lines}");
    for route in ["/api/v1/attempts/{attempt}/answers", "/api/v1/attempts/{attempt}", "/ws", "none"] {
        assert!(lines.contains(&format!("route=\"{route}\"")), "{lines}");
    }
}
