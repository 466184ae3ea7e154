//! Messages: those that a home begins with, and parts of the history.

use super::{
    super::{
        columns::{column, json, number, string, string_if_any, time, time_if_any, word},
        conn::{Conn, Value},
        fault::Fault,
    },
    sessions::{SESSION, a_session},
};
use crate::{
    models::{Usage, talk::Attached},
    protocols::chat::{
        model::{Approval, Message, MessageId, SessionId},
        record::{From, History, Load, Loaded, PART_BYTES, Part, Waiting},
    },
    realtime::UnixMicros,
};
use bytes::Bytes;
use hashbrown::HashMap;
use tokio_postgres::Row;

/// What a [`Message`] is made of, but its session and what came with it; then its row.
const MESSAGE: &str =
    "message_id, number, author, completeness, prompt_tokens, completion_tokens, cost, created_at, calls, content, id";

/// Those of a session that were decided since.
const DECIDED: &str =
    "SELECT approval_id, message_id, call, decision, created_at, expires_at, decided_by, decided_at, reason, comment
    FROM chat_approval WHERE session = $1 AND decided_at >= $2 ORDER BY created_at, approval_id";

/// Those of any session that wait, with the session and whose it is.
const WAITING: &str =
    "SELECT approval_id, message_id, call, decision, waiting.created_at, expires_at, decided_by, decided_at, reason, comment,
        session_id, coalesce(username, '')
    FROM chat_approval AS waiting JOIN chat_session ON chat_session.id = waiting.session
    LEFT JOIN lab_user ON lab_user.user_id = chat_session.owner
    WHERE decision = 'pending' AND expires_at > $1 ORDER BY waiting.created_at, approval_id LIMIT $2";

/// No message has such a number, nor one beyond it.
const BEFORE_ALL: i64 = 0;
const AFTER_ALL: i64 = i64::MAX;

/// Which messages are read: of this session, between these numbers, both outside, and how many at most.
struct Stretch {
    session: i64,
    after: i64,
    before: i64,
    limit: i64,
    /// Or else the oldest.
    newest_first: bool,
    /// Those before which there is more than this are not read: whoever asked takes no more.
    bytes: i64,
}

/// With the bytes of what came with each. A text takes twice its bytes in its column at most, so half of them are surely its own.
async fn stretch(conn: &Conn, stretch: Stretch, attached: &str) -> Result<Vec<Row>, Fault> {
    let Stretch { session, after, before, limit, newest_first, bytes } = stretch;
    let way = if newest_first { "DESC" } else { "ASC" };
    let select = format!(
        "WITH chosen AS (
            SELECT {MESSAGE}, {attached} AS attached FROM chat_message WHERE session = $1 AND number > $2 AND number < $3
            ORDER BY number {way} LIMIT $4
         ), weighed AS (
            SELECT *, coalesce(sum(octet_length(content)::bigint / 2 + attached) OVER earlier, 0) AS before_it FROM chosen
            WINDOW earlier AS (ORDER BY number {way} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
         )
         SELECT {MESSAGE}, attached FROM weighed WHERE before_it <= $5::bigint ORDER BY number {way}"
    );
    conn.rows(&select, &[&session, &after, &before, &limit, &bytes]).await
}

/// Their sum for each message, and what is there of it where nothing but names is read.
const ATTACHED: &str =
    "(SELECT coalesce(sum(octet_length(bytes)), 0)::bigint FROM chat_attachment WHERE message = chat_message.id)";
const NAMED: &str = "0::bigint";

pub(super) async fn loaded(conn: &Conn, load: Load) -> Result<Option<Box<Loaded>>, Fault> {
    let found = conn.row(&format!("SELECT {SESSION}, id FROM chat_session WHERE session_id = $1"), &[&load.session]).await?;
    let Some(row) = found else { return Ok(None) };
    let (session, number) = (a_session(&row)?, column(&row, 11)?);
    let approvals = conn.rows(DECIDED, &[&number, &load.decided_since.0]).await?;
    let approvals = approvals.iter().map(|row| an_approval(row, load.session)).collect::<Result<_, Fault>>()?;
    Ok(Some(Box::new(Loaded { session, messages: context(conn, number, load).await?, approvals })))
}

pub(super) async fn waiting(conn: &Conn, now: UnixMicros, limit: u32) -> Result<Vec<Waiting>, Fault> {
    let one = |row: &Row| {
        let approval = an_approval(row, column(row, 10)?)?;
        Ok(Waiting { approval, owner: string(row, 11)?.into() })
    };
    conn.rows(WAITING, &[&now.0, &i64::from(limit)]).await?.iter().map(one).collect()
}

async fn context(conn: &Conn, session: i64, load: Load) -> Result<Vec<Message>, Fault> {
    let saturated = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let (limit, most) = (saturated(load.messages), saturated(load.bytes));
    let all = Stretch { session, after: BEFORE_ALL, before: AFTER_ALL, limit, newest_first: true, bytes: most };
    let rows = stretch(conn, all, ATTACHED).await?;
    let (mut messages, mut numbers, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
    for row in &rows {
        let message = a_message(row, load.session)?;
        let attached = usize::try_from(column::<i64>(row, 11)?).unwrap_or(usize::MAX);
        bytes = bytes.saturating_add(message.weight()).saturating_add(attached);
        if bytes > load.bytes && !messages.is_empty() {
            break;
        }
        messages.push(message);
        numbers.push(column(row, 10)?);
    }
    attach(conn, &mut messages, &numbers, "bytes").await?;
    messages.reverse();
    Ok(messages)
}

/// None where the cursor is not a message of the session.
pub(super) async fn part(conn: &Conn, history: History) -> Result<Option<Part>, Fault> {
    let session = conn.row("SELECT id FROM chat_session WHERE session_id = $1", &[&history.session]).await?;
    let Some(session) = session else {
        return Ok((history.from == From::Newest).then_some(Part { messages: Vec::new(), has_more: false }));
    };
    let session = column(&session, 0)?;
    let (newest_first, bounds) = match history.from {
        From::Newest => (true, Some((BEFORE_ALL, AFTER_ALL))),
        From::Before(cursor) => (true, place(conn, session, cursor).await?.map(|number| (BEFORE_ALL, number))),
        From::After(cursor) => (false, place(conn, session, cursor).await?.map(|number| (number, AFTER_ALL))),
    };
    let Some((after, before)) = bounds else { return Ok(None) };
    let limit = i64::from(history.limit) + 1;
    let rows = stretch(conn, Stretch { session, after, before, limit, newest_first, bytes: PART_BYTES as i64 }, NAMED).await?;
    let mut part = Part { messages: Vec::new(), has_more: false };
    let (mut numbers, mut bytes) = (Vec::new(), 0);
    for row in &rows {
        let message = a_message(row, history.session)?;
        bytes += message.weight();
        let is_much = bytes > PART_BYTES && !part.messages.is_empty();
        if part.messages.len() >= history.limit as usize || is_much {
            part.has_more = true;
            break;
        }
        part.messages.push(message);
        numbers.push(column(row, 10)?);
    }
    attach(conn, &mut part.messages, &numbers, "NULL::bytea").await?;
    part.messages.sort_by_key(|message| message.number);
    Ok(Some(part))
}

async fn place(conn: &Conn, session: i64, cursor: MessageId) -> Result<Option<i64>, Fault> {
    let values: [Value<'_>; 2] = [&cursor, &session];
    let found = conn.row("SELECT number FROM chat_message WHERE message_id = $1 AND session = $2", &values).await?;
    found.map(|row| column(&row, 0)).transpose()
}

fn a_message(row: &Row, session: SessionId) -> Result<Message, Fault> {
    Ok(Message {
        id: column(row, 0)?,
        session,
        number: number(row, 1)?,
        author: word(row, 2)?,
        completeness: word(row, 3)?,
        usage: Usage { prompt_tokens: number(row, 4)?, completion_tokens: number(row, 5)? },
        cost: column(row, 6)?,
        created_at: time(row, 7)?,
        calls: json(row, 8)?,
        content: string(row, 9)?.into(),
        attachments: Vec::new(),
    })
}

/// Gives each of the messages, whose rows have these `numbers`, what came with it.
async fn attach(conn: &Conn, messages: &mut [Message], numbers: &[i64], bytes: &str) -> Result<(), Fault> {
    let select = format!(
        "SELECT message, name, media_type, {bytes} FROM chat_attachment WHERE message = ANY ($1) ORDER BY message, place"
    );
    let mut found: HashMap<i64, Vec<Attached>> = HashMap::new();
    for row in conn.rows(&select, &[&numbers]).await? {
        let bytes: Option<Vec<u8>> = column(&row, 3)?;
        let attached = Attached {
            name: string(&row, 1)?.into(),
            media_type: string(&row, 2)?.into(),
            bytes: bytes.map_or_else(Bytes::new, Bytes::from),
        };
        found.entry(column(&row, 0)?).or_default().push(attached);
    }
    for (message, number) in messages.iter_mut().zip(numbers) {
        message.attachments = found.remove(number).unwrap_or_default();
    }
    Ok(())
}

fn an_approval(row: &Row, session: SessionId) -> Result<Approval, Fault> {
    Ok(Approval {
        id: column(row, 0)?,
        session,
        message: column(row, 1)?,
        call: json(row, 2)?,
        decision: word(row, 3)?,
        created_at: time(row, 4)?,
        expires_at: time(row, 5)?,
        decided_by: string_if_any(row, 6)?.map(Into::into),
        decided_at: time_if_any(row, 7)?,
        reason: string_if_any(row, 8)?.map(Into::into),
        comment: string_if_any(row, 9)?.map(Into::into),
    })
}
