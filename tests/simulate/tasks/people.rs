//! People at sockets: they subscribe and do not, let agents work, want it no more, and go at any moment.

use super::{
    ears::{Ear, Person},
    faults::Fault,
    world::Tasks,
};
use crate::{
    chat::cast::{PEOPLE, caller, token},
    labs::socket::Heard,
    world::note,
};
use homeroom::realtime::ConnId;
use serde_json::{Value, json};
use uuid::Uuid;

/// Whose a person's tasks are.
pub(crate) fn name(user: usize) -> String {
    caller(user).id.to_string()
}

impl Tasks {
    pub(crate) fn someone_comes(&mut self) {
        if self.ears.len() < self.plan.sockets {
            let user = *self.stage.dice.pick(&[0, 0, 0, 0, 1, 1, 2]);
            let who = if self.stage.dice.percent(4) { None } else { Some(user) };
            self.comes(who);
        }
    }

    pub(crate) fn comes(&mut self, user: Option<usize>) -> Option<ConnId> {
        let word = user.map_or("no.to.ken", token);
        let conn = self.stage.accept(&format!("/ws?token={word}"))?;
        let who = user.map(|user| Person { id: caller(user).id, admin: caller(user).admin });
        note!(self.stage, "{conn:?} is {:?}", user.map(|user| PEOPLE[user]));
        self.ears.insert(conn, Ear::new(who));
        // The first message may come right behind the head.
        if self.stage.dice.percent(30) {
            self.says_something(conn);
        }
        self.turn(self.stage.place(conn.shard));
        Some(conn)
    }

    pub(crate) fn socket_acts(&mut self) {
        let Some(conn) = self.stage.someone() else { return };
        match self.stage.dice.below(100) {
            0..70 => self.says_something(conn),
            70 => {
                self.ears.get_mut(&conn).into_iter().for_each(|ear| ear.says_goodbye = true);
                self.stage.say(conn, 0x88, &[0x03, 0xE8]);
            }
            71..73 => self.stage.end(conn),
            _ => {}
        }
    }

    fn says_something(&mut self, conn: ConnId) {
        match self.stage.dice.below(100) {
            0..22 => self.executes(conn),
            22..30 => self.subscribes_to_all(conn),
            30..34 => {
                let is_said = self.says(conn, &json!({"type": "subscribe", "data": {"channel": "system_status"}}));
                let ear = self.ears.get_mut(&conn).filter(|_| is_said);
                ear.into_iter().for_each(|ear| {
                    (ear.wants_status, ear.wanted_status) = (true, true);
                    ear.subscriptions += 1;
                });
            }
            34..52 => self.subscribes(conn),
            52..64 => self.unsubscribes(conn),
            64..84 => self.cancels(conn),
            84..88 => _ = self.says(conn, &json!({"type": "ping", "data": {"timestamp": "2025-03-01T12:00:00Z"}})),
            88..90 => _ = self.says(conn, &json!([])),
            90..92 => _ = self.says(conn, &json!({"type": "nothing"})),
            92..94 => _ = self.says(conn, &json!({"type": "subscribe", "data": {"channel": "task", "task_id": "task-123"}})),
            _ => {
                self.says(conn, &json!({"type": "execute_agent", "data": {"agent_id": "nobody", "task": "x"}}));
            }
        }
    }

    fn says(&mut self, conn: ConnId, text: &Value) -> bool {
        let is_said = self.stage.say(conn, 0x81, text.to_string().as_bytes());
        if let Some(ear) = self.ears.get_mut(&conn).filter(|_| is_said) {
            ear.messages += 1;
            ear.asked.entry(text["data"].to_string()).or_insert(self.stage.now.moment);
        }
        is_said
    }

    pub(crate) fn words(&mut self) -> String {
        self.last_words += 1;
        let n = self.last_words;
        match self.stage.dice.below(10) {
            0 | 1 => format!("/count {} {} #{n}", self.stage.dice.between(2, 30), self.stage.dice.below(150)),
            2 => format!(r#"look {{"n":{n}}}"#),
            3 => format!(r#"send {{"n":{n}}}"#),
            _ => format!("task {n}"),
        }
    }

    fn executes(&mut self, conn: ConnId) {
        let agent = *self.stage.dice.pick(&["far", "far", "tutor"]);
        let words = self.words();
        if self.says(conn, &json!({"type": "execute_agent", "data": {"agent_id": agent, "task": words}})) {
            self.ears.get_mut(&conn).into_iter().for_each(|ear| _ = ear.made.insert(words.clone()));
            self.count("agents that are to work");
        }
    }

    fn subscribes_to_all(&mut self, conn: ConnId) {
        if self.says(conn, &json!({"type": "subscribe", "data": {"channel": "tasks"}}))
            && let Some(ear) = self.ears.get_mut(&conn)
        {
            (ear.wants_all, ear.wanted_all) = (true, true);
            ear.subscriptions += 1;
        }
    }

    /// A task or an execution, as a rule one that is there and may be seen.
    fn something(&mut self, conn: ConnId) -> Option<(&'static str, Uuid)> {
        let ear = &self.ears[&conn];
        let is_any = self.stage.dice.percent(8);
        let sees = |owner: &str| is_any || ear.sees(owner);
        let tasks: Vec<Uuid> = self.book.tasks.values().filter(|task| sees(&task.owner)).map(|task| task.id).collect();
        let executions = self.book.executions.values().filter(|execution| sees(&execution.owner));
        let executions: Vec<Uuid> = executions.map(|execution| execution.id).collect();
        // Newest last, and more often.
        let recent = |all: &[Uuid], dice: &mut crate::dice::Dice| {
            let from = if dice.percent(70) { all.len().saturating_sub(4) } else { 0 };
            (!all.is_empty()).then(|| *dice.pick(&all[from..]))
        };
        if self.stage.dice.percent(60) {
            recent(&tasks, &mut self.stage.dice).map(|id| ("task", id))
        } else {
            recent(&executions, &mut self.stage.dice).map(|id| ("workflow_execution", id))
        }
    }

    fn subscribes(&mut self, conn: ConnId) {
        let Some((channel, id)) = self.something(conn) else { return };
        let name = if channel == "task" { "task_id" } else { "execution_id" };
        if self.says(conn, &json!({"type": "subscribe", "data": {"channel": channel, name: id}}))
            && let Some(ear) = self.ears.get_mut(&conn)
        {
            ear.asks_for(id, &self.book);
            ear.subscriptions += 1;
        }
    }

    fn unsubscribes(&mut self, conn: ConnId) {
        let all = self.stage.dice.percent(30);
        let one = self.something(conn);
        let Some(ear) = self.ears.get(&conn) else { return };
        let known: Vec<Uuid> = ear.wants.iter().copied().collect();
        let own = if known.is_empty() { None } else { Some(*self.stage.dice.pick(&known)) };
        let id = own.or(one.map(|(_, id)| id));
        let channel = match id {
            Some(id) if self.book.executions.contains_key(&id) => "workflow_execution",
            Some(_) | None => "task",
        };
        match (all, id) {
            (true, _) | (_, None) => {
                if self.says(conn, &json!({"type": "unsubscribe", "data": {"channel": "tasks"}})) {
                    self.ears.get_mut(&conn).into_iter().for_each(|ear| (ear.wants_all, ear.settled) = (false, None));
                }
            }
            (false, Some(id)) => {
                let name = if channel == "task" { "task_id" } else { "execution_id" };
                if self.says(conn, &json!({"type": "unsubscribe", "data": {"channel": channel, name: id}})) {
                    self.ears.get_mut(&conn).into_iter().for_each(|ear| ear.unsubscribes(id));
                }
            }
        }
    }

    fn cancels(&mut self, conn: ConnId) {
        let open: Vec<Uuid> = self.book.open_tasks().filter(|task| self.ears[&conn].sees(&task.owner)).map(|it| it.id).collect();
        let any = self.something(conn).filter(|(channel, _)| *channel == "task").map(|(_, id)| id);
        let id = if open.is_empty() || self.stage.dice.percent(10) { any } else { Some(*self.stage.dice.pick(&open)) };
        let Some(id) = id else { return };
        // One that may be on its way out may not be heard any more.
        let is_settled = self.stage.is_settled(conn);
        if self.says(conn, &json!({"type": "cancel_task", "data": {"task_id": id}}))
            && let Some(ear) = self.ears.get_mut(&conn)
        {
            // One that does not hear of it is told what came of that.
            ear.wanted.insert(id);
            ear.may_be_shown(id);
            self.unwanted.insert(id);
            let is_told = self.book.told.contains(&id);
            let is_seen = is_told && self.book.tasks.get(&id).is_some_and(|task| ear.sees(&task.owner));
            if is_settled && is_seen && ear.is_welcome && !ear.says_goodbye && ear.messages <= self.plan.messages {
                self.cancelled.insert(id);
            }
            self.count("cancels");
        }
    }

    /// A socket is handed this.
    pub(crate) fn told(&mut self, conn: ConnId, frames: Vec<Heard>) {
        for frame in frames {
            match frame {
                Heard::Http(101) => assert!(self.ears[&conn].who.is_some(), "{conn:?} is let in, and nobody knows it"),
                Heard::Http(401) => assert!(self.ears[&conn].who.is_none(), "{conn:?} is not let in"),
                Heard::Http(status) => panic!("{conn:?} is answered {status}"),
                Heard::Text(text) => {
                    let ear = self.ears.get_mut(&conn).expect("somebody hears it");
                    let what = ear.hears(&text, &self.book).unwrap_or_else(|why| panic!("{conn:?} hears {text}: {why}"));
                    if text["data"]["code"] == "service_unavailable" {
                        self.check_unavailable(conn, &text["data"]);
                    }
                    let id = ["task_id", "execution_id"].iter().find_map(|name| text["data"][*name].as_str());
                    self.book.told.extend(id.and_then(|id| Uuid::try_parse(id).ok()));
                    self.count(what);
                    self.check_places();
                }
                Heard::Binary(_) => panic!("{conn:?} is sent bytes"),
                Heard::Ping => {}
                Heard::Close(_) if self.strikes(Fault::TurnedClose, 50) => {
                    self.ears.get_mut(&conn).into_iter().for_each(|ear| ear.reason = Some("slow_consumer".into()));
                    self.check_farewell(conn, 1013);
                }
                Heard::Close(code) => self.check_farewell(conn, code),
            }
        }
    }

    /// What has arrived is answered.
    pub(crate) fn arrived(&mut self, conn: ConnId, frames: &[Heard]) {
        let is_ping = |frame: &Heard| matches!(frame, Heard::Text(text) if text["type"] == "ping");
        let answers = self.stage.plugs.get(&conn).is_some_and(|plug| plug.pongs);
        if answers && frames.iter().any(is_ping) {
            self.stage.say(conn, 0x81, br#"{"type":"pong","data":{"timestamp":"x"}}"#);
        }
    }

    pub(crate) fn forget(&mut self, conns: &[ConnId]) {
        conns.iter().for_each(|conn| _ = self.ears.remove(conn));
    }

    pub(crate) fn all_leave(&mut self) {
        for conn in self.stage.plugs.keys().copied().collect::<Vec<_>>() {
            self.stage.end(conn);
        }
    }
}
