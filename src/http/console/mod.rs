//! Pages for people, on the internal listener: `/lab/{session}`, where a desktop is seen and used.
//!
//! The page asks the labs' own listener for everything: it signs in there, looks at the session and opens the viewer's socket, with the
//! user's token and no other right. So nothing here knows a user, and nothing is served here that a stranger may not have. The page asks no
//! other host, runs no script but ours, and no other page may frame it: its headers say so to the browser.

mod assets;
mod page;
#[cfg(test)]
mod tests;

use super::{
    answer::{self, Answer},
    call::Call,
    fault::Fault,
    table::Route,
};
use assets::ASSETS;
use http::{HeaderValue, StatusCode, header};
use page::Page;
use std::{future::ready, rc::Rc};
use xxhash_rust::xxh3::Xxh3;

/// What the console asks of the house.
pub trait Console {
    /// Where browsers find the labs.
    fn labs(&self) -> LabsPlace;
}

/// Where browsers find the labs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabsPlace {
    /// Such as `https://labs.example.school`; none: on the host that the console was asked under, at this port.
    pub origin: Option<String>,
    /// The port of their listener.
    pub port: u16,
    /// What their paths begin with; may be empty.
    pub prefix: String,
    /// Whether that listener speaks TLS.
    pub is_secure: bool,
}

/// The routes of the console, for the internal listener.
pub fn routes<S: Console + 'static>() -> Vec<Route<S>> {
    let shelf = Rc::new(Shelf::new());
    let page = Page::new(&shelf.version);
    vec![
        Route::page("/lab/{session}", move |call: Call<S>| ready(page.answer(&call.parts, &call.house.labs()))),
        Route::page("/lab/assets/{version}/{*name}", move |call: Call<S>| ready(shelf.answer(&call))),
    ]
}

/// The embedded files, under a path that changes when any of them does: so that browsers may keep them, and no page of a new version ever
/// meets a file of an old one.
struct Shelf {
    version: String,
}

impl Shelf {
    fn new() -> Shelf {
        let mut all = Xxh3::new();
        for asset in ASSETS {
            all.update(asset.name.as_bytes());
            all.update(&asset.bytes.len().to_le_bytes());
            all.update(asset.bytes);
        }
        Shelf { version: format!("{:016x}", all.digest()) }
    }

    fn answer<S>(&self, call: &Call<S>) -> Result<Answer, Fault> {
        let (version, name) = (call.text("version"), call.text("name"));
        let found = ASSETS.iter().find(|asset| name == Some(asset.name)).filter(|_| version == Some(&self.version));
        let asset = found.ok_or(Fault::NoRoute)?;
        let tag = HeaderValue::from_str(&format!("\"{}\"", self.version)).unwrap_or(HeaderValue::from_static("\"\""));
        let known = call.parts.headers.get_all(header::IF_NONE_MATCH).iter().any(|known| known == tag);
        let mut answer = match known {
            true => answer::empty(StatusCode::NOT_MODIFIED),
            false => answer::typed(StatusCode::OK, asset.kind(), asset.bytes),
        };
        let headers = answer.headers_mut();
        headers.insert(header::ETAG, tag);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(answer)
    }
}
