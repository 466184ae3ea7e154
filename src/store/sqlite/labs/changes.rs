//! What the registry changes: agents, sessions, commands, each a whole row.

use super::{
    columns::{Id, Json, json},
    people::done,
};
use crate::{
    protocols::labs::{
        model::{Agent, Command, Session, SessionId},
        record::{Change, Kept},
    },
    realtime::UnixMicros,
};
use rusqlite::{Connection, OptionalExtension, named_params, params};
use uuid::Uuid;

/// Whether a name is another's; then nothing is to be written.
pub(super) fn is_taken(conn: &Connection, change: &Change) -> rusqlite::Result<bool> {
    if let Some(agent) = &change.agent
        && conn
            .prepare_cached("SELECT 1 FROM lab_agent WHERE name = ?1 AND agent_id <> ?2")?
            .exists(params![agent.name, Id(agent.id)])?
    {
        return Ok(true);
    }
    let Some(session) = &change.session else { return Ok(false) };
    conn.prepare_cached("SELECT 1 FROM lab_session WHERE name = ?1 AND session_id <> ?2")?
        .exists(params![session.name, Id(session.id)])
}

/// All of a change whose names are free.
pub(super) fn write(conn: &Connection, change: &Change) -> rusqlite::Result<()> {
    change.agent.as_ref().map_or(Ok(()), |new| agent(conn, new))?;
    change.session.as_ref().map_or(Ok(()), |new| session(conn, new))?;
    change.command.as_ref().map_or(Ok(()), |new| command(conn, new))
}

pub(super) fn no_agent(conn: &Connection, agent: Uuid) -> rusqlite::Result<Kept> {
    Ok(done(conn.prepare_cached("DELETE FROM lab_agent WHERE agent_id = ?1")?.execute([Id(agent)])?))
}

pub(super) fn activity(conn: &Connection, session: SessionId, at: UnixMicros) -> rusqlite::Result<Kept> {
    let changed = conn
        .prepare_cached("UPDATE lab_session SET last_activity = max(coalesce(last_activity, ?2), ?2) WHERE session_id = ?1")?
        .execute(params![Id(session), at])?;
    Ok(done(changed))
}

fn agent(conn: &Connection, agent: &Agent) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO lab_agent (agent_id, name, platform, region, draining, max_sessions, max_cpu, max_memory, metadata, created_at,
            updated_at, last_heartbeat)
         VALUES (:id, :name, :platform, :region, :draining, :sessions, :cpu, :memory, :metadata, :created, :updated, :heartbeat)
         ON CONFLICT (agent_id) DO UPDATE SET name = :name, platform = :platform, region = :region, draining = :draining,
            max_sessions = :sessions, max_cpu = :cpu, max_memory = :memory, metadata = :metadata, created_at = :created,
            updated_at = :updated, last_heartbeat = :heartbeat",
    )?
    .execute(named_params! {
        ":id": Id(agent.id),
        ":name": agent.name,
        ":platform": agent.platform,
        ":region": agent.region,
        ":draining": agent.draining,
        ":sessions": agent.max_sessions,
        ":cpu": agent.max_cpu,
        ":memory": agent.max_memory,
        ":metadata": agent.metadata,
        ":created": agent.created_at,
        ":updated": agent.updated_at,
        ":heartbeat": agent.last_heartbeat,
    })
    .map(drop)
}

/// The row, and its tags for who searches, where they are others than before.
fn session(conn: &Connection, session: &Session) -> rusqlite::Result<()> {
    let before: Option<Vec<String>> = conn
        .prepare_cached("SELECT tags FROM lab_session WHERE session_id = ?1")?
        .query_row([Id(session.id)], |row| json(row, 0))
        .optional()?;
    let number: i64 = conn
        .prepare_cached(
            "INSERT INTO lab_session (session_id, name, user, template, platform, agent, state, shown, created_at, updated_at,
                last_activity, tags, resources, persistent_home, idle_timeout, message, place)
             VALUES (:id, :name, :user, :template, :platform, :agent, :state, :shown, :created, :updated, :activity, :tags, :resources,
                :home, :idle, :message, :place)
             ON CONFLICT (session_id) DO UPDATE SET name = :name, user = :user, template = :template, platform = :platform,
                agent = :agent, state = :state, shown = :shown, created_at = :created, updated_at = :updated,
                last_activity = :activity, tags = :tags, resources = :resources, persistent_home = :home, idle_timeout = :idle,
                message = :message, place = :place
             RETURNING id",
        )?
        .query_row(
            named_params! {
                ":id": Id(session.id),
                ":name": session.name,
                ":user": session.user,
                ":template": session.template,
                ":platform": session.platform,
                ":agent": session.agent,
                ":state": session.state,
                ":shown": session.state.on_wire(),
                ":created": session.created_at,
                ":updated": session.updated_at,
                ":activity": session.last_activity,
                ":tags": Json(&session.tags),
                ":resources": Json(&session.resources),
                ":home": session.persistent_home,
                ":idle": session.idle_timeout,
                ":message": session.message,
                ":place": Json(&session.place),
            },
            |row| row.get(0),
        )?;
    let before = before.unwrap_or_default();
    if before != session.tags {
        tags(conn, number, &before, &session.tags)?;
    }
    Ok(())
}

fn tags(conn: &Connection, number: i64, before: &[String], after: &[String]) -> rusqlite::Result<()> {
    let mut remove = conn.prepare_cached("DELETE FROM lab_session_tag WHERE tag = ?1 AND session = ?2")?;
    for tag in before {
        remove.execute(params![tag, number])?;
    }
    // A tag may be given twice.
    let mut add = conn.prepare_cached("INSERT OR IGNORE INTO lab_session_tag (tag, session) VALUES (?1, ?2)")?;
    for tag in after {
        add.execute(params![tag, number])?;
    }
    Ok(())
}

/// Refused by `lab_command_open` when it is open and its session has another that is.
fn command(conn: &Connection, command: &Command) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO lab_command (command_id, agent, session_id, action, data, progress, created_at)
         VALUES (:id, :agent, :session, :action, :data, :progress, :created)
         ON CONFLICT (command_id) DO UPDATE SET agent = :agent, session_id = :session, action = :action, data = :data,
            progress = :progress, created_at = :created",
    )?
    .execute(named_params! {
        ":id": Id(command.id),
        ":agent": command.agent,
        ":session": Id(command.session),
        ":action": command.action,
        ":data": command.data,
        ":progress": command.progress,
        ":created": command.created_at,
    })
    .map(drop)
}
