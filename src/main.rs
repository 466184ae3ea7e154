//! Arguments → configuration → run.

use homeroom::commands::{
    Command, CommandLine, TokenCommand, agent, check_config, conclude, copy, ctl, doctor, drain, join, lab_demo, migrate, owner,
    pages, print_config, serve, token, top, upgrade, user, user_token,
};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    conclude(match CommandLine::parse_process() {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Drain(arguments) => drain::run(&arguments),
        Command::PrintConfig(arguments) => print_config::run(&arguments),
        Command::CheckConfig(arguments) => check_config::run(arguments),
        Command::Copy(arguments) => copy::run(&arguments),
        Command::Ctl(arguments) => ctl::run(&arguments),
        Command::Join(arguments) => join::run(&arguments),
        Command::Owner(arguments) => owner::run(&arguments),
        Command::Agent(arguments) => agent::run(&arguments),
        Command::LabDemo(arguments) => lab_demo::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Pages(arguments) => pages::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Upgrade(arguments) => upgrade::run(&arguments),
        Command::User(arguments) => user::run(&arguments),
        Command::Token(api) => match api.api {
            TokenCommand::Presence(arguments) => token::run(&arguments, token::Api::Presence),
            TokenCommand::Quiz(arguments) => token::run(&arguments, token::Api::Quiz),
            TokenCommand::Labs(arguments) => user_token::run(&arguments),
        },
    })
}
