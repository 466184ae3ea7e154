//! What a start on a terminal says: where everything is, and the one line with which to try it.

use super::{House, rules};
use crate::{
    auth::{Claims, SigningKey},
    config::{Api, Settings},
    realtime::UnixMicros,
};
use std::{fmt::Write, net::SocketAddr, time::Duration};

/// How long the printed token is good.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The text. `program` is how the reader started it; a token is printed only where the house believes itself and `show_token`.
pub fn text(house: &House, settings: &Settings, addresses: &[SocketAddr], program: &str, now: Option<UnixMicros>) -> String {
    let mut text = format!(
        "\n  Homeroom {} on {} shards, records in {}\n\n",
        env!("CARGO_PKG_VERSION"),
        house.shards(),
        house.data_dir.display()
    );
    let mut presence = None;
    for (listener, address) in house.listeners.iter().zip(addresses) {
        for (api, prefix) in &listener.serves {
            // Writing into a String cannot fail.
            let _ = match api {
                Api::Presence => {
                    let url = format!("ws://{address}{prefix}/ws");
                    presence = Some(url.clone());
                    writeln!(text, "  presence   {url}\n             http://{address}{prefix}/api/v1/classrooms/…")
                }
                Api::Quiz => {
                    writeln!(
                        text,
                        "  quiz       ws://{address}{prefix}/ws\n             http://{address}{prefix}/api/v1/quizzes/…"
                    )
                }
                Api::Internal => writeln!(text, "  internal   http://{address}{prefix}/metrics, /livez, /readyz, /api/v1/…"),
            };
        }
    }
    if let (Some(token), Some(url)) = (now.and_then(|now| token(house, settings, now)), presence) {
        let _ = writeln!(text, "\n  token      {token}\n\n  Try it:    {program} join {url} --token {token}");
    } else {
        let _ = writeln!(text, "\n  Tokens:    {program} token presence --help");
    }
    text
}

fn token(house: &House, settings: &Settings, now: UnixMicros) -> Option<String> {
    let (issuer, audience) = rules::EMBEDDED;
    let configured = settings.presence.issuers.get(issuer).filter(|_| house.embedded)?;
    let key = SigningKey::new(rules::algorithm(configured.algorithm), &rules::key_of(configured).ok()?).ok()?;
    key.issue(&Claims { issuer, audience, subject: "student-1", lifetime: Some(TOKEN_LIFETIME) }, now)
}
