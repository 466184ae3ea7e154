//! The tables of quizzes: the second version.

/// Owners are written as they are called; ids that clients know are `uuid`. What owners list has an index in the order of the list, and a
/// number that says what was written last. Of two answers to one question the later is kept.
pub(in super::super) const SECOND: &str = r#"
CREATE TABLE account (
    name text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    password_hash text COLLATE "C" NOT NULL,
    changed_at bigint NOT NULL
);
CREATE TABLE api_key (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id uuid NOT NULL UNIQUE,
    owner text COLLATE "C" NOT NULL CHECK (owner <> ''),
    label text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    hint text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    revoked_at bigint
);
CREATE INDEX api_key_of_owner ON api_key (owner, id);
CREATE TABLE quiz (
    id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991) PRIMARY KEY,
    owner text COLLATE "C" NOT NULL CHECK (owner <> ''),
    status text COLLATE "C" NOT NULL,
    access_code text COLLATE "C" NOT NULL,
    title text COLLATE "C" NOT NULL,
    access_type text COLLATE "C" NOT NULL,
    availability text COLLATE "C" NOT NULL,
    opens_at bigint,
    closes_at bigint,
    time_limit_seconds bigint NOT NULL,
    max_attempts bigint NOT NULL,
    submission_mode text COLLATE "C" NOT NULL,
    client_only boolean NOT NULL,
    questions bigint NOT NULL,          -- how many
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);
CREATE INDEX quiz_of_owner ON quiz (owner, id);
CREATE TABLE question (
    quiz bigint NOT NULL,
    question_id uuid NOT NULL,
    place bigint NOT NULL,              -- only their order means something
    text text COLLATE "C" NOT NULL,
    points double precision NOT NULL,
    kind text COLLATE "C" NOT NULL,     -- JSON
    PRIMARY KEY (quiz, question_id)
);
CREATE TABLE participant (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    participant_id uuid NOT NULL UNIQUE,
    owner text COLLATE "C" NOT NULL CHECK (owner <> ''),
    alias text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX participant_of_owner ON participant (owner, id);
CREATE TABLE event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    owner text COLLATE "C" NOT NULL CHECK (owner <> ''),
    title text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX event_of_owner ON event (owner, id);
CREATE TABLE attempt (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    attempt_id uuid NOT NULL UNIQUE,
    quiz bigint NOT NULL,
    owner text COLLATE "C" NOT NULL,    -- the quiz's
    participant uuid NOT NULL,
    event uuid,
    alias text COLLATE "C" NOT NULL,
    started_at bigint NOT NULL,
    deadline bigint,
    flags bigint NOT NULL DEFAULT 0,    -- how many
    reason text COLLATE "C",            -- this and all below once it is over
    ended_at bigint,
    score double precision,
    answered_count bigint,
    last_answer bigint
);
CREATE INDEX attempt_of_owner ON attempt (owner, id);
CREATE INDEX attempt_of_quiz ON attempt (quiz, id);
CREATE INDEX attempt_of_participant ON attempt (participant, id);
CREATE INDEX attempt_of_event ON attempt (event, id) WHERE event IS NOT NULL;
CREATE INDEX attempt_running ON attempt (quiz) WHERE ended_at IS NULL;
CREATE INDEX attempt_flagged ON attempt (owner, quiz) WHERE flags > 0;
CREATE INDEX attempt_result ON attempt (quiz, score DESC, (ended_at - started_at), attempt_id) WHERE ended_at IS NOT NULL;
CREATE TABLE answer (
    attempt bigint NOT NULL,
    question_id uuid NOT NULL,
    answer_id uuid NOT NULL,
    given text COLLATE "C" NOT NULL,    -- JSON
    is_correct boolean,
    score double precision NOT NULL,
    answered_at bigint NOT NULL,
    latest_at bigint NOT NULL,          -- of all to this question
    PRIMARY KEY (attempt, question_id)
);
CREATE TABLE flag (
    attempt bigint NOT NULL,
    number bigint NOT NULL,             -- in their order
    label text COLLATE "C" NOT NULL,
    detail text COLLATE "C",            -- JSON
    question_id uuid,
    occurred_at bigint NOT NULL,
    flagged_at bigint NOT NULL,
    PRIMARY KEY (attempt, number)
);
"#;
