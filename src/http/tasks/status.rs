//! What the server is and how it is, for anybody; and the socket's path, for those who ask for no WebSocket.

use super::{
    Rooms,
    fault::Fault,
    shapes::{HealthShape, done},
};
use crate::http::{answer::Answer, call::Call};
use serde::Serialize;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = About)]
pub(super) struct Root {
    name: &'static str,
    version: &'static str,
    status: &'static str,
}

/// GET /
pub(super) async fn root<S: Rooms>(_: Call<S>) -> Result<Answer, Fault> {
    Ok(done(&Root { name: "Homeroom", version: env!("CARGO_PKG_VERSION"), status: "running" }))
}

/// GET /health
pub(super) async fn health<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    Ok(done(&HealthShape::from(&call.house.health())))
}

/// GET /ws. The engine takes those who ask for a WebSocket.
pub(super) async fn socket<S>(_: Call<S>) -> Result<Answer, Fault> {
    Err(Fault::NoUpgrade)
}
