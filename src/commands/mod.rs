//! What `homeroom` can be told to do. Each command has its arguments, and a `run` that takes them.

pub mod agent;
pub mod check_config;
pub mod copy;
pub mod ctl;
pub mod doctor;
pub mod drain;
pub mod flags;
pub mod join;
pub mod lab_demo;
pub mod migrate;
pub mod owner;
pub mod pages;
mod people;
pub mod print_config;
pub mod prompt;
mod records;
pub mod serve;
mod server;
pub mod token;
pub mod top;
pub mod upgrade;
pub mod user;
pub mod user_token;

use crate::config::Faults;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::{fmt, process::ExitCode};

/// The realtime server of a digital school.
///
/// Without a command it serves; `homeroom serve --help` shows every setting.
#[derive(Parser, Debug)]
#[command(name = "homeroom", version, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArguments,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve until SIGTERM. This is what homeroom does without a command.
    Serve(serve::ServeArguments),
    /// Look at this machine: whether homeroom can serve here, how well, and what to do about what is wrong.
    #[command(after_help = doctor::EXIT_CODES)]
    Doctor(doctor::DoctorArguments),
    /// Print the default configuration file, with a comment for each key.
    PrintConfig(print_config::PrintConfigArguments),
    /// Check a configuration file, with the environment and flags, and tell every fault.
    CheckConfig(check_config::CheckConfigArguments),
    /// Sign in to a classroom from the terminal and print what is heard there.
    Join(join::JoinArguments),
    /// Make an account that signs in to quizzes, or give it a new password: asks for it. Works while the server runs and while it does not.
    Owner(owner::OwnerArguments),
    /// Move a school that has grown into a PostgreSQL database that is empty: `homeroom copy sqlite://FOLDER postgres://…`.
    Copy(copy::CopyArguments),
    /// Look at the server that runs, and tell it what to do, by its internal listener.
    #[command(after_help = ctl::EXIT_CODES)]
    Ctl(ctl::CtlArguments),
    /// Run desktops on this machine for a control plane, without containers.
    Agent(agent::AgentArguments),
    /// Let the connected of the running server go one by one, then end it: readyz says 503 first.
    Drain(drain::DrainArguments),
    /// Bring up a control plane, an agent and a desktop on this machine, and tell where to look at it.
    LabDemo(lab_demo::LabDemoArguments),
    /// What the tables of a PostgreSQL database are; brings them up to date with --apply.
    Migrate(migrate::MigrateArguments),
    /// Write the man pages and the shells' completions below a folder.
    #[command(hide = true)]
    Pages(pages::PagesArguments),
    /// Show the running server in the terminal: shards, classrooms, rates, slow readers.
    #[command(after_help = top::EXIT_CODES)]
    Top(top::TopArguments),
    /// Have the running server start the program that is on the disk now, and hand its sockets over: those in classrooms notice nothing.
    Upgrade(upgrade::UpgradeArguments),
    /// The users of labs, chat and tasks: add, list, passwd, disable, enable. Works while the server runs and while it does not.
    User(user::UserArguments),
    /// Print tokens for an API, one a line.
    Token(TokenApi),
}

/// Which API's tokens.
#[derive(Args, Debug)]
pub struct TokenApi {
    /// Which.
    #[command(subcommand)]
    pub api: TokenCommand,
}

/// The APIs that take tokens.
#[derive(Subcommand, Debug)]
pub enum TokenCommand {
    /// Tokens for the classroom's presence.
    Presence(token::TokenArguments),
    /// Tokens for owners of quizzes.
    Quiz(token::TokenArguments),
    /// A token of one of the users of labs.
    Labs(user_token::UserTokenArguments),
}

/// Why a command did not do what it was told.
#[derive(Debug)]
pub enum Failure {
    /// What was asked is wrong, or the settings are: exit code 2.
    Usage(String),
    /// It was tried, and failed: exit code 1. An empty text means that all has been said.
    Failed(String),
    /// There is no server where one was expected: exit code 3.
    Absent(String),
    /// The server does not let this be done by whoever asks: exit code 4.
    Denied(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message) | Failure::Failed(message) => f.write_str(message.trim_end()),
            Failure::Absent(message) | Failure::Denied(message) => f.write_str(message.trim_end()),
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Failure {
        Failure::Usage(faults.to_string())
    }
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Failed(_) => ExitCode::from(1),
            Failure::Usage(_) => ExitCode::from(2),
            Failure::Absent(_) => ExitCode::from(3),
            Failure::Denied(_) => ExitCode::from(4),
        }
    }
}

impl CommandLine {
    /// What the process was told to do. Ends the process on `--help`, `--version` (0) and wrong usage (2).
    pub fn parse_process() -> Command {
        let line = CommandLine::from_arg_matches(&CommandLine::shown().get_matches()).unwrap_or_else(|fault| fault.exit());
        line.command.unwrap_or(Command::Serve(line.serve))
    }

    /// The settings' flags work without a command, but fill the help of `serve` alone.
    fn shown() -> clap::Command {
        CommandLine::command().mut_args(|argument| argument.hide(true))
    }
}

/// Says why a command failed, on standard error, and turns it into the process's exit code.
pub fn conclude(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    let message = failure.to_string();
    if !message.is_empty() {
        eprintln!("{message}");
    }
    failure.exit_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, clap::Error> {
        let given = std::iter::once("homeroom").chain(arguments.iter().copied());
        let line = CommandLine::from_arg_matches(&CommandLine::shown().try_get_matches_from(given)?)?;
        Ok(line.command.unwrap_or(Command::Serve(line.serve)))
    }

    #[test]
    fn the_command_line_holds_together() {
        CommandLine::shown().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        assert!(matches!(parse(&[]), Ok(Command::Serve(_))));
        let Ok(Command::Serve(serve)) = parse(&["--presence.auth-timeout", "3s"]) else { panic!("flags alone serve") };
        let settings = serve.flags.load([]).unwrap().settings;
        assert_eq!(settings.presence.auth_timeout, std::time::Duration::from_secs(3));
    }

    #[test]
    fn every_setting_is_in_the_help_of_serve_under_its_table() {
        let mut command = CommandLine::shown();
        command.build();
        let help = command.find_subcommand_mut("serve").unwrap().render_long_help().to_string();
        for section in crate::config::Settings::sections() {
            assert!(section.keys.is_empty() || section.prefix.is_empty() || help.contains(&format!("[{}]", section.name())));
            for key in section.keys {
                assert!(help.contains(&format!("--{} ", key.flag())) && help.contains(&key.environment()), "{}", key.path());
            }
        }
        let top = CommandLine::shown().render_long_help().to_string();
        assert!(!top.contains("--presence.auth-timeout"), "the top's help is for the commands");
    }

    #[test]
    fn wrong_usage_is_refused_without_repeating_values() {
        let refused = parse(&["serve", "--databse=postgres://u:hunter2@db/x"]).unwrap_err();
        assert!(refused.exit_code() == 2 && refused.to_string().contains("--database"), "{refused}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }

    #[test]
    fn token_arguments_are_read() {
        let given = ["token", "presence", "--issuer", "i", "--sub", "student-{n}", "--aud", "a", "--count", "3", "--ttl", "5m"];
        let Ok(Command::Token(TokenApi { api: TokenCommand::Presence(token) })) = parse(&given) else { panic!("parses") };
        assert_eq!(token.subjects(token::Api::Presence).collect::<Vec<_>>(), ["student-1", "student-2", "student-3"]);
        assert_eq!(token.ttl, Some(std::time::Duration::from_secs(300)));
        assert!(parse(&["token", "presence", "--ttl", "5"]).is_err());
        let given = ["token", "quiz", "--subject", "head", "--ttl", "5m"];
        let Ok(Command::Token(TokenApi { api: TokenCommand::Quiz(token) })) = parse(&given) else { panic!("parses") };
        assert_eq!(token.subjects(token::Api::Quiz).collect::<Vec<_>>(), ["head"]);
        let Ok(Command::Token(TokenApi { api: TokenCommand::Quiz(token) })) = parse(&["token", "quiz"]) else { panic!("parses") };
        assert_eq!(token.subjects(token::Api::Quiz).collect::<Vec<_>>(), ["teacher-1"]);
    }
}
