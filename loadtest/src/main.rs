//! `homeroom-load`: the load harness.

fn main() {}
