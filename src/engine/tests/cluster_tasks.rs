//! Tasks over several nodes: made, watched and cancelled from any of them, and no work is broken off because a node comes.

use super::{tasks::*, world::*};
use crate::{
    protocols::tasks::{
        Ask, Reply,
        asks::Refused,
        model::{Execution, Status, Task},
    },
    realtime::{ConnId, HashRing, NodeSlot},
};
use serde_json::{Value, json};
use std::{
    task::{Poll, Waker},
    time::Duration,
};
use uuid::Uuid;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// The first id after this that is at home on these nodes by these rings.
pub(super) fn id_at(after: u128, homes: &[(&HashRing, u8)]) -> Uuid {
    let is_there = |id: &Uuid| homes.iter().all(|(ring, slot)| ring.home(id.as_bytes()).node() == NodeSlot(*slot));
    (after + 1..).map(|n| Uuid::from_u128(n << 64 | n)).find(is_there).unwrap()
}

/// A task of a guest's that the built-in agent is to do.
pub(super) fn by_agent(id: Uuid, name: &str, words: &str) -> Task {
    Task { id, agent: Some("tutor".into()), task: words.into(), ..by_hand(1, name) }
}

pub(super) fn everything() -> Value {
    json!({"channel": "tasks"})
}

impl World {
    /// A task that is on disk, asked for on this shard.
    pub(super) fn made(&mut self, place: usize, task: Task) -> Uuid {
        let id = task.id;
        assert!(matches!(self.ask_tasks(place, Ask::Create(Box::new(task))), Reply::Task(_)));
        id
    }

    /// A guest who hears all that may be heard.
    pub(super) fn tasks_listener(&mut self, place: usize, name: &str) -> ConnId {
        let conn = self.guest(place, name);
        self.says(conn, "subscribe", &everything());
        conn
    }

    /// The ends that a connection has heard of, by their tasks' ids.
    pub(super) fn ends(&mut self, conn: ConnId) -> Vec<(Value, Value)> {
        let heard = self.told(conn).into_iter();
        let ended = heard.filter(|told| told["type"] == "task_completion" || told["type"] == "task_error");
        ended.map(|told| (told["type"].clone(), told["data"]["task_id"].clone())).collect()
    }

    pub(super) fn cancel(&mut self, place: usize, task: Uuid, name: &str) -> Reply {
        self.ask_tasks(place, Ask::Cancel { task, caller: as_guest(name) })
    }

    /// All who are on nodes that live leave, and nothing is left over there.
    pub(super) fn leave_cluster(&mut self, conns: &[ConnId]) {
        conns.iter().for_each(|conn| self.eof(*conn));
        self.pass(2 * SECOND);
        for engine in &self.engines {
            let counters = engine.counters();
            let levels = [&counters.tasks_sockets, &counters.tasks_counted, &counters.tasks_known, &counters.tasks_executions];
            assert_eq!(levels.map(|level| level.read()), [0; 4]);
            let levels = [&counters.tasks_running, &counters.tasks_waiting, &counters.tasks_writing];
            assert_eq!(levels.map(|level| level.read()), [0; 3]);
            assert_eq!((counters.models_played.read(), counters.topics.read()), (0, 0));
        }
    }
}

#[test]
fn a_task_is_made_watched_and_cancelled_on_any_node_wherever_its_home_is() {
    for home in 0..3 {
        let mut world = World::cluster(3, 2);
        let ring = world.ring(1, 3);
        let listeners = [(0, "anna"), (3, "anna"), (4, "admin")].map(|(place, name)| world.tasks_listener(place, name));
        let stranger = world.tasks_listener(5, "bert");
        let task = world.made(1, by_agent(id_at(0, &[(&ring, home)]), "anna", LONG));
        let late = world.guest(2, "anna");
        world.says(late, "subscribe", &json!({"channel": "task", "task_id": task}));
        assert_eq!(types(&world.told(late)), ["task_update"], "how it stands");
        world.pass(SECOND);
        let heard = listeners.map(|conn| world.told(conn));
        assert!(heard[0].len() > 3 && heard.iter().all(|one| *one == heard[0]), "{heard:?}");
        assert!(world.told(late).len() > 1);
        assert_eq!(world.cancel(5, task, "bert"), Reply::Refused(Refused::NotFound));
        let Reply::Task(cancelled) = world.cancel(4, task, "anna") else { panic!("it runs") };
        assert_eq!(cancelled.status, Status::Failed);
        for conn in listeners.into_iter().chain([late]) {
            assert_eq!(world.ends(conn), [(json!("task_error"), json!(task))]);
        }
        world.pass(5 * SECOND);
        assert_eq!(world.told(stranger), Vec::<Value>::new());
        assert_eq!(world.ask_tasks(3, Ask::Look { task, caller: as_guest("anna") }), Reply::Refused(Refused::NotHere));
        world.leave_cluster(&[listeners[0], listeners[1], listeners[2], stranger, late]);
    }
}

#[test]
fn a_socket_makes_a_task_and_an_execution_is_followed_on_another_node() {
    let mut world = World::cluster(3, 1);
    let maker = world.guest(0, "anna");
    let follower = world.tasks_listener(2, "anna");
    for _ in 0..6 {
        let task = world.execute(maker, "tutor", "/count 2 100");
        world.pass(SECOND);
        assert_eq!(world.ends(maker), [(json!("task_completion"), json!(task))]);
        assert_eq!(world.ends(follower), [(json!("task_completion"), json!(task))]);
    }
    let ring = world.ring(1, 3);
    for home in 0..3 {
        let run = Execution { id: id_at(0, &[(&ring, home)]), ..review(1, "anna") };
        assert!(matches!(world.ask_tasks(1, Ask::Execute(Box::new(run.clone()))), Reply::Execution(_)));
        world.says(follower, "subscribe", &json!({"channel": "workflow_execution", "execution_id": run.id}));
        world.pass(3 * SECOND);
        let told = world.told(follower);
        let last = &told.last().unwrap()["data"];
        assert_eq!((&last["status"], &last["execution_id"]), (&json!("completed"), &json!(run.id)));
    }
    world.leave_cluster(&[maker, follower]);
}

#[test]
fn news_go_to_nodes_where_somebody_listens_and_to_no_other() {
    let mut world = World::cluster(3, 2);
    let ring = world.ring(1, 3);
    let mut ids = (0..).map(|n| id_at(1_000 * n, &[(&ring, 0)]));
    let mut told = |world: &mut World| {
        world.nodes.news.clear();
        world.made(4, by_agent(ids.next().unwrap(), "anna", "/count 1 1"));
        world.pass(SECOND);
        let mut nodes: Vec<u8> = std::mem::take(&mut world.nodes.news).into_iter().map(|node| node.0).collect();
        let count = nodes.len();
        nodes.dedup();
        (nodes, count)
    };
    let listener = world.tasks_listener(0, "anna");
    assert!(told(&mut world).0.is_empty());
    let stranger = world.tasks_listener(2, "bert");
    assert!(told(&mut world).0.is_empty());
    let far = world.tasks_listener(2, "anna");
    let (nodes, count) = told(&mut world);
    assert_eq!(nodes, [1]);
    assert_eq!(world.told(far).len(), count, "one letter for each, however many shards the node has");
    let admin = world.tasks_listener(2, "admin");
    let (nodes, again) = told(&mut world);
    assert_eq!((nodes, again), (vec![1], count), "one letter, whoever listens");
    [far, admin].into_iter().for_each(|conn| world.says(conn, "unsubscribe", &everything()));
    assert!(told(&mut world).0.is_empty());
    world.leave_cluster(&[listener, stranger, far, admin]);
}

#[test]
fn an_eleventh_socket_is_refused_on_whatever_node() {
    let mut world = World::cluster(3, 2);
    let mut conns: Vec<ConnId> = (0..10).map(|n| world.guest(n % 6, "anna")).collect();
    for place in 0..6 {
        let refused = world.tasks_socket(place, &format!("?token={}", guest("anna")), "");
        assert_eq!(types(&world.told(refused))[..3], ["101", "error", "connection_closed"]);
        conns.push(refused);
    }
    let other = world.guest(0, "bert");
    world.eof(conns[4]);
    conns.push(world.guest(1, "anna"));
    conns.push(other);
    world.leave_cluster(&conns);
}

#[test]
fn sockets_stay_counted_when_homes_move_nodes_die_and_links_break() {
    let mut world = World::cluster(2, 2);
    let conns: Vec<ConnId> = (0..8).map(|n| world.guest(n % 4, "anna")).collect();
    let is_full = |world: &mut World, place: usize| {
        let conn = world.tasks_socket(place, &format!("?token={}", guest("anna")), "");
        let is_refused = types(&world.told(conn))[1] == "error";
        world.eof(conn);
        is_refused
    };
    world.begin_node();
    world.view(2, 3);
    let more = [world.guest(4, "anna"), world.guest(5, "anna")];
    assert!((0..6).all(|place| is_full(&mut world, place)));
    world.cut(0, 1);
    world.mend(0, 1);
    assert!((0..6).all(|place| is_full(&mut world, place)), "a link broke");
    world.kill(1);
    world.view(3, 3);
    let last: Vec<ConnId> = (0..4).map(|_| world.guest(4, "anna")).collect();
    assert!([0, 1, 4, 5].into_iter().all(|place| is_full(&mut world, place)), "four went with their node");
    let left = conns.into_iter().filter(|conn| conn.shard.node().0 != 1);
    world.leave_cluster(&left.chain(more).chain(last).collect::<Vec<_>>());
}

#[test]
fn work_goes_on_where_it_is_when_a_node_comes() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let mut world = World::cluster(2, 1);
    let listener = world.tasks_listener(0, "anna");
    let ids = [0, 1_000, 2_000].map(|n| id_at(n, &[(&before, 1), (&after, 2)]));
    ids.into_iter().for_each(|id| _ = world.made(0, by_agent(id, "anna", LONG)));
    world.pass(SECOND);
    world.told(listener);
    world.begin_node();
    world.view(2, 3);
    assert_eq!(world.told(listener), Vec::<Value>::new(), "nobody notices");
    // It is asked for at its new home, which has nothing of it.
    let Reply::Task(seen) = world.ask_tasks(2, Ask::Look { task: ids[0], caller: as_guest("anna") }) else { panic!("it runs") };
    assert!(seen.status == Status::InProgress && seen.progress > 0.05);
    let watcher = world.guest(2, "anna");
    world.says(watcher, "subscribe", &json!({"channel": "task", "task_id": ids[0]}));
    assert_eq!(types(&world.told(watcher)), ["task_update"]);
    assert!(matches!(world.cancel(0, ids[1], "anna"), Reply::Task(_)));
    world.says(watcher, "cancel_task", &json!({"task_id": ids[2]}));
    world.pass(5 * SECOND);
    let ends = world.ends(listener);
    assert_eq!(ends.len(), 3, "{ends:?}");
    assert!(ends.contains(&(json!("task_completion"), json!(ids[0]))));
    assert_eq!(world.ends(watcher).len(), 2, "of what it watches, and of what it cancelled");
    // What nothing goes on with is its new home's.
    assert_eq!(world.cancel(1, ids[0], "anna"), Reply::Refused(Refused::Over));
    assert_eq!(world.engines[2].counters().tasks_known.read(), 0);
    world.leave_cluster(&[listener, watcher]);
}

#[test]
fn work_goes_on_over_any_number_of_views() {
    let mut world = World::cluster(2, 1);
    let rings: Vec<_> = (2..=6).map(|nodes| World::cluster(nodes, 1).ring(1, nodes)).collect();
    // At home on another node by nearly every view, and back where it was by the last one.
    let id = id_at(0, &[(&rings[0], 0), (&rings[1], 2), (&rings[2], 3)]);
    let listener = world.tasks_listener(1, "anna");
    world.made(1, by_agent(id, "anna", LONG));
    for nodes in 3..=6 {
        world.begin_node();
        world.view(u64::from(nodes), nodes);
        world.pass(SECOND / 4);
        let Reply::Task(seen) = world.ask_tasks(usize::from(nodes) - 1, Ask::Look { task: id, caller: as_guest("anna") }) else {
            panic!("it runs")
        };
        assert_eq!(seen.status, Status::InProgress);
    }
    for dead in [3, 5] {
        world.kill(dead);
        world.view(10 + u64::from(dead), 6);
        world.pass(SECOND / 4);
    }
    world.pass(5 * SECOND);
    assert_eq!(world.ends(listener), [(json!("task_completion"), json!(id))]);
    world.leave_cluster(&[listener]);
}

#[test]
fn what_is_said_to_a_home_that_moves_waits_until_it_is_known_who_has_it() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let mut world = World::cluster(2, 1);
    let id = world.made(0, by_agent(id_at(0, &[(&before, 1), (&after, 2)]), "anna", LONG));
    world.begin_node();
    let nodes: Vec<_> = after.shards().collect();
    world.view_comes(nodes[0], &after);
    world.view_comes(nodes[2], &after);
    world.run();
    let asked = world.engines[0].ask_tasks(Ask::Cancel { task: id, caller: as_guest("anna") });
    world.run();
    assert!(world.engines[0].poll_tasks_reply(asked, Waker::noop()).is_pending(), "one shard may have it, and has not said so");
    world.view_comes(nodes[1], &after);
    world.run();
    let Poll::Ready(Reply::Task(ended)) = world.engines[0].poll_tasks_reply(asked, Waker::noop()) else { panic!("it runs") };
    assert_eq!(ended.error.as_deref(), Some("Cancelled by user"));
    world.leave_cluster(&[]);
}
