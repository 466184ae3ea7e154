//! The scenarios by which the API is accepted, over several shards. Tokens (the first) and frames that are too large (of the last) are the
//! engine's.

use super::{school::School, *};
use crate::protocols::tasks::connection::{Event, Farewell};
use serde_json::json;

fn welcomed(school: &mut School, user: &str) -> ConnId {
    let conn = school.connect(user);
    school.calm();
    assert_eq!(types(&school.heard(conn)), ["connection_established"]);
    conn
}

fn types(texts: &[Value]) -> Vec<&str> {
    texts.iter().map(|text| text["type"].as_str().unwrap()).collect()
}

/// Type or status, and progress.
fn series(texts: &[Value]) -> Vec<(String, f64)> {
    let word = |text: &Value| text["data"]["status"].as_str().unwrap_or("").to_owned();
    texts.iter().map(|text| (word(text), text["data"]["progress"].as_f64().unwrap_or(-1.0))).collect()
}

fn ask(school: &mut School, conn: ConnId, r#type: &str, data: Value) {
    school.says(conn, r#type, data);
    school.calm();
}

fn execute(school: &mut School, conn: ConnId) -> (Value, Piece) {
    ask(school, conn, "execute_agent", json!({"agent_id": "code-agent", "task": "Generate", "model_id": "gpt-4o"}));
    let piece = *school.models.keys().next().expect("a model is asked");
    let Piece::Task(id) = piece else { panic!("{piece:?}") };
    (json!({"channel": "task", "task_id": id}), piece)
}

fn end(school: &mut School, piece: Piece) {
    let usage = Usage { prompt_tokens: 5_000, completion_tokens: 5_000 };
    school.word(piece, Word::Ended { stop: Stop::Done, usage });
    school.calm();
}

fn run(school: &mut School, piece: Piece) {
    for _ in 0..3 {
        school.pass(SECOND);
        school.word(piece, Word::Delta("x".repeat(100).into()));
        school.calm();
    }
    end(school, piece);
}

#[test]
fn one_the_welcome_has_the_time() {
    let mut school = School::new(Settings::default());
    let conn = school.connect("alice");
    school.calm();
    assert_eq!(school.heard(conn)[0]["data"]["server_time"], "2025-03-01T12:00:00Z");
}

#[test]
fn two_an_unknown_task_is_an_error_and_the_connection_stays() {
    let mut school = School::new(Settings::default());
    let conn = welcomed(&mut school, "alice");
    for task in ["non-existent-task", "6c84fb90-12c4-11e1-840d-7b25c5ee775a"] {
        let data = json!({"channel": "task", "task_id": task});
        ask(&mut school, conn, "subscribe", data.clone());
        let error = json!({"type": "error", "data": {"code": "invalid_subscription", "message": "Cannot subscribe to non-existent task",
            "request_type": "subscribe", "request_data": data}});
        assert_eq!(school.heard(conn), [error]);
    }
    execute(&mut school, conn);
    assert_eq!(types(&school.heard(conn)), ["task_update", "task_update"]);
}

#[test]
fn three_and_four_a_task_is_heard_by_its_owner_and_no_other() {
    let mut school = School::new(Settings::default());
    let [maker, second, other, admin] = ["alice", "alice", "bob", "admin"].map(|user| welcomed(&mut school, user));
    for conn in [second, other, admin] {
        ask(&mut school, conn, "subscribe", json!({"channel": "tasks"}));
    }
    let (task, piece) = execute(&mut school, maker);
    run(&mut school, piece);
    school.pass(SECOND);
    school.calm();
    let heard = school.heard(maker);
    let expected = [("pending", 0.0), ("in_progress", 0.05), ("in_progress", 0.33), ("in_progress", 0.47), ("in_progress", 0.56)];
    let expected = expected.iter().chain([&("completed", 1.0)]).map(|(status, share)| ((*status).to_owned(), *share));
    assert_eq!(series(&heard), expected.collect::<Vec<_>>());
    let last = &heard.last().unwrap();
    assert_eq!((&last["type"], &last["data"]["task_id"]), (&json!("task_completion"), &task["task_id"]));
    assert!(last["data"]["result"]["output"].is_string() && last["data"]["completed_at"].is_string());
    assert!((last["data"]["cost"].as_f64().unwrap() - 0.05).abs() < 1e-9);
    assert_eq!((school.heard(second), school.heard(admin), school.heard(other)), (heard.clone(), heard, vec![]));
    ask(&mut school, second, "subscribe", task);
    assert_eq!(types(&school.heard(second)), ["task_completion"], "how it stands");
}

#[test]
fn five_a_task_is_cancelled_midway() {
    let mut school = School::new(Settings::default());
    let [maker, second] = ["alice", "alice"].map(|user| welcomed(&mut school, user));
    ask(&mut school, second, "subscribe", json!({"channel": "tasks"}));
    let (task, _) = execute(&mut school, maker);
    let cancel = json!({"task_id": task["task_id"]});
    school.heard(maker);
    ask(&mut school, maker, "cancel_task", cancel.clone());
    let heard = school.heard(maker);
    assert_eq!((types(&heard), &heard[0]["data"]["error"]), (vec!["task_error"], &json!("Cancelled by user")));
    assert_eq!(school.heard(second).last(), heard.last());
    ask(&mut school, maker, "cancel_task", cancel.clone());
    let heard = school.heard(maker);
    assert_eq!((&heard[0]["data"]["code"], &heard[0]["data"]["request_data"]), (&json!("invalid_request"), &cancel));
}

#[test]
fn six_whoever_unsubscribes_hears_no_more() {
    let mut school = School::new(Settings::default());
    let [maker, second] = ["alice", "alice"].map(|user| welcomed(&mut school, user));
    for request in ["subscribe", "unsubscribe"] {
        ask(&mut school, second, request, json!({"channel": "tasks"}));
    }
    let (task, piece) = execute(&mut school, maker);
    ask(&mut school, second, "subscribe", task.clone());
    assert_eq!(types(&school.heard(second)), ["task_update"]);
    ask(&mut school, second, "unsubscribe", task);
    run(&mut school, piece);
    assert_eq!(school.heard(second), Vec::<Value>::new());
}

#[test]
fn seven_an_execution_is_heard_step_by_step() {
    let mut school = School::new(Settings::default());
    let [conn, other] = ["alice", "bob"].map(|user| welcomed(&mut school, user));
    let execution = Box::new(execution(77));
    school.post_execution(1, ToExecution::Ask { asker: ShardId(1), number: 1, ask: Box::new(Ask::Execute(execution)) });
    school.calm();
    assert!(matches!(&school.replies[..], [Reply::Execution(_)]));
    for conn in [conn, other] {
        ask(&mut school, conn, "subscribe", json!({"channel": "workflow_execution", "execution_id": id(77)}));
    }
    for place in 0..3 {
        end(&mut school, Piece::Step(id(77), place));
    }
    let heard = school.heard(conn);
    let steps: Vec<_> = heard.iter().map(|text| (&text["data"]["status"], &text["data"]["current_step_id"])).collect();
    let (works, done) = (json!("in_progress"), json!("completed"));
    let names = ["step1", "step2", "step3"].map(|name| json!(name));
    assert_eq!(steps, [(&works, &names[0]), (&works, &names[1]), (&works, &names[2]), (&done, &names[2])]);
    let told = school.heard(other);
    assert_eq!(told[0]["data"]["message"], "Cannot subscribe to non-existent workflow execution");
}

#[test]
fn eight_one_of_eleven_connections_is_refused() {
    let mut school = School::new(Settings::default());
    let conns: Vec<ConnId> = (0..11).map(|_| school.connect("alice")).collect();
    school.calm();
    let refused: Vec<ConnId> = conns.iter().copied().filter(|conn| school.clients[conn].ended.is_some()).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(types(&school.heard(refused[0])), ["error", "connection_closed"]);
    school.gone(refused[0]);
    welcomed(&mut school, "bob");
    let gone = conns.iter().find(|conn| **conn != refused[0]).unwrap();
    school.gone(*gone);
    school.calm();
    welcomed(&mut school, "alice");
    assert_eq!(school.homes.iter().map(|homes| homes.levels().sockets).sum::<usize>(), 11);
}

#[test]
fn nine_the_limits_of_one_connection() {
    let mut school = School::new(Settings::default());
    let conn = welcomed(&mut school, "alice");
    for _ in 0..101 {
        assert_eq!(school.clients[&conn].ended, None);
        ask(&mut school, conn, "ping", json!({}));
    }
    assert_eq!(school.clients[&conn].ended, Some(Farewell::TooMuch));
    let heard = school.heard(conn);
    assert_eq!((types(&heard[..100]), types(&heard[100..])), (vec!["pong"; 100], vec!["error", "connection_closed"]));
    let conn = welcomed(&mut school, "alice");
    let tasks: Vec<Task> = (1..=51).map(task).collect();
    school.tasks.extend(tasks.into_iter().map(|task| (task.id, Task { status: Status::Completed, ..task })));
    for n in 1..=51 {
        assert_eq!(school.clients[&conn].ended, None);
        ask(&mut school, conn, "subscribe", json!({"channel": "task", "task_id": id(n)}));
    }
    let heard = school.heard(conn);
    assert_eq!((types(&heard[..50]), types(&heard[50..])), (vec!["task_completion"; 50], vec!["error", "connection_closed"]));
}

#[test]
fn ten_pings_come_and_the_silent_go() {
    let mut school = School::new(Settings { ping_interval: 2 * SECOND, inactivity_timeout: 5 * SECOND, ..Settings::default() });
    let [live, silent] = ["alice", "alice"].map(|user| welcomed(&mut school, user));
    for _ in 0..20 {
        school.pass(SECOND);
        if !school.clients[&live].heard.is_empty() {
            school.says(live, "pong", json!({"timestamp": "2025-03-01T12:01:00Z"}));
        }
    }
    assert_eq!(school.clients[&live].ended, None);
    assert_eq!(types(&school.heard(live)), ["ping"; 10]);
    let heard = school.heard(silent);
    assert_eq!(
        (types(&heard), &heard[2]["data"]["reason"]),
        (vec!["ping", "ping", "connection_closed"], &json!("session_timeout"))
    );
    assert_eq!(school.clients[&silent].ended, Some(Farewell::Silent));
}

#[test]
fn eleven_rubbish_is_answered() {
    let mut school = School::new(Settings::default());
    let conn = welcomed(&mut school, "alice");
    let large = "x".repeat(1 << 20);
    for text in ["[]", "\"x\"", r#"{"type":5}"#, &large] {
        school.event(conn, Event::Text(text));
    }
    school.event(conn, Event::Binary);
    let heard = school.heard(conn);
    assert!(heard.len() == 5 && heard.iter().all(|text| text["data"]["code"] == "invalid_request"));
    school.event(conn, Event::Close(Farewell::TooBig));
    assert_eq!((types(&school.heard(conn)), Farewell::TooBig.code()), (vec!["connection_closed"], 1009));
}

#[test]
fn the_status_is_right_within_a_second() {
    let mut school = School::new(Settings { max_running: 2, ..Settings::default() });
    let [conn, maker] = ["alice", "bob"].map(|user| welcomed(&mut school, user));
    ask(&mut school, conn, "subscribe", json!({"channel": "system_status"}));
    assert_eq!(school.heard(conn)[0]["data"]["active_tasks"], 0);
    for _ in 0..20 {
        ask(&mut school, maker, "execute_agent", json!({"agent_id": "code-agent", "task": "t"}));
    }
    for _ in 0..10 {
        school.pass(Duration::from_millis(100));
        school.calm();
    }
    let heard = school.heard(conn);
    let last = &heard.last().unwrap()["data"];
    assert_eq!((&last["active_tasks"], &last["pending_tasks"]), (&json!(school.models.len()), &json!(20 - school.models.len())));
    assert!(heard.len() <= 5, "and little is said: {}", heard.len());
}
