//! The tables of quizzes: the second version of the file.

/// Owners, participants, events and attempts are written once and meant by small numbers; ids that clients know are 16 bytes. What owners
/// list has an index in the order of the list.
///
/// Answers lie on shelves, as `history` has them: a shelf takes what comes until it has many rows, and on it an answer is found by quiz and
/// attempt. So what one batch writes lies on few pages, from however many attempts it comes, and a page is moved from the log to the file
/// when its shelf is done. Of two answers to one question the one on the later shelf counts. An attempt knows the shelves between which its
/// answers lie.
pub(in super::super) const SECOND: &str = "
CREATE TABLE owner (
    id INTEGER PRIMARY KEY,
    owner_id TEXT NOT NULL UNIQUE CHECK (owner_id <> '')
) STRICT;
CREATE TABLE account (
    name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
    password_hash TEXT NOT NULL,
    changed_at INTEGER NOT NULL        -- microseconds since 1970, as all times
) STRICT, WITHOUT ROWID;
CREATE TABLE api_key (
    id INTEGER PRIMARY KEY,
    key_id BLOB NOT NULL UNIQUE CHECK (length(key_id) = 16),
    owner INTEGER NOT NULL,
    label TEXT NOT NULL,
    role TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    hint TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX api_key_of_owner ON api_key (owner);
CREATE TABLE quiz (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    status TEXT NOT NULL,
    access_code TEXT NOT NULL,
    title TEXT NOT NULL,
    access_type TEXT NOT NULL,
    availability TEXT NOT NULL,
    opens_at INTEGER,
    closes_at INTEGER,
    time_limit_seconds INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    submission_mode TEXT NOT NULL,
    client_only INTEGER NOT NULL,
    questions INTEGER NOT NULL,        -- how many
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX quiz_of_owner ON quiz (owner);
CREATE TABLE question (
    quiz INTEGER NOT NULL,
    question_id BLOB NOT NULL CHECK (length(question_id) = 16),
    place INTEGER NOT NULL,            -- only their order means something
    text TEXT NOT NULL,
    points REAL NOT NULL,
    kind TEXT NOT NULL,                -- JSON
    PRIMARY KEY (quiz, question_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE participant (
    id INTEGER PRIMARY KEY,
    participant_id BLOB NOT NULL UNIQUE CHECK (length(participant_id) = 16),
    owner INTEGER NOT NULL,
    alias TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX participant_of_owner ON participant (owner);
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    event_id BLOB NOT NULL UNIQUE CHECK (length(event_id) = 16),
    owner INTEGER NOT NULL,
    title TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX event_of_owner ON event (owner);
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    attempt_id BLOB NOT NULL UNIQUE CHECK (length(attempt_id) = 16),
    quiz INTEGER NOT NULL,
    owner INTEGER NOT NULL,            -- the quiz's
    participant INTEGER NOT NULL,
    event INTEGER,
    alias TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    deadline INTEGER,
    flags INTEGER NOT NULL,            -- how many
    first_shelf INTEGER NOT NULL,      -- no answer lies before it
    reason TEXT,                       -- this and all below once it is over
    ended_at INTEGER,
    score REAL,
    answered_count INTEGER,
    last_answer INTEGER,               -- null also where only the answers tell it
    last_shelf INTEGER                 -- no answer lies after it
) STRICT;
CREATE INDEX attempt_of_owner ON attempt (owner);
CREATE INDEX attempt_of_quiz ON attempt (quiz);
CREATE INDEX attempt_of_participant ON attempt (participant);
CREATE INDEX attempt_of_event ON attempt (event) WHERE event IS NOT NULL;
CREATE INDEX attempt_running ON attempt (quiz) WHERE ended_at IS NULL;
CREATE INDEX attempt_flagged ON attempt (owner, quiz) WHERE flags > 0;
CREATE INDEX attempt_result ON attempt (quiz, score DESC, ended_at - started_at, attempt_id) WHERE ended_at IS NOT NULL;
CREATE TABLE answer (
    shelf INTEGER NOT NULL,
    quiz INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    question_id BLOB NOT NULL CHECK (length(question_id) = 16),
    answer_id BLOB NOT NULL CHECK (length(answer_id) = 16),
    given TEXT NOT NULL,               -- JSON
    is_correct INTEGER,
    score REAL NOT NULL,
    answered_at INTEGER NOT NULL,
    PRIMARY KEY (shelf, quiz, attempt, question_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE flag (
    attempt INTEGER NOT NULL,
    number INTEGER NOT NULL,           -- in their order
    label TEXT NOT NULL,
    detail TEXT,                       -- JSON
    question_id BLOB CHECK (length(question_id) = 16),
    occurred_at INTEGER NOT NULL,
    flagged_at INTEGER NOT NULL,
    PRIMARY KEY (attempt, number)
) STRICT, WITHOUT ROWID;
";
