//! Scripts of one socket.

use super::{super::tests, *};
use crate::{
    protocols::tasks::{
        asks::Refused,
        model::{Status as Stand, Task},
        status::Counts,
    },
    realtime::{ShardId, StoreFault, UnixMicros},
};
use serde_json::{Value, json};

const CONN: ConnId = ConnId { shard: ShardId(0), generation: 0, slot: 1 };
const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    machine: Connection,
    settings: Settings,
    status: Status,
    now: Now,
    ids: u128,
}

impl Bench {
    fn counting(user: &str, settings: Settings) -> Bench {
        let now = Now { moment: Moment(1_000_000), wall: UnixMicros(1_740_830_400_500_000) };
        let (caller, mut out) = (tests::caller(user), Vec::new());
        let machine = Connection::new(caller.clone(), Uuid::from_u128(0x123), CONN, now, &mut out);
        assert_eq!(out, [Effect::User(ToUser::Come { conn: CONN, user: caller.user })]);
        Bench { machine, settings, status: Status::default(), now, ids: 0 }
    }

    fn with(settings: Settings) -> Bench {
        let mut bench = Bench::counting("alice", settings);
        let welcome = bench.happens(Event::Home(FromHome::Counted { refused: false }));
        assert_eq!(types(&welcome), ["connection_established"]);
        bench
    }

    fn new() -> Bench {
        Bench::with(Settings::default())
    }

    fn happens(&mut self, event: Event<'_>) -> Vec<Effect> {
        let (mut out, catalog) = (Vec::new(), tests::catalog());
        let mut ids = || {
            self.ids += 1;
            Uuid::from_u128(self.ids)
        };
        let mut gate = Gate { settings: &self.settings, catalog: &catalog, status: &self.status, ids: &mut ids };
        self.machine.handle(event, CONN, self.now, &mut gate, &mut out);
        out
    }

    fn says(&mut self, r#type: &str, data: Value) -> Vec<Effect> {
        self.happens(Event::Text(&json!({"type": r#type, "data": data}).to_string()))
    }

    fn subscribe(&mut self, n: u128) -> Vec<Effect> {
        self.says("subscribe", json!({"channel": "task", "task_id": Uuid::from_u128(n)}))
    }

    fn execute(&mut self, data: Value) -> Vec<Effect> {
        self.says("execute_agent", data)
    }

    fn home(&mut self, letter: FromHome) -> Vec<Effect> {
        self.happens(Event::Home(letter))
    }

    fn seen(&mut self, n: u128, state: Result<Task, Refused>) -> Vec<Effect> {
        self.home(FromHome::Seen { task: Uuid::from_u128(n), state: state.map(Box::new) })
    }

    fn news(&mut self, about: About, is_last: bool) -> Vec<Effect> {
        self.happens(Event::News(&News { about, is_last, frame: Frame::from_wire(b"news") }))
    }

    /// The time that the last [`Effect::Timer`] set has come.
    fn pass(&mut self, time: Duration) -> Vec<Effect> {
        self.now.moment = self.now.moment + time;
        self.happens(Event::TimerFired)
    }
}

fn task(n: u128) -> Task {
    Task { status: Stand::InProgress, progress: 0.5, ..tests::task(n) }
}

fn about(n: u128) -> About {
    About::Task(Uuid::from_u128(n))
}

fn sent(effects: &[Effect]) -> Vec<Value> {
    let frames = effects.iter().filter_map(|effect| match effect {
        Effect::Send(frame) | Effect::End(_, frame) => Some(&frame[..]),
        Effect::Status(frame) => Some(&frame[..]),
        _ => None,
    });
    frames.flat_map(tests::texts).collect()
}

fn types(effects: &[Effect]) -> Vec<String> {
    sent(effects).iter().map(|text| text["type"].as_str().unwrap().to_owned()).collect()
}

fn codes(effects: &[Effect]) -> Vec<String> {
    sent(effects).iter().map(|text| text["data"]["code"].as_str().unwrap_or("").to_owned()).collect()
}

/// What is done, but for the timer.
fn done(mut effects: Vec<Effect>) -> Vec<Effect> {
    effects.retain(|effect| !matches!(effect, Effect::Timer(_)));
    effects
}

fn ended(effects: &[Effect]) -> Option<Farewell> {
    match effects.last() {
        Some(Effect::End(farewell, _)) => Some(*farewell),
        _ => None,
    }
}

fn timer(effects: &[Effect]) -> Option<Duration> {
    effects.iter().find_map(|effect| match effect {
        Effect::Timer(after) => *after,
        _ => None,
    })
}

fn is_heard(effects: &[Effect]) -> bool {
    effects.contains(&Effect::Share(Frame::from_wire(b"news")))
}

fn is_state(effects: &[Effect]) -> bool {
    effects.contains(&Effect::Status(Frame::from_wire(b"news")))
}

#[test]
fn the_welcome_is_first() {
    let mut bench = Bench::counting("alice", Settings::default());
    assert_eq!(bench.says("subscribe", json!({"channel": "tasks"})), []);
    assert_eq!(bench.happens(Event::Binary), []);
    assert_eq!(bench.happens(Event::TimerFired), []);
    let welcome = bench.home(FromHome::Counted { refused: false });
    assert_eq!(types(&welcome), ["connection_established", "error"]);
    let data = &sent(&welcome)[0]["data"];
    assert_eq!(data["client_id"], "client-00000000000000000000000000000123");
    assert_eq!(data["server_time"], "2025-03-01T12:00:00Z");
    assert_eq!(timer(&welcome), Some(30 * SECOND));
    assert!(welcome.contains(&Effect::Listen(Channel::Of("alice".into()))));
}

#[test]
fn one_too_many_is_told_and_closed() {
    let mut bench = Bench::counting("alice", Settings::default());
    let refused = bench.home(FromHome::Counted { refused: true });
    assert_eq!(types(&refused), ["error", "connection_closed"]);
    assert_eq!(sent(&refused)[0]["data"], json!({"code": "rate_limit_exceeded", "message": "Maximum 10 connections per user"}));
    assert_eq!(sent(&refused)[1]["data"]["reason"], "rate_limit_exceeded");
    assert_eq!((ended(&refused), Farewell::TooMuch.code()), (Some(Farewell::TooMuch), 1008));
    assert_eq!(bench.happens(Event::Gone), [], "the home does not know it");
    let go = Effect::User(ToUser::Go { conn: CONN, user: "alice".into() });
    assert_eq!(Bench::counting("alice", Settings::default()).happens(Event::Gone), [go]);
}

#[test]
fn whoever_goes_is_counted_no_longer() {
    let go = || vec![Effect::User(ToUser::Go { conn: CONN, user: "alice".into() })];
    let mut bench = Bench::new();
    assert_eq!(bench.happens(Event::Gone), go());
    assert_eq!(bench.happens(Event::Gone), []);
    let mut bench = Bench::new();
    let closed = bench.happens(Event::Close(Farewell::Stopping));
    assert_eq!((types(&closed), ended(&closed)), (vec!["connection_closed".into()], Some(Farewell::Stopping)));
    assert_eq!(bench.says("ping", json!({})), []);
    assert_eq!(bench.happens(Event::Gone), go());
}

#[test]
fn a_task_is_told_as_it_stands_and_then_its_news() {
    let mut bench = Bench::new();
    let asked = bench.subscribe(7);
    let see = ToTask::See { conn: CONN, task: Uuid::from_u128(7), caller: tests::caller("alice") };
    assert_eq!(timer(&asked), Some(5 * SECOND), "that long it waits");
    assert_eq!(done(asked), [Effect::Listen(Channel::Of("alice".into())), Effect::Task(see)]);
    assert_eq!(bench.news(about(7), false), [], "it is in the answer");
    let state = bench.seen(7, Ok(task(7)));
    assert_eq!(sent(&state)[0]["data"]["progress"], 0.5);
    assert!(is_heard(&bench.news(about(7), false)));
    assert_eq!(bench.news(about(8), false), []);
    assert_eq!(bench.news(About::Execution(Uuid::from_u128(7)), false), []);
    let all = bench.says("subscribe", json!({"channel": "tasks"}));
    assert_eq!(all, [], "silence is success");
    assert_eq!(bench.news(about(7), false).len(), 1, "each once");
    assert!(is_heard(&bench.news(about(8), true)));
    bench.says("unsubscribe", json!({"channel": "tasks"}));
    assert!(is_heard(&bench.news(about(7), true)));
    assert!(!is_heard(&bench.news(about(8), false)));
    let unsubscribed = bench.says("unsubscribe", json!({"channel": "task", "task_id": Uuid::from_u128(7)}));
    assert_eq!(unsubscribed, [Effect::Unlisten(Channel::Of("alice".into()))]);
    assert_eq!(bench.news(about(7), false), []);
    assert_eq!(bench.says("unsubscribe", json!({"channel": "task", "task_id": "what"})), []);
}

#[test]
fn an_admin_hears_all() {
    let mut bench = Bench::counting("admin", Settings::default());
    bench.home(FromHome::Counted { refused: false });
    assert_eq!(bench.says("subscribe", json!({"channel": "tasks"})), [Effect::Listen(Channel::All)]);
}

#[test]
fn an_unknown_task_is_an_error_that_repeats_the_request() {
    let mut bench = Bench::new();
    let text = r#"{ "type":"subscribe", "data":{"channel":"task",  "task_id":"non-existent-task","x":1.50} }"#;
    let told = bench.happens(Event::Text(text));
    let expected = r#"{"type":"error","data":{"code":"invalid_subscription","message":"Cannot subscribe to non-existent task","request_type":"subscribe","request_data":{"channel":"task",  "task_id":"non-existent-task","x":1.50}}}"#;
    let [Effect::Send(frame)] = &told[..] else { panic!("{told:?}") };
    assert!(frame.ends_with(expected.as_bytes()), "as it was said: {}", String::from_utf8_lossy(frame));
    bench.subscribe(7);
    let gone = bench.seen(7, Err(Refused::NotFound));
    assert_eq!(sent(&gone)[0]["data"]["request_data"]["task_id"], Uuid::from_u128(7).to_string());
    assert!(gone.iter().any(|effect| *effect == Effect::Unlisten(Channel::Of("alice".into()))));
    bench.subscribe(7);
    let unread = bench.seen(7, Err(Refused::Store(StoreFault::Busy)));
    assert_eq!(codes(&unread), ["service_unavailable"]);
    bench.says("subscribe", json!({"channel": "workflow_execution", "execution_id": Uuid::from_u128(9)}));
    let execution = Uuid::from_u128(9);
    let told = bench.home(FromHome::ExecutionSeen { execution, state: Err(Refused::NotFound) });
    assert_eq!(sent(&told)[0]["data"]["message"], "Cannot subscribe to non-existent workflow execution");
    assert_eq!(codes(&bench.says("subscribe", json!({"channel": "news"}))), ["invalid_subscription"]);
}

#[test]
fn an_answer_that_is_not_wanted_any_more_is_not_told() {
    let mut bench = Bench::new();
    bench.subscribe(7);
    bench.says("unsubscribe", json!({"channel": "task", "task_id": Uuid::from_u128(7)}));
    bench.subscribe(7);
    assert_eq!(sent(&bench.seen(7, Ok(task(7)))), Vec::<Value>::new());
    assert_eq!(sent(&bench.seen(7, Ok(task(7)))).len(), 1);
}

#[test]
fn an_agent_is_told_what_to_do_and_the_requester_hears_of_it() {
    let mut bench = Bench::new();
    let data = json!({"agent_id": "code-agent", "task": "Generate a React component", "model_id": "gpt-4o-mini",
        "parameters": {"temperature": 0.7}});
    let made = done(bench.execute(data));
    let [Effect::Listen(_), Effect::Task(ToTask::Create { task, .. })] = &made[..] else { panic!("{made:?}") };
    assert_eq!((task.id, &*task.owner, task.status), (Uuid::from_u128(1), "alice", Stand::Pending));
    assert_eq!((task.agent.as_deref(), task.model.as_deref()), (Some("code-agent"), Some("gpt-4o-mini")));
    assert_eq!((&*task.parameters, &*task.title), (r#"{"temperature":0.7}"#, "Generate a React component"));
    assert_eq!(bench.home(FromHome::Taken { task: Uuid::from_u128(1) }), []);
    assert!(is_heard(&bench.news(about(1), false)));
    let last = bench.news(about(1), true);
    assert_eq!(last[1], Effect::Unlisten(Channel::Of("alice".into())), "it is forgotten");
    bench.execute(json!({"agent_id": "code-agent", "task": "again"}));
    let refused = bench.home(FromHome::NotTaken { task: Uuid::from_u128(2), why: Refused::Crowded });
    assert_eq!(codes(&refused), ["service_unavailable"]);
    assert_eq!(sent(&refused)[0]["data"]["request_data"]["task"], "again");
}

#[test]
fn what_no_agent_can_do_is_refused() {
    let mut bench = Bench::new();
    let long = "x".repeat((64 << 10) + 1);
    for (data, why) in [
        (json!({"agent_id": "x", "task": "t"}), "Unknown agent"),
        (json!({"agent_id": "code-agent", "task": "t", "model_id": "x"}), "Unknown model"),
        (json!({"agent_id": "code-agent", "task": " "}), "The task is empty"),
        (json!({"agent_id": "code-agent", "task": long}), "The task is too long"),
        (
            json!({"agent_id": "code-agent", "task": "t", "parameters": {"temperature": 3}}),
            "The temperature must be between 0 and 2",
        ),
        (json!({"agent_id": "code-agent"}), "Invalid request format"),
    ] {
        let told = bench.execute(data.clone());
        let error = &sent(&told)[0]["data"];
        assert_eq!((&error["code"], &error["message"]), (&json!("invalid_request"), &json!(why)));
        assert_eq!((&error["request_type"], &error["request_data"]), (&json!("execute_agent"), &data));
    }
}

#[test]
fn a_cancelled_task_is_told_once() {
    let mut bench = Bench::new();
    let cancelled = FromHome::Cancelled(Box::new(Task { status: Stand::Failed, error: Some("e".into()), ..task(7) }));
    let cancel = json!({"task_id": Uuid::from_u128(7)});
    assert!(matches!(done(bench.says("cancel_task", cancel.clone()))[..], [Effect::Task(ToTask::Cancel { .. })]));
    assert_eq!(types(&bench.home(cancelled.clone())), ["task_error"], "it does not listen");
    bench.says("subscribe", json!({"channel": "tasks"}));
    bench.says("cancel_task", cancel.clone());
    assert_eq!(bench.home(cancelled), [], "the news are behind it");
    bench.says("cancel_task", cancel.clone());
    let over = bench.home(FromHome::NotCancelled { task: Uuid::from_u128(7), why: Refused::Over });
    assert_eq!((codes(&over), &sent(&over)[0]["data"]["request_data"]), (vec!["invalid_request".into()], &cancel));
    assert_eq!(codes(&bench.says("cancel_task", json!({"task_id": "task-123"}))), ["invalid_request"]);
}

#[test]
fn the_hundred_and_first_message_of_a_minute_is_too_many() {
    let mut bench = Bench::new();
    for n in 0..100 {
        assert_eq!(types(&bench.says("ping", json!({"timestamp": n})))[..], ["pong"]);
        assert_eq!(bench.says("pong", json!({})), [], "they are not counted");
    }
    let closed = bench.says("ping", json!({}));
    assert_eq!((types(&closed), ended(&closed)), (vec!["error".into(), "connection_closed".into()], Some(Farewell::TooMuch)));
    assert_eq!(sent(&closed)[0]["data"]["message"], "Maximum 100 messages per minute per connection");
    let mut bench = Bench::new();
    for _ in 0..100 {
        bench.happens(Event::Binary);
    }
    bench.now.moment = bench.now.moment + 60 * SECOND;
    assert_eq!(types(&bench.says("ping", json!({}))), ["pong"], "another minute");
    let mut bench = Bench::counting("alice", Settings::default());
    let early: Vec<_> = (0..101).flat_map(|_| bench.says("ping", json!({}))).collect();
    assert_eq!(early, []);
    let welcome = bench.home(FromHome::Counted { refused: false });
    let told = types(&welcome);
    assert_eq!((told.len(), ended(&welcome)), (103, Some(Farewell::TooMuch)));
    assert_eq!((&*told[0], &*told[100], &*told[101]), ("connection_established", "pong", "error"));
}

#[test]
fn the_fifty_first_subscription_is_too_many() {
    let mut bench = Bench::new();
    for n in 0..48 {
        bench.subscribe(n);
        bench.seen(n, Ok(task(n)));
    }
    for channel in ["tasks", "system_status", "tasks", "system_status"] {
        assert_eq!(ended(&bench.says("subscribe", json!({"channel": channel}))), None);
    }
    assert_eq!(ended(&bench.subscribe(5)), None, "it has that");
    bench.execute(json!({"agent_id": "code-agent", "task": "t"}));
    let closed = bench.subscribe(48);
    assert_eq!((types(&closed), ended(&closed)), (vec!["error".into(), "connection_closed".into()], Some(Farewell::TooMuch)));
    let error = &sent(&closed)[0]["data"];
    assert_eq!(error["message"], "Maximum 50 subscriptions per connection");
    assert_eq!(error["request_type"], "subscribe");
}

#[test]
fn what_is_owed_has_an_end() {
    let mut bench = Bench::new();
    let padding = "x".repeat(200 << 10);
    let ask = |bench: &mut Bench| bench.says("cancel_task", json!({"task_id": Uuid::from_u128(7), "padding": padding}));
    assert_eq!(sent(&ask(&mut bench)), Vec::<Value>::new());
    assert_eq!(sent(&ask(&mut bench)), Vec::<Value>::new());
    assert_eq!(codes(&ask(&mut bench)), ["service_unavailable"]);
}

#[test]
fn what_is_not_answered_in_time_is_told_once() {
    let mut bench = Bench::new();
    bench.execute(json!({"agent_id": "code-agent", "task": "t"}));
    bench.now.moment = bench.now.moment + SECOND;
    assert_eq!(timer(&bench.subscribe(7)), None, "the first is the first to be told");
    bench.says("cancel_task", json!({"task_id": Uuid::from_u128(8)}));
    let late = bench.pass(4 * SECOND);
    let expected = json!({"code": "service_unavailable", "message": "The task was not stored or read in time",
        "request_type": "execute_agent", "request_data": {"agent_id": "code-agent", "task": "t"}});
    assert_eq!((sent(&late), timer(&late)), (vec![json!({"type": "error", "data": expected})], Some(SECOND)));
    let late = bench.pass(SECOND);
    assert_eq!((codes(&late), timer(&late)), (vec!["service_unavailable".into(); 2], Some(24 * SECOND)));
    assert_eq!(bench.home(FromHome::Taken { task: Uuid::from_u128(1) }), []);
    assert!(is_heard(&bench.news(about(1), false)), "it was made all the same");
    assert_eq!(bench.seen(7, Ok(task(7))), []);
    assert!(!is_heard(&bench.news(about(7), false)));
    let over = FromHome::Cancelled(Box::new(Task { status: Stand::Failed, ..task(8) }));
    assert_eq!(bench.home(over), [], "it had an answer");
    bench.execute(json!({"agent_id": "code-agent", "task": "t"}));
    bench.pass(5 * SECOND);
    let why = Refused::Store(StoreFault::Busy);
    assert_eq!(sent(&bench.home(FromHome::NotTaken { task: Uuid::from_u128(2), why })), Vec::<Value>::new());
}

#[test]
fn one_who_asks_again_in_time_is_told() {
    let mut bench = Bench::new();
    bench.subscribe(7);
    bench.now.moment = bench.now.moment + 4 * SECOND;
    bench.subscribe(7);
    assert_eq!(codes(&bench.pass(SECOND)), ["service_unavailable"]);
    assert_eq!(bench.seen(7, Err(Refused::Store(StoreFault::Busy))), [], "that was too late");
    assert_eq!(types(&bench.seen(7, Ok(task(7)))), ["task_update"]);
    assert!(is_heard(&bench.news(about(7), false)));
}

#[test]
fn pings_come_in_time_and_whoever_answers_stays() {
    let mut bench = Bench::new();
    for _ in 0..200 {
        let pinged = bench.pass(30 * SECOND);
        assert_eq!((types(&pinged), timer(&pinged)), (vec!["ping".into()], Some(30 * SECOND)));
        assert_eq!(bench.says("pong", json!({"timestamp": "what"})), []);
    }
}

#[test]
fn whoever_is_silent_is_told_and_closed() {
    let mut bench = Bench::with(Settings { inactivity_timeout: 5 * SECOND, ..Settings::default() });
    let closed = bench.pass(5 * SECOND);
    let expected = json!({"reason": "session_timeout", "message": "Session timed out after 5 seconds of inactivity"});
    assert_eq!((&sent(&closed)[0]["data"], ended(&closed)), (&expected, Some(Farewell::Silent)));
    assert_eq!(Farewell::Silent.code(), 1000);
    let message = Farewell::Silent.message(&Settings::default());
    assert_eq!(message, "Session timed out after 30 minutes of inactivity");
    let mut bench = Bench::with(Settings { inactivity_timeout: 50 * SECOND, pong_is_activity: false, ..Settings::default() });
    assert_eq!(timer(&bench.pass(30 * SECOND)), Some(20 * SECOND));
    bench.says("pong", json!({}));
    bench.happens(Event::Control);
    assert_eq!(ended(&bench.pass(20 * SECOND)), Some(Farewell::Silent));
}

#[test]
fn pings_that_nobody_answers_may_end_it() {
    let mut bench = Bench::with(Settings { pings_missed: 2, ..Settings::default() });
    bench.pass(30 * SECOND);
    bench.happens(Event::Control);
    for _ in 0..2 {
        assert_eq!(types(&bench.pass(30 * SECOND)), ["ping"]);
    }
    let closed = bench.pass(30 * SECOND);
    assert_eq!((sent(&closed)[0]["data"]["reason"].as_str(), ended(&closed)), (Some("ping_timeout"), Some(Farewell::NoPong)));
}

#[test]
fn the_status_is_told_at_once_on_change_and_now_and_then() {
    let mut bench = Bench::new();
    bench.status.counts = Counts { active: 5, pending: 2 };
    bench.now.moment = bench.now.moment + 10 * SECOND;
    let told = bench.says("subscribe", json!({"channel": "system_status"}));
    assert_eq!(told[0], Effect::Listen(Channel::Status));
    assert_eq!(sent(&told)[0]["data"]["active_tasks"], 5);
    assert_eq!(timer(&told), Some(20 * SECOND), "the ping");
    assert_eq!(types(&bench.pass(20 * SECOND)), ["ping"]);
    assert!(is_state(&bench.news(About::Status, false)));
    assert_eq!(types(&bench.pass(10 * SECOND)), Vec::<String>::new(), "it was told just now");
    assert_eq!(types(&bench.pass(20 * SECOND)), ["ping", "system_status_update"]);
    let stopped = bench.says("unsubscribe", json!({"channel": "system_status"}));
    assert_eq!(stopped, [Effect::Unlisten(Channel::Status)]);
    assert_eq!(types(&bench.pass(30 * SECOND)), ["ping"]);
    assert!(!is_state(&bench.news(About::Status, false)));
}

#[test]
fn rubbish_is_told_and_it_stays() {
    let mut bench = Bench::new();
    let large = "x".repeat(1 << 20);
    for text in ["[]", "\"x\"", r#"{"type":5}"#, "", "{", r#"{"data":{}}"#, &large] {
        let told = bench.happens(Event::Text(text));
        assert_eq!(
            sent(&told)[0],
            json!({"type": "error", "data": {"code": "invalid_request", "message": "Invalid request format"}})
        );
    }
    assert_eq!(codes(&bench.happens(Event::Binary)), ["invalid_request"]);
    let told = bench.says("dance", json!({"a": 1}));
    assert_eq!(sent(&told)[0]["data"]["request_type"], "dance");
    assert_eq!(codes(&bench.happens(Event::Text(r#"{"type":"subscribe"}"#))), ["invalid_request"]);
    let pong = bench.says("ping", json!({"timestamp": "2025-03-01T12:01:00Z"}));
    assert_eq!(sent(&pong)[0], json!({"type": "pong", "data": {"timestamp": "2025-03-01T12:01:00Z"}}));
    for (farewell, code) in
        [(Farewell::TooBig, 1009), (Farewell::Protocol, 1002), (Farewell::NotUtf8, 1007), (Farewell::Slow, 1013)]
    {
        let mut bench = Bench::new();
        let closed = bench.happens(Event::Close(farewell));
        assert_eq!((types(&closed), ended(&closed), farewell.code()), (vec!["connection_closed".into()], Some(farewell), code));
    }
}
