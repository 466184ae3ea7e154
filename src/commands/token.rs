//! `homeroom token presence`: tokens of a configured issuer, one a line.

use super::{Failure, flags::SettingFlags};
use crate::{
    auth::{self, Claims, SigningKey},
    config::{self, Settings},
    house,
    runtime::Clock,
};
use std::{
    io::{self, BufWriter, Write},
    time::Duration,
};

/// Whose tokens, for whom, and how many.
#[derive(clap::Args, Debug)]
pub struct TokenArguments {
    /// The issuer (`iss`), one of [presence.issuers] with its private key or secret at hand
    #[arg(long, default_value = config::EMBEDDED_ISSUER)]
    pub issuer: String,
    /// The account (`sub`); an n in braces, as in the default, becomes 1, 2, 3 … up to the count
    #[arg(long, default_value = "student-{n}")]
    pub sub: String,
    /// The audience (`aud`)
    #[arg(long, default_value = config::EMBEDDED_AUDIENCE)]
    pub aud: String,
    /// How many
    #[arg(long, default_value_t = 1)]
    pub count: u32,
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
        auth::subjects(&self.sub, self.count)
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

/// Prints the tokens, one a line.
pub fn run(arguments: &TokenArguments) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    let Some(issuer) = settings.presence.issuers.get(&arguments.issuer) else { return Ok(()) };
    let key = house::key_of(issuer).map_err(|error| Failure::Failed(error.to_string()))?;
    let key = SigningKey::new(house::algorithm(issuer.algorithm), &key)
        .map_err(|flaw| Failure::Failed(format!("{}: {flaw}", issuer.key_file.display())))?;
    let now = Clock::started_now().now().wall;
    print(arguments, &key, now).map_err(|error| Failure::Failed(error.to_string()))
}

fn print(arguments: &TokenArguments, key: &SigningKey, now: crate::realtime::UnixMicros) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for subject in arguments.subjects() {
        let claims = Claims { issuer: &arguments.issuer, audience: &arguments.aud, subject: &subject, lifetime: arguments.ttl };
        let token = key.issue(&claims, now).ok_or_else(|| io::Error::other("the key cannot sign"))?;
        writeln!(out, "{token}")?;
    }
    out.flush()
}
