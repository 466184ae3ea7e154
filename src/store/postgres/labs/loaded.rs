//! What the registry reads as it begins.

use super::{
    super::{
        columns::{column, number_if_any, string, time, time_if_any, word},
        conn::Conn,
        fault::Fault,
    },
    sessions::{SESSION, a_session},
};
use crate::protocols::labs::{
    Standing,
    model::{Agent, Command},
    record::Loaded,
};
use tokio_postgres::Row;

/// Every agent.
const AGENTS: &str = "SELECT agent_id, name, platform, region, draining, max_sessions, max_cpu, max_memory, metadata, created_at,
    updated_at, last_heartbeat FROM lab_agent ORDER BY name";

/// Every command that is open.
const COMMANDS: &str = "SELECT command_id, agent, session_id, action, data, progress, created_at FROM lab_command
    WHERE progress NOT IN ('completed', 'failed') ORDER BY created_at, command_id";

/// Everyone of whom there is something to remember.
const STANDINGS: &str = "SELECT user_id, role, active FROM lab_user WHERE role = 'admin' OR NOT active ORDER BY user_id";

/// Every session that is not terminated.
fn sessions() -> String {
    format!("SELECT {SESSION} FROM lab_session WHERE state <> 'terminated' ORDER BY created_at, session_id")
}

pub(super) async fn loaded(conn: &Conn) -> Result<Loaded, Fault> {
    Ok(Loaded {
        agents: all(conn, AGENTS, agent).await?,
        sessions: all(conn, &sessions(), a_session).await?,
        commands: all(conn, COMMANDS, command).await?,
        standings: standings(conn).await?,
    })
}

pub(super) async fn standings(conn: &Conn) -> Result<Vec<Standing>, Fault> {
    all(conn, STANDINGS, standing).await
}

async fn all<T>(conn: &Conn, select: &str, item: fn(&Row) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    conn.rows(select, &[]).await?.iter().map(item).collect()
}

fn standing(row: &Row) -> Result<Standing, Fault> {
    Ok(Standing { user: column(row, 0)?, role: Some(word(row, 1)?), active: Some(column(row, 2)?) })
}

fn agent(row: &Row) -> Result<Agent, Fault> {
    Ok(Agent {
        id: column(row, 0)?,
        name: string(row, 1)?.into(),
        platform: string(row, 2)?.into(),
        region: string(row, 3)?.into(),
        draining: column(row, 4)?,
        max_sessions: number_if_any(row, 5)?,
        max_cpu: column(row, 6)?,
        max_memory: column(row, 7)?,
        metadata: string(row, 8)?.into(),
        created_at: time(row, 9)?,
        updated_at: time(row, 10)?,
        last_heartbeat: time_if_any(row, 11)?,
    })
}

fn command(row: &Row) -> Result<Command, Fault> {
    Ok(Command {
        id: column(row, 0)?,
        agent: string(row, 1)?.into(),
        session: column(row, 2)?,
        action: word(row, 3)?,
        data: string(row, 4)?.into(),
        progress: word(row, 5)?,
        created_at: time(row, 6)?,
    })
}
