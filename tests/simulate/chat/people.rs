//! People at sockets: they come to sessions with a token or without, say something, want it no more, and go at any moment.

use super::{
    cast::{PEOPLE, token},
    ears::{Ear, News, Pass},
    faults::Fault,
    world::{Chat, MAX_CHARS},
};
use crate::{labs::socket::Heard, world::note};
use homeroom::{
    protocols::chat::{SessionId, messages},
    realtime::{ConnId, StoreFault},
};
use serde_json::json;
use uuid::Uuid;

/// Said by whom, as the how manieth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Author {
    Socket(ConnId, usize),
    Request,
}

impl Chat {
    /// Somebody comes to a session.
    pub(crate) fn someone_comes(&mut self) {
        let session = if self.stage.dice.percent(4) { Uuid::from_u128(0xFFFF) } else { self.some_session() };
        let owner = self.owner(session);
        let pass = match self.stage.dice.below(100) {
            0..78 => Pass::Good(owner.unwrap_or(0)),
            78..90 => Pass::Good(2),
            90..94 => Pass::Good(self.stage.dice.below(PEOPLE.len())),
            94..97 => Pass::Bad,
            _ => Pass::Missing,
        };
        self.comes(session, pass);
    }

    pub(crate) fn comes(&mut self, session: SessionId, pass: Pass) {
        if self.ears.len() >= self.plan.sockets {
            return;
        }
        let owner = self.owner(session);
        let is_theirs = matches!(pass, Pass::Good(user) if user == 2 || Some(user) == owner);
        let may_hear = is_theirs && self.book.sessions.contains_key(&session);
        let shown = messages::session(session);
        let by_query = pass != Pass::Missing && self.stage.dice.percent(60);
        let word = match pass {
            Pass::Good(user) => token(user),
            Pass::Bad | Pass::Missing => "no.to.ken",
        };
        let path = if by_query { format!("/ws/sessions/{shown}?token={word}") } else { format!("/ws/sessions/{shown}") };
        let Some(conn) = self.stage.accept(&path) else { return };
        note!(self.stage, "{conn:?} is {pass:?} at {}", session.as_u128());
        self.ears.insert(conn, Ear::new(pass, session, may_hear, self.stage.now.wall));
        if !by_query && pass != Pass::Missing {
            let auth = json!({"type": "auth", "token": word}).to_string();
            self.stage.say(conn, 0x81, auth.as_bytes());
            // The first message may come right behind it.
            if self.stage.dice.percent(30) {
                self.says_something(conn);
            }
        }
        self.turn(self.stage.place(conn.shard));
    }

    /// One of those who are there does something.
    pub(crate) fn socket_acts(&mut self) {
        let Some(conn) = self.stage.someone() else { return };
        match self.stage.dice.below(100) {
            0..52 => self.says_something(conn),
            52..74 => self.cancels(conn),
            74..80 => self.says_nonsense(conn),
            80..86 => {
                let is_said = self.stage.say(conn, 0x81, br#"{"type":"ping"}"#);
                self.ears.get_mut(&conn).into_iter().for_each(|ear| ear.pings += isize::from(is_said));
            }
            86..88 => {
                self.ears.get_mut(&conn).into_iter().for_each(|ear| ear.says_goodbye = true);
                self.stage.say(conn, 0x88, &[0x03, 0xE8]);
            }
            88..90 => self.stage.end(conn),
            _ => {}
        }
    }

    /// Words that nobody has said before.
    pub(crate) fn words(&mut self) -> String {
        self.last_words += 1;
        let n = self.last_words;
        let pad = "x".repeat(if self.stage.dice.percent(10) { self.stage.dice.below(1_500) } else { 0 });
        match self.stage.dice.below(100) {
            0..25 => {
                let (to, every) = (self.stage.dice.between(2, 40), self.stage.dice.below(200));
                format!("/count {to} {every} #{n} {pad}")
            }
            25..40 => format!(r#"look {{"n":{n}}} {pad}"#),
            40..60 => format!(r#"send {{"n":{n}}} {pad}"#),
            60..70 => format!("calculator 0+{n}"),
            _ => format!("hello {n} {pad}"),
        }
    }

    pub(crate) fn says_something(&mut self, conn: ConnId) {
        let content = match self.stage.dice.below(100) {
            0 => " ".into(),
            1 => "y".repeat(MAX_CHARS + 1),
            _ => self.words(),
        };
        let Some(ear) = self.ears.get_mut(&conn) else { return };
        let said = json!({"type": "message", "content": content}).to_string();
        if !self.stage.say(conn, 0x81, said.as_bytes()) {
            return;
        }
        ear.said.push((content.clone(), self.stage.now.wall));
        self.authors.insert(content, Author::Socket(conn, ear.said.len()));
        self.count("messages");
    }

    fn cancels(&mut self, conn: ConnId) {
        let Some(ear) = self.ears.get_mut(&conn) else { return };
        let open = ear.open.as_ref().map(|open| open.answer);
        let (text, wanted) = match (self.stage.dice.below(10), open) {
            (0, _) => (json!({"type": "cancel", "operation_id": "nothing"}), None),
            (1, _) => {
                let id = messages::message(Uuid::from_u128(1)).to_string();
                (json!({"type": "cancel", "operation_id": id}), None)
            }
            (2..6, Some(answer)) => {
                (json!({"type": "cancel", "operation_id": messages::message(answer).to_string()}), Some(answer))
            }
            (_, open) => (json!({"type": "cancel"}), open),
        };
        if self.stage.say(conn, 0x81, text.to_string().as_bytes()) && ear.is_greeted {
            ear.unwanted = wanted.or(ear.unwanted);
            self.count("cancels");
        }
    }

    fn says_nonsense(&mut self, conn: ConnId) {
        let nonsense = [
            "[]",
            "x",
            "{\"type\":5}",
            "{\"type\":\"message\"}",
            "{\"type\":\"nothing\"}",
            "{\"type\":\"cancel\",\"operation_id\":5}",
        ];
        let text = *self.stage.dice.pick(&nonsense);
        let Some(ear) = self.ears.get_mut(&conn) else { return };
        // A stranger who says more than who it is, is shown the door.
        if ear.is_greeted && self.stage.say(conn, 0x81, text.as_bytes()) {
            ear.nonsense += 1;
        }
    }

    /// A socket is handed this.
    pub(crate) fn told(&mut self, conn: ConnId, frames: Vec<Heard>) {
        for frame in frames {
            match frame {
                Heard::Http(status) => assert_eq!(status, 101, "{conn:?} is refused before it could say who it is"),
                Heard::Text(text) => self.hears(conn, &text),
                Heard::Binary(_) => panic!("{conn:?} is sent bytes"),
                Heard::Ping => {}
                Heard::Close(_) if self.strikes(Fault::TurnedClose, 50) => self.check_farewell(conn, 1013),
                Heard::Close(code) => self.check_farewell(conn, code),
            }
        }
    }

    fn hears(&mut self, conn: ConnId, text: &serde_json::Value) {
        let ear = self.ears.get_mut(&conn).expect("somebody hears it");
        let news = ear.hears(text, &self.book).unwrap_or_else(|why| panic!("{conn:?} hears {text}: {why}"));
        match news {
            News::Nothing => {}
            News::Began => self.count("answers heard"),
            News::Asked => self.count("questions for leave heard"),
            News::Ended => self.count("ends heard"),
            News::NotStored => {
                let (session, since) = (ear.session, ear.waits_since(&self.book));
                assert!(self.may_refuse(StoreFault::Busy, session, since), "{conn:?} is told that it could not be stored");
            }
            News::Unkept(hearing) => {
                let answer = &self.book.messages[&hearing.answer];
                let may_refuse = self.may_refuse(StoreFault::Busy, answer.session, answer.created_at);
                assert!(may_refuse, "{conn:?} is told that its answer could not be stored");
                self.unkept.push(hearing);
                self.count("ends that were not stored at once");
            }
        }
        if let Some(code) = self.ears[&conn].error.clone()
            && text["type"] == "error"
        {
            *self.counts.entry(format!("error {code}")).or_default() += 1;
        }
    }

    /// A message is on disk: those of one socket come in the order in which they were said.
    pub(crate) fn check_begun(&mut self, content: &str) {
        let Some(Author::Socket(conn, place)) = self.authors.get(content).copied() else { return };
        let before = self.begun.insert(conn, place).unwrap_or(0);
        assert!(before < place, "{conn:?}: message {place} comes behind message {before}");
    }

    /// Sockets that are over.
    pub(crate) fn forget(&mut self, conns: &[ConnId]) {
        for conn in conns {
            self.ears.remove(conn);
            self.begun.remove(conn);
        }
    }

    pub(crate) fn all_leave(&mut self) {
        for conn in self.stage.plugs.keys().copied().collect::<Vec<_>>() {
            self.stage.end(conn);
        }
    }

    /// Whether a fault that is planted here strikes.
    pub(crate) fn strikes(&mut self, fault: Fault, percent: usize) -> bool {
        self.fault == Some(fault) && self.stage.dice.percent(percent)
    }
}
