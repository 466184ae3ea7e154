//! Signing in and out.

use super::{
    Rooms,
    caller::caller,
    fault::Fault,
    fields::Fields,
    rooms::Registry,
    shapes::{LoginShape, done},
};
use crate::{
    http::{answer::Answer, audit::says_who, call::Call},
    protocols::labs::{
        asks::{Ask, Refused, Reply},
        record::{Kept, Record},
    },
    realtime::StoreFault,
};
use serde::Serialize;

/// POST /auth/login
pub(super) async fn login<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let mut fields = Fields::of(&call)?;
    let (username, password) = (fields.needed("username")?, fields.needed("password")?);
    let house = &*call.house;
    let known = house.login(username).await?;
    // Of a name that nobody has nothing is told: it may be a password.
    known.iter().for_each(|login| says_who(&call.parts.extensions, &login.user.id.to_string()));
    let hash = known.as_ref().map(|login| login.password_hash.clone());
    // Whether there is such a user, that takes as long to say.
    let is_right = house.check(password, hash).await?;
    let user = known.filter(|_| is_right).ok_or(Fault::BadLogin)?.user;
    if !user.active {
        return Err(Fault::Forbidden("The user is disabled"));
    }
    let now = house.now();
    let edit =
        Record::EditedUser { user: user.id, email: None, role: None, active: None, password_hash: None, last_login: Some(now) };
    match keep(house, edit).await {
        // The time is for people to look at: a disk that is full keeps nobody out.
        Err(Fault::Store(fault)) => tracing::warn!(?fault, "the time of a login could not be kept"),
        kept => drop(kept?),
    }
    let issued = house.issue(&user)?;
    Ok(done(&LoginShape::new(&user, &issued)))
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Done {
    message: &'static str,
}

/// POST /auth/logout
pub(super) async fn logout<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let claims = caller(&call).await?.claims;
    keep(&*call.house, Record::Revoked { token: claims.token, expires_at: claims.expires_at }).await?;
    Ok(done(&Done { message: "Logout successful" }))
}

/// Has a record written.
pub(super) async fn keep(house: &impl Registry, record: Record) -> Result<Kept, Fault> {
    match house.ask(Ask::Keep(record)).await {
        Reply::Kept(kept) => Ok(kept),
        other => Err(unexpected(other)),
    }
}

/// A refusal, or a reply that is not the one of its ask's name.
pub(super) fn unexpected(reply: Reply) -> Fault {
    match reply {
        Reply::Refused(Refused::Store(fault)) => Fault::Store(fault),
        Reply::Refused(refused) => Fault::Refused(refused),
        Reply::Kept(_)
        | Reply::Limit { .. }
        | Reply::Session(_)
        | Reply::Logs(_)
        | Reply::Agents(_)
        | Reply::Agent(_)
        | Reply::Enrolled { .. } => {
            tracing::warn!("the registry answered what was not asked");
            Fault::Store(StoreFault::Failed)
        }
    }
}
