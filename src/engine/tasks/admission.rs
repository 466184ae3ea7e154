//! Tasks, before the upgrade: whose token it is, and how the others are refused.

use super::super::{Engine, Rules};
use crate::{
    auth::Guest,
    protocols::{
        chat,
        tasks::{Denial, model::Caller},
    },
    realtime::{Now, UnixMicros, table::Key},
    websocket::{
        query,
        upgrade::{self, Body, Upgrade},
    },
};
use std::borrow::Cow;
use uuid::Uuid;

const AUTHORIZATION: &str = "Authorization";
const SCHEME: &str = "bearer";

/// Who it is; and the id, of one who has signed in here.
pub(super) type Known = (Caller, Option<Uuid>);

impl Engine {
    /// Somebody asks for the socket of tasks, in a complete head.
    pub(in crate::engine) fn admit_to_tasks(&mut self, key: Key, request: &Upgrade<'_>, read: &[u8], now: Now) {
        let known = token(request.query, read).and_then(|token| self.known(&token, now.wall).ok_or(Denial::BadToken));
        match known {
            Ok(known) => {
                let who = known.0.user.to_string();
                self.open_tasks(key, known, request, read, now);
                self.note_sign_in_of(key, "tasks", who, now);
            }
            Err(denial) => self.refuse_to_tasks(key, denial, now),
        }
    }

    /// Whose token this is for tasks, if it is good at `now`: one of [`Engine::caller`]'s, or a guest's.
    pub fn tasks_caller(&self, token: &str, now: UnixMicros) -> Option<Caller> {
        self.known(token, now).map(|(caller, _)| caller)
    }

    fn known(&self, token: &str, now: UnixMicros) -> Option<Known> {
        match self.caller(token, now) {
            Some(chat::model::Caller { id, admin, .. }) => Some((Caller { user: id.to_string().into(), admin }, Some(id))),
            None => guest(&self.rules, token, now).map(|Guest { name, admin }| (Caller { user: name.into(), admin }, None)),
        }
    }

    fn refuse_to_tasks(&mut self, key: Key, denial: Denial, now: Now) {
        self.counters.tasks_denials.one();
        let reason = match denial {
            Denial::NoToken => "no_token",
            Denial::BadToken => "bad_token",
        };
        self.note_refusal(key, "tasks", None, reason, now);
        let mut answer = Vec::new();
        upgrade::refuse(401, Body::Json(&denial.body()), &mut answer);
        self.send_wire(key, answer);
        self.part(key, false, now);
    }
}

fn guest(rules: &Rules, token: &str, now: UnixMicros) -> Option<Guest> {
    rules.guests.as_ref()?.read(token, now)
}

/// That of the query; where there is none, that of the header.
fn token<'a>(query: Option<&'a str>, head: &'a [u8]) -> Result<Cow<'a, str>, Denial> {
    if let Some(token) = query::parameter(query, "token") {
        return Ok(token);
    }
    let shown = upgrade::header_of(head, AUTHORIZATION).ok_or(Denial::NoToken)?;
    let (scheme, token) = shown.split_once(' ').ok_or(Denial::BadToken)?;
    if scheme.eq_ignore_ascii_case(SCHEME) { Ok(token.trim().into()) } else { Err(Denial::BadToken) }
}
