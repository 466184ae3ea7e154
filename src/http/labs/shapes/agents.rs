//! Agents.

use super::Iso;
use crate::{
    protocols::labs::asks::{AgentView, Placed},
    realtime::UnixMicros,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use uuid::Uuid;

/// How an agent is shown. One without a connection is offline, whatever an admin decided for its return.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AgentStatus)]
pub(crate) enum Status {
    /// It takes new sessions.
    Online,
    /// It is not connected.
    Offline,
    /// It takes none.
    Draining,
}

impl From<&AgentView> for Status {
    fn from(view: &AgentView) -> Status {
        match (&view.connection, view.agent.draining) {
            (None, _) => Status::Offline,
            (Some(_), true) => Status::Draining,
            (Some(_), false) => Status::Online,
        }
    }
}

/// A number without a fraction where it has none.
#[derive(Clone, Copy, utoipa::ToSchema)]
#[schema(value_type = f64)]
struct Amount(f64);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_whole = self.0.fract() == 0.0 && self.0.abs() < 1e15;
        if is_whole { serializer.serialize_i64(self.0 as i64) } else { serializer.serialize_f64(self.0) }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct CapacityShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_cpu: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_memory: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sessions: Option<u32>,
    current_sessions: usize,
}

/// An agent in a list.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AgentShape<'a> {
    id: Uuid,
    agent_id: &'a str,
    platform: &'a str,
    region: &'a str,
    status: Status,
    capacity: CapacityShape,
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a RawValue>,
    websocket_conn_id: Option<&'a str>,
    last_heartbeat: Option<Iso>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> From<&'a AgentView> for AgentShape<'a> {
    fn from(view: &'a AgentView) -> AgentShape<'a> {
        let agent = &view.agent;
        AgentShape {
            id: agent.id,
            agent_id: &agent.name,
            platform: &agent.platform,
            region: &agent.region,
            status: Status::from(view),
            capacity: CapacityShape {
                max_cpu: agent.max_cpu.map(Amount),
                max_memory: agent.max_memory.map(Amount),
                max_sessions: agent.max_sessions,
                current_sessions: view.sessions.len(),
            },
            // It was JSON when it was taken.
            metadata: serde_json::from_str(&agent.metadata).ok(),
            websocket_conn_id: view.connection.as_deref(),
            last_heartbeat: agent.last_heartbeat.map(Iso),
            created_at: Iso(agent.created_at),
            updated_at: Iso(agent.updated_at),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct PlacedShape<'a> {
    id: Uuid,
    name: &'a str,
    user: &'a str,
    template: &'a str,
    state: &'static str,
}

/// An agent by itself.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AgentDetails<'a> {
    #[serde(flatten)]
    agent: AgentShape<'a>,
    uptime_seconds: Option<i64>,
    sessions: Vec<PlacedShape<'a>>,
}

impl<'a> AgentDetails<'a> {
    /// With those of its sessions that may be seen.
    pub(crate) fn new(view: &'a AgentView, now: UnixMicros, may_see: impl Fn(&str) -> bool) -> AgentDetails<'a> {
        let seen = view.sessions.iter().filter(|(_, _, user, ..)| may_see(user));
        let shape =
            |(id, name, user, template, state): &'a Placed| PlacedShape { id: *id, name, user, template, state: state.on_wire() };
        AgentDetails {
            agent: AgentShape::from(view),
            uptime_seconds: view.connected_at.map(|since| (now.seconds() - since.seconds()).max(0)),
            sessions: seen.map(shape).collect(),
        }
    }
}

/// An agent that takes new sessions, or no more.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct DrainedShape<'a> {
    id: Uuid,
    agent_id: &'a str,
    status: Status,
    updated_at: Iso,
}

impl<'a> From<&'a AgentView> for DrainedShape<'a> {
    fn from(view: &'a AgentView) -> DrainedShape<'a> {
        let agent = &view.agent;
        DrainedShape { id: agent.id, agent_id: &agent.name, status: Status::from(view), updated_at: Iso(agent.updated_at) }
    }
}

/// What an agent holds, by the second dialect's names.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct CapacityInField {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sessions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Amount>,
}

/// An agent that has registered by HTTP.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnrolledShape<'a> {
    id: Uuid,
    agent_id: &'a str,
    platform: &'a str,
    region: &'a str,
    status: Status,
    capacity: CapacityInField,
    last_heartbeat: Option<Iso>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a RawValue>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> From<&'a AgentView> for EnrolledShape<'a> {
    fn from(view: &'a AgentView) -> EnrolledShape<'a> {
        let agent = &view.agent;
        EnrolledShape {
            id: agent.id,
            agent_id: &agent.name,
            platform: &agent.platform,
            region: &agent.region,
            status: Status::from(view),
            capacity: CapacityInField {
                max_sessions: agent.max_sessions,
                cpu: agent.max_cpu.map(Amount),
                memory: agent.max_memory.map(Amount),
            },
            last_heartbeat: agent.last_heartbeat.map(Iso),
            metadata: serde_json::from_str(&agent.metadata).ok(),
            created_at: Iso(agent.created_at),
            updated_at: Iso(agent.updated_at),
        }
    }
}

/// An agent that said by HTTP that it lives.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PulseShape<'a> {
    message: &'static str,
    agent_id: &'a str,
    status: Status,
    last_heartbeat: Option<Iso>,
}

impl<'a> From<&'a AgentView> for PulseShape<'a> {
    fn from(view: &'a AgentView) -> PulseShape<'a> {
        PulseShape {
            message: "Heartbeat updated",
            agent_id: &view.agent.name,
            status: Status::from(view),
            last_heartbeat: view.agent.last_heartbeat.map(Iso),
        }
    }
}

#[derive(Serialize, Default, utoipa::ToSchema)]
struct TotalShape {
    max_sessions: u64,
    current_sessions: u64,
}

#[derive(Serialize, Default, utoipa::ToSchema)]
struct UtilizationShape {
    percentage: f64,
    sessions_available: u64,
}

/// All agents, counted.
#[derive(Serialize, Default, utoipa::ToSchema)]
pub(crate) struct Statistics<'a> {
    total_agents: u64,
    online_agents: u64,
    offline_agents: u64,
    draining_agents: u64,
    by_platform: BTreeMap<&'a str, u64>,
    total_capacity: TotalShape,
    utilization: UtilizationShape,
}

impl<'a> Statistics<'a> {
    /// Of these. Those who did not say how many sessions they can hold add nothing to the most.
    pub(crate) fn of(agents: &'a [AgentView]) -> Statistics<'a> {
        let mut all = Statistics::default();
        for view in agents {
            all.total_agents += 1;
            match Status::from(view) {
                Status::Online => all.online_agents += 1,
                Status::Offline => all.offline_agents += 1,
                Status::Draining => all.draining_agents += 1,
            }
            *all.by_platform.entry(&*view.agent.platform).or_default() += 1;
            all.total_capacity.max_sessions += u64::from(view.agent.max_sessions.unwrap_or(0));
            all.total_capacity.current_sessions += view.sessions.len() as u64;
        }
        let TotalShape { max_sessions, current_sessions } = all.total_capacity;
        let percentage = if max_sessions == 0 { 0.0 } else { current_sessions as f64 / max_sessions as f64 * 100.0 };
        all.utilization = UtilizationShape {
            percentage: (percentage * 10.0).round() / 10.0,
            sessions_available: max_sessions.saturating_sub(current_sessions),
        };
        all
    }
}
