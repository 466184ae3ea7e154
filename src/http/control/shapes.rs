//! What the routes of operators take and tell, as JSON.

use super::{Changed, LONGEST, Load, Paced, ShardLoad, Status};
use crate::{
    http::iso::Iso,
    realtime::{
        ClassroomId,
        survey::{ReaderSeen, RoomSeen, Whom},
    },
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// One of them.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Kick {
    user: Option<String>,
    #[schema(value_type = Option<Uuid>)]
    classroom: Option<ClassroomId>,
    connection: Option<String>,
}

impl Kick {
    pub(super) fn whom(self) -> Option<Whom> {
        match (self.user, self.classroom, self.connection) {
            (Some(user), None, None) if !user.is_empty() => Some(Whom::User(user)),
            (None, Some(classroom), None) => Some(Whom::Classroom(classroom)),
            (None, None, Some(connection)) => connection.parse().ok().map(Whom::Connection),
            _ => None,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Kicked {
    pub(super) closed: u64,
    pub(super) silent_shards: u16,
}

/// Without `over_seconds` all are told at once, as on SIGTERM.
#[derive(Deserialize, Default, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drain {
    /// How long it takes from the first connection that is closed to the last.
    #[schema(minimum = 0, maximum = 86400)]
    over_seconds: Option<f64>,
    /// How long readiness is gone before the first is closed; 5 unless told.
    #[schema(minimum = 0, maximum = 86400)]
    lead_seconds: Option<f64>,
}

/// So long a balancer has to see that the node is not ready any more.
const LEAD: Duration = Duration::from_secs(5);

impl Drain {
    /// Whether at a pace, and at which; none: it is not one that can be kept.
    pub(super) fn pace(&self) -> Option<Option<Paced>> {
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= LONGEST);
        match (self.over_seconds, self.lead_seconds) {
            (None, None) => Some(None),
            (None, Some(_)) => None,
            (Some(over), lead) => Some(Some(Paced { over: time(over)?, lead: lead.map_or(Some(LEAD), time)? })),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Drained {
    pub(super) at_most_seconds: f64,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Reloaded {
    changed: Vec<String>,
    keys: Vec<String>,
    waiting: Vec<String>,
}

impl From<Changed> for Reloaded {
    fn from(Changed { settings, keys, waiting }: Changed) -> Reloaded {
        Reloaded { changed: settings, keys, waiting }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct StatusShape<'a> {
    version: &'a str,
    started_at: Iso,
    uptime_seconds: f64,
    phase: &'a str,
    drain: Option<StopShape>,
    ready: bool,
    reasons: &'a [String],
    shards: u16,
    connections: u64,
    sockets: BTreeMap<&'a str, u64>,
    classrooms: u64,
    members: u64,
    slow_readers: u64,
}

#[derive(Serialize, utoipa::ToSchema)]
struct StopShape {
    elapsed_seconds: f64,
    limit_seconds: f64,
}

impl<'a> From<&'a Status> for StatusShape<'a> {
    fn from(status: &'a Status) -> StatusShape<'a> {
        let uptime = u64::try_from(status.now.0.saturating_sub(status.started_at.0)).unwrap_or_default();
        StatusShape {
            version: status.version,
            started_at: Iso(status.started_at),
            uptime_seconds: Duration::from_micros(uptime).as_secs_f64(),
            phase: status.phase,
            drain: status
                .drain
                .map(|(elapsed, limit)| StopShape { elapsed_seconds: elapsed.as_secs_f64(), limit_seconds: limit.as_secs_f64() }),
            ready: status.unready.is_empty(),
            reasons: &status.unready,
            shards: status.shards,
            connections: status.connections,
            sockets: status.sockets.iter().copied().collect(),
            classrooms: status.rooms,
            members: status.members,
            slow_readers: status.slow_readers,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct LoadShape<'a> {
    at_seconds: f64,
    shards: Vec<ShardShape>,
    classrooms: Vec<RoomShape>,
    slow_readers: Vec<ReaderShape<'a>>,
    closed: BTreeMap<&'a str, u64>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct ShardShape {
    shard: u16,
    worked_seconds: Option<f64>,
    connections: u64,
    handshakes: u64,
    classrooms: u64,
    members: u64,
    queue: u64,
    turns: u64,
    accepted: u64,
    messages: u64,
    delivered: u64,
    dropped: u64,
    sends: u64,
    slow_readers: u64,
}

#[derive(Serialize, utoipa::ToSchema)]
struct RoomShape {
    #[schema(value_type = Uuid)]
    classroom_id: ClassroomId,
    members: u64,
    published_a_second: Option<f64>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct ReaderShape<'a> {
    connection: String,
    api: &'a str,
    user: Option<&'a str>,
    waiting_bytes: usize,
    bound_bytes: usize,
}

impl<'a> From<&'a Load> for LoadShape<'a> {
    fn from(load: &'a Load) -> LoadShape<'a> {
        LoadShape {
            at_seconds: load.at.0 as f64 / 1e6,
            shards: load.shards.iter().map(ShardShape::from).collect(),
            classrooms: load.rooms.iter().map(RoomShape::from).collect(),
            slow_readers: load.readers.iter().map(ReaderShape::from).collect(),
            closed: load.closed.iter().map(|(ending, count)| (ending.as_str(), *count)).collect(),
        }
    }
}

impl From<&ShardLoad> for ShardShape {
    fn from(load: &ShardLoad) -> ShardShape {
        ShardShape {
            shard: load.shard,
            worked_seconds: load.worked.map(|worked| worked.as_secs_f64()),
            connections: load.connections,
            handshakes: load.handshakes,
            classrooms: load.rooms,
            members: load.members,
            queue: load.queue,
            turns: load.turns,
            accepted: load.accepted,
            messages: load.messages,
            delivered: load.delivered,
            dropped: load.dropped,
            sends: load.sends,
            slow_readers: load.slow_readers,
        }
    }
}

impl From<&RoomSeen> for RoomShape {
    fn from(room: &RoomSeen) -> RoomShape {
        RoomShape { classroom_id: room.classroom, members: room.members, published_a_second: room.rate }
    }
}

impl<'a> From<&'a ReaderSeen> for ReaderShape<'a> {
    fn from(reader: &'a ReaderSeen) -> ReaderShape<'a> {
        ReaderShape {
            connection: reader.conn.to_string(),
            api: reader.api,
            user: reader.user.as_deref(),
            waiting_bytes: reader.waiting,
            bound_bytes: reader.bound,
        }
    }
}
