//! Users.

use super::{super::rooms::Issued, Iso};
use crate::protocols::labs::model::{Role, User};
use serde::Serialize;
use uuid::Uuid;

/// A user who was made just now.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct UserShape<'a> {
    id: Uuid,
    username: &'a str,
    email: &'a str,
    role: Role,
    active: bool,
    created_at: Iso,
}

impl<'a> From<&'a User> for UserShape<'a> {
    fn from(user: &'a User) -> UserShape<'a> {
        UserShape {
            id: user.id,
            username: &user.username,
            email: &user.email,
            role: user.role,
            active: user.active,
            created_at: Iso(user.created_at),
        }
    }
}

/// A user otherwise.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ListedUser<'a> {
    #[serde(flatten)]
    user: UserShape<'a>,
    last_login: Option<Iso>,
}

impl<'a> From<&'a User> for ListedUser<'a> {
    fn from(user: &'a User) -> ListedUser<'a> {
        ListedUser { user: UserShape::from(user), last_login: user.last_login.map(Iso) }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct SignedIn<'a> {
    id: Uuid,
    username: &'a str,
    email: &'a str,
    role: Role,
    created_at: Iso,
}

/// Someone who has signed in.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct LoginShape<'a> {
    token: &'a str,
    user: SignedIn<'a>,
    expires_at: Iso,
}

impl<'a> LoginShape<'a> {
    pub(crate) fn new(user: &'a User, issued: &'a Issued) -> LoginShape<'a> {
        LoginShape {
            token: &issued.token,
            user: SignedIn {
                id: user.id,
                username: &user.username,
                email: &user.email,
                role: user.role,
                created_at: Iso(user.created_at),
            },
            expires_at: Iso(issued.expires_at),
        }
    }
}
