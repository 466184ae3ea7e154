//! A tool behind HTTP: it is given its arguments as JSON by POST, and what it answers is its result.

use super::outbound::{self, BodyFault, SetupFault};
use crate::{models::ToolOutcome, observe::traces::Open};
use reqwest::{
    Client, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, value::RawValue};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// Calls of one tool under way at a time.
pub const MAX_CALLS: usize = 64;

/// One tool with its pool of connections. Cloning shares the pool. `Debug` shows the host alone.
#[derive(Clone)]
pub struct HttpTool {
    url: Url,
    client: Client,
    headers: HeaderMap,
    timeout: Duration,
    max_bytes: usize,
    places: Arc<Semaphore>,
}

impl HttpTool {
    /// `headers` are sent with every call and may hold secrets. `timeout` is for the whole of one call: waiting for a place, connecting,
    /// and the answer to its last byte, of which there may be `max_bytes`.
    pub fn new(url: &str, headers: &[(String, String)], timeout: Duration, max_bytes: usize) -> Result<HttpTool, SetupFault> {
        let (url, client) = outbound::client(url)?;
        let mut map = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| SetupFault::Secret)?;
            let mut value = HeaderValue::from_str(value).map_err(|_| SetupFault::Secret)?;
            value.set_sensitive(true);
            map.insert(name, value);
        }
        Ok(HttpTool { url, client, headers: map, timeout, max_bytes, places: Arc::new(Semaphore::new(MAX_CALLS)) })
    }

    /// Calls it, within a span that ends with it. Whoever drops the future ends the request. Runs in any Tokio runtime with time and
    /// network.
    pub async fn call(&self, arguments: &str, mut span: Open) -> ToolOutcome {
        span.host(&self.url);
        let outcome = timeout(self.timeout, self.call_in_turn(arguments, &mut span)).await.unwrap_or(ToolOutcome::TimedOut);
        match outcome {
            ToolOutcome::Done(_) => {}
            ToolOutcome::TimedOut => span.fail("timed_out"),
            ToolOutcome::Failed(_) | ToolOutcome::NotFound | ToolOutcome::BadArguments(_) => span.fail("failed"),
        }
        span.done();
        outcome
    }

    async fn call_in_turn(&self, arguments: &str, span: &mut Open) -> ToolOutcome {
        let Ok(_place) = self.places.acquire().await else { return failed("not reached") };
        let request = outbound::traced(self.client.post(self.url.clone()), span);
        let request = request.headers(self.headers.clone()).body(arguments.to_owned());
        let Ok(answer) = request.send().await else { return failed("not reached") };
        let status = answer.status();
        span.status(status.as_u16());
        if !status.is_success() {
            return failed(&format!("answered {}", status.as_u16()));
        }
        match outbound::body(answer, self.max_bytes).await {
            Ok(body) => result(&body),
            Err(BodyFault::TooLarge) => failed("answered too much"),
            Err(BodyFault::Broken(_)) => failed("broke off"),
        }
    }
}

impl fmt::Debug for HttpTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpTool({})", self.url.host_str().unwrap_or_default())
    }
}

/// JSON as it is, any other text as a JSON string, nothing as `null`.
fn result(body: &[u8]) -> ToolOutcome {
    let Ok(text) = std::str::from_utf8(body) else { return failed("answered something else than text") };
    let json = match text.trim() {
        "" => "null".into(),
        json if serde_json::from_str::<&RawValue>(json).is_ok() => json.into(),
        other => Value::from(other).to_string().into(),
    };
    ToolOutcome::Done(json)
}

fn failed(why: &str) -> ToolOutcome {
    ToolOutcome::Failed(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::stub::{answer, on_tokio, stub};

    const LONG: Duration = Duration::from_secs(20);

    fn called(wire: &str, hang: bool, timeout: Duration) -> (ToolOutcome, String) {
        on_tokio(async {
            let (url, serve) = stub(vec![(wire.to_owned(), hang)]).await;
            let secret = ("X-Key".to_owned(), "secret".to_owned());
            let tool = HttpTool::new(&url, &[secret], timeout, 64).unwrap();
            let call = async {
                let outcome = tool.call(r#"{"q":1}"#, Open::default()).await;
                drop(tool);
                outcome
            };
            let (outcome, mut seen) = tokio::join!(call, serve);
            (outcome, seen.remove(0))
        })
    }

    #[test]
    fn arguments_go_out_and_the_result_comes_back() {
        let (outcome, seen) = called(&answer("200 OK", r#" {"a": [1]} "#), false, LONG);
        assert_eq!(outcome, ToolOutcome::Done(r#"{"a": [1]}"#.into()));
        assert!(seen.to_lowercase().contains("x-key: secret") && seen.ends_with(r#"{"q":1}"#), "{seen}");
        assert_eq!(called(&answer("200 OK", "plain \"text\""), false, LONG).0, ToolOutcome::Done(r#""plain \"text\"""#.into()));
        assert_eq!(called(&answer("204 No Content", ""), false, LONG).0, ToolOutcome::Done("null".into()));
    }

    #[test]
    fn what_goes_wrong_is_told_in_our_words() {
        for (wire, why) in [
            (answer("500 Internal Server Error", "secret"), "answered 500"),
            (answer("302 Found", ""), "answered 302"),
            (answer("200 OK", &"x".repeat(65)), "answered too much"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned(), "broke off"),
            ("rubbish\r\n\r\n".to_owned(), "not reached"),
        ] {
            assert_eq!(called(&wire, false, LONG).0, ToolOutcome::Failed(why.into()), "{wire}");
        }
        assert_eq!(called("", true, Duration::from_millis(200)).0, ToolOutcome::TimedOut);
    }

    #[test]
    fn what_is_configured_wrong_is_found_at_the_start() {
        let made =
            |url: &str, name: &str, value: &str| HttpTool::new(url, &[(name.to_owned(), value.to_owned())], LONG, 1).map(drop);
        assert_eq!(made("ftp://a", "A", "b"), Err(SetupFault::Url));
        assert_eq!(made("http://a", "A b", "b"), Err(SetupFault::Secret));
        assert_eq!(made("http://a", "A", "b\n"), Err(SetupFault::Secret));
        let tool = HttpTool::new("http://user:word@tools.example.org/x", &[], LONG, 1).unwrap();
        assert_eq!(format!("{tool:?}"), "HttpTool(tools.example.org)");
    }
}
