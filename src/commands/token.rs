//! `homeroom token`: tokens of a configured issuer, one a line.

use super::{Failure, flags::SettingFlags};
use crate::{
    auth::{self, Claims, SigningKey},
    config::{self, Issuer, Settings},
    house,
    realtime::UnixMicros,
    runtime::Clock,
};
use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
    time::Duration,
};

/// The API that the tokens are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Api {
    /// The classroom's presence.
    Presence,
    /// Owners of quizzes.
    Quiz,
}

impl Api {
    fn issuers(self, settings: &Settings) -> &BTreeMap<String, Issuer> {
        match self {
            Api::Presence => &settings.presence.issuers,
            Api::Quiz => &settings.quiz.issuers,
        }
    }

    fn table(self) -> &'static str {
        match self {
            Api::Presence => "[presence.issuers]",
            Api::Quiz => "[quiz.issuers]",
        }
    }

    fn subjects(self) -> &'static str {
        match self {
            Api::Presence => "student-{n}",
            Api::Quiz => "teacher-{n}",
        }
    }
}

/// Whose tokens, for whom, and how many.
#[derive(clap::Args, Debug)]
pub struct TokenArguments {
    /// The issuer (`iss`), one of the API's issuers with its private key or secret at hand
    #[arg(long, default_value = config::EMBEDDED_ISSUER)]
    pub issuer: String,
    /// The account (`sub`); an n in braces becomes 1, 2, 3 … up to the count. Without it student-1 …, for quiz teacher-1 …
    #[arg(long, visible_alias = "subject")]
    pub sub: Option<String>,
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

pub(super) fn ttl(given: &str) -> Result<Duration, &'static str> {
    config::duration(given).ok_or("expected a duration such as \"30m\" or \"8h\"")
}

impl TokenArguments {
    /// The accounts, in order.
    pub fn subjects(&self, api: Api) -> impl Iterator<Item = String> + '_ {
        auth::subjects(self.sub.as_deref().unwrap_or(api.subjects()), self.count)
    }
}

/// Prints the tokens, one a line.
pub fn run(arguments: &TokenArguments, api: Api) -> Result<(), Failure> {
    let settings = arguments.flags.load_process()?.settings;
    let issuers = api.issuers(&settings);
    let Some(issuer) = issuers.get(&arguments.issuer) else {
        let known: Vec<&str> = issuers.keys().map(String::as_str).collect();
        return Err(Failure::Usage(format!("--issuer: expected one of {}: {}", api.table(), known.join(", "))));
    };
    let Some(file) = issuer.key_file() else {
        return Err(Failure::Usage("--issuer: this one publishes its keys (jwks), and signs elsewhere".to_owned()));
    };
    let key = house::key_of(file).map_err(|error| Failure::Failed(error.to_string()))?;
    let key = SigningKey::new(house::algorithm(file.algorithm), &key)
        .map_err(|flaw| Failure::Failed(format!("{}: {flaw}", file.path.display())))?;
    let now = Clock::started_now().now().wall;
    print(arguments, api, &key, now).map_err(|error| Failure::Failed(error.to_string()))
}

fn print(arguments: &TokenArguments, api: Api, key: &SigningKey, now: UnixMicros) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for subject in arguments.subjects(api) {
        let claims = Claims { issuer: &arguments.issuer, audience: &arguments.aud, subject: &subject, lifetime: arguments.ttl };
        let token = key.issue(&claims, now).ok_or_else(|| io::Error::other("the key cannot sign"))?;
        writeln!(out, "{token}")?;
    }
    out.flush()
}
