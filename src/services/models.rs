//! A language model behind HTTP: an endpoint for chat completions as OpenAI publishes it ([`crate::models::openai`]).

mod body;
mod exchange;
mod lines;
mod silence;

use self::{
    exchange::{Answer, Came},
    lines::Lines,
    silence::Silence,
};
use super::outbound::SetupFault;
use crate::{
    bridge::Handing,
    models::{
        Fault, Prompt, Word,
        openai::{Reading, body as request_body},
    },
    observe::traces::Open,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use std::{fmt, future::poll_fn, sync::Arc, task::Poll, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use url::{Position, Url};

/// Before the second attempt; twice as long before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// An endpoint that wants to be left alone for longer is busy.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long the end of an answer's body may take behind its last word, that its connection may be kept.
const TAIL: Duration = Duration::from_millis(100);

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
pub struct Endpoint(Arc<Asked>);

struct Asked {
    url: Url,
    lines: Lines,
    /// Name and port, as a request names them.
    host: String,
    secret: Option<HeaderValue>,
    patience: Patience,
    places: Arc<Semaphore>,
}

impl Endpoint {
    /// `url` is that of the endpoint itself, such as `https://host/v1/chat/completions`; `key` is sent as a bearer token. A name and a
    /// password in the URL are sent as such (RFC 7617) where there is no key. Redirects are not followed, and proxies of the environment
    /// not used.
    pub fn new(url: &str, key: Option<&str>, patience: Patience) -> Result<Endpoint, SetupFault> {
        let url = Url::parse(url).map_err(|_| SetupFault::Url)?;
        let lines = Lines::new(&url, patience.places)?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = url.host_str().unwrap_or_default().to_owned() + &port;
        let secret = secret(&url, key)?;
        let places = Arc::new(Semaphore::new(patience.places));
        Ok(Endpoint(Arc::new(Asked { url, lines, host, secret, patience, places })))
    }

    /// Whether a connection can be made to it in time. Nothing is asked of it.
    pub async fn is_reachable(&self, within: Duration) -> bool {
        matches!(timeout(within, self.0.lines.connect()).await, Ok(Ok(_)))
    }

    /// Whether it answers in time, whatever it is asked, and not with a fault of its own. It is asked for nothing, and not told the key.
    pub async fn says_something(&self, within: Duration) -> bool {
        let request = self.0.request("GET", None, None, b"");
        let Ok(Ok(answer)) = timeout(within, self.0.lines.ask(&request)).await else { return false };
        // That it does not know this method is an answer as well.
        answer.status == StatusCode::NOT_IMPLEMENTED || !answer.status.is_server_error()
    }

    /// Asks, and tells each word as it comes; the last is [`Word::Ended`] or [`Word::Failed`], with which the span ends. While `unread`,
    /// which `tell` fills, has no room nothing is read, however long that takes. Whoever drops the future ends the request: its
    /// connection is closed. Runs in any Tokio runtime with time and network.
    pub async fn answer(&self, prompt: &Prompt, unread: &Handing, mut span: Open, mut tell: impl FnMut(Word)) {
        span.host(&self.0.url);
        let begun = timeout(self.0.patience.first, self.0.begin(prompt, &mut span)).await.unwrap_or(Err(Fault::TimedOut));
        let mut tell = |word: Word| {
            note(&mut span, &word);
            tell(word);
        };
        match begun {
            Ok((answer, _place)) => self.0.read(answer, prompt, unread, &mut tell).await,
            Err(fault) => tell(Word::Failed(fault)),
        }
        span.done();
    }
}

impl Asked {
    async fn begin(&self, prompt: &Prompt, span: &mut Open) -> Result<(Answer, OwnedSemaphorePermit), Fault> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| Fault::Busy)?;
        let request = self.request("POST", self.secret.as_ref(), span.header(), request_body(prompt).as_ref());
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            span.tries(attempt);
            let (fault, asked, status) = match self.lines.ask(&request).await {
                Ok(answer) if answer.status.is_success() => {
                    span.status(answer.status.as_u16());
                    return Ok((answer, place));
                }
                Ok(answer) => (fault_of(answer.status), answer.retry_after.map(Duration::from_secs), Some(answer.status)),
                Err(_) => (Fault::Unreachable, None, None),
            };
            let is_final = matches!(fault, Fault::Refused(_)) || attempt >= self.patience.attempts;
            if is_final || asked.is_some_and(|asked| asked > LONGEST_WAIT) {
                if let Some(status) = status {
                    span.status(status.as_u16());
                }
                return Err(fault);
            }
            sleep(asked.unwrap_or(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        Err(Fault::Unreachable)
    }

    /// A whole request (RFC 9112, section 3).
    fn request(
        &self,
        method: &str,
        secret: Option<&HeaderValue>,
        traced: Option<(&'static str, String)>,
        body: &[u8],
    ) -> Vec<u8> {
        let target = &self.url[Position::BeforePath..Position::AfterQuery];
        let head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\nuser-agent: homeroom\r\naccept: */*\r\n", self.host);
        let mut request = head.into_bytes();
        if let Some(secret) = secret {
            request.extend_from_slice(&[b"authorization: ", secret.as_bytes(), b"\r\n"].concat());
        }
        if let Some((name, value)) = traced {
            request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if !body.is_empty() {
            let length = body.len();
            request.extend_from_slice(format!("content-type: application/json\r\ncontent-length: {length}\r\n").as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        request
    }

    async fn read(&self, mut answer: Answer, prompt: &Prompt, unread: &Handing, tell: &mut impl FnMut(Word)) {
        let mut reading = Reading::new(prompt.utterances.iter().map(|utterance| utterance.length()).sum());
        let mut is_whole = true;
        let mut tell = |word: Word| {
            is_whole &= !matches!(word, Word::Failed(_));
            tell(word);
        };
        let mut silence = Silence::new(self.patience.next);
        while !reading.is_over() {
            unread.room().await;
            silence.begin();
            let came = poll_fn(|cx| match answer.poll_more(cx, |content| reading.feed(content, &mut tell)) {
                Poll::Ready(came) => Poll::Ready(Some(came)),
                Poll::Pending => silence.poll(cx).map(|()| None),
            });
            match came.await {
                Some(Came::Content) => {}
                // A connection that breaks is an end that came too early, unless it had been the end already.
                Some(Came::End) => reading.end(&mut tell),
                None => return tell(Word::Failed(Fault::TimedOut)),
            }
        }
        if !is_whole {
            return;
        }
        let tail = async { while poll_fn(|cx| answer.poll_more(cx, |_| ())).await != Came::End {} };
        if timeout(TAIL, tail).await.is_ok() {
            self.lines.keep(answer);
        }
    }
}

/// What the last word says of the request.
fn note(span: &mut Open, word: &Word) {
    match word {
        Word::Delta(_) | Word::Call(_) => {}
        Word::Ended { usage, .. } => {
            span.number("gen_ai.usage.input_tokens", usage.prompt_tokens.into());
            span.number("gen_ai.usage.output_tokens", usage.completion_tokens.into());
        }
        Word::Failed(fault) => span.fail(match fault {
            Fault::Unreachable => "unreachable",
            Fault::Busy => "busy",
            Fault::TimedOut => "timed_out",
            Fault::Cut => "cut",
            Fault::Malformed => "malformed",
            Fault::Refused(_) => "refused",
        }),
    }
}

/// What `Authorization` says.
fn secret(url: &Url, key: Option<&str>) -> Result<Option<HeaderValue>, SetupFault> {
    let value = match (key, url.username(), url.password()) {
        (Some(key), _, _) => format!("Bearer {key}"),
        (None, "", None) => return Ok(None),
        (None, name, password) => {
            let plain = percent_decode_str(name).chain(*b":").chain(percent_decode_str(password.unwrap_or_default()));
            format!("Basic {}", BASE64.encode(plain.collect::<Vec<u8>>()))
        }
    };
    let mut value = HeaderValue::from_str(&value).map_err(|_| SetupFault::Secret)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.0.url.host_str().unwrap_or_default())
    }
}

fn fault_of(status: StatusCode) -> Fault {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Fault::Busy,
        status if status.is_client_error() => Fault::Refused(status.as_u16()),
        _ => Fault::Unreachable,
    }
}

#[cfg(test)]
mod tests;
