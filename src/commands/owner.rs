//! `homeroom owner NAME`: an account that signs in to its quizzes by name and password, or a new password for one, whether the server runs
//! or not.

use super::{
    Failure,
    flags::SettingFlags,
    prompt,
    records::{self, Holder, Records},
    server::Server,
};
use crate::{
    config::Settings,
    protocols::quiz::{
        account,
        record::{Account, Kept, Record},
    },
    runtime::Clock,
};
use reqwest::{Method, StatusCode};
use std::path::PathBuf;

/// What a server that believes others is: whoever signs in to it has signed in there.
const OTHERS_KNOW: &str = "this server has no accounts of its own: [quiz.issuers] names others, who know their owners themselves";

/// Who, and where the server is.
#[derive(clap::Args, Debug)]
pub struct OwnerArguments {
    /// The name: 1 to 100 of a-z, 0-9 and . _ - @
    pub name: String,
    /// The internal listener of the running server; without it the settings tell where it is, or where the records are when none runs
    #[arg(long, value_name = "URL")]
    pub internal: Option<String>,
    /// A file with an operator's token, where the running server asks for one (`homeroom token labs` makes it)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// Asks for the password and has the account made.
pub fn run(arguments: &OwnerArguments) -> Result<(), Failure> {
    let OwnerArguments { name, internal, token_file, flags } = arguments;
    expected(account::is_name(name), account::NAME)?;
    let password = prompt::password()?;
    expected(account::is_password(&password), account::PASSWORD)?;
    let holder = match internal {
        Some(url) => Holder::Server(Server::at(url)),
        None => Holder::configured(&with_accounts(flags)?, true)?,
    };
    match holder.shown(token_file.as_deref())? {
        Holder::Server(server) => tell(&server, name, &password)?,
        Holder::Here(records) => write(&records, name, &password)?,
    }
    println!("{name} can sign in.");
    Ok(())
}

/// The settings of a server that has accounts of its own.
fn with_accounts(flags: &SettingFlags) -> Result<Settings, Failure> {
    let settings = flags.load_process()?.settings;
    if settings.quiz.issuers.values().any(|issuer| issuer.key_file().is_some_and(|file| file.is_ours)) {
        return Ok(settings);
    }
    Err(Failure::Failed(OTHERS_KNOW.to_owned()))
}

fn write(records: &Records, name: &str, password: &str) -> Result<(), Failure> {
    let at = Clock::started_now().now().wall;
    let account = Account { name: name.to_owned(), password_hash: records::hash(password)?, at };
    match records.keep(Record::Owner(account))? {
        Kept::Done | Kept::Quiz(_) => Ok(()),
        Kept::Missing => Err(Failure::Failed("the account was not taken".to_owned())),
    }
}

fn tell(server: &Server, name: &str, password: &str) -> Result<(), Failure> {
    let body = serde_json::json!({ "name": name, "password": password });
    let (status, said) = server.ask(Method::POST, "/api/v1/owners", Some(&body))?;
    verdict(status, &said)
}

/// The value is not repeated: it may be the password.
fn expected(holds: bool, expected: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Usage(expected.to_owned())) }
}

/// What the server's answer means.
fn verdict(status: StatusCode, said: &str) -> Result<(), Failure> {
    if status == StatusCode::CREATED {
        return Ok(());
    }
    let answer: serde_json::Value = serde_json::from_str(said).unwrap_or_default();
    let message = answer["message"].as_str().unwrap_or_default();
    Err(match status {
        StatusCode::BAD_REQUEST => Failure::Usage(message.to_owned()),
        StatusCode::NOT_FOUND => Failure::Failed(OTHERS_KNOW.to_owned()),
        StatusCode::FORBIDDEN => Failure::Denied(records::OPERATORS_ONLY.to_owned()),
        _ => Failure::Failed(format!("the server refused ({status}): {message}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_becomes_a_plain_sentence() {
        assert!(verdict(StatusCode::CREATED, "").is_ok());
        let refused = |status, said: &str| verdict(status, said).unwrap_err();
        let shape = refused(StatusCode::BAD_REQUEST, r#"{"code":"VAL-001","message":"a password has 8 to 200 characters"}"#);
        assert!(matches!(shape, Failure::Usage(text) if text == "a password has 8 to 200 characters"));
        let others = refused(StatusCode::NOT_FOUND, "");
        assert!(others.to_string().contains("[quiz.issuers]"), "{others}");
        let busy = refused(StatusCode::SERVICE_UNAVAILABLE, r#"{"code":"SRV-001","message":"busy"}"#);
        assert!(busy.to_string().contains("503") && busy.to_string().ends_with("busy"), "{busy}");
    }
}
