//! Arguments → configuration → run.

use homeroom::commands::{Command, CommandLine, TokenCommand, check_config, conclude, doctor, print_config, serve};
use std::process::ExitCode;

fn main() -> ExitCode {
    conclude(match CommandLine::parse_process() {
        Command::Serve(arguments) => serve::prepare(&arguments).map(drop),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::PrintConfig(arguments) => print_config::run(&arguments),
        Command::CheckConfig(arguments) => check_config::run(arguments),
        Command::Token(token) => match token.api {
            TokenCommand::Presence(arguments) => arguments.settings().map(drop),
        },
    })
}
