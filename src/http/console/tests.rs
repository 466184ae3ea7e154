//! The console's pages and files, as a browser gets them.

use super::{
    Console, LabsPlace, Shelf,
    assets::{ASSETS, NOVNC},
    routes,
};
use crate::http::{
    fakes::{self, Said},
    table::Table,
};
use std::{collections::BTreeSet, fs, path::Path, rc::Rc};

struct House(LabsPlace);

impl Console for House {
    fn labs(&self) -> LabsPlace {
        self.0.clone()
    }
}

fn ask_at(labs: LabsPlace, request: &str) -> Said {
    fakes::ask(&Table::default().with("", routes()).unwrap(), &Rc::new(House(labs)), request)
}

fn ask(request: &str) -> Said {
    ask_at(LabsPlace { origin: None, port: 8080, prefix: String::new(), is_secure: false }, request)
}

fn asset(name: &str) -> String {
    format!("GET /lab/assets/{}/{name}", Shelf::new().version)
}

#[test]
fn the_page_finds_the_labs_on_its_own_host() {
    let said = ask("GET /lab/770e8400-e29b-41d4-a716-446655440002\nhost: 127.0.0.1:9090");
    assert_eq!((said.status, said.kind(), said.header("cache-control")), (200, "text/html; charset=utf-8", Some("no-cache")));
    assert!(said.body.contains("data-labs=\"http://127.0.0.1:8080\""));
    assert!(!said.body.contains("{{"), "every place is filled");
    let policy = said.header("content-security-policy").unwrap();
    assert!(policy.contains("connect-src http://127.0.0.1:8080 ws://127.0.0.1:8080;"), "{policy}");
    for part in ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"));
    assert_eq!(said.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn or_where_the_settings_say() {
    let labs =
        LabsPlace { origin: Some("https://labs.example.school".into()), port: 8080, prefix: "/labs".into(), is_secure: false };
    let said = ask_at(labs, "GET /lab/1\nhost: console.example.school");
    assert!(said.body.contains("data-labs=\"https://labs.example.school/labs\""));
    let policy = said.header("content-security-policy").unwrap();
    assert!(policy.contains("connect-src https://labs.example.school wss://labs.example.school;"), "{policy}");
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
