//! Lists of what owners have, newest first: what was written last has the greatest number.

use super::{
    super::{
        columns::{Word, column, count, number, string, text, word},
        conn::{Conn, Value},
        fault::Fault,
    },
    loaded::{self, QUIZ, at, at_if_any},
};
use crate::{
    protocols::quiz::{
        model::{EventId, ParticipantId, Quiz, QuizId, Status},
        record::{Account, Event, Key, KeyRow, Listed, Page, Participant, QuizRow},
    },
    realtime::UnixMicros,
};
use tokio_postgres::Row;

/// The rows of `from`, which has the values: how many they are, and a part of them, in the order that `select` says.
pub(super) async fn listed<T>(
    conn: &Conn,
    (from, values): (&str, &[Value<'_>]),
    (columns, order): (&str, &str),
    page: Page,
    item: impl Fn(&Row) -> Result<T, Fault>,
) -> Result<Listed<T>, Fault> {
    let total = conn.one(&format!("SELECT count(*) FROM {from}"), values).await?;
    let (limit, offset) = (i64::from(page.limit), i64::from(page.offset));
    let mut selected = values.to_vec();
    selected.extend([&limit as Value<'_>, &offset]);
    let (first, second) = (values.len() + 1, values.len() + 2);
    let select = format!("SELECT {columns} FROM {from} ORDER BY {order} LIMIT ${first} OFFSET ${second}");
    let items = conn.rows(&select, &selected).await?;
    Ok(Listed { items: items.iter().map(item).collect::<Result<_, _>>()?, total: count(&total, 0)? })
}

pub(super) async fn account(conn: &Conn, name: &str) -> Result<Option<Account>, Fault> {
    let row = conn.row("SELECT password_hash, changed_at FROM account WHERE name = $1", &[&text(name)]).await?;
    row.map(|row| Ok(Account { name: name.to_owned(), password_hash: string(&row, 0)?, at: at(&row, 1)? })).transpose()
}

pub(super) async fn accounts(conn: &Conn) -> Result<Vec<(String, UnixMicros)>, Fault> {
    let rows = conn.rows("SELECT name, changed_at FROM account ORDER BY name", &[]).await?;
    rows.iter().map(|row| Ok((string(row, 0)?, at(row, 1)?))).collect()
}

const KEY: &str = "key_id, owner, label, role, hash, hint, created_at, revoked_at";

pub(super) async fn good_keys(conn: &Conn) -> Result<Vec<Key>, Fault> {
    let rows = conn.rows(&format!("SELECT {KEY} FROM api_key WHERE revoked_at IS NULL ORDER BY id"), &[]).await?;
    rows.iter().map(key).collect()
}

fn key(row: &Row) -> Result<Key, Fault> {
    let hash: &[u8] = column(row, 4)?;
    Ok(Key {
        id: column(row, 0)?,
        owner: string(row, 1)?.into(),
        label: string(row, 2)?,
        role: word(row, 3)?,
        hash: hash.try_into().map_err(|_| Fault::Value("a hash of another length".into()))?,
        hint: string(row, 5)?,
        created_at: at(row, 6)?,
    })
}

pub(super) async fn keys(conn: &Conn, owner: &str, page: Page) -> Result<Listed<KeyRow>, Fault> {
    let item = |row: &Row| Ok(KeyRow { key: key(row)?, revoked_at: at_if_any(row, 7)? });
    listed(conn, ("api_key WHERE owner = $1", &[&text(owner)]), (KEY, "id DESC"), page, item).await
}

pub(super) async fn quizzes(conn: &Conn, owner: &str, status: Option<Status>, page: Page) -> Result<Listed<QuizRow>, Fault> {
    let item = |row: &Row| Ok(QuizRow { quiz: loaded::made(row)?, questions_count: number(row, 15)? });
    let (owner, status) = (text(owner), status.map(Word::word));
    let from = ("quiz WHERE owner = $1 AND ($2::text IS NULL OR status = $2)", &[&owner as Value<'_>, &status][..]);
    listed(conn, from, (QUIZ, "id DESC"), page, item).await
}

pub(super) async fn quiz(conn: &Conn, owner: &str, id: QuizId) -> Result<Option<Quiz>, Fault> {
    Ok(loaded::quiz(conn, id).await?.filter(|quiz| &*quiz.owner == owner))
}

const PARTICIPANT: &str = "participant_id, owner, alias, created_at";

pub(super) async fn participants(conn: &Conn, owner: &str, page: Page) -> Result<Listed<Participant>, Fault> {
    listed(conn, ("participant WHERE owner = $1", &[&text(owner)]), (PARTICIPANT, "id DESC"), page, a_participant).await
}

pub(super) async fn participant(conn: &Conn, owner: &str, id: ParticipantId) -> Result<Option<Participant>, Fault> {
    let select = format!("SELECT {PARTICIPANT} FROM participant WHERE participant_id = $1 AND owner = $2");
    conn.row(&select, &[&id, &text(owner)]).await?.map(|row| a_participant(&row)).transpose()
}

fn a_participant(row: &Row) -> Result<Participant, Fault> {
    let (owner, alias) = (string(row, 1)?.into(), string(row, 2)?.into());
    Ok(Participant { id: column(row, 0)?, owner, alias, created_at: at(row, 3)? })
}

const EVENT: &str = "event_id, owner, title, created_at";

pub(super) async fn events(conn: &Conn, owner: &str, page: Page) -> Result<Listed<Event>, Fault> {
    listed(conn, ("event WHERE owner = $1", &[&text(owner)]), (EVENT, "id DESC"), page, an_event).await
}

pub(super) async fn event(conn: &Conn, owner: &str, id: EventId) -> Result<Option<Event>, Fault> {
    let select = format!("SELECT {EVENT} FROM event WHERE event_id = $1 AND owner = $2");
    conn.row(&select, &[&id, &text(owner)]).await?.map(|row| an_event(&row)).transpose()
}

fn an_event(row: &Row) -> Result<Event, Fault> {
    Ok(Event { id: column(row, 0)?, owner: string(row, 1)?.into(), title: string(row, 2)?, created_at: at(row, 3)? })
}
