//! The console's pages and files, as a browser gets them.

use super::{
    Console, Known, Place, Places, Shelf, Token, TooSoon,
    assets::{ASSETS, NOVNC},
    routes,
};
use crate::{
    console,
    http::{
        fakes::{self, Said},
        gate::Peer,
        table::Table,
    },
    realtime::StoreFault,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, net::Ipv4Addr, path::Path, rc::Rc};

/// Ada is an admin of labs and owns quizzes, Bob is an admin, Carl a user, and Dora owns quizzes. Everyone's password is "right".
struct House(Places);

impl House {
    fn with(labs: Place) -> Rc<House> {
        let at = |port, prefix: &str| Place { origin: None, port, prefix: prefix.into(), is_secure: false };
        let chat = Place { origin: Some("https://chat.example.school".into()), ..at(1, "/chat") };
        Rc::new(House(Places { presence: at(8080, ""), quiz: at(8090, "/quiz"), labs, chat }))
    }
}

fn token(of: &str) -> Token {
    Token { token: of.into(), seconds: 60 }
}

impl Console for House {
    fn places(&self) -> &Places {
        &self.0
    }

    async fn count_try(&self, peer: Option<Peer>) -> Result<(), TooSoon> {
        match peer {
            None => Ok(()),
            Some(Peer(address)) if address.is_loopback() => Err(TooSoon::Wait(42)),
            Some(_) => Err(TooSoon::Uncounted),
        }
    }

    async fn user(&self, name: String, password: String) -> Result<Option<Known>, StoreFault> {
        if name == "busy" {
            return Err(StoreFault::Busy);
        }
        let is_known = matches!(&*name, "ada" | "bob" | "carl") && password == "right";
        Ok(is_known.then(|| Known { is_admin: name != "carl", labs: token("of labs"), chat: token("of chat") }))
    }

    async fn owner(&self, name: String, password: String) -> Result<Option<Token>, StoreFault> {
        Ok((matches!(&*name, "ada" | "dora") && password == "right").then(|| token("of quizzes")))
    }

    fn presence_token(&self, name: &str) -> Option<Token> {
        (name != "bob").then(|| token("of presence"))
    }

    async fn chat_token(&self, labs_token: &str) -> Result<Option<Token>, StoreFault> {
        Ok((labs_token == "of labs").then(|| token("of chat")))
    }
}

fn ask_at(labs: Place, request: &str) -> Said {
    fakes::ask(&Table::default().with("", routes()).unwrap(), &House::with(labs), request)
}

fn ask(request: &str) -> Said {
    ask_at(Place { origin: None, port: 8080, prefix: String::new(), is_secure: false }, request)
}

fn asset(name: &str) -> String {
    format!("GET /lab/assets/{}/{name}", Shelf::new(ASSETS).version)
}

#[test]
fn the_page_finds_the_labs_on_its_own_host() {
    let said = ask("GET /lab/770e8400-e29b-41d4-a716-446655440002\nhost: 127.0.0.1:9090");
    assert_eq!((said.status, said.kind(), said.header("cache-control")), (200, "text/html; charset=utf-8", Some("no-cache")));
    assert!(said.body.contains("data-labs=\"http://127.0.0.1:8080\""));
    assert!(!said.body.contains("{{"), "every place is filled");
    let policy = said.header("content-security-policy").unwrap();
    assert!(policy.contains("connect-src 'self' http://127.0.0.1:8080 ws://127.0.0.1:8080;"), "{policy}");
    for part in ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"));
    assert_eq!(said.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn or_where_the_settings_say() {
    let origin = Some("https://labs.example.school".into());
    let labs = Place { origin, port: 8080, prefix: "/labs".into(), is_secure: false };
    let said = ask_at(labs, "GET /lab/1\nhost: console.example.school");
    assert!(said.body.contains("data-labs=\"https://labs.example.school/labs\""));
    let policy = said.header("content-security-policy").unwrap();
    assert!(policy.contains("connect-src 'self' https://labs.example.school wss://labs.example.school;"), "{policy}");
}

#[test]
fn a_host_that_is_none_gets_no_page() {
    for host in ["", "\nhost: a\"><script>", "\nhost: a;b", "\nhost: a b"] {
        assert_eq!(ask(&format!("GET /lab/1{host}")).status, 400, "{host}");
    }
}

#[test]
fn the_page_has_no_script_or_style_of_its_own_and_asks_no_other_host() {
    let page = ask("GET /lab/1\nhost: localhost").body;
    let outside = page.replace("http://localhost:8080", "").replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http:") && !outside.contains("https:") && !outside.contains("\"//"));
    assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick="));
    let scripts: Vec<_> = page.match_indices("<script").map(|(at, _)| page[at..].split_once('>').unwrap()).collect();
    assert!(!scripts.is_empty() && scripts.iter().all(|(tag, rest)| tag.contains("src=") && rest.starts_with("</script>")));
}

#[test]
fn all_that_the_page_names_is_there() {
    let page = ask("GET /lab/1\nhost: localhost").body;
    let named: BTreeSet<_> = page.split('"').filter(|text| text.starts_with("assets/")).collect();
    assert!(named.len() > 50, "{named:?}");
    for path in named {
        assert_eq!(ask(&format!("GET /lab/{path}")).status, 200, "{path}");
    }
}

#[test]
fn files_have_their_types_and_are_kept() {
    for (name, kind) in [
        ("novnc/core/rfb.js", "text/javascript; charset=utf-8"),
        ("lab/page.js", "text/javascript; charset=utf-8"),
        ("lab/lab.css", "text/css; charset=utf-8"),
        ("lab/desktop.svg", "image/svg+xml"),
        ("novnc/LICENSE.txt", "text/plain; charset=utf-8"),
    ] {
        let said = ask(&asset(name));
        assert_eq!((said.status, said.kind()), (200, kind), "{name}");
        assert_eq!(said.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(said.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let again = ask(&format!("{}\nif-none-match: {}", asset(name), said.header("etag").unwrap()));
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        assert_eq!(ask(&format!("{}\nif-none-match: \"other\"", asset(name))).status, 200);
    }
}

#[test]
fn nothing_else_is_there() {
    for path in ["lab/page.html", "novnc/README.md", "../mod.rs", "novnc/", "", "lab/page.js/"] {
        assert_eq!(ask(&asset(path)).status, 404, "{path}");
    }
    assert_eq!(ask("GET /lab/assets/0000000000000000/lab/page.js").status, 404, "of another version");
    assert_eq!(ask("POST /lab/1\nhost: localhost").status, 405);
}

#[test]
fn browsers_say_who_asks_for_a_script_and_other_pages_get_no_leave() {
    for path in ["GET /lab/1".to_owned(), asset("lab/page.js")] {
        for origin in ["http://localhost:9090", "https://elsewhere.example"] {
            let said = ask(&format!("{path}\nhost: localhost:9090\norigin: {origin}"));
            assert_eq!((said.status, said.header("access-control-allow-origin")), (200, None), "{path}");
        }
    }
    assert_eq!(ask("OPTIONS /lab/1\norigin: https://elsewhere.example\naccess-control-request-method: GET").status, 405);
}

#[test]
fn the_list_of_files_is_that_of_the_folders() {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => walk(&entry.path(), root, found),
                false => _ = found.insert(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/console");
    let mut found = BTreeSet::new();
    walk(&root.join("novnc"), &root, &mut found);
    walk(&root.join("lab"), &root, &mut found);
    // What is for readers of the source, and what pages are made of.
    found.remove("novnc/README.md");
    found.remove("lab/page.html");
    let listed: BTreeSet<_> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
    assert_eq!(listed, found);
    assert!(fs::read_to_string(root.join("novnc/README.md")).unwrap().starts_with(&format!("noVNC {NOVNC}:")));
}

#[test]
fn modules_import_only_what_is_there() {
    let names: BTreeSet<_> = ASSETS.iter().map(|asset| asset.name).collect();
    for asset in ASSETS.iter().filter(|asset| asset.is_module()) {
        let text = std::str::from_utf8(asset.bytes).unwrap();
        let quoted = |rest: &'static str| rest.split(['"', '\'']).nth(1);
        let imports = text.split(" from ").skip(1).filter_map(quoted).filter(|path| path.starts_with('.'));
        for path in imports {
            let mut place: Vec<_> = asset.name.split('/').collect();
            place.pop();
            for part in path.split('/') {
                match part {
                    "." => {}
                    ".." => _ = place.pop(),
                    part => place.push(part),
                }
            }
            assert!(names.contains(&*place.join("/")), "{} imports {path}", asset.name);
        }
    }
}

#[test]
fn the_console_is_told_where_each_api_is_and_may_ask_these_and_its_own_listener() {
    let said = ask("GET /console/\nhost: localhost:9090");
    assert_eq!((said.status, said.kind(), said.header("cache-control")), (200, "text/html; charset=utf-8", Some("no-cache")));
    for place in [
        "data-presence=\"http://localhost:8080\"",
        "data-quiz=\"http://localhost:8090/quiz\"",
        "data-labs=\"http://localhost:8080\"",
        "data-chat=\"https://chat.example.school/chat\"",
    ] {
        assert!(said.body.contains(place), "{place}");
    }
    assert!(!said.body.contains("{{"), "every place is filled");
    let policy = said.header("content-security-policy").unwrap();
    let asked = "connect-src 'self' http://localhost:8080 ws://localhost:8080 http://localhost:8090 ws://localhost:8090 \
                 https://chat.example.school wss://chat.example.school;";
    assert!(policy.contains(asked) && !policy.contains("unsafe"), "{policy}");
    let named: BTreeSet<_> = said.body.split('"').filter(|text| text.starts_with("assets/")).collect();
    assert!(named.len() >= console::ASSETS.len(), "{named:?}");
    for path in named {
        let said = ask(&format!("GET /console/{path}"));
        assert_eq!((said.status, said.header("x-content-type-options")), (200, Some("nosniff")), "{path}");
    }
    let said = ask("GET /console");
    assert_eq!((said.status, said.header("location")), (308, Some("console/")));
}

fn sign_in(name: &str, password: &str) -> Said {
    ask(&format!("POST /console/sign-in\nhost: localhost\n\n{}", json!({"name": name, "password": password})))
}

#[test]
fn who_signs_in_gets_the_tokens_of_what_they_are() {
    for (name, roles, tokens) in [
        ("ada", json!(["operator", "teacher"]), vec!["chat", "labs", "presence", "quiz"]),
        ("bob", json!(["operator"]), vec!["chat", "labs"]),
        ("dora", json!(["teacher"]), vec!["presence", "quiz"]),
    ] {
        let said = sign_in(name, "right");
        let told: Value = serde_json::from_str(&said.body).unwrap();
        assert_eq!((said.status, &told["name"], &told["roles"]), (200, &json!(name), &roles));
        assert_eq!(told["tokens"].as_object().unwrap().keys().collect::<Vec<_>>(), tokens, "{name}");
        assert!(told["tokens"].as_object().unwrap().values().all(|token| token["seconds"] == 60));
        assert_eq!(said.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn nobody_else_is_let_in() {
    let code = |said: &Said| serde_json::from_str::<Value>(&said.body).unwrap()["error"].clone();
    let long = "x".repeat(1025);
    for (name, password, status, error) in [
        ("ada", "wrong", 401, "wrong"),
        ("nobody", "right", 401, "wrong"),
        ("", "right", 401, "wrong"),
        (&*long, "right", 401, "wrong"),
        ("ada", &*long, 401, "wrong"),
        ("carl", "right", 403, "no_role"),
    ] {
        let said = sign_in(name, password);
        assert_eq!((said.status, code(&said)), (status, json!(error)), "{name} {password}");
        assert_eq!(said.header("cache-control"), Some("no-store"));
    }
    assert_eq!(sign_in("busy", "right").status, 503);
    assert_eq!(ask("POST /console/sign-in\nhost: localhost\norigin: https://evil.example\n\n{}").status, 403);
    assert_eq!(ask("POST /console/sign-in\nhost: localhost\n\n{}").status, 422);
}

#[test]
fn tries_are_counted_by_address() {
    let body = json!({"name": "ada", "password": "right"});
    let table = Table::default().with("", routes()).unwrap();
    let house = House::with(Place { origin: None, port: 1, prefix: String::new(), is_secure: false });
    let from = |address: Ipv4Addr| {
        let request = format!("POST /console/sign-in\nhost: localhost\n\n{body}");
        fakes::ask_from(Some(Peer(address.into())), &table, &house, &request)
    };
    let said = from(Ipv4Addr::LOCALHOST);
    let told: Value = serde_json::from_str(&said.body).unwrap();
    assert_eq!((said.status, &told["error"], &told["retry_after"]), (429, &json!("too_many"), &json!(42)));
    assert_eq!(from(Ipv4Addr::new(192, 0, 2, 1)).status, 503, "nobody is let through uncounted");
}

#[test]
fn a_token_of_chat_is_renewed_by_one_of_labs() {
    let renew = |headers: &str| ask(&format!("POST /console/renew\nhost: localhost{headers}"));
    let said = renew("\nauthorization: Bearer of labs");
    assert_eq!((said.status, &*said.body), (200, r#"{"chat":{"token":"of chat","seconds":60}}"#));
    for headers in ["", "\nauthorization: Bearer other", "\nauthorization: Basic of labs"] {
        assert_eq!(renew(headers).status, 401, "{headers}");
    }
}
