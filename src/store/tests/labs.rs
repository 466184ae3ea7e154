//! Records of labs: what the contract says, asked of each implementation.

use super::{InMemory, OnDisk, PATIENCE, Subject, server::InPostgres, ticket, where_postgres_is};
use crate::{
    protocols::labs::{
        model::{Action, Agent, Command, Place, Progress, Resources, Role, Session, State, Template, User, Vnc},
        record::{Change, Kept, Loaded, Login, Page, Record, Rights, SessionFilter, SortBy},
    },
    realtime::{StoreFault, UnixMicros},
    store::{Answer, Store},
};
use std::sync::Arc;
use uuid::Uuid;

pub(in super::super) const ALL: Page = Page { page: 1, limit: 100 };

pub(in super::super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn at(micros: i64) -> UnixMicros {
    UnixMicros(micros)
}

fn user(number: u128, username: &str) -> User {
    User {
        id: id(number),
        username: username.into(),
        email: format!("{number}@school.local"),
        role: if number.is_multiple_of(3) { Role::Admin } else { Role::User },
        active: true,
        created_at: at(number as i64),
        last_login: None,
    }
}

fn login(number: u128, username: &str) -> Login {
    Login { user: user(number, username), password_hash: format!("hash {number}").into() }
}

pub(in super::super) fn new_user(number: u128, username: &str) -> Record {
    let Login { user, password_hash } = login(number, username);
    Record::NewUser { user, password_hash: password_hash.to_string() }
}

fn resources(memory: &str) -> Resources {
    Resources { memory: memory.into(), cpu: "1000m".into(), storage: (memory == "2Gi").then(|| "10Gi".into()) }
}

fn template(number: u128, name: &str) -> Template {
    Template {
        id: id(number),
        name: name.into(),
        display_name: format!("{name} \u{1F98A}"),
        category: ["Web", "Code"][(number % 2) as usize].into(),
        description: "for people".into(),
        base_image: format!("image:{number}"),
        default_resources: resources("2Gi"),
        vnc: Vnc { enabled: true, port: 5900, resolution: Some("1920x1080".into()), color_depth: None },
        environment: [("TZ".into(), "UTC".into()), ("N".into(), number.to_string())].into(),
        persistent_home: number.is_multiple_of(2),
        idle_timeout: "30m".into(),
        tags: vec!["web".into(), number.to_string()],
        icon_url: number.is_multiple_of(2).then(|| "https://icons/1".into()),
        created_at: at(number as i64),
        updated_at: at(number as i64),
    }
}

fn kept_template(template: Template, replace: bool) -> Record {
    Record::Template { template: Box::new(template), replace }
}

fn agent(number: u128, name: &str) -> Agent {
    Agent {
        id: id(number),
        name: name.into(),
        platform: "docker".into(),
        region: "".into(),
        draining: false,
        max_sessions: Some(7),
        max_cpu: Some(0.5),
        max_memory: None,
        metadata: r#"{"a":1}"#.into(),
        created_at: at(1),
        updated_at: at(2),
        last_heartbeat: None,
    }
}

pub(in super::super) fn session(number: u128) -> Session {
    Session {
        id: id(number),
        name: format!("ada-web-{number:06}"),
        user: "ada".into(),
        template: "web".into(),
        platform: "docker".into(),
        agent: None,
        state: State::Pending,
        resources: resources("1Gi"),
        persistent_home: true,
        idle_timeout: "1h30m".into(),
        tags: Vec::new(),
        message: "provisioning".into(),
        place: Place::default(),
        created_at: at(number as i64),
        updated_at: at(number as i64),
        last_activity: None,
    }
}

pub(in super::super) fn command(number: u128, session: u128, progress: Progress) -> Command {
    Command {
        id: id(number),
        agent: "a1".into(),
        session: id(session),
        action: Action::StartSession,
        data: r#"{"image":"x"}"#.into(),
        progress,
        created_at: at(number as i64),
    }
}

fn of_agent(agent: Agent) -> Record {
    Record::Change(Box::new(Change { agent: Some(agent), ..Change::default() }))
}

pub(in super::super) fn of_session(session: Session) -> Record {
    Record::Change(Box::new(Change { session: Some(session), ..Change::default() }))
}

fn of_command(command: Command) -> Record {
    Record::Change(Box::new(Change { command: Some(command), ..Change::default() }))
}

pub(in super::super) fn kept(answer: Answer) -> Result<Kept, StoreFault> {
    match answer {
        Answer::LabsKept { result, .. } => result,
        Answer::Entered(_) | Answer::Kept { .. } | Answer::ChatKept { .. } | Answer::TasksKept { .. } => {
            panic!("no record of labs")
        }
    }
}

/// Asks for all of them, and then hears.
fn keep<S: Subject, const N: usize>(it: &S, records: [Record; N]) -> [Result<Kept, StoreFault>; N] {
    for record in records {
        it.store().keep_labs(ticket(1), record).expect("room");
    }
    let answers = it.answers(N);
    std::array::from_fn(|place| kept(answers[place]))
}

/// All of them are on disk.
fn done<S: Subject, const N: usize>(it: &S, records: [Record; N]) {
    assert_eq!(keep(it, records), [DONE; N]);
}

const DONE: Result<Kept, StoreFault> = Ok(Kept::Done);
const MISSING: Result<Kept, StoreFault> = Ok(Kept::Missing);
const TAKEN: Result<Kept, StoreFault> = Ok(Kept::Taken);
const FAILED: Result<Kept, StoreFault> = Err(StoreFault::Failed);

/// An edit that changes nothing.
fn edited(number: u128) -> Record {
    Record::EditedUser { user: id(number), email: None, role: None, active: None, password_hash: None, last_login: None }
}

fn users_are_made_and_changed<S: Subject>() {
    let it = S::fresh(64);
    let made = keep(&it, [new_user(3, "ada"), new_user(4, "Ada"), new_user(5, "ada"), new_user(4, "zoe"), new_user(6, "bob")]);
    assert_eq!(made, [DONE, DONE, TAKEN, FAILED, DONE], "names are themselves, case and all; an id is one user's");
    assert_eq!(it.store().login("ada"), Ok(Some(login(3, "ada"))));
    assert_eq!(it.store().login("ADA"), Ok(None));
    assert_eq!(it.store().user(id(4)), Ok(Some(user(4, "Ada"))));
    let all = Record::EditedUser {
        user: id(4),
        email: Some("new".into()),
        role: Some(Role::Admin),
        active: Some(false),
        password_hash: Some("other".into()),
        last_login: Some(at(77)),
    };
    assert_eq!(keep(&it, [edited(3), all, edited(99)]), [DONE, DONE, MISSING]);
    assert_eq!(it.store().login("ada"), Ok(Some(login(3, "ada"))));
    let changed = User { email: "new".into(), role: Role::Admin, active: false, last_login: Some(at(77)), ..user(4, "Ada") };
    assert_eq!(it.store().login("Ada"), Ok(Some(Login { user: changed.clone(), password_hash: "other".into() })));
    let users = |role, page, limit| it.store().users(role, Page { page, limit }).expect("readable");
    let names = |users: &[User]| users.iter().map(|user| user.username.clone()).collect::<Vec<_>>();
    let listed = users(None, 1, 2);
    assert_eq!((names(&listed.items), listed.total), (vec!["Ada".into(), "ada".into()], 3));
    assert_eq!(listed.items[0], changed);
    assert_eq!(names(&users(None, 2, 2).items), ["bob"]);
    assert_eq!((users(None, 3, 2).items.len(), users(None, 3, 2).total), (0, 3));
    assert_eq!(users(None, u32::MAX, 100).items, []);
    assert_eq!(names(&users(Some(Role::Admin), 1, 9).items), ["Ada", "ada", "bob"]);
    assert_eq!(users(Some(Role::User), 1, 9).total, 0);
    let barred =
        Record::EditedUser { user: id(8), email: None, role: None, active: Some(false), password_hash: None, last_login: None };
    done(&it, [new_user(7, "eve"), new_user(8, "zoe"), barred]);
    let standings = it.store().labs().expect("readable").standings;
    let told: Vec<_> = standings.iter().map(|standing| (standing.user, standing.role, standing.active)).collect();
    let row = |number, role, active| (id(number), Some(role), Some(active));
    let expected = [row(3, Role::Admin, true), row(4, Role::Admin, false), row(6, Role::Admin, true), row(8, Role::User, false)];
    assert_eq!(told, expected, "of the others there is nothing to remember");
    done(&it, [Record::Revoked { token: id(1), expires_at: at(200) }, Record::Revoked { token: id(2), expires_at: at(100) }]);
    assert_eq!(it.store().rights(at(100)), Ok(Rights { standings, revoked: vec![(id(1), at(200))] }));
}

fn templates_are_made_replaced_and_gone<S: Subject>() {
    let it = S::fresh(64);
    let other = Template { created_at: at(500), updated_at: at(500), ..template(9, "web") };
    let made = keep(
        &it,
        [
            kept_template(template(1, "web"), false),
            kept_template(template(2, "code"), true),
            kept_template(other.clone(), false),
            kept_template(template(1, "Web"), false),
        ],
    );
    assert_eq!(made, [DONE, DONE, TAKEN, FAILED]);
    assert_eq!(it.store().template("web"), Ok(Some(template(1, "web"))));
    assert_eq!(it.store().template("WEB"), Ok(None));
    done(&it, [kept_template(other.clone(), true)]);
    let replaced = Template { id: id(1), created_at: at(1), ..other };
    assert_eq!(it.store().template("web"), Ok(Some(replaced.clone())));
    let listed = it.store().templates(None, ALL).expect("readable");
    assert_eq!((listed.items, listed.total), (vec![template(2, "code"), replaced], 2));
    let of = |category| it.store().templates(Some(category), ALL).map(|listed| listed.total);
    assert_eq!([of("Web"), of("Code"), of("code")], [Ok(1), Ok(1), Ok(0)]);
    let gone = || Record::NoTemplate { name: "code".into() };
    assert_eq!(keep(&it, [gone(), gone()]), [DONE, MISSING]);
    assert_eq!(it.store().templates(None, ALL).map(|listed| listed.total), Ok(1));
}

fn a_change_is_whole_or_nothing<S: Subject>() {
    let it = S::fresh(64);
    let ran = Session {
        state: State::Running,
        agent: Some("a1".into()),
        tags: vec!["b".into(), "a".into(), "b".into()],
        place: Place {
            pod_ip: Some("10.0.0.1".into()),
            vnc_port: Some(5900),
            metadata: Some(r#"{"ns":"x"}"#.into()),
            ..Place::default()
        },
        last_activity: Some(at(9)),
        ..session(1)
    };
    let whole =
        Change { agent: Some(agent(50, "a1")), session: Some(session(1)), command: Some(command(70, 1, Progress::Pending)) };
    done(&it, [Record::Change(Box::new(whole)), of_session(ran.clone()), of_agent(Agent { draining: true, ..agent(50, "a1") })]);
    assert_eq!(it.store().session(id(1)), Ok(Some(ran.clone())));
    assert_eq!(it.store().session(id(2)), Ok(None));
    let expected = Loaded {
        agents: vec![Agent { draining: true, ..agent(50, "a1") }],
        sessions: vec![ran.clone()],
        commands: vec![command(70, 1, Progress::Pending)],
        standings: Vec::new(),
    };
    assert_eq!(it.store().labs(), Ok(expected.clone()));
    assert_eq!(keep(&it, [Record::NoAgent { agent: id(51) }]), [MISSING]);
    let namesake = Session { name: ran.name.clone(), ..session(2) };
    let refused = [
        Change { agent: Some(agent(50, "other")), session: Some(namesake), command: None },
        Change { agent: Some(agent(51, "a1")), session: Some(session(2)), command: None },
        Change { agent: Some(agent(50, "other")), session: Some(session(2)), command: Some(command(71, 1, Progress::Pending)) },
    ];
    assert_eq!(keep(&it, refused.map(|change| Record::Change(Box::new(change)))), [TAKEN, TAKEN, FAILED]);
    assert_eq!(it.store().labs(), Ok(expected), "of a change that was refused nothing is there");
    done(&it, [of_command(command(70, 1, Progress::Failed)), of_command(command(71, 1, Progress::Sent))]);
    assert_eq!(keep(&it, [of_command(command(70, 1, Progress::Sent))]), [FAILED], "one open command a session");
    done(
        &it,
        [of_session(Session { name: "another".into(), ..ran.clone() }), of_session(Session { name: ran.name, ..session(2) })],
    );
}

fn activity_only_moves_on<S: Subject>() {
    let it = S::fresh(64);
    let active = |session, micros| Record::Activity { session: id(session), at: at(micros) };
    done(&it, [of_session(session(1)), active(1, 40), active(1, 30)]);
    assert_eq!(keep(&it, [active(2, 5)]), [MISSING]);
    assert_eq!(it.store().session(id(1)), Ok(Some(Session { last_activity: Some(at(40)), ..session(1) })));
}

fn a_start_loads_what_is_not_over<S: Subject>() {
    let it = S::fresh(64);
    assert_eq!(it.store().labs(), Ok(Loaded::default()));
    for (number, state) in (1_u128..).zip([
        State::Terminated,
        State::Failed,
        State::Hibernating,
        State::Hibernated,
        State::Waking,
        State::Terminating,
        State::Running,
    ]) {
        // The later made is first by id.
        done(&it, [of_session(Session { state, id: id(100 - number), ..session(number) })]);
    }
    let progress = [Progress::Completed, Progress::Failed, Progress::Acknowledged, Progress::Sent, Progress::Pending];
    for (number, progress) in (1_u128..).zip(progress) {
        done(&it, [of_command(command(number, number, progress))]);
    }
    done(&it, [of_agent(agent(1, "zoe")), of_agent(agent(2, "ada"))]);
    let loaded = it.store().labs().expect("readable");
    let ids = |ids: &mut dyn Iterator<Item = Uuid>| ids.map(|id| id.as_u128()).collect::<Vec<_>>();
    assert_eq!(ids(&mut loaded.agents.iter().map(|agent| agent.id)), [2, 1]);
    assert_eq!(ids(&mut loaded.sessions.iter().map(|session| session.id)), [98, 97, 96, 95, 94, 93]);
    assert_eq!(ids(&mut loaded.commands.iter().map(|command| command.id)), [3, 4, 5]);
}

fn tokens_are_good_no_more_until_they_expire<S: Subject>() {
    let it = S::fresh(64);
    let revoked = |number, expires_at| Record::Revoked { token: id(number), expires_at: at(expires_at) };
    done(&it, [revoked(1, 300), revoked(2, 200), revoked(3, 200), revoked(1, 300), revoked(4, 100)]);
    assert_eq!(it.store().revoked(at(100)), Ok(vec![(id(2), at(200)), (id(3), at(200)), (id(1), at(300))]));
    assert_eq!(it.store().revoked(at(300)), Ok(Vec::new()));
}

/// Twelve sessions of two users; what the filter lets through, in its order.
fn sessions_are_filtered_and_sorted<S: Subject>() {
    let it = S::fresh(64);
    let states = [State::Running, State::Hibernating, State::Waking, State::Terminated];
    for number in 0..12_u128 {
        let tags: &[&str] = [&["a"][..], &["a", "b"], &[], &["b", "a", "it's"]][(number % 4) as usize];
        done(
            &it,
            [of_session(Session {
                user: ["zoe", "ada"][(number % 2) as usize].into(),
                template: ["web", "code", "Web"][(number % 3) as usize].into(),
                agent: (number > 5).then(|| "a1".into()),
                platform: if number == 11 { "host" } else { "docker" }.into(),
                state: states[(number / 3) as usize],
                tags: tags.iter().map(|&tag| tag.into()).collect(),
                created_at: at((number as i64 * 5) % 4),
                updated_at: at(100 - number as i64),
                ..session(number)
            })],
        );
    }
    let told = |filter: &SessionFilter, page| {
        let listed = it.store().sessions(filter, page).expect("readable");
        (listed.items.iter().map(|session| session.id.as_u128()).collect::<Vec<_>>(), listed.total)
    };
    let sorted = |filter: SessionFilter| told(&filter, ALL).0;
    let any = SessionFilter::default;
    assert_eq!(sorted(any()), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11], "then by id");
    assert_eq!(sorted(SessionFilter { descending: true, ..any() }), [11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0]);
    assert_eq!(sorted(SessionFilter { sort: SortBy::Updated, ..any() }), [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    assert_eq!(sorted(SessionFilter { sort: SortBy::User, ..any() }), [1, 3, 5, 7, 9, 11, 0, 2, 4, 6, 8, 10]);
    assert_eq!(
        sorted(SessionFilter { sort: SortBy::State, ..any() }),
        [6, 7, 8, 0, 1, 2, 3, 4, 5, 9, 10, 11],
        "by what is shown: waking is pending, hibernating is running"
    );
    assert_eq!(told(&any(), Page { page: 2, limit: 5 }), (vec![9, 2, 6, 10, 3], 12));
    assert_eq!(told(&any(), Page { page: 4, limit: 5 }), (Vec::new(), 12));
    let updated = || SessionFilter { sort: SortBy::Updated, descending: true, ..any() };
    let of = |change: fn(&mut SessionFilter)| {
        let mut filter = updated();
        change(&mut filter);
        sorted(filter)
    };
    assert_eq!(of(|it| it.user = Some("ada".into())), [1, 3, 5, 7, 9, 11]);
    assert_eq!(of(|it| it.user = Some("Ada".into())), [] as [u128; 0]);
    assert_eq!(of(|it| it.template = Some("web".into())), [0, 3, 6, 9]);
    assert_eq!(of(|it| it.platform = Some("host".into())), [11]);
    assert_eq!(of(|it| it.agent = Some("a1".into())), [6, 7, 8, 9, 10, 11]);
    assert_eq!(of(|it| it.states = vec![State::Running, State::Hibernating]), [0, 1, 2, 3, 4, 5]);
    assert_eq!(of(|it| it.tags = vec!["a".into()]), [0, 1, 3, 4, 5, 7, 8, 9, 11]);
    assert_eq!(of(|it| it.tags = vec!["a".into(), "b".into()]), [1, 3, 5, 7, 9, 11]);
    assert_eq!(of(|it| it.tags = vec!["it's".into(), "a".into(), "a".into()]), [3, 7, 11]);
    assert_eq!(of(|it| it.tags = vec!["none".into()]), [] as [u128; 0]);
    let narrow = SessionFilter {
        user: Some("ada".into()),
        template: Some("web".into()),
        platform: Some("docker".into()),
        agent: Some(Arc::from("a1")),
        states: vec![State::Terminated, State::Waking],
        tags: vec!["b".into()],
        ..any()
    };
    assert_eq!(told(&narrow, ALL), (vec![9], 1));
    let other = Session { tags: vec!["b".into(), "new".into()], ..it.store().session(id(0)).expect("readable").expect("there") };
    done(&it, [of_session(other)]);
    assert_eq!(of(|it| it.tags = vec!["new".into()]), [0]);
    assert_eq!(of(|it| it.tags = vec!["a".into()]), [1, 3, 4, 5, 7, 8, 9, 11]);
    assert_eq!(of(|it| it.tags = vec!["b".into()]), [0, 1, 3, 5, 7, 9, 11]);
}

fn a_seed_grows_once<S: Subject>() {
    let it = S::fresh(64);
    done(&it, [kept_template(template(1, "web"), false)]);
    let seeds = || vec![template(2, "web"), template(3, "code"), template(4, "code")];
    assert_eq!(it.store().seed(Vec::new(), None), Ok(false));
    assert_eq!(it.store().seed(seeds(), Some(login(3, "admin"))), Ok(true));
    assert_eq!(it.store().seed(seeds(), Some(login(6, "other"))), Ok(false));
    let templates = it.store().templates(None, ALL).expect("readable").items;
    assert_eq!(templates, [template(3, "code"), template(1, "web")]);
    assert_eq!(it.store().users(None, ALL).map(|listed| listed.items), Ok(vec![user(3, "admin")]));
    assert_eq!(it.store().login("admin"), Ok(Some(login(3, "admin"))));
    assert_eq!(keep(&it, [new_user(9, "admin")]), [TAKEN]);
    assert_eq!(it.store().stop(PATIENCE), Ok(()));
    assert!(it.store().seed(seeds(), None).is_err());
}

fn after_a_stop_no_record_is_taken<S: Subject>() {
    let it = S::fresh(64);
    assert_eq!(it.store().stop(PATIENCE), Ok(()));
    assert_eq!(it.store().keep_labs(ticket(1), new_user(1, "ada")), Err(StoreFault::Busy));
}

suite!(
    users_are_made_and_changed,
    templates_are_made_replaced_and_gone,
    a_change_is_whole_or_nothing,
    activity_only_moves_on,
    a_start_loads_what_is_not_over,
    tokens_are_good_no_more_until_they_expire,
    sessions_are_filtered_and_sorted,
    a_seed_grows_once,
    after_a_stop_no_record_is_taken,
);

/// Everything that a library tells.
fn library(store: &dyn Store) -> String {
    let mut told = format!("{:?}{:?}{:?}", store.labs(), store.users(None, ALL), store.templates(None, ALL));
    for sort in [SortBy::Created, SortBy::Updated, SortBy::User, SortBy::State] {
        for tags in [vec![], vec!["0".to_owned()], vec!["1".to_owned(), "2".to_owned()]] {
            for user in [None, Some("u1".to_owned())] {
                let states = if user.is_some() { vec![State::Running, State::Waking] } else { Vec::new() };
                let (tags, descending) = (tags.clone(), tags.len() == 1);
                let filter = SessionFilter { sort, states, tags, user, descending, ..SessionFilter::default() };
                told += &format!("{:?}", store.sessions(&filter, Page { page: 2, limit: 3 }));
            }
        }
    }
    told
}

#[test]
fn sqlite_keeps_the_same_as_memory() {
    keeps_the_same_as_memory::<OnDisk>(800);
}

#[test]
fn postgres_keeps_the_same_as_memory() {
    where_postgres_is(|| keeps_the_same_as_memory::<InPostgres>(400));
}

/// Records of all kinds in any order, most of them good: both stores must answer and tell the same.
fn keeps_the_same_as_memory<S: Subject>(steps: i64) {
    let (disk, memory) = (S::fresh(64), InMemory::fresh(64));
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let states = [State::Pending, State::Running, State::Hibernating, State::Waking, State::Terminated, State::Failed];
    let progress = [Progress::Pending, Progress::Sent, Progress::Acknowledged, Progress::Completed, Progress::Failed];
    let mut done = 0;
    for step in 0..steps {
        let number = u128::from(draw(20));
        let some = Session {
            name: format!("name-{}", draw(30)),
            user: format!("u{}", draw(3)).into(),
            state: states[draw(6) as usize],
            tags: (0..draw(4)).map(|_| draw(4).to_string()).collect(),
            updated_at: at(step),
            ..session(number)
        };
        let (agent_number, command_number, session_number) = (u128::from(draw(5)), u128::from(draw(40)), u128::from(draw(20)));
        let record = match draw(13) {
            0 => new_user(number, &format!("user-{}", draw(20))),
            1 => kept_template(template(number, &format!("template-{}", draw(20))), draw(2) == 0),
            2 => Record::NoTemplate { name: format!("template-{}", draw(20)) },
            3 => Record::Activity { session: id(number), at: at(step) },
            4 => Record::NoAgent { agent: id(agent_number) },
            _ => Record::Change(Box::new(Change {
                agent: (draw(3) == 0).then(|| agent(agent_number, &format!("agent-{}", draw(5)))),
                session: (draw(3) > 0).then_some(some),
                command: (draw(3) == 0).then(|| command(command_number, session_number, progress[draw(5) as usize])),
            })),
        };
        let [on_disk] = keep(&disk, [record.clone()]);
        assert_eq!([on_disk], keep(&memory, [record.clone()]), "step {step}: {record:?}");
        done += i64::from(on_disk == DONE);
        if step % 50 == 49 {
            assert_eq!(library(disk.store()), library(memory.store()), "step {step}");
        }
    }
    assert!(done > steps * 3 / 8, "{done} of them were good");
}
