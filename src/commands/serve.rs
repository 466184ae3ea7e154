//! `homeroom serve`: from arguments to a process that is ready to start its shards.

use super::{Failure, flags::SettingFlags};
use crate::{config::Settings, observe::logs, observe::logs::Logs, runtime::probe};

/// Nothing but settings.
#[derive(clap::Args, Debug)]
pub struct ServeArguments {
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// All that must stand before the first shard.
#[derive(Debug)]
pub struct Prepared {
    /// The settings, checked.
    pub settings: Settings,
    /// The log lines' way out: kept until the end of `main`, so that the last ones are written.
    pub logs: Logs,
    /// How many connections the limit of open files and the settings allow.
    pub connections: usize,
}

/// Reads the settings, starts the log, raises the limit of open files and makes sure of the rings.
pub fn prepare(arguments: &ServeArguments) -> Result<Prepared, Failure> {
    let loaded = arguments.flags.load_process()?;
    let unreadable = loaded.settings.unreadable_keys();
    if !unreadable.is_empty() {
        return Err(crate::config::Faults(unreadable).into());
    }
    let logs = logs::start(&loaded.settings.log).map_err(|error| Failure::Failed(format!("the log cannot start: {error}")))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let connections = loaded.settings.websocket.connections(probe::raise_descriptor_limit());
    probe::probe().map_err(|fault| Failure::Failed(fault.to_string()))?;
    Ok(Prepared { settings: loaded.settings, logs, connections })
}
