//! The REST routes of tasks: tasks, agents, workflows and their executions. What the contract leaves open: `README.md` beside this file.
//!
//! A handler looks at the token, the path, the query or the body, in this order, and only then asks: the home of the task or execution for
//! what is decided ([`rooms::Tasks`]), the store for what is only looked at ([`rooms::Library`]).

mod agents;
mod caller;
mod document;
mod executions;
#[cfg(test)]
mod fakes;
mod fault;
pub mod rooms;
mod shapes;
mod status;
#[cfg(test)]
mod tests;
mod work;

use super::{
    limits::{BODY_BYTES, LINGER_BYTES},
    rooms::Clock,
    table::Route,
};
use crate::protocols::tasks::Settings;
pub use document::document;
pub use fault::Fault;
use http::Method;
use rooms::{Chance, Credentials, Library, Tasks};

/// All that the routes ask of the house.
pub trait Rooms: Tasks + Library + Credentials + Chance + Clock + 'static {}

impl<S: Tasks + Library + Credentials + Chance + Clock + 'static> Rooms for S {}

/// The routes. Where they share a listener with others, what is nobody's route is told by them.
pub fn routes<S: Rooms>(settings: &Settings) -> Vec<Route<S>> {
    const ESCAPED: usize = "\\u0000".len();
    let (get, post) = (|| Method::GET, || Method::POST);
    let told = settings.max_task_bytes.saturating_mul(ESCAPED).clamp(BODY_BYTES, LINGER_BYTES - BODY_BYTES);
    vec![
        Route::public(get(), "/", status::root),
        Route::public(get(), "/health", status::health),
        Route::public(get(), "/ws", status::socket),
        Route::public(post(), "/api/v1/tasks", work::make).up_to(told),
        Route::public(post(), "/api/v1/tasks/", work::make).up_to(told),
        Route::public(get(), "/api/v1/tasks", work::all),
        Route::public(get(), "/api/v1/tasks/", work::all),
        Route::public(get(), "/api/v1/tasks/{task}", work::one),
        Route::public(Method::PATCH, "/api/v1/tasks/{task}", work::change),
        Route::public(Method::DELETE, "/api/v1/tasks/{task}", work::remove),
        Route::public(post(), "/api/v1/tasks/{task}/cancel", work::cancel),
        Route::public(get(), "/api/v1/agents", agents::all),
        Route::public(get(), "/api/v1/agents/", agents::all),
        Route::public(get(), "/api/v1/agents/{agent}", agents::one),
        Route::public(post(), "/api/v1/agents/{agent}/execute", agents::execute).up_to(told),
        Route::public(get(), "/api/v1/orchestration/workflows", executions::workflows),
        Route::public(get(), "/api/v1/orchestration/workflows/", executions::workflows),
        Route::public(get(), "/api/v1/orchestration/workflows/{workflow}", executions::workflow),
        Route::public(post(), "/api/v1/orchestration/executions", executions::make).up_to(told),
        Route::public(post(), "/api/v1/orchestration/executions/", executions::make).up_to(told),
        Route::public(get(), "/api/v1/orchestration/executions", executions::all),
        Route::public(get(), "/api/v1/orchestration/executions/", executions::all),
        Route::public(get(), "/api/v1/orchestration/executions/{execution}", executions::one),
        Route::public(post(), "/api/v1/orchestration/executions/{execution}/cancel", executions::cancel),
    ]
}
