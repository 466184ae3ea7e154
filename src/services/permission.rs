//! A permission service: asked over HTTP whether an account may do something. Contract: the presence page, "Permission".

use super::outbound::{self, BodyFault, SetupFault};
use crate::{auth::PermissionQuestion, observe::traces::Open};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Serialize;
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// A longer answer is a fault: a list of actions has a few dozen bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Questions to one service at a time, and so its connections. At 10 ms an answer that is 25,000 sign-ins a second; a bell must
/// not be a flood to it.
pub const MAX_QUESTIONS: usize = 256;

/// Why a service gave no answer that can be believed. The account is not let in; counted apart from a plain no.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ServiceFault {
    /// No whole answer in time.
    TimedOut,
    /// No connection, or it broke before the answer was whole.
    Unreachable,
    /// Neither 2xx nor 403. Redirects are not followed: the question would go to an address that nobody configured.
    Status(u16),
    /// Over [`MAX_ANSWER_BYTES`].
    TooLarge,
    /// 2xx with something else than a JSON array of strings.
    Malformed,
}

impl ServiceFault {
    /// The kind in one word, as a metric's label.
    pub fn kind(self) -> &'static str {
        match self {
            ServiceFault::TimedOut => "timed_out",
            ServiceFault::Unreachable => "unreachable",
            ServiceFault::Status(_) => "status",
            ServiceFault::TooLarge => "too_large",
            ServiceFault::Malformed => "malformed",
        }
    }
}

impl fmt::Display for ServiceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceFault::TimedOut => f.write_str("no answer in time"),
            ServiceFault::Unreachable => f.write_str("not reached"),
            ServiceFault::Status(status) => write!(f, "answered {status}"),
            ServiceFault::TooLarge => write!(f, "answered more than {MAX_ANSWER_BYTES} bytes"),
            ServiceFault::Malformed => f.write_str("answered something else than an array of actions"),
        }
    }
}

impl std::error::Error for ServiceFault {}

/// One permission service with its pool of connections, at most [`MAX_QUESTIONS`]. Cloning shares the pool. `Debug` shows the
/// host, not what else the URL may hold.
#[derive(Clone)]
pub struct PermissionService {
    url: Url,
    client: Client,
    timeout: Duration,
    places: Arc<Semaphore>,
}

impl PermissionService {
    /// `timeout` is for the whole of one question: waiting for a place, connecting, and the answer to its last byte.
    ///
    /// For `https` reads the machine's CA certificates from its files.
    pub fn new(url: &str, timeout: Duration) -> Result<PermissionService, SetupFault> {
        let (url, client) = outbound::client(url)?;
        Ok(PermissionService { url, client, timeout, places: Arc::new(Semaphore::new(MAX_QUESTIONS)) })
    }

    /// Whether the account may, within a span that ends with it. Runs in any Tokio runtime with time and network.
    pub async fn ask(&self, question: &PermissionQuestion, mut span: Open) -> Result<bool, ServiceFault> {
        span.host(&self.url);
        let asked = tokio::time::timeout(self.timeout, self.ask_in_turn(question, &mut span)).await;
        let answer = asked.unwrap_or(Err(ServiceFault::TimedOut));
        answer.iter().for_each(|allowed| span.word("homeroom.outcome", if *allowed { "allowed" } else { "denied" }));
        if let Err(fault) = answer {
            span.fail(fault.kind());
        }
        span.done();
        answer
    }

    async fn ask_in_turn(&self, question: &PermissionQuestion, span: &mut Open) -> Result<bool, ServiceFault> {
        let _place = self.places.acquire().await.map_err(|_| ServiceFault::Unreachable)?;
        let request = outbound::traced(self.client.post(self.url.clone()), span).json(&Body::of(question));
        let answer = request.send().await.map_err(fault)?;
        // One that says no has not failed.
        span.number("http.response.status_code", answer.status().as_u16().into());
        match answer.status() {
            StatusCode::FORBIDDEN => Ok(false),
            status if status.is_success() => allows(&bounded(answer).await?, question.action.name()),
            status => Err(ServiceFault::Status(status.as_u16())),
        }
    }
}

impl fmt::Debug for PermissionService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PermissionService({})", self.url.host_str().unwrap_or_default())
    }
}

#[derive(Serialize)]
struct Body<'a> {
    subject: Entity<'a>,
    object: Entity<'a>,
    action: &'static str,
}

#[derive(Serialize)]
struct Entity<'a> {
    namespace: &'a str,
    value: (&'static str, Cow<'a, str>),
}

impl<'a> Body<'a> {
    fn of(question: &'a PermissionQuestion) -> Body<'a> {
        let namespace = &question.account.audience;
        let subject = Cow::from(&question.account.subject);
        Body {
            subject: Entity { namespace, value: ("accounts", subject) },
            object: Entity { namespace, value: ("classrooms", question.classroom.to_string().into()) },
            action: question.action.name(),
        }
    }
}

async fn bounded(answer: Response) -> Result<Vec<u8>, ServiceFault> {
    outbound::body(answer, MAX_ANSWER_BYTES).await.map_err(|error| match error {
        BodyFault::TooLarge => ServiceFault::TooLarge,
        BodyFault::Broken(error) => fault(error),
    })
}

fn allows(body: &[u8], action: &str) -> Result<bool, ServiceFault> {
    let allowed: Vec<Cow<'_, str>> = serde_json::from_slice(body).map_err(|_| ServiceFault::Malformed)?;
    Ok(allowed.iter().any(|allowed| allowed == action))
}

fn fault(error: reqwest::Error) -> ServiceFault {
    if error.is_timeout() { ServiceFault::TimedOut } else { ServiceFault::Unreachable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{Account, Action, ServiceId},
        services::stub::{answer, on_tokio, request},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use uuid::Uuid;

    /// Long enough that only an answer that never comes meets it.
    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(300);

    fn question(action: Action) -> PermissionQuestion {
        let account = Account { subject: "u1".into(), audience: "dev.usr.example.org:x".into() };
        PermissionQuestion { service: ServiceId(0), account, classroom: Uuid::from_u128(0xC1A55), action }
    }

    /// Asks a server that answers its first connection with `wire` and then, when it is to `hang`, keeps it open. Returns what it
    /// was asked too.
    fn asked(wire: &str, hang: bool, timeout: Duration) -> (Result<bool, ServiceFault>, String) {
        on_tokio(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/authz?x=1", listener.local_addr().unwrap());
            let service = PermissionService::new(&url, timeout).unwrap();
            let question = question(Action::Connect);
            let ask = async {
                let answer = service.ask(&question, Open::default()).await;
                drop(service);
                answer
            };
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let seen = request(&mut stream).await;
                // A client that has heard enough may hang up.
                let _ = stream.write_all(wire.as_bytes()).await;
                if hang {
                    let _ = stream.read(&mut [0]).await;
                }
                seen
            };
            tokio::join!(ask, serve)
        })
    }

    #[test]
    fn the_question_is_asked_in_the_form_of_the_contract() {
        let (answer, seen) = asked(&answer("200 OK", r#"["connect"]"#), false, LONG);
        assert_eq!(answer, Ok(true));
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /authz?x=1 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("\r\ncontent-type: application/json"), "{head}");
        let expected = concat!(
            r#"{"subject":{"namespace":"dev.usr.example.org:x","value":["accounts","u1"]},"#,
            r#""object":{"namespace":"dev.usr.example.org:x","value":["classrooms","00000000-0000-0000-0000-0000000c1a55"]},"#,
            r#""action":"connect"}"#
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn only_a_yes_lets_in() {
        let rows = [
            ("200 OK", r#"["connect"]"#, Ok(true)),
            ("201 Created", r#" ["read", "con\u006eect"] "#, Ok(true)),
            ("200 OK", "[]", Ok(false)),
            ("200 OK", r#"["read"]"#, Ok(false)),
            ("200 OK", r#"["Connect","connect "]"#, Ok(false)),
            ("403 Forbidden", "", Ok(false)),
            ("403 Forbidden", r#"["connect"]"#, Ok(false)),
            ("200 OK", r#"{"connect":true}"#, Err(ServiceFault::Malformed)),
            ("200 OK", r#"["connect",1]"#, Err(ServiceFault::Malformed)),
            ("200 OK", r#"["connect"]]"#, Err(ServiceFault::Malformed)),
            ("200 OK", "true", Err(ServiceFault::Malformed)),
            ("200 OK", "", Err(ServiceFault::Malformed)),
            ("401 Unauthorized", r#"["connect"]"#, Err(ServiceFault::Status(401))),
            ("404 Not Found", r#"["connect"]"#, Err(ServiceFault::Status(404))),
            ("422 Unprocessable Entity", "[]", Err(ServiceFault::Status(422))),
            ("500 Internal Server Error", r#"["connect"]"#, Err(ServiceFault::Status(500))),
            ("503 Service Unavailable", "", Err(ServiceFault::Status(503))),
        ];
        for (status, body, expected) in rows {
            assert_eq!(asked(&answer(status, body), false, LONG).0, expected, "{status} {body}");
        }
    }

    #[test]
    fn redirects_are_not_followed() {
        for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let wire = format!("HTTP/1.1 {status}\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
            let number = status[..3].parse().unwrap();
            assert_eq!(asked(&wire, true, LONG).0, Err(ServiceFault::Status(number)));
        }
    }

    #[test]
    fn an_answer_is_bounded_by_what_it_says_and_by_what_it_is() {
        let fits = format!("[\"connect\"{}]", " ".repeat(MAX_ANSWER_BYTES - 11));
        assert_eq!(fits.len(), MAX_ANSWER_BYTES);
        assert_eq!(asked(&answer("200 OK", &fits), false, LONG).0, Ok(true));
        let says = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n[";
        assert_eq!(asked(says, true, LONG).0, Err(ServiceFault::TooLarge));
        let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
        let endless = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(17));
        assert_eq!(asked(&endless, true, LONG).0, Err(ServiceFault::TooLarge));
    }

    #[test]
    fn silence_and_half_an_answer_time_out() {
        for wire in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n[\"conn"] {
            assert_eq!(asked(wire, true, SHORT).0, Err(ServiceFault::TimedOut), "{wire:?}");
        }
    }

    #[test]
    fn questions_beyond_the_places_wait_for_one() {
        on_tokio(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut service = PermissionService::new(&format!("http://{}/", listener.local_addr().unwrap()), LONG).unwrap();
            service.places = Arc::new(Semaphore::new(2));
            let asks = [(); 8].map(|()| {
                let service = service.clone();
                tokio::spawn(async move { service.ask(&question(Action::Connect), Open::default()).await })
            });
            let yes = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 11\r\n\r\n[\"connect\"]";
            let asked = async || {
                let (mut stream, _) = listener.accept().await.unwrap();
                request(&mut stream).await;
                stream
            };
            let mut open = vec![asked().await, asked().await];
            tokio::select! {
                biased;
                _ = listener.accept() => panic!("a third question while two wait for their answers"),
                () = turns(200) => (),
            }
            for _ in 0..6 {
                open.remove(0).write_all(yes.as_bytes()).await.unwrap();
                open.push(asked().await);
            }
            for mut stream in open {
                stream.write_all(yes.as_bytes()).await.unwrap();
            }
            for ask in asks {
                assert_eq!(ask.await.unwrap(), Ok(true));
            }
        });
    }

    async fn turns(count: usize) {
        for _ in 0..count {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn waiting_for_a_place_counts_towards_the_time() {
        let mut service = PermissionService::new("http://127.0.0.1:9", SHORT).unwrap();
        service.places = Arc::new(Semaphore::new(0));
        let answer = on_tokio(async { service.ask(&question(Action::Read), Open::default()).await });
        assert_eq!(answer, Err(ServiceFault::TimedOut));
    }

    #[test]
    fn a_broken_connection_is_a_fault() {
        for wire in ["rubbish\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n[\"conn"] {
            assert_eq!(asked(wire, false, LONG).0, Err(ServiceFault::Unreachable), "{wire:?}");
        }
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let service = PermissionService::new(&format!("http://{nobody}"), LONG).unwrap();
        assert_eq!(on_tokio(service.ask(&question(Action::Read), Open::default())), Err(ServiceFault::Unreachable));
    }

    #[test]
    fn a_bad_url_is_told_and_no_construction_panics() {
        for url in ["", "permission", "ftp://a/", "file:///etc/passwd", "http://", "http://a b/", "//a/"] {
            assert_eq!(PermissionService::new(url, LONG).map(drop), Err(SetupFault::Url), "{url}");
        }
        // With CA certificates on the machine there is a client, without there is a fault: never a panic.
        match PermissionService::new("https://user:word@permission.example.org/authz", LONG) {
            Ok(service) => assert_eq!(format!("{service:?}"), "PermissionService(permission.example.org)"),
            Err(fault) => assert!(matches!(fault, SetupFault::Client(_)), "{fault}"),
        }
    }

    #[test]
    fn questions_can_be_asked_from_any_thread() {
        fn sent<T: Send>(_: &T) {}
        let service = PermissionService::new("http://127.0.0.1:9", LONG).unwrap();
        let question = question(Action::Read);
        sent(&service.ask(&question, Open::default()));
        sent(&service);
    }
}
