//! The contracts of the labs routes: the registry and the limits are asked by letters, the records by the bridge, passwords there as well.

use super::{Rest, random, unhashed};
use crate::{
    auth::{AgentKeyFault, USER_TOKEN_LIFETIME, UserClaims, UserFlaw},
    http::{
        labs::rooms::{Chance, Claims, Credentials, Issued, Library, Registry, TokenFault},
        rooms::Clock,
    },
    protocols::labs::{
        asks::{Ask, Reply},
        model::{Role, Session, SessionId, Template, User, UserId},
        record::{Listed, Login, Page, SessionFilter},
    },
    realtime::{StoreFault, UnixMicros},
    store::Read,
};
use std::{future::poll_fn, sync::Arc};
use uuid::Builder;

/// An ask on its way: forgotten when its future is dropped, as when the client has gone. It is done all the same.
struct Asked<'a> {
    rest: &'a Rest,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.rest.shift.borrow_mut().engine.forget_labs_ask(self.number);
    }
}

impl Registry for Rest {
    async fn ask(&self, ask: Ask) -> Reply {
        let asked = Asked { rest: self, number: self.shift.borrow_mut().engine.ask_labs(ask) };
        self.nudge.nudge();
        poll_fn(|cx| self.shift.borrow_mut().engine.poll_labs_reply(asked.number, cx.waker())).await
    }

    fn namespace(&self) -> &str {
        &self.house.rules.labs.namespace
    }
}

impl Library for Rest {
    async fn login(&self, username: String) -> Read<Option<Login>> {
        self.read(move |store| store.login(&username)).await
    }

    async fn user(&self, user: UserId) -> Read<Option<User>> {
        self.read(move |store| store.user(user)).await
    }

    async fn users(&self, role: Option<Role>, page: Page) -> Read<Listed<User>> {
        self.read(move |store| store.users(role, page)).await
    }

    async fn templates(&self, category: Option<String>, page: Page) -> Read<Listed<Template>> {
        self.read(move |store| store.templates(category.as_deref(), page)).await
    }

    async fn template(&self, name: String) -> Read<Option<Template>> {
        self.read(move |store| store.template(&name)).await
    }

    async fn sessions(&self, filter: SessionFilter, page: Page) -> Read<Listed<Session>> {
        self.read(move |store| store.sessions(&filter, page)).await
    }

    async fn session(&self, session: SessionId) -> Read<Option<Session>> {
        self.read(move |store| store.session(session)).await
    }
}

impl Credentials for Rest {
    fn token(&self, token: &str) -> Result<Claims, TokenFault> {
        let read = self.house.rules.labs_users.read(token, self.now()).map_err(|flaw| match flaw {
            UserFlaw::Invalid => TokenFault::Invalid,
            UserFlaw::Expired => TokenFault::Expired,
        })?;
        let shift = self.shift.borrow();
        if !shift.engine.knows_rights() {
            return Err(TokenFault::Unknown);
        }
        if shift.engine.revoked().has(read.token) {
            return Err(TokenFault::Invalid);
        }
        let role = if read.admin { Role::Admin } else { Role::User };
        Ok(Claims { user: read.user, name: read.name.into(), role, token: read.token, expires_at: read.expires_at })
    }

    fn issue(&self, user: &User) -> Result<Issued, StoreFault> {
        let now = self.now();
        let claims = claims(user, now);
        Ok(Issued { token: self.house.rules.labs_users.issue(&claims, now), expires_at: claims.expires_at })
    }

    async fn check(&self, password: String, known: Option<Arc<str>>) -> Result<bool, StoreFault> {
        self.passwords.check(password, known.as_deref().map(str::to_owned)).await.map_err(unhashed)
    }

    async fn hash(&self, password: String) -> Result<String, StoreFault> {
        self.passwords.hash(password).await.map_err(unhashed)
    }

    fn admits(&self, agent_key: Option<&str>) -> Result<(), AgentKeyFault> {
        self.house.rules.labs_agents.as_ref().map_or(Ok(()), |key| key.admits(agent_key))
    }
}

/// What a new token of this user says.
fn claims(user: &User, now: UnixMicros) -> UserClaims {
    let mut token = [0; 16];
    random(&mut token);
    UserClaims {
        user: user.id,
        name: user.username.clone(),
        email: user.email.clone(),
        admin: user.role == Role::Admin,
        token: Builder::from_random_bytes(token).into_uuid(),
        // Whole seconds, as `exp` has them.
        expires_at: UnixMicros((now.seconds() + USER_TOKEN_LIFETIME.as_secs() as i64) * 1_000_000),
    }
}

impl Chance for Rest {
    fn fill(&self, bytes: &mut [u8]) {
        random(bytes);
    }
}
