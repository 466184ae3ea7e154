//! `homeroom print-config`: the commented default file.

use super::Failure;
use crate::config;
use std::io::{ErrorKind, Write};

/// None yet.
#[derive(clap::Args, Debug)]
pub struct PrintConfigArguments {}

/// Prints it. A reader that has seen enough is no failure.
pub fn run(_: &PrintConfigArguments) -> Result<(), Failure> {
    match std::io::stdout().write_all(config::print().as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Failed(format!("standard output: {error}"))),
        _ => Ok(()),
    }
}
