//! Users: kept by admins; everyone changes their own password.

use super::{
    Rooms,
    auth::keep,
    caller::{admin, caller, path},
    fault::Fault,
    fields::Fields,
    given::{self, is_name},
    params,
    shapes::{ListedUser, UserShape, done, list, nothing},
};
use crate::{
    http::{
        answer::{self, Answer},
        audit::says_target,
        call::Call,
    },
    protocols::labs::{
        model::{Role, User, UserId},
        record::{Kept, Record},
    },
};
use http::StatusCode;

const ENTRIES: u32 = 20;
const ROLES: [(&str, Role); 2] = [("admin", Role::Admin), ("user", Role::User)];
const ROLE: &str = "Expected admin or user";

/// GET /users
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    admin(&call).await?;
    let role = params::one_of(&call, "role", &ROLES, ROLE)?;
    let page = params::page(&call, ENTRIES)?;
    let listed = call.house.users(role, page).await?;
    Ok(list::<ListedUser<'_>, _>("users", &listed, page))
}

/// POST /users
pub(super) async fn make<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    admin(&call).await?;
    let user = made(&*call.house, Fields::of(&call)?).await?;
    says_target(&call.parts.extensions, &user.id.to_string());
    Ok(answer::json(StatusCode::CREATED, &UserShape::from(&user)))
}

/// A new user of these fields.
pub(super) async fn made(house: &impl Rooms, mut fields: Fields) -> Result<User, Fault> {
    let (username, email) = (fields.needed("username")?, fields.needed("email")?);
    let password = fields.needed("password")?;
    let role = role(&mut fields)?.unwrap_or(Role::User);
    check(is_name(&username), "username", given::NAME)?;
    check(given::is_email(&email), "email", given::EMAIL)?;
    check(given::is_password(&password), "password", given::PASSWORD)?;
    let (id, created_at) = (given::v4(house), house.now());
    let user = User { id, username, email, role, active: true, created_at, last_login: None };
    let password_hash = house.hash(password).await?;
    match keep(house, Record::NewUser { user: user.clone(), password_hash }).await? {
        Kept::Done => Ok(user),
        Kept::Taken | Kept::Missing => Err(Fault::UserTaken),
    }
}

/// GET /users/{user}
pub(super) async fn one<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    admin(&call).await?;
    Ok(done(&ListedUser::from(&there(&call).await?)))
}

/// PATCH /users/{user}
pub(super) async fn change<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = admin(&call).await?;
    let mut fields = Fields::of(&call)?;
    let email = fields.checked("email", given::is_email, given::EMAIL)?;
    let (role, active) = (role(&mut fields)?, fields.flag("active")?);
    let user = there(&call).await?;
    if user.id == caller.user.id {
        // Else the last admin could lock everyone out.
        check(role != Some(Role::User), "role", "Your own role stays")?;
        check(active != Some(false), "active", "You cannot disable yourself")?;
    }
    let record = Record::EditedUser { user: user.id, email: email.clone(), role, active, password_hash: None, last_login: None };
    edit(&call, record).await?;
    let (role, active) = (role.unwrap_or(user.role), active.unwrap_or(user.active));
    let user = User { email: email.unwrap_or(user.email), role, active, ..user };
    Ok(done(&ListedUser::from(&user)))
}

/// DELETE /users/{user}: disables. Their sessions name them, so that nobody is forgotten.
pub(super) async fn disable<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = admin(&call).await?;
    let user = id(&call)?;
    check(user != caller.user.id, "active", "You cannot disable yourself")?;
    let record = Record::EditedUser { user, email: None, role: None, active: Some(false), password_hash: None, last_login: None };
    edit(&call, record).await.map(|()| nothing())
}

/// PUT /users/{user}/password
pub(super) async fn change_password<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call).await?;
    let user = id(&call)?;
    let own = user == caller.user.id;
    if !own && !caller.is_admin() {
        return Err(Fault::Forbidden("Passwords of other users are for users of role admin"));
    }
    let mut fields = Fields::of(&call)?;
    let password = fields.needed("password")?;
    check(given::is_password(&password), "password", given::PASSWORD)?;
    if own {
        let current = fields.needed("current_password")?;
        let known = call.house.login(caller.user.username.clone()).await?.map(|login| login.password_hash);
        if !call.house.check(current, known).await? {
            return Err(Fault::BadLogin);
        }
    }
    let password_hash = Some(call.house.hash(password).await?);
    let record = Record::EditedUser { user, email: None, role: None, active: None, password_hash, last_login: None };
    edit(&call, record).await.map(|()| nothing())
}

pub(super) fn role(fields: &mut Fields) -> Result<Option<Role>, Fault> {
    let Some(name) = fields.text("role")? else { return Ok(None) };
    let found = ROLES.iter().find(|(known, _)| *known == name);
    found.map(|(_, role)| Some(*role)).ok_or(Fault::Field("role", ROLE))
}

pub(super) fn check(holds: bool, field: &'static str, expected: &'static str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::Field(field, expected)) }
}

fn id<S>(call: &Call<S>) -> Result<UserId, Fault> {
    let text = path(call, "user");
    UserId::try_parse(text).map_err(|_| Fault::NoUser(text.to_owned()))
}

async fn there<S: Rooms>(call: &Call<S>) -> Result<User, Fault> {
    let user = id(call)?;
    call.house.user(user).await?.ok_or_else(|| Fault::NoUser(user.to_string()))
}

async fn edit<S: Rooms>(call: &Call<S>, record: Record) -> Result<(), Fault> {
    match keep(&*call.house, record).await? {
        Kept::Done => Ok(()),
        Kept::Missing | Kept::Taken => Err(Fault::NoUser(path(call, "user").to_owned())),
    }
}
