//! A house in memory with the contract's own examples in it, and a way to ask its routes.

use super::{
    gate,
    pipe::{Teller, Tellings, pipe},
    rooms::{Chance, Credentials, Issued, Library, Pauses, Sessions},
    routes,
};
use crate::{
    http::{
        fakes::{self, Said},
        gate::Peer,
        rooms::Clock,
        table::Table,
    },
    models::{Agent, Catalog, Model, ToolCall, catalog::Backend},
    protocols::{
        chat::{
            Ask, Payer, Quotas, Reply, Row, SessionId, Settings, Told,
            model::{Approval, Author, Caller, Completeness, Decision, Message, Session, Status},
            record::{History, Listed, Page, Part, SessionFilter, Waiting},
        },
        labs::{
            model::{Role, User, UserId},
            record::Login,
        },
    },
    realtime::{Counted, Moment, Now, StoreFault, UnixMicros},
};
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::{Future, pending},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

pub(super) const USER: Uuid = Uuid::from_u128(0x11);
pub(super) const ADMIN: Uuid = Uuid::from_u128(0x12);
pub(super) const STRANGER: Uuid = Uuid::from_u128(0x13);
pub(super) const SESSION: Uuid = Uuid::from_u128(0xabc1);
pub(super) const MESSAGE: Uuid = Uuid::from_u128(0xabc2);
pub(super) const APPROVAL: Uuid = Uuid::from_u128(0xabc3);
pub(super) const SESS: &str = "sess_0000000000000000000000000000abc1";
pub(super) const MSG: &str = "msg_0000000000000000000000000000abc2";
pub(super) const APPR: &str = "appr_0000000000000000000000000000abc3";
pub(super) const NOW: &str = "2025-12-24T10:20:00Z";

/// A time as the contract writes it.
pub(super) fn at(time: &str) -> UnixMicros {
    UnixMicros(time.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

/// Tokens are `user`, `admin` and `stranger`. Everything asked of it is kept; asks are answered with `replies` in their order, what is said
/// with `told`.
pub(super) struct House {
    pub(super) settings: Settings,
    pub(super) catalog: Catalog,
    pub(super) asked: RefCell<Vec<Ask>>,
    pub(super) left: RefCell<Vec<Ask>>,
    pub(super) replies: RefCell<VecDeque<Reply>>,
    pub(super) told: RefCell<Vec<Told>>,
    /// Whether more may be told by the test.
    pub(super) is_open: Cell<bool>,
    pub(super) teller: RefCell<Option<Teller>>,
    /// Pauses that are over at once; later ones never are.
    pub(super) pauses: Cell<u32>,
    pub(super) paused: RefCell<Vec<Duration>>,
    quotas: RefCell<Quotas>,
    pub(super) counted: RefCell<Vec<(Payer, Row)>>,
    pub(super) is_uncounted: Cell<bool>,
    pub(super) fault: Cell<Option<StoreFault>>,
    pub(super) stored: RefCell<Vec<Session>>,
    pub(super) total: Cell<u64>,
    pub(super) listed: RefCell<Vec<(SessionFilter, Page)>>,
    pub(super) history: RefCell<Vec<History>>,
    pub(super) part: RefCell<Option<Part>>,
    pub(super) checked: RefCell<Vec<(String, Option<Arc<str>>)>>,
    pub(super) signed_in: RefCell<Vec<UserId>>,
    /// Whether nothing can be written.
    pub(super) is_full: Cell<bool>,
    dice: Cell<u8>,
}

impl Default for House {
    fn default() -> House {
        let settings = Settings { any_agent: true, ..Settings::default() };
        House {
            quotas: RefCell::new(Quotas::new(&settings, 1)),
            catalog: catalog(&["tutor"]),
            settings,
            asked: RefCell::default(),
            left: RefCell::default(),
            replies: RefCell::default(),
            told: RefCell::default(),
            is_open: Cell::default(),
            teller: RefCell::default(),
            pauses: Cell::default(),
            paused: RefCell::default(),
            counted: RefCell::default(),
            is_uncounted: Cell::default(),
            fault: Cell::default(),
            stored: RefCell::new(vec![session()]),
            total: Cell::new(42),
            listed: RefCell::default(),
            history: RefCell::default(),
            part: RefCell::default(),
            checked: RefCell::default(),
            signed_in: RefCell::default(),
            is_full: Cell::default(),
            dice: Cell::new(1),
        }
    }
}

impl House {
    /// One that answers the next asks so.
    pub(super) fn replying(replies: impl IntoIterator<Item = Reply>) -> Rc<House> {
        Rc::new(House { replies: RefCell::new(replies.into_iter().collect()), ..House::default() })
    }

    /// One in which this is told of what is said.
    pub(super) fn telling(told: impl IntoIterator<Item = Told>) -> Rc<House> {
        Rc::new(House { told: RefCell::new(told.into_iter().collect()), ..House::default() })
    }

    fn read<T>(&self, value: T) -> Result<T, StoreFault> {
        self.fault.get().map_or(Ok(value), Err)
    }
}

fn catalog(agents: &[&str]) -> Catalog {
    let model = Arc::new(Model {
        name: "builtin".into(),
        backend: Backend::Builtin { pace: Duration::ZERO },
        prompt_price: 0.0,
        completion_price: 0.0,
    });
    let agent = |name: &&str| Agent {
        name: (*name).into(),
        description: "".into(),
        instructions: "".into(),
        model: Arc::clone(&model),
        others: Vec::new(),
        tools: Vec::new(),
        max_rounds: 1,
        time_limit: Duration::from_secs(60),
        max_tokens: None,
    };
    let agents: BTreeMap<Arc<str>, Arc<Agent>> = agents.iter().map(|name| ((*name).into(), Arc::new(agent(name)))).collect();
    Catalog { agents, ..Catalog::default() }
}

/// The contract's session.
pub(super) fn session() -> Session {
    Session {
        id: SESSION,
        owner: USER,
        title: "Customer Support Session".into(),
        agent: Some("support-agent-v1".into()),
        status: Status::Active,
        require_approval: false,
        metadata: "{}".into(),
        message_count: 5,
        created_at: at("2025-12-24T10:00:00Z"),
        updated_at: at("2025-12-24T10:05:00Z"),
        ended_at: None,
    }
}

/// The contract's answer.
pub(super) fn message() -> Message {
    Message {
        id: MESSAGE,
        session: SESSION,
        number: 2,
        author: Author::Assistant,
        content: "Order #12345 is currently in transit and expected to arrive on December 26th.".into(),
        completeness: Completeness::Whole,
        calls: Vec::new(),
        attachments: Vec::new(),
        usage: crate::models::Usage { prompt_tokens: 45, completion_tokens: 28 },
        cost: 0.0,
        created_at: at("2025-12-24T10:05:30Z"),
    }
}

/// The contract's call of a tool.
pub(super) fn send_email() -> ToolCall {
    let arguments = r#"{"to": "customer@example.com", "subject": "Order Update"}"#;
    ToolCall { id: "call-1".into(), tool: "send_email".into(), arguments: arguments.into() }
}

/// The contract's approval.
pub(super) fn approval() -> Approval {
    Approval {
        id: APPROVAL,
        session: SESSION,
        message: MESSAGE,
        call: send_email(),
        decision: Decision::Pending,
        created_at: at("2025-12-24T10:10:00Z"),
        expires_at: at("2025-12-24T10:40:00Z"),
        decided_by: None,
        decided_at: None,
        reason: None,
        comment: None,
    }
}

pub(super) fn caller(id: Uuid) -> Caller {
    let email = match id {
        USER => "user@example.com",
        ADMIN => "admin@example.com",
        _ => "stranger@example.com",
    };
    Caller { id, email: email.into(), admin: id == ADMIN }
}

impl Sessions for House {
    async fn ask(&self, ask: Ask) -> Reply {
        self.asked.borrow_mut().push(ask);
        self.replies.borrow_mut().pop_front().expect("nothing was to be asked")
    }

    fn say(&self, ask: Ask) -> Tellings {
        self.asked.borrow_mut().push(ask);
        let (teller, tellings) = pipe();
        self.told.take().into_iter().for_each(|told| assert!(teller.tell(told)));
        self.teller.replace(Some(teller).filter(|_| self.is_open.get()));
        tellings
    }

    fn leave(&self, leave: Ask) {
        self.left.borrow_mut().push(leave);
    }

    async fn count(&self, payer: Payer, row: Row) -> Result<Counted, StoreFault> {
        if self.is_uncounted.get() {
            return Err(StoreFault::Busy);
        }
        self.counted.borrow_mut().push((payer, row));
        Ok(self.quotas.borrow_mut().count(payer, row, Now { moment: Moment(0), wall: at(NOW) }))
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn catalog(&self) -> &Catalog {
        &self.catalog
    }
}

impl Library for House {
    async fn login(&self, email: String) -> Result<Option<Login>, StoreFault> {
        let user = User {
            id: USER,
            username: "user".into(),
            email: email.clone(),
            role: Role::User,
            active: email == "user@example.com",
            created_at: at(NOW),
            last_login: None,
        };
        let is_known = matches!(&*email, "user@example.com" | "gone@example.com");
        self.read(is_known.then(|| Login { user, password_hash: "hash of your_password".into() }))
    }

    async fn sessions(&self, filter: SessionFilter, page: Page) -> Result<Listed<Session>, StoreFault> {
        self.listed.borrow_mut().push((filter, page));
        self.read(Listed { items: self.stored.borrow().clone(), total: self.total.get() })
    }

    async fn session(&self, session: SessionId) -> Result<Option<Session>, StoreFault> {
        self.read(self.stored.borrow().iter().find(|known| known.id == session).cloned())
    }

    async fn messages(&self, history: History) -> Result<Option<Part>, StoreFault> {
        self.history.borrow_mut().push(history);
        self.read(self.part.borrow().clone())
    }

    async fn waiting_approvals(&self, now: UnixMicros, limit: u32) -> Result<Vec<Waiting>, StoreFault> {
        assert_eq!((now, limit), (at(NOW), 200));
        self.read(vec![Waiting { approval: approval(), owner: "ada".into() }])
    }
}

impl Credentials for House {
    fn caller(&self, token: &str) -> Option<Caller> {
        match token {
            "user" => Some(caller(USER)),
            "admin" => Some(caller(ADMIN)),
            "stranger" => Some(caller(STRANGER)),
            _ => None,
        }
    }

    fn issue(&self, user: &User) -> Result<Issued, StoreFault> {
        Ok(Issued { token: format!("head.{}.sign", user.username), expires_in: Duration::from_secs(3600) })
    }

    async fn signed_in(&self, user: UserId) -> Result<(), StoreFault> {
        self.signed_in.borrow_mut().push(user);
        if self.is_full.get() { Err(StoreFault::Failed) } else { Ok(()) }
    }

    async fn check(&self, password: String, known: Option<Arc<str>>) -> Result<bool, StoreFault> {
        self.checked.borrow_mut().push((password.clone(), known.clone()));
        self.read(known.is_some_and(|known| *known == *format!("hash of {password}")))
    }
}

impl Pauses for House {
    fn pause(&self, length: Duration) -> impl Future<Output = ()> + 'static {
        self.paused.borrow_mut().push(length);
        let left = self.pauses.get();
        self.pauses.set(left.saturating_sub(1));
        async move {
            if left == 0 {
                pending().await
            }
        }
    }
}

impl Chance for House {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            self.dice.set(self.dice.get().wrapping_mul(77).wrapping_add(13));
            *byte = self.dice.get();
        }
    }
}

impl Clock for House {
    fn now(&self) -> UnixMicros {
        at(NOW)
    }
}

/// The routes behind their gate.
pub(super) fn table(house: &House) -> Table<House> {
    Table::default().with_gate("", routes(&house.settings), gate()).unwrap()
}

/// Asks the routes. `request` is as on the wire; `/api/v1` goes before its path.
pub(super) fn ask(house: &Rc<House>, request: &str) -> Said {
    let (method, rest) = request.split_once(' ').unwrap();
    let peer = Peer("192.0.2.1".parse().unwrap());
    fakes::ask_from(Some(peer), &table(house), house, &format!("{method} /api/v1{rest}"))
}

/// Asks with a token.
pub(super) fn ask_as(token: &str, house: &Rc<House>, request: &str, body: impl ToString) -> Said {
    ask(house, &format!("{request}\nauthorization: Bearer {token}\n\n{}", body.to_string()))
}

impl Said {
    /// Status and body of an answer in JSON.
    pub(super) fn chat(&self) -> (u16, Value) {
        assert_eq!((self.kind(), self.header("cache-control")), ("application/json", Some("no-store")), "{}", self.body);
        (self.status, serde_json::from_str(&self.body).unwrap())
    }

    /// Status and code of a refusal, which is flat.
    pub(super) fn flat(&self) -> (u16, String) {
        let (status, body) = self.chat();
        assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        assert_eq!(body.as_object().unwrap().len(), if status == 429 { 3 } else { 2 }, "{body}");
        (status, body["error"].as_str().unwrap().to_owned())
    }
}
