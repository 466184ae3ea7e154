//! A school in a box: shards with homes and sockets, the letters between them, a store, and models that say what they are told to.

use super::*;
use crate::{
    protocols::tasks::{
        connection::{Connection, Effect, Event, Farewell, Gate},
        letters::{About, Channel, ToUser},
        status::{self, Counts},
    },
    realtime::HashRing,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(super) const SHARDS: u16 = 3;

/// From shard to shard.
enum Mail {
    User(ToUser),
    Task(ToTask),
    Execution(ToExecution),
    Conn(ConnId, FromHome),
    News(Channel, News),
    Counts(Counts),
    Totals(Counts),
}

pub(super) struct Client {
    machine: Connection,
    user: String,
    listens: Vec<Channel>,
    timer: Option<Moment>,
    /// Each text, and whether it came as news.
    pub(super) heard: Vec<(Value, bool)>,
    pub(super) ended: Option<Farewell>,
}

pub(super) struct School {
    settings: Settings,
    ring: HashRing,
    pub(super) homes: Vec<Homes>,
    pub(super) clients: BTreeMap<ConnId, Client>,
    mail: BTreeMap<(u16, u16), VecDeque<Mail>>,
    pub(super) writes: VecDeque<(u16, u64, Record)>,
    pub(super) tasks: BTreeMap<Uuid, Task>,
    pub(super) executions: BTreeMap<Uuid, Execution>,
    /// Which models are asked, and where.
    pub(super) models: BTreeMap<Piece, u16>,
    pub(super) tools: BTreeSet<(Piece, u32)>,
    pub(super) replies: Vec<Reply>,
    pub(super) now: Now,
    ids: u128,
}

impl School {
    pub(super) fn new(settings: Settings) -> School {
        let now = Now { moment: Moment(1_000_000), wall: UnixMicros(1_740_830_400_000_000) };
        let homes = |_| Homes::new(settings.clone(), catalog(), workflows(), 7, now.moment);
        School {
            homes: (0..SHARDS).map(homes).collect(),
            ring: HashRing::new(SHARDS),
            settings,
            clients: BTreeMap::new(),
            mail: BTreeMap::new(),
            writes: VecDeque::new(),
            tasks: BTreeMap::new(),
            executions: BTreeMap::new(),
            models: BTreeMap::new(),
            tools: BTreeSet::new(),
            replies: Vec::new(),
            now,
            ids: 1_000,
        }
    }

    pub(super) fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        id(self.ids * 0x9e37_79b9_7f4a_7c15)
    }

    fn post(&mut self, from: u16, to: u16, mail: Mail) {
        self.mail.entry((from, to)).or_default().push_back(mail);
    }

    fn home(&self, key: &[u8]) -> u16 {
        self.ring.home(key).0
    }

    pub(super) fn connect(&mut self, user: &str) -> ConnId {
        let slot = self.ids as u32 + 1;
        let conn = ConnId { shard: ShardId((slot % u32::from(SHARDS)) as u16), generation: 0, slot };
        let (client, mut out) = (self.new_id(), Vec::new());
        let machine = Connection::new(caller(user), client, conn, self.now, &mut out);
        let client = Client { machine, user: user.into(), listens: Vec::new(), timer: None, heard: Vec::new(), ended: None };
        self.clients.insert(conn, client);
        self.effects(conn, out);
        conn
    }

    pub(super) fn event(&mut self, conn: ConnId, event: Event<'_>) {
        let (mut out, catalog) = (Vec::new(), catalog());
        let counter = &mut self.ids;
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let mut ids = || {
            *counter += 1;
            id(*counter * 0x9e37_79b9_7f4a_7c15)
        };
        let status = self.homes[conn.shard.index()].status();
        let mut gate = Gate { settings: &self.settings, catalog: &catalog, status, ids: &mut ids };
        client.machine.handle(event, conn, self.now, &mut gate, &mut out);
        self.effects(conn, out);
    }

    pub(super) fn says(&mut self, conn: ConnId, r#type: &str, data: Value) {
        self.event(conn, Event::Text(&serde_json::json!({"type": r#type, "data": data}).to_string()));
    }

    /// The socket is over.
    pub(super) fn gone(&mut self, conn: ConnId) -> Option<Client> {
        self.event(conn, Event::Gone);
        self.clients.remove(&conn)
    }

    fn effects(&mut self, conn: ConnId, effects: Vec<Effect>) {
        let shard = conn.shard.0;
        for effect in effects {
            let Some(client) = self.clients.get_mut(&conn) else { return };
            let is_last = matches!(effect, Effect::User(_) | Effect::Listen(_) | Effect::Unlisten(_));
            assert!(client.ended.is_none() || is_last, "nothing comes after the end: {effect:?}");
            match effect {
                Effect::Send(frame) => client.heard.push((text(&frame), false)),
                Effect::Share(frame) | Effect::Status(frame) => client.heard.push((text(&frame), true)),
                Effect::Timer(after) => client.timer = after.map(|after| self.now.moment + after),
                Effect::Listen(channel) => {
                    assert!(!client.listens.contains(&channel), "once");
                    client.listens.push(channel);
                }
                Effect::Unlisten(channel) => {
                    assert!(client.listens.contains(&channel));
                    client.listens.retain(|known| *known != channel);
                }
                Effect::End(farewell, frames) => {
                    client.heard.extend(texts(&frames).into_iter().map(|text| (text, false)));
                    client.ended = Some(farewell);
                    client.listens.clear();
                }
                Effect::User(letter) => {
                    let user = client.user.clone();
                    let home = self.home(user.as_bytes());
                    self.post(shard, home, Mail::User(letter));
                }
                Effect::Task(letter) => self.post_task(shard, letter),
                Effect::Execution(letter) => self.post_execution(shard, letter),
            }
        }
    }

    pub(super) fn post_task(&mut self, from: u16, letter: ToTask) {
        let id = super::super::room::task_of(&letter).unwrap();
        let home = self.home(id.as_bytes());
        self.post(from, home, Mail::Task(letter));
    }

    pub(super) fn post_execution(&mut self, from: u16, letter: ToExecution) {
        let id = super::super::room::execution_of(&letter).unwrap();
        let home = self.home(id.as_bytes());
        self.post(from, home, Mail::Execution(letter));
    }

    pub(super) fn home_of(&self, piece: Piece) -> u16 {
        match piece {
            Piece::Task(id) | Piece::Step(id, _) => self.home(id.as_bytes()),
        }
    }

    /// Lets the homes of a shard act.
    pub(super) fn act(&mut self, shard: u16, act: impl FnOnce(&mut Homes, Now, &mut Vec<Outcome>)) {
        let mut out = Vec::new();
        act(&mut self.homes[usize::from(shard)], self.now, &mut out);
        for outcome in out {
            self.outcome(shard, outcome);
        }
    }

    fn outcome(&mut self, shard: u16, outcome: Outcome) {
        match outcome {
            Outcome::Tell(conn, letter) => self.post(shard, conn.shard.0, Mail::Conn(conn, letter)),
            Outcome::News { owner, news } => {
                for to in 0..SHARDS {
                    self.post(shard, to, Mail::News(Channel::Of(owner.clone()), news.clone()));
                }
            }
            Outcome::Status(news) => self.publish(shard, &[Channel::Status], &news),
            Outcome::Counts(counts) => {
                let home = self.home(status::HOME);
                self.post(shard, home, Mail::Counts(counts));
            }
            Outcome::Totals(counts) => (0..SHARDS).for_each(|to| self.post(shard, to, Mail::Totals(counts))),
            Outcome::Keep { ticket, record } => self.writes.push_back((shard, ticket, record)),
            Outcome::LoadTask(id) => {
                let task = self.tasks.get(&id).cloned().map(Box::new);
                self.act(shard, |homes, now, out| homes.loaded_task(id, Ok(task), now, out));
            }
            Outcome::LoadExecution(id) => {
                let execution = self.executions.get(&id).cloned().map(Box::new);
                self.act(shard, |homes, now, out| homes.loaded_execution(id, Ok(execution), now, out));
            }
            Outcome::Reply { reply, .. } => self.replies.push(*reply),
            Outcome::Model { piece, .. } => {
                match piece {
                    Piece::Task(id) => assert_eq!(self.tasks[&id].status, Status::InProgress, "its beginning is on disk"),
                    Piece::Step(id, _) => assert_eq!(self.executions[&id].status, Status::InProgress),
                }
                assert_eq!(self.models.insert(piece, shard), None, "one question at a time");
            }
            Outcome::StopModel(piece) => assert_eq!(self.models.remove(&piece), Some(shard)),
            Outcome::Tool { piece, call, .. } => assert!(self.tools.insert((piece, call))),
            Outcome::StopTool { piece, call } => assert!(self.tools.remove(&(piece, call))),
            other @ (Outcome::Count | Outcome::Survey(_) | Outcome::LetGo(_)) => panic!("{other:?} of a node that stands alone"),
        }
    }

    fn publish(&mut self, shard: u16, channels: &[Channel], news: &News) {
        let listens = |client: &Client| client.listens.iter().filter(|channel| channels.contains(channel)).count();
        let here = self.clients.iter().filter(|(conn, _)| conn.shard.0 == shard);
        let listeners: Vec<ConnId> = here.filter(|(_, client)| listens(client) > 0).map(|(conn, _)| *conn).collect();
        listeners.into_iter().for_each(|conn| self.event(conn, Event::News(news)));
    }

    /// Which ways have mail.
    pub(super) fn ways(&self) -> Vec<(u16, u16)> {
        self.mail.iter().filter(|(_, mail)| !mail.is_empty()).map(|(way, _)| *way).collect()
    }

    /// Delivers the first letter of a way.
    pub(super) fn deliver(&mut self, (from, to): (u16, u16)) {
        let Some(mail) = self.mail.get_mut(&(from, to)).and_then(VecDeque::pop_front) else { return };
        match mail {
            Mail::User(letter) => self.act(to, |homes, _, out| homes.user(letter, out)),
            Mail::Task(letter) => self.act(to, |homes, now, out| homes.task(letter, now, out)),
            Mail::Execution(letter) => self.act(to, |homes, now, out| homes.execution(letter, now, out)),
            Mail::Conn(conn, letter) => self.event(conn, Event::Home(letter)),
            Mail::News(owner, news) => {
                assert_ne!(news.about, About::Status);
                self.publish(to, &[owner, Channel::All], &news);
            }
            Mail::Counts(counts) => self.act(to, |homes, now, out| homes.counts(ShardId(from), counts, now, out)),
            Mail::Totals(counts) => self.act(to, |homes, now, out| homes.totals(counts, now, out)),
        }
    }

    /// The store answers the question that it was asked first.
    pub(super) fn write(&mut self, result: Result<(), StoreFault>) {
        let Some((shard, ticket, record)) = self.writes.pop_front() else { return };
        if result.is_ok() {
            match record {
                Record::Task(task) => {
                    let before = self.tasks.insert(task.id, (*task).clone());
                    assert!(before.as_ref().is_none_or(|before| !before.status.is_over()), "written again: {before:?} {task:?}");
                }
                Record::NoTask(id) => assert!(self.tasks.remove(&id).is_some_and(|task| task.status.is_over())),
                Record::Execution(execution) => {
                    let before = self.executions.insert(execution.id, *execution);
                    assert!(before.is_none_or(|before| !before.status.is_over()), "what is over is not written again");
                }
            }
        }
        self.act(shard, |homes, now, out| homes.kept(ticket, result, now, out));
    }

    /// All letters arrive, and all that is to be written is.
    pub(super) fn calm(&mut self) {
        loop {
            match self.ways().first() {
                Some(way) => self.deliver(*way),
                None if self.writes.is_empty() => return,
                None => self.write(Ok(())),
            }
        }
    }

    pub(super) fn word(&mut self, piece: Piece, word: Word) {
        let Some(shard) = self.models.get(&piece).copied() else { return };
        if matches!(word, Word::Ended { .. } | Word::Failed(_)) {
            self.models.remove(&piece);
        }
        self.act(shard, |homes, now, out| homes.word(piece, word, now, out));
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now.moment = self.now.moment + time;
        self.now.wall.0 += time.as_micros() as i64;
        (0..SHARDS).for_each(|shard| self.act(shard, |homes, now, out| homes.turn(now, out)));
        let due = self.clients.iter().filter(|(_, client)| client.timer.is_some_and(|at| at <= self.now.moment));
        for conn in due.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            if let Some(client) = self.clients.get_mut(&conn) {
                client.timer = None;
            }
            self.event(conn, Event::TimerFired);
        }
    }

    pub(super) fn heard_so_far(&self, conn: ConnId) -> Vec<(Value, bool)> {
        self.clients[&conn].heard.clone()
    }

    /// What a socket has heard since it was asked last.
    pub(super) fn heard(&mut self, conn: ConnId) -> Vec<Value> {
        let client = self.clients.get_mut(&conn).unwrap();
        std::mem::take(&mut client.heard).into_iter().map(|(text, _)| text).collect()
    }
}
