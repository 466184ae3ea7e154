//! Connections to the internal listeners: whether a node is ready, and what is published. A publish goes to a node that said last that it
//! is ready; one that finds it gone before it was sent goes to another.

use super::{BEGINS_PER_TURN, Rolling, book::Fate, due_ns};
use crate::{
    clock,
    contract::publish_body,
    crew::letters::Stage,
    fault::Fault,
    order::classroom,
    tally::{Measure, When},
    wire::{
        http::{Answer, response},
        line::Line,
        poll::Lines,
    },
};
use serde::Deserialize;
use std::io::Write;

/// Connections for publishes to one node.
const LANES: u32 = 8;
/// How often a node is asked whether it is ready.
const LOOK_NS: u64 = 50_000_000;
/// A publish for which no connection is free is tried again so much later.
const HELD_NS: u64 = 1_000_000;
/// Sequence numbers are microseconds since 1970 at first.
const DIGITS: usize = 16;

/// One connection.
pub(super) struct Post {
    pub(super) line: Line,
    pub(super) node: u32,
    is_look: bool,
    errand: Option<Errand>,
    /// The request was given to the connection.
    is_sent: bool,
}

/// What it was opened for.
#[derive(Clone, Copy)]
enum Errand {
    Look,
    Publish(Publish),
}

/// One publish.
#[derive(Clone, Copy)]
pub(super) struct Publish {
    number: u64,
    room: u32,
    intended_ns: u64,
}

#[derive(Deserialize)]
struct Published {
    members: u64,
}

impl Post {
    /// All of a node: the first looks.
    pub(super) fn of_node(node: u32) -> impl Iterator<Item = Post> {
        (0..=LANES).map(move |lane| Post { line: Line::default(), node, is_look: lane == 0, errand: None, is_sent: false })
    }

    /// Nothing is asked any more.
    pub(super) fn give_up(&mut self) {
        self.errand = None;
        self.line.drop_socket();
    }

    fn is_free(&self) -> bool {
        self.errand.is_none() && !self.is_look
    }
}

impl Rolling {
    /// Asks nodes whether they are ready; returns when the next is asked.
    pub(super) fn look(&mut self) -> u64 {
        let mut next_ns = u64::MAX;
        for node in 0..self.ways.len() {
            let (way, post, now_ns) = (&mut self.ways[node], node * (LANES as usize + 1), clock::now_ns());
            if way.look_ns <= now_ns {
                way.look_ns = now_ns + LOOK_NS;
                if self.posts[post].errand.is_none() {
                    self.begin(post, Errand::Look);
                }
            }
            next_ns = next_ns.min(self.ways[node].look_ns);
        }
        next_ns
    }

    fn note_ready(&mut self, node: u32, is_ready: bool) {
        let way = &mut self.ways[node as usize];
        self.tally.rolling.gone += u64::from(way.is_ready && !is_ready);
        way.is_ready = is_ready;
    }

    /// Publishes what is due; returns when the next is.
    pub(super) fn begin_publishes(&mut self) -> u64 {
        if self.book.is_empty() {
            return u64::MAX;
        }
        for _ in 0..BEGINS_PER_TURN {
            let now_ns = clock::now_ns();
            let due_ns = due_ns(&self.order, self.from_ns, self.book.next_number());
            if self.unsent.is_empty() && (due_ns > now_ns || due_ns >= self.until_ns) {
                return if due_ns >= self.until_ns { u64::MAX } else { due_ns };
            }
            let Some(post) = self.free_post() else {
                self.is_held = true;
                return now_ns + HELD_NS;
            };
            let publish = self.unsent.pop_front().unwrap_or_else(|| self.next_publish(due_ns, now_ns));
            self.begin(post, Errand::Publish(publish));
        }
        0
    }

    fn next_publish(&mut self, due_ns: u64, now_ns: u64) -> Publish {
        self.tally.counts.published += 1;
        if std::mem::take(&mut self.is_held) {
            self.tally.counts.held_back += 1;
        } else {
            self.tally.record(Measure::Lag, now_ns.saturating_sub(due_ns));
        }
        let (number, room) = self.book.begin(now_ns);
        Publish { number, room, intended_ns: due_ns }
    }

    /// One that is free, of a node that is ready; these take turns.
    fn free_post(&mut self) -> Option<usize> {
        let (nodes, each) = (self.ways.len() as u32, LANES as usize + 1);
        let mut ready = (0..nodes).map(|step| (self.turn + step) % nodes).filter(|node| self.ways[*node as usize].is_ready);
        let found = ready.find_map(|node| {
            let own = node as usize * each..(node as usize + 1) * each;
            own.into_iter().find(|post| self.posts[*post].is_free()).map(|post| (node, post))
        });
        let (node, post) = found?;
        self.turn = (node + 1) % nodes;
        Some(post)
    }

    /// Whether all that was meant to leave before the end has left, and is decided.
    pub(super) fn is_all_sent(&self) -> bool {
        let is_due = !self.book.is_empty() && due_ns(&self.order, self.from_ns, self.book.next_number()) < self.until_ns;
        let is_open = self.posts.iter().any(|post| matches!(post.errand, Some(Errand::Publish(_))));
        !is_due && !is_open && self.unsent.is_empty()
    }

    fn begin(&mut self, post: usize, errand: Errand) {
        let whose = (self.seats.len() + post) as u32;
        self.posts[post].errand = Some(errand);
        self.posts[post].is_sent = false;
        self.await_next(whose, "internal");
        let done = if self.posts[post].line.socket.is_some() { self.ask(post) } else { self.dial(whose) };
        if let Err(fault) = done {
            self.broke(post, &fault);
        }
    }

    /// Sends what the connection was opened for.
    pub(super) fn ask(&mut self, post: usize) -> Result<(), Fault> {
        let at = &mut self.posts[post];
        let way = &self.ways[at.node as usize];
        let (path, host) = (&way.internal.path, &way.internal.host);
        self.request.clear();
        let written = match at.errand {
            None => return Ok(()),
            Some(Errand::Look) => write!(self.request, "GET {path}/readyz HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            Some(Errand::Publish(Publish { number, room, intended_ns })) => {
                let crowd = &self.order.crowd;
                let bytes = crowd.publishing.as_ref().map_or(0, |publishing| publishing.bytes);
                publish_body(&mut self.body, intended_ns, number, bytes, DIGITS);
                let (id, length) = (classroom(crowd.seed, room), self.body.len());
                let head = write!(
                    self.request,
                    "POST {path}/api/v1/classrooms/{id}/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
                     Content-Length: {length}\r\n\r\n"
                );
                self.request.extend_from_slice(&self.body);
                head
            }
        };
        debug_assert!(written.is_ok());
        at.line.send(&self.request)?;
        at.is_sent = true;
        Ok(())
    }

    /// Bytes of an answer.
    pub(super) fn answered(&mut self, post: usize, bytes: &[u8], now_ns: u64) -> Result<(), Fault> {
        let Answer::Whole((status, body), _) = response(bytes)? else {
            self.posts[post].line.rest.extend_from_slice(bytes);
            return Ok(());
        };
        let at = &mut self.posts[post];
        at.line.rest_assured();
        let node = at.node;
        match at.errand.take() {
            None => return Err(Fault::Broken("an answer to no question")),
            Some(Errand::Look) => self.note_ready(node, status == 200),
            Some(Errand::Publish(publish)) => match serde_json::from_slice::<Published>(body) {
                Ok(published) if status == 200 => self.published(publish, published.members, now_ns),
                Ok(_) | Err(_) => {
                    self.not_known(publish);
                    if status != 503 {
                        self.blame(When::Publishing, &Fault::Http(status));
                    }
                }
            },
        }
        Ok(())
    }

    fn published(&mut self, publish: Publish, members: u64, now_ns: u64) {
        self.tally.counts.answered += 1;
        self.tally.counts.owed += members;
        self.tally.record(Measure::Publish, now_ns.saturating_sub(publish.intended_ns));
        self.book.decide(publish.number, Fate::Answered);
    }

    fn not_known(&mut self, publish: Publish) {
        self.tally.rolling.unsure += 1;
        self.book.decide(publish.number, Fate::Unsure);
    }

    /// The connection has ended.
    pub(super) fn broke(&mut self, post: usize, fault: &Fault) {
        let at = &mut self.posts[post];
        let (node, is_sent) = (at.node, at.is_sent);
        let errand = at.errand.take();
        at.line.drop_socket();
        match errand {
            Some(Errand::Look) => self.note_ready(node, false),
            Some(Errand::Publish(publish)) if is_sent => {
                self.not_known(publish);
                if matches!(fault, Fault::Timeout(_) | Fault::Broken(_)) {
                    self.blame(When::Publishing, fault);
                }
            }
            Some(Errand::Publish(publish)) => {
                self.tally.rolling.redirected += 1;
                // Its next look tells otherwise where it is there after all.
                self.note_ready(node, false);
                self.unsent.push_back(publish);
            }
            // A kept connection that ends between two requests.
            None => {}
        }
        debug_assert!(self.stage.is_none_or(|(stage, _)| stage != Stage::Close));
    }
}
