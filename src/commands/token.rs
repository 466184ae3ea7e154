//! `homeroom token presence`: tokens of a configured issuer, one a line.

use super::{Failure, flags::SettingFlags};
use crate::config::{self, Settings};
use std::time::Duration;

/// Whose tokens, for whom, and how many.
#[derive(clap::Args, Debug)]
pub struct TokenArguments {
    /// The issuer (`iss`), one of [presence.issuers] with its private key or secret at hand
    #[arg(long, default_value = config::EMBEDDED_ISSUER)]
    pub issuer: String,
    /// The account (`sub`); {n} becomes 1, 2, 3 … up to the count
    #[arg(long, default_value = "student-{n}")]
    pub sub: String,
    /// The audience (`aud`)
    #[arg(long, default_value = config::EMBEDDED_AUDIENCE)]
    pub aud: String,
    /// How many
    #[arg(long, default_value_t = 1)]
    pub count: usize,
    /// How long they are good for, such as 30m or 8h; without it they do not expire
    #[arg(long, value_parser = ttl)]
    pub ttl: Option<Duration>,
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

fn ttl(given: &str) -> Result<Duration, &'static str> {
    config::duration(given).ok_or("expected a duration such as \"30m\" or \"8h\"")
}

impl TokenArguments {
    /// The accounts, in order.
    pub fn subjects(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.count).map(|n| self.sub.replace("{n}", &n.to_string()))
    }

    /// The settings that hold the issuer, and that it is there.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let settings = self.flags.load_process()?.settings;
        if settings.presence.issuers.contains_key(&self.issuer) {
            return Ok(settings);
        }
        let known: Vec<&str> = settings.presence.issuers.keys().map(String::as_str).collect();
        Err(Failure::Usage(format!("--issuer: expected one of [presence.issuers]: {}", known.join(", "))))
    }
}
