//! The socket's path, for those who ask for no WebSocket: the engine takes the others.

use super::fault::Fault;
use crate::http::{answer::Answer, call::Call};

/// GET /ws/sessions/{session}
pub(super) async fn plain<S>(_: Call<S>) -> Result<Answer, Fault> {
    Err(Fault::NoUpgrade)
}
