//! A house in memory with the contract's own examples in it, and a way to ask its routes.

use super::{
    gate,
    rooms::{Chance, Claims, Credentials, Issued, Library, Registry, TokenFault},
    routes,
};
use crate::{
    auth::AgentKeyFault,
    http::{
        fakes::{self, Said},
        gate::Peer,
        rooms::Clock,
        table::Table,
    },
    protocols::labs::{
        admission::Denial,
        asks::{AgentView, Ask, LimitKey, Reply, Window},
        model::{Agent, Place, Resources, Role, Session, SessionId, State, Template, User, UserId, Vnc},
        record::{Listed, Login, Page, SessionFilter},
    },
    realtime::{StoreFault, UnixMicros},
};
use http::Extensions;
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};
use uuid::Uuid;

pub(super) const ADMIN: Uuid = Uuid::from_u128(0x550e_8400_e29b_41d4_a716_4466_5544_0000);
pub(super) const JOHN: Uuid = Uuid::from_u128(0x990e_8400_e29b_41d4_a716_4466_5544_0004);
/// Not allowed to sign in any more.
pub(super) const GONE: Uuid = Uuid::from_u128(0x990e_8400_e29b_41d4_a716_4466_5544_0005);
pub(super) const SESSION: Uuid = Uuid::from_u128(0x770e_8400_e29b_41d4_a716_4466_5544_0002);
/// One that nobody has.
pub(super) const NOBODYS: Uuid = Uuid::from_u128(0x770e_8400_e29b_41d4_a716_4466_5544_0009);
pub(super) const TEMPLATE: Uuid = Uuid::from_u128(0x880e_8400_e29b_41d4_a716_4466_5544_0003);
pub(super) const JTI: Uuid = Uuid::from_u128(0x660e_8400_e29b_41d4_a716_4466_5544_0001);
/// A minute of windows ends 45 seconds after [`NOW`].
pub(super) const RESET: i64 = 1_763_808_945;

/// 2025-11-22T10:55:00Z.
pub(super) const NOW: &str = "2025-11-22T10:55:00Z";

/// A time as the contract writes it.
pub(super) fn at(time: &str) -> UnixMicros {
    UnixMicros(time.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

/// Tokens are `admin`, `john`, `gone`, `expired`. Everything asked of it is kept; asks are answered with `replies`, in their order, but
/// limits, which it counts itself.
pub(super) struct House {
    pub(super) asked: RefCell<Vec<Ask>>,
    pub(super) replies: RefCell<VecDeque<Reply>>,
    pub(super) counts: RefCell<HashMap<(LimitKey, Window), u32>>,
    pub(super) uncounted: Cell<bool>,
    pub(super) page: Cell<Option<Page>>,
    pub(super) role: Cell<Option<Role>>,
    pub(super) category: RefCell<Option<String>>,
    pub(super) filter: RefCell<Option<SessionFilter>>,
    pub(super) total: Cell<u64>,
    pub(super) fault: Cell<Option<StoreFault>>,
    pub(super) checked: RefCell<Vec<(String, Option<Arc<str>>)>>,
    pub(super) sessions: RefCell<Vec<Session>>,
    /// What agents must show; none: nothing.
    pub(super) agent_key: Cell<Option<&'static str>>,
    dice: Cell<u8>,
}

impl Default for House {
    fn default() -> House {
        House {
            asked: RefCell::default(),
            replies: RefCell::default(),
            counts: RefCell::default(),
            uncounted: Cell::default(),
            page: Cell::default(),
            role: Cell::default(),
            category: RefCell::default(),
            filter: RefCell::default(),
            total: Cell::new(1),
            fault: Cell::default(),
            checked: RefCell::default(),
            sessions: RefCell::default(),
            agent_key: Cell::default(),
            dice: Cell::new(1),
        }
    }
}

impl House {
    /// One that answers the next asks so.
    pub(super) fn replying(replies: impl IntoIterator<Item = Reply>) -> Rc<House> {
        Rc::new(House { replies: RefCell::new(replies.into_iter().collect()), ..House::default() })
    }

    fn read<T>(&self, value: T) -> Result<T, StoreFault> {
        self.fault.get().map_or(Ok(value), Err)
    }

    fn list<T>(&self, page: Page, item: T) -> Result<Listed<T>, StoreFault> {
        self.page.set(Some(page));
        self.read(Listed { items: vec![item], total: self.total.get() })
    }
}

pub(super) fn admin() -> User {
    User {
        id: ADMIN,
        username: "admin".into(),
        email: "admin@example.com".into(),
        role: Role::Admin,
        active: true,
        created_at: at("2025-11-01T08:00:00Z"),
        last_login: Some(at("2025-11-22T10:00:00Z")),
    }
}

pub(super) fn john() -> User {
    User {
        id: JOHN,
        username: "john.doe".into(),
        email: "john.doe@example.com".into(),
        role: Role::User,
        created_at: at("2025-11-22T11:10:00Z"),
        last_login: None,
        ..admin()
    }
}

fn users() -> [User; 3] {
    [admin(), john(), User { id: GONE, username: "gone".into(), active: false, ..john() }]
}

pub(super) fn template() -> Template {
    let environment = [("PUID", "1000"), ("PGID", "1000"), ("TZ", "UTC")];
    Template {
        id: TEMPLATE,
        name: "firefox-browser".into(),
        display_name: "Firefox Web Browser".into(),
        category: "Web Browsers".into(),
        description: "Mozilla Firefox web browser with privacy extensions".into(),
        base_image: "lscr.io/linuxserver/firefox:latest".into(),
        default_resources: Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: Some("10Gi".into()) },
        vnc: Vnc { enabled: true, port: 3000, resolution: Some("1920x1080".into()), color_depth: Some(24) },
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect::<BTreeMap<_, _>>(),
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: ["browser", "web", "privacy"].map(str::to_owned).into(),
        icon_url: Some("https://cdn.streamspace.io/icons/firefox.svg".into()),
        created_at: at("2025-11-01T08:00:00Z"),
        updated_at: at("2025-11-15T10:00:00Z"),
    }
}

/// The contract's session in a state, with that state's words.
pub(super) fn session(state: State, message: &str) -> Session {
    let text = |text: &str| Some(text.to_owned());
    Session {
        id: SESSION,
        name: "john-doe-firefox-browser-abc123".into(),
        user: "john.doe".into(),
        template: "firefox-browser".into(),
        platform: "kubernetes".into(),
        agent: Some("k8s-prod-us-east-1".into()),
        state,
        resources: Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: None },
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: vec!["project-alpha".into()],
        message: message.into(),
        place: Place {
            pod_ip: text("10.42.1.5"),
            pod_name: text("john-doe-firefox-browser-abc123-7c8f9d6b5"),
            container_id: text("abc123def456"),
            vnc_port: Some(5900),
            started_at: text("2025-11-22T10:45:12Z"),
            metadata: Some(
                json!({"namespace": "streamspace", "deployment_name": "john-doe-firefox-browser-abc123",
                    "service_name": "john-doe-firefox-browser-abc123", "pvc_name": "john-doe-firefox-browser-abc123-home"})
                .to_string()
                .into(),
            ),
        },
        created_at: at("2025-11-22T10:45:00Z"),
        updated_at: at("2025-11-22T10:45:12Z"),
        last_activity: Some(at("2025-11-22T11:00:00Z")),
    }
}

pub(super) fn running() -> Session {
    session(State::Running, "Session is running")
}

/// The contract's first agent, with so many sessions.
pub(super) fn agent(metadata: &Value, sessions: usize) -> AgentView {
    let placed = |n: usize| {
        let (id, user) = (Uuid::from_u128(SESSION.as_u128() + n as u128), if n == 0 { "admin" } else { "john.doe" });
        (id, format!("{user}-firefox-browser-abc123"), user.into(), "firefox-browser".into(), State::Running)
    };
    AgentView {
        agent: Agent {
            id: ADMIN,
            name: "k8s-prod-us-east-1".into(),
            platform: "kubernetes".into(),
            region: "us-east-1".into(),
            draining: false,
            max_sessions: Some(100),
            max_cpu: Some(100.0),
            max_memory: Some(256.0),
            metadata: metadata.to_string().into(),
            created_at: at("2025-11-01T08:00:00Z"),
            updated_at: at("2025-11-22T10:35:00Z"),
            last_heartbeat: Some(at("2025-11-22T10:35:00Z")),
        },
        connection: Some("conn-abc123".into()),
        connected_at: Some(UnixMicros(at(NOW).0 - 2_592_000_000_000)),
        sessions: (0..sessions).map(placed).collect(),
    }
}

impl Registry for House {
    async fn ask(&self, ask: Ask) -> Reply {
        if let Ask::Limit { key, window } = ask {
            let limit = match window {
                Window::Login => 5,
                Window::Create => 10,
                Window::Agent => 6_000,
                Window::Other => 100,
            };
            let mut counts = self.counts.borrow_mut();
            let count = counts.entry((key, window)).or_default();
            *count += 1;
            return match self.uncounted.get() {
                true => Reply::Refused(crate::protocols::labs::asks::Refused::Store(StoreFault::Busy)),
                false => Reply::Limit { limit, remaining: limit.checked_sub(*count), reset: RESET },
            };
        }
        self.asked.borrow_mut().push(ask);
        self.replies.borrow_mut().pop_front().expect("nothing was to be asked")
    }

    fn namespace(&self) -> &str {
        "streamspace"
    }
}

impl Library for House {
    async fn login(&self, username: String) -> Result<Option<Login>, StoreFault> {
        let login = |user| Login { user, password_hash: "hash of password".into() };
        self.read(users().into_iter().find(|user| user.username == username).map(login))
    }

    async fn user(&self, user: UserId) -> Result<Option<User>, StoreFault> {
        self.read(users().into_iter().find(|known| known.id == user))
    }

    async fn users(&self, role: Option<Role>, page: Page) -> Result<Listed<User>, StoreFault> {
        self.role.set(role);
        self.list(page, admin())
    }

    async fn templates(&self, category: Option<String>, page: Page) -> Result<Listed<Template>, StoreFault> {
        self.category.replace(category);
        self.list(page, template())
    }

    async fn template(&self, name: String) -> Result<Option<Template>, StoreFault> {
        self.read(Some(template()).filter(|template| template.name == name))
    }

    async fn sessions(&self, filter: SessionFilter, page: Page) -> Result<Listed<Session>, StoreFault> {
        self.filter.replace(Some(filter));
        self.list(page, running())
    }

    async fn session(&self, session: SessionId) -> Result<Option<Session>, StoreFault> {
        self.read(self.sessions.borrow().iter().find(|known| known.id == session).cloned())
    }
}

impl Credentials for House {
    fn token(&self, token: &str) -> Result<Claims, TokenFault> {
        let user = match token {
            "admin" => admin(),
            "john" => john(),
            "gone" => User { id: GONE, ..john() },
            "expired" => return Err(TokenFault::Expired),
            _ => return Err(TokenFault::Invalid),
        };
        let expires_at = at("2025-11-23T10:00:00Z");
        Ok(Claims { user: user.id, name: user.username.into(), role: user.role, token: JTI, expires_at })
    }

    fn issue(&self, user: &User) -> Result<Issued, StoreFault> {
        Ok(Issued { token: format!("head.{}.sign", user.username), expires_at: at("2025-11-23T10:00:00Z") })
    }

    async fn check(&self, password: String, known: Option<Arc<str>>) -> Result<bool, StoreFault> {
        self.checked.borrow_mut().push((password.clone(), known.clone()));
        self.read(known.is_some_and(|known| *known == *format!("hash of {password}")))
    }

    async fn hash(&self, password: String) -> Result<String, StoreFault> {
        self.read(format!("hash of {password}"))
    }

    fn admits(&self, agent_key: Option<&str>) -> Result<(), AgentKeyFault> {
        match (self.agent_key.get(), agent_key) {
            (Some(_), None) => Err(AgentKeyFault::Missing),
            (Some(key), Some(shown)) if shown != key => Err(AgentKeyFault::Wrong),
            (Some(_) | None, _) => Ok(()),
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

/// Asks the routes from an address. `request` is as on the wire; `/api/v1` goes before its path.
pub(super) fn ask_from(address: &str, house: &Rc<House>, request: &str) -> Said {
    let (method, rest) = request.split_once(' ').unwrap();
    ask_whole(address, house, &format!("{method} /api/v1{rest}"))
}

/// The same with the whole path.
pub(super) fn ask_whole(address: &str, house: &Rc<House>, request: &str) -> Said {
    let table = Table::default().with_gate("", routes(), gate()).unwrap();
    let peer = Peer(address.parse::<IpAddr>().unwrap());
    fakes::ask_from(Some(peer), &table, house, request)
}

/// The same of one who is not given a socket.
pub(super) fn ask_refused(denial: Denial, house: &Rc<House>, request: &str) -> Said {
    let table = Table::default().with_gate("", routes(), gate()).unwrap();
    let mut known = Extensions::new();
    known.insert(Peer("192.0.2.1".parse().unwrap()));
    known.insert(denial);
    fakes::ask_known(known, &table, house, request)
}

pub(super) fn ask(house: &Rc<House>, request: &str) -> Said {
    ask_from("192.0.2.1", house, request)
}

/// Asks with a token.
pub(super) fn ask_as(token: &str, house: &Rc<House>, request: &str, body: impl ToString) -> Said {
    ask(house, &format!("{request}\nauthorization: Bearer {token}\n\n{}", body.to_string()))
}

impl Said {
    /// Status and body of a good answer.
    pub(super) fn told(&self) -> (u16, Value) {
        assert_eq!((self.kind(), self.header("cache-control")), ("application/json", Some("no-store")), "{}", self.body);
        (self.status, serde_json::from_str(&self.body).unwrap())
    }

    /// Status and body of a refusal, after a look at what all have: six keys, the time, the request's id.
    pub(super) fn refused(&self) -> (u16, Value) {
        let (status, body) = self.told();
        for key in ["error", "message", "code"] {
            assert!(body[key].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        }
        assert!(body["details"].is_object(), "{body}");
        assert_eq!(body["timestamp"], NOW);
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        assert_eq!(body.as_object().unwrap().len(), if status == 429 { 7 } else { 6 }, "{body}");
        (status, body)
    }

    /// Status and code of a refusal.
    pub(super) fn code(&self) -> (u16, String) {
        let (status, body) = self.refused();
        (status, body["code"].as_str().unwrap().to_owned())
    }

    /// Code of a 400 and the field that it is about.
    pub(super) fn about(&self) -> (String, String) {
        let (status, body) = self.refused();
        assert_eq!(status, 400, "{body}");
        (body["code"].as_str().unwrap().to_owned(), body["details"]["field"].as_str().unwrap_or_default().to_owned())
    }
}
