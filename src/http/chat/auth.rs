//! Signing in.

use super::{
    Rooms,
    fault::Fault,
    shapes::{LoginShape, done},
};
use crate::http::{answer::Answer, audit::says_who, call::Call, fields::Fields};

/// POST /auth/login
pub(super) async fn login<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let fields = Fields::of(&call)?;
    let (email, password) = (fields.needed("email")?, fields.needed("password")?);
    let house = &*call.house;
    let known = house.login(email).await?;
    // Of an address that nobody has nothing is told: it may be a password.
    known.iter().for_each(|login| says_who(&call.parts.extensions, &login.user.id.to_string()));
    let hash = known.as_ref().map(|login| login.password_hash.clone());
    // Whether there is such a user, that takes as long to say.
    let is_right = house.check(password, hash).await?;
    let user = known.filter(|_| is_right).ok_or(Fault::BadLogin)?.user;
    if !user.active {
        return Err(Fault::Disabled);
    }
    // The time is for people to look at: a disk that is full keeps nobody out.
    if let Err(fault) = house.signed_in(user.id).await {
        tracing::warn!(?fault, "the time of a login could not be kept");
    }
    Ok(done(&LoginShape::from(&house.issue(&user)?)))
}
