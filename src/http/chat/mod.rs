//! The REST routes of chat: signing in, sessions, what is said, approvals. What the contract leaves open: `README.md` beside this file.
//!
//! Every request passes the [`gate`] first, which counts those that the contract limits. A handler then looks at the token, the path, the
//! query or the body, in this order, and only then asks: the session's home for what is decided ([`rooms::Sessions`]), the store for what
//! is only looked at ([`rooms::Library`]). A session that no home cares for is in the store as it is.

mod approvals;
mod auth;
mod caller;
mod document;
#[cfg(test)]
mod fakes;
mod fault;
pub mod gate;
mod internal;
mod messages;
pub mod pipe;
pub mod rooms;
mod say;
mod sessions;
mod shapes;
mod socket;
mod stream;
#[cfg(test)]
mod tests;

use super::{
    limits::{BODY_BYTES, LINGER_BYTES},
    rooms::Clock,
    table::Route,
};
use crate::protocols::chat::Settings;
pub use document::{document, internal_document};
pub use fault::Fault;
pub use gate::gate;
use http::Method;
pub use internal::internal_routes;
use rooms::{Chance, Credentials, Library, Pauses, Sessions};

/// All that the routes ask of the house.
pub trait Rooms: Sessions + Library + Credentials + Pauses + Chance + Clock + 'static {}

impl<S: Sessions + Library + Credentials + Pauses + Chance + Clock + 'static> Rooms for S {}

/// The routes, in the order of the contract. They belong behind their [`gate`].
pub fn routes<S: Rooms>(settings: &Settings) -> Vec<Route<S>> {
    let (get, post) = (|| Method::GET, || Method::POST);
    let said = said_bytes(settings);
    vec![
        Route::public(post(), "/api/v1/auth/login", auth::login).marked("sign_in"),
        Route::public(post(), "/api/v1/sessions", sessions::make),
        Route::public(post(), "/api/v1/sessions/", sessions::make),
        Route::public(get(), "/api/v1/sessions", sessions::all),
        Route::public(get(), "/api/v1/sessions/", sessions::all),
        Route::public(get(), "/api/v1/sessions/{session}", sessions::one),
        Route::public(post(), "/api/v1/sessions/{session}/end", sessions::end),
        Route::public(post(), "/api/v1/sessions/{session}/chat", say::chat).up_to(said),
        Route::public(post(), "/api/v1/sessions/{session}/chat/stream", say::stream).up_to(said),
        Route::public(get(), "/api/v1/sessions/{session}/messages", messages::all),
        Route::public(get(), "/api/v1/sessions/{session}/approvals", approvals::all),
        Route::public(post(), "/api/v1/sessions/{session}/approvals/{approval}/approve", approvals::approve)
            .marked("call.approved"),
        Route::public(post(), "/api/v1/sessions/{session}/approvals/{approval}/reject", approvals::reject)
            .marked("call.rejected"),
        Route::public(post(), "/api/v1/sessions/{session}/approvals/{approval}/{action}", approvals::other),
        Route::public(get(), "/ws/sessions/{session}", socket::plain),
    ]
}

/// The largest body with which something that may be said can be said: every character escaped, attachments in base64. Whoever sends
/// more shall hear so, which needs the rest to be read.
fn said_bytes(settings: &Settings) -> usize {
    const ESCAPED: usize = "\\u0000".len();
    const AROUND: usize = 64 << 10;
    let content = settings.max_content_chars.saturating_mul(ESCAPED);
    let attached = (settings.max_attachment_bytes / 3).saturating_mul(4);
    content.saturating_add(attached).saturating_add(AROUND).clamp(BODY_BYTES, LINGER_BYTES - BODY_BYTES)
}
