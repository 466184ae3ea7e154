//! The tables of labs: the third version of the file.

/// Ids that clients know are 16 bytes; sessions name users, templates and agents as clients do, for these may be gone or never have been.
///
/// A list of all sessions has an index in each order. One of some looks at `lab_session_list` alone, which has all that can be asked for
/// but tags, or at `lab_session_tag`. Only what is shown is then read whole. What is over stays, so what is not has indexes of its own.
pub(in super::super) const THIRD: &str = "
CREATE TABLE lab_user (
    id INTEGER PRIMARY KEY,
    user_id BLOB NOT NULL UNIQUE CHECK (length(user_id) = 16),
    username TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    active INTEGER NOT NULL,
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,       -- microseconds since 1970, as all times
    last_login INTEGER
) STRICT;
CREATE INDEX lab_user_of_role ON lab_user (role, username);
CREATE TABLE lab_template (
    id INTEGER PRIMARY KEY,
    template_id BLOB NOT NULL UNIQUE CHECK (length(template_id) = 16),
    name TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    category TEXT NOT NULL,
    description TEXT NOT NULL,
    base_image TEXT NOT NULL,
    default_resources TEXT NOT NULL,   -- JSON
    vnc TEXT NOT NULL,                 -- JSON
    environment TEXT NOT NULL,         -- JSON
    persistent_home INTEGER NOT NULL,
    idle_timeout TEXT NOT NULL,
    tags TEXT NOT NULL,                -- JSON
    icon_url TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX lab_template_of_category ON lab_template (category, name);
CREATE TABLE lab_agent (
    id INTEGER PRIMARY KEY,
    agent_id BLOB NOT NULL UNIQUE CHECK (length(agent_id) = 16),
    name TEXT NOT NULL UNIQUE,
    platform TEXT NOT NULL,
    region TEXT NOT NULL,
    draining INTEGER NOT NULL,
    max_sessions INTEGER,
    max_cpu REAL,
    max_memory REAL,
    metadata TEXT NOT NULL,            -- JSON
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_heartbeat INTEGER
) STRICT;
CREATE TABLE lab_session (
    id INTEGER PRIMARY KEY,
    session_id BLOB NOT NULL UNIQUE CHECK (length(session_id) = 16),
    name TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL,
    template TEXT NOT NULL,
    platform TEXT NOT NULL,
    agent TEXT,
    state TEXT NOT NULL,
    shown TEXT NOT NULL,               -- the state's name on the wire
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_activity INTEGER,
    tags TEXT NOT NULL,                -- JSON, as given
    resources TEXT NOT NULL,           -- JSON
    persistent_home INTEGER NOT NULL,
    idle_timeout TEXT NOT NULL,
    message TEXT NOT NULL,
    place TEXT NOT NULL                -- JSON
) STRICT;
CREATE INDEX lab_session_created ON lab_session (created_at, session_id);
CREATE INDEX lab_session_updated ON lab_session (updated_at, session_id);
CREATE INDEX lab_session_shown ON lab_session (shown, session_id);
CREATE INDEX lab_session_list ON lab_session (user, session_id, created_at, updated_at, state, shown, template, platform, agent);
CREATE INDEX lab_session_left ON lab_session (created_at, session_id) WHERE state <> 'terminated';
CREATE TABLE lab_session_tag (
    tag TEXT NOT NULL,
    session INTEGER NOT NULL,
    PRIMARY KEY (tag, session)
) STRICT, WITHOUT ROWID;
CREATE TABLE lab_command (
    id INTEGER PRIMARY KEY,
    command_id BLOB NOT NULL UNIQUE CHECK (length(command_id) = 16),
    agent TEXT NOT NULL,
    session_id BLOB NOT NULL CHECK (length(session_id) = 16),
    action TEXT NOT NULL,
    data TEXT NOT NULL,                -- JSON
    progress TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX lab_command_open ON lab_command (session_id) WHERE progress NOT IN ('completed', 'failed');
CREATE TABLE revoked_token (
    token BLOB NOT NULL PRIMARY KEY CHECK (length(token) = 16),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";
