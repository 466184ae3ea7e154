//! The flags of the settings: one for each key, made from the key itself, and `--config` for the file.

use crate::config::{CONFIG_VARIABLE, Faults, Key, Layers, Loaded, Settings, Source};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, builder::ValueParser};
use std::{ffi::OsString, path::PathBuf};

const CONFIG: &str = "config";

/// Settings as flags gave them, not yet understood.
#[derive(Clone, Default, Debug)]
pub struct SettingFlags {
    config: Option<PathBuf>,
    given: Vec<(String, String)>,
}

impl SettingFlags {
    /// The settings from these flags, the variables of `environment` and the file that either names.
    pub fn load(&self, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Loaded, Faults> {
        let environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
        let named = environment.iter().find(|(name, _)| name == CONFIG_VARIABLE).map(|(_, path)| PathBuf::from(path));
        let file = match (&self.config, named) {
            (Some(path), _) => Some((path.clone(), Source::Flag(format!("--{CONFIG}")))),
            (None, Some(path)) => Some((path, Source::Environment(CONFIG_VARIABLE.to_owned()))),
            (None, None) => None,
        };
        let mut layers = Layers::default().environment(environment);
        if let Some((path, said_by)) = file {
            layers = layers.read_file(&path, said_by);
        }
        for (path, value) in &self.given {
            layers = layers.flag(path, value);
        }
        Loaded::of(&layers)
    }

    /// The settings of this process: these flags and its environment.
    pub fn load_process(&self) -> Result<Loaded, Faults> {
        self.load(std::env::vars_os())
    }

    /// The same flags with the file at `path`.
    pub fn with_config(self, path: PathBuf) -> SettingFlags {
        SettingFlags { config: Some(path), ..self }
    }
}

fn keys() -> impl Iterator<Item = &'static Key> {
    Settings::sections().into_iter().flat_map(|section| section.keys)
}

fn heading(key: &Key) -> String {
    let table = key.prefix.trim_end_matches('.');
    if table.is_empty() {
        "Settings (each also by environment, and in the file)".to_owned()
    } else {
        format!("Settings [{table}]")
    }
}

fn argument(key: &'static Key) -> Arg {
    let about: Vec<&str> = key.about.split("```").next().unwrap_or_default().lines().map(str::trim).collect();
    let default = key.default.trim_matches('"');
    let default = if default.is_empty() { String::new() } else { format!("default: {default}, ") };
    Arg::new(key.path())
        .long(key.flag())
        .visible_aliases(key.shorthand())
        .value_name(key.name.rsplit('_').next().unwrap_or(key.name).to_ascii_uppercase())
        .value_parser(ValueParser::string())
        .allow_hyphen_values(true)
        .hide_short_help(true)
        .help_heading(heading(key))
        .help(format!("{} [{default}env: {}]", about.join(" ").trim(), key.environment()))
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!("The configuration file; without one only flags and environment count [env: {CONFIG_VARIABLE}]"));
        keys().fold(command.arg(config), |command, key| command.arg(argument(key)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<SettingFlags, clap::Error> {
        let value = |key: &Key| matches.get_one::<String>(&key.path()).map(|value| (key.path(), value.clone()));
        Ok(SettingFlags { config: matches.get_one::<PathBuf>(CONFIG).cloned(), given: keys().filter_map(value).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = SettingFlags::from_arg_matches(matches)?;
        Ok(())
    }
}
