//! The users of labs, wherever they are at hand: with the server that runs, or in the records of a data folder that nobody serves.

use super::{Failure, flags::SettingFlags, server::Server};
use crate::{
    config::{Database, Settings},
    protocols::labs::{
        dialect::iso,
        model::{Role, User},
        record::{Kept, Page, Record},
    },
    realtime::{ShardId, StoreFault},
    runtime::Clock,
    services::passwords,
    store::{self, LabsLibrary, Sink, SqliteStore, Store, Ticket, sqlite},
};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::{sync::mpsc, time::Duration};
use uuid::{Builder, Uuid};

/// For one record to reach the disk, and for the store to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is said where there were no records: the settings may be another server's than the one that is meant.
const OTHERS: &str = "a server with other settings has others (--config, --data-dir, --internal)";
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
pub(super) enum People {
    /// Asked over its internal listener.
    Served(Server),
    /// Opened by this process.
    Records(Box<Records>),
}

/// The store, with the way on which its answers come.
pub(super) struct Records {
    store: SqliteStore,
    answers: mpsc::Receiver<store::Answer>,
}

struct ToHere(mpsc::Sender<store::Answer>);

impl Sink for ToHere {
    fn post(&self, answers: &mut Vec<store::Answer>) {
        for answer in answers.drain(..) {
            // One who no longer listens has been told that it took too long.
            let _ = self.0.send(answer);
        }
    }
}

impl People {
    /// Where `internal` says, or where the settings say. Where no records are and none are to be made (`makes`), that is a failure.
    pub(super) fn of(internal: Option<&str>, flags: &SettingFlags, makes: bool) -> Result<People, Failure> {
        match internal {
            Some(url) => Ok(People::Served(Server::at(url))),
            None => People::configured(&flags.load_process()?.settings, makes),
        }
    }

    fn configured(settings: &Settings, makes: bool) -> Result<People, Failure> {
        if settings.database != Database::Sqlite {
            // Of the nodes that share a database each hears of a change by the one that makes it.
            return Server::configured(settings).map(People::Served);
        }
        let place = settings.data_dir.display();
        match (settings.data_dir.join("homeroom.db").exists(), makes) {
            (true, _) => {}
            (false, true) => eprintln!("new records, in {place}: {OTHERS}"),
            (false, false) => {
                let message = format!("no records are in {place} yet: the first start, or `user add`, makes them; {OTHERS}");
                return Err(Failure::Failed(message));
            }
        }
        let (sender, answers) = mpsc::channel();
        match SqliteStore::open(sqlite::Settings::new(&settings.data_dir), Box::new(ToHere(sender))) {
            Ok(store) => Ok(People::Records(Box::new(Records { store, answers }))),
            Err(sqlite::OpenFault::Served { .. }) => Server::configured(settings).map(People::Served),
            Err(fault) => Err(Failure::Failed(fault.to_string())),
        }
    }

    /// All of them, by name.
    pub(super) fn all(&self) -> Result<Vec<Person>, Failure> {
        let mut all = Vec::new();
        for page in 1.. {
            let listed = match self {
                People::Served(server) => served_page(server, page)?,
                People::Records(records) => records.page(page)?,
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
        match self {
            People::Served(server) => {
                let answer = server.ask(Method::GET, &place(name), None)?;
                read(&said(answer, name)?)
            }
            People::Records(records) => records.one(name).map(Person::from),
        }
    }

    /// One more.
    pub(super) fn add(&self, new: NewPerson<'_>) -> Result<(), Failure> {
        match self {
            People::Served(server) => {
                let NewPerson { username, email, role, password } = new;
                let body = json!({ "username": username, "email": email, "role": role, "password": password });
                said(server.ask(Method::POST, USERS, Some(&body))?, username).map(drop)
            }
            People::Records(records) => records.add(new),
        }
    }

    /// Changes one of them.
    pub(super) fn change(&self, name: &str, change: Change) -> Result<(), Failure> {
        match self {
            People::Served(server) => {
                let body = json!({ "active": change.active, "password": change.password });
                said(server.ask(Method::PATCH, &place(name), Some(&body))?, name).map(drop)
            }
            People::Records(records) => records.change(name, change),
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
        _ => Failure::Failed(format!("the server refused ({status}): {message}")),
    })
}

fn nobody(name: &str) -> Failure {
    Failure::Failed(format!("there is no user {name}"))
}

fn taken(name: &str) -> Failure {
    Failure::Failed(format!("there is a user {name} already"))
}

fn of_store(fault: StoreFault) -> Failure {
    Failure::Failed(match fault {
        StoreFault::Busy => "another process holds the records: try again".to_owned(),
        StoreFault::Failed => "the records cannot be read or written: is the disk full?".to_owned(),
    })
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
        match self.keep(Record::NewUser { user, password_hash: hash(&new.password)? })? {
            Kept::Done => Ok(()),
            Kept::Taken | Kept::Missing => Err(taken(new.username)),
        }
    }

    fn change(&self, name: &str, Change { active, password }: Change) -> Result<(), Failure> {
        let user = self.one(name)?.id;
        let password_hash = password.as_deref().map(hash).transpose()?;
        match self.keep(Record::EditedUser { user, email: None, role: None, active, password_hash, last_login: None })? {
            Kept::Done => Ok(()),
            Kept::Missing | Kept::Taken => Err(nobody(name)),
        }
    }

    /// Has a record written, and waits until it is on disk.
    fn keep(&self, record: Record) -> Result<Kept, Failure> {
        self.store.keep_labs(Ticket { shard: ShardId(0), token: 0 }, record).map_err(of_store)?;
        match self.answers.recv_timeout(PATIENCE) {
            Ok(store::Answer::LabsKept { result, .. }) => result.map_err(of_store),
            Ok(
                store::Answer::Entered(_)
                | store::Answer::Kept { .. }
                | store::Answer::ChatKept { .. }
                | store::Answer::TasksKept { .. },
            )
            | Err(_) => Err(of_store(StoreFault::Busy)),
        }
    }
}

fn hash(password: &str) -> Result<String, Failure> {
    passwords::hash(password).map_err(|fault| Failure::Failed(fault.to_string()))
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
    use crate::config::{Layers, Loaded};
    use std::path::Path;

    fn settings(folder: &Path) -> Settings {
        Loaded::of(&Layers::default().flag("data_dir", folder.display().to_string())).unwrap().settings
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
        assert!(told(People::configured(&settings, false)).contains("(--config, --data-dir, --internal)"));
        let people = People::configured(&settings, true).unwrap();
        people.add(ada()).unwrap();
        assert_eq!(told(people.add(ada())), "there is a user ada already");
        people.change("ada", Change { active: Some(false), password: Some("another horse".to_owned()) }).unwrap();
        assert_eq!(told(people.change("bob", Change::default())), "there is no user bob");
        let People::Records(records) = &people else { panic!("nobody serves") };
        let login = records.store.login("ada").unwrap().unwrap();
        assert_eq!(passwords::check("another horse", Some(&login.password_hash)), Ok(true));
        drop(people);
        let people = People::configured(&settings, false).unwrap();
        let ada = people.one("ada").unwrap();
        assert_eq!((ada.email.as_str(), ada.role, ada.active), ("ada@example.com", Role::User, false));
        assert_eq!(people.all().unwrap(), [ada]);
    }

    #[test]
    fn records_that_are_served_are_their_servers_to_change() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let _serving = People::configured(&settings, true).unwrap();
        let people = People::configured(&settings, false).unwrap();
        assert!(matches!(people, People::Served(server) if server == Server::at("http://127.0.0.1:9090")));
    }

    #[test]
    fn lists_longer_than_a_page_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let people = People::configured(&settings(folder.path()), true).unwrap();
        let People::Records(records) = &people else { panic!("nobody serves") };
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
            records.keep(Record::NewUser { user, password_hash: "none".to_owned() }).unwrap();
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
