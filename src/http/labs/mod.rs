//! The REST routes of labs: signing in, agents, sessions, templates, users. What the contract leaves open: `README.md` beside this file.
//!
//! Every request passes the [`gate`] first, which counts it and tells the limits with whatever is answered. A handler then looks at the
//! credential, the role, the path, the query or the body, in this order, and only then asks: the registry for what is decided
//! ([`rooms::Registry`]), the store for what is only looked at ([`rooms::Library`]).
//! Upgrades at the paths of sockets never come here; whoever asks there for none is told so.

mod agents;
mod auth;
mod caller;
mod document;
mod enrolment;
#[cfg(test)]
mod fakes;
mod fault;
mod fields;
pub mod gate;
mod given;
mod internal;
mod logs;
mod params;
pub mod rooms;
mod sessions;
mod shapes;
mod templates;
#[cfg(test)]
mod tests;
mod users;

use super::{answer::Answer, call::Call, rooms::Clock, table::Route};
pub use document::{document, internal_document};
pub use fault::Fault;
pub use gate::gate;
use http::Method;
pub use internal::internal_routes;
use rooms::{Chance, Credentials, Library, Registry};

/// All that the routes ask of the house.
pub trait Rooms: Registry + Library + Credentials + Chance + Clock + 'static {}

impl<S: Registry + Library + Credentials + Chance + Clock + 'static> Rooms for S {}

/// The routes, in the order of the contract, with those of the second dialect among them. They belong behind their [`gate`].
pub fn routes<S: Rooms>() -> Vec<Route<S>> {
    let (get, post, put, delete) = (|| Method::GET, || Method::POST, || Method::PUT, || Method::DELETE);
    vec![
        Route::public(post(), "/api/v1/auth/login", auth::login).marked("sign_in"),
        Route::public(post(), "/api/v1/auth/logout", auth::logout).marked("sign_out"),
        Route::public(get(), "/api/v1/agents", agents::all),
        Route::public(get(), "/api/v1/agents/stats", agents::stats),
        Route::public(get(), "/api/v1/agents/{agent}", agents::one),
        Route::public(Method::PATCH, "/api/v1/agents/{agent}", agents::change).marked("agent.changed"),
        Route::public(delete(), "/api/v1/agents/{agent}", agents::forget).marked("agent.forgotten"),
        Route::public(post(), "/api/v1/agents/register", enrolment::register).marked("agent.enrolled"),
        Route::public(post(), "/api/v1/agents/{agent}/heartbeat", enrolment::heartbeat),
        Route::public(post(), "/api/v1/sessions", sessions::make),
        Route::public(get(), "/api/v1/sessions", sessions::all),
        Route::public(get(), "/api/v1/sessions/{session}", sessions::one),
        Route::public(Method::PATCH, "/api/v1/sessions/{session}", sessions::change),
        Route::public(delete(), "/api/v1/sessions/{session}", sessions::remove),
        Route::public(get(), "/api/v1/sessions/{session}/logs", logs::logs),
        Route::public(get(), "/api/v1/templates", templates::all),
        Route::public(post(), "/api/v1/templates", templates::make).marked("template.made"),
        Route::public(get(), "/api/v1/templates/{template}", templates::one),
        Route::public(put(), "/api/v1/templates/{template}", templates::change).marked("template.changed"),
        Route::public(delete(), "/api/v1/templates/{template}", templates::remove).marked("template.removed"),
        Route::public(get(), "/api/v1/users", users::all),
        Route::public(post(), "/api/v1/users", users::make).marked("user.made"),
        Route::public(get(), "/api/v1/users/{user}", users::one),
        Route::public(Method::PATCH, "/api/v1/users/{user}", users::change).marked("user.changed"),
        Route::public(delete(), "/api/v1/users/{user}", users::disable).marked("user.disabled"),
        Route::public(put(), "/api/v1/users/{user}/password", users::change_password).marked("password.changed"),
        Route::public(get(), "/vnc-viewer/{session}", upgrade),
        Route::public(get(), "/agent/ws", upgrade),
        Route::public(get(), "/api/v1/agents/connect", upgrade),
    ]
}

/// The path of a socket.
async fn upgrade<S: Rooms>(_: Call<S>) -> Result<Answer, Fault> {
    Err(Fault::NoUpgrade)
}
