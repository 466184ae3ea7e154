//! The routes of quizzes, for owners, participants and (on the internal listener) operators. Reference: `README.md` beside this file.
//!
//! A handler looks at the credential first, then at the path, then at the body, and only then asks: homes for what changes
//! ([`rooms::Quizzes`]), the store for what is only looked at ([`rooms::Library`]).

mod attempts;
mod body;
mod caller;
mod document;
mod envelope;
#[cfg(test)]
mod fakes;
mod fault;
mod flags;
mod given;
mod ids;
mod owners;
mod people;
mod questions;
mod quizzes;
mod reports;
pub mod rooms;
mod rules;
mod shapes;
mod socket;
#[cfg(test)]
mod tests;

use super::{rooms::Clock, table::Route};
pub use document::{document, internal_document};
pub use fault::Fault;
use http::Method;
use rooms::{Chance, Credentials, Library, Quizzes};

/// All that the routes ask of the house.
pub trait Rooms: Quizzes + Library + Credentials + Chance + Clock + 'static {}

impl<S: Quizzes + Library + Credentials + Chance + Clock + 'static> Rooms for S {}

/// The routes of the quiz listener, in the order of the reference.
pub fn routes<S: Rooms>() -> Vec<Route<S>> {
    let (get, post, put, delete) = (|| Method::GET, || Method::POST, || Method::PUT, || Method::DELETE);
    vec![
        Route::public(get(), "/ws", socket::ws),
        Route::public(post(), "/api/v1/auth/sign-in", owners::sign_in).marked("sign_in"),
        Route::public(post(), "/api/v1/apikeys", owners::make_key).marked("key.made"),
        Route::public(get(), "/api/v1/apikeys", owners::keys),
        Route::public(delete(), "/api/v1/apikeys/{key}", owners::revoke_key).marked("key.revoked"),
        Route::public(post(), "/api/v1/quizzes", quizzes::make),
        Route::public(get(), "/api/v1/quizzes", quizzes::all),
        Route::public(get(), "/api/v1/quizzes/{quiz}", quizzes::one),
        Route::public(Method::PATCH, "/api/v1/quizzes/{quiz}", quizzes::change),
        Route::public(post(), "/api/v1/quizzes/{quiz}/publish", quizzes::publish),
        Route::public(post(), "/api/v1/quizzes/{quiz}/archive", quizzes::archive),
        Route::public(post(), "/api/v1/quizzes/{quiz}/questions", questions::make),
        Route::public(put(), "/api/v1/quizzes/{quiz}/questions/order", questions::order),
        Route::public(put(), "/api/v1/quizzes/{quiz}/questions/{question}", questions::change),
        Route::public(delete(), "/api/v1/quizzes/{quiz}/questions/{question}", questions::remove),
        Route::public(post(), "/api/v1/participants", people::make_participant),
        Route::public(get(), "/api/v1/participants", people::participants),
        Route::public(get(), "/api/v1/participants/{participant}", people::participant),
        Route::public(post(), "/api/v1/events", people::make_event),
        Route::public(get(), "/api/v1/events", people::events),
        Route::public(get(), "/api/v1/events/{event}", people::event),
        Route::public(post(), "/api/v1/quizzes/{quiz}/attempts", attempts::begin),
        Route::public(get(), "/api/v1/attempts/{attempt}", attempts::look),
        Route::public(post(), "/api/v1/attempts/{attempt}/answers", attempts::answer),
        Route::public(post(), "/api/v1/attempts/{attempt}/submit", attempts::submit),
        Route::public(post(), "/api/v1/attempts/{attempt}/flags", flags::raise),
        Route::public(get(), "/api/v1/info/attempts", reports::attempts),
        Route::public(get(), "/api/v1/quizzes/{quiz}/results", reports::results),
        Route::public(get(), "/api/v1/info/attempts/{attempt}", reports::attempt),
        Route::public(get(), "/api/v1/attempts/{attempt}/flags", flags::timeline),
        Route::public(get(), "/api/v1/quizzes/{quiz}/flags/summary", flags::summary),
        Route::public(post(), "/api/v1/quizzes/{quiz}/force-submit", reports::force_quiz).marked("attempts.ended"),
        Route::public(post(), "/api/v1/events/{event}/force-submit", reports::force_event).marked("attempts.ended"),
    ]
}

/// The routes for operators, on the internal listener.
pub fn internal_routes<S: Rooms>() -> Vec<Route<S>> {
    vec![Route::internal(Method::POST, "/api/v1/owners", owners::make_account).marked("owner.made")]
}
