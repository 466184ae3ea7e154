//! `homeroom owner NAME`: an account that signs in to its quizzes by name and password, or a new password for one. The running server
//! makes it; this asks for the password and tells the server, over the internal listener.

use super::{Failure, flags::SettingFlags, prompt};
use crate::config::Settings;
use reqwest::{Client, StatusCode, redirect::Policy};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// For the whole question: a hash and a commit take a hundredth of it.
const TIMEOUT: Duration = Duration::from_secs(10);

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
    let listener = match &arguments.internal {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => internal(&arguments.flags.load_process()?.settings)?,
    };
    let body = serde_json::json!({ "name": arguments.name, "password": prompt::password()? });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(error.to_string()))?;
    let (status, said) = runtime.block_on(told(&listener, &body)).map_err(|error| unreached(&listener, &error))?;
    verdict(status, &said)?;
    println!("{} can sign in.", arguments.name);
    Ok(())
}

/// Where the running server's internal listener is, as far as the settings tell.
fn internal(settings: &Settings) -> Result<String, Failure> {
    let mut bind = settings.listen.internal.bind;
    if bind.port() == 0 {
        return Err(Failure::Usage("listen.internal.bind has port 0: tell where the server listens with --internal".to_owned()));
    }
    match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => bind.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => bind.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    Ok(format!("http://{bind}{}", settings.listen.internal.prefix))
}

async fn told(listener: &str, body: &serde_json::Value) -> reqwest::Result<(StatusCode, String)> {
    let client =
        Client::builder().redirect(Policy::none()).no_proxy().http1_only().timeout(TIMEOUT).tls_certs_only([]).build()?;
    let answer = client.post(format!("{listener}/api/v1/owners")).json(body).send().await?;
    Ok((answer.status(), answer.text().await?))
}

fn unreached(listener: &str, error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        return Failure::Usage("--internal: expected an address such as http://127.0.0.1:9090".to_owned());
    }
    let why = if error.is_timeout() { "does not answer" } else { "cannot be reached" };
    Failure::Failed(format!("the server {why} at {listener}: is it running, with these settings? (--config, --internal)"))
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
    use crate::config::{Layers, Loaded};

    fn listener(bind: &str, prefix: &str) -> Result<String, Failure> {
        let layers = Layers::default().flag("listen.internal.bind", bind).flag("listen.internal.prefix", prefix);
        internal(&Loaded::of(&layers).unwrap().settings)
    }

    #[test]
    fn the_settings_tell_where_the_server_is() {
        assert_eq!(listener("127.0.0.1:9090", "").unwrap(), "http://127.0.0.1:9090");
        assert_eq!(listener("0.0.0.0:9091", "/internal").unwrap(), "http://127.0.0.1:9091/internal");
        assert_eq!(listener("[::]:9090", "").unwrap(), "http://[::1]:9090");
        assert!(matches!(listener("127.0.0.1:0", ""), Err(Failure::Usage(_))));
    }

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

    #[test]
    fn a_server_that_is_not_there_and_an_address_that_is_none_are_told_apart() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let why = |listener: &str| {
            let error = runtime.block_on(told(listener, &serde_json::Value::Null)).unwrap_err();
            unreached(listener, &error)
        };
        assert!(matches!(why("nowhere"), Failure::Usage(_)));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(why(&format!("http://{free}")), Failure::Failed(text) if text.contains("cannot be reached")));
    }
}
