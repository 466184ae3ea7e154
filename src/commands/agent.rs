//! `homeroom agent`: runs desktops on this machine for a control plane.

use super::Failure;
use crate::{
    agent::{self, Given, Settings, settings::SAMPLE},
    config::{Layers, Loaded},
    observe::logs,
};
use std::{io::Write, path::PathBuf};

/// Whom to work for, and how.
#[derive(clap::Args, Debug)]
pub struct AgentArguments {
    /// The control plane, such as ws://127.0.0.1:8080 or wss://labs.example.org
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// What this agent calls itself; without it the machine's name
    #[arg(long, value_name = "NAME")]
    pub id: Option<String>,
    /// Where it is, as sessions may ask for it
    #[arg(long, value_name = "NAME")]
    pub region: Option<String>,
    /// Where homes, logs and the state of sessions are kept
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Its settings (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log lines: a level, or directives such as info,homeroom::agent=debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: String,
    /// Tell what an agent would find here, and end
    #[arg(long)]
    pub check: bool,
    /// Print every setting with its comment, and end
    #[arg(long)]
    pub print_config: bool,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(arguments: &AgentArguments) -> Result<(), Failure> {
    if arguments.print_config {
        return shown(SAMPLE);
    }
    let given = Given {
        server: arguments.server.clone(),
        id: arguments.id.clone(),
        region: arguments.region.clone(),
        data_dir: arguments.data_dir.clone(),
    };
    let settings = Settings::load(arguments.config.as_deref(), given).map_err(Failure::Usage)?;
    if arguments.check {
        let (text, is_well) = agent::check(&settings);
        shown(&text)?;
        return if is_well { Ok(()) } else { Err(Failure::Failed(String::new())) };
    }
    let _logs = log(&arguments.log)?;
    agent::run(settings).map_err(Failure::Failed)
}

fn shown(text: &str) -> Result<(), Failure> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::Failed(format!("standard output: {error}")))
}

fn log(level: &str) -> Result<logs::Logs, Failure> {
    let settings = Loaded::of(&Layers::default().flag("log.level", level))?.settings;
    logs::start(&settings.log).map_err(|error| Failure::Failed(error.to_string()))
}
