//! How tasks and their sockets end: peers that are at fault, that do not read or are gone, users who may no more, stores that fail, and the
//! end of the process.

use super::{
    chat::{person, ticket},
    labs,
    tasks::*,
    world::*,
};
use crate::{
    models::Word,
    protocols::{
        labs::{
            asks::{Ask as LabsAsk, Reply as LabsReply},
            model::Role,
            record::{Kept, Record},
        },
        tasks::{Ask, Reply, asks::Refused, model::Status},
    },
    realtime::{ConnId, ShardId, StoreFault},
};
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn on_one_and_two(script: impl Fn(&mut World, usize)) {
    for (shards, other) in [(1, 0), (2, 1)] {
        script(&mut World::new(shards), other);
    }
}

#[test]
fn eleven_rubbish_is_told_and_the_connection_stays() {
    on_one_and_two(|world, other| {
        let conn = world.guest(other, "anna");
        for rubbish in ["[]", r#""x""#, "{}", r#"{"type":5}"#, "", "\u{1F4A9}", r#"{"type":"dance"}"#] {
            world.text(conn, rubbish);
            assert_eq!(world.told(conn)[0]["data"]["code"], "invalid_request", "{rubbish}");
        }
        world.frame(conn, 2, b"\x00\xff");
        assert_eq!(world.told(conn)[0]["data"]["message"], "Text messages only");
        world.frame(conn, 9, b"p");
        world.frame(conn, 10, b"");
        assert_eq!(world.take_heard(conn), ["PONG"]);
        world.frame(conn, 8, &1000_u16.to_be_bytes());
        assert_eq!(world.take_heard(conn), ["CLOSE 1000", "END"]);
        world.leave_tasks(&[conn]);
    });
}

#[test]
fn what_is_no_websocket_message_is_told_before_the_close() {
    on_one_and_two(|world, other| {
        let megabyte = labs::long(1, &vec![b'x'; 1 << 20]);
        let unmasked = vec![0x81, 0x01, b'x'];
        let cases = [
            (megabyte[..64].to_vec(), "message_too_large", "CLOSE 1009"),
            (masked(1, b"\xff\xfe"), "invalid_text", "CLOSE 1007"),
            (unmasked, "protocol_error", "CLOSE 1002"),
        ];
        let mut conns = Vec::new();
        for (bytes, reason, close) in cases {
            let conn = world.guest(other, "anna");
            world.bytes(conn, &[masked(9, b"first"), bytes].concat());
            let heard = world.told(conn);
            assert_eq!(types(&heard), ["PONG", "connection_closed", close, "FIN"], "{reason}");
            assert_eq!(heard[1]["data"]["reason"], reason);
            conns.push(conn);
        }
        assert_eq!(world.engines[other].counters().protocol_errors.read(), 3);
        conns.push(world.guest(other, "anna"));
        world.leave_tasks(&conns);
    });
}

#[test]
fn a_message_in_pieces_is_one_and_one_over_the_limit_is_none() {
    let mut world = World::new(1);
    let conn = world.guest(0, "anna");
    let long = json!({"type": "ping", "data": {"timestamp": "x".repeat(200_000)}}).to_string();
    for piece in labs::long(1, long.as_bytes()).chunks(30_000) {
        world.bytes(conn, piece);
    }
    assert_eq!(world.told(conn)[0]["data"]["timestamp"].as_str().map(str::len), Some(200_000));
    world.leave_tasks(&[conn]);
}

/// Those who took nothing take all that comes.
fn read_on(world: &mut World) {
    world.stalled.clear();
    for (conn, bytes) in std::mem::take(&mut world.in_flight) {
        world.hear(conn, &bytes);
        let now = world.now;
        world.engines[conn.shard.index()].sent(conn, true, now);
    }
    world.run();
}

#[test]
fn one_who_does_not_read_is_cut_and_the_others_miss_nothing() {
    let mut world = with_outbox(2, 2_000);
    let [maker, slow, quick] = [0, 1, 1].map(|shard| world.guest(shard, "anna"));
    for conn in [slow, quick] {
        world.says(conn, "subscribe", &json!({"channel": "tasks"}));
    }
    world.stalled.push(slow);
    world.execute(maker, "tutor", LONG);
    world.pass(5 * SECOND);
    let heard = world.told(maker);
    assert_eq!(world.told(quick), heard);
    assert_eq!(types(&heard).last(), Some(&"task_completion"));
    assert_eq!(world.engines[1].counters().slow_readers.read(), 1);
    read_on(&mut world);
    let told = world.told(slow);
    assert_eq!(types(&told)[1..], ["connection_closed", "CLOSE 1013", "FIN"], "what was in flight, and that it may come again");
    assert_eq!((&told[0], &told[1]["data"]["reason"]), (&heard[0], &json!("slow_consumer")));
    world.leave_tasks(&[maker, slow, quick]);
}

#[test]
fn one_who_does_not_read_and_says_too_much_hears_why_it_is_closed() {
    let mut world = with_outbox(1, 2_000);
    let conn = world.guest(0, "anna");
    world.stalled.push(conn);
    let long = json!({"timestamp": "x".repeat(1_500)});
    world.says(conn, "ping", &long);
    // In one turn: what fills the outbox, and what is too much.
    let ping = json!({"type": "ping", "data": long}).to_string();
    world.bytes(conn, &labs::long(1, ping.as_bytes()).repeat(101));
    read_on(&mut world);
    let told = world.told(conn);
    assert_eq!(types(&told), ["pong", "error", "connection_closed", "CLOSE 1008", "FIN"]);
    assert_eq!(told[2]["data"]["message"], "Maximum 100 messages per minute per connection");
    world.leave_tasks(&[conn]);
}

#[test]
fn one_who_is_slow_and_within_the_bound_hears_all_in_order() {
    let mut world = with_outbox(2, 100_000);
    let [maker, slow] = [0, 1].map(|shard| world.guest(shard, "anna"));
    world.says(slow, "subscribe", &json!({"channel": "tasks"}));
    world.stalled.push(slow);
    world.execute(maker, "tutor", LONG);
    world.pass(5 * SECOND);
    read_on(&mut world);
    assert_eq!(world.told(slow), world.told(maker));
    world.leave_tasks(&[maker, slow]);
}

#[test]
fn one_who_does_not_read_gets_only_the_newest_status_of_the_system() {
    let mut world = with_outbox(2, 2_000);
    let [maker, slow] = [0, 1].map(|shard| world.guest(shard, "anna"));
    let data = json!({"channel": "system_status"});
    world.says(slow, "subscribe", &data);
    world.told(slow);
    world.stalled.push(slow);
    for n in 0..60 {
        world.ask_tasks(0, Ask::Create(Box::new(by_hand(n + 1, "anna"))));
        world.pass(Duration::from_millis(300));
    }
    assert_eq!(world.engines[1].counters().slow_readers.read(), 0, "states are no reason to be cut off");
    read_on(&mut world);
    let heard = world.told(slow);
    assert_eq!((types(&heard), &heard[1]["data"]["pending_tasks"]), (vec!["system_status_update"; 2], &json!(60)));
    assert!(world.engines[1].counters().superseded.read() > 20);
    // What waits is not wanted any more, or by nobody.
    for says in [Some("unsubscribe"), None] {
        world.says(slow, "subscribe", &data);
        read_on(&mut world);
        world.told(slow);
        world.stalled.push(slow);
        world.says(slow, "ping", &json!({"timestamp": 1}));
        world.says(slow, "subscribe", &data);
        says.into_iter().for_each(|says| world.says(slow, says, &data));
        if says.is_some() {
            read_on(&mut world);
            assert_eq!(types(&world.told(slow)), ["pong"]);
        }
    }
    world.eof(slow);
    let next = world.guest(1, "bert");
    world.says(next, "ping", &json!({"timestamp": 1}));
    assert_eq!(types(&world.told(next)), ["pong"], "nothing of another's");
    world.leave_tasks(&[maker, slow, next]);
}

#[test]
fn one_who_leaves_before_it_is_counted_is_given_back() {
    let mut world = World::new(2);
    let home = world.engines[0].ring.home(b"anna");
    let other = 1 - home.index();
    world.held = Some((home, Vec::new()));
    let early: Vec<ConnId> = (0..12).map(|_| world.tasks_socket(other, &format!("?token={}", guest("anna")), "")).collect();
    early.iter().for_each(|conn| world.eof(*conn));
    let (_, letters) = world.held.take().unwrap();
    let now = world.now;
    letters.into_iter().for_each(|(from, letter)| world.engines[home.index()].letter(from, letter, now));
    world.run();
    let conns: Vec<ConnId> = (0..10).map(|_| world.guest(other, "anna")).collect();
    world.leave_tasks(&conns);
}

#[test]
fn what_a_socket_hears_of_a_task_is_in_order_when_letters_are_late() {
    let mut world = World::new(2);
    let conns = [world.guest(0, "anna"), world.guest(1, "anna")];
    for late in [ShardId(0), ShardId(1)] {
        world.held = Some((late, Vec::new()));
        for conn in conns {
            world.says(conn, "execute_agent", &json!({"agent_id": "tutor", "task": "What is 2 + 2?"}));
        }
        world.pass(SECOND);
        let (_, letters) = world.held.take().unwrap();
        let now = world.now;
        letters.into_iter().for_each(|(from, letter)| world.engines[late.index()].letter(from, letter, now));
        world.run();
        world.pass(SECOND);
        for conn in conns {
            let heard = world.told(conn);
            let statuses: Vec<String> = series(&heard).into_iter().map(|(status, _)| status).collect();
            assert_eq!((&*statuses[0], &*statuses[1]), ("pending", "in_progress"), "{heard:?}");
            assert_eq!(statuses.iter().filter(|status| *status == "completed").count(), 1);
            assert_eq!(statuses.last().map(String::as_str), Some("completed"));
        }
    }
    world.leave_tasks(&conns);
}

#[test]
fn one_who_may_not_sign_in_any_more_is_told_and_closed() {
    on_one_and_two(|world, other| {
        let [anna, root, guest] = [world.own(other, "anna"), world.own(other, "root"), world.guest(other, "anna")];
        world.says(root, "subscribe", &json!({"channel": "tasks"}));
        let task = world.execute(anna, "tutor", "What is 2 + 2?");
        assert_eq!(world.told(root)[0]["data"]["task_id"], json!(task), "the role is that of the user, as it is");
        let (user, role) = (person("anna").id, Some(Role::User));
        let record = Record::EditedUser { user, role, active: Some(false), email: None, password_hash: None, last_login: None };
        assert_eq!(world.ask_labs(0, LabsAsk::Keep(record)), LabsReply::Kept(Kept::Done));
        let heard = world.told(anna);
        assert_eq!(types(&heard)[2..], ["connection_closed", "CLOSE 1008", "FIN"]);
        assert_eq!(heard[2]["data"]["reason"], "token_revoked");
        let again = world.tasks_socket(0, &format!("?token={}", ticket("anna")), "");
        assert_eq!(world.take_heard(again), [NO_GOOD, "FIN"]);
        world.pass(SECOND);
        assert_eq!(world.tasks.statuses(), [Status::Completed], "its tasks go on");
        world.leave_tasks(&[anna, root, guest, again]);
    });
}

#[test]
fn what_the_store_does_not_take_is_not_begun_and_what_ends_is_written_in_the_end() {
    on_one_and_two(|world, other| {
        let conn = world.guest(other, "anna");
        world.tasks.fault = Some(StoreFault::Busy);
        let data = json!({"agent_id": "tutor", "task": "What is 2 + 2?"});
        world.says(conn, "execute_agent", &data);
        let message = "The task could not be stored or read";
        assert_eq!(world.told(conn), [error("service_unavailable", message, "execute_agent", &data)]);
        let subject = json!({"channel": "task", "task_id": "6c84fb90-12c4-11e1-840d-7b25c5ee775a"});
        world.says(conn, "subscribe", &subject);
        assert_eq!(world.told(conn), [error("service_unavailable", message, "subscribe", &subject)]);
        world.tasks.fault = None;
        world.execute(conn, "far", "hello");
        world.tasks.fault = Some(StoreFault::Failed);
        world.word(Word::Failed(crate::models::Fault::Cut));
        world.told(conn);
        world.pass(3 * SECOND);
        assert_eq!((world.told(conn), world.tasks.statuses()), (vec![], vec![Status::InProgress]), "nothing is told");
        world.tasks.fault = None;
        world.pass(2 * SECOND);
        assert_eq!((types(&world.told(conn)), world.tasks.statuses()), (vec!["task_error"], vec![Status::Failed]));
        world.leave_tasks(&[conn]);
    });
}

#[test]
fn a_stop_breaks_off_what_runs_tells_all_and_what_is_left_goes_on_after_the_next_start() {
    on_one_and_two(|world, other| {
        let [maker, second] = [0, other].map(|shard| world.guest(shard, "anna"));
        world.says(second, "subscribe", &json!({"channel": "tasks"}));
        world.execute(maker, "tutor", LONG);
        let waits = by_hand(1, "anna");
        world.ask_tasks(0, Ask::Create(Box::new(waits.clone())));
        let execution = review(2, "anna");
        world.ask_tasks(0, Ask::Execute(Box::new(execution.clone())));
        world.pass(Duration::from_millis(450));
        world.drain();
        for conn in [maker, second] {
            let heard = world.told(conn);
            let ends = heard.iter().filter(|told| told["type"] == "task_error");
            assert_eq!(ends.map(|told| told["data"]["error"].clone()).collect::<Vec<_>>(), ["The server was stopped"]);
        }
        let data = json!({"agent_id": "tutor", "task": "What is 2 + 2?"});
        world.says(maker, "execute_agent", &data);
        let stopping = error("service_unavailable", "The server is shutting down", "execute_agent", &data);
        assert_eq!(world.told(maker), [stopping]);
        let late = world.guest(other, "bert");
        assert_eq!(world.ask_tasks(0, Ask::Create(Box::new(by_hand(4, "anna")))), Reply::Refused(Refused::Stopping));
        world.close();
        for conn in [maker, second, late] {
            let heard = world.told(conn);
            assert_eq!(types(&heard), ["connection_closed", "CLOSE 1012", "FIN"]);
            assert_eq!(heard[0]["data"], json!({"reason": "server_shutdown", "message": "The server is shutting down"}));
        }
        world.leave_tasks(&[maker, second, late]);

        world.restart_tasks();
        let conn = world.guest(other, "anna");
        world.says(conn, "subscribe", &json!({"channel": "workflow_execution", "execution_id": execution.id}));
        world.pass(3 * SECOND);
        assert_eq!(world.told(conn).last().unwrap()["data"]["status"], "completed");
        let kept = &world.tasks.executions[&execution.id];
        assert_eq!(kept.results.iter().map(|result| &*result.step).collect::<Vec<_>>(), ["step1", "step2", "step3"]);
        world.says(conn, "subscribe", &json!({"channel": "task", "task_id": waits.id}));
        assert_eq!(series(&world.told(conn)), [("pending".to_owned(), 0.0)]);
        world.leave_tasks(&[conn]);
    });
}

#[test]
fn what_ran_when_the_process_died_fails_and_what_waited_runs() {
    on_one_and_two(|world, other| {
        let conn = world.guest(other, "anna");
        let ran = world.execute(conn, "tutor", LONG);
        let (waits, execution) = (by_hand(1, "anna"), review(2, "anna"));
        let waits = crate::protocols::tasks::model::Task { agent: Some("tutor".into()), ..waits };
        world.ask_tasks(0, Ask::Execute(Box::new(execution.clone())));
        world.pass(Duration::from_millis(300));
        // It was on disk, and nothing more.
        world.tasks.tasks.insert(waits.id, waits.clone());
        world.restart_tasks();
        assert_eq!(world.tasks.tasks[&ran].error.as_deref(), Some("The server was restarted"));
        let conn = world.guest(other, "anna");
        world.says(conn, "subscribe", &json!({"channel": "task", "task_id": ran}));
        assert_eq!(types(&world.told(conn)), ["task_error"]);
        world.pass(3 * SECOND);
        assert_eq!(world.tasks.tasks[&waits.id].status, Status::Completed);
        assert_eq!(world.tasks.executions[&execution.id].status, Status::Completed);
        assert!(world.engines.iter().all(|engine| engine.system_status().counts == Default::default()));
        assert_eq!(world.told(conn), Vec::<Value>::new());
        world.leave_tasks(&[conn]);
    });
}
