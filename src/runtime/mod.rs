//! The shell: what owns threads, rings, sockets and clocks.

pub mod probe;
