//! Live sessions as rows: how many begin at a time, and how they end and move to history. Always inside the caller's transaction.

use super::super::{
    columns::{column, plain, text},
    conn::Conn,
    fault::Fault,
    writing::{Writing, slot},
};
use crate::{
    protocols::presence::record::{self, Entering, Leaving},
    realtime::{StoreFault, UnixMicros},
    store::{Tenure, lease::Ended},
};
use hashbrown::HashMap;
use std::borrow::Cow;
use tokio_postgres::{Row, types::ToSql};

/// The longest agent id, in bytes as it is kept: an index takes no longer one.
const LONGEST_AGENT_ID: usize = 2600;

/// How often a sign-in makes room for itself, before the batch is tried anew: each time another node was quicker.
const TRIES: usize = 8;

/// Sessions that end by one statement at most, where a whole node's do.
const AT_ONCE: usize = 4096;

/// A session that is to begin.
pub(in super::super) struct Entry<'a> {
    pub(in super::super) entering: &'a Entering,
    /// How many leaves were asked before it.
    pub(in super::super) leaves: u64,
    /// The number that it gets.
    pub(in super::super) session: i64,
}

impl Entry<'_> {
    fn agent_id(&self) -> Cow<'_, str> {
        text(&self.entering.agent_id)
    }

    fn is_refused(&self) -> bool {
        self.entering.agent_id.is_empty() || self.agent_id().len() > LONGEST_AGENT_ID
    }
}

/// Begins sessions and answers their numbers, in their order. Where an agent still has a row in a room, whichever node wrote it, that
/// session ends first: when `left` says, which is so where its leave was asked before, else now. One that another node takes over keeps
/// its number, unless its leave was asked before. A row belongs to the node that has the connection, so that it ends with that.
pub(in super::super) async fn enter(
    writing: &Writing<'_>,
    entries: &[Entry<'_>],
    left: impl Fn(i64, u64) -> Option<UnixMicros>,
) -> Result<Vec<Result<i64, StoreFault>>, Fault> {
    let taken = take_over(writing, entries, &left).await?;
    let is_taken = |entry: &Entry<'_>| entry.entering.session.filter(|session| taken.contains(session));
    for mut round in rounds(entries.iter().filter(|entry| is_taken(entry).is_none())) {
        // All nodes take rows in one order, so that none waits for another that waits for it.
        round.sort_unstable_by_key(|entry| (entry.entering.classroom, &entry.entering.agent_id));
        let mut tries = TRIES;
        loop {
            begin(writing, &mut round).await?;
            if round.is_empty() {
                break;
            }
            tries = tries.checked_sub(1).ok_or(Fault::Outrun)?;
            make_room(writing, &round, &left).await?;
        }
    }
    let answer = |entry: &Entry<'_>| match is_taken(entry) {
        Some(session) => Ok(session),
        None if entry.is_refused() => Err(StoreFault::Failed),
        None => Ok(entry.session),
    };
    Ok(entries.iter().map(answer).collect())
}

/// Of one agent and room one session in each.
fn rounds<'e, 'a: 'e>(entries: impl Iterator<Item = &'e Entry<'a>>) -> Vec<Vec<&'e Entry<'a>>> {
    let mut seen: HashMap<_, usize> = HashMap::new();
    let mut rounds: Vec<Vec<&Entry<'_>>> = Vec::new();
    for entry in entries.filter(|entry| !entry.is_refused()) {
        let times = seen.entry((entry.entering.classroom, &*entry.entering.agent_id)).or_default();
        if rounds.len() == *times {
            rounds.push(Vec::new());
        }
        rounds[*times].push(entry);
        *times += 1;
    }
    rounds
}

/// The holder of each slot, kept from being buried until the transaction is over.
const HOLDERS: &str = "WITH holder AS (SELECT slot, epoch FROM node WHERE slot = ANY ($1::smallint[]) FOR KEY SHARE)";

fn slots<'e, 'a: 'e>(entries: impl Iterator<Item = &'e Entry<'a>>) -> Vec<i16> {
    entries.map(|entry| i16::from(entry.entering.node.0)).collect()
}

/// Gives the rows of sessions that have a number already to the nodes that have them now; the numbers of those that are still there.
async fn take_over(
    writing: &Writing<'_>,
    entries: &[Entry<'_>],
    left: impl Fn(i64, u64) -> Option<UnixMicros>,
) -> Result<Vec<i64>, Fault> {
    let stays = |entry: &Entry<'_>| entry.entering.session.is_some_and(|session| left(session, entry.leaves).is_none());
    let known = || entries.iter().filter(|entry| stays(entry));
    let sessions: Vec<i64> = known().filter_map(|entry| entry.entering.session).collect();
    if sessions.is_empty() {
        return Ok(sessions);
    }
    let taken = writing
        .rows(
            &format!(
                "{HOLDERS} UPDATE agent_session AS live
                 SET node = coalesce(holder.slot, $3), epoch = coalesce(holder.epoch, $4)
                 FROM unnest($2::bigint[], $1::smallint[]) AS wanted (id, slot) LEFT JOIN holder ON holder.slot = wanted.slot
                 WHERE live.id = wanted.id RETURNING live.id"
            ),
            &[&slots(known()), &sessions, &writing.slot(), &writing.epoch()],
        )
        .await?;
    taken.iter().map(|row| column(row, 0)).collect()
}

/// Leaves those in `round` that found a row.
async fn begin(writing: &Writing<'_>, round: &mut Vec<&Entry<'_>>) -> Result<(), Fault> {
    let sessions: Vec<i64> = round.iter().map(|entry| entry.session).collect();
    let rooms: Vec<_> = round.iter().map(|entry| entry.entering.classroom).collect();
    let agents: Vec<_> = round.iter().map(|entry| entry.agent_id()).collect();
    let begun: Vec<i64> = round.iter().map(|entry| entry.entering.at.0).collect();
    let begun = writing
        .rows(
            &format!(
                "{HOLDERS} INSERT INTO agent_session (id, classroom, agent_id, node, epoch, started_at)
                 SELECT id, classroom, agent_id, coalesce(holder.slot, $6), coalesce(holder.epoch, $7), at
                 FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::bigint[], $1::smallint[]) AS new (id, classroom, agent_id, at, slot)
                     LEFT JOIN holder ON holder.slot = new.slot
                 ON CONFLICT (classroom, agent_id) DO NOTHING RETURNING id"
            ),
            &[&slots(round.iter().copied()), &sessions, &rooms, &agents, &begun, &writing.slot(), &writing.epoch()],
        )
        .await?;
    if begun.len() == round.len() {
        round.clear();
        return Ok(());
    }
    let begun = begun.iter().map(|row| column(row, 0)).collect::<Result<Vec<i64>, _>>()?;
    round.retain(|entry| !begun.contains(&entry.session));
    Ok(())
}

/// Ends the sessions that those in `round` found.
async fn make_room(
    writing: &Writing<'_>,
    round: &[&Entry<'_>],
    left: impl Fn(i64, u64) -> Option<UnixMicros>,
) -> Result<(), Fault> {
    let rooms: Vec<_> = round.iter().map(|entry| entry.entering.classroom).collect();
    let agents: Vec<_> = round.iter().map(|entry| entry.agent_id()).collect();
    let found = writing
        .rows(
            "SELECT live.id, wanted.place
             FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS wanted (classroom, agent_id, place)
                 JOIN agent_session AS live ON live.classroom = wanted.classroom AND live.agent_id = wanted.agent_id
             FOR UPDATE OF live",
            &[&rooms, &agents],
        )
        .await?;
    let mut leaving = Vec::with_capacity(found.len());
    for row in &found {
        let (session, place): (i64, i64) = (column(row, 0)?, column(row, 1)?);
        let entry = round[usize::try_from(place - 1).unwrap_or(0)];
        let at = left(session, entry.leaves).unwrap_or(entry.entering.at);
        leaving.push(Leaving { session, at });
    }
    end(writing, &leaving).await
}

/// Moves sessions to history, each as one interval with those of the same agent and room that it meets, under the number of the first. An
/// unknown number is ignored.
pub(in super::super) async fn end(conn: &Conn, leaving: &[Leaving]) -> Result<(), Fault> {
    if leaving.is_empty() {
        return Ok(());
    }
    let sessions: Vec<i64> = leaving.iter().map(|leaving| leaving.session).collect();
    let times: Vec<i64> = leaving.iter().map(|leaving| leaving.at.0).collect();
    conn.execute(
        "WITH asked AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS asked (id, at)),
         ended AS (
             DELETE FROM agent_session AS live USING asked WHERE live.id = asked.id
             RETURNING live.id, classroom, agent_id, started_at AS lower, greatest(started_at, asked.at) AS upper),
         met AS (
             DELETE FROM agent_session_history AS past USING ended
             WHERE past.classroom = ended.classroom AND past.agent_id = ended.agent_id
                 AND past.upper >= ended.lower AND past.lower <= ended.upper
             RETURNING past.id, past.classroom, past.agent_id, past.lower, past.upper)
         INSERT INTO agent_session_history (id, classroom, agent_id, lower, upper)
         SELECT min(id), classroom, agent_id, min(lower), max(upper)
         FROM (SELECT * FROM ended UNION ALL SELECT * FROM met) AS one
         GROUP BY classroom, agent_id",
        &[&sessions, &times],
    )
    .await
    .map(drop)
}

/// Every session that is live, of all tenures.
pub(in super::super) async fn live(conn: &Conn) -> Result<Vec<record::Buried>, Fault> {
    let rows = conn.rows("SELECT id, classroom, agent_id FROM agent_session ORDER BY id", &[]).await?;
    let live = |row: &Row| {
        let agent_id: String = column(row, 2)?;
        let (session, classroom) = (column(row, 0)?, column(row, 1)?);
        Ok(record::Buried { session, classroom, agent_id: plain(agent_id).into(), is_over: false })
    };
    rows.iter().map(live).collect()
}

/// What is left of a tenure is another's from now on.
pub(in super::super) async fn pass(conn: &Conn, from: i64, to: Tenure) -> Result<u64, Fault> {
    let values: [&(dyn ToSql + Sync); 3] = [&from, &slot(to), &to.epoch];
    conn.execute("UPDATE agent_session SET node = $2, epoch = $3 WHERE epoch = $1", &values).await
}

/// Ends every session of a tenure, but these, at `seen_at` or as it began when that is later.
pub(in super::super) async fn bury(conn: &Conn, epoch: i64, seen_at: UnixMicros, but: &[i64]) -> Result<Vec<Ended>, Fault> {
    let rows = conn
        .rows(
            "SELECT id, classroom, agent_id, greatest(started_at, $2) FROM agent_session
             WHERE epoch = $1 AND NOT id = ANY ($3) ORDER BY id FOR UPDATE",
            &[&epoch, &seen_at.0, &but],
        )
        .await?;
    let mut ended = Vec::with_capacity(rows.len());
    for row in &rows {
        let agent_id: String = column(row, 2)?;
        ended.push(Ended {
            session: column(row, 0)?,
            classroom: column(row, 1)?,
            agent_id: plain(agent_id).into(),
            at: UnixMicros(column(row, 3)?),
        });
    }
    for part in ended.chunks(AT_ONCE) {
        let leaving: Vec<Leaving> = part.iter().map(|ended| Leaving { session: ended.session, at: ended.at }).collect();
        end(conn, &leaving).await?;
    }
    Ok(ended)
}
