//! Bodies of requests. They are read field by field, so that a refusal can name the one that is wrong, and have no type but this: what the
//! names are, for those who write them.
#![allow(dead_code)]

use crate::protocols::labs::model::Role;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What one signs in with.
#[derive(ToSchema)]
pub(super) struct Credentials {
    username: String,
    password: String,
}

/// An agent that takes new sessions, or no more.
#[derive(ToSchema)]
pub(super) struct AgentChange {
    status: Taking,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Taking {
    Online,
    Draining,
}

/// What an agent can hold, by the second dialect's names.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Holds {
    max_sessions: Option<u32>,
    /// Cores: a number, or a text such as `64 cores` or `500m`.
    cpu: Option<Quantity>,
    /// GiB: a number, or a text such as `256Gi`.
    memory: Option<Quantity>,
    storage: Option<Quantity>,
}

/// A number, or one with its unit.
#[derive(ToSchema)]
#[serde(untagged)]
enum Quantity {
    Number(u32),
    Text(Written),
}

#[derive(ToSchema)]
#[schema(pattern = r"^[0-9]{1,6}( ?(cores?|m|Mi|Gi|Ti))?$")]
struct Written(String);

/// What an agent says of itself.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Registration {
    #[schema(pattern = r"^[A-Za-z0-9._-]{1,128}$")]
    agent_id: String,
    #[schema(pattern = r"^[A-Za-z0-9._-]{1,128}$")]
    platform: String,
    #[schema(pattern = r"^[A-Za-z0-9._-]{0,128}$")]
    region: Option<String>,
    capacity: Option<Holds>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<()>,
}

/// An agent lives, and holds so many sessions.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Heartbeat {
    status: Option<String>,
    active_sessions: Option<u32>,
    capacity: Option<Holds>,
}

/// The resources of a session, where they are not its template's.
#[derive(ToSchema)]
struct Wishes {
    #[schema(pattern = r"^[1-9][0-9]{0,11}(k|K|M|G|T|Ki|Mi|Gi|Ti)?$", example = "2Gi")]
    memory: Option<String>,
    #[schema(pattern = r"^[1-9][0-9]{0,11}m?$", example = "1000m")]
    cpu: Option<String>,
}

/// What is wished for.
#[derive(ToSchema)]
pub(super) struct NewSession {
    #[schema(pattern = r"^[A-Za-z0-9._-]{1,64}$")]
    user: String,
    /// The name of one.
    template: String,
    /// Any, where it is left away.
    #[schema(pattern = r"^[A-Za-z0-9._-]{1,64}$")]
    platform: Option<String>,
    #[schema(pattern = r"^[A-Za-z0-9._-]{1,64}$")]
    region: Option<String>,
    /// `running` where it is left away.
    state: Option<Beginning>,
    resources: Option<Wishes>,
    /// As its template says, where it is left away.
    persistent_home: Option<bool>,
    /// Such as `30m`, `1h30m` or `90s`; as its template says, where it is left away.
    #[schema(pattern = r"^[1-9][0-9]{0,3}[hms]$")]
    idle_timeout: Option<String>,
    #[schema(max_items = 32)]
    tags: Option<Vec<Tag>>,
}

/// A text without commas.
#[derive(ToSchema)]
#[schema(pattern = r"^[^,]{1,64}$")]
struct Tag(String);

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Beginning {
    Running,
    Hibernated,
}

/// What a session is to become.
#[derive(ToSchema)]
pub(super) struct SessionMove {
    state: Target,
}

/// `terminated` is for admins.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Target {
    Running,
    Hibernated,
    Terminating,
    Terminated,
}

/// The resources of sessions that do not say.
#[derive(ToSchema)]
struct TemplateResources {
    #[schema(pattern = r"^[1-9][0-9]{0,11}(k|K|M|G|T|Ki|Mi|Gi|Ti)?$", example = "2Gi")]
    memory: Option<String>,
    #[schema(pattern = r"^[1-9][0-9]{0,11}m?$", example = "1000m")]
    cpu: Option<String>,
    #[schema(pattern = r"^[1-9][0-9]{0,11}(k|K|M|G|T|Ki|Mi|Gi|Ti)?$", example = "10Gi")]
    storage: Option<String>,
}

/// A screen.
#[derive(ToSchema)]
struct Screen {
    enabled: Option<bool>,
    #[schema(minimum = 1, maximum = 65535)]
    port: Option<u16>,
    #[schema(pattern = r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$", example = "1920x1080")]
    resolution: Option<String>,
    #[schema(minimum = 0, maximum = 32)]
    color_depth: Option<u8>,
}

/// What sessions are started from.
#[derive(ToSchema)]
pub(super) struct NewTemplate {
    #[schema(pattern = r"^[A-Za-z0-9._-]{1,64}$")]
    name: String,
    #[serde(flatten)]
    #[schema(inline)]
    rest: Looks,
}

/// The same, of the name in the path.
#[derive(ToSchema)]
pub(super) struct TemplateChange {
    /// That in the path, if any.
    name: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    rest: Looks,
}

#[derive(ToSchema)]
struct Looks {
    #[schema(max_length = 200)]
    display_name: Option<String>,
    #[schema(max_length = 100)]
    category: Option<String>,
    #[schema(max_length = 4000)]
    description: Option<String>,
    /// The image, or for agents of platform `host` the name of what they start.
    #[schema(pattern = r"^[!-~]{1,500}$")]
    base_image: String,
    default_resources: Option<TemplateResources>,
    vnc: Option<Screen>,
    environment: Option<BTreeMap<String, String>>,
    persistent_home: Option<bool>,
    #[schema(pattern = r"^[1-9][0-9]{0,3}[hms]$")]
    idle_timeout: Option<String>,
    #[schema(max_items = 32)]
    tags: Option<Vec<Tag>>,
    #[schema(pattern = r"^(https?://[!-~]{1,200})?$")]
    icon_url: Option<String>,
}

/// One who will sign in.
#[derive(ToSchema)]
pub(super) struct NewUser {
    #[schema(pattern = r"^[A-Za-z0-9._-]{1,64}$")]
    username: String,
    #[schema(pattern = r"^[^@\s]{1,60}@[^@\s]{1,60}$")]
    email: String,
    #[schema(min_length = 8, max_length = 200)]
    password: String,
    /// `user` where it is left away.
    role: Option<Role>,
}

/// What is to be otherwise.
#[derive(ToSchema)]
pub(super) struct UserChange {
    #[schema(pattern = r"^[^@\s]{1,60}@[^@\s]{1,60}$")]
    email: Option<String>,
    role: Option<Role>,
    active: Option<bool>,
}

/// What operators may change.
#[derive(ToSchema)]
pub(super) struct OperatorChange {
    role: Option<Role>,
    active: Option<bool>,
    #[schema(min_length = 8, max_length = 200)]
    password: Option<String>,
}

/// A new password.
#[derive(ToSchema)]
pub(super) struct NewPassword {
    #[schema(min_length = 8, max_length = 200)]
    password: String,
    /// Needed where it is one's own.
    current_password: Option<String>,
}
