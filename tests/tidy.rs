//! Reads the source: the walls between the rooms, and the habits of the house. No rule has a list of exceptions.
//!
//! Each rule takes a file and returns what is wrong with it; each is shown a planted fault of its own, so that it is known to find one.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/texts.rs"]
mod texts;
#[path = "tidy/walls.rs"]
mod walls;

use source::{Kind, Source, Token};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use texts::{places, ports};
use walls::{IMPURE_NAMES, IMPURE_PATHS, PURE, UNSAFE, WALLS};

const LINES_A_FILE: usize = 500;
const CHARS_A_LINE: usize = 140;

type Rule = fn(&Source) -> Vec<String>;

fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is").into()
}

/// Every file of the checkout but what git does not keep, from the root.
fn files() -> Vec<String> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let kept = !matches!(
                name.as_str(),
                "target" | "data" | ".git" | ".venv" | ".venv-autobahn" | "node_modules" | "__pycache__"
            );
            if entry.file_type().unwrap().is_dir() {
                if kept && !path.join("CACHEDIR.TAG").exists() {
                    walk(root, &path, found);
                }
            } else if kept {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &root(), &mut found);
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let mut sources: Vec<Source> =
        files().iter().filter(|path| path.ends_with(".rs")).map(|path| Source::read(&root(), path)).collect();
    let test_files: BTreeSet<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let module = source.module();
        if (1..=module.len()).any(|depth| test_files.contains(&module[..depth].join("/"))) {
            source.tokens.iter_mut().for_each(|token| token.test = true);
        }
    }
    sources
}

/// Holds every file that `concerns` picks against a rule.
fn holds(concerns: fn(&Source) -> bool, rule: Rule) {
    let faults: Vec<String> = sources().iter().filter(|source| concerns(source)).flat_map(rule).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The rule must find exactly so many faults in this text.
fn finds(rule: Rule, path: &str, text: &str, faults: usize) {
    let found = rule(&Source::new(path, text));
    assert_eq!(found.len(), faults, "in {text:?}: {found:?}");
}

fn everywhere(_: &Source) -> bool {
    true
}

fn in_src(source: &Source) -> bool {
    source.path.starts_with("src/")
}

fn in_a_pure_room(source: &Source) -> bool {
    source.room().is_some_and(|room| PURE.contains(&room))
}

/// Whether `path` is `prefix` or below it.
fn is_below(path: &[String], prefix: &str) -> bool {
    let prefix: Vec<&str> = prefix.split("::").collect();
    path.len() >= prefix.len() && path.iter().zip(&prefix).all(|(name, wanted)| name == wanted)
}

fn walls(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return Vec::new() };
    let Some((_, neighbours)) = WALLS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{}: the room `{room}` is not in the table of walls", source.path)];
    };
    let own =
        if room == "protocols" { source.module().into_iter().take(2).collect::<Vec<_>>().join("::") } else { room.to_owned() };
    let outside = source.paths(&[]).into_iter().filter(|(path, _)| {
        !path.is_empty() && !is_below(path, &own) && !neighbours.iter().any(|neighbour| is_below(path, neighbour))
    });
    outside.map(|(path, token)| format!("{}: {own} may not name {}", source.at(token.line), path.join("::"))).collect()
}

#[test]
fn rooms_keep_to_their_walls() {
    holds(in_src, walls);
}

#[test]
fn walls_find_whoever_climbs_them() {
    let realtime = "src/realtime/wheel.rs";
    finds(walls, realtime, "use crate::engine::Engine;", 1);
    finds(walls, realtime, "use crate::{realtime::ids, store, http::{rooms::Classrooms, self}};", 3);
    finds(walls, realtime, "fn f() { crate::http::serve(); super::super::config::read(); super::ids::new() }", 2);
    finds(walls, realtime, "mod tests { use super::super::super::auth::Key; use super::super::ids::ConnId; use super::*; }", 1);
    finds(walls, realtime, "use crate::*;", 1);
    finds(walls, realtime, "// crate::engine\n/// crate::engine\nconst A: &str = \"crate::engine\"; pub(crate) struct B;", 0);
    finds(walls, "src/protocols/quiz/mod.rs", "use crate::protocols::presence::asks; use crate::protocols::quiz::Round;", 1);
    finds(walls, "src/protocols/quiz/round.rs", "use super::super::presence; use super::Round; use crate::protocols;", 2);
    finds(walls, "src/protocols/quiz/mod.rs", "use crate::websocket::{frame, session};", 1);
    finds(walls, "src/cellar/mod.rs", "", 1);
}

#[test]
fn the_table_of_walls_has_no_circle_and_no_room_that_is_not_there() {
    for (place, (room, neighbours)) in WALLS.iter().enumerate() {
        for neighbour in *neighbours {
            let first = neighbour.split("::").next().unwrap();
            assert!(WALLS[..place].iter().any(|(name, _)| *name == first), "{room} → {neighbour} does not lead up the table");
        }
    }
    assert!(PURE.iter().all(|pure| WALLS.iter().any(|(room, _)| room == pure)));
}

fn purity(source: &Source) -> Vec<String> {
    let shipped = source.tokens.iter().filter(|token| !token.test && token.kind == Kind::Ident);
    let named = shipped.filter(|token| IMPURE_NAMES.contains(&token.text.as_str()));
    let mut faults: Vec<String> =
        named.map(|token| format!("{}: a pure room names {}", source.at(token.line), token.text)).collect();
    for (path, token) in source.paths(&["std"]).into_iter().filter(|(_, token)| !token.test) {
        if IMPURE_PATHS.iter().any(|impure| is_below(&path, impure)) {
            faults.push(format!("{}: a pure room names {}", source.at(token.line), path.join("::")));
        }
    }
    faults.dedup_by_key(|fault| fault.split(": ").next().unwrap_or_default().to_owned());
    faults
}

#[test]
fn pure_rooms_are_pure() {
    holds(in_a_pure_room, purity);
}

#[test]
fn purity_finds_clocks_threads_and_dice() {
    let path = "src/engine/mod.rs";
    for impure in [
        "use std::time::{Duration, Instant};",
        "fn f() { std::thread::sleep(d) }",
        "use std::{fmt, net::IpAddr};",
        "use std::{sync::{Arc, Mutex}};",
        "fn f() { std::fs::read(p) }",
        "fn f() -> Option<String> { std::env::var(n).ok() }",
        "use tokio::time;",
        "fn f() { Uuid::now_v7() }",
        "#[cfg(test)] mod tests {} use std::time::SystemTime;",
    ] {
        finds(purity, path, impure, 1);
    }
    finds(purity, path, "use std::{time::Duration, sync::Arc, fmt}; // std::thread, Instant\nconst A: &str = \"tokio\";", 0);
    finds(purity, path, "#[cfg(test)] mod tests { use std::time::SystemTime; fn f() { rand::fill() } }", 0);
}

fn safety(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let mut faults = Vec::new();
    for pair in source.tokens.windows(2).filter(|pair| pair[0].kind == Kind::Ident && pair[0].text == "unsafe") {
        let token = &pair[0];
        if !UNSAFE.contains(&source.path.as_str()) {
            faults.push(format!("{}: unsafe outside of {UNSAFE:?}", source.at(token.line)));
        } else if pair[1].text != "fn" && !is_explained(&lines[..token.line - 1]) {
            faults.push(format!("{}: unsafe without a `// SAFETY:` above it", source.at(token.line)));
        }
    }
    faults
}

/// Whether the comment right above a statement says `SAFETY:`; lines of the same statement and attributes may stand between.
fn is_explained(above: &[&str]) -> bool {
    for line in above.iter().rev() {
        let comment = line.starts_with("//");
        if comment && (line.starts_with("// SAFETY:") || line.starts_with("/// # Safety")) {
            return true;
        }
        if !comment && (line.is_empty() || line.ends_with([';', '{', '}']) || line.ends_with("=>")) {
            return false;
        }
    }
    false
}

#[test]
fn unsafe_is_in_its_place_and_explained() {
    holds(everywhere, safety);
}

#[test]
fn safety_finds_the_misplaced_and_the_unexplained() {
    let explained = "fn f() {\n    // SAFETY: it holds,\n    // because.\n    let a =\n        unsafe { b() };\n}";
    finds(safety, "src/runtime/ring.rs", explained, 0);
    finds(safety, "src/engine/mod.rs", explained, 1);
    finds(safety, "src/runtime/ring.rs", "fn f() {\n    // why not\n    unsafe { b() }\n}", 1);
    finds(safety, "src/runtime/ring.rs", "fn f() {\n    // SAFETY: it holds\n    unsafe { b() };\n    unsafe { c() }\n}", 1);
}

fn size(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = source.text.lines().count();
    if lines > LINES_A_FILE {
        faults.push(format!("{}: {lines} lines are more than {LINES_A_FILE}: it holds two ideas", source.path));
    }
    for (index, line) in source.text.lines().enumerate().filter(|(_, line)| line.chars().count() > CHARS_A_LINE) {
        // A text is not broken for the sake of the line: what counts then is the code around it.
        let is_here = |token: &&Token| {
            let lines = token.line..=token.line + token.text.matches('\n').count();
            token.kind == Kind::Literal && lines.contains(&(index + 1))
        };
        let texts = source.tokens.iter().filter(is_here);
        let in_texts: usize = texts.map(|token| token.text.chars().count()).sum();
        if line.chars().count().saturating_sub(in_texts) > CHARS_A_LINE || in_texts == 0 {
            faults.push(format!("{}: {} characters are more than {CHARS_A_LINE}", source.at(index + 1), line.chars().count()));
        }
    }
    faults
}

/// What is no Rust and was written here. What came from elsewhere (noVNC) is as it was published.
fn is_script(path: &str) -> bool {
    let of_the_console = path.starts_with("src/console/") && (path.ends_with(".js") || path.ends_with(".css"));
    path.ends_with(".py") || path.ends_with(".mjs") || path == "tests/run" || of_the_console
}

#[test]
fn files_and_lines_are_of_a_size_to_read() {
    holds(everywhere, size);
    let others = files().into_iter().filter(|path| is_script(path));
    let texts = others.map(|path| Source { text: fs::read_to_string(root().join(&path)).unwrap(), path, tokens: Vec::new() });
    let faults: Vec<String> = texts.flat_map(|source| size(&source)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn size_finds_the_long() {
    finds(size, "src/a.rs", &"//\n".repeat(LINES_A_FILE), 0);
    finds(size, "src/a.rs", &"//\n".repeat(LINES_A_FILE + 1), 1);
    finds(size, "src/a.rs", &format!("// {}", "ё".repeat(CHARS_A_LINE - 3)), 0);
    finds(size, "src/a.rs", &format!("// {}", "x".repeat(CHARS_A_LINE - 2)), 1);
    finds(size, "src/a.rs", &format!("const A: &str = \"{}\";", "x".repeat(CHARS_A_LINE)), 0);
    finds(size, "src/a.rs", &format!("const A: &str = \"x\"; // {}", "x".repeat(CHARS_A_LINE)), 1);
}

fn leftovers(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, token) in source.tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Ident) {
        let (before, after) = (index.checked_sub(1).map(|at| source.tokens[at].text.as_str()), source.tokens.get(index + 1));
        let after = after.map(|token| token.text.as_str());
        let found = match token.text.as_str() {
            "todo" | "unimplemented" | "dbg" => after == Some("!"),
            "ignore" => before == Some("[") && source.tokens[index.saturating_sub(2)].text == "#",
            "unwrap" => !token.test && before == Some(".") && after == Some("("),
            _ => false,
        };
        if found {
            faults.push(format!("{}: `{}`", source.at(token.line), token.text));
        }
    }
    let words = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO")];
    for (index, line) in source.text.lines().enumerate() {
        let mut said = line.split(|letter: char| !letter.is_alphanumeric());
        if let Some(word) = said.find(|word| words.contains(word)) {
            faults.push(format!("{}: `{word}`", source.at(index + 1)));
        }
    }
    faults
}

#[test]
fn nothing_is_left_for_later() {
    holds(everywhere, leftovers);
}

#[test]
fn leftovers_are_found() {
    let path = "src/a.rs";
    for left in [
        "fn f() { todo!() }",
        "fn f() { unimplemented!() }",
        "fn f() { dbg!(1); }",
        "#[ignore] fn f() {}",
        "fn f() { a.unwrap(); }",
    ] {
        finds(leftovers, path, left, 1);
    }
    finds(leftovers, path, "#[test] #[ignore = \"slow\"] fn f() {}", 1);
    finds(leftovers, path, &format!("// {}: later\n/// {}\n", concat!("FIX", "ME"), concat!("TO", "DO")), 2);
    finds(leftovers, path, "#[cfg(test)] mod tests { fn f() { a.unwrap(); } } fn g() { b.unwrap_or(1); }", 0);
    finds(leftovers, path, "#[cfg(test)] mod tests { fn f() {} } fn g() { b.unwrap() }", 1);
    finds(leftovers, path, "#[cfg(not(test))] fn f() { a.unwrap() }", 1);
}

fn opening(source: &Source) -> Vec<String> {
    let opens = source.text.starts_with("//! ");
    if opens { Vec::new() } else { vec![format!("{}: does not open with what it is for (`//! …`)", source.path)] }
}

#[test]
fn every_file_says_what_it_is_for() {
    holds(everywhere, opening);
    finds(opening, "src/a.rs", "//! A.\n", 0);
    finds(opening, "src/a.rs", "use a::b;\n//! A.\n", 1);
    finds(opening, "src/a.rs", "//!\n", 1);
}

fn names(source: &Source) -> Vec<String> {
    let vague = |name: &str| {
        let mut words = String::new();
        for letter in name.chars() {
            words.extend(letter.is_uppercase().then_some('_'));
            words.extend(letter.to_lowercase());
        }
        words.split('_').any(|word| matches!(word.trim_end_matches('s'), "manager" | "util" | "helper" | "common"))
    };
    let mut faults: Vec<String> =
        source.path.split(['/', '.']).filter(|name| vague(name)).map(|name| format!("{}: names {name}", source.path)).collect();
    for pair in source.tokens.windows(2) {
        let declares = matches!(pair[0].text.as_str(), "mod" | "struct" | "enum" | "trait" | "type" | "union");
        if declares && pair[0].kind == Kind::Ident && pair[1].kind == Kind::Ident && vague(&pair[1].text) {
            faults.push(format!("{}: names {}", source.at(pair[1].line), pair[1].text));
        }
    }
    faults
}

#[test]
fn names_say_what_a_thing_is() {
    holds(everywhere, names);
}

#[test]
fn names_that_say_nothing_are_found() {
    finds(names, "src/a.rs", "struct SocketManager; mod utils {} enum TestHelper {} type Common = u8; struct Manageress;", 4);
    finds(names, "src/http/helpers.rs", "", 1);
    finds(names, "src/a.rs", "/// The manager of a school.\nfn common_prefix() {}", 0);
}

#[test]
fn lib_names_every_room_and_no_other() {
    let lib = Source::read(&root(), "src/lib.rs");
    let named: BTreeSet<String> = lib
        .tokens
        .windows(3)
        .filter(|three| three[0].text == "mod" && three[2].text == ";")
        .map(|three| three[1].text.clone())
        .collect();
    let there: BTreeSet<String> = sources().iter().filter_map(|source| source.room().map(str::to_owned)).collect();
    let stray: Vec<_> = there.difference(&named).filter(|room| *room != "commands").collect();
    assert!(stray.is_empty(), "not in src/lib.rs: {stray:?}");
    assert!(named.is_subset(&there), "in src/lib.rs alone: {:?}", named.difference(&there));
    let unknown: Vec<_> = there.iter().filter(|room| !WALLS.iter().any(|(name, _)| name == room)).collect();
    assert!(unknown.is_empty(), "without walls: {unknown:?}");
}

/// The addresses that the configuration listens at by default: its literals that are an address and nothing else.
fn default_ports() -> BTreeSet<String> {
    let settings = sources().into_iter().filter(|source| source.room() == Some("config"));
    let literals =
        settings.flat_map(|source| source.tokens.into_iter().filter(|token| token.kind == Kind::Literal && !token.test));
    literals.filter(|token| token.text.starts_with("\"127.0.0.1:")).flat_map(|token| ports(&token.text)).collect()
}

#[test]
fn the_readme_keeps_its_word() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README.md");
    for command in ["cargo run --release", "tests/run"] {
        assert!(readme.lines().any(|line| line.trim_start().starts_with(command)), "README.md does not show `{command}`");
    }
    for script in ["tests/run", ".ci/run"] {
        let mode = fs::metadata(root().join(script)).unwrap_or_else(|error| panic!("{script}: {error}")).permissions().mode();
        assert!(mode & 0o111 != 0, "{script} cannot be executed");
    }
    let (said, true_ones) = (ports(&readme), default_ports());
    assert!(true_ones.len() >= 2, "the configuration's default ports are not to be found: {true_ones:?}");
    assert_eq!(said, true_ones, "the ports in README.md, and the configuration's defaults");
}

#[test]
fn no_file_knows_the_machine_it_was_made_on() {
    let mut faults = Vec::new();
    for path in files() {
        if let Ok(text) = fs::read_to_string(root().join(&path)) {
            faults.extend(places(&text).into_iter().map(|place| format!("{path}: names {place}")));
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
