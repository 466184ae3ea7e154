//! The users of labs, wherever they are at hand: with the server that runs, or in records that nobody serves.

use super::{
    Failure,
    flags::SettingFlags,
    records::{self, Holder, Records, of_store},
    server::Server,
};
use crate::{
    protocols::labs::{
        dialect::iso,
        model::{Role, User},
        record::{Kept, Page, Record},
    },
    runtime::Clock,
};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::path::Path;
use uuid::{Builder, Uuid};

/// A page of a list.
const PAGE: u32 = 100;

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) username: String,
    pub(super) email: String,
    pub(super) role: Role,
    pub(super) active: bool,
    /// As people read it.
    pub(super) last_login: Option<String>,
}

/// A new one. It has no `Debug`, for the password's sake.
pub(super) struct NewPerson<'a> {
    pub(super) username: &'a str,
    pub(super) email: &'a str,
    pub(super) role: Role,
    pub(super) password: String,
}

/// What is to be another; what is none stays.
#[derive(Default)]
pub(super) struct Change {
    pub(super) active: Option<bool>,
    pub(super) password: Option<String>,
}

/// See the file.
pub(super) struct People(Holder);

impl People {
    /// As [`Holder::of`], with a token to show, if one is asked for.
    pub(super) fn of(
        (internal, token_file): (Option<&str>, Option<&Path>),
        flags: &SettingFlags,
        makes: bool,
    ) -> Result<People, Failure> {
        Holder::of(internal, flags, makes)?.shown(token_file).map(People)
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> Result<Vec<Person>, Failure> {
        let mut all = Vec::new();
        for page in 1.. {
            let listed = match &self.0 {
                Holder::Server(server) => served_page(server, page)?,
                Holder::Here(records) => records.page(page)?,
            };
            let is_last = listed.len() < PAGE as usize;
            all.extend(listed);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// One of them.
    pub(super) fn one(&self, name: &str) -> Result<Person, Failure> {
        match &self.0 {
            Holder::Server(server) => {
                let answer = server.ask(Method::GET, &place(name), None)?;
                read(&said(answer, name)?)
            }
            Holder::Here(records) => records.one(name).map(Person::from),
        }
    }

    /// One more.
    pub(super) fn add(&self, new: NewPerson<'_>) -> Result<(), Failure> {
        match &self.0 {
            Holder::Server(server) => {
                let NewPerson { username, email, role, password } = new;
                let body = json!({ "username": username, "email": email, "role": role, "password": password });
                said(server.ask(Method::POST, USERS, Some(&body))?, username).map(drop)
            }
            Holder::Here(records) => records.add(new),
        }
    }

    /// Changes one of them.
    pub(super) fn change(&self, name: &str, change: Change) -> Result<(), Failure> {
        match &self.0 {
            Holder::Server(server) => {
                let body = json!({ "active": change.active, "password": change.password });
                said(server.ask(Method::PATCH, &place(name), Some(&body))?, name).map(drop)
            }
            Holder::Here(records) => records.change(name, change),
        }
    }
}

/// The routes of [`crate::http::labs`] on the internal listener.
const USERS: &str = "/api/v1/labs/users";

fn place(name: &str) -> String {
    format!("{USERS}/{name}")
}

fn served_page(server: &Server, page: u32) -> Result<Vec<Person>, Failure> {
    #[derive(Deserialize)]
    struct Listed {
        users: Vec<Person>,
    }
    let answer = server.ask(Method::GET, &format!("{USERS}?page={page}&limit={PAGE}"), None)?;
    Ok(read::<Listed>(&said(answer, "")?)?.users)
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Failure> {
    serde_json::from_str(text)
        .map_err(|_| Failure::Failed("the server's answer cannot be read: is it of this version?".to_owned()))
}

/// What the server's answer means.
fn said((status, text): (StatusCode, String), name: &str) -> Result<String, Failure> {
    if status.is_success() {
        return Ok(text);
    }
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let (code, message) = (answer["code"].as_str().unwrap_or_default(), answer["message"].as_str().unwrap_or_default());
    Err(match (status, code) {
        (StatusCode::BAD_REQUEST, _) => Failure::Usage(message.to_owned()),
        (StatusCode::NOT_FOUND, "USER_NOT_FOUND") => nobody(name),
        (StatusCode::CONFLICT, _) => taken(name),
        (StatusCode::FORBIDDEN, _) => Failure::Denied(records::OPERATORS_ONLY.to_owned()),
        _ => Failure::Failed(format!("the server refused ({status}): {message}")),
    })
}

fn nobody(name: &str) -> Failure {
    Failure::Failed(format!("there is no user {name}"))
}

fn taken(name: &str) -> Failure {
    Failure::Failed(format!("there is a user {name} already"))
}

impl Records {
    fn page(&self, page: u32) -> Result<Vec<Person>, Failure> {
        let listed = self.store.users(None, Page { page, limit: PAGE }).map_err(of_store)?;
        Ok(listed.items.into_iter().map(Person::from).collect())
    }

    fn one(&self, name: &str) -> Result<User, Failure> {
        self.store.login(name).map_err(of_store)?.map(|login| login.user).ok_or_else(|| nobody(name))
    }

    fn add(&self, new: NewPerson<'_>) -> Result<(), Failure> {
        let user = User {
            id: random_id()?,
            username: new.username.to_owned(),
            email: new.email.to_owned(),
            role: new.role,
            active: true,
            created_at: Clock::started_now().now().wall,
            last_login: None,
        };
        match self.keep_labs(Record::NewUser { user, password_hash: records::hash(&new.password)? })? {
            Kept::Done => Ok(()),
            Kept::Taken | Kept::Missing => Err(taken(new.username)),
        }
    }

    fn change(&self, name: &str, Change { active, password }: Change) -> Result<(), Failure> {
        let user = self.one(name)?.id;
        let password_hash = password.as_deref().map(records::hash).transpose()?;
        match self.keep_labs(Record::EditedUser { user, email: None, role: None, active, password_hash, last_login: None })? {
            Kept::Done => Ok(()),
            Kept::Missing | Kept::Taken => Err(nobody(name)),
        }
    }
}

fn random_id() -> Result<Uuid, Failure> {
    random().map(|bytes| Builder::from_random_bytes(bytes).into_uuid())
}

/// Random bytes, good for ids.
pub(super) fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::Failed("no randomness to be had".to_owned()))?;
    Ok(bytes)
}

impl From<User> for Person {
    fn from(user: User) -> Person {
        let User { id, username, email, role, active, last_login, .. } = user;
        Person { id, username, email, role, active, last_login: last_login.map(iso) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Layers, Loaded, Settings},
        services::passwords,
    };
    use std::path::Path;

    fn settings(folder: &Path) -> Settings {
        Loaded::of(&Layers::default().flag("data_dir", folder.display().to_string())).unwrap().settings
    }

    fn configured(settings: &Settings, makes: bool) -> Result<People, Failure> {
        Holder::configured(settings, makes).map(People)
    }

    fn ada() -> NewPerson<'static> {
        NewPerson { username: "ada", email: "ada@example.com", role: Role::User, password: "correct horse".to_owned() }
    }

    fn told<T>(result: Result<T, Failure>) -> String {
        result.err().expect("a failure").to_string()
    }

    #[test]
    fn records_that_nobody_serves_are_changed_here() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        assert!(told(configured(&settings, false)).contains("(--config, --data-dir, --database, --internal)"));
        let people = configured(&settings, true).unwrap();
        people.add(ada()).unwrap();
        assert_eq!(told(people.add(ada())), "there is a user ada already");
        people.change("ada", Change { active: Some(false), password: Some("another horse".to_owned()) }).unwrap();
        assert_eq!(told(people.change("bob", Change::default())), "there is no user bob");
        let Holder::Here(records) = &people.0 else { panic!("nobody serves") };
        let login = records.store.login("ada").unwrap().unwrap();
        assert_eq!(passwords::check("another horse", Some(&login.password_hash)), Ok(true));
        drop(people);
        let people = configured(&settings, false).unwrap();
        let ada = people.one("ada").unwrap();
        assert_eq!((ada.email.as_str(), ada.role, ada.active), ("ada@example.com", Role::User, false));
        assert_eq!(people.all().unwrap(), [ada]);
    }

    #[test]
    fn records_that_are_served_are_their_servers_to_change() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let _serving = configured(&settings, true).unwrap();
        let people = configured(&settings, false).unwrap();
        assert!(matches!(people.0, Holder::Server(server) if server == Server::at("http://127.0.0.1:9090")));
    }

    #[test]
    fn lists_longer_than_a_page_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let people = configured(&settings(folder.path()), true).unwrap();
        let Holder::Here(records) = &people.0 else { panic!("nobody serves") };
        for number in 0..PAGE + 1 {
            let user = User {
                id: Uuid::from_u128(u128::from(number)),
                username: format!("u{number:03}"),
                email: String::new(),
                role: Role::User,
                active: true,
                created_at: crate::realtime::UnixMicros(0),
                last_login: None,
            };
            records.keep_labs(Record::NewUser { user, password_hash: "none".to_owned() }).unwrap();
        }
        assert_eq!(people.all().unwrap().len(), PAGE as usize + 1);
    }

    #[test]
    fn what_the_server_says_becomes_a_plain_sentence() {
        let refused =
            |status: u16, text: &str| said((StatusCode::from_u16(status).unwrap(), text.to_owned()), "ada").unwrap_err();
        let shape = refused(400, r#"{"code":"VALIDATION_FAILED","message":"Expected 8 to 200 characters"}"#);
        assert!(matches!(shape, Failure::Usage(text) if text == "Expected 8 to 200 characters"));
        assert_eq!(refused(404, r#"{"code":"USER_NOT_FOUND","message":"x"}"#).to_string(), "there is no user ada");
        assert_eq!(refused(409, r#"{"code":"USER_ALREADY_EXISTS"}"#).to_string(), "there is a user ada already");
        assert!(refused(404, "").to_string().contains("404"), "no such route is something else");
        assert!(read::<Person>("<html>").unwrap_err().to_string().contains("cannot be read"));
    }
}
