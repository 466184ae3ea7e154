//! What a worker of a rolling restart is told to do: a crowd of one node's, and where the other nodes are.

use crate::{order::Order, wire::http::Target};
use serde::{Deserialize, Serialize};

/// A worker's part of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct RollingOrder {
    /// Who signs in where, and what is published. Its target is the first node's.
    pub(crate) crowd: Order,
    /// All nodes.
    pub(crate) nodes: Vec<Node>,
}

/// Where a node is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Its WebSocket route.
    pub(crate) socket: Target,
    /// Its internal listener.
    pub(crate) internal: Target,
}
