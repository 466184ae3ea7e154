//! The scenarios by which tasks are accepted, from the upgrade to the last word, on one shard and on two.

use super::{chat::ticket, tasks::*, world::*};
use crate::{
    engine::Answer,
    models::{Fault, Stop, ToolCall, ToolOutcome, Usage, Word},
    protocols::tasks::{Ask, Health, Reply, asks::Refused, model::Status},
    realtime::ConnId,
};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);

fn on_one_and_two(script: impl Fn(&mut World, usize)) {
    for (shards, other) in [(1, 0), (2, 1)] {
        script(&mut World::new(shards), other);
    }
}

fn subject(task: Uuid) -> Value {
    json!({"channel": "task", "task_id": task})
}

fn all() -> Value {
    json!({"channel": "tasks"})
}

#[test]
fn one_a_good_token_is_welcomed_and_a_bad_one_is_refused_before_the_upgrade() {
    on_one_and_two(|world, other| {
        let in_query = world.tasks_socket(other, &format!("?token={}", guest("anna")), "");
        let signed_in = world.tasks_socket(other, &format!("?a=b&token={}", ticket("anna")), "");
        let in_header = world.tasks_socket(other, "", &format!("authorization: bearer {}\r\n", guest("anna")));
        for conn in [in_query, signed_in, in_header] {
            let heard = world.told(conn);
            assert_eq!(types(&heard), ["101", "connection_established"]);
            assert_eq!(heard[1]["data"]["server_time"], "2023-11-14T22:13:20Z");
            assert!(heard[1]["data"]["client_id"].as_str().unwrap().starts_with("client-"));
        }
        let expired = guest_token(&json!({"sub": "anna", "exp": 1_700_000_000}));
        let cases = [
            (String::new(), String::new(), NOT_GIVEN),
            ("?tokens=a".into(), String::new(), NOT_GIVEN),
            (String::new(), "Authorization: Basic YTpi\r\n".into(), NO_GOOD),
            ("?token=".into(), String::new(), NO_GOOD),
            ("?token=a.b.c".into(), format!("Authorization: Bearer {}\r\n", guest("anna")), NO_GOOD),
            (format!("?token={expired}"), String::new(), NO_GOOD),
            (String::new(), "Authorization: Bearer \r\n".into(), NO_GOOD),
            (String::new(), format!("Authorization: Bearer {expired}\r\n"), NO_GOOD),
        ];
        let refused: Vec<ConnId> = cases
            .into_iter()
            .map(|(query, header, why)| {
                let conn = world.tasks_socket(other, &query, &header);
                assert_eq!(world.take_heard(conn), [why, "FIN"], "{query} {header}");
                conn
            })
            .collect();
        assert_eq!(world.engines[other].counters().tasks_denials.read(), 8);
        let plain = world.engines[0].accepted(TASKS_LISTENER, world.now).unwrap();
        world.bytes(plain, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(world.take_heard(plain), ["HTTP 29"], "who asks for no upgrade is REST's");
        world.leave_tasks(&[&[in_query, signed_in, in_header][..], &refused].concat());
    });
}

#[test]
fn what_is_said_right_behind_the_head_is_answered_after_the_welcome() {
    on_one_and_two(|world, other| {
        let conn = world.engines[other].accepted(TASKS_LISTENER, world.now).unwrap();
        let head = format!("GET /ws?token={} HTTP/1.1\r\n{}\r\n", guest("anna"), super::labs::HEAD);
        let ping = masked(1, br#"{"type":"ping","data":{"timestamp":7}}"#);
        world.bytes(conn, &[head.as_bytes(), &ping, &masked(9, b"")].concat());
        let heard = world.told(conn);
        let expected = ["101", "connection_established", "pong"];
        assert_eq!(types(&heard).into_iter().filter(|kind| *kind != "PONG").collect::<Vec<_>>(), expected);
        assert_eq!(heard.last().unwrap()["data"]["timestamp"], 7);
        world.leave_tasks(&[conn]);
    });
}

#[test]
fn two_an_unknown_task_is_an_error_and_the_connection_stays() {
    on_one_and_two(|world, other| {
        let conn = world.guest(other, "anna");
        let foreign = by_hand(1, "bert");
        assert!(matches!(world.ask_tasks(0, Ask::Create(Box::new(foreign.clone()))), Reply::Task(_)));
        for task in ["non-existent-task", "6c84fb90-12c4-11e1-840d-7b25c5ee775a", &foreign.id.to_string()] {
            let data = json!({"channel": "task", "task_id": task});
            world.says(conn, "subscribe", &data);
            let expected = error("invalid_subscription", "Cannot subscribe to non-existent task", "subscribe", &data);
            assert_eq!(world.told(conn), [expected]);
        }
        world.execute(conn, "tutor", "What is 2 + 2?");
        assert_eq!(series(&world.told(conn))[..2], [("pending".to_owned(), 0.0), ("in_progress".to_owned(), 0.05)]);
        world.pass(SECOND);
        world.leave_tasks(&[conn]);
    });
}

#[test]
fn three_and_four_a_task_is_heard_by_its_owner_and_admins_and_no_other() {
    on_one_and_two(|world, other| {
        let maker = world.guest(0, "anna");
        let [second, stranger, admin] = ["anna", "bert", "admin"].map(|name| world.guest(other, name));
        for conn in [second, stranger, admin] {
            world.says(conn, "subscribe", &all());
            assert_eq!(world.told(conn), Vec::<Value>::new(), "silence is good");
        }
        let task = world.execute(maker, "tutor", LONG);
        world.pass(5 * SECOND);
        let heard = world.told(maker);
        let series = series(&heard);
        assert_eq!((&*series[0].0, &*series[1].0, &*series.last().unwrap().0), ("pending", "in_progress", "completed"));
        assert!(series.len() > 8 && series.windows(2).all(|two| two[0].1 < two[1].1), "{series:?}");
        let last = &heard.last().unwrap();
        assert_eq!((&last["type"], &last["data"]["task_id"]), (&json!("task_completion"), &json!(task)));
        let output = last["data"]["result"]["output"].as_str().unwrap();
        assert!(output.starts_with("1 2 3 ") && last["data"]["cost"] == 0.0 && last["data"]["completed_at"].is_string());
        assert_eq!([world.told(second), world.told(admin), world.told(stranger)], [heard.clone(), heard, vec![]]);
        world.says(second, "subscribe", &subject(task));
        assert_eq!(types(&world.told(second)), ["task_completion"], "how it stands");
        world.leave_tasks(&[maker, second, stranger, admin]);
    });
}

#[test]
fn five_a_task_is_cancelled_midway_and_all_hear_it_once() {
    on_one_and_two(|world, other| {
        let [maker, second, stranger] = [(0, "anna"), (other, "anna"), (other, "bert")].map(|(at, name)| world.guest(at, name));
        world.says(second, "subscribe", &all());
        let task = world.execute(maker, "tutor", LONG);
        world.pass(SECOND);
        let cancel = json!({"task_id": task});
        world.says(stranger, "cancel_task", &cancel);
        let none = error("invalid_request", "Cannot cancel non-existent task", "cancel_task", &cancel);
        assert_eq!(world.told(stranger), [none]);
        world.told(maker);
        world.says(maker, "cancel_task", &cancel);
        let heard = world.told(maker);
        assert_eq!((types(&heard), &heard[0]["data"]["error"]), (vec!["task_error"], &json!("Cancelled by user")));
        assert_eq!(world.told(second).last(), heard.last());
        world.says(second, "cancel_task", &cancel);
        let over = error("invalid_request", "The task is already finished", "cancel_task", &cancel);
        assert_eq!(world.told(second), [over]);
        world.pass(5 * SECOND);
        assert_eq!([world.told(maker), world.told(second)], [const { Vec::<Value>::new() }; 2], "nothing comes after the end");
        world.leave_tasks(&[maker, second, stranger]);
    });
}

#[test]
fn six_whoever_unsubscribes_hears_no_more() {
    on_one_and_two(|world, other| {
        let [maker, second] = [0, other].map(|shard| world.guest(shard, "anna"));
        world.says(second, "subscribe", &all());
        let first = world.execute(maker, "tutor", LONG);
        assert_eq!(world.told(second).len(), 2);
        world.says(second, "unsubscribe", &all());
        world.says(maker, "unsubscribe", &subject(first));
        world.told(maker);
        world.execute(second, "tutor", "What is 2 + 2?");
        world.pass(5 * SECOND);
        assert_eq!(world.told(maker), Vec::<Value>::new());
        let heard = world.told(second);
        assert!(heard.iter().all(|told| told["data"]["task_id"] != json!(first)), "{heard:?}");
        assert_eq!(types(&heard).last(), Some(&"task_completion"), "its own task it follows");
        assert_eq!(world.tasks.statuses(), [Status::Completed; 2]);
        world.leave_tasks(&[maker, second]);
    });
}

#[test]
fn seven_an_execution_is_told_step_by_step() {
    on_one_and_two(|world, other| {
        let conn = world.guest(other, "anna");
        let execution = review(3, "anna");
        let data = json!({"channel": "workflow_execution", "execution_id": execution.id});
        world.says(conn, "subscribe", &data);
        let none = "Cannot subscribe to non-existent workflow execution";
        assert_eq!(world.told(conn), [error("invalid_subscription", none, "subscribe", &data)]);
        assert!(matches!(world.ask_tasks(other, Ask::Execute(Box::new(execution.clone()))), Reply::Execution(_)));
        world.says(conn, "subscribe", &data);
        world.pass(3 * SECOND);
        let steps: Vec<(Value, Value)> = world
            .told(conn)
            .into_iter()
            .map(|told| (told["data"]["current_step_id"].clone(), told["data"]["status"].clone()))
            .collect();
        let mut once = steps.clone();
        once.dedup();
        let expected = [("step1", "in_progress"), ("step2", "in_progress"), ("step3", "in_progress"), ("step3", "completed")];
        assert_eq!(once, expected.map(|(step, status)| (json!(step), json!(status))), "{steps:?}");
        let kept = &world.tasks.executions[&execution.id];
        let outputs: Vec<&str> = kept.results.iter().map(|result| &*result.output).collect();
        assert_eq!(outputs, ["1 2 ", "1 2 3 ", "1 2 3 4 "]);
        let look = Ask::LookExecution { execution: execution.id, caller: as_guest("anna") };
        assert_eq!(world.ask_tasks(0, look), Reply::Refused(Refused::NotHere), "it is the store's now");
        world.leave_tasks(&[conn]);
    });
}

#[test]
fn eight_the_eleventh_connection_over_all_shards_is_one_too_many() {
    on_one_and_two(|world, other| {
        let mut conns: Vec<ConnId> = (0..10).map(|n| world.guest([0, other][n % 2], "anna")).collect();
        let bert = world.guest(other, "bert");
        for shard in [0, other] {
            let refused = world.tasks_socket(shard, &format!("?token={}", guest("anna")), "");
            let heard = world.told(refused);
            assert_eq!(types(&heard), ["101", "error", "connection_closed", "CLOSE 1008", "FIN"]);
            let message = "Maximum 10 connections per user";
            assert_eq!(heard[1]["data"], json!({"code": "rate_limit_exceeded", "message": message}));
            assert_eq!(heard[2]["data"], json!({"reason": "rate_limit_exceeded", "message": message}));
            world.eof(refused);
        }
        world.eof(conns.swap_remove(3));
        conns.push(world.guest(other, "anna"));
        let refused = world.tasks_socket(0, &format!("?token={}", guest("anna")), "");
        assert_eq!(types(&world.told(refused))[1], "error");
        conns.extend([bert, refused]);
        world.leave_tasks(&conns);
    });
}

#[test]
fn nine_messages_and_subscriptions_have_their_limits() {
    on_one_and_two(|world, other| {
        let conn = world.guest(other, "anna");
        for _ in 0..100 {
            world.says(conn, "ping", &json!({"timestamp": 1}));
            world.says(conn, "pong", &json!({"timestamp": 1}));
        }
        assert_eq!(types(&world.told(conn)), vec!["pong"; 100]);
        world.says(conn, "ping", &json!({"timestamp": 1}));
        assert_eq!(types(&world.told(conn)), ["error", "connection_closed", "CLOSE 1008", "FIN"]);
        let many = world.guest(other, "anna");
        for n in 1..=50 {
            let task = by_hand(n, "anna");
            world.ask_tasks(0, Ask::Create(Box::new(task.clone())));
            world.says(many, "subscribe", &subject(task.id));
            // Of one task twice is once.
            world.says(many, "subscribe", &subject(task.id));
        }
        assert_eq!(types(&world.told(many)), vec!["task_update"; 100]);
        world.pass(61 * SECOND);
        world.told(many);
        world.says(many, "subscribe", &json!({"channel": "system_status"}));
        let heard = world.told(many);
        assert_eq!(types(&heard), ["error", "connection_closed", "CLOSE 1008", "FIN"]);
        assert_eq!(heard[0]["data"]["message"], "Maximum 50 subscriptions per connection");
        world.leave_tasks(&[conn, many]);
    });
}

#[test]
fn ten_pings_come_in_time_and_one_who_is_silent_is_told_before_the_close() {
    on_one_and_two(|world, other| {
        let [alive, silent] = [0, other].map(|shard| world.guest(shard, "anna"));
        world.pass(29 * SECOND);
        assert_eq!([world.told(alive), world.told(silent)], [const { Vec::<Value>::new() }; 2]);
        world.pass(SECOND + Duration::from_millis(10));
        let heard = world.told(alive);
        assert_eq!((types(&heard), &heard[0]["data"]["timestamp"]), (vec!["ping"], &json!("2023-11-14T22:13:50Z")));
        for _ in 0..60 {
            world.says(alive, "pong", &json!({"timestamp": "2023-11-14T22:13:50Z"}));
            world.pass(30 * SECOND);
        }
        let heard = world.told(silent);
        assert_eq!(types(&heard)[59..], ["connection_closed", "CLOSE 1000", "FIN", "END"], "after the half hour");
        let message = "Session timed out after 30 minutes of inactivity";
        assert_eq!(heard[59]["data"], json!({"reason": "session_timeout", "message": message}));
        assert_eq!(types(&world.told(alive)), vec!["ping"; 60]);
        world.leave_tasks(&[alive]);
    });
}

#[test]
fn the_status_of_the_system_is_told_at_once_in_time_and_on_change() {
    on_one_and_two(|world, other| {
        let [watcher, maker] = [other, 0].map(|shard| world.guest(shard, "anna"));
        let data = json!({"channel": "system_status"});
        world.says(watcher, "subscribe", &data);
        let counts = |told: &Value| (told["data"]["active_tasks"].clone(), told["data"]["pending_tasks"].clone());
        let heard = world.told(watcher);
        assert_eq!((types(&heard), counts(&heard[0])), (vec!["system_status_update"], (json!(0), json!(0))));
        assert_eq!(heard[0]["data"]["database_status"], "operational");
        for n in 0..8 {
            world.ask_tasks(n % world.engines.len(), Ask::Create(Box::new(by_hand(n as u128 + 1, "bert"))));
        }
        for _ in 0..3 {
            world.execute(maker, "tutor", LONG);
        }
        world.pass(SECOND);
        let heard = world.told(watcher);
        assert_eq!(counts(heard.last().unwrap()), (json!(3), json!(8)), "over all shards");
        assert!(heard.len() <= 5, "however much happens: {}", heard.len());
        world.pass(4 * SECOND);
        assert_eq!(counts(world.told(watcher).last().unwrap()), (json!(0), json!(8)));
        let (health, now) = (Health { database: "degraded".into(), ..Health::default() }, world.now);
        world.engines.iter_mut().for_each(|engine| engine.set_health(health.clone(), now));
        world.run();
        let heard = world.told(watcher);
        assert_eq!((heard.len(), &heard[0]["data"]["database_status"]), (1, &json!("degraded")));
        assert_eq!(world.engines[0].system_status().health, health);
        world.pass(29 * SECOND);
        world.told(watcher);
        world.pass(SECOND + Duration::from_millis(10));
        assert_eq!(types(&world.told(watcher)), ["system_status_update"], "each half minute where nothing changes");
        world.says(watcher, "unsubscribe", &data);
        world.execute(maker, "tutor", "What is 2 + 2?");
        world.pass(5 * SECOND);
        assert_eq!(world.told(watcher), Vec::<Value>::new());
        world.leave_tasks(&[watcher, maker]);
    });
}

#[test]
fn a_model_elsewhere_calls_a_tool_elsewhere_and_the_task_goes_on() {
    on_one_and_two(|world, other| {
        let conn = world.guest(other, "anna");
        world.execute(conn, "far", "hello");
        world.word(Word::Call(ToolCall { id: "c1".into(), tool: "look".into(), arguments: "{}".into() }));
        world.word(Word::Ended { stop: Stop::Calls, usage: Usage { prompt_tokens: 1, completion_tokens: 2 } });
        let (shard, run) = world.run_asked();
        world.answer_run(shard, Answer::Tool { run, outcome: ToolOutcome::Done("7".into()) });
        world.word(Word::Delta("Seven.".into()));
        world.word(Word::Ended { stop: Stop::Done, usage: Usage { prompt_tokens: 3, completion_tokens: 4 } });
        let heard = world.told(conn);
        assert_eq!(heard.last().unwrap()["data"]["result"], json!({"output": "Seven."}));
        assert_eq!((world.runs.len(), world.stopped.len()), (3, 0));
        world.execute(conn, "far", "hello again");
        world.word(Word::Failed(Fault::Busy));
        assert_eq!(world.told(conn).last().unwrap()["data"]["error"], "The model is not available");
        let task = world.execute(conn, "far", "hello for the last time");
        let (shard, run) = world.run_asked();
        world.says(conn, "cancel_task", &json!({"task_id": task}));
        assert_eq!(world.stopped, [run], "its request is ended");
        assert_eq!(types(&world.told(conn)).last(), Some(&"task_error"));
        world.answer_run(shard, Answer::Model { run, word: Word::Delta("lo".into()) });
        assert_eq!(world.told(conn), Vec::<Value>::new(), "what was on its way finds nobody");
        world.leave_tasks(&[conn]);
    });
}

#[test]
fn over_http_a_task_is_made_changed_and_removed_at_its_home() {
    on_one_and_two(|world, other| {
        let conn = world.guest(other, "anna");
        world.says(conn, "subscribe", &all());
        let task = by_hand(9, "anna");
        let (id, caller) = (task.id, as_guest("anna"));
        assert!(matches!(world.ask_tasks(other, Ask::Create(Box::new(task))), Reply::Task(_)));
        assert_eq!(types(&world.told(conn)), ["task_update"]);
        let edit = crate::protocols::tasks::asks::Edit { status: Some(Status::Completed), ..Default::default() };
        let Reply::Task(task) = world.ask_tasks(other, Ask::Edit { task: id, caller: caller.clone(), edit }) else { panic!() };
        assert_eq!((task.status, types(&world.told(conn))), (Status::Completed, vec!["task_completion"]));
        let foreign = Ask::Remove { task: id, caller: as_guest("bert") };
        assert_eq!(world.ask_tasks(0, foreign), Reply::Refused(Refused::NotFound));
        assert!(matches!(world.ask_tasks(0, Ask::Remove { task: id, caller }), Reply::Task(_)));
        assert_eq!(world.tasks.tasks.len(), 0);
        let number = world.engines[other].ask_tasks(Ask::Create(Box::new(by_hand(10, "anna"))));
        world.engines[other].forget_tasks_ask(number);
        world.run();
        assert_eq!(world.tasks.tasks.len(), 1, "what nobody waits for is done all the same");
        world.leave_tasks(&[conn]);
    });
}
