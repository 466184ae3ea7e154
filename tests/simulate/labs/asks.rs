//! Those who ask over REST: they create, move, look, read logs, drain, sign out, and are counted.

use super::{
    checks::OWNERS,
    drains::Drains,
    world::{Labs, NAMES},
};
use crate::{
    clients::{EPOCH, user_key},
    world::note,
};
use homeroom::{
    auth::UserClaims,
    protocols::labs::{
        asks::{Ask, Caller, Creation, LimitKey, Refused, Reply, Target, Window},
        letters::{Capacity, Dialect, Hello},
        model::{Resources, Role, Session, State, Template, User, Vnc},
        record::{Kept, Record},
    },
    realtime::{Moment, UnixMicros},
};
use std::{
    task::{Poll, Waker},
    time::Duration,
};
use uuid::Uuid;

/// As long as a PATCH waits for an agent.
const COMMAND_WAIT: Duration = Duration::from_secs(10);
/// What each window lets through.
pub(crate) const LIMITS: [usize; 4] = [5, 10, 7, 12];
const DAY_MICROS: i64 = 86_400_000_000;

/// Where a token stands, as far as those know who asked for its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Validity {
    Good,
    /// Its end was asked for, and not confirmed.
    Unsure,
    /// Since then.
    Bad(Moment),
}

/// A user's token.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) id: Uuid,
    pub(crate) text: String,
    /// Which of the users.
    pub(crate) user: usize,
    pub(crate) validity: Validity,
}

/// An ask that waits.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) shard: usize,
    pub(crate) number: u64,
    pub(crate) ask: Ask,
    at: Moment,
    drains: Drains,
    /// Whether somebody had been told of its session when it was asked.
    is_known: bool,
}

pub(crate) fn hello(name: &str, places: usize) -> Hello {
    Hello {
        dialect: Dialect::Field,
        name: name.into(),
        platform: "host".into(),
        region: "".into(),
        capacity: Capacity { max_sessions: Some(places as u32), ..Capacity::default() },
        metadata: "{}".into(),
    }
}

fn template() -> Template {
    Template {
        id: Uuid::from_u128(0x880),
        name: "desk".into(),
        display_name: "Desk".into(),
        category: "x".into(),
        description: String::new(),
        base_image: "image".into(),
        default_resources: Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: None },
        vnc: Vnc { enabled: true, port: 3000, resolution: None, color_depth: None },
        environment: Default::default(),
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: vec![],
        icon_url: None,
        created_at: EPOCH,
        updated_at: EPOCH,
    }
}

/// The users, as they are made.
pub(crate) fn users() -> impl Iterator<Item = Record> {
    (0..OWNERS.len()).map(|user| {
        let Caller { id, name, admin } = caller(user);
        let role = if admin { Role::Admin } else { Role::User };
        let username = name.to_string();
        let user = User { id, username, email: String::new(), role, active: true, created_at: EPOCH, last_login: None };
        Record::NewUser { user, password_hash: String::new() }
    })
}

/// As they begin.
pub(crate) fn caller(user: usize) -> Caller {
    Caller { id: Uuid::from_u128(0xA00 + user as u128), name: OWNERS[user].into(), admin: user == 2 }
}

impl Labs {
    pub(crate) fn some_token(&mut self) -> usize {
        let known = self.tokens.len();
        if known == 0 || known < 12 && self.dice.percent(30) {
            let user = *self.dice.pick(&[0, 0, 0, 0, 1, 2, 2]);
            let id = Uuid::from_u128(0x70_0000 + known as u128);
            let Caller { id: own, name, admin } = caller(user);
            let expires_at = UnixMicros(EPOCH.0 + DAY_MICROS);
            let claims = UserClaims { user: own, name: name.to_string(), email: String::new(), admin, token: id, expires_at };
            let text = user_key().issue(&claims, EPOCH);
            self.tokens.push(Token { id, text, user, validity: Validity::Good });
            return known;
        }
        self.dice.below(known)
    }

    pub(crate) fn ask(&mut self, ask: Ask) {
        let shard = self.dice.below(self.shards.len());
        note!(self, "ask at {shard}: {}", brief(&ask));
        let now = self.now;
        let drains = self.drains_of(&ask);
        let number = self.feed(shard).ask_labs(ask.clone());
        let is_awaited = matches!(ask, Ask::Limit { .. } | Ask::Keep(_) | Ask::Drain { .. } | Ask::Forget { .. });
        if self.dice.percent(5) && !is_awaited {
            self.shards[shard].engine.forget_labs_ask(number);
        } else {
            let is_known = session_of(&ask).is_some_and(|session| self.acknowledged.contains(&session));
            self.asks.push(Pending { shard, number, ask, at: now.moment, drains, is_known });
        }
        self.turn(shard);
    }

    /// Takes the answers that have come.
    pub(crate) fn poll_asks(&mut self) {
        for at in (0..self.asks.len()).rev() {
            let Some(Pending { shard, number, .. }) = self.asks.get(at) else { continue };
            let (shard, number) = (*shard, *number);
            if let Poll::Ready(reply) = self.shards[shard].engine.poll_labs_reply(number, Waker::noop()) {
                let pending = self.asks.swap_remove(at);
                note!(self, "reply to {}: {}", brief(&pending.ask), brief_reply(&reply));
                self.count("answers");
                self.check_reply(&pending, &reply);
            }
        }
    }

    pub(crate) fn ask_something(&mut self) {
        let which = self.dice.below(self.agents.len());
        let name = self.agents[which].name;
        let user = *self.dice.pick(&[0, 0, 0, 0, 0, 1, 2, 2]);
        let caller = caller(user);
        let ask = match self.dice.below(100) {
            0..30 => return self.create(),
            30..63 => return self.ask_move(caller),
            63..66 => return self.change_role(),
            66..72 => self.some_session(State::Running).map(|session| Ask::Look { session, caller }),
            72..74 => return self.log_out(),
            74..78 => self.some_session(State::Running).map(|session| Ask::Logs { session, caller, tail: 2 }),
            78..80 => Some(Ask::Agents),
            80..83 => Some(Ask::Drain { agent: name.into(), draining: self.dice.percent(25) }),
            83 => return self.agent_enrols(which),
            84 => Some(Ask::Forget { agent: name.into() }),
            85 => return self.log_out(),
            86 => return self.change_role(),
            87 => return self.bar_or_let_in(),
            _ => {
                let user = Uuid::from_u128(self.dice.below(3) as u128);
                let window = *self.dice.pick(&Labs::windows());
                Some(Ask::Limit { key: LimitKey::User(user), window })
            }
        };
        if let Some(ask) = ask {
            self.ask(ask);
        }
    }

    pub(crate) fn create(&mut self) {
        if self.sessions >= self.plan.sessions {
            return;
        }
        self.sessions += 1;
        // Names clash now and then.
        let n = self.dice.below(6) as u8;
        let creation = Creation {
            session: Labs::session(self.sessions),
            suffixes: [[0, 0, n], [0, 1, n], [0, 2, n], [0, 3, n]],
            user: OWNERS[usize::from(self.dice.percent(20))].into(),
            template: Box::new(template()),
            platform: None,
            region: None,
            hibernated: self.dice.percent(15),
            resources: Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: None },
            persistent_home: true,
            idle_timeout: (*self.dice.pick(&["20s", "1m30s", "1h"])).into(),
            tags: vec![],
        };
        self.ask(Ask::Create(Box::new(creation)));
    }

    fn ask_move(&mut self, caller: Caller) {
        let targets = [Target::Running, Target::Hibernated, Target::Terminating, Target::Terminated];
        let to = targets[self.dice.weighted(&[40, 40, 14, 6])];
        let state = if to == Target::Running { State::Hibernated } else { State::Running };
        if let Some(session) = self.some_session(state) {
            self.ask(Ask::Move { session, caller, to });
        }
    }

    fn log_out(&mut self) {
        if self.tokens.is_empty() {
            return;
        }
        let at = self.dice.below(self.tokens.len());
        let token = &mut self.tokens[at];
        if token.validity == Validity::Good {
            token.validity = Validity::Unsure;
            let (token, expires_at) = (token.id, UnixMicros(EPOCH.0 + DAY_MICROS));
            self.ask(Ask::Keep(Record::Revoked { token, expires_at }));
        }
    }

    /// An admin decides whether a user may sign in.
    fn bar_or_let_in(&mut self) {
        let user = self.dice.below(2);
        let active = self.dice.percent(60);
        self.barred[user] = Validity::Unsure;
        let edit = |active| Record::EditedUser {
            user: caller(user).id,
            email: None,
            role: None,
            active: Some(active),
            password_hash: None,
            last_login: None,
        };
        self.ask(Ask::Keep(edit(active)));
        // Now and then somebody decides otherwise at the same time.
        if self.dice.percent(40) {
            self.ask(Ask::Keep(edit(!active)));
        }
    }

    /// When all is quiet every shard has it as the store does.
    pub(crate) fn confirm_users(&mut self) {
        self.confirm_roles();
        for user in 0..self.barred.len() {
            let is_in = self.outside.user(caller(user).id).active;
            self.barred[user] = match self.barred[user] {
                Validity::Bad(since) if !is_in => Validity::Bad(since),
                _ if is_in => Validity::Good,
                _ => Validity::Bad(self.now.moment),
            };
        }
    }

    /// Whether whoever comes with a token may come in: that of the token, and of its user.
    pub(crate) fn validity(&self, token: usize) -> Validity {
        let token = &self.tokens[token];
        let user = self.barred.get(token.user).copied().unwrap_or(Validity::Good);
        match (token.validity, user) {
            (Validity::Bad(one), Validity::Bad(other)) => Validity::Bad(one.min(other)),
            (Validity::Bad(since), _) | (_, Validity::Bad(since)) => Validity::Bad(since),
            (Validity::Unsure, _) | (_, Validity::Unsure) => Validity::Unsure,
            (Validity::Good, Validity::Good) => Validity::Good,
        }
    }

    /// What was not confirmed before a crash is as the store has it.
    pub(crate) fn tokens_after_crash(&mut self) {
        for token in &mut self.tokens {
            let is_bad = self.book.revoked.contains(&token.id);
            token.validity = if is_bad { Validity::Bad(self.now.moment) } else { Validity::Good };
        }
        self.confirm_users();
    }

    /// Every session that is not over is ended by an admin.
    pub(crate) fn end_all_sessions(&mut self) {
        let live: Vec<_> = self.book.sessions.values().filter(|row| row.state != State::Terminated).map(|row| row.id).collect();
        for session in live {
            self.ask(Ask::Move { session, caller: caller(2), to: Target::Terminating });
        }
    }

    fn check_reply(&mut self, pending: &Pending, reply: &Reply) {
        match (&pending.ask, reply) {
            (Ask::Create(creation), Reply::Session(row)) => {
                assert_eq!((row.id, row.state), (creation.session, State::Pending));
                self.check_row(row, None);
                self.check_new_session(row, &pending.drains);
                self.acknowledged.insert(row.id);
                self.count("sessions");
            }
            (Ask::Move { to, .. }, Reply::Session(row)) => {
                let waited = self.now.moment.since(pending.at);
                let promised = match to {
                    Target::Running => Some(State::Running),
                    Target::Hibernated => Some(State::Hibernated),
                    Target::Terminating | Target::Terminated => None,
                };
                self.check_row(row, promised.filter(|_| waited >= COMMAND_WAIT));
                if promised.is_none() {
                    assert!(matches!(row.state, State::Terminating | State::Terminated), "{:?} is answered {row:?}", pending.ask);
                }
            }
            (Ask::Look { .. }, Reply::Session(row)) => self.check_row(row, None),
            (Ask::Logs { .. }, Reply::Logs(lines)) => assert!(lines.len() <= 2),
            (Ask::Agents, Reply::Agents(_)) | (Ask::Pulse { .. }, Reply::Agent(_)) => {}
            (Ask::Forget { agent }, Reply::Agent(view)) => assert_eq!(view.agent.name, *agent),
            (Ask::Forget { .. }, Reply::Refused(Refused::AgentInUse | Refused::NoAgent | Refused::Store(_))) => {}
            (Ask::Drain { agent, draining }, Reply::Agent(view)) => {
                assert_eq!(view.agent.draining, *draining);
                // One that was asked before, elsewhere, may come later.
                let others = self.asks.iter().flat_map(|other| &other.drains).any(|(which, _)| NAMES[*which] == &**agent);
                if *draining && !others {
                    self.drains_now(&pending.drains);
                }
            }
            (Ask::Enrol(hello), Reply::Enrolled { agent, .. }) => {
                assert_eq!(agent.agent.name, hello.name);
                let which = self.agents.iter_mut().find(|agent| *agent.name == *hello.name);
                // It may have been forgotten since.
                let is_enrolled = self.book.has_agent(&hello.name);
                which.into_iter().for_each(|agent| agent.is_enrolled = is_enrolled);
            }
            (Ask::Keep(Record::Revoked { token, .. }), Reply::Kept(Kept::Done)) => self.confirm(*token),
            (Ask::Keep(Record::EditedUser { user, role, .. }), Reply::Kept(Kept::Done)) => {
                self.role_changed(*user, *role, pending.at);
            }
            (Ask::Keep(Record::EditedUser { .. }), Reply::Refused(Refused::Store(_))) => {}
            // It may be revoked all the same.
            (Ask::Keep(Record::Revoked { .. }), Reply::Refused(Refused::Store(_))) => {}
            (Ask::Limit { key, window }, Reply::Limit { limit, remaining, reset }) => {
                self.check_limit(*key, *window, *limit, (*remaining, *reset));
            }
            (
                Ask::Move { session, caller, .. } | Ask::Look { session, caller } | Ask::Logs { session, caller, .. },
                Reply::Refused(why),
            ) => {
                self.check_refusal((*session, pending.is_known), caller, why);
            }
            (Ask::Create(_), Reply::Refused(Refused::NoAgents | Refused::Full | Refused::Taken | Refused::Store(_))) => {}
            (Ask::Pulse { .. } | Ask::Drain { .. } | Ask::Enrol(_), Reply::Refused(Refused::NoAgent | Refused::Store(_))) => {}
            // Of whom was asked nobody knows whether he did it, or he could not be read in time.
            (_, Reply::Refused(Refused::Store(_))) if self.nodes.is_some() => {}
            (ask, reply) => panic!("{ask:?} is answered {reply:?}"),
        }
    }

    fn confirm(&mut self, token: Uuid) {
        let now = self.now.moment;
        assert!(self.book.revoked.contains(&token), "a logout is answered and not on disk");
        let token = self.tokens.iter_mut().find(|own| own.id == token);
        token.into_iter().for_each(|token| token.validity = Validity::Bad(now));
        self.count("logouts");
    }

    /// A row that is shown is one that is on disk, or was; or says what is to be, to one who has waited long enough.
    fn check_row(&self, row: &Session, promised: Option<State>) {
        let was = self.book.was(row.id, row.state, row.updated_at);
        assert!(
            was || promised == Some(row.state),
            "{row:?} is shown and was never on disk: {:?}",
            self.book.history.get(&row.id)
        );
    }

    fn check_refusal(&self, (session, is_known): (Uuid, bool), caller: &Caller, why: &Refused) {
        let row = self.book.sessions.get(&session);
        match why {
            Refused::NotYours => assert!(row.is_some_and(|row| row.user != caller.name && !caller.admin)),
            Refused::NoSession => {
                assert!(!is_known || row.is_none_or(|row| row.state == State::Terminated), "{session} is there");
            }
            Refused::Store(_) if self.nodes.is_some() => {}
            _ => assert!(row.is_none_or(|row| caller.admin || row.user == caller.name), "{why:?} to a stranger"),
        }
    }

    fn check_limit(&mut self, key: LimitKey, window: Window, limit: u32, (remaining, reset): (Option<u32>, i64)) {
        let (LimitKey::User(id), expected) = (key, LIMITS[window as usize]) else { return };
        assert_eq!(limit as usize, expected);
        self.count(if remaining.is_some() { "let through" } else { "limited" });
        self.limits.entry((id.as_u128(), window as u8, reset)).or_default().push(remaining);
    }
}

fn session_of(ask: &Ask) -> Option<Uuid> {
    match ask {
        Ask::Move { session, .. } | Ask::Look { session, .. } | Ask::Logs { session, .. } => Some(*session),
        Ask::Keep(_)
        | Ask::Limit { .. }
        | Ask::Create(_)
        | Ask::Agents
        | Ask::Enrol(_)
        | Ask::Pulse { .. }
        | Ask::Drain { .. }
        | Ask::Forget { .. } => None,
    }
}

fn brief(ask: &Ask) -> String {
    match ask {
        Ask::Create(creation) => format!("create {}", creation.session.as_u128()),
        Ask::Enrol(hello) => format!("enrol {}", hello.name),
        other => format!("{other:?}"),
    }
}

fn brief_reply(reply: &Reply) -> String {
    match reply {
        Reply::Session(row) => format!("session {} {:?}", row.id.as_u128(), row.state),
        Reply::Agents(_) => "agents".into(),
        Reply::Agent(_) | Reply::Enrolled { .. } => "an agent".into(),
        other => format!("{other:?}"),
    }
}
