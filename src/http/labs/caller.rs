//! Who asks, by the token and by what the store says of its user now.

use super::{
    fault::Fault,
    gate::bearer,
    rooms::{Claims, Credentials, Library, TokenFault},
};
use crate::{
    http::{audit::says_who, call::Call},
    protocols::labs::{
        asks,
        model::{Role, User},
    },
    realtime::StoreFault,
};
use std::sync::Arc;

/// Who asks.
pub(super) struct Caller {
    /// As the store has them now: a role that was taken away is gone at once.
    pub(super) user: User,
    /// What their token says.
    pub(super) claims: Claims,
}

impl Caller {
    pub(super) fn is_admin(&self) -> bool {
        self.user.role == Role::Admin
    }

    /// As the registry knows them.
    pub(super) fn asks(&self) -> asks::Caller {
        asks::Caller { id: self.user.id, name: Arc::from(&*self.user.username), admin: self.is_admin() }
    }
}

/// The one who asks. [`Fault::NoToken`], [`Fault::BadToken`] (also of a user who may not sign in any more), [`Fault::ExpiredToken`].
pub(super) async fn caller<S: Credentials + Library>(call: &Call<S>) -> Result<Caller, Fault> {
    let claims = call.house.token(bearer(&call.parts.headers)?).map_err(|fault| match fault {
        TokenFault::Invalid => Fault::BadToken,
        TokenFault::Expired => Fault::ExpiredToken,
        TokenFault::Unknown => Fault::Store(StoreFault::Busy),
    })?;
    let user = call.house.user(claims.user).await?.filter(|user| user.active).ok_or(Fault::BadToken)?;
    says_who(&call.parts.extensions, &user.id.to_string());
    Ok(Caller { user, claims })
}

/// The admin who asks; another is refused.
pub(super) async fn admin<S: Credentials + Library>(call: &Call<S>) -> Result<Caller, Fault> {
    let caller = caller(call).await?;
    if caller.is_admin() { Ok(caller) } else { Err(Fault::Forbidden("This is for users of role admin")) }
}

/// What stands in the path.
pub(super) fn path<'a, S>(call: &'a Call<S>, name: &str) -> &'a str {
    call.text(name).unwrap_or_default()
}
