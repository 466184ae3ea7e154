//! What one socket of tasks hears, and what must hold of that: nothing of others, nothing that it does not want, each change once and
//! forwards, nothing before it is on disk and nothing behind an end.

use super::book::{Book, rank};
use homeroom::{
    protocols::tasks::{
        ExecutionId, TaskId,
        model::{Execution, Status},
    },
    realtime::Moment,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) admin: bool,
}

/// What was heard last of a task.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Heard {
    pub(crate) status: Status,
    progress: f64,
}

/// See the file.
#[derive(Debug)]
pub(crate) struct Ear {
    /// None: with a token that is not good.
    pub(crate) who: Option<Person>,
    pub(crate) is_welcome: bool,
    /// It subscribed to all of its tasks.
    pub(crate) wants_all: bool,
    pub(crate) wants_status: bool,
    /// What it subscribed to, and tasks that it made.
    pub(crate) wants: BTreeSet<Uuid>,
    /// What it did not want any more after that: it may be on its way.
    pub(crate) wanted: BTreeSet<Uuid>,
    /// What could not be read when it asked once more: what it heard of before it still hears of.
    perhaps: BTreeSet<Uuid>,
    pub(crate) wanted_all: bool,
    pub(crate) wanted_status: bool,
    /// What it asked for before anybody was told of that.
    doubtful: BTreeSet<Uuid>,
    /// How often it may be told what it knows, because it asked.
    pub(crate) shows: BTreeMap<Uuid, usize>,
    /// When it first asked for something, in so many words.
    pub(crate) asked: BTreeMap<String, Moment>,
    /// What it wants done, in words.
    pub(crate) made: BTreeSet<String>,
    /// What it did not want any more.
    unwanted: BTreeSet<Uuid>,
    pub(crate) tasks: BTreeMap<TaskId, Heard>,
    /// Which of the forms of an execution it may have heard last.
    courses: BTreeMap<ExecutionId, BTreeSet<usize>>,
    /// Active and pending.
    pub(crate) counts: Option<(u64, u64)>,
    /// The last error's code, and why it was told that it is closed.
    pub(crate) error: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) subscriptions: usize,
    pub(crate) messages: usize,
    pub(crate) says_goodbye: bool,
    /// How tasks stood when all was quiet, if it has wanted to hear of all of them since.
    pub(crate) settled: Option<BTreeMap<TaskId, Status>>,
}

impl Ear {
    pub(crate) fn new(who: Option<Person>) -> Ear {
        Ear {
            who,
            is_welcome: false,
            wants_all: false,
            wants_status: false,
            wants: BTreeSet::new(),
            wanted: BTreeSet::new(),
            perhaps: BTreeSet::new(),
            wanted_all: false,
            wanted_status: false,
            doubtful: BTreeSet::new(),
            shows: BTreeMap::new(),
            asked: BTreeMap::new(),
            made: BTreeSet::new(),
            unwanted: BTreeSet::new(),
            tasks: BTreeMap::new(),
            courses: BTreeMap::new(),
            counts: None,
            error: None,
            reason: None,
            subscriptions: 0,
            messages: 0,
            says_goodbye: false,
            settled: None,
        }
    }

    pub(crate) fn sees(&self, owner: &str) -> bool {
        self.who.is_some_and(|who| who.admin || who.id.to_string() == owner)
    }

    /// It asks how something stands.
    pub(crate) fn asks_for(&mut self, about: Uuid, book: &Book) {
        if !book.told.contains(&about) {
            self.doubtful.insert(about);
        }
        self.wants.insert(about);
        self.wanted.insert(about);
        self.may_be_shown(about);
    }

    /// It does not want to hear of it.
    pub(crate) fn unsubscribes(&mut self, about: Uuid) {
        self.wants.remove(&about);
        if self.perhaps.remove(&about) {
            // Some may be on its way.
            self.wanted.insert(about);
        }
        self.unwanted.insert(about);
        self.courses.remove(&about);
    }

    pub(crate) fn may_be_shown(&mut self, about: Uuid) {
        *self.shows.entry(about).or_default() += 1;
    }

    pub(crate) fn hears(&mut self, text: &Value, book: &Book) -> Result<&'static str, String> {
        let kind = text["type"].as_str().ok_or("it has no type")?;
        let data = &text["data"];
        if self.reason.is_some() {
            return Err("it was told before that it is closed".into());
        }
        let is_first = !self.is_welcome && kind != "connection_established";
        if is_first && !matches!(kind, "error" | "connection_closed") {
            return Err("it was not welcomed".into());
        }
        match kind {
            "connection_established" if self.is_welcome || self.who.is_none() => Err("it is welcomed twice, or unknown".into()),
            "connection_established" => {
                self.is_welcome = true;
                Ok("welcomes")
            }
            "task_update" | "task_completion" | "task_error" => self.hears_task(kind, data, book),
            "workflow_execution_update" => self.hears_execution(data, book),
            "system_status_update" => {
                let number = |name: &str| data[name].as_u64().ok_or("no number");
                self.counts = Some((number("active_tasks")?, number("pending_tasks")?));
                if self.wanted_status { Ok("updates of the system") } else { Err("it did not ask how the system is".into()) }
            }
            "ping" | "pong" => Ok("pings and pongs"),
            "error" => self.hears_error(data, book),
            "connection_closed" => {
                self.reason = Some(data["reason"].as_str().ok_or("no reason")?.to_owned());
                Ok("told why they are closed")
            }
            other => Err(format!("nobody knows what {other} is")),
        }
    }

    fn hears_task(&mut self, kind: &str, data: &Value, book: &Book) -> Result<&'static str, String> {
        let id = about(data, "task_id")?;
        let history = book.history.get(&id).ok_or("it is not on disk")?;
        let task = history.last().ok_or("it is not on disk")?;
        if !self.sees(&task.owner) {
            return Err("it is another's".into());
        }
        let is_own = self.made.contains(&*task.task);
        if !(self.wanted_all || self.wanted.contains(&id) || self.perhaps.contains(&id) || is_own) {
            return Err("nobody asked for it".into());
        }
        let status: Status = serde_json::from_value(data["status"].clone()).map_err(|_| "no status")?;
        let fits = match kind {
            "task_update" => !status.is_over(),
            "task_completion" => status == Status::Completed,
            _ => status == Status::Failed,
        };
        let is_there = history.iter().any(|row| row.status == status);
        if !fits || !is_there {
            return Err(format!("{status:?} was never on disk"));
        }
        if kind == "task_completion" && data["result"] != normal(task.result.as_deref().unwrap_or("null")) {
            return Err(format!("its result on disk is {:?}", task.result));
        }
        if kind == "task_error" && data["error"].as_str() != task.error.as_deref() {
            return Err(format!("its error on disk is {:?}", task.error));
        }
        let before = self.tasks.get(&id).copied();
        let progress = data["progress"].as_f64().unwrap_or(before.map_or(0.0, |before| before.progress));
        let now = Heard { status, progress };
        self.tasks.insert(id, now);
        let Some(before) = before else { return Ok("news of tasks") };
        if rank(before.status) > rank(status) || before.progress > progress {
            return Err(format!("it was {before:?} before"));
        }
        if before.status.is_over() || before == now {
            let shows = self.shows.entry(id).or_default();
            *shows = shows.checked_sub(1).ok_or("it was told that before")?;
        }
        Ok("news of tasks")
    }

    fn hears_execution(&mut self, data: &Value, book: &Book) -> Result<&'static str, String> {
        let id = about(data, "execution_id")?;
        let courses = book.courses.get(&id).ok_or("it is not on disk")?;
        if !self.sees(&courses[0].owner) {
            return Err("it is another's".into());
        }
        if !(self.wanted.contains(&id) || self.perhaps.contains(&id)) {
            return Err("nobody asked for it".into());
        }
        let status: Status = serde_json::from_value(data["status"].clone()).map_err(|_| "no status")?;
        let step = data["current_step_id"].as_str();
        let alike = |course: &Execution| course.status == status && course.current_step.as_deref() == step;
        let is_alike = |place: &usize| courses.get(*place).is_some_and(alike);
        let shows = self.shows.entry(id).or_default();
        let places = match self.courses.get(&id) {
            None => (0..courses.len()).filter(is_alike).collect(),
            Some(before) => {
                let next: BTreeSet<usize> = before.iter().map(|place| place + 1).filter(is_alike).collect();
                let first = before.first().copied().unwrap_or_default();
                // Who did not listen in between is shown how it stands now, wherever that is; others what they know.
                let is_away = self.unwanted.contains(&id);
                let may_show = |place: &usize| *shows > 0 && (is_away || before.contains(place)) && is_alike(place);
                let same: BTreeSet<usize> = (first..courses.len()).filter(may_show).collect();
                if next.is_empty() {
                    *shows = shows.saturating_sub(1);
                }
                next.union(&same).copied().collect::<BTreeSet<usize>>()
            }
        };
        if places.is_empty() {
            return Err(format!("what came behind what it knew is {:?}", self.courses.get(&id)));
        }
        self.courses.insert(id, places);
        Ok("news of executions")
    }

    fn hears_error(&mut self, data: &Value, book: &Book) -> Result<&'static str, String> {
        let code = data["code"].as_str().ok_or("no code")?;
        self.error = Some(code.to_owned());
        let asked = &data["request_data"];
        match (code, data["request_type"].as_str()) {
            ("invalid_subscription", Some("subscribe")) => {
                for name in ["task_id", "execution_id"] {
                    let Some(id) = asked[name].as_str().and_then(|id| Uuid::try_parse(id).ok()) else { continue };
                    let task = book.tasks.get(&id).filter(|task| self.sees(&task.owner));
                    let execution = book.executions.get(&id).filter(|execution| self.sees(&execution.owner));
                    let is_there = task.is_some() || execution.is_some();
                    if is_there && !self.doubtful.contains(&id) {
                        return Err("it is there".into());
                    }
                    self.wants.remove(&id);
                }
                Ok("told that nothing is there")
            }
            ("invalid_request" | "service_unavailable", Some("subscribe")) => {
                let ids = ["task_id", "execution_id"].map(|name| asked[name].as_str().and_then(|id| Uuid::try_parse(id).ok()));
                let unread: Vec<Uuid> = ids.into_iter().flatten().filter(|id| self.wants.remove(id)).collect();
                self.perhaps.extend(unread);
                Ok("told that nothing can be read")
            }
            ("invalid_request", _) => Ok("told that it cannot be done"),
            ("service_unavailable", _) => Ok("told that it cannot be done now"),
            ("rate_limit_exceeded", _) => Ok("told that it is too much"),
            (other, kind) => Err(format!("nobody speaks of {other} to {kind:?}")),
        }
    }

    /// When all is quiet: what it wants, it was told all of.
    pub(crate) fn check_quiet(&mut self, book: &Book) {
        for (id, task) in book.tasks.iter().filter(|(_, task)| self.sees(&task.owner)) {
            let is_news = self.settled.as_ref().is_some_and(|settled| settled.get(id) != Some(&task.status));
            let heard = self.tasks.get(id).map(|heard| heard.status);
            let is_own = self.made.contains(&*task.task) && !self.unwanted.contains(id) && !self.doubtful.contains(id);
            let wants = is_own || self.wants.contains(id) || is_news;
            assert!(!wants || heard == Some(task.status), "it heard {heard:?} of {task:?}");
        }
        for (id, courses) in book.courses.iter().filter(|(id, _)| self.wants.contains(id)) {
            let last = courses.len() - 1;
            let heard = self.courses.get(id);
            assert!(heard.is_some_and(|heard| heard.contains(&last)), "it heard {heard:?} of {courses:?}");
        }
        // From now on nothing is on its way.
        self.wanted = self.wants.clone();
        (self.wanted_all, self.wanted_status) = (self.wants_all, self.wants_status);
        self.shows.clear();
        self.settled = self.wants_all.then(|| book.tasks.values().map(|task| (task.id, task.status)).collect());
    }
}

fn about(data: &Value, name: &str) -> Result<Uuid, String> {
    data[name].as_str().and_then(|id| Uuid::try_parse(id).ok()).ok_or_else(|| format!("no {name}"))
}

fn normal(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}
