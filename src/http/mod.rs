//! REST: hyper glue, routing, errors. Handlers are async functions over the contracts in [`rooms`].
//!
//! The life of a request: [`serve`] reads it from a socket, [`Table::answer`] finds its [`Route`] by method and path, reads the body, and
//! calls the handler with a [`Call`]; what the handler returns, an [`Answer`] or a [`Fault`], goes back with CORS headers and a request id.
//!
//! An API that does something around all of its requests, such as counting them, has a [`Gate`](gate::Gate).
//!
//! A new route is one line in its API's `routes()` and one `async fn(Call<S>) -> Result<Answer, Fault>`. `S` is whatever fulfils the
//! contracts which that function names in its bounds; the runtime has one type that fulfils all of them.

pub mod answer;
mod attendance;
pub mod audit;
mod bearer;
pub mod call;
pub mod chat;
pub mod console;
mod connection;
pub mod control;
mod cors;
pub mod documents;
pub mod fault;
mod fields;
pub mod gate;
pub mod internal;
mod iso;
pub mod labs;
pub mod limits;
mod pace;
mod paced;
mod params;
pub mod presence;
pub mod quiz;
pub mod rooms;
mod segment;
mod stop;
mod stream;
pub mod table;
pub mod tasks;
mod wire;

#[cfg(test)]
mod fakes;

pub use answer::{Answer, Payload};
pub use call::Call;
pub use connection::{App, Beginning, serve};
pub use fault::Fault;
pub use limits::Limits;
pub use stop::{Stop, Stopper};
pub use stream::Stream;
pub use table::{Route, Table};
