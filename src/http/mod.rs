//! REST: hyper glue, routing, errors. Handlers are async functions over the contract in [`rooms`].

pub mod rooms;
