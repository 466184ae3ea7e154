//! Pages for people, on the internal listener: `/console/`, where a school is seen, and `/lab/{session}`, where a desktop is seen and used.
//!
//! The pages ask the APIs' own listeners for everything, with the tokens of who signed in and no other right, and the console the internal
//! routes too. So nothing here knows a user but the sign-in of the console, which finds out who somebody is by the accounts that there are,
//! and hands out the tokens that the APIs would have given. The pages ask no other host, run no script but ours, and no other page may
//! frame them: their headers say so to the browser.

mod assets;
mod page;
mod sign_in;
#[cfg(test)]
mod tests;

use super::{
    answer::{self, Answer},
    call::Call,
    fault::Fault,
    gate::Peer,
    table::Route,
};
use crate::{
    console::{self, Asset},
    realtime::StoreFault,
};
use http::{HeaderValue, Method, StatusCode, header};
use page::Page;
use std::{future::ready, rc::Rc};
use xxhash_rust::xxh3::Xxh3;

/// What the pages ask of the house.
#[allow(async_fn_in_trait)]
pub trait Console {
    /// Where browsers find the APIs.
    fn places(&self) -> &Places;
    /// One more try to sign in from this address, counted as logins of labs are. The error is after how many seconds to come again.
    async fn count_try(&self, peer: Option<Peer>) -> Result<(), TooSoon>;
    /// The user of labs and chat with this name and password, who may sign in. Whether there is one takes as long to say.
    async fn user(&self, name: String, password: String) -> Result<Option<Known>, StoreFault>;
    /// A token of quizzes for the owner with this name and password, likewise; none too where owners do not sign in here.
    async fn owner(&self, name: String, password: String) -> Result<Option<Token>, StoreFault>;
    /// A token of presence for who has signed in under this name; none where other issuers are believed.
    fn presence_token(&self, name: &str) -> Option<Token>;
    /// A fresh token of chat for who shows a good one of labs.
    async fn chat_token(&self, labs_token: &str) -> Result<Option<Token>, StoreFault>;
}

/// Where browsers find the APIs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    /// Presence.
    pub presence: Place,
    /// Quizzes.
    pub quiz: Place,
    /// Labs.
    pub labs: Place,
    /// Chat and tasks.
    pub chat: Place,
}

/// Where browsers find an API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Such as `https://labs.example.school`; none: on the host that the page was asked under, at this port.
    pub origin: Option<String>,
    /// The port of its listener.
    pub port: u16,
    /// What its paths begin with; may be empty.
    pub prefix: String,
    /// Whether that listener speaks TLS.
    pub is_secure: bool,
}

pub use sign_in::{Known, Token, TooSoon};

/// The routes of the pages, for the internal listener.
pub fn routes<S: Console + 'static>() -> Vec<Route<S>> {
    let (lab, desk) = (Rc::new(Shelf::new(assets::ASSETS)), Rc::new(Shelf::new(console::ASSETS)));
    let desktop = Page::new(assets::LAB, &lab.version, "lab", assets::ASSETS);
    let board = Page::new(console::PAGE, &desk.version, "", console::ASSETS);
    vec![
        Route::page("/lab/{session}", move |call: Call<S>| {
            ready(desktop.answer(&call.parts, &[("labs", &call.house.places().labs)]))
        }),
        Route::page("/lab/assets/{version}/{*name}", move |call: Call<S>| ready(lab.answer(&call))),
        Route::page("/console", |_: Call<S>| ready(Ok::<_, Fault>(moved("console/")))),
        Route::page("/console/", move |call: Call<S>| {
            let Places { presence, quiz, labs, chat } = call.house.places();
            let places = [("presence", presence), ("quiz", quiz), ("labs", labs), ("chat", chat)];
            ready(board.answer(&call.parts, &places))
        }),
        Route::page("/console/assets/{version}/{*name}", move |call: Call<S>| ready(desk.answer(&call))),
        Route::own(Method::POST, "/console/sign-in", sign_in::sign_in).marked("sign_in"),
        Route::own(Method::POST, "/console/renew", sign_in::renew),
    ]
}

/// To a place beside this one.
fn moved(place: &'static str) -> Answer {
    let mut answer = answer::empty(StatusCode::PERMANENT_REDIRECT);
    answer.headers_mut().insert(header::LOCATION, HeaderValue::from_static(place));
    answer
}

/// The embedded files, under a path that changes when any of them does: so that browsers may keep them, and no page of a new version ever
/// meets a file of an old one.
struct Shelf {
    version: String,
    assets: &'static [Asset],
}

impl Shelf {
    fn new(assets: &'static [Asset]) -> Shelf {
        let mut all = Xxh3::new();
        for asset in assets {
            all.update(asset.name.as_bytes());
            all.update(&asset.bytes.len().to_le_bytes());
            all.update(asset.bytes);
        }
        Shelf { version: format!("{:016x}", all.digest()), assets }
    }

    fn answer<S>(&self, call: &Call<S>) -> Result<Answer, Fault> {
        let (version, name) = (call.text("version"), call.text("name"));
        let found = self.assets.iter().find(|asset| name == Some(asset.name)).filter(|_| version == Some(&self.version));
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
