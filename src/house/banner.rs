//! What a start on a terminal says: where everything is, and the one line with which to try it.

use super::{House, rules};
use crate::{
    auth::Claims,
    config::{Api, Issuer, Settings},
    realtime::UnixMicros,
};
use std::{collections::BTreeMap, fmt::Write, net::SocketAddr, time::Duration};

/// How long the printed token is good.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The text. `program` is how the reader started it; tokens are printed only where the house believes itself, and only with a `now`.
pub fn text(house: &House, settings: &Settings, addresses: &[SocketAddr], program: &str, now: Option<UnixMicros>) -> String {
    let mut text = format!(
        "\n  Homeroom {} on {} shards, records in {}\n\n",
        env!("CARGO_PKG_VERSION"),
        house.shards(),
        house.data_dir.display()
    );
    let mut tries = String::new();
    for (listener, address) in house.listeners.iter().zip(addresses) {
        for (api, prefix) in &listener.serves {
            let place = format!("{address}{prefix}");
            // Writing into a String cannot fail.
            let _ = match api {
                Api::Presence => {
                    tries += &try_presence(&settings.presence.issuers, &place, program, now);
                    writeln!(text, "  presence   ws://{place}/ws\n             http://{place}/api/v1/classrooms/…")
                }
                Api::Quiz => {
                    tries += &try_quiz(&settings.quiz.issuers, &place, program, now);
                    writeln!(text, "  quiz       ws://{place}/ws\n             http://{place}/api/v1/quizzes/…")
                }
                Api::Internal => writeln!(text, "  internal   http://{place}/metrics, /livez, /readyz, /api/v1/…"),
            };
        }
    }
    text + &tries
}

fn try_presence(issuers: &BTreeMap<String, Issuer>, place: &str, program: &str, now: Option<UnixMicros>) -> String {
    match token(issuers, "student-1", now) {
        Some(token) => {
            format!("\n  Token of a student:  {token}\n  Join a classroom:    {program} join ws://{place}/ws --token {token}\n")
        }
        None => format!("\n  Tokens of students:  {program} token presence --help\n"),
    }
}

fn try_quiz(issuers: &BTreeMap<String, Issuer>, place: &str, program: &str, now: Option<UnixMicros>) -> String {
    match token(issuers, "teacher-1", now) {
        Some(token) => format!(
            "\n  Token of a teacher:  {token}\n  Make a quiz:         curl http://{place}/api/v1/quizzes -d '{{\"title\":\"Capitals\"}}' \
             -H 'authorization: Bearer {token}'\n"
        ),
        None => format!("\n  Tokens of teachers:  {program} token quiz --help\n"),
    }
}

/// A token of the house's own, where it believes itself.
fn token(issuers: &BTreeMap<String, Issuer>, subject: &str, now: Option<UnixMicros>) -> Option<String> {
    let (issuer, audience) = rules::EMBEDDED;
    let key = rules::own_key(issuers).ok()??;
    key.issue(&Claims { issuer, audience, subject, lifetime: Some(TOKEN_LIFETIME) }, now?)
}
