//! One boss, several workers: processes of this host by letters over pipes, and of other hosts by the same letters over TCP.
//!
//! A run is a sequence of stages. The boss names the stage and the moment at which it begins; each worker answers when it has nothing
//! left to do in it. Between two stages the boss looks at the server, so every figure belongs to one stage.

pub(crate) mod boss;
pub(crate) mod gate;
pub(crate) mod join;
pub(crate) mod lanes;
pub(crate) mod letters;
pub(crate) mod offset;
mod sealed;
pub(crate) mod secret;
pub(crate) mod worker;
