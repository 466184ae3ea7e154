//! Who is there: users and their tokens, agents, models and tools.

use crate::clients::{EPOCH, SECRET};
use homeroom::{
    auth::{CallerClaims, CallerKey, Secret},
    models::{Agent, Backend, Catalog, Model, Schema, Tool, catalog::Work, home_tools},
    protocols::chat::model::Caller,
    realtime::UnixMicros,
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use uuid::Uuid;

/// The users: two who own sessions, and an admin.
pub(crate) const PEOPLE: [&str; 3] = ["ann", "bob", "root"];
/// How long an agent may take for an answer.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(25);
const DAY_MICROS: i64 = 86_400_000_000;

pub(crate) fn caller(user: usize) -> Caller {
    let email = format!("{}@school.example", PEOPLE[user]).into();
    Caller { id: Uuid::from_u128(0xA00 + user as u128), email, admin: user == 2 }
}

/// A token of a user.
pub(crate) fn token(user: usize) -> &'static str {
    static TOKENS: OnceLock<Vec<String>> = OnceLock::new();
    let issue = |user: usize| {
        let Caller { id, email, admin } = caller(user);
        let (name, token, expires_at) = (PEOPLE[user].to_owned(), Uuid::from_u128(0x7_0000 + user as u128), later());
        let claims = CallerClaims { user: id, name, email: email.to_string(), admin, token, expires_at };
        CallerKey::new(&Secret::new(SECRET)).expect("the secret is long enough").issue(&claims, EPOCH)
    };
    &TOKENS.get_or_init(|| (0..PEOPLE.len()).map(issue).collect())[user]
}

fn later() -> UnixMicros {
    UnixMicros(EPOCH.0 + DAY_MICROS)
}

/// Built in or elsewhere, each with a tool that anybody may call, one that needs leave, and one that is there.
pub(crate) fn catalog() -> Arc<Catalog> {
    static CATALOG: OnceLock<Arc<Catalog>> = OnceLock::new();
    CATALOG.get_or_init(|| Arc::new(furnished())).clone()
}

fn furnished() -> Catalog {
    const NUMBERED: &str = r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#;
    let tool = |name: &str, schema, needs_approval, work| {
        let parameters = Schema::new(schema).expect("a schema");
        Arc::new(Tool { name: name.into(), description: "".into(), parameters, needs_approval, work })
    };
    let tools = vec![
        tool("look", NUMBERED, false, Work::Http),
        tool("send", NUMBERED, true, Work::Http),
        tool("calculator", home_tools::CALCULATOR, false, Work::Calculator),
    ];
    let agent = |name: &str, backend| {
        let model = Arc::new(Model { name: name.into(), backend, prompt_price: 1.0, completion_price: 2.0 });
        let agent = Agent {
            name: name.into(),
            description: "".into(),
            instructions: "".into(),
            model,
            others: Vec::new(),
            tools: tools.clone(),
            max_rounds: 3,
            time_limit: TIME_LIMIT,
            max_tokens: None,
        };
        (Arc::from(name), Arc::new(agent))
    };
    let pace = Duration::from_millis(30);
    let agents =
        [agent("tutor", Backend::Builtin { pace }), agent("far", Backend::Remote { model: "m".into() })].into_iter().collect();
    Catalog { agents, ..Catalog::default() }
}
