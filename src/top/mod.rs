//! What `homeroom top` shows: two looks at a running server become rates, rates become tables, tables become a picture. Time, answers and
//! keys are arguments; the terminal, the clock and the asking are the command's.

mod draw;
mod keys;
mod looks;
mod rates;
mod tables;
mod text;
mod view;

pub use draw::{Paint, Shown, draw, plain};
pub use keys::{Wish, wish};
pub use looks::{Look, Unread};
pub use rates::{Rates, Seen};
pub use text::{clean, escaped, span};
pub use view::{Act, Away, View, pause};

#[cfg(test)]
mod tests;
