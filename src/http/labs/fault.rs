//! What the labs routes refuse, and the one table that turns it into a status, a code and its words.
//!
//! The words of the contract name what was asked for (an id, a template's name); nothing else that a client sent is said back to it,
//! and nothing that the store said is passed on.

use crate::{
    http::{
        answer::{self, Answer},
        fault::{self, Refusal, closing},
    },
    protocols::labs::{admission::Denial, asks::Refused, model::State},
    realtime::StoreFault,
};
use http::{HeaderValue, StatusCode, header};
use std::borrow::Cow;

/// Why there is no answer but this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The request has no token.
    NoToken,
    /// Its token is no good.
    BadToken,
    /// Its token was good once.
    ExpiredToken,
    /// The agent shows no key, and must.
    NoAgentKey,
    /// The name or the password; which, is not told.
    BadLogin,
    /// The user may not do this; with who may.
    Forbidden(&'static str),
    /// A parameter of the query; with what was expected.
    Parameter(&'static str, &'static str),
    /// A field of the body is not there.
    Missing(&'static str),
    /// A field of the body is not as it must be; with what was expected.
    Field(&'static str, &'static str),
    /// A field of a template is not as it must be; with what was expected.
    TemplateField(&'static str, &'static str),
    /// The body is no JSON object, or the request cannot be read; with what was expected.
    Unreadable(&'static str),
    /// There is no such agent.
    NoAgent(String),
    /// There is no such session.
    NoSession(String),
    /// There is no such template.
    NoTemplate(String),
    /// A new session names a template that there is not.
    NoTemplateToStart(String),
    /// There is no such user.
    NoUser(String),
    /// The name is another user's.
    UserTaken,
    /// The name is another template's.
    TemplateTaken,
    /// No agent takes sessions of this platform, or of any.
    NoAgents(Option<String>),
    /// A session cannot become what was asked, by its name on the wire.
    Transition(State, &'static str),
    /// The registry refused; what needs more words than these has a variant of its own.
    Refused(Refused),
    /// Too many requests; seconds until the window ends.
    TooMany(i64),
    /// The store did not do its part.
    Store(StoreFault),
    /// There is no such route.
    NoRoute,
    /// The route has no such method.
    NoMethod,
    /// The path is a socket's, and the request asks for none.
    NoUpgrade,
    /// The request asks for a socket, and does not get it.
    NoSocket(Denial),
    /// The body has more than [`BODY_BYTES`](crate::http::limits::BODY_BYTES).
    TooLarge,
}

impl From<fault::Fault> for Fault {
    fn from(fault: fault::Fault) -> Fault {
        match fault {
            fault::Fault::NoRoute => Fault::NoRoute,
            fault::Fault::NoMethod => Fault::NoMethod,
            fault::Fault::NoToken => Fault::NoToken,
            fault::Fault::BadToken => Fault::BadToken,
            fault::Fault::Denied => Fault::Forbidden("no page may call this"),
            fault::Fault::Unreadable(expected) | fault::Fault::WrongShape(expected) => Fault::Unreadable(expected),
            fault::Fault::TooLarge => Fault::TooLarge,
            fault::Fault::Store(fault) => Fault::Store(fault),
        }
    }
}

impl From<StoreFault> for Fault {
    fn from(fault: StoreFault) -> Fault {
        Fault::Store(fault)
    }
}

/// How a refusal is told: carried by its answer to the gate, which knows the time and the request's id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Telling {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) error: &'static str,
    pub(super) message: Cow<'static, str>,
    /// The field or parameter that it is about.
    pub(super) field: Option<&'static str>,
    /// Seconds.
    pub(super) retry_after: Option<i64>,
}

fn telling(status: u16, code: &'static str, error: &'static str, message: impl Into<Cow<'static, str>>) -> Telling {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Telling { status, code, error, message: message.into(), field: None, retry_after: None }
}

/// An id or a name as it is said back: no longer than any that there is.
fn shown(name: &str) -> String {
    name.chars().take(128).collect()
}

impl Fault {
    /// Status, code and words.
    pub(super) fn telling(self) -> Telling {
        const UNKNOWN: &str = "Authentication required";
        match self {
            Fault::NoToken => telling(401, "AUTH_TOKEN_MISSING", UNKNOWN, "Authorization header missing"),
            Fault::BadToken => telling(401, "AUTH_TOKEN_INVALID", UNKNOWN, "JWT token invalid or malformed"),
            Fault::ExpiredToken => telling(401, "AUTH_TOKEN_EXPIRED", UNKNOWN, "JWT token expired"),
            Fault::NoAgentKey => telling(401, "AUTH_TOKEN_INVALID", UNKNOWN, "X-Agent-API-Key is missing or malformed"),
            Fault::BadLogin => telling(401, "AUTH_INVALID_CREDENTIALS", "Authentication failed", "Invalid username or password"),
            Fault::Forbidden(who) => telling(403, "AUTH_INSUFFICIENT_PERMISSIONS", "Insufficient permissions", who),
            Fault::Parameter(name, expected) => {
                Telling { field: Some(name), ..telling(400, "INVALID_PARAMETER", "Invalid parameter", expected) }
            }
            Fault::Missing(field) => {
                let message = format!("Required field '{field}' is missing");
                Telling { field: Some(field), ..telling(400, "MISSING_REQUIRED_FIELD", "Invalid request", message) }
            }
            Fault::Field(field, expected) => {
                Telling { field: Some(field), ..telling(400, "VALIDATION_FAILED", "Validation failed", expected) }
            }
            Fault::TemplateField(field, expected) => {
                Telling { field: Some(field), ..telling(400, "TEMPLATE_INVALID", "Template configuration invalid", expected) }
            }
            Fault::Unreadable(expected) => telling(400, "VALIDATION_FAILED", "Validation failed", expected),
            Fault::NoAgent(_) | Fault::NoSession(_) | Fault::NoTemplate(_) | Fault::NoTemplateToStart(_) | Fault::NoUser(_) => {
                self.absence()
            }
            Fault::UserTaken => telling(409, "USER_ALREADY_EXISTS", "User already exists", "Another user has this username"),
            Fault::TemplateTaken => {
                telling(409, "TEMPLATE_ALREADY_EXISTS", "Template already exists", "Another template has this name")
            }
            Fault::NoAgents(platform) => {
                let message = match platform {
                    Some(platform) => format!("No online agents available for platform '{}'", shown(&platform)),
                    None => "No online agents available".to_owned(),
                };
                telling(503, "NO_AGENTS_AVAILABLE", "No agents available", message)
            }
            Fault::Transition(from, to) => {
                let message = format!("Cannot transition from '{}' to '{to}'", from.on_wire());
                telling(400, "INVALID_STATE_TRANSITION", "Invalid state transition", message)
            }
            Fault::Refused(refused) => refusal(refused),
            Fault::TooMany(seconds) => {
                let message = format!("Too many requests. Please try again in {seconds} seconds.");
                Telling { retry_after: Some(seconds), ..telling(429, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded", message) }
            }
            Fault::Store(StoreFault::Busy) => {
                telling(503, "SERVICE_UNAVAILABLE", "Service unavailable", "The server is busy; try again")
            }
            Fault::Store(StoreFault::Failed) => {
                telling(500, "INTERNAL_ERROR", "Internal server error", "The server could not do it")
            }
            Fault::NoRoute => telling(404, "NOT_FOUND", "Not found", "There is no such route"),
            Fault::NoMethod => {
                telling(405, "METHOD_NOT_ALLOWED", "Method not allowed", "The route has no such method; see the header Allow")
            }
            Fault::NoUpgrade => telling(426, "UPGRADE_REQUIRED", "Upgrade required", "This path is for WebSocket"),
            Fault::NoSocket(denial) => {
                let (error, message) = denial.texts();
                Telling { field: denial.field(), ..telling(denial.status(), denial.code(), error, message) }
            }
            Fault::TooLarge => telling(413, "PAYLOAD_TOO_LARGE", "Payload too large", "A body has at most 1 MiB"),
        }
    }

    /// That something is not there.
    fn absence(self) -> Telling {
        match self {
            Fault::NoAgent(id) => {
                telling(404, "AGENT_NOT_FOUND", "Agent not found", format!("No agent with ID '{}' exists", shown(&id)))
            }
            Fault::NoSession(id) => {
                telling(404, "SESSION_NOT_FOUND", "Session not found", format!("No session with ID '{}' exists", shown(&id)))
            }
            Fault::NoTemplate(name) => {
                let message = format!("No template with name '{}' exists", shown(&name));
                telling(404, "TEMPLATE_NOT_FOUND", "Template not found", message)
            }
            Fault::NoTemplateToStart(name) => {
                let message = format!("Template '{}' does not exist", shown(&name));
                Telling { field: Some("template"), ..telling(400, "TEMPLATE_NOT_FOUND", "Invalid request", message) }
            }
            Fault::NoUser(id) => {
                telling(404, "USER_NOT_FOUND", "User not found", format!("No user with ID '{}' exists", shown(&id)))
            }
            other => other.telling(),
        }
    }
}

fn refusal(refused: Refused) -> Telling {
    match refused {
        Refused::NoSession => Fault::NoSession(String::new()).telling(),
        Refused::NoAgent => Fault::NoAgent(String::new()).telling(),
        Refused::NoAgents => Fault::NoAgents(None).telling(),
        Refused::NotYours => Fault::Forbidden("The session is another user's").telling(),
        Refused::Full => {
            telling(503, "AGENT_CAPACITY_EXCEEDED", "Agent capacity exceeded", "All agents that are online are full")
        }
        Refused::AgentInUse => telling(409, "AGENT_IN_USE", "Agent in use", "The agent is connected, or has sessions"),
        Refused::TooManyAgents => {
            telling(503, "AGENT_LIMIT_REACHED", "Too many agents", "As many agents are known as may be; remove one that is gone")
        }
        Refused::AgentOffline => telling(503, "AGENT_OFFLINE", "Agent offline", "The agent of the session is offline"),
        Refused::NoSuchMove(from) => Fault::Transition(from, "that state").telling(),
        Refused::Terminating => telling(409, "SESSION_TERMINATING", "Session is terminating", "The session is being terminated"),
        Refused::Taken => telling(409, "SESSION_ALREADY_EXISTS", "Session already exists", "A session with the same name exists"),
        Refused::Failed(why) => telling(500, "SESSION_PROVISIONING_FAILED", "Session provisioning failed", why),
        Refused::Store(fault) => Fault::Store(fault).telling(),
    }
}

impl Refusal for Fault {
    /// The answer without its body, which the gate writes.
    fn into_answer(self) -> Answer {
        // What is behind a request for a socket is no other request.
        let closes = matches!(self, Fault::TooLarge | Fault::NoSocket(_));
        let told = self.telling();
        let mut answer = answer::empty(told.status);
        if told.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 11.6.1: a 401 names the scheme.
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if told.status == StatusCode::UPGRADE_REQUIRED {
            // RFC 9110, 15.5.22 and 7.8: what to upgrade to, for this hop.
            answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        }
        if let Some(seconds) = told.retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        answer.extensions_mut().insert(told);
        if closes { closing(answer) } else { answer }
    }
}
