//! The routes for our own services and operators. They ask for no token: only the listener's address protects them.

mod document;

use super::{
    answer::{self, Answer},
    attendance,
    call::Call,
    fault::Fault,
    iso::Iso,
    presence::NO_CLASSROOM,
    rooms::{Certificate, Classrooms, Clock, KeySet, Node, Observatory, Peer},
    table::Route,
};
use crate::{
    protocols::presence::asks::{self, Publication},
    realtime::ClassroomId,
};
pub use document::document;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Every route.
pub fn routes<S: Classrooms + Clock + Observatory + 'static>() -> Vec<Route<S>> {
    vec![
        Route::internal(Method::DELETE, "/api/v1/sessions", close).marked("session.closed"),
        Route::internal(Method::POST, "/api/v1/classrooms/{classroom}/events", publish),
        Route::internal(Method::GET, "/api/v1/classrooms/{classroom}/attendance", attended),
        Route::internal(Method::GET, "/api/v1/classrooms", occupied),
        Route::internal(Method::GET, "/api/v1/node", node),
        Route::internal(Method::GET, "/metrics", metrics),
        Route::internal(Method::GET, "/livez", livez),
        Route::internal(Method::GET, "/readyz", readyz),
    ]
}

#[derive(Deserialize, utoipa::ToSchema)]
struct Closing {
    session_key: SessionKey,
}

#[derive(Deserialize, utoipa::ToSchema)]
struct SessionKey {
    agent_id: String,
    #[schema(value_type = Uuid)]
    classroom_id: ClassroomId,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Closed {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'static str>,
}

async fn close<S: Classrooms>(call: Call<S>) -> Result<Answer, Fault> {
    let Closing { session_key } = call.json(r#"expected {"session_key": {"agent_id": text, "classroom_id": uuid}}"#)?;
    Ok(match call.house.close(session_key.classroom_id, session_key.agent_id).await.map_err(Fault::Store)? {
        true => answer::json(StatusCode::OK, &Closed { r#type: "delete_success", payload: None }),
        false => answer::json(StatusCode::NOT_FOUND, &Closed { r#type: "delete_failure", payload: Some("not_found") }),
    })
}

#[derive(Deserialize, utoipa::ToSchema)]
struct Event<'a> {
    entity_type: String,
    operation: String,
    #[serde(borrow)]
    #[schema(value_type = Object)]
    payload: &'a RawValue,
    sequence_id: Option<i64>,
    receiver: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Published {
    sequence_id: i64,
    members: u64,
}

async fn publish<S: Classrooms>(call: Call<S>) -> Result<Answer, Fault> {
    let classroom = call.param("classroom", NO_CLASSROOM)?;
    let event = call.json(
        r#"expected {"entity_type": text, "operation": text, "payload": object, "sequence_id"?: number, "receiver"?: text}"#,
    )?;
    let (sequence_id, members) = call.house.publish(classroom, publication(event)?).await.map_err(Fault::Store)?;
    Ok(answer::json(StatusCode::OK, &Published { sequence_id, members }))
}

fn publication(event: Event<'_>) -> Result<Publication, Fault> {
    let Event { entity_type, operation, payload, sequence_id, receiver } = event;
    if !asks::is_name(&entity_type) || !asks::is_name(&operation) {
        return Err(Fault::WrongShape("entity_type and operation are 1 to 64 of a-z, 0-9 and _"));
    }
    if !payload.get().starts_with('{') {
        return Err(Fault::WrongShape("payload is an object"));
    }
    Ok(Publication { entity_type, operation, sequence_id, payload: payload.get().into(), receiver, sender: None })
}

async fn attended<S: Classrooms + Clock>(call: Call<S>) -> Result<Answer, Fault> {
    let classroom = call.param("classroom", NO_CLASSROOM)?;
    attendance::answer(&call, classroom).await
}

/// Rooms in one answer: the default, and the most.
const ROOMS: (u32, u32) = (100, 1000);

#[derive(Serialize, utoipa::ToSchema)]
struct Room {
    #[schema(value_type = Uuid)]
    classroom_id: ClassroomId,
    members: u64,
}

async fn occupied<S: Classrooms>(call: Call<S>) -> Result<Answer, Fault> {
    let limit = call.number("limit", ROOMS.0, "limit is a whole number, not negative")?.min(ROOMS.1);
    let rooms = call.house.occupied(limit).await?;
    let rooms: Vec<_> = rooms.into_iter().map(|(classroom_id, members)| Room { classroom_id, members }).collect();
    Ok(answer::json(StatusCode::OK, &rooms))
}

#[derive(Serialize, utoipa::ToSchema)]
struct NodeShape<'a> {
    version: &'a str,
    shards: u16,
    started_at: Iso,
    phase: &'a str,
    drain: Option<DrainShape>,
    keys: Vec<KeyShape<'a>>,
    certificates: Vec<CertificateShape<'a>>,
    key_sets: Vec<KeySetShape<'a>>,
    nodes: Option<Vec<PeerShape<'a>>>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct DrainShape {
    elapsed_seconds: f64,
    limit_seconds: f64,
}

#[derive(Serialize, utoipa::ToSchema)]
struct KeyShape<'a> {
    name: &'a str,
    written_at: Option<Iso>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct CertificateShape<'a> {
    listener: &'a str,
    subject: &'a str,
    not_before: Iso,
    not_after: Iso,
}

#[derive(Serialize, utoipa::ToSchema)]
struct KeySetShape<'a> {
    api: &'a str,
    issuer: &'a str,
    place: &'a str,
    read_at: Option<Iso>,
    changed_at: Option<Iso>,
    keys: usize,
    former: usize,
    fault: Option<&'a str>,
}

impl<'a> From<&'a Certificate> for CertificateShape<'a> {
    fn from(Certificate { listener, subject, not_before, not_after }: &'a Certificate) -> Self {
        CertificateShape { listener, subject, not_before: Iso(*not_before), not_after: Iso(*not_after) }
    }
}

impl<'a> From<&'a KeySet> for KeySetShape<'a> {
    fn from(KeySet { api, issuer, place, read_at, changed_at, keys, former, fault }: &'a KeySet) -> Self {
        let (read_at, changed_at) = (read_at.map(Iso), changed_at.map(Iso));
        KeySetShape { api, issuer, place, read_at, changed_at, keys: *keys, former: *former, fault: fault.as_deref() }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct PeerShape<'a> {
    name: &'a str,
    slot: u16,
    epoch: i64,
    version: &'a str,
    is_alive: bool,
    is_self: bool,
}

impl<'a> From<&'a Peer> for PeerShape<'a> {
    fn from(Peer { name, slot, epoch, version, is_alive, is_self }: &'a Peer) -> Self {
        PeerShape { name, slot: *slot, epoch: *epoch, version, is_alive: *is_alive, is_self: *is_self }
    }
}

async fn node<S: Observatory>(call: Call<S>) -> Result<Answer, Fault> {
    let Node { version, shards, started_at, phase, drain, keys, certificates, key_sets, nodes } = &call.house.node().await;
    let shape = NodeShape {
        version,
        shards: *shards,
        started_at: Iso(*started_at),
        phase,
        drain: drain
            .map(|(elapsed, limit)| DrainShape { elapsed_seconds: elapsed.as_secs_f64(), limit_seconds: limit.as_secs_f64() }),
        keys: keys.iter().map(|(name, written)| KeyShape { name, written_at: written.map(Iso) }).collect(),
        certificates: certificates.iter().map(CertificateShape::from).collect(),
        key_sets: key_sets.iter().map(KeySetShape::from).collect(),
        nodes: nodes.as_ref().map(|nodes| nodes.iter().map(PeerShape::from).collect()),
    };
    Ok(answer::json(StatusCode::OK, &shape))
}

async fn metrics<S: Observatory>(call: Call<S>) -> Result<Answer, Fault> {
    Ok(answer::typed(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", call.house.metrics()))
}

/// That this is answered is the answer: a shard that cannot go on takes the process with it.
async fn livez<S>(_: Call<S>) -> Result<Answer, Fault> {
    Ok(answer::text(StatusCode::OK, "ok\n"))
}

async fn readyz<S: Observatory>(call: Call<S>) -> Result<Answer, Fault> {
    Ok(match call.house.ready() {
        Ok(()) => answer::text(StatusCode::OK, "ok\n"),
        Err(reasons) => answer::text(StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n"),
    })
}

#[cfg(test)]
mod tests;
