//! Several nodes, each some shards of the shipped engine: a bus that delays, parts and breaks, nodes that die, come and are cut off, one
//! store that knows who is a node and who is not any more, and students who sign in anywhere.

pub(crate) mod bus;
pub(crate) mod checks;
pub(crate) mod faults;
pub(crate) mod store;
pub(crate) mod students;
pub(crate) mod world;
