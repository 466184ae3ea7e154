//! Tasks when a node dies or stops, and when two lose sight of each other: each has one end, and what waited is done by others.

use super::{cluster_tasks::*, tasks::*, world::*};
use crate::{
    engine::Letter,
    protocols::tasks::{
        Ask, Reply,
        asks::{Edit, Refused},
        model::{Execution, Status, Task},
    },
    realtime::StoreFault,
};
use serde_json::{Value, json};
use std::task::{Poll, Waker};
use uuid::Uuid;

#[test]
fn when_a_node_dies_what_ran_there_has_failed_and_what_waited_is_done_elsewhere() {
    let mut world = World::cluster(3, 1);
    let ring = world.ring(1, 3);
    let listener = world.tasks_listener(0, "anna");
    let [running, resting, far] = [(0, 2), (1_000, 2), (0, 1)].map(|(n, home)| id_at(n, &[(&ring, home)]));
    world.made(1, by_agent(running, "anna", LONG));
    world.made(1, Task { id: resting, ..by_hand(1, "anna") });
    world.made(1, by_agent(far, "anna", LONG));
    // It is written, and its home dies before it begins.
    let mut waiting = by_agent(id_at(3_000, &[(&ring, 2)]), "anna", "/count 2 1");
    waiting.created_at = world.now.wall;
    let run = Execution { id: id_at(5_000, &[(&ring, 2)]), ..review(1, "anna") };
    assert!(matches!(world.ask_tasks(0, Ask::Execute(Box::new(run.clone()))), Reply::Execution(_)));
    world.says(listener, "subscribe", &json!({"channel": "workflow_execution", "execution_id": run.id}));
    world.pass(SECOND / 2);
    world.tasks.tasks.insert(waiting.id, waiting.clone());
    assert!((1..3).contains(&world.tasks.executions[&run.id].results.len()), "one step is done, and not all");
    world.told(listener);
    world.kill(2);
    let lost = world.engines[0].ask_tasks(Ask::Cancel { task: running, caller: as_guest("anna") });
    world.run();
    world.view(2, 3);
    let busy = Poll::Ready(Reply::Refused(Refused::Store(StoreFault::Busy)));
    assert_eq!(world.engines[0].poll_tasks_reply(lost, Waker::noop()), busy);
    world.pass(5 * SECOND);
    let heard = world.told(listener);
    let of = |id: Uuid| -> Vec<&Value> {
        heard.iter().filter(|told| told["data"]["task_id"] == json!(id) || told["data"]["execution_id"] == json!(id)).collect()
    };
    assert_eq!(types(&of(running).into_iter().cloned().collect::<Vec<_>>()), ["task_error"], "once");
    assert_eq!(of(running)[0]["data"]["error"], "The server was restarted");
    assert_eq!(of(waiting.id).last().unwrap()["type"], "task_completion");
    assert_eq!(of(far).iter().filter(|told| told["type"] == "task_completion").count(), 1, "what ran elsewhere goes on");
    assert_eq!(of(resting), Vec::<&Value>::new());
    let kept = &world.tasks.executions[&run.id];
    assert_eq!((kept.status, kept.results.len()), (Status::Completed, 3));
    assert_eq!(of(run.id).iter().filter(|told| told["data"]["status"] == "completed").count(), 1);
    let edit = Edit { status: Some(Status::Completed), ..Default::default() };
    assert!(matches!(world.ask_tasks(0, Ask::Edit { task: resting, caller: as_guest("anna"), edit }), Reply::Task(_)));
    world.leave_cluster(&[listener]);
}

#[test]
fn what_a_node_kept_for_another_is_taken_over_when_it_dies() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let mut world = World::cluster(2, 1);
    let listener = world.tasks_listener(0, "anna");
    let id = world.made(0, by_agent(id_at(0, &[(&before, 1), (&after, 2)]), "anna", LONG));
    world.begin_node();
    world.view(2, 3);
    world.pass(SECOND / 2);
    world.kill(1);
    world.view(3, 3);
    world.pass(5 * SECOND);
    assert_eq!(world.ends(listener), [(json!("task_error"), json!(id))]);
    world.leave_cluster(&[listener]);
}

#[test]
fn when_a_watchers_node_dies_the_work_goes_on_and_nothing_is_sent_there() {
    let mut world = World::cluster(3, 1);
    let ring = world.ring(1, 3);
    let (listener, lost) = (world.tasks_listener(0, "anna"), world.tasks_listener(2, "anna"));
    let id = world.made(2, by_agent(id_at(0, &[(&ring, 0)]), "anna", LONG));
    world.pass(SECOND);
    world.kill(2);
    world.view(2, 3);
    world.nodes.news.clear();
    world.pass(5 * SECOND);
    assert_eq!(world.ends(listener), [(json!("task_completion"), json!(id))]);
    assert_eq!(world.nodes.news, []);
    // It comes again, and says anew what is listened to there.
    drop(world.told(lost));
    world.nodes.revive(2);
    world.view(3, 3);
    let back = world.tasks_listener(2, "anna");
    let next = world.made(1, by_agent(id_at(1_000, &[(&ring, 0)]), "anna", "/count 1 1"));
    world.pass(SECOND);
    assert_eq!(world.ends(back), [(json!("task_completion"), json!(next))]);
    world.leave_cluster(&[listener, back]);
}

#[test]
fn an_end_that_a_home_wrote_and_told_nobody_is_told_by_the_next() {
    let mut world = World::cluster(3, 1);
    let ring = world.ring(1, 3);
    let id = world.made(0, by_agent(id_at(0, &[(&ring, 2)]), "anna", LONG));
    let other = world.made(0, by_agent(id_at(1_000, &[(&ring, 2)]), "anna", "/count 90 100"));
    let run = Execution { id: id_at(0, &[(&ring, 2)]), ..review(1, "anna") };
    assert!(matches!(world.ask_tasks(0, Ask::Execute(Box::new(run.clone()))), Reply::Execution(_)));
    let watcher = world.guest(0, "anna");
    for task in [id, other] {
        world.says(watcher, "subscribe", &json!({"channel": "task", "task_id": task}));
    }
    world.says(watcher, "subscribe", &json!({"channel": "workflow_execution", "execution_id": run.id}));
    world.told(watcher);
    world.cut(0, 2);
    world.pass(5 * SECOND);
    assert_eq!(world.tasks.tasks[&id].status, Status::Completed);
    assert_eq!(world.told(watcher), Vec::<Value>::new());
    world.kill(2);
    world.view(2, 3);
    world.pass(SECOND);
    let mut heard = world.told(watcher);
    heard.sort_by_key(|told| told["type"].to_string());
    assert_eq!(types(&heard), ["task_completion", "task_error", "workflow_execution_update"], "each once: {heard:?}");
    assert_eq!([&heard[0], &heard[1]].map(|told| &told["data"]["task_id"]), [&json!(id), &json!(other)]);
    world.leave_cluster(&[watcher]);
}

#[test]
fn a_link_that_breaks_closes_who_listens_and_ends_no_work() {
    let mut world = World::cluster(2, 1);
    let ring = world.ring(1, 2);
    let listeners = [0, 1].map(|place| world.tasks_listener(place, "anna"));
    let quiet = world.guest(0, "anna");
    let ids = [0, 1].map(|home| id_at(0, &[(&ring, home)]));
    ids.into_iter().for_each(|id| _ = world.made(0, by_agent(id, "anna", LONG)));
    world.pass(SECOND);
    listeners.into_iter().for_each(|conn| drop(world.told(conn)));
    world.cut(0, 1);
    let lost = world.engines[0].ask_tasks(Ask::Cancel { task: ids[1], caller: as_guest("anna") });
    world.pass(SECOND);
    world.mend(0, 1);
    assert!(world.engines[0].poll_tasks_reply(lost, Waker::noop()).is_ready());
    for conn in listeners {
        let heard = world.told(conn);
        assert_eq!(heard[heard.len() - 2..], [json!("CLOSE 1012"), json!("FIN")]);
    }
    assert_eq!(world.told(quiet), Vec::<Value>::new(), "who listens to nothing has missed nothing");
    let again = [0, 1].map(|place| world.tasks_listener(place, "anna"));
    world.pass(5 * SECOND);
    for conn in again {
        let mut ends = world.ends(conn);
        ends.sort_by_key(|(_, id)| id.to_string());
        let mut expected = ids.map(|id| (json!("task_completion"), json!(id))).to_vec();
        expected.sort_by_key(|(_, id)| id.to_string());
        assert_eq!(ends, expected);
    }
    world.leave_cluster(&[listeners[0], listeners[1], quiet, again[0], again[1]]);
}

#[test]
fn the_system_is_told_as_it_is_on_all_nodes() {
    let mut world = World::cluster(3, 1);
    let ring = world.ring(1, 3);
    let watchers = [0, 1].map(|place| world.guest(place, "anna"));
    watchers.into_iter().for_each(|conn| world.says(conn, "subscribe", &json!({"channel": "system_status"})));
    for home in 0..3 {
        world.made(0, by_agent(id_at(0, &[(&ring, home)]), "bert", LONG));
        world.made(0, Task { id: id_at(1_000, &[(&ring, home)]), ..by_hand(1, "bert") });
    }
    let told = |world: &mut World, conn| {
        let last = world.told(conn).pop().unwrap()["data"].clone();
        (last["active_tasks"].clone(), last["pending_tasks"].clone())
    };
    world.pass(SECOND);
    assert_eq!(watchers.map(|conn| told(&mut world, conn)), [(json!(3), json!(3)), (json!(3), json!(3))]);
    world.kill(2);
    world.view(2, 3);
    world.pass(SECOND);
    assert_eq!(
        watchers.map(|conn| told(&mut world, conn)),
        [(json!(2), json!(3)), (json!(2), json!(3))],
        "what waits for people waits"
    );
    world.begin_node();
    world.view(3, 4);
    let late = world.guest(3, "anna");
    world.says(late, "subscribe", &json!({"channel": "system_status"}));
    assert_eq!(told(&mut world, late), (json!(2), json!(3)), "who has just come knows it");
    world.tasks.tasks.clear();
    world.pass(5 * SECOND);
    assert_eq!(told(&mut world, watchers[0]), (json!(0), json!(0)));
    world.leave_cluster(&[watchers[0], watchers[1], late]);
}

#[test]
fn what_waits_at_a_node_that_stops_is_done_by_others() {
    let mut world = World::cluster(2, 1);
    let ring = world.ring(1, 2);
    let listener = world.tasks_listener(0, "anna");
    let running = world.made(0, by_agent(id_at(0, &[(&ring, 1)]), "anna", LONG));
    let run = Execution { id: id_at(0, &[(&ring, 1)]), ..review(1, "anna") };
    assert!(matches!(world.ask_tasks(0, Ask::Execute(Box::new(run.clone()))), Reply::Execution(_)));
    world.pass(SECOND / 2);
    let now = world.now;
    world.engines[1].drain(now);
    world.run();
    assert_eq!(world.ends(listener), [(json!("task_error"), json!(running))], "what runs has failed");
    let late = world.made(0, by_agent(id_at(1_000, &[(&ring, 1)]), "anna", "/count 2 1"));
    assert_eq!(world.cancel(0, late, "anna"), Reply::Refused(Refused::Stopping));
    world.pass(2 * SECOND);
    assert_eq!(world.tasks.tasks[&late].status, Status::Pending);
    world.kill(1);
    world.view(2, 2);
    world.pass(3 * SECOND);
    assert_eq!(world.ends(listener), [(json!("task_completion"), json!(late))]);
    assert_eq!(world.tasks.executions[&run.id].status, Status::Completed);
    world.leave_cluster(&[listener]);
}

#[test]
fn what_cannot_be_read_of_what_others_left_is_read_again() {
    let mut world = World::cluster(2, 1);
    let ring = world.ring(1, 2);
    let id = world.made(0, by_agent(id_at(0, &[(&ring, 1)]), "anna", LONG));
    world.pass(SECOND);
    world.kill(1);
    world.tasks.fault = Some(StoreFault::Busy);
    world.view(2, 2);
    world.pass(3 * SECOND);
    assert_eq!(world.tasks.tasks[&id].status, Status::InProgress);
    world.tasks.fault = None;
    world.pass(3 * SECOND);
    assert_eq!(world.tasks.tasks[&id].status, Status::Failed);
    world.leave_cluster(&[]);
}

#[test]
fn an_answer_that_is_lost_is_not_waited_for_without_an_end() {
    let mut world = World::cluster(2, 1);
    let ring = world.ring(1, 2);
    world.nodes.loses = |letter| matches!(letter, Letter::TasksReply { .. });
    let asked = world.engines[0].ask_tasks(Ask::Look { task: id_at(0, &[(&ring, 1)]), caller: as_guest("anna") });
    world.run();
    world.pass(9 * SECOND);
    assert!(world.engines[0].poll_tasks_reply(asked, Waker::noop()).is_pending());
    world.pass(2 * SECOND);
    let busy = Poll::Ready(Reply::Refused(Refused::Store(StoreFault::Busy)));
    assert_eq!(world.engines[0].poll_tasks_reply(asked, Waker::noop()), busy);
}
