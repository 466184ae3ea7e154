//! Users, what they start from, and their tokens that are good no more.

use super::columns::{Id, Json, json, listed, offset};
use crate::{
    protocols::labs::{
        model::{Role, Template, User, UserId},
        record::{Kept, Listed, Login, Page},
    },
    realtime::UnixMicros,
};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use uuid::Uuid;

/// What a [`User`] is made of, then the hash.
const USER: &str = "user_id, username, email, role, active, created_at, last_login, password_hash";

/// What a [`Template`] is made of.
const TEMPLATE: &str = "template_id, name, display_name, category, description, base_image, default_resources, vnc, environment,
    persistent_home, idle_timeout, tags, icon_url, created_at, updated_at";

pub(super) fn new_user(conn: &Connection, user: &User, password_hash: &str) -> rusqlite::Result<Kept> {
    let taken = conn.prepare_cached("SELECT 1 FROM lab_user WHERE username = ?1")?.exists([&user.username])?;
    if taken {
        return Ok(Kept::Taken);
    }
    conn.prepare_cached(&format!("INSERT INTO lab_user ({USER}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"))?.execute(params![
        Id(user.id),
        user.username,
        user.email,
        user.role,
        user.active,
        user.created_at,
        user.last_login,
        password_hash
    ])?;
    Ok(Kept::Done)
}

/// What is none stays.
pub(super) fn edited_user(
    conn: &Connection,
    user: UserId,
    (email, role, active): (&Option<String>, Option<Role>, Option<bool>),
    (password_hash, last_login): (&Option<String>, Option<UnixMicros>),
) -> rusqlite::Result<Kept> {
    let changed = conn
        .prepare_cached(
            "UPDATE lab_user SET email = coalesce(?2, email), role = coalesce(?3, role), active = coalesce(?4, active),
                password_hash = coalesce(?5, password_hash), last_login = coalesce(?6, last_login)
             WHERE user_id = ?1",
        )?
        .execute(params![Id(user), email, role, active, password_hash, last_login])?;
    Ok(done(changed))
}

/// What it replaces keeps its id and the time when it was made.
pub(super) fn template(conn: &Connection, template: &Template, replace: bool) -> rusqlite::Result<Kept> {
    let there = conn.prepare_cached("SELECT 1 FROM lab_template WHERE name = ?1")?.exists([&template.name])?;
    if there && !replace {
        return Ok(Kept::Taken);
    }
    conn.prepare_cached(&format!(
        "INSERT INTO lab_template ({TEMPLATE})
         VALUES (:id, :name, :display, :category, :description, :image, :resources, :vnc, :environment, :home, :idle, :tags, :icon,
            :created, :updated)
         ON CONFLICT (name) DO UPDATE SET display_name = :display, category = :category, description = :description,
            base_image = :image, default_resources = :resources, vnc = :vnc, environment = :environment, persistent_home = :home,
            idle_timeout = :idle, tags = :tags, icon_url = :icon, updated_at = :updated"
    ))?
    .execute(named_params! {
        ":id": Id(template.id),
        ":name": template.name,
        ":display": template.display_name,
        ":category": template.category,
        ":description": template.description,
        ":image": template.base_image,
        ":resources": Json(&template.default_resources),
        ":vnc": Json(&template.vnc),
        ":environment": Json(&template.environment),
        ":home": template.persistent_home,
        ":idle": template.idle_timeout,
        ":tags": Json(&template.tags),
        ":icon": template.icon_url,
        ":created": template.created_at,
        ":updated": template.updated_at,
    })?;
    Ok(Kept::Done)
}

pub(super) fn no_template(conn: &Connection, name: &str) -> rusqlite::Result<Kept> {
    Ok(done(conn.prepare_cached("DELETE FROM lab_template WHERE name = ?1")?.execute([name])?))
}

pub(super) fn revoked(conn: &Connection, token: Uuid, expires_at: UnixMicros) -> rusqlite::Result<Kept> {
    conn.prepare_cached("INSERT OR REPLACE INTO revoked_token (token, expires_at) VALUES (?1, ?2)")?
        .execute(params![Id(token), expires_at])?;
    Ok(Kept::Done)
}

/// See [`super::super::super::Store::seed`].
pub(in super::super) fn seed(conn: &Connection, templates: &[Template], admin: Option<&Login>) -> rusqlite::Result<bool> {
    for new in templates {
        // One whose name is there is left as it is.
        let _ = template(conn, new, false)?;
    }
    let Some(Login { user, password_hash }) = admin else { return Ok(false) };
    if conn.prepare_cached("SELECT 1 FROM lab_user LIMIT 1")?.exists([])? {
        return Ok(false);
    }
    new_user(conn, user, password_hash).map(|kept| kept == Kept::Done)
}

pub(super) fn done(changed: usize) -> Kept {
    if changed == 0 { Kept::Missing } else { Kept::Done }
}

pub(super) fn good_no_more(conn: &Connection, now: UnixMicros) -> rusqlite::Result<Vec<(Uuid, UnixMicros)>> {
    conn.prepare_cached("SELECT token, expires_at FROM revoked_token WHERE expires_at > ?1 ORDER BY expires_at, token")?
        .query_map([now], |row| Ok((row.get::<_, Id>(0)?.0, row.get(1)?)))?
        .collect()
}

pub(super) fn login(conn: &Connection, username: &str) -> rusqlite::Result<Option<Login>> {
    conn.prepare_cached(&format!("SELECT {USER} FROM lab_user WHERE username = ?1"))?.query_row([username], a_login).optional()
}

/// Of several who have it the oldest.
pub(in super::super) fn with_email() -> String {
    format!("SELECT {USER} FROM lab_user WHERE email = ?1 COLLATE NOCASE AND email <> '' ORDER BY created_at, user_id LIMIT 1")
}

/// See [`super::super::super::ChatLibrary::login_by_email`].
pub(in super::super) fn login_by_email(conn: &Connection, email: &str) -> rusqlite::Result<Option<Login>> {
    conn.prepare_cached(&with_email())?.query_row([email], a_login).optional()
}

fn a_login(row: &Row<'_>) -> rusqlite::Result<Login> {
    Ok(Login { user: a_user(row)?, password_hash: row.get(7)? })
}

pub(super) fn user(conn: &Connection, user: UserId) -> rusqlite::Result<Option<User>> {
    conn.prepare_cached(&format!("SELECT {USER} FROM lab_user WHERE user_id = ?1"))?.query_row([Id(user)], a_user).optional()
}

pub(super) fn users(conn: &Connection, role: Option<Role>, page: Page) -> rusqlite::Result<Listed<User>> {
    let narrowed = if role.is_some() { "role = ?1" } else { "?1 IS NULL" };
    listed(
        conn,
        (&format!("SELECT count(*) FROM lab_user WHERE {narrowed}"), [role]),
        (
            &format!("SELECT {USER} FROM lab_user WHERE {narrowed} ORDER BY username LIMIT ?2 OFFSET ?3"),
            params![role, page.limit, offset(page)],
        ),
        a_user,
    )
}

fn a_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get::<_, Id>(0)?.0,
        username: row.get(1)?,
        email: row.get(2)?,
        role: row.get(3)?,
        active: row.get(4)?,
        created_at: row.get(5)?,
        last_login: row.get(6)?,
    })
}

pub(super) fn template_of(conn: &Connection, name: &str) -> rusqlite::Result<Option<Template>> {
    conn.prepare_cached(&format!("SELECT {TEMPLATE} FROM lab_template WHERE name = ?1"))?.query_row([name], a_template).optional()
}

pub(super) fn templates(conn: &Connection, category: Option<&str>, page: Page) -> rusqlite::Result<Listed<Template>> {
    let narrowed = if category.is_some() { "category = ?1" } else { "?1 IS NULL" };
    listed(
        conn,
        (&format!("SELECT count(*) FROM lab_template WHERE {narrowed}"), [category]),
        (
            &format!("SELECT {TEMPLATE} FROM lab_template WHERE {narrowed} ORDER BY name LIMIT ?2 OFFSET ?3"),
            params![category, page.limit, offset(page)],
        ),
        a_template,
    )
}

fn a_template(row: &Row<'_>) -> rusqlite::Result<Template> {
    Ok(Template {
        id: row.get::<_, Id>(0)?.0,
        name: row.get(1)?,
        display_name: row.get(2)?,
        category: row.get(3)?,
        description: row.get(4)?,
        base_image: row.get(5)?,
        default_resources: json(row, 6)?,
        vnc: json(row, 7)?,
        environment: json(row, 8)?,
        persistent_home: row.get(9)?,
        idle_timeout: row.get(10)?,
        tags: json(row, 11)?,
        icon_url: row.get(12)?,
        created_at: row.get(13)?,
        updated_at: row.get(14)?,
    })
}
