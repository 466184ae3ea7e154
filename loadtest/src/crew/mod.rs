//! One boss, several workers: processes of this host today, of other hosts by the same letters over TCP.
//!
//! A run is a sequence of stages. The boss names the stage and the moment at which it begins; each worker answers when it has nothing
//! left to do in it. Between two stages the boss looks at the server, so every figure belongs to one stage.

pub(crate) mod boss;
pub(crate) mod lanes;
pub(crate) mod letters;
pub(crate) mod worker;
