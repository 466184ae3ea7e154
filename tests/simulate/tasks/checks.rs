//! What must hold of sockets, tasks and executions, at every moment and when all is quiet.

use super::{
    people::name,
    world::{ANY_NUMBER, Tasks},
};
use crate::chat::cast::PEOPLE;
use homeroom::{
    protocols::tasks::{
        Settings,
        model::{Status, Task},
    },
    realtime::{ConnId, ShardId},
};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// Who hears a ping later than that may be too late with a pong.
const LONG_STALL: Duration = Duration::from_secs(30);

impl Tasks {
    /// Nobody has more sockets than anybody may have.
    pub(crate) fn check_places(&self) {
        for (user, person) in PEOPLE.iter().enumerate() {
            let places = self.places_of(user);
            assert!(places <= self.plan.places, "{person} has {places} sockets");
        }
    }

    /// Of nobody more tasks wait on a shard than may, and have their turn there. One that somebody wants no more waits for the disk alone.
    pub(crate) fn check_crowds(&self) {
        let waits = |task: &&Task| task.status == Status::Pending && task.agent.is_some() && !self.unwanted.contains(&task.id);
        let mut crowds: BTreeMap<(ShardId, &str), usize> = BTreeMap::new();
        for task in self.book.tasks.values().filter(waits) {
            *crowds.entry((self.stage.ring.home(task.id.as_bytes()), &task.owner)).or_default() += 1;
        }
        let most = self.plan.of_user + self.plan.running;
        assert!(crowds.values().all(|crowd| *crowd <= most), "{most} of one user's may wait on one shard: {crowds:?}");
    }

    /// The sockets of a user that were welcomed and are there: of those that may be on their way out nobody knows.
    fn places_of(&self, user: usize) -> usize {
        let live = self.stage.plugs.iter().filter(|(_, plug)| plug.is_live());
        let is_own = |conn: &ConnId| {
            let ear = &self.ears[conn];
            let is_there = ear.is_welcome && !ear.says_goodbye && self.stage.is_settled(*conn);
            is_there && ear.who.is_some_and(|who| who.id.to_string() == name(user))
        };
        live.filter(|(conn, _)| is_own(conn)).count()
    }

    /// Why a socket was closed.
    pub(crate) fn check_farewell(&mut self, conn: ConnId, code: u16) {
        let (ear, plug) = (&self.ears[&conn], &self.stage.plugs[&conn]);
        let is_right = match (code, ear.reason.as_deref()) {
            // It is silent as long as it hears nothing.
            (1000, Some("session_timeout")) => !plug.pongs || plug.delay > LONG_STALL,
            (1000, None) => ear.says_goodbye,
            (1008, Some("rate_limit_exceeded")) => {
                let is_told = ear.error.as_deref() == Some("rate_limit_exceeded");
                let is_too_much = ear.subscriptions > self.plan.subscriptions || ear.messages > self.plan.messages;
                is_told && (!ear.is_welcome || is_too_much)
            }
            (1012, Some("server_shutdown")) => self.is_stopping,
            // What one turn brings is never too much, unless the last send is on its way still.
            (1013, Some("slow_consumer")) => plug.was_late,
            _ => false,
        };
        assert!(is_right, "{conn:?} is closed with {code}: {ear:?}");
        *self.counts.entry(format!("Close {code}")).or_default() += 1;
    }

    /// Somebody is told that something cannot be done now, only where that is so.
    pub(crate) fn check_unavailable(&self, conn: ConnId, data: &Value) {
        let asked = self.ears[&conn].asked.get(&data["request_data"].to_string());
        let waited = asked.map_or(Duration::ZERO, |asked| self.stage.now.moment.since(*asked));
        let is_right = match data["message"].as_str() {
            Some("The task was not stored or read in time") => waited >= Settings::default().keep_timeout,
            Some("The task could not be stored or read") => self.plan.busy + self.plan.failed > 0,
            Some("The server is shutting down") => self.is_stopping,
            // What has begun is asked for otherwise than what is to begin.
            Some("Too many of your tasks are waiting") => {
                self.plan.of_user < ANY_NUMBER && data["request_type"] == "execute_agent"
            }
            Some("Too many tasks are waiting") => self.plan.is_narrow || data["request_type"] != "execute_agent",
            _ => false,
        };
        assert!(is_right, "{conn:?} asked {waited:?} ago, and is told {data}");
    }

    /// When all letters have arrived, whatever models do: what somebody who may wanted no more is over.
    pub(crate) fn check_prompt(&mut self) {
        let may_fail = self.plan.busy + self.plan.failed > 0;
        for id in std::mem::take(&mut self.cancelled) {
            let task = self.book.tasks.get(&id);
            let is_over = task.is_none_or(|task| task.status.is_over());
            assert!(is_over || may_fail || self.is_stopping, "it was cancelled: {task:?}");
        }
    }

    /// When all is quiet, and models have said all they will: nothing waits for anything, everybody was told, and nothing is held.
    pub(crate) fn check_rest(&mut self) {
        assert!(self.asks.is_empty(), "asks were never answered: {:?}", self.asks);
        let stuck = self.book.open_tasks().find(|task| task.agent.is_some());
        assert!(stuck.is_none() || self.is_stopping, "nothing becomes of {stuck:?}");
        let stuck = self.book.open_executions().next();
        assert!(stuck.is_none() || self.is_stopping, "nothing becomes of {stuck:?}");
        for conn in self.stage.live() {
            let ear = self.ears.get_mut(&conn).expect("whoever is there hears");
            assert!(ear.is_welcome, "{conn:?} was never welcomed");
            ear.check_quiet(&self.book);
        }
        self.check_counts();
        self.check_levels();
    }

    /// Who wants to know how the system is, knows.
    fn check_counts(&self) {
        let number = |is_one: fn(Status) -> bool| self.book.tasks.values().filter(|task| is_one(task.status)).count() as u64;
        let active = number(|status| matches!(status, Status::InProgress | Status::Verifying));
        let pending = number(|status| status == Status::Pending);
        for conn in self.stage.live() {
            let ear = &self.ears[&conn];
            assert!(!ear.wants_status || ear.counts == Some((active, pending)), "{conn:?} knows {:?}", ear.counts);
        }
        for shard in &self.stage.shards {
            let counts = shard.engine.system_status().counts;
            assert_eq!((counts.active, counts.pending), (active, pending), "what a shard knows of the system");
        }
    }

    fn check_levels(&self) {
        let stage = &self.stage;
        let live = stage.live().len();
        let levels = [
            ("sockets", stage.level(|counters| counters.tasks_sockets.read()), live),
            ("counted sockets", stage.level(|counters| counters.tasks_counted.read()), live),
            ("tasks", stage.level(|counters| counters.tasks_known.read()), 0),
            ("executions", stage.level(|counters| counters.tasks_executions.read()), 0),
            ("running", stage.level(|counters| counters.tasks_running.read()), 0),
            ("waiting", stage.level(|counters| counters.tasks_waiting.read()), 0),
            ("writing", stage.level(|counters| counters.tasks_writing.read()), 0),
            ("played", stage.level(|counters| counters.models_played.read()), 0),
            ("asked", stage.level(|counters| counters.models_asked.read()), self.elsewhere.live()),
            ("connections", stage.level(|counters| counters.connections.read()), stage.plugs.len()),
        ];
        for (name, level, expected) in levels {
            assert_eq!(level, expected as u64, "{name}");
        }
    }

    /// When all is quiet one more of each user is let in where there is a place, and not where there is none.
    pub(crate) fn check_admission(&mut self) {
        for (user, person) in PEOPLE.iter().enumerate() {
            let places = self.places_of(user);
            let Some(conn) = self.comes(Some(user)) else { continue };
            self.calm(true);
            let is_in = self.ears.get(&conn).is_some_and(|ear| ear.is_welcome);
            let is_there = self.stage.plugs.contains_key(&conn);
            let is_right = if places < self.plan.places { is_in || !is_there } else { !is_in };
            assert!(is_right, "{person} has {places} sockets, and another is let in: {is_in}");
            self.count(if is_in { "let in" } else { "one too many" });
        }
    }

    /// All have gone: nothing is left of anything.
    pub(crate) fn check_empty(&self) {
        assert_eq!(self.stage.plugs.len(), 0, "sockets are left");
        assert_eq!(self.stage.level(|counters| counters.timers.read()), 0, "timers are left");
        assert_eq!(self.elsewhere.live(), 0, "models and tools run for ever");
        assert!(self.stage.shards.iter().all(|shard| shard.engine.is_empty()), "connections are left");
    }
}
