//! Documents of the published APIs, made from their types: OpenAPI 3.1 of the routes, AsyncAPI 3.0 of the sockets.
//!
//! An API says what its routes ([`Rest`]) and its sockets ([`Sockets`]) take and tell, with the types that it reads and writes itself
//! (`utoipa::ToSchema`). What several share ([`openapi`], [`asyncapi`]) is put together for each listener, under its prefixes.

mod openapi;
mod operation;
mod schemas;
mod sockets;
#[cfg(test)]
mod tests;

pub use openapi::{Rest, Scheme, openapi};
pub use operation::{Content, Operation, Parameter, of_text};
pub use schemas::{Schemas, Shape, inline, list, shape};
pub use sockets::{Message, Socket, Sockets, asyncapi};
