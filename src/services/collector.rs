//! A collector of spans: OTLP over HTTP, `http/protobuf`.

use super::outbound::{self, BodyFault, SetupFault};
use crate::traces;
use reqwest::{
    Client, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use std::{fmt, time::Duration};
use tokio::time::timeout;

/// A longer answer is not read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// What became of spans that were sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sent {
    /// They are there, but for so many that it did not take.
    Taken {
        /// Of these nobody hears any more.
        rejected: u64,
    },
    /// It does not want them, now or later: its status.
    Refused(u16),
    /// It may take them later.
    NotNow {
        /// Why, without the address.
        why: String,
        /// How long it wants to be left alone.
        pause: Option<Duration>,
    },
}

/// One collector with its pool of connections. `Debug` shows the host alone.
pub struct Collector {
    url: Url,
    client: Client,
    headers: HeaderMap,
    timeout: Duration,
}

impl Collector {
    /// `headers` go with each request and may hold secrets. `timeout` is for the whole of one, to the last byte of the answer. For `https`
    /// reads the machine's CA certificates from its files.
    pub fn new(url: &str, headers: &[(String, String)], timeout: Duration) -> Result<Collector, SetupFault> {
        let (url, client) = outbound::client(url)?;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| SetupFault::Secret)?;
            let mut value = HeaderValue::from_str(value).map_err(|_| SetupFault::Secret)?;
            value.set_sensitive(true);
            map.insert(name, value);
        }
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        Ok(Collector { url, client, headers: map, timeout })
    }

    /// Sends spans as [`traces::request`] has them. Runs in any Tokio runtime with time and network.
    pub async fn send(&self, spans: Vec<u8>) -> Sent {
        let late = || Sent::NotNow { why: "no answer in time".to_owned(), pause: None };
        timeout(self.timeout, self.post(spans)).await.unwrap_or_else(|_| late())
    }

    async fn post(&self, spans: Vec<u8>) -> Sent {
        let not_now = |why| Sent::NotNow { why, pause: None };
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(spans);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return not_now(format!("not reached: {}", outbound::told(&error.without_url()))),
        };
        match answer.status() {
            status if status.is_success() => match outbound::body(answer, MAX_ANSWER_BYTES).await {
                Ok(body) => Sent::Taken { rejected: traces::rejected(&body) },
                // It has said that it has them.
                Err(BodyFault::TooLarge | BodyFault::Broken(_)) => Sent::Taken { rejected: 0 },
            },
            // Those that OTLP/HTTP has for it.
            status @ (StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT) => {
                let said = answer.headers().get(RETRY_AFTER).and_then(|said| said.to_str().ok()?.parse().ok());
                Sent::NotNow { why: format!("answered {}", status.as_u16()), pause: said.map(Duration::from_secs) }
            }
            status => Sent::Refused(status.as_u16()),
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collector({})", self.url.host_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::stub::{answer, on_tokio, stub};

    const LONG: Duration = Duration::from_secs(20);

    fn sent(wire: &str, hang: bool, timeout: Duration) -> (Sent, String) {
        on_tokio(async {
            let (url, serve) = stub(vec![(wire.to_owned(), hang)]).await;
            let headers = [("Authorization".to_owned(), "Bearer secret".to_owned())];
            let collector = Collector::new(&format!("{url}?word=secret"), &headers, timeout).unwrap();
            let send = async {
                let sent = collector.send(b"spans".to_vec()).await;
                drop(collector);
                sent
            };
            let (sent, mut seen) = tokio::join!(send, serve);
            (sent, seen.remove(0))
        })
    }

    #[test]
    fn spans_go_out_as_protobuf_with_the_headers() {
        let (sent, seen) = sent(&answer("200 OK", "\u{a}\u{2}\u{8}\u{7}"), false, LONG);
        assert_eq!(sent, Sent::Taken { rejected: 7 });
        let seen = seen.to_lowercase();
        assert!(seen.contains("content-type: application/x-protobuf") && seen.contains("authorization: bearer secret"), "{seen}");
        assert!(seen.ends_with("spans"), "{seen}");
    }

    #[test]
    fn what_may_be_tried_again_is_told_from_what_may_not() {
        let slow = "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        let not_now = |why: &str, pause: Option<u64>| Sent::NotNow { why: why.to_owned(), pause: pause.map(Duration::from_secs) };
        for (wire, expected) in [
            (answer("202 Accepted", ""), Sent::Taken { rejected: 0 }),
            (slow.to_owned(), not_now("answered 429", Some(7))),
            (answer("503 Away", ""), not_now("answered 503", None)),
            (answer("400 Bad", "secret"), Sent::Refused(400)),
            (answer("404 Not Found", ""), Sent::Refused(404)),
            (answer("302 Found", ""), Sent::Refused(302)),
            (answer("500 Fault", ""), Sent::Refused(500)),
        ] {
            assert_eq!(sent(&wire, false, LONG).0, expected, "{wire}");
        }
        assert_eq!(sent("", true, Duration::from_millis(200)).0, not_now("no answer in time", None));
        let Sent::NotNow { why, .. } = sent("rubbish\r\n\r\n", false, LONG).0 else { panic!("rubbish is no answer") };
        assert!(!why.contains("secret"), "{why}");
    }

    #[test]
    fn what_is_configured_wrong_is_found_at_the_start() {
        let made =
            |url: &str, name: &str, value: &str| Collector::new(url, &[(name.to_owned(), value.to_owned())], LONG).map(drop);
        assert_eq!(made("ftp://a", "A", "b"), Err(SetupFault::Url));
        assert_eq!(made("http://a", "A b", "b"), Err(SetupFault::Secret));
        assert_eq!(made("http://a", "A", "b\n"), Err(SetupFault::Secret));
        let collector = Collector::new("http://user:word@c.example.org/x", &[], LONG).unwrap();
        assert_eq!(format!("{collector:?}"), "Collector(c.example.org)");
    }
}
