//! What the registry reads as it begins.

use super::{
    columns::Id,
    sessions::{SESSION, a_session},
};
use crate::protocols::labs::{
    Standing,
    model::{Agent, Command},
    record::Loaded,
};
use rusqlite::{Connection, Row};

/// Every session that is not terminated.
pub(super) fn sessions() -> String {
    format!("SELECT {SESSION} FROM lab_session WHERE state <> 'terminated' ORDER BY created_at, session_id")
}

/// Every command that is open.
pub(super) const COMMANDS: &str = "SELECT command_id, agent, session_id, action, data, progress, created_at FROM lab_command
    WHERE progress NOT IN ('completed', 'failed') ORDER BY created_at, command_id";

/// Everyone of whom there is something to remember.
const STANDINGS: &str = "SELECT user_id, role, active FROM lab_user WHERE role = 'admin' OR NOT active ORDER BY user_id";

pub(super) fn loaded(conn: &Connection) -> rusqlite::Result<Loaded> {
    let mut agents = conn.prepare_cached(
        "SELECT agent_id, name, platform, region, draining, max_sessions, max_cpu, max_memory, metadata, created_at, updated_at,
            last_heartbeat
         FROM lab_agent ORDER BY name",
    )?;
    Ok(Loaded {
        agents: agents.query_map([], agent)?.collect::<rusqlite::Result<_>>()?,
        sessions: conn.prepare_cached(&sessions())?.query_map([], a_session)?.collect::<rusqlite::Result<_>>()?,
        commands: conn.prepare_cached(COMMANDS)?.query_map([], command)?.collect::<rusqlite::Result<_>>()?,
        standings: standings(conn)?,
    })
}

pub(super) fn standings(conn: &Connection) -> rusqlite::Result<Vec<Standing>> {
    conn.prepare_cached(STANDINGS)?.query_map([], standing)?.collect()
}

fn standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    Ok(Standing { user: row.get::<_, Id>(0)?.0, role: Some(row.get(1)?), active: Some(row.get(2)?) })
}

fn agent(row: &Row<'_>) -> rusqlite::Result<Agent> {
    Ok(Agent {
        id: row.get::<_, Id>(0)?.0,
        name: row.get(1)?,
        platform: row.get(2)?,
        region: row.get(3)?,
        draining: row.get(4)?,
        max_sessions: row.get(5)?,
        max_cpu: row.get(6)?,
        max_memory: row.get(7)?,
        metadata: row.get(8)?,
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
        last_heartbeat: row.get(11)?,
    })
}

fn command(row: &Row<'_>) -> rusqlite::Result<Command> {
    Ok(Command {
        id: row.get::<_, Id>(0)?.0,
        agent: row.get(1)?,
        session: row.get::<_, Id>(2)?.0,
        action: row.get(3)?,
        data: row.get(4)?,
        progress: row.get(5)?,
        created_at: row.get(6)?,
    })
}
