//! Requests that the house sends: one way to make a client, one way to read a bounded answer.

use crate::observe::traces::Open;
use reqwest::{Client, RequestBuilder, Response, Url, redirect::Policy};
use std::fmt;

/// Why a service cannot be asked at all, found at start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetupFault {
    /// Not an `http` or `https` URL with a host.
    Url,
    /// The client could not be made; for `https` most often because the machine has no CA certificates.
    Client(String),
    /// A key or a header that cannot stand in a request.
    Secret,
}

impl fmt::Display for SetupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupFault::Url => f.write_str("not an http or https URL with a host"),
            SetupFault::Secret => f.write_str("a key or header that cannot stand in a request"),
            SetupFault::Client(why) => write!(f, "no client for it (are CA certificates installed?): {why}"),
        }
    }
}

impl std::error::Error for SetupFault {}

/// Why an answer was not read to its end.
#[derive(Debug)]
pub(super) enum BodyFault {
    /// Longer than it may be.
    TooLarge,
    /// The connection.
    Broken(reqwest::Error),
}

/// A URL of a service and a client for it, with a pool of connections of its own. Redirects are not followed, and proxies of the
/// environment not used: what is sent holds secrets, and goes where the configuration says.
///
/// For `https` reads the machine's CA certificates from its files.
pub(super) fn client(url: &str) -> Result<(Url, Client), SetupFault> {
    let url = Url::parse(url).map_err(|_| SetupFault::Url)?;
    let secure = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return Err(SetupFault::Url),
    };
    let builder = Client::builder().redirect(Policy::none()).no_proxy().http1_only().user_agent("homeroom");
    // Without certificates to load, plain http works on a machine that has none.
    let builder = if secure { builder.https_only(true) } else { builder.tls_certs_only([]) };
    let client = builder.build().map_err(|error| SetupFault::Client(told(&error)))?;
    Ok((url, client))
}

/// The request, with the span for whose sake it is sent.
pub(super) fn traced(request: RequestBuilder, span: &Open) -> RequestBuilder {
    match span.header() {
        Some((name, value)) => request.header(name, value),
        None => request,
    }
}

/// All of an answer, if it is not longer than `most` bytes.
pub(super) async fn body(mut answer: Response, most: usize) -> Result<Vec<u8>, BodyFault> {
    if answer.content_length().is_some_and(|length| length > most as u64) {
        return Err(BodyFault::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(BodyFault::Broken)? {
        if body.len() + chunk.len() > most {
            return Err(BodyFault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error with its causes, which reqwest leaves out.
pub(super) fn told(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
