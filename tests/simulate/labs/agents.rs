//! Agents: processes that connect in either dialect, do what they are told once, fail, stall, die and return. They know no server.

use super::{
    lines::Line,
    socket::{Heard, Speech, Who},
    world::Labs,
};
use crate::{dice::Dice, world::note};
use homeroom::{
    protocols::labs::{SessionId, asks::Ask, letters::Dialect, model::Action},
    realtime::{ConnId, Moment},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// How an agent treats tunnels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// Counts what it may send, in binary.
    Counting,
    /// Counts, in text.
    CountingText,
    /// Sends what it has; it may be cut.
    Heedless,
}

impl Manner {
    pub(crate) fn random(dice: &mut Dice) -> Manner {
        *dice.pick(&[Manner::Counting, Manner::Counting, Manner::CountingText, Manner::Heedless])
    }
}

/// A command as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    command: String,
    kind: String,
    session: SessionId,
    request: u64,
    tail: usize,
}

/// One agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) name: &'static str,
    pub(crate) places: usize,
    pub(crate) manner: Manner,
    pub(crate) dialect: Dialect,
    pub(crate) conn: Option<ConnId>,
    pub(crate) is_registered: bool,
    /// Whether it was told that it is known, by HTTP.
    pub(crate) is_enrolled: bool,
    /// Whether it was when it came.
    pub(crate) came_enrolled: bool,
    /// How often it came since all was calm.
    pub(crate) comings: usize,
    inbox: VecDeque<Order>,
    pub(crate) outbox: VecDeque<Speech>,
    /// What it will say once more.
    later: Vec<Speech>,
    done: BTreeMap<String, bool>,
    pub(crate) running: BTreeSet<SessionId>,
    /// What died, as long as that may be news.
    died: BTreeSet<SessionId>,
    /// Commands that were given on this connection.
    given: BTreeSet<String>,
    newest: BTreeMap<SessionId, String>,
    outdated: BTreeSet<String>,
    pub(crate) lines: Vec<Line>,
    /// How many lines the log of each session has.
    pub(crate) logs: BTreeMap<SessionId, usize>,
    /// Of the second dialect: tunnels that it is to open.
    pub(crate) to_open: BTreeSet<SessionId>,
    pub(crate) silent_until: Option<Moment>,
    /// It does not come back.
    pub(crate) is_away: bool,
    /// When it was last without a connection, or with a second one.
    pub(crate) lost_at: Moment,
}

impl Agent {
    pub(crate) fn new(name: &'static str, manner: Manner, places: usize) -> Agent {
        Agent {
            name,
            places,
            manner,
            dialect: Dialect::Contract,
            conn: None,
            is_registered: false,
            is_enrolled: false,
            came_enrolled: false,
            comings: 0,
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            later: Vec::new(),
            done: BTreeMap::new(),
            running: BTreeSet::new(),
            died: BTreeSet::new(),
            given: BTreeSet::new(),
            newest: BTreeMap::new(),
            outdated: BTreeSet::new(),
            lines: Vec::new(),
            logs: BTreeMap::new(),
            to_open: BTreeSet::new(),
            silent_until: None,
            is_away: false,
            lost_at: Moment(0),
        }
    }

    /// A message in the dialect that it speaks now.
    pub(crate) fn message(&self, contract: &str, field: &str, fields: Value) -> Speech {
        let mut message = match self.dialect {
            Dialect::Contract => fields,
            Dialect::Field => json!({"timestamp": "2025-11-22T10:35:00Z", "payload": fields}),
        };
        message["type"] = if self.dialect == Dialect::Contract { contract } else { field }.into();
        Speech::Text(message)
    }

    fn status(&self, session: SessionId, runs: bool) -> Speech {
        let state = if runs { "running" } else { "stopped" };
        self.message(
            "status",
            "status",
            match self.dialect {
                Dialect::Contract => json!({"session_id": session, "state": state}),
                Dialect::Field => json!({"sessionId": session, "state": state}),
            },
        )
    }

    fn heartbeat(&self) -> Speech {
        self.message("heartbeat", "heartbeat", json!({}))
    }

    /// What it says first: what runs, and what does not any more.
    fn greet(&mut self) {
        self.is_registered = true;
        let running: Vec<_> = self.running.iter().copied().collect();
        let died: Vec<_> = self.died.iter().copied().collect();
        self.outbox.extend(died.into_iter().map(|session| self.status(session, false)).collect::<Vec<_>>());
        self.outbox.extend(running.iter().map(|session| self.status(*session, true)).collect::<Vec<_>>());
        if self.dialect == Dialect::Field {
            self.to_open.extend(running);
        }
    }

    /// Does a command, or says again what became of it.
    fn work(&mut self, order: Order, fails: bool) {
        let Order { command, kind, session, request, tail } = order;
        if kind == "get_logs" {
            return self.tell_lines(session, request, tail);
        }
        let named = |agent: &Agent| match agent.dialect {
            Dialect::Contract => json!({"command_id": command}),
            Dialect::Field => json!({"commandId": command}),
        };
        let ack = self.message("command_ack", "ack", named(self));
        let is_new = !self.done.contains_key(&command);
        let is_done = *self.done.entry(command.clone()).or_insert(!fails);
        self.outbox.push_back(ack.clone());
        if is_new && is_done {
            match &*kind {
                "start_session" | "wake_session" => {
                    self.running.insert(session);
                    self.died.remove(&session);
                    if self.dialect == Dialect::Field {
                        self.to_open.insert(session);
                    }
                }
                "hibernate_session" | "stop_session" => self.stop(session),
                other => panic!("no agent knows {other}"),
            }
        }
        let mut fields = named(self);
        let result = if is_done {
            fields["status"] = "completed".into();
            fields["result"] = json!({"pod_name": format!("pod-{session}"), "vnc_port": 5900});
            self.message("command_result", "complete", fields)
        } else {
            fields["status"] = "failed".into();
            fields["error"] = "no".into();
            self.message("command_result", "failed", fields)
        };
        self.outbox.push_back(result.clone());
        self.later.extend([ack, result]);
    }

    fn stop(&mut self, session: SessionId) {
        self.running.remove(&session);
        self.to_open.remove(&session);
        for at in (0..self.lines.len()).rev() {
            if self.lines[at].session == session {
                self.hang_up(at, true);
            }
        }
    }
}

pub(crate) fn action_name(action: Action) -> &'static str {
    match action {
        Action::StartSession => "start_session",
        Action::HibernateSession => "hibernate_session",
        Action::WakeSession => "wake_session",
        Action::StopSession => "stop_session",
    }
}

impl Labs {
    pub(crate) fn is_silent(&self, which: usize) -> bool {
        self.agents[which].silent_until.is_some_and(|until| until > self.now.moment)
    }

    /// One of the agents does something.
    pub(crate) fn agent_acts(&mut self) {
        let which = self.dice.below(self.agents.len());
        if self.agents[which].is_away || self.is_silent(which) {
            return;
        }
        let Some(conn) = self.agents[which].conn else { return self.agent_comes(which) };
        match self.dice.below(100) {
            0..15 => self.agent_works(which),
            15..50 => (0..self.dice.between(1, 4)).for_each(|_| _ = self.agent_speaks(which)),
            50..89 => (0..self.dice.between(1, 4)).for_each(|_| self.agent_tunnels(which)),
            89 => self.agent_says(which, Agent::heartbeat),
            90..93 => self.a_log_grows(which),
            93 => self.agent_repeats(which),
            94 => self.a_session_dies(which),
            95 if self.dice.percent(30) => self.agent_comes(which),
            96 if self.dice.percent(50) => self.end(conn),
            97 if self.dice.percent(20) => {
                let time = Duration::from_secs(self.dice.between(20, 100) as u64);
                note!(self, "agent {which} falls silent");
                self.agents[which].silent_until = Some(self.now.moment + time);
            }
            98 => self.agent_pulses(which),
            _ => {}
        }
    }

    fn agent_works(&mut self, which: usize) {
        let fails = self.dice.percent(12);
        let agent = &mut self.agents[which];
        if agent.is_registered
            && let Some(order) = agent.inbox.pop_front()
        {
            note!(self, "agent {which} does {order:?}");
            agent.work(order, fails);
        }
    }

    /// Says what it has to say first. Whether there was anything.
    pub(crate) fn agent_speaks(&mut self, which: usize) -> bool {
        let agent = &mut self.agents[which];
        let Some(conn) = agent.conn.filter(|_| self.sockets.values().len() > 0) else { return false };
        let is_up = self.sockets.get(&conn).is_some_and(|socket| socket.status == Some(101));
        let Some(speech) = agent.outbox.front().cloned().filter(|_| is_up) else { return false };
        if self.say(conn, &speech) {
            self.agents[which].outbox.pop_front();
            return true;
        }
        panic!("an agent is not read");
    }

    fn agent_says(&mut self, which: usize, what: impl Fn(&Agent) -> Speech) {
        let agent = &mut self.agents[which];
        if agent.is_registered {
            let speech = what(agent);
            agent.outbox.push_back(speech);
        }
    }

    /// Something is said twice, much later.
    fn agent_repeats(&mut self, which: usize) {
        let at = self.dice.below(self.agents[which].later.len());
        let agent = &mut self.agents[which];
        if agent.is_registered && at < agent.later.len() {
            let speech = agent.later.swap_remove(at);
            // It was made in the dialect of its time.
            let is_field = matches!(&speech, Speech::Text(text) if text.get("payload").is_some());
            if is_field == (agent.dialect == Dialect::Field) {
                agent.outbox.push_back(speech);
            }
        }
    }

    fn a_session_dies(&mut self, which: usize) {
        let at = self.dice.below(self.agents[which].running.len());
        let agent = &mut self.agents[which];
        let Some(session) = agent.running.iter().nth(at).copied().filter(|_| agent.is_registered) else { return };
        agent.stop(session);
        agent.died.insert(session);
        let said = agent.status(session, false);
        agent.outbox.push_back(said);
    }

    fn agent_pulses(&mut self, which: usize) {
        if self.agents[which].dialect == Dialect::Field {
            let ask = Ask::Pulse { agent: self.agents[which].name.into(), capacity: Default::default() };
            self.ask(ask);
        }
    }

    /// An agent connects: for the first time, again, or a second time.
    pub(crate) fn agent_comes(&mut self, which: usize) {
        let dialect = if self.dice.percent(60) { Dialect::Contract } else { Dialect::Field };
        if dialect == Dialect::Field && !self.agents[which].is_enrolled && !self.dice.percent(5) {
            return self.agent_enrols(which);
        }
        self.agent_lost(which);
        let name = self.agents[which].name;
        let path = match dialect {
            Dialect::Contract => format!("/agent/ws?agent_id={name}&platform=host"),
            Dialect::Field => format!("/api/v1/agents/connect?agent_id={name}"),
        };
        self.count(if dialect == Dialect::Field { "agents of the second dialect" } else { "agents" });
        let conn = self.accept(&path, Who::Agent(which));
        let began_anew = self.dice.percent(25);
        let agent = &mut self.agents[which];
        agent.comings += 1;
        (agent.conn, agent.dialect, agent.came_enrolled) = (Some(conn), dialect, agent.is_enrolled);
        if began_anew {
            // Nothing survived.
            let running = std::mem::take(&mut agent.running);
            agent.died.extend(running);
        }
        // What it was told and has not begun, it is told again.
        agent.inbox.clear();
        if began_anew {
            agent.later.clear();
        }
        self.turn_of(conn);
    }

    /// Its connection is over, or is given up.
    fn agent_lost(&mut self, which: usize) {
        let agent = &mut self.agents[which];
        agent.conn = None;
        agent.is_registered = false;
        agent.lost_at = self.now.moment;
        agent.given.clear();
        agent.outbox.clear();
        agent.lines.clear();
        agent.to_open.clear();
    }

    pub(crate) fn agent_enrols(&mut self, which: usize) {
        let agent = &self.agents[which];
        let ask = Ask::Enrol(Box::new(super::asks::hello(agent.name, agent.places)));
        if !self.asks.iter().any(|pending| pending.ask == ask) {
            self.ask(ask);
        }
    }

    pub(crate) fn connection_lost(&mut self, which: usize, conn: ConnId) {
        if self.agents[which].conn == Some(conn) {
            self.agent_lost(which);
        }
    }

    pub(crate) fn agent_hears(&mut self, which: usize, conn: ConnId, frame: Heard) {
        let is_current = self.agents[which].conn == Some(conn);
        match frame {
            Heard::Http(101) if is_current && self.agents[which].dialect == Dialect::Contract => {
                let agent = &mut self.agents[which];
                let capacity = json!({"max_sessions": agent.places});
                let register = json!({"type": "register", "agent_id": agent.name, "platform": "host", "capacity": capacity});
                agent.outbox.push_back(Speech::Text(register));
            }
            Heard::Http(101) => {}
            // As one that is upgraded at once is closed with 1008: nobody enrolled it, it waited for too long, or another came.
            Heard::Http(status @ (404 | 503)) if self.agents[which].dialect == Dialect::Field || !is_current => {
                note!(self, "agent {which} hears {status}");
                self.check_agents_farewell(which, conn, 1008);
                self.end(conn);
                self.connection_lost(which, conn);
            }
            Heard::Http(status) => panic!("an agent is refused with {status}"),
            Heard::Close(code) => {
                note!(self, "agent {which} hears Close {code}");
                self.check_agents_farewell(which, conn, code);
                self.end(conn);
                self.connection_lost(which, conn);
            }
            Heard::Ping => {}
            Heard::Text(_) | Heard::Binary(_) if !is_current => {}
            Heard::Binary(bytes) => self.agent_hears_bytes(which, &bytes),
            Heard::Text(text) => self.agent_hears_text(which, &text),
        }
    }

    fn agent_hears_text(&mut self, which: usize, text: &Value) {
        note!(self, "agent {which} hears {text:.300}");
        let payload = &text["payload"];
        let agent = &mut self.agents[which];
        if agent.dialect == Dialect::Field && !agent.is_registered {
            agent.greet();
        }
        match text["type"].as_str().unwrap_or_default() {
            "register_ack" => agent.greet(),
            "command" if agent.dialect == Dialect::Contract => {
                let order = order(&text["command_type"], &text["command_id"], &text["session_id"], &text["data"]);
                self.agent_is_told(which, order);
            }
            "command" => {
                let order = order(&payload["action"], &payload["commandId"], &payload["payload"]["sessionId"], &Value::Null);
                self.agent_is_told(which, order);
            }
            "vnc_proxy_request" => self.line_wanted(which, text),
            "vnc_proxy_close" | "vnc_close" => self.line_over(which, text),
            "vnc_data" => self.agent_hears_data(which, text),
            other => panic!("agent {which} hears {other}: {text}"),
        }
    }

    /// A command comes.
    fn agent_is_told(&mut self, which: usize, order: Order) {
        let agent = &mut self.agents[which];
        let Order { command, kind, session, .. } = &order;
        assert!(agent.is_registered, "{kind} comes before the registration is answered");
        if kind != "get_logs" {
            assert!(!agent.outdated.contains(command), "{kind} of {session} is told to agent {which} after a newer command");
            let is_again = !agent.given.insert(command.clone());
            let is_early = self.nodes.is_none() && self.now.moment.since(agent.lost_at) < Duration::from_secs(28);
            assert!(!is_again || !is_early || kind == "stop_session", "{kind} of {session} comes twice on one connection");
            match self.book.named(command) {
                Some(kept) => {
                    assert_eq!((kept.session, action_name(kept.action), &*kept.agent), (*session, &**kind, agent.name));
                    if let Some(before) = agent.newest.insert(*session, command.clone()).filter(|before| before != command) {
                        agent.outdated.insert(before);
                    }
                }
                // What is nobody's any more is stopped without a word on disk.
                None => assert_eq!(kind, "stop_session", "a command that is not on disk is told to agent {which}"),
            }
        }
        self.count("commands");
        self.agents[which].inbox.push_back(order);
    }

    /// When all is quiet the agents do what they have to do. Whether there was anything.
    pub(crate) fn agents_react(&mut self) -> bool {
        let mut moved = false;
        for which in 0..self.agents.len() {
            if self.is_silent(which) || self.agents[which].is_away {
                continue;
            }
            let agent = &mut self.agents[which];
            let is_up = agent.conn.is_some_and(|conn| self.sockets.get(&conn).is_some_and(super::socket::Socket::is_live));
            if is_up && !agent.is_registered && agent.dialect == Dialect::Field {
                agent.greet();
            }
            while agent.is_registered
                && let Some(order) = agent.inbox.pop_front()
            {
                agent.work(order, false);
                moved = true;
            }
            moved |= self.lines_react(which);
            while self.agent_speaks(which) {
                moved = true;
            }
        }
        moved
    }

    /// All that are well say what they run.
    pub(crate) fn all_tell(&mut self) {
        self.agents.iter_mut().filter(|agent| agent.is_registered).for_each(Agent::greet);
    }

    /// All that are well are heard of; who has no connection comes.
    pub(crate) fn all_beat(&mut self) {
        for which in 0..self.agents.len() {
            if self.is_silent(which) || self.agents[which].is_away {
                continue;
            }
            match self.agents[which].conn {
                Some(_) => self.agent_says(which, Agent::heartbeat),
                None => self.agent_comes(which),
            }
        }
    }
}

fn order(kind: &Value, command: &Value, session: &Value, data: &Value) -> Order {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    Order {
        command: text(command),
        kind: text(kind),
        session: text(session).parse().expect("a UUID"),
        request: data["request"].as_u64().unwrap_or_default(),
        tail: data["tail"].as_u64().unwrap_or_default() as usize,
    }
}
