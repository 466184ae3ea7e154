//! `homeroom check-config [FILE]`: every fault of a file, and of the environment and flags with it.

use super::{Failure, flags::SettingFlags};
use crate::{
    config::{Faults, Settings, is_reloaded},
    house,
};
use std::path::PathBuf;

/// Which file.
#[derive(clap::Args, Debug)]
pub struct CheckConfigArguments {
    /// The file; without it the one that --config or the environment names
    pub file: Option<PathBuf>,
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// Prints every fault and warning. Fails when there is a fault.
pub fn run(arguments: CheckConfigArguments) -> Result<(), Failure> {
    let flags = match arguments.file {
        Some(file) => arguments.flags.with_config(file),
        None => arguments.flags,
    };
    let (loaded, mut faults) = match flags.load_process() {
        Ok(loaded) => (Some(loaded), Faults(Vec::new())),
        Err(faults) => (None, faults),
    };
    if let Some(loaded) = &loaded {
        for warning in &loaded.warnings {
            println!("warning: {warning}");
        }
        faults.0.extend(loaded.unreadable_keys());
        faults.0.extend(house::faulty_key_sets(loaded));
    }
    if faults.0.is_empty() {
        println!("The configuration is right.");
        loaded.iter().flat_map(|loaded| house::told_key_sets(&loaded.settings)).for_each(|line| println!("{line}"));
        println!("{}", reloads());
        return Ok(());
    }
    print!("{faults}");
    Err(Failure::Failed(String::new()))
}

/// Which keys a running server takes over when it reads the settings again.
fn reloads() -> String {
    let mut text = "A running server takes these over on SIGHUP; the others need a restart:".to_owned();
    for section in Settings::sections() {
        let reloaded: Vec<&str> = section.keys.iter().filter(|key| is_reloaded(&key.path())).map(|key| key.name).collect();
        let name = if section.prefix.is_empty() { "at the top" } else { section.name() };
        match reloaded.len() {
            0 => {}
            all if all == section.keys.len() => text += &format!("\n  {name}: all"),
            _ => text += &format!("\n  {name}: {}", reloaded.join(", ")),
        }
    }
    text
}
