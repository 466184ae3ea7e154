//! Users, what they start from, and their tokens that are good no more.

use super::{
    super::{
        columns::{Word, column, json, string, string_if_any, text, time, time_if_any, to_json, word},
        conn::Conn,
        fault::Fault,
    },
    columns::{Found, listed},
};
use crate::{
    protocols::labs::{
        model::{Role, Template, User, UserId},
        record::{Kept, Listed, Login, Page},
    },
    realtime::UnixMicros,
};
use tokio_postgres::Row;
use uuid::Uuid;

/// What a [`User`] is made of, then the hash.
const USER: &str = "user_id, username, email, role, active, created_at, last_login, password_hash";

/// What a [`Template`] is made of.
const TEMPLATE: &str = "template_id, name, display_name, category, description, base_image, default_resources, vnc, environment,
    persistent_home, idle_timeout, tags, icon_url, created_at, updated_at";

/// What has expired is good no more by itself. An hour later, for a node's clock may be behind the database's.
const FORGET_EXPIRED: &str =
    "DELETE FROM revoked_token WHERE expires_at < (extract(epoch FROM clock_timestamp() - interval '1 hour') * 1000000)::bigint";

/// Refused by its columns where only the id is another's.
pub(super) async fn new_user(conn: &Conn, user: &User, password_hash: &str) -> Result<Kept, Fault> {
    let made = conn
        .execute(
            &format!("INSERT INTO lab_user ({USER}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (username) DO NOTHING"),
            &[
                &user.id,
                &text(&user.username),
                &text(&user.email),
                &user.role.word(),
                &user.active,
                &user.created_at.0,
                &user.last_login.map(|at| at.0),
                &text(password_hash),
            ],
        )
        .await?;
    Ok(new(made))
}

/// What is none stays.
pub(super) async fn edited_user(
    conn: &Conn,
    user: UserId,
    (email, role, active): (Option<&str>, Option<Role>, Option<bool>),
    (password_hash, last_login): (Option<&str>, Option<UnixMicros>),
) -> Result<Kept, Fault> {
    let changed = conn
        .execute(
            "UPDATE lab_user SET email = coalesce($2, email), role = coalesce($3, role), active = coalesce($4, active),
                password_hash = coalesce($5, password_hash), last_login = coalesce($6, last_login)
             WHERE user_id = $1",
            &[&user, &email.map(text), &role.map(Word::word), &active, &password_hash.map(text), &last_login.map(|at| at.0)],
        )
        .await?;
    Ok(done(changed))
}

/// What it replaces keeps its id and the time when it was made. Refused by its columns where only the id is another's.
pub(super) async fn template(conn: &Conn, template: &Template, replace: bool) -> Result<Kept, Fault> {
    let then = if replace {
        "UPDATE SET display_name = EXCLUDED.display_name, category = EXCLUDED.category, description = EXCLUDED.description,
            base_image = EXCLUDED.base_image, default_resources = EXCLUDED.default_resources, vnc = EXCLUDED.vnc,
            environment = EXCLUDED.environment, persistent_home = EXCLUDED.persistent_home, idle_timeout = EXCLUDED.idle_timeout,
            tags = EXCLUDED.tags, icon_url = EXCLUDED.icon_url, updated_at = EXCLUDED.updated_at"
    } else {
        "NOTHING"
    };
    let made = conn
        .execute(
            &format!(
                "INSERT INTO lab_template ({TEMPLATE})
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (name) DO {then}"
            ),
            &[
                &template.id,
                &text(&template.name),
                &text(&template.display_name),
                &text(&template.category),
                &text(&template.description),
                &text(&template.base_image),
                &to_json(&template.default_resources)?,
                &to_json(&template.vnc)?,
                &to_json(&template.environment)?,
                &template.persistent_home,
                &text(&template.idle_timeout),
                &to_json(&template.tags)?,
                &template.icon_url.as_deref().map(text),
                &template.created_at.0,
                &template.updated_at.0,
            ],
        )
        .await?;
    Ok(new(made))
}

pub(super) async fn no_template(conn: &Conn, name: &str) -> Result<Kept, Fault> {
    Ok(done(conn.execute("DELETE FROM lab_template WHERE name = $1", &[&text(name)]).await?))
}

pub(super) async fn revoked(conn: &Conn, token: Uuid, expires_at: UnixMicros) -> Result<Kept, Fault> {
    conn.execute(
        "INSERT INTO revoked_token (token, expires_at) VALUES ($1, $2)
         ON CONFLICT (token) DO UPDATE SET expires_at = EXCLUDED.expires_at",
        &[&token, &expires_at.0],
    )
    .await?;
    Ok(Kept::Done)
}

/// See [`super::super::super::Store::seed`]. Always inside the caller's transaction; of two nodes that begin at once the second waits until
/// the first is done.
pub(in super::super) async fn seed(conn: &Conn, templates: &[Template], admin: Option<&Login>) -> Result<bool, Fault> {
    conn.execute("LOCK TABLE lab_user, lab_template IN SHARE ROW EXCLUSIVE MODE", &[]).await?;
    conn.execute(FORGET_EXPIRED, &[]).await?;
    for new in templates {
        // One whose name is there is left as it is.
        let _ = template(conn, new, false).await?;
    }
    let Some(Login { user, password_hash }) = admin else { return Ok(false) };
    if conn.row("SELECT 1 FROM lab_user LIMIT 1", &[]).await?.is_some() {
        return Ok(false);
    }
    new_user(conn, user, password_hash).await.map(|kept| kept == Kept::Done)
}

pub(super) fn done(changed: u64) -> Kept {
    if changed == 0 { Kept::Missing } else { Kept::Done }
}

fn new(made: u64) -> Kept {
    if made == 0 { Kept::Taken } else { Kept::Done }
}

pub(super) async fn good_no_more(conn: &Conn, now: UnixMicros) -> Result<Vec<(Uuid, UnixMicros)>, Fault> {
    let found = conn
        .rows("SELECT token, expires_at FROM revoked_token WHERE expires_at > $1 ORDER BY expires_at, token", &[&now.0])
        .await?;
    found.iter().map(|row| Ok((column(row, 0)?, time(row, 1)?))).collect()
}

pub(super) async fn login(conn: &Conn, username: &str) -> Result<Option<Login>, Fault> {
    let found = conn.row(&format!("SELECT {USER} FROM lab_user WHERE username = $1"), &[&text(username)]).await?;
    found.as_ref().map(a_login).transpose()
}

/// See [`super::super::super::ChatLibrary::login_by_email`]. Of several who have it the oldest. The columns' collation knows no letters but
/// those from A to Z.
pub(in super::super) async fn login_by_email(conn: &Conn, email: &str) -> Result<Option<Login>, Fault> {
    let select = format!(
        r#"SELECT {USER} FROM lab_user WHERE lower(email) = lower($1 COLLATE "C") AND email <> ''
           ORDER BY created_at, user_id LIMIT 1"#
    );
    conn.row(&select, &[&text(email)]).await?.as_ref().map(a_login).transpose()
}

fn a_login(row: &Row) -> Result<Login, Fault> {
    Ok(Login { user: a_user(row)?, password_hash: string(row, 7)?.into() })
}

fn a_user(row: &Row) -> Result<User, Fault> {
    Ok(User {
        id: column(row, 0)?,
        username: string(row, 1)?,
        email: string(row, 2)?,
        role: word(row, 3)?,
        active: column(row, 4)?,
        created_at: time(row, 5)?,
        last_login: time_if_any(row, 6)?,
    })
}

pub(super) async fn user(conn: &Conn, user: UserId) -> Result<Option<User>, Fault> {
    let found = conn.row(&format!("SELECT {USER} FROM lab_user WHERE user_id = $1"), &[&user]).await?;
    found.as_ref().map(a_user).transpose()
}

pub(super) async fn users(conn: &Conn, role: Option<Role>, page: Page) -> Result<Listed<User>, Fault> {
    let role = role.map(Word::word);
    let found = match &role {
        Some(role) => Found { from: "lab_user WHERE role = $1".into(), values: vec![role], order: "username".into() },
        None => Found { from: "lab_user".into(), values: Vec::new(), order: "username".into() },
    };
    listed(conn, USER, found, page, a_user).await
}

pub(super) async fn template_of(conn: &Conn, name: &str) -> Result<Option<Template>, Fault> {
    let found = conn.row(&format!("SELECT {TEMPLATE} FROM lab_template WHERE name = $1"), &[&text(name)]).await?;
    found.as_ref().map(a_template).transpose()
}

pub(super) async fn templates(conn: &Conn, category: Option<&str>, page: Page) -> Result<Listed<Template>, Fault> {
    let category = category.map(text);
    let found = match &category {
        Some(category) => Found { from: "lab_template WHERE category = $1".into(), values: vec![category], order: "name".into() },
        None => Found { from: "lab_template".into(), values: Vec::new(), order: "name".into() },
    };
    listed(conn, TEMPLATE, found, page, a_template).await
}

fn a_template(row: &Row) -> Result<Template, Fault> {
    Ok(Template {
        id: column(row, 0)?,
        name: string(row, 1)?,
        display_name: string(row, 2)?,
        category: string(row, 3)?,
        description: string(row, 4)?,
        base_image: string(row, 5)?,
        default_resources: json(row, 6)?,
        vnc: json(row, 7)?,
        environment: json(row, 8)?,
        persistent_home: column(row, 9)?,
        idle_timeout: string(row, 10)?,
        tags: json(row, 11)?,
        icon_url: string_if_any(row, 12)?,
        created_at: time(row, 13)?,
        updated_at: time(row, 14)?,
    })
}
