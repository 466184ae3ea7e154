//! What the registry changes: agents, sessions, commands, each a whole row.

use super::{
    super::{
        columns::{Word, column, text, to_json},
        conn::Conn,
        fault::Fault,
    },
    people::done,
};
use crate::{
    protocols::labs::{
        model::{Agent, Command, Session, SessionId},
        record::{Change, Kept},
    },
    realtime::{StoreFault, UnixMicros},
};
use std::borrow::Cow;
use uuid::Uuid;

/// The indexes in which a name meets the same one of another node, which wrote it a moment ago.
const NAMES: [&str; 2] = ["lab_agent_name", "lab_session_name"];

/// The answer to what the tables refuse.
pub(super) fn refused(fault: &Fault) -> Result<Kept, StoreFault> {
    if fault.constraint().is_some_and(|index| NAMES.contains(&index)) { Ok(Kept::Taken) } else { Err(StoreFault::Failed) }
}

/// A change whose names are free.
pub(super) async fn keep(conn: &Conn, change: &Change) -> Result<Kept, Fault> {
    if is_taken(conn, change).await? {
        return Ok(Kept::Taken);
    }
    if let Some(new) = &change.agent {
        agent(conn, new).await?;
    }
    if let Some(new) = &change.session {
        session(conn, new).await?;
    }
    if let Some(new) = &change.command {
        command(conn, new).await?;
    }
    Ok(Kept::Done)
}

async fn is_taken(conn: &Conn, change: &Change) -> Result<bool, Fault> {
    let agent = change.agent.as_ref().map(|agent| (text(&agent.name), agent.id)).unzip();
    let session = change.session.as_ref().map(|session| (text(&session.name), session.id)).unzip();
    if agent.0.is_none() && session.0.is_none() {
        return Ok(false);
    }
    let taken = conn
        .one(
            "SELECT EXISTS (SELECT 1 FROM lab_agent WHERE name = $1 AND agent_id <> $2)
                OR EXISTS (SELECT 1 FROM lab_session WHERE name = $3 AND session_id <> $4)",
            &[&agent.0, &agent.1, &session.0, &session.1],
        )
        .await?;
    column(&taken, 0)
}

pub(super) async fn no_agent(conn: &Conn, agent: Uuid) -> Result<Kept, Fault> {
    Ok(done(conn.execute("DELETE FROM lab_agent WHERE agent_id = $1", &[&agent]).await?))
}

pub(super) async fn activity(conn: &Conn, session: SessionId, at: UnixMicros) -> Result<Kept, Fault> {
    let changed = conn
        .execute("UPDATE lab_session SET last_activity = greatest(last_activity, $2) WHERE session_id = $1", &[&session, &at.0])
        .await?;
    Ok(done(changed))
}

async fn agent(conn: &Conn, agent: &Agent) -> Result<(), Fault> {
    conn.execute(
        "INSERT INTO lab_agent (agent_id, name, platform, region, draining, max_sessions, max_cpu, max_memory, metadata, created_at,
            updated_at, last_heartbeat)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (agent_id) DO UPDATE SET name = EXCLUDED.name, platform = EXCLUDED.platform, region = EXCLUDED.region,
            draining = EXCLUDED.draining, max_sessions = EXCLUDED.max_sessions, max_cpu = EXCLUDED.max_cpu,
            max_memory = EXCLUDED.max_memory, metadata = EXCLUDED.metadata, created_at = EXCLUDED.created_at,
            updated_at = EXCLUDED.updated_at, last_heartbeat = EXCLUDED.last_heartbeat",
        &[
            &agent.id,
            &text(&agent.name),
            &text(&agent.platform),
            &text(&agent.region),
            &agent.draining,
            &agent.max_sessions.map(i64::from),
            &agent.max_cpu,
            &agent.max_memory,
            &text(&agent.metadata),
            &agent.created_at.0,
            &agent.updated_at.0,
            &agent.last_heartbeat.map(|at| at.0),
        ],
    )
    .await?;
    Ok(())
}

/// The row, and its tags for who searches.
async fn session(conn: &Conn, session: &Session) -> Result<(), Fault> {
    let number = conn
        .one(
            r#"INSERT INTO lab_session (session_id, name, "user", template, platform, agent, state, shown, created_at, updated_at,
                last_activity, tags, resources, persistent_home, idle_timeout, message, place)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
             ON CONFLICT (session_id) DO UPDATE SET name = EXCLUDED.name, "user" = EXCLUDED."user", template = EXCLUDED.template,
                platform = EXCLUDED.platform, agent = EXCLUDED.agent, state = EXCLUDED.state, shown = EXCLUDED.shown,
                created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at, last_activity = EXCLUDED.last_activity,
                tags = EXCLUDED.tags, resources = EXCLUDED.resources, persistent_home = EXCLUDED.persistent_home,
                idle_timeout = EXCLUDED.idle_timeout, message = EXCLUDED.message, place = EXCLUDED.place
             RETURNING id"#,
            &[
                &session.id,
                &text(&session.name),
                &text(&session.user),
                &text(&session.template),
                &text(&session.platform),
                &session.agent.as_deref().map(text),
                &session.state.word(),
                &session.state.on_wire(),
                &session.created_at.0,
                &session.updated_at.0,
                &session.last_activity.map(|at| at.0),
                &to_json(&session.tags)?,
                &to_json(&session.resources)?,
                &session.persistent_home,
                &text(&session.idle_timeout),
                &text(&session.message),
                &to_json(&session.place)?,
            ],
        )
        .await?;
    tags(conn, column(&number, 0)?, &session.tags).await
}

/// A tag may be given twice.
async fn tags(conn: &Conn, session: i64, tags: &[String]) -> Result<(), Fault> {
    let tags: Vec<Cow<'_, str>> = tags.iter().map(|tag| text(tag)).collect();
    conn.execute(
        "WITH gone AS (DELETE FROM lab_session_tag WHERE session = $1 AND tag <> ALL ($2::text[]))
         INSERT INTO lab_session_tag (tag, session) SELECT DISTINCT tag, $1::bigint FROM unnest($2::text[]) AS tag ON CONFLICT DO NOTHING",
        &[&session, &tags],
    )
    .await?;
    Ok(())
}

/// Refused by `lab_command_open` when it is open and its session has another that is.
async fn command(conn: &Conn, command: &Command) -> Result<(), Fault> {
    conn.execute(
        "INSERT INTO lab_command (command_id, agent, session_id, action, data, progress, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (command_id) DO UPDATE SET agent = EXCLUDED.agent, session_id = EXCLUDED.session_id, action = EXCLUDED.action,
            data = EXCLUDED.data, progress = EXCLUDED.progress, created_at = EXCLUDED.created_at",
        &[
            &command.id,
            &text(&command.agent),
            &command.session,
            &command.action.word(),
            &text(&command.data),
            &command.progress.word(),
            &command.created_at.0,
        ],
    )
    .await?;
    Ok(())
}
