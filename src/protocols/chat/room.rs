//! A session in memory: what comes while it is being read waits.

use super::{
    asks::{Ask, Refused, Reply, Told},
    homes::{Circumstances, Outcome},
    letters::{FromSession, ToSession},
    record::Loaded,
    sitting::Sitting,
};
use crate::realtime::{ShardId, StoreFault, TimerId};
use std::mem;

/// See the file.
pub(super) enum Room {
    /// It is being read. While that is answered, well or not, there is no other room of it, so that nothing old is ever taken for it.
    Loading {
        /// Who waits for it.
        waiting: Vec<ToSession>,
        /// When that has taken too long; none: it has, and nobody waits.
        slow: Option<TimerId>,
        /// The store has answered.
        is_read: bool,
        /// The home was elsewhere meanwhile: what is read may be old.
        is_stale: bool,
    },
    /// It is here.
    Here(Box<Sitting>),
}

/// What may wait while a session is being read.
const WAITING_AT_MOST: usize = 1_000;

impl Room {
    pub(super) fn sitting(&self) -> Option<&Sitting> {
        match self {
            Room::Loading { .. } => None,
            Room::Here(sitting) => Some(sitting),
        }
    }

    pub(super) fn create(&mut self, asker: (ShardId, u64), c: &mut Circumstances<'_>) {
        if let Room::Here(sitting) = self {
            sitting.create(asker, c);
        }
    }

    pub(super) fn letter(&mut self, letter: ToSession, c: &mut Circumstances<'_>) {
        match self {
            Room::Loading { waiting, slow: Some(_), .. } if waiting.len() < WAITING_AT_MOST => waiting.push(letter),
            Room::Loading { .. } => refuse(letter, Refused::Store(StoreFault::Busy), c.out),
            Room::Here(sitting) => sitting.letter(letter, c),
        }
    }

    pub(super) fn loaded(&mut self, loaded: Result<Option<Box<Loaded>>, StoreFault>, c: &mut Circumstances<'_>) {
        let Room::Loading { waiting, slow, is_read, .. } = self else { return };
        let waiting = mem::take(waiting);
        c.cancel(slow.take());
        *is_read = true;
        match loaded {
            Ok(Some(loaded)) => {
                let Loaded { session, messages, approvals } = *loaded;
                let mut sitting = Box::new(Sitting::new(session, messages, approvals));
                waiting.into_iter().for_each(|letter| sitting.letter(letter, c));
                *self = Room::Here(sitting);
            }
            Ok(None) => waiting.into_iter().for_each(|letter| refuse(letter, Refused::NoSession, c.out)),
            Err(fault) => waiting.into_iter().for_each(|letter| refuse(letter, Refused::Store(fault), c.out)),
        }
    }

    /// The store has not answered in time: nobody waits any longer.
    pub(super) fn slow(&mut self, c: &mut Circumstances<'_>) {
        match self {
            Room::Loading { waiting, slow, .. } => {
                *slow = None;
                mem::take(waiting).into_iter().for_each(|letter| refuse(letter, Refused::Store(StoreFault::Busy), c.out));
            }
            Room::Here(sitting) => sitting.slow(c),
        }
    }

    /// Goes on with what waits. Whether nothing goes on any more.
    pub(super) fn rest(&mut self, c: &mut Circumstances<'_>) -> bool {
        match self {
            // What could not be read has nobody waiting.
            Room::Loading { is_read, .. } => *is_read,
            Room::Here(sitting) => sitting.rest(c),
        }
    }
}

/// Answers a letter that nothing was done.
pub(super) fn refuse(letter: ToSession, why: Refused, out: &mut Vec<Outcome>) {
    match letter {
        ToSession::Join { conn, .. } => {
            let invalid = match why {
                Refused::Store(_) | Refused::Stopping | Refused::Crowded | Refused::Lost => false,
                Refused::NotHere | Refused::NoSession | Refused::Ended | Refused::Suspended => true,
                Refused::NoApproval | Refused::Processed | Refused::Expired => true,
            };
            out.push(Outcome::Tell(conn, FromSession::Refused { invalid }));
        }
        ToSession::Say { conn, ids: [_, answer], .. } => out.push(Outcome::Tell(conn, FromSession::NotTaken { answer, why })),
        ToSession::Part { .. } | ToSession::Cancel { .. } | ToSession::Held { .. } | ToSession::Free { .. } => {}
        ToSession::Ask { asker, number, ask } => match *ask {
            Ask::Leave { .. } => {}
            Ask::Say { .. } => out.push(Outcome::Told { asker, number, told: Box::new(Told::Refused(why)) }),
            Ask::Create(_) | Ask::Look { .. } | Ask::End { .. } | Ask::Approvals { .. } | Ask::Decide { .. } => {
                out.push(Outcome::Reply { asker, number, reply: Box::new(Reply::Refused(why)) });
            }
        },
    }
}
