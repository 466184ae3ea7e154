//! Users for operators, on the internal listener: what `homeroom user` says to a server that runs. By name, without a token, uncounted.

use super::{
    Rooms,
    auth::keep,
    caller::path,
    fault::Fault,
    fields::Fields,
    given, params,
    shapes::{ListedUser, UserShape, done, list},
    users::{check, made, role},
};
use crate::{
    http::{
        answer::{self, Answer},
        audit::says_target,
        call::Call,
        fault::Refusal,
        table::Route,
    },
    protocols::labs::{
        model::User,
        record::{Kept, Record},
    },
};
use http::{Method, StatusCode};
use serde::Serialize;

const ENTRIES: u32 = 100;

/// The routes.
pub fn internal_routes<S: Rooms>() -> Vec<Route<S>> {
    vec![
        Route::internal(Method::GET, "/api/v1/labs/users", all),
        Route::internal(Method::POST, "/api/v1/labs/users", make).marked("user.made"),
        Route::internal(Method::GET, "/api/v1/labs/users/{username}", one),
        Route::internal(Method::PATCH, "/api/v1/labs/users/{username}", change).marked("user.changed"),
    ]
}

/// A fault whose words are in its answer: no gate is there to write them.
struct Plain(Fault);

impl<F: Into<Fault>> From<F> for Plain {
    fn from(fault: F) -> Plain {
        Plain(fault.into())
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = PlainRefusal)]
pub(super) struct Told<'a> {
    code: &'a str,
    message: &'a str,
}

impl Refusal for Plain {
    fn into_answer(self) -> Answer {
        let told = self.0.telling();
        answer::json(told.status, &Told { code: told.code, message: &told.message })
    }
}

async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Plain> {
    let page = params::page(&call, ENTRIES)?;
    let listed = call.house.users(None, page).await?;
    Ok(list::<ListedUser<'_>, _>("users", &listed, page))
}

async fn make<S: Rooms>(call: Call<S>) -> Result<Answer, Plain> {
    let user = made(&*call.house, Fields::of(&call)?).await?;
    says_target(&call.parts.extensions, &user.id.to_string());
    Ok(answer::json(StatusCode::CREATED, &UserShape::from(&user)))
}

async fn one<S: Rooms>(call: Call<S>) -> Result<Answer, Plain> {
    Ok(done(&ListedUser::from(&named(&call).await?)))
}

async fn change<S: Rooms>(call: Call<S>) -> Result<Answer, Plain> {
    let mut fields = Fields::of(&call)?;
    let (role, active) = (role(&mut fields)?, fields.flag("active")?);
    let password = fields.text("password")?;
    if let Some(password) = &password {
        check(given::is_password(password), "password", given::PASSWORD)?;
    }
    let user = named(&call).await?;
    says_target(&call.parts.extensions, &user.id.to_string());
    let password_hash = match password {
        Some(password) => Some(call.house.hash(password).await?),
        None => None,
    };
    let record = Record::EditedUser { user: user.id, email: None, role, active, password_hash, last_login: None };
    match keep(&*call.house, record).await? {
        Kept::Done => {
            let (role, active) = (role.unwrap_or(user.role), active.unwrap_or(user.active));
            Ok(done(&ListedUser::from(&User { role, active, ..user })))
        }
        Kept::Missing | Kept::Taken => Err(Plain(Fault::NoUser(path(&call, "username").to_owned()))),
    }
}

async fn named<S: Rooms>(call: &Call<S>) -> Result<User, Plain> {
    let name = path(call, "username");
    let known = call.house.login(name.to_owned()).await?;
    known.map(|login| login.user).ok_or_else(|| Plain(Fault::NoUser(name.to_owned())))
}
