//! What each node of several has for itself: tasks. Who is in the cluster, and what becomes of them, is nothing to these.

use super::world::*;
use crate::protocols::{
    tasks::{self, Ask as TasksAsk},
};
use uuid::Uuid;

/// Every shard of each of two nodes asks, while the other node is dead and nobody knows of that.
#[test]
fn tasks_of_a_node_need_no_other() {
    for (shard, other) in [(0, 1), (1, 1), (2, 0), (3, 0)] {
        let mut world = World::cluster(2, 2);
        world.kill(other);
        for id in (1..=16).map(Uuid::from_u128) {
            let caller = tasks::model::Caller { user: "anna".into(), admin: false };
            let task = world.ask_tasks(shard, TasksAsk::Look { task: id, caller });
            assert_eq!(task, tasks::Reply::Refused(tasks::asks::Refused::NotHere));
        }
    }
}
