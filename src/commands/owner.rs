//! `homeroom owner NAME`: an account that signs in to its quizzes by name and password, or a new password for one. The running server
//! makes it; this asks for the password and tells the server, over the internal listener.

use super::{Failure, flags::SettingFlags, prompt, server::Server};
use reqwest::{Method, StatusCode};

/// Who, and where the server is.
#[derive(clap::Args, Debug)]
pub struct OwnerArguments {
    /// The name: 1 to 100 of a-z, 0-9 and . _ - @
    pub name: String,
    /// The internal listener of the running server; without it the one of the settings
    #[arg(long, value_name = "URL")]
    pub internal: Option<String>,
    /// The settings' flags.
    #[command(flatten)]
    pub flags: SettingFlags,
}

/// Asks for the password and has the account made.
pub fn run(arguments: &OwnerArguments) -> Result<(), Failure> {
    let server = Server::of(arguments.internal.as_deref(), &arguments.flags)?;
    let body = serde_json::json!({ "name": arguments.name, "password": prompt::password()? });
    let (status, said) = server.ask(Method::POST, "/api/v1/owners", Some(&body))?;
    verdict(status, &said)?;
    println!("{} can sign in.", arguments.name);
    Ok(())
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
        StatusCode::NOT_FOUND => Failure::Failed(
            "this server has no accounts of its own: [quiz.issuers] names others, who know their owners themselves".to_owned(),
        ),
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
