//! The running server, asked over its internal listener by commands that change what it holds.

use super::Failure;
use crate::config::Settings;
use reqwest::{Client, Method, StatusCode, redirect::Policy};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// For the whole question: a hash and a commit take a hundredth of it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Server(String);

impl Server {
    /// The one at this address.
    pub(super) fn at(url: &str) -> Server {
        Server(url.trim_end_matches('/').to_owned())
    }

    /// Where its internal listener is, as far as the settings tell.
    pub(super) fn configured(settings: &Settings) -> Result<Server, Failure> {
        let mut bind = settings.listen.internal.bind;
        if bind.port() == 0 {
            return Err(Failure::Usage(
                "listen.internal.bind has port 0: tell where the server listens with --internal".to_owned(),
            ));
        }
        match bind.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => bind.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => bind.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        Ok(Server(format!("http://{bind}{}", settings.listen.internal.prefix)))
    }

    /// Its answer: status and text.
    pub(super) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<(StatusCode, String), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Failed(error.to_string()))?;
        runtime.block_on(self.asked(method, path, body)).map_err(|error| self.unreached(&error))
    }

    async fn asked(&self, method: Method, path: &str, body: Option<&serde_json::Value>) -> reqwest::Result<(StatusCode, String)> {
        let client =
            Client::builder().redirect(Policy::none()).no_proxy().http1_only().timeout(TIMEOUT).tls_certs_only([]).build()?;
        let request = client.request(method, format!("{}{path}", self.0));
        let answer = body.into_iter().fold(request, |request, body| request.json(body)).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    fn unreached(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() {
            return Failure::Usage("--internal: expected an address such as http://127.0.0.1:9090".to_owned());
        }
        let why = if error.is_timeout() { "does not answer" } else { "cannot be reached" };
        Failure::Failed(format!("the server {why} at {}: is it running, with these settings? (--config, --internal)", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, Loaded};

    fn configured(bind: &str, prefix: &str) -> Result<Server, Failure> {
        let layers = Layers::default().flag("listen.internal.bind", bind).flag("listen.internal.prefix", prefix);
        Server::configured(&Loaded::of(&layers).unwrap().settings)
    }

    #[test]
    fn the_settings_tell_where_the_server_is() {
        assert_eq!(configured("127.0.0.1:9090", "").unwrap(), Server::at("http://127.0.0.1:9090/"));
        assert_eq!(configured("0.0.0.0:9091", "/internal").unwrap(), Server::at("http://127.0.0.1:9091/internal"));
        assert_eq!(configured("[::]:9090", "").unwrap(), Server::at("http://[::1]:9090"));
        assert!(matches!(configured("127.0.0.1:0", ""), Err(Failure::Usage(_))));
    }

    #[test]
    fn a_server_that_is_not_there_and_an_address_that_is_none_are_told_apart() {
        let why = |server: &str| Server::at(server).ask(Method::GET, "/", None).unwrap_err();
        assert!(matches!(why("nowhere"), Failure::Usage(_)));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(why(&format!("http://{free}")), Failure::Failed(text) if text.contains("cannot be reached")));
    }
}
