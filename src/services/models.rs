//! A language model behind HTTP: an endpoint for chat completions as OpenAI publishes it ([`crate::models::openai`]).

use super::outbound::{self, SetupFault};
use crate::{
    bridge::Backlog,
    models::{
        Fault, Prompt, Word,
        openai::{Reading, body},
    },
};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use std::{fmt, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Before the second attempt; twice as long before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// An endpoint that wants to be left alone for longer is busy.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How an endpoint is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// From the request to the first byte of the answer, all attempts and waits in between included.
    pub first: Duration,
    /// From one piece of the answer to the next.
    pub next: Duration,
    /// Attempts, of which only the last may fail with 429, 5xx or without a connection.
    pub attempts: u32,
    /// Requests under way at a time; others wait, and that counts towards `first`.
    pub places: usize,
}

/// One endpoint with its pool of connections. Cloning shares the pool. `Debug` shows the host alone.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    client: Client,
    key: Option<HeaderValue>,
    patience: Patience,
    places: Arc<Semaphore>,
}

impl Endpoint {
    /// `url` is that of the endpoint itself, such as `https://host/v1/chat/completions`; `key` is sent as a bearer token.
    pub fn new(url: &str, key: Option<&str>, patience: Patience) -> Result<Endpoint, SetupFault> {
        let (url, client) = outbound::client(url)?;
        let key = key.map(|key| {
            let value = HeaderValue::from_str(&format!("Bearer {key}")).map(|mut value| {
                value.set_sensitive(true);
                value
            });
            value.map_err(|_| SetupFault::Secret)
        });
        let places = Arc::new(Semaphore::new(patience.places));
        Ok(Endpoint { url, client, key: key.transpose()?, patience, places })
    }

    /// Whether a connection can be made to it in time. Nothing is asked of it.
    pub async fn is_reachable(&self, within: Duration) -> bool {
        let (Some(host), Some(port)) = (self.url.host_str(), self.url.port_or_known_default()) else { return false };
        // An address of IPv6 stands in brackets in a URL alone.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        matches!(timeout(within, TcpStream::connect((host, port))).await, Ok(Ok(_)))
    }

    /// Whether it answers in time, whatever it is asked, and not with a fault of its own. It is asked for nothing, and not told the key.
    pub async fn says_something(&self, within: Duration) -> bool {
        let answer = timeout(within, self.client.get(self.url.clone()).send()).await;
        let Ok(Ok(answer)) = answer else { return false };
        // That it does not know this method is an answer as well.
        answer.status() == StatusCode::NOT_IMPLEMENTED || !answer.status().is_server_error()
    }

    /// Asks, and tells each word as it comes; the last is [`Word::Ended`] or [`Word::Failed`]. While `unread`, which `tell` fills, has no
    /// room nothing is read, however long that takes. Whoever drops the future ends the request: its connection is closed. Runs in any
    /// Tokio runtime with time and network.
    pub async fn answer(&self, prompt: &Prompt, unread: &Backlog, mut tell: impl FnMut(Word)) {
        let begun = timeout(self.patience.first, self.begin(prompt)).await.unwrap_or(Err(Fault::TimedOut));
        match begun {
            Ok((response, _place)) => self.read(response, prompt, unread, &mut tell).await,
            Err(fault) => tell(Word::Failed(fault)),
        }
    }

    async fn begin(&self, prompt: &Prompt) -> Result<(Response, tokio::sync::OwnedSemaphorePermit), Fault> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| Fault::Busy)?;
        let body = bytes::Bytes::from(body(prompt));
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let (fault, asked) = match self.post(body.clone()).await {
                Ok(response) if response.status().is_success() => return Ok((response, place)),
                Ok(response) => (fault_of(response.status()), retry_after(&response)),
                Err(_) => (Fault::Unreachable, None),
            };
            let is_final = matches!(fault, Fault::Refused(_)) || attempt >= self.patience.attempts;
            if is_final || asked.is_some_and(|asked| asked > LONGEST_WAIT) {
                return Err(fault);
            }
            sleep(asked.unwrap_or(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        Err(Fault::Unreachable)
    }

    async fn post(&self, body: bytes::Bytes) -> Result<Response, reqwest::Error> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        }
        .send()
        .await
    }

    async fn read(&self, mut response: Response, prompt: &Prompt, unread: &Backlog, tell: &mut impl FnMut(Word)) {
        let mut reading = Reading::new(prompt.utterances.iter().map(|utterance| utterance.length()).sum());
        let mut words = Vec::new();
        while !reading.is_over() {
            unread.room().await;
            match timeout(self.patience.next, response.chunk()).await {
                Ok(Ok(Some(chunk))) => reading.feed(&chunk, &mut words),
                // A connection that breaks is an end that came too early, unless it had been the end already.
                Ok(Ok(None) | Err(_)) => reading.end(&mut words),
                Err(_) => return tell(Word::Failed(Fault::TimedOut)),
            }
            words.drain(..).for_each(&mut *tell);
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.url.host_str().unwrap_or_default())
    }
}

fn fault_of(status: StatusCode) -> Fault {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Fault::Busy,
        status if status.is_client_error() => Fault::Refused(status.as_u16()),
        _ => Fault::Unreachable,
    }
}

/// Whole seconds; the other form, a date, is not used by these endpoints.
fn retry_after(response: &Response) -> Option<Duration> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
