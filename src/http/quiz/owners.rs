//! Owners: accounts that sign in, and their API keys.

use super::{
    Rooms,
    body::{self, check, has_chars},
    caller::{id, keeper},
    envelope::{done, list, made, nothing, page},
    fault::Fault,
    ids,
    quizzes::keep,
    rooms::SignInRefused,
    shapes::{Iso, KeyShape},
};
use crate::{
    auth::api_key,
    http::{
        answer::Answer,
        audit::{says_target, says_who},
        call::Call,
    },
    protocols::quiz::{
        account,
        model::Role,
        record::{Kept, Key, Record},
    },
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const EXPECTED: &str = r#"expected {"name": text, "password": text}"#;
/// Characters of a key that are shown in lists: its end.
const HINT: usize = 4;

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct Login {
    name: String,
    password: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Token<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
}

/// POST /auth/sign-in
pub(super) async fn sign_in<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    const WRONG: Fault = Fault::Unknown("expected the name and the password of an account");
    if !call.house.has_sign_in() {
        return Err(Fault::NotFound);
    }
    let login: Login = body::object(&call, EXPECTED)?;
    if !account::is_name(&login.name) || !account::is_password(&login.password) {
        return Err(WRONG);
    }
    let name = login.name.clone();
    let signed_in = call.house.sign_in(login.name, login.password).await.map_err(|refused| match refused {
        SignInRefused::Wrong => WRONG,
        SignInRefused::Store(fault) => Fault::Store(fault),
    })?;
    says_who(&call.parts.extensions, &name);
    let expires_in = signed_in.lifetime.as_secs();
    done(&Token { access_token: &signed_in.access_token, token_type: "Bearer", expires_in })
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Name<'a> {
    name: &'a str,
}

/// POST /owners, on the internal listener
pub(super) async fn make_account<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    if !call.house.has_sign_in() {
        return Err(Fault::NotFound);
    }
    let login: Login = body::object(&call, EXPECTED)?;
    check(account::is_name(&login.name), account::NAME)?;
    check(account::is_password(&login.password), account::PASSWORD)?;
    call.house.new_account(login.name.clone(), login.password).await?;
    says_target(&call.parts.extensions, &login.name);
    made(&Name { name: &login.name })
}

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct NewKey {
    label: String,
    role: Role,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct MadeKey<'a> {
    id: Uuid,
    label: &'a str,
    role: Role,
    hint: &'a str,
    created_at: Iso,
    key: &'a str,
}

/// POST /apikeys
pub(super) async fn make_key<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = keeper(&call)?;
    let NewKey { label, role } = body::object(&call, r#"expected {"label": text, "role": "owner" | "user"}"#)?;
    check(has_chars(&label, 1..=100), "label is 1 to 100 characters")?;
    let shown = api_key::api_key(ids::random(&*call.house));
    let hint = shown[shown.len() - HINT..].to_owned();
    let created_at = call.house.now();
    let key = Key { id: ids::v7(&*call.house), owner, label, role, hash: api_key::hash(&shown), hint, created_at };
    keep(&*call.house, Record::Key(key.clone())).await?;
    let Key { id, label, hint, .. } = &key;
    made(&MadeKey { id: *id, label, role, hint, created_at: Iso(created_at), key: &shown })
}

/// GET /apikeys
pub(super) async fn keys<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = keeper(&call)?;
    let page = page(&call)?;
    list::<KeyShape<'_>, _>(&call.house.keys(owner, page).await?)
}

/// DELETE /apikeys/{key}
pub(super) async fn revoke_key<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = keeper(&call)?;
    let key = id(&call, "key")?;
    match keep(&*call.house, Record::Revoked { owner, key, at: call.house.now() }).await? {
        Kept::Done | Kept::Quiz(_) => nothing(),
        Kept::Missing => Err(Fault::NotFound),
    }
}
