//! Chat for operators, on the internal listener: which approvals wait, in any session, and nothing of what was said. What would be called
//! with which words is asked with an admin's token, and decided so.

use super::{
    fault::Fault,
    rooms::Library,
    shapes::{done, waiting},
};
use crate::http::{answer::Answer, call::Call, rooms::Clock, table::Route};
use http::Method;

/// Approvals in one answer.
const MOST: u32 = 200;

/// The routes.
pub fn internal_routes<S: Library + Clock + 'static>() -> Vec<Route<S>> {
    vec![Route::internal(Method::GET, "/api/v1/approvals", all)]
}

/// GET /api/v1/approvals
async fn all<S: Library + Clock>(call: Call<S>) -> Result<Answer, Fault> {
    Ok(done(&waiting(&call.house.waiting_approvals(call.house.now(), MOST).await?)))
}
