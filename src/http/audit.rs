//! What REST tells the audit log: acts of the routes that are marked, and whoever is refused anywhere. A handler says who asks, and what it
//! is about, where it knows.

use super::{
    answer::{Answer, Payload},
    gate::Peer,
};
use crate::realtime::audit::Outcome;
use http::{Extensions, StatusCode};
use serde_json::Value;
use std::{
    rc::Rc,
    sync::{Arc, OnceLock},
};

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What: the mark of the route, or `refusal`.
    pub what: &'static str,
    /// By which API.
    pub on: &'static str,
    /// Who asked, where that is known.
    pub who: Option<Box<str>>,
    /// What it is about.
    pub target: Option<Box<str>>,
    /// From where.
    pub from: Option<Peer>,
    /// What came of it.
    pub outcome: Outcome,
    /// The code of the answer.
    pub reason: Option<Box<str>>,
}

/// Where it is told; says first whether anybody listens.
pub struct Scribe {
    /// Whether anything is written.
    pub is_on: Box<dyn Fn() -> bool>,
    /// Takes an event. Never waits.
    pub note: Box<dyn Fn(Entry)>,
}

/// What a handler says of its request, in the request's extensions.
#[derive(Clone, Default, Debug)]
struct Known(Arc<Facts>);

#[derive(Default, Debug)]
struct Facts {
    who: OnceLock<Box<str>>,
    target: OnceLock<Box<str>>,
}

/// Says who asks. What was said first stays.
pub(super) fn says_who(request: &Extensions, who: &str) {
    if let Some(Known(facts)) = request.get() {
        facts.who.get_or_init(|| who.into());
    }
}

/// Says what it is about.
pub(super) fn says_target(request: &Extensions, target: &str) {
    if let Some(Known(facts)) = request.get() {
        facts.target.get_or_init(|| target.into());
    }
}

/// One request that may have to be told of.
pub(super) struct Sheet {
    scribe: Rc<Scribe>,
    known: Known,
    on: &'static str,
    mark: Option<&'static str>,
    named: Option<Box<str>>,
    from: Option<Peer>,
}

impl Sheet {
    /// None where nobody listens.
    pub(super) fn begin(scribe: Option<&Rc<Scribe>>, on: &'static str, request: &mut Extensions) -> Option<Sheet> {
        let scribe = scribe.filter(|scribe| (scribe.is_on)())?.clone();
        let known = Known::default();
        request.insert(known.clone());
        Some(Sheet { scribe, known, on, mark: None, named: None, from: request.get().copied() })
    }

    /// The route is marked so, and its path ends in what it is about: an id, as all marked routes have there.
    pub(super) fn mark(&mut self, mark: Option<&'static str>, named: Option<&str>) {
        self.mark = mark;
        if let Some(named) = named.filter(|named| mark.is_some() && is_code(named)) {
            self.named = Some(named.into());
        }
    }

    /// The answer is there.
    pub(super) fn end(self, answer: &Answer) {
        let outcome = outcome(answer.status());
        let what = match (self.mark, outcome) {
            (Some(mark), _) => mark,
            (None, Outcome::Refused) => "refusal",
            (None, Outcome::Done | Outcome::Failed) => return,
        };
        let facts = &self.known.0;
        let reason = (outcome != Outcome::Done).then(|| reason(answer));
        (self.scribe.note)(Entry {
            what,
            on: self.on,
            who: facts.who.get().cloned(),
            target: facts.target.get().cloned().or(self.named),
            from: self.from,
            outcome,
            reason,
        });
    }
}

fn outcome(status: StatusCode) -> Outcome {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => Outcome::Refused,
        status if status.is_client_error() || status.is_server_error() => Outcome::Failed,
        _ => Outcome::Done,
    }
}

/// The code that an answer has, or its status. Codes are fixed texts of ours; nothing that a client said is among them.
fn reason(answer: &Answer) -> Box<str> {
    let body = match answer.body() {
        Payload::Whole(bytes) => serde_json::from_slice::<Value>(bytes).ok(),
        Payload::Empty | Payload::Stream(_) => None,
    };
    let code = body.as_ref().and_then(code).map(Box::from);
    code.unwrap_or_else(|| format!("http_{}", answer.status().as_u16()).into())
}

fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn code(body: &Value) -> Option<&str> {
    const NAMES: [&str; 4] = ["code", "error", "error_code", "type"];
    let is_code = |text: &&str| is_code(text);
    let own = NAMES.iter().find_map(|name| body.get(name).and_then(Value::as_str).filter(is_code));
    let within = ["error", "detail"]
        .iter()
        .filter_map(|name| body.get(name))
        .find_map(|inner| NAMES.iter().find_map(|name| inner.get(name).and_then(Value::as_str).filter(is_code)));
    own.or(within)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{
        answer,
        call::Call,
        fakes,
        fault::Fault,
        table::{Route, Table},
    };
    use http::Method;
    use std::cell::RefCell;

    fn entries(is_on: bool, request: &str) -> Vec<Entry> {
        let told: Rc<RefCell<Vec<Entry>>> = Rc::default();
        let tell = told.clone();
        let scribe = Scribe { is_on: Box::new(move || is_on), note: Box::new(move |entry| tell.borrow_mut().push(entry)) };
        let done = |call: Call<()>| {
            says_who(&call.parts.extensions, "ada");
            says_target(&call.parts.extensions, "bob");
            std::future::ready(Ok::<_, Fault>(answer::empty(StatusCode::OK)))
        };
        let denied = |_: Call<()>| std::future::ready(Err::<Answer, _>(Fault::Denied));
        let routes = vec![
            Route::public(Method::POST, "/done", done).marked("user.made"),
            Route::public(Method::GET, "/done", done),
            Route::public(Method::POST, "/denied", denied).marked("key.made"),
            Route::public(Method::GET, "/denied", denied),
        ];
        let table = Table::default().audited(scribe).of("labs").with("", routes).unwrap();
        fakes::ask_from(Some(Peer([10, 0, 0, 1].into())), &table, &Rc::new(()), request);
        told.take()
    }

    #[test]
    fn acts_are_told_whatever_comes_of_them_and_refusals_of_any_route() {
        let entry = |what, outcome, reason: Option<&str>| Entry {
            what,
            on: "labs",
            who: None,
            target: None,
            from: Some(Peer([10, 0, 0, 1].into())),
            outcome,
            reason: reason.map(Into::into),
        };
        let done = Entry { who: Some("ada".into()), target: Some("bob".into()), ..entry("user.made", Outcome::Done, None) };
        for (request, told) in [
            ("POST /done", vec![done]),
            ("GET /done", vec![]),
            ("POST /denied", vec![entry("key.made", Outcome::Refused, Some("access_denied"))]),
            ("GET /denied", vec![entry("refusal", Outcome::Refused, Some("access_denied"))]),
            ("GET /nowhere", vec![]),
        ] {
            assert_eq!(entries(true, request), told, "{request}");
            assert_eq!(entries(false, request), [], "{request}: nobody listens");
        }
    }

    #[test]
    fn every_apis_form_of_errors_has_its_code_found() {
        for (body, found) in [
            (r#"{"type":"access_denied","title":"x"}"#, "access_denied"),
            (r#"{"code":"AUTH-001","message":"no code of any kind"}"#, "AUTH-001"),
            (r#"{"success":false,"error":{"code":"AUTH_TOKEN_INVALID","message":"m"}}"#, "AUTH_TOKEN_INVALID"),
            (r#"{"error":"no_role","message":"m"}"#, "no_role"),
            (r#"{"detail":"Could not validate credentials"}"#, "http_401"),
            (r#"{"error":"words that are for people"}"#, "http_401"),
            ("not json", "http_401"),
        ] {
            assert_eq!(&*reason(&answer::text(StatusCode::UNAUTHORIZED, body)), found, "{body}");
        }
    }
}
