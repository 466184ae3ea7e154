//! What the files keep to, read from them.

use super::{ASSETS, PAGE};
use std::{collections::BTreeSet, fs, path::Path};

/// What is for readers of the source and of the README, for Node, and what pages are made of.
const ASIDE: [&str; 4] = ["page.html", "README.md", "package.json", "picture.png"];

fn text(name: &str) -> &'static str {
    let asset = ASSETS.iter().find(|asset| asset.name == name).expect("it is there");
    std::str::from_utf8(asset.bytes).expect("a text")
}

#[test]
fn the_list_of_files_is_that_of_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<_> = names.filter(|name| !name.ends_with(".rs") && !ASIDE.contains(&name.as_str())).collect();
    assert_eq!(ASSETS.iter().map(|asset| asset.name.to_owned()).collect::<BTreeSet<_>>(), found);
}

#[test]
fn modules_import_only_what_is_there_and_the_client_nothing() {
    let names: BTreeSet<_> = ASSETS.iter().map(|asset| asset.name).collect();
    for asset in ASSETS.iter().filter(|asset| asset.is_module()) {
        let imports: Vec<_> = text(asset.name).split(" from '").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
        assert!(imports.is_empty() || asset.name != "homeroom.js", "{imports:?}");
        for path in imports {
            assert!(path.strip_prefix("./").is_some_and(|name| names.contains(name)), "{} imports {path}", asset.name);
        }
    }
}

#[test]
fn nothing_is_asked_of_another_host_and_nothing_is_run_or_styled_in_the_document() {
    let plain = |text: &str| text.replace("http://www.w3.org/2000/svg", "");
    for (name, text) in ASSETS.iter().map(|asset| (asset.name, text(asset.name))).chain([("page.html", PAGE)]) {
        let text = plain(text);
        for outside in ["http://", "https://", "//cdn", "@import", "eval(", "new Function", "innerHTML", "document.write"] {
            assert!(!text.contains(outside), "{name}: {outside}");
        }
    }
    for own in [" style=", "<style", " onclick=", "javascript:"] {
        assert!(!PAGE.contains(own), "{own}");
    }
}

#[test]
fn nothing_is_kept_beyond_the_tab() {
    for asset in ASSETS.iter().filter(|asset| asset.is_module()) {
        for kept in ["localStorage", "document.cookie", "indexedDB"] {
            assert!(!text(asset.name).contains(kept), "{}: {kept}", asset.name);
        }
    }
}
