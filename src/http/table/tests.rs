//! Routes found and refused.

use super::*;
use crate::http::{answer, fakes, gate::Entry};
use http::StatusCode;

async fn says(call: Call<&'static str>) -> Result<Answer, Fault> {
    let room: String = call.param("room", "a room").unwrap_or_default();
    Ok(answer::text(StatusCode::OK, format!("{}{room}{}", call.house, call.body.len())))
}

fn table() -> Table<&'static str> {
    let open = || vec![Route::public(Method::GET, "/a", says), Route::public(Method::PUT, "/a", says)];
    let closed = vec![Route::internal(Method::GET, "/a", says), Route::internal(Method::POST, "/rooms/{room}", says)];
    Table::default().with("", open()).unwrap().with("/deep/er", open()).unwrap().with("", closed).unwrap()
}

fn ask(request: &str) -> fakes::Said {
    fakes::ask(&table(), &Rc::new("h"), request)
}

#[test]
fn routes_are_found_by_path_method_and_prefix() {
    assert_eq!(ask("GET /a?x=1").body, "h0");
    assert_eq!(ask("GET /deep/er/a").body, "h0");
    assert_eq!(ask("POST /rooms/r1\n\nxyz").body, "hr13");
    assert_eq!(ask("GET http://host.example/a").body, "h0");
}

#[test]
fn what_stands_in_a_path_is_decoded_once_and_a_bad_escape_is_the_apis_to_refuse() {
    for (path, room) in [("r%201", "r 1"), ("%C3%A9", "é"), ("a%2Fb", "a/b"), ("%2541", "%41"), ("a+b", "a+b")] {
        assert_eq!(ask(&format!("POST /rooms/{path}")).body, format!("h{room}0"));
    }
    for path in ["%", "%2", "%zz"] {
        assert_eq!(ask(&format!("POST /rooms/{path}")).status, 400, "{path}");
        assert_eq!(ask(&format!("GET /rooms/{path}")).status, 405, "{path}");
    }
    let loud = Table::default().with("", vec![Route::public(Method::GET, "/b/{room}", fails)]).unwrap();
    let said = fakes::ask(&loud, &Rc::new("h"), "GET /b/%zz");
    assert_eq!((said.status, said.body.starts_with("Unreadable")), (400, true));
}

#[test]
fn unknown_paths_have_nothing_at_all() {
    for path in ["/", "/a/", "/deep/a", "/rooms/", "/rooms/a/b", "/A"] {
        let said = ask(&format!("GET {path}"));
        assert_eq!((said.status, said.body.as_str()), (404, ""), "{path}");
    }
}

#[test]
fn a_method_that_is_not_there_is_told_which_are() {
    let said = ask("DELETE /a");
    assert_eq!((said.status, said.header("allow")), (405, Some("GET, HEAD, PUT")));
    assert_eq!(ask("GET /rooms/x").header("allow"), Some("POST"));
}

#[test]
fn on_a_shared_listener_pages_get_no_leave_for_internal_routes() {
    assert_eq!(ask("OPTIONS /rooms/x\naccess-control-request-method: POST").status, 405);
    assert_eq!(ask("POST /rooms/x").header("access-control-allow-origin"), None);
    assert_eq!(ask("OPTIONS /a\naccess-control-request-method: PUT").status, 204);
}

#[test]
fn what_is_there_first_stays() {
    assert_eq!(ask("GET /a").header("access-control-allow-origin"), Some("*"));
}

#[test]
fn paths_that_contradict_are_refused() {
    let other = vec![Route::public(Method::GET, "/rooms/{id}", says)];
    assert!(table().with("", other).is_err());
}

/// An API with words of its own.
struct Loud(Fault);

impl From<Fault> for Loud {
    fn from(fault: Fault) -> Loud {
        Loud(fault)
    }
}

impl Refusal for Loud {
    fn into_answer(self) -> Answer {
        let status = self.0.clone().into_answer().status();
        answer::text(status, format!("{:?}", self.0))
    }
}

async fn fails(_: Call<&'static str>) -> Result<Answer, Loud> {
    Err(Loud(Fault::BadToken))
}

#[test]
fn apis_that_share_a_listener_keep_their_voices() {
    let loud = || vec![Route::public(Method::POST, "/b", fails), Route::internal(Method::POST, "/c", fails)];
    let most = "x".repeat(BODY_BYTES + 1);
    let asks = |prefix: &str| {
        [
            (format!("GET {prefix}/b/zzz"), 404, "NoRoute"),
            (format!("GET {prefix}/b"), 405, "NoMethod"),
            (format!("POST {prefix}/b"), 401, "BadToken"),
            (format!("POST {prefix}/b\n\n{most}"), 413, "TooLarge"),
            (format!("POST {prefix}/c\norigin: null"), 403, "Denied"),
        ]
    };
    for prefix in ["/loud", "/deep", "/deep/er", ""] {
        let plain = || table().with("/quiet", vec![Route::public(Method::GET, "/a", says)]).unwrap();
        let table = plain().with(prefix, loud()).unwrap();
        for (request, status, body) in asks(prefix) {
            // Under one prefix the first to come tells what is no route.
            let body = if prefix != "/loud" && prefix != "/deep" && status == 404 { "" } else { body };
            let said = fakes::ask(&table, &Rc::new("h"), &request);
            assert_eq!((said.status, said.body.as_str()), (status, body), "{prefix} {}", request.lines().next().unwrap());
        }
        for (request, status) in [("GET /quiet/b", 404), ("GET /louder", 404), ("GET /x", 404), ("PATCH /a", 405)] {
            let said = fakes::ask(&table, &Rc::new("h"), request);
            assert_eq!((said.status, said.body.as_str()), (status, ""), "{prefix} {request}");
        }
    }
}

#[test]
fn a_gate_is_around_everything_of_its_api_and_nothing_else() {
    let enter = |house: Rc<&'static str>, parts: &Parts, id: &HeaderValue| {
        let refusal = parts.headers.contains_key("refuse").then(|| answer::text(StatusCode::IM_A_TEAPOT, *house));
        let id = id.clone();
        async move { Entry { refusal, finish: Box::new(move |answer| drop(answer.headers_mut().insert("met", id))) } }
    };
    let gate = Gate::new(|path| path.starts_with("/b"), |fault| Loud(fault).into_answer(), enter);
    let routes = vec![Route::public(Method::POST, "/b", fails), Route::public(Method::PUT, "/a", fails)];
    let table = table().with_gate("", routes, gate).unwrap();
    let most = "x".repeat(BODY_BYTES + 1);
    for (request, status, body, met) in [
        ("POST /b", 401, "BadToken", true),
        ("GET /b", 405, "NoMethod", true),
        ("GET /b/zzz", 404, "NoRoute", true),
        (&*format!("POST /b\n\n{most}"), 413, "TooLarge", true),
        ("POST /b\nrefuse: me", 418, "h", true),
        ("GET /bzz\nrefuse: me", 418, "h", true),
        ("GET /a", 200, "h0", false),
        ("PUT /a\nrefuse: me", 200, "h0", false),
        ("GET /zzz", 404, "", false),
        ("OPTIONS /b\naccess-control-request-method: POST", 204, "", false),
    ] {
        let said = fakes::ask(&table, &Rc::new("h"), request);
        let line = request.lines().next().unwrap();
        assert_eq!((said.status, said.body.as_str(), said.header("met").is_some()), (status, body, met), "{line}");
        assert!(!met || said.header("met") == said.header("x-request-id"), "{line}");
    }
}

#[test]
fn a_body_has_a_bound() {
    let most = "x".repeat(BODY_BYTES);
    assert_eq!(ask(&format!("POST /rooms/r\n\n{most}")).status, 200);
    let said = ask(&format!("POST /rooms/r\n\n{most}x"));
    assert_eq!((said.status, said.header("connection")), (413, Some("close")));
}

#[test]
fn a_route_may_have_a_bound_of_its_own() {
    let routes = vec![Route::public(Method::POST, "/small", says).up_to(3), Route::public(Method::POST, "/large", says)];
    let table = Table::default().with("", routes).unwrap();
    for (request, status) in [("POST /small\n\nabc", 200), ("POST /small\n\nabcd", 413), ("POST /large\n\nabcd", 200)] {
        assert_eq!(fakes::ask(&table, &Rc::new("h"), request).status, status, "{request}");
    }
}

#[test]
fn a_body_of_unknown_length_has_the_same_bound() {
    let pieces = futures_lite::stream::iter((0..17).map(|_| Ok(Bytes::from(vec![b'x'; 64 << 10]))));
    let request = Request::post("/rooms/r").body(answer::Payload::stream(pieces)).unwrap();
    let answer =
        futures_lite::future::block_on(table().answer(&Rc::new("h"), request, |reading| assert_eq!(reading, Reading::Begins)));
    assert_eq!(answer.status(), 413);
}

#[test]
fn requests_keep_their_id_or_get_one() {
    assert_eq!(ask("GET /a\nx-request-id: abc-1").header("x-request-id"), Some("abc-1"));
    for odd in ["a b", "x\"y", &"a".repeat(65)] {
        let said = ask(&format!("GET /a\nx-request-id: {odd}"));
        assert!(said.header("x-request-id").is_some_and(|id| id.len() == 32 && id != odd));
    }
}

#[test]
fn what_is_for_our_own_pages_is_for_no_others() {
    let table = Table::default().with("", vec![Route::own(Method::POST, "/a", says)]).unwrap();
    for (headers, status) in [
        ("host: localhost:9090", 200),
        ("host: localhost:9090\norigin: http://localhost:9090", 200),
        ("host: console.example.school\norigin: https://console.example.school", 200),
        ("host: localhost:9090\norigin: http://localhost:9091", 403),
        ("host: localhost:9090\norigin: https://evil.example", 403),
        ("host: localhost:9090\norigin: null", 403),
        ("origin: http://localhost:9090", 403),
    ] {
        let said = fakes::ask(&table, &Rc::new("h"), &format!("POST /a\n{headers}"));
        assert_eq!((said.status, said.header("access-control-allow-origin")), (status, None), "{headers}");
    }
}
