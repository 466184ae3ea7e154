//! Records of chat: what the contract says, asked of each implementation.

mod nodes;

use super::{InMemory, OnDisk, PATIENCE, Subject, labs, server::InPostgres, ticket, where_postgres_is};
use crate::{
    models::{ToolCall, Usage, talk::Attached},
    protocols::{
        chat::{
            model::{Approval, Author, Called, Completeness, Decision, Message, Session, Stage, Status},
            record::{Change, From, History, Listed, Load, Loaded, PART_BYTES, Page, Part, SessionFilter, Sweep},
        },
        labs::{model::User, record::Record},
    },
    realtime::{StoreFault, UnixMicros},
    store::{Answer, Mood, Store},
};
use bytes::Bytes;
use std::{collections::BTreeSet, sync::Arc};
use uuid::Uuid;

pub(in super::super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn at(micros: i64) -> UnixMicros {
    UnixMicros(micros)
}

pub(in super::super) fn session(number: u128) -> Session {
    Session {
        id: id(number),
        owner: id(7),
        title: "What is 2 + 2? \u{1F98A}".into(),
        agent: None,
        status: Status::Active,
        require_approval: true,
        metadata: r#"{"a":{"b":[1]}}"#.into(),
        message_count: 0,
        created_at: at(number as i64),
        updated_at: at(number as i64),
        ended_at: None,
    }
}

/// The one of this number in a session: users say the odd ones, assistants the others.
pub(in super::super) fn message(session: u128, number: u32) -> Message {
    let is_user = number % 2 == 1;
    let tokens = if is_user { 0 } else { number };
    Message {
        id: id(session << 64 | u128::from(number)),
        session: id(session),
        number,
        author: if is_user { Author::User } else { Author::Assistant },
        content: format!("said {number}").into(),
        completeness: Completeness::Whole,
        calls: Vec::new(),
        attachments: Vec::new(),
        usage: Usage { prompt_tokens: tokens, completion_tokens: 2 * tokens },
        cost: f64::from(tokens) / 8.0,
        created_at: at(number.into()),
    }
}

fn call(number: u128) -> ToolCall {
    ToolCall { id: format!("call-{number}").into(), tool: "search".into(), arguments: r#"{"query":"x"}"#.into() }
}

fn called(number: u128, stage: Stage) -> Called {
    let result: Option<Arc<str>> = (stage == Stage::Done).then(|| "[1]".into());
    Called { call: call(number), approval: result.is_none().then(|| id(number)), stage, result }
}

fn attached(name: &str, bytes: &[u8]) -> Attached {
    Attached { name: name.into(), media_type: "text/plain".into(), bytes: Bytes::copy_from_slice(bytes) }
}

pub(in super::super) fn approval(session: u128, number: u128) -> Approval {
    Approval {
        id: id(number),
        session: id(session),
        message: id(session << 64 | 2),
        call: call(number),
        decision: Decision::Pending,
        created_at: at(number as i64),
        expires_at: at(1_000),
        decided_by: None,
        decided_at: None,
        reason: None,
        comment: None,
    }
}

fn approved(session: u128, number: u128, decided_at: i64) -> Approval {
    Approval {
        decision: Decision::Approved,
        decided_by: Some("ada@school.local".into()),
        decided_at: Some(at(decided_at)),
        reason: Some("because".into()),
        comment: Some("well".into()),
        ..approval(session, number)
    }
}

pub(in super::super) fn change(
    session: impl Into<Option<Session>>,
    messages: impl Into<Vec<Message>>,
    approvals: impl Into<Vec<Approval>>,
) -> Change {
    Change { session: session.into(), messages: messages.into(), approvals: approvals.into() }
}

pub(in super::super) fn kept(answer: Answer) -> Result<(), StoreFault> {
    match answer {
        Answer::ChatKept { result, .. } => result,
        Answer::Entered(_) | Answer::Kept { .. } | Answer::LabsKept { .. } | Answer::TasksKept { .. } => {
            panic!("no change of chat")
        }
    }
}

/// Asks for all of them, and then hears.
fn keep<S: Subject, const N: usize>(it: &S, changes: [Change; N]) -> [Result<(), StoreFault>; N] {
    for change in changes {
        it.store().keep_chat(ticket(1), Box::new(change)).expect("room");
    }
    let answers = it.answers(N);
    std::array::from_fn(|place| kept(answers[place]))
}

/// All of them are on disk.
fn done<S: Subject, const N: usize>(it: &S, changes: [Change; N]) {
    assert_eq!(keep(it, changes), [Ok(()); N]);
}

const FAILED: Result<(), StoreFault> = Err(StoreFault::Failed);

pub(in super::super) fn load(session: u128) -> Load {
    Load { session: id(session), messages: 100, bytes: 8 << 20, decided_since: at(0) }
}

fn loaded<S: Subject>(it: &S, load: Load) -> Loaded {
    *it.store().load_session(load).expect("readable").expect("it is there")
}

/// The numbers of the messages that a home begins with.
fn context<S: Subject>(it: &S, load: Load) -> Vec<u32> {
    loaded(it, load).messages.iter().map(|message| message.number).collect()
}

fn part<S: Subject>(it: &S, session: u128, from: From, limit: u32) -> Option<Part> {
    it.store().history(History { session: id(session), from, limit }).expect("readable")
}

fn listed<S: Subject>(it: &S, filter: &SessionFilter, page: u32, size: u32) -> (Vec<u128>, u64) {
    let Listed { items, total } = it.store().chat_sessions(filter, Page { page, size }).expect("readable");
    (items.iter().map(|session| session.id.as_u128()).collect(), total)
}

fn what_is_kept_is_read<S: Subject>() {
    let it = S::fresh(64);
    let said = Message { attachments: vec![attached("a.txt", b"one"), attached("b.txt", b"")], ..message(1, 1) };
    let answer = Message { calls: vec![called(5, Stage::Done), called(6, Stage::Rejected)], ..message(1, 2) };
    let decided = approved(1, 5, 30);
    done(&it, [change(session(1), [said.clone(), answer.clone()], [decided.clone(), approval(1, 6)])]);
    let expected = Loaded { session: session(1), messages: vec![said.clone(), answer.clone()], approvals: vec![decided.clone()] };
    assert_eq!(loaded(&it, load(1)), expected, "who waits for leave is cared for by a home");
    assert_eq!(it.store().chat_session(id(1)), Ok(Some(session(1))));
    assert_eq!(it.store().chat_session(id(2)), Ok(None));
    assert_eq!(it.store().load_session(load(2)), Ok(None));
    let shown = part(&it, 1, From::Newest, 50).expect("a part");
    let bare = Message { attachments: vec![attached("a.txt", b""), attached("b.txt", b"")], ..said.clone() };
    assert_eq!(shown, Part { messages: vec![bare, answer.clone()], has_more: false });
    // Each row takes the place of the one before.
    let ended = Session {
        status: Status::Ended,
        title: "other".into(),
        agent: Some("tutor".into()),
        message_count: 2,
        updated_at: at(99),
        ended_at: Some(at(99)),
        ..session(1)
    };
    let other = Message { attachments: vec![attached("c.txt", &[0, 255])], content: "other".into(), ..said };
    let rejected = Approval { decision: Decision::Rejected, decided_at: Some(at(31)), ..approval(1, 6) };
    done(&it, [change(ended.clone(), [other.clone()], [rejected.clone()])]);
    let expected = Loaded { session: ended.clone(), messages: vec![other, answer], approvals: vec![decided, rejected.clone()] };
    assert_eq!(loaded(&it, load(1)), expected);
    assert_eq!(loaded(&it, Load { decided_since: at(31), ..load(1) }).approvals, [rejected]);
    assert_eq!(loaded(&it, Load { decided_since: at(32), ..load(1) }).approvals, []);
    assert_eq!(it.store().chat_session(id(1)), Ok(Some(ended)));
}

fn a_change_is_whole_or_nothing<S: Subject>() {
    let it = S::fresh(64);
    let first = change(session(1), [message(1, 1), message(1, 2)], []);
    let nowhere = change(session(2), [message(2, 1), message(3, 1)], []);
    let namesake = Message { id: id(99), ..message(1, 2) };
    let second = change(Session { title: "new".into(), ..session(1) }, [message(1, 3), namesake], [approval(1, 1)]);
    let asks_nowhere = change(session(2), [message(2, 1)], [approval(3, 2)]);
    let last = change(None, [message(1, 3)], []);
    assert_eq!(keep(&it, [first, nowhere, second, asks_nowhere, last]), [Ok(()), FAILED, FAILED, FAILED, Ok(())]);
    assert_eq!(it.store().chat_session(id(2)), Ok(None));
    assert_eq!(loaded(&it, load(1)).session, session(1));
    assert_eq!(context(&it, load(1)), [1, 2, 3]);
    assert_eq!(part(&it, 1, From::After(id(99)), 5), None);
    done(&it, [Change::default()]);
}

fn a_home_begins_with_the_newest<S: Subject>() {
    let it = S::fresh(64);
    let file = |bytes: usize| vec![attached("a", &vec![7; bytes])];
    let content = |bytes: usize| Arc::<str>::from("x".repeat(bytes));
    let calls = vec![called(1, Stage::Done)];
    let of_calls = r#"{"query":"x"}"#.len() + "[1]".len();
    let messages = [
        Message { content: content(10), ..message(1, 1) },
        Message { content: content(0), calls, ..message(1, 2) },
        Message { content: content(10), attachments: file(90), ..message(1, 3) },
        Message { content: content(100), ..message(1, 4) },
    ];
    done(&it, [change(session(1), messages.clone(), []), change(session(2), [message(2, 1)], [])]);
    let within = |bytes| context(&it, Load { bytes, ..load(1) });
    assert_eq!(within(0), [4], "the newest in any case");
    assert_eq!(within(199), [4]);
    assert_eq!(within(200), [3, 4]);
    assert_eq!(within(199 + of_calls), [3, 4]);
    assert_eq!(within(200 + of_calls), [2, 3, 4]);
    assert_eq!(within(usize::MAX), [1, 2, 3, 4]);
    assert_eq!(context(&it, Load { messages: 3, ..load(1) }), [2, 3, 4]);
    assert_eq!(context(&it, Load { messages: 0, ..load(1) }), Vec::<u32>::new());
    assert_eq!(context(&it, Load { messages: usize::MAX, ..load(1) }), [1, 2, 3, 4]);
    assert_eq!(loaded(&it, load(1)).messages, messages);
    let big = Message { attachments: file(4 << 20), ..message(1, 5) };
    done(&it, [change(None, [big.clone()], [])]);
    assert_eq!(loaded(&it, Load { messages: 1, ..load(1) }).messages, [big]);
    assert_eq!(within(4 << 20), [5]);
}

fn the_history_is_walked_by_cursors<S: Subject>() {
    let it = S::fresh(64);
    let all: Vec<Message> = (1..=120).map(|number| message(1, number)).collect();
    done(&it, [change(session(1), all.clone(), []), change(session(2), [message(2, 1)], []), change(session(3), [], [])]);
    let walk = |mut from: From, next: fn(&Part) -> From| {
        let mut parts = Vec::new();
        loop {
            let part = part(&it, 1, from, 50).expect("a part");
            assert!(part.messages.is_sorted_by_key(|message| message.number), "oldest first");
            from = next(&part);
            parts.push(part);
            if !parts.last().expect("one").has_more {
                return parts;
            }
        }
    };
    let backwards = walk(From::Newest, |part| From::Before(part.messages[0].id));
    assert_eq!(backwards.iter().map(|part| part.messages.len()).collect::<Vec<_>>(), [50, 50, 20]);
    let seen: Vec<Message> = backwards.into_iter().rev().flat_map(|part| part.messages).collect();
    assert_eq!(seen, all, "none twice, none left out");
    let forwards = walk(From::After(all[0].id), |part| From::After(part.messages[part.messages.len() - 1].id));
    assert_eq!(forwards.iter().map(|part| part.messages.len()).collect::<Vec<_>>(), [50, 50, 19]);
    let numbers = |from, limit| {
        let part = part(&it, 1, from, limit).expect("a part");
        (part.messages.iter().map(|message| message.number).collect::<Vec<_>>(), part.has_more)
    };
    assert_eq!(numbers(From::Before(all[50].id), 50), ((1..=50).collect(), false), "as many as are asked for, and no more");
    assert_eq!(numbers(From::Before(all[51].id), 50), ((2..=51).collect(), true));
    assert_eq!(numbers(From::After(all[118].id), 1), (vec![120], false));
    assert_eq!(numbers(From::After(all[119].id), 1), (vec![], false));
    assert_eq!(numbers(From::Before(all[0].id), 1), (vec![], false));
    assert_eq!(numbers(From::Newest, 1), (vec![120], true));
    assert_eq!(numbers(From::Newest, 200).0.len(), 120);
    let empty = Some(Part { messages: Vec::new(), has_more: false });
    for (session, expected) in [(3, empty.clone()), (4, empty)] {
        assert_eq!(part(&it, session, From::Newest, 5), expected);
    }
    for (session, cursor) in [(1, message(2, 1).id), (2, all[0].id), (1, id(12_345)), (4, all[0].id)] {
        assert_eq!(part(&it, session, From::Before(cursor), 5), None, "a cursor is of its session");
        assert_eq!(part(&it, session, From::After(cursor), 5), None);
    }
}

fn a_part_of_the_history_is_bounded_in_bytes_too<S: Subject>() {
    let it = S::fresh(64);
    let of = |number, bytes: usize| Message { content: "x".repeat(bytes).into(), ..message(1, number) };
    let third = PART_BYTES / 3;
    let mut all = vec![of(1, third), of(2, third), of(3, third), of(4, third), of(5, 2 * PART_BYTES)];
    all.push(Message { attachments: vec![attached("a", &vec![0; PART_BYTES])], ..of(6, 1) });
    done(&it, [change(session(1), all.clone(), [])]);
    let numbers = |from| {
        let part = part(&it, 1, from, 50).expect("a part");
        (part.messages.iter().map(|message| message.number).collect::<Vec<_>>(), part.has_more)
    };
    assert_eq!(numbers(From::Newest), (vec![6], true), "files are only named");
    assert_eq!(numbers(From::Before(all[5].id)), (vec![5], true), "one is always told");
    assert_eq!(numbers(From::Before(all[4].id)), (vec![2, 3, 4], true));
    assert_eq!(numbers(From::Before(all[1].id)), (vec![1], false));
    assert_eq!(numbers(From::After(all[0].id)), (vec![2, 3, 4], true));
    assert_eq!(numbers(From::After(all[3].id)), (vec![5], true));
    assert_eq!(numbers(From::After(all[4].id)), (vec![6], false));
}

fn sessions_are_listed_newest_first<S: Subject>() {
    let it = S::fresh(64);
    let of = |number, owner: u128, created: i64| Session { owner: id(owner), created_at: at(created), ..session(number) };
    let tutor = Session { agent: Some("tutor".into()), ..of(4, 7, 20) };
    let ended = Session { status: Status::Ended, ended_at: Some(at(9)), updated_at: at(500), ..of(5, 7, 30) };
    let silent = Session { updated_at: at(100), ..of(6, 7, 40) };
    let heard = Session { updated_at: at(200), agent: Some("tutor".into()), ..of(1, 7, 50) };
    let mut changes = [of(2, 7, 20), of(3, 7, 20), tutor, ended, silent, heard, of(9, 8, 60)].map(|it| change(it, [], []));
    changes.reverse();
    done(&it, changes);
    let mine = SessionFilter { owner: id(7), expired_before: at(200), ..SessionFilter::default() };
    let of_status = |status| SessionFilter { status: Some(status), ..mine.clone() };
    assert_eq!(listed(&it, &mine, 1, 100), (vec![1, 6, 5, 4, 3, 2], 6), "of one moment by id");
    let pages: Vec<_> = (1..=4).map(|page| listed(&it, &mine, page, 2)).collect();
    assert_eq!(pages, [(vec![1, 6], 6), (vec![5, 4], 6), (vec![3, 2], 6), (vec![], 6)]);
    assert_eq!(listed(&it, &mine, u32::MAX, 100), (vec![], 6));
    assert_eq!(listed(&it, &of_status(Status::Active), 1, 100), (vec![1], 1), "who is silent for long has ended");
    assert_eq!(listed(&it, &of_status(Status::Ended), 1, 2), (vec![6, 5], 5));
    let long_ago = SessionFilter { expired_before: at(0), ..of_status(Status::Ended) };
    assert_eq!(listed(&it, &long_ago, 1, 100), (vec![5], 1));
    let with = |agent: &str| SessionFilter { agent: Some(agent.into()), ..mine.clone() };
    assert_eq!(listed(&it, &with("tutor"), 1, 100), (vec![1, 4], 2));
    assert_eq!(listed(&it, &SessionFilter { status: Some(Status::Active), ..with("tutor") }, 1, 100), (vec![1], 1));
    assert_eq!(listed(&it, &with("Tutor"), 1, 100), (vec![], 0));
    assert_eq!(listed(&it, &SessionFilter { owner: id(8), ..mine.clone() }, 1, 100), (vec![9], 1));
    assert_eq!(listed(&it, &SessionFilter { owner: id(6), ..mine }, 1, 100), (vec![], 0));
}

fn a_sweep_ends_what_was_not_finished<S: Subject>() {
    let it = S::fresh(64);
    assert_eq!(it.store().sweep_chat(Sweep { at: at(500) }), Ok(0));
    let stages = [Stage::Done, Stage::Pending, Stage::Running, Stage::Rejected];
    let calls: Vec<Called> = (1..).zip(stages).map(|(number, stage)| called(number, stage)).collect();
    let streaming = Message { completeness: Completeness::Streaming, calls, ..message(1, 2) };
    let broken = Message { completeness: Completeness::Incomplete, ..message(2, 2) };
    let before = Session { message_count: 1, ..session(1) };
    done(
        &it,
        [
            change(before.clone(), [message(1, 1), streaming.clone()], [approval(1, 2), approved(1, 1, 30)]),
            change(session(2), [message(2, 1), broken.clone()], []),
        ],
    );
    assert_eq!(it.store().sweep_chat(Sweep { at: at(500) }), Ok(1));
    let mut swept = Message { completeness: Completeness::Incomplete, ..streaming };
    for called in &mut swept.calls[1..3] {
        called.stage = Stage::Dropped;
    }
    let expired = Approval { decision: Decision::Expired, decided_at: Some(at(500)), ..approval(1, 2) };
    let expected = Loaded {
        session: Session { message_count: 2, ..before },
        messages: vec![message(1, 1), swept],
        approvals: vec![approved(1, 1, 30), expired],
    };
    assert_eq!(loaded(&it, load(1)), expected);
    assert_eq!(loaded(&it, load(2)).messages, [message(2, 1), broken]);
    assert_eq!(it.store().sweep_chat(Sweep { at: at(900) }), Ok(0));
    assert_eq!(loaded(&it, load(1)), expected, "once");
}

fn a_user_is_found_by_email<S: Subject>() {
    let it = S::fresh(64);
    let new = |number: u128, username: &str, email: &str, made: i64| {
        let Record::NewUser { user, password_hash } = labs::new_user(number, username) else { panic!("a user") };
        Record::NewUser { user: User { email: email.into(), created_at: at(made), ..user }, password_hash }
    };
    let users = [
        new(1, "late", "Ada@School.local", 30),
        new(2, "early", "ada@school.local", 10),
        new(3, "twin", "ADA@school.local", 10),
        new(4, "none", "", 5),
        new(5, "greek", "\u{3B1}@school.local", 5),
    ];
    users.into_iter().for_each(|record| it.store().keep_labs(ticket(0), record).expect("room"));
    assert_eq!(it.answers(5).len(), 5);
    let found = |email| it.store().login_by_email(email).expect("readable").map(|login| login.user.username);
    for email in ["ada@school.local", "Ada@School.Local", "ADA@SCHOOL.LOCAL"] {
        assert_eq!(found(email).as_deref(), Some("early"), "the oldest, of two of one moment by id");
    }
    assert_eq!(found("\u{3B1}@SCHOOL.local").as_deref(), Some("greek"));
    assert_eq!(found("\u{391}@school.local"), None);
    assert_eq!(found(""), None, "who has none is nobody's namesake");
    assert_eq!(found("ada@school.loca_"), None);
    let expected = it.store().login("early");
    assert_eq!(it.store().login_by_email("ada@school.local"), expected);
}

fn what_was_asked_first_is_kept_first<S: Subject>() {
    let it = S::fresh(1_000);
    for title in 0..500_u32 {
        let titled = Session { title: title.to_string().into(), ..session(1) };
        it.store().keep_chat(ticket(title.into()), Box::new(change(titled, [], []))).expect("room");
    }
    let tickets: Vec<_> = it.answers(500).iter().map(Answer::ticket).collect();
    assert_eq!(tickets, (0..500).map(ticket).collect::<Vec<_>>());
    assert_eq!(&*it.store().chat_session(id(1)).expect("readable").expect("there").title, "499");
}

fn after_a_stop_nothing_is_kept<S: Subject>() {
    let it = S::fresh(64);
    assert_eq!(it.store().stop(PATIENCE), Ok(()));
    assert_eq!(it.store().keep_chat(ticket(0), Box::default()), Err(StoreFault::Busy));
    assert!(it.store().sweep_chat(Sweep { at: at(1) }).is_err());
}

suite!(
    what_is_kept_is_read,
    a_change_is_whole_or_nothing,
    a_home_begins_with_the_newest,
    the_history_is_walked_by_cursors,
    a_part_of_the_history_is_bounded_in_bytes_too,
    sessions_are_listed_newest_first,
    a_sweep_ends_what_was_not_finished,
    a_user_is_found_by_email,
    what_was_asked_first_is_kept_first,
    after_a_stop_nothing_is_kept,
);

#[test]
fn a_fault_in_memory_keeps_nothing() {
    for (mood, fault) in [(Mood::Busy, StoreFault::Busy), (Mood::Failing, StoreFault::Failed)] {
        let it = InMemory::fresh(8);
        it.store.be(mood);
        assert_eq!(keep(&it, [change(session(1), [], [])]), [Err(fault)]);
        assert_eq!(it.store().chat_session(id(1)), Err(fault));
        it.store.be(Mood::Prompt);
        assert_eq!(it.store().chat_session(id(1)), Ok(None));
    }
}

#[test]
fn sqlite_tells_the_same_of_chat_as_memory() {
    tells_the_same_as_memory::<OnDisk>(600);
}

#[test]
fn postgres_tells_the_same_of_chat_as_memory() {
    where_postgres_is(|| tells_the_same_as_memory::<InPostgres>(200));
}

/// Changes in any order, good and bad: both stores must answer and tell the same.
fn tells_the_same_as_memory<S: Subject>(steps: i64) {
    let (disk, memory) = (S::fresh(64), InMemory::fresh(64));
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut outcomes = BTreeSet::new();
    for step in 0..steps {
        let number = u128::from(draw(12));
        let some = Session { owner: id(draw(2).into()), updated_at: at(step), created_at: at(draw(4) as i64), ..session(number) };
        let messages: Vec<Message> = (0..draw(4))
            .map(|_| Message {
                id: id(u128::from(draw(200))),
                completeness: [Completeness::Streaming, Completeness::Whole][draw(2) as usize],
                attachments: (0..draw(3)).map(|place| attached(&place.to_string(), &[1; 9])).collect(),
                ..message(if draw(20) == 0 { 99 } else { number }, 1 + draw(40) as u32)
            })
            .collect();
        let decided = |draw: u64| if draw == 0 { approval(number, 1) } else { approved(number, draw.into(), step) };
        let approvals: Vec<Approval> = (0..draw(2)).map(|_| decided(draw(9))).collect();
        let change = change((draw(3) > 0).then_some(some), messages, approvals);
        let on_disk = keep(&disk, [change.clone()]);
        assert_eq!(on_disk, keep(&memory, [change.clone()]), "step {step}: {change:?}");
        outcomes.insert(on_disk[0].is_ok());
        if step % 50 == 49 {
            let sweep = Sweep { at: at(step) };
            assert_eq!(disk.store().sweep_chat(sweep), memory.store().sweep_chat(sweep), "step {step}");
        }
        if step % 10 == 9 {
            assert_eq!(told(disk.store(), number, step), told(memory.store(), number, step), "step {step}");
        }
    }
    assert_eq!(outcomes.len(), 2, "some were good and some were bad");
}

type Told = (Option<Box<Loaded>>, Listed<Session>, Vec<Option<Part>>);

fn told(store: &dyn Store, number: u128, step: i64) -> Told {
    let load = Load { messages: 9, bytes: 90, decided_since: at(step - 100), ..load(number) };
    let filter = SessionFilter { owner: id(1), status: Some(Status::Active), agent: None, expired_before: at(step - 50) };
    let history = |from| History { session: id(number), from, limit: 3 };
    let cursors = (0..200).flat_map(|cursor| [From::Before(id(cursor)), From::After(id(cursor))]);
    let parts = cursors.chain([From::Newest]).map(|from| store.history(history(from)).expect("readable"));
    let listed = store.chat_sessions(&filter, Page { page: 1, size: 4 }).expect("readable");
    (store.load_session(load).expect("readable"), listed, parts.collect())
}
