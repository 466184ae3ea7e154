//! Letters of labs.

use super::*;
use crate::protocols::labs::{
    Chunk, FromRegistry, ProxyId, Revocation, Standing, ToRegistry, TunnelWord,
    asks::{AgentView, Ask, Caller, Creation, LimitKey, Refused, Reply, Target, Window},
    letters::{AgentWord, Capacity, Dialect, Hello, Return, ViewOver, ViewRefused},
    model::{Action, Agent, Command, Place, Progress, Resources, Role, Session, State, Template, User, Vnc},
    record::{Change, Kept, Record},
};

const CAPACITY: Capacity = Capacity { max_sessions: Some(7), max_cpu: Some(0.5), max_memory: None, current_sessions: Some(0) };

fn hello(dialect: Dialect) -> Box<Hello> {
    let (platform, region) = (text(""), text("eu"));
    Box::new(Hello { dialect, name: text("agent-1"), platform, region, capacity: CAPACITY, metadata: text("{}") })
}

fn place() -> Box<Place> {
    Box::new(Place {
        pod_ip: Some("10.0.0.7".into()),
        pod_name: None,
        container_id: Some("0123456789abcdef".into()),
        vnc_port: Some(5900),
        started_at: Some("2026-01-01T00:00:00Z".into()),
        metadata: Some("{}".into()),
    })
}

fn resources() -> Resources {
    Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: Some("10Gi".into()) }
}

fn template() -> Box<Template> {
    let vnc = Vnc { enabled: true, port: 3000, resolution: Some("1920x1080".into()), color_depth: None };
    Box::new(Template {
        id: id(1),
        name: "firefox".into(),
        display_name: "Firefox".into(),
        category: "Browsers".into(),
        description: "".into(),
        base_image: "an image with a long name".into(),
        default_resources: resources(),
        vnc,
        environment: [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "".to_owned())].into(),
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: vec!["web".into()],
        icon_url: None,
        created_at: AT,
        updated_at: AT,
    })
}

fn session(state: State) -> Box<Session> {
    Box::new(Session {
        id: id(2),
        name: "ann-firefox-012345".into(),
        user: text("ann"),
        template: text("firefox"),
        platform: text("docker"),
        agent: Some(text("agent-1")),
        state,
        resources: resources(),
        persistent_home: false,
        idle_timeout: "1h".into(),
        tags: vec![],
        message: "ready".into(),
        place: *place(),
        created_at: AT,
        updated_at: AT,
        last_activity: Some(AT),
    })
}

fn agent() -> Agent {
    Agent {
        id: id(3),
        name: text("agent-1"),
        platform: text("docker"),
        region: long(),
        draining: true,
        max_sessions: Some(9),
        max_cpu: None,
        max_memory: Some(64.0),
        metadata: text("{}"),
        created_at: AT,
        updated_at: AT,
        last_heartbeat: None,
    }
}

fn view() -> Box<AgentView> {
    let sessions = vec![(id(2), "s".to_owned(), text("ann"), text("firefox"), State::Running)];
    Box::new(AgentView { agent: agent(), connection: Some("0:7.1".into()), connected_at: Some(AT), sessions })
}

fn command(action: Action, progress: Progress) -> Command {
    let data = r#"{"sessionId":"x"}"#.into();
    Command { id: id(4), agent: text("agent-1"), session: id(2), action, data, progress, created_at: AT }
}

fn changes() -> Vec<Change> {
    let actions = [Action::StartSession, Action::HibernateSession, Action::WakeSession, Action::StopSession];
    let progresses = [Progress::Pending, Progress::Sent, Progress::Acknowledged, Progress::Completed, Progress::Failed];
    let of = |command| Change { agent: None, session: None, command: Some(command) };
    let mut changes =
        vec![Change::default(), Change { agent: Some(agent()), session: Some(*session(State::Failed)), command: None }];
    changes.extend(actions.map(|action| of(command(action, Progress::Sent))));
    changes.extend(progresses.map(|progress| of(command(Action::StopSession, progress))));
    changes
}

fn records() -> Vec<Record> {
    let user = |role| User {
        id: id(5),
        username: "ann".into(),
        email: "ann@example.org".into(),
        role,
        active: true,
        created_at: AT,
        last_login: None,
    };
    let edited = Record::EditedUser {
        user: id(5),
        email: Some("b@example.org".into()),
        role: Some(Role::User),
        active: Some(false),
        password_hash: Some("$argon2id$".into()),
        last_login: Some(AT),
    };
    let mut records = vec![
        Record::NoAgent { agent: id(3) },
        Record::Activity { session: id(2), at: AT },
        edited,
        Record::Template { template: template(), replace: true },
        Record::NoTemplate { name: "firefox".into() },
        Record::Revoked { token: id(6), expires_at: AT },
    ];
    records
        .extend([Role::Admin, Role::User].map(|role| Record::NewUser { user: user(role), password_hash: "$argon2id$".into() }));
    records.extend(changes().into_iter().map(|change| Record::Change(Box::new(change))));
    records
}

fn asks() -> Vec<Ask> {
    let caller = || Caller { id: id(5), name: text("ann"), admin: true };
    let creation = Creation {
        session: id(2),
        suffixes: [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]],
        user: text("ann"),
        template: template(),
        platform: Some(text("docker")),
        region: None,
        hibernated: true,
        resources: resources(),
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: vec!["a".into()],
    };
    let mut asks = vec![
        Ask::Create(Box::new(creation)),
        Ask::Look { session: id(2), caller: caller() },
        Ask::Logs { session: id(2), caller: caller(), tail: 100 },
        Ask::Agents,
        Ask::Pulse { agent: text("agent-1"), capacity: CAPACITY },
        Ask::Drain { agent: text("agent-1"), draining: true },
        Ask::Forget { agent: text("agent-1") },
    ];
    let windows = [Window::Login, Window::Create, Window::Agent, Window::Other];
    let targets = [Target::Running, Target::Hibernated, Target::Terminating, Target::Terminated];
    asks.extend(records().into_iter().map(Ask::Keep));
    asks.extend(windows.map(|window| Ask::Limit { key: LimitKey::User(id(5)), window }));
    asks.push(Ask::Limit { key: LimitKey::Address(1 << 100), window: Window::Login });
    asks.extend(targets.map(|to| Ask::Move { session: id(2), caller: caller(), to }));
    asks.extend([Dialect::Contract, Dialect::Field].map(|dialect| Ask::Enrol(hello(dialect))));
    asks
}

fn refusals() -> Vec<Refused> {
    let mut refusals = vec![
        Refused::NoSession,
        Refused::NotYours,
        Refused::NoAgent,
        Refused::AgentInUse,
        Refused::TooManyAgents,
        Refused::NoAgents,
        Refused::Full,
        Refused::AgentOffline,
        Refused::Terminating,
        Refused::Taken,
        Refused::Failed("the image is not there".into()),
    ];
    refusals.extend(State::ALL.map(Refused::NoSuchMove));
    refusals.extend(FAULTS.map(Refused::Store));
    refusals
}

fn replies() -> Vec<Reply> {
    let mut replies = vec![
        Reply::Limit { limit: 5, remaining: Some(4), reset: 1_700_000_060 },
        Reply::Limit { limit: 5, remaining: None, reset: 0 },
        Reply::Logs(vec!["a line".into(), "".into()]),
        Reply::Agents(vec![*view(), *view()]),
        Reply::Agent(view()),
        Reply::Enrolled { new: true, agent: view() },
    ];
    replies.extend([Kept::Done, Kept::Missing, Kept::Taken].map(Reply::Kept));
    replies.extend(State::ALL.map(|state| Reply::Session(session(state))));
    replies.extend(refusals().into_iter().map(Reply::Refused));
    replies
}

fn to_registry() -> Vec<ToRegistry> {
    let (conn, session, agent, user) = (conn(), id(2), text("agent-1"), text("ann"));
    let command = || "cmd-0123456789ab".to_owned();
    let words = [
        AgentWord::Heartbeat(CAPACITY),
        AgentWord::Heartbeat(Capacity::default()),
        AgentWord::Acknowledged { command: command() },
        AgentWord::Completed { command: command(), place: place() },
        AgentWord::Failed { command: command(), error: "no".into() },
        AgentWord::Status { session, running: true, place: Box::default() },
        AgentWord::Logs { request: 3, lines: vec!["a".into()] },
    ];
    let mut letters = vec![
        ToRegistry::Register { conn, since: AT, hello: hello(Dialect::Field) },
        ToRegistry::AgentGone { conn, agent: agent.clone() },
        ToRegistry::View { conn, session, user: user.clone(), admin: false },
        ToRegistry::Resume {
            conn,
            agent: agent.clone(),
            back: Box::new(Return {
                dialect: Dialect::Field,
                since: AT,
                newest: Some(ProxyId(9)),
                tunnels: vec![ProxyId(3), ProxyId(9)],
            }),
        },
        ToRegistry::Viewing { conn, session, agent: conn, proxy: ProxyId(3) },
        ToRegistry::ViewerGone { conn, session },
        ToRegistry::Activity { session },
        ToRegistry::Follow { conn, session, user, admin: true, tail: 10 },
        ToRegistry::FollowerGone { conn, session },
    ];
    letters.extend(words.map(|word| ToRegistry::Said { conn, agent: agent.clone(), word }));
    letters.extend(asks().into_iter().map(|ask| ToRegistry::Ask { asker: FROM, number: 8, ask: Box::new(ask) }));
    letters
}

fn from_registry() -> Vec<FromRegistry> {
    let proxy = |request| FromRegistry::Proxy { proxy: ProxyId(7), session: id(2), viewer: conn(), request };
    let refused = [ViewRefused::NoSession, ViewRefused::NotYours, ViewRefused::NotRunning, ViewRefused::AgentOffline];
    let mut letters = vec![
        FromRegistry::Registered,
        FromRegistry::Unknown,
        FromRegistry::Full,
        FromRegistry::Unkept,
        FromRegistry::Displaced,
        FromRegistry::Noted,
        FromRegistry::View { agent: conn(), proxy: ProxyId(7) },
        FromRegistry::Following,
        FromRegistry::Lines(["a".to_owned(), "a longer line of a log".to_owned()].into()),
        FromRegistry::Lines(Arc::default()),
        FromRegistry::LogOver,
        proxy(Some(frame())),
        proxy(None),
    ];
    letters.extend(refused.map(FromRegistry::Refused));
    letters.extend([ViewOver::Displaced, ViewOver::Stopped, ViewOver::AgentGone].map(FromRegistry::ViewOver));
    letters
}

pub(super) fn all() -> Vec<Letter> {
    let words = [
        TunnelWord::Ready { error: None },
        TunnelWord::Ready { error: Some("refused".into()) },
        TunnelWord::Bytes(Chunk::copied(b"RFB 003.008\n")),
        TunnelWord::Credit(1 << 20),
        TunnelWord::Closed,
    ];
    let standing = |role, active| Revocation::User(Standing { user: id(5), role, active });
    let revocations =
        [Revocation::Token { token: id(6), expires_at: AT }, standing(Some(Role::Admin), None), standing(None, Some(false))];
    let mut letters: Vec<Letter> = to_registry().into_iter().map(Letter::Registry).collect();
    letters.extend(from_registry().into_iter().map(|letter| Letter::LabsConnection(conn(), letter)));
    letters.extend(words.map(|word| Letter::Tunnel { to: conn(), from: conn(), proxy: ProxyId(u32::MAX), word }));
    letters.extend(replies().into_iter().map(|reply| Letter::LabsReply { number: 4, reply: Box::new(reply) }));
    letters.extend(revocations.map(|what| Letter::Revoked { from: FROM, telling: 5, what }));
    letters.push(Letter::RevokedHeard { telling: 5 });
    letters
}
