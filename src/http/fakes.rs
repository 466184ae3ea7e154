//! A house in memory, and a way to ask a table without a socket.

use super::{
    gate,
    rooms::{
        Account, Accounts, Certificate, Classrooms, Clock, Condition, Delivery, KeySet, Node, Observatory, Peer, Unverified,
    },
    table::Table,
};
use crate::{
    observe::exposition::Form,
    protocols::presence::{
        asks::{Member, Publication},
        record::{Attendance, StoreFault},
    },
    realtime::{ClassroomId, UnixMicros},
};
use bytes::Bytes;
use futures_lite::future::block_on;
use http::{Extensions, HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

/// A room with three in it.
pub(super) const FULL: &str = "6f1a2b3c-0000-4000-8000-0123456789ab";
/// A room of which the store is too busy to tell.
pub(super) const BUSY: &str = "6f1a2b3c-0000-4000-8000-00000000000b";
/// A room of which the store cannot tell.
pub(super) const BROKEN: &str = "6f1a2b3c-0000-4000-8000-00000000000f";
/// 2026-01-02T03:04:05Z.
pub(super) const NOW: UnixMicros = UnixMicros(1_767_323_045_000_000);

/// Tokens are `good` and `stranger`; everything asked of it is kept.
#[derive(Default)]
pub(super) struct House {
    pub(super) limit: Cell<usize>,
    pub(super) range: Cell<(i64, i64)>,
    pub(super) published: RefCell<Vec<(ClassroomId, Publication)>>,
    pub(super) unready: RefCell<Condition>,
    /// Whether homes of rooms do not answer.
    pub(super) is_mute: Cell<bool>,
}

impl House {
    fn is_answered(&self) -> Result<(), StoreFault> {
        if self.is_mute.get() { Err(StoreFault::Busy) } else { Ok(()) }
    }
}

impl Classrooms for House {
    async fn members(&self, classroom: ClassroomId, after: i64, limit: usize) -> Result<Vec<Member>, StoreFault> {
        self.is_answered()?;
        self.limit.set(limit);
        if classroom != room(FULL) {
            return Ok(Vec::new());
        }
        let all = [(1, "web.u1.dev"), (2, "web.u2.dev"), (9, "=web.u3.dev")];
        let after = all.into_iter().filter(|(sequence_id, _)| *sequence_id > after);
        Ok(after.take(limit).map(|(sequence_id, agent_id)| Member { sequence_id, agent_id: agent_id.into() }).collect())
    }

    async fn counts(&self, classrooms: Vec<ClassroomId>) -> Result<Vec<(ClassroomId, u64)>, StoreFault> {
        self.is_answered()?;
        Ok(classrooms.into_iter().filter(|classroom| *classroom == room(FULL)).map(|classroom| (classroom, 3)).collect())
    }

    async fn publish(&self, classroom: ClassroomId, event: Publication) -> Result<(i64, u64), StoreFault> {
        self.is_answered()?;
        let told = (event.sequence_id.unwrap_or(100), if event.receiver.is_some() { 1 } else { 3 });
        self.published.borrow_mut().push((classroom, event));
        Ok(told)
    }

    async fn close(&self, classroom: ClassroomId, agent_id: String) -> Result<bool, StoreFault> {
        self.is_answered()?;
        Ok(classroom == room(FULL) && agent_id == "web.u2.dev")
    }

    async fn attendance(&self, classroom: ClassroomId, from: UnixMicros, to: UnixMicros) -> Result<Vec<Attendance>, StoreFault> {
        self.range.set((from.0, to.0));
        if classroom == room(BUSY) {
            return Err(StoreFault::Busy);
        }
        if classroom == room(BROKEN) {
            return Err(StoreFault::Failed);
        }
        Ok(vec![
            Attendance { agent_id: "web.u1.dev".into(), entered: NOW, left: Some(UnixMicros(NOW.0 + 1_500_000)) },
            Attendance { agent_id: "=web.u3.dev".into(), entered: NOW, left: None },
        ])
    }

    async fn occupied(&self, limit: u32) -> Result<Vec<(ClassroomId, u64)>, StoreFault> {
        self.limit.set(limit as usize);
        Ok(vec![(room(FULL), 3)])
    }

    async fn permitted(&self, subject: &str, _: &str, _: ClassroomId, action: &'static str) -> bool {
        subject == "good" && action == "read"
    }
}

impl Accounts for House {
    fn verify(&self, token: &str) -> Result<Account, Unverified> {
        match token {
            "good" | "stranger" => Ok(Account { subject: token.into(), audience: "dev".into() }),
            _ => Err(Unverified),
        }
    }
}

impl Clock for House {
    fn now(&self) -> UnixMicros {
        NOW
    }
}

impl Observatory for House {
    fn metrics(&self, form: Form) -> Vec<u8> {
        form.write(&[])
    }

    async fn node(&self) -> Node {
        let peer = |name: &str, slot, is_self| Peer {
            name: name.into(),
            slot,
            epoch: 7,
            version: "1.0".into(),
            is_alive: is_self,
            is_self,
        };
        Node {
            version: "1.0",
            shards: 2,
            started_at: NOW,
            phase: "draining",
            drain: Some((Duration::from_millis(1_500), Duration::from_secs(10))),
            delivery: Delivery { frames: 9, p50: Some(Duration::from_micros(250)), p99: None },
            keys: vec![("presence".into(), Some(NOW)), ("quiz".into(), None)],
            certificates: vec![Certificate {
                listener: "quiz".into(),
                subject: "CN=school".into(),
                not_before: NOW,
                not_after: NOW,
            }],
            key_sets: vec![KeySet {
                api: "quiz".into(),
                issuer: "id.example.org".into(),
                place: "https://id.example.org/jwks".into(),
                read_at: Some(UnixMicros(1_767_323_045_000_000)),
                changed_at: None,
                keys: 2,
                former: 1,
                fault: Some("answered 500".into()),
            }],
            nodes: Some(vec![peer("a", 0, true), peer("b", 1, false)]),
        }
    }

    fn live(&self) -> Condition {
        Condition::default()
    }

    fn ready(&self) -> Condition {
        self.unready.borrow().clone()
    }
}

fn room(id: &str) -> ClassroomId {
    id.parse().unwrap()
}

/// What came back.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Said {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn kind(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }

    /// `type` and `status` of an error in JSON that has a title and a detail too.
    pub(super) fn error(&self) -> (String, u64) {
        assert_eq!(self.kind(), "application/json");
        let error: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert!(error["title"].is_string() && error["detail"].is_string());
        (error["type"].as_str().unwrap().into(), error["status"].as_u64().unwrap())
    }
}

/// Asks a table. The request is written as on the wire, with bare line feeds and without a version.
pub(super) fn ask<S: 'static>(table: &Table<S>, house: &Rc<S>, request: &str) -> Said {
    ask_from(None, table, house, request)
}

/// As [`ask`], from an address.
pub(super) fn ask_from<S: 'static>(peer: Option<gate::Peer>, table: &Table<S>, house: &Rc<S>, request: &str) -> Said {
    let mut known = Extensions::new();
    peer.and_then(|peer| known.insert(peer));
    ask_known(known, table, house, request)
}

/// As [`ask`], where this is known of the request.
pub(super) fn ask_known<S: 'static>(known: Extensions, table: &Table<S>, house: &Rc<S>, request: &str) -> Said {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let (method, uri) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(uri);
    request.extensions_mut().into_iter().for_each(|own| own.extend(known.clone()));
    for (name, value) in lines.map(|line| line.split_once(": ").unwrap()) {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    block_on(async {
        let (parts, body) = table.answer(house, request, |_| {}).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Said { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8(body.into()).unwrap() }
    })
}
