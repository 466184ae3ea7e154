//! Values of every letter, and of every variant of what is in them.

mod chat;
mod labs;
mod presence;
mod quiz;
mod tasks;

use super::*;
use crate::{
    engine::Payee,
    realtime::{ConnId, Counted, StoreFault, UnixMicros},
};
use std::sync::Arc;

/// How many kinds of letters there are.
pub(super) const KINDS: usize = 38;

const AT: UnixMicros = UnixMicros(1_700_000_000_123_456);
const FAULTS: [StoreFault; 2] = [StoreFault::Busy, StoreFault::Failed];

fn conn() -> ConnId {
    ConnId { shard: FROM, generation: 65_535, slot: 4_000_000_000 }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(u128::MAX / 3 + number)
}

/// Short and long texts take different forms.
fn text(text: &str) -> Arc<str> {
    text.into()
}

fn long() -> Arc<str> {
    "something that is longer than a pointer, with é and 漢".into()
}

fn frame() -> Frame {
    Frame::from_wire(b"\x81\x02{}")
}

pub(super) fn all() -> Vec<Letter> {
    let own = [
        Letter::Deliver(conn(), frame()),
        Letter::Deliver(conn(), Frame::from_wire(b"")),
        Letter::ViewBegins { view: u64::MAX, epoch: 7, to: 8, anew: true },
        Letter::ViewReached { view: 1 << 40 },
    ];
    [own.into(), presence::all(), quiz::all(), labs::all(), chat::all(), tasks::all()].into_iter().flatten().collect()
}

/// Which of the kinds it is of.
pub(super) fn kind(letter: &Letter) -> usize {
    match letter {
        Letter::Home(..) => 0,
        Letter::Connection(..) => 1,
        Letter::QuizHome(..) => 2,
        Letter::QuizConnection(..) => 3,
        Letter::Publish { .. } => 4,
        Letter::Deliver(..) => 5,
        Letter::Show { .. } => 6,
        Letter::Reply { .. } => 7,
        Letter::QuizReply { .. } => 8,
        Letter::Key { .. } => 9,
        Letter::KeyHeard { .. } => 10,
        Letter::Registry(..) => 11,
        Letter::LabsConnection(..) => 12,
        Letter::Tunnel { .. } => 13,
        Letter::LabsReply { .. } => 14,
        Letter::Revoked { .. } => 15,
        Letter::RevokedHeard { .. } => 16,
        Letter::ChatHome(..) => 17,
        Letter::ChatConnection(..) => 18,
        Letter::ChatReply { .. } => 19,
        Letter::ChatTold { .. } => 20,
        Letter::ChatCount { .. } => 21,
        Letter::ChatCounted { .. } => 22,
        Letter::TasksUser(..) => 23,
        Letter::TaskHome(..) => 24,
        Letter::ExecutionHome(..) => 25,
        Letter::TasksConnection(..) => 26,
        Letter::TasksNews { .. } => 27,
        Letter::TasksCounts { .. } => 28,
        Letter::TasksTotals(..) => 29,
        Letter::TasksReply { .. } => 30,
        Letter::ViewBegins { .. } => 31,
        Letter::ViewReached { .. } => 32,
        Letter::ChatMark { .. } => 33,
        Letter::ChatElsewhere { .. } => 34,
        Letter::PublishBut { .. } => 35,
        Letter::TasksHold(..) => 36,
        Letter::TasksInterest(..) => 37,
    }
}
