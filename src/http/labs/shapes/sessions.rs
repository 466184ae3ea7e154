//! Sessions, in the four ways in which the contract shows them.

use super::Iso;
use crate::protocols::labs::model::{Resources, Session, State};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

fn phase(state: State) -> &'static str {
    match state {
        State::Pending => "Pending",
        State::Running => "Running",
        State::Hibernating => "Hibernating",
        State::Hibernated => "Hibernated",
        State::Waking => "Waking",
        State::Terminating => "Terminating",
        State::Terminated => "Terminated",
        State::Failed => "Failed",
    }
}

/// Where it can be seen, while it can.
fn vnc_url(session: &Session) -> Option<String> {
    (session.state == State::Running).then(|| format!("/vnc-viewer/{}", session.id))
}

#[derive(Serialize, utoipa::ToSchema)]
struct StatusShape<'a> {
    phase: &'static str,
    message: &'a str,
    pod_ip: Option<&'a str>,
    vnc_url: Option<String>,
}

impl<'a> From<&'a Session> for StatusShape<'a> {
    fn from(session: &'a Session) -> StatusShape<'a> {
        StatusShape {
            phase: phase(session.state),
            message: &session.message,
            pod_ip: session.place.pod_ip.as_deref(),
            vnc_url: vnc_url(session),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct WholeStatus<'a> {
    #[serde(flatten)]
    status: StatusShape<'a>,
    pod_name: Option<&'a str>,
    container_id: Option<&'a str>,
    started_at: Option<&'a str>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct ShortStatus<'a> {
    phase: &'static str,
    message: &'a str,
}

/// A session in a list.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SessionShape<'a> {
    id: Uuid,
    name: &'a str,
    user: &'a str,
    template: &'a str,
    platform: &'a str,
    agent_id: Option<&'a str>,
    state: &'static str,
    resources: &'a Resources,
    tags: &'a [String],
    status: StatusShape<'a>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> From<&'a Session> for SessionShape<'a> {
    fn from(session: &'a Session) -> SessionShape<'a> {
        SessionShape {
            id: session.id,
            name: &session.name,
            user: &session.user,
            template: &session.template,
            platform: &session.platform,
            agent_id: session.agent.as_deref(),
            state: session.state.on_wire(),
            resources: &session.resources,
            tags: &session.tags,
            status: StatusShape::from(session),
            created_at: Iso(session.created_at),
            updated_at: Iso(session.updated_at),
        }
    }
}

/// A session that was asked for just now.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct MadeSession<'a> {
    #[serde(flatten)]
    session: SessionShape<'a>,
    namespace: &'a str,
    persistent_home: bool,
    idle_timeout: &'a str,
}

impl<'a> MadeSession<'a> {
    pub(crate) fn new(session: &'a Session, namespace: &'a str) -> MadeSession<'a> {
        MadeSession {
            session: SessionShape::from(session),
            namespace,
            persistent_home: session.persistent_home,
            idle_timeout: &session.idle_timeout,
        }
    }
}

/// A session by itself.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SessionDetails<'a> {
    id: Uuid,
    name: &'a str,
    namespace: &'a str,
    user: &'a str,
    template: &'a str,
    platform: &'a str,
    agent_id: Option<&'a str>,
    state: &'static str,
    resources: &'a Resources,
    persistent_home: bool,
    idle_timeout: &'a str,
    tags: &'a [String],
    status: WholeStatus<'a>,
    #[schema(value_type = Option<Object>)]
    platform_metadata: Option<&'a RawValue>,
    created_at: Iso,
    updated_at: Iso,
    last_activity: Option<Iso>,
}

impl<'a> SessionDetails<'a> {
    pub(crate) fn new(session: &'a Session, namespace: &'a str) -> SessionDetails<'a> {
        let place = &session.place;
        SessionDetails {
            id: session.id,
            name: &session.name,
            namespace,
            user: &session.user,
            template: &session.template,
            platform: &session.platform,
            agent_id: session.agent.as_deref(),
            state: session.state.on_wire(),
            resources: &session.resources,
            persistent_home: session.persistent_home,
            idle_timeout: &session.idle_timeout,
            tags: &session.tags,
            status: WholeStatus {
                status: StatusShape::from(session),
                pod_name: place.pod_name.as_deref(),
                container_id: place.container_id.as_deref(),
                started_at: place.started_at.as_deref(),
            },
            // It was JSON when it was taken.
            platform_metadata: place.metadata.as_deref().and_then(|metadata| serde_json::from_str(metadata).ok()),
            created_at: Iso(session.created_at),
            updated_at: Iso(session.updated_at),
            last_activity: session.last_activity.map(Iso),
        }
    }
}

/// A session that became something.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct MovedSession<'a> {
    id: Uuid,
    state: &'static str,
    status: ShortStatus<'a>,
    updated_at: Iso,
}

impl<'a> From<&'a Session> for MovedSession<'a> {
    fn from(session: &'a Session) -> MovedSession<'a> {
        MovedSession {
            id: session.id,
            state: session.state.on_wire(),
            status: ShortStatus { phase: phase(session.state), message: &session.message },
            updated_at: Iso(session.updated_at),
        }
    }
}
