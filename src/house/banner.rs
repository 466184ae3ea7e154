//! What a start on a terminal says: where everything is, and the one line with which to try it.

use super::{
    Opened,
    labs::{FIRST_ADMIN, FirstPassword, first_address},
    rules,
};
use crate::{
    auth::Claims,
    config::{Api, Bind, Issuer, Layers, Listener, Loaded, Settings},
    realtime::UnixMicros,
};
use std::{collections::BTreeMap, fmt::Write, time::Duration};

/// How long the printed token is good.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The text. `program` is how the reader started it; `eyes`: somebody looks, now, and is shown tokens, issued now, where the house believes
/// itself, and the first admin's password.
pub fn text(opened: &Opened<'_>, settings: &Settings, program: &str, eyes: Option<UnixMicros>) -> String {
    let Opened { house, addresses, first_password, has_first_admin, .. } = opened;
    let mut text = format!(
        "\n  Homeroom {} on {} shards, records in {}\n\n",
        env!("CARGO_PKG_VERSION"),
        house.shards(),
        house.data_dir.display()
    );
    let mut tries = String::new();
    let asks = asking(opened, settings);
    for (listener, address) in house.listeners.iter().zip(*addresses) {
        for (api, prefix) in &listener.serves {
            let Urls { http, ws } = Urls::of(listener, address, prefix);
            // Writing into a String cannot fail.
            let _ = match api {
                Api::Presence => {
                    tries += &try_presence(&settings.presence.issuers, &ws, program, eyes);
                    writeln!(text, "  presence   {ws}/ws\n             {http}/api/v1/classrooms/…")
                }
                Api::Quiz => {
                    tries += &try_quiz(&settings.quiz.issuers, &http, program, eyes);
                    writeln!(text, "  quiz       {ws}/ws\n             {http}/api/v1/quizzes/…")
                }
                Api::Labs => {
                    tries += &try_labs(first_password.as_ref(), &http, (program, &asks), eyes.is_some());
                    writeln!(text, "  labs       {http}/api/v1/sessions, …\n             {ws}/agent/ws, /vnc-viewer/…")
                }
                Api::Chat => {
                    let first = has_first_admin.then_some(first_password.as_ref().filter(|_| eyes.is_some()));
                    tries += &try_chat(first, &http, program);
                    writeln!(
                        text,
                        "  chat       {http}/api/v1/sessions/, …\n             {ws}/ws/sessions/…\n  \
                         tasks      {http}/api/v1/tasks, …\n             {ws}/ws"
                    )
                }
                Api::Internal => writeln!(text, "  internal   {http}/console/, /metrics, /livez, /readyz, /api/v1/…"),
            };
        }
    }
    text + &tries
}

/// What an API's addresses begin with.
struct Urls {
    http: String,
    ws: String,
}

impl Urls {
    /// Where there is no address there is no URL: the place alone is told.
    fn of(listener: &Listener, at: &Bind, prefix: &str) -> Urls {
        let schemes = if listener.tls.is_some() { ("https://", "wss://") } else { ("http://", "ws://") };
        let (http, ws) = if at.address().is_some() { schemes } else { ("", "") };
        Urls { http: format!("{http}{at}{prefix}"), ws: format!("{ws}{at}{prefix}") }
    }
}

fn try_presence(issuers: &BTreeMap<String, Issuer>, ws: &str, program: &str, now: Option<UnixMicros>) -> String {
    match token(issuers, "student-1", now) {
        Some(token) => {
            format!("\n  Token of a student:  {token}\n  Join a classroom:    {program} join {ws}/ws --token {token}\n")
        }
        None => format!("\n  Tokens of students:  {program} token presence --help\n"),
    }
}

fn try_quiz(issuers: &BTreeMap<String, Issuer>, http: &str, program: &str, now: Option<UnixMicros>) -> String {
    match token(issuers, "teacher-1", now) {
        Some(token) => format!(
            "\n  Token of a teacher:  {token}\n  Make a quiz:         curl {http}/api/v1/quizzes -d '{{\"title\":\"Capitals\"}}' \
             -H 'authorization: Bearer {token}'\n"
        ),
        None => format!("\n  Tokens of teachers:  {program} token quiz --help\n"),
    }
}

/// The flag by which commands find the server, where the defaults do not lead there. Empty otherwise.
fn asking(opened: &Opened<'_>, settings: &Settings) -> String {
    let usual = Loaded::of(&Layers::default()).map(|loaded| loaded.settings);
    let is_usual =
        usual.is_ok_and(|usual| usual.data_dir == settings.data_dir && usual.listen.internal == settings.listen.internal);
    let mut served = opened.house.listeners.iter().zip(opened.addresses);
    let internal = served.find_map(|(listener, address)| {
        let (_, prefix) = listener.serves.iter().find(|(api, _)| *api == Api::Internal)?;
        Some(format!(" --internal {}", Urls::of(listener, address, prefix).http))
    });
    internal.filter(|_| !is_usual).unwrap_or_default()
}

/// How to sign in to labs. The password of the first admin is said once, by the start that made it, and only to a terminal.
fn try_labs(first: Option<&FirstPassword>, http: &str, (program, asks): (&str, &str), eyes: bool) -> String {
    match first {
        Some(FirstPassword(password)) if eyes => format!(
            "\n  Labs' first admin:   {FIRST_ADMIN}, password {password} \
             (shown this once; {program} user passwd {FIRST_ADMIN}{asks} sets another)\n  \
             Sign in:             curl {http}/api/v1/auth/login -d \
             '{{\"username\":\"{FIRST_ADMIN}\",\"password\":\"{password}\"}}'\n"
        ),
        Some(_) => {
            format!("\n  Labs' first admin:   {FIRST_ADMIN}; set its password: {program} user passwd {FIRST_ADMIN}{asks}\n")
        }
        None => format!("\n  Users of labs:       {program} user --help\n"),
    }
}

/// How to sign in to chat and tasks: with the address of a user of labs. `first`: the first admin is there, perhaps with a password that
/// may be shown.
fn try_chat(first: Option<Option<&FirstPassword>>, http: &str, program: &str) -> String {
    let Some(password) = first else {
        return format!("\n  Talk to an agent:    sign in with a user's email: {program} user --help\n");
    };
    let password = password.map_or("…", |FirstPassword(password)| password);
    let email = first_address();
    format!(
        "\n  Talk to an agent:    curl {http}/api/v1/auth/login -d \
         '{{\"email\":\"{email}\",\"password\":\"{password}\"}}'\n"
    )
}

/// A token of the house's own, where it believes itself.
fn token(issuers: &BTreeMap<String, Issuer>, subject: &str, now: Option<UnixMicros>) -> Option<String> {
    let (issuer, audience) = rules::EMBEDDED;
    let key = rules::own_key(issuers).ok()??;
    key.issue(&Claims { issuer, audience, subject, lifetime: Some(TOKEN_LIFETIME) }, now?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_another_password_finds_a_server_that_is_elsewhere() {
        let said = |asks, eyes| try_labs(Some(&FirstPassword("abc".to_owned())), "http://h:1", ("homeroom", asks), eyes);
        assert!(said("", true).contains("homeroom user passwd admin sets another"));
        for eyes in [true, false] {
            assert!(said(" --internal http://h:2", eyes).contains("homeroom user passwd admin --internal http://h:2"));
        }
    }

    #[test]
    fn chat_names_the_first_admin_only_where_he_may_sign_in() {
        let said = |first| try_chat(first, "http://127.0.0.1:8000", "homeroom");
        let password = FirstPassword("abc".to_owned());
        assert!(said(Some(Some(&password))).contains(r#"'{"email":"admin@localhost","password":"abc"}'"#));
        assert!(said(Some(None)).contains(r#"'{"email":"admin@localhost","password":"…"}'"#));
        assert!(!said(None).contains("admin") && said(None).contains("homeroom user --help"));
    }
}
