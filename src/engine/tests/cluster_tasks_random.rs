//! Tasks on nodes that come, die and lose sight of each other, in any order: no task is done twice, each has one end, whoever listens hears
//! of it once, and nothing is left over.

use super::{cluster_tasks::by_agent, tasks::*, world::*};
use crate::{
    engine::Letter,
    protocols::tasks::{
        Ask, Hold, Interest, Reply, ToUser,
        model::{Execution, Status},
    },
    realtime::{ConnId, HashRing, NodeSlot, ShardId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

const SEEDS: u64 = 40;
/// Longer than anything takes that was made.
const LONG_AFTER: Duration = Duration::from_secs(20);

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides as u64) as usize
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.roll(items.len())]
    }
}

/// A school whose nodes are as the dice have it.
struct School {
    world: World,
    dice: Dice,
    nodes: u8,
    dead: Vec<u8>,
    view: u64,
    made: Vec<Uuid>,
    runs: Vec<Uuid>,
    listeners: BTreeMap<ConnId, BTreeSet<String>>,
    /// Who has a view still to come, and which.
    late: Vec<(ShardId, Arc<HashRing>)>,
}

impl School {
    fn new(seed: u64, loses: fn(&Letter) -> bool) -> School {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1);
        let nodes = 2 + dice.roll(2) as u8;
        let mut world = World::cluster(nodes, 1);
        world.nodes.loses = loses;
        let (made, runs) = (Vec::new(), Vec::new());
        let mut school =
            School { world, dice, nodes, dead: Vec::new(), view: 1, made, runs, listeners: BTreeMap::new(), late: Vec::new() };
        school.listen();
        school
    }

    /// Those at which somebody may be: nobody comes to a node before it has its first view.
    fn living(&self) -> Vec<u8> {
        let has_begun = |node: &u8| self.world.engines[usize::from(*node)].seen().number() > 0;
        (0..self.nodes).filter(|node| !self.dead.contains(node)).filter(has_begun).collect()
    }

    fn somewhere(&mut self) -> usize {
        let living = self.living();
        usize::from(self.dice.of(&living))
    }

    /// On every node that lives somebody listens to all.
    fn listen(&mut self) {
        for node in self.living() {
            if !self.listeners.keys().any(|conn| conn.shard.node() == NodeSlot(node)) {
                let conn = self.world.tasks_listener(usize::from(node), "admin");
                self.listeners.insert(conn, BTreeSet::new());
            }
        }
    }

    /// What was heard meanwhile: of no task two ends.
    fn hear(&mut self) {
        for conn in self.listeners.keys().copied().collect::<Vec<_>>() {
            for told in self.world.told(conn) {
                if told == "CLOSE 1012" {
                    self.listeners.remove(&conn);
                    self.world.eof(conn);
                    self.world.told(conn);
                    break;
                }
                let is_end = told["type"] == "task_completion" || told["type"] == "task_error";
                if let (true, Some(heard)) = (is_end, self.listeners.get_mut(&conn)) {
                    assert!(heard.insert(told["data"]["task_id"].to_string()), "two ends: {told}");
                }
            }
        }
    }

    fn make(&mut self) {
        let id = Uuid::from_u128(u128::from(self.dice.0) << 64 | self.made.len() as u128 | 1 << 60);
        let (place, words) = (self.somewhere(), ["/count 2 10", "/count 10 100", LONG][self.dice.roll(3)]);
        if self.dice.roll(5) == 0 {
            let run = Execution { id, ..review(1, "anna") };
            self.world.engines[place].ask_tasks(Ask::Execute(Box::new(run)));
            self.runs.push(id);
        } else {
            self.world.engines[place].ask_tasks(Ask::Create(Box::new(by_agent(id, "anna", words))));
            self.made.push(id);
        }
        self.world.run();
    }

    fn disturb(&mut self) {
        if self.made.is_empty() {
            return;
        }
        let (place, task) = (self.somewhere(), self.dice.of(&self.made.clone()));
        let caller = as_guest("anna");
        let ask = if self.dice.roll(3) == 0 { Ask::Cancel { task, caller } } else { Ask::Look { task, caller } };
        self.world.engines[place].ask_tasks(ask);
        self.world.run();
    }

    fn another_view(&mut self) {
        self.view += 1;
        let ring = self.world.ring(self.view, self.nodes);
        // Each shard hears of it in its own time.
        for shard in ring.shards() {
            self.late.push((shard, ring.clone()));
        }
        (0..self.dice.roll(3)).for_each(|_| self.tell_one());
    }

    /// One more shard hears of the next view that it does not know.
    fn tell_one(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let at = self.dice.roll(self.late.len());
        let shard = self.late[at].0;
        let first = self.late.iter().position(|(late, _)| *late == shard).unwrap();
        let (shard, ring) = self.late.remove(first);
        self.world.view_comes(shard, &ring);
        self.world.run();
    }

    fn all_know(&mut self) {
        while !self.late.is_empty() {
            self.tell_one();
        }
    }

    fn die(&mut self) {
        if self.living().len() < 2 {
            return;
        }
        let node = self.somewhere() as u8;
        self.dead.push(node);
        self.world.kill(node);
        self.late.retain(|(shard, _)| shard.node() != NodeSlot(node));
        self.listeners.retain(|conn, _| conn.shard.node() != NodeSlot(node));
        self.another_view();
    }

    fn come(&mut self) {
        if self.nodes < 6 {
            self.nodes += 1;
            self.world.begin_node();
            self.another_view();
        }
    }

    /// The link of two nodes breaks for a while; while all know the view, so that it is known between whom it was.
    fn part(&mut self) {
        self.all_know();
        let living = self.living();
        let (one, other) = (self.dice.of(&living), self.dice.of(&living));
        if one != other {
            self.world.cut(one, other);
            self.make();
            self.world.pass(Duration::from_millis(200));
            self.world.mend(one, other);
        }
    }

    fn step(&mut self) {
        match self.dice.roll(24) {
            0..7 => self.make(),
            7..11 => self.disturb(),
            11 => self.die(),
            12 => self.come(),
            13 => self.part(),
            14..19 => self.tell_one(),
            _ => {
                let time = Duration::from_millis(1 + self.dice.roll(900) as u64);
                self.world.pass(time);
            }
        }
        self.hear();
        if self.late.is_empty() {
            self.listen();
        }
    }

    fn rest(&mut self) {
        self.all_know();
        self.world.pass(LONG_AFTER);
        self.hear();
        self.listen();
        // Until levels are drawn anew.
        self.world.pass(Duration::from_secs(2));
        assert!(self.world.tasks.tasks.values().all(|task| task.status.is_over()), "{:?}", self.world.tasks.statuses());
        let is_over = |run: &Execution| run.status.is_over();
        assert!(self.world.tasks.executions.values().all(is_over));
        let counted = |counter: fn(&crate::engine::Counters) -> u64| {
            let living = self.living().into_iter().map(usize::from);
            living.map(|node| counter(self.world.engines[node].counters())).sum::<u64>()
        };
        assert_eq!(counted(|counters| counters.tasks_counted.read()), self.listeners.len() as u64);
        // Whoever listens hears of what is made anywhere.
        for node in self.living() {
            let count = self.made.len();
            while self.made.len() == count {
                self.make();
            }
            let last = self.made[count];
            self.world.pass(Duration::from_secs(5));
            let reply = self.world.ask_tasks(usize::from(node), Ask::Cancel { task: last, caller: as_guest("anna") });
            assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
            self.hear();
            for (conn, heard) in &self.listeners {
                assert!(heard.contains(&format!("\"{last}\"")), "{conn:?} was not told of the end of {last}");
            }
        }
        self.check_disk();
    }

    /// Each task began once at most, and ended once.
    fn check_disk(&self) {
        let mut courses: BTreeMap<Uuid, Vec<Status>> = BTreeMap::new();
        for (id, status) in &self.world.tasks.writes {
            courses.entry(*id).or_default().push(*status);
        }
        for (id, course) in courses {
            let begun = course.iter().filter(|status| **status == Status::InProgress).count();
            let ended = course.iter().filter(|status| status.is_over()).count();
            assert!(begun <= 1 && ended == 1 && course.last().is_some_and(|last| last.is_over()), "{id}: {course:?}");
        }
    }

    fn leave(mut self) {
        self.rest();
        let conns: Vec<ConnId> = self.listeners.keys().copied().collect();
        self.world.leave_cluster(&conns);
    }
}

fn run(seed: u64, loses: fn(&Letter) -> bool) {
    let mut school = School::new(seed, loses);
    for step in 0..120 {
        school.step();
        if step % 60 == 59 {
            school.rest();
        }
    }
    school.leave();
}

#[test]
fn whatever_nodes_do_each_task_has_one_end() {
    (0..SEEDS).for_each(|seed| run(seed, |_| false));
}

/// Whether one of the seeds finds that something is lost.
fn is_found(loses: fn(&Letter) -> bool) -> bool {
    (0..SEEDS).any(|seed| catch_unwind(AssertUnwindSafe(|| run(seed, loses))).is_err())
}

#[test]
fn what_must_not_be_lost_is_missed() {
    assert!(is_found(|letter| matches!(letter, Letter::TasksHold(Hold::Goes(_)))), "what a shard keeps");
    assert!(is_found(|letter| matches!(letter, Letter::TasksInterest(Interest::More(_)))), "what is listened to");
    assert!(is_found(|letter| matches!(letter, Letter::TasksUser(ToUser::Move { .. }))), "who is counted");
}
