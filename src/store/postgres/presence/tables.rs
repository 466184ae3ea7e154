//! The first version of the tables: nodes, and who is in which room.

/// Times of sessions are microseconds since 1970 by the clock of the node that wrote them; those of nodes are the database's.
///
/// A room's history is found by when it ended, an agent's in a room likewise.
pub(in super::super) const FIRST: &str = r#"
CREATE TABLE node (
    slot smallint PRIMARY KEY,
    epoch bigint NOT NULL UNIQUE,
    name text COLLATE "C" NOT NULL UNIQUE,
    address text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    lease_until timestamptz NOT NULL,
    held_since timestamptz NOT NULL,    -- without a gap
    seen_at timestamptz NOT NULL        -- last renewed: that late its sessions were alive
) WITH (fillfactor = 50);
CREATE SEQUENCE node_epoch;
CREATE SEQUENCE agent_session_number;
CREATE TABLE agent_session (
    id bigint PRIMARY KEY,
    classroom uuid NOT NULL,
    agent_id text COLLATE "C" NOT NULL CHECK (agent_id <> ''),
    node smallint NOT NULL,
    epoch bigint NOT NULL,              -- the node's, that began it
    started_at bigint NOT NULL,
    UNIQUE (classroom, agent_id)
);
CREATE INDEX agent_session_of_node ON agent_session (epoch);
CREATE TABLE agent_session_history (
    classroom uuid NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    lower bigint NOT NULL,
    upper bigint NOT NULL,
    id bigint NOT NULL
);
CREATE INDEX agent_session_history_of_room ON agent_session_history (classroom, upper);
CREATE INDEX agent_session_history_of_agent ON agent_session_history (classroom, agent_id, upper);
"#;
