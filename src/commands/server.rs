//! The running server, asked over its internal listener by commands that change what it holds.

use super::Failure;
use crate::config::{Api, Bind, Settings};
use reqwest::{
    Client, Method, StatusCode,
    header::{AUTHORIZATION, HeaderValue},
    redirect::Policy,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};
use tokio::runtime::Runtime;

/// For the whole question: a hash and a commit take a hundredth of it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Server {
    url: String,
    /// The unix socket by which it is reached.
    socket: Option<PathBuf>,
    /// What is shown to it. `Debug` does not tell it.
    token: Option<HeaderValue>,
}

/// The host of a URL that is only of form: a socket leads there.
const NO_HOST: &str = "http://localhost";

impl Server {
    /// The one at this address.
    pub(super) fn at(url: &str) -> Server {
        match url.strip_prefix("unix:") {
            Some(path) => Server { url: NO_HOST.to_owned(), socket: Some(PathBuf::from(path)), token: None },
            None => Server { url: url.trim_end_matches('/').to_owned(), socket: None, token: None },
        }
    }

    /// The same, asked with a token.
    pub(super) fn with_token(self, token: &str) -> Result<Server, Failure> {
        let header = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut header = header.map_err(|_| Failure::Usage("a token is one line of letters, digits and signs".to_owned()))?;
        header.set_sensitive(true);
        Ok(Server { token: Some(header), ..self })
    }

    /// Where its internal listener is, as far as the settings tell.
    pub(super) fn configured(settings: &Settings) -> Result<Server, Failure> {
        let internal =
            settings.listeners().into_iter().find(|listener| listener.serves.iter().any(|(api, _)| *api == Api::Internal));
        let prefix = &settings.listen.internal.prefix;
        let scheme = if internal.is_some_and(|listener| listener.tls.is_some()) { "https" } else { "http" };
        let mut bind = match &settings.listen.internal.bind {
            Bind::Address(bind) => *bind,
            Bind::Unix(path) => return Ok(Server { socket: Some(path.clone()), ..Server::at(&format!("{NO_HOST}{prefix}")) }),
            Bind::Systemd(_) => {
                let why = "listen.internal.bind leaves the address to systemd: tell where the server listens with --internal";
                return Err(Failure::Usage(why.to_owned()));
            }
        };
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
        Ok(Server::at(&format!("{scheme}://{bind}{prefix}")))
    }

    /// Its answer: status and text.
    pub(super) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<(StatusCode, String), Failure> {
        self.line()?.ask(method, path, body)
    }

    /// What asks it: one connection for many questions.
    pub(super) fn line(&self) -> Result<Line, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Failed(error.to_string()))?;
        let builder = Client::builder().redirect(Policy::none()).no_proxy().http1_only().timeout(TIMEOUT);
        let builder = match &self.socket {
            Some(socket) => builder.tls_certs_only([]).unix_socket(socket.as_path()),
            None if !self.url.starts_with("https:") => builder.tls_certs_only([]),
            // Its certificate is for the name that others know it by; and whoever could answer here in its place could do so without TLS.
            None if self.is_on_this_machine() => builder.tls_certs_only([]).tls_danger_accept_invalid_certs(true),
            None => builder,
        };
        let client = builder.build().map_err(|error| self.unreached(&error))?;
        Ok(Line { server: self.clone(), runtime, client })
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        self.socket.as_ref().map_or_else(|| self.url.clone(), |socket| socket.display().to_string())
    }

    fn is_on_this_machine(&self) -> bool {
        let url = reqwest::Url::parse(&self.url).ok();
        let host = url.as_ref().and_then(reqwest::Url::host_str).unwrap_or_default();
        host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    fn unreached(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() {
            return Failure::Usage("--internal: expected an address such as http://127.0.0.1:9090".to_owned());
        }
        let why = if error.is_timeout() { "does not answer" } else { "cannot be reached" };
        Failure::Failed(format!(
            "the server {why} at {}: is it running, with these settings? (--config, --internal)",
            self.place()
        ))
    }
}

/// A connection to it, made anew where it was closed.
pub(super) struct Line {
    server: Server,
    runtime: Runtime,
    client: Client,
}

impl Line {
    /// Its answer: status and text.
    pub(super) fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<(StatusCode, String), Failure> {
        let asked = async {
            let request = self.client.request(method, format!("{}{path}", self.server.url));
            let request = self.server.token.iter().fold(request, |request, token| request.header(AUTHORIZATION, token));
            let answer = body.into_iter().fold(request, |request, body| request.json(body)).send().await?;
            Ok((answer.status(), answer.text().await?))
        };
        self.runtime.block_on(asked).map_err(|error| self.server.unreached(&error))
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
        assert!(matches!(configured("systemd:internal", ""), Err(Failure::Usage(_))));
        let by_socket = configured("unix:/run/internal.sock", "/internal").unwrap();
        assert_eq!((by_socket.url.as_str(), by_socket.place().as_str()), ("http://localhost/internal", "/run/internal.sock"));
        assert_eq!(Server::at("unix:/run/internal.sock").place(), "/run/internal.sock");
    }

    #[test]
    fn a_server_with_tls_is_asked_by_it() {
        let tls = "{ certificate = \"c.pem\", key = \"k.pem\" }";
        let layers = Layers::default().flag("listen.internal.tls", tls);
        let server = Server::configured(&Loaded::of(&layers).unwrap().settings).unwrap();
        assert_eq!(server, Server::at("https://127.0.0.1:9090"));
        assert!(server.is_on_this_machine() && Server::at("https://[::1]:9090").is_on_this_machine());
        assert!(!Server::at("https://10.0.0.1:9090").is_on_this_machine());
        assert!(!Server::at("https://localhost.example.org").is_on_this_machine());
    }

    #[test]
    fn a_server_that_is_not_there_and_an_address_that_is_none_are_told_apart() {
        let why = |server: &str| Server::at(server).ask(Method::GET, "/", None).unwrap_err();
        assert!(matches!(why("nowhere"), Failure::Usage(_)));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(why(&format!("http://{free}")), Failure::Failed(text) if text.contains("cannot be reached")));
    }
}
