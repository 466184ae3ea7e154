//! What operators do with a server that runs: look at it, end connections, have its files read again, stop it. On the internal listener;
//! `homeroom ctl` asks here.
//!
//! The listener's address protects these routes as it does the other internal ones. Whoever shows a token all the same must be an operator
//! (an admin of labs), and where `control.operators_only` is set nobody is answered without one.

pub mod document;
mod shapes;
#[cfg(test)]
mod tests;

use super::{
    answer::{self, Answer},
    audit::{says_target, says_who},
    bearer::{Bearer, bearer},
    call::Call,
    fault::{Fault, Refusal},
    table::Route,
};
use crate::realtime::{
    StoreFault, UnixMicros,
    survey::{Most, ReaderSeen, RoomSeen, Whom},
};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use shapes::{Drain, Drained, Kick, Kicked, LoadShape, Reloaded, StatusShape};
use std::{pin::Pin, time::Duration};

/// What these routes ask of the house.
#[allow(async_fn_in_trait)]
pub trait Control {
    /// Whether nobody is answered without the token of an operator.
    fn is_for_operators_only(&self) -> bool;
    /// The operator whose token this is.
    async fn operator(&self, token: &str) -> Result<Operator, NoOperator>;
    /// How the node is.
    async fn status(&self) -> Status;
    /// Ends these connections of this node; says how many, and how many shards did not answer.
    async fn kick(&self, whom: Whom) -> (u64, u16);
    /// What the shards see of themselves.
    async fn look(&self, most: Most) -> Load;
    /// Has settings, keys and certificates read again. The error is every reason why nothing was changed.
    async fn reload(&self) -> Result<Changed, Vec<String>>;
    /// Begins the stop, at a pace where one is given; says how long the drain may take.
    async fn drain(&self, pace: Option<Paced>) -> Result<Duration, NoDrain>;
}

/// Who has shown a good token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operator(pub String);

/// Whose token it is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoOperator {
    /// The token is not good.
    Unknown,
    /// It is a user's who is no admin.
    NoAdmin,
    /// Nobody can say now.
    Store(StoreFault),
}

/// The longest that either time of a drain may be, however it is ordered.
pub const LONGEST: Duration = Duration::from_secs(86_400);

/// How the connected are let go one by one before the stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paced {
    /// Between the end of readiness and the first who goes.
    pub lead: Duration,
    /// Between the first who goes and the last.
    pub over: Duration,
}

/// Why a drain does not begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoDrain {
    /// The stop is under way.
    Stopping,
    /// The system lets no thread be started for it.
    NoThread,
}

/// How a node is, in a few figures.
#[derive(Clone, PartialEq, Debug)]
pub struct Status {
    /// Of the program.
    pub version: &'static str,
    /// When it began to serve.
    pub started_at: UnixMicros,
    /// Now.
    pub now: UnixMicros,
    /// `serving`, `draining` or `closing`.
    pub phase: &'static str,
    /// Since the stop began: how long that is, and how long the drain may take.
    pub drain: Option<(Duration, Duration)>,
    /// Why it should not be sent work; none: it should.
    pub unready: Vec<String>,
    /// How many shards.
    pub shards: u16,
    /// Connections of any kind.
    pub connections: u64,
    /// Sockets by API, those that have signed in.
    pub sockets: Vec<(&'static str, u64)>,
    /// Classrooms with somebody in them, at home on this node.
    pub rooms: u64,
    /// Members of those.
    pub members: u64,
    /// Connections closed so far because they read too slowly.
    pub slow_readers: u64,
}

/// What one shard tells.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct ShardLoad {
    /// Its number on this node.
    pub shard: u16,
    /// What its thread has worked so far; none: it did not answer in time.
    pub worked: Option<Duration>,
    /// Connections of any kind.
    pub connections: u64,
    /// Those that have not said a whole request yet.
    pub handshakes: u64,
    /// Classrooms at home on it.
    pub rooms: u64,
    /// Members of those.
    pub members: u64,
    /// What waits: letters for which the queue had no room, sign-ins that wait for the store, TLS handshakes that wait for their turn.
    pub queue: u64,
    /// Turns so far, those that found nothing to do among them.
    pub turns: u64,
    /// Sockets accepted so far.
    pub accepted: u64,
    /// Messages read so far.
    pub messages: u64,
    /// Published frames that reached a socket so far.
    pub delivered: u64,
    /// Those that did not, because somebody read too slowly.
    pub dropped: u64,
    /// Sends so far.
    pub sends: u64,
    /// Connections closed so far because they read too slowly.
    pub slow_readers: u64,
}

/// What all of them tell.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Load {
    /// When that was.
    pub at: UnixMicros,
    /// In their order.
    pub shards: Vec<ShardLoad>,
    /// The fullest rooms, and those in which most is published.
    pub rooms: Vec<RoomSeen>,
    /// The slowest readers, the worst first.
    pub readers: Vec<ReaderSeen>,
    /// How WebSockets ended so far: by code, or by `peer` or `gone`.
    pub closed: Vec<(String, u64)>,
}

/// What a reading of the files has changed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changed {
    /// Settings that are taken over.
    pub settings: Vec<String>,
    /// Whose keys are others.
    pub keys: Vec<String>,
    /// Settings that have changed and need a restart.
    pub waiting: Vec<String>,
}

/// Every route.
pub fn routes<S: Control + 'static>() -> Vec<Route<S>> {
    vec![
        Route::internal(Method::GET, "/api/v1/control/status", status),
        Route::internal(Method::GET, "/api/v1/control/load", load),
        Route::internal(Method::POST, "/api/v1/control/kick", kick).marked("kick"),
        Route::internal(Method::POST, "/api/v1/control/reload", reload).marked("reload"),
        Route::internal(Method::POST, "/api/v1/control/drain", drain).marked("drain"),
    ]
}

/// The same routes, but where `control.operators_only` is set for operators alone: those by which somebody could make himself one, or take
/// another's place.
pub fn for_operators<S: Control + 'static>(routes: Vec<Route<S>>) -> Vec<Route<S>> {
    routes.into_iter().map(|route| route.behind(guard)).collect()
}

fn guard<S: Control>(call: &Call<S>) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + '_>> {
    Box::pin(async move {
        if !call.house.is_for_operators_only() {
            return Ok(());
        }
        admit(call).await.map_err(|refused| match refused {
            Refused::Other(fault) => fault,
            Refused::NoToken | Refused::BadToken | Refused::NoOperator => Fault::Denied,
            // Not what `admit` says.
            Refused::Reload(_) | Refused::Stopping | Refused::NoThread => Fault::Denied,
        })
    })
}

/// Why it is not done.
#[derive(PartialEq, Debug)]
enum Refused {
    /// No token, where one is asked for.
    NoToken,
    /// A token that is not good.
    BadToken,
    /// A good one, of somebody who is no operator.
    NoOperator,
    /// What was read again is not right: every reason.
    Reload(Vec<String>),
    /// The stop is under way.
    Stopping,
    /// The system is short of threads.
    NoThread,
    /// Whatever else there is.
    Other(Fault),
}

impl<F: Into<Fault>> From<F> for Refused {
    fn from(fault: F) -> Refused {
        Refused::Other(fault.into())
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ControlRefusal)]
pub(super) struct Told {
    error: &'static str,
    message: &'static str,
    /// Of a reload: every reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<String>,
}

impl Refusal for Refused {
    fn into_answer(self) -> Answer {
        let (status, error, message, faults) = match self {
            Refused::NoToken => {
                (StatusCode::UNAUTHORIZED, "no_token", "This server answers operators only: show a token", vec![])
            }
            Refused::BadToken => (StatusCode::UNAUTHORIZED, "bad_token", "The token is not good, or not any more", vec![]),
            Refused::NoOperator => (StatusCode::FORBIDDEN, "no_operator", "This is for operators: admins of labs", vec![]),
            Refused::Other(Fault::Denied) => (StatusCode::FORBIDDEN, "no_page", "No page of a browser may ask this", vec![]),
            Refused::Reload(faults) => (StatusCode::UNPROCESSABLE_ENTITY, "reload_refused", "Nothing was changed", faults),
            Refused::Stopping => (StatusCode::CONFLICT, "stopping", "The server stops already", vec![]),
            Refused::NoThread => (StatusCode::SERVICE_UNAVAILABLE, "no_thread", "The system lets no thread be started", vec![]),
            Refused::Other(fault) => return fault.into_answer(),
        };
        let mut answer = answer::json(status, &Told { error, message, faults });
        if status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// Whoever asks may.
async fn admit<S: Control>(call: &Call<S>) -> Result<(), Refused> {
    match bearer(&call.parts.headers) {
        Bearer::Token(token) => match call.house.operator(token).await {
            Ok(Operator(who)) => {
                says_who(&call.parts.extensions, &who);
                Ok(())
            }
            Err(NoOperator::Unknown) => Err(Refused::BadToken),
            Err(NoOperator::NoAdmin) => Err(Refused::NoOperator),
            Err(NoOperator::Store(fault)) => Err(fault.into()),
        },
        Bearer::None if !call.house.is_for_operators_only() => Ok(()),
        Bearer::None => Err(Refused::NoToken),
        Bearer::Other => Err(Refused::BadToken),
    }
}

async fn status<S: Control>(call: Call<S>) -> Result<Answer, Refused> {
    admit(&call).await?;
    Ok(answer::json(StatusCode::OK, &StatusShape::from(&call.house.status().await)))
}

/// Rooms and readers in one answer: the default, and the most.
const LISTED: (usize, usize) = (20, 500);

async fn load<S: Control>(call: Call<S>) -> Result<Answer, Refused> {
    admit(&call).await?;
    let number = |name| call.number(name, LISTED.0, "a whole number, not negative").map(|many| many.min(LISTED.1));
    let most = Most { rooms: number("rooms")?, readers: number("readers")? };
    Ok(answer::json(StatusCode::OK, &LoadShape::from(&call.house.look(most).await)))
}

const EXPECTED: &str = r#"expected one of {"user": text}, {"classroom": uuid}, {"connection": text such as "0:12.3"}"#;

async fn kick<S: Control>(call: Call<S>) -> Result<Answer, Refused> {
    admit(&call).await?;
    let whom = call.json::<Kick>(EXPECTED)?.whom().ok_or(Fault::WrongShape(EXPECTED))?;
    match &whom {
        Whom::User(user) => says_target(&call.parts.extensions, user),
        Whom::Classroom(classroom) => says_target(&call.parts.extensions, &classroom.to_string()),
        Whom::Connection(connection) => says_target(&call.parts.extensions, &connection.to_string()),
    }
    let (closed, silent_shards) = call.house.kick(whom).await;
    Ok(answer::json(StatusCode::OK, &Kicked { closed, silent_shards }))
}

async fn reload<S: Control>(call: Call<S>) -> Result<Answer, Refused> {
    admit(&call).await?;
    let changed = call.house.reload().await.map_err(Refused::Reload)?;
    Ok(answer::json(StatusCode::OK, &Reloaded::from(changed)))
}

const EXPECTED_PACE: &str =
    r#"expected no body, or {"over_seconds": number, "lead_seconds": number}, from 0 to 86400, the second with the first"#;

async fn drain<S: Control>(call: Call<S>) -> Result<Answer, Refused> {
    admit(&call).await?;
    let asked = if call.body.is_empty() { Drain::default() } else { call.json::<Drain>(EXPECTED_PACE)? };
    let pace = asked.pace().ok_or(Fault::WrongShape(EXPECTED_PACE))?;
    let at_most = call.house.drain(pace).await.map_err(|why| match why {
        NoDrain::Stopping => Refused::Stopping,
        NoDrain::NoThread => Refused::NoThread,
    })?;
    Ok(answer::json(StatusCode::ACCEPTED, &Drained { at_most_seconds: at_most.as_secs_f64() }))
}
