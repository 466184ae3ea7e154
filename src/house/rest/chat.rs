//! The contracts of the chat routes: homes and limits are asked by letters, the records by the bridge, passwords there as well.

use super::{Rest, random, unhashed};
use crate::{
    auth::{CALLER_TOKEN_LIFETIME, CallerClaims},
    http::{
        chat::{
            pipe::{Tellings, pipe},
            rooms::{Chance, Credentials, Issued, Library, Pauses, Sessions},
        },
        labs::rooms::Registry,
        rooms::Clock,
    },
    models::Catalog,
    observe::traces,
    protocols::{
        chat::{
            Ask, Payer, Reply, Row, SessionId, Settings,
            model::{Caller, Session},
            record::{History, Listed, Page, Part, SessionFilter, Waiting},
        },
        labs::{
            asks::{Ask as LabsAsk, Refused, Reply as Kept},
            model::{Role, User, UserId},
            record::{Login, Record},
        },
    },
    realtime::{Counted, StoreFault, UnixMicros},
    store::Read,
};
use std::{future::poll_fn, sync::Arc, time::Duration};
use uuid::Builder;

/// An ask on its way: forgotten when its future is dropped, as when the client has gone. It is done all the same.
struct Asked<'a> {
    rest: &'a Rest,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.rest.shift.borrow_mut().engine.forget_chat_ask(self.number);
    }
}

/// A request that is being counted.
struct Counting<'a> {
    rest: &'a Rest,
    number: u64,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.rest.shift.borrow_mut().engine.forget_chat_count(self.number);
    }
}

impl Sessions for Rest {
    async fn ask(&self, ask: Ask) -> Reply {
        let asked = Asked { rest: self, number: self.shift.borrow_mut().engine.ask_chat(ask) };
        self.nudge.nudge();
        poll_fn(|cx| self.shift.borrow_mut().engine.poll_chat_reply(asked.number, cx.waker())).await
    }

    fn say(&self, ask: Ask) -> Tellings {
        let (teller, tellings) = pipe();
        if let Ask::Say { ids: [_, answer], .. } = &ask {
            traces::note_cause(*answer);
        }
        self.shift.borrow_mut().engine.say_chat(ask, Box::new(move |told| teller.tell(told)));
        self.nudge.nudge();
        tellings
    }

    fn leave(&self, leave: Ask) {
        self.shift.borrow_mut().engine.leave_chat(leave);
        self.nudge.nudge();
    }

    async fn count(&self, payer: Payer, row: Row) -> Result<Counted, StoreFault> {
        let counting = Counting { rest: self, number: self.shift.borrow_mut().engine.count_chat(payer, row) };
        self.nudge.nudge();
        Ok(poll_fn(|cx| self.shift.borrow_mut().engine.poll_chat_count(counting.number, cx.waker())).await)
    }

    fn settings(&self) -> &Settings {
        &self.house.rules.chat
    }

    fn catalog(&self) -> &Catalog {
        &self.house.rules.catalog
    }
}

impl Library for Rest {
    async fn login(&self, email: String) -> Read<Option<Login>> {
        self.read(move |store| store.login_by_email(&email)).await
    }

    async fn sessions(&self, filter: SessionFilter, page: Page) -> Read<Listed<Session>> {
        self.read(move |store| store.chat_sessions(&filter, page)).await
    }

    async fn session(&self, session: SessionId) -> Read<Option<Session>> {
        self.read(move |store| store.chat_session(session)).await
    }

    async fn messages(&self, history: History) -> Read<Option<Part>> {
        self.read(move |store| store.history(history)).await
    }

    async fn waiting_approvals(&self, now: UnixMicros, limit: u32) -> Read<Vec<Waiting>> {
        self.read(move |store| store.waiting_approvals(now, limit)).await
    }
}

impl Credentials for Rest {
    fn caller(&self, token: &str) -> Option<Caller> {
        self.shift.borrow().engine.caller(token, self.now())
    }

    fn issue(&self, user: &User) -> Result<Issued, StoreFault> {
        let now = self.now();
        let mut token = [0; 16];
        random(&mut token);
        let claims = CallerClaims {
            user: user.id,
            name: user.username.clone(),
            email: user.email.clone(),
            admin: user.role == Role::Admin,
            token: Builder::from_random_bytes(token).into_uuid(),
            // Whole seconds, as `exp` has them.
            expires_at: UnixMicros((now.seconds() + CALLER_TOKEN_LIFETIME.as_secs() as i64) * 1_000_000),
        };
        Ok(Issued { token: self.house.rules.callers.issue(&claims, now), expires_in: CALLER_TOKEN_LIFETIME })
    }

    async fn signed_in(&self, user: UserId) -> Result<(), StoreFault> {
        let last_login = Some(self.now());
        let record = Record::EditedUser { user, email: None, role: None, active: None, password_hash: None, last_login };
        match Registry::ask(self, LabsAsk::Keep(record)).await {
            Kept::Kept(_) => Ok(()),
            Kept::Refused(Refused::Store(fault)) => Err(fault),
            Kept::Refused(_) | Kept::Limit { .. } | Kept::Session(_) | Kept::Logs(_) => Err(StoreFault::Failed),
            Kept::Agents(_) | Kept::Agent(_) | Kept::Enrolled { .. } => Err(StoreFault::Failed),
        }
    }

    async fn check(&self, password: String, known: Option<Arc<str>>) -> Result<bool, StoreFault> {
        self.passwords.check(password, known.as_deref().map(str::to_owned)).await.map_err(unhashed)
    }
}

impl Pauses for Rest {
    fn pause(&self, length: Duration) -> impl Future<Output = ()> + 'static {
        glommio::timer::sleep(length)
    }
}

impl Chance for Rest {
    fn fill(&self, bytes: &mut [u8]) {
        random(bytes);
    }
}
