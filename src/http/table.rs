//! Which request goes where: the routes of one listener, by path and method.

use super::{
    answer::Answer,
    audit::{Scribe, Sheet},
    call::Call,
    cors,
    fault::{Fault, Refusal},
    gate::{Gate, Voice},
    limits::BODY_BYTES,
    segment::decoded,
};
use crate::observe::traces;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use std::{collections::HashMap, error::Error, fmt::Write, future::Future, pin::Pin, rc::Rc, time::Instant};
use uuid::Uuid;

type Pending = Pin<Box<dyn Future<Output = Answer>>>;
/// What stood in the braces of a path, decoded; none: it is badly escaped.
type Params = Option<Vec<(String, String)>>;
type Handler<S> = Box<dyn Fn(Call<S>) -> Pending>;
/// Who may ask at all.
type Guard<S> = for<'a> fn(&'a Call<S>) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + 'a>>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who may reach a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Face {
    /// Pages of any origin.
    Public,
    /// Our own services; browsers get no leave to call it.
    Internal,
    /// Browsers that show a page of ours. Pages of other origins may not read it.
    Page,
    /// Pages of ours, and no others.
    Own,
}

/// Where the reading of a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// It is read from now on.
    Begins,
    /// It has been read whole.
    Ends,
}

/// One method of one path, and what answers it.
pub struct Route<S> {
    method: Method,
    path: &'static str,
    face: Face,
    voice: Voice,
    handler: Handler<S>,
    /// Bytes of a request's body, at most.
    body: usize,
    /// What the audit log calls it; none: it is not told of, but for refusals.
    mark: Option<&'static str>,
}

impl<S> Route<S> {
    /// A route that pages of any origin may call. `path` as matchit has it: `/rooms/{room}`. GET also answers HEAD. What the table refuses
    /// in the handler's place is told as the handler's own faults are.
    pub fn public<F, E>(method: Method, path: &'static str, handler: impl Fn(Call<S>) -> F + 'static) -> Route<S>
    where
        F: Future<Output = Result<Answer, E>> + 'static,
        E: Refusal,
    {
        let handler: Handler<S> = Box::new(move |call| {
            let answer = handler(call);
            Box::pin(async move { answer.await.unwrap_or_else(E::into_answer) })
        });
        Route {
            method,
            path,
            face: Face::Public,
            voice: |fault| E::from(fault).into_answer(),
            handler,
            body: BODY_BYTES,
            mark: None,
        }
    }

    /// A route without leave for pages.
    pub fn internal<F, E>(method: Method, path: &'static str, handler: impl Fn(Call<S>) -> F + 'static) -> Route<S>
    where
        F: Future<Output = Result<Answer, E>> + 'static,
        E: Refusal,
    {
        Route { face: Face::Internal, ..Route::public(method, path, handler) }
    }

    /// The same with another bound of bodies, in bytes, than [`BODY_BYTES`]. It should be below
    /// [`LINGER_BYTES`](super::limits::LINGER_BYTES), or whoever sends more may not hear why it is refused.
    pub fn up_to(self, body: usize) -> Route<S> {
        Route { body, ..self }
    }

    /// The same, behind a guard, whose refusals are told as the table's are.
    pub fn behind(self, guard: Guard<S>) -> Route<S>
    where
        S: 'static,
    {
        let (handler, voice) = (Rc::new(self.handler), self.voice);
        let guarded = move |call: Call<S>| -> Pending {
            let handler = handler.clone();
            Box::pin(async move {
                match guard(&call).await {
                    Ok(()) => handler(call).await,
                    Err(fault) => voice(fault),
                }
            })
        };
        Route { handler: Box::new(guarded), ..self }
    }

    /// The same, of which the audit log is told under this name.
    pub fn marked(self, mark: &'static str) -> Route<S> {
        Route { mark: Some(mark), ..self }
    }

    /// A page of ours, or a file of one: the same for all, and nothing comes of asking for it. Browsers say which page asks for a script,
    /// so that it is no reason to refuse; other pages get no leave to read the answer.
    pub fn page<F, E>(path: &'static str, handler: impl Fn(Call<S>) -> F + 'static) -> Route<S>
    where
        F: Future<Output = Result<Answer, E>> + 'static,
        E: Refusal,
    {
        Route { face: Face::Page, ..Route::public(Method::GET, path, handler) }
    }

    /// What pages of ours ask for, and whoever is no browser; pages of other origins are refused.
    pub fn own<F, E>(method: Method, path: &'static str, handler: impl Fn(Call<S>) -> F + 'static) -> Route<S>
    where
        F: Future<Output = Result<Answer, E>> + 'static,
        E: Refusal,
    {
        Route { face: Face::Own, ..Route::public(method, path, handler) }
    }

    fn answers(&self, method: &Method) -> bool {
        self.method == method || (self.method == Method::GET && method == Method::HEAD)
    }
}

/// One path and what answers there.
struct Place<S> {
    /// As matchit has it, with its prefix. What stands in the braces may be a secret, so that this is all that is logged of a path.
    pattern: String,
    routes: Vec<Route<S>>,
    /// Through which gate it is reached.
    gate: Option<usize>,
    /// Of which API.
    api: &'static str,
}

/// The routes of one listener. Those of several APIs may share it, each under its prefix.
pub struct Table<S> {
    at: matchit::Router<usize>,
    by_pattern: HashMap<String, usize>,
    places: Vec<Place<S>>,
    /// How each prefix tells that there is no such route.
    voices: Vec<(String, Voice)>,
    /// With their prefixes.
    gates: Vec<(String, Gate<S>)>,
    public: bool,
    scribe: Option<Rc<Scribe>>,
    /// Of which API the routes are that come next.
    api: &'static str,
}

impl<S> Default for Table<S> {
    fn default() -> Table<S> {
        Table {
            at: matchit::Router::new(),
            by_pattern: HashMap::new(),
            places: Vec::new(),
            voices: Vec::new(),
            gates: Vec::new(),
            public: false,
            scribe: None,
            api: "none",
        }
    }
}

impl<S> Table<S> {
    /// Tells the audit log.
    pub fn audited(self, scribe: Scribe) -> Table<S> {
        Table { scribe: Some(Rc::new(scribe)), ..self }
    }

    /// The routes that come next are of this API, as the audit log calls it.
    pub fn of(self, api: &'static str) -> Table<S> {
        Table { api, ..self }
    }

    /// Adds the routes of an API under `prefix`: empty, or `/like/this`. Where a method of a path is there already, it stays, so that an
    /// API which asks for tokens goes before one which does not; likewise the voice of a prefix. The error names a path that is no path or
    /// that contradicts another.
    pub fn with(mut self, prefix: &str, routes: Vec<Route<S>>) -> Result<Table<S>, matchit::InsertError> {
        if let Some(first) = routes.first()
            && self.voices.iter().all(|(other, _)| other != prefix)
        {
            self.voices.push((prefix.to_owned(), first.voice));
        }
        for route in routes {
            let pattern = format!("{prefix}{}", route.path);
            let place = match self.by_pattern.get(&pattern) {
                Some(&place) => place,
                None => self.place(pattern)?,
            };
            self.public |= route.face == Face::Public;
            let there = &mut self.places[place].routes;
            if there.iter().all(|other| other.method != route.method) {
                there.push(route);
            }
        }
        Ok(self)
    }

    /// As [`Table::with`], through a gate. Paths that are there already stay outside of it. Under its prefix, what is no route is told by
    /// others, but where the gate minds it.
    pub fn with_gate(mut self, prefix: &str, routes: Vec<Route<S>>, gate: Gate<S>) -> Result<Table<S>, matchit::InsertError> {
        let (outside, voices) = (self.places.len(), self.voices.len());
        self = self.with(prefix, routes)?;
        self.voices.truncate(voices);
        let gates = self.gates.len();
        self.places[outside..].iter_mut().for_each(|place| place.gate = Some(gates));
        self.gates.push((prefix.to_owned(), gate));
        Ok(self)
    }

    fn place(&mut self, pattern: String) -> Result<usize, matchit::InsertError> {
        let place = self.places.len();
        self.at.insert(pattern.as_str(), place)?;
        self.by_pattern.insert(pattern.clone(), place);
        self.places.push(Place { pattern, routes: Vec::new(), gate: None, api: self.api });
        Ok(place)
    }

    /// The method and path of every route but of pages, and of what only they ask for.
    pub fn places(&self) -> impl Iterator<Item = (&Method, &str)> {
        let published = |route: &&Route<S>| matches!(route.face, Face::Public | Face::Internal);
        self.places
            .iter()
            .flat_map(move |place| place.routes.iter().filter(published).map(|route| (&route.method, place.pattern.as_str())))
    }

    /// The gate of a place, or the one that minds a path where there is none.
    fn gate(&self, place: Option<&Place<S>>, path: &str) -> Option<&Gate<S>> {
        let gate = match place {
            Some(place) => place.gate.and_then(|gate| self.gates.get(gate)),
            None => self.gates.iter().find(|(prefix, gate)| gate.minds(prefix, path)),
        };
        gate.map(|(_, gate)| gate)
    }

    /// Answers one request. Of its body `turn` is told when it is read from then on, behind the gate, and when it has been, before the
    /// handler runs.
    pub async fn answer<B>(&self, house: &Rc<S>, request: Request<B>, turn: impl Fn(Reading)) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let began = Instant::now();
        let (mut parts, body) = request.into_parts();
        let (method, id) = (parts.method.clone(), request_id(&parts));
        let found = self.find(&parts);
        let api = found.as_ref().map_or(self.api, |(place, _)| place.api);
        let mut sheet = Sheet::begin(self.scribe.as_ref(), api, &mut parts.extensions);
        let pattern = found.as_ref().map(|(place, _)| place.pattern.as_str());
        let public = found.as_ref().map_or(self.public, |(place, _)| place.is_public());
        let mut span = traces::request(&method, pattern, &parts.headers);
        span.word("homeroom.api", api);
        let gate = self.gate(found.as_ref().map(|(place, _)| *place), parts.uri.path()).filter(|_| method != Method::OPTIONS);
        let (refusal, finish) = match gate {
            Some(gate) => {
                let entry = traces::within(&span, gate.enter(house, &parts, &id)).await;
                (entry.refusal, Some(entry.finish))
            }
            None => (None, None),
        };
        let mut answer = match found {
            _ if refusal.is_some() => refusal.unwrap_or_default(),
            None if public && method == Method::OPTIONS => cors::preflight(&parts.headers),
            None => gate.map_or_else(|| self.voice(parts.uri.path()), |gate| gate.voice)(Fault::NoRoute),
            Some((place, params)) => match place.routes.iter().find(|route| route.answers(&method)) {
                Some(route) => {
                    let named = params.as_ref().and_then(|params| params.last()).map(|(_, value)| value.as_str());
                    sheet.iter_mut().for_each(|sheet| sheet.mark(route.mark, named));
                    let whole = answered(route, house, parts, params, body, turn);
                    traces::within(&span, whole).await.unwrap_or_else(route.voice)
                }
                None if public && method == Method::OPTIONS => cors::preflight(&parts.headers),
                None => not_allowed(&place.routes),
            },
        };
        if let Some(finish) = finish {
            finish(&mut answer);
        }
        sheet.into_iter().for_each(|sheet| sheet.end(&answer));
        span.status(answer.status().as_u16());
        span.done();
        if public {
            cors::open(answer.headers_mut());
        }
        let (status, micros) = (answer.status().as_u16(), began.elapsed().as_micros() as u64);
        tracing::debug!(request = ?id, %method, route = pattern.unwrap_or("none"), status, micros, "answered");
        answer.headers_mut().insert(REQUEST_ID, id);
        answer
    }

    fn find(&self, parts: &Parts) -> Option<(&Place<S>, Params)> {
        let matched = self.at.at(parts.uri.path()).ok()?;
        let params = matched.params.iter().map(|(key, value)| Some((key.to_owned(), decoded(value)?)));
        Some((&self.places[*matched.value], params.collect()))
    }

    /// The voice of the API under whose prefix the path is; the longest prefix counts.
    fn voice(&self, path: &str) -> Voice {
        let is_under = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let above = self.voices.iter().filter(|(prefix, _)| is_under(prefix));
        above.max_by_key(|(prefix, _)| prefix.len()).map_or(Fault::into_answer, |(_, voice)| *voice)
    }
}

impl<S> Place<S> {
    fn is_public(&self) -> bool {
        self.routes.iter().any(|route| route.face == Face::Public)
    }
}

async fn answered<S, B>(
    route: &Route<S>,
    house: &Rc<S>,
    parts: Parts,
    params: Params,
    body: B,
    turn: impl Fn(Reading),
) -> Result<Answer, Fault>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // A page open in a browser on this very machine reaches loopback too, and a plain POST needs no leave: its origin gives it away.
    let is_welcome = match route.face {
        Face::Public | Face::Page => true,
        Face::Internal => !parts.headers.contains_key(header::ORIGIN),
        Face::Own => is_own(&parts),
    };
    if !is_welcome {
        return Err(Fault::Denied);
    }
    let params = params.ok_or(Fault::Unreadable("the path is badly escaped"))?;
    turn(Reading::Begins);
    let body = collected(body, route.body).await?;
    turn(Reading::Ends);
    Ok((route.handler)(Call { house: Rc::clone(house), parts, body, params }).await)
}

/// Whether no page asks, or one that came from the host that is asked.
fn is_own(parts: &Parts) -> bool {
    let Some(origin) = parts.headers.get(header::ORIGIN) else { return true };
    let host = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = host.or(parts.headers.get(header::HOST).map(HeaderValue::as_bytes));
    let of = |scheme: &[u8]| origin.as_bytes().strip_prefix(scheme);
    host.is_some_and(|host| of(b"http://").or(of(b"https://")) == Some(host))
}

/// The whole body. One that is announced as too large is refused before any of it is read.
async fn collected<B>(body: B, most: usize) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if body.size_hint().lower() > most as u64 {
        return Err(Fault::TooLarge);
    }
    match Limited::new(body, most).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::TooLarge),
        Err(_) => Err(Fault::Unreadable("the body broke off")),
    }
}

fn not_allowed<S>(routes: &[Route<S>]) -> Answer {
    let mut allow = String::new();
    for route in routes {
        let head = if route.method == Method::GET { ", HEAD" } else { "" };
        let comma = if allow.is_empty() { "" } else { ", " };
        let _ = write!(allow, "{comma}{}{head}", route.method); // a String takes everything
    }
    let mut answer = routes.first().map_or(Fault::into_answer as Voice, |route| route.voice)(Fault::NoMethod);
    if let Ok(allow) = HeaderValue::from_str(&allow) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

/// The client's own id where it is short and plain, so that a request can be followed through several services; else a new one.
fn request_id(parts: &Parts) -> HeaderValue {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    match parts.headers.get(REQUEST_ID) {
        Some(id) if (1..=64).contains(&id.len()) && id.as_bytes().iter().all(plain) => id.clone(),
        _ => HeaderValue::from_str(&Uuid::now_v7().simple().to_string()).unwrap_or_else(|_| HeaderValue::from_static("none")),
    }
}

#[cfg(test)]
mod tests;
