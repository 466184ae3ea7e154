//! The tables of tasks: the fifth version of the file.

/// Ids that clients know are 16 bytes. Each list has an index in its order, of all and of one owner, which has the status too; only what is
/// shown is then read whole. What is over stays, so what is not has indexes of its own.
pub(in super::super) const FIFTH: &str = "
CREATE TABLE task (
    id INTEGER PRIMARY KEY,
    task_id BLOB NOT NULL UNIQUE CHECK (length(task_id) = 16),
    owner TEXT NOT NULL,
    title TEXT NOT NULL,
    kind TEXT NOT NULL,
    priority TEXT NOT NULL,
    agent TEXT,
    model TEXT,
    status TEXT NOT NULL,
    progress REAL NOT NULL,
    cost REAL NOT NULL,
    created_at INTEGER NOT NULL,       -- microseconds since 1970, as all times
    updated_at INTEGER NOT NULL,
    completed_at INTEGER,
    error TEXT,
    task TEXT NOT NULL,
    parameters TEXT NOT NULL,          -- JSON
    result TEXT                        -- JSON
) STRICT;
CREATE INDEX task_made ON task (created_at, task_id);
CREATE INDEX task_of_status ON task (status, created_at, task_id);
CREATE INDEX task_of_owner ON task (owner, created_at, task_id, status);
CREATE INDEX task_left ON task (created_at, task_id) WHERE status NOT IN ('completed', 'failed');
CREATE TABLE execution (
    id INTEGER PRIMARY KEY,
    execution_id BLOB NOT NULL UNIQUE CHECK (length(execution_id) = 16),
    owner TEXT NOT NULL,
    workflow TEXT NOT NULL,
    status TEXT NOT NULL,
    current_step TEXT,
    cost REAL NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    completed_at INTEGER,
    error TEXT,
    input TEXT NOT NULL,               -- JSON
    results TEXT NOT NULL              -- JSON
) STRICT;
CREATE INDEX execution_made ON execution (created_at, execution_id);
CREATE INDEX execution_of_status ON execution (status, created_at, execution_id);
CREATE INDEX execution_of_owner ON execution (owner, created_at, execution_id, status);
CREATE INDEX execution_left ON execution (created_at, execution_id) WHERE status NOT IN ('completed', 'failed');
";
