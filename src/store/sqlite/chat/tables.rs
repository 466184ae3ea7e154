//! The tables of chat: the fourth version of the file.

/// Ids that clients know are 16 bytes. A list of sessions is found by `chat_session_of_owner` alone, which has all that can be asked for;
/// only what is shown is then read whole. The bytes of a file are the last of its row, so that what it is called is read without them.
pub(in super::super) const FOURTH: &str = "
CREATE TABLE chat_session (
    id INTEGER PRIMARY KEY,
    session_id BLOB NOT NULL UNIQUE CHECK (length(session_id) = 16),
    owner BLOB NOT NULL CHECK (length(owner) = 16),
    title TEXT NOT NULL,
    agent TEXT,
    status TEXT NOT NULL,
    require_approval INTEGER NOT NULL,
    metadata TEXT NOT NULL,            -- JSON
    message_count INTEGER NOT NULL,
    created_at INTEGER NOT NULL,       -- microseconds since 1970, as all times
    updated_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX chat_session_of_owner ON chat_session (owner, created_at, session_id, status, updated_at, agent);
CREATE TABLE chat_message (
    id INTEGER PRIMARY KEY,
    message_id BLOB NOT NULL UNIQUE CHECK (length(message_id) = 16),
    session INTEGER NOT NULL,
    number INTEGER NOT NULL,
    author TEXT NOT NULL,
    completeness TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost REAL NOT NULL,
    created_at INTEGER NOT NULL,
    calls TEXT NOT NULL,               -- JSON
    content TEXT NOT NULL,
    UNIQUE (session, number)
) STRICT;
CREATE INDEX chat_message_streaming ON chat_message (session) WHERE completeness = 'streaming';
CREATE TABLE chat_attachment (
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    place INTEGER NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE (message, place)
) STRICT;
CREATE TABLE chat_approval (
    id INTEGER PRIMARY KEY,
    approval_id BLOB NOT NULL UNIQUE CHECK (length(approval_id) = 16),
    session INTEGER NOT NULL,
    message_id BLOB NOT NULL CHECK (length(message_id) = 16),
    decision TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    decided_by TEXT,
    decided_at INTEGER,
    reason TEXT,
    comment TEXT,
    call TEXT NOT NULL                 -- JSON
) STRICT;
CREATE INDEX chat_approval_decided ON chat_approval (session, decided_at);
CREATE INDEX chat_approval_pending ON chat_approval (id) WHERE decision = 'pending';
CREATE INDEX lab_user_of_email ON lab_user (email COLLATE NOCASE, created_at, user_id);
";
