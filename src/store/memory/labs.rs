//! Records of labs in memory, as the contract has them, and their library.

use super::{
    super::{LabsLibrary, Read},
    MemoryStore,
};
use crate::{
    protocols::labs::{
        Standing,
        model::{Agent, Command, CommandId, Progress, Role, Session, SessionId, State, Template, User, UserId},
        record::{Change, Kept, Listed, Loaded, Login, Page, Record, SessionFilter, SortBy},
    },
    realtime::{StoreFault, UnixMicros},
};
use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};
use uuid::Uuid;

/// All of them.
#[derive(Clone, Default)]
pub(super) struct Labs {
    users: BTreeMap<String, Login>,
    templates: BTreeMap<String, Template>,
    agents: BTreeMap<Uuid, Agent>,
    sessions: BTreeMap<SessionId, Session>,
    commands: BTreeMap<CommandId, Command>,
    revoked: BTreeMap<Uuid, UnixMicros>,
}

impl Labs {
    pub(super) fn keep(&mut self, record: Record) -> Result<Kept, StoreFault> {
        match record {
            Record::Change(change) => self.change(*change),
            Record::NoAgent { agent } => Ok(self.agents.remove(&agent).map_or(Kept::Missing, |_| Kept::Done)),
            Record::Activity { session, at } => {
                let Some(session) = self.sessions.get_mut(&session) else { return Ok(Kept::Missing) };
                session.last_activity = session.last_activity.max(Some(at));
                Ok(Kept::Done)
            }
            Record::NewUser { user, password_hash } => self.new_user(Login { user, password_hash: password_hash.into() }),
            Record::EditedUser { user, email, role, active, password_hash, last_login } => {
                let Some(login) = self.users.values_mut().find(|login| login.user.id == user) else { return Ok(Kept::Missing) };
                let user = &mut login.user;
                user.email = email.unwrap_or(std::mem::take(&mut user.email));
                user.role = role.unwrap_or(user.role);
                user.active = active.unwrap_or(user.active);
                user.last_login = last_login.or(user.last_login);
                login.password_hash = password_hash.map_or_else(|| login.password_hash.clone(), Into::into);
                Ok(Kept::Done)
            }
            Record::Template { template, replace } => self.template(*template, replace),
            Record::NoTemplate { name } => Ok(self.templates.remove(&name).map_or(Kept::Missing, |_| Kept::Done)),
            Record::Revoked { token, expires_at } => {
                self.revoked.insert(token, expires_at);
                Ok(Kept::Done)
            }
        }
    }

    /// True when the admin was made.
    pub(super) fn seed(&mut self, templates: Vec<Template>, admin: Option<Login>) -> bool {
        for template in templates {
            self.templates.entry(template.name.clone()).or_insert(template);
        }
        let admin = admin.filter(|_| self.users.is_empty());
        let made = admin.is_some();
        self.users.extend(admin.map(|admin| (admin.user.username.clone(), admin)));
        made
    }

    fn change(&mut self, change: Change) -> Result<Kept, StoreFault> {
        let Change { agent, session, command } = change;
        let taken = agent.as_ref().is_some_and(|new| self.agents.values().any(|old| old.name == new.name && old.id != new.id))
            || session.as_ref().is_some_and(|new| self.sessions.values().any(|old| old.name == new.name && old.id != new.id));
        if taken {
            return Ok(Kept::Taken);
        }
        if let Some(new) = command.as_ref().filter(|new| is_open(new))
            && self.commands.values().any(|old| is_open(old) && old.session == new.session && old.id != new.id)
        {
            return Err(StoreFault::Failed);
        }
        self.agents.extend(agent.map(|agent| (agent.id, agent)));
        self.sessions.extend(session.map(|session| (session.id, session)));
        self.commands.extend(command.map(|command| (command.id, command)));
        Ok(Kept::Done)
    }

    fn new_user(&mut self, login: Login) -> Result<Kept, StoreFault> {
        if self.users.contains_key(&login.user.username) {
            return Ok(Kept::Taken);
        }
        if self.users.values().any(|old| old.user.id == login.user.id) {
            return Err(StoreFault::Failed);
        }
        self.users.insert(login.user.username.clone(), login);
        Ok(Kept::Done)
    }

    fn template(&mut self, mut template: Template, replace: bool) -> Result<Kept, StoreFault> {
        match self.templates.get(&template.name) {
            Some(_) if !replace => return Ok(Kept::Taken),
            Some(old) => (template.id, template.created_at) = (old.id, old.created_at),
            None if self.templates.values().any(|old| old.id == template.id) => return Err(StoreFault::Failed),
            None => {}
        }
        self.templates.insert(template.name.clone(), template);
        Ok(Kept::Done)
    }

    /// Of several who have it the oldest.
    /// Empty where there is no such user.
    pub(super) fn username(&self, user: UserId) -> Arc<str> {
        let login = self.users.values().find(|login| login.user.id == user);
        login.map_or_else(|| "".into(), |login| login.user.username.as_str().into())
    }

    pub(super) fn with_email(&self, email: &str) -> Option<Login> {
        let having = self.users.values().filter(|login| !email.is_empty() && login.user.email.eq_ignore_ascii_case(email));
        having.min_by_key(|login| (login.user.created_at, login.user.id)).cloned()
    }

    fn loaded(&self) -> Loaded {
        let mut loaded = Loaded {
            agents: self.agents.values().cloned().collect(),
            sessions: self.sessions.values().filter(|session| session.state != State::Terminated).cloned().collect(),
            commands: self.commands.values().filter(|command| is_open(command)).cloned().collect(),
            standings: self.users.values().filter_map(|login| Standing::of(&login.user)).collect(),
        };
        loaded.agents.sort_by(|a, b| a.name.cmp(&b.name));
        loaded.sessions.sort_by_key(|session| (session.created_at, session.id));
        loaded.standings.sort_by_key(|standing| standing.user);
        loaded.commands.sort_by_key(|command| (command.created_at, command.id));
        loaded
    }
}

fn is_open(command: &Command) -> bool {
    match command.progress {
        Progress::Pending | Progress::Sent | Progress::Acknowledged => true,
        Progress::Completed | Progress::Failed => false,
    }
}

fn lets_through(filter: &SessionFilter, session: &Session) -> bool {
    let is = |wanted: &Option<String>, there: &str| wanted.as_ref().is_none_or(|wanted| *wanted == *there);
    is(&filter.user, &session.user)
        && is(&filter.template, &session.template)
        && is(&filter.platform, &session.platform)
        && filter.agent.as_ref().is_none_or(|agent| session.agent.as_ref() == Some(agent))
        && (filter.states.is_empty() || filter.states.contains(&session.state))
        && filter.tags.iter().all(|tag| session.tags.contains(tag))
}

fn sorted(filter: &SessionFilter, a: &Session, b: &Session) -> Ordering {
    let order = match filter.sort {
        SortBy::Created => a.created_at.cmp(&b.created_at),
        SortBy::Updated => a.updated_at.cmp(&b.updated_at),
        SortBy::User => a.user.cmp(&b.user),
        SortBy::State => a.state.on_wire().cmp(b.state.on_wire()),
    };
    let order = order.then(a.id.cmp(&b.id));
    if filter.descending { order.reverse() } else { order }
}

/// A part of `all`.
fn part<'a, T: Clone + 'a>(all: impl Iterator<Item = &'a T>, page: Page) -> Listed<T> {
    let all: Vec<&T> = all.collect();
    let skipped = page.page.saturating_sub(1) as usize * page.limit as usize;
    Listed { total: all.len() as u64, items: all.into_iter().skip(skipped).take(page.limit as usize).cloned().collect() }
}

impl MemoryStore {
    fn read_labs<T>(&self, question: impl FnOnce(&Labs) -> T) -> Read<T> {
        self.readable()?;
        Ok(question(&self.kept().labs))
    }
}

impl LabsLibrary for MemoryStore {
    fn labs(&self) -> Read<Loaded> {
        self.read_labs(Labs::loaded)
    }

    fn revoked(&self, now: UnixMicros) -> Read<Vec<(Uuid, UnixMicros)>> {
        self.read_labs(|labs| {
            let all = labs.revoked.iter().map(|(token, expires_at)| (*token, *expires_at));
            let mut revoked: Vec<_> = all.filter(|(_, expires_at)| *expires_at > now).collect();
            revoked.sort_by_key(|(token, expires_at)| (*expires_at, *token));
            revoked
        })
    }

    fn login(&self, username: &str) -> Read<Option<Login>> {
        self.read_labs(|labs| labs.users.get(username).cloned())
    }

    fn user(&self, user: UserId) -> Read<Option<User>> {
        self.read_labs(|labs| labs.users.values().map(|login| &login.user).find(|found| found.id == user).cloned())
    }

    fn users(&self, role: Option<Role>, page: Page) -> Read<Listed<User>> {
        let suits = |user: &&User| role.is_none_or(|role| role == user.role);
        self.read_labs(|labs| part(labs.users.values().map(|login| &login.user).filter(suits), page))
    }

    fn templates(&self, category: Option<&str>, page: Page) -> Read<Listed<Template>> {
        let suits = |template: &&Template| category.is_none_or(|category| category == template.category);
        self.read_labs(|labs| part(labs.templates.values().filter(suits), page))
    }

    fn template(&self, name: &str) -> Read<Option<Template>> {
        self.read_labs(|labs| labs.templates.get(name).cloned())
    }

    fn sessions(&self, filter: &SessionFilter, page: Page) -> Read<Listed<Session>> {
        self.read_labs(|labs| {
            let mut found: Vec<&Session> = labs.sessions.values().filter(|session| lets_through(filter, session)).collect();
            found.sort_by(|a, b| sorted(filter, a, b));
            part(found.into_iter(), page)
        })
    }

    fn session(&self, session: SessionId) -> Read<Option<Session>> {
        self.read_labs(|labs| labs.sessions.get(&session).cloned())
    }
}
